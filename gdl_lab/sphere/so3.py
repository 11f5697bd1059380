r"""The fast Fourier transform on SO(3): real arithmetic, batch innermost, every stage a matrix product.

With U_st(β) the part of F(α, β, γ) that goes with cos mα or sin mα (s = c, s) and cos nγ or −sin nγ (t = c, s), and the
tables dc, ds of `wigner`, synthesis is, for each pair m, n ≥ 0, with factors √(2l+1) in the tables,

    U_cc = Σ_l dc F_cc + ds F_ss        U_cs = Σ_l dc F_cs − ds F_sc
    U_ss = Σ_l ds F_cc + dc F_ss        U_sc = Σ_l dc F_sc − ds F_cs,        F = Σ_mn U_st (waves in α) (waves in γ).

Each st has a partner, cc and ss, cs and sc. The mirror β ↦ π − β turns dc into (−1)^{l+m+n} dc and ds into
−(−1)^{l+m+n} ds. So the even part of U_st comes from the degrees with l+m+n even as dc F_st, and from the odd ones as
ds times the partner's F; the odd part of the partner's U has the same F with dc and ds exchanged. Thus one table
(m, n, l, (part, β)) at the northern nodes serves all four st and both hemispheres. A row of odd l+m+n holds the
partner's coefficient, for cs and sc with the opposite sign; the odd part stands in the partner's place, and the waves
of α and γ that are used for it bring it home.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gdl_lab.sphere.desks import Blocks, Desks
from gdl_lab.sphere.grid import bands, check_finite, circle, mirrored, waves
from gdl_lab.sphere.quadrature import gauss_legendre
from gdl_lab.sphere.transform import Transform
from gdl_lab.sphere.wigner import wigner_d

__all__ = ["SO3FFT", "SO3Plan", "plan"]


class SO3FFT(Transform):
    r"""Analysis and synthesis on SO(3) of bandlimit L, between a Gauss–Legendre grid and spectra.

    Analysis is F^l_mn = √(2l+1) ∫ F D^l_mn dR by quadrature, exact for band-limited F, (*shape, *batch) → (size,
    *batch); synthesis, the way back, is F = Σ √(2l+1) F^l_mn D^l_mn.

    Args:
        bandlimit: L ≥ 1; the degrees are 0 … L−1.
        oversample: grid points for a bandlimit of ``oversample`` × L, at least 1. A product of p spectra needs
            (p+1)/2 to be analysed without aliasing.
        orders: N, keeps right indices abs(n) < N; `None` keeps all, N = L.
        dtype: of `grid` and `weights`, PyTorch's default if `None`. Transforms have the dtype of their input.
        device: of `grid` and `weights`.

    Attributes:
        shape: (n_beta, n_alpha, n_gamma), all even.
        size: rows of a spectrum.
        weights: quadrature weights of β, shape (n_beta,), sum 1.

    Raises:
        ValueError: L, N or ``oversample`` below 1, N above L.

    Source: Kostelec & Rockmore (2008), with the layout of spectra and the normalisation of this package.
    """

    shape: tuple[int, int, int]

    def __init__(
        self,
        bandlimit: int,
        oversample: float = 1.0,
        orders: int | None = None,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__(bandlimit, oversample, orders, 3, dtype, device)

    def __repr__(self) -> str:
        return f"SO3FFT(bandlimit={self.bandlimit}, oversample={self.oversample}, orders={self.orders})"

    def grid(self) -> tuple[Tensor, Tensor, Tensor]:
        """Angles α (n_alpha,), β (n_beta,), γ (n_gamma,): β ascends from the pole e_y, α and γ from 0, in radians."""
        _, n_alpha, n_gamma = self.shape
        return circle(n_alpha).to(self._beta), self._beta, circle(n_gamma).to(self._beta)

    def _plan(self, x: Tensor) -> SO3Plan:
        return plan(self.bandlimit, self.orders, self.shape, x.dtype, x.device)


class Band(NamedTuple):
    """The table ((m, n), l, (part, β)) of a range of m, and the places of its (m, n) and of its rows of degrees."""

    pairs: slice
    rows: slice
    table: Tensor


class SO3Plan:
    """Tables of one grid, bandlimit, dtype and device, and the two transforms written with them."""

    def __init__(
        self, bandlimit: int, orders: int, shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device
    ) -> None:
        L, N = self.bandlimit, self.orders = bandlimit, orders
        n_beta, n_alpha, n_gamma = self.shape = shape
        self.north = n_beta // 2
        beta, weights = gauss_legendre(n_beta)

        def tensor(a: npt.NDArray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(a, dtype=np.float64)).to(device, dtype)

        # waves of the even part, and of the odd part, whose places s, t hold the partner with its sign (−1)^{s+t}
        partner, sign = np.array([[0, 1], [1, 0]]), np.array([[1, 1], [1, -1]])[..., None, None]
        alpha = (sign * waves(L, n_alpha)[partner]).reshape(2, 1, 2 * L, n_alpha)
        gamma = (sign * waves(N, n_gamma)[partner] * (-1.0) ** partner[..., None, None]).swapaxes(1, 2)
        measure = (weights[: self.north] / (n_alpha * n_gamma)).reshape(-1, 1, 1)
        self.alpha = {True: tensor(alpha * measure), False: tensor(alpha * np.ones_like(measure))}
        self.gamma = tensor(gamma.reshape(2, 2 * N, n_gamma))

        table = np.zeros((L, N, L, 2, self.north))
        for l, (dc, ds) in enumerate(wigner_d(L, N, beta[: self.north])):
            odd = np.add.outer(np.arange(L), np.arange(N) + l)[..., None] % 2 == 1
            table[:, :, l, 0] = math.sqrt(2 * l + 1) * np.where(odd, ds, dc)
            table[:, :, l, 1] = math.sqrt(2 * l + 1) * np.where(odd, dc, ds)
        self.bands: list[Band] = []
        start = 0
        place = np.zeros((2, L, N, L, 2), dtype=np.int64)  # s, m, n, l, t → row of degrees
        for low, high in bands(L, max(1, L // 3)):
            end = start + 4 * (high - low) * N * (L - low)
            place[:, low:high, :, low:] = np.arange(start, end).reshape(2, high - low, N, L - low, 2)
            part = tensor(table[low:high, :, low:]).view((high - low) * N, L - low, n_beta)
            self.bands.append(Band(slice(low * N, high * N), slice(start, end), part))
            start = end

        degree, m, n = _indices(L, N)
        parity = (degree + m + n) % 2
        rows = place[(m < 0) ^ parity, abs(m), abs(n), degree, (n < 0) ^ parity]
        # a place that is no coefficient takes row 0: the tables are zero there, or the wave is
        back = np.zeros(start, dtype=np.int64)
        back[rows] = np.arange(len(rows))
        self.rows, self.back = torch.from_numpy(rows).to(device), torch.from_numpy(back).to(device)
        self.desks = Desks(partial(SO3Desk, self))
        self.signs = tensor(np.where((parity == 1) & ((m < 0) != (n < 0)), -1, 1)).unsqueeze(1)

    def analyse(self, signal: Tensor, weighted: bool) -> Tensor:
        """DᵀW or Dᵀ of a signal (*shape, batch)."""
        rows = signal.unbind(0)
        blocks = ((rows[here], rows[there][::-1]) for here, there in self._blocks(signal.shape[-1]))
        coeffs = self.collect(blocks, weighted, signal)
        if weighted:
            check_finite(coeffs[0])
        return coeffs

    def synthesise(self, coeffs: Tensor, weighted: bool) -> Tensor:
        """WD or D of a spectrum (size, batch)."""
        signal = coeffs.new_empty(*self.shape, coeffs.shape[-1])
        rows = signal.unbind(0)
        for (here, there), parts in zip(self._blocks(coeffs.shape[-1]), self.parts(coeffs, weighted), strict=True):
            for even, odd, north, south in zip(*parts, rows[here], rows[there][::-1], strict=True):
                torch.add(even, odd, out=north)
                torch.sub(even, odd, out=south)
        if not weighted:
            check_finite(signal[0, 0, 0])
        return signal

    def parts(self, coeffs: Tensor, weighted: bool) -> Iterator[tuple[Tensor, Tensor]]:
        """Parts of the signal even and odd under β ↦ π − β, block by block, (b, n_alpha, n_gamma, batch) each.

        The next block is written to the same place.
        """
        with self.desks.free(coeffs, self._blocks(coeffs.shape[-1])) as desk:
            torch.index_select(coeffs * self.signs, 0, self.back, out=desk.degrees)
            for table, modes, degrees in desk.in_beta:
                modes.copy_(torch.bmm(table.mT, degrees, out=desk.column[: len(table)]))
            for block in desk.blocks:
                for alpha, modes, half, gamma, signal in block.products:
                    torch.bmm(alpha[weighted].mT, modes, out=half)
                    torch.bmm(gamma.mT, half.view(*gamma.shape[:2], -1), out=signal)
                yield block.even, block.odd

    def collect(
        self, blocks: Iterable[tuple[Iterable[Tensor], Iterable[Tensor]]], weighted: bool, like: Tensor
    ) -> Tensor:
        """The spectrum of a signal that comes in blocks of northern nodes and their mirror images."""
        with self.desks.free(like, self._blocks(like.shape[-1])) as desk:
            for block, hemispheres in zip(desk.blocks, blocks, strict=True):
                for even, odd, north, south in zip(block.even, block.odd, *hemispheres, strict=True):
                    torch.add(north, south, out=even)
                    torch.sub(north, south, out=odd)
                for alpha, modes, half, gamma, signal in block.products:
                    torch.bmm(gamma, signal, out=half.view(*gamma.shape[:2], -1))
                    torch.bmm(alpha[weighted], half, out=modes)
            for table, modes, degrees in desk.in_beta:
                torch.bmm(table, modes, out=degrees)
            return desk.degrees.index_select(0, self.rows).mul_(self.signs)

    def _blocks(self, batch: int) -> Blocks:
        n_beta, n_alpha, n_gamma = self.shape
        return mirrored(n_beta, n_alpha * n_gamma * batch)


class Block(NamedTuple):
    """Both parts of the signal at some northern nodes, and what their products need, part by part."""

    even: Tensor
    odd: Tensor
    products: list[tuple[dict[bool, Tensor], Tensor, Tensor, Tensor, Tensor]]  # alpha, modes, half, gamma, signal


class SO3Desk:
    """Room for the stages of a transform of a batch, and the factors of its products."""

    def __init__(self, plan: SO3Plan, batch: int, blocks: Blocks) -> None:
        (n_beta, n_alpha, n_gamma), L, N = plan.shape, plan.bandlimit, plan.orders
        step = blocks[0][0].stop
        empty = plan.signs.new_empty
        modes = empty(2, plan.north, 2 * L, 2 * N * batch)  # (part, b, (s, m), (n, t, batch))
        half = empty(step, n_alpha, 2 * N * batch)
        signal = empty(2, step, n_alpha, n_gamma, batch)
        self.degrees = empty(len(plan.back), batch)
        self.column = empty(max(len(band.table) for band in plan.bands), n_beta, 2 * batch)
        self.bytes = sum(a.nbytes for a in (modes, half, signal, self.degrees, self.column))

        self.blocks: list[Block] = []
        for here, _ in blocks:
            b = here.stop - here.start
            products = [
                (
                    {weighted: alpha[part, here] for weighted, alpha in plan.alpha.items()},
                    modes[part, here],
                    half[:b],
                    plan.gamma[part].expand(b * n_alpha, -1, -1),
                    signal[part, :b].view(b * n_alpha, n_gamma, batch),
                )
                for part in (0, 1)
            ]
            self.blocks.append(Block(signal[0, :b], signal[1, :b], products))
        columns = modes.view(n_beta, 2, L * N, 2 * batch).transpose(0, 2)
        self.in_beta = [
            (table, columns[pairs, s], self.degrees[rows].view(2, *table.shape[:2], 2 * batch)[s])
            for pairs, rows, table in plan.bands
            for s in (0, 1)
        ]


@lru_cache(maxsize=64)
def plan(bandlimit: int, orders: int, shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> SO3Plan:
    """The plan of these arguments, made once."""
    return SO3Plan(bandlimit, orders, shape, dtype, device)


def _indices(L: int, N: int) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray]:
    """l, m and n of every row of a spectrum."""
    blocks = [np.broadcast_arrays(l, *np.ogrid[-l : l + 1, -min(l, N - 1) : min(l, N - 1) + 1]) for l in range(L)]
    l, m, n = (np.concatenate([block[i].ravel() for block in blocks]) for i in range(3))
    return l, m, n

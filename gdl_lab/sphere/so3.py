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
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gdl_lab.sphere.grid import bands, check_finite, circle, mirror, mirrored, waves
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
        for low, high in bands(L, 4 if L > 10 else 1):
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
        self.signs = tensor(np.where((parity == 1) & ((m < 0) != (n < 0)), -1, 1)).unsqueeze(1)

    def analyse(self, signal: Tensor, weighted: bool) -> Tensor:
        """DᵀW or Dᵀ of a signal (*shape, batch)."""
        blocks = self._blocks(signal.shape[-1])
        coeffs = self.collect(((signal[here], mirror(signal[there])) for here, there in blocks), weighted, signal)
        if weighted:
            check_finite(coeffs[0])
        return coeffs

    def synthesise(self, coeffs: Tensor, weighted: bool) -> Tensor:
        """WD or D of a spectrum (size, batch)."""
        signal = coeffs.new_empty(*self.shape, coeffs.shape[-1])
        blocks = self._blocks(coeffs.shape[-1])
        for (here, there), (even, odd) in zip(blocks, self.parts(coeffs, weighted), strict=True):
            torch.add(even, odd, out=signal[here])
            signal[there] = mirror(torch.sub(even, odd, out=odd))
        if not weighted:
            check_finite(signal[0, 0, 0])
        return signal

    def parts(self, coeffs: Tensor, weighted: bool) -> Iterator[tuple[Tensor, Tensor]]:
        """Parts of the signal even and odd under β ↦ π − β, block by block, (b, n_alpha, n_gamma, batch) each.

        The buffers are used again for the next block.
        """
        (_, n_alpha, n_gamma), N, batch = self.shape, self.orders, coeffs.shape[-1]
        modes = self._expand(coeffs)
        blocks = self._blocks(batch)
        step = blocks[0][0].stop
        half = coeffs.new_empty(2, step, n_alpha, 2 * N * batch)
        signal = coeffs.new_empty(2, step, n_alpha, n_gamma, batch)
        for here, _ in blocks:
            b = here.stop - here.start
            for part in (0, 1):
                torch.bmm(self.alpha[weighted][part, here].mT, modes[part, here], out=half[part, :b])
                torch.bmm(
                    self.gamma[part].mT.expand(b * n_alpha, -1, -1),
                    half[part, :b].view(b * n_alpha, 2 * N, batch),
                    out=signal[part, :b].view(b * n_alpha, n_gamma, batch),
                )
            yield signal[0, :b], signal[1, :b]

    def collect(self, blocks: Iterable[tuple[Tensor, Tensor]], weighted: bool, like: Tensor) -> Tensor:
        """The spectrum of a signal that comes in blocks of northern nodes and their mirror images."""
        (_, n_alpha, n_gamma), L, N, batch = self.shape, self.bandlimit, self.orders, like.shape[-1]
        modes = like.new_empty(2, self.north, 2 * L, 2 * N * batch)
        for (here, _), (north, south) in zip(self._blocks(batch), blocks, strict=True):
            b = here.stop - here.start
            signal = like.new_empty(2, b * n_alpha, n_gamma, batch)
            half = like.new_empty(b, n_alpha, 2 * N * batch)
            torch.add(north, south, out=signal[0].view_as(north))
            torch.sub(north, south, out=signal[1].view_as(north))
            for part in (0, 1):
                waves_in_gamma = self.gamma[part].expand(b * n_alpha, -1, -1)
                torch.bmm(waves_in_gamma, signal[part], out=half.view(b * n_alpha, 2 * N, batch))
                torch.bmm(self.alpha[weighted][part, here], half, out=modes[part, here])
        return self._project(modes)

    def _blocks(self, batch: int) -> list[tuple[slice, slice]]:
        n_beta, n_alpha, n_gamma = self.shape
        return mirrored(n_beta, n_alpha * n_gamma * batch)

    def _project(self, modes: Tensor) -> Tensor:
        """Σ over β with the tables, then rows in the order of a spectrum."""
        n_beta, batch = self.shape[0], modes.shape[-1] // (2 * self.orders)
        modes = modes.view(n_beta, 2, self.bandlimit * self.orders, 2 * batch)
        degrees = modes.new_empty(len(self.back), batch)
        for pairs, rows, table in self.bands:
            out = degrees[rows].view(2, *table.shape[:2], 2 * batch)
            for s in (0, 1):
                torch.bmm(table, modes[:, s, pairs].transpose(0, 1), out=out[s])
        return degrees.index_select(0, self.rows).mul_(self.signs)

    def _expand(self, coeffs: Tensor) -> Tensor:
        """Adjoint of `_project`: modes (part, b, (s, m), (n, t, batch))."""
        n_beta, batch = self.shape[0], coeffs.shape[-1]
        degrees = (coeffs * self.signs).index_select(0, self.back)
        modes = coeffs.new_empty(n_beta, 2, self.bandlimit * self.orders, 2 * batch)
        for pairs, rows, table in self.bands:
            there = degrees[rows].view(2, *table.shape[:2], 2 * batch)
            for s in (0, 1):
                modes[:, s, pairs] = torch.bmm(table.mT, there[s]).transpose(0, 1)
        return modes.view(2, self.north, 2 * self.bandlimit, 2 * self.orders * batch)


@lru_cache(maxsize=64)
def plan(bandlimit: int, orders: int, shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> SO3Plan:
    """The plan of these arguments, made once."""
    return SO3Plan(bandlimit, orders, shape, dtype, device)


def _indices(L: int, N: int) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray]:
    """l, m and n of every row of a spectrum."""
    blocks = [np.broadcast_arrays(l, *np.ogrid[-l : l + 1, -min(l, N - 1) : min(l, N - 1) + 1]) for l in range(L)]
    l, m, n = (np.concatenate([block[i].ravel() for block in blocks]) for i in range(3))
    return l, m, n

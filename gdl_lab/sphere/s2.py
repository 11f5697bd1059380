r"""The fast Fourier transform on S²: waves in α, then associated Legendre functions, both folded in two.

f(α, β) = Σ_m wave_m(α) Σ_l √(2l+1) dc^l_m0(β) f^l_m. Under β ↦ π − β the function dc^l_m0 gains the sign (−1)^{l+m}, so
that the degrees with l+m even see the sum of mirrored nodes only, the odd ones the difference. Under α ↦ α + π the wave
gains (−1)^m, and half the circle is enough. Each fold is a pass over the signal and halves the products that follow.
"""

from __future__ import annotations

import math
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

__all__ = ["S2FFT", "S2Plan", "plan"]


class S2FFT(Transform):
    r"""Analysis and synthesis on S² of bandlimit L, between a Gauss–Legendre grid and spectra of L² rows.

    Analysis is f^l_m = ∫ f Y^l_m dx by quadrature, exact for band-limited f, (n_beta, n_alpha, *batch) → (L², *batch);
    synthesis, the way back, is f = Σ f^l_m Y^l_m.

    Args:
        bandlimit: L ≥ 1; the degrees are 0 … L−1.
        oversample: grid points for a bandlimit of ``oversample`` × L, at least 1.
        dtype: of `grid` and `weights`, PyTorch's default if `None`. Transforms have the dtype of their input.
        device: of `grid` and `weights`.

    Attributes:
        shape: (n_beta, n_alpha), both even.
        size: rows of a spectrum, L²; row l² + l + m is f^l_m.
        weights: quadrature weights of β, shape (n_beta,), sum 1.

    Raises:
        ValueError: L or ``oversample`` below 1.
    """

    shape: tuple[int, int]

    def __init__(
        self,
        bandlimit: int,
        oversample: float = 1.0,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__(bandlimit, oversample, 1, 2, dtype, device)

    def __repr__(self) -> str:
        return f"S2FFT(bandlimit={self.bandlimit}, oversample={self.oversample})"

    def grid(self) -> tuple[Tensor, Tensor]:
        """Angles α (n_alpha,) and β (n_beta,): β ascends from the pole e_y, α from 0, in radians."""
        return circle(self.shape[1]).to(self._beta), self._beta

    def block(self, coeffs: Tensor, l: int) -> Tensor:
        """View (2l+1, *batch) of degree l, entry ``[m+l]``; `ValueError` for l ≥ L."""
        return super().block(coeffs, l).squeeze(1)

    def _plan(self, x: Tensor) -> S2Plan:
        return plan(self.bandlimit, self.shape, x.dtype, x.device)


class Band(NamedTuple):
    """The tables (m, l, β) of some m of parity e, for l+m of parity q; places of its m and of its rows of degrees."""

    e: int
    q: int
    m: slice
    rows: slice
    tables: dict[bool, Tensor]  # with and without quadrature weights


class S2Plan:
    """Tables of one grid, bandlimit, dtype and device, and the two transforms written with them."""

    def __init__(self, bandlimit: int, shape: tuple[int, int], dtype: torch.dtype, device: torch.device) -> None:
        L, self.shape = bandlimit, shape
        n_beta, n_alpha = shape
        self.north = n_beta // 2
        beta, weights = gauss_legendre(n_beta)

        def tensor(a: npt.NDArray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(a, dtype=np.float64)).to(device, dtype)

        # half a turn multiplies the waves of even m by 1, of odd m by −1: half the circle is enough for each
        half = waves(L, n_alpha)[:, :, : n_alpha // 2].swapaxes(0, 1)
        self.alpha = [tensor(half[parity::2].reshape(-1, n_alpha // 2)) for parity in (0, 1)]
        table = np.zeros((2, L, (L + 1) // 2, self.north))  # parity of l+m, m, l // 2, β
        for l, (legendre, _) in enumerate(wigner_d(L, 1, beta[: self.north])):
            for parity in (0, 1):
                m = np.arange(L) % 2 == (l + parity) % 2
                table[parity, m, l // 2] = math.sqrt(2 * l + 1) * legendre[m, 0]
        self.bands: list[Band] = []
        start = 0
        place = np.zeros((2, L, (L + 1) // 2, 2), dtype=np.int64)  # parity of l+m, m, l // 2, s → row of degrees
        for e, q in np.ndindex(2, 2):
            for low, high in bands((L + 1 - e) // 2, max(1, L // 32)):
                part = table[q, e::2][low:high, low:]
                end = start + 2 * part.shape[0] * part.shape[1]
                place[q, e::2][low:high, low:] = np.arange(start, end).reshape(*part.shape[:2], 2)
                tables = {True: tensor(part * (weights[: self.north] / n_alpha)), False: tensor(part)}
                self.bands.append(Band(e, q, slice(low, high), slice(start, end), tables))
                start = end

        degree = np.repeat(np.arange(L), 2 * np.arange(L) + 1)
        m = np.arange(L * L) - degree * (degree + 1)
        rows = place[(degree + m) % 2, abs(m), degree // 2, (m < 0).astype(int)]
        # a place that is no coefficient takes row 0: the table is zero there, or the wave is
        back = np.zeros(start, dtype=np.int64)
        back[rows] = np.arange(L * L)
        self.rows, self.back = torch.from_numpy(rows).to(device), torch.from_numpy(back).to(device)
        self.desks = Desks(partial(S2Desk, self))

    def analyse(self, signal: Tensor, weighted: bool) -> Tensor:
        """DᵀW or Dᵀ of a signal (*shape, batch)."""
        with self.desks.free(signal, self._blocks(signal.shape[-1])) as desk:
            for block in desk.blocks:
                north = signal[block.here]
                torch.index_select(signal[block.there], 0, block.mirror, out=block.south)
                torch.add(north, block.south, out=block.even)
                torch.sub(north, block.south, out=block.odd)
                torch.add(*block.halves, out=block.turned[0])
                torch.sub(*block.halves, out=block.turned[1])
                for alpha, signals, modes in block.products:
                    torch.bmm(alpha, signals, out=modes)
            for tables, modes, _, degrees in desk.in_beta:
                torch.bmm(tables[weighted], modes, out=degrees)
            coeffs = desk.degrees.index_select(0, self.rows)
        if weighted:
            check_finite(coeffs[0])
        return coeffs

    def synthesise(self, coeffs: Tensor, weighted: bool) -> Tensor:
        """WD or D of a spectrum (size, batch)."""
        signal = coeffs.new_empty(*self.shape, coeffs.shape[-1])
        with self.desks.free(coeffs, self._blocks(coeffs.shape[-1])) as desk:
            torch.index_select(coeffs, 0, self.back, out=desk.degrees)
            for tables, modes, column, degrees in desk.in_beta:
                modes.copy_(torch.bmm(tables[weighted].mT, degrees, out=column))  # without out, autocast rounds it
            for block in desk.blocks:
                for alpha, signals, modes in block.products:
                    torch.bmm(alpha.mT, modes, out=signals)
                torch.add(*block.turned, out=block.halves[0])
                torch.sub(*block.turned, out=block.halves[1])
                torch.add(block.even, block.odd, out=signal[block.here])
                torch.sub(block.even, block.odd, out=block.south)
                torch.index_select(block.south, 0, block.mirror, out=signal[block.there])
        if not weighted:
            check_finite(signal[0, 0])
        return signal

    def _blocks(self, batch: int) -> Blocks:
        return mirrored(self.shape[0], self.shape[1] * batch)


class Block(NamedTuple):
    """The signal at some northern nodes and their mirror images on its way through folds and waves."""

    here: slice
    there: slice
    mirror: Tensor  # places of the southern nodes from north to south
    south: Tensor  # (b, α, batch)
    even: Tensor  # the parts under β ↦ π − β, alike
    odd: Tensor
    halves: tuple[Tensor, Tensor]  # both parts on half the circle, and on the other: (b, part, α, batch)
    turned: tuple[Tensor, Tensor]  # their sum and their difference, alike
    products: list[tuple[Tensor, Tensor, Tensor]]  # waves in α, one of ``turned``, its modes


class S2Desk:
    """Room for the stages of a transform of a batch, and the factors of its products."""

    def __init__(self, plan: S2Plan, batch: int, blocks: Blocks) -> None:
        n_alpha = plan.shape[1]
        step = blocks[0][0].stop
        empty = plan.alpha[0].new_empty
        # waves of even and of odd m: (β, parity of l+m, m, (s, batch))
        modes = [empty(plan.north, 2, len(alpha) // 2, 2 * batch) for alpha in plan.alpha]
        parts = empty(step, 2, 2, n_alpha // 2, batch)  # β, part, half of the circle, α
        turned = empty(2, step, 2, n_alpha // 2, batch)
        south = empty(step, n_alpha, batch)
        self.degrees = empty(len(plan.back), batch)
        column = empty(max(len(band.tables[True]) for band in plan.bands), plan.north, 2 * batch)
        self.bytes = sum(a.nbytes for a in (*modes, parts, turned, south, self.degrees, column))

        self.blocks: list[Block] = []
        for here, there in blocks:
            b = here.stop - here.start
            places = torch.arange(b - 1, -1, -1, device=south.device)
            even, odd = parts[:b].view(b, 2, n_alpha, batch).unbind(1)
            products = [
                (alpha.expand(2 * b, -1, -1), signals[:b].flatten(0, 1), waves[here].view(2 * b, len(alpha), batch))
                for alpha, signals, waves in zip(plan.alpha, turned, modes, strict=True)
            ]
            halves, folded = (parts[:b, :, 0], parts[:b, :, 1]), (turned[0, :b], turned[1, :b])
            self.blocks.append(Block(here, there, places, south[:b], even, odd, halves, folded, products))
        self.in_beta = [
            (
                tables,
                modes[e][:, q, m].transpose(0, 1),
                column[: len(tables[True])],
                self.degrees[rows].view(*tables[True].shape[:2], 2 * batch),
            )
            for e, q, m, rows, tables in plan.bands
        ]


@lru_cache(maxsize=64)
def plan(bandlimit: int, shape: tuple[int, int], dtype: torch.dtype, device: torch.device) -> S2Plan:
    """The plan of these arguments, made once."""
    return S2Plan(bandlimit, shape, dtype, device)

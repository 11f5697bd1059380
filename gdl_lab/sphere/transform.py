r"""What `S2FFT` and `SO3FFT` share: the checks at their doors, and derivatives of every kind.

With D the matrix of synthesis and W the diagonal matrix of quadrature weights, analysis is A = DᵀW. A plan offers both
with weights and without, A = DᵀW and Dᵀ, D and WD: the adjoint of one is the other with the same weights, and so every
derivative of a transform is a transform again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from gdl_lab.sphere import spectrum
from gdl_lab.sphere.grid import check_bandlimit, check_batch, check_oversample, grid_shape, nodes

__all__ = ["Plan", "Transform"]

Map = Callable[[Tensor], Tensor]


class Plan(Protocol):
    """The tables of a transform on one grid, in one dtype and on one device."""

    def analyse(self, signal: Tensor, weighted: bool) -> Tensor:
        """Dᵀ or DᵀW of a signal (*grid, batch): spectrum (size, batch)."""

    def synthesise(self, coeffs: Tensor, weighted: bool) -> Tensor:
        """D or WD of a spectrum (size, batch): signal (*grid, batch)."""


class Transform:
    """Analysis and synthesis between a grid, `shape`, and spectra of `size` rows, whose formulas the subclasses give.

    A subclass names the axes of its grid and the plan of its tables.
    """

    shape: tuple[int, ...]

    def __init__(
        self,
        bandlimit: int,
        oversample: float,
        orders: int | None,
        axes: int,
        dtype: torch.dtype | None,
        device: torch.device | str | None,
    ) -> None:
        self.bandlimit, self.orders = check_bandlimit(bandlimit, orders)
        self.oversample = check_oversample(oversample)
        self.shape = grid_shape(self.bandlimit, self.orders, self.oversample)[:axes]
        self.size = spectrum.spectrum_size(self.bandlimit, self.orders)
        self._beta, self.weights = nodes(self.shape[0], dtype, device)

    def analysis(self, signal: Tensor) -> Tensor:
        """The coefficients by quadrature, exact for band-limited signals: (*shape, *batch) → (size, *batch).

        Raises:
            ValueError: a grid of another shape, another dtype than float32 or float64; NaN or infinity (on the CPU).
        """
        check_batch(signal, self.shape, f"a signal on the grid of {self}")
        plan = self._plan(signal)
        run, adjoint = partial(plan.analyse, weighted=True), partial(plan.synthesise, weighted=True)
        flat = cast(Tensor, _Linear.apply(signal.reshape(*self.shape, -1), run, adjoint))
        return flat.reshape(self.size, *signal.shape[len(self.shape) :])

    def synthesis(self, coeffs: Tensor) -> Tensor:
        """The function on the grid: (size, *batch) → (*shape, *batch).

        Raises:
            ValueError: another number of rows, another dtype than float32 or float64; NaN or infinity (on the CPU).
        """
        self._check(coeffs)
        plan = self._plan(coeffs)
        run, adjoint = partial(plan.synthesise, weighted=False), partial(plan.analyse, weighted=False)
        flat = cast(Tensor, _Linear.apply(coeffs.reshape(self.size, -1), run, adjoint))
        return flat.reshape(*self.shape, *coeffs.shape[1:])

    def block(self, coeffs: Tensor, l: int) -> Tensor:
        """View (2l+1, 2k+1, *batch) of degree l, k = min(l, N−1), entry ``[m+l, n+k]``; `ValueError` for l ≥ L."""
        self._check(coeffs)
        return spectrum.block(coeffs, l, self.orders)

    def rotate(self, coeffs: Tensor, R: Tensor) -> Tensor:
        """Spectrum of (Λ_R f)(x) = f(R⁻¹x), see `spectrum.rotate`."""
        self._check(coeffs)
        return spectrum.rotate(coeffs, R, self.bandlimit)

    def _check(self, coeffs: Tensor) -> None:
        check_batch(coeffs, (self.size,), f"a spectrum of {self}")

    def _plan(self, x: Tensor) -> Plan:
        raise NotImplementedError


class _Linear(torch.autograd.Function):
    """``_Linear.apply(x, run, adjoint)``: run(x), for linear maps that are adjoint to each other."""

    @staticmethod
    def forward(x: Tensor, run: Map, adjoint: Map) -> Tensor:
        return run(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        _, ctx.run, ctx.adjoint = inputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Linear.apply(gradient, ctx.adjoint, ctx.run), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        return _Linear.apply(tangent, ctx.run, ctx.adjoint)

    @staticmethod
    def vmap(info: Any, in_dims: tuple, x: Tensor, run: Map, adjoint: Map) -> tuple[Tensor, int]:
        """A mapped axis is one more batch axis."""
        x = x.movedim(in_dims[0], -1)
        out = _Linear.apply(x.flatten(-2), run, adjoint)
        return out.unflatten(-1, x.shape[-2:]), out.ndim

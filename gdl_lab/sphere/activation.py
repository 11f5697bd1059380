r"""A pointwise nonlinearity between spectra, through the grid of SO(3), whose signal is never stored.

σ(F) of a band-limited F has no bandlimit. What the grid cannot tell apart from degrees below L is added to them, and
that part does not rotate with F: the equivariance error of the layer is this aliasing alone, and falls with
``oversample`` (to rounding at 1.5 for σ(x) = x², as a power for ReLU).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gdl_lab.sphere import so3
from gdl_lab.sphere.grid import check_bandlimit, check_batch, check_finite, check_oversample, grid_shape
from gdl_lab.sphere.spectrum import spectrum_size

__all__ = ["SO3Activation"]

Nonlinearity = Callable[[Tensor], Tensor]
COLUMNS = 64  # of the batch at a time


class SO3Activation(nn.Module):
    r"""Synthesis, a nonlinearity at every grid point, analysis, in one pass over blocks of the grid.

    The same numbers as ``fft.analysis(nonlinearity(fft.synthesis(coeffs)))``, but beside input and output the memory is
    that of one block: the backward pass computes the signal anew. ReLU keeps its sign instead, one byte a point.

    Args:
        bandlimit: L of the input.
        orders: N of the input; `None` is L.
        oversample: of the grid, at least 1, relative to the larger bandlimit.
        nonlinearity: acts on every number by itself, without parameters.
        to: bandlimit and orders of the output, those of the input if `None`. ``to=(1, 1)`` is the integral over SO(3).

    Shape:
        (spectrum_size(L, N), *batch) → (spectrum_size(*to), *batch).

    Raises:
        ValueError: L, N or ``oversample`` out of range; a nonlinearity with parameters; an input of the wrong size.
    """

    def __init__(
        self,
        bandlimit: int,
        orders: int | None = None,
        oversample: float = 1.5,
        nonlinearity: Nonlinearity = torch.relu,
        *,
        to: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.bandlimit, self.orders = check_bandlimit(bandlimit, orders)
        self.to_bandlimit, self.to_orders = check_bandlimit(*to) if to else (self.bandlimit, self.orders)
        self.oversample, self.nonlinearity = check_oversample(oversample), nonlinearity
        if not callable(nonlinearity):
            raise ValueError(f"expected a function such as torch.relu as nonlinearity, got {nonlinearity!r}")
        if isinstance(nonlinearity, nn.Module) and any(True for _ in nonlinearity.parameters()):
            raise ValueError(
                f"expected a nonlinearity without parameters, got {nonlinearity}: its gradient is not kept"
            )

    def extra_repr(self) -> str:
        name = getattr(self.nonlinearity, "__name__", self.nonlinearity)
        return (
            f"bandlimit={self.bandlimit}, orders={self.orders}, oversample={self.oversample}, "
            f"nonlinearity={name}, to=({self.to_bandlimit}, {self.to_orders})"
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """The grid, (n_beta, n_alpha, n_gamma)."""
        larger = max(self.bandlimit, self.to_bandlimit), max(self.orders, self.to_orders)
        return grid_shape(*larger, self.oversample)

    def forward(self, coeffs: Tensor) -> Tensor:
        """Spectrum of the analysed nonlinearity."""
        size = spectrum_size(self.bandlimit, self.orders)
        check_batch(coeffs, (size,), f"a spectrum of bandlimit {self.bandlimit} and orders {self.orders}")
        out = _Activation.apply(coeffs.reshape(size, -1), self)
        return cast(Tensor, out).reshape(len(out), *coeffs.shape[1:])

    def plans(self, x: Tensor) -> tuple[so3.SO3Plan, so3.SO3Plan]:
        """The transforms before and after the nonlinearity, on one grid."""
        return (
            so3.plan(self.bandlimit, self.orders, self.shape, x.dtype, x.device),
            so3.plan(self.to_bandlimit, self.to_orders, self.shape, x.dtype, x.device),
        )


class _Activation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, coeffs: Tensor, layer: SO3Activation) -> Tensor:
        before, after = layer.plans(coeffs)
        relu, signs = _is_relu(layer.nonlinearity), list[Tensor]()

        def act(signal: Tensor) -> Tensor:
            if relu and ctx.needs_input_grad[0]:
                signs.append(signal > 0)
            out = signal.relu_() if relu else layer.nonlinearity(signal.clone())  # which may keep what it is given
            if out.shape != signal.shape:
                raise ValueError(
                    f"expected a nonlinearity that acts on every number by itself, got shape {tuple(out.shape)} "
                    f"from {tuple(signal.shape)}"
                )
            return out

        out = coeffs.new_empty(spectrum_size(layer.to_bandlimit, layer.to_orders), coeffs.shape[1])
        for columns in _columns(coeffs.shape[1]):
            out[:, columns] = _through(before, after, coeffs[:, columns], act, weighted=(False, True))
        check_finite(out[0])
        ctx.layer, ctx.signs = layer, signs
        ctx.save_for_backward(*(() if relu else (coeffs,)))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        before, after = ctx.layer.plans(gradient)
        out = gradient.new_empty(spectrum_size(before.bandlimit, before.orders), gradient.shape[1])
        slopes = iter(ctx.signs)
        for columns in _columns(gradient.shape[1]):
            if ctx.saved_tensors:
                parts = before.parts(ctx.saved_tensors[0][:, columns], weighted=False)
                signals = (signal for part in parts for signal in _hemispheres(*part))
                pull = _derivative(ctx.layer.nonlinearity, signals)
            else:
                pull = lambda g: g.mul_(next(slopes))  # noqa: E731
            out[:, columns] = _through(after, before, gradient[:, columns], pull, weighted=(True, False))
            if ctx.saved_tensors:
                assert next(signals, None) is None, "every signal has been used, and the room for them is free again"
        return out, None


def _through(
    before: so3.SO3Plan, after: so3.SO3Plan, coeffs: Tensor, act: Nonlinearity, weighted: tuple[bool, bool]
) -> Tensor:
    """Spectrum to spectrum through the grid, a block of β and its mirror image at a time."""
    hemispheres = (_hemispheres(*parts) for parts in before.parts(coeffs, weighted[0]))
    return after.collect(((act(north), act(south)) for north, south in hemispheres), weighted[1], like=coeffs)


def _hemispheres(even: Tensor, odd: Tensor) -> tuple[Tensor, Tensor]:
    return even + odd, torch.sub(even, odd, out=odd)


def _derivative(nonlinearity: Nonlinearity, signals: Iterator[Tensor]) -> Nonlinearity:
    """Derivative of the nonlinearity at the signals that come one after the other, times what it is given."""

    def pull(gradient: Tensor) -> Tensor:
        at = next(signals).detach().requires_grad_()
        with torch.enable_grad():
            return torch.autograd.grad(nonlinearity(at.clone()), at, gradient)[0]  # it may work in place

    return pull


def _columns(batch: int) -> list[slice]:
    return [slice(start, min(start + COLUMNS, batch)) for start in range(0, batch, COLUMNS)]


def _is_relu(nonlinearity: Nonlinearity) -> bool:
    return nonlinearity in (torch.relu, nn.functional.relu, Tensor.relu) or isinstance(nonlinearity, nn.ReLU)

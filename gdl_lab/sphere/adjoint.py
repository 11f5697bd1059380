r"""Analysis and synthesis for autograd: each is linear, and the adjoint of one is the other with the same weights.

With D the matrix of synthesis and W the diagonal matrix of quadrature weights, analysis is A = DᵀW. A plan offers both
with weights and without, A = DᵀW and Dᵀ, D and WD, so every derivative of a transform is a transform again.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

__all__ = ["Analysis", "Plan", "Synthesis"]


class Plan(Protocol):
    """The tables of a transform on one grid, in one dtype and on one device."""

    def analyse(self, signal: Tensor, weighted: bool) -> Tensor:
        """Dᵀ or DᵀW of a signal (*grid, batch): spectrum (size, batch)."""

    def synthesise(self, coeffs: Tensor, weighted: bool) -> Tensor:
        """D or WD of a spectrum (size, batch): signal (*grid, batch)."""


class Analysis(torch.autograd.Function):
    """``Analysis.apply(signal, plan, weighted)``."""

    @staticmethod
    def forward(signal: Tensor, plan: Plan, weighted: bool) -> Tensor:
        return plan.analyse(signal, weighted)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        _, ctx.plan, ctx.weighted = inputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return Synthesis.apply(gradient, ctx.plan, ctx.weighted), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        return Analysis.apply(tangent, ctx.plan, ctx.weighted)

    @staticmethod
    def vmap(info: Any, in_dims: tuple, signal: Tensor, plan: Plan, weighted: bool) -> tuple[Tensor, int]:
        return _batched(Analysis, signal, in_dims[0], plan, weighted)


class Synthesis(torch.autograd.Function):
    """``Synthesis.apply(coeffs, plan, weighted)``."""

    @staticmethod
    def forward(coeffs: Tensor, plan: Plan, weighted: bool) -> Tensor:
        return plan.synthesise(coeffs, weighted)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        _, ctx.plan, ctx.weighted = inputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return Analysis.apply(gradient, ctx.plan, ctx.weighted), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        return Synthesis.apply(tangent, ctx.plan, ctx.weighted)

    @staticmethod
    def vmap(info: Any, in_dims: tuple, coeffs: Tensor, plan: Plan, weighted: bool) -> tuple[Tensor, int]:
        return _batched(Synthesis, coeffs, in_dims[0], plan, weighted)


def _batched(
    transform: type[torch.autograd.Function], x: Tensor, dim: int, plan: Plan, weighted: bool
) -> tuple[Tensor, int]:
    """A mapped axis is one more batch axis."""
    x = x.movedim(dim, -1)
    out = transform.apply(x.flatten(-2), plan, weighted)
    return out.unflatten(-1, x.shape[-2:]), out.ndim

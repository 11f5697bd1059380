"""Vectors of ℝ³ in PyTorch, derivatives of a function on it, and when a number counts as zero."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Function", "check_points", "derivatives", "dot", "length", "shortest_rotation", "tiny", "tolerance", "unit"]

Function = Callable[[Tensor], Tensor]


def derivatives(F: Function, x: Tensor) -> tuple[Tensor, Function]:
    """∇F, and the Hessian as a map v ↦ Hv, one backward pass each."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        g = torch.autograd.grad(F(x).sum(), x, create_graph=True)[0]

    def hessian(v: Tensor) -> Tensor:
        # where F is linear, its gradient has no graph
        return torch.autograd.grad(g, x, v, retain_graph=True)[0] if g.requires_grad else torch.zeros_like(v)

    return g.detach(), hessian


def shortest_rotation(n: Tensor) -> Tensor:
    """The images of the x- and y-axes under the shortest rotation of the z-axis to unit vectors n, ``(…, 2, 3)``."""
    x, y, z = n.unbind(-1)
    x = torch.where(x.square() + y.square() < 1e-30, torch.full_like(x, 1e-15), x)  # a choice where n = −z
    # 1/(1 + z) = (1 − z)/(x² + y²), the one or the other without cancellation
    share = torch.where(z > 0, 1 / (1 + z.clamp_min(0)), (1 - z) / (x.square() + y.square()))
    rows = [1 - x * x * share, -x * y * share, -x, -x * y * share, 1 - y * y * share, -y]
    return torch.stack(rows, -1).unflatten(-1, (2, 3))


def dot(a: Tensor, b: Tensor) -> Tensor:
    """a·b, shape ``(…, 1)``."""
    return (a * b).sum(-1, keepdim=True)


def length(v: Tensor) -> Tensor:
    """|v|, shape ``(…, 1)``; `torch.linalg.vector_norm` is slow where components lie far apart in memory."""
    return dot(v, v).sqrt()


def unit(v: Tensor) -> Tensor:
    """v/|v|, and zero for zero."""
    return v / length(v).clamp_min(tiny(v))


def tiny(x: Tensor) -> float:
    """The smallest positive number of the dtype, to divide by instead of zero."""
    return torch.finfo(x.dtype).tiny


def tolerance(x: Tensor) -> float:
    """How far off counts as on: the root of the rounding error, in units of the largest coordinate."""
    return torch.finfo(x.dtype).eps ** 0.5 * max(1.0, float(x.abs().max()))


def check_points(x: Tensor) -> None:
    """Raises `ValueError` for anything but finite floating-point points ``(…, 3)``, at least one."""
    if x.shape[-1:] != (3,) or x.numel() == 0 or not x.is_floating_point():
        raise ValueError(f"expected points of shape (…, 3), at least one, got {x.dtype} of shape {tuple(x.shape)}")
    if not bool(x.isfinite().all()):
        raise ValueError(f"expected finite points, got {int((~x.isfinite()).sum())} entries NaN or infinite")

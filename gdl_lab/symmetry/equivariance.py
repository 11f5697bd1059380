r"""One number for every chapter that follows: how far a map is from f(ρ(g)x) = σ(g)f(x)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

__all__ = ["equivariance_error", "trivial"]

G = TypeVar("G")


def trivial(g: Any, y: Tensor) -> Tensor:
    """σ(g)y = y, which makes an equivariant map an invariant one."""
    return y


@torch.no_grad()
def equivariance_error(
    f: Callable[[Any], Tensor],
    group: Iterable[G],
    rho_in: Callable[[G, Any], Any],
    rho_out: Callable[[G, Tensor], Tensor],
    x: Any,
    *,
    reduce: Literal["max", "mean"] = "max",
) -> float:
    r"""‖f(ρ(g)x) − σ(g)f(x)‖ / ‖f(x)‖, the largest or the mean over elements of a group; 0 means equivariant.

    >>> equivariance_error(torch.relu, C4, C4.on_pictures, C4.on_pictures, torch.randn(2, 1, 8, 8))
    0.0

    Args:
        f: the map; what it takes is x, and what it gives is a tensor.
        group: the elements, all of them or a sample: a `PlaneGroup`, permutations, matrices.
        rho_in: ``rho_in(g, x)`` moves an input.
        rho_out: ``rho_out(g, y)`` moves an output; `trivial` asks for invariance.
        x: an input or a batch of inputs, over which the norms are taken together.
        reduce: ``"max"`` or ``"mean"`` over the elements.

    Raises:
        ValueError: no elements, another ``reduce``, outputs that vanish or are not finite, or whose shapes differ, as
            those of a map with strides may.

    Source: Gerken, "Symmetric learning problems", with ρ in place of the slide's ρ⁻¹.
    """
    if reduce not in ("max", "mean"):
        raise ValueError(f"expected reduce='max' or 'mean', got {reduce!r}")
    y = f(x)
    size = float(y.norm())
    if not 0 < size < math.inf:
        raise ValueError(f"a relative error needs an output that is finite and not zero, got one of norm {size}")
    errors = []
    for g in group:
        before, after = f(rho_in(g, x)), rho_out(g, y)
        if before.shape != after.shape:
            raise ValueError(f"f(ρ(g)x) has the shape {tuple(before.shape)} and σ(g)f(x) {tuple(after.shape)}")
        errors.append(float((before - after).norm()) / size)
    if not all(map(math.isfinite, errors)):
        raise ValueError("f(ρ(g)x) or σ(g)f(x) is not finite for some g")
    if not errors:
        raise ValueError("expected at least one element of the group, got none")
    return max(errors) if reduce == "max" else sum(errors) / len(errors)

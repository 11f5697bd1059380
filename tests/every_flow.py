"""One flow of every kind for the tests, moved away from the identity, and the Jacobian that autograd finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import jacrev, vmap

from gdl_lab.flows import AffineCoupling, Flow, Glow, RealNVP, SplineCoupling

EXACT = 1e-10


def cloud(n: int, dim: int, rng: torch.Generator) -> Tensor:
    """Correlated data with a mean and standard deviations from 0.3 to 3 along random axes, float64."""
    axes = torch.linalg.qr(torch.randn(dim, dim, generator=rng, dtype=torch.float64)).Q
    scales = torch.linspace(0.3, 3, dim, dtype=torch.float64)
    return torch.randn(n, dim, generator=rng, dtype=torch.float64) * scales @ axes + 3


FLOWS: dict[str, Callable[[torch.Generator], Flow]] = {
    "affine coupling": lambda rng: AffineCoupling(5, (7, 6)),
    "affine coupling, swapped": lambda rng: AffineCoupling(5, (7,), swap=True),
    "spline coupling": lambda rng: SplineCoupling(5, (7,)),
    "spline coupling, swapped": lambda rng: SplineCoupling(4, (7,), swap=True, bins=5, bound=2.0),
    "RealNVP": lambda rng: RealNVP(6, 4, (9, 8)),
    "RealNVP, odd dimension": lambda rng: RealNVP(3, 5, (8,)),
    "RealNVP, splines": lambda rng: RealNVP(5, 4, (8, 8), coupling="spline"),
    "RealNVP, whitened": lambda rng: RealNVP(6, 4, (8,)).double().fit_whitening(cloud(90, 6, rng), 2),
    "RealNVP, principal": lambda rng: RealNVP(7, 4, (8,), principal=3).double().fit_whitening(cloud(90, 7, rng), 5),
    "RealNVP, uniform base": lambda rng: RealNVP(4, 3, (8,), base="uniform"),
    "Glow, one level": lambda rng: Glow((1, 4, 2), steps=2, levels=1, hidden=6),
    "Glow, two levels": lambda rng: Glow((3, 4, 4), steps=3, levels=2, hidden=6),
    "Glow, three levels": lambda rng: Glow((1, 8, 8), steps=1, levels=3, hidden=4),
}
each_flow = pytest.mark.parametrize("name", FLOWS)


def randomised(flow: Any, rng: torch.Generator, size: float = 0.3) -> Any:
    """The flow in float64 with every parameter moved away from where it starts."""
    flow = flow.double()
    with torch.no_grad():
        for p in flow.parameters():
            step = torch.randn(p.shape, generator=rng, dtype=p.dtype)
            p.add_(size * step / max(1, p[..., 0].numel() if p.ndim < 3 else p[0].numel()) ** 0.5)
    return flow


def base_points(flow: Flow, n: int, rng: torch.Generator) -> Tensor:
    return torch.randn(n, flow.dim, generator=rng, dtype=torch.float64)


def by_autograd(flow: Flow, z: Tensor) -> Tensor:
    """∂x/∂z point by point, ``(batch, D, D)``."""
    return vmap(jacrev(lambda one: flow.push(one[None]).flatten()))(z)

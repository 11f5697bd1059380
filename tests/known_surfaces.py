"""Surfaces for the tests with charts of their own, and what is known of them without geodesics."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gdl_lab.bundles import Sphere, Surface, bumpy_ball, components, ellipsoid, torus

TAU = 2 * math.pi


def on_rays(surface: Surface, d: Tensor) -> Tensor:
    """Where rays from the origin leave the surface, by bisection and with no derivative of F."""
    low, high = torch.full_like(d[..., :1], 0.2), torch.full_like(d[..., :1], 2.0)
    for _ in range(60):
        middle = (low + high) / 2
        inside = surface.F(middle * d)[..., None] < 0
        low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
    return low * d


def of_torus(u: Tensor) -> Tensor:
    """Angles along and around the tube."""
    rho = 2 + 0.8 * u[..., 1].cos()
    return torch.stack([rho * u[..., 0].cos(), rho * u[..., 0].sin(), 0.8 * u[..., 1].sin()], -1)


class Known(NamedTuple):
    """A surface, random points on it, and a rotation that takes it to itself."""

    surface: Surface
    points: Callable[[int, torch.Generator], Tensor]
    symmetry: Tensor


def about_z(angle: float) -> Tensor:
    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]], dtype=torch.float64)


def _seen_from_the_origin(surface: Surface, angle: float) -> Known:
    def points(n: int, rng: torch.Generator) -> Tensor:
        d = torch.randn(n, 3, generator=rng, dtype=torch.float64)
        return on_rays(surface, d / d.norm(dim=-1, keepdim=True))

    return Known(surface, points, about_z(angle))


SURFACES = {
    "sphere": _seen_from_the_origin(Sphere(), 0.7),
    "ellipsoid": _seen_from_the_origin(ellipsoid(), math.pi),
    "torus": Known(
        torus(), lambda n, rng: of_torus(TAU * torch.rand(n, 2, generator=rng, dtype=torch.float64)), about_z(0.7)
    ),
    "bumpy ball": _seen_from_the_origin(bumpy_ball(), math.pi),
}


def tangents(known: Known, x: Tensor, length: float, rng: torch.Generator) -> Tensor:
    angle = TAU * torch.rand(x.shape[0], generator=rng, dtype=x.dtype)
    return length * known.surface.frame(x, angle)[:, 0]


def field(q: Tensor, frame: Tensor) -> Tensor:
    """A section with a scalar and a vector channel, given by functions on ℝ³."""
    x, y, z = q.unbind(-1)
    scalar = (0.5 * x - 0.3 * y).exp() * (2 * z + x).cos()
    wind = torch.stack([(2 * y).sin(), (2 * z).cos(), x * y], -1)
    return torch.stack([scalar + 0j, components(wind, frame)], -1)

"""Points drawn on manifolds of known dimension, uniform in length, area or volume."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["CHARTS", "Chart", "affine", "flat_copy", "orbit", "sphere", "swiss_roll", "torus"]

TURNS = (1.5 * math.pi, 4.5 * math.pi)  # angles between which the Swiss roll is rolled up
TUBE = 0.4  # radius of the torus' tube; its circle has radius 1


@dataclass(frozen=True)
class Chart:
    """A map from the unit square to a manifold in ℝ³ that takes equal areas to equal volumes.

    Attributes:
        dimension: of the manifold; a curve uses the first coordinate only.
        place: (u, v) of shape ``(n, 2)``, in [0, 1], to points of shape ``(n, 3)``.
    """

    dimension: int
    place: Callable[[Tensor], Tensor]


def sphere(
    n: int, d: int = 2, *, ambient: int | None = None, noise: float = 0.0, generator: torch.Generator | None = None
) -> Tensor:
    """Points on the unit sphere of dimension d; see `affine` for the arguments. By default in ℝ^(d+1)."""
    points = F.normalize(torch.randn(n, d + 1, dtype=torch.float64, generator=generator))
    return _embed(points, ambient, noise, generator)


def torus(
    n: int, *, ambient: int | None = None, noise: float = 0.0, generator: torch.Generator | None = None
) -> Tensor:
    """Points on the torus of radii 1 and 0.4, dimension 2; see `affine` for the arguments. By default in ℝ³."""
    return _embed(CHARTS["torus"].place(_unit_square(n, generator)), ambient, noise, generator)


def swiss_roll(
    n: int, *, ambient: int | None = None, noise: float = 0.0, generator: torch.Generator | None = None
) -> Tensor:
    """Points on a rectangle, rolled up with gaps of 0.44: dimension 2; see `affine`. By default in ℝ³."""
    return _embed(CHARTS["Swiss roll"].place(_unit_square(n, generator)), ambient, noise, generator)


def affine(
    n: int, d: int = 2, *, ambient: int | None = None, noise: float = 0.0, generator: torch.Generator | None = None
) -> Tensor:
    """Points with a standard normal distribution on a flat space of dimension d.

    Args:
        n: number of points.
        d: dimension of the manifold.
        ambient: dimension D of the space that it is put into, turned at random; by default no larger than needed.
        noise: standard deviation of a normal displacement in each of the D directions.
        generator: of the random numbers.

    Returns:
        Shape ``(n, D)``, float64.

    Raises:
        ValueError: the ambient space is too small, or the noise is negative.
    """
    return _embed(torch.randn(n, d, dtype=torch.float64, generator=generator), ambient, noise, generator)


def flat_copy(x: Tensor, n: int, *, generator: torch.Generator | None = None) -> Tensor:
    """Points with the normal distribution that has the mean and the covariance of a data set.

    Principal components cannot tell the two apart; what else can is not in the covariance.

    Args:
        x: points, shape ``(m, D)``.
        n: number of points to draw.
        generator: of the random numbers.

    Returns:
        Shape ``(n, D)``, dtype and device of x.
    """
    points = x.cpu().double()
    variances, axes = torch.linalg.eigh(torch.cov(points.T))
    normal = torch.randn(n, len(axes), dtype=torch.float64, generator=generator)
    return (points.mean(0) + (normal * variances.clamp(min=0).sqrt()) @ axes.T).to(x)


def orbit(picture: Tensor, angles: Tensor) -> Tensor:
    """A picture, turned about its middle: a closed curve in the space of pictures, dimension 1.

    Args:
        picture: shape ``(height, width)``; bilinear between pixels, zero outside.
        angles: radians, shape ``(n,)``.

    Returns:
        Shape ``(n, height * width)``.
    """
    c, s, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    turn = torch.stack([torch.stack([c, -s, zero], 1), torch.stack([s, c, zero], 1)], 1).to(picture)
    stack = picture.expand(len(angles), 1, *picture.shape)
    grid = F.affine_grid(turn, list(stack.shape), align_corners=False)
    return F.grid_sample(stack, grid, align_corners=False).flatten(1)


def _helix(uv: Tensor) -> Tensor:
    angle = 6 * math.pi * uv[:, 0]
    return torch.stack([angle.cos(), angle.sin(), 2 * uv[:, 0] - 1], 1)


def _square(uv: Tensor) -> Tensor:
    return torch.cat([2 * uv - 1, torch.zeros_like(uv[:, :1])], 1)


def _sphere(uv: Tensor) -> Tensor:
    """Archimedes: a zone of the sphere has the area of the zone of its cylinder, so height is uniform."""
    z, angle = 2 * uv[:, 0] - 1, 2 * math.pi * uv[:, 1]
    width = (1 - z.square()).clamp(min=0).sqrt()
    return torch.stack([width * angle.cos(), width * angle.sin(), z], 1)


def _torus(uv: Tensor) -> Tensor:
    """Area grows like 1 + ρ cos θ around the tube, so θ + ρ sin θ is uniform: Kepler's equation, by Newton's method."""
    wanted, phi = 2 * math.pi * uv[:, 0], 2 * math.pi * uv[:, 1]
    theta = wanted
    for _ in range(8):
        theta = theta - (theta + TUBE * theta.sin() - wanted) / (1 + TUBE * theta.cos())
    out = 1 + TUBE * theta.cos()
    return torch.stack([out * phi.cos(), out * phi.sin(), TUBE * theta.sin()], 1)


def _swiss_roll(uv: Tensor) -> Tensor:
    """Uniform in arc length s(t) = ½(t√(1+t²) + asinh t) of the spiral t ↦ t(cos t, sin t), inverted by Newton."""
    low, high = (0.5 * (t * math.hypot(1, t) + math.asinh(t)) for t in TURNS)
    wanted = low + (high - low) * uv[:, 0]
    t = (2 * wanted).sqrt()
    for _ in range(6):
        root = (1 + t.square()).sqrt()
        t = t - (0.5 * (t * root + t.asinh()) - wanted) / root
    return torch.stack([t * t.cos() / TURNS[1], 1.5 * uv[:, 1] - 0.75, t * t.sin() / TURNS[1]], 1)


CHARTS = {
    "helix": Chart(1, _helix),
    "square": Chart(2, _square),
    "sphere": Chart(2, _sphere),
    "torus": Chart(2, _torus),
    "Swiss roll": Chart(2, _swiss_roll),
}


def _unit_square(n: int, generator: torch.Generator | None) -> Tensor:
    return torch.rand(n, 2, dtype=torch.float64, generator=generator)


def _embed(points: Tensor, ambient: int | None, noise: float, generator: torch.Generator | None) -> Tensor:
    least = points.shape[1]
    dim = least if ambient is None else ambient
    if dim < least:
        raise ValueError(f"expected an ambient space of dimension {least} or more, got {dim}")
    if not 0 <= noise < math.inf:
        raise ValueError(f"noise is a standard deviation, finite and at least 0, got {noise}")
    if dim > least:
        frame = torch.linalg.qr(torch.randn(dim, least, dtype=torch.float64, generator=generator)).Q
        points = points @ frame.T
    return points + noise * torch.randn(points.shape, dtype=torch.float64, generator=generator)

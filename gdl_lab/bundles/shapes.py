"""Surfaces to work on, points spread over them, and integrals over their charts."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from gdl_lab.bundles.ambient import Function, check_points, derivatives, dot, length, tolerance, unit
from gdl_lab.bundles.surface import Exp, Surface

__all__ = ["Sphere", "bumpy_ball", "ellipsoid", "integrate", "spread", "torus"]


class Sphere(Surface):
    """The sphere about the origin, all in closed form: exp, log and K have no error but rounding.

    Raises:
        ValueError: a radius that is not positive.
    """

    def __init__(self, radius: float = 1.0) -> None:
        if not radius > 0:
            raise ValueError(f"expected a positive radius, got {radius}")
        super().__init__(lambda x: (x.square().sum(-1) - radius**2) / (2 * radius))
        self.radius = radius

    def project(self, x: Tensor, *, steps: int = 1) -> Tensor:
        check_points(x)
        if bool((x == 0).all(-1).any()):
            raise ValueError("the centre is as near to every point of the sphere: start from another point")
        return self.radius * unit(x)

    def exp(self, x: Tensor, X: Tensor, frame: Tensor | None = None, steps: int = 1) -> Exp:
        return super().exp(x, X, frame, 1)

    def log(self, x: Tensor, y: Tensor, steps: int = 1) -> Tensor:
        self._check_on(y)
        across = self.tangent(x, y)
        angle = torch.atan2(length(across), dot(x, y) / self.radius)
        if bool((angle > math.pi - tolerance(x)).any()):
            raise ValueError("opposite points are joined by many geodesics: expected pairs that one joins")
        return self.radius * angle * unit(across)

    def curvature(self, x: Tensor) -> Tensor:
        self._check_on(x)
        return torch.full_like(x[..., 0], self.radius**-2)

    def _gradient(self, x: Tensor) -> Tensor:
        return x / self.radius

    def _march(self, x: Tensor, X: Tensor, steps: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        speed, u = length(X), unit(X)
        for k in range(1, steps + 1):
            phi = speed / self.radius * k / steps
            x_t = x * phi.cos() + self.radius * u * phi.sin()
            v_t = speed * (u * phi.cos() - x / self.radius * phi.sin())
            yield x_t, v_t, k / steps * torch.sinc(phi / math.pi)[:, 0]

    def _nearer(self, x: Tensor) -> Tensor:
        return self.radius * unit(x)


def torus(R: float = 2.0, r: float = 0.8) -> Surface:
    """A circle of radius r about every point of a circle of radius R > r in the plane z = 0."""
    if not R > r > 0:
        raise ValueError(f"expected R > r > 0, got R={R}, r={r}")
    return Surface(lambda x: ((x[..., 0] ** 2 + x[..., 1] ** 2).sqrt() - R) ** 2 + x[..., 2] ** 2 - r**2)


def ellipsoid(a: float = 1.0, b: float = 1.3, c: float = 0.7) -> Surface:
    """The ellipsoid with half-axes a, b and c."""
    if not min(a, b, c) > 0:
        raise ValueError(f"expected positive half-axes, got {a}, {b}, {c}")
    return Surface(lambda x: (x[..., 0] / a) ** 2 + (x[..., 1] / b) ** 2 + (x[..., 2] / c) ** 2 - 1)


def bumpy_ball(height: float = 0.15) -> Surface:
    """The unit sphere with bumps and dents, seen whole from the origin; of its turns half a one about z is left."""
    if not 0 <= height <= 0.2:
        raise ValueError(f"expected a height between 0 and 0.2, got {height}")

    def bumps(x: Tensor) -> Tensor:
        return torch.sin(4 * x[..., 0]) * torch.sin(3 * x[..., 1]) * torch.cos(3 * x[..., 2])

    return Surface(lambda x: x.square().sum(-1) - 1 - height * bumps(x))


@torch.no_grad()
def spread(surface: Surface, n: int, *, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """n points on a surface that is seen whole from the origin, and the area that each stands for.

    In the directions of a Fibonacci lattice, which divides the sphere into n nearly equal parts: the point of the
    direction d at the distance r stands for r²/(n·d) · 4π/n.

    Returns:
        Points ``(n, 3)`` and areas ``(n,)``.

    Raises:
        ValueError: an n below one; a surface that some direction does not meet.
    """
    if n < 1:
        raise ValueError(f"expected at least one point, got {n}")
    k = torch.arange(n, dtype=torch.float64) + 0.5
    z, phi = 1 - 2 * k / n, math.pi * (3 - 5**0.5) * k
    s = (1 - z**2).sqrt()
    d = torch.stack([s * phi.cos(), s * phi.sin(), z], -1)
    r = torch.ones(n, 1, dtype=torch.float64)
    for _ in range(20):
        g, _ = derivatives(surface.F, r * d)
        r = r - surface.F(r * d)[:, None] / dot(g, d)
    x = r * d
    if not bool((surface._distance(x) <= tolerance(x)).all() and (r > 0).all()):
        raise ValueError(
            "some direction from the origin does not meet the surface: spread needs one seen whole from it"
        )
    area = (r.square() / dot(surface._normal(x), d))[:, 0] * 4 * math.pi / n
    return x.to(dtype), area.to(dtype)


def integrate(
    f: Function, chart: Function, low: tuple[float, float], high: tuple[float, float], nodes: int = 64
) -> float:
    """∫ f dA over the image of a rectangle by Gauss–Legendre quadrature, in float64.

    Args:
        f: ``(…, 3)`` → ``(…,)``, such as ``surface.curvature``.
        chart: smooth and one-to-one, ``(…, 2)`` → ``(…, 3)``.
        low, high: two opposite corners of the rectangle.
        nodes: along each side.
    """
    t, w = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(nodes))
    a, b = torch.tensor(low, dtype=torch.float64), torch.tensor(high, dtype=torch.float64)
    u = (a + b) / 2 + (b - a) / 2 * torch.cartesian_prod(t, t)
    d = torch.func.vmap(torch.func.jacfwd(chart))(u)  # ∂x/∂u, shape (nodes², 3, 2)
    area = (
        torch.linalg.cross(d[..., 0], d[..., 1]).norm(dim=-1)
        * torch.cartesian_prod(w, w).prod(-1)
        * (b - a).prod().abs()
        / 4
    )
    return float((f(chart(u)) * area).sum())

r"""Where a convolution looks: the points exp_x X around each x, their weights and the angles of parallel transport.

The geometry of the talk's integral, without parameters: computed once for a surface, whatever is trained on it. A
*section* is a function of points ``(…, 3)`` and frames there ``(…, 2, 3)`` that gives coefficients in these frames,
``(…, channels)`` and complex; a *gauge* is a function of points that gives frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gdl_lab.bundles.gauge import angle_between, components, turn
from gdl_lab.bundles.surface import Surface

__all__ = ["Gauge", "Neighbours", "Section", "Stencil"]

Section = Callable[[Tensor, Tensor], Tensor]
Gauge = Callable[[Tensor], Tensor]


class Stencil:
    r"""Discs around points, for fields that are known everywhere.

    Polar quadrature in the tangent plane, radial × rays: Gauss–Legendre in r, where it decides how exact the integral
    is, and equal steps in θ, where it decides how well turned frames give turned results.

    Args:
        surface: where the points lie.
        x: points, shape ``(n, 3)``.
        frame: the frames of the output, shape ``(n, 2, 3)``; ``None`` takes those of the gauge.
        radius: of the discs, less than the injectivity radius.
        radial: nodes along each ray.
        rays: angles.
        gauge: the frames of the input; ``None`` takes ``surface.frame``.
        transport: ``False`` compares coefficients at different points as if that meant something.
        steps: Runge–Kutta steps a geodesic.

    Attributes:
        q: the points exp_x X, shape ``(n, k, 3)`` with k = radial·rays.
        gauge_at_q: frames of the input there, shape ``(n, k, 2, 3)``.
        r, theta: polar coordinates of X in the frames of the output, shape ``(1, k)``.
        weight: √det g · r dr dθ, shape ``(n, k)``.
        angle: the frame of x, carried to q, is the input's turned by this, shape ``(n, k)``.

    Raises:
        ValueError: as `Surface.exp`; sizes that are not positive; a radius beyond the injectivity radius.
    """

    index: Tensor | None = None
    q: Tensor
    gauge_at_q: Tensor
    r: Tensor
    theta: Tensor
    weight: Tensor
    angle: Tensor
    _arguments: dict[str, Any]

    def __init__(
        self,
        surface: Surface,
        x: Tensor,
        frame: Tensor | None = None,
        radius: float = 0.5,
        radial: int = 6,
        rays: int = 24,
        *,
        gauge: Gauge | None = None,
        transport: bool = True,
        steps: int = 8,
    ) -> None:
        if not (radius > 0 and radial > 0 and rays > 0):
            raise ValueError(f"expected a positive radius, radial and rays, got {radius}, {radial}, {rays}")
        frame = self._begin(
            surface, x, frame, radius, gauge, transport=transport, steps=steps, radial=radial, rays=rays
        )
        nodes, weights = (torch.from_numpy(a).to(x) * radius / 2 for a in np.polynomial.legendre.leggauss(radial))
        r = nodes + radius / 2
        theta = 2 * math.pi * torch.arange(rays, dtype=x.dtype, device=x.device) / rays  # float32 unless it is told
        directions = turn(frame[:, None], theta)[:, :, 0]
        X = torch.cat([r, r.new_tensor([radius])])[:, None, None] * directions[:, None]  # the last is the rim
        q, carried, sqrt_det = surface.exp(x[:, None, None], X, frame[:, None, None], steps)
        _check_injective(q.flatten(0, 1), carried.flatten(0, 1), sqrt_det, radius)
        self.q, carried, sqrt_det = q[:, :-1].flatten(1, 2), carried[:, :-1].flatten(1, 2), sqrt_det[:, :-1]
        self.weight = ((weights * r)[:, None] * (2 * math.pi / rays) * sqrt_det).flatten(1)
        self.gauge_at_q = self.gauge(self.q)
        self.angle = angle_between(self.gauge_at_q, carried) if transport else torch.zeros_like(self.weight)
        self.r, self.theta = r.repeat_interleave(rays)[None], theta.repeat(radial)[None]

    def sample(self, section: Section) -> Tensor:
        """Coefficients of a section in the frames of the input, shape ``(n, k, channels)``."""
        return section(self.q, self.gauge_at_q)

    def retake(self, **changes: Any) -> Stencil:
        """The same stencil computed anew with another ``x``, ``frame``, ``gauge`` or ``transport``."""
        return type(self)(**self._arguments | changes)

    def _begin(
        self, surface: Surface, x: Tensor, frame: Tensor | None, radius: float, gauge: Gauge | None, **others: Any
    ) -> Tensor:
        """Keeps the arguments, for `retake`, and returns the frames."""
        if x.ndim != 2:
            raise ValueError(f"expected points of shape (n, 3), got {tuple(x.shape)}")
        self.surface, self.x, self.radius, self.gauge = surface, x, radius, gauge or surface.frame
        self.frame = self.gauge(x) if frame is None else frame
        kept = {"surface": surface, "x": x, "frame": self.frame, "radius": radius, "gauge": self.gauge}
        self._arguments = kept | others
        return self.frame


class Neighbours(Stencil):
    r"""Discs around points, for fields that are known at these points only: a stencil that layers can be stacked on.

    Instead of quadrature nodes it has the other points within the radius, found by `Surface.log`, each with the area
    that it stands for. No choice of frames is noticed at any number of points; a motion of the surface is, by as much
    as the points are not spread evenly.

    Args:
        areas: that each point stands for, shape ``(n,)``, such as `spread` gives.

    The other arguments and the attributes are those of `Stencil`, but r and theta have shape ``(n, k)``.

    Attributes:
        index: which points they are, shape ``(n, k)``; k is the largest number of neighbours, and those that are
            missing have weight zero.
    """

    index: Tensor

    def __init__(
        self,
        surface: Surface,
        x: Tensor,
        areas: Tensor,
        radius: float = 0.5,
        frame: Tensor | None = None,
        *,
        gauge: Gauge | None = None,
        transport: bool = True,
        steps: int = 8,
    ) -> None:
        if not radius > 0 or areas.shape != x.shape[:1]:
            raise ValueError(
                f"expected a positive radius and one area a point, got {radius} and areas {tuple(areas.shape)} for "
                f"points {tuple(x.shape)}"
            )
        frame = self._begin(surface, x, frame, radius, gauge, transport=transport, steps=steps, areas=areas)
        n = surface.normal(x)
        i, j = torch.where((torch.cdist(x, x) < radius) & (n @ n.mT > -0.5))  # a chord is shorter than the geodesic
        X = surface.log(x[i], x[j], steps)
        near = X.norm(dim=-1) < radius
        i, j, X = i[near], j[near], X[near]
        place = torch.arange(len(i), device=x.device) - torch.searchsorted(i, i)
        k = int(place.max()) + 1

        def table(values: Tensor) -> Tensor:
            rows = values.new_zeros(len(x), k, *values.shape[1:])
            rows[i, place] = values
            return rows

        at_x = self.gauge(x)
        carried = surface.exp(x[i], X, frame[i], steps).frame
        polar = components(X, frame[i])
        self.index, self.r, self.theta, self.weight = map(table, (j, polar.abs(), polar.angle(), areas[j]))
        self.angle = table(angle_between(at_x[j], carried)) * transport
        self.q, self.gauge_at_q = x, at_x


def _check_injective(circles: Tensor, frame: Tensor, sqrt_det: Tensor, radius: float) -> None:
    """Where exp_x is one-to-one on the disc, no neighbouring geodesics have met, and no circle has crossed itself."""
    beyond = f"the radius {radius:g} is beyond the injectivity radius at some points"
    if not bool((sqrt_det > 0).all()):
        raise ValueError(f"{beyond}: geodesics that left at neighbouring angles have met; take a smaller one")
    n = torch.linalg.cross(frame[..., 0, :], frame[..., 1, :])
    a, ab = circles, circles.roll(-1, 1) - circles
    rays = torch.arange(a.shape[1], device=a.device)

    left = torch.linalg.cross(n, ab)
    side = left @ a.mT - (left * a).sum(-1, keepdim=True)  # of edge i, on which point j lies
    divided = side * side.roll(-1, 2) < 0
    length = ab.norm(dim=-1)
    near = (torch.cdist(a, a) < length[:, :, None] + length[:, None]) & (n @ n.mT > 0.5)
    apart = (rays[:, None] - rays).abs()
    crossing = divided & divided.mT & near & (apart > 1) & (apart < len(rays) - 1)
    if bool(crossing.any()):
        raise ValueError(f"{beyond}: two geodesics from one point have come to the same place; take a smaller one")

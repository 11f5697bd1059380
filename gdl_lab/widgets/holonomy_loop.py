"""An arrow that is carried round a loop on a surface: how far it turns, and the curvature that the loop encloses."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
import traitlets
from torch import Tensor

from gdl_lab.bundles import Sphere, Surface, ellipsoid, integrate, torus, turn
from gdl_lab.widgets.stage import Finite, Widget, bundle

__all__ = ["LONGEST", "LOOPS", "SURFACES", "HolonomyLoop", "chart"]

SURFACES: dict[str, Surface] = {"sphere": Sphere(), "torus": torus(), "ellipsoid": ellipsoid()}
LOOPS = ("circle", "latitude", "octant")
LONGEST = {"sphere": 3.0, "torus": 1.5, "ellipsoid": 1.1}  # radii of circles
AXES = {"sphere": (1.0, 1.0, 1.0), "ellipsoid": (1.0, 1.3, 0.7)}
STEPS, STOPS = 24, 60


class Patch(NamedTuple):
    """What a loop encloses: a map of (s, w) in the unit square, and the corners of the loop there.

    Attributes:
        place: ``(…, 2)`` → ``(…, 3)``.
        corners: (s, w), joined by straight lines.
        sweep: w ↦ (∫K dA, ∫dA) over the part between 0 and w.
    """

    place: Callable[[Tensor], Tensor]
    corners: list[tuple[float, float]]
    sweep: Callable[[float], tuple[float, float]]


class HolonomyLoop(Widget):
    r"""Parallel transport round a loop turns an arrow by ∫K dA, the curvature inside, and the dial and the meter agree.

    What to try: carry the arrow round the octant of the sphere, three right angles, and it comes back turned by 90°;
    the ellipsoid's does the same, for its corners are right as well. Draw the circle larger, past the equator. On the
    torus move the circle to the inside, where K < 0, and the arrow turns against the loop. The torus's octant reaches
    from its outside to its inside: the meter fills to 90° and empties again.

    The arrow on its way is compared with one that comes by the direct way: from the base of the patch (the centre, the
    pole, the outer equator or a meridian of the torus) along the line of the fan that meets the loop there. The angle
    between them is ∫K dA over what has been swept so far, at every moment and not at the end alone.

    Args:
        settings: any trait below, such as ``surface="torus"``, ``loop="latitude"``, ``size=0.5`` (of the longest
            radius, or of 180° of latitude from the pole or from the torus's outer equator), ``longitude`` and
            ``latitude`` of the centre of a circle in degrees, or ``along=30``, of 60, for half of the way.

    Raises:
        TraitError: a setting outside its range.

    Example:
        >>> octant = HolonomyLoop(loop="octant").readout(along=60)
        >>> abs(octant["angle"] - 90) < 1e-9
        True
    """

    _esm = bundle("holonomy_loop")

    surface = traitlets.Enum(list(SURFACES), "sphere").tag(sync=True)
    loop = traitlets.Enum(LOOPS, "circle").tag(sync=True)
    size = Finite(0.3, min=0.03, max=0.97).tag(sync=True)
    longitude = Finite(20.0).tag(sync=True)
    latitude = Finite(30.0).tag(sync=True)
    along = traitlets.Int(45, min=0, max=STOPS).tag(sync=True)
    azimuth = Finite(30.0).tag(sync=True)
    elevation = Finite(30.0, min=-90.0, max=90.0).tag(sync=True)

    def __repr__(self) -> str:
        return f"HolonomyLoop({self.surface}, {self.loop})"

    def readout(self, **settings: Any) -> dict[str, float]:
        """The numbers beside the picture, by `Surface.holonomy` and quadrature in float64.

        Args:
            settings: ``surface``, ``loop``, ``size``, ``longitude``, ``latitude`` and ``along``; by default the present
                traits.

        Returns:
            ``angle`` by which the arrow has turned so far, its whole turns those of the curvature, and ``curvature``,
            ∫K dA over what has been swept, both in degrees; ``whole``, the latter once round; and ``area`` swept.
        """
        names = ("surface", "loop", "size", "longitude", "latitude", "along")
        name, loop, size, longitude, latitude, along = self.chosen(names, settings, ("azimuth", "elevation"))
        surface = SURFACES[name]
        patch = _circle(name, size, longitude, latitude) if loop == "circle" else _coordinate_patch(name, loop, size)
        corners = torch.tensor(patch.corners, dtype=torch.float64)
        t = torch.arange(2 * along + 1, dtype=torch.float64) / (2 * STOPS) * (len(corners) - 1)
        side = (t + 1e-9).floor().clamp_max(len(corners) - 2)
        k = side.long()
        walked = torch.lerp(corners[k], corners[k + 1], (t - side)[:, None])
        (s0, w0), (s, w) = walked[0].tolist(), walked[-1].tolist()
        direct = [_line(a, b) for a, b in pairwise([(s, w), (0.0, w), (0.0, w0), (s0, w0)])]
        far = float(t[-1]) if len(corners) == 2 else min(max(float(t[-1]) - 1, 0.0), 1.0)
        curvature, area = patch.sweep(far)
        turned = _holonomy(surface, surface.project(patch.place(torch.cat([walked, *direct]))))
        return {
            "angle": math.degrees(curvature + math.remainder(turned - curvature, 2 * math.pi)),
            "curvature": math.degrees(curvature),
            "whole": math.degrees(patch.sweep(1.0)[0]),
            "area": area,
        }


def chart(name: str, place: Tensor) -> Tensor:
    """The point of a surface at longitude and latitude ``(…, 2)``; that of a torus is 0 on its outer equator."""
    lon, lat = place.unbind(-1)
    if name == "torus":
        r = 2 + 0.8 * lat.cos()
        return torch.stack([r * lon.cos(), r * lon.sin(), 0.8 * lat.sin()], -1)
    a, b, c = AXES[name]
    return torch.stack([a * lat.cos() * lon.cos(), b * lat.cos() * lon.sin(), c * lat.sin()], -1)


def _coordinate_patch(name: str, loop: str, size: float) -> Patch:
    """The cap north of a circle of latitude, the band between one of the torus and its outer equator, or an octant."""
    octant, is_torus = loop == "octant", name == "torus"
    high = (math.pi if is_torus else math.pi / 2) if octant else size * math.pi

    def place(u: Tensor) -> Tensor:
        s, w = u.unbind(-1)
        if is_torus:
            lon, lat = (s * math.pi / 2, high * w) if octant else (-2 * math.pi * w, high * s)
        else:
            lon, lat = w * math.pi * (0.5 if octant else 2), math.pi / 2 - high * s
        return chart(name, torch.stack([lon, lat], -1))

    def sweep(w: float) -> tuple[float, float]:
        if w == 0:
            return 0.0, 0.0
        functions = (SURFACES[name].curvature, lambda x: torch.ones_like(x[..., 0]))
        K, area = (integrate(f, place, (0.0, 0.0), (1.0, w), nodes=32) for f in functions)
        return K, area

    around = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0), *([(0.0, 0.0)] if is_torus else [])]
    return Patch(place, around if octant else [(1.0, 0.0), (1.0, 1.0)], sweep)


def _circle(name: str, size: float, longitude: float, latitude: float) -> Patch:
    """The disc of a radius about a point; area and curvature in normal coordinates."""
    surface, radius = SURFACES[name], size * LONGEST[name]
    where = torch.tensor([longitude, latitude], dtype=torch.float64).deg2rad()
    centre = surface.project(chart(name, where))
    frame = surface.frame(centre)

    def vectors(u: Tensor) -> Tensor:
        s, w = u.unbind(-1)
        return radius * s[..., None] * turn(frame.expand(*w.shape, 2, 3), 2 * math.pi * w)[..., 0, :]

    def sweep(w: float) -> tuple[float, float]:
        nodes, weights = (torch.from_numpy(v) / 2 for v in np.polynomial.legendre.leggauss(24))
        u = torch.cartesian_prod(nodes + 0.5, w * (nodes + 0.5))
        q, _, sqrt_det = surface.exp(centre, vectors(u), steps=STEPS)
        area = torch.cartesian_prod(weights, weights).prod(-1) * w * 2 * math.pi * radius**2 * u[:, 0] * sqrt_det
        return float((surface.curvature(q) * area).sum()), float(area.sum())

    return Patch(lambda u: surface.exp(centre, vectors(u), steps=STEPS).q, [(1.0, 0.0), (1.0, 1.0)], sweep)


def _line(start: tuple[float, float], end: tuple[float, float]) -> Tensor:
    """Points after the first of a straight line in the patch, shape (24, 2)."""
    share = torch.arange(1, STEPS + 1, dtype=torch.float64)[:, None] / STEPS
    a, b = torch.tensor([start, end], dtype=torch.float64)
    return a + (b - a) * share


def _holonomy(surface: Surface, curve: Tensor) -> float:
    """The angle for the curve through the points: from the polygon and that of every other point by Richardson."""
    curve = torch.cat([curve[:-1], curve[:1]])
    fine, coarse = surface.holonomy(curve), surface.holonomy(curve[::2])
    return fine + math.remainder(fine - coarse, 2 * math.pi) / 3

"""Surfaces as one sees them, with arrows, frames and curves that may hide behind; and kernels on a tangent disc."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from matplotlib.colors import Normalize, to_rgb
from matplotlib.patches import Circle
from torch import Tensor

from gdl_lab.bundles import Surface
from gdl_lab.figures.axes import array, bare
from gdl_lab.figures.picture import Picture, picture
from gdl_lab.figures.style import Theme

__all__ = ["Scene", "kernels", "scenes"]

PIXELS = 320
PALE = 1.6  # how far the range of colours reaches beyond the values, so that arrows stand out
INK, RIM = "#14171a", "#f4f5f6"  # of arrows on colours, both the same on light and dark pages
LIGHT_FROM = (-0.35, 0.75)  # in the picture: right and up; the rest towards the eye
COLOURS = (0, 3, 4, 5)  # of arrows and curves, in the theme; the frames have 1 and 2
Values = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Scene:
    """A surface and what is drawn on it.

    Attributes:
        surface: level set, seen from ``eye``.
        arrows: name → points ``(n, 3)`` and tangent vectors ``(n, 3)``, in the lengths given.
        frames: points ``(n, 3)`` and frames ``(n, 2, 3)``, drawn as crosses: e₁ long, e₂ short.
        curves: name → points ``(m, 3)``.
        values: a function of points that colours the surface around zero; a single set of arrows is then black.
        eye: direction from which we look, not zero; up in the picture is +z.
        cross: length of e₁ of the frames.
    """

    surface: Surface
    arrows: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    frames: tuple[Tensor, Tensor] | None = None
    curves: Mapping[str, Tensor] = field(default_factory=dict)
    values: Values | None = None
    eye: Sequence[float] = (1.0, -1.4, 0.9)
    cross: float = 0.16


@dataclass(frozen=True)
class _View:
    """An orthographic look at a surface: the basis of the picture, half its side, the depth of each pixel,
    NaN where there is nothing, and the points that are seen."""

    right: np.ndarray
    up: np.ndarray
    towards: np.ndarray
    reach: float
    depth: np.ndarray
    points: Tensor

    def flat(self, x: np.ndarray) -> np.ndarray:
        return np.stack([x @ self.right, x @ self.up], -1)

    def seen(self, x: np.ndarray) -> np.ndarray:
        """Which points the surface does not hide."""
        column, row = (
            np.clip(((1 + sign * p / self.reach) / 2 * (PIXELS - 1)).round().astype(int), 0, PIXELS - 1)
            for sign, p in ((1, x @ self.right), (-1, x @ self.up))
        )
        front = self.depth[row, column]
        return np.asarray(np.isnan(front) | (x @ self.towards > front - 0.06 * self.reach))


def scenes(
    panels: Mapping[str, Scene],
    *,
    caption: str,
    alt: str,
    size: float = 3.0,
    columns: int | None = None,
) -> Picture:
    """Surfaces side by side. What lies behind is left out, of curves it is dotted.

    Args:
        panels: title → scene; one range of colours for all ``values``.

    Raises:
        ValueError: no panels, an eye that is no direction, or a surface out of its sight.
    """
    if not panels:
        raise ValueError("expected at least one panel")
    columns = columns or len(panels)
    rows, size = -(-len(panels) // columns), min(size, 9.0 / columns)
    views = {title: _look(scene) for title, scene in panels.items()}
    colours = {title: array(scene.values(views[title].points)) for title, scene in panels.items() if scene.values}
    top = max((float(np.abs(c).max()) for c in colours.values()), default=1.0) or 1.0
    names = list(dict.fromkeys(name for scene in panels.values() for name in (*scene.arrows, *scene.curves)))

    def draw(figure: Any, theme: Theme) -> None:
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        handles: dict[str, Any] = {}
        for ax in axes:
            bare(ax)
        for ax, (title, scene) in zip(axes, panels.items(), strict=False):
            view = views[title]
            _shade(ax, theme, scene, view, colours.get(title), top)
            for name, line in scene.curves.items():
                handles[name] = _curve(ax, view, array(line), theme.cycle[COLOURS[names.index(name) % len(COLOURS)]])
            if scene.frames:
                handles |= _frames(ax, theme, view, scene)
            for name, (x, v) in scene.arrows.items():
                black = scene.values is not None and len(scene.arrows) == 1
                colour = INK if black else theme.cycle[COLOURS[names.index(name) % len(COLOURS)]]
                handles[name] = _arrows(ax, view, array(x), array(v), colour)
            ax.set(xlim=(-view.reach, view.reach), ylim=(-view.reach, view.reach), aspect="equal")
            ax.set_title(title, fontsize=9)
        if len(handles) > 1:
            figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=5)

    return picture(draw, caption=caption, alt=alt, width=size * columns, height=(size + 0.15) * rows + 0.3)


def kernels(panels: Mapping[str, Callable[[Tensor], Tensor]], *, caption: str, alt: str, size: float = 1.8) -> Picture:
    """Kernels on the unit disc of the tangent plane as arrows: where a field of 1 at X takes us at the centre.

    Args:
        panels: title → κ, of complex numbers X ``(n,)`` to complex ``(n,)``.

    Raises:
        ValueError: no panels.
    """
    if not panels:
        raise ValueError("expected at least one panel")
    rings, size = {0.25: 6, 0.55: 12, 0.85: 18}, min(size, 9.0 / len(panels))
    turns = [torch.polar(torch.full((n,), r), torch.arange(n) * (2 * math.pi / n)) for r, n in rings.items()]
    X = torch.cat(turns).to(torch.complex128)
    shown = {title: array(kappa(X).resolve_conj()) for title, kappa in panels.items()}
    longest = max(float(np.abs(k).max()) for k in shown.values()) or 1.0

    def draw(figure: Any, theme: Theme) -> None:
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for ax, (title, k) in zip(axes, shown.items(), strict=True):
            bare(ax)
            ax.add_patch(Circle((0, 0), 1.08, fill=False, color=theme.grid, linewidth=1))
            ax.plot(0, 0, "+", color=theme.muted, markersize=7)
            tail, head = array(X), 0.26 * k / longest
            ax.quiver(
                tail.real, tail.imag, head.real, head.imag, pivot="mid", color=theme.cycle[0], width=0.012, **_UNITS
            )
            ax.set(xlim=(-1.12, 1.12), ylim=(-1.12, 1.12), aspect="equal")
            ax.set_title(title, fontsize=9)

    return picture(draw, caption=caption, alt=alt, width=size * len(panels), height=size + 0.3)


_UNITS: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 1}


def _look(scene: Scene) -> _View:
    eye = np.asarray(scene.eye, float)
    if eye.shape != (3,) or not 0 < np.linalg.norm(eye) < math.inf:
        raise ValueError(f"expected eye as a direction of three numbers, not all zero, got {tuple(scene.eye)}")
    towards = eye / np.linalg.norm(eye)
    right = np.cross([0.0, 0, 1], towards)
    right = right / np.linalg.norm(right) if np.linalg.norm(right) > 1e-6 else np.array([1.0, 0, 0])
    up = np.cross(towards, right)
    far = 4.0
    depth = _first(scene.surface, right, up, towards, far, 80)[0]
    v, u = np.where(~np.isnan(depth))
    if not len(v):
        raise ValueError("the surface is not in sight: expected one within a distance of 4 from the origin")
    reach = 1.06 * float(np.abs(np.concatenate([u, v]) / 79 * 2 - 1).max() + 2 / 79) * far  # one coarse pixel more
    if reach > far:
        raise ValueError("the surface reaches out of sight: expected one within a distance of 3.7 from the origin")
    depth, points = _first(scene.surface, right, up, towards, reach, PIXELS)
    return _View(right, up, towards, reach, depth, points)


def _first(
    surface: Surface, right: np.ndarray, up: np.ndarray, towards: np.ndarray, reach: float, pixels: int
) -> tuple[np.ndarray, Tensor]:
    """Depth where each pixel's ray first enters {F < 0}, NaN where it does not, and the points of those that do."""
    u, v = np.meshgrid(np.linspace(-reach, reach, pixels), np.linspace(reach, -reach, pixels))
    base = torch.from_numpy((u[..., None] * right + v[..., None] * up).reshape(-1, 3))
    eye = torch.from_numpy(towards)
    depths = torch.linspace(1.8 * reach, -1.8 * reach, 73, dtype=torch.float64).tolist()
    outside, inside = (torch.full((len(base), 1), float("nan"), dtype=torch.float64) for _ in range(2))
    with torch.no_grad():
        for before, t in pairwise(depths):
            enters = inside.isnan()[:, 0] & (surface.F(base + t * eye) < 0)
            outside[enters], inside[enters] = before, t
        for _ in range(40):
            middle = (outside + inside) / 2
            below = surface.F(base + middle * eye)[:, None] < 0
            outside, inside = torch.where(below, outside, middle), torch.where(below, middle, inside)
    hit = ~inside.isnan()[:, 0]
    return inside[:, 0].numpy().reshape(pixels, pixels), (base + inside * eye)[hit]


def _shade(ax: Any, theme: Theme, scene: Scene, view: _View, values: np.ndarray | None, top: float) -> None:
    import matplotlib

    on = ~np.isnan(view.depth)
    n = np.zeros((PIXELS, PIXELS, 3))
    n[on] = array(scene.surface.normal(view.points))
    a, b = LIGHT_FROM
    sun = a * view.right + b * view.up + math.sqrt(1 - a * a - b * b) * view.towards
    bright = 0.62 + 0.38 * np.clip(n @ sun, 0, 1)
    if values is None:
        base = np.broadcast_to(np.asarray(to_rgb("#e9edf2" if theme.name == "light" else "#4a525c")), n.shape)
    else:
        base = np.zeros_like(n)
        base[on] = matplotlib.colormaps[theme.diverging](Normalize(-PALE * top, PALE * top)(values))[..., :3]
    image = np.concatenate([bright[..., None] * base, on[..., None].astype(float)], -1)
    ax.imshow(image, extent=(-view.reach, view.reach, -view.reach, view.reach), interpolation="antialiased")
    ax.contour(
        on.astype(float)[::-1], [0.5], extent=(-view.reach, view.reach, -view.reach, view.reach),
        colors=[theme.muted], linewidths=0.8,
    )  # fmt: skip


def _curve(ax: Any, view: _View, x: np.ndarray, colour: str) -> Any:
    flat, seen = view.flat(x), view.seen(x)
    ax.plot(*flat.T, color=colour, linewidth=0.8, linestyle=":", alpha=0.7)
    (line,) = ax.plot(*np.where(seen[:, None], flat, np.nan).T, color=colour, linewidth=1.7)
    return line


def _arrows(ax: Any, view: _View, x: np.ndarray, v: np.ndarray, colour: str) -> Any:
    seen = view.seen(x)
    tail, head = view.flat(x[seen]), view.flat(v[seen])
    rim = {"edgecolor": RIM, "linewidth": 0.7} if colour == INK else {}  # for dark pages, for their swatch too
    return ax.quiver(
        *tail.T, *head.T, color=colour, width=0.009, headwidth=3.6, minshaft=1.2, zorder=3, **rim, **_UNITS
    )


def _frames(ax: Any, theme: Theme, view: _View, scene: Scene) -> dict[str, Any]:
    assert scene.frames is not None
    x, frame = (array(part) for part in scene.frames)
    seen, handles = view.seen(x), {}
    for k, (name, share) in enumerate((("e₁", 1.0), ("e₂", 0.6))):
        a, b = view.flat(x[seen]), view.flat(x[seen] + share * scene.cross * frame[seen, k])
        lines = np.stack([a, b, np.full_like(a, np.nan)], 1).reshape(-1, 2)
        (handles[name],) = ax.plot(*lines.T, color=theme.cycle[1 + k], linewidth=1.6, solid_capstyle="round", zorder=2)
    return handles

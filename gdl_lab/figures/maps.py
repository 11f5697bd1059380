"""Pictures of maps between spaces: a density pushed along the line, clouds of points and a grid that is carried along,
matrices as heat maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gdl_lab.figures.axes import array
from gdl_lab.figures.picture import Picture, picture
from gdl_lab.figures.style import Theme

__all__ = ["clouds", "matrices", "mesh", "push_forward"]


def mesh(f: Callable[[Tensor], Tensor], *, reach: float = 2.5, lines: int = 11, like: Tensor) -> list[Tensor]:
    """The lines of a square grid around 0, carried along by a map: tensors of shape ``(161, 2)``.

    Args:
        f: a map of points ``(n, 2)`` → ``(n, 2)``.
        reach: the grid covers [−reach, reach]².
        lines: so many in each direction.
        like: a tensor of the dtype and on the device that ``f`` wants.
    """
    along = torch.linspace(-reach, reach, 161).to(like)
    grid = []
    for level in torch.linspace(-reach, reach, lines).tolist():
        across = torch.full_like(along, level)
        grid += [torch.stack([along, across], 1), torch.stack([across, along], 1)]
    with torch.no_grad():
        return [moved.cpu() for moved in f(torch.cat(grid)).split(len(along))]


def clouds(
    panels: Mapping[str, Tensor],
    *,
    caption: str,
    alt: str,
    lines: Mapping[str, Sequence[Tensor]] | None = None,
    values: Mapping[str, Tensor] | None = None,
    boxes: Mapping[str, float] | float | None = None,
    size: float = 2.8,
) -> Picture:
    """Points of the plane in panels side by side, with equal axes.

    Args:
        panels: title → points ``(n, 2)``.
        lines: title → polygons ``(m, 2)`` drawn under the points, such as a `mesh`.
        values: title → numbers ``(n,)`` that colour the points, one range for all panels.
        boxes: half the side of the square that is shown, for all panels or title by title; ``None`` fits it to the
            points.
    """
    if not panels:
        raise ValueError("expected at least one panel")
    for title, points in panels.items():
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"expected points of shape (n, 2) in {title!r}, got {tuple(points.shape)}")
    shown = list((values or {}).values())
    low, high = (min(float(v.min()) for v in shown), max(float(v.max()) for v in shown)) if shown else (0.0, 1.0)

    def draw(figure: Any, theme: Theme) -> None:
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for ax, (title, points) in zip(axes, panels.items(), strict=True):
            for line in (lines or {}).get(title, ()):
                ax.plot(*array(line).T, color=theme.muted, linewidth=0.6, alpha=0.8)
            colour: dict[str, Any] = {"color": theme.cycle[0]}
            if values and title in values:
                colour = {"c": array(values[title]), "cmap": theme.sequential, "vmin": low, "vmax": high}
            ax.scatter(*array(points).T, s=5, linewidths=0, alpha=0.75, **colour)
            box = boxes.get(title) if isinstance(boxes, Mapping) else boxes
            box = box or 1.1 * float(points.abs().max())
            ax.set(xlim=(-box, box), ylim=(-box, box), aspect="equal", title=title)
            ax.locator_params(nbins=5)
            ax.grid(visible=False)

    return picture(draw, caption=caption, alt=alt, width=min(9.0, size * len(panels)), height=size + 0.3)


def matrices(
    panels: Mapping[str, Tensor], *, caption: str, alt: str, split: int | None = None, size: float = 2.4
) -> Picture:
    """Matrices as heat maps in diverging colours around zero, one range for all; exact zeros stay empty.

    Args:
        panels: title → matrix.
        split: draw lines after this many rows and columns, between the blocks.
    """
    if not panels or any(m.ndim != 2 for m in panels.values()):
        raise ValueError(f"expected matrices, got shapes {[tuple(m.shape) for m in panels.values()]}")
    top = max(float(m.abs().max()) for m in panels.values()) or 1.0

    def draw(figure: Any, theme: Theme) -> None:
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for ax, (title, matrix) in zip(axes, panels.items(), strict=True):
            rows, columns = matrix.shape
            shown = np.ma.masked_equal(array(matrix), 0)
            field = ax.imshow(shown, cmap=theme.diverging, vmin=-top, vmax=top)
            if split:
                ax.axhline(split - 0.5, color=theme.ink, linewidth=1)
                ax.axvline(split - 0.5, color=theme.ink, linewidth=1)
            for side in ("top", "right"):
                ax.spines[side].set_visible(True)
            ax.set(title=title, xticks=[0, columns - 1], yticks=[0, rows - 1])
            ax.set_xticklabels([1, columns])
            ax.set_yticklabels([1, rows])
            ax.grid(visible=False)
        figure.colorbar(field, ax=list(axes), shrink=0.8)

    return picture(draw, caption=caption, alt=alt, width=min(9.0, size * len(panels) + 0.8), height=size + 0.4)


def push_forward(
    g: Callable[[Tensor], Tensor], *, caption: str, alt: str, parts: int = 8, reach: float = 3.0, width: float = 6.4
) -> Picture:
    """An increasing map of the line, a normal density below it, and on its left the density of the image.

    Both densities are cut into the same strips of equal mass, and lines lead from one to the other along the map.

    Args:
        g: a smooth, increasing map of ``(n,)`` → ``(n,)``.
        parts: number of strips.
        reach: the normal density is shown on [−reach, reach].

    Raises:
        ValueError: the map does not increase.
    """
    z = torch.linspace(-reach, reach, 601, dtype=torch.float64)
    x, slope = torch.func.jvp(g, (z,), (torch.ones_like(z),))[:2]
    if not bool((slope > 0).all()):
        raise ValueError(f"expected an increasing map, got a slope of {float(slope.min()):.3g}")
    normal = torch.distributions.Normal(z.new_tensor(0.0), 1.0)
    below_z = normal.log_prob(z).exp()
    cuts = normal.icdf(torch.linspace(0, 1, parts + 1, dtype=z.dtype)).clamp(-reach, reach)

    def draw(figure: Any, theme: Theme) -> None:
        (left, main), (corner, below) = figure.subplots(
            2, 2, width_ratios=(1, 3), height_ratios=(3, 1), sharex="col", sharey="row"
        )
        main.plot(z, x, color=theme.ink)
        left.plot(below_z / slope, x, color=theme.ink)
        below.plot(z, below_z, color=theme.ink)
        edge = float(x[0])
        for k, (low, high) in enumerate(pairwise(cuts)):
            inside = (z >= low) & (z <= high)
            colour = {"color": theme.cycle[k % 2], "alpha": 0.45, "linewidth": 0}
            below.fill_between(z[inside], below_z[inside], **colour)
            left.fill_betweenx(x[inside], (below_z / slope)[inside], **colour)
            if k:
                to = float(g(low[None]))
                main.plot([low, low, -reach], [edge, to, to], color=theme.muted, linewidth=0.8)
        main.set(title="x = g(z)", xlim=(-reach, reach), ylim=(edge, float(x[-1])))
        left.set(ylabel="x", xlabel="density of x", xlim=(0, None))
        below.set(xlabel="z", ylabel="density of z", ylim=(0, None))
        corner.set_axis_off()

    return picture(draw, caption=caption, alt=alt, width=width, height=0.68 * width)

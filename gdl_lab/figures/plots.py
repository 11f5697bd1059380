"""The kinds of picture the chapters share. Each takes tensors and returns a `Picture`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.collections import PolyCollection
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from gdl_lab.figures.axes import array
from gdl_lab.figures.picture import Picture, picture
from gdl_lab.figures.style import Theme
from gdl_lab.networks import Region

__all__ = ["curves", "images", "plane", "regions"]

MARKERS = "osD^vP"
CLASSES = "^osDvP"  # triangles for class 0 and discs for class 1, as in the widgets
DASHES = ("-", "--", "-.", ":")  # so that colour is never needed to tell two curves apart
Series = Mapping[str, tuple[Any, Any]]


def curves(
    series: Series,
    *,
    xlabel: str,
    ylabel: str,
    caption: str,
    alt: str,
    log: str = "",
    markers: bool = False,
    references: Mapping[str, float] | None = None,
    bands: Mapping[str, tuple[Any, Any]] | None = None,
    points: Series | None = None,
    width: float = 6.4,
    height: float = 3.2,
) -> Picture:
    """Lines with a legend.

    Args:
        series: name → (x, y), drawn in order; an axis of whole numbers has no other ticks.
        log: ``""``, ``"x"``, ``"y"`` or ``"xy"``.
        markers: mark the points, each series with its own symbol.
        references: name → height of a dotted horizontal line.
        bands: name of a series → its (lowest, highest) values, shaded.
        points: name → (x, y), marked on top and not joined by a line.
    """

    def draw(figure: Any, theme: Theme) -> None:
        ax = figure.subplots()
        for k, (name, (x, y)) in enumerate(series.items()):
            style = (
                {"marker": MARKERS[k % len(MARKERS)], "markersize": 4.5} if markers else {"linestyle": DASHES[k % 4]}
            )
            ax.plot(array(x), array(y), label=name, **style)
            if bands and name in bands:
                low, high = map(array, bands[name])
                ax.fill_between(array(x), low, high, color=theme.cycle[k % len(theme.cycle)], alpha=0.2, linewidth=0)
        for k, (name, (x, y)) in enumerate((points or {}).items()):
            ax.plot(array(x), array(y), MARKERS[k % len(MARKERS)], label=name, color=theme.ink, markersize=5, zorder=3)
        for name, level in (references or {}).items():
            ax.axhline(level, linestyle=":", color=theme.muted)
            ax.annotate(name, (0.995, level), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=9)
        for name, axis, values in (("x", ax.xaxis, [x for x, _ in series.values()]),
                                   ("y", ax.yaxis, [y for _, y in series.values()])):  # fmt: skip
            if name in log:
                ax.set(**{f"{name}scale": "log"})
            elif all(np.issubdtype(array(one).dtype, np.integer) for one in values):
                axis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel=xlabel, ylabel=ylabel)
        if len(series) + len(points or {}) > 1:
            figure.legend(loc="outside upper left", ncols=4, handlelength=2.6)

    return picture(draw, caption=caption, alt=alt, width=width, height=height)


def images(
    pictures: Sequence[Tensor],
    titles: Sequence[str],
    *,
    caption: str,
    alt: str,
    signed: bool | Sequence[bool] = False,
    columns: int | None = None,
    size: float = 1.5,
) -> Picture:
    """A row (or rows) of grey or signed pictures of shape ``(height, width)``, or coloured ones ``(height, width, 3)``.

    Args:
        signed: diverging colours around zero, one range for all signed pictures; a list says it picture by picture.
    """
    if len(pictures) != len(titles) or not pictures:
        raise ValueError(f"expected as many titles as pictures, got {len(titles)} and {len(pictures)}")
    flags = [signed] * len(pictures) if isinstance(signed, bool) else list(signed)
    columns = columns or len(pictures)
    rows = -(-len(pictures) // columns)
    size, tallest = min(size, 9.0 / columns), max(p.shape[0] / p.shape[1] for p in pictures)
    top = max((float(p.abs().max()) for p, s in zip(pictures, flags, strict=True) if s), default=1.0) or 1.0

    def draw(figure: Any, theme: Theme) -> None:
        axes = figure.subplots(rows, columns, squeeze=False).ravel()  # .flat can be run through only once
        for ax in axes:
            ax.set_axis_off()
        for ax, one, title, has_sign in zip(axes, pictures, titles, flags, strict=False):
            if has_sign:
                ax.imshow(array(one), cmap=theme.diverging, vmin=-top, vmax=top)
            else:
                ax.imshow(array(one), cmap="gray", vmin=0)
            ax.set_title(title, fontsize=9)

    return picture(draw, caption=caption, alt=alt, width=size * columns, height=(size * tallest + 0.3) * rows)


def plane(
    f: Callable[[Tensor], Tensor] | None,
    points: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    caption: str,
    alt: str,
    box: tuple[float, float, float, float] = (-1, 1, -1, 1),
    level: float | None = 0.0,
    resolution: int = 160,
    width: float = 4.4,
    height: float = 3.8,
) -> Picture:
    """A real function on a rectangle as a colour field, its level line, and labelled points.

    Args:
        f: maps ``(n, 2)`` float32 points to ``(n,)`` values; ``None`` shows the points alone.
        points, labels: ``(n, 2)`` and ``(n,)`` with labels 0 and 1.
        level: the value whose contour is drawn.
    """

    def draw(figure: Any, theme: Theme) -> None:
        ax = figure.subplots()
        if f is not None:
            gx, gy = torch.meshgrid(
                torch.linspace(box[0], box[1], resolution), torch.linspace(box[2], box[3], resolution), indexing="xy"
            )
            with torch.no_grad():
                values = array(f(torch.stack([gx, gy], -1).reshape(-1, 2))).reshape(resolution, resolution)
            middle = level or 0.0
            reach = float(np.abs(values - middle).max()) or 1.0
            field = ax.imshow(
                values,
                extent=box,
                origin="lower",
                cmap=theme.diverging,
                vmin=middle - reach,
                vmax=middle + reach,
                alpha=0.75,
            )
            figure.colorbar(field, ax=ax, shrink=0.85, label="f(x)")
            if level is not None and values.min() < level < values.max():
                ax.contour(array(gx), array(gy), values, levels=[level], colors=[theme.ink], linewidths=1.5)
        _scatter(ax, theme, points, labels)
        _square(ax, box)
        _legend(figure, ax)

    return picture(draw, caption=caption, alt=alt, width=width, height=height)


def regions(
    nets: Mapping[str, Sequence[Region]],
    points: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    caption: str,
    alt: str,
    box: tuple[float, float, float, float] = (-1, 1, -1, 1),
    level: float = 0.0,
    size: float = 3.0,
) -> Picture:
    """The linear regions of networks ℝ² → ℝ, coloured by the value at each region's centre.

    Args:
        level: the value that is shown white.
        nets: title → the regions of a network from `gdl_lab.networks.linear_regions`, drawn side by side.
    """

    def draw(figure: Any, theme: Theme) -> None:
        axes = figure.subplots(1, len(nets), squeeze=False)[0]
        for ax, (title, parts) in zip(axes, nets.items(), strict=True):
            values = np.array([float((part.A @ part.corners.mean(0) + part.b)[0]) for part in parts])
            reach = np.abs(values - level).max() or 1.0
            ax.add_collection(
                PolyCollection(
                    [array(part.corners) for part in parts],
                    array=values,
                    cmap=theme.diverging,
                    clim=(level - reach, level + reach),
                    edgecolors=theme.ink,
                    linewidths=0.35,
                    alpha=0.75,
                )
            )
            _scatter(ax, theme, points, labels)
            _square(ax, box)
            ax.set_title(title)
        _legend(figure, axes[0])

    return picture(draw, caption=caption, alt=alt, width=min(9.0, size * len(nets)), height=size + 0.5)


def _scatter(ax: Any, theme: Theme, points: Tensor | None, labels: Tensor | None) -> None:
    if points is None:
        return
    where, kinds = array(points), np.zeros(len(points), int) if labels is None else array(labels)
    for k in np.unique(kinds):
        chosen = where[kinds == k]
        ax.scatter(
            *chosen.T,
            s=14,
            marker=CLASSES[int(k)],
            color=theme.cycle[int(k)],
            edgecolors=theme.ink,
            linewidths=0.4,
            label=f"class {k}",
        )


def _legend(figure: Any, ax: Any) -> None:
    handles, names = ax.get_legend_handles_labels()
    if len(handles) > 1:
        figure.legend(handles, names, loc="outside upper left", ncols=4)


def _square(ax: Any, box: tuple[float, float, float, float]) -> None:
    ax.set(xlim=box[:2], ylim=box[2:], aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
    ax.locator_params(nbins=5)
    ax.grid(visible=False)

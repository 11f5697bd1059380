"""Metrics of the plane as ellipses: where the unit circle of base space goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gdl_lab.figures.axes import array
from gdl_lab.figures.picture import Picture, picture
from gdl_lab.figures.style import Theme

__all__ = ["ellipses"]


def ellipses(
    panels: Mapping[str, tuple[Tensor, Tensor]],
    *,
    caption: str,
    alt: str,
    scale: float = 0.15,
    points: Mapping[str, Tensor] | None = None,
    arrows: Mapping[str, Mapping[str, Tensor]] | None = None,
    lines: Mapping[str, Mapping[str, Tensor]] | None = None,
    box: tuple[float, float, float, float] = (-1.6, 1.6, -1.6, 1.6),
    size: float = 2.9,
) -> Picture:
    r"""Ellipses {x + v : vᵀγv ≤ scale²} of a metric γ at points of the plane, in panels side by side.

    Args:
        panels: title → centres x, shape ``(n, 2)``, and γ⁻¹ there, shape ``(n, 2, 2)``.
        scale: length of the vectors v in the metric.
        points: title → data in the background, shape ``(m, 2)``.
        arrows: title → name → vectors at the centres, shape ``(n, 2)``.
        lines: title → name → polygon, shape ``(k, 2)``.
        box: what is shown, x from and to, y from and to.
        size: height of a panel, inches.

    Raises:
        ValueError: no panels, or centres and metrics whose shapes do not fit.
    """
    if not panels:
        raise ValueError("expected at least one panel")
    rims = {title: _rims(title, centres, gamma_inv, scale) for title, (centres, gamma_inv) in panels.items()}

    def draw(figure: Any, theme: Theme) -> None:
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        named: dict[str, Any] = {}
        for ax, (title, (centres, _)) in zip(axes, panels.items(), strict=True):
            if points and title in points:
                ax.scatter(*array(points[title]).T, s=4, color=theme.muted, alpha=0.35, linewidths=0)
            for rim in rims[title]:
                ax.fill(*rim.T, facecolor=theme.cycle[0], alpha=0.3, edgecolor="none")
                ax.plot(*rim.T, color=theme.cycle[0], linewidth=1.2)
            for k, (name, line) in enumerate((lines or {}).get(title, {}).items()):
                (named[name],) = ax.plot(*array(line).T, color=theme.cycle[1 + k], linestyle=("-", "--")[k % 2])
            for k, (name, vectors) in enumerate((arrows or {}).get(title, {}).items()):
                where, v = array(centres), array(vectors)
                style = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.007, "zorder": 4}
                ax.quiver(*where.T, *v.T, color=theme.cycle[1 + k], **style)
                named[name] = ax.plot([], [], color=theme.cycle[1 + k], marker=">", linestyle="-")[0]
            ax.set(xlim=box[:2], ylim=box[2:], aspect="equal", title=title)
            ax.locator_params(nbins=4)
            ax.grid(visible=False)
        if named:
            figure.legend(named.values(), named.keys(), loc="outside upper left", ncols=4)

    ratio = (box[1] - box[0]) / (box[3] - box[2])
    room = 0.7 if arrows or lines else 0.4
    width = min(9.0, size * ratio * len(panels))
    # the numbers at the axes take 0.3 inches, so that the squares fill the height
    return picture(draw, caption=caption, alt=alt, width=width, height=(width / len(panels) - 0.3) / ratio + room)


def _rims(title: str, centres: Tensor, gamma_inv: Tensor, scale: float) -> Sequence[np.ndarray]:
    """Closed polygons, by the root of γ⁻¹ applied to a circle."""
    if centres.ndim != 2 or centres.shape[1] != 2 or gamma_inv.shape != (len(centres), 2, 2):
        raise ValueError(
            f"expected centres (n, 2) and metrics (n, 2, 2) in {title!r}, got {tuple(centres.shape)} and "
            f"{tuple(gamma_inv.shape)}"
        )
    values, vectors = torch.linalg.eigh(gamma_inv.detach().cpu().double())
    root = vectors * values.clamp_min(0).sqrt()[:, None]
    t = 2 * torch.pi * torch.arange(73, dtype=torch.float64) / 72
    circle = torch.stack([t.cos(), t.sin()])
    return list(array(centres.detach().cpu().double()[:, None] + scale * (root @ circle).mT))

"""Signals on the sphere, each as a globe seen from the side on which digits are painted, and as its chart below."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from torch import Tensor

from gdl_lab.figures.axes import array, bare
from gdl_lab.figures.picture import Picture, picture
from gdl_lab.figures.style import Theme

__all__ = ["globes"]

PIXELS = 160
# of classes 1 to 10, background is grey; neighbours differ in lightness, and titles name what is seen
CLASSES = ("#d9d9d9", "#0072b2", "#e69f00", "#004d3b", "#f0e442", "#7a1f5c", "#56b4e9", "#c04b00", "#7fd1a8", "#222222",
           "#e19bc4")  # fmt: skip


def globes(
    signals: Mapping[str, Tensor],
    grid: Sequence[Tensor],
    *,
    caption: str,
    alt: str,
    signed: bool = False,
    classes: bool | Sequence[bool] = False,
    size: float = 1.6,
) -> Picture:
    """A globe, seen from α = π on the equator with north up, and the chart of each signal.

    Args:
        signals: title → values ``(n_beta, n_alpha)``.
        grid: ``(alpha, beta)`` in radians, as ``S2FFT.grid()`` gives them; β ascends.
        signed: diverging colours around zero, one range for all; otherwise grey, from 0 to 1.
        classes: whole numbers from 0, the background, to 10, in colours; a list says it signal by signal.

    Raises:
        ValueError: no signals, or one of another shape than the grid.
    """
    alpha, beta = (array(axis).astype(float) for axis in grid)
    shown = {title: array(values) for title, values in signals.items()}
    wrong = [values.shape for values in shown.values() if values.shape != (len(beta), len(alpha))]
    if wrong or not shown:
        raise ValueError(f"expected signals of shape {(len(beta), len(alpha))}, got {wrong or 'none'}")
    flags = [classes] * len(shown) if isinstance(classes, bool) else list(classes)
    top = max(float(np.abs(values).max()) for values in shown.values()) or 1.0
    size = min(size, 9.0 / len(shown))
    row, column, disc = _seen(alpha, beta)

    def draw(figure: Any, theme: Theme) -> None:
        axes = figure.subplots(2, len(shown), squeeze=False, height_ratios=(2, 1))
        for (title, values), flag, (above, below) in zip(shown.items(), flags, axes.T, strict=True):
            style: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 1}
            if signed:
                style = {"cmap": theme.diverging, "vmin": -top, "vmax": top}
            if flag:
                style = {"cmap": ListedColormap(CLASSES), "vmin": -0.5, "vmax": 10.5}
            globe = _nearest(values, row, column) if flag else _between(values, row, column)
            above.imshow(np.ma.masked_where(~disc, globe), **style)
            below.imshow(values, aspect="equal", **style)
            for ax in (above, below):
                bare(ax)
            above.set_title(title, fontsize=9)

    return picture(draw, caption=caption, alt=alt, width=size * len(shown), height=1.62 * size + 0.25)


def _seen(alpha: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fractional row and column of the chart under each pixel of the disc, by orthographic projection."""
    u, v = np.meshgrid(np.linspace(-1, 1, PIXELS), np.linspace(1, -1, PIXELS))
    disc = u**2 + v**2 < 1
    towards = np.sqrt(np.clip(1 - u**2 - v**2, 0, None))
    # the eye is at −z, so that x points to the left
    angle = np.arctan2(-u, -towards) % (2 * math.pi)
    row = np.interp(np.arccos(v.clip(-1, 1)), beta, np.arange(len(beta)))
    return row, angle / (2 * math.pi) * len(alpha), disc


def _between(values: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    i, j = np.minimum(row.astype(int), len(values) - 2), column.astype(int)
    s, t, n = row - i, column - j, values.shape[1]
    top = (1 - t) * values[i, j % n] + t * values[i, (j + 1) % n]
    bottom = (1 - t) * values[i + 1, j % n] + t * values[i + 1, (j + 1) % n]
    return np.asarray((1 - s) * top + s * bottom)


def _nearest(values: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    return np.asarray(values[np.rint(row).astype(int), np.rint(column).astype(int) % values.shape[1]])

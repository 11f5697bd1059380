"""A counterfactual beside the adversarial example: pictures with what changed in them, or paths in the plane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from gdl_lab.counterfactuals import Explanation, Path
from gdl_lab.figures.axes import array, bare
from gdl_lab.figures.picture import Picture, picture
from gdl_lab.figures.style import Theme

__all__ = ["explanation"]

MOST = 8  # rows, beyond which nobody looks


def explanation(
    e: Explanation,
    *,
    shape: Sequence[int] | None = None,
    caption: str | None = None,
    alt: str | None = None,
    size: float = 1.45,
) -> Picture:
    """What `gdl_lab.counterfactuals.explain` found.

    Pictures get a row each, at most 8: the original, the counterfactual and what changed, the adversarial example and
    what changed, all changes in one range of colours, those of coloured pictures averaged over the colours. Points in
    the plane are drawn with their paths.

    Args:
        shape: of a picture, if the data are flat: ``(28, 28)`` or ``(3, 32, 32)``.
        caption, alt: texts instead of those made from the numbers.
        size: inches of a picture.

    Raises:
        ValueError: data that are neither pictures of one or three channels nor points in the plane.
    """
    texts = _texts(e)
    words = {"caption": caption or texts[0], "alt": alt or texts[1]}
    if shape is None and e.original.shape[1:] == (2,):
        return picture(lambda figure, theme: _plane(figure, theme, e), width=5.2, height=4.2, **words)
    n = min(len(e.original), MOST)
    wide, tall = _picture(e.original[0], shape).shape[1::-1]
    return picture(
        lambda figure, theme: _rows(figure, theme, e, n, shape),
        width=min(9.0, 5 * size),
        height=0.3 + n * (0.32 + min(1.8, size) * tall / wide),
        **words,
    )


def _rows(figure: Any, theme: Theme, e: Explanation, n: int, shape: Sequence[int] | None) -> None:
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0, hspace=0)
    axes = figure.subplots(n, 5, squeeze=False)
    difference = e.difference[:, :n]
    changes = [[_picture(one, shape).mean(-1) for one in side] for side in difference]
    reach = max(float(np.abs(one).max()) for side in changes for one in side) or 1.0
    columns = ("original", "counterfactual", "its change", "adversarial", "its change")
    for j, name in enumerate(columns):
        axes[0, j].set_title(name, fontsize=9)
    for i in range(n):
        for kind, place in enumerate((0, 1, 3)):
            ax = axes[i, place]
            one = (e.original, e.counterfactual, e.adversarial)[kind][i]
            ax.imshow(_picture(one, shape).squeeze().clip(0, 1), cmap="gray", vmin=0, vmax=1)
            ax.set_xlabel(_label(e, kind, i), fontsize=7, labelpad=2)
        for side, place in ((0, 2), (1, 4)):
            axes[i, place].imshow(changes[side][i], cmap=theme.diverging, vmin=-reach, vmax=reach)
            largest = float(difference[side, i].abs().max())
            axes[i, place].set_xlabel(f"largest {largest:.2f}", fontsize=7, labelpad=2)
    for ax in axes.ravel():
        bare(ax)


def _plane(figure: Any, theme: Theme, e: Explanation) -> None:
    ax = figure.subplots()
    start = array(e.original)
    for path, name, color, dash, mark in (
        (e.in_x, "ascent in X", theme.cycle[1], "--", "X"),
        (e.in_z, "ascent in Z", theme.cycle[0], "-", "*"),
    ):
        for i in range(len(start)):
            ax.plot(*array(path.x[:, i]).T, dash, color=color, linewidth=1.2, label=name if i == 0 else None)
        ax.scatter(*array(path.end).T, s=60, marker=mark, color=color, edgecolors=theme.ink, linewidths=0.5, zorder=3)
    ax.scatter(*start.T, s=22, marker="o", color=theme.ink, zorder=3, label="start")
    ax.set(aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
    figure.legend(loc="outside upper left", ncols=3)


def _label(e: Explanation, kind: int, i: int) -> str:
    paths: list[Path | None] = [None, e.in_z, e.in_x]
    path = paths[kind]
    missed = "" if path is None or bool(path.reached[i]) else " (not reached)"
    value = float(e.output[kind, i])
    said = f"p = {value:.2f}" if isinstance(e.target, int) else f"value {value:.3g}"
    return f"{said}{missed}\nlog q/D = {float(e.log_q[kind, i]) / e.original[0].numel():.2f}"


def _texts(e: Explanation) -> tuple[str, str]:
    """Caption and alt text, of medians."""
    p, q = (each.median(1).values.tolist() for each in (e.output, e.log_q / e.original[0].numel()))
    moved = e.difference.flatten(2).norm(dim=2).median(1).values.tolist()
    if isinstance(e.target, int):
        goal, said = f"class {e.target}", f"probability of class {e.target}"
    else:
        goal, said = f"the value {e.target:g}", f"value, target {e.target:g},"
    end = f"reached by {int(e.in_z.reached.sum())} and {int(e.in_x.reached.sum())} of {len(e.original)}"
    caption = (
        f"Gradient ascent to {goal} in Z (counterfactual) and in X (adversarial example). The number log q/D says how "
        "likely the flow finds a point: one that leaves the data falls."
    )
    alt = (
        f"Medians for original, counterfactual and adversarial example: {said} {p[0]:.3g}, {p[1]:.3g} and {p[2]:.3g}; "
        f"log density per dimension {q[0]:.2f}, {q[1]:.2f} and {q[2]:.2f}; distance to the original "
        f"{moved[0]:.3g} and {moved[1]:.3g}; the target was {end}."
    )
    return caption, alt


def _picture(one: Tensor, shape: Sequence[int] | None) -> np.ndarray:
    """Height, width, channels."""
    if shape is not None:
        if math.prod(shape) != one.numel():
            raise ValueError(f"{one.numel()} numbers are no picture of shape {tuple(shape)}")
        one = one.reshape(tuple(shape))
    if one.ndim == 2:
        one = one[None]
    if one.ndim != 3 or one.shape[0] not in (1, 3):
        raise ValueError(
            f"expected pictures (height, width), (1, height, width) or (3, height, width), or points in the plane, got "
            f"{tuple(one.shape)}: say shape=(28, 28) for flat ones"
        )
    return array(one.movedim(0, -1))

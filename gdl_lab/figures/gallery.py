"""Rows of pictures with a name each: samples of several models, one way after another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from gdl_lab.figures.axes import bare
from gdl_lab.figures.picture import Picture, picture
from gdl_lab.figures.style import Theme

__all__ = ["gallery"]


def gallery(
    rows: Mapping[str, Tensor],
    *,
    caption: str,
    alt: str,
    titles: Mapping[str, Sequence[str]] | None = None,
    size: float = 0.85,
) -> Picture:
    """Grey pictures in named rows, values cut to [0, 1].

    Args:
        rows: name → pictures ``(n, height, width)``, ``(n, 1, height, width)`` or ``(n, D)`` with D a square number, on
            any device; equally many in each row.
        titles: name of a row → a title for each of its pictures.
        size: of a picture, inches; smaller if they do not fit.

    Raises:
        ValueError: no rows, rows of unequal length, or numbers that make no picture.
    """
    shown = {name: _pictures(name, stack) for name, stack in rows.items()}
    lengths = {len(stack) for stack in shown.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            f"expected rows of one common, positive length, got lengths {[len(s) for s in shown.values()]}"
        )
    columns = lengths.pop()
    size = min(size, 8.0 / columns)

    def draw(figure: Any, theme: Theme) -> None:
        axes = figure.subplots(len(shown), columns, squeeze=False)
        for line, (name, stack) in zip(axes, shown.items(), strict=True):
            words = (titles or {}).get(name, [""] * columns)
            for ax, one, word in zip(line, stack, words, strict=True):
                ax.imshow(one.numpy(), cmap="gray", vmin=0, vmax=1)
                bare(ax)
                if word:
                    ax.set_title(word, fontsize=8, pad=2)
            line[0].set_ylabel(name, rotation=0, ha="right", va="center", labelpad=6)

    room = 0.2 if titles else 0.04
    return picture(
        draw, caption=caption, alt=alt, width=min(9.0, size * columns + 1.0), height=(size + room) * len(shown) + 0.1
    )


def _pictures(name: str, stack: Tensor) -> Tensor:
    stack = stack.detach().cpu().float()
    if stack.ndim == 2 and math.isqrt(stack.shape[1]) ** 2 == stack.shape[1]:
        stack = stack.unflatten(1, (math.isqrt(stack.shape[1]), -1))
    elif stack.ndim == 4 and stack.shape[1] == 1:
        stack = stack[:, 0]
    if stack.ndim != 3:
        raise ValueError(f"expected pictures (n, height, width) in row {name!r}, got shape {tuple(stack.shape)}")
    return stack.clamp(0, 1)

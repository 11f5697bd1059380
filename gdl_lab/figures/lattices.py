"""Lattice fields: links as arrows and plaquettes as coloured squares; charges along chains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from gdl_lab.figures.axes import array, bare
from gdl_lab.figures.picture import Picture, picture
from gdl_lab.figures.style import Theme

__all__ = ["histories", "lattice"]

ARROWS = ("#1b1f24", "#6b3fa0")  # along and across, on both papers: the squares under them are light


def lattice(fields: Mapping[str, Tensor], *, caption: str, alt: str, size: float = 3.0) -> Picture:
    """U(1) links on a torus: an arrow at the middle of each link has its angle, measured from the horizontal.

    Squares are the plaquettes, coloured by their angle in (−π, π]; x₀ to the right and x₁ upwards. The last row and
    column of links close the torus.

    Args:
        fields: title → angles in radians, ``(2, L, T)``.
        size: inches of one panel.

    Raises:
        ValueError: no field, or another shape.
    """
    shown = {title: array(theta).astype(float) for title, theta in fields.items()}
    wrong = [theta.shape for theta in shown.values() if theta.ndim != 3 or len(theta) != 2 or theta.size == 0]
    if wrong or not shown:
        raise ValueError(f"expected angles of shape (2, L, T), got {wrong or 'no field'}")

    def draw(figure: Any, theme: Theme) -> None:
        axes = figure.subplots(1, len(shown), squeeze=False)[0]
        squares = None
        for ax, (title, theta) in zip(axes, shown.items(), strict=True):
            sides = theta.shape[1:]
            squares = ax.imshow(
                _plaquettes(theta).T / math.pi, origin="lower", extent=(0, sides[0], 0, sides[1]), cmap=theme.diverging,
                vmin=-1, vmax=1,
            )  # fmt: skip
            x, y = np.meshgrid(*(np.arange(n) for n in sides), indexing="ij")
            for mu, colour in enumerate(ARROWS):
                arrows = ax.quiver(
                    x + 0.5 * (mu == 0), y + 0.5 * (mu == 1), np.cos(theta[mu]), np.sin(theta[mu]), pivot="mid",
                    units="xy", scale=1.8, width=0.06, headwidth=5, headlength=5, headaxislength=4.5, color=colour,
                    edgecolor="white", linewidth=0.8, clip_on=False, zorder=3,
                )  # fmt: skip
                arrows.set_in_layout(False)
            ax.set_title(title, fontsize=10)
            bare(ax)
            ax.set(xlim=(-0.35, sides[0] + 0.05), ylim=(-0.35, sides[1] + 0.05))
        figure.colorbar(squares, ax=list(axes), shrink=0.8, label="angle of the plaquette / π", ticks=[-1, 0, 1])

    return picture(draw, caption=caption, alt=alt, width=min(9.0, size * len(shown) + 0.9), height=size + 0.3)


def _plaquettes(theta: np.ndarray) -> np.ndarray:
    """Angles of the plaquettes in (−π, π]."""
    along, across = theta
    P = along + np.roll(across, -1, 0) - np.roll(along, -1, 1) - across
    return math.pi - (math.pi - P) % (2 * math.pi)


def histories(
    chains: Mapping[str, Tensor],
    *,
    ylabel: str,
    caption: str,
    alt: str,
    xlabel: str = "trajectory",
    height: float = 1.3,
) -> Picture:
    """Whole numbers along Markov chains, as steps, a panel for each set of chains and one range for all.

    Args:
        chains: title → numbers ``(time, chains)``.
        height: inches of a panel.

    Raises:
        ValueError: no chains, or another shape.
    """
    shown = {title: array(values) for title, values in chains.items()}
    wrong = [values.shape for values in shown.values() if values.ndim != 2 or values.size == 0]
    if wrong or not shown:
        raise ValueError(f"expected numbers of shape (time, chains), got {wrong or 'no chains'}")
    top = max(float(np.abs(values).max()) for values in shown.values()) + 0.5

    def draw(figure: Any, theme: Theme) -> None:
        axes = figure.subplots(len(shown), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for ax, (title, values) in zip(axes, shown.items(), strict=True):
            for k, one in enumerate(values.T):  # chains that meet would hide each other
                shift = 0.12 * (k - (values.shape[1] - 1) / 2)
                ax.step(np.arange(len(one)), one + shift, where="post", linewidth=1.2)
            ax.set_title(title, loc="left", fontsize=9, pad=3)
            ax.set(ylim=(-top, top), ylabel=ylabel)
            ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes[-1].set_xlabel(xlabel)

    return picture(draw, caption=caption, alt=alt, width=6.4, height=height * len(shown) + 0.4)

"""Convex polyhedra in parallel projection: the faces that are seen, lit from above, and faintly the edges behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgb

from gdl_lab.discovery import Polyhedron
from gdl_lab.figures.axes import array, bare
from gdl_lab.figures.picture import Picture, picture
from gdl_lab.figures.style import Theme

__all__ = ["polyhedra"]

EYE = np.array([0.5, -1.0, 0.45])
LIGHT_FROM = np.array([-0.3, -0.6, 1.0])


def polyhedra(
    solids: Mapping[str, Polyhedron], *, caption: str, alt: str, columns: int | None = None, size: float = 1.7
) -> Picture:
    """Polyhedra side by side, each as large as its panel.

    Args:
        solids: title → polyhedron.
        columns: panels in a row, all of them if ``None``.
        size: inches of a panel.

    Raises:
        ValueError: no polyhedra.
    """
    if not solids:
        raise ValueError("expected at least one polyhedron")
    columns = columns or len(solids)
    rows = -(-len(solids) // columns)
    eye, light = (v / np.linalg.norm(v) for v in (EYE, LIGHT_FROM))
    right = np.cross([0, 0, 1], eye)
    right /= np.linalg.norm(right)
    screen = np.stack([right, np.cross(eye, right)], 1)

    def draw(figure: Any, theme: Theme) -> None:
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax in axes:
            bare(ax)
        colour = np.array(to_rgb(theme.cycle[0]))
        for ax, (title, solid) in zip(axes, solids.items(), strict=False):
            outlines, normals = [array(face) @ screen for face in solid.faces], array(solid.normals)
            seen = normals @ eye > 0
            closed = [np.concatenate([outline, outline[:1]]) for outline in outlines]
            behind = LineCollection(closed, colors=theme.muted, linewidths=0.6, linestyles=":", zorder=1)
            ax.add_collection(behind)
            shade = 0.45 + 0.55 * (0.5 + 0.5 * normals @ light)[:, None]
            ax.add_collection(
                PolyCollection(
                    [outline for outline, front in zip(outlines, seen, strict=True) if front],
                    facecolors=np.clip(shade * colour, 0, 1)[seen], edgecolors=theme.ink, linewidths=0.8, alpha=0.8,
                    zorder=2,
                )
            )  # fmt: skip
            flat = np.concatenate(outlines)
            middle, reach = 0.5 * (flat.min(0) + flat.max(0)), 0.54 * np.ptp(flat, axis=0).max()
            ax.set(xlim=(middle[0] - reach, middle[0] + reach), ylim=(middle[1] - reach, middle[1] + reach))
            ax.set_aspect("equal")
            ax.set_title(title, fontsize=9)

    width = min(9.0, size * columns)
    return picture(draw, caption=caption, alt=alt, width=width, height=(width / columns + 0.45) * rows)

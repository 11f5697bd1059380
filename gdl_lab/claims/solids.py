"""Solids whose vertices, edges and faces are in every book: what counts of polyhedra are judged by."""

from __future__ import annotations

from itertools import permutations, product

import torch
from torch import Tensor

__all__ = ["COUNTS", "solids"]

COUNTS = {
    "tetrahedron": (4, 6, 4), "cube": (8, 12, 6), "octahedron": (6, 12, 8), "dodecahedron": (20, 30, 12),
    "icosahedron": (12, 30, 20), "cuboctahedron": (12, 24, 14), "rhombic dodecahedron": (14, 24, 12),
    "truncated icosahedron": (60, 90, 32),
}  # fmt: skip
GOLDEN = (1 + 5**0.5) / 2


def _signed(*points: tuple[float, float, float]) -> list[tuple[float, ...]]:
    """All choices of signs."""
    return [tuple(s * c for s, c in zip(signs, p, strict=True)) for p in points for signs in product((1, -1), repeat=3)]


def _cycled(*points: tuple[float, float, float]) -> list[tuple[float, ...]]:
    """All choices of signs, and the coordinates exchanged in a cycle."""
    return [one[k:] + one[:k] for one in _signed(*points) for k in range(3)]


def solids() -> dict[str, Tensor]:
    """Corners of the solids in `COUNTS`, ``(n, 3)`` float64, some of them more than once."""
    g = GOLDEN
    cube = _signed((1, 1, 1))
    found = {
        "tetrahedron": [p for p in cube if p[0] * p[1] * p[2] > 0],
        "cube": cube,
        "octahedron": _cycled((1, 0, 0)),
        "dodecahedron": cube + _cycled((0, 1 / g, g)),
        "icosahedron": _cycled((0, 1, g)),
        "cuboctahedron": [q for p in _signed((1, 1, 0)) for q in permutations(p)],
        "rhombic dodecahedron": cube + _cycled((2, 0, 0)),
        "truncated icosahedron": _cycled((0, 1, 3 * g), (1, 2 + g, 2 * g), (g, 2, g**3)),
    }
    return {name: torch.tensor(points, dtype=torch.float64) for name, points in found.items()}

"""Polyhedra are counted right, by numbers from the book and by qhull's own dual; bad points get clear words."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull
from torch import Tensor

from gdl_lab.claims.solids import COUNTS, solids
from gdl_lab.discovery import FAMILIES, draw, measure, polyhedra

CUBE = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3).double()


@pytest.mark.parametrize("name", COUNTS)
def test_solids_have_the_numbers_of_the_book(name: str) -> None:
    assert measure(solids()[name]).counts == COUNTS[name]


def test_points_on_faces_and_edges_count_for_nothing() -> None:
    more = torch.tensor([[0, 0, 1.0], [1, 1, 0], [0.5, 1, 1], [0.2, 0.3, -1], [0, 0, 0]]).double()
    one = measure(torch.cat([CUBE, more, CUBE]))
    assert one.counts == (8, 12, 6)
    assert one.volume == pytest.approx(8)
    assert one.area == pytest.approx(24)
    assert {tuple(c) for c in one.corners.tolist()} == {tuple(c) for c in CUBE.tolist()}


def test_faces_go_round_anticlockwise_and_have_the_area() -> None:
    one = measure(solids()["dodecahedron"])
    total = 0.0
    for face, normal in zip(one.faces, one.normals, strict=True):
        assert len(face) == 5
        turns = torch.linalg.cross(face.roll(-1, 0) - face, face.roll(-2, 0) - face.roll(-1, 0)) @ normal
        assert (turns > 0).all()
        assert float(face.mean(0) @ normal) > 0
        fan = torch.linalg.cross(face[1:-1] - face[0], face[2:] - face[0])
        total += float(0.5 * fan.norm(dim=1).sum())
    assert total == pytest.approx(one.area)


def relation(name: str) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    return {
        "simplicial": lambda V, E, F: 3 * F - 2 * E,
        "simple": lambda V, E, F: 3 * V - 2 * E,
        "zonotopes": lambda V, E, F: 4 * F - 2 * E,  # directions in general position: parallelograms only
    }[name]


@pytest.mark.parametrize("name", ["simplicial", "simple", "zonotopes"])
def test_families_satisfy_what_they_must(name: str, seed: int) -> None:
    table = draw(40, (name,), seed=seed)
    V, E = table.x[:, 0], table.x[:, 1]
    assert (relation(name)(V, E, table.faces) == 0).all()
    assert (V - E + table.faces == 2).all()


def test_a_coarse_tolerance_miscounts_and_euler_does_not_notice() -> None:
    table = [measure(FAMILIES["simple"](torch.Generator().manual_seed(k)), coplanar=0.03).counts for k in range(30)]
    assert any(3 * V != 2 * E for V, E, _ in table)
    assert sum(V - E + F == 2 for V, E, F in table) > 15


def test_simple_polyhedra_have_the_numbers_of_their_duals(seed: int) -> None:
    """The dual of a simple polyhedron about a point inside is simplicial: qhull needs no merging to count it."""
    for k in range(10):
        one = measure(FAMILIES["simple"](torch.Generator().manual_seed(seed + k)))
        heights = torch.stack([face[0] @ n for face, n in zip(one.faces, one.normals, strict=True)])
        dual = ConvexHull((one.normals / heights[:, None]).numpy())
        assert one.counts == (len(dual.simplices), len(dual.simplices) * 3 // 2, len(dual.vertices))


def test_the_table_is_drawn_again_and_holds_volumes() -> None:
    table, again = draw(12, seed=4), draw(12, seed=4)
    assert torch.equal(table.x, again.x)
    assert not torch.equal(table.x, draw(12, seed=5).x)
    assert len(table) == 12
    assert [len(table.only(name)) for name in table.names] == [2] * 6
    volume, area = table.x[:, 2], table.x[:, 3]
    assert (36 * math.pi * volume**2 <= area**3).all(), "the isoperimetric inequality"


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (torch.zeros(5, 2), r"shape \(n, 3\), got \(5, 2\)"),
        (CUBE[:3], "four points"),
        (torch.full((6, 3), math.nan), "finite"),
        (torch.eye(3).repeat(3, 1), "span no polyhedron"),
        (torch.zeros(0, 3), "four points"),
    ],
)
def test_bad_points_get_clear_words(points: Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        measure(points)


def test_bad_tables_get_clear_words() -> None:
    with pytest.raises(ValueError, match="unknown families"):
        draw(10, ("platonic",))
    with pytest.raises(ValueError, match="6 at least, got 3"):
        draw(3)
    with pytest.raises(ValueError, match="no family 'simple'"):
        draw(3, ("prisms",)).only("simple")


def test_whole_coordinates_of_any_dtype_will_do() -> None:
    assert measure(CUBE.to(torch.int64)).counts == (8, 12, 6)
    assert measure(CUBE.half()).counts == (8, 12, 6)
    assert polyhedra.FEATURES == ("vertices", "edges", "volume", "area")
    assert np.allclose(float(measure(3 * CUBE).volume), 216)

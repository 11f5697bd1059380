"""Exact nearest neighbours against a tree, in bounded memory, and paths from neighbour to neighbour."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gdl_lab.manifold import (
    along,
    nearest,
    neighbour_graph,
    neighbourhoods,
    neighbours,
    shortest_path,
)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 60),
    st.integers(1, 6),
    st.sampled_from([torch.float32, torch.float64]),
    st.sampled_from(["spread", "far", "lattice", "clusters"]),
)
def test_neighbours_are_those_of_a_tree(seed: int, n: int, dim: int, dtype: torch.dtype, kind: str) -> None:
    g = seeded(seed)
    x = torch.randn(n, dim, dtype=torch.float64, generator=g)
    if kind == "far":
        x += 1e3
    elif kind == "lattice":
        x = x.round()
    elif kind == "clusters":
        x = 100 * x[torch.randint(max(1, n // 10), (n,), generator=g)] + 1e-4 * torch.randn(n, dim, generator=g)
    x = x.to(dtype)
    k = min(n - 1, 7)
    r, index = neighbours(x, k)
    wide = x.double().numpy()
    # Where points coincide, the tree may list a point after its doubles; the distances are the same.
    wanted = np.sort(cKDTree(wide).query(wide, k + 1)[0].reshape(n, -1), axis=1)[:, 1:]
    scale = 1e-12 if dtype == torch.float64 else 1e-5
    assert np.allclose(r.numpy(), wanted, rtol=scale, atol=scale * 1e-4)
    assert torch.allclose((x[index] - x[:, None]).norm(dim=2), r, rtol=1e-5)
    assert not (index == torch.arange(n)[:, None]).any()
    assert all(len(set(row)) == k for row in index.tolist())


def test_products_alone_would_not_be_exact() -> None:
    """Control: the ranks by products are wrong far from the mean, where the check on rounding finds them out."""
    g = seeded(0)
    x = torch.cat([torch.randn(300, 3, generator=g) * 1e-3, torch.randn(300, 3, generator=g) * 1e-3 + 100])
    square = x.square().sum(1)
    products = (square[:, None] - 2 * x @ x.T + square).fill_diagonal_(math.inf).topk(3, largest=False).values
    r, _ = neighbours(x, 3)
    wanted = torch.from_numpy(cKDTree(x.double().numpy()).query(x.double().numpy(), 4)[0][:, 1:]).float()
    assert torch.allclose(r, wanted, rtol=1e-4)
    assert not torch.allclose(products.clamp(min=0).sqrt(), wanted, rtol=0.5, atol=1e-6)


class Largest(TorchDispatchMode):
    """Remembers the number of entries of the largest tensor that any operation returns."""

    entries = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for one in result if isinstance(result, tuple | list) else (result,):
            if isinstance(one, Tensor):
                self.entries = max(self.entries, one.numel())
        return result


def test_blocks_give_the_same_and_never_hold_all_distances(
    monkeypatch: pytest.MonkeyPatch, rng: torch.Generator
) -> None:
    x = torch.randn(1500, 5, dtype=torch.float64, generator=rng)
    whole = neighbours(x, 4)
    monkeypatch.setattr(neighbourhoods, "BLOCK", 30_000)
    with Largest() as largest:
        parts = neighbours(x, 4)
    assert torch.allclose(parts[0], whole[0], rtol=1e-12)
    assert torch.equal(parts[1], whole[1])
    assert largest.entries <= 30_000 < 1500**2
    monkeypatch.setattr(neighbourhoods, "BLOCK", 1500**2)
    with Largest() as control:
        neighbours(x, 4)
    assert control.entries == 1500**2


def test_coarse_products_are_noticed(rng: torch.Generator) -> None:
    """Where the user allows products in low precision, the bound on their rounding is wider."""
    x = torch.randn(400, 20, generator=rng)
    before = torch.get_float32_matmul_precision()
    exact = neighbours(x, 5)[0]
    try:
        torch.set_float32_matmul_precision("medium")
        assert torch.allclose(neighbours(x, 5)[0], exact, rtol=1e-5)
    finally:
        torch.set_float32_matmul_precision(before)


def test_some_points_and_foreign_points(rng: torch.Generator) -> None:
    x = torch.randn(80, 3, dtype=torch.float64, generator=rng)
    some = torch.tensor([3, 70, 3])
    r, index = neighbours(x, 5, at=some)
    everything = neighbours(x, 5)
    assert torch.allclose(r, everything[0][some], rtol=1e-12)
    assert torch.equal(index, everything[1][some])
    own, which = nearest(x, x, 2)
    assert float(own[:, 0].max()) == 0
    assert torch.equal(which[:, 0], torch.arange(80))
    assert torch.allclose(own[:, 1], everything[0][:, 0], rtol=1e-12)


@pytest.mark.parametrize(
    ("queries", "x", "k", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(5, 3), 1, r"shape \(n, D\), got \(3, 2\) and \(5, 3\)"),
        (torch.zeros(3), torch.zeros(5, 3), 1, r"got \(3,\)"),
        (torch.zeros(3, 3), torch.zeros(5, 3), 6, "k between 1 and the 5 other points, got 6"),
        (torch.zeros(3, 3), torch.zeros(5, 3), 0, "got 0"),
        (torch.full((3, 3), torch.nan), torch.zeros(5, 3), 1, "NaN or infinity"),
        (torch.zeros(3, 3).double(), torch.zeros(5, 3), 1, r"one dtype.*got torch\.float64 and torch\.float32"),
        (torch.zeros(3, 3).long(), torch.zeros(5, 3).long(), 1, r"float32 or float64, got torch\.int64"),
    ],
)
def test_neighbours_refuse(queries: Tensor, x: Tensor, k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nearest(queries, x, k)


def test_a_point_alone_has_no_neighbour() -> None:
    with pytest.raises(ValueError, match="between 1 and the 4 other points, got 5"):
        neighbours(torch.rand(5, 2), 5)


def test_a_path_follows_the_manifold() -> None:
    """On a circle the shortest path is the shorter arc; the straight line is not on the graph."""
    angle = torch.linspace(0, 2 * math.pi, 201, dtype=torch.float64)[:-1]
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    path = shortest_path(neighbour_graph(circle, 4), 0, 80)
    assert path[0] == 0
    assert path[-1] == 80
    assert bool((path.diff() > 0).all())
    steps = circle[path].diff(dim=0).norm(dim=1)
    assert float(steps.sum()) == pytest.approx(0.8 * math.pi, rel=1e-3)
    assert torch.equal(shortest_path(neighbour_graph(circle, 4), 5, 5), torch.tensor([5]))
    lonely = torch.cat([circle, torch.tensor([[1.5, 0.0]], dtype=torch.float64)])  # nobody's neighbour, but it has some
    assert shortest_path(neighbour_graph(lonely, 4), 100, 200)[-1] == 200
    apart = torch.cat([circle, circle + 100])
    with pytest.raises(ValueError, match="no path joins the points 0 and 300: try more neighbours"):
        shortest_path(neighbour_graph(apart, 4), 0, 300)


def test_a_polygon_is_walked_at_even_speed() -> None:
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 3.0]])
    walked = along(corners, torch.tensor([0.0, 0.125, 0.25, 0.5, 1.0]))
    assert torch.allclose(walked, torch.tensor([[0.0, 0.0], [0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [1.0, 3.0]]))
    with pytest.raises(ValueError, match=r"two corners or more, got shape \(1, 2\)"):
        along(corners[:1], torch.tensor([0.5]))

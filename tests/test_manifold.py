"""Points on known manifolds, exact neighbours, and estimators held against theory and against scikit-dimension."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import skdim
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gdl_lab.manifold import (
    CHARTS,
    affine,
    along,
    explained,
    flat_copy,
    levina_bickel,
    local_pca,
    local_variances,
    nearest,
    neighbour_graph,
    neighbourhoods,
    neighbours,
    orbit,
    participation_ratio,
    principal_variances,
    shortest_path,
    sphere,
    swiss_roll,
    torus,
    two_nn,
)

KNOWN: dict[str, tuple[int, Callable[[torch.Generator], Tensor]]] = {
    "circle": (1, lambda g: sphere(2000, 1, ambient=10, generator=g)),
    "sphere": (2, lambda g: sphere(2000, 2, ambient=10, generator=g)),
    "torus": (2, lambda g: torus(2000, ambient=10, generator=g)),
    "Swiss roll": (2, lambda g: swiss_roll(2000, ambient=10, generator=g)),
    "flat": (5, lambda g: affine(2000, 5, ambient=20, generator=g)),
    "sphere of dimension 5": (5, lambda g: sphere(2000, 5, ambient=20, generator=g)),
}
each_known = pytest.mark.parametrize("name", KNOWN)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Points


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_takes_equal_areas_to_equal_areas(name: str) -> None:
    """The square root of det(JᵀJ) is the same everywhere; that of a chart without the care for areas is not."""
    chart = CHARTS[name]
    uv = 0.02 + 0.96 * torch.rand(40, 2, dtype=torch.float64, generator=seeded(0))

    def area(place: Callable[[Tensor], Tensor]) -> Tensor:
        jac = torch.stack([torch.autograd.functional.jacobian(lambda p: place(p[None])[0], p) for p in uv])
        return torch.linalg.det(jac[..., : chart.dimension].mT @ jac[..., : chart.dimension]).sqrt()

    found = area(chart.place)
    assert float((found / found[0] - 1).abs().max()) < 1e-8
    if chart.dimension == 2:
        uneven = area(lambda p: chart.place(torch.stack([p[:, 0] ** 2, p[:, 1]], 1)))
        assert float((uneven / uneven[0] - 1).abs().max()) > 0.1


def test_the_shapes_are_where_they_should_be(rng: torch.Generator) -> None:
    assert torch.allclose(sphere(50, 4, generator=rng).norm(dim=1), torch.ones(50, dtype=torch.float64))
    x = torus(50, generator=rng)
    assert torch.allclose((x[:, :2].norm(dim=1) - 1) ** 2 + x[:, 2] ** 2, torch.full((50,), 0.16, dtype=torch.float64))
    roll = swiss_roll(500, generator=rng)
    radius, angle = roll[:, ::2].norm(dim=1), torch.atan2(roll[:, 2], roll[:, 0])
    turns = radius * 4.5 * math.pi - angle
    assert torch.allclose((turns / (2 * math.pi)).round() * 2 * math.pi, turns, atol=1e-9)


def test_a_larger_space_changes_no_distance_and_noise_fills_it(rng: torch.Generator) -> None:
    flat = affine(60, 3, ambient=8, generator=rng)
    assert torch.linalg.matrix_rank(flat, rtol=1e-10) == 3
    assert torch.linalg.matrix_rank(affine(60, 3, ambient=8, noise=0.01, generator=rng), rtol=1e-10) == 8
    turned = sphere(60, 2, ambient=8, generator=seeded(5))
    assert torch.allclose(
        torch.cdist(turned, turned), torch.cdist(*[sphere(60, 2, generator=seeded(5))] * 2), atol=1e-7
    )
    noisy = sphere(4000, 2, ambient=8, noise=0.3, generator=seeded(5)) - sphere(4000, 2, ambient=8, generator=seeded(5))
    assert float(noisy.std()) == pytest.approx(0.3, rel=0.02)
    with pytest.raises(ValueError, match="ambient space of dimension 3 or more, got 2"):
        sphere(5, 2, ambient=2)
    with pytest.raises(ValueError, match="at least 0, got -1"):
        affine(5, noise=-1)


def test_the_same_generator_draws_the_same_points() -> None:
    assert torch.equal(
        torus(9, ambient=4, noise=0.1, generator=seeded(1)), torus(9, ambient=4, noise=0.1, generator=seeded(1))
    )
    assert not torch.equal(torus(9, generator=seeded(1)), torus(9, generator=seeded(2)))


def test_a_flat_copy_has_the_mean_and_the_covariance_and_nothing_else(rng: torch.Generator) -> None:
    x = torus(4000, generator=rng) + 3
    copy = flat_copy(x, 100_000, generator=rng)
    assert torch.allclose(copy.mean(0), x.mean(0), atol=0.02)
    assert torch.allclose(torch.cov(copy.T), torch.cov(x.T), atol=0.02)
    assert levina_bickel(neighbours(copy[:4000], 10)[0]) > 2.7
    assert levina_bickel(neighbours(x, 10)[0]) < 2.1


def test_an_orbit_closes_and_a_quarter_turn_is_exact(rng: torch.Generator) -> None:
    picture = torch.rand(6, 6, dtype=torch.float64, generator=rng)
    turned = orbit(picture, torch.tensor([0.0, math.pi / 2, 2 * math.pi], dtype=torch.float64)).view(3, 6, 6)
    assert torch.allclose(turned[0], picture)
    assert torch.allclose(turned[2], picture)
    assert any(torch.allclose(turned[1], picture.rot90(k)) for k in (1, -1))


# Neighbours


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


# Estimators


@each_known
@pytest.mark.parametrize("seed", range(3))
def test_known_dimensions_are_found_within_ten_per_cent(name: str, seed: int) -> None:
    d, make = KNOWN[name]
    x = make(seeded(seed))
    r, index = neighbours(x, 20)
    for value in (
        two_nn(r),
        levina_bickel(r[:, :5]),
        levina_bickel(r),
        levina_bickel(r, average="plain"),
        float(local_pca(x, index).double().mean()),
    ):
        assert value == pytest.approx(d, rel=0.1)


NOISY: dict[str, Callable[[float, torch.Generator], Tensor]] = {
    "sphere": lambda s, g: sphere(4000, 2, ambient=10, noise=s, generator=g),
    "torus": lambda s, g: torus(4000, ambient=10, noise=s, generator=g),
    "Swiss roll": lambda s, g: swiss_roll(4000, ambient=10, noise=s, generator=g),
    "flat": lambda s, g: affine(4000, 2, ambient=10, noise=s, generator=g),
}


@pytest.mark.parametrize("name", NOISY)
def test_noise_is_overlooked_by_neighbours_that_are_many_deviations_away(name: str) -> None:
    """Within ten per cent where the k-th neighbour is 25 σ away or more; the two nearest, a few σ away, see noise."""
    sigma = 0.005
    x = NOISY[name](sigma, seeded(0))
    r, index = neighbours(x, 100)
    assert float(r[:, -1].median()) > 25 * sigma > 5 * float(r[:, 0].median()) / 2
    assert levina_bickel(r) == pytest.approx(2, rel=0.1)
    assert float(local_pca(x, index[:500, :40]).double().mean()) == pytest.approx(2, rel=0.1)
    assert two_nn(r) > 2.8


@each_known
def test_scikit_dimension_agrees(name: str) -> None:
    _, make = KNOWN[name]
    x = make(seeded(7))[:800]
    r, index = neighbours(x, 12)
    points, near = x.numpy(), (r.numpy(), index.numpy())
    assert two_nn(r) == pytest.approx(skdim.id.TwoNN().fit(points).dimension_, rel=1e-9)
    for c, unbiased in ((1, False), (2, True)):
        theirs = skdim.id.MLE(unbiased=unbiased)
        for average, comb in (("inverse", "mle"), ("plain", "mean")):
            wanted = theirs.fit_predict(points, precomputed_knn_arrays=near, comb=comb)
            ours = levina_bickel(r, average=average, minus=c)  # type: ignore[arg-type]
            assert ours == pytest.approx(wanted, rel=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fukunaga = skdim.id.lPCA(ver="FO").fit_pw(points, precomputed_knn=index.numpy()[:60]).dimension_pw_
        ratio = skdim.id.lPCA(ver="participation_ratio").fit(points).dimension_
    assert local_pca(x, index[:60]).tolist() == fukunaga.tolist()
    assert participation_ratio(principal_variances(x)) == pytest.approx(ratio, rel=1e-9)


@given(st.integers(0, 2**32 - 1), st.integers(2, 15))
def test_the_estimates_know_no_unit_and_no_rotation(seed: int, k: int) -> None:
    g = seeded(seed)
    x = torch.randn(60, 4, dtype=torch.float64, generator=g)
    turn = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=g)).Q
    r, s = neighbours(x, k)[0], neighbours(7 * x @ turn + 3, k)[0]
    assert levina_bickel(s) == pytest.approx(levina_bickel(r), rel=1e-6)
    assert two_nn(s) == pytest.approx(two_nn(r), rel=1e-6)
    ratios = [participation_ratio(principal_variances(points)) for points in (x, 7 * x @ turn + 3)]
    assert ratios[1] == pytest.approx(ratios[0], rel=1e-9)


@pytest.mark.parametrize("d", [1, 2, 7])
@pytest.mark.parametrize("k", [3, 4, 8])
def test_two_combinations_are_unbiased_and_two_are_off_by_the_known_factor(d: int, k: int) -> None:
    """On distances drawn from the theorem itself: (r_j/r_k)^d are uniform, sorted."""
    u = torch.rand(200_000, k - 1, dtype=torch.float64, generator=seeded(10 * d + k)).sort(1).values
    r = torch.cat([u ** (1 / d), torch.ones(len(u), 1, dtype=torch.float64)], 1)
    factor = (k - 1) / (k - 2)
    loose = 0.05 if k == 3 else 0.02  # at k = 3 the plain average has no variance
    assert levina_bickel(r) == pytest.approx(d, rel=0.01)
    assert levina_bickel(r, minus=2) == pytest.approx(d / factor, rel=0.01)
    assert levina_bickel(r, average="plain") == pytest.approx(d, rel=loose)
    assert levina_bickel(r, average="plain", minus=1) == pytest.approx(d * factor, rel=loose)
    assert two_nn(r) == pytest.approx(d, rel=0.02)


def test_two_neighbours_are_levina_and_bickel_at_two() -> None:
    r, _ = neighbours(sphere(3000, 3, generator=seeded(1)), 2)
    assert levina_bickel(r) == pytest.approx(1 / float((r[:, 1] / r[:, 0]).log().mean()), rel=1e-12)
    assert two_nn(r) == pytest.approx(levina_bickel(r), rel=0.05)


def test_where_the_estimators_fail() -> None:
    """Noise at a small scale, many dimensions with few points, and a patch so large that the curvature counts."""
    r, _ = neighbours(sphere(2000, 2, ambient=10, noise=0.05, generator=seeded(0)), 400)
    assert two_nn(r) > 6
    assert levina_bickel(r) == pytest.approx(2, rel=0.25)
    assert levina_bickel(neighbours(sphere(2000, 40, generator=seeded(0)), 20)[0]) < 30
    x = sphere(2000, 2, generator=seeded(0))
    assert local_pca(x, neighbours(x, 600)[1][:50]).unique().tolist() == [3]


def test_variances_of_a_known_covariance(rng: torch.Generator) -> None:
    scales = torch.tensor([3.0, 2.0, 0.5, 0.0], dtype=torch.float64)
    x = torch.randn(200_000, 4, dtype=torch.float64, generator=rng) * scales + 10
    turned = x @ torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=rng)).Q
    variances = principal_variances(turned.float())
    assert variances.tolist() == pytest.approx((scales**2).tolist(), rel=0.02, abs=1e-6)
    assert [explained(variances, share) for share in (0.5, 0.95, 0.99, 1.0)][:3] == [1, 2, 3]
    assert participation_ratio(torch.tensor([5.0, 5.0, 5.0, 0.0])) == pytest.approx(3)
    assert explained(torch.tensor([1.0, 1.0, 1.0, 1.0]), 0.5) == 2
    assert principal_variances(torch.rand(9, 1)).shape == (1,)


def test_local_variances_are_those_of_the_patch(rng: torch.Generator) -> None:
    x = torch.randn(40, 6, dtype=torch.float64, generator=rng) + 5
    index = torch.randint(40, (7, 5), generator=rng)
    found = local_variances(x, index)
    assert found.shape == (7, 5)
    for one, rows in zip(found, index, strict=True):
        wanted = np.linalg.eigvalsh(np.cov(x[rows].numpy().T))[::-1]
        assert np.allclose(one.numpy(), wanted[:5], atol=1e-10)


@pytest.mark.parametrize(
    ("r", "message"),
    [
        (torch.tensor([[0.0, 1.0, 2.0], [1.0, 2.0, 3.0]]), r"1 points are at distance 0 .* torch\.unique\(x, dim=0\)"),
        (torch.ones(4, 1), r"distances to at least 2 neighbours, shape \(n, k\), got \(4, 1\)"),
        (torch.ones(4), r"shape \(n, k\), got \(4,\)"),
        (torch.tensor([[2.0, 1.0, 3.0]]), "in each row ascending"),
        (torch.tensor([[1.0, torch.nan, 3.0]]), "expected finite distances"),
    ],
)
def test_estimators_refuse(r: Tensor, message: str) -> None:
    for estimate in (levina_bickel, two_nn):
        with pytest.raises(ValueError, match=message):
            estimate(r)
    with pytest.raises(ValueError, match="at least 3 neighbours"):
        levina_bickel(torch.rand(4, 2) + 1, minus=2)
    with pytest.raises(ValueError, match="'inverse' or 'plain', got 'median'"):
        levina_bickel(torch.rand(4, 5).sort(1).values + 1, average="median")  # type: ignore[arg-type]


@pytest.mark.parametrize("discard", [0.0, 1.0, -0.1])
def test_two_neighbours_want_some_points_left_out_and_some_kept(discard: float) -> None:
    """With F = 1 at the last point the line would end at infinity; with none there is no line."""
    r = torch.rand(50, 2, generator=seeded(0)).sort(1).values + 0.1
    with pytest.raises(ValueError, match=f"discard some of the 50 points and keep some, got the share {discard}"):
        two_nn(r, discard=discard)


def test_variances_refuse() -> None:
    with pytest.raises(ValueError, match=r"two points or more, shape \(n, D\), got \(1, 3\)"):
        principal_variances(torch.rand(1, 3))
    with pytest.raises(ValueError, match="the points are one point"):
        participation_ratio(principal_variances(torch.ones(5, 3)))
    for share in (0.0, 95.0):
        with pytest.raises(ValueError, match=f"share of the variance in .*, got {share}"):
            explained(torch.ones(3), share)

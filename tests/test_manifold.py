"""Points on known manifolds, and estimators of dimension held against theory and against scikit-dimension."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import skdim
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gdl_lab.manifold import (
    CHARTS,
    affine,
    explained,
    flat_copy,
    levina_bickel,
    local_pca,
    local_variances,
    neighbours,
    orbit,
    participation_ratio,
    principal_variances,
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

"""Curves with noise: the densities are those of the points, distances and tangents those of the curve."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gdl_lab import runtime
from gdl_lab.manifold import Arc, Helix, Moons

PLANAR: dict[str, Arc | Moons] = {
    "three quarters": Arc(),
    "half, moved": Arc(0, math.pi, (0.3, -2.0)),
    "circle": Arc(0, 2 * math.pi),
    "moons": Moons(),
}
each_planar = pytest.mark.parametrize("name", PLANAR)
CURVES: dict[str, Arc | Helix] = {"arc": Arc(), "moved": Arc(1.0, 3.0, (0.5, 2.0)), "helix": Helix(), "short": Helix(1)}
each_curve = pytest.mark.parametrize("name", CURVES)


def ends(curve: Arc | Helix) -> tuple[float, float]:
    return (curve.start, curve.stop) if isinstance(curve, Arc) else (-curve.reach, curve.reach)


def fine(curve: Arc | Helix, n: int = 200_001) -> Tensor:
    return curve.place(torch.linspace(*ends(curve), n, dtype=torch.float64))


@each_planar
@pytest.mark.parametrize("delta", [0.03, 0.1, 0.4])
def test_a_density_integrates_to_one(name: str, delta: float) -> None:
    """On a fine grid; δ = 0.4 has points on the other side of the centre too."""
    curve = PLANAR[name]
    axis = torch.linspace(-4.5, 4.5, 2400, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis) + 1e-4  # beside the centre, where the density is infinite
    mass = float(curve.log_prob(x, delta).exp().sum()) * float(axis[1] - axis[0]) ** 2
    assert mass == pytest.approx(1, abs=3e-3)


@each_planar
def test_the_density_is_that_of_the_points(name: str, rng: torch.Generator) -> None:
    """The mean of 1/p over the points in a small box, times their share of all, is the area of the box."""
    curve, n = PLANAR[name], 400_000
    x, _ = curve.draw(n, delta=0.2, generator=rng)
    middle = x[curve.log_prob(x[:100], 0.2).argmax()]
    inside = ((x - middle).abs() < 0.05).all(1)
    assert int(inside.sum()) > 500
    p = curve.log_prob(x[inside], 0.2).exp()
    assert float((1 / p).sum()) / n == pytest.approx(0.01, rel=0.2)


def test_points_lie_along_the_normal_with_the_thickness(rng: torch.Generator) -> None:
    arc = Arc(centre=(2.0, -1.0))
    x, t = arc.draw(50_000, delta=0.1, generator=rng)
    offset = x - arc.place(t)
    assert float((offset * arc.tangent(t)).sum(1).abs().max()) < 1e-12
    assert float(offset.norm(dim=1).square().mean().sqrt()) == pytest.approx(0.1, rel=0.02)
    assert (float(t.min()), float(t.max())) == pytest.approx((arc.start, arc.stop), abs=1e-3)
    x, t = Helix().draw(50_000, delta=0.1, generator=rng)
    assert torch.allclose((x - Helix().place(t)).std(0), torch.full((3,), 0.1, dtype=torch.float64), rtol=0.02)


def test_the_entropy_is_the_mean_of_the_log_density(rng: torch.Generator) -> None:
    for delta in (0.01, 0.1, 0.2):
        x, _ = Arc().draw(200_000, delta=delta, generator=rng)
        log_p = Arc().log_prob(x, delta)
        assert Arc().entropy(delta) == pytest.approx(-float(log_p.mean()), abs=5 * float(log_p.std()) / len(x) ** 0.5)
    thin_tube = math.log(1.5 * math.pi) + 0.5 * math.log(2 * math.pi * math.e * 0.2**2)
    assert Arc().entropy(0.2) - thin_tube == pytest.approx(-(0.2**2) / 2, rel=0.1)


@each_curve
def test_a_tangent_is_the_unit_derivative(name: str) -> None:
    curve = CURVES[name]
    t = torch.linspace(*ends(curve), 50, dtype=torch.float64)
    by_t = torch.func.jvp(curve.place, (t,), (torch.ones_like(t),))[1]
    assert torch.allclose(curve.tangent(t), by_t / by_t.norm(dim=1, keepdim=True), atol=1e-12)


@each_curve
def test_a_distance_is_that_to_the_nearest_of_many_points(name: str) -> None:
    print("seed", seed := runtime.fresh_seed())
    curve = CURVES[name]
    dim = curve.place(torch.zeros(1)).shape[1]
    generator = torch.Generator().manual_seed(seed)
    x = 3 * torch.randn(100, dim, dtype=torch.float64, generator=generator)
    wanted = torch.cdist(x, fine(curve)).min(1).values
    assert float((curve.distance(x) - wanted).abs().max()) < 1e-4
    assert bool((curve.distance(x) <= wanted + 1e-9).all())


@each_curve
def test_a_point_beside_the_curve_is_as_far_as_it_was_moved(name: str, rng: torch.Generator) -> None:
    curve = CURVES[name]
    low, high = ends(curve)
    t = low + 0.1 + (high - low - 0.2) * torch.rand(200, dtype=torch.float64, generator=rng)
    aside = torch.randn(200, curve.place(t).shape[1], dtype=torch.float64, generator=rng)
    aside -= (aside * curve.tangent(t)).sum(1, keepdim=True) * curve.tangent(t)
    aside = 0.05 * aside / aside.norm(dim=1, keepdim=True)
    assert float((curve.distance(curve.place(t) + aside) - 0.05).abs().max()) < 1e-10
    assert float(curve.distance(curve.place(t)).max()) < 1e-7
    if isinstance(curve, Helix):
        assert float((curve.nearest(curve.place(t) + aside) - t).abs().max()) < 1e-10


def test_the_moons_do_not_touch_and_have_half_of_the_points_each(rng: torch.Generator) -> None:
    moons = Moons()
    x, which = moons.draw(20_000, delta=0.0, generator=rng)
    assert float(torch.cdist(x[which == 0][:2000], x[which == 1][:2000]).min()) > 0.3
    assert float(which.double().mean()) == pytest.approx(0.5, abs=0.02)
    assert float(moons.distance(x).max()) < 1e-12


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Arc(1.0, 1.0), "expected an arc"),
        (lambda: Arc(0.0, 7.0), "expected an arc"),
        (lambda: Helix(0), "positive reach"),
        (lambda: Arc().draw(3, delta=-1.0), "a thickness is finite"),
        (lambda: Helix().draw(3, delta=math.nan), "a thickness is finite"),
        (lambda: Arc().log_prob(torch.ones(1, 2), 0.0), "expected delta > 0"),
        (lambda: Arc().entropy(0.5), "expected a thickness between"),
    ],
)
def test_what_makes_no_curve_is_refused(wrong: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        wrong()

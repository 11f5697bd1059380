"""Chapter 09's claims can fail: other transports, kernels, densities and untrained networks do not pass."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gdl_lab import runtime
from gdl_lab.bundles import Exp, GaugeConv, NormGate, Sphere, Stencil, Surface, act, turn, vector
from gdl_lab.claims import ch09, strips, surfaces
from gdl_lab.claims.surfaces import SURFACES


@pytest.mark.parametrize("claim", [ch09.all_kernels, ch09.gauss_bonnet], ids=lambda claim: claim.id)
def test_claims_without_chance_hold(claim: Any) -> None:
    assert claim.outcome().holds


# Oracles


def test_the_oracles_know_the_closed_forms(rng: torch.Generator) -> None:
    x = SURFACES["ellipsoid"].points(20, rng)
    h = x[:, 0] ** 2 + x[:, 1] ** 2 / 1.3**4 + x[:, 2] ** 2 / 0.7**4
    K = surfaces.curvature(SURFACES["ellipsoid"].surface, x)
    assert (K - 1 / (1.3 * 0.7 * h) ** 2).abs().max() < 1e-12
    assert surfaces.latitude(0.3, 8).norm(dim=1).sub(1).abs().max() < 1e-15
    assert surfaces.kernels_by_characters(1, 2, "complex") == 1
    assert [surfaces.kernels_by_characters(n, m, "real") for n, m in ((0, 0), (0, 1), (1, 1))] == [1, 2, 4]


@pytest.mark.parametrize("name", SURFACES)
def test_loops_and_points_lie_on_their_surfaces(name: str, rng: torch.Generator) -> None:
    known = SURFACES[name]
    curve, inside = surfaces.loop(name, rng, 401)
    for x in (curve, known.points(10, rng), known.points(10, rng) @ known.symmetry.mT, surfaces.even(name, 30)):
        assert known.surface.F(x).abs().max() < 1e-12
    assert abs(known.surface.holonomy(curve) - inside) < 1e-3
    assert abs(inside) > 1e-3, "a loop with holonomy"


def test_loops_to_look_at_have_the_holonomies_that_the_notebook_names() -> None:
    angles = {name: math.degrees(surface.holonomy(curve)) for name, (surface, curve) in surfaces.loops().items()}
    assert angles["octant"] == pytest.approx(90, abs=1e-9)
    assert angles["torus, outside"] > 30 > -30 > angles["torus, inside"]


def test_turns_are_counted_with_their_sign() -> None:
    """Two turns of a frame that turns with the circle, on a surface whose frames are known: none on a plane."""
    plane = Surface(lambda x: x[..., 2] + 1)
    assert surfaces.turns_below(plane) == 0
    t = torch.linspace(0, 2 * math.pi, 101, dtype=torch.float64)
    assert [surfaces._turns(torch.polar(torch.ones_like(t), k * t)) for k in (-2, 0, 3)] == [-2, 0, 3]


# Transport


def by_projection(curve: Tensor, v: Tensor) -> Tensor:
    for n in curve[1:]:
        v = v - (v @ n) * n
        v = v / v.norm()
    return v


def backwards(curve: Tensor, v: Tensor) -> Tensor:
    return Sphere().transport(curve.flip(0), v)[-1]


@pytest.mark.parametrize("carry", [by_projection, backwards, lambda curve, v: v])
def test_another_transport_is_noticed(
    carry: Callable[[Tensor, Tensor], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(5):
        monkeypatch.setattr(runtime, "fresh_seed", lambda seed=seed: seed)
        assert not ch09.transport_meets_the_solid_angle.outcome(carry=carry).holds


def test_transport_without_curvature_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Surface.holonomy
    monkeypatch.setattr(Surface, "holonomy", lambda self, curve: -right(self, curve))
    assert not ch09.octant_turns_by_a_right_angle.outcome().holds
    assert not ch09.holonomy_is_curvature.outcome().holds


def test_frames_that_turn_another_way_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def along(self: Surface, x: Tensor, angle: Any = 0.0) -> Tensor:
        """East and north: broken at both poles, one turn each."""
        e1 = nn.functional.normalize(torch.stack([-x[..., 1], x[..., 0], 0 * x[..., 0]], -1), dim=-1)
        return torch.stack([e1, torch.linalg.cross(self.normal(x), e1)], -2)

    monkeypatch.setattr(Surface, "frame", along)
    assert surfaces.turns_below(Sphere()) == 1
    assert not ch09.frames_must_break.outcome().holds


def test_a_frame_that_turns_with_its_coefficient_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ch09, "turn", lambda frame, angle: turn(frame, -angle))
    measured = ch09.arrows_stay.outcome()
    assert not measured.holds
    assert measured.extra["with_g"] < 1e-13


def test_another_density_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Surface.exp
    monkeypatch.setattr(Surface, "exp", lambda *given, **more: right(*given, **more)._replace(sqrt_det=torch.ones(10)))
    assert not ch09.density_is_the_area.outcome().holds


def test_a_curvature_of_the_wrong_sign_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Surface.curvature
    monkeypatch.setattr(Surface, "curvature", lambda self, x: right(self, x).abs())
    assert not ch09.gauss_bonnet.outcome().holds


def test_straight_lines_and_another_way_of_carrying_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    bent, carried = Surface._rates, Surface.exp

    def straight(self: Surface, x: Tensor, v: Tensor, J: Tensor, J_dot: Tensor) -> tuple[Tensor, ...]:
        velocity, _, *rest = bent(self, x, v, J, J_dot)
        return velocity, torch.zeros_like(v), *rest

    def turning(self: Surface, x: Tensor, X: Tensor, *given: Any, **more: Any) -> Exp:
        there = carried(self, x, X, *given, **more)
        return there._replace(frame=turn(there.frame, 3 * X.square().sum(-1)))

    with monkeypatch.context() as patch:
        patch.setattr(Surface, "_rates", straight)
        assert not ch09.geodesics_keep_their_energy.outcome().holds
    monkeypatch.setattr(Surface, "exp", turning)
    assert not ch09.geodesics_keep_their_energy.outcome().holds


def test_fewer_steps_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Surface.geodesic
    monkeypatch.setattr(Surface, "geodesic", lambda self, x, X, steps: right(self, x, X, steps=4))
    assert not ch09.geodesics_keep_their_energy.outcome().holds


# The convolution


class Flat(Stencil):
    """√det g forgotten."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.weight = self.weight / (self.r.sin() / self.r)


class Blind(Stencil):
    """Transport forgotten."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more | {"transport": False})


@pytest.mark.parametrize("stencil", [Flat, Blind])
def test_another_integral_is_noticed(stencil: type[Stencil], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ch09, "Stencil", stencil)
    assert ch09.convolution_is_funk_and_hecke.outcome().value > 1e-3


def test_another_kernel_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = surfaces.layer

    def off_by_one(seed: int, kind: Any = "complex", **more: Any) -> GaugeConv:
        return right(seed, kind, **{"frequency": lambda m, n: m - n + 1} | more)

    for room in (ch09, surfaces):
        monkeypatch.setattr(room, "layer", off_by_one)
    for claim in (ch09.output_frames_are_not_seen, ch09.rotations_commute, ch09.isometries_commute):
        assert claim.outcome().value > 0.1
    assert not ch09.kernel_constraint.outcome().holds


def test_a_layer_without_transport_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surfaces, "Stencil", Blind)
    assert ch09.input_frames_are_not_seen.outcome().value > 0.5


def test_controls_that_see_nothing_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stencil, "retake", lambda self, **changes: self)
    assert not ch09.controls_see_frames.outcome().holds


def test_another_number_of_kernels_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = ch09.kernel_space
    monkeypatch.setattr(ch09, "kernel_space", lambda n, m, field: right(n, m, "C4", field=field))
    assert not ch09.all_kernels.outcome().holds
    monkeypatch.setattr(ch09, "kernel_space", right)
    monkeypatch.setattr(ch09, "count_parameters", lambda conv: 2)
    assert not ch09.all_kernels.outcome().holds


def test_a_gate_on_components_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NormGate, "forward", lambda self, c: surfaces.pointwise(c))
    assert not ch09.gates_see_no_frames.outcome().holds
    assert not ch09.points_see_no_frames.outcome().holds


def test_points_that_are_no_better_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = surfaces.distance_to_the_integral
    monkeypatch.setattr(surfaces, "distance_to_the_integral", lambda n, seed: right(400, seed))
    assert ch09.rotations_are_as_good_as_the_points.outcome().value == 1


# Möbius strip and winds


def test_a_strip_without_links_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "regauge", lambda f, links, columns, rho: (f, columns * links))
    assert not ch09.moebius_layer_is_exact.outcome().holds


def test_networks_that_have_learned_nothing_do_not_read() -> None:
    """No steps make chance of both; a network that knows only the middle is not equivariant."""
    untrained = strips.read_strips("regular", steps=1)
    assert untrained.centred == pytest.approx(untrained.moved, abs=1e-6)
    assert not ch09.moebius_digits.outcome(read=untrained).holds
    by_heart = strips.Read(6478, centred=0.05, moved=0.4)
    assert not ch09.moebius_digits.outcome(read=by_heart).holds
    assert ch09.moebius_plain_network.outcome(read=by_heart).holds
    assert not ch09.moebius_plain_network.outcome(read=strips.Read(6478, 0.05, 0.06)).holds


@pytest.fixture(scope="module")
def untrained() -> dict[str, strips.Learnt]:
    return strips.wind_networks(60, 4, 1)


def test_networks_that_have_learned_nothing_do_not_find_winds(untrained: dict[str, strips.Learnt]) -> None:
    assert not ch09.winds_are_found.outcome(learnt=untrained).holds


def test_a_network_that_sees_where_it_is_is_noticed(untrained: dict[str, strips.Learnt]) -> None:
    assert ch09.winds_turn_along.outcome(learnt=untrained).holds
    for name in ("coordinates", "without transport"):
        assert not ch09.winds_turn_along.outcome(learnt=untrained | {"gauge": untrained[name]}).holds


def test_the_turned_ball_is_the_same_ball_in_other_frames() -> None:
    here = strips.wind_task(60, 4)
    points, winds = strips.turned(here)
    R = strips.TURN.float()
    assert torch.allclose(points.x @ R, here.points.x, atol=1e-5)
    assert torch.allclose(winds.wind @ R, here.test.wind, atol=1e-5)
    assert (points.x - here.points.x).norm(dim=1).max() > 0.5
    assert (points.frame @ R - here.points.frame).abs().max() > 0.5
    n = points.surface.normal(points.x)
    assert (winds.measured * n).sum(-1).abs().max() < 1e-4


def test_what_a_network_finds_are_arrows_that_know_no_frames(untrained: dict[str, strips.Learnt]) -> None:
    one, test = untrained["gauge"], strips.wind_task(60, 4).test
    found = strips.found(one.network, one.points, test)
    assert found.shape == test.wind.shape
    n = one.points.surface.normal(one.points.x)
    assert (found * n).sum(-1).abs().max() < 1e-5
    smooth = one.points.surface.frame
    turned: Any = one.points.retake(frame=smooth(one.points.x), gauge=smooth)
    assert (strips.found(one.network, turned, test) - found).abs().max() < 1e-4 * found.abs().max()


def test_an_object_is_what_its_frame_and_coefficient_say(rng: torch.Generator) -> None:
    """Of spin 1 it is the product with the arrow."""
    x = SURFACES["torus"].points(5, rng)
    p, w = SURFACES["torus"].surface.frame(x), surfaces.normal(5, 3, seed=1)
    v = torch.complex(*surfaces.normal(2, 5, seed=2))
    assert (surfaces.on_tangents(p, v, 1, w) - (vector(v, p) * w).sum(-1)).abs().max() < 1e-14
    assert (act(2, 0.0, v) - v).abs().max() == 0

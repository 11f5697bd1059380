"""Chapter 05's claims can fail: wrong metrics, wrong normals and flows that have not learned do not pass them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import jacrev, vmap

from gdl_lab import data, runtime
from gdl_lab.claims import ch05, exponents, spectra, tubes
from gdl_lab.claims.ledger import Claim
from gdl_lab.claims.specimens import normal
from gdl_lab.flows import RealNVP
from gdl_lab.manifold import Arc
from gdl_lab.metric import Diffeomorphism, NormalTangent, inverse_metric, normal_tangent, step_remainder
from gdl_lab.training import CheckpointError


def perfect(twist: float = 0.0) -> dict[float, Diffeomorphism]:
    """For each thickness the flow with KL = 0, twisted by ``twist``/δ."""
    return {delta: tubes.twisted(tubes.ideal(delta), twist / delta) for delta in (0.1, 0.03, 0.01)}


# A wrong metric


def test_the_metric_of_the_other_space_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def transposed(flow: Any, z: Tensor) -> Tensor:
        J = flow.jacobian(z).detach()
        return J.mT @ J

    assert ch05.metric_is_the_pull_back.outcome().extra["transposed"] > 1e-3
    monkeypatch.setattr(ch05, "inverse_metric", transposed)
    assert not ch05.metric_is_the_pull_back.outcome().holds


def test_a_derivative_that_is_off_by_a_thousandth_spoils_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    right = ch05.step_is_second_order.outcome()
    assert right.extra["without_metric"] == pytest.approx(1, abs=0.05)
    assert right.extra["coefficient"] < 0.02

    def off(flow: Any, f: Any, z: Tensor, lams: Any) -> Tensor:
        return step_remainder(flow, f, z, lams) + 1e-3 * torch.tensor(lams, dtype=z.dtype)[:, None]

    monkeypatch.setattr(ch05, "step_remainder", off)
    assert not ch05.step_is_second_order.outcome().holds


def test_a_curved_metric_is_not_flat_and_has_other_geodesics(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ch05.metric_is_flat.outcome().extra["sphere"] == pytest.approx(1, abs=1e-9)
    geodesics = ch05.straight_lines_are_geodesics.outcome()
    assert geodesics.extra["straight_in_x"] == pytest.approx(1)
    assert geodesics.extra["longer"] > 1 + 1e-6
    monkeypatch.setattr(ch05, "pulled_back_metric", lambda flow: tubes.round_sphere)
    assert not ch05.metric_is_flat.outcome().holds
    assert not ch05.straight_lines_are_geodesics.outcome().holds


def test_great_circles_are_geodesics_of_the_sphere() -> None:
    def meridian(s: Tensor) -> Tensor:  # by its length s
        return torch.stack([(s / 2).tan(), 0 * s])

    assert tubes.bend(tubes.round_sphere, meridian) < 1e-10
    assert tubes.length(tubes.round_sphere, meridian) == pytest.approx(1, rel=1e-10)
    assert tubes.bend(tubes.round_sphere, lambda s: torch.stack([s, 0 * s])) > 0.1  # not at constant speed


# Normals


def with_unit_vectors(gamma_inv: Tensor, tangent: Tensor) -> NormalTangent:
    parts = normal_tangent(gamma_inv, tangent)
    return parts._replace(frame=parts.frame / parts.frame.norm(dim=1, keepdim=True))


def with_euclidean_normals(gamma_inv: Tensor, tangent: Tensor) -> NormalTangent:
    parts = normal_tangent(gamma_inv, tangent)
    return parts._replace(frame=torch.linalg.qr(parts.frame).Q)


@pytest.mark.parametrize(
    ("claim", "frame"),
    [
        (ch05.conormals_measure_distance, with_unit_vectors),
        (ch05.metric_is_block_diagonal, with_unit_vectors),
        (ch05.metric_is_block_diagonal, with_euclidean_normals),
    ],
)
def test_other_normals_are_noticed(monkeypatch: pytest.MonkeyPatch, claim: Claim, frame: Callable[..., Any]) -> None:
    monkeypatch.setattr(ch05, "normal_tangent", frame)
    assert not claim.outcome().holds


def test_unit_vectors_do_not_measure_distance() -> None:
    assert ch05.conormals_measure_distance.outcome().extra["unit_vectors"] < 0.9
    assert ch05.metric_is_block_diagonal.outcome().extra["euclidean_normals"] > 0.01


# Thin data


@pytest.mark.parametrize("rate", [0.0, 0.7, 20.0])
def test_the_perfect_flow_has_the_density_of_the_arc_whatever_the_twist(rate: float) -> None:
    arc, flow = Arc(), tubes.twisted(tubes.ideal(0.05), rate)
    x, _ = arc.draw(200, delta=0.05, generator=torch.Generator().manual_seed(0))
    assert (flow.push(flow.pull(x)) - x).abs().max() < 1e-8
    assert (flow.log_prob(x) - arc.log_prob(x, 0.05)).abs().max() < 1e-6
    J = vmap(jacrev(lambda one: flow.push(one[None])[0]))(flow.pull(x))
    base = -flow.pull(x).square().sum(1) / 2 - math.log(2 * math.pi)
    assert (base - torch.linalg.slogdet(J).logabsdet - arc.log_prob(x, 0.05)).abs().max() < 1e-6


def test_the_twist_shears_the_curve_as_the_chapter_says() -> None:
    delta, rate = 0.02, 30.0
    plain = tubes.ideal(delta)
    flow, z = tubes.twisted(plain, rate), normal(50, 2, 0) * torch.tensor([1.0, 0.0])
    x = plain.push(z)
    nu = x / x.norm(dim=1, keepdim=True)
    across = torch.einsum("bi,bij,bj->b", nu, inverse_metric(flow, flow.pull(x)), nu)
    wanted = delta**2 * (1 + rate**2 * z.square().sum(1).square())
    assert ((across - wanted) / wanted).abs().max() < 1e-8


def test_the_perfect_flows_have_the_exponents_of_the_theorem() -> None:
    flows: Any = perfect()
    for claim, exponent in (
        (ch05.normal_part_vanishes, 2),
        (ch05.tangential_part_stays, 0),
        (ch05.volume_shrinks_like_the_tube, 1),
    ):
        measured = claim.outcome(flows=flows)
        assert measured.holds
        assert measured.value == pytest.approx(exponent, abs=0.02)
    assert ch05.volume_shrinks_like_the_tube.outcome(flows=flows).extra["room"] == pytest.approx(1, abs=0.1)
    assert ch05.step_follows_the_data.outcome(flows=flows).value < 0.1


def test_the_divergence_alone_does_not_give_the_theorem() -> None:
    """Twisted, the same densities: the normal part stays, the tangential part pays, and the volume is as before."""
    flows: Any = perfect(twist=1)
    assert not ch05.normal_part_vanishes.outcome(flows=flows).holds
    assert not ch05.tangential_part_stays.outcome(flows=flows).holds
    assert ch05.volume_shrinks_like_the_tube.outcome(flows=flows).holds
    untwisted = ch05.divergence_is_not_enough.outcome(shear=0.0)
    assert not untwisted.holds
    assert untwisted.value == pytest.approx(2, abs=1e-6)
    measured = ch05.divergence_is_not_enough.outcome()
    assert measured.extra["divergence"] < 1e-6
    assert measured.extra["tangential"] == pytest.approx(2, abs=0.1)


def test_flows_that_have_not_learned_the_thickness_are_noticed() -> None:
    same: Any = dict.fromkeys((0.1, 0.03, 0.01), tubes.ideal(0.2))
    assert not ch05.normal_part_vanishes.outcome(flows=same).holds
    assert not ch05.volume_shrinks_like_the_tube.outcome(flows=same).holds
    flat: Any = dict.fromkeys((0.1, 0.03, 0.01), RealNVP(2).double())
    assert not ch05.step_follows_the_data.outcome(flows=flat).holds
    trained: Any = tubes.ideal(0.03)
    assert not ch05.training_is_needed.outcome(short=trained, trained=trained).holds
    untrained: Any = RealNVP(2).double()
    assert ch05.training_is_needed.outcome(short=untrained, trained=trained).value > 100


def test_a_step_leaves_the_arc_by_no_more_than_the_corollary_allows() -> None:
    flow, x = tubes.twisted(tubes.ideal(0.1), 5.0), Arc().draw(300, delta=0.1)[0]
    nu, gamma_inv = x / x.norm(dim=1, keepdim=True), inverse_metric(flow, flow.pull(x))
    df = vmap(jacrev(lambda one: tubes.landscape(one[None])[0]))(x)

    def form(a: Tensor, b: Tensor) -> Tensor:
        return torch.einsum("bi,bij,bj->b", a, gamma_inv, b)

    share = form(nu, df).abs() / (form(nu, nu) * form(df, df)).sqrt()
    assert share.max() <= 1 + 1e-9
    assert share.max() > 0.9, "and the bound is nearly reached"


def test_an_exponent_is_that_of_its_power() -> None:
    assert exponents.exponent({x: 3 * x**1.7 for x in (0.5, 0.1, 0.02)}) == pytest.approx(1.7)
    assert exponents.exponent(dict.fromkeys((0.5, 0.1, 0.02), 4.0)) == pytest.approx(0)


# Spectra


def test_a_flow_that_knows_no_helix_has_no_needle() -> None:
    measured = ch05.helix_has_a_needle.outcome(flow=RealNVP(3).double())
    assert not measured.holds
    assert measured.value == pytest.approx(1)


def test_a_flow_without_a_bridge_says_so() -> None:
    measured = ch05.moons_have_a_bridge.outcome(flow=RealNVP(2).double(), n=500)
    assert measured.value == pytest.approx(1)
    assert measured.extra["share"] > 0.3


def test_the_floor_is_the_spectrum_of_uniform_noise() -> None:
    z = normal(1, 20_000, 0)[0]
    slopes = torch.func.vmap(torch.func.grad(lambda one: torch.special.ndtr(one) / 16))(z)
    floor = spectra.noise_floor(20_000)
    assert (slopes.sort(descending=True).values - floor).abs().max() < 3e-4
    assert float(floor.square().mean().sqrt()) == pytest.approx(
        1 / 16 / math.sqrt(2 * math.pi * math.sqrt(3)), rel=1e-3
    )


def test_spectra_without_a_drop_or_with_another_floor_are_noticed() -> None:
    floor = spectra.noise_floor(200)[None]
    assert not ch05.spectrum_drops.outcome(s=torch.ones(1, 200)).holds
    assert not ch05.spectrum_drops.outcome(s=floor).holds
    exact = ch05.noise_makes_the_floor.outcome(s=floor)
    assert exact.value == 0
    assert exact.extra["one_bit_more"] == pytest.approx(1)
    for factor in (0.5, 1.5):
        assert not ch05.noise_makes_the_floor.outcome(s=factor * floor).holds
    signal = torch.cat([torch.linspace(5, 1, 20, dtype=floor.dtype), spectra.noise_floor(180)])[None]
    counted = ch05.spectrum_drops.outcome(s=signal)
    assert counted.holds
    assert counted.extra["above"] == 20
    assert 1 < counted.extra["ninety"] < counted.extra["ninety_five"] <= 20


def test_without_mnist_the_flow_is_asked_at_its_own_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "on_this_machine", lambda name: False)
    flow = RealNVP(784, 1, (2,))
    assert torch.equal(spectra.digits(flow, 2), flow.sample(2, generator=runtime.generator("spectrum")))


@pytest.mark.parametrize(
    "claim",
    [
        ch05.step_follows_the_data,
        ch05.normal_part_vanishes,
        ch05.tangential_part_stays,
        ch05.volume_shrinks_like_the_tube,
        ch05.training_is_needed,
        ch05.helix_has_a_needle,
        ch05.spectrum_drops,
        ch05.noise_makes_the_floor,
    ],
    ids=lambda claim: claim.id,
)
def test_the_checkpoints_keep_the_claims(claim: Claim) -> None:
    try:
        measured = claim.outcome()
    except CheckpointError as reason:
        pytest.skip(str(reason))
    assert measured.holds, measured

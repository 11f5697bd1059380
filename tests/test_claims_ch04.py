"""Chapter 04's claims can fail: flows that are wrong by one line do not pass them."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from gdl_lab import data, recipes
from gdl_lab.claims import ch04, specimens
from gdl_lab.flows import Flow, Glow, RealNVP
from gdl_lab.flows.coverage import coverage
from gdl_lab.manifold import Arc, Moons


class Wrong(RealNVP):
    """A flow whose log-determinant is multiplied by ``factor``, and whose inverse is off by ``shift``."""

    factor, shift = 1.0, 0.0

    def _push(self, z: Tensor) -> tuple[Tensor, Tensor]:
        x, change = super()._push(z)
        return x, self.factor * change

    def _pull(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z, change = super()._pull(x)
        return z + self.shift, self.factor * change


def wrong(factor: float = 1.0, shift: float = 0.0) -> Wrong:
    torch.manual_seed(0)
    flow = specimens.randomised(Wrong(2, 4, (16,)), 1)
    flow.factor, flow.shift = factor, shift
    return flow


@pytest.mark.parametrize(
    ("claim", "flow", "holds"),
    [
        (ch04.pull_undoes_push, wrong(), True),
        (ch04.pull_undoes_push, wrong(shift=1e-9), False),
        (ch04.log_determinant_is_that_of_autograd, wrong(), True),
        (ch04.log_determinant_is_that_of_autograd, wrong(factor=-1), False),
        (ch04.log_determinant_is_that_of_autograd, wrong(factor=1 + 1e-8), False),
        (ch04.density_integrates_to_one, wrong(), True),
        (ch04.density_integrates_to_one, wrong(factor=-1), False),
        (ch04.density_integrates_to_one, wrong(factor=0.5), False),
    ],
)
def test_a_wrong_flow_is_noticed(monkeypatch: pytest.MonkeyPatch, claim: Any, flow: Flow, holds: bool) -> None:
    monkeypatch.setattr(ch04, "kinds", lambda seed: {"one": flow})
    measured = claim.outcome()
    assert measured.holds == holds, measured


@pytest.mark.parametrize(("factor", "holds"), [(1.0, True), (-1.0, False), (0.0, False)])
def test_samples_and_density_that_do_not_belong_together_are_noticed(
    monkeypatch: pytest.MonkeyPatch, factor: float, holds: bool
) -> None:
    monkeypatch.setattr(ch04, "kinds", lambda seed: {"affine in the plane": wrong(factor)})
    measured = ch04.samples_have_the_density.outcome()
    assert measured.holds == holds
    assert measured.extra["without_determinant"] > 0.05


def test_every_kind_of_flow_is_judged_and_moves_points() -> None:
    kinds = specimens.kinds(3)
    assert {type(flow).__name__ for flow in kinds.values()} == {"AffineCoupling", "SplineCoupling", "RealNVP", "Glow"}
    assert sum(flow.shape == (2,) for flow in kinds.values()) == 2
    assert ch04.pull_undoes_push.outcome().extra["moved"] > 0.05
    assert all(flow.anchor.dtype == torch.float64 for flow in kinds.values())


def test_two_layers_are_not_triangular_and_two_do_not_mix_everything() -> None:
    two = ch04.determinant_is_the_talks_sum.outcome(layers=2)
    assert not two.holds
    assert two.extra["zero_block"] > 1e-3
    assert ch04.determinant_is_the_talks_sum.outcome().extra["lower_left"] > 1e-2
    assert not ch04.alternation_mixes_everything.outcome(layers=2).holds
    assert ch04.alternation_mixes_everything.outcome(layers=4).holds


def test_the_wrong_entropy_is_not_the_divergence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without E log ρ, as for an infinitely thin tube, the two sides differ by δ²/2."""
    right = ch04.likelihood_is_divergence.outcome(delta=0.25)
    assert right.holds
    thin = math.log(1.5 * math.pi) + 0.5 * math.log(2 * math.pi * math.e * 0.25**2)
    monkeypatch.setattr(Arc, "entropy", lambda self, delta: thin)
    assert not ch04.likelihood_is_divergence.outcome(delta=0.25).holds


def test_an_untrained_flow_has_not_learned_the_arc() -> None:
    untrained = ch04.learns_the_arc.outcome(flow=RealNVP(2))
    assert not untrained.holds
    assert untrained.value == pytest.approx(untrained.extra["untrained"], abs=1e-4)


def test_equal_flows_of_the_moons_are_no_lead() -> None:
    flow = RealNVP(2, 2, (8,))
    measured = ch04.splines_come_nearer_to_the_moons.outcome(flows={"affine": flow, "spline": flow, "third": flow})
    assert measured.extra["third"] == measured.extra["affine"]
    assert measured.value == pytest.approx(1)
    assert not measured.holds
    assert measured.extra["affine_on_the_bridge"] > 0.5


def test_no_data_are_on_the_bridge(rng: torch.Generator) -> None:
    x, _ = Moons().draw(200_000, delta=0.03, generator=rng)
    assert float((Moons().distance(x) > 5 * 0.03).double().mean()) < 1e-4


def test_noise_in_place_of_samples_costs_what_the_theorem_says() -> None:
    measured = ch04.bad_samples_cost_little.outcome(share=0.5)
    assert measured.holds
    assert measured.extra["bound"] == pytest.approx(1 / 64)
    assert measured.extra["bits_after"] - measured.extra["bits_before"] <= 1 / 64 + 1e-9


def test_a_mixture_that_costs_more_than_the_theorem_says_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Costly(specimens.Diluted):
        def log_prob(self, x: Tensor) -> Tensor:
            return super().log_prob(x) - 2  # the theorem allows log 2 = 0.69 nats

    monkeypatch.setattr(ch04, "Diluted", Costly)
    assert not ch04.bad_samples_cost_little.outcome(share=0.5).holds


def test_a_mixture_has_the_density_of_its_samples(rng: torch.Generator) -> None:
    """A normal density in the plane, mixed with the unit square: the mass of the square, by a sum over a grid."""
    flow = RealNVP(2, 2, (4,))
    mixed = specimens.Diluted(flow, 0.3)
    x = mixed.sample(200_000, generator=rng)
    axis = (torch.arange(400) + 0.5) / 400
    mass = float(mixed.log_prob(torch.cartesian_prod(axis, axis)).exp().mean())
    assert float(((x >= 0) & (x <= 1)).all(1).double().mean()) == pytest.approx(mass, abs=0.005)
    outside = torch.tensor([[2.0, 0.5]])
    assert torch.allclose(mixed.log_prob(outside), flow.log_prob(outside).detach().double() + math.log(0.7))


def test_lines_of_a_linear_flow_are_the_same_in_both_spaces() -> None:
    x = torch.randn(200, 2)
    measured = ch04.straight_lines_in_z_stay_likely.outcome(flow=RealNVP(2).fit_whitening(x), x=x)
    assert measured.extra["log_q_z"] == pytest.approx(measured.extra["log_q_x"], abs=1e-5)
    assert not measured.holds


def test_the_arc_is_bent_and_a_line_in_x_leaves_it() -> None:
    measured = ch04.straight_lines_in_z_stay_likely.outcome()
    assert measured.value > 0.7
    assert measured.extra["log_q_z"] - measured.extra["log_q_x"] > 0.5
    assert abs(measured.extra["log_q_z"] - measured.extra["log_q_data"]) < 0.3
    assert measured.extra["x_above_both_ends"] < 0.3


def test_the_likelier_model_may_have_the_worse_samples() -> None:
    assert ch04.likelihood_is_not_precision.outcome().holds
    flow, x, classifier = specimens.small_digits()
    judged: dict[str, Any] = {"x": x, "features": classifier}
    one = ch04.likelihood_is_not_precision.outcome(flows={"one": flow}, real=x, **judged)
    assert math.isnan(one.value)
    assert not one.holds
    assert one.extra["real_precision"] == one.extra["real_recall"] == 1
    trained = {"Gaussian": specimens.without_couplings(flow), "RealNVP": flow}
    honest = ch04.likelihood_is_not_precision.outcome(flows=trained, **judged)
    assert honest.extra["RealNVP_bits"] < honest.extra["Gaussian_bits"]
    assert not honest.holds  # here the likelier model has the better samples too
    turned = {"one": specimens.without_couplings(flow), "upside down": Turned(specimens.without_couplings(flow))}
    two = ch04.likelihood_is_not_precision.outcome(flows=turned, x=x, features=lambda x: x)
    assert two.extra["upside down_bits"] < two.extra["one_bits"]
    assert two.holds
    assert two.extra["upside down_precision"] == pytest.approx(two.value * two.extra["one_precision"])


class Turned(Flow):
    """Samples upside down, with a likelihood that flatters: a flow whose two directions do not belong together."""

    def __init__(self, flow: Flow) -> None:
        super().__init__(flow.shape, architecture={})
        self.flow = flow

    def _push(self, z: Tensor) -> tuple[Tensor, Tensor]:
        x, change = self.flow.push(z, log_det=True)
        return x.flip(1) - 1, change

    def _pull(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z, change = self.flow.pull(x, log_det=True)
        return z, change + 10


def test_a_gaussian_is_the_flow_without_its_couplings(rng: torch.Generator) -> None:
    flow, x, _ = specimens.small_digits()
    gaussian = specimens.without_couplings(flow)
    assert flow.whitening is not None
    assert torch.allclose(gaussian.push(x), flow.whitening.push(x), atol=1e-5)
    assert float((flow.push(x) - gaussian.push(x)).detach().abs().max()) > 1e-2


@pytest.mark.parametrize(("shape", "levels", "share"), [((1, 4, 4), 1, 1.0), ((1, 8, 8), 2, 0.5), ((3, 8, 8), 3, 0.25)])
def test_the_coarsest_latents_are_those_that_act_through_every_level(
    shape: tuple[int, int, int], levels: int, share: float
) -> None:
    """Where only the inner levels have moved, the coarsest latents are the ones whose images are not themselves."""
    flow = Glow(shape, steps=2, levels=levels, hidden=4).double()
    innermost = flow.level
    while innermost.next is not None:
        innermost = innermost.next
    with torch.no_grad():
        for p in innermost.parameters():
            p.add_(0.3 * torch.randn_like(p))
    z = specimens.normal(3, flow.dim, 0)
    moved = ((flow.push(z).flatten(1) - z).abs() > 1e-12).all(0)
    coarse = specimens.coarsest(flow)
    assert float(coarse.double().mean()) == share
    assert torch.equal(moved, coarse)
    if shape == (1, 8, 8):  # the chapter's rule for two levels and one channel
        assert torch.equal(coarse, torch.arange(64) // 8 % 2 == 0)


def test_an_untrained_glow_holds_no_shape_in_its_coarse_latents() -> None:
    torch.manual_seed(0)
    measured = ch04.scales_hold_different_things.outcome(flow=Glow((1, 28, 28), steps=2, levels=2, hidden=8))
    assert measured.value == pytest.approx(1, abs=0.3)
    assert not measured.holds


def test_other_pictures_than_the_cards_are_noticed(monkeypatch: pytest.MonkeyPatch, rng: torch.Generator) -> None:
    noise = SimpleNamespace(x=torch.rand(40, 1, 28, 28, generator=rng))
    monkeypatch.setattr(data, "on_this_machine", lambda name: True)
    monkeypatch.setattr(data, "load", lambda *given: noise)
    assert ch04.checkpoints_are_what_their_cards_say.outcome(n=40).value > 30  # chance is up to 3
    monkeypatch.setattr(data, "on_this_machine", lambda name: False)
    assert math.isnan(ch04.checkpoints_are_what_their_cards_say.outcome().value)


@pytest.mark.skipif(not data.on_this_machine("mnist"), reason="MNIST is not on this machine")
def test_cards_and_checkpoints_agree_up_to_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ch04.checkpoints_are_what_their_cards_say.outcome().value < 3
    honest = recipes.card
    monkeypatch.setattr(recipes, "card", lambda name: replace(honest(name), value=honest(name).value + 0.2))
    assert ch04.checkpoints_are_what_their_cards_say.outcome().value > 5


@pytest.mark.parametrize("name", ["digits-whitened", "digits-glow"])
def test_every_checkpoint_of_the_chapter_is_there(name: str) -> None:
    assert recipes.load(name).dim == 784


def test_coverage_is_counted_by_hand() -> None:
    """On the line: balls of the second neighbour around 0, 1, 3, 7 reach [−3, 3], [−1, 3], [0, 6] and [1, 13]."""
    of = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    points = torch.tensor([[-3.5], [-2.9], [5.0], [12.9], [13.5]])
    assert coverage(points, of, k=2) == pytest.approx(3 / 5)
    assert coverage(of, of, k=2) == 1
    assert coverage(points + 100, of, k=2) == 0
    for first, second in ((of, of[:3]), (of[0], of), (of, torch.zeros(9, 2)), (of[:0], of)):
        with pytest.raises(ValueError, match="expected points"):
            coverage(first, second)


def test_precision_and_recall_tell_blur_from_noise(rng: torch.Generator) -> None:
    points, again = torch.randn(2, 800, 3, generator=rng)
    narrow, wide = 0.2 * torch.randn(800, 3, generator=rng), 4 * torch.randn(800, 3, generator=rng)
    assert coverage(again, points) > 0.8
    assert coverage(narrow, points) > 0.85
    assert coverage(points, narrow) < 0.4
    assert coverage(wide, points) < 0.3
    assert coverage(points, wide) > 0.6

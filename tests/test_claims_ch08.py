"""Chapter 08's claims can fail: other formulas, layers that touch the left index, untrained networks do not pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from gdl_lab import data
from gdl_lab.claims import ch08, contest, spheres
from gdl_lab.data import Dataset
from gdl_lab.networks import ChartCNN, ChartUNet
from gdl_lab.recipes.spherical_digits import OnChart
from gdl_lab.sphere import S2FFT, SO3Conv, SphericalCNN, SphericalSegmenter, convolve, wigner_D
from gdl_lab.sphere import digits as painting

# Convolutions


def test_the_oracle_knows_a_function_and_its_rotation(rng: torch.Generator) -> None:
    """Degree 1 is √3 times the point; a rotation by quadrature is the one of the recurrence."""
    x = torch.nn.functional.normalize(torch.randn(6, 3, generator=rng, dtype=torch.float64), dim=1)
    Y = torch.stack([spheres.on_sphere(one, 2, x) for one in torch.eye(4, dtype=torch.float64)], 1)
    assert torch.allclose(Y[:, 1:], math.sqrt(3) * x, atol=1e-14)
    R = spheres.random_rotations(3, rng)
    whole = spheres.wigner(4, R)
    for l, D in enumerate(wigner_D(4, R)):  # noqa: E741
        assert torch.allclose(whole[:, l * l : (l + 1) ** 2, l * l : (l + 1) ** 2], D, atol=1e-12)


def transposed(coeffs: Tensor, kernel: Sequence[Tensor]) -> Tensor:
    return convolve(coeffs, [K.transpose(0, 1).contiguous() if K.shape[0] > 1 else K for K in kernel])


def without_the_root(coeffs: Tensor, kernel: Sequence[Tensor]) -> Tensor:
    return convolve(coeffs, [K * math.sqrt(2 * l + 1) for l, K in enumerate(kernel)])  # noqa: E741


@pytest.mark.parametrize("layer", [transposed, without_the_root])
def test_another_convolution_is_noticed(layer: Any) -> None:
    assert not ch08.convolutions_are_the_integrals.outcome(layer=layer).holds


def test_half_a_correction_of_the_slide_is_none() -> None:
    extra = ch08.slide_in_fourier_space.outcome().extra
    assert min(extra[name] for name in ("as_written", "without_conjugate", "without_exchange")) > 0.1


class OnTheLeft(SO3Conv):
    def forward(self, coeffs: Tensor) -> Tensor:
        out = super().forward(coeffs)
        return torch.cat([out[:1], out[1:].flip(0)])


def test_a_layer_that_touches_the_left_index_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ch08, "SO3Conv", OnTheLeft)
    assert not ch08.convolutions_are_equivariant.outcome().holds


def test_a_layer_with_too_few_weights_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ch08, "SO3Conv", lambda m, n, L: SO3Conv(m, n, L, orders=1))
    assert not ch08.all_linear_maps.outcome().holds


def test_another_integral_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ch08, "integrate_so3", lambda coeffs: coeffs[1])
    assert not ch08.integrals_at_the_end.outcome().holds


def test_a_coarse_grid_for_the_square_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = spheres.aliasing
    monkeypatch.setattr(spheres, "aliasing", lambda act, s, *rest: right(act, 1.0 if act is torch.square else s, *rest))
    assert not ch08.nonlinearity_aliases.outcome().holds


# Digits


def test_the_published_sampler_does_not_pass_for_a_continuous_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painting, "_bilinear", painting._of_width_two)
    assert ch08.published_stencil_jumps.outcome().value > 0.05


def test_points_that_count_alike_do_not_pass_for_areas(monkeypatch: pytest.MonkeyPatch) -> None:
    class Alike(S2FFT):
        def __init__(self, *given: Any, **more: Any) -> None:
            super().__init__(*given, **more)
            self.weights = torch.full_like(self.weights, 1 / len(self.weights))

    monkeypatch.setattr(ch08, "S2FFT", Alike)
    assert not ch08.area_is_kept_by_rotations.outcome().holds


def few(n: int = 40) -> Dataset:
    return data.load("digits8", "test").take(n)


def settled(net: Any, fft: S2FFT) -> Any:
    """Weights of chance, with statistics of digits."""
    with torch.no_grad():
        net(spheres.painted(few(), fft)[0].movedim(0, -1))
    return net.eval()


@pytest.fixture(scope="module")
def untrained() -> spheres.Readers:
    torch.manual_seed(0)
    fft = S2FFT(16)
    return spheres.Readers(settled(SphericalCNN(), fft), settled(OnChart(ChartCNN(fft.shape)), fft), few())


def test_networks_that_have_learned_nothing_do_not_read(untrained: spheres.Readers) -> None:
    assert not ch08.reads_turned_digits.outcome(readers=untrained).holds


class ByHeart(torch.nn.Module):
    """Says what it was told of the signals it was shown, and zero otherwise; of all signals if it does not look."""

    def __init__(self, digits: Dataset, *, looks: bool) -> None:
        super().__init__()
        self.known, self.labels = spheres.painted(digits, S2FFT(16))
        self.looks = looks

    def forward(self, signal: Tensor) -> Tensor:
        seen = (signal.movedim(-1, 0) - self.known).abs().amax((1, 2)) < 1e-6
        return torch.nn.functional.one_hot(self.labels * (seen | (not self.looks)), 10).float()


def test_networks_that_know_upright_digits_by_heart_are_noticed(untrained: spheres.Readers) -> None:
    knows, guesses = (ByHeart(untrained.test, looks=looks) for looks in (True, False))
    assert ch08.turned_as_well_as_upright.outcome(readers=untrained._replace(spherical=knows)).value > 0.5
    assert ch08.planar_does_not_read.outcome(readers=untrained._replace(planar=knows)).holds
    assert not ch08.planar_does_not_read.outcome(readers=untrained._replace(planar=guesses)).holds


def test_aliasing_falls_with_the_grid_and_is_not_there_for_a_layer_that_is_exact(untrained: spheres.Readers) -> None:
    measured = ch08.oversampling_at_test_time.outcome(readers=untrained)
    assert measured.holds, measured
    assert measured.extra["at_1"] > measured.extra["at_1.5"] > measured.extra["at_3"] > 0


def test_a_network_that_ignores_the_grid_is_noticed(
    untrained: spheres.Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SphericalCNN, "at", lambda self, oversample: self)
    assert ch08.oversampling_at_test_time.outcome(readers=untrained).value == 1


def test_a_segmenter_that_has_learned_nothing_does_not_segment() -> None:
    torch.manual_seed(0)
    fft = S2FFT(24)
    nets = settled(SphericalSegmenter(), fft), settled(OnChart(ChartUNet(fft.shape)), fft)
    measured = ch08.segments_from_upright.outcome(segmenters=spheres.Masks(*nets, few(20), (0.0, 0.0)))
    assert measured.value < 0.2
    assert not measured.holds


# The sweep


def row(network: str, copies: int, steps: int, miou: float, seconds: float, **more: Any) -> dict[str, Any]:
    usual = {"digits": 500, "items": 1, "bandlimit": 12, "weighted": True, "rate_factor": 1.0, "seed": 0}
    return {
        **usual, "network": network, "copies": copies, "steps": steps, "miou": miou,
        "miou_held_out": miou, "training_seconds": seconds, **more
    }  # fmt: skip


ROWS = [
    row("equivariant", 0, 500, 0.7, 60), row("equivariant", 0, 500, 0.8, 60, seed=1),
    row("equivariant", 0, 1000, 0.76, 120), row("equivariant", 0, 1000, 0.76, 120, seed=1),
    row("equivariant", 0, 500, 0.1, 60, digits=100),
    row("unet-8", 5, 500, 0.4, 40), row("unet-8", 5, 1000, 0.5, 80), row("unet-8", 20, 500, 0.3, 40),
    row("unet-8", 20, 8000, 0.79, 640), row("unet-8", 20, 500, 0.99, 40, rate_factor=2.0),
]  # fmt: skip


def test_the_budget_decides_who_is_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ch08.sweeps, "stored", lambda name: ROWS)
    equal, long = ch08.at_equal_budget.outcome(), ch08.given_time.outcome()
    assert equal.value == pytest.approx(0.75 - (0.4 + 0.1 * math.log(60 / 40, 2)))
    assert equal.extra["copies"] == 5
    assert equal.extra["after_1000"] == pytest.approx(0.76 - 0.5)
    assert long.value == pytest.approx(0.76 - 0.79)
    assert long.extra["times"] == pytest.approx(640 / 120)
    assert "both" not in long.extra


def test_a_spherical_network_that_saw_copies_is_a_kind_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [row("equivariant", 20, 500, 0.95, 10), row("equivariant", 50, 500, 0.9, 10, miou_held_out=0.99)]
    monkeypatch.setattr(ch08.sweeps, "stored", lambda name: [*ROWS, *both])
    equal, long = ch08.at_equal_budget.outcome(), ch08.given_time.outcome()
    assert (equal.extra["spherical"], long.extra["spherical"]) == (pytest.approx(0.75), pytest.approx(0.76))
    assert long.extra["both"] == 0.9


def test_four_digits_are_a_contest_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    four = {"items": 4, "bandlimit": 20}
    rows = [row("equivariant", 0, 1000, 0.8, 500, **four), row("unet-8", 20, 1000, 0.1, 300, **four),
            row("unet-8", 5, 1000, 0.9, 300)]  # fmt: skip
    monkeypatch.setattr(ch08.sweeps, "stored", lambda name: rows if name == "sphere-four-digits" else [])
    found = ch08.four_digits.outcome()
    assert found.value == pytest.approx(0.7)
    assert (found.extra["spherical"], found.extra["copies"]) == (0.8, 20)
    assert math.isnan(ch08.at_equal_budget.outcome().value)


def test_scores_are_read_between_lengths_of_a_training() -> None:
    lengths = ((500, 3, 0.2, 10.0), (1000, 2, 0.4, 20.0), (2000, 3, 0.5, 40.0))
    unets = [contest.Point("unet-8", 5, steps, seeds, miou, miou, seconds) for steps, seeds, miou, seconds in lengths]
    assert contest.after(9.0, unets) == []
    for seconds, miou in ((10.0, 0.2), (200**0.5, 0.3), (20.0, 0.4), (1000.0, 0.5)):
        (reached,) = contest.after(seconds, unets[::-1])
        assert (reached.miou, reached.held_out) == (pytest.approx(miou), pytest.approx(miou))
        assert (reached.seeds, reached.seconds) == (2, seconds)


def test_a_rival_is_chosen_by_digits_held_out_and_within_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    lucky = row("unet-8", 50, 500, 0.9, 40, miou_held_out=0.2)
    monkeypatch.setattr(ch08.sweeps, "stored", lambda name: [*ROWS, lucky])
    assert ch08.at_equal_budget.outcome().extra["copies"] == 5
    assert ch08.given_time.outcome().extra["copies"] == 20
    slow = [one for one in ROWS if one["network"] == "equivariant" or one["training_seconds"] > 200]
    monkeypatch.setattr(ch08.sweeps, "stored", lambda name: slow)
    assert math.isnan(ch08.at_equal_budget.outcome().value)


def test_the_best_of_single_trainings_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = [{**one, "seed": seed} for one in ROWS for seed in (7, 8)]
    lucky = row("unet-8", 50, 500, 0.9, 40, miou_held_out=0.95)
    monkeypatch.setattr(ch08.sweeps, "stored", lambda name: [*seeds, lucky])
    assert ch08.at_equal_budget.outcome().extra["copies"] == 5
    assert ch08.given_time.outcome().extra["copies"] == 20


def test_without_rows_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ch08.sweeps, "stored", lambda name: [])
    assert math.isnan(ch08.at_equal_budget.outcome().value)
    assert math.isnan(ch08.given_time.outcome().value)
    assert math.isnan(ch08.with_fewer_digits.outcome().value)


def test_fewer_digits_are_those_of_one_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = [row("equivariant", 0, 1000, score, 60, digits=n) for n, score in ((100, 0.6), (250, 0.7))]
    theirs = [row("unet-8", 20, 2000, score, 80, digits=n) for n, score in ((100, 0.4), (250, 0.6))]
    others = [
        {**one, "miou": 0.0, **more} for one in ours for more in ({"weighted": False}, {"seed": 1}, {"copies": 9})
    ]
    monkeypatch.setattr(ch08.sweeps, "stored", lambda name: [*others, *ours, *theirs])
    measured = ch08.with_fewer_digits.outcome()
    assert (measured.value, measured.extra["from_250"]) == (pytest.approx(0.2), pytest.approx(0.1))
    assert math.isnan(measured.extra["from_1000"])


def test_stored_shares_take_the_longest_training() -> None:
    rows = [
        {"stencil": 1, "shared": shared, "head": "mean", "rate_factor": 1.0, "steps": steps, "turned": turned}
        for shared, steps, turned in ((1, 500, 0.2), (1, 1000, 0.3), (1, 1000, 0.5), (500, 2000, 0.9))
    ]
    assert contest.stored_shares(rows, "turned") == "40.0% (2)"
    assert contest.stored_shares(rows, "turned", shared=500) == "90.0% (1)"
    assert contest.stored_shares(rows, "turned", stencil=2) == "–"


@pytest.mark.slow
def test_a_little_training_is_that_of_the_sweep() -> None:
    readers = spheres.read_digits(60, 4, tested=20)
    again = spheres.read_digits.__wrapped__(60, 4, tested=20)
    assert all(torch.equal(a, b) for a, b in zip(readers.planar.parameters(), again.planar.parameters(), strict=True))
    assert len(readers.test) == 20


def test_of_the_longest_trainings_the_seeds_are_counted() -> None:
    more = {"miou_training": 0.9, "miou_points": 0.5}
    rows = [
        row("unet-8", 5, 4000, 0.4, 100, settled=True, **more),
        row("unet-8", 5, 4000, 0.6, 200, settled=None, seed=1, **more),
        row("unet-8", 5, 500, 0.1, 10, settled=None, seed=2, **more),
        row("equivariant", 0, 500, 0.7, 30, settled=False, **more),
    ]
    ours, theirs = contest.longest_trainings(rows)
    assert ours == ["equivariant", 0, 500, 30, 0.9, 0.5, "0.700", "0 of 1"]
    assert theirs == ["unet-8", 5, 4000, 150, 0.9, 0.5, "0.500 (0.400–0.600)", "1 of 1"]
    assert contest.longest_trainings(rows[1:2])[0][-1] == "–"

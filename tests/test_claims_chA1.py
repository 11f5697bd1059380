"""Appendix A1's claims can fail: other kernels, other processes, broken orbits and networks that do not train alike."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from gdl_lab.claims import chA1, ensembles
from gdl_lab.claims.ensembles import Lazy, Spread, circle
from gdl_lab.infinite_width import InfiniteEnsemble, Kernels, WideNetwork, dynamics, kernels, posterior
from gdl_lab.symmetry import C4

# Kernels


def test_other_kernels_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chA1, "kernels", partial(kernels, bias_variance=0.2))
    assert not chA1.kernels_are_expectations.outcome().holds
    monkeypatch.setattr(chA1, "kernels", lambda x, depth: Kernels(*kernels(x, depth=depth)[::-1]))
    assert not chA1.kernels_are_expectations.outcome().holds


def test_quadrature_knows_two_points_that_are_one_or_opposite() -> None:
    """With u = v the expectations are half of the variance, and 1/2."""
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    both, ntk = ensembles.by_quadrature(x, x * (1 + 1e-6), 1)
    assert both == pytest.approx(5 + 0.1 + 0.1, abs=1e-4)
    assert ntk == pytest.approx(both + 5.1, abs=1e-4)
    both, _ = ensembles.by_quadrature(x, -x, 1)
    assert 0.1 < both < 0.2


def test_cosines_lose_digits() -> None:
    assert not chA1.nearly_equal_points_keep_their_digits.outcome(ntk=ensembles.by_cosines).holds
    x, y = ensembles.normal(2, 3, 6, seed=0)
    assert (ensembles.by_cosines(x, y) - kernels(x, y).ntk).abs().max() < 1e-13  # otherwise they are right


def test_networks_that_do_not_come_nearer_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not chA1.tangent_kernels_converge.outcome(errors={16: 0.7, 64: 0.6, 256: 0.5}).holds
    assert chA1.tangent_kernels_converge.outcome(errors={16: 0.4, 64: 0.2, 256: 0.1}).holds
    wider = lambda widths, **more: WideNetwork([widths[0], 2 * widths[1], 1], **more)  # noqa: E731
    monkeypatch.setattr(chA1, "WideNetwork", wider)
    assert not chA1.outputs_become_normal.outcome().holds


# Training


def sampled(mean: Tensor, covariance: Tensor, members: int = 200) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors * values.clamp(min=0).sqrt()
    return mean + torch.randn(members, len(values), generator=rng, dtype=mean.dtype) @ root.T


def test_samples_of_the_theory_pass_and_samples_of_the_posterior_do_not() -> None:
    task, theory = circle(), chA1._infinite()
    right = {t: sampled(theory.mean(task.at, t)[:, 0], theory.covariance(task.at, t)) for t in ensembles.SNAPSHOTS}
    mean, covariance = posterior(task.x, task.y, task.at)
    bayes = right | {300: sampled(mean[:, 0], covariance)}
    assert chA1.ensembles_follow_the_theory.outcome(said=right).holds
    assert chA1.descent_is_not_bayes.outcome(said=right).holds
    assert not chA1.ensembles_follow_the_theory.outcome(said=bayes).holds
    assert abs(chA1.descent_is_not_bayes.outcome(said=bayes).value - 1) < 0.25


def test_another_time_another_rate_and_another_spread_are_noticed() -> None:
    task, theory = circle(), chA1._infinite()
    right = {t: sampled(theory.mean(task.at, t)[:, 0], theory.covariance(task.at, t)) for t in ensembles.SNAPSHOTS}
    late = right | {5: right[30]}
    wide = {t: f.mean(0) + 1.2 * (f - f.mean(0)) for t, f in right.items()}
    for said in (late, wide):
        assert not chA1.ensembles_follow_the_theory.outcome(said=said).holds


def test_a_narrow_ensemble_is_trained_as_the_theory_says_but_for_its_width() -> None:
    said, task = ensembles.on_circle(32, 40), circle()
    assert sorted(said) == [0, *ensembles.SNAPSHOTS]
    spread = said[0].std(0).mean() / kernels(task.at).nngp.diagonal().mean().sqrt()
    assert 0.8 < spread < 1.2
    given = torch.atan2(task.x[:, 1], task.x[:, 0])
    near = (task.angles[:, None] - given).abs().argmin(0)
    assert (said[300].mean(0)[near] - task.y[:, 0]).abs().max() < 0.1


def test_networks_that_learn_features_are_noticed() -> None:
    rows = [Lazy(width, 0.3, 0.3, 0.1) for width in (16, 64, 256)]
    assert not chA1.networks_are_lazy.outcome(rows=rows).holds
    narrow, wide = (ensembles.lazy(width, 3, steps=20) for width in (8, 128))
    assert wide.off < narrow.off
    assert wide.weights < narrow.weights / 4


# Symmetry


def test_an_orbit_that_is_not_closed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ensembles.ORBITS, "C4", (0, 1, 2))
    assert not chA1.orbits_make_invariance.outcome(count=20).holds
    assert not chA1.targets_that_turn.outcome(count=20).holds


def test_kernels_that_lost_their_digits_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the training points, where arccos is asked at 1, the theorem would look approximate."""

    def naive(x: Tensor, y: Tensor | None = None, **given: Any) -> Kernels:
        right = kernels(x, y, **given)
        return Kernels(right.nngp, ensembles.by_cosines(x, x if y is None else y))

    monkeypatch.setattr(dynamics, "kernels", naive)
    worst = max(chA1.orbits_make_invariance.outcome(count=20).value for _ in range(3))  # some digits are lucky
    assert 1e-11 < worst < 1e-3


def test_targets_that_do_not_turn_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = ensembles.pointing
    x = ensembles.normal(3, 8, 8, seed=0)
    quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    assert (right(C4.on_pictures(1, x)) - right(x) @ quarter.T).abs().max() < 1e-14
    skew = torch.tensor([[1.0, 0.3], [0.0, 1.0]], dtype=torch.float64)
    monkeypatch.setattr(ensembles, "pointing", lambda x: right(x) @ skew)
    assert chA1.targets_that_turn.outcome(count=20).holds  # any vector turned along is a target that turns
    quarters = torch.linalg.matrix_power
    monkeypatch.setattr(torch.linalg, "matrix_power", lambda A, n: quarters(A, 1 if n else 0))
    assert not chA1.targets_that_turn.outcome(count=20).holds


@pytest.mark.parametrize("mistake", [{"elements": (0, 2)}, {"seen": (0, 1, 2)}, {"batch": 20}, {"single": True}])
def test_ensembles_that_do_not_close_are_noticed(mistake: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    right = ensembles.closed
    monkeypatch.setattr(ensembles, "closed", lambda *, seed: right(**mistake, seed=seed))
    assert not chA1.closed_ensembles_are_invariant.outcome().holds


def test_mistakes_that_do_no_harm_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = ensembles.closed
    monkeypatch.setattr(ensembles, "closed", lambda *_, seed, **__: right(seed=seed))
    assert not chA1.mistakes_break_it.outcome().holds


def test_members_that_do_not_average_out_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    members = [1, 4, 16, 64]
    falling, flat = [1.0, 0.5, 0.25, 0.125], [1.0, 0.5, 0.4, 0.4]
    monkeypatch.setattr(ensembles, "spreads", lambda **_: Spread(members, flat, flat))
    assert chA1.members_average_out.outcome(spread=Spread(members, falling, falling)).holds
    assert not chA1.members_average_out.outcome(spread=Spread(members, flat, falling)).holds
    monkeypatch.setattr(ensembles, "spreads", lambda **_: Spread(members, falling, falling))
    assert chA1.members_average_out.outcome(spread=Spread(members, falling, falling)).value == math.inf


def test_a_small_ensemble_is_averaged_in_groups() -> None:
    few = ensembles.spreads(8, count=5, width=8, steps=5)
    assert few.members == [1, 2, 4, 8]
    assert all(a > b > 0 for a, b in zip(few.noise, few.noise[1:], strict=False))


def test_the_error_of_invariance_is_that_of_an_orbit() -> None:
    x = ensembles.normal(5, 3, 3, seed=0)
    assert ensembles.out_of_line(ensembles.turned(lambda rows: rows.sum(1, keepdim=True), x)) < 1e-14
    assert ensembles.out_of_line(torch.tensor([1.0, 3.0]).view(2, 1, 1)) == pytest.approx(0.5)
    assert ensembles.out_of_line(torch.tensor([1.0, 3.0]).view(2, 1, 1), absolute=True) == pytest.approx(1.0)
    assert isinstance(ensembles.infinite(ensembles.digits(5, 1), (0,)), InfiniteEnsemble)

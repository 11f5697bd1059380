"""Chapter A2's claims can fail: wrong counts, wrong moves and networks that have learned nothing do not pass."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gdl_lab.claims import chA2, signatures
from gdl_lab.claims.signatures import Reading
from gdl_lab.discovery import Policy, Polyhedra, Standardised, draw, ratio, searches
from gdl_lab.discovery import dilogarithms as room
from gdl_lab.discovery.knots import CUSP, FEATURES

# Polyhedra


def test_a_coarse_merging_of_faces_is_noticed() -> None:
    measured = chA2.counts_are_right.outcome(coplanar=0.05)
    assert not measured.holds
    assert measured.value >= 2


def test_one_face_too_many_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def miscounted(*arguments: Any, **options: Any) -> Polyhedra:
        table = draw(*arguments, **options)
        return replace(table, faces=table.faces + (table.x[:, 0] > 20).double())

    monkeypatch.setattr(chA2, "draw", miscounted)
    assert not chA2.euler_is_found.outcome().holds
    assert chA2.one_family_hides_it.outcome().value == 0


def test_a_family_that_shows_the_formula_hides_nothing() -> None:
    assert not chA2.one_family_hides_it.outcome(family="lattice").holds


class Formula(nn.Module):
    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.weights = torch.tensor(weights, dtype=torch.float32)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weights + 2


def test_slopes_of_another_formula_are_noticed() -> None:
    x = draw(30).x
    assert chA2.slopes_read_the_formula.outcome(network=Formula(-1, 1, 0, 0), x=x).holds
    assert not chA2.slopes_read_the_formula.outcome(network=Formula(1, -1, 0, 0), x=x).holds
    assert not chA2.slopes_read_the_formula.outcome(network=Formula(0.0435, 0.6522, 0, 0), x=x).holds


# Knots


def reading(share: float = 0.9, **lost: float) -> Reading:
    network = Standardised(nn.Identity(), torch.zeros(2, 10))
    first = {"Re meridian": 0.5, "longitude": 0.3, "Im meridian": 0.2, "volume": 0.1, **lost}
    return Reading(FEATURES, network, share, {**dict.fromkeys(FEATURES, 0.0), **first})


def test_features_that_are_not_the_cusp_s_are_noticed() -> None:
    assert chA2.three_features_are_found.outcome(reading=reading()).holds
    assert not chA2.three_features_are_found.outcome(reading=reading(volume=0.6)).holds


def test_a_cusp_that_is_not_needed_is_noticed() -> None:
    good = {"all": reading(), "cusp": reading(0.85), "without": reading(0.28)}
    assert chA2.cusp_is_needed.outcome(readings=good).holds
    assert not chA2.cusp_is_needed.outcome(readings={**good, "without": reading(0.7)}).holds
    assert chA2.shuffled_signatures_teach_nothing.outcome(reading=reading(0.25)).holds
    assert not chA2.shuffled_signatures_teach_nothing.outcome(reading=reading(0.5)).holds


def test_other_slopes_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    table = signatures.table()
    for wrong in (replace(table, signature=-table.signature), replace(table, signature=table.signature.roll(1))):
        monkeypatch.setattr(signatures, "table", lambda wrong=wrong: wrong)
        assert not chA2.signature_follows_the_slope.outcome().holds


def test_a_rule_with_the_fitted_factor_is_better_than_with_a_half() -> None:
    extra = chA2.signature_follows_the_slope.outcome().extra
    assert extra["fitted"] > extra["half"] + 0.05 > signatures.majority() + 0.3


def test_a_reading_is_of_the_features_it_was_given() -> None:
    one = signatures.read(CUSP, 5)
    assert one.features == tuple(one.importance) == CUSP
    assert one.network(torch.zeros(4, 3)).shape == (4, int(signatures.labels(signatures.table().signature).max()) + 1)
    assert 0.15 < signatures.majority() < 0.4


# Dilogarithms


def test_a_wrong_move_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def half(r: room.Ratio) -> tuple[room.Ratio, room.Ratio]:
        square, opposite = right(r)
        return square, r if len(r.top) > 1 else opposite

    right = room.duplicate
    monkeypatch.setattr(room, "duplicate", half)
    assert not chA2.moves_keep_the_sum.outcome().holds
    assert not chA2.scrambles_vanish.outcome().holds


def test_an_oracle_that_sees_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chA2, "value", lambda expression, z: torch.zeros(len(z)).numpy())
    assert chA2.scrambles_vanish.outcome().value == math.inf


def test_a_policy_that_has_not_learned_does_not_pass() -> None:
    torch.manual_seed(1)
    assert not chA2.policy_simplifies.outcome(policy=Policy().eval(), n=20).holds


def test_classes_without_their_signs_do_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    right = searches.representative
    monkeypatch.setattr(searches, "representative", lambda r: (right(r)[0], 1))
    assert not chA2.symmetry_beats_search.outcome(budget=40).holds


def test_terms_that_a_move_cancels_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    z = ratio([0, 1])
    zero = {z: room.UNIT, room.invert(z): room.UNIT}
    monkeypatch.setattr(chA2, "five_terms", lambda x, y: zero)
    assert chA2.five_terms_stay.outcome().value == math.inf
    monkeypatch.setattr(chA2, "five_terms", lambda x, y: {z: room.UNIT})
    assert not chA2.five_terms_stay.outcome(budget=50).holds

"""Exact claims hold for every seed, and show the seed that they drew."""

from __future__ import annotations

import inspect

import pytest

from gdl_lab import claims, runtime
from gdl_lab.claims.ledger import Claim

EXACT = [entered for entered in claims.registered() if '"seed": ' in inspect.getsource(entered.measure)]


def test_these_chapters_have_exact_claims() -> None:
    """`test_ledger` measures every claim, and sees that those which draw a seed are these."""
    rooms = {entered.id.split(".")[0] for entered in EXACT}
    assert rooms == {
        "mlp",
        "cnn",
        "manifold",
        "flows",
        "metric",
        "symmetry",
        "sphere",
        "gauge",
        "lattice",
        "width",
        "discovery",
    }


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("claim", EXACT, ids=lambda claim: claim.id)
def test_it_holds_for_a_given_seed(claim: Claim, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "fresh_seed", lambda: seed)
    measured = claim.outcome()
    assert measured.holds, measured
    assert str(measured.extra["seed"]) == str(seed)

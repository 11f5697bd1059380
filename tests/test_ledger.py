"""The ledger: bounds, rows and failures; and every claim that has been entered holds."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdl_lab import claims, runtime
from gdl_lab.claims import ledger
from gdl_lab.claims.ledger import Bound, ClaimFailed, at_least, at_most, claim, registered, reported, within
from tests.test_exact_claims import EXACT

ENTERED = claims.registered()
KEYS = ["id", "talk", "statement", "value", "bound", "holds", "seconds", "profile"]
finite = st.floats(-1e9, 1e9)


@pytest.fixture(autouse=True)
def _empty_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_claims", {})


def enter(value: Any, bound: Bound, **options: Any) -> ledger.Claim:
    @claim("test.value", talk="neural-networks", bound=bound, **options)
    def measure(*, given: Any = value) -> Any:
        """The value is what it is.

        This paragraph is not part of the statement.
        """
        return given

    return measure


# Bounds


@given(finite, finite)
def test_bounds_hold_where_they_say(x: float, value: float) -> None:
    assert at_most(x).holds(value) == (value <= x)
    assert at_least(x).holds(value) == (value >= x)
    assert at_most(x).holds(x)
    assert at_least(x).holds(x)
    assert within(x, abs(value)).holds(x)
    assert within(x, 1.0).holds(value) == (x - 1 <= value <= x + 1)


@pytest.mark.parametrize(
    "bound", [at_most(math.inf), at_least(-math.inf), within(0, math.inf), at_most(1), within(0, 1)]
)
def test_nothing_holds_of_nan(bound: Bound) -> None:
    assert not bound.holds(math.nan)
    assert not enter(math.nan, bound).outcome().holds


def test_infinity_meets_no_finite_bound() -> None:
    assert not at_most(1).holds(math.inf)
    assert not within(0, 1).holds(-math.inf)
    assert at_least(1).holds(math.inf)


@pytest.mark.parametrize("value", [0.5, math.nan, math.inf, -math.inf])
def test_what_is_only_reported_never_fails(value: float) -> None:
    measured = enter(value, reported())()
    assert measured.holds
    assert measured.bound.text == "reported"


def test_bounds_are_written_as_a_reader_sees_them() -> None:
    texts = [bound.text for bound in (at_most(1e-12), at_least(0.5), within(2, 0.02), reported())]
    assert texts == ["≤ 1e-12", "≥ 0.5", "= 2 ± 0.02", "reported"]


# Calling a claim


def test_a_claim_that_holds_gives_its_measurement() -> None:
    runtime.start("full", device="cpu")
    measured = enter(0.25, at_most(0.5))()
    assert (measured.id, measured.talk, measured.value, measured.holds) == ("test.value", "neural-networks", 0.25, True)
    assert measured.statement == "The value is what it is."
    assert measured.profile == "full"
    assert measured.seconds >= 0


def test_a_claim_that_fails_raises_on_call_and_not_on_outcome() -> None:
    failing = enter(0.75, at_most(0.5))
    with pytest.raises(ClaimFailed, match=r"✗ The value is what it is\. 0\.75 \(≤ 0\.5 · test\.value\)"):
        failing()
    assert failing.outcome().holds is False


def test_arguments_reach_the_measuring_function() -> None:
    entered = enter(0.25, at_most(0.5))
    assert entered(given=0.4).value == 0.4
    with pytest.raises(ClaimFailed):
        entered(given=0.6)
    with pytest.raises(TypeError):
        entered(unknown=1)


def test_an_error_in_the_measuring_function_is_not_hidden() -> None:
    @claim("test.error", talk="neural-networks", bound=reported())
    def measure() -> float:
        """It cannot be measured."""
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        measure.outcome()


def test_a_dict_is_bounded_by_its_value_and_shows_the_rest() -> None:
    measured = enter({"value": 1.0, "talk_says": 2, "name": "a"}, within(1, 0.1))()
    assert measured.extra == {"talk_says": 2, "name": "a"}
    assert str(measured) == "✓ The value is what it is. 1 (= 1 ± 0.1 · talk says 2 · name a · test.value)"
    with pytest.raises(KeyError):
        enter({"worth": 1.0}, reported()).outcome()


def test_help_shows_the_measuring_function() -> None:
    entered = enter(1.0, reported())
    assert entered.__doc__ is not None
    assert entered.__doc__.startswith("The value is what it is.")


# Rows


@pytest.mark.parametrize("value", [0.5, 3, math.nan, math.inf, -math.inf, True])
def test_a_row_has_its_eight_keys_and_survives_json(value: float) -> None:
    row = enter({"value": value, "extra": object()}, reported()).outcome().row()
    assert list(row) == KEYS
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert row["value"] == (value if math.isfinite(value) else None)


def test_a_row_of_numbers_from_other_libraries_survives_json() -> None:
    numpy, torch = pytest.importorskip("numpy"), pytest.importorskip("torch")
    for value in (numpy.float32(0.5), numpy.int64(1), torch.tensor(0.5), numpy.array(0.5)):
        row = enter(value, at_most(1)).outcome().row()
        assert json.loads(json.dumps(row)) == row
        assert row["holds"] is True


def test_an_unmeasured_row_neither_holds_nor_fails() -> None:
    row = enter(0.5, at_most(1), needs="laptop").unmeasured("smoke")
    assert list(row) == KEYS
    assert (row["value"], row["holds"], row["profile"]) == (None, None, "smoke")


def test_html_is_escaped_and_its_kind_tells_whether_it_holds() -> None:
    @claim("test.html", talk="neural-networks", bound=at_most(1))
    def measure(*, value: float = 0.5) -> dict[str, Any]:
        """For x < y & z, <script>alert("!")</script> holds."""
        return {"value": value, "note": "<b>"}

    page = measure()._repr_html_()
    assert "<script" not in page
    assert "<b>" not in page
    assert "x &lt; y &amp; z" in page
    assert "gdl-claim-holds" in page
    assert "gdl-claim-fails" in measure.outcome(value=2.0)._repr_html_()


@pytest.mark.parametrize(
    ("value", "shown"),
    [(3, "3"), (12345.0, "12,345"), (1 / 3, "0.333"), (1e-13, "1e-13"), (math.nan, "nan"), (1e9, "1e+09")],
)
def test_numbers_are_shown_briefly(value: float, shown: str) -> None:
    assert f" {shown} (" in str(enter(value, reported())())


# Entering a claim


def test_an_id_is_entered_once_but_a_module_may_be_reloaded() -> None:
    first = enter(1.0, reported())
    again = enter(2.0, reported())
    assert registered() == [again] != [first]

    def measure() -> float:
        """Something else under the same name."""
        return 1.0

    with pytest.raises(ValueError, match=r"two claims are called test\.value"):
        claim("test.value", talk="neural-networks", bound=reported())(measure)


def test_functions_of_one_name_in_two_modules_are_two_claims() -> None:
    def measure() -> float:
        """A statement."""
        return 1.0

    claim("test.same", talk="neural-networks", bound=reported())(measure)
    measure.__module__ = "another.chapter"  # the object is the same; what is compared is where it comes from
    ledger._claims["test.same"].measure = lambda: 1.0
    ledger._claims["test.same"].measure.__qualname__ = measure.__qualname__
    with pytest.raises(ValueError, match=r"two claims are called test\.same"):
        claim("test.same", talk="neural-networks", bound=reported())(measure)


def test_a_claim_says_what_it_states_and_can_be_called_with_nothing() -> None:
    def silent() -> float:
        return 1.0

    def demanding(*, flow: Any) -> float:
        """It needs a flow."""
        return 1.0

    def enter_(measure: Any, **options: Any) -> None:
        claim("test.bad", talk="neural-networks", bound=reported(), **options)(measure)

    with pytest.raises(ValueError, match=r"the claim test\.bad needs a docstring"):
        enter_(silent)
    with pytest.raises(ValueError, match=r"every argument of the claim test\.bad needs a default"):
        enter_(demanding)
    silent.__doc__ = "A statement."
    with pytest.raises(ValueError, match=r"test\.bad needs an unknown profile 'lunch'"):
        enter_(silent, needs="lunch")
    assert registered() == []


@pytest.mark.parametrize(
    ("needs", "runs"), [("smoke", [True, True, True]), ("laptop", [False, True, True]), ("full", [False, False, True])]
)
def test_a_claim_runs_in_the_profile_it_needs_and_in_larger_ones(needs: str, runs: list[bool]) -> None:
    entered = enter(1.0, reported(), needs=needs)
    assert [entered.runs_in(profile) for profile in ("smoke", "laptop", "full")] == runs
    with pytest.raises(ValueError, match="not in list"):
        entered.runs_in("lunch")


# The claims of the course


def test_ids_are_unique_names_of_the_form_room_dot_statement() -> None:
    ids = [entered.id for entered in ENTERED]
    assert ids
    assert len(set(ids)) == len(ids)
    for id_ in ids:
        assert re.fullmatch(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*", id_), id_


@pytest.mark.parametrize("entered", ENTERED, ids=lambda entered: entered.id)
def test_a_statement_is_a_sentence(entered: ledger.Claim) -> None:
    assert entered.statement.endswith("."), "a statement ends with a full stop"
    assert entered.statement[0] == entered.statement[0].upper()
    assert len(entered.statement) <= 250


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The fresh seeds that a test draws, in order."""
    seeds: list[int] = []
    fresh = runtime.fresh_seed

    def draw() -> int:
        seeds.append(fresh())
        return seeds[-1]

    monkeypatch.setattr(runtime, "fresh_seed", draw)
    return seeds


def shows_its_seed(measured: ledger.Measured, drawn: list[int]) -> bool:
    """Whether a claim that drew a fresh seed shows it, of several the first; one that drew none is not asked."""
    return not drawn or str(measured.extra.get("seed")) == str(drawn[0])


@pytest.mark.parametrize(
    ("show", "right"),
    [(lambda seed: {"seed": str(seed)}, True), (lambda seed: {"seed": str(seed + 1)}, False), (lambda seed: {}, False)],
    ids=["its own", "another", "none"],
)
def test_a_claim_that_shows_another_seed_is_found_out(show: Any, right: bool, drawn: list[int]) -> None:
    @claim("test.seed", talk="neural-networks", bound=reported())
    def measure() -> dict[str, Any]:
        """It draws a seed."""
        return {"value": 0.0, **show(runtime.fresh_seed())}

    assert shows_its_seed(measure.outcome(), drawn) == right
    assert len(drawn) == 1
    assert shows_its_seed(measure.outcome(), [])


@pytest.mark.slow
@pytest.mark.parametrize(
    "entered", [entered for entered in ENTERED if entered.runs_in("smoke")], ids=lambda entered: entered.id
)
def test_the_claim_holds_in_smoke_and_shows_the_seed_that_it_drew(entered: ledger.Claim, drawn: list[int]) -> None:
    measured = entered.outcome()
    print(measured)
    assert shows_its_seed(measured, drawn)
    assert (entered in EXACT) == bool(drawn), "what draws a seed is measured for several in test_exact_claims"
    assert measured.profile == "smoke"
    assert measured.holds, str(measured)
    assert list(measured.row()) == KEYS
    json.dumps(measured.row(), allow_nan=False)

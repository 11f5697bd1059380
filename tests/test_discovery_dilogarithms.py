"""Dilogarithms: D against integrals and known volumes, moves against D, searches and classes against both."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from scipy.integrate import quad

from gdl_lab.discovery import (
    UNIT,
    Expression,
    Ratio,
    apply,
    best_first,
    bloch_wigner,
    five_terms,
    in_words,
    invert,
    key,
    look_ahead,
    moves,
    neighbours,
    quotient,
    quotient_neighbours,
    random_walk,
    ratio,
    reflect,
    representative,
    scramble,
    value,
)
from gdl_lab.discovery.dilogarithms import DEGREE, TERMS

Z = np.array([0.31 + 0.74j, -1.13 + 0.42j])
IDENTITY = ratio([0, 1])


def zeros(n: int, seed: int) -> list[Expression]:
    rng = random.Random(seed)
    return [scramble(rng, rng.randint(1, 3), rng.randint(4, 12))[0] for _ in range(n)]


def spoil(e: Expression, term: Ratio) -> Expression:
    """A sum that is not 0, if the term's D is not: the term once or twice more."""
    return {**e, term: e[term] + (UNIT if e[term] == -2 * UNIT else 2 * UNIT)}


# D


def test_d_on_the_circle_is_clausen_s_integral() -> None:
    for theta in (0.4, math.pi / 3, 2.0):
        clausen = -quad(lambda t: math.log(2 * math.sin(t / 2)), 0, theta)[0]
        assert bloch_wigner(np.exp(1j * theta)) == pytest.approx(clausen, abs=1e-9)


def test_twice_its_maximum_is_the_volume_of_the_figure_eight() -> None:
    assert 2 * bloch_wigner(np.exp(1j * math.pi / 3)) == pytest.approx(2.0298832128, abs=1e-9)


def test_d_is_the_integral_of_its_differential() -> None:
    """dD = log|x| d arg(1 − x) − log|1 − x| d arg x, along a segment."""
    a, b = 0.3 + 0.4j, -0.7 + 1.1j

    def rate(t: float) -> float:
        x, dx = a + t * (b - a), b - a
        return math.log(abs(x)) * (dx / (x - 1)).imag - math.log(abs(1 - x)) * (dx / x).imag

    assert quad(rate, 0, 1)[0] == pytest.approx(float(bloch_wigner(b) - bloch_wigner(a)), abs=1e-9)


# Terms


def test_a_ratio_is_in_lowest_terms_and_upright() -> None:
    assert ratio([1, 0, -1], [1, 1]) == Ratio((1, -1), (1,))
    assert ratio([2, 4], [-6]) == Ratio((-1, -2), (3,))
    assert ratio([0, 2], [0, 0, 4]) == Ratio((1,), (0, 2))
    assert ratio([1, 2, 1], [1, 3, 2]) == Ratio((1, 1), (1, 2))


@pytest.mark.parametrize(
    ("top", "bottom", "words"),
    [
        ([1, 2], [0, 0], "division by zero"),
        ([2, 2], [1, 1], "a constant"),
        ([0], [1, 1], "a constant"),
        ([0.5, 1], [1], "whole coefficients"),
        ([math.inf, 1], [1], "whole|infinity"),
    ],
)
def test_what_is_no_ratio_gets_clear_words(top: list[float], bottom: list[float], words: str) -> None:
    with pytest.raises((ValueError, OverflowError), match=words):
        ratio(top, bottom)  # type: ignore[arg-type]


def test_moves_of_terms_are_those_of_numbers(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(20):
        r = rng.choice(list(scramble(rng, 1, 3)[0]))
        assert np.allclose(invert(r)(Z), 1 / r(Z))
        assert np.allclose(reflect(r)(Z), 1 - r(Z))
        assert invert(invert(r)) == reflect(reflect(r)) == r
        for one in (invert(r), reflect(r)):
            assert ratio(*one) == one, "still in lowest terms"


def test_words_of_an_expression() -> None:
    e = {IDENTITY: UNIT, ratio([1], [0, 1]): -UNIT // 2, ratio([1, -2], [3, 0, 1]): 3 * UNIT}
    assert in_words(e) == "D(z) − 1/2 D(1/z) + 3 D((1 − 2z)/(3 + z²))"
    assert in_words({}) == "0"
    assert in_words({ratio([0, -1]): -UNIT}) == "−D(−z)"


# Moves


def test_every_move_keeps_the_value(seed: int) -> None:
    rng = random.Random(seed)
    for expression in zeros(5, seed):
        term = rng.choice(list(expression))
        spoiled = spoil(expression, term)
        before = value(spoiled, Z)
        for _, after in moves(spoiled):
            assert np.allclose(value(after, Z), before, atol=1e-9)
            assert len(after) <= TERMS
            assert all(max(map(len, r)) <= DEGREE + 1 for r in after)
            assert all(after.values())


def test_a_move_may_be_refused_and_never_changes_what_it_is_given() -> None:
    e = {IDENTITY: 1}
    assert apply(e, (IDENTITY, 2)) is None, "half of 1/UNIT"
    assert apply({ratio([0] * 5 + [1]): UNIT}, (ratio([0] * 5 + [1]), 2)) is None, "degree 10"
    assert e == {IDENTITY: 1}
    with pytest.raises(KeyError):
        apply(e, (ratio([1, 1]), 0))


def test_a_scramble_is_zero_and_its_last_move_can_be_undone(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(10):
        whole, path = scramble(rng, 1, 6)
        assert np.abs(value(whole, Z)).max() < 1e-9
        for expression, undo in path:
            assert apply(expression, undo) is not None
            assert np.abs(value(expression, Z)).max() < 1e-9
    assert apply(*scramble(random.Random(0), 1, 1)[1][0]) == {}, "one move, undone, leaves nothing"


def test_a_wrong_duplication_is_noticed() -> None:
    square, opposite = ratio([0, 0, 1]), ratio([0, -1])
    assert np.abs(value({IDENTITY: UNIT, square: -UNIT // 2, opposite: UNIT}, Z)).max() < 1e-12
    assert np.abs(value({IDENTITY: UNIT, square: -UNIT, opposite: UNIT}, Z)).max() > 1e-3


def test_scrambles_want_sensible_numbers() -> None:
    for n, steps in ((0, 4), (3, 2)):
        with pytest.raises(ValueError, match="at least one zero"):
            scramble(random.Random(0), n, steps)


def test_five_terms_are_zero() -> None:
    for x, y in ((IDENTITY, ratio([0, -1])), (ratio([1, 2], [3, 1]), ratio([0, 1, 1], [2]))):
        five = five_terms(x, y)
        assert np.abs(value(five, Z)).max() < 1e-10
        assert len(five) == 5
        four = dict(list(five.items())[:4])
        assert np.abs(value(four, Z)).max() > 1e-3
    with pytest.raises(ValueError, match="constant"):
        five_terms(IDENTITY, invert(IDENTITY))


# Classes and searches


def test_classes_are_orbits_of_s3(seed: int) -> None:
    for expression in zeros(5, seed):
        for r in expression:
            least, sign = representative(r)
            orbit = {r, invert(r), reflect(r), invert(reflect(r)), reflect(invert(r)), invert(reflect(invert(r)))}
            assert {representative(one)[0] for one in orbit} == {least}
            assert least in orbit
            assert np.allclose(bloch_wigner(r(Z)), sign * bloch_wigner(least(Z)), atol=1e-9)
        assert np.allclose(value(quotient(expression), Z), value(expression, Z), atol=1e-9)


def test_members_of_a_class_cancel_with_their_signs() -> None:
    z = ratio([0, 1])
    assert representative(z)[1] in (1, -1)
    assert quotient({z: UNIT, invert(z): UNIT}) == {}
    assert quotient({z: UNIT, reflect(invert(z)): -UNIT}) == {}
    assert quotient({z: UNIT, reflect(z): -UNIT}) != {}


def test_a_step_among_classes_keeps_the_value(seed: int) -> None:
    for expression in zeros(5, seed):
        term = next(iter(expression))
        spoiled = quotient(spoil(expression, term))
        for after in quotient_neighbours(spoiled):
            assert np.allclose(value(after, Z), value(spoiled, Z), atol=1e-9)


def test_search_finds_zeros_and_only_zeros() -> None:
    tested = zeros(20, 1)
    assert sum(best_first(e, 5000).solved for e in tested) >= 16
    assert all(best_first(quotient(e), 500, quotient_neighbours).solved for e in tested)
    for e in tested:
        term = next(iter(e))
        spoiled = spoil(e, term)
        if quotient({term: UNIT}):
            assert not best_first(quotient(spoiled), 300, quotient_neighbours).solved
    assert best_first({}, 10).solved


def test_search_keeps_to_its_budget_and_says_when_nothing_is_left() -> None:
    e = zeros(1, 3)[0]
    found = best_first(e, 7)
    assert found.solved or found.looked_at == 7
    nothing = best_first({ratio([1, 0, 0, 0, 0, 1]): 1}, 1000, quotient_neighbours)
    assert nothing.exhausted
    assert not nothing.solved


def test_players_of_luck_and_of_greed() -> None:
    tested, rng = zeros(20, 2), random.Random(0)
    luck, greed = (sum(player(e, rng) for e in tested) for player in (random_walk, look_ahead))
    assert luck < greed
    assert random_walk({}, rng)
    assert look_ahead({}, rng)


def test_a_key_forgets_the_order_of_terms() -> None:
    e = zeros(1, 5)[0]
    assert key(e) == key(dict(reversed(e.items())))
    assert {len(after) for after in neighbours(e)} <= set(range(TERMS + 1))

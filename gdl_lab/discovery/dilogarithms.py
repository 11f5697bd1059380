r"""Sums of dilogarithms Σ c D(r), with rational functions r(z), and three moves that do not change them.

The Bloch–Wigner dilogarithm D(x) = Im Li₂(x) + arg(1 − x) log|x| is real-analytic away from 0, 1 and ∞, and

    D(x) = −D(1/x),      D(x) = −D(1 − x),      D(x) = ½ D(x²) − D(−x).

Terms are exact: r = top/bottom with whole coefficients, in lowest terms. All three moves keep it so: a common factor of
d − n and d divides n, and one of n² and d² divides both n and d. So nothing has to be cancelled after the first line.

Source: Zagier (2007), chapter I; as a game for one player, Dersy, Schwartz & Zhang (2022).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.special import spence

__all__ = [
    "DEGREE", "MOVES", "TERMS", "UNIT", "Expression", "Move", "Ratio", "add", "apply", "bloch_wigner", "duplicate",
    "five_terms", "in_words", "invert", "moves", "ratio", "reflect", "scramble", "value",
]  # fmt: skip

DEGREE, TERMS = 8, 10  # an expression may not grow beyond these
UNIT = 1024  # coefficients are multiples of 1/UNIT, so that halves stay exact
MOVES = ("invert", "reflect", "duplicate")
Polynomial = tuple[int, ...]  # coefficients of 1, z, z², …; the last is not zero


class Ratio(NamedTuple):
    """A rational function in lowest terms; the leading coefficient below is positive. `ratio` makes one of any two."""

    top: Polynomial
    bottom: Polynomial

    def __call__(self, z: Any) -> Any:
        """The value at complex numbers ``z``."""
        return np.polyval(self.top[::-1], z) / np.polyval(self.bottom[::-1], z)

    def __str__(self) -> str:
        if self.bottom == (1,):
            return _written(self.top)
        above, below = (f"({text})" if " " in text else text for text in map(_written, self))
        return f"{above}/{below}" if below.isalnum() or below.startswith("(") else f"{above}/({below})"


Expression = dict[Ratio, int]  # term → coefficient in units of 1/UNIT, never 0
Move = tuple[Ratio, int]  # a term, and the number of a move in `MOVES`


def ratio(top: Sequence[int], bottom: Sequence[int] = (1,)) -> Ratio:
    """The rational function top/bottom in lowest terms, from coefficients of 1, z, z², …

    Raises:
        ValueError: coefficients that are not whole, a zero below, or a constant, whose D is 0.
    """
    for given in (top, bottom):
        if any(int(c) != c for c in given):
            raise ValueError(f"expected whole coefficients of 1, z, z², …, got {tuple(given)}")
    n, d = _trimmed([int(c) for c in top]), _trimmed([int(c) for c in bottom])
    if not d:
        raise ValueError(f"division by zero: all of {tuple(bottom)} vanish")
    common = _common_factor(n, d)
    n, d = _divided(n, common), _divided(d, common)
    if max(len(n), len(d)) < 2:
        raise ValueError("expected a function of z, got a constant: D of a real number is 0")
    return _normal(n, d)


def invert(r: Ratio) -> Ratio:
    """1/r."""
    return _upright(r.bottom, r.top)


def reflect(r: Ratio) -> Ratio:
    """1 − r."""
    n, d = r
    length = max(len(n), len(d))
    difference = [(d[k] if k < len(d) else 0) - (n[k] if k < len(n) else 0) for k in range(length)]
    return _upright(_trimmed(difference), d)


def duplicate(r: Ratio) -> tuple[Ratio, Ratio]:
    """r² and −r."""
    return Ratio(_squared(r.top), _squared(r.bottom)), Ratio(tuple(-c for c in r.top), r.bottom)


def add(to: Expression, term: Ratio, coefficient: int) -> None:
    """Add a multiple of a term to an expression, in place; terms that cancel vanish."""
    total = to.get(term, 0) + coefficient
    if total:
        to[term] = total
    else:
        to.pop(term, None)


def apply(expression: Expression, move: Move) -> Expression | None:
    """The expression after a move, or ``None`` where it may not be made.

    Duplication is refused where it needs a finer coefficient than 1/`UNIT`, and where degree or number of terms would
    exceed `DEGREE` and `TERMS`.

    Raises:
        KeyError: the expression has no such term.
    """
    term, kind = move
    c = expression[term]
    after = dict(expression)
    del after[term]
    if kind == 2:
        if c % 2 or 2 * (max(map(len, term)) - 1) > DEGREE:
            return None
        square, opposite = duplicate(term)
        add(after, square, c // 2)
        add(after, opposite, -c)
    else:
        add(after, invert(term) if kind == 0 else reflect(term), -c)
    return after if len(after) <= TERMS else None


def moves(expression: Expression) -> Iterator[tuple[Move, Expression]]:
    """All moves that may be made, with what they lead to."""
    for term in expression:
        for kind in range(3):
            after = apply(expression, (term, kind))
            if after is not None:
                yield (term, kind), after


def bloch_wigner(x: Any) -> Any:
    """D(x) of complex numbers."""
    x = np.asarray(x, complex)
    return spence(1 - x).imag + np.angle(1 - x) * np.log(np.abs(x))


def value(expression: Expression, z: Any) -> Any:
    """Σ c D(r(z)) at complex numbers z, float64; away from where a term is 0, 1 or ∞, good to some 1e-15 a term."""
    z = np.asarray(z, complex)
    return sum((c / UNIT * bloch_wigner(r(z)) for r, c in expression.items()), np.zeros(z.shape))


def in_words(expression: Expression) -> str:
    """The expression as one writes it."""
    text = ""
    for r, c in expression.items():
        size = Fraction(abs(c), UNIT)
        text += (" − " if c < 0 else " + ") + ("" if size == 1 else f"{size} ") + f"D({r})"
    return text[3:] if text.startswith(" + ") else text[1:].replace("− ", "−", 1) or "0"


def five_terms(x: Ratio, y: Ratio) -> Expression:
    """D(x) + D(y) + D((1 − x)/(1 − xy)) + D(1 − xy) + D((1 − y)/(1 − xy)), which is 0: Abel's identity.

    Raises:
        ValueError: one of the terms is a constant.
    """
    product = ratio(_times(x.top, y.top), _times(x.bottom, y.bottom))
    rest = reflect(product)
    found: Expression = {}
    for term in (
        x,
        y,
        rest,
        *(ratio(_times(a.top, rest.bottom), _times(a.bottom, rest.top)) for a in map(reflect, (x, y))),
    ):
        add(found, term, UNIT)
    return found


def scramble(rng: random.Random, zeros: int, steps: int) -> tuple[Expression, list[tuple[Expression, Move]]]:
    """A sum of so many zeros c D(r) − c D(r), of whose first halves ``steps`` random moves have been made.

    Returns:
        The expression, not empty, and on the way to it what stood there after each move and the move that undoes it.

    Raises:
        ValueError: no zeros, or fewer moves than zeros.
    """
    if not 1 <= zeros <= steps:
        raise ValueError(f"expected at least one zero and a move for each, got {zeros} zeros and {steps} moves")
    while True:
        starts = [(_random_ratio(rng), rng.choice((-2, -1, 1, 2)) * UNIT) for _ in range(zeros)]
        halves, undone, path = [{r: c} for r, c in starts], [None] * zeros, []
        turns = [*range(zeros), *(rng.randrange(zeros) for _ in range(steps - zeros))]
        rng.shuffle(turns)
        for j in turns:
            made = _random_move(rng, halves[j], undone[j])
            if made is None:
                break
            halves[j], undone[j] = made  # type: ignore[assignment]
            path.append((_sum(halves, starts), made[1]))
        else:
            whole = path[-1][0]
            if 0 < len(whole) <= TERMS:
                return whole, [
                    (e, undo) for e, undo in path if len(e) <= TERMS and undo[0] in e and apply(e, undo) is not None
                ]


def _random_move(rng: random.Random, half: Expression, undo: Move | None) -> tuple[Expression, Move] | None:
    """A move that is not the last one undone, and what undoes it; ``None`` if none was found in ten tries."""
    for _ in range(10):
        term = rng.choice(list(half))
        kind = 2 if rng.random() < 1 / 3 else rng.randrange(2)
        if (term, kind) != undo and (after := apply(half, (term, kind))):
            return after, ((invert, reflect, lambda r: duplicate(r)[1])[kind](term), kind)
    return None


def _sum(halves: Sequence[Expression], starts: Sequence[tuple[Ratio, int]]) -> Expression:
    whole: Expression = {}
    for half in halves:
        for term, c in half.items():
            add(whole, term, c)
    for term, c in starts:
        add(whole, term, -c)
    return whole


def _random_ratio(rng: random.Random) -> Ratio:
    """Two polynomials of degree 2 at most with coefficients from −2 to 2, without a common factor."""
    while True:
        n, d = (_trimmed([rng.randint(-2, 2) for _ in range(3)]) for _ in range(2))
        if n and d and max(len(n), len(d)) > 1 and len(_common_factor(n, d)) == 1:
            return _normal(n, d)


# Polynomials


def _trimmed(c: Sequence[int]) -> Polynomial:
    length = len(c)
    while length and not c[length - 1]:
        length -= 1
    return tuple(c[:length])


def _upright(n: Polynomial, d: Polynomial) -> Ratio:
    return Ratio(n, d) if d[-1] > 0 else Ratio(tuple(-c for c in n), tuple(-c for c in d))


def _normal(n: Polynomial, d: Polynomial) -> Ratio:
    shared = math.gcd(*n, *d)
    return _upright(tuple(c // shared for c in n), tuple(c // shared for c in d))


def _times(a: Polynomial, b: Polynomial) -> Polynomial:
    product = [0] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            product[i + j] += x * y
    return tuple(product)


@lru_cache(maxsize=100_000)
def _squared(a: Polynomial) -> Polynomial:
    return _times(a, a)


def _divided(a: Polynomial, by: Polynomial) -> Polynomial:
    """The quotient of a division without remainder, up to a common factor of both sides: by is primitive."""
    rest, quotient = list(map(Fraction, a)), [Fraction(0)] * max(len(a) - len(by) + 1, 0)
    for k in reversed(range(len(quotient))):
        quotient[k] = rest[k + len(by) - 1] / by[-1]
        for i, c in enumerate(by):
            rest[k + i] -= quotient[k] * c
    return tuple(int(c) for c in quotient)  # whole, by Gauss's lemma


@lru_cache(maxsize=100_000)
def _common_factor(a: Polynomial, b: Polynomial) -> Polynomial:
    """The greatest common factor with whole coefficients that have none in common, by Euclid's algorithm."""
    f, g = list(map(Fraction, a)), list(map(Fraction, b))
    while g:
        while len(f) >= len(g):
            factor, shift = f[-1] / g[-1], len(f) - len(g)
            f = [c - factor * g[k - shift] if k >= shift else c for k, c in enumerate(f)][:-1]
            while f and not f[-1]:
                f.pop()
        f, g = g, f
    scale = math.lcm(*(c.denominator for c in f))
    whole = [int(c * scale) for c in f]
    shared = math.gcd(*whole)
    return tuple(c // shared for c in whole)


def _written(p: Polynomial) -> str:
    text = ""
    for k, c in enumerate(p):
        if c:
            power = "" if k == 0 else "z" if k == 1 else "z" + "".join("⁰¹²³⁴⁵⁶⁷⁸⁹"[int(n)] for n in str(k))
            text += (" − " if c < 0 else " + ") + (str(abs(c)) if abs(c) != 1 or not k else "") + power
    return text[3:] if text.startswith(" + ") else text[1:].replace("− ", "−", 1) or "0"

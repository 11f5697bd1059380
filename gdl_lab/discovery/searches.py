r"""Ways to simplify a sum of dilogarithms without learning: at random, greedily, by search, and by symmetry.

The symmetry: 1/x and 1 − x generate the six substitutions of the anharmonic group, isomorphic to S₃, under which D goes
to ±D,

    x, 1/(1 − x), (x − 1)/x:  +,          1/x, 1 − x, x/(x − 1):  −.

So an expression is a sum over classes of terms, and of the three moves only duplication, of three members of a class
(the squares of x and 1/x are in one class), leads anywhere. A class has six members and a sign, since a
substitution that leaves r alone makes it a constant.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

from gdl_lab.discovery.dilogarithms import (
    DEGREE,
    TERMS,
    Expression,
    Ratio,
    add,
    duplicate,
    invert,
    moves,
    reflect,
)

__all__ = [
    "Found", "best_first", "key", "look_ahead", "neighbours", "quotient", "quotient_neighbours", "random_walk",
    "representative",
]  # fmt: skip

Neighbours = Callable[[Expression], Iterator[Expression]]


@dataclass(frozen=True)
class Found:
    """What a search came to.

    Attributes:
        solved: whether 0 was reached.
        looked_at: expressions that were computed on the way, repetitions included.
        exhausted: whether there was nothing left to look at.
    """

    solved: bool
    looked_at: int
    exhausted: bool = False


def key(expression: Expression) -> frozenset[tuple[Ratio, int]]:
    """The expression as something that can be put into a set: the order of terms does not count."""
    return frozenset(expression.items())


def size(expression: Expression) -> tuple[int, int]:
    """What a search follows: the number of terms, then all their degrees together."""
    return len(expression), sum(len(r.top) + len(r.bottom) for r in expression)


def neighbours(expression: Expression) -> Iterator[Expression]:
    """What one of the three moves leads to."""
    return (after for _, after in moves(expression))


def random_walk(start: Expression, rng: random.Random, steps: int = 50) -> bool:
    """Whether so many moves at random reach 0."""
    expression = start
    for _ in range(steps):
        if not expression:
            break
        expression = rng.choice(list(neighbours(expression)))
    return not expression


def look_ahead(start: Expression, rng: random.Random, steps: int = 50) -> bool:
    """Whether 0 is reached by moves to the fewest terms, or, where all are as many, at random to what is new."""
    expression, seen = start, {key(start)}
    for _ in range(steps):
        if not expression:
            break
        after = list(neighbours(expression))
        fewest = min(map(len, after))
        fewer = [e for e in after if len(e) == fewest] if fewest < len(expression) else []
        expression = rng.choice(fewer or [e for e in after if key(e) not in seen] or after)
        seen.add(key(expression))
    return not expression


def best_first(start: Expression, budget: int, following: Neighbours = neighbours) -> Found:
    """Search that goes on from the smallest expression seen so far, see `size`.

    Args:
        budget: so many expressions may be computed.
        following: what is one move away; `quotient_neighbours` for an expression of classes.
    """
    seen, order, looked_at = {key(start)}, count(), 0
    waiting = [(size(start), next(order), start)]
    if not start:
        return Found(True, 0)
    while waiting:
        for after in following(heapq.heappop(waiting)[2]):
            looked_at += 1
            if not after:
                return Found(True, looked_at)
            if (known := key(after)) not in seen:
                seen.add(known)
                heapq.heappush(waiting, (size(after), next(order), after))
            if looked_at >= budget:
                return Found(False, looked_at)
    return Found(False, looked_at, exhausted=True)


# The quotient by S₃


@lru_cache(maxsize=200_000)
def representative(r: Ratio) -> tuple[Ratio, int]:
    """The smallest of the six terms that D cannot tell from ±r, and the sign: D(r) = sign · D(representative).

    The six are different, since r is not constant.
    """
    inverted, reflected = invert(r), reflect(r)
    even = {r, invert(reflected), reflect(inverted)}
    odd = {inverted, reflected, invert(reflect(inverted))}
    least = min(even | odd)
    return least, 1 if least in even else -1


def quotient(expression: Expression) -> Expression:
    """The same sum with every term in the place of its class."""
    classes: Expression = {}
    for r, c in expression.items():
        _add_class(classes, r, c)
    return classes


def quotient_neighbours(classes: Expression) -> Iterator[Expression]:
    """What a duplication of a member of a class leads to, as classes."""
    for term, c in classes.items():
        for member in (term, reflect(term), reflect(invert(term))):
            if c % 2 or 2 * (max(map(len, member)) - 1) > DEGREE:
                continue
            sign = representative(member)[1]
            square, opposite = duplicate(member)
            after = dict(classes)
            del after[term]
            _add_class(after, square, sign * c // 2)
            _add_class(after, opposite, -sign * c)
            if len(after) <= TERMS:
                yield after


def _add_class(classes: Expression, r: Ratio, coefficient: int) -> None:
    least, sign = representative(r)
    add(classes, least, sign * coefficient)

"""Chapter A2's checkers know more mistakes than the usual ones, each with its hint, and other right answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from gdl_lab.exercises import chA2


def corners(faces: list[list[int]]) -> int:
    return len({v for face in faces for v in face})


@pytest.mark.parametrize(
    ("checker", "answer", "fragment"),
    [
        (chA2.counts, lambda faces: (8, 12), "Three numbers"),
        (chA2.counts, lambda faces: (corners(faces), 0, 5), "F is the number of faces"),
        (chA2.counts, lambda faces: (5, 12, len(faces)), "V is 7"),
        (chA2.counts, lambda faces: (corners(faces), 13, len(faces)), "E is 12"),
        (chA2.counts, lambda faces: (corners(faces), 3 * len(faces) // 2, len(faces)), "only where all faces are"),
        (chA2.counts, lambda faces: (len(faces), sum(map(len, faces)) // 2, corners(faces)), "in another order"),
        (chA2.counts, lambda faces: (corners(faces) - 1, 0, len(faces)), "numbered from 0"),
        (chA2.counts, lambda faces: "cube", "cannot be compared"),
        (chA2.raw_slope, lambda g, sx, sy: g[0], "A slope for each example"),
        (chA2.raw_slope, lambda g, sx, sy: g / sx / sy, "which way does it go"),
        (chA2.raw_slope, lambda g, sx, sy: g * sx / sy, "Upside down"),
        (chA2.raw_slope, lambda g, sx, sy: g * 0, "Not yet"),
        (chA2.slope, lambda lam, mu: lam[0], "A number for each knot"),
        (chA2.slope, lambda lam, mu: (lam / mu).imag, "the imaginary part"),
        (chA2.slope, lambda lam, mu: -(lam / mu).real, "The sign"),
        (chA2.slope, lambda lam, mu: (lam / mu).real / 2, "Half of it"),
        (chA2.slope, lambda lam, mu: lam, "Not yet"),
        (chA2.slope, lambda lam, mu: lam / (mu * mu.conj()), "Not yet"),
        (chA2.slope, lambda lam, mu: (lam / mu).real + 0j, "as a complex number"),
        (chA2.same, lambda x: (x,), "Two other arguments"),
        (chA2.same, lambda x: (x[:2], x[:2]), "keep the shape"),
        (chA2.same, lambda x: (x / (x - 1), 1 - 1 / x), "At x/(x − 1) D is −D(x)"),
        (chA2.same, lambda x: (1 / x.conj(), 1 - 1 / x), "no rational function of x"),
        (chA2.same, lambda x: (x**2, 1 - 1 / x), "Not yet"),
    ],
)
def test_other_mistakes_are_named(checker: Callable[[Any], Any], answer: Callable[..., Any], fragment: str) -> None:
    verdict = checker(answer)
    assert not verdict.ok
    assert fragment in verdict.hint, verdict.hint


def test_other_ways_to_be_right() -> None:
    assert chA2.counts(lambda faces: [corners(faces), sum(map(len, faces)) // 2, len(faces)]).ok
    assert chA2.slope(lambda lam, mu: (lam * mu.conj()).real / (mu * mu.conj()).real).ok
    assert chA2.same(lambda x: torch.stack([(x - 1) / x, -1 / (x - 1)])).ok

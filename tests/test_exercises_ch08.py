"""Chapter 08's checkers know more mistakes than the usual ones, each with its hint."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from gdl_lab.exercises import ch08


def root(F: Any) -> float:
    return math.sqrt(len(F))


@pytest.mark.parametrize(
    ("checker", "answer", "fragment"),
    [
        (ch08.mean, lambda f, beta: 2 * math.pi * (f.mean(1) * beta.sin()).sum() * math.pi / len(beta), "area 4π"),
        (ch08.mean, lambda f, beta: f.mean(1), "one number"),
        (ch08.mean, lambda f, beta: (f.mean(1) * beta.sin()).sum() * math.pi / len(beta), "twice the mean"),
        (ch08.mean, lambda f, beta: (f.mean(1) * beta.cos()).sum() / beta.cos().sum(), "negative in the south"),
        (ch08.mean, lambda f, beta: 0.0, "Not yet: for this signal it is 1.0333"),
        (ch08.first_layer, lambda k, f, R, x, w: k(x @ R) * f(x), "at one R is one number"),
        (ch08.first_layer, lambda k, f, R, x, w: w @ (k(x) * f(x)), "R drops out"),
        (ch08.first_layer, lambda k, f, R, x, w: w @ (k(x) * f(x @ R)), "the convolution at R⁻¹"),
        (ch08.first_layer, lambda k, f, R, x, w: 4 * math.pi * (w @ (k(x @ R) * f(x))), "has mass 1"),
        (ch08.first_layer, lambda k, f, R, x, w: w @ k(x @ R), "Not yet: κ at R⁻¹x"),
        (ch08.coefficients, lambda f, k: f * k.conj(), "A number for each m and n"),
        (ch08.coefficients, lambda f, k: torch.outer(k, f.conj()), "Both halves are the other way round"),
        (ch08.coefficients, lambda f, k: torch.outer(f.conj(), k.conj()), "not both"),
        (ch08.coefficients, lambda f, k: torch.outer(f, f), "Not yet: take f_m and κ_n from the proof"),
        (ch08.coefficients, lambda f, k: torch.outer(f, k.conj()) / root(f), "goes with D̄ itself"),
        (ch08.second_layer, lambda F, p: F @ p / math.sqrt((len(F) - 1) / 2), "Not yet, at l = 2"),
        (ch08.second_layer, lambda F, p: (F @ p)[0], "Expected a matrix"),
        (ch08.second_layer, lambda F, p: F @ p * root(F), "You multiply by the root"),
        (ch08.second_layer, lambda F, p: p @ F, "The other order"),
        (ch08.second_layer, lambda F, p: F @ p.T, "ψ is transposed"),
        (ch08.second_layer, lambda F, p: F * p / root(F), "Entry by entry"),
        (ch08.second_layer, lambda F, p: F.T @ p / root(F), "F is transposed"),
        (ch08.second_layer, lambda F, p: F + p, "Not yet, at l = 2"),
        (ch08.size, lambda L: (2 * L - 1) ** 2, "the last degree alone"),
        (ch08.size, lambda L: sum((2 * k + 1) ** 2 for k in range(1, L)), "You leave out l = 0"),
        (ch08.size, lambda L: sum((2 * k) ** 2 for k in range(L)), "Not yet: for L = 3"),
        (ch08.size, lambda L: 4 * L**3 / 3, "Not yet: for L = 3"),
        (ch08.size, lambda L: "many", "cannot be compared"),
    ],
)
def test_other_mistakes_are_named(checker: Callable[[Any], Any], answer: Callable[..., Any], fragment: str) -> None:
    verdict = checker(answer)
    assert not verdict.ok
    assert fragment in verdict.hint, verdict.hint

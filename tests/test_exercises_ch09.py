"""Chapter 09's checkers know more mistakes than the usual ones, each with its hint."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from gdl_lab.exercises import ch09


def phase(angle: Tensor) -> Tensor:
    return torch.polar(torch.ones_like(angle), angle)


def twisted(v: Tensor, x: Tensor, y: Tensor) -> Tensor:
    u = v - (v @ y) / (1 + x @ y) * (x + y)
    return math.cos(0.3) * u + math.sin(0.3) * torch.linalg.cross(y, u)


def slipping(v: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return (v - (v @ y) * y) * 1.3


@pytest.mark.parametrize(
    ("checker", "answer", "fragment"),
    [
        (ch09.change, lambda v, n, a: v[:3], "A coefficient for each point"),
        (ch09.change, lambda v, n, a: v * phase(-a) if n else v * phase(a), "A field of spin 0 turns 0 times"),
        (ch09.change, lambda v, n, a: v * phase(-a) if n == 2 else v * phase(-n * a), "spin 2 turns 2 times as far"),
        (ch09.change, lambda v, n, a: v * phase(-n * a) * 2, "Not yet, for spin 1"),
        (ch09.step, lambda v, x, y: v @ y, "An arrow is a vector"),
        (ch09.step, lambda v, x, y: v - 2 * (v @ y) * y, "it does not take x to y"),
        (ch09.step, lambda v, x, y: v + y, "not tangent at y"),
        (ch09.step, slipping, "The length changes"),
        (ch09.step, twisted, "turned about the normal"),
        (ch09.latitude, lambda theta, R: torch.ones(2), "An angle is one number"),
        (ch09.latitude, lambda theta, R: 2 * math.pi * (1 - math.cos(theta)) / R**2, "the cap is larger too"),
        (ch09.latitude, lambda theta, R: 2 * math.pi * math.sin(theta), "the length of the circle"),
        (ch09.latitude, lambda theta, R: theta, "Not yet: at θ = 0.7, R = 1.0 it is 1.4775"),
        (ch09.integral, lambda f, r, w: w * f(r), "An integral is one number"),
        (ch09.integral, lambda f, r, w: 2 * math.pi * (w * f(r)).sum(), "over a strip"),
        (ch09.integral, lambda f, r, w: 2 * math.pi * (f(r) * r.sin()).mean() * 1.8, "count all nodes alike"),
        (ch09.integral, lambda f, r, w: 1.0, "the area of a cap"),
        (ch09.kernel, lambda theta, n, m: phase(theta)[:2], "A number for each θ"),
        (ch09.kernel, lambda theta, n, m: 2 * phase((m - n) * theta), "κ(0) should be 1"),
        (ch09.kernel, lambda theta, n, m: phase((m - n) * (theta - theta[0])), "κ(0) should be 1"),
        (ch09.kernel, lambda theta, n, m: phase((m - n + 1) * theta), "Not yet, from spin 0 to spin 1"),
        (ch09.kernel, lambda theta, n, m: "a kernel", "cannot be compared"),
    ],
)
def test_other_mistakes_are_named(checker: Callable[[Any], Any], answer: Callable[..., Any], fragment: str) -> None:
    verdict = checker(answer)
    assert not verdict.ok
    assert fragment in verdict.hint, verdict.hint


def test_an_angle_counts_up_to_full_turns() -> None:
    assert ch09.latitude(lambda theta, R: -2 * math.pi * math.cos(theta)).ok
    assert ch09.latitude(lambda theta, R: torch.tensor(2 * math.pi * (1 - math.cos(theta)))).ok

"""Exercises of chapter 06: right answers written another way, and wrong ones beyond the typical, each with its hint."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from gdl_lab.exercises import check

Of = Callable[[Tensor], Tensor]
END = 0.75 * math.pi


def slope(value: Of, z: Tensor) -> Tensor:
    return torch.func.grad(lambda z: value(z).sum())(z)


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=1, keepdim=True)


def gaussian(z: Tensor) -> Tensor:
    return torch.distributions.Normal(0.0, 1.0).log_prob(z)


def on_circle(angle: Tensor) -> Tensor:
    return torch.stack([angle.cos(), angle.sin()], 1)


def to_arc(x: Tensor) -> Tensor:
    return (x - on_circle(torch.atan2(x[:, 1], x[:, 0]).clamp(-END, END))).norm(dim=1)


def sparse_arc(x: Tensor) -> Tensor:
    return torch.cdist(x, on_circle(torch.linspace(-END, END, 300, dtype=x.dtype))).amin(1)


def moving(score: Tensor, until: float) -> Tensor:
    return (score < until).view(-1, 1, 1, 1)


def in_place(p: Tensor, slope: Tensor, score: Tensor, lr: float, until: float) -> Tensor:
    moved = p.clone()
    moved[score < until] += lr * slope[score < until]
    return moved


def one_by_one(p: Tensor, slope: Tensor, score: Tensor, lr: float, until: float) -> Tensor:
    return torch.stack([a + lr * b if s < until else a for a, b, s in zip(p, slope, score, strict=True)])


@pytest.mark.parametrize(
    ("checker", "answer"),
    [
        (check.ch06.step, lambda z, decode, score, lr: z + lr * slope(lambda z: score(decode(z)), z)),
        (
            check.ch06.step,
            lambda z, decode, score, lr: torch.cat(
                [one + lr * slope(lambda z: score(decode(z)), one) for one in z.split(1)]
            ),
        ),
        (check.ch06.move, in_place),
        (check.ch06.move, one_by_one),
        (check.ch06.log_q_per_dimension, lambda z, log_det: gaussian(z).mean(1) + log_det / z.shape[1]),
        (check.ch06.distance_to_arc, to_arc),
        (check.ch06.distance_to_arc, sparse_arc),
        (
            check.ch06.difference_maps,
            lambda x, other: (lambda m: m / torch.maximum(m.max(), -m.min()))((other - x).sum(1)),
        ),
    ],
)
def test_right_answers_may_look_different(checker: Any, answer: Any) -> None:
    verdict = checker(answer)
    assert verdict.ok, verdict.hint


@pytest.mark.parametrize(
    ("checker", "answer", "fragment"),
    [
        (check.ch06.step, lambda z, decode, score, lr: z + lr * slope(score, z), "not score(z)"),
        (
            check.ch06.step,
            lambda z, decode, score, lr: z + lr * unit(slope(lambda z: score(decode(z)), z)),
            "along a unit vector",
        ),
        (check.ch06.move, lambda p, slope, score, lr, until: p + slope * moving(score, until), "λ is missing"),
        (check.ch06.move, lambda p, slope, score, lr, until: p - lr * slope * moving(score, until), "You descend"),
        (check.ch06.log_q_per_dimension, lambda z, log_det: (gaussian(z).sum(1) + log_det) / len(z), "of pictures"),
        (
            check.ch06.log_q_per_dimension,
            lambda z, log_det: (gaussian(z).sum(1) + log_det.exp()) / z.shape[1],
            "a logarithm already",
        ),
        (
            check.ch06.log_q_per_dimension,
            lambda z, log_det: ((-0.5 * z**2 - math.log(2 * math.pi)).sum(1) + log_det) / z.shape[1],
            "you subtract log 2π",
        ),
        (check.ch06.distance_to_arc, lambda x: to_arc(x.flip(1)), "is turned"),
        (check.ch06.difference_maps, lambda x, other: unit((other - x).norm(dim=1).flatten()[None]), "shape"),
        (
            check.ch06.difference_maps,
            lambda x, other: (lambda m: m / m.max())((other - x).norm(dim=1)),
            "The sign is lost",
        ),
        (
            check.ch06.difference_maps,
            lambda x, other: (lambda m: 0.5 + 0.5 * m / m.abs().max())((other - x).mean(1)),
            "zero is no longer zero",
        ),
    ],
)
def test_other_mistakes_get_their_hint(checker: Any, answer: Any, fragment: str) -> None:
    verdict = checker(answer)
    assert not verdict.ok
    assert fragment in verdict.hint

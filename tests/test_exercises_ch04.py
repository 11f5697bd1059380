"""Exercises of chapter 04: right answers written another way, and wrong ones beyond the typical, each with its hint."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import AffineTransform, Independent, Normal, TransformedDistribution, kl_divergence

from gdl_lab.exercises import check

Layer = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
HALF, ONE_NAT = 0.5 * math.log(2 * math.pi), math.log(2)


def by_a_transform(x: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    base = Independent(Normal(torch.zeros_like(mu), 1.0), 1)
    return TransformedDistribution(base, AffineTransform(mu, sigma, 1)).log_prob(x)


def undone(x: Tensor, s: Any, t: Any) -> Tensor:
    a, b = x.chunk(2, 1)
    return torch.hstack([a, (b - t(a)) / s(a).exp()])


def by_autograd(x: Tensor, s: Any, t: Any) -> tuple[Tensor, Tensor]:
    jac = torch.stack([torch.autograd.functional.jacobian(lambda p: undone(p[None], s, t)[0], p) for p in x])
    return undone(x, s, t), torch.linalg.slogdet(jac).logabsdet


def by_recursion(z: Tensor, layers: list[Layer]) -> tuple[Tensor, Tensor]:
    if not layers:
        return z, z.new_zeros(len(z))
    a, b = z.chunk(2, 1)
    b, first = layers[0](a, b)
    x, others = by_recursion(torch.cat([b, a], 1), layers[1:])
    return x.roll(x.shape[1] // 2, 1), first + others


@pytest.mark.parametrize(
    ("checker", "answer"),
    [
        (check.ch04.log_density, by_a_transform),
        (check.ch04.inverse, by_autograd),
        (check.ch04.alternate, by_recursion),
        (check.ch04.bits, lambda q, b, D: (-q / ONE_NAT / D + b).numpy()),
        (check.ch04.mean_log_density, lambda T: Normal(0.0, 1.0).log_prob(torch.tensor(float(T)))),
        (
            check.ch04.mean_log_density,
            lambda T: -Normal(0.0, T).entropy() - kl_divergence(Normal(0.0, T), Normal(0.0, 1.0)),
        ),
    ],
)
def test_a_right_answer_in_other_words_is_right(checker: Any, answer: Any) -> None:
    assert checker(answer).ok, checker(answer)


def terms(x: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    return -0.5 * ((x - mu) / sigma) ** 2 - HALF - sigma.log()


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda x, m, s: terms(x, m, s).mean(1), "A mean over coordinates"),
        (lambda x, m, s: (terms(x, m, s) + HALF).sum(1) - HALF, "each coordinate has its own"),
        (lambda x, m, s: (terms(x, m, s) - HALF).sum(1), "each coordinate has its own"),
        (lambda x, m, s: (terms(x, m, s) + ((x - m) / s) ** 2).sum(1), "The sign of z²/2"),
        (lambda x, m, s: (terms(x, m, s) + s.log()).sum(1) - s.prod(), "its logarithm is a sum"),
        (lambda x, m, s: terms(x, m, s).sum(1) - 2 * s.log().sum(), "its logarithm is a sum"),
        (lambda x, m, s: terms(x, m, s).sum(), "One number for each point"),
    ],
)
def test_a_density_that_is_wrong(answer: Any, hint: str) -> None:
    assert hint in check.ch04.log_density(answer).hint


@pytest.mark.parametrize(
    ("second", "hint"),
    [
        (lambda b, s, t: (b - t) * s.exp(), "the scale is applied once more"),
        (lambda b, s, t: (b + t) * (-s).exp(), "the shift is not"),
        (lambda b, s, t: b * (-s).exp(), "the shift is not"),
        (lambda b, s, t: (b - t) / s, "not undone yet"),
        (lambda b, s, t: b, "not undone yet"),
    ],
)
def test_an_inverse_that_is_wrong(second: Any, hint: str) -> None:
    def answer(x: Tensor, s: Any, t: Any) -> tuple[Tensor, Tensor]:
        a, b = x.chunk(2, 1)
        return torch.cat([a, second(b, s(a), t(a))], 1), -s(a).sum(1)

    assert hint in check.ch04.inverse(answer).hint


def swapped_in_the_end(z: Tensor, layers: list[Layer]) -> tuple[Tensor, Any]:
    a, b = z.chunk(2, 1)
    total: Any = 0
    for layer in layers:
        b, one = layer(a, b)
        a, b, total = b, a, total + one
    return torch.cat([b, a], 1), total


def never_swapped_in_the_end(z: Tensor, layers: list[Layer]) -> tuple[Tensor, Any]:
    x, total = swapped_in_the_end(z, layers)
    return x.roll(3, 1), total


def both_halves(z: Tensor, layers: list[Layer]) -> tuple[Tensor, Any]:
    a, b = z.chunk(2, 1)
    total: Any = 0
    for layer in layers:
        b, one = layer(a, b)
        a, two = layer(b, a)
        total = total + one + two
    return torch.cat([a, b], 1), total


def last_of(z: Tensor, layers: list[Layer]) -> tuple[Tensor, Tensor]:
    return by_recursion(z, layers)[0], by_recursion(z, layers)[1] - by_recursion(z, layers[:-1])[1]


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (swapped_in_the_end, "With 2 layers the halves end in each other's place"),  # with three layers it is right
        (never_swapped_in_the_end, "With 3 layers the halves end in each other's place"),
        (both_halves, "moves both halves"),
        (last_of, "Only the last layer's"),
        (lambda z, layers: (by_recursion(z, layers)[0], by_recursion(z, layers)[1].sum()), "for each point"),
        (lambda z, layers: (by_recursion(z, layers)[0], torch.zeros(5)), "the sum over its layers"),
    ],
)
def test_turns_that_are_wrong(answer: Any, hint: str) -> None:
    assert hint in check.ch04.alternate(answer).hint


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda q, b, D: -q * ONE_NAT / D + b, "The change of logarithms"),
        (lambda q, b, D: -q / math.log(10) / D + b, "The change of logarithms"),
        (lambda q, b, D: (-q / ONE_NAT + b) / D, "in every dimension"),
        (lambda q, b, D: -(q / ONE_NAT + b) / D, "in every dimension"),
        (lambda q, b, D: (-q / ONE_NAT / D + b).mean(), "One number for each picture"),
    ],
)
def test_bits_that_are_wrong(answer: Any, hint: str) -> None:
    assert hint in check.ch04.bits(answer).hint


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda T: Normal(0.0, 1.0).log_prob(T * torch.randn(1_000_000)).mean(), "an average over samples"),
        (lambda T: -HALF - T**2, "½ z², not z²"),
        (lambda T: -HALF + T**2 / 2, "The sign of the square"),
        (lambda T: 784 * (-HALF - T**2 / 2), "Divide by D"),
    ],
)
def test_a_mean_that_is_wrong(answer: Any, hint: str) -> None:
    assert hint in check.ch04.mean_log_density(answer).hint

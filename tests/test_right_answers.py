"""Right answers that differ from the printed solutions: a checker must not mistake another way for a mistake."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from gdl_lab.exercises import check


def layer_by_loops(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    z = torch.zeros(len(x), len(w))
    for i, j in itertools.product(range(len(x)), range(len(w))):
        z[i, j] = max(float((w[j] * x[i]).sum() + b[j]), 0.0)
    return z


def gradient_by_samples(x: Tensor, y: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    total = torch.zeros(w1.shape)
    for one, target in zip(x, y, strict=True):
        a = w1 @ one + b1
        residual = w2 @ a.clamp(min=0) + b2 - target
        for j in range(len(w1)):
            if a[j] > 0:
                total[j] += float(2 * residual * w2[0, j]) * one
    return total


def uniform_weights(m: int, n: int, generator: torch.Generator) -> Tensor:
    bound = (6 / n) ** 0.5
    return bound * (2 * torch.rand(m, n, generator=generator) - 1)


def pieces_by_slopes(x: Tensor, y: Tensor) -> int:
    slopes = ((y[1:] - y[:-1]) / (x[1:] - x[:-1])).tolist()
    pieces, previous, bent = 1, slopes[0], False
    for slope in slopes[1:]:
        changed = abs(slope - previous) > 1e-6
        pieces += changed and not bent
        bent, previous = changed, slope
    return pieces


@pytest.mark.parametrize(
    ("checker", "answer"),
    [
        (check.ch00.relu, lambda x: torch.where(x > 0, x, 0.0)),
        (check.ch00.relu, lambda x: (x + x.abs()) / 2),
        (check.ch01.layer, layer_by_loops),
        (check.ch01.layer, lambda x, w, b: (w @ x.T + b[:, None]).clamp(min=0).T),
        (check.ch01.parameters, lambda widths: sum((a + 1) * b for a, b in itertools.pairwise(widths))),
        (check.ch01.backprop, gradient_by_samples),
        (check.ch01.initial_weights, uniform_weights),
        (check.ch01.pieces, pieces_by_slopes),
    ],
)
def test_another_way_is_right_too(checker: Callable[[Any], Any], answer: Callable[..., Any]) -> None:
    verdict = checker(answer)
    assert verdict.ok, verdict.hint


def by_autograd(x: Tensor, y: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    w1 = w1.clone().requires_grad_()
    (torch.relu(x @ w1.T + b1) @ w2.T + b2 - y).square().sum().backward()
    assert w1.grad is not None
    return w1.grad


def test_automatic_differentiation_is_not_the_chain_rule_by_hand() -> None:
    assert "automatic differentiation" in check.ch01.backprop(by_autograd).hint


def test_an_answer_may_change_what_it_is_given() -> None:
    def in_place(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        z = torch.relu(x @ w.T + b)
        x.zero_()
        return z

    assert check.ch01.layer(in_place).ok


@pytest.mark.parametrize(
    ("answer", "fragment"),
    [
        (lambda m, n, _: torch.randn(m, n) * (2 / n) ** 0.5, "use the generator"),
        (lambda m, n, _: (2 / n) ** 0.5 * (1 - 2 * (torch.arange(m * n).view(m, n) % 2)), "not random"),
        (lambda m, n, g: torch.rand(m, n, generator=g) * (2 / n) ** 0.5, "not centred"),
        (lambda m, n, g: (2 * torch.rand(m, n, generator=g) - 1) * (2 / n) ** 0.5, "uniform number"),
    ],
)
def test_weights_that_only_look_right(answer: Callable[..., Tensor], fragment: str) -> None:
    verdict = check.ch01.initial_weights(answer)
    assert not verdict.ok
    assert fragment in verdict.hint

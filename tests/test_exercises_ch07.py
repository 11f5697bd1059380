"""Chapter 07's checkers know more mistakes than the usual ones, each with its hint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gdl_lab.exercises import ch07


def correlated(kernels: list[Tensor], x: Tensor) -> Tensor:
    return F.conv2d(x, torch.stack(kernels)[:, None], padding=1)


def turned_and_back(kernel: Tensor, x: Tensor) -> Tensor:
    z = [F.conv2d(torch.rot90(x, r, (2, 3)), kernel[None, None], padding=1) for r in range(4)]
    return torch.cat([torch.rot90(one, -r, (2, 3)) for r, one in enumerate(z)], 1)


def off(f: Any, group: Any, rho: Any, sigma: Any, x: Tensor) -> list[Tensor]:
    y = f(x)
    return [f(rho(g, x)) - sigma(g, y) for g in group]


@pytest.mark.parametrize(
    ("checker", "answer", "fragment"),
    [
        (ch07.move, lambda f, r: f, "Nothing has moved"),
        (ch07.move, lambda f, r: torch.rot90(f, -r, (2, 3)).roll(r, 1), "The pictures turn the wrong way"),
        (ch07.move, lambda f, r: f[:, :2], "Functions on the group stay such"),
        (ch07.move, lambda f, r: torch.rot90(f, r, (2, 3)).roll(r, 0), "You roll the batch"),
        (ch07.move, lambda f, r: torch.rot90(f, 1, (2, 3)).roll(1, 1), "Not yet, for r = 2"),
        (ch07.lift, lambda k, x: F.conv2d(x, k[None, None], padding=1), "A map for each g"),
        (ch07.lift, turned_and_back, "and the map back comes"),
        (ch07.lift, lambda k, x: correlated([torch.rot90(k, r) for r in range(4)], x)[:, None], "an axis too many"),
        (
            ch07.lift,
            lambda k, x: correlated([torch.rot90(k.flip(0, 1), r) for r in range(4)], x),
            "lies upside down",
        ),
        (ch07.lift, lambda k, x: correlated([k, k.T, k.flip(0, 1), k.T.flip(0, 1)], x), "mirrored, not turned"),
        (ch07.lift, lambda k, x: correlated([2 * torch.rot90(k, r) for r in range(4)], x), "Not yet"),
        (ch07.error, lambda f, g, r, s, x: sum(d.norm() for d in off(f, g, r, s, x)) / f(x).norm(), "You add up"),
        (ch07.error, lambda f, g, r, s, x: off(f, g, r, s, x)[0].norm() / f(x).norm(), "One element decides nothing"),
        (ch07.error, lambda f, g, r, s, x: off(f, g, r, s, x)[1].norm() / f(x).norm(), "One element decides nothing"),
        (ch07.error, lambda f, g, r, s, x: off(f, g, r, s, x)[2].norm() / f(x).norm(), "One element decides nothing"),
        (
            ch07.error,
            lambda f, g, r, s, x: max(d.norm() / f(r(h, x)).norm() for h, d in zip(g, off(f, g, r, s, x), strict=True)),
            "the same for every g",
        ),
        (ch07.error, lambda f, g, r, s, x: max(d.norm() for d in off(f, g, s, r, x)) / f(x).norm(), "changed places"),
        (ch07.error, lambda f, g, r, s, x: max(d.norm() for d in off(f, g, r, s, x)) / x.norm(), "the length of x"),
        (ch07.error, lambda f, g, r, s, x: max(d.abs().max() for d in off(f, g, r, s, x)), "the largest entry"),
        (
            ch07.error,
            lambda f, g, r, s, x: max(d.square().sum() for d in off(f, g, r, s, x)) / f(x).square().sum(),
            "its square",
        ),
        (ch07.error, lambda f, g, r, s, x: 1.0, "Not yet: for this network it is"),
        (ch07.set_layer, lambda x, a, b: a * x, "where is γ"),
        (ch07.set_layer, lambda x, a, b: a * x + b, "a bias"),
        (ch07.set_layer, lambda x, a, b: b * x + a * x.sum(1, keepdim=True), "changed places"),
        (ch07.set_layer, lambda x, a, b: (a * x + b * x.sum(1, keepdim=True))[:, :2], "A number for each point"),
        (ch07.set_layer, lambda x, a, b: 0 * x, "Not yet"),
        (ch07.irreps, lambda l1, p1, l2, p2: [(k, p1 * p2) for k in range(abs(l1 - l2) + 1, l1 + l2 + 1)], "smallest"),
        (ch07.irreps, lambda l1, p1, l2, p2: 2 * [(k, 1) for k in range(abs(l1 - l2), l1 + l2 + 1)], "comes once"),
        (ch07.irreps, lambda l1, p1, l2, p2: [(l1, 1), (l2 + 5, 1)], "numbers, the product has"),
        (ch07.irreps, lambda l1, p1, l2, p2: [(k, -1) for k in range(abs(l1 - l2), l1 + l2 + 1)], "not these parities"),
        (ch07.irreps, lambda l1, p1, l2, p2: [(k, p1 + p2) for k in range(abs(l1 - l2), l1 + l2 + 1)], "multiply"),
        (ch07.irreps, lambda l1, p1, l2, p2: 7, "cannot be compared"),
        (ch07.irreps, lambda l1, p1, l2, p2: [(k + 0.5, p1 * p2) for k in range(abs(l1 - l2), l1 + l2 + 1)], "numbers"),
        (ch07.irreps, lambda l1, p1, l2, p2: [(k, p1 * p2) for k in range(l1 - l2, l1 + l2 + 1)], "not negative"),
        (ch07.irreps, lambda l1, p1, l2, p2: [(p1 * p2, k) for k in range(abs(l1 - l2), l1 + l2 + 1)], "degree first"),
        (
            ch07.irreps,
            lambda l1, p1, l2, p2: [(2 * k + 1, p1 * p2) for k in range(abs(l1 - l2), l1 + l2 + 1)],
            "the dimensions",
        ),
    ],
)
def test_other_mistakes_are_named(checker: Callable[[Any], Any], answer: Callable[..., Any], fragment: str) -> None:
    verdict = checker(answer)
    assert not verdict.ok
    assert fragment in verdict.hint, verdict.hint


def test_sums_on_the_wrong_axis_are_noticed() -> None:
    def answer(x: Tensor, lam: float, gamma: float) -> Tensor:
        total = x.sum(1) if len(x) == x.shape[1] else x.sum(1, keepdim=True)
        return lam * x + gamma * total

    verdict = ch07.set_layer(answer)
    assert "wrong axis" in verdict.hint

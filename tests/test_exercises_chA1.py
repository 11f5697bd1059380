"""The checkers of appendix A1 know more mistakes than the usual ones, each with its hint."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from gdl_lab.exercises import chA1


def layer(K: Tensor, sw2: float, sb2: float, *, late: bool = True) -> Tensor:
    q = K.diagonal().sqrt()
    root = torch.outer(q, q)
    theta = (K / root).clamp(-1, 1).arccos()
    return sw2 * root * (theta.sin() + ((math.pi if late else 2 * theta) - theta) * theta.cos()) / (2 * math.pi) + sb2


def unclamped(K: Tensor, sw2: float, sb2: float) -> Tensor:
    return layer(K, sw2, sb2) * torch.nan


def one_step(theta_at: Tensor, theta: Tensor, y: Tensor, rate: float, t: int) -> Tensor:
    return rate * theta_at @ torch.linalg.matrix_power(torch.eye(len(theta)).double() - rate * theta, t - 1) @ y


def other_order(W: Tensor) -> Tensor:
    return torch.stack([W.unflatten(1, (5, 5)).rot90(g, (1, 2)).flatten(1) for g in (3, 0, 2, 1)])


def columns_only(K: Tensor, sw2: float, sb2: float) -> Tensor:
    q = K.diagonal().sqrt()
    return (layer(K, sw2, sb2) - sb2) * q / q[:, None] + sb2


def rhombus(u: Tensor, v: Tensor, dim: int | None = 1) -> Tensor:
    """Half of the angle."""
    u, v = (t / t.norm(dim=dim, keepdim=True) for t in (u, v))
    return torch.atan2((u - v).norm(dim=1), (u + v).norm(dim=1))


def late(at: Tensor, theta: Tensor, y: Tensor, rate: float, t: int) -> Tensor:
    here, there = torch.zeros_like(y), torch.zeros(len(at), y.shape[1], dtype=y.dtype)
    for _ in range(t):
        here = here + rate * theta @ (y - here)
        there = there + rate * at @ (y - here)
    return there


@pytest.mark.parametrize(
    ("checker", "answer", "fragment"),
    [
        (chA1.layer, lambda K, sw2, sb2: K[0], "Expected the shape (4, 4)"),
        (chA1.layer, lambda K, sw2, sb2: layer(K, sw2, sb2, late=False), "θ where π − θ belongs"),
        (chA1.layer, lambda K, sw2, sb2: layer(K, 1.0, sb2), "σ_w² is missing"),
        (chA1.layer, unclamped, "Not finite"),
        (chA1.layer, lambda K, sw2, sb2: K, "on the diagonal it should be"),
        (chA1.layer, columns_only, "not symmetric"),
        (chA1.angle, lambda u, v: (u * v).sum(1), "Not yet"),
        (chA1.angle, lambda u, v: 2 * rhombus(u, v, dim=None), "Not yet"),
        (chA1.angle, lambda u, v: torch.atan2(v[:, 1], v[:, 0]) - torch.atan2(u[:, 1], u[:, 0]), "Not yet"),
        (chA1.angle, lambda u, v: rhombus(u, v), "Half of the angle"),
        (chA1.angle, lambda u, v: math.pi - 2 * rhombus(u, v), "That is π − θ"),
        (chA1.angle, lambda u, v: 2 * rhombus(u, v).sin(), "chord"),
        (
            chA1.mean,
            lambda at, theta, y, rate, t: at @ torch.linalg.solve(theta, (1 - (1 - rate * theta) ** t) @ y),
            "powers of entries",
        ),
        (chA1.mean, late, "from after"),
        (chA1.angle, lambda u, v: torch.atan2((u - v).norm(dim=1), (u + v).norm(dim=1)), "Not yet"),
        (chA1.angle, lambda u, v: torch.rad2deg(exact(u, v)), "In degrees"),
        (chA1.angle, lambda u, v: exact(u, v).cos(), "the cosine of the angle"),
        (chA1.mean, lambda theta_at, theta, y, rate, t: t * rate * theta_at @ y, "t times the first step"),
        (chA1.mean, one_step, "the last step alone"),
        (chA1.mean, lambda theta_at, theta, y, rate, t: 0 * theta_at @ y, "Not yet, at t = 1"),
        (chA1.covariance, lambda K_at, cross, K, A: K_at + A @ cross.T + cross @ A.T + A @ K @ A.T, "The sign"),
        (chA1.covariance, lambda K_at, cross, K, A: K_at - A @ cross.T + A @ K @ A.T, "symmetric"),
        (chA1.covariance, lambda K_at, cross, K, A: K_at, "one matrix times"),
        (chA1.turned_copies, lambda W: W, "Expected the shape (4, 6, 25)"),
        (chA1.turned_copies, lambda W: -other_order(W), "W itself"),
        (chA1.turned_copies, lambda W: torch.stack([W, -W, 2 * W, 3 * W]), "other entries"),
    ],
)
def test_other_mistakes_are_named(checker: Callable[[Any], Any], answer: Callable[..., Any], fragment: str) -> None:
    verdict = checker(answer)
    assert not verdict.ok
    assert fragment in verdict.hint, verdict.hint


def exact(u: Tensor, v: Tensor) -> Tensor:
    u, v = (t / t.norm(dim=1, keepdim=True) for t in (u, v))
    return 2 * torch.atan2((u - v).norm(dim=1), (u + v).norm(dim=1))


def test_copies_may_come_in_any_order() -> None:
    assert chA1.turned_copies(other_order).ok

"""Exercises of chapter 05: wrong answers beyond the typical, each with its hint."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import jvp, vjp

from gdl_lab.exercises import check


def metric_at(x: Tensor, pull: Any, jacobian: Any) -> Tensor:
    J = jacobian(pull(x))
    return J @ J.mT


def moved(A: Tensor, v: Tensor) -> Tensor:
    return (A @ v[:, :, None])[:, :, 0]


def back(g: Any, z: Tensor, v: Tensor) -> Tensor:
    return vjp(g, z)[1](v)[0]


@pytest.mark.parametrize(
    ("checker", "answer", "fragment"),
    [
        (check.ch05.inverse_metric, lambda J: (J @ J.mT).sum(0), "One matrix for each point"),
        (check.ch05.inverse_metric, lambda J: torch.linalg.inv(J.mT @ J), "An inverse too many"),
        (check.ch05.inverse_metric, lambda J: J * J.mT, "Entry by entry again"),
        (check.ch05.inverse_metric, lambda J: (J + J.mT) / 2, "Symmetric, but J itself"),
        (check.ch05.inverse_metric, lambda J: 2 * J @ J.mT, "Not yet"),
        (check.ch05.step, lambda x, lam, df, g, J: x - lam * moved(metric_at(x, g, J), df(x)), "ascent goes up"),
        (check.ch05.step, lambda x, lam, df, g, J: x + moved(metric_at(x, g, J), df(x)), "step size λ is missing"),
        (check.ch05.step, lambda x, lam, df, g, J: lam * moved(metric_at(x, g, J), df(x)), "Add it to x"),
        (check.ch05.step, lambda x, lam, df, g, J: g(x) + lam * moved(metric_at(x, g, J), df(x)), "You start from z"),
        (check.ch05.step, lambda x, lam, df, g, J: x + lam * moved(metric_at(x, g, J), df(g(x))), "wanted at x"),
        (check.ch05.step, lambda x, lam, df, g, J: x + lam * moved(J(g(x)), df(x)), "First Jᵀ, then J"),
        (
            check.ch05.step,
            lambda x, lam, df, g, J: x + lam * moved(J(g(x)).mT @ J(g(x)), df(x)),
            "JᵀJ in place of J Jᵀ",
        ),
        (check.ch05.step, lambda x, lam, df, g, J: x, "Nothing has moved"),
        (check.ch05.slope, lambda lam, r: math.log(lam[0] / lam[1]) / math.log(r[0] / r[1]), "Upside down"),
        (check.ch05.slope, lambda lam, r: math.log(r[0] / r[1]) / math.log(lam[1] / lam[0]), "in the same order"),
        (check.ch05.slope, lambda lam, r: math.log10(r[0] / r[1]) / math.log(lam[0] / lam[1]), "different bases"),
        (check.ch05.slope, lambda lam, r: math.log(r[0] / r[1]) / math.log10(lam[0] / lam[1]), "different bases"),
        (check.ch05.slope, lambda lam, r: math.log10(r[0] / r[1]), "how far apart"),
        (check.ch05.slope, lambda lam, r: 2.0, "Not yet"),
        (check.ch05.apply, lambda g, z, v: back(g, z, back(g, z, v)), "Backward twice"),
        (check.ch05.apply, lambda g, z, v: jvp(g, (z,), (jvp(g, (z,), (v,))[1],))[1], "Forward twice"),
        (check.ch05.apply, lambda g, z, v: jvp(g, (v,), (back(g, v, z),))[1], "have changed places"),
        (check.ch05.apply, lambda g, z, v: vjp(g, z)[1](v), "cannot be compared"),
        (check.ch05.across, lambda A, u: torch.einsum("bi,bij,bj->b", u, A, u) / u.norm(dim=1), "divided out twice"),
        (
            check.ch05.across,
            lambda A, u: torch.einsum("bi,bij,bj->b", u, A, u).sqrt() / u.norm(dim=1),
            "The root of it is a length",
        ),
        (
            check.ch05.across,
            lambda A, u: torch.einsum("bi,bij,bj->b", u, torch.linalg.inv(A), u) / u.square().sum(1),
            "That is γ on the normal",
        ),
        (check.ch05.across, lambda A, u: torch.einsum("bi,bij,bk->bjk", u, A, u), "One number for each point"),
    ],
)
def test_other_mistakes_are_named(checker: Callable[[Any], Any], answer: Callable[..., Any], fragment: str) -> None:
    verdict = checker(answer)
    assert not verdict.ok
    assert fragment in verdict.hint, verdict.hint

"""Chapter 10's checkers know more mistakes than the usual ones, each with its hint."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from gdl_lab.exercises import ch10
from gdl_lab.lattice import wilson_loop, wrap


def angles_of(theta: Tensor) -> Tensor:
    a, b = theta.unbind(1)
    return wrap(a + b.roll(-1, 1) - a.roll(-1, 2) - b)


def plaquette(U: Tensor) -> Tensor:
    return wilson_loop(U, 0, 1)[:, 0]


def corner(U: Tensor) -> Tensor:
    """The loop that begins one site further: Ω of another x."""
    a, b = U.unbind(1)
    first = a.roll(-1, 1) @ b.roll(-2, 1) @ a.roll((-1, -1), (1, 2)).mH
    return first @ a.roll(-1, 2).mH @ b.mH @ a


def the_way_it_came(U: Tensor) -> Tensor:
    a, b = U.unbind(1)
    return a @ a.roll(-1, 1) @ b.roll(-2, 1) @ a.roll(-1, 1).mH @ a.mH @ b.mH


@pytest.mark.parametrize(
    ("checker", "answer", "fragment"),
    [
        (ch10.loop, lambda U: wilson_loop(U, 0, 1, 1, 2)[:, 0], "one link wide and two high"),
        (ch10.loop, lambda U: wilson_loop(U, 0, 1)[:, 0], "That is a plaquette"),
        (ch10.loop, lambda U: wilson_loop(U, 0, 1, 2, 1), "expected the shape (3, 5, 4, 2, 2)"),
        (ch10.loop, lambda U: wilson_loop(U, 0, 1, 2, 1)[:, 0].real, "are complex"),
        (ch10.loop, lambda U: plaquette(U) @ plaquette(U).roll(-1, 1), "carry the neighbour's plaquette"),
        (ch10.loop, lambda U: plaquette(U).roll(-1, 1) @ plaquette(U), "carry the neighbour's plaquette"),
        (ch10.loop, corner, "from the wrong corner"),
        (ch10.loop, the_way_it_came, "along the links you came by"),
        (ch10.loop, lambda U: U[:, 0], "Not yet: write down where"),
        (ch10.line, lambda W, o: omega_ahead(o, 0) @ W @ omega_ahead(o, 2), "at the far one stands the inverse"),
        (ch10.line, lambda W, o: o @ W @ o.roll(2, 1).mH, "looks back"),
        (ch10.line, lambda W, o: o @ W, "And the far one?"),
        (ch10.line, lambda W, o: o @ W @ o.roll(-2, 0).mH, "Axis 0 is the batch"),
        (ch10.line, lambda W, o: o @ W @ o.roll(-2, 2).mH, "Axis 2 is direction 1"),
        (ch10.line, lambda W, o: W, "Which Ω cancel"),
        (ch10.line, lambda W, o: (o @ W).diagonal(dim1=-2, dim2=-1), "A matrix at every x"),
        (ch10.transport_back, lambda U, W: U @ W.roll(1, 1) @ U.mH, "another neighbour's link"),
        (ch10.transport_back, lambda U, W: U.mH @ W.roll(-1, 1) @ U, "Behind us is `roll(1)`"),
        (ch10.transport_back, lambda U, W: U.roll(1, 1).mH @ W.roll(1, 1), "One factor"),
        (ch10.transport_back, lambda U, W: U.roll(1, 1).mH @ W @ U.roll(1, 1), "that has to be brought"),
        (ch10.transport_back, lambda U, W: W, "Not yet: U₀(x − 0̂)†"),
        (ch10.charge, lambda t: angles_of(t) / (2 * math.pi), "A number for each field"),
        (ch10.charge, lambda t: angles_of(t).mean((1, 2)) / (2 * math.pi), "The charge is their sum"),
        (ch10.charge, lambda t: (angles_of(t).sum((1, 2)) / (2 * math.pi)).abs(), "Charges have a sign"),
        (ch10.charge, lambda t: angles_of(t).sum((1, 2)) / (2 * math.pi) + 1, "Not yet: whole"),
        (ch10.ess, lambda log_w: log_w.exp(), "One number for all samples"),
        (ch10.ess, lambda log_w: torch.exp(log_w).mean(), "Below the line"),
        (ch10.ess, lambda log_w: share(log_w) ** 0.5, "That is its root"),
        (ch10.ess, lambda log_w: share(log_w) / len(log_w), "once too often"),
        (ch10.ess, lambda log_w: log_w.exp().mean() ** 2, "And ⟨w²⟩?"),
        (ch10.ess, lambda log_w: 0.5, "Not yet: for these weights"),
    ],
)
def test_other_mistakes_are_named(checker: Callable[[Any], Any], answer: Callable[..., Any], fragment: str) -> None:
    verdict = checker(answer)
    assert not verdict.ok
    assert fragment in verdict.hint, verdict.hint


def omega_ahead(omega: Tensor, n: int) -> Tensor:
    return omega.roll(-n, 1)


def share(log_w: Tensor) -> Tensor:
    w = torch.softmax(log_w, 0)
    return 1 / (len(w) * (w**2).sum())

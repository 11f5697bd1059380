"""Trainings of chapter 09: digits on the Möbius strip, and winds on the bumpy ball, which is then turned."""

from __future__ import annotations

import math
from functools import cache
from itertools import product
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from gdl_lab import data, runtime
from gdl_lab.bundles import Neighbours, Surface, bumpy_ball, components, rough_gauge, spread, vector
from gdl_lab.bundles.moebius import MoebiusConv, MoebiusNetwork, learn_digits, regauge, shift, strip_links
from gdl_lab.bundles.winds import CoordinateNetwork, GaugeNetwork, Winds, draw_winds, learn_winds
from gdl_lab.claims.surfaces import about
from gdl_lab.data import Dataset

__all__ = ["Learnt", "Read", "WindTask", "deviation", "found", "read_strips", "turned", "wind_networks", "wind_task"]

TURN = about(0, 1.3) @ about(2, 0.6)
WIDTHS = {"regular": 8, "plain": 11, "trivial": 14, "sign": 14}  # fields that make free parameters nearly equal


class Read(NamedTuple):
    """What a network on the Möbius strip learnt of digits in the middle, or of moved ones: errors on both."""

    parameters: int
    centred: float
    moved: float


def _digits() -> tuple[Dataset, Dataset]:
    return data.load("digits8", "train"), data.load("digits8", "test")


@cache
def read_strips(fields: str, moved: bool = False, steps: int = 300, seed: int = 0) -> Read:
    """A network on strips of real 8×8 digits, ``"regular"`` or ``"plain"`` and the like, at equal free parameters."""
    torch.manual_seed(seed)
    network = MoebiusNetwork(fields, WIDTHS[fields])
    train, test = _digits()
    errors = learn_digits(network, (train.x, train.y), (test.x, test.y), moved=moved, steps=steps, seed=seed)
    return Read(network.dimension, errors["centred"], errors["moved"])


class WindTask(NamedTuple):
    """Points of the bumpy ball with frames at random, and winds there to train on and to test with."""

    points: Neighbours
    train: Winds
    test: Winds


@cache
def wind_task(n: int = 300, m: int = 4) -> WindTask:
    """m winds to train on and 32 to test with at n points, whose frames say nothing of one another."""
    ball = bumpy_ball()
    points = _with_rough_frames(ball, *spread(ball, n))
    train, test = (draw_winds(ball, points.x, k, runtime.generator("winds", k)) for k in (m, 32))
    return WindTask(points, train, test)


def _with_rough_frames(surface: Surface, x: Tensor, areas: Tensor) -> Neighbours:
    gauge = rough_gauge(Neighbours(surface, x, areas), runtime.generator("rough"))
    return Neighbours(surface, x, areas, gauge=gauge)


def turned(task: WindTask) -> tuple[Neighbours, Winds]:
    """The ball of a task turned in ℝ³, with its points and its test winds; other frames at random."""
    ball = bumpy_ball()
    x, areas = spread(ball, len(task.points.x), dtype=torch.float64)
    surface = Surface(lambda x: ball.F(x @ TURN.to(x)))
    points = _with_rough_frames(surface, (x @ TURN.mT).float(), areas.float())
    return points, Winds(*(v @ TURN.mT.to(v) for v in task.test))


class Learnt(NamedTuple):
    """A network trained on winds, the points as it sees them, its relative error, and how much its answers change,
    relative, when the ball is turned with all that is on it."""

    network: nn.Module
    points: Neighbours
    error: float
    change: float


@cache
def wind_networks(n: int = 300, m: int = 4, steps: int = 200, seed: int = 0) -> dict[str, Learnt]:
    """Three networks of some 600 parameters, trained on `wind_task`."""
    task = wind_task(n, m)
    elsewhere, winds = turned(task)
    learnt = {}
    for name, make, transport in (
        ("gauge", GaugeNetwork, True), ("without transport", GaugeNetwork, False),
        ("coordinates", CoordinateNetwork, True),
    ):  # fmt: skip
        torch.manual_seed(seed)
        network: nn.Module = make()
        here, there = (cast(Neighbours, points.retake(transport=transport)) for points in (task.points, elsewhere))
        error = learn_winds(network, here, task.train, task.test, steps=steps, seed=seed)
        before, after = (found(network, *seen) for seen in ((here, task.test), (there, winds)))
        change = (after @ TURN.to(after) - before).norm() / before.norm()
        learnt[name] = Learnt(network, here, error, float(change))
    return learnt


@torch.no_grad()
def found(network: nn.Module, points: Neighbours, winds: Winds) -> Tensor:
    """What a network takes the winds for, as tangent vectors in ℝ³, shape ``(m, n, 3)``."""
    coefficients: Tensor = network(points, components(winds.measured, points.frame)[..., None])
    return vector(coefficients[..., 0], points.frame)


def deviation(seed: int, width: int = 12) -> tuple[float, float]:
    """How far `MoebiusConv` is from commuting with columns turned over and with moving the field, the largest for all
    pairs of fields; and from commuting with the first if the links are left as they were, the smallest."""
    rng, links = runtime.generator("strip", seed), strip_links(width).double()
    columns = torch.randint(2, (width,), generator=rng).double() * 2 - 1
    columns[:2] = columns.new_tensor([1, -1])
    worst, forgotten = 0.0, math.inf
    for a, b in product(("trivial", "sign", "regular"), repeat=2):
        conv = MoebiusConv([a, a], [b], 3).double().requires_grad_(False)
        conv.kernel.normal_(generator=rng)
        f = torch.randn(2, len(conv.rho), 7, width, generator=rng, dtype=torch.float64)
        turned, new = regauge(f, links, columns, conv.rho)
        expected = regauge(conv(f, links), links, columns, conv.eta)[0]
        there, moved = conv(shift(f, 5, links, conv.rho), links), shift(conv(f, links), 5, links, conv.eta)
        worst = max(worst, float((conv(turned, new) - expected).abs().max()), float((there - moved).abs().max()))
        forgotten = min(forgotten, float((conv(turned, links) - expected).abs().max()))
    return worst, forgotten

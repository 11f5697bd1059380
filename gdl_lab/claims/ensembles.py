"""Tasks and oracles of appendix A1: kernels by quadrature, a circle to learn on, digits and their rotations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gdl_lab import data, runtime
from gdl_lab.infinite_width import (
    InfiniteEnsemble,
    LinearDescent,
    WideNetwork,
    closed_under,
    descend,
    empirical_ntk,
    kernels,
)  # fmt: skip
from gdl_lab.symmetry import C4

__all__ = [
    "ORBITS", "SNAPSHOTS", "Circle", "Digits", "Lazy", "Spread", "by_cosines", "by_quadrature", "circle", "closed",
    "digits", "infinite", "kernel_errors", "lazy", "normal", "on_circle", "orbit", "out_of_line", "pixel_turns",
    "pointing", "spreads", "turned",
]  # fmt: skip

ORBITS = {"C4": (0, 1, 2, 3), "C2": (0, 2), "three of four": (0, 1, 2), "none": (0,)}
SNAPSHOTS = (5, 30, 300)
Predictor = Callable[[Tensor], Tensor]


normal = partial(runtime.normal, "infinite width")


# Kernels


def by_cosines(x: Tensor, y: Tensor, depth: int = 2) -> Tensor:
    """The NTK by arccos K/√(qq′), as one writes it first: near 1 it loses half of the digits; ``(n, m)``."""
    q, p = (2 * t.square().sum(1) / t.shape[1] + 0.1 for t in (x, y))
    K = 2 * x @ y.T / x.shape[1] + 0.1
    ntk = K
    for _ in range(depth):
        root = torch.outer(q, p).sqrt()
        theta = (K / root).clamp(-1, 1).arccos()
        K = root * (theta.sin() + (math.pi - theta) * theta.cos()) / math.pi + 0.1
        ntk = K + (math.pi - theta) / math.pi * ntk
        q, p = q + 0.1, p + 0.1
    return ntk


def by_quadrature(x: Tensor, y: Tensor, depth: int) -> tuple[float, float]:
    """K and Θ of two points, σ_w² = 2 and σ_b² = 0.1, with both expectations of each layer as integrals over an angle.

    u and v are normal with the covariance of the layer before. In polar coordinates the radius is done by hand, and the
    angle runs over the half circles where u > 0 and v > 0, by Gauss and Legendre.
    """
    nodes, weights = np.polynomial.legendre.leggauss(32)
    (q, K), (_, p) = (2 * np.array([[a @ b for b in (x, y)] for a in (x, y)]) / len(x) + 0.1).tolist()
    ntk = K
    for _ in range(depth):
        a, b = K / math.sqrt(q), math.sqrt(p - K**2 / q)
        start, end = max(0.0, math.atan2(b, a)) - math.pi / 2, min(0.0, math.atan2(b, a)) + math.pi / 2
        phi = (start + end) / 2 + (end - start) / 2 * nodes
        product = math.sqrt(q) * np.cos(phi) * (a * np.cos(phi) + b * np.sin(phi))
        both, active = (end - start) / 2 * float(weights @ product) / math.pi, (end - start) / (2 * math.pi)
        K = 2 * both + 0.1
        ntk, q, p = K + 2 * active * ntk, q + 0.1, p + 0.1
    return K, ntk


@cache
def kernel_errors(widths: tuple[int, ...], depth: int = 2, networks: int = 20) -> dict[int, float]:
    """‖Θ̂ − Θ‖/‖Θ‖ of random networks at six points of ℝ¹⁰, by width, means over networks."""
    x, found = normal(6, 10, seed=0), {}
    limit = kernels(x, depth=depth).ntk
    for width in widths:
        rng, off = runtime.generator("kernels", width, depth), []
        for _ in range(networks):
            theta = empirical_ntk(WideNetwork([10, *[width] * depth, 1], generator=rng), x)[..., 0, 0]
            off.append(float((theta - limit).norm() / limit.norm()))
        found[width] = float(np.mean(off))
    return found


# A circle to learn on


class Circle(NamedTuple):
    """Five points with targets, float64 ``(5, 2)`` and ``(5, 1)``, and 61 angles and their points round the circle."""

    x: Tensor
    y: Tensor
    angles: Tensor
    at: Tensor


def circle() -> Circle:
    """The task: f(angle) from five values, points scaled so that |x|² = d."""

    def place(angle: Tensor) -> Tensor:
        return math.sqrt(2) * torch.stack([angle.cos(), angle.sin()], 1)

    given = torch.tensor([-2.6, -1.5, -0.4, 0.9, 2.2], dtype=torch.float64)
    y = torch.tensor([0.8, -0.6, 0.3, 1.0, -0.9], dtype=torch.float64)
    angles = torch.linspace(-math.pi, math.pi, 61, dtype=torch.float64)
    return Circle(place(given), y[:, None], angles, place(angles))


@cache
def on_circle(width: int, members: int, seed: int = 0) -> dict[int, Tensor]:
    """What an ensemble says round the circle after 0 and `SNAPSHOTS` steps, rate 0.4/λ_max: steps → (members, 61)."""
    task, done = circle(), 0
    net = WideNetwork([2, width, width, 1], members=members, dtype=torch.float32,
                      generator=runtime.generator("ensemble", seed, width))  # fmt: skip
    rate, found = 0.4 * InfiniteEnsemble(task.x, task.y).descent.rate, {}
    for step in (0, *SNAPSHOTS):
        descend(net, task.x.float(), task.y.float(), rate=rate, steps=step - done)
        with torch.no_grad():
            found[step], done = net(task.at.float())[..., 0].double(), step
    return found


class Lazy(NamedTuple):
    """Medians over networks: distance from the own linearisation, of Θ̂ from its start, of the weights, relative."""

    width: int
    off: float
    kernel: float
    weights: float


@cache
def lazy(width: int, networks: int, steps: int = 300, seed: int = 0) -> Lazy:
    """Trains networks on the circle, each beside its own linearisation at the start, computed in closed form."""
    task, rng = circle(), runtime.generator("lazy", seed, width)
    rate, found = 0.4 * InfiniteEnsemble(task.x, task.y).descent.rate, []
    points = torch.cat([task.x, task.at])
    for _ in range(networks):
        net = WideNetwork([2, width, width, 1], generator=rng)
        start, before = [w.detach().clone() for w in net.parameters()], net(points).detach()
        theta = empirical_ntk(net, points, task.x)[..., 0, 0]
        line = before + theta @ LinearDescent(theta[:5], rate).response(task.y - before[:5], steps)
        descend(net, task.x, task.y, rate=rate, steps=steps)
        moved = sum(float((w - v).detach().square().sum()) for w, v in zip(net.parameters(), start, strict=True))
        size = sum(float(v.square().sum()) for v in start)
        after = empirical_ntk(net, task.x)[..., 0, 0]
        found.append([
            float((net(points) - line).detach()[5:].norm() / line[5:].norm()),
            float((after - theta[:5]).norm() / theta[:5].norm()), math.sqrt(moved / size),
        ])  # fmt: skip
    return Lazy(width, *np.median(found, 0).tolist())


# Digits and their rotations


class Digits(NamedTuple):
    """8×8 digits of mean 0 and spread 1, float64 ``(n, 8, 8)``, labels, and targets: one-hot minus 0.1."""

    x: Tensor
    y: Tensor
    test: Tensor
    answers: Tensor
    targets: Tensor


def digits(count: int, tests: int, seed: int = 0) -> Digits:
    """``count`` digits to train on and ``tests`` others, drawn from scikit-learn's."""
    train, test = data.load("digits8", "train"), data.load("digits8", "test")
    rng = runtime.generator("digits", seed)
    some, other = (
        torch.randperm(len(train.x), generator=rng)[:count],
        torch.randperm(len(test.x), generator=rng)[:tests],
    )
    x, t = train.x[some, 0].double(), test.x[other, 0].double()
    middle, size = x.mean(), x.std()
    return Digits(
        (x - middle) / size, train.y[some], (t - middle) / size, test.y[other],
        F.one_hot(train.y[some], 10).double() - 0.1,
    )  # fmt: skip


def orbit(x: Tensor, elements: Sequence[int]) -> Tensor:
    """Pictures ``(n, side, side)`` turned by some elements of C4, as rows: ``(elements · n, side²)``."""
    return torch.cat([C4.on_pictures(g, x) for g in elements]).flatten(1)


def infinite(task: Digits, elements: Sequence[int]) -> InfiniteEnsemble:
    """The infinite ensemble that learns digits turned by some elements of C4."""
    return InfiniteEnsemble(orbit(task.x, elements), task.targets.repeat(len(elements), 1))


def turned(f: Predictor, x: Tensor) -> Tensor:
    """Answers to pictures in all four positions, ``(4, n, k)``."""
    return f(orbit(x, range(4))).unflatten(0, (4, len(x)))


def out_of_line(answers: Tensor, *, absolute: bool = False) -> float:
    """Root of the mean square by which answers ``(4, n, k)`` leave their mean over C4, relative to that of the mean."""
    mean = answers.mean(0)
    off = float((answers - mean).square().mean().sqrt())
    return off if absolute else off / float(mean.square().mean().sqrt())


def pointing(x: Tensor) -> Tensor:
    """An arrow ``(n, 2)`` that turns with the picture: where in it, seen from the middle, the squares of x lie."""
    axis = torch.linspace(-1, 1, x.shape[-1], dtype=x.dtype)
    weight = x.clamp(min=0).square() / 10
    return torch.stack([(weight * axis).sum((1, 2)), -(weight * axis[:, None]).sum((1, 2))], 1)


def pixel_turns(side: int, elements: Sequence[int] = ORBITS["C4"]) -> Tensor:
    """Elements of C4 as permutations of the pixels, for `closed_under`: ``(elements, side²)``."""
    return torch.stack([C4.on_pictures(g, torch.arange(side**2).view(side, side)).flatten() for g in elements])


@cache
def closed(
    elements: tuple[int, ...] = ORBITS["C4"], seen: tuple[int, ...] = ORBITS["C4"], batch: int | None = None,
    single: bool = False, seed: int = 0, count: int = 20, width: int = 32, steps: int = 100,
) -> Predictor:  # fmt: skip
    """One network and its copies turned by some elements of C4, trained on digits in some positions.

    Args:
        elements: of the copies.
        seen: positions of the digits in training.
        batch: points a step; all if not given.
        single: float32.
        seed, count, width, steps: of the weights; digits, hidden units, and steps of training.

    Returns:
        x ``(n, 64)`` → answers of the members ``(members, n, 10)``.
    """
    task, dtype = digits(count, 1), torch.float32 if single else torch.float64
    x, y = orbit(task.x, seen).to(dtype), task.targets.repeat(len(seen), 1).to(dtype)
    one = WideNetwork([64, width, width, 10], generator=runtime.generator("closed", seed), dtype=dtype)
    net = closed_under(one, pixel_turns(8, elements))
    rate = 0.7 / float(torch.linalg.eigvalsh(kernels(x.double()).ntk)[-1])
    descend(net, x, y, rate=rate, steps=steps, batch=batch)
    return lambda x: net(x.to(dtype)).detach().double()


class Spread(NamedTuple):
    """By how much the mean of so many members leaves its mean over C4, absolute, root mean square."""

    members: list[int]
    digits: list[float]
    noise: list[float]


@cache
def spreads(members: int = 128, left_only: bool = False, count: int = 20, width: int = 32, steps: int = 100) -> Spread:
    """Independent networks of one finite width, trained on all positions of a few digits, averaged in groups.

    Args:
        members: of the ensemble, a power of 2.
        left_only: weights of the first layer start at zero on the right half: a law that rotations change.
        count, width, steps: digits, hidden units, steps.
    """
    task = digits(count, 100)
    x = orbit(task.x, ORBITS["C4"])
    net = WideNetwork([64, width, width, 10], members=members, dtype=torch.float32,
                      generator=runtime.generator("spread", width))  # fmt: skip
    if left_only:
        with torch.no_grad():
            net.W[0].unflatten(-1, (8, 8))[..., 4:] = 0
    rate = 0.7 / float(torch.linalg.eigvalsh(kernels(x).ntk)[-1])
    descend(net, x.float(), task.targets.repeat(4, 1).float(), rate=rate, steps=steps)
    sizes, found = [2**k for k in range(members.bit_length())], []
    for pictures in (task.test, normal(100, 8, 8, seed=0)):
        with torch.no_grad():
            said = net(orbit(pictures, range(4)).float()).double().unflatten(1, (4, 100))
        groups = ([group.mean(0) for group in said.split(size)] for size in sizes)
        found.append([float(np.mean([out_of_line(one, absolute=True) for one in group])) for group in groups])
    return Spread(sizes, *found)

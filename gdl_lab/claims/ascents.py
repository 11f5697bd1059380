"""What the claims of chapter 06 are put to: curves with a classifier on them, and pictures with two readers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gdl_lab import data, recipes, runtime, training
from gdl_lab.counterfactuals import Explanation, Optimizer, Path, ascend, explain, log_probability
from gdl_lab.flows import Flow, dequantize
from gdl_lab.manifold import Arc, Helix, nearest
from gdl_lab.networks import FullyConnected

__all__ = [
    "Case",
    "agrees",
    "beginnings",
    "both_ways",
    "case",
    "crowd",
    "digit",
    "face",
    "log_q",
    "neighbours_agree",
    "side_of_curve",
]

NEAR_ARC, NEAR_HELIX = (-1.0, -0.3), (-3.0, -1.5)


def side_of_curve(curve: Arc | Helix, delta: float, *, seed: int = 0, steps: int = 300) -> nn.Module:
    """A classifier of t > 0 and t < 0, trained on points of the curve alone; float64."""
    x, t = curve.draw(4000, delta=delta, generator=runtime.generator("sides", seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = FullyConnected([x.shape[1], 32, 32, 2])
    training.fit(
        net, (x.float(), (t > 0).long()), lambda f, x, y: cross_entropy(f(x), y), steps=steps, batch_size=256, lr=1e-2,
        schedule=training.warm_cosine, seed=seed, progress=False,
    )  # fmt: skip
    return net.double().eval()


def beginnings(
    curve: Arc | Helix,
    delta: float,
    between: tuple[float, float],
    *,
    net: Callable[[Tensor], Tensor] | None = None,
    n: int = 100,
    seed: int = 0,
) -> Tensor:
    """``n`` data points with t in an interval, ``(n, D)``.

    Ascent in Z follows the slope of f along the curve. Away from the border between the classes f is certain and nearly
    flat, and may as well rise towards the end of the curve. With ``net`` only those points are kept at which it rises
    towards the border, which is at t = 0.
    """
    low, high = between
    x, t = curve.draw(60 * n, delta=delta, generator=runtime.generator("beginnings", seed))
    x, t = (values[(t > low) & (t < high)] for values in (x, t))
    if net is not None:
        t = t.requires_grad_()
        slope = torch.autograd.grad(log_probability(net, 1)(curve.place(t)).sum(), t)[0]
        x = x[slope > 0]
    return x[:n]


def both_ways(
    net: Callable[[Tensor], Tensor],
    flow: Flow,
    x: Tensor,
    *,
    optimizer: Optimizer = "plain",
    lr: float = 0.01,
    steps: int = 2000,
) -> tuple[Path, Path]:
    """Ascents to p = 0.99 of class 1 in Z and in X, at the same λ."""
    score = log_probability(net, 1)
    with torch.no_grad():
        z = flow.pull(x)
    return (
        ascend(score, z, flow.push, lr=lr, steps=steps, optimizer=optimizer),
        ascend(score, x, lr=lr, steps=steps, optimizer=optimizer),
    )


@dataclass(frozen=True)
class Case:
    """Pictures to be explained, with who judges them.

    Attributes:
        reader: whose answer is climbed.
        second: the second opinion, of another architecture and seed.
        flow: on the same data.
        explanation: of pictures that both readers read right.
    """

    reader: nn.Module
    second: nn.Module
    flow: Flow
    explanation: Explanation


@cache
def case(name: str, start: int | float, target: int | float, n: int, lr: float, lr_x: float, steps: int) -> Case:
    """Pictures of ``start`` on their way to ``target``, by Adam.

    Args:
        name: ``"digits"``, ``"faces"`` or ``"crowds"``, of which the recipes ``name``, ``name-reader`` and
            ``name-second`` are used; digits have ``digits-whitened``.
        start: class or value of the pictures. Values are met within ½.
    """
    flow = recipes.load("digits-whitened" if name == "digits" else name)
    reader, second = (recipes.load(f"{name}-{one}").eval() for one in ("reader", "second"))
    x = _pictures(name, start, n, flow, (reader, second))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what was not reached is in the claim's numbers
        e = explain(reader, flow, x, target, lr=lr, lr_x=lr_x, steps=steps, tol=0.25)
    return Case(reader, second, flow, e)


def digit(start: int = 4, target: int = 9, n: int = 240) -> Case:
    """Digits on their way to others, by default fours to nine; λ in Z is the default of `explain`.

    A share of n pictures near 0.8 has a standard error of 0.4/√n: 0.06 for 48 of them, 0.026 for 240.
    """
    return case("digits", start, target, n, 0.05, 0.005, 300)


def face(n: int = 24) -> Case:
    """Faces that are not blonde on their way to blonde."""
    return case("faces", 0, 1, n, 0.01, 0.002, 300)


def crowd(many: bool, n: int = 8) -> Case:
    """Crowds of ten on their way to two, which in X takes a longer step, or of four on their way to eight."""
    start, target, lr_x = (4.0, 8.0, 0.002) if many else (10.0, 2.0, 0.005)
    return case("crowds", start, target, n, 0.01, lr_x, 200)


@torch.no_grad()
def agrees(reader: Callable[[Tensor], Tensor], x: Tensor, target: int) -> float:
    """The share of pictures whose most likely class is ``target``."""
    return float((reader(x).argmax(1) == target).double().mean())


def log_q(e: Explanation) -> list[float]:
    """Medians of log q/D of original, counterfactual and adversarial example."""
    return (e.log_q.double() / e.original[0].numel()).median(1).values.tolist()


def neighbours_agree(x: Tensor, pool: Tensor, y: Tensor, target: int) -> float:
    """The share of pictures whose nearest neighbour in a pool has the class ``target``."""
    return float((y[nearest(x.flatten(1), pool.flatten(1), 1)[1][:, 0]] == target).double().mean())


@torch.no_grad()
def _pictures(name: str, start: int | float, n: int, flow: Flow, readers: tuple[nn.Module, nn.Module]) -> Tensor:
    """Test pictures with noise between their grey levels; samples of the flow where MNIST is not on this machine."""
    generator = runtime.generator("to be explained", name)
    if name == "digits" and not data.on_this_machine("mnist"):
        pool = flow.sample(50 * n, generator=generator, temperature=0.8)
    else:
        shown = data.load("mnist", "test") if name == "digits" else data.load(name, "test", n=40 * n)
        pool = dequantize(shown.x[shown.y == start], 4 if name == "digits" else 5, generator)
        pool = pool.reshape(-1, *flow.shape)
    said = [reader(pool) for reader in readers]
    right = [s.argmax(1) == start if s.ndim == 2 else (s - start).abs() < 0.75 for s in said]
    return pool[right[0] & right[1]][:n]

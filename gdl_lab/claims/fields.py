"""Oracles of chapter 10: integrals over a circle; fields drawn by chains and by flows, and what networks learn of them.

Exact values are quadratures and a Fourier series, without the Bessel functions of `gdl_lab.lattice`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gdl_lab import recipes, runtime
from gdl_lab.flows import Flow
from gdl_lab.lattice import (
    LinkCNN,
    PlaquetteFlow,
    Score,
    berry_links,
    bloch_vectors,
    chern_number,
    ess,
    estimate_log_z,
    heat_bath,
    hmc,
    learn_chern,
    learn_loops,
    log_weights,
    lower_band,
    mean_plaquette,
    metropolis,
    plaquette_angles,
    random_links,
    random_models,
    reweight,
    topological_charge,
)
from gdl_lab.networks import count_parameters
from gdl_lab.training import fit, warm_cosine

__all__ = [
    "History", "Samples", "chern_scores", "cosine", "draw", "free_share", "history", "in_fixed_gauge", "integral",
    "log_z", "loop_scores", "report", "rows", "sampled", "su2_plaquette", "su3_plaquette", "sweeps", "tree",
]  # fmt: skip


# Exact values


def integral(n: int, beta: float) -> float:
    """∫ exp(β cos φ) cos nφ dφ/2π, by the trapezium rule, which on a circle is exact to all digits; over e^β."""
    phi = 2 * math.pi * np.arange(400) / 400
    return float((np.exp(beta * (np.cos(phi) - 1)) * np.cos(n * phi)).mean())


def log_z(beta: float, volume: int) -> float:
    """log Z of U(1) on a torus of V plaquettes: Fourier's series turns V factors with one constraint into a sum."""
    ratios = [integral(n, beta) / integral(0, beta) for n in range(1, 40)]
    total = 1 + 2 * math.fsum(r**volume for r in ratios)
    return 2 * volume * math.log(2 * math.pi) + volume * (beta + math.log(integral(0, beta))) + math.log(total)


def cosine(beta: float, volume: int) -> float:
    """⟨cos P⟩ on the same torus, the slope of `log_z` by a difference of eighth order."""
    h, weights = 1e-2, {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}
    return (
        math.fsum(w * (log_z(beta + k * h, volume) - log_z(beta - k * h, volume)) / h for k, w in weights.items())
        / volume
    )


def su2_plaquette(beta: float) -> float:
    """⟨tr P/2⟩ of one free plaquette of SU(2), whose class of angle t has the area sin² t."""
    t = math.pi * (np.arange(400) + 0.5) / 400
    weight = np.sin(t) ** 2 * np.exp(beta * np.cos(t))
    return float((weight * np.cos(t)).sum() / weight.sum())


def su3_plaquette(beta: float) -> float:
    """⟨Re tr P/3⟩ of one free plaquette of SU(3), by Weyl's measure of its eigenvalues."""
    a = 2 * np.pi * np.arange(120) / 120
    first, second = np.meshgrid(a, a)
    e = [np.exp(1j * t) for t in (first, second, -first - second)]
    weight = np.abs((e[0] - e[1]) * (e[1] - e[2]) * (e[0] - e[2])) ** 2
    t = np.real(sum(e)) / 3
    weight = weight * np.exp(beta * t)
    return float((weight * t).sum() / weight.sum())


def free_share(beta: float) -> float:
    """⟨w⟩²/⟨w²⟩ of w = exp(β cos φ) for a uniform angle."""
    return integral(0, beta) ** 2 / integral(0, 2 * beta)


# Markov chains


class History(NamedTuple):
    """What HMC met after each trajectory: ⟨cos P⟩ and the charge ``(time, chains)``, and the share accepted."""

    cosine: Tensor
    charge: Tensor
    accepted: float

    @property
    def tunnelling(self) -> float:
        """Changes of the charge per trajectory."""
        return float((self.charge.diff(dim=0) != 0).double().mean())

    @property
    def spread(self) -> float:
        """⟨Q²⟩."""
        return float(self.charge.double().square().mean())


@cache
def history(
    beta: float, *, size: int = 8, chains: int = 32, time: int = 120, warm_up: int = 30, seed: int = 0
) -> History:
    """HMC of U(1) from links of Haar's measure, trajectories of length 1 in ten steps."""
    rng = runtime.generator("HMC", seed, str(beta))
    start = random_links("U(1)", (size, size), chains, generator=rng)
    met = [
        (mean_plaquette(U), topological_charge(U).round(), accepted.double().mean())
        for U, accepted in islice(hmc(start, beta, generator=rng), warm_up, warm_up + time)
    ]
    cosine, charge, accepted = (torch.stack(one) for one in zip(*met, strict=True))
    return History(cosine, charge, float(accepted.mean()))


@cache
def sweeps(group: str, beta: float, *, size: int = 8, chains: int = 16, time: int = 40, seed: int = 0) -> Tensor:
    """⟨Re tr P/N⟩ after each sweep of the heat bath in two dimensions, ``(time, chains)``, after 15 more."""
    rng = runtime.generator("heat bath", seed, group, str(beta))
    start = random_links(group, (size, size), chains, generator=rng)
    return torch.stack([mean_plaquette(U) for U in islice(heat_bath(start, beta, generator=rng), 15, 15 + time)])


# Flows


class Samples(NamedTuple):
    """Fields ``(n, …)`` that a flow has drawn, with their log-weights log p − log q + log Z."""

    x: Tensor
    log_w: Tensor

    @property
    def ess(self) -> float:
        """Effective sample size, as a share."""
        return ess(self.log_w)

    def divergence(self, log_z: float) -> float:
        """KL(q‖p) in nats."""
        return log_z - float(self.log_w.mean())

    @property
    def acceptance(self) -> float:
        """Of a chain that proposes the fields one after the other."""
        chain = metropolis(self.log_w, generator=runtime.generator("acceptance"))
        return float((chain.diff() != 0).double().mean())


@torch.no_grad()
def draw(flow: Flow, action: Callable[[Tensor], Tensor], n: int = 8192, *, seed: int = 0) -> Samples:
    """n fields of a flow, in parts."""
    rng, x, log_w = runtime.generator("fields", seed), [], []
    while n > 0:
        z = flow.base.sample(torch.empty(min(n, 2048), flow.dim), 1.0, rng).to(flow.anchor)
        x.append(flow.push(z).cpu())
        log_w.append(log_weights(flow, action, z).cpu().double())
        n -= len(z)
    return Samples(torch.cat(x), torch.cat(log_w))


@cache
def sampled(name: str, n: int = 8192) -> Samples:
    """n fields of a checkpoint."""
    recipe = recipes.RECIPES[name]
    assert isinstance(recipe, recipes.FieldSampler)
    return draw(recipes.load(name), recipe.action, n)


@cache
def tree(beta: float) -> Samples:
    """8,192 fields of U(1) on 8×8 sites from the tree gauge, no network having touched them."""
    flow = PlaquetteFlow(8, 1, base="tree", beta=beta)
    return draw(flow, lambda theta: -beta * plaquette_angles(theta).cos().sum((1, 2)))


def report(samples: Samples, beta: float) -> list[object]:
    """KL in nats, ESS, acceptance, ⟨cos P⟩ reweighted and exact, and log Z beside its exact value, for U(1) on 8×8."""
    cosines, exact = plaquette_angles(samples.x).cos().mean((1, 2)), log_z(beta, 64)
    measured = estimate_log_z(samples.log_w)
    off = f"{measured.mean - exact:+.3f} ± {measured.error:.3f}"
    shown = [samples.divergence(exact), samples.ess, samples.acceptance]
    return [*shown, reweight(samples.log_w, cosines), f"{cosine(beta, 64):.5f}", off]


# What networks learn


def rows(scores: Iterable[Score]) -> list[list[object]]:
    """A line for each network: its name, its parameters and its values, size by size."""
    lines: dict[str, list[object]] = {}
    for score in scores:
        lines.setdefault(score.network, [score.network, score.parameters]).append(score.value)
    return list(lines.values())


@cache
def loop_scores(examples: int = 256, steps: int = 240, sizes: tuple[int, ...] = (8, 12, 16)) -> tuple[Score, ...]:
    """R² of predicting 2×2 loops of SU(2) on lattices of some sizes, trained on 8×8."""
    return tuple(learn_loops(2, 2, sizes=sizes, examples=examples, steps=steps))


@cache
def chern_scores(examples: int = 2048, steps: int = 600) -> tuple[Score, ...]:
    """Shares of Chern numbers found on grids of four sizes, trained on 8×8 in random gauges; and in one fixed gauge.

    Last the charge of the links as it is on each grid: the numbers asked for are those of 24×24.
    """
    sizes = (8, 12, 16, 24)
    training, tests = in_fixed_gauge(8, examples, 0), [in_fixed_gauge(s, max(8, examples // 4), 1) for s in sizes]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = LinkCNN(1, (16, 16), hidden=16, pool="sum")
    fit(
        network, training, lambda net, U, y: F.mse_loss(net(U), y), steps=steps, batch_size=32, lr=1e-2,
        schedule=warm_cosine, clip=1.0, progress=False,
    )  # fmt: skip
    scores = list(learn_chern(examples=examples, steps=steps, sizes=sizes))
    for size, (U, y) in zip(sizes, tests, strict=True):
        share = float((topological_charge(U).round() == y).double().mean())
        scores.append(Score("no network: the charge", 0, size, share))
    with torch.no_grad():
        for size, (U, y) in zip(sizes, tests, strict=True):
            answer = torch.cat([network(part) for part in U.split(64)])
            share = float((answer.round() == y).double().mean())
            scores.append(Score("CNN, fixed gauge", count_parameters(network), size, share))
    return tuple(scores)


def in_fixed_gauge(size: int, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """As `chern_task`, with the phase that makes the first component of each state positive."""
    models = random_models(n, generator=runtime.generator("models", seed))
    numbers = chern_number(lower_band(bloch_vectors(models, max(24, size))))
    u = lower_band(bloch_vectors(models, size))
    u = u * (u[..., :1].conj() / u[..., :1].abs())
    return berry_links(u).to(torch.complex64), numbers.float()

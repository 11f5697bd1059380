r"""What gauge equivariance buys: the same task for an L-CNN and for an ordinary network that sees the bare links.

Both tasks have exact answers: the mean of larger Wilson loops on SU(2) lattices, and Chern numbers of random two-band
models. Training is on one size of lattice, tests on several; every call with the same arguments gives the same table.

Source: Favoni, Ipp, Müller & Schuh (2022); Huang, Balabanov, Linander, Granath, Persson & Gerken (2025),
arXiv:2502.15376.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdl_lab import runtime
from gdl_lab.lattice.chern import berry_links, bloch_vectors, chern_number, lower_band, random_models
from gdl_lab.lattice.layers import LCNN, LinkCNN
from gdl_lab.lattice.links import random_links
from gdl_lab.lattice.loops import trace, wilson_loop
from gdl_lab.lattice.monte_carlo import heat_bath
from gdl_lab.networks import count_parameters
from gdl_lab.training import fit, warm_cosine

__all__ = ["Score", "chern_networks", "chern_task", "learn_chern", "learn_loops", "loop_networks", "loop_task"]

Task = tuple[Tensor, Tensor]
BETAS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0)


class Score(NamedTuple):
    """One number of a table: how well a network of so many parameters did on lattices of a size."""

    network: str
    parameters: int
    size: int
    value: float


def loop_task(size: int, R: int, T: int, n: int, *, seed: int = 0, sweeps: int = 20) -> Task:
    """SU(2) links of the heat bath, an equal share at each of eight β, and their mean Re tr W/2 of the R×T loop.

    Returns:
        Links ``(n, 2, size, size, 2, 2)`` in complex64, and real ``(n,)``.
    """
    chains = []
    for beta in BETAS:
        rng = runtime.generator("loops", seed, size, str(beta))
        start = random_links("SU(2)", (size, size), -(-n // len(BETAS)), generator=rng)
        chains.append(next(islice(heat_bath(start, beta, generator=rng), sweeps - 1, None)))
    links = torch.cat(chains)[torch.randperm(len(BETAS) * len(chains[0]), generator=rng)[:n]]
    return links.to(torch.complex64), trace(wilson_loop(links, 0, 1, R, T)).real.flatten(1).mean(1).float()


def chern_task(size: int, n: int, *, seed: int = 0, harmonics: int = 1) -> Task:
    """Links of the lower bands of random two-band models in random gauges, and their Chern numbers.

    Returns:
        Links ``(n, 2, size, size, 1, 1)`` in complex64, and real ``(n,)``. The same seed gives the same models on grids
        of all sizes; the numbers are those of a grid of at least 24 points a side, so that they are the continuum's.
    """
    models = random_models(n, harmonics=harmonics, generator=runtime.generator("models", seed))
    fine = chern_number(lower_band(bloch_vectors(models, max(24, size))))
    phases = runtime.generator("phases", seed, size)
    links = berry_links(lower_band(bloch_vectors(models, size), generator=phases))
    return links.to(torch.complex64), fine.float()


def loop_networks() -> dict[str, Callable[[], nn.Module]]:
    """An L-CNN of two layers and an ordinary CNN with more parameters, in the order of a table."""
    return {
        "L-CNN": lambda: LCNN(2, (4, 4), hidden=0, gate=False),
        "CNN": lambda: LinkCNN(2, (6, 7), hidden=8),
    }


def chern_networks() -> dict[str, Callable[[], nn.Module]]:
    """A function of single plaquettes that is odd under conjugation, and an ordinary CNN with more parameters."""
    return {
        "plaquettes": lambda: LCNN(2, (), hidden=32, pool="sum", odd=True),
        "CNN": lambda: LinkCNN(1, (16, 16), hidden=16, pool="sum"),
    }


def learn_loops(
    R: int = 2,
    T: int = 2,
    *,
    size: int = 8,
    sizes: Sequence[int] = (8, 12, 16),
    examples: int = 512,
    steps: int = 300,
    seed: int = 0,
    progress: bool = False,
) -> list[Score]:
    """R² of predicting the mean R×T loop on unseen lattices: 1 is perfect, 0 as good as their average.

    Args:
        size: of the lattices trained on; ``sizes`` are tested on.
        examples: to train on; a quarter as many are tested on.
        steps: of Adam with batches of 32.
    """
    tests = [loop_task(s, R, T, max(8, examples // 4), seed=seed + 1) for s in sizes]
    training = loop_task(size, R, T, examples, seed=seed)
    return list(_table(loop_networks(), training, tests, _r_squared, steps, seed, progress))


def learn_chern(
    *,
    size: int = 8,
    sizes: Sequence[int] = (8, 12, 16, 24),
    examples: int = 2048,
    steps: int = 600,
    seed: int = 0,
    progress: bool = False,
) -> list[Score]:
    """The share of unseen two-band models whose Chern number a network's rounded answer names; else `learn_loops`."""
    tests = [chern_task(s, max(8, examples // 4), seed=seed + 1) for s in sizes]
    return list(_table(chern_networks(), chern_task(size, examples, seed=seed), tests, _hits, steps, seed, progress))


def _table(
    networks: dict[str, Callable[[], nn.Module]],
    training: Task,
    tests: Iterable[Task],
    judge: Callable[[Tensor, Tensor], float],
    steps: int,
    seed: int,
    progress: bool,
) -> Iterable[Score]:
    links, wanted = training
    spread = wanted.std()
    for name, make in networks.items():
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = make()

        def loss(model: nn.Module, U: Tensor, y: Tensor) -> Tensor:
            return F.mse_loss(model(U) / spread, y / spread)

        fit(
            network, (links, wanted), loss, steps=steps, batch_size=32, lr=1e-2, schedule=warm_cosine, clip=1.0,
            seed=seed, progress=progress, label=name,
        )  # fmt: skip
        for U, y in tests:
            with torch.no_grad():
                answer = torch.cat([network(part) for part in U.split(64)])
            yield Score(name, count_parameters(network), U.shape[2], judge(answer, y))


def _r_squared(answer: Tensor, y: Tensor) -> float:
    return float(1 - (answer - y).square().mean() / y.var(correction=0))


def _hits(answer: Tensor, y: Tensor) -> float:
    return float((answer.round() == y).double().mean())

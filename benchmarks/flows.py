"""Our RealNVP beside those of four libraries: medians of interleaved runs in one process and thread, and their ratios.

The same operation for all, each built as its library does: 8 affine couplings of ℝ⁶⁴, each with one 2×128 SiLU network
that gives both s and t. The libraries are those of ``pip install -e ".[compare]"``; a missing one is left out.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn

from gdl_lab.flows import RealNVP

DIM, LAYERS, WIDTH, BATCH = 64, 8, 128, 512


@dataclass
class Contender:
    """One implementation: its parameters, log-density and sampler."""

    parameters: list[nn.Parameter]
    log_prob: Callable[[Tensor], Tensor]
    sample: Callable[[int], Tensor]


def network(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, outputs)
    )


def normal_log_prob(z: Tensor) -> Tensor:
    return -0.5 * z.square().sum(-1) - 0.5 * DIM * math.log(2 * math.pi)


def ours() -> Contender:
    flow = RealNVP(DIM, LAYERS, (WIDTH, WIDTH))
    return Contender(list(flow.parameters()), flow.log_prob, flow.sample)


def normflows() -> Contender:
    import normflows as nf

    parts = []
    for _ in range(LAYERS):
        parts.append(nf.flows.AffineCouplingBlock(network(DIM // 2, DIM), scale=True, scale_map="exp"))
        parts.append(nf.flows.Permute(DIM, mode="swap"))
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(DIM, trainable=False), parts)
    return Contender(list(flow.parameters()), flow.log_prob, lambda n: flow.sample(n)[0])


def zuko() -> Contender:
    import zuko

    flow = zuko.flows.RealNVP(DIM, transforms=LAYERS, hidden_features=(WIDTH, WIDTH), activation=nn.SiLU)
    return Contender(list(flow.parameters()), lambda x: flow().log_prob(x), lambda n: flow().sample((n,)))


def nflows() -> Contender:
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow
    from nflows.transforms.base import CompositeTransform
    from nflows.transforms.coupling import AffineCouplingTransform

    class Network(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.network = network(inputs, outputs)

        def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
            return self.network(x)

    masks = [torch.arange(DIM) % 2 == j % 2 for j in range(LAYERS)]
    couplings = [AffineCouplingTransform(mask.int(), Network) for mask in masks]
    flow = Flow(CompositeTransform(couplings), StandardNormal([DIM]))
    return Contender(list(flow.parameters()), flow.log_prob, flow.sample)


def freia() -> Contender:
    from FrEIA.framework import SequenceINN
    from FrEIA.modules import AllInOneBlock

    flow = SequenceINN(DIM)
    for _ in range(LAYERS):  # the block brings an actnorm and a permutation with it
        flow.append(AllInOneBlock, subnet_constructor=network)

    def log_prob(x: Tensor) -> Tensor:
        z, log_det = flow(x)
        return normal_log_prob(z) + log_det

    return Contender(list(flow.parameters()), log_prob, lambda n: flow(torch.randn(n, DIM), rev=True)[0])


def networks_alone() -> Contender:
    """The eight networks and nothing else: what no implementation can go below."""
    nets = nn.ModuleList(network(DIM // 2, DIM) for _ in range(LAYERS))

    def run(x: Tensor) -> Tensor:
        half = x[:, : DIM // 2]
        return torch.stack([net(half).sum() for net in nets]).sum()

    return Contender(list(nets.parameters()), run, lambda n: run(torch.randn(n, DIM)))


def train_step(c: Contender, x: Tensor) -> None:
    for p in c.parameters:
        p.grad = None
    (-c.log_prob(x).mean()).backward()


@torch.no_grad()
def without_gradients(work: Callable[[], Tensor]) -> None:
    work()


def interleaved(runs: dict[str, Callable[[], object]], rounds: int, calls: int) -> dict[str, float]:
    """Median milliseconds of a call: ``calls`` in a row as in a loop, then the next's turn; one round to warm up."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            for _ in range(calls):
                run()
            taken[name].append((time.perf_counter() - began) / calls)
    return {name: 1e3 * median(times[1:]) for name, times in taken.items()}


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    contenders = {"ours": ours()}
    for name, build in (("normflows", normflows), ("zuko", zuko), ("nflows", nflows), ("FrEIA", freia)):
        try:
            contenders[name] = build()
        except ImportError as reason:
            print(f"{name} is not installed, left out ({reason})", file=sys.stderr)
    contenders["(networks alone)"] = networks_alone()
    many, one = torch.randn(BATCH, DIM), torch.randn(1, DIM)
    cases: list[tuple[str, Callable[[Contender], object], int, int]] = [
        (f"log_prob and its gradient, batch {BATCH}", lambda c: train_step(c, many), 41, 2),
        (f"{BATCH} samples", lambda c: without_gradients(lambda: c.sample(BATCH)), 41, 4),
        ("log_prob without gradient, batch 1", lambda c: without_gradients(lambda: c.log_prob(one)), 41, 50),
        ("log_prob and its gradient, batch 1", lambda c: train_step(c, one), 41, 10),
    ]
    for title, work, rounds, calls in cases:
        times = interleaved({name: partial(work, c) for name, c in contenders.items()}, rounds, calls)
        print(title)
        for name, ms in times.items():
            print(f"  {name:17} {ms:8.3f} ms   {ms / times['ours']:5.2f} × ours")


if __name__ == "__main__":
    main()

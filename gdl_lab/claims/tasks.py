"""Small learning problems with a symmetry, each with a network that has it built in and one that has not."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gdl_lab import runtime, training
from gdl_lab.data import Dataset
from gdl_lab.recipes import rotated_digits
from gdl_lab.symmetry import DeepSets, GroupNetwork

__all__ = [
    "FlatGraphs", "Spread", "VectorProduct", "crosses", "digits", "distances", "graphs", "learned", "missed",
    "perceptron", "read_digits", "sets",
]  # fmt: skip

Graphs = tuple[Tensor, Tensor]


def perceptron(*widths: int) -> nn.Sequential:
    """A fully connected network with SiLU between its layers."""
    layers: list[nn.Module] = []
    for m, n in pairwise(widths):
        layers += [nn.Linear(m, n), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


def learned(net: nn.Module, x: Tensor | Graphs, y: Tensor, *, steps: int = 1500, lr: float = 5e-3) -> nn.Module:
    """The network after least squares on examples, in batches of 64."""
    inputs = x if isinstance(x, tuple) else (x,)

    def loss(net: nn.Module, *batch: Tensor) -> Tensor:
        *given, wanted = batch
        said: Tensor = net(tuple(given) if isinstance(x, tuple) else given[0])
        return (said.reshape(wanted.shape) - wanted).square().mean()

    training.fit(
        net, (*inputs, y), loss, steps=steps, batch_size=64, lr=lr, schedule=training.warm_cosine, clip=1.0,
        progress=False,
    )  # fmt: skip
    return net


@torch.no_grad()
def missed(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """Mean squared error, over the variance of what is to be said."""
    return float((net(x) - y).square().mean() / (y - y.mean(0)).square().mean())


# Sets: the variance of eight numbers


class Spread(nn.Module):
    """`DeepSets`, or a perceptron of the flattened set, from ``(batch, 8, 1)`` to ``(batch,)``."""

    def __init__(self, *, symmetric: bool) -> None:
        super().__init__()
        self.net = DeepSets(1, 1) if symmetric else nn.Sequential(nn.Flatten(), perceptron(8, 60, 48, 1))

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.net(x)
        return answer[:, 0]


def sets(n: int, *, seed: int, ordered: bool) -> tuple[Tensor, Tensor]:
    """Sets of eight normal numbers, ``(n, 8, 1)``, in ascending order or as they come, and their variances."""
    x = torch.randn(n, 8, 1, generator=runtime.generator("sets", seed))
    return (x.sort(1).values if ordered else x), x.var(1)[:, 0]


# Graphs: how far is the marked node?


class FlatGraphs(nn.Module):
    """A perceptron of all entries of adjacency and marks, for graphs of one size."""

    def __init__(self, nodes: int) -> None:
        super().__init__()
        self.net = perceptron(nodes * (nodes + 1), 48, nodes)

    def forward(self, graph: Graphs) -> Tensor:
        answer: Tensor = self.net(torch.cat([part.flatten(1) for part in graph], 1))
        return answer[:, :, None]


def graphs(n: int, nodes: int, *, seed: int) -> Graphs:
    """Random graphs, each pair of nodes joined with probability 0.2, and a mark on one node, ``(n, nodes, 1)``."""
    rng = runtime.generator("graphs", seed, nodes)
    A = (torch.rand(n, nodes, nodes, generator=rng) < 0.2).float().triu(1)
    mark = torch.zeros(n, nodes, 1)
    mark[torch.arange(n), torch.randint(nodes, (n,), generator=rng)] = 1
    return A + A.mT, mark


def distances(graph: Graphs, most: int = 3) -> Tensor:
    """Steps from the marked node to each, cut off at ``most``; ``(n, nodes, 1)``."""
    A, mark = graph
    reached, found = mark, most * (1 - mark)
    for k in range(1, most):
        reached = ((A @ reached) + reached > 0).float()
        found = torch.where(reached > 0, found.clamp(max=k), found)
    return found * (1 - mark)


# Vectors: the cross product


class VectorProduct(nn.Module):
    """Two vectors ``(batch, 6)`` in irreps 2x1o → an axial one ``(batch, 3)``, 1x1e, by a learned tensor product."""

    def __init__(self, channels: int = 8) -> None:
        from e3nn import o3  # takes as long to import as torch itself

        super().__init__()
        mixed = f"{channels}x1o"
        self.left, self.right = o3.Linear("2x1o", mixed), o3.Linear("2x1o", mixed)
        self.product = o3.FullyConnectedTensorProduct(mixed, mixed, "1x1e")

    def forward(self, pair: Tensor) -> Tensor:
        answer: Tensor = self.product(self.left(pair), self.right(pair))
        return answer


def crosses(n: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Pairs of normal vectors, ``(n, 6)``, and their cross products."""
    pair = torch.randn(n, 6, generator=runtime.generator("vectors", seed))
    return pair, torch.linalg.cross(pair[:, :3], pair[:, 3:])


# Digits


class Readers(NamedTuple):
    """Three networks of the same size, after about equal processor time on the same digits, and digits to test on."""

    c4: GroupNetwork
    upright: GroupNetwork
    augmented: GroupNetwork
    test: Dataset


def digits(n: int = 1000) -> tuple[Dataset, Dataset]:
    """So many digits to train on, and twice as many to test on; fewer, where MNIST is not on this machine."""
    train, test = rotated_digits.digits("train"), rotated_digits.digits("test")
    return train.take(min(n, len(train))), test.take(min(2 * n, len(test)))


@cache
def read_digits(n: int = 1000, steps: int = 500, copies: int = 20) -> Readers:
    """A C4 network and a CNN trained on upright digits, and a CNN on rotated copies; trained once in a process.

    The CNN's take twice the steps, each of half the time.
    """
    few, test = digits(n)
    return Readers(
        rotated_digits.train("C4", few, steps=steps, label="C4"),
        rotated_digits.train("CNN", few, steps=2 * steps, label="CNN"),
        rotated_digits.train("CNN", few, copies=copies, steps=2 * steps, label="CNN, rotated copies"),
        test,
    )

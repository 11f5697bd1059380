"""What the spelled-out versions cost beside PyTorch's: medians of interleaved runs in one process, and their ratio."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch.nn import functional as F

from gdl_lab.networks import FullyConnected, correlate, linear_regions, loss_and_gradients

REPEATS = 9


def interleaved(*contenders: Callable[[], Any]) -> list[float]:
    """Median seconds of each, taking turns so that a busy machine disturbs all alike; one round of warming up."""
    seconds: list[list[float]] = [[] for _ in contenders]
    for _ in range(REPEATS + 1):
        for contender, taken in zip(contenders, seconds, strict=True):
            began = time.perf_counter()
            contender()
            taken.append(time.perf_counter() - began)
    return [median(taken[1:]) for taken in seconds]


def report(name: str, ours: float, theirs: float, their_name: str) -> None:
    print(f"{name}: ours {1e3 * ours:.2f} ms, {their_name} {1e3 * theirs:.2f} ms, ratio {ours / theirs:.2f}")


def gradients() -> None:
    net, x, y = FullyConnected([64, 256, 256, 1]), torch.randn(512, 64), torch.randn(512, 1)
    weights = [(w.detach(), b.detach()) for w, b in net.weights()]

    def autograd() -> None:
        net.zero_grad()
        F.mse_loss(net(x), y, reduction="sum").backward()

    ours, theirs = interleaved(lambda: loss_and_gradients(weights, x, y), autograd)
    report("gradient of 64-256-256-1, batch 512", ours, theirs, "autograd")


def convolution() -> None:
    kernel, f = torch.randn(16, 16, 3, 3), torch.randn(64, 16, 28, 28)
    ours, theirs = interleaved(lambda: correlate(kernel, f, padding="zeros"), lambda: F.conv2d(f, kernel, padding=1))
    report("3×3 convolution, 16 to 16 channels, 64 pictures of 28×28", ours, theirs, "conv2d")


def regions() -> None:
    torch.manual_seed(0)
    net = FullyConnected([2, 16, 16, 1]).double()
    for layer in net.linear_layers():
        torch.nn.init.normal_(layer.bias, std=0.3)
    axis = torch.linspace(-1, 1, 1000, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)

    @torch.no_grad()
    def patterns() -> int:
        z, signs = points, []
        for layer in net.linear_layers()[:-1]:
            z = layer(z)
            signs.append(z > 0)
            z = z.relu()
        bits = torch.cat(signs, 1).long() << torch.arange(32)
        return len(bits.sum(1).unique())

    ours, grid = interleaved(lambda: linear_regions(net), patterns)
    name = f"all {len(linear_regions(net))} regions of 2-16-16-1 (the grid finds {patterns()})"
    report(name, ours, grid, "activation patterns on a grid of 1000×1000")


if __name__ == "__main__":
    torch.set_num_threads(1)
    gradients()
    convolution()
    regions()

r"""A task on a curved surface for which arrows at different points must be compared: to find a wind under its noise.

A wind is a smooth vector field v = ∇f + n × ∇g with random f and g. It is measured at points of the surface, with noise
as large as itself, in frames that say nothing of one another. The way to find it is to average over neighbours, and
that means to carry their arrows here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gdl_lab import training
from gdl_lab.bundles.convolution import GaugeConv, NormGate
from gdl_lab.bundles.gauge import components, vector
from gdl_lab.bundles.stencil import Neighbours, Stencil
from gdl_lab.bundles.surface import Surface

__all__ = ["CoordinateNetwork", "GaugeNetwork", "Winds", "draw_winds", "learn_winds", "relative_error"]


class Winds(NamedTuple):
    """Winds at points of a surface, as tangent vectors in ℝ³ of mean square 1.

    Attributes:
        measured: with noise, shape ``(m, n, 3)``.
        wind: without, shape ``(m, n, 3)``.
    """

    measured: Tensor
    wind: Tensor


def draw_winds(surface: Surface, x: Tensor, m: int, generator: torch.Generator, noise: float = 1.0) -> Winds:
    """m random winds from sums f and g of four plane waves of ℝ³ each, and noise of the given relative size.

    Raises:
        ValueError: points that are not on the surface.
    """
    n = surface.normal(x)
    waves, (phases, sizes) = (
        torch.randn(shape, generator=generator, dtype=torch.float64).to(x) for shape in ((m, 8, 3), (2, m, 1, 8))
    )
    slopes = (sizes * (x @ waves.mT + 6 * phases).cos())[..., None] * waves[:, None]  # (m, n, 8, 3)
    df, dg = slopes[:, :, :4].sum(2), slopes[:, :, 4:].sum(2)
    wind = surface.tangent(x, df) + torch.linalg.cross(n.expand_as(dg), dg)
    wind = wind / wind.square().sum(-1).mean((1,), keepdim=True).sqrt()[..., None]
    blur = torch.randn(wind.shape, generator=generator, dtype=torch.float64).to(x) * noise / 2**0.5
    return Winds(wind + surface.tangent(x, blur), wind)


class GaugeNetwork(nn.Module):
    """Three gauge-equivariant convolutions between real fields on points, with gates between: spin 1 → … → spin 1.

    Args:
        hidden: spins of the hidden channels.
        rings: of the kernels.
    """

    def __init__(self, hidden: Sequence[int] = (0, 0, 0, 0, 1, 1, 1, 1), rings: int = 3) -> None:
        super().__init__()
        self.outs = [1]
        chain = ([1], hidden, hidden, self.outs)
        self.convolutions = nn.ModuleList(GaugeConv(a, b, rings, field="real") for a, b in pairwise(chain))
        self.gates = nn.ModuleList(NormGate(hidden, field="real") for _ in range(2))

    def forward(self, stencil: Stencil, c: Tensor) -> Tensor:
        """Coefficients of vectors in the frames of the stencil, ``(…, n, 1)``, kept."""
        for conv, gate in zip(self.convolutions, self.gates, strict=False):
            c = gate(conv(stencil, c))
        return self.convolutions[-1](stencil, c)


class CoordinateNetwork(nn.Module):
    """Fully connected, with the coordinates of ℝ³: it sees x, the vector there, and y − x and the vectors nearby.

    Args:
        width: of the two hidden layers.
        nearest: how many points it sees around each.
    """

    def __init__(self, width: int = 7, nearest: int = 12) -> None:
        super().__init__()
        self.nearest, self.outs = nearest, [1]
        self.layers = nn.Sequential(
            nn.Linear(6 + 6 * nearest, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 3)
        )

    def forward(self, stencil: Neighbours, c: Tensor) -> Tensor:
        """Coefficients as `GaugeNetwork`; its vector of ℝ³ is projected to the tangent plane."""
        x, v = stencil.x, vector(c[..., 0], stencil.frame)
        around = torch.cdist(x, x).topk(self.nearest + 1, largest=False).indices[:, 1:]
        place = torch.cat([x, (x[around] - x[:, None]).flatten(1)], -1).expand(*v.shape[:-1], -1)
        seen = torch.cat([place, v, v[..., around, :].flatten(-2)], -1)
        return components(self.layers(seen), stencil.frame)[..., None]


def relative_error(network: nn.Module, stencil: Stencil, winds: Winds) -> Tensor:
    """√(Σ|found − v|² / Σ|v|²), a scalar; no choice of frames changes |·|."""
    measured, wind = (components(v, stencil.frame)[..., None] for v in winds)
    return ((network(stencil, measured) - wind).abs().square().sum() / wind.abs().square().sum()).sqrt()


def learn_winds(
    network: nn.Module, stencil: Neighbours, train: Winds, test: Winds, *, steps: int = 300, seed: int = 0
) -> float:
    """Train by the relative error on four winds at a time, and return that on the test."""

    def loss(network: nn.Module, measured: Tensor, wind: Tensor) -> Tensor:
        return relative_error(network, stencil, Winds(measured, wind))

    training.fit(
        network, tuple(train), loss, steps=steps, batch_size=4, lr=1e-2, schedule=training.warm_cosine, seed=seed
    )
    with torch.no_grad():
        return float(relative_error(network, stencil, test))

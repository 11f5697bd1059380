"""Two-class problems drawn in the plane, inside the square [−1, 1]² up to noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gdl_lab import runtime

__all__ = ["rings", "spirals", "two_moons"]


def two_moons(split: str, *, n: int = 1000, noise: float = 0.08, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two interleaving half circles of radius 0.6; ``noise`` is the standard deviation of each coordinate."""
    g, y = _generator("two_moons", split, seed), _labels(n)
    angle = math.pi * torch.rand(n, generator=g)
    upper = torch.stack([0.6 * torch.cos(angle) - 0.3, 0.6 * torch.sin(angle) - 0.15], dim=1)
    return _noisy(torch.where(y[:, None] == 0, upper, -upper), noise, g), y


def spirals(split: str, *, n: int = 1000, noise: float = 0.02, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two Archimedean spirals of one and a half turns, each the other turned by π."""
    g, y = _generator("spirals", split, seed), _labels(n)
    turn = 3 * math.pi * torch.rand(n, generator=g).sqrt()  # the square root spreads points evenly along the arm
    radius = 0.1 + 0.8 * turn / (3 * math.pi)
    first = radius[:, None] * torch.stack([torch.cos(turn), torch.sin(turn)], dim=1)
    return _noisy(torch.where(y[:, None] == 0, first, -first), noise, g), y


def rings(split: str, *, n: int = 1000, noise: float = 0.05, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A disc of radius 0.35 (class 0) inside a ring of radius 0.75 (class 1)."""
    g, y = _generator("rings", split, seed), _labels(n)
    angle = 2 * math.pi * torch.rand(n, generator=g)
    radius = torch.where(y == 0, 0.35 * torch.rand(n, generator=g).sqrt(), torch.tensor(0.75))
    return _noisy(radius[:, None] * torch.stack([torch.cos(angle), torch.sin(angle)], dim=1), noise, g), y


def _labels(n: int) -> Tensor:
    if not isinstance(n, int) or n < 2:
        raise ValueError(f"a drawn set needs a whole number of at least two points, got n={n!r}")
    return torch.arange(n) % 2


def _generator(name: str, split: str, seed: int) -> torch.Generator:
    return runtime.generator(name, split, seed)


def _noisy(points: Tensor, noise: float, g: torch.Generator) -> Tensor:
    if not 0 <= noise < math.inf:
        raise ValueError(f"noise is a standard deviation, finite and at least 0, got {noise}")
    return points + noise * torch.randn(points.shape, generator=g)

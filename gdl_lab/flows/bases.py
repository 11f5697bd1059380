"""Base densities on Z, which a flow names: ``RealNVP(2, base="uniform")``."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["BASES", "StandardNormal", "Uniform"]


class StandardNormal:
    """N(0, 1) in every coordinate; at temperature T, N(0, T²)."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density, ``(batch, D)`` → ``(batch,)``."""
        return -0.5 * (z.square().sum(1) + z.shape[1] * math.log(2 * math.pi))

    def sample(self, z: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Fill z with points of the density ∝ p^(1/T²)."""
        return z.normal_(generator=generator) * temperature


class Uniform:
    """The uniform density on the cube [0, 1]ᴰ; every power of it is itself, so no temperature acts."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density, −∞ outside the cube, to which rounding may push a point of its very edge; shapes as above."""
        return torch.where(((z >= 0) & (z <= 1)).all(1), 0.0, -math.inf).to(z.dtype)

    def sample(self, z: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Fill z with points of the cube."""
        return z.uniform_(generator=generator)


BASES: dict[str, StandardNormal | Uniform] = {"normal": StandardNormal(), "uniform": Uniform()}

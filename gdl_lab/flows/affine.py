r"""The affine maps φ(z; θ) = z eˢ + t with t = θ_t and s = cap · tanh θ_s, bounded so that no inverse overflows.

A family acts on coordinates of shape ``(batch, m, …)`` with ``parameters`` numbers each, hence θ of shape
``(batch, parameters·m, …)``, and is the identity at θ = 0. ``push`` returns φ(z; θ) and log φ′, ``pull`` the inverse
and the logarithm of its slope, ``differentiate`` φ, φ′ and ∂φ/∂θ, the last of the shape of θ.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["Affine"]


class Affine:
    """φ(z; s, t) = z eˢ + t with |s| < cap."""

    parameters = 2

    def __init__(self, cap: float = 2.0) -> None:
        if not 0 < cap < math.inf:
            raise ValueError(f"the bound of the log-scales is positive and finite, got cap={cap}")
        self.cap = cap

    def push(self, z: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """φ and log φ′."""
        s, t = theta.chunk(2, 1)
        s = self.cap * s.tanh()
        return torch.addcmul(t, z, s.exp()), s

    def pull(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """φ⁻¹ and the logarithm of its slope."""
        s, t = theta.chunk(2, 1)
        s = -self.cap * s.tanh()
        return (x - t) * s.exp(), s

    def differentiate(self, z: Tensor, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """φ, φ′ and ∂φ/∂θ."""
        s, t = theta.chunk(2, 1)
        tanh = s.tanh()
        slope = (self.cap * tanh).exp()
        moved = z * slope
        return moved + t, slope, torch.cat([self.cap * moved * (1 - tanh.square()), torch.ones_like(t)], 1)

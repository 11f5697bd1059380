r"""Batch normalisation of spectra.

The mean of a function is its coefficient 0, its mean square the sum of all squared coefficients (Parseval): so the
statistics of a channel are those of its values everywhere on S² or SO(3), no grid is needed, and a rotation changes
neither. Subtracting a constant acts on coefficient 0 alone.

Source: Ioffe & Szegedy (2015), with means over the group in place of means over pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["SpectralBatchNorm"]


class SpectralBatchNorm(nn.Module):
    r"""F ↦ g (F − μ)/√(σ² + ε) + b, with μ and σ² of each channel over the batch and the group.

    In evaluation the running statistics take the place of the batch's. The k-th batch moves them by 1/k as long as
    that is more than ``momentum``, so that they are a plain mean at first and true from the first step on.

    Args:
        channels: number of channels.
        momentum: least weight of a new batch.
        eps: ε.
    """

    running_mean: Tensor
    running_var: Tensor
    batches: Tensor

    def __init__(self, channels: int, *, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        if channels < 1 or not 0 <= momentum <= 1 or not eps >= 0:
            raise ValueError(
                f"expected channels ≥ 1, momentum in [0, 1] and eps ≥ 0, got {channels}, {momentum} and {eps}"
            )
        self.channels, self.momentum, self.eps = channels, momentum, eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("batches", torch.tensor(0))

    def forward(self, coeffs: Tensor) -> Tensor:
        """Spectrum on S² or SO(3), shape ``(size, channels, batch)`` → the same shape.

        Raises:
            ValueError: another shape, or an empty batch in training.
        """
        if coeffs.ndim != 3 or coeffs.shape[1] != self.channels:
            raise ValueError(f"expected a spectrum of shape (size, {self.channels}, batch), got {tuple(coeffs.shape)}")
        if self.training:
            if coeffs.shape[2] == 0:
                raise ValueError("an empty batch has no mean: train on at least one signal")
            mean = coeffs[0].mean(1)
            variance = torch.linalg.vector_norm(coeffs, dim=(0, 2)).square() / coeffs.shape[2] - mean.square()
            with torch.no_grad():
                self.batches += 1
                rate = max(self.momentum, 1 / int(self.batches))
                self.running_mean.lerp_(mean, rate)
                self.running_var.lerp_(variance, rate)
        else:
            mean, variance = self.running_mean, self.running_var
        gain = self.weight * (variance.clamp_min(0) + self.eps).rsqrt()
        out = coeffs * gain[:, None]
        out[0] += (self.bias - mean * gain)[:, None]
        return out

r"""Importance weights: what makes samples of a model q exact for the density p ∝ e^(−S) that was meant.

With log w = −S − log q for points drawn from q,

    ⟨O⟩_p = Σ w O / Σ w,    Z = ⟨w⟩_q,    ESS = (Σ w)² / (n Σ w²) ∈ (0, 1],

or a Markov chain that proposes the points one after the other and takes each with probability min(1, w′/w).

Source: Albergo, Kanwar & Shanahan (2019); Nicoli et al. (2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gdl_lab.flows import Flow

__all__ = ["Estimate", "ess", "estimate_log_z", "log_weights", "metropolis", "reweight"]


class Estimate(NamedTuple):
    """A mean and its standard error."""

    mean: float
    error: float

    def __str__(self) -> str:
        return f"{self.mean:.5f} ± {self.error:.5f}"


def log_weights(flow: Flow, action: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """log w = −S(x) − log q(x) at x = g(z), with gradients, ``(batch, D)`` → ``(batch,)``; its mean is log Z − KL(q‖p).

    Args:
        action: S, takes fields ``(batch, …)`` to ``(batch,)``.
        z: base points, drawn from the flow's base.

    Raises:
        ValueError: as `Flow.push`.
    """
    x, log_det = flow.push(z, log_det=True)
    return log_det - flow.base.log_prob(z) - action(x)


def _normalised(log_w: Tensor) -> Tensor:
    if log_w.ndim != 1 or len(log_w) < 2:
        raise ValueError(f"expected log-weights of shape (n,) with n ≥ 2, got {tuple(log_w.shape)}")
    if not math.isfinite(largest := float(log_w.detach().max())):  # −∞ is a weight of zero
        raise ValueError(f"expected log-weights without NaN, the largest of them finite, got {largest}")
    return torch.softmax(log_w.detach().cpu().double(), 0)


def ess(log_w: Tensor) -> float:
    """Effective sample size as a share of n, from log-weights ``(n,)``.

    Raises:
        ValueError: another shape, fewer than two, NaN, or weights that are infinite or all zero.
    """
    w = _normalised(log_w)
    return float(1 / (len(w) * w.square().sum()))


def reweight(log_w: Tensor, values: Tensor) -> Estimate:
    """⟨O⟩_p from O at the same points, both ``(n,)``, with the error of the ratio to first order. Errors as `ess`."""
    w, values = _normalised(log_w), values.detach().cpu().double()
    if values.shape != w.shape:
        raise ValueError(f"expected one value a weight, {tuple(w.shape)}, got {tuple(values.shape)}")
    mean = (w * values).sum()
    return Estimate(float(mean), float((w * (values - mean)).square().sum().sqrt()))


def estimate_log_z(log_w: Tensor) -> Estimate:
    """log Z = log ⟨w⟩, with the error that its relative variance leaves. Errors as `ess`."""
    n, effective = len(log_w), ess(log_w)
    mean = torch.logsumexp(log_w.detach().cpu().double(), 0) - math.log(n)
    return Estimate(float(mean), math.sqrt(max(1 / effective - 1, 0) / (n - 1)))


def metropolis(log_w: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """The chain through the points in their order: indices ``(n,)`` of where it stands after each proposal.

    The share of steps on which the index changes is the acceptance. Errors as `ess`.
    """
    _normalised(log_w)
    proposals = log_w.detach().cpu().double().tolist()
    thresholds = torch.rand(len(proposals), generator=generator, dtype=torch.float64).log().tolist()
    stands, here = [], 0
    for i, log_weight in enumerate(proposals):
        if thresholds[i] <= log_weight - proposals[here]:
            here = i
        stands.append(here)
    return torch.tensor(stands)

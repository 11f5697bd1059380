"""The Gaussian that a flow has to beat."""

from __future__ import annotations

from torch import Tensor

from gdl_lab.flows import Flow, RealNVP

__all__ = ["gaussian"]


def gaussian(x: Tensor, directions: int | None = None) -> Flow:
    """The Gaussian with mean and covariance of x, ``(n, …)``: a whitened flow whose couplings are still the identity.

    Args:
        directions: how many directions have a variance of their own; further ones get a common variance. ``None`` takes
            as many as there are, but one for ten points at most.
    """
    points = x.flatten(1)
    n, dim = points.shape
    return RealNVP(dim, 1, (1,)).fit_whitening(points, directions or max(1, min(dim, n // 10)))

r"""Estimators of the dimension of a data set: by the growth of neighbourhoods, and by principal components.

The first kind knows one fact. If data have a density on a d-dimensional submanifold, then, near a point, the number of
points within a radius r grows like r^d. Given the distance r_k to the k-th neighbour, the k − 1 nearer ones are uniform
in a d-ball, (r_j/r_k)^d is uniform in [0, 1], and d Σ_{j<k} log(r_k/r_j) has the Gamma distribution of shape k − 1.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

__all__ = [
    "explained",
    "levina_bickel",
    "local_pca",
    "local_variances",
    "participation_ratio",
    "principal_variances",
    "two_nn",
]


def levina_bickel(r: Tensor, *, average: Literal["inverse", "plain"] = "inverse", minus: int | None = None) -> float:
    r"""Maximum likelihood estimate from the distances r_1 ≤ … ≤ r_k of each point to its neighbours.

    At one point the estimate is m = (k − c) / Σ_{j<k} log(r_k/r_j), and c = 1 maximises the likelihood. Which c is
    unbiased depends on what is averaged over the points: E[1/m] = 1/d for c = 1, and E[m] = d for c = 2. The two
    other combinations are wrong by the factor (k − 1)/(k − 2), which is 2 at k = 3.

    Args:
        r: shape ``(n, k)``, ascending, as `neighbours` returns them.
        average: ``"inverse"`` for 1/mean(1/m), ``"plain"`` for mean(m).
        minus: c; by default 1 for inverse averages and 2 for plain ones, which makes both right.

    Returns:
        The dimension; infinite where all k neighbours of one point, or with inverse averages of all points, are equally
            far.

    Raises:
        ValueError: an unknown average, fewer than c + 1 neighbours, distances that do not ascend or are not finite, or
            a point at distance 0 from its neighbour.

    Source: Levina & Bickel (2004), with c = 2 and plain averages in its published code; MacKay & Ghahramani (2005).
    """
    if average not in ("inverse", "plain"):
        raise ValueError(f"expected the average 'inverse' or 'plain', got {average!r}")
    c = {"inverse": 1, "plain": 2}[average] if minus is None else minus
    r = _distances(r, max(c, 1) + 1)
    inverse = (r[:, -1:] / r[:, :-1]).log().sum(1) / (r.shape[1] - c)
    return float(1 / inverse.mean()) if average == "inverse" else float((1 / inverse).mean())


def two_nn(r: Tensor, *, discard: float = 0.1) -> float:
    r"""The dimension from the two nearest neighbours alone: μ = r_2/r_1 exceeds m with the probability m^(−d).

    So −log(1 − F(μ)) = d log μ, where F is the distribution function. The estimate is the slope of the line through the
    origin that fits the points in least squares.

    Args:
        r: distances to the nearest neighbours, ascending, shape ``(n, k)`` with k ≥ 2; two columns are used.
        discard: share of the largest μ to leave out, in (0, 1); they come from points for which the density is not
            constant, and the very last has F = 1.

    Returns:
        The dimension; NaN where the two neighbours of every point kept are equally far.

    Raises:
        ValueError: fewer than two neighbours, distances that do not ascend or are not finite, a point at distance 0
            from its neighbour, or a share that leaves no point.

    Source: Facco, d'Errico, Rodriguez & Laio (2017).
    """
    r = _distances(r, 2)
    log_mu = (r[:, 1] / r[:, 0]).log().sort().values
    kept = int(len(log_mu) * (1 - discard))
    if not 0 < kept < len(log_mu):
        raise ValueError(f"expected to discard some of the {len(log_mu)} points and keep some, got the share {discard}")
    rank = torch.arange(1, kept + 1, dtype=torch.float64)
    x, y = log_mu[:kept], -torch.log1p(-rank / len(log_mu))
    return float((x @ y) / (x @ x))


def principal_variances(x: Tensor) -> Tensor:
    """Variances along the principal axes, largest first: the eigenvalues of the covariance matrix, float64.

    Args:
        x: points, shape ``(n, D)``, n ≥ 2.

    Returns:
        Shape ``(D,)``, not negative.

    Raises:
        ValueError: ``x`` is not a matrix of two points or more.
    """
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(f"expected two points or more, shape (n, D), got {tuple(x.shape)}")
    return torch.linalg.eigvalsh(torch.atleast_2d(torch.cov(x.cpu().double().T))).flip(0).clamp(min=0)


def explained(variances: Tensor, share: float = 0.95) -> int:
    """The smallest number of principal axes that hold a share of the variance.

    Args:
        variances: largest first, shape ``(D,)``, as `principal_variances` returns them.
        share: in (0, 1].

    Raises:
        ValueError: ``share`` is no such share.
    """
    if not 0 < share <= 1:
        raise ValueError(f"expected a share of the variance in (0, 1], got {share}")
    # The last partial sum may miss the whole by rounding.
    return int((variances.cumsum(0) < share * variances.sum() * (1 - 1e-12)).sum()) + 1


def participation_ratio(variances: Tensor) -> float:
    """(Σλ)²/Σλ²: the number of axes, if all that matter were equal.

    d equal variances among zeros give d. No threshold has to be chosen.

    Raises:
        ValueError: all variances are zero.
    """
    if not variances.any():
        raise ValueError("all variances are zero: the points are one point")
    return float(variances.sum().square() / variances.square().sum())


def local_variances(x: Tensor, index: Tensor) -> Tensor:
    """Principal variances of each neighbourhood about its mean, largest first, float64.

    Args:
        x: points, shape ``(n, D)``.
        index: the points of each neighbourhood, shape ``(m, k)``.

    Returns:
        Shape ``(m, min(k, D))``. Of k points about their mean at most k − 1 variances are not zero.
    """
    k, dim = index.shape[1], x.shape[1]
    found = []
    for rows in index.split(max(1, 2**23 // (k * dim))):
        patch = x[rows].cpu().double()
        patch = patch - patch.mean(1, keepdim=True)
        # The smaller of the two Gram matrices: they share their eigenvalues that are not zero.
        found.append(torch.linalg.eigvalsh(patch @ patch.mT if k < dim else patch.mT @ patch) / (k - 1))
    return torch.cat(found).flip(1).clamp(min=0)


def local_pca(x: Tensor, index: Tensor, *, threshold: float = 0.05) -> Tensor:
    """Dimension of each neighbourhood: how many principal variances exceed a fraction of the largest.

    Tangent directions have variances of the order r², normal ones of the order r⁴, in a neighbourhood of radius r.

    Args:
        x: points, shape ``(n, D)``.
        index: the points of each neighbourhood, shape ``(m, k)``; no answer can exceed k − 1.
        threshold: the fraction.

    Returns:
        Shape ``(m,)``, int64.

    Source: Fukunaga & Olsen (1971).
    """
    variances = local_variances(x, index)
    return (variances > threshold * variances[:, :1]).sum(1)


def _distances(r: Tensor, least: int) -> Tensor:
    """The table of distances as an estimator needs it: checked, float64, on the CPU."""
    if r.ndim != 2 or r.shape[1] < least:
        raise ValueError(f"expected distances to at least {least} neighbours, shape (n, k), got {tuple(r.shape)}")
    if not (r.isfinite().all() and (r.diff(dim=1) >= 0).all()):
        raise ValueError("expected finite distances, in each row ascending: take them from neighbours(x, k)")
    if (repeated := int((r[:, 0] == 0).sum())) > 0:
        raise ValueError(
            f"{repeated} points are at distance 0 from their nearest neighbour: take each once, torch.unique(x, dim=0)"
        )
    return r.cpu().double()

"""NNGP and NTK in closed form, by a recursion over angles."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Kernels", "check_network", "kernels"]


class Kernels(NamedTuple):
    """K, covariance at initialisation, and Θ, tangent kernel, each of shape ``(n, m)``."""

    nngp: Tensor
    ntk: Tensor


def kernels(
    x: Tensor, y: Tensor | None = None, *, depth: int = 2, weight_variance: float = 2.0, bias_variance: float = 0.1
) -> Kernels:
    r"""NNGP and NTK between two sets of points, in closed form.

    With q(x) = K(x, x) and the angle θ given by K(x, y) = √(q(x)q(y)) cos θ, a layer does

        K → σ_w² √(qq′)(sin θ + (π − θ) cos θ)/2π + σ_b²,    Θ → K + σ_w² (π − θ)/2π · Θ.

    The recursion runs over θ, not over its cosine: near 1 arccos loses half of the digits, √ε, and Θ is linear in θ
    there. So 1 − cos θ is nowhere formed by subtraction, and Θ has all its digits for points that nearly coincide.

    Args:
        x, y: shapes ``(n, d)`` and ``(m, d)``; y is x if not given.
        depth: hidden layers; 0 is a linear model.
        weight_variance, bias_variance: σ_w² > 0 and σ_b² ≥ 0.

    Raises:
        ValueError: shapes or dtypes that do not fit, NaN, no points, a negative depth or variance, or a zero vector
            without biases, which has no angle with any other.
    """
    y = x if y is None else y
    for points in (x, y):
        _check_points(points, like=x)
    check_network(depth, weight_variance, bias_variance)
    u, v = (
        torch.cat([t * math.sqrt(weight_variance / t.shape[1]), t.new_full((len(t), 1), math.sqrt(bias_variance))], 1)
        for t in (x, y)
    )
    p, q = u.norm(dim=1)[:, None], v.norm(dim=1)[None, :]  # roots of K(x, x) and K(y, y)
    if not (p.all() and q.all()):
        raise ValueError("a zero vector has no angle with others: take bias_variance > 0, or leave it out")
    u, v, exactly = u / p, v / q.mT, {"compute_mode": "donot_use_mm_for_euclid_dist"}
    theta = 2 * torch.atan2(torch.cdist(u, v, **exactly), torch.cdist(u, -v, **exactly))  # type: ignore[arg-type]
    K = p * q * theta.cos()
    ntk, half = K, weight_variance / 2
    for _ in range(depth):
        bend = (theta.sin() - theta * theta.cos()) / math.pi
        kept, lost = theta.cos() + bend, (2 * (theta / 2).sin().square() - bend).clamp(min=0)  # add up to 1
        K = half * p * q * kept + bias_variance
        ntk = K + half * (1 - theta / math.pi) * ntk
        sine = (half * p * q).square() * lost * (1 + kept)  # q(x)q(y) − K², each term of it positive
        sine = sine + half * bias_variance * ((p - q).square() + 2 * p * q * lost)
        theta = torch.atan2(sine.sqrt(), K)
        p, q = ((half * r.square() + bias_variance).sqrt() for r in (p, q))
    return Kernels(K, ntk)


def check_network(depth: int, weight_variance: float, bias_variance: float) -> None:
    """Raise ValueError for a depth or a variance that no network has."""
    if depth < 0 or not 0 < weight_variance < math.inf or not 0 <= bias_variance < math.inf:
        raise ValueError(
            "expected depth ≥ 0, weight_variance > 0 and bias_variance ≥ 0, "
            f"got {depth}, {weight_variance} and {bias_variance}"
        )


def _check_points(points: Tensor, like: Tensor) -> None:
    if points.ndim != 2 or not points.numel() or points.shape[1] != like.shape[-1]:
        raise ValueError(
            f"expected points (n, d) of one dimension d, got {tuple(like.shape)} and {tuple(points.shape)}"
        )
    if points.dtype != like.dtype or not points.is_floating_point():
        raise ValueError(f"expected points of one floating dtype, got {like.dtype} and {points.dtype}: try x.double()")
    if bad := int((~points.isfinite()).sum()):
        raise ValueError(f"expected finite points, got {bad} entries of {points.numel()} that are NaN or infinite")

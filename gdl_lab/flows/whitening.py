r"""Whitening: the affine map that gives data k of its principal scales, and one common scale to all other directions.

With orthonormal V ∈ ℝᴰˣᵏ of principal directions, their standard deviations S and the root mean square σ of the rest,

    x = μ + σ z + V (S − σ) Vᵀ z,   log|det ∂x/∂z| = Σ log S + (D − k) log σ,

exactly, though only k vectors are stored: the maximum-likelihood probabilistic PCA.

Source: Tipping & Bishop (1999).
"""

from __future__ import annotations

from typing import Any

import scipy.linalg
import torch
from torch import Tensor, nn

__all__ = ["Whitening"]


class Whitening(nn.Module):
    """x = μ + σz + V(S − σ)Vᵀz on ℝᴰ, at first the identity with the first k axes for V; `fit` finds the data's."""

    mean: Tensor
    directions: Tensor
    scales: Tensor
    rest: Tensor

    def __init__(self, dim: int, k: int) -> None:
        super().__init__()
        if not 1 <= k <= dim:
            raise ValueError(f"expected between 1 and {dim} principal directions, got k={k}")
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("directions", torch.eye(dim, k))
        self.register_buffer("scales", torch.ones(k))
        self.register_buffer("rest", torch.ones(()))

    @torch.no_grad()
    def fit(self, x: Tensor) -> Whitening:
        """Take μ, V, S and σ from data of shape ``(n, D)``, computed in float64; returns itself.

        Raises:
            ValueError: data that do not vary in k directions, or vary in no other.
        """
        dim, k = self.directions.shape
        x = x.cpu().double()  # in this order: an MPS device has no float64
        mean = x.mean(0)
        covariance = (x - mean).mT @ (x - mean) / len(x)
        values, vectors = scipy.linalg.eigh(covariance.numpy(), subset_by_index=[dim - k, dim - 1])
        top, vectors = torch.from_numpy(values).flip(0), torch.from_numpy(vectors).flip(1)
        rest = (covariance.trace() - top.sum()) / (dim - k) if k < dim else top[-1]
        least, floor = min(float(top[-1]), float(rest)), 1e-12 * float(top[0])
        if not least > floor:
            raise ValueError(
                f"a flow on ℝ^{dim} needs data that vary in every direction, and these {len(x)} points do not "
                f"(variance {least:.1e} against {float(top[0]):.1e}): add noise, as `dequantize` does, or more points"
            )
        fitted = {"mean": mean, "directions": vectors, "scales": top.sqrt(), "rest": rest.sqrt()}
        for name, value in fitted.items():
            self.get_buffer(name).copy_(value.to(self.mean.dtype))
        return self

    def _apply(self, fn: Any, recurse: bool = True) -> Whitening:
        """Moves and casts, `nn.Module`'s door for both. Cast up, V is orthonormal to the new precision again.

        Without this a flow that was stored in float32 would be inverse to itself in float64 to seven digits only.
        """
        before = torch.finfo(self.directions.dtype).eps
        super()._apply(fn, recurse)
        V = self.directions
        if torch.finfo(V.dtype).eps < before:
            self.directions = 1.5 * V - 0.5 * V @ (V.mT @ V)  # Newton–Schulz: squares VᵀV − 1
        return self

    def push(self, z: Tensor) -> Tensor:
        """z ↦ x, both ``(batch, D)``."""
        return self.mean + self.rest * z + ((self.scales - self.rest) * (z @ self.directions)) @ self.directions.mT

    def pull(self, x: Tensor) -> Tensor:
        """x ↦ z, the same with 1/σ and 1/S."""
        y = x - self.mean
        return y / self.rest + ((1 / self.scales - 1 / self.rest) * (y @ self.directions)) @ self.directions.mT

    def log_det(self) -> Tensor:
        """log|det ∂x/∂z|, a number."""
        dim, k = self.directions.shape
        return self.scales.log().sum() + (dim - k) * self.rest.log()

    def push_tangents(self, columns: Tensor) -> Tensor:
        """∂x/∂z times matrices of shape ``(batch, D, m)``."""
        inside = (self.scales - self.rest)[:, None] * (self.directions.mT @ columns)
        return self.rest * columns + self.directions @ inside

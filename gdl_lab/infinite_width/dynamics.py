"""What gradient descent makes of an infinitely wide network, step by step, and what Bayes' rule would."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from gdl_lab.infinite_width.kernels import kernels

__all__ = ["InfiniteEnsemble", "LinearDescent", "posterior"]


class LinearDescent:
    """Gradient descent on ½Σ|f(x) − y|² of a model that is linear in its parameters, step by step in closed form.

    At the training points f_{t+1} − y = (1 − ηΘ)(f_t − y), so anywhere f_t(x) = f_0(x) + Θ(x, X) R_t (y − f_0(X)).

    Args:
        ntk: Θ at the training points, symmetric and positive, shape ``(n, n)``.
        rate: η; 1/λ_max if not given.

    Attributes:
        rate: η.
        values: eigenvalues of Θ, ascending.

    Raises:
        ValueError: no square matrix, NaN, or an η outside (0, 2/λ_max), where descent diverges.
    """

    def __init__(self, ntk: Tensor, rate: float | None = None) -> None:
        if ntk.ndim != 2 or ntk.shape[0] != ntk.shape[1] or not len(ntk) or not ntk.isfinite().all():
            raise ValueError(f"expected a finite kernel (n, n) at the training points, got shape {tuple(ntk.shape)}")
        self.values, self._vectors = torch.linalg.eigh(ntk)
        if not self.values[-1] > 0:
            raise ValueError(f"expected a positive kernel, got eigenvalues up to {float(self.values[-1]):.3g}")
        self.rate = 1 / float(self.values[-1]) if rate is None else rate
        if not 0 < self.rate * float(self.values[-1]) < 2:
            raise ValueError(f"descent needs 0 < rate < 2/λ_max = {2 / float(self.values[-1]):.3g}, got {rate}")

    def response(self, residual: Tensor, t: float) -> Tensor:
        """R_t r = Θ⁻¹(1 − (1 − ηΘ)ᵗ) r for residuals ``(n, k)``, after t = 0, 1, 2, … steps or ``math.inf``.

        Raises:
            ValueError: t is neither, or t = ∞ and Θ is singular: two training points are one.
        """
        if not t >= 0 or (t < math.inf and t != int(t)):
            raise ValueError(f"steps are 0, 1, 2, … or math.inf, got {t}")
        floor = torch.finfo(self.values.dtype).eps * len(self.values) * self.values[-1]
        if t == math.inf and self.values[0] <= floor:
            raise ValueError(f"the kernel is singular, λ_min = {float(self.values[0]):.1g}: leave out repeated points")
        if t == math.inf:
            gain = 1 / self.values
        else:  # expm1 keeps the digits of slow directions, which 1 − (1 − ηλ)ᵗ would lose
            step = self.rate * self.values
            slow = -torch.expm1(t * torch.log1p(-step.clamp(max=0.5)))
            gain = torch.where(step < 0.5, slow, 1 - (1 - step) ** t) / self.values
            gain = torch.where(self.values == 0, self.rate * t, gain)  # the limit
        return self._vectors @ (gain[:, None] * (self._vectors.mT @ residual))


class InfiniteEnsemble:
    """All infinitely wide networks at once, trained by full-batch gradient descent: a Gaussian process at every step.

    Args:
        x, y: training points ``(n, d)`` and targets ``(n, k)``, float64 if digits matter.
        rate: η; 1/λ_max if not given.
        depth, weight_variance, bias_variance: see `kernels`.

    Attributes:
        descent: the `LinearDescent` of Θ.

    Raises:
        ValueError: what `kernels` and `LinearDescent` complain of, or targets of another number.

    Source: Lee et al. (2019), equations 14 and 15, with (1 − ηΘ)ᵗ in place of exp(−ηΘt).
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        *,
        rate: float | None = None,
        depth: int = 2,
        weight_variance: float = 2.0,
        bias_variance: float = 0.1,
    ) -> None:
        self._x, self._y = x, _targets(x, y)
        self._kernels = partial(kernels, depth=depth, weight_variance=weight_variance, bias_variance=bias_variance)
        self._K, ntk = self._kernels(x)
        self.descent = LinearDescent(ntk, rate)

    def mean(self, x: Tensor, t: float) -> Tensor:
        """E f_t(x) = Θ(x, X) R_t y after t steps, or ``math.inf``; ``(m, d)`` → ``(m, k)``."""
        return self._kernels(x, self._x).ntk @ self.descent.response(self._y, t)

    def covariance(self, x: Tensor, t: float) -> Tensor:
        """Cov f_t(x), of each output; ``(m, d)`` → ``(m, m)``.

        With A = Θ(x, X) R_t, f_t(x) = f_0(x) + A(y − f_0(X)), so it is K(x, x) − AK(X, x) − K(x, X)Aᵀ + AK(X, X)Aᵀ.
        """
        cross, ntk = self._kernels(x, self._x)
        A = self.descent.response(ntk.mT, t).mT
        return self._kernels(x).nngp - A @ cross.mT - cross @ A.mT + A @ self._K @ A.mT


def posterior(
    x: Tensor, y: Tensor, at: Tensor, *, noise: float = 0.0, depth: int = 2, weight_variance: float = 2.0,
    bias_variance: float = 0.1,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Mean and covariance of the Gaussian process K given its values: Bayes, where `InfiniteEnsemble` descends.

    Args:
        x, y: points ``(n, d)`` and values ``(n, k)``.
        at: where it is asked, ``(m, d)``.
        noise: variance of the noise of y.
        depth, weight_variance, bias_variance: see `kernels`.

    Returns:
        Shapes ``(m, k)`` and ``(m, m)``.

    Raises:
        ValueError: what `kernels` complains of, targets of another number, a negative noise, or a singular K.
    """
    if not noise >= 0:
        raise ValueError(f"a variance is not negative, got noise = {noise}")
    kernel = partial(kernels, depth=depth, weight_variance=weight_variance, bias_variance=bias_variance)
    K, cross = kernel(x).nngp, kernel(at, x).nngp
    L, failed = torch.linalg.cholesky_ex(K + noise * torch.eye(len(x), dtype=x.dtype, device=x.device))
    pivots = L.diagonal().square()
    if failed or pivots.min() <= torch.finfo(x.dtype).eps * len(x) * pivots.max():
        raise ValueError("K is singular: leave out repeated points, or give a noise > 0")
    half = torch.linalg.solve_triangular(L, cross.mT, upper=False)
    known = torch.linalg.solve_triangular(L, _targets(x, y), upper=False)
    return half.mT @ known, kernel(at).nngp - half.mT @ half


def _targets(x: Tensor, y: Tensor) -> Tensor:
    if y.ndim != 2 or len(y) != len(x) or y.dtype != x.dtype or not y.isfinite().all():
        raise ValueError(
            f"expected finite targets ({len(x)}, k) of dtype {x.dtype}, got shape {tuple(y.shape)} of {y.dtype}"
        )
    return y

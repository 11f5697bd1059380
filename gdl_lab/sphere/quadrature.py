r"""Gauss–Legendre quadrature in β: n nodes integrate every polynomial in cos β of degree below 2n exactly."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

__all__ = ["gauss_legendre"]


@lru_cache(maxsize=64)
def gauss_legendre(n: int) -> tuple[npt.NDArray[np.longdouble], npt.NDArray[np.longdouble]]:
    r"""Nodes β ∈ (0, π), ascending, and weights of ∫₀^π f(β) ½ sin β dβ ≈ Σ w f(β); the weights sum to 1.

    The β are the zeros of P_n(cos β), found by Newton's method in β itself: near the poles arccos x would lose the
    digits that x = cos β no longer has. In β the weight is w = (dP_n/dβ)⁻². Both arrays have shape (n,) and extended
    precision where the machine has it, so that what is built on them is exact to the last float64 digit.

    Source: Hale & Townsend (2013), section 2, with the three-term recurrence of the Legendre polynomials.
    """
    beta = (np.arange(n, dtype=np.longdouble) + 0.75) * np.arccos(np.longdouble(-1)) / (n + np.longdouble(0.5))
    for _ in range(6):
        value, slope = _legendre(n, beta)
        beta = beta - value / slope
    beta = (beta + (np.arccos(np.longdouble(-1)) - beta[::-1])) / 2  # the nodes are symmetric, to the last digit
    weights = _legendre(n, beta)[1] ** -2
    weights = (weights + weights[::-1]) / 2
    return beta, weights / weights.sum()


def _legendre(n: int, beta: npt.NDArray) -> tuple[npt.NDArray, npt.NDArray]:
    """P_n(cos β) and its derivative in β."""
    x = np.cos(beta)
    before, value = np.ones_like(x), x
    for k in range(1, n):
        before, value = value, ((2 * k + 1) * x * value - k * before) / (k + 1)
    return value, n * (x * value - before) / np.sin(beta)

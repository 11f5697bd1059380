r"""What is known exactly: the two-dimensional gauge theory on a torus of V plaquettes, by expansion in characters.

With exp(β Re tr P/N) = Σ_R d_R z_R(β) χ_R(P), integrating the links out leaves Z = Σ_R z_R(β)ᵛ. Links are integrated
over Haar's measure of volume 1 for SU(2) and over angles, dθ and so 2π each, for U(1). For U(1), R = n ∈ ℤ and z_n is
the Bessel function I_n(β); for SU(2), R = 1, 2, … is the dimension and z_R = 2 I_R(β)/β.

Source: Migdal (1975); Rusakov (1990). For the charges, Bonati & Rossi (2019).
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

__all__ = ["charge_distribution", "exact_log_z", "exact_plaquette", "tree_ess"]


def _check(beta: float, volume: int) -> None:
    if not 0 < beta < math.inf or volume < 1:
        raise ValueError(f"expected a finite β > 0 and at least one plaquette, got {beta} and {volume}")


def _characters(beta: float, group: str) -> tuple[np.ndarray, np.ndarray]:
    """log z_R and its derivative by β, largest first; the exponent of the scaled Bessel functions is put back."""
    if group not in ("U(1)", "SU(2)"):
        raise ValueError(f"expected the group U(1) or SU(2), got {group!r}")
    n = np.arange(0 if group == "U(1)" else 1, 40 + int(4 * beta**0.5))
    scaled = np.maximum(special.ive(n, beta), np.finfo(float).tiny)
    log_z, slope = np.log(scaled) + beta, (special.ive(n - 1, beta) + special.ive(n + 1, beta)) / (2 * scaled)
    if group == "SU(2)":
        return log_z + math.log(2 / beta), slope - 1 / beta
    both = np.concatenate([n, n[1:]])  # n and −n
    return log_z[both], slope[both]


def exact_log_z(beta: float, volume: int, group: str = "U(1)") -> float:
    """log Z of the torus of ``volume`` plaquettes, the action that of `action`.

    Raises:
        ValueError: a β that is not positive, another group, no plaquette.
    """
    _check(beta, volume)
    log_z, _ = _characters(beta, group)
    measure = 2 * volume * math.log(2 * math.pi) if group == "U(1)" else 0.0
    return float(special.logsumexp(volume * log_z)) + measure


def exact_plaquette(beta: float, volume: int, group: str = "U(1)") -> float:
    """⟨Re tr P/N⟩ = (1/V) ∂ log Z/∂β on the torus; I₁/I₀ for large U(1), I₂/I₁ for large SU(2). Else `exact_log_z`."""
    _check(beta, volume)
    log_z, slope = _characters(beta, group)
    return float(special.softmax(volume * log_z) @ slope)


def charge_distribution(beta: float, volume: int, largest: int = 10) -> tuple[np.ndarray, np.ndarray]:
    r"""Charges Q = −largest … largest of U(1) and their probabilities on the torus.

    Independent plaquette angles φ ∈ (−π, π] of density ∝ exp(β cos φ) add up to 2πQ with the density

        p(Q) ∝ ∫dt c(t)ᵛ cos(2πQt),   c(t) = ⟨cos tφ⟩,

    and the torus is what they are on the condition that they do.

    Raises:
        ValueError: as `exact_log_z`.
    """
    _check(beta, volume)
    t = np.linspace(-20, 20, 8001)  # c(t) falls as 1/t only, but to the power of V
    phi, weight = special.roots_legendre(400)
    density = weight * np.exp(beta * (np.cos(np.pi * phi) - 1))
    c = np.cos(np.pi * np.outer(t, phi)) @ density / density.sum()
    Q = np.arange(-largest, largest + 1)
    p = np.cos(2 * np.pi * np.outer(Q, t)) @ c**volume
    return Q, p / p.sum()


def tree_ess(beta: float) -> float:
    r"""The effective sample size of the tree gauge, I₀(β)²/I₀(2β), whatever the volume, if it is large.

    In a gauge where a maximal tree of links is 1, all plaquettes but one can be drawn from their exact density
    ∝ exp(β cos φ); the last is forced to −Σφ, nearly uniform, and its weight w = exp(β cos φ) has ⟨w⟩²/⟨w²⟩ as stated.
    """
    _check(beta, 1)
    return float(special.ive(0, beta) ** 2 / special.ive(0, 2 * beta))

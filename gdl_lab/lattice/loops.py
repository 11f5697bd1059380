r"""Products of links along paths: plaquettes, Wilson and Polyakov loops, the action, topological charges.

All are one function, `path`: walking from x along steps (μ, ±1) multiplies U_μ of the links walked forwards and U_μ† of
those walked backwards. Around a loop from x to x the product transforms as W(x) → Ω(x) W(x) Ω(x)†, so that its trace is
gauge invariant.

Source: Wilson (1974); for the charges Lüscher (1982), Di Vecchia, Fabricius, Rossi & Veneziano (1981).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import combinations

import torch
from torch import Tensor

from gdl_lab.lattice.links import check_links, multiply

__all__ = [
    "action", "mean_plaquette", "path", "plaquettes", "polyakov_loop", "staples", "topological_charge", "trace",
    "wilson_loop",
]  # fmt: skip

Steps = Iterable[tuple[int, int]]


def path(links: Tensor, steps: Steps) -> Tensor:
    """The product of links along a path from every x, ``(batch, 1, *lattice, N, N)``.

    Args:
        links: ``(batch, D, *lattice, N, N)``, trusted: inner loops come here.
        steps: pairs (μ, 1) forwards and (μ, −1) backwards, at least one.
    """
    at, product = [0] * links.shape[1], None
    axes = list(range(2, links.ndim - 2))
    for mu, sign in steps:
        at[mu] -= sign < 0  # the link walked backwards begins where the step ends
        link = links[:, mu : mu + 1].roll([-n for n in at], axes) if any(at) else links[:, mu : mu + 1]
        at[mu] += sign > 0
        step = link if sign > 0 else link.mH
        product = step if product is None else multiply(product, step)
    if product is None:
        raise ValueError("expected a path of at least one step")
    return product


def wilson_loop(links: Tensor, mu: int, nu: int, R: int = 1, T: int = 1) -> Tensor:
    """The loop from x along R links of direction μ, T of ν, and back, ``(batch, 1, *lattice, N, N)``.

    Raises:
        ValueError: what `check_links` complains of; equal or unknown directions; sides below one.
    """
    check_links(links)
    if mu == nu or not {mu, nu} <= set(range(links.shape[1])) or min(R, T) < 1:
        raise ValueError(
            f"expected two different directions below {links.shape[1]} and sides of at least 1, got {mu=}, {nu=}, "
            f"{R=}, {T=}"
        )
    return path(links, [(mu, 1)] * R + [(nu, 1)] * T + [(mu, -1)] * R + [(nu, -1)] * T)


def polyakov_loop(links: Tensor, mu: int) -> Tensor:
    """The loop that winds once around the torus in direction μ; no product of plaquettes makes it. Else `path`.

    Raises:
        ValueError: what `check_links` complains of; an unknown direction.
    """
    check_links(links)
    if not 0 <= mu < links.shape[1]:
        raise ValueError(f"expected a direction from 0 to {links.shape[1] - 1}, got {mu=}")
    return path(links, [(mu, 1)] * links.shape[2 + mu])


def plaquettes(links: Tensor) -> Tensor:
    """The 1×1 loops P_μν of all μ < ν, in the order of ``combinations``: ``(batch, D(D−1)/2, *lattice, N, N)``.

    Raises:
        ValueError: what `check_links` complains of.
    """
    check_links(links)
    return _plaquettes(links)


def _plaquettes(links: Tensor) -> Tensor:
    planes = combinations(range(links.shape[1]), 2)
    return torch.cat([path(links, [(mu, 1), (nu, 1), (mu, -1), (nu, -1)]) for mu, nu in planes], 1)


def trace(field: Tensor) -> Tensor:
    """tr W/N, complex, ``(batch, channels, *lattice, N, N)`` → ``(batch, channels, *lattice)``."""
    return field.diagonal(dim1=-2, dim2=-1).mean(-1)


def mean_plaquette(links: Tensor) -> Tensor:
    """Re tr P/N averaged over plaquettes, real ``(batch,)``; ⟨cos P⟩ for U(1). Errors as `plaquettes`."""
    return trace(plaquettes(links)).real.flatten(1).mean(1)


def action(links: Tensor, beta: float) -> Tensor:
    """Wilson's action without its constant, S = −β Σ Re tr P/N, real ``(batch,)``. Errors as `plaquettes`."""
    check_links(links)
    return _action(links, beta)


def _action(links: Tensor, beta: float) -> Tensor:
    return -beta * trace(_plaquettes(links)).real.flatten(1).sum(1)


def staples(links: Tensor, mu: int) -> Tensor:
    """A_μ(x), the sum of what closes U_μ(x) to a plaquette: Re tr U_μ(x)A_μ(x) is all that S knows of this link.

    Links are trusted, as in `path`; shape ``(batch, 1, *lattice, N, N)``.
    """
    around = [
        path(links, [(nu, sign), (mu, -1), (nu, -sign)]) for nu in range(links.shape[1]) if nu != mu for sign in (1, -1)
    ]
    return torch.stack(around).sum(0).roll(-1, 2 + mu)


def topological_charge(links: Tensor) -> Tensor:
    r"""The charge of each configuration, real ``(batch,)``.

    In two dimensions Q = (1/2π) Σ_x arg det P(x), an integer to rounding: the product of all det P is 1. For U(1) that
    is the number of flux quanta, for the links of Bloch states the Chern number, for SU(N) zero. In four dimensions

        Q = (1/4π²) Σ_x tr(F₀₁F₂₃ − F₀₂F₁₃ + F₀₃F₁₂)

    with F_μν from the average of the four plaquettes that meet at x: an integer for smooth fields in the continuum
    only, and on rough ones meaningless without smoothing.

    Raises:
        ValueError: what `check_links` complains of; three dimensions, which have no charge.
    """
    check_links(links)
    if links.shape[1] == 2:
        return torch.linalg.det(_plaquettes(links)).angle().flatten(1).sum(1) / (2 * math.pi)
    if links.shape[1] == 3:
        raise ValueError("a gauge field has a topological charge in 2 and 4 dimensions, got links in 3")
    F = {plane: _clover(links, *plane) for plane in combinations(range(4), 2)}
    pairs = ((1, (0, 1), (2, 3)), (-1, (0, 2), (1, 3)), (1, (0, 3), (1, 2)))
    density = sum(sign * trace(multiply(F[a], F[b])).real for sign, a, b in pairs)
    assert isinstance(density, Tensor)
    return links.shape[-1] * density.flatten(1).sum(1) / (4 * math.pi**2)


def _clover(links: Tensor, mu: int, nu: int) -> Tensor:
    """F_μν(x) = Im of the mean of the four plaquettes around x, a Hermitian matrix."""
    corners = ((mu, 1), (nu, 1), (mu, -1), (nu, -1))
    leaves = torch.stack([path(links, corners[i:] + corners[:i]) for i in range(4)]).mean(0)
    return (leaves - leaves.mH) / 2j

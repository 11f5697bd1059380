r"""Markov chains whose points are, in the end, distributed as e^(−S): Hamiltonian Monte Carlo and the heat bath.

Both are endless iterators over configurations; many chains run side by side as a batch:

>>> from itertools import islice
>>> U = random_links("U(1)", (8, 8), batch=64)
>>> for U, accepted in islice(hmc(U, beta=2.0), 100): ...

Source: Duane, Kennedy, Pendleton & Roweth (1987); Creutz (1980); Cabibbo & Marinari (1982).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations

import torch
from torch import Tensor

from gdl_lab.lattice.links import check_links, multiply
from gdl_lab.lattice.loops import _action, staples
from gdl_lab.lattice.weights import Estimate

__all__ = ["autocorrelation_time", "blocked", "heat_bath", "hmc", "von_mises"]


@torch.no_grad()
def hmc(
    links: Tensor, beta: float, *, steps: int = 10, length: float = 1.0, generator: torch.Generator | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    r"""Links move as particles on the group: H = ½ Σ tr P² + S, U̇ = iPU, Ṗ = −F, and are taken if H stayed.

    The force is the Hermitian, for SU(N) traceless, part F = (β/N) (UA − (UA)†)/2i with the staples A.

    Args:
        links: where the chains start, ``(batch, D, *lattice, N, N)``.
        beta: coupling of `action`.
        steps: leapfrog steps a trajectory.
        length: of a trajectory, in the time of H.

    Yields:
        After every trajectory the links, and which chains accepted it, bool ``(batch,)``.

    Raises:
        ValueError: what `check_links` complains of; β negative or infinite; no steps; a length that is not positive.
    """
    _check(links, beta)
    if steps < 1 or not 0 < length < math.inf:
        raise ValueError(f"expected at least one step and a positive length, got {steps} and {length}")
    U, step = links, length / steps
    while True:
        P = start = _hermitian(torch.randn(U.shape, generator=generator, dtype=U.dtype).to(U.device) * 2**0.5)
        V = U
        P = P - step / 2 * _force(V, beta)
        for k in range(steps):
            V = multiply(_exp(step * P), V)
            P = P - (step if k < steps - 1 else step / 2) * _force(V, beta)
        change = _kinetic(P) - _kinetic(start) + _action(V, beta) - _action(U, beta)
        accepted = torch.rand(len(U), generator=generator).to(U.device) < torch.exp(-change)
        U = torch.where(accepted.view(-1, *[1] * (U.ndim - 1)), _back_on_the_group(V), U)
        yield U, accepted


def _one(like: Tensor) -> Tensor:
    return torch.eye(like.shape[-1], dtype=like.dtype, device=like.device)


def _back_on_the_group(U: Tensor) -> Tensor:
    """U(3 − U†U)/2, which squares the deviation from unitarity: else rounding adds up over thousands of steps."""
    return multiply(U, 1.5 * _one(U) - 0.5 * multiply(U.mH, U))


def _exp(P: Tensor) -> Tensor:
    """exp(iP)."""
    return torch.polar(torch.ones_like(P.real), P.real) if P.shape[-1] == 1 else torch.linalg.matrix_exp(1j * P)


def _hermitian(A: Tensor) -> Tensor:
    """The Hermitian part, for N > 1 without its trace: the directions iP of the group's Lie algebra."""
    A = (A + A.mH) / 2
    return A if A.shape[-1] == 1 else A - A.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None] * _one(A)


def _force(links: Tensor, beta: float) -> Tensor:
    A = torch.cat([staples(links, mu) for mu in range(links.shape[1])], 1)
    return beta / links.shape[-1] * _hermitian(multiply(links, A) / 1j)


def _kinetic(P: Tensor) -> Tensor:
    return P.abs().square().flatten(1).sum(1) / 2


@torch.no_grad()
def heat_bath(links: Tensor, beta: float, *, generator: torch.Generator | None = None) -> Iterator[Tensor]:
    r"""Every link in turn is drawn anew from its exact density given the others, ∝ exp((β/N) Re tr UA).

    Half of the links of one direction do not touch each other's staples and are drawn at once. For SU(3) it is done
    in the three subgroups SU(2) one after the other.

    Args:
        links: where the chains start, ``(batch, D, *lattice, N, N)``; all sides even.
        beta: coupling of `action`.

    Yields:
        The links after every sweep over the lattice.

    Raises:
        ValueError: what `check_links` complains of; β negative or infinite; odd sides.
    """
    _check(links, beta)
    sides = links.shape[2:-2]
    if any(side % 2 for side in sides):
        raise ValueError(f"the two colours of the checkerboard need even sides, got a lattice of {tuple(sides)}")
    where = torch.meshgrid(*[torch.arange(side, device=links.device) for side in sides], indexing="ij")
    even = (torch.stack(where).sum(0) % 2 == 0)[..., None, None]
    U = links.clone()
    while True:
        for mu in range(len(sides)):
            for colour in (even, ~even):
                U[:, mu : mu + 1] = torch.where(colour, _drawn(U, mu, beta, generator), U[:, mu : mu + 1])
        U = _back_on_the_group(U)
        yield U.clone()


def _drawn(links: Tensor, mu: int, beta: float, generator: torch.Generator | None) -> Tensor:
    """U_μ(x), each drawn as if it were the only one."""
    U, A, n = links[:, mu : mu + 1], staples(links, mu), links.shape[-1]
    if n == 1:
        alpha = von_mises(beta * A.abs(), generator=generator)
        return torch.polar(torch.ones_like(alpha), alpha - A.angle())
    for i, j in combinations(range(n), 2):
        rows = torch.tensor([i, j], device=U.device)
        w = multiply(U, A)[..., rows, :][..., rows]
        # Re tr gw knows of w only its part k V with V ∈ SU(2)
        w = (w - w.mH + _one(w) * w.diagonal(dim1=-2, dim2=-1).sum(-1).conj()[..., None, None]) / 2
        k = torch.linalg.det(w).real.clamp_min(torch.finfo(U.dtype).tiny ** 0.5).sqrt()
        g = multiply(_su2(2 * beta * k / n, generator), w.mH / k[..., None, None])
        U = U.index_copy(-2, rows, multiply(g, U[..., rows, :]))
    return U


def _su2(c: Tensor, generator: torch.Generator | None) -> Tensor:
    """Elements a₀ + i a·σ of SU(2) with density ∝ exp(c a₀): a₀ by Creutz's rejection, a on its sphere."""
    exact = c.cpu().double().clamp_min(1e-6)  # not every device has float64
    a0, todo, tail = torch.zeros_like(exact), torch.ones_like(exact, dtype=torch.bool), torch.exp(-2 * exact)
    while bool(todo.any()):
        x, y = torch.rand(2, *c.shape, generator=generator, dtype=exact.dtype)
        trial = 1 + torch.log(1 - x * (1 - tail)) / exact
        taken = todo & (y.square() <= 1 - trial.square())
        a0, todo = torch.where(taken, trial, a0), todo & ~taken
    a = torch.randn(*c.shape, 3, generator=generator, dtype=exact.dtype)
    a = a / a.norm(dim=-1, keepdim=True) * (1 - a0.square()).clamp_min(0).sqrt()[..., None]
    a0, a1, a2, a3 = (t.to(c) for t in (a0, *a.unbind(-1)))
    entries = [torch.complex(a0, a3), torch.complex(a2, a1), torch.complex(-a2, a1), torch.complex(a0, -a3)]
    return torch.stack(entries, -1).unflatten(-1, (2, 2))


def von_mises(kappa: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Angles in (−π, π] of density ∝ exp(κ cos φ), one for each κ ≥ 0, by rejection from a wrapped Cauchy density.

    PyTorch's own sampler takes no generator.

    Raises:
        ValueError: a κ that is negative, infinite or NaN.

    Source: Best & Fisher (1979).
    """
    if not bool(((kappa >= 0) & kappa.isfinite()).all()):
        raise ValueError("expected finite κ ≥ 0, got some that are negative, infinite or NaN")
    k = kappa.cpu().double().clamp_min(1e-6)  # not every device has float64
    tau = 1 + (1 + 4 * k.square()).sqrt()
    rho = (tau - (2 * tau).sqrt()) / (2 * k)
    r = (1 + rho.square()) / (2 * rho)  # sets how often a trial is taken; what is taken is exact for any r
    phi, todo = torch.zeros_like(k), torch.ones_like(k, dtype=torch.bool)
    while bool(todo.any()):
        x, y, side = torch.rand(3, *k.shape, generator=generator, dtype=k.dtype)
        z = torch.cos(math.pi * x)
        f = ((1 + r * z) / (r + z)).clamp(-1, 1)
        c = k * (r - f)
        taken = todo & (y <= c * torch.exp(1 - c))
        phi, todo = torch.where(taken, torch.where(side < 0.5, -1, 1) * torch.acos(f), phi), todo & ~taken
    return phi.to(kappa)


def blocked(series: Tensor, blocks: int = 10) -> Estimate:
    """The mean of what chains measured, ``(time, chains)``, and its standard error from means over blocks of time.

    Neighbours in time are alike, so their scatter understates the error; means over blocks that are long against the
    autocorrelation are not.

    Raises:
        ValueError: another shape, or fewer than two blocks or points a block.
    """
    if series.ndim != 2 or blocks < 2 or len(series) < 2 * blocks:
        raise ValueError(f"expected (time, chains) with time ≥ 2 · {blocks} blocks ≥ 4, got {tuple(series.shape)}")
    size = len(series) // blocks
    means = series[len(series) - size * blocks :].double().unflatten(0, (blocks, size)).mean(1)
    return Estimate(float(means.mean()), float(means.std() / math.sqrt(means.numel())))


def autocorrelation_time(series: Tensor, window: float = 5.0) -> float:
    """τ = ½ + Σ_t ρ(t) of ``(time, chains)``, the sum cut where t ≥ window · τ; infinite for what never changes.

    The variance of a mean over T steps is 2τ/T times that of one step. Source: Madras & Sokal (1988).

    Raises:
        ValueError: another shape, or fewer than ten steps.
    """
    if series.ndim != 2 or len(series) < 10:
        raise ValueError(f"expected (time, chains) with at least ten steps, got {tuple(series.shape)}")
    x = series.double() - series.double().mean()
    variance = float(x.square().mean())
    tau = 0.5
    if variance == 0:
        return math.inf
    for t in range(1, len(x)):
        tau += float((x[t:] * x[:-t]).mean()) / variance
        if t >= window * tau:
            break
    return tau


def _check(links: Tensor, beta: float) -> None:
    check_links(links)
    if not 0 <= beta < math.inf:
        raise ValueError(f"expected a finite coupling β ≥ 0, got {beta}")

"""Oracles of chapter 10: links multiplied one by one, gauges turned site by site, and how far a map is from symmetry.

Nothing here that judges comes from `gdl_lab.lattice`: paths are walked, and Ω acts where the definition says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.func import jacrev, vmap

from gdl_lab import runtime
from gdl_lab.flows import Flow
from gdl_lab.lattice import LinkCNN, random_links, wrap

__all__ = [
    "CASES", "at_sites", "cnn_error", "covariance_error", "degree", "determinant_error", "flow_errors", "flux",
    "specimen", "turned", "turned_angles", "turned_field", "walk",
]  # fmt: skip

Steps = Iterable[tuple[int, int]]
CASES = (
    ("U(1)", (4, 6)), ("SU(2)", (3, 5)), ("SU(3)", (4, 3)), ("U(1)", (2, 3, 4)), ("SU(2)", (3, 2, 4)),
    ("SU(3)", (2, 3, 2)), ("U(1)", (2, 3, 2, 4)), ("SU(2)", (2, 2, 3, 2)), ("SU(3)", (2, 2, 2, 3)),
)  # fmt: skip


# Links, one by one


def specimen(
    group: str, sides: Sequence[int], seed: int, dtype: torch.dtype = torch.complex128
) -> tuple[Tensor, Tensor]:
    """Two configurations of links and a gauge transformation each, of Haar's measure."""
    rng = runtime.generator("links", seed, group, *sides)
    U = random_links(group, sides, 2, generator=rng, dtype=dtype)
    return U, random_links(group, sides, 2, generator=rng, dtype=dtype)[:, :1]


def turned(U: Tensor, omega: Tensor) -> Tensor:
    """Ω(x) U_μ(x) Ω(x + μ̂)†, written out site by site."""
    links, gauge = U.numpy(), omega.numpy()
    result = np.empty_like(links)
    sides = links.shape[2:-2]
    for x in np.ndindex(*sides):
        for mu in range(len(sides)):
            there = tuple((x[k] + (k == mu)) % sides[k] for k in range(len(sides)))
            there_dagger = gauge[(slice(None), 0, *there)].conj().swapaxes(-1, -2)
            result[(slice(None), mu, *x)] = gauge[(slice(None), 0, *x)] @ links[(slice(None), mu, *x)] @ there_dagger
    return torch.from_numpy(result)


def walk(U: Tensor, x: Sequence[int], steps: Steps) -> Tensor:
    """The product of links met on a walk from x, ``(batch, N, N)``: a link walked backwards counts by its inverse."""
    links = U.numpy()
    at, sides = [int(n) for n in x], links.shape[2:-2]
    product = np.broadcast_to(np.eye(links.shape[-1], dtype=links.dtype), (len(links), *links.shape[-2:]))
    for mu, sign in steps:
        if sign < 0:
            at[mu] = (at[mu] - 1) % sides[mu]
        link = np.moveaxis(links[:, mu], 0, len(sides))[tuple(at)]
        product = product @ (link if sign > 0 else np.linalg.inv(link))
        if sign > 0:
            at[mu] = (at[mu] + 1) % sides[mu]
    return torch.from_numpy(product)


def at_sites(U: Tensor, steps: Sequence[tuple[int, int]]) -> Tensor:
    """`walk` from every site: ``(batch, 1, *lattice, N, N)``."""
    sides = U.shape[2:-2]
    walks = torch.stack([walk(U, x, steps) for x in np.ndindex(*sides)], 1)
    return walks.unflatten(1, tuple(sides))[:, None]


def turned_angles(theta: Tensor, alpha: Tensor) -> Tensor:
    """θ_μ(x) + α(x) − α(x + μ̂) of U(1) in two dimensions, ``(batch, 2, L, T)`` and ``(batch, L, T)``."""
    ahead = torch.stack([torch.cat([alpha[:, 1:], alpha[:, :1]], 1), torch.cat([alpha[..., 1:], alpha[..., :1]], 2)], 1)
    return theta + alpha[:, None] - ahead


def turned_field(W: Tensor, omega: Tensor) -> Tensor:
    """Ω(x) W(x) Ω(x)†."""
    return omega @ W @ omega.mH


def flux(size: int, q: int) -> Tensor:
    """U(1) links ``(1, 2, size, size, 1, 1)`` of which every plaquette has the angle 2πq/size²."""
    x = torch.arange(size, dtype=torch.float64)
    theta = torch.zeros(1, 2, size, size, dtype=torch.float64)
    theta[:, 0], theta[:, 1, :, -1] = -2 * math.pi * q / size**2 * x, 2 * math.pi * q / size * x
    return torch.polar(torch.ones_like(theta), theta)[..., None, None]


# How far a map is from its symmetry


def covariance_error(before: Tensor, after: Tensor, omega: Tensor) -> float:
    """‖f(U^Ω) − Ω f(U) Ω†‖ over ‖f(U)‖."""
    return float(((after - turned_field(before, omega)).norm() / before.norm()).detach())


@torch.no_grad()
def cnn_error(U: Tensor, V: Tensor) -> float:
    """How far an ordinary network of random weights moves from site to site between U and V, over its spread."""
    network = LinkCNN(U.shape[-1]).double()

    def density(links: Tensor) -> Tensor:
        entries = torch.view_as_real(links.resolve_conj()).movedim((4, 5, 6), (2, 3, 4)).flatten(1, 4)
        answers: Tensor = network.head(network.convs(entries).movedim(1, -1))
        return answers

    before, after = density(U), density(V)
    return float((after - before).norm() / (before - before.mean()).norm())


@torch.no_grad()
def flow_errors(flow: Flow, seed: int) -> tuple[dict[torch.dtype, float], float]:
    """For each precision how far g(θ^α) is from g(θ)^α, and log det from itself, relative; and how far g is from 1."""
    rng, size = runtime.generator("gauges", seed), flow.shape[-1]
    alpha = 2 * math.pi * torch.rand(8, size, size, generator=rng, dtype=torch.float64)
    z = flow.base.sample(torch.empty(8, flow.dim, dtype=torch.float64), 1.0, rng)
    errors, moved = {}, 0.0
    for dtype in (torch.float64, torch.float32):
        net, a, theta = flow.to(dtype), alpha.to(dtype), z.to(dtype)
        x, change = net.push(theta, log_det=True)
        y, same = net.push(turned_angles(theta.view_as(x), a).flatten(1), log_det=True)
        off = wrap(y - turned_angles(x, a))
        errors[dtype] = max(float(off.norm() / x.norm()), float((same - change).norm() / change.norm()))
        moved = float(wrap(x.flatten(1) - theta).square().mean().sqrt())
    return errors, moved


def determinant_error(flow: Flow, rng: torch.Generator) -> float:
    """How far log det ∂x/∂z is from that of the Jacobian by autograd, relative, at two base points."""
    flow = flow.double().requires_grad_(False)
    z = flow.base.sample(torch.empty(2, flow.dim, dtype=torch.float64), 1.0, rng)
    J = vmap(jacrev(lambda one: flow.push(one[None]).flatten()))(z)
    wanted = torch.linalg.slogdet(J)[1]
    return float(((flow.push(z, log_det=True)[1] - wanted) / wanted).abs().max())


def degree(d: Tensor) -> Tensor:
    """How often d/|d|, ``(batch, L, L, 3)``, covers the sphere: signed areas of two triangles a cell, over 4π."""
    n = d / d.norm(dim=-1, keepdim=True)
    right, up, both = n.roll(-1, 1), n.roll(-1, 2), n.roll((-1, -1), (1, 2))
    total = torch.zeros(len(d), dtype=d.dtype)
    for a, b, c in ((n, right, both), (n, both, up)):
        volume = (a * torch.linalg.cross(b, c)).sum(-1)
        total += 2 * torch.atan2(volume, 1 + (a * b).sum(-1) + (b * c).sum(-1) + (c * a).sum(-1)).sum((1, 2))
    return total / (4 * math.pi)

"""What the claims of chapter 05 are put to: flows whose metric is known, trained ones, and the geometry they are judged
by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import jacfwd, jacrev, vmap

from gdl_lab import recipes, runtime
from gdl_lab.flows import Flow
from gdl_lab.manifold import Arc
from gdl_lab.metric import Diffeomorphism, jacobian, normal_tangent

__all__ = [
    "THICKNESSES",
    "Across",
    "across_the_arc",
    "bend",
    "christoffel",
    "curvature",
    "ideal",
    "landscape",
    "length",
    "pulled_back_metric",
    "round_sphere",
    "stored",
    "stored_arcs",
    "twisted",
]

THICKNESSES = (0.3, 0.1, 0.03, 0.01)
Metric = Callable[[Tensor], Tensor]


def stored(name: str) -> Flow:
    """The trained flow of a recipe in double precision."""
    return recipes.load(name).double()


def stored_arcs() -> dict[float, Flow]:
    """Thickness → the flow that was trained on the arc of this thickness."""
    return {delta: stored(f"arc-{delta:g}") for delta in THICKNESSES}


def landscape(x: Tensor) -> Tensor:
    """A function on the plane or in space that is climbed, ``(n, D)`` → ``(n,)``: smooth, and bent in both senses."""
    return torch.sin(1.3 * x[:, 0] + 0.4) + x[:, 0] * x[:, 1] - 0.3 * x[:, -1].square()


# Flows whose metric is known


def ideal(delta: float, arc: Arc | None = None) -> Diffeomorphism:
    r"""The flow whose model density is that of the noisy arc, so that KL(p‖q) = 0.

    x = (1 + δz₂)(cos t, sin t) with t = start + (stop − start)Φ(z₁), Φ the distribution function of N(0, 1); then
    γ_⊥⁻¹ = δ² and γ_D⁻¹ = (1 + δz₂)² (dt/dz₁)². Where 1 + δz₂ < 0 it is not injective: keep δ below ¼.
    """
    arc = arc or Arc()
    width = arc.stop - arc.start

    def push(z: Tensor) -> Tensor:
        t = arc.start + width * torch.special.ndtr(z[:, 0])
        return (1 + delta * z[:, 1])[:, None] * torch.stack([t.cos(), t.sin()], 1)

    def pull(x: Tensor) -> Tensor:
        share = (torch.atan2(x[:, 1], x[:, 0]) - arc.start) / width
        return torch.stack([torch.special.ndtri(share), (x.norm(dim=1) - 1) / delta], 1)

    return Diffeomorphism(push, pull, lambda x: _pulled_back(pull, x))


def twisted(flow: Diffeomorphism, rate: float) -> Diffeomorphism:
    r"""The flow after the twist z ↦ rotation of z by the angle ``rate`` · |z|²/2.

    The twist keeps N(0, 1)², so that the model density does not change, whatever the rate. At radius |z| it shears by
    ``rate`` · |z|².
    """

    def twist(z: Tensor, rate: float) -> Tensor:
        angle = rate * z.square().sum(1) / 2
        c, s = angle.cos(), angle.sin()
        return torch.stack([c * z[:, 0] - s * z[:, 1], s * z[:, 0] + c * z[:, 1]], 1)

    def pull(x: Tensor) -> Tensor:
        return twist(flow.pull(x), -rate)

    return Diffeomorphism(lambda z: flow.push(twist(z, rate)), pull, lambda x: _pulled_back(pull, x))


def _pulled_back(pull: Metric, x: Tensor) -> Tensor:
    """log q_Z(z) + ½ log det γ, the change of variables with γ by autograd of the inverse."""
    z, G = pull(x), vmap(jacrev(lambda one: pull(one[None])[0]))(x)
    base = -0.5 * z.square().sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi)
    return base + torch.linalg.slogdet(G).logabsdet


def _divergence(flow: Flow | Diffeomorphism, delta: float, x: Tensor) -> float:
    """KL(p‖q) in nats over points x of the noisy arc."""
    with torch.no_grad():
        return float((Arc().log_prob(x, delta) - flow.log_prob(x)).mean())


# Parts of the metric along and across the arc


@dataclass(frozen=True)
class Across:
    r"""Medians over data points of what the metric does along and across the arc; see `across_the_arc`.

    Attributes:
        normal: γ_⊥⁻¹ in the conormal normalisation.
        tangent: γ_D⁻¹.
        unit: 1/(nᵀγn) with the same n made a Euclidean unit vector instead.
        lean: |n| in the conormal normalisation, 1/cos of the angle between n and the normal.
        volume: mean of ½ log det γ⁻¹ = log|det ∂x/∂z|.
        gradient, step: degrees between the arc and ∂f, and between the arc and γ⁻¹∂f.
        sideways: |νᵀγ⁻¹∂f|, what of the step leaves the arc.
        divergence: KL(p‖q).
    """

    normal: float
    tangent: float
    unit: float
    lean: float
    volume: float
    gradient: float
    step: float
    sideways: float
    divergence: float


def across_the_arc(flow: Flow | Diffeomorphism, delta: float, *, n: int = 2000, seed: int = 0) -> Across:
    """What the metric of a flow does at ``n`` points of the noisy arc; the climbed function is `landscape`."""
    x, _ = Arc().draw(n, delta=delta, generator=runtime.generator("across", seed))
    nu = x / x.norm(dim=1, keepdim=True)
    tau = torch.stack([-nu[:, 1], nu[:, 0]], 1)
    with torch.no_grad():
        z = flow.pull(x)
    jac = jacobian(flow, z)
    gamma_inv = jac @ jac.mT
    parts = normal_tangent(gamma_inv, tau)
    lean = parts.frame[:, :, 1].norm(dim=1)
    df = vmap(jacrev(lambda one: landscape(one[None])[0]))(x)
    step = (gamma_inv @ df[:, :, None])[:, :, 0]

    def degrees(v: Tensor) -> float:
        return float(torch.rad2deg(torch.atan2((v * nu).sum(1).abs(), (v * tau).sum(1).abs())).median())

    return Across(
        normal=float(parts.normal.median()),
        tangent=float(parts.tangent.median()),
        unit=float((parts.normal[:, 0] * lean.square()).median()),
        lean=float(lean.median()),
        volume=float(torch.linalg.slogdet(jac).logabsdet.mean()),
        gradient=degrees(df),
        step=degrees(step),
        sideways=float((step * nu).sum(1).abs().median()),
        divergence=_divergence(flow, delta, x),
    )


# Riemannian geometry from a metric alone, at one point


def christoffel(gamma: Metric) -> Metric:
    r"""Γᵃ_bc = ½ γᵃᵈ(∂_bγ_dc + ∂_cγ_db − ∂_dγ_bc) of a metric ``(D,)`` → ``(D, D)``, shape ``(D, D, D)``."""

    def symbols(x: Tensor) -> Tensor:
        change = jacfwd(gamma)(x)  # [d, c, b] = ∂_b γ_dc
        lowered = change.transpose(1, 2) + change - change.permute(2, 0, 1)
        return 0.5 * torch.einsum("ad,dbc->abc", torch.linalg.inv(gamma(x)), lowered)

    return symbols


def curvature(gamma: Metric, x: Tensor) -> tuple[Tensor, Tensor]:
    r"""Rᵃ_bcd = ∂_cΓᵃ_db − ∂_dΓᵃ_cb + Γᵃ_ceΓᵉ_db − Γᵃ_deΓᵉ_cb at a point, and the largest of the four terms."""
    symbols = christoffel(gamma)
    G, dG = symbols(x), jacfwd(symbols)(x)  # dG[a, b, c, d] = ∂_d Γᵃ_bc
    first, second = dG.permute(0, 2, 3, 1), torch.einsum("ace,edb->abcd", G, G)
    return first - first.transpose(2, 3) + second - second.transpose(2, 3), torch.maximum(
        first.abs().max(), second.abs().max()
    )


def pulled_back_metric(flow: Flow) -> Metric:
    """γ = (∂z/∂x)ᵀ(∂z/∂x) by autograd of the inverse flow, at one flattened point x."""

    def gamma(x: Tensor) -> Tensor:
        G = jacrev(lambda one: flow.pull(one.view(1, *flow.shape))[0])(x)
        return G.mT @ G

    return gamma


def round_sphere(x: Tensor) -> Tensor:
    """The metric of the sphere of radius 1 in stereographic coordinates, of curvature 1."""
    return 4 / (1 + x @ x) ** 2 * torch.eye(2, dtype=x.dtype)


def bend(gamma: Metric, line: Metric) -> float:
    r"""|ẍ + Γẋẋ| over |Γẋẋ| at s = ½ of a curve s ↦ x(s), 0 for a geodesic that is run through at constant speed."""
    s = torch.tensor(0.5, dtype=torch.float64)
    velocity, force = jacfwd(line)(s), jacfwd(jacfwd(line))(s)
    pull = torch.einsum("abc,b,c->a", christoffel(gamma)(line(s)), velocity, velocity)
    return float(((force + pull).norm() / pull.norm()).detach())


def length(gamma: Metric, line: Metric, nodes: int = 32) -> float:
    r"""∫√(ẋᵀγẋ) ds of a curve over [0, 1], by Gauss and Legendre."""
    s, weights = (torch.from_numpy(values) for values in np.polynomial.legendre.leggauss(nodes))
    total = 0.0
    for at, weight in zip((s + 1) / 2, weights / 2, strict=True):
        velocity = jacfwd(line)(at)
        total += float(weight * (velocity @ gamma(line(at)) @ velocity).sqrt().detach())
    return total

"""Specimens and oracles of chapter 09: surfaces with points, fields and layers; curvature, loops and harmonics known
without geodesics; kernels counted without a null space."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import eval_jacobi, eval_legendre, lpmv
from torch import Tensor, nn

from gdl_lab import runtime
from gdl_lab.bundles import (
    GaugeConv,
    Neighbours,
    NormGate,
    Section,
    Sphere,
    Stencil,
    Surface,
    bumpy_ball,
    components,
    ellipsoid,
    integrate,
    spread,
    torus,
)
from gdl_lab.bundles.kernels import Field

__all__ = [
    "SURFACES", "TAU", "PointNetwork", "Specimen", "about", "angles", "area_of_a_square", "carried_apart",
    "coarseness", "curvature", "distance_to_the_integral", "even", "field", "kernel", "kernels_by_characters",
    "latitude", "layer", "loop", "loops", "missed", "multiplier", "normal", "of_torus", "on_each", "on_rays",
    "on_tangents", "one_ring", "pointwise", "residual", "rotation", "scattered", "stencil", "turns_around",
    "turns_below", "zonal",
]  # fmt: skip

TAU = 2 * math.pi
INS, OUTS = [0, 1], [0, 1, 2]


normal = partial(runtime.normal, "gauge")


def angles(*shape: int, seed: int) -> Tensor:
    """Uniform angles that depend on the seed and the shape, float64."""
    return TAU * torch.rand(shape, generator=runtime.generator("angles", seed, *shape), dtype=torch.float64)


def rotation(seed: int) -> Tensor:
    """A random rotation of ℝ³."""
    Q = torch.linalg.qr(normal(3, 3, seed=seed)).Q
    return Q * torch.linalg.det(Q)


# Surfaces


def about(axis: int, angle: float) -> Tensor:
    """The rotation of ℝ³ by an angle about the axis x, y or z, float64."""
    R, (i, j) = torch.eye(3, dtype=torch.float64), [(1, 2), (2, 0), (0, 1)][axis]
    R[i, i] = R[j, j] = math.cos(angle)
    R[i, j], R[j, i] = -math.sin(angle), math.sin(angle)
    return R


def on_rays(surface: Surface, d: Tensor) -> Tensor:
    """Where rays from the origin leave a surface that is seen whole from there: by bisection, no derivative of F."""
    low, high = torch.full_like(d[..., :1], 0.2), torch.full_like(d[..., :1], 2.0)
    for _ in range(60):
        middle = (low + high) / 2
        inside = surface.F(middle * d)[..., None] < 0
        low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
    return low * d


def of_torus(u: Tensor) -> Tensor:
    """Points of `torus()` at two angles (…, 2), along the tube and around it."""
    rho = 2 + 0.8 * u[..., 1].cos()
    return torch.stack([rho * u[..., 0].cos(), rho * u[..., 0].sin(), 0.8 * u[..., 1].sin()], -1)


class Specimen(NamedTuple):
    """A surface, random points on it, and a rotation of ℝ³ that takes it to itself."""

    surface: Surface
    points: Callable[[int, torch.Generator], Tensor]
    symmetry: Tensor


def _round(surface: Surface, angle: float) -> Specimen:
    def points(n: int, rng: torch.Generator) -> Tensor:
        return on_rays(surface, nn.functional.normalize(torch.randn(n, 3, generator=rng, dtype=torch.float64), dim=1))

    return Specimen(surface, points, about(2, angle))


SURFACES = {
    "sphere": _round(Sphere(), 0.7),
    "ellipsoid": _round(ellipsoid(), math.pi),
    "torus": Specimen(
        torus(), lambda n, rng: of_torus(TAU * torch.rand(n, 2, generator=rng, dtype=torch.float64)), about(2, 0.7)
    ),
    "bumpy ball": _round(bumpy_ball(), math.pi),
}


def on_each(measure: Callable[[str, int], float]) -> tuple[dict[str, float], int]:
    """What is measured on each surface, ``measure(name, seed)``, and the fresh seed."""
    seed = runtime.fresh_seed()
    return {name.replace(" ", "_"): measure(name, seed) for name in SURFACES}, seed


def curvature(surface: Surface, x: Tensor) -> Tensor:
    """Gauss's K as ∇Fᵀ adj(H) ∇F / abs(∇F)⁴, from second derivatives by `torch.func`, without frames."""
    g = torch.func.vmap(torch.func.grad(surface.F))(x)
    H = torch.func.vmap(torch.func.hessian(surface.F))(x)
    adjoint = torch.stack([torch.linalg.cross(H[:, (i + 1) % 3], H[:, (i + 2) % 3]) for i in range(3)], 1)
    return torch.einsum("ni,nij,nj->n", g, adjoint, g) / g.square().sum(-1) ** 2


def carried_apart(surface: Surface, x: Tensor, X: Tensor) -> float:
    """How far the frame that `exp` carries is from one that is turned from normal to normal, in 400 steps."""
    frame = surface.frame(x)[0]
    path = surface.project(surface.geodesic(x, X, steps=400)[0][:, 0])
    there = torch.stack([surface.transport(path, e)[-1] for e in frame])
    return float((surface.exp(x, X, frame[None], steps=40).frame[0] - there).abs().max())


def area_of_a_square(surface: Surface, x: Tensor, X: Tensor, h: float = 1e-4) -> Tensor:
    """The area, relative, that exp_x makes of a square of side 2h around X, by differences of end points."""
    sides = [
        (surface.exp(x, X + h * e, steps=40).q - surface.exp(x, X - h * e, steps=40).q) / (2 * h)
        for e in surface.frame(x).unbind(1)
    ]
    return torch.linalg.cross(*sides).norm(dim=-1)


def loop(name: str, rng: torch.Generator, points: int = 20_001) -> tuple[Tensor, float]:
    """A random loop on one of the surfaces, (points, 3) and closed, and ∫K dA over what lies to its left."""
    surface = SURFACES[name].surface
    t = torch.linspace(0, TAU, points, dtype=torch.float64)
    place = torch.rand(3, generator=rng, dtype=torch.float64)
    rim = torch.stack([torch.ones_like(t), t], -1)
    if name == "torus":

        def disc(u: Tensor) -> Tensor:
            turns = torch.stack([u[..., 0] * u[..., 1].cos(), u[..., 0] * u[..., 1].sin()], -1)
            return of_torus(TAU * place[:2] + 0.5 * turns)

        inside = integrate(lambda x: curvature(surface, x), disc, (0, 0), (1, TAU))
        curve = disc(rim)
    else:
        R = about(2, TAU * float(place[0])) @ about(1, math.pi * float(place[1]))

        def cap(u: Tensor) -> Tensor:
            r = u[..., 0] * (0.5 + 0.1 * (2 * u[..., 1]).cos())
            flat = torch.stack([r * u[..., 1].cos(), r * u[..., 1].sin(), torch.ones_like(r)], -1) @ R.mT
            return flat / (flat * flat).sum(-1, keepdim=True).sqrt()

        def over_directions(d: Tensor) -> Tensor:  # dA = r³ dΩ / (x·n)
            x = on_rays(surface, d)
            return curvature(surface, x) * x.norm(dim=-1) ** 3 / (x * surface.normal(x)).sum(-1)

        inside = integrate(over_directions, cap, (0, 0), (1, TAU))
        curve = on_rays(surface, cap(rim))
    curve[-1] = curve[0]
    return curve, inside


def latitude(theta: float, n: int) -> Tensor:
    """The circle of the sphere at the angle θ from the north pole, anticlockwise, in n chords, closed: (n + 1, 3)."""
    t = torch.linspace(0, TAU, n + 1, dtype=torch.float64)
    s, c = math.sin(theta), math.cos(theta)
    curve = torch.stack([s * t.cos(), s * t.sin(), torch.full_like(t, c)], -1)
    curve[-1] = curve[0]
    return curve


def loops() -> dict[str, tuple[Surface, Tensor]]:
    """Three loops to look at: an eighth of the sphere, and two of the torus, where K > 0 and where K < 0."""
    t = torch.linspace(0, math.pi / 2, 13, dtype=torch.float64)[:, None]
    axes = torch.eye(3, dtype=torch.float64)
    octant = torch.cat([t.cos() * axes[i] + t.sin() * axes[(i + 1) % 3] for i in range(3)])
    circle = latitude(math.pi / 2, 48)[:, :2] * torch.tensor([0.5, 0.9], dtype=torch.float64)
    outside, inside = (of_torus(circle + torch.tensor(u, dtype=torch.float64)) for u in ((0.5, 0.5), (3.6, 2.6)))
    ring = SURFACES["torus"].surface
    return {"octant": (Sphere(), octant), "torus, outside": (ring, outside), "torus, inside": (ring, inside)}


def missed(carry: Callable[[Tensor, Tensor], Tensor], theta: float, chords: int) -> float:
    """By how much an arrow carried round a circle of latitude misses the angle 2π(1 − cos θ)."""
    curve = latitude(theta, chords)
    v = torch.tensor([math.cos(theta), 0, -math.sin(theta)], dtype=torch.float64)  # southwards
    end = carry(curve, v)
    turned = math.atan2(float(torch.linalg.cross(v, end) @ curve[0]), float(v @ end))
    return abs(math.remainder(turned - TAU * (1 - math.cos(theta)), TAU))


def turns_below(surface: Surface) -> int:
    """How often the frame of a surface turns on a small circle round its lowest point, as seen from below."""
    t = torch.linspace(0, TAU, 401, dtype=torch.float64)
    low = on_rays(surface, torch.tensor([[0.0, 0, -1]], dtype=torch.float64))
    circle = low + 1e-3 * torch.stack([t.cos(), -t.sin(), torch.zeros_like(t)], -1)  # anticlockwise from below
    e1 = surface.frame(surface.project(circle))[:, 0]
    return _turns(torch.complex(e1[:, 0], -e1[:, 1]))


def turns_around(x: Tensor) -> int:
    """How often the frame of the unit sphere turns on a small circle round the point x, as seen by any fixed basis."""
    t = torch.linspace(0, TAU, 401, dtype=torch.float64)
    a, b = torch.linalg.svd(x[None]).Vh[1:]
    e1 = Sphere().frame(Sphere().project(x + 0.05 * (t.cos()[:, None] * a + t.sin()[:, None] * b)))[:, 0]
    return _turns(torch.complex(e1 @ a, e1 @ b))


def _turns(z: Tensor) -> int:
    return round(float((z[1:] / z[:-1]).angle().sum()) / TAU)


# Fields and layers


def on_tangents(frame: Tensor, v: Tensor, spin: int, w: Tensor) -> Tensor:
    """The object that a frame and a coefficient v stand for: the polynomial Re(v̄ (w·e₁ + i w·e₂)ⁿ) of tangents w."""
    along = torch.einsum("kij,kj->ki", frame, w)
    return (v.conj() * torch.complex(*along.unbind(-1)) ** spin).real


def field(seed: int) -> Section:
    """A random smooth section with a scalar and a vector channel, given by functions on ℝ³."""
    waves = torch.randn(4, 3, generator=runtime.generator("field", seed), dtype=torch.float64)
    shifts = TAU * torch.rand(4, generator=runtime.generator("shifts", seed), dtype=torch.float64)

    def section(q: Tensor, frame: Tensor) -> Tensor:
        scalar, *wind = (q @ (1.5 * waves.mT).to(q) + shifts.to(q)).cos().unbind(-1)
        return torch.stack([scalar + 0j, components(torch.stack(wind, -1), frame)], -1)

    return section


def layer(seed: int, kind: Field = "complex", *, ins: list[int] = INS, outs: list[int] = OUTS,
          frequency: Callable[[int, int], int] = lambda m, n: m - n) -> GaugeConv:  # fmt: skip
    """A `GaugeConv` with random kernels whose rings have one phase: else they may cancel, and errors are relative to
    next to nothing."""
    rng = runtime.generator("kernels", seed)
    conv = GaugeConv(ins, outs, field=kind, frequency=frequency).double().requires_grad_(False)
    size = 1 + torch.rand(2, conv.rings, len(outs), len(ins), generator=rng, dtype=torch.float64)
    phase = TAU * torch.rand(2, 1, len(outs), len(ins), generator=rng, dtype=torch.float64)
    conv.coefficients.copy_(torch.stack([size * phase.cos(), size * phase.sin()], 1).flatten()[conv.free])
    return conv


def even(name: str, n: int) -> Tensor:
    """n points spread over one of the surfaces nearly evenly, for pictures."""
    if name != "torus":
        return spread(SURFACES[name].surface, n, dtype=torch.float64)[0]
    k = torch.arange(n, dtype=torch.float64)[:, None]
    return of_torus(TAU * k * torch.tensor([1 / n, (5**0.5 - 1) / 2], dtype=torch.float64))


def stencil(
    name: str, seed: int, *, n: int = 12, radius: float = 0.5, radial: int = 6, rays: int = 24,
    dtype: torch.dtype = torch.float64,
) -> Stencil:  # fmt: skip
    """Discs around random points of one of the surfaces."""
    known = SURFACES[name]
    x = known.surface.project(known.points(n, runtime.generator("points", seed)).to(dtype))
    return Stencil(known.surface, x, radius=radius, radial=radial, rays=rays)


def multiplier(degree: int, spins: tuple[int, int], radius: float) -> float:
    """What the one-ring kernel e^{i(m−n)θ} makes of a zonal harmonic of this degree or its gradient, by Funk and Hecke.

    From f to f, from f to ∇f, from ∇f to f and from ∇f to ∇f, for spins (n, m) of 0 and 1: an integral over r alone,
    with Wigner's d^l in the place of parallel transport.
    """
    t, w = np.polynomial.legendre.leggauss(40)
    r = radius * (t + 1) / 2
    z, share, (n, m) = np.cos(r), r / radius, spins
    kappa = np.exp(-((share - 0.5) ** 2)) * (1 - share**2) ** 2 * (share if m != n else 1) / (math.pi * radius**2)
    slope = -lpmv(1, degree, z)  # scipy's has the sign (−1)^m: this is sin r P_l'(cos r)
    turned = {
        (0, 0): eval_legendre(degree, z), (1, 1): (1 + z) / 2 * eval_jacobi(degree - 1, 0, 2, z),
        (0, 1): slope / (degree * (degree + 1)), (1, 0): -slope,
    }[n, m]  # fmt: skip
    return float(TAU * radius / 2 * (w * kappa * turned * np.sin(r)).sum())


def zonal(a: Tensor, degree: int) -> Section:
    """The harmonic P_l(a·x) of the unit sphere and its gradient, as channels of spins 0 and 1."""
    P = np.polynomial.legendre.Legendre.basis(degree)

    def section(q: Tensor, frame: Tensor) -> Tensor:
        z = q @ a
        value, slope = (torch.from_numpy(np.asarray(f(z.numpy()))) for f in (P, P.deriv()))
        return torch.stack([value + 0j, components(slope[..., None] * a, frame)], -1)

    return section


def kernel(conv: GaugeConv, rays: int = 64) -> Tensor:
    """κ(θ) of a layer with one channel in and one out, read off in the plane as its answer to a point on each ray."""
    plane = Surface(lambda x: x[..., 2])
    disc = Stencil(plane, torch.zeros(1, 3, dtype=torch.float64), radius=1.0, radial=1, rays=rays)
    return conv(disc, torch.eye(rays, dtype=torch.complex128)[:, None, :, None])[:, 0, 0]


def residual(conv: GaugeConv, frequency: int) -> float:
    """How far κ(θ + k) of a layer is from e^{ifk} κ(θ), for all k that take rays to rays, relative."""
    kappa, ray = kernel(conv), torch.arange(64)
    phase = torch.polar(torch.ones(64, dtype=torch.float64), frequency * TAU * ray.double() / 64)
    turned = kappa[(ray[:, None] + ray) % 64]  # row k: turned by k rays
    return float((turned - phase[:, None] * kappa).abs().max() / kappa.abs().max())


def kernels_by_characters(n: int, m: int, kind: Field) -> int:
    """How many kernels the constraint leaves at one radius: the mean over SO(2) of the trace of its action on all.

    Functions of θ up to frequency 8, times Hom(ρ, η); no null space.
    """
    g = TAU * torch.arange(64, dtype=torch.float64) / 64
    frequencies = torch.arange(-8, 9, dtype=torch.float64)
    functions = torch.polar(torch.ones(17, 64, dtype=torch.float64), frequencies[:, None] * g).sum(0)

    def character(spin: int) -> Tensor:
        whole = torch.polar(torch.ones_like(g), spin * g)
        return whole if kind == "complex" else (2 * whole.real if spin else whole.real) + 0j

    return round(float((functions * character(m) * character(n).conj()).mean().real))


def pointwise(c: Tensor) -> Tensor:
    """ReLU on real and imaginary parts, which sees the frames."""
    return torch.complex(c.real.relu(), c.imag.relu())


def one_ring(n: int, m: int) -> GaugeConv:
    """A `GaugeConv` from one field of spin n to one of spin m, with one ring and the weight 1."""
    conv = GaugeConv([n], [m], rings=1).double().requires_grad_(False)
    conv.coefficients.copy_(torch.tensor([1.0, 0.0]))
    return conv


class PointNetwork(nn.Module):
    """Two convolutions on points with a nonlinearity between, norm gates unless another is given."""

    def __init__(self, seed: int, nonlinearity: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        hidden, self.outs = [0, 0, 1, 1, 2], OUTS
        self.first, self.second = layer(seed, outs=hidden), layer(seed + 1, ins=hidden)
        self.act = nonlinearity or NormGate(hidden).double().requires_grad_(False)

    def forward(self, s: Stencil, c: Tensor) -> Tensor:
        """Coefficients on `Neighbours`, (n, 2) → (n, 3)."""
        out: Tensor = self.second(s, self.act(self.first(s, c)))
        return out


def scattered(surface: Surface, n: int, seed: int, radius: float = 0.5) -> Neighbours:
    """Points in random directions, as uneven as chance has it, all with the same area."""
    d = torch.randn(n, 3, generator=runtime.generator("scattered", seed), dtype=torch.float64)
    x = on_rays(surface, d / d.norm(dim=1, keepdim=True))
    return Neighbours(surface, x, torch.full((n,), 2 * TAU / n, dtype=torch.float64), radius)


@torch.no_grad()
def coarseness(conv: GaugeConv, discs: Stencil, section: Section) -> float:
    """How far the layer is from what it gives with 24 × 48 nodes on the same discs, relative."""
    fine = discs.retake(radial=24, rays=48)
    exact = conv(fine, fine.sample(section))
    return float((conv(discs, discs.sample(section)) - exact).abs().max() / exact.abs().max())


def distance_to_the_integral(n: int, seed: int, *, at_random: bool = False) -> float:
    """How far the layer on n points of the sphere is from the integral, relative, for a random field: root mean square.

    The integral commutes with rotations, so that the layer on points fails to by at most twice this.
    """
    if at_random:
        points = scattered(Sphere(), n, seed)
    else:
        points = Neighbours(Sphere(), *spread(Sphere(), n, dtype=torch.float64))
    some = slice(0, n, n // 40)
    discs, section, conv = Stencil(Sphere(), points.x[some], radial=12, rays=32), field(seed), layer(seed)
    exact = conv(discs, discs.sample(section))
    return float((conv(points, points.sample(section))[some] - exact).norm() / exact.norm())

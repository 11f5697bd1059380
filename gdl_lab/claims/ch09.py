"""Claims of chapter 09: frames, transport, holonomy, the convolution and its kernels, what networks gain by them."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Literal

import torch
from torch import Tensor, nn

from gdl_lab import runtime
from gdl_lab.bundles import (
    GaugeConv,
    NormGate,
    Sphere,
    Stencil,
    Surface,
    act,
    ellipsoid,
    gauge_error,
    integrate,
    isometry_error,
    kernel_space,
    turn,
)
from gdl_lab.bundles.kernels import Field
from gdl_lab.claims import strips, surfaces
from gdl_lab.claims.ledger import at_least, at_most, claim, within
from gdl_lab.claims.surfaces import SURFACES, TAU, angles, field, layer, normal, stencil
from gdl_lab.networks import count_parameters

__all__ = [
    "all_kernels", "arrows_stay", "controls_see_frames", "convolution_is_funk_and_hecke", "density_is_the_area",
    "frames_must_break", "gates_see_no_frames", "gauss_bonnet", "geodesics_keep_their_energy",
    "holonomy_is_curvature", "input_frames_are_not_seen", "isometries_commute", "kernel_constraint",
    "moebius_digits", "moebius_layer_is_exact", "moebius_plain_network", "octant_turns_by_a_right_angle",
    "output_frames_are_not_seen", "points_see_no_frames", "rotations_are_as_good_as_the_points", "rotations_commute",
    "transport_meets_the_solid_angle", "winds_are_found", "winds_turn_along",
]  # fmt: skip

BUNDLES, CONVOLUTION = "gauge-networks", "coordinate-independent-convolution"
Carry = Callable[[Tensor, Tensor], Tensor]


# Frames


@claim("gauge.arrows_stay", talk=BUNDLES, bound=at_most(1e-13))
def arrows_stay() -> dict[str, float | str]:
    """A frame turned by g with the coefficient exp(−ing) v is the same geometric object: deviation for spins 0 to 3.

    The object is a polynomial on the tangent plane, w ↦ Re(v̄ (w·e₁ + i w·e₂)ⁿ), at random unit vectors. ``with_g`` is
    that of the coefficient exp(ing) v.
    """
    seed, known = runtime.fresh_seed(), SURFACES["torus"]
    x = known.points(20, runtime.generator("points", seed))
    p, g, v = known.surface.frame(x), angles(20, seed=seed), torch.complex(*normal(2, 20, seed=seed))
    w = known.surface.frame(x, angles(20, 1, seed=seed)[:, 0])[:, 0]
    ours, with_g = (
        max(
            float((surfaces.on_tangents(turn(p, g), act(n, a, v), n, w) - surfaces.on_tangents(p, v, n, w)).abs().max())
            for n in range(4)
        )
        for a in (-g, g)
    )
    return {"value": ours, "with_g": with_g, "seed": str(seed)}


@claim("gauge.frames_must_break", talk=BUNDLES, bound=within(2, 0))
def frames_must_break() -> dict[str, float | str]:
    """A gauge of the sphere breaks: round the one point where ours does, it turns twice, as often as Euler's χ.

    Counted in the fixed frame of the xy-plane seen from below, on a small circle; the same for the ellipsoid.
    ``elsewhere`` is the largest count round random other points.
    """
    seed = runtime.fresh_seed()
    at_the_break = {surfaces.turns_below(Sphere()), surfaces.turns_below(ellipsoid())}
    x = Sphere().project(normal(10, 3, seed=seed) * torch.tensor([1, 1, 0.5], dtype=torch.float64))
    elsewhere = max(abs(surfaces.turns_around(one)) for one in x if one[2] > -0.95)
    value = at_the_break.pop() if len(at_the_break) == 1 and not elsewhere else math.nan
    return {"value": value, "elsewhere": elsewhere, "seed": str(seed)}


# Transport


@claim("gauge.octant_turns_by_a_right_angle", talk=BUNDLES, bound=within(90, 1e-10))
def octant_turns_by_a_right_angle() -> dict[str, float | str]:
    """Round an eighth of the sphere, placed at random, an arrow comes back turned by so many degrees; and backwards."""
    seed = runtime.fresh_seed()
    corners = surfaces.rotation(seed).mT[[0, 1, 2, 0]]
    there, back = (math.degrees(Sphere().holonomy(path)) for path in (corners, corners.flip(0)))
    return {"value": there if abs(there + back) < 1e-10 else math.nan, "backwards": back, "seed": str(seed)}


@claim("gauge.transport_meets_the_solid_angle", talk=BUNDLES, bound=within(2, 0.05))
def transport_meets_the_solid_angle(*, carry: Carry | None = None) -> dict[str, float | str]:
    """Round a circle of latitude an arrow turns by 2π(1 − cos θ), up to errors that fall with this power of the chords.

    Args:
        carry: ``carry(curve, v)`` → the tangent vector v (3,) carried along a curve (m, 3) of the sphere, at its end;
            the package's transport if not given.
    """
    seed, carry = runtime.fresh_seed(), carry or (lambda curve, v: Sphere().transport(curve, v)[-1])
    theta = 0.6 + float(angles(1, seed=seed)) / 10
    few, many = (surfaces.missed(carry, theta, chords) for chords in (64, 256))
    return {"value": math.log(few / many, 4), "theta": theta, "error_64": few, "error_256": many, "seed": str(seed)}


@claim("gauge.holonomy_is_curvature", talk=BUNDLES, bound=at_most(1e-8))
def holonomy_is_curvature() -> dict[str, float | str]:
    """Round a loop an arrow turns by ∫K dA over its inside: deviation for a random loop on each of four surfaces.

    The angles of 20,000 and 10,000 chords, extrapolated; K from second derivatives, without frames.
    """
    seed, errors = runtime.fresh_seed(), {}
    for name, known in SURFACES.items():
        curve, inside = surfaces.loop(name, runtime.generator("loop", seed))
        fine, coarse = known.surface.holonomy(curve), known.surface.holonomy(curve[::2])
        errors[name.replace(" ", "_")] = abs((4 * fine - coarse) / 3 - inside)
    return {"value": max(errors.values()), **errors, "seed": str(seed)}


@claim("gauge.gauss_bonnet", talk=BUNDLES, bound=at_most(1e-10))
def gauss_bonnet() -> dict[str, float]:
    """All curvature together is 2πχ with Euler's characteristic: ∫K dA, less 0 for a torus and 4π for an ellipsoid."""
    ring = integrate(SURFACES["torus"].surface.curvature, surfaces.of_torus, (0, 0), (TAU, TAU), 80)
    half_axes = torch.tensor([1.0, 1.3, 0.7], dtype=torch.float64)

    def chart(u: Tensor) -> Tensor:
        s = u[..., 0].sin()
        return half_axes * torch.stack([s * u[..., 1].cos(), s * u[..., 1].sin(), u[..., 0].cos()], -1)

    whole = integrate(SURFACES["ellipsoid"].surface.curvature, chart, (0, 0), (math.pi, TAU), 80)
    return {"value": max(abs(ring), abs(whole - 2 * TAU)), "torus": ring, "ellipsoid": whole}


@claim("gauge.geodesics_keep_their_energy", talk=CONVOLUTION, bound=at_most(1e-5))
def geodesics_keep_their_energy() -> dict[str, float | str]:
    """Geodesics keep energy, the surface and, on the torus, Clairaut's product; they carry frames parallel: error.

    Ten Runge–Kutta steps for a length of 0.5; ``carried`` is by transport, from normal to normal, in 400.
    """
    seed, errors = runtime.fresh_seed(), {}
    for name, known in SURFACES.items():
        level = Surface(known.surface.F)  # the sphere too by its equation, not in closed form
        x = known.points(100, runtime.generator("points", seed))
        X = 0.5 * level.frame(x, angles(100, seed=seed))[:, 0]
        q, v = level.geodesic(x, X, steps=10)
        energy, off = (v.norm(dim=-1) / 0.5) ** 2 - 1, q - level.project(q)
        errors[name.replace(" ", "_")] = max(float(energy.abs().max()), float(off.abs().max()))
        errors["carried"] = max(errors.get("carried", 0.0), surfaces.carried_apart(known.surface, x[:1], X[:1]))
        if name == "torus":  # Clairaut: the motion about the axis is kept
            about = q[..., 0] * v[..., 1] - q[..., 1] * v[..., 0]
            errors["clairaut"] = float((about - about[0]).abs().max())
    return {"value": max(errors.values()), **errors, "seed": str(seed)}


@claim("gauge.density_is_the_area", talk=CONVOLUTION, bound=at_most(1e-6))
def density_is_the_area() -> dict[str, float | str]:
    """√det g by Jacobi's equation is sin r/r on the sphere, and on others the area that exp makes of a small square.

    The square has sides of 2·10⁻⁴, at random vectors of length 0.5; forty Runge–Kutta steps.
    """
    seed, errors = runtime.fresh_seed(), {}
    for name, known in SURFACES.items():
        level = Surface(known.surface.F)
        x = known.points(10, runtime.generator("points", seed))
        X = 0.5 * level.frame(x, angles(10, seed=seed))[:, 0]
        expected = math.sin(0.5) / 0.5 if name == "sphere" else surfaces.area_of_a_square(level, x, X)
        errors[name.replace(" ", "_")] = float((level.exp(x, X, steps=40).sqrt_det - expected).abs().max())
    return {"value": max(errors.values()), **errors, "seed": str(seed)}


# The convolution


@claim("gauge.convolution_is_funk_and_hecke", talk=CONVOLUTION, bound=at_most(1e-9))
def convolution_is_funk_and_hecke() -> dict[str, float | str]:
    """On the sphere the convolution multiplies harmonics and their gradients by the numbers of Funk and Hecke.

    Deviation for spins 0, 1 → 0, 1 and degrees 1 to 4, relative; an integral over r alone replaces exp, transport
    and √det g.
    """
    seed, radius, worst = runtime.fresh_seed(), 0.6, 0.0
    a = torch.nn.functional.normalize(normal(3, seed=seed), dim=0)
    x = SURFACES["sphere"].points(8, runtime.generator("points", seed))
    discs = Stencil(Sphere(), x, radius=radius, radial=16, rays=24)
    for n, m in product((0, 1), (0, 1)):
        conv = surfaces.one_ring(n, m)
        for degree in range(1, 5):
            harmonic = surfaces.zonal(a, degree)
            found = conv(discs, discs.sample(harmonic)[..., [n]])[:, 0]
            expected = surfaces.multiplier(degree, (n, m), radius) * harmonic(x, discs.frame)[..., m]
            worst = max(worst, float((found - expected).abs().max() / expected.abs().max()))
    return {"value": worst, "seed": str(seed)}


def _frames(seed: int, which: Literal["input", "output", "both"], conv: nn.Module, discs: Stencil) -> float:
    return gauge_error(conv, discs, field(seed), which, runtime.generator("frames", seed))


@claim("gauge.input_frames_are_not_seen", talk=CONVOLUTION, bound=at_most(1e-14))
def input_frames_are_not_seen() -> dict[str, float | str]:
    """Other frames at every sampled point, at random: change of the result on four surfaces, relative.

    ``single`` is the largest in float32.
    """

    def error(name: str, seed: int, dtype: torch.dtype = torch.float64) -> float:
        return _frames(seed, "input", layer(seed).to(dtype), stencil(name, seed, dtype=dtype))

    errors, seed = surfaces.on_each(error)
    single = max(error(name, seed, torch.float32) for name in SURFACES)
    value = max(errors.values()) if single < 1e-6 else math.inf
    return {"value": value, **errors, "single": single, "seed": str(seed)}


@claim("gauge.output_frames_are_not_seen", talk=CONVOLUTION, bound=at_most(1e-9))
def output_frames_are_not_seen() -> dict[str, float | str]:
    """The frame at x turned at random: relative change of the result, radius 0.45, 6 × 24 nodes, four surfaces."""
    errors, seed = surfaces.on_each(
        lambda at, seed: _frames(seed, "output", layer(seed), stencil(at, seed, radius=0.45))
    )
    return {"value": max(errors.values()), **errors, "seed": str(seed)}


@claim("gauge.rotations_commute", talk=CONVOLUTION, bound=at_most(1e-12))
def rotations_commute() -> dict[str, float | str]:
    """On the sphere, turning a field and then convolving is convolving and then turning: error for a random rotation.

    At 8 × 24 nodes; chapter 08's symmetry comes for free.
    """
    seed = runtime.fresh_seed()
    discs = stencil("sphere", seed, radial=8)
    error = isometry_error(layer(seed), discs, field(seed), surfaces.rotation(seed))
    return {"value": error, "seed": str(seed)}


@claim("gauge.isometries_commute", talk=CONVOLUTION, bound=at_most(1e-12))
def isometries_commute() -> dict[str, float | str]:
    """Surfaces with fewer motions keep those: error for the torus about its axis, for half turns of the other two."""
    errors, seed = surfaces.on_each(
        lambda name, seed: isometry_error(
            layer(seed), stencil(name, seed, radial=8), field(seed), SURFACES[name].symmetry
        )
    )
    return {"value": max(errors.values()), **errors, "seed": str(seed)}


# Kernels


@claim("gauge.kernel_constraint", talk=CONVOLUTION, bound=at_most(1e-13))
def kernel_constraint() -> dict[str, float | str]:
    """Kernels of the layer satisfy κ(kX) = η(k) κ(X) ρ(k)⁻¹: residual, read off in the plane, relative.

    For spins up to 2, n ≠ m. It is the talk's line with k ▷ X the change of components by a turn of the frame.
    ``with_X_turned``, k ▷ X the turned vector, is the smallest residual of that reading, and ``its_solutions`` the
    change of a result, by other frames, with kernels that do solve it.
    """
    seed = runtime.fresh_seed()
    pairs = [(n, m) for n, m in product(range(3), range(3)) if n != m]
    ours, literal = (
        [surfaces.residual(layer(seed, ins=[n], outs=[m]), sign * (m - n)) for n, m in pairs] for sign in (1, -1)
    )
    wrong = layer(seed, frequency=lambda m, n: n - m)
    seen = min(_frames(seed, "output", wrong, stencil(name, seed)) for name in SURFACES)
    value = max(ours) if min(*literal, seen) >= 0.5 else math.inf
    return {"value": value, "with_X_turned": min(literal), "its_solutions": seen, "seed": str(seed)}


@claim("gauge.all_kernels", talk=CONVOLUTION, bound=at_most(0))
def all_kernels() -> dict[str, int]:
    """R(r) exp(i(m−n)θ) are all the kernels: by null space, by characters, and as weights of the layer, they differ by.

    At one radius, for spins 0 to 3. Over ℂ there is one between complex fields; over ℝ there are, between real ones,
    ``real_from_1_to_2`` and so on, of frequencies m − n and m + n.
    """
    worst, found = 0, {}
    kinds: tuple[Field, ...] = ("complex", "real")
    for kind, n, m in product(kinds, range(4), range(4)):
        space, expected = kernel_space(n, m, field=kind), surfaces.kernels_by_characters(n, m, kind)
        weights = count_parameters(GaugeConv([n], [m], rings=1, field=kind))
        differs = abs(space.dimension - expected), abs(weights - expected * (2 if kind == "complex" else 1))
        worst = max(worst, *differs, int(space.singular_values[space.dimension] < 0.1))
        found[f"{kind}_from_{n}_to_{m}"] = space.dimension
    shown = ("complex_from_1_to_2", "real_from_0_to_0", "real_from_0_to_1", "real_from_1_to_2")
    return {"value": worst, **{key: found[key] for key in shown}}


# What breaks it


@claim("gauge.controls_see_frames", talk=CONVOLUTION, bound=at_least(0.5))
def controls_see_frames() -> dict[str, float | str]:
    """Without transport the frames at sampled points are seen, with spins off by one the frame at x: smallest change.

    Over four surfaces; ``without_transport``, and ``off_by_one``, with kernels of the frequency m − n + 1.
    """
    seed, off = runtime.fresh_seed(), {}
    discs = [stencil(name, seed) for name in SURFACES]
    off["without_transport"] = min(_frames(seed, "input", layer(seed), d.retake(transport=False)) for d in discs)
    one_more = layer(seed, frequency=lambda m, n: m - n + 1)
    off["off_by_one"] = min(_frames(seed, "output", one_more, d) for d in discs)
    return {"value": min(off.values()), **off, "seed": str(seed)}


@claim("gauge.gates_see_no_frames", talk=BUNDLES, bound=at_most(1e-14))
def gates_see_no_frames() -> dict[str, float | str]:
    """A gate by the norm commutes with a change of frames: error for spins 0 to 3.

    ``relu`` is that of ReLU on real and imaginary part, the line one writes without thinking.
    """
    seed, spins, gate = runtime.fresh_seed(), torch.arange(4), NormGate([0, 1, 2, 3]).double().requires_grad_(False)
    c, g = torch.complex(*normal(2, 50, 4, seed=seed)), angles(50, 1, seed=seed)
    ours, relu = (
        float((f(act(spins, -g, c)) - act(spins, -g, f(c))).abs().max() / f(c).abs().max())
        for f in (gate, surfaces.pointwise)
    )
    return {"value": ours if relu > 0.3 else math.inf, "relu": relu, "seed": str(seed)}


# Fields on points


@claim("gauge.points_see_no_frames", talk=CONVOLUTION, bound=at_most(1e-13))
def points_see_no_frames() -> dict[str, float | str]:
    """Two layers with gates, on points scattered at random, see no frames: change of the result, relative.

    On the sphere and the bumpy ball, 150 points; ``relu`` is the same network with ReLU on components.
    """
    seed = runtime.fresh_seed()
    discs = [surfaces.scattered(SURFACES[name].surface, 150, seed) for name in ("sphere", "bumpy ball")]
    ours, relu = (
        max(_frames(seed, "both", surfaces.PointNetwork(seed, between), points) for points in discs)
        for between in (None, surfaces.pointwise)
    )
    return {"value": ours if relu > 0.05 else math.inf, "relu": relu, "seed": str(seed)}


@claim("gauge.rotations_are_as_good_as_the_points", talk=CONVOLUTION, bound=at_most(0.5))
def rotations_are_as_good_as_the_points() -> dict[str, float | str]:
    """The distance to the integral, which commutes with rotations: at 1,600 points over that at 400."""
    seed = runtime.fresh_seed()
    errors = {n: surfaces.distance_to_the_integral(n, seed) for n in (400, 1600)}
    return {"value": errors[1600] / errors[400], "at_400": errors[400], "at_1600": errors[1600], "seed": str(seed)}


# Möbius strip and winds


@claim("gauge.moebius_layer_is_exact", talk=BUNDLES, bound=at_most(1e-12))
def moebius_layer_is_exact() -> dict[str, float | str]:
    """On the Möbius strip, columns turned over and a field moved along commute with the layer, for all pairs of fields.

    Largest deviation; ``old_links`` leaves the links as they were, the smallest deviation.
    """
    seed = runtime.fresh_seed()
    worst, forgotten = strips.deviation(seed)
    return {"value": worst if forgotten > 0.1 else math.inf, "old_links": forgotten, "seed": str(seed)}


@claim("gauge.moebius_digits", talk=BUNDLES, bound=at_most(0.1), needs="laptop")
def moebius_digits(*, read: strips.Read | None = None) -> dict[str, float]:
    """A gauge-equivariant network trained on digits in the middle of the strip reads moved ones: share of errors.

    ``differs`` by how much that in the middle is another, which it must not be.
    """
    read = read or strips.read_strips("regular")
    differs = abs(read.moved - read.centred)
    return {"value": read.moved if differs < 0.005 else math.inf, "centred": read.centred, "differs": differs}


@claim("gauge.moebius_plain_network", talk=BUNDLES, bound=at_least(0.25), needs="laptop")
def moebius_plain_network(*, read: strips.Read | None = None) -> dict[str, float]:
    """An ordinary network with as many parameters does not, after the same training: share of errors on moved ones."""
    read = read or strips.read_strips("plain")
    return {"value": read.moved, "centred": read.centred}


@claim("gauge.winds_are_found", talk=CONVOLUTION, bound=at_most(0.85), needs="laptop")
def winds_are_found(*, learnt: dict[str, strips.Learnt] | None = None) -> dict[str, float]:
    """Four examples teach a gauge network to find winds: its error over that of the better of two others."""
    errors = {name.replace(" ", "_"): one.error for name, one in (learnt or strips.wind_networks()).items()}
    return {"value": errors["gauge"] / min(errors["without_transport"], errors["coordinates"]), **errors}


@claim("gauge.winds_turn_along", talk=CONVOLUTION, bound=at_most(1e-4), needs="laptop")
def winds_turn_along(*, learnt: dict[str, strips.Learnt] | None = None) -> dict[str, float]:
    """It sees the oriented surface alone: change of its answers, relative, when the ball is turned with all on it.

    And has other frames at random; ``coordinates`` is that of the network that sees ℝ³.
    """
    learnt = learnt or strips.wind_networks()
    return {"value": learnt["gauge"].change, "coordinates": learnt["coordinates"].change}

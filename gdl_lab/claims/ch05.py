"""Claims of chapter 05: the step in Z, the metric in normal coordinates, its limit of thin data, its spectrum."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.func import jacrev, jvp, vmap

from gdl_lab import runtime
from gdl_lab.claims.exponents import exponent
from gdl_lab.claims.ledger import at_least, at_most, claim, reported, within
from gdl_lab.claims.specimens import by_autograd, kinds, normal, randomised
from gdl_lab.claims.spectra import count, of_one_digit, off_the_floor, on_the_bridge, on_the_helix
from gdl_lab.claims.tubes import (
    across_the_arc,
    bend,
    curvature,
    ideal,
    landscape,
    length,
    pulled_back_metric,
    round_sphere,
    stored,
    stored_arcs,
    twisted,
)  # fmt: skip
from gdl_lab.flows import Flow, RealNVP
from gdl_lab.manifold import Arc, Helix
from gdl_lab.metric import apply_inverse_metric, inverse_metric, jacobian, normal_tangent, step_remainder

__all__ = [
    "conormals_measure_distance", "divergence_is_not_enough", "helix_has_a_needle", "metric_is_block_diagonal",
    "metric_is_flat", "metric_is_the_pull_back", "moons_have_a_bridge", "noise_makes_the_floor",
    "normal_part_vanishes", "spectrum_drops", "step_follows_the_data", "step_is_second_order",
    "straight_lines_are_geodesics", "tangential_part_stays", "training_is_needed", "volume_shrinks_like_the_tube",
]  # fmt: skip

ASCENT, TUBE, NORMAL = "gradient-ascent", "data-coordinates", "ascent-in-normal-coordinates"
TRAINED, SPECTRUM = "induced-metric", "jacobian-spectrum"


@claim("metric.is_the_pull_back", talk=ASCENT, bound=at_most(1e-8))
def metric_is_the_pull_back() -> dict[str, float | str]:
    """The inverse of JJᵀ is the metric that g⁻¹ pulls back from Z: largest entry of (∂z/∂x)ᵀ(∂z/∂x) JJᵀ − 1.

    For each kind of flow, with random weights; ∂z/∂x by autograd of the inverse flow. ``matrix_free`` is the largest
    difference of γ⁻¹v by one backward and one forward derivative from that by matrices, and ``transposed`` the smallest
    deviation with JᵀJ.
    """
    seed = runtime.fresh_seed()
    worst, free, transposed = {}, 0.0, math.inf
    for name, flow in kinds(seed).items():
        z = normal(4, flow.dim, seed)
        gamma, J = vmap(pulled_back_metric(flow))(flow.push(z).detach().flatten(1)).detach(), by_autograd(flow, z)
        one = torch.eye(flow.dim, dtype=z.dtype)
        worst[name] = float((gamma @ inverse_metric(flow, z) - one).abs().max())
        transposed = min(transposed, float((gamma @ (J.mT @ J) - one).abs().max()))
        v = normal(4, flow.dim, seed + 1)
        given = apply_inverse_metric(flow, z, v.view(4, *flow.shape)).flatten(1)
        free = max(free, float((given - (J @ (J.mT @ v[:, :, None]))[:, :, 0]).abs().max()))
    return {
        "value": max(*worst.values(), free),
        **worst,
        "matrix_free": free,
        "transposed": transposed,
        "seed": str(seed),
    }


@claim("metric.step_is_second_order", talk=ASCENT, bound=within(2, 0.02))
def step_is_second_order(*, flow: Flow | None = None, x: Tensor | None = None) -> dict[str, float | str]:
    """A gradient step in Z is the step λγ⁻¹∂f in X up to O(λ²): the fitted exponent of λ in what is left over.

    Fitted at each point, in double precision, λ = 10⁻³ to 10⁻⁵; the median over points. ``coefficient`` is the relative
    deviation of the remainder over λ² from |½ D²g(w, w)|, w = ∂(f∘g)/∂z, by two forward derivatives;
    ``without_metric`` is the exponent with λ∂f in place of λγ⁻¹∂f.

    Args:
        flow, x: a flow and points where it is tried, ``(n, D)``; random ones if not given.
    """
    seed = runtime.fresh_seed()
    flow = kinds(seed)["affine in the plane"] if flow is None else copy.deepcopy(flow).double()
    with torch.no_grad():
        z = normal(100, flow.dim, seed) if x is None else flow.pull(x.double())
        x = flow.push(z)
    lams = (1e-3, 1e-4, 1e-5)
    left = step_remainder(flow, landscape, z, lams)
    w = vmap(jacrev(lambda one: landscape(flow.push(one[None]))[0]))(z).detach()
    df = vmap(jacrev(lambda one: landscape(one[None])[0]))(x)

    def along(z: Tensor) -> Tensor:
        return jvp(flow.push, (z,), (w,))[1]

    second = jvp(along, (z,), (w,))[1].detach().norm(dim=1) / 2
    with torch.no_grad():
        plain = torch.stack([(flow.push(z + lam * w) - x - lam * df).norm(dim=1) for lam in lams])

    def order(rest: Tensor) -> float:
        # point by point: the median of remainders may be one point's at one λ and another's at the next
        return float(torch.tensor([exponent(dict(zip(lams, one, strict=True))) for one in rest.T.tolist()]).median())

    return {
        "value": order(left),
        "coefficient": float((left[-1] / lams[-1] ** 2 / second - 1).abs().median()),
        "without_metric": order(plain),
        "seed": str(seed),
    }


@claim("metric.is_flat", talk=ASCENT, bound=at_most(1e-8))
def metric_is_flat() -> dict[str, float | str]:
    """The induced metric is flat: the largest entry of Riemann's tensor, over the largest of the terms that cancel.

    From γ and its derivatives alone, at three points for each flow on the plane with random weights. ``sphere`` is the
    Gaussian curvature that the same formula finds for the round sphere of radius 1.
    """
    seed = runtime.fresh_seed()
    worst = {}
    for name, flow in kinds(seed).items():
        if flow.shape == (2,):
            pairs = [curvature(pulled_back_metric(flow), x) for x in flow.push(normal(3, 2, seed)).detach()]
            worst[name] = max(float((riemann.abs().max() / terms).detach()) for riemann, terms in pairs)
    x = normal(1, 2, seed)[0]
    riemann, _ = curvature(round_sphere, x)
    gauss = (round_sphere(x)[0] @ riemann[:, 1, 0, 1]) / torch.linalg.det(round_sphere(x))
    return {"value": max(worst.values()), **worst, "sphere": float(gauss), "seed": str(seed)}


@claim("metric.straight_lines_are_geodesics", talk=ASCENT, bound=at_most(1e-8))
def straight_lines_are_geodesics() -> dict[str, float | str]:
    """Straight lines of Z are geodesics of X: |ẍ + Γẋẋ| over |Γẋẋ|, for g along straight lines, with Γ from γ alone.

    For each flow on the plane with random weights. ``straight_in_x`` is the smallest such ratio of a straight line of
    X, for which ẍ = 0, and ``longer`` its length in the metric over that of the geodesic, the largest.
    """
    seed = runtime.fresh_seed()
    worst, control, longer = {}, math.inf, 1.0
    for name, flow in kinds(seed).items():
        if flow.shape != (2,):
            continue
        start, w = normal(2, 2, seed)
        ends = flow.push(torch.stack([start, start + w])).detach()

        def in_z(s: Tensor, flow: Flow = flow, start: Tensor = start, w: Tensor = w) -> Tensor:
            return flow.push((start + s * w)[None])[0]

        def in_x(s: Tensor, ends: Tensor = ends) -> Tensor:
            return ends[0] + s * (ends[1] - ends[0])

        worst[name] = bend(pulled_back_metric(flow), in_z)
        control = min(control, bend(pulled_back_metric(flow), in_x))
        longer = max(longer, length(pulled_back_metric(flow), in_x) / float(w.norm()))
        worst[f"length, {name}"] = abs(length(pulled_back_metric(flow), in_z) / float(w.norm()) - 1)
    return {"value": max(worst.values()), **worst, "straight_in_x": control, "longer": longer, "seed": str(seed)}


@claim("metric.conormals_measure_distance", talk=TUBE, bound=at_most(1e-4))
def conormals_measure_distance(*, step: float = 3e-8) -> dict[str, float | str]:
    """The coordinate y_⊥ is the distance to the manifold: along n it grows at the rate 1, for any flow.

    Largest deviation, a small step away from points of the arc and of the helix, for flows with random weights.
    ``unit_vectors`` is the smallest rate when n has Euclidean length 1 instead.

    Args:
        step: Euclidean length of the step. Where n leans, most of it goes along a curve that bends, which is of second
            order; so it is as short as rounding allows.
    """
    seed = runtime.fresh_seed()
    worst, slowest = {}, math.inf
    curves: list[tuple[str, Arc | Helix]] = [("arc", Arc()), ("helix", Helix())]
    for name, curve in curves:
        t = 4 * torch.rand(50, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) - 2
        x = curve.place(t)
        flow = randomised(RealNVP(x.shape[1], 4, (16,)), seed)
        n = normal_tangent(inverse_metric(flow, flow.pull(x).detach()), curve.tangent(t)).frame[:, :, 1:]
        for k in range(n.shape[2]):
            lean = n[:, :, k].norm(dim=1)
            slope = curve.distance(x + step * n[:, :, k] / lean[:, None]) / step  # along n as a unit vector
            worst[f"{name}_{k + 1}"] = float((slope * lean - 1).abs().max())
            slowest = min(slowest, float(slope.min()))
    return {"value": max(worst.values()), **worst, "unit_vectors": slowest, "seed": str(seed)}


@claim("metric.is_block_diagonal", talk=NORMAL, bound=at_most(1e-8))
def metric_is_block_diagonal() -> dict[str, float | str]:
    """With n orthogonal in γ, the metric has the talk's block form, the step is the talk's sum of two, and det γ⁻¹ is
    det γ_D⁻¹ times the γ_⊥⁻¹: largest relative deviation.

    For flows with random weights in 6 dimensions and a tangent plane; γ by autograd of the inverse flow.
    ``euclidean_normals`` is the deviation from the block form when the n_i are the Euclidean normals.
    """
    seed = runtime.fresh_seed()
    # a random square matrix may be nearly singular, and γ would be so twice over: fixed widths along random axes
    axes = torch.linalg.qr(normal(6, 6, seed + 1)).Q
    points = normal(60, 6, seed) * torch.linspace(0.3, 3, 6, dtype=torch.float64) @ axes
    flow = randomised(RealNVP(6, 4, (8,)).double().fit_whitening(points), seed)
    z, T = normal(8, 6, seed), torch.linalg.qr(normal(16, 6, seed).view(8, 6, 2)).Q
    x, gamma_inv = flow.push(z).detach(), inverse_metric(flow, z)
    gamma = vmap(pulled_back_metric(flow))(x).detach()
    tangent, across, E = normal_tangent(gamma_inv, T)
    blocks = torch.diag_embed(torch.cat([torch.ones(8, 2, dtype=z.dtype), 1 / across], 1))
    blocks[:, :2, :2] = torch.linalg.inv(tangent)
    df = vmap(jacrev(lambda one: landscape(one[None])[0]))(x)
    dy = (E.mT @ df[:, :, None])[:, :, 0]  # ∂f/∂y by the chain rule
    along = E[:, :, :2] @ (tangent @ dy[:, :2, None])
    off = E[:, :, 2:] @ (across * dy[:, 2:])[:, :, None]
    parts = {
        "blocks": _relative(E.mT @ gamma @ E, blocks),
        "step": _relative(along + off, torch.linalg.solve(gamma, df[:, :, None])),
        "volume": _relative((tangent.det() * across.prod(1))[:, None], jacobian(flow, z).det().square()[:, None]),
    }
    complete = torch.linalg.qr(T, mode="complete").Q
    mixed = complete.mT @ gamma @ complete
    return {
        "value": max(parts.values()),
        **parts,
        "euclidean_normals": float(mixed[:, :2, 2:].abs().max() / mixed.abs().max()),
        "seed": str(seed),
    }


@claim("metric.step_follows_the_data", talk=NORMAL, bound=at_most(3))
def step_follows_the_data(*, flows: Mapping[float, Flow] | None = None) -> dict[str, float | str]:
    """The step in Z points along thin data: degrees between the arc and γ⁻¹∂f at the smallest δ, median over data.

    ``gradient`` is that of ∂f; ``sideways`` the exponent of δ in |νᵀγ⁻¹∂f|, what of the step leaves the arc.

    Args:
        flows: thickness → a flow trained on the arc; the checkpoints if not given.
    """
    measured = {delta: across_the_arc(flow, delta) for delta, flow in (flows or stored_arcs()).items()}
    thin, sideways = measured[min(measured)], {delta: m.sideways for delta, m in measured.items()}
    return {"value": thin.step, "gradient": thin.gradient, "sideways": exponent(sideways)}


@claim("metric.normal_part_vanishes", talk=TRAINED, bound=within(2, 0.1))
def normal_part_vanishes(*, flows: Mapping[float, Flow] | None = None) -> dict[str, float | str]:
    """For well-trained flows γ_⊥⁻¹ → 0 as δ → 0: the fitted exponent of δ.

    Medians over points of the arc. ``divergence`` is the largest KL(p‖q) among the flows; ``unit_vectors`` is the
    exponent of 1/(nᵀγn) for n of Euclidean length 1.

    Args:
        flows: as for `step_follows_the_data`.
    """
    measured = {delta: across_the_arc(flow, delta) for delta, flow in (flows or stored_arcs()).items()}
    return {
        "value": exponent({delta: m.normal for delta, m in measured.items()}),
        "divergence": max(m.divergence for m in measured.values()),
        "unit_vectors": exponent({delta: m.unit for delta, m in measured.items()}),
    }


@claim("metric.tangential_part_stays", talk=TRAINED, bound=within(0, 0.2))
def tangential_part_stays(*, flows: Mapping[float, Flow] | None = None) -> dict[str, float | str]:
    """Along the data γ_D⁻¹ = O(1): the fitted exponent of δ.

    Medians over points of the arc. ``smallest`` and ``largest`` of them; ``perfect`` is that of the flow with KL = 0 in
    closed form.

    Args:
        flows: as for `step_follows_the_data`.
    """
    measured = {delta: across_the_arc(flow, delta).tangent for delta, flow in (flows or stored_arcs()).items()}
    return {
        "value": exponent(measured),
        "smallest": min(measured.values()),
        "largest": max(measured.values()),
        "perfect": across_the_arc(ideal(min(measured)), min(measured)).tangent,
    }


@claim("metric.volume_shrinks_like_the_tube", talk=TRAINED, bound=within(1, 0.05))
def volume_shrinks_like_the_tube(*, flows: Mapping[float, Flow] | None = None) -> dict[str, float | str]:
    """What the divergence does bound is the volume: exp E log|det ∂x/∂z| falls like δ to the codimension, here 1.

    The fitted exponent; ``room`` is the smallest distance to the theorem's bound, in nats.

    Args:
        flows: as for `step_follows_the_data`.
    """
    measured = {delta: across_the_arc(flow, delta) for delta, flow in (flows or stored_arcs()).items()}
    tube = math.log(1.5 * math.pi) + 0.5 * math.log(2 * math.pi * math.e) - math.log(2 * math.pi)
    room = min(math.log(delta) + tube + m.divergence - m.volume for delta, m in measured.items())
    return {"value": exponent({delta: math.exp(m.volume) for delta, m in measured.items()}), "room": room}


@claim("metric.divergence_is_not_enough", talk=TRAINED, bound=within(0, 0.1))
def divergence_is_not_enough(*, shear: float = 1.0) -> dict[str, float | str]:
    """KL = 0 does not make γ_⊥⁻¹ small: a flow with the density of the arc, twisted in Z, has the exponent 0 of δ.

    The twist rotates z by |z|²/2δ and keeps the normal density. ``divergence`` is the largest |KL(p‖q)|,
    ``tangential`` the exponent of γ_D⁻¹, ``lean`` that of |∂x/∂y_⊥|, ``untwisted`` that of γ_⊥⁻¹ without the twist.

    Args:
        shear: times 1/δ is the rate of the twist.
    """
    deltas = (0.1, 0.03, 0.01, 0.003)
    measured = {delta: across_the_arc(twisted(ideal(delta), shear / delta), delta) for delta in deltas}
    plain = {delta: across_the_arc(ideal(delta), delta).normal for delta in deltas}
    return {
        "value": exponent({delta: m.normal for delta, m in measured.items()}),
        "divergence": max(abs(m.divergence) for m in measured.values()),
        "tangential": exponent({delta: m.tangent for delta, m in measured.items()}),
        "lean": exponent({delta: m.lean for delta, m in measured.items()}),
        "untwisted": exponent(plain),
    }


@claim("metric.training_is_needed", talk=TRAINED, bound=at_least(10))
def training_is_needed(*, short: Flow | None = None, trained: Flow | None = None) -> dict[str, float | str]:
    """Where KL(p‖q) is not small, γ_⊥⁻¹ is not either: that of an under-trained flow over that of a trained one.

    On the arc with δ = 0.03; the degrees are those between γ⁻¹∂f and the arc.

    Args:
        short, trained: the checkpoints if not given.
    """
    few, many = (
        across_the_arc(flow or stored(name), 0.03) for flow, name in ((short, "arc-short"), (trained, "arc-0.03"))
    )
    return {
        "value": few.normal / many.normal,
        "divergence": few.divergence,
        "trained_divergence": many.divergence,
        "step": few.step,
        "trained_step": many.step,
    }


@claim("metric.helix_has_a_needle", talk=TRAINED, bound=at_least(100))
def helix_has_a_needle(*, flow: Flow | None = None, delta: float = 0.0, n: int = 500) -> dict[str, float | str]:
    """On the talk's helix the metric is a needle along the curve: the median of s₁/s₂ of ∂x/∂z.

    ``aligned`` is the median of |cos| between the needle and the helix; the rest are medians of singular values.

    Args:
        flow: trained on the helix; the checkpoint for this thickness if not given.
        delta: thickness; the talk's is 0, where data have no density and KL(p‖q) is infinite for every flow.
        n: data points.
    """
    return on_the_helix(flow or stored(f"helix-{delta:g}"), delta, n)


@claim("metric.moons_have_a_bridge", talk=TRAINED, bound=reported())
def moons_have_a_bridge(*, flow: Flow | None = None, delta: float = 0.05, n: int = 5000) -> dict[str, float | str]:
    """Between two moons a diffeomorphism needs a bridge, and stretches more: s₁ of samples there over s₁ of data.

    Medians; ``share`` of the samples are on the bridge, further than 5 δ from both moons.

    Args:
        flow: trained on the moons; the checkpoint if not given.
        delta: thickness.
        n: samples and data points.
    """
    return on_the_bridge(flow or stored("moons"), delta, n)


@claim("metric.spectrum_drops", talk=SPECTRUM, bound=at_least(50))
def spectrum_drops(*, s: Tensor | None = None, bits: int = 4) -> dict[str, float | str]:
    """The Jacobian of a flow of digits has few large singular values: the first over the middle one.

    ``above`` counts those above twice the standard deviation 2⁻ᵇ/√12 of the dequantization noise, ``ninety`` and
    ``ninety_five`` the directions with 90 and 95 % of Σs².

    Args:
        s: singular values, descending, ``(pictures, D)``; those of the checkpoint at one digit if not given.
        bits: of the dequantization.
    """
    return count(of_one_digit(bits) if s is None else s, bits)


@claim("metric.noise_makes_the_floor", talk=SPECTRUM, bound=at_most(0.25))
def noise_makes_the_floor(*, s: Tensor | None = None, bits: int = 4) -> dict[str, float | str]:
    """The smaller half of the spectrum is that of the dequantization noise, wφ(z) with w = 2⁻ᵇ and no free parameter:
    median relative deviation.

    ``middle`` is the middle singular value over the noise's standard deviation, ``one_bit_more`` the deviation from
    noise of half the width.

    Args:
        s, bits: as for `spectrum_drops`.
    """
    return off_the_floor(of_one_digit(bits) if s is None else s, bits)


def _relative(given: Tensor, wanted: Tensor) -> float:
    return float(((given - wanted).flatten(1).abs().amax(1) / wanted.flatten(1).abs().amax(1)).max())

"""Claims of chapter 10: gauge transformations, loops, chains and freezing, networks on links, flows, Chern numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor

from gdl_lab import lattice, recipes, runtime
from gdl_lab.claims import fields, links
from gdl_lab.claims.ledger import at_least, at_most, claim, reported
from gdl_lab.flows import Flow
from gdl_lab.lattice import Estimate, Score

__all__ = [
    "all_charges_are_whole", "chains_meet_the_exact_plaquette", "chern_numbers_are_degrees", "chern_transfers",
    "exact_values_are_integrals", "flow_at_beta_3", "flow_is_equivariant", "flow_is_worth_its_samples",
    "flow_knows_its_density", "flow_meets_the_exact_values", "frozen_chains_err", "heat_bath_meets_the_exact_plaquette",
    "layers_are_covariant", "links_turn_and_traces_stay", "loops_are_learned", "mistakes_break_it",
    "phi4_meets_its_log_z", "plaquettes_fill_loops", "topology_freezes", "tree_has_its_share",
    "two_plaquettes_make_a_loop",
]  # fmt: skip

LATTICE, SIZE = "lattice-gauge-theory", 8
BETAS = (1.0, 2.0, 3.0)


def _largest(t: Tensor) -> float:
    return float(t.detach().abs().max())


def _sigmas(estimate: Estimate, exact: float) -> float:
    return abs(estimate.mean - exact) / estimate.error


# Links and loops


@claim("lattice.links_turn_and_traces_stay", talk=LATTICE, bound=at_most(1e-13))
def links_turn_and_traces_stay() -> dict[str, float | str]:
    """Loops turn as Ω(x) W(x) Ω(x)† and their traces stay: the largest deviation, in U(1), SU(2), SU(3), D = 2, 3, 4.

    Of plaquettes, a 2×1 and a Polyakov loop, from products of the turned links one by one. ``single`` is that of
    float32; a link, which is no loop, changes its trace by ``links`` at least.
    """
    seed, open_line = runtime.fresh_seed(), math.inf
    worst = {torch.complex128: 0.0, torch.complex64: 0.0}
    for (group, sides), dtype in product(links.CASES, worst):
        U, omega = links.specimen(group, sides, seed, dtype)
        V = links.turned(U, omega)
        rectangle = [(0, 1), (0, 1), (1, 1), (0, -1), (0, -1), (1, -1)]
        for loop, steps in (
            (lattice.plaquettes(U)[:, :1], [(0, 1), (1, 1), (0, -1), (1, -1)]),
            (lattice.wilson_loop(U, 0, 1, 2, 1), rectangle),
            (lattice.polyakov_loop(U, 1), [(1, 1)] * sides[1]),
        ):
            after = links.at_sites(V, steps)
            errors = (
                _largest(links.turned_field(loop, omega) - after),
                _largest(lattice.trace(loop) - lattice.trace(after)),
            )
            worst[dtype] = max(worst[dtype], *errors, _largest(lattice.regauge(U, omega) - V))
        open_line = min(open_line, _largest(lattice.trace(V) - lattice.trace(U)))
    fails = worst[torch.complex64] > 1e-5 or open_line < 0.1
    value = math.inf if fails else worst[torch.complex128]
    return {"value": value, "single": worst[torch.complex64], "links": open_line, "seed": str(seed)}


@claim("lattice.plaquettes_fill_loops", talk=LATTICE, bound=at_most(1e-13))
def plaquettes_fill_loops() -> dict[str, float | str]:
    """Stokes' theorem for U(1): the angle of a 2×3 loop is the sum of the angles of the plaquettes inside, modulo 2π.

    The angles of the links are added up site by site. ``SU2`` is how far the product of the six plaquettes of SU(2), in
    the order of their sites, is from the loop.
    """
    seed = runtime.fresh_seed()
    steps, off = [(0, 1)] * 2 + [(1, 1)] * 3 + [(0, -1)] * 2 + [(1, -1)] * 3, {}
    for group in ("U(1)", "SU(2)"):
        U, _ = links.specimen(group, (5, 6), seed)
        inside, P = None, lattice.plaquettes(U)
        for i, j in product(range(2), range(3)):
            moved = lattice.shift(lattice.shift(P, 0, i), 1, j)
            inside = moved if inside is None else lattice.multiply(inside, moved)
        assert inside is not None
        off[group] = _largest(inside - links.at_sites(U, steps))
    return {"value": off["U(1)"] if off["SU(2)"] > 0.1 else math.inf, "SU2": off["SU(2)"], "seed": str(seed)}


@claim("lattice.all_charges_are_whole", talk=LATTICE, bound=at_most(1e-12))
def all_charges_are_whole() -> dict[str, float | str]:
    """The topological charge of U(1) links is a whole number, also of the roughest, and no gauge changes it: deviation.

    Where links grow so that every plaquette has the angle 2πq/V, it is q. ``unwrapped`` is what the sum gives at most
    if the plaquettes' angles are not brought to (−π, π].
    """
    seed = runtime.fresh_seed()
    U, omega = links.specimen("U(1)", (7, 5), seed)
    Q = lattice.topological_charge(U)
    worst = max(_largest(Q - Q.round()), _largest(Q - lattice.topological_charge(links.turned(U, omega))))
    for q in torch.randint(-8, 9, (5,), generator=runtime.generator("charges", seed)).tolist():
        worst = max(worst, abs(float(lattice.topological_charge(links.flux(6, q))) - q))
    along, across = U[..., 0, 0].angle().unbind(1)
    unwrapped = (along + across.roll(-1, 1) - along.roll(-1, 2) - across).sum((1, 2)) / (2 * math.pi)
    return {"value": worst, "unwrapped": _largest(unwrapped), "seed": str(seed)}


# Chains


@claim("lattice.exact_values_are_integrals", talk=LATTICE, bound=at_most(1e-10))
def exact_values_are_integrals() -> dict[str, float | str]:
    """On a torus log Z and ⟨cos P⟩ of U(1), by Bessel functions, are Fourier's integrals by quadrature: deviation.

    For a random β and volumes 4, 16 and 64; log Z is relative.
    """
    seed = runtime.fresh_seed()
    beta = 0.2 + 6 * float(torch.rand((), generator=runtime.generator("β", seed), dtype=torch.float64))
    errors = []
    for volume in (4, 16, 64):
        log_z = fields.log_z(beta, volume)
        errors += [abs(lattice.exact_log_z(beta, volume) / log_z - 1)]
        errors += [abs(lattice.exact_plaquette(beta, volume) - fields.cosine(beta, volume))]
    return {"value": max(errors), "beta": beta, "seed": str(seed)}


@claim("lattice.chains_meet_the_exact_plaquette", talk=LATTICE, bound=at_most(3))
def chains_meet_the_exact_plaquette(*, betas: Sequence[float] = BETAS) -> dict[str, float]:
    """⟨cos P⟩ of HMC at β = 1, 2, 3 on 8×8 sites against its exact value: the largest deviation in standard errors.

    Errors are from means over blocks of 30 trajectories. ``at_another_beta`` is the smallest deviation from values at
    β that are a tenth larger.
    """
    off, noticed = {}, math.inf
    for beta in betas:
        measured = lattice.blocked(fields.history(beta).cosine, 4)
        off[f"at_{beta:g}"] = _sigmas(measured, fields.cosine(beta, SIZE**2))
        noticed = min(noticed, _sigmas(measured, fields.cosine(1.1 * beta, SIZE**2)))
    return {"value": max(off.values()) if noticed > 3 else math.inf, **off, "at_another_beta": noticed}


@claim("lattice.heat_bath_meets_the_exact_plaquette", talk=LATTICE, bound=at_most(3))
def heat_bath_meets_the_exact_plaquette() -> dict[str, float]:
    """⟨Re tr P/N⟩ of the heat bath for U(1), SU(2) and SU(3) in two dimensions: the largest deviation, standard errors.

    From integrals over the angles of one plaquette, as good as free on 8×8 sites; ``at_another_beta`` as there.
    """
    exact: dict[str, tuple[float, Callable[[float], float]]] = {
        "U(1)": (2.0, lambda beta: fields.cosine(beta, SIZE**2)), "SU(2)": (2.0, fields.su2_plaquette),
        "SU(3)": (5.0, fields.su3_plaquette),
    }  # fmt: skip
    measured = {group: lattice.blocked(fields.sweeps(group, beta), 4) for group, (beta, _) in exact.items()}
    off, other = ({g: _sigmas(measured[g], f(k * beta)) for g, (beta, f) in exact.items()} for k in (1, 1.1))
    noticed = min(other.values())
    return {"value": max(off.values()) if noticed > 3 else math.inf, **off, "at_another_beta": noticed}


@claim("lattice.topology_freezes", talk=LATTICE, bound=at_most(0.05))
def topology_freezes() -> dict[str, float]:
    """HMC hardly tunnels at large β: changes of the charge per trajectory at β = 7, over those at β = 1.

    ``at_1`` and so on are the changes per trajectory.
    """
    rates = {f"at_{beta:g}": fields.history(beta).tunnelling for beta in (*BETAS, 5.0, 7.0)}
    falls = sorted(rates.values(), reverse=True) == list(rates.values())
    return {"value": rates["at_7"] / rates["at_1"] if falls else math.inf, **rates}


@claim("lattice.frozen_chains_err", talk=LATTICE, bound=at_least(3))
def frozen_chains_err() -> dict[str, float]:
    """Chains that freeze in a charge have a wrong ⟨cos P⟩ and too small an error bar: deviation at β = 7 in such bars.

    The bars are from blocks as at β = 1, 2, 3; ``by_chains`` is the deviation in those from the scatter of the chains.
    """
    cosine, exact = fields.history(7.0).cosine, fields.cosine(7.0, SIZE**2)
    measured, chains = lattice.blocked(cosine, 4), cosine.mean(0)
    by_chains = Estimate(float(chains.mean()), float(chains.std()) / math.sqrt(len(chains)))
    off = {"value": _sigmas(measured, exact), "by_chains": _sigmas(by_chains, exact)}
    return {**off, "measured": measured.mean, "exact": exact}


# Networks


@claim("lattice.layers_are_covariant", talk=LATTICE, bound=at_most(1e-13))
def layers_are_covariant() -> dict[str, float | str]:
    """A layer of L-CNN turns along with the gauge, and the network is invariant: relative deviation, D = 2, 3, 4.

    Of random weights, for U(1), SU(2) and SU(3), with links turned one by one. ``single`` is that of float32.
    """
    seed = runtime.fresh_seed()
    torch.manual_seed(seed)
    worst = {torch.complex128: 0.0, torch.complex64: 0.0}
    for (group, sides), dtype in product(links.CASES, worst):
        U, omega = links.specimen(group, sides, seed, dtype)
        V, planes = links.turned(U, omega), len(sides) * (len(sides) - 1) // 2
        layer = lattice.LatticeConv(planes, 2, len(sides)).to(U.real.dtype)
        network = lattice.LCNN(len(sides), (3,)).to(U.real.dtype)
        with torch.no_grad():
            covariant = links.covariance_error(layer(U, lattice.plaquettes(U)), layer(V, lattice.plaquettes(V)), omega)
            traces = network.features(U)
            invariant = float((network.features(V) - traces).norm() / traces.norm())
        worst[dtype] = max(worst[dtype], covariant, invariant)
    value = worst[torch.complex128] if worst[torch.complex64] < 1e-5 else math.inf
    return {"value": value, "single": worst[torch.complex64], "seed": str(seed)}


@claim("lattice.two_plaquettes_make_a_loop", talk=LATTICE, bound=at_most(1e-13))
def two_plaquettes_make_a_loop() -> dict[str, float | str]:
    """The 2×1 loop is the transported plaquette times the plaquette, one layer of L-CNN: the largest deviation.

    For the three groups, from links multiplied one by one. ``without_links`` and ``other_order`` are the same without
    transport and with the factors exchanged, for SU(2).
    """
    seed, worst = runtime.fresh_seed(), 0.0
    steps = [(0, 1), (0, 1), (1, 1), (0, -1), (0, -1), (1, -1)]
    controls: dict[str, float] = {}
    for group, sides in links.CASES[:3]:
        U, _ = links.specimen(group, sides, seed)
        P, wanted = lattice.plaquettes(U), links.at_sites(U, steps)
        worst = max(worst, _largest(lattice.multiply(lattice.transport(U, P, 0), P) - wanted))
        layer = lattice.LatticeConv(1, 1, 2, gate=False).double().requires_grad_(False)
        layer.conv.weight.zero_()[0, 0, 1, 0] = 1
        layer.product.weight.zero_()[0, 2, 2, 0] = 1  # W† W′†, whose adjoint is W′ W
        worst = max(worst, _largest(layer(U, P).mH - wanted))
        if group == "SU(2)":
            controls["without_links"] = _largest(lattice.multiply(lattice.shift(P, 0), P) - wanted)
            controls["other_order"] = _largest(lattice.multiply(P, lattice.transport(U, P, 0)) - wanted)
    return {"value": worst if min(controls.values()) > 0.1 else math.inf, **controls, "seed": str(seed)}


@claim("lattice.mistakes_break_it", talk=LATTICE, bound=at_least(0.5))
def mistakes_break_it() -> dict[str, float | str]:
    """A convolution without links, a product of W's at two sites, ReLU of entries: the smallest error of covariance.

    Relative, for SU(2) on 6×6 sites. ``CNN`` is the error of invariance of an ordinary network of the links' entries,
    over the spread of its answers.
    """
    seed = runtime.fresh_seed()
    torch.manual_seed(seed)
    U, omega = links.specimen("SU(2)", (6, 6), seed)
    V = links.turned(U, omega)

    def error(layer: Callable[[Tensor], Tensor]) -> float:
        return links.covariance_error(layer(lattice.plaquettes(U)), layer(lattice.plaquettes(V)), omega)

    found = {
        "without_links": error(lambda P: P + lattice.shift(P, 0) + lattice.shift(P, 1)),
        "product_of_two_sites": error(lambda P: lattice.multiply(lattice.shift(P, 0), P)),
        "relu_of_entries": error(lambda P: torch.complex(P.real.relu(), P.imag.relu())),
    }
    cnn = links.cnn_error(U, V)
    return {"value": min(found.values()) if cnn > 0.5 else 0.0, **found, "CNN": cnn, "seed": str(seed)}


def _of(scores: Sequence[Score], network: str) -> dict[int, float]:
    return {score.size: score.value for score in scores if score.network == network}


@claim("lattice.loops_are_learned", talk=LATTICE, bound=at_least(0.9), needs="laptop")
def loops_are_learned(*, scores: Sequence[Score] | None = None) -> dict[str, float]:
    """An L-CNN trained on 8×8 sites predicts 2×2 loops of SU(2) on 8×8, 12×12 and 16×16: the smallest R².

    ``CNN`` is the largest R² of an ordinary network with more parameters; 0 is as good as the average.
    """
    scores = scores or fields.loop_scores()
    ours, other = _of(scores, "L-CNN"), _of(scores, "CNN")
    best = max(other.values())
    return {"value": min(ours.values()) if best < 0.5 else -math.inf, "CNN": best}


# Flows


@claim("lattice.flow_is_equivariant", talk=LATTICE, bound=at_most(1e-13))
def flow_is_equivariant(*, flow: Flow | None = None) -> dict[str, float | str]:
    """A trained flow of U(1) links turns them in the same way in every gauge: relative deviation of links and log det.

    ``single`` is that of float32, and ``moved`` how far the flow, the checkpoint `u1-beta-1` if not given, is from the
    identity, in radians.
    """
    seed = runtime.fresh_seed()
    errors, moved = links.flow_errors(flow or recipes.load("u1-beta-1"), seed)
    fails = errors[torch.float32] > 1e-5 or moved < 0.05
    value = math.inf if fails else errors[torch.float64]
    return {"value": value, "single": errors[torch.float32], "moved": moved, "seed": str(seed)}


@claim("lattice.flow_knows_its_density", talk=LATTICE, bound=at_most(1e-12))
def flow_knows_its_density() -> dict[str, float | str]:
    """The log det ∂θ′/∂θ of a flow of U(1) links is that of its Jacobian by autograd: relative deviation.

    For the trained flow at β = 1 on 8×8 sites, and for one with random weights on 4×4.
    """
    seed = runtime.fresh_seed()
    rng, small = runtime.generator("densities", seed), lattice.PlaquetteFlow(4, 8, hidden=4)
    with torch.no_grad():
        for weight in small.parameters():
            weight.copy_(0.3 * torch.randn(weight.shape, generator=rng))
    worst = max(links.determinant_error(flow, rng) for flow in (small, recipes.load("u1-beta-1")))
    return {"value": worst, "seed": str(seed)}


@claim("lattice.flow_is_worth_its_samples", talk=LATTICE, bound=at_least(0.6))
def flow_is_worth_its_samples(*, samples: fields.Samples | None = None) -> dict[str, float]:
    """A flow trained for a minute on U(1) at β = 1, 8×8 sites: its effective sample size, as a share.

    Of the checkpoint `u1-beta-1` if no samples are given; ``tree`` is that of independent plaquettes in the tree gauge.
    """
    samples = samples or fields.sampled("u1-beta-1")
    return {"value": samples.ess, "acceptance": samples.acceptance, "tree": fields.free_share(1.0)}


@claim("lattice.flow_meets_the_exact_values", talk=LATTICE, bound=at_most(3))
def flow_meets_the_exact_values(*, samples: fields.Samples | None = None) -> dict[str, float]:
    """Reweighted, fields of the flow at β = 1 have the exact ⟨cos P⟩ and log Z: the larger deviation, standard errors.

    Of the checkpoint `u1-beta-1` if no samples are given; ``unweighted`` is the deviation of ⟨cos P⟩ without weights.
    """
    samples, volume = samples or fields.sampled("u1-beta-1"), SIZE**2
    cosines, exact = lattice.plaquette_angles(samples.x).cos().mean((1, 2)), fields.cosine(1.0, volume)
    plain = Estimate(float(cosines.mean()), float(cosines.std()) / math.sqrt(len(cosines)))
    off = {
        "cosine": _sigmas(lattice.reweight(samples.log_w, cosines), exact),
        "log_Z": _sigmas(lattice.estimate_log_z(samples.log_w), fields.log_z(1.0, volume)),
    }
    return {"value": max(off.values()), **off, "unweighted": _sigmas(plain, exact)}


@claim("lattice.tree_has_its_share", talk=LATTICE, bound=at_most(0.03))
def tree_has_its_share() -> dict[str, float]:
    """Independent plaquettes in the tree gauge have the share I₀(β)²/I₀(2β), without training: relative deviation.

    The largest at β = 1, 2, 3, on 8×8 sites from 8,192 fields; ``at_1`` and so on are the shares that were measured.
    """
    found = {f"at_{beta:g}": fields.tree(beta).ess for beta in BETAS}
    off = [abs(one / fields.free_share(beta) - 1) for beta, one in zip(BETAS, found.values(), strict=True)]
    return {"value": max(off), **found}


@claim("lattice.flow_at_beta_3", talk=LATTICE, bound=reported())
def flow_at_beta_3() -> dict[str, float]:
    """At β = 3 the same minute of training is not enough: effective sample size of the flow from uniform links.

    ``tree`` is that of the tree gauge, and ``tree_trained`` what is left of it when the flow is trained from there,
    which makes its divergence ``KL`` smaller.
    """
    plain, trained, start = fields.sampled("u1-beta-3"), fields.sampled("u1-beta-3-tree"), fields.tree(3.0)
    log_z = fields.log_z(3.0, SIZE**2)
    shares = {"value": plain.ess, "tree": start.ess, "tree_trained": trained.ess}
    return {**shares, "KL_of_the_tree": start.divergence(log_z), "KL_trained": trained.divergence(log_z)}


@claim("lattice.phi4_meets_its_log_z", talk=LATTICE, bound=at_most(3))
def phi4_meets_its_log_z() -> dict[str, float]:
    """A flow of φ⁴ on 8×8 sites knows log Z: deviation from the transfer matrix, in standard errors.

    From the checkpoint `phi4`; ``share`` is its effective sample size, ``KL`` by how much ⟨log w⟩ is below log Z.
    """
    samples, exact = fields.sampled("phi4", 4096), lattice.scalar_log_z(SIZE, -4.0, 8.0)
    measured = lattice.estimate_log_z(samples.log_w)
    found = {"measured": measured.mean, "exact": exact, "share": samples.ess, "KL": samples.divergence(exact)}
    return {"value": _sigmas(measured, exact), **found}


# Topological invariants


@claim("lattice.chern_numbers_are_degrees", talk=LATTICE, bound=at_most(1e-12))
def chern_numbers_are_degrees() -> dict[str, float | str]:
    """The charge of Bloch states is, in every gauge, minus the degree of d/|d|, a whole number: deviation of the sum.

    For random masses of Qi, Wu and Zhang's model on 12×12 points, whose degrees are signed areas on the sphere.
    """
    seed = runtime.fresh_seed()
    rng = runtime.generator("masses", seed)
    m = 0.3 + 1.4 * torch.rand(16, generator=rng, dtype=torch.float64)
    d = lattice.qi_wu_zhang(torch.cat([m, -m, 2 + m, -2 - m]), 12)
    first, second = (lattice.lower_band(d, generator=rng) for _ in range(2))
    degrees = -links.degree(d)
    charges = [lattice.topological_charge(lattice.berry_links(states)) for states in (first, second)]
    worst = max(_largest(charge - degrees) for charge in charges)
    agrees = lattice.chern_number(first).tolist() == degrees.round().tolist() and len(degrees.round().unique()) == 3
    changed = _largest(lattice.berry_links(first) - lattice.berry_links(second))
    return {"value": worst if agrees and changed > 0.1 else math.inf, "links": changed, "seed": str(seed)}


@claim("lattice.chern_transfers", talk=LATTICE, bound=at_least(0.9), needs="laptop")
def chern_transfers(*, scores: Sequence[Score] | None = None) -> dict[str, float]:
    """A function of plaquettes trained on 8×8 momenta names Chern numbers on 12×12 to 24×24: the smallest share.

    ``at_8`` is its share on new models of the training's size, ``CNN`` and ``CNN_fixed_gauge`` are those on 24×24.
    """
    scores = scores or fields.chern_scores()
    ours = _of(scores, "plaquettes")
    others = {"CNN": _of(scores, "CNN")[24], "CNN_fixed_gauge": _of(scores, "CNN, fixed gauge")[24]}
    value = min(share for size, share in ours.items() if size > 8)
    return {"value": value if max(others.values()) < value else -math.inf, "at_8": ours[8], **others}

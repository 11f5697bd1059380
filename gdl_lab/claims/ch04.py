"""Claims of chapter 04: flows are exact, they learn densities whose entropy we know, and likelihood is not looks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from gdl_lab import data, recipes, runtime
from gdl_lab.claims.ledger import at_least, at_most, claim, reported, within
from gdl_lab.claims.specimens import (
    Density,
    Diluted,
    bits_of,
    by_autograd,
    coarsest,
    divergence,
    kinds,
    mass_in_the_plane,
    normal,
    randomised,
    small_digits,
    stored_glow,
    trained,
    without_couplings,
)
from gdl_lab.flows import AffineCoupling, Flow, Glow, RealNVP, dequantize
from gdl_lab.flows.coverage import coverage
from gdl_lab.manifold import Arc, Moons

__all__ = [
    "alternation_mixes_everything",
    "bad_samples_cost_little",
    "checkpoints_are_what_their_cards_say",
    "density_integrates_to_one",
    "determinant_is_the_talks_sum",
    "learns_the_arc",
    "likelihood_is_divergence",
    "likelihood_is_not_precision",
    "log_determinant_is_that_of_autograd",
    "pull_undoes_push",
    "samples_have_the_density",
    "scales_hold_different_things",
    "splines_come_nearer_to_the_moons",
    "straight_lines_in_z_stay_likely",
]

FLOW, COUPLING = "normalizing-flows", "coupling-layers"


@claim("flows.pull_undoes_push", talk=FLOW, bound=at_most(1e-10))
def pull_undoes_push() -> dict[str, float | str]:
    """A flow is bijective: the largest entry of |g⁻¹(g(z)) − z| and |g(g⁻¹(x)) − x|, in double precision.

    For each kind of flow, with random weights; ``moved`` is the smallest of the mean distances |g(z) − z|, so that no
    flow is the identity.
    """
    seed = runtime.fresh_seed()
    worst, moved = {}, math.inf
    for name, flow in kinds(seed).items():
        z = normal(32, flow.dim, seed)
        x = flow.push(z)
        x, back = x.detach(), flow.pull(x).detach()
        again = flow.push(back).detach()
        worst[name] = max(float((back - z).abs().max()), float((again - x).abs().max()))
        moved = min(moved, float((x.flatten(1) - z).norm(dim=1).mean()))
    return {"value": max(worst.values()), **worst, "moved": moved, "seed": str(seed)}


@claim("flows.log_determinant_is_that_of_autograd", talk=FLOW, bound=at_most(1e-10))
def log_determinant_is_that_of_autograd() -> dict[str, float | str]:
    """The log-determinant that a flow gives, both ways, is the one of the matrix that autograd builds.

    For each kind of flow, with random weights, in double precision: largest difference from the logarithm of the
    determinant by LU decomposition.
    """
    seed = runtime.fresh_seed()
    worst = {}
    for name, flow in kinds(seed).items():
        z = normal(4, flow.dim, seed)
        x, there = (part.detach() for part in flow.push(z, log_det=True))
        wanted, back = torch.linalg.slogdet(by_autograd(flow, z)).logabsdet, flow.pull(x, log_det=True)[1].detach()
        worst[name] = max(float((there - wanted).abs().max()), float((back + wanted).abs().max()))
    return {"value": max(worst.values()), **worst, "seed": str(seed)}


@claim("flows.density_integrates_to_one", talk=FLOW, bound=within(1, 3e-3))
def density_integrates_to_one(*, flow: Flow | None = None) -> dict[str, float | str]:
    """The change of variables makes a density: its integral over the plane, by a sum over a grid.

    Args:
        flow: on ℝ²; affine and spline couplings with random weights if not given, the mass further from 1 is shown.
    """
    seed = runtime.fresh_seed()
    flows = {"given": flow} if flow else {k: f for k, f in kinds(seed).items() if f.shape == (2,)}
    mass = {name: mass_in_the_plane(one, seed) for name, one in flows.items()}
    return {"value": max(mass.values(), key=lambda m: abs(m - 1)), **mass, "seed": str(seed)}


@claim("flows.samples_have_the_density", talk=FLOW, bound=at_most(0.01))
def samples_have_the_density(*, n: int = 400_000, seed: int = 0) -> dict[str, float | str]:
    """Points that are pushed have the density that is pulled: total variation over the 64 squares of a chessboard.

    Shares of ``n`` samples against integrals of the density; ``without_determinant`` uses q_Z(g⁻¹(x)) alone.
    """
    flow = kinds(seed)["affine in the plane"]
    x = flow.sample(n, generator=runtime.generator("board", seed))
    where = ((x + 3) * (8 / 6)).floor().long()
    on = ((where >= 0) & (where < 8)).all(1)
    share = torch.bincount(where[on] @ torch.tensor([8, 1]), minlength=64) / n
    axis = -3 + 6 * (torch.arange(400, dtype=torch.float64) + 0.5) / 400
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        z = flow.pull(grid)
        densities = {"value": flow.log_prob(grid), "without_determinant": flow.base.log_prob(z)}
    away: dict[str, float | str] = {}
    for name, log_q in densities.items():
        mass = log_q.exp().view(8, 50, 8, 50).sum((1, 3)).flatten() * (6 / 400) ** 2
        away[name] = float((share - mass).abs().sum() / 2)
    return away


@claim("flows.likelihood_is_divergence", talk=FLOW, bound=at_most(0.02))
def likelihood_is_divergence(*, n: int = 100_000, delta: float = 0.1, seed: int = 0) -> dict[str, float | str]:
    """To maximise the likelihood is to minimise KL(p‖q): the two differ by the entropy of the data, which we know.

    |−E log q − h(p) − KL(p‖q)| in nats, for data around an arc and a flow with random weights: the mean over ``n``
    points and the entropy in closed form, against the divergence as an integral on a grid of the arc's coordinates.
    """
    arc, flow = Arc(), kinds(seed)["affine in the plane"]
    x, _ = arc.draw(n, delta=delta, generator=runtime.generator("likelihood", seed))
    t, normal = (torch.linspace(0, 1, 401, dtype=torch.float64)[:-1] + 1 / 800, torch.linspace(-7, 7, 301))
    weight = (-0.5 * normal.double().square()).exp()
    t, normal = torch.cartesian_prod(arc.start + (arc.stop - arc.start) * t, normal.double()).unbind(1)
    grid = (1 + delta * normal)[:, None] * torch.stack([t.cos(), t.sin()], 1)
    with torch.no_grad():
        cross = -float(flow.log_prob(x).mean())
        ratio = (arc.log_prob(grid, delta) - flow.log_prob(grid)).view(-1, len(weight))
    on_grid = float((ratio.mean(0) * weight).sum() / weight.sum())
    return {
        "value": abs(cross - arc.entropy(delta) - on_grid),
        "divergence": on_grid,
        "minus_log_likelihood": cross,
        "entropy": arc.entropy(delta),
    }


@claim("flows.learns_the_arc", talk=FLOW, bound=at_most(0.05))
def learns_the_arc(
    *, flow: Flow | None = None, delta: float = 0.1, steps: int = 500, n: int = 20_000, seed: int = 0
) -> dict[str, float | str]:
    """Trained by maximum likelihood, a flow learns the data: KL(p‖q) in nats for a noisy arc, whose density p we know.

    Args:
        flow: trained on ``Arc().draw(…, delta=delta)``; trained here if not given.
        delta: thickness.
        steps: of that training.
        n: points for the mean of log p − log q.
        seed: of weights and points.
    """
    arc = Arc()
    flow = trained("affine", arc, delta, steps, seed) if flow is None else flow
    x, _ = arc.draw(n, delta=delta, generator=runtime.generator("test", seed))
    untrained = arc.log_prob(x, delta).mean() - flow.base.log_prob(x).mean()
    return {"value": divergence(flow, arc, x, delta), "untrained": float(untrained)}


@claim("flows.splines_come_nearer_to_the_moons", talk=FLOW, bound=at_least(2), needs="laptop")
def splines_come_nearer_to_the_moons(
    *, flows: Mapping[str, Flow] | None = None, delta: float = 0.03, steps: int = 600, seed: int = 0
) -> dict[str, float | str]:
    """Two pieces are hard for a diffeomorphism: KL(p‖q) for two moons, of four affine over four spline couplings.

    Args:
        flows: ``{"affine": …, "spline": …}``, trained for equally many steps on ``Moons()``, and others to be shown
            beside them; the two are trained here if not given.
        delta: thickness.
        steps: of that training.
        seed: of weights and points.

    ``on_the_bridge`` is the share of samples that are further than 5 δ from both moons, where one point in two million
    of the data is.
    """
    moons = Moons()
    flows = flows or {kind: trained(kind, moons, delta, steps, seed) for kind in ("affine", "spline")}
    x, _ = moons.draw(20_000, delta=delta, generator=runtime.generator("test", seed))
    kl = {kind: divergence(flow, moons, x, delta) for kind, flow in flows.items()}
    bridge = {}
    for kind, flow in flows.items():
        away = moons.distance(flow.sample(10_000, generator=runtime.generator("bridge", seed)).double().cpu())
        bridge[f"{kind}_on_the_bridge"] = float((away > 5 * delta).double().mean())
    return {"value": kl["affine"] / kl["spline"], **kl, **bridge}


@claim("flows.bad_samples_cost_little", talk=FLOW, bound=at_most(1 + 1e-9))  # up to rounding
def bad_samples_cost_little(
    *, flow: Flow | None = None, x: Tensor | None = None, bits: int = 4, share: float = 0.99
) -> dict[str, float | str]:
    """A model can have nearly the best likelihood and nearly only bad samples: noise in 99 of 100 samples costs at most
    log₂(100)/D bits per dimension. Measured cost over that bound.

    Args:
        flow, x: a flow of pictures and dequantized test pictures; of the 8×8 digits if not given.
        bits: of the dequantization.
        share: of samples that the uniform density on the cube replaces.
    """
    if flow is None or x is None:
        flow, x, _ = small_digits()
    before, after = (bits_of(model, x, bits) for model in (flow, Diluted(flow, share)))
    bound = -math.log2(1 - share) / flow.dim
    return {"value": (after - before) / bound, "bits_before": before, "bits_after": after, "bound": bound}


@claim("flows.straight_lines_in_z_stay_likely", talk=FLOW, bound=at_least(0.6))
def straight_lines_in_z_stay_likely(
    *, flow: Flow | None = None, x: Tensor | None = None, pairs: int = 300, seed: int = 0
) -> dict[str, float | str]:
    """A straight line in Z stays nearer to the data than one in X: share of pairs whose middle is likelier in Z.

    The medians of log q/D are shown, and the share of pairs whose middle in X is likelier than both its ends.

    Args:
        flow, x: a flow and points of the data; the noisy arc if not given.
        pairs, seed: number and seed of the lines between two of them.
    """
    if flow is None or x is None:
        flow = trained("affine", Arc(), 0.1, 500, seed)
        x = Arc().draw(1000, delta=0.1, generator=runtime.generator("lines", seed))[0].float()
    first, second = torch.randint(len(x), (2, pairs), generator=runtime.generator("pairs", seed))
    with torch.no_grad():
        z = flow.pull(x)
        middles = {"z": flow.push((z[first] + z[second]) / 2), "x": (x[first] + x[second]) / 2, "data": x}
        log_q = {name: flow.log_prob(points).double() / flow.dim for name, points in middles.items()}
    above = (log_q["x"] > log_q["data"][first]) & (log_q["x"] > log_q["data"][second])
    return {
        "value": float((log_q["z"] > log_q["x"]).double().mean()),
        **{f"log_q_{name}": float(values.median()) for name, values in log_q.items()},
        "x_above_both_ends": float(above.double().mean()),
    }


@claim("flows.determinant_is_the_talks_sum", talk=COUPLING, bound=at_most(1e-10))
def determinant_is_the_talks_sum(*, layers: int = 1) -> dict[str, float | str]:
    """The Jacobian of an affine coupling is block triangular, with |det| = exp Σ s: largest deviation.

    The unit block, the zero block, the off-diagonal of the last block, and the logarithm of the determinant by LU
    against the sum of the s that the network gives. ``lower_left``, the block that may be anything, is not zero.

    Args:
        layers: couplings that take turns; with more than one the form is lost.
    """
    seed = runtime.fresh_seed()
    flow = randomised(RealNVP(7, layers, (16,)), seed)
    first, z = flow.couplings[0], normal(8, 7, seed)
    assert isinstance(first, AffineCoupling)
    jac = by_autograd(flow, z)
    kept, mixed, last = jac[:, :4, :4], jac[:, :4, 4:], jac[:, 4:, 4:]
    s = 2 * first.conditioner.theta(z[:, :4])[:, :3].tanh()
    parts = {
        "unit_block": kept - torch.eye(4, dtype=z.dtype),
        "zero_block": mixed,
        "last_block": last - torch.diag_embed(s.exp()),
        "log_determinant": torch.linalg.slogdet(jac).logabsdet - s.sum(1),
    }
    errors = {name: float(part.detach().abs().max()) for name, part in parts.items()}
    return {"value": max(errors.values()), **errors, "lower_left": float(jac[:, 4:, :4].abs().max()), "seed": str(seed)}


@claim("flows.alternation_mixes_everything", talk=COUPLING, bound=at_most(0))
def alternation_mixes_everything(*, layers: int = 3) -> dict[str, float | str]:
    """Three couplings that take turns let every coordinate act on every other: share of zeros in the Jacobian.

    The other numbers are the shares after one and two of them, and after three that all move the same half.
    """
    seed = runtime.fresh_seed()
    z = normal(4, 6, seed)

    def zeros(chain: list[Flow]) -> float:
        jac = torch.eye(6, dtype=z.dtype).expand(4, 6, 6)
        point = z
        for one in chain:
            jac, point = by_autograd(one, point) @ jac, one.push(point).detach()
        return float((jac == 0).double().mean())

    turns: list[Flow] = [randomised(AffineCoupling(6, (16,), swap=bool(j % 2)), seed + j) for j in range(layers)]
    same: list[Flow] = [randomised(AffineCoupling(6, (16,)), seed + j) for j in range(layers)]
    return {
        "value": zeros(turns),
        "after_one": zeros(turns[:1]),
        "after_two": zeros(turns[:2]),
        "without_turns": zeros(same),
        "seed": str(seed),
    }


@claim("flows.scales_hold_different_things", talk=COUPLING, bound=at_least(2))
def scales_hold_different_things(*, flow: Glow | None = None, n: int = 64, seed: int = 0) -> dict[str, float | str]:
    """In a multi-scale flow the coarse latents hold the shape: drawing them anew changes the picture, averaged over 4×4
    pixels, so many times as much as drawing all others.

    Ratio of root mean square changes; ``in_single_pixels`` without the average; ``latents`` is the share of all numbers
    that the coarsest latents are.

    Args:
        flow: a `Glow`; the checkpoint of the digits if not given.
        n, seed: number and seed of the samples.
    """
    flow = stored_glow() if flow is None else flow
    generator = runtime.generator("scales", seed)
    z, other = (torch.randn(n, flow.dim, generator=generator).to(flow.anchor) for _ in range(2))
    coarse = coarsest(flow)
    with torch.no_grad():
        x, new, rest = (
            flow.push(points) for points in (z, torch.where(coarse, other, z), torch.where(coarse, z, other))
        )
    shape = [float(avg_pool2d(x - y, 4).square().mean().sqrt()) for y in (new, rest)]
    detail = [float((x - y).square().mean().sqrt()) for y in (new, rest)]
    return {
        "value": shape[0] / shape[1],
        "in_single_pixels": detail[0] / detail[1],
        "latents": float(coarse.double().mean()),
    }


@claim("flows.likelihood_is_not_precision", talk=FLOW, bound=at_most(0.95))
def likelihood_is_not_precision(
    *,
    flows: Mapping[str, Density] | None = None,
    x: Tensor | None = None,
    features: Callable[[Tensor], Tensor] | None = None,
    real: Tensor | None = None,
    bits: int = 4,
    seed: int = 0,
) -> dict[str, float | str]:
    """The likelihood asks whether a model covers the data, not whether its samples are like data: a likelier model may
    have the lower precision. Least ratio of precisions, the likelier of two models over the other.

    For each model the bits per dimension of the test pictures are shown; the precision, the share of its samples that
    test pictures cover; and the recall, the share of test pictures that its samples cover.

    Args:
        flows: models of pictures; of the 8×8 digits if not given, as for the next two: a Gaussian, a RealNVP, and one
            that gives noise in half of the cases.
        x: dequantized test pictures, shape ``(n, D)``; as many samples are drawn.
        features: in whose space near is near, ``(n, D)`` → ``(n, d)``, such as a classifier's logits.
        real: other pictures of the data, to be judged as if a model had drawn them: what one can hope for.
        bits, seed: of the dequantization and of the samples.
    """
    if flows is None or x is None or features is None:
        flow, x, features = small_digits()
        flows = {"Gaussian": without_couplings(flow), "RealNVP": flow, "half noise": Diluted(flow, 0.5)}
    shown: dict[str, float | str] = {}
    with torch.no_grad():
        there = features(x)
        pictures = {"real": real} if real is not None else {}
        for name, model in flows.items():
            shown[f"{name}_bits"] = bits_of(model, x, bits)
            pictures[name] = model.sample(len(x), generator=runtime.generator("looks", seed)).flatten(1)
        for name, drawn in pictures.items():
            shown[f"{name}_precision"] = coverage(features(drawn), there)
            shown[f"{name}_recall"] = coverage(there, features(drawn))
    ranked = sorted(flows, key=lambda name: float(shown[f"{name}_bits"]))  # the likeliest first
    precision = [float(shown[f"{name}_precision"]) for name in ranked]
    ratios = [one / other for one, other in combinations(precision, 2) if other > 0]
    return {"value": min(ratios, default=math.nan), **shown}


@claim("flows.checkpoints_are_what_their_cards_say", talk=FLOW, bound=reported())
def checkpoints_are_what_their_cards_say(*, n: int = 500, seed: int = 0) -> dict[str, float | str]:
    """Each stored flow has the bits per dimension that stand on its card: largest difference, in standard errors.

    On ``n`` random test pictures with other noise: up to 3 is chance. NaN where MNIST is not on this machine.
    """
    if not data.on_this_machine("mnist"):
        return {"value": math.nan, "data": "mnist is not on this machine"}
    pictures, measured, worst = data.load("mnist", "test").x, {}, 0.0
    pictures = pictures[torch.randperm(len(pictures), generator=runtime.generator("some", seed))[:n]]
    for name in ("digits-whitened", "digits-glow"):
        flow, card = recipes.load(name), recipes.card(name)
        assert card.bits is not None, "a flow of pictures"
        x = dequantize(pictures, card.bits, runtime.generator("other noise", seed)).reshape(-1, *flow.shape)
        with torch.no_grad():
            z, change = flow.pull(x, log_det=True)
        nats = 0.5 * z.double().square().sum(1) + 0.5 * flow.dim * math.log(2 * math.pi) - change.double()
        each = nats / math.log(2) / flow.dim + card.bits
        measured[name] = float(each.mean())
        worst = max(worst, abs(measured[name] - card.value) / float(each.std()) * n**0.5)
    return {"value": worst, **measured}

"""Claims of appendix A1: kernels of infinite width, training in closed form, symmetry that ensembles learn exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from gdl_lab import runtime
from gdl_lab.claims import ensembles
from gdl_lab.claims.ensembles import ORBITS, SNAPSHOTS, normal, orbit, out_of_line, turned
from gdl_lab.claims.exponents import exponent
from gdl_lab.claims.ledger import at_least, at_most, claim, within
from gdl_lab.infinite_width import InfiniteEnsemble, WideNetwork, kernels, posterior

__all__ = [
    "closed_ensembles_are_invariant", "descent_is_not_bayes", "ensembles_follow_the_theory", "kernels_are_expectations",
    "members_average_out", "mistakes_break_it", "nearly_equal_points_keep_their_digits", "networks_are_lazy",
    "orbits_make_invariance", "outputs_become_normal", "tangent_kernels_converge", "targets_that_turn",
]  # fmt: skip

TALK = "infinite-width"


# Kernels


@claim("width.kernels_are_expectations", talk=TALK, bound=at_most(1e-12))
def kernels_are_expectations() -> dict[str, float | str]:
    """NNGP and NTK in closed form are the expectations E relu(u)relu(v) and E relu′(u)relu′(v), layer by layer.

    The largest difference from integrals over an angle, for four points and one to three hidden layers.
    """
    seed = runtime.fresh_seed()
    x, worst = normal(4, 7, seed=seed), 0.0
    for depth in (1, 2, 3):
        ours = kernels(x, depth=depth)
        for i, j in ((0, 1), (0, 2), (1, 3), (2, 3)):
            for one, wanted in zip(ours, ensembles.by_quadrature(x[i], x[j], depth), strict=True):
                worst = max(worst, abs(float(one[i, j]) - wanted))
    return {"value": worst, "seed": str(seed)}


@claim("width.nearly_equal_points_keep_their_digits", talk=TALK, bound=at_most(1e-3))
def nearly_equal_points_keep_their_digits(
    *, ntk: Callable[[Tensor, Tensor], Tensor] | None = None
) -> dict[str, float | str]:
    """Θ(x, x) − Θ(x, x′) is linear in |x − x′|: by how much its slope changes from a distance of 10⁻⁴ to one of 10⁻⁹.

    The largest over the smallest slope, minus 1; ``by_cosines`` is that of arccos K/√(qq′), for the same points.

    Args:
        ntk: (n, d), (m, d) → Θ; the package's if not given.
    """
    seed = runtime.fresh_seed()
    x, way = normal(1, 7, seed=seed), normal(2, 7, seed=seed)[:1]
    way = way - (way @ x.T) / (x @ x.T) * x  # across, so that |x| stays

    def change(ntk: Callable[[Tensor, Tensor], Tensor]) -> float:
        slopes = [float(ntk(x, x) - ntk(x, x + s * way / way.norm())) / s for s in (10.0**-k for k in range(4, 10))]
        return max(slopes) / min(slopes) - 1 if min(slopes) > 0 else math.inf

    found = change(ntk or (lambda x, y: kernels(x, y).ntk))
    return {"value": found, "by_cosines": change(ensembles.by_cosines), "seed": str(seed)}


@claim("width.tangent_kernels_converge", talk=TALK, bound=within(-0.5, 0.1))
def tangent_kernels_converge(*, errors: dict[int, float] | None = None) -> dict[str, float]:
    """The tangent kernel of a random network differs from its limit by about width^(−1/2): the exponent.

    Means over 20 networks of two hidden layers, at six points, from width 16 to 256; the rest are relative errors.

    Args:
        errors: width → relative error.
    """
    errors = errors or ensembles.kernel_errors((16, 32, 64, 128, 256))
    shown = {f"at_{width}": errors[width] for width in (min(errors), max(errors))}
    return {"value": exponent(errors), **shown}


@claim("width.outputs_become_normal", talk=TALK, bound=within(1, 0.1))
def outputs_become_normal() -> dict[str, float]:
    """Outputs of random networks with one hidden layer become normal: their excess kurtosis over 15/n (σ_w²E/K)².

    Given the hidden units the output is normal, and its variance has the relative variance 5/n: that makes 15/n
    without biases. Mean ratio of the widths 4, 8 and 16, 100,000 networks each; the rest are excesses.
    """
    x, found = torch.tensor([[0.6, -1.2, 0.9]], dtype=torch.float64), {}
    K = float(kernels(x, depth=1).nngp)
    for width in (4, 8, 16):
        net = WideNetwork([3, width, 1], members=100_000, generator=runtime.generator("kurtosis", width))
        with torch.no_grad():
            f = net(x).flatten()
        found[width] = float((f**4).mean() / f.square().mean().square()) - 3
    ratios = [excess * width / 15 / ((K - 0.1) / K) ** 2 for width, excess in found.items()]
    return {"value": sum(ratios) / len(ratios), **{f"excess_at_{width}": excess for width, excess in found.items()}}


# Training


def _infinite(rate: float = 0.4) -> InfiniteEnsemble:
    task = ensembles.circle()
    fastest = InfiniteEnsemble(task.x, task.y).descent.rate
    return InfiniteEnsemble(task.x, task.y, rate=rate * fastest)


@claim("width.ensembles_follow_the_theory", talk=TALK, bound=at_most(0.12), needs="laptop")
def ensembles_follow_the_theory(*, said: dict[int, Tensor] | None = None) -> dict[str, float]:
    """Mean and spread of 200 trained networks of width 128 against theory, after 5, 30 and 300 steps: the larger error.

    ``mean`` is its error round the circle relative to E f², both root mean squares; ``chance`` is what 200 networks
    leave of it on average. ``spread`` is the error of the standard deviation, relative.

    Args:
        said: steps → answers round the circle ``(members, 61)``.
    """
    said, theory, task = said or ensembles.on_circle(128, 200), _infinite(), ensembles.circle()
    off: dict[str, list[float]] = {"mean": [], "spread": [], "chance": []}
    for t in SNAPSHOTS:
        mean, variance = theory.mean(task.at, t)[:, 0], theory.covariance(task.at, t).diagonal()
        size = (mean.square() + variance).mean().sqrt()
        off["mean"].append(float((said[t].mean(0) - mean).square().mean().sqrt() / size))
        off["chance"].append(float((variance.mean() / len(said[t])).sqrt() / size))
        off["spread"].append(abs(float((said[t].var(0).mean() / variance.mean()).sqrt()) - 1))
    worst = {name: max(values) for name, values in off.items()}
    return {"value": max(worst["mean"], worst["spread"]), **worst}


@claim("width.networks_are_lazy", talk=TALK, bound=within(-0.6, 0.25), needs="laptop")
def networks_are_lazy(*, rows: list[ensembles.Lazy] | None = None) -> dict[str, float]:
    """A trained network differs from its own linearisation by less, the wider it is: the exponent of the width.

    ``kernel`` and ``weights`` are the exponents by which Θ̂ and the weights move, relative to their size. Medians over
    4 to 20 networks, from width 16 to 256, 300 steps.
    """
    rows = rows or [ensembles.lazy(width, n) for width, n in ((16, 20), (32, 16), (64, 12), (128, 6), (256, 4))]
    found = {name: exponent({row.width: getattr(row, name) for row in rows}) for name in ("off", "kernel", "weights")}
    return {"value": found.pop("off"), **found}


@claim("width.descent_is_not_bayes", talk=TALK, bound=within(0, 0.25), needs="laptop")
def descent_is_not_bayes(*, said: dict[int, Tensor] | None = None) -> dict[str, float]:
    """On the way from the NTK's process, 0, to the posterior of the NNGP, 1: where 200 trained networks stand.

    Their mean after 300 steps, projected on the line from one mean to the other; ``spread`` is the same for their
    standard deviation round the circle. ``means_apart`` is how long that line is, relative to the mean of the process.

    Args:
        said: steps → answers round the circle ``(members, 61)``.
    """
    said, task = said or ensembles.on_circle(128, 200), ensembles.circle()
    theory, (mean, covariance) = _infinite(), posterior(task.x, task.y, task.at)
    ends = {
        "value": (said[300].mean(0), theory.mean(task.at, 300)[:, 0], mean[:, 0]),
        "spread": (
            said[300].std(0),
            *(one.diagonal().clamp(min=0).sqrt() for one in (theory.covariance(task.at, 300), covariance)),
        ),
    }
    way = {name: float((found - a) @ (b - a) / (b - a).square().sum()) for name, (found, a, b) in ends.items()}
    _, a, b = ends["value"]
    return {**way, "means_apart": float((b - a).norm() / a.norm())}


# Symmetry


@claim("width.orbits_make_invariance", talk=TALK, bound=at_most(1e-11))
def orbits_make_invariance(*, count: int = 60) -> dict[str, float | str]:
    """Infinite ensembles that see digits in all four positions are invariant at all times, off the data too.

    The largest error of invariance after 1, 100 and ∞ steps on new digits, those of the training, and noise, also of
    C2 under its own half turn. The rest are errors after ∞ steps on new digits where positions were left out.
    """
    seed = runtime.fresh_seed()
    task, worst = ensembles.digits(count, 50, seed), {}
    pictures = (task.test, task.x, normal(50, 8, 8, seed=seed))
    theory = ensembles.infinite(task, ORBITS["C4"])
    value = max(out_of_line(turned(partial(theory.mean, t=t), z)) for t in (1, 100, math.inf) for z in pictures)
    for name in ("C2", "three of four", "none"):
        answers = turned(partial(ensembles.infinite(task, ORBITS[name]).mean, t=math.inf), task.test)
        worst[name.replace(" ", "_")] = out_of_line(answers)
        if name == "C2":
            value = max(value, out_of_line(answers[::2]))
    return {"value": value if min(worst.values()) > 0.1 else math.inf, **worst, "seed": str(seed)}


@claim("width.targets_that_turn", talk=TALK, bound=at_most(1e-11))
def targets_that_turn(*, count: int = 60) -> dict[str, float | str]:
    """Equivariance and not invariance alone: arrows that turn with the pictures are predicted so, on digits and noise.

    The largest error of f(ρ(g)x) = R(g)f(x) over C4 after ∞ steps; ``upright`` if only upright digits are learned.
    """
    seed, quarter = runtime.fresh_seed(), torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    task, errors = ensembles.digits(count, 50, seed), []
    for elements in (ORBITS["C4"], ORBITS["none"]):
        arrows = torch.cat([ensembles.pointing(task.x) @ torch.linalg.matrix_power(quarter, g).T for g in elements])
        theory = InfiniteEnsemble(orbit(task.x, elements), arrows)
        for z in (task.test, normal(50, 8, 8, seed=seed)):
            answers = turned(partial(theory.mean, t=math.inf), z)
            back = torch.stack([y @ torch.linalg.matrix_power(quarter, g) for g, y in enumerate(answers)])
            errors.append(out_of_line(back))
    upright = min(errors[2:])
    return {"value": max(errors[:2]) if upright > 0.1 else math.inf, "upright": upright, "seed": str(seed)}


@claim("width.closed_ensembles_are_invariant", talk=TALK, bound=at_most(1e-12))
def closed_ensembles_are_invariant() -> dict[str, float | str]:
    """Four networks of 32 units, a random one and its turned copies, trained on all positions: error of their mean.

    The larger one, on new digits and on noise, after 100 steps; ``member`` is that of a member alone.
    """
    seed = runtime.fresh_seed()
    said = ensembles.closed(seed=seed)
    pictures = (ensembles.digits(20, 50, seed).test, normal(50, 8, 8, seed=seed))
    mean = max(out_of_line(turned(lambda x: said(x).mean(0), z)) for z in pictures)
    member = min(out_of_line(turned(lambda x: said(x)[0], z)) for z in pictures)
    return {"value": mean if member > 0.1 else math.inf, "member": member, "seed": str(seed)}


@claim("width.mistakes_break_it", talk=TALK, bound=at_least(1e-3))
def mistakes_break_it() -> dict[str, float | str]:
    """Positions left out, copies left out, minibatches: the smallest error of invariance of four such networks.

    On new digits, after 100 steps; ``float32`` keeps the theorem and loses digits.
    """
    seed = runtime.fresh_seed()
    test = ensembles.digits(20, 50, seed).test
    broken = {
        "three_positions": ensembles.closed(seen=(0, 1, 2), seed=seed),
        "two_copies": ensembles.closed((0, 2), seed=seed),
        "minibatches": ensembles.closed(batch=20, seed=seed),
        "float32": ensembles.closed(single=True, seed=seed),
    }
    found = {name: out_of_line(turned(lambda x, f=f: f(x).mean(0), test)) for name, f in broken.items()}  # type: ignore[misc]
    rounding = found["float32"]
    value = min(error for name, error in found.items() if name != "float32")
    return {"value": value if 1e-10 < rounding < 1e-2 else 0.0, **found, "seed": str(seed)}


@claim("width.members_average_out", talk=TALK, bound=within(-0.5, 0.1), needs="laptop")
def members_average_out(*, spread: ensembles.Spread | None = None) -> dict[str, float]:
    """Means of M independent networks of 32 units leave their mean over C4 by about M^(−1/2), on digits: the exponent.

    All are trained on all positions of 20 other digits. ``noise`` is the exponent on noise; ``uneven`` that on digits,
    from 32 members to 128, if weights of the first layer start at zero on the right half: that law is not symmetric.
    """
    even, uneven = spread or ensembles.spreads(), ensembles.spreads(left_only=True)
    levels_off = exponent(dict(zip(uneven.members[-3:], uneven.digits[-3:], strict=True)))
    return {
        "value": exponent(dict(zip(even.members, even.digits, strict=True))) if levels_off > -0.4 else math.inf,
        "noise": exponent(dict(zip(even.members, even.noise, strict=True))),
        "uneven": levels_off,
    }

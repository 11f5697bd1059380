"""Claims of chapter A2: Euler's formula found and not found, the signature of knots, sums of dilogarithms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import mean

import numpy as np
import torch
from torch import Tensor, nn

from gdl_lab import recipes, runtime
from gdl_lab.claims import signatures
from gdl_lab.claims.ledger import at_least, at_most, claim, within
from gdl_lab.claims.signatures import Reading
from gdl_lab.claims.solids import COUNTS, solids
from gdl_lab.discovery import (
    Expression,
    Policy,
    Ratio,
    best_first,
    draw,
    five_terms,
    follow,
    gradients,
    least_squares,
    look_ahead,
    measure,
    quotient,
    quotient_neighbours,
    ratio,
    regress,
    rounded,
    scramble,
    split,
    value,
)
from gdl_lab.discovery.dilogarithms import UNIT
from gdl_lab.discovery.dilogarithms import moves as moves_of
from gdl_lab.discovery.knots import CUSP, FEATURES
from gdl_lab.recipes.dilogarithms import dice, scrambled
from gdl_lab.symmetry import random_rotations

__all__ = [
    "counts_are_right", "cusp_is_needed", "euler_is_found", "five_terms_stay", "moves_keep_the_sum",
    "one_family_hides_it", "policy_simplifies", "scrambles_vanish", "shuffled_signatures_teach_nothing",
    "signature_follows_the_slope", "slopes_read_the_formula", "symmetry_beats_search", "three_features_are_found",
]  # fmt: skip

TALK = "novel-mathematics"
EULER = torch.tensor([-1.0, 1, 0, 0, 2], dtype=torch.float64)  # F = −V + E + 2, in the order V, E, volume, area, 1
POINTS = np.array([0.31 + 0.74j, -1.13 + 0.42j, 0.83 - 0.22j])


# Polyhedra


@claim("discovery.counts_are_right", talk=TALK, bound=at_most(0))
def counts_are_right(*, coplanar: float | None = None) -> dict[str, float | str]:
    """Vertices, edges and faces are counted right: how many polyhedra have other numbers than they should.

    Eight known solids, turned at random, with points on edges and faces that count for nothing; simple polyhedra, where
    3V = 2E; simplicial ones, where 3F = 2E. Euler's formula is not among the tests: wrong counts may satisfy it.
    """
    seed = runtime.fresh_seed()
    options = {} if coplanar is None else {"coplanar": coplanar}
    turn = random_rotations(len(COUNTS), runtime.generator("turned solids", seed))
    wrong = 0
    for R, (name, x) in zip(turn, solids().items(), strict=True):
        near = torch.cdist(x, x)
        side = near[near > 1e-9].min()  # edges are of one length in all of these solids
        across = 2.0 if name == "rhombic dodecahedron" else side  # there the short diagonal of a face
        middles = 0.5 * (x[:, None] + x)[(near - across).abs() < 1e-9]
        wrong += measure(torch.cat([x, middles]) @ R.T.to(x), **options).counts != COUNTS[name]
    table = draw(80, ("simple", "simplicial"), seed=seed, **options)
    simple, simplicial = table.only("simple"), table.only("simplicial")
    wrong += int((3 * simple.x[:, 0] != 2 * simple.x[:, 1]).sum())
    wrong += int((3 * simplicial.faces != 2 * simplicial.x[:, 1]).sum())
    return {"value": wrong, "of": len(COUNTS) + len(table), "seed": str(seed)}


@claim("discovery.euler_is_found", talk=TALK, bound=at_most(1e-9))
def euler_is_found(*, n: int = 180) -> dict[str, float | str]:
    """From polyhedra of six families least squares finds F = −V + E + 0·volume + 0·area + 2: error of the weights."""
    seed = runtime.fresh_seed()
    table = draw(n, seed=seed)
    weights = least_squares(table.x, table.faces)
    return {"value": float((weights - EULER).abs().max()), "residual": _residual(table.x, table.faces, weights),
            "seed": str(seed)}  # fmt: skip


@claim("discovery.one_family_hides_it", talk=TALK, bound=at_least(0.5))
def one_family_hides_it(*, n: int = 60, family: str = "simplicial") -> dict[str, float | str]:
    """From polyhedra with triangular faces alone it finds other weights: how far they are from Euler's.

    They predict every number of faces, or the value is 0.
    """
    seed = runtime.fresh_seed()
    table = draw(n, (family,), seed=seed)
    weights = least_squares(table.x, table.faces)
    residual = _residual(table.x, table.faces, weights)
    off = float((weights - EULER).abs().max())
    return {"value": off if residual < 1e-9 else 0.0, "residual": residual, "weight_of_V": float(weights[0]),
            "weight_of_E": float(weights[1]), "seed": str(seed)}  # fmt: skip


@claim("discovery.slopes_read_the_formula", talk=TALK, bound=at_most(0.05), needs="laptop")
def slopes_read_the_formula(*, network: nn.Module | None = None, x: Tensor | None = None) -> dict[str, float]:
    """A network's slopes in raw units are those of the formula: largest error of their medians, in faces a unit.

    Args:
        network: features as they are → number of faces; trained here if not given.
        x: polyhedra that it was not trained on.
    """
    if network is None or x is None:
        table = draw(1200)
        train, test = split(len(table))
        network, x = regress(table.x[train], table.faces[train], steps=2000), table.x[test]
    slopes = gradients(network, x).double().median(0).values
    names = ("vertices", "edges", "volume", "area")
    return {"value": float((slopes - EULER[:4]).abs().max()), **dict(zip(names, slopes.tolist(), strict=True))}


def _residual(x: Tensor, y: Tensor, weights: Tensor) -> float:
    return float((x @ weights[:-1] + weights[-1] - y).abs().max())


# Knots


@claim("discovery.signature_follows_the_slope", talk=TALK, bound=within(0.43, 0.02))
def signature_follows_the_slope() -> dict[str, float]:
    """Up to 14 crossings the signature is near a multiple of the slope, and not the half: the multiple fitted.

    ``half`` and ``fitted`` are the shares of signatures that the nearest even number names with ½ and with this one.
    """
    knots = signatures.table()
    factor = float(knots.slope @ knots.signature.double() / knots.slope.square().sum())
    shares = {
        name: float((rounded(k * knots.slope) == knots.signature).double().mean())
        for name, k in (("half", 0.5), ("fitted", factor))
    }
    largest = float((2 * knots.signature - knots.slope).abs().max())
    return {"value": factor, **shares, "largest_difference": largest, "knots": len(knots)}


@claim("discovery.three_features_are_found", talk=TALK, bound=at_least(3), needs="laptop")
def three_features_are_found(*, reading: Reading | None = None) -> dict[str, float]:
    """Of ten invariants a network hangs on the cusp's three: how many of these are its three most important.

    Beside it what the share of signatures it names loses when one is shuffled.
    """
    reading = reading or signatures.read()
    first = sorted(reading.importance, key=lambda name: -reading.importance[name])
    return {"value": len({*first[:3]} & {*CUSP}), **{name: reading.importance[name] for name in first[:4]}}


@claim("discovery.cusp_is_needed", talk=TALK, bound=at_least(0.4), needs="laptop")
def cusp_is_needed(*, readings: Mapping[str, Reading] | None = None) -> dict[str, float]:
    """Without the cusp's three a network names far fewer signatures: share lost by taking them away.

    Args:
        readings: of ``"all"``, of the ``"cusp"`` alone and ``"without"`` it.
    """
    rest = tuple(name for name in FEATURES if name not in CUSP)
    readings = readings or {
        name: signatures.read(features) for name, features in (("all", FEATURES), ("cusp", CUSP), ("without", rest))
    }
    shares = {name: reading.share for name, reading in readings.items()}
    return {"value": shares["all"] - shares["without"], **shares, "always_the_same": signatures.majority()}


@claim("discovery.shuffled_signatures_teach_nothing", talk=TALK, bound=at_most(0.03), needs="laptop")
def shuffled_signatures_teach_nothing(*, reading: Reading | None = None) -> dict[str, float]:
    """With the signatures dealt out anew among the knots, a network does no better than by always naming the same."""
    reading = reading or signatures.read(shuffled=True)
    return {"value": reading.share - signatures.majority(), "share": reading.share}


# Dilogarithms


@claim("discovery.moves_keep_the_sum", talk=TALK, bound=at_most(1e-9))
def moves_keep_the_sum() -> dict[str, float | str]:
    """Six moves at random on sums that are not 0 change Σ c D(r(z)) by rounding alone; D by SciPy's dilogarithm."""
    seed = runtime.fresh_seed()
    rng, worst = dice("moves", seed), 0.0
    for _ in range(30):
        expression = {
            ratio([rng.randint(1, 3), rng.randint(-3, 3), 1], [rng.randint(1, 3), 1]): c * UNIT for c in (2, -1)
        }
        before = value(expression, POINTS)
        for _ in range(6):
            expression = rng.choice([after for _, after in moves_of(expression)])
        worst = max(worst, float(np.abs(value(expression, POINTS) - before).max()))
    return {"value": worst, "seed": str(seed)}


@claim("discovery.scrambles_vanish", talk=TALK, bound=at_most(1e-9))
def scrambles_vanish() -> dict[str, float | str]:
    """Scrambled zeros are 0 at three points, and with the sign of one term changed they are not: largest value.

    ``one_sign_changed``: the smallest after the change.
    """
    seed = runtime.fresh_seed()
    rng, worst, least = dice("scrambles", seed), 0.0, math.inf
    for _ in range(60):
        expression = scramble(rng, rng.randint(1, 3), rng.randint(4, 16))[0]
        worst = max(worst, float(np.abs(value(expression, POINTS)).max()))
        term = next(iter(expression))
        spoiled = {**expression, term: -expression[term]}
        least = min(least, float(np.abs(value(spoiled, POINTS)).max()))
    return {"value": worst if least > 1e-6 else math.inf, "one_sign_changed": least, "seed": str(seed)}


@claim("discovery.policy_simplifies", talk=TALK, bound=at_least(0.95))
def policy_simplifies(*, policy: Policy | None = None, n: int | None = None) -> dict[str, float]:
    """A policy that has learned to undo brings scrambled sums to 0 in 50 moves: share of sums it has not seen.

    ``looking_ahead``: the same of always going where there are fewest terms; ``untrained`` of a policy before training.
    """
    n = n or (100 if runtime.current_profile() == "smoke" else 300)
    tested, rng = scrambled()[:n], dice("look ahead", 0)
    torch.manual_seed(0)
    ways = {"value": policy or recipes.load("dilogarithms"), "untrained": Policy().eval()}
    shares = {name: mean(steps is not None for steps in follow(one, tested)) for name, one in ways.items()}
    return {**shares, "looking_ahead": mean(look_ahead(e, rng) for e in tested)}


@claim("discovery.symmetry_beats_search", talk=TALK, bound=at_least(0.99))
def symmetry_beats_search(*, budget: int = 150) -> dict[str, float]:
    """Among classes of S₃, best-first search brings scrambled sums to 0 and looks at 150 each at most: share of them.

    ``without`` the classes; ``no_search``: the share that is 0 as soon as classes are taken.
    """
    tested = scrambled()
    classes = [quotient(e) for e in tested]
    return {
        "value": mean(best_first(q, budget, quotient_neighbours).solved for q in classes),
        "without": mean(best_first(e, budget).solved for e in tested),
        "no_search": mean(not q for q in classes),
    }


@claim("discovery.five_terms_stay", talk=TALK, bound=at_most(1e-12))
def five_terms_stay(*, x: Ratio | None = None, y: Ratio | None = None, budget: int = 5000) -> dict[str, float]:
    """Abel's five terms with x = z, y = −z are 0, and our three moves do not find it: their sum at three points.

    Infinite if search among classes comes to 0; ``looked_at`` says how far it went.
    """
    expression: Expression = five_terms(x or ratio([0, 1]), y or ratio([0, -1]))
    found = best_first(quotient(expression), budget, quotient_neighbours)
    largest = float(np.abs(value(expression, POINTS)).max())
    return {"value": math.inf if found.solved else largest, "looked_at": found.looked_at}

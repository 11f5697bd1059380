"""Claims of chapter 03: estimators on manifolds that we know, then on digits, beside the talk's "~30"."""

from __future__ import annotations

import math
from statistics import mean

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from gdl_lab import data, runtime
from gdl_lab.claims.ledger import at_least, at_most, claim, reported, within
from gdl_lab.manifold import (
    affine,
    explained,
    flat_copy,
    levina_bickel,
    local_pca,
    local_variances,
    nearest,
    neighbours,
    orbit,
    participation_ratio,
    principal_variances,
    sphere,
    swiss_roll,
    torus,
    two_nn,
)

__all__ = [
    "balls_grow_like_the_dimension",
    "curve_fills_many_directions",
    "digits_are_not_flat",
    "digits_have_few_dimensions",
    "estimators_find_known_dimensions",
    "many_dimensions_need_more_points",
    "neighbours_are_exact",
    "noise_adds_dimensions",
    "straight_lines_leave_the_data",
    "talks_thirty",
    "tangent_space_is_second_order",
    "wrong_normaliser_halves",
]

TALK = "geometry-of-the-data"


@claim("manifold.neighbours_are_exact", talk=TALK, bound=at_most(1e-12))
def neighbours_are_exact() -> dict[str, float | str]:
    """The nearest neighbours under all these numbers are exact: largest relative difference from a k-d tree's.

    Points of three kinds: spread out, far from the origin, and on a lattice, where many distances are equal.
    ``by_products`` is the difference when |x|² − 2x·y + |y|² is not followed by differences, far from the origin.
    """
    seed = runtime.fresh_seed()
    generator = torch.Generator().manual_seed(seed)
    spread = torch.randn(900, 3, dtype=torch.float64, generator=generator)
    kinds = (spread, 1e4 + spread, torch.randint(6, (900, 3), generator=generator).double().unique(dim=0))
    worst, by_products = 0.0, 0.0
    for x in kinds:
        r, _ = neighbours(x, 9)
        # The tree finds each point itself first, at distance 0.
        wanted = torch.from_numpy(cKDTree(x.numpy()).query(x.numpy(), 10)[0][:, 1:])
        worst = max(worst, float(((r - wanted) / wanted).abs().max()))
        square = x.square().sum(1)
        all_of_them = (square[:, None] - 2 * x @ x.T + square).clamp(min=0).sqrt()
        short = all_of_them.fill_diagonal_(math.inf).topk(9, largest=False).values
        by_products = max(by_products, float(((short - wanted) / wanted).abs().max()))
    return {"value": worst, "by_products": by_products, "seed": str(seed)}


@claim("manifold.balls_grow_like_the_dimension", talk=TALK, bound=at_most(0.04))
def balls_grow_like_the_dimension(*, n: int = 4000, seed: int = 0) -> dict[str, float | str]:
    """On a d-dimensional submanifold the share of a ball's points within radius r is r^d: (r₁/r₂)^d is uniform.

    The largest distance between the distribution functions (Kolmogorov and Smirnov) on five manifolds of dimensions 1,
    2, 2, 2 and 5, in ten dimensions; ``next_dimension`` is the smallest with d + 1 in place of d.
    """
    worst, control = 0.0, math.inf
    for d, x in _known(n, seed).values():
        r, _ = neighbours(x, 2)
        ratio = (r[:, 0] / r[:, 1]).sort().values
        grid = torch.arange(1, n + 1, dtype=torch.float64) / n
        worst = max(worst, float((ratio**d - grid).abs().max()))
        control = min(control, float((ratio ** (d + 1) - grid).abs().max()))
    return {"value": worst, "next_dimension": control}


@claim("manifold.estimators_find_known_dimensions", talk=TALK, bound=at_most(0.1))
def estimators_find_known_dimensions(*, n: int = 2000, seed: int = 0) -> dict[str, float | str]:
    """Four estimators find the dimension of five known manifolds in ten dimensions: the largest relative error.

    A circle, a sphere, a torus, a Swiss roll and a flat space of dimension 5; TwoNN, both averages of Levina and
    Bickel, and local principal components, k = 20. ``participation_ratio`` is the error of a global one, which asks for
    the flat space around the manifold.
    """
    errors: dict[str, list[float]] = {}
    for d, x in _known(n, seed).values():
        r, index = neighbours(x, 20)
        for name, value in (
            ("two_nn", two_nn(r)),
            ("levina_bickel", levina_bickel(r)),
            ("plain_average", levina_bickel(r, average="plain")),
            ("local_pca", float(local_pca(x, index).double().mean())),
            ("participation_ratio", participation_ratio(principal_variances(x))),
        ):
            errors.setdefault(name, []).append(abs(value / d - 1))
    largest = {name: max(values) for name, values in errors.items()}
    globally = largest.pop("participation_ratio")
    return {"value": max(largest.values()), **largest, "participation_ratio": globally}


@claim("manifold.wrong_normaliser_halves", talk=TALK, bound=within(0.5, 0.02))
def wrong_normaliser_halves(*, n: int = 4000, seed: int = 0) -> dict[str, float | str]:
    """Averages of 1/m with the normaliser k − 2 give (k − 2)/(k − 1) of the dimension: half of it at k = 3.

    Measured on a sphere of dimension 2. ``right`` has k − 1; ``at_20`` is the wrong one at k = 20, where 18/19 is left.
    """
    r, _ = neighbours(sphere(n, 2, generator=torch.Generator().manual_seed(seed)), 20)
    return {
        "value": levina_bickel(r[:, :3], minus=2) / 2,
        "right": levina_bickel(r[:, :3]) / 2,
        "at_20": levina_bickel(r, minus=2) / 2,
    }


@claim("manifold.tangent_space_is_second_order", talk=TALK, bound=within(2, 0.1))
def tangent_space_is_second_order(*, n: int = 20_000, seed: int = 0) -> dict[str, float | str]:
    """A submanifold is flat up to second order: points leave the tangent plane like the square of their distance.

    The fitted exponent of the third principal deviation of a neighbourhood against the radius, which is the root of the
    first two variances; k from 40 to 640, on a sphere and a torus. ``flat`` is the third deviation in a plane.
    """
    generator = torch.Generator().manual_seed(seed)
    slopes = []
    for x in (sphere(n, 2, generator=generator), torus(n, generator=generator)):
        _, index = neighbours(x, 640, at=torch.arange(100))
        variances = torch.stack([local_variances(x, index[:, : 40 * 2**j]).mean(0) for j in range(5)])
        radius, off = variances[:, :2].sum(1).sqrt().log(), variances[:, 2].sqrt().log()
        radius -= radius.mean()
        slopes.append(float(radius @ off / (radius @ radius)))
    plane = affine(n // 10, 2, ambient=3, generator=generator)
    flat = local_variances(plane, neighbours(plane, 40, at=torch.arange(100))[1])[:, 2].sqrt().max()
    return {"value": mean(slopes), "sphere": slopes[0], "torus": slopes[1], "flat": float(flat)}


@claim("manifold.curve_fills_many_directions", talk=TALK, bound=at_least(3))
def curve_fills_many_directions(
    *, picture: Tensor | None = None, n: int = 1500, seed: int = 0
) -> dict[str, float | str]:
    """One digit, turned, is a curve; but the curve is so bent that it fills many directions: principal components over
    neighbours.

    Args:
        picture: shape ``(height, width)``; the first of the 8×8 digits if not given.
        n: number of angles.
        seed: of the angles.
    """
    picture = data.load("digits8").x[0, 0] if picture is None else picture
    angles = 2 * math.pi * torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x = orbit(picture.cpu().double(), angles)
    r, _ = neighbours(x, 20)
    directions, coordinates = participation_ratio(principal_variances(x)), levina_bickel(r)
    return {"value": directions / coordinates, "participation_ratio": directions, "levina_bickel": coordinates}


@claim("manifold.noise_adds_dimensions", talk=TALK, bound=at_least(2))
def noise_adds_dimensions(*, n: int = 2000, noise: float = 0.02, seed: int = 0) -> dict[str, float | str]:
    """Close up, data with noise look as high-dimensional as the noise: the estimate at the smallest scale over the one
    at a large scale.

    A sphere of dimension 2 in ten dimensions; TwoNN against k = 400 of Levina and Bickel. ``without_noise`` is the same
    ratio for exact points.
    """
    ratio = {}
    for sigma in (noise, 0.0):
        generator = torch.Generator().manual_seed(seed)
        r, _ = neighbours(sphere(n, 2, ambient=10, noise=sigma, generator=generator), 400)
        ratio[sigma] = two_nn(r), levina_bickel(r)
    small, large = ratio[noise]
    return {"value": small / large, "small": small, "large": large, "without_noise": ratio[0.0][0] / ratio[0.0][1]}


@claim("manifold.many_dimensions_need_more_points", talk=TALK, bound=at_most(0.9))
def many_dimensions_need_more_points(*, n: int = 2000, seed: int = 0) -> dict[str, float | str]:
    """Of 20 dimensions a few thousand points show only a part: the share that Levina and Bickel find at k = 20.

    ``with_four_times_as_many`` points, the share has hardly grown.
    """
    few, many = (
        levina_bickel(neighbours(sphere(m, 20, generator=torch.Generator().manual_seed(seed)), 20)[0]) / 20
        for m in (n, 4 * n)
    )
    return {"value": few, "with_four_times_as_many": many}


@claim("manifold.digits_have_few_dimensions", talk=TALK, bound=at_least(4))
def digits_have_few_dimensions(*, x: Tensor | None = None, at: int = 2000) -> dict[str, float | str]:
    """The data lie on a low-dimensional submanifold of the input space: pixels over the largest of three estimates.

    Args:
        x: pictures, shape ``(n, pixels)``; the 8×8 digits if not given.
        at: the estimates by neighbours are averaged over this many of them.

    ``pixels_shuffled`` is the same ratio when every pixel is exchanged between the pictures at random: each has the
    same grey values as before, and the pictures have lost their shape.
    """
    x = _digits(x)
    order = torch.stack(
        [torch.randperm(len(x), generator=torch.Generator().manual_seed(j)) for j in range(x.shape[1])], 1
    )
    few = _estimates(x, at)
    shuffled = max(_estimates(x.gather(0, order.to(x.device)), at).values())
    return {"value": x.shape[1] / max(few.values()), **few, "pixels_shuffled": x.shape[1] / shuffled}


@claim("manifold.talks_thirty", talk=TALK, bound=reported())
def talks_thirty(*, x: Tensor | None = None, at: int = 1000) -> dict[str, float | str]:
    """MNIST pictures lie on a submanifold of about 30 dimensions: the participation ratio, with other estimates.

    Args:
        x: pictures, shape ``(n, pixels)``; if not given, MNIST where it is on this machine, else the 8×8 digits.
        at: the estimates by neighbours are averaged over this many of them.
    """
    name = "given"
    if x is None:
        name = "mnist" if data.on_this_machine("mnist") else "digits8"
        x = data.load(name).x.flatten(1)[:20_000]
    variances, few = principal_variances(x), _estimates(x, at)
    shares = {f"{share}_per_cent_of_variance": explained(variances, share / 100) for share in (90, 95)}
    return {"value": few.pop("participation_ratio"), **few, **shares, "pixels": x.shape[1], "data": name}


@claim("manifold.digits_are_not_flat", talk=TALK, bound=at_least(1.5))
def digits_are_not_flat(*, x: Tensor | None = None, at: int = 2000, seed: int = 0) -> dict[str, float | str]:
    """What neighbours see is not in the covariance: a normal distribution that has it has more dimensions.

    Levina and Bickel, k = 20, of the flat copy over that of the digits, for equally many points.

    Args:
        x: pictures, shape ``(n, pixels)``; the 8×8 digits if not given.
        at: the averages are over this many of them.
        seed: of the copy.
    """
    x = _digits(x)
    copy = flat_copy(x, len(x), generator=torch.Generator().manual_seed(seed))
    real, flat = (_estimates(points, at) for points in (x, copy))
    return {
        "value": flat["levina_bickel"] / real["levina_bickel"],
        "digits": real["levina_bickel"],
        "flat_copy": flat["levina_bickel"],
        "participation_ratios": f"{real['participation_ratio']:.1f} and {flat['participation_ratio']:.1f}",
    }


@claim("manifold.straight_lines_leave_the_data", talk=TALK, bound=at_least(0.7))
def straight_lines_leave_the_data(
    *, x: Tensor | None = None, y: Tensor | None = None, pairs: int = 1000, seed: int = 0
) -> dict[str, float | str]:
    """Straight lines between unequal digits leave the data: the share of lines whose middle is further from the nearest
    new digit than its two ends are on average.

    The lines are drawn in one half of the data; the digits of the other half are new. ``ratio`` is the median of the
    distance of the middle over that of the ends. In flat data the share is about 0 and the ratio √3/2, since an average
    is closer to everything: E|½(x + y) − z|² = 3/2 tr C, and E|x − z|² = 2 tr C, for independent points of covariance
    C. ``flat_copy`` and ``flat_ratio`` measure that. ``same_digit`` is the share for lines between equal digits.

    Args:
        x: pictures, shape ``(n, pixels)``; the 8×8 digits if not given.
        y: which digit each is, shape ``(n,)``.
        pairs: number of lines drawn.
        seed: of the halves, the lines and the copy.
    """
    if x is None or y is None:
        digits = data.load("digits8")
        x, y = digits.x.flatten(1), digits.y
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(x), generator=generator)
    half = len(x) // 2
    starts, ends = torch.randint(half, (2, pairs), generator=generator)
    equal = y.cpu()[order[starts]] == y.cpu()[order[ends]]

    def compared(points: Tensor, chosen: Tensor) -> tuple[float, float]:
        ours, new = points[order[:half]], points[order[half:]]
        one, other = ours[starts[chosen]], ours[ends[chosen]]
        middle, first, second = (nearest(q, new, 1)[0][:, 0].double() for q in ((one + other) / 2, one, other))
        ratio = middle / ((first + second) / 2)
        return float((ratio > 1).double().mean()), float(ratio.median())

    share, ratio = compared(x, ~equal)
    flat_share, flat_ratio = compared(flat_copy(x, len(x), generator=generator), ~equal)
    same, _ = compared(x, equal & (starts != ends))
    return {"value": share, "ratio": ratio, "flat_copy": flat_share, "flat_ratio": flat_ratio, "same_digit": same}


def _known(n: int, seed: int) -> dict[str, tuple[int, Tensor]]:
    """Points on manifolds whose dimension we know, in ten dimensions."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "circle": (1, sphere(n, 1, ambient=10, generator=generator)),
        "sphere": (2, sphere(n, 2, ambient=10, generator=generator)),
        "torus": (2, torus(n, ambient=10, generator=generator)),
        "Swiss roll": (2, swiss_roll(n, ambient=10, generator=generator)),
        "flat": (5, affine(n, 5, ambient=10, generator=generator)),
    }


def _digits(x: Tensor | None) -> Tensor:
    return data.load("digits8").x.flatten(1) if x is None else x


def _estimates(x: Tensor, at: int) -> dict[str, float]:
    some = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:at]
    r, _ = neighbours(x, 20, at=some)
    return {
        "two_nn": two_nn(r),
        "levina_bickel": levina_bickel(r),
        "participation_ratio": participation_ratio(principal_variances(x)),
    }

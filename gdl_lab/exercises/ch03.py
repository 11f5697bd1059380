"""Checkers of chapter 03: neighbours, two estimators from their distances, one from variances, and a tangent plane."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from gdl_lab.exercises.verdict import checker, close, expect
from gdl_lab.manifold import neighbours, sphere, torus

__all__ = ["distance_to_tangent_plane", "distances", "maximum_likelihood", "participation", "two_neighbours"]


def _number(answer: Any, what: str) -> float:
    """The one number that an answer should be."""
    given = torch.as_tensor(answer)
    expect(given.numel() == 1, f"Expected one number, {what}; you return the shape {tuple(given.shape)}.")
    return float(given)


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@checker("Sorted, and nobody is a neighbour of itself: everything below starts from this table.")
def distances(f: Any) -> None:
    """``distances(x, k)`` → distances of each point to its k nearest other points, ascending, shape (n, k)."""
    x = _random(40, 3)
    answer = f(x, 4)
    expect(not isinstance(answer, tuple), "You return a pair: topk and sort give values and indices, take the values.")
    given = torch.as_tensor(answer)
    wanted, _ = neighbours(x, 39)
    shape = tuple(given.shape)
    expect(shape != (40, 5), "One column too many: k neighbours, without the point itself.")
    expect(shape != (4, 40), "Rows belong to points: expected (n, k) = (40, 4), got its transpose.")
    expect(shape == (40, 4), f"Expected k distances for each of n points, shape (40, 4), got {shape}.")
    expect(given.is_floating_point(), "Whole numbers: you return the indices of the neighbours, not their distances.")
    expect(not given.isnan().any(), "Some are not a number: has rounding made a square negative under its root?")
    own = torch.cat([torch.zeros(40, 1, dtype=x.dtype), wanted[:, :3]], 1)
    expect(
        not close(given, own) and not bool((given[:, 0].abs() < 1e-6).all()),
        "Each point is its own nearest neighbour in yours, at distance 0. log(r₂/r₁) will be infinite.",
    )
    expect(not close(given, wanted[:, :4].square()), "These are squares: |x − y|² is not yet a distance.")
    expect(not close(given, wanted.flip(1)[:, :4]), "You have the points that are furthest away.")
    expect(not close(given, wanted[:, :4].flip(1)), "The nearest comes first: sort upwards.")
    expect(not close(given, wanted[:, 1:5]), "The nearest neighbour is missing: you leave out one point too many.")
    taxi = torch.cdist(x, x, p=1).sort(1).values[:, 1:5]
    expect(not close(given, taxi), "These are sums of |x_i − y_i|: take the Euclidean distance.")
    in_order = (given.diff(dim=1) >= 0).all()
    expect(in_order, "Some rows do not ascend: sort the distances of each point before you take k of them.")
    expect(close(given, wanted[:, :4], 1e-6), "Not yet: draw three points on a line and compare by hand.")
    expect(close(f(x, 7), wanted[:, :7], 1e-6), "Right for k = 4 only: take as many as are asked for.")


@checker("With 1/m the average is unbiased for c = 1, at every k. Now the same sum with c = 2, and k = 3?")
def maximum_likelihood(f: Any) -> None:
    """``maximum_likelihood(r)`` → 1/mean(1/m), 1/m = Σ_{j<k} log(r_k/r_j)/(k−1), for r of shape (n, k), ascending."""
    for k in (5, 8):  # at k = 3, a sum that nobody divides would look like one divided by k − 2
        r, _ = neighbours(sphere(500, 3, generator=torch.Generator().manual_seed(k)), k)
        given = _number(f(r), "the average over all points")
        logs = (r[:, -1:] / r[:, :-1]).log().sum(1)

        def is_it(value: Tensor, given: float = given) -> bool:
            return math.isclose(given, float(value), rel_tol=1e-6)

        right = (k - 1) / logs.mean()
        expect(given == given and abs(given) != math.inf, "Not a number: r_k/r_k has the logarithm 0. Sum over j < k.")
        expect(not is_it(-right), "Negative: you take log(r_j/r_k), and r_k is the larger one.")
        expect(not is_it(1 / right), "That is the mean of 1/m: turn it over.")
        expect(not is_it(1 / logs.mean()), "You sum over j and do not divide by k − 1: 1/m is a mean over j < k.")
        expect(
            not is_it(1 / (r[:, -1:] / r[:, :-1]).mean().log()),
            "The logarithm of the mean is not the mean of the logarithms.",
        )
        expect(
            not is_it((k - 1) / (r[:, 1:] / r[:, :1]).log().sum(1).mean()),
            "You divide by the nearest distance, r_1. The theorem has r_k/r_j: the furthest one is above.",
        )
        expect(
            not is_it((k - 2) / logs.mean()),
            f"You divide by k − 2. In an average of 1/m that makes {(k - 2) / (k - 1):.2f} d of d at k = {k}.",
        )
        expect(
            not is_it(k / logs.mean()),
            f"You divide by k, as if r_k/r_k counted: a mean over k − 1 logarithms, here {k - 1}.",
        )
        expect(
            not is_it(((k - 1) / logs).mean()),
            "You average the dimensions m. A small sum makes a huge m, and the mean is too large: average 1/m.",
        )
        expect(not is_it(((k - 2) / logs).mean()), "Unbiased, but the plain average of m with k − 2: average 1/m here.")
        expect(not is_it(((k - 1) / logs).median()), "A median is wanted by nobody here: average 1/m over the points.")
        expect(is_it(right), f"Not yet: at k = {k} expect {float(right):.3f}, you get {given:.3f}.")


@checker("log μ has the mean 1/d: two neighbours are enough, and nothing is sorted or fitted.")
def two_neighbours(f: Any) -> None:
    """``two_neighbours(r)`` → the d that maximises Π d μ^(−d−1), μ = r₂/r₁, for r of shape (n, 2)."""
    r, _ = neighbours(sphere(400, 4, generator=torch.Generator().manual_seed(1)), 2)
    given, log_mu = _number(f(r), "d"), (r[:, 1] / r[:, 0]).log()

    def is_it(value: Tensor) -> bool:
        return math.isclose(given, float(value), rel_tol=1e-6)

    right = 1 / log_mu.mean()
    expect(not is_it(-right), "Negative: μ = r₂/r₁ is larger than 1. You have r₁/r₂.")
    expect(not is_it(log_mu.mean()), "That is the mean of log μ, which is 1/d.")
    expect(
        not is_it((1 / log_mu).mean()), "You average 1/log μ. Its mean is infinite: average log μ, then turn it over."
    )
    expect(not is_it(1 / log_mu.exp().mean().log()), "The logarithm of the mean is not the mean of the logarithm.")
    expect(not is_it(1 / (log_mu.exp().mean() - 1)), "μ − 1 is log μ for small log μ only.")
    expect(
        not is_it(len(r) * right), "The derivative of n log d − (d + 1) Σ log μ: there is an n in the numerator, once."
    )
    expect(not is_it(1 / log_mu.median()), "The median of log μ is (log 2)/d.")
    expect(not is_it(right - 1), "The derivative of (d + 1) Σ log μ is Σ log μ: where does your −1 come from?")
    expect(
        not is_it(right * (len(r) - 1) / len(r)),
        "The unbiased estimate, (n − 1)/Σ log μ. The maximum lies elsewhere: how many factors has the product?",
    )
    expect(
        math.isclose(given, float(right), rel_tol=1e-3),  # a search on a grid finds it too
        f"Not yet: expect {float(right):.3f}, you get {given:.3f}. Set the derivative of the log-likelihood to zero.",
    )


@checker("It counts directions, weighs them, and needs no threshold.")
def participation(f: Any) -> None:
    """``participation(x)`` → (Σλ)²/Σλ² of the variances λ along the principal axes, x of shape (n, D)."""
    x = _random(300, 5) * torch.tensor([3.0, 2.0, 1.0, 0.5, 0.1], dtype=torch.float64) + 4.0
    given = _number(f(x), "the ratio for all points")

    def ratio(values: Tensor) -> float:
        return float(values.sum().square() / values.square().sum())

    def is_it(value: float) -> bool:
        return math.isclose(given, value, rel_tol=1e-6)

    deviations, raw = torch.linalg.svdvals(x - x.mean(0)), torch.linalg.svdvals(x)
    right = ratio(deviations.square())
    expect(
        not is_it(ratio(raw.square())) and not is_it(ratio(raw)),
        "The mean is still in x: the first axis points from the origin to the data. Subtract it.",
    )
    expect(not is_it(ratio(deviations)), "These are standard deviations: λ is a variance, the square.")
    expect(not is_it(1 / right), "Upside down: d equal variances must give d.")
    expect(
        not is_it(ratio(x.var(0))), "You take the variances of the coordinates. Turned data must give the same number."
    )
    expect(
        not is_it(ratio(torch.linalg.svdvals(x - x.mean(1, keepdim=True)).square())) and not is_it(_of(torch.cov(x))),
        "You subtract from each point the mean of its own coordinates. torch.cov wants coordinates as rows: x.T.",
    )
    expect(
        not is_it(ratio(torch.linalg.svdvals(x - x.mean()).square())),
        "You subtract one number from everything: each coordinate has a mean of its own.",
    )
    expect(
        not is_it(_of(torch.corrcoef(x.T))), "These are correlations: they forget that some coordinates vary little."
    )
    expect(
        not is_it(ratio(deviations**4)), "One square too many: the eigenvalues of the covariance are variances already."
    )
    expect(is_it(right), f"Not yet: expect {right:.3f}, you get {given:.3f}. Try d equal variances.")


def _of(covariance: Tensor) -> float:
    return float(covariance.trace() ** 2 / covariance.square().sum())


@checker("What is left over is normal to the data: the plane takes the tangential part away.")
def distance_to_tangent_plane(f: Any) -> None:
    """``distance_to_tangent_plane(q, patch, d)`` → distance of q to the plane of d principal axes of ``patch``."""
    points = torus(400, generator=torch.Generator().manual_seed(2)) + 2.0
    _, index = neighbours(points, 12)
    patch, q = points[index[0]], points[0] + torch.tensor([0.3, -0.1, 0.2], dtype=torch.float64)
    given, centre = _number(f(q, patch, 2), "a distance"), patch.mean(0)
    axes = torch.linalg.svd(patch - centre).Vh

    def rest(offset: Tensor, basis: Tensor) -> float:
        return float((offset - basis.T @ (basis @ offset)).norm())

    def is_it(value: float) -> bool:
        return math.isclose(given, value, rel_tol=1e-6)

    right = rest(q - centre, axes[:2])
    expect(not is_it(float((axes[:2] @ (q - centre)).norm())), "That is the part along the plane; the rest is wanted.")
    expect(not is_it(float((q - centre).norm())), "This is the distance to the mean: the plane plays no part.")
    uncentred = torch.linalg.svd(patch).Vh[:2]
    expect(
        not is_it(rest(q, uncentred)) and not is_it(rest(q - centre, uncentred)),
        "Your axes belong to points that are not centred: the first one points at the data, not along them.",
    )
    expect(
        not is_it(rest(q, axes[:2])), "Your plane passes through the origin. It passes through the mean of the patch."
    )
    columns = axes.T[:2]
    expect(
        not is_it(rest(q - centre, columns)),
        "You take columns of Vᵀ. Its rows are the axes.",
    )
    expect(not is_it(rest(q - centre, axes[-2:])), "These are the last axes: the largest variances come first.")
    expect(not is_it(right**2), "Squared: take the root.")
    expect(
        not is_it(float((patch - q).norm(dim=1).min())), "This is the distance to the nearest point, not to a plane."
    )
    expect(
        not any(is_it(rest(q - p, axes[:2])) for p in patch),
        "Your plane passes through one of the points. It passes through their mean.",
    )
    expect(is_it(right), f"Not yet: expect {right:.4f}, you get {given:.4f}. With d = 3 in ℝ³ the answer is 0.")
    expect(
        abs(float(f(q, patch, 3))) < 1e-6,  # a root of rounding passes
        "Right for d = 2 only: with d = 3 the plane is all of ℝ³, and the distance is 0.",
    )

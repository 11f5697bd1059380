"""Checkers of chapter 06: a step in base space, who still moves, a density per dimension, distances, maps of change."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from gdl_lab.exercises.verdict import checker, close, expect
from gdl_lab.manifold import Arc

__all__ = ["difference_maps", "distance_to_arc", "log_q_per_dimension", "move", "step"]


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _shaped(answer: Any, shape: tuple[int, ...], what: str) -> Tensor:
    expect(isinstance(answer, Tensor), f"Expected a tensor, {what}; you return {type(answer).__name__}.")
    given: Tensor = answer
    expect(tuple(given.shape) == shape, f"Expected {what}, shape {shape}; you return the shape {tuple(given.shape)}.")
    expect(given.isfinite().all(), "Some of your numbers are NaN or infinite.")
    return given.detach()


@checker("The chain rule put ∂g/∂z before ∂f/∂x by itself. In X, to first order, this is the step λ γ⁻¹ ∂f/∂x.")
def step(f: Any) -> None:
    """``step(z, decode, score, lr)`` → z + lr ∂(score∘decode)/∂z, z of shape (batch, D), each sample by itself."""
    z, lr = _random(5, 3), 0.1
    A = torch.tensor([[1.5, 0.4, 0.0], [-0.7, 0.6, 0.3], [0.2, -0.5, 0.9]], dtype=torch.float64)

    def decode(z: Tensor) -> Tensor:
        return torch.sinh(z @ A.T)

    def score(x: Tensor) -> Tensor:
        return -0.5 * (x - 1).square().sum(1) + x[:, 0].sin()

    def slope(z: Tensor) -> Tensor:
        p = z.clone().requires_grad_()
        return torch.autograd.grad(score(decode(p)).sum(), p)[0]

    x = decode(z)
    in_x = -(x - 1)
    in_x[:, 0] += x[:, 0].cos()
    right = slope(z)
    answer = f(z, decode, score, lr)
    expect(not close(answer, decode(z + lr * right)), "That is where the step ends in X: return the base point.")
    given = _shaped(answer, (5, 3), "the new base points")
    expect(not close(given, z), "Nothing moves: has the gradient been taken with respect to a z that was cut off?")
    expect(not close(given, right) and not close(given, lr * right), "That is the gradient: add λ times it to z.")
    expect(
        not close(given, z + lr * in_x),
        "You add ∂f/∂x, a gradient in X, to a point of Z. Differentiate score(decode(z)) with respect to z.",
    )
    expect(not close(given, x + lr * in_x), "That is the step in X. Here z moves, and x = g(z) follows.")
    expect(not close(given, z - lr * right), "You descend: the score would fall. Ascent adds the gradient.")
    expect(
        not close(given, z + lr * right / 5),
        "Each sample moves by a fifth of its step: the mean over the batch has 1/5 in its gradient. Take the sum.",
    )
    p = z.clone().requires_grad_()
    without = torch.autograd.grad(score(p).sum(), p)[0]
    expect(
        not close(given, z + lr * without), "The score takes data: it is score(decode(z)) that climbs, not score(z)."
    )
    unit = right / right.norm(dim=1, keepdim=True)
    expect(not close(given, z + lr * unit), "You step by λ itself, along a unit vector: the length of ∂ belongs to it.")
    signs = z + lr * right.sign()
    expect(not close(given, signs), "You step along the sign of the gradient: that is another method. Take ∂ itself.")
    expect(close(given, z + lr * right, 1e-6), "Not yet: compare with finite differences of score(decode(z)).")
    expect(close(f(z[:2], decode, score, 0.01), z[:2] + 0.01 * slope(z[:2]), 1e-6), "Right for one λ and batch only.")


@checker("Each sample has its own end. Nobody waits for the slowest, and nobody is dragged on.")
def move(f: Any) -> None:
    """``move(p, slope, score, lr, until)`` → p + lr·slope where score < until, p elsewhere; p of shape (batch, …)."""
    p, slope, lr, until = _random(4, 2, 3, 4), _random(4, 2, 3, 4, seed=1), 0.1, -0.5
    score = torch.tensor([-2.0, -0.1, -0.7, -0.5], dtype=torch.float64)

    def moved(on: Tensor) -> Tensor:
        return torch.where(on.view(-1, 1, 1, 1), p + lr * slope, p)

    given = _shaped(f(p, slope, score, lr, until), (4, 2, 3, 4), "all points, moved or not")
    expect(not close(given, p + lr * slope), "All four move, but two of them have arrived: score ≥ until.")
    expect(not close(given, p), "Nobody moves, as if all had to stop when the first one has arrived.")
    expect(
        not close(given, moved(score > until)), "You move those that have arrived: it is score < until that goes on."
    )
    expect(
        not close(given, moved(score >= until)), "You move those that have arrived: it is score < until that goes on."
    )
    expect(not close(given, moved(score <= until)), "One sample scores exactly `until`: it has arrived.")
    along_last = torch.where(score < until, p + lr * slope, p)
    expect(
        not close(given, along_last),
        "Your mask runs along the last axis, over columns of the picture. It belongs to the first: view(-1, 1, 1, 1).",
    )
    gated = torch.where((score < until).view(-1, 1, 1, 1), p + lr * slope, torch.zeros_like(p))
    expect(not close(given, gated), "Those that have arrived are set to zero: they should stay where they are.")
    step = moved(score < until) - p
    expect(not close(given, p + 2 * step), "Twice the step: λ·slope is added two times.")
    expect(not close(given, p + step / lr), "The whole slope is added: λ is missing.")
    expect(not close(given, p - step), "You descend: ascent adds λ times the slope.")
    expect(close(given, moved(score < until), 1e-9), "Not yet: look at the four samples one by one.")
    flat = f(p[:, 0, 0], slope[:, 0, 0], score, lr, until)
    expect(close(flat, moved(score < until)[:, 0, 0], 1e-9), "Right for pictures only: points (batch, D) fail.")
    expect(close(f(p, slope, score, lr, -0.05), p + lr * slope, 1e-9), "With until = −0.05, all four should move.")


@checker("Comparable between pictures of any size. And half of it is the log-determinant.")
def log_q_per_dimension(f: Any) -> None:
    """``log_q_per_dimension(z, log_det)`` → log q_X/D from z = g⁻¹(x), (batch, D), and log|det ∂z/∂x|, (batch,)."""
    z, log_det = _random(6, 5), 2 + _random(6, seed=1)
    base = -0.5 * z.square().sum(1) - 2.5 * math.log(2 * math.pi)
    right = (base + log_det) / 5
    answer = f(z, log_det)
    whole = torch.as_tensor(answer)
    expect(whole.numel() != 1, "One number for all: each picture has a density of its own, shape (batch,).")
    given = _shaped(answer, (6,), "one number for each picture")
    expect(not close(given, base + log_det), "That is log q itself, a sum over all dimensions: divide by D.")
    expect(
        not close(given, base / 5) and not close(given, base),
        "log|det ∂z/∂x| is missing: you have the density at z in Z, not that at x in X.",
    )
    expect(not close(given, (base - log_det) / 5), "The log-determinant is that of ∂z/∂x: it is added, not subtracted.")
    expect(not close(given, base / 5 + log_det), "Only one of the two terms is divided by D.")
    expect(
        not close(given, (-0.5 * z.square().sum(1) + log_det) / 5),
        "The constant is missing: a normal density has 1/√(2π) for each dimension.",
    )
    expect(
        not close(given, (base + 2 * math.log(2 * math.pi) + log_det) / 5),
        "½ log 2π belongs to each of the D dimensions: you have it once.",
    )
    expect(
        not close(given, (-z.square().sum(1) - 2.5 * math.log(2 * math.pi) + log_det) / 5),
        "The exponent is −z²/2: a factor ½ is missing.",
    )
    expect(
        not close(given, (base - 2.5 * math.log(2 * math.pi) + log_det) / 5),
        "A normal density in one dimension has 1/√(2π), so ½ log 2π is subtracted for each: you subtract log 2π.",
    )
    expect(not close(given, (base + log_det.exp()) / 5), "`log_det` is a logarithm already: it is added as it is.")
    expect(not close(given, right * 5 / 6), "You divide by the number of pictures: D is the other axis of z.")
    expect(not close(given, -right), "The sign: this is −log q/D. Likely pictures have a large log q.")
    expect(not close(given, right / math.log(2)), "These are bits: nats are wanted.")
    expect(close(given, right, 1e-6), f"Not yet: for the first picture expect {float(right[0]):.4f}.")
    again = (-0.5 * z[:, :2].square().sum(1) - math.log(2 * math.pi) + log_det) / 2
    expect(close(f(z[:, :2], log_det), again, 1e-6), "Right for D = 5 only: read D off z.")


@checker("Beside the arc it is a difference of radii; beyond its ends it is the distance to an end.")
def distance_to_arc(f: Any) -> None:
    """``distance_to_arc(x)`` → distance to {(cos t, sin t): |t| ≤ 3π/4} of points (n, 2), shape (n,)."""
    x = 1.3 * _random(40, 2)
    x[:4] = torch.tensor([[-2.0, 0.1], [-0.5, -0.1], [-1.0, 0.0], [0.4, 0.2]], dtype=torch.float64)
    ends = torch.tensor([[-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64) / math.sqrt(2)
    right, rho = Arc().distance(x), x.norm(dim=1)
    to_ends = torch.cdist(x, ends)
    given = _shaped(f(x), (40,), "a distance for each point")
    expect(given.is_floating_point(), "Distances are no whole numbers.")
    expect(
        not close(given, (rho - 1).abs()),
        "That is the distance to the whole circle. A quarter of it, around (−1, 0), is not there.",
    )
    expect(not close(given, to_ends.min(1).values), "That is the distance to the nearer end, for all points.")
    expect(not close(given, right.square()), "Squared: take the root.")
    within = torch.atan2(x[:, 1], x[:, 0]).abs() <= 0.75 * math.pi
    expect(
        not close(given, torch.where(within, rho - 1, to_ends.min(1).values)),
        "Inside the circle yours is negative: a distance has no sign.",
    )
    expect(
        not any(close(given, torch.where(within, (rho - 1).abs(), to_ends[:, k])) for k in (0, 1)),
        "Beyond the ends you measure to one of them only: take the nearer.",
    )
    steep = torch.atan(x[:, 1] / x[:, 0]).abs() <= 0.75 * math.pi
    expect(
        not close(given, torch.where(steep, (rho - 1).abs(), to_ends.min(1).values)),
        "arctan(y/x) knows no left and right: use atan2.",
    )
    below = torch.where(x[:, 1].abs() <= 0.75 * math.pi, (rho - 1).abs(), to_ends.min(1).values)
    expect(not close(given, below), "You compare a coordinate with an angle.")
    turned = Arc().distance(x.flip(1))
    expect(float((given - turned).abs().max()) > 2e-3, "Your arc is turned: t is measured from the first axis.")
    # the nearest of many points of the arc is a right answer too
    expect(float((given - right).abs().max()) <= 2e-3, "Not yet: draw the points (−2, 0.1) and (0.4, 0.2) and measure.")


@checker("One scale for both: only so may one say that one change is larger than the other.")
def difference_maps(f: Any) -> None:
    """``difference_maps(x, other)`` → other − x averaged over colours, in units of the largest |value| of all maps.

    Both of shape (n, 3, height, width); result (n, height, width).
    """
    x = torch.rand(3, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    change = 0.3 * _random(3, 3, 4, 5) * torch.tensor([1.0, 0.3, 0.1], dtype=torch.float64).view(3, 1, 1, 1)
    maps = change.mean(1)
    right = maps / maps.abs().max()
    answer = f(x, x + change)
    expect(
        not (isinstance(answer, Tensor) and answer.shape == x.shape),
        "The colours are still there: average over axis 1.",
    )
    given = _shaped(answer, (3, 4, 5), "a map for each pair of pictures")
    expect(not close(given, -right), "The sign: what was added should be positive, other − x.")
    expect(not close(given, maps), "Not scaled: divide by the largest |value|.")
    expect(
        not close(given, maps / maps.abs().amax((1, 2), keepdim=True)),
        "Each map has a scale of its own: the weakest looks as strong as the strongest. One scale for all.",
    )
    sizes = right.abs(), *(one / one.max() for one in (change.abs().mean(1), change.abs().amax(1), change.norm(dim=1)))
    expect(
        not any(close(given, one) for one in sizes),
        "The sign is lost: a pixel that darkens looks like one that lights up.",
    )
    expect(
        not close(given, (maps - maps.min()) / (maps.max() - maps.min())) and not close(given, (right + 1) / 2),
        "Moved into [0, 1], zero is no longer zero: divide only.",
    )
    expect(not close(given, maps / maps.max()), "You divide by the largest value: the largest |value| is wanted.")
    expect(
        not close(given, maps / change.abs().max()),
        "You divide by the largest change of a single colour: average first, then look for the largest.",
    )
    expect(not close(given, change.sum(1) / maps.abs().max()), "You add the colours, but divide by an average.")
    expect(close(given, right, 1e-6), "Not yet: the largest |value| of all your maps should be 1.")

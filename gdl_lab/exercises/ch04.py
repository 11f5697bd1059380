"""Checkers of chapter 04: a density by change of variables, a coupling's inverse, alternation, bits, temperature."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from gdl_lab import runtime
from gdl_lab.exercises.verdict import checker, close, expect
from gdl_lab.flows import bits_per_dim

__all__ = ["alternate", "bits", "inverse", "log_density", "mean_log_density"]


@checker("The base density at z, and minus the logarithm of the stretch: where g stretches, the density is thin.")
def log_density(f: Any) -> None:
    """``log_density(x, mu, sigma)`` → log q_X(x) of x = g(z) = μ + σ z in every coordinate, z ~ N(0, 1)ᴰ; (batch,)."""
    x, mu = _points(5, 3), _points(1, 3, 1)[0]
    sigma = torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)
    given = torch.as_tensor(f(x, mu, sigma))
    z, stretch = (x - mu) / sigma, sigma.log().sum()
    base = -0.5 * z.square().sum(1) - 1.5 * math.log(2 * math.pi)
    expect(
        tuple(given.shape) == (5,),
        f"One number for each point: expect the shape (5,), you return {tuple(given.shape)}. Sum over coordinates.",
    )
    expect(
        not close(given, base + stretch),
        "The sign of the log-determinant: it is that of ∂z/∂x, the inverse map. Where σ is large, q is small.",
    )
    expect(not close(given, base), "That is log q_Z(g⁻¹(x)): the determinant is missing, and the integral is not 1.")
    whole = 1.5 * math.log(2 * math.pi)
    expect(
        not any(close(given, base - stretch + part * whole) for part in (1, 2 / 3, -1)),
        "The constant of the normal density: each coordinate has its own −½ log 2π.",
    )
    expect(not close(given, -2 * whole - base - stretch), "The sign of z²/2: far from μ, a density is small.")
    expect(
        not close(given, (base - stretch) / 3), "A mean over coordinates. Densities multiply, so their logarithms add."
    )
    expect(not close(given, (base - stretch).exp()), "That is the density. Its logarithm is wanted.")
    forward = mu + sigma * x
    expect(
        not close(given, -0.5 * forward.square().sum(1) - 1.5 * math.log(2 * math.pi) - stretch),
        "You evaluate the base density at g(x). It wants z = g⁻¹(x).",
    )
    expect(
        not any(close(given, base - wrong) for wrong in (stretch / 3, sigma.log()[0], 3 * stretch, sigma.prod())),
        "The determinant of a diagonal matrix is the product of all its entries, so its logarithm is a sum.",
    )
    expect(close(given, base - stretch), "Not yet: compare with torch.distributions.Normal(mu, sigma) for one point.")


@checker("No network was inverted: s and t are evaluated forwards, at the half that never changed.")
def inverse(f: Any) -> None:
    """``inverse(x, s, t)`` → (z, log|det ∂z/∂x|) of x = (z_a, z_b e^{s(z_a)} + t(z_a)), halves of equal size."""
    x = _points(6, 6)
    a, b = x[:, :3], x[:, 3:]
    s, t = _scale, _shift
    answer = f(x, s, t)
    expect(
        isinstance(answer, tuple | list) and len(answer) == 2,
        "Return two things: z of the shape of x, and the log-determinant of shape (batch,).",
    )
    z, log_det = (torch.as_tensor(part) for part in answer)
    expect(z.shape == x.shape, f"z has the shape of x, {tuple(x.shape)}; yours has {tuple(z.shape)}. Keep both halves.")
    right = (b - t(a)) * (-s(a)).exp()
    first, second = z[:, :3], z[:, 3:]
    expect(not close(torch.cat([second, first], 1), torch.cat([a, right], 1)), "The halves have changed places.")
    expect(close(first, a), "The first half is frozen: z_a = x_a, as it is. That is what makes s(z_a) known.")
    expect(
        not close(second, b * s(a).exp() + t(a)), "You push once more. Undo it: first subtract t, then divide by e^s."
    )
    expect(
        not close(second, b * (-s(a)).exp() - t(a)),
        "The order: t was added last, so it is subtracted first, before the division.",
    )
    expect(
        not close(second, (b - t(b)) * (-s(b)).exp()),
        "You evaluate s and t at the half that was moved. They were given the frozen one.",
    )
    expect(not close(second, (b - t(a)) * s(a).exp()), "The shift is undone, the scale is applied once more.")
    expect(
        not close(second, (b + t(a)) * (-s(a)).exp()) and not close(second, b * (-s(a)).exp()),
        "The scale is undone, the shift is not.",
    )
    expect(
        close(second, right), "The second half is not undone yet. Solve x_b = z_b e^s + t for z_b; s and t are known."
    )
    expect(
        tuple(log_det.shape) == (6,),
        f"One log-determinant for each point, shape (6,); yours has {tuple(log_det.shape)}. Sum over coordinates.",
    )
    wanted = -s(a).sum(1)
    expect(not close(log_det, -wanted), "The sign: this is log|det ∂x/∂z|. Of the inverse map it is minus that.")
    expect(not close(log_det, wanted / 3), "A mean over coordinates; the determinant is a product, so sum.")
    expect(not close(log_det, (-wanted).exp()) and not close(log_det, wanted.exp()), "The logarithm is wanted.")
    expect(close(log_det, wanted), "z is right. The log-determinant of the inverse is minus that of the map, Σ s(z_a).")


@checker("Every coordinate moves, and moves the others: with three layers the Jacobian has no zero left.")
def alternate(f: Any) -> None:
    """``alternate(z, layers)`` → (x, log|det ∂x/∂z|) for layer(kept, moved) → (moved, Σ s); the halves take turns."""
    for count in (3, 2):  # an end that fits an odd number of swaps does not fit an even one
        z = _points(5, 6)
        layers = [_layer(k) for k in range(count)]
        answer = f(z, layers)
        expect(
            isinstance(answer, tuple | list) and len(answer) == 2,
            "Return two things: x of the shape of z, and the log-determinant of shape (batch,).",
        )
        x, log_det = (torch.as_tensor(part) for part in answer)
        expect(x.shape == z.shape, f"x has the shape of z, {tuple(z.shape)}; yours has {tuple(x.shape)}.")
        right, each = _through(z, layers, (0, 1, 0))
        _expect_route(x, z, layers, right)
        total = each.sum(0)
        expect(
            tuple(log_det.shape) == (5,),
            f"One log-determinant for each point, shape (5,); yours has {tuple(log_det.shape)}.",
        )
        expect(not close(log_det, each[-1]), "Only the last layer's log-determinant. Determinants of a chain multiply.")
        expect(
            not close(log_det, each.prod(0)) and not close(log_det, each.exp().sum(0)),
            "Determinants of a chain multiply; the layers return logarithms of determinants, so these add.",
        )
        expect(not close(log_det, -total), "The sign: this is the direction from z to x, where Σ s counts with plus.")
        expect(close(log_det, total), "x is right. log|det| of a chain of maps is the sum over its layers.")


@checker("A cell of side 2⁻ᵇ has the volume 2⁻ᵇᴰ: that is the whole of the dequantization.")
def bits(f: Any) -> None:
    """``bits(log_q, b, D)`` → −log₂ of the mass of a cell of side 2⁻ᵇ, by D; log_q is a density on [0, 1)ᴰ in nats."""
    log_q = 30 * _points(4, 1)[:, 0] + 900
    b, dims = 5, 784
    given = f(log_q, b, dims)
    right, nats = bits_per_dim(log_q, b, dims), -log_q / dims
    expect(
        tuple(torch.as_tensor(given).shape) == (4,),
        f"One number for each picture, the shape of log_q, (4,); yours has {tuple(torch.as_tensor(given).shape)}.",
    )
    expect(not close(given, right * dims), "That is for the whole picture. Divide by D.")
    expect(
        not close(given, right - b),
        "The scale of the dequantization is forgotten: q is a density per unit volume, and a cell has the side 2⁻ᵇ.",
    )
    expect(
        not close(given, nats) and not close(given, nats + b) and not close(given, nats + b * math.log(2)),
        "Natural logarithms give nats. One nat is 1/log 2 bits.",
    )
    expect(not close(given, -right) and not close(given, -right + 2 * b), "The sign: bits are −log₂ of a probability.")
    expect(not close(given, right - 2 * b), "The volume of a cell is below 1, so −log₂ of it is +b for each dimension.")
    expect(
        not any(close(given, right - b + sign * b / dims) for sign in (1, -1)),
        "A cell has the side 2⁻ᵇ in every dimension: its volume is 2⁻ᵇᴰ.",
    )
    expect(
        not close(given, nats * math.log(2) + b) and not close(given, nats / math.log(10) + b),
        "The change of logarithms: log₂ q = log q / log 2.",
    )
    expect(
        not close(given, right - b + 2.0**b), "You add the number of levels. Its logarithm to the base 2, b, is meant."
    )
    expect(close(given, right, 1e-6), "Not yet: for log q = 0, the uniform density, the answer is b bits.")


@checker("At T = 1 it is −½ log 2πe, minus the entropy. At T = 0.7 it is 0.255 more: at D = 784, a factor of e²⁰⁰.")
def mean_log_density(f: Any) -> None:
    """``mean_log_density(T)`` → E log q_Z(z)/D for z ~ N(0, T²)ᴰ, where q_Z is the density of N(0, 1)ᴰ."""
    constant = 0.5 * math.log(2 * math.pi)
    for T in (0.7, 1.0, 1.5):
        given = float(f(T))
        right = -constant - T**2 / 2

        def is_it(value: float, given: float = given) -> bool:
            return math.isclose(given, value, rel_tol=1e-6, abs_tol=1e-9)

        if T != 1:
            expect(
                not is_it(-constant - math.log(T) - 0.5),
                "That is the cooled density at its own samples. The samples are cooler, the density is still N(0, 1).",
            )
            expect(not is_it(-constant - T / 2), "The mean of z² is T², the variance: T is a standard deviation.")
            expect(not is_it(-constant - 1 / (2 * T**2)), "You divide by T². The samples are smaller: z² has mean T².")
            expect(not is_it(-constant - 0.5), "That does not depend on T. What is the mean of z²?")
        expect(not is_it(-constant), "That is log q at z = 0, its largest value. Samples are not there.")
        expect(not is_it(-(T**2) / 2), "The constant of normalisation is missing.")
        expect(not is_it(-2 * constant - T**2 / 2), "½ log 2π, not log 2π.")
        expect(not is_it(-constant - T**2), "½ z², not z².")
        expect(not is_it(constant + T**2 / 2), "The sign: that is −log q.")
        expect(not is_it(-constant + T**2 / 2), "The sign of the square: the further from 0, the less likely.")
        expect(not is_it(784 * right), "That is for the whole of D = 784 coordinates. Divide by D.")
        expect(
            is_it(right) or not math.isclose(given, right, abs_tol=5e-3),
            "Nearly: an average over samples? The mean of z² is known, so no sample is needed.",
        )
        expect(is_it(right), f"Not yet: at T = {T:g} expect {right:.4f}, you get {given:.4f}.")


def _points(n: int, dim: int, key: int = 0) -> Tensor:
    return torch.randn(n, dim, dtype=torch.float64, generator=runtime.generator("exercise", n, dim, key))


def _scale(kept: Tensor) -> Tensor:
    """s of the exercise on the inverse, ``(batch, 3)`` → ``(batch, 3)``."""
    return 0.8 * torch.tanh(kept + 0.3 * kept.roll(1, 1))


def _shift(kept: Tensor) -> Tensor:
    """t of the same."""
    return kept.sin() + kept.roll(1, 1)


def _layer(k: int) -> Any:
    def layer(kept: Tensor, moved: Tensor) -> tuple[Tensor, Tensor]:
        s = _scale(kept * (1 + 0.3 * k)) - 0.2 * k
        return moved * s.exp() + _shift(kept) + k, s.sum(1)

    return layer


def _expect_route(x: Tensor, z: Tensor, layers: list[Any], right: Tensor) -> None:
    """x is ``right``; if it is where a wrong route ends, say which."""
    ends = {turns: _through(z, layers, turns)[0] for turns in ((0, 0, 0), (1, 0, 1))}
    expect(
        not close(x, ends[0, 0, 0]),
        "The first half never moves: every layer of yours moves the second. Let the halves change roles.",
    )
    expect(
        not close(x, ends[1, 0, 1]),
        "The turns are there, but the first layer moves the second half, given the first.",
    )
    backwards, _ = _through(z, layers[::-1], (0, 1, 0))
    expect(not close(x, backwards), "You go through the layers in the opposite order, which is for the inverse map.")
    expect(
        not close(x, right.roll(3, 1)),
        f"With {len(layers)} layers the halves end in each other's place. Each swap changes their places: "
        "after an odd number of swaps, swap back before you join them, and after an even number do not.",
    )
    old, _ = _through(z, layers, (0, 1, 0), stale=True)
    expect(not close(x, old), "A layer is given a half as it was at the start. Hand it the half as it is now.")
    both = list(z.chunk(2, 1))
    for layer in layers:
        both[1], _ = layer(*both)
        both[0], _ = layer(both[1], both[0])
    expect(not close(x, torch.cat(both, 1)), "Each layer of yours moves both halves. One layer moves one half.")
    expect(close(x, right), "Not yet: b ← layer(a, b), then a ← layer(b, a), and so on in turn; at last join (a, b).")


def _through(z: Tensor, layers: list[Any], turns: tuple[int, ...], *, stale: bool = False) -> tuple[Tensor, Tensor]:
    """Through the layers; turn 0 moves the second half, 1 the first. ``stale`` hands on the halves of z."""
    halves, log_dets = [z[:, :3], z[:, 3:]], []
    for layer, turn in zip(layers, turns, strict=False):  # fewer layers than turns
        kept, moved = turn, 1 - turn
        given = z.chunk(2, 1)[kept] if stale else halves[kept]
        halves[moved], log_det = layer(given, halves[moved])
        log_dets.append(log_det)
    return torch.cat(halves, 1), torch.stack(log_dets)

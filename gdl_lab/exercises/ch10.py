"""Checkers of chapter 10: a loop, an open line, transport against the link, a charge, an effective sample size."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from gdl_lab import runtime
from gdl_lab.exercises.verdict import checker, close, expect
from gdl_lab.lattice import plaquettes, random_links, transport, wilson_loop, wrap

__all__ = ["charge", "ess", "line", "loop", "transport_back"]


def _specimen() -> tuple[Tensor, Tensor]:
    """SU(2) links ``(3, 2, 5, 4, 2, 2)`` and a gauge transformation ``(3, 5, 4, 2, 2)``.

    On an odd side a step of two forwards is none of two backwards.
    """
    rng = runtime.generator("exercises on the lattice")
    U, omega = (random_links("SU(2)", (5, 4), 3, generator=rng) for _ in range(2))
    return U, omega[:, 0]


def _same(given: Any, wanted: Tensor) -> bool:
    given = torch.as_tensor(given)
    if given.shape != wanted.shape or not given.is_complex():
        return False
    return close(torch.view_as_real(given.resolve_conj()), torch.view_as_real(wanted.resolve_conj()))


def _matrices(given: Any, like: Tensor) -> Tensor:
    result = torch.as_tensor(given)
    expect(
        result.shape == like.shape,
        f"A matrix at every x: expected the shape {tuple(like.shape)}, got {tuple(result.shape)}.",
    )
    expect(result.is_complex(), f"The matrices of SU(2) are complex, yours are {result.dtype}.")
    return result


@checker("Two forwards, one up, and back by the inverses: a matrix that turns as Ω W Ω†.")
def loop(f: Any) -> None:
    """``loop(U)`` → the loop from x along two links of direction 0 and one of direction 1, ``(batch, L, T, N, N)``."""
    U, _ = _specimen()
    wanted = wilson_loop(U, 0, 1, 2, 1)[:, 0]
    given = _matrices(f(U), wanted)
    a, b = U.unbind(1)

    def at(link: Tensor, i: int, j: int) -> Tensor:
        return link.roll((-i, -j), (1, 2))

    P = plaquettes(U)[:, 0]
    expect(
        not _same(given, at(P, 1, 0) @ P) and not _same(given, P @ at(P, 1, 0)),
        "Matrices at two sites: carry the neighbour's plaquette to x first, between a link and its inverse.",
    )
    expect(
        not _same(given, wanted.mH),
        "That is the inverse loop: you walk around it the other way, direction 1 first.",
    )
    expect(
        not _same(given, wilson_loop(U, 0, 1, 1, 2)[:, 0]),
        "Your loop is one link wide and two high: direction 0 is the long side.",
    )
    expect(not _same(given, wilson_loop(U, 0, 1)[:, 0]), "That is a plaquette: the long side has two links.")
    expect(
        not _same(given, a @ at(a, 1, 0) @ at(b, 2, 0) @ at(a, 1, 1) @ at(a, 0, 1) @ b),
        "A link walked backwards counts by its inverse, the adjoint `.mH`.",
    )
    expect(
        not _same(given, a @ at(a, -1, 0) @ at(b, -2, 0) @ at(a, -1, -1).mH @ at(a, 0, -1).mH @ b.mH),
        "Your neighbours are on the wrong side: `roll(-1)` brings what is at x + μ̂ to x.",
    )
    expect(
        not _same(given, a @ at(a, 1, 0) @ at(b, 2, 0) @ at(a, 0, 1).mH @ at(a, 1, 1).mH @ b.mH),
        "On the way back the farther link comes first. For matrices the order is the path.",
    )
    expect(
        not _same(given, a @ at(a, 1, 0) @ at(b, 2, 0) @ at(a, 1, 0).mH @ a.mH @ b.mH),
        "You go back along the links you came by: those of the upper side start at x + 1̂.",
    )
    expect(
        not _same(given, at(a, 1, 0) @ at(b, 2, 0) @ at(a, 1, 1).mH @ at(a, 0, 1).mH @ b.mH @ a),
        "The right loop from the wrong corner: it begins at x + 0̂. It turns with Ω there.",
    )
    expect(
        not _same(given, a @ at(a, 1, 0) @ at(b, 1, 0) @ at(a, 1, 1).mH @ at(a, 0, 1).mH @ b.mH),
        "After two steps you are at x + 2·0̂: the link up starts there.",
    )
    for wrong in (torch.Tensor.conj, lambda t: t.mT):
        expect(
            not _same(given, a @ at(a, 1, 0) @ at(b, 2, 0) @ wrong(at(a, 1, 1)) @ wrong(at(a, 0, 1)) @ wrong(b)),
            "The inverse of a unitary matrix is its adjoint, `.mH`: conjugate and transpose, both.",
        )
    expect(_same(given, wanted), "Not yet: write down where each of the six links starts, and multiply in their order.")


@checker("Ω at the start, Ω† at the end: only where they are the same site does the trace forget both.")
def line(f: Any) -> None:
    """``line(W, omega)`` → W(x) = U₀(x)U₀(x + 0̂) in the new gauge; both arguments ``(batch, L, T, N, N)``."""
    U, omega = _specimen()
    W = U[:, 0] @ U[:, 0].roll(-1, 1)
    ahead = {n: omega.roll(-n, 1) for n in (-2, -1, 1, 2)}
    wanted = omega @ W @ ahead[2].mH
    given = _matrices(f(W, omega), wanted)
    expect(
        not _same(given, omega @ W @ omega.mH),
        "So turns a loop, which comes back to x. The line ends somewhere else.",
    )
    expect(not _same(given, omega @ W @ ahead[1].mH), "So turns a single link. This line is two links long.")
    expect(
        not _same(given, ahead[2] @ W @ omega.mH),
        "Each Ω stands at the wrong end: W(x) takes what is at x + 2·0̂ and gives what is at x.",
    )
    expect(not _same(given, omega @ W @ ahead[2]), "Both ends are right; at the far one stands the inverse, `.mH`.")
    expect(
        not _same(given, omega.mH @ W @ ahead[2]),
        "That is the gauge transformation with Ω⁻¹: compare with U → Ω(x) U Ω(x + μ̂)†.",
    )
    expect(not _same(given, omega @ W @ ahead[-2].mH), "`roll(2)` looks back: x + 2·0̂ is brought to x by `roll(-2)`.")
    expect(not _same(given, omega @ W), "The near end is right. And the far one?")
    expect(not _same(given, omega @ W @ omega.roll(-2, 0).mH), "Axis 0 is the batch. Direction 0 is axis 1.")
    expect(not _same(given, omega @ W @ omega.roll(-2, 2).mH), "Axis 2 is direction 1. Direction 0 is axis 1.")
    expect(_same(given, wanted), "Not yet: turn both links and multiply. Which Ω cancel?")


@checker("Against the link by its inverse: and forwards and back again is the identity.")
def transport_back(f: Any) -> None:
    """``transport_back(U, W)`` → W(x − 0̂) brought to x, U the links of direction 0; ``(batch, L, T, N, N)``."""
    links, W = _specimen()
    U = links[:, 0]
    wanted = transport(links, W[:, None], 0, -1)[:, 0]
    given = _matrices(f(U, W), wanted)
    V, X, Y = U.roll(1, 1), W.roll(1, 1), W.roll(-1, 1)
    expect(
        not _same(given, V @ X @ V.mH),
        "Link and site are right, the direction is not: U₀(x − 0̂) takes from x to x − 0̂, you need its inverse.",
    )
    expect(
        not _same(given, U.mH @ X @ U),
        "U₀(x) leads from x + 0̂ to x. The link between x − 0̂ and x starts at x − 0̂: shift it too.",
    )
    expect(not _same(given, U @ X @ U.mH), "U₀(x) leads from x + 0̂ to x: that is another neighbour's link.")
    expect(not _same(given, U @ Y @ U.mH), "That brings W(x + 0̂) to x. The question is for the neighbour behind.")
    expect(not _same(given, U.mH @ Y @ U), "`roll(-1)` brings x + 0̂ to x. Behind us is `roll(1)`.")
    expect(not _same(given, X), "W has moved, but not been transported: matrices at two sites live in two spaces.")
    expect(not _same(given, V.mH @ X), "One factor: that turns at one end with Ω(x), at the other with Ω(x − 0̂).")
    expect(not _same(given, V.mH @ W @ V), "The links are right, but it is W(x − 0̂) that has to be brought.")
    expect(_same(given, wanted), "Not yet: U₀(x − 0̂)† W(x − 0̂) U₀(x − 0̂), all three from the site behind.")


@checker("Each plaquette is brought to (−π, π] first: it is the jumps by 2π that are counted.")
def charge(f: Any) -> None:
    """``charge(theta)`` → Q of U(1) angles ``(batch, 2, L, T)``, real ``(batch,)``."""
    rng = runtime.generator("an exercise on charges")
    theta = 2 * math.pi * (torch.rand(40, 2, 5, 4, generator=rng, dtype=torch.float64) - 0.5)
    a, b = theta.unbind(1)
    P = a + b.roll(-1, 1) - a.roll(-1, 2) - b
    Q = wrap(P).sum((1, 2)) / (2 * math.pi)
    given = torch.as_tensor(f(theta)).double()
    expect(given.shape == Q.shape, f"A number for each field: expected {tuple(Q.shape)}, got {tuple(given.shape)}.")
    expect(
        not bool((given.abs() < 1e-6).all()),
        "That is 0 for every field: unwrapped, each link occurs once with + and once with −. Wrap every plaquette.",
    )
    expect(not close(given, 2 * math.pi * Q), "Whole, after a division: how many full turns, of 2π each, is the sum?")
    expect(not close(given, -Q), "The sign is that of the other orientation: walk along direction 0 first.")
    expect(not close(given, Q / P[0].numel()), "You take the mean of the plaquettes. The charge is their sum.")
    expect(
        not bool((given - given.round()).abs().max() > 1e-6),
        "Not whole: is the product of all your plaquettes 1? On a torus the last row has the first for its neighbour.",
    )
    expect(not close(given, Q.abs()), "Charges have a sign.")
    expect(
        not close(given, torch.remainder(P, 2 * math.pi).sum((1, 2)) / (2 * math.pi)),
        "Your angles are in [0, 2π), ours in (−π, π]: shift by π before the remainder, and back after it.",
    )
    expect(close(given, Q), "Not yet: whole, but another number. Which four links make the plaquette at x?")


@checker("(Σw)²/(nΣw²), after the largest has been taken away: log-weights may be any size.")
def ess(f: Any) -> None:
    """``ess(log_w)`` → the effective sample size as a share of n, for log-weights ``(n,)``."""
    log_w = 0.8 * torch.randn(50, generator=runtime.generator("an exercise on weights"), dtype=torch.float64)
    w = log_w.exp()
    wanted = float(w.sum() ** 2 / (len(w) * (w**2).sum()))
    given = torch.as_tensor(f(log_w))
    expect(given.numel() == 1, f"One number for all samples, got the shape {tuple(given.shape)}.")
    value = float(given)

    def near(other: float) -> bool:
        return abs(value - other) < 1e-6 * max(1.0, abs(other))

    expect(not near(1 / wanted), "Upside down: with equal weights both are 1, but a share is never larger.")
    expect(not near(wanted * len(w)), "That is a number of samples. As a share of them, divide by n.")
    expect(not near(wanted / len(w)), "You divide by n once too often: equal weights should give 1.")
    expect(not near(float(w.sum() ** 2 / (w.sum() * len(w)))), "Below the line stand the squares of the weights.")
    expect(
        not near(float(log_w.sum() ** 2 / (len(w) * (log_w**2).sum()))),
        "These are the logarithms of the weights: what is w?",
    )
    expect(not near(math.sqrt(wanted)), "That is its root: both sums are of second order in w.")
    expect(not near(float(w.mean() ** 2)), "And ⟨w²⟩? Weights with another unit must give the same share.")
    expect(near(wanted), f"Not yet: for these weights it is {wanted:.4f}, you return {value:.4f}.")
    large = float(torch.as_tensor(f(log_w + 900.0)))
    expect(
        abs(large - wanted) < 1e-6,
        "Right for small log-weights. At log w ≈ 900 the exponential is infinite: take the largest away first.",
    )

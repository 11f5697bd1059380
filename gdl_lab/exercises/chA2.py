"""Checkers of chapter A2: counting on a surface, slopes in raw units, the natural slope, where D is the same."""

from __future__ import annotations

import math
from itertools import combinations, pairwise
from typing import Any

import torch
from torch import Tensor

from gdl_lab import runtime
from gdl_lab.exercises.verdict import checker, close, expect

__all__ = ["counts", "raw_slope", "same", "slope"]

CUBE = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
PYRAMID = [[0, 1, 2, 3, 4, 5], *([k, 6, (k + 1) % 6] for k in range(6))]


def _ring(n: int = 4, m: int = 3) -> list[list[int]]:
    """A polyhedron with a hole: n·m quadrilaterals around a torus."""
    at = [[m * (i % n) + j % m for j in range(m + 1)] for i in range(n + 1)]
    return [[at[i][j], at[i + 1][j], at[i + 1][j + 1], at[i][j + 1]] for i in range(n) for j in range(m)]


@checker("Counted, not computed: on the ring V − E + F is 0, and your function says so.")
def counts(f: Any) -> None:
    """``counts(faces)`` → (V, E, F), from each face's list of corners in order around it."""
    for name, faces, (V, E, F) in (
        ("a pyramid over a hexagon", PYRAMID, (7, 12, 7)),
        ("the cube", CUBE, (8, 12, 6)),
        ("a ring of 12 quadrilaterals, which has a hole", _ring(), (12, 24, 12)),
    ):
        given = tuple(int(c) for c in f([list(face) for face in faces]))
        expect(len(given) == 3, f"Three numbers, V, E and F: got {len(given)}.")
        v, e, n = given
        sides = sum(map(len, faces))
        expect(
            given == (V, E, F) or sorted(given) != sorted((V, E, F)),
            "The right numbers in another order: V, then E, then F.",
        )
        expect(n == F, f"For {name} F is the number of faces, {F}; you return {n}.")
        expect(v != sides, f"For {name} you count a corner once for each face that it is on.")
        expect(v != V - 1, "One vertex too few: corners are numbered from 0.")
        expect(v == V, f"For {name} V is {V}; you return {v}.")
        expect(e != sides, f"For {name} you count every side of every face, and each edge belongs to two faces.")
        expect(
            e != V + F - 2 or E == V + F - 2,
            "That is Euler's formula, which the number was to test. With a hole it does not hold.",
        )
        diagonals = len({frozenset(pair) for face in faces for pair in combinations(face, 2)})
        expect(e != diagonals, f"For {name} you count diagonals too: only corners next to each other are joined.")
        expect(e == E or e != 3 * F // 2, "That is 3F/2, which is right only where all faces are triangles.")
        unclosed = len({frozenset(pair) for face in faces for pair in pairwise(face)})
        expect(e == E or e != unclosed, "The last corner of a face is joined to the first: that edge is missing.")
        expect(e == E, f"For {name} E is {E}; you return {e}.")


@checker("An output's unit above, an input's below: the chain rule keeps the books.")
def raw_slope(f: Any) -> None:
    """``raw_slope(g, sd_x, sd_y)`` → ∂F/∂x in raw units (n, k), from g = ∂(F/sd_y)/∂(x/sd_x)."""
    rng = runtime.generator("exercises on slopes")
    g = torch.randn(5, 3, generator=rng, dtype=torch.float64)
    sd_x, sd_y = torch.tensor([2.0, 30.0, 0.4], dtype=torch.float64), torch.tensor(7.0, dtype=torch.float64)
    given = torch.as_tensor(f(g, sd_x, sd_y)).detach()
    expect(given.shape == g.shape, f"A slope for each example and feature: expected (5, 3), got {tuple(given.shape)}.")
    expect(not close(given, g), "Nothing is rescaled: these are slopes of one standard deviation by another.")
    expect(
        not close(given, g * sd_x * sd_y) and not close(given, g * sd_x),
        "You multiply by the deviations of the features: that is how far F moves when x moves by one of them.",
    )
    expect(not close(given, g * sd_x / sd_y), "Upside down: the output's deviation goes above, the feature's below.")
    expect(not close(given, g / sd_x), "In x's units, but not in faces: g is the slope of the standardised output.")
    expect(not close(given, g * sd_y), "In faces, but for a standard deviation of x each: divide by it.")
    expect(not close(given, g / sd_x / sd_y), "The output was divided by sd_y. To undo this, which way does it go?")
    expect(close(given, g * sd_y / sd_x), "Not yet: F = sd_y · F̃(x/sd_x) + …, and F̃ has the slope g.")


@checker("Re(λ/μ): set out at right angles to μ; where you next meet the meridian is λ − s·μ, and s is the slope.")
def slope(f: Any) -> None:
    """``slope(longitude, meridian)`` → the natural slope of each knot, from λ > 0 (n,) and μ complex (n,)."""
    rng = runtime.generator("exercises on slopes of knots")
    lam = 5 + 10 * torch.rand(6, generator=rng, dtype=torch.float64)
    re, im = torch.randn(6, generator=rng, dtype=torch.float64), 0.8 + torch.rand(6, generator=rng, dtype=torch.float64)
    mu = torch.complex(re, im)
    given = torch.as_tensor(f(lam, mu)).detach()
    wanted = (lam / mu).real
    expect(given.shape == (6,), f"A number for each knot: expected the shape (6,), got {tuple(given.shape)}.")
    if given.is_complex():
        real = float(given.imag.abs().max()) <= 1e-9
        expect(not (real and close(given.real, wanted)), "The right value, as a complex number: take the real part.")
        expect(not close(torch.view_as_real(given), torch.view_as_real(lam / mu)), "That is λ/μ. The slope is real.")
    given = given.real if given.is_complex() else given
    for other, hint in (
        ((mu / lam).real, "That is Re(μ/λ): the quotient the other way up."),
        (lam / re, "Re(λ/μ) is not λ/Re(μ): the real part of a quotient is taken after dividing."),
        (lam / mu.abs(), "Without direction: that is |λ/μ|, which is the same for the mirror image."),
        ((lam / mu).imag, "That is the imaginary part. It does not change its sign in the mirror; the signature does."),
        ((lam / mu.conj()).imag, "That is an imaginary part. In the mirror it stays; the signature changes its sign."),
        (-wanted, "The sign: for Re μ > 0 the slope is positive."),
        (wanted / 2, "Half of it: that is what the theorem compares the signature with, and not the slope."),
    ):
        expect(not close(given, other), hint)
    expect(close(given, wanted), "Not yet: the real part of λ/μ, with λ real and μ complex.")


@checker("A cycle of three, and the other three have the other sign: the group S₃ and its sign.")
def same(f: Any) -> None:
    """``same(x)`` → two other arguments, functions of the complex numbers x (n,), at which D has the value D(x)."""
    rng = runtime.generator("exercises on D")
    x = torch.complex(*torch.randn(2, 7, generator=rng, dtype=torch.float64))
    given = list(f(x))
    expect(len(given) == 2, f"Two other arguments, as a pair: got {len(given)}.")
    found = [torch.as_tensor(one).to(torch.complex128) for one in given]
    expect(all(one.shape == x.shape for one in found), "An argument for each x: keep the shape.")
    even, odd = {"x": x, "1/(1 − x)": 1 / (1 - x), "(x − 1)/x": (x - 1) / x}, {"1/x": 1 / x, "1 − x": 1 - x,
                                                                              "x/(x − 1)": x / (x - 1)}  # fmt: skip
    for one in found:
        expect(
            not any(_equal(one, other.conj()) for other in odd.values()),
            "There D has the value D(x), but the conjugate of x is no rational function of x.",
        )
        expect(not _equal(one, x), "x itself is one of the three; which are the other two?")
        for name, other in odd.items():
            expect(not _equal(one, other), f"At {name} D is −D(x): a move changes the sign; make an even number.")
        expect(not _equal(one, x.conj()), "At the conjugate of x, D is −D(x), and that is no rational function of x.")
        expect(
            any(_equal(one, other) for other in even.values()),
            f"Not yet: at x = {complex(x[0]):.2f} you return {complex(one[0]):.2f}, where D is another.",
        )
    expect(not _equal(*found), "Twice the same: do the two moves in the other order too.")


def _equal(a: Tensor, b: Tensor) -> bool:
    return bool(a.isfinite().all()) and math.isclose(float((a - b).abs().max()), 0, abs_tol=1e-8)

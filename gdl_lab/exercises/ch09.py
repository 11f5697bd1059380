"""Checkers of chapter 09: another frame, one step of transport, a circle of latitude, the integral, a kernel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gdl_lab import runtime
from gdl_lab.exercises.verdict import checker, close, expect

__all__ = ["change", "integral", "kernel", "latitude", "step"]


def _normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=runtime.generator("exercises on surfaces", *shape), dtype=torch.float64)


def _phase(angle: Tensor) -> Tensor:
    return torch.polar(torch.ones_like(angle), angle)


def _same(given: Any, wanted: Tensor) -> bool:
    given = torch.as_tensor(given).detach().cpu().to(torch.complex128).resolve_conj()
    wanted = wanted.to(torch.complex128).resolve_conj()
    return given.shape == wanted.shape and close(torch.view_as_real(given), torch.view_as_real(wanted))


@checker("Frames turn one way, coefficients the other, and a field of spin n turns n times as far.")
def change(f: Any) -> None:
    """``change(v, spin, angle)`` → coefficients (k,) in frames turned by ``angle``, of those in the old frames."""
    v, a = torch.complex(*_normal(2, 7)), _normal(7)
    for n in (1, 0, 2):
        given = torch.as_tensor(f(v, n, a))
        expect(given.shape == (7,), f"A coefficient for each point: expected the shape (7,), got {tuple(given.shape)}.")
        if n:
            expect(
                not _same(given, v * _phase(n * a)),
                "You turn the coefficient with the frame: where the frame is at 10°, an arrow at 10° has the angle 0.",
            )
            expect(not _same(given, v), "The coefficient stays as it is only for spin 0: the arrow has not moved.")
        if n != 1:
            for sign in (-1, 1):
                expect(
                    not _same(given, v * _phase(sign * a)),
                    f"That is right for arrows, up to a sign at most. A field of spin {n} turns {n} times as far.",
                )
        expect(
            not _same(given, v.conj() * _phase(-n * a)) or _same(given, v * _phase(-n * a)),
            "v is conjugated: that is what a mirror does. A turn only multiplies by a phase.",
        )
        expect(
            _same(given, v * _phase(-n * a)),
            f"Not yet, for spin {n}: g⁻¹ acts, and on a field of spin n the angle g acts as e^(i n g).",
        )


@checker("A rotation about x × y, and nothing turns about the normal: that is parallel transport.")
def step(f: Any) -> None:
    """``step(v, x, y)`` → the tangent vector v at x, carried along the great circle to y, for unit vectors x and y."""
    x, y, v = (one / one.norm() for one in _normal(3, 3))
    y, v = 0.6 * y + x, v - (v @ x) * x
    y = y / y.norm()
    wanted = v - (v @ y) / (1 + x @ y) * (x + y)
    given = torch.as_tensor(f(v, x, y)).detach()
    expect(given.shape == (3,), f"An arrow is a vector of ℝ³: expected the shape (3,), got {tuple(given.shape)}.")
    given, flat = given.to(v), v - (v @ y) * y
    expect(not close(given, v), "v as it was: at y it sticks out of the tangent plane.")
    expect(
        not close(given, flat),
        "A projection makes arrows shorter: compare the lengths. A rotation keeps them.",
    )
    expect(
        not any(close(given, flat / flat.norm() * size) for size in (1.0, float(v.norm()))) or close(given, wanted),
        "A projection with its length mended. Only the part along the way was too short, so the arrow is turned too.",
    )
    expect(
        not close(given, v - 2 * (v @ y) * y),
        "A reflection in the plane across y: it does not take x to y, and the result is not tangent there.",
    )
    expect(
        not close(given, v - (v @ y) / (1 - x @ y) * (y - x)),
        "That is a reflection: arrows along the way come out backwards. Which rotation takes x to y?",
    )
    expect(abs(float(given @ y)) < 1e-6, "The result is not tangent at y: its product with y should be zero.")
    expect(abs(float(given.norm() - v.norm())) < 1e-6, "The length changes. Parallel transport keeps it.")
    expect(
        close(given, wanted),
        "Tangent and as long as v, but turned about the normal: v's angle with the great circle has to stay.",
    )


@checker("K is 1/R² and the area R² times as large: the angle is the solid angle, on every sphere.")
def latitude(f: Any) -> None:
    """``latitude(theta, R)`` → the angle of holonomy of the circle at θ from the pole of a sphere of radius R."""
    for theta, R in ((0.7, 1.0), (1.1, 2.0), (2.0, 0.5)):
        given = torch.as_tensor(f(theta, R))
        expect(given.numel() == 1, f"An angle is one number, got the shape {tuple(given.shape)}.")
        value, wanted = float(given), 2 * math.pi * (1 - math.cos(theta))

        def near(other: float, value: float = value) -> bool:
            return abs(math.remainder(value - other, 2 * math.pi)) < 1e-4

        if R != 1:
            expect(
                not near(R**2 * wanted),
                "That is the area. The holonomy is ∫K dA, and on a sphere of radius R, K is not one.",
            )
            expect(
                not near(wanted / R**2),
                "You have put in K = 1/R² for the area of a cap of the unit sphere; the cap is larger too.",
            )
        expect(  # up to full turns both of these are the circle run through the other way, so as they stand
            not abs(value - 2 * math.pi * math.cos(theta)) < 1e-4,
            "By 2π cos θ the arrow turns, clockwise, against a frame along the circle. And against its own start?",
        )
        expect(
            not abs(value - 2 * math.pi * (1 + math.cos(theta))) < 1e-4,
            "That is the other cap, to the right of the circle.",
        )
        expect(
            not near(-wanted),
            "The other way round: anticlockwise about a pole where K > 0, arrows turn anticlockwise too.",
        )
        expect(not abs(value - math.degrees(wanted)) < 1e-2, "In degrees. All angles here are in radians.")
        expect(
            not near(4 * math.pi * math.sin(theta / 2) ** 4) and not abs(value - (1 - math.cos(theta)) / 2) < 1e-4,
            "That is a share of the sphere. The whole sphere has 4π, a cap 2π(1 − cos θ).",
        )
        expect(
            not near(2 * math.pi * math.sin(theta)),
            "2π sin θ is the length of the circle. What counts is the curvature inside.",
        )
        expect(
            abs(value - wanted) < 1e-4 or near(wanted),
            f"Not yet: at θ = {theta}, R = {R} it is {wanted:.4f}, up to full turns, you return {value:.4f}.",
        )


@checker("In polar coordinates dX is r dr dθ, √det g is sin r / r, and their product the length of a circle.")
def integral(f: Any) -> None:
    """``integral(f, r, w)`` → ∫ f √det g dX over a disc of the unit sphere, for f of r alone, by nodes and weights."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    r, w = torch.from_numpy(nodes + 1) * 0.9, torch.from_numpy(weights) * 0.9

    def even(r: Tensor) -> Tensor:
        return 1 + r.cos() ** 2

    given = torch.as_tensor(f(even, r, w)).detach()
    expect(given.numel() == 1, f"An integral is one number, got the shape {tuple(given.shape)}.")
    value, values = float(given), w * even(r)

    def near(other: Tensor) -> bool:
        return abs(value - float(other)) < 1e-6 * max(1.0, abs(float(other)))

    tau = 2 * math.pi
    expect(
        not near(tau * (values * r).sum()),
        "That is the disc in the plane: on the sphere circles are shorter. Where is √det g?",
    )
    expect(
        not near(tau * (values * r.sin() / r).sum()),
        "√det g is there, the r of polar coordinates is not: dX = r dr dθ.",
    )
    expect(
        not near(tau * (values * r * r.sin()).sum()), "One r too many: √det g is sin r / r, and sin r has it already."
    )
    expect(not near((values * r.sin()).sum()), "One ray only: f is the same on all of them, θ adds up to 2π.")
    expect(not near(tau * values.sum()), "Neither r nor √det g: you integrate over a strip, not over a disc.")
    expect(
        not near(tau * (even(r) * r.sin()).mean() * 1.8) and not near(tau * (even(r) * r.sin()).sum()),
        "You count all nodes alike: where is w?",
    )
    expect(
        near(tau * (values * r.sin()).sum()),
        f"Not yet: for f = 1 and radius R it is the area of a cap, 2π(1 − cos R). Here it is "
        f"{float(tau * (values * r.sin()).sum()):.4f}, you return {value:.4f}.",
    )


@checker("It turns by m − n of the angle: out with m, in with n.")
def kernel(f: Any) -> None:
    """``kernel(theta, n, m)`` → κ on a ring, (k,) complex with κ(0) = 1, from fields of spin n to fields of spin m."""
    theta = torch.linspace(0, 2 * math.pi, 9, dtype=torch.float64)[:-1] + 0.1
    for n, m in ((0, 1), (1, 3), (1, 1), (3, 1)):
        given = torch.as_tensor(f(theta, n, m)).detach()
        where = f"from spin {n} to spin {m}"
        expect(given.shape == (8,), f"A number for each θ: expected the shape (8,), got {tuple(given.shape)}.")

        def is_phase(frequency: int, given: Tensor = given) -> bool:
            return _same(given, _phase(frequency * theta))

        if n > m:
            expect(not is_phase(n - m), f"{where.capitalize()}, m − n is negative, and its sign counts: not |m − n|.")
        if n != m:
            expect(
                not is_phase(n - m),
                f"{where.capitalize()}, you turn by n − m: that is the talk's line with X turned. Try it at one k.",
            )
            expect(
                not _same(given, ((m - n) * theta).cos()),
                "A real cosine is two frequencies, and between complex fields only one of them is allowed.",
            )
        if n:
            expect(
                not is_phase(m + n),
                f"{where.capitalize()}, m + n: right for kernels that also conjugate the field, between real fields.",
            )
            expect(not is_phase(m), f"{where.capitalize()}, the spin that comes in matters too.")
        expect(
            is_phase(m - n) or not _same(given / given[0], _phase((m - n) * (theta - theta[0]))),
            "The frequency is right. κ(0) should be 1.",
        )
        expect(is_phase(m - n), f"Not yet, {where}: κ(θ + k) should be e^(i m k) κ(θ) e^(−i n k).")

"""Checkers of chapter 08: a mean over the sphere, both convolutions, a conjugate, the size of a spectrum."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gdl_lab import runtime
from gdl_lab.exercises.verdict import checker, close, expect
from gdl_lab.sphere import random_rotations, spectrum_size

__all__ = ["coefficients", "first_layer", "mean", "second_layer", "size"]


def _normal(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=runtime.generator("exercises on the sphere", *shape), dtype=dtype)


@checker("The circle at β has the length 2π sin β: every row of the chart counts by its area.")
def mean(f: Any) -> None:
    """``mean(signal, beta)`` → ∫ f dx of mass 1 for a signal (n_beta, n_alpha) at equidistant β between 0 and π."""
    beta = (torch.arange(400, dtype=torch.float64) + 0.5) * math.pi / 400
    alpha = torch.arange(60, dtype=torch.float64) * 2 * math.pi / 60
    z, up = beta.cos()[:, None], beta.sin()[:, None] * alpha.cos()
    signal = 0.7 + z**2 + 0.5 * z + up  # the mean of z² is 1/3
    given = torch.as_tensor(f(signal, beta)).double()
    expect(given.numel() == 1, f"The mean is one number, got the shape {tuple(given.shape)}.")
    value, wanted = float(given), 0.7 + 1 / 3

    def near(other: float) -> bool:
        return abs(value - other) < 1e-3 * max(1.0, abs(other))

    rows = signal.mean(1)
    expect(
        not near(float(rows.mean())),
        "You count all points of the chart alike. A row near a pole is a small circle: where is sin β?",
    )
    expect(not near(4 * math.pi * wanted), "That is the integral over a sphere of area 4π. Our measure has mass 1.")
    expect(
        not near(float((signal * beta.sin()[:, None]).mean())),
        "Your weights do not add up to one: ask for the mean of the constant signal 1.",
    )
    expect(
        not near(float((signal * beta.sin()[:, None]).sum())),
        "A sum grows with the grid. Divide by that of the weights.",
    )
    expect(not near(2 * wanted), "That is twice the mean: from pole to pole sin β dβ adds up to 2.")
    expect(abs(value) < 1e3, "Your weights add up to nothing: cos β is negative in the south. What is never negative?")
    expect(
        not near(float((rows * beta.cos().abs()).sum() / beta.cos().abs().sum())),
        "cos β is largest at the poles. It is β from the pole, not the latitude, that is given.",
    )
    expect(near(wanted), f"Not yet: for this signal it is {wanted:.4f}, you return {value:.4f}.")


@checker("κ is carried to R and compared with f there: R⁻¹ under κ, and dx with its weights.")
def first_layer(f: Any) -> None:
    """``first_layer(kappa, f, R, x, w)`` → ∫ κ(R⁻¹x) f(x) dx by points x (n, 3) and weights w (n,) of sum 1."""
    a, b = _normal(3), _normal(3)
    z, weights = np.polynomial.legendre.leggauss(6)
    alpha = torch.arange(12, dtype=torch.float64) * 2 * math.pi / 12
    y = torch.from_numpy(z)[:, None].expand(6, 12)
    r = (1 - y**2).sqrt()
    x = torch.stack([r * alpha.sin(), y, r * alpha.cos()], -1).reshape(-1, 3)
    w = torch.from_numpy(weights / 24)[:, None].expand(6, 12).reshape(-1)
    R = random_rotations(1, runtime.generator("an exercise"))[0]

    def kappa(x: Tensor) -> Tensor:
        return x @ a + (x @ b) ** 2 + 0.5

    def signal(x: Tensor) -> Tensor:
        return x[..., 0] * x[..., 1] + x[..., 2] + 0.3

    given = torch.as_tensor(f(kappa, signal, R, x, w))
    expect(given.numel() == 1, f"(κ⋆f)(R) at one R is one number, got the shape {tuple(given.shape)}.")
    given = given.reshape(())
    turned, back = kappa(x @ R), kappa(x @ R.T)
    expect(
        not close(given, w @ (back * signal(x))),
        "That is the convolution at R⁻¹. R⁻¹ stands under κ, and for rows x, R⁻¹x is `x @ R`: it is the transpose.",
    )
    expect(not close(given, (turned * signal(x)).mean()), "You count all points alike: where is w, the area of each?")
    expect(not close(given, (turned * signal(x)).sum()), "A sum without weights is no integral: where is w?")
    expect(
        not close(given, w @ (kappa(x) * signal(x))),
        "R drops out: it does not occur, or you turn both functions, and then nothing has turned. f stays.",
    )
    expect(not close(given, 4 * math.pi * (w @ (turned * signal(x)))), "Our dx has mass 1: the weights add up to one.")
    expect(close(given, w @ (turned * signal(x))), "Not yet: κ at R⁻¹x times f at x, times w, and then the sum.")


@checker("f has the index on which rotations act, κ the conjugate.")
def coefficients(f: Any) -> None:
    """``coefficients(f_l, kappa_l)`` → A (2l+1, 2l+1), complex, so that κ⋆f = Σ A_mn D̄^l_mn in the complex basis."""
    a, b = (torch.complex(*_normal(2, 5, k)[..., 0]) for k in (1, 2))
    given = torch.as_tensor(f(a, b))
    expect(given.shape == (5, 5), f"A number for each m and n: expected the shape (5, 5), got {tuple(given.shape)}.")

    def is_outer(left: Tensor, right: Tensor) -> bool:
        wanted = left[:, None] * right
        return close(torch.view_as_real(given.to(wanted).resolve_conj()), torch.view_as_real(wanted.resolve_conj()))

    expect(
        not is_outer(b, a),
        "That is the slide's line, κ_m f_n: m, on which rotations act, belongs to f. And one factor is conjugated.",
    )
    expect(not is_outer(a, b), "The order is right. For real f and κ, one factor still has to be conjugated.")
    expect(not is_outer(b.conj(), a), "The conjugate is right. But rotations of f act on m: which of the two has it?")
    expect(not is_outer(a.conj(), b), "These belong to D^l_mn. The question is for its conjugate.")
    expect(not is_outer(b, a.conj()), "Both halves are the other way round: order and conjugate.")
    expect(not is_outer(a.conj(), b.conj()), "One of the two is conjugated, not both.")
    expect(
        not is_outer(a / math.sqrt(5), b.conj()),
        "Order and conjugate are right. The root belongs to the orthonormal basis; A goes with D̄ itself.",
    )
    expect(
        is_outer(a, b.conj()),
        "Not yet: take f_m and κ_n from the proof, after the last of its steps for the first layer.",
    )


@checker("A product of matrices for each degree, and the root that our orthonormal basis asks for.")
def second_layer(f: Any) -> None:
    """``second_layer(F_l, psi_l)`` → (ψ⋆F)^l of the real, orthonormal basis, for matrices (2l+1, 2l+1)."""
    for l in (2, 3):  # noqa: E741
        n = 2 * l + 1
        F, psi = _normal(n, n), _normal(n, n + 1)[:, :-1]
        given, root = torch.as_tensor(f(F, psi)), math.sqrt(n)
        expect(given.shape == (n, n), f"Expected a matrix of shape {(n, n)}, got {tuple(given.shape)}.")
        expect(
            not close(given, F @ psi),
            "The slide's line, with ψ in units of its own: in our orthonormal basis √(2l+1) is missing.",
        )
        expect(not close(given, F @ psi / n), "You divide by 2l+1. The basis is √(2l+1) D̄: one root is left over.")
        expect(not close(given, F @ psi * root), "You multiply by the root: ∫ D² = 1/(2l+1), so it divides.")
        for wrong in (psi @ F, psi @ F / root):
            expect(
                not close(given, wrong), "The other order: m, on which rotations act, has to stay with F, on the left."
            )
        for wrong in (F @ psi.T, F @ psi.T / root):
            expect(not close(given, wrong), "ψ is transposed: that is the layer with ψ(S⁻¹R), a correlation.")
        for wrong in (F * psi, F * psi / root):
            expect(not close(given, wrong), "Entry by entry is no convolution: k is summed over.")
        expect(
            not close(given, F.T @ psi / root),
            "F is transposed: rotations act on its first index, and have to stay there.",
        )
        expect(close(given, F @ psi / root), f"Not yet, at l = {l}: (ψ⋆F)_mn = Σ_k F_mk ψ_kn / √(2l+1).")


@checker("L degrees, from 0 to L−1, with (2l+1)² numbers each: cubic in L, like the grid.")
def size(f: Any) -> None:
    """``size(L)`` → how many coefficients a function on SO(3) of bandlimit L has."""
    for L in (3, 5, 10):
        given = f(L)
        value, wanted = float(torch.as_tensor(given)), spectrum_size(L)
        expect(
            value != spectrum_size(L + 1),
            f"For L = {L} you count {L + 1} degrees: bandlimit L means l = 0 … L−1.",
        )
        expect(value != spectrum_size(L - 1), f"For L = {L} you stop a degree too early: L−1 is one of them.")
        expect(value != wanted - 1, "You leave out l = 0, a constant: it has one number.")
        expect(value != L**2, "That is the sphere's, Σ(2l+1) = L². On SO(3) there are two indices, m and n.")
        expect(value != (2 * L) ** 3, "That is a grid. There are fewer coefficients than points.")
        expect(value != (2 * L - 1) ** 2, "That is the last degree alone: add up all of them.")
        expect(value == wanted, f"Not yet: for L = {L} there are {wanted} coefficients, you count {value:g}.")

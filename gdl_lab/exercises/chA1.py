"""Checkers of appendix A1: a layer's kernel, an angle with all its digits, mean and covariance, copies that close."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from gdl_lab import runtime
from gdl_lab.exercises.verdict import checker, close, expect

__all__ = ["angle", "covariance", "layer", "mean", "turned_copies"]


def _normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=runtime.generator("exercises on width", *shape), dtype=torch.float64)


def _positive(n: int) -> Tensor:
    x = _normal(n, n + 3)
    return x @ x.mT / (n + 3)


def _shape(given: Any, *shape: int) -> Tensor:
    given = torch.as_tensor(given).detach()
    expect(given.shape == shape, f"Expected the shape {shape}, got {tuple(given.shape)}.")
    return given.double()


@checker("On the diagonal θ = 0, and q/2 is left: ReLU silences half of what comes in.")
def layer(f: Any) -> None:
    """``layer(K, sw2, sb2)`` → the covariance (n, n) after one more layer of ReLU, from the one before."""
    K = _positive(4)
    q = K.diagonal().sqrt()
    root = torch.outer(q, q)
    theta = (K / root).clamp(-1, 1).fill_diagonal_(1).arccos()
    kept = (theta.sin() + (math.pi - theta) * theta.cos()) / (2 * math.pi)
    for sw2, sb2 in ((1.5, 0.2), (2.0, 0.3), (2.0, 0.0)):
        given, wanted = _shape(f(K, sw2, sb2), 4, 4), sw2 * root * kept + sb2
        expect(given.isfinite().all(), "Not finite: on the diagonal rounding makes cosines of 1.0000000000000002.")
        expect(
            not close(given, sw2 * kept + sb2),
            "Right for vectors of length 1: you have left out √(qq′), how large u and v are.",
        )
        expect(
            not close(given, sw2 * (math.pi - theta) / (2 * math.pi) + sb2),
            "That is E relu′(u)relu′(v), which the NTK needs. Here relu(u) and relu(v) are multiplied.",
        )
        expect(
            not close(given, sw2 * root * (theta.sin() + theta * theta.cos()) / (2 * math.pi) + sb2),
            "At θ = 0 it should be the largest, and u and v are active together. θ where π − θ belongs?",
        )
        expect(not close(given, wanted - sb2) or sb2 == 0, "σ_b² is missing: each unit has a bias of its own.")
        expect(not close(given, root * kept + sb2), "σ_w² is missing.")
        expect(
            not close(given, wanted * 2 - sb2) and not close(given, wanted / 2 + sb2 / 2),
            "Wrong by a factor of 2: on the diagonal E relu(u)² is half of E u².",
        )
        expect(
            close(given, given.mT) or not close(given.diagonal(), wanted.diagonal()),
            "Right on the diagonal, but not symmetric: √(qq′) needs q of the row and q′ of the column.",
        )
        expect(close(given, wanted), "Not yet: on the diagonal it should be σ_w² q/2 + σ_b². Begin with θ there.")


@checker("Differences of nearly equal vectors lose nothing, cosines near 1 lose half of the digits.")
def angle(f: Any) -> None:
    """``angle(u, v)`` → angles (n,) in radians between the rows of u and v, to the last digits."""
    wide = torch.tensor([0.3, 1.2, 2.5, 3.1], dtype=torch.float64)
    size = torch.tensor([[0.7], [2.0], [0.3], [1.1]], dtype=torch.float64)
    u = torch.tensor([[1.5, 0.0, 0.0]], dtype=torch.float64) / size

    def other(theta: Tensor) -> Tensor:
        return size * torch.stack([theta.cos(), theta.sin() / 2, theta.sin() * math.sqrt(0.75)], 1)

    given = _shape(f(u, other(wide)), 4)
    expect(not close(given, torch.rad2deg(wide)), "In degrees. All angles here are in radians.")
    expect(not close(given, wide.cos()), "That is the cosine of the angle.")
    expect(given.isfinite().all(), "Not finite: u and v are not of length 1.")
    expect(not close(2 * given, wide), "Half of the angle: the diagonals of the rhombus know θ/2.")
    expect(not close(math.pi - given, wide), "That is π − θ. In `torch.atan2(y, x)` the sine comes first.")
    expect(not close(given, 2 * (wide / 2).sin()), "That is the chord |u − v| of unit vectors. The angle is the arc.")
    folded = torch.minimum(wide, math.pi - wide)
    expect(
        not close(given, folded), "Right up to a right angle, and 3.1 comes out as 0.04: the sine alone cannot tell."
    )
    expect(close(given, wide), "Not yet: u and v have lengths other than 1, and the angle does not depend on them.")
    small = torch.tensor([1e-3, 1e-6, 1e-9, 0.0], dtype=torch.float64)
    given = _shape(f(u, other(small)), 4)
    expect(
        bool(((given - small).abs() <= 1e-9 * small + 1e-15).all()),
        f"Right for wide angles. But 1e-9 comes out as {float(given[2]):.2g}: near 1, where the cosine is flat, arccos "
        "cannot see angles below √ε ≈ 1e-8. What does see them?",
    )
    near = torch.full((4,), math.pi, dtype=torch.float64) - small
    given = _shape(f(u, other(near)), 4)
    expect(
        bool(((given - near).abs() < 1e-14).all()),
        "Small angles are right. Those near π have lost half of their digits.",
    )


@checker("The residual shrinks by (1 − ηΘ) each step, on the training points; Θ(x, X) carries it elsewhere.")
def mean(f: Any) -> None:
    """``mean(theta_at, theta, y, rate, t)`` → E f_t (m, k), with Θ(x, X) (m, n), Θ(X, X) (n, n), y (n, k)."""
    theta, theta_at, y, one = _positive(5), _normal(3, 5), _normal(5, 2), torch.eye(5, dtype=torch.float64)
    rate = 0.9 / float(torch.linalg.eigvalsh(theta)[-1])
    inverse = torch.linalg.inv(theta)
    for t in (1, 7):
        left = torch.linalg.matrix_power(one - rate * theta, t)
        given, wanted = _shape(f(theta_at, theta, y, rate, t), 3, 2), theta_at @ inverse @ (one - left) @ y
        expect(
            not close(given, theta_at @ inverse @ (one - torch.matrix_exp(-rate * t * theta)) @ y),
            "That is gradient flow, exp(−ηΘt), the limit of small steps. These steps are not small.",
        )
        for entries in (1 - (1 - rate * theta) ** t, one - (one - rate * theta) ** t):
            expect(
                t == 1 or not close(given, theta_at @ inverse @ entries @ y),
                "`**` takes powers of entries. (1 − ηΘ)ᵗ is the power of a matrix, `torch.linalg.matrix_power`.",
            )
        late = theta_at @ inverse @ (one - rate * theta) @ (one - left) @ y
        expect(not close(given, late), "Both take the residual from before the step; yours at x takes it from after.")
        expect(
            not close(given, theta_at @ inverse @ y), "That is the end of training, t = ∞. How far is it after t steps?"
        )
        expect(
            not close(given, theta_at @ inverse @ left @ y),
            "What you return shrinks to zero: it is the part that is still to be learned.",
        )
        expect(
            not close(given, theta_at @ (one - left) @ y),
            "Θ⁻¹ is missing: at the training points, Θ(x, X) = Θ, the mean should tend to y.",
        )
        expect(
            not close(given, rate * theta_at @ torch.linalg.matrix_power(one - rate * theta, t - 1) @ y) or t == 1,
            "That is the last step alone. The mean is the sum of all of them.",
        )
        expect(not close(given, t * rate * theta_at @ y) or t == 1, "You take t times the first step.")
        expect(
            close(given, wanted), f"Not yet, at t = {t}: f₁ = η Θ(x, X) y, and f_t − y = (1 − ηΘ)(f_(t−1) − y) on X."
        )


@checker("f_t(x) = f_0(x) + A(y − f_0(X)): only f_0 is random, and its covariance is K.")
def covariance(f: Any) -> None:
    """``covariance(K_at, cross, K, A)`` → Cov f_t (m, m), with K(x, x), K(x, X) (m, n), K(X, X) and A (m, n)."""
    whole, A = _positive(8), _normal(3, 5)
    K_at, cross, K = whole[:3, :3], whole[:3, 3:], whole[3:, 3:]
    given = _shape(f(K_at, cross, K, A), 3, 3)
    both = A @ cross.mT
    expect(
        not close(given, K_at - cross @ torch.linalg.solve(K, cross.mT)),
        "That is the posterior, what Bayes' rule leaves. A trained ensemble has this A instead of K(x, X)K⁻¹.",
    )
    expect(
        not close(given, K_at + A @ K @ A.mT),
        "As if f_0(x) and f_0(X) were independent. They are values of one network: where are the mixed terms?",
    )
    expect(not close(given, K_at + both + both.mT + A @ K @ A.mT), "The sign: f_0(X) enters with −A.")
    expect(not close(given, K_at - A @ K @ A.mT), "(f − A f′)² has three terms, and the last of them is positive.")
    for half in (both, both.mT):
        expect(
            not close(given, K_at - 2 * half + A @ K @ A.mT) and not close(given, K_at - half + A @ K @ A.mT),
            "A covariance is symmetric: of the mixed term you need A K(X, x) and its transpose, once each.",
        )
    expect(
        close(given, K_at - both - both.mT + A @ K @ A.mT),
        "Not yet: write f_0(x) − A f_0(X) as one matrix times the values of f_0, and square.",
    )


@checker("Each copy sees the picture turned; turn the picture, and the copies change places.")
def turned_copies(f: Any) -> None:
    """``turned_copies(W)`` → (4, n, side²): first-layer weights (n, side²) and their copies, closed under C4."""
    W, x = _normal(6, 25), _normal(2, 25)
    given = _shape(f(W), 4, 6, 25)
    expect(any(close(one, W) for one in given), "One of the four should be W itself.")
    expect(
        not all(close(one, W) for one in given),
        "Four times the same network. Its copies should see turned pictures.",
    )
    expect(
        all(close(one.sort(1).values, W.sort(1).values) for one in given),
        "Rows of a copy are rows of W with their entries in another order; yours have other entries, or other rows.",
    )
    quarter, half = (x.view(2, 5, 5).rot90(k, (1, 2)).flatten(1) for k in (1, 2))
    before, after, twice = (torch.einsum("mnp,bp->mbn", given, z) for z in (x, quarter, half))

    def same(after: Tensor) -> bool:
        return all(any(close(a, b) for b in before) for a in after)

    expect(
        same(after) or not same(twice),
        "Closed, but under half turns alone: turn by 90°, and the four say something new.",
    )
    expect(
        same(after),
        "Not closed: turn the picture by 90°, and the four do not say what they said, in another order. The 25 inputs "
        "are a picture of 5 × 5.",
    )

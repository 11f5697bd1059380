"""Checkers of chapter 05: the metric from a Jacobian, a step, an exponent, γ⁻¹v without a matrix, and the conormal."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from gdl_lab import runtime
from gdl_lab.exercises.verdict import checker, close, expect

__all__ = ["across", "apply", "inverse_metric", "slope", "step"]


@checker("Rows of J are gradients of x_i, and γ⁻¹ holds their products: a metric on X. JᵀJ would be one on Z.")
def inverse_metric(f: Any) -> None:
    """``inverse_metric(J)`` → γ⁻¹ = J Jᵀ for J = ∂x/∂z of shape (batch, D, D), rows x and columns z."""
    J = _points(5, 3, 3)
    given, right = torch.as_tensor(f(J)), J @ J.mT
    expect(
        tuple(given.shape) == (5, 3, 3),
        f"One matrix for each point: expect the shape (5, 3, 3), you return {tuple(given.shape)}.",
    )
    expect(
        not close(given, J.mT @ J),
        "That is JᵀJ, which compares directions of Z. A vector of X wants both free indices in X.",
    )
    expect(not close(given, torch.linalg.inv(right)), "That is γ, which measures vectors. Its inverse is wanted.")
    expect(not close(given, torch.linalg.inv(J.mT @ J)), "An inverse too many, and JᵀJ where J Jᵀ is meant.")
    expect(not close(given, J.square()), "You square entry by entry; a matrix product is wanted.")
    expect(not close(given, J @ J), "The transpose is missing: J J is no metric, it is not even symmetric.")
    expect(
        not close(given, (J + J.mT) / 2) and not close(given, J + J.mT), "Symmetric, but J itself: a product is wanted."
    )
    expect(not close(given, J * J.mT), "Entry by entry again: for matrices the product is @.")
    expect(
        not close(given, torch.einsum("bij,cjk->bik", J, J.mT)),
        "The points are mixed: each has a metric of its own.",
    )
    expect(close(given, right), "Not yet: for J = diag(2, 1) the answer is diag(4, 1).")


@checker("The metric is known at z and used at x: that is γ⁻¹(x) = (∂g/∂z ∂g/∂zᵀ)(g⁻¹(x)), as on the slide.")
def step(f: Any) -> None:
    """``step(x, lam, gradient, pull, jacobian)`` → x + λ γ⁻¹(x) ∂f/∂x(x), x of shape (batch, D)."""
    x, lam = _points(5, 3) / 2, 0.1
    given = f(x, lam, _gradient, _pull, _jacobian)
    z, df = _pull(x), _gradient(x)

    def moved(J: Tensor, covector: Tensor = df) -> Tensor:
        return x + lam * (J @ (J.mT @ covector[:, :, None]))[:, :, 0]

    J = _jacobian(z)
    right = moved(J)
    expect(torch.as_tensor(given).shape == x.shape, "The new points have the shape of x, (batch, D).")
    expect(not close(given, x), "Nothing has moved.")
    expect(
        not close(given, moved(_jacobian(x))),
        "You evaluate ∂g/∂z at x. It is a function on Z: where in Z is the point that g takes to x?",
    )
    expect(
        not close(given, x + lam * torch.linalg.solve(J @ J.mT, df[:, :, None])[:, :, 0]),
        "That is γ: lengths of X, not of Z. The step is long where g stretches, so γ⁻¹ = J Jᵀ is wanted.",
    )
    expect(not close(given, x + lam * df), "That is gradient ascent in X: the metric is missing.")
    expect(
        not close(given, x + lam * (J.mT @ (J @ df[:, :, None]))[:, :, 0]), "JᵀJ in place of J Jᵀ: the order counts."
    )
    expect(
        not close(given, x + lam * (J.mT @ df[:, :, None])[:, :, 0]),
        "Jᵀ∂f is the step in Z. It has yet to be pushed to X, by J.",
    )
    expect(
        not close(given, x + lam * (J @ df[:, :, None])[:, :, 0]),
        "J alone takes vectors of Z to X; ∂f is a covector of X. First Jᵀ, then J.",
    )
    expect(not close(given, moved(J, _gradient(z))), "∂f/∂x is wanted at x: you evaluate it at z.")
    expect(not close(given, moved(J) - x + z), "You start from z. The step is one in X.")
    expect(not close(given, (right - x) / lam + x), "The step size λ is missing.")
    expect(not close(given, 2 * x - right), "The sign: ascent goes up.")
    expect(not close(given, right - x), "That is the step. Add it to x.")
    expect(close(given, right), "Not yet: z from x, J at z, then x + λ J Jᵀ ∂f(x).")


@checker("Two points and a logarithm. On a logarithmic plot every power is a straight line.")
def slope(f: Any) -> None:
    """``slope(lam, r)`` → p for r = c λᵖ, given two step sizes lam = (λ₁, λ₂) and remainders r = (r₁, r₂)."""
    for lam, p, c in (((0.1, 0.02), 2.0, 0.7), ((1e-3, 3e-4), 1.5, 3.0)):
        r = tuple(c * one**p for one in lam)
        answer = torch.as_tensor(f(lam, r))
        expect(answer.numel() == 1, f"Expected one number, you return the shape {tuple(answer.shape)}.")
        given = float(answer)

        def is_it(value: float, given: float = given) -> bool:
            return math.isclose(given, value, rel_tol=1e-6)

        ratio, change = r[0] / r[1], lam[0] / lam[1]
        expect(not is_it(1 / p), "Upside down: p says how fast r changes with λ.")
        expect(not is_it(-p), "The sign: r₁/r₂ and λ₁/λ₂ are to be taken in the same order.")
        expect(
            not is_it((r[0] - r[1]) / (lam[0] - lam[1])), "That is the slope of r over λ. Take both logarithms first."
        )
        expect(not is_it(ratio / change), "You divide the ratios. Their logarithms are to be divided.")
        expect(
            not is_it(math.log(ratio)) and not is_it(math.log10(ratio)),
            "The logarithm of r₁/r₂ alone: it depends on how far apart the two λ are.",
        )
        expect(
            not is_it(math.log10(ratio) / math.log(change)) and not is_it(math.log(ratio) / math.log10(change)),
            "Two logarithms of different bases. Any base will do, if it is the same.",
        )
        expect(not is_it(math.log(r[0]) / math.log(lam[0])), "One point does not know c: use both.")
        expect(is_it(p), f"Not yet: for r = {c:g} λ^{p:g} expect {p:g}, you get {given:.4f}.")


@checker("One backward and one forward pass, and no matrix: it works for a million pixels.")
def apply(f: Any) -> None:
    """``apply(g, z, v)`` → γ⁻¹v = J(Jᵀv), J = ∂g/∂z at z; z and v of shape (batch, D)."""
    z, v = _points(5, 3) / 2, _points(5, 3, key=1)
    given = torch.as_tensor(f(_push, z, v))
    J, w = _jacobian(z), v[:, :, None]
    right = (J @ (J.mT @ w))[:, :, 0]
    expect(given.shape == v.shape, f"γ⁻¹v has the shape of v, {tuple(v.shape)}; yours has {tuple(given.shape)}.")
    expect(
        not close(given, (J.mT @ (J @ w))[:, :, 0]),
        "The order: that is JᵀJv. The covector v lives at x; it first goes back to Z, then forward again.",
    )
    expect(not close(given, (J.mT @ w)[:, :, 0]), "Half of the way: Jᵀv is in Z, and has yet to be pushed forward.")
    expect(not close(given, (J @ w)[:, :, 0]), "That is Jv, one forward derivative. First comes the backward one.")
    expect(not close(given, (J @ (J @ w))[:, :, 0]), "Forward twice; one of them goes backward: vjp.")
    expect(not close(given, (J.mT @ (J.mT @ w))[:, :, 0]), "Backward twice; the second goes forward: jvp.")
    at_v = vmap(jacrev(lambda one: _push(one[None])[0]))(v).detach()
    expect(not close(given, (at_v @ (at_v.mT @ z[:, :, None]))[:, :, 0]), "z and v have changed places.")
    expect(not close(given, _push(z)), "jvp returns a pair: g(z), and then the derivative.")
    expect(close(given, right), "Not yet: torch.func.vjp(g, z) gives a function v ↦ (Jᵀv,), torch.func.jvp the rest.")


@checker("No n, no inverse: conormals of length 1 measure distance to the manifold, and γ⁻¹ measures conormals.")
def across(f: Any) -> None:
    """``across(gamma_inv, normal)`` → γ_⊥⁻¹ = νᵀγ⁻¹ν, ν the unit conormal along ``normal``, any length; (batch,)."""
    root, normal = _points(6, 3, 3, key=2), 3 * _points(6, 3, key=3)
    gamma_inv = root @ root.mT + 0.1 * torch.eye(3, dtype=root.dtype)
    given = torch.as_tensor(f(gamma_inv, normal))
    gamma, size = torch.linalg.inv(gamma_inv), normal.square().sum(1)

    def form(A: Tensor, u: Tensor) -> Tensor:
        return torch.einsum("bi,bij,bj->b", u, A, u)

    right = form(gamma_inv, normal) / size
    n = torch.einsum("bij,bj->bi", gamma_inv, normal)
    n = n / n.norm(dim=1, keepdim=True)
    expect(tuple(given.shape) == (6,), f"One number for each point, shape (6,); you return {tuple(given.shape)}.")
    expect(
        not close(given, right * size), "The normal that you get is not of length 1, and ν is: divide by its length."
    )
    expect(not close(given, right * size.sqrt()), "ν enters twice, so its length is to be divided out twice.")
    expect(
        not close(given, 1 / form(gamma, n)),
        "You take n as a Euclidean unit vector. That is the definition that does not scale: fix ν(n) = 1 instead.",
    )
    expect(
        not close(given, size / form(gamma, normal)),
        "1/(νᵀγν) is νᵀγ⁻¹ν only if the normal is an axis of the ellipse. γ is not needed.",
    )
    expect(not close(given, form(gamma, normal) / size), "That is γ on the normal; γ⁻¹ is wanted.")
    expect(not close(given, right.sqrt()), "The root of it is a length; γ_⊥⁻¹ is the square.")
    expect(
        not close(given, torch.linalg.eigvalsh(gamma_inv)[:, 0]), "The smallest eigenvalue has a direction of its own."
    )
    expect(close(given, right), "Not yet: for γ⁻¹ = diag(4, 1) and the normal (0, 2) the answer is 1.")


def _points(*shape: int, key: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=runtime.generator("exercise", *shape, key))


def _push(z: Tensor) -> Tensor:
    """A diffeomorphism of ℝ³ with a Jacobian that is neither symmetric nor normal: two shears and a stretch."""
    a, b, c = z.unbind(1)
    b = 2 * b + a.sin()
    return torch.stack([a + 0.5 * b.tanh(), b, c + a * b], 1)


def _pull(x: Tensor) -> Tensor:
    a = x[:, 0] - 0.5 * x[:, 1].tanh()
    return torch.stack([a, (x[:, 1] - a.sin()) / 2, x[:, 2] - a * x[:, 1]], 1)


def _jacobian(z: Tensor) -> Tensor:
    return vmap(jacrev(lambda one: _push(one[None])[0]))(z).detach()


def _gradient(x: Tensor) -> Tensor:
    """∂f/∂x of f = sin x₁ + x₂x₃ + x₃."""
    return torch.stack([x[:, 0].cos(), x[:, 2], x[:, 1] + 1], 1)

"""Checkers of chapter 01: the layer, its parameters, its gradient, its initial size, and the pieces of a network."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from gdl_lab.exercises.verdict import checker, close, expect
from gdl_lab.networks import FullyConnected, tent

__all__ = ["backprop", "initial_weights", "layer", "parameters", "pieces"]


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@checker("σ(Wx + b), batch first: this is equation (⋆).")
def layer(f: Any) -> None:
    """``layer(x, W, b)`` → ReLU(Wx + b) for a batch x of shape (batch, n), W of shape (m, n), b of shape (m,)."""
    x, w, b = _random(7, 4), _random(4, 4, seed=1), _random(4, seed=2)
    given, a = f(x, w, b), x @ w.T
    expect(not close(given, a + b), "The affine part is right; the non-linearity is missing.")
    expect(not close(given, torch.relu(a)), "The bias is missing: at x = 0 a layer gives σ(b), yours gives 0.")
    expect(
        not close(given, torch.relu(a) + b),
        "You add b after σ. In (⋆) it is inside, and decides where the unit switches on.",
    )
    expect(
        not close(given, torch.relu(x @ w + b)),
        "With a square W this runs, but it is Wᵀ: row j of W belongs to output j, and x stands in rows too.",
    )
    expect(close(given, torch.relu(a + b)), "Not yet: for one sample x the j-th output is max(Σ_k W_jk x_k + b_j, 0).")
    wide = f(_random(3, 5), _random(2, 5, seed=1), _random(2, seed=2))
    expect(
        tuple(wide.shape) == (3, 2),
        f"For x of shape (3, 5) and W of shape (2, 5) expect (3, 2), got {tuple(wide.shape)}.",
    )


@checker("Every layer has m·n weights and m biases.")
def parameters(f: Any) -> None:
    """``parameters(widths)`` → the number N of parameters of a fully connected network."""
    for widths in ([784, 128, 64, 10], [3, 2], [5, 5, 5, 5]):
        given = f(widths)
        pairs = list(pairwise(widths))
        weights = sum(m * n for m, n in pairs)
        expect(
            given != weights, f"For widths {widths} you count {given}: these are the weights W. θ holds the biases too."
        )
        expect(given != weights + sum(widths[1:-1]), "The biases of the last layer are missing.")
        expect(given != weights + sum(widths), "The input layer has no bias: nothing is added to x itself.")
        expect(
            given != weights + len(pairs),
            "A bias is a vector, one number for each output of the layer, not one for each layer.",
        )
        expect(
            given == weights + sum(widths[1:]),
            f"For widths {widths} you count {given}. Start with one layer from 3 to 2.",
        )


@checker("Two matrix products and a mask: the chain rule for one hidden layer.")
def backprop(f: Any) -> None:
    """``gradient_W1(x, y, W1, b1, W2, b2)`` of Σ (W2 ReLU(W1 x + b1) + b2 − y)², one output."""
    x, y = _random(9, 3), _random(9, 1, seed=1)
    w1, b1, w2, b2 = _random(5, 3, seed=2), _random(5, seed=3), _random(1, 5, seed=4), _random(1, seed=5)
    try:
        with torch.inference_mode():  # nothing done in here can be differentiated
            given = f(x, y, w1, b1, w2, b2)
    except Exception as raised:
        expect("grad" not in str(raised.__cause__), "That is automatic differentiation: write the chain rule yourself.")
        raise
    a = x @ w1.T + b1
    residual = torch.relu(a) @ w2.T + b2 - y
    delta = 2 * residual @ w2 * (a > 0)
    wanted = delta.T @ x
    expect(not close(given, wanted.T), "The numbers are right and lie the wrong way: ∂E/∂W₁ has the shape of W₁.")
    expect(
        not close(given, (2 * residual @ w2).T @ x),
        "A switched-off unit still learns in yours: where a = W₁x + b₁ is negative, ReLU passes no gradient.",
    )
    expect(
        not close(given, (2 * residual @ w2 * torch.relu(a)).T @ x),
        "You multiply by ReLU(a); its derivative is wanted, which is 0 or 1.",
    )
    expect(
        not close(given, (2 * (torch.relu(a) @ w2.T - y) @ w2 * (a > 0)).T @ x),
        "b₂ is missing: it is part of f(x), and so of the residual.",
    )
    expect(
        not close(given, (2 * residual * (a > 0)).T @ x),
        "W₂ is missing: the residual reaches the hidden layer through W₂ᵀ.",
    )
    expect(not close(given, wanted / 2), "Half of it: the derivative of r² is 2r.")
    expect(not close(given, wanted / len(x)), "You average over the batch; the talk's error is a sum.")
    expect(not close(given, -wanted), "The sign is turned: with r = f(x) − y, the error grows with r.")
    shape = tuple(torch.as_tensor(given).shape)
    expect(shape == (5, 3), f"∂E/∂W₁ has the shape of W₁, here (5, 3); yours has {shape}.")
    expect(close(given, wanted), "Not yet: write δ = ∂E/∂a for one sample first, shape (5,), then δ xᵀ.")


@checker("The mean square of the signal is the same before and after the layer.")
def initial_weights(f: Any) -> None:
    """``initial_weights(m, n, generator)`` → W of shape (m, n), fan-in n, that keeps the mean square through ReLU."""
    m, n = 500, 300

    def draw(seed: int) -> Tensor:
        w = torch.as_tensor(f(m, n, torch.Generator().manual_seed(seed)))
        expect(tuple(w.shape) == (m, n), f"Expected W of shape (m, n) = ({m}, {n}), got {tuple(w.shape)}.")
        return w.double()

    w = draw(0)
    mean = float(w.mean())
    expect(abs(mean) * math.sqrt(n) < 0.05, f"The entries are not centred: their mean is {mean:.2g}, not 0.")
    factor = float(w.square().mean()) * n / 2  # 1 when the variance is 2/n
    for value, hint in (
        (n / 2, "The entries have variance 1: the signal grows by n/2 in every layer."),
        (1 / 2, "The variance is 1/n. That would do for a linear layer; ReLU throws half of the mean square away."),
        (2 / n, "The standard deviation is 2/n, where the variance should be."),
        (n / m, "You divide by the number of outputs. A unit sums over its inputs: their number counts."),
        (1 / 3, "A uniform number on [−a, a] has variance a²/3: its bound is not its standard deviation."),
    ):
        expect(not math.isclose(factor, value, rel_tol=0.1), hint)
    expect(math.isclose(factor, 1, rel_tol=0.05), f"The mean square changes by a factor {factor:.2g} in every layer.")
    torch.manual_seed(1)
    expect(torch.equal(draw(0), w), "Two draws from equal generators differ: use the generator that you are given.")
    expect(not torch.equal(draw(1), w), "Different generators give the same W: it is not random.")


@checker("A kink between two grid points bends two second differences: you saw through it.")
def pieces(f: Any) -> None:
    """``pieces(x, y)`` → number of linear pieces of a function given on a fine, even grid of [0, 1]."""
    x = torch.linspace(0, 1, 1001, dtype=torch.float64)
    straight = FullyConnected([1, 1]).double()
    with torch.no_grad():
        line, saw = straight(x[:, None])[:, 0], tent(3)(x[:, None])[:, 0]
        # kinks at 1/3 and 2/3, which no grid point hits
        hat = torch.relu(x - 1 / 3) - 3 * torch.relu(x - 2 / 3)
    given = {name: int(f(x, y)) for name, y in (("line", line), ("saw", saw), ("hat", hat))}
    expect(given["line"] != 0, "A straight line has one piece: count the pieces, not the kinks between them.")
    expect(given["saw"] != 7, "Seven kinks make eight pieces.")
    expect(len(set(given.values())) > 1, "You give the same number for a straight line and for a saw.")
    expect(given["line"] == 1, "A straight line has one piece. Rounding bends it by 1e-16: compare with a tolerance.")
    expect(given["saw"] == 8, f"The saw with 8 pieces has {given['saw']} in yours.")
    expect(given["hat"] >= 3, "A kink need not be a peak: the slope may change and keep its sign.")
    expect(
        given["hat"] == 3,
        "A kink between two grid points shows in two second differences, side by side: it is still one kink.",
    )

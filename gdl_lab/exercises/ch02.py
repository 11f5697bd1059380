"""Checkers of chapter 02: the sliding filter, a row of W, its free numbers, the error of a layer, a kinder stride."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from gdl_lab.exercises.verdict import checker, close, expect
from gdl_lab.networks import correlate, translate

__all__ = ["blurred_stride", "equivariance_error", "parameters", "row_of_w", "sliding_filter"]


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class _Convolutions(TorchFunctionMode):
    """Notes whether a convolution of PyTorch's is called, or `F.unfold`, which cuts out the windows of one."""

    seen = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        self.seen |= "conv" in name or func is F.unfold
        return func(*args, **(kwargs or {}))


@checker("One weighted sum for each place where the window fits: this is the talk's layer before b and σ.")
def sliding_filter(f: Any) -> None:
    """``sliding_filter(kernel, f)``: κ of shape (m, n, k, k) over f of shape (n, h, w) → (m, h−k+1, w−k+1)."""
    kernel, picture = _random(2, 3, 3, 3), _random(3, 6, 8, seed=1)
    with _Convolutions() as convolutions:
        given = torch.as_tensor(f(kernel, picture))
    expect(not convolutions.seen, "That is PyTorch's convolution: write the sum yourself.")
    wanted = correlate(kernel, picture[None])[0]
    shape = tuple(given.shape)
    expect(
        shape not in ((4, 6), (1, 4, 6)),
        "Only one output channel is left of two: κ(y−x) is a matrix, and z(x) has a component for each of its m rows.",
    )
    expect(
        shape != (2, 3, 4, 6),
        "A value for every input channel is left: κ(y−x) is a matrix, and κ(y−x)·f(y) sums over its n columns.",
    )
    expect(
        shape != (2, 6, 8),
        "Your output is as large as the picture. Here the window must lie on it: there is no padding.",
    )
    expect(
        shape != (2, 3, 5),
        "A row and a column are missing: count the places where a window of 3 fits into a side of 4.",
    )
    expect(shape == (2, 4, 6), f"A 3×3 window has 4×6 places on a 6×8 picture: expected (2, 4, 6), got {shape}.")
    expect(
        not close(given, correlate(kernel.flip(-2, -1), picture[None])[0]),
        "Your kernel lies upside down: that is κ(x−y), the convolution of mathematics. The talk has κ(y−x).",
    )
    expect(
        not any(close(given, correlate(kernel.flip(axis), picture[None])[0]) for axis in (-2, -1)),
        "One axis of your kernel is turned over, the other is right.",
    )
    expect(
        not close(given, correlate(kernel.mT, picture[None])[0]),
        "Rows and columns of the kernel are exchanged: entry [i, j] belongs i steps down and j to the right.",
    )
    expect(
        not close(given, correlate(kernel[:, :1], picture[None, :1])[0]),
        "Only the first input channel arrives at the output.",
    )
    expect(
        not any(close(given, wanted / terms) for terms in (3, 9, 27)),
        "You take a mean: κ holds the weights already, and (κ∗f)(x) is their sum.",
    )
    expect(close(given, wanted), "Not yet: for x in the corner, the sum is over the first 3×3 pixels. Start there.")


@checker("A row of W is the kernel, laid flat around x. Every row holds the same numbers: the constraint.")
def row_of_w(f: Any) -> None:
    """``row_of_w(kernel, x, height, width)`` → (height·width,), zero padding, κ of shape (3, 3), x = (row, column)."""
    height, width = 4, 5
    kernel = _random(3, 3)
    for x in ((1, 2), (0, 0), (3, 4), (2, 0)):
        given = torch.as_tensor(f(kernel, x, height, width))
        wanted = _row(kernel, x, height, width)
        expect(
            given.numel() == height * width,
            f"A row of W has an entry for every pixel y: expected {height * width}, got {given.numel()}.",
        )
        given = given.reshape(-1)
        expect(
            not close(given, _row(kernel.flip(-2, -1), x, height, width)),
            "You have W[x, y] = κ(x−y). The entry for the pixel y is κ(y−x): to the right of x, the right half of κ.",
        )
        expect(
            not close(given, _row(kernel, x, height, width).view(height, width).T.flatten()),
            "Pixels are counted row by row, as flatten() does: y = (i, j) has number i·width + j.",
        )
        expect(
            not close(given, _row(kernel, (x[0] + 1, x[1] + 1), height, width)),
            "The window hangs from x by its corner. Its middle belongs on x: κ(0) is kernel[1, 1].",
        )
        on_torus = translate(_row(kernel, (1, 1), height, width).view(height, width), (x[0] - 1, x[1] - 1)).flatten()
        wraps = close(given, on_torus) or close(given, _row_by_number(kernel, x, height, width))
        expect(
            close(given, wanted) or not wraps,
            "At the border your window wraps around to the other side. With zero padding, what hangs over is cut off.",
        )
        expect(close(given, wanted), f"Not yet, for x = {x}: W[x, y] = κ(y−x) where y−x lies in the window, else 0.")


@checker("The window and the channels count, the picture does not.")
def parameters(f: Any) -> None:
    """``parameters(n, m, k)`` → number of parameters of a layer with n channels in, m out and k×k kernels."""
    for n, m, k in ((2, 4, 7), (16, 16, 5), (3, 16, 3)):
        given = f(n, m, k)
        weights = m * n * k * k
        said = f"From {n} to {m} channels with {k}×{k} kernels you count {given}"
        expect(given != weights, f"{said}: these are the entries of κ. The layer has b_j too.")
        expect(given != weights + 1, f"{said}: one bias in all. b is a vector: how many components has z(x)?")
        expect(
            given != m * (k * k + 1), f"{said}: one window for each output. But f(y) has {n} components; κ is a matrix."
        )
        expect(
            n == m or given != weights + n,
            f"{said}: one bias for each input channel. b is added to what comes out.",
        )
        expect(given != m * n * (k * k + 1), f"{said}: a bias for each pair of channels. z has one for each output.")
        expect(given != m * (n * k + 1), f"{said}: as if the window were a line.")
        expect(given == weights + m, f"{said}. Start with one channel in and one out.")


@checker("Shift first or shift last: you measure the distance of the two, relative to the output.")
def equivariance_error(f: Any) -> None:
    """``equivariance_error(layer, f, a)`` → ‖layer(T_a f) − T_a layer(f)‖ / ‖layer(f)‖ on the torus."""
    kernel, signal, a = _random(1, 1, 3, 3), _random(1, 1, 8, 8, seed=1), (1, 2)
    back = (-a[0], -a[1])

    def intact(g: Tensor) -> Tensor:
        return correlate(kernel, g, padding="circular")

    def broken(g: Tensor) -> Tensor:
        return correlate(kernel, g, padding="zeros")

    def size(g: Tensor, layer: Any = broken) -> float:
        return float(g.norm() / layer(signal).norm())

    given, on_intact = float(f(broken, signal, a)), float(f(intact, signal, a))
    first, wanted = broken(translate(signal, a)), size(broken(translate(signal, a)) - translate(broken(signal), a))

    def is_it(value: float) -> bool:
        return math.isclose(given, value, rel_tol=1e-4)

    expect(
        not is_it(size(first - broken(signal))),
        "You compare with the output as it was. That measures invariance; here the output is meant to move along.",
    )
    expect(
        not is_it(size(broken(translate(signal, back)) - translate(broken(signal), a)))
        and not is_it(size(first - translate(broken(signal), back))),
        "The two shifts go opposite ways: T_a is on both sides.",
    )
    across = translate(signal, (a[1], a[0]))
    expect(
        not is_it(size(broken(across) - translate(broken(signal), a)))
        and not is_it(size(broken(across) - translate(broken(signal), (a[1], a[0])))),
        "Rows and columns of the shift are exchanged: a = (rows, columns), and columns are the last axis.",
    )
    expect(
        not is_it(size(translate(signal, a) - signal)) and not is_it(float((translate(signal, a) - signal).norm())),
        "The layer plays no part in your number.",
    )
    expect(
        not is_it(wanted * float(broken(signal).norm())),
        "This is ‖…‖ alone. A kernel 100 times larger makes it 100 times larger: divide by the size of the output.",
    )
    expect(not is_it(wanted**2), "Your error is squared: leave the square root in the norm.")
    difference, output = first - translate(broken(signal), a), broken(signal)
    expect(
        not is_it(wanted * float(output.norm() / signal.norm())),
        "You divide by the size of f. How large the output is depends on the layer: divide by that.",
    )
    expect(
        not is_it(float(difference.abs().sum() / output.abs().sum()))
        and not is_it(float(difference.abs().max() / output.abs().max()))
        and not is_it(float((difference / output).abs().mean())),
        "That is another norm: ‖z‖ is the root of the sum of squares.",
    )
    expect(abs(on_intact) < 1e-5, "A layer with circular padding commutes with shifts. Your error for it is not 0.")
    expect(is_it(wanted), "Not yet: look at layer(T_a f) − T_a layer(f) as a picture; with zero padding it is a frame.")


@checker("Blur, then thin out: the layer keeps its stride, and much less of its output depends on odd and even.")
def blurred_stride(f: Any) -> None:
    """``blurred_stride(z)``: [1 2 1]ᵀ[1 2 1]/16 on each channel of (batch, n, h, w), circular, then every 2nd pixel."""
    z = _random(2, 3, 8, 10)
    given = torch.as_tensor(f(z))
    binomial = torch.tensor([1.0, 2.0, 1.0], dtype=z.dtype)

    def blur(g: Tensor, mode: str = "circular", window: Tensor | None = None) -> Tensor:
        window = torch.outer(binomial, binomial) / 16 if window is None else window
        flat = g.flatten(0, 1)[:, None]
        return F.conv2d(F.pad(flat, (1,) * 4, mode=mode), window[None, None]).view(g.shape)

    shape = tuple(given.shape)
    expect(shape != tuple(z.shape), "Blurred, but still as large as z: the stride is missing.")
    expect(
        shape != (2, 1, 4, 5),
        "One channel is left of three: a convolution sums over channels, but every channel is blurred by itself.",
    )
    expect(shape == (2, 3, 4, 5), f"Expected every second row and column, shape (2, 3, 4, 5); got {shape}.")
    expect(not close(given, z[..., ::2, ::2]), "That is the plain stride: the blur is missing.")
    expect(
        not close(given, blur(z[..., ::2, ::2])),
        "You thin out first. What the stride has dropped, no blur brings back: the order matters.",
    )
    expect(
        not close(given, blur(z, window=torch.outer(binomial, binomial))[..., ::2, ::2]),
        "A constant picture comes out 16 times brighter: the weights of a blur sum to 1.",
    )
    expect(
        not close(given, blur(z, "constant")[..., ::2, ::2]),
        "The border darkens: on the torus the window wraps around.",
    )
    expect(
        not close(given, blur(z)[..., 1::2, 1::2]),
        "You keep the odd pixels. Keep the origin: rows and columns 0, 2, 4, …",
    )
    mixed = blur(z).mean(1, keepdim=True).expand_as(z)[..., ::2, ::2]
    summed = blur(z).sum(1, keepdim=True).expand_as(z)[..., ::2, ::2]
    expect(
        not close(given, mixed) and not close(given, summed),
        "All channels come out alike: you mix them. Every channel is blurred by itself.",
    )
    expect(
        close(given, blur(z)[..., ::2, ::2]),
        "Not yet: try a picture that is 1 at one pixel; the window [1 2 1]ᵀ[1 2 1]/16 must appear around it.",
    )


def _row(kernel: Tensor, x: tuple[int, int], height: int, width: int) -> Tensor:
    """κ laid around x on a grid with zeros beyond its border, row by row."""
    framed = torch.zeros(height + 4, width + 4, dtype=kernel.dtype)
    i, j = x[0] + 1, x[1] + 1
    if 0 <= i <= height + 1 and 0 <= j <= width + 1:
        framed[i : i + 3, j : j + 3] = kernel
    return framed[2:-2, 2:-2].flatten()


def _row_by_number(kernel: Tensor, x: tuple[int, int], height: int, width: int) -> Tensor:
    """The mistake of one who counts pixels and forgets the border: the window runs over into the next row."""
    row = torch.zeros(height * width, dtype=kernel.dtype)
    for i in range(3):
        for j in range(3):
            number = (x[0] + i - 1) * width + x[1] + j - 1
            if 0 <= number < height * width:
                row[number] = kernel[i, j]
    return row

r"""Convolutional layers on a grid, and what they commute with.

The talk's layer is z(x) = σ(Σ_y κ(y−x) f(y) + b) for f: G → ℝⁿ on the grid G = ([0, w] × [0, h]) ∩ ℤ². Three remarks on
how it is written: y − x runs over ℤ², not over G, so κ lives on ℤ²; with y − x rather than x − y the sum is a
cross-correlation, which is what deep learning calls convolution; and as y runs over G only, the sum at the border is
the one of ``padding="zeros"``.

Source: Gerken, slides on convolutional networks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise, product
from math import floor
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

__all__ = [
    "ConvolutionalNetwork",
    "GraphConvolution",
    "constrained_weights",
    "correlate",
    "count_multiplications",
    "influence",
    "shift_equivariance_error",
    "translate",
]

PADDINGS = ("valid", "zeros", "circular")


def correlate(kernel: Tensor, f: Tensor, *, padding: str = "valid") -> Tensor:
    r"""The sum Σ_y κ(y−x) f(y), spelled out: one shifted copy of f for every point of the kernel's support.

    Args:
        kernel: κ, shape ``(m, n, k, k)`` with k odd; entry ``[…, i, j]`` is κ at (i, j) − (k−1)/2.
        f: shape ``(batch, n, height, width)``.
        padding: ``"valid"`` keeps the x for which all y lie on the grid, ``"zeros"`` sets f to zero off the grid,
            ``"circular"`` makes the grid a torus.

    Returns:
        Shape ``(batch, m, height′, width′)``; with ``"valid"`` both sides shrink by k − 1.

    Raises:
        ValueError: an even kernel, channels that do not match, a kernel larger than the picture, or an unknown padding.
    """
    m, n, k, k2 = kernel.shape
    if k != k2 or k % 2 == 0:
        raise ValueError(f"expected a square kernel of odd size, got {k}×{k2}")
    if f.ndim != 4 or f.shape[1] != n:
        raise ValueError(f"expected pictures of shape (batch, {n}, height, width), got {tuple(f.shape)}")
    if k > min(f.shape[2:]):
        raise ValueError(f"the {k}×{k} kernel is larger than the picture of {f.shape[2]}×{f.shape[3]}")
    f = _pad(f, k // 2, padding)
    height, width = f.shape[2] - k + 1, f.shape[3] - k + 1
    z = f.new_zeros(len(f), m, height, width)
    for i in range(k):
        for j in range(k):
            z += torch.einsum("mn,bnhw->bmhw", kernel[:, :, i, j], f[:, :, i : i + height, j : j + width])
    return z


def constrained_weights(kernel: Tensor, height: int, width: int, *, padding: str = "valid") -> Tensor:
    r"""The matrix W of the fully connected layer that is this convolution: W[(m, x), (n, y)] = κ_mn(y − x).

    Entries repeat along diagonals (Toeplitz; block-circulant for ``"circular"``) and vanish where y − x is outside the
    support: the constraints on W.

    Args:
        kernel: κ, shape ``(m, n, k, k)`` with k odd.
        height, width: of the input.

    Returns:
        Dense matrix of shape ``(m·height′·width′, n·height·width)``.

    Raises:
        ValueError: a kernel that is not square, of even size or larger than the grid, or an unknown padding.
    """
    m, n, k, k2 = kernel.shape
    r = k // 2
    if padding not in PADDINGS:
        raise ValueError(f"unknown padding {padding!r}: expected one of {', '.join(PADDINGS)}")
    if k != k2 or k % 2 == 0 or k > min(height, width):
        raise ValueError(f"expected a square kernel of odd size within {height}×{width}, got {k}×{k2}")
    size = torch.tensor([height, width], device=kernel.device)
    y = torch.cartesian_prod(*(torch.arange(side, device=kernel.device) for side in (height, width)))
    inside = ((y >= r) & (y < size - r)).all(1)
    x = y[inside] if padding == "valid" else y
    d = y[None, :] - x[:, None]
    if padding == "circular":
        d = (d + size // 2) % size - size // 2  # the representative nearest to zero
    on_support = (d.abs() <= r).all(-1)
    i, j = (d.clamp(-r, r) + r).unbind(-1)
    w = kernel[:, :, i, j] * on_support.to(kernel)
    return w.permute(0, 2, 1, 3).reshape(m * len(x), n * height * width)


class ConvolutionalNetwork(nn.Module):
    """Convolutional layers with ReLU, then a linear readout.

    Args:
        channels: of input and of each convolutional layer.
        outputs: number of classes.
        size: height and width of the input pictures.
        kernel_size: odd.
        strides: one for each convolutional layer; 1 everywhere if not given.
        padding_mode: ``"zeros"`` or ``"circular"``.
        head: ``"flatten"`` reads every position with its own weights; ``"mean"`` and ``"max"`` take the mean or the
            maximum over positions first, which makes the output invariant under circular shifts if padding is circular
            and strides are 1.
    """

    def __init__(
        self,
        channels: Sequence[int],
        outputs: int,
        *,
        size: int,
        kernel_size: int = 3,
        strides: Sequence[int] | None = None,
        padding_mode: Literal["zeros", "circular"] = "zeros",
        head: str = "flatten",
    ) -> None:
        super().__init__()
        layers = len(channels) - 1
        strides = tuple(strides) if strides is not None else (1,) * layers
        if layers < 1 or len(strides) != layers:
            raise ValueError(f"expected one stride for each of {layers} layers, got {len(strides)}")
        if kernel_size % 2 == 0:
            raise ValueError(f"expected an odd kernel size, got {kernel_size}")
        if head not in ("flatten", "mean", "max"):
            raise ValueError(f"unknown head {head!r}: expected flatten, mean or max")
        self.features = nn.Sequential()
        for (m, n), stride in zip(pairwise(channels), strides, strict=True):
            conv = nn.Conv2d(m, n, kernel_size, stride, padding=kernel_size // 2, padding_mode=padding_mode)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
            self.features.extend([conv, nn.ReLU()])
            size = -(-size // stride)
        self.head = head
        self.readout = nn.Linear(channels[-1] * (size**2 if head == "flatten" else 1), outputs)

    def forward(self, x: Tensor) -> Tensor:
        z = self.features(x)
        if self.head == "flatten":
            return self.readout(z.flatten(1))
        return self.readout(z.mean((-2, -1)) if self.head == "mean" else z.amax((-2, -1)))


class GraphConvolution(nn.Module):
    r"""The convolution of a graph: z_i = Σ_{j ~ i} W_neighbour f_j + W_self f_i + b.

    A graph has no directions, so all neighbours share one matrix. On the grid graph this is a convolution with a
    cross-shaped kernel whose four arms are equal.

    Args:
        m, n: channels in and out.
        adjacency: symmetric 0/1 matrix, shape ``(nodes, nodes)``, of the layer's dtype.
    """

    adjacency: Tensor

    def __init__(self, m: int, n: int, adjacency: Tensor) -> None:
        super().__init__()
        if adjacency.ndim != 2 or adjacency.shape[0] != adjacency.shape[1] or not torch.equal(adjacency, adjacency.T):
            raise ValueError(
                f"expected a symmetric adjacency matrix, got one of shape {tuple(adjacency.shape)} that is not"
            )
        self.itself = nn.Linear(m, n)
        self.neighbours = nn.Linear(m, n, bias=False)
        self.register_buffer("adjacency", adjacency.to(self.itself.weight))

    def forward(self, f: Tensor) -> Tensor:
        """``(batch, nodes, m)`` → ``(batch, nodes, n)``."""
        return self.itself(f) + self.adjacency @ self.neighbours(f)


def translate(f: Tensor, shift: tuple[int, int]) -> Tensor:
    """(T_a f)(x) = f(x − a) on the torus, for a = (rows, columns)."""
    return f.roll(shift, dims=(-2, -1))


def shift_equivariance_error(
    layer: Callable[[Tensor], Tensor], f: Tensor, shift: tuple[int, int], *, stride: int | None = 1, margin: int = 0
) -> float:
    r"""Relative size of layer(T_a f) − T_{a/stride} layer(f).

    Args:
        layer: maps ``(batch, n, height, width)`` to ``(batch, m, height′, width′)``.
        f: pictures.
        shift: the translation a, in input pixels.
        stride: input pixels to an output pixel; where it does not divide a, the nearest output shift, halves up.
            ``None`` tries all shifts of the output and keeps the best.
        margin: leave out this many output pixels along each side, where the border is felt.

    Returns:
        ‖layer(T_a f) − T layer(f)‖ / ‖layer(f)‖ in the Frobenius norm; 0 means equivariant.

    Raises:
        ValueError: nothing is left inside the margin, or the layer's output vanishes.
    """
    out = layer(f)
    shifted_first = layer(translate(f, shift))
    inside = (..., *[slice(margin, -margin or None)] * 2)
    size = out[inside].norm()
    if out[inside].numel() == 0:
        raise ValueError(f"a margin of {margin} leaves nothing of an output of shape {tuple(out.shape)}")
    if size == 0:
        raise ValueError("the layer's output vanishes: its relative error is not defined")
    if stride is None:
        candidates = list(product(range(out.shape[-2]), range(out.shape[-1])))
    else:
        candidates = [(floor(shift[0] / stride + 0.5), floor(shift[1] / stride + 0.5))]
    differences = [(shifted_first - translate(out, b))[inside].norm() for b in candidates]
    return float((torch.stack(differences).min() / size).detach())


def influence(net: ConvolutionalNetwork, f: Tensor) -> Tensor:
    """How much each input pixel moves the feature maps at the middle pixel: mean square of the gradient of their sum.

    Args:
        f: pictures, shape ``(batch, n, height, width)``, over which the mean is taken.

    Returns:
        Shape ``(height, width)``.
    """
    f = f.detach().requires_grad_()
    z = net.features(f)
    (gradient,) = torch.autograd.grad(z[..., z.shape[-2] // 2, z.shape[-1] // 2].sum(), f)
    return gradient.square().mean((0, 1))


def count_multiplications(net: nn.Module, x: Tensor) -> int:
    """Multiplications that the network's convolutions and matrix products do for the input ``x``."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:  # it counts a multiplication and an addition
        net(x)
    return int(counter.get_total_flops()) // 2


def _pad(f: Tensor, r: int, padding: str) -> Tensor:
    if padding not in PADDINGS:
        raise ValueError(f"unknown padding {padding!r}: expected one of {', '.join(PADDINGS)}")
    if padding == "valid" or r == 0:
        return f
    return F.pad(f, (r, r, r, r), mode="circular" if padding == "circular" else "constant")

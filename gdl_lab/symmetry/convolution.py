r"""Convolutions on the group of translations and C4 or D4 of a grid, and a network made of them.

    lifting   (κ⋆f)(g, x) = Σ_y κ(g⁻¹(y−x)) f(y)
    group     (κ⋆f)(g, x) = Σ_{h, y} κ(g⁻¹h, g⁻¹(y−x)) f(h, y)

Both read: correlate f with the kernel ρ(g)κ, for every g. Only the action is another one, on pictures and on functions
of the group. With one element, C1, both are the ordinary convolution.

Source: Cohen & Welling (2016), Group equivariant convolutional networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdl_lab.symmetry.groups import PlaneGroup

__all__ = ["GroupConvolution", "GroupNetwork", "Lift", "group_correlate"]


def group_correlate(
    group: PlaneGroup,
    kernel: Tensor,
    f: Tensor,
    *,
    stride: int = 1,
    padding: Literal["zeros", "circular"] = "zeros",
) -> Tensor:
    """κ⋆f: the lifting convolution of pictures, or the group convolution of functions on the group.

    Args:
        kernel: κ, shape ``(n, m, k, k)`` to lift and ``(n, m, |G|, k, k)`` afterwards, k odd.
        f: shape ``(batch, m, height, width)`` and ``(batch, m, |G|, height, width)``.
        stride: with strides above one the output is equivariant only where the stride divides side − 1.
        padding: what lies outside the picture.

    Returns:
        Shape ``(batch, n, |G|, height / stride, width / stride)``.

    Raises:
        ValueError: a kernel that is not square and odd, shapes that do not fit, or another padding.
    """
    k, channels = kernel.shape[-1], kernel.shape[1:-2]
    if kernel.ndim not in (4, 5) or kernel.shape[-2] != k or k % 2 == 0 or channels[1:] not in ((), (len(group),)):
        raise ValueError(
            f"expected a kernel (n, m, k, k) or (n, m, {len(group)}, k, k) with k odd, got {tuple(kernel.shape)}"
        )
    if f.shape[1:-2] != channels:
        raise ValueError(f"expected f of shape (batch, {tuple(channels)}, height, width), got {tuple(f.shape)}")
    if padding not in ("zeros", "circular"):
        raise ValueError(f"unknown padding {padding!r}: expected zeros or circular")
    act = group.on_pictures if kernel.ndim == 4 else group.on_maps
    moved = torch.stack([act(g, kernel) for g in group], 1)  # (n, |G|, m, …, k, k): the kernel ρ(g)κ for every g
    f = F.pad(f.flatten(1, -3), (k // 2,) * 4, mode="circular" if padding == "circular" else "constant")
    return F.conv2d(f, moved.flatten(0, 1).flatten(1, -3), stride=stride).unflatten(1, moved.shape[:2])


class _Layer(nn.Module):
    """A kernel with the initial variance for ReLU, and one bias for each channel, the same for all g."""

    def __init__(self, group: PlaneGroup, shape: Sequence[int], stride: int) -> None:
        super().__init__()
        if shape[-1] % 2 == 0:
            raise ValueError(f"expected a kernel of odd size, which has a middle to turn about, got {shape[-1]}")
        self.group, self.stride = group, stride
        self.kernel = nn.Parameter(torch.empty(*shape))
        nn.init.normal_(self.kernel, std=(2 / self.kernel[0].numel()) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(shape[0], 1, 1, 1))

    def forward(self, f: Tensor) -> Tensor:
        return group_correlate(self.group, self.kernel, f, stride=self.stride) + self.bias


class Lift(_Layer):
    """The lifting convolution, ``(batch, m, height, width)`` → ``(batch, n, |G|, height, width)``, zero padding."""

    def __init__(self, group: PlaneGroup, m: int, n: int, k: int = 3, *, stride: int = 1) -> None:
        super().__init__(group, (n, m, k, k), stride)


class GroupConvolution(_Layer):
    """The group convolution, ``(batch, m, |G|, height, width)`` → ``(batch, n, |G|, height, width)``, zero padding."""

    def __init__(self, group: PlaneGroup, m: int, n: int, k: int = 3, *, stride: int = 1) -> None:
        super().__init__(group, (n, m, len(group), k, k), stride)


class GroupNetwork(nn.Module):
    """Reads grey pictures: convolutions with batch normalisation, ReLU and mean pooling, and an invariant head.

    With `C1` it is an ordinary convolutional network of the same make.

    Args:
        group: C1, C2, C4 or D4.
        channels: of each layer, each with |G| maps.
        classes: number of logits.
        kernels: side of each layer's kernel.
        head: ``"max"`` or ``"mean"`` over the group, then the mean over the plane and a linear map.
    """

    def __init__(
        self,
        group: PlaneGroup,
        channels: Sequence[int] = (8, 12, 16),
        classes: int = 10,
        *,
        kernels: Sequence[int] = (5, 3, 3),
        head: Literal["max", "mean"] = "max",
    ) -> None:
        super().__init__()
        if len(kernels) != len(channels) or not channels:
            raise ValueError(f"expected one kernel for each of {len(channels)} layers, got {len(kernels)}")
        if head not in ("max", "mean"):
            raise ValueError(f"unknown head {head!r}: expected max or mean")
        self.group, self.head = group, head
        layers = [GroupConvolution(group, m, n, k) for (m, n), k in zip(pairwise(channels), kernels[1:], strict=True)]
        self.layers = nn.ModuleList([Lift(group, 1, channels[0], kernels[0]), *layers])
        self.norms = nn.ModuleList(nn.BatchNorm3d(n) for n in channels)  # one mean and variance for all g
        self.readout = nn.Linear(channels[-1], classes)

    def features(self, x: Tensor) -> Tensor:
        """``(batch, 1, side, side)`` → ``(batch, n, |G|, side′, side′)``; the sides are halved between layers.

        Raises:
            ValueError: another number of channels, or a side that cannot be halved so often.
        """
        even = 2 ** (len(self.layers) - 1)
        if x.ndim != 4 or x.shape[1] != 1 or x.shape[2] % even or x.shape[3] % even:
            raise ValueError(
                f"expected pictures (batch, 1, height, width) with sides divisible by {even}, got {tuple(x.shape)}"
            )
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x = F.avg_pool3d(x, (1, 2, 2)) if i else x
            x = torch.relu(norm(layer(x)))
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Logits, ``(batch, classes)``, invariant under the group."""
        f = self.features(x).flatten(3)
        return self.readout((f.amax(2) if self.head == "max" else f.mean(2)).mean(2))

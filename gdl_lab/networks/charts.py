"""Planar networks on the chart of the sphere, whose rows are latitudes from pole to pole, whose columns are azimuths.

They are what the spherical networks are compared with, and get all that a planar network can be given: their padding
glues the chart together as the sphere does, so that they see no edge. What they lack is that all rows are equally long
on the chart, and not on the sphere.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ChartCNN", "ChartUNet", "pad_chart"]


def pad_chart(f: Tensor, r: int = 1) -> Tensor:
    """Go on across the edges: around in azimuth, and over a pole down the opposite meridian.

    Args:
        f: shape ``(batch, channels, n_beta, n_alpha)``; n_alpha is even.
        r: pixels along each side.

    Returns:
        Shape ``(batch, channels, n_beta + 2r, n_alpha + 2r)``.
    """
    opposite = f.shape[-1] // 2
    north, south = (rows.flip(-2).roll(opposite, -1) for rows in (f[..., :r, :], f[..., -r:, :]))
    f = torch.cat([north, f, south], -2)
    return torch.cat([f[..., -r:], f, f[..., :r]], -1)


class ChartCNN(nn.Module):
    """Stages of convolution, batch normalisation, ReLU and max-pooling, then a linear readout of classes.

    Args:
        shape: of the chart, ``(n_beta, n_alpha)``.
        classes: number of outputs.
        widths: channels of each stage.
        head: ``"flatten"`` reads every place with weights of its own, ``"mean"`` the average over the chart.

    Raises:
        ValueError: a chart that cannot be halved as often as there are stages, an unknown head, or, in ``forward``,
            charts of another shape.
    """

    def __init__(
        self, shape: Sequence[int], classes: int = 10, widths: Sequence[int] = (24, 48, 96), *, head: str = "mean"
    ) -> None:
        super().__init__()
        self.shape = _halved(shape, len(widths))
        if head not in ("flatten", "mean"):
            raise ValueError(f"unknown head {head!r}: expected flatten or mean")
        self.stages = nn.Sequential()
        for m, n in zip((1, *widths), widths, strict=False):
            self.stages.extend([_Convolution(m, n), nn.MaxPool2d(2)])
        self.head = head
        places = shape[0] * shape[1] // 4 ** len(widths)
        self.readout = nn.Linear(widths[-1] * (places if head == "flatten" else 1), classes)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, 1, n_beta, n_alpha)`` → logits ``(batch, classes)``."""
        z = self.stages(_checked(x, self.shape))
        return self.readout(z.mean((-2, -1)) if self.head == "mean" else z.flatten(1))


class ChartUNet(nn.Module):
    """Down to an eighth of the resolution by max-pooling, and up again beside what was seen on the way down.

    Each resolution has two convolutions with batch normalisation and ReLU, of ``width`` times 1, 2, 4 and 4 channels.
    Source: Ronneberger et al. (2015).

    Args:
        shape: of the chart, ``(n_beta, n_alpha)``, multiples of 8.
        classes: logits at each point, the background's included.
        width: channels at full resolution.
        whole: also read the lowest resolution as a whole, and add what it says about the classes everywhere. It
            is of use where a sphere shows one thing.

    Raises:
        ValueError: a shape that cannot be halved three times, or, in ``forward``, charts of another shape.
    """

    def __init__(self, shape: Sequence[int], classes: int = 11, width: int = 8, *, whole: bool = True) -> None:
        super().__init__()
        self.shape = _halved(shape, 3)
        w = width
        self.down = nn.ModuleList(_twice(m, n) for m, n in ((1, w), (w, 2 * w), (2 * w, 4 * w), (4 * w, 4 * w)))
        self.up = nn.ModuleList(_twice(m, n) for m, n in ((8 * w, 2 * w), (4 * w, 2 * w), (3 * w, w)))
        self.readout = nn.Conv2d(w, classes, 1)
        self.whole = nn.Linear(4 * w * shape[0] * shape[1] // 64, classes) if whole else None

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, 1, n_beta, n_alpha)`` → logits ``(batch, classes, n_beta, n_alpha)``."""
        z, seen = self.down[0](_checked(x, self.shape)), []
        for stage in self.down[1:]:
            seen.append(z)
            z = stage(F.max_pool2d(z, 2))
        lowest = z
        for stage in self.up:
            z = stage(torch.cat([F.interpolate(z, scale_factor=2), seen.pop()], 1))
        logits = self.readout(z)
        return logits if self.whole is None else logits + self.whole(lowest.flatten(1))[..., None, None]


class _Convolution(nn.Sequential):
    """A 3×3 convolution on the closed chart, with batch normalisation and ReLU."""

    def __init__(self, m: int, n: int) -> None:
        convolution = nn.Conv2d(m, n, 3, bias=False)  # the normalisation has a bias
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        super().__init__(convolution, nn.BatchNorm2d(n), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(pad_chart(x))


def _twice(m: int, n: int) -> nn.Sequential:
    return nn.Sequential(_Convolution(m, n), _Convolution(n, n))


def _halved(shape: Sequence[int], times: int) -> tuple[int, ...]:
    # even at the lowest resolution too, where one goes over the pole to the opposite meridian
    if len(shape) != 2 or shape[0] % 2**times or shape[1] % 2 ** (times + 1) or min(shape) < 1:
        raise ValueError(
            f"expected a chart (n_beta, n_alpha) of multiples of {2**times} and {2 ** (times + 1)}, got {tuple(shape)}"
        )
    return tuple(shape)


def _checked(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    if x.ndim != 4 or x.shape[1:] != (1, *shape):
        raise ValueError(f"expected charts of shape (batch, 1, {shape[0]}, {shape[1]}), got {tuple(x.shape)}")
    return x

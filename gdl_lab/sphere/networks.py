r"""Networks that read pictures on the sphere: what they say of a rotated picture is what they said before, rotated.

Convolutions mix channels and right indices, a nonlinearity acts point by point on a grid of SO(3), and the end is an
integral: over SO(3) for one answer to the picture, over the fibres SO(2) for an answer at each point of S². Either is
equivariant up to the aliasing of the nonlinearity, which falls with ``oversample``. Weights know of no grid, so that
``net.at(oversample)`` evaluates a trained network on a finer one.

Signals have the batch last, ``(n_beta, n_alpha, batch)`` or ``(n_beta, n_alpha, channels, batch)``, on the grid of any
`S2FFT` that is fine enough.

Source: Cohen et al. (2018), "Spherical CNNs"; Gerken et al. (2022), "Equivariance versus Augmentation for Spherical
Images" for segmentation. Sizes and normalisation are ours.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdl_lab.sphere.activation import Nonlinearity, SO3Activation
from gdl_lab.sphere.convolution import S2Conv, SO3Conv, SO3toS2Conv, near_identity
from gdl_lab.sphere.grid import check_oversample
from gdl_lab.sphere.normalisation import SpectralBatchNorm
from gdl_lab.sphere.s2 import S2FFT
from gdl_lab.sphere.spectrum import integrate_so3

__all__ = ["SphericalCNN", "SphericalNetwork", "SphericalSegmenter"]


class SphericalNetwork(nn.Module):
    """What networks on the sphere share: they take pictures on any grid, and their own grids can be exchanged.

    Args:
        bandlimit: L of the pictures.
        in_channels: of the pictures.
    """

    def __init__(self, bandlimit: int, in_channels: int) -> None:
        super().__init__()
        self.bandlimit, self.in_channels = bandlimit, in_channels

    def spectrum(self, signal: Tensor) -> Tensor:
        """``(n_beta, n_alpha, [in_channels,] batch)`` → ``(L², in_channels, batch)``.

        Raises:
            ValueError: a grid that is no `S2FFT`'s or too coarse for the bandlimit, another number of channels; NaN or
                infinity (on the CPU).
        """
        if signal.ndim not in (3, 4) or (signal.shape[2:-1] or (1,)) != (self.in_channels,):
            raise ValueError(
                f"expected pictures of shape (n_beta, n_alpha, {self.in_channels}, batch), got {tuple(signal.shape)}"
            )
        coeffs = self._fft(signal).analysis(signal)[: self.bandlimit**2]
        return coeffs.unsqueeze(1) if coeffs.ndim == 2 else coeffs

    def at(self, oversample: float) -> Self:
        """A copy with the same weights whose nonlinearities are evaluated on grids of this density, at least 1."""
        other = copy.deepcopy(self)
        for module in other.modules():
            if isinstance(module, SO3Activation):
                module.oversample = check_oversample(oversample)
        return other

    def _fft(self, signal: Tensor) -> S2FFT:
        """The transform on the grid of these pictures."""
        fft = S2FFT(max(signal.shape[1] // 2, 1))
        if fft.shape != tuple(signal.shape[:2]) or fft.bandlimit < self.bandlimit:
            least, got = (" × ".join(map(str, shape)) for shape in (S2FFT(self.bandlimit).shape, signal.shape[:2]))
            raise ValueError(
                f"expected pictures on the grid of an S2FFT, at least {least} points for the bandlimit "
                f"{self.bandlimit}, got {got}: make them on S2FFT(…).grid()"
            )
        return fft


class _Stage(nn.Module):
    """Convolution, normalisation, nonlinearity."""

    def __init__(self, conv: S2Conv | SO3Conv, activation: SO3Activation) -> None:
        super().__init__()
        self.conv, self.norm, self.activation = conv, SpectralBatchNorm(conv.out_channels), activation

    def forward(self, coeffs: Tensor) -> Tensor:
        # the first degrees of a spectrum are one of a lower bandlimit
        return self.activation(self.norm(self.conv(coeffs[: self.conv.size])))


class SphericalCNN(SphericalNetwork):
    r"""A layer on S² and layers on SO(3), then ∫_{SO(3)} and a linear readout: logits that rotations do not change.

    Args:
        bandlimits: L of each layer, falling.
        orders: N of each layer's output.
        channels: of each layer's output.
        classes: number of logits.
        in_channels: of the pictures.
        radii: of the supports of the kernels, in radians, see `near_identity`.
        oversample: density of the grids.
        nonlinearity: of the values.

    Raises:
        ValueError: sequences of different lengths, bandlimits that grow, orders above a bandlimit.

    >>> SphericalCNN()(torch.zeros(16, 32, 4)).shape  # a batch of 4
    torch.Size([4, 10])
    """

    def __init__(
        self,
        bandlimits: Sequence[int] = (10, 8, 5),
        orders: Sequence[int] = (4, 4, 3),
        channels: Sequence[int] = (12, 24, 48),
        classes: int = 10,
        *,
        in_channels: int = 1,
        radii: Sequence[float] = (math.pi / 6, math.pi / 4, math.pi / 3),
        oversample: float = 1.25,
        nonlinearity: Nonlinearity = torch.relu,
    ) -> None:
        _check(bandlimits, orders, channels, radii)
        super().__init__(bandlimits[0], in_channels)
        stages, before, cut = [], in_channels, 1
        into = [*zip(bandlimits[1:], orders, strict=False), (1, 1)]  # of the last layer we need ∫ alone
        for L, N, C, radius, (L_next, N_next) in zip(bandlimits, orders, channels, radii, into, strict=True):
            conv = _convolution(before, C, L, (cut, N), radius)
            before, cut = C, min(L_next, N_next)
            stages.append(_Stage(conv, SO3Activation(L, N, oversample, nonlinearity, to=(L_next, cut))))
        self.stages = nn.Sequential(*stages)
        self.readout = nn.Sequential(nn.BatchNorm1d(before), nn.Linear(before, classes))

    def read(self, coeffs: Tensor) -> Tensor:
        """Logits of pictures given by their spectra: ``(L², in_channels, batch)`` → ``(batch, classes)``."""
        return self.readout(integrate_so3(self.stages(coeffs)).T)

    def forward(self, signal: Tensor) -> Tensor:
        """Logits of pictures: ``(n_beta, n_alpha, [in_channels,] batch)`` → ``(batch, classes)``."""
        return self.read(self.spectrum(signal))


class SphericalSegmenter(SphericalNetwork):
    r"""An encoder as in `SphericalCNN` and a decoder at full bandlimit: logits at each point of S² that rotate along.

    The decoder adds up what convolutions make of the stages of the encoder, and `SO3toS2Conv` takes this and the first
    stage to S². Of the last stage it is the integral over SO(3), what the picture shows as a whole, that is heard: a
    logit for all points. That helps where there is one thing to a sphere; with ``whole=False`` the last stage has its
    say in the decoder like the others.

    Args:
        bandlimits: L of each stage of the encoder, falling; logits have the first.
        orders: N of each stage's output.
        channels: of each stage's output.
        classes: number of logits.
        width: channels of the decoder.
        in_channels: of the pictures.
        radii: of the supports of the encoder's kernels, in radians; the decoder's are those of the stages they read.
        oversample: density of the grids.
        nonlinearity: of the values.
        whole: whether the last stage speaks for the picture as a whole.

    Raises:
        ValueError: sequences of different lengths, bandlimits that grow, orders above a bandlimit.

    >>> SphericalSegmenter()(torch.zeros(24, 48, 4)).shape
    torch.Size([24, 48, 11, 4])
    """

    def __init__(
        self,
        bandlimits: Sequence[int] = (12, 8, 5),
        orders: Sequence[int] = (4, 4, 3),
        channels: Sequence[int] = (8, 16, 32),
        classes: int = 11,
        *,
        width: int = 8,
        in_channels: int = 1,
        radii: Sequence[float] = (math.pi / 7, math.pi / 4, math.pi / 3),
        oversample: float = 1.25,
        nonlinearity: Nonlinearity = torch.relu,
        whole: bool = True,
    ) -> None:
        _check(bandlimits, orders, channels, radii)
        super().__init__(bandlimits[0], in_channels)
        if len(bandlimits) < 2:
            raise ValueError(f"expected an encoder of at least two stages, got bandlimits {tuple(bandlimits)}")
        self.encoder, self.lateral = nn.ModuleList(), nn.ModuleList()
        before, cut, (L, N) = in_channels, 1, (bandlimits[0], min(orders[-1], *bandlimits))
        for l, n, C, radius in zip(bandlimits, orders, channels, radii, strict=True):
            conv = _convolution(before, C, l, (min(cut, l), n), radius)
            last = whole and len(self.encoder) == len(bandlimits) - 1
            to = (1, 1) if last else (l, n)
            self.encoder.append(_Stage(conv, SO3Activation(l, n, oversample, nonlinearity, to=to)))
            if not last:
                self.lateral.append(_convolution(C, width, l, (n, N), radius))
            before, cut = C, n
        self.norm = SpectralBatchNorm(width)
        self.activation = SO3Activation(L, N, oversample, nonlinearity)
        support = near_identity(radii[0], 2, 6, turns=4)
        self.answer = SO3toS2Conv(width, classes, L, orders=N, support=support)
        self.shortcut = SO3toS2Conv(channels[0], classes, L, orders=orders[0], support=support)
        self.bias = nn.Parameter(torch.zeros(classes))
        self.whole = nn.Sequential(nn.BatchNorm1d(before), nn.Linear(before, classes)) if whole else None

    def segment(self, coeffs: Tensor) -> Tensor:
        """Logits of pictures, both as spectra: ``(L², in_channels, batch)`` → ``(L², classes, batch)``."""
        features = []
        for stage in self.encoder:
            coeffs = stage(coeffs)
            features.append(coeffs)
        decoded = self.lateral[0](features[0])
        for conv, f in zip(self.lateral[1:], features[1:], strict=False):
            part = conv(f)
            decoded = decoded + F.pad(part, (0, 0, 0, 0, 0, len(decoded) - len(part)))
        logits = self.answer(self.activation(self.norm(decoded))) + self.shortcut(features[0])
        constant = self.bias[:, None]
        if self.whole is not None:
            constant = constant + self.whole(integrate_so3(features[-1]).T).T
        return torch.cat([logits[:1] + constant, logits[1:]])

    def forward(self, signal: Tensor) -> Tensor:
        """Logits on the grid of the pictures: ``(n_beta, n_alpha, [in_channels,] batch)`` → with ``classes``."""
        logits, fft = self.segment(self.spectrum(signal)), self._fft(signal)
        return fft.synthesis(F.pad(logits, (0, 0, 0, 0, 0, fft.size - len(logits))))


def _convolution(before: int, after: int, bandlimit: int, orders: tuple[int, int], radius: float) -> S2Conv | SO3Conv:
    """A local layer: from S² where the input has no orders."""
    if orders[0] == 1:
        return S2Conv(before, after, bandlimit, orders=orders[1], support=near_identity(radius, 2, 8))
    return SO3Conv(before, after, bandlimit, orders=orders, support=near_identity(radius, 2, 6, turns=6))


def _check(bandlimits: Sequence[int], *others: Sequence[float]) -> None:
    lengths = [len(bandlimits), *(len(other) for other in others)]
    if len(set(lengths)) != 1 or not bandlimits:
        raise ValueError(f"expected bandlimits, orders, channels and radii of one length, got {lengths}")
    if list(bandlimits) != sorted(bandlimits, reverse=True):
        raise ValueError(f"expected bandlimits that do not grow, got {tuple(bandlimits)}")

"""Oracles of chapter 08: functions on S² and SO(3) point by point, their integrals; and networks on digits, trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import sph_harm_y
from torch import Tensor, nn
from torch.nn import functional as F

from gdl_lab import data, runtime
from gdl_lab.data import Dataset
from gdl_lab.networks import ChartCNN, ChartUNet
from gdl_lab.recipes.spherical_digits import RATES, OnChart, trained
from gdl_lab.sphere import (
    S2FFT,
    SO3Activation,
    SphericalCNN,
    SphericalSegmenter,
    confusion,
    digits_on_sphere,
    masks,
    mean_iou,
    random_rotations,
    rotate,
    segmentation_loss,
    spectrum_size,
)
from gdl_lab.symmetry import equivariance_error

__all__ = [
    "Masks", "Readers", "aliasing", "answer_error", "fresh", "group_quadrature",
    "harmonics", "iou", "labelled", "normal", "on_group", "on_sphere", "painted", "pose_error",
    "read_digits", "read_shares", "said", "segment_digits", "segment_scores", "share", "smooth", "sphere_quadrature",
    "tilt", "wigner",
]  # fmt: skip

Complex = npt.NDArray[np.complex128]


normal = partial(runtime.normal, "sphere")


# Functions point by point, from scipy's harmonics alone


def harmonics(bandlimit: int, x: Tensor) -> Complex:
    """The usual complex Y^l_m with ∫ abs(Y)² dx = 1 for the mean over the sphere, at points (..., 3): (..., L²)."""
    across, up, towards = x.numpy()[..., 0], x.numpy()[..., 1], x.numpy()[..., 2]  # the polar axis is y
    beta, alpha = np.arctan2(np.hypot(across, towards), up), np.arctan2(across, towards)  # arccos loses digits
    Y = [sph_harm_y(l, m, beta, alpha) for l in range(bandlimit) for m in range(-l, l + 1)]  # noqa: E741
    return cast(Complex, math.sqrt(4 * math.pi) * np.stack(Y, -1))


def _real(bandlimit: int, x: Tensor) -> Tensor:
    """Real harmonics in the package's order, cosines at m > 0 and sines at m < 0, without the sign (−1)^m."""
    Y = harmonics(bandlimit, x)
    columns = []
    for l in range(bandlimit):  # noqa: E741
        for m in range(-l, l + 1):
            one = Y[..., l * l + l + abs(m)] * (-1) ** m * (math.sqrt(2) if m else 1)
            columns.append(one.imag if m < 0 else one.real)
    return torch.from_numpy(np.stack(columns, -1))


def on_sphere(coeffs: Tensor, bandlimit: int, x: Tensor) -> Tensor:
    """Σ f^l_m Y^l_m(x) for a spectrum (L²,) and points (..., 3)."""
    return _real(bandlimit, x) @ coeffs


def wigner(bandlimit: int, R: Tensor) -> Tensor:
    """D(R) of all degrees in one matrix (..., L², L²), by its definition: Y_n(R⁻¹x) = Σ_m D_mn(R) Y_m(x)."""
    x, w = sphere_quadrature(bandlimit)
    return (w[:, None] * _real(bandlimit, x)).T @ _real(bandlimit, x @ R)  # x @ R is R⁻¹x


def on_group(coeffs: Tensor, bandlimit: int, R: Tensor) -> Tensor:
    """Σ √(2l+1) F^l_mn D^l_mn(R) for a spectrum of all orders and rotations (..., 3, 3)."""
    D, total = wigner(bandlimit, R), torch.zeros(R.shape[:-2], dtype=torch.float64)
    for l in range(bandlimit):  # noqa: E741
        F_l = coeffs[spectrum_size(l) : spectrum_size(l + 1)].view(2 * l + 1, 2 * l + 1)
        rows = slice(l * l, (l + 1) ** 2)
        total += math.sqrt(2 * l + 1) * (D[..., rows, rows] * F_l).sum((-2, -1))
    return total


def _circles(bandlimit: int) -> tuple[Tensor, Tensor, Tensor]:
    z, w = np.polynomial.legendre.leggauss(bandlimit + 1)
    alpha = torch.arange(2 * bandlimit + 1, dtype=torch.float64) * (2 * math.pi / (2 * bandlimit + 1))
    return alpha, torch.from_numpy(np.arccos(z)), torch.from_numpy(w / 2)


def sphere_quadrature(bandlimit: int) -> tuple[Tensor, Tensor]:
    """Points (n, 3) and weights of sum 1 that integrate products of two functions of this bandlimit."""
    alpha, beta, w = _circles(bandlimit)
    a, b = torch.meshgrid(alpha, beta, indexing="ij")
    x = torch.stack([b.sin() * a.sin(), b.cos(), b.sin() * a.cos()], -1)
    return x.reshape(-1, 3), (w / len(alpha)).expand_as(a).reshape(-1)


def group_quadrature(bandlimit: int) -> tuple[Tensor, Tensor]:
    """Rotations (n, 3, 3) and weights of sum 1, the measure dα sin β dβ dγ / 8π², for products of two functions."""
    alpha, beta, w = _circles(bandlimit)
    a, b, c = torch.meshgrid(alpha, beta, alpha, indexing="ij")
    R = _about(1, a) @ _about(0, b) @ _about(1, c)
    return R.reshape(-1, 3, 3), (w[:, None] / len(alpha) ** 2).expand_as(a).reshape(-1)


def _about(axis: int, angle: Tensor) -> Tensor:
    R = torch.eye(3, dtype=torch.float64).expand(*angle.shape, 3, 3).clone()
    i, j = (axis + 1) % 3, (axis + 2) % 3
    R[..., i, i], R[..., i, j], R[..., j, i], R[..., j, j] = angle.cos(), -angle.sin(), angle.sin(), angle.cos()
    return R


def tilt(degrees: float) -> Tensor:
    """The rotation about the x axis that moves what is on the equator at α = π towards the north pole e_y."""
    return _about(0, torch.tensor(math.radians(degrees), dtype=torch.float64))


# Nonlinearities


def smooth(bandlimit: int, seed: int) -> Tensor:
    """A random spectrum on SO(3) of mean zero whose power falls with the degree, entries of size (2l+1)^(−3/2).

    With a mean it might be positive nearly everywhere, and ReLU have nothing to do.
    """
    size = [(2 * l + 1) ** 2 for l in range(bandlimit)]  # noqa: E741
    scale = torch.cat([torch.full((n,), n**-0.75, dtype=torch.float64) for n in size])
    scale[0] = 0
    return normal(sum(size), seed=seed) * scale


def aliasing(act: Callable[[Tensor], Tensor], oversample: float, F: Tensor, bandlimit: int, group: Tensor) -> float:
    """The mean equivariance error of synthesis, nonlinearity and analysis on a grid of this density."""
    layer = SO3Activation(bandlimit, oversample=oversample, nonlinearity=act)
    return equivariance_error(
        layer, group, lambda R, F: rotate(F, R, bandlimit), lambda R, F: rotate(F, R, bandlimit), F, reduce="mean"
    )


# Digits


class Readers(NamedTuple):
    """A spherical and a planar network that read digits, trained on the same upright ones, and digits to test on."""

    spherical: nn.Module
    planar: nn.Module
    test: Dataset


class Masks(NamedTuple):
    """A spherical network that segments, trained on upright digits, a U-Net, on rotated copies; tests, seconds."""

    spherical: nn.Module
    unet: nn.Module
    test: Dataset
    seconds: tuple[float, ...]


def _dealt(n: int, tested: int, held_out: int = 300) -> tuple[Dataset, Dataset, Dataset]:
    """Digits to train on, to validate on, and to test on; real 8×8 ones where the larger are not on this machine."""
    train, test = (data.load("mnist", split, otherwise="digits8") for split in ("train", "test"))
    held_out, tested = min(held_out, len(train) - n), min(tested, len(test))
    both = train.take(n + held_out)
    first, rest = (Dataset(both.name, both.x[part], both.y[part]) for part in (slice(held_out, None), slice(held_out)))
    return first, rest, test.take(tested)


def painted(digits: Dataset, fft: S2FFT, rotations: Tensor | None = None, **paint: Any) -> tuple[Tensor, Tensor]:
    """Signals on the grid, the batch first as `training.fit` wants it, and the labels."""
    return digits_on_sphere(digits.x, fft.grid(), rotations, **paint).movedim(-1, 0).contiguous(), digits.y


def fresh(n: int, use: str) -> Tensor:
    """A rotation for each of n pictures; the same for the same use."""
    return random_rotations(n, runtime.generator(use))


@torch.no_grad()
def said(net: nn.Module, x: Tensor, read: Callable[[Tensor], Tensor]) -> Tensor:
    """What a network says of signals, the batch first, read chunk by chunk."""
    net.eval()
    return torch.cat([read(net(part.movedim(0, -1))) for part in x.split(100)])


def share(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """The share of signals that are read rightly."""
    return float((said(net, x, lambda logits: logits.argmax(1)) == y).double().mean())


def iou(net: nn.Module, x: Tensor, y: Tensor, weights: Tensor | None) -> float:
    """Mean intersection over union without the background, over areas where weights are given."""
    found = said(net, x, lambda logits: logits.argmax(2).movedim(-1, 0))
    return mean_iou(confusion(found.movedim(0, -1), y.movedim(0, -1).long(), weights))


@cache
def read_digits(n: int = 1000, steps: int = 500, *, tested: int = 1000, seed: int = 0) -> Readers:
    """Both networks of the sweep `sphere-classification`, trained alike, each at its own rate, on n upright digits."""
    fft = S2FFT(16)
    digits, held_out, test = _dealt(n, tested)
    examples, validation = painted(digits, fft), painted(held_out, fft)
    nets: list[nn.Module] = []
    for name, make in (("equivariant", SphericalCNN), ("planar", lambda: OnChart(ChartCNN(fft.shape)))):
        torch.manual_seed(seed)
        nets.append(make())
        trained(
            nets[-1],
            examples,
            lambda net, x, y: F.cross_entropy(net(x.movedim(0, -1)), y),
            lambda net: 1 - share(net, *validation),
            lr=RATES[name],
            steps=steps,
            seed=seed,
            label=name,
        )
    return Readers(nets[0], nets[1], test)


@cache
def read_shares(readers: Readers) -> dict[str, tuple[float, float]]:
    """Shares of the test digits read upright and in fresh poses: NR/NR and NR/R."""
    fft, test = S2FFT(16), readers.test
    sets = painted(test, fft), painted(test, fft, fresh(len(test), "test"))
    return {
        name: (share(net, *sets[0]), share(net, *sets[1]))
        for name, net in (("spherical", readers.spherical), ("planar", readers.planar))
    }


@torch.no_grad()
def pose_error(readers: Readers, oversample: float, tested: int = 100) -> float:
    """How far the logits move when the digits' spectra are rotated, over their spread, on grids of this density."""
    net = cast(SphericalCNN, readers.spherical).at(oversample).eval()
    few = readers.test.take(min(tested, len(readers.test)))
    coeffs = net.spectrum(painted(few, S2FFT(16))[0].movedim(0, -1))
    logits = net.read(coeffs)
    moved = net.read(rotate(coeffs, fresh(len(few), "test").to(coeffs), net.bandlimit))
    return float((moved - logits).norm() / (logits - logits.mean(0)).norm())


@cache
def segment_digits(n: int = 500, steps: int = 500, *, copies: int = 5, tested: int = 500, seed: int = 0) -> Masks:
    """The segmenter on n upright digits, and a U-Net on ``copies`` rotated ones of each, with as many steps."""
    fft = S2FFT(24)
    digits, held_out, test = _dealt(n, tested)
    many = Dataset(digits.name, digits.x.repeat(copies, 1, 1, 1), digits.y.repeat(copies))
    nets: list[nn.Module] = []
    seconds: list[float] = []
    for name, given, turn in (("equivariant", digits, False), ("unet-8", many, True)):
        torch.manual_seed(seed)
        nets.append(OnChart(ChartUNet(fft.shape, width=8)) if turn else SphericalSegmenter())
        examples, validation = (
            labelled(part, fft, fresh(len(part), use) if turn else None)
            for part, use in ((given, "training"), (held_out, "validation"))
        )
        seconds.append(
            trained(
                nets[-1],
                examples,
                lambda net, x, y: segmentation_loss(net(x.movedim(0, -1)), y.movedim(0, -1).long(), fft.weights),
                _missed(validation, fft.weights),
                lr=RATES[name],
                steps=steps,
                seed=seed,
                label=name,
            )
        )
    return Masks(nets[0], nets[1], test, tuple(seconds))


def labelled(digits: Dataset, fft: S2FFT, rotations: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Signals and what each point shows, bytes, the batch first."""
    x, y = painted(digits, fft, rotations)
    return x, masks(x.movedim(0, -1), y).movedim(-1, 0).byte().contiguous()


def _missed(validation: tuple[Tensor, Tensor], weights: Tensor) -> Callable[[nn.Module], float]:
    return lambda net: 1 - iou(net, *validation, weights)


def segment_scores(segmenters: Masks) -> dict[str, tuple[float, float]]:
    """Mean IoU on upright and on freshly turned test digits."""
    fft, test = S2FFT(24), segmenters.test
    sets = labelled(test, fft), labelled(test, fft, fresh(len(test), "test"))
    return {
        name: (iou(net, *sets[0], fft.weights), iou(net, *sets[1], fft.weights))
        for name, net in (("spherical", segmenters.spherical), ("unet", segmenters.unet))
    }


@torch.no_grad()
def answer_error(segmenters: Masks, oversample: float, tested: int = 20) -> float:
    """How far the answer to rotated spectra is from the rotated answer, relative, on grids of this density."""
    net = cast(SphericalSegmenter, segmenters.spherical).at(oversample).eval()
    few = segmenters.test.take(min(tested, len(segmenters.test)))
    coeffs, R = net.spectrum(painted(few, S2FFT(24))[0].movedim(0, -1)), fresh(len(few), "test")
    answer = rotate(net.segment(coeffs), R.to(coeffs), net.bandlimit)
    moved = net.segment(rotate(coeffs, R.to(coeffs), net.bandlimit))
    return float((moved - answer).norm() / answer.norm())

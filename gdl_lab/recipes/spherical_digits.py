"""Experiments with digits on the sphere: one point of a sweep each, a network trained for some steps and then tested.

All networks are trained alike, as `trained` says, each at a rate of its own. The digits of the training split are dealt
out before any is turned: some to train on, others for 300 pictures to validate on, in the poses of the training. Tests
are on 2,000 pictures of the test split, upright and each in a fresh pose. A network has come to its plateau where twice
as many steps bring next to nothing on the digits held out; `gdl_lab.recipes.sweeps.plateaus` applies this one rule to
all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdl_lab import data, runtime, training
from gdl_lab.data import Dataset
from gdl_lab.networks import ChartCNN, ChartUNet, count_parameters
from gdl_lab.sphere.digits import charts, digits_on_sphere, four_digits_on_sphere
from gdl_lab.sphere.networks import SphericalCNN, SphericalSegmenter
from gdl_lab.sphere.s2 import S2FFT
from gdl_lab.sphere.segmentation import confusion, masks, mean_iou, segmentation_loss
from gdl_lab.symmetry import random_rotations

__all__ = ["RATES", "OnChart", "classify", "segment", "trained"]

RATES = {"equivariant": 2e-2, "unet-8": 5e-3, "unet-16": 5e-3, "planar": 5e-3}
HELD_OUT = 300
TESTED = 2000
Grid = Sequence[Tensor]


class OnChart(nn.Module):
    """A planar network that takes and gives what a spherical one does.

    Args:
        net: maps ``(batch, 1, n_beta, n_alpha)`` to ``(batch, classes)`` or ``(batch, classes, n_beta, n_alpha)``.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster on a CPU

    def forward(self, signals: Tensor) -> Tensor:
        """``(n_beta, n_alpha, batch)`` → ``(batch, classes)`` or ``(n_beta, n_alpha, classes, batch)``."""
        said = self.net(charts(signals))
        return said if said.ndim == 2 else said.permute(2, 3, 1, 0)


def trained(
    model: nn.Module,
    examples: tuple[Tensor, ...],
    loss: Callable[..., Tensor],
    error: Callable[[nn.Module], float],
    *,
    lr: float,
    steps: int,
    seed: int,
    label: str | None = None,
) -> float:
    """Train by Adam on batches of 32, the rate warmed up, then along a cosine; keep the best of ten validations.

    Args:
        examples: tensors with the batch first.
        loss: ``loss(model, *batch)``.
        error: of the validation, smaller is better.
        label: of the progress bar; none is shown without one.

    Returns:
        Processor time in seconds.
    """
    began = time.process_time()
    training.fit(
        model,
        examples,
        loss,
        steps=steps,
        batch_size=32,
        lr=lr,
        schedule=training.warm_cosine,
        seed=seed,
        validate=error,
        every=max(steps // 10, 1),
        progress=label is not None,
        label=label or "training",
    )
    return time.process_time() - began


def segment(
    network: str = "equivariant",
    copies: int = 0,
    digits: int = 500,
    items: int = 1,
    bandlimit: int = 12,
    weighted: bool = True,
    rate_factor: float = 1.0,
    steps: int = 500,
    seed: int = 0,
) -> dict[str, float]:
    """Segment digits on the sphere: the talk's equivariance against augmentation.

    Args:
        network: ``"equivariant"``, or ``"unet-8"`` and ``"unet-16"``, whose number is the width.
        copies: rotated copies of each training picture; 0 trains on the upright pictures.
        digits: pictures to train on; a picture has ``items`` digits.
        items: 1, or 4 without the networks' view of the whole.
        bandlimit: of the spherical network; the grid has twice as many latitudes.
        weighted: train and validate on areas, rather than on points of the grid that count alike.
        rate_factor: times the learning rate in `RATES`.
        steps: of the training.
        seed: of digits, poses, weights and batches. The tests are the same for all.

    Returns:
        Mean intersection over union without the background: ``miou`` on pictures in fresh poses, ``miou_points`` the
        same with all points of the grid counted alike, ``miou_upright``, ``miou_training`` on 500 training pictures,
        ``miou_held_out``; the learning ``rate``, ``parameters``, ``images``, and the processor's ``training_seconds``.

    Raises:
        ValueError: an unknown network, other ``items``, negative ``copies``, a bandlimit too low for the network, or
            more digits than there are.
        DataError: MNIST is not on this machine.
    """
    if items not in (1, 4) or copies < 0:
        raise ValueError(f"expected items=1 or 4 and copies ≥ 0, got {items} and {copies}")
    torch.manual_seed(seed)
    net, fft = _segmenter(network, bandlimit, whole=items == 1), S2FFT(2 * bandlimit)
    weights = fft.weights if weighted else None
    paint = partial(_masked, grid=fft.grid(), items=items)
    poses = _poses if copies else _upright

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return segmentation_loss(model(x.movedim(0, -1)), y.movedim(0, -1).long(), weights)

    training_set, held_out = _dealt(items * digits, items * HELD_OUT, seed)
    images = digits * max(copies, 1)
    examples = paint(_repeated(training_set, max(copies, 1)), poses(images, "training poses", seed))
    validation = paint(held_out, poses(HELD_OUT, "validation poses", seed))
    rate = rate_factor * RATES[network]
    seconds = trained(
        net, examples, loss, lambda model: 1 - _iou(model, *validation, weights), lr=rate, steps=steps, seed=seed
    )
    tests = _first(data.load("mnist", "test"), items * TESTED)
    turned = paint(tests, _poses(len(tests) // items, "test poses"))
    return {
        "miou": _iou(net, *turned, fft.weights),
        "miou_points": _iou(net, *turned, None),
        "miou_upright": _iou(net, *paint(tests, None), fft.weights),
        "miou_training": _iou(net, examples[0][:500], examples[1][:500], fft.weights),
        "miou_held_out": _iou(net, *validation, fft.weights),
        "rate": rate,
        "parameters": count_parameters(net),
        "images": images,
        "training_seconds": seconds,
    }


def classify(
    network: str = "equivariant",
    rotated: bool = False,
    digits: int = 1000,
    stencil: int = 1,
    shared: int = 1,
    head: str = "mean",
    rate_factor: float = 1.0,
    steps: int = 500,
    seed: int = 0,
) -> dict[str, float]:
    """Read digits on the sphere: upright or turned, with what the published data do, or without it.

    Args:
        network: ``"equivariant"`` or ``"planar"``.
        rotated: train on pictures in fresh poses, rather than upright.
        digits: pictures to train on.
        stencil: of `digits_on_sphere`, in training and tests.
        shared: so many training pictures have a pose in common.
        head: of the planar network.
        rate_factor: times the learning rate in `RATES`.
        steps: of the training.
        seed: of digits, poses, weights and batches. The tests are the same for all.

    Returns:
        Shares read rightly, with training (R or NR) before the slash: ``upright`` for ·/NR, ``turned`` for ·/R in fresh
        poses, ``turned_shared`` with one pose for a twentieth of the test pictures, ``training`` and ``held_out``;
        ``rate``, ``parameters`` and ``training_seconds`` as for `segment`.

    Raises:
        ValueError: an unknown network, stencil or head, ``shared`` below one, or more digits than there are.
        DataError: MNIST is not on this machine.
    """
    if shared < 1:
        raise ValueError(f"expected each pose to be shared by at least one picture, got {shared}")
    torch.manual_seed(seed)
    fft = S2FFT(16)
    net = _reader(network, fft.shape, head)
    paint = partial(_labelled, grid=fft.grid(), stencil=stencil)
    poses = partial(_poses, shared=shared) if rotated else _upright

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(x.movedim(0, -1)), y)

    training_set, held_out = _dealt(digits, HELD_OUT, seed)
    examples = paint(training_set, poses(digits, "training poses", seed))
    validation = paint(held_out, poses(HELD_OUT, "validation poses", seed))
    rate = rate_factor * RATES[network]
    seconds = trained(
        net, examples, loss, lambda model: 1 - _share(model, *validation), lr=rate, steps=steps, seed=seed
    )
    tests = _first(data.load("mnist", "test"), TESTED)
    return {
        "upright": _share(net, *paint(tests, None)),
        "turned": _share(net, *paint(tests, _poses(TESTED, "test poses"))),
        "turned_shared": _share(net, *paint(tests, _poses(TESTED, "shared test poses", shared=TESTED // 20))),
        "training": _share(net, *examples),
        "held_out": _share(net, *validation),
        "rate": rate,
        "parameters": count_parameters(net),
        "training_seconds": seconds,
    }


# Networks


def _segmenter(network: str, bandlimit: int, *, whole: bool) -> nn.Module:
    if network == "equivariant":
        return SphericalSegmenter((bandlimit, 2 * bandlimit // 3, 5 * bandlimit // 12), whole=whole)
    if network in ("unet-8", "unet-16"):
        return OnChart(ChartUNet(S2FFT(2 * bandlimit).shape, width=int(network[5:]), whole=whole))
    raise ValueError(f"unknown network {network!r}: expected equivariant, unet-8 or unet-16")


def _reader(network: str, shape: tuple[int, int], head: str) -> nn.Module:
    if network == "equivariant":
        return SphericalCNN()
    if network == "planar":
        return OnChart(ChartCNN(shape, head=head))
    raise ValueError(f"unknown network {network!r}: expected equivariant or planar")


# Digits, poses and pictures; a picture's batch comes first, as `training.fit` wants it


def _dealt(n: int, held_out: int, seed: int) -> tuple[Dataset, Dataset]:
    """Digits to train on and others to validate on, before any is turned or copied."""
    digits = data.load("mnist", "train")
    order = torch.randperm(len(digits), generator=runtime.generator("digits", seed))
    if n + held_out > len(order):
        raise ValueError(f"expected at most {len(order) - held_out} digits to train on, got {n}")
    kept, chosen = order[:held_out], order[held_out:][:n]
    return replace(digits, x=digits.x[chosen], y=digits.y[chosen]), replace(digits, x=digits.x[kept], y=digits.y[kept])


def _repeated(digits: Dataset, copies: int) -> Dataset:
    """So many copies of all, one lap after the other."""
    return replace(digits, x=digits.x.repeat(copies, 1, 1, 1), y=digits.y.repeat(copies))


def _first(digits: Dataset, n: int) -> Dataset:
    return replace(digits, x=digits.x[:n], y=digits.y[:n])


def _poses(n: int, use: str, *key: int, shared: int = 1) -> Tensor:
    """A rotation for each of n pictures, the same for so many in a row, as in the published data."""
    return random_rotations(-(-n // shared), runtime.generator(use, *key)).repeat_interleave(shared, 0)[:n]


def _upright(n: int, use: str, *key: int) -> None:
    """No rotations."""


def _masked(pictures: Dataset, rotations: Tensor | None, *, grid: Grid, items: int) -> tuple[Tensor, Tensor]:
    """Signals with one digit or four, and what each point shows."""
    if items == 1:
        signals = digits_on_sphere(pictures.x, grid, rotations)
        return _batch_first(signals), _batch_first(masks(signals, pictures.y).byte())
    four = four_digits_on_sphere(pictures.x.reshape(-1, 4, *pictures.x.shape[-2:]), grid, rotations)
    return _batch_first(four.sum(-1)), _batch_first(masks(four, pictures.y.reshape(-1, 4)).byte())


def _labelled(pictures: Dataset, rotations: Tensor | None, *, grid: Grid, stencil: int) -> tuple[Tensor, Tensor]:
    """Signals and their labels."""
    return _batch_first(digits_on_sphere(pictures.x, grid, rotations, stencil=stencil)), pictures.y


def _batch_first(signals: Tensor) -> Tensor:
    return signals.movedim(-1, 0).contiguous()


# Scores


def _iou(net: nn.Module, x: Tensor, y: Tensor, weights: Tensor | None) -> float:
    """Mean intersection over union without the background, of areas, or of points of the grid for ``None``."""
    answers = _answers(net, x, lambda logits: logits.argmax(2).movedim(-1, 0))
    return mean_iou(confusion(answers.movedim(0, -1), y.movedim(0, -1).long(), weights))


def _share(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """The share of pictures that are read rightly."""
    return float((_answers(net, x, lambda logits: logits.argmax(1)) == y).double().mean())


@torch.no_grad()
def _answers(model: nn.Module, x: Tensor, read: Callable[[Tensor], Tensor], chunk: int = 100) -> Tensor:
    """What the trained network says, in evaluation mode."""
    model.eval()
    return torch.cat([read(model(part.movedim(0, -1))) for part in x.split(chunk)])

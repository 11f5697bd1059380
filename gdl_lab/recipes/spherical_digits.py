"""Experiments with digits on the sphere: one point of a sweep each, a network trained for some steps and then tested.

All networks are trained alike, as `trained` says, each at a rate of its own. The digits of the training split are dealt
out before any is turned: some to train on, 300 others to validate on, in the poses of the training. Tests are on 2,000
digits of the test split, upright and each in a fresh pose. A network has come to its plateau where twice as many steps
bring next to nothing on the digits held out; `gdl_lab.recipes.sweeps.plateaus` applies this one rule to all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdl_lab import data, runtime, training
from gdl_lab.networks import ChartCNN, ChartUNet, count_parameters
from gdl_lab.sphere.digits import charts, digits_on_sphere, four_digits_on_sphere, random_rotations
from gdl_lab.sphere.networks import SphericalCNN, SphericalSegmenter
from gdl_lab.sphere.s2 import S2FFT
from gdl_lab.sphere.segmentation import confusion, masks, mean_iou, segmentation_loss

__all__ = ["RATES", "OnChart", "classify", "segment", "trained"]

RATES = {"equivariant": 2e-2, "unet-8": 5e-3, "unet-16": 5e-3, "planar": 5e-3}
HELD_OUT = 300
TESTED = 2000


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
    """
    fft = S2FFT(2 * bandlimit)
    grid, weights = fft.grid(), fft.weights if weighted else None
    torch.manual_seed(seed)
    if network == "equivariant":
        sizes = (bandlimit, 2 * bandlimit // 3, 5 * bandlimit // 12)
        net: nn.Module = SphericalSegmenter(sizes, whole=items == 1)
    elif network in ("unet-8", "unet-16"):
        net = OnChart(ChartUNet(fft.shape, width=int(network[5:]), whole=items == 1))
    else:
        raise ValueError(f"unknown network {network!r}: expected equivariant, unet-8 or unet-16")

    def painted(pictures: data.Dataset, rotations: Tensor | None) -> tuple[Tensor, Tensor]:
        """Signals and masks, batch first."""
        if items == 1:
            signals = digits_on_sphere(pictures.x, grid, rotations)
            return _batch_first(signals), _batch_first(masks(signals, pictures.y).byte())
        four = four_digits_on_sphere(pictures.x.reshape(-1, 4, *pictures.x.shape[-2:]), grid, rotations)
        return _batch_first(four.sum(-1)), _batch_first(masks(four, pictures.y.reshape(-1, 4)).byte())

    def poses(n: int, use: str) -> Tensor | None:
        return random_rotations(n, runtime.generator(use, seed)) if copies else None

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return segmentation_loss(model(x.movedim(0, -1)), y.movedim(0, -1).long(), weights)

    def score(model: nn.Module, x: Tensor, y: Tensor, by: Tensor | None) -> float:
        answers = _answers(model, x, lambda logits: logits.argmax(2).movedim(-1, 0))
        return mean_iou(confusion(answers.movedim(0, -1), y.movedim(0, -1).long(), by))

    training_set, held_out = _dealt(items * digits, items * HELD_OUT, seed)
    images = digits * max(copies, 1)
    examples = painted(_repeated(training_set, max(copies, 1)), poses(images, "training poses"))
    validation = painted(held_out, poses(HELD_OUT, "validation poses"))
    seconds = trained(
        net,
        examples,
        loss,
        lambda model: 1 - score(model, *validation, weights),
        lr=rate_factor * RATES[network],
        steps=steps,
        seed=seed,
    )
    tests = _first(data.load("mnist", "test"), items * TESTED)
    turned = painted(tests, random_rotations(len(tests.x) // items, runtime.generator("test poses")))
    return {
        "miou": score(net, *turned, fft.weights),
        "miou_points": score(net, *turned, None),
        "miou_upright": score(net, *painted(tests, None), fft.weights),
        "miou_training": score(net, examples[0][:500], examples[1][:500], fft.weights),
        "miou_held_out": score(net, *validation, fft.weights),
        "rate": rate_factor * RATES[network],
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
    """
    fft = S2FFT(16)
    grid = fft.grid()
    torch.manual_seed(seed)
    if network == "equivariant":
        net: nn.Module = SphericalCNN()
    elif network == "planar":
        net = OnChart(ChartCNN(fft.shape, head=head))
    else:
        raise ValueError(f"unknown network {network!r}: expected equivariant or planar")

    def painted(pictures: data.Dataset, rotations: Tensor | None) -> tuple[Tensor, Tensor]:
        return _batch_first(digits_on_sphere(pictures.x, grid, rotations, stencil=stencil)), pictures.y

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(x.movedim(0, -1)), y)

    def score(model: nn.Module, x: Tensor, y: Tensor) -> float:
        return float((_answers(model, x, lambda logits: logits.argmax(1)) == y).double().mean())

    def poses(n: int, use: str) -> Tensor | None:
        return random_rotations(n, runtime.generator(use, seed), shared=shared) if rotated else None

    training_set, held_out = _dealt(digits, HELD_OUT, seed)
    examples = painted(training_set, poses(digits, "training poses"))
    validation = painted(held_out, poses(HELD_OUT, "validation poses"))
    seconds = trained(
        net,
        examples,
        loss,
        lambda model: 1 - score(model, *validation),
        lr=rate_factor * RATES[network],
        steps=steps,
        seed=seed,
    )
    tests = _first(data.load("mnist", "test"), TESTED)
    fresh = random_rotations(TESTED, runtime.generator("test poses"))
    few = random_rotations(TESTED, runtime.generator("shared test poses"), shared=TESTED // 20)
    return {
        "upright": score(net, *painted(tests, None)),
        "turned": score(net, *painted(tests, fresh)),
        "turned_shared": score(net, *painted(tests, few)),
        "training": score(net, *examples),
        "held_out": score(net, *validation),
        "rate": rate_factor * RATES[network],
        "parameters": count_parameters(net),
        "training_seconds": seconds,
    }


def _dealt(n: int, held_out: int, seed: int) -> tuple[data.Dataset, data.Dataset]:
    """Digits to train on and others to validate on, before any is turned or copied."""
    digits = data.load("mnist", "train")
    order = torch.randperm(len(digits.x), generator=runtime.generator("digits", seed))
    if n + held_out > len(order):
        raise ValueError(f"expected at most {len(order) - held_out} digits to train on, got {n}")
    kept, chosen = order[:held_out], order[held_out:][:n]
    return replace(digits, x=digits.x[chosen], y=digits.y[chosen]), replace(digits, x=digits.x[kept], y=digits.y[kept])


def _repeated(digits: data.Dataset, copies: int) -> data.Dataset:
    """So many copies of all, one lap after the other."""
    return replace(digits, x=digits.x.repeat(copies, 1, 1, 1), y=digits.y.repeat(copies))


def _first(digits: data.Dataset, n: int) -> data.Dataset:
    return replace(digits, x=digits.x[:n], y=digits.y[:n])


def _batch_first(signals: Tensor) -> Tensor:
    return signals.movedim(-1, 0).contiguous()


@torch.no_grad()
def _answers(model: nn.Module, x: Tensor, read: Callable[[Tensor], Tensor], chunk: int = 100) -> Tensor:
    """What the trained network says, in evaluation mode."""
    model.eval()
    return torch.cat([read(model(part.movedim(0, -1))) for part in x.split(chunk)])

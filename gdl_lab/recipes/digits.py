"""Handwritten digits, all ten: a whitened flow that a laptop trains, a Glow that wants an evening, and two readers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from gdl_lab import data
from gdl_lab.flows import Flow, Glow, RealNVP
from gdl_lab.networks import ConvolutionalReader, MixerReader, Reader
from gdl_lab.recipes.picture_flow import PictureFlow
from gdl_lab.recipes.picture_reader import ClassReader
from gdl_lab.recipes.recipe import Plan, Recipe, side_by_side

__all__ = ["RECIPES"]


def labelled(split: str) -> data.Dataset:
    """MNIST with its labels."""
    return data.load("mnist", split)


def pictures(split: str) -> Tensor:
    """MNIST, ``(n, 1, 28, 28)``."""
    return labelled(split).x


def whitened(x: Tensor) -> Flow:
    """Couplings on 128 principal coordinates; 372 more stay Gaussian, and what is left has little but the noise."""
    return RealNVP(784, 8, (192, 192), principal=128).fit_whitening(x.flatten(1), 500)


def glow(x: Tensor) -> Flow:
    """Two levels of eight steps."""
    return side_by_side(Glow((1, 28, 28), steps=8, levels=2, hidden=64).fit_actnorm(x[:256]))


def convolutional() -> Reader:
    """Six convolutions."""
    return side_by_side(ConvolutionalReader((1, 28, 28), 10))


def mixer() -> Reader:
    """Patches of 4×4 pixels, mixed three times."""
    return MixerReader((1, 28, 28), 10, patch=4, width=64, depth=3)


WHITENED = PictureFlow(
    name="digits-whitened",
    title="A RealNVP on the 128 leading principal coordinates of all ten MNIST digits.",
    data="MNIST",
    pictures=pictures,
    begin=whitened,
    bits=4,
    plans={
        "smoke": Plan(steps=20, batch_size=256, lr=2e-3, every=10, at_most=4000, tested=1000),
        "laptop": Plan(steps=3000, batch_size=512, lr=2e-3, every=100, patience=10, held_out=2000),
    },
)

GLOW = PictureFlow(
    name="digits-glow",
    title="A Glow of two levels on all ten MNIST digits.",
    data="MNIST",
    pictures=pictures,
    begin=glow,
    bits=4,
    plans={
        "smoke": Plan(steps=4, batch_size=16, lr=2e-3, every=2, held_out=100, at_most=2000, tested=100),
        "laptop": Plan(steps=1000, batch_size=32, lr=2e-3, every=250),
        "full": Plan(steps=12000, batch_size=32, lr=2e-3, every=250),
    },
)

SMOKE = Plan(steps=20, batch_size=64, lr=2e-3, every=10, held_out=500, at_most=2000, tested=500)

READER = ClassReader(
    name="digits-reader",
    title="A convolutional network that reads all ten MNIST digits.",
    data="MNIST",
    pictures=labelled,
    begin=convolutional,
    bits=4,
    shift=1,
    plans={"smoke": SMOKE, "laptop": Plan(steps=3000, batch_size=64, lr=3e-3, held_out=5000)},
)

SECOND = replace(
    READER,
    name="digits-second",
    title="A mixer of patches that reads all ten MNIST digits: the second opinion.",
    begin=mixer,
    seed=1,
    plans={"smoke": SMOKE, "laptop": Plan(steps=6000, batch_size=64, lr=3e-3, every=500, held_out=5000)},
)

RECIPES: tuple[Recipe[Any], ...] = (WHITENED, GLOW, READER, SECOND)

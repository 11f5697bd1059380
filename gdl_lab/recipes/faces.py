"""Drawn faces: a whitened flow, and two readers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from gdl_lab import data
from gdl_lab.flows import Flow, RealNVP
from gdl_lab.networks import ConvolutionalReader, MixerReader, Reader
from gdl_lab.recipes.picture_flow import PictureFlow
from gdl_lab.recipes.picture_reader import ClassReader
from gdl_lab.recipes.recipe import Plan, Recipe, side_by_side

__all__ = ["RECIPES"]

NUMBER = {"train": 21_000, "test": 2_000}
DIRECTIONS = 240  # of 3,072: more would not fit into 4 MB


def labelled(split: str) -> data.Dataset:
    """Faces with their labels, blonde or not."""
    return data.load("faces", split, n=NUMBER[split])


def pictures(split: str) -> Tensor:
    """Faces that are drawn anew, ``(n, 3, 32, 32)``."""
    return labelled(split).x


def whitened(x: Tensor) -> Flow:
    """Couplings on 80 principal coordinates; the others stay Gaussian, 160 of them with a scale of their own."""
    return RealNVP(3072, 8, (128, 128), principal=80).fit_whitening(x.flatten(1), DIRECTIONS)


def convolutional() -> Reader:
    """Six convolutions."""
    return side_by_side(ConvolutionalReader((3, 32, 32), 2))


def mixer() -> Reader:
    """Patches of 8×8 pixels, mixed three times."""
    return MixerReader((3, 32, 32), 2, patch=8, width=96, depth=3)


FLOW = PictureFlow(
    name="faces",
    title="A RealNVP on the 80 leading principal coordinates of drawn faces.",
    data="drawn faces",
    pictures=pictures,
    begin=whitened,
    bits=5,
    directions=DIRECTIONS,
    plans={
        "smoke": Plan(steps=10, batch_size=128, lr=2e-3, every=5, held_out=200, at_most=1000, tested=200),
        "laptop": Plan(steps=3000, batch_size=512, lr=2e-3, every=100, patience=10),
    },
)

SMOKE = Plan(steps=20, batch_size=64, lr=2e-3, every=10, held_out=200, at_most=1000, tested=200)

# Validated once, at the end: these are the last weights and not the best, for this reader is to be as sure of itself as
# networks are that were trained until their loss had nearly vanished. It misreads 1 % of its training pictures, of
# which 6 % have a label that nobody can see. Trained on 20,000 and stopped at its best, the same network took attacks
# of 0.2 in the median of the largest changes, not of 0.03.
READER = ClassReader(
    name="faces-reader",
    title="A convolutional network that says whether a drawn face is blonde, trained until it is sure.",
    settled=False,
    data="drawn faces",
    pictures=labelled,
    begin=convolutional,
    bits=5,
    plans={"smoke": SMOKE, "laptop": Plan(steps=1800, batch_size=64, lr=4e-3, every=1800, at_most=8000)},
)

SECOND = replace(
    READER,
    name="faces-second",
    title="A mixer of patches that says whether a drawn face is blonde: the second opinion.",
    settled=True,
    begin=mixer,
    seed=1,
    plans={"smoke": SMOKE, "laptop": Plan(steps=2000, batch_size=64, lr=2e-3, every=200)},
)

RECIPES: tuple[Recipe[Any], ...] = (FLOW, READER, SECOND)

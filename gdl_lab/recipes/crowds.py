"""Drawn crowds: a small Glow, and two readers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from gdl_lab import data
from gdl_lab.flows import Flow, Glow
from gdl_lab.networks import ConvolutionalReader, MixerReader, Reader
from gdl_lab.recipes.picture_flow import PictureFlow
from gdl_lab.recipes.picture_reader import ValueReader
from gdl_lab.recipes.recipe import Plan, Recipe, side_by_side

__all__ = ["RECIPES"]

NUMBER = {"train": 21_000, "test": 2_000}


def labelled(split: str) -> data.Dataset:
    """Crowds with the number of people."""
    return data.load("crowds", split, n=NUMBER[split])


def pictures(split: str) -> Tensor:
    """Crowds that are drawn anew, ``(n, 3, 32, 32)``."""
    return labelled(split).x


def glow(x: Tensor) -> Flow:
    """Three levels of six steps."""
    return side_by_side(Glow((3, 32, 32), steps=6, levels=3, hidden=40).fit_actnorm(x[:256]))


def convolutional() -> Reader:
    """Six convolutions."""
    return side_by_side(ConvolutionalReader((3, 32, 32), None))


def mixer() -> Reader:
    """Patches of 4×4 pixels, mixed three times."""
    return MixerReader((3, 32, 32), None, patch=4, width=64, depth=3)


FLOW = PictureFlow(
    name="crowds",
    title="A Glow of three levels on drawn crowds.",
    data="drawn crowds",
    pictures=pictures,
    begin=glow,
    bits=5,
    plans={
        "smoke": Plan(steps=4, batch_size=16, lr=2e-3, every=2, held_out=100, at_most=500, tested=100),
        "laptop": Plan(steps=1200, batch_size=32, lr=2e-3, every=100),
        "full": Plan(steps=4000, batch_size=32, lr=2e-3, every=200),
    },
)

SMOKE = Plan(steps=20, batch_size=64, lr=2e-3, every=10, held_out=200, at_most=1000, tested=200)

READER = ValueReader(
    name="crowds-reader",
    title="A convolutional network that counts drawn people.",
    data="drawn crowds",
    pictures=labelled,
    begin=convolutional,
    bits=5,
    plans={"smoke": SMOKE, "laptop": Plan(steps=3000, batch_size=64, lr=2e-3)},
)

SECOND = replace(
    READER,
    name="crowds-second",
    title="A mixer of patches that counts drawn people: the second opinion.",
    begin=mixer,
    seed=1,
    plans={"smoke": SMOKE, "laptop": Plan(steps=5000, batch_size=64, lr=2e-3, every=500)},
)

RECIPES: tuple[Recipe[Any], ...] = (FLOW, READER, SECOND)

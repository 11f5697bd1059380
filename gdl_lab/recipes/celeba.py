"""Faces of CelebA: the talk's Glow, for a GPU and for whoever has the pictures; its checkpoint may not be shipped."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gdl_lab import data
from gdl_lab.flows import Flow, Glow
from gdl_lab.recipes.picture_flow import PictureFlow
from gdl_lab.recipes.recipe import Plan, Recipe, side_by_side

__all__ = ["RECIPES"]


def pictures(split: str) -> Tensor:
    """Faces as bytes, ``(n, 3, 64, 64)``, which take memory once they are drawn from: 2.0 GB for training."""
    return data.load("celeba", split, as_bytes=True).x


def glow(x: Tensor) -> Flow:
    """Four levels of 32 steps with 512 channels inside: the talk's sizes.

    The original's couplings are additive and the prior of its latents is learned; here couplings are affine, and
    latents are whitened by their prior, so that base points are standard normal as the theorem wants them.
    """
    return side_by_side(Glow((3, 64, 64), steps=32, levels=4, hidden=512).fit_actnorm(x[:256]))


GLOW = PictureFlow(
    name="celeba-glow",
    title="The talk's Glow of four levels on faces of CelebA, for a GPU.",
    data="CelebA",
    pictures=pictures,
    begin=glow,
    bits=5,
    shown=10_000,
    shipped=False,
    plans={
        "smoke": Plan(steps=2, batch_size=2, lr=1e-4, every=1, held_out=2, at_most=100, tested=2),
        # Adam with 1e-4 is the talk's; how long it trained, and in which batches, is not known
        "laptop": Plan(steps=100_000, batch_size=32, lr=1e-4, every=2500, held_out=2000),
    },
)

RECIPES: tuple[Recipe[Any], ...] = (GLOW,)

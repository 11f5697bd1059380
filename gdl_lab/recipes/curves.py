"""Noisy arcs, a helix and two moons: flows whose metric chapter 05 measures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from gdl_lab.flows import Flow, RealNVP
from gdl_lab.manifold import Arc, Helix, Moons
from gdl_lab.recipes.curve_flow import CurveFlow, HelixFlow
from gdl_lab.recipes.recipe import Plan, Recipe

__all__ = ["RECIPES"]

SMOKE = Plan(steps=20, batch_size=256, lr=1e-2, clip=5, every=10, at_most=4000, tested=1000)
LAPTOP = Plan(steps=1500, batch_size=512, lr=1e-2, clip=5, every=100, held_out=5000)


def plane(x: Tensor) -> Flow:
    """Eight couplings, not whitened: coordinates of the plane are those of the flow."""
    return RealNVP(2, 8, (64, 64))


def space(x: Tensor) -> Flow:
    """Twelve couplings, not whitened either."""
    return RealNVP(3, 12, (64, 64))


def whitened_space(x: Tensor) -> Flow:
    """The same on whitened coordinates, which a curve without thickness trains more steadily in."""
    return RealNVP(3, 12, (64, 64)).fit_whitening(x)


def arc(delta: float) -> CurveFlow:
    """The arc of chapter 05 at one of its thicknesses."""
    return CurveFlow(
        name=f"arc-{delta:g}",
        title=f"A RealNVP on three quarters of a circle with noise of {delta:g} across it.",
        data="a noisy arc",
        curve=Arc(),
        delta=delta,
        begin=plane,
        plans={"smoke": SMOKE, "laptop": LAPTOP},
    )


SHORT = replace(
    arc(0.03),
    name="arc-short",
    title="The same as arc-0.03, but stopped after 60 steps: what a flow looks like that was not trained enough.",
    settled=False,
    plans={"smoke": SMOKE, "laptop": replace(LAPTOP, steps=60, every=20)},
)

MOONS = CurveFlow(
    name="moons",
    title="A RealNVP on two half circles that do not touch, which no diffeomorphism can fit exactly.",
    data="two noisy half circles",
    curve=Moons(),
    delta=0.05,
    begin=plane,
    plans={"smoke": SMOKE, "laptop": replace(LAPTOP, steps=4000)},
)


def helix(delta: float, where: str, lr: float) -> HelixFlow:
    """The helix at one of its thicknesses; with no noise at all the loss has spikes, and a smaller rate passes them."""
    return HelixFlow(
        name=f"helix-{delta:g}",
        title=f"A RealNVP on points {where} a helix in space.",
        data="a helix",
        curve=Helix(),
        delta=delta,
        begin=space if delta > 0 else whitened_space,
        settled=delta > 0,
        plans={"smoke": SMOKE, "laptop": replace(LAPTOP, steps=2500, lr=lr)},
    )


RECIPES: tuple[Recipe[Any], ...] = (
    *(arc(delta) for delta in (0.3, 0.1, 0.03, 0.01)),
    SHORT,
    helix(0.0, "on", 3e-3),
    helix(0.02, "with noise of 0.02 around", 5e-3),
    MOONS,
)

"""Flows that lattice fields are drawn from: U(1) links and the φ⁴ field, on the torus of 8×8 sites."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from gdl_lab import runtime
from gdl_lab.flows import Flow
from gdl_lab.lattice import (
    PlaquetteFlow,
    ScalarFlow,
    ess,
    exact_log_z,
    gaussian_kl,
    log_weights,
    metropolis,
    plaquette_angles,
    scalar_action,
    scalar_log_z,
    tree_ess,
)
from gdl_lab.recipes.recipe import Examples, Plan, Recipe

__all__ = ["RECIPES", "FieldSampler", "ScalarSampler"]

NUMBER = {"train": 65_536, "test": 16_384}
SIZE = 8
M2, LAM = -4.0, 8.0  # m² and λ of φ⁴


@dataclass(frozen=True, kw_only=True)
class FieldSampler(Recipe[Flow]):
    r"""A flow q that learns to draw fields of density p = e^(−S)/Z, judged by KL(q‖p) = ⟨log q + S⟩_q + log Z, Z exact.

    Examples are base points; no field of p is needed. See `Recipe` for the other attributes.

    Attributes:
        action: S, ``(batch, …)`` → ``(batch,)``.
        log_z: gives log Z.
        begin: builds the flow.
        known: what else the card should say of this task, by name.
    """

    action: Callable[[Tensor], Tensor]
    log_z: Callable[[], float]
    begin: Callable[[], Flow]
    known: Mapping[str, float] = field(default_factory=dict)
    metric: ClassVar[str] = "KL(q‖p) in nats a field"
    rival: ClassVar[str] = "constant"
    model: ClassVar[type[Flow]] = Flow

    def examples(self, split: str) -> Examples:
        flow = self.begin()
        z = torch.empty(NUMBER[split], flow.dim)
        return (flow.base.sample(z, 1.0, runtime.generator("base points", self.name, split, self.seed)),)

    def start(self, *training: Tensor) -> Flow:
        return self.begin()

    def loss(self, model: Flow, *batch: Tensor) -> Tensor:
        return self.log_z() - log_weights(model, self.action, batch[0]).mean()

    @torch.no_grad()
    def error(self, model: Flow, *held_out: Tensor) -> float:
        return self.log_z() - float(self._log_weights(model, held_out[0]).mean())

    def measure(self, model: Flow, n: int | None = None) -> float:
        return self.error(model, self.examples("test")[0][:n])

    def to_beat(self, training: Examples, n: int | None = None) -> float:
        """The base itself: for links the constant density."""
        return self.measure(self.begin(), n)

    def particulars(self, training: Examples) -> dict[str, Any]:
        return {"points": len(training[0])}

    @torch.no_grad()
    def further(self, model: Flow, n: int | None = None) -> dict[str, float]:
        """Effective sample size, acceptance of the chain that proposes samples, and what is `known`."""
        log_w = self._log_weights(model, self.examples("test")[0][:n])
        chain = metropolis(log_w, generator=runtime.generator("metropolis", self.name))
        return {
            "effective sample size": ess(log_w),
            "acceptance": float((chain.diff() != 0).double().mean()),
            **self.known,
        }

    def _log_weights(self, model: Flow, z: Tensor) -> Tensor:
        parts = z.to(model.anchor).split(2048)
        return torch.cat([log_weights(model, self.action, part) for part in parts]).cpu().double()


@dataclass(frozen=True, kw_only=True)
class ScalarSampler(FieldSampler):
    """The same for φ⁴, where the closest Gaussian, a free field, has to be beaten."""

    rival: ClassVar[str] = "gaussian"

    def to_beat(self, training: Examples, n: int | None = None) -> float:
        return gaussian_kl(SIZE, M2, LAM)


class TreeSampler(FieldSampler):
    """The same from independent plaquettes, which training must not spoil: nearly all that is known is in them."""

    rival: ClassVar[str] = "untrained"


SMOKE = Plan(steps=10, batch_size=32, lr=1e-2, clip=10, every=5, held_out=200, at_most=1000, tested=500)
LAPTOP = Plan(steps=700, batch_size=64, lr=1e-2, clip=10, every=100, held_out=1024, tested=8192)


def links(beta: float, base: str = "haar") -> FieldSampler:
    """U(1) at one β; from the tree, eight couplings do."""
    tree = base == "tree"
    return (TreeSampler if tree else FieldSampler)(
        name=f"u1-beta-{beta:g}" + ("-tree" if tree else ""),
        title=f"A gauge-equivariant flow of U(1) links at β = {beta:g}, from "
        + ("independent plaquettes in the tree gauge." if tree else "uniform links."),
        data="U(1) lattice gauge theory on 8×8 sites; no samples of it",
        action=lambda theta: -beta * plaquette_angles(theta).cos().sum((1, 2)),
        log_z=lambda: exact_log_z(beta, SIZE**2),
        begin=lambda: PlaquetteFlow(SIZE, 8, base="tree", beta=beta) if tree else PlaquetteFlow(SIZE),
        known={"effective sample size of the tree gauge, exact": tree_ess(beta)},
        settled=False,  # the minute of a laptop ends before the flow is as good as it can be
        plans={"smoke": SMOKE, "laptop": LAPTOP},
    )


PHI4 = ScalarSampler(
    name="phi4",
    title="A flow of the φ⁴ field on 8×8 sites at m² = −4, λ = 8 that commutes with φ → −φ.",
    data="φ⁴ theory on 8×8 sites; no samples of it",
    action=lambda phi: scalar_action(phi, M2, LAM),
    log_z=lambda: scalar_log_z(SIZE, M2, LAM),
    begin=lambda: ScalarFlow(SIZE),
    settled=False,
    plans={"smoke": SMOKE, "laptop": LAPTOP},
)

RECIPES: tuple[Recipe[Any], ...] = (links(1), links(3), links(3, "tree"), PHI4)

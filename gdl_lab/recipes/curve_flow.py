"""Flows on noisy curves, whose density or tangent is known exactly."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from gdl_lab import runtime
from gdl_lab.flows import Flow
from gdl_lab.manifold import Arc, Helix, Moons
from gdl_lab.recipes.gaussian import gaussian
from gdl_lab.recipes.recipe import Examples, Recipe

__all__ = ["CurveFlow", "HelixFlow"]

NUMBER = {"train": 100_000, "test": 20_000}


@dataclass(frozen=True, kw_only=True)
class CurveFlow(Recipe[Flow]):
    r"""A flow on points near a curve in the plane, judged by KL(p‖q) = E log p − log q with the exact p.

    See `Recipe` for the other attributes. Points are drawn in float64 and the flow computes in float32.

    Attributes:
        curve: what the points lie near.
        delta: the thickness δ of the noise.
        begin: builds the flow from training points, shape ``(n, D)``.
    """

    curve: Arc | Moons | Helix
    delta: float
    begin: Callable[[Tensor], Flow]
    metric: ClassVar[str] = "KL(p‖q) in nats on fresh points"
    rival: ClassVar[str] = "gaussian"
    model: ClassVar[type[Flow]] = Flow

    def draw(self, split: str) -> tuple[Tensor, Tensor]:
        """Points, shape ``(n, D)``, and what they were drawn with, see ``curve.draw``; float64."""
        return self.curve.draw(
            NUMBER[split], delta=self.delta, generator=runtime.generator("points", self.name, split, self.seed)
        )

    def examples(self, split: str) -> Examples:
        return (self.draw(split)[0].float(),)

    def start(self, *training: Tensor) -> Flow:
        return self.begin(training[0])

    def loss(self, model: Flow, *batch: Tensor) -> Tensor:
        return -model(batch[0]).mean()

    @torch.no_grad()
    def error(self, model: Flow, *held_out: Tensor) -> float:
        """−E log q in nats, which is KL(p‖q) up to the entropy of p."""
        return float(-_log_q(model, held_out[0]).mean())

    @torch.no_grad()
    def measure(self, model: Flow, n: int | None = None) -> float:
        assert not isinstance(self.curve, Helix), "the helix is judged by `HelixFlow`"
        x = self.draw("test")[0][:n]
        return float((self.curve.log_prob(x, self.delta) - _log_q(model, x)).mean())

    def to_beat(self, training: Examples, n: int | None = None) -> float:
        return self.measure(gaussian(training[0]), n)

    def particulars(self, training: Examples) -> dict[str, Any]:
        return {"points": len(training[0]), "delta": self.delta}


@dataclass(frozen=True, kw_only=True)
class HelixFlow(CurveFlow):
    r"""A flow on points on or near the helix, where δ = 0 is allowed: no density exists then, and −E log q sinks on.

    It is judged by how thin the flow's image of a ball is: the median over test points of s₂/s₁ for the singular values
    s₁ ≥ s₂ ≥ s₃ of ∂x/∂z.
    """

    curve: Helix
    metric: ClassVar[str] = "median s₂/s₁ of ∂x/∂z at fresh points"

    def measure(self, model: Flow, n: int | None = None) -> float:
        _, values, _ = self._axes(model, n)
        return float((values[:, 1] / values[:, 0]).median())

    def further(self, model: Flow, n: int | None = None) -> dict[str, float]:
        """Angles between the longest axis and the curve's tangent: their median and ninth decile, degrees."""
        longest, _, tangent = self._axes(model, n)
        degrees = torch.rad2deg(
            torch.atan2(torch.linalg.cross(longest, tangent).norm(dim=1), (longest * tangent).sum(1).abs())
        )
        return {
            "median angle to the tangent, degrees": float(degrees.median()),
            "ninth decile of it": float(degrees.quantile(0.9)),
        }

    def _axes(self, model: Flow, n: int | None) -> tuple[Tensor, Tensor, Tensor]:
        """Longest axes ``(n, 3)``, singular values ``(n, 3)``, and the tangents at the nearest points of the helix."""
        x = self.draw("test")[0][:n]
        exact = copy.deepcopy(model).cpu().double()
        with torch.no_grad():
            axes, values, _ = torch.linalg.svd(exact.jacobian(exact.pull(x)))
        return axes[:, :, 0], values, self.curve.tangent(self.curve.nearest(x))


def _log_q(flow: Flow, x: Tensor) -> Tensor:
    """Log-densities in float64, on the CPU, since an MPS device has none."""
    return flow.log_prob(x.to(flow.anchor)).cpu().double()

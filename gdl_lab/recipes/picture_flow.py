"""Flows on quantised pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from gdl_lab import runtime
from gdl_lab.flows import Flow, bits_per_dim, dequantize
from gdl_lab.recipes.gaussian import gaussian
from gdl_lab.recipes.recipe import Examples, Recipe

__all__ = ["PictureFlow", "mean_bits"]


@dataclass(frozen=True, kw_only=True)
class PictureFlow(Recipe[Flow]):
    """A flow on pictures, judged by its bits per dimension; see `Recipe` for the other attributes.

    Attributes:
        pictures: ``pictures("train")`` or ``pictures("test")`` → values in [0, 1] or bytes, shape ``(n, …)``; raises
            `DataError` where they are not on this machine.
        begin: builds the flow from dequantized training pictures, shape ``(n, …)``, as whitening and actnorm want it.
        bits: grey values are quantised to 2ᵇ levels and dequantized afresh in every step.
        shown: how many pictures ``begin`` and the Gaussian see at most; ``None`` shows all.
        directions: of the Gaussian to beat, see `gaussian`.
    """

    pictures: Callable[[str], Tensor]
    begin: Callable[[Tensor], Flow]
    bits: int
    shown: int | None = None
    directions: int | None = None
    metric: ClassVar[str] = "bits/dim on the test pictures"
    rival: ClassVar[str] = "gaussian"
    model: ClassVar[type[Flow]] = Flow

    def examples(self, split: str) -> Examples:
        return (self.pictures(split),)

    def start(self, *training: Tensor) -> Flow:
        return self.begin(dequantize(training[0][: self.shown], self.bits))

    def loss(self, model: Flow, *batch: Tensor) -> Tensor:
        x = dequantize(batch[0], self.bits).reshape(-1, *model.shape)
        return bits_per_dim(model(x).mean(), self.bits, model.dim)

    def error(self, model: Flow, *held_out: Tensor) -> float:
        return mean_bits(model, held_out[0], self.bits, runtime.generator("validation noise", self.name))

    def measure(self, model: Flow, n: int | None = None) -> float:
        return mean_bits(model, self.pictures("test")[:n], self.bits, runtime.generator("test noise", self.name))

    def to_beat(self, training: Examples, n: int | None = None) -> float:
        return self.measure(gaussian(dequantize(training[0][: self.shown], self.bits), self.directions), n)

    def particulars(self, training: Examples) -> dict[str, Any]:
        return {"pictures": len(training[0]), "bits": self.bits}


@torch.no_grad()
def mean_bits(flow: Flow, x: Tensor, bits: int, generator: torch.Generator, *, chunk: int = 500) -> float:
    """Mean bits/dim of pictures x, shape ``(n, …)``, with values in [0, 1] and noise from ``generator``, on the CPU.

    The smaller, the better; `dequantize` says of what it is a bound. ``chunk`` pictures are computed at a time.

    Raises:
        ValueError: pictures of another size than the flow's, or none.
    """
    if len(x) == 0 or math.prod(x.shape[1:]) != flow.dim:
        raise ValueError(f"expected pictures of {flow.dim} values each, got a batch of shape {tuple(x.shape)}")
    noisy = dequantize(x, bits, generator).reshape(-1, *flow.shape).split(chunk)
    # to the CPU first: an MPS device has no float64
    total = sum(float(flow.log_prob(part.to(flow.anchor)).cpu().double().sum()) for part in noisy)
    return bits_per_dim(total / len(x), bits, flow.dim)

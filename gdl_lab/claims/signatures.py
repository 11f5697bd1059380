"""Networks that read the signature of a knot off some of its other invariants."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from gdl_lab import runtime
from gdl_lab.discovery import Knots, Standardised, accuracy, classify, importance, split
from gdl_lab.discovery.knots import FEATURES
from gdl_lab.recipes import sweeps

__all__ = ["STEPS", "Reading", "labels", "majority", "read", "table"]

STEPS = 1000


@dataclass(frozen=True)
class Reading:
    """A network that was trained on three quarters of the knots.

    Attributes:
        features: that it was given.
        network: features as they are → logits of signatures.
        share: of the other knots whose signature it names.
        importance: what this share loses when one of the features is shuffled, by name.
    """

    features: tuple[str, ...]
    network: Standardised
    share: float
    importance: dict[str, float]


@cache
def table() -> Knots:
    """The knots that come with the course.

    Raises:
        ValueError: they are not there.
    """
    return Knots.of(sweeps.stored("hyperbolic-knots"))


def labels(signature: Tensor) -> Tensor:
    """Signatures as numbers of classes, from the smallest in the `table` on."""
    return (signature - table().signature.min()) // 2


def majority() -> float:
    """The share that always naming the most frequent signature gets right, among the knots to test on."""
    test = table().signature[split(len(table()), 0.75)[1]]
    return float((test == table().signature.mode().values).double().mean())


def read(features: tuple[str, ...] = FEATURES, steps: int = STEPS, *, shuffled: bool = False, seed: int = 0) -> Reading:
    """Train a network; in a quarter of the knots it is tested.

    Args:
        features: some of `gdl_lab.discovery.knots.FEATURES`.
        shuffled: the signatures are dealt out anew among the knots, so that there is nothing to find.
    """
    knots, (train, test) = table(), split(len(table()), 0.75)
    x, y = knots.columns(*features), labels(knots.signature)
    if shuffled:
        y = y[torch.randperm(len(y), generator=runtime.generator("shuffled signatures", seed))]
    classes = int(labels(knots.signature).max()) + 1
    network = classify(x[train], y[train], classes=classes, steps=steps, seed=seed)
    lost = importance(network, x[test], y[test], seed=seed)
    return Reading(
        tuple(features), network, accuracy(network, x[test], y[test]), dict(zip(features, lost.tolist(), strict=True))
    )

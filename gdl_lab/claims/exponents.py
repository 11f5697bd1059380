"""The exponent of a power law, by which claims judge how fast an error falls."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

__all__ = ["exponent"]


def exponent(law: Mapping[int, float] | Mapping[float, float]) -> float:
    """The p of y ~ xᵖ by least squares on logarithms, from x → y, two or more, all of them positive."""
    u, v = (torch.tensor([math.log(value) for value in values], dtype=torch.float64) for values in (law, law.values()))
    u -= u.mean()
    return float(u @ v / (u @ u))

r"""Pictures have integer grey values and flows have densities: noise that fills the gaps makes the two comparable.

With u uniform on [0, 1)ᴰ and a picture of levels k ∈ {0 … 2ᵇ − 1}ᴰ, Jensen's inequality makes

    −log₂ P(k) ≤ 𝔼_u [bits per dimension of (k + u)/2ᵇ] · D.

Source: Theis, van den Oord & Bethge (2016).
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["bits_per_dim", "dequantize"]

Number = TypeVar("Number", float, Tensor)


def dequantize(x: Tensor, bits: int, generator: torch.Generator | None = None) -> Tensor:
    r"""(k + u)/2ᵇ with the level k = ⌊2ᵇ x⌋ of every value, the last level for x = 1, and fresh uniform noise u.

    Args:
        x: values in [0, 1], or bytes 0 … 255, any shape.
        bits: b, between 1 and 8.
        generator: source of u.

    Returns:
        Values in [0, 1) that lie within their level, dtype of ``x``, and the default dtype for bytes.

    Raises:
        ValueError: values outside [0, 1], or another number of bits.
    """
    if not 1 <= bits <= 8:
        raise ValueError(f"expected between 1 and 8 bits, got {bits}")
    if x.dtype == torch.uint8:
        x = x.to(torch.get_default_dtype()) / 255
    if not x.is_floating_point() or not bool(((x >= 0) & (x <= 1)).all()):
        raise ValueError(f"expected values between 0 and 1, or bytes, got {x.dtype} from {x.min()} to {x.max()}")
    levels = 2**bits
    k = (x * levels).floor().clamp_max(levels - 1)
    u = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=generator.device if generator else x.device)
    # k + u may round up to the next level
    return torch.minimum((k + u.to(x.device)) / levels, torch.nextafter((k + 1) / levels, k / levels))


def bits_per_dim(log_prob: Number, bits: int, dims: int) -> Number:
    r"""−log₂ of the mass of a cell of side 2⁻ᵇ, divided by D: −log p/(D log 2) + b.

    Args:
        log_prob: log-density of dequantized pictures in [0, 1)ᴰ, in nats; a number, or any shape.
        bits: b.
        dims: D.
    """
    if bits < 1 or dims < 1:
        raise ValueError(f"expected positive numbers of bits and dimensions, got {bits} and {dims}")
    return -log_prob / (dims * math.log(2)) + bits

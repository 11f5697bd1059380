"""Networks for the tests with every parameter drawn: left alone, their biases begin at zero."""

from __future__ import annotations

from typing import Any

import torch


def randomised(net: Any, rng: torch.Generator) -> Any:
    """The network in float64 with every parameter drawn, biases too."""
    net = net.double()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=rng, dtype=p.dtype) / max(1, p.shape[-1]) ** 0.5)
    return net

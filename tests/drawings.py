"""Both sets of drawn pictures for the tests, the corners of their parameters, and pictures as a flow sees them."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import torch
from torch import Tensor

from gdl_lab import runtime
from gdl_lab.data import crowds, faces

COLUMNS = {"faces": len(faces.TRAITS), "crowds": crowds.COLUMNS}
MODULE: dict[str, ModuleType] = {"faces": faces, "crowds": crowds}


def corners(name: str, n: int) -> Tensor:
    """Parameters at the corners of the cube, where a colour that leaves [0, 1] would."""
    return torch.randint(2, (n, COLUMNS[name]), generator=runtime.generator("corners", name)).float()


def five_bits(x: Tensor) -> Tensor:
    """As the flow sees it: 32 levels and uniform noise."""
    return ((x * 32).floor() + torch.rand(x.shape, generator=runtime.generator("levels"))) / 32


def slopes(draw: Callable[[Tensor], Tensor], p: Tensor) -> Tensor:
    """How the picture moves with each parameter, float64 of shape ``(n, parameters, pixels)``, by differences."""
    h = torch.where(p < 0.5, 1e-6, -1e-6)  # into the cube
    moved = draw((p[:, None] + torch.diag_embed(h)).flatten(0, 1)).flatten(1).unflatten(0, p.shape)
    return (moved - draw(p).flatten(1)[:, None]) / h[..., None]

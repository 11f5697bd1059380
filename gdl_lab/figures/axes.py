"""What pictures ask of matplotlib again and again: numbers of tensors, and axes that frame nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

__all__ = ["array", "bare"]


def array(values: Any) -> np.ndarray:
    """The numbers of a tensor on any device, with or without a gradient, or of what NumPy understands."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def bare(ax: Any) -> None:
    """Take ticks, grid and frame away, for a picture that is its own frame; labels stay."""
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)

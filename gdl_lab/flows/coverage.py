r"""Are samples like the data, and is all of the data among them? Two shares, by the balls of nearest neighbours.

A point is covered by a set if it lies within the distance of some point of the set to its own k-th neighbour. The share
of samples that the data cover is called **precision**, the share of data that the samples cover **recall**.

Source: Kynkäänniemi et al. (2019), eq. 1, 2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gdl_lab.manifold import neighbours

__all__ = ["coverage"]


@torch.no_grad()
def coverage(points: Tensor, of: Tensor, *, k: int = 3) -> float:
    """The share of ``points``, shape ``(n, d)``, that the balls around ``of``, shape ``(m, d)``, cover.

    What is near depends on the coordinates: features of a classifier are better than grey values, where an average of
    pictures is near to all of them.

    Raises:
        ValueError: other shapes, or fewer than k + 1 points to cover with.
    """
    if points.ndim != 2 or of.ndim != 2 or points.shape[1] != of.shape[1] or len(points) == 0 or len(of) <= k:
        raise ValueError(
            f"expected points (n, d) and more than {k} points (m, d) around them, got {tuple(points.shape)} and "
            f"{tuple(of.shape)}"
        )
    radius = neighbours(of, k)[0][:, -1]
    covered = [(torch.cdist(some, of) <= radius).any(1) for some in points.split(500)]
    return float(torch.cat(covered).double().mean())

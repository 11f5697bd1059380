r"""The linear regions of a ReLU network on the plane, exactly.

On the set of inputs where every unit keeps its sign, a ReLU network is one affine map x ↦ Ax + b. For inputs in the
plane these sets are convex polygons: each unit of the first layer cuts the plane along a straight line, and each unit
of a later layer, being affine on every region of the layers before, cuts some of those regions along a straight piece.
Following the cuts layer by layer gives all regions.

Source: Montúfar, Pascanu, Cho & Bengio (2014); the subdivision as in Humayun et al. (2023).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gdl_lab.networks.fully_connected import FullyConnected

__all__ = ["Region", "linear_regions"]


@dataclass(frozen=True)
class Region:
    """One linear region.

    Attributes:
        corners: its corners in order, shape ``(k, 2)``, float64.
        A: the network's linear part there, shape ``(outputs, 2)``.
        b: its constant part, shape ``(outputs,)``.
    """

    corners: Tensor
    A: Tensor
    b: Tensor

    @property
    def area(self) -> float:
        """Area of the polygon, by the shoelace formula."""
        x, y = self.corners.unbind(1)
        return float(0.5 * (x * y.roll(-1) - y * x.roll(-1)).sum().abs())


def linear_regions(net: FullyConnected, box: tuple[float, float, float, float] = (-1, 1, -1, 1)) -> list[Region]:
    """All linear regions of a network ℝ² → ℝⁿ inside a rectangle.

    Args:
        net: a fully connected ReLU network with two inputs.
        box: the rectangle (x_min, x_max, y_min, y_max).

    Returns:
        Regions that tile the rectangle. Two neighbours may carry the same affine map (a unit that is switched off
        downstream still cuts).

    Raises:
        ValueError: not a `FullyConnected` network, one that has not two inputs or holds NaN, or the box is empty.
    """
    left, right, bottom, top = box
    if not isinstance(net, FullyConnected):
        raise ValueError(f"expected a FullyConnected network, got {type(net).__name__}")
    if net.widths[0] != 2:
        raise ValueError(f"expected a network with two inputs, got {net.widths[0]}")
    if not (-math.inf < left < right < math.inf and -math.inf < bottom < top < math.inf):
        raise ValueError(f"expected finite x_min < x_max and y_min < y_max, got {box}")
    corners = torch.tensor([[left, bottom], [right, bottom], [right, top], [left, top]], dtype=torch.float64)
    regions = [Region(corners, torch.eye(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64))]
    weights = [(w.detach().cpu().double(), b.detach().cpu().double()) for w, b in net.weights()]
    if not all(w.isfinite().all() and b.isfinite().all() for w, b in weights):
        raise ValueError("the network's weights hold NaN or infinity")
    for j, (w, b) in enumerate(weights):
        last = j == len(weights) - 1 and not net.relu_on_output
        regions = [after for region in regions for after in _through_layer(region, w, b, relu=not last)]
    return regions


def _through_layer(region: Region, w: Tensor, b: Tensor, *, relu: bool) -> list[Region]:
    """Compose the region's affine map with z ↦ σ(wz + b), cutting the region where a unit changes sign."""
    A, c = w @ region.A, w @ region.b + b
    if not relu:
        return [Region(region.corners, A, c)]
    pieces = [region.corners]
    for row, offset in zip(A, c, strict=True):
        pieces = [part for piece in pieces for part in _cut(piece, row, offset)]
    regions = []
    for piece in pieces:
        alive = (piece.mean(0) @ A.T + c > 0).to(A.dtype)  # no unit changes sign inside: the centre decides
        regions.append(Region(piece, alive[:, None] * A, alive * c))
    return regions


def _cut(polygon: Tensor, normal: Tensor, offset: Tensor) -> list[Tensor]:
    """The parts of a convex polygon on both sides of the line normal·x + offset = 0."""
    height = polygon @ normal + offset
    tolerance = 1e-12 * (normal.abs().sum() * polygon.abs().max() + offset.abs())
    height = torch.where(height.abs() <= tolerance, 0.0, height)
    if (height >= 0).all() or (height <= 0).all():
        return [polygon]
    above, below = [], []
    n = len(polygon)
    for i in range(n):
        p, q, hp, hq = polygon[i], polygon[(i + 1) % n], height[i], height[(i + 1) % n]
        if hp >= 0:
            above.append(p)
        if hp <= 0:
            below.append(p)
        if hp * hq < 0:
            crossing = p + hp / (hp - hq) * (q - p)
            above.append(crossing)
            below.append(crossing)
    return [torch.stack(above), torch.stack(below)]

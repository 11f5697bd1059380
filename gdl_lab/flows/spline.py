r"""The family of monotone rational-quadratic splines on [−B, B], identities outside.

Between the knots (x_i, y_i) and (x_{i+1}, y_{i+1}) with slopes d_i, d_{i+1}, mean slope s and
ξ = (z − x_i)/(x_{i+1} − x_i),

    φ(z) = y_i + (y_{i+1} − y_i) (s ξ² + d_i ξ(1−ξ)) / (s + (d_i + d_{i+1} − 2s) ξ(1−ξ)).

Source: Durkan, Bekasov, Murray & Papamakarios (2019), eq. 4–8; Gregory & Delbourgo (1982).
"""

from __future__ import annotations

import math
from collections import namedtuple

import torch
from torch import Tensor
from torch.func import vjp
from torch.nn import functional as F

__all__ = ["Spline"]

SMALLEST = 1e-3  # of a bin's width and height, as a part of the box, and of a slope
UNIT_SLOPE = math.log(math.expm1(1 - SMALLEST))  # where SMALLEST + softplus is 1


Bin = namedtuple("Bin", "x y width height left right")  # the piece that each coordinate falls into, slopes last


class Spline:
    r"""φ(z; θ) with ``bins`` pieces on [−bound, bound] and slope 1 at its ends; θ: widths, heights, inner slopes."""

    def __init__(self, bins: int = 8, bound: float = 4.0) -> None:
        if not 2 <= bins < 1 / SMALLEST or not 0 < bound < math.inf:
            raise ValueError(
                f"expected at least 2 bins, below {1 / SMALLEST:.0f}, and a positive bound, got {bins}, {bound}"
            )
        self.bins, self.bound = bins, bound
        self.parameters = 3 * bins - 1

    def push(self, z: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """φ and log φ′."""
        inside, place, knots = z.abs() <= self.bound, z.clamp(-self.bound, self.bound), self._knots(theta)
        b = _bin(knots, place, knots[0])
        xi, s = (place - b.x) / b.width, b.height / b.width
        across = xi * (1 - xi)
        below = s + (b.left + b.right - 2 * s) * across
        moved = b.y + b.height * (s * xi.square() + b.left * across) / below
        return torch.where(inside, moved, z), torch.where(inside, _log_slope(b, xi, s, below), 0.0)

    def pull(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """φ⁻¹ and the logarithm of its slope."""
        inside, place, knots = x.abs() <= self.bound, x.clamp(-self.bound, self.bound), self._knots(theta)
        b = _bin(knots, place, knots[1])
        s, rise = b.height / b.width, place - b.y
        bend = b.left + b.right - 2 * s
        # the root of a ξ² + b ξ + c = 0, in the form that keeps its digits; rounding may put it beside its bin
        qa, qb, qc = b.height * (s - b.left) + rise * bend, b.height * b.left - rise * bend, -s * rise
        root = (qb.square() - 4 * qa * qc).clamp_min(torch.finfo(x.dtype).tiny).sqrt()  # √0 has no derivative
        xi = (-2 * qc / (qb + root)).clamp(0, 1)
        log_slope = _log_slope(b, xi, s, s + bend * xi * (1 - xi))
        return torch.where(inside, b.x + xi * b.width, x), torch.where(inside, -log_slope, 0.0)

    def differentiate(self, z: Tensor, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """φ, φ′ and ∂φ/∂θ."""
        moved, pullback = vjp(lambda *at: self.push(*at)[0], z, theta)  # type: ignore[misc]
        slope, by_theta = pullback(torch.ones_like(moved))  # φ acts on each coordinate alone: one cotangent is all
        return moved, slope, by_theta

    def _knots(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Places, images and slopes of the knots, each ``(batch, bins + 1, m)``."""
        theta = theta.unflatten(1, (self.parameters, -1))
        widths, heights, slopes = theta[:, : self.bins], theta[:, self.bins : 2 * self.bins], theta[:, 2 * self.bins :]
        inner, end = SMALLEST + F.softplus(slopes + UNIT_SLOPE), torch.ones_like(slopes[:, :1])
        return self._edges(widths), self._edges(heights), torch.cat([end, inner, end], 1)

    def _edges(self, sizes: Tensor) -> Tensor:
        parts = SMALLEST + (1 - SMALLEST * self.bins) * sizes.softmax(1)
        inner = self.bound * (2 * parts.cumsum(1)[:, :-1] - 1)
        end = inner.new_full((), self.bound).expand_as(inner[:, :1])
        return torch.cat([-end, inner, end], 1)


def _bin(knots: tuple[Tensor, Tensor, Tensor], place: Tensor, edges: Tensor) -> Bin:
    i = (place[:, None] >= edges[:, 1:-1]).sum(1, keepdim=True)
    (x, right_x), (y, right_y), (left, right) = ([k.gather(1, j).squeeze(1) for j in (i, i + 1)] for k in knots)
    return Bin(x, y, right_x - x, right_y - y, left, right)


def _log_slope(b: Bin, xi: Tensor, s: Tensor, below: Tensor) -> Tensor:
    above = b.right * xi.square() + 2 * s * xi * (1 - xi) + b.left * (1 - xi).square()
    return 2 * (s.log() - below.log()) + above.log()

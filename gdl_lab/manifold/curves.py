"""Curves with noise around them, whose density, tangent and distance are known exactly: what a flow is judged by."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["Arc", "Helix", "Moons"]


@dataclass(frozen=True)
class Arc:
    r"""A piece of the unit circle in the plane, c(t) = centre + (cos t, sin t), by default three quarters of it.

    With thickness δ the points are x = centre + ρ (cos t, sin t), t uniform and ρ ~ N(1, δ²): noise along the normal.

    Attributes:
        start, stop: the angles t of its ends, radians, with 0 < stop − start ≤ 2π.
        centre: of the circle.

    All tensors are float64 unless given otherwise.
    """

    start: float = -0.75 * math.pi
    stop: float = 0.75 * math.pi
    centre: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if not 0 < self.stop - self.start <= 2 * math.pi:
            raise ValueError(f"expected an arc of 0 < stop − start ≤ 2π, got {self.start:g} to {self.stop:g}")

    def place(self, t: Tensor) -> Tensor:
        """c(t), ``(n,)`` → ``(n, 2)``."""
        return t.new_tensor(self.centre) + _circle(t)

    def tangent(self, t: Tensor) -> Tensor:
        """The unit tangent c′(t), ``(n,)`` → ``(n, 2)``."""
        return _circle(t + math.pi / 2)

    def draw(self, n: int, *, delta: float = 0.1, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """``n`` points x, shape ``(n, 2)``, uniform along the arc, and their parameters t, shape ``(n,)``.

        Raises:
            ValueError: ``delta`` is negative or not finite.
        """
        _check_thickness(delta)
        u, normal = _uniform(n, generator), torch.randn(n, 1, dtype=torch.float64, generator=generator)
        t = self.start + (self.stop - self.start) * u
        return self.place(t) + delta * normal * _circle(t), t

    def log_prob(self, x: Tensor, delta: float) -> Tensor:
        r"""The exact log-density of `draw`, ``(n, 2)`` → ``(n,)``; −∞ where there are no points.

        In polar coordinates around the centre it is N(ρ; 1, δ²)/(stop − start), and dx = ρ dρ dt. A negative ρ is the
        positive one on the other side, and counts too.

        Raises:
            ValueError: ``delta`` is not positive.
        """
        _check_thickness(delta)
        if delta == 0:
            raise ValueError("points on the curve itself have no density in the plane: expected delta > 0")
        rho, angle = self._polar(x)
        branches = [
            torch.where(self._within(angle + side), -0.5 * ((sign * rho - 1) / delta).square(), -math.inf)
            for sign, side in ((1, 0.0), (-1, math.pi))
        ]
        normalisation = math.log(delta * math.sqrt(2 * math.pi) * (self.stop - self.start))
        return torch.logaddexp(*branches) - rho.log() - normalisation

    def entropy(self, delta: float) -> float:
        r"""−E log p in nats: log(stop − start) + ½ log 2πeδ² + E log|ρ|, the last by Gauss and Hermite.

        Raises:
            ValueError: ``delta`` is not between 0 and ¼, where ρ < 0 would count (that is rarer than 10⁻⁴).
        """
        if not 0 < delta <= 0.25:
            raise ValueError(f"expected a thickness between 0 and 0.25, got {delta}")
        nodes, weights = np.polynomial.hermite_e.hermegauss(64)
        mean_log = float(weights @ np.log(np.abs(1 + delta * nodes))) / math.sqrt(2 * math.pi)
        return math.log(self.stop - self.start) + 0.5 * math.log(2 * math.pi * math.e * delta**2) + mean_log

    def distance(self, x: Tensor) -> Tensor:
        """Distance to the nearest point of the arc, ``(n, 2)`` → ``(n,)``."""
        rho, angle = self._polar(x)
        ends = torch.stack([(x - self.place(x.new_tensor([t]))).norm(dim=1) for t in (self.start, self.stop)])
        return torch.where(self._within(angle), (rho - 1).abs(), ends.min(0).values)

    def _polar(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = x - x.new_tensor(self.centre)
        return y.norm(dim=1), torch.atan2(y[:, 1], y[:, 0])

    def _within(self, angle: Tensor) -> Tensor:
        return (angle - self.start) % (2 * math.pi) <= self.stop - self.start


@dataclass(frozen=True)
class Moons:
    """Two interleaving half circles that do not touch, each with half of the points; thickness as for `Arc`.

    Attributes:
        arcs: the two half circles.
    """

    arcs: tuple[Arc, Arc] = (Arc(0, math.pi, (-0.5, -0.25)), Arc(math.pi, 2 * math.pi, (0.5, 0.25)))

    def draw(self, n: int, *, delta: float = 0.03, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """``n`` points x, shape ``(n, 2)``, and which moon each is on, 0 or 1, shape ``(n,)``; see `Arc.draw`."""
        first, second = (arc.draw(n, delta=delta, generator=generator)[0] for arc in self.arcs)
        which = (_uniform(n, generator) < 0.5).long()
        return torch.where(which[:, None] == 0, first, second), which

    def log_prob(self, x: Tensor, delta: float) -> Tensor:
        """The exact log-density of `draw`; see `Arc.log_prob`."""
        return torch.logaddexp(*(arc.log_prob(x, delta) for arc in self.arcs)) - math.log(2)

    def distance(self, x: Tensor) -> Tensor:
        """Distance to the nearer moon, ``(n, 2)`` → ``(n,)``."""
        return torch.minimum(*(arc.distance(x) for arc in self.arcs))


@dataclass(frozen=True)
class Helix:
    """The curve c(t) = (sin t, cos t, t) in space, |t| ≤ ``reach``, with noise N(0, δ²) in each direction.

    Source: Dombrowski et al. (2023), the toy example with ``reach`` 4.
    """

    reach: float = 4.0

    def __post_init__(self) -> None:
        if not 0 < self.reach < math.inf:
            raise ValueError(f"expected a positive reach of the helix, got {self.reach}")

    def place(self, t: Tensor) -> Tensor:
        """c(t), ``(n,)`` → ``(n, 3)``."""
        return torch.stack([t.sin(), t.cos(), t], 1)

    def tangent(self, t: Tensor) -> Tensor:
        """The unit tangent c′(t)/√2, ``(n,)`` → ``(n, 3)``."""
        return torch.stack([t.cos(), -t.sin(), torch.ones_like(t)], 1) / math.sqrt(2)

    def draw(self, n: int, *, delta: float = 0.1, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """``n`` points x, shape ``(n, 3)``, uniform along the helix, and their parameters t, shape ``(n,)``.

        Raises:
            ValueError: ``delta`` is negative or not finite.
        """
        _check_thickness(delta)
        t = self.reach * (2 * _uniform(n, generator) - 1)
        return self.place(t) + delta * torch.randn(n, 3, dtype=torch.float64, generator=generator), t

    def distance(self, x: Tensor) -> Tensor:
        """Distance to the nearest point of the helix, ``(n, 3)`` → ``(n,)``."""
        return (x - self.place(self.nearest(x))).norm(dim=1)

    def nearest(self, x: Tensor) -> Tensor:
        """The t of the nearest point of the helix, ``(n, 3)`` → ``(n,)``: the best of a grid, then Newton's steps.

        With φ(t) = |x − c(t)|²/2, φ′ = t − x₃ − x₁ cos t + x₂ sin t and φ″ = 1 + x₁ sin t + x₂ cos t.
        """
        grid = torch.linspace(-self.reach, self.reach, 512, dtype=x.dtype, device=x.device)
        t = grid[torch.cdist(x, self.place(grid)).argmin(1)]
        for _ in range(6):
            slope = t - x[:, 2] - x[:, 0] * t.cos() + x[:, 1] * t.sin()
            bend = 1 + x[:, 0] * t.sin() + x[:, 1] * t.cos()
            # near the axis φ″ may vanish; a step never leaves the grid's cell
            step = (slope / bend.clamp_min(1e-3)).clamp(-self.reach / 256, self.reach / 256)
            t = (t - step).clamp(-self.reach, self.reach)
        return t


def _circle(t: Tensor) -> Tensor:
    return torch.stack([t.cos(), t.sin()], 1)


def _uniform(n: int, generator: torch.Generator | None) -> Tensor:
    return torch.rand(n, dtype=torch.float64, generator=generator)


def _check_thickness(delta: float) -> None:
    if not 0 <= delta < math.inf:
        raise ValueError(f"a thickness is finite and at least 0, got {delta}")

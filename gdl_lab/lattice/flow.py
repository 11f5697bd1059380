r"""A normalizing flow on U(1) links that commutes with every gauge transformation, to draw lattice fields from.

The angles θ_μ(x) of a two-dimensional lattice are both base and data space. A coupling turns the links of one direction
on every fourth row, each so that the plaquette P above it goes where a map of the circle sends it,

    P′ = φ(P; f) + t(f),    θ′ = θ + (P′ − P),

with a network that sees cos and sin of plaquettes which no turned link touches. Plaquettes are invariant, so the flow
is equivariant, and ∂θ′/∂θ is triangular with φ′ on its diagonal: the density stays invariant, whatever the weights.

Source: Kanwar et al. (2020), eq. 8–15; the talk's "Used e.g. to sample field configurations in lattice field theory".
"""

from __future__ import annotations

import math

import torch
from scipy import special
from torch import Tensor, nn

from gdl_lab.flows import Flow
from gdl_lab.flows.spline import Spline
from gdl_lab.lattice.links import wrap
from gdl_lab.lattice.monte_carlo import von_mises

__all__ = ["LinkCoupling", "PlaquetteFlow", "neighbourhood_network", "plaquette_angles"]


def plaquette_angles(theta: Tensor) -> Tensor:
    """θ₀(x) + θ₁(x + 0̂) − θ₀(x + 1̂) − θ₁(x), ``(batch, 2, L, T)`` → ``(batch, L, T)`` in [−π, π)."""
    along, across = theta.unbind(1)
    return wrap(along + across.roll(-1, 1) - along.roll(-1, 2) - across)


def neighbourhood_network(ins: int, hidden: int, outs: int) -> nn.Sequential:
    """A circular 3×3 convolution and two more layers at every site, the last zero: what it steers starts as 1."""
    last = nn.Conv2d(hidden, outs, 1)
    for weight in last.parameters():
        nn.init.zeros_(weight)
    first = nn.Conv2d(ins, hidden, 3, padding=1, padding_mode="circular")
    return nn.Sequential(first, nn.SiLU(), nn.Conv2d(hidden, hidden, 1), nn.SiLU(), last)


class LinkCoupling(nn.Module):
    """Turns the links of one direction on the rows offset, offset + 4, …

    Of each four rows, the plaquettes of the first are given new values, those of the last follow with the other sign,
    and the two between are seen by the network, as channels of a lattice with a quarter of the rows.
    """

    def __init__(self, mu: int, offset: int, hidden: int, bins: int) -> None:
        super().__init__()
        self.mu, self.offset = mu, offset
        self.spline = Spline(bins, math.pi)
        self.network = neighbourhood_network(4, hidden, self.spline.parameters + 1)

    def push(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """θ ↦ θ′ and the log-determinant, ``(batch, 2, L, L)`` and ``(batch,)``."""
        return self._turn(theta, inverse=False)

    def pull(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """θ′ ↦ θ."""
        return self._turn(theta, inverse=True)

    def _turn(self, theta: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        # transposed, the lattice has its directions exchanged and its plaquettes run the other way
        if self.mu == 1:
            theta = theta.flip(1).transpose(2, 3)
        theta = theta.roll(-self.offset, 3)
        here, *between, _ = plaquette_angles(theta).unflatten(2, (-1, 4)).unbind(3)
        seen = torch.stack([f(P) for P in between for f in (torch.cos, torch.sin)], 1)
        knots, t = self.network(seen).split([self.spline.parameters, 1], 1)
        here = here[:, None]
        if inverse:
            there, log_slope = self.spline.pull(wrap(here - t), knots)
        else:
            there, log_slope = self.spline.push(here, knots)
            there = there + t
        # the turn as a field that is zero on the other three rows and on the other direction
        turn = nn.functional.pad((there - here)[..., None], (0, 3)).flatten(3)
        theta = (theta + torch.cat([turn, torch.zeros_like(turn)], 1)).roll(self.offset, 3)
        if self.mu == 1:
            theta = theta.flip(1).transpose(2, 3)
        return theta, log_slope.flatten(1).sum(1)


class Haar:
    """All angles uniform: the links of β = 0, and like them no temperature changes it."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density with respect to dθ, ``(batch, 2L²)`` → ``(batch,)``."""
        return z.new_full((len(z),), -z.shape[1] * math.log(2 * math.pi))

    def sample(self, z: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Fill z with angles in [−π, π)."""
        return z.uniform_(-math.pi, math.pi, generator=generator)


class Tree:
    r"""All plaquettes but the one in the last corner independent, of density ∝ exp(β cos P); all else uniform.

    In the gauge where θ₁ is 0 but on the last row and θ₀ is 0 on the first but at one site, plaquettes are differences
    of links, so that links are sums of plaquettes; a random gauge is put back afterwards. The map from plaquettes,
    gauge and the two loops around the torus to links has integer entries and determinant ±1, so that densities agree.
    """

    def __init__(self, size: int, beta: float) -> None:
        self.size, self.beta = size, beta

    def log_prob(self, z: Tensor) -> Tensor:
        """As for `Haar`."""
        P = plaquette_angles(z.unflatten(1, (2, self.size, self.size))).flatten(1)[:, :-1]
        free = z.shape[1] - P.shape[1]
        normaliser = math.log(2 * math.pi * special.ive(0, self.beta)) + self.beta
        return (self.beta * P.cos() - normaliser).sum(1) - free * math.log(2 * math.pi)

    def sample(self, z: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
        """Fill z; a temperature T draws with β/T²."""
        kappa = z.new_full((len(z), self.size, self.size), self.beta / max(temperature, 1e-6) ** 2)
        P = von_mises(kappa, generator=generator)
        P[:, -1, -1] -= P.sum((1, 2))  # on a torus they add up to a multiple of 2π
        # P(x) = θ₀(x) − θ₀(x + 1̂) where θ₁ is 0; on the last row θ₁ makes up for what is left
        along = -(P.cumsum(2) - P)
        left = P.sum(2)
        across = z.new_zeros(P.shape)
        across[:, :, -1] = left.cumsum(1) - left
        loops, gauge = z.new_empty(2, len(z), 1), z.new_empty(P.shape)
        for uniform in (loops, gauge):
            uniform.uniform_(-math.pi, math.pi, generator=generator)
        along[:, -1] += loops[0]
        across[:, :, -1] += loops[1]
        theta = [along + gauge - gauge.roll(-1, 1), across + gauge - gauge.roll(-1, 2)]
        return z.copy_(wrap(torch.stack(theta, 1)).flatten(1))


class PlaquetteFlow(Flow):
    r"""Angles of U(1) links on an L×L torus → angles, gauge equivariant and at first the identity.

    It is a `Flow` with base points θ flattened, ``(batch, 2L²)``, and data ``(batch, 2, L, L)``, both any angles in
    radians and given back in [−π, π); densities are with respect to dθ.

    Args:
        size: L, divisible by 4.
        layers: couplings; eight turn every link once.
        hidden: channels of their networks.
        bins: pieces of the circle's maps.
        base: ``"haar"`` or ``"tree"``.
        beta: coupling of the tree's plaquettes; Haar's measure has none.

    Raises:
        ValueError: a size that the stripes do not divide, no layers, a base without its β or another.
    """

    def __init__(
        self,
        size: int,
        layers: int = 16,
        *,
        hidden: int = 16,
        bins: int = 4,
        base: str = "haar",
        beta: float | None = None,
    ) -> None:
        if size < 4 or size % 4:
            raise ValueError(f"the couplings mask stripes of four rows: expected a size divisible by 4, got {size}")
        if layers < 1 or hidden < 1:
            raise ValueError(f"expected at least one layer and one channel, got {layers} and {hidden}")
        if base not in ("haar", "tree") or (base == "tree") != (beta is not None and 0 < beta < math.inf):
            raise ValueError(f"expected base='haar' without β, or base='tree' with a β > 0, got {base!r} and {beta}")
        super().__init__((2, size, size), base="uniform", architecture={})
        self.base = Haar() if beta is None else Tree(size, beta)  # type: ignore[assignment]
        sizes = {"size": size, "layers": layers, "hidden": hidden, "bins": bins}
        self.architecture = {**sizes, "base": base, "beta": beta}
        self.couplings = nn.ModuleList(LinkCoupling(j % 2, j // 2 % 4, hidden, bins) for j in range(layers))

    def _push(self, z: Tensor) -> tuple[Tensor, Tensor]:
        theta, total = z.unflatten(1, self.shape), z.new_zeros(len(z))
        for coupling in self.couplings:
            theta, change = coupling.push(theta)  # type: ignore[operator]
            total = total + change
        return wrap(theta), total

    def _pull(self, x: Tensor) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(len(x))
        for coupling in reversed(self.couplings):
            x, change = coupling.pull(x)  # type: ignore[operator]
            total = total + change
        return wrap(x).flatten(1), total

"""Flows for the tests whose metric is known in closed form, and modules moved away from where they start."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from gdl_lab.flows import Diffeomorphism


def normal(rng: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def randomised(flow: Any, rng: torch.Generator, size: float = 0.3) -> Any:
    """The module in float64 with every parameter moved away from where it starts."""
    flow = flow.double()
    with torch.no_grad():
        for p in flow.parameters():
            p.add_(size * normal(rng, *p.shape) / max(1, p.shape[-1]) ** 0.5)
    return flow


class Arc:
    """A flow whose metric is known: radius 1 + δz₂, angle a(2Φ(z₁) − 1) + s z₂, so that s shears it along the arc."""

    def __init__(self, delta: float, a: float = 2.0, shear: float = 0.0) -> None:
        self.delta, self.a, self.shear = delta, a, shear

    def push(self, z: Tensor) -> Tensor:
        angle, r = self.a * torch.special.erf(z[:, 0] / 2**0.5) + self.shear * z[:, 1], 1 + self.delta * z[:, 1]
        return torch.stack([r * angle.cos(), r * angle.sin()], 1)

    def pull(self, x: Tensor) -> Tensor:
        z2 = (x.norm(dim=1) - 1) / self.delta
        angle = torch.atan2(x[:, 1], x[:, 0]) - self.shear * z2
        return torch.stack([2**0.5 * torch.special.erfinv(angle / self.a), z2], 1)

    def log_prob(self, x: Tensor) -> Tensor:
        z = self.pull(x)
        speed = self.a * (2 / math.pi) ** 0.5 * (-z[:, 0].square() / 2).exp()
        base = -z.square().sum(1) / 2 - math.log(2 * math.pi)
        return base - (x.norm(dim=1) * speed * self.delta).log()

    def frame(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Unit tangent and unit normal at g(z)."""
        nu = self.push(z) / self.push(z).norm(dim=1, keepdim=True)
        return torch.stack([-nu[:, 1], nu[:, 0]], 1), nu

    def gamma_inv(self, z: Tensor) -> Tensor:
        tau, nu = self.frame(z)
        r = 1 + self.delta * z[:, 1:]
        along = r * self.a * (2 / math.pi) ** 0.5 * (-z[:, :1].square() / 2).exp() * tau
        second = self.delta * nu + r * self.shear * tau
        return along[:, :, None] * along[:, None] + second[:, :, None] * second[:, None]


class Linear:
    """x = Az, with A = U diag(s) Vᵀ."""

    def __init__(self, s: Tensor, rng: torch.Generator) -> None:
        U, V = (torch.linalg.qr(normal(rng, len(s), len(s))).Q for _ in range(2))
        self.A, self.inverse = (U * s.double()) @ V.mT, (V / s.double()) @ U.mT

    def push(self, z: Tensor) -> Tensor:
        return z @ self.A.to(z).mT

    def pull(self, x: Tensor) -> Tensor:
        return x @ self.inverse.to(x).mT

    def log_prob(self, x: Tensor) -> Tensor:
        return -self.pull(x).square().sum(1) / 2


def diffeomorphism(flow: Arc | Linear) -> Diffeomorphism:
    return Diffeomorphism(flow.push, flow.pull, flow.log_prob)


IDENTITY = Diffeomorphism(lambda z: z, lambda x: x, lambda x: -x.flatten(1).square().sum(1) / 2)


def sharp(layer: nn.Linear) -> nn.Linear:
    """Weights so large that a class is never far away."""
    with torch.no_grad():
        layer.weight.mul_(20 / layer.weight.shape[1] ** 0.5)
    return layer.double()

"""What the claims of chapter 04 are put to: flows of every kind with random weights, small trained ones, a mixture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.func import jacrev, vmap
from torch.nn.functional import cross_entropy, pixel_shuffle

from gdl_lab import data, recipes, runtime, training
from gdl_lab.flows import AffineCoupling, Flow, Glow, RealNVP, SplineCoupling, bits_per_dim, dequantize
from gdl_lab.manifold import Arc, Moons
from gdl_lab.networks import FullyConnected

__all__ = [
    "Density",
    "Diluted",
    "bits_of",
    "by_autograd",
    "coarsest",
    "divergence",
    "kinds",
    "mass_in_the_plane",
    "normal",
    "randomised",
    "small_digits",
    "stored_glow",
    "trained",
    "without_couplings",
]

F = TypeVar("F", bound=Flow)


def normal(n: int, dim: int, seed: int) -> Tensor:
    """Standard normal points ``(n, dim)``, float64."""
    return torch.randn(n, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def kinds(seed: int) -> dict[str, Flow]:
    """Each kind of flow in double precision, with random weights."""
    points = normal(60, 6, seed) @ normal(6, 6, seed + 1) + 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        kinds: dict[str, Flow] = {
            "affine coupling": AffineCoupling(5, (8,)),
            "spline coupling": SplineCoupling(5, (8,)),
            "affine in the plane": RealNVP(2, 4, (16,)),
            "splines in the plane": RealNVP(2, 4, (16,), coupling="spline"),
            "whitened": RealNVP(6, 4, (8,), principal=3).double().fit_whitening(points, 4),
            "Glow": Glow((1, 4, 4), steps=2, levels=2, hidden=6),
        }
    return {name: randomised(flow, seed + j) for j, (name, flow) in enumerate(kinds.items())}


@torch.no_grad()
def randomised(flow: F, seed: int) -> F:
    """The flow in double precision with every weight moved from where it starts, by less the more of them meet."""
    generator = torch.Generator().manual_seed(seed)
    flow = flow.double()
    for p in flow.parameters():
        meet = 1 if p.ndim < 2 else p.numel() // max(p.shape[0], p.shape[1])
        p.add_(0.25 * torch.randn(p.shape, dtype=p.dtype, generator=generator) / meet**0.5)
    return flow


def by_autograd(flow: Flow, z: Tensor) -> Tensor:
    """∂x/∂z point by point, ``(batch, D, D)``."""
    return vmap(jacrev(lambda one: flow.push(one[None]).flatten()))(z).detach()


def trained(coupling: str, curve: Arc | Moons, delta: float, steps: int, seed: int) -> Flow:
    """A flow on the plane, trained by maximum likelihood on points of a curve; the notebook's settings."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        flow = RealNVP(2, layers=8 if isinstance(curve, Arc) else 4, hidden=(64, 64), coupling=coupling)
    x, _ = curve.draw(20_000, delta=delta, generator=runtime.generator("train", seed))
    training.fit(
        flow, (x.float(),), lambda q, x: -q(x).mean(), steps=steps, batch_size=512, lr=1e-2,
        schedule=training.warm_cosine, clip=5.0, seed=seed, progress=False,
    )  # fmt: skip
    return flow


@torch.no_grad()
def divergence(flow: Flow, curve: Arc | Moons, x: Tensor, delta: float) -> float:
    """KL(p‖q) = E_p[log p − log q] over points x of p."""
    return float((curve.log_prob(x, delta) - flow.log_prob(x.to(flow.anchor)).double().cpu()).mean())


@cache
def small_digits() -> tuple[RealNVP, Tensor, nn.Module]:
    """A small flow of the 8×8 digits, dequantized test digits, and a classifier of dequantized ones."""
    train, test = data.load("digits8"), data.load("digits8", "test")
    x, seen = (dequantize(d.x.flatten(1), 4, runtime.generator("digits", j)) for j, d in enumerate((train, test)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        flow = RealNVP(64, 4, (64, 64), principal=32).fit_whitening(x, 50)
        classifier = FullyConnected([64, 64, 10])
    options: Any = {"batch_size": 128, "progress": False, "schedule": training.warm_cosine, "clip": 1.0}
    training.fit(flow, (x,), lambda q, x: -q(x).mean() / 64, steps=150, lr=2e-3, **options)
    training.fit(classifier, (x, train.y), lambda f, x, y: cross_entropy(f(x), y), steps=400, lr=3e-3, **options)
    return flow, seen, classifier


@cache
def stored_glow() -> Glow:
    """The checkpoint of the digits."""
    flow = recipes.load("digits-glow")
    assert isinstance(flow, Glow)
    return flow


def coarsest(flow: Glow) -> Tensor:
    """Which base coordinates are latents of the last level, shape ``(D,)``: those that were never set aside."""

    def mark(shape: Sequence[int], levels: int) -> Tensor:
        channels, height, width = 4 * shape[0], shape[1] // 2, shape[2] // 2
        if levels == 1:
            return torch.ones(1, *shape)
        half = mark((channels // 2, height, width), levels - 1)
        return pixel_shuffle(torch.cat([half, torch.zeros_like(half)], 1), 2)

    return mark(flow.shape, flow.architecture["levels"]).flatten() == 1


def without_couplings(flow: RealNVP) -> RealNVP:
    """The Gaussian that a whitened flow starts from."""
    assert flow.whitening is not None
    gaussian = RealNVP(flow.dim, 1, (1,), whitening=flow.whitening.directions.shape[1]).to(flow.anchor)
    assert gaussian.whitening is not None
    gaussian.whitening.load_state_dict(flow.whitening.state_dict())
    return gaussian


class Density(Protocol):
    """What is asked of a model of pictures: a density, and samples of it. Every `Flow` has both."""

    @property
    def shape(self) -> tuple[int, ...]:
        """That of one picture."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density in nats of a batch."""

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """``n`` pictures."""


@dataclass(frozen=True)
class Diluted:
    """(1 − share) q + share · u of a flow's density q and the uniform one u on the cube: no flow, but a density."""

    flow: Flow
    share: float

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the flow."""
        return self.flow.shape

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density, ``(batch,)``, float64."""
        log_q = self.flow.log_prob(x).double()
        inside = ((x >= 0) & (x <= 1)).flatten(1).all(1)
        noise = torch.where(inside, math.log(self.share), -math.inf).to(log_q)
        return torch.logaddexp(log_q + math.log1p(-self.share), noise)

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Samples of the flow, of which each is replaced by noise with probability ``share``."""
        x = self.flow.sample(n, generator=generator)
        noise, replaced = (
            torch.rand(x.shape, generator=generator).to(x),
            torch.rand(n, generator=generator) < self.share,
        )
        return torch.where(replaced.view(-1, *[1] * (x.ndim - 1)).to(x.device), noise, x)


@torch.no_grad()
def bits_of(model: Density, x: Tensor, bits: int) -> float:
    """Mean bits per dimension of dequantized pictures, whose entries are reshaped as the model wants them."""
    log_q = model.log_prob(x.reshape(-1, *model.shape)).double()
    return float(bits_per_dim(log_q.mean(), bits, math.prod(model.shape)))


@torch.no_grad()
def mass_in_the_plane(flow: Flow, seed: int) -> float:
    """The integral of a flow's density over ℝ², by a sum over a grid that is refined until the sum comes to rest.

    The points are m + s sinh u along each axis, with the median m and the median deviation s of 20,000 samples: fine in
    the middle, and reaching twice as far as these do.
    """
    x = flow.sample(20_000, generator=torch.Generator().manual_seed(seed)).cpu().double()
    middle = x.median(0).values
    scale = (x - middle).abs().median(0).values
    reach = (2 * (x - middle).abs() / scale).amax(0).asinh()
    mass = math.nan
    for n in (350, 500, 700, 1000, 1400, 2000):
        u = torch.linspace(-1, 1, n, dtype=torch.float64) * reach[:, None]
        points = torch.cartesian_prod(*(middle[:, None] + scale[:, None] * u.sinh()))
        lengths = scale[:, None] * u.cosh() * reach[:, None] * 2 / (n - 1)
        density = torch.cat([flow.log_prob(part).exp() for part in points.to(flow.anchor).split(250_000)])
        coarser, mass = mass, float(density.double().cpu() @ torch.cartesian_prod(*lengths).prod(1))
        if abs(mass - coarser) < 3e-4:
            break
    return mass

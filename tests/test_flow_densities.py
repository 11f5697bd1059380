"""Flows as densities: what integrates to one, what samples obey, and pictures whose grey values are integers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gdl_lab import training
from gdl_lab.flows import Flow, Glow, RealNVP, bits_per_dim, dequantize
from tests.every_flow import EXACT, cloud, randomised

# Densities


def arc(n: int, delta: float, rng: torch.Generator) -> Tensor:
    """Three quarters of the unit circle, with normal thickness ``delta``; float32."""
    angle = 1.5 * math.pi * torch.rand(n, generator=rng)
    radius = 1 + delta * torch.randn(n, generator=rng)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1)


def trained(flow: Any, data: Tensor, steps: int) -> Any:
    training.fit(flow, [data], lambda f, x: -f(x).mean(), steps=steps, batch_size=256, lr=3e-3, progress=False)
    return flow


def mass(flow: Flow, low: float, high: float, n: int) -> tuple[float, float]:
    """The integral of a plane density over a square, and of its base density alone, on n² cells."""
    axis = low + (high - low) * (torch.arange(n, dtype=torch.float64) + 0.5) / n
    total, without = 0.0, 0.0
    with torch.no_grad():
        for x in torch.cartesian_prod(axis, axis).split(20_000):
            total += float(flow.log_prob(x).exp().sum())
            without += float(flow.base.log_prob(flow.pull(x)).exp().sum())
    cell = ((high - low) / n) ** 2
    return total * cell, without * cell


@pytest.mark.slow
@pytest.mark.parametrize("coupling", ["affine", "spline"])
def test_a_trained_density_integrates_to_one(coupling: str) -> None:
    torch.manual_seed(0)
    data = arc(4096, 0.2, torch.Generator().manual_seed(0))
    flow = trained(RealNVP(2, 4, (32,), coupling=coupling), data, 60).double()
    total, without = mass(flow, -6, 6, 400)
    assert total == pytest.approx(1, abs=1e-3)
    assert abs(without - 1) > 0.05, "the determinant is what makes it a density"


def test_a_pushed_uniform_density_integrates_to_one(rng: torch.Generator) -> None:
    flow = randomised(RealNVP(2, 2, (4,), base="uniform"), rng)
    axis = torch.linspace(0, 1, 50, dtype=torch.float64)
    inside = flow.push(torch.cartesian_prod(axis, axis)).detach()
    total, _ = mass(flow, float(inside.min()) - 0.5, float(inside.max()) + 0.5, 600)
    assert total == pytest.approx(1, abs=0.03)  # the edges of its support, on a grid, cost digits


@pytest.mark.slow
def test_training_finds_a_thin_arc() -> None:
    torch.manual_seed(0)
    g = torch.Generator().manual_seed(1)
    delta = 0.1
    flow = trained(RealNVP(2, 8, (32, 32)), arc(20_000, delta, g), 500)
    # length × normal thickness: the entropy of a thin tube, up to δ²/2
    entropy = math.log(1.5 * math.pi) + 0.5 * math.log(2 * math.pi * math.e * delta**2)
    with torch.no_grad():
        divergence = -float(flow.log_prob(arc(20_000, delta, g)).mean()) - entropy
        start = -float(RealNVP(2).log_prob(arc(20_000, delta, g)).mean()) - entropy
    assert -0.02 < divergence < 0.12
    assert start > 1


def test_log_densities_are_those_of_torch_distributions(rng: torch.Generator) -> None:
    x = cloud(40, 4, rng)
    flow = RealNVP(4).double().fit_whitening(x, 4)
    covariance = torch.from_numpy(np.cov(x.numpy().T, bias=True))
    expected = torch.distributions.MultivariateNormal(x.mean(0), covariance).log_prob(x)
    assert (flow.log_prob(x) - expected).abs().max() < EXACT
    uniform = RealNVP(2, base="uniform").double()
    points = torch.tensor([[0.5, 0.1], [1.0, 0.0], [1.1, 0.5], [0.5, -0.1]], dtype=torch.float64)
    assert uniform.log_prob(points).tolist() == [0, 0, -math.inf, -math.inf]


def test_samples_have_the_mean_and_covariance_of_the_density() -> None:
    rng = torch.Generator().manual_seed(0)
    data = cloud(500, 3, rng)
    flow = RealNVP(3, 2, (8,)).double().fit_whitening(data, 3)
    covariance = torch.cov(data.T, correction=0)
    for temperature in (1.0, 0.5):
        x = flow.sample(40_000, generator=rng, temperature=temperature)
        assert x.shape == (40_000, 3)
        assert not x.requires_grad
        assert (x.mean(0) - data.mean(0)).abs().max() < 0.1
        assert (torch.cov(x.T) - temperature**2 * covariance).abs().max() < 0.05 * covariance.abs().max()
    assert (flow.sample(2, temperature=0) - data.mean(0)).abs().max() < 1e-12
    uniform = RealNVP(2, base="uniform").sample(20_000, generator=rng, temperature=0.1)
    assert 0 <= uniform.min() < 0.01 < 0.99 < uniform.max() <= 1
    assert float(uniform.var()) == pytest.approx(1 / 12, rel=0.03)


def test_one_generator_gives_the_same_samples_twice() -> None:
    flow = Glow((1, 4, 4), 1, 1, 4)
    first, again, other = (flow.sample(3, generator=torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert first.shape == (3, 1, 4, 4)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


# Pictures as densities


@pytest.mark.parametrize("bits", [1, 3, 4, 8])
def test_dequantized_values_lie_in_their_level(bits: int, rng: torch.Generator) -> None:
    grey = torch.arange(256, dtype=torch.uint8).repeat(200)
    x = dequantize(grey, bits, rng)
    assert x.dtype == torch.float32
    assert 0 <= x.min() < x.max() < 1
    assert torch.equal((x * 2**bits).floor(), (grey / 255 * 2**bits).floor().clamp_max(2**bits - 1))
    if bits == 8:
        assert torch.equal((x * 256).floor(), grey.float())
    inside = (x * 2**bits) % 1
    assert float(inside.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(inside.var()) == pytest.approx(1 / 12, rel=0.03)
    twice = dequantize(grey, bits, rng)
    assert not torch.equal(x, twice)
    assert dequantize(grey.double() / 255, bits, rng).dtype == torch.float64


def test_dequantize_refuses_what_is_no_picture() -> None:
    for wrong in (torch.tensor([-0.1]), torch.tensor([1.1]), torch.tensor([math.nan]), torch.tensor([3])):
        with pytest.raises(ValueError, match="expected values between 0 and 1, or bytes"):
            dequantize(wrong, 4)
    for bits in (0, 9):
        with pytest.raises(ValueError, match="between 1 and 8 bits"):
            dequantize(torch.zeros(1), bits)


def test_bits_per_dim_by_hand() -> None:
    # uniform on [0, 1)ᴰ: each of the 2ᵇ levels is equally likely, b bits each
    assert bits_per_dim(0.0, 5, 64) == 5
    # all mass on one cell: nothing is left to be said
    assert bits_per_dim(64 * 5 * math.log(2), 5, 64) == pytest.approx(0)
    log_prob = torch.tensor([0.0, 784 * math.log(2)])
    assert bits_per_dim(log_prob, 4, 784).tolist() == pytest.approx([4, 3])
    with pytest.raises(ValueError, match="positive numbers of bits and dimensions, got 0 and 3"):
        bits_per_dim(0.0, 0, 3)

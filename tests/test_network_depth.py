"""Depth: how the size of a signal goes through many layers, and the saw that depth cuts."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from gdl_lab.networks import DeepNetwork, propagate_variance, tent

# Size of a signal through depth


def spread(gain: float, depth: int = 30, width: int = 512, **options: Any) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return propagate_variance(depth, width=width, gain=gain, batch=64, generator=generator, **options)


def test_gain_two_keeps_the_size_of_a_signal_and_gain_one_halves_it_in_every_layer() -> None:
    kept, halved = spread(2.0), spread(1.0)
    assert kept.shape == (31,)
    assert kept.dtype == torch.float64
    assert kept[0] == halved[0] == 1
    assert 0.4 < kept.min() <= kept.max() < 2.5
    assert ((halved.log2() + torch.arange(31)).abs() < 1).all()
    assert halved[-1] < 1e-8


@pytest.mark.parametrize("gain", [1.0, 2.0, 3.0])
def test_residual_layers_tend_to_a_finite_growth(gain: float) -> None:
    sizes = spread(gain, depth=60, width=256, kind="residual")
    assert float(sizes[-1]) == pytest.approx(math.exp(gain / 2), rel=0.12)
    assert float(sizes[30]) == pytest.approx(math.exp(gain / 4), rel=0.12)


@pytest.mark.parametrize("gain", [0.3, 1.0, 9.0])
def test_normalised_layers_have_mean_square_one(rng: torch.Generator, gain: float) -> None:
    """At every point; so the size of the whole, relative to that of the input, is the same after every layer."""
    net = DeepNetwork(1, 1, width=128, depth=30, gain=gain, kind="normalised", generator=rng).double()
    points = torch.randn(64, 128, generator=rng, dtype=torch.float64)
    with torch.no_grad():
        signals = torch.stack(list(net.signals(points)))
    assert signals.shape == (30, 64, 128)
    assert (signals.square().mean(-1) - 1).abs().max() < 1e-12
    sizes = spread(gain, width=128, kind="normalised")
    assert (sizes[1:] / sizes[1] - 1).abs().max() < 1e-12


def test_the_generator_decides_the_draws() -> None:
    assert torch.equal(spread(2.0, depth=2), spread(2.0, depth=2))
    other = propagate_variance(2, width=512, batch=64, generator=torch.Generator().manual_seed(1))
    assert not torch.equal(spread(2.0, depth=2), other)


# The saw


@pytest.mark.parametrize("depth", range(1, 9))
def test_the_tent_network_is_the_iterated_tent_map_with_two_to_the_depth_pieces(depth: int) -> None:
    net, pieces = tent(depth), 2**depth
    corners = torch.arange(pieces + 1, dtype=torch.float64)[:, None] / pieces
    with torch.no_grad():
        assert torch.equal(net(corners).flatten(), torch.arange(pieces + 1, dtype=torch.float64) % 2)
        x = torch.linspace(0, 1, 8 * pieces + 1, dtype=torch.float64)
        y = net(x[:, None]).flatten()
        iterated = x
        for _ in range(depth):
            iterated = torch.where(iterated < 0.5, 2 * iterated, 2 - 2 * iterated)
    assert torch.equal(y, iterated)
    slopes = y.diff() / x.diff()
    assert int((slopes.diff().abs() > 1e-6).sum()) + 1 == pieces
    assert (slopes.abs() - pieces).abs().max() < 1e-6
    assert set(net.widths[1:-1]) == {2}


def test_a_depth_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="depth is at least 1, got 0"):
        tent(0)

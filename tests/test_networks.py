"""Fully connected networks are their formula, backpropagation by hand is the gradient, dtype and device are kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gdl_lab.networks import (
    ConvolutionalNetwork,
    FullyConnected,
    GraphConvolution,
    constrained_weights,
    correlate,
    count_parameters,
    loss_and_gradients,
    translate,
)
from gdl_lab.networks.convolutional import PADDINGS
from tests.drawn_networks import randomised

# Fully connected networks


@pytest.mark.parametrize("relu_on_output", [False, True])
@pytest.mark.parametrize("widths", [[3, 2], [3, 5, 2], [3, 4, 5, 6, 2]])
def test_a_fully_connected_network_is_the_formula(
    rng: torch.Generator, widths: list[int], relu_on_output: bool
) -> None:
    net = randomised(FullyConnected(widths, relu_on_output=relu_on_output), rng)
    net.linear_layers()[-1].bias.data[0] = -100.0  # an output that is negative if it may
    x = torch.randn(40, 3, generator=rng, dtype=torch.float64)
    z = x.numpy()
    for j, (w, b) in enumerate(net.weights(), 1):
        z = np.einsum("ij,bj->bi", w.detach().numpy(), z) + b.detach().numpy()
        if j < len(widths) - 1 or relu_on_output:
            z = np.where(z > 0, z, 0)
    assert np.abs(net(x).detach().numpy() - z).max() < 1e-12
    assert (net(x).min() >= 0) == relu_on_output


def test_pictures_are_flattened_row_by_row(rng: torch.Generator) -> None:
    net = FullyConnected([12, 4])
    x = torch.randn(5, 1, 3, 4, generator=rng)
    assert torch.equal(net(x), net(x.reshape(5, 12)))


def test_initial_weights_keep_the_size_of_a_signal() -> None:
    torch.manual_seed(0)
    net = FullyConnected([400, 400, 400])
    for w, b in net.weights():
        assert float(w.detach().var()) == pytest.approx(2 / 400, rel=0.03)
        assert not b.any()


def test_parameters_are_counted_by_hand() -> None:
    assert count_parameters(FullyConnected([3, 5, 2])) == 3 * 5 + 5 + 5 * 2 + 2
    frozen = FullyConnected([3, 5, 2])
    frozen.linear_layers()[0].bias.requires_grad_(False)
    assert count_parameters(frozen) == 3 * 5 + 5 * 2 + 2


@pytest.mark.parametrize("widths", [[], [3], [3, 0], [0, 2], [3, -1, 2]])
def test_impossible_widths_are_refused(widths: list[int]) -> None:
    with pytest.raises(ValueError, match="expected the positive dimensions of input, hidden layers and output, got"):
        FullyConnected(widths)


@pytest.mark.parametrize("shape", [(3,), (5, 2), (5, 4), (5, 3, 2), ()])
def test_inputs_of_the_wrong_dimension_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected a batch of inputs of dimension 3, got shape \("):
        FullyConnected([3, 2])(torch.zeros(shape))


# Backpropagation


@pytest.mark.parametrize("widths", [[3, 2], [3, 5, 1], [4, 7, 6, 5, 3]])
def test_backpropagation_by_hand_is_autograds_gradient(rng: torch.Generator, widths: list[int]) -> None:
    net = randomised(FullyConnected(widths), rng)
    x = torch.randn(20, widths[0], generator=rng, dtype=torch.float64)
    y = torch.randn(20, widths[-1], generator=rng, dtype=torch.float64)
    error = (net(x) - y).square().sum()
    wanted = torch.autograd.grad(error, [t for pair in net.weights() for t in pair])
    with torch.no_grad():
        value, pairs = loss_and_gradients(net.weights(), x, y)
    assert abs(value - error) <= 1e-12 * error
    for given_, autograd in zip([t for pair in pairs for t in pair], wanted, strict=True):
        assert given_.shape == autograd.shape
        assert (given_ - autograd).norm() <= 1e-12 * autograd.norm()


def test_backpropagation_by_hand_is_the_difference_quotient(rng: torch.Generator) -> None:
    """Independent of autograd: the change of the error along a random direction."""
    net = randomised(FullyConnected([3, 6, 2]), rng)
    weights = [(w.detach(), b.detach()) for w, b in net.weights()]
    x = torch.randn(10, 3, generator=rng, dtype=torch.float64)
    y = torch.randn(10, 2, generator=rng, dtype=torch.float64)
    _, gradients = loss_and_gradients(weights, x, y)
    v = [tuple(torch.randn(t.shape, generator=rng, dtype=t.dtype) for t in pair) for pair in weights]

    def error(h: float) -> float:
        moved = [(w + h * dw, b + h * db) for (w, b), (dw, db) in zip(weights, v, strict=True)]
        return float(loss_and_gradients(moved, x, y)[0])

    slope = sum(
        float((g * d).sum()) for pair, dirs in zip(gradients, v, strict=True) for g, d in zip(pair, dirs, strict=True)
    )
    assert (error(1e-7) - error(-1e-7)) / 2e-7 == pytest.approx(slope, rel=1e-5, abs=1e-4)


def test_targets_of_another_shape_are_refused_not_broadcast() -> None:
    with pytest.raises(ValueError, match=r"expected targets of shape \(5, 1\), got \(5,\)"):
        loss_and_gradients([(torch.ones(1, 2), torch.ones(1))], torch.ones(5, 2), torch.ones(5))


# Dtype and device


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "build",
    [
        lambda: FullyConnected([16, 4, 2]),
        lambda: ConvolutionalNetwork([1, 2], 3, size=4),
        lambda: GraphConvolution(4, 2, torch.ones(4, 4, dtype=torch.int64)),
    ],
)
def test_networks_keep_dtype_and_device_of_their_input(build: Callable[[], nn.Module], kind: torch.dtype) -> None:
    net = build().to(kind)
    x = torch.ones(2, 4, 4) if isinstance(net, GraphConvolution) else torch.ones(2, 1, 4, 4)
    assert net(x.to(kind)).dtype == kind
    # "meta" tensors have a device and no values: whatever was made on the CPU in between raises
    assert net.to("meta")(x.to(kind).to("meta")).device.type == "meta"


def test_functions_keep_dtype_and_device_of_their_input() -> None:
    for kind, place in itertools.product((torch.float32, torch.float64), ("cpu", "meta")):
        made: dict[str, Any] = {"dtype": kind, "device": place}
        kernel, f = torch.ones(2, 1, 3, 3, **made), torch.ones(2, 1, 5, 4, **made)
        weights, x, y = (
            [(torch.ones(1, 2, **made), torch.ones(1, **made))],
            torch.ones(3, 2, **made),
            torch.ones(3, 1, **made),
        )
        results = [translate(f, (1, 2)), loss_and_gradients(weights, x, y)[0], *loss_and_gradients(weights, x, y)[1][0]]
        for padding in PADDINGS:
            results.append(correlate(kernel, f, padding=padding))
            if place == "cpu" or padding != "valid":  # which y lie inside is a question of values, which "meta" has not
                results.append(constrained_weights(kernel, 5, 4, padding=padding))
        assert all(t.dtype == kind and t.device.type == place for t in results)

"""Claims of chapter 01: the recipe of machine learning, fully connected networks, and depth."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdl_lab import data, runtime
from gdl_lab.claims.exponents import exponent
from gdl_lab.claims.ledger import at_least, at_most, claim, reported, within
from gdl_lab.networks import (
    DeepNetwork,
    FullyConnected,
    count_parameters,
    linear_regions,
    loss_and_gradients,
    propagate_variance,
    tent,
)
from gdl_lab.networks.depth import Kind
from gdl_lab.training import fit

__all__ = [
    "depth_doubles_pieces",
    "gradient_is_cheap",
    "gradients_too",
    "hand_gradient",
    "learns_digits",
    "loss_falls",
    "negative_values",
    "one_layer_regions",
    "piecewise_affine",
    "random_depth",
    "remainder_is_second_order",
    "step_is_the_formula",
    "trainable_depth",
    "tricks_make_it_robust",
    "variance_halves",
    "variance_is_kept",
    "variance_with_residuals",
]


@claim("mlp.step_is_the_formula", talk="machine-learning", bound=at_most(1e-12))
def step_is_the_formula(*, length: float = 1e-2) -> dict[str, float]:
    """One step of PyTorch's SGD is θ′ = θ − η ∇_θ Σ E, with the gradient measured by central differences.

    As long as no unit changes sign, the squared error of a ReLU network is a quadratic polynomial in each single
    weight, and central differences
    are exact on those: they are an independent oracle up to rounding. η is chosen so that the step has the given
        length.
    """
    generator, seed = _fresh()
    net, x, y = _small_problem(generator)
    before = [p.detach().clone() for p in net.parameters()]
    gradient = _central_differences(net, x, y)
    eta = length / math.sqrt(sum(float(g.square().sum()) for g in gradient))
    optimiser = torch.optim.SGD(net.parameters(), lr=eta)
    F.mse_loss(net(x), y, reduction="sum").backward()
    optimiser.step()
    moved = zip(net.parameters(), before, gradient, strict=True)
    worst = max(float((p - (q - eta * g)).detach().abs().max()) for p, q, g in moved)
    return {"value": worst, "seed": seed}


@claim("mlp.remainder_is_second_order", talk="machine-learning", bound=within(2, 0.02))
def remainder_is_second_order() -> dict[str, float]:
    """A step of size η lowers the error by η‖∇E‖² up to a remainder of order η²: its exponent in η.

    The data keep away from the kinks of the network, where the error has no second derivative.
    """
    generator, seed = _fresh()
    net, x, y = _small_problem(generator)
    weights = [(w.detach(), b.detach()) for w, b in net.weights()]
    error, gradients = loss_and_gradients(weights, x, y)
    size = sum(float(g.square().sum()) for pair in gradients for g in pair)
    etas = torch.logspace(-5, -4, 6, dtype=torch.float64) / math.sqrt(size)
    remainders = []
    for eta in etas:
        moved = [(w - eta * gw, b - eta * gb) for (w, b), (gw, gb) in zip(weights, gradients, strict=True)]
        remainders.append(abs(float(loss_and_gradients(moved, x, y)[0] - error + eta * size)))
    found = exponent(dict(zip(etas.tolist(), remainders, strict=True)))
    return {"value": found, "gradient_norm": math.sqrt(size), "seed": seed}


@claim("mlp.loss_falls", talk="machine-learning", bound=at_most(0.1))
def loss_falls(*, losses: list[float] | None = None) -> dict[str, float]:
    """Iterating the step minimises the error over the data: last error over first, on two moons."""
    if losses is None:
        moons = data.load("two_moons", n=400)
        torch.manual_seed(0)
        history = fit(
            FullyConnected([2, 16, 16, 1]),
            (moons.x, moons.y[:, None].float()),
            lambda net, x, y: F.mse_loss(net(x), y),
            steps=1500,
            lr=0.1,
            optimiser=torch.optim.SGD,
            progress=False,
        )
        losses = history.loss
    return {"value": losses[-1] / losses[0], "first": losses[0], "last": losses[-1]}


@claim("mlp.learns_digits", talk="machine-learning", bound=at_least(0.93))
def learns_digits(*, reader: nn.Module | None = None, test: data.Dataset | None = None) -> dict[str, float]:
    """A very powerful recipe: the same few lines read handwritten digits; share of new digits read correctly."""
    if reader is None or test is None:
        train, test = data.load("digits8"), data.load("digits8", "test")
        torch.manual_seed(0)
        reader = FullyConnected([64, 64, 10])
        fit(reader, (train.x, train.y), _cross_entropy, steps=600, batch_size=64, progress=False)
    return {"value": _accuracy(reader, test), "digits": len(test)}


@claim("mlp.hand_gradient", talk="neural-networks", bound=at_most(1e-12))
def hand_gradient(*, backprop: Callable[..., Any] = loss_and_gradients) -> dict[str, float]:
    """Backpropagation written by hand gives the gradient that automatic differentiation gives, relative to its size."""
    generator, seed = _fresh()
    net, x, y = _small_problem(generator, widths=(5, 12, 9, 7, 3), samples=40)
    F.mse_loss(net(x), y, reduction="sum").backward()
    _, by_hand = backprop([(w.detach(), b.detach()) for w, b in net.weights()], x, y)
    worst, parameters = 0.0, 0
    for pair, mine in zip(net.weights(), by_hand, strict=True):
        for parameter, gradient in zip(pair, mine, strict=True):
            assert parameter.grad is not None
            worst = max(worst, float((gradient - parameter.grad).abs().max() / parameter.grad.abs().max()))
            parameters += parameter.numel()
    return {"value": worst, "parameters": parameters, "seed": seed}


@claim("mlp.gradient_is_cheap", talk="neural-networks", bound=reported())
def gradient_is_cheap(*, repeats: int = 15) -> dict[str, float]:
    """The whole gradient costs a few evaluations, whatever the number of parameters: times an evaluation, at most.

    Networks with hidden layers of 32, 128 and 512 units, on a batch of 512; the ratio of medians for each.
    """
    generator, measured = torch.Generator().manual_seed(0), {}
    x = torch.randn(512, 64, generator=generator)
    for width in (32, 128, 512):
        net = FullyConnected([64, width, width, 1])
        without, with_gradient = [], []
        for _ in range(repeats):
            began = time.perf_counter()
            with torch.no_grad():
                net(x).square().sum()
            middle = time.perf_counter()
            net(x).square().sum().backward()
            without.append(middle - began)
            with_gradient.append(time.perf_counter() - middle)
        measured[f"with_{count_parameters(net):,}_parameters"] = median(with_gradient) / median(without)
    return {"value": max(measured.values()), **measured}


@claim("mlp.negative_values", talk="neural-networks", bound=at_most(-0.1))
def negative_values() -> dict[str, float]:
    """Without ReLU after the last layer a network takes negative values; as (⋆⋆) is written it cannot: smallest value
    on 10,000 points."""
    net = FullyConnected([2, 16, 1])
    generator, seed = _fresh()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator))
        x = torch.randn(10_000, 2, generator=generator)
        bias = net.weights()[-1][1]
        bias -= torch.quantile(net(x), 0.9)  # so that no seed is all positive, nor all negative
        ours = float(net(x).min())
        net.relu_on_output = True
        return {"value": ours, "as_written": float(net(x).min()), "seed": seed}


@claim("mlp.piecewise_affine", talk="neural-networks", bound=at_most(1e-11))
def piecewise_affine(*, net: FullyConnected | None = None) -> dict[str, float]:
    """A ReLU network is exactly one affine map on each polygon of a subdivision of the plane: largest deviation at
    2,000 points."""
    generator, seed = _fresh()
    if net is None:
        net = _random_network((2, 10, 8, 1), generator)
    parts = linear_regions(net)
    x = 2 * torch.rand(2000, 2, dtype=torch.float64, generator=generator) - 1
    with torch.no_grad():
        f = _in_double(net)(x)
    worst, found = 0.0, 0
    for part in parts:
        inside = _inside(part.corners, x)
        found += int(inside.sum())
        if inside.any():
            worst = max(worst, float((x[inside] @ part.A.T + part.b - f[inside]).abs().max()))
    uncovered = abs(found - len(x))  # a point on an edge is in two polygons; a random one never is
    return {"value": worst if uncovered == 0 else math.inf, "regions": len(parts), "seed": seed}


@claim("mlp.one_layer_regions", talk="neural-networks", bound=at_most(0))
def one_layer_regions(*, width: int = 12) -> dict[str, float]:
    """One hidden layer cuts the plane along straight lines: regions found, less one plus the lines plus their
    crossings.

    The count 1 + lines + crossings in a convex window is Euler's relation for an arrangement in general position
    (Zaslavsky 1975).
    """
    generator, seed = _fresh()
    net = _random_network((2, width, 1), generator)
    w, b = (t.detach() for t in net.weights()[0])
    corners = torch.tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=torch.float64)
    side = corners @ w.T + b
    meeting = (side.max(0).values > 0) & (side.min(0).values < 0)
    i, j = torch.triu_indices(width, width, 1)
    crossings = torch.linalg.solve(torch.stack([w[i], w[j]], 1), -torch.stack([b[i], b[j]], 1))
    inside = int((crossings.abs() < 1).all(1).sum())
    expected = 1 + int(meeting.sum()) + inside
    found = len(linear_regions(net))
    lines = int(meeting.sum())
    return {"value": abs(found - expected), "regions": found, "lines": lines, "crossings": inside, "seed": seed}


@claim("mlp.depth_doubles_pieces", talk="deep-learning", bound=within(1, 1e-9))
def depth_doubles_pieces(*, depth: int = 10) -> dict[str, float]:
    """Each further layer of two units doubles the number of linear pieces: log₂(pieces) for each layer."""
    x = torch.linspace(0, 1, 2 ** (depth + 2) + 1, dtype=torch.float64)  # every kink lies on this grid
    with torch.no_grad():
        y = tent(depth)(x[:, None])[:, 0]
    pieces = 1 + int((y.diff().diff().abs() > 1e-9).sum())
    return {"value": math.log2(pieces) / depth, "pieces": pieces, "units": 2 * depth, "units_in_one_layer": pieces - 1}


@claim("mlp.random_depth", talk="deep-learning", bound=reported())
def random_depth(*, units: int = 24, seeds: int = 5) -> dict[str, float]:
    """Random networks do not use what depth allows: regions with four layers over regions with one, at equal numbers of
    units.

    Weights of variance 2/n and biases of standard deviation 0.3; the ratio is nearer to one with smaller biases.
    """

    def regions(layers: int) -> float:
        found = []
        for seed in range(seeds):
            g = torch.Generator().manual_seed(seed)
            found.append(len(linear_regions(_random_network((2, *[units // layers] * layers, 1), g))))
        return sum(found) / seeds

    one, four = regions(1), regions(4)
    return {"value": four / one, "one_layer": one, "four_layers": four}


@claim("mlp.variance_is_kept", talk="deep-learning", bound=within(0, 0.03))
def variance_is_kept(*, depth: int = 50) -> dict[str, float]:
    """Weights of variance 2/n keep the size of a signal through ReLU layers: log₂ of the mean square, for each
    layer."""
    return _log2_per_layer(depth, gain=2.0)


@claim("mlp.variance_halves", talk="deep-learning", bound=within(-1, 0.03))
def variance_halves(*, depth: int = 50) -> dict[str, float]:
    """Weights of variance 1/n halve the mean square in every ReLU layer: log₂ of the mean square, for each layer."""
    return _log2_per_layer(depth, gain=1.0)


@claim("mlp.gradients_too", talk="deep-learning", bound=within(-1, 0.03))
def gradients_too(*, depth: int = 50, width: int = 512) -> dict[str, float]:
    """What happens to the signal happens to the gradient: with variance 1/n, log₂ of its mean square, for each
    layer."""
    generator = torch.Generator().manual_seed(0)
    net = DeepNetwork(1, 1, width=width, depth=depth, gain=1.0, generator=generator).double()
    z = torch.randn(256, width, dtype=torch.float64, generator=generator, requires_grad=True)
    *_, end = net.signals(z)
    upstream = torch.randn(end.shape, dtype=torch.float64, generator=generator)
    (gradient,) = torch.autograd.grad(end, z, upstream)
    share = float(gradient.square().mean() / upstream.square().mean())
    return {"value": math.log2(share) / depth, "mean_square": share, "layers": depth}


@claim("mlp.variance_with_residuals", talk="deep-learning", bound=within(0.99, 0.06))
def variance_with_residuals(*, depth: int = 50) -> dict[str, float]:
    """Fifty residual layers z + V ReLU(Wz)/√L, with variance 2/n, multiply the mean square by (1 + 1/L)^L: its
    logarithm."""
    sizes = propagate_variance(depth, width=512, kind="residual", generator=torch.Generator().manual_seed(0))
    return {"value": math.log(float(sizes[-1])), "theory": depth * math.log(1 + 1 / depth), "layers": depth}


@claim("mlp.trainable_depth", talk="deep-learning", bound=at_least(0.5))
def trainable_depth(*, kept: nn.Module | None = None, halved: nn.Module | None = None) -> dict[str, float]:
    """What keeps signals alive makes deep networks trainable: share of new digits read with variance 2/n, less with
    1/n."""
    test = data.load("digits8", "test")
    with_kept = _accuracy(kept or _deep("plain", 2.0), test)
    with_halved = _accuracy(halved or _deep("plain", 1.0), test)
    return {"value": with_kept - with_halved, "kept": with_kept, "halved": with_halved}


@claim("mlp.tricks_make_it_robust", talk="deep-learning", bound=at_least(0.8))
def tricks_make_it_robust(*, nets: Sequence[nn.Module] | None = None) -> dict[str, float]:
    """Normalisation and residual layers train with a variance that a plain network does not bear: least share read."""
    test = data.load("digits8", "test")
    if nets is None:
        nets = [_deep("normalised", 1.0), _deep("residual", 1.0)]
    accuracies = [_accuracy(net, test) for net in nets]
    return {"value": min(accuracies), "highest": max(accuracies), "networks": len(accuracies)}


def _fresh() -> tuple[torch.Generator, int]:
    seed = runtime.fresh_seed()
    return torch.Generator().manual_seed(seed), seed


def _random_network(widths: tuple[int, ...], generator: torch.Generator) -> FullyConnected:
    """A network in float64 whose weights and biases are normal with the variance that keeps signals."""
    net = FullyConnected(widths).double()
    with torch.no_grad():
        for layer in net.linear_layers():
            scale = (2 / layer.in_features) ** 0.5
            layer.weight.copy_(scale * torch.randn(layer.weight.shape, generator=generator, dtype=torch.float64))
            layer.bias.copy_(0.3 * torch.randn(layer.bias.shape, generator=generator, dtype=torch.float64))
    return net


def _small_problem(
    generator: torch.Generator, widths: tuple[int, ...] = (2, 6, 5, 1), samples: int = 20
) -> tuple[FullyConnected, Tensor, Tensor]:
    """A random network with data: of twenty times as many points, those that lie farthest from its kinks."""
    g = generator
    net = _random_network(widths, g)
    x = torch.randn(20 * samples, widths[0], generator=g, dtype=torch.float64)
    with torch.no_grad():
        z, distance = x, torch.full((len(x),), math.inf, dtype=torch.float64)
        for layer in net.linear_layers()[:-1]:
            z = layer(z)
            distance = torch.minimum(distance, z.abs().min(1).values)
            z = z.relu()
    x = x[distance.topk(samples).indices]
    return net, x, torch.randn(samples, widths[-1], generator=g, dtype=torch.float64)


def _central_differences(net: FullyConnected, x: Tensor, y: Tensor, h: float = 1e-3) -> list[Tensor]:
    gradients = []
    with torch.no_grad():
        for p in net.parameters():
            gradient, flat = torch.empty_like(p), p.view(-1)
            for k in range(flat.numel()):
                kept = flat[k].item()
                flat[k] = kept + h
                above = F.mse_loss(net(x), y, reduction="sum")
                flat[k] = kept - h
                below = F.mse_loss(net(x), y, reduction="sum")
                flat[k] = kept
                gradient.view(-1)[k] = (above - below) / (2 * h)
            gradients.append(gradient)
    return gradients


def _in_double(net: FullyConnected) -> FullyConnected:
    copy = FullyConnected(net.widths, relu_on_output=net.relu_on_output).double()
    copy.load_state_dict(net.state_dict())
    return copy


def _inside(corners: Tensor, x: Tensor) -> Tensor:
    """Which points lie in a convex polygon: all edges have them on the same side."""
    edges = corners.roll(-1, 0) - corners
    offset = x[:, None] - corners
    side = edges[:, 0] * offset[..., 1] - edges[:, 1] * offset[..., 0]
    return (side >= 0).all(1) | (side <= 0).all(1)


def _log2_per_layer(depth: int, gain: float) -> dict[str, float]:
    sizes = propagate_variance(depth, width=512, gain=gain, generator=torch.Generator().manual_seed(0))
    return {"value": math.log2(float(sizes[-1])) / depth, "mean_square": float(sizes[-1]), "layers": depth}


@lru_cache
def _deep(kind: Kind, gain: float, steps: int = 800) -> DeepNetwork:
    train = data.load("digits8")
    torch.manual_seed(0)
    net = DeepNetwork(64, 10, width=64, depth=20, gain=gain, kind=kind)
    sgd = torch.optim.SGD
    fit(net, (train.x, train.y), _cross_entropy, steps=steps, batch_size=64, lr=0.006, optimiser=sgd, progress=False)
    return net


def _cross_entropy(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(net(x), y)


@torch.no_grad()
def _accuracy(net: nn.Module, test: data.Dataset) -> float:
    device = next(net.parameters()).device
    return float((net(test.x.to(device)).argmax(1).cpu() == test.y).float().mean())

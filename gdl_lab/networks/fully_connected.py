r"""Fully connected networks, f_θ = z_L ∘ … ∘ z_1 with z_j(x) = σ(W_j x + b_j).

Source: Gerken, "Neural networks", equations (⋆) and (⋆⋆). As written there, σ acts after the last layer too; with σ =
ReLU such an f_θ has no negative values, so practice leaves it out, and so does `FullyConnected` unless asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["FullyConnected", "count_parameters", "loss_and_gradients", "propagate_variance", "tent"]


class FullyConnected(nn.Module):
    r"""The network f_θ = z_L ∘ … ∘ z_1 of fully connected ReLU layers.

    Args:
        widths: dimensions of input, hidden layers and output, at least two.
        relu_on_output: apply σ to the last layer too, as (⋆⋆) is written.

    Shapes:
        ``(batch, …)`` with ``…`` flattening to ``widths[0]`` → ``(batch, widths[-1])``.

    Weights start with variance 2/(fan in), which keeps the size of a signal through ReLU layers (He et al. 2015);
    biases start at zero.
    """

    def __init__(self, widths: Sequence[int], *, relu_on_output: bool = False) -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < 1:
            raise ValueError(f"expected the positive dimensions of input, hidden layers and output, got {list(widths)}")
        self.widths = tuple(widths)
        self.relu_on_output = relu_on_output
        self.layers = nn.Sequential(*(nn.Linear(m, n) for m, n in pairwise(widths)))
        for layer in self.linear_layers():
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 2 or x.shape[1:].numel() != self.widths[0]:
            raise ValueError(f"expected a batch of inputs of dimension {self.widths[0]}, got shape {tuple(x.shape)}")
        z = x.flatten(1)
        *hidden, last = self.linear_layers()
        for layer in hidden:
            z = torch.relu(layer(z))
        z = last(z)
        return torch.relu(z) if self.relu_on_output else z

    def linear_layers(self) -> list[nn.Linear]:
        """The affine maps x ↦ W_j x + b_j, j = 1 … L."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def weights(self) -> list[tuple[Tensor, Tensor]]:
        """The parameters θ as pairs (W_j, b_j), j = 1 … L."""
        return [(layer.weight, layer.bias) for layer in self.linear_layers()]


def count_parameters(model: nn.Module) -> int:
    """The N of θ ∈ ℝᴺ."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def loss_and_gradients(
    weights: Sequence[tuple[Tensor, Tensor]], x: Tensor, y: Tensor
) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    r"""Squared error of a ReLU network and its gradient by backpropagation, without autograd.

    With pre-activations a_j = W_j z_{j−1} + b_j and δ_j = ∂E/∂a_j,

        δ_L = 2 (f − y),   δ_{j−1} = (W_jᵀ δ_j) ⊙ [a_{j−1} > 0],   ∂E/∂W_j = Σ_x δ_j z_{j−1}ᵀ,   ∂E/∂b_j = Σ_x δ_j.

    Args:
        weights: pairs (W_j, b_j) of shapes ``(n_j, n_{j−1})`` and ``(n_j,)``; no ReLU after the last layer.
        x: inputs, shape ``(batch, n_0)``.
        y: targets, shape ``(batch, n_L)``.

    Returns:
        The error Σ |f(x) − y|² and the gradients as pairs (∂E/∂W_j, ∂E/∂b_j), dtype of the weights.

    Raises:
        ValueError: ``y`` does not have the shape of f(x).

    Source: Rumelhart, Hinton & Williams (1986).
    """
    activations, slopes = [x], []
    for j, (w, b) in enumerate(weights):
        a = activations[-1] @ w.T + b
        last = j == len(weights) - 1
        slopes.append(torch.ones_like(a) if last else (a > 0).to(a.dtype))
        activations.append(a * slopes[-1])
    if y.shape != activations[-1].shape:
        raise ValueError(f"expected targets of shape {tuple(activations[-1].shape)}, got {tuple(y.shape)}")
    residual = activations[-1] - y
    gradients = []
    upstream = 2 * residual
    for (w, _), z, slope in zip(reversed(weights), reversed(activations[:-1]), reversed(slopes), strict=True):
        delta = upstream * slope
        gradients.append((delta.T @ z, delta.sum(0)))
        upstream = delta @ w
    return residual.square().sum(), gradients[::-1]


def propagate_variance(
    depth: int,
    *,
    width: int = 256,
    gain: float = 2.0,
    normalise: bool = False,
    residual: bool = False,
    batch: int = 256,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Mean square of the activations after each of ``depth`` random ReLU layers.

    Args:
        gain: weights have variance gain/width; 2 keeps the mean square (He et al. 2015), other values multiply it by
            gain/2 a layer.
        normalise: bring every sample's activations to mean square 1 after each layer (layer normalisation without its
            mean).
        residual: layers are z ↦ z + V ReLU(Wz)/√depth, with V of variance 1/width, instead of z ↦ ReLU(Wz); the mean
            square then grows by (1 + gain/(2·depth)) a layer, to e^(gain/2) in all.

    Returns:
        Shape ``(depth + 1,)``, float64, relative to the mean square of the input.
    """

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    z = random(batch, width)
    sizes = [z.square().mean()]
    for _ in range(depth):
        w = random(width, width) * (gain / width) ** 0.5
        step = torch.relu(z @ w.T)
        if residual:
            v = random(width, width) / width**0.5
            step = z + step @ v.T / depth**0.5
        z = step
        if normalise:
            z = z / z.square().mean(1, keepdim=True).sqrt()
        sizes.append(z.square().mean())
    return torch.stack(sizes) / sizes[0]


def tent(depth: int) -> FullyConnected:
    r"""A network of width 2 that maps [0, 1] to a saw with 2^depth linear pieces: the tent map 2·min(x, 1−x), iterated.

    A network of one hidden layer needs 2^depth − 1 units for as many pieces.

    Source: Telgarsky (2016).
    """
    if depth < 1:
        raise ValueError(f"depth is at least 1, got {depth}")
    net = FullyConnected([1, *[2] * depth, 1]).double()
    with torch.no_grad():
        for j, layer in enumerate(net.linear_layers()):
            # tent(x) = 2 relu(x) − 4 relu(x − ½); the next layer's two units read it and shift it
            readout = torch.tensor([[1.0]]) if j == 0 else torch.tensor([[2.0, -4.0]])
            last = j == depth
            layer.weight.copy_(readout if last else readout.expand(2, -1))
            layer.bias.copy_(torch.zeros(1) if last else torch.tensor([0.0, -0.5]))
    return net

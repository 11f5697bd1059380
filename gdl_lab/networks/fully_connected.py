r"""Fully connected networks, f_θ = z_L ∘ … ∘ z_1 with z_j(x) = σ(W_j x + b_j).

Source: Gerken, "Neural networks", equations (⋆) and (⋆⋆). As written there, σ acts after the last layer too; with σ =
ReLU such an f_θ has no negative values, so practice leaves it out, and so does `FullyConnected` unless asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["FullyConnected", "count_parameters", "loss_and_gradients"]


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
        self.layers = nn.ModuleList(nn.Linear(m, n) for m, n in pairwise(widths))
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

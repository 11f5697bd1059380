"""What depth can do, and what keeps a signal alive on its way through many layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from gdl_lab.networks.fully_connected import FullyConnected

__all__ = ["DeepNetwork", "Kind", "propagate_variance", "tent"]

Kind = Literal["plain", "normalised", "residual"]
KINDS = ("plain", "normalised", "residual")


class DeepNetwork(nn.Module):
    r"""A deep ReLU network of constant width between an affine entrance and an affine readout.

    Its layers are, for weights W of variance gain/width and V of variance 1/width,

        plain        z ↦ ReLU(Wz),
        normalised   z ↦ ReLU(Wz), divided by its root mean square (layer normalisation without its mean),
        residual     z ↦ z + V ReLU(Wz)/√depth.

    A plain layer multiplies the mean square of a signal by gain/2, a residual one by 1 + gain/(2·depth).

    Args:
        inputs, outputs: dimensions; inputs are flattened.
        width, depth: of the hidden layers.
        gain: 2 keeps the signal of a plain network (He et al. 2015).
        kind: of the layers.
        generator: draws the weights; PyTorch's global one if not given.

    Raises:
        ValueError: a dimension below one, or an unknown kind.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int,
        depth: int,
        gain: float = 2.0,
        kind: Kind = "plain",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if min(inputs, outputs, width, depth) < 1:
            raise ValueError(f"dimensions are at least 1, got {inputs=}, {outputs=}, {width=}, {depth=}")
        if kind not in KINDS:
            raise ValueError(f"unknown kind {kind!r}: expected one of {', '.join(KINDS)}")
        self.kind = kind

        def linear(m: int, n: int, variance: float, *, bias: bool = True) -> nn.Linear:
            layer = nn.Linear(m, n, bias=bias)
            nn.init.normal_(layer.weight, std=variance**0.5, generator=generator)
            if bias:
                nn.init.zeros_(layer.bias)
            return layer

        self.entrance = linear(inputs, width, 1 / inputs)
        self.hidden = nn.ModuleList(linear(width, width, gain / width) for _ in range(depth))
        back = depth if kind == "residual" else 0
        self.back = nn.ModuleList(linear(width, width, 1 / (width * depth), bias=False) for _ in range(back))
        self.readout = linear(width, outputs, 1 / width)

    def signals(self, z: Tensor) -> Iterator[Tensor]:
        """The signal after each hidden layer, from ``(batch, width)`` behind the entrance."""
        for j, layer in enumerate(self.hidden):
            step = torch.relu(layer(z))
            if self.kind == "residual":
                z = z + self.back[j](step)
            elif self.kind == "normalised":
                z = step / step.square().mean(1, keepdim=True).sqrt().clamp(min=1e-12)
            else:
                z = step
            yield z

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, …)`` → ``(batch, outputs)``."""
        *_, z = self.signals(self.entrance(x.flatten(1)))
        return self.readout(z)


@torch.no_grad()
def propagate_variance(
    depth: int,
    *,
    width: int = 256,
    gain: float = 2.0,
    kind: Kind = "plain",
    batch: int = 256,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Mean square of a random signal after each of ``depth`` layers of a fresh `DeepNetwork`.

    Returns:
        Shape ``(depth + 1,)``, float64, relative to the mean square of the input.

    Raises:
        ValueError: as `DeepNetwork`.
    """
    net = DeepNetwork(1, 1, width=width, depth=depth, gain=gain, kind=kind, generator=generator).double()
    z = torch.randn(batch, width, dtype=torch.float64, generator=generator)
    sizes = torch.stack([signal.square().mean() for signal in (z, *net.signals(z))])
    return sizes / sizes[0]


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

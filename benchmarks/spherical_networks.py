"""A spherical network of two layers beside the same in e3nn: medians of interleaved runs in one process, and ratios.

    python -m benchmarks.spherical_networks [--device cuda] [--bandlimit 16]

S² → SO(3) with 10 channels, ReLU, SO(3) → SO(3) with 20 channels, ReLU, ∫, on 32 pictures, with the local kernels of 24
and 192 points of Cohen et al. (2018). The grid of e3nn's `SO3Activation`, the smallest it has, is (2L)³ points; ours is
L × (2L)² at ``oversample`` 1: both are exact up to the bandlimit, and a wider one of ours is timed as well.
"""

from __future__ import annotations

import argparse
import math
import platform
from collections.abc import Callable
from functools import partial

import torch
from e3nn import o3
from e3nn.nn import SO3Activation as DenseActivation
from torch import Tensor, nn

from benchmarks.sphere import interleaved
from gdl_lab.sphere import S2Conv, SO3Activation, SO3Conv, near_identity, wigner_D

BATCH, CHANNELS = 32, (10, 20)
SUPPORTS = near_identity(math.pi / 8, 3, 8)[1:], near_identity(math.pi / 8, 3, 8, 8)[8:]  # without the pole


class LinearConvolution(nn.Module):
    """The convolution of e3nn's example ``s2cnn/mnist``: `o3.Linear` with weights that a local kernel spans."""

    def __init__(self, f_in: int, f_out: int, bandlimit: int, support: Tensor, *, lifts: bool) -> None:
        super().__init__()
        D = [(2 * l + 1) ** 0.5 * D_l for l, D_l in enumerate(wigner_D(bandlimit, support))]
        rows = [D_l[..., l] if lifts else D_l.flatten(-2) for l, D_l in enumerate(D)]
        self.register_buffer("table", torch.cat(rows, -1).float())
        self.w = nn.Parameter(torch.randn(f_in, f_out, len(support)))
        group = o3.Irreps([(2 * l + 1, (l, 1)) for l in range(bandlimit)])
        before = o3.Irreps([(1, (l, 1)) for l in range(bandlimit)]) if lifts else group
        self.lin = o3.Linear(before, group, f_in=f_in, f_out=f_out, internal_weights=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin(x, weight=torch.einsum("ni,xyn->xyi", self.table, self.w) / len(self.table) ** 0.5)


def theirs(L: int) -> nn.Module:
    outer = DenseActivation(L - 1, 0, torch.relu, L, aspect_ratio=1)
    inner = DenseActivation(0, 0, torch.relu, L, aspect_ratio=1)
    inner.grid_in = inner.grid_out = outer.grid_in  # its table takes a minute, and most of a gigabyte, at L = 16
    return nn.Sequential(
        LinearConvolution(1, CHANNELS[0], L, SUPPORTS[0], lifts=True),
        inner,
        LinearConvolution(*CHANNELS, L, SUPPORTS[1], lifts=False),
        outer,
    )


def ours(L: int, oversample: float) -> nn.Module:
    return nn.Sequential(
        S2Conv(1, CHANNELS[0], L, support=SUPPORTS[0]),
        SO3Activation(L, oversample=oversample),
        SO3Conv(*CHANNELS, L, support=SUPPORTS[1]),
        SO3Activation(L, oversample=oversample, to=(1, 1)),
    )


def both(net: nn.Module, x: Tensor) -> None:
    net(x).square().sum().backward()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bandlimit", type=int, default=16)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    device, L = torch.device(asked.device), asked.bandlimit
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{platform.processor() or platform.machine()}, one thread"
    )
    print(f"{name}, PyTorch {torch.__version__}, {BATCH} pictures, L = {L}")

    x = torch.randn(L * L, 1, BATCH, device=device)
    nets = {f"ours, oversample {o}": (ours(L, o).to(device), x) for o in (1.0, 1.5)}
    nets["e3nn"] = theirs(L).to(device), x.permute(2, 1, 0).contiguous()
    kinds: dict[str, Callable[[nn.Module, Tensor], partial]] = {
        "forward": lambda net, x: partial(torch.no_grad()(net.forward), x),
        "forward and backward": lambda net, x: partial(both, net, x),
    }
    for kind, work in kinds.items():
        times = interleaved({name: work(*net) for name, net in nets.items()}, device)
        wall, cpu = times.pop("e3nn")
        print(f"e3nn, {kind}: {wall:.0f} ms (cpu {cpu:.0f})")
        for name, (w, c) in times.items():
            print(f"{name}, {kind}: {w:.1f} ms (cpu {c:.1f}), e3nn takes {wall / w:.1f} × as long (cpu {cpu / c:.1f})")


if __name__ == "__main__":
    main()

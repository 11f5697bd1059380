"""The widgets that the tests show, each with arguments that a chapter might hand it; and small flows for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gdl_lab.bundles import GaugeConv
from gdl_lab.flows import Flow, Glow, RealNVP
from gdl_lab.symmetry import C4, D4, GroupConvolution, GroupNetwork, Lift
from gdl_lab.widgets import (
    CounterfactualExplorer,
    DigitWalk,
    DimensionEstimate,
    FlowLayers,
    GaugeSlider,
    Globe,
    HolonomyLoop,
    KernelConstraint,
    KernelEditor,
    LinearRegions,
    MetricExplorer,
    ScrambledLattice,
    SweepFigure,
    TurnedFeatures,
    Widget,
)

__all__ = [
    "STEP_SIZES",
    "WIDGETS",
    "arc",
    "colourful",
    "explorer",
    "group_network",
    "mirrored",
    "moved",
    "own_layer",
    "pictures",
    "planar_data",
    "random_flow",
    "reader",
    "runs",
    "small_lattice",
    "sweep_figure",
]


def moved(flow: Flow, seed: int, strength: float = 0.5) -> Any:
    """The flow with normal weights, also in the last layers, where a new flow has zeros."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in flow.parameters():
            scale = strength * len(parameter) ** -0.5 if parameter.ndim == 2 else 0.6 * strength
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return flow.requires_grad_(False)


def random_flow(seed: int, layers: int = 4, hidden: tuple[int, ...] = (16, 16), **options: Any) -> RealNVP:
    """A flow on the plane in float64 that is not the identity."""
    flow: RealNVP = moved(RealNVP(2, layers, hidden, **options).double(), seed)
    if (k := options.get("whitening")) is not None:
        flow.fit_whitening(planar_data(seed), k)
    return flow


def planar_data(seed: int = 0, n: int = 120) -> Tensor:
    """Points of an oblique Gaussian, in float64."""
    generator = torch.Generator().manual_seed(seed)
    shape = torch.tensor([[0.9, 0.3], [0.1, 0.3]], dtype=torch.float64)
    return torch.randn(n, 2, generator=generator, dtype=torch.float64) @ shape + 0.2


def pictures(count: int, height: int, width: int) -> Tensor:
    """Blobs with noise, in [0, 1]."""
    generator = torch.Generator().manual_seed(count)
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    centre = torch.rand(count, 2, 1, 1, generator=generator) - 0.5
    blobs = torch.exp(-4 * ((x - centre[:, 0]) ** 2 + (y - centre[:, 1]) ** 2))
    return 0.85 * blobs + 0.1 * torch.rand(blobs.shape, generator=generator)


def _glow() -> Glow:
    glow = Glow((1, 8, 8), steps=1, levels=2, hidden=4).fit_actnorm(pictures(64, 8, 8)[:, None])
    return glow.requires_grad_(False).eval()


def arc(n: int = 60) -> Tensor:
    """Three quarters of the unit circle, shape (n, 2), in float64."""
    angle = torch.linspace(-0.25, 1.25, n, dtype=torch.float64) * torch.pi
    return torch.stack([angle.cos(), angle.sin()], 1)


def explorer(activation: type[nn.Module] = nn.Tanh, logits: int = 2, **settings: Any) -> MetricExplorer:
    """Two families of random flows over two thicknesses, and a random classifier."""
    generator = torch.Generator().manual_seed(logits)
    classifier = nn.Sequential(nn.Linear(2, 8), activation(), nn.Linear(8, 8), activation(), nn.Linear(8, logits))
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    families = {name: [(d, random_flow(s, hidden=(12,))) for d, s in ((0.3, s), (0.1, s + 1))] for name, s in FAMILIES}
    return MetricExplorer(families, arc(), [arc(), planar_data()], classifier, ("left", "right"), **settings)


def reader(seed: int, inputs: int, outputs: int) -> nn.Sequential:
    """A random network in float64 that takes pictures to logits, or with one output to values, shape (batch,)."""
    generator = torch.Generator().manual_seed(seed)
    last = nn.Flatten(0) if outputs == 1 else nn.Identity()
    net = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 12), nn.SiLU(), nn.Linear(12, outputs), last).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (3 / parameter.shape[-1]) ** 0.5)
    return net.requires_grad_(False)


def colourful(count: int, height: int, width: int) -> Tensor:
    """Pictures of three colours, in [0, 1]."""
    return pictures(3 * count, height, width).view(count, 3, height, width)


def group_network() -> GroupNetwork:
    """A network on C4 whose batch normalisation is not the identity."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = GroupNetwork(C4, (2, 3, 4))
        net.train()(pictures(8, 16, 16)[:, None])
    return net.eval().requires_grad_(False)


def mirrored() -> nn.Sequential:
    """Two layers on D4, reflections included."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(Lift(D4, 1, 2, 5), nn.ReLU(), GroupConvolution(D4, 2, 2)).requires_grad_(False)


def runs() -> list[dict[str, Any]]:
    """A sweep of two networks with three seeds, of which one run has failed."""
    rng = np.random.default_rng(0)
    points = [(net, copies, digits) for net in ("a", "b c") for copies in (1, 10, 2) for digits in (100, 500)]
    return [
        {
            "net": net,
            "copies": copies,
            "digits": digits,
            "seed": seed,
            "images": copies * digits,
            "seconds": float(10 * copies**0.5 + rng.random()),
            "hit": None
            if (net, copies, digits, seed) == ("a", 1, 100, 0)
            else float(1 - 0.5 / copies + 0.05 * rng.random()),
            "error": float(digits**-0.5 + 0.02 * rng.random()),
        }
        for net, copies, digits in points
        for seed in range(3)
    ]


def sweep_figure(**changes: Any) -> SweepFigure:
    """The figure of `runs`."""
    columns = {"x": ["images", "seconds"], "y": ["hit", "error"], "family": "net", "at": ["copies", "digits"]}
    return SweepFigure(runs(), **{**columns, "lower": ["error"], "labels": {"hit": "share of hits"}, **changes})


def own_layer(spin: int) -> GaugeConv:
    """A convolution from one spin to arrows with random complex weights."""
    with torch.random.fork_rng():
        torch.manual_seed(spin)
        return GaugeConv([spin], [1]).requires_grad_(False)


def small_lattice() -> ScrambledLattice:
    """Random fields of 4×4 sites at two β, of two samplers at one of them, one of which has weights."""
    generator = torch.Generator().manual_seed(3)
    theta, log_w = torch.randn(3, 24, 2, 4, 4, generator=generator), torch.randn(16, generator=generator)
    return ScrambledLattice({0.5: {"HMC": theta[0, :20], "q": (theta[1, :16], log_w)}, 4.0: {"HMC": theta[2]}})


STEP_SIZES = {"plain": [(0.05, 0.02), (0.3, 0.1)], "adam": [(0.05, 0.01), (0.2, 0.05)]}
FAMILIES = (("trained", 4), ("under-trained", 6))

WIDGETS: dict[str, Callable[[], Widget]] = {
    "LinearRegions": LinearRegions,
    "LinearRegions, one layer": lambda: LinearRegions(
        widths=(6,), labels=[0, 1], points=[[0.5, 0.5], [-0.5, 0]], seed=1
    ),
    "KernelEditor": KernelEditor,
    "KernelEditor, not square": lambda: KernelEditor(np.random.default_rng(0).normal(size=(2, 9, 14)), ["one", "two"]),
    "DimensionEstimate": DimensionEstimate,
    "DimensionEstimate, own points": lambda: DimensionEstimate(
        np.random.default_rng(0).normal(size=(250, 64)), "noise in 64 dimensions"
    ),
    "FlowLayers": lambda: FlowLayers(random_flow(1), planar_data()),
    "FlowLayers, two flows with whitening": lambda: FlowLayers(
        {"one": random_flow(2, 8, (32, 32), whitening=2), "another": random_flow(3, 8, (8,), whitening=1)},
        planar_data(),
        direction="pull",
    ),
    "CounterfactualExplorer": lambda: CounterfactualExplorer(
        reader(1, 64, 3),
        moved(RealNVP(64, 4, (16,)).double(), 5),
        pictures(2, 8, 8),
        [0, 2],
        ["p", "q"],
        STEP_SIZES,
        steps=60,
    ),
    "CounterfactualExplorer, colours and values": lambda: CounterfactualExplorer(
        reader(2, 72, 1),
        moved(RealNVP(72, 2, (16,)).double(), 6),
        colourful(2, 6, 4),
        {"few": -2.0, "many": 3.0},
        step_sizes={"plain": [(0.05, 0.02), (0.1, 0.1)]},
        frames=7,
        steps=60,
        t=3,
    ),
    "CounterfactualExplorer, one path of 28 × 28": lambda: CounterfactualExplorer(
        reader(3, 784, 4),
        moved(RealNVP(784, 2, (16,), principal=4).double(), 1),
        pictures(1, 28, 28).flatten(1),
        {"the fourth": 3},
        step_sizes={"adam": [(0.02, 0.002), (0.1, 0.01)]},
        shape=(28, 28),
        steps=60,
        magnify=True,
    ),
    "GaugeSlider": GaugeSlider,
    "GaugeSlider, a layer and waves of one's own": lambda: GaugeSlider(
        own_layer(1),
        own_layer(0),
        np.random.default_rng(1).normal(size=(2, 8)),
        surface="torus",
        gauge="rough",
        forget=True,
        point=3,
    ),
    "GaugeSlider, numbers on the bumpy ball": lambda: GaugeSlider(
        surface="bumpy ball", layer="numbers", wrong=True, amount=0.4, seed=7
    ),
    "HolonomyLoop": HolonomyLoop,
    "HolonomyLoop, round the torus": lambda: HolonomyLoop(surface="torus", loop="latitude", size=0.7, along=25),
    "HolonomyLoop, an octant of the ellipsoid": lambda: HolonomyLoop(surface="ellipsoid", loop="octant", along=60),
    "Globe": Globe,
    "Globe, one signal of low degree": lambda: Globe(
        np.random.default_rng(0).normal(size=25), zonal=np.linspace(-1, 1, 16), layer="chart", dots=False
    ),
    "KernelConstraint": KernelConstraint,
    "KernelConstraint, the line of the talk": lambda: KernelConstraint(2, 1, frequency=1, reading="literal", twist=40),
    "ScrambledLattice": ScrambledLattice,
    "ScrambledLattice, fields of one's own": small_lattice,
    "DigitWalk": lambda: DigitWalk(moved(RealNVP(64, 4, (32,)), 0), pictures(4, 8, 8), bits=4),
    "DigitWalk, another shape and flow": lambda: DigitWalk(
        _glow(), pictures(3, 8, 8)[:, None], ["p", "q", "r"], steps=9
    ),
    "DigitWalk, 28 × 28": lambda: DigitWalk(
        moved(RealNVP(784, 2, (16,), principal=4), 1), pictures(6, 28, 28), list("abcdef"), curve="norm"
    ),
    "MetricExplorer": lambda: explorer(point=[0.6, 0.4]),
    "SweepFigure": lambda: sweep_figure(point=4),
    "SweepFigure, one axis, gaps, less is better": lambda: sweep_figure(
        x="images", y="error", at="copies", lower="error", shown=["b c"], log_x=True, log_y=True
    ),
    "TurnedFeatures": TurnedFeatures,
    "TurnedFeatures, trained networks": lambda: TurnedFeatures(
        pictures(2, 16, 16)[:, None], {"C4": group_network(), "D4": mirrored()}, angle=90, channel=3
    ),
    "MetricExplorer, paths of one flow": lambda: MetricExplorer(
        [(0.2, random_flow(8, whitening=2))], arc(), [arc()], nn.Sequential(nn.Linear(2, 1)), path_x=True, path_z=True
    ),
}

"""Rotated digits: a C4 network, and an ordinary one of the same size with and without rotated copies of its data.

`measure` is one training and what came of it, `GRID` the points behind the chapter on symmetry. Two budgets are in it:
`SHORT` gives both networks the same processor time, ten to fifteen seconds of a core, and `LONG` four times as much,
for those of whom it matters whether they had come to rest.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gdl_lab import data, runtime, training
from gdl_lab.data import Dataset
from gdl_lab.symmetry import C1, C4, GroupNetwork, equivariance_error, rotate, trivial

__all__ = [
    "GRID", "LONG", "NETWORKS", "SHORT", "deviation", "digits", "judge", "measure", "off_the_data", "train", "turned",
]  # fmt: skip

NETWORKS = {"CNN": (C1, (16, 24, 32)), "C4": (C4, (8, 12, 16))}  # 11,314 and 10,846 parameters
SHORT, LONG = {"CNN": 600, "C4": 300}, {"CNN": 2400, "C4": 1200}  # a step of C4 takes twice the time of one of CNN

GRID: list[dict[str, Any]] = [
    {"network": network, "digits": n, "copies": copies, "steps": steps[network], "seed": seed}
    for seed in range(3)
    for steps, sizes, choices in (
        (SHORT, (1000, 300, 100), (("C4", 0), ("CNN", 0), ("CNN", 20), ("CNN", 5), ("CNN", 1))),
        (LONG, (1000,), (("C4", 0), ("CNN", 20))),
    )
    for n, (network, copies) in product(sizes, choices)
]


def digits(split: str = "train") -> Dataset:
    """MNIST, or without it the 8×8 digits in a frame of 12×12 that leaves them room to turn."""
    found = data.load("mnist", split, otherwise="digits8")
    return found if found.name == "mnist" else Dataset(found.name, F.pad(found.x, (2, 2, 2, 2)), found.y)


def turned(x: Tensor, copies: int = 1, *, seed: int = 0) -> Tensor:
    """Copies of pictures, each at an angle of its own, drawn uniformly; all pictures, then all again, and so on."""
    angle = 2 * math.pi * torch.rand(copies * len(x), generator=runtime.generator("angles", seed))
    return rotate(x.repeat(copies, 1, 1, 1), angle.to(x))


def train(
    network: str, few: Dataset, *, copies: int = 0, steps: int, seed: int = 0, label: str | None = None
) -> GroupNetwork:
    """A network of `NETWORKS`, trained on digits as they are, or on ``copies`` turned copies of each.

    Args:
        label: of the progress bar; none is shown without one.

    Raises:
        ValueError: another network.
    """
    if network not in NETWORKS:
        raise ValueError(f"unknown network {network!r}: expected one of {', '.join(NETWORKS)}")
    torch.manual_seed(seed)
    net = GroupNetwork(*NETWORKS[network]).to(few.x.device)
    x, y = (turned(few.x, copies, seed=seed), few.y.repeat(copies)) if copies else (few.x, few.y)
    training.fit(
        net, (x, y), lambda net, x, y: F.cross_entropy(net(x), y),
        steps=steps, batch_size=32, lr=2e-2, schedule=training.warm_cosine, seed=seed,
        label=label or network, progress=label is not None,
    )  # fmt: skip
    return net


def off_the_data(x: Tensor, *, seed: int = 0) -> dict[str, Tensor]:
    """Pictures that are no digits, as many and as large as the digits x.

    Quarters of four different digits, put together; white paper under black ink; uniform noise; drawn faces in grey.
    """
    n, side = len(x), x.shape[-1]
    faces = data.load("faces", "test", n=n, seed=seed).x.mean(1, keepdim=True).to(x)
    top, bottom = (torch.cat([x.roll(k, 0)[..., : side // 2], x.roll(k + 1, 0)[..., side // 2 :]], 3) for k in (1, 3))
    return {
        "pieces": torch.cat([top[:, :, : side // 2], bottom[:, :, side // 2 :]], 2),
        "negatives": 1 - x,
        "noise": torch.rand(x.shape, generator=runtime.generator("noise", seed)).to(x),
        "faces": F.interpolate(faces, (side, side), mode="area"),
    }


@torch.no_grad()
def deviation(net: GroupNetwork, x: Tensor) -> float:
    """How far the logits of pictures are from invariant under quarter turns; 0 means invariant.

    The equivariance error of f − f̄ with σ = 1, where f̄ is the mean of the logits f over x: without it, a network that
    says nearly the same to all pictures would count as nearly invariant. At √2 turning a picture changes as much as
    taking another one.
    """
    mean = net(x).mean(0)
    return equivariance_error(lambda turned: net(turned) - mean, [1, 2, 3], C4.on_pictures, trivial, x, reduce="mean")


@torch.no_grad()
def judge(net: GroupNetwork, test: Dataset, *, seed: int = 0) -> dict[str, float]:
    """Share of digits read upright, at right angles and at all angles; `deviation` on digits and off them."""
    device = next(net.parameters()).device
    x, y = test.x.to(device), test.y.to(device)

    def share(x: Tensor) -> float:
        return float(torch.cat([net(part).argmax(1) for part in x.split(250)]).eq(y).float().mean())

    right_angles = torch.stack([C4.on_pictures(i % 4, one) for i, one in enumerate(x)])
    found = {"upright": share(x), "right_angles": share(right_angles), "all_angles": share(turned(x, seed=seed + 1000))}
    pictures = {"digits": x[:250], **off_the_data(x[:250], seed=seed)}
    return found | {f"error_{name}": deviation(net, some) for name, some in pictures.items()}


def measure(*, network: str, digits: int, copies: int, steps: int, seed: int) -> dict[str, float]:
    """One training on MNIST and what came of it; see `judge`.

    Raises:
        DataError: MNIST is not on this machine.
    """
    few = data.load("mnist").take(digits, seed=seed)
    net = train(network, few, copies=copies, steps=steps, seed=seed)
    return judge(net, data.load("mnist", "test").take(1000, seed=seed), seed=seed)

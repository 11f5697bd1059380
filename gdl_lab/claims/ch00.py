"""Claims of chapter 00: the map is complete, and training is as stochastic as the talk says."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch.nn import functional as F

from gdl_lab import data
from gdl_lab.claims.ledger import at_least, at_most, claim
from gdl_lab.claims.talk_map import talk_map
from gdl_lab.networks import FullyConnected
from gdl_lab.training import fit

__all__ = ["every_section_has_its_place", "training_is_stochastic"]

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


@claim("map.every_section_has_its_place", talk="geometry-plus-deep-learning", bound=at_most(0))
def every_section_has_its_place(*, notebooks: Path = NOTEBOOKS) -> dict[str, float]:
    """Every section of the talk whose chapter is written has its place there, and the chapter links back: broken links.

    Raises:
        FileNotFoundError: the chapters are not there, as when the package was installed without its checkout.
    """
    broken, planned = 0, 0
    for section in talk_map():
        if section.planned:
            planned += 1
            continue
        text = (notebooks / f"{section.notebook}.py").read_text(encoding="utf-8")
        has_anchor = re.search(rf"^# \({re.escape(section.id)}\)=$", text, re.MULTILINE) is not None
        links_back = section.notebook.startswith("00") or "(00_start_here.ipynb" in text
        broken += not (has_anchor and links_back)
    return {"value": broken, "sections": len(talk_map()), "not_written_yet": planned}


@claim("map.training_is_stochastic", talk="enter-geometry", bound=at_least(0.02))
def training_is_stochastic(*, trainings: int = 5) -> dict[str, float]:
    """The training process is stochastic: share of the square on which networks that differ in their seed alone
    disagree.

    All of them learn the same two moons; the other numbers are their accuracies on new points from there.
    """
    train, test = data.load("two_moons", n=400), data.load("two_moons", "test", n=400)
    axis = torch.linspace(-1, 1, 101)
    square = torch.cartesian_prod(axis, axis)
    votes, accuracies = [], []
    for seed in range(trainings):
        torch.manual_seed(seed)
        net = FullyConnected([2, 16, 16, 2])
        fit(net, (train.x, train.y), lambda n, x, y: F.cross_entropy(n(x), y), steps=300, lr=1e-2, progress=False)
        with torch.no_grad():
            votes.append(net(square).argmax(1))
            accuracies.append(float((net(test.x).argmax(1) == test.y).float().mean()))
    agreed = (torch.stack(votes) == votes[0]).all(0)
    return {
        "value": float((~agreed).float().mean()),
        "lowest_accuracy": min(accuracies),
        "highest_accuracy": max(accuracies),
    }

"""A policy that simplifies sums of dilogarithms, by learning to undo scrambles."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from statistics import mean
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from gdl_lab import runtime
from gdl_lab.discovery.dilogarithms import Expression, scramble
from gdl_lab.discovery.policy import Policy, follow, lessons
from gdl_lab.discovery.searches import best_first, key, look_ahead, quotient, quotient_neighbours
from gdl_lab.recipes.recipe import Examples, Plan, Recipe

__all__ = ["RECIPES", "STEPS", "ZEROS", "UndoPolicy", "scrambled"]

NUMBER = {"train": 100_000, "test": 2_000}
TESTED = 300
ZEROS, STEPS = (1, 3), (4, 16)  # of a scramble


def dice(use: str, seed: int) -> random.Random:
    """Python's generator, seeded as `runtime.generator` would be."""
    return random.Random(runtime.generator(use, seed).initial_seed())


@cache
def scrambled(
    n: int = TESTED, zeros: tuple[int, int] = ZEROS, steps: tuple[int, int] = STEPS, *, seed: int = 0
) -> tuple[Expression, ...]:
    """n different expressions that are 0, none of which the policy was shown if the arguments are the usual ones.

    Args:
        zeros, steps: of the scrambles, from … to …, both included.
    """
    rng, found = dice("scrambles to test on", seed), dict[Any, Expression]()
    while len(found) < n:
        expression = scramble(rng, rng.randint(*zeros), rng.randint(*steps))[0]
        found.setdefault(key(expression), expression)
    return tuple(found.values())


@dataclass(frozen=True, kw_only=True)
class UndoPolicy(Recipe[Policy]):
    """A `Policy` that is shown expressions on the way of scrambles, and learns the move that leads one step back."""

    metric: ClassVar[str] = "share of the test expressions that are not 0 after 50 moves"
    rival: ClassVar[str] = "untrained"
    model: ClassVar[type[Policy]] = Policy

    def examples(self, split: str) -> Examples:
        tested = frozenset(map(key, scrambled()))
        return lessons(NUMBER[split], dice(f"lessons, {split}", self.seed), ZEROS, STEPS, tested)

    def start(self, *training: Tensor) -> Policy:
        return Policy()

    def loss(self, model: Policy, *batch: Tensor) -> Tensor:
        x, allowed, undo = batch
        return F.cross_entropy(model(x, allowed), undo)

    @torch.no_grad()
    def error(self, model: Policy, *held_out: Tensor) -> float:
        device = next(model.parameters()).device
        parts = zip(*(t.to(device).split(500) for t in held_out), strict=True)
        return mean(float(self.loss(model, *part)) for part in parts)

    def measure(self, model: Policy, n: int | None = None) -> float:
        tested = scrambled()[:n]
        return sum(steps is None for steps in follow(model.cpu().eval(), tested)) / len(tested)

    def to_beat(self, training: Examples, n: int | None = None) -> float:
        torch.manual_seed(self.seed)
        return self.measure(self.start(*training), n)

    def particulars(self, training: Examples) -> dict[str, Any]:
        return {"points": len(training[0])}

    def further(self, model: Policy, n: int | None = None) -> dict[str, float]:
        """The same of those who do not learn."""
        tested, rng = scrambled()[:n], dice("look ahead", self.seed)
        return {
            "looking one move ahead": mean(not look_ahead(e, rng) for e in tested),
            "best-first search, 150 expressions": mean(not best_first(e, 150).solved for e in tested),
            "the same among classes of S₃": mean(
                not best_first(quotient(e), 150, quotient_neighbours).solved for e in tested
            ),
        }


POLICY = UndoPolicy(
    name="dilogarithms",
    title="A policy that simplifies sums of dilogarithms, from scrambles played backwards.",
    data="scrambled zeros: one to three, 4 to 16 moves; drawn by the package",
    plans={
        "smoke": Plan(steps=5, batch_size=32, lr=1e-3, every=5, held_out=100, at_most=500, tested=20),
        "laptop": Plan(steps=1500, batch_size=256, lr=2e-3, every=150, held_out=2000),
    },
)

RECIPES: tuple[Recipe[Any], ...] = (POLICY,)

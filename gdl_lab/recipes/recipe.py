"""What a recipe is: examples, a model, what it is judged by, and how long each profile trains it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from gdl_lab import runtime
from gdl_lab.discovery.policy import Policy
from gdl_lab.flows import Flow
from gdl_lab.networks import Reader

__all__ = ["Examples", "Model", "Plan", "Recipe", "side_by_side"]

Model = TypeVar("Model", Flow, Reader, Policy)
Examples = tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how a profile trains.

    Attributes:
        steps: optimisation steps; the learning rate rises over the first twentieth and falls along a cosine.
        batch_size: examples a step.
        lr: the largest learning rate of Adam.
        clip: the largest norm of the loss's gradient.
        every: steps between validations.
        patience: stop after so many validations without a new best; ``None`` trains to the end.
        held_out: training examples that are kept from training, for the validation.
        at_most: use no more training examples than so many; ``None`` uses all.
        tested: measure on so many examples of the test split; ``None`` takes all.
    """

    steps: int
    batch_size: int
    lr: float
    clip: float = 1.0
    every: int = 250
    patience: int | None = None
    held_out: int = 1000
    at_most: int | None = None
    tested: int | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC, Generic[Model]):
    """How one checkpoint is made. A kind of recipe says what examples, loss and measure are.

    Attributes:
        name: of the recipe and of its files.
        title: one sentence for the reader.
        data: what it is trained on, in words.
        plans: one for each profile; ``full`` may be left out, and is the laptop's then.
        seed: of the initial weights, the noise and the order of the examples.
        shipped: whether its checkpoint comes with the course; if not, it is made into the user's cache.
        settled: whether training goes on until the validation changes no more; not so where the course shows what a
            training cut short leaves behind, wants a reader that knows its pictures by heart, or the loss has no bound.
        metric: what `measure` measures, the smaller, the better.
        rival: what has to be beaten at it, as it is called on the card.
        model: what is trained, `Flow`, `Reader` or `Policy`, whose ``load`` reads the checkpoint.
    """

    name: str
    title: str
    data: str
    plans: Mapping[str, Plan]
    seed: int = 0
    shipped: bool = True
    settled: bool = True
    metric: ClassVar[str]
    rival: ClassVar[str]
    model: ClassVar[type[Flow] | type[Reader] | type[Policy]]

    def plan(self, profile: str) -> Plan:
        """The plan of a profile, which `runtime.PROFILES` knows."""
        return self.plans["laptop"] if profile == "full" and "full" not in self.plans else self.plans[profile]

    @abstractmethod
    def examples(self, split: str) -> Examples:
        """Tensors of equal length, for ``"train"`` or ``"test"``.

        Raises:
            DataError: they are not on this machine.
        """

    @abstractmethod
    def start(self, *training: Tensor) -> Model:
        """The untrained model, which may look at the examples it will be trained on."""

    @abstractmethod
    def loss(self, model: Model, *batch: Tensor) -> Tensor:
        """What is minimised, over a batch of examples."""

    @abstractmethod
    def error(self, model: Model, *held_out: Tensor) -> float:
        """What is validated, on examples held out; the weights that make it smallest are kept."""

    @abstractmethod
    def measure(self, model: Model, n: int | None = None) -> float:
        """The metric on the first ``n`` test examples, or on all of them.

        Raises:
            DataError: they are not on this machine.
            ValueError: the model is one for other examples.
        """

    @abstractmethod
    def to_beat(self, training: Examples, n: int | None = None) -> float:
        """The metric of the rival, who knows the same training examples, on the same tests."""

    @abstractmethod
    def particulars(self, training: Examples) -> dict[str, Any]:
        """What only cards of this kind say."""

    def further(self, model: Model, n: int | None = None) -> dict[str, float]:
        """What else is measured on the tests, by name; nothing unless a kind says so."""
        return {}

    def split(self, plan: Plan) -> tuple[Examples, Examples]:
        """Examples to train on and those held out, drawn from the training split; they depend on the seed alone.

        Raises:
            DataError: they are not on this machine.
        """
        examples = self.examples("train")
        order = torch.randperm(len(examples[0]), generator=runtime.generator("held out", self.name, self.seed))
        held_out, rest = order[: plan.held_out], order[plan.held_out :][: plan.at_most]
        return tuple(t[rest] for t in examples), tuple(t[held_out] for t in examples)


def side_by_side(model: Model) -> Model:
    """The model with its channels side by side in memory, which makes convolutions a fifth faster on a CPU."""
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

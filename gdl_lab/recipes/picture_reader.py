"""Networks that read pictures: which class, or how many."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from gdl_lab import runtime
from gdl_lab.data import Dataset
from gdl_lab.flows import dequantize
from gdl_lab.networks import Reader
from gdl_lab.recipes.recipe import Examples, Recipe

__all__ = ["ClassReader", "PictureReader", "ValueReader"]


@dataclass(frozen=True, kw_only=True)
class PictureReader(Recipe[Reader]):
    """A network that reads pictures as a flow draws them: with noise between their grey levels.

    It is validated by its loss, which chance moves less than the share of wrong answers. See `Recipe` for the other
    attributes.

    Attributes:
        pictures: ``pictures("train")`` or ``pictures("test")`` → labelled pictures with values in [0, 1]; raises
            `DataError` where they are not on this machine.
        begin: builds the network.
        bits: grey values are quantised to 2ᵇ levels and dequantized afresh in every step, as the flow's are.
        shift: training pictures are moved by up to so many pixels along each side, each batch by its own; what moves
            in is zero.
    """

    pictures: Callable[[str], Dataset]
    begin: Callable[[], Reader]
    bits: int
    shift: int = 0
    rival: ClassVar[str] = "constant"
    model: ClassVar[type[Reader]] = Reader

    @abstractmethod
    def loss_of(self, said: Tensor, y: Tensor) -> Tensor:
        """The mean loss of answers to examples, what is minimised and validated."""

    @abstractmethod
    def wrong(self, said: Tensor, y: Tensor) -> Tensor:
        """How wrong each answer is, ``(n, …)`` and ``(n,)`` → ``(n,)``, what is measured in the end."""

    def examples(self, split: str) -> Examples:
        labelled = self.pictures(split)
        return labelled.x, labelled.y

    def start(self, *training: Tensor) -> Reader:
        return self.begin()

    def noisy(self, x: Tensor) -> Tensor:
        """Pictures as training sees them, shifted and with fresh noise, ``(n, channels, height, width)``."""
        if self.shift:
            height, width = x.shape[2:]
            top, left = torch.randint(2 * self.shift + 1, (2,)).tolist()
            x = F.pad(x, [self.shift] * 4)[:, :, top : top + height, left : left + width]
        return dequantize(x, self.bits)

    def loss(self, model: Reader, *batch: Tensor) -> Tensor:
        x, y = batch
        return self.loss_of(model(self.noisy(x)), y)

    def error(self, model: Reader, *held_out: Tensor) -> float:
        x, y = held_out
        return float(self.loss_of(self._answers(model, x, "validation noise"), y))

    def measure(self, model: Reader, n: int | None = None) -> float:
        x, y = (t[:n] for t in self.examples("test"))
        return float(self.wrong(self._answers(model, x, "test noise"), y).double().mean())

    def particulars(self, training: Examples) -> dict[str, Any]:
        return {"pictures": len(training[0]), "bits": self.bits}

    @torch.no_grad()
    def _answers(self, model: Reader, x: Tensor, noise: str, chunk: int = 500) -> Tensor:
        """Answers on the CPU, each noise always the same."""
        weight = next(model.parameters())
        parts = dequantize(x, self.bits, runtime.generator(noise, self.name)).split(chunk)
        return torch.cat([model(part.to(weight)).cpu() for part in parts])


@dataclass(frozen=True, kw_only=True)
class ClassReader(PictureReader):
    """A reader that says which class, judged by how often it is wrong; see `PictureReader`."""

    metric: ClassVar[str] = "share of the test pictures misread"

    def loss_of(self, said: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(said, y)

    def wrong(self, said: Tensor, y: Tensor) -> Tensor:
        return said.argmax(1) != y

    def to_beat(self, training: Examples, n: int | None = None) -> float:
        """Who always says the most frequent class."""
        return float((self.examples("test")[1][:n] != training[1].mode().values).double().mean())


@dataclass(frozen=True, kw_only=True)
class ValueReader(PictureReader):
    """A reader that says a number, judged by how far it is from the true one; see `PictureReader`."""

    metric: ClassVar[str] = "mean absolute error on the test pictures"

    def loss_of(self, said: Tensor, y: Tensor) -> Tensor:
        return F.smooth_l1_loss(said, y)

    def wrong(self, said: Tensor, y: Tensor) -> Tensor:
        return (said - y).abs()

    def to_beat(self, training: Examples, n: int | None = None) -> float:
        """Who always says the median."""
        return float((self.examples("test")[1][:n] - training[1].median()).abs().double().mean())

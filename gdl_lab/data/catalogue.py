"""The catalogue of data sets: what each is, whose it is, and how it is loaded."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from gdl_lab import runtime
from gdl_lab.data import digits, drawn, files
from gdl_lab.data.files import RemoteFile

__all__ = ["CARDS", "Card", "Dataset", "fetch", "load", "on_this_machine"]

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Dataset:
    """Examples x ↦ y.

    Attributes:
        name: the name it was loaded by.
        x: inputs, float32; points are ``(n, 2)``, pictures ``(n, channels, height, width)`` with values in [0, 1].
        y: class indices, int64, shape ``(n,)``.
    """

    name: str
    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def take(self, n: int, seed: int = 0) -> Dataset:
        """``n`` examples drawn without repetition; the same seed draws the same ones.

        Raises:
            ValueError: ``n`` is not between 1 and the size of the set.
        """
        if not 1 <= n <= len(self):
            raise ValueError(f"cannot take {n} of the {len(self)} examples in {self.name}")
        chosen = torch.randperm(len(self), generator=runtime.generator("take", seed))[:n]
        return replace(self, x=self.x[chosen], y=self.y[chosen])

    def to(self, device: torch.device | str) -> Dataset:
        """The same examples on another device."""
        return replace(self, x=self.x.to(device), y=self.y.to(device))


@dataclass(frozen=True)
class Card:
    """What a reader should know of a data set before using it."""

    title: str
    licence: str
    loader: Callable[..., tuple[Tensor, Tensor]]
    files: tuple[RemoteFile, ...] = ()


CARDS: dict[str, Card] = {
    "digits8": Card(
        title="1,797 handwritten digits, 8×8 (Alpaydin & Kaynak, UCI optdigits, in scikit-learn)",
        licence="CC BY 4.0",
        loader=digits.digits8,
    ),
    "mnist": Card(
        title="70,000 handwritten digits, 28×28 (LeCun & Cortes)",
        licence="no text by its authors; commonly given as CC BY-SA 3.0; not part of this repository",
        loader=digits.mnist,
        files=digits.MNIST_FILES,
    ),
    "two_moons": Card(title="two interleaving half circles, drawn", licence="MIT", loader=drawn.two_moons),
    "spirals": Card(title="two interleaving spirals, drawn", licence="MIT", loader=drawn.spirals),
    "rings": Card(title="a disc inside a ring, drawn", licence="MIT", loader=drawn.rings),
}


def load(name: str, split: str = "train", *, otherwise: str | None = None, **options: object) -> Dataset:
    """Load a data set by name.

    Args:
        name: one of `CARDS`.
        split: ``"train"`` or ``"test"``; drawn sets draw different points for each.
        otherwise: a set to use, saying so, when the files of ``name`` are not on this machine.
        options: passed to drawn sets: ``n``, ``noise``, ``seed``.

    Raises:
        ValueError: unknown name, split or option.
        DataError: files are missing (and there is no ``otherwise``) or damaged.
    """
    for wanted in filter(None, (name, otherwise)):
        _card(wanted)
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: expected one of {', '.join(SPLITS)}")
    if otherwise is not None and not on_this_machine(name):
        print(f"{name} is not on this machine (`gdl-lab data fetch {name}` gets it); using {otherwise} instead")
        name = otherwise
    loader = CARDS[name].loader
    if unknown := options.keys() - inspect.signature(loader).parameters.keys():
        raise ValueError(f"{name} does not take {', '.join(sorted(unknown))}")
    x, y = loader(split, **options)
    return Dataset(name, x, y)


def fetch(name: str) -> list[Path]:
    """Download the files of a data set into the cache, verified; files that are there already are only verified.

    Returns:
        Where they are; empty for a set that comes with the course.

    Raises:
        ValueError: unknown name.
        DataError: no mirror served the right content, or the cache cannot be written.
    """
    return [files.fetch(name, file) for file in _card(name).files]


def on_this_machine(name: str) -> bool:
    """Whether a set can be loaded without a download (its files are there; they are verified on loading).

    Raises:
        ValueError: unknown name.
    """
    return all(files.find(name, file) is not None for file in _card(name).files)


def _card(name: str) -> Card:
    if name not in CARDS:
        raise ValueError(f"unknown data set {name!r}: expected one of {', '.join(CARDS)}")
    return CARDS[name]

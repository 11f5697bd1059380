"""The catalogue of data sets: what each is, whose it is, and how it is loaded."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from gdl_lab import runtime
from gdl_lab.data import celeba, crowds, digits, drawn, faces, files, mall
from gdl_lab.data.files import RemoteFile
from gdl_lab.data.published import Published

__all__ = ["CARDS", "Card", "Dataset", "count", "fetch", "load", "on_this_machine"]

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Dataset:
    """Examples x ↦ y.

    Attributes:
        name: the name it was loaded by.
        x: inputs, float32; points are ``(n, 2)``, pictures ``(n, channels, height, width)`` with values in [0, 1],
            or bytes where they were asked for.
        y: shape ``(n,)``; class indices, int64, or for a regression, as the number of people in ``crowds``, float32.
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
    """What a reader should know of a data set before using it, and where it comes from.

    Attributes:
        title: one line.
        licence: what may be done with it.
        loader: ``loader(split, **options)`` → x and y.
        files: what `fetch` downloads.
        published: what its owners alone may hand out.
        counted: ``counted(split)`` looks at every example where to load them all would take too much memory.
    """

    title: str
    licence: str
    loader: Callable[..., tuple[Tensor, Tensor]]
    files: tuple[RemoteFile, ...] = ()
    published: Published | None = None
    counted: Callable[[str], int] | None = None


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
    "celeba": Card(
        title="202,599 portraits with 40 attributes, such as blond hair, 178×218 (Liu, Luo, Wang & Tang)",
        licence="its owners' agreement: non-commercial research only; may not be passed on",
        loader=celeba.celeba,
        published=celeba.CELEBA,
        counted=celeba.count,
    ),
    "mall": Card(
        title="2,000 frames of people in a mall, counted, 640×480 (Chen, Loy, Gong & Xiang)",
        licence="its owners' terms: research only, not commercially; may not be passed on",
        loader=mall.mall,
        published=mall.MALL,
    ),
    "two_moons": Card(title="two interleaving half circles, drawn", licence="MIT", loader=drawn.two_moons),
    "spirals": Card(title="two interleaving spirals, drawn", licence="MIT", loader=drawn.spirals),
    "rings": Card(title="a disc inside a ring, drawn", licence="MIT", loader=drawn.rings),
    "faces": Card(title="blonde or not: coloured faces, 32×32, drawn", licence="MIT", loader=faces.faces),
    "crowds": Card(title="how many: 0 to 12 people in a hall, 32×32, drawn", licence="MIT", loader=crowds.crowds),
}


def load(name: str, split: str = "train", *, otherwise: str | None = None, **options: object) -> Dataset:
    """Load a data set by name.

    Args:
        name: one of `CARDS`.
        split: ``"train"`` or ``"test"``; drawn sets draw different points for each.
        otherwise: a set to use, saying so, when the files of ``name`` are not on this machine.
        options: passed to drawn sets: ``n``, ``seed``, and ``noise`` for those in the plane; to published ones as
            `celeba.celeba` and `mall.mall` take them.

    Raises:
        ValueError: unknown name, split or option.
        DataError: files are missing (and there is no ``otherwise``) or damaged.
    """
    for wanted in filter(None, (name, otherwise)):
        _card(wanted)
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: expected one of {', '.join(SPLITS)}")
    if otherwise is not None and not on_this_machine(name):
        gets = "says who gives" if CARDS[name].published else "gets"
        print(f"{name} is not on this machine (`gdl-lab data fetch {name}` {gets} it); using {otherwise} instead")
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
        DataError: no mirror served the right content, or the cache cannot be written; or the set is one that its
            owners alone may hand out, and is not here.
    """
    if (published := _card(name).published) is not None:
        return published.locate(name)
    return [files.fetch(name, file) for file in _card(name).files]


def on_this_machine(name: str) -> bool:
    """Whether a set can be loaded without a download (its files are there; they are verified on loading).

    Raises:
        ValueError: unknown name.
    """
    card = _card(name)
    if card.published is not None:
        return card.published.find(name) is not None
    return all(files.find(name, file) is not None for file in card.files)


def count(name: str, split: str) -> int:
    """Number of examples in a split, after every one of them was read.

    Raises:
        ValueError: unknown name.
        DataError: files are missing or damaged.
    """
    counted = _card(name).counted
    return len(load(name, split)) if counted is None else counted(split)


def _card(name: str) -> Card:
    if name not in CARDS:
        raise ValueError(f"unknown data set {name!r}: expected one of {', '.join(CARDS)}")
    return CARDS[name]

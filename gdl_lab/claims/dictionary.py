"""The dictionary: one idea in the words of mathematics, of machine learning and of the code."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

__all__ = ["Entry", "dictionary"]


@dataclass(frozen=True)
class Entry:
    """One row.

    Attributes:
        maths, learning: the words of either side.
        symbol: as the chapters write it, in TeX.
        code: full name in Python, empty while the chapter is not written.
        shape: of the tensors.
        chapter: stem of the notebook that defines it.
    """

    maths: str
    learning: str
    symbol: str
    code: str
    shape: str
    chapter: str


@cache
def dictionary() -> tuple[Entry, ...]:
    """All entries, in the order of the chapters."""
    text = files("gdl_lab.claims").joinpath("dictionary.yml").read_text(encoding="utf-8")
    return tuple(Entry(**row) for row in yaml.safe_load(text))

"""The map of the talk: one row per section, with the place in the course where it is worked out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

__all__ = ["Section", "section", "talk_map"]


@dataclass(frozen=True)
class Section:
    """One section of the talk.

    Attributes:
        id: stable name, also the anchor in the notebook.
        title: the slide's title; in brackets where the slide has none.
        kind: ``"statement"`` (something that can be measured) or ``"framing"``.
        notebook: stem of the notebook, such as ``"01_mlp_backprop"``.
        planned: its chapter is not written yet.
    """

    id: str
    title: str
    kind: str
    notebook: str
    planned: bool = False

    @property
    def link(self) -> str:
        """Relative link from one notebook to another."""
        return f"{self.notebook}.ipynb#{self.id}"


@cache
def talk_map() -> tuple[Section, ...]:
    """All sections in the order of the talk."""
    text = files("gdl_lab.claims").joinpath("talk_map.yml").read_text(encoding="utf-8")
    return tuple(Section(**row) for row in yaml.safe_load(text))


def section(id: str) -> Section:
    """The section with an id.

    Raises:
        KeyError: there is none.
    """
    for row in talk_map():
        if row.id == id:
            return row
    raise KeyError(f"the talk has no section {id!r}")

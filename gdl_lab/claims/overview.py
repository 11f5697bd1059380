"""The map of the talk and the dictionary as a notebook shows them: Markdown, so that their links work in JupyterLab and
in the book."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdl_lab.claims.dictionary import dictionary
from gdl_lab.claims.ledger import registered
from gdl_lab.claims.talk_map import Section, talk_map

__all__ = ["Overview", "show_dictionary", "show_map"]


@dataclass(frozen=True)
class Overview:
    """A table whose cells hold Markdown."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def _repr_markdown_(self) -> str:
        lines = [self.header, (":--",) * len(self.header), *self.rows]
        return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)

    def __repr__(self) -> str:
        return "\n".join(" · ".join(row) for row in self.rows)


def show_map() -> Overview:
    """Every section of the talk, in its order, with the place where it is worked out and the number of its claims."""
    measured = [claim.talk for claim in registered()]
    rows = [(_linked(s), _chapter(s.notebook), _how_measured(s, measured.count(s.id))) for s in talk_map()]
    return Overview(("section of the talk", "chapter", "measured by"), tuple(rows))


def show_dictionary() -> Overview:
    """The maths–ML–code dictionary."""
    header = ("mathematics", "machine learning", "symbol", "in the code", "shape", "chapter")
    written = {s.notebook for s in talk_map() if not s.planned}
    rows: Sequence[tuple[str, ...]] = [
        (
            entry.maths,
            entry.learning,
            entry.symbol,
            f"`{entry.code.removeprefix('gdl_lab.')}`" if entry.code else "",
            f"`{entry.shape}`",
            f"[{_chapter(entry.chapter)}]({entry.chapter}.ipynb)"
            if entry.chapter in written
            else _chapter(entry.chapter),
        )
        for entry in dictionary()
    ]
    return Overview(header, tuple(rows))


def _linked(section: Section) -> str:
    return section.title if section.planned else f"[{section.title.strip('[]')}]({section.link})"


def _chapter(notebook: str) -> str:
    return notebook.split("_")[0]


def _how_measured(section: Section, claims: int) -> str:
    if section.planned:
        return "*not written yet*"
    if claims == 0:
        return "framing"
    return "1 claim" if claims == 1 else f"{claims} claims"

"""What the tests read from the chapters: their cells, anchors, exercises and words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jupytext

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
ANCHOR = re.compile(r"^\(([A-Za-z0-9_-]+)\)=\s*$", re.MULTILINE)
ANCHORED_HEADING = re.compile(r"^\(([A-Za-z0-9_-]+)\)=[ \t]*\n+#{1,6} ", re.MULTILINE)


@dataclass(frozen=True)
class Cell:
    """One cell: ``kind`` is ``"code"`` or ``"markdown"``."""

    kind: str
    source: str
    tags: frozenset[str]


@dataclass(frozen=True)
class Chapter:
    """A notebook as its text file has it."""

    name: str
    cells: tuple[Cell, ...]

    @property
    def number(self) -> str:
        """The prefix of its name, such as ``"01"`` or ``"A1"``."""
        return self.name.split("_")[0]

    @property
    def room(self) -> str:
        """The module of its claims and exercises, such as ``"ch01"``."""
        return f"ch{self.number}"

    @property
    def markdown(self) -> str:
        """All its text."""
        return "\n\n".join(cell.source for cell in self.cells if cell.kind == "markdown")

    def code(self, *tags: str) -> list[Cell]:
        """Its code cells that bear one of the tags; without tags, those of the lesson itself."""
        code = [cell for cell in self.cells if cell.kind == "code"]
        if tags:
            return [cell for cell in code if cell.tags & set(tags)]
        return [cell for cell in code if not cell.tags & {"exercise", "solution"}]


def parse(text: str, name: str) -> Chapter:
    """A chapter from py:percent text."""
    return from_notebook(jupytext.reads(text, fmt="py:percent"), name)


def from_notebook(notebook: jupytext.jupytext.NotebookNode, name: str) -> Chapter:
    """A chapter from a notebook in memory."""
    cells = (Cell(c.cell_type, c.source, frozenset(c.metadata.get("tags", ()))) for c in notebook.cells)
    return Chapter(name, tuple(cells))


@cache
def chapters() -> tuple[Chapter, ...]:
    """All chapters, in order."""
    paths = sorted(NOTEBOOKS.glob("*_*.py"))
    return tuple(parse(path.read_text(encoding="utf-8"), path.stem) for path in paths)

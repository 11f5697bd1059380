"""A notebook as the JSON that it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["Cell", "Notebook", "read", "source_of", "tags_of"]

Notebook = dict[str, Any]
Cell = Mapping[str, Any]


def read(notebook: Path) -> Notebook:
    """The notebook stored at a path."""
    content: Notebook = json.loads(notebook.read_text(encoding="utf-8"))
    return content


def source_of(cell: Cell) -> str:
    """What a cell says; the format allows it to be a list of lines."""
    return "".join(cell["source"])


def tags_of(cell: Cell) -> list[str]:
    """The cell's tags, such as ``parameters`` or ``hide-cell``."""
    return list(cell["metadata"].get("tags", []))

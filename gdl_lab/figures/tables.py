"""Tables that read well on a page and in a terminal."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Table", "table"]


@dataclass(frozen=True)
class Table:
    """Rows under a header, with a caption; the last expression of a cell shows it."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col" style="text-align: left;">{html.escape(h)}</th>' for h in self.header)
        body = "".join(
            "<tr>" + "".join(f'<td style="text-align: left;">{html.escape(cell)}</td>' for cell in row) + "</tr>"
            for row in self.rows
        )
        return (
            f'<table class="gdl-table"><caption style="text-align: left;">{html.escape(self.caption)}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    def __repr__(self) -> str:
        lines = [self.header, *self.rows]
        widths = [max(len(line[k]) for line in lines) for k in range(len(self.header))]
        drawn = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines]
        return "\n".join([self.caption, drawn[0], "  ".join("─" * w for w in widths), *drawn[1:]])


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], *, caption: str) -> Table:
    """A table; floats are shown with three significant digits.

    Raises:
        ValueError: a row has not as many cells as the header.
    """
    shown = tuple(tuple(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row) for row in rows)
    if any(len(row) != len(header) for row in shown):
        raise ValueError(f"every row needs {len(header)} cells: {', '.join(header)}")
    return Table(tuple(header), shown, caption)

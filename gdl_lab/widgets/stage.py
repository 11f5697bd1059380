"""What every widget stands on: one self-contained JavaScript module each, and a Python reference for its numbers.

A widget answers the reader in its own JavaScript, so that it lives in the static book, where there is no kernel. Its
module may import from `LIBRARIES`, the modules that widgets share; a page of the book can not, so `bundle` writes those
imports out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Self

import anywidget
import numpy as np
from numpy.typing import NDArray

__all__ = ["Widget", "bundle", "finite_array", "float32_bytes"]

HERE = Path(__file__).parent
LIBRARIES = ("stage", "flow", "sphere", "surfaces", "scene", "lattice")
IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(' + "|".join(LIBRARIES) + r')\.js";\n', re.MULTILINE)
COMMENT = re.compile(r"^ *(?://[^\n]*|/\*\*.*?\*/)\n", re.MULTILINE | re.DOTALL)
EXPORT = re.compile(r"^export (?=(?:const|function|class) (\w+))", re.MULTILINE)


def bundle(name: str) -> str:
    """The text of ``name.js`` as one module without imports.

    A library becomes the body of a function that returns its exports, so that its private names stay private; its
    comments stay behind.

    Raises:
        ValueError: the module imports anything else, or a name that the library does not export.
    """
    body = (HERE / f"{name}.js").read_text(encoding="utf-8")
    imported: dict[str, set[str]] = {}
    for names, library in IMPORT.findall(body):
        imported.setdefault(library, set()).update({word.strip() for word in names.split(",")} - {""})
    body = IMPORT.sub("", body)
    if stray := re.search(r"^import\b.*", body, re.MULTILINE):
        allowed = " and ".join(f'"./{library}.js"' for library in LIBRARIES)
        raise ValueError(f"{name}.js may import from {allowed} only, found: {stray[0]}")
    return "".join(_written_out(library, names, name) for library, names in imported.items()) + body


def _written_out(library: str, imported: set[str], name: str) -> str:
    text = (HERE / f"{library}.js").read_text(encoding="utf-8")
    if unknown := imported - set(EXPORT.findall(text)):
        raise ValueError(f"{name}.js imports {', '.join(sorted(unknown))}, which {library}.js does not export")
    names = ", ".join(sorted(imported))
    return f"const {{ {names} }} = (() => {{\n{EXPORT.sub('', COMMENT.sub('', text))}return {{ {names} }};\n}})();\n"


class Widget(anywidget.AnyWidget):
    """An `anywidget` whose numbers Python can compute again."""

    _css = (HERE / "stage.css").read_text(encoding="utf-8")

    def readout(self, *positional: Any, **settings: Any) -> dict[str, float]:
        """The numbers that the widget shows for the given settings, computed independently of its JavaScript."""
        raise NotImplementedError

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The widget whose traits a page has stored, for instance a page of the book; unknown names are ignored.

        Its class's own constructor is passed by: what that computes from the author's arguments is stored already.
        """
        layout = ("layout", "tabbable", "tooltip")
        known = {name for name in cls.class_trait_names(sync=True) if not name.startswith("_") and name not in layout}
        widget = cls.__new__(cls)
        Widget.__init__(widget, **{name: value for name, value in state.items() if name in known})
        return widget


def finite_array(values: Any, what: str, shape: str) -> NDArray[np.float64]:
    """``values`` as a float64 array, from an array, nested lists or a tensor.

    Raises:
        ValueError: not numbers, empty, NaN or infinite; the message names ``what`` and the expected ``shape``.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"expected {what} as numbers of shape {shape}, got {type(values).__name__}") from None
    if array.size == 0:
        raise ValueError(f"expected {what} of shape {shape}, got none")
    if not np.isfinite(array).all():
        raise ValueError(f"{what} hold NaN or infinity")
    return array


def float32_bytes(array: NDArray[np.float64]) -> bytes:
    """Little-endian float32, row by row, as the JavaScript reads it."""
    return np.ascontiguousarray(array, dtype="<f4").tobytes()

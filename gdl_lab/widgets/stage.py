"""What every widget stands on: one self-contained JavaScript module each, and a Python reference for its numbers.

A widget answers the reader in its own JavaScript, so that it lives in the static book, where there is no kernel. Its
module may import from ``stage.js``; a page of the book can not, so `bundle` writes that import out.
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
IMPORT = re.compile(r'^import \{([^}]*)\} from "\./stage\.js";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:const|function|class) (\w+))", re.MULTILINE)


def bundle(name: str) -> str:
    """The text of ``name.js`` as one module without imports.

    ``stage.js`` becomes the body of a function that returns its exports, so that its private names stay private.

    Raises:
        ValueError: the module imports anything else, or a name that ``stage.js`` does not export.
    """
    stage = (HERE / "stage.js").read_text(encoding="utf-8")
    module = (HERE / f"{name}.js").read_text(encoding="utf-8")
    imported = {word.strip() for names in IMPORT.findall(module) for word in names.split(",")} - {""}
    if unknown := imported - set(EXPORT.findall(stage)):
        raise ValueError(f"{name}.js imports {', '.join(sorted(unknown))}, which stage.js does not export")
    body = IMPORT.sub("", module)
    if stray := re.search(r"^import\b.*", body, re.MULTILINE):
        raise ValueError(f'{name}.js may import from "./stage.js" only, found: {stray[0]}')
    names = ", ".join(sorted(imported))
    return f"const {{ {names} }} = (() => {{\n{EXPORT.sub('', stage)}return {{ {names} }};\n}})();\n{body}"


class Widget(anywidget.AnyWidget):
    """An `anywidget` whose numbers Python can compute again."""

    _css = (HERE / "stage.css").read_text(encoding="utf-8")

    def readout(self, *positional: Any, **settings: Any) -> dict[str, float]:
        """The numbers that the widget shows for the given settings, computed independently of its JavaScript."""
        raise NotImplementedError

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The widget whose traits a page has stored, for instance a page of the book; unknown names are ignored."""
        widget = cls()
        own = {name: value for name, value in state.items() if name in widget.keys and not name.startswith("_")}
        with widget.hold_trait_notifications():
            for name, value in own.items():
                if name not in ("layout", "tabbable", "tooltip"):
                    setattr(widget, name, value)
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

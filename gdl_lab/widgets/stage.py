"""What every widget stands on: one self-contained JavaScript module each, and a Python reference for its numbers.

A widget answers the reader in its own JavaScript, so that it lives in the static book, where there is no kernel. Its
module may import from `LIBRARIES`, the modules that widgets share; a page of the book cannot, so `bundle` writes those
imports out.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import anywidget
import numpy as np
import traitlets
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Finite", "Widget", "bundle", "finite_array", "float32_bytes"]

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


class Finite(traitlets.Float[Any, Any]):
    """A float that is neither NaN nor infinite: JSON has no word for those, and a page no way to draw them."""

    info_text = "a finite float"

    def validate(self, obj: Any, value: Any) -> Any:
        value = super().validate(obj, value)
        if not math.isfinite(value):
            self.error(obj, value)
        return value


class Widget(anywidget.AnyWidget):
    """An `anywidget` whose numbers Python can compute again."""

    _css = (HERE / "stage.css").read_text(encoding="utf-8")

    def readout(self, **settings: Any) -> dict[str, float]:
        """The numbers that the widget shows for the given settings, computed independently of its JavaScript.

        Raises:
            ValueError: as `chosen`.
        """
        raise NotImplementedError

    def chosen(self, names: Sequence[str], settings: Mapping[str, Any], view: Sequence[str] = ()) -> list[Any]:
        """The values of the traits ``names`` under ``settings``; what is not set there is as it is at present.

        Args:
            names: traits that the numbers depend on.
            settings: name → value, as a reader might set them.
            view: traits that a page sets as well and that change no number; checked, and not returned.

        Raises:
            ValueError: a setting with another name, or a value that its trait refuses.
        """
        known = (*names, *view)
        if unknown := [name for name in settings if name not in known]:
            raise ValueError(f"unknown setting {', '.join(map(repr, unknown))}: expected some of {', '.join(known)}")
        given = {name: self._accepted(name, value) for name, value in settings.items()}
        return [given[name] if name in given else getattr(self, name) for name in names]

    def _accepted(self, name: str, value: Any) -> Any:
        """The value as the trait would hold it; NumPy's and torch's numbers and arrays become Python's."""
        plain = value.tolist() if isinstance(value, np.generic | np.ndarray | Tensor) else value
        try:
            return self.traits()[name]._validate(self, plain)
        except traitlets.TraitError as error:
            raise ValueError(f"{type(self).__name__} cannot set {name} to {reprlib.repr(value)}: {error}") from None

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
        ValueError: no real numbers, empty, NaN or infinite; the message names ``what`` and the expected ``shape``.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = (values.double() if values.is_floating_point() else values).numpy()  # numpy knows no bfloat16
    if isinstance(values, np.ndarray) and np.iscomplexobj(values):  # whose imaginary parts numpy drops
        raise ValueError(f"expected {what} as real numbers of shape {shape}, got {values.dtype}")
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

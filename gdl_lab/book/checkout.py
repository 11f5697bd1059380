"""Where the chapters are, and what the book needs to be installed."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

__all__ = ["PACKAGE", "BookError", "chapters", "find_root", "needed"]

PACKAGE = Path(__file__).resolve().parents[1]
EXTRA = 'python -m pip install -e ".[book]"'


class BookError(RuntimeError):
    """The book cannot be built; the message says why and what to do."""


def find_root() -> Path:
    """The checkout that this package belongs to, or else the one around the working directory.

    Raises:
        BookError: neither is there, as when the package was installed without its checkout.
    """
    here = Path.cwd()
    for folder in (PACKAGE.parent, here, *here.parents):
        if (folder / "book.yml").is_file() and (folder / "notebooks").is_dir():
            return folder
    raise BookError(
        "the chapters are not part of the installed package: clone the repository and run this inside it, "
        "where book.yml and notebooks/ are"
    )


def chapters(root: Path, only: Iterable[str] | None = None) -> list[Path]:
    """The chapters' notebooks in reading order, appendices last.

    Args:
        root: the checkout.
        only: beginnings of file names, such as ``["01", "A1"]``; none means all.

    Raises:
        BookError: a beginning fits no chapter, or there are none.
    """
    folder = root / "notebooks"
    found = sorted(path for path in folder.glob("*.ipynb") if re.match(r"(\d\d|A\d)_", path.name))
    if not found:
        raise BookError(
            f"no chapters in {folder}: expected NN_name.ipynb (`make notebooks` writes them from NN_name.py)"
        )
    wanted = tuple(only or ())
    if not wanted:
        return found
    for beginning in wanted:
        if not any(path.name.startswith(beginning) for path in found):
            names = ", ".join(path.stem for path in found)
            raise BookError(f"no chapter begins with {beginning!r}: there are {names}")
    return [path for path in found if path.name.startswith(wanted)]


def needed(package: str) -> ModuleType:
    """Import a package of the extra ``book``, or say how to install it."""
    try:
        return importlib.import_module(package)
    except ImportError:
        raise BookError(f"{package} is not installed: {EXTRA}") from None

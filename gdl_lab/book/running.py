"""Chapters are run from top to bottom, and not again while nothing that they depend on has changed."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from gdl_lab import runtime
from gdl_lab.book.checkout import PACKAGE, BookError, needed
from gdl_lab.book.notebook import Notebook, read, source_of, tags_of
from gdl_lab.data import CARDS
from gdl_lab.data.files import find

__all__ = ["Say", "environment", "execute", "ingredients"]

Say = Callable[[str], None]
LIBRARIES = ("anywidget", "ipykernel", "ipywidgets", "matplotlib", "numpy", "scikit-learn", "scipy", "torch")


def ingredients(notebook: Path, profile: str) -> dict[str, str]:
    """All that the outputs of a chapter depend on, by name: a cached run is good while none of it changes.

    The notebook counts by its cells, not by its outputs; the package and what is stored under ``data/`` by content;
    data sets, which may be large, by name and size. Chapter 00 also reads where the other chapters have their anchors.
    """
    root = notebook.resolve().parent.parent
    cells = [(cell["cell_type"], source_of(cell), tags_of(cell)) for cell in read(notebook)["cells"]]
    found = {
        "profile": profile,
        "cells": _sha256(json.dumps(cells).encode()),
        "python": platform.python_version(),
        "device": str(runtime.choose_device()),
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }
    if notebook.stem.startswith("00"):
        for path in sorted(notebook.resolve().parent.glob("*.py")):
            found[path.name] = _sha256(path.read_bytes())
    for path in _files(PACKAGE):
        if path.suffix in {".py", ".js", ".css", ".yml"}:
            found[f"gdl_lab/{path.relative_to(PACKAGE).as_posix()}"] = _sha256(path.read_bytes())
    for path in (*_files(root / "data" / "checkpoints"), *_files(root / "data" / "results")):
        found[path.relative_to(root).as_posix()] = _sha256(path.read_bytes())
    for name, card in CARDS.items():
        for file in card.files:
            copy = find(name, file)
            found[f"data set {name}/{file.name}"] = "absent" if copy is None else str(copy.stat().st_size)
    return found


def execute(notebook: Path, profile: str, *, say: Say = print) -> Path:
    """Run a chapter from top to bottom, or find the run that is still good.

    The outputs, with the state of the widgets, are stored in ``_build/executed/<profile>/`` of the checkout, in one
    step at the end: an interrupted run leaves nothing behind.

    Args:
        notebook: a notebook in ``notebooks/`` of the checkout.
        profile: ``"smoke"``, ``"laptop"`` or ``"full"``.
        say: receives one line per chapter.

    Returns:
        Path of the executed notebook, whose last cell says how long the run took and on what.

    Raises:
        BookError: a cell failed (the message names it), or papermill is not installed.
        ValueError: unknown profile.
    """
    if profile not in runtime.PROFILES:
        raise ValueError(f"unknown profile {profile!r}: expected one of {', '.join(runtime.PROFILES)}")
    output = notebook.resolve().parent.parent / "_build" / "executed" / profile / notebook.name
    key = _sha256(json.dumps(ingredients(notebook, profile)).encode())
    if _key_of(output) == key:
        say(f"{notebook.stem}: unchanged since its last run")
        return output

    papermill = needed("papermill")
    # The kernel inherits the profile, which the parameter alone cannot set: there, "laptop" means "not asked for".
    with environment(GDL_LAB_PROFILE=profile):
        try:
            executed: Notebook = papermill.execute_notebook(
                notebook,
                None,
                parameters={"profile": profile},
                kernel_name="python3",
                cwd=notebook.parent,
                progress_bar=False,
            )
        except papermill.PapermillExecutionError as error:
            line = next((line.strip() for line in error.source.splitlines() if line.strip()), "")
            reason = f"{error.ename}: {error.evalue}".strip().splitlines()[-1]
            raise BookError(f"{notebook.name}, cell [{error.exec_count}] {line!r}: {reason}") from None

    seconds: float = executed["metadata"]["papermill"]["duration"]
    executed["metadata"]["gdl_lab"] = {"key": key}
    executed["cells"].append(
        {"cell_type": "markdown", "id": "colophon", "metadata": {}, "source": colophon(notebook.name, seconds, profile)}
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = output.with_suffix(".part")
    unfinished.write_text(json.dumps(executed, indent=1, ensure_ascii=False), encoding="utf-8")
    os.replace(unfinished, output)
    say(f"{notebook.stem}: ran in {seconds:.0f} s")
    return output


def colophon(name: str, seconds: float, profile: str) -> str:
    """The last lines of an executed chapter: what it took, and how to run it oneself."""
    device = runtime.choose_device()
    if device.type == "cuda":
        hardware = torch.cuda.get_device_name(device)
    else:
        threads = torch.get_num_threads()
        hardware = f"{device.type.upper()}, {threads} thread{'s' if threads > 1 else ''}"
    version = torch.__version__.split("+")[0]
    return (
        f'<p class="gdl-colophon">This page ran in {max(seconds, 1):.0f} s (profile {profile}) on {hardware}, '
        f"torch {version}. To run it yourself: <code>make lab</code>, then open <code>notebooks/{name}</code>.</p>"
    )


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Variables of the environment for as long as the block runs."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _key_of(executed: Path) -> str | None:
    """The key that a stored run carries; ``None`` if there is no readable run."""
    try:
        key: str = read(executed)["metadata"]["gdl_lab"]["key"]
    except (OSError, ValueError, KeyError):
        return None
    return key


def _files(folder: Path) -> list[Path]:
    """All files below a folder, in a fixed order; none if it does not exist."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

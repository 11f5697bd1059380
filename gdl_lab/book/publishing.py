"""The whole way from notebooks to pages."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from gdl_lab.book.checkout import BookError, chapters, find_root, needed
from gdl_lab.book.layout import Row, assemble
from gdl_lab.book.running import Say, execute
from gdl_lab.book.scripts import javascript, put_in_place

__all__ = ["build"]


def build(
    profile: str = "laptop",
    rows: Sequence[Row] = (),
    only: Iterable[str] | None = None,
    *,
    root: Path | None = None,
    say: Say = print,
) -> Path:
    """Build the book; the one before it stays in place until the new one is complete.

    Args:
        profile: how much the chapters compute.
        rows: the ledger of claims, see `assemble`.
        only: build these chapters alone, see `chapters`.
        root: the checkout; found if not given.
        say: receives lines of progress.

    Returns:
        The front page, ``_build/html/index.html``, or below ``_build/html-smoke`` for the profile ``"smoke"``.

    Raises:
        BookError: something is missing, a chapter failed, or Sphinx warned of something.
    """
    root = root or find_root()
    notebooks = chapters(root, only)
    for package in ("sphinx", "myst_nb", "papermill"):
        needed(package)
    javascript(root)
    executed = [execute(notebook, profile, say=say) for notebook in notebooks]
    source = assemble(executed, rows, profile, root=root)

    target = root / "_build" / ("html-smoke" if profile == "smoke" else "html")
    fresh = target.with_name(target.name + ".part")
    shutil.rmtree(fresh, ignore_errors=True)
    say("laying out the pages")
    # -E reads every page anew: Sphinx repeats no warning for a page that it read before, and a second try would pass.
    options = ["-b", "html", "-W", "--keep-going", "-E", "-q", "--no-color"]
    folders = ["-c", str(root / "book"), "-d", str(root / "_build" / "doctrees" / profile), str(source), str(fresh)]
    result = subprocess.run([sys.executable, "-m", "sphinx", *options, *folders], capture_output=True, encoding="utf-8")
    if result.returncode:
        raise BookError(f"Sphinx found fault with the pages:\n{(result.stderr or result.stdout).strip()}")
    put_in_place(fresh, target)
    return target / "index.html"

"""The JavaScript that the pages carry along, so that widgets and formulas need no network."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

from gdl_lab.book.checkout import BookError, find_root

__all__ = ["javascript", "put_in_place"]

# A file or folder of the pages' scripts → where npm puts it.
SCRIPTS = {
    "require.js": "requirejs/require.js",
    "embed-amd.js": "@jupyter-widgets/html-manager/dist/embed-amd.js",
    "embed-amd.LICENSE.txt": "@jupyter-widgets/html-manager/dist/embed.js.LICENSE.txt",
    "mathjax/LICENSE": "mathjax/LICENSE",
    "mathjax/tex-mml-chtml.js": "mathjax/es5/tex-mml-chtml.js",
    "mathjax/input/tex/extensions": "mathjax/es5/input/tex/extensions",
    "mathjax/output/chtml/fonts": "mathjax/es5/output/chtml/fonts",
}
ICON_FONTS = "@jupyter-widgets/html-manager/dist"
# RequireJS otherwise looks for `anywidget` and for the icon fonts beside the page instead of beside itself.
REQUIRE_PATHS = 'window.requirejs.config({ baseUrl: new URL(".", document.currentScript.src).href });\n'


def javascript(root: Path | None = None) -> Path:
    """Collect the scripts that the pages carry along, as ``book/package-lock.json`` pins them.

    Returns:
        The folder, ``_build/static/vendor``; it is made anew when the lock file or the installed anywidget has changed.

    Raises:
        BookError: npm is missing or failed.
    """
    root = root or find_root()
    vendor = root / "_build" / "static" / "vendor"
    # anywidget's front end comes from the installed package, so that both halves are of one version.
    anywidget = Path(str(files("anywidget"))) / "nbextension" / "index.js"
    lock = root / "book" / "package-lock.json"
    recipe = json.dumps([SCRIPTS, REQUIRE_PATHS]).encode()
    key = hashlib.sha256(lock.read_bytes() + anywidget.read_bytes() + recipe).hexdigest()
    stamp = vendor / "key.txt"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == key:
        return vendor

    modules = _npm_ci(root)
    fresh = vendor.with_name("vendor.part")
    shutil.rmtree(fresh, ignore_errors=True)
    for target, origin in SCRIPTS.items():
        (fresh / target).parent.mkdir(parents=True, exist_ok=True)
        if (modules / origin).is_dir():
            shutil.copytree(modules / origin, fresh / target)
        else:
            shutil.copyfile(modules / origin, fresh / target)
    (fresh / ICON_FONTS).mkdir(parents=True)
    for font in (modules / ICON_FONTS).iterdir():
        if font.suffix in {".woff", ".woff2", ".ttf"}:
            shutil.copyfile(font, fresh / ICON_FONTS / font.name)
    shutil.copyfile(anywidget, fresh / "anywidget.js")
    (fresh / "require-paths.js").write_text(REQUIRE_PATHS, encoding="utf-8")
    (fresh / "key.txt").write_text(key, encoding="utf-8")
    put_in_place(fresh, vendor)
    return vendor


def _npm_ci(root: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise BookError(
            "the book needs Node.js with npm, for the scripts that show widgets and formulas without a network: "
            "install Node 18 or later and try again; everything but the book works without it"
        )
    workshop = root / "_build" / "npm"
    workshop.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(root / "book" / name, workshop / name)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    result = subprocess.run(command, cwd=workshop, capture_output=True, encoding="utf-8")
    if result.returncode:
        raise BookError(f"npm could not install what book/package-lock.json lists:\n{result.stderr.strip()}")
    return workshop / "node_modules"


def put_in_place(fresh: Path, target: Path) -> None:
    """Put a complete folder in the place of an older one."""
    shutil.rmtree(target, ignore_errors=True)
    os.replace(fresh, target)

"""A book of two small chapters that uses everything a chapter may use, to try the book's machinery on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

FIRST = "01_first_steps"
SECOND = "A1_second_look"

Cell = dict[str, Any]


def markdown(source: str) -> Cell:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def code(source: str, *tags: str) -> Cell:
    return {
        "cell_type": "code",
        "metadata": {"tags": list(tags)},
        "source": source,
        "outputs": [],
        "execution_count": None,
    }


def write_notebook(path: Path, *cells: Cell) -> Path:
    """Store cells as a notebook without outputs."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    numbered = [{**cell, "id": f"cell-{number}"} for number, cell in enumerate(cells)]
    notebook = {"cells": numbered, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


FIRST_CELLS = (
    markdown("# First steps\n\nA chapter about the logarithm, quoting {cite:p}`napier1614`."),
    code('profile = "laptop"', "parameters"),
    code("from gdl_lab import runtime\n\nrun = runtime.start(profile)"),
    markdown(
        "(the-formula)=\n## The formula\n\nWe look at\n\n"
        "$$\\log xy = \\log x + \\log y, \\qquad x, y > 0$$ (eq-log)\n\n"
        "and see that {eq}`eq-log` is a homomorphism, for $x \\in \\mathbb{R}_{>0}$ and so\n\n"
        "\\begin{align}\n\\log 1 &= 0 \\\\ \\log x^{-1} &= -\\log x.\n\\end{align}\n\n"
        "```{prf:theorem} Napier\n:label: thm-napier\nThe logarithm is an isomorphism "
        "$(\\mathbb{R}_{>0}, \\cdot) \\to (\\mathbb{R}, +)$.\n```\n\n"
        "```{prf:definition} Decade\n:label: def-decade\nA factor of ten.\n```\n\n"
        "More in [the second look](A1_second_look.ipynb#Where-it-ends), in [its table](A1_second_look.ipynb#the-table) "
        "and some day in [a third](07_symmetry.ipynb#nowhere)."
    ),
    code(
        "from gdl_lab import figures\n\n"
        "def draw(figure, theme):\n    axes = figure.subplots()\n    axes.plot([1, 2, 3], [1, 4, 9])\n\n"
        'figures.picture(draw, caption="A parabola through three points.", alt="Three points: 1, 4 and 9.")'
    ),
    markdown(
        "```{exercise} ●○○ Two minutes\n:label: ex-log\nCompute $\\log_2 1024$.\n```\n\n"
        ":::{admonition} Hint\n:class: dropdown\nDouble ten times.\n:::"
    ),
    code("import math\n\nanswer = math.log2(1024)  # the solution\nanswer", "solution", "hide-cell"),
    code(
        "import sys\n\nfrom IPython.display import Markdown, display\n\n"
        'print("progress 100 %", file=sys.stderr)\n'
        'display(Markdown("The [second look](A1_second_look.ipynb#the-table) has $x^2$, and {eq}`eq-log` holds."))'
    ),
    code(
        "from IPython.display import HTML\n\n"
        'HTML(\'<div class="gdl-claim gdl-claim-holds" style="border-left: 4px solid #1a7f37">'
        '✓ The logarithm is additive. <strong>0</strong> <a href="A1_second_look.ipynb#the-table">more</a></div>\')'
    ),
)

SECOND_CELLS = (
    markdown("# A second look\n\nAn appendix with a widget."),
    code('profile = "laptop"', "parameters"),
    code(
        "import anywidget\nimport traitlets\n\n"
        "class Square(anywidget.AnyWidget):\n"
        '    """Shows n²."""\n\n'
        '    _esm = """\n'
        "    export default { render({ model, el }) {\n"
        '      const root = document.createElement("div");\n'
        '      root.className = "gdl-widget"; root.dataset.widget = "square";\n'
        '      root.innerHTML = \'<label>n <input type="range" max="9" value="3"></label> <output></output>\';\n'
        "      const show = () => {\n"
        '        const n = Number(root.querySelector("input").value);\n'
        "        root.dataset.readout = JSON.stringify({ square: n * n });\n"
        '        root.querySelector("output").textContent = n * n;\n'
        "      };\n"
        '      root.querySelector("input").addEventListener("input", show); show(); el.append(root);\n'
        '    } };\n    """\n'
        "    n = traitlets.Int(3).tag(sync=True)\n\nSquare()"
    ),
    markdown("(the-table)=\n## Where it ends\n\nBack to [the formula](01_first_steps.ipynb#the-formula). Isomorphism."),
    code('from gdl_lab import figures\n\nfigures.table(["n", "n²"], [[2, 4], [3, 9]], caption="Squares.")'),
)

REFERENCES = """@book{napier1614,
  author = {Napier, John}, title = {Mirifici logarithmorum canonis descriptio}, publisher = {Hart}, year = {1614}
}
"""

ROW = {
    "id": "log.additive",
    "talk": "neural-networks",
    "statement": "The norm |x| of a | product.",
    "value": 2.2e-16,
    "bound": "≤ 1e-12",
    "holds": True,
    "seconds": 0.1,
    "profile": "smoke",
}


def write_checkout(root: Path, checkout: Path) -> Path:
    """A checkout with the two chapters, the book's settings and pages, and its scripts if they are collected."""
    write_notebook(root / "notebooks" / f"{FIRST}.ipynb", *FIRST_CELLS)
    write_notebook(root / "notebooks" / f"{SECOND}.ipynb", *SECOND_CELLS)
    (root / "notebooks" / "references.bib").write_text(REFERENCES)
    shutil.copy(checkout / "book.yml", root)
    shutil.copytree(checkout / "book", root / "book", ignore=shutil.ignore_patterns("node_modules"))
    if (checkout / "_build" / "static").is_dir():
        shutil.copytree(checkout / "_build" / "static", root / "_build" / "static")
    return root

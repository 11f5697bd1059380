"""Notebooks: text and .ipynb are one, without outputs, and keep to the shape of a chapter."""

from __future__ import annotations

import ast
import re
from typing import Any

import nbformat
import pytest

from tests.chapters import NOTEBOOKS, Cell, Chapter, chapters, from_notebook, parse

each_chapter = pytest.mark.parametrize("one", chapters(), ids=lambda one: one.name)
DOTS = ("●○○", "●●○", "●●●")


def twin(name: str) -> Any:
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


# Pairs


def residue(notebook: Any) -> list[str]:
    """What running a notebook has left in it."""
    found = ["widgets"] if "widgets" in notebook.metadata else []
    for k, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            found += [f"cell {k}: {what}" for what in ("outputs", "execution_count") if cell.get(what)]
        found += [f"cell {k}: {key}" for key in cell.metadata if key in ("execution", "papermill", "ExecuteTime")]
    return found


def test_no_notebook_is_without_its_twin() -> None:
    texts, notebooks = ({path.stem for path in NOTEBOOKS.glob(f"*.{kind}")} for kind in ("py", "ipynb"))
    assert texts == notebooks
    assert texts == {one.name for one in chapters()}
    assert texts


@each_chapter
def test_text_and_notebook_say_the_same(one: Chapter) -> None:
    other = from_notebook(twin(one.name), one.name)
    assert len(one.cells) == len(other.cells)
    for ours, theirs in zip(one.cells, other.cells, strict=True):
        assert ours == theirs, "write the .ipynb from the .py: make notebooks"


@each_chapter
def test_the_notebook_bears_no_trace_of_a_run(one: Chapter) -> None:
    notebook = twin(one.name)
    nbformat.validate(notebook)
    assert residue(notebook) == []
    assert notebook.metadata.kernelspec.name == "python3"


# The shape of a chapter


def code_lines(cell: Cell) -> int:
    """Lines of a cell that are neither empty nor comment."""
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in cell.source.splitlines())


def words(one: Chapter) -> int:
    """Words that are read: displayed formulas, fences, labels and addresses left out."""
    text = re.sub(
        r"^\$\$.*?^\$\$( \([\w-]+\))?$|\{cite[^`]*`[^`]*`|\]\([^)]*\)|^\([\w-]+\)=$|^:[^\n]*$",
        " ",
        one.markdown,
        flags=re.M | re.S,
    )
    text = re.sub(r"\$[^$]+\$", " x ", text)  # a formula in a line reads as one word
    return len(re.findall(r"\w[\w'’-]*", text))


def shape(one: Chapter) -> list[str]:
    """Where a chapter leaves the shape that all chapters have."""
    found = []
    code, lesson = [cell for cell in one.cells if cell.kind == "code"], one.code()
    if code[0].source.strip() != 'profile = "laptop"' or code[0].tags != {"parameters"}:
        found.append("the first code cell is profile, tagged parameters")
    if sum("parameters" in cell.tags for cell in code) != 1:
        found.append("one cell is tagged parameters")
    if not re.search(r"^run = runtime\.start\(profile(, .*)?\)$", code[1].source, re.M):
        found.append("the second code cell starts the run")
    if not one.cells[0].source.startswith("# ") or len(re.findall(r"^# ", one.markdown, re.M)) != 1:
        found.append("one title, in the first cell")
    if not 10 <= len(lesson) <= 25 and one.number != "00":
        found.append(f"{len(lesson)} code cells")
    if (total := sum(map(code_lines, lesson))) > 200:
        found.append(f"{total} code lines")
    found += [f"a cell of {n} lines" for cell in code if (n := len(cell.source.splitlines())) > 30]
    if (read := words(one)) > 2500:
        found.append(f"{read} words")
    return found


@each_chapter
def test_a_chapter_has_the_shape_of_a_chapter(one: Chapter) -> None:
    assert shape(one) == []


@each_chapter
def test_every_code_cell_is_python_and_later_cells_import_nothing(one: Chapter) -> None:
    for k, cell in enumerate(cell for cell in one.cells if cell.kind == "code"):
        tree = ast.parse(cell.source)
        for node in ast.walk(tree):
            assert k == 1 or not isinstance(node, ast.Import | ast.ImportFrom), f"{ast.unparse(node)} belongs to cell 2"


def introductions(one: Chapter) -> list[str]:
    """For each exercise cell, the text right above it."""
    return [
        before.source
        for before, cell in zip(one.cells, one.cells[1:], strict=False)
        if cell.kind == "code" and "exercise" in cell.tags
    ]


def unrated(one: Chapter) -> list[str]:
    """Exercises that do not say how hard they are and how long they take."""
    return [
        text.splitlines()[0] if text else ""
        for text in introductions(one)
        if not (any(dots in text for dots in DOTS) and re.search(r"\b\d+ min(utes?)?\b", text) and "{exercise}" in text)
    ]


@each_chapter
def test_every_exercise_says_how_hard_it_is_and_how_long_it_takes(one: Chapter) -> None:
    assert unrated(one) == []
    labels = re.findall(r"\{exercise\}[^\n]*\n(?:# )?:label: (\S+)", one.markdown)
    assert len(labels) == len(set(labels)) == len(introductions(one))


@each_chapter
def test_every_exercise_has_a_ladder_of_hints(one: Chapter) -> None:
    for text in introductions(one):
        assert "Hint 1" in text


def test_labels_are_unique_over_the_whole_book() -> None:
    text = "\n".join(one.markdown for one in chapters())
    labels = re.findall(r"^:label: (\S+)$|^\(([\w-]+)\)=$|^\$\$ \(([\w-]+)\)$", text, re.M)
    names = ["".join(match) for match in labels]
    assert len(names) == len(set(names)), sorted(name for name in set(names) if names.count(name) > 1)


# Negative controls


GOOD = """# %% [markdown]
# # Title

# %% tags=["parameters"]
profile = "laptop"

# %%
from gdl_lab import runtime

run = runtime.start(profile)
"""


def test_the_shape_of_a_chapter_can_be_missed() -> None:
    def complaints(text: str) -> list[str]:
        return shape(parse(text, "01_x"))

    filler = "".join(f"\n# %%\nx = {k}\n" for k in range(10))
    assert complaints(GOOD + filler) == []
    assert complaints(GOOD) == ["2 code cells"]
    assert complaints(GOOD.replace("laptop", "full") + filler) == ["the first code cell is profile, tagged parameters"]
    assert complaints(GOOD.replace("run = ", "") + filler) == ["the second code cell starts the run"]
    assert complaints(GOOD.replace("# # T", "# ## T") + filler) == ["one title, in the first cell"]
    assert complaints(GOOD + filler * 3) == ["32 code cells"]
    assert complaints(GOOD + filler + "\n# %%\n" + "y = 1\n" * 31) == ["a cell of 31 lines"]
    assert complaints(GOOD + filler + ("\n# %%\n" + "y = 1\n" * 29) * 7) == ["216 code lines"]
    assert complaints(GOOD + filler + "\n# %% [markdown]\n# " + "word " * 2500 + "\n") == ["2501 words"]


def test_words_are_those_that_are_read() -> None:
    text = (
        "(here)=\nOne $x+y$ three {cite}`a2020` [four](a.ipynb#b).\n\n$$\na+b\n$$ (eq-x)\n\n"
        ":::{note}\n:class: x\nFive\n:::\n\nand six.\n"
    )
    assert words(Chapter("01_x", (Cell("markdown", text, frozenset()),))) == 7


def test_traces_and_unrated_exercises_are_noticed() -> None:
    cell = nbformat.v4.new_code_cell("1", execution_count=3, outputs=[nbformat.v4.new_output("stream", text="1")])
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {}})
    assert residue(notebook) == ["widgets", "cell 0: outputs", "cell 0: execution_count"]
    body = '\n\n# %% tags=["exercise"]\n...\n'
    rated = "# %% [markdown]\n# :::{exercise} A\n# **●○○ · 3 minutes**\n# :::"
    assert unrated(parse(rated + body, "01_x")) == []
    assert unrated(parse(rated.replace("●○○", "") + body, "01_x")) == [":::{exercise} A"]
    assert unrated(parse(rated.replace("3 minutes", "soon") + body, "01_x")) == [":::{exercise} A"]

"""What Sphinx reads: executed chapters, the pages of ``book/``, the ledger of claims and the contents."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from gdl_lab.book.checkout import find_root
from gdl_lab.book.notebook import Notebook, read, source_of, tags_of
from gdl_lab.claims.talk_map import talk_map

__all__ = ["Row", "anchor", "assemble"]

Row = Mapping[str, Any]
FOLD = {"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
PAGES = ("ledger", "notes_on_the_talk", "references")
LINK = re.compile(r"\[(?P<words>[^\[\]]*)\]\((?P<name>(?:\d\d|A\d)_\w+)\.ipynb(?:#[^)\s]*)?\)")


def assemble(executed: Sequence[Path], rows: Sequence[Row], profile: str, *, root: Path | None = None) -> Path:
    """Lay out what Sphinx reads: the executed chapters, the pages of ``book/``, the ledger of claims and the contents.

    Args:
        executed: chapters as `execute` returned them, in reading order.
        rows: the ledger, one mapping per claim with keys ``id``, ``talk``, ``statement``, ``value``, ``bound``,
            ``holds``, ``seconds`` and ``profile``. ``holds`` is ``None`` for a claim that needs a larger profile,
            ``value`` also for one that is not finite.
        profile: names the folder.
        root: the checkout; found if not given.

    Returns:
        The source folder, ``_build/source/<profile>``.
    """
    root = root or find_root()
    source = root / "_build" / "source" / profile
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    present = {path.stem for path in executed}
    planned = present | {path.stem for path in (root / "notebooks").glob("*.ipynb")}

    titles = []
    for path in executed:
        notebook = _for_pages(read(path), present, planned)
        titles.append(f"- [{_title(notebook, path.stem)}]({path.name})")
        (source / path.name).write_text(json.dumps(notebook, ensure_ascii=False), encoding="utf-8")

    fill = {"<!-- chapters -->": "\n".join(titles), "<!-- claims -->": _ledger(rows)}
    for page in sorted((root / "book").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for mark, content in fill.items():
            text = text.replace(mark, content)
        (source / page.name).write_text(_links(text, present, planned), encoding="utf-8")

    contents = yaml.safe_dump(_contents([path.stem for path in executed]), sort_keys=False)
    (source / "_toc.yml").write_text(contents, encoding="utf-8")
    return source


def anchor(title: str) -> str:
    """The anchor that JupyterLab gives to a heading; Sphinx calls this, so that one link works in both."""
    return title.strip().replace(" ", "-")


def _for_pages(notebook: Notebook, present: set[str], planned: set[str]) -> Notebook:
    """A chapter as the book shows it: no cell of papermill's, no progress bars, solutions folded, live links."""
    notebook["cells"] = [cell for cell in notebook["cells"] if "injected-parameters" not in tags_of(cell)]
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = _links(source_of(cell), present, planned)
        if "solution" in tags_of(cell):
            cell["metadata"]["mystnb"] = FOLD
        if "outputs" in cell:
            cell["outputs"] = [output for output in cell["outputs"] if not _is_progress(output)]
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/markdown" in data:
                data["text/markdown"] = _links("".join(data["text/markdown"]), present, planned)
            if "text/html" in data:
                data["text/html"] = re.sub(r'(href="[\w.-]+)\.ipynb(["#])', r"\1.html\2", "".join(data["text/html"]))
    return notebook


def _is_progress(output: Mapping[str, Any]) -> bool:
    """Whether an output is a progress bar of tqdm, which tells a later reader nothing."""
    return re.search(r"\d+%\|", "".join(output.get("data", {}).get("text/plain", ""))) is not None


def _links(text: str, present: set[str], planned: set[str]) -> str:
    """Links to chapters that this book does not hold become plain text; "coming" is said of those not written yet."""

    def plain(link: re.Match[str]) -> str:
        words, name = link["words"], link["name"]
        if name in present:
            return link[0]
        return words if name in planned else f"{words} *(coming)*"

    return LINK.sub(plain, text)


def _title(notebook: Notebook, otherwise: str) -> str:
    sources = (source_of(cell) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    heading = next(filter(None, (re.search(r"^# +(.+)$", source, re.MULTILINE) for source in sources)), None)
    return heading[1].strip() if heading else otherwise


def _contents(names: Sequence[str]) -> dict[str, Any]:
    """The table of contents as sphinx-external-toc reads it."""
    main = [{"file": name} for name in names if name[0].isdigit()]
    appendices = [{"file": name} for name in names if not name[0].isdigit()]
    parts = [
        {"caption": "Chapters", "chapters": main},
        {"caption": "Appendices", "chapters": appendices},
        {"caption": "The talk and its numbers", "chapters": [{"file": page} for page in PAGES]},
    ]
    return {"format": "jb-book", "root": "index", "parts": [part for part in parts if part["chapters"]]}


def _ledger(rows: Sequence[Row]) -> str:
    """One table for each section of the talk that has claims, in the order of the talk."""
    judged = [row for row in rows if row["holds"] is not None and row["bound"] != "reported"]
    if not judged:
        return "No claims were measured for this build; `gdl-lab claims` measures them."
    held = sum(row["holds"] for row in judged)
    seconds = max(sum(row["seconds"] for row in rows), 1)
    lines = [
        f"{held} of {len(judged)} claims hold; measuring them took {seconds:.0f} s (profile {rows[0]['profile']}). "
        "A number without an expectation is reported as it is."
    ]
    for section in talk_map():
        members = [row for row in rows if row["talk"] == section.id]
        if members:
            lines += ["", f"## {section.title.strip('[]')}", "", f"[Where it is worked out]({section.link})", ""]
            lines += [":::{table}", ":class: gdl-ledger", ""]
            lines += ["| Statement | Measured | Expected | Outcome |", "| :-- | :-- | :-- | :-- |"]
            lines += [*map(_row, members), ":::"]
    return "\n".join(lines)


def _row(row: Row) -> str:
    value, holds, bound = row["value"], row["holds"], row["bound"]
    number = "—" if holds is None else "not finite" if value is None else f"{value:.3g}".replace("-", "−")
    outcome = {True: "✓ holds", False: "✗ fails", None: "needs a larger profile"}[holds]
    if bound == "reported":
        bound, outcome = "", "reported" if holds else outcome
    cells = (f"{row['statement']} `{row['id']}`", number, bound, outcome)
    return "| " + " | ".join(" ".join(cell.split()).replace("|", r"\|") for cell in cells) + " |"

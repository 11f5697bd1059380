"""The book: the checkout it is made from, what Sphinx is given to read, and the scripts of its pages."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from gdl_lab import book
from gdl_lab.book import checkout, scripts
from gdl_lab.claims.talk_map import talk_map

from .browser.stand_in import ROW, code, markdown, write_checkout, write_notebook

ROOT = Path(__file__).resolve().parents[1]


# The checkout


def test_root_is_found_from_inside_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert book.find_root() == ROOT
    monkeypatch.setattr(checkout, "PACKAGE", tmp_path / "elsewhere" / "gdl_lab")
    monkeypatch.chdir(ROOT / "notebooks")
    assert book.find_root() == ROOT
    monkeypatch.chdir(tmp_path)
    with pytest.raises(book.BookError, match="clone the repository"):
        book.find_root()


def test_chapters_stand_in_reading_order(tmp_path: Path) -> None:
    names = ["A1_width", "02_cnn", "00_start", "10_lattice"]
    for name in (*names, "scratch"):
        write_notebook(tmp_path / "notebooks" / f"{name}.ipynb")
    found = [path.stem for path in book.chapters(tmp_path)]
    assert found == ["00_start", "02_cnn", "10_lattice", "A1_width"]
    assert book.chapters(tmp_path, []) == book.chapters(tmp_path)
    assert [path.stem for path in book.chapters(tmp_path, ["A1", "02"])] == ["02_cnn", "A1_width"]
    with pytest.raises(book.BookError, match=r"no chapter begins with '07': there are 00_start, "):
        book.chapters(tmp_path, ["00", "07"])
    (tmp_path / "empty" / "notebooks").mkdir(parents=True)
    with pytest.raises(book.BookError, match="no chapters in"):
        book.chapters(tmp_path / "empty")


# Laying out


def executed_notebook(course: Path, name: str, *cells: dict[str, Any]) -> Path:
    return write_notebook(course / "_build" / "executed" / "smoke" / f"{name}.ipynb", *cells)


@pytest.fixture
def laid_out(tmp_path: Path) -> Path:
    """The source of a book with two of three chapters."""
    for page in ("index", "ledger", "notes_on_the_talk", "references"):
        (tmp_path / "book").mkdir(exist_ok=True)
        (tmp_path / "book" / f"{page}.md").write_text(f"# {page}\n\n<!-- chapters -->\n\n<!-- claims -->\n")
    write_notebook(tmp_path / "notebooks" / "02_left_out.ipynb")
    links = "[one](01_one.ipynb#a), [two](02_left_out.ipynb), [three](03_not_yet.ipynb#b), [else](other.ipynb)"
    html = {
        "text/html": '<a href="A1_last.ipynb#c">c</a> <a href="https://a.b/c.ipynb">d</a>',
        "text/markdown": [links],
    }
    bar = {"text/plain": "training:   0%|          | 0/1500 [00:00<?, ?it/s]", "text/html": "…"}
    shown = [{"output_type": "display_data", "metadata": {}, "data": data} for data in (bar, html)]
    output = {**code("show()"), "outputs": shown}
    solution = code("42", "solution", "hide-cell")
    first = (markdown(f"# Number one\n{links}"), code("1", "injected-parameters"), output, solution)
    chapters = [
        executed_notebook(tmp_path, "01_one", *first),
        executed_notebook(tmp_path, "A1_last", markdown("No heading")),
    ]
    return book.assemble(chapters, [ROW], "smoke", root=tmp_path)


def test_links_lead_only_to_pages_that_are_there(laid_out: Path) -> None:
    text, output, solution = json.loads((laid_out / "01_one.ipynb").read_text())["cells"]
    expected = "[one](01_one.ipynb#a), two, three *(coming)*, [else](other.ipynb)"
    assert text["source"].endswith(expected)
    assert len(output["outputs"]) == 1, "the progress bar is still there"
    assert output["outputs"][0]["data"]["text/markdown"] == expected
    assert solution["metadata"]["mystnb"]["code_prompt_show"] == "Show the solution"
    html = output["outputs"][0]["data"]["text/html"]
    assert html == '<a href="A1_last.html#c">c</a> <a href="https://a.b/c.ipynb">d</a>'


def test_the_notes_link_to_sections_of_the_talk() -> None:
    """Also those to chapters that are not written yet, which Sphinx cannot check."""
    links = re.findall(r"\]\(([^)]*\.ipynb[^)]*)\)", (ROOT / "book" / "notes_on_the_talk.md").read_text())
    assert len(links) >= 9
    assert set(links) <= {section.link for section in talk_map()}


def test_contents_and_front_page_list_the_chapters(laid_out: Path) -> None:
    contents = yaml.safe_load((laid_out / "_toc.yml").read_text())
    files = {part["caption"]: [chapter["file"] for chapter in part["chapters"]] for part in contents["parts"]}
    assert files["Chapters"] == ["01_one"]
    assert files["Appendices"] == ["A1_last"]
    assert "ledger" in files["The talk and its numbers"]
    assert "- [Number one](01_one.ipynb)\n- [A1_last](A1_last.ipynb)" in (laid_out / "index.md").read_text()


def test_the_ledger_shows_every_row(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "ledger.md").write_text("<!-- claims -->")
    rows = [
        ROW,
        {**ROW, "id": "b", "holds": False, "value": None},
        {**ROW, "id": "c", "holds": None, "value": None},
        {**ROW, "id": "d", "talk": "gauge-networks", "value": -3, "bound": "reported"},
    ]
    text = (book.assemble([], rows, "smoke", root=tmp_path) / "ledger.md").read_text()
    assert text.startswith("1 of 2 claims hold")
    assert r"| The norm \|x\| of a \| product. `log.additive` | 2.2e−16 | ≤ 1e-12 | ✓ holds |" in text
    assert "`b` | not finite | ≤ 1e-12 | ✗ fails |" in text
    assert "`c` | — | ≤ 1e-12 | needs a larger profile |" in text
    assert (
        text.index("## Neural networks")
        < text.index("## Gauge networks and fiber bundles")
        < text.index("`d` | −3 |  | reported |")
    )
    empty = (book.assemble([], [], "smoke", root=tmp_path) / "ledger.md").read_text()
    assert "gdl-lab claims" in empty


def test_anchors_are_jupyterlabs() -> None:
    assert book.anchor("Where it ends: γ⁻¹ = JJᵀ") == "Where-it-ends:-γ⁻¹-=-JJᵀ"


@pytest.mark.slow
def test_a_dead_link_stops_the_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_checkout(tmp_path, ROOT)
    monkeypatch.setattr("gdl_lab.book.publishing.javascript", lambda root: root)
    (root / "_build" / "static").mkdir(parents=True, exist_ok=True)
    before = root / "_build" / "html-smoke" / "index.html"
    before.parent.mkdir()
    before.write_text("the book before")
    write_notebook(root / "notebooks" / "A1_second_look.ipynb", markdown("# Two\n\n[gone](01_first_steps.ipynb#gone)"))
    monkeypatch.setattr("gdl_lab.book.publishing.execute", lambda notebook, profile, say: notebook)
    for _ in range(2):  # Sphinx must not pass at the second try because it has read the page before
        with pytest.raises(book.BookError, match="local id not found in doc '01_first_steps': 'gone'"):
            book.build("smoke", root=root)
    assert before.read_text() == "the book before"


# Scripts


def test_the_lock_file_holds_no_addresses() -> None:
    text = (ROOT / "book" / "package-lock.json").read_text()
    assert "://" not in text
    packages = json.loads(text)["packages"]
    own = packages.pop("")
    assert own["dependencies"] == json.loads((ROOT / "book" / "package.json").read_text())["dependencies"]
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert not any("resolved" in entry for entry in packages.values())


def test_without_npm_one_sentence_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "book", tmp_path / "book", ignore=shutil.ignore_patterns("node_modules"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(book.BookError, match=r"needs Node\.js with npm.*everything but the book works without it"):
        book.javascript(tmp_path)


def test_scripts_are_collected_again_only_when_the_lock_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "book").mkdir()
    lock = tmp_path / "book" / "package-lock.json"
    lock.write_text("{}")
    modules = tmp_path / "node_modules"
    for origin in (*scripts.SCRIPTS.values(), f"{scripts.ICON_FONTS}/icons.woff2", f"{scripts.ICON_FONTS}/icons.svg"):
        (modules / origin).parent.mkdir(parents=True, exist_ok=True)
        (modules / origin).write_text(origin)
    calls: list[Path] = []

    def npm_ci(root: Path) -> Path:
        calls.append(root)
        return modules

    monkeypatch.setattr(scripts, "_npm_ci", npm_ci)
    vendor = book.javascript(tmp_path)
    assert (vendor / "require.js").read_text() == "requirejs/require.js"
    assert "anywidget" in (vendor / "anywidget.js").read_text()
    assert [font.name for font in (vendor / scripts.ICON_FONTS).iterdir()] == ["icons.woff2"]
    book.javascript(tmp_path)
    assert len(calls) == 1
    lock.write_text("{ }")
    book.javascript(tmp_path)
    assert len(calls) == 2

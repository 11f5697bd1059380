"""The book's machinery: what makes a chapter run again, what an error says, and what Sphinx is given to read."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from gdl_lab import book
from gdl_lab.book import checkout, running, scripts
from gdl_lab.claims.talk_map import talk_map

from .browser.stand_in import ROW, code, markdown, write_checkout, write_notebook

ROOT = Path(__file__).resolve().parents[1]
PARAMETERS = code('profile = "laptop"', "parameters")


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one small chapter, a package and data of its own, on a machine without data sets."""
    package = tmp_path / "gdl_lab"
    (package / "widgets").mkdir(parents=True)
    (package / "training.py").write_text("steps = 1")
    (package / "widgets" / "square.js").write_text("export default {}")
    (package / "notes.txt").write_text("not code")
    monkeypatch.setattr(running, "PACKAGE", package)
    monkeypatch.setenv("GDL_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GDL_LAB_DATA", str(tmp_path / "data sets"))
    for name in ("data/checkpoints/flow.safetensors", "data/results/sweep.csv", "data sets/mnist/images"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("12")
    write_notebook(tmp_path / "notebooks" / "01_sum.ipynb", markdown("# A sum"), PARAMETERS, code("1 + 1"))
    return tmp_path


def edit_notebook(notebook: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(notebook.read_text())
    change(content)
    notebook.write_text(json.dumps(content))


# --- the checkout


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


# --- what makes a chapter run again


@pytest.mark.parametrize(
    "name",
    [
        "gdl_lab/training.py",
        "gdl_lab/widgets/square.js",
        "gdl_lab/widgets/new.css",
        "gdl_lab/claims/talk_map.yml",
        "data/checkpoints/flow.safetensors",
        "data/results/sweep.csv",
        "data sets/mnist/train-images-idx3-ubyte.gz",
        "cache/mnist/t10k-labels-idx1-ubyte",
    ],
)
def test_a_change_makes_it_run_again(course: Path, name: str) -> None:
    notebook = course / "notebooks" / "01_sum.ipynb"
    before = book.ingredients(notebook, "smoke")
    (course / name).parent.mkdir(parents=True, exist_ok=True)
    (course / name).write_text("123")
    after = book.ingredients(notebook, "smoke")
    changed = {key for key in before | after if before.get(key) != after.get(key)}
    assert len(changed) == 1, changed


def test_a_change_of_the_notebook_makes_it_run_again(course: Path) -> None:
    notebook = course / "notebooks" / "01_sum.ipynb"

    def differs(change: Callable[[dict[str, Any]], None]) -> bool:
        before = book.ingredients(notebook, "smoke")
        edit_notebook(notebook, change)
        return book.ingredients(notebook, "smoke") != before

    assert differs(lambda content: content["cells"][2].update(source="1 + 2"))
    assert differs(lambda content: content["cells"][2]["metadata"].update(tags=["hide-cell"]))
    assert differs(lambda content: content["cells"].reverse())
    # Saving the notebook with outputs, or with its source as lines, changes nothing.
    assert not differs(lambda content: content["cells"][0].update(outputs=[{"output_type": "stream"}]))
    assert not differs(lambda content: content["cells"][0].update(source=["1 ", "+ 2"]))


def test_what_does_not_matter_does_not_make_it_run_again(course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = course / "notebooks" / "01_sum.ipynb"
    before = book.ingredients(notebook, "smoke")
    (course / "gdl_lab" / "notes.txt").write_text("still not code")
    (course / "README.md").write_text("words")
    (course / "gdl_lab" / "training.py").touch()
    assert book.ingredients(notebook, "smoke") == before
    assert book.ingredients(notebook, "laptop") != before
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"another {name}")
    assert book.ingredients(notebook, "smoke")["torch"] != before["torch"]


# --- running


@pytest.mark.slow
def test_execute_runs_once_and_keeps_the_widgets(course: Path) -> None:
    widget = "import anywidget\nwidget = anywidget.AnyWidget()\nwidget"
    show = "import os\n(profile, os.environ['GDL_LAB_PROFILE'], os.getcwd())"
    notebook = write_notebook(
        course / "notebooks" / "02_two.ipynb", markdown("# Two"), PARAMETERS, code(widget), code(show)
    )
    said: list[str] = []
    output = book.execute(notebook, "smoke", say=said.append)

    executed = json.loads(output.read_text())
    assert output == course / "_build" / "executed" / "smoke" / "02_two.ipynb"
    assert executed["metadata"]["widgets"], "the state of the widget is not stored"
    shown = ast.literal_eval(executed["cells"][-2]["outputs"][0]["data"]["text/plain"])
    assert shown == ("smoke", "smoke", str(course / "notebooks"))
    colophon = executed["cells"][-1]["source"]
    assert "(profile smoke)" in colophon
    assert "notebooks/02_two.ipynb" in colophon
    assert "GDL_LAB_PROFILE" not in os.environ or os.environ["GDL_LAB_PROFILE"] == "smoke"

    stamp = output.stat().st_mtime_ns
    assert book.execute(notebook, "smoke", say=said.append).stat().st_mtime_ns == stamp
    (course / "gdl_lab" / "training.py").write_text("steps = 2")
    assert book.execute(notebook, "smoke", say=said.append).stat().st_mtime_ns > stamp
    assert [line.split(": ")[1].split(" ")[0] for line in said] == ["ran", "unchanged", "ran"]


@pytest.mark.slow
def test_a_failing_cell_is_named(course: Path) -> None:
    broken = write_notebook(
        course / "notebooks" / "03_broken.ipynb", PARAMETERS, code("x = 0"), code("\n1 / x\n"), code("'never'")
    )
    with pytest.raises(book.BookError) as caught:
        book.execute(broken, "smoke", say=print)
    message = str(caught.value)
    assert message == "03_broken.ipynb, cell [4] '1 / x': ZeroDivisionError: division by zero"
    assert not (course / "_build").exists()


def test_an_unknown_profile_is_refused(course: Path) -> None:
    with pytest.raises(ValueError, match="expected one of smoke, laptop, full"):
        book.execute(course / "notebooks" / "01_sum.ipynb", "huge")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGINT to send to another process")
def test_an_interrupted_run_leaves_nothing(course: Path) -> None:
    endless = "from pathlib import Path\nimport time\nPath('started').touch()\ntime.sleep(60)"
    notebook = write_notebook(course / "notebooks" / "04_endless.ipynb", PARAMETERS, code(endless))
    script = f"from pathlib import Path\nfrom gdl_lab import book\nbook.execute(Path({str(notebook)!r}), 'smoke')"
    # A group of its own, as Ctrl-C in a terminal reaches the kernel too. A shell's background jobs ignore it.
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not (course / "notebooks" / "started").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert not list((course / "_build").rglob("*.ipynb*"))


def test_a_damaged_run_is_not_taken_for_one(course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = course / "notebooks" / "01_sum.ipynb"
    runs: list[Path] = []

    def run(path: Path, *_: Any, **__: Any) -> dict[str, Any]:
        runs.append(path)
        return {**json.loads(path.read_text()), "metadata": {"papermill": {"duration": 1.0}}}

    monkeypatch.setattr("papermill.execute_notebook", run)
    output = book.execute(notebook, "smoke")
    book.execute(notebook, "smoke")
    assert len(runs) == 1
    output.write_text(output.read_text()[:-20])
    book.execute(notebook, "smoke")
    assert len(runs) == 2


# --- laying out


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


# --- scripts


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


# --- chapters run offline


@pytest.mark.slow
@pytest.mark.parametrize(
    "reach",
    [
        "import urllib.request\nurllib.request.urlopen('http://example.invalid')",
        "import socket\nsocket.socket().connect(('192.0.2.1', 80))",
        "import socket\nsocket.create_connection(('192.0.2.1', 80))",
    ],
)
def test_a_chapter_that_reaches_for_the_network_fails(
    course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reach: str
) -> None:
    offline = shutil.copytree(ROOT / "tests" / "offline", tmp_path / "ipython")
    monkeypatch.setenv("IPYTHONDIR", str(offline))
    notebook = write_notebook(course / "notebooks" / "05_online.ipynb", PARAMETERS, code(reach))
    with pytest.raises(book.BookError, match=r"this notebook tried to reach .*; chapters run offline"):
        book.execute(notebook, "smoke")


@pytest.mark.slow
def test_loopback_stays_open_and_the_guard_is_ours(
    course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline = shutil.copytree(ROOT / "tests" / "offline", tmp_path / "ipython")
    monkeypatch.setenv("IPYTHONDIR", str(offline))
    home = (
        "assert 'socket' not in globals()  # the guard leaves no name behind\n"
        "import socket, socketserver, threading\n"
        "server = socketserver.TCPServer(('127.0.0.1', 0), socketserver.StreamRequestHandler)\n"
        "threading.Thread(target=server.handle_request).start()\n"
        "socket.create_connection(('localhost', server.server_address[1]), timeout=5).close()\n"
        "server.server_close()"
    )
    book.execute(write_notebook(course / "notebooks" / "06_home.ipynb", PARAMETERS, code(home)), "smoke")

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "none"))
    away = code("import socket\nsocket.getaddrinfo('example.invalid', 80)")
    with pytest.raises(book.BookError) as caught:
        book.execute(write_notebook(course / "notebooks" / "07_away.ipynb", PARAMETERS, away), "smoke")
    assert "chapters run offline" not in str(caught.value)

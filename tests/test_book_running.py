"""Running a chapter for the book: what makes it run again, what an error says, and that it runs offline."""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gdl_lab import book
from gdl_lab.book import running

from .browser.stand_in import code, markdown, write_notebook

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


# What makes a chapter run again


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


# Running


@pytest.mark.slow
def test_execute_runs_once_and_keeps_the_widgets(course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDL_LAB_PROFILE", "laptop")
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
    assert os.environ["GDL_LAB_PROFILE"] == "laptop", "the profile of the chapter outlives its run"

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


# Chapters run offline


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

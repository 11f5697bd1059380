"""The widgets in a live JupyterLab: the same driver as elsewhere, and what Python sees of the reader's moves."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from gdl_lab.widgets import LinearRegions

from . import driver
from .cases import WIDGETS
from .conftest import OpenPage

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NAMES = {
    "LinearRegions": ("regions", "linear-regions"),
    "KernelEditor": ("editor", "kernel-editor"),
    "DimensionEstimate": ("estimate", "dimension-estimate"),
    "FlowLayers": ("layers", "flow-layers"),
    "DigitWalk": ("walk", "digit-walk"),
    "CounterfactualExplorer": ("counterfactual", "counterfactual-explorer"),
    "MetricExplorer": ("explorer", "metric-explorer"),
    "TurnedFeatures": ("turned", "turned-features"),
    "GaugeSlider": ("gauge", "gauge-slider"),
    "HolonomyLoop": ("loop", "holonomy-loop"),
    "Globe": ("globe", "globe"),
    "KernelConstraint": ("constraint", "kernel-constraint"),
    "ScrambledLattice": ("lattice", "scrambled-lattice"),
    "SweepFigure": ("figure", "sweep-figure"),
}
CELLS = [
    "from tests.browser.cases import WIDGETS",
    *(f'{v} = WIDGETS["{name}"]()\n{v}' for name, (v, _) in NAMES.items()),
]
DOUBLE = [0, 0, 0, 0, 2, 0, 0, 0, 0]
READ_BACK = f"""import json
readouts = [widget.readout() for widget in ({", ".join(variable for variable, _ in NAMES.values())})]
print("PYTHON", json.dumps([readouts, regions.weights, editor.kernel]))
regions.weights = regions.start
editor.kernel = {DOUBLE}"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a JupyterLab that serves one scratch notebook, with settings and history of its own."""
    folder = tmp_path_factory.mktemp("lab")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "scratch.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, token = f"http://127.0.0.1:{port}", "scratch"
    private = {f"JUPYTER_{kind}_DIR": str(folder / kind.lower()) for kind in ("CONFIG", "RUNTIME")}
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"),
            *(f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}", "--ServerApp.port_retries=0"),
            *("--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"),
        ],
        cwd=folder,
        env={**os.environ, **private, "IPYTHONDIR": str(folder / "ipython"), "PYTHONPATH": python_path},
        stdout=(log := (folder / "log.txt").open("w")),
        stderr=subprocess.STDOUT,
    )
    try:
        for _ in range(240):
            if server.poll() is not None:
                break
            try:
                urllib.request.urlopen(f"{address}/api?token={token}", timeout=5).close()
                yield f"{address}/lab/tree/scratch.ipynb?token={token}&reset"
                return
            except OSError:
                time.sleep(0.5)
        pytest.fail("JupyterLab did not start: " + (folder / "log.txt").read_text()[-2000:])
    finally:
        server.terminate()
        server.wait(timeout=30)
        log.close()


def test_widgets_in_jupyterlab(lab: str, page: OpenPage) -> None:
    from playwright.sync_api import TimeoutError  # the `page` fixture has seen to it that this is installed

    watched = page(viewport=(1400, 1300))
    browser = watched.page
    browser.goto(lab)
    browser.locator('.jp-NotebookPanel [data-status="idle"]').first.wait_for(state="attached", timeout=90_000)
    roots = {name: browser.locator(f'{driver.WIDGET}[data-widget="{kind}"]') for name, (_, kind) in NAMES.items()}
    # The page may say "idle" shortly before its connection to the kernel stands; what is run then is lost.
    for attempt in range(3):
        browser.wait_for_timeout(3_000)
        browser.get_by_role("menuitem", name="Run", exact=True).first.click()
        browser.get_by_text("Run All Cells", exact=True).first.click()
        try:
            roots["SweepFigure"].wait_for(timeout=60_000)
            break
        except TimeoutError:
            assert attempt < 2, "no widget appeared"
    harmless = re.compile("strict mode: use allowUnionTypes|Failed to load resource")
    watched.errors[:] = [error for error in watched.errors if not harmless.search(error)]

    models = {name: WIDGETS[name]() for name in NAMES}
    for name, root in roots.items():
        root.scroll_into_view_if_needed()
        driver.drive(watched, root, models[name].readout)
        times = driver.move_times(root)
        print(name, {slider: f"{ms:.1f} ms" for slider, ms in times.items()})
        assert max(times.values()) < 300
    roots["LinearRegions"].get_by_role("button", name="reset").click()
    driver.put(roots["LinearRegions"], "log_eta", "-1")
    roots["LinearRegions"].get_by_role("button", name="10 steps").click()
    shown = {name: driver.numbers(root) for name, root in roots.items()}
    reader = {name: driver.settings(root) for name, root in roots.items()}

    # Python reads what the reader has done, and the reader sees what Python sets.
    browser.locator(".jp-Notebook .jp-CodeCell .cm-content").last.click()
    browser.keyboard.press("Escape")
    browser.keyboard.press("b")
    browser.keyboard.press("Enter")
    browser.keyboard.insert_text(READ_BACK)
    browser.keyboard.press("Shift+Enter")
    printed = browser.locator(".jp-OutputArea-output pre", has_text="PYTHON").last
    printed.wait_for(timeout=30_000)
    readouts, weights, kernel = json.loads((printed.text_content() or "").removeprefix("PYTHON"))
    for name, readout in zip(NAMES, readouts, strict=True):
        driver.agree(shown[name], readout)
    assert weights == reader["LinearRegions"]["weights"]
    assert kernel == reader["KernelEditor"]["kernel"]

    seen = (
        """([root, name, value]) => JSON.stringify(JSON.parse(root.dataset.settings)[name]) === JSON.stringify(value)"""
    )
    for name, trait, value in (("LinearRegions", "weights", LinearRegions().start), ("KernelEditor", "kernel", DOUBLE)):
        browser.wait_for_function(seen, arg=[roots[name].element_handle(), trait, value])
    for name, root in roots.items():
        driver.agree(driver.numbers(root), models[name].readout(**driver.settings(root)))
    assert not watched.errors
    assert not watched.outside
    if where := os.environ.get("GDL_LAB_SCREENSHOTS"):
        for name, root in roots.items():
            root.screenshot(path=Path(where) / f"lab_{name}.png")

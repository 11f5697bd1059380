"""What the tests share: the root, fresh seeds that are printed, a folder nobody may write to, the command."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from gdl_lab import cli, runtime
from tests.command_line import Gdl, Outcome

ROOT = Path(__file__).resolve().parents[1]

os.environ["GDL_LAB_PROFILE"] = "smoke"

# The tensors of the tests are small: a second thread waits more than it works.
torch.set_num_threads(1)
settings.register_profile("gdl_lab", deadline=None, max_examples=25)
settings.load_profile("gdl_lab")


@pytest.fixture
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture
def seed() -> int:
    """A fresh seed, shown when the test fails; ``GDL_LAB_SEED`` repeats one."""
    value = runtime.fresh_seed()
    print(f"GDL_LAB_SEED={value}")
    return value


@pytest.fixture
def rng(seed: int) -> torch.Generator:
    """A generator with a fresh, printed seed."""
    return torch.Generator().manual_seed(seed)


@pytest.fixture(autouse=True)
def _no_run(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test begins as a fresh process does: no run started, the generator seeded."""
    monkeypatch.setattr(runtime, "_started", None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder in which this process can read but not write; for root, who can write anywhere, by becoming nobody."""
    if os.name != "posix":
        pytest.skip("permissions of folders are tested on POSIX systems")
    folder = Path(tempfile.mkdtemp(prefix="read-only-"))
    (folder / "old").write_text("old")
    folder.chmod(0o555)
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield folder
    finally:
        os.seteuid(was)
        folder.chmod(0o755)
        shutil.rmtree(folder)


@pytest.fixture
def plain_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """As wide as a table may get, and without colours, whatever runs the tests; what a verb sets is undone."""
    for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("COLUMNS", "400"), ("TERMINAL_WIDTH", "400"), ("NO_COLOR", "1"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GDL_LAB_PROFILE", "smoke")
    monkeypatch.setenv("GDL_LAB_DEVICE", "cpu")
    monkeypatch.setattr(cli.console, "width", 400)


@pytest.fixture
def gdl(plain_screen: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Gdl:
    """``gdl("claims", "--json")`` runs the command in this process, through the door a shell uses."""

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["gdl-lab", *arguments])
        capfd.readouterr()
        try:
            cli.main()
            code: Any = 0
        except SystemExit as stop:
            code = stop.code or 0
        except Exception:  # as the interpreter ends a process
            traceback.print_exc()
            code = 1
        said = capfd.readouterr()
        return Outcome(code, said.out, said.err)

    return run

"""The command `gdl-lab`: its help, its errors, and the verbs that start another program."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gdl_lab import __version__, book
from tests.command_line import Gdl, Outcome, one_sentence, verbs

OPTIONS = {
    "": ["--version", "--debug", "--help"],
    "open": ["--chapter"],
    "test": ["--fast", "--part"],
    "book": ["--profile", "-p", "--only"],
    "claims": ["--json", "--profile", "-p", "[ids]..."],
    "train": ["[name]", "--profile", "-p", "--folder"],
    "sweep": ["[name]", "--jobs", "--backend", "--folder", "--anew"],
    "bench": ["[names]..."],
    "data list": [],
    "data fetch": ["name"],
    "data check": [],
}


@dataclass
class Calls:
    """What a command would have started, in order; ``codes`` are the answers, 0 after the last."""

    started: list[list[str]]
    settings: list[dict[str, Any]]
    codes: list[int]

    def __call__(self, command: list[str], **settings: Any) -> subprocess.CompletedProcess[str]:
        self.started.append(command)
        self.settings.append(settings)
        return subprocess.CompletedProcess(command, self.codes.pop(0) if self.codes else 0)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """No process is started; what would have been is written down."""
    noted = Calls([], [], [])
    monkeypatch.setattr(subprocess, "run", noted)
    return noted


# Help and version


@pytest.mark.parametrize("verb", OPTIONS)
def test_help_names_every_option(gdl: Gdl, verb: str) -> None:
    shown = gdl(*verb.split(), "--help")
    assert shown.code == 0
    assert shown.err == ""
    words = shown.out.split()
    assert [option for option in OPTIONS[verb] if option not in words] == []


def test_every_verb_option_and_argument_says_what_it_is() -> None:
    assert {*verbs(), ""} == set(OPTIONS)
    for name, command in verbs().items():
        assert command.help, name
        for parameter in command.params:
            assert parameter.help, f"{name} {parameter.name}"


def test_help_of_the_whole_tells_verbs_environment_and_exit_codes(gdl: Gdl) -> None:
    shown = gdl("--help").out
    for word in (*{name.split()[0] for name in verbs()}, "GDL_LAB_PROFILE", "GDL_LAB_DEVICE", "GDL_LAB_DATA"):
        assert word in shown
    for word in ("GDL_LAB_CACHE", "CHROMIUM", "Exit codes: 0", "1 a test or a claim failed"):
        assert word in shown


def test_the_version_is_the_package_s(gdl: Gdl, root: Path) -> None:
    assert gdl("--version") == Outcome(0, f"{__version__}\n", "")
    assert f'\nversion = "{__version__}"\n' in (root / "pyproject.toml").read_text(encoding="utf-8")


def test_without_a_verb_the_command_shows_its_help(gdl: Gdl) -> None:
    shown = gdl()
    assert "Usage:" in shown.out + shown.err
    assert "Measure the statements of the talk" in shown.out + shown.err


# Errors


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("claims", "nonsense"), r"no claim is called nonsense"),
        (("claims", "--profile", "lunch"), r"unknown profile 'lunch': expected one of smoke, laptop, full"),
        (("book", "-p", "lunch"), r"unknown profile 'lunch'"),
        (("open", "--chapter", "77"), r"no chapter begins with '77': there are 00_start_here, "),
        (("test", "--part", "lunch"), r"unknown part lunch: expected units, notebooks, pages"),
        (("data", "fetch", "lunch"), r"unknown data set 'lunch': expected one of digits8, mnist, "),
        (("sweep", "lunch"), r"unknown sweep 'lunch': expected one of .*\bsphere-segmentation\b"),
        (("bench", "lunch"), r"no benchmark called lunch: expected .*\bwidgets\b"),
    ],
)
def test_what_does_not_exist_is_said_in_one_sentence(
    gdl: Gdl, calls: Calls, arguments: tuple[str, ...], expected: str
) -> None:
    outcome = gdl(*arguments)
    assert one_sentence(outcome), outcome
    assert re.search(expected, outcome.err)
    assert calls.started == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("lunch",), "No such command 'lunch'"),
        (("data", "lunch"), "No such command 'lunch'"),
        (("claims", "--lunch"), "No such option: --lunch"),
        (("--lunch",), "No such option: --lunch"),
        (("data", "fetch"), "Missing argument"),
        (("claims", "--profile"), "requires an argument"),
    ],
)
def test_a_mistyped_line_is_explained(gdl: Gdl, arguments: tuple[str, ...], said: str) -> None:
    outcome = gdl(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err
    assert "Traceback" not in outcome.err


def raising(reason: Exception) -> Callable[..., Any]:
    """A function that raises."""

    def raises(*_: object, **__: object) -> None:
        raise reason

    return raises


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (ZeroDivisionError("division by zero"), "gdl-lab: division by zero (--debug shows where)"),
        (ZeroDivisionError(), "gdl-lab: ZeroDivisionError (--debug shows where)"),
        (book.BookError("no such page"), "gdl-lab: no such page"),
        (book.BookError("Sphinx found fault:\n  a\n  b"), "gdl-lab: Sphinx found fault: (--debug shows where)"),
        (ValueError("expected 2, got 3"), "gdl-lab: expected 2, got 3"),
    ],
)
def test_an_error_is_one_sentence_that_says_how_to_see_more(
    gdl: Gdl, reason: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "find_root", raising(reason))
    outcome = gdl("bench")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.splitlines()[-1] == said
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("arguments", [("--debug", "bench"), ("bench", "--debug")])
def test_debug_shows_where_an_error_arose(
    gdl: Gdl, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "find_root", raising(ZeroDivisionError("division by zero")))
    outcome = gdl(*arguments)
    assert "Traceback" in outcome.err
    assert "in raises" in outcome.err
    assert "ZeroDivisionError: division by zero" in outcome.err
    assert outcome.code != 0


def test_debug_does_not_change_the_exit_code(gdl: Gdl) -> None:
    assert gdl("claims", "nonsense").code == 2
    assert gdl("--debug", "claims", "nonsense").code == 2


# gdl-lab open


@pytest.fixture(params=[0, 1000, None], ids=["root", "user", "windows"])
def user(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int | None:
    """Who runs the command; ``None`` where the system knows no such number."""
    if request.param is None:
        monkeypatch.delattr(os, "geteuid", raising=False)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: request.param, raising=False)
    return request.param


def test_open_starts_jupyterlab_on_the_first_chapter(gdl: Gdl, calls: Calls, root: Path, user: int | None) -> None:
    opened = gdl("open", "--no-browser", "--port", "8899", "--ServerApp.token=x")
    ((program, *started), settings) = calls.started[0], calls.settings[0]
    notebook = Path("notebooks", "00_start_here.ipynb")
    assert program == sys.executable
    assert started[:5] == ["-m", "jupyter", "lab", f"--ServerApp.root_dir={root}", str(notebook)]
    allowed = ["--allow-root"] if user == 0 else []
    assert started[5:] == ["--no-browser", "--port", "8899", "--ServerApp.token=x", *allowed]
    assert settings["cwd"] == root
    assert (settings["cwd"] / notebook).is_file()
    assert ("You are root" in opened.out) == (user == 0)
    assert opened.code == 0


@pytest.mark.usefixtures("user")
def test_what_root_has_allowed_is_not_allowed_twice(gdl: Gdl, calls: Calls) -> None:
    gdl("open", "--allow-root")
    assert calls.started[0].count("--allow-root") == 1


def test_open_finds_a_chapter_and_returns_what_jupyterlab_returned(gdl: Gdl, calls: Calls) -> None:
    calls.codes = [3]
    assert gdl("open", "--chapter", "02", "--no-browser").code == 3
    assert str(Path("notebooks", "02_cnn.ipynb")) in calls.started[0]
    assert "--no-browser" in calls.started[0]
    assert "--chapter" not in calls.started[0]


@pytest.mark.parametrize("beginning", ["0", ""])
def test_a_beginning_of_several_chapters_is_explained(gdl: Gdl, calls: Calls, beginning: str) -> None:
    outcome = gdl("open", "--chapter", beginning)
    assert calls.started == []
    assert one_sentence(outcome)
    assert "01_mlp_backprop" in outcome.err


def test_an_option_of_jupyterlab_is_not_kept_back(gdl: Gdl, calls: Calls) -> None:
    gdl("open", "--debug")
    assert "--debug" in calls.started[0]


# gdl-lab test


def test_all_parts_run_in_smoke_and_offline(
    gdl: Gdl, calls: Calls, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDL_LAB_PROFILE", "full")
    monkeypatch.setenv("SOMETHING_ELSE", "kept")
    outcome = gdl("test")
    assert outcome.code == 0
    assert [command[:3] for command in calls.started] == [[sys.executable, "-m", "pytest"]] * 3
    units, notebooks, pages = (command[3:] for command in calls.started)
    assert units[:2] == ["tests", "--ignore=tests/browser"]
    assert "loadfile" in units  # a notebook's cells need one kernel
    assert "loadfile" in notebooks
    assert {"--nbval-lax", "notebooks"} <= set(notebooks)
    assert pages[0] == "tests/browser"
    for settings in calls.settings:
        assert settings["cwd"] == root
        assert settings["env"]["GDL_LAB_PROFILE"] == "smoke"
        assert settings["env"]["SOMETHING_ELSE"] == "kept"
        guard = Path(settings["env"]["IPYTHONDIR"], "profile_default", "startup", "00-offline.py")
        assert "refuse_others" in guard.read_text(encoding="utf-8")
    assert all((root / folder).is_dir() for folder in ("tests/browser", "notebooks"))
    assert [line.split()[:2] for line in outcome.out.splitlines()[-3:]] == [
        ["✓", "units"], ["✓", "notebooks"], ["✓", "pages"]
    ]  # fmt: skip


def test_fast_leaves_out_what_is_slow(gdl: Gdl, calls: Calls) -> None:
    gdl("test", "--fast")
    (command,) = calls.started
    assert command[3:5] == ["tests", "--ignore=tests/browser"]
    assert command[-2:] == ["-m", "not slow"]
    assert "leave --part out" in gdl("test", "--fast", "--part", "pages").err


def test_parts_can_be_chosen(gdl: Gdl, calls: Calls) -> None:
    gdl("test", "--part", "pages", "--part", "units")
    assert ["tests/browser" in command for command in calls.started] == [True, False]


@pytest.mark.parametrize(
    ("codes", "code", "marks"), [([0, 0, 0], 0, "✓✓✓"), ([0, 1, 0], 1, "✓✗✓"), ([2, 0, 5], 1, "✗✓✗")]
)
def test_one_part_that_fails_fails_the_whole_and_the_others_still_run(
    gdl: Gdl, calls: Calls, codes: list[int], code: int, marks: str
) -> None:
    calls.codes = list(codes)
    outcome = gdl("test")
    assert outcome.code == code
    assert len(calls.started) == 3
    assert "".join(line[0] for line in outcome.out.splitlines()[-3:]) == marks


def test_a_part_that_was_killed_fails_the_whole(gdl: Gdl, calls: Calls) -> None:
    calls.codes = [0, -9, 0]
    assert gdl("test").code == 1


# gdl-lab bench


def test_bench_runs_the_scripts_it_is_asked_for(gdl: Gdl, calls: Calls, root: Path) -> None:
    scripts = sorted((root / "benchmarks").glob("*.py"))
    assert gdl("bench").code == 0
    assert [re.findall(r"(\w+)(?:\.py)?$", command[-1]) for command in calls.started] == [[one.stem] for one in scripts]
    calls.started.clear()
    gdl("bench", "widgets")
    (command,) = calls.started
    assert "widgets" in command[-1]
    assert calls.settings[-1]["cwd"] == root


def test_a_benchmark_that_fails_is_told_by_the_exit_code(gdl: Gdl, calls: Calls) -> None:
    calls.codes = [1]
    assert gdl("bench", "widgets").code == 1

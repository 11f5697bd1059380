"""The command `gdl-lab` and the Makefile: what they run, what they print where, and with which code they end."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import typer

from gdl_lab import __version__, book, claims, cli, runtime
from gdl_lab.claims import at_most, claim, ledger, reported
from gdl_lab.data import CARDS
from gdl_lab.data.files import RemoteFile
from gdl_lab.recipes import sweeps

ROOT = Path(__file__).resolve().parents[1]
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
KEYS = ["id", "talk", "statement", "value", "bound", "holds", "seconds", "profile"]


@dataclass(frozen=True)
class Outcome:
    """How the command ended."""

    code: int
    out: str
    err: str


Gdl = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def _plain_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """As wide as a table may get, and without colours, whatever runs the tests; what a verb sets is undone."""
    for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("COLUMNS", "400"), ("TERMINAL_WIDTH", "400"), ("NO_COLOR", "1"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GDL_LAB_PROFILE", "smoke")
    monkeypatch.setenv("GDL_LAB_DEVICE", "cpu")


@pytest.fixture
def gdl(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Gdl:
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


@pytest.fixture
def small_ledger(monkeypatch: pytest.MonkeyPatch) -> dict[str, ledger.Claim]:
    """A ledger of four claims: two that hold, one that is only reported, one that needs the profile laptop."""
    monkeypatch.setattr(ledger, "_claims", {})

    @claim("first.holds", talk="neural-networks", bound=at_most(1))
    def holds() -> float:
        """The gradient ∇E is ‖small‖."""
        print("holds: fresh seed 7")
        return 0.25

    @claim("first.infinite", talk="neural-networks", bound=reported())
    def infinite() -> float:
        """It has no end."""
        return math.inf

    @claim("second.large", talk="deep-learning", bound=at_most(1), needs="laptop")
    def large() -> float:
        """It takes long."""
        return 0.5

    @claim("second.holds", talk="deep-learning", bound=at_most(1))
    def again() -> float:
        """It holds too."""
        return 1.0

    return {entered.id: entered for entered in claims.registered()}


def enter_failing() -> None:
    """One more claim, which does not hold."""

    @claim("third.fails", talk="deep-learning", bound=at_most(1))
    def fails() -> float:
        """Two is at most one."""
        return 2.0


def one_sentence(outcome: Outcome) -> bool:
    """Whether a command gave up with one line of its own on stderr, nothing on stdout, and the code for it."""
    lines = outcome.err.splitlines()
    return outcome.code == 2 and outcome.out == "" and len(lines) == 1 and lines[0].startswith("gdl-lab: ")


# Help and version


@pytest.mark.parametrize("verb", OPTIONS)
def test_help_names_every_option(gdl: Gdl, verb: str) -> None:
    shown = gdl(*verb.split(), "--help")
    assert shown.code == 0
    assert shown.err == ""
    words = shown.out.split()
    assert [option for option in OPTIONS[verb] if option not in words] == []


def verbs() -> dict[str, Any]:
    """Every verb of the command, those below `data` with both words."""
    found: dict[str, Any] = {}
    top: Any = typer.main.get_command(cli.app)
    for name, command in top.commands.items():
        below = getattr(command, "commands", None)
        found |= {f"{name} {part}": one for part, one in below.items()} if below else {name: command}
    return found


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


@pytest.mark.slow
def test_a_shell_gets_the_same() -> None:
    """The entry point of the package in a process of its own, on the real ledger."""
    code = "from gdl_lab.cli import main; main()"

    def shell(*arguments: str) -> subprocess.CompletedProcess[str]:
        command, environment = [sys.executable, "-c", code, *arguments], {**os.environ, "PYTHONUTF8": "1"}
        return subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, check=False)

    measured = shell("claims", "cnn.is_a_correlation", "mlp.negative_values", "--json")
    assert measured.returncode == 0, measured.stderr
    rows = json.loads(measured.stdout)
    assert [row["id"] for row in rows] == ["mlp.negative_values", "cnn.is_a_correlation"]
    assert [list(row) for row in rows] == [KEYS, KEYS]
    assert "mlp.negative_values: seed" in measured.stderr
    unknown = shell("claims", "nonsense.")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr.startswith("gdl-lab: no claim is called nonsense.")
    assert "Traceback" not in unknown.stderr


# Sweeps


@pytest.fixture
def small_sweep(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A sweep of three points in the place of the course's, and the points that were measured."""
    measured: list[int] = []

    def square(k: int, seed: int = 0) -> dict[str, float]:
        measured.append(k)
        if k == 3 and len(measured) == 3:
            raise KeyboardInterrupt
        return {"square": math.sqrt(-1) if k < 0 else k * k}

    def sweep_of(name: str, *ks: int) -> sweeps.Sweep:
        return sweeps.Sweep(name=name, title=f"{name} of k.", function=square, points=[{"k": k} for k in ks])

    monkeypatch.setattr(sweeps, "SWEEPS", {"small": sweep_of("small", 1, 2, 3), "bad": sweep_of("bad", 1, -1)})
    return measured


def test_a_sweep_is_interrupted_listed_and_goes_on(gdl: Gdl, small_sweep: list[int], tmp_path: Path) -> None:
    place = ("--folder", str(tmp_path))
    stopped = gdl("sweep", "small", *place)
    assert stopped.code == 130
    assert stopped.err.strip().endswith("gdl-lab: interrupted; the same line goes on with what is missing")
    listed = gdl("sweep", *place)
    (line,) = (line for line in listed.out.splitlines() if "small of k." in line)
    assert re.findall(r"\d+", line) == ["3", "2"]
    done = gdl("sweep", "small", *place)
    assert (done.code, done.out) == (0, f"{tmp_path / 'small.csv'}: all 3 points are measured\n")
    assert small_sweep == [1, 2, 3, 3]


def test_a_damaged_file_of_results_does_not_hide_the_other_sweeps(
    gdl: Gdl, small_sweep: list[int], tmp_path: Path
) -> None:
    (tmp_path / "bad.csv").write_text("not,results\n1,2\n")
    listed = gdl("sweep", "--folder", str(tmp_path))
    assert listed.code == 0
    assert "small of k." in listed.out
    assert "damaged" in next(line for line in listed.out.splitlines() if "bad of k." in line)


def test_a_sweep_says_what_failed_and_redoes_what_is_old(gdl: Gdl, small_sweep: list[int], tmp_path: Path) -> None:
    place = ("--folder", str(tmp_path))
    failed = gdl("sweep", "bad", *place)
    assert failed.code == 2
    assert failed.err.strip().splitlines()[-1].startswith("gdl-lab: 1 of 2 points failed")
    assert "k=-1, seed=0: ValueError" in failed.err
    file = tmp_path / "bad.csv"
    file.write_text(re.sub(r"\w{12}$", "0" * 12, file.read_text().strip()) + "\n")
    small_sweep.clear()
    with pytest.warns(UserWarning, match="other code"):
        gdl("sweep", "bad", *place)
    gdl("sweep", "bad", *place, "--anew")
    assert small_sweep == [-1, 1, -1]


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


def enter_raising(reason: Exception) -> None:
    @claim("third.raises", talk="deep-learning", bound=reported())
    def raises() -> float:
        """It cannot be measured."""
        raise reason


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


# claims


@pytest.mark.usefixtures("small_ledger")
def test_json_is_all_that_stands_on_stdout(gdl: Gdl) -> None:
    measured = gdl("claims", "--json")
    rows = json.loads(measured.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert measured.code == 0
    assert [list(row) for row in rows] == [KEYS] * 4
    assert [row["id"] for row in rows] == ["first.holds", "first.infinite", "second.large", "second.holds"]
    first = rows[0]
    assert (first["talk"], first["statement"]) == ("neural-networks", "The gradient ∇E is ‖small‖.")
    assert (first["value"], first["bound"], first["holds"], first["profile"]) == (0.25, "≤ 1", True, "smoke")
    assert first["seconds"] >= 0
    assert (rows[1]["value"], rows[1]["holds"]) == (None, True)
    assert "holds: fresh seed 7" in measured.err
    assert "profile smoke" in measured.err


@pytest.mark.usefixtures("small_ledger")
def test_what_needs_a_larger_profile_neither_holds_nor_fails(gdl: Gdl) -> None:
    (row,) = json.loads(gdl("claims", "second.large", "--json").out)
    assert (row["value"], row["holds"], row["profile"]) == (None, None, "smoke")
    (row,) = json.loads(gdl("claims", "second.large", "--json", "--profile", "full").out)
    assert (row["value"], row["holds"], row["profile"]) == (0.5, True, "full")


@pytest.mark.usefixtures("small_ledger")
def test_a_claim_that_fails_is_told_by_the_exit_code(gdl: Gdl) -> None:
    assert gdl("claims").code == 0
    enter_failing()
    measured = gdl("claims", "--json")
    assert measured.code == 1
    assert [row["holds"] for row in json.loads(measured.out)] == [True, True, None, True, False]
    assert gdl("claims").code == 1
    assert gdl("claims", "second.").code == 0


@pytest.mark.usefixtures("small_ledger")
@pytest.mark.parametrize(
    ("ids", "chosen"),
    [
        (["first."], ["first.holds", "first.infinite"]),
        (["second.holds"], ["second.holds"]),
        (["second.l", "first.h"], ["first.holds", "second.large"]),
        (["first.", "first.holds"], ["first.holds", "first.infinite"]),
    ],
)
def test_claims_are_chosen_by_how_their_names_begin(gdl: Gdl, ids: list[str], chosen: list[str]) -> None:
    assert [row["id"] for row in json.loads(gdl("claims", *ids, "--json").out)] == chosen


@pytest.mark.usefixtures("small_ledger")
def test_a_name_is_not_found_by_its_end(gdl: Gdl) -> None:
    assert one_sentence(gdl("claims", "holds"))


@pytest.mark.usefixtures("small_ledger")
def test_a_mistyped_name_beside_a_good_one_is_noticed(gdl: Gdl) -> None:
    assert one_sentence(gdl("claims", "first.", "nonsense"))


@pytest.mark.usefixtures("small_ledger")
def test_the_table_has_a_line_for_every_claim(gdl: Gdl) -> None:
    enter_failing()
    lines = gdl("claims").out.splitlines()

    def line(name: str) -> str:
        (found,) = [one for one in lines if name in one]
        return found

    assert "✓" in line("first.holds")
    assert "0.25" in line("first.holds")
    assert "✗" in line("third.fails")
    assert "≤ 1" in line("third.fails")
    assert "not finite" in line("first.infinite")
    assert "·" in line("second.large")
    assert "needs a larger profile" in line("second.large")


@pytest.mark.usefixtures("small_ledger")
def test_a_claim_that_cannot_be_measured_does_not_hide_the_others(gdl: Gdl) -> None:
    enter_raising(ZeroDivisionError("division by zero"))
    outcome = gdl("claims", "--json")
    rows = {row["id"]: row for row in json.loads(outcome.out)}
    assert outcome.code == 1
    assert rows["third.raises"]["holds"] is False
    assert rows["first.holds"]["holds"] is True
    assert "third.raises could not be measured: ZeroDivisionError: division by zero" in outcome.err


@pytest.mark.usefixtures("small_ledger")
def test_the_environment_chooses_the_profile_where_the_line_does_not(gdl: Gdl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDL_LAB_PROFILE", "full")
    assert "profile full" in gdl("claims").err
    assert "profile smoke" in gdl("claims", "-p", "smoke").err
    monkeypatch.delenv("GDL_LAB_PROFILE")
    assert "profile laptop" in gdl("claims").err


@pytest.mark.usefixtures("small_ledger")
def test_the_line_wins_over_the_environment_for_every_profile(gdl: Gdl, monkeypatch: pytest.MonkeyPatch) -> None:
    for environment in runtime.PROFILES:
        monkeypatch.setenv("GDL_LAB_PROFILE", environment)
        for asked in runtime.PROFILES:
            assert f"profile {asked}" in gdl("claims", "first.", "--profile", asked).err


@pytest.mark.usefixtures("small_ledger")
@pytest.mark.parametrize("arguments", [("claims", "--json"), ("claims",)])
def test_a_console_of_few_letters_stops_nothing(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    """What Python gives a command on Windows whose output goes to a file or a pipe."""
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", write_through=True)
    monkeypatch.setattr(sys, "stdout", narrow)
    monkeypatch.setattr(sys, "argv", ["gdl-lab", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0


# data


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine that has no data set but the embedded ones; returns its empty cache."""
    monkeypatch.delenv("GDL_LAB_DATA", raising=False)
    monkeypatch.setenv("GDL_LAB_CACHE", str(tmp_path))
    return tmp_path


CONTENT = b"a few bytes"


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> str:
    """MNIST becomes one file on a server that refuses every connection; returns the server's address."""
    with socket.socket() as ours:  # a port that was just free
        ours.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{ours.getsockname()[1]}/images.gz"
    file = RemoteFile("images", hashlib.sha256(CONTENT).hexdigest(), (address,))
    monkeypatch.setitem(CARDS, "mnist", replace(CARDS["mnist"], files=(file,)))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return address


@pytest.mark.usefixtures("bare")
def test_the_list_says_what_is_here_and_how_to_get_the_rest(gdl: Gdl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.console, "width", 400)
    shown = gdl("data", "list")
    assert shown.code == 0
    lines = {name: next(line for line in shown.out.splitlines() if f" {name} " in line) for name in CARDS}
    for name, card in CARDS.items():
        assert card.title in lines[name]
        assert card.licence in lines[name]
        assert ("gdl-lab data fetch" in lines[name]) == (name == "mnist")
    assert "no: gdl-lab data fetch mnist" in lines["mnist"]


@pytest.mark.usefixtures("bare")
def test_check_loads_what_is_here(gdl: Gdl) -> None:
    checked = gdl("data", "check")
    assert checked.code == 0
    assert "✓ digits8: 1,437 train, 360 test" in checked.out
    assert "· mnist: not on this machine" in checked.out
    assert len(checked.out.splitlines()) == len(CARDS)


@pytest.mark.usefixtures("refused")
def test_check_finds_a_damaged_file(gdl: Gdl, bare: Path) -> None:
    (bare / "mnist").mkdir()
    for file in CARDS["mnist"].files:
        (bare / "mnist" / file.name).write_bytes(b"other bytes")
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (bare / "mnist" / name).write_bytes(b"other bytes")
    outcome = gdl("data", "check")
    assert outcome.code == 2
    assert re.fullmatch(r"gdl-lab: .* is damaged .*: delete it and run `gdl-lab data fetch mnist`\n", outcome.err)


@pytest.mark.usefixtures("bare")
def test_an_embedded_set_needs_no_fetching(gdl: Gdl) -> None:
    assert gdl("data", "fetch", "digits8") == Outcome(0, "digits8 comes with the course: nothing to fetch.\n", "")


def test_fetching_without_a_network_says_what_to_do_and_leaves_nothing(gdl: Gdl, bare: Path, refused: str) -> None:
    outcome = gdl("data", "fetch", "mnist")
    assert (outcome.code, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert line.startswith(f"gdl-lab: could not download images ({refused}: ")
    assert line.endswith(f"Check the connection and try again, or copy the file to {bare / 'mnist'}")
    assert [path for path in bare.rglob("*") if path.is_file()] == []


@pytest.mark.usefixtures("refused")
def test_a_file_that_is_here_is_verified_and_not_fetched(gdl: Gdl, bare: Path) -> None:
    (bare / "mnist").mkdir()
    (bare / "mnist" / "images").write_bytes(CONTENT)
    assert gdl("data", "fetch", "mnist") == Outcome(0, f"{bare / 'mnist' / 'images'}\nmnist is complete.\n", "")
    (bare / "mnist" / "images").write_bytes(CONTENT[1:])
    outcome = gdl("data", "fetch", "mnist")
    assert one_sentence(outcome)
    assert "is damaged" in outcome.err


@pytest.mark.usefixtures("bare", "refused")
def test_a_cache_that_cannot_be_written_is_named(gdl: Gdl, read_only: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDL_LAB_CACHE", str(read_only))
    outcome = gdl("data", "fetch", "mnist")
    assert one_sentence(outcome)
    assert f"cannot write to the cache {read_only / 'mnist'}" in outcome.err
    assert "GDL_LAB_CACHE" in outcome.err


# open


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


# test


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


# book and bench


@dataclass
class Built:
    """A builder that only writes down what it was asked for."""

    asked: list[tuple[str, Any, Any]]

    def __call__(self, profile: str, *, rows: Any, only: Any) -> Path:
        self.asked.append((profile, rows, only))
        return Path("_build", "html", "index.html")


@pytest.mark.usefixtures("small_ledger")
def test_the_book_is_built_with_the_whole_ledger(gdl: Gdl, monkeypatch: pytest.MonkeyPatch) -> None:
    built = Built([])
    monkeypatch.setattr(book, "build", built)
    outcome = gdl("book", "--profile", "full", "--only", "01", "--only", "02")
    assert (outcome.code, outcome.out) == (0, f"The book is at {Path('_build', 'html', 'index.html')}\n")
    ((profile, rows, only),) = built.asked
    assert (profile, only) == ("full", ["01", "02"])
    assert [row["id"] for row in rows] == ["first.holds", "first.infinite", "second.large", "second.holds"]
    assert [list(row) for row in rows] == [KEYS] * 4


@pytest.mark.usefixtures("small_ledger")
def test_a_chapter_that_does_not_exist_is_noticed_before_anything_is_measured(gdl: Gdl) -> None:
    outcome = gdl("book", "--only", "77")
    assert "no chapter begins with '77'" in outcome.err
    assert one_sentence(outcome)


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


# Makefile, and what the texts promise

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments: str) -> str:
    done = subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def targets() -> set[str]:
    """Targets of the Makefile that a reader may ask for."""
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@needs_make
def test_make_alone_lists_every_target() -> None:
    listed = make()
    assert set(re.findall(r"^make ([a-z-]+)  ", listed, re.MULTILINE)) == targets() - {"help"}
    assert make("help") == listed


def test_every_target_runs_whether_or_not_a_file_has_its_name() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(phony.split()) == targets()


@needs_make
def test_make_hands_on_the_options_of_jupyterlab() -> None:
    assert "gdl-lab open --no-browser --port 8899" in make("-n", "lab", "LAB_ARGS=--no-browser --port 8899")


@needs_make
@pytest.mark.parametrize(
    ("target", "runs"),
    [
        ("test", "gdl-lab test"),
        ("test-fast", "gdl-lab test --fast"),
        ("book", "gdl-lab book"),
        ("claims", "gdl-lab claims"),
        ("bench", "gdl-lab bench"),
    ],
)
def test_a_target_runs_the_verb_of_its_name(target: str, runs: str) -> None:
    assert re.search(rf"/{runs}$", make("-n", target), re.MULTILINE)


def code_in(text: str) -> str:
    """Code spans and code blocks of a Markdown text."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", text)])


def promised_but_absent(text: str) -> list[str]:
    """Verbs and targets that a text names in code and that do not exist."""
    code = code_in(text)
    known = {word for name in verbs() for word in (name, name.split()[0])}
    named = {name.strip() for name in re.findall(r"\bgdl-lab ((?:data )?[a-z]+)", code)}
    wanted = set(re.findall(r"\bmake ([a-z][a-z-]*)", code))
    return [f"gdl-lab {name}" for name in sorted(named - known)] + [
        f"make {name}" for name in sorted(wanted - targets())
    ]


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md", "book/index.md", "book/ledger.md"]
)
def test_what_a_text_tells_the_reader_to_run_exists(root: Path, page: str) -> None:
    assert promised_but_absent((root / page).read_text(encoding="utf-8")) == []


def test_a_promise_that_is_not_kept_is_noticed() -> None:
    text = "Run `gdl-lab sing`, `gdl-lab data lose mnist` or:\n\n```\nmake tea     # hot\ngdl-lab open\n```\n"
    assert promised_but_absent(text) == ["gdl-lab data lose", "gdl-lab sing", "make tea"]
    assert promised_but_absent("To sing, make tea; gdl-lab sing is no verb.") == []


def test_the_readme_names_every_verb(root: Path) -> None:
    (line,) = re.findall(r"`gdl-lab (\w+(?: \| \w+)+)`", (root / "README.md").read_text(encoding="utf-8"))
    assert set(line.split(" | ")) == {name.split()[0] for name in verbs()}

"""`gdl-lab claims`, and `gdl-lab book` with the ledger in it: what is measured, shown and told by the exit code."""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gdl_lab import book, claims, cli, runtime
from gdl_lab.claims import at_most, claim, ledger, reported
from tests.command_line import Gdl, one_sentence

KEYS = ["id", "talk", "statement", "value", "bound", "holds", "seconds", "profile"]


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


def enter_raising(reason: Exception) -> None:
    @claim("third.raises", talk="deep-learning", bound=reported())
    def raises() -> float:
        """It cannot be measured."""
        raise reason


# Claims


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


@pytest.mark.usefixtures("small_ledger", "plain_screen")
@pytest.mark.parametrize("arguments", [("claims", "--json"), ("claims",)])
def test_a_console_of_few_letters_stops_nothing(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    """What Python gives a command on Windows whose output goes to a file or a pipe."""
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", write_through=True)
    monkeypatch.setattr(sys, "stdout", narrow)
    monkeypatch.setattr(sys, "argv", ["gdl-lab", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0


# From a shell


@pytest.mark.slow
@pytest.mark.usefixtures("plain_screen")
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


# The book


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

"""The Makefile, and what the texts tell a reader to run."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.command_line import verbs

ROOT = Path(__file__).resolve().parents[1]
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

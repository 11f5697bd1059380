"""What a line of the command `gdl-lab` did, and the verbs that it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import typer

from gdl_lab import cli


@dataclass(frozen=True)
class Outcome:
    """How the command ended."""

    code: int
    out: str
    err: str


Gdl = Callable[..., Outcome]


def one_sentence(outcome: Outcome) -> bool:
    """Whether a command gave up with one line of its own on stderr, nothing on stdout, and the code for it."""
    lines = outcome.err.splitlines()
    return outcome.code == 2 and outcome.out == "" and len(lines) == 1 and lines[0].startswith("gdl-lab: ")


def verbs() -> dict[str, Any]:
    """Every verb of the command, those below `data` with both words."""
    found: dict[str, Any] = {}
    top: Any = typer.main.get_command(cli.app)
    for name, command in top.commands.items():
        below = getattr(command, "commands", None)
        found |= {f"{name} {part}": one for part, one in below.items()} if below else {name: command}
    return found

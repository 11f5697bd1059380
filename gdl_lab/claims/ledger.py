"""The ledger: every statement of the talk that can be measured is a function here, with the bound its value must meet.

    @claim("mlp.hand_gradient", talk="neural-networks", bound=at_most(1e-12))
    def hand_gradient(*, samples: int = 64) -> float:
        \"\"\"Backpropagation written by hand gives the gradient that autograd gives.\"\"\"
        ...

Calling it measures, prints one line in a notebook, and raises `ClaimFailed` when the bound does not hold.
"""

from __future__ import annotations

import functools
import inspect
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from gdl_lab import runtime
from gdl_lab.figures.notice import notice

__all__ = [
    "Bound",
    "Claim",
    "ClaimFailed",
    "Measured",
    "at_least",
    "at_most",
    "claim",
    "registered",
    "reported",
    "within",
]


@dataclass(frozen=True)
class Bound:
    """A condition on a measured number: ``low ≤ value ≤ high``; ``text`` is how a reader sees it.

    ``judges`` is false for a number that is shown without being judged.
    """

    text: str
    low: float = -math.inf
    high: float = math.inf
    judges: bool = True

    def holds(self, value: float) -> bool:
        """Whether the value is within the bound; NaN never is, unless the bound does not judge."""
        return not self.judges or self.low <= value <= self.high


def at_most(x: float) -> Bound:
    """The value is x or smaller."""
    return Bound(f"≤ {x:g}", high=x)


def at_least(x: float) -> Bound:
    """The value is x or larger."""
    return Bound(f"≥ {x:g}", low=x)


def within(centre: float, radius: float) -> Bound:
    """The value differs from ``centre`` by ``radius`` at most."""
    return Bound(f"= {centre:g} ± {radius:g}", centre - radius, centre + radius)


def reported() -> Bound:
    """Measured and shown, with no bound: infinite and NaN values pass too."""
    return Bound("reported", judges=False)


class ClaimFailed(AssertionError):
    """A measured value does not meet the bound of its claim."""


@dataclass(frozen=True)
class Measured:
    """The outcome of a claim: one line in a notebook, one row of the ledger."""

    id: str
    talk: str
    statement: str
    value: float
    bound: Bound
    holds: bool
    seconds: float
    profile: str
    extra: Mapping[str, Any] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """The row as plain JSON types; a value that is not finite is ``None``."""
        return {
            "id": self.id,
            "talk": self.talk,
            "statement": self.statement,
            "value": self.value if math.isfinite(self.value) else None,
            "bound": self.bound.text,
            "holds": self.holds,
            "seconds": round(self.seconds, 3),
            "profile": self.profile,
        }

    def __str__(self) -> str:
        mark = "·" if not self.bound.judges else "✓" if self.holds else "✗"
        return f"{mark} {self.statement} {_number(self.value)} ({self._aside()})"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        outcome, tone = ("holds", "good") if self.holds else ("fails", "bad")
        kind = f"gdl-claim gdl-claim-{outcome if self.bound.judges else 'reported'}"
        tone = tone if self.bound.judges else "plain"
        return notice(kind, tone, self.statement, strong=_number(self.value), aside=self._aside())

    def _aside(self) -> str:
        shown = [f"{key.replace('_', ' ')} {_number(value)}" for key, value in self.extra.items()]
        return " · ".join([self.bound.text, *shown, self.id])


@dataclass(eq=False)
class Claim:
    """A statement of the talk with the function that measures it."""

    id: str
    talk: str
    bound: Bound
    measure: Callable[..., float | Mapping[str, Any]]
    needs: str

    @property
    def statement(self) -> str:
        """The first paragraph of the measuring function's docstring."""
        text = inspect.getdoc(self.measure) or ""
        return " ".join(text.split("\n\n")[0].split())

    def __call__(self, **arguments: Any) -> Measured:
        """Measure; see `claim`."""
        measured = self.outcome(**arguments)
        if not measured.holds:
            raise ClaimFailed(str(measured))
        return measured

    def outcome(self, **arguments: Any) -> Measured:
        """Measure without raising when the bound does not hold."""
        began = time.perf_counter()
        with torch.random.fork_rng(devices=[]):  # a claim measured twice must not change what the next cell draws
            result = self.measure(**arguments)
        seconds = time.perf_counter() - began
        extra = dict(result) if isinstance(result, Mapping) else {"value": result}
        value = float(extra.pop("value"))
        holds = self.bound.holds(value)
        return Measured(
            self.id, self.talk, self.statement, value, self.bound, holds, seconds, runtime.current_profile(), extra
        )

    def unmeasured(self, profile: str) -> dict[str, Any]:
        """The row of a claim that a profile is too small for: ``value`` and ``holds`` are ``None``."""
        empty = Measured(self.id, self.talk, self.statement, math.nan, self.bound, False, 0.0, profile)
        return {**empty.row(), "holds": None}

    def runs_in(self, profile: str) -> bool:
        """Whether the claim can be measured in a profile: one that trains for long needs ``laptop``."""
        order = list(runtime.PROFILES)
        return order.index(profile) >= order.index(self.needs)


_claims: dict[str, Claim] = {}


def claim(id: str, *, talk: str, bound: Bound, needs: str = "smoke") -> Callable[[Callable[..., Any]], Claim]:
    """Enter a measuring function into the ledger.

    Args:
        id: stable name, ``room.statement``.
        talk: id of the row of ``talk_map.yml`` that the statement belongs to.
        bound: `at_most`, `at_least`, `within` or `reported`.
        needs: the smallest profile in which the measurement makes sense.

    The function takes keyword arguments with defaults and returns a float, or a mapping whose entry ``value`` is
    bounded and whose rest is shown.

    Raises:
        ValueError: the id is taken, the profile unknown, the function has no docstring, or an argument has no default.
    """

    def enter(measure: Callable[..., Any]) -> Claim:
        if id in _claims and _place(_claims[id].measure) != _place(measure):  # the same place: its module was reloaded
            raise ValueError(f"two claims are called {id}")
        if needs not in runtime.PROFILES:
            raise ValueError(f"the claim {id} needs an unknown profile {needs!r}")
        if not inspect.getdoc(measure):
            raise ValueError(f"the claim {id} needs a docstring: its first paragraph is the statement")
        if any(p.default is p.empty for p in inspect.signature(measure).parameters.values()):
            raise ValueError(f"every argument of the claim {id} needs a default")
        _claims[id] = Claim(id, talk, bound, measure, needs)
        functools.update_wrapper(_claims[id], measure)  # help() shows the measuring function
        return _claims[id]

    return enter


def registered() -> list[Claim]:
    """All claims entered so far, in order."""
    return list(_claims.values())


def _place(function: Callable[..., Any]) -> tuple[str, str]:
    return function.__module__, function.__qualname__


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) and abs(value) >= 1e6:
        return str(value)  # a seed, to be copied
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e6 else f"{value:.3g}"

"""What a checker says, and the frame in which it runs a reader's code without ever raising."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gdl_lab.figures.notice import notice

__all__ = ["Mistake", "Verdict", "checker", "close", "expect"]


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check: ``ok``, and otherwise a hint that names the mistake but not the answer."""

    ok: bool
    hint: str

    def __str__(self) -> str:
        return f"{'✓' if self.ok else '→'} {self.hint}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return notice("gdl-verdict", "good" if self.ok else "hint", self.hint)


class Mistake(Exception):
    """Raised inside a checker when it recognises a mistake; the message is the hint."""


def checker(praise: str) -> Callable[[Callable[[Any], None]], Callable[[Any], Verdict]]:
    """Turn a function that raises `Mistake` into a check that returns a `Verdict` and never raises.

    Args:
        praise: what a correct answer has shown.

    A blank answer (``None`` or ``...``, or a function that returns it) and an answer that raises get a hint of their
    own.
    """

    def wrap(examine: Callable[[Any], None]) -> Callable[[Any], Verdict]:
        @functools.wraps(examine)
        def check(answer: Any) -> Verdict:
            if _blank(answer):
                return Verdict(False, "Nothing to check yet: replace the dots.")
            try:
                with torch.random.fork_rng(devices=[]):
                    examine(_guarded(answer) if callable(answer) else answer)
            except _Blank:
                return Verdict(False, "Nothing to check yet: the function returns nothing. Replace the dots.")
            except _Raised as raised:
                return Verdict(False, f"Your code raises {_in_words(raised.reason)}")
            except Mistake as mistake:
                return Verdict(False, str(mistake))
            except Exception as reason:  # a result of an unforeseen kind must not stop a notebook
                return Verdict(
                    False, f"The result cannot be compared ({_in_words(reason)}). Look at its type and shape."
                )
            return Verdict(True, praise)

        return check

    return wrap


def expect(condition: object, hint: str) -> None:
    """Raise `Mistake` with ``hint`` unless the condition holds."""
    if not condition:
        raise Mistake(hint)


def close(given: Any, wanted: Tensor, tolerance: float = 1e-5) -> bool:
    """Whether a result has the wanted shape and equals it up to ``tolerance``, relative to its largest entry."""
    given, wanted = (torch.as_tensor(t).detach().cpu() for t in (given, wanted))
    wide = torch.promote_types(torch.promote_types(given.dtype, wanted.dtype), torch.float64)
    given, wanted = given.to(wide), wanted.to(wide)  # cast to whole numbers, 7.5 would pass for 7
    if given.shape != wanted.shape or not (given.isfinite() & wanted.isfinite()).all():
        return False
    scale = float(wanted.abs().max()) or 1.0
    return float((given - wanted).abs().max()) <= tolerance * scale


class _Blank(Exception):
    pass


class _Raised(Exception):
    def __init__(self, reason: BaseException) -> None:
        super().__init__()
        self.reason = reason


def _blank(answer: Any) -> bool:
    return answer is None or answer is ...


def _in_words(reason: BaseException) -> str:
    """Type and first line of an exception, also of one that cannot be printed."""
    return traceback.format_exception_only(reason)[-1].splitlines()[0]


def _guarded(answer: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(answer)
    def call(*args: Any, **kwargs: Any) -> Any:
        own = [given.clone() if isinstance(given, Tensor) else given for given in args]  # it may change what it gets
        try:
            result = answer(*own, **kwargs)
        except (Exception, SystemExit) as reason:
            raise _Raised(reason) from reason
        if _blank(result):
            raise _Blank
        return result

    return call

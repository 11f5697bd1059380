"""The exercises: checkers never raise, blank stubs and solutions get their verdicts, wrong answers their own hints."""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gdl_lab import exercises
from gdl_lab.exercises.verdict import Mistake, Verdict, checker, close, expect
from tests.chapters import Cell, Chapter, chapters

BLANK = "Nothing to check yet"


# The machine


@checker("It doubles.")
def doubles(f: Any) -> None:
    """``f(x)`` → 2x."""
    x = torch.randn(5)
    expect(close(f(x), 2 * x), "It does not double.")


@checker("It is seven.")
def seven(value: Any) -> None:
    """The number 7."""
    expect(close(value, torch.tensor(7)), "It is not seven.")


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class Hostile:
    """An object that raises at every touch."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __call__(self, *_: Any) -> Any:
        raise RuntimeError("called")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")

    __hash__ = None  # type: ignore[assignment]


def raises(reason: BaseException) -> Callable[..., Any]:
    def answer(*_: Any) -> Any:
        raise reason

    return answer


def endless(x: Any) -> Any:
    return endless(x)


STRANGE: list[Any] = [
    None, ..., 7, "seven", b"7", [], {}, set(), object(), Hostile(), float("nan"), float("inf"), 10**400, 1e308, True,
    torch.zeros(0), torch.full((5,), torch.nan), torch.full((5,), 1e38), torch.zeros(3, 5), torch.tensor([1j] * 5),
    torch.zeros(5, dtype=torch.bool), torch.zeros(5, device="meta"), torch.zeros(5, requires_grad=True),
    torch.eye(5).to_sparse(), np.full(5, np.nan), np.zeros((2, 2)), np.array(["a"]), [torch.zeros(2), torch.zeros(3)],
]  # fmt: skip


@pytest.mark.parametrize("answer", STRANGE, ids=lambda a: type(a).__name__)
@pytest.mark.parametrize("check", [doubles, seven])
def test_a_strange_value_gets_a_verdict(check: Callable[[Any], Verdict], answer: Any) -> None:
    for given in (answer, lambda *_: answer):
        verdict = check(given)
        assert isinstance(verdict, Verdict)
        assert verdict.ok == (check is seven and given is answer and isinstance(answer, int) and answer == 7)
        assert verdict.hint
        assert "\n" not in verdict.hint


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (None, "Nothing to check yet: replace the dots."),
        (..., "Nothing to check yet: replace the dots."),
        (lambda x: None, "Nothing to check yet: the function returns nothing. Replace the dots."),
        (lambda x: ..., "Nothing to check yet: the function returns nothing. Replace the dots."),
        (raises(ValueError("no good\nreally")), "Your code raises ValueError: no good"),
        (raises(ZeroDivisionError()), "Your code raises ZeroDivisionError"),
        (raises(Unprintable()), "Your code raises"),
        (raises(NotImplementedError()), "Your code raises NotImplementedError"),
        (raises(SystemExit(2)), "Your code raises SystemExit: 2"),
        (endless, "Your code raises RecursionError"),
        (lambda: 0, "Your code raises TypeError"),
        (lambda x, y: x + y, "missing 1 required positional argument: 'y'"),
        (lambda x: x.nothing, "has no attribute 'nothing'"),
        (lambda x: 3 * x, "It does not double."),
        (lambda x: (2 * x)[:3], "It does not double."),
        (lambda x: torch.cat([2 * x, x]), "It does not double."),
        (lambda x: "2x", "The result cannot be compared"),
        (lambda x: {"x": x}, "The result cannot be compared"),
        (7, "The result cannot be compared"),
    ],
)
def test_each_kind_of_wrong_answer_has_its_own_words(answer: Any, hint: str) -> None:
    verdict = doubles(answer)
    assert not verdict.ok
    assert hint in verdict.hint


@pytest.mark.parametrize(
    "answer",
    [
        lambda x: 2 * x,
        lambda x: (2 * x).tolist(),
        lambda x: (2 * x).numpy(),
        lambda x: (2 * x).double(),
        lambda x: (2 * x).requires_grad_(),
        partial(torch.mul, 2),
        nn.Module,
    ],
)
def test_a_right_answer_of_any_kind_is_praised(answer: Any) -> None:
    if answer is nn.Module:
        answer = nn.Linear(1, 1)
        answer.forward = lambda x: 2 * x
    assert doubles(answer) == Verdict(True, "It doubles.")


def test_a_checker_leaves_the_random_numbers_of_the_notebook_alone() -> None:
    torch.manual_seed(3)
    wanted = torch.rand(3)
    torch.manual_seed(3)
    doubles(lambda x: torch.rand(5) + x)
    assert torch.equal(torch.rand(3), wanted)


def test_an_interruption_by_the_reader_is_not_swallowed() -> None:
    with pytest.raises(KeyboardInterrupt):
        doubles(raises(KeyboardInterrupt()))


def test_a_checker_keeps_its_name_and_words() -> None:
    assert doubles.__name__ == "doubles"
    assert doubles.__doc__ == "``f(x)`` → 2x."


def test_close_is_about_values_and_shapes_and_not_about_dtypes() -> None:
    whole, real = torch.tensor(7), torch.tensor([1.0, 2.0])
    assert close(7, whole)
    assert close(7.0, whole)
    assert not close(7.5, whole)  # cast to a whole number it would be 7
    assert not close(7 + 1j, whole)
    assert not close([7], whole)
    assert close(real.double() + 1e-7, real)
    assert not close(real + 1e-4, real)
    assert close(1e6 * real + 0.1, 1e6 * real)  # relative to the largest entry
    assert close(torch.zeros(2), torch.zeros(2))
    assert not close(torch.full((2,), 1e-3), torch.zeros(2))
    assert not close(real * torch.nan, real)
    assert not close(real, real * torch.inf)
    assert not close(torch.full((2,), torch.inf), torch.full((2,), torch.inf))
    wanted = real.clone().requires_grad_()
    assert close(real, wanted)
    assert wanted.grad is None


def test_expect_raises_the_hint_and_nothing_else() -> None:
    expect(True, "no")
    expect(torch.tensor(True), "no")
    with pytest.raises(Mistake, match="yes"):
        expect(False, "yes")


def test_a_verdict_is_a_line_with_a_mark_and_its_html_is_escaped() -> None:
    assert str(Verdict(True, "Good.")) == repr(Verdict(True, "Good.")) == "✓ Good."
    assert str(Verdict(False, "Not yet.")) == "→ Not yet."
    page = Verdict(False, 'x < y & <script>"')._repr_html_()
    assert "x &lt; y &amp; &lt;script&gt;" in page
    assert "<script" not in page
    assert "gdl-verdict" in page
    assert Verdict(True, "a")._repr_html_() != Verdict(False, "a")._repr_html_()


# The chapters


def checkers(room: str) -> list[str]:
    """Names of the checkers of a chapter."""
    return list(importlib.import_module(f"gdl_lab.exercises.{room}").__all__)


def checked(cell: Cell) -> str:
    """Which checker an exercise cell ends with, such as ``"ch01.layer"``."""
    last = ast.parse(cell.source).body[-1]
    assert isinstance(last, ast.Expr), "the last line is a check, shown"
    assert isinstance(last.value, ast.Call), "the last line is a check, called"
    path = ast.unparse(last.value.func).split(".")
    assert path[0] == "check", f"the last line is check.chNN.name(…), not {ast.unparse(last)}"
    assert len(path) == 3
    assert len(last.value.args) == 1
    return ".".join(path[1:])


@cache
def lesson(name: str) -> dict[str, Any]:
    """What the first two code cells of a chapter, parameters and imports, define."""
    (one,) = (one for one in chapters() if one.name == name)
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        for cell in one.code()[:2]:
            exec(compile(cell.source, one.name, "exec"), names)
    return names


def verdict(one: Chapter, cell: Cell) -> Verdict:
    """What an exercise cell shows when it is run right after the imports."""
    *body, last = ast.parse(cell.source).body
    assert isinstance(last, ast.Expr)
    names = dict(lesson(one.name))
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(ast.Module(body, []), one.name, "exec"), names)
        shown = eval(compile(ast.Expression(last.value), one.name, "eval"), names)
    assert isinstance(shown, Verdict)
    return shown


def wrong_answers(room: str) -> dict[str, list[tuple[str, str]]]:
    wrong: dict[str, list[tuple[str, str]]] = importlib.import_module(f"tests.wrong_answers.{room}").WRONG
    return wrong


def judged(one: Chapter, name: str, source: str) -> Verdict:
    """The verdict on a wrong answer."""
    names = dict(lesson(one.name))
    exec(compile(source, f"{one.room}.{name}", "exec"), names)
    check = getattr(importlib.import_module(f"gdl_lab.exercises.{one.room}"), name)
    shown = check(names["answer"])
    assert isinstance(shown, Verdict)
    return shown


EXERCISES = [(one, f"{one.room}.{name}") for one in chapters() for name in checkers(one.room)]
each_exercise = pytest.mark.parametrize(
    ("one", "which"), EXERCISES, ids=lambda value: value if isinstance(value, str) else ""
)
each_chapter = pytest.mark.parametrize("one", chapters(), ids=lambda one: one.name)


def cells_for(one: Chapter, tag: str, which: str) -> list[Cell]:
    return [cell for cell in one.code(tag) if checked(cell) == which]


@each_chapter
def test_every_checker_has_one_stub_and_one_solution_and_they_stand_together(one: Chapter) -> None:
    wanted = [f"{one.room}.{name}" for name in checkers(one.room)]
    stubs = [checked(cell) for cell in one.code("exercise")]
    assert sorted(stubs) == sorted(wanted)
    assert [checked(cell) for cell in one.code("solution")] == stubs
    code = [cell for cell in one.cells if cell.kind == "code"]
    for cell, after in zip(code, [*code[1:], None], strict=True):
        if "exercise" in cell.tags:
            assert after is not None
            assert "solution" in after.tags, "the solution stands right below its exercise"
            assert not cell.tags & {"solution"}


@each_chapter
def test_a_solution_is_folded_away(one: Chapter) -> None:
    for cell in one.code("solution"):
        assert cell.tags & {"hide-cell", "hide-input"}, checked(cell)


@each_chapter
def test_a_chapter_has_three_to_five_exercises(one: Chapter) -> None:
    assert one.number == "00" or 3 <= len(checkers(one.room)) <= 5


@each_exercise
def test_a_blank_stub_is_not_an_answer(one: Chapter, which: str) -> None:
    (stub,) = cells_for(one, "exercise", which)
    shown = verdict(one, stub)
    assert not shown.ok
    assert BLANK in shown.hint


@each_exercise
def test_the_solution_passes(one: Chapter, which: str) -> None:
    (solution,) = cells_for(one, "solution", which)
    shown = verdict(one, solution)
    assert shown.ok, shown.hint


@each_exercise
def test_typical_wrong_answers_get_a_hint_of_their_own(one: Chapter, which: str) -> None:
    name = which.split(".")[1]
    wrong = wrong_answers(one.room)[name]
    assert 2 <= len(wrong) <= 4
    hints = []
    for source, fragment in wrong:
        shown = judged(one, name, source)
        assert not shown.ok, source
        assert fragment in shown.hint, f"{source}\n→ {shown.hint}"
        assert BLANK not in shown.hint
        hints.append(shown.hint)
    assert len(set(hints)) == len(hints), hints


@each_chapter
def test_wrong_answers_are_those_of_the_checkers(one: Chapter) -> None:
    assert sorted(wrong_answers(one.room)) == sorted(checkers(one.room))


def test_every_chapter_of_exercises_has_its_notebook_and_stands_under_check() -> None:
    rooms = sorted(name for name in vars(exercises.check))
    assert rooms == sorted(one.room for one in chapters())


# Negative controls


def test_the_harness_tells_stub_solution_and_mistake_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    check = type("Check", (), {"ch99": type("Room", (), {"doubles": staticmethod(doubles)})})
    one = Chapter("99_x", ())
    monkeypatch.setitem(globals(), "lesson", lambda name: {"check": check, "torch": torch})

    def cell(body: str) -> Cell:
        return Cell("code", f"def f(x):\n    {body}\n\ncheck.ch99.doubles(f)", frozenset({"exercise"}))

    assert checked(cell("...")) == "ch99.doubles"
    assert BLANK in verdict(one, cell("...")).hint
    assert verdict(one, cell("return 2 * x")).ok
    assert verdict(one, cell("return 3 * x")).hint == "It does not double."
    assert "NameError" in verdict(one, cell("return np.multiply(2, x)")).hint  # np is not among the imports
    with pytest.raises(AssertionError, match=r"check\.chNN\.name"):
        checked(Cell("code", "print(f(3))", frozenset()))
    with pytest.raises(AssertionError, match="shown"):
        checked(Cell("code", "v = check.ch99.doubles(f)", frozenset()))

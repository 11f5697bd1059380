"""Sweeps: what is stored and when, what survives, and what is said of points and files that are no good."""

from __future__ import annotations

import csv
import importlib
import linecache
import math
import os
import sys
import textwrap
import time
import types
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gdl_lab import sweep
from gdl_lab.sweep import SweepError

calls: list[dict[str, Any]] = []


@pytest.fixture(autouse=True)
def _nothing_called() -> None:
    calls.clear()


def area(width: float, height: float = 2, seed: int = 0) -> dict[str, float]:
    calls.append({"width": width, "height": height, "seed": seed})
    return {"area": width * height, "noise": seed / 3}


def brittle(k: int, seed: int = 0) -> dict[str, float]:
    calls.append({"k": k})
    if k == 2:
        raise ZeroDivisionError("k is two")
    return {"value": math.nan if k == 3 else k**2}


def run(*arguments: Any, **options: Any) -> list[dict[str, Any]]:
    return sweep.run(*arguments, progress=False, **options)


# What is stored


def test_a_row_holds_arguments_defaults_results_and_what_made_them(tmp_path: Path) -> None:
    rows = run(area, {"width": [1, 2.5], "seed": [0, 1]}, tmp_path / "a" / "areas.csv")
    assert [(row["width"], row["height"], row["seed"]) for row in rows] == [
        (1, 2, 0),
        (1, 2, 1),
        (2.5, 2, 0),
        (2.5, 2, 1),
    ]
    assert [row["area"] for row in rows] == [2, 2, 5, 5]
    assert rows[1]["noise"] == 1 / 3, "no digit is lost on the way to the file"
    assert list(rows[0]) == ["width", "height", "seed", "area", "noise", "cpu_seconds", "code"]
    assert {row["code"] for row in rows} == {sweep.code_hash(area)}
    assert rows == sweep.read(tmp_path / "a" / "areas.csv")
    with (tmp_path / "a" / "areas.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 4


def test_what_is_there_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "areas.csv"
    run(area, {"width": [1, 2]}, path)
    before = path.read_bytes()
    assert len(run(area, {"width": [1, 2]}, path)) == 2
    assert len(calls) == 2
    assert path.read_bytes() == before
    rows = run(area, [{"width": 3}, {"width": 1, "height": 2, "seed": 0}, {"width": 3}], path)
    assert [call["width"] for call in calls] == [1, 2, 3], "a default given by hand is the same point, and so is a twin"
    assert [row["width"] for row in rows] == [3, 1]


def test_values_of_every_kind_come_back_as_they_were(tmp_path: Path) -> None:
    def echo(a: Any) -> dict[str, Any]:
        return {"f": np.float32(0.5), "t": torch.tensor(3), "b": True}

    values = ["unet-8", "a, b", 'say "x"', None, True, 1, 1.0, -1e-30, 10**20, np.int64(7), "nan-like"]
    rows = run(echo, {"a": values}, tmp_path / "x.csv")
    assert [row["a"] for row in rows] == [*values[:-2], 7, "nan-like"]
    assert [type(row["a"]) for row in rows[4:7]] == [bool, int, float]
    assert all((row["f"], row["t"], row["b"]) == (0.5, 3, True) for row in rows)
    assert len(run(echo, {"a": values}, tmp_path / "x.csv")) == len(values)


def test_processor_time_is_that_of_the_call(tmp_path: Path) -> None:
    def busy(seconds: float) -> dict[str, float]:
        began = time.process_time()
        while time.process_time() - began < seconds:
            pass
        time.sleep(0.2)
        return {"done": 1}

    (row,) = run(busy, {"seconds": [0.1]}, tmp_path / "x.csv")
    assert 0.1 <= row["cpu_seconds"] < 0.2


def test_several_processes_measure_the_same(tmp_path: Path) -> None:
    grid = {"x": [0.0, 1.0, 2.0, 3.0]}
    rows = run(math_of, grid, tmp_path / "two.csv", jobs=2)
    assert [row["value"] for row in rows] == [math.exp(x) for x in grid["x"]]
    assert {row["process"] for row in rows} - {os.getpid()}
    for backend in ("threading", "sequential"):
        assert run(math_of, grid, tmp_path / f"{backend}.csv", jobs=2, backend=backend)[3]["value"] == math.exp(3)


def math_of(x: float) -> dict[str, float]:
    time.sleep(0.05)
    return {"value": math.exp(x), "process": os.getpid()}


# What survives


def test_points_that_fail_are_named_at_the_end_and_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    with pytest.raises(SweepError, match=r"2 of 4 points failed.*k=2, seed=0: ZeroDivisionError: k is two.*k=3.*nan"):
        run(brittle, {"k": [1, 2, 3, 4]}, path)
    assert [row["value"] for row in sweep.read(path)] == [1, 16]
    calls.clear()
    with pytest.raises(SweepError, match="2 of 4"):
        run(brittle, {"k": [1, 2, 3, 4]}, path)
    assert [call["k"] for call in calls] == [2, 3]


@pytest.mark.parametrize("torn", ["2,", "2,2,0,4,0,0.1", "2,2,0,4,0.0,0.01,0123456789"])
def test_a_line_that_was_cut_off_is_dropped(torn: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    run(area, {"width": [1]}, path)
    path.write_text(path.read_text() + torn)
    assert len(sweep.read(path)) == 1
    assert [row["area"] for row in run(area, {"width": [1, 2]}, path)] == [2, 4]
    assert torn not in path.read_text().splitlines()
    path.write_text("width,hei")
    assert sweep.read(path) == []
    assert len(run(area, {"width": [1]}, path)) == 1


# Code


def module(name: str, source: str, folder: Path) -> types.ModuleType:
    (folder / f"{name.replace('.', '/')}.py").parent.mkdir(exist_ok=True)
    (folder / f"{name.replace('.', '/')}.py").write_text(textwrap.dedent(source))
    for known in [known for known in sys.modules if known.split(".")[0] == name.split(".")[0]]:
        del sys.modules[known]
    importlib.invalidate_caches()
    linecache.clearcache()
    return importlib.import_module(name)


def test_the_hash_follows_the_code_and_not_its_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def hashed(inner: str, outer: str = "from pack.inner import g\nimport json\n\ndef f(k): return g(k)\n") -> str:
        module("pack.inner", inner, tmp_path)
        return sweep.code_hash(module("pack.outer", outer, tmp_path).f)

    usual = hashed("def g(k): return {'k': k}\n")
    assert usual == hashed('"""Words."""\n# more\ndef g(k):\n    "Words."\n    return {\n"k": k}\n')
    assert usual != hashed("def g(k): return {'k': k + 1}\n"), "code of another module of the package"
    assert usual != hashed("def g(k): return {'k': k}\n", "from pack.inner import g\n\ndef f(k): return g(k - 1)\n")
    assert usual != hashed("def g(k): return {'k': k}\nC = 3\n"), "a constant"
    assert len(usual) == 12


def test_a_function_of_a_notebook_has_a_hash_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def cell(number: int, source: str) -> Callable[..., Any]:
        notebook = types.ModuleType("notebook_of_the_reader")
        monkeypatch.setitem(sys.modules, notebook.__name__, notebook)
        name = f"<cell {number}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        exec(compile(source, name, "exec"), vars(notebook))
        return notebook.f

    usual = sweep.code_hash(cell(1, "x = 1\nif x:\n    def f(k):\n        return {'k': k}\n"))
    assert usual == sweep.code_hash(cell(2, "def f(k):\n    return {'k': k}  # more\n"))
    assert usual != sweep.code_hash(cell(3, "def f(k):\n    return {'k': -k}\n"))


@pytest.mark.parametrize("digits", ["012345678901", "1e2345678901", "123456789012"])
def test_a_hash_that_reads_as_a_number_stays_a_hash(
    digits: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "code_hash", lambda function: digits)
    run(area, {"width": [1, 2]}, tmp_path / "x.csv")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = run(area, {"width": [1, 2, 3]}, tmp_path / "x.csv", anew=True)
    assert [row["code"] for row in rows] == [digits] * 3
    assert [call["width"] for call in calls] == [1, 2, 3], "none is taken for one of other code"


def test_what_has_no_code_to_tell_from_other_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"expected a function, .* got functools\.partial"):
        run(partial(area, height=3), {"width": [1]}, tmp_path / "x.csv")
    terminal = types.ModuleType("a_terminal")
    monkeypatch.setitem(sys.modules, "a_terminal", terminal)
    exec("def f(k): return {'v': k}", vars(terminal))
    with pytest.raises(ValueError, match=r"no source of <function f .* in a file or a notebook"):
        run(terminal.f, {"k": [1]}, tmp_path / "x.csv")
    assert not list(tmp_path.iterdir())


def test_rows_of_other_code_are_counted_and_redone_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    run(area, {"width": [1, 2, 3]}, path)
    lines = path.read_text().splitlines()
    for i, wrong in ((2, "5"), (3, "7")):
        cells = lines[i].split(",")
        lines[i] = ",".join([*cells[:3], wrong, *cells[4:-1], "0123456789ab"])
    path.write_text("\n".join(lines) + "\n")
    with pytest.warns(UserWarning, match="2 of 3 rows"):
        assert [row["area"] for row in run(area, {"width": [1, 2, 3]}, path)] == [2, 5, 7]
    assert len(calls) == 3
    assert [row["area"] for row in run(area, {"width": [1, 2]}, path, anew=True)] == [2, 4]
    assert len(calls) == 4
    assert [(row["width"], row["area"]) for row in sweep.read(path)] == [(1, 2), (3, 7), (2, 4)], "others stay"
    run(area, {"width": [1, 2]}, path, anew=True)
    assert len(calls) == 4


def test_an_old_row_stays_until_there_is_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("k,seed,value,cpu_seconds,code\n1,0,-1,0.1,old\n2,0,-4,0.1,old\n")
    with pytest.raises(SweepError, match="1 of 2 points failed"):
        run(brittle, {"k": [1, 2]}, path, anew=True)
    assert [row["value"] for row in sweep.read(path)] == [-4, 1]


def test_two_sweeps_on_one_file_do_not_lose_each_others_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"

    def meddled(width: float, height: float = 2, seed: int = 0) -> dict[str, float]:
        if width == 1:
            run(area, {"width": [2, 9]}, path)
        return area(width, height, seed)

    rows = run(meddled, {"width": [1, 2]}, path)
    assert [row["area"] for row in rows] == [2, 4]
    assert sorted(row["width"] for row in sweep.read(path)) == [1, 2, 9]


# What is no good


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ({}, "width"),
        ({"width": []}, "empty"),
        ([], "empty"),
        ({"breadth": [1]}, "breadth"),
        ({"height": [1]}, "width"),
        ({"width": [math.nan]}, "width=nan"),
        ({"width": [(1, 2)]}, r"width=\(1, 2\)"),
        ({"width": ["5"]}, "width='5'"),
        ({"width": [""]}, "width=''"),
        ({"width": ["a\nb"]}, "number, word"),
        ({"width": [torch.ones(2)]}, "number, word"),
    ],
)
def test_grids_that_are_no_good(grid: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        run(area, grid, tmp_path / "x.csv")
    assert not calls
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (lambda k: {"v": math.inf}, "v is inf"),
        (lambda k: {"v": "much"}, "v is much"),
        (lambda k: {"k": 1}, "column called k"),
        (lambda k: {"code": 1}, "column called code"),
        (lambda k: None, "AttributeError"),
        (lambda k: {"v": torch.ones(2)}, "v is tensor|RuntimeError"),
        (lambda k: {"v": np.ones(2)}, "v is|ValueError"),
    ],
)
def test_results_that_are_no_numbers(returned: Callable[..., Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=said):
        run(returned, {"k": [1]}, tmp_path / "x.csv")
    assert sweep.read(tmp_path / "x.csv") == []


def test_a_function_that_changes_its_mind_about_columns(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="has columns"):
        run(lambda k: {f"v{k}": 1.0}, {"k": [1, 2]}, tmp_path / "x.csv")
    assert len(sweep.read(tmp_path / "x.csv")) == 1
    with pytest.raises(SweepError, match="begin with the columns width"):
        run(area, {"width": [1]}, tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"width,height\n1,2\n", "not a file of results"),
        (b"width,v,cpu_seconds,code\n1,2,3,a\n1,2\n1,2,3,a\n", "line 3: 2 cells under 4"),
        (b"\xff\xfe\x00\n", "not a readable file"),
    ],
)
def test_files_that_are_no_good(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    for attempt in (lambda: sweep.read(tmp_path / "x.csv"), lambda: run(area, {"width": [1]}, tmp_path / "x.csv")):
        with pytest.raises(SweepError, match=said):
            attempt()
    assert (tmp_path / "x.csv").read_bytes() == content
    assert not calls


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SweepError, match=r"cannot write .*choose another place"):
        run(area, {"width": [1]}, tmp_path / "file" / "x.csv")
    with pytest.raises(SweepError, match="not a readable file"):
        run(area, {"width": [1]}, tmp_path)
    with pytest.raises(SweepError, match="not a readable file"):
        sweep.read(tmp_path / "nothing.csv")
    assert not calls


def test_an_interrupted_sweep_keeps_its_rows(tmp_path: Path) -> None:
    def stops(k: int) -> dict[str, float]:
        if k == 2:
            raise KeyboardInterrupt
        return {"v": k}

    with pytest.raises(KeyboardInterrupt):
        run(stops, {"k": [0, 1, 2, 3]}, tmp_path / "x.csv")
    assert [row["v"] for row in sweep.read(tmp_path / "x.csv")] == [0, 1]

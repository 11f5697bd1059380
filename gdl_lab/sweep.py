"""A function at every point of a grid, one row of a CSV file each, which may be interrupted at any moment.

    rows = sweep.run(segment, {"copies": [1, 5, 20], "seed": range(3)}, "segmentation.csv", jobs=2)

A row holds all arguments of the call, defaults and so the seed included, then what the function returned, then

- ``cpu_seconds``: processor time of the process that measured it, over the call;
- ``code``: a hash of the code that measured it: of the function's module and every module of the same package that it
  takes functions, classes or their instances from, directly or through others; docstrings, comments and layout do not
  count. Hashes compare between runs of the same minor version of Python.

Every row is in the file as soon as it is known, so that a killed sweep loses only the points in progress, and the same
call goes on with those that are missing.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import inspect
import io
import itertools
import math
import os
import sys
import textwrap
import time
import types
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed, parallel_config
from tqdm.auto import tqdm

__all__ = ["SweepError", "code_hash", "read", "run"]

Row = dict[str, Any]
Measure = Callable[..., Mapping[str, Any]]


class SweepError(RuntimeError):
    """Points that failed, or a file of results that cannot be read, written or continued."""


def run(
    function: Measure,
    grid: Mapping[str, Iterable[Any]] | Iterable[Mapping[str, Any]],
    path: str | Path,
    jobs: int = 1,
    backend: str | None = None,
    *,
    anew: bool = False,
    progress: bool = True,
) -> list[Row]:
    """Call ``function`` at every point of the grid that ``path`` does not hold yet.

    Args:
        function: keyword arguments → numbers by name, finite, under the same names at every point. It has to be
            importable where other processes are to call it.
        grid: values of each argument, of which all combinations are taken, the first argument outermost; or the points
            themselves, in the order in which they are to be measured. Values are numbers, strings, booleans or None.
        path: CSV file, begun if it is not there. One sweep at a time writes to it.
        jobs: points at once, each in a process of its own; −1 takes every core.
        backend: one of joblib's; ``"dask"`` for the cluster of the present ``distributed.Client``; or the address of a
            Dask scheduler, such as ``"tcp://host:8786"``. On a cluster its workers decide how many points run at once.
        anew: measure again what other code has measured. Without it such rows stay, and a warning counts them.
        progress: show a bar.

    Returns:
        The rows of the grid's points, in its order, as `read` gives them.

    Raises:
        ValueError: what is no function or has no source, an empty grid, an argument that the function does not take, or
            a value that is none of the above.
        SweepError: at once, if the file cannot be written, has the columns of another function, or is damaged before
            its last line (a last line that was cut off is dropped). At the end, if points failed or returned what is
            not finite: it names them, and the others are in the file.
    """
    code, points, path = code_hash(function), _points(function, grid), Path(path)
    names = list(points[0])
    rows = read(path) if path.exists() else []
    if rows and list(rows[0])[: len(names)] != names:
        raise SweepError(f"{path} does not begin with the columns {', '.join(names)}: name another file")
    _store(path, rows)  # shows that the place can be written to, and drops a line that was cut off
    other = sum(row["code"] != code for row in rows)
    if other and not anew:
        warnings.warn(f"{other} of {len(rows)} rows in {path} are by other code: anew=True redoes them", stacklevel=2)
    done = {_key(row, names) for row in rows if not anew or row["code"] == code}
    missing = [point for point in points if _key(point, names) not in done]
    address = bool(backend and "://" in backend)
    place = {"backend": "dask", "scheduler_host": backend} if address else {"backend": backend or "loky"}
    failures = []
    try:
        with parallel_config(n_jobs=jobs, **place), tqdm(missing, path.stem, disable=not progress) as bar:
            # batches of one: what a worker keeps to itself is lost when the sweep is killed
            work = Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="all")
            for point, measured in work(delayed(_measure)(function, point) for point in missing):
                if isinstance(measured, str):
                    failures.append(f"{', '.join(f'{name}={value}' for name, value in point.items())}: {measured}")
                else:
                    _add(path, {**point, **measured, "code": code}, names)
                bar.update()
    except SweepError:
        raise
    except Exception as reason:  # a worker was killed, the function cannot be pickled, the cluster is gone, …
        said = " ".join([f"{type(reason).__name__}:", *str(reason).splitlines()[:1]])
        raise SweepError(f"stopped by {said}. What was measured is in {path}, and the same call goes on") from reason
    if failures:
        failed = f"{len(failures)} of {len(points)} points failed, the others are in {path}"
        raise SweepError(f"{failed}. {'; '.join(failures)}")
    found = {_key(row, names): row for row in read(path)}
    return [found[_key(point, names)] for point in points]


def read(path: str | Path) -> list[Row]:
    """The rows of a file of results, in the order in which they were measured; a line that was cut off is left out.

    Returns:
        Column → int, float, bool, str, or None for an empty cell.

    Raises:
        SweepError: the file cannot be read or is not one of results; the message names the line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as reason:
        raise SweepError(f"{path} is not a readable file of results ({type(reason).__name__})") from None
    header, *lines = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1]))) or [[]]
    if header and header[-2:] != ["cpu_seconds", "code"]:
        raise SweepError(f"{path} is not a file of results: its columns do not end in cpu_seconds, code")
    for number, line in enumerate(lines, start=2):
        if len(line) != len(header):
            raise SweepError(f"{path}, line {number}: {len(line)} cells under {len(header)} columns; mend or delete it")
    # a hash is text, even one that reads as a number, as 012345678901 and 1e2345678901 do
    cells = ([*map(_value, line[:-1]), line[-1]] for line in lines)
    return [dict(zip(header, row, strict=True)) for row in cells]


@cache  # sources may be edited while the process goes on with what it loaded
def code_hash(function: Measure) -> str:
    """Twelve hexadecimal digits for the code behind a function, as the head of this module describes it.

    Raises:
        ValueError: what ``def`` or ``lambda`` has not made, such as a ``partial``, or what has no source to be found.
    """
    if not inspect.isfunction(function):
        raise ValueError(f"expected a function, whose code can be told from other code, got {function!r}")
    package = function.__module__.partition(".")[0]
    waiting, sources = [function.__module__], dict[str, str]()
    while waiting:
        name = waiting.pop()
        if name in sources or name.partition(".")[0] != package:
            continue
        module = sys.modules[name]
        # a notebook has no file, and its names come and go: there the function alone counts
        part = module if hasattr(module, "__file__") else function
        try:
            sources[name] = _bare(inspect.getsource(part))
        except OSError:
            raise ValueError(f"there is no source of {part} to be found: define it in a file or a notebook") from None
        for value in vars(module).values():
            behind = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
            waiting += [behind] if isinstance(behind, str) and behind in sys.modules else []
    return hashlib.sha256(repr(sorted(sources.items())).encode()).hexdigest()[:12]


def _bare(source: str) -> str:
    """A source without its docstrings, comments and layout."""
    tree = ast.parse(textwrap.dedent(source))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.dump(tree)


def _points(function: Measure, grid: Mapping[str, Iterable[Any]] | Iterable[Mapping[str, Any]]) -> list[Row]:
    """All arguments of each call, without repetitions."""
    if isinstance(grid, Mapping):
        grid = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    points = {}
    for given in grid:
        try:
            bound = inspect.signature(function).bind(**given)
        except TypeError as reason:
            raise ValueError(f"{function.__name__} cannot be called with {dict(given)}: {reason}") from None
        bound.apply_defaults()
        point = {name: _plain(value) for name, value in bound.arguments.items()}
        for name, value in point.items():
            if "\n" in str(value) or type(value) is not type(back := _value(_cell(value))) or back != value:
                raise ValueError(f"{name}={value!r} is not a number, word, boolean or None that a CSV file can hold")
        points[_key(point, list(point))] = point
    if not points or not next(iter(points)):
        raise ValueError("the grid is empty: expected at least one point with an argument")
    return list(points.values())


def _measure(function: Measure, point: Row) -> tuple[Row, Row | str]:
    """The point with what was measured there, or with what went wrong."""
    began = time.process_time()
    try:
        measured = {name: _plain(value) for name, value in function(**point).items()}
    except Exception as reason:  # one point must not take the others with it
        return point, f"{type(reason).__name__}: {reason}"
    for name, value in measured.items():
        if not isinstance(value, int | float) or not math.isfinite(value):
            return point, f"{name} is {value}, expected a finite number"
        if name in (*point, "cpu_seconds", "code"):
            return point, f"a column called {name} is there already"
    return point, {**measured, "cpu_seconds": round(time.process_time() - began, 2)}


def _add(path: Path, row: Row, names: list[str]) -> None:
    """One row more, in the place of an older one of the same point."""
    rows = read(path)  # anew, lest what another sweep has written meanwhile be lost
    if rows and list(rows[0]) != list(row):
        raise SweepError(f"{path} has columns {', '.join(rows[0])}, got {', '.join(row)}: name another file")
    _store(path, [*(old for old in rows if _key(old, names) != _key(row, names)), row])


def _store(path: Path, rows: list[Row]) -> None:
    """The whole file under another name, then renamed: it is never half there."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([map(_cell, line) for line in (*rows[:1], *map(dict.values, rows))])
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text.getvalue(), encoding="utf-8", newline="")
        os.replace(partial, path)
    except OSError as reason:
        raise SweepError(f"cannot write {path} ({reason.strerror}): choose another place") from None


def _key(row: Row, names: list[str]) -> tuple[str, ...]:
    return tuple(_cell(row[name]) for name in names)


def _plain(value: Any) -> Any:
    """A number of Python for one of NumPy or PyTorch."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def _value(cell: str) -> Any:
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            pass
    return {"": None, "True": True, "False": False}.get(cell, cell)

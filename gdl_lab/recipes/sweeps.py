"""The course's sweeps: grids of experiments that take hours, and whose results come with it as CSV files."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from gdl_lab import sweep
from gdl_lab.discovery import census
from gdl_lab.recipes import rotated_digits
from gdl_lab.recipes.shelf import shelf
from gdl_lab.recipes.spherical_digits import classify, segment

__all__ = ["SWEEPS", "Sweep", "plateaus", "results", "run", "stored"]

Point = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A function and the points at which it is measured.

    Attributes:
        name: of the sweep and of its file.
        title: one sentence for the reader.
        function: as `gdl_lab.sweep.run` takes it.
        points: in the order in which they are measured, the most telling first.
    """

    name: str
    title: str
    function: Callable[..., Mapping[str, Any]]
    points: Sequence[Point]


def every(**values: Sequence[Any]) -> Iterator[Point]:
    """All combinations, the first argument outermost."""
    return (dict(zip(values, chosen, strict=True)) for chosen in product(*values.values()))


EQUIVARIANT: dict[str, Any] = {"network": ["equivariant"]}
COPIES = (1, 5, 20, 50)


def unets(width: int, steps: Sequence[int], copies: Sequence[int], **values: Sequence[Any]) -> Iterator[Point]:
    """U-Nets that have a chance to come to rest: those with few pictures need few steps."""
    enough = {0: 1000, 1: 2000, 2: 2000, 5: 4000}
    points = every(**values, network=[f"unet-{width}"], copies=copies, steps=steps)
    return (point for point in points if point["steps"] <= enough.get(point["copies"], 8000))


SEGMENTATION = Sweep(
    name="sphere-segmentation",
    title="Segmentation of digits on the sphere: an equivariant network and U-Nets with ever more rotated copies.",
    function=segment,
    points=(
        *every(**EQUIVARIANT, seed=[0], steps=[500]),
        *unets(8, [500], COPIES, seed=[0]),
        *every(**EQUIVARIANT, seed=[0], steps=[1000, 2000]),
        *unets(8, [1000, 2000, 4000], (20, 5, 1, 50), seed=[0]),
        *unets(8, [8000], [20, 50], seed=[0]),
        *every(**EQUIVARIANT, seed=[1, 2], steps=[500, 1000, 2000]),
        # both at once
        *every(**EQUIVARIANT, copies=[20], steps=[2000, 4000, 1000], seed=[0, 1, 2]),
        *every(**EQUIVARIANT, copies=[50], steps=[4000, 2000], seed=[0, 1, 2]),
        *unets(8, [500, 1000, 2000, 4000, 8000], COPIES, seed=[1, 2]),
        *unets(8, [500, 1000], [0], seed=[0]),
        *unets(8, [500, 1000, 2000, 4000, 8000], [2, 10], seed=[0, 1, 2]),
        *unets(16, [1000, 2000, 4000, 8000], (20, 50, 5, 1, 2, 10), seed=[0, 1, 2]),
        *every(**EQUIVARIANT, seed=[0, 1, 2], steps=[4000]),
        # rates half and twice as large, judged by the digits held out, and areas left out of the training
        *every(**EQUIVARIANT, steps=[1000], rate_factor=[0.5, 2.0]),
        *unets(8, [2000], [20], rate_factor=[0.5, 2.0]),
        *every(**EQUIVARIANT, steps=[1000], weighted=[False]),
        *unets(8, [2000], [20], weighted=[False]),
        # fewer and more digits
        *every(**EQUIVARIANT, digits=[100, 250, 1000], steps=[500, 1000, 2000], seed=[0, 1, 2]),
        *unets(8, [1000, 2000, 4000, 8000], [20], digits=[100, 250, 1000], seed=[0, 1, 2]),
    ),
)

TURNED: dict[str, Any] = {"network": ["planar"], "rotated": [True]}

CLASSIFICATION = Sweep(
    name="sphere-classification",
    title="Digits on the sphere read by an equivariant and by a planar network, upright, turned, and as published.",
    function=classify,
    points=(
        *every(steps=[500], rotated=[False, True], network=["planar", "equivariant"], seed=[0]),
        # the published stencil
        *every(**EQUIVARIANT, stencil=[2], steps=[500], seed=[0]),
        *every(steps=[1000, 2000], rotated=[False, True], network=["planar", "equivariant"], seed=[0]),
        # the planar network's rate and pooling, judged by the digits held out
        *every(**TURNED, steps=[1000], head=["mean"], rate_factor=[0.5, 2.0]),
        *every(**TURNED, steps=[1000], head=["flatten"], rate_factor=[0.5, 1.0, 2.0]),
        # a pose for 500 pictures, and for 33: as many poses as 60,000 published pictures have
        *every(**TURNED, digits=[4000], steps=[2000], shared=[1, 500, 33], seed=[0]),
        *every(**TURNED, digits=[4000], steps=[2000], stencil=[2], shared=[1, 500], seed=[0, 1, 2]),
        *every(seed=[1, 2], steps=[500, 1000, 2000], rotated=[False, True], network=["planar", "equivariant"]),
        *every(**EQUIVARIANT, stencil=[2], steps=[1000, 2000], seed=[0, 1, 2]),
        *every(seed=[1, 2], **TURNED, digits=[4000], steps=[2000], shared=[1, 500, 33]),
        *every(seed=[0, 1, 2], digits=[4000], steps=[2000], rotated=[False], network=["planar", "equivariant"]),
        *every(seed=[0, 1, 2], digits=[4000], steps=[2000], rotated=[True], network=["equivariant"]),
        *every(seed=[0, 1, 2], digits=[4000], steps=[4000], rotated=[False, True], network=["planar", "equivariant"]),
    ),
)

FOUR: dict[str, Any] = {"items": [4], "bandlimit": [20]}
SLOWLY: dict[str, Any] = {"rate_factor": [0.2]}

FOUR_DIGITS = Sweep(
    name="sphere-four-digits",
    title="Four digits on each sphere, at a larger bandlimit and without global logits; it wants a GPU or a weekend.",
    function=segment,
    points=(
        *every(**EQUIVARIANT, **FOUR, steps=[1000], seed=[0]),
        # in 2,000 steps a U-Net finds strokes, but tells no digits apart, at the rate for one digit or at another
        *unets(8, [1000, 2000], [20], **FOUR, seed=[0]),
        *unets(8, [2000, 4000], [20], **FOUR, **SLOWLY, seed=[0]),
        *every(**EQUIVARIANT, **FOUR, steps=[2000], seed=[0]),
        *unets(8, [2000, 4000, 8000], (50, 5), **FOUR, **SLOWLY, seed=[0]),
        *every(**EQUIVARIANT, **FOUR, steps=[4000], seed=[0]),
        *unets(8, [8000], [20], **FOUR, **SLOWLY, seed=[0]),
        *unets(16, [2000, 4000, 8000], (20, 50, 5), **FOUR, **SLOWLY, seed=[0]),
        *every(**EQUIVARIANT, **FOUR, steps=[1000, 2000, 4000], seed=[1, 2]),
        *unets(8, [2000, 4000, 8000], (20, 50, 5), **FOUR, **SLOWLY, seed=[1, 2]),
        *unets(16, [2000, 4000, 8000], (20, 50, 5), **FOUR, **SLOWLY, seed=[1, 2]),
    ),
)

ROTATED_DIGITS = Sweep(
    name="rotated-digits",
    title="Rotated digits on the plane, read by a C4 network and by an ordinary one with ever more rotated copies.",
    function=rotated_digits.measure,
    points=rotated_digits.GRID,
)

HYPERBOLIC_KNOTS = Sweep(
    name="hyperbolic-knots",
    title="Invariants of hyperbolic knots up to 14 crossings, computed by SnapPy, which is an extra.",
    function=census.derive,
    points=[{"name": name} for name in census.names(3000)],
)

SWEEPS: dict[str, Sweep] = {
    each.name: each for each in (SEGMENTATION, CLASSIFICATION, FOUR_DIGITS, ROTATED_DIGITS, HYPERBOLIC_KNOTS)
}


def results(name: str, folder: str | Path | None = None) -> Path:
    """Where the results of a sweep lie: ``data/results`` of the checkout, or of the user's cache.

    Raises:
        ValueError: there is no such sweep.
    """
    if name not in SWEEPS:
        raise ValueError(f"unknown sweep {name!r}: expected one of {', '.join(SWEEPS)}")
    return (shelf().parent / "results" if folder is None else Path(folder)) / f"{name}.csv"


def stored(name: str, folder: str | Path | None = None) -> list[dict[str, Any]]:
    """The rows of a sweep that are there, in the order in which they were measured; none if there is no file.

    Raises:
        ValueError: there is no such sweep.
        SweepError: the file is damaged.
    """
    path = results(name, folder)
    return sweep.read(path) if path.exists() else []


def run(name: str, folder: str | Path | None = None, **options: Any) -> list[dict[str, Any]]:
    """Measure what is missing of a sweep; options and errors are those of `gdl_lab.sweep.run`."""
    path = results(name, folder)
    return sweep.run(SWEEPS[name].function, SWEEPS[name].points, path, **options)


def plateaus(
    name: str, folder: str | Path | None = None, *, held_out: str = "miou_held_out", gain: float = 0.01
) -> list[dict[str, Any]]:
    """For each setting of a sweep, the longest training that is stored, and whether it had come to rest.

    The one rule: twice as many steps brought less than ``gain`` on the digits held out.

    Args:
        name: of a sweep with an argument ``steps``.
        held_out: column that is compared, larger is better.

    Returns:
        Rows of `stored`, one for each setting of the other arguments, with ``settled``: True, False where more steps
        still helped, or None where there is no training of half the length to compare with.

    Raises:
        ValueError: the sweep is unknown, has no steps, or no such column.
    """
    rows = stored(name, folder)
    names = list(inspect.signature(SWEEPS[name].function).parameters)
    if "steps" not in names:
        raise ValueError(f"{name} has no argument steps")
    if rows and held_out not in rows[0]:
        raise ValueError(f"{name} has no column {held_out!r}: expected one of {', '.join(rows[0])}")
    settings: dict[tuple[Any, ...], dict[int, dict[str, Any]]] = {}
    for row in rows:
        settings.setdefault(tuple(row[k] for k in names if k != "steps"), {})[row["steps"]] = row
    longest = []
    for lengths in settings.values():
        row, half = lengths[max(lengths)], lengths.get(max(lengths) // 2)
        longest.append({**row, "settled": None if half is None else row[held_out] - half[held_out] < gain})
    return longest

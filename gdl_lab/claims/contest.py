"""Equivariance against augmentation on the sphere: what the stored sweeps of digits say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

__all__ = ["USUAL", "Point", "after", "best", "contestants", "in_equal_time", "longest_trainings", "stored_shares"]

USUAL = {"items": 1, "bandlimit": 12, "weighted": True, "rate_factor": 1.0}  # of the sweep `sphere-segmentation`


class Point(NamedTuple):
    """A network, its copies and its steps, with means over the seeds that are stored."""

    network: str
    copies: int
    steps: int
    seeds: int
    miou: float
    held_out: float
    seconds: float


def contestants(rows: Sequence[Mapping[str, Any]], **special: Any) -> tuple[list[Point], list[Point], list[Point]]:
    """The points of a sweep of segmentation with 500 pictures and nothing special but what is given, of three kinds.

    Spherical networks that saw upright digits, U-Nets, and spherical networks that saw rotated copies.
    """
    usual = {**USUAL, "digits": 500, **special}.items()
    groups: dict[tuple[str, int, int], list[Mapping[str, Any]]] = {}
    for row in rows:
        if usual <= row.items():
            groups.setdefault((row["network"], row["copies"], row["steps"]), []).append(row)
    columns = ("miou", "miou_held_out", "training_seconds")
    points = [
        Point(*key, len(found), *(fmean(row[name] for row in found) for name in columns))
        for key, found in groups.items()
    ]
    spherical = [p for p in points if p.network == "equivariant"]
    return (
        [p for p in spherical if p.copies == 0],
        [p for p in points if p.network != "equivariant"],
        [p for p in spherical if p.copies > 0],
    )


def best(points: Sequence[Point]) -> Point | None:
    """By the digits held out, among those with most seeds: the best of many single trainings would be luck."""
    most = max((point.seeds for point in points), default=0)
    return max((point for point in points if point.seeds == most), key=lambda point: point.held_out, default=None)


def after(seconds: float, points: Sequence[Point]) -> list[Point]:
    """Where each network with its copies had got to, of those that had begun to be measured by then.

    Scores lie on straight lines between the lengths of its training, in the logarithm of time, and rest after the last.
    """
    ladders: dict[tuple[str, int], list[Point]] = {}
    for point in sorted(points, key=lambda point: point.seconds):
        ladders.setdefault((point.network, point.copies), []).append(point)
    reached = []
    for ladder in ladders.values():
        if ladder[0].seconds <= seconds:
            network, copies, steps, seeds, miou, held_out, times = zip(*ladder, strict=True)
            read = partial(np.interp, math.log(seconds), np.log(times))
            reached.append(
                Point(network[0], copies[0], steps[0], min(seeds), float(read(miou)), float(read(held_out)), seconds)
            )
    return reached


def in_equal_time(spherical: Sequence[Point], unets: Sequence[Point]) -> dict[str, float]:
    """Mean IoU of the spherical network minus that of the best U-Net in the same processor time, as a claim gives it.

    The value is at the spherical network's shortest training to which there is a U-Net, ``after_1000`` and so on at its
    longer ones.
    """
    pairs = [
        (ours, rival)
        for ours in sorted(spherical, key=lambda point: point.steps)
        if (rival := best(after(ours.seconds, unets)))
    ]
    if not pairs:
        return {"value": math.nan}
    (ours, rival), *longer = pairs
    return {
        "value": ours.miou - rival.miou, "spherical": ours.miou, "unet": rival.miou, "copies": rival.copies,
        **{f"after_{point.steps}": point.miou - other.miou for point, other in longer},
    }  # fmt: skip


def longest_trainings(rows: Sequence[Mapping[str, Any]]) -> list[list[object]]:
    """Lines of a table from rows of `recipes.sweeps.plateaus`, for each network and number of copies.

    Network, copies, steps of its longest training and, means over the seeds that had it: seconds, mean IoU on training
    pictures, on fresh rotations with all points counted alike, and with their areas, where (lowest–highest) is over
    seeds; at last, for how many of these seeds the second half of the steps had brought next to nothing.
    """
    groups: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["network"], row["copies"]), []).append(row)
    lines: list[list[object]] = []
    for (network, copies), found in sorted(groups.items()):
        steps = max(row["steps"] for row in found)
        longest = [row for row in found if row["steps"] == steps]
        columns = ("training_seconds", "miou_training", "miou_points", "miou")
        *means, miou = (fmean(row[name] for row in longest) for name in columns)
        scores = [row["miou"] for row in longest]
        spread = f" ({min(scores):.3f}–{max(scores):.3f})" if len(scores) > 1 else ""
        known = [row["settled"] for row in longest if row["settled"] is not None]
        rest = f"{sum(known)} of {len(known)}" if known else "–"
        lines.append([network, copies, steps, *means, f"{miou:.3f}{spread}", rest])
    return lines


def stored_shares(rows: Sequence[Mapping[str, Any]], column: str, **at: Any) -> str:
    """The mean of a column of the sweep `sphere-classification` and its seeds, in words.

    Over the rows with these values, where they are not given with bilinear sampling, a pose a picture, the usual rate
    and pooling; of these the longest training.
    """
    wanted = {"stencil": 1, "shared": 1, "head": "mean", "rate_factor": 1.0, **at}
    found = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    longest = [float(row[column]) for row in found if row["steps"] == max(one["steps"] for one in found)]
    return f"{fmean(longest):.1%} ({len(longest)})" if longest else "–"

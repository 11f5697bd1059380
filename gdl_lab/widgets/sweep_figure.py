"""The results of a sweep as a figure to ask: which axis, which models, and what does it cost to get this far?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import traitlets

from gdl_lab.widgets.stage import Widget, bundle

__all__ = ["SweepFigure"]

MOST_ROWS, MOST_FAMILIES = 1000, 8
SLACK = 1e-9  # means that are nearer than this are as good as one another
Row = dict[str, Any]


class SweepFigure(Widget):
    """Points of a sweep, each the mean over its seeds with bars from the lowest to the highest seed.

    What to try: choose a point of the equivariant network. The dashed line carries its quality across, and the table
    says what each of the others had to be given to get there, or that none did. Now change the axis from the number of
    images to the seconds: who is ahead may change. Look at the bars before believing a difference.

    Args:
        rows: one mapping for each run, as `gdl_lab.sweep.read` gives them; values are numbers, words or None. A run
            without a number on one of the axes is left out where that axis is shown.
        x: columns for the horizontal axis, the first is shown first.
        y: columns for the vertical axis.
        family: column whose values are the colours, eight at most.
        at: columns that, with the family, tell one point from another; a line joins points in the order of the first.
        seed: column over which a point is averaged.
        lower: the columns of ``y`` of which less is better.
        labels: names of columns as the page shows them, units included.
        settings: any trait below, such as ``log_x=True`` or ``point=3``.

    Raises:
        ValueError: no rows or more than 1,000, columns that are not there, axes without a single number, or more than
            eight families.
        TraitError: a setting outside its range, such as a family that is not there.

    Example:
        >>> runs = [{"net": "a", "n": n, "seed": s, "hit": n / (n + 10 - s)} for n in (10, 20) for s in (0, 1)]
        >>> SweepFigure(runs, x="n", y="hit", family="net", at="n").readout(point=1)["rows"]
        2.0
    """

    _esm = bundle("sweep_figure")

    rows: Any = traitlets.List(traitlets.Dict()).tag(sync=True)
    x_columns: Any = traitlets.List(traitlets.Unicode()).tag(sync=True)
    y_columns: Any = traitlets.List(traitlets.Unicode()).tag(sync=True)
    family = traitlets.Unicode().tag(sync=True)
    at: Any = traitlets.List(traitlets.Unicode()).tag(sync=True)
    seed = traitlets.Unicode().tag(sync=True)
    lower: Any = traitlets.List(traitlets.Unicode()).tag(sync=True)
    labels: Any = traitlets.Dict().tag(sync=True)
    families: Any = traitlets.List(traitlets.Unicode()).tag(sync=True)
    x = traitlets.Unicode().tag(sync=True)
    y = traitlets.Unicode().tag(sync=True)
    shown: Any = traitlets.List(traitlets.Unicode()).tag(sync=True)
    log_x = traitlets.Bool(False).tag(sync=True)
    log_y = traitlets.Bool(False).tag(sync=True)
    point = traitlets.Int(0, min=0).tag(sync=True)

    def __init__(
        self,
        rows: Iterable[Mapping[str, Any]],
        *,
        x: str | Sequence[str],
        y: str | Sequence[str],
        family: str,
        at: str | Sequence[str],
        seed: str = "seed",
        lower: str | Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        across, up, told, less = ([c] if isinstance(c, str) else list(c) for c in (x, y, at, lower))
        if not (across and up and told):
            raise ValueError("expected a column or more for each of x, y and at")
        runs = _check_rows(rows, [*across, *up, family, *told, seed])
        for run in runs:  # words, so that Python and the page have one name for None, True or 1.0
            run[family] = str(run[family])
            run.update({column: run[column] if _number(run[column]) else str(run[column]) for column in told})
        for column in (*across, *up):
            if not any(_number(run[column]) for run in runs):
                raise ValueError(f"column {column!r} has no number to draw")
        if unknown := set(less) - set(up):
            raise ValueError(f"expected lower among the columns of y, got {', '.join(sorted(unknown))}")
        families = list(dict.fromkeys(run[family] for run in runs))
        if len(families) > MOST_FAMILIES:
            raise ValueError(f"expected {MOST_FAMILIES} families at most, {family!r} has {len(families)}")
        super().__init__(
            rows=runs,
            x_columns=across,
            y_columns=up,
            family=family,
            at=told,
            seed=seed,
            lower=less,
            labels=dict(labels or {}),
            families=families,
            **{"x": across[0], "y": up[0], "shown": families, **settings},
        )

    @traitlets.validate("x", "y", "shown")
    def _check_choice(self, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        known = {"x": self.x_columns, "y": self.y_columns, "shown": self.families}[name]
        if unknown := [each for each in (value if name == "shown" else [value]) if each not in known]:
            raise traitlets.TraitError(f"expected {name} among {', '.join(known)}, got {', '.join(map(str, unknown))}")
        return value

    def __repr__(self) -> str:
        return f"SweepFigure({len(self.rows)} runs; {', '.join(self.families)})"

    def readout(self, **settings: Any) -> dict[str, float]:
        """The numbers beside the figure.

        Args:
            settings: ``x``, ``y``, ``shown`` and ``point``, the number of a point in the order of the page: family
                after family, and by ``at`` in each; where that one is not shown, the first that is stands in for it.

        Returns:
            ``points`` that are shown; and if there are any, of the chosen one the means ``x`` and ``y``, the lowest and
            highest ``y_low`` and ``y_high``, and the number of its ``rows``; and for each family with a point as good
            or better in the mean, ``reach_`` and its name: the smallest x of those.
        """
        x, y, shown, chosen = self.chosen(("x", "y", "shown", "point"), settings, ("log_x", "log_y"))
        groups: dict[Any, list[tuple[float, float]]] = {}
        for run in sorted(self.rows, key=self._place):
            pairs = groups.setdefault(self._place(run), [])
            if _number(run[x]) and _number(run[y]):
                pairs.append((float(run[x]), float(run[y])))
        names = [self.families[family] for family, *_ in groups]
        points = [(name, _mean(p, 0), _mean(p, 1), p) for name, p in zip(names, groups.values(), strict=True)]
        seen = [k for k, (name, *_, pairs) in enumerate(points) if name in shown and pairs]
        if not seen:
            return {"points": 0.0}
        _, mean_x, mean_y, pairs = points[chosen if chosen in seen else seen[0]]
        heights = [height for _, height in pairs]
        numbers = {"points": float(len(seen)), "x": mean_x, "y": mean_y, "rows": float(len(pairs))}
        numbers |= {"y_low": min(heights), "y_high": max(heights)}
        sign, slack = -1 if y in self.lower else 1, SLACK * max(1.0, abs(mean_y))
        for name in self.families:
            good = [points[k][1] for k in seen if points[k][0] == name and sign * (points[k][2] - mean_y) >= -slack]
            numbers |= {f"reach_{name}": min(good)} if good else {}
        return numbers

    def _place(self, run: Row) -> tuple[Any, ...]:
        """What a run's point is known by and sorted by: its family, then ``at``, numbers before words."""
        values = [run[column] for column in self.at]
        order = [(0, float(v), "") if _number(v) else (1, 0.0, v) for v in values]
        return (self.families.index(run[self.family]), *order)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _mean(pairs: Sequence[tuple[float, float]], k: int) -> float:
    return math.fsum(pair[k] for pair in pairs) / len(pairs) if pairs else math.nan


def _check_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> list[Row]:
    """The columns that are needed, as plain values; what is not finite becomes None."""
    runs = list(rows)
    if not 0 < len(runs) <= MOST_ROWS:
        raise ValueError(f"expected 1 to {MOST_ROWS:,} rows, got {len(runs):,}")
    plain = []
    for k, run in enumerate(runs):
        if missing := [column for column in dict.fromkeys(columns) if column not in run]:
            raise ValueError(f"row {k} has no {', '.join(map(repr, missing))}: it has {', '.join(map(repr, run))}")
        plain.append({column: _plain(run[column]) for column in dict.fromkeys(columns)})
    return plain


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value

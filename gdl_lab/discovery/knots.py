"""Hyperbolic knots as a table of features and signatures; `census` computes the rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["CUSP", "FEATURES", "Knots", "rounded"]

FEATURES = (
    "volume", "cusp volume", "Re meridian", "Im meridian", "longitude", "Chern–Simons", "log₂ symmetries",
    "amphicheiral", "alternating", "crossings",
)  # fmt: skip
CUSP = ("Re meridian", "Im meridian", "longitude")


@dataclass(frozen=True)
class Knots:
    """A table of knots.

    Attributes:
        names: as in the table of Hoste and Thistlethwaite.
        x: the `FEATURES`, ``(n, 10)``, float64. Lengths are those of the maximal cusp, volumes hyperbolic.
        signature: ``(n,)``, int64, even.
    """

    names: tuple[str, ...]
    x: Tensor
    signature: Tensor

    def __len__(self) -> int:
        return len(self.names)

    @property
    def slope(self) -> Tensor:
        """The natural slope Re(λ/μ), ``(n,)``."""
        re, im, longitude = self.columns(*CUSP).unbind(1)
        return longitude * re / (re.square() + im.square())

    def columns(self, *features: str) -> Tensor:
        """Some of the features, in the order asked for, ``(n, len(features))``.

        Raises:
            ValueError: an unknown feature.
        """
        unknown = [name for name in features if name not in FEATURES]
        if unknown:
            raise ValueError(f"unknown features {unknown}: expected some of {', '.join(FEATURES)}")
        return self.x[:, [FEATURES.index(name) for name in features]]

    def mirrored(self) -> Knots:
        """The mirror images: Re μ, Chern–Simons and signature change sign, all else stays."""
        sign = torch.tensor([-1.0 if name in ("Re meridian", "Chern–Simons") else 1.0 for name in FEATURES])
        return Knots(tuple(f"m{name}" for name in self.names), self.x * sign.to(self.x), -self.signature)

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]]) -> Knots:
        """The table from rows with a name and what `gdl_lab.discovery.census.derive` gives.

        Raises:
            ValueError: no rows, one without a column, or one of which a number is not finite.
        """
        if not rows:
            raise ValueError("there are no knots: `gdl-lab sweep hyperbolic-knots` computes them")
        try:
            x = torch.tensor([_features(row) for row in rows], dtype=torch.float64)
            signature = torch.tensor([int(row["signature"]) for row in rows])
        except KeyError as missing:
            raise ValueError(f"a row of the table has no column {missing}") from None
        if not x.isfinite().all():
            bad = rows[int((~x.isfinite().all(1)).nonzero()[0])]["name"]
            raise ValueError(f"the features of {bad} are not finite: {x[~x.isfinite().all(1)][0].tolist()}")
        return cls(tuple(row["name"] for row in rows), x, signature)


def _features(row: Mapping[str, Any]) -> list[float]:
    kind = re.fullmatch(r"K(\d+)([an])\d+", str(row["name"]))
    if kind is None:
        raise ValueError(f"{row['name']!r} is not the name of a knot, such as K14n12345")
    cusp = row["longitude"] * row["meridian_im"] / 2
    return [
        row["volume"], cusp, row["meridian_re"], row["meridian_im"], row["longitude"], row["chern_simons"],
        torch.tensor(float(row["symmetries"])).log2().item(), row["amphicheiral"], kind[2] == "a", int(kind[1]),
    ]  # fmt: skip


def rounded(prediction: Tensor) -> Tensor:
    """The nearest even numbers, as signatures of knots are, int64."""
    return 2 * (prediction / 2).round().long()

"""Points on a manifold of known dimension, or the reader's own, and what nearest neighbours say at every scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import traitlets
from numpy.typing import NDArray
from torch import Tensor

from gdl_lab.manifold import CHARTS, levina_bickel, neighbours, participation_ratio, principal_variances, two_nn
from gdl_lab.widgets.stage import Finite, Widget, bundle, finite_array, float32_bytes

__all__ = ["DimensionEstimate", "draw", "uniform"]

Array = NDArray[np.float64]
FEWEST, MOST = 100, 600  # points


class DimensionEstimate(Widget):
    """Points, drawn on a manifold with noise, and the estimates of its dimension for every number of neighbours k.

    Args:
        points: the reader's own, shape (n, D), 100 to 600 points of at most 128 coordinates, none of them twice; they
            join the drawn manifolds, and are shown along their first three principal axes.
        title: what the points are called.
        shape: one of `CHARTS`, or ``title``.
        n: number of points; of the reader's own at most as many as there are.
        ambient: dimension D of the space, 3 to 12; for drawn points.
        noise: standard deviation of a normal displacement in each of the D directions.
        k: neighbours, 3 to 60.
        seed: of the random numbers.

    Raises:
        ValueError: wrong shapes, NaN, or repeated points.
        TraitError: a shape that is not known, or a setting outside its range.

    Example:
        >>> abs(DimensionEstimate(shape="sphere", n=600).readout(k=10, noise=0.0)["mle"] - 2) < 0.1
        True
    """

    _esm = bundle("dimension")

    points = traitlets.Bytes().tag(sync=True)
    axes = traitlets.Bytes().tag(sync=True)
    columns = traitlets.Int(0).tag(sync=True)
    title = traitlets.Unicode("your points").tag(sync=True)
    shape = traitlets.Unicode("sphere").tag(sync=True)
    n = traitlets.Int(400, min=FEWEST, max=MOST).tag(sync=True)
    ambient = traitlets.Int(3, min=3, max=12).tag(sync=True)
    noise = Finite(0.02, min=0.0, max=1.0).tag(sync=True)
    k = traitlets.Int(10, min=3, max=60).tag(sync=True)
    seed = traitlets.Int(0, min=0).tag(sync=True)
    turn = Finite(15.0).tag(sync=True)
    tilt = Finite(20.0).tag(sync=True)

    def __init__(
        self, points: Any = None, title: str = "your points", shape: str | None = None, **settings: Any
    ) -> None:
        stored: dict[str, Any] = {}
        if points is not None:
            x = check_points(points)
            axes = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:3]
            stored = {"points": float32_bytes(x), "axes": float32_bytes(axes), "columns": x.shape[1]}
        super().__init__(**stored, title=title, shape=shape or (title if stored else list(CHARTS)[2]), **settings)

    @traitlets.validate("shape")
    def _check_shape(self, proposal: Any) -> str:
        known, value = [*CHARTS, *([self.title] if self.columns else [])], str(proposal["value"])
        if value not in known:
            raise traitlets.TraitError(f"unknown shape {value!r}: expected one of {', '.join(known)}")
        return value

    def __repr__(self) -> str:
        own = f", {len(self.points) // 4 // self.columns} points of its own" if self.columns else ""
        return f"DimensionEstimate({self.shape}{own})"

    def readout(self, **settings: Any) -> dict[str, float]:
        """The numbers beside the picture, by `gdl_lab.manifold`; arguments default to the present traits.

        Args:
            settings: ``shape``, ``n``, ``ambient``, ``noise``, ``k`` and ``seed``; the view changes no number.

        Returns:
            ``mle``, after Levina and Bickel with inverse averages; ``plain``, with plain averages; ``two_nn``;
            ``participation``, the participation ratio; ``scale``, the median distance to the k-th neighbour; and
            ``truth`` where it is known.
        """
        names = ("shape", "n", "ambient", "noise", "k", "seed")
        shape, n, ambient, noise, k, seed = self.chosen(names, settings, ("turn", "tilt"))
        own = np.frombuffer(self.points, "<f4").astype(np.float64).reshape(-1, self.columns or 1)
        x = draw(None if shape in CHARTS else own[:n], shape, n, ambient, noise, seed)
        r, _ = neighbours(x, k)
        return {
            "mle": levina_bickel(r),
            "plain": levina_bickel(r, average="plain"),
            "two_nn": two_nn(r),
            "participation": participation_ratio(principal_variances(x)),
            "scale": float(np.median(r[:, -1].numpy())),
            **({"truth": float(CHARTS[shape].dimension)} if shape in CHARTS else {}),
        }


def uniform(seed: int, stream: int, count: int) -> Array:
    """The first numbers of a stream, uniform in [0, 1): mulberry32, whose state is a counter."""
    index = np.arange(1, count + 1, dtype=np.uint32)
    start = np.array((2 * seed + stream + 1) * 0x9E3779B9 % 2**32, dtype=np.uint32)
    t = start + index * np.uint32(0x6D2B79F5)
    t = (t ^ (t >> 15)) * (t | 1)
    t = (t + (t ^ (t >> 7)) * (t | 61)) ^ t
    return (t ^ (t >> 14)) / 2.0**32


def draw(own: Array | None, shape: str, n: int, ambient: int, noise: float, seed: int) -> Tensor:
    """The points of the picture, shape ``(n, D)``: drawn, or the reader's own, with noise."""
    if own is None:
        drawn = CHARTS[shape].place(torch.from_numpy(uniform(seed, 0, 2 * n)).view(n, 2))
        x = torch.cat([drawn, torch.zeros(n, ambient - 3, dtype=torch.float64)], 1)
    else:
        x = torch.from_numpy(own)
    first, second = uniform(seed, 1, 256 * len(x)).reshape(len(x), 128, 2)[:, : x.shape[1]].transpose(2, 0, 1)
    return x + noise * torch.from_numpy(np.sqrt(-2 * np.log1p(-first)) * np.cos(2 * np.pi * second))


def check_points(points: Any) -> Array:
    """Points of the reader's own as float32 numbers in a float64 array."""
    x = finite_array(points, "points", "(n, D)")
    if x.ndim != 2 or not (FEWEST <= len(x) <= MOST and 3 <= x.shape[1] <= 128):
        raise ValueError(f"expected points of shape (n, D), n from {FEWEST} to {MOST}, D from 3 to 128, got {x.shape}")
    x = x.astype("<f4").astype(np.float64)
    if len(np.unique(x, axis=0)) < len(x):
        raise ValueError("some points are there twice: their distance 0 has no logarithm")
    return x

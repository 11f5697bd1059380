"""What the transforms on S² and SO(3) share: waves on a circle, mirrored nodes of β, what they ask of their input."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gdl_lab.sphere.quadrature import gauss_legendre

__all__ = [
    "bands",
    "check_bandlimit",
    "check_batch",
    "check_finite",
    "check_oversample",
    "circle",
    "grid_shape",
    "mirrored",
    "nodes",
    "waves",
]

BLOCK = 2**18  # numbers of a signal worked on at a time: some 1 MB, what a processor core keeps near


def grid_shape(bandlimit: int, orders: int, oversample: float) -> tuple[int, int, int]:
    """(n_beta, n_alpha, n_gamma), all even, for ``oversample`` times the bandlimit and the orders."""
    half = math.ceil(oversample * bandlimit)
    return half + half % 2, 2 * half, 2 * math.ceil(oversample * orders)


def circle(n: int) -> Tensor:
    """n angles from 0, float64, shape (n,)."""
    return torch.arange(n, dtype=torch.float64) * (2 * math.pi / n)


def nodes(n_beta: int, dtype: torch.dtype | None, device: torch.device | str | None) -> tuple[Tensor, Tensor]:
    """Gauss–Legendre nodes β and weights as tensors, shape (n_beta,)."""
    beta, weights = (torch.from_numpy(a.astype(np.float64)) for a in gauss_legendre(n_beta))
    dtype = dtype or torch.get_default_dtype()
    return beta.to(device, dtype), weights.to(device, dtype)


def waves(frequencies: int, n: int) -> npt.NDArray[np.float64]:
    """cos kφ and sin kφ at n points of the circle, shape (2, frequencies, n)."""
    # kφ is reduced to the circle as an integer: rounding 2πkj/n first would lose digits
    phase = 2 * np.pi * (np.outer(np.arange(frequencies), np.arange(n)) % n) / n
    return np.stack([np.cos(phase), np.sin(phase)])


def mirrored(n_beta: int, row: int) -> list[tuple[slice, slice]]:
    """Blocks of northern nodes of β, each with its mirror image: at most `BLOCK` numbers, ``row`` of them a node."""
    north, step = n_beta // 2, max(1, BLOCK // max(1, 2 * row))
    blocks = [(i, min(i + step, north)) for i in range(0, north, step)]
    return [(slice(i, j), slice(n_beta - j, n_beta - i)) for i, j in blocks]


def bands(bandlimit: int, count: int) -> list[tuple[int, int]]:
    """0 ≤ m < L cut into ranges; the degrees below the first m of a range need no multiplication."""
    edges = [round(bandlimit * i / count) for i in range(count + 1)]
    return [(i, j) for i, j in pairwise(edges) if i < j]


def check_bandlimit(bandlimit: int, orders: int | None) -> tuple[int, int]:
    """L and N, or a ValueError."""
    if isinstance(bandlimit, bool) or not isinstance(bandlimit, int) or bandlimit < 1:
        raise ValueError(f"expected a bandlimit of at least 1, the number of degrees, got {bandlimit!r}")
    N = bandlimit if orders is None else orders
    if isinstance(N, bool) or not isinstance(N, int) or not 1 <= N <= bandlimit:
        raise ValueError(f"expected orders from 1 to the bandlimit {bandlimit}, got {orders!r}")
    return bandlimit, N


def check_oversample(oversample: float) -> float:
    """The factor, or a ValueError."""
    if not 1 <= oversample < math.inf:
        raise ValueError(f"expected to oversample by 1 or more, got {oversample!r}")
    return float(oversample)


def check_batch(x: Tensor, shape: tuple[int, ...], what: str) -> None:
    """Raise ValueError unless x is (*shape, *batch) in float32 or float64."""
    if not isinstance(x, Tensor) or tuple(x.shape[: len(shape)]) != shape:
        got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"expected {what}, shape ({', '.join(map(str, shape))}, *batch), got {got}")
    if x.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"expected {what} in float32 or float64, got {x.dtype}")


def check_finite(sample: Tensor) -> None:
    """Raise ValueError unless the part of an output that every number of the input enters is finite.

    Only on the CPU, where looking costs nothing: elsewhere it would wait for the device.
    """
    if sample.device.type == "cpu" and (0 * sample).any():  # NaN counts as true
        raise ValueError("expected finite numbers, got NaN, infinity, or values too large for their dtype")

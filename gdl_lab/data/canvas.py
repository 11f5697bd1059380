"""A canvas for drawn pictures: shapes with soft edges, laid over one another, that move smoothly.

Coordinates are pixels: x to the right, y down, the first pixel's centre at (½, ½). A shape is its signed distance in
pixels, negative inside; `coverage` turns it into the share of a pixel that it fills. The share is exactly 0 and exactly
1 away from the edge, so that what moves or changes colour leaves every pixel that it does not touch as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gdl_lab import runtime

__all__ = ["bilinear", "checked", "coverage", "ellipse", "grid", "in_chunks", "over", "pictured", "stroke", "uniform"]

EDGE = 1.2  # width of an edge in pixels: with smootherstep this is close to the mean over the pixel
CHUNK = 64  # pictures drawn at once: their layers stay in a core's cache


def uniform(name: str, split: str, seed: int, n: int, columns: int) -> Tensor:
    """Independent uniform numbers in [0, 1), shape ``(n, columns)``, float32; other splits and seeds, other numbers.

    Raises:
        ValueError: ``n`` is not a whole number of at least one, or ``seed`` not a whole number.
    """
    for value, least, what in ((n, 1, "a whole number of pictures, at least one"), (seed, None, "a whole number")):
        if not isinstance(value, int) or isinstance(value, bool) or (least is not None and value < least):
            raise ValueError(f"expected {what}, got {'n' if least else 'seed'}={value!r}")
    return torch.rand(n, columns, generator=runtime.generator(name, split, seed))


def checked(parameters: Tensor, columns: int, what: str) -> Tensor:
    """The parameters of ``what``, if they are some.

    Raises:
        ValueError: not a floating-point tensor of shape ``(n, columns)`` with values in [0, 1].
    """
    shape = tuple(parameters.shape)
    if parameters.ndim != 2 or shape[1] != columns or not parameters.is_floating_point():
        raise ValueError(f"expected the parameters of {what}, floats of shape (n, {columns}), got {shape}")
    if not bool(((parameters >= 0) & (parameters <= 1)).all()):
        raise ValueError(f"expected parameters between 0 and 1, got {parameters.min():.3g} to {parameters.max():.3g}")
    return parameters


def pictured(x: Tensor, channels: int, size: int) -> Tensor:
    """The pictures x, if they are some.

    Raises:
        ValueError: not a floating-point tensor of shape ``(n, channels, size, size)``.
    """
    if tuple(x.shape[1:]) != (channels, size, size) or not x.is_floating_point():
        wanted = f"(n, {channels}, {size}, {size})"
        raise ValueError(f"expected pictures, floats of shape {wanted}, got {x.dtype} of shape {tuple(x.shape)}")
    return x


def in_chunks(do: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """``do`` to a few rows at a time, put together."""
    return torch.cat([do(part) for part in rows.split(CHUNK)])


def grid(size: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """x of shape ``(1, size)`` and y of shape ``(size, 1)`` of the pixels' centres, device and dtype of ``like``."""
    centres = torch.arange(size, dtype=like.dtype, device=like.device) + 0.5
    return centres[None, :], centres[:, None]


def coverage(distance: Tensor, edge: float = EDGE) -> Tensor:
    """Share of a pixel inside a shape at a signed distance: 1 below −edge/2, 0 above edge/2, twice differentiable."""
    t = (0.5 - distance / edge).clamp(0, 1)
    return t * t * t * (t * (6 * t - 15) + 10)


def ellipse(x: Tensor, y: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
    """Signed distance to x²/a² + y²/b² = 1, right to first order near the edge."""
    p, q = x / a, y / b
    radius = (p * p + q * q + 1e-6).sqrt()
    slope = ((p / a).square() + (q / b).square() + 1e-6).sqrt()
    return radius * (radius - 1) / slope


def stroke(
    x: Tensor, y: Tensor, half_length: Tensor | float, bend: Tensor | float, half_width: Tensor | float
) -> Tensor:
    """Signed distance to a short horizontal stroke y = bend·(½ − (x/l)²), |x| ≤ l, right for small bends."""
    s = (x / half_length).clamp(-1, 1)
    beyond = (x.abs() - half_length).clamp(min=0)
    return ((y - bend * (0.5 - s * s)).square() + beyond.square() + 1e-6).sqrt() - half_width


def over(image: Tensor, cover: Tensor, colour: Tensor) -> Tensor:
    """``colour`` laid over ``image``, both ``(n, 3, …)``, where ``cover``, shape ``(n, …)``, says how much of it."""
    return torch.lerp(image, colour, cover[:, None])


def bilinear(corners: Sequence[Sequence[float]], u: Tensor, v: Tensor) -> Tensor:
    """Colour at (u, v) ∈ [0, 1]² between four, at (0, 0), (1, 0), (0, 1), (1, 1); shape ``(n, 3)``."""
    c = torch.tensor(corners, dtype=u.dtype, device=u.device)
    u, v = u[:, None], v[:, None]
    return torch.lerp(torch.lerp(c[0], c[1], u), torch.lerp(c[2], c[3], u), v)

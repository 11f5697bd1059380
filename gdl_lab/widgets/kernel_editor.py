"""A 3 × 3 kernel that the reader edits: does the convolution with it commute with shifts of the picture?"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import Any

import numpy as np
import torch
import traitlets
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional

from gdl_lab.widgets.stage import Finite, Widget, bundle, finite_array, float32_bytes

__all__ = ["PRESETS", "KernelEditor"]

# Row by row; z(x) = Σ_y κ(y - x) f(y) is a correlation, so the last column weighs the right-hand neighbours.
PRESETS: dict[str, list[float]] = {
    "identity": [0, 0, 0, 0, 1, 0, 0, 0, 0],
    "blur": [0.0625, 0.125, 0.0625, 0.125, 0.25, 0.125, 0.0625, 0.125, 0.0625],
    "sharpen": [0, -1, 0, -1, 5, -1, 0, -1, 0],
    "edges (Laplace)": [0, 1, 0, 1, -4, 1, 0, 1, 0],
    "Sobel x": [-1, 0, 1, -2, 0, 2, -1, 0, 1],
    "Sobel y": [-1, -2, -1, 0, 0, 0, 1, 2, 1],
    "shift right": [0, 0, 0, 1, 0, 0, 0, 0, 0],
}
ENTRY = 9.0  # largest entry of the kernel, in size


class KernelEditor(Widget):
    """A picture f, its shift, and both orders of shift and convolution side by side, with their difference.

    The convolution is the talk's ``z(x) = Σ_y κ(y - x) f(y)``, torch's ``conv2d``, with one ring of padding. Pictures
    shift circularly: dx to the right, dy down. A layer of stride s turns a shift by dx into one by dx / s, rounded to
    the nearest integer (halves up) where s does not divide dx; 2 × 2 max pooling doubles s.

    Args:
        images: grey values, shape (n, height, width), at least 5 × 5 and at most 64 × 64 pixels; by default six real
            handwritten digits of 8 × 8 pixels.
        names: one name for each picture.
        kernel: entries of the 3 × 3 kernel, each between -9 and 9.

    Raises:
        ValueError: wrong shapes, NaN, no pictures, names that do not match them, or an entry beyond ±9.

    Example:
        >>> KernelEditor().readout(dx=2, stride=1, padding="circular")["error"] < 1e-12
        True
    """

    _esm = bundle("kernel_editor")

    images = traitlets.Bytes().tag(sync=True)
    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    presets = traitlets.Dict().tag(sync=True)
    image = traitlets.Int(0, min=0).tag(sync=True)
    kernel = traitlets.List(Finite()).tag(sync=True)
    dx = traitlets.Int(1).tag(sync=True)
    dy = traitlets.Int(0).tag(sync=True)
    stride = traitlets.Int(1, min=1, max=3).tag(sync=True)
    padding = traitlets.Enum(["circular", "zeros"], "circular").tag(sync=True)
    relu = traitlets.Bool(False).tag(sync=True)
    pool = traitlets.Bool(False).tag(sync=True)

    def __init__(self, images: Any = None, names: Sequence[str] | None = None, kernel: Any = None) -> None:
        if images is None:
            images, names = digits() if names is None else (digits()[0], names)
        pictures = finite_array(images, "images", "(n, height, width)")
        if pictures.ndim != 3 or not all(5 <= side <= 64 for side in pictures.shape[1:]):
            raise ValueError(f"expected images of shape (n, height, width), sides of 5 to 64, got {pictures.shape}")
        names = [f"picture {k + 1}" for k in range(len(pictures))] if names is None else [str(name) for name in names]
        if len(names) != len(pictures):
            raise ValueError(f"expected {len(pictures)} names, one for each picture, got {len(names)}")
        super().__init__(
            images=float32_bytes(pictures),
            shape=list(pictures.shape),
            names=names,
            presets=PRESETS,
            kernel=PRESETS["edges (Laplace)"] if kernel is None else check_kernel(kernel),
        )

    @traitlets.validate("kernel")
    def _check_kernel(self, proposal: Any) -> list[float]:
        return check_kernel(proposal["value"])

    @traitlets.validate("image")
    def _check_image(self, proposal: Any) -> int:
        if (value := int(proposal["value"])) >= self.shape[0]:
            raise traitlets.TraitError(f"expected image from 0 to {self.shape[0] - 1}, got {value}")
        return value

    def __repr__(self) -> str:
        count, height, width = self.shape
        return f"KernelEditor({count} pictures of {height} × {width} pixels)"

    def readout(self, **settings: Any) -> dict[str, float]:
        """The numbers beside the pictures, by torch in float64; arguments default to the present traits.

        Args:
            settings: ``image``, ``kernel``, ``dx``, ``dy``, ``stride``, ``padding``, ``relu`` and ``pool``.

        Returns:
            ``error`` = ‖layer(T f) - T layer(f)‖ / ‖layer(f)‖ over the whole output (the numerator alone if
            layer(f) = 0); ``interior_error``, the same with the numerator over the pixels that neither the border nor
            the wrap-around of the shifts has reached; ``pixels`` and ``interior_pixels``, their numbers; ``shift_x``
            and ``shift_y``, the shift of the output.
        """
        names = ("image", "kernel", "dx", "dy", "stride", "padding", "relu", "pool")
        if "kernel" in settings:
            settings["kernel"] = check_kernel(settings["kernel"])
        image, kernel, dx, dy, stride, padding, relu, pool = self.chosen(names, settings)
        weights = torch.tensor(kernel, dtype=torch.float64).view(3, 3)
        x = torch.from_numpy(np.frombuffer(self.images, "<f4").astype(np.float64)).view(*self.shape)[image]
        coarse = stride * (2 if pool else 1)
        out_x, out_y = floor(dx / coarse + 0.5), floor(dy / coarse + 0.5)

        def layer(signal: Tensor) -> Tensor:
            return convolve(signal, weights, stride, padding, relu=relu, pool=pool)

        after, before = layer(shift(x, dx, dy)), shift(layer(x), out_x, out_y)
        difference, norm = after - before, float(layer(x).norm()) or 1.0
        clean = untouched(x, dx, dy, stride, pool) & shift(untouched(x, 0, 0, stride, pool), out_x, out_y)
        clean &= shift_stays(clean, out_x, out_y)
        return {
            "error": float(difference.norm()) / norm,
            "interior_error": float(difference[clean].norm()) / norm,
            "pixels": float(difference.numel()),
            "interior_pixels": float(clean.sum()),
            "shift_x": float(out_x),
            "shift_y": float(out_y),
        }


def digits() -> tuple[Any, list[str]]:
    """Six of scikit-learn's real 8 × 8 digits, grey values in [0, 1]."""
    data = load_digits()
    chosen = [int(np.flatnonzero(data.target == digit)[0]) for digit in (3, 0, 1, 4, 7, 8)]
    return data.images[chosen] / 16, [f"digit {data.target[k]}" for k in chosen]


def check_kernel(kernel: Any) -> list[float]:
    """Nine entries row by row, from a list of nine or a 3 × 3 array or tensor."""
    entries = finite_array(kernel, "kernel", "(3, 3)")
    if entries.size != 9 or np.abs(entries).max() > ENTRY:
        given = f"shape {entries.shape}" if entries.size != 9 else f"an entry {np.abs(entries).max():g} in size"
        raise ValueError(f"expected a kernel of shape (3, 3), entries from -{ENTRY:g} to {ENTRY:g}, got {given}")
    return [float(entry) for entry in entries.ravel()]


def shift(x: Tensor, dx: int, dy: int) -> Tensor:
    """Move a picture (height, width) circularly, dx to the right and dy down."""
    return torch.roll(x, (dy, dx), dims=(0, 1))


def convolve(x: Tensor, weights: Tensor, stride: int, padding: str, *, relu: bool, pool: bool) -> Tensor:
    """One convolutional layer on a picture (height, width): one ring of padding, then ReLU and pooling if asked."""
    padded = functional.pad(x[None, None], (1, 1, 1, 1), mode="circular" if padding == "circular" else "constant")
    z = functional.conv2d(padded, weights[None, None], stride=stride)
    z = torch.relu(z) if relu else z
    return (functional.max_pool2d(z, 2) if pool else z)[0, 0]


def untouched(x: Tensor, dx: int, dy: int, stride: int, pool: bool) -> Tensor:
    """Output pixels that see neither the padding nor what the shift has wrapped around; bool, shape of the output."""
    inside = shift_stays(x, dx, dy).to(x.dtype)
    seen = convolve(inside, torch.ones(3, 3, dtype=x.dtype), stride, "zeros", relu=False, pool=False)
    # Counting to nine, the least of a pooled block; max pooling of the negative is the minimum.
    return (-functional.max_pool2d(-seen[None, None], 2)[0, 0] if pool else seen) == 9


def shift_stays(x: Tensor, dx: int, dy: int) -> Tensor:
    """Pixels that the circular shift filled without wrapping around; bool, shape of ``x``."""
    rows, columns = (torch.arange(size) - by for size, by in zip(x.shape, (dy, dx), strict=True))
    return ((rows >= 0) & (rows < x.shape[0]))[:, None] & ((columns >= 0) & (columns < x.shape[1]))[None]

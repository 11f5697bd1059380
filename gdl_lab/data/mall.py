"""Mall: 2,000 pictures from one camera in a shopping mall, with the place of every head and so the number of people.

The files are the published ones, ``frames/seq_000001.jpg`` … of 640×480 pixels and ``mall_gt.mat``, in a folder, in the
folder ``mall_dataset`` that unpacking makes, or in ``mall_dataset.zip``. A picture is averaged over equal areas of the
*whole* frame, so that its number of people stays true; a square picture is therefore narrower than the mall.

Source: Chen, Loy, Gong & Xiang (2012).
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import torch
from scipy.io import loadmat
from torch import Tensor

from gdl_lab.data.files import DataError
from gdl_lab.data.published import Published, Source, View, pictures

__all__ = ["MALL", "VIEW", "heads", "mall"]

FOLDER, FRAMES, ANNOTATIONS = "mall_dataset", "frames", "mall_gt.mat"
MALL = Published(
    address="https://personal.ie.cuhk.edu.hk/~ccloy/downloads_mall_dataset.html",
    terms="for non-commercial research only",
    layouts=((FRAMES, ANNOTATIONS), (f"{FOLDER}/{FRAMES}", f"{FOLDER}/{ANNOTATIONS}"), (f"{FOLDER}.zip",)),
)
ANEW = f"take it anew from {MALL.address}"
VIEW = View(640, 480, (0, 0, 640, 480))


def mall(split: str, *, size: int = 64, n: int | None = None, as_bytes: bool = False) -> tuple[Tensor, Tensor]:
    """The first ``n`` frames of a split in the order of time.

    Args:
        split: ``"train"``, the first two fifths of the frames, 800, or ``"test"``, the other 1,200, as is usual.
        size: side of the pictures, between 1 and 480.
        n: how many; ``None`` takes all.
        as_bytes: give x as uint8, mapped from the disk, instead of float32.

    Returns:
        x of shape ``(n, 3, size, size)`` in [0, 1], or 0 … 255 as bytes, and the number of people y, float32.

    Raises:
        ValueError: a size or number that there is not, or more than 4 GiB of floats.
        DataError: files are missing or damaged.
    """
    path, frames, counts, _ = _annotated(split)
    x = pictures("mall", split, frames, path, VIEW, size=size, n=n, as_bytes=as_bytes)
    return x, counts[: len(x)]


def heads(split: str) -> list[Tensor]:
    """Where the heads are in each frame of a split: float32 of shape ``(people, 2)``, x and y in pixels of 640×480.

    Raises:
        DataError: files are missing or damaged.
    """
    return _annotated(split)[3]


def _annotated(split: str) -> tuple[Path, list[str], Tensor, list[Tensor]]:
    """The source, and the names, counts and heads of a split's frames."""
    found = MALL.locate("mall")[0]
    path, inside = (found, f"{FOLDER}/") if found.suffix == ".zip" else (found.parent, "")
    with Source.open(path) as source:
        annotations = path / inside / ANNOTATIONS
        counts, points = _annotations(source.read(inside + ANNOTATIONS), annotations)
        there = {name for name in source.names(inside + FRAMES) if re.search(r"/seq_\d+\.jpg$", name)}
    expected = [f"{inside}{FRAMES}/seq_{i:06d}.jpg" for i in range(1, len(points) + 1)]
    if there != {*expected}:
        odd = min(there ^ {*expected})
        raise DataError(
            f"{path} holds {len(there):,} frames and {annotations} is about {len(points):,}: {odd} is only in one of "
            f"them, {ANEW.replace('it', 'them')}"
        )
    train = len(expected) * 2 // 5
    part = slice(train) if split == "train" else slice(train, None)
    return path, expected[part], counts[part], points[part]


def _annotations(content: bytes, path: Path) -> tuple[Tensor, list[Tensor]]:
    """Counts of shape ``(frames,)``, and the heads of each frame."""
    try:
        tables = loadmat(io.BytesIO(content))
    except Exception as reason:  # scipy raises many kinds for a damaged file
        raise DataError(f"{path} is not a readable MATLAB file ({type(reason).__name__}): {ANEW}") from None
    for field in ("frame", "count"):
        if field not in tables:
            raise DataError(f"{path} has no field {field!r}: {ANEW}")
    try:
        places = [np.asarray(cell["loc"][0, 0], np.float32).reshape(-1, 2) for cell in tables["frame"][0]]
        counts = np.asarray(tables["count"], np.float32).reshape(-1)
    except (ValueError, IndexError, TypeError, KeyError) as reason:
        raise DataError(f"{path} has no heads in frame[0, i]['loc'][0, 0] or no counts ({reason}): {ANEW}") from None
    if len(places) != len(counts):
        raise DataError(f"{path} has heads in {len(places):,} frames and counts of {len(counts):,}: {ANEW}")
    if not all(count >= 0 and count == round(count) for count in counts.tolist()):
        raise DataError(f"{path} has counts that are no whole numbers: {ANEW}")
    agree = np.mean([len(points) == count for points, count in zip(places, counts, strict=True)])
    if agree < 0.5:  # a slip in a frame is the annotators' own; this is another table
        raise DataError(f"{path} counts other numbers of people than it has heads in {1 - agree:.0%} of frames: {ANEW}")
    return torch.from_numpy(counts), [torch.from_numpy(points.copy()) for points in places]

"""CelebA: faces of the well known with forty attributes each, among them whether the hair is blond.

The files are the published ones: ``img_align_celeba/000001.jpg`` … of 178×218 pixels, in a folder or zipped,
``list_attr_celeba.txt`` and ``list_eval_partition.txt``. Of each picture the square of 148×148 pixels in the middle is
taken, columns 15 to 162 and rows 35 to 182, which leaves out most of the background, and is averaged over equal areas.

Source: Liu, Luo, Wang & Tang (2015).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from gdl_lab.data.files import DataError
from gdl_lab.data.published import Published, Source, View, pictures

__all__ = ["CELEBA", "VIEW", "celeba", "count"]

FOLDER, ATTRIBUTES, PARTITION = "img_align_celeba", "list_attr_celeba.txt", "list_eval_partition.txt"
CELEBA = Published(
    address="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    terms="for non-commercial research only",
    layouts=((FOLDER, ATTRIBUTES, PARTITION), (f"{FOLDER}.zip", ATTRIBUTES, PARTITION)),
)
ANEW = f"take it anew from {CELEBA.address}"
VIEW = View(178, 218, (15, 35, 163, 183))
PARTS = {"train": "0", "test": "2"}  # 1 is the validation part, which the course leaves alone


def celeba(
    split: str, *, size: int = 64, n: int | None = None, attribute: str = "Blond_Hair", as_bytes: bool = False
) -> tuple[Tensor, Tensor]:
    """The first ``n`` faces of a split in the order of the files; there are 162,770 for training, 19,962 for tests.

    Args:
        split: ``"train"`` or ``"test"``, as the owners divide the set.
        size: side of the pictures, between 1 and 148.
        n: how many; ``None`` takes all.
        attribute: what y tells, a name from the second line of ``list_attr_celeba.txt``.
        as_bytes: give x as uint8, mapped from the disk, instead of float32: all faces for training are 2.0 GB then.

    Returns:
        x of shape ``(n, 3, size, size)`` in [0, 1], or 0 … 255 as bytes, and y, int64, 1 where the face has the
        attribute and 0 where not.

    Raises:
        ValueError: a size, number or attribute that there is not, or more than 4 GiB of floats.
        DataError: files are missing or damaged.
    """
    found, attributes, partition = CELEBA.locate("celeba")
    labels = _labels(attributes, attribute)
    names = _names(partition, split, attributes, list(labels))
    inside = [f"{FOLDER}/{name}" for name in names]
    x = pictures("celeba", split, inside, _root(found), VIEW, size=size, n=n, as_bytes=as_bytes)
    return x, torch.tensor([labels[name] for name in names[: len(x)]])


def count(split: str) -> int:
    """Number of faces in a split, after a look at every one of them.

    Raises:
        DataError: files are missing or damaged.
    """
    found, attributes, partition = CELEBA.locate("celeba")
    names = _names(partition, split, attributes, list(_labels(attributes)))
    with Source.open(_root(found)) as source:
        for name in tqdm(names, desc=f"celeba, {split}", leave=False, mininterval=0.5):
            source.picture(f"{FOLDER}/{name}", VIEW, 1)
    return len(names)


def _root(found: Path) -> Path:
    return found if found.suffix == ".zip" else found.parent


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as reason:
        raise DataError(f"{path} cannot be read ({reason}): {ANEW}") from None


def _labels(path: Path, attribute: str | None = None) -> dict[str, int]:
    """Picture ↦ 1 or 0 for every row of the table of attributes; ``None`` takes the first attribute."""
    lines = _lines(path)
    said, header, rows = "".join(lines[:1]).strip(), "".join(lines[1:2]).split(), lines[2:]
    if not said.isdecimal() or not header:
        raise DataError(f"{path} begins with {said!r}, not with a number and a line of attributes: {ANEW}")
    if len(rows) != int(said):
        raise DataError(f"{path} promises {int(said):,} pictures and has rows for {len(rows):,}: {ANEW}")
    if attribute is not None and attribute not in header:
        raise ValueError(f"CelebA has no attribute {attribute!r}: expected one of {', '.join(header)}")
    column = header.index(attribute) if attribute else 0
    labels = {}
    for i, row in enumerate(rows, 3):
        name, *values = row.split() or [""]
        if len(values) != len(header) or not {*values} <= {"-1", "1"}:
            raise DataError(f"{path}, line {i}: expected a picture and {len(header)} values ±1, got {row!r}: {ANEW}")
        labels[name] = int(values[column] == "1")
    return labels


def _names(path: Path, split: str, attributes: Path, known: list[str]) -> list[str]:
    """Pictures of a split, in the order of the table, which lists the pictures that have attributes."""
    rows = [row.split() for row in _lines(path)]
    for i, row in enumerate(rows, 1):
        if len(row) != 2 or row[1] not in ("0", "1", "2"):
            raise DataError(f"{path}, line {i}: expected a picture and 0, 1 or 2, got {' '.join(row)!r}: {ANEW}")
    if [name for name, _ in rows] != known:
        raise DataError(
            f"{path} does not list the {len(known):,} pictures of {attributes.name} in their order "
            f"but {len(rows):,}: {ANEW}"
        )
    return [name for name, part in rows if part == PARTS[split]]

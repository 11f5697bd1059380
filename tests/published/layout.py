"""Tiny copies of CelebA and Mall as their owners publish them: eight pictures each."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat

NAMES = [f"{i:06d}.jpg" for i in range(1, 9)]
PARTS = [0, 2, 0, 1, 0, 2, 0, 1]  # training, test and validation, mixed
BLOND = [1, -1, -1, 1, 1, 1, -1, -1]
SMILING = [-1, -1, 1, 1, 1, -1, 1, -1]
PEOPLE = [3, 0, 5, 1, 4, 1, 2, 6]
PICTURE, TABLE, PARTITION = "img_align_celeba/000003.jpg", "list_attr_celeba.txt", "list_eval_partition.txt"


def jpeg(pixels: np.ndarray) -> bytes:
    """A JPEG file of an array ``(height, width, 3)``, or ``(height, width)`` for a grey one, hardly compressed."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=100, subsampling=0)
    return file.getvalue()


def ramps(width: int, height: int, blue: int = 0) -> np.ndarray:
    """A picture that says where each pixel is: red is its column, green its row."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows, np.full_like(rows, blue)], 2).clip(max=255).astype(np.uint8)


def blots(width: int, height: int, seed: int) -> np.ndarray:
    """A smooth picture in random colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def write_celeba(folder: Path) -> None:
    (folder / "img_align_celeba").mkdir(parents=True)
    for i, name in enumerate(NAMES):
        (folder / "img_align_celeba" / name).write_bytes(jpeg(blots(178, 218, i)))
    header = " ".join([f"Trait_{k}" for k in range(38)] + ["Blond_Hair", "Smiling"])
    rows = [
        name + "".join(f" {value:2d}" for value in [*[(-1) ** (i + k) for k in range(38)], BLOND[i], SMILING[i]])
        for i, name in enumerate(NAMES)
    ]
    (folder / "list_attr_celeba.txt").write_text("\n".join(["8", header + " ", *rows]) + "\n")
    (folder / "list_eval_partition.txt").write_text("".join(f"{n} {p}\n" for n, p in zip(NAMES, PARTS, strict=True)))


def annotations(people: list[int]) -> dict[str, Any]:
    """``mall_gt.mat``: a row of cells, each a struct with the field ``loc``, and a column of counts."""
    cells = np.empty((1, len(people)), object)
    for i, number in enumerate(people):
        cells[0, i] = {"loc": np.random.default_rng(i).uniform(1, 480, (number, 2))}
    return {"frame": cells, "count": np.array(people, np.uint8)[:, None]}


def write_mall(folder: Path, people: list[int] = PEOPLE) -> None:
    (folder / "frames").mkdir(parents=True)
    for i in range(len(people)):
        (folder / "frames" / f"seq_{i + 1:06d}.jpg").write_bytes(jpeg(blots(640, 480, 100 + i)))
    savemat(folder / "mall_gt.mat", annotations(people))


def packed(folder: Path, archive: Path, inside: str = "") -> None:
    """Put a folder into a zip archive, stored as JPEG files are, and take it away."""
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, inside + str(path.relative_to(folder.parent if not inside else folder)))
    shutil.rmtree(folder)


def averaged(content: bytes, box: tuple[int, int, int, int], size: int) -> np.ndarray:
    """What `decode` should give, by repeating pixels."""
    left, upper, right, lower = box
    part = np.asarray(Image.open(io.BytesIO(content)))[upper:lower, left:right].astype(float)
    height, width = part.shape[:2]
    part = part.repeat(size, 0).reshape(size, height, width, 3).mean(1)
    part = part.repeat(size, 1).reshape(size, size, width, 3).mean(2)
    return np.floor(part + 0.5).transpose(2, 0, 1)


def truncate(path: Path) -> None:
    """Leave the first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def kept(home: Path) -> list[Path]:
    """Files of decoded pictures in the cache beside ``GDL_LAB_DATA``."""
    return sorted((home.parent / "cache").rglob("*.bytes"))

"""Pictures that their owners publish under terms which forbid passing them on: found, decoded once, never downloaded.

They are searched in ``$GDL_LAB_DATA/<set>/``, then in the user's cache, in folders or in the zip archive as published.
Decoded pictures are kept in the user's cache as bytes. A JPEG file has no checksum: what is cut short or is no picture
is found, a flipped bit only within a zip archive, which has one.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from tqdm.auto import tqdm

from gdl_lab.data.files import DataError, cache_dir, folders

__all__ = ["Published", "Source", "View", "area_weights", "decode", "pictures", "prepared"]

CHUNK = 256  # pictures between two writes: what an interruption costs at most
MOST_FLOATS = 4 * 2**30  # bytes


@dataclass(frozen=True)
class Published:
    """Where a set comes from, on what terms, and how it may lie on this machine.

    Attributes:
        address: the owners' page.
        terms: their terms in a few words.
        layouts: each a list of files and folders, relative to the set's folder, that are complete together.
    """

    address: str
    terms: str
    layouts: tuple[tuple[str, ...], ...]

    def find(self, dataset: str) -> list[Path] | None:
        """The paths of the first complete layout, ``None`` if there is none."""
        for folder in folders(dataset):
            for layout in self.layouts:
                if all((folder / part).exists() for part in layout):
                    return [folder / part for part in layout]
        return None

    def locate(self, dataset: str) -> list[Path]:
        """As `find`.

        Raises:
            DataError: no layout is complete; says what is missing, who gives it and on what terms.
        """
        if (found := self.find(dataset)) is not None:
            return found
        missing = {
            (folder, layout): [part for part in layout if not (folder / part).exists()]
            for folder in folders(dataset)
            for layout in self.layouts
        }
        (folder, layout), lacking = min(
            missing.items(), key=lambda pair: (len(pair[1]) / len(pair[0][1]), len(pair[1]))
        )
        if len(lacking) < len(layout):
            where = str(folder)
        else:
            where = " nor in ".join(map(str, folders(dataset)))
            lacking = list(self.layouts[0])
        verb, them = ("is", "it") if len(lacking) == 1 else ("are", "them")
        raise DataError(
            f"{_listed(lacking)} {verb} not in {where}: obtain {them} from {self.address} ({self.terms}), "
            f"the course may not pass {them} on; GDL_LAB_DATA names a folder that holds {dataset}/"
        )


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


@dataclass(frozen=True)
class View:
    """What is taken of a published picture.

    Attributes:
        width: of the published picture, in pixels.
        height: of the published picture.
        box: the part of it that is seen, (left, upper, right, lower), the latter two excluded.
    """

    width: int
    height: int
    box: tuple[int, int, int, int]


class Source:
    """Files in a folder or in a zip archive, read by their names, which are relative to either."""

    def __init__(self, path: Path, archive: zipfile.ZipFile | None = None) -> None:
        self.path, self.archive = path, archive

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Source]:
        """A source that is closed in the end.

        Raises:
            DataError: ``path`` is a file and no zip archive.
        """
        if path.is_dir():
            yield cls(path)
            return
        try:
            archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as reason:
            raise DataError(f"{path} is not a complete zip archive ({reason}): take it anew from its owners") from None
        with archive:
            yield cls(path, archive)

    def names(self, inside: str) -> set[str]:
        """Names of all files in one folder of the source."""
        if self.archive is not None:
            listed = self.archive.namelist()
            return {
                name for name in listed if name.startswith(f"{inside}/") and name.count("/") == inside.count("/") + 1
            }
        folder = self.path / inside
        return {f"{inside}/{entry.name}" for entry in folder.iterdir()} if folder.is_dir() else set()

    def read(self, name: str) -> bytes:
        """Content of a file.

        Raises:
            DataError: it is not there or cannot be read.
        """
        try:
            return (self.path / name).read_bytes() if self.archive is None else self.archive.read(name)
        except (KeyError, FileNotFoundError):
            raise DataError(f"{name} is not in {self.path}, which is not complete") from None
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as reason:
            raise DataError(f"{self.path / name} cannot be read ({reason}): take it anew from its owners") from None

    def picture(self, name: str, view: View, size: int) -> np.ndarray:
        """A picture as `decode` gives it.

        Raises:
            DataError: it is not there, is damaged, or has other sides than published.
        """
        content = self.read(name)
        try:
            return decode(content, view, size)
        except ValueError as reason:
            raise DataError(f"{self.path / name} {reason}: take it anew from its owners") from None


@lru_cache(maxsize=8)
def area_weights(pixels: int, size: int) -> np.ndarray:
    """Shares of ``pixels`` pixels in ``size`` equal parts of their row, float64 of shape ``(size, pixels)``.

    Each part's shares sum to 1. A pixel that lies across a border counts in both parts, by the length on each side.
    """
    borders = np.arange(size + 1) * (pixels / size)
    first = np.arange(pixels)
    overlap = np.minimum(borders[1:, None], first + 1) - np.maximum(borders[:-1, None], first)
    return overlap.clip(min=0) * (size / pixels)


def decode(content: bytes, view: View, size: int) -> np.ndarray:
    """The mean colours of ``size`` × ``size`` equal parts of what ``view`` shows of a JPEG picture.

    Returns:
        uint8 of shape ``(3, size, size)``, rounded; grey pictures get three equal channels.

    Raises:
        ValueError: the bytes are no complete JPEG picture, or one of other sides.
    """
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as picture:
            sides = picture.size
            pixels = np.asarray(picture.convert("RGB")) if sides == (view.width, view.height) else None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as reason:
        what = "not a JPEG picture" if isinstance(reason, UnidentifiedImageError) else str(reason).rstrip(".")
        raise ValueError(f"is damaged ({what})") from None
    if pixels is None:
        raise ValueError(f"has {sides[0]}×{sides[1]} pixels, and {view.width}×{view.height} were published")
    left, upper, right, lower = view.box
    part = pixels[upper:lower, left:right].transpose(2, 0, 1).astype(np.float64)
    means = area_weights(lower - upper, size) @ part @ area_weights(right - left, size).T
    return (means + 0.5).astype(np.uint8)


def pictures(
    dataset: str, split: str, names: Sequence[str], path: Path, view: View, *, size: int, n: int | None, as_bytes: bool
) -> Tensor:
    """The first ``n`` of the pictures ``names`` in a folder or an archive, all of them for ``None``.

    Returns:
        Shape ``(n, 3, size, size)``: float32 in [0, 1], or uint8 mapped from the disk.

    Raises:
        ValueError: a size or number that there is not, or more than 4 GiB of floats.
        DataError: as `prepared`, or there are no pictures.
    """
    left, upper, right, lower = view.box
    most = min(right - left, lower - upper)
    if not names:
        raise DataError(f"{path} holds no picture of {dataset}'s split {split}")
    n = len(names) if n is None else n
    for value, limit, what in ((size, most, "size in pixels"), (n, len(names), f"number n of pictures of {split}")):
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= limit:
            raise ValueError(f"{dataset} has any {what} between 1 and {limit:,}, got {value!r}")
    needed = 4 * n * 3 * size * size
    if not as_bytes and needed > MOST_FLOATS:
        raise ValueError(
            f"{n:,} pictures of {dataset} take {_in_words(needed)} as float32: ask for fewer with n=, or for bytes, "
            "which stay on the disk, with as_bytes=True"
        )
    with Source.open(path) as source:
        x = prepared(dataset, split, names, source, view, size, n)
    return x if as_bytes else x.float().div_(255)


def prepared(dataset: str, split: str, names: Sequence[str], source: Source, view: View, size: int, n: int) -> Tensor:
    """The first ``n`` of the pictures ``names``, decoded once and from then on read from the user's cache.

    Their number is the length of a file there, so that an interrupted preparation goes on where it was, and a longer
    one builds on a shorter. The first, middle and last picture in the file are compared with the published ones; if
    one differs, the file is made anew.

    Returns:
        Shape ``(n, 3, size, size)``, uint8, mapped from the disk: it takes memory only where it is read.

    Raises:
        DataError: a picture is missing or damaged, or the cache is full or cannot be written.
    """
    each = 3 * size * size
    digest = hashlib.sha256(repr((str(source.path.resolve()), view, *names)).encode()).hexdigest()
    path = cache_dir() / dataset / f"prepared-{split}-{size}-{digest[:12]}.bytes"
    try:
        done = _sound(path, names, source, view, size)
        if done < n:
            path.parent.mkdir(parents=True, exist_ok=True)
            _announce(dataset, path, n - done, each)
            path.open("ab").close()
            with path.open("r+b") as file, tqdm(total=n, initial=done, desc=dataset, leave=False) as bar:
                for start in range(done, n, CHUNK):
                    some = [source.picture(name, view, size) for name in names[start : min(start + CHUNK, n)]]
                    file.seek(start * each)  # two processes at once write the same bytes to the same places
                    file.write(np.stack(some).tobytes())
                    file.flush()
                    bar.update(len(some))
    except OSError as reason:
        raise DataError(
            f"cannot write {path} ({reason.strerror}): set GDL_LAB_CACHE to a folder with {_in_words(n * each)} free"
        ) from None
    return torch.from_file(str(path), shared=False, size=n * each, dtype=torch.uint8).view(n, 3, size, size)


def _sound(path: Path, names: Sequence[str], source: Source, view: View, size: int) -> int:
    """How many pictures a file of prepared ones holds; one that belongs to other pictures is taken away first."""
    if not path.is_file():
        return 0
    each = 3 * size * size
    done = path.stat().st_size // each
    with path.open("rb") as file:
        for k in sorted({0, done // 2, done - 1}) if done else ():
            file.seek(k * each)
            if k >= len(names) or file.read(each) != source.picture(names[k], view, size).tobytes():
                break
        else:
            return done
    path.unlink()  # not emptied: somebody may have it mapped
    return 0


def _announce(dataset: str, path: Path, n: int, each: int) -> None:
    """Say how much is to be done, or that there is no room for it."""
    needed, free = n * each, shutil.disk_usage(path.parent).free
    if needed > free:
        raise DataError(
            f"{n:,} pictures take {_in_words(needed)} in {path.parent}, and {_in_words(free)} are free there: "
            "ask for fewer with n=, or set GDL_LAB_CACHE to another folder"
        )
    print(f"{dataset}: decoding {n:,} pictures once, {_in_words(needed)}, into {path}; an interruption loses little")


def _in_words(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"

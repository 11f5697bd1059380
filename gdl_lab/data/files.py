"""Files that are too large or too differently licensed to ship: found, verified, or downloaded.

A file is searched in ``$GDL_LAB_DATA/<set>/``, then in the user's cache, each time as it is and gzipped. Its checksum
is taken of the *content* after decompression, since gzip implementations differ in header and stream.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pooch

__all__ = ["DataError", "RemoteFile", "cache_dir", "fetch", "find", "folders", "read"]


class DataError(RuntimeError):
    """A data file is missing, damaged or cannot be fetched; the message says what to do."""


@dataclass(frozen=True)
class RemoteFile:
    """One file of a data set.

    Attributes:
        name: file name without ``.gz``.
        sha256: checksum of the decompressed content.
        mirrors: addresses that serve the gzipped file.
    """

    name: str
    sha256: str
    mirrors: tuple[str, ...]


def cache_dir() -> Path:
    """The user's cache, or ``$GDL_LAB_CACHE``."""
    return Path(os.environ.get("GDL_LAB_CACHE") or pooch.os_cache("gdl-lab"))


def find(dataset: str, file: RemoteFile) -> Path | None:
    """The first copy of a file on this machine, unread; ``None`` if there is none."""
    return next((path for path in _places(dataset, file) if path.is_file()), None)


def read(dataset: str, file: RemoteFile) -> bytes:
    """The verified, decompressed content of a file on this machine.

    Raises:
        DataError: no copy is there, or the copy is damaged.
    """
    path = find(dataset, file)
    if path is None:
        searched = " nor in ".join(str(folder) for folder in folders(dataset))
        raise DataError(
            f"{file.name} is not in {searched}: `gdl-lab data fetch {dataset}` downloads it, "
            f"or set GDL_LAB_DATA to a folder that holds {dataset}/"
        )
    try:
        return _verified(path, file)
    except DataError as reason:
        raise DataError(f"{path} {reason}: delete it and run `gdl-lab data fetch {dataset}`") from None


def fetch(dataset: str, file: RemoteFile, *, timeout: float = 20) -> Path:
    """A verified local copy of a file, downloaded into the cache if need be.

    The download lands under a temporary name, is verified, and is renamed only then: an interrupted one leaves nothing
    behind.

    Raises:
        DataError: no mirror served the right content, or the cache cannot be written; says which and what to do.
    """
    present = find(dataset, file)
    if present is not None:
        read(dataset, file)
        return present
    folder = cache_dir() / dataset
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=folder, prefix=".download-")
    except OSError as reason:
        raise DataError(
            f"cannot write to the cache {folder} ({reason.strerror}): set GDL_LAB_CACHE to another folder"
        ) from None
    failures = []
    with scratch:
        for mirror in file.mirrors:
            try:
                arrived = Path(scratch.name) / f"{file.name}.gz"
                pooch.HTTPDownloader(progressbar=True, timeout=timeout)(mirror, arrived, None)
                _verified(arrived, file)
                os.replace(arrived, folder / arrived.name)
            except (DataError, OSError, ValueError) as reason:  # requests' errors are OSErrors
                failures.append(f"{mirror}: {_in_short(reason)}")
                continue
            return folder / arrived.name
    tried = "; ".join(failures)
    raise DataError(
        f"could not download {file.name} ({tried}). Check the connection and try again, or copy the file to {folder}"
    )


def folders(dataset: str) -> Iterator[Path]:
    """Where the files of a set are searched, in this order."""
    if given := os.environ.get("GDL_LAB_DATA"):
        yield Path(given) / dataset
    yield cache_dir() / dataset


def _places(dataset: str, file: RemoteFile) -> Iterator[Path]:
    for folder in folders(dataset):
        yield folder / file.name
        yield folder / f"{file.name}.gz"


def _verified(path: Path, file: RemoteFile) -> bytes:
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as reason:
        raise DataError(f"is damaged ({_in_short(reason)})") from None
    except OSError as reason:
        raise DataError(f"cannot be read ({reason.strerror})") from None
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise DataError(f"is damaged (content checksum {found[:12]}…, expected {file.sha256[:12]}…)")
    return content


def _in_short(reason: Exception) -> str:
    text = str(reason).split("\n")[0]
    return text if len(text) <= 120 else text[:117] + "…"

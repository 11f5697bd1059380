"""Real handwritten digits: scikit-learn's 8×8 ones and MNIST."""

from __future__ import annotations

import math
import struct

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

from gdl_lab.data.files import DataError, RemoteFile, read

__all__ = ["MNIST_FILES", "digits8", "mnist", "parse_idx"]

_MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")


def _mnist_file(name: str, sha256: str) -> RemoteFile:
    return RemoteFile(name, sha256, tuple(f"{mirror}{name}.gz" for mirror in _MIRRORS))


MNIST_FILES = (
    _mnist_file("train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    _mnist_file("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    _mnist_file("t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    _mnist_file("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
)


def digits8(split: str) -> tuple[Tensor, Tensor]:
    """1,437 training and 360 test digits of 8×8 pixels; a fixed split with equal shares of every digit."""
    x, y = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=360, stratify=y, random_state=0)
    x, y = (x_train, y_train) if split == "train" else (x_test, y_test)
    return torch.from_numpy(x / 16).float().reshape(-1, 1, 8, 8), torch.from_numpy(y).long()


def mnist(split: str) -> tuple[Tensor, Tensor]:
    """60,000 training or 10,000 test digits of 28×28 pixels."""
    images, labels = MNIST_FILES[:2] if split == "train" else MNIST_FILES[2:]
    x = parse_idx(read("mnist", images), images.name)
    y = parse_idx(read("mnist", labels), labels.name)
    return torch.from_numpy(x).float().div_(255).unsqueeze(1), torch.from_numpy(y).long()


def parse_idx(content: bytes, name: str) -> np.ndarray:
    """An array from the bytes of an idx file: two zero bytes, type 8 (unsigned byte), rank, big-endian sizes, values.

    Raises:
        DataError: the header or the number of values is wrong.
    """
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise DataError(f"{name} is not an idx file of unsigned bytes")
    rank = content[3]
    header = 4 + 4 * rank
    if len(content) < header:
        raise DataError(f"{name} ends within its header")
    shape = struct.unpack(f">{rank}I", content[4:header])
    values = np.frombuffer(content, dtype=np.uint8, offset=header)
    if values.size != math.prod(shape):
        raise DataError(f"{name} holds {values.size} values, its header says {'×'.join(map(str, shape))}")
    return values.reshape(shape).copy()

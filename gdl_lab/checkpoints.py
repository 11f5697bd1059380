"""Checkpoints as safetensors: weights, and in the metadata the architecture and a digest; nothing in it can run."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from gdl_lab.training import CheckpointError

__all__ = ["read", "rebuild", "replacing", "write"]

Kind = TypeVar("Kind", bound=nn.Module)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Another name to write under; what lies there in the end takes the place of ``path``, so never half a file.

    Raises:
        CheckpointError: the file cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, path)
    except OSError as reason:
        raise CheckpointError(f"cannot write the checkpoint {path} ({reason}): choose another place") from None


def write(path: str | Path, weights: Mapping[str, Tensor], architecture: Mapping[str, Any]) -> None:
    """Write ``weights`` and a JSON-able ``architecture``, complete or not at all.

    Raises:
        CheckpointError: the file cannot be written.
    """
    tensors = {name: w.detach().cpu().contiguous().clone() for name, w in weights.items()}
    metadata = {"architecture": json.dumps(architecture), "digest": _digest(tensors)}
    with replacing(Path(path)) as partial:
        # safetensors' own writer makes files that nobody else may read
        partial.write_bytes(save(tensors, metadata))


def read(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and architecture of a file that `write` made.

    Raises:
        CheckpointError: the file is missing, damaged, or was made by something else.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"there is no checkpoint {path}: check the name, or make it anew")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a mapping
    except (OSError, SafetensorError) as reason:
        raise CheckpointError(f"{path} is not a readable safetensors file ({reason}): make it anew") from None
    try:
        architecture = json.loads(metadata["architecture"])
        digest = metadata["digest"]
    except (KeyError, json.JSONDecodeError):
        raise CheckpointError(f"{path} does not say what it holds: it was not written by `save`") from None
    if digest != _digest(weights):
        raise CheckpointError(f"{path} is damaged, its weights are not those that were saved: make it anew")
    return weights, architecture


def rebuild(path: str | Path, key: str, kinds: Mapping[str, type[Kind]], expected: str) -> Kind:
    """The network of a file that `write` made, on the CPU, in its dtype and in evaluation mode.

    Args:
        key: of the architecture, whose entry names one of ``kinds``; the other entries go to its constructor.
        expected: what the file ought to hold, in words, for the message when it does not.

    Raises:
        CheckpointError: the file is missing, damaged, or holds something else.
    """
    weights, architecture = read(path)
    name = architecture.pop(key, None)
    kind = kinds.get(str(name))
    if kind is None:
        raise CheckpointError(f"{path} holds {name!r}, expected a {expected} of this package")
    try:
        network = kind(**architecture)
        # the first number of all may be an integer, as the batches that a normalisation counts
        network.to(next(w.dtype for w in weights.values() if w.is_floating_point())).load_state_dict(weights)
    except (AttributeError, TypeError, ValueError, RuntimeError, StopIteration) as reason:
        raise CheckpointError(
            f"{path} does not fit this version of {name} ({str(reason).splitlines()[0]}): make the file anew"
        ) from None
    return network.eval()


def _digest(weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + weights[name].numpy().tobytes())
    return digest.hexdigest()

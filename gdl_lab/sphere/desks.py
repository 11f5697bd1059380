"""Memory that transforms work in and keep: fresh pages cost a processor about as much as the arithmetic done there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

__all__ = ["Blocks", "Desk", "Desks"]

KEPT = 2**26  # bytes: a larger desk is not kept for the next transform
BATCHES = 4  # sizes of the batch for which a plan keeps desks


class Desk(Protocol):
    """Room for what a transform of a batch writes down on its way, and the views of it that its products take.

    It serves one transform after the other. Views are made once: at small bandlimits they cost as much as arithmetic.
    """

    bytes: int


D = TypeVar("D", bound=Desk)
Blocks = list[tuple[slice, slice]]  # northern nodes of β, and their mirror images


class Desks(Generic[D]):
    """The desks of a plan that are free, by the size of the batch and the number of blocks.

    Of at most `BATCHES` sizes, two of each and `KEPT` bytes a desk.

    Args:
        make: size of the batch, blocks → a desk.
    """

    def __init__(self, make: Callable[[int, Blocks], D]) -> None:
        self.make = make
        self.kept: dict[tuple[int, int], list[D]] = {}

    @contextmanager
    def free(self, like: Tensor, blocks: Blocks) -> Iterator[D]:
        """A desk for the batch of ``like``, its last axis, at which nobody else works, in this thread or another."""
        key = like.shape[-1], len(blocks)
        try:
            desk = self.kept[key].pop()
        except (KeyError, IndexError):
            with torch.inference_mode(False):  # or nobody could write there outside that mode
                desk = self.make(like.shape[-1], blocks)
        yield desk
        # elsewhere than on the CPU PyTorch itself keeps freed memory, and knows which stream still works there
        if like.device.type == "cpu" and desk.bytes <= KEPT:
            if key not in self.kept and len(self.kept) >= BATCHES:
                self.kept.clear()
            kept = self.kept.setdefault(key, [])
            if len(kept) < 2:  # an activation works at two of one plan
                kept.append(desk)

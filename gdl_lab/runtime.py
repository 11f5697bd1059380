"""Where every notebook starts: profile, device and seed, decided once and said in one line."""

from __future__ import annotations

import hashlib
import os
import platform
from dataclasses import dataclass
from typing import TypeVar

import torch

__all__ = [
    "PROFILES",
    "Run",
    "choose_device",
    "choose_profile",
    "current_profile",
    "describe",
    "fresh_seed",
    "generator",
    "normal",
    "start",
]

T = TypeVar("T")

PROFILES = {
    "smoke": "every cell runs, training is cut short: at most a minute a chapter, used by the tests",
    "laptop": "the default: at most three minutes a chapter on two cores",
    "full": "for a GPU or an evening",
}
DEFAULT_PROFILE = "laptop"

_started: Run | None = None


@dataclass(frozen=True)
class Run:
    """What `start` decided.

    Attributes:
        profile: ``"smoke"``, ``"laptop"`` or ``"full"``.
        device: where tensors of this run live.
        seed: the seed that `start` gave to PyTorch; `generator` derives from it.
    """

    profile: str
    device: torch.device
    seed: int

    def pick(self, *, smoke: T, laptop: T, full: T | None = None) -> T:
        """The value for this run's profile; ``full`` defaults to the laptop's."""
        if self.profile == "smoke":
            return smoke
        return full if self.profile == "full" and full is not None else laptop

    def generator(self, stream: int = 0) -> torch.Generator:
        """A fresh CPU generator; different ``stream`` numbers give independent draws."""
        return generator("run", self.seed, stream)


def start(profile: str = DEFAULT_PROFILE, *, seed: int = 0, device: str | torch.device | None = None) -> Run:
    """Begin a run: choose the profile and the device, seed PyTorch, and say so in one line.

    Args:
        profile: the notebook's parameter. A value other than ``"laptop"`` wins; otherwise the environment's
            ``GDL_LAB_PROFILE`` is used, and without it ``"laptop"``.
        seed: seed of PyTorch's global generator, which initialises layers.
        device: overrides the choice CUDA → MPS → CPU, as does the environment's ``GDL_LAB_DEVICE``.

    Raises:
        ValueError: unknown profile, or a device that this machine does not have.
    """
    global _started
    _started = Run(choose_profile(profile), choose_device(device), seed)
    torch.manual_seed(seed)
    print(describe(_started))
    return _started


def choose_profile(profile: str = DEFAULT_PROFILE) -> str:
    """Order of precedence: a non-default argument, then ``GDL_LAB_PROFILE``, then the argument."""
    chosen = profile if profile != DEFAULT_PROFILE else os.environ.get("GDL_LAB_PROFILE") or profile
    if chosen not in PROFILES:
        raise ValueError(f"unknown profile {chosen!r}: expected one of {', '.join(PROFILES)}")
    return chosen


def current_profile() -> str:
    """The profile of the last `start`, or the one that `start` would choose."""
    return _started.profile if _started else choose_profile()


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """CUDA if there is one, else Apple's MPS, else the CPU; ``device`` or ``GDL_LAB_DEVICE`` overrides."""
    asked = device or os.environ.get("GDL_LAB_DEVICE") or None
    if asked is None:
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(kind)
    try:
        chosen = torch.device(asked)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as reason:
        source = "" if device else " (from GDL_LAB_DEVICE)"
        raise ValueError(
            f"device {str(asked)!r}{source} is not on this machine: expected cpu, cuda, cuda:1 or mps; "
            "leave it out to let the course choose"
        ) from reason
    return chosen


def describe(run: Run) -> str:
    """One line for the reader: profile, hardware, versions and seed."""
    if run.device.type == "cuda":
        hardware = torch.cuda.get_device_name(run.device)
    else:
        hardware = f"{run.device.type}, {torch.get_num_threads()} threads"
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"profile {run.profile} · {hardware} · {versions} · seed {run.seed}"


def generator(use: str, *key: str | int) -> torch.Generator:
    """A fresh CPU generator for one use, such as ``generator("order", seed, lap)``.

    The seed is a digest of the names and numbers given, so that the same number in two uses gives unrelated draws.
    """
    digest = hashlib.sha256(repr((use, *key)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def normal(use: str, *shape: int, seed: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Standard normal numbers that depend on the use, the seed and the shape."""
    return torch.randn(shape, generator=generator(use, seed, *shape), dtype=dtype)


def fresh_seed() -> int:
    """A new seed for a check that must hold for every seed. Show it: ``GDL_LAB_SEED`` repeats it."""
    return int(os.environ.get("GDL_LAB_SEED") or int.from_bytes(os.urandom(4), "big"))

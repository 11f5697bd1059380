"""The card that lies beside a checkpoint: how it was made, on what, and what it measured."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdl_lab import checkpoints, runtime
from gdl_lab.training import CheckpointError

__all__ = ["Card", "sha256"]


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a reader should know of a checkpoint before trusting it.

    Fields that say nothing of a checkpoint are ``None`` and left out of its file.

    Attributes:
        name: of the recipe.
        title: one sentence.
        command: the line that makes it again.
        profile: how long was trained: ``"smoke"``, ``"laptop"`` or ``"full"``.
        seed: of weights, noise and order.
        data: what it was trained on.
        pictures, points: how many of them.
        bits: pictures were quantised to 2ᵇ grey levels.
        delta: thickness of the noise around a curve.
        architecture: the model's kind and sizes, as they stand in the file.
        parameters: number of trained numbers.
        steps: optimisation steps that were taken.
        best_step: the step whose weights these are, the best on the examples held out.
        minutes: wall time of the training, validations included.
        device: what it ran on.
        core_share: CPU time of all threads over wall time, in the last sitting: below 1 for one that shared its core.
        metric: name of what ``value`` is; smaller is better.
        value: measured on the test split.
        gaussian: the same of the Gaussian with the mean and the covariance of the training examples, or as many of its
            directions as the recipe says: what a flow has to beat.
        constant: the same of the best answer that does not look at the picture: what a reader has to beat; for fields,
            of the constant density.
        untrained: the same of the model that training begins with.
        further: what else was measured on the test split, by name.
        validation: pairs (step, what was validated on the examples held out): bits/dim of pictures, −E log q in nats of
            points, the loss of readers.
        sha256: checksum of the file with the weights.
        torch: version of PyTorch.
    """

    name: str
    title: str
    command: str
    profile: str
    seed: int
    data: str
    pictures: int | None = None
    points: int | None = None
    bits: int | None = None
    delta: float | None = None
    architecture: dict[str, Any]
    parameters: int
    steps: int
    best_step: int
    minutes: float
    device: str
    core_share: float
    metric: str
    value: float
    gaussian: float | None = None
    constant: float | None = None
    untrained: float | None = None
    further: dict[str, float] | None = None
    validation: tuple[tuple[int, float], ...]
    sha256: str
    torch: str

    @property
    def to_beat(self) -> tuple[str, float]:
        """Who has to be beaten, in words, and what they have.

        Raises:
            ValueError: it names none, or more than one.
        """
        rivals = {"a Gaussian": self.gaussian, "a constant": self.constant, "untrained": self.untrained}
        named = [(name, value) for name, value in rivals.items() if value is not None]
        if len(named) != 1:
            raise ValueError("it has to name one to beat: a Gaussian, a constant or the untrained model")
        return named[0]

    def write(self, path: Path) -> None:
        """One field a line, complete or not at all.

        Raises:
            CheckpointError: the file cannot be written.
        """
        fields = dataclasses.asdict(self).items()
        said = ((key, json.dumps(value, ensure_ascii=False)) for key, value in fields if value is not None)
        lines = ",\n".join(f"  {json.dumps(key)}: {value}" for key, value in said)
        with checkpoints.replacing(path) as partial:
            partial.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Card:
        """The card that `write` wrote.

        Raises:
            CheckpointError: the file is missing, is no card, has other fields, or names a profile that there is not.
        """
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            validation = tuple((int(step), float(error)) for step, error in fields["validation"])
            card = cls(**{**fields, "validation": validation})
            if card.profile not in runtime.PROFILES:
                raise ValueError(f"there is no profile {card.profile!r}")
            _ = card.to_beat  # or a ValueError
            return card
        except OSError as reason:
            raise CheckpointError(f"there is no card {path} ({reason.strerror}): make the checkpoint anew") from None
        except (ValueError, TypeError, KeyError) as reason:
            raise CheckpointError(f"{path} is not the card of a checkpoint ({reason}): make it anew") from None


def sha256(path: Path) -> str:
    """Checksum of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()

"""One training loop for the whole course: progress bar, early stop, atomic checkpoint, resume."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from gdl_lab import runtime

__all__ = ["CheckpointError", "Diverged", "History", "fit", "warm_cosine"]

Optimiser = Callable[..., torch.optim.Optimizer]


class Diverged(RuntimeError):
    """The loss became infinite or not a number."""


class CheckpointError(RuntimeError):
    """A checkpoint is unreadable or belongs to another training."""


@dataclass
class History:
    """What a training did.

    Attributes:
        loss: the loss of each step's batch, before the step.
        validation: pairs (number of steps done, validation error).
        seconds: wall time, over all sittings.
        stopped_early: whether ``patience`` ran out.
    """

    loss: list[float] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    seconds: float = 0.0
    stopped_early: bool = False

    @property
    def best(self) -> float:
        """The smallest validation error, NaN left out; infinite if none was measured."""
        return min((error for _, error in self.validation if not math.isnan(error)), default=math.inf)


def warm_cosine(t: float, warm_up: float = 0.05) -> float:
    """Factor of the learning rate at the fraction ``t`` of a training: up along a line, then down along a cosine."""
    return t / warm_up if t < warm_up else 0.5 * (1 + math.cos(math.pi * (t - warm_up) / (1 - warm_up)))


def fit(
    model: nn.Module,
    data: Sequence[Tensor],
    loss: Callable[..., Tensor],
    *,
    steps: int,
    batch_size: int | None = None,
    lr: float = 1e-3,
    schedule: Callable[[float], float] | None = None,
    clip: float = math.inf,
    optimiser: Optimiser = torch.optim.Adam,
    seed: int = 0,
    validate: Callable[[nn.Module], float] | None = None,
    every: int = 100,
    patience: int | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
    label: str = "training",
) -> History:
    """Train ``model`` in place by ``steps`` steps of gradient descent.

    The batch of step t depends on ``seed`` and t alone, and ``checkpoint`` is first written before step 0, so that a
    training killed at any moment and started again ends with the same weights as one that was left in peace.

    Args:
        model: the network; batches are moved to the device of its parameters.
        data: tensors of equal length, such as ``(x, y)``.
        loss: ``loss(model, *batch)`` → scalar to be minimised.
        steps: number of optimisation steps in all, those of an earlier sitting included.
        batch_size: examples a step, drawn without repetition within a pass over the data; ``None`` takes all of them.
        lr: learning rate, handed to ``optimiser(parameters, lr=lr)``.
        schedule: factor of the learning rate as a function of the fraction of ``steps`` done, in [0, 1), such as
            `warm_cosine`; ``None`` keeps it constant. With a schedule a resumed training has to ask for as many steps.
        clip: gradients of a larger norm are scaled down to this one.
        validate: ``validate(model)`` → error, smaller is better; measured every ``every`` steps and at the end. At the
            end the model holds the weights with the smallest error.
        every: steps between validations and between checkpoints.
        patience: stop after this many validations without a new best.
        checkpoint: file to save to and to resume from; written under another name and renamed, so never half there.

    Raises:
        ValueError: data of unequal length, empty data, sizes below one, or a ``clip`` that is not positive.
        Diverged: the loss is not finite, or the gradient where it is clipped; the message names the step.
        CheckpointError: ``checkpoint`` cannot be read or written, was made with other settings or is past ``steps``.
    """
    n = _check(data, steps, batch_size, every, patience)
    if not clip > 0:
        raise ValueError(f"clip is a positive norm, got {clip}")
    size = min(batch_size or n, n)
    parameters = list(model.parameters())
    if not parameters:
        raise ValueError("the model has no parameters to train")
    device = parameters[0].device
    if size == n:
        data = [t.to(device) for t in data]
    optim = optimiser(parameters, lr=lr)
    settings = f"n={n} batch_size={size} lr={lr} seed={seed} every={every} {type(optim).__name__}"
    if schedule is not None:
        settings += f" steps={steps} schedule={getattr(schedule, '__name__', 'given')}"
    if clip != math.inf:
        settings += f" clip={clip}"
    state = _Sitting(model, optim, History(), settings, Path(checkpoint) if checkpoint else None)
    done = state.resume(steps)
    began = time.perf_counter() - state.history.seconds
    patient = patience is None or state.stale < patience

    bar = tqdm(total=steps, initial=done, desc=label, disable=not progress, leave=False, mininterval=0.2)
    with bar:
        model.train()
        while done < steps and patient:
            batch = data if size == n else [t[_batch(n, size, done, seed)].to(device) for t in data]
            error = loss(model, *batch)
            value = float(error.detach())
            if not math.isfinite(value):
                raise Diverged(f"the loss is {value} at step {done}: {_advice(done, lr)}")
            optim.zero_grad()
            error.backward()
            if clip != math.inf and not nn.utils.clip_grad_norm_(parameters, clip).isfinite():
                raise Diverged(f"the gradient is not finite at step {done}: {_advice(done, lr)}")
            if schedule is not None:
                for group in optim.param_groups:
                    group["lr"] = lr * schedule((done + 0.5) / steps)  # the middle of the step: never at the zeros
            optim.step()
            done += 1
            state.history.loss.append(value)
            bar.update()
            if done % every == 0 or done == steps:
                bar.set_postfix(loss=f"{value:.4g}", refresh=False)
                if validate is not None:
                    state.note(done, _measured(validate, model))
                    patient = patience is None or state.stale < patience
                state.history.seconds = time.perf_counter() - began
                state.save(done)
    state.history.stopped_early = not patient
    state.history.seconds = time.perf_counter() - began
    if state.best_weights is not None:
        model.load_state_dict(state.best_weights)
    model.eval()
    return state.history


@dataclass
class _Sitting:
    """All that a resumed training needs to go on as if nothing had happened."""

    model: nn.Module
    optim: torch.optim.Optimizer
    history: History
    settings: str
    path: Path | None
    best_weights: dict[str, Tensor] | None = None
    stale: int = 0

    def note(self, done: int, error: float) -> None:
        if error < self.history.best:
            self.best_weights = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
            self.stale = 0
        else:
            self.stale += 1
        self.history.validation.append((done, error))

    def save(self, done: int) -> None:
        if self.path is None:
            return
        saved: dict[str, Any] = {
            "settings": self.settings,
            "done": done,
            "model": self.model.state_dict(),
            "optim": self.optim.state_dict(),
            "best_weights": self.best_weights,
            "stale": self.stale,
            "loss": self.history.loss,
            "validation": self.history.validation,
            "seconds": self.history.seconds,
            "random": torch.get_rng_state(),  # dropout draws from it, on a GPU from the next
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        partial = self.path.with_name(self.path.name + ".partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(saved, partial)
            os.replace(partial, self.path)
        except (OSError, RuntimeError) as reason:  # torch raises RuntimeError where its writer cannot open the file
            raise CheckpointError(
                f"cannot write the checkpoint {self.path} ({str(reason).splitlines()[0]}): choose another place"
            ) from None

    def resume(self, steps: int) -> int:
        if self.path is None:
            return 0
        if not self.path.exists():
            self.save(0)
            return 0
        if self.path.is_dir():
            raise CheckpointError(f"{self.path} is a folder, expected a file")
        try:
            saved = torch.load(self.path, map_location="cpu", weights_only=True)
            settings, done = saved["settings"], int(saved["done"])
        except Exception as reason:  # torch raises many kinds for a damaged file
            raise CheckpointError(
                f"{self.path} is not a readable checkpoint ({type(reason).__name__}): delete it to start anew"
            ) from None
        if settings != self.settings:
            raise CheckpointError(
                f"{self.path} was made with {settings}, not with {self.settings}: use another file or delete it"
            )
        if done > steps:
            raise CheckpointError(f"{self.path} is at step {done}, past the {steps} asked for: use another file")
        try:
            self.model.load_state_dict(saved["model"])
        except RuntimeError:
            raise CheckpointError(
                f"{self.path} holds the weights of another network: use another file or delete it"
            ) from None
        self.optim.load_state_dict(saved["optim"])
        self.best_weights, self.stale = saved["best_weights"], saved["stale"]
        self.history.loss, self.history.seconds = saved["loss"], saved["seconds"]
        self.history.validation = [(int(step), float(error)) for step, error in saved["validation"]]
        torch.set_rng_state(saved["random"])
        if len(saved["random_cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(saved["random_cuda"])
        return done


def _advice(done: int, lr: float) -> str:
    if done == 0:
        return "no step was taken yet, so the data or the initial weights hold NaN, infinity or very large numbers"
    return f"lower the learning rate ({lr:g}) or look for NaN and infinity in the data"


def _check(data: Sequence[Tensor], steps: int, batch_size: int | None, every: int, patience: int | None) -> int:
    lengths = {len(t) for t in data}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"expected tensors of one common, positive length, got lengths {[len(t) for t in data]}")
    for name, value in (("steps", steps), ("batch_size", batch_size), ("every", every), ("patience", patience)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is at least 1, got {value}")
    return lengths.pop()


def _batch(n: int, size: int, step: int, seed: int) -> Tensor:
    """Indices of the step-th batch: every pass over the data is a permutation drawn from (seed, pass)."""
    lap, place = divmod(step, n // size)
    return _order(n, lap, seed)[place * size : (place + 1) * size]


@lru_cache(maxsize=1)
def _order(n: int, lap: int, seed: int) -> Tensor:
    return torch.randperm(n, generator=runtime.generator("order", seed, lap))


def _measured(validate: Callable[[nn.Module], float], model: nn.Module) -> float:
    model.eval()
    with torch.no_grad():
        error = float(validate(model))
    model.train()
    return error

r"""Gradient ascent on what a classifier says, in the coordinates of data space X or of the base space Z of a flow.

    x ← x + λ ∂f/∂x         finds adversarial examples: f has learned nothing about points off the data manifold;
    z ← z + λ ∂(f∘g)/∂z     finds counterfactuals: in X this is the step λ γ⁻¹ ∂f/∂x + O(λ²), along the manifold.

Both are one function here, `ascend`: all that differs is the coordinate system.

Source: Gerken, "Gradient ascent in base space"; Dombrowski, Gerken, Müller & Kessel (2023).
"""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from gdl_lab.flows import Diffeomorphism, Flow, adapt
from gdl_lab.training import Diverged

__all__ = ["Explanation", "Path", "ascend", "closeness", "explain", "log_probability"]

Score = Callable[[Tensor], Tensor]
Optimizer = Literal["plain", "adam"]


def log_probability(classifier: Callable[[Tensor], Tensor], target: int) -> Score:
    r"""The score log p_target(x) ≤ 0, which `ascend` climbs to a class.

    Args:
        classifier: data ``(batch, …)`` to logits ``(batch, K)``, K ≥ 2.
        target: class, 0 … K − 1.

    Returns:
        A function ``(batch, …)`` → ``(batch,)`` that raises `ValueError` on logits of another shape.
    """

    def score(x: Tensor) -> Tensor:
        logits = classifier(x)
        if logits.ndim != 2 or len(logits) != len(x) or logits.shape[1] < 2:
            raise ValueError(
                f"expected logits of shape ({len(x)}, K) with K ≥ 2, got {tuple(logits.shape)}: a single logit a is "
                "the two logits 0 and a, and a regressor needs a target that is a float"
            )
        if not 0 <= target < logits.shape[1]:
            raise ValueError(f"expected a class between 0 and {logits.shape[1] - 1}, got {target}")
        return logits.log_softmax(1)[:, target]

    return score


def closeness(regressor: Callable[[Tensor], Tensor], target: float) -> Score:
    r"""The score −(r(x) − target)²/2 ≤ 0, which `ascend` climbs to a value; within ±t once it is at least −t²/2.

    Args:
        regressor: data ``(batch, …)`` to values r, ``(batch,)``.
        target: a value.

    Returns:
        A function ``(batch, …)`` → ``(batch,)`` that raises `ValueError` on values of another shape.
    """

    def score(x: Tensor) -> Tensor:
        value = regressor(x)
        if value.shape != x.shape[:1]:
            raise ValueError(
                f"expected values of shape ({len(x)},), got {tuple(value.shape)}: drop a last axis of one with "
                ".squeeze(1), and give a classifier a target that is an int"
            )
        return -0.5 * (value - target).square()

    return score


@dataclass(frozen=True)
class Path:
    """The steps of `ascend`, the start included; a sample that has arrived stays where it is.

    Attributes:
        points: in the coordinates that were climbed, shape ``(steps + 1, batch, …)``.
        x: the same in data space.
        score: shape ``(steps + 1, batch)``.
        steps: how many each sample took, shape ``(batch,)``, int64.
        reached: whether it got to where it should, shape ``(batch,)``, bool.
    """

    points: Tensor
    x: Tensor
    score: Tensor
    steps: Tensor
    reached: Tensor

    @property
    def end(self) -> Tensor:
        """The last points in data space, shape ``(batch, …)``."""
        return self.x[-1]

    @property
    def length(self) -> Tensor:
        """Euclidean length of each path in data space, shape ``(batch,)``."""
        return self.x.diff(dim=0).flatten(2).norm(dim=2).sum(0)

    @torch.no_grad()
    def log_q(self, flow: Flow | Diffeomorphism) -> Tensor:
        """Log-density under a flow of all points of the path, shape ``(steps + 1, batch)``."""
        return torch.stack([flow.log_prob(x) for x in self.x])


def ascend(
    score: Score,
    start: Tensor,
    decode: Callable[[Tensor], Tensor] | None = None,
    *,
    lr: float,
    steps: int = 500,
    until: float = math.log(0.99),
    optimizer: Optimizer = "plain",
) -> Path:
    r"""Climb score(decode(p)) by its gradient with respect to p, each sample by itself until it scores enough.

    Args:
        score: data ``(batch, …)`` → ``(batch,)``, each point by itself: `log_probability`, `closeness` or your own.
        start: where p starts, shape ``(batch, …)``.
        decode: from p to data. ``None`` climbs in X; ``flow.push``, from ``start=flow.pull(x)``, climbs in Z.
        lr: λ.
        steps: the most that are taken.
        until: the score at which a sample stops; by default that of p = 0.99.
        optimizer: ``"plain"`` is p ← p + λ∂, the step of the theorem. ``"adam"`` rescales each coordinate by the size
            of its gradient, which needs less care for λ, and in Z undoes a part of what γ⁻¹ does.

    Raises:
        ValueError: no points, NaN or infinity among them, a score of another shape or without a gradient.
        Diverged: score or gradient become NaN or infinite on the way.
    """
    _check_points(start)
    if not (lr > 0 and steps >= 0) or optimizer not in ("plain", "adam"):
        raise ValueError(f"expected lr > 0, steps ≥ 0, 'plain' or 'adam', got {lr}, {steps}, {optimizer!r}")
    live = torch.arange(len(start), device=start.device)  # samples that still climb; the others are left alone
    p, m, v = start, torch.zeros_like(start), torch.zeros_like(start)
    path: list[tuple[Tensor, ...]] = []
    for t in range(steps + 1):
        p = p.detach().requires_grad_()
        with torch.enable_grad():
            x = p if decode is None else decode(p)
            reward = score(x)
        _check_score(reward, p, t)
        here = (p.detach(), x.detach(), reward.detach())
        path.append(tuple(a.index_copy(0, live, b) for a, b in zip(path[-1], here, strict=True)) if path else here)
        on = reward.detach() < until
        if t == steps or not bool(on.any()):
            break
        ones = torch.ones_like(reward)
        slope = torch.autograd.grad(reward, p, ones, allow_unused=True)[0] if reward.requires_grad else None
        if slope is None:
            raise ValueError("the score has no gradient: does the model compute under no_grad, or from x.detach()?")
        live, p, m, v, slope = (each[on] for each in (live, p.detach(), m, v, slope))
        if bad := _bad(slope):
            raise Diverged(f"the gradient at step {t} is not finite for {bad} samples: lower lr={lr:g}")
        if optimizer == "adam":
            m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope.square()
            slope = m / (1 - 0.9 ** (t + 1)) / ((v / (1 - 0.999 ** (t + 1))).sqrt() + 1e-8)
        p = p + lr * slope
    points, xs, scores = (torch.stack(each) for each in zip(*path, strict=True))
    return Path(points, xs, scores, (scores[:-1] < until).sum(0), scores[-1] >= until)


@dataclass(frozen=True)
class Explanation:
    """What `explain` found: tensors alone; the axis of length 3 is original, counterfactual, adversarial example.

    Attributes:
        target: the class (int) or the value (float).
        original: shape ``(batch, …)``.
        in_z, in_x: the paths to the counterfactual and to the adversarial example.
        output: probability of the target class, or the predicted value, shape ``(3, batch)``.
        log_q: log-density under the flow in nats, shape ``(3, batch)``.
    """

    target: int | float
    original: Tensor
    in_z: Path
    in_x: Path
    output: Tensor
    log_q: Tensor

    @property
    def counterfactual(self) -> Tensor:
        """Where the ascent in Z ended, shape ``(batch, …)``."""
        return self.in_z.end

    @property
    def adversarial(self) -> Tensor:
        """Where the ascent in X ended, shape ``(batch, …)``."""
        return self.in_x.end

    @property
    def difference(self) -> Tensor:
        """Counterfactual and adversarial example minus the original, shape ``(2, batch, …)``."""
        return torch.stack([self.counterfactual - self.original, self.adversarial - self.original])


def explain(
    classifier: Callable[[Tensor], Tensor],
    flow: Any,
    x: Tensor,
    target: int | float,
    *,
    confidence: float = 0.99,
    tol: float = 0.1,
    lr: float = 0.05,
    lr_x: float = 0.01,
    steps: int = 500,
    optimizer: Optimizer = "adam",
) -> Explanation:
    r"""What would have to be different about x for it to be ``target``, and what is enough to fool the classifier.

    Args:
        classifier: to logits, ``(batch, …)`` → ``(batch, K)``, or a regressor, to values ``(batch,)``. Modules are in
            evaluation mode for the time being.
        flow: a flow on the same data, of this package, normflows or zuko, or any that `adapt` takes.
        x: data, shape ``(batch, …)``.
        target: an int for a class, a float for a value.
        confidence: a classifier's p_target at which a sample is done.
        tol: distance of a regressor's value to the target at which it is done, in the units of the value.
        lr, lr_x: λ in Z and in X; the units of the two spaces differ.
        steps: the most that are taken in either.
        optimizer: see `ascend`.

    Raises:
        ValueError: as `ascend`; another dtype or device than the modules'; a flow that does not return x from where it
            took it.
        Diverged: as `ascend`.

    Warns:
        UserWarning: some samples were at the target to begin with, or did not get there in the given steps.
    """
    _check_points(x)
    if not 0 < confidence < 1 or not tol > 0:
        raise ValueError(f"expected a confidence between 0 and 1 and a positive tol, got {confidence} and {tol}")
    for module in (classifier, flow):
        _check_home(module, x)
    space, goal = adapt(flow), _goal(classifier, target, confidence, tol)
    with _evaluating(classifier, flow):
        z = _base_points(space, x)
        in_z = ascend(goal.score, z, space.push, lr=lr, steps=steps, until=goal.until, optimizer=optimizer)
        in_x = ascend(goal.score, x, lr=lr_x, steps=steps, until=goal.until, optimizer=optimizer)
        with torch.no_grad():
            three = [x.detach(), in_z.end, in_x.end]
            output, log_q = (torch.stack([f(one) for one in three]) for f in (goal.output, space.log_prob))
    for where, path, rate in (("Z", in_z, f"lr={lr}"), ("X", in_x, f"lr_x={lr_x}")):
        if left := int((~path.reached).sum()):
            warnings.warn(
                f"{left} of {len(x)} did not reach {target} in {steps} steps in {where}: more steps, or another rate "
                f"than {rate}",
                stacklevel=2,
            )
    if there := int((in_x.steps == 0).sum()) if steps else 0:
        warnings.warn(f"{there} of {len(x)} were at {target} to begin with: for them nothing changes", stacklevel=2)
    return Explanation(goal.target, three[0], in_z, in_x, output, log_q)


class _Goal(NamedTuple):
    """What is climbed, how far, and what is said about a point in the end: a probability, or the value."""

    target: int | float
    score: Score
    until: float
    output: Score


def _goal(classifier: Callable[[Tensor], Tensor], target: int | float, confidence: float, tol: float) -> _Goal:
    try:
        label = operator.index(target)  # type: ignore[arg-type]  # integers of NumPy and PyTorch too
    except TypeError:
        value = float(target)
        return _Goal(value, closeness(classifier, value), -0.5 * tol**2, classifier)
    score = log_probability(classifier, label)
    return _Goal(label, score, math.log(confidence), lambda x: score(x).exp())


@torch.no_grad()
def _base_points(space: Flow | Diffeomorphism, x: Tensor) -> Tensor:
    """z = g⁻¹(x), if g leads back from there to x."""
    z = space.pull(x)
    back = space.push(z)
    if back.shape != x.shape or not bool(((back - x).abs() <= 1e-2 * (1 + x.abs().max())).all()):
        raise ValueError("push(pull(x)) is not x: the flow is no flow on these data, or not invertible enough there")
    return z


def _check_points(points: Tensor) -> None:
    if points.ndim < 2 or points.numel() == 0 or not points.is_floating_point() or _bad(points):
        raise ValueError(
            f"expected finite points of shape (batch, …) with batch ≥ 1, got {points.dtype} of shape "
            f"{tuple(points.shape)}, NaN or infinite in {_bad(points)} samples"
        )


def _check_score(reward: Tensor, p: Tensor, t: int) -> None:
    if reward.shape != p.shape[:1]:
        raise ValueError(f"expected a score of shape ({len(p)},), got {tuple(reward.shape)}")
    if bad := _bad(reward):
        raise Diverged(f"the score at step {t} is not finite for {bad} samples: lower lr, or look at the model there")


def _bad(values: Tensor) -> int:
    """Number of samples with NaN or infinity."""
    return int((~values.isfinite().flatten(1).all(1) if values.ndim > 1 else ~values.isfinite()).sum())


def _check_home(module: Any, x: Tensor) -> None:
    if not isinstance(module, nn.Module):
        return
    for p in module.parameters():
        if p.is_floating_point() and (p.dtype, p.device) != (x.dtype, x.device):
            raise ValueError(
                f"{type(module).__name__} computes in {p.dtype} on {p.device}, got x in {x.dtype} on {x.device}: "
                "bring one to the other with .to(…)"
            )


@contextmanager
def _evaluating(*candidates: Any) -> Iterator[None]:
    """Without dropout and batch statistics, which would let the samples see each other."""
    modules = [m for one in candidates if isinstance(one, nn.Module) for m in one.modules()]
    modes = [m.training for m in modules]
    for m in modules:
        m.training = False
    try:
        yield
    finally:
        for m, mode in zip(modules, modes, strict=True):
            m.training = mode

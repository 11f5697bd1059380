"""Gradient ascent to a target in base space and in data space, side by side: pictures, their changes, densities."""

from __future__ import annotations

import copy
import math
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import traitlets
from numpy.typing import NDArray
from torch import Tensor, nn

from gdl_lab.counterfactuals import explain
from gdl_lab.flows import Flow
from gdl_lab.metric import adapt
from gdl_lab.widgets.stage import Finite, Widget, bundle, finite_array, float32_bytes

__all__ = ["CURVES", "SPACES", "STEP_SIZES", "CounterfactualExplorer", "positions"]

Array = NDArray[np.float64]
SPACES = ("z", "x")
CURVES = ("output", "log_q", "norm", "largest", "steps")
STEP_SIZES: Mapping[str, Sequence[tuple[float, float]]] = {  # λ in Z and in X
    "plain": ((0.1, 0.05), (0.4, 0.2)),
    "adam": ((0.01, 0.002), (0.05, 0.01)),
}
MOST_BYTES, MOST_FRAMES, FEWEST_FRAMES = 480_000, 16, 4
LEVELS = 127  # a change is stored in so many steps of its largest value, on either side of zero


class CounterfactualExplorer(Widget):
    r"""Two gradient ascents from one picture to one target: in Z, through a flow, and in X, on the pixels themselves.

    What to try: drag the position from the original to the end. As long as steps are small, the classifier is equally
    sure of both pictures at every position, so the curves of p lie on each other: it sees no difference. You do. In Z
    the strokes, or the hair, of the target appear; in X the picture stays recognisably what it was, under a pattern
    that belongs to no picture. The maps show where either has changed it; *magnify* brings the fainter one out. And the
    flow finds out: log q / D stays where it was in Z and falls in X. Then take longer steps or Adam, and watch what is
    gained and lost: fewer steps, and on a path in Z jumps over half of the way, on a path in X a deeper fall of log q.
    Where a target is not reached, the caption says so.

    A position is a share of the way of the log-odds of the target, from where they begin to those of ``confidence``
    (for a regressor, of the distance to the value), and shows the first step that has come so far. So the two sides
    can be compared, and pictures change evenly: on the way from a four to a nine the first of nine such parts makes a
    fifth of the whole change; of nine equal parts of p it would make half, and of nine of the iteration, which slows
    down as p nears 1, four fifths.

    The paths are climbed when the widget is made; every frame is a step of a path, none is interpolated.

    Args:
        classifier: takes pictures in the shape in which ``x`` is given to logits ``(batch, K)``, or is a regressor, to
            values ``(batch,)``. Of modules a copy is kept, in evaluation mode: later training changes nothing here.
        flow: a flow on the same data; as for `gdl_lab.counterfactuals.explain`.
        x: pictures with values in [0, 1], shape ``(n, height, width)``, ``(n, 1, height, width)`` or
            ``(n, 3, height, width)``; or flat, ``(n, D)``, with ``shape``. What leaves [0, 1] is shown clipped.
        targets: for all pictures, classes (int) or values (float); a mapping names them, as in ``{"blonde": 1}`` or
            ``{"few": 2.0, "many": 10.0}``.
        names: of the pictures, one for each.
        step_sizes: for each optimiser of `ascend` pairs (λ in Z, λ in X), equally many for each.
        frames: positions on a path, the original included, 4 to 16; by default as many as 480 kB hold.
        shape: of a picture if ``x`` is flat, ``(28, 28)`` or ``(3, 32, 32)``.
        steps: the most that are taken on a path.
        confidence: the probability at which a path to a class ends.
        tol: the distance to a value at which a path to it ends.
        settings: any trait below, such as ``picture=1``, ``optimiser="adam"`` or ``t=0``.

    Raises:
        ValueError: as `explain`, or pictures, targets, names or step sizes that do not fit; too many for the page; a
            density that is not finite on a path.
        Diverged: as `explain`.
        TraitError: a setting outside its range.

    Example:
        >>> from gdl_lab.flows import RealNVP
        >>> reader = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
        >>> rates = {"adam": [(0.05, 0.05)]}
        >>> explorer = CounterfactualExplorer(reader, RealNVP(64), torch.rand(1, 8, 8), [1], step_sizes=rates)
        >>> explorer.readout(t=0)["largest_x"], explorer.readout()["output_x"] > 0.98
        (0.0, True)
    """

    _esm = bundle("counterfactual_explorer")

    names: Any = traitlets.List(traitlets.Unicode()).tag(sync=True)
    goals: Any = traitlets.List(traitlets.Unicode()).tag(sync=True)
    values: Any = traitlets.List(Finite()).tag(sync=True)
    regression = traitlets.Bool(False).tag(sync=True)
    shape: Any = traitlets.List(traitlets.Int()).tag(sync=True)
    step_sizes: Any = traitlets.Dict().tag(sync=True)
    frames = traitlets.Int(10).tag(sync=True)
    originals = traitlets.Bytes().tag(sync=True)
    changes = traitlets.Bytes().tag(sync=True)
    curves = traitlets.Bytes().tag(sync=True)
    reached = traitlets.Bytes().tag(sync=True)
    picture = traitlets.Int(0, min=0).tag(sync=True)
    target = traitlets.Int(0, min=0).tag(sync=True)
    optimiser = traitlets.Unicode().tag(sync=True)
    step = traitlets.Int(0, min=0).tag(sync=True)
    t = traitlets.Int(0, min=0).tag(sync=True)
    magnify = traitlets.Bool(False).tag(sync=True)

    _classifier: nn.Module | None = None
    _flow: Any
    _x: Tensor
    _targets: list[int | float]
    _limits: dict[str, Any]

    def __init__(
        self,
        classifier: Callable[[Tensor], Tensor],
        flow: Any,
        x: Any,
        targets: Mapping[str, int | float] | Sequence[int | float],
        names: Sequence[Any] | None = None,
        step_sizes: Mapping[str, Sequence[tuple[float, float]]] = STEP_SIZES,
        frames: int | None = None,
        *,
        shape: Sequence[int] | None = None,
        steps: int = 500,
        confidence: float = 0.99,
        tol: float = 0.1,
        **settings: Any,
    ) -> None:
        points, given, pictures = _check_pictures(x, shape, flow)
        names = [str(name) for name in (range(len(points)) if names is None else names)]
        if len(names) != len(points):
            raise ValueError(f"expected {len(points)} names, one for each picture, got {len(names)}")
        goals, rates = _check_targets(targets), _check_step_sizes(step_sizes)
        choices = [(g, name, pair) for g in range(len(goals)) for name, pairs in rates.items() for pair in pairs]
        frames = _check_frames(frames, math.prod(pictures) * len(choices) * len(SPACES))
        self._classifier, self._flow, self._x = _Reading(_frozen(classifier), given), _frozen(flow), points
        self._targets = list(goals.values())
        self._limits = {"confidence": confidence, "tol": tol, "steps": steps}
        climbed = [self._climb(points, *choice, frames) for choice in choices]
        # by picture, choice and space, as the page looks them up
        changes, curves, reached = (np.stack(each, axis=1) for each in zip(*climbed, strict=True))
        super().__init__(
            names=names,
            goals=list(goals),
            values=[float(value) for value in goals.values()],
            regression=isinstance(self._targets[0], float),
            shape=pictures,
            step_sizes=rates,
            frames=frames,
            originals=(255 * finite_array(points, "x", "(n, …)")).round().astype(np.uint8).tobytes(),
            changes=_levels(changes[..., 1:, :], curves[..., CURVES.index("largest"), 1:]),
            curves=float32_bytes(curves),
            reached=reached.astype(np.uint8).tobytes(),
            **{"optimiser": next(iter(rates)), "t": frames - 1, **settings},
        )

    @traitlets.validate("picture", "target", "optimiser", "step", "t")
    def _check_choice(self, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        if name == "optimiser":
            if value not in self.step_sizes:
                raise traitlets.TraitError(f"unknown optimiser {value!r}: expected one of {', '.join(self.step_sizes)}")
            return value
        sizes = next(iter(self.step_sizes.values()))
        most = {"picture": len(self.names), "target": len(self.goals), "step": len(sizes), "t": self.frames}[name]
        if value >= most:
            raise traitlets.TraitError(f"expected {name} from 0 to {most - 1}, got {value}")
        return value

    def __repr__(self) -> str:
        size = " × ".join(str(length) for length in self.shape[2:])
        return (
            f"CounterfactualExplorer({', '.join(self.names)} → {', '.join(self.goals)}; {size}, "
            f"{', '.join(self.step_sizes)}, {self.frames} frames)"
        )

    def readout(self, **settings: Any) -> dict[str, float]:
        """The numbers beside the pictures; arguments default to the present traits.

        The one path in question is climbed anew. A widget made from a page's state has neither classifier nor flow, and
        looks the numbers up as the page does.

        Args:
            settings: ``picture``, ``target`` and ``step``, indices; ``optimiser``, a name; and ``t``, the position, 0
                at the original to ``frames`` − 1 at the end.

        Returns:
            With ``_z`` and ``_x``, at that position of either path: ``output``, the probability of the target class or
            the regressor's value; ``log_q``, log q / D in nats; ``norm`` and ``largest``, the Euclidean length and the
            largest component of the change; ``steps``, the number of steps up to there.
        """
        named = ("picture", "target", "optimiser", "step", "t")
        picture, target, optimiser, step, t = self.chosen(named, settings, ("magnify",))
        if self._classifier is None:
            counts = [len(self.goals), len(self.step_sizes), len(next(iter(self.step_sizes.values())))]
            stored = np.frombuffer(self.curves, "<f4").reshape(-1, *counts, len(SPACES), len(CURVES), self.frames)
            numbers = stored[picture, target, list(self.step_sizes).index(optimiser), step, ..., t]
        else:
            climbed = self._climb(self._x[[picture]], target, optimiser, self.step_sizes[optimiser][step], self.frames)
            numbers = climbed[1][0, ..., t]
        return {
            f"{what}_{space}": float(numbers[s, k]) for s, space in enumerate(SPACES) for k, what in enumerate(CURVES)
        }

    def _climb(
        self, x: Tensor, target: int, optimiser: str, rates: Sequence[float], frames: int
    ) -> tuple[Array, Array, Array]:
        """Changes, shape (n, spaces, frames, D), curves, (n, spaces, curves, frames), and arrivals, (n, spaces)."""
        classifier, goal, limits = self._classifier, self._targets[target], self._limits
        assert classifier is not None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # what was not reached is said under the picture
            found = explain(
                classifier,
                self._flow,
                x,
                goal,
                lr=rates[0],
                lr_x=rates[1],
                optimizer=optimiser,  # type: ignore[arg-type]
                **limits,
            )
        regression = isinstance(goal, float)
        until = -0.5 * limits["tol"] ** 2 if regression else math.log(limits["confidence"])
        sides = []
        for space, path in zip(SPACES, (found.in_z, found.in_x), strict=True):
            at = positions(path.score, until, frames, regression).minimum(path.steps)
            points = torch.stack([path.x[row, torch.arange(len(x))] for row in at.cpu()])  # (frames, n, …)
            flat = points.flatten(0, 1)
            with torch.no_grad():
                log_q = adapt(self._flow).log_prob(flat).view(at.shape) / x[0].numel()
                score = path.score.gather(0, at)
                output = classifier(flat).view(at.shape) if regression else score.exp()
            if not bool(log_q.isfinite().all()):
                raise ValueError(
                    f"log q is not finite on the path in {space.upper()} to {goal}: a smaller λ than "
                    f"{rates[SPACES.index(space)]:g}, or a flow in float64"
                )
            change = (points - path.x[0]).flatten(2).double()
            size = change.norm(dim=2), change.abs().amax(2)
            sides.append((change, torch.stack([each.double() for each in (output, log_q, *size, at)]), path.reached))
        changes, curves, reached = (torch.stack(each).cpu().numpy() for each in zip(*sides, strict=True))
        return changes.transpose(2, 0, 1, 3), curves.transpose(3, 0, 1, 2), reached.T


class _Reading(nn.Module):
    """A classifier that takes pictures in the shape in which they were given, behind data in the flow's shape."""

    def __init__(self, classifier: Callable[[Tensor], Tensor], shape: Sequence[int]) -> None:
        super().__init__()
        self.classifier, self.shape = classifier, tuple(shape)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(x.reshape(len(x), *self.shape))


def positions(score: Tensor, until: float, frames: int, regression: bool) -> Tensor:
    r"""The first steps of a path at which it has come an equal part further, shape ``(frames, batch)``, int64.

    What counts is a function of the score alone: for a class the log-odds log p − log(1 − p), for a value the negative
    distance to it. Parts are of the way from the start to ``until``. Parts at which the path did not arrive are the
    last step.

    Args:
        score: of `ascend`, shape ``(steps + 1, batch)``.
        until: the score at the end of the way.
        frames: how many, the start included.
        regression: whether the score is that of a value.
    """

    def progress(score: Tensor) -> Tensor:
        return -(-2 * score).clamp(min=0).sqrt() if regression else score - (-torch.expm1(score)).log()

    so_far = progress(score.double()).cummax(0).values
    end = progress(torch.tensor(until, dtype=torch.float64, device=score.device))
    part = torch.linspace(0, 1, frames, dtype=torch.float64, device=score.device)
    levels = torch.lerp(so_far[0], end, part[:, None])
    return (so_far[:, None] < levels).sum(0).clamp(max=len(score) - 1)


def _frozen(module: Any) -> Any:
    """A copy in evaluation mode, which nobody trains on."""
    return copy.deepcopy(module).eval().requires_grad_(False) if isinstance(module, nn.Module) else module


def _levels(changes: Array, largest: Array) -> bytes:
    """Signed bytes, in units of the frame's own largest change."""
    scale = np.where(largest > 0, largest, 1)[..., None]
    return (LEVELS * changes / scale).round().astype(np.int8).tobytes()


def _check_pictures(x: Any, shape: Sequence[int] | None, flow: Any) -> tuple[Tensor, list[int], list[int]]:
    """Pictures as the flow takes them, the shape of one as it was given, and (n, channels, height, width)."""
    values = finite_array(x, "x", "(n, height, width)")
    given = list(values.shape[1:])
    drawn = given if shape is None else list(shape)
    if len(drawn) == 2:
        drawn = [1, *drawn]
    if len(drawn) != 3 or drawn[0] not in (1, 3) or math.prod(drawn) != math.prod(given):
        raise ValueError(
            f"expected pictures (n, height, width), (n, 1, height, width) or (n, 3, height, width), got {values.shape}"
            + (": say shape=(28, 28) for flat ones" if shape is None else f" with shape={tuple(shape)}")
        )
    if values.min() < 0 or values.max() > 1:
        raise ValueError(f"expected values in [0, 1], got {values.min():g} to {values.max():g}")
    if not isinstance(flow, Flow):
        tensor = x.detach() if isinstance(x, Tensor) else torch.from_numpy(values).float()
        return tensor, given, [len(values), *drawn]
    if math.prod(drawn) != flow.dim:
        raise ValueError(f"expected pictures of {flow.dim} values, as the flow has dimensions, got {tuple(drawn)}")
    return torch.from_numpy(values).to(flow.anchor).reshape(-1, *flow.shape), given, [len(values), *drawn]


def _check_targets(targets: Any) -> dict[str, int | float]:
    """Targets by name, all of them classes or all of them values."""
    pairs = targets.items() if isinstance(targets, Mapping) else [(f"{target:g}", target) for target in targets]
    goals = {str(name): _class_or_value(target) for name, target in pairs}
    if len({type(goal) for goal in goals.values()}) != 1 or not all(map(math.isfinite, goals.values())):
        raise ValueError(f"expected targets that are all classes (int) or all finite values (float), got {targets!r}")
    return goals


def _class_or_value(target: Any) -> int | float:
    try:
        return operator.index(target)  # integers of NumPy and PyTorch too
    except TypeError:
        return float(target)


def _check_step_sizes(step_sizes: Any) -> dict[str, list[list[float]]]:
    try:
        rates = {str(name): [[float(in_z), float(in_x)] for in_z, in_x in pairs] for name, pairs in step_sizes.items()}
    except (AttributeError, TypeError, ValueError):
        rates = {}
    if not rates or not all(rates.values()) or len({len(pairs) for pairs in rates.values()}) != 1:
        raise ValueError(
            'expected for each optimiser equally many pairs (λ in Z, λ in X), such as {"plain": [(0.1, 0.02)]}, got '
            f"{step_sizes!r}"
        )
    return rates


def _check_frames(frames: int | None, size: int) -> int:
    """How many; ``size`` is the bytes of one frame of all paths."""
    fit = 1 + MOST_BYTES // size
    if frames is None:
        frames = min(MOST_FRAMES, fit)
    if fit < FEWEST_FRAMES or frames > fit:
        raise ValueError(
            f"{size:,} bytes for each frame after the first, of which {MOST_BYTES:,} hold {fit - 1}: take fewer "
            "pictures, targets, optimisers or step sizes, or smaller pictures"
        )
    if not FEWEST_FRAMES <= frames <= MOST_FRAMES:
        raise ValueError(f"expected {FEWEST_FRAMES} to {MOST_FRAMES} frames, got {frames}")
    return frames

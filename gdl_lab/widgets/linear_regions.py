"""A ReLU network on the square whose weights the reader drags: its linear regions, its error and its gradient step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import traitlets
from numpy.typing import NDArray
from torch import Tensor, nn

from gdl_lab.widgets.stage import Finite, Widget, bundle, finite_array, float32_bytes

__all__ = ["LinearRegions"]

Array = NDArray[np.float64]
SQUARE = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])


class LinearRegions(Widget):
    """A network R² → R with ReLU in its hidden layers, on the square [-1, 1]².

    The reader drags the lines of the first layer, moves every weight, and takes gradient steps of the error
    ``E = mean (f(x) - y)²`` over the data. (The talk sums over the data; the mean makes the learning rate independent
    of their number.) In a live kernel ``weights`` follows the reader, and setting it redraws the picture.

    Args:
        widths: units of the hidden layers, one to three layers of one to eight units.
        points: data in the square, shape (n, 2); by default 40 points, labelled +1 inside a disc and -1 outside.
        labels: two different numbers, shape (n,), for instance ±1 or 0 and 1.
        weights: W₁, b₁, W₂, b₂, … as ``network.parameters()`` lists them, arrays or tensors; by default drawn.
        seed: of the weights; the default is a start from which gradient descent finds the disc.

    Raises:
        ValueError: wrong shapes, NaN, no data, or points outside the square.

    Example:
        >>> LinearRegions(widths=(4,), seed=1).readout()["regions"] > 1
        True
    """

    _esm = bundle("linear_regions")

    widths = traitlets.List(traitlets.Int()).tag(sync=True)
    points = traitlets.Bytes().tag(sync=True)
    labels = traitlets.Bytes().tag(sync=True)
    weights: Any = traitlets.List().tag(sync=True)
    start: Any = traitlets.List().tag(sync=True)
    unit = traitlets.Unicode("1.1").tag(sync=True)
    log_eta = Finite(-1.0, min=-12.0, max=2.0).tag(sync=True)
    steps = traitlets.Int(0).tag(sync=True)
    last_step = traitlets.List(Finite()).tag(sync=True)

    def __init__(
        self,
        widths: Sequence[int] = (4, 3),
        points: Any = None,
        labels: Any = None,
        weights: Any = None,
        seed: int = 32,
    ) -> None:
        widths = [int(width) for width in widths]
        if not (1 <= len(widths) <= 3 and all(1 <= width <= 8 for width in widths)):
            raise ValueError(f"expected one to three hidden layers of one to eight units, got widths {tuple(widths)}")
        if (points is None) != (labels is None):
            raise ValueError("give points and labels together, or neither")
        if points is None:
            points, labels = disc()
        points, labels = check_data(points, labels)
        values = check_weights(draw_weights(widths, points, labels, seed) if weights is None else weights, widths)
        super().__init__(
            widths=widths, points=float32_bytes(points), labels=float32_bytes(labels), weights=values, start=values
        )

    @traitlets.validate("weights", "start")
    def _check_weights(self, proposal: Any) -> list[Any]:
        return check_weights(proposal["value"], self.widths)

    @traitlets.validate("unit")
    def _check_unit(self, proposal: Any) -> str:
        layer, _, index = proposal["value"].partition(".")
        sizes = [*self.widths, 1]
        if not (layer.isdecimal() and index.isdecimal() and 1 <= int(layer) <= len(sizes)):
            raise traitlets.TraitError(f"expected unit as 'layer.unit', for instance '1.2', got {proposal['value']!r}")
        if not 1 <= int(index) <= sizes[int(layer) - 1]:
            raise traitlets.TraitError(f"layer {layer} has {sizes[int(layer) - 1]} units, got unit {index}")
        return str(proposal["value"])

    def __repr__(self) -> str:
        return f"LinearRegions(widths={tuple(self.widths)}, points={len(self.labels) // 4})"

    def to_network(self) -> nn.Sequential:
        """The network with the present weights, in float64."""
        return network(self.widths, self.weights)

    def readout(self, **settings: Any) -> dict[str, float]:
        """The numbers beside the picture, by autograd in float64; arguments default to the present traits.

        Args:
            settings: ``weights``, ``unit`` and ``log_eta``.

        Returns:
            ``regions``, linear regions in the square; ``right``, points on their side of the decision line; ``error``;
            ``predicted`` = -η |∇E|² and ``actual`` = E(θ - η∇E) - E(θ) of a gradient step; ``gradient_0``, …,
            ``gradient_bias``, the gradient with respect to the numbers of the selected unit.
        """
        if "weights" in settings:
            settings["weights"] = check_weights(settings["weights"], self.widths)
        weights, unit, log_eta = self.chosen(("weights", "unit", "log_eta"), settings)
        layer, index = map(int, unit.split("."))
        eta = 10.0**log_eta
        points = torch.from_numpy(np.frombuffer(self.points, "<f4").astype(np.float64).reshape(-1, 2))
        labels = torch.from_numpy(np.frombuffer(self.labels, "<f4").astype(np.float64))

        net = network(self.widths, weights)
        parameters = list(net.parameters())
        output = net(points).squeeze(1)
        error = (output - labels).square().mean()
        gradients = torch.autograd.grad(error, parameters)
        moved = network(self.widths, [p - eta * g for p, g in zip(parameters, gradients, strict=True)])
        level = (labels.min() + labels.max()) / 2
        row, bias = gradients[2 * layer - 2][index - 1], gradients[2 * layer - 1][index - 1]
        after = (moved(points).squeeze(1) - labels).square().mean()
        return {
            "regions": float(len(regions(weights))),
            "right": float(((output > level) == (labels > level)).sum()),
            "error": error.item(),
            "predicted": -eta * float(sum(g.square().sum() for g in gradients)),
            "actual": after.item() - error.item(),
            **{f"gradient_{i}": float(g) for i, g in enumerate(row)},
            "gradient_bias": float(bias),
        }


def disc(count: int = 40, radius: float = 0.6, seed: int = 0) -> tuple[Array, Array]:
    """Points of the square, half of them inside a disc and labelled +1, half outside and labelled -1."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-0.95, 0.95, size=(100 * count, 2))
    distance = np.linalg.norm(points, axis=1)
    # A gap between the classes, so that the picture shows a shape.
    inside, outside = points[distance < radius - 0.08], points[distance > radius + 0.08]
    half = count // 2
    return np.concatenate([inside[:half], outside[: count - half]]), np.repeat([1.0, -1.0], [half, count - half])


def draw_weights(widths: Sequence[int], points: Array, labels: Array, seed: int) -> list[Any]:
    """Normal weights of variance 2 / fan-in; the output's bias puts the decision line among the data."""
    rng = np.random.default_rng(seed)
    drawn: list[Any] = []
    for fan_in, fan_out in zip([2, *widths], [*widths, 1], strict=True):
        drawn += [rng.normal(scale=(2 / fan_in) ** 0.5, size=(fan_out, fan_in)), rng.uniform(-0.5, 0.5, size=fan_out)]
    drawn = [np.round(values, 2).tolist() for values in drawn]
    with torch.no_grad():
        output = network(widths, drawn)(torch.from_numpy(points)).median().item()
    drawn[-1] = [round(drawn[-1][0] + (labels.min() + labels.max()) / 2 - output, 2)]
    return drawn


def check_data(points: Any, labels: Any) -> tuple[Array, Array]:
    """Points (n, 2) in the square and labels (n,) of two values, or a ValueError that says what is wrong."""
    points, labels = finite_array(points, "points", "(n, 2)"), finite_array(labels, "labels", "(n,)")
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"expected points of shape (n, 2), got {points.shape}")
    if labels.shape != points.shape[:1]:
        raise ValueError(f"expected labels of shape ({len(points)},), one for each point, got {labels.shape}")
    if np.abs(points).max() > 1:
        raise ValueError(f"expected points in the square [-1, 1]², got a coordinate {np.abs(points).max():g} in size")
    if len(np.unique(labels)) != 2:
        raise ValueError(f"expected labels of two values, for instance ±1, got {len(np.unique(labels))}")
    return points, labels


def check_weights(weights: Any, widths: Sequence[int]) -> list[Any]:
    """Weights as nested lists W₁, b₁, W₂, b₂, …, or a ValueError that says which one has the wrong shape."""
    expected = [
        shape for fan_in, out in zip([2, *widths], [*widths, 1], strict=True) for shape in ((out, fan_in), (out,))
    ]
    weights = list(weights)
    if len(weights) != len(expected):
        raise ValueError(
            f"expected {len(expected)} arrays W₁, b₁, W₂, b₂, … for widths {tuple(widths)}, got {len(weights)}"
        )
    arrays = [finite_array(w, f"weights[{k}]", str(expected[k])) for k, w in enumerate(weights)]
    for k, (array, shape) in enumerate(zip(arrays, expected, strict=True)):
        if array.shape != shape:
            raise ValueError(f"expected weights[{k}] of shape {shape}, got {array.shape}")
    return [array.tolist() for array in arrays]


def network(widths: Sequence[int], weights: Sequence[Any]) -> nn.Sequential:
    """Linear layers with ReLU between them, in float64."""
    sizes = [2, *widths, 1]
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out, dtype=torch.float64), nn.ReLU()]
    net = nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for parameter, value in zip(net.parameters(), weights, strict=True):
            parameter.copy_(value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64))
    return net


def regions(weights: Sequence[Any]) -> dict[tuple[bool, ...], Array]:
    """The linear regions in the square as convex polygons (corners, 2), keyed by their pattern of hidden units."""
    hidden = [np.asarray(w, dtype=np.float64) for w in weights[:-2]]
    cells: dict[tuple[bool, ...], Array] = {(): SQUARE}
    for layer in range(len(hidden) // 2):
        for unit in range(len(hidden[2 * layer + 1])):
            cells = {
                (*pattern, on): part
                for pattern, corners in cells.items()
                for on, part in halves(corners, _preactivation(hidden, pattern, layer, unit, corners)).items()
            }
    return cells


def _preactivation(hidden: list[Array], pattern: tuple[bool, ...], layer: int, unit: int, points: Array) -> Array:
    """One unit before its ReLU at ``points``, continued affinely from the region of ``pattern``; shape (n,)."""
    values, seen = points, 0
    for W, b in zip(hidden[0 : 2 * layer : 2], hidden[1 : 2 * layer : 2], strict=True):
        values = (values @ W.T + b) * np.asarray(pattern[seen : seen + len(b)])
        seen += len(b)
    result: Array = values @ hidden[2 * layer][unit] + hidden[2 * layer + 1][unit]
    return result


def halves(corners: Array, values: Array, tolerance: float = 1e-10) -> dict[bool, Array]:
    """A convex polygon cut where the affine function with these ``values`` at its corners vanishes; no empty parts."""
    scale = tolerance * max(1.0, float(np.abs(values).max()))
    if values.max() <= scale:
        return {False: corners}
    if values.min() >= -scale:
        return {True: corners}
    parts: dict[bool, list[Array]] = {False: [], True: []}
    for p, q, v, w in zip(corners, np.roll(corners, -1, axis=0), values, np.roll(values, -1), strict=True):
        for on in parts:
            if (v >= 0) if on else (v <= 0):
                parts[on].append(p)
            if v * w < 0:
                parts[on].append(p + v / (v - w) * (q - p))
    return {on: np.array(part) for on, part in parts.items()}

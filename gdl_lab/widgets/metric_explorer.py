"""The metric that a flow induces on the plane: its ellipse at a point, and gradient ascents with and without it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import traitlets
from numpy.typing import NDArray
from torch import Tensor, nn

from gdl_lab.flows import RealNVP
from gdl_lab.widgets.flow import check_points, pack, unpack
from gdl_lab.widgets.stage import Finite, Widget, bundle, finite_array, float32_bytes

__all__ = ["MetricExplorer"]

Array = NDArray[np.float64]
CLOUD = 300  # points of each data set that the page draws
MOST_BYTES = 900_000
ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "silu": nn.SiLU}
# A path takes plain steps, shortened where they are longer than this, until p is large enough or it has taken so many.
LONGEST, ENOUGH, STEPS = {"x": 0.1, "z": 0.3}, 0.99, 200


class MetricExplorer(Widget):
    r"""γ⁻¹ = J Jᵀ of flows on the plane whose data lie around a curve, and what it does to a gradient.

    What to try: drag the point along the curve and lower the thickness δ. The ellipse, the image of a small circle of
    base space, becomes a needle along the curve; the classifier's gradient ∂f points where it likes, γ⁻¹∂f only along
    the needle. Now switch on both paths. The one in X leaves the data, and at its end the classifier is as sure as at
    the end of the one in Z, which has followed the curve. A flow that was not trained to the end has no needle.

    Args:
        flows: pairs (δ, flow) of a thickness and a `RealNVP` on ℝ² with affine couplings and a normal base; or several
            such lists over the same thicknesses by name, for instance ``{"trained": […], "under-trained": […]}``.
        curve: points along the curve, in order, shape (m, 2).
        data: for each δ the points around the curve, shape (n, 2); the first 300 are drawn.
        classifier: ``nn.Sequential`` of ``nn.Linear`` with one kind of activation (tanh, ReLU or SiLU) between them,
            from ℝ² to two logits, or to one, which is that of class 1.
        classes: names of the two classes.
        settings: any trait below, such as ``index=3`` for the fourth thickness, or ``path_x=True``.

    Raises:
        ValueError: flows or a classifier that the page cannot compute, other numbers of data sets than of
            thicknesses, thicknesses that are not positive and decreasing, or more than 900 kB of weights.
        TraitError: a setting outside its range.

    Example:
        >>> flow, classifier = RealNVP(2, layers=2, hidden=(4,)), nn.Sequential(nn.Linear(2, 1))
        >>> explorer = MetricExplorer([(0.1, flow)], [[-1, 0], [1, 0]], [torch.zeros(1, 2)], classifier)
        >>> explorer.readout(point=[0.0, 0.1])["distance"]
        1.0
    """

    _esm = bundle("metric_explorer")

    names: Any = traitlets.List(traitlets.Unicode()).tag(sync=True)
    deltas: Any = traitlets.List(Finite()).tag(sync=True)
    layouts: Any = traitlets.List(traitlets.Dict()).tag(sync=True)
    weights = traitlets.Bytes().tag(sync=True)
    curve = traitlets.Bytes().tag(sync=True)
    points = traitlets.Bytes().tag(sync=True)
    counts: Any = traitlets.List(traitlets.Int()).tag(sync=True)
    classifier = traitlets.Bytes().tag(sync=True)
    widths: Any = traitlets.List(traitlets.Int()).tag(sync=True)
    activation = traitlets.Unicode().tag(sync=True)
    classes: Any = traitlets.List(traitlets.Unicode()).tag(sync=True)
    flow = traitlets.Unicode().tag(sync=True)
    index = traitlets.Int(0, min=0).tag(sync=True)
    point: Any = traitlets.List(Finite(), [0.0, 0.0], minlen=2, maxlen=2).tag(sync=True)
    target = traitlets.Int(1, min=0, max=1).tag(sync=True)
    log_rate = Finite(-1.5, min=-4.0, max=0.0).tag(sync=True)
    path_x = traitlets.Bool(False).tag(sync=True)
    path_z = traitlets.Bool(False).tag(sync=True)
    field = traitlets.Bool(True).tag(sync=True)

    def __init__(
        self,
        flows: Any,
        curve: Any,
        data: Any,
        classifier: nn.Module,
        classes: Sequence[str] = ("class 0", "class 1"),
        **settings: Any,
    ) -> None:
        families, deltas = _check_families(flows)
        weights, layouts = pack(flow for family in families.values() for flow in family)
        net, widths, activation = _pack_classifier(classifier)
        if len(weights) + len(net) > MOST_BYTES:
            raise ValueError(
                f"{len(weights) + len(net):,} bytes of weights, more than {MOST_BYTES:,}: take smaller or fewer flows"
            )
        line = check_points(curve, "the curve", 2000)
        if len(line) < 2 or bool((np.diff(line, axis=0) == 0).all(1).any()):
            raise ValueError("expected a curve of two points or more, no two neighbours equal")
        if len(data) != len(deltas):
            raise ValueError(f"expected {len(deltas)} data sets, one for each thickness, got {len(data)}")
        clouds = [check_points(points, f"data[{k}]", CLOUD) for k, points in enumerate(data)]
        if len(classes) != 2:
            raise ValueError(f"expected the names of two classes, got {len(classes)}")
        middle = line[len(line) // 2]
        super().__init__(
            names=list(families),
            deltas=deltas,
            layouts=layouts,
            weights=weights,
            curve=float32_bytes(line),
            points=float32_bytes(np.concatenate(clouds)),
            counts=[len(cloud) for cloud in clouds],
            classifier=net,
            widths=widths,
            activation=activation,
            classes=list(classes),
            **{"flow": next(iter(families)), "point": middle.tolist(), **settings},
        )

    @traitlets.validate("flow", "index")
    def _check_choice(self, proposal: Any) -> Any:
        value = proposal["value"]
        if proposal["trait"].name == "flow" and value not in self.names:
            raise traitlets.TraitError(f"unknown flow {value!r}: expected one of {', '.join(self.names)}")
        if proposal["trait"].name == "index" and value >= len(self.deltas):
            raise traitlets.TraitError(f"expected an index from 0 to {len(self.deltas) - 1}, got {value}")
        return value

    def __repr__(self) -> str:
        return f"MetricExplorer({', '.join(self.names)}; δ = {', '.join(f'{delta:g}' for delta in self.deltas)})"

    def to_flow(self, name: str | None = None, index: int | None = None) -> RealNVP:
        """One of the flows as the page computes it, in float64; by default the one that is shown."""
        family = self.names.index(self.flow if name is None else name)
        flows = unpack(self.weights, self.layouts)
        return flows[family * len(self.deltas) + (self.index if index is None else index)]

    def to_classifier(self) -> nn.Sequential:
        """The classifier as the page computes it, in float64."""
        layers: list[nn.Module] = []
        values = torch.from_numpy(np.frombuffer(self.classifier, "<f4").astype(np.float64))
        for m, n in zip(self.widths, self.widths[1:], strict=False):
            linear = nn.Linear(m, n, dtype=torch.float64).requires_grad_(False)
            W, b, values = values[: m * n], values[m * n : (m + 1) * n], values[(m + 1) * n :]
            linear.weight.copy_(W.view(n, m))
            linear.bias.copy_(b)
            layers += [linear, ACTIVATIONS[self.activation]()]
        return nn.Sequential(*layers[:-1])

    def readout(self, **settings: Any) -> dict[str, float]:
        """The numbers beside the picture, by `gdl_lab.flows`, autograd and singular values in float64.

        Args:
            settings: ``flow``, ``index``, ``point``, ``target``, ``log_rate``, ``path_x`` and ``path_z``; by default
                the present traits.

        Returns:
            ``sigma_max`` and ``sigma_min`` of ∂x/∂z; in degrees, the angles of the long axis of the ellipse, of ∂f and
            of γ⁻¹∂f with the curve where it is nearest, ``axis``, ``gradient`` and ``natural``; ``p``, ``log_q`` and
            ``distance``, in units of δ; and for a path that is on, the same at its end and the number of its steps,
            ``p_x``, ``log_q_x``, ``distance_x`` and ``steps_x``, or with ``_z``.
        """
        names = ("flow", "index", "point", "target", "log_rate", "path_x", "path_z")
        name, index, point, target, log_rate, path_x, path_z = self.chosen(names, settings, ("field",))
        flow, classifier, delta = self.to_flow(name, index), self.to_classifier(), self.deltas[index]
        x = torch.tensor([point], dtype=torch.float64)
        z = flow.pull(x)
        jacobian = flow.jacobian(z)[0]
        left, sigma, _ = torch.linalg.svd(jacobian)
        gradient = score(classifier, x, target)[1][0]
        tangent = self._nearest(x[0])[1]

        def at(x: Tensor) -> tuple[float, float, float]:
            return score(classifier, x, target)[0], float(flow.log_prob(x)), self._nearest(x[0])[0] / delta

        numbers = {
            "sigma_max": float(sigma[0]),
            "sigma_min": float(sigma[1]),
            "axis": _angle(left[:, 0], tangent),
            "gradient": _angle(gradient, tangent),
            "natural": _angle(jacobian @ (jacobian.mT @ gradient), tangent),
            **dict(zip(("p", "log_q", "distance"), at(x), strict=True)),
        }
        for space, wanted in (("x", path_x), ("z", path_z)):
            if wanted:
                end, steps = ascent(flow if space == "z" else None, classifier, x, target, 10.0**log_rate)
                p, log_q, distance = at(end)
                numbers |= {f"p_{space}": p, f"log_q_{space}": log_q, f"distance_{space}": distance}
                numbers[f"steps_{space}"] = float(steps)
        return numbers

    def _nearest(self, x: Tensor) -> tuple[float, Tensor]:
        """Distance of a point to the curve, and the direction of the curve where it is nearest."""
        curve = torch.from_numpy(np.frombuffer(self.curve, "<f4").astype(np.float64).reshape(-1, 2))
        along = curve.diff(dim=0)
        share = ((x - curve[:-1]) * along).sum(1) / along.square().sum(1)
        distances = (curve[:-1] + share.clamp(0, 1)[:, None] * along - x).norm(dim=1)
        nearest = int(distances.argmin())
        return float(distances[nearest]), along[nearest]


def score(classifier: nn.Module, x: Tensor, target: int) -> tuple[float, Tensor]:
    """The probability of the target class at one point, shape ``(1, 2)``, and the gradient of its logarithm."""
    x = x.detach().requires_grad_()
    logits = classifier(x)
    log_p = torch.cat([torch.zeros_like(logits), logits], 1)[:, -2:].log_softmax(1)[0, target]
    return float(log_p.detach().exp()), torch.autograd.grad(log_p, x)[0]


def ascent(flow: RealNVP | None, classifier: nn.Module, x: Tensor, target: int, rate: float) -> tuple[Tensor, int]:
    """The end of a gradient ascent from x, in the base space of the flow if there is one, and the number of steps."""
    space, at = ("x", x) if flow is None else ("z", flow.pull(x))
    for step in range(STEPS + 1):
        x = at if flow is None else flow.push(at)
        p, gradient = score(classifier, x, target)
        if p >= ENOUGH or step == STEPS:
            break
        if flow is not None:
            gradient = (flow.jacobian(at).mT @ gradient[..., None])[..., 0]
        move = rate * gradient
        at = at + move * min(1.0, LONGEST[space] / max(float(move.norm()), 1e-300))
    return x, step


def _angle(a: Tensor, b: Tensor) -> float:
    """Between two lines of the plane, 0 to 90 degrees."""
    return math.degrees(math.atan2(abs(float(a[0] * b[1] - a[1] * b[0])), abs(float(a @ b))))


def _check_families(flows: Any) -> tuple[dict[str, list[Any]], list[float]]:
    """The flows of each name, and the thicknesses that all names share."""
    families = dict(flows) if isinstance(flows, Mapping) else {"flow": flows}
    try:
        pairs = {name: [(float(delta), flow) for delta, flow in family] for name, family in families.items()}
    except (TypeError, ValueError):
        raise ValueError("expected pairs (thickness, flow), or lists of such pairs by name") from None
    deltas = {tuple(delta for delta, _ in family) for family in pairs.values()}
    if len(deltas) != 1 or not all(deltas):
        raise ValueError(f"expected the same thicknesses under every name, got {sorted(deltas)}")
    (chosen,) = deltas
    if not (all(0 < delta < math.inf for delta in chosen) and list(chosen) == sorted(set(chosen), reverse=True)):
        raise ValueError(f"expected positive thicknesses from thick to thin, got {list(chosen)}")
    return {name: [flow for _, flow in family] for name, family in pairs.items()}, list(chosen)


def _pack_classifier(classifier: Any) -> tuple[bytes, list[int], str]:
    """float32 bytes of W₁, b₁, W₂, b₂, …, the widths from 2 to 1 or 2, and the name of the activation."""
    layers = list(classifier) if isinstance(classifier, nn.Sequential) else []
    linears, between = [layer for layer in layers[::2] if isinstance(layer, nn.Linear)], layers[1::2]
    kinds = {name for name, kind in ACTIVATIONS.items() for layer in between if type(layer) is kind}
    known = sum(type(layer) in ACTIVATIONS.values() for layer in between) == len(between) == len(linears) - 1
    if not (linears and known and len(kinds) <= 1 and len(layers) % 2):
        raise ValueError(
            "expected an nn.Sequential of nn.Linear layers with one kind of activation, nn.Tanh, nn.ReLU or nn.SiLU, "
            f"between them, got {classifier}"
        )
    widths = [linears[0].in_features, *(layer.out_features for layer in linears)]
    if widths[0] != 2 or widths[-1] not in (1, 2) or any(layer.bias is None for layer in linears):
        raise ValueError(f"expected a classifier from ℝ² to one or two logits, with biases, got widths {widths}")
    values = torch.cat([p.detach().cpu().double().flatten() for layer in linears for p in (layer.weight, layer.bias)])
    return float32_bytes(finite_array(values, "the classifier's weights", "(n,)")), widths, next(iter(kinds), "tanh")

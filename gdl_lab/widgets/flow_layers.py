"""A flow on the plane, layer by layer: where the grid, the samples and the data go, and how log|det| adds up."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import traitlets
from torch import Tensor
from torch.func import jacrev, vmap

from gdl_lab import runtime
from gdl_lab.flows import RealNVP
from gdl_lab.widgets.flow import at_level, check_flows, check_points, depth, pack, unpack
from gdl_lab.widgets.stage import Finite, Widget, bundle, float32_bytes

__all__ = ["FlowLayers"]

CLOUD = 300  # points of each kind that the page draws


class FlowLayers(Widget):
    r"""The levels of a flow g: Z → X, from the normal base (level 0) to the data (the last level).

    What to try: drag *level* slowly from 0 to the end. Every coupling shears the grid along one axis only, and
    stretches it by an amount e^s that the other coordinate chooses; the samples arrive on the grey data, and the
    numbers s of the table add up to log\|det ∂x/∂z\|. Then turn to *pull* and watch the data become round.

    Between two levels a coupling acts with τs and τt in place of s and t: a coupling too, of log-determinant τs. A
    whitening is the last layer and its matrix is raised to the power τ.

    Args:
        flows: `RealNVP` on ℝ² with affine couplings and a normal base, or several of one depth by name, for instance
            ``{"trained": …, "untrained": …}``; of at most 50,000 weights each.
        data: points, shape (n, 2); the first 300 are drawn.
        settings: any trait below, such as ``layer=4.0`` or ``direction="pull"``.

    Raises:
        ValueError: a flow that the page cannot compute, flows of different depths, or data that are no points.
        TraitError: a setting outside its range.

    Example:
        >>> identity = RealNVP(2, layers=4, hidden=(8,))
        >>> FlowLayers(identity, torch.randn(50, 2)).readout(point=[0.0, 0.0])["log_det"]
        0.0
    """

    _esm = bundle("flow_layers")

    names: Any = traitlets.List(traitlets.Unicode()).tag(sync=True)
    layouts: Any = traitlets.List(traitlets.Dict()).tag(sync=True)
    weights = traitlets.Bytes().tag(sync=True)
    base = traitlets.Bytes().tag(sync=True)
    points = traitlets.Bytes().tag(sync=True)
    flow = traitlets.Unicode().tag(sync=True)
    direction = traitlets.Enum(["push", "pull"], "push").tag(sync=True)
    layer = Finite(0.0, min=0.0).tag(sync=True)
    point: Any = traitlets.List(Finite(), [1.0, 0.5], minlen=2, maxlen=2).tag(sync=True)
    colour = traitlets.Enum(["start", "log_det"], "start").tag(sync=True)
    grid = traitlets.Bool(True).tag(sync=True)
    cloud = traitlets.Bool(True).tag(sync=True)
    goal = traitlets.Bool(True).tag(sync=True)

    def __init__(self, flows: Any, data: Any, **settings: Any) -> None:
        flows = check_flows(flows)
        weights, layouts = pack(flows.values())
        depths = {name: depth(flow) for name, flow in flows.items()}
        if len(set(depths.values())) > 1:
            raise ValueError(f"expected flows of the same depth, got {depths} layers, whitening included")
        points = check_points(data, "data", CLOUD)
        base = torch.randn(CLOUD, 2, generator=runtime.generator("flow layers"), dtype=torch.float64)
        super().__init__(
            names=list(flows),
            layouts=layouts,
            weights=weights,
            base=float32_bytes(base.numpy()),
            points=float32_bytes(points),
            flow=settings.pop("flow", next(iter(flows))),
            **settings,
        )

    @traitlets.validate("flow")
    def _check_flow(self, proposal: Any) -> str:
        if proposal["value"] not in self.names:
            raise traitlets.TraitError(f"unknown flow {proposal['value']!r}: expected one of {', '.join(self.names)}")
        return str(proposal["value"])

    def __repr__(self) -> str:
        return f"FlowLayers({', '.join(self.names)}; {self.layouts[0]['layers']} couplings)"

    def to_flow(self, name: str | None = None) -> RealNVP:
        """One of the flows as the page computes it, in float64; by default the one that is shown."""
        return unpack(self.weights, self.layouts)[self.names.index(self.flow if name is None else name)]

    def readout(self, **settings: Any) -> dict[str, float]:
        """The numbers beside the picture, their determinants by autograd; arguments default to the present traits.

        Args:
            settings: ``flow``, ``direction``, ``layer`` and ``point``, of which the last is a base point for "push" and
                a point of data space for "pull"; what is shown and how it is coloured changes no number.

        Returns:
            ``log_q``, the log-density of the point's image in data space; ``log_q_z``, that of its base point;
            ``log_det``, log|det| of the map from where the point started to this level; ``mean`` and ``spread`` of the
            same over the cloud; ``x`` and ``y``, where the point is.
        """
        names = ("flow", "direction", "layer", "point")
        name, direction, layer, point = self.chosen(names, settings, ("colour", "grid", "cloud", "goal"))
        flow = self.to_flow(name)
        level = min(layer, float(depth(flow)))
        stored = np.frombuffer(self.base if direction == "push" else self.points, "<f4").astype(np.float64)
        z = torch.cat([torch.tensor([point], dtype=torch.float64), torch.from_numpy(stored.reshape(-1, 2))])
        if direction == "pull":
            z = flow.pull(z)
        change = log_det(flow, z, level)
        if direction == "pull":
            change = change - log_det(flow, z, float(depth(flow)))
        here = at_level(flow, z[:1], level)[0]
        return {
            "log_q": float(flow.log_prob(flow.push(z[:1]))),
            "log_q_z": float(flow.base.log_prob(z[:1])),
            "log_det": float(change[0]),
            "mean": float(change[1:].mean()),
            "spread": float(change[1:].std(correction=0)),
            "x": float(here[0]),
            "y": float(here[1]),
        }


def log_det(flow: RealNVP, z: Tensor, level: float) -> Tensor:
    """log|det| of the first layers at base points, ``(batch, 2)`` → ``(batch,)``, from the whole Jacobian matrix."""
    jacobian = vmap(jacrev(lambda p: at_level(flow, p[None], level)[0]))(z)
    return torch.linalg.slogdet(jacobian).logabsdet

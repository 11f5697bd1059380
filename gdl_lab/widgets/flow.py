"""Flows on the plane on their way to the page, and back: the weights that ``flow.js`` reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from gdl_lab.flows import AffineCoupling, RealNVP
from gdl_lab.flows.affine import Affine
from gdl_lab.widgets.stage import finite_array, float32_bytes

__all__ = ["at_level", "check_flows", "check_points", "depth", "pack", "unpack"]

MOST_WEIGHTS = 50_000


def pack(flows: Iterable[Any]) -> tuple[bytes, list[dict[str, Any]]]:
    """Flows as the float32 bytes of their state dictionaries, tensor after tensor, and the layout of each.

    Args:
        flows: `RealNVP` on ℝ² with affine couplings and a normal base, with or without whitening, of at most 50,000
            weights each.

    Raises:
        ValueError: another flow, or weights that are NaN or infinite.
    """
    packed, layouts = [], []
    for flow in flows:
        a = _check(flow).architecture
        values = torch.cat([tensor.detach().cpu().double().flatten() for tensor in flow.state_dict().values()])
        if len(values) > MOST_WEIGHTS:
            raise ValueError(
                f"a page carries at most {MOST_WEIGHTS:,} weights of a flow, got {len(values):,}: train a smaller one"
            )
        packed.append(float32_bytes(finite_array(values, "the weights of the flow", "(n,)")))
        layout = {"layers": a["layers"], "hidden": list(a["hidden"]), "whitening": a["whitening"] or 0}
        layouts.append({**layout, "cap": _cap(_couplings(flow)[0])})
    return b"".join(packed), layouts


def unpack(weights: bytes, layouts: Iterable[Mapping[str, Any]]) -> list[RealNVP]:
    """The flows that `pack` wrote, in float64."""
    values = torch.from_numpy(np.frombuffer(weights, "<f4").astype(np.float64))
    flows = []
    for layout in layouts:
        whitening = layout["whitening"] or None
        flow = RealNVP(2, layout["layers"], layout["hidden"], cap=layout["cap"], whitening=whitening).double()
        for tensor in flow.state_dict().values():
            part, values = values[: tensor.numel()], values[tensor.numel() :]
            tensor.copy_(part.view_as(tensor))
        if flow.whitening is not None:  # orthonormal beyond single precision, as the page makes them too
            V = flow.whitening.directions
            first = V[:, 0] / V[:, 0].norm()
            across = torch.stack([-first[1], first[0]])
            V.copy_(torch.stack([first, across * (across @ V[:, -1]).sign()], 1)[:, : V.shape[1]])
        flows.append(flow.requires_grad_(False).eval())
    return flows


def _check(flow: Any) -> RealNVP:
    if not isinstance(flow, RealNVP):
        raise ValueError(f"expected a RealNVP, got {type(flow).__name__}")
    expected = {"dim": 2, "coupling": "affine", "base": "normal", "principal": None}
    given = {name: flow.architecture[name] for name in expected}
    if given != expected:
        wrong = ", ".join(f"{name}={value!r}" for name, value in given.items() if value != expected[name])
        raise ValueError(f"expected a RealNVP on the plane with affine couplings and a normal base, got {wrong}")
    return flow


def check_flows(flows: Any) -> dict[str, RealNVP]:
    """One flow, or several by name, as a dictionary of flows; what is not a flow `pack` refuses."""
    if not isinstance(flows, Mapping):
        return {"flow": flows}
    if not flows or not all(isinstance(name, str) and name for name in flows):
        raise ValueError("expected a flow, or a dictionary of at least one flow by its name")
    return dict(flows)


def check_points(points: Any, what: str, most: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The first ``most`` points of the plane, shape (n, 2)."""
    array = finite_array(points, what, "(n, 2)")
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"expected {what} of shape (n, 2), got {array.shape}")
    return array[:most]


def depth(flow: RealNVP) -> int:
    """The number of its layers: couplings, and the whitening."""
    return len(flow.couplings) + (flow.whitening is not None)


def at_level(flow: RealNVP, z: Tensor, level: float) -> Tensor:
    r"""Where base points are after ``level`` layers, ``(batch, 2)`` → ``(batch, 2)``; differentiable.

    The part τ of a coupling is x_b = z_b e^{τs} + τt, the part τ of the whitening x = τμ + (σ + V(S − σ)Vᵀ)^τ z.
    """
    halves = list(z.chunk(2, 1))
    for j, c in enumerate(_couplings(flow)):
        tau = min(max(level - j, 0.0), 1.0)
        s, t = c.conditioner.theta(halves[c.kept]).chunk(2, 1)
        s = _cap(c) * s.tanh()
        halves[c.moved] = halves[c.moved] * (tau * s).exp() + tau * t
    x = torch.cat(halves, 1)
    if (w := flow.whitening) is None or level <= (done := len(flow.couplings)):
        return x
    tau = min(level - done, 1.0)
    along = (w.scales**tau - w.rest**tau) * (x @ w.directions)
    return tau * w.mean + w.rest**tau * x + along @ w.directions.mT


def _couplings(flow: RealNVP) -> list[AffineCoupling]:
    return cast(list[AffineCoupling], list(flow.couplings))


def _cap(coupling: AffineCoupling) -> float:
    return cast(Affine, coupling.elementwise).cap

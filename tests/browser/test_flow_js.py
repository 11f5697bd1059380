"""The flows of a page, ``flow.js``, against gdl_lab.flows in float64 and autograd."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import jacrev, vmap

from gdl_lab.flows import RealNVP
from gdl_lab.runtime import fresh_seed
from gdl_lab.widgets.flow import at_level, pack, unpack

from .cases import random_flow
from .conftest import call
from .driver import Watched

pytestmark = pytest.mark.slow

# Weights travel as the page gets them: bytes.
FLOW = "js.unpack(new Float32Array(Uint8Array.from(atob(args[0]), (c) => c.charCodeAt(0)).buffer), args[1])[0]"
SHAPES: dict[str, dict[str, Any]] = {
    "two hidden layers": {"layers": 6, "hidden": (16, 16)},
    "odd, one hidden layer, another cap": {"layers": 3, "hidden": (24,), "cap": 0.7},
    "no hidden layer": {"layers": 2, "hidden": ()},
    "whitening": {"layers": 4, "hidden": (12, 8), "whitening": 2},
    "whitening in one direction": {"layers": 4, "hidden": (12,), "whitening": 1},
}
each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())


def drawn(shape: dict[str, Any]) -> tuple[RealNVP, list[Any], Tensor]:
    """A flow with random weights as the page has it, its two arguments for the page, and base points."""
    seed = fresh_seed()
    print(f"seed {seed}")
    weights, layout = pack([random_flow(seed, **shape)])
    z = torch.randn(30, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return unpack(weights, layout)[0], [base64.b64encode(weights).decode(), layout], z


def ask(blank: Watched, expression: str, flow: list[Any], points: Tensor, *more: Any) -> Any:
    """Evaluate with ``flow`` and ``points`` of the page at hand; typed arrays come back as lists."""
    return call(
        blank,
        "flow",
        f"((flow, points) => JSON.parse(JSON.stringify({expression}, (_, v) => ArrayBuffer.isView(v) ? [...v] : v)))"
        f"({FLOW}, Float64Array.from(args[2]))",
        *flow,
        points.flatten().tolist(),
        *more,
    )


def close(shown: Any, expected: Tensor, relative: float = 1e-9) -> None:
    array = np.asarray(shown, dtype=np.float64).reshape(expected.shape)
    assert np.abs(array - expected.numpy()).max() <= relative * max(1.0, float(expected.abs().max()))


@each_shape
def test_both_directions_and_the_density(blank: Watched, shape: dict[str, Any]) -> None:
    flow, page, z = drawn(shape)
    x, change = flow.push(z, log_det=True)
    shown = ask(blank, "js.push(flow, points)", page, z)
    close(shown["points"], x)
    close(shown["logDet"], change)
    back = ask(blank, "js.pull(flow, points)", page, x)
    close(back["points"], z, 1e-7)
    close(back["logDet"], -change, 1e-7)
    close(ask(blank, "js.logProb(flow, points)", page, x), flow.log_prob(x), 1e-7)
    assert float((x - z).abs().max()) > 0.1  # control: the flow is not the identity


@each_shape
def test_the_jacobian(blank: Watched, shape: dict[str, Any]) -> None:
    flow, page, z = drawn(shape)
    expected = vmap(jacrev(lambda p: flow.push(p[None])[0]))(z)
    each = "Array.from({length: points.length / 2}, (_, i) => js.differentiate(flow, points.slice(2 * i, 2 * i + 2)))"
    shown = ask(blank, each, page, z)
    close([one["jacobian"] for one in shown], expected)
    close([one["x"] for one in shown], flow.push(z))
    assert float((expected - expected.mT).abs().max()) > 1e-3  # control: a transposed one would be another


@each_shape
def test_every_level(blank: Watched, shape: dict[str, Any]) -> None:
    """Whole and broken levels from both ends; the running log-determinant is that of autograd's Jacobian."""
    flow, page, z = drawn(shape)
    last = shape["layers"] + bool(shape.get("whitening"))
    assert ask(blank, "js.depth(flow)", page, z) == last
    for level in (0.0, 0.5, 1.0, 1.7, last - 0.25, float(last)):
        expected = at_level(flow, z, level)
        change = vmap(jacrev(lambda p, level=level: at_level(flow, p[None], level)[0]))(z).slogdet().logabsdet
        for given, end in ((z, 0), (flow.push(z), 1)):
            shown = ask(blank, "js.between(flow, js.trace(flow, points, args[3]), args[4])", page, given, end, level)
            close(shown["points"], expected, 1e-7)
            close(shown["logDet"], change, 1e-7)
        base = ask(blank, "js.toBase(flow, [...points.slice(0, 2)], args[3])", page, expected, level)
        close(base, z[0], 1e-7)
    close(at_level(flow, z, last), flow.push(z))
    assert float((at_level(flow, z, 0.5) - at_level(flow, z, 1.0)).abs().max()) > 1e-3


def test_several_flows_come_back_from_their_bytes() -> None:
    flows = [random_flow(seed, **shape) for seed, shape in enumerate(SHAPES.values())]
    for flow, again in zip(flows, unpack(*pack(flows)), strict=True):
        assert again.architecture["hidden"] == flow.architecture["hidden"]
        for name, value in flow.state_dict().items():
            rounded = value.float().double()  # directions are made orthonormal again
            assert torch.allclose(again.state_dict()[name], rounded, atol=1e-7 if "directions" in name else 0), name
        if again.whitening is not None:
            V = again.whitening.directions
            assert torch.allclose(V.mT @ V, torch.eye(V.shape[1], dtype=V.dtype), rtol=0, atol=1e-15)

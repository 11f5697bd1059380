"""The Python side of the widgets on flows: what they refuse, what they store, and what their numbers mean."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import traitlets
from torch import nn

from gdl_lab.counterfactuals import ascend, log_probability
from gdl_lab.flows import RealNVP
from gdl_lab.metric import inverse_metric
from gdl_lab.runtime import fresh_seed
from gdl_lab.widgets import DigitWalk, FlowLayers, MetricExplorer
from gdl_lab.widgets.digit_walk import arc as great_circle
from gdl_lab.widgets.flow import at_level, depth, pack
from gdl_lab.widgets.metric_explorer import ascent
from tests.browser.cases import arc, explorer, moved, pictures, planar_data, random_flow

SMALL = RealNVP(2, 2, (4,))


def generator() -> torch.Generator:
    seed = fresh_seed()
    print(f"seed {seed}")
    return torch.Generator().manual_seed(seed)


# --- layers


@pytest.mark.parametrize("whitening", [None, 1, 2])
def test_levels_lead_from_z_to_x(whitening: int | None) -> None:
    flow = random_flow(1, 3, whitening=whitening)
    z = torch.randn(9, 2, generator=generator(), dtype=torch.float64)
    last = depth(flow)
    assert last == 3 + (whitening is not None)
    assert torch.equal(at_level(flow, z, 0), z)
    assert torch.allclose(at_level(flow, z, last), flow.push(z), rtol=0, atol=1e-12)
    assert torch.equal(at_level(flow, z, last + 5.0), at_level(flow, z, last))
    first = at_level(flow, z, 0.5)
    assert torch.equal(first[:, 0], z[:, 0])  # the first coupling moves the second coordinate alone
    assert not torch.allclose(first[:, 1], z[:, 1])


def test_half_of_a_coupling_has_half_of_its_log_determinant() -> None:
    """Between two levels log|det| is linear in the level: what the widget says of τs, by autograd."""
    widget = FlowLayers(random_flow(2, 4, whitening=2), planar_data())
    for start in range(5):
        low, middle, high = (widget.readout(layer=start + part)["log_det"] for part in (0.0, 0.5, 1.0))
        assert middle == pytest.approx((low + high) / 2, abs=1e-12)
    assert abs(widget.readout(layer=5.0)["log_det"]) > 0.01


def test_the_change_of_variables() -> None:
    """log q(x) = log q_Z(z) - log|det ∂x/∂z|, and from the other end with the other sign."""
    widget = FlowLayers(random_flow(3), planar_data())
    pushed = widget.readout(point=[0.3, -1.2], layer=4.0)
    assert pushed["log_q"] == pytest.approx(pushed["log_q_z"] - pushed["log_det"], abs=1e-12)
    x = [pushed["x"], pushed["y"]]
    pulled = widget.readout(point=x, layer=0.0, direction="pull")
    assert pulled["log_det"] == pytest.approx(-pushed["log_det"], abs=1e-9)
    assert [pulled["x"], pulled["y"]] == pytest.approx([0.3, -1.2], abs=1e-9)
    assert pulled["mean"] != pytest.approx(-pushed["mean"])  # over the data, not over samples


def test_a_new_flow_moves_nothing() -> None:
    shown = FlowLayers({"untrained": SMALL}, planar_data()).readout(layer=1.5, point=[0.7, -0.2])
    assert (shown["x"], shown["y"]) == (0.7, -0.2)
    assert (shown["log_det"], shown["mean"], shown["spread"]) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("flows", "message"),
    [
        (nn.Linear(2, 2), "expected a RealNVP, got Linear"),
        (RealNVP(3, 2, (4,)), "on the plane with affine couplings and a normal base, got dim=3"),
        (RealNVP(2, 2, (4,), coupling="spline"), "got coupling='spline'"),
        (RealNVP(2, 2, (4,), base="uniform"), "got base='uniform'"),
        (RealNVP(2, 8, (128, 128)), "at most 50,000 weights of a flow, got 136,208"),
        ({}, "a dictionary of at least one flow by its name"),
        ({"a": SMALL, "b": RealNVP(2, 3, (4,))}, r"flows of the same depth, got \{'a': 2, 'b': 3\} layers"),
    ],
)
def test_layers_refuse_flows(flows: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FlowLayers(flows, planar_data())


def test_layers_refuse_data_and_settings() -> None:
    with pytest.raises(ValueError, match=r"expected data of shape \(n, 2\), got \(5, 3\)"):
        FlowLayers(SMALL, torch.zeros(5, 3))
    with pytest.raises(ValueError, match="data hold NaN or infinity"):
        FlowLayers(SMALL, [[0.0, math.inf]])
    with pytest.raises(traitlets.TraitError, match="unknown flow 'b': expected one of flow"):
        FlowLayers(SMALL, planar_data(), flow="b")
    broken = RealNVP(2, 2, (4,))
    nn.init.constant_(broken.couplings[0].conditioner.W0, math.nan)  # type: ignore[union-attr, arg-type]
    with pytest.raises(ValueError, match="the weights of the flow hold NaN"):
        FlowLayers(broken, planar_data())


def test_a_page_of_flows_stays_small() -> None:
    large = [random_flow(seed, 8, (64, 64), whitening=2) for seed in range(4)]
    assert len(pack(large)[0]) == 4 * 4 * (8 * (2 * 64 + 64 * 65 + 2 * 65) + 9)
    assert len(pack(large)[0]) < 600_000


# --- a walk between pictures


def test_the_great_circle() -> None:
    g = generator()
    a, b = (torch.randn(50, generator=g, dtype=torch.float64) * r for r in (1.0, 3.0))
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    way = great_circle(a, b, t)
    assert torch.allclose(way[[0, -1]], torch.stack([a, b]), rtol=0, atol=1e-12)
    assert torch.allclose(way.norm(dim=1), torch.lerp(a.norm(), b.norm(), t), rtol=1e-12)
    unit = way / way.norm(dim=1, keepdim=True)
    steps = (unit[1:] * unit[:-1]).sum(1).acos()
    assert torch.allclose(steps, steps.mean().expand_as(steps), rtol=1e-6)  # at constant speed
    assert torch.allclose(great_circle(a, 2 * a, t), torch.lerp(a, 2 * a, t[:, None]))
    assert torch.allclose(great_circle(a, a, t), a.expand(11, -1))


def test_a_walk_says_what_the_flow_says() -> None:
    x, flow = pictures(3, 8, 8), moved(RealNVP(64, 4, (16,)), 1)
    flow.fit_whitening(pictures(200, 8, 8).flatten(1))  # different pictures are nearly orthogonal in Z
    walk = DigitWalk(flow, x, ["p", "q", "r"], bits=4)
    for k, time in ((0, 0), (1, 16)):
        shown = walk.readout(t=time)
        z = flow.pull(x[[k]].flatten(1))
        bits = 4 - float(flow.log_prob(x[[k]].flatten(1))) / (64 * math.log(2))
        for way in ("x", "z", "arc"):
            assert shown[f"log_q_{way}"] == pytest.approx(bits, rel=1e-4)
            assert shown[f"norm_{way}"] == pytest.approx(float(z.norm()) / 8, rel=1e-4)
    middle = walk.readout(t=8)
    assert middle["norm_z"] < 0.95 * middle["norm_arc"]  # the short cut
    nats = DigitWalk(flow, x).readout(t=8)
    assert middle["log_q_z"] == pytest.approx(4 - nats["log_q_z"] / math.log(2), rel=1e-5)


def test_a_walk_made_anew_looks_its_numbers_up() -> None:
    walk = DigitWalk(moved(RealNVP(64, 4, (16,)), 1), pictures(4, 8, 8), steps=9)
    again = DigitWalk.from_state(walk.get_state())
    for a in range(4):
        for b in range(4):
            for t in (0, 3, 8):
                assert again.readout(a=a, b=b, t=t) == pytest.approx(walk.readout(a=a, b=b, t=t), rel=1e-4), (a, b, t)
    assert walk.readout(a=0, b=3, t=3) != pytest.approx(walk.readout(a=0, b=2, t=3), rel=1e-4)


def test_six_digits_of_mnists_size_fit_the_page() -> None:
    walk = DigitWalk(RealNVP(784, 2, (4,), principal=2), pictures(6, 28, 28))
    assert len(walk.frames) == 15 * 2 * 15 * 784
    assert sum(len(v) for v in walk.get_state().values() if isinstance(v, bytes)) < 400_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"flow": nn.Linear(64, 64)}, "expected a flow of gdl_lab.flows, got Linear"),
        ({"pictures": pictures(1, 8, 8)}, r"two or more pictures of shape \(n, height, width\), got \(1, 8, 8\)"),
        ({"pictures": pictures(2, 8, 9)}, r"expected pictures of 64 pixels, .* got \(8, 9\)"),
        ({"pictures": 2 * torch.ones(2, 8, 8)}, r"expected values in \[0, 1\], got 2 to 2"),
        ({"names": ["one"]}, "expected 2 names, one for each picture, got 1"),
        ({"steps": 2}, "expected 3 to 33 steps, got 2"),
        ({"pictures": pictures(30, 8, 8)}, "835,200 bytes of frames, more than 400,000: take fewer pictures or steps"),
    ],
)
def test_a_walk_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DigitWalk(**{"flow": RealNVP(64, 2, (4,)), "pictures": pictures(2, 8, 8), **arguments})


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"b": 2}, "expected b from 0 to 1, got 2"), ({"t": 17}, "expected t from 0 to 16, got 17")],
)
def test_a_walk_refuses_settings(settings: dict[str, int], message: str) -> None:
    with pytest.raises(traitlets.TraitError, match=message):
        DigitWalk(RealNVP(64, 2, (4,)), pictures(2, 8, 8), **settings)


# --- the metric


def linear_flow(along: float, across: float) -> RealNVP:
    """x = (along z₁, across z₂): couplings that are the identity, and a whitening."""
    flow = RealNVP(2, 2, (4,), whitening=2)
    assert flow.whitening is not None
    flow.whitening.scales.copy_(torch.tensor([along, across]))
    return flow


def test_the_metric_of_a_linear_flow_can_be_done_by_hand() -> None:
    """J = diag(1, δ), f = log σ(x₁ + 2x₂): γ⁻¹∂f ∝ (1, 2δ²), log q = log N(z) - log δ."""
    classifier = nn.Sequential(nn.Linear(2, 1))
    classifier.load_state_dict({"0.weight": torch.tensor([[1.0, 2.0]]), "0.bias": torch.zeros(1)})
    line = [[-2.0, 0.0], [2.0, 0.0]]
    flows = [(delta, linear_flow(1.0, delta)) for delta in (0.5, 0.1)]
    widget = MetricExplorer(flows, line, [line, line], classifier, point=[0.5, 0.25])
    p = 1 / (1 + math.exp(-1))
    for index, delta in enumerate((0.5, 0.1)):
        shown = widget.readout(index=index)
        assert (shown["sigma_max"], shown["sigma_min"]) == pytest.approx((1, delta), rel=1e-6)
        assert shown["axis"] == pytest.approx(0, abs=1e-5)
        assert shown["gradient"] == pytest.approx(math.degrees(math.atan(2)))
        assert shown["natural"] == pytest.approx(math.degrees(math.atan(2 * delta**2)), rel=1e-5)
        assert shown["p"] == pytest.approx(p)
        assert shown["distance"] == pytest.approx(0.25 / delta)
        density = -(0.5**2 + (0.25 / delta) ** 2) / 2 - math.log(2 * math.pi * delta)
        assert shown["log_q"] == pytest.approx(density, rel=1e-5)
        # One step of length λ: (1 - p) λ (1, 2) in X, and (1 - p) λ (1, 2δ²) through Z.
        start = torch.tensor([[0.5, 0.25]], dtype=torch.float64)
        in_z, _ = ascent(widget.to_flow(index=index), widget.to_classifier(), start, 1, 0.02)
        assert float((in_z - start)[0, 1] / (in_z - start)[0, 0]) == pytest.approx(2 * delta**2, rel=1e-5)
    assert widget.readout(target=0)["p"] == pytest.approx(1 - p)


def test_singular_values_are_the_metrics() -> None:
    widget = explorer(point=[0.4, 0.7])
    for name in widget.names:
        for index in (0, 1):
            shown, flow = widget.readout(flow=name, index=index), widget.to_flow(name, index)
            z = flow.pull(torch.tensor([[0.4, 0.7]], dtype=torch.float64))
            eigenvalues = torch.linalg.eigvalsh(inverse_metric(flow, z)[0])
            assert [shown["sigma_min"] ** 2, shown["sigma_max"] ** 2] == pytest.approx(eigenvalues.tolist(), rel=1e-9)
    assert widget.readout(index=0) != widget.readout(index=1)
    assert widget.readout(flow="trained") != widget.readout(flow="under-trained")


@pytest.mark.parametrize("space", ["x", "z"])
def test_paths_are_those_of_the_maths_room(space: str) -> None:
    """Where no step is so long that the widget shortens it."""
    widget = explorer(point=[0.5, 0.3])
    flow, classifier = widget.to_flow(), widget.to_classifier()
    x = torch.tensor([[0.5, 0.3]], dtype=torch.float64)
    end, steps = ascent(flow if space == "z" else None, classifier, x, 1, 0.01)
    start, decode = (x, None) if space == "x" else (flow.pull(x), flow.push)
    path = ascend(log_probability(classifier, 1), start, decode, lr=0.01, steps=200)
    assert torch.allclose(end, path.end, rtol=0, atol=1e-9)
    assert steps == int(path.steps)
    assert float((end - x).norm()) > 0.01


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flows": [SMALL]}, r"expected pairs \(thickness, flow\), or lists of such pairs by name"),
        ({"flows": [(0.1, SMALL), (0.3, SMALL)]}, r"thicknesses from thick to thin, got \[0.1, 0.3\]"),
        ({"flows": {"a": [(0.1, SMALL)], "b": [(0.2, SMALL)]}}, "expected the same thicknesses under every name"),
        ({"flows": [(0.1, nn.Linear(2, 2))]}, "expected a RealNVP, got Linear"),
        ({"flows": [(0.1 / k, RealNVP(2, 8, (72, 72))) for k in range(1, 7)]}, "bytes of weights, more than 900,000"),
        ({"curve": [[0.0, 0.0], [0.0, 0.0]]}, "no two neighbours equal"),
        ({"data": []}, "expected 1 data sets, one for each thickness, got 0"),
        ({"classes": ["one"]}, "expected the names of two classes, got 1"),
        ({"classifier": nn.Linear(2, 2)}, "expected an nn.Sequential of nn.Linear layers"),
        ({"classifier": nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 3))}, r"got widths \[2, 3, 3\]"),
        (
            {"classifier": nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1))},
            "one kind of activation",
        ),
    ],
)
def test_the_explorer_refuses(change: dict[str, Any], message: str) -> None:
    good = {"flows": [(0.1, SMALL)], "curve": arc(), "data": [arc()], "classifier": nn.Sequential(nn.Linear(2, 1))}
    MetricExplorer(**good)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        MetricExplorer(**{**good, **change})


def test_the_explorer_refuses_settings() -> None:
    with pytest.raises(traitlets.TraitError, match="expected an index from 0 to 1, got 2"):
        explorer(index=2)
    with pytest.raises(traitlets.TraitError, match="unknown flow 'b'"):
        explorer(flow="b")
    assert np.allclose(explorer().point, arc()[30].tolist())

"""The Python side of the explorer of counterfactuals: its paths by hand, what it keeps of them, what it refuses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import traitlets
from torch import Tensor, nn

from gdl_lab.counterfactuals import explain
from gdl_lab.flows import RealNVP
from gdl_lab.metric import Diffeomorphism
from gdl_lab.runtime import fresh_seed
from gdl_lab.widgets import CounterfactualExplorer
from gdl_lab.widgets.counterfactual_explorer import CURVES, SPACES, positions
from tests.browser.cases import STEP_SIZES, WIDGETS, colourful, moved, pictures, reader

ONE = {"plain": [(0.1, 0.1)]}


def linear(weights: Tensor, bias: float) -> nn.Sequential:
    """Logits 0 and w·x + b in float64."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(weights.numel(), 2, dtype=torch.float64))
    net.load_state_dict({"1.weight": torch.stack([0 * weights, weights]), "1.bias": torch.tensor([0.0, bias])})
    return net


def small(**changes: Any) -> CounterfactualExplorer:
    arguments = {
        "classifier": reader(1, 64, 3),
        "flow": moved(RealNVP(64, 2, (8,)).double(), 5),
        "x": pictures(2, 8, 8),
        "targets": [0, 2],
        "step_sizes": {"plain": [(0.1, 0.05)]},
        "steps": 20,
    }
    return CounterfactualExplorer(**{**arguments, **changes})


# --- positions


def log_p(log_odds: list[float]) -> Tensor:
    """Scores with these log-odds, for one sample."""
    return torch.nn.functional.logsigmoid(torch.tensor(log_odds, dtype=torch.float64))[:, None]


def chosen(score: Tensor, until: float, frames: int = 5, regression: bool = False) -> list[int]:
    return positions(score, until, frames, regression)[:, 0].tolist()


def test_positions_are_equal_parts_of_the_log_odds() -> None:
    until = math.log(1 / (1 + math.exp(-4)))
    assert chosen(log_p([-4, -3.9, -1.9, -1, 0.1, 3, 4.2]), until) == [0, 2, 4, 5, 6]
    # A path that turns back counts as far as it has been, and one that arrives late waits at its last step.
    assert chosen(log_p([-4, 0.5, -3, 1.9, 2.1, 5]), until) == [0, 1, 1, 4, 5]
    assert chosen(log_p([-4, -1.9, -3]), until) == [0, 1, 2, 2, 2]
    assert chosen(log_p([6.0]), until) == [0] * 5
    assert chosen(torch.zeros(1, 1), until) == [0] * 5  # p = 1 to the last bit


def test_positions_are_equal_parts_of_the_distance_to_a_value() -> None:
    values = torch.tensor([[8.0], [7.0], [5.9], [5.0], [3.0], [2.05]], dtype=torch.float64)
    score = -0.5 * (values - 2).square()
    assert chosen(score, 0.0, 4, regression=True) == [0, 2, 4, 5]  # down to 6, 4 and 2, the last not quite
    assert chosen(score.flip(0), 0.0, 4, regression=True) == [0, 5, 5, 5]  # it moves away


def test_each_sample_has_positions_of_its_own() -> None:
    both = torch.cat([log_p([-4, 0.1, 4.1, 4.1]), log_p([-2, -1, 1.1, 4.1])], 1)
    until = math.log(1 / (1 + math.exp(-4)))
    assert positions(both, until, 3, False).T.tolist() == [[0, 1, 2], [0, 2, 3]]


# --- paths


def test_a_linear_classifier_can_be_done_by_hand() -> None:
    """With a flow that moves nothing both paths are m ← m + λ (1 − σ(m)) |w|², x ← x + λ (1 − σ(m)) w."""
    seed = fresh_seed()
    print(f"seed {seed}")
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(16, generator=generator, dtype=torch.float64)
    w *= 2.5 / w.norm()
    x = torch.rand(1, 4, 4, generator=generator, dtype=torch.float64)
    bias = -3.0 - float(w @ x.flatten())
    widget = CounterfactualExplorer(linear(w, bias), RealNVP(16, 2, (4,)).double(), x, [1], step_sizes=ONE, frames=6)
    margin, pushed, margins, pushes = -3.0, 0.0, [-3.0], [0.0]
    while margin < math.log(99):
        rest = 1 / (1 + math.exp(margin))
        margin, pushed = margin + 0.1 * rest * 2.5**2, pushed + 0.1 * rest
        margins.append(margin)
        pushes.append(pushed)
    for t in range(6):
        level = -3 + (math.log(99) + 3) * t / 5
        step = next((k for k, m in enumerate(margins) if m >= level - 1e-9), len(margins) - 1)
        end = x.flatten() + pushes[step] * w
        log_q = -0.5 * float(end.square().mean()) - 0.5 * math.log(2 * math.pi)
        shown = widget.readout(t=t)
        for space in SPACES:
            assert shown[f"steps_{space}"] == step
            assert shown[f"output_{space}"] == pytest.approx(1 / (1 + math.exp(-margins[step])), rel=1e-6)
            assert shown[f"norm_{space}"] == pytest.approx(2.5 * pushes[step], rel=1e-6, abs=1e-9)
            assert shown[f"largest_{space}"] == pytest.approx(pushes[step] * float(w.abs().max()), rel=1e-6, abs=1e-9)
            assert shown[f"log_q_{space}"] == pytest.approx(log_q, rel=1e-6)
    assert len(margins) > 12


def test_ends_are_those_of_explain() -> None:
    """Few and many: the regressor's value goes the way of the target, and is read from the picture itself."""
    net, flow, x = reader(2, 72, 1), moved(RealNVP(72, 2, (16,)).double(), 6), colourful(2, 6, 4)
    rates = {"plain": [(0.05, 0.02)]}
    widget = CounterfactualExplorer(net, flow, x, {"few": -2.0, "many": 3.0}, step_sizes=rates, steps=80)
    for target, value in enumerate((-2.0, 3.0)):
        found = explain(lambda x: net(x.view(-1, 3, 6, 4)), flow, x.flatten(1).double(), value, lr=0.05, lr_x=0.02,
                        steps=80, optimizer="plain")  # fmt: skip
        for picture in (0, 1):
            start, end = (widget.readout(picture=picture, target=target, t=t) for t in (0, widget.frames - 1))
            assert start["output_z"] == pytest.approx(float(net(x[[picture]].double())))
            for space, row in (("z", 1), ("x", 2)):
                assert end[f"output_{space}"] == pytest.approx(float(found.output[row, picture]), rel=1e-9)
                assert end[f"log_q_{space}"] == pytest.approx(float(found.log_q[row, picture]) / 72, rel=1e-9)
                assert abs(end[f"output_{space}"] - value) < abs(start[f"output_{space}"] - value)


def test_a_flow_of_another_make() -> None:
    """x = z/2, by its three functions: a step in Z is a quarter of one in X."""
    half = Diffeomorphism(lambda z: z / 2, lambda x: 2 * x, lambda x: -(2 * x).flatten(1).square().sum(1) / 2)
    x, w = torch.full((1, 1, 4, 4), 0.5, dtype=torch.float64), torch.ones(16, dtype=torch.float64)
    rates = {"plain": [(0.4, 0.1)]}
    widget = CounterfactualExplorer(linear(w, -12.0), half, x, [1], step_sizes=rates)
    shown = widget.readout()
    assert shown["output_z"] > 0.98
    for what in CURVES:
        assert shown[f"{what}_z"] == pytest.approx(shown[f"{what}_x"], rel=1e-9)
    assert shown["log_q_z"] < -0.6  # it was -1/2


# --- what is kept


def test_a_widget_made_anew_looks_its_numbers_up() -> None:
    widget = WIDGETS["CounterfactualExplorer"]()
    again = CounterfactualExplorer.from_state(widget.get_state())
    seen = set()
    for optimiser in STEP_SIZES:
        for setting in range(8):
            choice = {"picture": setting // 4, "target": setting // 2 % 2, "step": setting % 2, "optimiser": optimiser}
            for t in (0, 5, widget.frames - 1):
                shown = again.readout(t=t, **choice)
                assert shown == pytest.approx(widget.readout(t=t, **choice), rel=1e-5, abs=1e-9), (choice, t)
            seen.add(tuple(shown.values()))
    assert len(seen) == 16  # control: no two paths are alike


def test_a_page_of_four_digits_stays_small() -> None:
    widget = CounterfactualExplorer(
        reader(0, 784, 3), RealNVP(784, 2, (4,)).double(), pictures(4, 28, 28), [1, 2], None, STEP_SIZES, steps=3
    )
    assert widget.frames == 10
    assert len(widget.changes) == 4 * 2 * 2 * 2 * 2 * 9 * 784
    assert sum(len(v) for v in widget.get_state().values() if isinstance(v, bytes)) < 500_000


def test_changes_are_stored_to_a_part_in_254_of_the_largest() -> None:
    widget = small()
    levels = np.frombuffer(widget.changes, np.int8).reshape(2, 2, len(SPACES), widget.frames - 1, 64)
    curves = np.frombuffer(widget.curves, "<f4").reshape(2, 2, len(SPACES), len(CURVES), widget.frames)
    moved_by = levels / 127 * curves[..., CURVES.index("largest"), 1:, None]
    assert np.abs(levels).max(-1).min() == 127
    assert np.allclose(np.linalg.norm(moved_by, axis=-1), curves[..., CURVES.index("norm"), 1:], rtol=0.02)
    assert list(widget.reached) == [int(v) for v in (curves[..., CURVES.index("output"), -1] >= 0.99 - 1e-6).flat]


def test_what_is_at_its_target_stays_there() -> None:
    w = torch.ones(64, dtype=torch.float64)
    widget = small(classifier=linear(w, 9.0), targets=[1])
    shown = widget.readout()
    assert shown["output_x"] > 0.99
    assert (shown["steps_x"], shown["largest_x"], shown["norm_z"], shown["steps_z"]) == (0, 0, 0, 0)
    assert set(widget.changes) == {0}
    assert set(widget.reached) == {1}


def test_later_training_does_not_change_the_widget() -> None:
    net, flow = nn.Sequential(reader(1, 64, 3), nn.Dropout(0.5)), moved(RealNVP(64, 2, (8,)).double(), 5)
    widget = small(classifier=net, flow=flow)
    before = widget.readout(t=4)
    with torch.no_grad():
        for parameter in (*net.parameters(), *flow.parameters()):
            parameter.add_(0.5)
    assert widget.readout(t=4) == before
    assert small(classifier=net, flow=flow).readout(t=4) != before
    assert net.training


# --- what it refuses


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": torch.rand(2, 64)}, r"expected pictures .* got \(2, 64\): say shape=\(28, 28\) for flat ones"),
        ({"x": torch.rand(2, 64), "shape": (7, 9)}, r"got \(2, 64\) with shape=\(7, 9\)"),
        ({"x": torch.rand(2, 2, 4, 8)}, r"expected pictures .* got \(2, 2, 4, 8\)"),
        ({"x": 2 * torch.ones(1, 8, 8)}, r"expected values in \[0, 1\], got 2 to 2"),
        ({"x": torch.rand(1, 8, 9)}, r"expected pictures of 64 values, as the flow has dimensions, got \(1, 8, 9\)"),
        ({"x": [[[math.nan]]]}, "x hold NaN or infinity"),
        ({"targets": []}, r"targets that are all classes \(int\) or all finite values \(float\), got \[\]"),
        ({"targets": [0, 1.5]}, r"all classes \(int\) or all finite values \(float\), got \[0, 1.5\]"),
        ({"targets": [math.inf]}, "all finite values"),
        ({"targets": [3]}, "expected a class between 0 and 2, got 3"),
        ({"targets": [1.0]}, r"expected values of shape \(2,\), got \(2, 3\)"),
        ({"names": ["one"]}, "expected 2 names, one for each picture, got 1"),
        ({"step_sizes": {}}, "for each optimiser equally many pairs"),
        ({"step_sizes": {"plain": [0.1]}}, r"equally many pairs .* got \{'plain': \[0.1\]\}"),
        ({"step_sizes": {"plain": [(0.1, 0.1)], "adam": []}}, "equally many pairs"),
        ({"step_sizes": {"newton": [(0.1, 0.1)]}}, "'plain' or 'adam', got 0.1, 20, 'newton'"),
        ({"frames": 3}, "expected 4 to 16 frames, got 3"),
        ({"frames": 17}, "expected 4 to 16 frames, got 17"),
        ({"confidence": 1.0}, "a confidence between 0 and 1"),
        (
            {"x": torch.rand(20, 8, 8), "targets": [0, 1, 2], "step_sizes": {"plain": 30 * [(0.1, 0.1)]}},
            "230,400 bytes for each frame after the first, of which 480,000 hold 2: take fewer pictures",
        ),
    ],
)
def test_the_explorer_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**changes)


def test_a_density_that_is_not_finite() -> None:
    lost = Diffeomorphism(lambda z: z, lambda x: x, lambda x: (1 - x.amax((1, 2))).clamp(max=0).log())
    with pytest.raises(ValueError, match=r"log q is not finite on the path in Z to 0: a smaller λ than 0.1"):
        small(flow=lost, x=pictures(2, 8, 8).double())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"picture": 2}, "expected picture from 0 to 1, got 2"),
        ({"target": 2}, "expected target from 0 to 1, got 2"),
        ({"step": 1}, "expected step from 0 to 0, got 1"),
        ({"t": 16}, "expected t from 0 to 15, got 16"),
        ({"optimiser": "adam"}, "unknown optimiser 'adam': expected one of plain"),
    ],
)
def test_the_explorer_refuses_settings(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(traitlets.TraitError, match=message):
        small(**setting)

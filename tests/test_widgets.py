"""The Python side of the widgets: what they refuse, what they store, and their reference numbers."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
import traitlets
from hypothesis import given, settings
from hypothesis import strategies as st

from gdl_lab.manifold import CHARTS
from gdl_lab.runtime import fresh_seed
from gdl_lab.widgets import DimensionEstimate, KernelEditor, LinearRegions, Widget, bundle, stage
from gdl_lab.widgets.dimension import draw, uniform
from gdl_lab.widgets.kernel_editor import PRESETS, digits
from gdl_lab.widgets.linear_regions import disc, regions

MODULES = (
    "linear_regions", "kernel_editor", "dimension", "flow_layers", "digit_walk", "metric_explorer",
    "counterfactual_explorer", "turned_features", "globe", "sweep_figure", "kernel_constraint",
    "scrambled_lattice",
)  # fmt: skip
POINTS, LABELS = [[0.5, 0.5], [-0.5, 0.0]], [1.0, -1.0]


# --- the bundle


@pytest.mark.parametrize("name", MODULES)
def test_a_bundle_is_self_contained_and_small(name: str) -> None:
    text = bundle(name)
    assert not re.search(r"^\s*import\b|\bimport\(|\brequire\(|https?://", text, re.MULTILINE)
    assert text.count("export default") == 1
    assert len(text.encode()) < 40_000


def test_a_bundle_refuses_what_a_page_can_not_load(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stage.js").write_text(
        "// A half.\nexport const half = 0.5;\n/** No\n * body's. */\nconst secret = 1;\n"
    )
    (tmp_path / "flow.js").write_text("export const flow = 1; // stays\n")
    monkeypatch.setattr(stage, "HERE", tmp_path)
    (tmp_path / "good.js").write_text('import { half } from "./stage.js";\nexport default { half };\n')
    assert stage.bundle("good") == (
        "const { half } = (() => {\nconst half = 0.5;\nconst secret = 1;\nreturn { half };\n})();\n"
        "export default { half };\n"
    )
    (tmp_path / "both.js").write_text('import { half } from "./stage.js";\nimport { flow } from "./flow.js";\n')
    assert "const { half } =" in stage.bundle("both")
    assert "const flow = 1; // stays\nreturn { flow };" in stage.bundle("both")
    (tmp_path / "far.js").write_text('import { half } from "./stage.js";\nimport three from "three";\n')
    with pytest.raises(
        ValueError,
        match=r'far\.js may import from "\./stage\.js" and .* and "\./lattice\.js" only, found: import three',
    ):
        stage.bundle("far")
    (tmp_path / "wrong.js").write_text('import { secret } from "./stage.js";\n')
    with pytest.raises(ValueError, match=r"wrong\.js imports secret, which stage\.js does not export"):
        stage.bundle("wrong")


@pytest.mark.parametrize("widget", [LinearRegions(), KernelEditor(), DimensionEstimate()], ids=repr)
def test_a_widget_prints_without_addresses_and_can_be_made_anew(widget: Widget) -> None:
    assert re.fullmatch(r"\w+\([^@]*\)", repr(widget))
    assert "0x" not in repr(widget)
    again = type(widget).from_state(widget.get_state())
    assert again.readout() == widget.readout()
    assert all(np.isfinite(value) for value in widget.readout().values())


# --- linear regions


def test_readout_of_a_network_that_can_be_done_by_hand() -> None:
    """f(x) = ReLU(x₁) - 1/2 on the points (1/2, 1/2) → 1 and (-1/2, 0) → -1: f = 0 and -1/2, E = (1 + 1/4) / 2."""
    weights = [[[1.0, 0.0]], [0.0], [[1.0]], [-0.5]]
    widget = LinearRegions((1,), POINTS, LABELS, weights=weights)
    shown = widget.readout(unit="1.1", log_eta=-1.0)
    # ∂E/∂f = (f - y) = -1 and 1/2; the hidden unit is on at the first point only.
    gradient = {"W1": (-0.5, -0.5), "b1": -1.0, "W2": -0.5, "b2": -0.5}
    assert shown["regions"] == 2
    assert shown["right"] == 1
    assert shown["error"] == pytest.approx(0.625)
    assert (shown["gradient_0"], shown["gradient_1"]) == pytest.approx(gradient["W1"])
    assert shown["gradient_bias"] == pytest.approx(gradient["b1"])
    output = widget.readout(unit="2.1")
    assert (output["gradient_0"], output["gradient_bias"]) == pytest.approx((gradient["W2"], gradient["b2"]))
    assert shown["predicted"] == pytest.approx(-0.1 * (0.25 + 0.25 + 1 + 0.25 + 0.25))


def test_the_promise_of_a_step_is_first_order() -> None:
    widget = LinearRegions()
    gaps = []
    for log_eta in (-4.0, -5.0):
        shown = widget.readout(log_eta=log_eta)
        gaps.append(abs(shown["actual"] - shown["predicted"]))
    assert gaps[0] / gaps[1] == pytest.approx(100, rel=0.1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(4, 3), (5,), (3, 3, 2)]))
def test_regions_cover_the_square_and_their_patterns_are_the_networks(seed: int, widths: tuple[int, ...]) -> None:
    widget = LinearRegions(widths, seed=seed)
    net = widget.to_network()
    total = 0.0
    for pattern, corners in regions(widget.weights).items():
        x, y = corners.T
        total += (x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
        hidden, on = torch.from_numpy(corners.mean(axis=0)), []
        for layer in list(net)[:-1]:
            hidden = layer(hidden)
            if isinstance(layer, torch.nn.ReLU):
                on += (hidden > 0).tolist()
        assert tuple(on) == pattern
    assert total == pytest.approx(4, rel=1e-9)


def test_lines_in_general_position_give_the_known_number_of_regions() -> None:
    """One hidden layer of m lines that all meet inside: 1 + m + m (m - 1) / 2 regions; parallel lines give 1 + m."""
    angles = [0.1, 0.9, 1.7, 2.5]
    crossing = [[[np.cos(a), np.sin(a)] for a in angles], [0.11, -0.07, 0.13, 0.05], [[1.0] * 4], [0.0]]
    assert LinearRegions((4,), weights=crossing).readout()["regions"] == 11
    parallel = [[[1.0, 0.0]] * 4, [-0.6, -0.2, 0.2, 0.6], [[1.0] * 4], [0.0]]
    assert LinearRegions((4,), weights=parallel).readout()["regions"] == 5
    outside = [[[1.0, 0.0]] * 4, [2.0, 3.0, 4.0, -5.0], [[1.0] * 4], [0.0]]
    assert LinearRegions((4,), weights=outside).readout()["regions"] == 1


def test_weights_can_be_read_and_set() -> None:
    widget = LinearRegions(seed=3)
    net = widget.to_network()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(0.5)
    widget.weights = list(net.parameters())
    assert isinstance(widget.weights[0][0][0], float)
    points = torch.rand(7, 2, dtype=torch.float64)
    assert torch.equal(widget.to_network()(points), net(points))
    assert widget.start != widget.weights
    with pytest.raises(ValueError, match=r"expected weights\[0\] of shape \(4, 2\), got \(2, 4\)"):
        widget.weights = [np.zeros((2, 4)), *widget.weights[1:]]
    with pytest.raises(traitlets.TraitError, match="layer 1 has 4 units, got unit 5"):
        widget.unit = "1.5"


def test_a_trained_network_can_be_shown() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.ReLU(), torch.nn.Linear(5, 1))
    points, labels = disc()
    widget = LinearRegions((5,), torch.from_numpy(points), torch.from_numpy(labels), weights=net.parameters())
    error = (net(torch.from_numpy(points).float()).squeeze(1) - torch.from_numpy(labels)).square().mean()
    assert widget.readout()["error"] == pytest.approx(error.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widths": ()}, r"one to three hidden layers of one to eight units, got widths \(\)"),
        ({"widths": (4, 99)}, r"got widths \(4, 99\)"),
        ({"points": POINTS}, "give points and labels together"),
        ({"points": [], "labels": []}, r"expected points of shape \(n, 2\), got none"),
        ({"points": [[0.0, np.nan]], "labels": [1.0]}, "points hold NaN or infinity"),
        ({"points": [[0.0, 0.0, 0.0]], "labels": [1.0]}, r"expected points of shape \(n, 2\), got \(1, 3\)"),
        ({"points": POINTS, "labels": [1.0]}, r"expected labels of shape \(2,\), one for each point, got \(1,\)"),
        ({"points": [[0.0, 3.0], [0, 0]], "labels": LABELS}, r"square \[-1, 1\]², got a coordinate 3 in size"),
        ({"points": POINTS, "labels": [1.0, 1.0]}, "expected labels of two values, for instance ±1, got 1"),
        ({"points": "abc", "labels": LABELS}, r"expected points as numbers of shape \(n, 2\), got str"),
        ({"weights": [[[0.0]]]}, r"expected 6 arrays W₁, b₁, W₂, b₂, … for widths \(4, 3\), got 1"),
    ],
)
def test_linear_regions_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LinearRegions(**arguments)


# --- kernel editor


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(-6, 6),
    st.integers(-6, 6),
    st.integers(1, 3),
    st.sampled_from(["circular", "zeros"]),
    st.booleans(),
    st.booleans(),
)
def test_where_equivariance_is_a_theorem(
    seed: int, dx: int, dy: int, stride: int, padding: str, relu: bool, pool: bool
) -> None:
    """A shift that the stride divides: exact in the interior, and everywhere if the stride divides the picture too."""
    rng = np.random.default_rng(seed)
    step = stride * (2 if pool else 1)
    widget = KernelEditor(rng.normal(size=(1, 24, 24)), kernel=rng.uniform(-1, 1, size=(3, 3)))
    shown = widget.readout(dx=dx, dy=dy, stride=stride, padding=padding, relu=relu, pool=pool)
    if dx % step == 0 and dy % step == 0:
        assert shown["interior_pixels"] > 0
        assert shown["interior_error"] < 1e-12
        if padding == "circular":
            assert shown["error"] < 1e-12


def test_where_equivariance_fails() -> None:
    """Negative controls: a shift that the stride does not divide, and zeros at the border of a wrapped picture."""
    rng = np.random.default_rng(0)
    widget = KernelEditor(rng.normal(size=(1, 24, 24)), kernel=PRESETS["blur"])
    undivided = widget.readout(dx=1, stride=2, padding="circular")
    assert undivided["shift_x"] == 1
    assert undivided["interior_error"] > 0.1
    border = widget.readout(dx=3, dy=2, padding="zeros")
    assert border["error"] > 0.1
    assert border["interior_error"] < 1e-12
    assert border["interior_pixels"] == (24 - 2 - 3) * (24 - 2 - 2)
    gone = KernelEditor().readout(dx=4, dy=4, stride=3, pool=True)
    assert gone["interior_pixels"] == gone["interior_error"] == 0


def test_presets_do_what_their_names_say() -> None:
    dark_to_bright = np.array([[0.0, 1.0, 1.0]] * 3)  # the picture around a pixel just right of an upright edge
    answers = {"identity": 1, "blur": 0.75, "sharpen": 2, "edges (Laplace)": -1, "Sobel x": 4, "Sobel y": 0}
    for name, kernel in PRESETS.items():
        seen = (np.reshape(kernel, (3, 3)) * dark_to_bright).sum()
        assert seen == answers.get(name, 0), name  # "shift right" shows the dark pixel on the left
    spot = np.zeros((1, 9, 9))
    spot[0, 4, 4] = 1.0
    widget = KernelEditor(spot)
    # A kernel that shifts to the right commutes with all shifts, as every kernel does.
    assert widget.readout(kernel=PRESETS["shift right"], dx=2, padding="circular")["error"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": np.zeros((28, 28))}, r"expected images of shape \(n, height, width\), .* got \(28, 28\)"),
        ({"images": np.zeros((1, 4, 28))}, r"sides of 5 to 64, got \(1, 4, 28\)"),
        ({"images": np.zeros((0, 28, 28))}, "expected images of shape .* got none"),
        ({"images": np.full((1, 8, 8), np.inf)}, "images hold NaN or infinity"),
        ({"names": ["one"]}, "expected 6 names, one for each picture, got 1"),
        ({"kernel": np.zeros((5, 5))}, r"expected a kernel of shape \(3, 3\), .* got shape \(5, 5\)"),
        ({"kernel": [10.0] + [0.0] * 8}, "entries from -9 to 9, got an entry 10 in size"),
    ],
)
def test_kernel_editor_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KernelEditor(**arguments)


def test_pictures_may_be_tensors_of_any_float_kind() -> None:
    seed = fresh_seed()
    print(f"seed {seed}")
    pictures = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(seed))
    one, two = KernelEditor(pictures), KernelEditor(pictures.double().numpy())
    assert one.images == two.images
    assert len(digits()[1]) == KernelEditor().shape[0]


# --- dimension estimate


@pytest.mark.parametrize("shape", CHARTS)
def test_exact_points_show_the_truth_and_noise_hides_it(shape: str) -> None:
    widget = DimensionEstimate(shape=shape, n=600)
    exact = widget.readout(k=12, noise=0.0)
    assert exact["truth"] == CHARTS[shape].dimension
    for name in ("mle", "plain", "two_nn"):
        assert exact[name] == pytest.approx(exact["truth"], rel=0.1)
    assert widget.readout(ambient=12, noise=0.0) == pytest.approx(widget.readout(ambient=3, noise=0.0), rel=1e-12)
    noisy = widget.readout(k=3, ambient=12, noise=0.3)
    assert noisy["mle"] > 5
    assert noisy["scale"] > exact["scale"]


def test_random_numbers_of_the_picture_are_uniform_and_normal() -> None:
    numbers = uniform(7, 0, 100_000)
    assert 0 <= numbers.min() < numbers.max() < 1
    assert np.histogram(numbers, 10, (0, 1))[0] == pytest.approx([10_000] * 10, rel=0.05)
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.02
    assert abs(np.corrcoef(numbers, uniform(7, 1, 100_000))[0, 1]) < 0.02
    noise = (draw(None, "square", 600, 12, 1.0, 3) - draw(None, "square", 600, 12, 0.0, 3)).numpy()
    assert np.cov(noise.T) == pytest.approx(np.eye(12), abs=0.2)
    assert abs(noise.mean()) < 0.05


def test_more_points_keep_the_first_ones() -> None:
    few, many = (draw(None, "torus", n, 5, 0.1, 2) for n in (100, 300))
    assert torch.equal(few, many[:100])
    assert not torch.equal(few, draw(None, "torus", 100, 5, 0.1, 3))


def test_points_of_ones_own() -> None:
    own = np.random.default_rng(0).normal(size=(150, 7))
    widget = DimensionEstimate(torch.from_numpy(own), "mine", noise=0.0)
    assert widget.shape == "mine"
    shown = widget.readout(n=600)
    assert "truth" not in shown
    assert shown == widget.readout(n=150)
    assert shown["participation"] == pytest.approx(7, rel=0.1)
    assert widget.readout(n=100) != shown
    assert widget.readout(shape="sphere")["truth"] == 2
    axes = np.frombuffer(widget.axes, "<f4").reshape(3, 7)
    assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": np.zeros((100, 2))}, r"n from 100 to 600, D from 3 to 128, got \(100, 2\)"),
        ({"points": np.zeros((5, 3))}, r"got \(5, 3\)"),
        ({"points": np.zeros((100, 3))}, "some points are there twice"),
        ({"points": np.full((100, 3), np.nan)}, "points hold NaN or infinity"),
    ],
)
def test_dimension_estimate_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DimensionEstimate(**arguments)


def test_dimension_estimate_refuses_an_unknown_shape() -> None:
    known = "expected one of helix, square, sphere, torus, Swiss roll"
    with pytest.raises(traitlets.TraitError, match=f"unknown shape 'cube': {known}$"):
        DimensionEstimate(shape="cube")
    with pytest.raises(traitlets.TraitError):
        DimensionEstimate(k=2)

"""The Python side of the widgets on symmetry: turned pictures, the globe and the figure of a sweep."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import traitlets
from e3nn import o3
from torch import nn

from gdl_lab.runtime import fresh_seed
from gdl_lab.symmetry import C2, C4, D4, GroupConvolution, GroupNetwork, Lift, PlaneGroup
from gdl_lab.widgets import Globe, SweepFigure, TurnedFeatures
from gdl_lab.widgets.globe import harmonics, rotation, table
from gdl_lab.widgets.turned_features import _move, _run
from tests.browser.cases import WIDGETS, group_network, mirrored, pictures, runs, sweep_figure


def drawn(*shape: int) -> torch.Tensor:
    seed = fresh_seed()
    print(f"seed {seed}")
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


MINE = [name for name in WIDGETS if name.startswith(("TurnedFeatures", "Globe", "SweepFigure"))]


@pytest.mark.parametrize("name", MINE)
def test_a_widget_prints_without_addresses_and_can_be_made_anew(name: str) -> None:
    widget = WIDGETS[name]()
    assert "0x" not in repr(widget)
    again = type(widget).from_state(widget.get_state())
    assert again.readout() == widget.readout()
    assert sum(len(value) for value in widget.get_state().values() if isinstance(value, bytes)) < 300_000


# --- turned features


@pytest.mark.parametrize("angle", [0, 90, 180, 270, 360])
def test_where_turning_is_a_symmetry(angle: int) -> None:
    widget = TurnedFeatures(drawn(2, 9, 9))
    for image in range(widget.shape[0]):
        for orientations in ("move", "pooled"):
            assert (
                widget.readout(network="C4 lift", angle=angle, image=image, orientations=orientations)["error"] < 1e-13
            )
        assert widget.readout(network="symmetric kernels", angle=angle, image=image)["error"] < 1e-13


def test_where_it_fails() -> None:
    """Each hypothesis in turn: kernels, orientations, the stride on an even side, right angles."""
    widget = TurnedFeatures(angle=90, network="C4 lift")
    assert widget.readout(network="ordinary")["error"] > 0.5
    assert widget.readout(network="ordinary", orientations="pooled")["error"] > 0.5
    assert widget.readout(orientations="stay")["error"] > 0.5
    assert widget.readout(stride=2)["error"] > 0.5
    assert widget.readout(stride=2)["side"] == 4
    assert widget.readout(stride=2, grown=True)["error"] < 1e-13
    assert widget.readout(stride=2, grown=True)["side"] == 5
    assert widget.readout(stride=2, grown=True, network="ordinary")["error"] > 0.5
    between = widget.readout(angle=45)
    assert between["error"] > 0.1
    assert between["blur"] > 0.1
    assert widget.readout()["blur"] < 1e-13


def test_mean_pooling_wants_an_even_side() -> None:
    widget = TurnedFeatures(pictures(1, 16, 16), {"C4": group_network()}, angle=90)
    assert widget.readout()["error"] < 1e-12
    assert widget.readout(grown=True)["error"] > 0.01


def test_the_page_runs_the_network_it_was_given() -> None:
    """Batch normalisation, biases and the kernels of all group elements, against the network itself."""
    ordinary = nn.Sequential(nn.Conv2d(1, 3, 5, padding=2), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 1, padding=0))
    ordinary.train()(torch.rand(9, 1, 16, 16))
    x = pictures(3, 16, 16)[:, None].double()
    for net in (ordinary.eval(), group_network(), mirrored(), Lift(C2, 1, 4)):
        widget = TurnedFeatures(x, {"net": net})
        net = net.double()
        expected = (net.features(x) if isinstance(net, GroupNetwork) else net(x)).detach()
        shown = _run(widget.programs["net"]["layers"], widget._values(), x, 1)
        assert torch.allclose(shown.view_as(expected), expected, rtol=1e-5, atol=1e-6)
        assert expected.std() > 1e-3
        program = widget.programs["net"]
        assert program["size"] == (expected.shape[2] if expected.ndim == 5 else 1)


@pytest.mark.parametrize("group", [C2, C4, D4], ids=lambda group: group.name)
def test_moving_the_orientations_is_the_regular_representation(group: PlaneGroup) -> None:
    maps = drawn(3, len(group), 6, 6)
    for g in range(group.turns):
        turned = group.on_pictures(g, _move(maps, float(g), group.turns))
        assert torch.equal(turned, group.on_maps(g, maps))
    assert not torch.equal(_move(maps, 1.0, group.turns), maps)
    half = _move(maps, 0.5, group.turns)
    assert torch.allclose(half, (maps + _move(maps, 1.0, group.turns)) / 2)


def test_channels_are_clipped_to_what_a_network_has() -> None:
    widget = TurnedFeatures(pictures(1, 8, 8), {"few": Lift(C4, 1, 2), "many": Lift(C4, 1, 5)}, angle=45)
    assert widget.readout(network="few", channel=4) == widget.readout(network="few", channel=1)
    assert widget.readout(network="many", channel=4) != widget.readout(network="many", channel=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pictures": torch.rand(2, 8, 9)}, r"square pictures \(n, side, side\), sides of 5 to 32, got \(2, 8, 9\)"),
        ({"pictures": torch.rand(2, 33, 33)}, "sides of 5 to 32"),
        ({"pictures": torch.full((1, 8, 8), torch.nan)}, "pictures hold NaN or infinity"),
        ({"names": ["one"]}, "expected 6 names, one for each picture, got 1"),
        ({"networks": {}}, "expected networks by name"),
        ({"networks": Lift(C4, 1, 2)}, "expected networks by name"),
        ({"networks": {"n": nn.Sequential()}}, "network 'n' has no convolution"),
        ({"networks": {"n": nn.Conv2d(1, 2, 3)}}, "network 'n': expected nn.Conv2d with odd kernels, zeros around"),
        ({"networks": {"n": nn.Conv2d(1, 2, 3, stride=2, padding=1)}}, "stride 1"),
        ({"networks": {"n": nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Tanh())}}, r"and nn.ReLU; got Tanh\(\)"),
        ({"networks": {"n": nn.Sequential(nn.ReLU(), Lift(C4, 1, 2))}}, r"got ReLU\(\)"),
        ({"networks": {"n": nn.Sequential(Lift(C4, 1, 2), GroupConvolution(D4, 1, 2))}}, "of one group"),
        ({"networks": {"n": Lift(C4, 3, 2)}}, "network 'n': a layer reads 3 maps where there are 1"),
        ({"networks": {"n": Lift(C4, 1, 2000, 5)}}, "bytes of kernels, more than 600,000: take smaller networks"),
        ({"pictures": torch.rand(1, 8, 8), "networks": {"n": group_network()}}, "pools pictures of side 8 too often"),
    ],
)  # fmt: skip
def test_turned_features_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TurnedFeatures(**arguments)


@pytest.mark.parametrize("settings", [{"network": "another"}, {"image": 6}, {"angle": 361}, {"orientations": "fly"}])
def test_turned_features_refuses_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(traitlets.TraitError):
        TurnedFeatures(**settings)


# --- the globe


def test_harmonics_and_rotations_are_those_of_e3nn() -> None:
    alpha, beta = drawn(40), drawn(40).sigmoid() * math.pi
    xyz = o3.angles_to_xyz(alpha, beta)
    Y = o3.spherical_harmonics(list(range(11)), xyz, normalize=True, normalization="component")
    assert np.allclose(harmonics(alpha.numpy(), beta.numpy())[:, :121], Y, atol=1e-12)
    angles = 180 * drawn(3)
    assert torch.allclose(rotation(*angles.tolist()), o3.angles_to_matrix(*angles.deg2rad()), atol=1e-14)
    Y, weights = table(16)
    assert torch.allclose(Y.mT @ (weights[:, None] * Y), torch.eye(256, dtype=torch.float64), atol=1e-12)


@pytest.mark.parametrize("limit", [1, 5, 12, 16])
def test_what_commutes_with_rotations(limit: int) -> None:
    widget = Globe(drawn(2, 256))
    alpha, beta, gamma = (180 * drawn(3)).tolist()
    turn = {"alpha": alpha, "beta": beta, "gamma": gamma, "bandlimit": limit}
    for signal in range(2):
        assert widget.readout(signal=signal, layer="zonal", **turn)["error"] < 1e-12
        # About the axis a convolution of the chart is one of circles, whatever it does to the latitudes.
        assert widget.readout(signal=signal, layer="chart", **{**turn, "beta": 0.0})["error"] < 1e-12
        if limit > 2:
            assert widget.readout(signal=signal, layer="chart", **{**turn, "beta": 70.0})["error"] > 0.1


def test_oversampling_helps_the_relu_and_not_the_chart() -> None:
    widget = Globe(signal=3, alpha=20.0, beta=70.0)
    relu, chart = widget.readout(layer="relu"), widget.readout(layer="chart")
    errors = [relu[f"error_{s:g}"] for s in (1, 1.5, 2, 3)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 20 * errors[3]
    assert errors[0] > 0.05
    assert chart["error_3"] > 0.5 * chart["error_1"] > 0.2
    assert widget.readout(layer="relu", oversample=2)["error"] == errors[2]
    assert widget.readout(layer="relu", oversample=2)["points"] == 24 * 48


def test_a_layer_that_can_be_done_by_hand() -> None:
    """ReLU of the coordinate y: its mean is 1/4, and ∫ y² over the upper half is 1/6; in degree 1 half of y is left."""
    widget = Globe([0.0, 0.0, 1.0, 0.0], bandlimit=2)  # √3 y
    relu = widget._layer("relu", 2, 100.0)(torch.tensor([0.0, 0.0, 1.0, 0.0], dtype=torch.float64))
    assert relu.tolist() == pytest.approx([math.sqrt(3) / 4, 0, 0.5, 0], abs=1e-4)
    both = Globe([1.0, 0.0, 0.0, 1.0], zonal=[2.0, 3.0, *([0.0] * 14)])._layer("zonal", 2, 1.0)
    assert both(torch.tensor([1.0, 0, 0, 1], dtype=torch.float64)).tolist() == [2, 0, 0, 3]


def test_the_share_below_the_bandlimit_grows() -> None:
    kept = [Globe(layer="zonal").readout(bandlimit=limit)["kept"] for limit in range(1, 17)]
    assert kept == sorted(kept)
    assert kept[0] < 0.5
    assert kept[-1] == 1


def test_digits_lie_where_the_eye_looks() -> None:
    """Most of a digit is on the half of the sphere around α = π on the equator, z < 0."""
    Y, weights = table(32)
    spectra = torch.from_numpy(np.frombuffer(Globe().spectra, "<f4").astype(np.float64)).view(-1, 256)
    nodes = torch.from_numpy(np.polynomial.legendre.leggauss(32)[0]).flip(0)
    z = ((1 - nodes**2).sqrt()[:, None] * (torch.arange(64) * math.pi / 32).cos()).flatten()
    for spectrum in spectra[:3]:
        power = weights * (Y @ spectrum) ** 2
        assert power[z < 0].sum() > 0.9 * power.sum()
    assert 0.2 < (weights * (Y @ spectra[3]) ** 2)[z < 0].sum() / spectra[3].square().sum() < 0.8  # control: the field


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spectra": np.ones((2, 10))}, r"expected spectra \(n, L²\) with L ≤ 16, none of them zero, got \(2, 10\)"),
        ({"spectra": np.ones(17**2)}, r"L ≤ 16"),
        ({"spectra": np.zeros(4)}, "none of them zero"),
        ({"spectra": [math.nan]}, "spectra hold NaN or infinity"),
        ({"spectra": np.ones((2, 4)), "names": ["one"]}, "expected 2 names, one for each signal, got 1"),
        ({"zonal": [1.0]}, r"expected 16 zonal factors, one for each degree, got shape \(1,\)"),
    ],
)
def test_the_globe_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Globe(**arguments)


@pytest.mark.parametrize(
    "settings", [{"bandlimit": 17}, {"bandlimit": 0}, {"layer": "none"}, {"oversample": 4}, {"signal": 4}]
)
def test_the_globe_refuses_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(traitlets.TraitError):
        Globe(**settings)


# --- the figure of a sweep

RUNS = [
    {"net": "a", "n": 10, "seed": 0, "hit": 0.25, "cost": 3.0},
    {"net": "b", "n": 20, "seed": 0, "hit": 0.75, "cost": 1.0},
    {"net": "b", "n": 10, "seed": 0, "hit": 0.25, "cost": None},
    {"net": "b", "n": 10, "seed": 1, "hit": 0.5, "cost": 2.0},
    {"net": "a", "n": 40, "seed": 0, "hit": 0.625, "cost": 9.0},
]
AXES: dict[str, Any] = {"x": ["n", "cost"], "y": "hit", "family": "net", "at": "n"}


def test_a_figure_that_can_be_read_by_hand() -> None:
    figure = SweepFigure(RUNS, **AXES)
    ends = {"y_low": 0.25, "y_high": 0.5}
    assert figure.families == ["a", "b"]
    assert figure.readout(point=2) == {
        "points": 4, "x": 10, "y": 0.375, "rows": 2, **ends, "reach_a": 40, "reach_b": 10
    }  # fmt: skip
    assert "reach_a" not in figure.readout(point=3)  # nothing of a's is as good as 0.75
    # The run without a cost is left out of that axis, and with it goes half of its point.
    cost = figure.readout(point=2, x="cost")
    assert (cost["rows"], cost["x"], cost["y"], cost["reach_a"], cost["reach_b"]) == (1, 2, 0.5, 9, 1)


def test_a_point_that_is_not_shown_is_replaced() -> None:
    figure = SweepFigure(RUNS, **AXES)
    only = figure.readout(point=0, shown=["b"])
    assert only == {**figure.readout(point=2, shown=["b"])}
    assert only["points"] == 2
    assert figure.readout(shown=[]) == {"points": 0}


def test_less_may_be_better() -> None:
    plain, errors = SweepFigure(RUNS, **AXES), SweepFigure(RUNS, lower="hit", **AXES)
    assert plain.readout(point=1)["reach_b"] == 20
    assert errors.readout(point=1)["reach_b"] == 10
    assert "reach_b" not in errors.readout(point=0)  # b's mean at 10 is 0.375, a's is 0.25


def test_names_that_python_and_the_page_write_differently() -> None:
    mixed: list[dict[str, Any]] = [
        {"net": None, "n": True, "seed": 0, "hit": 0.1 + 0.2},
        {"net": 1.0, "n": 1, "seed": 0, "hit": 0.3},
        {"net": 1.0, "n": 1.0, "seed": 1, "hit": 0.3},
    ]
    figure = SweepFigure(mixed, x="seed", y="hit", family="net", at="n")
    assert figure.families == ["None", "1.0"]
    assert figure.rows[0]["n"] == "True"
    assert figure.readout(point=1)["rows"] == 2  # 1 and 1.0 are one point
    assert figure.readout(point=0)["reach_1.0"] == 0.5  # as good, to rounding


def test_values_of_numpy_are_plain_on_the_page() -> None:
    odd = [
        {"net": "a", "n": np.int64(1), "seed": 0, "hit": np.float32(0.5)},
        {"net": "a", "n": 2, "seed": 0, "hit": np.nan},
    ]
    figure = SweepFigure(odd, **{**AXES, "x": "n"})
    assert [type(figure.rows[0][name]) for name in ("n", "hit")] == [int, float]
    assert figure.rows[1]["hit"] is None
    assert figure.readout()["points"] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": []}, "expected 1 to 1,000 rows, got 0"),
        ({"rows": RUNS * 300}, "got 1,500"),
        ({"y": "acc"}, "row 0 has no 'acc': it has 'net', 'n', 'seed', 'hit', 'cost'"),
        ({"x": "net"}, "column 'net' has no number to draw"),
        ({"at": []}, "a column or more for each of x, y and at"),
        ({"lower": "n"}, "expected lower among the columns of y, got n"),
        ({"rows": [{**RUNS[0], "net": k} for k in range(9)]}, "expected 8 families at most, 'net' has 9"),
    ],
)
def test_the_figure_refuses(changes: dict[str, Any], message: str) -> None:
    arguments = {"rows": RUNS, **AXES, **changes}
    with pytest.raises(ValueError, match=message):
        SweepFigure(arguments.pop("rows"), **arguments)


def test_the_figure_shows_families_that_are_there() -> None:
    with pytest.raises(traitlets.TraitError, match="expected shown among a, b, got c"):
        SweepFigure(RUNS, **AXES, shown=["c"])


def test_a_sweep_of_two_columns_keeps_its_points_apart() -> None:
    figure = sweep_figure()
    assert figure.readout()["points"] == 12
    assert figure.readout(point=0)["rows"] == 2  # one run failed
    assert figure.readout(point=0, y="error")["rows"] == 3
    assert [figure.readout(point=k)["x"] for k in range(6)] == [100, 500, 200, 1000, 1000, 5000]
    assert len(runs()) == 36

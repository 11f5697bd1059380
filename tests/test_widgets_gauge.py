"""The Python side of the widgets on gauges: turned frames, and arrows carried round a loop."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
import torch
import traitlets

from gdl_lab.bundles import GaugeConv, Stencil, components, spread
from gdl_lab.runtime import fresh_seed
from gdl_lab.widgets import GaugeSlider, HolonomyLoop, gauge_slider, holonomy_loop
from tests.browser.cases import WIDGETS, own_layer

MINE = [name for name in WIDGETS if name.startswith(("GaugeSlider", "HolonomyLoop"))]
every_surface = pytest.mark.parametrize("surface", gauge_slider.SURFACES)


def drawn() -> random.Random:
    seed = fresh_seed()
    print(f"seed {seed}")
    return random.Random(seed)


@pytest.mark.parametrize("name", MINE)
def test_a_widget_prints_without_addresses_and_can_be_made_anew(name: str) -> None:
    widget = WIDGETS[name]()
    assert "0x" not in repr(widget)
    again = type(widget).from_state(widget.get_state())
    assert again.readout() == widget.readout()
    assert sum(len(str(value)) for value in widget.get_state().values()) < 120_000


# --- the gauge slider


@every_surface
def test_what_does_not_depend_on_the_frames(surface: str) -> None:
    draw = drawn()
    settings: dict[str, Any] = {"surface": surface, "amount": draw.random(), "seed": draw.randrange(100)}
    widget = GaugeSlider(own_layer(1), own_layer(0), **settings)
    point = draw.randrange(84)
    for layer in gauge_slider.LAYERS:
        still = widget.readout(layer=layer, point=point, amount=0.0)
        for gauge in gauge_slider.GAUGES:
            turned = widget.readout(layer=layer, point=point, gauge=gauge)
            assert turned["error"] < 1e-13
            for name in ("length", "out_length"):
                assert turned[name] == pytest.approx(still[name], rel=1e-12)
            angle = math.radians(turned["angle"])
            out = complex(turned["out_1"], turned["out_2"]) * complex(math.cos(angle), math.sin(angle))
            assert abs(out - complex(still["out_1"], still["out_2"])) < 1e-12 * max(1, abs(out))


@every_surface
def test_each_thing_that_breaks_it_breaks_it_alone(surface: str) -> None:
    widget = GaugeSlider(surface=surface, amount=0.4)
    errors = {
        (layer, gauge, broken): widget.readout(layer=layer, gauge=gauge, **{broken: True})["error"]
        for layer in gauge_slider.LAYERS
        for gauge in gauge_slider.GAUGES
        for broken in ("forget", "wrong")
    }
    for (layer, gauge, broken), error in errors.items():
        # No transport is noticed by arrows, and only where the gauge varies; a wrong kernel always.
        noticed = broken == "wrong" or (layer == "arrows" and gauge != "one angle")
        assert error > 0.1 if noticed else error < 1e-13, (layer, gauge, broken, error)


def test_the_layer_is_the_convolution_of_the_course() -> None:
    """Nodes that stay where they are, and nodes that turn with the frame: the same integral, by quadrature alike."""
    widget = GaugeSlider(own_layer(1), point=20, gauge="smooth", amount=0.3)
    surface, x = gauge_slider.SURFACES["sphere"], spread(gauge_slider.SURFACES["sphere"], 84, dtype=torch.float64)[0]

    def gauge(q: torch.Tensor) -> torch.Tensor:
        return surface.frame(q, 2 * math.pi * 0.3 * gauge_slider.profile("smooth", q, 0))

    stencil = Stencil(surface, x[20:21], gauge(x[20:21]), 0.6, 8, 32, gauge=gauge)
    sample = stencil.sample(lambda q, frame: components(widget.field(q)[0], frame)[..., None])
    c = complex(own_layer(1).double()(stencil, sample)[0, 0])
    shown = widget.readout()
    assert abs(c - complex(shown["out_1"], shown["out_2"])) < 0.03 * abs(c)
    frames_turned = GaugeSlider(own_layer(1), point=20, gauge="smooth", amount=0.0).readout()
    assert abs(c - complex(frames_turned["out_1"], frames_turned["out_2"])) > 0.3 * abs(c)  # control: other frames


def test_a_complex_weight_turns_the_output() -> None:
    layer, turned = GaugeConv([1], [1]).requires_grad_(False), GaugeConv([1], [1]).requires_grad_(False)
    real, imag = layer.coefficients.view(2, 3)
    turned.coefficients.copy_(torch.cat([-imag, real]))  # times i
    one, other = GaugeSlider(layer).readout(), GaugeSlider(turned).readout()
    assert (other["out_1"], other["out_2"]) == pytest.approx((-one["out_2"], one["out_1"]), rel=1e-12)


def test_points_lie_on_their_surfaces_and_differ() -> None:
    widget = GaugeSlider()
    for name, surface in gauge_slider.SURFACES.items():
        x = torch.tensor(widget.points[name], dtype=torch.float64).view(-1, 3)
        surface.normal(x)  # which raises off the surface
        assert len(x) == 84
        assert float((torch.cdist(x, x) + 10 * torch.eye(84)).min()) > 0.15
        assert float(x.norm(dim=1).max()) <= gauge_slider.EXTENTS[name] + 1e-9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"arrows": GaugeConv([0], [1])}, r"for arrows a complex GaugeConv\(\[1\], \[1\], 3\), got GaugeConv\(\[0\]"),
        ({"numbers": GaugeConv([0], [1], 4)}, "got GaugeConv.*, 4"),
        ({"arrows": GaugeConv([1], [1], field="real")}, "field='real'"),
        ({"waves": np.ones((2, 7))}, r"expected waves \(rows, 8\), each \[k, φ, a, s\], got \(2, 7\)"),
        ({"waves": [[math.nan] * 8]}, "waves hold NaN or infinity"),
    ],
)
def test_the_gauge_slider_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GaugeSlider(**arguments)


@pytest.mark.parametrize("settings", [{"surface": "plane"}, {"amount": 1.1}, {"gauge": "none"}, {"point": 84}])
def test_the_gauge_slider_refuses_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(traitlets.TraitError):
        GaugeSlider(**settings)


# --- the loop


def test_loops_that_can_be_done_by_hand() -> None:
    """Spherical caps, bands of the torus and octants; half of a round cap has half of it."""
    widget, draw = HolonomyLoop(), drawn()
    for _ in range(8):
        size, along = draw.uniform(0.03, 0.97), draw.randrange(61)
        settings: dict[str, Any] = {"size": size, "along": along, "latitude": draw.uniform(-90, 90)}
        caps = {"circle": 3 * size, "latitude": math.pi * size}
        for loop, radius in caps.items():
            shown, share = widget.readout(loop=loop, **settings), along / 60
            whole = 360 * (1 - math.cos(radius))
            for name, expected in (("whole", whole), ("curvature", share * whole)):
                assert shown[name] == pytest.approx(expected, rel=1e-9, abs=1e-9)
            assert shown["area"] == pytest.approx(math.radians(share * whole), rel=1e-9, abs=1e-9)
        band = widget.readout(surface="torus", loop="latitude", **settings)
        assert band["curvature"] == pytest.approx(along / 60 * 360 * math.sin(math.pi * size), rel=1e-9, abs=1e-9)
    octants = {name: widget.readout(surface=name, loop="octant", along=60) for name in holonomy_loop.SURFACES}
    for name, angle in (("sphere", 90), ("ellipsoid", 90), ("torus", 0)):
        assert octants[name]["angle"] == pytest.approx(angle, abs=1e-9)
        assert octants[name]["curvature"] == pytest.approx(angle, abs=1e-9)
    # Half-way up the torus's octant, on the top circle, all of the positive curvature is inside and none of the other.
    top = [widget.readout(surface="torus", loop="octant", along=along)["curvature"] for along in range(61)]
    assert max(top) > 89
    assert top[30] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("surface", holonomy_loop.SURFACES)
def test_dial_and_meter_agree_at_every_moment(surface: str) -> None:
    widget, draw = HolonomyLoop(surface=surface), drawn()
    for _ in range(12):
        settings: dict[str, Any] = {
            "loop": draw.choice(holonomy_loop.LOOPS),
            "size": draw.uniform(0.03, 0.97),
            "longitude": draw.uniform(-180, 180),
            "latitude": draw.uniform(-90, 90) * (2 if surface == "torus" else 1),
            "along": draw.randrange(61),
        }
        shown = widget.readout(**settings)
        # most agree to 1e-3; what Richardson leaves of the polygon on a wide circle in the torus's inside is up to 1e-2
        assert shown["angle"] == pytest.approx(shown["curvature"], abs=2e-2), settings
        assert shown["area"] >= 0


def test_inside_the_torus_the_arrow_turns_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    widget = HolonomyLoop(surface="torus", size=0.3, along=60)
    assert widget.readout(latitude=0.0)["angle"] > 10
    assert widget.readout(latitude=180.0)["angle"] < -10
    # an arrow that is not carried comes back as it was, whatever the curvature inside
    monkeypatch.setattr(holonomy_loop, "_holonomy", lambda surface, curve: 0.0)
    left = widget.readout(latitude=180.0)
    assert left["angle"] == 0
    assert left["curvature"] < -10


@pytest.mark.parametrize("settings", [{"loop": "square"}, {"surface": "bumpy ball"}, {"size": 1.0}, {"along": 61}])
def test_the_loop_refuses_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(traitlets.TraitError):
        HolonomyLoop(**settings)


def test_the_chart_is_on_the_surface() -> None:
    draw = drawn()
    for name, surface in holonomy_loop.SURFACES.items():
        place = torch.tensor([[draw.uniform(-3, 3), draw.uniform(-1.5, 1.5)] for _ in range(20)], dtype=torch.float64)
        x = holonomy_loop.chart(name, place)
        n = surface.normal(x)
        jacobian = torch.func.vmap(torch.func.jacfwd(lambda u, name=name: holonomy_loop.chart(name, u)))(place)
        assert bool(((torch.linalg.cross(jacobian[..., 0], jacobian[..., 1]) * n).sum(-1) > 0).all())  # outward

"""What every widget refuses to be asked: settings that it does not have, and values that its traits cannot hold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import traitlets

from gdl_lab.bundles import GaugeConv
from gdl_lab.widgets import GaugeSlider, Globe, HolonomyLoop, LinearRegions, Widget
from gdl_lab.widgets.stage import Finite
from tests.browser.cases import WIDGETS, small_lattice

# A value that is refused, by a trait or by what the widget was made of.
BAD: dict[str, dict[str, Any]] = {
    "CounterfactualExplorer": {"optimiser": "newton"},
    "DigitWalk": {"b": 6},
    "DimensionEstimate": {"shape": "cube"},
    "FlowLayers": {"point": [0.0, math.nan]},
    "GaugeSlider": {"gauge": "nonsense"},
    "Globe": {"signal": 4},
    "HolonomyLoop": {"loop": "square"},
    "KernelConstraint": {"frequency": 5},
    "KernelEditor": {"image": 6},
    "LinearRegions": {"unit": "5.1"},
    "MetricExplorer": {"index": 2},
    "ScrambledLattice": {"width": 9},
    "SweepFigure": {"shown": ["nobody"]},
    "TurnedFeatures": {"network": "nobody's"},
}
each_widget = pytest.mark.parametrize("name", WIDGETS)


@pytest.fixture(scope="module")
def made() -> dict[str, Widget]:
    """Widgets by the name of their case, each made once."""
    return {}


def widget(made: dict[str, Widget], name: str) -> Widget:
    if name not in made:
        made[name] = WIDGETS[name]()
    return made[name]


@each_widget
def test_a_setting_that_is_none_is_refused(made: dict[str, Widget], name: str) -> None:
    for wrong in ("amuont", "points", "layout"):
        with pytest.raises(ValueError, match=f"unknown setting '{wrong}': expected some of "):
            widget(made, name).readout(**{wrong: 0.5})


@each_widget
def test_a_value_that_no_reader_can_set_is_refused(made: dict[str, Widget], name: str) -> None:
    shown = widget(made, name)
    ((setting, value),) = BAD[type(shown).__name__].items()
    with pytest.raises(ValueError, match=f"{type(shown).__name__} cannot set {setting} to "):
        shown.readout(**{setting: value})
    with pytest.raises(ValueError, match=f"cannot set {setting} to <object"):
        shown.readout(**{setting: object()})
    present = getattr(shown, setting)
    assert shown.readout(**{setting: present}) == shown.readout()  # control: what it is at present


@each_widget
def test_no_number_is_nan_or_infinite(made: dict[str, Widget], name: str) -> None:
    """Single numbers, and those in lists."""
    shown = widget(made, name)
    for trait in shown.traits(sync=True).values():
        each = trait._trait if isinstance(trait, traitlets.List) else trait
        assert isinstance(each, Finite) or not isinstance(each, traitlets.Float), trait.name
        if isinstance(trait, Finite):
            for value in (math.nan, math.inf, -math.inf):
                with pytest.raises(traitlets.TraitError, match=f"'{trait.name}' trait"):
                    setattr(shown, trait.name, value)


def test_what_is_said_of_it() -> None:
    with pytest.raises(ValueError, match=r"expected some of surface, .*, along, azimuth, elevation$"):
        HolonomyLoop().readout(sise=0.5)
    with pytest.raises(ValueError, match=r"GaugeSlider cannot set amount to 1\.5: .* should not be greater than 1\.0"):
        GaugeSlider().readout(amount=1.5)
    with pytest.raises(ValueError, match=r"cannot set amount to nan: .* expected a finite float, not the float nan"):
        GaugeSlider().readout(amount=math.nan)
    with pytest.raises(ValueError, match="cannot set width to 9: expected width of at most 3, got 9"):
        small_lattice().readout(width=9)
    with pytest.raises(ValueError, match="layer 1 has 4 units, got unit 5"):
        LinearRegions().readout(unit="1.5")
    with pytest.raises(ValueError, match="cannot set azimuth to 'east'"):
        GaugeSlider().readout(azimuth="east")  # of the view, and changes no number
    assert GaugeSlider().readout(azimuth=90.0) == GaugeSlider().readout()


def test_whole_numbers_stand_for_floats() -> None:
    """A page says 0 where Python says 0.0."""
    assert GaugeSlider().readout(amount=0) == GaugeSlider(amount=0.0).readout()
    assert GaugeSlider(amount=1).amount == 1.0


def test_numbers_of_numpy_and_torch_are_taken() -> None:
    slider, layers = GaugeSlider(), WIDGETS["FlowLayers"]()
    for point in (np.int64(7), torch.tensor(7)):
        assert slider.readout(point=point, amount=np.float32(0.5)) == slider.readout(point=7, amount=0.5)
    for place in (np.array([0.5, -1.0]), torch.tensor([0.5, -1.0]), (0.5, -1.0)):
        assert layers.readout(point=place) == layers.readout(point=[0.5, -1.0]) != layers.readout()
    regions = LinearRegions(seed=1)
    weights = [2 * weight for weight in regions.to_network().parameters()]
    assert regions.readout(weights=weights) == regions.readout(weights=[w.tolist() for w in weights])
    assert regions.readout(weights=iter(weights)) != regions.readout()


@pytest.mark.parametrize("spectrum", [torch.ones(4, dtype=torch.complex64), np.ones(4, complex), [1j, 0, 0, 0]])
def test_imaginary_parts_are_not_dropped(spectrum: Any) -> None:
    with pytest.raises(ValueError, match=r"expected spectra as (real )?numbers of shape"):
        Globe(spectrum)


def test_weights_that_are_not_finite_are_refused() -> None:
    layer = GaugeConv([1], [1]).requires_grad_(False)
    layer.coefficients[2] = math.nan
    with pytest.raises(ValueError, match="the weights for arrows hold NaN or infinity"):
        GaugeSlider(layer)

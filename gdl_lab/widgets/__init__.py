"""Widgets that live without a kernel: each is a pair ``name.py`` and ``name.js``."""

from gdl_lab.widgets.counterfactual_explorer import CounterfactualExplorer
from gdl_lab.widgets.digit_walk import DigitWalk
from gdl_lab.widgets.dimension import DimensionEstimate
from gdl_lab.widgets.flow_layers import FlowLayers
from gdl_lab.widgets.gauge_slider import GaugeSlider
from gdl_lab.widgets.globe import Globe
from gdl_lab.widgets.holonomy_loop import HolonomyLoop
from gdl_lab.widgets.kernel_constraint import KernelConstraint
from gdl_lab.widgets.kernel_editor import KernelEditor
from gdl_lab.widgets.linear_regions import LinearRegions
from gdl_lab.widgets.metric_explorer import MetricExplorer
from gdl_lab.widgets.scrambled_lattice import ScrambledLattice
from gdl_lab.widgets.stage import Widget, bundle
from gdl_lab.widgets.sweep_figure import SweepFigure
from gdl_lab.widgets.turned_features import TurnedFeatures

__all__ = [
    "CounterfactualExplorer",
    "DigitWalk",
    "DimensionEstimate",
    "FlowLayers",
    "GaugeSlider",
    "Globe",
    "HolonomyLoop",
    "KernelConstraint",
    "KernelEditor",
    "LinearRegions",
    "MetricExplorer",
    "ScrambledLattice",
    "SweepFigure",
    "TurnedFeatures",
    "Widget",
    "bundle",
]

"""Widgets that live without a kernel: each is a pair ``name.py`` and ``name.js``."""

from gdl_lab.widgets.dimension import DimensionEstimate
from gdl_lab.widgets.kernel_editor import KernelEditor
from gdl_lab.widgets.linear_regions import LinearRegions
from gdl_lab.widgets.stage import Widget, bundle

__all__ = ["DimensionEstimate", "KernelEditor", "LinearRegions", "Widget", "bundle"]

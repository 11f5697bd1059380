"""Gauge bundles: surfaces, frames on them, parallel transport, and convolutions that no choice of frames changes.

Points and vectors are ``(…, 3)`` tensors, frames ``(…, 2, 3)`` with rows e₁ and e₂, coefficients complex, angles in
radians.
"""

from gdl_lab.bundles.convolution import GaugeConv, NormGate, gauge_error, isometry_error, rough_gauge
from gdl_lab.bundles.gauge import act, angle_between, components, turn, vector
from gdl_lab.bundles.kernels import KernelSpace, kernel_space, representation
from gdl_lab.bundles.shapes import Sphere, bumpy_ball, ellipsoid, integrate, spread, torus
from gdl_lab.bundles.stencil import Neighbours, Section, Stencil
from gdl_lab.bundles.surface import Exp, Surface

__all__ = [
    "Exp",
    "GaugeConv",
    "KernelSpace",
    "Neighbours",
    "NormGate",
    "Section",
    "Sphere",
    "Stencil",
    "Surface",
    "act",
    "angle_between",
    "bumpy_ball",
    "components",
    "ellipsoid",
    "gauge_error",
    "integrate",
    "isometry_error",
    "kernel_space",
    "representation",
    "rough_gauge",
    "spread",
    "torus",
    "turn",
    "vector",
]

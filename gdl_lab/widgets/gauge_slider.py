"""Arrows on a surface in frames that the reader turns, and a convolution that does not notice unless it is broken."""

from __future__ import annotations

import math
from copy import copy
from functools import cache
from typing import Any

import torch
import traitlets
from torch import Tensor

from gdl_lab.bundles import (
    GaugeConv,
    Sphere,
    Stencil,
    Surface,
    act,
    bumpy_ball,
    components,
    ellipsoid,
    spread,
    torus,
)
from gdl_lab.widgets.stage import Finite, Widget, bundle, finite_array

__all__ = ["EXTENTS", "GAUGES", "LAYERS", "RADII", "SURFACES", "GaugeSlider", "profile"]

SURFACES: dict[str, Surface] = {
    "sphere": Sphere(),
    "torus": torus(),
    "ellipsoid": ellipsoid(),
    "bumpy ball": bumpy_ball(),
}
EXTENTS = {"sphere": 1.0, "torus": 2.8, "ellipsoid": 1.3, "bumpy ball": 1.08}
RADII = {"sphere": 0.6, "torus": 0.8, "ellipsoid": 0.5, "bumpy ball": 0.4}
LAYERS = {"arrows": 1, "numbers": 0}  # the spin of the input
GAUGES = ("one angle", "smooth", "rough")
RINGS, RADIAL, RAYS = 3, 4, 12
POINTS = 84
# Rows [k, φ, a, s]: long waves that give the wind its shape, and short ones that an average takes away.
WAVES = [
    [0.6, 1.1, -0.4, 0.3, -0.9, 0.8, 0.5, 0.8],
    [-1.3, 0.5, 0.9, 2.0, 0.7, 0.9, -0.3, 0.6],
    [0.8, -0.6, 1.5, 4.1, 0.2, -0.5, 1.0, -0.7],
    [4.1, -3.3, 2.6, 1.2, 0.5, -0.2, 0.3, 0.25],
    [-2.9, 3.9, 3.4, 5.0, -0.2, 0.5, 0.4, -0.2],
]
WEIGHTS = {"arrows": [2.0, 2.0, 2.0, 0.0, 0.0, 0.0], "numbers": [4.0, 4.0, 4.0, 0.0, 0.0, 0.0]}


class GaugeSlider(Widget):
    r"""Frames that the reader turns under a field of arrows, and under the output of a convolution.

    What to try: turn the frames smoothly, or each at random, and watch the tangent plane: the components of the arrow
    change and the arrow stays. The output stays too, to rounding, for its arrows are carried to one place before they
    are added. Forget that transport, and the output jumps. Turn all frames by one angle, and even the broken layer
    holds: only a gauge that varies tells the two apart. Take numbers for input, which have no components, and there is
    nothing to carry; what is left is the constraint of the kernel, which must not see the frame at x. And look at the
    sphere from below: around the south pole the frames whirl, for no choice of them is smooth on all of a sphere.

    The layer is a `GaugeConv` of three rings on `Stencil` s of 4 × 12 nodes. The nodes stay where they are when the
    frame at x turns, and their angle θ is counted from the new frame, so that the error is that of rounding alone.

    Args:
        arrows: layer from spin 1 to spin 1, complex; by default a real kernel, an average over the neighbourhood.
        numbers: layer from spin 0 to spin 1, complex; by default a real kernel, the direction of the steepest slope.
        waves: the field, rows [k, φ, a, s]: at x it is Σ a cos(k·x/extent + φ), its tangent part taken, and the
            numbers are Σ s cos(k·x/extent + φ). Shape (rows, 8).
        settings: any trait below, such as ``surface="torus"``, ``gauge="rough"`` or ``forget=True``.

    Raises:
        ValueError: a layer of other spins or rings, waves of another shape, or NaN in either.
        TraitError: a setting outside its range.

    Example:
        >>> GaugeSlider(gauge="rough").readout()["error"] < 1e-14
        True
        >>> GaugeSlider(gauge="rough", forget=True).readout()["error"] > 0.3
        True
    """

    _esm = bundle("gauge_slider")

    points: Any = traitlets.Dict().tag(sync=True)
    waves: Any = traitlets.List().tag(sync=True)
    weights: Any = traitlets.Dict().tag(sync=True)
    surface = traitlets.Enum(list(SURFACES), "sphere").tag(sync=True)
    layer = traitlets.Enum(list(LAYERS), "arrows").tag(sync=True)
    gauge = traitlets.Enum(GAUGES, "smooth").tag(sync=True)
    amount = Finite(0.2, min=0.0, max=1.0).tag(sync=True)
    seed = traitlets.Int(0, min=0, max=99).tag(sync=True)
    forget = traitlets.Bool(False).tag(sync=True)
    wrong = traitlets.Bool(False).tag(sync=True)
    point = traitlets.Int(44, min=0, max=POINTS - 1).tag(sync=True)
    azimuth = Finite(30.0).tag(sync=True)
    elevation = Finite(25.0, min=-90.0, max=90.0).tag(sync=True)

    def __init__(
        self,
        arrows: GaugeConv | None = None,
        numbers: GaugeConv | None = None,
        waves: Any = None,
        **settings: Any,
    ) -> None:
        rows = finite_array(WAVES if waves is None else waves, "waves", "(rows, 8)")
        if rows.ndim != 2 or rows.shape[1] != 8:
            raise ValueError(f"expected waves (rows, 8), each [k, φ, a, s], got {rows.shape}")
        given = {"arrows": arrows, "numbers": numbers}
        super().__init__(
            points={name: _points(name).flatten().tolist() for name in SURFACES},
            waves=rows.tolist(),
            weights={name: _weights(name, given[name]) for name in LAYERS},
            **settings,
        )

    def __repr__(self) -> str:
        return f"GaugeSlider({', '.join(SURFACES)}; {len(self.waves)} waves)"

    def readout(self, **settings: Any) -> dict[str, float]:
        """The numbers beside the pictures, by `gdl_lab.bundles` in float64.

        Args:
            settings: ``surface``, ``layer``, ``gauge``, ``amount``, ``seed``, ``forget``, ``wrong`` and ``point``; by
                default the present traits.

        Returns:
            ``error``, the largest change of an output arrow when the frames turn, relative to the longest; at the point
            that is read ``angle``, by which its frame is turned, in degrees; ``s_1``, ``s_2`` and ``length`` of the
            input (a number is its own first component), and ``out_1``, ``out_2`` and ``out_length`` of the output.
        """
        names = ("surface", "layer", "gauge", "amount", "seed", "forget", "wrong", "point")
        name, layer, gauge, amount, seed, forget, wrong, point = self.chosen(names, settings, ("azimuth", "elevation"))
        surface, spin = SURFACES[name], LAYERS[layer]
        x = torch.tensor(self.points[name], dtype=torch.float64).view(-1, 3)
        i = min(point, len(x) - 1)

        def angle(q: Tensor) -> Tensor:
            return 2 * math.pi * amount * profile(gauge, q / EXTENTS[name], seed)

        conv = GaugeConv([spin], [1], RINGS, frequency=lambda m, n: m - n + int(wrong)).double()
        conv.coefficients.data = torch.tensor(self.weights[layer], dtype=torch.float64)
        plain = _stencil(name, tuple(self.points[name]), not forget)
        turned = copy(plain)  # the same nodes, seen from the turned frames
        turned.gauge_at_q = surface.frame(plain.q, angle(plain.q))
        turned.theta = plain.theta - angle(x)[:, None]
        turned.r = plain.r.expand_as(turned.theta)
        turned.angle = plain.angle + (angle(x)[:, None] - angle(plain.q)) * (not forget)

        def section(q: Tensor, own: Tensor) -> Tensor:
            arrows, numbers = self.field(q / EXTENTS[name])
            return (components(arrows, own) if spin else torch.complex(numbers, torch.zeros_like(numbers)))[..., None]

        with torch.no_grad():
            before = conv(plain, plain.sample(section))[:, 0]
            after = conv(turned, turned.sample(section))[:, 0]
        s = section(x, surface.frame(x, angle(x)))[i, 0]
        most = before.abs().max()
        error = (act(1, angle(x), after) - before).abs().max() / (most if most > 0 else 1)
        return {
            "error": float(error),
            "angle": math.degrees(float(angle(x)[i])),
            "s_1": float(s.real),
            "s_2": float(s.imag),
            "length": float(s.abs()),
            "out_1": float(after[i].real),
            "out_2": float(after[i].imag),
            "out_length": float(after[i].abs()),
        }

    def field(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (…, 3) of space and numbers (…,) at x, in units of the surface's extent."""
        k, shift, a, s = torch.tensor(self.waves, dtype=torch.float64).split((3, 1, 3, 1), 1)
        waves = (x @ k.mT + shift[:, 0]).cos()
        return waves @ a, (waves @ s)[..., 0]


@cache
def _stencil(name: str, points: tuple[float, ...], transport: bool) -> Stencil:
    """Where the convolution looks around the points, in frames that nobody has turned."""
    x = torch.tensor(points, dtype=torch.float64).view(-1, 3)
    return Stencil(SURFACES[name], x, None, RADII[name], RADIAL, RAYS, transport=transport)


def profile(gauge: str, x: Tensor, seed: int) -> Tensor:
    """By how much of a whole turn the frame at x is turned when the amount is 1, between −1 and 1."""
    if gauge == "one angle":
        return torch.ones_like(x[..., 0])
    k = x.new_tensor([1.3, 2.1, -1.7] if gauge == "smooth" else [47.0, 61.0, 53.0])
    return (x @ k + 2.4 * seed).sin()


def _points(name: str) -> Tensor:
    """Where arrows are drawn, shape (84, 3)."""
    surface = SURFACES[name]
    if name != "torus":
        return spread(surface, POINTS, dtype=torch.float64)[0]
    k = torch.arange(POINTS, dtype=torch.float64)
    v = 2 * math.pi * (k % 6) / 6
    u = 2 * math.pi * (torch.div(k, 6, rounding_mode="floor") + 0.5 * (k % 2)) / (POINTS // 6)
    r = 2 + 0.8 * v.cos()
    return surface.project(torch.stack([r * u.cos(), r * u.sin(), 0.8 * v.sin()], 1))


def _weights(name: str, conv: GaugeConv | None) -> list[float]:
    """Real and then imaginary parts on the rings."""
    if conv is None:
        return WEIGHTS[name]
    if (conv.ins, conv.outs, conv.rings, conv.field) != ([LAYERS[name]], [1], RINGS, "complex"):
        raise ValueError(
            f"expected for {name} a complex GaugeConv([{LAYERS[name]}], [1], {RINGS}), got "
            f"GaugeConv({conv.ins}, {conv.outs}, {conv.rings}, field={conv.field!r})"
        )
    return finite_array(conv.coefficients, f"the weights for {name}", f"({2 * RINGS},)").tolist()

"""A kernel between fields of two spins, and whether it notices how the frame is turned."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import traitlets
from numpy.typing import NDArray
from torch import Tensor

from gdl_lab.bundles import GaugeConv, Stencil, Surface, act, angle_between, kernel_space, representation, turn
from gdl_lab.widgets.stage import Finite, Widget, bundle

__all__ = ["POINT", "KernelConstraint"]

RINGS = 3
SPINS, FREQUENCIES = (0, 3), (-4, 4)
POINT = (0.6, 30.0)  # where both sides are read: radius, and degrees from e₁
READINGS = ("rotation", "components", "literal")
Complex = NDArray[np.complex128]


class KernelConstraint(Widget):
    r"""The kernel κ(X) = R(r)e^{ifθ} from a field of spin n to one of spin m, and both sides of its constraint.

    What to try: turn k. With f = m − n both sides are one picture. With any other f they are not, and the same
    convolution in the turned frame gives another vector. Then choose the line of the talk and read k▷X literally, as
    the vector turned by k: the right kernel fails. What passes now is f = n − m, and that one notices the frame.

    Three readings of the constraint, with k▷X in the coordinates of one frame:

    - ``"rotation"``: κ(k▷X) = η(k)κ(X)ρ(k⁻¹), the vector X is turned by k;
    - ``"components"``: κ(k▷X) = η(k⁻¹)κ(X)ρ(k), X stays and is written in the frame turned by k; the same as before,
      with k⁻¹ for k;
    - ``"literal"``: that line, with the vector turned.

    The kernel is that of `GaugeConv` with three rings on the unit disc, whose weights the reader chooses: the radial
    part is free, and complex. At half a turn a kernel whose frequency is off by two passes as well: it is one of C2.

    Args:
        n_in, n_out: the spins n and m, from 0 to 3.
        settings: any trait below, such as ``frequency=0`` or ``reading="literal"``; without a frequency it is m − n.

    Raises:
        TraitError: a setting outside its range.

    Example:
        >>> KernelConstraint(0, 1).readout(angle=70)["difference"] < 1e-12
        True
        >>> KernelConstraint(0, 1).readout(angle=70, reading="literal")["difference"] > 1
        True
    """

    _esm = bundle("kernel_constraint")

    n_in = traitlets.Int(0, min=SPINS[0], max=SPINS[1]).tag(sync=True)
    n_out = traitlets.Int(1, min=SPINS[0], max=SPINS[1]).tag(sync=True)
    frequency = traitlets.Int(1, min=FREQUENCIES[0], max=FREQUENCIES[1]).tag(sync=True)
    angle = traitlets.Int(40, min=-180, max=180).tag(sync=True)
    reading = traitlets.Enum(READINGS, "rotation").tag(sync=True)
    inner = Finite(0.6, min=-1, max=1).tag(sync=True)
    middle = Finite(1.0, min=-1, max=1).tag(sync=True)
    outer = Finite(0.8, min=-1, max=1).tag(sync=True)
    twist = traitlets.Int(0, min=-90, max=90).tag(sync=True)

    def __init__(self, n_in: int = 0, n_out: int = 1, **settings: Any) -> None:
        super().__init__(n_in=n_in, n_out=n_out, **{"frequency": n_out - n_in, **settings})

    def __repr__(self) -> str:
        return f"KernelConstraint(spin {self.n_in} to {self.n_out}, frequency {self.frequency})"

    def readout(self, **settings: Any) -> dict[str, float]:
        """The numbers beside the pictures: κ in Cartesian coordinates, and a `GaugeConv` on a plane.

        Args:
            settings: traits by name; by default the present ones.

        Returns:
            ``difference`` of the two sides on the disc and ``worst``, the largest over the turns by whole degrees,
            both relative to the largest |κ|; ``passes``, the frequency that the constraint wants, from the null space
            of `kernel_space`; ``left_re`` and so on, both sides at `POINT`; and ``gauge_error``: how far the result of
            the convolution with κ in the frame turned by k is from the one in the frame itself, relative to it.
        """
        names = ("n_in", "n_out", "frequency", "angle", "reading", "inner", "middle", "outer", "twist")
        s = dict(zip(names, self.chosen(names, settings), strict=True))
        weights = [s[name] * np.exp(1j * math.radians(j * s["twist"])) for j, name in enumerate(names[5:8])]
        reading, k = s["reading"], math.radians(s["angle"])

        def sides(X: NDArray[np.float64], angle: float) -> tuple[Complex, Complex]:
            g = angle if reading == "rotation" else -angle  # κ(gX) = η(g)κ(X)ρ(g⁻¹), or with k⁻¹ for g
            turned = X @ _rotation(-angle if reading == "components" else angle).T
            phase = (representation(s["n_out"], g) @ representation(s["n_in"], -g)).item()
            return _kernel(turned, s["frequency"], weights), phase * _kernel(X, s["frequency"], weights)

        X = np.array([(i / 6, j / 6) for i in range(-5, 6) for j in range(-5, 6) if i * i + j * j < 36])
        top = float(np.abs(_kernel(X, s["frequency"], weights)).max())

        def difference(angle: float) -> float:
            left, right = sides(X, angle)
            return float(np.abs(left - right).max()) / top if top else 0.0

        r, theta = POINT[0], math.radians(POINT[1])
        (left,), (right,) = sides(r * np.array([[math.cos(theta), math.sin(theta)]]), k)
        kind: Any = "active" if reading == "literal" else "components"
        (passes,) = kernel_space(s["n_in"], s["n_out"], reading=kind).frequencies
        return {
            "difference": difference(k),
            "worst": max(difference(math.radians(degrees)) for degrees in range(-180, 181)),
            "passes": float(passes),
            "left_re": float(left.real),
            "left_im": float(left.imag),
            "right_re": float(right.real),
            "right_im": float(right.imag),
            "gauge_error": _gauge_error(s["n_in"], s["n_out"], s["frequency"], weights, k) if top else 0.0,
        }


def _rotation(angle: float) -> NDArray[np.float64]:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s], [s, c]])


def _kernel(X: NDArray[np.float64], frequency: int, weights: list[complex]) -> Complex:
    """κ at vectors X, shape ``(n, 2)``: the radial functions of `GaugeConv` on a disc of radius 1, times (X/r)^f."""
    z = X[:, 0] + 1j * X[:, 1]
    r = np.abs(z)
    centres = (np.arange(RINGS) + 0.5) / RINGS
    rings = np.exp(-(((r[:, None] - centres) * RINGS) ** 2)) * (1 - r[:, None] ** 2) ** 2 / math.pi
    unit = np.where(r > 0, z / np.where(r > 0, r, 1), 1)
    return np.asarray(rings @ np.array(weights) * (r * unit**frequency if frequency else 1))


def _gauge_error(n: int, m: int, frequency: int, weights: list[complex], k: float) -> float:
    plane = Surface(lambda x: x[..., 2])

    def section(q: Tensor, frame: Tensor) -> Tensor:
        c = torch.exp((0.46 - 0.3j) * q[..., 0] + (-1.16 + 1.12j) * q[..., 1])  # of all frequencies
        return act(-n, angle_between(plane.frame(q), frame), c)[..., None]

    layer = GaugeConv([n], [m], RINGS, frequency=lambda m, n: frequency).double()
    w = torch.tensor(weights, dtype=torch.complex128)
    with torch.no_grad():
        layer.coefficients.copy_(torch.cat([w.real, w.imag]))
        x = torch.zeros(1, 3, dtype=torch.float64)
        stencil = Stencil(plane, x, radius=1.0)
        turned = stencil.retake(frame=turn(stencil.frame, k))
        before, after = (layer(t, t.sample(section)) for t in (stencil, turned))
        return float((act(m, k, after) - before).abs() / before.abs())

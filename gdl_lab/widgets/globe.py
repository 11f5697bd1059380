"""A signal on a globe that the reader turns: before a layer, after it, and how far apart the two ends are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
import traitlets
from numpy.typing import NDArray
from scipy.special import roots_legendre, sph_harm_y
from torch import Tensor

from gdl_lab.runtime import generator
from gdl_lab.sphere.digits import digits_on_sphere
from gdl_lab.sphere.spectrum import rotate
from gdl_lab.widgets.kernel_editor import digits
from gdl_lab.widgets.stage import Finite, Widget, bundle, finite_array, float32_bytes

__all__ = ["CHART_KERNEL", "LAYERS", "OVERSAMPLES", "Globe"]

BANDLIMIT = 16
OVERSAMPLES = (1.0, 1.5, 2.0, 3.0)
LAYERS = {
    "relu": "ReLU on the grid",
    "zonal": "zonal convolution",
    "both": "zonal convolution, ReLU",
    "chart": "3 × 3 kernel on the chart",
}
CHART_KERNEL = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]  # in eighths


class Globe(Widget):
    r"""Turn, then apply a layer, or the other way round: f(Λ_R x) and Λ_R f(x) on two globes, with their difference.

    What to try: drag a globe. The zonal convolution multiplies each degree l by a number, and turning never mattered.
    ReLU is applied to values on a grid; the dots show that the grid stays where it is while the signal turns under it
    on the one globe, and turns with the signal on the other. What ReLU makes of degrees above the bandlimit is mistaken
    for lower ones, and errs by several per cent; sample more densely and see the error fall. Then the 3 × 3 kernel on
    the chart: no sampling helps, unless the globe turns about its axis alone (β = 0), where the chart is as good as
    the sphere. Lower the bandlimit to see how much detail L degrees can hold.

    Spectra, basis and rotations are those of `gdl_lab.sphere`: e3nn's real harmonics, polar axis y, √(2l+1)-normalised
    (``"component"``), R = R_y(α) R_x(β) R_y(γ). The eye looks at α = 180° on the equator, where digits are painted.
    A layer on the grid takes its values at ⌈sL⌉ Gauss–Legendre latitudes × 2⌈sL⌉ azimuths, s the oversampling, and its
    result is cut off at L again.

    Args:
        spectra: signals, shape (n, L²) or (L²,) with L ≤ 16, degrees in order and m from −l to l; by default three real
            digits painted on the sphere, and a random field.
        names: one for each signal.
        zonal: the factors of degrees 0 … 15, κ^l_0 / √(2l+1) for the kernel κ; by default a band pass, for edges.
        settings: any trait below, such as ``bandlimit=8``, ``layer="zonal"`` or ``beta=90.0``.

    Raises:
        ValueError: spectra of another size or that vanish, names that are not one for each, or factors that are not 16.
        TraitError: a setting outside its range.

    Example:
        >>> Globe(layer="zonal").readout(beta=70.0)["error"] < 1e-12
        True
    """

    _esm = bundle("globe")

    spectra = traitlets.Bytes().tag(sync=True)
    names: Any = traitlets.List(traitlets.Unicode()).tag(sync=True)
    zonal: Any = traitlets.List(Finite()).tag(sync=True)
    kernel: Any = traitlets.List(Finite()).tag(sync=True)
    layers: Any = traitlets.Dict().tag(sync=True)
    oversamples: Any = traitlets.List(Finite()).tag(sync=True)
    signal = traitlets.Int(0, min=0).tag(sync=True)
    bandlimit = traitlets.Int(12, min=1, max=BANDLIMIT).tag(sync=True)
    layer = traitlets.Enum(list(LAYERS), "both").tag(sync=True)
    oversample = traitlets.Int(0, min=0, max=len(OVERSAMPLES) - 1).tag(sync=True)
    alpha = Finite(20.0).tag(sync=True)
    beta = Finite(25.0).tag(sync=True)
    gamma = Finite(-10.0).tag(sync=True)
    dots = traitlets.Bool(True).tag(sync=True)

    def __init__(
        self,
        spectra: Any = None,
        names: Sequence[Any] | None = None,
        zonal: Any = None,
        **settings: Any,
    ) -> None:
        if spectra is None:
            spectra, own = _examples()
            names = own if names is None else names
        x = np.atleast_2d(finite_array(spectra, "spectra", "(n, L²)"))
        limit = math.isqrt(x.shape[-1])
        if x.ndim != 2 or limit**2 != x.shape[1] or limit > BANDLIMIT or not x.any(1).all():
            raise ValueError(f"expected spectra (n, L²) with L ≤ {BANDLIMIT}, none of them zero, got {x.shape}")
        x = np.pad(x, ((0, 0), (0, BANDLIMIT**2 - x.shape[1])))
        names = [f"signal {k + 1}" for k in range(len(x))] if names is None else [str(name) for name in names]
        if len(names) != len(x):
            raise ValueError(f"expected {len(x)} names, one for each signal, got {len(names)}")
        factors = finite_array(_band_pass() if zonal is None else zonal, "zonal factors", f"({BANDLIMIT},)")
        if factors.shape != (BANDLIMIT,):
            raise ValueError(f"expected {BANDLIMIT} zonal factors, one for each degree, got shape {factors.shape}")
        super().__init__(
            spectra=float32_bytes(x),
            names=names,
            zonal=factors.tolist(),
            kernel=(np.ravel(CHART_KERNEL) / 8).tolist(),
            layers=LAYERS,
            oversamples=list(OVERSAMPLES),
            **settings,
        )

    @traitlets.validate("signal")
    def _check_signal(self, proposal: Any) -> int:
        if (value := int(proposal["value"])) >= len(self.names):
            raise traitlets.TraitError(f"expected signal from 0 to {len(self.names) - 1}, got {value}")
        return value

    def __repr__(self) -> str:
        return f"Globe({', '.join(self.names)})"

    def readout(self, **settings: Any) -> dict[str, float]:
        """The numbers beside the globes, by Wigner matrices and dense tables of harmonics in float64.

        Args:
            settings: ``signal``, ``bandlimit``, ``layer``, ``oversample`` (its index), and ``alpha``, ``beta`` and
                ``gamma`` in degrees; by default the present traits.

        Returns:
            ``error`` = ‖f(Λ_R x) − Λ_R f(x)‖ / ‖f(x)‖ for the chosen oversampling, and at each of them, ``error_1``,
            ``error_1.5``, …; 0 where f(x) = 0. ``kept``, the share of ‖x‖² below the bandlimit; and ``points`` of the
            grid.
        """
        names = ("signal", "bandlimit", "layer", "oversample", "alpha", "beta", "gamma")
        signal, limit, layer, chosen, *euler = self.chosen(names, settings, ("dots",))
        whole = torch.from_numpy(np.frombuffer(self.spectra, "<f4").astype(np.float64)).view(-1, BANDLIMIT**2)[signal]
        x, R = whole[: limit**2], rotation(*euler)
        turned = rotate(x, R, limit)
        errors = []
        for s in self.oversamples:
            f = self._layer(layer, limit, s)
            plain = f(x)
            size = float(plain.norm())
            error = float((f(turned) - rotate(plain, R, limit)).norm()) / size if size > 1e-9 * float(x.norm()) else 0.0
            errors.append(error)
        return {
            "error": errors[chosen],
            **{f"error_{s:g}": error for s, error in zip(self.oversamples, errors, strict=True)},
            "kept": float(x.square().sum() / whole.square().sum()),
            "points": 2.0 * _latitudes(limit, self.oversamples[chosen]) ** 2,
        }

    def _layer(self, layer: str, limit: int, s: float) -> Callable[[Tensor], Tensor]:
        n = _latitudes(limit, s)
        Y, weights = table(n)
        degree = torch.arange(limit).repeat_interleave(2 * torch.arange(limit) + 1)
        factors = torch.tensor(self.zonal, dtype=torch.float64)[degree]
        kernel = torch.tensor(self.kernel, dtype=torch.float64).view(1, 1, 3, 3)

        def on_grid(act: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
            return lambda x: Y[:, : limit**2].mT @ (weights * act(Y[:, : limit**2] @ x))

        def on_chart(values: Tensor) -> Tensor:
            chart = values.view(n, 2 * n)
            north, south = chart[:1].roll(n, 1), chart[-1:].roll(n, 1)  # beyond a pole: the opposite meridian
            chart = torch.cat([north, chart, south])
            chart = torch.cat([chart[:, -1:], chart, chart[:, :1]], 1)
            return torch.nn.functional.conv2d(chart[None, None], kernel).flatten()

        return {
            "relu": on_grid(torch.relu),
            "zonal": lambda x: factors * x,
            "both": lambda x: on_grid(torch.relu)(factors * x),
            "chart": on_grid(on_chart),
        }[layer]


def _latitudes(limit: int, s: float) -> int:
    return math.ceil(limit * s)


def rotation(alpha: float, beta: float, gamma: float) -> Tensor:
    """R_y(α) R_x(β) R_y(γ) in float64, of angles in degrees."""

    def about(axis: int, degrees: float) -> Tensor:
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        i, j = (axis + 1) % 3, (axis + 2) % 3
        R = torch.eye(3, dtype=torch.float64)
        R[i, i], R[i, j], R[j, i], R[j, j] = c, -s, s, c
        return R

    return about(1, alpha) @ about(0, beta) @ about(1, gamma)


@cache
def table(n: int) -> tuple[Tensor, Tensor]:
    """Harmonics below degree 16 at the n × 2n points of a Gauss–Legendre grid, north first, and weights of sum 1."""
    nodes, weights = (v[::-1].copy() for v in roots_legendre(n))
    beta, alpha = (v.ravel() for v in np.meshgrid(np.arccos(nodes), np.pi / n * np.arange(2 * n), indexing="ij"))
    Y = torch.from_numpy(harmonics(alpha, beta))
    return Y, torch.from_numpy(weights / (4 * n)).repeat_interleave(2 * n)


def harmonics(alpha: NDArray[np.float64], beta: NDArray[np.float64]) -> NDArray[np.float64]:
    """e3nn's ``"component"`` harmonics of degrees 0 … 15, shape (points, 256), from the complex ones of scipy.

    Theirs have the sign (−1)^m, ours do not; m < 0 is the sine of |m|α.
    """
    columns = []
    for degree in range(BANDLIMIT):
        for m in range(-degree, degree + 1):
            Y = sph_harm_y(degree, abs(m), beta, alpha) * (-1) ** m
            columns.append((Y.imag if m < 0 else Y.real) * math.sqrt(4 * math.pi * (2 if m else 1)))
    return np.stack(columns, 1)


def _examples() -> tuple[Tensor, list[str]]:
    """Three real digits, and a random field of equal power in every degree."""
    images, names = digits()
    n = 48
    Y, weights = table(n)
    alpha, beta = np.pi / n * np.arange(2 * n), np.arccos(roots_legendre(n)[0][::-1])
    chosen = [0, 3, 4]
    painted = digits_on_sphere(
        torch.from_numpy(images[chosen]), [torch.from_numpy(alpha), torch.from_numpy(beta)], size=0.7
    )
    spectra = Y.mT @ (weights[:, None] * painted.reshape(-1, len(chosen)))
    field = torch.randn(BANDLIMIT**2, generator=generator("globe"), dtype=torch.float64)
    degree = torch.arange(BANDLIMIT).repeat_interleave(2 * torch.arange(BANDLIMIT) + 1)
    field = field / (2 * degree + 1).sqrt()
    return torch.cat([spectra.T, field[None]]), [*(names[k] for k in chosen), "random field"]


def _band_pass() -> list[float]:
    """l(l+1) exp(−l(l+1)/48), the largest made 1: minus the Laplacian of a smoothed signal."""
    power = [degree * (degree + 1) for degree in range(BANDLIMIT)]
    factors = [p * math.exp(-p / 48) for p in power]
    return [h / max(factors) for h in factors]

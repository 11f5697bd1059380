r"""The talk's coordinate-independent convolution on any surface,

    (Φs)(x) = ∫_{B_R} κ(x, X) s|_{exp_x X} √det g dX,                                            (1)

with s|_{exp_x X} carried to x by parallel transport, as adding it up at x demands. All kernels that `kernel_space`
finds are radial functions times

    w e^{i(m−n)θ} c     for fields of spin n → m, and for real-linear kernels also     u e^{i(m+n)θ} c̄,      (2)

with complex w and u: two real parameters a ring between complex fields; between real ones four, two if one spin is
zero and one if both are.

Source: Gerken, "Coordinate independent convolutions"; Weiler et al. (2021); de Haan et al. (2021) for the gates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from gdl_lab.bundles.gauge import act, angle_between
from gdl_lab.bundles.kernels import Field
from gdl_lab.bundles.stencil import Gauge, Section, Stencil

__all__ = ["GaugeConv", "NormGate", "gauge_error", "isometry_error", "rough_gauge"]


class GaugeConv(nn.Module):
    r"""Equation (1) for channels of given spins, with all kernels of (2) on some rings of the disc.

    Args:
        ins, outs: the spin of every channel, such as ``[0, 0, 1]``.
        rings: radial functions: Gaussians around r = R(j + ½)/rings that end smoothly at R, over πR².
        field: ``"complex"``, or ``"real"``: coefficients of spin 0 are real, and the kernels real-linear.
        frequency: that of w, as a function of (m, n). Any other than m − n breaks the constraint.

    Raises:
        ValueError: no channels, no rings, negative spins, an unknown field.
    """

    free: Tensor

    def __init__(
        self,
        ins: Sequence[int],
        outs: Sequence[int],
        rings: int = 3,
        *,
        field: Field = "complex",
        frequency: Callable[[int, int], int] = lambda m, n: m - n,
    ) -> None:
        super().__init__()
        if not ins or not outs or rings < 1 or min(*ins, *outs) < 0:
            raise ValueError(
                f"expected channels with spins ≥ 0 and at least one ring, got {ins}, {outs}, {rings} rings"
            )
        _check_field(field)
        self.ins, self.outs, self.rings, self.field, self.frequency = list(ins), list(outs), rings, field, frequency
        m, n = torch.tensor(outs)[:, None], torch.tensor(ins)
        free = torch.ones(4, rings, len(outs), len(ins), dtype=torch.bool)  # Re w, Im w, Re u, Im u
        free[2:] = (m > 0) & (n > 0) if field == "real" else False
        free[1] &= (m + n > 0) | (field == "complex")
        self.register_buffer("free", free.flatten().nonzero()[:, 0], persistent=False)
        self.coefficients = nn.Parameter(torch.randn(len(self.free)) * (len(ins) * rings) ** -0.5 * 3)

    def forward(self, stencil: Stencil, c: Tensor) -> Tensor:
        """Coefficients at the points x in the frames of the output.

        Args:
            c: ``stencil.sample(section)`` or the like, complex: ``(…, n, k, channels)`` on a `Stencil` and
                ``(…, n, channels)`` on `Neighbours`.

        Returns:
            Shape ``(…, n, len(outs))``, complex.

        Raises:
            ValueError: coefficients of another shape, real, or of another precision than the weights.
        """
        expected, dtype = (*stencil.gauge_at_q.shape[:-2], len(self.ins)), self.coefficients.dtype.to_complex()
        if c.shape[-len(expected) :] != expected or c.dtype != dtype:
            raise ValueError(
                f"expected complex coefficients of shape (…, {', '.join(map(str, expected))}) in {dtype}, as the "
                f"weights are, got {tuple(c.shape)} in {c.dtype}"
            )
        if stencil.index is not None:
            c = c[..., stencil.index, :]
        n = torch.tensor(self.ins, device=c.device)
        carried = act(-n, stencil.angle[..., None], c) * stencil.weight[..., None]
        w, u = self._weights()
        out = c.new_zeros(*carried.shape[:-2], len(self.outs))
        for spin_in in sorted(set(self.ins)):
            i = [k for k, spin in enumerate(self.ins) if spin == spin_in]
            s = carried[..., i]
            for spin_out in sorted(set(self.outs)):
                o = [k for k, spin in enumerate(self.outs) if spin == spin_out]
                f = self.frequency(spin_out, spin_in)
                out[..., o] += torch.einsum("...ri,roi->...o", self._on_rings(stencil, f) @ s, w[:, o][:, :, i])
                if self.field == "real" and spin_in and spin_out:
                    mirrored = self._on_rings(stencil, spin_out + spin_in) @ s.conj()
                    out[..., o] += torch.einsum("...ri,roi->...o", mirrored, u[:, o][:, :, i])
        if self.field == "real":
            scalar = torch.tensor(self.outs, device=c.device) == 0
            out = torch.complex(out.real, out.imag * ~scalar)
        return out

    def _weights(self) -> Tensor:
        """w and u, shape ``(2, rings, outs, ins)``."""
        dense = self.coefficients.new_zeros(4 * self.rings * len(self.outs) * len(self.ins))
        parts = dense.index_copy(0, self.free, self.coefficients).view(2, 2, self.rings, len(self.outs), len(self.ins))
        return torch.complex(parts[:, 0], parts[:, 1])

    def _on_rings(self, stencil: Stencil, f: int) -> Tensor:
        """The radial functions times e^{ifθ}, shape ``(n or 1, rings, k)``; with f ≠ 0 they vanish at X = 0."""
        t = stencil.r[:, None] / stencil.radius
        centres = (torch.arange(self.rings, dtype=t.dtype, device=t.device)[:, None] + 0.5) / self.rings
        radial = (-(((t - centres) * self.rings) ** 2)).exp() * (1 - t**2).clamp_min(0) ** 2
        return torch.polar(
            radial * (t if f else 1) / (math.pi * stencil.radius**2), f * stencil.theta[:, None].expand_as(radial)
        )


class NormGate(nn.Module):
    """A nonlinearity that frames do not see: c ↦ σ(a|c|² + b) c, and for real scalars c ↦ SiLU(c + b).

    Args:
        spins: of the channels.
        field: as `GaugeConv`.

    Raises:
        ValueError: an unknown field.
    """

    scalar: Tensor

    def __init__(self, spins: Sequence[int], *, field: Field = "complex") -> None:
        super().__init__()
        _check_field(field)
        scalar = (torch.tensor(spins) == 0) & (field == "real")
        self.register_buffer("scalar", scalar, persistent=False)
        self.a, self.b = nn.Parameter((~scalar).float()), nn.Parameter(torch.zeros(len(spins)))

    def forward(self, c: Tensor) -> Tensor:
        """Shape ``(…, channels)``, kept."""
        gate = (self.a * (c.real**2 + c.imag**2) + self.b).sigmoid()
        return torch.where(self.scalar, nn.functional.silu(c.real + self.b) + 0j, gate * c)


def _check_field(field: str) -> None:
    if field not in ("complex", "real"):
        raise ValueError(f"expected field='complex' or 'real', got {field!r}")


def rough_gauge(stencil: Stencil, generator: torch.Generator | None = None) -> Gauge:
    """A gauge that jumps from point to point, as no smooth change of coordinates does."""
    k = torch.randn(3, generator=generator, dtype=torch.float64) * 1e3

    def gauge(q: Tensor) -> Tensor:
        return stencil.surface.frame(q, 1e3 * (q @ k.to(q)).sin())

    return gauge


@torch.no_grad()
def gauge_error(
    layer: nn.Module,
    stencil: Stencil,
    section: Section,
    which: Literal["input", "output", "both"] = "both",
    generator: torch.Generator | None = None,
) -> float:
    """How much the result depends on the choice of frames, relative to the largest coefficient of each channel.

    The stencil is computed anew in frames turned by random angles, of the input, of the output or of both, and the
    section is given in these. The same result has coefficients e^{−ima} times as large where the frame is turned by a.

    Args:
        layer: ``layer(stencil, c)`` with an attribute ``outs``: a `GaugeConv`, or a network of them on `Neighbours`.
        which: for a network of several layers only ``"both"`` has a meaning.

    Raises:
        ValueError: an unknown ``which``.
    """
    if which not in ("input", "output", "both"):
        raise ValueError(f"expected which='input', 'output' or 'both', got {which!r}")
    rough = rough_gauge(stencil, generator)
    changes = {} if which == "output" else {"gauge": rough}
    frame = stencil.frame if which == "input" else rough(stencil.x)
    turned = stencil.retake(frame=frame, **changes)
    return _difference(layer, stencil, turned, section, section, angle_between(stencil.frame, frame))


@torch.no_grad()
def isometry_error(layer: nn.Module, stencil: Stencil, section: Section, R: Tensor) -> float:
    """How far moving the field over the surface and then convolving is from convolving first, as `gauge_error`.

    Args:
        R: a rotation that takes the surface to itself, shape ``(3, 3)``.

    Raises:
        ValueError: an R that is not a rotation, or not of this surface.
    """
    eye = torch.eye(3, dtype=R.dtype, device=R.device)
    if R.shape != (3, 3) or not torch.allclose(R @ R.mT, eye, atol=1e-5) or float(torch.linalg.det(R)) < 0:
        raise ValueError("expected a rotation matrix (3, 3)")
    x = stencil.x @ R.mT
    frame = stencil.surface.frame(x)  # which raises where R leads off the surface
    moved = stencil.retake(x=x, frame=frame)
    return _difference(
        layer,
        stencil,
        moved,
        section,
        lambda q, frame: section(q @ R, frame @ R),
        angle_between(stencil.frame @ R.mT, frame),
    )


def _difference(
    layer: nn.Module, stencil: Stencil, other: Stencil, section: Section, moved: Section, angle: Tensor
) -> float:
    before, after = layer(stencil, stencil.sample(section)), layer(other, other.sample(moved))
    outs = torch.as_tensor(layer.outs, device=after.device)
    error = (act(outs, angle[:, None], after) - before).abs().amax(0) / before.abs().amax(0)
    return float(error.max())

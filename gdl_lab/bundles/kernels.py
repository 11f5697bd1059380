r"""The kernels that a gauge-equivariant convolution may have, found as the null space of their constraint.

A kernel takes coefficients at exp_x X to coefficients at x, both in the frame at x. Turning that frame by g changes X
and both coefficients, and the kernel must not notice. With X = r(cos θ e₁ + sin θ e₂), at one radius,

    κ(θ + g) = η(g) κ(θ) ρ(g)⁻¹   for all g.                                                        (1)

The talk writes κ(x, k ▷ X) = η(k⁻¹) κ(x, X) ρ(k). That is (1) if k ▷ X are the components of X in the frame turned by
k, θ ↦ θ − k. If k ▷ X is the vector turned by k, θ ↦ θ + k, it has other solutions, which do notice.

Source: Gerken, "Coordinate independent convolutions"; Weiler et al. (2021), sec. 4.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

__all__ = ["Field", "KernelSpace", "Reading", "kernel_space", "representation"]

Field = Literal["complex", "real"]
Reading = Literal["components", "active"]

GOLDEN = math.pi * (3 - 5**0.5)  # its multiples are dense in the circle, and no early one comes near to zero


class KernelSpace(NamedTuple):
    """Solutions of the constraint at one radius.

    Attributes:
        dimension: over ℂ for complex fields, over ℝ for real ones.
        basis: orthonormal values on the rays, shape ``(dimension, rays, dim V_out, dim V_in)``, float64 or complex128.
        frequencies: those f with a part e^{ifθ} in some solution, ascending.
        singular_values: of the constraint, ascending; the first ``dimension`` are zero but for rounding.
    """

    dimension: int
    basis: Tensor
    frequencies: list[int]
    singular_values: Tensor


def representation(spin: int, angle: float, field: Field = "complex") -> Tensor:
    """ρ(g) of a spin n: the number e^{ing}, for real fields with n ≠ 0 the rotation by ng, shape ``(d, d)``."""
    phase = spin * angle
    if field == "complex":
        return torch.tensor([[complex(math.cos(phase), math.sin(phase))]], dtype=torch.complex128)
    c, s = math.cos(phase), math.sin(phase)
    return torch.tensor([[c, -s], [s, c]] if spin else [[1.0]], dtype=torch.float64)


def kernel_space(
    n_in: int,
    n_out: int,
    group: str = "SO2",
    *,
    field: Field = "complex",
    reading: Reading = "components",
    bandlimit: int = 8,
) -> KernelSpace:
    r"""All kernels κ(θ), band-limited in θ, from fields of spin n_in to fields of spin n_out.

    κ is unknown on 2·bandlimit + 1 rays; between them it is its trigonometric interpolation, which can be turned by
    any angle. Equation (1) is linear; it is asked for one g, whose multiples are the group or dense in it.

    Args:
        group: ``"SO2"``, or ``"C4"`` and the like for the turns by multiples of 2π/4.
        field: complex coefficients, or real ones (a number for spin 0, a pair of numbers for others).
        reading: ``"components"``, equation (1), or ``"active"``, the talk's line with the vector turned.
        bandlimit: the largest frequency.

    Raises:
        ValueError: a group that is not SO2 or C1, C2, …; an unknown field or reading; a bandlimit below 0.
    """
    order = group[1:]
    if group != "SO2" and not (group.startswith("C") and order.isdecimal() and int(order) > 0):
        raise ValueError(f"expected the group 'SO2', or 'C4' and the like, got {group!r}")
    if field not in ("complex", "real") or reading not in ("components", "active"):
        raise ValueError(f"expected complex or real fields, read as components or active, got {field!r}, {reading!r}")
    if bandlimit < 0:
        raise ValueError(f"expected a bandlimit of at least 0, got {bandlimit}")
    g = GOLDEN if group == "SO2" else 2 * math.pi / int(order)
    f = torch.arange(-bandlimit, bandlimit + 1, dtype=torch.float64)
    theta = 2 * math.pi * torch.arange(len(f), dtype=torch.float64) / len(f)
    sign = 1 if reading == "components" else -1
    eta, rho_inv = representation(n_out, sign * g, field), representation(n_in, -sign * g, field)
    turned = (
        (f * (theta[:, None, None] + g - theta[None, :, None])).cos().mean(-1).to(eta.dtype)
    )  # κ(θ_j + g) from κ(θ_k)
    both = torch.kron(eta, rho_inv.mT.contiguous())
    eye = [torch.eye(n, dtype=eta.dtype) for n in (len(f), len(both))]
    _, s, Vh = torch.linalg.svd(torch.kron(turned, eye[1]) - torch.kron(eye[0], both))
    s, kernels = s.flip(0), Vh.flip(0).conj()
    dimension = int((s < 1e-9).sum())
    basis = kernels[:dimension].reshape(dimension, len(f), len(eta), len(rho_inv))
    spectrum = (
        torch.fft.fft(basis.to(torch.complex128), dim=1).abs().amax((0, 2, 3)) if dimension else torch.zeros(len(f))
    )
    present = [(k + bandlimit) % len(f) - bandlimit for k in range(len(f)) if spectrum[k] > 1e-9]
    return KernelSpace(dimension, basis, sorted(present), s)

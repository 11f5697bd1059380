r"""Chern numbers: the topological charge of the gauge field that the states of a crystal make.

A two-band model is a Hamiltonian h(k) = d(k)·σ for every momentum k of the torus. Its lower band has states u(k), each
up to a phase, so that the overlaps of neighbours,

    U_μ(k) = ⟨u(k)|u(k + μ̂)⟩ / |⟨u(k)|u(k + μ̂)⟩|,

are links of a U(1) lattice gauge field and the phases a gauge. On a grid of any width the sum of the plaquettes' angles
is 2π times an integer, and where no plaquette reaches ±π it is the Chern number of the continuum.

Source: Fukui, Hatsugai & Suzuki (2005), eq. 7–9; Qi, Wu & Zhang (2006).
"""

from __future__ import annotations

import torch
from torch import Tensor

from gdl_lab.lattice.links import check_links
from gdl_lab.lattice.loops import topological_charge

__all__ = ["berry_links", "bloch_vectors", "chern_number", "lower_band", "qi_wu_zhang", "random_models"]

SIGMA = torch.tensor([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


def qi_wu_zhang(m: Tensor | float, size: int) -> Tensor:
    r"""d(k) = (sin k₀, sin k₁, m + cos k₀ + cos k₁) on a size×size grid, ``(batch, size, size, 3)``, float64.

    The Chern number of the lower band is sign(m) for 0 < |m| < 2, as `chern_number` orients it, and 0 beyond.

    Args:
        m: the mass, a number or ``(batch,)``.
    """
    m = torch.as_tensor(m, dtype=torch.float64).reshape(-1, 1, 1)
    k = 2 * torch.pi * torch.arange(size, dtype=torch.float64, device=m.device) / size
    k0, k1 = torch.meshgrid(k, k, indexing="ij")
    d = torch.broadcast_tensors(k0.sin(), k1.sin(), m + k0.cos() + k1.cos())
    return torch.stack(d, -1)


def random_models(n: int, *, harmonics: int = 1, generator: torch.Generator | None = None) -> Tensor:
    """Fourier coefficients of n random d(k): complex Gaussian, ``(n, 3, 2h + 1, 2h + 1)``; see `bloch_vectors`.

    Raises:
        ValueError: no models or harmonics.
    """
    if n < 1 or harmonics < 1:
        raise ValueError(f"expected at least one model and one harmonic, got {n} and {harmonics}")
    waves = 2 * harmonics + 1
    return torch.randn(n, 3, waves, waves, generator=generator, dtype=torch.complex128)


def bloch_vectors(coefficients: Tensor, size: int) -> Tensor:
    r"""d(k) = Re Σ_n c_n e^(in·k), |n_μ| ≤ h, on a grid of any size: ``(batch, size, size, 3)``.

    Args:
        coefficients: of `random_models`.

    Raises:
        ValueError: another shape.
    """
    h, odd = divmod(coefficients.shape[-1], 2)
    if coefficients.ndim != 4 or coefficients.shape[1] != 3 or coefficients.shape[2] != 2 * h + 1 or not odd:
        raise ValueError(f"expected coefficients (n, 3, 2h + 1, 2h + 1), got {tuple(coefficients.shape)}")
    k = 2 * torch.pi * torch.arange(size, dtype=torch.float64, device=coefficients.device) / size
    waves = torch.exp(1j * k[:, None] * torch.arange(-h, h + 1, device=k.device))
    return torch.einsum("bcmn,xm,yn->bxyc", coefficients, waves, waves).real


def lower_band(d: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    r"""States u(k) with d·σ u = −|d| u and, as nothing fixes their phase, random ones: ``(batch, L, L, 2)``, complex.

    Args:
        d: ``(batch, L, L, 3)``.

    Raises:
        ValueError: another shape, NaN or infinity, or bands that touch, |d| = 0.
    """
    if d.ndim != 4 or d.shape[1] != d.shape[2] or d.shape[3] != 3 or not d.is_floating_point():
        raise ValueError(f"expected real vectors d of shape (batch, L, L, 3), got {d.dtype} of {tuple(d.shape)}")
    length = d.norm(dim=-1)
    if not bool(d.isfinite().all()) or not bool((length > 1e-6).all()):
        raise ValueError("expected finite d ≠ 0: where it vanishes the bands touch, and no lower band exists")
    dtype = torch.promote_types(d.dtype, torch.complex32)
    h = torch.einsum("bxyc,cij->bxyij", d.to(dtype), SIGMA.to(d.device, dtype))
    u = torch.linalg.eigh(h).eigenvectors[..., 0]
    phase = 2 * torch.pi * torch.rand(length.shape, generator=generator, dtype=d.dtype).to(d.device)
    return u * torch.polar(torch.ones_like(phase), phase)[..., None]


def berry_links(states: Tensor) -> Tensor:
    """The U(1) links of a band's states, ``(batch, L, L, bands)`` complex → ``(batch, 2, L, L, 1, 1)``.

    Raises:
        ValueError: another shape, or neighbours that are orthogonal: take a finer grid.
    """
    if states.ndim != 4 or not states.is_complex():
        raise ValueError(f"expected complex states (batch, L, L, bands), got {states.dtype} of {tuple(states.shape)}")
    overlaps = torch.stack([(states.conj() * states.roll(-1, axis)).sum(-1) for axis in (1, 2)], 1)
    length = overlaps.abs()
    if not bool((length > 1e-6).all()):
        raise ValueError("expected neighbouring states that overlap, got orthogonal or undefined ones: refine the grid")
    links = (overlaps / length)[..., None, None]
    check_links(links)
    return links


def chern_number(states: Tensor) -> Tensor:
    """The Chern numbers of states ``(batch, L, L, bands)``, integers ``(batch,)``, the same for every choice of phases.

    Errors as `berry_links`.
    """
    return topological_charge(berry_links(states)).round().long()

r"""Lattice gauge fields: a group element U_μ(x) on every link, the parallel transport from x + μ̂ to x.

The lattice is a torus of D = 2, 3 or 4 dimensions. Everything that lives on it is a complex tensor

    (batch, channels, *lattice, N, N),

links with the D directions as channels; the lattice axis μ of a tensor is its axis 2 + μ. A gauge transformation Ω is a
group element at every site, one channel, and acts by

    U_μ(x) → Ω(x) U_μ(x) Ω(x + μ̂)†,      W(x) → Ω(x) W(x) Ω(x)†

on links and on whatever is transported round a loop from x to x.

Source: Wilson (1974); Favoni, Ipp, Müller & Schuh (2022), eq. 2–4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "GROUPS", "angles", "check_links", "from_angles", "multiply", "random_gauge", "random_links", "regauge",
    "regauge_field", "shift", "wrap",
]  # fmt: skip

GROUPS = {"U(1)": 1, "SU(2)": 2, "SU(3)": 3}


def random_links(
    group: str,
    lattice: Sequence[int],
    batch: int = 1,
    *,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.complex128,
) -> Tensor:
    """Independent links of Haar's measure, shape ``(batch, D, *lattice, N, N)``, on the CPU.

    Args:
        group: ``"U(1)"``, ``"SU(2)"`` or ``"SU(3)"``.
        lattice: the sides, two to four of them, each at least 2.

    Raises:
        ValueError: an unknown group, other sides, no batch, a dtype that is not complex.
    """
    if group not in GROUPS:
        raise ValueError(f"unknown group {group!r}: expected one of {', '.join(GROUPS)}")
    if not 2 <= len(lattice) <= 4 or min(lattice) < 2 or batch < 1 or not dtype.is_complex:
        raise ValueError(
            "expected a lattice of 2 to 4 sides of at least 2 sites, batch ≥ 1 and a complex dtype, got "
            f"{tuple(lattice)}, {batch}, {dtype}"
        )
    # QR of a Gaussian matrix with R's diagonal made positive is Haar's measure of U(N); Mezzadri (2007). Divided by a
    # root of its determinant it is that of SU(N): the division commutes with every factor of SU(N).
    n = GROUPS[group]
    Q, R = torch.linalg.qr(torch.randn(batch, len(lattice), *lattice, n, n, generator=generator, dtype=dtype))
    diagonal = R.diagonal(dim1=-2, dim2=-1)
    Q = Q * (diagonal / diagonal.abs())[..., None, :]
    return Q if n == 1 else Q * torch.linalg.det(Q)[..., None, None] ** (-1 / n)


def random_gauge(group: str, lattice: Sequence[int], batch: int = 1, **options: Any) -> Tensor:
    """A gauge transformation Ω, independent at every site, ``(batch, 1, *lattice, N, N)``.

    Args:
        options: ``generator`` and ``dtype``; these and errors as `random_links`.
    """
    return random_links(group, lattice, batch, **options)[:, :1].contiguous()


def shift(field: Tensor, mu: int, n: int = 1) -> Tensor:
    """The field x ↦ field(x + n μ̂), shape as given; the lattice closes at its ends."""
    return field.roll(-n, 2 + mu)


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """The matrix product at every site; for U(1) of numbers, which is a good deal faster than of 1×1 matrices."""
    return a * b if a.shape[-1] == 1 else a @ b


def regauge(links: Tensor, omega: Tensor) -> Tensor:
    """U_μ(x) → Ω(x) U_μ(x) Ω(x + μ̂)†.

    Args:
        links: ``(batch, D, *lattice, N, N)``.
        omega: Ω, ``(batch, 1, *lattice, N, N)``, or with batch 1 for all.

    Raises:
        ValueError: what `check_links` complains of; an Ω of another shape or dtype.
    """
    check_links(links)
    _check_gauge(omega, links)
    transported = [multiply(links[:, mu : mu + 1], shift(omega, mu).mH) for mu in range(links.shape[1])]
    return multiply(omega, torch.cat(transported, 1))


def regauge_field(field: Tensor, omega: Tensor) -> Tensor:
    """W(x) → Ω(x) W(x) Ω(x)†, any number of channels; shapes and errors as for `regauge`."""
    _check_gauge(omega, field)
    return multiply(multiply(omega, field), omega.mH)


def from_angles(theta: Tensor) -> Tensor:
    """U(1) links exp(iθ), real ``(batch, D, *lattice)`` in radians → complex ``(batch, D, *lattice, 1, 1)``."""
    return torch.polar(torch.ones_like(theta), theta)[..., None, None]


def angles(links: Tensor) -> Tensor:
    """The angles of U(1) links or fields in (−π, π], the inverse of `from_angles`.

    Raises:
        ValueError: matrices larger than 1×1.
    """
    if links.shape[-2:] != (1, 1):
        raise ValueError(f"only U(1) has angles: expected matrices 1×1 at the end, got shape {tuple(links.shape)}")
    return links[..., 0, 0].angle()


def wrap(theta: Tensor) -> Tensor:
    """The same angles in [−π, π)."""
    return torch.remainder(theta + torch.pi, 2 * torch.pi) - torch.pi


def check_links(links: Tensor) -> None:
    """The public door of this room.

    Raises:
        TypeError: no tensor.
        ValueError: not complex; a shape other than ``(batch, D, *lattice, N, N)`` with D sides, 2 ≤ D ≤ 4; no batch;
            NaN or infinity; matrices that are not unitary to half of the digits of their dtype.
    """
    if not isinstance(links, Tensor):
        raise TypeError(f"expected a tensor of links, got {type(links).__name__}")
    sides = links.ndim - 4
    if not links.is_complex() or not 2 <= sides <= 4 or links.shape[1] != sides or links.shape[-1] != links.shape[-2]:
        raise ValueError(
            "expected complex links (batch, D, *lattice, N, N) with D sides and D = 2, 3 or 4, got "
            f"{links.dtype} of shape {tuple(links.shape)}; `from_angles` makes them of angles"
        )
    if links.numel() == 0:
        raise ValueError(f"expected at least one configuration, got shape {tuple(links.shape)}")
    if not bool(torch.view_as_real(links.detach().resolve_conj()).isfinite().all()):
        raise ValueError("expected finite links, got entries that are NaN or infinite")
    one = torch.eye(links.shape[-1], dtype=links.dtype, device=links.device)
    deviation = float((multiply(links, links.mH) - one).detach().abs().max())
    if deviation > torch.finfo(links.dtype).eps ** 0.5:
        raise ValueError(f"expected unitary links, got UU† that differs from 1 by up to {deviation:.1e}: project them")


def _check_gauge(omega: Tensor, like: Tensor) -> None:
    given, wanted = tuple(omega.shape), tuple(like.shape)
    if given[1:] != (1, *wanted[2:]) or given[0] not in (1, wanted[0]) or omega.dtype != like.dtype:
        raise ValueError(
            f"expected a gauge transformation of shape {(wanted[0], 1, *wanted[2:])} in {like.dtype}, got {given} in "
            f"{omega.dtype}"
        )

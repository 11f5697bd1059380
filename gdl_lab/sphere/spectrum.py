r"""The layout of a spectrum, and what acts on it degree by degree: blocks, rotations, the two integrals.

A spectrum of bandlimit L with orders N has ``spectrum_size(L, N)`` rows: for each degree l a (2l+1) × (2k+1) matrix
``[m, n]``, k = min(l, N−1), both indices ascending, row by row. Any number of batch axes follows. N = 1 is S².
"""

from __future__ import annotations

import torch
from torch import Tensor

from gdl_lab.sphere.wigner import check_rotation, wigner_D

__all__ = ["block", "integrate_so2", "integrate_so3", "orders_of", "rotate", "spectrum_size"]


def spectrum_size(bandlimit: int, orders: int | None = None) -> int:
    """Rows of a spectrum, Σ_l (2l+1)(2 min(l, N−1)+1): L² for ``orders=1``, L(4L²−1)/3 for N = L, which `None` is."""
    N = bandlimit if orders is None else orders
    return sum((2 * l + 1) * (2 * min(l, N - 1) + 1) for l in range(bandlimit))


def block(coeffs: Tensor, l: int, orders: int | None = None) -> Tensor:
    """View (2l+1, 2k+1, *batch) of degree l, entry ``[m+l, n+k]``; k = min(l, N−1), or l where ``orders`` is `None`.

    Raises:
        ValueError: a degree that the spectrum does not have.
    """
    k = l if orders is None else min(l, orders - 1)
    start = spectrum_size(l, orders)
    shape = (2 * l + 1, 2 * k + 1)
    if l < 0 or len(coeffs) < start + shape[0] * shape[1]:
        raise ValueError(f"no degree {l} in a spectrum of {len(coeffs)} rows and orders {orders}")
    return coeffs[start : start + shape[0] * shape[1]].unflatten(0, shape)


def orders_of(coeffs: Tensor, bandlimit: int) -> int:
    """The orders N of a spectrum, from its number of rows.

    Raises:
        ValueError: no N fits.
    """
    for N in range(1, bandlimit + 1):
        if spectrum_size(bandlimit, N) == len(coeffs):
            return N
    sizes = f"{bandlimit**2} (orders 1, or S²) to {spectrum_size(bandlimit)}"
    raise ValueError(f"expected a spectrum of bandlimit {bandlimit}, {sizes} rows, got {len(coeffs)} rows")


def rotate(coeffs: Tensor, R: Tensor, bandlimit: int) -> Tensor:
    r"""Spectrum of (Λ_R f)(x) = f(R⁻¹x), on S² or SO(3): F^l ↦ D^l(R) F^l.

    Args:
        coeffs: shape (size, *batch).
        R: rotations of e3nn's x, y, z, shape (3, 3), or (batch, 3, 3), one for each entry of the last axis.
        bandlimit: L; the orders follow from the size.

    Raises:
        ValueError: R that is no rotation, or as many as the last axis is long; a size that does not fit L.
    """
    N = orders_of(coeffs, bandlimit)
    check_rotation(R)
    if R.ndim > 3 or (R.ndim == 3 and (coeffs.ndim < 2 or len(R) != coeffs.shape[-1])):
        raise ValueError(
            f"expected R of shape (3, 3), or one rotation for each of the last axis of {tuple(coeffs.shape)}, "
            f"got {tuple(R.shape)}"
        )
    equation = "km,mn...->kn..." if R.ndim == 2 else "zkm,mn...z->kn...z"
    D = wigner_D(bandlimit, R)
    return torch.cat(
        [torch.einsum(equation, D[l].to(coeffs), block(coeffs, l, N)).flatten(0, 1) for l in range(bandlimit)]
    )


def integrate_so3(coeffs: Tensor) -> Tensor:
    """∫ F dR over SO(3), or ∫ f dx over S², with measures of mass 1: the coefficient of l = 0, shape (*batch)."""
    return coeffs[0]


def integrate_so2(coeffs: Tensor, bandlimit: int) -> Tensor:
    """∫ F(R R_y(γ)) dγ/2π, the mean over the fibre above each point of S²: the column n = 0, shape (L², *batch).

    Raises:
        ValueError: a size that does not fit the bandlimit.
    """
    N = orders_of(coeffs, bandlimit)
    return torch.cat([block(coeffs, l, N)[:, min(l, N - 1)] for l in range(bandlimit)])

"""Functions on S² and SO(3) point by point, and their integrals by quadrature, from e3nn and numpy alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from e3nn import o3
from torch import Tensor


@contextmanager
def float64() -> Iterator[None]:
    """e3nn builds its generators in the default dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def rotations(n: int, rng: torch.Generator) -> Tensor:
    """Haar-distributed rotation matrices, shape ``(n, 3, 3)``."""
    q, r = torch.linalg.qr(torch.randn(n, 3, 3, generator=rng, dtype=torch.float64))
    q = q * r.diagonal(dim1=1, dim2=2).sign()[:, None, :]
    return q * torch.linalg.det(q)[:, None, None]


def wigner(bandlimit: int, R: Tensor) -> list[Tensor]:
    """D^l(R) for l = 0 … L−1, shapes ``(…, 2l+1, 2l+1)``."""
    with float64():
        angles = o3.matrix_to_angles(R.double())
        return [o3.wigner_D(l, *angles) for l in range(bandlimit)]


def harmonics(bandlimit: int, x: Tensor) -> list[Tensor]:
    """e3nn's Y^l(x) with ∫ |Y|² = 4π (``component``), shapes ``(…, 2l+1)``."""
    with float64():
        return [o3.spherical_harmonics(l, x, normalize=True, normalization="component") for l in range(bandlimit)]


def sphere_quadrature(bandlimit: int) -> tuple[Tensor, Tensor]:
    """Points ``(n, 3)`` and weights, of sum one, that integrate products of two functions of this bandlimit."""
    alpha, beta, w = _angles(bandlimit)
    a, b = torch.meshgrid(alpha, beta, indexing="ij")
    with float64():
        x = o3.angles_to_xyz(a, b)
    return x.reshape(-1, 3), (w / len(alpha)).expand_as(a).reshape(-1)


def rotation_quadrature(bandlimit: int) -> tuple[Tensor, Tensor]:
    """Rotations ``(n, 3, 3)`` and weights, of sum one, that integrate products of two functions of this bandlimit."""
    alpha, beta, w = _angles(bandlimit)
    a, b, c = torch.meshgrid(alpha, beta, alpha, indexing="ij")
    with float64():
        R = o3.angles_to_matrix(a, b, c)
    return R.reshape(-1, 3, 3), (w[:, None] / len(alpha) ** 2).expand_as(a).reshape(-1)


def _angles(bandlimit: int) -> tuple[Tensor, Tensor, Tensor]:
    z, w = np.polynomial.legendre.leggauss(bandlimit + 1)
    n = 2 * bandlimit + 1
    alpha = torch.arange(n, dtype=torch.float64) * (2 * math.pi / n) + 0.3  # any offset integrates as well
    return alpha, torch.from_numpy(np.arccos(z)), torch.from_numpy(w / 2)

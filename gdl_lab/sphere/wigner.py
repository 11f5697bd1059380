r"""Wigner matrices in e3nn's real basis: D^l(α, β, γ) = Z(α) d^l(β) Z(γ).

Index m runs from −l to l; m > 0 goes with cos mα ("c"), m < 0 with sin ``abs(m)``α ("s"). Z mixes m and −m only,

    Z_cc = Z_ss = cos mα,   Z_sc = sin mα,   Z_cs = −sin mα,

and d^l(β), a rotation that keeps the mirror α ↦ −α, has no entry between a cosine and a sine. So two tables over
m, n ≥ 0 hold all of it,

    dc = f_m f_n (−1)^m ((−1)^n d_mn + d_m,−n),     ds = (−1)^m ((−1)^n d_mn − d_m,−n)      (f_0 = 1/√2, else 1),

where d_mn is the usual complex Wigner function, and the mirror β ↦ π − β turns them into (−1)^{l+m+n} dc and
−(−1)^{l+m+n} ds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["angles", "check_rotation", "wigner_D", "wigner_d"]


def wigner_d(
    bandlimit: int, orders: int, beta: npt.NDArray
) -> Iterator[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    r"""For l = 0 … L−1 the tables dc and ds of the module's docstring, each (L, N, *beta.shape), zero where m or n > l.

    The complex function climbs in l from l = J = max(m, n), where it is a monomial in cos β/2 and sin β/2,

        √((l+1)²−m²) √((l+1)²−n²) / (l+1) d^{l+1} = (2l+1) (cos β − mn/(l(l+1))) d^l − √(l²−m²) √(l²−n²) / l d^{l−1},

    the direction in which this recurrence is stable. In extended precision where the machine has it.

    Args:
        bandlimit: L.
        orders: N, the number of n ≥ 0.
        beta: polar angles, any shape.

    Source: Varshalovich, Moskalev & Khersonskii (1988), 4.8 (14); Kostelec & Rockmore (2008), eq. 2.13.
    """
    real = np.longdouble
    beta = np.asarray(beta, dtype=real)
    m, n = (a.reshape(a.shape + (1,) * beta.ndim) for a in np.ogrid[:bandlimit, :orders])
    sign = np.array([1, -1]).reshape(2, *(1,) * m.ndim)  # of n: d_mn and d_m,−n climb side by side
    top, low = np.maximum(m, n), sign * np.minimum(m, n)
    cos, sin = np.sqrt(real(2)) * np.cos(beta / 2), np.sqrt(real(2)) * np.sin(beta / 2)
    count = [[math.comb(2 * max(i, j), i + j) / 4 ** max(i, j) for j in range(orders)] for i in range(bandlimit)]
    turned = np.where((m < n) & (sign > 0), 1, (-1) ** (m + n))
    start = turned * np.sqrt(np.array(count, dtype=real)).reshape(top.shape) * cos ** (top + low) * sin ** (top - low)

    before, now = np.zeros_like(start), np.zeros_like(start)
    half = np.where(m == 0, real(0.5) ** 0.5, 1) * np.where(n == 0, real(0.5) ** 0.5, 1)
    for l in range(bandlimit):
        if l:
            k, climbs = l - 1, l > top
            down = np.sqrt(np.where(climbs, (l * l - m * m) * (l * l - n * n), 1).astype(real)) / l
            back = np.sqrt(np.where(climbs, (k * k - m * m) * (k * k - n * n), 0).astype(real)) / max(k, 1)
            shift = sign * m * n / real(max(k * l, 1))
            before, now = now, climbs * ((2 * k + 1) * (np.cos(beta) - shift) * now - back * before) / down
        now = np.where(l == top, start, now)
        plus, minus = (-1) ** (m + n) * now[0], (-1.0) ** m * now[1]
        yield (half * (plus + minus)).astype(np.float64), (half * (plus - minus)).astype(np.float64)


def wigner_D(bandlimit: int, R: Tensor) -> list[Tensor]:  # noqa: N802 - its name
    """D^l(R) for l = 0 … L−1, shapes (..., 2l+1, 2l+1), entry ``[m, n]`` as e3nn's ``o3.wigner_D``, to rounding.

    Args:
        bandlimit: L.
        R: rotations, shape (..., 3, 3), of e3nn's x, y, z. The dtype of the result is that of R; the calculation is
            in float64 at least.

    Raises:
        ValueError: what is not a rotation matrix.
    """
    check_rotation(R)
    alpha, beta, gamma = (a.numpy() for a in angles(R.cpu().double()))  # not every device has float64
    matrices = []
    for l, (dc, ds) in enumerate(wigner_d(bandlimit, bandlimit, beta)):
        d = np.zeros((2 * l + 1, 2 * l + 1, *beta.shape))
        d[l:, l:], d[:l, :l] = dc[: l + 1, : l + 1], ds[l:0:-1, l:0:-1]
        m = np.abs(np.arange(-l, l + 1)).reshape(-1, 1, *(1,) * beta.ndim)
        below = np.sign(np.arange(-l, l + 1)).reshape(m.shape)
        # row m of Z(α)d: cos mα from row m of d, and ∓ sin from row −m; column n of dZ(γ) likewise
        d = np.cos(m * alpha) * d - below * np.sin(m * alpha) * d[::-1]
        m, below = m.swapaxes(0, 1), below.swapaxes(0, 1)
        d = d * np.cos(m * gamma) + below * np.sin(m * gamma) * d[:, ::-1]
        matrices.append(torch.from_numpy(np.moveaxis(d, (0, 1), (-2, -1)).copy()).to(R))
    return matrices


def angles(R: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Euler angles α, β, γ with R = R_y(α) R_x(β) R_y(γ), β ∈ [0, π], shapes (...); γ = 0 where only α ± γ counts."""
    beta = torch.atan2(torch.hypot(R[..., 0, 1], R[..., 2, 1]), R[..., 1, 1])
    pole = torch.hypot(R[..., 0, 1], R[..., 2, 1]) < 8 * torch.finfo(R.dtype).eps
    alpha = torch.atan2(R[..., 0, 1], R[..., 2, 1])
    gamma = torch.atan2(R[..., 1, 0], -R[..., 1, 2])
    about_y = torch.atan2(-R[..., 2, 0], R[..., 0, 0])
    return torch.where(pole, about_y, alpha), beta, torch.where(pole, 0.0, gamma)


def check_rotation(R: Tensor) -> None:
    """Raise ValueError unless R holds rotation matrices, shape (..., 3, 3): RᵀR = 1 and det R = 1."""
    if not isinstance(R, Tensor) or not R.is_floating_point() or R.shape[-2:] != (3, 3):
        got = f"{R.dtype} of shape {tuple(R.shape)}" if isinstance(R, Tensor) else type(R).__name__
        raise ValueError(f"expected rotation matrices, a float tensor of shape (3, 3) or (batch, 3, 3), got {got}")
    far = (R.mT @ R - torch.eye(3, dtype=R.dtype, device=R.device)).abs().amax() if R.numel() else R.new_zeros(())
    # "not below" also catches NaN
    if not far < 100 * torch.finfo(R.dtype).eps:
        raise ValueError(f"expected rotation matrices, got RᵀR that differs from 1 by {far:.2g}: normalise R first")
    if R.numel() and not (torch.linalg.det(R) > 0).all():
        raise ValueError("expected rotation matrices, got one of determinant −1: a mirror image is not a rotation")

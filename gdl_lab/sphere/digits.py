r"""Digits painted onto the sphere as they should be, and as published data paint them.

A picture is a square [−1, 1]² with u to the right and v up. It is laid onto the sphere around a centre c by
stereographic projection from −c: the point x is painted with the grey value at

    (u, v) = (x·right, x·up) / (1 + x·c),

which is conformal, so that a digit is enlarged towards its edge but nowhere sheared; at ``size=1`` the sides of the
square touch the great circle around c. The canonical pose is upright on the equator in the middle of the chart: as much
as a chart can do for a network that does not know the sphere.

The points (α, β) are those of e3nn, R_y(α) R_x(β) e_y = (sin β sin α, cos β, sin β cos α), in radians; row 0 of a chart
is north where β ascends. Signals are ``(n_beta, n_alpha, batch)``.

Source: Cohen et al. (2018), Spherical CNNs; Gerken et al. (2022), Equivariance versus Augmentation for Spherical
Images. The published code of both samples with a stencil of width two, as ``stencil=2`` does here, and draws one
rotation for 500 pictures, as `gdl_lab.recipes.spherical_digits` can; the third, pixels counted alike, is in
`gdl_lab.sphere.segmentation`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from gdl_lab.sphere.wigner import check_rotation

__all__ = ["CANONICAL", "charts", "digits_on_sphere", "four_digits_on_sphere"]

# columns: right, up and the centre of the picture, at α = π on the equator
CANONICAL = torch.tensor([[-1.0, 0, 0], [0, 1, 0], [0, 0, -1]], dtype=torch.float64)


def digits_on_sphere(
    images: Tensor, grid: Sequence[Tensor], rotations: Tensor | None = None, *, size: float = 1.0, stencil: int = 1
) -> Tensor:
    """Paint each picture onto a sphere of its own and turn it: (Λ_R f)(x) = f(R⁻¹x).

    Args:
        images: grey values in [0, 1], shape ``(batch, height, width)`` or ``(batch, 1, height, width)``, row 0 on top.
        grid: ``(alpha, beta)`` in radians, 1-D, as ``S2FFT.grid()`` gives them.
        rotations: shape ``(3, 3)`` or ``(batch, 3, 3)``, acting on e3nn's xyz; ``None`` leaves the canonical pose.
        size: half the side of the square in the stereographic plane; it reaches 2 arctan(size) from the centre.
        stencil: distance in pixels of the two samples that are interpolated along each side: 1 is bilinear. 2 is what
            the published code does: it jumps wherever the stencil moves on, and its weights add up to four, which
            rescaling each picture to [0, 1] hides.

    Returns:
        Shape ``(n_beta, n_alpha, batch)``, in the dtype and on the device of ``images``.

    Raises:
        ValueError: wrong shapes, values that are not finite, matrices that are not rotations, or an unknown stencil.
    """
    images, alpha, beta = _checked(images, grid)
    rotations = _rotations(rotations, len(images))
    if stencil not in (1, 2) or not 0 < size <= 1:
        raise ValueError(f"expected stencil 1 or 2 and a size in (0, 1], got {stencil} and {size}")
    sin_beta = beta.sin()[:, None]
    x = torch.stack(
        [sin_beta * alpha.sin(), beta.cos()[:, None].expand(-1, len(alpha)), sin_beta * alpha.cos()], dim=-1
    )
    right, up, centre = torch.einsum("bij,hwi->jbhw", rotations @ CANONICAL, x)
    uv = torch.stack([right, -up], -1) / (size * (1 + centre).clamp_min(1e-9))[..., None]
    sample = _bilinear if stencil == 1 else _of_width_two
    return sample(images, uv.to(images)).permute(1, 2, 0)


def four_digits_on_sphere(
    images: Tensor, grid: Sequence[Tensor], rotations: Tensor | None = None, *, size: float = 0.41
) -> Tensor:
    """Four pictures on each sphere: upright around the equator, a quarter turn apart, then turned together.

    At the default size, just under tan(π/8), digits with the margins of MNIST do not overlap.

    Args:
        images: shape ``(batch, 4, height, width)``; the others as for `digits_on_sphere`.

    Returns:
        One signal a picture, shape ``(n_beta, n_alpha, batch, 4)``: the picture of the sphere is the sum over the last
        axis, and `masks` takes it as it is.
    """
    if images.ndim != 4 or images.shape[1] != 4:
        raise ValueError(f"expected images of shape (batch, 4, height, width), got {tuple(images.shape)}")
    whole = _rotations(rotations, len(images))
    quarter = torch.tensor([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]], dtype=torch.float64)  # about the polar axis
    turns = [torch.linalg.matrix_power(quarter, j) for j in range(4)]
    return torch.stack(
        [digits_on_sphere(images[:, j], grid, whole @ turn, size=size) for j, turn in enumerate(turns)], dim=-1
    )


def charts(signals: Tensor) -> Tensor:
    """Signals ``(n_beta, n_alpha, batch)`` as pictures ``(batch, 1, n_beta, n_alpha)`` for a planar network."""
    return signals.permute(2, 0, 1)[:, None]


def _bilinear(images: Tensor, uv: Tensor) -> Tensor:
    """``(batch, height, width)`` at ``(batch, n_beta, n_alpha, 2)``; zero outside the square."""
    return F.grid_sample(images[:, None], uv, mode="bilinear", padding_mode="zeros", align_corners=True)[:, 0]


def _of_width_two(images: Tensor, uv: Tensor) -> Tensor:
    """The published sampler: pixels i − 1 and i + 1 around a point between i and i + 1, then rescaled to [0, 1]."""
    height, width = images.shape[1:]
    padded = F.pad(images, (2, 2, 2, 2))
    place = (uv + 1) / 2 * uv.new_tensor([width - 1, height - 1])
    batch = torch.arange(len(images), device=images.device)[:, None, None]
    total = images.new_zeros(uv.shape[:-1])
    pixel = place.floor()
    for dx in (-1, 1):
        for dy in (-1, 1):
            step = uv.new_tensor([dx, dy])
            tap, weight = pixel + step, (1 + step * (place - pixel)).prod(-1)
            column, row = (tap[..., i].clamp(-2, side + 1).long() + 2 for i, side in enumerate((width, height)))
            total += weight * padded[batch, row, column]
    low, high = total.amin((1, 2), keepdim=True), total.amax((1, 2), keepdim=True)
    return (total - low) / (high - low).clamp_min(1e-9)


def _checked(images: Tensor, grid: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """The pictures without channels, and the grid in float64 on the CPU: not every device has it."""
    if images.ndim == 4 and images.shape[1] == 1:
        images = images[:, 0]
    if images.ndim != 3 or not images.is_floating_point():
        raise ValueError(
            f"expected grey values of shape (batch, height, width), got {images.dtype} of shape {tuple(images.shape)}"
        )
    if not images.isfinite().all():
        raise ValueError("the images hold NaN or infinity")
    if len(grid) != 2 or any(axis.ndim != 1 or not axis.isfinite().all() for axis in grid):
        raise ValueError("expected the grid as two finite vectors (alpha, beta), as S2FFT.grid() gives them")
    alpha, beta = (axis.cpu().double() for axis in grid)
    return images, alpha, beta


def _rotations(rotations: Tensor | None, n: int) -> Tensor:
    if rotations is None:
        return torch.eye(3, dtype=torch.float64).expand(n, 3, 3)
    if rotations.shape not in ((3, 3), (n, 3, 3)):
        raise ValueError(f"expected rotations of shape (3, 3) or ({n}, 3, 3), got {tuple(rotations.shape)}")
    check_rotation(rotations)
    return rotations.cpu().double().expand(n, 3, 3)

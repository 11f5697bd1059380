r"""Frames, what turning them does, and what does not notice: the associated bundle P ×_ρ V of an oriented surface.

A point p of the frame bundle P over x is a right-handed orthonormal basis (e₁, e₂) of the tangent plane, and G = SO(2)
acts on it from the right. A field of spin n takes values in V = ℂ, on which the angle g acts as ρ(g) = e^{ing}; tangent
vectors have spin 1. Coefficients mean nothing without the frame that they belong to,

    (p, v) ~ (p ◁ g, g⁻¹ ▷ v).

Frames are tensors ``(…, 2, 3)`` with rows e₁ and e₂, coefficients complex, angles in radians.

Source: Gerken, "Fiber bundles"; Gerken et al. (2023), sec. 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["act", "angle_between", "components", "turn", "vector"]


def turn(frame: Tensor, angle: float | Tensor) -> Tensor:
    """p ◁ g: both vectors of the frame turned by an angle, from e₁ towards e₂.

    Args:
        frame: shape ``(…, 2, 3)``.
        angle: radians, a number or a shape that broadcasts with ``…``.

    Raises:
        ValueError: a frame of another shape.
    """
    _check_frame(frame)
    g = torch.as_tensor(angle, dtype=frame.dtype, device=frame.device)[..., None]
    e1, e2 = frame.unbind(-2)
    return torch.stack([g.cos() * e1 + g.sin() * e2, g.cos() * e2 - g.sin() * e1], -2)


def components(v: Tensor, frame: Tensor) -> Tensor:
    """Coefficient v·e₁ + i v·e₂ of vectors ``(…, 3)`` in frames ``(…, 2, 3)``; a part along the normal is left out.

    Raises:
        ValueError: shapes that do not end in 3 and in 2, 3.
    """
    _check_frame(frame)
    if v.shape[-1:] != (3,):
        raise ValueError(f"expected vectors of shape (…, 3), got {tuple(v.shape)}")
    along = (frame * v[..., None, :]).sum(-1)
    return torch.complex(along[..., 0], along[..., 1])


def vector(c: Tensor, frame: Tensor) -> Tensor:
    """The tangent vector with coefficient c, ``(…,)`` complex, in frames ``(…, 2, 3)``: the inverse of `components`.

    Raises:
        ValueError: a frame of another shape.
    """
    _check_frame(frame)
    return c.real[..., None] * frame[..., 0, :] + c.imag[..., None] * frame[..., 1, :]


def act(spin: int | Tensor, angle: float | Tensor, c: Tensor) -> Tensor:
    """g ▷ v = e^{i·spin·angle} v on coefficients; spin and angle broadcast with c.

    ``act(n, -a, c)`` belongs to ``turn(frame, a)`` as c belongs to ``frame``.
    """
    phase = torch.as_tensor(angle, dtype=c.real.dtype, device=c.device) * spin
    return torch.polar(torch.ones_like(phase), phase) * c


def angle_between(frame: Tensor, other: Tensor) -> Tensor:
    """The g in (−π, π] with ``other = turn(frame, g)``, for two frames of one tangent plane; shape ``(…,)``."""
    return components(other[..., 0, :], frame).angle()


def _check_frame(frame: Tensor) -> None:
    if frame.shape[-2:] != (2, 3):
        raise ValueError(f"expected frames of shape (…, 2, 3), rows e₁ and e₂, got {tuple(frame.shape)}")

"""The point of a drawn manifold nearest to a picture: how far off that is, and what it shows, without a network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jvp, vmap

__all__ = ["nearest"]

Draw = Callable[[Tensor], Tensor]


@torch.no_grad()
def nearest(draw: Draw, x: Tensor, start: Tensor, *, steps: int = 20) -> tuple[Tensor, Tensor]:
    r"""Parameters p ∈ [0, 1]ᴾ that minimise ‖x − draw(p)‖₂ near ``start``, and this distance.

    Damped least squares with a damping for each picture, which falls with every step that helps and grows with every
    one that does not; parameters stay in the cube. What it finds is a local minimum, so that the distance to the
    manifold is at most the one returned.

    Args:
        draw: maps ``(n, P)`` to pictures, row by row.
        x: pictures, shape ``(n, …)``.
        start: where to begin, shape ``(n, P)``; the result has its dtype.
        steps: number of linear systems solved for each picture.

    Returns:
        Parameters, shape ``(n, P)``, and distances, shape ``(n,)``, never greater than at ``start``.

    Source: Levenberg (1944), Marquardt (1963).
    """
    p, target = start.clone(), x.to(start).flatten(1)
    damping = torch.full_like(p[:, 0], 1e-2)
    exact = torch.float32 if p.device.type == "mps" else torch.float64  # an MPS device has no float64
    picture, jacobian = _linearised(draw, p)
    rest = target - picture
    for _ in range(steps):
        normal = (jacobian @ jacobian.mT).to(exact)
        gradient = (jacobian @ rest[:, :, None]).to(exact)
        # a parameter at the wall of the cube that wants to leave it is held, or it would bend the others' step
        held = ((p <= 0) & (gradient[..., 0] < 0)) | ((p >= 1) & (gradient[..., 0] > 0))
        free = (~held).to(exact)
        normal = normal * free[:, :, None] * free[:, None, :]
        scale = normal.diagonal(dim1=1, dim2=2).clamp_min(1e-4 * normal.diagonal(dim1=1, dim2=2).amax(1, True))
        normal = normal + torch.diag_embed(damping.to(exact)[:, None] * scale + held + 1e-9)
        step = torch.linalg.solve(normal, gradient * free[:, :, None])[..., 0].to(p)
        there = (p + step).clamp(0, 1)
        picture, slope = _linearised(draw, there)
        better = (target - picture).square().sum(1) < rest.square().sum(1)
        p = torch.where(better[:, None], there, p)
        rest = torch.where(better[:, None], target - picture, rest)
        jacobian = torch.where(better[:, None, None], slope, jacobian)
        damping = torch.where(better, damping / 3, damping * 4).clamp(1e-7, 1e7)
    return p, rest.norm(dim=1)


def _linearised(draw: Draw, p: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures, shape ``(n, D)``, and their derivative by each parameter, shape ``(n, P, D)``."""
    every = torch.eye(p.shape[1], dtype=p.dtype, device=p.device)[:, None].expand(-1, len(p), -1)
    both = vmap(lambda v: jvp(draw, (p,), (v,))[:2], out_dims=(None, 1))  # type: ignore[arg-type]
    pictures, slopes = both(every)
    return pictures.flatten(1), slopes.flatten(2)

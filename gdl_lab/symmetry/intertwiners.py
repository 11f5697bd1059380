r"""All linear maps that are equivariant: W ρ(g) = σ(g) W, solved as linear equations for W."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["intertwiners", "matrix_of"]


def intertwiners(rho: Sequence[Tensor] | Tensor, sigma: Sequence[Tensor] | Tensor, *, tol: float = 1e-9) -> Tensor:
    r"""An orthonormal basis of the linear maps W with W ρ(g) = σ(g) W for the given g.

    If the g generate the group, these are all its equivariant linear maps. Of a continuous group two random elements
    do, with probability one: they generate a dense subgroup.

    Args:
        rho: matrices ρ(g), each ``(m, m)``.
        sigma: matrices σ(g), each ``(n, n)``, in the same order.
        tol: singular values below it, relative to the largest, count as zero.

    Returns:
        Shape ``(dimension, n, m)``, float64. A dimension of 0 says that only W = 0 is equivariant.

    Raises:
        ValueError: not as many ρ(g) as σ(g), none at all, or matrices that are not square or not finite.
    """
    rho, sigma = ([torch.as_tensor(one).double().contiguous() for one in matrices] for matrices in (rho, sigma))
    if len(rho) != len(sigma) or not rho:
        raise ValueError(f"expected as many ρ(g) as σ(g), at least one, got {len(rho)} and {len(sigma)}")
    m, n = len(rho[0]), len(sigma[0])
    for matrices, side in ((rho, m), (sigma, n)):
        if any(one.shape != (side, side) or not bool(one.isfinite().all()) for one in matrices):
            raise ValueError(f"expected finite square matrices of one size, got {[tuple(m.shape) for m in matrices]}")
    one_m, one_n = (torch.eye(side, dtype=torch.float64, device=rho[0].device) for side in (m, n))
    # Row by row, W ρ is (1 ⊗ ρᵀ) W and σ W is (σ ⊗ 1) W.
    equations = torch.cat(
        [torch.kron(one_n, r.T.contiguous()) - torch.kron(s, one_m) for r, s in zip(rho, sigma, strict=True)]
    )
    _, size, rows = torch.linalg.svd(torch.linalg.qr(equations, mode="r").R)
    return rows[size <= tol * max(float(size.max()), 1.0)].view(-1, n, m)


def matrix_of(act: Callable[[Tensor], Tensor], shape: Sequence[int]) -> Tensor:
    """The matrix of a linear action, column by column: how it moves each of the functions that are 1 at one place.

    Args:
        act: acts on tensors ``(batch, *shape)``, float64.
        shape: of one function.
    """
    n = int(torch.Size(shape).numel())
    places = torch.eye(n, dtype=torch.float64)
    return act(places.view(n, *shape)).reshape(n, -1).T.contiguous()

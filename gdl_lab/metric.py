r"""The metric that a flow g: Z → X induces on data space, without which no step in base space can be understood.

Lengths in Z, measured by the identity matrix, become lengths in X, measured at x = g(z) by

    γ = (∂z/∂x)ᵀ(∂z/∂x),   hence   γ⁻¹ = J Jᵀ   with   J = ∂x/∂z.

A step λ ∂(f∘g)/∂z in Z is the step λ γ⁻¹ ∂f/∂x in X, up to O(λ²). So the singular values of J say how far a step of
unit length in Z can go in X: far along the data, and hardly at all away from them.

Every function takes base points z, shape ``(batch, D)``, and a flow: one of ours, an `adapt`-ed one, or any map that
takes ``(batch, D)`` to ``(batch, …)`` and each point by itself. Dtype and device are those of z; results are constants
for autograd.

Source: Gerken, "Gradient ascent in base space"; Dombrowski, Gerken, Müller & Kessel (2023).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.func import jvp, vjp, vmap

from gdl_lab import runtime
from gdl_lab.flows import Diffeomorphism, Flow, adapt

__all__ = [
    "Diffeomorphism",
    "NormalTangent",
    "adapt",
    "apply_inverse_metric",
    "inverse_metric",
    "jacobian",
    "normal_tangent",
    "singular_values",
    "step_remainder",
]

Map = Callable[[Tensor], Tensor]
SPARE = 8  # directions searched for beyond the k asked for: they keep the k-th from converging last


def jacobian(flow: Flow | Diffeomorphism | Map, z: Tensor, *, chunk: int = 64) -> Tensor:
    r"""J = ∂x/∂z, shape ``(batch, dim X, D)`` with entry ``[·, i, j]`` = ∂x_i/∂z_j; x is flattened.

    The closed form of our flows, and for other maps forward derivatives along ``chunk`` directions at a time, so that
    beside the result no more memory is needed than ``chunk`` evaluations of the map take.

    Raises:
        ValueError: z of another shape, or with NaN or infinity; a chunk below one.
    """
    if chunk < 1:
        raise ValueError(f"expected a chunk of at least one direction, got {chunk}")
    g = _through(flow, z)
    if isinstance(flow, Flow):
        return flow.jacobian(z, chunk=chunk).detach()
    return _push_tangents(g, z, torch.eye(z.shape[1], dtype=z.dtype, device=z.device).expand(len(z), -1, -1), chunk)


def inverse_metric(flow: Flow | Diffeomorphism | Map, z: Tensor) -> Tensor:
    r"""Inverse of the metric that the flow induces on data space, γ⁻¹ = J Jᵀ, at x = g(z).

    Returns:
        Symmetric positive-definite matrices, shape ``(batch, D, D)``.

    Raises:
        ValueError: as `jacobian`.
    """
    J = jacobian(flow, z)
    return J @ J.mT


@torch.no_grad()
def apply_inverse_metric(flow: Flow | Diffeomorphism | Map, z: Tensor, v: Tensor) -> Tensor:
    r"""γ⁻¹v = J(Jᵀv) at x = g(z), one backward and one forward derivative and no matrix, so in any dimension.

    Args:
        v: covectors such as ∂f/∂x, of the shape of x.

    Returns:
        Vectors, of the shape of x.

    Raises:
        ValueError: as `jacobian`; v of another shape than x.
    """
    g = _through(flow, z)
    x, pull_back = vjp(g, z)  # type: ignore[misc]
    if v.shape != x.shape:
        raise ValueError(f"expected covectors of the shape of x, {tuple(x.shape)}, got {tuple(v.shape)}")
    return jvp(g, (z,), pull_back(v))[1]


def singular_values(
    flow: Flow | Diffeomorphism | Map,
    z: Tensor,
    k: int | None = None,
    which: Literal["top", "bottom"] = "top",
    *,
    tol: float = 1e-3,
    chunk: int = 64,
) -> Tensor:
    r"""Singular values of J = ∂x/∂z, the roots of the eigenvalues of γ⁻¹, in descending order.

    Without k the Jacobian is formed and all are found. With k only products with J and Jᵀ are used: worth it where D
    is large and the spectrum decays. The smallest are found as the inverses of the largest of ∂z/∂x.

    Args:
        k: how many; all D if ``None``.
        which: the k largest or the k smallest.
        tol: there is a singular value σ within a relative distance ``tol`` of each that is returned; in general they
            are far closer, since the error goes with the square of what this bounds.

    Returns:
        Shape ``(batch, k)``; ``k = None`` gives ``(batch, D)``.

    Raises:
        ValueError: as `jacobian`; a k outside 1 … D; ``"bottom"`` of a map that cannot be pulled back.

    Source: the search is a block Krylov method, Musco & Musco (2015), that grows by the residuals of its estimates.
    """
    if which not in ("top", "bottom"):
        raise ValueError(f"expected which='top' or 'bottom', got {which!r}")
    g = _through(flow, z)
    if k is None:
        return torch.linalg.svdvals(jacobian(flow, z, chunk=chunk))
    if not 1 <= k <= z.shape[1]:
        raise ValueError(f"expected between 1 and {z.shape[1]} singular values, got k={k}")
    if which == "top":
        return _largest(g, z, k, tol, chunk)
    if not isinstance(flow, Flow | Diffeomorphism):
        raise ValueError("the smallest singular values come from the inverse: expected a flow with pull, got a map")
    with torch.no_grad():
        x = flow.push(z)
    pull: Map = flow.pull
    return 1 / _largest(lambda y: pull(y.unflatten(1, x.shape[1:])), x.flatten(1), k, tol, chunk).flip(1)


class NormalTangent(NamedTuple):
    r"""γ⁻¹ in coordinates y = (y_∥, y_⊥) along and across a manifold; see `normal_tangent`.

    Attributes:
        tangent: γ_D⁻¹, shape ``(batch, d, d)``.
        normal: γ_⊥⁻¹, shape ``(batch, D − d)``, descending.
        frame: E = ∂x/∂y, shape ``(batch, D, D)``, d tangent vectors and then the n_i as columns.
    """

    tangent: Tensor
    normal: Tensor
    frame: Tensor


def normal_tangent(gamma_inv: Tensor, tangent: Tensor) -> NormalTangent:
    r"""Split γ⁻¹ at a point of a d-dimensional manifold into its part along the manifold and those across it.

    The n_i are γ-orthogonal to the tangent space and to each other, so that γ⁻¹ = E diag(γ_D⁻¹, γ_⊥⁻¹) Eᵀ. That leaves
    their lengths open, and everything hangs on them. Here ν_i(n_i) = 1 for conormals ν_i that vanish on the tangent
    space and are unit vectors of the Euclidean metric: y_⊥ is the distance to the manifold, and

        γ_⊥⁻¹ = νᵀγ⁻¹ν,   n = γ⁻¹ν / νᵀγ⁻¹ν,

    without an inverse of γ. Unit vectors n instead would give γ_⊥⁻¹|n|², which need not become small with the
    thickness δ of the data: where γ⁻¹ν has a part of order δ along the manifold, n leans over by |n| ~ 1/δ.

    Args:
        gamma_inv: γ⁻¹, shape ``(batch, D, D)``.
        tangent: a basis of the tangent space, shape ``(batch, D)`` for a curve, else ``(batch, D, d)``; it is made
            orthonormal, vector after vector.

    Raises:
        ValueError: shapes that do not fit, tangent vectors that are dependent, a γ⁻¹ that is not positive definite.

    Source: Gerken, "Gradient ascent in y-coordinates".
    """
    T = tangent[:, :, None] if tangent.ndim == 2 else tangent
    if gamma_inv.ndim != 3 or T.ndim != 3 or gamma_inv.shape != (*T.shape[:2], T.shape[1]) or T.shape[2] >= T.shape[1]:
        raise ValueError(
            "expected matrices (batch, D, D) and tangent vectors (batch, D) or (batch, D, d) with d < D, got "
            f"{tuple(gamma_inv.shape)} and {tuple(tangent.shape)}"
        )
    d = T.shape[2]
    Q, R = torch.linalg.qr(T, mode="complete")
    slant = R.diagonal(dim1=1, dim2=2).abs() / T.norm(dim=1)
    if not bool((slant > 1e-6).all()):
        raise ValueError("expected independent tangent vectors, finite and not zero")
    T, M = Q[:, :, :d], Q[:, :, d:]
    normal, rotation = torch.linalg.eigh(M.mT @ gamma_inv @ M)
    normal, nu = normal.flip(1), M @ rotation.flip(2)
    if not bool((normal > 0).all()):
        raise ValueError(
            f"expected a positive definite γ⁻¹, got {float(normal.min()):.1e} across the manifold in "
            f"{gamma_inv.dtype}: compute it in float64"
        )
    n = gamma_inv @ nu / normal[:, None]
    along = n.mT @ T
    return NormalTangent(T.mT @ gamma_inv @ T - along.mT @ (normal[:, :, None] * along), normal, torch.cat([T, n], 2))


def step_remainder(
    flow: Flow | Diffeomorphism | Map, f: Map, z: Tensor, lams: Sequence[float] = (1e-2, 1e-3, 1e-4, 1e-5)
) -> Tensor:
    r"""What the theorem calls O(λ²): |g(z + λ ∂(f∘g)/∂z) − x − λ γ⁻¹ ∂f/∂x| at x = g(z).

    Over λ, on logarithmic scales, it has slope 2. In float32 rounding hides that below λ ≈ 10⁻³: use float64.

    Args:
        f: the function that is climbed, ``(batch, …)`` → ``(batch,)``, each point by itself.
        lams: step sizes λ.

    Returns:
        Norms, shape ``(len(lams), batch)``.

    Raises:
        ValueError: as `jacobian`; an f of another shape.
    """
    g = _through(flow, z)
    in_z = _gradient(lambda z: f(g(z)), z)
    with torch.no_grad():
        x = g(z)
    first_order = apply_inverse_metric(flow, z, _gradient(f, x))
    with torch.no_grad():
        steps = [g(z + lam * in_z) - x - lam * first_order for lam in lams]
    return torch.stack([step.flatten(1).norm(dim=1) for step in steps])


def _through(flow: Flow | Diffeomorphism | Map, z: Tensor) -> Map:
    """The public door: checks z, and returns g, which checks its own result."""
    if z.ndim != 2 or z.numel() == 0 or not z.is_floating_point():
        raise ValueError(
            f"expected base points of shape (batch, D) with batch ≥ 1, got {z.dtype} of shape {tuple(z.shape)}"
        )
    if not bool(z.isfinite().all()):
        raise ValueError(f"expected finite base points, got {int((~z.isfinite()).sum())} entries NaN or infinite")
    push: Map = getattr(flow, "push", flow)  # type: ignore[arg-type]

    def g(z: Tensor) -> Tensor:
        x = push(z)
        if not isinstance(x, Tensor) or x.ndim < 2 or len(x) != len(z):
            got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise ValueError(f"expected a map from {tuple(z.shape)} to ({len(z)}, …), and it gave {got}")
        return x

    return g


def _gradient(f: Map, x: Tensor) -> Tensor:
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = f(x)
        if value.shape != x.shape[:1]:
            raise ValueError(f"expected a function with values of shape ({len(x)},), got {tuple(value.shape)}")
        return torch.autograd.grad(value.sum(), x)[0]


@torch.no_grad()
def _push_tangents(g: Map, z: Tensor, v: Tensor, chunk: int) -> Tensor:
    """J v for the columns of v, ``(batch, D, m)`` → ``(batch, dim X, m)``."""
    push = vmap(lambda v: jvp(lambda z: g(z).flatten(1), (z,), (v,))[1], in_dims=2, out_dims=2)
    return torch.cat([push(part) for part in v.split(chunk, 2)], 2)


@torch.no_grad()
def _pull_covectors(g: Map, z: Tensor, w: Tensor, chunk: int) -> Tensor:
    """Jᵀw for the columns of w, ``(batch, dim X, m)`` → ``(batch, D, m)``."""
    back = vjp(lambda z: g(z).flatten(1), z)[1]
    pull = vmap(lambda w: back(w, retain_graph=True, create_graph=False)[0], in_dims=2, out_dims=2)
    return torch.cat([pull(part) for part in w.split(chunk, 2)], 2)


def _largest(g: Map, z: Tensor, k: int, tol: float, chunk: int) -> Tensor:
    """The k largest singular values of ∂g/∂z, from orthonormal vectors in X that grow in number until all k are found.

    With JᵀB = W s Vᵀ for the vectors B so far, J w − s BV is orthogonal to B, and no longer than s is wrong.
    """
    width = min(k + SPARE, z.shape[1])
    noise = torch.randn(*z.shape, width, generator=runtime.generator("singular values"))
    grow = _push_tangents(g, z, noise.to(z), chunk)
    rows, B, rank = z.new_empty(*z.shape, 0), grow[:, :, :0], min(grow.shape[1], z.shape[1])
    while True:
        for _ in range(2):  # what is left of a residual that is nearly zero is not yet orthogonal to B
            grow = torch.linalg.qr(grow - B @ (B.mT @ grow)).Q[:, :, : rank - B.shape[2]]
        B, rows = torch.cat([B, grow], 2), torch.cat([rows, _pull_covectors(g, z, grow, chunk)], 2)
        W, s, Vt = torch.linalg.svd(rows, full_matrices=False)
        if B.shape[2] == rank:
            return s[:, :k]
        grow = _push_tangents(g, z, W[:, :, :width], chunk) - (B @ Vt.mT[:, :, :width]) * s[:, None, :width]
        if bool((grow.norm(dim=1)[:, :k] <= tol * s[:, :k]).all()):
            return s[:, :k]

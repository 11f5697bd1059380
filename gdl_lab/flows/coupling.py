r"""Coupling layers: half of the coordinates stay, the other half moves by a map that the first half chooses.

    x_a = z_a,   x_b = φ(z_b; θ(z_a)),   ∂x/∂z = [[1, 0], [∂φ/∂θ · ∂θ/∂z_a, diag φ′]],

so that the determinant is Π φ′ and θ may be any network.

Source: Gerken, "Normalizing flows"; Dinh, Sohl-Dickstein & Bengio (2017), eq. 4–8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdl_lab.flows.affine import Affine
from gdl_lab.flows.flow import Flow
from gdl_lab.flows.spline import Spline

__all__ = ["AffineCoupling", "Conditioner", "Coupling", "SplineCoupling", "jacobian", "pull", "push"]


class Conditioner(nn.Module):
    r"""The network θ(z_a), layers z ↦ SiLU(zW + b) and a last one without SiLU that starts at zero: φ is the identity.

    Weights are stored as W with zW, and looked up together: for a single point, PyTorch's layers take longer to be
    called than their products to be computed.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        if min(widths) < 1:
            raise ValueError(f"expected positive widths, got {list(widths)}")
        for j, (m, n) in enumerate(pairwise(widths)):
            bound = m**-0.5 if j < len(widths) - 2 else 0.0  # the bound that PyTorch's layers start with
            self.register_parameter(f"W{j}", nn.Parameter(torch.empty(m, n).uniform_(-bound, bound)))
            self.register_parameter(f"b{j}", nn.Parameter(torch.empty(n).uniform_(-bound, bound)))

    def layers(self) -> list[tuple[Tensor, Tensor]]:
        """The pairs (W, b), shapes ``(m, n)`` and ``(n,)``."""
        each = iter(cast(dict[str, Tensor], self._parameters).values())
        return list(zip(each, each, strict=True))

    def theta(self, kept: Tensor) -> Tensor:
        """θ(z_a), ``(batch, dim z_a)`` → ``(batch, p·m)``."""
        *hidden, (W, b) = self.layers()
        for V, c in hidden:
            kept = F.silu(torch.addmm(c, kept, V))
        return torch.addmm(b, kept, W)

    def differentiate(self, kept: Tensor) -> tuple[Tensor, Callable[[Tensor, int], Tensor]]:
        r"""θ, and the map (w, m) ↦ Σ_p w_pm ∂θ_pm/∂z_a, ``(batch, p·m)`` → ``(batch, m, dim z_a)``.

        Backwards through the layers with the p rows of each m merged first, so that m rows travel instead of p·m.
        """
        (*hidden, (W, b)), slopes = self.layers(), []
        for V, c in hidden:
            u = torch.addmm(c, kept, V)
            gate = u.sigmoid()
            kept = u * gate
            slopes.append(torch.addcmul(gate, kept, u.neg().sigmoid()))  # SiLU′

        def merge(by_theta: Tensor, m: int) -> Tensor:
            weights = by_theta.unflatten(1, (-1, m))[..., None]
            columns = W.mT.contiguous().unflatten(0, (-1, m))  # contiguous, or every product below copies its rows
            rows = weights[:, 0] * columns[0]
            for p in range(1, len(columns)):
                rows = torch.addcmul(rows, weights[:, p], columns[p])
            for (V, _), slope in zip(reversed(hidden), reversed(slopes), strict=True):
                rows = rows.mul_(slope[:, None]) @ V.mT
            return rows

        return torch.addmm(b, kept, W), merge


class Coupling(Flow):
    r"""One layer x = (z_a, φ(z_b; θ(z_a))) on ℝᴰ, D ≥ 2, with a the first ⌈D/2⌉ coordinates; `family` is that of φ.

    Args:
        dim: D.
        hidden: widths of the hidden layers of θ.
        swap: let the second half stay and the first half move.
        base: ``"normal"`` or ``"uniform"``.
        options: handed to the family: ``cap``, or ``bins`` and ``bound``.
    """

    family: ClassVar[type[Affine | Spline]]

    def __init__(
        self, dim: int, hidden: Sequence[int] = (128, 128), *, swap: bool = False, base: str = "normal", **options: Any
    ) -> None:
        if dim < 2:
            raise ValueError(f"a coupling needs two halves, got dimension {dim}")
        super().__init__((dim,), base=base, architecture={"dim": dim, "hidden": list(hidden), "swap": swap, **options})
        halves = (dim - dim // 2, dim // 2)
        self.kept, self.moved = (1, 0) if swap else (0, 1)
        self.elementwise = self.family(**options)
        self.conditioner = Conditioner([halves[self.kept], *hidden, self.elementwise.parameters * halves[self.moved]])

    def _push(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return push([self], z)

    def _pull(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return pull([self], x)

    def _jacobian(self, z: Tensor, chunk: int) -> Tensor:
        return jacobian([self], z)


class AffineCoupling(Coupling):
    """The coupling of RealNVP, x_b = z_b ⊙ exp(s(z_a)) + t(z_a), one network giving both s and t; see `Coupling`."""

    family = Affine


class SplineCoupling(Coupling):
    """The coupling whose φ is a `Spline`; see `Coupling`."""

    family = Spline


# A chain of couplings keeps the halves as two tensors from its first layer to its last: those that take turns to stay
# cost no permutation and no copy.


def push(couplings: Iterable[Coupling], z: Tensor) -> tuple[Tensor, Tensor]:
    """Through the couplings one after the other: x and log|det ∂x/∂z|, both trusted as `Flow._push` is."""
    halves, log_slopes = list(z.chunk(2, 1)), []
    for c in couplings:
        halves[c.moved], log_slope = c.elementwise.push(halves[c.moved], c.conditioner.theta(halves[c.kept]))
        log_slopes.append(log_slope)
    return torch.cat(halves, 1), torch.cat(log_slopes, 1).sum(1)


def pull(couplings: Iterable[Coupling], x: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse of `push` through the same couplings, the last first: z and log|det ∂z/∂x|."""
    halves, log_slopes = list(x.chunk(2, 1)), []
    for c in reversed(list(couplings)):
        halves[c.moved], log_slope = c.elementwise.pull(halves[c.moved], c.conditioner.theta(halves[c.kept]))
        log_slopes.append(log_slope)
    return torch.cat(halves, 1), torch.cat(log_slopes, 1).sum(1)


def jacobian(couplings: Iterable[Coupling], z: Tensor) -> Tensor:
    r"""∂x/∂z of the chain, shape ``(batch, D, D)``: the product of the couplings' block-triangular Jacobians.

    With the rows J_a, J_b of the product so far, a layer does J_b ← diag(φ′) J_b + (∂φ/∂θ · ∂θ/∂z_a) J_a.
    """
    halves = list(z.chunk(2, 1))
    rows = list(torch.eye(z.shape[1], dtype=z.dtype, device=z.device).expand(len(z), -1, -1).chunk(2, 1))
    for c in couplings:
        theta, merge = c.conditioner.differentiate(halves[c.kept])
        halves[c.moved], slope, by_theta = c.elementwise.differentiate(halves[c.moved], theta)
        pushed = merge(by_theta, slope.shape[1]) @ rows[c.kept]
        rows[c.moved] = torch.addcmul(pushed, slope[:, :, None], rows[c.moved])
    return torch.cat(rows, 1)

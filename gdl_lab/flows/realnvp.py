r"""RealNVP: couplings that take turns in which half stays, and a whitening between them and the data.

Source: Dinh, Sohl-Dickstein & Bengio (2017).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from gdl_lab.flows.coupling import AffineCoupling, Coupling, SplineCoupling, jacobian, pull, push
from gdl_lab.flows.flow import Flow
from gdl_lab.flows.whitening import Whitening

__all__ = ["RealNVP"]

Through = Callable[[Iterable[Coupling], Tensor], tuple[Tensor, Tensor]]
COUPLINGS: dict[str, type[Coupling]] = {"affine": AffineCoupling, "spline": SplineCoupling}


class RealNVP(Flow):
    r"""The flow g = w ∘ f on ℝᴰ: couplings f and, once `fit_whitening` was called, the whitening w of the data.

    It starts as the identity. For pictures, ``principal=p`` lets the couplings act on the p leading principal
    coordinates u = Pᵀz of the whitening alone, g(z) = w(z + P(f(u) − u)), and leaves the others Gaussian: still a
    diffeomorphism of ℝᴰ, with networks of p inputs.

    Args:
        dim: D.
        layers: number of couplings; of neighbours, one moves the first half and the other the second.
        hidden: widths of the hidden layers of each coupling's network.
        coupling: ``"affine"`` or ``"spline"``.
        principal: number of principal coordinates that the couplings act on; all D if ``None``.
        whitening: number of stored principal directions, set by `fit_whitening`.
        base: ``"normal"`` or ``"uniform"``.
        options: handed to each coupling: ``cap`` to the affine one, ``bins`` and ``bound`` to the spline.

    Raises:
        ValueError: a dimension below 2, no layers, or more principal coordinates than there are.
    """

    def __init__(
        self,
        dim: int,
        layers: int = 8,
        hidden: Sequence[int] = (128, 128),
        *,
        coupling: str = "affine",
        principal: int | None = None,
        whitening: int | None = None,
        base: str = "normal",
        **options: Any,
    ) -> None:
        if layers < 1 or coupling not in COUPLINGS:
            raise ValueError(
                f"expected at least one layer of {' or '.join(COUPLINGS)} couplings, got {layers}, {coupling!r}"
            )
        architecture = {"dim": dim, "layers": layers, "hidden": list(hidden), "coupling": coupling, **options}
        super().__init__(
            (dim,), base=base, architecture={**architecture, "principal": principal, "whitening": whitening}
        )
        if principal is not None and not 2 <= principal <= (whitening or dim):
            raise ValueError(f"expected 2 to {whitening or dim} principal coordinates, got {principal}")
        make = COUPLINGS[coupling]
        self.couplings = nn.ModuleList(
            make(principal or dim, hidden, swap=bool(j % 2), **options) for j in range(layers)
        )
        self.principal = principal
        stored = principal if whitening is None else whitening
        self.whitening = None if stored is None else Whitening(dim, stored)

    def fit_whitening(self, x: Tensor, k: int | None = None) -> Self:
        r"""Set w to the k leading principal components of data x, shape ``(n, D)``; returns the flow.

        Args:
            k: number of directions that are stored; ``principal``, or else D, if ``None``.

        Raises:
            ValueError: as `push`; fewer directions than principal coordinates; data that do not vary in a direction.
        """
        x = self._checked(x, self.shape)
        if k is None:
            k = self.principal or self.dim
        if self.principal and k < self.principal:
            raise ValueError(f"expected at least the {self.principal} directions that the couplings act on, got k={k}")
        self.whitening = Whitening(self.dim, k).to(x).fit(x)
        self.architecture["whitening"] = k
        return self

    def _push(self, z: Tensor) -> tuple[Tensor, Tensor]:
        x, change = self._on_principal(push, z)
        return (self.whitening.push(x), change + self.whitening.log_det()) if self.whitening else (x, change)

    def _pull(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.whitening is None:
            return self._on_principal(pull, x)
        z, change = self._on_principal(pull, self.whitening.pull(x))
        return z, change - self.whitening.log_det()

    def _jacobian(self, z: Tensor, chunk: int) -> Tensor:
        if self.whitening is None:
            return jacobian(self._chain(), z)
        if self.principal is None:
            return self.whitening.push_tangents(jacobian(self._chain(), z))
        P = self.whitening.directions[:, : self.principal]
        small = jacobian(self._chain(), z @ P) - torch.eye(self.principal, dtype=z.dtype, device=z.device)
        return self.whitening.push_tangents(torch.eye(self.dim, dtype=z.dtype, device=z.device) + P @ small @ P.mT)

    def _on_principal(self, through: Through, z: Tensor) -> tuple[Tensor, Tensor]:
        """The couplings' map of the principal coordinates, and the identity on the others."""
        if self.whitening is None or self.principal is None:
            return through(self._chain(), z)
        P = self.whitening.directions[:, : self.principal]
        u = z @ P
        v, change = through(self._chain(), u)
        return z + (v - u) @ P.mT, change

    def _chain(self) -> Iterable[Coupling]:
        return cast(Iterable[Coupling], self.couplings)

r"""Convolutions on S² and SO(3), computed in Fourier space; all are equivariant to the last digit, whatever the kernel.

The talk's layers, with the means ∫ dx and ∫ dR over S² and SO(3), and their Fourier coefficients in our real basis,

    (κ⋆f)(R) = ∫_{S²} κ(R⁻¹x) f(x) dx,        (κ⋆f)^l_mn = f^l_m κ^l_n / √(2l+1),
    (ψ⋆F)(S) = ∫_{SO(3)} ψ(R⁻¹S) F(R) dR,     (ψ⋆F)^l_mn = Σ_k F^l_mk ψ^l_kn / √(2l+1).

so that κ⋆f = Σ f^l_m κ^l_n D^l_mn. The talk has κ^l_m f^l_n and Σ_k f^l_mk ψ^l_kn. The second line is right as it
stands. In the first the indices change places: a rotation of f acts on the left index m, so that m belongs to f. In the
usual complex basis, with f^l_m = ∫ f Y̅^l_m, one factor is also conjugated: for real f and κ it is

    κ⋆f = Σ f̅^l_m κ^l_n D^l_mn = Σ f^l_m κ̅^l_n D̅^l_mn.

A real basis needs no conjugate, and half the arithmetic. Where a correlation ψ(S⁻¹R) stands in place of ψ(R⁻¹S), ψ^l_nk
stands in place of ψ^l_kn; the layers that can be learned are the same.

Integrating the second layer's output over the fibre, ∫_{SO(2)} (ψ⋆F)(Sh) dh, keeps its column n = 0: a map from SO(3)
to S² whose other columns need not be computed. Where κ or ψ is a sum of deltas at a few points near the identity, the
layer is local: (κ⋆f)(R) = Σ_p w_p f(R x_p) and (ψ⋆F)(S) = Σ_p w_p F(S g_p⁻¹).

Source: Gerken, slides on spherical group convolutions; Cohen et al. (2018), "Spherical CNNs".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gdl_lab.sphere.wigner import wigner_D

__all__ = ["S2Conv", "SO3Conv", "SO3toS2Conv", "convolve", "near_identity"]


def convolve(coeffs: Tensor, kernel: Sequence[Tensor]) -> Tensor:
    r"""Σ_i Σ_k F^l_mk,i K^l_kn,oi with K^l = ψ^l / √(2l+1): one batched matrix product a degree.

    Args:
        coeffs: spectrum F, shape ``(size, in_channels, batch)``; one on S² where the kernel has k = 0 alone.
        kernel: K^l for each degree, shape ``(2k+1, 2n+1, out_channels, in_channels)`` with both widths at most 2l+1.

    Returns:
        Spectrum of shape ``(size′, out_channels, batch)``, of as many degrees as ``kernel``.
    """
    parts, begin, batch = [], 0, coeffs.shape[-1]
    for l, K in enumerate(kernel):
        m, (k, n, after, before) = 2 * l + 1, K.shape
        F = coeffs[begin : begin + m * k].reshape(m, k * before, batch)
        matrix = K.permute(1, 2, 0, 3).reshape(n * after, k * before)
        parts.append(_Product.apply(matrix, F).view(m * n, after, batch))
        begin += m * k
    return torch.cat(parts)


class _Product(torch.autograd.Function):
    """matrix @ F[m] for each m. Autograd's own rule would hold the gradient of the matrix once for each m."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, F: Tensor) -> Tensor:
        ctx.save_for_backward(matrix, F)
        return torch.bmm(matrix.expand(len(F), -1, -1), F)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (matrix, F), (grad,) = ctx.saved_tensors, grads
        of_matrix = torch.addbmm(matrix, grad, F.mT, beta=0) if ctx.needs_input_grad[0] else None
        of_F = torch.bmm(matrix.T.expand(len(F), -1, -1), grad) if ctx.needs_input_grad[1] else None
        return of_matrix, of_F


def near_identity(radius: float, rings: int = 2, angles: int = 8, turns: int = 1) -> Tensor:
    r"""Rotations near the identity: where a local kernel lives.

    They carry the pole e_y to itself and to ``rings`` circles about it at equal distances, the last at β = ``radius``,
    each with ``angles`` points; and there are ``turns`` of them to each point, R_y(α) R_x(β) R_y(2πj/turns − α).

    Args:
        radius: in radians.

    Returns:
        Shape ``((1 + rings·angles)·turns, 3, 3)``, float64.

    Raises:
        ValueError: a radius outside (0, π], or a count that is not positive (``rings`` may be 0).
    """
    if not 0 < radius <= math.pi or rings < 0 or angles < 1 or turns < 1:
        got = f"radius {radius}, {rings} rings, {angles} angles, {turns} turns"
        raise ValueError(f"expected a radius in (0, π], rings ≥ 0, angles ≥ 1 and turns ≥ 1, got {got}")
    points = [(0.0, 0.0)]
    for ring in range(1, rings + 1):
        stagger = 0.5 * (ring % 2)
        points += [(2 * math.pi * (j + stagger) / angles, radius * ring / rings) for j in range(angles)]
    euler = [(alpha, beta, 2 * math.pi * j / turns - alpha) for alpha, beta in points for j in range(turns)]
    alpha, beta, gamma = torch.tensor(euler, dtype=torch.float64).T[..., None, None]
    about_x = torch.tensor([[0.0, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=torch.float64)
    about_y = torch.tensor([[0.0, 0, 1], [0, 0, 0], [-1, 0, 0]], dtype=torch.float64)
    return torch.matrix_exp(alpha * about_y) @ torch.matrix_exp(beta * about_x) @ torch.matrix_exp(gamma * about_y)


class _Convolution(nn.Module):
    """Kernel K^l_kn with abs(k) < cuts[0] and abs(n) < cuts[1]: every entry free, or deltas at given rotations."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        bandlimit: int,
        cuts: tuple[int | None, int | None],
        support: Tensor | None,
        *,
        lifts: bool = False,
    ) -> None:
        super().__init__()
        before, after = (bandlimit if cut is None else cut for cut in cuts)
        orders = before, after
        if min(in_channels, out_channels, *orders) < 1 or max(orders) > bandlimit:
            raise ValueError(
                f"expected positive channels and 1 ≤ orders ≤ bandlimit, got channels {in_channels} to "
                f"{out_channels} and orders {orders[0]} to {orders[1]} at bandlimit {bandlimit}"
            )
        if support is not None and (support.ndim != 3 or len(support) == 0):
            raise ValueError(f"expected rotations of shape (points, 3, 3) as support, got {tuple(support.shape)}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.bandlimit, self.orders = bandlimit, orders
        self.widths = [tuple(2 * min(l, n - 1) + 1 for n in orders) for l in range(bandlimit)]
        self.size = sum((2 * l + 1) * k for l, (k, _) in enumerate(self.widths))
        # at first a layer keeps the mean square of what goes through it, Σ coefficients²
        if support is None:
            copies = torch.tensor([n for k, n in self.widths for _ in range(k * n)])[:, None, None]
        else:
            self.table = self._deltas(support, lifts)
            self.casts: dict[tuple[torch.dtype, torch.device], Tensor] = {}
            copies = torch.full((len(support), 1, 1), len(support))
        weight = torch.randn(len(copies), out_channels, in_channels)
        self.weight = nn.Parameter(weight * (copies * in_channels).rsqrt())
        self.local = support is not None

    def _deltas(self, support: Tensor, lifts: bool) -> Tensor:
        """K^l_kn = D^l_kn(R_p) of ψ = δ(R_p⁻¹ ·), and K^l_0n = D^l_n0(R_p) of κ = δ(R_p⁻¹ ·): one column for each p."""
        rows = []
        for l, (D, (k, n)) in enumerate(zip(wigner_D(self.bandlimit, support), self.widths, strict=True)):
            k, n = k // 2, n // 2
            D = D.mT if lifts else D
            rows.append(D[:, l - k : l + k + 1, l - n : l + n + 1].flatten(1))
        return torch.cat(rows, 1).T.cpu().double().contiguous()

    def kernel(self) -> list[Tensor]:
        """K^l = ψ^l / √(2l+1) for each degree, shape ``(2k+1, 2n+1, out_channels, in_channels)``."""
        K = self.weight
        if self.local:
            key = (K.dtype, K.device)  # the table is kept in float64, so that .double() after .float() loses nothing
            if key not in self.casts:
                with torch.inference_mode(False):  # else a table cast there could not be trained with later on
                    self.casts[key] = self.table.to(K)
            K = (self.casts[key] @ K.flatten(1)).unflatten(1, K.shape[1:])
        return [
            K_l.unflatten(0, width)
            for K_l, width in zip(K.split([k * n for k, n in self.widths]), self.widths, strict=True)
        ]

    def forward(self, coeffs: Tensor) -> Tensor:
        """Spectrum ``(size, in_channels, batch)`` → spectrum ``(size′, out_channels, batch)``.

        Raises:
            ValueError: another number of rows or channels, or another dtype than that of the weights.
        """
        if coeffs.ndim != 3 or coeffs.shape[:2] != (self.size, self.in_channels):
            raise ValueError(
                f"expected a spectrum of bandlimit {self.bandlimit}, orders {self.orders[0]} and {self.in_channels} "
                f"channels, shape ({self.size}, {self.in_channels}, batch), got {tuple(coeffs.shape)}"
            )
        if coeffs.dtype != self.weight.dtype:
            raise ValueError(f"expected a spectrum of {self.weight.dtype}, got {coeffs.dtype}: convert one of the two")
        return convolve(coeffs, self.kernel())

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, bandlimit={self.bandlimit}, orders={self.orders}"


class S2Conv(_Convolution):
    r"""(κ⋆f)(R) = ∫ κ(R⁻¹x) f(x) dx, from S² to SO(3): f^l_m K^l_n with K^l_n = κ^l_n / √(2l+1).

    Args:
        in_channels, out_channels: of the spectra.
        bandlimit: L of input, kernel and output.
        orders: N of the output, which keeps abs(n) < N; `None` keeps all.
        support: rotations R_p, shape ``(points, 3, 3)``, such as `near_identity`: κ is a sum of learned deltas at the
            points R_p e_y. `None` learns every κ^l_n, a kernel as wide as the sphere.

    Raises:
        ValueError: orders above the bandlimit, a size below one, or a support of no or of improper rotations.

    >>> S2Conv(1, 12, 10, orders=4, support=near_identity(0.5))(torch.randn(100, 1, 32)).shape
    torch.Size([672, 12, 32])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        bandlimit: int,
        *,
        orders: int | None = None,
        support: Tensor | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, bandlimit, (1, orders), support, lifts=True)


class SO3Conv(_Convolution):
    r"""(ψ⋆F)(S) = ∫ ψ(R⁻¹S) F(R) dR on SO(3): Σ_k F^l_mk K^l_kn with K^l = ψ^l / √(2l+1).

    Args:
        in_channels, out_channels: of the spectra.
        bandlimit: L of input, kernel and output.
        orders: N of input and output, or one each; `None` keeps all.
        support: rotations R_p, shape ``(points, 3, 3)``, such as ``near_identity(…, turns=6)``: ψ is a sum of learned
            deltas at R_p. `None` learns every ψ^l_kn.

    Raises:
        ValueError: orders above the bandlimit, a size below one, or a support of no or of improper rotations.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        bandlimit: int,
        *,
        orders: int | tuple[int, int] | None = None,
        support: Tensor | None = None,
    ) -> None:
        pair = orders if isinstance(orders, tuple) else (orders, orders)
        super().__init__(in_channels, out_channels, bandlimit, pair, support)


class SO3toS2Conv(_Convolution):
    r"""∫_{SO(2)} (ψ⋆F)(Sh) dh, from SO(3) to S²: the column n = 0 of `SO3Conv`, the only one that is computed.

    Args:
        in_channels, out_channels: of the spectra.
        bandlimit: L of input, kernel and output.
        orders: N of the input; `None` for all.
        support: as for `SO3Conv`; rotations R_p that differ by a turn on the right, R_p R_y(γ), give the same layer.

    Raises:
        ValueError: orders above the bandlimit, a size below one, or a support of no or of improper rotations.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        bandlimit: int,
        *,
        orders: int | None = None,
        support: Tensor | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, bandlimit, (orders, 1), support)

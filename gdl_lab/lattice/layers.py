r"""Networks on links that no gauge transformation can fool: the layers of L-CNN.

Features are fields W(x) → Ω(x) W(x) Ω(x)†, ``(batch, channels, *lattice, N, N)``, beginning with the plaquettes. They
may be transported to x along links and then added, multiplied at one x in their order, scaled by gauge-invariant
numbers, and traced; nothing else. Any such layer followed by a trace is exactly invariant.

Source: Favoni, Ipp, Müller & Schuh (2022), eq. 6–9; the talk's "Internal gauge symmetries on the lattice".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdl_lab.lattice.links import check_links, multiply, regauge, regauge_field, shift
from gdl_lab.lattice.loops import plaquettes, trace
from gdl_lab.symmetry import equivariance_error

__all__ = ["LCNN", "LBilinear", "LConv", "LGate", "LTrace", "LatticeConv", "LinkCNN", "gauge_error", "transport"]


def transport(links: Tensor, field: Tensor, mu: int, n: int = 1) -> Tensor:
    """W(x + n μ̂) brought to x along the straight path, U W U†; n of either sign, shape as given. Input is trusted."""
    for _ in range(abs(n)):
        if n > 0:
            link = links[:, mu : mu + 1]
            field = multiply(multiply(link, shift(field, mu)), link.mH)
        else:
            link = shift(links[:, mu : mu + 1], mu, -1)
            field = multiply(multiply(link.mH, shift(field, mu, -1)), link)
    return field


class _Mixing(nn.Module):
    """Complex weights as two reals each, ``(…, 2)``: so `double`, optimisers and files treat them as any others."""

    def __init__(self, shape: Sequence[int], fan: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(*shape, 2) / (2 * fan) ** 0.5)

    def mix(self, equation: str, *fields: Tensor) -> Tensor:
        """Weights and fields through an ``einsum``."""
        return torch.einsum(equation, torch.view_as_complex(self.weight), *fields)


class LConv(_Mixing):
    r"""W′_i(x) = Σ_j [κ_ij W_j(x) + Σ_{μ, 0<|k|≤reach} κ_ijμk U W_j(x + kμ̂) U†], U the links on the way from x.

    Args:
        ins, outs: channels.
        dim: D.
        reach: the farthest site, in steps along an axis.
    """

    def __init__(self, ins: int, outs: int, dim: int, reach: int = 1) -> None:
        if min(ins, outs, reach) < 1 or not 2 <= dim <= 4:
            raise ValueError(f"expected positive sizes in 2 to 4 dimensions, got {ins=}, {outs=}, {dim=}, {reach=}")
        paths = 1 + 2 * dim * reach
        super().__init__((outs, ins, paths), ins * paths)
        self.dim, self.reach = dim, reach

    def forward(self, links: Tensor, field: Tensor) -> Tensor:
        """``(batch, ins, *lattice, N, N)`` → ``(batch, outs, *lattice, N, N)``."""
        around = [field]
        for mu in range(self.dim):
            for sign in (1, -1):
                carried = field
                for _ in range(self.reach):
                    carried = transport(links, carried, mu, sign)
                    around.append(carried)
        return self.mix("ijk,bjk...->bi...", torch.stack(around, 2))


class LBilinear(_Mixing):
    r"""W″_i(x) = Σ_jl α_ijl W_j(x) W′_l(x), by which loops grow: products of loops through x are loops through x."""

    def __init__(self, left: int, right: int, outs: int) -> None:
        if min(left, right, outs) < 1:
            raise ValueError(f"expected positive numbers of channels, got {left}, {right} and {outs}")
        super().__init__((outs, left, right), left * right)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Fields with ``left`` and ``right`` channels → ``(batch, outs, *lattice, N, N)``."""
        mixed = self.mix("ijk,bk...->bij...", right)  # sums over k before the products: fewer of them
        return multiply(left[:, None], mixed).sum(2)


class LGate(nn.Module):
    """W ↦ softplus(Re tr W/N + c) W with a number c a channel: what may depend on W must be invariant."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, field: Tensor) -> Tensor:
        """Shape as given."""
        bias = self.bias.view(-1, *[1] * (field.ndim - 4))
        return F.softplus(trace(field).real + bias)[..., None, None] * field


class LTrace(nn.Module):
    """Re tr W/N and Im tr W/N, real ``(batch, 2 · channels, *lattice)``: invariant numbers for ordinary layers."""

    def forward(self, field: Tensor) -> Tensor:
        """Real parts first."""
        t = trace(field)
        return torch.cat([t.real, t.imag], 1)


def _with_unit_and_conjugate(field: Tensor) -> Tensor:
    """1, W and W†: with the unit, products of layers contain the layers themselves, and shorter loops."""
    one = torch.eye(field.shape[-1], dtype=field.dtype, device=field.device).expand_as(field[:, :1])
    return torch.cat([one, field, field.mH], 1)


class LatticeConv(nn.Module):
    """One layer of L-CNN: an `LConv` of W, the `LBilinear` of (1, W, W†) with it and its adjoint, and an `LGate`."""

    def __init__(self, ins: int, outs: int, dim: int, reach: int = 1, *, gate: bool = True) -> None:
        super().__init__()
        self.conv = LConv(ins, outs, dim, reach)
        self.product = LBilinear(2 * ins + 1, 2 * outs + 1, outs)
        self.gate = LGate(outs) if gate else None

    def forward(self, links: Tensor, field: Tensor) -> Tensor:
        """``(batch, ins, *lattice, N, N)`` → ``(batch, outs, *lattice, N, N)``."""
        carried = self.conv(links, field)
        field = self.product(_with_unit_and_conjugate(field), _with_unit_and_conjugate(carried))
        return self.gate(field) if self.gate else field


class LCNN(nn.Module):
    r"""Plaquettes → `LatticeConv` layers → `LTrace` → a network at every site → mean or sum over the lattice.

    Args:
        dim: D.
        channels: of each `LatticeConv`; none is a function of single plaquettes.
        hidden: width of the network at a site; 0 makes it linear.
        reach: of every layer.
        pool: ``"mean"`` for densities, ``"sum"`` for charges.
        gate: let the layers have gates; without, and with hidden = 0, the network is a polynomial in loops.
        odd: subtract what the network says of the complex conjugate links: charges change sign with them.
            For SU(2) that leaves nothing, since its conjugate is equivalent.
    """

    def __init__(
        self,
        dim: int,
        channels: Sequence[int] = (4, 4),
        *,
        hidden: int = 16,
        reach: int = 1,
        pool: str = "mean",
        gate: bool = True,
        odd: bool = False,
    ) -> None:
        super().__init__()
        self.pool, self.odd = _pool(pool), odd
        widths = [dim * (dim - 1) // 2, *channels]
        self.convs = nn.ModuleList(LatticeConv(m, n, dim, reach, gate=gate) for m, n in pairwise(widths))
        self.head = _head(2 * sum(widths), hidden)
        self.trace = LTrace()

    def features(self, links: Tensor) -> Tensor:
        """The traces of the plaquettes and of every layer, real ``(batch, 2 · Σ channels, *lattice)``."""
        field = plaquettes(links)
        seen = [field]
        for conv in self.convs:
            field = conv(links, field)
            seen.append(field)
        return self.trace(torch.cat(seen, 1))

    def density(self, links: Tensor) -> Tensor:
        """The number at every site before pooling, ``(batch, *lattice)``."""
        density = self.head(self.features(links).movedim(1, -1))[..., 0]
        if self.odd:
            density = density - self.head(self.features(links.conj()).movedim(1, -1))[..., 0]
        return density

    def forward(self, links: Tensor) -> Tensor:
        """``(batch, D, *lattice, N, N)`` → ``(batch,)``; complains as `check_links`."""
        return _pooled(self.density(links), self.pool)


class LinkCNN(nn.Module):
    """What does not know of gauges: circular convolutions of the real and imaginary parts of all entries of the links.

    Args:
        n: N of the matrices.
        channels: of each convolution, 3×3 with SiLU; on two-dimensional lattices.
        hidden, pool: as for `LCNN`.
    """

    def __init__(self, n: int, channels: Sequence[int] = (16, 16), *, hidden: int = 16, pool: str = "mean") -> None:
        super().__init__()
        self.pool = _pool(pool)
        widths = [2 * 2 * n * n, *channels]
        self.convs = nn.Sequential(*_convolutions(widths))
        self.head = _head(widths[-1], hidden)

    def forward(self, links: Tensor) -> Tensor:
        """``(batch, 2, L, T, N, N)`` → ``(batch,)``; complains as `check_links`."""
        check_links(links)
        entries = torch.view_as_real(links.resolve_conj()).movedim((4, 5, 6), (2, 3, 4)).flatten(1, 4)
        return _pooled(self.head(self.convs(entries).movedim(1, -1)), self.pool)


def _convolutions(widths: Sequence[int]) -> Iterator[nn.Module]:
    for m, n in pairwise(widths):
        yield nn.Conv2d(m, n, 3, padding=1, padding_mode="circular")
        yield nn.SiLU()


def _head(ins: int, hidden: int) -> nn.Module:
    return nn.Sequential(nn.Linear(ins, hidden), nn.SiLU(), nn.Linear(hidden, 1)) if hidden else nn.Linear(ins, 1)


def _pool(name: str) -> str:
    if name not in ("mean", "sum"):
        raise ValueError(f"expected pool='mean' or 'sum', got {name!r}")
    return name


def _pooled(density: Tensor, pool: str) -> Tensor:
    density = density.flatten(1)
    return density.mean(1) if pool == "mean" else density.sum(1)


@torch.no_grad()
def gauge_error(f: Callable[[Tensor], Tensor], links: Tensor, omega: Tensor) -> float:
    r"""How far f is from its symmetry, ‖f(U^Ω) − Ω f(U) Ω†‖ or ‖f(U^Ω) − f(U)‖, over ‖f(U)‖: `equivariance_error`.

    Args:
        f: what it gives is taken for a field if it has the axes of one, ``(batch, channels, *lattice, N, N)``, and else
            for invariant numbers.

    Raises:
        ValueError: as `regauge`; an f(U) that vanishes or is not finite.
    """

    def turned(omega: Tensor, y: Tensor) -> Tensor:
        covariant = y.ndim == links.ndim and y.shape[-2:] == links.shape[-2:] and y.is_complex()
        return regauge_field(y, omega) if covariant else y

    return equivariance_error(f, [omega], lambda omega, U: regauge(U, omega), turned, links)

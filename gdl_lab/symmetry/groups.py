r"""Groups and how they act: C4 and D4 on pictures, permutations on sets and graphs, rotations of plane and space.

An action moves a function along with its points, (ρ(g)f)(x) = f(g⁻¹x). With the inverse on this side ρ(gh) = ρ(g)ρ(h);
without it, ρ would be an anti-representation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["C1", "C2", "C4", "D4", "PlaneGroup", "permute", "random_permutations", "random_rotations", "rotate"]


@dataclass(frozen=True)
class PlaneGroup:
    """Rotations by multiples of a right angle, with or without reflections: the symmetries that a grid of pixels has.

    The element with the number g = m·turns + r mirrors left and right if m = 1, and then turns r times, anticlockwise;
    0 is the identity. ``for g in C4`` runs through the numbers.

    Attributes:
        name: as it is written.
        turns: number of rotations, 1, 2 or 4.
        mirrors: whether reflections belong to it, which doubles it.
    """

    name: str
    turns: int
    mirrors: bool = False

    def __post_init__(self) -> None:
        if self.turns not in (1, 2, 4):
            raise ValueError(f"the rotations of a grid of pixels are 1, 2 or 4, got {self.turns}")

    def __len__(self) -> int:
        return self.turns * (1 + self.mirrors)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def compose(self, g: int, h: int) -> int:
        """The number of gh: first h, then g."""
        (m, r), (n, s) = self._parts(g), self._parts(h)
        return (m ^ n) * self.turns + (r + (-s if m else s)) % self.turns  # a turn passes a mirror as its inverse

    def inverse(self, g: int) -> int:
        """The number of g⁻¹."""
        m, r = self._parts(g)
        return g if m else -r % self.turns

    def matrix(self, g: int) -> Tensor:
        """How g moves a point (row, column), seen from the middle of the picture; int64, shape ``(2, 2)``."""
        m, r = self._parts(g)
        quarter, mirror = torch.tensor([[0, -1], [1, 0]]), torch.tensor([[1, 0], [0, -1]])
        return torch.linalg.matrix_power(quarter, r * 4 // self.turns) @ torch.linalg.matrix_power(mirror, m)

    def on_pictures(self, g: int, f: Tensor) -> Tensor:
        """(ρ(g)f)(x) = f(g⁻¹x) for pictures ``(…, height, width)``; a quarter turn exchanges height and width."""
        m, r = self._parts(g)
        return torch.rot90(f.flip(-1) if m else f, r * 4 // self.turns, (-2, -1))

    def on_maps(self, g: int, f: Tensor) -> Tensor:
        """(σ(g)f)(h, x) = f(g⁻¹h, g⁻¹x) for functions of group and plane, ``(…, |G|, height, width)``.

        The pictures turn, and the axis of the group is permuted too: the regular representation.

        Raises:
            ValueError: an axis of another length than |G|.
        """
        if f.ndim < 3 or f.shape[-3] != len(self):
            raise ValueError(f"expected functions (…, {len(self)}, height, width) of {self.name}, got {tuple(f.shape)}")
        return self.on_pictures(g, f[..., self._moved[g], :, :])

    def _parts(self, g: int) -> tuple[int, int]:
        """The numbers of mirrors and of turns."""
        if not 0 <= g < len(self):
            raise ValueError(f"the elements of {self.name} are 0 … {len(self) - 1}, got {g}")
        return divmod(g, self.turns)

    @cached_property
    def _moved(self) -> list[list[int]]:
        """For every g, the numbers of g⁻¹h in the order of h."""
        return [[self.compose(self.inverse(g), h) for h in self] for g in self]


C1, C2, C4 = (PlaneGroup(f"C{n}", n) for n in (1, 2, 4))
D4 = PlaneGroup("D4", 4, mirrors=True)


def permute(g: Tensor, x: Tensor, *axes: int) -> Tensor:
    """(ρ(g)x)_{g(i)} = x_i along each of the axes.

    Args:
        g: a permutation, ``g[i]`` is where i goes, int64, shape ``(n,)``.
        x: n entries along each axis.
        axes: counted from 0; axis 1 if none is given; a graph's adjacency ``(batch, n, n)`` has two.

    Raises:
        ValueError: an axis with another number of entries.
    """
    for axis in axes or (1,):
        if g.shape != x.shape[axis : axis + 1]:
            raise ValueError(f"expected a permutation of {x.shape[axis]} entries, got shape {tuple(g.shape)}")
        x = x.index_select(axis, g.argsort())
    return x


def random_permutations(count: int, n: int, generator: torch.Generator | None = None) -> Tensor:
    """Permutations of n things, each drawn uniformly; int64, shape ``(count, n)``."""
    return torch.rand(count, n, generator=generator).argsort(1)


def random_rotations(
    count: int,
    generator: torch.Generator | None = None,
    *,
    dim: int = 3,
    reflections: bool = False,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Rotations drawn from Haar's measure of SO(dim), or with reflections of O(dim); shape ``(count, dim, dim)``.

    Raises:
        ValueError: a negative ``count``, or a dimension below one.

    Source: Mezzadri (2007): in Q R = normal noise, Q is uniform once the diagonal of R is positive.
    """
    if count < 0 or dim < 1:
        raise ValueError(f"expected count ≥ 0 rotations of dim ≥ 1 dimensions, got {count} and {dim}")
    Q, R = torch.linalg.qr(torch.randn(count, dim, dim, generator=generator, dtype=torch.float64))
    Q = Q * R.diagonal(dim1=1, dim2=2).sign()[:, None]
    if not reflections:
        Q[:, :, 0] *= torch.linalg.det(Q)[:, None]
    return Q.to(dtype)


def rotate(f: Tensor, angle: Tensor | float) -> Tensor:
    """Pictures turned anticlockwise about their middle, bilinear between pixels, zero from outside.

    At right angles of square pictures this is ``C4.on_pictures``, to rounding; in between it is no representation, as
    turning twice blurs twice.

    Args:
        f: shape ``(batch, channels, height, width)``, square.
        angle: radians; one number, or one for each picture, ``(batch,)``.

    Raises:
        ValueError: pictures that are not square, or angles for another number of pictures.
    """
    if f.ndim != 4 or f.shape[2] != f.shape[3]:
        raise ValueError(f"expected square pictures (batch, channels, side, side), got {tuple(f.shape)}")
    angle = torch.as_tensor(angle, dtype=f.dtype, device=f.device)
    if angle.shape not in ((), (len(f),)):
        raise ValueError(f"expected one angle or one for each of {len(f)} pictures, got shape {tuple(angle.shape)}")
    c, s = angle.cos().expand(len(f)), angle.sin().expand(len(f))
    inverse = torch.stack([c, -s, 0 * c, s, c, 0 * c], 1).view(-1, 2, 3)  # on (x, y) with y pointing down
    return F.grid_sample(f, F.affine_grid(inverse, list(f.shape), align_corners=False), align_corners=False)

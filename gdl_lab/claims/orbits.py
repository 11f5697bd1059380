"""Oracles of chapter 07: groups that permute points, their orbits on pairs, and group convolutions term by term."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, partial
from itertools import product

import torch
from torch import Tensor

from gdl_lab import runtime
from gdl_lab.symmetry import C4, PlaneGroup, intertwiners, matrix_of, permute

__all__ = ["mean_of_characters", "normal", "orbits", "relative", "solutions", "spaces", "written"]


normal = partial(runtime.normal, "symmetry")


def relative(given: Tensor, wanted: Tensor) -> float:
    """‖given − wanted‖ / ‖wanted‖."""
    return float(((given - wanted).norm() / wanted.norm()).detach())


@cache
def spaces() -> dict[str, tuple[list[Tensor], list[Tensor]]]:
    """Generators of a group as matrices on two spaces of functions, whose points they permute."""
    side, nodes = 3, [torch.tensor([1, 0, 2, 3]), torch.tensor([1, 2, 3, 0])]
    shifts = [partial(torch.roll, shifts=a, dims=(-2, -1)) for a in ((1, 0), (0, 1))]
    plane, group = (
        [matrix_of(act, shape) for act in (*shifts, turn)]
        for turn, shape in ((partial(C4.on_pictures, 1), (side, side)), (partial(C4.on_maps, 1), (4, side, side)))
    )
    points = [matrix_of(partial(permute, g), (4,)) for g in nodes]
    edges = [matrix_of(lambda f, g=g: permute(g, f, 1, 2), (4, 4)) for g in nodes]  # type: ignore[misc]
    return {
        "torus, translations": (plane[:2], plane[:2]),
        "torus, translations and C4": (plane, plane),
        "lifting, torus to group": (plane, group),
        "group to group": (group, group),
        "sets": (points, points),
        "graphs to nodes": (edges, points),
        "graphs to graphs": (edges, edges),
    }


@cache
def solutions(name: str) -> Tensor:
    """All equivariant linear maps between two of the `spaces`, as `intertwiners` finds them."""
    return intertwiners(*spaces()[name])


def orbits(rho: Sequence[Tensor], sigma: Sequence[Tensor]) -> int:
    """Orbits on pairs of points of Y and X, counted by walking along the generators."""
    moves = [(s.argmax(0).tolist(), r.argmax(0).tolist()) for r, s in zip(rho, sigma, strict=True)]
    left, count = set(product(range(len(sigma[0])), range(len(rho[0])))), 0
    while left:
        walk, count = [left.pop()], count + 1
        while walk:
            y, x = walk.pop()
            for to_y, to_x in moves:
                if (there := (to_y[y], to_x[x])) in left:
                    left.remove(there)
                    walk.append(there)
    return count


def mean_of_characters(power: int) -> int:
    """The mean of χ(R)ᵖᵒʷᵉʳ over SO(3), χ = 1 + 2 cos θ, by Weyl's formula: (1 − cos θ) dθ/π on [0, π]."""
    theta = (torch.arange(64, dtype=torch.float64) + 0.5) * math.pi / 64
    return round(float(((1 - theta.cos()) * (1 + 2 * theta.cos()) ** power).mean()))


def written(group: PlaneGroup, kernel: Tensor, f: Tensor) -> Tensor:
    """The lifting or group convolution with a 3×3 kernel and zeros outside, term by term; see `group_correlate`."""
    grid = list(product(range(f.shape[-2]), range(f.shape[-1])))
    z = f.new_zeros(len(f), len(kernel), len(group), *f.shape[-2:])
    for g, x, y in product(group, grid, grid):
        back = group.inverse(g)
        i, j = (group.matrix(back) @ (torch.tensor(y) - torch.tensor(x)) + 1).tolist()
        if not (0 <= i <= 2 and 0 <= j <= 2):
            continue
        if kernel.ndim == 4:
            z[:, :, g, *x] += f[:, :, *y] @ kernel[:, :, i, j].T
        else:
            for h in group:
                z[:, :, g, *x] += f[:, :, h, *y] @ kernel[:, :, group.compose(back, h), i, j].T
    return z

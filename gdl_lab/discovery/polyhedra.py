r"""Random convex polyhedra, and honest counts of their vertices, edges and faces.

Six families, which differ in how many edges meet in a vertex and how many bound a face. Nothing here knows Euler's
formula: V, E and F are counted one by one. That V − E + F = 2 comes out proves little, since a wrong but consistent
gluing of triangles satisfies it too. What tells is that 3F = 2E where all faces are triangles, that 3V = 2E where three
edges meet in every vertex, and solids whose numbers are known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull, HalfspaceIntersection, QhullError
from torch import Tensor

from gdl_lab import runtime

__all__ = ["FAMILIES", "FEATURES", "Polyhedra", "Polyhedron", "draw", "measure"]

FEATURES = ("vertices", "edges", "volume", "area")
COPLANAR = 1e-9  # of the diameter; qhull's corners are good to some 1e-14 of it


@dataclass(frozen=True)
class Polyhedron:
    """A convex polyhedron.

    Attributes:
        corners: ``(V, 3)``, float64; no point inside a face or an edge is among them.
        incidence: ``(F, V)``, whether a corner lies on a face.
        normals: ``(F, 3)``, of length one and outwards.
        edges: the number of pairs of faces that have an edge in common.
        volume, area: in the units of the points.
    """

    corners: Tensor
    incidence: Tensor
    normals: Tensor
    edges: int
    volume: float
    area: float

    @property
    def counts(self) -> tuple[int, int, int]:
        """V, E and F."""
        return len(self.corners), self.edges, len(self.incidence)

    @cached_property
    def faces(self) -> tuple[Tensor, ...]:
        """The corners of each face, ``(k, 3)``, in their order around it, anticlockwise from outside."""
        found = []
        for on, normal in zip(self.incidence, self.normals, strict=True):
            x = self.corners[on]
            off = x - x.mean(0)
            along = off[0] / off[0].norm()
            angle = torch.atan2(off @ torch.linalg.cross(normal, along), off @ along)
            found.append(x[angle.argsort()])
        return tuple(found)


def measure(points: Tensor, *, coplanar: float = COPLANAR) -> Polyhedron:
    """The convex hull of points in space, and what can be counted on it.

    The hull arrives as triangles. Two that share a side belong to one face if the far corner of one lies in the plane
    of the other; of the two ways the smaller distance decides, since a thin triangle hardly has a plane. Two faces
    that touch along a side share one edge, whatever points lie on it, and a corner is where three faces or more meet.

    Args:
        points: ``(n, 3)``, at least four and not in one plane.
        coplanar: the largest distance from a plane, in diameters of the points.

    Raises:
        ValueError: another shape, points that are not finite, or in one plane.
    """
    if points.ndim != 2 or points.shape[1] != 3 or len(points) < 4:
        raise ValueError(f"expected four points in space or more, of shape (n, 3), got {tuple(points.shape)}")
    if not points.isfinite().all():
        raise ValueError("expected finite points, got NaN or infinity among them")
    P = points.detach().cpu().double().numpy()
    try:
        hull = ConvexHull(P)
    except QhullError as reason:
        raise ValueError(f"the points span no polyhedron: {str(reason).splitlines()[0]}") from None
    corner, beside, planes = hull.simplices, hull.neighbors, hull.equations  # three of each, and n·x + d
    t = np.arange(len(corner))[:, None]
    back = (beside[beside] == t[..., None]).argmax(2)  # which corner of the neighbour looks away from t
    distance = np.abs(np.einsum("tkc,tc->tk", P[corner[beside, back]], planes[:, :3]) + planes[:, 3:])
    flat = np.minimum(distance, distance[beside, back]) <= coplanar * np.ptp(P, axis=0).max()
    joined = coo_array((np.ones(flat.sum()), (np.broadcast_to(t, flat.shape)[flat], beside[flat])), (len(t), len(t)))
    number, face = connected_components(joined, directed=False)

    on = np.zeros((number, len(P)), bool)
    on[np.repeat(face, 3), corner.ravel()] = True
    kept = on.sum(0) >= 3
    first, second = np.broadcast_to(face[:, None], beside.shape), face[beside]
    edges = len(np.unique((first * number + second)[first < second]))
    sides = P[corner[:, 1:]] - P[corner[:, :1]]
    size = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1)
    order = np.argsort(size)  # a face has the normal of its largest triangle, written last
    normals = np.zeros((number, 3))
    normals[face[order]] = planes[order, :3]
    return Polyhedron(
        torch.from_numpy(P[kept]),
        torch.from_numpy(on[:, kept]),
        torch.from_numpy(normals),
        edges,
        hull.volume,
        hull.area,
    )


# Families


def _whole(low: int, high: int, rng: torch.Generator) -> int:
    return int(torch.randint(low, high, (), generator=rng))


def _between(low: float, high: float, rng: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=rng))


def _directions(n: int, rng: torch.Generator) -> Tensor:
    x = torch.randn(n, 3, generator=rng, dtype=torch.float64)
    return x / x.norm(dim=1, keepdim=True)


def _meet(normals: Tensor, heights: Tensor) -> Tensor:
    """Corners of {x : n·x ≤ h}, in which 0 lies."""
    found = HalfspaceIntersection(torch.cat([normals, -heights[:, None]], 1).numpy(), np.zeros(3)).intersections
    return torch.from_numpy(found[np.isfinite(found).all(1)])


def simplicial(rng: torch.Generator) -> Tensor:
    """6 to 39 points on a sphere: all faces are triangles."""
    return _directions(_whole(6, 40, rng), rng)


def simple(rng: torch.Generator) -> Tensor:
    """A cube cut by 6 to 29 planes: three edges meet in every vertex."""
    n = _whole(6, 30, rng)
    heights = 0.8 + 0.4 * torch.rand(n, generator=rng, dtype=torch.float64)
    cube = torch.cat([torch.eye(3), -torch.eye(3)]).double()
    return _meet(torch.cat([_directions(n, rng), cube]), torch.cat([heights, torch.full((6,), 3.0).double()]))


def lattice(rng: torch.Generator) -> Tensor:
    """8 to 49 points with whole coordinates, many of which lie in one plane with others."""
    k = _whole(2, 5, rng)
    return torch.randint(-k, k + 1, (_whole(8, 50, rng), 3), generator=rng).double()


def prisms(rng: torch.Generator) -> Tensor:
    """Prisms, their frusta and pyramids over polygons of 3 to 19 corners on a circle."""
    angle = 2 * torch.pi * torch.rand(_whole(3, 20, rng), generator=rng, dtype=torch.float64)
    ground = torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)], 1)
    top = torch.tensor([0.0, 0.0, _between(0.5, 2, rng)], dtype=torch.float64)
    scale = (1.0, _between(0.3, 0.9, rng), 0.0)[_whole(0, 3, rng)]
    return torch.cat([ground, scale * ground + top if scale else top[None]])


def truncated(rng: torch.Generator) -> Tensor:
    """Hulls of 8 to 24 points on a sphere with some of their corners cut off."""
    x = _directions(_whole(8, 25, rng), rng)
    planes = torch.from_numpy(ConvexHull(x.numpy()).equations)
    cut = x[: _whole(1, len(x) // 2, rng)]
    second = (x @ cut.T).topk(2, dim=0).values[1]  # how far the next corner reaches in the direction of this one
    heights = torch.cat([-planes[:, 3], 0.5 * (1 + second)])
    if float(heights.min()) < 1e-3:
        raise ValueError("the sphere's centre is outside, or nearly so")
    return _meet(torch.cat([planes[:, :3], cut]), heights)


def zonotopes(rng: torch.Generator) -> Tensor:
    """Sums of 3 to 6 segments: all faces are parallelograms."""
    k = _whole(3, 7, rng)
    signs = torch.cartesian_prod(*[torch.tensor([-0.5, 0.5])] * k).double()
    return signs @ _directions(k, rng)


Family = Callable[[torch.Generator], Tensor]
FAMILIES: dict[str, Family] = {
    family.__name__: family for family in (simplicial, simple, lattice, prisms, truncated, zonotopes)
}


# Tables


@dataclass(frozen=True)
class Polyhedra:
    """A table of polyhedra.

    Attributes:
        x: the `FEATURES`, ``(n, 4)``, float64: vertices, edges, volume, area.
        faces: ``(n,)``, float64.
        family: ``(n,)``, the number of its family in ``names``.
        names: of the families.
    """

    x: Tensor
    faces: Tensor
    family: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.faces)

    def only(self, name: str) -> Polyhedra:
        """Those of one family.

        Raises:
            ValueError: it is not in the table.
        """
        if name not in self.names:
            raise ValueError(f"no family {name!r} is in this table: expected one of {', '.join(self.names)}")
        kept = self.family == self.names.index(name)
        return Polyhedra(self.x[kept], self.faces[kept], self.family[kept], self.names)


def draw(n: int, families: Sequence[str] = tuple(FAMILIES), *, seed: int = 0, coplanar: float = COPLANAR) -> Polyhedra:
    """n random polyhedra, of each family in turn, and of sizes between half and twice the family's own.

    Args:
        families: names from `FAMILIES`.
        coplanar: as for `measure`.

    Raises:
        ValueError: fewer polyhedra than families, or an unknown family.
    """
    unknown = [name for name in families if name not in FAMILIES]
    if unknown or not families:
        raise ValueError(f"unknown families {unknown or 'none'}: expected some of {', '.join(FAMILIES)}")
    if n < len(families):
        raise ValueError(f"expected a polyhedron of each family, {len(families)} at least, got {n}")
    rng = runtime.generator("polyhedra", seed)
    rows: list[list[float]] = []
    while len(rows) < n:
        try:
            points = FAMILIES[families[len(rows) % len(families)]](rng)
            one = measure(_between(0.5, 2, rng) * points, coplanar=coplanar)
        except ValueError:  # flat, as some of the lattice are: the next one, please
            continue
        V, E, F = one.counts
        rows.append([V, E, one.volume, one.area, F])
    table = torch.tensor(rows, dtype=torch.float64)
    return Polyhedra(table[:, :4], table[:, 4], torch.arange(n) % len(families), tuple(families))

"""Exact nearest neighbours, block by block, and shortest paths from neighbour to neighbour."""

from __future__ import annotations

import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

__all__ = ["along", "nearest", "neighbour_graph", "neighbours", "shortest_path"]

BLOCK = 2**24  # numbers in the largest tensor of a block: 64 MB in float32, whatever the number of points
SPARE = 8  # candidates beyond k


def neighbours(x: Tensor, k: int, *, at: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The k nearest other points of points of a data set; a point is not its own neighbour.

    Args:
        x: points, shape ``(n, D)``, any device, float32 or float64.
        k: number of neighbours, at most n − 1.
        at: indices of the points whose neighbours are wanted, shape ``(m,)``; all by default.

    Returns:
        Distances, ascending, and indices into x, both of shape ``(m, k)``; see `nearest`.

    Raises:
        ValueError: as for `nearest`.
    """
    own = torch.arange(len(x), device=x.device) if at is None else at.to(x.device)
    return nearest(x[own], x, k, leave_out=own)


def nearest(queries: Tensor, x: Tensor, k: int, *, leave_out: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The k points of x nearest to each query, exactly, without ever holding all distances.

    Matrix products rank the points by |x|² − 2 q·x, which is fast but cancels digits; the distances of the first few
    are then taken from differences. Where the bound on the rounding of the products does not exclude that a point left
    out is nearer, all distances of that query are taken from differences.

    Args:
        queries: shape ``(m, D)``.
        x: points, shape ``(n, D)``, same dtype and device.
        k: number of neighbours.
        leave_out: index of one point of x for each query that does not count, shape ``(m,)``.

    Returns:
        Distances, ascending, and indices into x, both of shape ``(m, k)``. Equal distances stand in any order.

    Raises:
        ValueError: shapes or dtypes do not fit, fewer than k points are left, or a coordinate is NaN or infinite.
    """
    if x.ndim != 2 or queries.ndim != 2 or queries.shape[1] != x.shape[1]:
        raise ValueError(f"expected points of shape (n, D), got {tuple(queries.shape)} and {tuple(x.shape)}")
    if x.dtype != queries.dtype or x.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"expected points of one dtype, float32 or float64, got {queries.dtype} and {x.dtype}")
    (n, dim), others = x.shape, len(x) - (leave_out is not None)
    if not 1 <= k <= others:
        raise ValueError(f"expected k between 1 and the {others} other points, got {k}")
    if not (x.isfinite().all() and queries.isfinite().all()):
        raise ValueError("points hold NaN or infinity")
    centre = x.mean(0)
    short, asked = x - centre, queries - centre  # short vectors lose fewer digits in the products
    square, among = short.square().sum(1), min(k + SPARE, others)
    coarse = x.dtype == torch.float32 and torch.get_float32_matmul_precision() != "highest"
    unit = 2**-8 if coarse else torch.finfo(x.dtype).eps  # of the products: bfloat16 or TF32 where the user allows them
    found = []
    for rows in torch.arange(len(queries), device=x.device).split(max(1, BLOCK // max(n, among * dim))):
        q, own = queries[rows], None if leave_out is None else leave_out[rows, None]
        ranks = torch.addmm(square, asked[rows], short.T, alpha=-2)
        best, index = _without(ranks, own).topk(among, largest=False)
        r, order = (x[index] - q[:, None]).norm(dim=2).topk(k, largest=False)
        index = index.gather(1, order)
        length = asked[rows].square().sum(1)
        slack = (dim + 16) * unit * (length + 2 * square.max())  # rounding of the products and of the centring
        doubtful = (r[:, -1].square() > best[:, -1] + length - slack) & (among < others)
        if doubtful.any():
            distances = torch.cdist(q[doubtful], x, compute_mode="donot_use_mm_for_euclid_dist")
            r[doubtful], index[doubtful] = _without(distances, None if own is None else own[doubtful]).topk(
                k, largest=False
            )
        found.append((r, index))
    distances, indices = (torch.cat(parts) for parts in zip(*found, strict=True))
    return distances, indices


def neighbour_graph(x: Tensor, k: int = 8) -> csr_array:
    """The graph that joins two points when one is among the k nearest of the other, weighted by their distance.

    Args:
        x: points, shape ``(n, D)``.
        k: neighbours of each point.

    Returns:
        Sparse ``(n, n)``, each edge once or twice; see `shortest_path`.
    """
    r, index = (t.cpu() for t in neighbours(x, k))
    own = torch.arange(len(x))[:, None].expand_as(index)
    return csr_array((r.flatten().double(), (own.flatten(), index.flatten())), shape=(len(x), len(x)))


def shortest_path(graph: csr_array, start: int, end: int) -> Tensor:
    """The shortest path from one point to another, edge by edge.

    On a densely sampled manifold such paths through the `neighbour_graph` tend to geodesics.

    Returns:
        Indices of the points along the path, both ends included, int64.

    Raises:
        ValueError: no path joins the two; a graph with a larger k joins more.

    Source: Tenenbaum, de Silva & Langford (2000).
    """
    _, before = dijkstra(graph, directed=False, indices=start, return_predecessors=True)
    path = [end]
    while path[-1] != start:
        if before[path[-1]] < 0:
            raise ValueError(f"no path joins the points {start} and {end}: try more neighbours")
        path.append(int(before[path[-1]]))
    return torch.tensor(path[::-1])


def along(points: Tensor, t: Tensor) -> Tensor:
    """Points on the polygon through given ones, at the shares t of its length.

    Args:
        points: corners in order, shape ``(m, D)``, m ≥ 2, no two neighbours equal.
        t: in [0, 1], shape ``(n,)``.

    Returns:
        Shape ``(n, D)``.

    Raises:
        ValueError: fewer than two corners.
    """
    if len(points) < 2:
        raise ValueError(f"expected a polygon of two corners or more, got shape {tuple(points.shape)}")
    lengths = (points[1:] - points[:-1]).norm(dim=1)
    ends = lengths.cumsum(0)
    at = t * ends[-1]
    edge = torch.searchsorted(ends, at).clamp(max=len(lengths) - 1)
    share = 1 - (ends[edge] - at) / lengths[edge]
    return torch.lerp(points[edge], points[edge + 1], share[:, None].clamp(0, 1))


def _without(values: Tensor, own: Tensor | None) -> Tensor:
    """The same values, infinite in one column of each row."""
    return values if own is None else values.scatter_(1, own, torch.inf)

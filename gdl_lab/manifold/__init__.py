"""The manifold hypothesis: points drawn on known manifolds, exact nearest neighbours, estimators of their dimension;
and curves with noise whose density is known.

Points are ``(n, D)`` tensors. An estimator takes what it looks at: the distances of `neighbours`, or the points.
"""

from gdl_lab.manifold.curves import Arc, Helix, Moons
from gdl_lab.manifold.dimension import (
    explained,
    levina_bickel,
    local_pca,
    local_variances,
    participation_ratio,
    principal_variances,
    two_nn,
)
from gdl_lab.manifold.neighbourhoods import along, nearest, neighbour_graph, neighbours, shortest_path
from gdl_lab.manifold.shapes import CHARTS, Chart, affine, flat_copy, orbit, sphere, swiss_roll, torus

__all__ = [
    "CHARTS",
    "Arc",
    "Chart",
    "Helix",
    "Moons",
    "affine",
    "along",
    "explained",
    "flat_copy",
    "levina_bickel",
    "local_pca",
    "local_variances",
    "nearest",
    "neighbour_graph",
    "neighbours",
    "orbit",
    "participation_ratio",
    "principal_variances",
    "shortest_path",
    "sphere",
    "swiss_roll",
    "torus",
    "two_nn",
]

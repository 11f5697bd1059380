"""Symmetry: group actions, the error of f(ρ(g)x) = σ(g)f(x), and layers for which it vanishes.

>>> from gdl_lab.symmetry import C4, GroupNetwork, equivariance_error, trivial
>>> net, x = GroupNetwork(C4).eval(), torch.rand(2, 1, 28, 28)
>>> equivariance_error(net.features, C4, C4.on_pictures, C4.on_maps, x) < 1e-5
True
>>> equivariance_error(net, C4, C4.on_pictures, trivial, x) < 1e-5
True
"""

from gdl_lab.symmetry.convolution import GroupConvolution, GroupNetwork, Lift, group_correlate
from gdl_lab.symmetry.equivariance import equivariance_error, trivial
from gdl_lab.symmetry.groups import (
    C1,
    C2,
    C4,
    D4,
    PlaneGroup,
    permute,
    random_permutations,
    random_rotations,
    rotate,
)
from gdl_lab.symmetry.intertwiners import intertwiners, matrix_of
from gdl_lab.symmetry.sets_and_graphs import DeepSets, MessagePassing, SetLinear

__all__ = [
    "C1",
    "C2",
    "C4",
    "D4",
    "DeepSets",
    "GroupConvolution",
    "GroupNetwork",
    "Lift",
    "MessagePassing",
    "PlaneGroup",
    "SetLinear",
    "equivariance_error",
    "group_correlate",
    "intertwiners",
    "matrix_of",
    "permute",
    "random_permutations",
    "random_rotations",
    "rotate",
    "trivial",
]

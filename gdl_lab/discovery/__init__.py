"""New mathematics with networks: polyhedra, hyperbolic knots, and sums of dilogarithms.

`polyhedra` and `knots` are tables of features in which a formula is hidden, and `attribution` finds on which features
an answer hangs. `dilogarithms` is a game for one player, which `searches` play by rules and `policy` by learning.
"""

from gdl_lab.discovery.attribution import (
    Standardised,
    accuracy,
    classify,
    gradients,
    importance,
    least_squares,
    regress,
    split,
)
from gdl_lab.discovery.dilogarithms import (
    UNIT,
    Expression,
    Ratio,
    add,
    apply,
    bloch_wigner,
    duplicate,
    five_terms,
    in_words,
    invert,
    moves,
    ratio,
    reflect,
    scramble,
    value,
)
from gdl_lab.discovery.knots import Knots, rounded
from gdl_lab.discovery.policy import Policy, beam, encode, follow, lessons
from gdl_lab.discovery.polyhedra import FAMILIES, Polyhedra, Polyhedron, draw, measure
from gdl_lab.discovery.searches import (
    Found,
    best_first,
    key,
    look_ahead,
    neighbours,
    quotient,
    quotient_neighbours,
    random_walk,
    representative,
)

__all__ = [
    "FAMILIES",
    "UNIT",
    "Expression",
    "Found",
    "Knots",
    "Policy",
    "Polyhedra",
    "Polyhedron",
    "Ratio",
    "Standardised",
    "accuracy",
    "add",
    "apply",
    "beam",
    "best_first",
    "bloch_wigner",
    "classify",
    "draw",
    "duplicate",
    "encode",
    "five_terms",
    "follow",
    "gradients",
    "importance",
    "in_words",
    "invert",
    "key",
    "least_squares",
    "lessons",
    "look_ahead",
    "measure",
    "moves",
    "neighbours",
    "quotient",
    "quotient_neighbours",
    "random_walk",
    "ratio",
    "reflect",
    "regress",
    "representative",
    "rounded",
    "scramble",
    "split",
    "value",
]

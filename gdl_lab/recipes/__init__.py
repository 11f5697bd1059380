"""Recipes: how each checkpoint of the course is made, on what, and what it measured.

>>> from gdl_lab import recipes
>>> flow, card = recipes.load("digits-glow"), recipes.card("digits-glow")  # doctest: +SKIP

A kind of recipe (`PictureFlow`, `CurveFlow`, `FieldSampler`, `ClassReader`, `ValueReader`, `UndoPolicy`) says how
examples are drawn, what is minimised and what is measured; a recipe is an object of its kind in a file of this room,
and an entry in the ``RECIPES`` of that file.
"""

from gdl_lab.recipes.cards import Card
from gdl_lab.recipes.curve_flow import CurveFlow, HelixFlow
from gdl_lab.recipes.dilogarithms import UndoPolicy
from gdl_lab.recipes.lattice import FieldSampler
from gdl_lab.recipes.picture_flow import PictureFlow, mean_bits
from gdl_lab.recipes.picture_reader import ClassReader, PictureReader, ValueReader
from gdl_lab.recipes.recipe import Plan, Recipe
from gdl_lab.recipes.shelf import NAMES, RECIPES, card, load, shelf, train, unfinished, weights

__all__ = [
    "NAMES",
    "RECIPES",
    "Card",
    "ClassReader",
    "CurveFlow",
    "FieldSampler",
    "HelixFlow",
    "PictureFlow",
    "PictureReader",
    "Plan",
    "Recipe",
    "UndoPolicy",
    "ValueReader",
    "card",
    "load",
    "mean_bits",
    "shelf",
    "train",
    "unfinished",
    "weights",
]

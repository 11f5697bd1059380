"""Every picture of the course goes through here: it has an alt text, a caption, a colour-blind-safe palette, and one
version for light and one for dark pages."""

from gdl_lab.figures.ellipses import ellipses
from gdl_lab.figures.explanation import explanation
from gdl_lab.figures.gallery import gallery
from gdl_lab.figures.lattices import histories, lattice
from gdl_lab.figures.maps import clouds, matrices, mesh, push_forward
from gdl_lab.figures.picture import Picture, picture
from gdl_lab.figures.plots import curves, images, plane, regions
from gdl_lab.figures.polyhedra import polyhedra
from gdl_lab.figures.spheres import globes
from gdl_lab.figures.style import DARK, LIGHT, Theme
from gdl_lab.figures.surfaces import Scene, kernels, scenes
from gdl_lab.figures.tables import Table, table

__all__ = [
    "DARK",
    "LIGHT",
    "Picture",
    "Scene",
    "Table",
    "Theme",
    "clouds",
    "curves",
    "ellipses",
    "explanation",
    "gallery",
    "globes",
    "histories",
    "images",
    "kernels",
    "lattice",
    "matrices",
    "mesh",
    "picture",
    "plane",
    "polyhedra",
    "push_forward",
    "regions",
    "scenes",
    "table",
]

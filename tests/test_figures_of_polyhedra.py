"""Pictures of polyhedra: a panel each, faces that are seen and not those behind."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from gdl_lab import figures
from gdl_lab.discovery import measure

room = importlib.import_module("gdl_lab.figures.polyhedra")  # the function of this name hides it

CUBE = measure(torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3))


def drawn(monkeypatch: pytest.MonkeyPatch, **options: Any) -> Figure:
    kept: dict[str, Any] = {}
    monkeypatch.setattr(room, "picture", lambda draw, **rest: kept.update(draw=draw, **rest))
    room.polyhedra(caption="c", alt="a", **options)
    figure = Figure()
    kept["draw"](figure, figures.LIGHT)
    return figure


def test_three_faces_of_a_cube_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = drawn(monkeypatch, solids={"cube": CUBE, "again": CUBE})
    for ax, title in zip(figure.axes, ("cube", "again"), strict=True):
        assert ax.get_title() == title
        (faces,) = (c for c in ax.collections if isinstance(c, PolyCollection))
        assert len(faces.get_paths()) == 3
        assert len({tuple(colour) for colour in faces.get_facecolor()}) == 3


def test_there_must_be_one() -> None:
    with pytest.raises(ValueError, match="at least one polyhedron"):
        figures.polyhedra({}, caption="", alt="")

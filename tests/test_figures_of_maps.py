"""Pictures of maps: a mesh goes where the map takes it, a density keeps its mass, and bad input is refused."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread

from gdl_lab import figures
from gdl_lab.figures import maps

WORDS: dict[str, Any] = {"caption": "What to see.", "alt": "What it shows, with the number 3."}


def drawn(monkeypatch: pytest.MonkeyPatch, make: Callable[[], object]) -> Figure:
    """The matplotlib figure of a picture, as it is on light pages."""
    kept: list[Figure] = []

    def picture(draw: Callable[[Any, Any], None], **_: Any) -> None:
        figure = Figure()
        draw(figure, figures.LIGHT)
        kept.append(figure)

    monkeypatch.setattr(maps, "picture", picture)
    make()
    return kept[0]


def test_a_mesh_is_carried_along() -> None:
    like = torch.zeros(1, dtype=torch.float64)
    plain = figures.mesh(lambda z: z, reach=2.0, lines=5, like=like)
    assert len(plain) == 10
    assert all(line.shape == (161, 2) and line.dtype == torch.float64 for line in plain)
    assert torch.equal(plain[0][:, 1], torch.full((161,), -2.0, dtype=torch.float64))
    assert torch.equal(plain[1][:, 0], plain[0][:, 1])
    moved = figures.mesh(lambda z: z * torch.tensor([3.0, -1.0]) + 1, reach=2.0, lines=5, like=like)
    for before, after in zip(plain, moved, strict=True):
        assert torch.allclose(after, before * torch.tensor([3.0, -1.0]) + 1)


def test_a_pushed_density_has_the_mass_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The outline on the left, integrated over x, for a map that is far from linear."""
    figure = drawn(monkeypatch, lambda: figures.push_forward(lambda z: z + z**3, reach=4.0, **WORDS))
    density, x = map(torch.as_tensor, figure.axes[0].lines[0].get_data())
    assert float(torch.trapezoid(density, x)) == pytest.approx(1, abs=2e-3)
    assert float(x[0]) == pytest.approx(-68)


def test_points_and_panels_are_where_they_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    points = torch.tensor([[0.0, 1.0], [2.0, -1.0]])
    figure = drawn(monkeypatch, lambda: figures.clouds({"a": points, "b": -points}, boxes={"a": 3.0}, **WORDS))
    first, second = figure.axes
    assert torch.equal(torch.tensor(np.asarray(first.collections[0].get_offsets())).float(), points)
    assert torch.equal(torch.tensor(np.asarray(second.collections[0].get_offsets())).float(), -points)
    assert first.get_xlim() == (-3, 3)
    assert second.get_xlim() == pytest.approx((-2.2, 2.2))


def test_a_zero_of_a_matrix_is_empty_and_signs_have_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = torch.tensor([[0.0, 2.0], [-1.0, 0.5]])
    figure = drawn(monkeypatch, lambda: figures.matrices({"m": matrix}, split=1, **WORDS))
    shown = figure.axes[0].images[0]
    values = shown.get_array()
    assert values is not None
    assert np.ma.getmaskarray(values).tolist() == [[True, False], [False, False]]
    assert shown.get_clim() == (-2, 2)


def test_a_gallery_shows_black_below_zero_and_white_above_one() -> None:
    rows = {"a": torch.tensor([[[-5.0, -5.0], [-5.0, -5.0]]]), "b": torch.full((1, 1, 2, 2), 7.0)}
    pixels = imread(io.BytesIO(figures.gallery(rows, **WORDS).light))
    opaque = pixels[pixels[..., 3] == 1][:, 0]
    assert (opaque == 0).any()
    assert (opaque == 1).any()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: figures.clouds({}, **WORDS), "at least one panel"),
        (lambda: figures.clouds({"a": torch.zeros(3, 3)}, **WORDS), r"\(n, 2\) in 'a', got \(3, 3\)"),
        (lambda: figures.matrices({"a": torch.zeros(3)}, **WORDS), "expected matrices"),
        (lambda: figures.push_forward(torch.cos, **WORDS), "an increasing map"),
        (lambda: figures.gallery({}, **WORDS), "rows of one common"),
        (lambda: figures.gallery({"a": torch.zeros(1, 4), "b": torch.zeros(2, 4)}, **WORDS), "rows of one common"),
        (lambda: figures.gallery({"a": torch.zeros(2, 5)}, **WORDS), "expected pictures .* in row 'a'"),
    ],
)
def test_what_makes_no_picture_is_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()

"""Pictures of lattice fields: the squares are the plaquettes of the links, and no gauge changes their colours."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from gdl_lab import figures
from gdl_lab.figures import lattices
from gdl_lab.figures.style import DARK, LIGHT, Theme
from gdl_lab.lattice import plaquette_angles, wrap

TEXT: dict[str, Any] = {"caption": "c", "alt": "a"}


@pytest.fixture
def theta(rng: torch.Generator) -> torch.Tensor:
    """Angles of links on 5×4 sites."""
    return (torch.rand(2, 5, 4, generator=rng, dtype=torch.float64) - 0.5) * 2 * math.pi


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures of the light theme, before they become PNG."""
    kept: list[Figure] = []

    def draw(draw: Any, theme: Theme, width: float, height: float) -> bytes:
        figure = Figure(figsize=(width, height))
        draw(figure, theme)
        kept.append(figure)
        return b""

    monkeypatch.setattr(sys.modules["gdl_lab.figures.picture"], "_draw", draw)  # the name is the function's too
    return kept


def squares(figure: Figure, panel: int = 0) -> np.ndarray:
    return np.asarray(figure.axes[panel].images[0].get_array()).T * math.pi


def test_squares_are_the_plaquettes_and_arrows_the_links(theta: torch.Tensor, drawn: list[Figure]) -> None:
    figures.lattice({"one": theta}, **TEXT)
    P = plaquette_angles(theta[None])[0]
    assert float(wrap(torch.from_numpy(squares(drawn[0])) - P).abs().max()) < 1e-12
    image = drawn[0].axes[0].images[0]
    assert image.origin == "lower"  # x₁ upwards
    assert list(image.get_extent()) == [0, 5, 0, 4]
    along, across = [one for one in drawn[0].axes[0].collections if type(one).__name__ == "Quiver"]
    assert np.allclose(np.asarray(along.U) + 1j * np.asarray(along.V), np.exp(1j * theta[0].numpy().ravel()))
    where = np.asarray(across.get_offsets()).reshape(5, 4, 2)
    assert where[3, 1].tolist() == [3, 1.5]  # the link from (3, 1) upwards


def test_a_gauge_turns_arrows_and_leaves_colours(
    theta: torch.Tensor, drawn: list[Figure], rng: torch.Generator
) -> None:
    alpha = torch.rand(5, 4, generator=rng, dtype=torch.float64) * 2 * math.pi
    turned = theta + torch.stack([alpha - alpha.roll(-1, 0), alpha - alpha.roll(-1, 1)])
    broken = theta.clone()
    broken[0, 2, 1] += 1
    figures.lattice({"one": theta, "turned": turned, "broken": broken}, **TEXT)
    one, two, three = (torch.from_numpy(squares(drawn[0], panel)) for panel in range(3))
    assert float(wrap(one - two).abs().max()) < 1e-12
    changed = wrap(one - three).abs() > 1e-9
    assert changed.nonzero().tolist() == [[2, 0], [2, 1]]  # the two plaquettes that share the link


def test_histories_keep_their_numbers_apart_and_one_range(drawn: list[Figure]) -> None:
    figures.histories({"a": torch.tensor([[0, 1], [0, 2], [3, 2]]), "b": torch.zeros(5, 1)}, ylabel="Q", **TEXT)
    first, second = drawn[0].axes
    assert first.get_ylim() == second.get_ylim() == (-3.5, 3.5)
    heights = [np.asarray(line.get_ydata()) for line in first.lines]
    assert [np.rint(h).tolist() for h in heights] == [[0, 0, 3], [1, 2, 2]]
    assert all(abs(h - np.rint(h)).max() < 0.3 for h in heights)


def test_pictures_are_drawn_for_light_and_dark_pages(theta: torch.Tensor) -> None:
    for picture in (
        figures.lattice({"one": theta}, **TEXT),
        figures.histories({"a": torch.zeros(4, 2)}, ylabel="Q", **TEXT),
    ):
        assert picture.light != picture.dark
        assert picture.light[:4] == picture.dark[:4] == b"\x89PNG"
    assert LIGHT.paper != DARK.paper


def test_angles_are_wrapped_to_the_half_open_interval() -> None:
    theta = np.zeros((2, 2, 2))
    theta[0, 0, 0] = math.pi
    P = lattices._plaquettes(theta)
    assert P[0, 0] == pytest.approx(math.pi)
    assert P[0, 1] == pytest.approx(math.pi)  # −π is π


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: figures.lattice({}, **TEXT), "no field"),
        (lambda: figures.lattice({"a": torch.zeros(1, 2, 4, 4)}, **TEXT), "expected angles"),
        (lambda: figures.histories({"a": torch.zeros(4)}, ylabel="Q", **TEXT), "expected numbers"),
        (lambda: figures.histories({}, ylabel="Q", **TEXT), "no chains"),
    ],
)
def test_other_shapes_are_refused(wrong: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        wrong()

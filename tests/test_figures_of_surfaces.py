"""Surfaces are seen from where the eye is, arrows on the far side are not, and kernels point where they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from gdl_lab import figures
from gdl_lab.bundles import Sphere, bumpy_ball, torus
from gdl_lab.figures import Scene, surfaces
from gdl_lab.figures.style import DARK

TEXT = {"caption": "c", "alt": "a"}
EYE = np.array([1.0, -1.4, 0.9]) / np.linalg.norm([1.0, -1.4, 0.9])


def test_a_sphere_is_a_disc_and_its_front_is_seen() -> None:
    view = surfaces._look(Scene(Sphere()))
    assert view.reach == pytest.approx(1.12, rel=0.1)
    inside = ~np.isnan(view.depth)
    assert inside.mean() == pytest.approx(math.pi / 4 / view.reach**2, rel=0.02)
    middle = surfaces.PIXELS // 2
    assert view.depth[middle, middle] == pytest.approx(1, abs=1e-3)
    assert (view.points.norm(dim=1) - 1).abs().max() < 1e-9
    assert (view.points @ torch.from_numpy(EYE)).min() > -0.01
    axes = np.stack([view.right, view.up, view.towards])
    assert np.allclose(axes @ axes.T, np.eye(3))
    assert view.up[2] > 0, "north is up"
    assert np.linalg.det(axes) == pytest.approx(1), "not mirrored"


def test_what_lies_behind_is_hidden() -> None:
    front, back = EYE[None], -EYE[None]
    view = surfaces._look(Scene(Sphere()))
    assert view.seen(front).all()
    assert not view.seen(back).any()
    through = surfaces._look(Scene(torus(), eye=(1.0, 0, 0.3)))
    far, near = (np.array([[x, 0.0, 0.0]]) for x in (-1.2, 2.8))  # the inner wall opposite, the outer wall here
    assert through.seen(near).all()
    assert through.seen(far).all(), "over the near rim"
    assert not through.seen(np.array([[1.2, 0.0, 0.0]])).any()
    above = surfaces._look(Scene(torus(), eye=(0.0, 0.0, 1.0)))
    assert above.seen(np.array([[2.0, 0, 0.8]])).all()
    assert not above.seen(np.array([[2.0, 0, -0.8]])).any()
    assert np.isnan(above.depth[surfaces.PIXELS // 2, surfaces.PIXELS // 2]), "one sees through the hole"


def test_surfaces_are_drawn_for_light_and_dark_pages() -> None:
    x = Sphere().project(torch.randn(20, 3, dtype=torch.float64))
    scene = Scene(
        Sphere(),
        {"wind": (x, 0.2 * Sphere().frame(x)[:, 0])},
        (x, Sphere().frame(x)),
        {"loop": torch.eye(3, dtype=torch.float64)[[0, 1, 2, 0]]},
    )
    plain = figures.scenes({"one": Scene(bumpy_ball(), values=bumpy_ball().curvature), "two": scene}, **TEXT)
    assert plain.light != plain.dark
    assert plain.light[:4] == plain.dark[:4] == b"\x89PNG"
    bare = figures.scenes({"two": Scene(Sphere())}, **TEXT)
    for more in (
        {"arrows": scene.arrows},
        {"frames": scene.frames},
        {"curves": scene.curves},
        {"values": lambda x: x[..., 0]},
    ):
        assert figures.scenes({"two": Scene(Sphere(), **more)}, **TEXT).light != bare.light, more  # type: ignore[arg-type]


def test_the_same_scene_gives_the_same_picture_and_others_another() -> None:
    one, again, other = (
        figures.kernels({"κ": kappa}, **TEXT) for kappa in (torch.clone, torch.clone, lambda X: X.conj())
    )
    assert one.light == again.light != other.light


def test_arrows_over_colours_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single set is black over colours; two sets, or one over none, have those of the theme."""
    used: list[str] = []
    monkeypatch.setattr(surfaces, "_arrows", lambda ax, view, x, v, colour: used.append(colour) or ax.plot([], [])[0])
    x = Sphere().project(torch.randn(3, 3, dtype=torch.float64))
    one = {"wind": (x, 0.2 * Sphere().frame(x)[:, 0])}
    two = {**one, "carried": (x, 0.2 * Sphere().frame(x)[:, 1])}
    values = {"values": lambda x: x[..., 0]}
    for arrows, coloured, black in ((one, values, True), (two, values, False), (one, {}, False)):
        used.clear()
        _ = figures.scenes({"": Scene(Sphere(), arrows, **coloured)}, **TEXT).light  # type: ignore[arg-type]
        assert len(set(used[: len(arrows)])) == len(arrows)
        assert (surfaces.INK in used) == black


def test_black_arrows_have_a_rim() -> None:
    """Else neither they nor their swatch, which takes after them, could be seen on a dark page."""
    view, ax = surfaces._look(Scene(Sphere())), Figure().subplots()
    for colour, rim in ((surfaces.INK, [surfaces.RIM]), (DARK.cycle[0], [])):
        arrows = surfaces._arrows(ax, view, EYE[None], view.right[None], colour)
        assert [to_hex(one) for one in arrows.get_facecolor()] == [colour]
        assert [to_hex(one) for one in arrows.get_edgecolor()] == rim
        assert (arrows.get_linewidth()[0] > 0.5) == bool(rim)


@pytest.mark.parametrize("eye", [(0, 0, 0), (1, math.nan, 0), (1, 0)])
def test_an_eye_looks_somewhere(eye: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="expected eye as a direction of three numbers, not all zero, got"):
        figures.scenes({"one": Scene(Sphere(), eye=eye)}, **TEXT)


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one panel"):
        figures.scenes({}, **TEXT)
    with pytest.raises(ValueError, match="at least one panel"):
        figures.kernels({}, **TEXT)
    with pytest.raises(ValueError, match="not in sight"):
        figures.scenes({"far": Scene(Sphere(1e-3))}, **TEXT)

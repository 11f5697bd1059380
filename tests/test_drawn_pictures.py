"""Drawn faces and crowds: pictures that are functions of their parameters, repeatable, and differentiable."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from gdl_lab import runtime
from gdl_lab.data import crowds, faces, load
from tests.drawings import COLUMNS, MODULE, corners

each = pytest.mark.parametrize("name", MODULE)


def apart(x: Tensor, y: Tensor) -> Tensor:
    """Largest difference of a pixel between any of x and any of y."""
    return (x[:, None] - y).abs().amax((2, 3, 4))


# Pictures


@each
@pytest.mark.parametrize("n", [1, 70])
def test_pictures_are_coloured_float_and_between_black_and_white(name: str, n: int) -> None:
    drawn = load(name, n=n)
    assert (drawn.x.shape, drawn.x.dtype) == ((n, 3, 32, 32), torch.float32)
    assert (drawn.y.shape, drawn.y.dtype) == ((n,), torch.int64 if name == "faces" else torch.float32)
    assert drawn.x.min() >= 0
    assert drawn.x.max() <= 1
    assert drawn.x.std((1, 2, 3)).min() > 0.05  # none is blank
    assert drawn.x.std(1).max() > 0.1  # coloured


@each
def test_no_corner_of_the_manifold_leaves_the_cube_of_colours(name: str) -> None:
    x = MODULE[name].draw(corners(name, 2000))
    assert x.min() >= 0
    assert x.max() <= 1
    assert x.max() > 0.9  # and the range is used


@each
def test_the_data_are_the_drawing_of_their_parameters(name: str) -> None:
    module, drawn = MODULE[name], load(name, "test", n=20, seed=5)
    parameters = module.parameters("test", n=20, seed=5)
    assert torch.equal(drawn.x, module.draw(parameters))
    before = parameters.clone()
    assert torch.equal(module.draw(parameters), drawn.x)
    assert torch.equal(parameters, before)
    assert not torch.equal(drawn.x, module.draw(parameters.flip(0)))


@each
def test_the_same_seed_draws_the_same_and_the_first_of_more_are_those_of_fewer(name: str) -> None:
    many = load(name, n=80, seed=3)
    assert torch.equal(many.x, load(name, n=80, seed=3).x)
    for n in (1, 2, 7, 65):
        few = load(name, n=n, seed=3)
        torch.testing.assert_close(few.x, many.x[:n], rtol=0, atol=1e-6)
        assert torch.equal(few.y, many.y[:n])
        assert torch.equal(MODULE[name].parameters(n=n, seed=3), MODULE[name].parameters(n=80, seed=3)[:n])


@each
def test_splits_and_seeds_share_no_picture(name: str) -> None:
    one = load(name, n=40, seed=3)
    for other in (load(name, "test", n=40, seed=3), load(name, n=40, seed=4), load(name, "test", n=40, seed=2)):
        assert apart(one.x, other.x).min() > 1e-3  # two empty halls may be close
        assert not torch.equal(one.y, other.y)
    assert (apart(one.x, one.x) + torch.eye(40)).min() > 1e-3  # nor is a picture drawn twice
    assert apart(one.x, one.x).diagonal().max() == 0


@each
def test_single_and_double_precision_draw_the_same(name: str) -> None:
    parameters = MODULE[name].parameters(n=30)
    exact = MODULE[name].draw(parameters.double())
    assert exact.dtype == torch.float64
    assert float((exact - MODULE[name].draw(parameters)).abs().max()) < 2e-5


@each
def test_the_drawing_can_be_differentiated(name: str) -> None:
    """Automatic derivatives against central differences, in directions that move every parameter."""
    seed = runtime.fresh_seed()
    g = runtime.generator("directions", seed)
    p = 0.1 + 0.8 * torch.rand(8, COLUMNS[name], generator=g, dtype=torch.float64)
    v = torch.randn(p.shape, generator=g, dtype=torch.float64)
    draw: Callable[[Tensor], Tensor] = MODULE[name].draw
    exact = torch.func.jvp(draw, (p,), (v,))[1]
    h = 1e-6
    differences = (draw(p + h * v) - draw(p - h * v)) / (2 * h)
    off = float((exact - differences).norm() / exact.norm())
    assert off < 1e-3, f"seed {seed}: {off}"  # a kink within h of a pixel's centre is rare, and costs that pixel
    assert float((exact - 1.1 * differences).norm() / exact.norm()) > 0.05


@each
def test_a_picture_takes_about_a_millisecond(name: str) -> None:
    parameters = MODULE[name].parameters(n=256)

    def seconds() -> float:
        began = time.process_time()
        MODULE[name].draw(parameters)
        return time.process_time() - began

    assert min(seconds() for _ in range(3)) < 2 * 256e-3  # less than one where nothing else runs


@each
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"n": 0}, "expected a whole number of pictures, at least one, got n=0"),
        ({"n": -3}, "got n=-3"),
        ({"n": 10.0}, "got n=10.0"),
        ({"n": True}, "got n=True"),
        ({"seed": "one"}, "expected a whole number, got seed='one'"),
        ({"seed": 1.5}, "got seed=1.5"),
        ({"noise": 0.1}, "does not take noise"),
    ],
)
def test_bad_options_are_one_sentence(name: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        load(name, **options)


@each
def test_what_cannot_be_drawn_is_one_sentence(name: str) -> None:
    module, columns = MODULE[name], COLUMNS[name]
    fine = torch.full((2, columns), 0.5)
    for bad, sentence in (
        (fine[:, 1:], rf"parameters of {name}, floats of shape \(n, {columns}\), got \(2, {columns - 1}\)"),
        (fine[0], rf"got \({columns},\)"),
        (fine.long(), "floats of shape"),
        (fine + 1, "between 0 and 1, got 1.5 to 1.5"),
        (fine - 1, "between 0 and 1, got -0.5"),
        (fine * math.nan, "between 0 and 1, got nan"),
    ):
        with pytest.raises(ValueError, match=sentence):
            module.draw(bad)


@pytest.mark.parametrize("read", [faces.hair_colour, faces.nearest_face, crowds.count_people])
def test_what_is_no_picture_is_one_sentence(read: Callable[[Tensor], Any]) -> None:
    for bad in (torch.zeros(3, 32, 32), torch.zeros(2, 1, 32, 32), torch.zeros(2, 3, 32, 32, dtype=torch.uint8)):
        with pytest.raises(ValueError, match=r"expected pictures, floats of shape \(n, 3, 32, 32\), got torch"):
            read(bad)


def test_the_modules_name_what_they_stand_in_for() -> None:
    module: ModuleType
    for module, name in ((faces, "CelebA"), (crowds, "Mall")):
        assert name in (module.__doc__ or "")

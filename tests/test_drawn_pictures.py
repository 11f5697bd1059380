"""Drawn faces and crowds: exact labels, a known manifold, and instruments that read pictures without a network."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from gdl_lab import runtime
from gdl_lab.data import crowds, faces, load
from gdl_lab.data.nearest import nearest

COLUMNS = {"faces": len(faces.TRAITS), "crowds": crowds.COLUMNS}
MODULE = {"faces": faces, "crowds": crowds}
each = pytest.mark.parametrize("name", MODULE)


def corners(name: str, n: int) -> Tensor:
    """Parameters at the corners of the cube, where a colour that leaves [0, 1] would."""
    return torch.randint(2, (n, COLUMNS[name]), generator=runtime.generator("corners", name)).float()


def with_trait(traits: Tensor, **values: float) -> Tensor:
    changed = traits.clone()
    for name, value in values.items():
        changed[:, faces.TRAITS.index(name)] = value
    return changed


def of_people(crowd: Tensor, name: str) -> Tensor:
    """A view of one number of all twelve people, shape ``(n, 12)``."""
    return crowd[:, len(crowds.HALL) + crowds.PERSON.index(name) :: len(crowds.PERSON)]


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
def test_a_picture_takes_less_than_a_millisecond(name: str) -> None:
    parameters = MODULE[name].parameters(n=256)

    def seconds() -> float:
        began = time.process_time()
        MODULE[name].draw(parameters)
        return time.process_time() - began

    assert min(seconds() for _ in range(3)) < 256e-3


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


# Faces


# rows and columns outside which a trait changes nothing, from the ranges that `draw` gives sizes and places
REACH = {
    "hair_colour": (1, 32, 3, 29),
    "hair_warmth": (1, 32, 3, 29),
    "hair_length": (14, 32, 3, 29),
    "shirt": (27, 32, 1, 31),
    "shirt_depth": (27, 32, 1, 31),
    "eye_colour": (13, 19, 9, 23),
    "smile": (18, 26, 10, 22),
    "mouth_width": (18, 26, 10, 22),
    "lips": (18, 26, 10, 22),
    "brows": (8, 16, 7, 25),
}


@pytest.mark.parametrize("trait", REACH)
def test_a_trait_changes_its_own_part_of_the_picture_and_not_one_number_elsewhere(trait: str) -> None:
    traits = torch.cat([faces.parameters(n=200, seed=1), corners("faces", 200)])
    change = (faces.draw(with_trait(traits, **{trait: 0.0})) - faces.draw(with_trait(traits, **{trait: 1.0}))).abs()
    top, bottom, left, right = REACH[trait]
    inside = change[:, :, top:bottom, left:right].amax((1, 2, 3))
    assert inside.median() > 0.02
    change[:, :, top:bottom, left:right] = 0
    assert float(change.max()) == 0


def test_the_background_is_behind_everybody() -> None:
    traits = faces.parameters(n=200, seed=2)
    change = faces.draw(with_trait(traits, background=0.0)) - faces.draw(with_trait(traits, background=1.0))
    rows, columns = faces.WINDOW
    assert float(change[:, :, 13:20, 12:20].abs().max()) == 0  # eyes and nose
    assert float(change[:, :, rows, columns].abs().max()) == 0
    assert float(change[:, :, :1].abs().amax(1).min()) > 0.05  # above the head


def test_the_window_is_hair_and_nothing_else() -> None:
    """Whatever is not hair or light may change as it likes, and the window does not."""
    rows, columns = faces.WINDOW
    of_hair = [faces.TRAITS.index(name) for name in faces.TRAITS if name.startswith(("hair", "part", "light"))]
    geometry = [faces.TRAITS.index(name) for name in ("width", "height", "x", "y")]
    traits = torch.cat([faces.parameters(n=500, seed=3), corners("faces", 1500)])
    others = torch.cat([corners("faces", 1500), faces.parameters(n=500, seed=4)])
    kept = of_hair + geometry
    others[:, kept] = traits[:, kept]
    change = (faces.draw(traits) - faces.draw(others)).abs()
    assert float(change[:, :, rows, columns].max()) == 0
    assert float(change[:, :, :, 11:21].max()) > 0.5


@pytest.mark.slow
def test_the_faces_are_a_manifold_of_dimension_24() -> None:
    """At almost every face each trait moves the picture in a direction that the others do not make up for."""
    traits = faces.parameters(n=20, seed=6).double()
    eye = torch.eye(24, dtype=torch.float64)
    columns = [torch.func.jvp(faces.draw, (traits,), (e.expand(20, -1),))[1].flatten(1) for e in eye]
    singular = torch.linalg.svdvals(torch.stack(columns, 2))
    assert singular.shape == (20, 24)
    assert float((singular[:, -1] > 0.01).double().mean()) > 0.9
    columns[-1] = columns[0] + columns[1]  # were one trait to repeat two others
    assert float(torch.linalg.svdvals(torch.stack(columns, 2))[:, -1].max()) < 1e-9


def bayes() -> float:
    """Probability that c > ½ is what the label says, by quadrature."""
    wrong = integrate.quad(lambda t: stats.norm.cdf(-t / faces.UNCERTAINTY), 0, 0.5)[0]
    return float(1 - 2 * wrong)


def test_nobody_can_tell_blonde_better_than_94_times_in_100() -> None:
    assert bayes() == pytest.approx(0.94, abs=0.0005)
    assert bayes() == pytest.approx(1 - faces.UNCERTAINTY * math.sqrt(2 / math.pi), abs=1e-6)
    traits = faces.parameters("test", n=40_000)
    y, c = faces.labels(traits, "test"), traits[:, 0]
    right = ((c > faces.THRESHOLD).long() == y).double()
    assert float(right.mean()) == pytest.approx(bayes(), abs=4 * math.sqrt(0.06 * 0.94 / 40_000))
    assert float(y.double().mean()) == pytest.approx(0.5, abs=0.01)
    # no other threshold does better, and far from it nobody errs
    for threshold in (0.4, 0.45, 0.55, 0.6):
        assert float(((c > threshold).long() == y).double().mean()) < bayes()
    assert float(right[(c - 0.5).abs() > 0.3].mean()) > 0.999
    assert float(right[(c - 0.5).abs() < 0.02].mean()) < 0.65


def test_labels_are_those_of_the_hair_and_of_their_own_seed() -> None:
    drawn, traits = load("faces", n=400, seed=2), faces.parameters(n=400, seed=2)
    assert torch.equal(drawn.y, faces.labels(traits, seed=2))
    again = faces.labels(traits, seed=3)
    assert 0.02 < float((again != drawn.y).double().mean()) < 0.2  # another judge, same hair
    flipped = with_trait(traits, hair_colour=0.0)
    flipped[:, 0] = 1 - traits[:, 0]
    assert float((faces.labels(flipped, seed=2) != drawn.y).double().mean()) > 0.8


def five_bits(x: Tensor) -> Tensor:
    """As the flow sees it: 32 levels and uniform noise."""
    return ((x * 32).floor() + torch.rand(x.shape, generator=runtime.generator("levels"))) / 32


def test_hair_colour_is_read_off_the_picture() -> None:
    traits = torch.cat([faces.parameters("test", n=1500, seed=8), corners("faces", 300)])
    traits[1500:, 0] = torch.linspace(0, 1, 300)
    x = faces.draw(traits)
    for seen, mean, worst in ((x, 0.008, 0.07), (five_bits(x), 0.010, 0.09), (x.double(), 0.008, 0.07)):
        off = (faces.hair_colour(seen) - traits[:, 0]).abs()
        assert float(off.mean()) < mean
        assert float(off.max()) < worst
    # control: a picture whose window was painted over, and the pictures in another order
    rows, columns = faces.WINDOW
    painted = x.clone()
    painted[:, :, rows, columns] = 0.5
    for wrong in (painted, x.flip(0)):
        assert float((faces.hair_colour(wrong) - traits[:, 0]).abs().mean()) > 0.2


def test_reading_the_hair_is_the_best_classifier() -> None:
    drawn = load("faces", "test", n=3000, seed=1)
    right = ((faces.hair_colour(drawn.x) > faces.THRESHOLD).long() == drawn.y).double().mean()
    assert float(right) == pytest.approx(bayes(), abs=4 * math.sqrt(0.06 * 0.94 / 3000))


def test_dyed_hair_is_read_as_the_new_colour() -> None:
    traits = faces.parameters(n=100, seed=9)
    for c in (0.05, 0.5, 0.95):
        read = faces.hair_colour(faces.draw(with_trait(traits, hair_colour=c)))
        assert float((read - c).abs().max()) < 0.06


@pytest.mark.slow
def test_the_nearest_face_to_a_face_is_itself_and_to_a_spoilt_one_is_as_far_as_it_was_spoilt() -> None:
    traits = faces.parameters("test", n=5, seed=11)
    x = faces.draw(traits)
    found, distance = faces.nearest_face(x)
    assert float(distance.median()) < 1e-4
    assert float((found - traits).abs().median()) < 1e-4
    torch.testing.assert_close((faces.draw(found) - x).flatten(1).norm(dim=1), distance, rtol=1e-3, atol=1e-5)
    # noise of norm 2 in 3,072 dimensions is orthogonal to 24 of them but for 24/3,072 of its square
    noise = torch.randn(x.shape, generator=runtime.generator("spoilt"))
    noise = 2 * noise / noise.flatten(1).norm(dim=1)[:, None, None, None]
    found, distance = faces.nearest_face(x + noise)
    assert float(distance.median()) == pytest.approx(2, rel=0.02)
    assert float((found[:, 0] - traits[:, 0]).abs().max()) < 0.03


@pytest.mark.slow
def test_the_search_for_the_nearest_never_gets_farther_and_stays_in_the_cube() -> None:
    start = torch.full((6, 24), 0.5)
    x = faces.draw(corners("faces", 6))
    before = (faces.draw(start) - x).flatten(1).norm(dim=1)
    found, distance = nearest(faces.draw, x, start, steps=6)
    assert bool((distance < 0.5 * before).all())
    assert found.min() >= 0
    assert found.max() <= 1
    assert torch.equal(nearest(faces.draw, x, start, steps=0)[0], start)


# Crowds


def test_labels_count_who_is_there() -> None:
    drawn, crowd = load("crowds", n=2000, seed=1), crowds.parameters(n=2000, seed=1)
    assert torch.equal(drawn.y, of_people(crowd, "presence").sum(1))
    share = torch.bincount(drawn.y.long(), minlength=13) / 2000
    assert len(share) == 13
    assert float((share - 1 / 13).abs().max()) < 4 * math.sqrt(1 / 13 / 2000)
    of_people(crowd, "presence")[:, :3] = 0.5
    assert not torch.equal(crowds.count(crowd), drawn.y)


def test_people_stand_in_order_and_keep_their_distance() -> None:
    crowd = crowds.parameters(n=1000, seed=1)
    assert bool((of_people(crowd, "depth").diff(dim=1) >= 0).all())
    feet = torch.stack([1.8 + 28.4 * of_people(crowd, "x"), 14.5 + 15.5 * of_people(crowd, "depth")], 2)
    gap = torch.cdist(feet, feet) + 99 * torch.eye(12)
    assert float((gap.amin((1, 2)) > 4.6).double().mean()) > 0.8
    assert float(gap.min()) > 2.5


def test_who_is_absent_leaves_no_trace() -> None:
    crowd = crowds.parameters(n=60, seed=2)
    other = crowds.parameters(n=60, seed=3)
    other[:, :2] = crowd[:, :2]
    empty, otherwise = crowd.clone(), other.clone()
    of_people(empty, "presence")[:] = 0
    of_people(otherwise, "presence")[:] = 0
    assert torch.equal(crowds.draw(empty), crowds.draw(otherwise))
    assert not torch.equal(crowds.draw(crowd), crowds.draw(other))


def test_a_person_who_leaves_changes_only_the_place_and_its_shadow() -> None:
    crowd = crowds.parameters(n=200, seed=4)
    of_people(crowd, "presence")[:] = 1
    gone = crowd.clone()
    of_people(gone, "presence")[:, -1] = 0
    change = (crowds.draw(crowd) - crowds.draw(gone)).abs().amax(1)
    foot = 1.8 + 28.4 * of_people(crowd, "x")[:, -1]
    away = (torch.arange(32) + 0.5 - foot[:, None]).abs() > 9
    assert float(change.amax((1, 2)).min()) > 0.3
    assert float(change.amax(1)[away].max()) < 0.01  # what is left there is the tail of a shadow
    assert float(change[:, : crowds.WALL_ROWS].max()) == 0  # and nobody's head reaches the upper wall


def test_light_is_a_factor_of_each_channel() -> None:
    crowd = crowds.parameters(n=50, seed=5)
    lit = crowd.clone()
    lit[:, 0] = 1 - crowd[:, 0]
    ratio = crowds.draw(lit) / crowds.draw(crowd)
    assert float((ratio.amax((1, 2, 3)) - ratio.amin((1, 2, 3))).max()) < 1e-4
    assert float((ratio.mean((1, 2, 3)) - 1).abs().max()) > 0.2


@pytest.mark.slow
def test_a_hall_has_two_dimensions_and_every_person_six_more() -> None:
    """The derivative by the presence of somebody absent is the picture of somebody coming: one dimension each."""
    crowd, eye = crowds.parameters(n=10, seed=6).double(), torch.eye(crowds.COLUMNS, dtype=torch.float64)
    for present in (0, 1, 2):
        of_people(crowd, "presence")[:] = (torch.arange(12) < present).double()
        columns = [torch.func.jvp(crowds.draw, (crowd,), (e.expand(10, -1),))[1].flatten(1) for e in eye]
        jacobian = torch.stack(columns, 1)
        rank = (torch.linalg.eigvalsh(jacobian @ jacobian.mT) > 1e-6).sum(1)  # squares of singular values above 0.001
        assert float((rank == 2 + 12 + 5 * present).double().mean()) >= 0.7, rank


@pytest.mark.slow
@pytest.mark.parametrize(("spoil", "mean"), [(lambda x: x, 0.06), (five_bits, 0.07), (Tensor.double, 0.06)])
def test_people_are_counted_without_a_network(spoil: Callable[[Tensor], Tensor], mean: float) -> None:
    drawn = load("crowds", "test", n=250, seed=21)
    off = crowds.count_people(spoil(drawn.x)) - drawn.y
    assert float(off.abs().mean()) < mean
    assert abs(float(off.mean())) < mean
    assert float(off.abs().max()) <= 2
    assert float(off[drawn.y <= 6].abs().mean()) < 0.01  # what errs is a person hidden behind others
    # controls: always six, and the count of other pictures
    assert float((6 - drawn.y).abs().mean()) > 2.5
    assert float((crowds.count_people(spoil(drawn.x.flip(0))) - drawn.y).abs().mean()) > 2.5


@pytest.mark.slow
def test_the_count_follows_who_leaves_and_who_comes() -> None:
    crowd = crowds.parameters(n=60, seed=22)
    for present in (0, 1, 4, 8):
        of_people(crowd, "presence")[:] = (
            torch.rand(60, 12, generator=runtime.generator("who")).argsort(1) < present
        ).float()
        assert float((crowds.count_people(crowds.draw(crowd)) - present).abs().mean()) < 0.08
        assert bool((crowds.count(crowd) == present).all())


def test_shadows_and_light_alone_are_nobody() -> None:
    crowd = corners("crowds", 50)
    of_people(crowd, "presence")[:] = 0
    x = crowds.draw(crowd)
    assert float(crowds.count_people(x).max()) == 0
    x[:, :, 20:, :] *= 0.72
    assert float(crowds.count_people(x).max()) == 0
    x[:, :, 20:, :] *= 0.4  # but half a hall of dark is somebody
    assert float(crowds.count_people(x).min()) > 0


def test_the_modules_name_what_they_stand_in_for() -> None:
    module: ModuleType
    for module, name in ((faces, "CelebA"), (crowds, "Mall")):
        assert name in (module.__doc__ or "")

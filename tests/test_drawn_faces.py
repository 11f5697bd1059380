"""Drawn faces: 24 traits that can be told apart, labels with a known error, and instruments that read pictures."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from gdl_lab import runtime
from gdl_lab.data import faces, load
from gdl_lab.data.nearest import nearest
from tests.drawings import corners, five_bits, slopes


def with_trait(traits: Tensor, **values: float) -> Tensor:
    changed = traits.clone()
    for name, value in values.items():
        changed[:, faces.TRAITS.index(name)] = value
    return changed


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
    jacobian = slopes(faces.draw, traits)
    singular = torch.linalg.svdvals(jacobian)
    assert singular.shape == (20, 24)
    assert float((singular[:, -1] > 0.01).double().mean()) > 0.9
    jacobian[:, -1] = jacobian[:, 0] + jacobian[:, 1]  # were one trait to repeat two others
    assert float(torch.linalg.svdvals(jacobian)[:, -1].max()) < 1e-9


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
    traits = faces.parameters("test", n=3, seed=11)
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

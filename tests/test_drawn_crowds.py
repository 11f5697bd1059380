"""Drawn crowds: who is there is counted exactly, who is not leaves no trace, and a count without a network."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gdl_lab import runtime
from gdl_lab.data import crowds, load
from tests.drawings import corners, five_bits, slopes


def of_people(crowd: Tensor, name: str) -> Tensor:
    """A view of one number of all twelve people, shape ``(n, 12)``."""
    return crowd[:, len(crowds.HALL) + crowds.PERSON.index(name) :: len(crowds.PERSON)]


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
    crowd = crowds.parameters(n=6, seed=6).double()
    for present in (0, 1, 2):
        of_people(crowd, "presence")[:] = (torch.arange(12) < present).double()
        jacobian = slopes(crowds.draw, crowd)
        rank = (torch.linalg.eigvalsh(jacobian @ jacobian.mT) > 1e-6).sum(1)  # squares of singular values above 0.001
        assert bool((rank == 2 + 12 + 5 * present).all()), rank


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

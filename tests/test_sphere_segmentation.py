"""Masks and areas: by hand, by loops, and by what a rotation must not change."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from gdl_lab import data
from gdl_lab.sphere.digits import digits_on_sphere, four_digits_on_sphere
from gdl_lab.sphere.segmentation import confusion, masks, mean_iou, pixel_weights, segmentation_loss
from gdl_lab.symmetry import random_rotations
from tests.test_sphere_digits import GRID, WEIGHTS


def test_masks_say_which_digit_is_where() -> None:
    signals = torch.tensor([[[0.2, 0.9], [0.51, 0.5]]])
    assert masks(signals, torch.tensor([0, 9])).tolist() == [[[0, 10], [1, 0]]]
    assert masks(signals, torch.tensor([0, 9]), threshold=0.1).tolist() == [[[1, 10], [1, 10]]]
    pictures = torch.zeros(1, 4, 9, 9)
    pictures[0, 2] = 1
    four = four_digits_on_sphere(pictures, GRID)
    assert masks(four, torch.tensor([[4, 5, 6, 7]])).unique().tolist() == [0, 7]
    with pytest.raises(ValueError, match=r"labels of shape \(2,\), got \(3,\)"):
        masks(signals, torch.tensor([1, 2, 3]))


def test_weights_of_pixels_are_shares_of_the_sphere() -> None:
    area = pixel_weights(WEIGHTS, (24, 48))
    assert float(area.sum()) == pytest.approx(1)
    # the polar cap β < π/6 is (1 − cos π/6)/2 of the sphere
    cap = area[GRID[1] < math.pi / 6].sum()
    assert float(cap) == pytest.approx((1 - math.cos(math.pi / 6)) / 2, abs=0.01)
    assert torch.allclose(pixel_weights(None, (3, 4)), torch.full((3, 4), 1 / 12))
    with pytest.raises(ValueError, match="each of 24 latitudes"):
        pixel_weights(WEIGHTS[:-1], (24, 48))


def test_confusion_adds_up_areas(rng: torch.Generator) -> None:
    weights = torch.tensor([0.2, 0.8], dtype=torch.float64)
    target, predicted = torch.randint(3, (2, 2, 4, 5), generator=rng)
    expected = torch.zeros(3, 3, dtype=torch.float64)
    for i in range(2):
        for j in range(4):
            for b in range(5):
                expected[target[i, j, b], predicted[i, j, b]] += weights[i] / 4
    assert torch.allclose(confusion(predicted, target, weights, 3), expected)
    assert float(confusion(predicted, target, None, 3).sum()) == pytest.approx(5)
    assert not torch.allclose(confusion(predicted, target, None, 3), expected)


def test_mean_iou_leaves_the_background_out() -> None:
    counts = torch.tensor([[50.0, 2, 3], [4, 6, 0], [1, 0, 9]])
    assert mean_iou(counts) == pytest.approx((6 / 12 + 9 / 13) / 2)
    absent = F.pad(counts, (0, 1, 0, 1))
    assert mean_iou(absent) == pytest.approx(mean_iou(counts)), "a class that nobody speaks of does not count"
    assert math.isnan(mean_iou(torch.tensor([[5.0, 0], [0, 0]])))
    assert mean_iou(torch.eye(4)) == 1
    assert mean_iou(torch.tensor([[5.0, 1], [2, 0]])) == 0


def test_the_loss_is_an_integral_of_cross_entropies(rng: torch.Generator) -> None:
    logits = torch.randn(2, 3, 4, 5, generator=rng, dtype=torch.float64)
    target = torch.randint(4, (2, 3, 5), generator=rng)
    weights = torch.tensor([0.3, 0.7], dtype=torch.float64)
    expected = 0.0
    for i in range(2):
        for j in range(3):
            for b in range(5):
                error = -logits[i, j, :, b].log_softmax(0)[target[i, j, b]]
                expected += weights[i] / 3 * (0.5 if target[i, j, b] == 0 else 1) * error / 5
    assert float(segmentation_loss(logits, target, weights)) == pytest.approx(float(expected))
    even = segmentation_loss(logits, target, None, background=1.0)
    assert float(even) == pytest.approx(
        float(F.cross_entropy(logits.permute(0, 1, 3, 2).reshape(-1, 4), target.flatten()))
    )


@pytest.mark.slow
def test_a_rotation_changes_scores_by_points_and_not_by_areas(rng: torch.Generator) -> None:
    """A rough answer, the same for every pose of a digit: dilated by half its size, and wrong in its upper half."""
    digit = data.load("digits8", "test").x[:1]
    n = 300
    R = random_rotations(n, rng)
    pictures = digit.expand(n, -1, -1, -1)
    target = masks(digits_on_sphere(pictures, GRID, R), torch.zeros(n, dtype=torch.int64))
    upper = pictures.clone()
    upper[:, :, 4:] = 0
    wrong = digits_on_sphere(upper, GRID, R) > 0.4
    answer = torch.where(wrong, 2, target)
    spread = {}
    for name, weights in (("areas", WEIGHTS), ("points", None)):
        scores = [mean_iou(confusion(answer[..., [i]], target[..., [i]], weights)) for i in range(n)]
        spread[name] = float(torch.tensor(scores).std())
    assert spread["areas"] < 0.75 * spread["points"]


def test_what_cannot_be_compared() -> None:
    target = torch.zeros(2, 3, 4, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"got \(2, 3\) and \(2, 3, 4\)"):
        confusion(target[..., 0], target, None)
    for bad in (target - 1, target + 11):
        with pytest.raises(ValueError, match="classes from 0 to 10"):
            confusion(bad, target, None)
        with pytest.raises(ValueError, match="classes from 0 to 10"):
            confusion(target, bad, None)
    assert float(confusion(target[..., :0], target[..., :0], None).sum()) == 0

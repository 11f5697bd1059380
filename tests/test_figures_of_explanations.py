"""Pictures of explanations: their numbers stand in the texts, flat data say their shape, and misses are told."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import nn

from gdl_lab import figures
from gdl_lab.counterfactuals import explain
from tests.known_metrics import IDENTITY, sharp


def pictures(shape: tuple[int, ...], target: int | float = 1, steps: int = 500) -> Any:
    torch.manual_seed(0)
    x = torch.rand(2, *shape)
    net = nn.Sequential(nn.Flatten(), sharp(nn.Linear(x[0].numel(), 2)).float())
    model = net if isinstance(target, int) else lambda x: net(x)[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return explain(model, IDENTITY, x, target, lr_x=0.05, steps=steps)


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "target"), [((5, 4), 1), ((1, 5, 4), 2.5), ((3, 5, 4), 1), ((2,), 2.5)])
def test_an_explanation_is_drawn_with_its_numbers(shape: tuple[int, ...], target: int | float) -> None:
    e = pictures(shape, target)
    drawn = figures.explanation(e)
    assert f"{float(e.output[0].median()):.3g}, {float(e.output[1].median()):.3g}" in drawn.alt
    assert "reached by 2 and 2 of 2" in drawn.alt
    assert ("value, target 2.5" if target == 2.5 else "probability of class 1") in drawn.alt
    assert drawn.light != drawn.dark
    assert "log q/D" in drawn.caption


@pytest.mark.slow
def test_flat_pictures_say_their_shape() -> None:
    e = pictures((20,))
    with pytest.raises(ValueError, match=r"got \(20,\): say shape=\(28, 28\)"):
        figures.explanation(e)
    with pytest.raises(ValueError, match=r"20 numbers are no picture of shape \(3, 3\)"):
        figures.explanation(e, shape=(3, 3))
    drawn = figures.explanation(e, shape=(4, 5), caption="C.", alt="A 1.")
    assert (drawn.caption, drawn.alt) == ("C.", "A 1.")
    again = figures.explanation(e, shape=(4, 5))
    assert drawn.light == again.light
    assert again.light != figures.explanation(e, shape=(5, 4)).light


@pytest.mark.slow
def test_who_did_not_arrive_is_told_in_the_picture() -> None:
    assert "reached by 0 and 0 of 2" in figures.explanation(pictures((5, 4), 1, steps=1)).alt

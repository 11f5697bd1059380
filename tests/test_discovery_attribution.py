"""Attribution: slopes come out in raw units, least squares takes the shortest weights, shuffling finds what counts."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from gdl_lab.discovery import Standardised, accuracy, classify, gradients, importance, least_squares, regress, split


def features(n: int = 400, seed: int = 0) -> Tensor:
    x = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x * torch.tensor([1.0, 50.0, 0.01]).double() + torch.tensor([0.0, 100.0, 3.0]).double()


def test_slopes_are_in_raw_units() -> None:
    x = features()
    linear = nn.Linear(3, 1)
    model = Standardised(linear, x.float(), 7 * x[:, 0].float() + 1)
    raw = gradients(model, x)
    assert torch.allclose(raw, (linear.weight * model.scale / model.sd).expand(400, 3), rtol=1e-4)
    assert not torch.allclose(raw, linear.weight.expand(400, 3), rtol=1e-2)


def test_a_network_finds_a_formula_with_units() -> None:
    x = features()
    y = 2 * x[:, 0] - 0.1 * x[:, 1]
    train, test = split(400)
    model = regress(x[train], y[train], steps=300)
    slopes = gradients(model, x[test]).median(0).values
    assert float(slopes[0]) == pytest.approx(2, abs=0.2)
    assert float(slopes[1]) == pytest.approx(-0.1, abs=0.01)
    again = regress(x[train], y[train], steps=300)
    assert torch.equal(again(x[test].float()), model(x[test].float()))


def test_a_constant_feature_is_no_trouble() -> None:
    x = torch.cat([features(), torch.ones(400, 1)], 1)
    assert gradients(regress(x, x[:, 0], steps=5), x).isfinite().all()


def test_of_many_weights_least_squares_takes_the_shortest() -> None:
    x = torch.tensor([[1.0, 1], [2, 2], [3, 3]]).double()
    assert torch.allclose(least_squares(x, x[:, 0]), torch.tensor([0.5, 0.5, 0]).double())


def test_shuffling_finds_the_feature_that_counts() -> None:
    x = features()
    labels = (x[:, 2] > 3).long()
    train, test = split(400)
    model = classify(x[train], labels[train], classes=2, steps=150, hidden=(16,))
    assert accuracy(model, x[test], labels[test]) > 0.9
    lost = importance(model, x[test], labels[test])
    assert lost.argmax() == 2
    assert float(lost[2]) > 0.3
    assert float(lost[:2].abs().max()) < 0.1
    none = classify(x[train], labels[train][torch.randperm(320)], classes=2, steps=150, hidden=(16,))
    assert accuracy(none, x[test], labels[test]) < 0.75


def test_halves_are_disjoint_and_the_same_each_time() -> None:
    train, test = split(100, 0.75, seed=2)
    assert len(train) == 75
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(100))
    assert torch.equal(train, split(100, 0.75, seed=2)[0])
    assert not torch.equal(train, split(100, 0.75, seed=3)[0])
    with pytest.raises(ValueError, match="leaves nothing"):
        split(3, 1.0)


def test_bad_tables_get_clear_words() -> None:
    x = features(5)
    for bad, y, words in (
        (x, torch.zeros(4), "as many|answers"),
        (x[0], torch.zeros(3), "features"),
        (x * math.nan, torch.zeros(5), "finite"),
        (x[:0], torch.zeros(0), "features"),
    ):
        for fit in (least_squares, lambda x, y: regress(x, y, steps=1)):
            with pytest.raises(ValueError, match=words):
                fit(bad, y)
    for labels in (torch.zeros(5), torch.full((5,), 3), torch.full((5,), -1)):
        with pytest.raises(ValueError, match="int64 labels from 0 to 2"):
            classify(x, labels, classes=3, steps=1)

"""Negative controls of chapter 01's claims: each fails when its statement is made false."""

from __future__ import annotations

from math import log10
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gdl_lab import data
from gdl_lab.claims import ch01
from gdl_lab.networks import FullyConnected, depth, fully_connected, loss_and_gradients
from gdl_lab.widgets import LinearRegions


def without_the_mask(weights: Any, x: Tensor, y: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """Backpropagation that forgets the derivative of ReLU."""
    z = [x]
    for j, (w, b) in enumerate(weights):
        a = z[-1] @ w.T + b
        z.append(a.relu() if j < len(weights) - 1 else a)
    upstream, gradients = 2 * (z[-1] - y), []
    for (w, _), before in zip(reversed(weights), reversed(z[:-1]), strict=True):
        gradients.insert(0, (upstream.T @ before, upstream.sum(0)))
        upstream = upstream @ w
    return (z[-1] - y).square().sum(), gradients


def halved(weights: Any, x: Tensor, y: Tensor) -> Any:
    """A gradient without the 2 of the square."""
    error, gradients = loss_and_gradients(weights, x, y)
    return error, [(w / 2, b / 2) for w, b in gradients]


@pytest.mark.parametrize("wrong", [without_the_mask, halved])
def test_a_wrong_gradient_is_found(wrong: Any) -> None:
    measured = ch01.hand_gradient.outcome(backprop=wrong)
    assert not measured.holds
    assert measured.value > 1e-3


def test_a_step_of_another_optimiser_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.optim, "SGD", torch.optim.Adam)
    assert not ch01.step_is_the_formula.outcome().holds


def test_a_wrong_gradient_leaves_a_remainder_of_first_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ch01, "loss_and_gradients", halved)
    # the promise is η|½∇E|², the truth is ½ η|∇E|²: they differ in first order
    assert ch01.remainder_is_second_order.outcome().value == pytest.approx(1, abs=0.05)


def test_a_loss_that_does_not_fall_fails() -> None:
    assert not ch01.loss_falls.outcome(losses=[1.0, 0.9, 0.8]).holds


def test_an_untrained_reader_fails() -> None:
    torch.manual_seed(0)
    test = data.load("digits8", "test")
    assert ch01.learns_digits.outcome(reader=FullyConnected([64, 10]), test=test).value < 0.5
    nets: list[nn.Module] = [FullyConnected([64, 10]), FullyConnected([64, 10])]
    assert not ch01.trainable_depth.outcome(kept=nets[0], halved=nets[1]).holds
    assert not ch01.tricks_make_it_robust.outcome(nets=nets).holds


def test_relu_on_the_output_fails_the_claim_of_negative_values(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = fully_connected.FullyConnected.forward
    monkeypatch.setattr(FullyConnected, "forward", lambda self, x: plain(self, x).relu())
    measured = ch01.negative_values.outcome()
    assert measured.value == 0
    assert not measured.holds


def test_a_function_that_is_not_piecewise_affine_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FullyConnected, "forward", lambda self, x: self.layers[-1](self.layers[0](x).tanh()))
    net = FullyConnected([2, 6, 1])
    assert not ch01.piecewise_affine.outcome(net=net).holds


def test_regions_that_are_missed_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ch01.linear_regions
    monkeypatch.setattr(ch01, "linear_regions", lambda net: sorted(whole(net), key=lambda part: part.area)[:-1])
    assert not ch01.one_layer_regions.outcome().holds
    assert not ch01.piecewise_affine.outcome().holds


def test_a_saw_that_does_not_double_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ch01, "tent", lambda deep: depth.tent(deep - 1))
    assert not ch01.depth_doubles_pieces.outcome().holds


@pytest.mark.parametrize(
    ("claim", "gain"),
    [("variance_is_kept", 2.2), ("variance_halves", 1.1), ("variance_with_residuals", 1.7), ("gradients_too", 1.1)],
)
def test_another_variance_fails(claim: str, gain: float, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, made = getattr(ch01, claim), depth.DeepNetwork

    def other(*arguments: Any, **options: Any) -> depth.DeepNetwork:
        return made(*arguments, **{**options, "gain": gain})

    monkeypatch.setattr(depth, "DeepNetwork", other)
    monkeypatch.setattr(ch01, "DeepNetwork", other)
    assert not entered.outcome().holds


def test_the_folded_answer_about_the_learning_rate_is_measured() -> None:
    """Chapter 01 says from which η on a step of its widget raises the error although it promises to lower it."""
    few = data.load("two_moons", n=400).take(40, seed=1)
    widget = LinearRegions(points=few.x, labels=few.y, seed=3)
    below, above = (widget.readout(log_eta=log10(eta)) for eta in (0.7, 0.8))
    assert below["actual"] < 0 < above["actual"]
    assert below["predicted"] < 0 > above["predicted"]

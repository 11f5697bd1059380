"""The training loop: its steps, its best weights, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from gdl_lab.training import Diverged, History, _batch, fit, warm_cosine
from tests.small_training import N, data, killed_after, network, same, squared, train

# Best weights and early stop


def scripted(errors: list[float]) -> Callable[[nn.Module], float]:
    seen: list[dict[str, Tensor]] = []

    def validate(model: nn.Module) -> float:
        seen.append({k: v.clone() for k, v in model.state_dict().items()})
        return errors[len(seen) - 1]

    validate.seen = seen  # type: ignore[attr-defined]
    return validate


def test_patience_stops_and_the_best_weights_come_back() -> None:
    validate = scripted([3.0, 1.0, 2.0, 1.0, 5.0])
    model = network()
    history = train(model, validate=validate, patience=2, steps=25)
    assert history.stopped_early
    assert history.validation == [(5, 3.0), (10, 1.0), (15, 2.0), (20, 1.0)]  # equal to the best is not better
    assert history.best == 1.0
    best, last = validate.seen[1], validate.seen[-1]  # type: ignore[attr-defined]
    assert all(torch.equal(v, best[k]) for k, v in model.state_dict().items())
    assert any(not torch.equal(v, last[k]) for k, v in model.state_dict().items())
    assert not model.training


def test_without_patience_all_steps_are_done_and_the_best_weights_come_back() -> None:
    validate = scripted([1.0, 2.0, 3.0, 4.0, 5.0])
    model = network()
    history = train(model, validate=validate, steps=25)
    assert not history.stopped_early
    assert len(history.loss) == 25
    assert all(torch.equal(v, validate.seen[0][k]) for k, v in model.state_dict().items())  # type: ignore[attr-defined]


def test_a_training_that_stopped_early_stays_stopped_when_resumed(tmp_path: Path) -> None:
    model = network()
    train(model, validate=scripted([1.0, 2.0, 3.0]), patience=2, checkpoint=tmp_path / "c.pt")
    again = network(5)
    history = train(again, killed_after(0), validate=scripted([]), patience=2, checkpoint=tmp_path / "c.pt")
    assert history.stopped_early
    assert same(model, again)


def test_a_validation_that_is_not_a_number_is_never_the_best() -> None:
    validate = scripted([math.nan, 2.0, 1.0, math.nan, 3.0])
    model = network()
    history = train(model, validate=validate, steps=25)
    assert history.best == 1.0
    assert all(torch.equal(v, validate.seen[2][k]) for k, v in model.state_dict().items())  # type: ignore[attr-defined]


def test_validation_sees_the_network_in_evaluation_mode_and_without_gradients() -> None:
    seen = []

    def validate(model: nn.Module) -> float:
        seen.append((model.training, torch.is_grad_enabled()))
        return 0.0

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        assert model.training
        return squared(model, x, y)

    train(network(), loss, validate=validate)
    assert seen == [(False, False)] * 5


def test_best_of_no_validation_is_infinite() -> None:
    assert History().best == math.inf


# The steps themselves


def test_a_step_of_gradient_descent_is_the_formula(rng: torch.Generator) -> None:
    """θ ← θ − η ∂E/∂θ, with the gradient of the squared error of a linear map written down."""
    x, y = torch.randn(5, 3, generator=rng).double(), torch.randn(5, 1, generator=rng).double()
    model = nn.Linear(3, 1).double()
    w, b = model.weight.detach().clone(), model.bias.detach().clone()
    history = fit(model, (x, y), squared, steps=1, lr=0.1, optimiser=torch.optim.SGD, progress=False)
    residual = x @ w.T + b - y
    assert history.loss == [pytest.approx(float(residual.square().mean()), rel=1e-14)]
    assert (model.weight - (w - 0.1 * 2 * residual.T @ x / 5)).abs().max() < 1e-14
    assert (model.bias - (b - 0.1 * 2 * residual.mean())).abs().max() < 1e-14
    assert (model.weight - (w + 0.1 * 2 * residual.T @ x / 5)).abs().max() > 1e-6  # the other sign is another step


def test_a_schedule_sets_the_rate_of_every_step() -> None:
    """The gradient of the mean of w·x over x = 1 is 1, so each step shows its rate."""
    model, seen = nn.Linear(1, 1, bias=False), []

    def loss(model: nn.Module, x: Tensor) -> Tensor:
        seen.append(float(next(model.parameters()).detach()))
        return model(x).mean()

    options: dict[str, Any] = {"steps": 40, "lr": 0.5, "optimiser": torch.optim.SGD, "progress": False}
    fit(model, (torch.ones(1, 1),), loss, schedule=warm_cosine, **options)
    seen.append(float(next(model.parameters()).detach()))
    rates = -torch.tensor(seen).diff()
    want = torch.tensor([0.5 * warm_cosine((step + 0.5) / 40) for step in range(40)])
    assert torch.allclose(rates, want, atol=1e-6)
    assert rates.argmax() == 2
    assert rates.min() > 0


def test_the_schedule_rises_to_one_and_falls_to_zero() -> None:
    assert warm_cosine(0.0) == 0
    assert warm_cosine(0.05) == 1
    assert warm_cosine(1.0) == pytest.approx(0)
    assert warm_cosine(0.525) == pytest.approx(0.5)


def test_a_long_gradient_is_cut_to_the_length_asked_for() -> None:
    for clip, moved in ((0.25, 0.25), (5.0, 3.0)):
        model = nn.Linear(1, 1, bias=False)
        before = next(model.parameters()).detach().clone()
        fit(
            model, (3 * torch.ones(1, 1),), lambda m, x: m(x).mean(), steps=1, lr=1.0, clip=clip,
            optimiser=torch.optim.SGD, progress=False,
        )  # fmt: skip
        assert float(before - next(model.parameters()).detach()) == pytest.approx(moved, rel=1e-4)


def test_an_infinite_gradient_of_a_finite_loss_is_noticed_before_the_step() -> None:
    model = nn.Linear(1, 1, bias=False)
    with pytest.raises(Diverged, match="the gradient is not finite at step 0"):
        fit(model, (torch.zeros(1, 1),), lambda m, x: m(x).abs().sqrt().mean(), steps=3, clip=1.0, progress=False)
    assert torch.isfinite(next(model.parameters())).all()


@pytest.mark.parametrize("clip", [0.0, -1.0, math.nan])
def test_a_clip_that_is_no_positive_norm_is_refused(clip: float) -> None:
    with pytest.raises(ValueError, match="clip is a positive norm"):
        train(network(), clip=clip)


@given(n=st.integers(1, 40), size=st.integers(1, 40), seed=st.integers(0, 2**31))
def test_a_pass_over_the_data_repeats_nothing(n: int, size: int, seed: int) -> None:
    size = min(n, size)
    laps = []
    for lap in range(3):
        steps = range(lap * (n // size), (lap + 1) * (n // size))
        drawn = torch.cat([_batch(n, size, step, seed) for step in steps]).tolist()
        assert len(set(drawn)) == len(drawn) == n // size * size
        assert set(drawn) <= set(range(n))
        laps.append(drawn)
    if n >= 20:
        assert laps[0] != laps[1]
        assert laps[0] != torch.cat([_batch(n, size, k, seed + 1) for k in range(n // size)]).tolist()


def test_batches_reach_the_loss_as_rows_that_belong_together() -> None:
    x = torch.arange(N).float()[:, None]
    seen = []

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        assert torch.equal(y, 10 * x)
        seen.extend(x.flatten().tolist())
        return model(x).square().mean()

    fit(nn.Linear(1, 1), (x, 10 * x), loss, steps=4, batch_size=8, lr=0.0, progress=False)
    assert len(set(seen)) == 32


@pytest.mark.parametrize("batch_size", [None, N, N + 1, 10 * N])
def test_a_batch_is_at_most_all_of_the_data(batch_size: int | None) -> None:
    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        assert len(x) == N
        return squared(model, x, y)

    train(network(), loss, batch_size=batch_size, steps=3)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_dtype_of_the_network_is_kept(kind: torch.dtype) -> None:
    model = network().to(kind)
    x, y = data()
    fit(model, (x.to(kind), y.to(kind)), squared, steps=3, batch_size=8, progress=False)
    assert {p.dtype for p in model.parameters()} == {kind}


# What is refused


@pytest.mark.parametrize("bad", [(), (torch.zeros(0, 3),), (torch.zeros(4, 3), torch.zeros(5, 1))])
def test_unequal_and_empty_data_are_refused(bad: tuple[Tensor, ...]) -> None:
    with pytest.raises(ValueError, match="one common, positive length, got lengths"):
        fit(nn.Linear(3, 1), bad, squared, steps=1, progress=False)


@pytest.mark.parametrize("option", ["steps", "batch_size", "every", "patience"])
@pytest.mark.parametrize("value", [0, -3])
def test_sizes_below_one_are_refused_by_name(option: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{option} is at least 1, got {value}"):
        train(network(), squared, **{option: value})


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_names_its_step_and_leaves_the_weights_finite(value: float, tmp_path: Path) -> None:
    calls = 0

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return squared(model, x, y) * (value if calls == 8 else 1.0)

    model = network()
    with pytest.raises(Diverged, match=rf"the loss is {value} at step 7: lower the learning rate \(0.01\)"):
        train(model, loss, checkpoint=tmp_path / "c.pt")
    assert all(p.isfinite().all() for p in model.parameters())
    saved = torch.load(tmp_path / "c.pt", weights_only=True)
    assert saved["done"] == 5
    assert all(v.isfinite().all() for v in saved["model"].values())


def test_a_real_divergence_is_noticed() -> None:
    with pytest.raises(Diverged, match="at step"):
        fit(nn.Linear(3, 1), data(), squared, steps=500, lr=50.0, optimiser=torch.optim.SGD, progress=False)

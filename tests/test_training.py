"""The training loop: what a killed, stopped, diverged or disturbed training leaves behind."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from gdl_lab.training import CheckpointError, Diverged, History, _batch, fit, warm_cosine

N = 37  # no multiple of the batch size


class Killed(Exception):
    pass


def data(n: int = N) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    return torch.randn(n, 3, generator=g), torch.randn(n, 1, generator=g)


def network(seed: int = 0, width: int = 8, dropout: float = 0.3) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(3, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 1)
    )


def squared(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return (model(x) - y).square().mean()


def killed_after(steps: int) -> Callable[..., Tensor]:
    calls = 0

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls > steps:
            raise Killed
        return squared(model, x, y)

    return loss


def train(model: nn.Module, loss: Callable[..., Tensor] = squared, **options: Any) -> History:
    settings: dict[str, Any] = {"steps": 23, "batch_size": 8, "lr": 0.01, "every": 5, "progress": False}
    return fit(model, data(), loss, **{**settings, **options})


def validation(model: nn.Module) -> float:
    return float(squared(model, *data()))


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


# Resuming


@pytest.mark.parametrize("died_at", [0, 3, 5, 7, 22])
@pytest.mark.parametrize("optimiser", [torch.optim.Adam, torch.optim.SGD])
def test_a_killed_and_resumed_training_ends_bit_for_bit_like_one_left_in_peace(
    tmp_path: Path, died_at: int, optimiser: Any
) -> None:
    peaceful, disturbed = network(), network()
    torch.manual_seed(9)
    expected = train(peaceful, optimiser=optimiser, validate=validation)
    torch.manual_seed(9)
    with pytest.raises(Killed):
        train(disturbed, killed_after(died_at), optimiser=optimiser, validate=validation, checkpoint=tmp_path / "c.pt")
    torch.manual_seed(12345)  # a later sitting finds another state of the generator, and the network half trained
    history = train(disturbed, optimiser=optimiser, validate=validation, checkpoint=tmp_path / "c.pt")
    assert same(peaceful, disturbed)
    assert history.loss == expected.loss
    assert history.validation == expected.validation


def test_without_the_stored_generator_dropout_would_tell_them_apart() -> None:
    """Negative control of the test above: its network does depend on the generator's state."""
    one, other = network(), network()
    torch.manual_seed(9)
    train(one)
    torch.manual_seed(10)
    train(other)
    assert not same(one, other)


def test_a_training_killed_twice_and_moved_to_a_fresh_network_is_the_same(tmp_path: Path) -> None:
    peaceful, first, second, last = network(), network(), network(50), network(99)
    torch.manual_seed(9)
    train(peaceful)
    torch.manual_seed(9)
    for model, steps in ((first, 7), (second, 9)):
        with pytest.raises(Killed):
            train(model, killed_after(steps), checkpoint=tmp_path / "c.pt")
    train(last, checkpoint=tmp_path / "c.pt")
    assert same(peaceful, last)
    assert not same(second, last)


SUBPROCESS = """
import sys, time, torch
sys.path.insert(0, sys.argv[2])
from tests.test_training import network, squared, train, validation
slow = sys.argv[3] == "slow"
def loss(model, x, y):
    if slow:
        time.sleep(0.05)
    return squared(model, x, y)
model = network()
torch.manual_seed(9)
history = train(model, loss, validate=validation, checkpoint=sys.argv[1], steps=60, every=1)
torch.save((model.state_dict(), history.loss, history.validation), sys.argv[1] + ".result")
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a POSIX signal")
def test_a_process_killed_by_the_system_goes_on_where_it_was(tmp_path: Path, root: Path) -> None:
    quiet = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run(name: str, pace: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", SUBPROCESS, str(tmp_path / name), str(root), pace], cwd=root, env=quiet
        )

    assert run("peaceful", "fast").wait(timeout=120) == 0
    victim = run("killed", "slow")
    deadline = time.monotonic() + 60
    while not (tmp_path / "killed").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.6)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait(timeout=60) == -signal.SIGKILL
    reached = torch.load(tmp_path / "killed", weights_only=True)["done"]
    assert 0 < reached < 60
    assert not (tmp_path / "killed.result").exists()
    assert run("killed", "fast").wait(timeout=120) == 0
    (weights, loss, errors), (expected, expected_loss, expected_errors) = (
        torch.load(tmp_path / f"{name}.result", weights_only=True) for name in ("killed", "peaceful")
    )
    assert all(torch.equal(weights[key], expected[key]) for key in expected)
    assert loss == expected_loss
    assert errors == expected_errors


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    first, again = network(), network(5)
    train(first, checkpoint=tmp_path / "c.pt", validate=validation)
    history = train(again, killed_after(0), checkpoint=tmp_path / "c.pt", validate=validation)
    assert same(first, again)
    assert len(history.loss) == 23


def test_a_training_can_be_lengthened(tmp_path: Path) -> None:
    long, short = network(dropout=0.0), network(dropout=0.0)
    train(long, steps=40)
    train(short, steps=20, checkpoint=tmp_path / "c.pt")
    train(short, steps=40, checkpoint=tmp_path / "c.pt")
    assert same(long, short)


def test_seconds_add_up_over_sittings(tmp_path: Path) -> None:
    def slow(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        time.sleep(0.004)
        return squared(model, x, y)

    first = train(network(), slow, steps=20, checkpoint=tmp_path / "c.pt")
    both = train(network(), slow, steps=40, checkpoint=tmp_path / "c.pt")
    assert first.seconds >= 20 * 0.004
    assert both.seconds >= 40 * 0.004


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


def test_a_scheduled_training_killed_and_resumed_is_the_same(tmp_path: Path) -> None:
    options: dict[str, Any] = {"schedule": warm_cosine, "clip": 0.5}
    torch.manual_seed(3)
    whole = network()
    train(whole, **options)
    torch.manual_seed(3)
    with pytest.raises(Killed):
        train(network(), killed_after(13), checkpoint=tmp_path / "c.pt", **options)
    again = network(seed=9)
    train(again, checkpoint=tmp_path / "c.pt", **options)
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True))
    with pytest.raises(CheckpointError, match="was made with"):
        train(network(), checkpoint=tmp_path / "c.pt", **{**options, "steps": 30})


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


# Checkpoints that are damaged, foreign, or cannot be written


@pytest.fixture
def made(tmp_path: Path) -> Path:
    train(network(), steps=10, checkpoint=tmp_path / "c.pt")
    return tmp_path / "c.pt"


def refused(path: Path, model: nn.Module, match: str, **options: Any) -> None:
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=match):
        train(model, checkpoint=path, **options)
    assert path.read_bytes() == before


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused_and_kept(made: Path, keep: float) -> None:
    whole = made.read_bytes()
    made.write_bytes(whole[: keep if isinstance(keep, int) else int(keep * len(whole))])
    refused(made, network(), r"c\.pt is not a readable checkpoint \(\w+\): delete it to start anew")


def test_a_file_of_another_kind_is_refused_and_kept(tmp_path: Path) -> None:
    for content in (b"not a checkpoint", b"\x80\x02."):
        (tmp_path / "c.pt").write_bytes(content)
        refused(tmp_path / "c.pt", network(), "is not a readable checkpoint")
    torch.save({"weights": torch.zeros(2)}, tmp_path / "c.pt")
    refused(tmp_path / "c.pt", network(), "is not a readable checkpoint")


@pytest.mark.parametrize(
    "other", [{"lr": 0.02}, {"batch_size": 9}, {"seed": 1}, {"every": 6}, {"optimiser": torch.optim.SGD}]
)
def test_a_checkpoint_of_other_settings_is_refused_and_kept(made: Path, other: dict[str, Any]) -> None:
    refused(made, network(), r"was made with n=37 batch_size=8 .* not with n=37", **other)


def test_learning_rates_that_print_alike_are_told_apart(tmp_path: Path) -> None:
    train(network(), lr=0.01, checkpoint=tmp_path / "c.pt")
    refused(tmp_path / "c.pt", network(), "was made with", lr=0.010000001)


def test_a_checkpoint_of_another_network_is_refused_and_kept(made: Path) -> None:
    refused(made, network(width=9), "holds the weights of another network: use another file or delete it")


def test_a_checkpoint_past_the_steps_asked_for_is_refused_and_kept(made: Path) -> None:
    refused(made, network(), r"is at step 10, past the 5 asked for", steps=5)


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is a folder, expected a file"):
        train(network(), checkpoint=tmp_path)
    assert tmp_path.is_dir()


def test_a_place_that_cannot_be_written_is_told_before_the_first_step(tmp_path: Path, read_only: Path) -> None:
    for place in (read_only / "c.pt", read_only / "deeper" / "c.pt", read_only / "old" / "c.pt"):
        with pytest.raises(CheckpointError, match=r"cannot write the checkpoint .*c\.pt \(.+\): choose another place"):
            train(network(), killed_after(0), checkpoint=place)
    assert [p.name for p in read_only.iterdir()] == ["old"]


@pytest.mark.parametrize("reason", [OSError(28, "No space left on device"), RuntimeError("writer failed"), Killed()])
def test_a_checkpoint_is_never_half_there(made: Path, monkeypatch: pytest.MonkeyPatch, reason: Exception) -> None:
    """A save that fails midway leaves the old file, and the training goes on from it."""
    before, save = made.read_bytes(), torch.save

    def fails_midway(saved: Any, path: Path) -> None:
        save(saved, path)
        path.write_bytes(path.read_bytes()[:200])
        raise reason

    monkeypatch.setattr(torch, "save", fails_midway)
    with pytest.raises((CheckpointError, Killed)):
        train(network(), checkpoint=made)
    assert made.read_bytes() == before
    monkeypatch.undo()
    resumed, peaceful = network(5), network()
    train(peaceful)
    train(resumed, checkpoint=made)
    assert same(peaceful, resumed)
    assert [p.name for p in made.parent.iterdir()] == ["c.pt"]

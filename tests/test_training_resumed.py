"""A training that was killed, and checkpoints that are damaged, foreign, or cannot be written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gdl_lab.training import CheckpointError, warm_cosine
from tests.small_training import Killed, killed_after, network, same, squared, train, validation

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
from tests.small_training import network, squared, train, validation
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
    saved = torch.load(tmp_path / "c.pt", weights_only=True)["seconds"]
    both = train(network(), slow, steps=40, checkpoint=tmp_path / "c.pt")
    assert 20 * 0.004 <= saved <= first.seconds
    assert both.seconds >= saved + 20 * 0.004


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
    assert same(whole, again)
    with pytest.raises(CheckpointError, match="was made with"):
        train(network(), checkpoint=tmp_path / "c.pt", **{**options, "steps": 30})


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

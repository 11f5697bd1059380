"""The course's sweeps: what an experiment trains on and is tested on, the rule of training, and the files they fill."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gdl_lab import data, sweep
from gdl_lab.networks import ChartCNN, ChartUNet
from gdl_lab.recipes import spherical_digits, sweeps
from gdl_lab.recipes.spherical_digits import OnChart, classify, segment, trained
from gdl_lab.recipes.sweeps import plateaus
from gdl_lab.sphere.digits import digits_on_sphere

DIGITS = {split: data.load("digits8", split) for split in ("train", "test")}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Few and small digits in the place of MNIST, and what each call of the training was given."""
    calls: list[dict[str, Any]] = []
    rule = spherical_digits.trained

    def watched(model: nn.Module, examples: tuple[Tensor, ...], *rest: Any, **options: Any) -> float:
        calls.append({"model": model, "examples": examples, **options})
        return rule(model, examples, *rest, **options)

    monkeypatch.setattr(spherical_digits, "trained", watched)
    monkeypatch.setattr(spherical_digits, "HELD_OUT", 8)
    monkeypatch.setattr(spherical_digits, "TESTED", 20)
    monkeypatch.setattr(spherical_digits.data, "load", lambda name, split: DIGITS[split])
    return calls


# The rule


def test_training_finds_the_least_squares_line_and_keeps_the_best() -> None:
    torch.manual_seed(0)
    x = torch.randn(256, 4)
    y = x @ torch.tensor([1.0, -2, 3, 0.5]) + 0.3 * torch.randn(256)
    net, errors = nn.Linear(4, 1), []

    def error(model: nn.Module) -> float:
        errors.append((model(x[200:]).squeeze(1) - y[200:]).square().mean().item())
        return errors[-1]

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return (model(x).squeeze(1) - y).square().mean()

    seconds = trained(net, (x[:200], y[:200]), loss, error, lr=0.05, steps=400, seed=0)
    assert len(errors) == 10
    assert error(net) == min(errors[:-1])
    assert 0 < seconds < 60
    exact = torch.linalg.lstsq(torch.cat([x[:200], torch.ones(200, 1)], 1), y[:200, None]).solution.squeeze()
    assert torch.allclose(net.weight.detach().squeeze(), exact[:4], atol=0.1)


def test_a_plateau_is_where_twice_the_steps_bring_next_to_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {(1, 500): 0.3, (1, 1000): 0.305, (5, 500): 0.4, (5, 1000): 0.6, (20, 1000): 0.7, (20, 4000): 0.7}

    def learn(copies: int, steps: int, seed: int = 0) -> dict[str, float]:
        return {"miou_held_out": scores[copies, steps] - seed / 10}

    points = [{"copies": k, "steps": n, "seed": seed} for k, n in scores for seed in (0, 1)]
    learning = sweeps.Sweep(name="learning", title="", function=learn, points=points)
    monkeypatch.setitem(sweeps.SWEEPS, "learning", learning)
    sweeps.run("learning", tmp_path, progress=False)
    found = {(row["copies"], row["seed"]): (row["steps"], row["settled"]) for row in plateaus("learning", tmp_path)}
    expected = {1: (1000, True), 5: (1000, False), 20: (4000, None)}
    assert found == {(k, seed): value for k, value in expected.items() for seed in (0, 1)}
    assert plateaus("learning", tmp_path, gain=0.5)[2]["settled"] is True
    restless = sweeps.Sweep(name="restless", title="", function=lambda k: {"v": k}, points=[{"k": 1}])
    monkeypatch.setitem(sweeps.SWEEPS, "restless", restless)
    with pytest.raises(ValueError, match="restless has no argument steps"):
        plateaus("restless", tmp_path)
    with pytest.raises(ValueError, match="learning has no column 'held_out': expected one of copies, steps"):
        plateaus("learning", tmp_path, held_out="held_out")


# What is trained on


@pytest.mark.slow
@pytest.mark.parametrize("network", ["equivariant", "unet-8"])
def test_segmentation_is_reproducible_and_counts_its_pictures(network: str, seen: list[dict[str, Any]]) -> None:
    settings = {"network": network, "digits": 12, "copies": 2, "bandlimit": 8, "steps": 4}
    first = segment(**settings)
    assert (first["images"], first["rate"]) == (24, spherical_digits.RATES[network])
    assert {k: v for k, v in segment(**settings).items() if k != "training_seconds"} == {
        k: v for k, v in first.items() if k != "training_seconds"
    }
    assert segment(**settings, seed=1)["miou_held_out"] != first["miou_held_out"]
    x, y = seen[0]["examples"]
    assert x.shape == y.shape == (24, 16, 32)
    assert y.dtype == torch.uint8
    assert not torch.allclose(x[:12], x[12:]), "each copy has a pose of its own"
    assert torch.equal(y[:12].flatten(1).amax(1), y[12:].flatten(1).amax(1)), "of the same digits"


@pytest.mark.slow
def test_an_upright_training_sees_no_other_pose_and_no_digit_twice(seen: list[dict[str, Any]]) -> None:
    segment("unet-8", digits=30, bandlimit=8, steps=1)
    classify("planar", digits=30, steps=1)
    grid = spherical_digits.S2FFT(16).grid()
    for call in seen:
        x = call["examples"][0]
        upright = digits_on_sphere(DIGITS["train"].x, grid).movedim(-1, 0)
        distance = torch.cdist(x.flatten(1), upright.flatten(1))
        assert float(distance.amin(1).max()) < 0.05, "two digits are some units apart"
        assert len(distance.argmin(1).unique()) == 30


def test_digits_are_dealt_out_before_they_are_turned(seen: list[dict[str, Any]]) -> None:
    training, held_out = spherical_digits._dealt(100, 50, seed=3)
    together = torch.cat([training.x, held_out.x]).flatten(1)
    assert len(together.unique(dim=0)) == 150
    more, same = spherical_digits._dealt(200, 50, seed=3)
    assert torch.equal(same.x, held_out.x)
    assert torch.equal(more.x[:100], training.x), "a larger set holds the smaller one"
    assert not torch.equal(spherical_digits._dealt(100, 50, seed=4)[0].x, training.x)
    with pytest.raises(ValueError, match="at most 1387 digits"):
        spherical_digits._dealt(2000, 50, seed=0)


@pytest.mark.slow
def test_defects_are_behind_their_switches(seen: list[dict[str, Any]]) -> None:
    for switch in ({}, {"shared": 15}, {"stencil": 2}):
        classify("planar", rotated=True, digits=30, steps=1, **switch)
    plain, shared, stencil = (call["examples"][0] for call in seen)
    assert torch.allclose(plain.amax((1, 2)), stencil.amax((1, 2)), atol=0.2)
    assert not torch.allclose(plain, stencil, atol=0.1)
    assert torch.equal(stencil.flatten(1).amin(1), torch.zeros(30))
    # where no digit of a pose paints, none is: the union of fifteen covers less than that of thirty in all poses
    covered = [(part.amax(0) > 0.1).double().mean() for part in (shared[:15], plain[:15])]
    assert covered[0] < 0.75 * covered[1]


@pytest.mark.slow
def test_four_digits_have_four_labels(seen: list[dict[str, Any]]) -> None:
    outcome = segment("equivariant", items=4, digits=3, bandlimit=8, steps=1)
    _, y = seen[0]["examples"]
    assert y.shape == (3, 16, 32)
    assert int(max(len(mask.unique()) for mask in y)) > 2
    assert outcome["images"] == 3
    assert seen[0]["model"].whole is None


def test_a_planar_network_takes_and_gives_what_a_spherical_one_does() -> None:
    signals = torch.rand(16, 32, 5)
    assert OnChart(ChartCNN((16, 32)))(signals).shape == (5, 10)
    net = OnChart(ChartUNet((16, 32))).eval()
    assert net(signals).shape == (16, 32, 11, 5)
    assert torch.allclose(net(signals)[3, 4, :, 2], net.net(signals[None, ..., 2][None])[0, :, 3, 4], atol=1e-5)


def test_unknown_networks() -> None:
    for experiment in (segment, classify):
        with pytest.raises(ValueError, match="unknown network 'cnn': expected equivariant"):
            experiment("cnn")


def test_other_values_that_no_experiment_has() -> None:
    for arguments in ({"items": 3}, {"copies": -1}):
        with pytest.raises(ValueError, match="items=1 or 4 and copies ≥ 0"):
            segment(**arguments)
    with pytest.raises(ValueError, match="at least one picture, got 0"):
        classify(shared=0)


def test_poses_are_shared_in_a_row() -> None:
    R = spherical_digits._poses(7, "poses", 0, shared=3)
    assert R.shape == (7, 3, 3)
    assert torch.equal(R[0], R[2])
    assert torch.equal(R[3], R[5])
    assert not torch.allclose(R[2], R[3])
    assert not torch.allclose(R[5], R[6])
    assert not torch.allclose(R, spherical_digits._poses(7, "poses", 1, shared=3))


# The files


def called(each: sweeps.Sweep) -> list[tuple[Any, ...]]:
    """All arguments of each point, the function's defaults included."""
    signature = inspect.signature(each.function)
    calls = []
    for point in each.points:
        bound = signature.bind(**point)
        bound.apply_defaults()
        calls.append(tuple(bound.arguments.values()))
    return calls


@pytest.mark.parametrize("name", sweeps.SWEEPS)
def test_every_point_can_be_called_and_none_is_there_twice(name: str) -> None:
    calls = called(sweeps.SWEEPS[name])
    assert len(set(calls)) == len(calls) > 0


@pytest.mark.parametrize("name", sweeps.SWEEPS)
def test_stored_results_are_points_of_their_sweep(name: str) -> None:
    rows = sweeps.stored(name)
    if not rows:
        pytest.skip("nothing is measured yet")
    arguments = list(inspect.signature(sweeps.SWEEPS[name].function).parameters)
    assert list(rows[0])[: len(arguments)] == arguments
    keys = [tuple(row[k] for k in arguments) for row in rows]
    assert len(set(keys)) == len(keys)
    assert set(keys) <= set(called(sweeps.SWEEPS[name])), "a point that the sweep no longer has"
    for row in rows:
        assert all(0 <= value <= 1 for column, value in row.items() if column.startswith(("miou", "turned", "upright")))


def test_a_sweep_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = replace(sweeps.SEGMENTATION, name="one", function=lambda k, seed=0: {"v": k}, points=({"k": 1}, {"k": 2}))
    monkeypatch.setitem(sweeps.SWEEPS, "one", one)
    assert sweeps.stored("one", tmp_path) == []
    rows = sweeps.run("one", tmp_path, progress=False)
    assert [row["v"] for row in rows] == [1, 2]
    assert sweeps.stored("one", tmp_path) == rows == sweep.read(sweeps.results("one", tmp_path))
    assert sweeps.results("one").parts[-3:] == ("data", "results", "one.csv")
    with pytest.raises(ValueError, match="unknown sweep 'two': expected one of"):
        sweeps.run("two", tmp_path)

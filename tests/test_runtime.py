"""The run: which profile, device and seed a notebook gets, and in what order of precedence."""

from __future__ import annotations

import pytest
import torch

from gdl_lab import runtime


@pytest.mark.parametrize(
    ("argument", "environment", "chosen"),
    [
        ("laptop", None, "laptop"),
        ("laptop", "", "laptop"),
        ("laptop", "smoke", "smoke"),
        ("full", "smoke", "full"),
        ("smoke", "full", "smoke"),
        ("laptop", "full", "full"),
    ],
)
def test_a_non_default_argument_beats_the_environment_beats_the_default(
    monkeypatch: pytest.MonkeyPatch, argument: str, environment: str | None, chosen: str
) -> None:
    if environment is None:
        monkeypatch.delenv("GDL_LAB_PROFILE", raising=False)
    else:
        monkeypatch.setenv("GDL_LAB_PROFILE", environment)
    assert runtime.choose_profile(argument) == chosen
    assert runtime.start(argument).profile == runtime.current_profile() == chosen


def test_an_unknown_profile_is_named_wherever_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"unknown profile 'fast': expected one of smoke, laptop, full"):
        runtime.start("fast")
    monkeypatch.setenv("GDL_LAB_PROFILE", "slow")
    with pytest.raises(ValueError, match="unknown profile 'slow'"):
        runtime.start()


def test_a_run_that_could_not_start_leaves_the_last_one_in_place() -> None:
    runtime.start("full")
    with pytest.raises(ValueError, match="unknown profile"):
        runtime.start("fast")
    assert runtime.current_profile() == "full"


def test_current_profile_before_any_start_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDL_LAB_PROFILE", "full")
    assert runtime.current_profile() == "full"


@pytest.mark.parametrize(("profile", "picked"), [("smoke", 1), ("laptop", 2), ("full", 3)])
def test_pick_takes_the_value_of_the_profile(profile: str, picked: int) -> None:
    run = runtime.Run(profile, torch.device("cpu"), 0)
    assert run.pick(smoke=1, laptop=2, full=3) == picked
    assert run.pick(smoke=1, laptop=2) == min(picked, 2)


def test_pick_takes_a_falsy_full_value() -> None:
    assert runtime.Run("full", torch.device("cpu"), 0).pick(smoke=1, laptop=2, full=0) == 0


def test_the_same_seed_gives_the_same_layers_and_another_seed_others() -> None:
    def weights(seed: int) -> torch.Tensor:
        runtime.start(seed=seed)
        return torch.nn.Linear(3, 3).weight

    assert torch.equal(weights(5), weights(5))
    assert not torch.equal(weights(5), weights(6))


def test_streams_and_seeds_of_generators_do_not_meet() -> None:
    draws = {
        float(torch.rand((), generator=runtime.Run("smoke", torch.device("cpu"), seed).generator(stream)))
        for seed in range(4)
        for stream in range(8)
    }
    assert len(draws) == 32
    again = runtime.Run("smoke", torch.device("cpu"), 3).generator(7)
    assert float(torch.rand((), generator=again)) in draws


def test_device_argument_beats_environment_and_nonsense_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDL_LAB_DEVICE", "nonsense")
    assert runtime.choose_device("cpu").type == "cpu"
    with pytest.raises(ValueError, match=r"device 'nonsense' .from GDL_LAB_DEVICE. is not on this machine"):
        runtime.choose_device()
    monkeypatch.setenv("GDL_LAB_DEVICE", "cpu")
    assert runtime.choose_device().type == "cpu"
    monkeypatch.setenv("GDL_LAB_DEVICE", "")  # set but empty counts as not set
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert runtime.choose_device().type == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_missing_device_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="device 'cuda' is not on this machine") as caught:
        runtime.choose_device("cuda")
    assert "\n" not in str(caught.value)


def test_start_says_in_one_line_what_it_decided(capsys: pytest.CaptureFixture[str]) -> None:
    run = runtime.start("full", seed=42, device="cpu")
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert said.strip() == runtime.describe(run)
    for part in ("profile full", "cpu", torch.__version__, "seed 42"):
        assert part in said


def test_fresh_seeds_differ_and_seed_a_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GDL_LAB_SEED", raising=False)
    seeds = {runtime.fresh_seed() for _ in range(50)}
    assert len(seeds) > 48
    assert all(0 <= seed < 2**32 for seed in seeds)
    torch.Generator().manual_seed(seeds.pop())

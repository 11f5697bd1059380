"""The recipes: what a training leaves behind, however it is stopped, and what the verb says."""

from __future__ import annotations

import dataclasses
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch

from gdl_lab import checkpoints, data, recipes, runtime
from gdl_lab.data import DataError
from gdl_lab.flows import Glow
from gdl_lab.networks import ConvolutionalReader
from gdl_lab.recipes import Card, PictureFlow, Plan
from gdl_lab.training import CheckpointError
from tests.command_line import Gdl, one_sentence

ROOT = Path(__file__).resolve().parents[1]

TINY = PictureFlow(
    name="tiny",
    title="A small Glow on small digits.",
    data="digits8",
    pictures=lambda split: data.load("digits8", split).x,
    begin=lambda x: Glow((1, 8, 8), steps=2, levels=1, hidden=8).fit_actnorm(x[:256]),
    bits=4,
    plans={
        "smoke": Plan(steps=60, batch_size=32, lr=5e-3, every=10, held_out=100, tested=200),
        "laptop": Plan(steps=80, batch_size=32, lr=5e-3, every=10, held_out=100, at_most=500),
    },
)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> PictureFlow:
    """A recipe that needs seconds and no download."""
    monkeypatch.setitem(recipes.RECIPES, "tiny", TINY)
    monkeypatch.setenv("GDL_LAB_DEVICE", "cpu")
    return TINY


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Card]:
    """The folder and the card of an undisturbed training."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(recipes.RECIPES, "tiny", TINY)
        return folder, recipes.train("tiny", "smoke", folder, device="cpu", progress=False)


def same(first: Path, second: Path) -> bool:
    """Whether two checkpoints hold the same weights to the last bit."""
    (a, _), (b, _) = checkpoints.read(first), checkpoints.read(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# A training that is left in peace


def test_a_training_leaves_a_checkpoint_and_its_card(made: tuple[Path, Card]) -> None:
    folder, card = made
    assert sorted(path.name for path in folder.iterdir()) == ["tiny.json", "tiny.safetensors"]
    assert recipes.card("tiny", folder) == card
    assert card.command == "gdl-lab train tiny --profile smoke"
    assert (card.profile, card.seed, card.bits, card.data) == ("smoke", 0, 4, "digits8")
    assert card.pictures == 1437 - 100
    assert card.steps == 60
    assert [step for step, _ in card.validation] == [10, 20, 30, 40, 50, 60]
    assert card.minutes < 5
    assert card.core_share > 0
    assert "CPU" in card.device


def test_the_card_tells_the_truth_about_the_file(made: tuple[Path, Card]) -> None:
    folder, card = made
    flow = recipes.load("tiny", folder)
    assert isinstance(flow, Glow)
    assert card.parameters == sum(p.numel() for p in flow.parameters())
    assert round(TINY.measure(flow, 200), 4) == card.value
    assert card.best_step == min(card.validation, key=lambda pair: pair[1])[0]


def test_a_training_learns(made: tuple[Path, Card]) -> None:
    torch.manual_seed(0)
    untrained = TINY.start(*TINY.examples("train"))
    assert TINY.measure(untrained, 200) > made[1].value + 0.5


def test_the_gaussian_of_the_card_is_the_one_of_mean_and_covariance(made: tuple[Path, Card]) -> None:
    (x,), _ = TINY.split(TINY.plan("smoke"))
    points = (x.flatten(1).double() * 16).floor().clamp_max(15) / 16 + 1 / 32
    covariance = points.mT.cov(correction=0) + torch.eye(64) / (12 * 256)
    tests = (TINY.pictures("test")[:200].flatten(1).double() * 16).floor().clamp_max(15) / 16
    density = torch.distributions.MultivariateNormal(points.mean(0), covariance)
    noise = torch.rand(200, 64, generator=torch.Generator().manual_seed(1)) / 16
    expected = 4 - float(density.log_prob(tests + noise).mean()) / (64 * math.log(2))
    assert made[1].gaussian == pytest.approx(expected, abs=0.03)


def test_measuring_is_repeatable_and_sees_the_pictures_it_was_told_to(made: tuple[Path, Card]) -> None:
    flow = recipes.load("tiny", made[0])
    assert TINY.measure(flow, 50) == TINY.measure(flow, 50)
    assert TINY.measure(flow, 50) != TINY.measure(flow, 100)
    in_chunks = recipes.mean_bits(flow, TINY.pictures("test"), 4, runtime.generator("x"), chunk=7)
    assert in_chunks == pytest.approx(recipes.mean_bits(flow, TINY.pictures("test"), 4, runtime.generator("x")))
    with pytest.raises(ValueError, match=r"expected pictures of 64 values each, got a batch of shape \(3, 1, 9, 9\)"):
        recipes.mean_bits(flow, torch.zeros(3, 1, 9, 9), 4, runtime.generator("x"))


def test_the_pictures_held_out_are_not_trained_on_and_are_none_of_the_tests() -> None:
    plan = TINY.plan("laptop")
    (trained,), (held_out,) = TINY.split(plan)
    assert (len(trained), len(held_out)) == (500, 100)
    train, test = TINY.pictures("train").flatten(1), TINY.pictures("test").flatten(1)
    rows = torch.cat([trained, held_out]).flatten(1)
    assert all(bool((train == row).all(1).any()) for row in rows)
    assert len(rows.unique(dim=0)) == 600 - (len(train) - len(train.unique(dim=0)))
    assert not any(bool((test == row).all(1).any()) for row in rows)
    (trained_again,), (held_out_again,) = TINY.split(plan)
    assert torch.equal(trained, trained_again)
    assert torch.equal(held_out, held_out_again)


def test_training_leaves_the_caller_s_randomness_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    recipes.train("tiny", "smoke", tmp_path, progress=False)
    assert torch.equal(torch.rand(3), expected)


def test_the_full_profile_is_the_laptop_s_where_there_is_no_other() -> None:
    assert TINY.plan("full") is TINY.plans["laptop"]
    assert recipes.RECIPES["digits-glow"].plan("full").steps > recipes.RECIPES["digits-glow"].plan("laptop").steps


# One that is stopped

STOPPABLE = """
    import sys, time
    from tests.test_recipes import TINY
    from gdl_lab import cli, flows, recipes

    def slow_noise(x, bits, generator=None):
        time.sleep(0.02)
        return flows.dequantize(x, bits, generator)

    if sys.argv[-1] == "slowly":
        sys.argv.pop()
        sys.modules["gdl_lab.recipes.picture_flow"].dequantize = slow_noise
    recipes.RECIPES["tiny"] = TINY
    cli.main()
"""


def command(folder: Path, *more: str) -> list[str]:
    line = ["train", "tiny", "--profile", "smoke", "--folder", str(folder), *more]
    return [sys.executable, "-c", textwrap.dedent(STOPPABLE), *line]


def steps_done(path: Path) -> int:
    return int(torch.load(path, weights_only=True)["done"]) if path.is_file() else -1


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there are no such signals to send to another process")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_training_that_is_stopped_goes_on_to_the_same_end(
    tmp_path: Path, made: tuple[Path, Card], how: signal.Signals
) -> None:
    earlier = b"an earlier checkpoint"
    recipes.weights("tiny", tmp_path).write_bytes(earlier)
    unfinished = recipes.unfinished("tiny", "smoke", tmp_path)
    first = subprocess.Popen(
        command(tmp_path, "slowly"), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while steps_done(unfinished) < 20:
        assert time.monotonic() < deadline
        assert first.poll() is None, first.communicate()
        time.sleep(0.02)
    first.send_signal(how)
    _, said = first.communicate(timeout=60)
    assert 20 <= steps_done(unfinished) < 60
    assert recipes.weights("tiny", tmp_path).read_bytes() == earlier
    if how == signal.SIGINT:
        assert first.returncode == 130
        assert said.splitlines()[-1] == "gdl-lab: interrupted; the same line goes on from the last validation"
        assert "Traceback" not in said

    second = subprocess.run(command(tmp_path), cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    assert "60 steps" in second.stdout
    assert not list(tmp_path.glob("*unfinished*"))
    folder, undisturbed = made
    assert same(recipes.weights("tiny", folder), recipes.weights("tiny", tmp_path))
    resumed = recipes.card("tiny", tmp_path)
    assert (resumed.value, resumed.validation) == (undisturbed.value, undisturbed.validation)


def test_a_training_that_fails_at_its_end_leaves_the_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = recipes.train("tiny", "smoke", tmp_path, progress=False)
    before = recipes.weights("tiny", tmp_path).read_bytes()
    monkeypatch.setattr(PictureFlow, "measure", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        recipes.train("tiny", "smoke", tmp_path, progress=False)
    assert recipes.weights("tiny", tmp_path).read_bytes() == before
    assert recipes.card("tiny", tmp_path) == earlier


def test_a_shorter_training_does_not_replace_a_longer_one(tmp_path: Path) -> None:
    longer = recipes.train("tiny", "laptop", tmp_path, progress=False)
    with pytest.raises(ValueError, match=r"trained in the profile laptop, and smoke is shorter: name another folder"):
        recipes.train("tiny", "smoke", tmp_path, progress=False)
    assert recipes.card("tiny", tmp_path) == longer
    assert recipes.train("tiny", "laptop", tmp_path, progress=False).value == longer.value
    # without a plan of its own, full is no longer than laptop
    dataclasses.replace(longer, profile="full").write(tmp_path / "tiny.json")
    assert recipes.train("tiny", "laptop", tmp_path, progress=False).profile == "laptop"


def test_a_folder_that_cannot_be_written_is_named_before_any_step(read_only: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot write the checkpoint .*unfinished"):
        recipes.train("tiny", "smoke", read_only, progress=False)


# What is not there


def test_an_unknown_recipe_is_named() -> None:
    for ask in (recipes.load, recipes.card, recipes.train):
        with pytest.raises(ValueError, match=r"unknown recipe 'lunch': expected one of digits-whitened, digits-glow"):
            ask("lunch")


def test_a_checkpoint_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*: `gdl-lab train tiny` makes it"):
        recipes.load("tiny", tmp_path)
    with pytest.raises(CheckpointError, match=r"there is no card .*: `gdl-lab train tiny` makes it"):
        recipes.card("tiny", tmp_path)


def test_the_checkpoint_of_another_model_is_named(tmp_path: Path) -> None:
    ConvolutionalReader((1, 8, 8), 2).save(recipes.weights("tiny", tmp_path))
    with pytest.raises(CheckpointError, match="holds None, expected a Flow of this package"):
        recipes.load("tiny", tmp_path)


def test_a_card_of_a_profile_that_there_is_not_is_named(tmp_path: Path, made: tuple[Path, Card]) -> None:
    dataclasses.replace(made[1], profile="lunch").write(tmp_path / "tiny.json")
    with pytest.raises(
        CheckpointError, match=r"tiny\.json is not the card of a checkpoint \(there is no profile 'lunch'"
    ):
        recipes.card("tiny", tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": "tiny"}', '{"validation": 1}', '{"validation": [[1]]}'])
def test_a_damaged_card_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "tiny.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"tiny\.json is not the card of a checkpoint"):
        recipes.card("tiny", tmp_path)


def test_without_the_pictures_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDL_LAB_DATA", str(tmp_path))
    monkeypatch.setenv("GDL_LAB_CACHE", str(tmp_path))
    with pytest.raises(DataError, match="`gdl-lab data fetch mnist` downloads it"):
        recipes.train("digits-glow", "smoke", tmp_path / "checkpoints")
    assert not (tmp_path / "checkpoints").exists()


# The verb


def test_the_verb_alone_lists_every_recipe(made: tuple[Path, Card], gdl: Gdl) -> None:
    folder, card = made
    listed = gdl("train", "--folder", str(folder))
    assert listed.code == 0
    rows = {match[1]: line for line in listed.out.splitlines() if (match := re.match(r"│ ([\w.-]+) +│", line))}
    assert rows.keys() == recipes.RECIPES.keys()
    assert f"{card.value:.3g} {card.metric}" in rows["tiny"]
    assert f"a Gaussian: {card.gaussian:.3g}" in rows["tiny"]
    assert "gdl-lab train digits-glow" in rows["digits-glow"]


def test_a_damaged_card_does_not_hide_the_others_in_the_list(tmp_path: Path, made: tuple[Path, Card], gdl: Gdl) -> None:
    for path in made[0].iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / "moons.json").write_text("{}")
    listed = gdl("train", "--folder", str(tmp_path))
    assert listed.code == 0
    assert "gdl-lab train moons" in listed.out
    assert f"{made[1].value:.3g} {made[1].metric}" in listed.out


def test_the_verb_trains_and_says_what_it_made(tmp_path: Path, gdl: Gdl) -> None:
    trained = gdl("train", "tiny", "-p", "smoke", "--folder", str(tmp_path))
    card = recipes.card("tiny", tmp_path)
    assert trained.code == 0
    assert str(recipes.weights("tiny", tmp_path)) in trained.out
    said = f"bits/dim on the test pictures: {card.value:.3g}; a Gaussian has {card.gaussian:.3g}"
    assert said in trained.out
    assert "tiny:" in trained.err  # the progress bar


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lunch"], "unknown recipe 'lunch': expected one of "),
        (["tiny", "-p", "lunch"], "unknown profile 'lunch': expected one of "),
        (["digits-glow", "-p", "smoke"], "`gdl-lab data fetch mnist` downloads it"),
    ],
)
def test_the_verb_complains_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gdl: Gdl, arguments: list[str], said: str
) -> None:
    monkeypatch.setenv("GDL_LAB_DATA", str(tmp_path))
    monkeypatch.setenv("GDL_LAB_CACHE", str(tmp_path))
    outcome = gdl("train", *arguments, "--folder", str(tmp_path))
    assert one_sentence(outcome)
    assert said in outcome.err

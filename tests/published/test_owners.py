"""Sets that only their owners give: what is said without the files, by the library, the command and the recipe."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from gdl_lab import data, recipes
from gdl_lab.data import CARDS, DataError, celeba, load, mall
from gdl_lab.flows import Glow
from tests.command_line import Gdl, one_sentence

from .layout import PICTURE, kept, truncate

ADDRESS = {"celeba": celeba.CELEBA.address, "mall": mall.MALL.address}


@pytest.mark.parametrize("name", ADDRESS)
def test_without_the_files_it_says_who_gives_them_on_what_terms(home: Path, name: str) -> None:
    assert not data.on_this_machine(name)
    for action in (load, data.fetch, lambda it: data.count(it, "train")):
        with pytest.raises(DataError) as caught:
            action(name)
        said = str(caught.value)
        assert f"not in {home / name} nor in {home.parent / 'cache' / name}: obtain" in said
        assert f"from {ADDRESS[name]} (for non-commercial research only)" in said
        assert "\n" not in said
    assert load(name, otherwise="digits8").name == "digits8"


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (["list_eval_partition.txt"], "list_eval_partition.txt is not in"),
        (
            ["list_attr_celeba.txt", "list_eval_partition.txt"],
            "list_attr_celeba.txt and list_eval_partition.txt are not in",
        ),
        (["img_align_celeba"], "img_align_celeba is not in"),
    ],
)
def test_of_a_half_complete_set_only_what_is_missing_is_named(faces: Path, missing: list[str], said: str) -> None:
    for name in missing:
        (faces / name).rename(faces / f"{name} of old")
    assert not data.on_this_machine("celeba")
    with pytest.raises(DataError) as caught:
        load("celeba")
    assert str(caught.value).startswith(f"{said} {faces}: obtain ")


def test_the_cache_is_searched_too(faces: Path, home: Path) -> None:
    before = load("celeba").x
    target = home.parent / "cache" / "celeba"
    for path in faces.iterdir():
        path.rename(target / path.name)
    assert data.on_this_machine("celeba")
    assert torch.equal(load("celeba").x, before)


# The command


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the sets that are always here only one: the drawn ones take seconds to check."""
    monkeypatch.setattr(data, "CARDS", {name: CARDS[name] for name in ("digits8", *ADDRESS)})


@pytest.mark.usefixtures("home", "few")
@pytest.mark.parametrize("name", ADDRESS)
def test_the_command_sends_to_the_owners_and_does_not_fetch(gdl: Gdl, name: str) -> None:
    outcome = gdl("data", "fetch", name)
    assert one_sentence(outcome)
    assert ADDRESS[name] in outcome.err
    line = next(line for line in gdl("data", "list").out.splitlines() if f" {name} " in line)
    assert f"no: obtain it from {ADDRESS[name]}" in line
    assert f"· {name}: not on this machine" in gdl("data", "check").out


@pytest.mark.usefixtures("frames", "few")
def test_the_command_knows_sets_that_are_here(gdl: Gdl, faces: Path, home: Path) -> None:
    fetched = gdl("data", "fetch", "celeba")
    assert fetched.code == 0
    parts = ("img_align_celeba", "list_attr_celeba.txt", "list_eval_partition.txt")
    assert fetched.out.splitlines() == [*(str(faces / part) for part in parts), "celeba is complete."]
    checked = gdl("data", "check")
    assert checked.code == 0
    assert "✓ celeba: 4 train, 2 test" in checked.out
    assert "✓ mall: 3 train, 5 test" in checked.out
    assert [path for path in kept(home) if path.parent.name == "celeba"] == []  # to look is not to keep
    truncate(faces / PICTURE)
    damaged = gdl("data", "check")
    assert damaged.code == 2
    assert f"{faces / PICTURE} is damaged" in damaged.err


# The recipe


def test_the_recipe_is_the_talks_and_is_not_shipped(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipes.RECIPES["celeba-glow"]
    assert recipe.bits == 5
    assert recipe.plan("full").lr == 1e-4
    assert "celeba-glow" not in recipes.NAMES
    assert recipes.weights("celeba-glow").is_relative_to(home.parent / "cache")
    asked: list[dict[str, Any]] = []

    class Noted(Glow):
        def __init__(self, shape: tuple[int, ...], **sizes: int) -> None:
            asked.append({"shape": shape, **sizes})
            super().__init__(shape, steps=1, levels=1, hidden=1)

    monkeypatch.setattr("gdl_lab.recipes.celeba.Glow", Noted)
    recipe.begin(torch.rand(2, 3, 64, 64))
    assert asked == [{"shape": (3, 64, 64), "steps": 32, "levels": 4, "hidden": 512}]


def test_without_the_pictures_the_recipe_says_who_gives_them(gdl: Gdl, home: Path) -> None:
    outcome = gdl("train", "celeba-glow", "--profile", "smoke", "--folder", str(home))
    assert one_sentence(outcome)
    assert ADDRESS["celeba"] in outcome.err


@pytest.mark.slow
def test_the_recipe_trains_from_the_bytes_on_the_disk(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a small Glow and without the Gaussian, which wants the covariance of 12,288 pixels."""
    shown: list[int] = []

    def small(x: torch.Tensor) -> Glow:
        shown.append(len(x))
        return Glow((3, 64, 64), steps=1, levels=4, hidden=8).fit_actnorm(x)

    recipe = recipes.RECIPES["celeba-glow"]
    monkeypatch.setitem(recipes.RECIPES, "celeba-glow", dataclasses.replace(recipe, begin=small, shown=1))
    monkeypatch.setattr("gdl_lab.recipes.picture_flow.gaussian", lambda x, _: small(x))
    card = recipes.train("celeba-glow", "smoke", tmp_path / "shelf", device="cpu", progress=False)
    assert (card.pictures, card.steps, card.bits, card.data) == (2, 2, 5, "CelebA")
    assert shown == [1, 1]
    flow = recipes.load("celeba-glow", tmp_path / "shelf")
    assert flow.shape == (3, 64, 64)
    assert recipe.measure(flow) == pytest.approx(card.value, abs=1e-3)

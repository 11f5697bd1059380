"""The shelf of checkpoints: where they lie, how they are read, and how a new one takes its place."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any

import torch

from gdl_lab import checkpoints, runtime
from gdl_lab.data import cache_dir
from gdl_lab.recipes import celeba, crowds, curves, digits, dilogarithms, faces, lattice
from gdl_lab.recipes.cards import Card, sha256
from gdl_lab.recipes.recipe import Examples, Plan, Recipe
from gdl_lab.training import CheckpointError, History, fit, warm_cosine

__all__ = ["NAMES", "RECIPES", "card", "load", "shelf", "train", "unfinished", "weights"]

RECIPES: dict[str, Recipe[Any]] = {
    recipe.name: recipe
    for recipe in (
        *digits.RECIPES,
        *faces.RECIPES,
        *crowds.RECIPES,
        *curves.RECIPES,
        *lattice.RECIPES,
        *dilogarithms.RECIPES,
        *celeba.RECIPES,
    )
}
NAMES = tuple(name for name, recipe in RECIPES.items() if recipe.shipped)
PROFILES = tuple(runtime.PROFILES)


def shelf() -> Path:
    """``data/checkpoints`` of the checkout around this package or the working directory; else the user's cache."""
    here = Path.cwd()
    for folder in (Path(__file__).resolve().parents[2], here, *here.parents):
        if (folder / "book.yml").is_file():
            return folder / "data" / "checkpoints"
    return cache_dir() / "checkpoints"


def weights(name: str, folder: str | Path | None = None) -> Path:
    """Where the checkpoint of a recipe lies, or would; its card is beside it. Arguments as for `load`."""
    recipe = _recipe(name)
    usual = shelf() if recipe.shipped else cache_dir() / "checkpoints"
    return (usual if folder is None else Path(folder)) / f"{recipe.name}.safetensors"


def load(name: str, folder: str | Path | None = None) -> Any:
    """The trained `Flow`, `Reader` or `Policy` of a recipe, on the CPU and in float32.

    Args:
        name: one of `RECIPES`.
        folder: where its checkpoint lies; the `shelf` if ``None``.

    Raises:
        ValueError: unknown name.
        CheckpointError: the checkpoint is not there, which `gdl-lab train` makes, is damaged, or holds something else.
    """
    path = weights(name, folder)
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}: `gdl-lab train {name}` makes it")
    return _recipe(name).model.load(path)


def card(name: str, folder: str | Path | None = None) -> Card:
    """How the checkpoint of a recipe was made, and what it measured; arguments as for `load`.

    Raises:
        ValueError: unknown name.
        CheckpointError: the card is not there or is damaged.
    """
    path = weights(name, folder).with_suffix(".json")
    if not path.is_file():
        raise CheckpointError(f"there is no card {path}: `gdl-lab train {name}` makes it with its checkpoint")
    return Card.read(path)


def unfinished(name: str, profile: str, folder: str | Path | None = None) -> Path:
    """Where a training keeps what it needs to go on after an interruption; the file goes when the checkpoint comes."""
    return weights(name, folder).with_suffix(f".{profile}.unfinished")


def train(
    name: str,
    profile: str | None = None,
    folder: str | Path | None = None,
    *,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> Card:
    """Make the checkpoint of a recipe and its card.

    An earlier checkpoint stays until the new one is complete. A training that was stopped, in whatever way, goes on
    from its last validation, and ends as one that was left in peace.

    Args:
        name: one of `RECIPES`.
        profile: ``"smoke"``, ``"laptop"`` or ``"full"``; the present run's if ``None``.
        folder: where both files go; the `shelf` if ``None``.
        device: as for `runtime.start`.
        progress: show a bar.

    Raises:
        ValueError: unknown name, profile or device; or the folder holds a longer training.
        DataError: the examples are not on this machine.
        CheckpointError: the folder cannot be written, or holds an unfinished training with other settings.
        Diverged: the loss is not finite.
    """
    recipe = _recipe(name)
    profile = profile or runtime.current_profile()
    if profile not in PROFILES:
        raise ValueError(f"unknown profile {profile!r}: expected one of {', '.join(PROFILES)}")
    place = runtime.choose_device(device)
    path, plan = weights(name, folder), recipe.plan(profile)
    _keep_the_better(recipe, profile, path)
    training, held_out = recipe.split(plan)
    resume = unfinished(name, profile, folder)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        model = recipe.start(*training).to(place)
        began, busy = time.perf_counter(), time.process_time()
        history = _fitted(recipe, model, plan, training, held_out, resume, progress)
        share = (time.process_time() - busy) / (time.perf_counter() - began)
        measured = _measured(recipe, model, plan, training)

    model.save(path)
    made = Card(
        name=name,
        title=recipe.title,
        command=f"gdl-lab train {name} --profile {profile}",
        profile=profile,
        seed=recipe.seed,
        data=recipe.data,
        **recipe.particulars(training),
        architecture=checkpoints.read(path)[1],
        parameters=sum(p.numel() for p in model.parameters()),
        steps=len(history.loss),
        best_step=min(history.validation, key=lambda pair: pair[1])[0],
        minutes=round(history.seconds / 60, 2),
        device=_in_words(place),
        core_share=round(share, 2),
        **measured,
        validation=tuple((step, round(error, 4)) for step, error in history.validation),
        sha256=sha256(path),
        torch=torch.__version__.split("+")[0],
    )
    made.write(path.with_suffix(".json"))
    resume.unlink(missing_ok=True)
    return made


def _fitted(
    recipe: Recipe[Any], model: Any, plan: Plan, training: Examples, held_out: Examples, resume: Path, progress: bool
) -> History:
    """What `fit` did to the model, as the plan wants it."""
    return fit(
        model,
        training,
        recipe.loss,
        steps=plan.steps,
        batch_size=plan.batch_size,
        lr=plan.lr,
        schedule=warm_cosine,
        clip=plan.clip,
        seed=recipe.seed,
        validate=lambda _: recipe.error(model, *held_out),
        every=plan.every,
        patience=plan.patience,
        checkpoint=resume,
        progress=progress,
        label=recipe.name,
    )


def _measured(recipe: Recipe[Any], model: Any, plan: Plan, training: Examples) -> dict[str, Any]:
    """What the card says of the tests: the metric, the model's and the rival's, and what else there is."""
    value, further = recipe.measure(model, plan.tested), recipe.further(model, plan.tested)
    return {
        "metric": recipe.metric,
        "value": _short(value),
        recipe.rival: _short(recipe.to_beat(training, plan.tested)),
        "further": {key: _short(value) for key, value in further.items()} or None,
    }


def _recipe(name: str) -> Recipe[Any]:
    if name not in RECIPES:
        raise ValueError(f"unknown recipe {name!r}: expected one of {', '.join(RECIPES)}")
    return RECIPES[name]


def _keep_the_better(recipe: Recipe[Any], profile: str, path: Path) -> None:
    """Before hours are spent: a shorter training does not replace a longer one."""
    try:
        present = card(recipe.name, path.parent).profile
    except CheckpointError:
        return
    if recipe.plan(present).steps > recipe.plan(profile).steps:
        raise ValueError(
            f"{path} was trained in the profile {present}, and {profile} is shorter: name another folder, or delete it"
        )


def _in_words(place: torch.device) -> str:
    if place.type == "cuda":
        return torch.cuda.get_device_name(place)
    threads = torch.get_num_threads()
    return "Apple GPU" if place.type == "mps" else f"{threads} of {os.cpu_count()} CPU cores, {platform.machine()}"


def _short(value: float) -> float:
    """Four decimals, or three digits of a smaller number."""
    return round(value, 4) if abs(value) >= 0.1 else float(f"{value:.3g}")

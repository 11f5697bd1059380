"""The kinds of recipes: whether what they measure is what it is called, on models whose measure is known."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gdl_lab import data, recipes, runtime
from gdl_lab.data import DataError
from gdl_lab.flows import Flow, RealNVP
from gdl_lab.manifold import Arc, Helix, Moons
from gdl_lab.networks import ConvolutionalReader, Reader
from gdl_lab.recipes import ClassReader, CurveFlow, HelixFlow, PictureReader, Plan, ValueReader
from gdl_lab.training import CheckpointError

SMOKE = {"smoke": Plan(steps=30, batch_size=64, lr=1e-2, every=10, held_out=200, at_most=1000, tested=300)}


def curve(of: type[CurveFlow] = CurveFlow, **changed: object) -> CurveFlow:
    given = {"curve": Arc(), "delta": 0.1, "begin": lambda x: RealNVP(2, 4, (16,)), **changed}
    return of(name="curve", title="A curve.", data="points", plans=SMOKE, **given)  # type: ignore[arg-type]


def reader(of: type[PictureReader] = ClassReader, **changed: object) -> PictureReader:
    given = {"begin": lambda: ConvolutionalReader((1, 8, 8), 10, (8, 16)), "pictures": digits, "bits": 4, **changed}
    return of(name="reader", title="A reader.", data="digits8", plans=SMOKE, **given)  # type: ignore[arg-type]


def digits(split: str) -> data.Dataset:
    return data.load("digits8", split)


def as_numbers(split: str) -> data.Dataset:
    labelled = digits(split)
    return dataclasses.replace(labelled, y=labelled.y.float())


KINDS = {
    "arc": curve(),
    "moons": curve(curve=Moons()),
    "helix": curve(HelixFlow, curve=Helix(), delta=0.0, begin=lambda x: RealNVP(3, 4, (16,)).fit_whitening(x)),
    "classes": reader(),
    "values": reader(ValueReader, pictures=as_numbers, begin=lambda: ConvolutionalReader((1, 8, 8), None, (8, 16))),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
def test_every_kind_runs_from_end_to_end(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = KINDS[kind]
    monkeypatch.setitem(recipes.RECIPES, recipe.name, recipe)
    card = recipes.train(recipe.name, "smoke", tmp_path, device="cpu", progress=False)
    assert recipes.card(recipe.name, tmp_path) == card
    assert card.value < card.to_beat[1]
    assert (card.pictures or card.points) == 1000
    text = (tmp_path / f"{recipe.name}.json").read_text(encoding="utf-8")
    fields = {key for key, value in json.loads(text).items() if value is not None}
    assert fields == set(json.loads(text))
    assert {"points", "delta", "gaussian"} <= fields or {"pictures", "bits", "constant"} <= fields
    assert not {"points", "bits"} <= fields
    model = recipes.load(recipe.name, tmp_path)
    assert isinstance(model, Reader if isinstance(recipe, PictureReader) else Flow)
    assert not model.training
    assert recipe.measure(model, 300) == pytest.approx(card.value, abs=1e-3)
    assert recipe.further(model, 300) == pytest.approx(card.further or {}, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", recipes.NAMES)
def test_every_shipped_recipe_runs_from_end_to_end(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("faces", "crowds"):
        monkeypatch.setattr(f"gdl_lab.recipes.{module}.NUMBER", {"train": 1400, "test": 200})
    monkeypatch.setattr("gdl_lab.recipes.curve_flow.NUMBER", {"train": 5000, "test": 1000})
    monkeypatch.setattr("gdl_lab.recipes.dilogarithms.NUMBER", {"train": 1000, "test": 100})
    try:
        card = recipes.train(name, "smoke", tmp_path, device="cpu", progress=False)
    except DataError as reason:
        pytest.skip(f"the recipe is not run: {reason}")
    assert card.steps == recipes.RECIPES[name].plan("smoke").steps
    assert recipes.card(name, tmp_path) == card
    assert sum(p.numel() for p in recipes.load(name, tmp_path).parameters()) == card.parameters
    assert math.isfinite(card.value)
    assert not list(tmp_path.glob("*unfinished*"))


@each_kind
def test_examples_are_drawn_again_and_tests_are_others(kind: str) -> None:
    recipe = KINDS[kind]
    (train, *_), (again, *_), (test, *_) = (recipe.examples(split) for split in ("train", "train", "test"))
    assert torch.equal(train, again)
    assert not torch.equal(train[:100], test[:100])
    assert train.dtype == torch.float32


def test_the_card_must_name_one_to_beat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(recipes.RECIPES, "curve", KINDS["arc"])
    card = recipes.train("curve", "smoke", tmp_path, device="cpu", progress=False)
    for gaussian, constant, untrained in ((None, None, None), (1.0, 1.0, None), (1.0, None, 1.0)):
        dataclasses.replace(card, gaussian=gaussian, constant=constant, untrained=untrained).write(
            tmp_path / "curve.json"
        )
        with pytest.raises(CheckpointError, match="has to name one to beat"):
            recipes.card("curve", tmp_path)


# Curves


class Rotated(RealNVP):
    """The standard normal, moved by a vector and scaled by ``scale`` in one direction."""

    def __init__(self, mean: Tensor, scale: Tensor) -> None:
        super().__init__(len(mean), 1, (1,))
        self.mean, self.scale = mean, scale

    def _pull(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return (x - self.mean) / self.scale, -self.scale.log().sum().expand(len(x))

    def _push(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean + self.scale * z, self.scale.log().sum().expand(len(z))

    def _jacobian(self, z: Tensor, chunk: int) -> Tensor:
        return self.scale.diag().expand(len(z), -1, -1).to(z)


def test_the_divergence_of_a_curve_is_the_one_of_a_gaussian_by_hand() -> None:
    """KL(p‖q) of q = N(0, 1) is E|x|²/2 + log 2π − h(p), and E|x|² = 1 + δ² on the noisy arc."""
    recipe = curve()
    normal = RealNVP(2, 1, (1,))
    expected = (1 + 0.1**2) / 2 + math.log(2 * math.pi) - Arc().entropy(0.1)
    assert recipe.measure(normal) == pytest.approx(expected, abs=5e-3)
    wider = Rotated(torch.zeros(2), torch.tensor([2.0, 2.0]))
    by_hand = (1 + 0.1**2) / 8 + math.log(2 * math.pi) + 2 * math.log(2) - Arc().entropy(0.1)
    assert recipe.measure(wider) == pytest.approx(by_hand, abs=5e-3)


def test_what_is_validated_on_a_curve_is_the_divergence_up_to_the_entropy() -> None:
    recipe = curve()
    flows = [Rotated(torch.zeros(2), torch.full((2,), scale)) for scale in (1.0, 2.0)]
    x = recipe.examples("test")[0]
    first, second = (recipe.error(flow, x) - recipe.measure(flow) for flow in flows)
    assert first == pytest.approx(second, abs=1e-6)
    assert first == pytest.approx(Arc().entropy(0.1), abs=5e-3)


def test_the_gaussian_of_a_curve_has_its_mean_and_covariance() -> None:
    recipe = curve()
    training = recipe.examples("train")
    x, tests = training[0].double(), recipe.draw("test")[0]
    density = torch.distributions.MultivariateNormal(x.mean(0), x.mT.cov(correction=0))
    expected = float((Arc().log_prob(tests, 0.1) - density.log_prob(tests)).mean())
    assert recipe.to_beat(training) == pytest.approx(expected, abs=1e-4)


def test_a_helix_is_measured_by_ratio_and_tangent() -> None:
    recipe = KINDS["helix"]
    along_z = Rotated(torch.zeros(3), torch.tensor([0.1, 0.2, 4.0]))
    assert recipe.measure(along_z, 500) == pytest.approx(0.05)
    further = recipe.further(along_z, 500)
    assert further["median angle to the tangent, degrees"] == pytest.approx(45)  # the tangent climbs so steeply
    assert further["ninth decile of it"] == pytest.approx(45)
    across = Rotated(torch.zeros(3), torch.tensor([4.0, 0.2, 0.1]))
    assert recipe.further(across, 20_000)["median angle to the tangent, degrees"] > 50


def test_the_thickness_of_a_curve_is_what_the_recipe_says() -> None:
    for delta in (0.3, 0.01):
        x, _ = curve(delta=delta).draw("train")
        assert float((x.norm(dim=1) - 1).std()) == pytest.approx(delta, rel=0.02)
    x = KINDS["helix"].examples("test")[0]
    assert float(Helix().distance(x.double()).max()) < 1e-6


# Readers


class Says(Reader):
    """A reader that says the given answers, whatever it sees."""

    def __init__(self, answers: Tensor, outputs: int | None) -> None:
        super().__init__((1, 8, 8), outputs, features=1, architecture={})
        self.answers = answers

    def forward(self, x: Tensor) -> Tensor:
        said, self.answers = self.answers[: len(x)], self.answers[len(x) :]
        return said


def test_a_reader_of_classes_is_measured_by_how_often_it_is_wrong() -> None:
    y = digits("test").y
    said = y.clone()
    said[:36] = (said[:36] + 1) % 10
    assert reader().measure(Says(torch.eye(10)[said], 10)) == pytest.approx(36 / 360)
    assert reader().measure(Says(torch.eye(10)[said], 10), 72) == pytest.approx(0.5)
    assert reader().measure(Says(torch.eye(10)[y], 10)) == 0


def test_a_reader_of_values_is_measured_by_the_mean_absolute_error() -> None:
    recipe, y = KINDS["values"], as_numbers("test").y
    assert recipe.measure(Says(y + torch.tensor([-1.0, 2.0]).repeat(180), None)) == pytest.approx(1.5)
    assert recipe.measure(Says(y, None)) == 0


def test_the_constant_of_a_reader_does_not_look_at_pictures() -> None:
    training, y = digits("train").y, digits("test").y
    most = torch.bincount(training).argmax()
    assert reader().to_beat(reader().examples("train")) == pytest.approx(float((y != most).double().mean()))
    values = KINDS["values"]
    best = min(float((y - c).abs().double().mean()) for c in range(10))
    assert best <= values.to_beat(values.examples("train")) <= best + 0.1


def test_a_reader_is_trained_under_noise_of_its_bits_and_small_shifts() -> None:
    x = digits("train").x[:64]
    torch.manual_seed(0)
    noisy = reader().noisy(x)
    levels = (x * 16).floor().clamp_max(15) / 16
    assert bool(((noisy >= levels) & (noisy < levels + 1 / 16)).all())
    assert float((noisy - levels).mean()) == pytest.approx(1 / 32, rel=0.02)
    seen = set()
    for _ in range(60):
        moved = (reader(shift=1).noisy(x) * 16).floor()
        found = [
            (a, b)
            for a in (-1, 0, 1)
            for b in (-1, 0, 1)
            if torch.equal(moved[..., 1:-1, 1:-1], (levels * 16).roll((a, b), (2, 3))[..., 1:-1, 1:-1])
        ]
        assert len(found) == 1
        seen |= set(found)
    assert len(seen) == 9


def test_readers_are_validated_by_their_loss() -> None:
    y = digits("test").y
    logits = torch.eye(10)[(y + 1) % 10]
    x, _ = reader().examples("test")
    assert reader().error(Says(logits, 10), x, y) == pytest.approx(math.log(math.e + 9))
    off = torch.tensor([-0.5, 2.0]).repeat(180)  # beyond 1 the loss grows linearly
    assert KINDS["values"].error(Says(y + off, None), x, y.float()) == pytest.approx((0.125 + 1.5) / 2)


def test_measuring_a_reader_is_repeatable() -> None:
    torch.manual_seed(0)
    model = reader().start().eval()
    assert reader().measure(model) == reader().measure(model)
    x, y = reader().examples("test")
    assert reader().error(model, x, y) == reader().error(model, x, y)
    assert (
        runtime.generator("validation noise", "reader").initial_seed()
        != runtime.generator("test noise", "reader").initial_seed()
    )

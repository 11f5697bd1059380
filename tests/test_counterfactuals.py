"""Counterfactuals: the same ascent in both coordinates, against its formula, PyTorch's Adam and a flow of known arc."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from pathlib import Path as Path_
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gdl_lab.counterfactuals import Path, ascend, closeness, explain, log_probability
from gdl_lab.flows import Glow, RealNVP
from gdl_lab.training import Diverged
from tests.known_metrics import IDENTITY, Arc, Linear, diffeomorphism, normal, randomised, sharp

NEVER = math.inf


def hill(x: Tensor) -> Tensor:
    """A smooth score with its summit at 1."""
    return -(x.flatten(1) - 1).square().sum(1) - 0.1 * x.flatten(1).sin().sum(1)


def side(x: Tensor) -> Tensor:
    """Logits of "x₂ < 0" and "x₂ > 0": a classifier that is right on the arc."""
    return torch.stack([-6 * x[:, 1], 6 * x[:, 1]], 1)


def slanted(x: Tensor) -> Tensor:
    """Right on the arc too, but it has seen no more than the arc: off it, x₁ counts as much as x₂."""
    return side(x) + torch.stack([12 * (1 - x.norm(dim=1)), -12 * (1 - x.norm(dim=1))], 1)


# Ascent


def test_in_identity_coordinates_both_paths_are_one(rng: torch.Generator) -> None:
    x = normal(rng, 5, 3)
    for optimizer in ("plain", "adam"):
        in_x = ascend(hill, x, lr=0.05, steps=30, until=-0.5, optimizer=optimizer)
        in_z = ascend(hill, IDENTITY.pull(x), IDENTITY.push, lr=0.05, steps=30, until=-0.5, optimizer=optimizer)
        untrained = RealNVP(3, 4, (8,)).double()  # starts as the identity, through all of its layers
        through = ascend(hill, untrained.pull(x), untrained.push, lr=0.05, steps=30, until=-0.5, optimizer=optimizer)
        assert torch.equal(in_x.x, in_z.x)
        assert torch.equal(in_x.steps, in_z.steps)
        assert (through.x - in_x.x).abs().max() < 1e-12
        moved = randomised(RealNVP(3, 4, (8,)), rng)
        other = ascend(hill, moved.pull(x), moved.push, lr=0.05, steps=30, until=-0.5, optimizer=optimizer)
        assert (other.end - in_x.end).abs().max() > 1e-3, "another flow, another path"


def test_plain_ascent_in_base_space_is_ascent_with_the_inverse_metric(rng: torch.Generator) -> None:
    flow = Linear(torch.tensor([2.0, 1.0, 0.1, 0.05]), rng)
    x = normal(rng, 6, 4)
    path = ascend(hill, flow.pull(x), flow.push, lr=0.02, steps=10, until=NEVER)
    gamma_inv, by_hand, without = flow.A @ flow.A.mT, x, x
    for t in range(10):
        by_hand, without = (
            one + 0.02 * (-2 * (one - 1) - 0.1 * one.cos()) @ step
            for one, step in ((by_hand, gamma_inv), (without, torch.eye(4).double()))
        )
        assert (path.x[t + 1] - by_hand).abs().max() < 1e-12
    assert (path.end - without).abs().max() > 1e-2
    assert path.points.shape == path.x.shape == (11, 6, 4)


def test_adam_is_that_of_pytorch_and_not_plain_ascent(rng: torch.Generator) -> None:
    start = normal(rng, 4, 3)
    path = ascend(hill, start, lr=0.1, steps=25, until=NEVER, optimizer="adam")
    p = start.clone().requires_grad_()
    optim = torch.optim.Adam([p], 0.1)
    for t in range(25):
        assert (path.x[t] - p).abs().max() < 1e-12
        optim.zero_grad()
        (-hill(p).sum()).backward()
        optim.step()
    assert (path.end - p).abs().max() < 1e-12
    plain = ascend(hill, start, lr=0.1, steps=1, until=NEVER).x[1] - start
    assert ((path.x[1] - start).abs() - 0.1).abs().max() < 1e-6, "Adam's first step has one size in all coordinates"
    assert plain.abs().std() > 1e-2


def test_a_sample_that_has_arrived_stays_and_nobody_looks_at_it(rng: torch.Generator) -> None:
    start = torch.tensor([[0.9], [0.0], [-4.0], [5.0]], dtype=torch.float64)
    seen = []

    def score(x: Tensor) -> Tensor:
        seen.append(len(x))
        return -(x[:, 0] - 1).square()

    for optimizer in ("plain", "adam"):
        seen.clear()
        path = ascend(score, start, lr=0.1, steps=400, until=-0.02, optimizer=optimizer)
        assert path.reached.all()
        assert path.steps[0] == 0
        assert path.steps.unique().numel() >= 3
        assert len(path.x) == path.steps.max() + 1
        for i, took in enumerate(path.steps.tolist()):
            assert (path.x[took:, i] == path.x[took, i]).all()
            assert (path.score[took:, i] == path.score[took, i]).all()
            assert path.score[took, i] >= -0.02
            assert (path.score[:took, i] < -0.02).all()
            assert (path.x[:took].diff(dim=0)[:, i] != 0).all()
            # what the others do changes nothing
            alone = ascend(score, start[i : i + 1], lr=0.1, steps=400, until=-0.02, optimizer=optimizer)
            assert torch.equal(alone.x[:, 0], path.x[: took + 1, i])
        assert seen[: len(path.x)][0] == 4
        assert sorted(seen[: len(path.x)], reverse=True) == seen[: len(path.x)]
        assert min(seen) < 4


def test_the_path_is_kept_whole(rng: torch.Generator) -> None:
    arc = Arc(0.1)
    z = normal(rng, 6, 2).clamp(-1.5, 1.5)
    path = ascend(log_probability(side, 1), z, arc.push, lr=0.02, steps=40)
    assert torch.equal(path.points[0], z)
    assert (path.x - torch.stack([arc.push(p) for p in path.points])).abs().max() < 1e-12
    assert (path.score - torch.stack([side(x).log_softmax(1)[:, 1] for x in path.x])).abs().max() < 1e-12
    log_q = path.log_q(diffeomorphism(arc))
    assert log_q.shape == path.score.shape
    assert torch.equal(log_q[-1], arc.log_prob(path.end))
    by_hand = torch.zeros(6, dtype=torch.float64)
    for a, b in zip(path.x[:-1], path.x[1:], strict=True):
        by_hand += (a - b).square().sum(1).sqrt()
    assert (path.length - by_hand).abs().max() < 1e-12
    assert (path.length >= (path.end - path.x[0]).norm(dim=1) - 1e-12).all()
    assert not path.x.requires_grad


def test_lengths_are_those_of_a_path_one_can_count() -> None:
    x = torch.tensor([[[0.0, 0.0]], [[3.0, 4.0]], [[3.0, 0.0]]])
    assert Path(x, x, x[:, :, 0], torch.tensor([2]), torch.tensor([True])).length.tolist() == [9.0]


def test_inputs_and_weights_are_left_alone(rng: torch.Generator) -> None:
    net, x = nn.Linear(3, 2).double(), normal(rng, 4, 3).requires_grad_()
    before = x.detach().clone()
    with torch.no_grad():  # a caller's mode does not matter
        path = ascend(log_probability(net, 0), x, lr=0.5, steps=5, until=NEVER)
    assert (path.end - before).abs().max() > 1e-3
    assert torch.equal(x, before)
    assert x.grad is None
    assert all(p.grad is None and p.requires_grad for p in net.parameters())


def test_no_steps_look_and_stay(rng: torch.Generator) -> None:
    path = ascend(hill, normal(rng, 3, 2), lr=0.1, steps=0)
    assert path.x.shape == (1, 3, 2)
    assert path.steps.tolist() == [0, 0, 0]
    assert not path.reached.any()


# On and off the manifold


def test_counterfactuals_stay_on_the_arc_and_adversarial_examples_leave_it() -> None:
    delta = 0.02
    arc = Arc(delta)
    z = torch.tensor([[-1.0, 0.0], [-0.8, 0.5], [-0.6, -0.5]], dtype=torch.float64)
    x, found = arc.push(z), {}
    assert (side(x).softmax(1)[:, 1] < 0.05).all()
    for name, start, decode in (("X", x, None), ("Z", arc.pull(x), arc.push)):
        path = ascend(log_probability(slanted, 1), start, decode, lr=0.01, steps=5000)
        assert path.reached.all()
        found[name] = float((path.end.norm(dim=1) - 1).abs().max() / delta)
    assert found["Z"] < 1.5
    assert found["X"] > 5
    # the right classifier agrees with the counterfactual alone
    right = log_probability(side, 1)
    assert right(ascend(log_probability(slanted, 1), z, arc.push, lr=0.01, steps=5000).end).exp().min() > 0.9
    assert right(ascend(log_probability(slanted, 1), x, lr=0.01, steps=5000).end).exp().max() < 0.9


# Scores


def test_scores_are_their_formulas(rng: torch.Generator) -> None:
    x = normal(rng, 7, 3)
    expected = -nn.functional.cross_entropy(x, torch.full((7,), 2), reduction="none")
    assert (log_probability(lambda x: x, 2)(x) - expected).abs().max() < 1e-12
    assert (closeness(lambda x: x[:, 0], 1.5)(x) + (x[:, 0] - 1.5) ** 2 / 2).abs().max() < 1e-12


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "a single logit": (lambda: log_probability(lambda x: x[:, :1], 0)(torch.ones(4, 2)), r"K\) with K ≥ 2, got \(4, 1"),
    "no axis": (lambda: log_probability(lambda x: x[:, 0], 0)(torch.ones(4, 2)), r"got \(4,\): a single logit"),
    "one answer": (lambda: log_probability(lambda x: x[:1], 0)(torch.ones(4, 2)), r"shape \(4, K\).*got \(1, 2\)"),
    "class": (lambda: log_probability(lambda x: x, 2)(torch.ones(4, 2)), "class between 0 and 1, got 2"),
    "negative": (lambda: log_probability(lambda x: x, -1)(torch.ones(4, 2)), "got -1"),
    "column": (lambda: closeness(lambda x: x[:, :1], 0.0)(torch.ones(4, 2)), r"got \(4, 1\).*squeeze\(1\)"),
    "one point": (lambda: ascend(hill, torch.ones(3), lr=1), r"\(batch, …\).*shape \(3,\)"),
    "no points": (lambda: ascend(hill, torch.ones(0, 3), lr=1), r"batch ≥ 1, got torch.float32 of shape \(0, 3\)"),
    "integers": (lambda: ascend(hill, torch.ones(2, 3).long(), lr=1), "got torch.int64"),
    "NaN": (lambda: ascend(hill, torch.tensor([[1.0], [math.nan]]), lr=1), "NaN or infinite in 1 samples"),
    "rate": (lambda: ascend(hill, torch.ones(2, 3), lr=0), "lr > 0, steps ≥ 0"),
    "steps": (lambda: ascend(hill, torch.ones(2, 3), lr=1, steps=-1), "steps ≥ 0"),
    "optimizer": (lambda: ascend(hill, torch.ones(2, 3), lr=1, optimizer="sgd"), "got 1, 500, 'sgd'"),  # type: ignore[arg-type]
    "score": (lambda: ascend(lambda x: x, torch.ones(2, 3), lr=1), r"a score of shape \(2,\), got \(2, 3\)"),
    "weights alone": (
        lambda: ascend(lambda x: hill(x.detach() * nn.Linear(1, 1).bias), torch.ones(2, 3), lr=1),
        "no gr",
    ),
    "detached": (lambda: ascend(lambda x: hill(x.detach()), torch.ones(2, 3), lr=1), "no gradient: does the model"),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_told(name: str) -> None:
    call, words = WRONG[name]
    with pytest.raises(ValueError, match=words):
        call()


def test_what_becomes_infinite_on_the_way_is_told() -> None:
    with pytest.raises(Diverged, match=r"score at step \d+ is not finite for 1 samples"):
        ascend(lambda x: x[:, 0].exp(), torch.tensor([[1.0], [-9.0]]), lr=50.0, until=NEVER)
    with pytest.raises(Diverged, match="gradient at step 0 is not finite for 1 samples"):
        ascend(lambda x: x[:, 0].sqrt(), torch.tensor([[0.0], [1.0]]), lr=1.0, until=NEVER)


# Explanations

QUIET = pytest.mark.filterwarnings("error::UserWarning")


@QUIET
def test_an_explanation_of_a_class() -> None:
    arc = Arc(0.05)
    x = arc.push(torch.tensor([[-1.0, 0.2], [-0.7, -0.3], [-0.9, 0.0]], dtype=torch.float64))
    e = explain(slanted, diffeomorphism(arc), x, 1)
    assert torch.equal(e.original, x)
    assert torch.equal(e.difference, torch.stack([e.counterfactual - x, e.adversarial - x]))
    three = torch.stack([x, e.counterfactual, e.adversarial])
    assert (e.output - torch.stack([slanted(one).softmax(1)[:, 1] for one in three])).abs().max() < 1e-12
    assert (e.output[0] < 0.1).all()
    assert (e.output[1:] >= 0.99 - 1e-9).all()
    assert (e.log_q - torch.stack([arc.log_prob(one) for one in three])).abs().max() < 1e-9
    assert (e.log_q[1] - e.log_q[2] > 10).all()
    for path in (e.in_z, e.in_x):
        assert path.reached.all()
        assert (path.x[0] - x).abs().max() < 1e-9
    assert (e.in_z.points[0] - arc.pull(x)).abs().max() < 1e-9


@QUIET
def test_an_explanation_of_a_value(rng: torch.Generator) -> None:
    flow = randomised(RealNVP(4, 4, (8,)), rng, 0.1)
    x = flow.push(0.3 * normal(rng, 5, 4)).detach()
    for target in (1.5, -2.0):
        e = explain(lambda x: x.sum(1), flow, x, target, tol=0.02, optimizer="plain", steps=2000)
        assert (e.output[1:] - target).abs().max() <= 0.02
        assert (e.output[0] - x.sum(1)).abs().max() < 1e-12
        assert e.target == target


def test_a_class_may_come_from_a_tensor_and_a_whole_value_is_still_a_value(rng: torch.Generator) -> None:
    x = normal(rng, 2, 3)
    x[:, 2] = -1
    assert explain(lambda x: 9 * x, IDENTITY, x, torch.tensor([0, 2])[1]).target == 2  # type: ignore[arg-type]
    value = explain(lambda x: x.sum(1), IDENTITY, x, 2.0, steps=2000)
    assert isinstance(value.target, float)
    with pytest.raises(ValueError, match="give a classifier a target that is an int"):
        explain(lambda x: x, IDENTITY, x, 2.0)
    with pytest.raises(ValueError, match="a regressor needs a target that is a float"):
        explain(lambda x: x.sum(1), IDENTITY, x, 2)


def test_pictures_keep_their_shape(rng: torch.Generator) -> None:
    flow = randomised(Glow((1, 4, 4), steps=2, levels=2, hidden=5), rng, 0.1)
    x = flow.push(0.3 * normal(rng, 3, 16)).detach()
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), sharp(nn.Linear(16, 3)))
    e = explain(net, flow, x, 2)
    assert e.counterfactual.shape == e.adversarial.shape == (3, 1, 4, 4)
    assert e.in_z.points.shape[1:] == (3, 16)
    assert e.difference.shape == (2, 3, 1, 4, 4)


def test_modules_are_evaluated_and_put_back(rng: torch.Generator) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2)).double()
    net[2].eval()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    x = normal(rng, 4, 3)
    first, again = (explain(net, IDENTITY, x, 1, steps=20_000, lr=0.1, lr_x=0.1) for _ in range(2))
    assert torch.equal(first.adversarial, again.adversarial)
    assert [m.training for m in net] == [True, True, False, True]
    assert all(torch.equal(state[name], value) for name, value in net.state_dict().items())
    with pytest.raises(ValueError, match="class between"):
        explain(net, IDENTITY, x, 7)
    assert net.training


def test_who_is_there_already_or_never_arrives_is_told() -> None:
    x = torch.tensor([[2.0, 0.0], [-2.0, 0.0]])
    two = lambda x: torch.stack([5 * x[:, 0], -5 * x[:, 0]], 1)  # noqa: E731
    with pytest.warns(UserWarning, match="1 of 2 were at 0 to begin with: for them nothing changes"):
        e = explain(two, IDENTITY, x, 0, lr_x=0.05)
    assert torch.equal(e.counterfactual[0], x[0])
    assert e.in_z.reached.all()
    in_x = "2 of 2 did not reach 0 in 5 steps in X: more steps, or another rate than lr_x=0.01"
    in_z = "2 of 2 did not reach 0 in 5 steps in Z: more steps, or another rate than lr=0.05"
    with pytest.warns(UserWarning, match=in_x), pytest.warns(UserWarning, match=in_z):
        e = explain(lambda x: 0.1 * x.tanh(), IDENTITY, x, 0, steps=5)
    assert not e.in_z.reached.any()
    assert len(e.in_z.x) == 6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explain(two, IDENTITY, x[1:], 0, steps=2000)


class Shifted(RealNVP):
    """A flow whose inverse is none."""

    def _pull(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z, change = super()._pull(x)
        return z + 1, change


POINTS = torch.zeros(2, 4)
NET = nn.Linear(4, 2)
ELSEWHERE = nn.Linear(4, 2, device="meta")
NO_GOOD: dict[str, tuple[Callable[[], Any], str]] = {
    "dtype of x": (lambda: explain(NET, RealNVP(4), POINTS.double(), 1), "Linear computes in torch.float32 on cpu"),
    "dtype of the flow": (lambda: explain(NET, RealNVP(4).double(), POINTS, 1), "RealNVP computes in torch.float64"),
    "no points": (lambda: explain(NET, RealNVP(4), POINTS[:0], 1), r"batch ≥ 1, got torch.float32 of shape \(0, 4\)"),
    "device": (lambda: explain(ELSEWHERE, RealNVP(4), POINTS, 1), "on meta, got x in torch.float32 on cpu"),
    "dimension": (lambda: explain(NET, RealNVP(3), POINTS, 1), r"expected points of shape \(batch, 3\)"),
    "NaN": (lambda: explain(NET, RealNVP(4), POINTS / 0, 1), "NaN or infinite"),
    "no inverse": (lambda: explain(NET, Shifted(4), POINTS, 1), r"push\(pull\(x\)\) is not x"),
    "confidence": (lambda: explain(NET, RealNVP(4), POINTS, 1, confidence=1.0), "between 0 and 1"),
    "tol": (lambda: explain(NET, RealNVP(4), POINTS, 1, tol=0), "positive tol, got 0.99 and 0"),
}


@pytest.mark.parametrize("name", NO_GOOD)
def test_what_cannot_be_explained_is_told(name: str) -> None:
    call, words = NO_GOOD[name]
    with pytest.raises(ValueError, match=words):
        call()


def test_the_readme_explains_in_six_lines(root: Path_, monkeypatch: pytest.MonkeyPatch, tmp_path: Path_) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.S) if "explain(" in block]
    assert len([line for line in code.splitlines() if line.strip()]) <= 6
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    yours = {"classifier": sharp(nn.Linear(784, 10)).float(), "flow": RealNVP(784, 2, (8,)), "x": torch.rand(2, 784)}
    exec(code, yours)
    assert (yours["e"].output[1:] > 0.98).all()
    assert (tmp_path / "explanation.png").stat().st_size > 1000

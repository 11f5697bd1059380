"""The policy: terms are a set, forbidden moves are never chosen, what is learned is the undoing of scrambles."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from gdl_lab.discovery import UNIT, Policy, apply, beam, encode, follow, key, lessons, ratio, scramble
from gdl_lab.discovery.dilogarithms import TERMS, Expression
from gdl_lab.recipes.dilogarithms import scrambled
from gdl_lab.training import CheckpointError


def some(n: int, seed: int) -> list[Expression]:
    rng = random.Random(seed)
    return [scramble(rng, 2, 6)[0] for _ in range(n)]


def test_an_expression_is_encoded_term_by_term() -> None:
    e = {ratio([1, 2], [3, 0, 1]): UNIT // 2, ratio([0, 1]): 1}
    x, allowed = encode([e])
    assert x.shape == (1, TERMS, 19)
    assert x[0, 0].tolist() == [1, 2, *[0] * 7, 3, 0, 1, *[0] * 6, 0.5]
    assert not x[0, 2:].any()
    assert allowed[0, :3].tolist() == [[True, True, True], [True, True, False], [False] * 3]
    for bad in ([{}], [{ratio([k, 1]): UNIT for k in range(TERMS + 1)}]):
        with pytest.raises(ValueError, match="expected 1 to 10 terms"):
            encode(bad)


def test_the_order_of_terms_does_not_count(seed: int) -> None:
    torch.manual_seed(0)
    policy, (e,) = Policy().eval(), some(1, seed)
    turned = dict(reversed(e.items()))
    with torch.no_grad():
        one, other = (policy(*encode([each])).view(TERMS, 3)[: len(e)] for each in (e, turned))
    assert torch.allclose(one, other.flip(0), atol=1e-4)
    assert not torch.allclose(one, other, atol=1e-2)


def test_moves_that_may_not_be_made_are_not_likely() -> None:
    policy = Policy().eval()
    x, allowed = encode(some(8, 1))
    assert (policy(x, allowed)[~allowed.flatten(1)] == -1e9).all()
    with pytest.raises(ValueError, match="what `encode` makes"):
        policy(x[:, :5], allowed)


def test_lessons_lead_one_step_back_and_keep_to_themselves_what_is_tested() -> None:
    x, allowed, undo = lessons(50, random.Random(3))
    assert allowed.flatten(1)[torch.arange(50), undo].all()
    rng = random.Random(3)
    seen = scramble(rng, rng.randint(1, 3), rng.randint(4, 16))[1]
    others = lessons(50, random.Random(3), without=frozenset({key(seen[0][0])}))[0]
    assert torch.equal(others[0], x[1])
    with pytest.raises(ValueError, match="at least one lesson"):
        lessons(0, random.Random(0))


@pytest.mark.slow
def test_it_learns_to_undo_one_move() -> None:
    torch.manual_seed(0)
    policy = Policy(32, 1)
    x, allowed, undo = lessons(400, random.Random(0), (1, 1), (1, 2))
    optimiser = torch.optim.Adam(policy.parameters(), 5e-3)
    for _ in range(60):
        loss = F.cross_entropy(policy(x, allowed), undo)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    tested = [scramble(random.Random(k), 1, 1)[0] for k in range(1000, 1040)]
    untrained = Policy(32, 1).eval()
    solved, before = (sum(s == 1 for s in follow(one, tested, 1)) for one in (policy.eval(), untrained))
    assert solved >= 34
    assert solved > before + 5


def test_following_counts_moves_and_a_beam_what_it_looks_at() -> None:
    e, path = scramble(random.Random(0), 1, 1)
    assert apply(e, path[0][1]) == {}
    policy = Policy().eval()
    assert follow(policy, [e, {}], 0) == [None, 0]
    solved, looked_at = beam(policy, e, width=30, steps=1)
    assert solved
    assert 1 <= looked_at <= 6
    assert beam(policy, {}) == (True, 0)


def test_a_policy_is_saved_and_read_again(tmp_path: Path) -> None:
    policy = Policy(16, 1).eval()
    policy.save(tmp_path / "p.safetensors")
    again = Policy.load(tmp_path / "p.safetensors")
    given = encode(some(3, 2))
    assert torch.equal(policy(*given), again(*given))
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        Policy.load(tmp_path / "q.safetensors")


def test_scrambles_to_test_on_are_different_and_the_same_each_time() -> None:
    tested = scrambled()
    assert len({*map(key, tested)}) == len(tested) == 300
    assert scrambled.__wrapped__(5) == tested[:5]

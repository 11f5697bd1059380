r"""A network that says which move to make next, learned from scrambles played backwards.

A scramble knows what undoes each of its moves. So a network can be shown expressions and told the move that leads one
step back, without any search. (Dersy, Schwartz and Zhang learn by rewards, from whether an expression became shorter.)
Terms are a set, which attention without positions respects: permute them, and the answers are permuted.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from gdl_lab import checkpoints
from gdl_lab.discovery.dilogarithms import DEGREE, MOVES, TERMS, UNIT, Expression, Move, Ratio, apply, scramble
from gdl_lab.discovery.searches import key

__all__ = ["Policy", "beam", "encode", "follow", "lessons"]

FEATURES = 2 * (DEGREE + 1) + 1
KINDS = len(MOVES)


def encode(expressions: Sequence[Expression]) -> tuple[Tensor, Tensor]:
    """Expressions as arrays, in the order of their terms.

    Returns:
        The coefficients above, below and before each term, ``(batch, TERMS, 2·DEGREE + 3)`` float32, and which of the
        moves may be tried on it, ``(batch, TERMS, 3)``. Both are zero where an expression has no more terms.

    Raises:
        ValueError: an expression without terms, or with more than `TERMS`.
    """
    if any(not 0 < len(e) <= TERMS for e in expressions):
        raise ValueError(f"expected 1 to {TERMS} terms in each expression, got {sorted({len(e) for e in expressions})}")
    rows = [[_row(r, c) for r, c in e.items()] for e in expressions]
    x = torch.tensor([one + [[0.0] * FEATURES] * (TERMS - len(one)) for one in rows])
    allowed = torch.tensor([
        [[True, True, _duplicable(r, c)] for r, c in e.items()] + [[False] * KINDS] * (TERMS - len(e))
        for e in expressions
    ])  # fmt: skip
    return x, allowed


def _row(r: Ratio, c: int) -> list[float]:
    top, bottom = ([*map(float, p)] + [0.0] * (DEGREE + 1 - len(p)) for p in r)
    return [*top, *bottom, c / UNIT]


def _duplicable(r: Ratio, c: int) -> bool:
    return c % 2 == 0 and 2 * (max(map(len, r)) - 1) <= DEGREE


class Policy(nn.Module):
    """Logits of all moves of an expression, by attention between its terms.

    Args:
        width: of a term's features.
        blocks: of attention, each with four heads.

    Shapes:
        what `encode` makes → ``(batch, TERMS · 3)``, −10⁹ where a move may not be tried.
    """

    def __init__(self, width: int = 64, blocks: int = 2) -> None:
        super().__init__()
        self.architecture = {"width": width, "blocks": blocks}
        self.embed = nn.Sequential(nn.Linear(FEATURES, width), nn.GELU(), nn.Linear(width, width))
        block = nn.TransformerEncoderLayer(
            width, 4, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, blocks, enable_nested_tensor=False)
        self.readout = nn.Linear(width, KINDS)

    def forward(self, x: Tensor, allowed: Tensor) -> Tensor:
        if x.ndim != 3 or x.shape[1:] != (TERMS, FEATURES) or allowed.shape != (*x.shape[:2], KINDS):
            raise ValueError(
                f"expected what `encode` makes, of shapes (batch, {TERMS}, {FEATURES}) and (batch, {TERMS}, {KINDS}), "
                f"got {tuple(x.shape)} and {tuple(allowed.shape)}"
            )
        absent = ~allowed.any(2)
        terms = self.blocks(self.embed(x.asinh()), src_key_padding_mask=absent)  # coefficients reach thousands
        return self.readout(terms).masked_fill(~allowed, -1e9).flatten(1)

    def save(self, path: str | Path) -> None:
        """Write weights and architecture to a safetensors file.

        Raises:
            CheckpointError: the file cannot be written.
        """
        checkpoints.write(path, self.state_dict(), {"policy": type(self).__name__, **self.architecture})

    @classmethod
    def load(cls, path: str | Path) -> Policy:
        """The policy that `save` wrote, on the CPU, in evaluation mode.

        Raises:
            CheckpointError: the file is missing, damaged, or holds something else.
        """
        return checkpoints.rebuild(path, "policy", {cls.__name__: cls}, cls.__name__)


def lessons(
    n: int,
    rng: random.Random,
    zeros: tuple[int, int] = (1, 3),
    steps: tuple[int, int] = (4, 16),
    without: frozenset[frozenset[tuple[Ratio, int]]] = frozenset(),
) -> tuple[Tensor, Tensor, Tensor]:
    """n expressions on the way of scrambles, and the number of the move that leads one step back.

    Args:
        zeros, steps: of the scrambles, from … to …, both included.
        without: the `key` of expressions that must not be among them.

    Returns:
        What `encode` makes, and the number of a move, term · 3 + kind, ``(n,)`` int64.

    Raises:
        ValueError: no lessons are asked for.
    """
    if n < 1:
        raise ValueError(f"expected at least one lesson, got {n}")
    found: list[tuple[Expression, Move]] = []
    while len(found) < n:
        path = scramble(rng, rng.randint(*zeros), rng.randint(*steps))[1]
        found += [(e, undo) for e, undo in path if key(e) not in without]
    expressions, undone = zip(*found[:n], strict=True)
    answers = [list(e).index(term) * KINDS + kind for e, (term, kind) in zip(expressions, undone, strict=True)]
    return *encode(expressions), torch.tensor(answers)


@torch.no_grad()
def follow(policy: Policy, starts: Sequence[Expression], steps: int = 50) -> list[int | None]:
    """Make the likeliest move that leads to an expression not seen before, again and again.

    Returns:
        For each expression after how many moves it was 0; ``None`` for one that was not.
    """
    present, seen = [dict(e) for e in starts], [{key(e)} for e in starts]
    done: list[int | None] = [None if e else 0 for e in starts]
    for step in range(1, steps + 1):
        alive = [i for i, found in enumerate(done) if found is None]
        if not alive:
            break
        order = policy(*encode([present[i] for i in alive])).sort(descending=True)
        for i, logits, ranked in zip(alive, order.values.tolist(), order.indices.tolist(), strict=True):
            ways = _after(present[i], (a for a, logit in zip(ranked, logits, strict=True) if logit > -1e8))
            after = next((e for e in ways if key(e) not in seen[i]), None)
            if after is None:  # nowhere to go: it stays, and counts as not solved
                continue
            present[i] = after
            seen[i].add(key(after))
            if not after:
                done[i] = step
    return done


def _after(expression: Expression, actions: Iterable[int]) -> Iterator[Expression]:
    """What actions lead to, in their order, those left out that may not be done."""
    terms = list(expression)
    found = (apply(expression, (terms[a // KINDS], a % KINDS)) for a in actions)
    return (after for after in found if after is not None)


@torch.no_grad()
def beam(policy: Policy, start: Expression, width: int = 10, steps: int = 50) -> tuple[bool, int]:
    """Follow the likeliest ways side by side.

    Returns:
        Whether 0 was reached, and how many expressions were computed on the way.
    """
    ways, seen, looked_at = [(0.0, start)], {key(start)}, 0
    if not start:
        return True, 0
    for _ in range(steps):
        logits = policy(*encode([e for _, e in ways])).log_softmax(1) + torch.tensor([[p] for p, _ in ways])
        best = logits.flatten().topk(min(3 * width, logits.numel()))
        longer: list[tuple[float, Expression]] = []
        for p, a in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            if p < -1e8 or len(longer) == width:
                break
            which, action = divmod(a, TERMS * KINDS)
            for after in _after(ways[which][1], [action]):
                looked_at += 1
                if not after:
                    return True, looked_at
                if key(after) not in seen:
                    seen.add(key(after))
                    longer.append((p, after))
        if not longer:
            break
        ways = longer
    return False, looked_at

"""Ellipses of a metric: their rims have the length that was asked for, and bad input is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gdl_lab import figures
from gdl_lab.figures.ellipses import _rims

WORDS: dict[str, Any] = {"caption": "What to see.", "alt": "What it shows, with the number 3."}


def test_every_point_of_a_rim_has_one_length_in_the_metric(rng: torch.Generator) -> None:
    root = torch.randn(6, 2, 2, dtype=torch.float64, generator=rng)
    gamma_inv = root @ root.mT + 0.01 * torch.eye(2, dtype=torch.float64)
    centres = torch.randn(6, 2, dtype=torch.float64, generator=rng)
    for rim, centre, one in zip(_rims("X", centres, gamma_inv, 0.3), centres, gamma_inv, strict=True):
        v = torch.from_numpy(rim) - centre
        lengths = torch.einsum("bi,ij,bj->b", v, torch.linalg.inv(one), v).sqrt()
        assert (lengths - 0.3).abs().max() < 1e-9
        assert (v[0] - v[-1]).norm() < 1e-9, "the rim is closed"


def test_ellipses_with_arrows_lines_and_points_are_drawn(rng: torch.Generator) -> None:
    centres, one = 2 * torch.rand(3, 2, generator=rng) - 1, torch.eye(2).expand(3, 2, 2)
    plain = figures.ellipses({"X": (centres, one)}, **WORDS)
    full = figures.ellipses(
        {"X": (centres, one), "Y": (centres, one)},
        points={"X": torch.randn(50, 2, generator=rng)},
        arrows={"X": {"v": torch.ones(3, 2)}},
        lines={"Y": {"a line": centres}},
        **WORDS,
    )
    assert plain.light[:4] == full.dark[:4] == b"\x89PNG"
    assert plain.light != figures.ellipses({"X": (centres, 2 * one)}, **WORDS).light


def test_metrics_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one panel"):
        figures.ellipses({}, **WORDS)
    with pytest.raises(ValueError, match=r"centres \(n, 2\) and metrics \(n, 2, 2\) in 'X'"):
        figures.ellipses({"X": (torch.zeros(3, 2), torch.eye(2))}, **WORDS)
    with pytest.raises(ValueError, match="in 'X'"):
        figures.ellipses({"X": (torch.zeros(3, 3), torch.eye(3).expand(3, 3, 3))}, **WORDS)

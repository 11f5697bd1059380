"""Exercises of chapter 03: right answers written another way, and wrong ones beyond the typical, each with its hint."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gdl_lab.exercises import check
from gdl_lab.manifold import levina_bickel


def axes(patch: Tensor) -> Tensor:
    return torch.linalg.svd(patch - patch.mean(0)).Vh


def rest(offset: Tensor, basis: Tensor) -> Tensor:
    return (offset - basis.T @ (basis @ offset)).norm()


def logs(r: Tensor) -> Tensor:
    return (r[:, -1:] / r[:, :-1]).log()


def ratio(covariance: Tensor) -> Tensor:
    return covariance.trace() ** 2 / covariance.square().sum()


def likeliest(r: Tensor) -> float:
    """By a search: the derivative of the log-likelihood is n/d − Σ log μ."""
    low, high, total = 0.1, 50.0, float((r[:, 1] / r[:, 0]).log().sum())
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if len(r) / middle > total else (low, middle)
    return low


@pytest.mark.parametrize(
    ("checker", "answer"),
    [
        (check.ch03.distances, lambda x, k: torch.cdist(x, x).topk(k + 1, largest=False).values[:, 1:]),
        (check.ch03.distances, lambda x, k: np.sort(torch.cdist(x, x).numpy(), 1)[:, 1 : k + 1]),
        (check.ch03.distances, lambda x, k: torch.stack([(x - p).norm(dim=1).sort().values[1 : k + 1] for p in x])),
        (check.ch03.maximum_likelihood, levina_bickel),
        (check.ch03.maximum_likelihood, lambda r: (r.shape[1] - 1) / logs(r).sum(1).mean()),
        (check.ch03.two_neighbours, levina_bickel),
        (check.ch03.two_neighbours, likeliest),
        (check.ch03.participation, lambda x: ratio((x - x.mean(0)).T @ (x - x.mean(0)))),
        (check.ch03.participation, lambda x: (lambda v: v.sum() ** 2 / v.square().sum())(torch.pca_lowrank(x)[1] ** 2)),
        (check.ch03.distance_to_tangent_plane, lambda q, p, d: (axes(p)[d:] @ (q - p.mean(0))).norm()),
        (
            check.ch03.distance_to_tangent_plane,
            lambda q, p, d: rest(q - p.mean(0), torch.linalg.eigh(torch.cov(p.T)).eigenvectors.flip(1)[:, :d].T),
        ),
    ],
)
def test_another_way_is_right_too(checker: Callable[[Any], Any], answer: Callable[..., Any]) -> None:
    verdict = checker(answer)
    assert verdict.ok, verdict.hint


@pytest.mark.parametrize(
    ("checker", "answer", "fragment"),
    [
        (
            check.ch03.distances,
            lambda x, k: torch.cdist(x, x).fill_diagonal_(math.inf).topk(k, largest=False),
            "a pair",
        ),
        (check.ch03.distances, lambda x, k: torch.cdist(x, x).argsort(1)[:, 1 : k + 1], "indices"),
        (check.ch03.distances, lambda x, k: torch.cdist(x, x, p=1).sort(1).values[:, 1 : k + 1], "Euclidean"),
        (check.ch03.distances, lambda x, k: torch.cdist(x, x)[:, 1 : k + 1], "do not ascend"),
        (check.ch03.distances, lambda x, k: torch.full((len(x), k), math.nan), "not a number"),
        (check.ch03.distances, lambda x, k: torch.cdist(x, x).sort(1).values[:, 1:5], "Right for k = 4 only"),
        (check.ch03.maximum_likelihood, lambda r: (r.shape[1] - 1) / logs(r).sum(1), r"you return the shape (500,)"),
        (check.ch03.maximum_likelihood, lambda r: 1 / logs(r).sum(1).mean(), "do not divide"),
        (check.ch03.maximum_likelihood, lambda r: 1 / logs(r).exp().mean().log(), "logarithm of the mean"),
        (check.ch03.maximum_likelihood, lambda r: 1 / (r[:, 1:] / r[:, :1]).log().mean(), "nearest distance, r_1"),
        (check.ch03.two_neighbours, lambda r: 1 / logs(r), "you return the shape (400, 1)"),
        (check.ch03.two_neighbours, lambda r: 1 / logs(r).mean() - 1, "where does your −1 come from"),
        (check.ch03.two_neighbours, lambda r: (len(r) - 1) / logs(r).sum(), "The unbiased estimate"),
        (check.ch03.participation, lambda x: ratio(torch.cov(x)), "its own coordinates"),
        (check.ch03.participation, lambda x: ratio((x - x.mean()).T @ (x - x.mean())), "one number from everything"),
        (check.ch03.participation, lambda x: ratio(torch.corrcoef(x.T)), "correlations"),
        (check.ch03.participation, lambda x: ratio(torch.cov(x.T) @ torch.cov(x.T)), "One square too many"),
        (check.ch03.distance_to_tangent_plane, lambda q, p, d: rest(q - p[0], axes(p)[:d]), "one of the points"),
        (check.ch03.distance_to_tangent_plane, lambda q, p, d: (p - q).norm(dim=1).min(), "nearest point"),
        (
            check.ch03.distance_to_tangent_plane,
            lambda q, p, d: rest(q - p.mean(0), axes(p)[:2]),
            "Right for d = 2 only",
        ),
    ],
)
def test_a_mistake_gets_its_hint(checker: Callable[[Any], Any], answer: Callable[..., Any], fragment: str) -> None:
    verdict = checker(answer)
    assert not verdict.ok
    assert fragment in verdict.hint

"""A small training: data, a network whose dropout draws and whose batch norm remembers, and a loss that kills it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gdl_lab.training import History, fit

N = 37  # no multiple of the batch size


class Killed(Exception):
    pass


def data(n: int = N) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    return torch.randn(n, 3, generator=g), torch.randn(n, 1, generator=g)


def network(seed: int = 0, width: int = 8, dropout: float = 0.3) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(3, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 1)
    )


def squared(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return (model(x) - y).square().mean()


def killed_after(steps: int) -> Callable[..., Tensor]:
    calls = 0

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls > steps:
            raise Killed
        return squared(model, x, y)

    return loss


def train(model: nn.Module, loss: Callable[..., Tensor] = squared, **options: Any) -> History:
    settings: dict[str, Any] = {"steps": 23, "batch_size": 8, "lr": 0.01, "every": 5, "progress": False}
    return fit(model, data(), loss, **{**settings, **options})


def validation(model: nn.Module) -> float:
    return float(squared(model, *data()))


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())

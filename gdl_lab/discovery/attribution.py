r"""Which features a network's answer hangs on: gradients in the features' own units, and what shuffling one costs.

The networks are the talk's, with standardised inputs inside: `Standardised` takes features as they are, so that its
gradient ∂f/∂x is in units of the answer per unit of the feature. The gradient by the standardised input is ∂f/∂x times
the feature's standard deviation. The first reads off a formula, the second compares features that are measured in
different units.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdl_lab import runtime, training
from gdl_lab.networks import FullyConnected

__all__ = ["Standardised", "accuracy", "classify", "gradients", "importance", "least_squares", "regress", "split"]


class Standardised(nn.Module):
    """x ↦ b + a·f((x − mean) / sd), with a network f of inputs of mean 0 and variance 1.

    Args:
        network: f, ``(batch, k)`` → ``(batch, outputs)``.
        x: features that mean and standard deviation are taken of, ``(n, k)``; one that is constant is only shifted.
        y: numbers of whose mean and deviation the answers are made, ``(n,)``; without them b = 0 and a = 1.
    """

    mean: Tensor
    sd: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module, x: Tensor, y: Tensor | None = None) -> None:
        super().__init__()
        self.network = network
        sd = x.std(0)
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("sd", torch.where(sd > 0, sd, 1.0))
        self.register_buffer("shift", torch.zeros(()) if y is None else y.mean())
        self.register_buffer("scale", torch.ones(()) if y is None else y.std())

    def forward(self, x: Tensor) -> Tensor:
        return self.shift + self.scale * self.network((x - self.mean) / self.sd)


def split(n: int, share: float = 0.8, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Numbers of examples to train on and to test on, in random order.

    Raises:
        ValueError: one of the two would be empty.
    """
    kept = round(share * n)
    if not 0 < kept < n:
        raise ValueError(f"a share {share:g} of {n} leaves nothing on one side")
    order = torch.randperm(n, generator=runtime.generator("split", seed))
    return order[:kept], order[kept:]


def least_squares(x: Tensor, y: Tensor) -> Tensor:
    """Weights of the features and, last, the constant, that fit y best; of several such the shortest, ``(k + 1,)``.

    Args:
        x: ``(n, k)``, float64.
        y: ``(n,)``.

    Raises:
        ValueError: other shapes, or numbers that are not finite.
    """
    _check(x, y)
    A = torch.cat([x, torch.ones(len(x), 1)], 1).double()
    return torch.linalg.lstsq(A, y.double()[:, None], rcond=1e-9, driver="gelsd").solution.squeeze(1)


def regress(
    x: Tensor, y: Tensor, *, steps: int, hidden: tuple[int, ...] = (64, 64), seed: int = 0, label: str | None = None
) -> Standardised:
    """A network for a number, ``(n, k)`` → ``(n, 1)``, by least squares; smooth, since its slopes are asked for.

    Args:
        label: of the progress bar; none is shown without one.

    Raises:
        ValueError: shapes other than ``(n, k)`` and ``(n,)``, or numbers that are not finite.
    """

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return ((model(x).squeeze(1) - y) / model.scale).square().mean()

    def begin() -> Standardised:
        layers = [part for m, n in pairwise([x.shape[1], *hidden]) for part in (nn.Linear(m, n), nn.Tanh())]
        return Standardised(nn.Sequential(*layers, nn.Linear(hidden[-1], 1)), x.float(), y.float())

    return _trained(begin, (x, y.float()), loss, steps=steps, seed=seed, label=label, lr=5e-3)


def classify(
    x: Tensor,
    labels: Tensor,
    *,
    classes: int,
    steps: int,
    hidden: tuple[int, ...] = (128, 128),
    seed: int = 0,
    label: str | None = None,
) -> Standardised:
    """A network for one of several classes, ``(n, k)`` → logits ``(n, classes)``, by cross-entropy, float32.

    Args:
        labels: ``(n,)``, whole numbers from 0 to classes − 1.
        label: of the progress bar; none is shown without one.

    Raises:
        ValueError: other shapes or labels, or features that are not finite.
    """
    if labels.dtype != torch.int64 or not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(f"expected int64 labels from 0 to {classes - 1}, got {labels.dtype} in "
                         f"{float(labels.min()):g} … {float(labels.max()):g}")  # fmt: skip

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(x), y)

    def begin() -> Standardised:
        return Standardised(FullyConnected([x.shape[1], *hidden, classes]), x.float())

    return _trained(begin, (x, labels), loss, steps=steps, seed=seed, label=label, lr=4e-3)


def _trained(
    begin: Callable[[], Standardised],
    examples: tuple[Tensor, Tensor],
    loss: Callable[..., Tensor],
    *,
    steps: int,
    seed: int,
    label: str | None,
    lr: float,
) -> Standardised:
    x, y = examples
    _check(x, y)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = begin()
    training.fit(
        model, (x.float(), y), loss, steps=steps, batch_size=128, lr=lr, schedule=training.warm_cosine, seed=seed,
        label=label or "", progress=label is not None, optimiser=torch.optim.AdamW,
    )  # fmt: skip
    return model


def gradients(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """∂f/∂x at every x, ``(n, k)``, for f with one number for each, which may have the shape ``(n, 1)``."""
    x = x.float().clone().requires_grad_()
    return torch.autograd.grad(f(x).sum(), x)[0]


@torch.no_grad()
def accuracy(model: nn.Module, x: Tensor, labels: Tensor) -> float:
    """Share of labels that the largest logit names."""
    return float((model(x.float()).argmax(1) == labels).double().mean())


def importance(model: nn.Module, x: Tensor, labels: Tensor, *, seed: int = 0) -> Tensor:
    """What `accuracy` loses when one feature is shuffled among the examples, for each feature, ``(k,)``.

    Source: Breiman (2001), section 10.
    """
    rng, whole, lost = runtime.generator("importance", seed), accuracy(model, x, labels), []
    for k in range(x.shape[1]):
        mixed = x.clone()
        mixed[:, k] = x[torch.randperm(len(x), generator=rng), k]
        lost.append(whole - accuracy(model, mixed, labels))
    return torch.tensor(lost)


def _check(x: Tensor, y: Tensor) -> None:
    if x.ndim != 2 or y.shape != x.shape[:1] or 0 in x.shape:
        raise ValueError(f"expected features (n, k) and answers (n,), got {tuple(x.shape)} and {tuple(y.shape)}")
    if not (x.isfinite().all() and y.isfinite().all()):
        raise ValueError("expected finite features and answers, got NaN or infinity among them")

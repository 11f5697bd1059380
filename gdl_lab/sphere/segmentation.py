"""Segmentation on the sphere: what each point shows, and the areas by which an answer is judged.

A grid's points crowd at the poles. Weighted by the area each stands for, a sum over the grid is an integral over the
sphere, and a rotation changes neither loss nor score; the published code counts all points alike, as ``weights=None``
does here.

Source: Gerken et al. (2022), Equivariance versus Augmentation for Spherical Images, whose score is `mean_iou`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["confusion", "masks", "mean_iou", "pixel_weights", "segmentation_loss"]


def masks(signals: Tensor, labels: Tensor, threshold: float = 0.5) -> Tensor:
    """What each point shows: 0 for background, label + 1 where the signal exceeds the threshold.

    Args:
        signals: of `digits_on_sphere` with labels ``(batch,)``, or of `four_digits_on_sphere` with ``(batch, 4)``.

    Returns:
        Shape ``(n_beta, n_alpha, batch)``, int64.

    Raises:
        ValueError: labels of another shape.
    """
    if signals.shape[2:] != labels.shape:
        raise ValueError(f"expected labels of shape {tuple(signals.shape[2:])}, got {tuple(labels.shape)}")
    shown = (signals > threshold) * (labels + 1)
    return shown if labels.ndim == 1 else shown.amax(-1)


def pixel_weights(weights: Tensor | None, shape: Sequence[int]) -> Tensor:
    """The share of the sphere that each point of a grid stands for; equal shares of the chart for ``None``.

    Args:
        weights: of the latitudes, shape ``(n_beta,)``, as ``S2FFT.weights``.
        shape: ``(n_beta, n_alpha)``.

    Returns:
        Shape ``(n_beta, n_alpha)``, of sum 1.
    """
    n_beta, n_alpha = shape
    rows = torch.ones(n_beta) if weights is None else weights
    if rows.shape != (n_beta,):
        raise ValueError(f"expected one weight for each of {n_beta} latitudes, got shape {tuple(rows.shape)}")
    return (rows / rows.sum() / n_alpha)[:, None].expand(n_beta, n_alpha)


def segmentation_loss(logits: Tensor, target: Tensor, weights: Tensor | None, *, background: float = 0.5) -> Tensor:
    """Cross-entropy as an integral over the sphere, averaged over the batch; background, most of it, counts less.

    Args:
        logits: shape ``(n_beta, n_alpha, classes, batch)``.
        target: of `masks`, shape ``(n_beta, n_alpha, batch)``.
        weights: of the latitudes; ``None`` counts all points alike.
        background: weight of class 0; the others have 1.
    """
    importance = logits.new_ones(logits.shape[2])
    importance[0] = background
    error = F.cross_entropy(logits.permute(3, 2, 0, 1), target.permute(2, 0, 1), importance, reduction="none")
    return (error * pixel_weights(weights, logits.shape[:2]).to(error)).sum((1, 2)).mean()


def confusion(predicted: Tensor, target: Tensor, weights: Tensor | None, classes: int = 11) -> Tensor:
    """The share of the sphere, summed over the batch, that is of class i and taken for class j.

    Args:
        predicted, target: classes, shape ``(n_beta, n_alpha, batch)``.
        weights: of the latitudes, shape ``(n_beta,)``; ``None`` counts all points alike.

    Returns:
        Shape ``(classes, classes)``, float64 on the CPU, entry ``[i, j]``; it adds up to the batch.

    Raises:
        ValueError: shapes that differ, or a class that is not one.
    """
    shapes = tuple(predicted.shape), tuple(target.shape)
    if shapes[0] != shapes[1] or target.ndim != 3:
        raise ValueError(f"expected two of one shape (n_beta, n_alpha, batch), got {shapes[0]} and {shapes[1]}")
    pairs = (target * classes + predicted).flatten()
    named = torch.stack([predicted, target])
    if named.numel() and not 0 <= int(named.min()) <= int(named.max()) < classes:
        raise ValueError(f"expected classes from 0 to {classes - 1}, got {int(named.min())} to {int(named.max())}")
    # on the CPU: not every device has float64, and a GPU adds in an order of its own
    area = pixel_weights(weights, target.shape[:2]).cpu().double()[..., None].expand(target.shape)
    return torch.bincount(pairs.cpu(), area.flatten(), minlength=classes**2).reshape(classes, classes)


def mean_iou(counts: Tensor) -> float:
    """Intersection over union, averaged over the classes but for the background, of a `confusion` matrix.

    Classes that neither are there nor are predicted are left out; without any other, the result is NaN.
    """
    both = counts.diagonal()
    union = counts.sum(0) + counts.sum(1) - both
    there = union[1:] > 0
    return float((both[1:][there] / union[1:][there]).mean()) if there.any() else math.nan

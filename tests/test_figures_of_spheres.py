"""Globes: north is up, the eye looks at α = 180°, and right on the globe is right on the chart."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gdl_lab import figures
from gdl_lab.figures import spheres
from gdl_lab.sphere import S2FFT, digits_on_sphere

TEXT = {"caption": "c", "alt": "a"}


def test_the_disc_shows_the_side_on_which_digits_are_painted() -> None:
    alpha, beta = (axis.numpy().astype(float) for axis in S2FFT(24).grid())
    row, column, disc = spheres._seen(alpha, beta)
    side, middle = spheres.PIXELS, spheres.PIXELS // 2
    angle = column / len(alpha) * 360
    assert angle[middle, middle] == pytest.approx(180, abs=1)
    assert row[middle, middle] == pytest.approx((len(beta) - 1) / 2, abs=0.3)
    assert row[2, middle] < row[middle, middle] < row[side - 3, middle]
    assert angle[middle, 2] < 110
    assert angle[middle, side - 3] > 250
    assert disc.mean() == pytest.approx(math.pi / 4, abs=0.01)


def test_a_digit_on_the_globe_is_the_picture() -> None:
    """Upright, and not mirrored: a bright upper right quarter stays there."""
    fft, picture = S2FFT(48), torch.zeros(1, 28, 28)
    picture[0, :14, 14:] = 1
    chart = digits_on_sphere(picture, fft.grid(), size=0.6)[..., 0].numpy()
    alpha, beta = (axis.numpy().astype(float) for axis in fft.grid())
    row, column, disc = spheres._seen(alpha, beta)
    globe, half = np.where(disc, spheres._between(chart, row, column), 0), spheres.PIXELS // 2
    assert globe[:half, half:].sum() > 0.95 * globe.sum()


def test_classes_are_not_mixed_at_their_edges() -> None:
    alpha, beta = (axis.numpy().astype(float) for axis in S2FFT(8).grid())
    row, column, _ = spheres._seen(alpha, beta)
    chart = np.where(np.arange(len(alpha)) < len(alpha) // 2, 2, 9) * np.ones((len(beta), 1), dtype=int)
    assert set(np.unique(spheres._nearest(chart, row, column))) == {2, 9}


def test_globes_are_drawn_for_light_and_dark_pages() -> None:
    fft = S2FFT(4)
    signals = {"one": torch.rand(fft.shape), "two": torch.zeros(fft.shape, dtype=torch.int64)}
    picture = figures.globes(signals, fft.grid(), classes=[False, True], **TEXT)
    assert picture.light != picture.dark
    assert picture.light[:4] == picture.dark[:4] == b"\x89PNG"
    assert figures.globes({"one": signals["one"]}, fft.grid(), signed=True, **TEXT).light != picture.light


@pytest.mark.parametrize("signals", [{}, {"x": torch.zeros(3, 8)}])
def test_other_shapes_are_refused(signals: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="expected signals of shape"):
        figures.globes(signals, S2FFT(4).grid(), **TEXT)

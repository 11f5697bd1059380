"""Chapter 02's claims can fail, and its error of equivariance is the one that the kernel editor shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gdl_lab import runtime
from gdl_lab.claims import ch02
from gdl_lab.networks import ConvolutionalNetwork, constrained_weights, correlate, shift_equivariance_error, translate
from gdl_lab.widgets import KernelEditor


def test_a_flipped_kernel_is_not_the_written_sum() -> None:
    flipped = ch02.is_the_written_sum.outcome(layer=lambda k, f: correlate(k.flip(-2, -1), f, padding="zeros"))
    wrapped = ch02.is_the_written_sum.outcome(layer=lambda k, f: correlate(k, f, padding="circular"))
    assert not flipped.holds
    assert not wrapped.holds
    assert ch02.is_the_written_sum.outcome().holds


def test_a_picture_without_features_hides_what_stride_breaks() -> None:
    assert not ch02.stride_padding_and_pooling_break_it.outcome(pictures=torch.ones(1, 1, 8, 8)).holds


@pytest.mark.parametrize("seed", range(5))
def test_stride_padding_and_pooling_break_it_for_every_kernel(seed: int) -> None:
    assert ch02.stride_padding_and_pooling_break_it.outcome(seed=seed).holds


def test_claims_about_trained_networks_ask_for_a_lead() -> None:
    level = {"fully_connected": [0.9, 0.92], "convolutional": [0.91, 0.91]}
    assert not ch02.beats_fully_connected.outcome(**level).holds
    assert not ch02.invariant_head_survives_shifts.outcome(**level).holds


@pytest.mark.parametrize(("height", "width"), [(1, 5), (2, 2), (3, 3), (2, 4)])
def test_the_commutant_has_one_dimension_a_grid_point(height: int, width: int) -> None:
    measured = ch02.constraint_is_symmetry.outcome(height=height, width=width)
    assert measured.holds
    assert measured.extra["solutions"] == height * width
    assert measured.extra["unlike_convolution"] < 1e-12


@pytest.mark.parametrize(("head", "invariant"), [("mean", True), ("max", True), ("flatten", False)])
def test_the_head_decides_whether_a_network_is_invariant(head: str, invariant: bool) -> None:
    print("seed", seed := runtime.fresh_seed())
    torch.manual_seed(seed)
    net = ConvolutionalNetwork((1, 4, 4), 3, size=9, padding_mode="circular", head=head).double()
    f = torch.randn(2, 1, 9, 9, dtype=torch.float64)
    with torch.no_grad():
        moved = float((net(translate(f, (2, -3))) - net(f)).abs().max())
    assert moved <= 1e-12 if invariant else moved > 1e-3


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", ["circular", "zeros"])
def test_the_kernel_editor_measures_the_same_error(stride: int, padding: str) -> None:
    editor = KernelEditor()
    f = torch.from_numpy(np.frombuffer(editor.images, "<f4").astype(np.float64)).view(editor.shape)[:1, None]
    kernel = torch.tensor(editor.kernel, dtype=torch.float64).view(1, 1, 3, 3)
    mode = "circular" if padding == "circular" else "constant"
    for dx, dy in ((1, 0), (2, 1), (-1, 3), (-3, -2)):
        ours = shift_equivariance_error(
            lambda g: F.conv2d(F.pad(g, (1, 1, 1, 1), mode=mode), kernel, stride=stride), f, (dy, dx), stride=stride
        )
        shown = editor.readout(image=0, dx=dx, dy=dy, stride=stride, padding=padding)["error"]
        assert ours == pytest.approx(shown, rel=1e-12, abs=1e-14)


def test_a_kernel_that_is_not_square_is_refused() -> None:
    with pytest.raises(ValueError, match="square kernel of odd size within 6×6, got 3×5"):
        constrained_weights(torch.ones(1, 1, 3, 5), 6, 6)

"""Chapter 02's claims can fail, and its error of equivariance is the one that the kernel editor shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_image
from torch.nn import functional as F

from gdl_lab import runtime
from gdl_lab.claims import ch02
from gdl_lab.networks import (
    ConvolutionalNetwork,
    FullyConnected,
    constrained_weights,
    correlate,
    count_multiplications,
    influence,
    shift_equivariance_error,
    translate,
)
from gdl_lab.widgets import KernelEditor
from gdl_lab.widgets.kernel_editor import PRESETS


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


def photograph() -> torch.Tensor:
    """The chapter's, in grey at half its size."""
    photo = torch.from_numpy(load_sample_image("china.jpg").copy()).double().permute(2, 0, 1) / 255
    return F.avg_pool2d(F.avg_pool2d(photo, 8)[:, :48].mean(0, keepdim=True), 2)


def test_the_answers_under_the_editor_are_what_it_shows() -> None:
    editor = KernelEditor(photograph())
    for name, said in (("edges (Laplace)", 0.97), ("identity", 0.12), ("blur", 0.09)):
        errors = [editor.readout(kernel=PRESETS[name], dx=dx, stride=2)["error"] for dx in (1, 2, 3, 4)]
        assert errors[1] == errors[3] == 0
        assert errors[0] == pytest.approx(said, abs=0.005)
        assert errors[2] == pytest.approx(said, abs=0.005)
    shown = editor.readout(kernel=PRESETS["edges (Laplace)"], dx=1, padding="zeros")
    assert shown["error"] == pytest.approx(0.47, abs=0.005)
    assert shown["interior_error"] == 0


def test_the_best_shift_of_the_output_is_found() -> None:
    f = photograph()[None]
    kernel = torch.tensor(PRESETS["Sobel x"], dtype=torch.float64).view(1, 1, 3, 3)

    def moved(g: torch.Tensor) -> torch.Tensor:  # equivariant, with a shift of the output that no stride explains
        return (
            correlate(kernel, g, padding="circular")
            if torch.equal(g, f)
            else translate(correlate(kernel, g, padding="circular"), (3, -2))
        )

    assert shift_equivariance_error(moved, f, (0, 1)) > 0.5
    assert shift_equivariance_error(moved, f, (0, 1), stride=None) <= 1e-15
    for stride, layer in ((2, lambda g: F.conv2d(g, kernel, stride=2)), (1, lambda g: F.conv2d(g, kernel, padding=1))):
        asked = shift_equivariance_error(layer, f, (0, 1), stride=stride)
        assert 0.1 < shift_equivariance_error(layer, f, (0, 1), stride=None) <= asked


def test_influence_is_the_square_of_the_kernel_after_one_layer() -> None:
    net = ConvolutionalNetwork((1, 2, 2), 1, size=5)
    net.features = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3, padding=1))
    kernel = next(net.features.parameters()).detach()[0, 0]
    seen = influence(net, torch.randn(4, 1, 5, 5))
    assert torch.allclose(seen[1:4, 1:4], kernel**2)
    assert float(seen.sum()) == pytest.approx(float((kernel**2).sum()), rel=1e-5)


def test_influence_that_grows_like_the_depth_is_no_walk() -> None:
    assert not ch02.influence_walks.outcome(sigmas={depth: 0.8 * depth for depth in (1, 2, 4)}).holds
    assert ch02.influence_walks.outcome().holds


def test_multiplications_are_those_on_paper() -> None:
    net = ConvolutionalNetwork(
        (1, 12, 32), 10, size=28, kernel_size=5, strides=(2, 1), padding_mode="circular", head="max"
    )
    assert count_multiplications(net, torch.zeros(1, 1, 28, 28)) == 14**2 * 25 * (12 + 12 * 32) + 320
    assert count_multiplications(FullyConnected((784, 13, 10)), torch.zeros(1, 1, 28, 28)) == 13 * (784 + 10)

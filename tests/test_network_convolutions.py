"""Convolutions: sliding filter, constrained matrix and PyTorch agree, and what should commute commutes."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from gdl_lab.networks import (
    ConvolutionalNetwork,
    GraphConvolution,
    constrained_weights,
    correlate,
    shift_equivariance_error,
    translate,
)
from gdl_lab.networks.convolutional import PADDINGS
from tests.drawn_networks import randomised

# Convolution as a sliding filter and as a constrained matrix


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    k = draw(st.sampled_from([1, 3, 5]))
    m, n, batch = (draw(st.integers(1, 3)) for _ in range(3))
    height, width = (draw(st.integers(k, 7)) for _ in range(2))
    g = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    return (
        torch.randn(m, n, k, k, generator=g, dtype=torch.float64),
        torch.randn(batch, n, height, width, generator=g, dtype=torch.float64),
    )


def torchs(kernel: Tensor, f: Tensor, padding: str) -> Tensor:
    r = kernel.shape[-1] // 2
    if padding == "circular":
        return F.conv2d(F.pad(f, (r, r, r, r), mode="circular"), kernel)
    return F.conv2d(f, kernel, padding=0 if padding == "valid" else r)


@pytest.mark.parametrize("padding", PADDINGS)
@given(convolutions())
def test_the_sliding_filter_is_pytorchs_convolution(padding: str, pair: tuple[Tensor, Tensor]) -> None:
    kernel, f = pair
    wanted = torchs(kernel, f, padding)
    given_ = correlate(kernel, f, padding=padding)
    assert given_.shape == wanted.shape
    assert (given_ - wanted).abs().max() < 1e-12
    if kernel.shape[-1] > 1:  # a convolution in the strict sense, with the kernel turned, is something else
        assert (correlate(kernel.flip(-1, -2), f, padding=padding) - wanted).abs().max() > 1e-6


@pytest.mark.parametrize("padding", PADDINGS)
@given(convolutions())
def test_the_sliding_filter_is_multiplication_by_the_constrained_matrix(
    padding: str, pair: tuple[Tensor, Tensor]
) -> None:
    kernel, f = pair
    z = correlate(kernel, f, padding=padding)
    w = constrained_weights(kernel, *f.shape[2:], padding=padding)
    assert w.shape == (z[0].numel(), f[0].numel())
    assert (f.flatten(1) @ w.T - z.flatten(1)).abs().max() < 1e-12


@pytest.mark.parametrize("padding", PADDINGS)
def test_entries_of_the_constrained_matrix_depend_on_y_minus_x_alone(seed: int, padding: str) -> None:
    g = torch.Generator().manual_seed(seed)
    m, n, k, height, width = 2, 3, 3, 5, 6
    kernel = torch.randn(m, n, k, k, generator=g, dtype=torch.float64)
    w = constrained_weights(kernel, height, width, padding=padding).numpy()
    r = 1 if padding == "valid" else 0
    xs = list(itertools.product(range(r, height - r), range(r, width - r)))
    ys = list(itertools.product(range(height), range(width)))
    entries: dict[tuple[int, ...], set[float]] = {}
    for (i, (a, x)), (j, (b, y)) in itertools.product(
        enumerate(itertools.product(range(m), xs)), enumerate(itertools.product(range(n), ys))
    ):
        d = (y[0] - x[0], y[1] - x[1])
        if padding == "circular":
            d = (d[0] % height, d[1] % width)
        entries.setdefault((a, b, *d), set()).add(float(w[i, j]))
    assert all(len(values) == 1 for values in entries.values())
    distinct = set().union(*entries.values())
    assert distinct - {0.0} == set(kernel.flatten().tolist())
    assert len(distinct - {0.0}) == kernel.numel()
    assert 0.0 in distinct


def test_a_matrix_that_commutes_with_translations_is_a_convolution_and_an_unconstrained_one_is_not(
    rng: torch.Generator,
) -> None:
    kernel = torch.randn(1, 1, 3, 3, generator=rng, dtype=torch.float64)
    constrained = constrained_weights(kernel, 5, 4, padding="circular")
    unconstrained = torch.randn(20, 20, generator=rng, dtype=torch.float64)
    zeros = constrained_weights(kernel, 5, 4, padding="zeros")
    for shift in itertools.product(range(5), range(4)):
        t = translate(torch.eye(20).double().reshape(20, 5, 4), shift).reshape(20, 20).T
        assert (constrained @ t - t @ constrained).abs().max() == 0
        if shift != (0, 0):
            assert (unconstrained @ t - t @ unconstrained).abs().max() > 0.1
            assert (zeros @ t - t @ zeros).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("kernel", "f", "sentence"),
    [
        ((1, 1, 2, 2), (1, 1, 5, 5), "a square kernel of odd size, got 2×2"),
        ((1, 1, 3, 1), (1, 1, 5, 5), "a square kernel of odd size, got 3×1"),
        ((1, 2, 3, 3), (1, 1, 5, 5), r"expected pictures of shape \(batch, 2, height, width\), got \(1, 1, 5, 5\)"),
        ((1, 1, 3, 3), (1, 5, 5), r"expected pictures of shape \(batch, 1, height, width\), got \(1, 5, 5\)"),
        ((1, 1, 5, 5), (1, 1, 4, 9), "the 5×5 kernel is larger than the picture of 4×9"),
    ],
)
@pytest.mark.parametrize("padding", PADDINGS)
def test_kernels_that_do_not_fit_are_refused(
    padding: str, kernel: tuple[int, ...], f: tuple[int, ...], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        correlate(torch.ones(kernel), torch.ones(f), padding=padding)


def test_kernels_that_do_not_fit_have_no_matrix() -> None:
    for k in (2, 5):
        with pytest.raises(ValueError, match=f"odd size within 4×9, got {k}×{k}"):
            constrained_weights(torch.ones(1, 1, k, k), 4, 9)


def test_an_unknown_padding_is_refused() -> None:
    for refused in (
        lambda: constrained_weights(torch.ones(1, 1, 3, 3), 4, 4, padding="same"),
        lambda: correlate(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 4, 4), padding="same"),
    ):
        with pytest.raises(ValueError, match="unknown padding 'same': expected one of valid, zeros, circular"):
            refused()


@pytest.mark.parametrize("padding", PADDINGS)
def test_derivatives_pass_gradcheck(rng: torch.Generator, padding: str) -> None:
    kernel = torch.randn(2, 2, 3, 3, generator=rng, dtype=torch.float64, requires_grad=True)
    f = torch.randn(1, 2, 4, 3, generator=rng, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda k, f: correlate(k, f, padding=padding), (kernel, f))
    assert torch.autograd.gradcheck(lambda k: constrained_weights(k, 4, 3, padding=padding), (kernel,))


# Equivariance


@pytest.mark.parametrize("shift", [(0, 1), (2, 3), (-1, 4)])
def test_only_the_circular_filter_of_stride_one_commutes_with_shifts(seed: int, shift: tuple[int, int]) -> None:
    g = torch.Generator().manual_seed(seed)
    f = torch.randn(4, 2, 8, 8, generator=g, dtype=torch.float64)
    kernel = torch.randn(3, 2, 3, 3, generator=g, dtype=torch.float64)

    def circular(f: Tensor) -> Tensor:
        return correlate(kernel, f, padding="circular")

    def zeros(f: Tensor) -> Tensor:
        return correlate(kernel, f, padding="zeros")

    error = shift_equivariance_error
    assert error(circular, f, shift) == 0
    assert error(lambda f: torch.relu(circular(f)), f, shift) == 0
    assert error(zeros, f, shift) > 0.05
    assert error(lambda f: circular(f)[..., ::2, ::2], f, shift, stride=2) > 0.05
    assert error(lambda f: F.max_pool2d(circular(f), 2), f, shift, stride=2) > 0.05
    even = (2 * shift[0], 2 * shift[1])
    assert error(lambda f: circular(f)[..., ::2, ::2], f, even, stride=2) == 0
    assert error(lambda f: F.max_pool2d(circular(f), 2), f, even, stride=2) == 0


def test_zero_padding_is_felt_along_the_border_alone(seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    f = torch.randn(2, 1, 9, 9, generator=g, dtype=torch.float64)
    kernel = torch.randn(1, 1, 3, 3, generator=g, dtype=torch.float64)
    errors = [
        shift_equivariance_error(lambda f: correlate(kernel, f, padding="zeros"), f, (1, 0), margin=m)
        for m in (0, 1, 2)
    ]
    assert errors[0] > 0.01
    assert errors[1] > 1e-3  # the row beside the border reads, after the shift, what came in from the other side
    assert errors[2] == 0


def test_the_relative_error_is_that_of_the_definition(seed: int) -> None:
    f = torch.randn(2, 1, 6, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    mask = torch.arange(36.0).reshape(6, 6).double()
    difference = mask * f.roll((1, 2), (-2, -1)) - (mask * f).roll((1, 2), (-2, -1))
    wanted = float(difference.norm() / (mask * f).norm())
    assert shift_equivariance_error(lambda f: mask * f, f, (1, 2)) == pytest.approx(wanted, rel=1e-12)


def test_an_error_that_is_not_defined_is_refused() -> None:
    f = torch.ones(1, 1, 4, 4)
    with pytest.raises(ValueError, match=r"a margin of 2 leaves nothing of an output of shape \(1, 1, 4, 4\)"):
        shift_equivariance_error(lambda f: f, f, (1, 0), margin=2)
    with pytest.raises(ValueError, match="output vanishes"):
        shift_equivariance_error(lambda f: 0 * f, f, (1, 0))


def test_translate_moves_the_picture_along_the_shift() -> None:
    f = torch.zeros(1, 1, 4, 5)
    f[0, 0, 1, 2] = 1
    assert translate(f, (1, -2))[0, 0, 2, 0] == 1
    assert translate(translate(f, (1, 3)), (2, 1)).equal(translate(f, (3, 4)))


# Convolutional networks


def test_a_mean_head_on_a_torus_is_invariant_and_a_flat_one_is_not(rng: torch.Generator) -> None:
    x = torch.randn(3, 1, 8, 8, generator=rng, dtype=torch.float64)
    outputs = {}
    for head, mode in itertools.product(("mean", "flatten"), ("circular", "zeros")):
        net = randomised(ConvolutionalNetwork([1, 4, 6], 5, size=8, padding_mode=mode, head=head), rng)  # type: ignore[arg-type]
        outputs[head, mode] = (net(translate(x, (3, 2))) - net(x)).abs().max()
    assert outputs["mean", "circular"] < 1e-12
    assert all(error > 1e-3 for key, error in outputs.items() if key != ("mean", "circular"))


@pytest.mark.parametrize("size", [7, 8, 9])
@pytest.mark.parametrize("strides", [None, (1, 2), (2, 2), (3, 1)])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_every_size_and_stride_fits_its_readout(size: int, strides: tuple[int, int] | None, kernel_size: int) -> None:
    net = ConvolutionalNetwork([1, 2, 3], 4, size=size, strides=strides, kernel_size=kernel_size)
    assert net(torch.ones(2, 1, size, size)).shape == (2, 4)


def test_the_network_is_convolutions_relu_and_a_readout(rng: torch.Generator) -> None:
    net = randomised(ConvolutionalNetwork([1, 2, 3], 4, size=5), rng)
    x = torch.randn(2, 1, 5, 5, generator=rng, dtype=torch.float64)
    z = x
    for conv in net.features[::2]:
        z = correlate(conv.weight, z, padding="zeros") + conv.bias[:, None, None]
        z = torch.where(z > 0, z, 0)
    wanted = z.reshape(2, -1) @ net.readout.weight.T + net.readout.bias
    assert (net(x) - wanted).abs().max() < 1e-12


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"channels": [1]}, "expected one stride for each of 0 layers"),
        ({"channels": [1, 2], "strides": (1, 2)}, "expected one stride for each of 1 layers, got 2"),
        ({"channels": [1, 2], "kernel_size": 4}, "expected an odd kernel size, got 4"),
        ({"channels": [1, 2], "head": "median"}, "unknown head 'median': expected flatten"),
        ({"channels": [1, 2], "padding_mode": "torus"}, "padding_mode"),
    ],
)
def test_impossible_networks_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ConvolutionalNetwork(outputs=3, size=8, **options)


# Graphs


def torus(height: int, width: int) -> Tensor:
    """Adjacency of the grid graph on a torus."""
    adjacency = torch.zeros(height * width, height * width)
    for i, j in itertools.product(range(height), range(width)):
        for di, dj in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            adjacency[i * width + j, (i + di) % height * width + (j + dj) % width] = 1
    return adjacency


def test_a_graph_convolution_commutes_with_relabelling_nodes(rng: torch.Generator) -> None:
    upper = (torch.rand(7, 7, generator=rng) < 0.5).triu(1)
    adjacency = (upper | upper.T).long()
    order = torch.randperm(7, generator=rng)
    layer = randomised(GraphConvolution(3, 2, adjacency), rng)
    relabelled = GraphConvolution(3, 2, adjacency[order][:, order]).double()
    relabelled.load_state_dict({**layer.state_dict(), "adjacency": relabelled.adjacency})
    f = torch.randn(4, 7, 3, generator=rng, dtype=torch.float64)
    assert (relabelled(f[:, order]) - layer(f)[:, order]).abs().max() < 1e-12
    cycle, turned = torch.roll(torch.eye(7), 1, 0), torch.tensor([1, 0, 2, 3, 4, 5, 6])
    fixed = randomised(GraphConvolution(3, 2, cycle + cycle.T), rng)  # a graph that the relabelling does not preserve
    assert (fixed(f[:, turned]) - fixed(f)[:, turned]).abs().max() > 1e-3


def test_on_the_grid_graph_it_is_a_convolution_with_a_cross_of_equal_arms(rng: torch.Generator) -> None:
    layer = randomised(GraphConvolution(3, 2, torus(5, 4)), rng)
    cross = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]).double()
    centre = torch.zeros(3, 3).double()
    centre[1, 1] = 1
    kernel = layer.neighbours.weight[..., None, None] * cross + layer.itself.weight[..., None, None] * centre
    f = torch.randn(2, 3, 5, 4, generator=rng, dtype=torch.float64)
    wanted = correlate(kernel, f, padding="circular") + layer.itself.bias[:, None, None]
    given_ = layer(f.flatten(2).mT).mT.reshape(2, 2, 5, 4)
    assert (given_ - wanted).abs().max() < 1e-12


def test_derivatives_of_a_graph_convolution_pass_gradcheck(rng: torch.Generator) -> None:
    layer = randomised(GraphConvolution(2, 2, torch.ones(3, 3)), rng)
    f = torch.randn(1, 3, 2, generator=rng, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (f,))


@pytest.mark.parametrize("adjacency", [torch.ones(3), torch.ones(2, 3), torch.ones(3, 3).triu()])
def test_a_matrix_that_is_no_adjacency_is_refused(adjacency: Tensor) -> None:
    with pytest.raises(ValueError, match="expected a symmetric adjacency matrix"):
        GraphConvolution(1, 1, adjacency)

"""The talk's networks: the formulas hold, the regions are all regions, and what should commute commutes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from gdl_lab import runtime
from gdl_lab.networks import (
    ConvolutionalNetwork,
    FullyConnected,
    GraphConvolution,
    Region,
    constrained_weights,
    correlate,
    count_parameters,
    linear_regions,
    loss_and_gradients,
    propagate_variance,
    shift_equivariance_error,
    tent,
    translate,
)

PADDINGS = ("valid", "zeros", "circular")


def randomised(net: Any, rng: torch.Generator) -> Any:
    """The network in float64 with every parameter drawn, biases too."""
    net = net.double()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=rng, dtype=p.dtype) / max(1, p.shape[-1]) ** 0.5)
    return net


# Fully connected networks


@pytest.mark.parametrize("relu_on_output", [False, True])
@pytest.mark.parametrize("widths", [[3, 2], [3, 5, 2], [3, 4, 5, 6, 2]])
def test_a_fully_connected_network_is_the_formula(
    rng: torch.Generator, widths: list[int], relu_on_output: bool
) -> None:
    net = randomised(FullyConnected(widths, relu_on_output=relu_on_output), rng)
    net.linear_layers()[-1].bias.data[0] = -100.0  # an output that is negative if it may
    x = torch.randn(40, 3, generator=rng, dtype=torch.float64)
    z = x.numpy()
    for j, (w, b) in enumerate(net.weights(), 1):
        z = np.einsum("ij,bj->bi", w.detach().numpy(), z) + b.detach().numpy()
        if j < len(widths) - 1 or relu_on_output:
            z = np.where(z > 0, z, 0)
    assert np.abs(net(x).detach().numpy() - z).max() < 1e-12
    assert (net(x).min() >= 0) == relu_on_output


def test_pictures_are_flattened_row_by_row(rng: torch.Generator) -> None:
    net = FullyConnected([12, 4])
    x = torch.randn(5, 1, 3, 4, generator=rng)
    assert torch.equal(net(x), net(x.reshape(5, 12)))


def test_initial_weights_keep_the_size_of_a_signal() -> None:
    torch.manual_seed(0)
    net = FullyConnected([400, 400, 400])
    for w, b in net.weights():
        assert float(w.detach().var()) == pytest.approx(2 / 400, rel=0.03)
        assert not b.any()


def test_parameters_are_counted_by_hand() -> None:
    assert count_parameters(FullyConnected([3, 5, 2])) == 3 * 5 + 5 + 5 * 2 + 2
    frozen = FullyConnected([3, 5, 2])
    frozen.linear_layers()[0].bias.requires_grad_(False)
    assert count_parameters(frozen) == 3 * 5 + 5 * 2 + 2


@pytest.mark.parametrize("widths", [[], [3], [3, 0], [0, 2], [3, -1, 2]])
def test_impossible_widths_are_refused(widths: list[int]) -> None:
    with pytest.raises(ValueError, match="expected the positive dimensions of input, hidden layers and output, got"):
        FullyConnected(widths)


@pytest.mark.parametrize("shape", [(3,), (5, 2), (5, 4), (5, 3, 2), ()])
def test_inputs_of_the_wrong_dimension_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected a batch of inputs of dimension 3, got shape \("):
        FullyConnected([3, 2])(torch.zeros(shape))


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "build",
    [
        lambda: FullyConnected([16, 4, 2]),
        lambda: ConvolutionalNetwork([1, 2], 3, size=4),
        lambda: GraphConvolution(4, 2, torch.ones(4, 4, dtype=torch.int64)),
    ],
)
def test_networks_keep_dtype_and_device_of_their_input(build: Callable[[], nn.Module], kind: torch.dtype) -> None:
    net = build().to(kind)
    x = torch.ones(2, 4, 4) if isinstance(net, GraphConvolution) else torch.ones(2, 1, 4, 4)
    assert net(x.to(kind)).dtype == kind
    # "meta" tensors have a device and no values: whatever was made on the CPU in between raises
    assert net.to("meta")(x.to(kind).to("meta")).device.type == "meta"


def test_functions_keep_dtype_and_device_of_their_input() -> None:
    for kind, place in itertools.product((torch.float32, torch.float64), ("cpu", "meta")):
        made: dict[str, Any] = {"dtype": kind, "device": place}
        kernel, f = torch.ones(2, 1, 3, 3, **made), torch.ones(2, 1, 5, 4, **made)
        weights, x, y = (
            [(torch.ones(1, 2, **made), torch.ones(1, **made))],
            torch.ones(3, 2, **made),
            torch.ones(3, 1, **made),
        )
        results = [translate(f, (1, 2)), loss_and_gradients(weights, x, y)[0], *loss_and_gradients(weights, x, y)[1][0]]
        for padding in PADDINGS:
            results.append(correlate(kernel, f, padding=padding))
            if place == "cpu" or padding != "valid":  # which y lie inside is a question of values, which "meta" has not
                results.append(constrained_weights(kernel, 5, 4, padding=padding))
        assert all(t.dtype == kind and t.device.type == place for t in results)


# Backpropagation


@pytest.mark.parametrize("widths", [[3, 2], [3, 5, 1], [4, 7, 6, 5, 3]])
def test_backpropagation_by_hand_is_autograds_gradient(rng: torch.Generator, widths: list[int]) -> None:
    net = randomised(FullyConnected(widths), rng)
    x = torch.randn(20, widths[0], generator=rng, dtype=torch.float64)
    y = torch.randn(20, widths[-1], generator=rng, dtype=torch.float64)
    error = (net(x) - y).square().sum()
    wanted = torch.autograd.grad(error, [t for pair in net.weights() for t in pair])
    with torch.no_grad():
        value, pairs = loss_and_gradients(net.weights(), x, y)
    assert abs(value - error) <= 1e-12 * error
    for given_, autograd in zip([t for pair in pairs for t in pair], wanted, strict=True):
        assert given_.shape == autograd.shape
        assert (given_ - autograd).norm() <= 1e-12 * autograd.norm()


def test_backpropagation_by_hand_is_the_difference_quotient(rng: torch.Generator) -> None:
    """Independent of autograd: the change of the error along a random direction."""
    net = randomised(FullyConnected([3, 6, 2]), rng)
    weights = [(w.detach(), b.detach()) for w, b in net.weights()]
    x = torch.randn(10, 3, generator=rng, dtype=torch.float64)
    y = torch.randn(10, 2, generator=rng, dtype=torch.float64)
    _, gradients = loss_and_gradients(weights, x, y)
    v = [tuple(torch.randn(t.shape, generator=rng, dtype=t.dtype) for t in pair) for pair in weights]

    def error(h: float) -> float:
        moved = [(w + h * dw, b + h * db) for (w, b), (dw, db) in zip(weights, v, strict=True)]
        return float(loss_and_gradients(moved, x, y)[0])

    slope = sum(
        float((g * d).sum()) for pair, dirs in zip(gradients, v, strict=True) for g, d in zip(pair, dirs, strict=True)
    )
    assert (error(1e-7) - error(-1e-7)) / 2e-7 == pytest.approx(slope, rel=1e-5, abs=1e-4)


def test_targets_of_another_shape_are_refused_not_broadcast() -> None:
    with pytest.raises(ValueError, match=r"expected targets of shape \(5, 1\), got \(5,\)"):
        loss_and_gradients([(torch.ones(1, 2), torch.ones(1))], torch.ones(5, 2), torch.ones(5))


@pytest.mark.parametrize("padding", PADDINGS)
def test_derivatives_pass_gradcheck(rng: torch.Generator, padding: str) -> None:
    kernel = torch.randn(2, 2, 3, 3, generator=rng, dtype=torch.float64, requires_grad=True)
    f = torch.randn(1, 2, 4, 3, generator=rng, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda k, f: correlate(k, f, padding=padding), (kernel, f))
    assert torch.autograd.gradcheck(lambda k: constrained_weights(k, 4, 3, padding=padding), (kernel,))
    graph = randomised(GraphConvolution(2, 2, torch.ones(3, 3)), rng)
    signal = torch.randn(1, 3, 2, generator=rng, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(graph, (signal,))


# Size of a signal through depth


def spread(gain: float, depth: int = 30, width: int = 512, **options: Any) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return propagate_variance(depth, width=width, gain=gain, batch=64, generator=generator, **options)


def test_gain_two_keeps_the_size_of_a_signal_and_gain_one_halves_it_in_every_layer() -> None:
    kept, halved = spread(2.0), spread(1.0)
    assert kept.shape == (31,)
    assert kept.dtype == torch.float64
    assert kept[0] == halved[0] == 1
    assert 0.4 < kept.min() <= kept.max() < 2.5
    assert ((halved.log2() + torch.arange(31)).abs() < 1).all()
    assert halved[-1] < 1e-8


@pytest.mark.parametrize("gain", [1.0, 2.0, 3.0])
def test_residual_layers_tend_to_a_finite_growth(gain: float) -> None:
    sizes = spread(gain, depth=60, width=256, kind="residual")
    assert float(sizes[-1]) == pytest.approx(math.exp(gain / 2), rel=0.12)
    assert float(sizes[30]) == pytest.approx(math.exp(gain / 4), rel=0.12)


@pytest.mark.parametrize("gain", [0.3, 1.0, 9.0])
def test_normalised_layers_have_mean_square_one(gain: float) -> None:
    sizes = spread(gain, width=128, kind="normalised")
    assert (sizes[1:] / sizes[1] - 1).abs().max() < 1e-12


def test_the_generator_decides_the_draws() -> None:
    assert torch.equal(spread(2.0, depth=2), spread(2.0, depth=2))
    other = propagate_variance(2, width=512, batch=64, generator=torch.Generator().manual_seed(1))
    assert not torch.equal(spread(2.0, depth=2), other)


# The saw


@pytest.mark.parametrize("depth", range(1, 9))
def test_the_tent_network_is_the_iterated_tent_map_with_two_to_the_depth_pieces(depth: int) -> None:
    net, pieces = tent(depth), 2**depth
    corners = torch.arange(pieces + 1, dtype=torch.float64)[:, None] / pieces
    with torch.no_grad():
        assert torch.equal(net(corners).flatten(), torch.arange(pieces + 1, dtype=torch.float64) % 2)
        x = torch.linspace(0, 1, 8 * pieces + 1, dtype=torch.float64)
        y = net(x[:, None]).flatten()
        iterated = x
        for _ in range(depth):
            iterated = torch.where(iterated < 0.5, 2 * iterated, 2 - 2 * iterated)
    assert torch.equal(y, iterated)
    slopes = y.diff() / x.diff()
    assert int((slopes.diff().abs() > 1e-6).sum()) + 1 == pieces
    assert (slopes.abs() - pieces).abs().max() < 1e-6
    assert set(net.widths[1:-1]) == {2}


def test_a_depth_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="depth is at least 1, got 0"):
        tent(0)


# Linear regions


BOX = (-1.0, 1.5, -2.0, 1.0)


def depth(region: Region, points: Tensor) -> Tensor:
    """Signed distance of points to the border of a convex polygon, positive inside."""
    a, b = region.corners, region.corners.roll(-1, 0)
    edge = b - a
    long = edge.norm(dim=1) > 1e-12
    a, edge = a[long], edge[long] / edge[long].norm(dim=1, keepdim=True)
    return (edge[:, 0] * (points[:, None, 1] - a[:, 1]) - edge[:, 1] * (points[:, None, 0] - a[:, 0])).min(1).values


def random_points(rng: torch.Generator, n: int, box: tuple[float, ...] = BOX) -> Tensor:
    low, size = torch.tensor([box[0], box[2]]).double(), torch.tensor([box[1] - box[0], box[3] - box[2]]).double()
    return low + size * torch.rand(n, 2, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("relu_on_output", [False, True])
@pytest.mark.parametrize("widths", [[2, 1], [2, 7, 1], [2, 6, 6, 2], [2, 5, 4, 3, 1]])
def test_regions_tile_the_box_and_the_network_is_affine_on_each(
    rng: torch.Generator, widths: list[int], relu_on_output: bool
) -> None:
    net = randomised(FullyConnected(widths, relu_on_output=relu_on_output), rng)
    regions = linear_regions(net, BOX)
    assert sum(region.area for region in regions) == pytest.approx(2.5 * 3.0, rel=1e-12)
    points = random_points(rng, 1000)
    inside = torch.stack([depth(region, points) for region in regions])
    clear = inside.abs().min(0).values > 1e-9  # not on a border
    assert clear.sum() > 990
    assert ((inside[:, clear] > 0).sum(0) == 1).all()
    home = inside.argmax(0)
    affine = torch.stack([regions[k].A @ x + regions[k].b for k, x in zip(home.tolist(), points, strict=True)])
    with torch.no_grad():
        wanted = net(points)
    assert (affine - wanted)[clear].abs().max() <= 1e-12


def test_the_map_of_a_neighbour_is_not_that_of_the_region() -> None:
    """Negative control of the test above, on a network that is not flat."""
    rng = torch.Generator().manual_seed(0)
    net = randomised(FullyConnected([2, 7, 1]), rng)
    regions = linear_regions(net, BOX)
    for one, other in itertools.pairwise(regions):
        x = one.corners.mean(0)
        with torch.no_grad():
            assert (one.A @ x + one.b - net(x[None])[0]).abs().max() < 1e-12
            assert (other.A @ x + other.b - net(x[None])[0]).abs().max() > 1e-4


@pytest.mark.parametrize("widths", [[2, 7, 1], [2, 6, 6, 2], [2, 5, 4, 3, 1]])
def test_every_region_is_a_convex_polygon_with_corners_in_order(rng: torch.Generator, widths: list[int]) -> None:
    for region in linear_regions(randomised(FullyConnected(widths), rng), BOX):
        centre = region.corners.mean(0)
        assert (depth(region, torch.cat([region.corners, centre[None]])) > -1e-9).all()
        assert region.area > 0


def arrangement(w: np.ndarray, b: np.ndarray, box: tuple[float, ...]) -> int:
    """Number of pieces that the lines w_i·x + b_i = 0 in general position cut a rectangle into.

    One, and one more for every line that meets the rectangle, and one more for every crossing inside it.
    """
    left, right, bottom, top = box
    corners = np.array([[left, bottom], [right, bottom], [right, top], [left, top]])
    heights = corners @ w.T + b
    meeting = int(((heights.min(0) < 0) & (heights.max(0) > 0)).sum())
    crossings = 0
    for i, j in itertools.combinations(range(len(w)), 2):
        x, y = np.linalg.solve(w[[i, j]], -b[[i, j]])
        crossings += left < x < right and bottom < y < top
    return 1 + meeting + crossings


@pytest.mark.parametrize("width", [1, 2, 5, 12])
def test_one_hidden_layer_cuts_as_many_regions_as_its_lines(rng: torch.Generator, width: int) -> None:
    for _ in range(5):
        net = randomised(FullyConnected([2, width, 1]), rng)
        w, b = (t.detach().numpy() for t in net.weights()[0])
        assert len(linear_regions(net, BOX)) == arrangement(w, b, BOX)


def test_the_count_of_an_arrangement_is_right_where_it_is_known() -> None:
    """Negative control of the count itself: three lines make 7 pieces, parallel ones none more than themselves."""
    w, b = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.array([0.0, 0.0, 0.5])
    assert arrangement(w, b, BOX) == 7
    assert arrangement(np.array([[1.0, 0.0], [1.0, 1e-9]]), np.array([0.0, 0.5]), BOX) == 3
    assert arrangement(np.array([[1.0, 0.0]]), np.array([9.0]), BOX) == 1


def test_lines_through_one_point_and_through_corners_are_cut_without_slivers() -> None:
    net = FullyConnected([2, 4, 1]).double()
    with torch.no_grad():
        net.weights()[0][0].copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -1.0]]))
    regions = linear_regions(net)
    assert len(regions) == 8
    assert [region.area for region in regions] == pytest.approx([0.5] * 8)


@pytest.mark.parametrize("lines", [2, 3, 6])
def test_lines_through_a_point_that_floats_do_not_hit_make_no_slivers(rng: torch.Generator, lines: int) -> None:
    net = FullyConnected([2, lines, 1]).double()
    angles = (torch.arange(lines) + 0.2 + 0.6 * torch.rand(lines, generator=rng)) * math.pi / lines
    with torch.no_grad():
        w, b = net.weights()[0]
        w.copy_(torch.stack([angles.cos(), angles.sin()], 1))
        b.copy_(-(w @ torch.tensor([0.1, 0.3]).double()))
    assert len(linear_regions(net, BOX)) == 2 * lines


def test_a_dead_network_is_one_region_and_a_shadowed_unit_cuts_nothing_of_its_own() -> None:
    net = FullyConnected([2, 3, 1]).double()
    with torch.no_grad():
        net.weights()[0][0].zero_()
        net.weights()[0][1].fill_(-1.0)
    (only,) = linear_regions(net)
    assert not only.A.any()
    doubled = FullyConnected([2, 2, 1]).double()
    with torch.no_grad():
        doubled.weights()[0][0].copy_(torch.tensor([[1.0, 2.0], [2.0, 4.0]]))
    assert len(linear_regions(doubled)) == 2


def test_deeper_networks_of_equal_size_cut_more_regions() -> None:
    saw = tent(4)
    net = FullyConnected([2, *[2] * 4, 1]).double()
    with torch.no_grad():
        for (w, b), (v, c) in zip(net.weights(), saw.weights(), strict=True):
            w.copy_(torch.cat([v, torch.zeros_like(v)], 1) if v.shape[1] == 1 else v)
            b.copy_(c)
    slopes = {round(float(r.A[0, 0])) for r in linear_regions(net, (0, 1, 0, 1))}
    assert len(linear_regions(net, (0, 1, 0, 1))) == 16 > 1 + 4 * 2  # 8 units in one layer give 9 parallel stripes
    assert slopes == {16, -16}


def test_networks_and_boxes_without_regions_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a network with two inputs, got 3"):
        linear_regions(FullyConnected([3, 4, 1]))
    for value in (math.nan, math.inf):
        net = FullyConnected([2, 4, 1])
        net.weights()[0][1].data[2] = value
        with pytest.raises(ValueError, match="NaN or infinity"):
            linear_regions(net)
    for box in ((1, -1, -1, 1), (-1, 1, 0, 0), (-1, math.inf, 0, 1), (math.nan, 1, 0, 1)):
        with pytest.raises(ValueError, match="expected finite x_min < x_max"):
            linear_regions(FullyConnected([2, 4, 1]), box)


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
    for refused in (
        lambda: constrained_weights(torch.ones(1, 1, 3, 3), 4, 4, padding="same"),
        lambda: correlate(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 4, 4), padding="same"),
    ):
        with pytest.raises(ValueError, match="unknown padding 'same': expected one of valid, zeros, circular"):
            refused()


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
    assert errors[0] > 0.05
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


@pytest.mark.parametrize("adjacency", [torch.ones(3), torch.ones(2, 3), torch.ones(3, 3).triu()])
def test_a_matrix_that_is_no_adjacency_is_refused(adjacency: Tensor) -> None:
    with pytest.raises(ValueError, match="expected a symmetric adjacency matrix"):
        GraphConvolution(1, 1, adjacency)


def test_fresh_seeds_reach_the_checks(seed: int) -> None:
    assert 0 <= seed < 2**32
    assert seed != runtime.fresh_seed()

"""Linear regions: they tile the box, are all there, and the network is affine on each."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from gdl_lab.networks import FullyConnected, Region, linear_regions, tent
from tests.drawn_networks import randomised

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

"""The layers of a flow on a bare page: the talk's sum, both directions of one point, and dragging."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gdl_lab.widgets import FlowLayers
from gdl_lab.widgets.flow import at_level

from . import driver
from .cases import planar_data, random_flow
from .conftest import OpenPage, call
from .driver import Watched

pytestmark = pytest.mark.slow


def test_the_table_adds_up_to_the_determinant(page: OpenPage) -> None:
    """The column s holds the terms of the talk's sum: up to every level they add up to log|det| by autograd."""
    watched, widget = page(), FlowLayers(random_flow(5, 6), planar_data(), layer=6.0)
    (root,) = driver.host(watched, widget)
    cells = [row.split("\t") for row in root.locator("tbody").inner_text().replace("−", "-").splitlines()]
    assert [row[1] for row in cells] == ["2nd", "1st"] * 3
    s, sums = (np.array([float(row[k]) for row in cells]) for k in (2, 3))
    assert np.abs(np.cumsum(s) - sums).max() < 4e-3  # each is rounded to three decimals
    assert abs(sums[-1] - widget.readout()["log_det"]) < 6e-4
    assert np.abs(s).max() > 0.01  # control: the flow does something
    for level in (1, 3, 6):
        assert abs(sums[level - 1] - widget.readout(layer=float(level))["log_det"]) < 6e-4


def test_turning_keeps_the_point(page: OpenPage) -> None:
    watched, widget = page(), FlowLayers(random_flow(6), planar_data(), layer=2.0)
    (root,) = driver.host(watched, widget)
    before, start = driver.numbers(root), driver.settings(root)["point"]
    driver.put(root, "direction", "pull")
    after, x = driver.numbers(root), driver.settings(root)["point"]
    expected = widget.to_flow().push(torch.tensor([start], dtype=torch.float64))[0]
    assert np.allclose(x, expected.tolist(), rtol=1e-9)
    assert np.allclose([after[k] for k in ("x", "y", "log_q")], [before[k] for k in ("x", "y", "log_q")], rtol=1e-9)
    assert before["log_det"] != after["log_det"]  # one counts from Z, the other from X
    driver.put(root, "direction", "push")
    assert np.allclose(driver.settings(root)["point"], start, atol=1e-9)


@pytest.mark.parametrize("direction", ["push", "pull"])
def test_dragging_puts_the_point_under_the_pointer(page: OpenPage, direction: str) -> None:
    """Wherever the point is put on a level, its start is the one that the flow takes there."""
    watched, widget = page(), FlowLayers(random_flow(7), planar_data(), layer=2.5, direction=direction)
    (root,) = driver.host(watched, widget)
    box = root.locator("canvas").first.bounding_box()
    assert box is not None
    seen = []
    for share in (0.4, 0.55):
        watched.page.mouse.move(box["x"] + share * box["width"], box["y"] + 0.45 * box["height"], steps=2)
        watched.page.mouse.down() if share == 0.4 else watched.page.mouse.up()
        shown, point = driver.numbers(root), driver.settings(root)["point"]
        start = torch.tensor([point], dtype=torch.float64)
        flow = widget.to_flow()
        here = at_level(flow, start if direction == "push" else flow.pull(start), 2.5)[0]
        assert np.allclose([shown["x"], shown["y"]], here.tolist(), atol=1e-6)
        seen.append((shown["x"], shown["y"]))
    (x0, y0), (x1, y1) = seen
    assert x1 - x0 > 0.1  # it went right, by 0.15 of the side of a picture that is some units wide
    assert abs(y1 - y0) < 1e-6
    watched.page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.9 * box["height"])
    assert driver.numbers(root)["x"] == x1  # control: nothing is dragged any more


def test_the_picture_holds_nearly_all_points(blank: Watched) -> None:
    points = [[0.0, 1.0, *[0.5] * 98], [0.0, 4.0, *[2.0] * 98], [8.0, *[1.0] * 99]]
    reaches = call(blank, "flow_layers", "js.reaches([{points: args[0].map((p) => Float64Array.from(p))}])", points)
    assert np.allclose(reaches, [0.575, 2.3, 1.15])
    between = call(blank, "flow_layers", "[0, 0.5, 2].map((l) => js.reachAt(args[0], l))", [1.0, 4.0, 3.0])
    assert np.allclose(between, [1.0, 2.0, 3.0])

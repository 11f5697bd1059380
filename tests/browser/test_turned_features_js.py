"""Turned features on a bare page: turning, convolutions and orientations against torch, and what a hand does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gdl_lab.runtime import fresh_seed
from gdl_lab.symmetry import C4, D4, rotate
from gdl_lab.widgets import TurnedFeatures

from . import driver
from .cases import WIDGETS
from .conftest import OpenPage, call
from .driver import Watched

pytestmark = pytest.mark.slow
MODULE = "turned_features"
PLAIN = "((m) => ({ values: [...m.values], count: m.count, side: m.side }))"


def drawn(*shape: int) -> Tensor:
    seed = fresh_seed()
    print(f"seed {seed}")
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def maps(x: Tensor) -> dict[str, Any]:
    return {"values": x.flatten().tolist(), "count": len(x), "side": x.shape[-1]}


def tensor(shown: dict[str, Any]) -> Tensor:
    side = shown["side"]
    return torch.tensor(shown["values"], dtype=torch.float64).view(shown["count"], side, side)


@pytest.mark.parametrize("side", [7, 8])
def test_turning_is_that_of_the_course(blank: Watched, side: int) -> None:
    x = drawn(2, side, side)
    for degrees in (0, 17, 90, 135, 180, 270, 301, 360):
        shown = tensor(call(blank, MODULE, f"{PLAIN}(js.turn(args[0], args[1]))", maps(x), degrees))
        expected = rotate(x[None], torch.tensor(degrees, dtype=torch.float64).deg2rad())[0]
        assert torch.allclose(shown, expected, atol=1e-12)
        if degrees % 90 == 0:
            assert torch.equal(shown, C4.on_pictures(degrees // 90 % 4, x))
    clockwise = tensor(call(blank, MODULE, f"{PLAIN}(js.turn(args[0], -17))", maps(x)))
    assert not torch.allclose(clockwise, rotate(x[None], torch.tensor(17.0).deg2rad())[0], atol=0.1)  # control


@pytest.mark.parametrize("side", [6, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_a_correlation_is_torchs(blank: Watched, k: int, stride: int, side: int) -> None:
    x, kernel, bias = drawn(3, side, side), drawn(2, 3, k, k), drawn(2)
    weights = torch.cat([torch.zeros(4), kernel.flatten(), bias]).tolist()
    layer = {"n": 2, "k": k, "at": 4}
    shown = tensor(call(blank, MODULE, f"{PLAIN}(js.correlate(...args))", maps(x), weights, layer, stride))
    assert torch.allclose(shown, F.conv2d(x, kernel, bias, stride=stride, padding=k // 2), atol=1e-12)


def test_pooling_is_torchs(blank: Watched) -> None:
    for side in (6, 7):
        x = drawn(8, side, side)
        shown = tensor(call(blank, MODULE, f"{PLAIN}(js.meanPool(args[0]))", maps(x)))
        assert torch.allclose(shown, F.avg_pool2d(x, 2), atol=1e-12)
        largest = tensor(call(blank, MODULE, f"{PLAIN}(js.pool(args[0], 4))", maps(x)))
        assert torch.equal(largest, x.unflatten(0, (2, 4)).amax(1))


def test_orientations_move_as_the_group_says(blank: Watched) -> None:
    for group in (C4, D4):
        x = drawn(2, len(group), 5, 5)
        for g in range(4):
            turned = C4.on_pictures(g, x)  # the planes are turned apart: `move` does the rest
            shown = tensor(call(blank, MODULE, f"{PLAIN}(js.move(args[0], 4, {g}))", maps(turned.flatten(0, 1))))
            assert torch.equal(shown.view_as(x), group.on_maps(g, x))
        quarter = tensor(call(blank, MODULE, f"{PLAIN}(js.move(args[0], 4, 0.25))", maps(x.flatten(0, 1)))).view_as(x)
        cycle = x.unflatten(1, (-1, 4))
        assert torch.allclose(quarter.view_as(cycle), 0.75 * cycle + 0.25 * cycle.roll(1, 2), atol=1e-12)


def test_right_angles_are_exact_and_hold_on_to_the_pointer(page: OpenPage) -> None:
    watched, widget = page(), TurnedFeatures(network="C4 lift")
    (root,) = driver.host(watched, widget)
    plot = root.locator("canvas").last
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None

    def press(degrees: float) -> None:
        watched.page.mouse.move(box["x"] + 44 + (box["width"] - 54) * degrees / 360, box["y"] + box["height"] / 2)

    press(92)
    watched.page.mouse.down()
    assert driver.settings(root)["angle"] == 90
    assert driver.numbers(root)["error"] < 1e-13
    press(130)
    assert abs(driver.settings(root)["angle"] - 130) <= 1
    assert driver.numbers(root)["error"] > 0.1
    press(500)
    watched.page.mouse.up()
    assert driver.settings(root)["angle"] == 360
    root.get_by_role("button", name="+ 90°").click()
    assert driver.settings(root)["angle"] == 90
    root.get_by_role("button", name="− 90°").click()
    assert driver.settings(root)["angle"] == 0


def test_the_curve_is_finished_between_frames(page: OpenPage) -> None:
    """And a widget that is closed meanwhile goes on with nothing."""
    watched = page()
    (root,) = driver.host(watched, WIDGETS["TurnedFeatures, trained networks"]())
    first = driver.picture(root)
    watched.page.wait_for_function(
        "([root, first]) => [...root.querySelectorAll('canvas')].map((c) => c.toDataURL()).join(' ') !== first",
        arg=[root.element_handle(), first],
    )
    driver.put(root, "stride", "2")
    watched.page.evaluate("window.closers[0]()")
    watched.page.wait_for_timeout(100)
    assert not watched.errors


def test_what_the_network_has_not_is_not_offered(page: OpenPage) -> None:
    watched = page()
    (root,) = driver.host(watched, TurnedFeatures(np.ones((1, 8, 8)), network="ordinary"))
    assert "orientations" not in [control.name for control in driver.controls(root)]
    assert "image" not in [control.name for control in driver.controls(root)]
    driver.put(root, "network", "C4 lift")
    assert "orientations" in [control.name for control in driver.controls(root)]

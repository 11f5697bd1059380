"""The walk between pictures on a bare page: the frames it shows are the flow's, in both directions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from gdl_lab.flows import RealNVP
from gdl_lab.widgets import DigitWalk
from gdl_lab.widgets.digit_walk import WAYS, arc, line

from . import driver
from .cases import moved, pictures
from .conftest import OpenPage, call
from .driver import Watched

pytestmark = pytest.mark.slow


def test_frames_are_the_flows(blank: Watched) -> None:
    """Every pair, way and time: the bytes of the page against pictures pushed one by one; walks back are reversed."""
    x, steps = pictures(3, 4, 6).double(), 5
    flow = moved(RealNVP(24, 4, (16,)).double(), 2, strength=2.0)
    walk = DigitWalk(flow, x, steps=steps)
    asked = list(itertools.product(WAYS, range(3), range(3), range(steps)))
    shown = call(
        blank,
        "digit_walk",
        "((stored) => args[2].map((ask) => [...js.frame(stored, ...ask)]))"
        "({...args[0], pictures: Uint8Array.from(args[1][0]), frames: Uint8Array.from(args[1][1])})",
        {"count": 3, "size": 24, "steps": steps},
        [list(walk.pictures), list(walk.frames)],
        asked,
    )
    ends = x.flatten(1)
    z = flow.pull(ends)
    for (way, a, b, t), frame in zip(asked, shown, strict=True):
        at = torch.tensor([t / (steps - 1)], dtype=torch.float64)
        if way == "x":
            expected = line(ends[a], ends[b], at)
        else:
            expected = flow.push((line if way == "z" else arc)(z[a], z[b], at))
        assert np.abs(np.array(frame) / 255 - expected[0].clamp(0, 1).numpy()).max() < 0.6 / 255 + 1e-5, (way, a, b, t)
    middle = {way: shown[asked.index((way, 0, 1, 2))] for way in WAYS}
    assert np.abs(np.array(middle["x"]) - middle["z"]).max() > 3  # control: the ways are different
    assert np.abs(np.array(middle["z"]) - middle["arc"]).max() > 3


def test_pairs_are_counted_in_order(blank: Watched) -> None:
    count = 5
    shown = call(blank, "digit_walk", "args[1].map(([a, b]) => js.pair(args[0], a, b))", count, [[3, 1], [0, 4]])
    order = list(itertools.combinations(range(count), 2))
    assert shown == [{"index": order.index((1, 3)), "backwards": True}, {"index": 3, "backwards": False}]


def test_the_button_walks_back_to_the_same_picture(page: OpenPage) -> None:
    watched = page()
    (root,) = driver.host(watched, DigitWalk(moved(RealNVP(64, 2, (8,)), 3), pictures(3, 8, 8), t=3))
    before, large = driver.numbers(root), root.locator("figure canvas").first.evaluate("(c) => c.toDataURL()")
    root.get_by_role("button", name="there and back").click()
    after = driver.settings(root)
    assert (after["a"], after["b"], after["t"]) == (1, 0, 13)
    assert driver.numbers(root) == before
    assert root.locator("figure canvas").first.evaluate("(c) => c.toDataURL()") == large


def test_dragging_along_a_film(page: OpenPage) -> None:
    watched = page()
    (root,) = driver.host(watched, DigitWalk(moved(RealNVP(64, 2, (8,)), 3), pictures(3, 8, 8)))
    box = root.locator("canvas").last.bounding_box()
    assert box is not None
    for share, act, t in ((0.0, watched.page.mouse.down, 0), (1.0, watched.page.mouse.up, 16)):
        watched.page.mouse.move(box["x"] + 1 + share * (box["width"] - 2), box["y"] + 20, steps=3)
        act()
        assert driver.settings(root)["t"] == t

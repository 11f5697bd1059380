"""The figure of a sweep on a bare page: its ticks, what the pointer reads, and what stays when families go."""

from __future__ import annotations

import math

import pytest

from . import driver
from .cases import sweep_figure
from .conftest import OpenPage, call
from .driver import Watched

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("low", "high", "log", "expected"),
    [
        (0.0, 1.0, False, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-0.03, 0.07, False, [-0.02, 0, 0.02, 0.04, 0.06]),
        (80, 1100, True, [100, 200, 500, 1000]),
        (0.9e-4, 1.1, True, [1e-4, 1e-3, 1e-2, 0.1, 1]),
        (120, 180, True, [120, 180]),
    ],
)
def test_ticks_are_round_and_inside(blank: Watched, low: float, high: float, log: bool, expected: list[float]) -> None:
    shown = call(blank, "sweep_figure", "js.ticks(...args)", low, high, log, 6)
    assert shown == pytest.approx(expected, abs=1e-12)


def test_the_pointer_reads_the_nearest_mark(page: OpenPage) -> None:
    watched, widget = page(), sweep_figure()
    (root,) = driver.host(watched, widget)
    canvas = root.locator("canvas")
    box = canvas.bounding_box()
    assert box is not None
    seen = set()
    for k in range(0, 101, 2):
        for j in range(10, 90, 8):
            watched.page.mouse.move(box["x"] + box["width"] * k / 100, box["y"] + box["height"] * j / 100)
            seen.add(driver.settings(root)["point"])
        driver.agree(driver.numbers(root), widget.readout(**driver.settings(root)))
    assert len(seen) >= 8  # of 12 points, some lie on top of others
    assert not watched.errors


def test_the_last_family_is_exchanged_for_the_others(page: OpenPage) -> None:
    watched = page()
    (root,) = driver.host(watched, sweep_figure())
    driver.put(root, "family_0", "false")
    assert driver.settings(root)["shown"] == ["b c"]
    assert driver.numbers(root)["points"] == 6
    driver.put(root, "family_1", "false")
    assert driver.settings(root)["shown"] == ["a"]


def test_nothing_shown_is_said(page: OpenPage) -> None:
    watched = page()
    (root,) = driver.host(watched, sweep_figure(shown=[]))
    assert driver.numbers(root) == {"points": 0}
    assert "none" in (root.locator("dd").first.text_content() or "")
    assert not watched.errors


def test_the_table_has_the_runs(page: OpenPage) -> None:
    watched, widget = page(), sweep_figure(point=7)
    (root,) = driver.host(watched, widget)
    cells = root.locator("table").last.locator("tbody tr")
    assert cells.count() == 3
    shown = [float((row.locator("td").last.text_content() or "").replace("−", "-")) for row in cells.all()]
    assert math.isclose(sum(shown) / 3, widget.readout()["y"], abs_tol=2e-3)
    reach = dict(
        row.locator("th, td").all_text_contents() for row in root.locator("table").first.locator("tbody tr").all()
    )
    numbers = widget.readout()
    assert {name for name, text in reach.items() if text != "none here"} == {
        name.removeprefix("reach_") for name in numbers if name.startswith("reach_")
    }

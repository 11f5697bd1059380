"""The loop on a bare page: its polygons and integrals against Python's, and how it is moved by hand."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from gdl_lab.runtime import fresh_seed
from gdl_lab.widgets import HolonomyLoop
from gdl_lab.widgets.holonomy_loop import LONGEST, LOOPS, SURFACES

from . import driver
from .conftest import OpenPage, call
from .driver import Watched

pytestmark = pytest.mark.slow
NUMBERS = """((settings) => {
  const area = js.patch(settings), t = settings.along / 60;
  const on = (place) => area.map(...place);
  const [curvature, size] = js.swept(area, js.reached(area, t));
  const points = Array.from({ length: 2 * settings.along + 1 }, (_, k) => on(js.along(area, k / 120)));
  const angle = js.angleOf(area, points, js.directWay(area, t).map(on), curvature);
  return [angle, curvature, js.swept(area, 1)[0], size];
})(args[0])"""


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("loop", LOOPS)
def test_the_numbers_are_python_s(blank: Watched, surface: str, loop: str) -> None:
    seed = fresh_seed()
    print(f"seed {seed}")
    draw = random.Random(seed)
    for along in (0, 1, draw.randrange(61), 60):
        settings: dict[str, Any] = {
            "surface": surface,
            "loop": loop,
            "size": draw.uniform(0.03, 0.97),
            "longitude": draw.uniform(-180, 180),
            "latitude": draw.uniform(-90, 90) * (2 if surface == "torus" else 1),
            "along": along,
        }
        expected = HolonomyLoop().readout(**settings)
        angle, curvature, whole, area = call(blank, "holonomy_loop", NUMBERS, settings)
        assert math.degrees(angle) == pytest.approx(expected["angle"], abs=1e-7), settings
        assert math.degrees(curvature) == pytest.approx(expected["curvature"], rel=1e-5, abs=1e-5), settings
        assert math.degrees(whole) == pytest.approx(expected["whole"], rel=1e-5, abs=1e-5), settings
        assert area == pytest.approx(expected["area"], rel=1e-5, abs=1e-7), settings


def test_quadrature(blank: Watched) -> None:
    nodes, weights = np.polynomial.legendre.leggauss(24)
    found = call(blank, "surfaces", "js.quadrature(24).map(({ node, weight }) => [node, weight])")
    assert np.allclose(found, np.stack([(nodes + 1) / 2, weights / 2], 1), atol=1e-14)


def test_angles_are_wrapped(blank: Watched) -> None:
    values = [0.0, 3.0, -3.0, 4.0, -4.0, 7.0, math.pi, 20.0]
    found = call(blank, "surfaces", "args[0].map(js.wrapped)", values)
    assert found == pytest.approx([math.remainder(v, 2 * math.pi) for v in values], abs=1e-12)


def pixel(page: Watched, root: Any, widget: HolonomyLoop, point: list[float]) -> tuple[float, float]:
    """Where a point of space is on the page."""
    box = root.locator("canvas").first.bounding_box()
    eye = {"azimuth": widget.azimuth, "elevation": widget.elevation}
    extent = {"sphere": 1.0, "torus": 2.8, "ellipsoid": 1.3}[widget.surface]
    code = "js.camera(...args.slice(0, 5)).place(args[5])"
    u, v = call(page, "scene", code, eye, box["width"], box["height"], extent, 14, point)
    return box["x"] + u, box["y"] + v


def carry(watched: Watched, start: tuple[float, float], end: tuple[float, float]) -> None:
    watched.page.mouse.move(*start)
    watched.page.mouse.down()
    watched.page.mouse.move(*end)
    watched.page.mouse.up()


def on_sphere(longitude: float, latitude: float) -> list[float]:
    lon, lat = math.radians(longitude), math.radians(latitude)
    return [math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)]


def test_the_middle_and_the_rim_follow_the_hand(page: OpenPage, blank: Watched) -> None:
    watched, widget = page(), HolonomyLoop()
    (root,) = driver.host(watched, widget)
    carry(watched, pixel(blank, root, widget, on_sphere(20, 30)), pixel(blank, root, widget, on_sphere(40, 10)))
    moved = driver.settings(root)
    assert (moved["longitude"], moved["latitude"]) == pytest.approx((40, 10), abs=1)
    assert moved["size"] == pytest.approx(0.3)
    rim = on_sphere(40, 10 + math.degrees(0.9))
    carry(watched, pixel(blank, root, widget, rim), pixel(blank, root, widget, on_sphere(40, 10 + math.degrees(0.6))))
    assert driver.settings(root)["size"] == pytest.approx(0.6 / LONGEST["sphere"], abs=0.02)
    before = driver.numbers(root)
    carry(watched, pixel(blank, root, widget, on_sphere(-20, -20)), pixel(blank, root, widget, on_sphere(0, -20)))
    assert driver.numbers(root) == before  # the eye has moved, the loop has not
    assert watched.page.evaluate("window.models[0].get('azimuth')") < 30
    driver.agree(driver.numbers(root), widget.readout(**driver.settings(root)))
    assert not watched.errors


def test_the_rim_of_a_circle_of_latitude(page: OpenPage, blank: Watched) -> None:
    watched, widget = page(), HolonomyLoop(loop="latitude", size=0.25)
    (root,) = driver.host(watched, widget)
    carry(watched, pixel(blank, root, widget, on_sphere(60, 45)), pixel(blank, root, widget, on_sphere(60, 9)))
    assert driver.settings(root)["size"] == pytest.approx(0.45, abs=0.02)
    assert driver.numbers(root)["whole"] == pytest.approx(360 * (1 - math.cos(0.45 * math.pi)), rel=0.05)


def test_the_button_carries_it_round(page: OpenPage) -> None:
    watched = page()
    (root,) = driver.host(watched, HolonomyLoop(loop="octant", along=20))
    root.get_by_role("button", name="carry it round").click()
    watched.page.wait_for_function("window.models[0].get('along') < 20")
    watched.page.wait_for_function("window.models[0].get('along') === 60", timeout=20_000)
    assert driver.numbers(root)["angle"] == pytest.approx(90, abs=1e-9)


ALONG = "window.models[0].get('along')"


def test_pressing_again_or_taking_the_arrow_stops_it(page: OpenPage) -> None:
    watched = page()
    (root,) = driver.host(watched, HolonomyLoop(loop="octant", along=60))
    live = root.locator("dl")
    button = root.locator("button")
    for stop in ("press", "carry"):
        button.click()
        watched.page.wait_for_function(f"{ALONG} > 0 && {ALONG} < 60")
        assert button.text_content() == "stop"
        assert live.get_attribute("aria-live") == "off"  # sixty numbers in four seconds are no reading
        if stop == "press":
            button.click()
        else:
            driver.put(root, "along", "7")
        at = watched.page.evaluate(ALONG)
        assert at < 60 if stop == "press" else at == 7
        assert button.text_content() == "carry it round"
        assert live.get_attribute("aria-live") == "polite"
        watched.page.wait_for_timeout(200)
        assert watched.page.evaluate(ALONG) == at
    button.click()
    watched.page.wait_for_function(f"{ALONG} === 60", timeout=20_000)
    assert live.get_attribute("aria-live") == "polite"
    assert button.text_content() == "carry it round"


def test_nothing_moves_for_those_who_want_nothing_to_move(page: OpenPage) -> None:
    watched = page()
    watched.page.emulate_media(reduced_motion="reduce")
    (root,) = driver.host(watched, HolonomyLoop(loop="octant", along=20))
    seen = watched.page.evaluate("""() => {
      const seen = [];
      window.models[0].on("change:along", (_, value) => seen.push(value));
      document.querySelector("button").click();
      return new Promise((done) => setTimeout(() => done(seen), 200));
    }""")
    assert seen == [60]
    assert driver.numbers(root)["angle"] == pytest.approx(90, abs=1e-9)


def test_what_can_be_set_depends_on_the_loop(page: OpenPage) -> None:
    watched = page()
    (root,) = driver.host(watched, HolonomyLoop())
    for loop, there in (("circle", {"size", "longitude", "latitude"}), ("latitude", {"size"}), ("octant", set())):
        driver.put(root, "loop", loop)
        names = {control.name for control in driver.controls(root)}
        assert names & {"size", "longitude", "latitude"} == there
    driver.put(root, "loop", "circle")
    driver.put(root, "surface", "torus")
    (latitude,) = (control for control in driver.controls(root) if control.name == "latitude")
    assert latitude.values == ("-180", "180")

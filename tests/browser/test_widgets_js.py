"""All widgets on a bare page, without Jupyter: everything that a reader can do with each of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib import colormaps

from gdl_lab.figures.style import DARK, LIGHT
from gdl_lab.widgets import KernelEditor, LinearRegions, Widget

from . import driver
from .cases import WIDGETS
from .conftest import OpenPage, call, without_browser
from .driver import Watched

pytestmark = pytest.mark.slow

each_widget = pytest.mark.parametrize("make", WIDGETS.values(), ids=WIDGETS.keys())


# --- colours


def test_the_palette_is_the_figures_palette(blank: Watched) -> None:
    palette = call(blank, "stage", "js.PALETTE")
    for theme in (LIGHT, DARK):
        expected = {"ink": theme.ink, "muted": theme.muted, "grid": theme.grid, "paper": theme.paper}
        assert palette[theme.name] == {**expected, "cycle": list(theme.cycle)}


@pytest.mark.parametrize(("scale", "name"), [("DIVERGING", LIGHT.diverging), ("SEQUENTIAL", LIGHT.sequential)])
def test_the_scales_are_the_figures_scales(blank: Watched, scale: str, name: str) -> None:
    t = np.linspace(0, 1, 101)
    shown = np.array(call(blank, "stage", f"args[0].map((t) => js.colour(js.{scale}, t))", t.tolist()))
    expected = 255 * colormaps[name](t)[:, :3]
    assert np.abs(shown - expected).max() < 12
    assert np.abs(shown - expected[::-1]).max() > 50  # control: the reversed scale is another one


def test_numbers_for_reading(blank: Watched) -> None:
    shown = call(blank, "stage", "args[0].map((v) => js.format(v))", [0, 1.23456, -0.5, -2e-7, 3.14e8])
    assert shown == ["0.00", "1.23", "−0.500", "−2.00 × 10⁻⁷", "3.14 × 10⁸"]
    assert call(blank, "stage", "[js.fixed(-0.0001), js.fixed(-1.5), js.short(-1.50), js.short(0)]") == [
        "0.000",
        "−1.500",
        "−1.5",
        "0",
    ]


# --- everything that a reader can do


@each_widget
def test_every_control(page: OpenPage, make: Callable[[], Widget]) -> None:
    watched, widget = page(), make()
    (root,) = driver.host(watched, widget)
    report = driver.drive(watched, root, widget.readout)
    assert report.settings > 3 * len(report.controls)
    assert not watched.outside


def test_the_driver_notices_a_wrong_number(page: OpenPage) -> None:
    """Negative control: a read-out that is off by one part in a thousand fails."""
    watched, widget = page(), KernelEditor()
    (root,) = driver.host(watched, widget)

    def wrong(**settings: Any) -> dict[str, float]:
        return {name: 1.001 * value for name, value in widget.readout(**settings).items()}

    with pytest.raises(AssertionError, match="Python computes"):
        driver.drive(watched, root, wrong)


@each_widget
def test_keyboard(page: OpenPage, make: Callable[[], Widget]) -> None:
    watched = page()
    (root,) = driver.host(watched, make())
    driver.keyboard(watched, root)


@each_widget
@pytest.mark.parametrize("width", [360, 700, 1280])
def test_fits_the_page(page: OpenPage, make: Callable[[], Widget], width: int) -> None:
    watched = page(viewport=(width, 740))
    (root,) = driver.host(watched, make())
    driver.fits(watched, root)
    for control in driver.controls(root):
        driver.put(root, control.name, control.values[-1])
    driver.fits(watched, root)


@each_widget
@pytest.mark.parametrize("where", ["book", "lab", "system"])
def test_themes(page: OpenPage, make: Callable[[], Widget], where: str) -> None:
    watched = page()
    (root,) = driver.host(watched, make())

    def switch(theme: str) -> None:
        if where == "system":
            watched.page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        elif where == "book":
            watched.page.evaluate("(theme) => { document.documentElement.dataset.theme = theme }", theme)
        else:
            watched.page.evaluate("(l) => { document.body.dataset.jpThemeLight = l }", str(theme == "light").lower())

    driver.themes(watched, root, switch)


@each_widget
def test_a_move_is_quick(page: OpenPage, make: Callable[[], Widget]) -> None:
    watched = page()
    (root,) = driver.host(watched, make())
    times = driver.move_times(root)
    print({name: f"{ms:.1f} ms" for name, ms in times.items()})
    assert times
    assert max(times.values()) < 300  # the aim is 50, where nothing else runs; here two tests run at once


@each_widget
def test_closing_leaves_nothing_behind(page: OpenPage, make: Callable[[], Widget]) -> None:
    watched = page()
    driver.host(watched, make())
    assert watched.page.evaluate("window.models[0].count()") > 0
    watched.page.evaluate("window.closers[0]()")
    assert watched.page.evaluate("window.models[0].count()") == 0
    assert watched.page.locator(driver.WIDGET).count() == 0
    watched.page.evaluate("document.documentElement.dataset.theme = 'dark'")
    watched.page.wait_for_timeout(50)
    assert not watched.errors


def test_two_views_of_one_widget_stay_together(page: OpenPage) -> None:
    """As in "Create New View for Output": what is set in one view is drawn in the other, and echoed to neither."""
    watched = page()
    driver.host(watched, LinearRegions())
    watched.page.evaluate("""async () => {
      const [model, el] = [window.models[0], document.createElement("div")];
      document.body.append(el);
      const url = URL.createObjectURL(new Blob([model.get("_esm")], { type: "text/javascript" }));
      (await import(url)).default.render({ model, el });
    }""")
    first, second = watched.page.locator(driver.WIDGET).all()
    driver.put(second, "weight_0", "-1.25")
    assert driver.settings(first) == driver.settings(second)
    assert driver.settings(first)["weights"][0][0][0] == -1.25
    assert watched.page.evaluate("window.models[0].saved") == 1


def test_the_fence(page: OpenPage) -> None:
    """Control of all tests here: a page that asks another host, logs an error or throws does not go unnoticed."""
    watched = page()
    watched.page.set_content("<script>console.error('said')</script><img src='https://example.org/x.png'>")
    watched.page.evaluate("() => { setTimeout(() => { throw new Error('thrown') }) }")
    watched.page.wait_for_timeout(200)
    assert watched.outside == ["https://example.org/x.png"]
    assert "said" in watched.errors
    assert "thrown" in watched.errors


def test_without_a_browser_the_tests_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", "no-such-browser")
    with pytest.raises(FileNotFoundError, match=r"no browser found \(CHROMIUM=no-such-browser is not a program\)"):
        driver.find_chromium()
    monkeypatch.setenv("GDL_LAB_REQUIRE_BROWSER", "1")
    with pytest.raises(pytest.fail.Exception, match="pages and widgets were not checked"):
        without_browser("pages and widgets were not checked")
    monkeypatch.delenv("GDL_LAB_REQUIRE_BROWSER")
    with pytest.raises(pytest.skip.Exception, match="pages and widgets were not checked"):
        without_browser("pages and widgets were not checked")


def test_the_book_stores_enough_to_make_a_widget_anew() -> None:
    widgets = [make() for make in WIDGETS.values()]
    models = {}
    for widget in widgets:
        state = widget.get_state()
        buffers = [
            {"path": [k], "data": driver.encode(v), "encoding": "base64"}
            for k, v in state.items()
            if isinstance(v, bytes)
        ]
        plain = {k: v for k, v in state.items() if not isinstance(v, bytes)}
        models[widget.model_id] = {"model_module": "anywidget", "state": plain, "buffers": buffers}
    kind = "application/vnd.jupyter.widget-state+json"
    html = f'<script type="{kind}">{json.dumps({"state": models})}</script>'
    again = driver.stored_widgets(html)
    assert [repr(w) for w in again] == [repr(w) for w in widgets]
    for widget, stored in zip(widgets, again, strict=True):
        driver.agree(stored.readout(), widget.readout())

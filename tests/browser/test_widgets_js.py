"""The widgets on a bare page, without Jupyter: their pure functions against torch, and everything a reader can do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib import colormaps

from gdl_lab.figures.style import DARK, LIGHT
from gdl_lab.manifold import CHARTS, levina_bickel, neighbours, participation_ratio, principal_variances, two_nn
from gdl_lab.runtime import fresh_seed
from gdl_lab.widgets import DimensionEstimate, KernelEditor, LinearRegions, Widget, bundle
from gdl_lab.widgets.dimension import draw, uniform
from gdl_lab.widgets.kernel_editor import PRESETS
from gdl_lab.widgets.linear_regions import network

from . import driver
from .conftest import OpenPage, without_browser
from .driver import Watched

pytestmark = pytest.mark.slow

WIDGETS: dict[str, Callable[[], Widget]] = {
    "LinearRegions": LinearRegions,
    "LinearRegions, one layer": lambda: LinearRegions(
        widths=(6,), labels=[0, 1], points=[[0.5, 0.5], [-0.5, 0]], seed=1
    ),
    "KernelEditor": KernelEditor,
    "KernelEditor, not square": lambda: KernelEditor(np.random.default_rng(0).normal(size=(2, 9, 14)), ["one", "two"]),
    "DimensionEstimate": DimensionEstimate,
    "DimensionEstimate, own points": lambda: DimensionEstimate(
        np.random.default_rng(0).normal(size=(250, 64)), "noise in 64 dimensions"
    ),
}
each_widget = pytest.mark.parametrize("make", WIDGETS.values(), ids=WIDGETS.keys())


@pytest.fixture
def blank(page: OpenPage) -> Watched:
    watched = page()
    watched.page.set_content(driver.EMPTY)
    return watched


def call(watched: Watched, module: str, expression: str, *arguments: Any) -> Any:
    """Evaluate an expression in the exports ``js`` of a bundled widget, or of the stage, with ``args``."""
    name = "" if module == "stage" else module
    source = bundle(name) if name else (driver.STAGE / "stage.js").read_text(encoding="utf-8")
    return watched.page.evaluate(
        f"async ([url, args]) => {{ const js = await import(url); return {expression}; }}",
        [driver.module_url(source), list(arguments)],
    )


def random_network(seed: int, widths: tuple[int, ...]) -> torch.nn.Sequential:
    """Normal weights; the lines of the first layer pass the origin within 0.3, so that they all cross the square."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [s for i, o in zip([2, *widths], [*widths, 1], strict=True) for s in ((o, i), (o,))]
    weights = [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]
    weights[0] /= weights[0].norm(dim=1, keepdim=True)
    weights[1] = weights[1].clamp(-0.3, 0.3)
    return network(widths, weights)


def as_lists(net: torch.nn.Module) -> list[Any]:
    return [p.tolist() for p in net.parameters()]


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


# --- linear regions: pure functions


@pytest.mark.parametrize("widths", [(4, 3), (5,), (3, 4, 2)])
def test_forward_and_backprop_are_torchs(blank: Watched, widths: tuple[int, ...]) -> None:
    seed = fresh_seed()
    print(f"seed {seed}")
    net = random_network(seed, widths)
    generator = torch.Generator().manual_seed(seed + 1)
    points = 2 * torch.rand(25, 2, generator=generator, dtype=torch.float64) - 1
    labels = torch.randn(25, generator=generator, dtype=torch.float64)
    error = (net(points).squeeze(1) - labels).square().mean()
    error.backward()

    weights = as_lists(net)
    values = call(
        blank, "linear_regions", "args[1].map((p) => js.forward(args[0], p).at(-1)[0])", weights, points.tolist()
    )
    assert np.allclose(values, net(points).squeeze(1).tolist(), rtol=1e-12, atol=1e-12)
    shown = call(blank, "linear_regions", "js.backprop(...args)", weights, points.tolist(), labels.tolist())
    assert np.isclose(shown["error"], error.item(), rtol=1e-12)
    for mine, parameter in zip(shown["gradients"], net.parameters(), strict=True):
        assert parameter.grad is not None
        assert np.allclose(mine, parameter.grad.numpy(), rtol=1e-10, atol=1e-12)

    stepped = call(blank, "linear_regions", "js.step(args[0], args[1], 0.1)", weights, shown["gradients"])
    torch.optim.SGD(net.parameters(), lr=0.1).step()
    for mine, parameter in zip(stepped, net.parameters(), strict=True):
        assert np.allclose(mine, parameter.detach().numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("widths", [(4, 3), (8,), (6, 6, 4)])
def test_regions_are_the_activation_patterns(blank: Watched, widths: tuple[int, ...]) -> None:
    """Every pattern on a dense grid has one polygon; it contains the grid points, and f is its affine map there."""
    seed = fresh_seed()
    print(f"seed {seed}")
    net = random_network(seed, widths)
    cells = call(blank, "linear_regions", "js.regions(args[0]).cells", as_lists(net))
    by_pattern = {cell["pattern"]: cell for cell in cells}
    assert len(by_pattern) == len(cells)

    axis = torch.linspace(-1, 1, 202, dtype=torch.float64)[1:-1]
    grid = torch.cartesian_prod(axis, axis)
    hidden, signs = grid, []
    with torch.no_grad():
        for layer in list(net)[:-1]:
            hidden = layer(hidden)
            if isinstance(layer, torch.nn.ReLU):
                signs.append(hidden > 0)
        output = net(grid).squeeze(1).numpy()
    patterns = np.array(["".join(map(str, row)) for row in torch.cat(signs, 1).int().tolist()])
    assert set(patterns) <= by_pattern.keys()
    assert len(set(patterns)) > 4  # control: the network is not trivial

    for pattern in set(patterns):
        mine = patterns == pattern
        points, cell = grid.numpy()[mine], by_pattern[pattern]
        assert contains(np.array(cell["polygon"]), points).all()
        other = next(c for c in cells if c["pattern"] != pattern)
        assert not contains(np.array(other["polygon"]), points, slack=-1e-9).any()
        assert np.allclose(points @ cell["map"][:2] + cell["map"][2], output[mine], rtol=1e-9, atol=1e-9)
    assert np.isclose(sum(area(np.array(cell["polygon"])) for cell in cells), 4, rtol=1e-9)
    assert len(cells) == LinearRegions(widths=widths, weights=as_lists(net)).readout()["regions"]


def contains(polygon: np.ndarray, points: np.ndarray, slack: float = 1e-9) -> np.ndarray:
    """Whether points lie in a convex polygon, corners counter-clockwise; with positive slack its edge belongs to it."""
    edges = np.roll(polygon, -1, axis=0) - polygon
    away = points[:, None] - polygon[None]
    return np.asarray((edges[None, :, 0] * away[..., 1] - edges[None, :, 1] * away[..., 0] >= -slack).all(axis=1))


def area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


# --- kernel editor: pure functions


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", ["circular", "zeros"])
def test_convolution_is_torchs(blank: Watched, stride: int, padding: str) -> None:
    seed = fresh_seed()
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    x, kernel = rng.normal(size=(9, 14)), rng.normal(size=9)
    picture = {"values": x.ravel().tolist(), "rows": 9, "columns": 14}
    shown = call(
        blank, "kernel_editor", "(({values, ...rest}) => ({...rest, values: [...values]}))(js.convolve(...args))",
        picture, kernel.tolist(), stride, padding,
    )  # fmt: skip
    mode = "circular" if padding == "circular" else "constant"
    padded = torch.nn.functional.pad(torch.tensor(x)[None, None], (1, 1, 1, 1), mode=mode)
    expected = torch.nn.functional.conv2d(padded, torch.tensor(kernel).view(1, 1, 3, 3), stride=stride)[0, 0]
    assert [shown["rows"], shown["columns"]] == list(expected.shape)
    values = np.array(shown["values"]).reshape(expected.shape)
    assert np.allclose(values, expected, rtol=1e-12, atol=1e-12)
    flipped = torch.nn.functional.conv2d(padded, torch.tensor(kernel[::-1].copy()).view(1, 1, 3, 3), stride=stride)[
        0, 0
    ]
    assert not np.allclose(values, flipped, atol=1e-2)  # control: the talk's sum is a correlation


# --- dimension estimate: pure functions


def test_random_numbers_are_counted_the_same_way(blank: Watched) -> None:
    seed = fresh_seed() % 1000
    print(f"seed {seed}")
    for stream in (0, 1):
        shown = call(
            blank, "dimension", "args[2].map((i) => js.uniform(args[0], args[1], i))", seed, stream, list(range(999))
        )
        assert shown == uniform(seed, stream, 999).tolist()
        assert abs(np.mean(shown) - 0.5) < 0.05
        assert shown != uniform(seed + 1, stream, 999).tolist()


@pytest.mark.parametrize("shape", CHARTS)
def test_points_are_placed_where_the_manifold_is(blank: Watched, shape: str) -> None:
    uv = torch.rand(50, 2, dtype=torch.float64)
    shown = call(blank, "dimension", "args[1].map(([u, v]) => js.place(args[0], u, v))", shape, uv.tolist())
    assert np.allclose(shown, CHARTS[shape].place(uv).tolist(), rtol=1e-9, atol=1e-9)
    noisy = {"shape": shape, "n": 130, "ambient": 5, "noise": 0.2, "seed": 3}
    shown = call(blank, "dimension", "js.points(args[0]).map((p) => [...p])", noisy)
    assert np.allclose(shown, draw(None, shape, 130, 5, 0.2, 3).tolist(), rtol=1e-9, atol=1e-9)


def test_the_estimates_are_those_of_the_maths_room(blank: Watched) -> None:
    seed = fresh_seed()
    print(f"seed {seed}")
    x = torch.randn(150, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    r, _ = neighbours(x, 60)
    shown = call(blank, "dimension", "js.neighbourDistances(args[0]).map((row) => [...row])", x.tolist())
    assert np.allclose(shown, r.tolist(), rtol=1e-12)
    curve = call(blank, "dimension", "js.inverses(args[0]).map((row) => [...row])", r.tolist())
    for k in (2, 7, 60):
        assert np.isclose(1 / np.mean(curve[k]), levina_bickel(r[:, :k]), rtol=1e-9)
    assert np.isclose(call(blank, "dimension", "js.twoNN(args[0])", r.tolist()), two_nn(r), rtol=1e-9)
    ratio = call(blank, "dimension", "js.participation(args[0])", (x + 5).tolist())
    assert np.isclose(ratio, participation_ratio(principal_variances(x)), rtol=1e-9)


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
    assert max(times.values()) < 150  # the aim is 50; machines that run tests are busy


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


def test_a_finger_drags_a_line_and_scrolls_elsewhere(page: OpenPage) -> None:
    watched = page(viewport=(360, 740), touch=True)
    weights = [[[1.0, 0.0]], [0.0], [[1.0]], [-0.5]]
    (root,) = driver.host(watched, LinearRegions((1,), [[0.5, 0.5], [-0.5, 0]], [1, -1], weights=weights))
    taken = """(canvas, [x, y]) => {
      const box = canvas.getBoundingClientRect();
      const touch = new Touch({ identifier: 1, target: canvas,
        clientX: box.left + (x + 1) / 2 * box.width, clientY: box.top + (1 - y) / 2 * box.height });
      return !canvas.dispatchEvent(new TouchEvent("touchstart", { touches: [touch], cancelable: true }));
    }"""
    canvas = root.locator("canvas")
    assert canvas.evaluate(taken, [0, 0.6])
    assert not canvas.evaluate(taken, [0.8, 0.6])


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


def test_a_change_from_the_kernel_is_drawn(page: OpenPage) -> None:
    watched, widget = page(), KernelEditor()
    (root,) = driver.host(watched, widget)
    before = driver.picture(root)
    watched.page.evaluate("(kernel) => window.models[0].set('kernel', kernel)", PRESETS["Sobel y"])
    assert driver.picture(root) != before
    assert root.locator('[data-name="preset"]').input_value() == "Sobel y"
    assert watched.page.evaluate("window.models[0].saved") == 0  # what came from the kernel is not sent back
    driver.put(root, "dx", "2")
    assert watched.page.evaluate("window.models[0].saved") == 1


# --- gradient descent and dragging


def test_a_gradient_step_does_what_it_promised(page: OpenPage) -> None:
    watched, widget = page(), LinearRegions()
    (root,) = driver.host(watched, widget)
    driver.put(root, "log_eta", "-3")
    promised = driver.numbers(root)
    assert promised["predicted"] < 0
    assert np.isclose(promised["actual"], promised["predicted"], rtol=0.1)  # first order: η is small
    root.get_by_role("button", name="gradient step").click()
    after = driver.numbers(root)
    assert np.isclose(after["error"] - promised["error"], promised["actual"], rtol=1e-9)
    last = watched.page.evaluate("window.models[0].get('last_step')")
    assert np.allclose(last, [promised["predicted"], promised["actual"]], rtol=1e-9)

    driver.put(root, "log_eta", "-1")
    for _ in range(20):
        root.get_by_role("button", name="10 steps").click()
    assert driver.numbers(root)["error"] < 0.3 * promised["error"]
    assert watched.page.evaluate("window.models[0].get('steps')") == 201
    driver.agree(driver.numbers(root), widget.readout(**driver.settings(root)))
    root.get_by_role("button", name="reset").click()
    assert driver.settings(root)["weights"] == widget.start


def test_an_exploding_step_is_refused(page: OpenPage) -> None:
    watched, widget = page(), LinearRegions()
    (root,) = driver.host(watched, widget)
    driver.put(root, "log_eta", "0.5")
    for _ in range(10):
        root.get_by_role("button", name="10 steps").click()
    assert "Choose a smaller η" in root.inner_text()
    driver.agree(driver.numbers(root), widget.readout(**driver.settings(root)))
    assert not watched.errors


def test_dragging_a_line(page: OpenPage) -> None:
    """A ring turns the line about the other ring and keeps the length of the weights; its middle moves it along."""
    watched = page()
    weights = [[[1.0, 0.0]], [0.0], [[1.0]], [-0.5]]
    (root,) = driver.host(watched, LinearRegions((1,), [[0.5, 0.5], [-0.5, 0]], [1, -1], weights=weights))
    canvas = root.locator("canvas").bounding_box()
    assert canvas is not None
    mouse = watched.page.mouse

    def drag(start: tuple[float, float], end: tuple[float, float]) -> Any:
        for (x, y), act in ((start, mouse.down), (end, mouse.up)):
            mouse.move(
                canvas["x"] + (x + 1) / 2 * canvas["width"], canvas["y"] + (1 - y) / 2 * canvas["height"], steps=4
            )
            act()
        return driver.settings(root)["weights"]

    turned = drag((0, 0.6), (0.6, 0.0))  # the line x = 0 has its rings at y = ±0.6
    row, bias = np.array(turned[0][0]), turned[1][0]
    assert np.isclose(np.hypot(*row), 1)
    assert abs(row @ [0.6, 0.0] + bias) < 0.02
    assert abs(row @ [0.0, -0.6] + bias) < 0.02
    assert row[0] > 0  # the side on which the unit is on stays
    moved = drag((0.3, -0.3), (0.3, 0.2))
    assert np.allclose(moved[0][0], row, atol=1e-9)
    assert abs(np.array(moved[0][0]) @ [0.3, 0.2] + moved[1][0]) < 0.02
    assert drag((-0.9, 0.9), (0.9, -0.9)) == moved  # control: away from the line nothing is dragged
    assert not watched.errors


def test_a_typed_kernel_entry(page: OpenPage) -> None:
    watched = page()
    (root,) = driver.host(watched, KernelEditor())
    box = root.get_by_label("kernel entry centre")
    before = driver.settings(root)["kernel"]
    for bad in ("", "12"):
        box.fill(bad)
        assert box.get_attribute("aria-invalid") == "true"
        assert driver.settings(root)["kernel"] == before
    box.fill("2.5")
    assert box.get_attribute("aria-invalid") == "false"
    assert driver.settings(root)["kernel"][4] == 2.5
    assert root.locator('[data-name="preset"]').input_value() == "your own"


def test_the_book_stores_enough_to_make_a_widget_anew() -> None:
    own = np.random.default_rng(1).normal(size=(100, 5))
    widgets = [LinearRegions((3,), seed=5), KernelEditor(), DimensionEstimate(own, noise=0.1)]
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
    assert [w.readout() for w in again] == [w.readout() for w in widgets]

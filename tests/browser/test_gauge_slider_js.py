"""The gauge slider on a bare page: surfaces against `gdl_lab.bundles`, the picture, and how it is moved."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gdl_lab.bundles import GaugeConv, Stencil, components, spread, vector
from gdl_lab.runtime import fresh_seed
from gdl_lab.widgets import GaugeSlider
from gdl_lab.widgets.gauge_slider import EXTENTS, GAUGES, RADII, SURFACES, WAVES, profile

from . import driver
from .cases import own_layer
from .conftest import OpenPage, call
from .driver import Watched

pytestmark = pytest.mark.slow
every_surface = pytest.mark.parametrize("name", SURFACES)


def points(name: str, n: int) -> Tensor:
    """Random points of a surface."""
    seed = fresh_seed()
    print(f"seed {seed}")
    generator = torch.Generator().manual_seed(seed)
    if name == "torus":
        u, v = 2 * math.pi * torch.rand(2, n, generator=generator, dtype=torch.float64)
        r = 2 + 0.8 * v.cos()
        return torch.stack([r * u.cos(), r * u.sin(), 0.8 * v.sin()], 1)
    x = torch.nn.functional.normalize(torch.randn(n, 3, generator=generator, dtype=torch.float64), dim=1)
    return SURFACES[name].project(x)


def each(page: Watched, expression: str, name: str, rows: Any) -> np.ndarray:
    """An expression in `row` and `shape` for every row."""
    code = f"((shape, rows) => rows.map((row) => {expression}))(js.SHAPES[args[0]], args[1])"
    return np.array(call(page, "surfaces", code, name, rows.tolist()))


@every_surface
def test_normals_frames_and_curvature(blank: Watched, name: str) -> None:
    surface, x = SURFACES[name], points(name, 40)
    assert np.allclose(each(blank, "js.normal(shape, row)", name, x), surface.normal(x), atol=1e-12)
    assert np.allclose(each(blank, "js.frame(shape, row)", name, x), surface.frame(x), atol=1e-10)
    assert np.allclose(each(blank, "js.curvature(shape, row)", name, x), surface.curvature(x), atol=1e-10)
    assert np.abs(each(blank, "shape.F(row)", name, x)).max() < 1e-12
    poles = torch.tensor([[0.0, 0, 1], [0, 0, -1], [1e-20, 0, -1]], dtype=torch.float64)
    assert np.allclose(each(blank, "js.frameAlong(row)", name, poles), SURFACES["sphere"].frame(poles), atol=1e-12)


@every_surface
def test_geodesics_carry_frames_and_areas(blank: Watched, name: str) -> None:
    surface, x = SURFACES[name], points(name, 30)
    frame = surface.frame(x, torch.linspace(0, 6, 30, dtype=torch.float64))
    X = vector(torch.polar(torch.linspace(0, 0.7, 30, dtype=torch.float64), torch.arange(30.0).double()), frame)
    expected = surface.exp(x, X, frame)
    rows = torch.cat([x, X, frame.flatten(1)], 1)
    parts = "row.slice(0, 3), row.slice(3, 6), [row.slice(6, 9), row.slice(9)]"
    code = f"((e) => [...e.q, ...e.frame.flat(), e.det])(js.exp(shape, {parts}))"
    found = each(blank, code, name, rows)
    assert np.allclose(found[:, :3], expected.q, atol=1e-10)
    assert np.allclose(found[:, 3:9].reshape(-1, 2, 3), expected.frame, atol=1e-10)
    assert np.allclose(found[:, 9], expected.sqrt_det, atol=1e-10)
    # Back again: the velocity from the end of the geodesic.
    ends = torch.cat([x, expected.q], 1)
    back = each(blank, "js.log(shape, row.slice(0, 3), row.slice(3), 8)", name, ends)
    assert np.allclose(back, X, atol=1e-8)


@every_surface
def test_transport_and_holonomy(blank: Watched, name: str) -> None:
    surface, x = SURFACES[name], points(name, 1)[0]
    angle = 2 * math.pi * torch.arange(121, dtype=torch.float64) / 120
    X = vector(torch.polar(torch.full_like(angle, 0.5), angle), surface.frame(x).expand(121, 2, 3))
    curve = surface.exp(x, X).q
    curve[-1] = curve[0]
    v = surface.frame(curve)[0, 0]
    carried = call(
        blank, "surfaces", "js.transport(js.SHAPES[args[0]], args[1], args[2])", name, curve.tolist(), v.tolist()
    )
    assert np.allclose(carried, surface.transport(curve, v), atol=1e-10)
    found = call(blank, "surfaces", "js.holonomy(js.SHAPES[args[0]], args[1])", name, curve.tolist())
    fine, coarse = surface.holonomy(curve), surface.holonomy(curve[::2])
    assert found == pytest.approx((4 * fine - coarse) / 3, abs=1e-10)
    assert abs(fine - coarse) > 1e-7  # control: the polygons differ, the extrapolation is at work


@every_surface
def test_charts(blank: Watched, name: str) -> None:
    """Onto the surface and back; the area element against central differences."""
    generator = np.random.default_rng(fresh_seed())
    place = generator.uniform([-3, -1.5], [3, 1.5], (30, 2))
    x = torch.tensor(each(blank, "shape.chart(...row)", name, place))
    SURFACES[name].normal(x)  # which raises off the surface
    assert np.allclose(each(blank, "shape.inverse(row)", name, x), place, atol=1e-10)
    if name == "bumpy ball":
        return
    h = 1e-5
    slopes = [
        (each(blank, "shape.chart(...row)", name, place + d) - each(blank, "shape.chart(...row)", name, place - d))
        / (2 * h)
        for d in (np.array([h, 0]), np.array([0, h]))
    ]
    area = np.linalg.norm(np.cross(*slopes), axis=1)
    assert np.allclose(each(blank, "shape.area(...row)", name, place), area, rtol=1e-7, atol=1e-9)


@every_surface
def test_what_the_eye_sees(blank: Watched, name: str) -> None:
    """A ray hits the surface from outside, and what it hits is in sight; what lies behind, on the same ray, is not."""
    eye = np.array([0.48, 0.6, 0.64])
    x = points(name, 60)
    n = SURFACES[name].normal(x)
    rows = torch.cat([x, n], 1)
    code = """((shape, rows, eye) => rows.map((row) => {
      const [x, n, down] = [row.slice(0, 3), row.slice(3), eye.map((v) => -v)];
      return [js.inSight(shape, x, n, eye), js.hit(shape, x, down, -3 * shape.extent)];
    }))(js.SHAPES[args[0]], args[1], args[2])"""
    found = call(blank, "surfaces", code, name, rows.tolist(), eye.tolist())
    seen = np.array([s for s, _ in found])
    nowhere = [math.inf] * 3  # a ray that only grazes may miss
    away = np.array([np.linalg.norm(np.array(p or nowhere) - q) for (_, p), q in zip(found, x.numpy(), strict=True)])
    grazing = np.abs(n.numpy() @ eye) < 0.15
    assert ((away < 0.05 * EXTENTS[name]) == seen)[~grazing].all()
    assert 10 < seen.sum() < 50


@pytest.mark.parametrize("gauge", GAUGES)
def test_fields_and_gauges(blank: Watched, gauge: str) -> None:
    x = points("ellipsoid", 20)
    turned = [call(blank, "gauge_slider", "js.profile(...args)", gauge, p, 1.3, 7) for p in x.tolist()]
    assert np.allclose(turned, profile(gauge, x / 1.3, 7), atol=1e-12)
    arrows, numbers = GaugeSlider().field(x / 1.3)
    found = np.array([call(blank, "gauge_slider", "js.wave(...args)", WAVES, p, 1.3) for p in x.tolist()])
    assert np.allclose(found[:, :3], arrows, atol=1e-12)
    assert np.allclose(found[:, 3], numbers, atol=1e-12)


@every_surface
@pytest.mark.parametrize("spin", [0, 1])
def test_the_convolution_is_that_of_the_course(blank: Watched, name: str, spin: int) -> None:
    surface, x = SURFACES[name], points(name, 5)
    layer = own_layer(spin).double()
    weights = layer.coefficients.tolist()
    code = """((surface, points, rows, extent, weights, options) => {
      const places = js.geometry(surface, points);
      const field = js.sample(places, rows, extent, options.spin);
      return js.convolve(places, field, weights, () => 0, options);
    })(...args)"""
    for forget in (False, True):
        for wrong in (False, True):
            conv = GaugeConv([spin], [1], frequency=lambda m, n, wrong=wrong: m - n + wrong).double()
            conv.coefficients.data = layer.coefficients
            stencil = Stencil(surface, x, None, RADII[name], 4, 12, transport=not forget)

            def section(q: Tensor, frame: Tensor, name: str = name) -> Tensor:
                arrows, numbers = GaugeSlider().field(q / EXTENTS[name])
                return (components(arrows, frame) if spin else numbers + 0j)[..., None]

            expected = conv(stencil, stencil.sample(section))[:, 0].detach()
            options = {"spin": spin, "forget": forget, "wrong": wrong, "radius": RADII[name]}
            arguments = (name, x.tolist(), WAVES, EXTENTS[name], weights, options)
            found = call(blank, "gauge_slider", code, *arguments)
            assert np.allclose(np.array(found) @ [1, 1j], expected, atol=1e-10)


# --- the picture


def test_the_camera_and_the_light(blank: Watched) -> None:
    """A sphere fills its disc, is brightest where the lamp is, and hides what is behind it."""
    code = """((eye) => {
      const side = 200, view = js.camera(eye, side, side, 1, 10);
      const at = (u, v) => { const [a, b] = [2 * Math.PI * u, Math.PI * (v - 0.5)];
        const x = [Math.cos(b) * Math.cos(a), Math.cos(b) * Math.sin(a), Math.sin(b)]; return { x, n: x }; };
      const ball = js.mesh(at, 60, 30);
      const colours = new Float64Array(3 * ball.count).fill(200);
      const red = Float64Array.from(colours, (_, k) => (k % 3 ? 0 : 200));
      const spot = (sign) => ({ ...js.mesh((u, v) => { const { x } = at(u, v);
        return { x: x.map((c, i) => 0.2 * c + 1.1 * sign * view.eye[i]), n: x }; }, 20, 10), colours: red, shade: 0 });
      const run = (...meshes) => [...js.rasterise(meshes, view, side).data];
      return { plain: run({ ...ball, colours, shade: 0.5 }), behind: run({ ...ball, colours, shade: 0.5 }, spot(-1)),
        before: run(spot(1), { ...ball, colours, shade: 0.5 }), right: view.place(view.right), up: view.place(view.up),
        lamp: view.place([0, 1, 2].map((i) => -0.4 * view.right[i] + 0.55 * view.up[i] + 0.73 * view.eye[i])),
        back: view.behind(view.place(view.up)) };
    })(args[0])"""
    found = call(blank, "scene", code, {"azimuth": 50, "elevation": -20})
    plain, behind, before = (
        np.array(found[k], dtype=float).reshape(200, 200, 4) for k in ("plain", "behind", "before")
    )
    assert plain[..., 3].sum() / 255 == pytest.approx(math.pi * 90**2, rel=0.02)
    bright = np.unravel_index(plain[..., 0].argmax(), (200, 200))
    assert np.hypot(bright[1] - found["lamp"][0], bright[0] - found["lamp"][1]) < 15
    assert np.array_equal(behind, plain)
    assert before[100, 100].tolist() == [200, 0, 0, 255]
    assert found["right"] == pytest.approx([190, 100])
    assert found["up"] == pytest.approx([100, 10])
    e = np.radians([50, -20])
    up = [-np.sin(e[1]) * np.cos(e[0]), -np.sin(e[1]) * np.sin(e[0]), np.cos(e[1])]
    assert found["back"] == pytest.approx(up)


def place(page: Watched, root: Any, index: int, widget: GaugeSlider) -> tuple[float, float]:
    """Where a point is on the page, in the first picture."""
    box = root.locator("canvas").first.bounding_box()
    x = widget.points[widget.surface][3 * index : 3 * index + 3]
    code = "js.camera(...args.slice(0, 5)).place(args[5])"
    eye = {"azimuth": widget.azimuth, "elevation": widget.elevation}
    u, v = call(page, "scene", code, eye, box["width"], box["height"], EXTENTS[widget.surface], 14, x)
    return box["x"] + u, box["y"] + v


def test_a_click_reads_a_point_and_a_drag_goes_round(page: OpenPage, blank: Watched) -> None:
    watched, widget = page(), GaugeSlider()
    (root,) = driver.host(watched, widget)
    x = spread(SURFACES["sphere"], 84, dtype=torch.float64)[0]
    eye = torch.tensor([0.785, 0.453, 0.423], dtype=torch.float64)
    front = int((x @ eye).argsort()[-3])
    assert front != driver.settings(root)["point"]
    watched.page.mouse.click(*place(blank, root, front, widget))
    assert driver.settings(root)["point"] == front
    before = driver.numbers(root)
    picture = driver.picture(root)
    u, v = place(blank, root, front, widget)
    watched.page.mouse.move(u, v)
    watched.page.mouse.down()
    watched.page.mouse.move(u + 90, v + 40)
    watched.page.mouse.up()
    assert driver.settings(root)["point"] == front  # that was no click
    assert driver.numbers(root) == before
    assert driver.picture(root) != picture
    model = watched.page.evaluate("['azimuth', 'elevation'].map((name) => window.models[0].get(name))")
    assert model[0] < 30
    assert model[1] > 25


def test_arrows_stay_where_they_are_and_jump_when_broken(page: OpenPage) -> None:
    """The read-out and the sentence below the bar, one broken thing after the other."""
    watched = page()
    (root,) = driver.host(watched, GaugeSlider(amount=0.0, gauge="rough"))
    still = driver.numbers(root)
    driver.put(root, "amount", "0.5")
    turned = driver.numbers(root)
    assert turned["error"] < 1e-13
    assert abs(turned["s_1"] - still["s_1"]) > 0.05
    assert "zero, to rounding" in (root.text_content() or "")
    driver.put(root, "forget", "true")
    assert driver.numbers(root)["error"] > 0.3
    assert "as if their frames agreed" in (root.text_content() or "")
    driver.put(root, "gauge", "one angle")
    assert driver.numbers(root)["error"] < 1e-13
    assert "All frames turn as one" in (root.text_content() or "")
    driver.put(root, "layer", "numbers")
    assert "nothing to be carried" in (root.text_content() or "")
    assert "forget" not in [control.name for control in driver.controls(root)]
    driver.put(root, "wrong", "true")
    assert driver.numbers(root)["error"] > 0.3
    root.get_by_role("button", name="turn back").click()
    assert driver.numbers(root)["error"] == 0


def test_a_finger_turns_the_surface_and_scrolls_beside_it(page: OpenPage) -> None:
    watched = page(viewport=(360, 740), touch=True)
    (root,) = driver.host(watched, GaugeSlider())
    taken = """(canvas, [x, y]) => {
      const box = canvas.getBoundingClientRect();
      const touch = new Touch({ identifier: 1, target: canvas,
        clientX: box.left + x * box.width, clientY: box.top + y * box.height });
      return !canvas.dispatchEvent(new TouchEvent("touchstart", { touches: [touch], cancelable: true }));
    }"""
    canvas = root.locator("canvas").first
    assert canvas.evaluate(taken, [0.5, 0.6])
    assert not canvas.evaluate(taken, [0.03, 0.1])


def quiet_layer(spin: int) -> GaugeConv:
    layer = GaugeConv([spin], [1]).requires_grad_(False)
    layer.coefficients.zero_()
    return layer


@pytest.mark.parametrize("case", ["numbers", "weights", "waves"])
def test_what_vanishes_is_drawn(page: OpenPage, case: str) -> None:
    """A field whose numbers are all zero, layers whose weights are, and a field that is zero altogether."""
    waves = [[*row[:7], 0.0] for row in WAVES] if case == "numbers" else [[0.0] * 8] if case == "waves" else None
    layers = (quiet_layer(1), quiet_layer(0)) if case == "weights" else (None, None)
    watched, widget = page(), GaugeSlider(*layers, waves=waves, amount=0.4)
    (root,) = driver.host(watched, widget)
    for layer in ("arrows", "numbers"):
        driver.put(root, "layer", layer)
        for wrong in ("false", "true"):
            driver.put(root, "wrong", wrong)
            shown = driver.numbers(root)
            driver.agree(shown, widget.readout(**driver.settings(root)))
            if (case, layer) != ("numbers", "arrows"):
                assert shown["error"] == shown["out_length"] == 0
    assert driver.numbers(root)["length"] == 0 or case == "weights"
    assert not watched.errors


def test_a_press_that_is_taken_away_is_no_click(page: OpenPage, blank: Watched) -> None:
    watched, widget = page(), GaugeSlider()
    (root,) = driver.host(watched, widget)
    x = spread(SURFACES["sphere"], 84, dtype=torch.float64)[0]
    front = int((x @ torch.tensor([0.785, 0.453, 0.423], dtype=torch.float64)).argsort()[-3])
    u, v = place(blank, root, front, widget)
    send = """(canvas, [type, clientX, clientY]) => canvas.dispatchEvent(
      new PointerEvent(type, { pointerId: 1, clientX, clientY, bubbles: true }))"""
    canvas = root.locator("canvas").first
    canvas.evaluate("(canvas) => { canvas.setPointerCapture = () => {}; }")  # no real pointer has this number
    for kinds, read in ((("pointerdown", "pointercancel", "pointerup"), 44), (("pointerdown", "pointerup"), front)):
        for kind in kinds:
            canvas.evaluate(send, [kind, u, v])
        assert driver.settings(root)["point"] == read

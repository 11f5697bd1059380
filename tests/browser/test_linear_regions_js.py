"""The linear regions on a bare page: their pure functions against torch, gradient descent and dragging."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gdl_lab.runtime import fresh_seed
from gdl_lab.widgets import LinearRegions
from gdl_lab.widgets.linear_regions import network

from . import driver
from .conftest import OpenPage, call
from .driver import Watched

pytestmark = pytest.mark.slow


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


# --- gradient descent and dragging


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

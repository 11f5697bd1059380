"""The kernel under its constraint on a bare page: its functions against numpy and the bundles, and what a hand does."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from gdl_lab.bundles import GaugeConv, Stencil, Surface, act, angle_between, representation, turn
from gdl_lab.runtime import fresh_seed
from gdl_lab.widgets import KernelConstraint
from gdl_lab.widgets.kernel_constraint import POINT, _kernel

from . import driver
from .conftest import OpenPage, call
from .driver import Watched

pytestmark = pytest.mark.slow
MODULE = "kernel_constraint"


def drawn(frequency: int, reading: str = "rotation") -> tuple[dict[str, Any], list[complex], np.random.Generator]:
    """Settings with random rings, and these as complex weights."""
    seed = fresh_seed()
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    rings = dict(zip(("inner", "middle", "outer"), rng.uniform(0.2, 1, 3).tolist(), strict=True))
    twist = int(rng.integers(-90, 91))
    weights = [w * np.exp(1j * math.radians(j * twist)) for j, w in enumerate(rings.values())]
    n_in, n_out = rng.integers(0, 4, 2).tolist()
    settings = {"n_in": n_in, "n_out": n_out, "frequency": frequency, "reading": reading, "twist": twist, **rings}
    return settings, weights, rng


@pytest.mark.parametrize("frequency", [-4, -1, 0, 2])
def test_the_kernel_is_that_of_the_course(blank: Watched, frequency: int) -> None:
    settings, weights, rng = drawn(frequency)
    polar = np.stack([rng.uniform(0, 1, 20), rng.uniform(-7, 7, 20)], 1)
    shown = np.array(call(blank, MODULE, "args[0].map((p) => js.kernel(...p, args[1]))", polar.tolist(), settings))
    X = polar[:, :1] * np.stack([np.cos(polar[:, 1]), np.sin(polar[:, 1])], 1)
    expected = _kernel(X, frequency, weights)
    assert np.allclose(shown @ [1, 1j], expected, rtol=0, atol=1e-12)
    assert not np.allclose(shown @ [1, -1j], expected, rtol=0, atol=1e-3)  # control


@pytest.mark.parametrize("reading", ["rotation", "components", "literal"])
def test_both_sides_are_those_of_the_constraint(blank: Watched, reading: str) -> None:
    settings, weights, rng = drawn(3, reading)
    n, m = settings["n_in"], settings["n_out"]
    for _ in range(5):
        r, theta, k = rng.uniform(0, 1), *rng.uniform(-math.pi, math.pi, 2)
        shown = call(blank, MODULE, "js.sides(...args)", r, theta, settings, k)
        g = k if reading == "rotation" else -k
        at = theta - k if reading == "components" else theta + k
        left, middle = _kernel(r * np.array([[math.cos(a), math.sin(a)] for a in (at, theta)]), 3, weights)
        right = (representation(m, g) * middle * representation(n, -g)).item()
        assert complex(*shown["left"]) == pytest.approx(left, abs=1e-12)
        assert complex(*shown["right"]) == pytest.approx(right, abs=1e-12)


@pytest.mark.parametrize("frequency", [-2, 0, 1])
def test_the_convolution_is_that_of_the_bundles(blank: Watched, frequency: int) -> None:
    """Up to the twelve midpoints in r; and turning its frame changes it as it changes theirs, to rounding."""
    settings, weights, _ = drawn(frequency)
    n, m = settings["n_in"], settings["n_out"]
    plane = Surface(lambda x: x[..., 2])

    def section(q: torch.Tensor, frame: torch.Tensor) -> torch.Tensor:
        field = torch.from_numpy(np.exp((0.46 - 0.3j) * q[..., 0].numpy() + (-1.16 + 1.12j) * q[..., 1].numpy()))
        return act(-n, angle_between(plane.frame(q), frame), field)[..., None]

    layer = GaugeConv([n], [m], frequency=lambda m, n: frequency).double().requires_grad_(False)
    w = torch.tensor(weights)
    layer.coefficients.copy_(torch.cat([w.real, w.imag]))
    stencil = Stencil(plane, torch.zeros(1, 3, dtype=torch.float64), radius=1.0, radial=16)
    shown, expected = {}, {}
    for k in (0.0, 0.8):
        shown[k] = complex(*call(blank, MODULE, "js.convolve(...args)", settings, k))
        turned = stencil.retake(frame=turn(stencil.frame, k))
        expected[k] = layer(turned, turned.sample(section)).item()
        assert shown[k] == pytest.approx(expected[k], rel=0.02, abs=1e-3)
    assert shown[0.8] / shown[0.0] == pytest.approx(expected[0.8] / expected[0.0], abs=1e-10)


def test_a_hand_turns_k_and_chooses_a_frequency(page: OpenPage) -> None:
    watched, widget = page(), KernelConstraint(0, 2, angle=0)
    (root,) = driver.host(watched, widget)
    box = root.locator("canvas").first.bounding_box()
    assert box is not None

    def at(degrees: float) -> tuple[float, float]:
        radius, angle = POINT[0] * (box["width"] / 2 - 18), math.radians(degrees)
        return (
            box["x"] + box["width"] / 2 + radius * math.cos(angle),
            box["y"] + box["height"] / 2 - radius * math.sin(angle),
        )

    mouse = watched.page.mouse
    mouse.move(*at(POINT[1]))
    mouse.down()
    mouse.move(*at(POINT[1] + 50), steps=4)
    assert driver.settings(root)["angle"] == pytest.approx(50, abs=2)
    mouse.move(*at(POINT[1] + 100), steps=4)
    mouse.move(*at(POINT[1] + 200), steps=4)
    mouse.up()
    assert driver.settings(root)["angle"] == pytest.approx(-160, abs=2)
    assert driver.numbers(root)["worst"] < 1e-12

    bars = root.locator('canvas[aria-label^="Difference"]').bounding_box()
    assert bars is not None
    mouse.click(bars["x"] + 8 + (bars["width"] - 16) * 7.5 / 9, bars["y"] + bars["height"] / 2)
    assert driver.settings(root)["frequency"] == 3
    driver.agree(driver.numbers(root), widget.readout(**driver.settings(root)))
    assert "notices the frame" in (root.locator(".gdl-note").text_content() or "")
    root.get_by_role("button", name="f = m − n").click()
    assert driver.settings(root)["frequency"] == 2


def test_what_is_said_of_the_readings(page: OpenPage) -> None:
    watched = page()
    (root,) = driver.host(watched, KernelConstraint(0, 1))

    def said(**controls: str) -> str:
        for name, value in controls.items():
            driver.put(root, name, value)
        return str(root.locator("fieldset p").text_content())

    assert said() == "Both sides agree for every k, and no frame is noticed."
    assert "no frame" in said(reading="components")
    assert said(reading="literal").startswith("No frame is noticed, and yet this line fails")
    assert said(frequency="-1").startswith("This line holds, and yet the frame is noticed")
    assert said(reading="rotation", angle="180") == "Both sides agree at this k, and not at others."
    assert said(angle="90").startswith("The sides part")
    assert said(n_out="0", frequency="0", reading="literal").startswith("Both sides agree for every k")

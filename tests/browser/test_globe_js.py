"""The globe on a bare page: harmonics, quadrature and rotations against e3nn and scipy, and how it is turned."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from e3nn import o3
from numpy.polynomial.legendre import leggauss
from torch import Tensor

from gdl_lab.runtime import fresh_seed
from gdl_lab.widgets import Globe
from gdl_lab.widgets.globe import harmonics, rotation

from . import driver
from .conftest import OpenPage, call
from .driver import Watched

pytestmark = pytest.mark.slow
ROUND_TRIP = "((x, L, grid) => [...js.analyse(js.synthesise(x, L, grid), L, grid)])(args[0], args[1], js.grid(args[2]))"


def drawn(*shape: int) -> Tensor:
    seed = fresh_seed()
    print(f"seed {seed}")
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def js(page: Watched, expression: str, *arguments: Any) -> Any:
    return call(page, "globe" if "js.look" in expression else "sphere", expression, *arguments)


def test_harmonics_are_those_of_e3nn_and_scipy(blank: Watched) -> None:
    alpha, beta = math.pi * drawn(30), math.pi * drawn(30).sigmoid()
    beta[:2] = torch.tensor([0.0, math.pi], dtype=torch.float64)
    xyz = o3.angles_to_xyz(alpha, beta)
    Y = np.array(js(blank, "[...js.harmonics(16, args[0])]", xyz.flatten().tolist())).reshape(30, 256)
    assert np.allclose(Y, harmonics(alpha.numpy(), beta.numpy()), atol=1e-12)
    expected = o3.spherical_harmonics(list(range(11)), xyz, normalize=True, normalization="component")
    assert np.allclose(Y[:, :121], expected, atol=1e-12)
    assert np.allclose((Y[:, 225:] ** 2).sum(1), 31, rtol=1e-12)  # Unsöld's theorem, degree 15


@pytest.mark.parametrize("n", [1, 2, 7, 48])
def test_quadrature(blank: Watched, n: int) -> None:
    nodes, weights = js(blank, "(({ nodes, weights }) => [[...nodes], [...weights]])(js.quadrature(args[0]))", n)
    expected, expected_weights = leggauss(n)
    assert np.allclose(nodes, expected[::-1], atol=1e-14)
    assert np.allclose(weights, expected_weights[::-1] / 2, rtol=1e-11)


def test_wigner_matrices_are_those_of_e3nn(blank: Watched) -> None:
    for alpha, beta, gamma in [*(180 * drawn(3, 3)).tolist(), [30.0, 0.0, 0.0], [0.0, 180.0, 50.0]]:
        R = js(blank, "js.rotation(...args)", alpha, beta, gamma)
        euler = torch.tensor([alpha, beta, gamma], dtype=torch.float64).deg2rad()
        assert np.allclose(R, o3.angles_to_matrix(*euler), atol=1e-14)
        D = js(blank, "js.wigner(16, args[0]).map((D) => [...D])", R)
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)  # e3nn makes its generators in it
        try:
            for l in (0, 1, 2, 7, 15):  # noqa: E741 - its name
                expected = o3.wigner_D(l, *euler)
                assert np.allclose(np.reshape(D[l], (2 * l + 1, 2 * l + 1)), expected, atol=1e-11)
        finally:
            torch.set_default_dtype(before)
        again = js(blank, "js.rotation(...js.angles(args[0]))", R)
        assert np.allclose(again, R, atol=1e-12)


@pytest.mark.parametrize("limit", [1, 4, 16])
def test_analysis_undoes_synthesis(blank: Watched, limit: int) -> None:
    x = drawn(limit**2)
    for n in (limit, limit + 3):
        again = js(blank, ROUND_TRIP, x.tolist(), limit, n)
        assert np.allclose(again, x, atol=1e-12)
    if limit > 1:  # control: one latitude too few
        lost = js(blank, ROUND_TRIP, x.tolist(), limit, limit - 1)
        assert not np.allclose(lost, x, atol=1e-3)


def test_a_turned_spectrum_is_the_turned_signal(blank: Watched) -> None:
    """(Λ_R x)(p) = x(R⁻¹p), at points anywhere."""
    x, p = drawn(256), torch.nn.functional.normalize(drawn(20, 3), dim=1)
    R = rotation(25.0, 70.0, -40.0)
    turned = js(blank, "[...js.turn(args[0], args[1])]", x.tolist(), [25.0, 70.0, -40.0])
    here, there = (harmonics(*(a.numpy() for a in o3.xyz_to_angles(q))) for q in (p, p @ R))
    assert np.allclose(here @ turned, there @ x.numpy(), atol=1e-10)


def test_the_picture_is_the_signal_seen_from_the_back(blank: Watched) -> None:
    """All pixels; the eye is at α = π on the equator, x to the left and y up."""
    x = drawn(256)
    shown = np.array(js(blank, "[...js.look(args[0])]", x.tolist()))
    side = math.isqrt(len(shown))
    row, column = np.divmod(np.arange(side**2), side)
    right, up = (2 * column + 1) / side - 1, 1 - (2 * row + 1) / side
    inside = right**2 + up**2 < 1
    points = np.stack([-right, up, -np.sqrt(np.abs(1 - right**2 - up**2))], 1)[inside]
    values = harmonics(*(a.numpy() for a in o3.xyz_to_angles(torch.from_numpy(points)))) @ x.numpy()
    assert np.allclose(shown[inside], values, atol=1e-4)
    assert not shown[~inside].any()


def test_the_globe_turns_with_the_hand(page: OpenPage) -> None:
    """The point in the middle is carried to the right, and then up, about the axes of the screen."""
    watched = page()
    (root,) = driver.host(watched, Globe())
    box = root.locator("canvas").first.bounding_box()
    assert box is not None
    x, y, radius = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["width"] / 2

    def present() -> Tensor:
        return rotation(*(driver.settings(root)[name] for name in ("alpha", "beta", "gamma")))

    first = present()
    middle = first.T @ torch.tensor([0.0, 0, -1], dtype=torch.float64)  # of the signal, under the pointer
    watched.page.mouse.move(x, y)
    watched.page.mouse.down()
    watched.page.mouse.move(x + 0.5 * radius, y)
    watched.page.mouse.up()
    assert torch.allclose(present() @ middle, torch.tensor([-math.sin(0.5), 0, -math.cos(0.5)]).double(), atol=1e-6)
    driver.put(root, "alpha", "0")
    before = present()
    middle = before.T @ torch.tensor([0.0, 0, -1], dtype=torch.float64)
    watched.page.mouse.move(x, y)
    watched.page.mouse.down()
    watched.page.mouse.move(x, y - 0.5 * radius)
    watched.page.mouse.up()
    assert torch.allclose(present() @ middle, torch.tensor([0, math.sin(0.5), -math.cos(0.5)]).double(), atol=1e-6)
    driver.agree(driver.numbers(root), Globe().readout(**driver.settings(root)))


def test_buttons_and_a_finger(page: OpenPage) -> None:
    watched = page(viewport=(360, 740), touch=True)
    (root,) = driver.host(watched, Globe(layer="chart"))
    assert driver.numbers(root)["error"] > 0.1
    root.get_by_role("button", name="about the axis only").click()
    assert driver.settings(root)["alpha"] == 20
    assert driver.numbers(root)["error"] < 1e-12
    root.get_by_role("button", name="upright").click()
    assert [driver.settings(root)[name] for name in ("alpha", "beta", "gamma")] == [0, 0, 0]
    taken = """(canvas, [x, y]) => {
      const box = canvas.getBoundingClientRect();
      const touch = new Touch({ identifier: 1, target: canvas,
        clientX: box.left + x * box.width, clientY: box.top + y * box.height });
      return !canvas.dispatchEvent(new TouchEvent("touchstart", { touches: [touch], cancelable: true }));
    }"""
    globe = root.locator("canvas").first
    assert globe.evaluate(taken, [0.5, 0.6])
    assert not globe.evaluate(taken, [0.03, 0.1])

"""The metric on a bare page: the classifier's gradient, singular values, distances and paths against torch."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from gdl_lab.runtime import fresh_seed
from gdl_lab.widgets.metric_explorer import score

from . import driver
from .cases import arc, explorer
from .conftest import OpenPage, call
from .driver import Watched

pytestmark = pytest.mark.slow


def drawn(*shape: int) -> torch.Tensor:
    seed = fresh_seed()
    print(f"seed {seed}")
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("logits", [1, 2])
@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU, nn.SiLU])
def test_the_score_and_its_gradient_are_autograds(blank: Watched, activation: type[nn.Module], logits: int) -> None:
    widget, x = explorer(activation, logits), drawn(20, 2)
    classifier = widget.to_classifier()
    values = np.frombuffer(widget.classifier, "<f4").tolist()
    for target in (0, 1):
        shown = call(
            blank,
            "metric_explorer",
            "((net) => args[3].map((x) => js.score(net, x, args[4])))"
            "(js.network(Float32Array.from(args[0]), args[1], args[2]))",
            values, list(widget.widths), widget.activation, x.tolist(), target,
        )  # fmt: skip
        for one, point in zip(shown, x, strict=True):
            p, gradient = score(classifier, point[None], target)
            assert math.isclose(one["p"], p, rel_tol=1e-9)
            assert np.allclose(one["gradient"], gradient[0].tolist(), rtol=1e-8, atol=1e-12)


def test_singular_values_and_the_long_axis(blank: Watched) -> None:
    for J in drawn(20, 2, 2):
        shown = call(blank, "metric_explorer", "js.singular(args[0])", J.tolist())
        left, sigma, _ = torch.linalg.svd(J)
        assert np.allclose(shown["sigma"], sigma.tolist(), rtol=1e-9)
        assert math.isclose(abs(float(torch.tensor(shown["axis"], dtype=torch.float64) @ left[:, 0])), 1, rel_tol=1e-9)
        metric = call(blank, "metric_explorer", "js.inverseMetric(args[0])", J.tolist())
        assert np.allclose(metric, (J @ J.mT).tolist(), rtol=1e-12)


def test_the_nearest_point_of_the_curve(blank: Watched) -> None:
    """Against a curve so finely cut that its corners are near enough."""
    curve = arc(12)
    along = torch.linspace(0, 1, 2001, dtype=torch.float64)[:, None]
    fine = torch.cat([a + along * (b - a) for a, b in pairwise(curve)])
    for x in drawn(20, 2):
        shown = call(blank, "metric_explorer", "js.nearest(args[0], args[1])", curve.flatten().tolist(), x.tolist())
        assert math.isclose(shown["distance"], float((fine - x).norm(dim=1).min()), abs_tol=1e-4)


@pytest.mark.parametrize("target", [0, 1])
def test_paths_climb(page: OpenPage, target: int) -> None:
    """At the end of a path p is larger, or large enough; a path of no length at all would not be."""
    widget = explorer(point=[0.5, 0.3], target=target, path_x=True, path_z=True)
    (root,) = driver.host(page(), widget)
    shown = driver.numbers(root)
    for space in "xz":
        assert shown[f"steps_{space}"] > 0
        assert shown[f"p_{space}"] > shown["p"]
        assert (shown[f"p_{space}"] >= 0.99) == (shown[f"steps_{space}"] < 200)


def test_dragging_the_point(page: OpenPage) -> None:
    watched, widget = page(), explorer()
    (root,) = driver.host(watched, widget)
    box = root.locator("canvas").bounding_box()
    assert box is not None
    middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
    watched.page.mouse.move(*middle)
    watched.page.mouse.down()
    low, high = arc().min(0).values, arc().max(0).values
    assert np.allclose(driver.settings(root)["point"], ((low + high) / 2).tolist(), atol=0.02)
    watched.page.mouse.move(middle[0] + 2 * box["width"], middle[1])
    watched.page.mouse.up()
    reach = 1.5 * float((high - low).max() / 2)
    assert np.isclose(driver.settings(root)["point"][0], float((low + high)[0] / 2) + reach, atol=0.02)
    driver.agree(driver.numbers(root), widget.readout(**driver.settings(root)))


def test_a_finger_moves_the_point_and_scrolls_elsewhere(page: OpenPage) -> None:
    watched = page(viewport=(360, 740), touch=True)
    (root,) = driver.host(watched, explorer(point=[0.0, 0.2]))
    taken = """(canvas, [x, y]) => {
      const box = canvas.getBoundingClientRect();
      const touch = new Touch({ identifier: 1, target: canvas,
        clientX: box.left + x * box.width, clientY: box.top + y * box.height });
      return !canvas.dispatchEvent(new TouchEvent("touchstart", { touches: [touch], cancelable: true }));
    }"""
    canvas = root.locator("canvas")
    assert canvas.evaluate(taken, [0.5, 0.5])
    assert not canvas.evaluate(taken, [0.1, 0.1])

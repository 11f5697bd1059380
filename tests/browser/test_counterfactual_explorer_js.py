"""The explorer of counterfactuals on a bare page: its pictures and changes are steps of the paths of `ascend`."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from torch import Tensor

from gdl_lab.counterfactuals import Path, ascend, log_probability
from gdl_lab.flows import RealNVP
from gdl_lab.widgets import CounterfactualExplorer

from . import driver
from .cases import STEP_SIZES, WIDGETS, moved, pictures, reader
from .conftest import OpenPage, call
from .driver import Watched

pytestmark = pytest.mark.slow

STORED = """js.unpack((name) => ({ ...args[0], ...Object.fromEntries(["changes", "originals", "reached", "curves"]
  .map((key, k) => [key, new DataView(Uint8Array.from(args[1][k]).buffer)])) })[name])"""


def unpacked(widget: CounterfactualExplorer) -> list[object]:
    plain = {name: getattr(widget, name) for name in ("shape", "step_sizes", "frames", "goals")}
    return [plain, [list(each) for each in (widget.changes, widget.originals, widget.reached, widget.curves)]]


def first_so_far(path: Path, part: float) -> Tensor:
    """The point of a path of one sample where its log-odds have first come a part of the way to p = 0.99."""
    log_odds = [float(s - math.log(-math.expm1(s))) for s in path.score[:, 0]]
    level = log_odds[0] + part * (math.log(99) - log_odds[0])
    step = next((k for k, value in enumerate(log_odds) if value >= level - 1e-9), len(log_odds) - 1)
    return path.x[step, 0]


def test_frames_and_changes_are_the_paths(blank: Watched) -> None:
    """Every picture, target, optimiser, step size and space, at three positions, against paths climbed one by one."""
    x, classifier, flow = pictures(2, 4, 6).double(), reader(4, 24, 3), moved(RealNVP(24, 4, (16,)).double(), 2)
    widget = CounterfactualExplorer(classifier, flow, x, [2, 0], None, STEP_SIZES, frames=6, steps=60)
    choices = list(itertools.product(("z", "x"), range(2), range(2), STEP_SIZES, range(2), (0, 2, 5)))
    asked = [
        [space, {"picture": p, "target": g, "optimiser": o, "step": s, "t": t}] for space, p, g, o, s, t in choices
    ]
    shown = call(
        blank,
        "counterfactual_explorer",
        f"((stored) => args[2].map((a) => [[...js.frame(stored, ...a)], [...js.change(stored, ...a)]]))({STORED})",
        *unpacked(widget),
        asked,
    )
    ends = []
    for (space, picture, target, optimiser, step, t), (frame, change) in zip(choices, shown, strict=True):
        start = x[[picture]].flatten(1)
        path = ascend(
            log_probability(classifier, [2, 0][target]),
            flow.pull(start) if space == "z" else start,
            flow.push if space == "z" else None,
            lr=STEP_SIZES[optimiser][step][0 if space == "z" else 1],
            steps=60,
            optimizer="adam" if optimiser == "adam" else "plain",
        )
        expected = (first_so_far(path, t / 5) - start[0]).numpy()
        step_size = np.abs(expected).max() / 250
        assert np.abs(np.array(change) - expected).max() <= step_size + 1e-9, (space, picture, target, optimiser, t)
        assert np.abs(np.array(frame) - (start[0].numpy() + expected)).max() <= step_size + 0.51 / 255
        if t == 5:
            ends.append(expected)
    assert min(np.abs(a - b).max() for a, b in itertools.combinations(ends, 2)) > 0.01  # control: all are different


def test_a_map_is_the_mean_of_the_colours(blank: Watched) -> None:
    stored = {
        "channels": 3, "rows": 1, "columns": 2, "frames": 2, "goals": 1, "optimisers": ["plain"], "pairs": 1,
    }  # fmt: skip
    settings = {"picture": 0, "target": 0, "optimiser": "plain", "step": 0, "t": 1}
    shown = call(
        blank,
        "counterfactual_explorer",
        "((s) => [[...js.difference(s, 'x', args[1])], js.reach(s, 'x', args[1]), [...js.frame(s, 'x', args[1])]])"
        "({ ...args[0], originals: new Uint8Array(6), changes: Int8Array.from(args[2]), "
        "curves: Float32Array.from(args[3]) })",
        stored,
        settings,
        [0] * 6 + [127, -127, 0, -127, -127, 127],
        [0.0] * 10 + [0, 0, 0, 0, 0, 0, 0, 0.6, 0, 0],
    )
    assert shown[0] == pytest.approx([0.0, -0.2])
    assert shown[1] == pytest.approx(0.2)
    assert shown[2] == pytest.approx([0.6, -0.6, 0, -0.6, -0.6, 0.6])


def test_lists_with_one_entry_are_hidden_and_step_sizes_follow_the_optimiser(page: OpenPage) -> None:
    watched = page()
    several, one = driver.host(
        watched, WIDGETS["CounterfactualExplorer"](), WIDGETS["CounterfactualExplorer, one path of 28 × 28"]()
    )
    assert [c.name for c in driver.controls(one)] == ["t", "step", "magnify"]
    options = several.locator('[data-name="step"] option')
    assert options.all_text_contents() == ["λ = 0.05 in Z, 0.02 in X", "λ = 0.3 in Z, 0.1 in X"]
    driver.put(several, "optimiser", "adam")
    assert options.all_text_contents() == ["λ = 0.05 in Z, 0.01 in X", "λ = 0.2 in Z, 0.05 in X"]


def test_captions_say_where_a_target_was_not_reached(page: OpenPage) -> None:
    watched = page()
    x, flow = pictures(2, 8, 8).double(), RealNVP(64, 2, (8,)).double()
    (root,) = driver.host(
        watched,
        CounterfactualExplorer(reader(1, 64, 3), flow, x, [0], step_sizes={"plain": [(1e-4, 0.5)]}, steps=200),
    )
    captions = root.locator("figcaption").all_inner_texts()
    assert "path in Z" in captions[1]
    assert "not reached" in captions[1]
    assert "adversarial" in captions[2].replace("\u00ad", "")
    assert "not reached" not in captions[2]
    driver.put(root, "t", "1")
    assert "not reached" not in root.locator("figcaption").all_inner_texts()[1]


def test_dragging_along_the_curves(page: OpenPage) -> None:
    watched = page()
    (root,) = driver.host(watched, WIDGETS["CounterfactualExplorer"]())
    box = root.locator("canvas").last.bounding_box()
    assert box is not None
    for share, act, t in ((0.0, watched.page.mouse.down, 0), (1.0, watched.page.mouse.up, 15)):
        watched.page.mouse.move(box["x"] + 1 + share * (box["width"] - 2), box["y"] + 20, steps=3)
        act()
        assert driver.settings(root)["t"] == t

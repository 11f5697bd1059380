"""The kernel editor on a bare page: its convolution against torch, and what is typed into it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gdl_lab.runtime import fresh_seed
from gdl_lab.widgets import KernelEditor
from gdl_lab.widgets.kernel_editor import PRESETS

from . import driver
from .conftest import OpenPage, call
from .driver import Watched

pytestmark = pytest.mark.slow


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

"""Milliseconds of one slider move of each widget, from the event until the page is drawn: the aim is 50.

    python -m benchmarks.widgets

Needs a Chromium, ``CHROMIUM`` or one on the PATH.
"""

from __future__ import annotations

from playwright.sync_api import sync_playwright

from gdl_lab.widgets import DimensionEstimate, KernelEditor, LinearRegions
from tests.browser import driver

CASES = {
    "LinearRegions, widths (4, 3)": LinearRegions,
    "LinearRegions, widths (8, 8, 8)": lambda: LinearRegions(widths=(8, 8, 8)),
    "KernelEditor, 8 × 8": KernelEditor,
    "KernelEditor, 64 × 64": lambda: KernelEditor([[[float((r * c) % 7) for c in range(64)] for r in range(64)]]),
    "DimensionEstimate, 600 points in R¹²": lambda: DimensionEstimate(n=600, ambient=12, noise=0.05),
}


def main() -> None:
    """Print one line a case: the median of 25 moves of each of its sliders."""
    path = driver.find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=driver.FLAGS)
        for name, make in CASES.items():
            watched = driver.Watched(browser.new_page(viewport={"width": 1280, "height": 900}))
            (root,) = driver.host(watched, make())
            driver.move_times(root, moves=9)  # the first moves compile the code
            times = driver.move_times(root, moves=25)
            print(f"{name:34s}" + "  ".join(f"{slider} {ms:.1f}" for slider, ms in times.items()))
            watched.page.close()
        browser.close()


if __name__ == "__main__":
    main()

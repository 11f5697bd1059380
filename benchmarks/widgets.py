"""Milliseconds of one slider move of each widget, from the event until the page is drawn: the aim is 50.

    python -m benchmarks.widgets

Needs a Chromium, ``CHROMIUM`` or one on the PATH.
"""

from __future__ import annotations

from playwright.sync_api import sync_playwright
from torch import nn

from gdl_lab.flows import RealNVP
from gdl_lab.symmetry import C1, C4, GroupNetwork
from gdl_lab.widgets import (
    CounterfactualExplorer,
    DigitWalk,
    DimensionEstimate,
    FlowLayers,
    GaugeSlider,
    Globe,
    HolonomyLoop,
    KernelConstraint,
    KernelEditor,
    LinearRegions,
    MetricExplorer,
    ScrambledLattice,
    TurnedFeatures,
)
from tests.browser import driver
from tests.browser.cases import STEP_SIZES, arc, colourful, pictures, planar_data, random_flow, reader, sweep_figure

CASES = {
    "LinearRegions, widths (4, 3)": LinearRegions,
    "LinearRegions, widths (8, 8, 8)": lambda: LinearRegions(widths=(8, 8, 8)),
    "KernelEditor, 8 × 8": KernelEditor,
    "KernelEditor, 64 × 64": lambda: KernelEditor([[[float((r * c) % 7) for c in range(64)] for r in range(64)]]),
    "DimensionEstimate, 600 points in R¹²": lambda: DimensionEstimate(n=600, ambient=12, noise=0.05),
    "FlowLayers, 8 × (2 × 64)": lambda: FlowLayers(random_flow(1, 8, (64, 64)), planar_data(n=300)),
    "DigitWalk, 6 of 28 × 28": lambda: DigitWalk(RealNVP(784, 2, (16,), principal=16), pictures(6, 28, 28)),
    "CounterfactualExplorer, 4 of 28 × 28": lambda: CounterfactualExplorer(
        reader(0, 784, 3), RealNVP(784, 2, (16,)).double(), pictures(4, 28, 28), [1, 2], None, STEP_SIZES, steps=40
    ),
    "CounterfactualExplorer, 3 × 32 × 32": lambda: CounterfactualExplorer(
        reader(0, 3072, 2), RealNVP(3072, 2, (16,)).double(), colourful(4, 32, 32), [1], None, STEP_SIZES, steps=40
    ),
    "MetricExplorer, 8 × (2 × 64), paths": lambda: MetricExplorer(  # paths of 200 steps, the most
        [(delta, random_flow(k, 8, (64, 64))) for k, delta in enumerate((0.3, 0.1, 0.03, 0.01))],
        arc(),
        4 * [arc(300)],
        nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 2)),
        path_x=True,
        path_z=True,
        log_rate=-3.0,
    ),
    "TurnedFeatures, 28 × 28, 3 layers": lambda: TurnedFeatures(
        pictures(6, 28, 28), {"C4": GroupNetwork(C4), "C1": GroupNetwork(C1, (16, 24, 32))}
    ),
    "Globe, L = 16": lambda: Globe(bandlimit=16, oversample=3),
    "SweepFigure, 12 points": sweep_figure,
    "GaugeSlider, sphere": GaugeSlider,
    "GaugeSlider, bumpy ball": lambda: GaugeSlider(surface="bumpy ball", gauge="rough", forget=True),
    "GaugeSlider, torus, numbers": lambda: GaugeSlider(surface="torus", layer="numbers"),
    "HolonomyLoop, circle on the sphere": HolonomyLoop,
    "HolonomyLoop, circle on the torus": lambda: HolonomyLoop(surface="torus", size=0.9),
    "HolonomyLoop, octant of the ellipsoid": lambda: HolonomyLoop(surface="ellipsoid", loop="octant"),
    "KernelConstraint": KernelConstraint,
    "ScrambledLattice, 8 × 8": ScrambledLattice,
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
            print(f"{name:38s}" + "  ".join(f"{slider} {ms:.1f}" for slider, ms in times.items()))
            watched.page.close()
        browser.close()


if __name__ == "__main__":
    main()

"""The scrambled lattice on a bare page: links, loops and densities against the course's, and what a hand does."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import special, stats

from gdl_lab.lattice import (
    angles,
    exact_plaquette,
    from_angles,
    plaquette_angles,
    regauge,
    topological_charge,
    wilson_loop,
    wrap,
)
from gdl_lab.runtime import fresh_seed
from gdl_lab.widgets import ScrambledLattice

from . import driver
from .conftest import OpenPage, call
from .driver import Watched

pytestmark = pytest.mark.slow
MODULE = "lattice"
BY_HAND = {"amount": 0, "site": 0, "turn": 0, "link": 0, "change": 0, "corner": 0, "width": 1, "height": 1}


def field(size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Generator]:
    """Angles of links (1, 2, L, L) and of a gauge (1, 1, L, L)."""
    seed = fresh_seed()
    print(f"seed {seed}")
    generator = torch.Generator().manual_seed(seed)
    theta, omega = (torch.randn(1, c, size, size, dtype=torch.float64, generator=generator) * 4 for c in (2, 1))
    return theta, omega, generator


def same(shown: object, expected: torch.Tensor) -> bool:
    """Equal angles, whatever whole turns are between them."""
    return bool(wrap(torch.tensor(shown, dtype=torch.float64) - expected.flatten()).abs().max() < 1e-12)


@pytest.mark.parametrize("size", [4, 7, 8])
def test_links_and_squares_are_those_of_the_course(blank: Watched, size: int) -> None:
    theta, omega, _ = field(size)
    flat, gauge = theta.flatten().tolist(), omega.flatten().tolist()
    P = call(blank, MODULE, "[...js.plaquettes(args[0], args[1])]", flat, size)
    assert np.allclose(P, plaquette_angles(theta).flatten(), atol=1e-12)
    moved = angles(regauge(from_angles(theta), from_angles(omega)))
    assert same(call(blank, MODULE, "[...js.regauge(...args)]", flat, gauge, size), moved)
    backwards = [-angle for angle in gauge]
    assert not same(call(blank, MODULE, "[...js.regauge(...args)]", flat, backwards, size), moved)  # control
    charge = call(blank, MODULE, "[...args[0]].reduce((a, b) => a + b, 0) / js.TURN", P)
    assert charge == pytest.approx(float(topological_charge(from_angles(theta))), abs=1e-12)


def test_loops_are_those_of_the_course(blank: Watched) -> None:
    size = 6
    theta, _, generator = field(size)
    flat = theta.flatten().tolist()
    for _ in range(8):
        corner = int(torch.randint(36, (), generator=generator))
        width, height = torch.randint(1, size, (2,), generator=generator).tolist()
        settings = {"corner": corner, "width": width, "height": height}
        shown = call(
            blank, MODULE, "js.loop(args[0], js.plaquettes(args[0], args[1]), args[1], args[2])", flat, size, settings
        )
        W = wilson_loop(from_angles(theta), 0, 1, width, height)[0, 0, corner // size, corner % size, 0, 0]
        assert complex(shown["re"], shown["im"]) == pytest.approx(complex(W), abs=1e-12)
        assert np.exp(1j * shown["inside"]) == pytest.approx(complex(W), abs=1e-12)  # Stokes


def test_changes_are_counted_where_they_are(blank: Watched) -> None:
    theta, omega, _ = field(5)
    flat, gauge = theta.flatten().tolist(), omega.flatten().tolist()
    change = "(({ moved, turned }) => ({ moved: moved.map(Number), turned: turned.map(Number) }))(js.compare(...args))"
    link, by = 25 + 2 * 5 + 3, 40  # from (2, 3) upwards: between the squares of (1, 3) and (2, 3)
    shown = call(blank, MODULE, change, flat, gauge, 5, {**BY_HAND, "link": link, "change": by})
    assert np.flatnonzero(shown["moved"]).tolist() == [link]
    assert np.flatnonzero(shown["turned"]).tolist() == [1 * 5 + 3, 2 * 5 + 3]
    shown = call(blank, MODULE, change, flat, gauge, 5, {**BY_HAND, "site": 0, "turn": 40})
    assert np.flatnonzero(shown["moved"]).tolist() == [0, 4 * 5, 25, 25 + 4]  # across both seams
    assert sum(shown["turned"]) == 0
    shown = call(blank, MODULE, change, flat, gauge, 5, {**BY_HAND, "amount": 0.5})
    assert (sum(shown["moved"]), sum(shown["turned"])) == (50, 0)


def test_densities_are_those_of_the_course(blank: Watched) -> None:
    P = np.linspace(-math.pi, math.pi, 41)
    for beta in (0.3, 1.0, 3.0, 8.0, 60.0, 400.0, 1000.0):
        n = list(range(6))
        assert np.allclose(
            call(blank, MODULE, f"args[0].map((n) => js.bessel(n, {beta}))", n), special.ive(n, beta), 1e-12, 1e-15
        )
        shown = call(blank, MODULE, f"args[0].map((P) => js.density(P, {beta}))", P.tolist())
        assert np.allclose(shown, stats.vonmises(beta).pdf(P), rtol=1e-10)
        for volume in (16, 64):
            assert call(blank, MODULE, f"js.exactMean({beta}, {volume})") == pytest.approx(
                exact_plaquette(beta, volume), rel=1e-12
            )


def test_a_histogram_is_numpys(blank: Watched) -> None:
    seed = fresh_seed()
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    levels, logs = rng.integers(-128, 128, (9, 16)), rng.normal(size=9)
    weights = call(blank, MODULE, "js.softmax(args[0])", logs.tolist())
    assert np.allclose(weights, special.softmax(logs), rtol=1e-13)
    shown = call(
        blank,
        MODULE,
        "(({ share, numbers }) => ({ share: [...share], ...numbers }))(js.weigh(...args))",
        levels.ravel().tolist(),
        weights,
        16,
        2.0,
    )
    P = (levels + 0.5) * 2 * np.pi / 256
    edges = np.linspace(-np.pi, np.pi, 33)
    share, _ = np.histogram(P.ravel(), edges, weights=np.repeat(weights, 16) / 16)
    assert np.allclose(shown["share"], share, atol=1e-14)
    wanted = np.diff(stats.vonmises(2.0).cdf(edges))
    assert shown["distance"] == pytest.approx(np.abs(share - wanted).sum() / 2, abs=1e-7)
    assert shown["sampled"] == pytest.approx(np.dot(weights, np.cos(P).mean(1)), rel=1e-12)


def test_a_hand_turns_sites_and_links_and_draws_loops(page: OpenPage) -> None:
    watched, widget = page(), ScrambledLattice()
    (root,) = driver.host(watched, widget)
    box = root.locator("canvas").first.bounding_box()
    assert box is not None
    cell, mouse = box["width"] / 8.7, watched.page.mouse

    def at(i: float, j: float) -> tuple[float, float]:
        return box["x"] + (i + 0.35) * cell, box["y"] + box["height"] - (j + 0.35) * cell

    def drag(*places: tuple[float, float]) -> None:
        mouse.move(*at(*places[0]))
        mouse.down()
        for place in places[1:]:
            mouse.move(*at(*place), steps=3)
        mouse.up()

    drag((5.2, 2), (5, 2.3))
    shown = driver.settings(root)
    assert shown["site"] == 5 * 8 + 2
    assert shown["turn"] == pytest.approx(90, abs=3)
    assert (driver.numbers(root)["links_moved"], driver.numbers(root)["squares_changed"]) == (4, 0)
    drag((7.9, 8.1), (8.2, 8.1))  # the copy of the site (0, 0) beyond both seams
    assert driver.settings(root)["site"] == 0

    root.get_by_role("button", name="put all back").click()
    assert driver.numbers(root)["links_moved"] == 0
    drag((2.5, 4.1), (2.6, 4.0), (2.5, 3.9))
    shown = driver.settings(root)
    assert shown["link"] == 2 * 8 + 4
    assert shown["change"] == pytest.approx(-180, abs=15) or shown["change"] == pytest.approx(180, abs=15)
    assert (driver.numbers(root)["links_moved"], driver.numbers(root)["squares_changed"]) == (1, 2)

    drag((5.5, 4.5), (4.5, 3.5), (2.4, 1.6))  # from square to square
    shown = driver.settings(root)
    assert (shown["corner"], shown["width"], shown["height"]) == (2 * 8 + 1, 4, 4)
    drag((7.5, 0.5), (8.05, -0.3))  # beyond the seams
    shown = driver.settings(root)
    assert (shown["corner"], shown["width"], shown["height"]) == (7 * 8 + 7, 2, 2)
    driver.agree(driver.numbers(root), widget.readout(**shown))
    for _ in range(17):
        root.get_by_role("button", name="another gauge").click()
    assert driver.settings(root)["gauge"] == 1
    assert driver.settings(root)["amount"] == 1
    driver.agree(driver.numbers(root), widget.readout(**driver.settings(root)))


def test_samplers_are_offered_where_they_are(page: OpenPage) -> None:
    watched, widget = page(), ScrambledLattice(sampler="trained flow", coupling=2)
    (root,) = driver.host(watched, widget)
    options = {c.name: c.values for c in driver.controls(root)}
    assert options["sampler"] == ("HMC", "trained flow", "tree gauge")
    assert "weighted" in options
    raw = driver.numbers(root)
    driver.put(root, "weighted", "true")
    assert driver.numbers(root)["ess"] < 0.2 < raw["ess"]
    driver.put(root, "coupling", "1")
    options = {c.name: c.values for c in driver.controls(root)}
    assert options["sampler"] == ("HMC", "tree gauge")
    assert "weighted" not in options  # HMC stands in, and has no weights
    driver.agree(driver.numbers(root), widget.readout(**driver.settings(root)))


@pytest.mark.parametrize("beta", [60.0, 1000.0])
def test_narrow_densities_are_drawn(page: OpenPage, beta: float) -> None:
    seed = fresh_seed()
    print(f"seed {seed}")
    theta = torch.randn(40, 2, 4, 4, generator=torch.Generator().manual_seed(seed)) * beta**-0.5
    watched, widget = page(), ScrambledLattice({beta: {"q": theta}})
    (root,) = driver.host(watched, widget)
    driver.agree(driver.numbers(root), widget.readout(**driver.settings(root)), relative=1e-7)
    assert not watched.errors

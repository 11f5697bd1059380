"""The Python side of the kernel under its constraint and of the scrambled lattice."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import traitlets
from scipy import integrate, special

from gdl_lab import recipes
from gdl_lab.bundles import GaugeConv, Stencil, Surface
from gdl_lab.lattice import PlaquetteFlow, exact_plaquette, plaquette_angles, topological_charge
from gdl_lab.lattice import from_angles as links_of
from gdl_lab.runtime import fresh_seed
from gdl_lab.training import CheckpointError
from gdl_lab.widgets import KernelConstraint, ScrambledLattice
from gdl_lab.widgets.kernel_constraint import _kernel
from gdl_lab.widgets.scrambled_lattice import BETAS, draws
from tests.browser.cases import WIDGETS, small_lattice

MINE = [name for name in WIDGETS if name.startswith(("KernelConstraint", "ScrambledLattice"))]
PAIRS = [(n, m) for n in range(4) for m in range(4)]


def fresh() -> np.random.Generator:
    seed = fresh_seed()
    print(f"seed {seed}")
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", MINE)
def test_a_widget_prints_without_addresses_and_can_be_made_anew(name: str) -> None:
    widget = WIDGETS[name]()
    assert "0x" not in repr(widget)
    again = type(widget).from_state(widget.get_state())
    assert again.readout() == widget.readout()
    assert sum(len(value) for value in widget.get_state().values() if isinstance(value, bytes)) < 300_000


# --- the kernel and its constraint


def any_kernel(rng: np.random.Generator) -> dict[str, Any]:
    weights = {name: float(rng.uniform(0.2, 1) * rng.choice([-1, 1])) for name in ("inner", "middle", "outer")}
    return {**weights, "twist": int(rng.integers(-90, 91)), "angle": int(rng.integers(20, 161))}


@pytest.mark.parametrize(("n", "m"), PAIRS)
def test_one_frequency_passes_and_it_is_the_one_that_frames_do_not_notice(n: int, m: int) -> None:
    kernel = any_kernel(fresh())
    widget = KernelConstraint(n, m, **kernel)
    for f in range(-4, 5):
        off = abs(np.exp(1j * (m - n - f) * math.radians(kernel["angle"])) - 1)
        for reading in ("rotation", "components"):
            shown = widget.readout(frequency=f, reading=reading)
            assert shown["difference"] == pytest.approx(off, abs=1e-12)
            assert shown["gauge_error"] == pytest.approx(off, abs=1e-11)
            assert (shown["worst"] < 1e-12) == (f == m - n == shown["passes"])
            assert shown["worst"] < 1e-12 or shown["worst"] > 1.9


@pytest.mark.parametrize(("n", "m"), PAIRS)
def test_the_line_read_literally_wants_the_opposite(n: int, m: int) -> None:
    kernel = any_kernel(fresh())
    widget = KernelConstraint(n, m, **kernel, reading="literal")
    passing = [f for f in range(-4, 5) if widget.readout(frequency=f)["worst"] < 1e-12]
    assert passing == [widget.readout()["passes"]] == [n - m]
    noticed = abs(np.exp(2j * (m - n) * math.radians(kernel["angle"])) - 1)
    assert widget.readout(frequency=n - m)["gauge_error"] == pytest.approx(noticed, abs=1e-11)
    assert n == m or widget.readout(frequency=m - n)["worst"] > 1.9


def test_at_half_a_turn_a_frequency_that_is_off_by_two_passes() -> None:
    half = KernelConstraint(0, 1, frequency=3, angle=180).readout()
    assert half["difference"] < 1e-12
    assert half["gauge_error"] < 1e-12
    assert half["worst"] == pytest.approx(2)
    assert KernelConstraint(0, 1, frequency=2, angle=180).readout()["difference"] == pytest.approx(2)


@pytest.mark.parametrize("frequency", [-2, 0, 1])
def test_the_kernel_is_that_of_the_convolution(frequency: int) -> None:
    """Read from `GaugeConv` by fields that are 1 at one node and 0 at the others."""
    rng = fresh()
    w = rng.normal(size=3) + 1j * rng.normal(size=3)
    stencil = Stencil(Surface(lambda x: x[..., 2]), torch.zeros(1, 3, dtype=torch.float64), radius=1.0)
    layer = GaugeConv([1], [2], frequency=lambda m, n: frequency).double().requires_grad_(False)
    layer.coefficients.copy_(torch.from_numpy(np.concatenate([w.real, w.imag])))
    nodes = rng.choice(stencil.r.shape[1], 5, replace=False)
    X = np.stack([(stencil.r * stencil.theta.cos())[0, nodes], (stencil.r * stencil.theta.sin())[0, nodes]], 1)
    for node, expected in zip(nodes, _kernel(X, frequency, list(w)), strict=True):
        c = torch.zeros(1, stencil.r.shape[1], 1, dtype=torch.complex128)
        c[0, node] = 1
        assert layer(stencil, c).item() / float(stencil.weight[0, node]) == pytest.approx(expected, rel=1e-10)


def test_no_kernel_passes_everything() -> None:
    none = KernelConstraint(0, 1, frequency=-3, inner=0.0, middle=0.0, outer=0.0).readout()
    assert none.pop("passes") == 1
    assert set(none.values()) == {0}


@pytest.mark.parametrize(
    "settings", [{"n_in": 4}, {"n_out": -1}, {"frequency": 5}, {"angle": 181}, {"reading": "other"}, {"inner": 1.1}]
)
def test_the_kernel_refuses(settings: dict[str, Any]) -> None:
    with pytest.raises(traitlets.TraitError):
        KernelConstraint(**{"frequency": 0, **settings})


# --- the scrambled lattice

INVARIANT = ("plaquette", "charge", "loop_re", "loop_im", "inside", "squares_changed", "largest")


@pytest.mark.parametrize("name", [name for name in MINE if "Lattice" in name])
def test_a_gauge_moves_links_and_nothing_else(name: str) -> None:
    rng, widget = fresh(), WIDGETS[name]()
    many, shown, size = widget.shape
    for coupling in range(many):
        still = {"coupling": coupling, "field": int(rng.integers(shown)), "corner": int(rng.integers(size**2))}
        still |= {"width": int(rng.integers(1, size)), "height": int(rng.integers(1, size)), "change": 0}
        before = widget.readout(**still, amount=0.0, turn=0)
        assert before["links_moved"] == before["largest"] == 0
        assert before["charge"] == pytest.approx(round(before["charge"]), abs=1e-12)
        whole = np.exp(2j * np.pi * before["inside"])
        assert (before["loop_re"], before["loop_im"]) == pytest.approx((whole.real, whole.imag), abs=1e-12)
        settings = {"gauge": int(rng.integers(16)), "amount": 0.7, "turn": 33, "site": int(rng.integers(size**2))}
        after = widget.readout(**still, **settings)
        assert after["links_moved"] == 2 * size**2
        assert {k: after[k] for k in INVARIANT} == pytest.approx({k: before[k] for k in INVARIANT}, abs=1e-12)


def test_a_site_has_four_links_and_a_link_two_squares() -> None:
    rng, widget = fresh(), ScrambledLattice()
    for _ in range(10):
        site, turn = int(rng.integers(64)), int(rng.integers(1, 180))
        one = widget.readout(amount=0.0, site=site, turn=turn)
        assert (one["links_moved"], one["squares_changed"]) == (4, 0)
        link = widget.readout(amount=0.0, link=int(rng.integers(128)), change=turn)
        assert (link["links_moved"], link["squares_changed"]) == (1, 2)
        assert link["largest"] == pytest.approx(math.radians(turn))
        both = widget.readout(amount=1.0, link=7, change=turn)
        assert (both["links_moved"], both["squares_changed"]) == (128, 2)


def test_a_loop_feels_its_own_links_only() -> None:
    widget = ScrambledLattice(corner=9, width=3, height=2)  # from (1, 1) to (4, 3)
    still = widget.readout()
    along, off = 2 * 8 + 3, 2 * 8 + 2  # the link from (2, 3) to the right is its upper side, that from (2, 2) within
    assert widget.readout(link=off, change=90)["loop_re"] == pytest.approx(still["loop_re"], abs=1e-12)
    turned = complex(still["loop_re"], still["loop_im"]) * -1j  # walked backwards
    felt = widget.readout(link=along, change=90)
    assert complex(felt["loop_re"], felt["loop_im"]) == pytest.approx(turned, abs=1e-12)


def test_many_fields_follow_the_exact_density() -> None:
    """And the raw fields of the flow at β = 3 do not: its weights are not all alike."""
    widget = ScrambledLattice()
    for coupling, beta in enumerate(BETAS):
        assert {"HMC", "tree gauge"} <= {row["name"] for row in widget.samplers[coupling]}
        for row in widget.samplers[coupling]:
            shown = widget.readout(coupling=coupling, sampler=row["name"], weighted=True)
            assert shown["exact"] == exact_plaquette(beta, 64)
            assert abs(shown["sampled"] - shown["exact"]) < 4 * shown["error"]
            assert shown["distance"] < 0.02 / shown["ess"] ** 0.5
    raw = widget.readout(coupling=2, sampler="trained flow", weighted=False)
    assert raw["exact"] - raw["sampled"] > 10 * raw["error"]
    assert raw["ess"] == pytest.approx(1)


def test_more_fields_are_nearer() -> None:
    widget = ScrambledLattice()
    errors = [widget.readout(count=n)["error"] for n in (20, 80, 320)]
    assert errors[0] > 1.5 * errors[1] > 2.2 * errors[2]
    assert widget.readout(count=10_000) == widget.readout(count=320)


def test_fields_of_ones_own_are_shown() -> None:
    theta = torch.rand(16, 2, 4, 4, generator=torch.Generator().manual_seed(0)) * 6 - 3
    widget = ScrambledLattice({1.5: {"mine": theta}})
    for k in range(8):
        shown = widget.readout(field=k)
        assert shown["plaquette"] == pytest.approx(
            float(plaquette_angles(theta[2 * k : 2 * k + 1]).cos().mean()), abs=1e-6
        )
        assert shown["charge"] == pytest.approx(float(topological_charge(links_of(theta[2 * k : 2 * k + 1].double()))))
    assert shown["sampled"] == pytest.approx(float(plaquette_angles(theta).cos().mean()), abs=1e-3)
    assert shown["exact"] == exact_plaquette(1.5, 16)


def test_weights_are_used_where_they_are_there() -> None:
    widget = small_lattice()
    plain, heavy = (widget.readout(coupling=0, sampler="q", weighted=on) for on in (False, True))
    assert heavy["ess"] < plain["ess"] == pytest.approx(1)
    assert heavy["sampled"] != plain["sampled"]
    assert widget.readout(coupling=1, weighted=True)["ess"] == pytest.approx(1)
    assert widget.readout(coupling=1, sampler="q")["sampled"] == widget.readout(coupling=1, sampler="HMC")["sampled"]


def test_without_checkpoints_flows_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> PlaquetteFlow:
        raise CheckpointError(f"there is no checkpoint {name}")

    monkeypatch.setattr(recipes, "load", missing)
    found = draws.__wrapped__()
    assert [list(by_name) for by_name in found.values()] == 3 * [["HMC", "tree gauge"]]
    assert torch.equal(found[2.0]["HMC"], draws()[2.0]["HMC"])  # and the rest is drawn as ever


THETA = torch.zeros(2, 2, 4, 4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, r"expected fields by β and sampler, .* got \{\}"),
        ([THETA], "expected fields by β and sampler, .* got list"),
        ({1.0: {}}, "got at β = 1 dict without names of samplers"),
        ({1.0: THETA}, "got at β = 1 Tensor without names of samplers"),
        ({1.0: [THETA]}, "got at β = 1 list without names of samplers"),
        ({"1": {"q": THETA}}, "got β = '1', which is no number"),
        ({"1": {"q": THETA}, 2.0: {"q": THETA}}, "got β = '1', which is no number"),
        ({0.0: {"q": THETA}}, "expected β > 0, and at most 1,000 since angles are kept to 1.4°, got 0"),
        ({math.nan: {"q": THETA}}, "expected β > 0, and at most 1,000 since angles are kept to 1.4°, got nan"),
        ({1001: {"q": THETA}}, "expected β > 0, and at most 1,000 since angles are kept to 1.4°, got 1001"),
        ({1.0: {"q": torch.tensor(1.0)}}, r"L from 4 to 12, got \(\)"),
        ({1.0: {"q": (THETA, torch.zeros(2), 1)}}, "alone, or a pair of them and log-weights, got 3 things"),
        ({1.0: {"q": THETA[0]}}, r"the fields of q at β = 1 of shape \(n, 2, L, L\), n ≥ 2 and L from 4 to 12"),
        ({1.0: {"q": torch.zeros(2, 2, 13, 13)}}, r"got \(2, 2, 13, 13\)"),
        ({1.0: {"q": THETA + math.nan}}, "the fields of q at β = 1 hold NaN or infinity"),
        ({1.0: {"q": (THETA, torch.zeros(3))}}, r"expected one log-weight for each of .*, \(2,\), got \(3,\)"),
        ({1.0: {"q": THETA}, 2.0: {"q": torch.zeros(2, 2, 8, 8)}}, "expected lattices of one size, got 4, 8"),
        ({1.0: {"q": torch.zeros(40_000, 2, 4, 4)}}, "640,000 plaquettes, more than 600,000"),
    ],
)  # fmt: skip
def test_the_lattice_refuses(fields: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ScrambledLattice(fields)


def test_fields_of_little_precision_are_taken() -> None:
    theta = torch.rand(16, 2, 4, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    shown = ScrambledLattice({1.0: {"q": theta.double()}}).readout()
    assert ScrambledLattice({1: {"q": theta}}).readout() == shown
    assert ScrambledLattice({np.float32(1): {"q": theta}}).readout() == shown


@pytest.mark.parametrize("beta", [0.1, 3.0, 60.0, 400.0, 1000.0])
def test_the_share_of_each_bin_is_an_integral(beta: float) -> None:
    """All fields zero: all squares lie in the level above 0, and the distance is what the density has elsewhere."""

    def density(P: float) -> float:
        return math.exp(beta * (math.cos(P) - 1)) / (2 * math.pi * float(special.ive(0, beta)))

    step = 2 * math.pi / 32
    inside, _ = integrate.quad(density, 0, step, epsabs=1e-12)
    shown = ScrambledLattice({beta: {"q": torch.zeros(8, 2, 4, 4)}}).readout()
    assert shown["distance"] == pytest.approx(1 - inside, abs=1e-9)


@pytest.mark.parametrize(
    "settings",
    [{"coupling": 3}, {"field": 8}, {"site": 64}, {"link": 128}, {"width": 8}, {"amount": 1.1}, {"gauge": 16}],
)
def test_the_lattice_refuses_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(traitlets.TraitError):
        ScrambledLattice(**settings)

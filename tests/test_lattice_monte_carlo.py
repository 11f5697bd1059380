"""Markov chains against exact values, and the exact values against integrals done another way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import pytest
import torch
from scipy import integrate, special
from torch import Tensor

from gdl_lab.claims.fields import su3_plaquette
from gdl_lab.lattice import (
    autocorrelation_time,
    blocked,
    charge_distribution,
    check_links,
    ess,
    estimate_log_z,
    exact_log_z,
    exact_plaquette,
    heat_bath,
    hmc,
    mean_plaquette,
    metropolis,
    random_links,
    reweight,
    topological_charge,
    tree_ess,
    von_mises,
)

Chain = Callable[[Tensor, float, torch.Generator], Iterator[Tensor]]
CHAINS: dict[str, Chain] = {
    "HMC": lambda U, beta, rng: (U for U, _ in hmc(U, beta, steps=8, length=1.2, generator=rng)),
    "heat bath": lambda U, beta, rng: heat_bath(U, beta, generator=rng),
}


def expected(group: str, beta: float, volume: int) -> float:
    return su3_plaquette(beta) if group == "SU(3)" else exact_plaquette(beta, volume, group)


@pytest.mark.slow
@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize(
    ("group", "beta"), [("U(1)", 1.0), ("U(1)", 2.0), ("U(1)", 3.0), ("SU(2)", 2.0), ("SU(2)", 4.0), ("SU(3)", 5.0)]
)
def test_the_mean_plaquette_is_the_exact_one(group: str, beta: float, chain: str) -> None:
    rng = torch.Generator().manual_seed(7)
    chains = 64 if group == "U(1)" else 16
    start = random_links(group, (8, 8), chains, generator=rng)
    series = [mean_plaquette(U) for U in islice(CHAINS[chain](start, beta, rng), 15, 75)]
    measured = blocked(torch.stack(series))
    assert measured.mean == pytest.approx(expected(group, beta, 64), abs=3 * measured.error)
    assert measured.error < 0.003
    # the negative control: at a twentieth more β it would be noticed
    assert abs(measured.mean - expected(group, 1.1 * beta, 64)) > 3 * measured.error


@pytest.mark.slow
def test_four_dimensions_agree_with_strong_coupling() -> None:
    """SU(2) at β = 1 in 4-D: u = I₂/I₁ and 4u⁵ for the four cubes around a plaquette."""
    rng = torch.Generator().manual_seed(3)
    u = float(special.iv(2, 1.0) / special.iv(1, 1.0))
    for chain in CHAINS.values():
        start = random_links("SU(2)", (4, 4, 4, 4), 2, generator=rng)
        series = torch.stack([mean_plaquette(U) for U in islice(chain(start, 1.0, rng), 10, 50)])
        measured = blocked(series)
        assert measured.mean == pytest.approx(u + 4 * u**5, abs=4 * measured.error + 2e-4)


@pytest.mark.parametrize("group", ["U(1)", "SU(2)", "SU(3)"])
def test_hmc_conserves_its_energy_to_second_order(group: str) -> None:
    """Acceptance rises towards one as the steps shrink."""
    start = random_links(group, (4, 4), 100, generator=torch.Generator().manual_seed(2))
    rates = []
    for steps in (2, 4, 24):
        chain = hmc(start, 4.0, steps=steps, generator=torch.Generator().manual_seed(5))
        rates.append(float(torch.stack([a for _, a in islice(chain, 2)]).double().mean()))
    assert rates[0] < rates[1] < rates[2]
    assert rates[2] > 0.97


def test_chains_stay_on_the_group_and_repeat_with_their_seed() -> None:
    start = random_links("SU(3)", (4, 4), 2, generator=torch.Generator().manual_seed(0), dtype=torch.complex64)
    for chain in CHAINS.values():
        ends = [next(islice(chain(start, 3.0, torch.Generator().manual_seed(seed)), 10, None)) for seed in (1, 1, 2)]
        check_links(ends[0])
        assert float((torch.linalg.det(ends[0]) - 1).abs().max()) < 1e-4
        assert torch.equal(ends[0], ends[1])
        assert not torch.allclose(ends[0], ends[2])


def test_the_topology_of_hmc_freezes() -> None:
    """Charges change in nearly every trajectory at β = 1 and in hardly any at β = 7."""
    changes = {}
    for beta in (1.0, 7.0):
        rng = torch.Generator().manual_seed(0)
        U = random_links("U(1)", (8, 8), 16, generator=rng)
        Q = torch.stack([topological_charge(U).round() for U, _ in islice(hmc(U, beta, generator=rng), 20, 50)])
        changes[beta] = float((Q.diff(dim=0) != 0).double().mean())
    assert changes[1.0] > 0.5
    assert changes[7.0] < 0.05


@pytest.mark.parametrize("kappa", [0.0, 1e-3, 0.7, 3.0, 40.0])
def test_von_mises_angles_have_their_moments(kappa: float) -> None:
    n = 200_000
    phi = von_mises(torch.full((n,), kappa, dtype=torch.float64), generator=torch.Generator().manual_seed(1))
    for order in (1, 2, 3):
        wanted = float(special.ive(order, kappa) / special.ive(0, kappa))
        assert float((order * phi).cos().mean()) == pytest.approx(wanted, abs=5 / n**0.5)
        assert float((order * phi).sin().mean()) == pytest.approx(0, abs=5 / n**0.5)


# Exact values


def test_one_plaquette_is_an_ordinary_integral() -> None:
    """On one site plaquettes are 1, so that Z is e^β times the volume of the links, and the sum over n says so."""
    assert exact_log_z(1.5, 1) == pytest.approx(1.5 + 2 * math.log(2 * math.pi), abs=1e-12)
    assert exact_plaquette(1.5, 1) == pytest.approx(1, abs=1e-12)


def test_two_plaquettes_are_an_ordinary_integral() -> None:
    """1×2 sites of U(1): P and −P for an angle P that is uniform up to its weight, so ⟨cos P⟩ = I₁(2β)/I₀(2β)."""
    beta = 0.8
    assert exact_plaquette(beta, 2) == pytest.approx(special.iv(1, 2 * beta) / special.iv(0, 2 * beta), abs=1e-12)
    assert exact_log_z(beta, 2) == pytest.approx(
        4 * math.log(2 * math.pi) + math.log(special.iv(0, 2 * beta)), abs=1e-12
    )


def test_one_site_of_su2_is_an_integral_over_the_group() -> None:
    """⟨exp(β tr(ABA†B†)/2)⟩ over pairs of matrices: its mean over A, B, drawn at random."""
    U = random_links("SU(2)", (200, 100), 4, generator=torch.Generator().manual_seed(0))
    A, B = U[:, 0], U[:, 1]
    t = (A @ B @ A.mH @ B.mH).diagonal(dim1=-2, dim2=-1).sum(-1).real.flatten() / 2
    w = torch.exp(1.5 * t)
    error = float(w.std() / len(w) ** 0.5 / w.mean())
    assert exact_log_z(1.5, 1, "SU(2)") == pytest.approx(float(w.mean().log()), abs=4 * error)
    assert error < 0.005


@pytest.mark.parametrize("group", ["U(1)", "SU(2)"])
def test_the_plaquette_is_the_slope_of_log_z(group: str) -> None:
    for beta, volume in ((0.3, 4), (2.0, 16), (9.0, 64)):
        h = 1e-5
        slope = (exact_log_z(beta + h, volume, group) - exact_log_z(beta - h, volume, group)) / (2 * h * volume)
        assert exact_plaquette(beta, volume, group) == pytest.approx(slope, abs=1e-7)


def test_published_values_of_the_large_volume() -> None:
    for beta in (1.0, 2.0, 3.0):
        assert exact_plaquette(beta, 10_000) == pytest.approx(special.iv(1, beta) / special.iv(0, beta), abs=1e-12)
        su2 = special.iv(2, beta) / special.iv(1, beta)
        assert exact_plaquette(beta, 10_000, "SU(2)") == pytest.approx(su2, abs=1e-12)


def test_charges_of_four_plaquettes_by_sampling() -> None:
    """Three free angles and a forced one on 2×2 sites, weighted: an integral over a cube, by Monte Carlo."""
    beta, n = 1.0, 400_000
    phi = von_mises(torch.full((n, 3), beta, dtype=torch.float64), generator=torch.Generator().manual_seed(2))
    last = torch.remainder(-phi.sum(1) + math.pi, 2 * math.pi) - math.pi
    Q, w = ((phi.sum(1) + last) / (2 * math.pi)).round(), torch.exp(beta * last.cos())
    charges, p = charge_distribution(beta, 4, largest=2)
    for charge, probability in zip(charges, p, strict=True):
        assert float((w * (charge == Q)).mean() / w.mean()) == pytest.approx(probability, abs=4e-3)


def test_hmc_has_the_exact_charges() -> None:
    rng = torch.Generator().manual_seed(1)
    U = random_links("U(1)", (4, 4), 200, generator=rng)
    squares = [topological_charge(U).round() ** 2 for U, _ in islice(hmc(U, 1.0, generator=rng), 10, 50)]
    measured = blocked(torch.stack(squares), 5)
    Q, p = charge_distribution(1.0, 16)
    assert measured.mean == pytest.approx(float(p @ Q**2), abs=3 * measured.error)


def test_the_tree_s_share_is_the_ratio_of_two_integrals() -> None:
    for beta in (1.0, 2.0, 3.0):
        first = integrate.quad(lambda x, b=beta: math.exp(b * math.cos(x)), -math.pi, math.pi)[0] / (2 * math.pi)
        second = integrate.quad(lambda x, b=beta: math.exp(2 * b * math.cos(x)), -math.pi, math.pi)[0] / (2 * math.pi)
        assert tree_ess(beta) == pytest.approx(first**2 / second, rel=1e-10)
    assert [round(tree_ess(beta), 3) for beta in (1, 2, 3)] == [0.703, 0.460, 0.354]


# Weights and errors


def test_weights_make_a_wrong_gaussian_right() -> None:
    """Points of N(0, 1) weighted to N(0, s²): ESS, mean square and log Z in closed form."""
    s, rng = 0.7, torch.Generator().manual_seed(0)
    x = torch.randn(400_000, generator=rng, dtype=torch.float64)
    log_w = -0.5 * (x / s).square() + 0.5 * x.square() + 0.5 * math.log(2 * math.pi)
    wanted = s**2 * math.sqrt(2 / s**2 - 1)
    assert ess(log_w) == pytest.approx(wanted, rel=0.01)
    square = reweight(log_w, x.square())
    assert square.mean == pytest.approx(s**2, abs=4 * square.error)
    log_z = estimate_log_z(log_w)
    assert log_z.mean == pytest.approx(math.log(s * math.sqrt(2 * math.pi)), abs=4 * log_z.error)
    chain = metropolis(log_w, generator=rng)
    kept = x[chain].square()
    assert float(kept.mean()) == pytest.approx(s**2, abs=0.01)
    assert bool((chain.diff() >= 0).all())
    assert float(x.square().mean()) == pytest.approx(1, abs=0.01)


def test_errors_of_repeated_experiments_are_as_large_as_they_are_said_to_be() -> None:
    """An autoregressive chain of known τ = ½ (1 + a)/(1 − a): blocks see it, single points do not."""
    a, rng = 0.8, torch.Generator().manual_seed(0)
    steps, repeated = 2000, 300
    noise = torch.randn(steps + 100, repeated, generator=rng, dtype=torch.float64)
    x = noise.clone()
    for t in range(1, len(x)):
        x[t] = a * x[t - 1] + noise[t]
    x = x[100:]
    true = float(x.mean(0).std())
    said = np.mean([blocked(x[:, i : i + 1], 20).error for i in range(repeated)])
    assert said == pytest.approx(true, rel=0.15)
    assert float((x.std(0) / steps**0.5).mean()) < 0.5 * true
    assert autocorrelation_time(x) == pytest.approx(0.5 * (1 + a) / (1 - a), rel=0.05)
    assert autocorrelation_time(torch.ones(20, 3)) == math.inf


def test_bad_input_is_named() -> None:
    U = random_links("U(1)", (4, 4))
    for chain in (hmc, heat_bath):
        with pytest.raises(ValueError, match="finite coupling"):
            next(chain(U, -1.0))
        with pytest.raises(ValueError, match="unitary"):
            next(chain(2 * U, 1.0))
    with pytest.raises(ValueError, match="even sides"):
        next(heat_bath(random_links("SU(2)", (3, 4)), 1.0))
    with pytest.raises(ValueError, match="at least one step"):
        next(hmc(U, 1.0, steps=0))
    with pytest.raises(ValueError, match="β > 0"):
        exact_plaquette(0.0, 4)
    with pytest.raises(ValueError, match="U\\(1\\) or SU\\(2\\)"):
        exact_plaquette(1.0, 4, "SU(3)")
    with pytest.raises(ValueError, match="at least one plaquette"):
        exact_log_z(1.0, 0)
    with pytest.raises(ValueError, match="log-weights"):
        ess(torch.zeros(3, 2))
    for worst in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match="log-weights"):
            ess(torch.full((4,), worst))
    for kappa in (-1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="finite κ"):
            von_mises(torch.tensor([1.0, kappa]))
    with pytest.raises(ValueError, match="β > 0"):
        tree_ess(-1.0)
    with pytest.raises(ValueError, match="one value"):
        reweight(torch.zeros(4), torch.zeros(3))
    with pytest.raises(ValueError, match="blocks"):
        blocked(torch.zeros(5, 3))

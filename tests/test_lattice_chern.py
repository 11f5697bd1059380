"""Chern numbers against the degree of a map of spheres, and what the two networks learn of them."""

from __future__ import annotations

import pytest
import torch

from gdl_lab.claims.links import degree
from gdl_lab.lattice import (
    berry_links,
    bloch_vectors,
    chern_number,
    chern_task,
    learn_chern,
    learn_loops,
    loop_task,
    lower_band,
    plaquettes,
    qi_wu_zhang,
    random_gauge,
    random_models,
    regauge,
    topological_charge,
    trace,
    wilson_loop,
)
from gdl_lab.lattice.learning import chern_networks, loop_networks
from gdl_lab.networks import count_parameters


@pytest.mark.parametrize("size", [5, 8, 13])
def test_the_model_of_qi_wu_and_zhang_has_its_phases(size: int) -> None:
    m = torch.tensor([-3.0, -1.2, -0.7, 0.7, 1.2, 3.0])
    assert chern_number(lower_band(qi_wu_zhang(m, size))).tolist() == [0, -1, -1, 1, 1, 0]


def test_chern_numbers_are_degrees(rng: torch.Generator) -> None:
    """On a fine grid the band's charge is the degree of d up to the sign of the orientation, the same for all."""
    d = bloch_vectors(random_models(100, generator=torch.Generator().manual_seed(3)), 40)
    wanted = degree(d)
    assert float((wanted - wanted.round()).abs().max()) < 1e-10
    numbers = chern_number(lower_band(d, generator=rng))
    sign = 1 if bool((degree(qi_wu_zhang(1.0, 12)).round() == 1).all()) else -1
    assert float((numbers == sign * wanted.round()).double().mean()) >= 0.99
    assert len(numbers.unique()) >= 4


def test_phases_are_a_gauge(rng: torch.Generator) -> None:
    d = qi_wu_zhang(torch.tensor([0.5, -1.5]), 6)
    first, second = (berry_links(lower_band(d, generator=rng)) for _ in range(2))
    assert float((first - second).abs().max()) > 0.1
    assert float((plaquettes(first) - plaquettes(second)).abs().max()) < 1e-13
    charge = topological_charge(regauge(first, random_gauge("U(1)", (6, 6), generator=rng)))
    assert float((charge - charge.round()).abs().max()) < 1e-12
    assert charge.round().tolist() == [1, -1]


def test_the_upper_band_has_the_opposite_number() -> None:
    d = qi_wu_zhang(torch.tensor([0.5, -1.5]), 10)
    assert (chern_number(lower_band(d)) + chern_number(lower_band(-d))).tolist() == [0, 0]


def test_states_are_those_of_the_hamiltonian(rng: torch.Generator) -> None:
    d = bloch_vectors(random_models(3, harmonics=2, generator=rng), 7)
    u = lower_band(d, generator=rng)
    x, y, z = d.to(u.dtype).unbind(-1)
    hu = torch.stack([z * u[..., 0] + (x - 1j * y) * u[..., 1], (x + 1j * y) * u[..., 0] - z * u[..., 1]], -1)
    assert float((hu + d.norm(dim=-1, keepdim=True) * u).abs().max()) < 1e-12


def test_the_same_model_on_grids_of_two_sizes() -> None:
    models = random_models(4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(bloch_vectors(models, 12)[:, ::2, ::2], bloch_vectors(models, 6))


def test_networks_without_the_gauge_have_more_parameters() -> None:
    for networks in (loop_networks(), chern_networks()):
        ours, ordinary = (count_parameters(make()) for make in networks.values())
        assert ours < ordinary


def test_tasks_are_what_they_say() -> None:
    U, y = loop_task(4, 2, 1, 20, seed=1, sweeps=3)
    assert U.shape == (20, 2, 4, 4, 2, 2)
    again = trace(wilson_loop(U, 0, 1, 2, 1)).real.flatten(1).mean(1)
    assert torch.allclose(again, y, atol=1e-5)
    assert float(y.std()) > 0.05
    assert torch.equal(U, loop_task(4, 2, 1, 20, seed=1, sweeps=3)[0])
    (coarse, first), (fine, second) = chern_task(8, 50, seed=1), chern_task(16, 50, seed=1)
    assert torch.equal(first, second)
    assert float((topological_charge(fine).round() == second).double().mean()) > 0.9
    assert coarse.shape == (50, 2, 8, 8, 1, 1)


@pytest.mark.slow
def test_what_the_plaquettes_learn_holds_on_larger_lattices_and_what_the_links_learn_does_not() -> None:
    scores = {(s.network, s.size): s.value for s in learn_chern(examples=1024, steps=300, sizes=(8, 16))}
    assert scores["plaquettes", 16] >= 0.9
    assert scores["plaquettes", 8] >= 0.8
    assert scores["CNN", 16] < 0.6


@pytest.mark.slow
def test_the_l_cnn_learns_loops_and_the_cnn_does_not() -> None:
    scores = {(s.network, s.size): s.value for s in learn_loops(1, 2, examples=256, steps=120, sizes=(8, 12))}
    assert min(scores["L-CNN", 8], scores["L-CNN", 12]) > 0.9
    assert max(scores["CNN", 8], scores["CNN", 12]) < 0.5


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="bands touch"):
        lower_band(qi_wu_zhang(2.0, 4))
    with pytest.raises(ValueError, match="shape"):
        lower_band(torch.zeros(1, 4, 5, 3))
    with pytest.raises(ValueError, match="complex states"):
        berry_links(torch.ones(1, 4, 4, 2))
    with pytest.raises(ValueError, match="refine"):
        berry_links(torch.zeros(1, 4, 4, 2, dtype=torch.complex128))
    with pytest.raises(ValueError, match="expected coefficients"):
        bloch_vectors(torch.zeros(1, 3, 4, 4), 8)
    with pytest.raises(ValueError, match="at least one model"):
        random_models(0)

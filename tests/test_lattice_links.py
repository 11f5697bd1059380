"""Links, loops and charges: gauge covariance, and values that are known without the code."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations

import pytest
import torch
from torch import Tensor

from gdl_lab import lattice
from gdl_lab.lattice import (
    action,
    angles,
    check_links,
    from_angles,
    mean_plaquette,
    multiply,
    plaquettes,
    polyakov_loop,
    random_gauge,
    random_links,
    regauge,
    regauge_field,
    staples,
    topological_charge,
    trace,
    wilson_loop,
)

LATTICES = [
    ("U(1)", (4, 6)), ("SU(2)", (3, 5)), ("SU(3)", (4, 4)), ("U(1)", (2, 3, 4)), ("SU(2)", (3, 2, 4)),
    ("SU(3)", (2, 3, 2)), ("U(1)", (2, 3, 2, 4)), ("SU(2)", (2, 2, 3, 2)), ("SU(3)", (2, 2, 2, 3)),
]  # fmt: skip
each_lattice = pytest.mark.parametrize(("group", "sides"), LATTICES)


def specimen(group: str, sides: tuple[int, ...], rng: torch.Generator, dtype: torch.dtype = torch.complex128) -> Tensor:
    return random_links(group, sides, 3, generator=rng, dtype=dtype)


@each_lattice
def test_random_links_are_of_the_group(group: str, sides: tuple[int, ...], rng: torch.Generator) -> None:
    U = specimen(group, sides, rng)
    n = lattice.GROUPS[group]
    assert U.shape == (3, len(sides), *sides, n, n)
    assert float((U @ U.mH - torch.eye(n)).abs().max()) < 1e-14
    if n > 1:
        assert float((torch.linalg.det(U) - 1).abs().max()) < 1e-13


@pytest.mark.parametrize("group", lattice.GROUPS)
def test_random_links_are_uniform(group: str) -> None:
    """Haar's measure has ⟨|tr U|²⟩ = 1, ⟨tr U⟩ = 0, and for SU(N) ⟨(tr U)ᴺ⟩ = 1, so also no leaning to a branch."""
    U = random_links(group, (50, 50), 4, generator=torch.Generator().manual_seed(1))
    n = U.shape[-1]
    t = n * trace(U).flatten()
    assert float(t.abs().square().mean()) == pytest.approx(1, abs=5 / len(t) ** 0.5 * 2)
    assert abs(t.mean()) < 5 / len(t) ** 0.5
    if n > 1:
        assert abs((t**n).mean() - 1) < 5 * float((t**n).abs().std()) / len(t) ** 0.5


@each_lattice
@pytest.mark.parametrize(("dtype", "bound"), [(torch.complex128, 1e-13), (torch.complex64, 1e-5)])
def test_loops_are_covariant_and_traces_invariant(
    group: str, sides: tuple[int, ...], dtype: torch.dtype, bound: float, rng: torch.Generator
) -> None:
    U = specimen(group, sides, rng, dtype)
    omega = random_gauge(group, sides, 3, generator=rng, dtype=dtype)
    V = regauge(U, omega)
    check_links(V)
    loops: tuple[Callable[[Tensor], Tensor], ...] = (
        plaquettes, lambda U: wilson_loop(U, 0, 1, 2, 3), lambda U: polyakov_loop(U, 1)
    )  # fmt: skip
    for loop in loops:
        assert float((loop(V) - regauge_field(loop(U), omega)).abs().max()) < bound
        assert float((trace(loop(V)) - trace(loop(U))).abs().max()) < bound
    assert float((action(V, 2.0) - action(U, 2.0)).abs().max()) < bound * math.prod(sides) * 10
    # the negative control: links and open paths are not invariant
    assert float((trace(V) - trace(U)).abs().max()) > 0.1


def test_a_plaquette_is_the_product_that_the_definition_says(rng: torch.Generator) -> None:
    U = random_links("SU(3)", (3, 4, 5), generator=rng)
    x = (2, 3, 1)  # at the border of the second axis
    for plane, (mu, nu) in enumerate(combinations(range(3), 2)):

        def at(direction: int, *forward: int) -> Tensor:
            site = [(x[d] + (d in forward)) % U.shape[2 + d] for d in range(3)]
            return U[0, direction][tuple(site)]

        wanted = at(mu) @ at(nu, mu) @ at(mu, nu).mH @ at(nu).mH
        assert float((plaquettes(U)[0, plane][x] - wanted).abs().max()) < 1e-14


def test_abelian_loops_add_up(rng: torch.Generator) -> None:
    """Stokes: the angle of an R×T loop of U(1) is the sum of the plaquettes inside."""
    U = random_links("U(1)", (5, 6), 2, generator=rng)
    P = plaquettes(U)[:, 0, ..., 0, 0]
    inside = torch.ones_like(P)
    for i in range(2):
        for j in range(3):
            inside = inside * P.roll((-i, -j), (1, 2))
    assert float((wilson_loop(U, 0, 1, 2, 3)[:, 0, ..., 0, 0] - inside).abs().max()) < 1e-14


def test_a_long_loop_around_the_torus_is_two_polyakov_loops(rng: torch.Generator) -> None:
    U = random_links("SU(2)", (4, 3), generator=rng)
    around = polyakov_loop(U, 0)
    side = U[:, 1:2]
    closed = wilson_loop(U, 0, 1, 4, 1)
    assert float((closed - around @ side @ around.roll(-1, 3).mH @ side.mH).abs().max()) < 1e-13


@each_lattice
def test_staples_are_the_derivative_of_the_action(group: str, sides: tuple[int, ...], rng: torch.Generator) -> None:
    """S is linear in each link: changing U_μ at one site changes it by −β Re tr(ΔU A)/N."""
    U, other = specimen(group, sides, rng), specimen(group, sides, rng)
    for mu in range(len(sides)):
        V = U.clone()
        site = (0,) * len(sides)
        V[(slice(None), mu, *site)] = other[(slice(None), mu, *site)]
        change = multiply(V[:, mu : mu + 1] - U[:, mu : mu + 1], staples(U, mu))
        wanted = -1.5 * trace(change).real.flatten(1).sum(1)
        assert float((action(V, 1.5) - action(U, 1.5) - wanted).abs().max()) < 1e-11


def flux(size: int, quanta: int) -> Tensor:
    """U(1) angles of a constant field: every plaquette exp(2πi q/V)."""
    theta = torch.zeros(1, 2, size, size, dtype=torch.float64)
    y = torch.arange(size, dtype=torch.float64)
    theta[:, 0] = -2 * math.pi * quanta / size**2 * y
    theta[:, 1, :, -1] = 2 * math.pi * quanta / size * torch.arange(size, dtype=torch.float64)
    return theta


@pytest.mark.parametrize("quanta", [-3, 0, 1, 5])
def test_a_constant_flux_has_its_charge(quanta: int, rng: torch.Generator) -> None:
    U = from_angles(flux(6, quanta))
    P = plaquettes(U)[..., 0, 0].angle()
    assert float((P - 2 * math.pi * quanta / 36).abs().max()) < 1e-13
    assert float(topological_charge(U)) == pytest.approx(quanta, abs=1e-12)
    turned = regauge(U, random_gauge("U(1)", (6, 6), generator=rng))
    assert float(topological_charge(turned)) == pytest.approx(quanta, abs=1e-12)
    assert float(topological_charge(U.conj())) == pytest.approx(-quanta, abs=1e-12)


def test_charges_of_random_links_are_integers_in_two_dimensions(rng: torch.Generator) -> None:
    Q = topological_charge(random_links("U(1)", (7, 5), 200, generator=rng))
    assert float((Q - Q.round()).abs().max()) < 1e-12
    assert len(Q.round().unique()) > 3
    assert float(topological_charge(random_links("SU(2)", (4, 4), 3, generator=rng)).abs().max()) < 1e-12


def test_the_charge_of_an_abelian_instanton_in_four_dimensions(rng: torch.Generator) -> None:
    """diag(e^(iθ), e^(−iθ)) with fluxes 2πn/L² and 2πm/L² through two planes has Q = 2nm; the lattice's sin for φ."""
    size, n, m = 6, 1, 2
    first, second = flux(size, n)[0], flux(size, m)[0]
    theta = torch.zeros(1, 4, size, size, size, size, dtype=torch.float64)
    theta[0, :2] = first[:, :, :, None, None]
    theta[0, 2:] = second[:, None, None]
    U = torch.diag_embed(torch.stack([from_angles(theta), from_angles(-theta)], -1)[..., 0, 0, :])
    f, h = 2 * math.pi * n / size**2, 2 * math.pi * m / size**2
    wanted = 2 * n * m * (math.sin(f) / f) * (math.sin(h) / h)
    assert float(topological_charge(U)) == pytest.approx(wanted, rel=1e-10)
    omega = random_gauge("SU(2)", (size,) * 4, generator=rng)
    assert float(topological_charge(regauge(U, omega))) == pytest.approx(wanted, rel=1e-10)


def test_angles_and_links_are_each_other_s_inverse(rng: torch.Generator) -> None:
    theta = (torch.rand(2, 3, 2, 4, 3, generator=rng, dtype=torch.float64) * 2 - 1) * math.pi
    assert float((angles(from_angles(theta)) - theta).abs().max()) < 1e-14
    with pytest.raises(ValueError, match="only U"):
        angles(random_links("SU(2)", (2, 2)))


def test_the_mean_plaquette_of_a_known_field(rng: torch.Generator) -> None:
    assert float(mean_plaquette(from_angles(flux(6, 2)))) == pytest.approx(math.cos(2 * math.pi * 2 / 36))


def test_bad_input_is_named(rng: torch.Generator) -> None:
    U = random_links("SU(2)", (4, 4), 2, generator=rng)
    nan = U.clone()
    nan[0, 0, 0, 0, 0, 0] = complex("nan")
    for bad, said in (
        (1.1 * U, "unitary"),
        (U.real, "complex"),
        (U[:, :1], "D sides"),
        (U[..., 0], "D sides"),
        (U[:0], "at least one"),
        (nan, "NaN"),
        (torch.ones(1, 5, *(2,) * 5, 1, 1, dtype=torch.complex128), "D = 2, 3 or 4"),
    ):
        for function in (check_links, plaquettes, topological_charge):
            with pytest.raises(ValueError, match=said):
                function(bad)
    with pytest.raises(TypeError, match="tensor of links"):
        check_links([1.0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="2 and 4 dimensions"):
        topological_charge(random_links("U(1)", (2, 2, 2), generator=rng))
    with pytest.raises(ValueError, match="unknown group"):
        random_links("SO(3)", (4, 4))
    for sides in ((4,), (2,) * 5, (4, 1)):
        with pytest.raises(ValueError, match="2 to 4 sides"):
            random_links("U(1)", sides)
    with pytest.raises(ValueError, match="gauge transformation"):
        regauge(U, random_gauge("SU(2)", (4, 6), 2))
    with pytest.raises(ValueError, match="different directions"):
        wilson_loop(U, 1, 1)
    for mu in (-1, 2):
        with pytest.raises(ValueError, match="a direction from 0 to 1"):
            polyakov_loop(U, mu)
    with pytest.raises(ValueError, match="at least one step"):
        lattice.path(U, [])

"""Flows of lattice fields: equivariance, densities, the bases that are known exactly."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import integrate
from torch import Tensor
from torch.func import jacrev, vmap

from gdl_lab.flows import Flow
from gdl_lab.lattice import (
    PlaquetteFlow,
    ScalarFlow,
    action,
    ess,
    estimate_log_z,
    exact_log_z,
    exact_plaquette,
    from_angles,
    gaussian_kl,
    log_weights,
    plaquette_angles,
    plaquettes,
    reweight,
    scalar_action,
    scalar_log_z,
    topological_charge,
    tree_ess,
    wrap,
)
from tests.every_flow import randomised

FLOWS = {
    "links": lambda: PlaquetteFlow(4, 8, hidden=4),
    "links, tree": lambda: PlaquetteFlow(4, 9, hidden=3, base="tree", beta=2.0),
    "links, 8": lambda: PlaquetteFlow(8, 2, hidden=3, bins=6),
    "scalar": lambda: ScalarFlow(4, 3, hidden=3),
    "scalar, 2": lambda: ScalarFlow(2, 4, hidden=2),
}
each_flow = pytest.mark.parametrize("name", FLOWS)


def made(name: str, rng: torch.Generator) -> tuple[Flow, Tensor]:
    """A flow away from the identity, and base points of it."""
    flow = randomised(FLOWS[name](), rng, 0.5)
    return flow, flow.base.sample(torch.empty(3, flow.dim, dtype=torch.float64), 1.0, rng)


@each_flow
def test_the_two_directions_are_inverse(name: str, rng: torch.Generator) -> None:
    flow, z = made(name, rng)
    x, forth = flow.push(z, log_det=True)
    again, back = flow.pull(x, log_det=True)
    apart = (again - z if isinstance(flow, ScalarFlow) else wrap(again - z)).detach()
    assert float(apart.abs().max()) < 1e-8
    assert float((forth + back).detach().abs().max()) < 1e-7
    moved = (x.flatten(1) - z).detach()
    assert float(moved.abs().max()) > 0.05


@each_flow
def test_the_determinant_is_that_of_autograd(name: str, rng: torch.Generator) -> None:
    flow, z = made(name, rng)
    jacobian = vmap(jacrev(lambda one: flow.push(one[None]).flatten()))(z)
    wanted = torch.linalg.slogdet(jacobian)[1]
    assert float((flow.push(z, log_det=True)[1] - wanted).detach().abs().max()) < 1e-12 * flow.dim
    assert float((flow.jacobian(z) - jacobian).detach().abs().max()) < 1e-9
    assert float(wanted.detach().abs().max()) > 0.01


@each_flow
def test_a_flow_starts_as_the_identity_and_is_saved(name: str, rng: torch.Generator, tmp_path: Path) -> None:
    flow = FLOWS[name]().requires_grad_(False)
    x = flow.sample(5, generator=rng)
    apart = flow.pull(x) - x.flatten(1)
    assert float(wrap(apart).abs().max() if isinstance(flow, PlaquetteFlow) else apart.abs().max()) < 1e-5
    flow = randomised(flow, rng)
    flow.save(tmp_path / "flow.safetensors")
    again = Flow.load(tmp_path / "flow.safetensors")
    assert type(again) is type(flow)
    assert again.architecture == flow.architecture
    assert torch.equal(again.log_prob(x.double()), flow.log_prob(x.double()))


@pytest.mark.parametrize("name", ["links", "links, tree", "links, 8"])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_links_are_turned_alike_in_every_gauge(
    name: str, dtype: torch.dtype, bound: float, rng: torch.Generator
) -> None:
    """To rounding, which slopes far from one make larger: the weights are of the size that training gives them."""
    flow = randomised(FLOWS[name](), rng).requires_grad_(False)
    z = flow.base.sample(torch.empty(3, flow.dim, dtype=torch.float64), 1.0, rng).to(dtype)
    flow, size = flow.to(dtype), flow.shape[1]
    alpha = (2 * math.pi * torch.rand(3, size, size, generator=rng, dtype=torch.float64)).to(dtype)

    def turned(theta: Tensor) -> Tensor:
        theta = theta.view(3, 2, size, size)
        return torch.stack([theta[:, 0] + alpha - alpha.roll(-1, 1), theta[:, 1] + alpha - alpha.roll(-1, 2)], 1)

    x, change = flow.push(z, log_det=True)
    y, same = flow.push(turned(z).flatten(1), log_det=True)
    assert float(wrap(y - turned(x)).abs().max()) < bound
    assert float((change - same).abs().max()) < bound * float(change.abs().max())
    # the density of fields is invariant, as the action is
    density = flow.log_prob(x)
    assert float((flow.log_prob(wrap(turned(x))) - density).abs().max()) < bound * float(density.abs().max())
    assert float(wrap(x.flatten(1) - z).abs().max()) > 0.05, "far from the identity"


def test_plaquette_angles_are_those_of_the_links(rng: torch.Generator) -> None:
    theta = (torch.rand(2, 2, 4, 4, generator=rng, dtype=torch.float64) - 0.5) * 2 * math.pi
    P = plaquettes(from_angles(theta))[:, 0, ..., 0, 0].angle()
    assert float(wrap(P - plaquette_angles(theta)).abs().max()) < 1e-13


def test_a_coupling_leaves_what_its_network_sees(rng: torch.Generator) -> None:
    flow = randomised(PlaquetteFlow(8, 3, hidden=3), rng, 0.5)
    theta = (torch.rand(2, 2, 8, 8, generator=rng, dtype=torch.float64) - 0.5) * 2 * math.pi
    coupling = flow.couplings[2]  # links of direction 0 on the rows 1 and 5
    after = coupling.push(theta)[0].detach()
    change = wrap(after - theta)
    rows = change[:, 0].abs().amax((0, 1))
    assert [bool(r > 1e-3) for r in rows] == [False, True, False, False, False, True, False, False]
    assert float(change[:, 1].abs().max()) < 1e-13
    P, Q = plaquette_angles(theta), plaquette_angles(after)
    assert float(wrap(P - Q)[..., [2, 3, 6, 7]].abs().max()) < 1e-12


def test_eight_couplings_turn_every_link_once(rng: torch.Generator) -> None:
    flow = randomised(PlaquetteFlow(8, 8, hidden=3), rng, 0.5).requires_grad_(False)
    theta, turns = flow.sample(2, generator=rng), torch.zeros(2, 8, 8)
    for coupling in flow.couplings:
        after = coupling.push(theta)[0]
        turns, theta = turns + (wrap(after - theta).abs().amax(0) > 1e-6), after
    assert bool((turns == 1).all())


@pytest.mark.parametrize("beta", [1.0, 2.0, 3.0])
def test_the_tree_has_the_size_and_the_log_z_that_are_known(beta: float) -> None:
    flow = PlaquetteFlow(8, 1, base="tree", beta=beta).double()
    theta = flow.sample(10_000, generator=torch.Generator().manual_seed(0))
    S = action(from_angles(theta), beta)
    log_w = -S - flow.log_prob(theta)
    assert ess(log_w) == pytest.approx(tree_ess(beta), rel=0.03)
    log_z = estimate_log_z(log_w)
    assert log_z.mean == pytest.approx(exact_log_z(beta, 64), abs=4 * log_z.error)
    cosine = reweight(log_w, plaquette_angles(theta).cos().mean((1, 2)))
    assert cosine.mean == pytest.approx(exact_plaquette(beta, 64), abs=3 * cosine.error)


def test_the_haar_base_is_the_constant_density(rng: torch.Generator) -> None:
    flow = PlaquetteFlow(4, 2).double()
    theta = flow.sample(2000, generator=rng)
    assert torch.allclose(flow.log_prob(theta), torch.tensor(-32 * math.log(2 * math.pi), dtype=torch.float64))
    assert float(topological_charge(from_angles(theta)).var()) > 0.5


def test_a_short_training_moves_towards_the_target() -> None:
    """Forty steps on 4×4: KL falls by half, and reweighting finds the exact plaquette."""
    torch.manual_seed(0)
    beta, rng, flow = 1.0, torch.Generator().manual_seed(0), PlaquetteFlow(4, 8)
    optimiser = torch.optim.Adam(flow.parameters(), lr=1e-2)

    def energy(theta: Tensor) -> Tensor:
        return -beta * plaquette_angles(theta).cos().sum((1, 2))

    def weights(n: int) -> Tensor:
        return log_weights(flow, energy, flow.base.sample(torch.empty(n, flow.dim), 1.0, rng))

    losses = []
    for _ in range(40):
        loss = exact_log_z(beta, 16) - weights(128).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    assert min(losses) > -0.1  # KL ≥ 0, with the exact log Z
    with torch.no_grad():
        theta = flow.sample(4000, generator=rng)
        log_w = -energy(theta) - flow.log_prob(theta)
    cosine = reweight(log_w, plaquette_angles(theta).cos().mean((1, 2)))
    assert cosine.mean == pytest.approx(exact_plaquette(beta, 16), abs=3 * cosine.error)


# φ⁴


def test_the_scalar_flow_keeps_the_sign_and_even_translations(rng: torch.Generator) -> None:
    flow, z = made("scalar", rng)
    x = flow.push(z)
    assert float((flow.push(-z) + x).detach().abs().max()) < 1e-14
    shifted = z.view(3, 4, 4).roll((1, 1), (1, 2)).flatten(1)
    assert float((flow.push(shifted) - x.roll((1, 1), (1, 2))).detach().abs().max()) < 1e-13
    odd = z.view(3, 4, 4).roll(1, 1).flatten(1)
    assert float((flow.push(odd) - x.roll(1, 1)).detach().abs().max()) > 1e-3


def test_the_action_is_the_one_of_the_definition(rng: torch.Generator) -> None:
    phi = torch.randn(2, 3, 4, generator=rng, dtype=torch.float64)
    total = torch.zeros(2, dtype=torch.float64)
    for i in range(3):
        for j in range(4):
            here = phi[:, i, j]
            for there in (phi[:, (i + 1) % 3, j], phi[:, i, (j + 1) % 4]):
                total += (there - here) ** 2
            total += -4 * here**2 + 8 * here**4
    assert torch.allclose(scalar_action(phi, -4.0, 8.0), total)


def test_log_z_is_the_ordinary_integral_on_small_lattices() -> None:
    one = integrate.quad(lambda p: math.exp(4 * p**2 - 8 * p**4), -4, 4)[0]
    assert scalar_log_z(1, -4.0, 8.0) == pytest.approx(math.log(one), abs=1e-8)
    # 2×2 sites: four integrals by the trapezium rule, which is as good as exact for what vanishes at both ends
    x = np.linspace(-2.2, 2.2, 45)
    a, b, c, d = np.meshgrid(x, x, x, x, indexing="ij")
    S = 2 * ((a - b) ** 2 + (c - d) ** 2 + (a - c) ** 2 + (b - d) ** 2)
    S = S + sum(-4 * p**2 + 8 * p**4 for p in (a, b, c, d))
    wanted = math.log(np.exp(-S).sum() * (x[1] - x[0]) ** 4)
    assert scalar_log_z(2, -4.0, 8.0) == pytest.approx(wanted, abs=1e-6)


def free_log_z(size: int, m2: float) -> float:
    """λ = 0: ½ Σ_k log π/(m² + Σ_μ 4 sin²(k_μ/2))."""
    waves = 4 * np.sin(np.pi * np.arange(size) / size) ** 2
    return float(0.5 * np.log(np.pi / (m2 + waves[:, None] + waves)).sum())


def test_log_z_of_the_free_field_is_a_determinant() -> None:
    for size, m2 in ((2, 2.0), (3, 3.0), (4, 4.0)):
        assert scalar_log_z(size, m2, 0.0, nodes=12) == pytest.approx(free_log_z(size, m2), abs=1e-7)
    # and the determinant that of the matrix of the action
    phi = torch.eye(9, dtype=torch.float64).view(9, 3, 3)
    S = scalar_action(phi, 1.5, 0.0)
    matrix = 0.5 * (scalar_action(phi[:, None].add(phi).flatten(0, 1), 1.5, 0.0).view(9, 9) - S - S[:, None])
    wanted = 4.5 * math.log(math.pi) - 0.5 * float(torch.logdet(matrix))
    assert free_log_z(3, 1.5) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "nodes", "error"), [(4, 16, 1e-11), (6, 11, 1e-6), (8, 6, 1e-4)])
def test_log_z_is_as_exact_as_it_says(size: int, nodes: int, error: float) -> None:
    """More nodes change it by less than what the fewer leave."""
    assert scalar_log_z(size, -4.0, 8.0) == pytest.approx(scalar_log_z(size, -4.0, 8.0, nodes=nodes), abs=2 * error)


def test_the_closest_gaussian_is_the_field_itself_where_that_is_free() -> None:
    assert gaussian_kl(4, 1.5, 1e-9) == pytest.approx(0, abs=1e-5)
    assert 0.1 < gaussian_kl(4, -4.0, 8.0) < 20


def test_log_z_by_importance_sampling() -> None:
    """4×4 at m² = 1, λ = 0.5 from the Gaussian of the free field."""
    rng, m2, lam = torch.Generator().manual_seed(0), 1.0, 0.5
    waves = 4 * torch.sin(math.pi * torch.arange(4, dtype=torch.float64) / 4) ** 2
    spread = (1 / (2 * (3.0 + waves[:, None] + waves))).sqrt()  # the free field of m² = 3
    noise = torch.randn(100_000, 4, 4, generator=rng, dtype=torch.float64)
    hartley = torch.fft.fft2(noise, norm="ortho")
    phi = torch.fft.ifft2(hartley * spread, norm="ortho").real
    log_w = scalar_action(phi, 3.0, 0.0) + free_log_z(4, 3.0) - scalar_action(phi, m2, lam)
    estimate = estimate_log_z(log_w)
    assert estimate.mean == pytest.approx(scalar_log_z(4, m2, lam), abs=4 * estimate.error)
    assert estimate.error < 0.02


def test_bad_input_is_named() -> None:
    for size in (2, 6, 9):
        with pytest.raises(ValueError, match="divisible by 4"):
            PlaquetteFlow(size)
    with pytest.raises(ValueError, match="even size"):
        ScalarFlow(5)
    for wrong in ({"base": "tree"}, {"beta": 1.0}, {"base": "cauchy"}, {"base": "tree", "beta": -1.0}):
        with pytest.raises(ValueError, match="expected base"):
            PlaquetteFlow(4, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one layer"):
        PlaquetteFlow(4, 0)
    with pytest.raises(ValueError, match="expected points of shape"):
        PlaquetteFlow(4, 1).push(torch.zeros(1, 31))
    with pytest.raises(ValueError, match="real fields"):
        scalar_action(torch.zeros(3, 3), 1.0, 1.0)
    for wrong_action in ((9, 1.0, 1.0), (2, -1.0, 0.0), (0, 1.0, 1.0)):
        with pytest.raises(ValueError, match="expected a size"):
            scalar_log_z(*wrong_action)
    with pytest.raises(ValueError, match="4 nodes"):
        scalar_log_z(3, 1.0, 1.0, nodes=2)

"""Flows: both directions, log-determinants and Jacobians are exact, and what should be a density is one."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.func import functional_call, grad, jacfwd, jacrev, jvp, vmap

from gdl_lab import runtime, training
from gdl_lab.flows import (
    AffineCoupling,
    Flow,
    Glow,
    RealNVP,
    SplineCoupling,
    Whitening,
    bits_per_dim,
    dequantize,
    load,
)
from gdl_lab.flows.coupling import push
from gdl_lab.flows.glow import ActNorm
from gdl_lab.flows.spline import Spline
from gdl_lab.training import CheckpointError

EXACT = 1e-10


def cloud(n: int, dim: int, rng: torch.Generator) -> Tensor:
    """Correlated data with a mean, float64."""
    mix = torch.randn(dim, dim, generator=rng, dtype=torch.float64)
    return torch.randn(n, dim, generator=rng, dtype=torch.float64) @ mix + 3


FLOWS: dict[str, Callable[[torch.Generator], Flow]] = {
    "affine coupling": lambda rng: AffineCoupling(5, (7, 6)),
    "affine coupling, swapped": lambda rng: AffineCoupling(5, (7,), swap=True),
    "spline coupling": lambda rng: SplineCoupling(5, (7,)),
    "spline coupling, swapped": lambda rng: SplineCoupling(4, (7,), swap=True, bins=5, bound=2.0),
    "RealNVP": lambda rng: RealNVP(6, 4, (9, 8)),
    "RealNVP, odd dimension": lambda rng: RealNVP(3, 5, (8,)),
    "RealNVP, splines": lambda rng: RealNVP(5, 4, (8, 8), coupling="spline"),
    "RealNVP, whitened": lambda rng: RealNVP(6, 4, (8,)).double().fit_whitening(cloud(90, 6, rng), 2),
    "RealNVP, principal": lambda rng: RealNVP(7, 4, (8,), principal=3).double().fit_whitening(cloud(90, 7, rng), 5),
    "RealNVP, uniform base": lambda rng: RealNVP(4, 3, (8,), base="uniform"),
    "Glow, one level": lambda rng: Glow((1, 4, 2), steps=2, levels=1, hidden=6),
    "Glow, two levels": lambda rng: Glow((3, 4, 4), steps=3, levels=2, hidden=6),
    "Glow, three levels": lambda rng: Glow((1, 8, 8), steps=1, levels=3, hidden=4),
}
each_flow = pytest.mark.parametrize("name", FLOWS)


def randomised(flow: Any, rng: torch.Generator, size: float = 0.3) -> Any:
    """The flow in float64 with every parameter moved away from where it starts."""
    flow = flow.double()
    with torch.no_grad():
        for p in flow.parameters():
            step = torch.randn(p.shape, generator=rng, dtype=p.dtype)
            p.add_(size * step / max(1, p[..., 0].numel() if p.ndim < 3 else p[0].numel()) ** 0.5)
    return flow


def base_points(flow: Flow, n: int, rng: torch.Generator) -> Tensor:
    return torch.randn(n, flow.dim, generator=rng, dtype=torch.float64)


def by_autograd(flow: Flow, z: Tensor) -> Tensor:
    """∂x/∂z point by point, ``(batch, D, D)``."""
    return vmap(jacrev(lambda one: flow.push(one[None]).flatten()))(z)


# Exactness


@each_flow
def test_a_flow_starts_as_the_identity(name: str, rng: torch.Generator) -> None:
    flow = FLOWS[name](rng).double()
    z = base_points(flow, 4, rng)
    x, log_det = flow.push(z, log_det=True)
    if "whitened" in name or "principal" in name:
        w = flow.whitening
        assert isinstance(w, Whitening)
        assert (x - w.push(z)).abs().max() < 1e-12
        assert (log_det - w.log_det()).abs().max() < 1e-12
    else:
        assert (x.flatten(1) - z).abs().max() < 1e-12
        assert log_det.abs().max() < 1e-12


@each_flow
def test_pull_is_the_inverse_of_push(name: str, rng: torch.Generator) -> None:
    flow = randomised(FLOWS[name](rng), rng)
    z = base_points(flow, 6, rng)
    x, log_det = flow.push(z, log_det=True)
    back, log_det_back = flow.pull(x, log_det=True)
    assert x.shape == (6, *flow.shape)
    assert log_det.shape == (6,)
    assert (x.flatten(1) - z).abs().max() > 1e-2, "randomised flows move points"
    assert (back - z).abs().max() < EXACT
    assert (flow.push(flow.pull(x)) - x).abs().max() < EXACT
    assert (log_det + log_det_back).abs().max() < EXACT
    assert torch.equal(flow.push(z), x)
    assert torch.equal(flow.pull(x), back)


@each_flow
def test_log_determinants_are_those_of_autograd(name: str, rng: torch.Generator) -> None:
    flow = randomised(FLOWS[name](rng), rng)
    z = base_points(flow, 3, rng)
    x, log_det = flow.push(z, log_det=True)
    assert (log_det - by_autograd(flow, z).slogdet().logabsdet).abs().max() < EXACT
    jac = vmap(jacrev(lambda one: flow.pull(one[None]).flatten()))(x).reshape(3, flow.dim, flow.dim)
    assert (flow.pull(x, log_det=True)[1] - jac.slogdet().logabsdet).abs().max() < EXACT


@each_flow
def test_jacobians_are_those_of_autograd(name: str, rng: torch.Generator) -> None:
    flow = randomised(FLOWS[name](rng), rng)
    z = base_points(flow, 3, rng)
    expected = by_autograd(flow, z)
    jac = flow.jacobian(z)
    assert jac.shape == (3, flow.dim, flow.dim)
    assert (jac - expected).abs().max() < EXACT
    assert (jac.mT - expected).abs().max() > 1e-2, "rows and columns are told apart"


@given(
    dim=st.integers(2, 9),
    layers=st.integers(1, 7),
    hidden=st.lists(st.integers(1, 9), max_size=3),
    coupling=st.sampled_from(["affine", "spline"]),
    size=st.sampled_from([0.1, 0.5, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_realnvp_is_exact_in_every_size(
    dim: int, layers: int, hidden: list[int], coupling: str, size: float, seed: int
) -> None:
    rng = torch.Generator().manual_seed(seed)
    flow = randomised(RealNVP(dim, layers, hidden, coupling=coupling), rng, size)
    z = base_points(flow, 2, rng)
    x, log_det = flow.push(z, log_det=True)
    jac = by_autograd(flow, z)
    # where g squeezes space a millionfold, its inverse blows rounding up as much
    squeezed = torch.linalg.matrix_norm(jac.inverse(), 2).max().clamp_min(1e4) / 1e4
    assert (flow.pull(x) - z).abs().max() < EXACT * squeezed
    assert (log_det - jac.slogdet().logabsdet).abs().max() < EXACT * squeezed
    assert (flow.jacobian(z) - jac).abs().max() < EXACT * jac.abs().max().clamp_min(1)


@pytest.mark.slow
@each_flow
def test_gradients_are_those_of_finite_differences(name: str, rng: torch.Generator) -> None:
    flow = randomised(FLOWS[name](rng), rng)
    z = base_points(flow, 2, rng).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: flow.push(z, log_det=True), z)
    inside = flow.push(0.2 + 0.6 * torch.rand(2, flow.dim, generator=rng, dtype=torch.float64)).detach()
    assert torch.autograd.gradcheck(flow.log_prob, inside.requires_grad_())


def test_vector_jacobians_can_be_differentiated(rng: torch.Generator) -> None:
    flow = randomised(RealNVP(3, 2, (4,)), rng)
    assert torch.autograd.gradcheck(flow.jacobian, base_points(flow, 2, rng).requires_grad_())


@pytest.mark.parametrize("chunk", [1, 5, 64])
def test_chunks_do_not_change_a_jacobian(chunk: int, rng: torch.Generator) -> None:
    flow = randomised(Glow((1, 4, 4), 2, 2, 4), rng)
    z = base_points(flow, 2, rng)
    jac = flow.jacobian(z, chunk=chunk)
    assert (jac - flow.jacobian(z)).abs().max() < 1e-12
    assert not jac.requires_grad


def test_the_jacobian_of_a_coupling_is_triangular(rng: torch.Generator) -> None:
    z = torch.randn(3, 5, generator=rng, dtype=torch.float64)
    first = by_autograd(randomised(AffineCoupling(5, (6,)), rng), z)
    assert (first[:, :3, :3] - torch.eye(3)).abs().max() == 0
    assert first[:, :3, 3:].abs().max() == 0
    assert first[:, 3:, :3].abs().max() > 1e-2
    assert (first[:, 3:, 3:] - torch.diag_embed(first[:, 3:, 3:].diagonal(dim1=1, dim2=2))).abs().max() == 0
    both = by_autograd(randomised(RealNVP(5, 2, (6,)), rng), z)
    assert both[:, :3, 3:].abs().max() > 1e-2, "two couplings that take turns fill the other corner"


def test_an_affine_coupling_is_the_formula(rng: torch.Generator) -> None:
    flow = randomised(AffineCoupling(4, (5,), cap=1.5), rng)
    p = {name: value.detach().numpy() for name, value in flow.conditioner.named_parameters()}
    z = base_points(flow, 8, rng)
    a, b = z.numpy()[:, :2], z.numpy()[:, 2:]
    u = a @ p["W0"] + p["b0"]
    theta = (u / (1 + np.exp(-u))) @ p["W1"] + p["b1"]
    s, t = 1.5 * np.tanh(theta[:, :2]), theta[:, 2:]
    x, log_det = flow.push(z, log_det=True)
    assert np.abs(x.detach().numpy() - np.concatenate([a, b * np.exp(s) + t], 1)).max() < 1e-12
    assert np.abs(log_det.detach().numpy() - s.sum(1)).max() < 1e-12


def test_without_alternation_half_of_the_coordinates_never_moves(rng: torch.Generator) -> None:
    z = torch.randn(50, 6, generator=rng, dtype=torch.float64)
    frozen, _ = push([randomised(AffineCoupling(6, (5,)), rng) for _ in range(6)], z)
    assert torch.equal(frozen[:, :3], z[:, :3])
    moved = randomised(RealNVP(6, 6, (5,)), rng).push(z)
    assert ((moved - z).abs().amax(0) > 1e-2).all()


# Densities


def arc(n: int, delta: float, rng: torch.Generator) -> Tensor:
    """Three quarters of the unit circle, with normal thickness ``delta``; float32."""
    angle = 1.5 * math.pi * torch.rand(n, generator=rng)
    radius = 1 + delta * torch.randn(n, generator=rng)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1)


def trained(flow: Any, data: Tensor, steps: int) -> Any:
    training.fit(flow, [data], lambda f, x: -f(x).mean(), steps=steps, batch_size=256, lr=3e-3, progress=False)
    return flow


def mass(flow: Flow, low: float, high: float, n: int) -> tuple[float, float]:
    """The integral of a plane density over a square, and of its base density alone, on n² cells."""
    axis = low + (high - low) * (torch.arange(n, dtype=torch.float64) + 0.5) / n
    total, without = 0.0, 0.0
    with torch.no_grad():
        for x in torch.cartesian_prod(axis, axis).split(20_000):
            total += float(flow.log_prob(x).exp().sum())
            without += float(flow.base.log_prob(flow.pull(x)).exp().sum())
    cell = ((high - low) / n) ** 2
    return total * cell, without * cell


@pytest.mark.slow
@pytest.mark.parametrize("coupling", ["affine", "spline"])
def test_a_trained_density_integrates_to_one(coupling: str) -> None:
    torch.manual_seed(0)
    data = arc(4096, 0.2, torch.Generator().manual_seed(0))
    flow = trained(RealNVP(2, 4, (32,), coupling=coupling), data, 60).double()
    total, without = mass(flow, -6, 6, 400)
    assert total == pytest.approx(1, abs=1e-3)
    assert abs(without - 1) > 0.05, "the determinant is what makes it a density"


def test_a_pushed_uniform_density_integrates_to_one(rng: torch.Generator) -> None:
    flow = randomised(RealNVP(2, 2, (4,), base="uniform"), rng)
    axis = torch.linspace(0, 1, 50, dtype=torch.float64)
    inside = flow.push(torch.cartesian_prod(axis, axis)).detach()
    total, _ = mass(flow, float(inside.min()) - 0.5, float(inside.max()) + 0.5, 600)
    assert total == pytest.approx(1, abs=0.03)  # the edges of its support, on a grid, cost digits


@pytest.mark.slow
def test_training_finds_a_thin_arc() -> None:
    torch.manual_seed(0)
    g = torch.Generator().manual_seed(1)
    delta = 0.1
    flow = trained(RealNVP(2, 8, (32, 32)), arc(20_000, delta, g), 500)
    # length × normal thickness: the entropy of a thin tube, up to δ²/2
    entropy = math.log(1.5 * math.pi) + 0.5 * math.log(2 * math.pi * math.e * delta**2)
    with torch.no_grad():
        divergence = -float(flow.log_prob(arc(20_000, delta, g)).mean()) - entropy
        start = -float(RealNVP(2).log_prob(arc(20_000, delta, g)).mean()) - entropy
    assert -0.02 < divergence < 0.12
    assert start > 1


def test_log_densities_are_those_of_torch_distributions(rng: torch.Generator) -> None:
    x = cloud(40, 4, rng)
    flow = RealNVP(4).double().fit_whitening(x, 4)
    covariance = torch.from_numpy(np.cov(x.numpy().T, bias=True))
    expected = torch.distributions.MultivariateNormal(x.mean(0), covariance).log_prob(x)
    assert (flow.log_prob(x) - expected).abs().max() < EXACT
    uniform = RealNVP(2, base="uniform").double()
    points = torch.tensor([[0.5, 0.1], [1.0, 0.0], [1.1, 0.5], [0.5, -0.1]], dtype=torch.float64)
    assert uniform.log_prob(points).tolist() == [0, 0, -math.inf, -math.inf]


def test_samples_have_the_mean_and_covariance_of_the_density() -> None:
    rng = torch.Generator().manual_seed(0)
    data = cloud(500, 3, rng)
    flow = RealNVP(3, 2, (8,)).double().fit_whitening(data, 3)
    covariance = torch.cov(data.T, correction=0)
    for temperature in (1.0, 0.5):
        x = flow.sample(40_000, generator=rng, temperature=temperature)
        assert x.shape == (40_000, 3)
        assert not x.requires_grad
        assert (x.mean(0) - data.mean(0)).abs().max() < 0.1
        assert (torch.cov(x.T) - temperature**2 * covariance).abs().max() < 0.05 * covariance.abs().max()
    assert (flow.sample(2, temperature=0) - data.mean(0)).abs().max() < 1e-12
    uniform = RealNVP(2, base="uniform").sample(20_000, generator=rng, temperature=0.1)
    assert 0 <= uniform.min() < 0.01 < 0.99 < uniform.max() <= 1
    assert float(uniform.var()) == pytest.approx(1 / 12, rel=0.03)


def test_one_generator_gives_the_same_samples_twice() -> None:
    flow = Glow((1, 4, 4), 1, 1, 4)
    first, again, other = (flow.sample(3, generator=torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert first.shape == (3, 1, 4, 4)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


# Whitening


def dense(w: Whitening) -> Tensor:
    """σ + V (S − σ) Vᵀ as a matrix."""
    V = w.directions
    return w.rest * torch.eye(len(V), dtype=V.dtype) + V @ torch.diag(w.scales - w.rest) @ V.mT


@pytest.mark.parametrize("k", [1, 3, 6])
def test_whitening_is_the_dense_matrix(k: int, rng: torch.Generator) -> None:
    x = cloud(200, 6, rng)
    w = Whitening(6, k).double().fit(x)
    matrix, z = dense(w), torch.randn(5, 6, generator=rng, dtype=torch.float64)
    assert (w.push(z) - (w.mean + z @ matrix.mT)).abs().max() < 1e-12
    assert (w.pull(w.push(z)) - z).abs().max() < EXACT
    assert (w.log_det() - matrix.slogdet().logabsdet).abs() < EXACT
    assert (w.directions.mT @ w.directions - torch.eye(k)).abs().max() < 1e-12
    # of all Gaussians of this form it keeps the total variance and, along the directions, the data's own
    covariance = torch.cov(x.T, correction=0)
    assert (matrix @ matrix).trace() == pytest.approx(covariance.trace().item(), rel=1e-10)
    along = w.directions.mT @ covariance @ w.directions
    assert (along - torch.diag(w.scales.square())).abs().max() < EXACT
    spectrum = torch.linalg.eigvalsh(covariance).flip(0)
    assert (w.scales.square() - spectrum[:k]).abs().max() < EXACT
    if k == 6:
        z = w.pull(x)
        assert (torch.cov(z.T, correction=0) - torch.eye(6)).abs().max() < EXACT
    else:
        assert (torch.cov(w.pull(x).T, correction=0) - torch.eye(6)).abs().max() > 1e-2


def test_whitening_refuses_what_has_no_density(rng: torch.Generator) -> None:
    flat = cloud(50, 4, rng)
    flat[:, 2] = 1.0
    for k in (2, 4):
        with pytest.raises(ValueError, match=r"vary in every direction, and these 50 points do not .* add noise"):
            RealNVP(4).double().fit_whitening(flat, 4 if k == 4 else 3)
    with pytest.raises(ValueError, match="expected between 1 and 4 principal directions, got k=5"):
        RealNVP(4).double().fit_whitening(cloud(50, 4, rng), 5)
    with pytest.raises(ValueError, match="at least the 3 directions that the couplings act on, got k=2"):
        RealNVP(4, principal=3).double().fit_whitening(cloud(50, 4, rng), 2)
    with pytest.raises(ValueError, match="expected 2 to 4 principal coordinates, got 5"):
        RealNVP(4, principal=5)


def test_principal_couplings_leave_the_other_directions_gaussian(rng: torch.Generator) -> None:
    flow = randomised(RealNVP(6, 4, (8,), principal=2).double().fit_whitening(cloud(90, 6, rng), 4), rng)
    w = flow.whitening
    z = base_points(flow, 20, rng)
    shift = w.pull(flow.push(z)) - z
    along = shift @ w.directions[:, :2]
    assert along.abs().max() > 1e-2
    assert (shift - along @ w.directions[:, :2].mT).abs().max() < EXACT


# Splines


@given(bins=st.integers(2, 9), bound=st.sampled_from([0.5, 3.0]), seed=st.integers(0, 2**32 - 1))
def test_splines_increase_and_invert_everywhere(bins: int, bound: float, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    spline = Spline(bins, bound)
    theta = torch.randn(1, spline.parameters, generator=rng, dtype=torch.float64)
    z = torch.linspace(-2 * bound, 2 * bound, 4001, dtype=torch.float64)[:, None]
    theta = theta.expand(len(z), -1)
    x, log_slope = spline.push(z, theta)
    back, log_slope_back = spline.pull(x, theta)
    assert (x.diff(dim=0) > 0).all()
    assert (slope_times_error := (back - z).abs() * log_slope.exp()).max() < 1e-12, slope_times_error.max()
    assert (log_slope + log_slope_back).abs().max() < 1e-7
    tails = z.abs() > bound
    assert torch.equal(x[tails], z[tails])
    assert not log_slope[tails].any()
    assert log_slope[~tails].abs().max() > 1e-3
    slope = (x[2:] - x[:-2]) / (z[2:] - z[:-2])
    assert (slope.log() - log_slope[1:-1]).abs().median() < 1e-3
    ends = torch.tensor([[bound], [-bound], [bound * (1 - 1e-9)], [bound * (1 + 1e-9)]], dtype=torch.float64)
    at, log_at = spline.push(ends, theta[:4])
    assert (at - ends).abs().max() < 1e-7, "continuous at the ends of the box"
    assert log_at.abs().max() < 1e-5, "with a continuous slope"


def test_the_knots_of_a_spline_are_hit_exactly(rng: torch.Generator) -> None:
    spline = Spline(6, 2.0)
    theta = torch.randn(1, spline.parameters, generator=rng, dtype=torch.float64)
    x, y, slopes = spline._knots(theta)
    hit, log_slope = spline.push(x[0], theta.expand(7, -1))
    assert (hit - y[0]).abs().max() < 1e-12
    assert (log_slope.exp() - slopes[0]).abs().max() < 1e-12
    assert (x.diff(dim=1) > 0).all()
    assert (y.diff(dim=1) > 0).all()


# Glow


def test_latents_of_every_level_reach_the_picture(rng: torch.Generator) -> None:
    flow = randomised(Glow((1, 8, 8), 2, 3, 6), rng)
    z = base_points(flow, 1, rng)
    moved = flow.jacobian(z)[0].abs().amax(0)
    assert (moved > 1e-6).all(), "dropping any latent would lose the inverse"
    assert flow.jacobian(z)[0].slogdet().logabsdet.isfinite()


def test_actnorms_take_mean_and_scale_from_data(rng: torch.Generator) -> None:
    flow = randomised(Glow((2, 4, 4), 3, 2, 6), rng)
    x = 5 + 3 * torch.randn(64, 2, 4, 4, generator=rng, dtype=torch.float64)
    reached: list[Tensor] = []
    hooks = [m for m in flow.modules() if isinstance(m, ActNorm)]
    flow.fit_actnorm(x)
    original = ActNorm.pull

    def watched(self: ActNorm, x: Tensor) -> tuple[Tensor, Tensor]:
        z, change = original(self, x)
        reached.append(z)
        return z, change

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ActNorm, "pull", watched)
        z = flow.pull(x)
    assert len(reached) == len(hooks) == 6
    for out in reached:
        assert out.mean((0, 2, 3)).abs().max() < 1e-10
        assert (out.var((0, 2, 3), correction=0) - 1).abs().max() < 1e-9
    assert (flow.push(z) - x).abs().max() < EXACT


@pytest.mark.parametrize(("shape", "levels"), [((1, 7, 8), 1), ((1, 8, 6), 2), ((3, 28, 28), 3)])
def test_sides_that_do_not_halve_are_refused(shape: tuple[int, ...], levels: int) -> None:
    with pytest.raises(ValueError, match=rf"{shape[1]}×{shape[2]} is not divisible by {2**levels}: pad"):
        Glow(shape, 1, levels, 4)


# torch.func, dtypes and devices


@each_flow
def test_flows_can_be_transformed(name: str, rng: torch.Generator) -> None:
    flow = randomised(FLOWS[name](rng), rng)
    z = base_points(flow, 4, rng)
    x = flow.push(z)
    assert (vmap(lambda one: flow.push(one[None])[0])(z) - x).abs().max() < 1e-12
    assert (vmap(lambda one: flow.log_prob(one[None])[0])(x) - flow.log_prob(x)).nan_to_num().abs().max() < EXACT
    v = torch.randn(z.shape, generator=rng, dtype=z.dtype)
    along = jvp(flow.push, (z,), (v,))[1].flatten(1)
    assert (along - (flow.jacobian(z) @ v[..., None])[..., 0]).abs().max() < EXACT
    assert (vmap(jacfwd(lambda one: flow.push(one[None]).flatten()))(z) - by_autograd(flow, z)).abs().max() < EXACT
    score = grad(lambda z: flow.push(z, log_det=True)[1].sum())(z)
    assert score.isfinite().all()


def test_a_flow_uses_the_weights_it_is_called_with(rng: torch.Generator) -> None:
    flow, other = randomised(RealNVP(4, 2, (5,)), rng), randomised(RealNVP(4, 2, (5,)), rng)
    x = torch.randn(3, 4, generator=rng, dtype=torch.float64)
    assert torch.equal(functional_call(flow, dict(other.named_parameters()), (x,)), other.log_prob(x))
    assert torch.equal(copy.deepcopy(flow)(x), flow.log_prob(x))
    assert not torch.allclose(other(x), flow(x))


@each_flow
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_flows_keep_dtype_and_device(name: str, kind: torch.dtype, rng: torch.Generator) -> None:
    flow = FLOWS[name](rng).to(kind)
    z = torch.rand(3, flow.dim, dtype=kind)
    x = flow.push(z)
    made = [x, flow.pull(x), flow.log_prob(x), flow.sample(2), flow.jacobian(z), *flow.push(z, log_det=True)]
    assert {t.dtype for t in made} == {kind}
    # "meta" tensors have a device and no values: whatever was made on the CPU in between raises
    away = flow.to("meta")
    x = away.push(z.to("meta"))
    made = [x, away.pull(x), away.log_prob(x), away.sample(2), *away.push(z.to("meta"), log_det=True)]
    if not isinstance(flow, Glow):
        made.append(away.jacobian(z.to("meta")))
    assert {t.device.type for t in made} == {"meta"}


@each_flow
def test_float32_is_close_to_float64(name: str, rng: torch.Generator) -> None:
    flow = randomised(FLOWS[name](rng), rng, 0.2)
    z = base_points(flow, 4, rng)
    x = flow.push(z)
    single = copy.deepcopy(flow).float()
    assert (single.push(z.float()) - x).abs().max() < 1e-4 * x.abs().max().clamp_min(1)
    assert (single.pull(single.push(z.float())) - z).abs().max() < 1e-3


# The public door


def test_bad_points_are_refused_with_what_was_expected() -> None:
    flow, pictures = RealNVP(2), Glow((1, 4, 4), 1, 1, 4)
    for ask in (flow.push, flow.pull, flow.log_prob, flow.jacobian, flow):
        for shape in ((64, 3), (2,), (0, 2), (5, 2, 2), ()):
            with pytest.raises(ValueError, match=r"expected points of shape \(batch, 2\) with batch ≥ 1, got \("):
                ask(torch.zeros(shape))
        for bad in (math.nan, math.inf, -math.inf):
            x = torch.zeros(4, 2)
            x[1, 1] = bad
            with pytest.raises(
                ValueError, match=r"got 1 entries of 8 that are NaN or infinite, the first at index \(1, 1\)"
            ):
                ask(x)
        with pytest.raises(ValueError, match=r"computes in torch.float32 on cpu, got points in torch.float64"):
            ask(torch.zeros(1, 2).double())
        with pytest.raises(ValueError, match=r"on cpu, got points in torch.float32 on meta"):
            ask(torch.zeros(1, 2, device="meta"))
        assert ask(torch.full((3, 2), 3e38)) is not None  # finite, though their sum is not
    with pytest.raises(ValueError, match=r"expected points of shape \(batch, 16\)"):
        pictures.push(torch.zeros(2, 1, 4, 4))
    with pytest.raises(ValueError, match=r"expected points of shape \(batch, 1, 4, 4\)"):
        pictures.pull(torch.zeros(2, 16))


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: RealNVP(1), "a coupling needs two halves, got dimension 1"),
        (lambda: RealNVP(2, 0), "expected at least one layer of affine or spline couplings, got 0"),
        (lambda: RealNVP(2, coupling="cubic"), "affine or spline couplings, got 8, 'cubic'"),
        (lambda: RealNVP(2, hidden=(8, 0)), "expected positive widths"),
        (lambda: RealNVP(2, base="cauchy"), "unknown base 'cauchy': expected one of normal, uniform"),
        (lambda: RealNVP(2, cap=0), "positive and finite, got cap=0"),
        (lambda: RealNVP(2, coupling="spline", bins=1), "expected at least 2 bins"),
        (lambda: RealNVP(2, coupling="spline", bound=-1), "a positive bound, got 8, -1"),
        (lambda: Glow((8, 8), 1, 1, 4), "expected a shape"),
        (lambda: Glow((1, 8, 8), 0, 1, 4), "steps=0"),
        (lambda: RealNVP(2).sample(0), "at least one sample, got n=0"),
        (lambda: RealNVP(2).sample(1, temperature=-1), "finite and at least 0, got -1"),
        (lambda: RealNVP(2).sample(1, temperature=math.nan), "finite and at least 0, got nan"),
        (lambda: RealNVP(2).jacobian(torch.zeros(1, 2), chunk=0), "at least one column, got 0"),
    ],
)
def test_impossible_settings_are_refused(build: Callable[[], Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        build()


# Pictures as densities


@pytest.mark.parametrize("bits", [1, 3, 4, 8])
def test_dequantized_values_lie_in_their_level(bits: int, rng: torch.Generator) -> None:
    grey = torch.arange(256, dtype=torch.uint8).repeat(200)
    x = dequantize(grey, bits, rng)
    assert x.dtype == torch.float32
    assert 0 <= x.min() < x.max() < 1
    assert torch.equal((x * 2**bits).floor(), (grey / 255 * 2**bits).floor().clamp_max(2**bits - 1))
    if bits == 8:
        assert torch.equal((x * 256).floor(), grey.float())
    inside = (x * 2**bits) % 1
    assert float(inside.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(inside.var()) == pytest.approx(1 / 12, rel=0.03)
    twice = dequantize(grey, bits, rng)
    assert not torch.equal(x, twice)
    assert dequantize(grey.double() / 255, bits, rng).dtype == torch.float64


def test_dequantize_refuses_what_is_no_picture() -> None:
    for wrong in (torch.tensor([-0.1]), torch.tensor([1.1]), torch.tensor([math.nan]), torch.tensor([3])):
        with pytest.raises(ValueError, match="expected values between 0 and 1, or bytes"):
            dequantize(wrong, 4)
    for bits in (0, 9):
        with pytest.raises(ValueError, match="between 1 and 8 bits"):
            dequantize(torch.zeros(1), bits)


def test_bits_per_dim_by_hand() -> None:
    # uniform on [0, 1)ᴰ: each of the 2ᵇ levels is equally likely, b bits each
    assert bits_per_dim(0.0, 5, 64) == 5
    # all mass on one cell: nothing is left to be said
    assert bits_per_dim(64 * 5 * math.log(2), 5, 64) == pytest.approx(0)
    log_prob = torch.tensor([0.0, 784 * math.log(2)])
    assert bits_per_dim(log_prob, 4, 784).tolist() == pytest.approx([4, 3])
    with pytest.raises(ValueError, match="positive numbers of bits and dimensions, got 0 and 3"):
        bits_per_dim(0.0, 0, 3)


# Checkpoints


def saved(flow: Flow, path: Path) -> Path:
    flow.save(path)
    return path


@each_flow
def test_a_checkpoint_gives_the_flow_back_bit_by_bit(name: str, tmp_path: Path, rng: torch.Generator) -> None:
    for kind in (torch.float32, torch.float64):
        flow = randomised(FLOWS[name](rng), rng).to(kind)
        twin = load(saved(flow, tmp_path / "deep" / "flow.safetensors"))
        assert type(twin) is type(flow)
        z = torch.randn(3, flow.dim, generator=rng).to(kind)
        assert torch.equal(twin.push(z), flow.push(z))
        if "uniform" in name:
            assert twin.architecture["base"] == "uniform"
        assert twin.state_dict().keys() == flow.state_dict().keys()
        assert [p.name for p in (tmp_path / "deep").iterdir()] == ["flow.safetensors"], "no partial file stays"


def test_bad_checkpoints_say_what_is_wrong(tmp_path: Path) -> None:
    good = saved(RealNVP(2, 2, (4,)), tmp_path / "good")
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*missing: check the name"):
        load(tmp_path / "missing")
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        load(tmp_path)
    for content in (b"", b"not safetensors at all", good.read_bytes()[:-10]):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(CheckpointError, match="is not a readable safetensors file"):
            load(tmp_path / "bad")
    flipped = bytearray(good.read_bytes())
    flipped[-6] ^= 1
    (tmp_path / "bad").write_bytes(flipped)
    with pytest.raises(CheckpointError, match="is damaged, its weights are not those that were saved"):
        load(tmp_path / "bad")
    save_file({"w": torch.zeros(1)}, tmp_path / "foreign")
    with pytest.raises(CheckpointError, match="does not say which flow it holds"):
        load(tmp_path / "foreign")
    with pytest.raises(CheckpointError, match="holds 'RealNVP', expected a Glow"):
        Glow.load(good)
    assert isinstance(RealNVP.load(good), RealNVP)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"flow": "Residual"}, "holds 'Residual', expected a Flow of this package"),
        ({"flow": None}, "holds None, expected a Flow"),
        ({"layers": 3}, "does not fit this version of RealNVP"),
        ({"twist": 1}, "does not fit this version of RealNVP"),
        ({"dim": 1}, "does not fit this version of RealNVP .*got dimension 1"),
    ],
)
def test_checkpoints_of_other_architectures_are_refused(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    good = saved(RealNVP(2, 2, (4,)), tmp_path / "good")
    with safe_open(good, "pt") as file:
        metadata, weights = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    metadata["architecture"] = json.dumps(json.loads(metadata["architecture"]) | change)
    save_file(weights, tmp_path / "changed", metadata)
    with pytest.raises(CheckpointError, match=complaint):
        load(tmp_path / "changed")


def test_a_checkpoint_that_cannot_be_written_says_so(read_only: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot write the checkpoint .*: choose another place"):
        RealNVP(2, 1, (2,)).save(read_only / "flow")


def exactness(seeds: Iterator[int]) -> dict[str, tuple[float, float, float]]:
    """Largest errors of inverse, log-determinant and Jacobian over seeds: ``python -m tests.test_flows`` shows them."""
    worst = dict.fromkeys(FLOWS, (0.0, 0.0, 0.0))
    for seed in seeds:
        rng = torch.Generator().manual_seed(seed)
        for name, build in FLOWS.items():
            flow = randomised(build(rng), rng)
            z = base_points(flow, 4, rng)
            x, log_det = flow.push(z, log_det=True)
            jac = by_autograd(flow, z)
            errors = (flow.pull(x) - z, log_det - jac.slogdet().logabsdet, flow.jacobian(z) - jac)
            worst[name] = tuple(max(w, float(e.detach().abs().max())) for w, e in zip(worst[name], errors, strict=True))  # type: ignore[assignment]
    return worst


if __name__ == "__main__":
    for name, (inverse, log_det, jacobian) in exactness(runtime.fresh_seed() for _ in range(20)).items():
        print(f"{name:26} inverse {inverse:.1e}  log-det {log_det:.1e}  Jacobian {jacobian:.1e}")

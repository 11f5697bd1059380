"""Flows: both directions, log-determinants and Jacobians are exact, and the public door says what it expects."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.func import jacrev, vmap

from gdl_lab import runtime
from gdl_lab.flows import AffineCoupling, Glow, RealNVP, Whitening
from gdl_lab.flows.coupling import push
from tests.every_flow import EXACT, FLOWS, base_points, by_autograd, each_flow, randomised

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
        for wrong in ([[0.0, 0.0]], np.zeros((1, 2), np.float32)):
            with pytest.raises(TypeError, match=r"expected a tensor of points, got (list|ndarray): torch.as_tensor"):
                ask(wrong)
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

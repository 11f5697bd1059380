"""The room `infinite_width`: kernels to many digits, networks as they are defined, training step by step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gdl_lab.infinite_width import (
    InfiniteEnsemble,
    LinearDescent,
    WideNetwork,
    closed_under,
    descend,
    empirical_ntk,
    kernels,
    posterior,
)  # fmt: skip
from gdl_lab.training import Diverged

F64 = torch.float64


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def normal(rng: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=rng, dtype=F64)


# Kernels


def with_many_digits(x: Tensor, y: Tensor, depth: int, sw2: float, sb2: float) -> tuple[mpmath.mpf, mpmath.mpf]:
    """The recursion as the books have it, over cosines, with 60 digits."""
    with mpmath.workdps(60):
        a, b = ([mpmath.mpf(float(t)) for t in one] for one in (x, y))

        def product(a: list[mpmath.mpf], b: list[mpmath.mpf]) -> mpmath.mpf:
            return mpmath.mpf(sw2) * mpmath.fdot(a, b) / len(a) + mpmath.mpf(sb2)

        K, q, p = product(a, b), product(a, a), product(b, b)
        T = K
        for _ in range(depth):
            root = mpmath.sqrt(q * p)
            theta = mpmath.acos(max(min(K / root, mpmath.mpf(1)), mpmath.mpf(-1)))
            bent = mpmath.sin(theta) + (mpmath.pi - theta) * mpmath.cos(theta)
            K = mpmath.mpf(sw2) * root * bent / (2 * mpmath.pi) + mpmath.mpf(sb2)
            T = K + mpmath.mpf(sw2) * (mpmath.pi - theta) / (2 * mpmath.pi) * T
            q, p = (mpmath.mpf(sw2) * t / 2 + mpmath.mpf(sb2) for t in (q, p))
        return K, T


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    depth=st.integers(0, 4),
    sb2=st.sampled_from([0.0, 0.1, 1.0]),
    sw2=st.sampled_from([0.5, 2.0]),
    distance=st.sampled_from([0.0, 1e-15, 1e-12, 1e-9, 1e-6, 1e-3, 1.0]),
    scale=st.sampled_from([-1.0, 1.0, 1.7]),
)
def test_all_digits_are_right_however_near_the_points_are(
    seed: int, depth: int, sb2: float, sw2: float, distance: float, scale: float
) -> None:
    rng = torch.Generator().manual_seed(seed)
    x = normal(rng, 5)
    y = scale * x + distance * normal(rng, 5)
    ours = kernels(x[None], y[None], depth=depth, weight_variance=sw2, bias_variance=sb2)
    size = float(kernels(x[None], depth=depth, weight_variance=sw2, bias_variance=sb2).ntk) * max(1.0, scale)
    for one, wanted in zip(ours, with_many_digits(x, y, depth, sw2, sb2), strict=True):
        assert abs(float(mpmath.mpf(float(one)) - wanted)) < 1e-14 * size


def test_a_linear_model_has_one_kernel(rng: torch.Generator) -> None:
    x, y = normal(rng, 3, 4), normal(rng, 2, 4)
    for one in kernels(x, y, depth=0):
        assert (one - 2 * x @ y.T / 4 - 0.1).abs().max() < 1e-14


def test_kernels_are_symmetric_positive_and_do_not_see_rotations(rng: torch.Generator) -> None:
    x, Q = normal(rng, 12, 6), torch.linalg.qr(normal(rng, 6, 6)).Q
    for one, turned in zip(kernels(x), kernels(x @ Q), strict=True):
        assert (one - one.mT).abs().max() < 1e-14
        assert torch.linalg.eigvalsh(one)[0] > 1e-3
        assert (one - turned).abs().max() < 1e-13
    assert (kernels(x, -x).ntk - kernels(x).ntk).abs().max() > 0.1


def test_float32_stays_float32(rng: torch.Generator) -> None:
    x = normal(rng, 4, 3)
    for one, wide in zip(kernels(x.float()), kernels(x), strict=True):
        assert one.dtype == torch.float32
        assert (one - wide).abs().max() < 1e-5


# Networks


def test_a_network_is_what_the_definition_says(rng: torch.Generator) -> None:
    net, x = WideNetwork([3, 5, 4, 2], weight_variance=1.7, bias_variance=0.3, generator=rng), normal(rng, 6, 3)
    net.requires_grad_(False)
    for k in range(6):
        h = x[k]
        for W, b in zip(net.W, net.b, strict=True):
            n = len(h)
            relu = h if W is net.W[0] else torch.tensor([max(float(t), 0.0) for t in h], dtype=F64)
            h = torch.stack(
                [math.sqrt(1.7 / n) * (w * relu).sum() + math.sqrt(0.3) * c for w, c in zip(W, b, strict=True)]
            )
        assert (net(x)[k] - h).abs().max() < 1e-13


def test_an_ensemble_is_its_members(rng: torch.Generator) -> None:
    net, x, y = WideNetwork([3, 8, 2], members=3, generator=rng), normal(rng, 5, 3), normal(rng, 5, 2)
    singles = [WideNetwork([3, 8, 2]) for _ in range(3)]
    for k, one in enumerate(singles):
        for w, v in zip(one.parameters(), net.parameters(), strict=True):
            w.data.copy_(v[k])
    for one in (net, *singles):
        descend(one, x, y, rate=0.05, steps=20)
    assert (net(x) - torch.stack([one(x) for one in singles])).abs().max() < 1e-13


def test_a_step_is_a_step_of_gradient_descent(rng: torch.Generator) -> None:
    net, x, y = WideNetwork([3, 8, 2], generator=rng), normal(rng, 6, 3), normal(rng, 6, 2)
    before = [w.detach().clone() for w in net.parameters()]
    (0.5 * (net(x[2:4]) - y[2:4]).square().sum()).backward()
    slopes = [w.grad.clone() for w in net.parameters() if w.grad is not None]
    again = WideNetwork([3, 8, 2])
    again.load_state_dict(net.state_dict())
    descend(again, x[2:4], y[2:4], rate=0.1, steps=1)
    for w, v, slope in zip(again.parameters(), before, slopes, strict=True):
        assert (w - v + 0.1 * slope).abs().max() < 1e-14
    descend(net, x, y, rate=0.1, steps=1, batch=2)  # the first batch is the first two
    assert (net.W[0] - again.W[0]).abs().max() > 1e-4


def test_the_tangent_kernel_is_a_gram_matrix_of_gradients(rng: torch.Generator) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2)).double()
    net[0].bias.requires_grad_(False)
    x, y = normal(rng, 3, 1, 4, 4), normal(rng, 2, 1, 4, 4)
    moving = [w for w in net.parameters() if w.requires_grad]

    def gradients(x: Tensor) -> Tensor:
        rows = [torch.autograd.grad(net(one[None])[0, i], moving) for one in x for i in range(2)]
        return torch.stack([torch.cat([g.flatten() for g in row]) for row in rows]).view(len(x), 2, -1)

    wanted = torch.einsum("nip,mjp->nmij", gradients(x), gradients(y))
    for batch in (1, 2, 64):
        assert (empirical_ntk(net, x, y, batch=batch) - wanted).abs().max() < 1e-12
    first = nn.Sequential(net, nn.Flatten(0)).double()  # one output less an axis
    net[3] = nn.Linear(12, 1).double()
    assert empirical_ntk(first, x).shape == (3, 3)


def test_wide_networks_come_near_their_kernels(rng: torch.Generator) -> None:
    """Means over 200 networks of width 64 with two outputs: Θ ⊗ 1, and K as the covariance."""
    x = normal(rng, 3, 4)
    K, T = kernels(x, depth=1)
    nets = [WideNetwork([4, 64, 2], generator=rng) for _ in range(200)]
    theta = torch.stack([empirical_ntk(net, x) for net in nets]).mean(0)
    assert (theta - T[..., None, None] * torch.eye(2, dtype=F64)).abs().max() < 0.1 * T.max()
    f = WideNetwork([4, 64, 1], members=20_000, generator=rng)(x).detach()[..., 0]
    assert (f.T @ f / len(f) - K).abs().max() < 0.05 * K.max()


# Closed ensembles


def test_copies_see_permuted_inputs(rng: torch.Generator) -> None:
    net, x = WideNetwork([4, 7, 2], generator=rng), normal(rng, 5, 4)
    turns = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2]])
    four = closed_under(net, turns)
    assert (
        torch.equal(four(x), torch.stack([net(x[:, turn]) for turn in turns]))
        or (four(x) - torch.stack([net(x[:, turn]) for turn in turns])).abs().max() < 1e-14
    )
    moved = four(x[:, turns[1]])
    assert (moved - four(x).roll(-1, 0)).abs().max() < 1e-14, "a turn permutes the members"
    descend(four, x, normal(rng, 5, 2), rate=0.01, steps=1)
    assert torch.equal(net.W[0], WideNetwork([4, 7, 2], generator=torch.Generator().manual_seed(0)).W[0])


# Training


def test_descent_in_closed_form_is_descent(rng: torch.Generator) -> None:
    """A model linear in its parameters, trained step by step; rates above 1/λ_max overshoot and are right too."""
    J, y = normal(rng, 5, 9), normal(rng, 5, 2)
    theta = J @ J.T
    top = float(torch.linalg.eigvalsh(theta)[-1])
    for rate in (0.3 / top, 1 / top, 1.8 / top):
        descent, w = LinearDescent(theta, rate), torch.zeros(9, 2, dtype=F64)
        for t in range(40):
            assert (theta @ descent.response(y, t) - J @ w).abs().max() < 1e-12
            assert (J.T @ descent.response(y, t) - w).abs().max() < 1e-12
            w = w - rate * J.T @ (J @ w - y)
        assert (theta @ descent.response(y, math.inf) - y).abs().max() < 1e-10
        assert (descent.response(y, 10**7) - descent.response(y, math.inf)).abs().max() < 1e-9


def test_slow_directions_keep_their_digits() -> None:
    theta = torch.tensor([[1.0, 0.0], [0.0, 1e-13]], dtype=F64)
    moved = LinearDescent(theta, 1.0).response(torch.ones(2, 1, dtype=F64), 3)
    assert abs(float(moved[1, 0]) - 3) < 1e-9


def test_the_ensemble_begins_as_the_prior_and_ends_at_the_targets(rng: torch.Generator) -> None:
    x, y, at = normal(rng, 6, 4), normal(rng, 6, 2), normal(rng, 7, 4)
    ensemble = InfiniteEnsemble(x, y, depth=1)
    assert ensemble.mean(at, 0).abs().max() == 0
    assert (ensemble.covariance(at, 0) - kernels(at, depth=1).nngp).abs().max() < 1e-14
    assert (ensemble.mean(x, math.inf) - y).abs().max() < 1e-11
    assert ensemble.covariance(x, math.inf).abs().max() < 1e-11
    for t in (1, 10, math.inf):
        cov = ensemble.covariance(at, t)
        assert (cov - cov.mT).abs().max() < 1e-12
        assert torch.linalg.eigvalsh(cov)[0] > -1e-12


def test_the_covariance_is_that_of_linearised_samples(rng: torch.Generator) -> None:
    x, y, at = normal(rng, 4, 3), normal(rng, 4, 1), normal(rng, 3, 3)
    ensemble, K = InfiniteEnsemble(x, y), kernels(torch.cat([x, at])).nngp
    f = torch.linalg.cholesky(K) @ normal(rng, 7, 200_000)  # values of the process, sampled
    moved = f[4:] + kernels(at, x).ntk @ ensemble.descent.response(y - f[:4], 12)
    assert (moved.mean(1) - ensemble.mean(at, 12)[:, 0]).abs().max() < 0.02
    assert (torch.cov(moved) - ensemble.covariance(at, 12)).abs().max() < 0.03


def test_training_the_last_layer_alone_is_bayes(rng: torch.Generator) -> None:
    """With Θ = K the formulas of the ensemble give the posterior: an identity between two rooms of formulas."""
    x, y, at = normal(rng, 5, 3), normal(rng, 5, 2), normal(rng, 4, 3)
    K, cross, prior = kernels(x).nngp, kernels(at, x).nngp, kernels(at).nngp
    A = LinearDescent(K).response(cross.mT, math.inf).mT
    mean, cov = posterior(x, y, at)
    assert (A @ y - mean).abs().max() < 1e-10
    assert (prior - A @ cross.mT - cross @ A.mT + A @ K @ A.mT - cov).abs().max() < 1e-10
    noisy, wider = posterior(x, y, at, noise=0.5)
    joint = torch.linalg.inv(K + 0.5 * torch.eye(5, dtype=F64))
    assert (noisy - cross @ joint @ y).abs().max() < 1e-12
    assert (wider - prior + cross @ joint @ cross.mT).abs().max() < 1e-12


# Bad input

X, Y = torch.ones(3, 2, dtype=F64).cumsum(0).sin(), torch.ones(3, 1, dtype=F64)
BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "one point": (lambda: kernels(X[0]), r"points \(n, d\)"),
    "other dimensions": (lambda: kernels(X, torch.ones(2, 3, dtype=F64)), "of one dimension"),
    "no points": (lambda: kernels(X[:0]), "expected points"),
    "NaN": (lambda: kernels(X / 0), "6 entries of 6 that are NaN or infinite"),
    "integers": (lambda: kernels(torch.ones(2, 2, dtype=torch.int64)), "floating"),
    "two dtypes": (lambda: kernels(X, X.float()), "of one floating dtype"),
    "depth": (lambda: kernels(X, depth=-1), "depth ≥ 0"),
    "no weights": (lambda: kernels(X, weight_variance=0.0), "weight_variance > 0"),
    "negative bias": (lambda: WideNetwork([2, 1], bias_variance=-0.1), "bias_variance ≥ 0"),
    "zero vector": (lambda: kernels(0 * X, bias_variance=0.0), "no angle"),
    "one width": (lambda: WideNetwork([3]), "two or more"),
    "no members": (lambda: WideNetwork([3, 1], members=0), "members"),
    "frozen": (lambda: empirical_ntk(WideNetwork([2, 1]).requires_grad_(False), X), "0 parameters"),
    "no inputs": (lambda: empirical_ntk(WideNetwork([2, 1]), X[:0]), "0 and 0 points"),
    "an ensemble": (lambda: empirical_ntk(WideNetwork([2, 1], members=2), X), r"got \(2, 1, 1\)"),
    "closing an ensemble": (
        lambda: closed_under(WideNetwork([2, 1], members=2), torch.tensor([[0, 1]])), "expected one network"
    ),
    "no permutation": (lambda: closed_under(WideNetwork([2, 1]), torch.tensor([[0, 0]])), "permutations of its 2"),
    "targets of a network": (lambda: descend(WideNetwork([2, 1]), X, Y[:, 0], rate=0.1, steps=1), "expected targets"),
    "targets": (lambda: InfiniteEnsemble(X, Y[:2]), r"targets \(3, k\)"),
    "flat targets": (lambda: posterior(X, Y[:, 0], X), r"targets \(3, k\)"),
    "not a kernel": (lambda: LinearDescent(X), r"kernel \(n, n\)"),
    "a kernel of NaN": (lambda: LinearDescent(torch.full((2, 2), math.nan)), "finite kernel"),
    "too fast": (lambda: InfiniteEnsemble(X, Y, rate=100.0), "2/λ_max"),
    "half a step": (lambda: InfiniteEnsemble(X, Y).mean(X, 0.5), "0, 1, 2"),
    "back in time": (lambda: InfiniteEnsemble(X, Y).mean(X, -1), "steps are"),
    "a negative kernel": (lambda: LinearDescent(-torch.eye(2)), "expected a positive kernel"),
    "no number of steps": (lambda: LinearDescent(torch.eye(2)).response(torch.ones(2, 1), math.nan), "steps are"),
    "points twice": (lambda: InfiniteEnsemble(X[[0, 0]], Y[:2]).mean(X, math.inf), "leave out repeated points"),
    "points twice, Bayes": (lambda: posterior(X[[0, 0]], Y[:2], X), "repeated points"),
    "noise": (lambda: posterior(X, Y, X, noise=-1.0), "noise = -1"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told(case: str) -> None:
    call, words = BAD[case]
    with pytest.raises(ValueError, match=words):
        call()


def test_too_fast_a_descent_is_told(rng: torch.Generator) -> None:
    with pytest.raises(Diverged, match="try a smaller one"):
        descend(WideNetwork([2, 1], generator=rng), X, Y, rate=1e6, steps=100)


def test_a_direction_without_a_kernel_is_never_learned() -> None:
    descent = LinearDescent(torch.diag(torch.tensor([0.0, 2.0], dtype=torch.float64)), rate=0.25)
    gain = descent.response(torch.eye(2, dtype=torch.float64), 3)
    assert torch.allclose(gain, torch.diag(torch.tensor([0.75, (1 - 0.5**3) / 2], dtype=torch.float64)))

"""The induced metric: against autograd, against flows whose metric is known, and with thickness δ going to zero."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import jacrev, vmap

from gdl_lab import metric
from gdl_lab.flows import Flow, Glow, RealNVP
from gdl_lab.metric import (
    apply_inverse_metric,
    inverse_metric,
    jacobian,
    normal_tangent,
    singular_values,
    step_remainder,
)
from tests.known_metrics import Arc, Linear, diffeomorphism, normal, randomised

EXACT = 1e-10
LAMS = (1e-3, 1e-4, 1e-5)


FLOWS: dict[str, Callable[[torch.Generator], Flow]] = {
    "affine": lambda rng: RealNVP(5, 4, (8,)),
    "spline": lambda rng: RealNVP(4, 3, (8,), coupling="spline"),
    "whitened": lambda rng: RealNVP(7, 3, (8,), principal=3).double().fit_whitening(normal(rng, 90, 7) + 2, 5),
    "Glow": lambda rng: Glow((1, 4, 4), steps=2, levels=2, hidden=5),
}
each_flow = pytest.mark.parametrize("name", FLOWS)


def by_autograd(g: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    return vmap(jacrev(lambda one: g(one[None]).flatten()))(z).detach()


def slopes(x: Any, y: Any) -> Any:
    """Fitted exponents of y ~ x^p, one for each column of y."""
    return np.polyfit(np.log(np.asarray(x)), np.log(np.asarray(y)), 1)[0]


# Jacobian and metric


@each_flow
def test_jacobian_and_metric_are_those_of_autograd(name: str, rng: torch.Generator) -> None:
    flow = randomised(FLOWS[name](rng), rng)
    z = normal(rng, 3, flow.dim)
    J = by_autograd(flow.push, z)
    assert (jacobian(flow, z) - J).abs().max() < EXACT
    for chunk in (1, 3, 64):
        assert (jacobian(flow.push, z, chunk=chunk) - J).abs().max() < EXACT
    gamma_inv = inverse_metric(flow, z)
    assert gamma_inv.shape == (3, flow.dim, flow.dim)
    assert not gamma_inv.requires_grad
    assert (gamma_inv - torch.einsum("bij,bkj->bik", J, J)).abs().max() < EXACT
    assert (gamma_inv - J.mT @ J).abs().max() > 1e-2, "the metric on X, not that on Z"
    assert torch.linalg.eigvalsh(gamma_inv).min() > 0
    # the flow's own change of volume is an independent witness
    assert (gamma_inv.logdet() / 2 - flow.push(z, log_det=True)[1]).abs().max() < 1e-8


def test_the_jacobian_is_that_of_finite_differences(rng: torch.Generator) -> None:
    flow = randomised(RealNVP(4, 4, (8,)), rng)
    z, h = normal(rng, 2, 4), 1e-5
    with torch.no_grad():
        columns = [(flow.push(z + h * e) - flow.push(z - h * e)) / (2 * h) for e in torch.eye(4, dtype=torch.float64)]
    assert (jacobian(flow, z) - torch.stack(columns, 2)).abs().max() < 1e-7


def test_the_metric_of_the_arc_is_its_closed_form(rng: torch.Generator) -> None:
    arc, z = Arc(0.05, shear=0.3), normal(rng, 20, 2)
    assert (inverse_metric(arc.push, z) - arc.gamma_inv(z)).abs().max() < EXACT
    assert (inverse_metric(diffeomorphism(arc), z) - arc.gamma_inv(z)).abs().max() < EXACT
    assert (arc.pull(arc.push(z.clamp(-2, 2))) - z.clamp(-2, 2)).abs().max() < 1e-8


def test_any_map_has_a_jacobian(rng: torch.Generator) -> None:
    net = nn.Sequential(nn.Linear(3, 9), nn.Tanh(), nn.Linear(9, 8), nn.Unflatten(1, (2, 4))).double()
    z = normal(rng, 5, 3)
    J = jacobian(net, z, chunk=2)
    assert J.shape == (5, 8, 3)
    assert not J.requires_grad
    assert (J - by_autograd(net, z)).abs().max() < EXACT
    assert singular_values(net, z).shape == (5, 3)
    assert (singular_values(net, z, 2) - torch.linalg.svdvals(J)[:, :2]).abs().max() < EXACT


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtypes_are_kept_and_points_stand_alone(dtype: torch.dtype, rng: torch.Generator) -> None:
    flow = randomised(RealNVP(4, 3, (8,)), rng).to(dtype)
    z = normal(rng, 6, 4).to(dtype)
    close = 1e-4 if dtype == torch.float32 else EXACT
    v = torch.ones_like(z)
    for answer, alone in (
        (inverse_metric(flow, z), inverse_metric(flow, z[2:3])),
        (jacobian(flow.push, z), jacobian(flow.push, z[2:3])),
        (apply_inverse_metric(flow, z, v), apply_inverse_metric(flow, z[2:3], v[:1])),
        (singular_values(flow, z, 2), singular_values(flow, z[2:3], 2)),
        (singular_values(flow, z, 2, "bottom"), singular_values(flow, z[2:3], 2, "bottom")),
    ):
        assert answer.dtype == dtype
        assert (answer[2:3] - alone).abs().max() < close


@each_flow
def test_the_metric_is_applied_without_being_formed(name: str, rng: torch.Generator) -> None:
    flow = randomised(FLOWS[name](rng), rng)
    z, v = normal(rng, 3, flow.dim), normal(rng, 3, *flow.shape)
    applied = apply_inverse_metric(flow, z, v)
    J = by_autograd(flow.push, z)
    assert applied.shape == v.shape
    assert not applied.requires_grad
    assert (applied.flatten(1) - torch.einsum("bij,bkj,bk->bi", J, J, v.flatten(1))).abs().max() < EXACT
    with torch.no_grad():
        assert torch.equal(apply_inverse_metric(flow, z, v), applied)


def test_the_metric_is_applied_where_no_matrix_would_fit() -> None:
    dim = 200_000  # a matrix would take 160 GB
    z = torch.linspace(-1, 1, dim)[None]
    applied = apply_inverse_metric(lambda z: z + 0.5 * z.roll(1, 1).tanh(), z, torch.ones_like(z))
    slope = 0.5 * (1 - z.roll(1, 1).tanh().square())  # J = 1 + diag(slope) · shift
    back = 1 + slope.roll(-1, 1)
    assert (applied - (back + slope * back.roll(1, 1))).abs().max() < 1e-5


def peak(work: Callable[[], Any]) -> int:
    """Most bytes of tensors alive at once, beyond those that were alive before."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as watch:
        work()
    events = [e for e in watch.profiler.kineto_results.events() if e.name() == "[memory]"]  # type: ignore[union-attr]
    return int(np.cumsum([e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]).max())


@pytest.mark.slow
def test_chunks_bound_the_memory_of_a_jacobian() -> None:
    torch.manual_seed(0)
    dim, width = 128, 1024
    net = nn.Sequential(nn.Linear(dim, width), nn.Tanh(), nn.Linear(width, dim))
    z = torch.randn(2, dim)
    one, small, all_at_once = (peak(partial(jacobian, net, z, chunk=chunk)) for chunk in (1, 16, dim))
    assert small - one < 2 * 15 * 4 * len(z) * width, "each direction of a chunk costs its evaluation of the map"
    assert all_at_once > 3 * small
    assert peak(lambda: by_autograd(net, z)) > 2 * small


# Singular values

COUNT = torch.arange(1, 121, dtype=torch.float64)
SPECTRA = {
    "decaying": 1 / COUNT,
    "geometric": 0.9**COUNT,
    "plateau": torch.cat([torch.linspace(5, 0.5, 12, dtype=torch.float64), torch.full((108,), 0.018).double()]),
    "flat": torch.linspace(1.1, 0.9, 120, dtype=torch.float64),
    "equal": torch.ones(120, dtype=torch.float64),
    "in pairs": (1 / COUNT).repeat_interleave(2)[:120],
}


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("which", ["top", "bottom"])
def test_singular_values_are_found_without_the_matrix(name: str, which: Any, rng: torch.Generator) -> None:
    s = SPECTRA[name]
    flow = diffeomorphism(Linear(s, rng))
    found = singular_values(flow, normal(rng, 2, 120), 10, which)
    expected = s[:10] if which == "top" else s[-10:]
    assert found.shape == (2, 10)
    assert (found.diff() <= 1e-12).all()
    # a flat spectrum is the worst there is; the others are found far better than the 1e-3 that is promised
    assert (found / expected - 1).abs().max() < (1e-4 if name == "flat" else 1e-5)
    assert (singular_values(flow, normal(rng, 1, 120)) - s).abs().max() < EXACT


@each_flow
def test_singular_values_of_flows_are_those_of_their_jacobians(name: str, rng: torch.Generator) -> None:
    flow = randomised(FLOWS[name](rng), rng)
    z = normal(rng, 3, flow.dim)
    s = torch.linalg.svdvals(by_autograd(flow.push, z))
    assert (singular_values(flow, z) - s).abs().max() < EXACT
    assert (singular_values(flow, z, 2) / s[:, :2] - 1).abs().max() < 1e-4
    assert (singular_values(flow, z, 2, "bottom") / s[:, -2:] - 1).abs().max() < 1e-4
    assert (singular_values(flow, z, flow.dim) - s).abs().max() < 1e-8
    assert torch.equal(singular_values(flow, z, 2), singular_values(flow, z, 2)), "the same twice"


def test_float32_finds_small_singular_values_through_the_inverse(rng: torch.Generator) -> None:
    s = torch.logspace(0, -5, 60, dtype=torch.float64)
    flow = diffeomorphism(Linear(s, rng))
    z = normal(rng, 2, 60).float()
    found = singular_values(flow, z, 3, "bottom")
    assert (found.double() / s[-3:] - 1).abs().max() < 1e-4
    gamma_inv = inverse_metric(flow, z)
    squared = torch.linalg.eigvalsh(gamma_inv).abs().sqrt()[:, :3].flip(1)
    assert (squared.double() / s[-3:] - 1).abs().max() > 0.5, "the metric in float32 has lost them"


def test_the_search_uses_few_products_and_stops_where_it_should(
    monkeypatch: pytest.MonkeyPatch, rng: torch.Generator
) -> None:
    used, pull = [], metric._pull_covectors
    monkeypatch.setattr(metric, "_pull_covectors", lambda g, z, w, c: used.append(w.shape[2]) or pull(g, z, w, c))
    z = normal(rng, 1, 120)
    singular_values(Linear(SPECTRA["plateau"], rng).push, z, 8)
    assert sum(used) <= 60
    flat = Linear(SPECTRA["flat"], rng)
    loose, strict = (singular_values(flat.push, z, 8, tol=tol) for tol in (1.0, 1e-3))
    wrong = [float((found / SPECTRA["flat"][:8] - 1).abs().max()) for found in (loose, strict)]
    assert wrong[0] > 20 * wrong[1], "without its bound the search would stop too early"


# Along and across a manifold


def test_normal_and_tangent_parts_of_the_arc_scale_as_the_talk_says(rng: torch.Generator) -> None:
    deltas, z = (0.1, 0.03, 0.01, 0.003), normal(rng, 30, 2) * torch.tensor([1.0, 0.0])
    for shear in (0.0, 0.4):
        across, along, unit, lean = [], [], [], []
        for delta in deltas:
            arc = Arc(delta, shear=shear)
            parts = normal_tangent(inverse_metric(arc.push, z), arc.frame(z)[0])
            speed = arc.a * (2 / math.pi) ** 0.5 * (-z[:, 0].square() / 2).exp()
            assert (parts.normal[:, 0] / delta**2 - 1).abs().max() < 1e-7
            assert (parts.tangent[:, 0, 0] / speed.square() - 1).abs().max() < 1e-7
            n = parts.frame[:, :, 1].norm(dim=1)
            lean.append(float(n.median()))
            across.append(float(parts.normal.median()))
            along.append(float(parts.tangent.median()))
            unit.append(float((parts.normal[:, 0] * n.square()).median()))  # 1/nᵀγn with n a unit vector
        assert slopes(deltas, across) == pytest.approx(2, abs=1e-6)
        assert slopes(deltas, along) == pytest.approx(0, abs=1e-6)
        # the definition with unit vectors scales only if the flow does not shear
        assert slopes(deltas, unit) == pytest.approx(0 if shear else 2, abs=0.05)
        assert slopes(deltas, lean) == pytest.approx(-1 if shear else 0, abs=0.05)


def test_a_wrong_tangent_does_not_scale(rng: torch.Generator) -> None:
    deltas, z = (0.1, 0.03, 0.01), normal(rng, 30, 2)
    across = []
    for delta in deltas:
        arc = Arc(delta)
        tau, nu = arc.frame(z)
        parts = normal_tangent(inverse_metric(arc.push, z), math.cos(0.3) * tau + math.sin(0.3) * nu)
        across.append(float(parts.normal.median()))
    assert slopes(deltas, across) < 0.3


@pytest.mark.parametrize(("dim", "d"), [(2, 1), (5, 1), (5, 2), (6, 5)])
def test_in_normal_coordinates_the_metric_is_in_blocks(dim: int, d: int, rng: torch.Generator) -> None:
    J, tangent = normal(rng, 4, dim, dim), normal(rng, 4, dim, d)
    gamma_inv, gamma = J @ J.mT, torch.linalg.inv(J @ J.mT)
    along, across, E = normal_tangent(gamma_inv, tangent)
    assert (along.shape, across.shape, E.shape) == ((4, d, d), (4, dim - d), (4, dim, dim))
    blocks = torch.zeros_like(gamma)
    blocks[:, :d, :d] = along
    blocks[:, d:, d:] = torch.diag_embed(across)
    assert (E @ blocks @ E.mT - gamma_inv).abs().max() < 1e-9 * gamma_inv.abs().max() * E.square().sum((1, 2)).max()
    # the same from γ itself, which the function never forms
    T, n = E[:, :, :d], E[:, :, d:]
    scale = float(torch.linalg.cond(gamma_inv).max())
    assert (T.mT @ T - torch.eye(d)).abs().max() < EXACT
    assert (T @ (T.mT @ tangent) - tangent).abs().max() < EXACT, "they span the tangent space"
    assert (T.mT @ gamma @ n).abs().max() < 1e-12 * scale * gamma.abs().max()
    expected = torch.linalg.inv(T.mT @ gamma @ T)
    assert ((along - expected).abs().amax((1, 2)) / expected.abs().amax((1, 2))).max() < 1e-12 * scale
    assert (across.diff() <= 0).all()
    # y_⊥ measures the distance to the tangent space
    normals = n - T @ (T.mT @ n)
    assert (normals.norm(dim=1) - 1).abs().max() < 1e-9 * scale
    # the talk's decomposition of a step
    f = normal(rng, 4, dim, 1)
    step = T @ along @ (T.mT @ f) + (n * across[:, None]) @ (n.mT @ f)
    assert (step - gamma_inv @ f).abs().max() < 1e-12 * scale * gamma_inv.abs().max()


def test_a_basis_is_a_matter_of_taste(rng: torch.Generator) -> None:
    gamma_inv, tangent = inverse_metric(randomised(RealNVP(5, 4, (8,)), rng), normal(rng, 3, 5)), normal(rng, 3, 5, 2)
    one = normal_tangent(gamma_inv, tangent)
    other = normal_tangent(gamma_inv, tangent @ torch.tensor([[1.0, 2.0], [-3.0, 0.5]], dtype=torch.float64))
    assert (one.normal - other.normal).abs().max() < EXACT
    spectra = [torch.linalg.eigvalsh(each.tangent) for each in (one, other)]
    assert (spectra[0] - spectra[1]).abs().max() < 1e-9
    single = normal_tangent(gamma_inv, tangent[:, :, 0])
    assert (single.normal - normal_tangent(gamma_inv, -7 * tangent[:, :, :1]).normal).abs().max() < EXACT


# The theorem


def f(x: Tensor) -> Tensor:
    return x.flatten(1).sin().sum(1) + x.flatten(1).square().sum(1).add(1).sqrt()


@each_flow
def test_a_step_in_base_space_is_a_metric_step_up_to_second_order(name: str, rng: torch.Generator) -> None:
    flow = randomised(FLOWS[name](rng), rng)
    z = normal(rng, 40, flow.dim)
    left = step_remainder(flow, f, z, LAMS)
    assert left.shape == (3, 40)
    assert slopes(LAMS, left.median(1).values) == pytest.approx(2, abs=0.02)
    # the plain gradient of X, without γ⁻¹, is wrong at first order
    x = flow.push(z).detach().requires_grad_()
    (in_x,) = torch.autograd.grad(f(x).sum(), x)
    leaf = z.clone().requires_grad_()
    (in_z,) = torch.autograd.grad(f(flow.push(leaf)).sum(), leaf)
    with torch.no_grad():
        plain = [(flow.push(z + lam * in_z) - x - lam * in_x).flatten(1).norm(dim=1).median() for lam in LAMS]
    assert slopes(LAMS, plain) == pytest.approx(1, abs=0.05)


def test_a_linear_flow_leaves_no_remainder(rng: torch.Generator) -> None:
    flow = Linear(torch.linspace(2, 0.1, 6), rng)
    assert step_remainder(flow.push, f, normal(rng, 5, 6), [1.0, 1e-2]).max() < 1e-13


def test_single_precision_hides_the_second_order_of_small_steps(rng: torch.Generator) -> None:
    flow = randomised(RealNVP(4, 4, (8,)), rng).float()
    left = step_remainder(flow, f, normal(rng, 40, 4).float(), (1e-1, 1e-5, 1e-6)).median(1).values
    assert math.log10(left[1] / left[2]) < 1.5
    assert left[2] < 1e-5


# Mistakes

FLOW = RealNVP(2, 2, (4,))
Z = torch.zeros(3, 2)
BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "one point": (lambda: jacobian(FLOW, Z[0]), r"expected base points of shape \(batch, D\).*shape \(2,\)"),
    "no points": (lambda: inverse_metric(FLOW, Z[:0]), r"batch ≥ 1, got torch.float32 of shape \(0, 2\)"),
    "integers": (lambda: inverse_metric(FLOW, Z.long()), "got torch.int64"),
    "NaN": (lambda: jacobian(torch.tanh, Z / 0), "6 entries NaN or infinite"),
    "dimension": (lambda: inverse_metric(FLOW, torch.zeros(3, 5)), r"expected points of shape \(batch, 2\)"),
    "dtype": (lambda: apply_inverse_metric(FLOW, Z.double(), Z), "the flow computes in torch.float32"),
    "chunk": (lambda: jacobian(FLOW, Z, chunk=0), "at least one direction, got 0"),
    "covectors": (lambda: apply_inverse_metric(FLOW, Z, Z[:1]), r"of x, \(3, 2\), got \(1, 2\)"),
    "no points out": (lambda: jacobian(lambda z: z.sum(1), Z), r"from \(3, 2\) to \(3, …\), and it gave \(3,\)"),
    "a pair out": (lambda: jacobian(lambda z: (z, z), Z), "and it gave tuple"),
    "k": (lambda: singular_values(FLOW, Z, 3), "between 1 and 2 singular values, got k=3"),
    "no k": (lambda: singular_values(FLOW, Z, 0), "got k=0"),
    "which": (lambda: singular_values(FLOW, Z, 1, "middle"), "'top' or 'bottom', got 'middle'"),  # type: ignore[arg-type]
    "no inverse": (lambda: singular_values(torch.tanh, Z, 1, "bottom"), "expected a flow with pull"),
    "score": (lambda: step_remainder(FLOW, lambda x: x, Z), r"values of shape \(3,\), got \(3, 2\)"),
    "tangents": (lambda: normal_tangent(torch.eye(2).expand(3, 2, 2), torch.ones(3, 3)), "got .3, 2, 2. and .3, 3."),
    "no normal": (lambda: normal_tangent(torch.eye(2)[None], torch.eye(2)[None]), "with d < D"),
    "zero": (lambda: normal_tangent(torch.eye(2)[None], torch.zeros(1, 2)), "independent tangent vectors"),
    "dependent": (lambda: normal_tangent(torch.eye(3)[None], torch.ones(1, 3, 2)), "independent tangent vectors"),
    "indefinite": (lambda: normal_tangent(torch.diag(torch.tensor([1.0, -1e-9]))[None], torch.eye(2)[:1]), "float64"),
}


@pytest.mark.parametrize("name", BAD)
def test_mistakes_are_told(name: str) -> None:
    call, words = BAD[name]
    with pytest.raises(ValueError, match=words):
        call()

"""Flows inside torch.func, in other dtypes and on other devices."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.func import functional_call, grad, jacfwd, jvp, vjp, vmap

from gdl_lab.flows import Glow, RealNVP
from tests.every_flow import EXACT, FLOWS, base_points, by_autograd, each_flow, randomised


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


@each_flow
def test_jacobians_and_scores_can_be_transformed(name: str, rng: torch.Generator) -> None:
    flow = randomised(FLOWS[name](rng), rng)
    z = base_points(flow, 3, rng)
    jac, x = flow.jacobian(z).detach(), flow.push(z).detach()
    assert (vmap(lambda one: flow.jacobian(one[None])[0])(z) - jac).abs().max() < EXACT
    v = torch.randn(z.shape, generator=rng, dtype=z.dtype)
    backward = vjp(lambda z: flow.push(z).flatten(1), z)[1](v)[0]
    assert (backward - (jac.mT @ v[..., None])[..., 0]).abs().max() < EXACT
    assert (backward - (jac @ v[..., None])[..., 0]).abs().max() > 1e-2, "J and Jᵀ are told apart"
    pushed = (jac @ v[..., None])[..., 0].reshape(x.shape)
    assert (jvp(flow.pull, (x,), (pushed,))[1] - v).abs().max() < EXACT, "∂z/∂x undoes ∂x/∂z"
    score = grad(lambda x: flow.log_prob(x).sum())(x)
    (expected,) = torch.autograd.grad(flow.log_prob(x.requires_grad_()).sum(), x)
    assert (score - expected).abs().max() < EXACT


@each_flow
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_a_graph_nothing_changes(name: str, mode: Callable[[], Any], rng: torch.Generator) -> None:
    flow = randomised(FLOWS[name](rng), rng)
    z = base_points(flow, 3, rng)
    x, jac = flow.push(z), flow.jacobian(z)
    with mode():
        assert torch.equal(flow.push(z), x)
        assert torch.equal(flow.jacobian(z), jac)
        assert not flow.log_prob(x).requires_grad
    assert x.requires_grad, "outside, the weights do get gradients"


@pytest.mark.filterwarnings("error")
def test_ensembles_of_weights_can_be_mapped(rng: torch.Generator) -> None:
    flow = randomised(RealNVP(4, 3, (5,)), rng)
    members = [randomised(copy.deepcopy(flow), rng) for _ in range(3)]
    weights = {name: torch.stack([dict(m.named_parameters())[name] for m in members]) for name in flow.state_dict()}
    x = torch.randn(6, 4, generator=rng, dtype=torch.float64)
    together = vmap(lambda w: functional_call(flow, w, (x,)))(weights)
    assert (together - torch.stack([m.log_prob(x) for m in members])).abs().max() < EXACT
    assert (together[0] - together[1]).abs().max() > 1e-2


@each_flow
def test_flows_are_pickled_and_copied(name: str, rng: torch.Generator) -> None:
    flow = randomised(FLOWS[name](rng), rng)
    z = base_points(flow, 3, rng)
    x = flow.push(z)
    twin, other = pickle.loads(pickle.dumps(flow)), copy.deepcopy(flow)
    assert torch.equal(twin.push(z), x)
    with torch.no_grad():
        for p in other.parameters():
            p.add_(0.1)
    assert not torch.equal(other.push(z), x)
    assert torch.equal(flow.push(z), x), "a copy has weights of its own"

"""Flows of normflows and zuko: adapted, they have the metric of their Jacobian, and explain as ours do."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from gdl_lab.counterfactuals import explain
from gdl_lab.flows import Diffeomorphism, Flow, RealNVP, adapt
from gdl_lab.metric import apply_inverse_metric, inverse_metric, singular_values
from tests.known_metrics import Arc, diffeomorphism, normal, randomised, sharp

EXACT = 1e-10
MISSING = "{} is not installed: pip install -e '.[compare]'"


def of_normflows(rng: torch.Generator) -> Any:
    nf = pytest.importorskip("normflows", reason=MISSING.format("normflows"))
    parts: list[nn.Module] = []
    for _ in range(2):
        net = nf.nets.MLP([2, 8, 4], init_zeros=False)
        parts += [nf.flows.AffineCouplingBlock(net), nf.flows.Permute(4, mode="swap")]
    return randomised(nf.NormalizingFlow(nf.distributions.DiagGaussian(4), parts), rng, 0.2)


def of_zuko(kind: str, context: int = 0) -> Any:
    zuko = pytest.importorskip("zuko", reason=MISSING.format("zuko"))
    torch.manual_seed(0)
    sizes = {"context": context, "transforms": 2, "passes": 2, "hidden_features": (8,)}
    return getattr(zuko.flows, kind)(4, **sizes).double()


FOREIGN: dict[str, Callable[[torch.Generator], Any]] = {
    "normflows": of_normflows,
    "zuko, splines": lambda rng: of_zuko("NSF"),
    "zuko, autoregressive": lambda rng: of_zuko("MAF"),
    "zuko, with a context": lambda rng: of_zuko("MAF", 1)(torch.tensor([0.3], dtype=torch.float64)),
}
each_foreign = pytest.mark.parametrize("name", FOREIGN)


@each_foreign
def test_a_foreign_flow_is_adapted_and_has_the_metric_of_its_jacobian(name: str, rng: torch.Generator) -> None:
    theirs = FOREIGN[name](rng)
    flow: Any = adapt(theirs)
    z = 0.5 * normal(rng, 5, 4)
    x = flow.push(z).detach()
    J = torch.autograd.functional.jacobian(lambda z: flow.push(z).sum(0), z).movedim(0, 1)  # a row at a time
    assert (flow.pull(x) - z).abs().max() < 1e-6
    log_prob = theirs.log_prob if hasattr(theirs, "log_prob") else theirs().log_prob
    assert (flow.log_prob(x) - log_prob(x)).abs().max() < EXACT
    # base points are standard normal: the density says how volumes change
    base = -z.square().sum(1) / 2 - 2 * math.log(2 * math.pi)
    assert (base - flow.log_prob(x) - J.det().abs().log()).abs().max() < 1e-8
    assert (inverse_metric(flow, z) - J @ J.mT).abs().max() < EXACT
    assert (apply_inverse_metric(flow, z, x) - (J @ J.mT @ x[:, :, None])[:, :, 0]).abs().max() < EXACT
    s = torch.linalg.svdvals(J)
    assert (singular_values(flow, z, 2) - s[:, :2]).abs().max() < EXACT
    assert (singular_values(flow, z, 2, "bottom") - s[:, 2:]).abs().max() < 1e-7


def test_the_base_of_normflows_is_whitened_where_it_is_normal(rng: torch.Generator) -> None:
    nf = pytest.importorskip("normflows", reason=MISSING.format("normflows"))
    theirs, z = of_normflows(rng), normal(rng, 3, 4)
    assert theirs.q0.log_scale.abs().min() > 0
    assert (adapt(theirs).push(z) - theirs.forward(z)).abs().max() > 1e-3
    mixture = nf.NormalizingFlow(nf.distributions.GaussianMixture(2, 4), list(theirs.flows)).double()
    assert torch.equal(adapt(mixture).push(z), mixture.forward(z))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["normflows", "zuko, splines"])
def test_a_foreign_flow_explains(name: str, rng: torch.Generator) -> None:
    flow = FOREIGN[name](rng)
    torch.manual_seed(0)
    net, x = sharp(nn.Linear(4, 3)), 0.5 * normal(rng, 3, 4)
    e = explain(net, flow, x, 2, lr=0.2, lr_x=0.2, steps=2000)
    assert (e.output[1:] >= 0.99 - 1e-9).all()
    assert e.in_z.reached.all()
    assert (e.counterfactual - e.adversarial).abs().max() > 1e-2
    assert all(p.grad is None for p in [*flow.parameters(), *net.parameters()])


def test_a_flow_that_needs_no_adapting_is_returned() -> None:
    own: Flow | Diffeomorphism
    for own in (RealNVP(2), diffeomorphism(Arc(0.1))):
        assert adapt(own) is own


@pytest.mark.parametrize("other", [nn.Linear(2, 2), 3, torch.tanh, object(), lambda: 1])
def test_what_is_no_flow_is_not_adapted(other: Any) -> None:
    with pytest.raises(TypeError, match=r"expected a flow with push, pull and log_prob.*Diffeomorphism\("):
        adapt(other)

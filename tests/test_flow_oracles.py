"""Other libraries, given the same weights, find the same densities: ``pip install -e ".[compare]"`` brings them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions.transforms import IndependentTransform, Transform

from gdl_lab.flows import RealNVP
from gdl_lab.flows.affine import Affine
from gdl_lab.flows.coupling import Conditioner
from gdl_lab.flows.spline import SMALLEST, UNIT_SLOPE, Spline

CLOSE = 1e-6
MISSING = "{} is not installed: pip install -e '.[compare]'"


def library(name: str) -> None:
    pytest.importorskip(name, reason=MISSING.format(name))


def randomised(flow: RealNVP, rng: torch.Generator) -> Any:
    flow = flow.double()
    with torch.no_grad():
        for p in flow.parameters():
            p.add_(0.5 * torch.randn(p.shape, generator=rng, dtype=p.dtype) / p.shape[-1] ** 0.5)
    return flow


class Interleaved(nn.Module):
    """Our network, its answers bounded and ordered as normflows' affine coupling reads them: t₀ s₀ t₁ s₁ …"""

    def __init__(self, conditioner: Conditioner, cap: float) -> None:
        super().__init__()
        self.conditioner, self.cap = conditioner, cap

    def forward(self, kept: Tensor) -> Tensor:
        s, t = self.conditioner.theta(kept).chunk(2, 1)
        return torch.stack([t, self.cap * s.tanh()], 2).flatten(1)


@pytest.mark.parametrize("dim", [4, 10])
def test_normflows_finds_the_same_affine_density(dim: int, rng: torch.Generator) -> None:
    library("normflows")
    import normflows as nf

    ours = randomised(RealNVP(dim, 5, (9, 8), cap=1.5), rng)
    parts: list[nn.Module] = []
    for coupling in ours.couplings:
        if coupling.kept == 1:
            parts.append(nf.flows.Permute(dim, mode="swap"))
        parts.append(nf.flows.AffineCouplingBlock(Interleaved(coupling.conditioner, 1.5), scale=True, scale_map="exp"))
        if coupling.kept == 1:
            parts.append(nf.flows.Permute(dim, mode="swap"))
    theirs = nf.NormalizingFlow(nf.distributions.DiagGaussian(dim, trainable=False), parts).double()
    z = torch.randn(50, dim, generator=rng, dtype=torch.float64)
    x, log_det = ours.push(z, log_det=True)
    assert (theirs.forward(z) - x).abs().max() < CLOSE
    assert (theirs.forward_and_log_det(z)[1] - log_det).abs().max() < CLOSE
    assert (theirs.log_prob(x) - ours.log_prob(x)).abs().max() < CLOSE
    with torch.no_grad():
        next(ours.couplings[2].parameters()).add_(0.1)
    parts.reverse()
    other = nf.NormalizingFlow(nf.distributions.DiagGaussian(dim, trainable=False), parts).double()
    assert (other.log_prob(x) - ours.log_prob(x)).abs().max() > 1e-2, "the order of the couplings matters"


def test_normflows_finds_the_same_spline(rng: torch.Generator) -> None:
    library("normflows")
    from normflows.utils.splines import unconstrained_rational_quadratic_spline

    spline = Spline(7, 3.0)
    theta = torch.randn(200, spline.parameters, 4, generator=rng, dtype=torch.float64)
    z = 4 * torch.randn(200, 4, generator=rng, dtype=torch.float64)
    widths, heights, slopes = (part.transpose(1, 2) for part in theta.split([7, 7, 6], 1))
    for inverse in (False, True):
        expected = unconstrained_rational_quadratic_spline(
            z,
            widths,
            heights,
            slopes + UNIT_SLOPE,
            inverse=inverse,
            tails="linear",
            tail_bound=3.0,
            min_bin_width=SMALLEST,
            min_bin_height=SMALLEST,
            min_derivative=SMALLEST,
        )
        found = (spline.pull if inverse else spline.push)(z, theta.flatten(1))
        for theirs, ours in zip(expected, found, strict=True):
            assert (theirs - ours).abs().max() < CLOSE
    assert (spline.push(z, theta.flatten(1))[0] - z).abs().max() > 0.1


SOFT = math.log(1000)  # zuko bounds a parameter a by a/(1 + |a|/SOFT); this undoes it


def unbounded(a: Tensor, bound: float = SOFT) -> Tensor:
    return a / (1 - a.abs() / bound)


def in_zuko(elementwise: Affine | Spline, theta: Tensor) -> Transform:
    """The map φ⁻¹(·; θ) from data to base, of zuko's own transforms."""
    from zuko.transforms import MonotonicAffineTransform, MonotonicRQSTransform

    if isinstance(elementwise, Affine):
        s, t = theta.chunk(2, 1)
        forward: Transform = MonotonicAffineTransform(t, unbounded(elementwise.cap * s.tanh()))
    else:
        x, y, slopes = (knots.transpose(1, 2) for knots in elementwise._knots(theta))
        logits = []
        for edges in (x, y):
            size = edges.diff().log()
            logits.append(unbounded(size - (size.amax(-1, True) + size.amin(-1, True)) / 2, SOFT / 2))
        inner = unbounded(slopes[..., 1:-1].log())
        forward = MonotonicRQSTransform(*logits, inner, bound=elementwise.bound)
    return IndependentTransform(forward.inv, 1)


@pytest.mark.parametrize("coupling", ["affine", "spline"])
def test_zuko_finds_the_same_density(coupling: str, rng: torch.Generator) -> None:
    library("zuko")
    from zuko.distributions import DiagNormal, NormalizingFlow
    from zuko.transforms import ComposedTransform, CouplingTransform

    ours = randomised(RealNVP(6, 5, (9, 8), coupling=coupling), rng)
    first = torch.arange(6) < 3
    parts = [
        CouplingTransform(
            lambda kept, layer=layer: in_zuko(layer.elementwise, layer.conditioner.theta(kept)),
            ~first if layer.kept else first,
        )
        for layer in ours.couplings
    ]
    base = DiagNormal(torch.zeros(6, dtype=torch.float64), torch.ones(6, dtype=torch.float64))
    theirs = NormalizingFlow(ComposedTransform(*reversed(parts)), base)
    x = ours.push(torch.randn(50, 6, generator=rng, dtype=torch.float64)).detach()
    assert (theirs.log_prob(x) - ours.log_prob(x)).abs().max() < CLOSE
    other = NormalizingFlow(ComposedTransform(*parts), base)
    assert (other.log_prob(x) - ours.log_prob(x)).abs().max() > 1e-2, "the order of the couplings matters"

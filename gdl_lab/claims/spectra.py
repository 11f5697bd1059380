"""Singular values of ∂x/∂z that the claims of chapter 05 are about: on a helix, on two moons, on digits."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gdl_lab import data, runtime
from gdl_lab.claims.specimens import divergence, stored_glow
from gdl_lab.flows import Flow, dequantize
from gdl_lab.manifold import Helix, Moons
from gdl_lab.metric import jacobian

__all__ = ["count", "digits", "noise_floor", "of_one_digit", "off_the_floor", "on_the_bridge", "on_the_helix"]


def on_the_helix(flow: Flow, delta: float, n: int) -> dict[str, float | str]:
    """Medians at ``n`` data points of the singular values, of s₁/s₂, and of |cos| between the first left singular
    vector and the tangent at the nearest point of the helix."""
    helix = Helix()
    x, _ = helix.draw(n, delta=delta, generator=runtime.generator("helix"))
    with torch.no_grad():
        z = flow.pull(x)
    left, s, _ = torch.linalg.svd(jacobian(flow, z))
    aligned = (left[:, :, 0] * helix.tangent(helix.nearest(x))).sum(1).abs()
    values = dict(zip(("first", "second", "third"), s.median(0).values.tolist(), strict=True))
    return {"value": float((s[:, 0] / s[:, 1]).median()), "aligned": float(aligned.median()), **values}


def on_the_bridge(flow: Flow, delta: float, n: int) -> dict[str, float | str]:
    """The median s₁ of samples that are further than 5 δ from both moons over that of data; the share of such samples,
    and KL(p‖q)."""
    moons = Moons()
    x, _ = moons.draw(n, delta=delta, generator=runtime.generator("moons"))
    z = torch.randn(n, 2, dtype=torch.float64, generator=runtime.generator("bridge"))
    with torch.no_grad():
        away = moons.distance(flow.push(z)) > 5 * delta
        on_data = flow.pull(x)
    bridge, data_ = (
        float(torch.linalg.svdvals(jacobian(flow, points))[:, 0].median()) if len(points) else math.nan
        for points in (z[away], on_data)
    )
    share = float(away.double().mean())
    return {"value": bridge / data_, "share": share, "divergence": divergence(flow, moons, x, delta)}


def digits(flow: Flow, n: int = 1, *, bits: int = 4) -> Tensor:
    """``n`` dequantized test digits of MNIST for a flow, or samples of the flow where MNIST is not on this machine."""
    if not data.on_this_machine("mnist"):
        return flow.sample(n, generator=runtime.generator("spectrum"))
    x = dequantize(data.load("mnist", "test").x[:n], bits, runtime.generator("spectrum"))
    return x.reshape(-1, *flow.shape).to(flow.anchor)


def of_one_digit(bits: int) -> Tensor:
    """Singular values of the checkpoint at one digit, ``(1, D)``, descending."""
    flow = stored_glow()
    with torch.no_grad():
        z = flow.pull(digits(flow, bits=bits))
    return torch.linalg.svdvals(jacobian(flow, z).double())


def count(s: Tensor, bits: int) -> dict[str, float | str]:
    """The first singular value over the middle one, and three counts; means over the pictures."""
    share = s.square().cumsum(1) / s.square().sum(1, keepdim=True)
    return {
        "value": float((s[:, 0] / s[:, s.shape[1] // 2]).mean()),
        "above": float((s > 2 * 2.0**-bits / math.sqrt(12)).double().sum(1).mean()),
        "ninety": float((share < 0.9).double().sum(1).mean()) + 1,
        "ninety_five": float((share < 0.95).double().sum(1).mean()) + 1,
    }


def noise_floor(dim: int, bits: int = 4) -> Tensor:
    """Singular values of the flow to nothing but dequantization noise, ``(dim,)``, descending.

    Uniform noise of width w = 2⁻ᵇ is x = wΦ(z) in each pixel, so that the singular values are wφ(z), z ~ N(0, 1), with
    φ = Φ′; here at the expected quantiles.
    """
    share = (torch.arange(dim, dtype=torch.float64) + 0.5) / dim
    z = torch.special.ndtri((1 + share) / 2)
    return 2.0**-bits * (-0.5 * z.square()).exp() / math.sqrt(2 * math.pi)


def off_the_floor(s: Tensor, bits: int) -> dict[str, float | str]:
    """Median relative deviation of the smaller half from the noise of so many bits, and from that of one bit more; the
    middle value over the noise's standard deviation."""
    half = s.shape[1] // 2
    off, other = (
        float((s[:, half:].double() / noise_floor(s.shape[1], b)[half:] - 1).abs().median()) for b in (bits, bits + 1)
    )
    return {"value": off, "middle": float(s[:, half].mean()) * math.sqrt(12) * 2**bits, "one_bit_more": other}

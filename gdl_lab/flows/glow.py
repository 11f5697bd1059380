r"""Glow: a multi-scale flow for pictures, of actnorm, invertible 1×1 convolution and affine couplings.

A level trades resolution for channels (squeeze), takes its steps, and sets half of the channels aside as latents, whose
Gaussian prior the other half predicts; those go on to the next level. Every latent is kept, whitened by its prior, and
put back where it was in the picture: base points are ``(batch, D)``, standard normal, and g starts as the identity.

Source: Kingma & Dhariwal (2018); Dinh, Sohl-Dickstein & Bengio (2017), section 3.6.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdl_lab.flows.affine import Affine
from gdl_lab.flows.flow import Flow

__all__ = ["ActNorm", "ConvolutionalCoupling", "Glow", "InvertibleConvolution", "Level"]


class ActNorm(nn.Module):
    """Channel-wise x = m + z eˡ on ``(batch, channels, height, width)``; log-determinants here are single numbers."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(channels, 1, 1))
        self.log_scale = nn.Parameter(torch.zeros(channels, 1, 1))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Take mean and scale from data, so that its z has mean 0 and variance 1 in every channel."""
        variance, mean = torch.var_mean(x, (0, 2, 3), correction=0, keepdim=True)
        self.mean.copy_(mean[0])
        self.log_scale.copy_(0.5 * variance[0].clamp_min(1e-6).log())

    def push(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z ↦ x."""
        return torch.addcmul(self.mean, z, self.log_scale.exp()), self.log_scale.sum() * z.shape[2:].numel()

    def pull(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x ↦ z."""
        return (x - self.mean) * (-self.log_scale).exp(), -self.log_scale.sum() * x.shape[2:].numel()


class InvertibleConvolution(nn.Module):
    r"""The 1×1 convolution z = L U x with L unit lower and U upper triangular, diag U = eᵈ, at first the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.lower = nn.Parameter(torch.zeros(channels, channels))
        self.upper = nn.Parameter(torch.zeros(channels, channels))
        self.log_diagonal = nn.Parameter(torch.zeros(channels))

    def factors(self) -> tuple[Tensor, Tensor]:
        """L and U."""
        lower = self.lower.tril(-1) + torch.eye(len(self.lower), dtype=self.lower.dtype, device=self.lower.device)
        return lower, self.upper.triu(1) + self.log_diagonal.exp().diag()

    def push(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z ↦ x, by two triangular systems."""
        lower, upper = self.factors()
        identity = torch.eye(len(lower), dtype=lower.dtype, device=lower.device)
        inner = torch.linalg.solve_triangular(lower, identity, upper=False, unitriangular=True)
        inverse = torch.linalg.solve_triangular(upper, inner, upper=True)
        return F.conv2d(z, inverse[:, :, None, None]), -self.log_diagonal.sum() * z.shape[2:].numel()

    def pull(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x ↦ z."""
        lower, upper = self.factors()
        return F.conv2d(x, (lower @ upper)[:, :, None, None]), self.log_diagonal.sum() * x.shape[2:].numel()


class ConvolutionalCoupling(nn.Module):
    """The affine coupling of the two halves of the channels, the first of which stays unless ``swap``."""

    def __init__(self, conditioner: nn.Module, cap: float, *, swap: bool = False) -> None:
        super().__init__()
        self.conditioner, self.affine, self.swap = conditioner, Affine(cap), swap

    def push(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z ↦ x."""
        return self._through(self.affine.push, z)

    def pull(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x ↦ z."""
        return self._through(self.affine.pull, x)

    def _through(self, move: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], z: Tensor) -> tuple[Tensor, Tensor]:
        kept, moved = z.chunk(2, 1)[:: -1 if self.swap else 1]
        moved, log_slope = move(moved, self.conditioner(kept))
        return torch.cat((moved, kept) if self.swap else (kept, moved), 1), log_slope.flatten(1).sum(1)


class Level(nn.Module):
    """From x to z: squeeze, the parts one after the other, then the next level for half of the channels."""

    def __init__(self, channels: int, steps: int, levels: int, hidden: int, cap: float) -> None:
        super().__init__()
        channels, half = 4 * channels, 2 * channels
        self.parts = nn.ModuleList()
        for j in range(steps):
            network = nn.Sequential(
                nn.Conv2d(half, hidden, 3, padding=1), nn.SiLU(), nn.Conv2d(hidden, hidden, 1), nn.SiLU(),
                _zero(nn.Conv2d(hidden, channels, 3, padding=1)),
            )  # fmt: skip
            coupling = ConvolutionalCoupling(network, cap, swap=bool(j % 2))
            self.parts += [ActNorm(channels), InvertibleConvolution(channels), coupling]
        self.next = Level(half, steps, levels - 1, hidden, cap) if levels > 1 else None
        if self.next:  # N(t, e²ˢ) with s, t read off the half that goes on: to whiten by it is one more coupling
            self.parts.append(ConvolutionalCoupling(_zero(nn.Conv2d(half, channels, 3, padding=1)), cap))

    def push(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z ↦ x and log|det ∂x/∂z|, pictures of one shape ``(batch, channels, height, width)`` on both sides."""
        x, total = F.pixel_unshuffle(z, 2), z.new_zeros(len(z))
        if self.next:
            half, aside = x.chunk(2, 1)
            half, total = self.next.push(half)
            x = torch.cat([half, aside], 1)
        for part in reversed(self.parts):
            x, change = part.push(x)  # type: ignore[operator]
            total = total + change
        return F.pixel_shuffle(x, 2), total

    def pull(self, x: Tensor, *, fit: bool = False) -> tuple[Tensor, Tensor]:
        """x ↦ z and log|det ∂z/∂x|; with ``fit`` every actnorm first takes its values from what reaches it."""
        z, total = F.pixel_unshuffle(x, 2), x.new_zeros(len(x))
        for part in self.parts:
            if fit and isinstance(part, ActNorm):
                part.fit(z)
            z, change = part.pull(z)  # type: ignore[operator]
            total = total + change
        if self.next:
            half, aside = z.chunk(2, 1)
            half, change = self.next.pull(half, fit=fit)
            z, total = torch.cat([half, aside], 1), total + change
        return F.pixel_shuffle(z, 2), total


class Glow(Flow):
    r"""The multi-scale flow for pictures.

    Args:
        shape: (channels, height, width), the sides divisible by 2^levels.
        steps: actnorm, convolution and coupling so many times a level.
        levels: number of resolutions.
        hidden: channels inside the couplings' networks.
        cap: bound of every log-scale.
        base: ``"normal"`` or ``"uniform"``.

    Raises:
        ValueError: sides that do not halve ``levels`` times, or sizes below one.
    """

    def __init__(
        self,
        shape: Sequence[int],
        steps: int = 8,
        levels: int = 2,
        hidden: int = 64,
        *,
        cap: float = 2.0,
        base: str = "normal",
    ) -> None:
        if len(shape) != 3 or min(*shape, steps, levels, hidden) < 1:
            raise ValueError(
                f"expected a shape (channels, height, width) and positive sizes, got {tuple(shape)}, "
                f"{steps=}, {levels=}, {hidden=}"
            )
        if shape[1] % 2**levels or shape[2] % 2**levels:
            raise ValueError(
                f"{levels} levels halve the sides of a picture {levels} times, and {shape[1]}×{shape[2]} is not "
                f"divisible by {2**levels}: pad the pictures, or take fewer levels"
            )
        sizes = {"shape": list(shape), "steps": steps, "levels": levels, "hidden": hidden, "cap": cap}
        super().__init__(shape, base=base, architecture=sizes)
        self.level = Level(shape[0], steps, levels, hidden, cap)

    @torch.no_grad()
    def fit_actnorm(self, x: Tensor) -> Self:
        """Give every actnorm the mean and scale of a batch of pictures on its way to the base; returns the flow.

        Raises:
            ValueError: as `push`.
        """
        self.level.pull(self._checked(x, self.shape), fit=True)
        return self

    def _push(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.level.push(z.unflatten(1, self.shape))

    def _pull(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z, change = self.level.pull(x)
        return z.flatten(1), change


def _zero(convolution: nn.Conv2d) -> nn.Conv2d:
    """The same, with zero weights: the coupling it steers is the identity at first."""
    for weight in convolution.parameters():
        nn.init.zeros_(weight)
    return convolution

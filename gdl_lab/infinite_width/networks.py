"""Networks of finite width in the NTK parametrisation, how they train, and the tangent kernel of any network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from gdl_lab.infinite_width.kernels import check_network
from gdl_lab.training import Diverged

__all__ = ["WideNetwork", "closed_under", "descend", "empirical_ntk"]


class WideNetwork(nn.Module):
    """A network of finite width in the NTK parametrisation, or an ensemble of them that trains in one go.

    Args:
        widths: dimensions of input, hidden layers and output, at least two.
        members: size of the ensemble; ``None`` is one network.
        weight_variance, bias_variance: σ_w² and σ_b² of the module's convention.
        generator: of the initial weights; PyTorch's global one if not given.
        dtype: of the weights.

    Shapes:
        ``(batch, d)`` → ``(batch, k)``, of an ensemble ``(members, batch, k)``.
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        members: int | None = None,
        weight_variance: float = 2.0,
        bias_variance: float = 0.1,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        if len(widths) < 2 or min(widths) < 1 or (members is not None and members < 1):
            raise ValueError(f"expected positive widths, two or more, and members, got {list(widths)} and {members}")
        check_network(len(widths) - 2, weight_variance, bias_variance)
        self.weight_variance, self.bias_variance = weight_variance, bias_variance
        several = () if members is None else (members,)
        normal = partial(torch.randn, generator=generator, dtype=torch.float64)  # float32 nets are these, rounded
        self.W = nn.ParameterList(normal(*several, m, n).to(dtype) for n, m in pairwise(widths))
        self.b = nn.ParameterList(normal(*several, m).to(dtype) for m in widths[1:])

    def forward(self, x: Tensor) -> Tensor:
        for l, (W, b) in enumerate(zip(self.W, self.b, strict=True)):  # noqa: E741
            z = x if l == 0 else x.relu()
            x = z @ W.mT * math.sqrt(self.weight_variance / W.shape[-1])
            x = x + math.sqrt(self.bias_variance) * b.unsqueeze(-2)
        return x


def closed_under(net: WideNetwork, permutations: Tensor) -> WideNetwork:
    """The ensemble of a network and its copies that see permuted inputs: member g has f_g(x) = f(x[permutations[g]]).

    If the permutations form a group, moving x by one of them permutes the members. Since weights that are i.i.d. do not
    mind being permuted, each copy is as likely an initialisation as the first.

    Args:
        net: one network, without members.
        permutations: of the d inputs, int64, shape ``(members, d)``.

    Raises:
        ValueError: an ensemble, or something else than permutations of d numbers.
    """
    W = net.W[0]
    expected = torch.arange(W.shape[-1], device=W.device).expand(len(permutations), -1)
    if W.ndim != 2 or not torch.equal(permutations.sort(-1).values, expected):
        raise ValueError(
            f"expected one network, and permutations of its {W.shape[-1]} inputs as rows, got weights of shape "
            f"{tuple(W.shape)} and {tuple(permutations.shape)}"
        )
    widths = [W.shape[1], *(len(b) for b in net.b)]
    ensemble = WideNetwork(
        widths,
        members=len(permutations),
        weight_variance=net.weight_variance,
        bias_variance=net.bias_variance,
        dtype=W.dtype,
    ).to(W.device)
    with torch.no_grad():
        for new, old in zip(ensemble.parameters(), net.parameters(), strict=True):
            new.copy_(old.expand_as(new))
        ensemble.W[0].copy_(W[:, permutations.argsort(-1)].movedim(1, 0))
    return ensemble


def descend(net: WideNetwork, x: Tensor, y: Tensor, *, rate: float, steps: int, batch: int | None = None) -> None:
    """Gradient descent on ½Σ|f(x) − y|², in place; the members of an ensemble do not see each other.

    Args:
        net: what is trained.
        x, y: shapes ``(n, d)`` and ``(n, k)``, of the dtype of the network.
        rate, steps: η, and how often W → W − η ∂W.
        batch: points a step, taken in turn; all of them if not given.

    Raises:
        Diverged: weights that are not finite: the rate is too large.
        ValueError: targets of another shape than the outputs.
    """
    weights = list(net.parameters())
    batch = batch or len(x)
    for step in range(steps):
        now = [(step * batch + i) % len(x) for i in range(batch)] if batch < len(x) else slice(None)
        off = net(x[now]) - y[now]
        if off.shape[-2:] != y[now].shape:
            raise ValueError(f"expected targets (n, k) like the outputs {tuple(off.shape)}, got {tuple(y[now].shape)}")
        slopes = torch.autograd.grad(off.square().sum() / 2, weights)
        with torch.no_grad():
            for w, slope in zip(weights, slopes, strict=True):
                w.sub_(rate * slope)
    if not all(w.isfinite().all() for w in weights):
        raise Diverged(f"weights that are not finite after {steps} steps at the rate {rate:g}: try a smaller one")


def empirical_ntk(net: nn.Module, x: Tensor, y: Tensor | None = None, *, batch: int = 64) -> Tensor:
    """Θ̂_ij(x, y) = Σ_p ∂f_i(x)/∂θ_p ∂f_j(y)/∂θ_p of any network, over the parameters that it trains.

    Args:
        net: maps ``(batch, …)`` to ``(batch, k)`` or ``(batch,)``, each sample by itself: batch normalisation must be
            in the mode ``eval()``.
        x, y: shapes ``(n, …)`` and ``(m, …)``; y is x if not given.
        batch: of how many points the Jacobians are held at a time, twice.

    Returns:
        Shape ``(n, m, k, k)``, or ``(n, m)`` for a network whose output is ``(batch,)``.

    Raises:
        ValueError: a network without parameters to train, no points, or another shape of its output.
    """
    y = x if y is None else y
    moving = {name: w.detach() for name, w in net.named_parameters() if w.requires_grad}
    if not moving or not len(x) or not len(y):
        raise ValueError(
            f"expected a network that trains, and points, got {len(moving)} parameters, {len(x)} and {len(y)} points"
        )
    out = net(x[:1]).shape
    if len(out) not in (1, 2) or out[0] != 1:
        raise ValueError(f"expected a network (batch, …) → (batch, k) or (batch,), got {tuple(out)} for a batch of one")

    def at(weights: dict[str, Tensor], one: Tensor) -> Tensor:
        return functional_call(net, weights, (one[None],)).view(-1)

    def jacobian(points: Tensor) -> Tensor:
        rows = vmap(jacrev(at), (None, 0))(moving, points)
        return torch.cat([row.flatten(2) for row in rows.values()], 2)

    blocks = [
        torch.cat([torch.einsum("nip,mjp->nmij", jacobian(a), J) for a in x.split(batch)])
        for J in map(jacobian, y.split(batch))
    ]
    theta = torch.cat(blocks, 1)
    return theta if len(out) == 2 else theta[..., 0, 0]

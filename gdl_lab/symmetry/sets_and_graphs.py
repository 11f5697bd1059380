"""Sets and graphs: networks that do not know in which order their points come."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["DeepSets", "MessagePassing", "SetLinear"]


class SetLinear(nn.Module):
    r"""The linear layers that commute with permutations, y_i = W x_i + V mean_j x_j + b.

    For one channel that is λ1 + γ 11ᵀ/n: two numbers, whatever the size of the set.

    Args:
        m, n: channels in and out.

    Source: Zaheer et al. (2017), Deep Sets, lemma 3.
    """

    def __init__(self, m: int, n: int) -> None:
        super().__init__()
        self.itself = nn.Linear(m, n)
        self.mean = nn.Linear(m, n, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, points, m)`` → ``(batch, points, n)``.

        Raises:
            ValueError: another shape, or sets without points.
        """
        if x.ndim != 3 or x.shape[1] == 0:
            raise ValueError(f"expected sets (batch, points, channels) of at least one point, got {tuple(x.shape)}")
        return self.itself(x) + self.mean(x.mean(1, keepdim=True))


class DeepSets(nn.Module):
    """Functions of sets: two equivariant layers, then a mean over points and a small network.

    Args:
        m, n: channels of a point, and of the answer.
        width: of the layers between.
    """

    def __init__(self, m: int, n: int, width: int = 32) -> None:
        super().__init__()
        self.points = nn.Sequential(SetLinear(m, width), nn.SiLU(), SetLinear(width, width), nn.SiLU())
        self.whole = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, n))

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, points, m)`` → ``(batch, n)``, invariant under permutations of the points."""
        return self.whole(self.points(x).mean(1))


class MessagePassing(nn.Module):
    r"""Graph network, h_i ← h_i + φ(h_i, Σ_j A_ij ψ(h_j)), the same φ and ψ at every node.

    Args:
        m, n: channels of a node, in and out.
        width: of h.
        rounds: how far news travels; each has its own φ and ψ.

    Source: Gilmer et al. (2017), Neural message passing for quantum chemistry.
    """

    def __init__(self, m: int, n: int, width: int = 24, rounds: int = 3) -> None:
        super().__init__()
        self.begin = nn.Linear(m, width)
        self.send = nn.ModuleList(nn.Sequential(nn.Linear(width, width), nn.ReLU()) for _ in range(rounds))
        self.update = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width)) for _ in range(rounds)
        )
        self.end = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, n))

    def forward(self, graph: tuple[Tensor, Tensor]) -> Tensor:
        """Adjacency ``(batch, nodes, nodes)`` and ``(batch, nodes, m)`` → ``(batch, nodes, n)``, for any nodes.

        Raises:
            ValueError: matrices and features of different numbers of nodes.
        """
        A, x = graph
        if x.ndim != 3 or A.shape[-2:] != (x.shape[1], x.shape[1]):
            raise ValueError(f"expected A (batch, n, n) and x (batch, n, m), got {tuple(A.shape)} and {tuple(x.shape)}")
        h = self.begin(x)
        for send, update in zip(self.send, self.update, strict=True):
            h = h + update(torch.cat([h, A @ send(h)], -1))
        return self.end(h)

r"""The Möbius strip: a principal bundle that one can hold, and convolutions on it.

A strip is a row of columns (…, W of them, each H pixels high); column W − 1 is glued to column 0 upside down. Each
column can be described in two ways, upright or upside down: the fibre of a principal bundle with the group Z₂ = {1, s},
s: y ↦ −y. A *gauge* chooses one for every column. What is left of the gluing is a link ±1 from each column to the next;
turning a column over changes two links, never their product, which is −1 on the Möbius strip and 1 on a cylinder.

A field has values in a representation ρ of Z₂: ``"trivial"``, a number; ``"sign"``, a number that s turns into minus
itself; ``"regular"``, two numbers that s swaps. Fields are tensors ``(batch, C, H, W)``, where each regular field takes
two channels. The constraint on kernels is κ(sX) = η(s) κ(X) ρ(s).

Source: Weiler, Forré, Verlinde & Welling (2021), "Coordinate independent convolutional networks", sec. 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdl_lab import runtime, training
from gdl_lab.networks import count_parameters

__all__ = [
    "MoebiusConv",
    "MoebiusNetwork",
    "learn_digits",
    "over",
    "place",
    "reflection",
    "regauge",
    "shift",
    "strip_links",
]

FIBRES = {"trivial": [[1.0]], "sign": [[-1.0]], "regular": [[0.0, 1.0], [1.0, 0.0]]}


def reflection(fields: Sequence[str]) -> Tensor:
    """ρ(s) of a list of fields, shape ``(C, C)``. Raises `ValueError` for a representation that is not known."""
    if not fields or not set(fields) <= set(FIBRES):
        raise ValueError(f"expected fields out of {', '.join(FIBRES)}, got {list(fields)}")
    return torch.block_diag(*(torch.tensor(FIBRES[name]) for name in fields))


def strip_links(width: int, twisted: bool = True) -> Tensor:
    """Links of the strip in the gauge of the picture: 1, but −1 from the last column to the first if it is twisted."""
    links = torch.ones(width)
    links[-1] = -1 if twisted else 1
    return links


def over(f: Tensor, rho: Tensor) -> Tensor:
    """s ▷ f: a field turned upside down, values with ρ(s)."""
    return torch.einsum("ij,bjhw->bihw", rho.to(f), f).flip(2)


def regauge(f: Tensor, links: Tensor, columns: Tensor, rho: Tensor) -> tuple[Tensor, Tensor]:
    """The same field and the same strip with some columns turned over.

    Args:
        columns: g, 1 or −1 for each column, shape ``(W,)``.

    Returns:
        The field, and the links g_x · link_x · g_{x+1}.
    """
    return torch.where(columns < 0, over(f, rho), f), columns * links * columns.roll(-1)


def shift(f: Tensor, steps: int, links: Tensor, rho: Tensor) -> Tensor:
    """The field moved along the strip: column x takes what column x − steps holds, carried there by the links."""
    carried = torch.ones_like(links)
    for k in range(abs(steps)):
        carried = carried * (links.roll(k + 1) if steps > 0 else links.roll(-k))
    f = f.roll(steps, 3)
    return torch.where(carried.to(f) < 0, over(f, rho), f)


class MoebiusConv(nn.Module):
    r"""A convolution that sees no gauge: each column's neighbours are carried to it before the kernel adds them up.

    The kernel is the average ½(κ(X) + η(s) κ(sX) ρ(s)) of one without constraint: all solutions, and nothing but them.

    Args:
        ins, outs: fields, such as ``["trivial"]`` and ``["regular"] * 8``.
        size: of the kernel, odd.

    Raises:
        ValueError: fields that are not known, an even size.
    """

    rho: Tensor
    eta: Tensor

    def __init__(self, ins: Sequence[str], outs: Sequence[str], size: int = 5) -> None:
        super().__init__()
        if size < 1 or size % 2 == 0:
            raise ValueError(f"expected a kernel of odd size, got {size}")
        self.register_buffer("rho", reflection(ins), persistent=False)
        self.register_buffer("eta", reflection(outs), persistent=False)
        n_in, n_out = len(self.rho), len(self.eta)
        self.kernel = nn.Parameter(torch.randn(n_out, n_in, size, size) * 2 / (n_in * size**2) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(n_out))

    @property
    def dimension(self) -> int:
        """How many of the parameters the constraint leaves free: the trace of the average, for kernel and bias."""
        n_out, n_in, size, _ = self.kernel.shape
        kept = size * float(self.eta.trace()) * float(self.rho.trace())  # s keeps the middle row of a kernel
        return round((n_out * n_in * size**2 + kept + n_out + float(self.eta.trace())) / 2)

    def forward(self, f: Tensor, links: Tensor | None = None) -> Tensor:
        """Shape ``(batch, C_in, H, W)`` → ``(batch, C_out, H, W)``, zero beyond the edge of the strip.

        Args:
            links: of the gauge in which f is given, shape ``(W,)``; ``None`` takes `strip_links`.

        Raises:
            ValueError: another number of channels, or of links.
        """
        links = strip_links(f.shape[-1]).to(f) if links is None else links
        if f.ndim != 4 or f.shape[1] != len(self.rho) or links.shape != f.shape[3:]:
            raise ValueError(
                f"expected a field (batch, {len(self.rho)}, H, W) and W links, got {tuple(f.shape)} and "
                f"{tuple(links.shape)}"
            )
        half = self.kernel.shape[-1] // 2
        around = torch.cat([shift(f, -d, links, self.rho) for d in range(-half, half + 1)], 1)
        mirrored = torch.einsum("op,pihw,ij->ojhw", self.eta, self.kernel.flip(2), self.rho)
        kernel = ((self.kernel + mirrored) / 2).permute(0, 3, 1, 2).flatten(1, 2)[..., None]
        return F.conv2d(around, kernel, (self.bias + self.eta @ self.bias) / 2, padding=(half, 0))


class MoebiusNetwork(nn.Module):
    """Three convolutions, then for each field the largest value on the strip, which neither gauge nor shift changes.

    Args:
        fields: of the hidden layers, ``"regular"``, ``"trivial"`` or ``"sign"``; or ``"plain"`` for an ordinary
            network, whose kernels have no constraint and whose strip has two ends.
        width: hidden fields.
        classes: of the answer.
        size: of the kernels.

    Raises:
        ValueError: as `MoebiusConv`.
    """

    def __init__(self, fields: str = "regular", width: int = 8, classes: int = 10, size: int = 5) -> None:
        super().__init__()
        self.fields = fields
        hidden = [fields] * width
        chain = [["trivial"], hidden, hidden, hidden]
        self.layers = nn.ModuleList(
            nn.Conv2d(len(a), width, size, padding="same") if fields == "plain" else MoebiusConv(a, b, size)
            for a, b in pairwise(chain)
        )
        self.head = nn.Linear(width, classes)

    @property
    def dimension(self) -> int:
        """Free parameters."""
        layers = (one.dimension if isinstance(one, MoebiusConv) else count_parameters(one) for one in self.layers)
        return count_parameters(self.head) + sum(layers)

    def forward(self, f: Tensor, links: Tensor | None = None) -> Tensor:
        """Logits, ``(batch, 1, H, W)`` → ``(batch, classes)``."""
        for layer in self.layers:
            f = layer(f) if self.fields == "plain" else layer(f, links)
            f = f.tanh() if self.fields == "sign" else f.relu()  # of a number with a sign, only odd functions keep it
        f = f.abs().amax((2, 3))
        return self.head(f.unflatten(1, (-1, 2)).amax(2) if self.fields == "regular" else f)


def place(digits: Tensor, width: int, generator: torch.Generator | None = None) -> Tensor:
    """Digits ``(batch, 1, h, w)`` on strips two rows higher, in the middle or, with a generator, moved at random.

    Returns:
        Shape ``(batch, 1, h + 2, width)``.

    Raises:
        ValueError: a strip shorter than the digits.
    """
    spare = width - digits.shape[-1]
    if digits.ndim != 4 or spare < 0:
        raise ValueError(f"expected digits (batch, 1, h, w) with w ≤ {width}, got {tuple(digits.shape)}")
    strips = F.pad(digits, (spare // 2, spare - spare // 2, 1, 1))
    if generator is None:
        return strips
    steps = torch.randint(2 * width, (len(strips),), generator=generator)  # twice round is once in the bundle
    links, rho = strip_links(width), reflection(["trivial"])
    return torch.cat([shift(f[None], int(k), links, rho) for f, k in zip(strips, steps, strict=True)])


def learn_digits(
    network: MoebiusNetwork,
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    *,
    moved: bool = False,
    width: int = 16,
    steps: int = 400,
    seed: int = 0,
) -> dict[str, float]:
    """Train on digits in the middle of the strip, or moved along it, and test on both.

    Args:
        train, test: digits ``(n, 1, h, w)`` and labels ``(n,)``.
        moved: train on moved digits.
        width: of the strip.

    Returns:
        The share of test digits read wrongly, ``"centred"`` and ``"moved"``.
    """
    x = place(train[0], width, runtime.generator("moved digits", "train", seed) if moved else None)

    def loss(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(network(x), y)

    training.fit(
        network, (x, train[1]), loss, steps=steps, batch_size=64, lr=5e-3, schedule=training.warm_cosine, seed=seed
    )
    device = network.head.weight.device
    errors = {}
    for name, generator in (("centred", None), ("moved", runtime.generator("moved digits", "test", seed))):
        with torch.no_grad():
            guess = network(place(test[0], width, generator).to(device)).argmax(1).cpu()
        errors[name] = float((guess != test[1]).float().mean())
    return errors

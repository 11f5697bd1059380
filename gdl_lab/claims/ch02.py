"""Claims of chapter 02: the convolutional layer as a sum, as a constrained matrix, and as what commutes with shifts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import product
from statistics import mean

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdl_lab import data, runtime
from gdl_lab.claims.ledger import at_least, at_most, claim, within
from gdl_lab.networks import (
    ConvolutionalNetwork,
    FullyConnected,
    GraphConvolution,
    constrained_weights,
    correlate,
    count_parameters,
    influence,
    shift_equivariance_error,
    translate,
)
from gdl_lab.training import fit

__all__ = [
    "beats_fully_connected",
    "commutes_with_shifts",
    "constraint_is_symmetry",
    "graph_has_no_directions",
    "graph_is_a_cross",
    "influence_walks",
    "invariant_head_survives_shifts",
    "is_a_constrained_matrix",
    "is_a_correlation",
    "is_the_written_sum",
    "other_dimensions",
    "receptive_field_grows",
    "saves_parameters",
    "stride_keeps_its_multiples",
    "stride_padding_and_pooling_break_it",
]

TALK = "convolutional-networks"


@claim("cnn.is_the_written_sum", talk=TALK, bound=at_most(1e-12))
def is_the_written_sum(*, layer: Callable[[Tensor, Tensor], Tensor] | None = None) -> dict[str, float | str]:
    """PyTorch's convolution with zero padding is the talk's sum Σ_y κ(y−x) f(y) over the grid, term by term.

    The oracle loops over all pairs x, y of the grid and knows no padding: κ vanishes off its support, y stays on G.

    Args:
        layer: a layer to measure along with PyTorch's, (κ, f) ↦ z, zero padding; the package's if not given.
    """
    layer = layer or (lambda kernel, f: correlate(kernel, f, padding="zeros"))
    seed, (kernel, f) = _draw((4, 3, 5, 5), (2, 3, 7, 6))
    grid = list(product(range(7), range(6)))
    written = torch.zeros(2, 4, 7, 6, dtype=torch.float64)
    for x, y in product(grid, grid):
        i, j = y[0] - x[0] + 2, y[1] - x[1] + 2
        if 0 <= i < 5 and 0 <= j < 5:
            written[:, :, *x] += f[:, :, *y] @ kernel[:, :, i, j].T
    mine, torchs = layer(kernel, f), F.conv2d(f, kernel, padding=2)
    return {"value": max(_relative(mine, written), _relative(torchs, written)), "seed": str(seed)}


@claim("cnn.is_a_correlation", talk=TALK, bound=at_most(1e-12))
def is_a_correlation() -> dict[str, float | str]:
    """With κ(y−x) the sum is a correlation: on the torus its Fourier transform is the product of f̂ and the conjugate
    κ̂.

    ``without_conjugate`` is the relative error of the convolution theorem, f̂ κ̂, for the same layer.
    """
    seed, (kernel, f) = _draw((1, 1, 5, 5), (1, 1, 8, 9))
    z = F.conv2d(F.pad(f, (2, 2, 2, 2), mode="circular"), kernel)
    on_torus = torch.zeros_like(f)
    on_torus[..., :5, :5] = kernel
    kernel_hat, f_hat = torch.fft.fft2(translate(on_torus, (-2, -2))), torch.fft.fft2(f)  # κ(0) comes to the origin
    return {
        "value": _relative(torch.fft.ifft2(kernel_hat.conj() * f_hat).real, z),
        "without_conjugate": _relative(torch.fft.ifft2(kernel_hat * f_hat).real, z),
        "seed": str(seed),
    }


@claim("cnn.is_a_constrained_matrix", talk=TALK, bound=at_most(1e-12))
def is_a_constrained_matrix() -> dict[str, float | str]:
    """Effectively a fully connected layer with constraints on W: the matrix with entries κ(y−x) gives the same output.

    Measured for no padding, zero and circular padding. ``entries`` of W with zero padding hold ``free`` numbers.
    """
    seed, (kernel, f) = _draw((4, 3, 5, 5), (2, 3, 7, 6))
    worst = 0.0
    for padding in ("valid", "zeros", "circular"):
        w = constrained_weights(kernel, 7, 6, padding=padding)
        r, mode = 2 * (padding != "valid"), "circular" if padding == "circular" else "constant"
        z = F.conv2d(F.pad(f, (r,) * 4, mode=mode), kernel)
        worst = max(worst, _relative((f.flatten(1) @ w.T).view_as(z), z))
    w = constrained_weights(kernel, 7, 6, padding="zeros")
    return {"value": worst, "entries": w.numel(), "free": w[w != 0].unique().numel(), "seed": str(seed)}


@claim("cnn.saves_parameters", talk=TALK, bound=at_least(10_000))
def saves_parameters(*, size: int = 28, kernel_size: int = 3) -> dict[str, float | str]:
    """Finite support and sharing save parameters: fully connected over convolutional, for a picture to a picture.

    ``local`` has the finite support alone: its own weights for every pair of pixels that a window covers, zero padding.
    """
    with torch.device("meta"):  # counts without allocating
        dense, conv = nn.Linear(size**2, size**2), nn.Conv2d(1, 1, kernel_size)
    many, few = count_parameters(dense), count_parameters(conv)
    support = torch.ones(1, 1, kernel_size, kernel_size)
    local = int(constrained_weights(support, size, size, padding="zeros").sum()) + size**2
    return {"value": many / few, "fully_connected": many, "local": local, "convolutional": few}


@claim("cnn.constraint_is_symmetry", talk=TALK, bound=within(1, 0))
def constraint_is_symmetry(*, height: int = 3, width: int = 4) -> dict[str, float | str]:
    """The matrices W that commute with all translations of a torus are the convolutions: one free number a grid point.

    The dimension of the solutions of T_a W = W T_a, from singular values, over the number of grid points.
    ``unlike_convolution`` is the relative distance of a random solution from the convolution with its first row.
    """
    n = height * width
    one = torch.eye(n, dtype=torch.float64)
    rows = []
    for a in ((1, 0), (0, 1)):  # the two generate all translations
        shift = translate(one.view(n, height, width), a).reshape(n, n).T.contiguous()
        rows.append(torch.kron(shift, one) - torch.kron(one, shift.T.contiguous()))  # acts on W row by row
    _, size, vectors = torch.linalg.svd(torch.cat(rows))
    null = vectors[size < 1e-10]
    seed, (mix,) = _draw((len(null),))
    w = (mix @ null).view(n, n)
    # Row x of a convolution is its row 0, moved to x.
    by_first_row = [translate(w[0].view(height, width), x).flatten() for x in product(range(height), range(width))]
    unlike = _relative(torch.stack(by_first_row), w)
    value = len(null) / n if unlike <= 1e-12 else torch.inf
    return {"value": value, "solutions": len(null), "unlike_convolution": unlike, "seed": str(seed)}


@claim("cnn.commutes_with_shifts", talk=TALK, bound=at_most(1e-12))
def commutes_with_shifts() -> dict[str, float | str]:
    """A sliding filter is equivariant: to shift the picture is to shift the output, on a torus and in the interior.

    Two layers of 3×3 kernels with ReLU; with zero padding, pixels that see the border are left out.
    """
    seed, (k1, k2, f) = _draw((4, 3, 3, 3), (2, 4, 3, 3), (2, 3, 15, 14))
    shift = (1 + seed % 3, -1 - seed % 2)

    def layers(padding: str) -> Callable[[Tensor], Tensor]:
        return lambda g: torch.relu(correlate(k2, torch.relu(correlate(k1, g, padding=padding)), padding=padding))

    everywhere = shift_equivariance_error(layers("circular"), f, shift)
    inside = shift_equivariance_error(layers("zeros"), f, shift, margin=5)
    border = shift_equivariance_error(layers("zeros"), f, shift)
    value = max(everywhere, inside) if border > 0.05 else torch.inf
    return {"value": value, "with_the_border": border, "seed": str(seed)}


@claim("cnn.stride_keeps_its_multiples", talk=TALK, bound=at_most(1e-12))
def stride_keeps_its_multiples() -> dict[str, float | str]:
    """A layer of stride s is exactly equivariant under shifts by multiples of s; under other shifts it is not.

    Strides 2, 3 and 4 on a 12×12 torus. ``other_shifts`` is the smallest error for a shift that s does not divide.
    """
    seed, (kernel, f) = _draw((3, 1, 3, 3), (2, 1, 12, 12))
    errors = {
        (s, a): shift_equivariance_error(_torch_layer(kernel, "circular", stride=s), f, (a, 0), stride=s)
        for s in (2, 3, 4)
        for a in range(1, 12)
    }
    kept = [e for (s, a), e in errors.items() if a % s == 0]
    lost = [e for (s, a), e in errors.items() if a % s != 0]
    value = max(kept) if min(lost) > 0.1 else torch.inf  # a measure that is always 0 would prove nothing
    return {"value": value, "other_shifts": min(lost), "seed": str(seed)}


@claim("cnn.stride_padding_and_pooling_break_it", talk=TALK, bound=at_least(0.1))
def stride_padding_and_pooling_break_it(*, pictures: Tensor | None = None, seed: int = 0) -> dict[str, float | str]:
    """Stride, zero padding and max pooling break equivariance under a shift by one pixel, whatever shift the output
    gets: the smallest relative error.

    Args:
        pictures: shape ``(batch, 1, height, width)``; the 8×8 digits if not given.
        seed: of the kernels.
    """
    f = (data.load("digits8", "test").x if pictures is None else pictures).double().cpu()
    kernel = torch.randn(8, 1, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    circular = _torch_layer(kernel, "circular")
    layers: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
        "stride_2": (_torch_layer(kernel, "circular", stride=2), 2),
        "zero_padding": (_torch_layer(kernel, "constant"), 1),
        "pooling_2": (lambda g: F.max_pool2d(circular(g), 2), 2),
    }
    asked = {name: shift_equivariance_error(one, f, (1, 0), stride=s) for name, (one, s) in layers.items()}
    best = min(shift_equivariance_error(one, f, (1, 0), stride=None) for one, _ in layers.values())
    return {"value": best, **asked, "intact": shift_equivariance_error(circular, f, (1, 0))}


@claim("cnn.receptive_field_grows", talk=TALK, bound=at_most(0))
def receptive_field_grows(*, kernel_size: int = 3, depth: int = 5) -> dict[str, float | str]:
    """Stacked layers see further: L layers of k×k kernels see 1 + L(k−1) pixels a side, measured from gradients.

    The largest deviation from the formula, in pixels.
    """
    widths, side = {}, 1 + depth * (kernel_size - 1) + 2
    kernel = 1 + torch.rand(1, 1, kernel_size, kernel_size, generator=torch.Generator().manual_seed(0))  # no zero entry
    for layers in range(1, depth + 1):
        f = torch.ones(1, 1, side, side, requires_grad=True)
        z: Tensor = f
        for _ in range(layers):
            z = F.conv2d(z, kernel, padding=kernel_size // 2)
        (gradient,) = torch.autograd.grad(z[0, 0, side // 2, side // 2], f)
        widths[layers] = int((gradient[0, 0] != 0).any(0).sum())
    off = max(abs(seen - (1 + layers * (kernel_size - 1))) for layers, seen in widths.items())
    return {"value": off, f"pixels_seen_by_{depth}_layers": widths[depth]}


@claim("cnn.influence_walks", talk=TALK, bound=at_most(0.15))
def influence_walks(*, sigmas: Mapping[int, float] | None = None) -> dict[str, float | str]:
    """In random networks the influence of a pixel spreads like a random walk, σ = √(2L/3) for L layers of 3×3 kernels.

    The largest relative deviation from the formula.

    Args:
        sigmas: depth L → measured standard deviation; without them, of 16 networks of each depth 1, 2 and 4.
    """
    sigmas = sigmas or {depth: _spread(depth) for depth in (1, 2, 4)}
    off = max(abs(sigma / (2 * depth / 3) ** 0.5 - 1) for depth, sigma in sigmas.items())
    return {"value": off, "layers": max(sigmas), "sigma": sigmas[max(sigmas)]}


@claim("cnn.other_dimensions", talk=TALK, bound=at_most(1e-12))
def other_dimensions() -> dict[str, float | str]:
    """Higher-dimensional versions exist: in 1, 2 and 3 dimensions the same sum gives a matrix with entries κ(y−x)."""
    layers: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
    worst, sizes = 0.0, {d: (9, 5, 4)[:d] for d in layers}
    seed, drawn = _draw(*(shape for d, sides in sizes.items() for shape in ((1, 1, *(3,) * d), (1, 1, *sides))))
    for conv, sides, kernel, f in zip(layers.values(), sizes.values(), drawn[::2], drawn[1::2], strict=True):
        grid = list(product(*map(range, sides)))
        w = torch.zeros(len(grid), len(grid), dtype=torch.float64)
        for (row, x), (column, y) in product(enumerate(grid), enumerate(grid)):
            difference = tuple(b - a + 1 for a, b in zip(x, y, strict=True))
            if all(0 <= entry < 3 for entry in difference):
                w[row, column] = kernel[0, 0, *difference]
        worst = max(worst, _relative(w @ f.flatten(), conv(f, kernel, padding=1).flatten()))
    return {"value": worst, "seed": str(seed)}


@claim("cnn.graph_is_a_cross", talk=TALK, bound=at_most(1e-12))
def graph_is_a_cross() -> dict[str, float | str]:
    """Versions on graphs exist: on the grid's graph the graph convolution is the one with a cross-shaped kernel.

    ``relabelled`` is the error of its equivariance under a random renumbering of the nodes.
    """
    height, width = 5, 6
    nodes = height * width
    seed, (f,) = _draw((2, 3, height, width))
    adjacency = _torus_graph(height, width)
    layer = _graph_layer(3, 4, adjacency, seed)
    kernel = torch.zeros(4, 3, 3, 3, dtype=torch.float64)
    for i, j in ((0, 1), (2, 1), (1, 0), (1, 2)):
        kernel[:, :, i, j] = layer.neighbours.weight.detach()
    kernel[:, :, 1, 1] = layer.itself.weight.detach()
    wanted = F.conv2d(F.pad(f, (1,) * 4, mode="circular"), kernel, layer.itself.bias.detach())
    signal = f.flatten(2).mT
    order = torch.randperm(nodes, generator=torch.Generator().manual_seed(seed))
    renumbered = _graph_layer(3, 4, adjacency[order][:, order], seed)
    with torch.no_grad():
        z = layer(signal)
        relabelled = _relative(renumbered(signal[:, order]), z[:, order])
    return {"value": _relative(z.mT.view_as(wanted), wanted), "relabelled": relabelled, "seed": str(seed)}


@claim("cnn.graph_has_no_directions", talk=TALK, bound=at_most(1e-12))
def graph_has_no_directions() -> dict[str, float | str]:
    """A graph has no directions: its convolution commutes with mirroring and with turning the picture, which an edge
    filter does not.

    The larger of the two errors. ``edge_filter`` is the smaller of the two for the horizontal Sobel filter.
    """
    side = 8
    seed, (f,) = _draw((2, 1, side, side))
    layer = _graph_layer(1, 1, _torus_graph(side, side), seed)

    def on_grid(g: Tensor) -> Tensor:
        with torch.no_grad():
            return layer(g.flatten(2).mT).mT.reshape(g.shape)

    sobel = torch.tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=torch.float64)[None, None]
    edges = _torch_layer(sobel, "circular")
    moves = (lambda g: g.flip(-1), lambda g: g.rot90(dims=(-2, -1)))  # a mirror image and a quarter turn
    return {
        "value": max(_relative(on_grid(move(f)), move(on_grid(f))) for move in moves),
        "edge_filter": min(_relative(edges(move(f)), move(edges(f))) for move in moves),
        "seed": str(seed),
    }


@claim("cnn.beats_fully_connected", talk=TALK, bound=at_least(1.3))
def beats_fully_connected(
    *, fully_connected: Sequence[float] | None = None, convolutional: Sequence[float] | None = None
) -> dict[str, float | str]:
    """At equal numbers of parameters the convolutional network misreads fewer new digits: ratio of the error rates.

    Args:
        fully_connected, convolutional: accuracies on test digits, one for each seed; without them, two seeds on 300 of
            the 8×8 digits.
    """
    if fully_connected is None or convolutional is None:
        trials = [_trained_on_digits(seed) for seed in range(2)]
        fully_connected, convolutional = [t["dense"] for t in trials], [t["conv"] for t in trials]
    dense, conv = mean(fully_connected), mean(convolutional)
    return {"value": (1 - dense) / max(1 - conv, 1e-3), "fully_connected": dense, "convolutional": conv}


@claim("cnn.invariant_head_survives_shifts", talk=TALK, bound=at_least(0.3))
def invariant_head_survives_shifts(
    *, fully_connected: Sequence[float] | None = None, convolutional: Sequence[float] | None = None
) -> dict[str, float | str]:
    """On shifted digits a convolutional network with an invariant head keeps reading: its lead in accuracy.

    Args:
        fully_connected, convolutional: accuracies on shifted test digits, one for each seed; without them, two seeds on
            the 8×8 digits, shifted by two pixels.
    """
    if fully_connected is None or convolutional is None:
        trials = [_trained_on_digits(seed) for seed in range(2)]
        fully_connected, convolutional = [t["dense_shifted"] for t in trials], [t["conv_shifted"] for t in trials]
    dense, conv = mean(fully_connected), mean(convolutional)
    return {"value": conv - dense, "fully_connected": dense, "convolutional": conv}


def _draw(*shapes: tuple[int, ...]) -> tuple[int, list[Tensor]]:
    """Standard normal tensors in float64 from a fresh seed, which is shown."""
    seed = runtime.fresh_seed()
    generator = torch.Generator().manual_seed(seed)
    return seed, [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def _relative(given: Tensor, wanted: Tensor) -> float:
    return float((given - wanted).norm() / wanted.norm())


def _torch_layer(kernel: Tensor, mode: str, *, stride: int = 1) -> Callable[[Tensor], Tensor]:
    r = kernel.shape[-1] // 2
    return lambda f: F.conv2d(F.pad(f, (r,) * 4, mode=mode), kernel, stride=stride)


def _spread(depth: int) -> float:
    """Standard deviation of the influence along an axis, for 16 random networks of 3×3 kernels."""
    side = 2 * depth + 3
    torch.manual_seed(depth)
    nets = [ConvolutionalNetwork((1, *[16] * depth), 1, size=side) for _ in range(16)]
    power = torch.stack([influence(net, torch.randn(8, 1, side, side)) for net in nets]).sum((0, 1))
    return float((power * (torch.arange(side) - side // 2) ** 2).sum() / power.sum()) ** 0.5


def _torus_graph(height: int, width: int) -> Tensor:
    """Adjacency matrix of the grid on a torus: two pixels are neighbours if they are one step apart."""
    adjacency = torch.zeros(height * width, height * width, dtype=torch.float64)
    for i, j in product(range(height), range(width)):
        for di, dj in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            adjacency[i * width + j, (i + di) % height * width + (j + dj) % width] = 1
    return adjacency


def _graph_layer(m: int, n: int, adjacency: Tensor, seed: int) -> GraphConvolution:
    layer = GraphConvolution(m, n, adjacency).double()
    generator = torch.Generator().manual_seed(seed)
    for p in layer.parameters():
        nn.init.normal_(p, generator=generator)
    return layer


@cache
def _trained_on_digits(seed: int, steps: int = 200) -> Mapping[str, float]:
    """Test accuracies of both kinds of network at equal parameters, trained on 300 of the 8×8 digits in a frame."""
    train, test = data.load("digits8").take(300), data.load("digits8", "test")
    framed = F.pad(train.x, (2,) * 4), F.pad(test.x, (2,) * 4)  # room to shift without wrapping around
    torch.manual_seed(seed)
    conv = ConvolutionalNetwork((1, 12, 32), 10, size=12, kernel_size=5, padding_mode="circular", head="max")
    hidden = -(-count_parameters(conv) // (12**2 + 1 + 10))  # rounded up: the fully connected one has no fewer
    accuracies = {}

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(x), y)

    for name, net in (("dense", FullyConnected((12**2, hidden, 10))), ("conv", conv)):
        fit(net, (framed[0], train.y), loss, steps=steps, batch_size=64, lr=5e-3, seed=seed, progress=False)
        with torch.no_grad():
            for suffix, shift in (("", 0), ("_shifted", 2)):
                guess = net(translate(framed[1], (0, shift))).argmax(1)
                accuracies[name + suffix] = float((guess == test.y).float().mean())
    return accuracies

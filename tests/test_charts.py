"""Planar networks on charts: the edges that they do not see, and the symmetry that is left to them."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdl_lab.networks import ChartCNN, ChartUNet, charts, pad_chart

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "cnn-mean": lambda: ChartCNN((8, 32), 3, (4, 8)),
    "cnn-flatten": lambda: ChartCNN((8, 32), 3, (4, 8), head="flatten"),
    "unet": lambda: ChartUNet((8, 32), 3, 4),
    "unet-local": lambda: ChartUNet((8, 32), 3, 4, whole=False),
}


def trained_a_little(net: nn.Module, x: Tensor) -> nn.Module:
    """Batch statistics and weights that are not those of the beginning."""
    optim = torch.optim.SGD(net.parameters(), 0.01)
    for _ in range(3):
        optim.zero_grad()
        net(x).square().mean().backward()
        optim.step()
    return net.eval()


def test_padding_by_hand() -> None:
    f = torch.tensor([[0.0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]])[None, None]
    assert pad_chart(f)[0, 0].tolist() == [
        [1, 2, 3, 0, 1, 2],
        [3, 0, 1, 2, 3, 0],
        [7, 4, 5, 6, 7, 4],
        [11, 8, 9, 10, 11, 8],
        [9, 10, 11, 8, 9, 10],
    ]


@pytest.mark.parametrize("r", [1, 2])
def test_padding_continues_a_function_of_the_sphere(r: int) -> None:
    n_beta, n_alpha = 10, 24
    alpha = torch.arange(-r, n_alpha + r, dtype=torch.float64) * (2 * math.pi / n_alpha)
    beta = (torch.arange(-r, n_beta + r, dtype=torch.float64) + 0.5) * (math.pi / n_beta)
    beta, alpha = torch.meshgrid(beta, alpha, indexing="ij")  # beyond the poles β is negative or above π
    x, y, z = beta.sin() * alpha.sin(), beta.cos(), beta.sin() * alpha.cos()
    f = (x * y + 2 * z - x**3 + y)[None, None]
    inner = f[..., r:-r, r:-r]
    assert torch.allclose(pad_chart(inner, r), f)
    assert not torch.allclose(F.pad(inner, (r, r, r, r), mode="circular"), f)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_turn_about_the_axis_by_whole_coarse_pixels(
    name: str, rng: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.rand(4, 1, 8, 32, generator=rng)
    net = trained_a_little(NETWORKS[name](), x).double()
    x = x.double()

    def error(net: nn.Module) -> float:
        turned, expected = net(x.roll(8, -1)), net(x)
        if expected.ndim == 4:
            expected = expected.roll(8, -1)
        return float((turned - expected).abs().max())

    with torch.no_grad():
        if name in ("cnn-mean", "unet-local"):
            assert error(net) < 1e-12
            monkeypatch.setattr(charts, "pad_chart", lambda f: F.pad(f, (1, 1, 1, 1)))
        assert error(net) > 1e-6, "weights of their own for each place, or an edge, break it"


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_dtype_and_that_all_is_trained(name: str, rng: torch.Generator) -> None:
    net = NETWORKS[name]().double()
    x = torch.rand(5, 1, 8, 32, generator=rng, dtype=torch.float64, requires_grad=True)
    out = net(x)
    assert out.shape == ((5, 3) if name.startswith("cnn") else (5, 3, 8, 32))
    out.square().mean().backward()
    assert bool((x.grad.abs().sum((0, 1)) > 0).all()), "every pixel counts"
    for parameter in net.parameters():
        assert parameter.grad is not None
        assert float(parameter.grad.abs().max()) > 0


@pytest.mark.parametrize("whole", [True, False])
def test_what_is_far_away_has_a_say_through_the_whole(whole: bool, rng: torch.Generator) -> None:
    net = ChartUNet((16, 256), 3, 4, whole=whole).eval()
    x = torch.rand(2, 1, 16, 256, generator=rng)
    near = x.clone()
    near[..., 10:14] += 1
    with torch.no_grad():
        moved = (net(near) - net(x)).abs().amax((0, 1, 2))
    assert float(moved[[12, 140]].min()) > 0, "where it changed, and over the pole"
    assert bool((moved[70:80] > 0).all()) == whole


def test_sizes() -> None:
    size = lambda net: sum(p.numel() for p in net.parameters())  # noqa: E731
    assert size(ChartUNet((24, 48), 11, 8)) < size(ChartUNet((24, 48), 11, 16)) / 3
    assert size(ChartCNN((16, 32), head="mean")) < size(ChartCNN((16, 32), head="flatten"))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ChartUNet((12, 48)), r"multiples of 8 and 16, got \(12, 48\)"),
        (lambda: ChartUNet((24, 40)), r"got \(24, 40\)"),
        (lambda: ChartUNet((24,)), r"got \(24,\)"),
        (lambda: ChartCNN((0, 0)), r"got \(0, 0\)"),
        (lambda: ChartCNN((16, 32), head="max"), "flatten or mean"),
        (lambda: ChartCNN((16, 32))(torch.zeros(2, 16, 32)), r"\(batch, 1, 16, 32\), got \(2, 16, 32\)"),
        (lambda: ChartUNet((16, 32))(torch.zeros(2, 1, 32, 16)), r"got \(2, 1, 32, 16\)"),
    ],
)
def test_what_is_no_chart(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()

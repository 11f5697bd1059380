"""The fused activation: the composition it stands for, its memory, and how far its aliasing breaks equivariance."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from gdl_lab.sphere import SO3FFT, SO3Activation, block, integrate_so3, rotate, spectrum_size
from gdl_lab.sphere import activation as module
from gdl_lab.sphere import grid as shared
from tests.group_integrals import rotations

DOUBLE = torch.float64
NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "ReLU": nn.ReLU(),
    "silu": F.silu,
    "square": torch.square,
    "clone": lambda x: x,
}


def smooth(L: int, N: int | None, *batch: int, rng: torch.Generator) -> Tensor:
    """A spectrum whose degrees fall off as (2l+1)^(-3/2), so that the function is about as smooth as a feature."""
    F = torch.randn(spectrum_size(L, N), *batch, generator=rng, dtype=DOUBLE)
    for l in range(L):
        block(F, l, N).mul_((2 * l + 1) ** -1.5)
    return F


def composed(layer: SO3Activation, F: Tensor) -> Tensor:
    """What the fused layer stands for, in three lines, where its output is not wider than its input."""
    fft = SO3FFT(layer.bandlimit, layer.oversample, layer.orders)
    out = fft.analysis(layer.nonlinearity(fft.synthesis(F)))
    L, N = layer.to_bandlimit, layer.to_orders
    parts = []
    for l in range(L):
        k, wide = min(l, N - 1), min(l, layer.orders - 1)
        parts.append(block(out, l, layer.orders)[:, wide - k : wide + k + 1].flatten(0, 1))
    return torch.cat(parts)


@given(
    st.integers(1, 5), st.data(), st.sampled_from(list(NONLINEARITIES)), st.sampled_from([torch.float32, torch.float64])
)
def test_the_fused_layer_is_its_composition(L: int, data: st.DataObject, name: str, dtype: torch.dtype) -> None:
    N = data.draw(st.integers(1, L))
    L_out = data.draw(st.integers(1, L))
    to = data.draw(st.sampled_from([None, (L_out, min(L_out, N))]))
    batch = data.draw(st.sampled_from([(), (1,), (3,), (2, 70), (0,)]))
    layer = SO3Activation(L, N, data.draw(st.sampled_from([1.0, 1.25, 1.5, 2.0])), NONLINEARITIES[name], to=to)
    rng = torch.Generator().manual_seed(L)
    x = torch.randn(spectrum_size(L, N), *batch, generator=rng, dtype=dtype)
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    fused, plain = layer(one), composed(layer, other)
    g = torch.randn(fused.shape, generator=rng, dtype=dtype)
    fused.backward(g)
    plain.backward(g)
    assert fused.dtype == dtype
    assert one.detach().equal(x)
    for a, b in ((fused, plain), (one.grad, other.grad)):
        assert a.shape == b.shape
        if a.numel():
            assert (a - b).abs().max() <= (1e-5 if dtype == torch.float32 else 1e-13) * (1 + b.abs().max())


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_gradients(name: str, rng: torch.Generator) -> None:
    layer = SO3Activation(3, 2, 1.5, NONLINEARITIES[name], to=(4, 3))  # wider than the input
    x = torch.randn(spectrum_size(3, 2), 2, generator=rng, dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


def test_a_wrong_gradient_would_be_seen(rng: torch.Generator) -> None:
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return g

    x = torch.randn(spectrum_size(2), 1, generator=rng, dtype=DOUBLE, requires_grad=True)
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(SO3Activation(2, nonlinearity=Wrong.apply), (x,))


@pytest.mark.parametrize("name", ["relu", "silu"])
def test_blocks_do_not_matter(name: str, rng: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = SO3Activation(4, 3, 1.5, NONLINEARITIES[name])
    x = torch.randn(spectrum_size(4, 3), 5, generator=rng, dtype=DOUBLE, requires_grad=True)
    (whole,) = torch.autograd.grad(layer(x).sin().sum(), x)
    for numbers, columns in ((1, 2), (2 * math.prod(layer.shape[1:]) * 10, 64), (10**9, 1)):
        monkeypatch.setattr(shared, "BLOCK", numbers)
        monkeypatch.setattr(module, "COLUMNS", columns)
        (pieces,) = torch.autograd.grad(layer(x).sin().sum(), x)
        assert (pieces - whole).abs().max() < 1e-13


class Largest(TorchDispatchMode):
    """Bytes of the largest tensor that any operation returns."""

    bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor):
            self.bytes = max(self.bytes, out.untyped_storage().nbytes())
        return out


@pytest.mark.parametrize("name", ["relu", "silu"])
def test_the_signal_is_never_stored(name: str, rng: torch.Generator) -> None:
    layer = SO3Activation(6, None, 2.0, NONLINEARITIES[name])
    x = torch.randn(spectrum_size(6), 256, generator=rng, requires_grad=True)
    signal = math.prod(layer.shape) * 256 * 4

    def largest(run: Callable[[Tensor], Tensor]) -> int:
        layer(x)  # tables are not counted
        with Largest() as seen:
            run(x).square().sum().backward()
        return seen.bytes

    assert largest(layer) < signal / 5
    assert largest(lambda x: composed(layer, x)) >= signal


# Equivariance


def equivariance_error(layer: SO3Activation, seed: int) -> float:
    """Of the same spectra under the same rotations for one seed."""
    rng, L = torch.Generator().manual_seed(seed), layer.bandlimit
    x, R = smooth(L, layer.orders, 4, rng=rng), rotations(4, rng)
    turned = rotate(layer(x), R, L)
    return float((layer(rotate(x, R, L)) - turned).norm() / turned.norm())


def test_a_square_is_exact_from_one_and_a_half_on(seed: int) -> None:
    assert equivariance_error(SO3Activation(8, 4, 1.5, torch.square), seed) < 1e-13
    assert equivariance_error(SO3Activation(8, None, 1.5, torch.square), seed) < 1e-13
    assert equivariance_error(SO3Activation(8, None, 1.0, torch.square), seed) > 1e-2
    assert equivariance_error(SO3Activation(6, None, 2.0, lambda x: x**3), seed) < 1e-13
    assert equivariance_error(SO3Activation(6, None, 1.5, lambda x: x**3), seed) > 1e-4


def test_aliasing_falls_with_oversampling_and_faster_for_smooth_functions(seed: int) -> None:
    relu = [equivariance_error(SO3Activation(8, None, s), seed) for s in (1.0, 1.5, 2.0, 3.0)]
    silu = [equivariance_error(SO3Activation(8, None, s, F.silu), seed) for s in (1.0, 1.5, 2.0, 3.0)]
    assert relu == sorted(relu, reverse=True)
    assert silu == sorted(silu, reverse=True)
    assert relu[0] > 0.01
    assert relu[1] < relu[0] / 3
    assert 1e-4 < relu[3] < 6e-3
    assert silu[3] < 1e-4


def test_the_integral_is_an_activation_to_degree_zero(rng: torch.Generator) -> None:
    x = smooth(5, 3, 2, 4, rng=rng)
    invariant = integrate_so3(SO3Activation(5, 3, 1.5, torch.square, to=(1, 1))(x))
    assert (invariant - x.square().sum(0)).abs().max() < 1e-14  # Parseval
    fft = SO3FFT(5, 1.5, 3, dtype=DOUBLE)
    mean = torch.einsum("b,bagcz->cz", fft.weights, fft.synthesis(x).relu()) / math.prod(fft.shape[1:])
    assert (SO3Activation(5, 3, 1.5, to=(1, 1))(x)[0] - mean).abs().max() < 1e-14


# What is refused


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SO3Activation(0), "bandlimit of at least 1"),
        (lambda: SO3Activation(4, 5), "orders from 1"),
        (lambda: SO3Activation(4, oversample=0.5), "oversample by 1 or more"),
        (lambda: SO3Activation(4, to=(2, 3)), "orders from 1 to the bandlimit 2"),
        (lambda: SO3Activation(4, nonlinearity=nn.PReLU()), "without parameters"),
        (lambda: SO3Activation(4, nonlinearity="relu"), "a function"),
        (lambda: SO3Activation(3)(torch.zeros(34, 2)), r"shape \(35, \*batch\), got \(34, 2\)"),
        (lambda: SO3Activation(3)(torch.zeros(35, 2, dtype=torch.int32)), "float32 or float64"),
        (lambda: SO3Activation(3)(torch.full((35, 2), math.nan)), "NaN"),
        (lambda: SO3Activation(3, nonlinearity=torch.log)(torch.ones(35, 2)), "NaN"),
        (lambda: SO3Activation(3, nonlinearity=lambda x: x[..., :1])(torch.ones(35, 2)), "number by itself"),
    ],
)
def test_bad_input_is_explained(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_it_says_what_it_is() -> None:
    text = repr(SO3Activation(4, 2, 1.25, to=(3, 2)))
    assert text == "SO3Activation(bandlimit=4, orders=2, oversample=1.25, nonlinearity=relu, to=(3, 2))"

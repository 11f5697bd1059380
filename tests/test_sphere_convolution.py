"""Convolutions on S² and SO(3): against the integrals they stand for, by quadrature, and under rotations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import sph_harm_y
from torch import Tensor

from gdl_lab.sphere.convolution import S2Conv, SO3Conv, SO3toS2Conv, convolve, near_identity
from gdl_lab.sphere.spectrum import block, integrate_so2, rotate, spectrum_size
from tests.group_integrals import harmonics, rotation_quadrature, rotations, sphere_quadrature, wigner

EXACT = 1e-10
ROUNDING = {torch.float64: 1e-12, torch.float32: 2e-6}
LAYERS = {
    "S2": lambda L, N, support: S2Conv(2, 3, L, orders=N, support=support),
    "SO3": lambda L, N, support: SO3Conv(2, 3, L, orders=(N, max(1, N - 1)), support=support),
    "SO3toS2": lambda L, N, support: SO3toS2Conv(2, 3, L, orders=N, support=support),
}
each_layer = pytest.mark.parametrize("name", LAYERS)


def normal(rng: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def on_sphere(coeffs: Tensor, L: int, x: Tensor) -> Tensor:
    """Σ f^l_m Y^l_m(x), shapes (L²,) and (..., 3), from e3nn's harmonics."""
    return torch.cat(harmonics(L, x), -1) @ coeffs


def on_group(coeffs: Tensor, L: int, R: Tensor, N: int | None = None) -> Tensor:
    """Σ √(2l+1) F^l_mn D^l_mn(R) from e3nn's matrices."""
    total = torch.zeros(R.shape[:-2], dtype=torch.float64)
    for l, D in enumerate(wigner(L, R)):
        k = l if N is None else min(l, N - 1)
        F = coeffs[spectrum_size(l, N) : spectrum_size(l + 1, N)].reshape(2 * l + 1, 2 * k + 1)
        total += math.sqrt(2 * l + 1) * (D[..., l - k : l + k + 1] * F).sum((-2, -1))
    return total


def blocks(coeffs: Tensor, L: int, N: int | None = None, *, transposed: bool = False) -> list[Tensor]:
    """The kernel K^l_kn = ψ^l_kn / √(2l+1) of a spectrum ψ, for one channel."""
    K = [block(coeffs, l, N) / math.sqrt(2 * l + 1) for l in range(L)]
    return [(k.T if transposed else k)[..., None, None].contiguous() for k in K]


# The integrals


def lifted(kappa: Tensor, f: Tensor, L: int, R: Tensor) -> Tensor:
    """∫ κ(R⁻¹x) f(x) dx by quadrature."""
    x, w = sphere_quadrature(L)
    turned = torch.einsum("rji,xj->rxi", R, x)
    return on_sphere(kappa, L, turned) @ (w * on_sphere(f, L, x))


def test_the_first_layer_is_the_integral_over_the_sphere(rng: torch.Generator) -> None:
    L = 5
    kappa, f = normal(rng, L * L), normal(rng, L * L)
    R = rotations(4, rng)
    truth = lifted(kappa, f, L, R)
    ours = convolve(f[:, None, None], blocks(kappa, L, 1, transposed=True))[:, 0, 0]
    assert (on_group(ours, L, R) - truth).abs().max() < EXACT * truth.abs().max()
    as_written = convolve(kappa[:, None, None], blocks(f, L, 1, transposed=True))[:, 0, 0]
    assert (on_group(as_written, L, R) - truth).abs().max() > 0.1 * truth.abs().max()
    not_inverted = lifted(kappa, f, L, R.mT)
    assert (on_group(ours, L, R) - not_inverted).abs().max() > 0.1 * truth.abs().max()
    without_the_root = convolve(
        f[:, None, None], [k * math.sqrt(2 * l + 1) for l, k in enumerate(blocks(kappa, L, 1, transposed=True))]
    )
    assert (on_group(without_the_root[:, 0, 0], L, R) - truth).abs().max() > 0.1 * truth.abs().max()


def test_the_second_layer_is_the_integral_over_the_group(rng: torch.Generator) -> None:
    L = 3
    psi, F = normal(rng, spectrum_size(L)), normal(rng, spectrum_size(L))
    S = rotations(3, rng)
    R, w = rotation_quadrature(L)
    weighted = w * on_group(F, L, R)
    truth = on_group(psi, L, R.mT @ S[:, None]) @ weighted
    ours = convolve(F[:, None, None], blocks(psi, L))[:, 0, 0]
    assert (on_group(ours, L, S) - truth).abs().max() < EXACT * truth.abs().max()
    # ψ(S⁻¹R), the correlation, has ψ's indices the other way round; no inverse, or no index in its place, is neither
    correlation = on_group(psi, L, S[:, None].mT @ R) @ weighted
    turned = convolve(F[:, None, None], blocks(psi, L, transposed=True))[:, 0, 0]
    assert (on_group(turned, L, S) - correlation).abs().max() < EXACT * correlation.abs().max()
    for wrong in (turned, convolve(psi[:, None, None], blocks(F, L))[:, 0, 0]):
        assert (on_group(wrong, L, S) - truth).abs().max() > 0.1 * truth.abs().max()
    assert (on_group(ours, L, S) - on_group(psi, L, R @ S[:, None]) @ weighted).abs().max() > 0.1 * truth.abs().max()


def test_in_the_complex_basis_one_factor_is_conjugated(rng: torch.Generator) -> None:
    """f̅^l_m κ^l_n on D^l_mn, where D is defined by Y^l_n(R⁻¹x) = Σ_m D^l_mn(R) Y^l_m(x), with scipy's harmonics."""
    L = 4
    kappa, f = normal(rng, L * L), normal(rng, L * L)
    x, w = sphere_quadrature(L)

    def harmonic(points: Tensor) -> np.ndarray:
        x, y, z = points.T.numpy()  # the polar axis is y
        beta, alpha = np.arccos(y.clip(-1, 1)), np.arctan2(x, z)
        Y = [sph_harm_y(l, m, beta, alpha) for l in range(L) for m in range(-l, l + 1)]
        return math.sqrt(4 * math.pi) * np.stack(Y, -1)

    Y, R = harmonic(x), rotations(6, rng)
    adjoint = Y.conj().T * w.numpy()
    D = np.stack([adjoint @ harmonic(x @ turn) for turn in R])  # x @ R is R⁻¹x
    f_m, kappa_n = adjoint @ on_sphere(f, L, x).numpy(), adjoint @ on_sphere(kappa, L, x).numpy()
    truth = lifted(kappa, f, L, R).numpy()
    assert abs(f_m.conj() @ D @ kappa_n - truth).max() < EXACT
    assert abs(f_m @ D.conj() @ kappa_n.conj() - truth).max() < EXACT
    for wrong in (f_m @ D @ kappa_n, kappa_n.conj() @ D @ f_m, kappa_n @ D @ f_m):  # the last as the talk has it
        assert abs(wrong - truth).max() > 0.1 * abs(truth).max()


@pytest.mark.parametrize("N", [1, 2, 5])
def test_a_local_kernel_samples_near_each_rotation(N: int, rng: torch.Generator) -> None:
    """(κ⋆f)(R) = Σ_p w_p f(R x_p) and (ψ⋆F)(S) = Σ_p w_p F(S g_p⁻¹), up to the orders that are cut off."""
    L, support = 5, near_identity(0.7, rings=2, angles=3, turns=2)
    f, R = normal(rng, L * L, 2, 1), rotations(6, rng)
    lift = S2Conv(2, 1, L, support=support).double()
    at = (R[:, None] @ support)[..., 1]  # R x_p, the images of the pole e_y
    truth = sum(on_sphere(f[:, i, 0], L, at) @ lift.weight[:, 0, i] for i in range(2))
    assert (on_group(lift(f)[:, 0, 0], L, R) - truth).abs().max() < EXACT
    cut = S2Conv(2, 1, L, orders=N, support=support).double()
    cut.load_state_dict(lift.state_dict())
    whole = [block(lift(f), l)[:, l - min(l, N - 1) : l + min(l, N - 1) + 1] for l in range(L)]
    assert torch.equal(cut(f), torch.cat([b.flatten(0, 1) for b in whole]))

    F = normal(rng, spectrum_size(L), 2, 1)
    layer = SO3Conv(2, 1, L, support=support).double()
    truth = sum(on_group(F[:, i, 0], L, R[:, None] @ support.mT) @ layer.weight[:, 0, i] for i in range(2))
    assert (on_group(layer(F)[:, 0, 0], L, R) - truth).abs().max() < EXACT
    down = SO3toS2Conv(2, 1, L, support=support).double()
    down.load_state_dict(layer.state_dict())
    assert (down(F) - integrate_so2(layer(F), L)).abs().max() < EXACT


def test_a_delta_at_the_identity_is_the_identity(rng: torch.Generator) -> None:
    L, N = 6, 3
    layer = SO3Conv(1, 1, L, orders=N, support=torch.eye(3)[None]).double()
    torch.nn.init.ones_(layer.weight)
    F = normal(rng, spectrum_size(L, N), 1, 4)
    assert torch.allclose(layer(F), F, atol=1e-14)


# Rotations


@each_layer
@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("local", [False, True])
@given(L=st.integers(1, 9), data=st.data())
def test_layers_are_equivariant(name: str, dtype: torch.dtype, local: bool, L: int, data: st.DataObject) -> None:
    N = data.draw(st.integers(1, L), label="orders")
    rng = torch.Generator().manual_seed(data.draw(st.integers(0, 2**32), label="seed"))
    layer = LAYERS[name](L, N, near_identity(0.5, 1, 4, 3) if local else None).to(dtype)
    f = normal(rng, layer.size, 2, 2).to(dtype)
    R = rotations(1, rng)[0]
    out = layer(f)
    error = (layer(rotate(f, R, L)) - rotate(out, R, L)).abs().max()
    assert error < ROUNDING[dtype] * out.abs().max()
    assert out.isfinite().all()


@each_layer
def test_what_mixes_left_indices_is_not_equivariant(name: str, rng: torch.Generator) -> None:
    L = 4
    layer = LAYERS[name](L, 3, None).double()
    f, R = normal(rng, layer.size, 2, 1), rotations(1, rng)[0]

    def error(of: torch.nn.Module) -> float:
        g = of(rotate(f, R, L)) - rotate(of(f), R, L)
        return float((g.norm() / of(f).norm()).detach())

    class Pointwise(torch.nn.Module):
        def forward(self, coeffs: Tensor) -> Tensor:
            return layer(coeffs).relu()

    class Flipped(torch.nn.Module):
        """m ↦ −m before the layer."""

        def forward(self, coeffs: Tensor) -> Tensor:
            N = layer.orders[0]
            return layer(torch.cat([block(coeffs, l, N).flip(0).flatten(0, 1) for l in range(L)]))

    assert error(layer) < 1e-12
    assert error(Pointwise()) > 0.1
    assert error(Flipped()) > 0.1


# As parts of a network


@each_layer
@pytest.mark.parametrize("local", [False, True])
def test_gradients(name: str, local: bool, rng: torch.Generator) -> None:
    layer = LAYERS[name](3, 2, near_identity(0.5, 1, 2, 2) if local else None).double()
    f = normal(rng, layer.size, 2, 2).requires_grad_()

    def run(coeffs: Tensor, weight: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"weight": weight}, (coeffs,))

    assert torch.autograd.gradcheck(run, (f, layer.weight.detach().clone().requires_grad_()))


@pytest.mark.parametrize("kind", [S2Conv, SO3Conv])
@pytest.mark.parametrize("local", [False, True])
def test_a_new_layer_keeps_the_mean_square(kind: type, local: bool) -> None:
    layer = kind(24, 24, 6, support=near_identity(0.6, 2, 8, 6) if local else None)
    f = torch.randn(layer.size, 24, 16)
    assert 0.7 < float(layer(f).detach().square().sum() / f.square().sum()) < 1.4


@each_layer
def test_precision_survives_a_detour_and_weights_alone_are_saved(name: str) -> None:
    layer = LAYERS[name](4, 3, near_identity(0.5, 1, 4, 3)).double()
    before = [K.detach().clone() for K in layer.kernel()]
    assert list(layer.state_dict()) == ["weight"]
    layer.weight.data.fill_(1)
    exact = [K.detach().clone() for K in layer.kernel()]
    again = layer.float().double().kernel()
    assert all(torch.equal(a, b) for a, b in zip(exact, again, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(before, again, strict=True))


@each_layer
def test_a_layer_that_was_first_used_in_inference_mode_can_be_trained(name: str, rng: torch.Generator) -> None:
    layer = LAYERS[name](4, 3, near_identity(0.5, 1, 4, 3))
    f = normal(rng, layer.size, 2, 2).float()
    with torch.inference_mode():
        layer(f)
    layer(f).square().sum().backward()
    assert layer.weight.grad is not None
    assert float(layer.weight.grad.norm()) > 0


@each_layer
@pytest.mark.parametrize("batch", [0, 1])
def test_small_batches_and_odd_strides(name: str, batch: int, rng: torch.Generator) -> None:
    layer = LAYERS[name](4, 2, None).double()
    f = normal(rng, batch, 2, layer.size)
    assert torch.equal(layer(f.permute(2, 1, 0)), layer(f.permute(2, 1, 0).contiguous()))
    assert layer(f.permute(2, 1, 0)).shape[1:] == (3, batch)


def test_near_identity_covers_a_disc() -> None:
    support = near_identity(0.6, rings=3, angles=5, turns=4)
    assert support.shape == (16 * 4, 3, 3)
    assert (support.mT @ support - torch.eye(3)).abs().max() < 1e-14
    beta = support[:, 1, 1].arccos()
    assert torch.allclose(
        beta.unique().sort().values[[0, -1]], torch.tensor([0.0, 0.6], dtype=torch.float64), atol=1e-7
    )
    turns = ((support.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1).arccos()
    assert float(turns.reshape(-1, 4)[:, 0].max()) == pytest.approx(0.6)  # with γ = −α the turn is β alone


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: S2Conv(1, 2, 4, orders=5), "orders 1 to 5 at bandlimit 4"),
        (lambda: S2Conv(0, 2, 4), "channels 0 to 2"),
        (lambda: SO3Conv(1, 2, 4, orders=0), "orders 0 to 0"),
        (lambda: SO3Conv(1, 2, 0), "bandlimit 0"),
        (lambda: SO3Conv(1, 2, 4, support=torch.zeros(0, 3, 3)), r"\(points, 3, 3\)"),
        (lambda: SO3Conv(1, 2, 4, support=2 * torch.eye(3)[None]), "rotation"),
        (lambda: SO3Conv(1, 2, 4, support=torch.full((1, 3, 3), math.nan)), "rotation"),
        (lambda: near_identity(0), "radius 0"),
        (lambda: near_identity(math.nan), "radius nan"),
        (lambda: near_identity(1, turns=0), "0 turns"),
        (lambda: S2Conv(2, 3, 4)(torch.zeros(9, 2, 1)), r"shape \(16, 2, batch\), got \(9, 2, 1\)"),
        (lambda: S2Conv(2, 3, 4)(torch.zeros(16, 3, 1)), "2 channels"),
        (lambda: SO3Conv(2, 3, 4)(torch.zeros(16, 2, 1)), "bandlimit 4, orders 4"),
        (lambda: S2Conv(2, 3, 4)(torch.zeros(16, 2)), "batch"),
        (lambda: S2Conv(2, 3, 4)(torch.zeros(16, 2, 1).double()), "torch.float64"),
    ],
)  # fmt: skip
def test_bad_input_is_explained(make: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()  # type: ignore[operator]

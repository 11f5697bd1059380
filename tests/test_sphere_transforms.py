"""The Fourier transforms on S² and SO(3): against e3nn point by point, against each other, and where they must fail."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gdl_lab.sphere import S2FFT, SO3FFT, block, desks, rotate, s2, so3, spectrum_size
from gdl_lab.sphere import grid as shared
from tests.group_integrals import float64, harmonics, rotations, wigner

DOUBLE = torch.float64
FFT = S2FFT | SO3FFT
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-13}


def basis(fft: FFT) -> Tensor:
    """Every basis function at every grid point, (*shape, size), from e3nn."""
    from e3nn import o3

    angles = [a.double() for a in fft.grid()]
    with float64():
        if isinstance(fft, S2FFT):
            alpha, beta = torch.meshgrid(*angles, indexing="xy")
            return torch.cat(harmonics(fft.bandlimit, o3.angles_to_xyz(alpha, beta)), -1)
        beta, alpha, gamma = torch.meshgrid(angles[1], angles[0], angles[2], indexing="ij")
        R = o3.angles_to_matrix(alpha, beta, gamma)
        return torch.cat(
            [
                (2 * l + 1) ** 0.5 * D[..., l - min(l, fft.orders - 1) : l + min(l, fft.orders - 1) + 1].flatten(-2)
                for l, D in enumerate(wigner(fft.bandlimit, R))
            ],
            -1,
        )


SMALL = [S2FFT(L, o, dtype=DOUBLE) for L, o in ((1, 1), (5, 1), (6, 1.5))]
SMALL += [SO3FFT(L, o, N, dtype=DOUBLE) for L, o, N in ((1, 1, 1), (4, 1, 4), (5, 1, 1), (5, 1.3, 3))]
each_small = pytest.mark.parametrize("fft", SMALL, ids=repr)
each_kind = pytest.mark.parametrize("fft", [S2FFT(6, dtype=DOUBLE), SO3FFT(4, 1.25, 3, dtype=DOUBLE)], ids=repr)


@st.composite
def transforms(draw: st.DrawFn) -> FFT:
    L = draw(st.integers(1, 13))
    oversample = draw(st.floats(1, 2))
    if draw(st.booleans()):
        return S2FFT(L, oversample, dtype=DOUBLE)
    return SO3FFT(L, oversample, draw(st.one_of(st.none(), st.integers(1, L))), dtype=DOUBLE)


def spectrum(fft: FFT, *batch: int, rng: torch.Generator, dtype: torch.dtype = DOUBLE) -> Tensor:
    return torch.randn(fft.size, *batch, generator=rng, dtype=DOUBLE).to(dtype)


def quadrature(fft: FFT) -> Tensor:
    """Weight of every grid point, of sum one."""
    w = fft.weights.double().view(-1, *(1,) * (len(fft.shape) - 1))
    return w.expand(fft.shape) / math.prod(fft.shape[1:])


# The definition


@each_small
def test_synthesis_of_one_coefficient_is_one_basis_function(fft: FFT) -> None:
    signals = fft.synthesis(torch.eye(fft.size, dtype=DOUBLE))
    assert signals.shape == (*fft.shape, fft.size)
    assert (signals - basis(fft)).abs().max() < 2e-13


@each_small
def test_analysis_is_the_integral_against_one_basis_function(fft: FFT, rng: torch.Generator) -> None:
    signal = torch.randn(*fft.shape, 2, generator=rng, dtype=DOUBLE)  # not band-limited
    points = "ba" if isinstance(fft, S2FFT) else "bag"
    expected = torch.einsum(f"{points},{points}i,{points}z->iz", quadrature(fft), basis(fft), signal)
    assert (fft.analysis(signal) - expected).abs().max() < 1e-13


def test_weights_or_the_order_of_indices_left_out_is_noticed(rng: torch.Generator) -> None:
    """The bounds above can fail: what is usually forgotten misses them by far."""
    fft = SO3FFT(4, dtype=DOUBLE)
    F, f = spectrum(fft, rng=rng), basis(fft)
    flat = torch.einsum("bagi,bag->i", f, fft.synthesis(F)) / math.prod(fft.shape)  # no quadrature weights, no sin β
    assert (flat - F).abs().max() > 0.1
    transposed = torch.cat([block(F, l).mT.flatten() for l in range(4)])
    assert (fft.synthesis(transposed) - f @ F).abs().max() > 0.1
    sine = torch.sin(fft.grid()[1].double())[:, None, None] / math.prod(fft.shape) * math.pi / 2
    assert (torch.einsum("bagi,bag,bag->i", f, sine.expand(fft.shape), f @ F) - F).abs().max() > 1e-3


@given(transforms(), st.sampled_from([(), (1,), (3,), (2, 2), (0,), (3, 0)]), st.sampled_from(list(TOLERANCE)))
def test_analysis_undoes_synthesis(fft: FFT, batch: tuple[int, ...], dtype: torch.dtype) -> None:
    coeffs = spectrum(fft, *batch, rng=torch.Generator().manual_seed(fft.size), dtype=dtype)
    signal = fft.synthesis(coeffs)
    back = fft.analysis(signal)
    assert signal.shape == (*fft.shape, *batch)
    assert signal.dtype == back.dtype == dtype
    assert back.shape == coeffs.shape
    if coeffs.numel():
        assert (back - coeffs).abs().max() < TOLERANCE[dtype] * coeffs.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("fft", [S2FFT(64), S2FFT(65, 1.5), SO3FFT(64), SO3FFT(33, orders=9), S2FFT(128)], ids=repr)
def test_analysis_undoes_synthesis_at_high_bandlimits(fft: FFT, dtype: torch.dtype, rng: torch.Generator) -> None:
    coeffs = spectrum(fft, 2, rng=rng, dtype=dtype)
    error = fft.analysis(fft.synthesis(coeffs)) - coeffs
    assert error.abs().max() < TOLERANCE[dtype] * coeffs.abs().max()


def test_one_degree_too_many_is_not_recovered(rng: torch.Generator) -> None:
    coarse = S2FFT(6, dtype=DOUBLE)
    for L, recovered in ((6, True), (7, True), (8, False)):  # the grid is one degree finer than it need be
        F = spectrum(S2FFT(L), rng=rng)
        error = (coarse.analysis(_sample(F, coarse)) - F[:36]).abs().max()
        assert (error < 1e-13) if recovered else (error > 0.1), L


def _sample(F: Tensor, fft: S2FFT) -> Tensor:
    """The function of a spectrum of any bandlimit at the points of a grid."""
    from e3nn import o3

    alpha, beta = torch.meshgrid(*(a.double() for a in fft.grid()), indexing="xy")
    with float64():
        x = o3.angles_to_xyz(alpha, beta)
    return torch.cat(harmonics(math.isqrt(len(F)), x), -1) @ F


@given(transforms())
def test_parseval(fft: FFT) -> None:
    F = spectrum(fft, rng=torch.Generator().manual_seed(1))
    assert (quadrature(fft) * fft.synthesis(F) ** 2).sum() == pytest.approx(float(F.square().sum()), rel=1e-13)


def test_a_function_on_the_sphere_is_one_on_the_group_without_gamma(rng: torch.Generator) -> None:
    L = 7
    on_sphere, on_group = S2FFT(L), SO3FFT(L, orders=1)
    f = spectrum(on_sphere, 3, rng=rng)
    signal = on_sphere.synthesis(f)
    lifted = signal[:, :, None].expand(-1, -1, on_group.shape[2], -1)
    assert (on_group.synthesis(f) - lifted).abs().max() < 1e-13
    assert (on_group.analysis(lifted) - f).abs().max() < 1e-14


def test_orders_keep_the_middle_columns(rng: torch.Generator) -> None:
    L, N = 6, 3
    full, cut = SO3FFT(L), SO3FFT(L, 2.0, N)
    F = spectrum(cut, 2, rng=rng)
    wide = F.new_zeros(full.size, 2)
    for l in range(L):
        k = min(l, N - 1)
        full.block(wide, l)[:, l - k : l + k + 1] = cut.block(F, l)
    every = slice(None, None, 2)
    fine = SO3FFT(L, 2.0)
    assert (cut.synthesis(F) - fine.synthesis(wide)[:, :, every]).abs().max() < 1e-12
    assert cut.shape[:2] == fine.shape[:2]


@each_kind
def test_rotation_is_resampling(fft: FFT, rng: torch.Generator) -> None:
    """Turning about the polar axis by one step of the grid moves the signal by one column."""
    F, step = spectrum(fft, 2, rng=rng), 2 * math.pi / fft.shape[1]
    c, s = math.cos(step), math.sin(step)
    R = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]], dtype=DOUBLE)
    turned = fft.synthesis(fft.rotate(F, R))
    assert (turned - fft.synthesis(F).roll(1, 1)).abs().max() < 1e-13
    assert (turned - fft.synthesis(F).roll(-1, 1)).abs().max() > 0.1
    assert fft.rotate(F, R).equal(rotate(F, R, fft.bandlimit))


# Derivatives


@given(transforms(), st.sampled_from(list(TOLERANCE)))
def test_analysis_is_the_adjoint_of_weighted_synthesis(fft: FFT, dtype: torch.dtype) -> None:
    rng = torch.Generator().manual_seed(fft.size)
    x, F = torch.randn(*fft.shape, 2, generator=rng, dtype=dtype), torch.randn(fft.size, 2, generator=rng, dtype=dtype)
    left = (fft.analysis(x) * F).sum()
    right = (quadrature(fft)[..., None].to(dtype) * x * fft.synthesis(F)).sum()
    scale = fft.analysis(x).norm() * F.norm()
    assert abs(left - right) < TOLERANCE[dtype] * scale
    # and autograd says the same
    x.requires_grad_()
    (gradient,) = torch.autograd.grad((fft.analysis(x) * F).sum(), x)
    expected = quadrature(fft)[..., None] * fft.synthesis(F.double())
    assert (gradient - expected).abs().max() < TOLERANCE[dtype] * expected.abs().max()


@pytest.mark.parametrize(
    "fft", [SMALL[0], S2FFT(3, dtype=DOUBLE), SO3FFT(2, dtype=DOUBLE), SO3FFT(3, 1.25, 2, dtype=DOUBLE)], ids=repr
)
def test_derivatives_of_every_kind(fft: FFT, rng: torch.Generator) -> None:
    x = torch.randn(*fft.shape, 2, generator=rng, dtype=DOUBLE, requires_grad=True)
    F = spectrum(fft, 2, rng=rng).requires_grad_()
    for function, at in ((fft.analysis, x), (fft.synthesis, F)):
        assert torch.autograd.gradcheck(function, (at,), check_forward_ad=True)
        assert torch.autograd.gradgradcheck(lambda v, f=function: f(v).sin(), (at,))
    jacobian = torch.func.jacrev(fft.synthesis)(F.detach()[:, :1])
    assert (jacobian[..., 0, :, 0] - basis(fft)).abs().max() < 1e-13


@pytest.mark.parametrize("fft", [S2FFT(9, 1.25), SO3FFT(7, 1.25, 5)], ids=repr)
def test_tables_that_were_made_in_inference_mode_can_be_differentiated_through(fft: FFT, rng: torch.Generator) -> None:
    F = spectrum(fft, rng=rng)
    for module in (s2, so3):
        module.plan.cache_clear()
    with torch.inference_mode():
        fft.synthesis(F)
    F.requires_grad_()
    (gradient,) = torch.autograd.grad(fft.synthesis(F).square().sum(), F, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), F)
    assert second.isfinite().all()


@each_kind
def test_a_mapped_axis_is_a_batch_axis(fft: FFT, rng: torch.Generator) -> None:
    F = spectrum(fft, 3, 4, rng=rng)
    for dim in (1, 2):
        mapped = torch.vmap(fft.synthesis, in_dims=dim, out_dims=-1)(F)
        assert (mapped - fft.synthesis(F.movedim(dim, -1))).abs().max() < 1e-14


# Memory, dtype, device


@each_kind
def test_layout_and_blocks_do_not_matter(fft: FFT, rng: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    F = spectrum(fft, 3, 4, rng=rng)
    signal = fft.synthesis(F)
    for other in (F.mT.contiguous().mT, F.repeat_interleave(2, 0)[::2], F.flip(0).flip(0)):
        assert (fft.synthesis(other) - signal).abs().max() < 1e-14
    assert (fft.analysis(signal.transpose(0, 1).contiguous().transpose(0, 1)) - F).abs().max() < 1e-13
    assert (fft.analysis(signal[..., :1, :].expand_as(signal)) - F[:, :1]).abs().max() < 1e-13
    for numbers in (1, 2 * math.prod(fft.shape[1:]) * 12, 5 * math.prod(fft.shape[1:]) * 12):
        monkeypatch.setattr(shared, "BLOCK", numbers)
        assert (fft.synthesis(F) - signal).abs().max() < 1e-14
        assert (fft.analysis(signal) - F).abs().max() < 1e-13


@each_kind
def test_transforms_at_the_same_time_do_not_disturb_each_other(fft: FFT, rng: torch.Generator) -> None:
    spectra = [spectrum(fft, 3, rng=rng) for _ in range(40)]
    signals = [fft.synthesis(F) for F in spectra]
    with ThreadPoolExecutor(8) as threads:
        for F, signal, again in zip(spectra, signals, threads.map(fft.synthesis, spectra), strict=True):
            assert (again - signal).abs().max() < 1e-14
            assert (fft.analysis(signal) - F).abs().max() < 1e-13


@each_kind
def test_autocast_takes_no_digits(fft: FFT, rng: torch.Generator) -> None:
    """A transform has the dtype of its input, in the middle too."""
    F = spectrum(fft, 3, rng=rng).float()
    signal = fft.synthesis(F)
    with torch.autocast("cpu", torch.bfloat16):
        assert ((F[:2].T @ F[:2]).float() - F[:2].T.double() @ F[:2].double()).abs().max() > 1e-4  # control
        assert (fft.synthesis(F) - signal).abs().max() < 1e-5 * signal.abs().max()
        assert (fft.analysis(signal) - F).abs().max() < 1e-5 * F.abs().max()


def test_two_syntheses_in_one_thread_do_not_disturb_each_other(rng: torch.Generator) -> None:
    fft = SO3FFT(6, 1.25, 5)
    spectra = [spectrum(fft, 3, rng=rng) for _ in range(2)]
    signals = [fft.synthesis(F) for F in spectra]
    plan = fft._plan(spectra[0])
    for first, second in zip(plan.parts(spectra[0], False), plan.parts(spectra[1], False), strict=True):
        for parts, signal in ((first, signals[0]), (second, signals[1])):
            assert (parts[0] + parts[1] - signal[: len(parts[0])]).abs().max() < 1e-13


@each_kind
def test_the_memory_of_a_transform_is_kept_within_bounds(
    fft: FFT, rng: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = fft._plan(spectrum(fft, rng=rng)).desks.kept
    kept.clear()
    for batch in range(1, 2 * desks.BATCHES):
        F = spectrum(fft, batch, rng=rng)
        for _ in range(3):
            assert (fft.analysis(fft.synthesis(F)) - F).abs().max() < 1e-13
        assert 0 < len(kept) <= desks.BATCHES
        assert all(len(free) == 1 for free in kept.values())
    kept.clear()
    monkeypatch.setattr(desks, "KEPT", 1)
    assert (fft.analysis(fft.synthesis(F)) - F).abs().max() < 1e-13
    assert not kept


@each_kind
def test_input_is_left_alone(fft: FFT, rng: torch.Generator) -> None:
    F = spectrum(fft, 2, rng=rng)
    kept, signal = F.clone(), fft.synthesis(F)
    before = signal.clone()
    fft.analysis(signal)
    assert F.equal(kept)
    assert signal.equal(before)


@each_kind
def test_the_default_dtype_is_neither_needed_nor_touched(fft: FFT, rng: torch.Generator) -> None:
    assert torch.get_default_dtype() == torch.float32
    F = spectrum(fft, rng=rng)
    exact = fft.synthesis(F)
    with float64():
        assert (fft.synthesis(F) - exact).abs().max() == 0
    assert (fft.synthesis(F.float()) - exact).abs().max() < 1e-5
    kind = type(fft)
    assert [a.dtype for a in kind(3).grid()] == [torch.float32] * len(fft.shape)
    assert [a.dtype for a in fft.grid()] == [DOUBLE] * len(fft.shape)


def test_the_grid_is_even_and_ascends_from_the_pole() -> None:
    for fft in (S2FFT(5, 1.3), SO3FFT(5, 1.3, 2, dtype=DOUBLE)):
        assert all(n % 2 == 0 for n in fft.shape)
        alpha, beta, *gamma = fft.grid()
        assert (len(beta), len(alpha), *map(len, gamma)) == fft.shape
        for circle in (alpha, *gamma):
            assert circle[0] == 0
            assert circle[1] == pytest.approx(2 * math.pi / len(circle))
        assert (beta.diff() > 0).all()
        assert float(fft.weights.sum()) == pytest.approx(1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", TOLERANCE)
@each_kind
def test_a_gpu_gives_the_same(fft: FFT, dtype: torch.dtype, rng: torch.Generator) -> None:
    F = spectrum(fft, 5, rng=rng, dtype=dtype)
    signal = fft.synthesis(F.cuda())
    assert (signal.cpu() - fft.synthesis(F)).abs().max() < 100 * TOLERANCE[dtype]
    assert (fft.analysis(signal).cpu() - F).abs().max() < 10 * TOLERANCE[dtype]


# What is refused


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: S2FFT(0), "bandlimit of at least 1"),
        (lambda: SO3FFT(2.0), "bandlimit of at least 1"),
        (lambda: SO3FFT(True), "bandlimit of at least 1"),
        (lambda: SO3FFT(4, orders=5), "orders from 1 to the bandlimit 4, got 5"),
        (lambda: SO3FFT(4, orders=0), "orders from 1"),
        (lambda: S2FFT(4, 0.9), "oversample by 1 or more"),
        (lambda: S2FFT(4, math.nan), "oversample by 1 or more"),
        (lambda: S2FFT(4, math.inf), "oversample by 1 or more"),
        (lambda: S2FFT(4).analysis(torch.zeros(4, 7, 2)), r"shape \(4, 8, \*batch\), got \(4, 7, 2\)"),
        (lambda: S2FFT(4).analysis(torch.zeros(8, 4)), r"got \(8, 4\)"),
        (lambda: S2FFT(4).synthesis(torch.zeros(15, 2)), r"shape \(16, \*batch\), got \(15, 2\)"),
        (lambda: SO3FFT(3).analysis(torch.zeros(4, 6, 5, 2)), r"got \(4, 6, 5, 2\)"),
        (lambda: SO3FFT(3, orders=2).synthesis(torch.zeros(35, 2)), r"shape \(25, \*batch\)"),
        (lambda: SO3FFT(3).synthesis([0.0] * 35), "got list"),
        (lambda: SO3FFT(3).synthesis(torch.zeros(35, dtype=torch.int64)), "float32 or float64, got torch.int64"),
        (lambda: SO3FFT(3).synthesis(torch.zeros(35, dtype=torch.complex64)), "float32 or float64"),
        (lambda: SO3FFT(3).rotate(torch.zeros(36), torch.eye(3)), r"shape \(35, \*batch\)"),
        (lambda: SO3FFT(3).block(torch.zeros(35), 3), "no degree 3"),
        (lambda: S2FFT(3).block(torch.zeros(35), 1), r"shape \(9, \*batch\)"),
    ],
)
def test_bad_input_is_explained(make: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()  # type: ignore[operator]


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.sampled_from([math.nan, math.inf, -math.inf]))
def test_one_number_that_is_none_is_found_wherever_it_stands(place: int, value: float) -> None:
    for fft in (S2FFT(4), SO3FFT(3, orders=2)):
        for shape, transform in (((fft.size,), fft.synthesis), (fft.shape, fft.analysis)):
            x = torch.zeros(*shape, 2)
            x.view(-1)[place % x.numel()] = value
            with pytest.raises(ValueError, match="NaN, infinity"):
                transform(x)


def test_sizes() -> None:
    assert SO3FFT(10).size == spectrum_size(10) == 1330
    assert SO3FFT(10, orders=4).size == spectrum_size(10, 4)
    assert (S2FFT(10).size, S2FFT(10).shape, SO3FFT(9, 1.5, 4).shape) == (100, (10, 20), (14, 28, 12))
    assert torch.equal(rotate(torch.ones(1), rotations(1, torch.Generator())[0], 1), torch.ones(1))

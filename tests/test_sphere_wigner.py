"""Quadrature, Wigner matrices and what acts on a spectrum degree by degree, against e3nn and plain integrals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gdl_lab.sphere import block, gauss_legendre, integrate_so2, integrate_so3, rotate, spectrum_size, wigner_D
from gdl_lab.sphere.wigner import angles, wigner_d
from tests.group_integrals import harmonics, rotation_quadrature, rotations, sphere_quadrature, wigner

DOUBLE = torch.float64


def about_y(angle: float) -> torch.Tensor:
    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]], dtype=DOUBLE)


@given(st.integers(1, 40))
def test_n_nodes_integrate_degrees_below_2n_and_not_2n(n: int) -> None:
    beta, weights = gauss_legendre(n)
    x = np.cos(beta)
    for degree in range(2 * n):
        exact = 0 if degree % 2 else 1 / (degree + 1)
        assert abs((weights * x**degree).sum() - exact) < 1e-15
    # the remainder at degree 2n is the mean square of the monic Legendre polynomial
    error = 1 / (2 * n + 1) - (weights * x ** (2 * n)).sum()
    monic = 2.0**n * math.factorial(n) ** 2 / math.factorial(2 * n)
    assert error == pytest.approx(monic**2 / (2 * n + 1), rel=1e-3, abs=1e-17)


def test_nodes_ascend_from_the_pole_and_mirror_each_other() -> None:
    beta, weights = gauss_legendre(128)
    assert (np.diff(beta) > 0).all()
    assert 0 < beta[0] < 0.02
    np.testing.assert_array_equal(weights, weights[::-1])
    z, w = np.polynomial.legendre.leggauss(128)
    np.testing.assert_allclose(np.cos(beta)[::-1].astype(float), z, atol=1e-15)
    np.testing.assert_allclose(weights[::-1].astype(float), w / 2, atol=1e-14)


@pytest.mark.parametrize(("m", "n"), [(0, 0), (1, 0), (0, 7), (5, 5), (20, 11), (3, 40), (47, 47)])
def test_the_tables_are_orthogonal_in_the_degree(m: int, n: int) -> None:
    L, (beta, weights) = 48, gauss_legendre(48)
    dc, ds = (np.stack([t[m, n] for t in tables]) for tables in zip(*wigner_d(L, L, beta), strict=True))
    # the mean of (cos mα cos nγ dc − sin mα sin nγ ds)² over α and γ is (dc² + ds²) / 4 where both turn
    share = (1 if m == 0 else 0.5) * (1 if n == 0 else 0.5)
    norm = (2 * np.arange(L) + 1) ** 0.5
    gram = share * norm[:, None] * norm * ((dc * weights.astype(float)) @ dc.T + (ds * weights.astype(float)) @ ds.T)
    np.testing.assert_allclose(gram, np.diag(np.arange(L) >= max(m, n)), atol=1e-14)


def test_wigner_matrices_are_those_of_e3nn(rng: torch.Generator) -> None:
    R = rotations(20, rng)
    for l, (ours, theirs) in enumerate(zip(wigner_D(13, R), wigner(13, R), strict=True)):
        assert ours.shape == (20, 2 * l + 1, 2 * l + 1)
        assert (ours - theirs).abs().max() < 1e-13


@pytest.mark.parametrize("angle", [0.0, 0.3, math.pi, -2.0])
@pytest.mark.parametrize("pole", [1, -1])
def test_rotations_that_keep_the_axis_are_no_exception(angle: float, pole: int, rng: torch.Generator) -> None:
    R = about_y(angle) @ torch.diag(torch.tensor([1.0, pole, pole], dtype=DOUBLE))
    x = torch.randn(7, 3, generator=rng, dtype=DOUBLE)
    for D, Y, moved in zip(wigner_D(9, R), harmonics(9, x), harmonics(9, x @ R.T), strict=True):
        assert (moved - Y @ D.T).abs().max() < 1e-13


def test_high_degrees_stay_orthogonal_and_multiply(rng: torch.Generator) -> None:
    R, S = rotations(2, rng)
    for l, (a, b, ab) in enumerate(zip(wigner_D(64, R), wigner_D(64, S), wigner_D(64, R @ S), strict=True)):
        assert (a @ a.T - torch.eye(2 * l + 1, dtype=DOUBLE)).abs().max() < 1e-13
        assert (a @ b - ab).abs().max() < 1e-12  # the angles of RS are rounded once more, and l multiplies that


def test_angles_rebuild_the_rotation(rng: torch.Generator) -> None:
    R = torch.cat([rotations(50, rng), about_y(1.0)[None], torch.eye(3, dtype=DOUBLE)[None]])
    alpha, beta, gamma = angles(R)
    c, s, zero, one = torch.cos(beta), torch.sin(beta), torch.zeros_like(beta), torch.ones_like(beta)
    about_x = torch.stack([one, zero, zero, zero, c, -s, zero, s, c], -1).view(-1, 3, 3)
    turns = [torch.stack([about_y(float(x)) for x in a]) for a in (alpha, gamma)]
    assert (turns[0] @ about_x @ turns[1] - R).abs().max() < 1e-14


@given(st.integers(1, 8), st.integers(1, 8))
def test_blocks_tile_the_spectrum(L: int, N: int) -> None:
    N = min(L, N)
    coeffs = torch.arange(spectrum_size(L, N))
    seen = [block(coeffs, l, N) for l in range(L)]
    assert torch.cat([b.flatten() for b in seen]).equal(coeffs)
    assert [b.shape for b in seen] == [(2 * l + 1, 2 * min(l, N - 1) + 1) for l in range(L)]
    assert spectrum_size(L, 1) == L**2
    assert spectrum_size(L) == spectrum_size(L, L) == L * (4 * L**2 - 1) // 3
    block(coeffs, L - 1, N).zero_()  # a view
    assert coeffs[-1] == 0


def evaluate_s2(coeffs: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    L = math.isqrt(len(coeffs))
    return torch.cat(harmonics(L, x), -1) @ coeffs


def evaluate_so3(coeffs: torch.Tensor, L: int, N: int, R: torch.Tensor) -> torch.Tensor:
    return sum(
        (2 * l + 1) ** 0.5 * torch.einsum("pmn,mn...->p...", columns(D, min(l, N - 1)), block(coeffs, l, N))
        for l, D in enumerate(wigner(L, R))
    )


def columns(D: torch.Tensor, k: int) -> torch.Tensor:
    middle = D.shape[-1] // 2
    return D[..., middle - k : middle + k + 1]


def test_a_rotated_spectrum_is_the_function_at_the_turned_back_point(rng: torch.Generator) -> None:
    L, N = 5, 3
    R, S = rotations(1, rng)[0], rotations(9, rng)
    f = torch.randn(L * L, 2, generator=rng, dtype=DOUBLE)
    x = S[:, :, 1]
    assert (evaluate_s2(rotate(f, R, L), x) - evaluate_s2(f, x @ R)).abs().max() < 1e-12  # x @ R = R⁻¹x
    assert (evaluate_s2(rotate(f, R, L), x) - evaluate_s2(f, x @ R.T)).abs().max() > 0.1
    F = torch.randn(spectrum_size(L, N), 2, generator=rng, dtype=DOUBLE)
    assert (evaluate_so3(rotate(F, R, L), L, N, S) - evaluate_so3(F, L, N, R.T @ S)).abs().max() < 1e-12
    assert (evaluate_so3(rotate(F, R, L), L, N, S) - evaluate_so3(F, L, N, S @ R.T)).abs().max() > 0.1


def test_one_rotation_for_each_of_the_last_axis(rng: torch.Generator) -> None:
    L, R = 4, rotations(3, rng)
    F = torch.randn(spectrum_size(L, 2), 5, 3, generator=rng, dtype=DOUBLE)
    together = rotate(F, R, L)
    for z in range(3):
        assert (together[..., z] - rotate(F[..., z], R[z], L)).abs().max() < 1e-14
    assert (rotate(together, R.mT, L) - F).abs().max() < 1e-13


def test_the_directional_cut_commutes_with_rotations_and_a_cut_of_m_does_not(rng: torch.Generator) -> None:
    L, N, R = 6, 2, rotations(1, rng)[0]
    F = torch.randn(spectrum_size(L), generator=rng, dtype=DOUBLE)

    def cut(F: torch.Tensor) -> torch.Tensor:
        return torch.cat([columns(block(F, l), min(l, N - 1)).flatten() for l in range(L)])

    def cut_left(F: torch.Tensor) -> torch.Tensor:
        return torch.cat([columns(block(F, l).T, min(l, N - 1)).T.flatten() for l in range(L)])

    assert (rotate(cut(F), R, L) - cut(rotate(F, R, L))).abs().max() < 1e-14
    kept = torch.zeros_like(F)
    for l in range(L):
        k = min(l, N - 1)
        block(kept, l)[l - k : l + k + 1] = block(F, l)[l - k : l + k + 1]
    assert (cut_left(rotate(kept, R, L)) - cut_left(rotate(F, R, L))).abs().max() > 0.1


def test_gradients_of_a_rotation(rng: torch.Generator) -> None:
    F = torch.randn(spectrum_size(3, 2), 2, generator=rng, dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(lambda F: rotate(F, rotations(1, rng.manual_seed(1))[0], 3), (F,))


def test_the_integrals_are_means(rng: torch.Generator) -> None:
    L, N = 4, 3
    F = torch.randn(spectrum_size(L, N), 2, generator=rng, dtype=DOUBLE)
    R, w = rotation_quadrature(L)
    assert (w @ evaluate_so3(F, L, N, R) - integrate_so3(F)).abs().max() < 1e-12
    turn = torch.stack([about_y(2 * math.pi * k / 8) for k in range(8)])
    S = rotations(5, rng)
    fibre = evaluate_so3(F, L, N, (S[:, None] @ turn).flatten(0, 1)).view(5, 8, 2).mean(1)
    f = integrate_so2(F, L)
    assert (evaluate_s2(f, S[:, :, 1]) - fibre).abs().max() < 1e-12
    x, w = sphere_quadrature(L)
    assert (w @ evaluate_s2(f, x) - integrate_so3(f)).abs().max() < 1e-12


def test_float32_gives_float32_to_its_last_digits(rng: torch.Generator) -> None:
    R = rotations(4, rng)
    assert torch.get_default_dtype() == torch.float32
    for l, D in enumerate(wigner_D(9, R.float())):
        assert D.dtype == torch.float32
        assert (D - wigner_D(9, R)[l]).abs().max() < 2e-6
    F = torch.randn(spectrum_size(9), 4, generator=rng)
    error = rotate(F, R.float(), 9) - rotate(F.double(), R, 9)
    assert error.abs().max() < 1e-5


@pytest.mark.parametrize(
    ("R", "said"),
    [
        (torch.eye(2), r"shape \(3, 3\)"),
        (torch.eye(3, dtype=torch.int64), "float tensor"),
        (2 * torch.eye(3), "differs from 1"),
        (torch.full((3, 3), math.nan), "differs from 1"),
        (-torch.eye(3), "mirror image"),
        (torch.eye(3).repeat(2, 1, 1), "one rotation for each"),
        (torch.eye(3).repeat(3, 3, 1, 1), "one rotation for each"),
        ([[1, 0, 0]], "got list"),
    ],
)
def test_what_is_no_rotation(R: torch.Tensor, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        rotate(torch.zeros(9, 3), R, 3)


def test_sizes_that_fit_no_bandlimit() -> None:
    with pytest.raises(ValueError, match=r"bandlimit 3, 9 .* to 35 rows, got 10"):
        rotate(torch.zeros(10), torch.eye(3), 3)
    with pytest.raises(ValueError, match="got 10 rows"):
        integrate_so2(torch.zeros(10), 3)
    for l in (3, -1):
        with pytest.raises(ValueError, match=f"no degree {l}"):
            block(torch.zeros(9), l, 1)

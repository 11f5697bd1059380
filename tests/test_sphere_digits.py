"""Digits on the sphere: where each pixel lands, how they turn, and what the published defects do."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from e3nn import o3
from torch import Tensor

from gdl_lab import data
from gdl_lab.sphere.digits import CANONICAL, charts, digits_on_sphere, four_digits_on_sphere
from gdl_lab.symmetry import random_rotations

DIGITS = data.load("digits8", "test").x[:6]


def gauss_legendre(n: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """The grid ``(alpha, beta)`` of n latitudes, north first, and the weights of the latitudes, from NumPy."""
    x, w = np.polynomial.legendre.leggauss(n)
    alpha = torch.arange(2 * n, dtype=torch.float64) * math.pi / n
    return (alpha, torch.from_numpy(np.arccos(x[::-1]).copy())), torch.from_numpy(w[::-1].copy() / 2)


GRID, WEIGHTS = gauss_legendre(24)


def xyz(grid: tuple[Tensor, Tensor]) -> Tensor:
    """The grid's points by e3nn, shape (n_beta, n_alpha, 3)."""
    beta, alpha = torch.meshgrid(grid[1], grid[0], indexing="ij")
    return o3.angles_to_xyz(alpha, beta)


def ramp(a: float, b: float, c: float, side: int = 21) -> Tensor:
    """A picture that is a + b u + c v, which bilinear sampling reproduces exactly."""
    u = torch.linspace(-1, 1, side, dtype=torch.float64)
    return (a + b * u[None, :] - c * u[:, None])[None]


def test_the_canonical_pose_is_upright_in_the_middle_of_the_chart() -> None:
    alpha, beta = torch.tensor([math.pi - 0.3, math.pi, math.pi + 0.3]), torch.tensor([1.2, 1.5, math.pi / 2]).double()
    signal = digits_on_sphere(ramp(0.3, 0.2, 0.1), (alpha.double(), beta))[..., 0]
    assert float(signal[2, 1]) == pytest.approx(0.3), "the centre"
    # a stereographic circle of angle ρ about the centre has the radius tan(ρ/2)
    assert float(signal[2, 2]) == pytest.approx(0.3 + 0.2 * math.tan(0.15), abs=1e-6), "to the right: azimuth grows"
    assert float(signal[2, 0]) == pytest.approx(0.3 - 0.2 * math.tan(0.15), abs=1e-6)
    up = math.pi / 2 - 1.2
    assert float(signal[0, 1]) == pytest.approx(0.3 + 0.1 * math.tan(up / 2), abs=1e-6), "upwards: β falls"


@pytest.mark.parametrize("size", [1.0, 0.41])
def test_every_point_has_the_grey_value_of_its_stereographic_image(size: float, rng: torch.Generator) -> None:
    R = random_rotations(4, rng)
    signal = digits_on_sphere(ramp(0.4, 0.3, -0.2).expand(4, -1, -1), GRID, R, size=size)
    # a second road: the inverse projection carries (u, v) to 2(u right + v up)/(1 + u² + v²) + …, so solve for it
    for i in range(4):
        right, up, centre = (R[i] @ CANONICAL).T
        points = xyz(GRID).double()
        u, v = (2 * points @ axis / (points + centre).square().sum(-1) / size for axis in (right, up))
        inside = (u.abs() < 1) & (v.abs() < 1)
        assert inside.any()
        assert torch.allclose(signal[..., i][inside], (0.4 + 0.3 * u - 0.2 * v)[inside], atol=1e-12)
        assert float(signal[..., i][(u.abs() > 1.11) | (v.abs() > 1.11)].abs().max()) == 0, "nothing outside the square"


def test_a_turned_digit_is_the_digit_at_the_turned_back_points(rng: torch.Generator) -> None:
    R = random_rotations(1, rng)[0]
    grid, _ = gauss_legendre(6)
    turned = digits_on_sphere(DIGITS[:1].double(), grid, R)[..., 0].flatten()
    back = xyz(grid).double().reshape(-1, 3) @ R  # R⁻¹x as rows
    alpha, beta = o3.xyz_to_angles(back)
    there = digits_on_sphere(DIGITS[:1].double(), (alpha, beta))[..., 0].diagonal()
    assert torch.allclose(turned, there, atol=1e-9)
    wrong = digits_on_sphere(DIGITS[:1].double(), grid, R.T)[..., 0].flatten()
    assert not torch.allclose(wrong, there, atol=1e-2)


def test_a_turn_about_the_axis_moves_the_columns() -> None:
    turn = o3.matrix_y(torch.tensor(5 * math.pi / 24, dtype=torch.float64))
    turned = digits_on_sphere(DIGITS.double(), GRID, turn)
    assert torch.allclose(turned, digits_on_sphere(DIGITS.double(), GRID).roll(5, 1), atol=1e-12)


def test_areas_keep_the_size_of_a_digit_in_any_pose_and_pixels_do_not(rng: torch.Generator) -> None:
    spread = {}
    signals = digits_on_sphere(DIGITS[:1].expand(200, -1, -1, -1), GRID, random_rotations(200, rng)).double()
    for name, weights in (("area", WEIGHTS), ("pixels", torch.full((24,), 1 / 24, dtype=torch.float64))):
        size = torch.einsum("b,ban->n", weights, signals) / 48
        spread[name] = float(size.std() / size.mean())
    assert spread["area"] < 0.02
    assert spread["pixels"] > 0.1


def published(picture: np.ndarray, rx: np.ndarray, ry: np.ndarray) -> np.ndarray:
    """The sampler of the published code in words: a loop over points, four taps each, weights by distance."""
    side = picture.shape[0]
    out = np.zeros(rx.shape)
    for place in np.ndindex(rx.shape):
        x, y = rx[place] * (side - 1), ry[place] * (side - 1)
        ix, iy = math.floor(x), math.floor(y)
        for jx, wx in ((ix - 1, ix + 1 - x), (ix + 1, x - (ix - 1))):
            for jy, wy in ((iy - 1, iy + 1 - y), (iy + 1, y - (iy - 1))):
                if 0 <= jx < side and 0 <= jy < side:
                    out[place] += wx * wy * picture[jy, jx]
    return (out - out.min()) / (out.max() - out.min())


def test_the_published_stencil_is_reproduced(rng: torch.Generator) -> None:
    R = random_rotations(1, rng)
    picture = DIGITS[0, 0].double()
    ours = digits_on_sphere(picture[None], GRID, R, stencil=2)[..., 0]
    frame = R[0] @ CANONICAL
    right, up, centre = (xyz(GRID).double() @ frame).unbind(-1)
    u, v = right / (1 + centre), up / (1 + centre)
    theirs = published(picture.numpy(), ((u + 1) / 2).numpy(), ((1 - v) / 2).numpy())
    assert np.allclose(ours.numpy(), theirs, atol=1e-9)
    assert not torch.allclose(ours, digits_on_sphere(picture[None], GRID, R)[..., 0], atol=0.2)


def test_the_published_stencil_jumps_and_the_true_one_does_not() -> None:
    alpha = torch.linspace(math.pi - 1, math.pi + 1, 20_001, dtype=torch.float64)
    beta = torch.tensor([math.pi / 2 - 0.05], dtype=torch.float64)
    jump = {
        stencil: float(digits_on_sphere(DIGITS[:1].double(), (alpha, beta), stencil=stencil).diff(dim=1).abs().max())
        for stencil in (1, 2)
    }
    assert jump[1] < 1e-3
    assert jump[2] > 0.1


def test_four_digits_share_a_sphere_without_overlap(rng: torch.Generator) -> None:
    pictures = torch.nn.functional.pad(torch.ones(3, 4, 20, 20), (4, 4, 4, 4))
    R = random_rotations(3, rng)
    four = four_digits_on_sphere(pictures, GRID, R)
    assert four.shape == (24, 48, 3, 4)
    assert int(((four > 0).sum(-1) > 1).sum()) == 0
    # the second is a quarter turn about the polar axis from the first, before the common rotation
    turn = o3.matrix_y(torch.tensor(math.pi / 2, dtype=torch.float64))
    digits = torch.rand(3, 4, 9, 9, generator=rng, dtype=torch.float64)
    alone = digits_on_sphere(digits[:, 1], GRID, R @ turn, size=0.41)
    assert torch.allclose(four_digits_on_sphere(digits, GRID, R)[..., 1], alone, atol=1e-9)
    with pytest.raises(ValueError, match=r"\(batch, 4, height, width\), got \(3, 3, 28, 28\)"):
        four_digits_on_sphere(pictures[:, :3], GRID)


def test_dtype_batch_and_layout() -> None:
    for dtype in (torch.float32, torch.float64):
        signal = digits_on_sphere(DIGITS.to(dtype), GRID)
        assert signal.shape == (24, 48, 6)
        assert signal.dtype == dtype
    assert torch.equal(digits_on_sphere(DIGITS, GRID), digits_on_sphere(DIGITS[:, 0], GRID))
    assert digits_on_sphere(DIGITS[:0], GRID).shape == (24, 48, 0)
    assert digits_on_sphere(DIGITS[:0], GRID, stencil=2).shape == (24, 48, 0)
    one = digits_on_sphere(DIGITS[2:3], GRID)
    assert torch.allclose(one, digits_on_sphere(DIGITS, GRID)[..., 2:3])
    assert torch.equal(charts(digits_on_sphere(DIGITS, GRID))[2, 0], one[..., 0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": torch.ones(3, 8)}, r"got torch.float32 of shape \(3, 8\)"),
        ({"images": torch.ones(3, 2, 8, 8)}, r"\(3, 2, 8, 8\)"),
        ({"images": torch.ones(3, 8, 8, dtype=torch.uint8)}, "torch.uint8"),
        ({"images": torch.full((1, 8, 8), math.nan)}, "NaN"),
        ({"grid": GRID[:1]}, "alpha, beta"),
        ({"grid": (GRID[0], torch.tensor([math.nan]))}, "finite"),
        ({"grid": (GRID[0][None], GRID[1])}, "two finite vectors"),
        ({"rotations": torch.eye(3).expand(4, 3, 3)}, r"\(6, 3, 3\), got \(4, 3, 3\)"),
        ({"rotations": 2 * torch.eye(3)}, "differs from 1"),
        ({"rotations": -torch.eye(3)}, "mirror image"),
        ({"rotations": torch.full((3, 3), math.nan)}, "differs from 1"),
        ({"stencil": 3}, "stencil 1 or 2"),
        ({"size": 0.0}, "size"),
    ],
)
def test_what_cannot_be_painted(change: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        digits_on_sphere(**{"images": DIGITS, "grid": GRID, **change})

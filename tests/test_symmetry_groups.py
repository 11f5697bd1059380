"""Groups and their actions: the laws of a group, functions that move with their points, rotations between pixels."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from gdl_lab.symmetry import C1, C2, C4, D4, PlaneGroup, permute, random_permutations, random_rotations, rotate

GROUPS = (C1, C2, C4, D4)
each_group = pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)


def moved_by_points(group: PlaneGroup, g: int, f: Tensor) -> Tensor:
    """f(g⁻¹x) point by point: the value at x goes to gx, with the middle of the picture as the origin."""
    height, width = f.shape[-2:]
    A = group.matrix(g).double()
    sides = (A.abs() @ torch.tensor([height, width]).double()).int().tolist()
    out = torch.full((*f.shape[:-2], *sides), math.nan, dtype=f.dtype)
    old, new = (torch.tensor([(a - 1) / 2, (b - 1) / 2]).double() for a, b in ((height, width), sides))
    for i, j in product(range(height), range(width)):
        k, m = (A @ (torch.tensor([i, j]).double() - old) + new).round().int().tolist()
        out[..., k, m] = f[..., i, j]
    return out


@each_group
def test_it_is_a_group(group: PlaneGroup) -> None:
    assert list(group) == list(range(len(group)))
    assert len(group) == {"C1": 1, "C2": 2, "C4": 4, "D4": 8}[group.name]
    for g, h, k in product(group, repeat=3):
        assert group.compose(group.compose(g, h), k) == group.compose(g, group.compose(h, k))
    for g in group:
        assert group.compose(0, g) == group.compose(g, 0) == g
        assert group.compose(g, group.inverse(g)) == group.compose(group.inverse(g), g) == 0
    assert {group.compose(g, h) for g, h in product(group, repeat=2)} == set(group)


def test_only_mirrors_do_not_commute() -> None:
    def abelian(group: PlaneGroup) -> bool:
        return all(group.compose(g, h) == group.compose(h, g) for g, h in product(group, repeat=2))

    assert [abelian(group) for group in GROUPS] == [True, True, True, False]


@each_group
def test_matrices_and_actions_are_representations(group: PlaneGroup, rng: torch.Generator) -> None:
    x = torch.randn(2, 3, 4, 5, generator=rng)
    f = torch.randn(2, 3, len(group), 4, 5, generator=rng)
    for g, h in product(group, repeat=2):
        gh = group.compose(g, h)
        assert torch.equal(group.matrix(g) @ group.matrix(h), group.matrix(gh))
        assert torch.equal(group.on_pictures(g, group.on_pictures(h, x)), group.on_pictures(gh, x))
        assert torch.equal(group.on_maps(g, group.on_maps(h, f)), group.on_maps(gh, f))


@each_group
def test_functions_move_with_their_points(group: PlaneGroup, rng: torch.Generator) -> None:
    x = torch.randn(2, 4, 5, generator=rng)
    f = torch.randn(2, len(group), 5, 4, generator=rng)
    for g in group:
        assert torch.equal(group.on_pictures(g, x), moved_by_points(group, g, x))
        wanted = torch.empty_like(group.on_maps(g, f))
        for h in group:
            wanted[:, group.compose(g, h)] = moved_by_points(group, g, f[:, h])
        assert torch.equal(group.on_maps(g, f), wanted)


def test_the_first_turn_is_anticlockwise() -> None:
    picture = torch.tensor([[0.0, 1], [0, 0]])  # a dot, top right
    assert torch.equal(C4.on_pictures(1, picture), torch.tensor([[1.0, 0], [0, 0]]))
    assert torch.equal(D4.on_pictures(4, picture), torch.tensor([[1.0, 0], [0, 0]]))
    assert torch.equal(C2.on_pictures(1, picture), torch.tensor([[0.0, 0], [1, 0]]))


def test_what_is_no_element_or_no_function_of_the_group_is_refused() -> None:
    f = torch.zeros(1, 4, 3, 3)
    for g in (-1, 4):
        with pytest.raises(ValueError, match=r"elements of C4 are 0 … 3, got"):
            C4.on_pictures(g, f)
        with pytest.raises(ValueError, match="elements of C4"):
            C4.inverse(g)
    with pytest.raises(ValueError, match=r"expected functions \(…, 8, height, width\) of D4, got \(1, 4, 3, 3\)"):
        D4.on_maps(1, f)
    with pytest.raises(ValueError, match="1, 2 or 4, got 3"):
        PlaneGroup("C3", 3)


# Permutations


def test_permutations_act_from_the_left(rng: torch.Generator) -> None:
    g, h = random_permutations(2, 6, rng)
    x, A = torch.randn(2, 6, 3, generator=rng), torch.randn(2, 6, 6, generator=rng)
    assert torch.equal(permute(g, permute(h, x)), permute(g[h], x))
    moved = permute(g, x)
    assert all(torch.equal(moved[:, g[i]], x[:, i]) for i in range(6))
    P = torch.zeros(6, 6)
    P[g, torch.arange(6)] = 1
    assert torch.allclose(permute(g, A, 1, 2), P @ A @ P.T)
    assert random_permutations(100, 6, rng).sort(1).values.eq(torch.arange(6)).all()


@pytest.mark.parametrize("n", [4, 9])
def test_a_permutation_of_another_number_is_refused(n: int) -> None:
    with pytest.raises(ValueError, match=r"expected a permutation of 6 entries, got shape \(\d,\)"):
        permute(torch.arange(n), torch.zeros(1, 6))


# Rotations


@pytest.mark.parametrize("dim", [2, 3, 5])
def test_rotations_are_uniform(dim: int) -> None:
    rng = torch.Generator().manual_seed(dim)
    R = random_rotations(4000, rng, dim=dim)
    assert (R @ R.mT - torch.eye(dim)).abs().max() < 1e-12
    assert (torch.linalg.det(R) - 1).abs().max() < 1e-12
    assert R.mean(0).abs().max() < 6 / (4000 * dim) ** 0.5  # first and second moments of Haar's measure
    assert (R.square().mean(0) - 1 / dim).abs().max() < 0.06
    traces = R.diagonal(dim1=1, dim2=2).sum(1)
    assert float(traces.square().mean()) == pytest.approx(1 if dim > 2 else 2, abs=0.25)
    mirrored = random_rotations(4000, rng, dim=dim, reflections=True)
    assert float(torch.linalg.det(mirrored).mean()) == pytest.approx(0, abs=0.08)
    assert random_rotations(2, rng, dtype=torch.float32).dtype == torch.float32


def test_angles_of_rotations_of_space_have_the_density_of_haar() -> None:
    """(1 − cos θ)/π, by which P(θ < π/2) = 1/2 − 1/π."""
    n = 20_000
    R = random_rotations(n, torch.Generator().manual_seed(0))
    small = (R.diagonal(dim1=1, dim2=2).sum(1) - 1 > 0).double().mean()  # the trace is 1 + 2 cos θ
    assert abs(float(small) - (0.5 - 1 / math.pi)) < 4 * 0.39 / math.sqrt(n)


def test_no_fewer_than_no_rotations() -> None:
    assert random_rotations(0).shape == (0, 3, 3)
    for count, dim in ((-1, 3), (2, 0)):
        with pytest.raises(ValueError, match=f"got {count} and {dim}"):
            random_rotations(count, dim=dim)


def test_the_plain_qr_would_not_be_uniform() -> None:
    noise = torch.randn(4000, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    Q = torch.linalg.qr(noise).Q
    assert Q.mean(0).abs().max() > 0.2


def test_right_angles_between_pixels_are_exact(rng: torch.Generator) -> None:
    for side in (7, 8):
        x = torch.randn(3, 2, side, side, generator=rng, dtype=torch.float64)
        for r in C4:
            assert (rotate(x, r * math.pi / 2) - C4.on_pictures(r, x)).abs().max() < 1e-12
        own = rotate(x, torch.tensor([0.0, math.pi / 2, math.pi], dtype=torch.float64))
        assert (own[1] - C4.on_pictures(1, x)[1]).abs().max() < 1e-12
        assert (own[2] - C4.on_pictures(2, x)[2]).abs().max() < 1e-12


def test_a_small_turn_is_anticlockwise_and_smooth_pictures_survive_it() -> None:
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 41, dtype=torch.float64)] * 2, indexing="ij")

    def bump(angle: float) -> Tensor:
        u, v = x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)
        return torch.exp(-((u - 0.3) ** 2 + 3 * v**2) / 0.1)[None, None]

    assert (rotate(bump(0), 0.3) - bump(0.3)).abs().max() < 0.05
    assert (rotate(bump(0), 0.3) - bump(-0.3)).abs().max() > 0.3
    assert (rotate(rotate(bump(0), 0.3), -0.3) - bump(0)).abs().max() > 1e-4, "it blurs"


@pytest.mark.parametrize(
    ("f", "angle", "words"),
    [
        (torch.zeros(1, 1, 4, 5), 0.1, "square pictures"),
        (torch.zeros(1, 4, 4), 0.1, "square pictures"),
        (torch.zeros(2, 1, 4, 4), torch.zeros(3), "one for each of 2 pictures"),
    ],
)
def test_pictures_that_cannot_be_rotated_are_refused(f: Tensor, angle: Tensor | float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rotate(f, angle)

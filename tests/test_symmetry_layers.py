"""Equivariance: the measure itself, group convolutions against the written sums, sets, graphs, and all linear maps."""

from __future__ import annotations

import math
from functools import partial
from itertools import product
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from gdl_lab.networks import count_parameters
from gdl_lab.symmetry import (
    C1,
    C2,
    C4,
    D4,
    DeepSets,
    GroupConvolution,
    GroupNetwork,
    Lift,
    MessagePassing,
    PlaneGroup,
    SetLinear,
    equivariance_error,
    group_correlate,
    intertwiners,
    matrix_of,
    permute,
    random_permutations,
    random_rotations,
    trivial,
)

EXACT = {torch.float64: 1e-12, torch.float32: 2e-6}
each_group = pytest.mark.parametrize("group", [C1, C2, C4, D4], ids=lambda group: group.name)


def normal(*shape: int, rng: torch.Generator, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=rng, dtype=dtype)


# The measure


def test_the_error_is_the_relative_distance(rng: torch.Generator) -> None:
    x = normal(5, 3, rng=rng)
    turns = random_rotations(4, rng)

    def turn(R: Tensor, x: Tensor) -> Tensor:
        return x @ R.T

    assert equivariance_error(lambda x: 2 * x, turns, turn, turn, x) < 1e-12
    by_hand = [float((x @ R.T - x).norm() / x.norm()) for R in turns]
    assert equivariance_error(lambda x: x, turns, turn, trivial, x) == pytest.approx(max(by_hand))
    assert equivariance_error(lambda x: x, turns, turn, trivial, x, reduce="mean") == pytest.approx(sum(by_hand) / 4)
    assert equivariance_error(lambda x: x + 1j, turns, turn, lambda R, y: y @ R.T.to(y), x) > 0.01  # complex too


def test_what_has_no_error_is_refused(rng: torch.Generator) -> None:
    x = normal(2, 1, 5, 6, rng=rng)
    act = C4.on_pictures
    for f, group, words in (
        (lambda x: 0 * x, C4, "finite and not zero, got one of norm 0"),
        (lambda x: x / 0, C4, "finite and not zero"),
        (lambda x: x, [], "at least one element"),
        (lambda x: x[..., ::2, :], C4, r"has the shape \(2, 1, 3, 5\) and σ\(g\)f\(x\) \(2, 1, 6, 3\)"),
        (lambda x: x if x.shape[-1] == 6 else x / 0, C4, "not finite for some g"),
    ):
        with pytest.raises(ValueError, match=words):
            equivariance_error(f, group, act, act, x)
    with pytest.raises(ValueError, match="reduce='max' or 'mean', got 'median'"):
        equivariance_error(torch.relu, C4, act, act, x, reduce="median")  # type: ignore[arg-type]


# Group convolutions


def written_lift(group: PlaneGroup, kernel: Tensor, f: Tensor) -> Tensor:
    """Σ_y κ(g⁻¹(y−x)) f(y), term by term."""
    height, width, r = *f.shape[-2:], kernel.shape[-1] // 2
    z = f.new_zeros(len(f), len(kernel), len(group), height, width)
    grid = list(product(range(height), range(width)))
    for g, y, x in product(group, grid, grid):
        i, j = (group.matrix(group.inverse(g)) @ (torch.tensor(y) - torch.tensor(x))).tolist()
        if max(abs(i), abs(j)) <= r:
            z[:, :, g, *x] += f[:, :, *y] @ kernel[:, :, i + r, j + r].T
    return z


def written_convolution(group: PlaneGroup, kernel: Tensor, f: Tensor) -> Tensor:
    """Σ_{h, y} κ(g⁻¹h, g⁻¹(y−x)) f(h, y), term by term."""
    terms = []
    for h in group:
        of_g = [kernel[:, :, group.compose(group.inverse(g), h)] for g in group]
        terms.append(torch.stack([written_lift(group, k, f[:, :, h])[:, :, g] for g, k in enumerate(of_g)], 2))
    return torch.stack(terms).sum(0)


@each_group
def test_group_convolutions_are_the_written_sums(group: PlaneGroup, rng: torch.Generator) -> None:
    kernel, f = normal(2, 3, 3, 3, rng=rng), normal(2, 3, 4, 5, rng=rng)
    assert (group_correlate(group, kernel, f) - written_lift(group, kernel, f)).abs().max() < 1e-12
    kernel, f = normal(2, 3, len(group), 3, 3, rng=rng), normal(1, 3, len(group), 4, 4, rng=rng)
    assert (group_correlate(group, kernel, f) - written_convolution(group, kernel, f)).abs().max() < 1e-12


def test_with_one_element_it_is_the_ordinary_convolution(rng: torch.Generator) -> None:
    kernel, f = normal(4, 3, 5, 5, rng=rng), normal(2, 3, 9, 8, rng=rng)
    assert torch.equal(group_correlate(C1, kernel, f)[:, :, 0], F.conv2d(f, kernel, padding=2))
    assert torch.equal(group_correlate(C1, kernel[:, :, None], f[:, :, None])[:, :, 0], F.conv2d(f, kernel, padding=2))


@pytest.mark.parametrize("dtype", EXACT)
@given(
    group=st.sampled_from([C2, C4, D4]), m=st.integers(1, 3), n=st.integers(1, 3), k=st.sampled_from([1, 3, 5]),
    height=st.integers(5, 9), width=st.integers(5, 9), circular=st.booleans(), seed=st.integers(0, 10**6),
)  # fmt: skip
def test_group_convolutions_are_equivariant(
    dtype: torch.dtype, group: PlaneGroup, m: int, n: int, k: int, height: int, width: int, circular: bool, seed: int
) -> None:
    rng = torch.Generator().manual_seed(seed)
    padding: Literal["zeros", "circular"] = "circular" if circular else "zeros"
    lift, kernel = (normal(*shape, rng=rng, dtype=dtype) for shape in ((n, m, k, k), (n, m, len(group), k, k)))
    x, f = (
        normal(*shape, rng=rng, dtype=dtype) for shape in ((2, m, height, width), (2, m, len(group), height, width))
    )
    for weights, y, act in ((lift, x, group.on_pictures), (kernel, f, group.on_maps)):
        layer = partial(group_correlate, group, weights, padding=padding)
        assert equivariance_error(layer, group, act, group.on_maps, y) < EXACT[dtype]


@pytest.mark.parametrize("dtype", EXACT)
@pytest.mark.parametrize("head", ["max", "mean"])
@each_group
def test_the_network_is_equivariant_and_its_head_invariant(
    group: PlaneGroup, head: str, dtype: torch.dtype, rng: torch.Generator
) -> None:
    net = GroupNetwork(group, (4, 5, 6), head=head).to(dtype).eval()  # type: ignore[arg-type]
    x = normal(3, 1, 16, 16, rng=rng, dtype=dtype)
    assert equivariance_error(net.features, group, group.on_pictures, group.on_maps, x) < EXACT[dtype]
    assert equivariance_error(net, group, group.on_pictures, trivial, x) < EXACT[dtype]
    if group is C1:
        assert equivariance_error(net, C4, C4.on_pictures, trivial, x) > 1e-3


def wrong_roll(g: int, f: Tensor) -> Tensor:
    return C4.on_pictures(g, f[:, :, [(h + g) % 4 for h in C4]])


def test_mistakes_show(rng: torch.Generator) -> None:
    """A roll in the wrong direction, a bias for each g, positions, and strides that miss the middle."""
    net, x = GroupNetwork(C4).double().eval(), normal(2, 1, 16, 16, rng=rng)
    assert equivariance_error(net.features, C4, C4.on_pictures, wrong_roll, x) > 0.1
    assert equivariance_error(net.features, C4, C4.on_pictures, C4.on_pictures, x) > 0.1
    own_bias = normal(1, 8, 4, 1, 1, rng=rng)
    layer = Lift(C4, 1, 8).double()
    assert equivariance_error(layer, C4, C4.on_pictures, C4.on_maps, x) < 1e-12
    assert equivariance_error(lambda x: layer(x) + own_bias, C4, C4.on_pictures, C4.on_maps, x) > 0.1
    half = Lift(C4, 1, 8, stride=2).double()
    assert equivariance_error(half, C4, C4.on_pictures, C4.on_maps, x) > 0.1
    assert equivariance_error(half, C4, C4.on_pictures, C4.on_maps, x[..., 1:, 1:]) < 1e-12  # 15 − 1 is even

    def one_sided(x: Tensor) -> Tensor:
        return group_correlate(C4, layer.kernel, F.pad(x, (1, 0, 1, 0)))[..., 1:, 1:]

    assert equivariance_error(one_sided, C4, C4.on_pictures, C4.on_maps, x) < 1e-12
    assert equivariance_error(lambda x: layer(F.pad(x, (1, 0, 1, 0))), C4, C4.on_pictures, C4.on_maps, x) > 0.1


def test_half_of_the_action_on_the_kernel_is_not_enough(rng: torch.Generator) -> None:
    kernel, f = normal(2, 2, 4, 3, 3, rng=rng), normal(1, 2, 4, 6, 6, rng=rng)

    def convolution(kernels: list[Tensor], f: Tensor) -> Tensor:
        moved = torch.stack(kernels, 1).flatten(0, 1).flatten(1, 2)
        return F.conv2d(f.flatten(1, 2), moved, padding=1).unflatten(1, (2, 4))

    for act in (C4.on_pictures, lambda g, k: k.roll(g, 2), wrong_roll):
        kernels = [act(g, kernel) for g in C4]
        assert equivariance_error(partial(convolution, kernels), C4, C4.on_maps, C4.on_maps, f) > 0.1
    right = [C4.on_maps(g, kernel) for g in C4]
    assert equivariance_error(partial(convolution, right), C4, C4.on_maps, C4.on_maps, f) < 1e-12


def test_layers_have_the_parameters_of_one_kernel() -> None:
    assert count_parameters(Lift(C4, 3, 8, 5)) == 8 * 3 * 25 + 8
    assert count_parameters(GroupConvolution(D4, 8, 12)) == 12 * 8 * 8 * 9 + 12
    assert count_parameters(GroupNetwork(C4)) == 10_846
    assert count_parameters(GroupNetwork(C1, (16, 24, 32))) == 11_314


def test_gradients_reach_the_kernels(rng: torch.Generator) -> None:
    kernel = normal(1, 2, 4, 3, 3, rng=rng).requires_grad_()
    f = normal(1, 2, 4, 4, 4, rng=rng).requires_grad_()
    assert torch.autograd.gradcheck(lambda k, f: group_correlate(C4, k, f), (kernel, f))


@pytest.mark.parametrize(
    ("kernel", "f", "words"),
    [
        ((2, 1, 4, 4), (1, 1, 6, 6), r"k odd, got \(2, 1, 4, 4\)"),
        ((2, 1, 3, 5), (1, 1, 6, 6), "expected a kernel"),
        ((2, 1, 8, 3, 3), (1, 1, 8, 6, 6), r"\(n, m, 4, k, k\)"),
        ((2, 1, 3, 3), (1, 2, 6, 6), r"expected f of shape \(batch, \(1,\), height, width\), got \(1, 2, 6, 6\)"),
        ((2, 1, 4, 3, 3), (1, 1, 6, 6), r"expected f of shape \(batch, \(1, 4\), height, width\)"),
    ],
)
def test_kernels_that_do_not_fit_are_refused(kernel: tuple[int, ...], f: tuple[int, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        group_correlate(C4, torch.zeros(kernel), torch.zeros(f))


def test_networks_that_cannot_be_built_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown padding 'reflect'"):
        group_correlate(C4, torch.zeros(1, 1, 3, 3), torch.zeros(1, 1, 4, 4), padding="reflect")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one kernel for each of 2 layers, got 3"):
        GroupNetwork(C4, (4, 4))
    with pytest.raises(ValueError, match="unknown head 'sum'"):
        GroupNetwork(C4, head="sum")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="odd size, which has a middle to turn about, got 2"):
        Lift(C4, 1, 4, 2)
    for shape in ((1, 1, 14, 16), (1, 3, 16, 16), (1, 16, 16)):
        with pytest.raises(ValueError, match="sides divisible by 4, got"):
            GroupNetwork(C4)(torch.zeros(shape))


# Sets and graphs


@pytest.mark.parametrize("points", [1, 7])
def test_networks_on_sets_do_not_see_the_order(points: int, rng: torch.Generator) -> None:
    x, order = normal(3, points, 2, rng=rng), random_permutations(5, points, rng)
    layer, net = SetLinear(2, 4).double(), DeepSets(2, 3).double()
    assert equivariance_error(layer, order, permute, permute, x) < 1e-12
    assert equivariance_error(net, order, permute, trivial, x) < 1e-12
    with pytest.raises(ValueError, match=r"at least one point, got \(3, 0, 2\)"):
        layer(x[:, :0])


def test_a_layer_on_sets_is_two_matrices(rng: torch.Generator) -> None:
    x, layer = normal(1, 5, 1, rng=rng), SetLinear(1, 1).double()
    W = layer.itself.weight * torch.eye(5) + layer.mean.weight * torch.ones(5, 5) / 5
    assert torch.allclose(layer(x)[0, :, 0], W.double() @ x[0, :, 0] + layer.itself.bias)


def test_message_passing_does_not_number_the_nodes(rng: torch.Generator) -> None:
    A = (torch.rand(2, 9, 9, generator=rng) < 0.3).double().triu(1)
    A, x, net = A + A.mT, normal(2, 9, 3, rng=rng), MessagePassing(3, 2).double()

    def renumber(g: Tensor, graph: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return permute(g, graph[0], 1, 2), permute(g, graph[1])

    order = random_permutations(4, 9, rng)
    assert equivariance_error(net, order, renumber, permute, (A, x)) < 1e-12

    def renumber_rows(g: Tensor, graph: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return permute(g, graph[0], 1), permute(g, graph[1])

    assert equivariance_error(net, order, renumber_rows, permute, (A, x)) > 1e-3
    with pytest.raises(ValueError, match=r"expected A \(batch, n, n\) and x \(batch, n, m\), got \(2, 9, 9\)"):
        net((A, x[:, :8]))


def test_news_travels_as_far_as_there_are_rounds(rng: torch.Generator) -> None:
    path = torch.diag(torch.ones(7, dtype=torch.float64), 1)
    A, net = (path + path.T)[None], MessagePassing(1, 1, rounds=3).double()
    one, other = torch.zeros(1, 8, 1, dtype=torch.float64), torch.zeros(1, 8, 1, dtype=torch.float64)
    other[0, 0] = 1
    differs = (net((A, one)) - net((A, other)))[0, :, 0].abs() > 1e-9
    assert differs.tolist() == [True] * 4 + [False] * 4


# All linear maps


def by_characters(rho: list[Tensor], sigma: list[Tensor]) -> float:
    """Dimension of the equivariant maps, from all elements: the mean of χ_ρ(g) χ_σ(g)."""
    return float(torch.stack([r.trace() * s.trace() for r, s in zip(rho, sigma, strict=True)]).mean())


@each_group
def test_the_dimension_is_that_of_the_characters(group: PlaneGroup) -> None:
    pictures = [matrix_of(partial(group.on_pictures, g), (3, 3)) for g in group]
    maps = [matrix_of(partial(group.on_maps, g), (len(group), 2, 2)) for g in group]
    for rho, sigma in product((pictures, maps), repeat=2):
        found = intertwiners(rho, sigma)
        assert len(found) == by_characters(rho, sigma)
        mix = torch.einsum("d,dij->ij", torch.randn(len(found), dtype=torch.float64), found)
        assert max(float((mix @ r - s @ mix).abs().max()) for r, s in zip(rho, sigma, strict=True)) < 1e-12
        assert torch.allclose(found.flatten(1) @ found.flatten(1).T, torch.eye(len(found), dtype=torch.float64))


def test_vectors_have_few_equivariant_maps(rng: torch.Generator) -> None:
    """Schur, and the only product of two vectors that is a vector."""
    R, mirrored = random_rotations(2, rng), [-torch.eye(3).double(), *random_rotations(2, rng)]
    pairs = [torch.kron(one.contiguous(), one.contiguous()) for one in R]
    assert len(intertwiners(R, R)) == 1
    cross = intertwiners(pairs, R)
    assert len(cross) == 1
    a, b = normal(2, 3, rng=rng)
    given, wanted = cross[0] @ torch.kron(a, b), torch.linalg.cross(a, b)
    assert torch.allclose(given * wanted.norm(), wanted * given.norm() * (given @ wanted).sign())
    pairs = [torch.kron(one.contiguous(), one.contiguous()) for one in mirrored]
    assert len(intertwiners(pairs, mirrored)) == 0
    assert len(intertwiners(pairs, [torch.linalg.det(one) * one for one in mirrored])) == 1


def test_equations_that_make_no_sense_are_refused() -> None:
    one = torch.eye(2)
    with pytest.raises(ValueError, match="as many ρ\\(g\\) as σ\\(g\\), at least one, got 1 and 2"):
        intertwiners([one], [one, one])
    with pytest.raises(ValueError, match="at least one, got 0 and 0"):
        intertwiners([], [])
    for wrong in (torch.zeros(2, 3), torch.full((2, 2), math.nan)):
        with pytest.raises(ValueError, match="finite square matrices"):
            intertwiners([one], [wrong])

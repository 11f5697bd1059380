"""Claims of chapter 07: representations, all equivariant linear maps, group convolutions, augmentation, irreps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdl_lab import runtime
from gdl_lab.claims import orbits, tasks
from gdl_lab.claims.ledger import at_least, at_most, claim, within
from gdl_lab.claims.orbits import normal, relative
from gdl_lab.networks import count_parameters
from gdl_lab.recipes.rotated_digits import deviation, judge, off_the_data
from gdl_lab.symmetry import (
    C4,
    D4,
    DeepSets,
    GroupNetwork,
    Lift,
    MessagePassing,
    PlaneGroup,
    equivariance_error,
    group_correlate,
    intertwiners,
    matrix_of,
    permute,
    random_permutations,
    random_rotations,
    trivial,
)

__all__ = [
    "actions_are_representations", "attacks_turn_along", "augmentation_ends_with_the_data", "c4_reads_turned_digits",
    "convolutions_are_all", "cross_product_from_few", "finite_group_is_not_the_circle", "graphs_of_another_size",
    "group_convolution_is_the_written_sum", "group_networks_are_equivariant", "linear_maps_count_orbits",
    "mistakes_break_it", "products_of_vectors", "sets_and_graphs_are_equivariant", "slide_makes_an_anti_representation",
    "sorted_sets_suffice", "tensor_product_has_roots",
]  # fmt: skip

PROBLEMS, NETWORKS = "symmetric-problems", "equivariant-networks"
Convolution = Callable[[PlaneGroup, Tensor, Tensor], Tensor]


# Representations


@claim("symmetry.actions_are_representations", talk=PROBLEMS, bound=at_most(1e-12))
def actions_are_representations() -> dict[str, float | str]:
    """With (ρ(g)f)(x) = f(g⁻¹x), ρ(g)ρ(h) = ρ(gh): the largest deviation, relative to the size of f.

    For D4 on pictures and functions of the group, permutations, and rotations; ``without_inverse`` with f(gx).
    """
    seed = runtime.fresh_seed()
    rng = runtime.generator("elements", seed)
    x, f = normal(2, 4, 5, seed=seed), normal(2, 8, 4, 5, seed=seed)
    pairs = list(product(D4, repeat=2))
    worst = max(
        *(relative(D4.on_pictures(g, D4.on_pictures(h, x)), D4.on_pictures(D4.compose(g, h), x)) for g, h in pairs),
        *(relative(D4.on_maps(g, D4.on_maps(h, f)), D4.on_maps(D4.compose(g, h), f)) for g, h in pairs),
    )
    A, v = normal(2, 6, 6, seed=seed), normal(2, 3, seed=seed)
    for (g, h), (R, S) in zip(
        random_permutations(20, 6, rng).view(10, 2, 6), random_rotations(20, rng).view(10, 2, 3, 3), strict=True
    ):
        twice = permute(g, permute(h, A, 1, 2), 1, 2)
        worst = max(worst, relative(twice, permute(g[h], A, 1, 2)), relative(v @ S.T @ R.T, v @ (R @ S).T))
    back = {g: partial(D4.on_pictures, D4.inverse(g)) for g in D4}
    without = max(relative(back[g](back[h](x)), back[D4.compose(g, h)](x)) for g, h in pairs)
    return {"value": worst if without > 0.1 else math.inf, "without_inverse": without, "seed": str(seed)}


@claim("symmetry.slide_makes_an_anti_representation", talk=PROBLEMS, bound=at_most(1e-8))
def slide_makes_an_anti_representation() -> dict[str, float | str]:
    """The line f(ρ⁻¹(g)x) = σ(g)f(x) makes σ(gh) = σ(h)σ(g): deviation, with σ found by least squares.

    f is a random equivariant map with two layers on functions of D4. ``as_a_representation`` is how far the same σ is
    from σ(gh) = σ(g)σ(h), and ``without_inverse`` how far the σ of f(ρ(g)x) = σ(g)f(x) is.
    """
    seed = runtime.fresh_seed()
    rho = {g: matrix_of(partial(D4.on_maps, g), (8, 1, 1)) for g in D4}
    basis = intertwiners(list(rho.values()), list(rho.values()))
    first, second = (torch.einsum("d,dij->ij", c, basis) for c in normal(2, len(basis), seed=seed))
    x = normal(200, 8, seed=seed)

    def f(x: Tensor) -> Tensor:
        return torch.tanh(x @ first.T) @ second.T  # tanh acts at each point and ρ permutes points

    def found(act: Mapping[int, Tensor]) -> dict[int, Tensor]:
        return {g: torch.linalg.lstsq(f(x), f(x @ act[g].T)).solution.T for g in D4}

    slide, ours = found({g: rho[g].T for g in D4}), found(rho)
    pairs = list(product(D4, repeat=2))

    def off(sigma: Mapping[int, Tensor], *, reverse: bool) -> float:
        return max(
            relative(sigma[h] @ sigma[g] if reverse else sigma[g] @ sigma[h], sigma[D4.compose(g, h)]) for g, h in pairs
        )

    as_written = off(slide, reverse=False)
    return {
        "value": off(slide, reverse=True) if as_written > 0.1 else math.inf,
        "as_a_representation": as_written,
        "without_inverse": off(ours, reverse=False),
        "seed": str(seed),
    }


# All equivariant linear maps


@claim("symmetry.linear_maps_count_orbits", talk=PROBLEMS, bound=at_most(0))
def linear_maps_count_orbits() -> dict[str, int]:
    """The equivariant linear maps between functions on X and on Y have the dimension of the orbits on Y × X.

    The largest difference of the null space of Wρ(g) = σ(g)W, from singular values, and the orbits, counted by walking
    through the pairs; on a 3×3 torus, sets and graphs of four nodes.
    """
    dimensions = {name: len(orbits.solutions(name)) for name in orbits.spaces()}
    counted = {name: orbits.orbits(*spaces) for name, spaces in orbits.spaces().items()}
    return {"value": max(abs(dimensions[name] - counted[name]) for name in counted), **dimensions}


@claim("symmetry.convolutions_are_all", talk=PROBLEMS, bound=within(1, 0))
def convolutions_are_all(*, layer: Convolution | None = None) -> dict[str, float]:
    """Group convolutions are all the equivariant linear maps: their rank over the dimension of the solutions.

    For lifting and group convolutions of C4 on a 3×3 torus, one for every entry of the kernel. ``residual`` is how far
    they are from solutions.

    Args:
        layer: ``layer(group, kernel, f)``, the package's with circular padding if not given.
    """
    layer = layer or partial(group_correlate, padding="circular")
    ratios, residual = [], 0.0

    def apply(kernel: Tensor, f: Tensor) -> Tensor:
        return layer(C4, kernel, f[:, None])[:, 0]

    for name, shape in (("lifting, torus to group", (3, 3)), ("group to group", (4, 3, 3))):
        solutions = orbits.solutions(name).flatten(1)
        kernels = torch.eye(math.prod(shape), dtype=torch.float64).view(-1, 1, 1, *shape)
        found = torch.stack([matrix_of(partial(apply, k), shape).flatten() for k in kernels])
        residual = max(residual, relative(found @ solutions.T @ solutions, found))
        ratios.append(int(torch.linalg.matrix_rank(found)) / len(solutions))
    furthest = max(ratios, key=lambda ratio: abs(ratio - 1))
    return {"value": furthest if residual < 1e-10 else math.inf, "residual": residual}


@claim("symmetry.products_of_vectors", talk=NETWORKS, bound=at_most(0))
def products_of_vectors() -> dict[str, int | str]:
    """Two vectors have one product that is a vector: equivariant linear maps from V⊗V, by null space and characters.

    The largest difference of their dimension, from the equations of random rotations, and the mean of characters over
    the group, by Weyl's formula. Under O(3) the product is axial: no polar vector, ``polar``, comes out.
    """
    seed = runtime.fresh_seed()
    R = random_rotations(2, runtime.generator("rotations", seed))
    pairs = torch.stack([torch.kron(one.contiguous(), one.contiguous()) for one in R])
    inversion = -torch.eye(3, dtype=torch.float64)[None]
    both = torch.cat([torch.kron(-inversion[0], -inversion[0])[None], pairs])
    found = {
        "vector_to_vector": len(intertwiners(R, R)),
        "pair_to_vector": len(intertwiners(pairs, R)),
        "pair_to_pair": len(intertwiners(pairs, pairs)),
        "axial": len(intertwiners(both, torch.cat([-inversion, R]))),
        "polar": len(intertwiners(both, torch.cat([inversion, R]))),
    }
    wanted = [orbits.mean_of_characters(power) for power in (2, 3, 4)]
    differences = [abs(n - w) for n, w in zip(found.values(), [*wanted, wanted[1], 0], strict=True)]
    return {"value": max(differences), **found, "seed": str(seed)}


# Group convolutions


@claim("symmetry.group_convolution_is_the_written_sum", talk=PROBLEMS, bound=at_most(1e-12))
def group_convolution_is_the_written_sum(*, layer: Convolution | None = None) -> dict[str, float | str]:
    """(κ⋆f)(g, x) = Σ κ(g⁻¹h, g⁻¹(y−x)) f(h, y), term by term, for C4 and D4; and the lifting sum over y alone.

    Args:
        layer: ``layer(group, kernel, f)``, the package's if not given.
    """
    layer, seed, worst = layer or group_correlate, runtime.fresh_seed(), 0.0
    for group in (C4, D4):
        size = len(group)
        for kernel, f in (
            (normal(2, 1, 3, 3, seed=seed), normal(1, 1, 4, 4, seed=seed)),
            (normal(2, 1, size, 3, 3, seed=seed), normal(1, 1, size, 4, 4, seed=seed)),
        ):
            worst = max(worst, relative(layer(group, kernel, f), orbits.written(group, kernel, f)))
    return {"value": worst, "seed": str(seed)}


@claim("symmetry.group_networks_are_equivariant", talk=PROBLEMS, bound=at_most(1e-12))
def group_networks_are_equivariant() -> dict[str, float | str]:
    """Feature maps of a group network follow the picture, and its answer does not change: for C4 and D4, every element.

    ``single`` is the same in float32, ``wrong_roll`` with the orientations rolled in the other direction.
    """
    seed = runtime.fresh_seed()
    torch.manual_seed(seed)
    worst = {torch.float64: 0.0, torch.float32: 0.0}
    for group, dtype in product((C4, D4), worst):
        net = GroupNetwork(group).to(dtype).eval()
        for norm in net.norms:
            nn.init.normal_(norm.weight)  # type: ignore[arg-type]
        x = normal(4, 1, 28, 28, seed=seed, dtype=dtype)
        features = equivariance_error(net.features, group, group.on_pictures, group.on_maps, x)
        worst[dtype] = max(worst[dtype], features, equivariance_error(net, group, group.on_pictures, trivial, x))
    wrong = equivariance_error(
        GroupNetwork(C4).eval().features, C4, C4.on_pictures, lambda g, f: C4.on_pictures(g, f).roll(-g, 2), x
    )
    value = worst[torch.float64] if wrong > 0.1 and worst[torch.float32] < 2e-6 else math.inf
    return {"value": value, "single": worst[torch.float32], "wrong_roll": wrong, "seed": str(seed)}


@claim("symmetry.mistakes_break_it", talk=PROBLEMS, bound=at_least(0.1))
def mistakes_break_it(*, x: Tensor | None = None) -> dict[str, float | str]:
    """A bias for each orientation, stride 2 on an even side, padding on one side: the smallest equivariance error.

    On an odd side the same stride keeps the symmetry, ``stride_on_odd_side``.

    Args:
        x: pictures ``(batch, 1, side, side)`` of even side; normal noise if not given.
    """
    seed = runtime.fresh_seed()
    torch.manual_seed(seed)
    x = normal(4, 1, 28, 28, seed=seed) if x is None else x.double().cpu()
    plain, strided = Lift(C4, 1, 8).double(), Lift(C4, 1, 8, stride=2).double()
    bias = normal(1, 8, 4, 1, 1, seed=seed)
    error = partial(equivariance_error, group=C4, rho_in=C4.on_pictures, rho_out=C4.on_maps)
    found = {
        "own_biases": error(lambda x: torch.relu(plain(x) + bias), x=x),
        "stride_on_even_side": error(lambda x: torch.relu(strided(x)), x=x),
        "one_sided_padding": error(lambda x: torch.relu(plain(F.pad(x, (1, 0, 1, 0)))), x=x),
    }
    kept = max(error(lambda x: torch.relu(plain(x)), x=x), error(lambda x: torch.relu(strided(x)), x=x[..., 1:, 1:]))
    value = min(found.values()) if kept < 1e-12 else 0.0
    return {"value": value, **found, "stride_on_odd_side": kept, "seed": str(seed)}


@claim("symmetry.attacks_turn_along", talk=NETWORKS, bound=at_most(1e-12))
def attacks_turn_along() -> dict[str, float | str]:
    """The gradient of an invariant network is equivariant: what attacks a picture, turned, attacks it turned."""
    seed = runtime.fresh_seed()
    torch.manual_seed(seed)
    net, y = GroupNetwork(C4).double().eval(), torch.arange(8) % 10

    def gradient(x: Tensor) -> Tensor:
        return torch.func.grad(lambda x: F.cross_entropy(net(x), y))(x)

    x = normal(8, 1, 28, 28, seed=seed)
    return {"value": equivariance_error(gradient, C4, C4.on_pictures, C4.on_pictures, x), "seed": str(seed)}


@claim("symmetry.c4_reads_turned_digits", talk=PROBLEMS, bound=at_least(0.9), needs="laptop")
def c4_reads_turned_digits(*, readers: tasks.Readers | None = None) -> dict[str, float]:
    """A C4 network trained on 1,000 upright digits reads them at all right angles: share of test digits.

    ``cnn`` has as many parameters and the same upright digits, ``augmented`` twenty rotated copies of each, both about
    the same processor time.
    """
    c4, cnn, augmented, test = readers or tasks.read_digits()
    shares = [judge(net, test)["right_angles"] for net in (c4, cnn, augmented)]
    sizes = {"parameters": count_parameters(c4), "parameters_of_the_cnn": count_parameters(cnn)}
    return {"value": shares[0], "cnn": shares[1], "augmented": shares[2], **sizes}


@claim("symmetry.finite_group_is_not_the_circle", talk=PROBLEMS, bound=at_least(0.05), needs="laptop")
def finite_group_is_not_the_circle(*, readers: tasks.Readers | None = None) -> dict[str, float]:
    """A C4 network trained on upright digits reads fewer of them at other angles: right angles minus all angles."""
    readers = readers or tasks.read_digits()
    found = judge(readers.c4, readers.test)
    return {"value": found["right_angles"] - found["all_angles"], "all_angles": found["all_angles"]}


@claim("symmetry.augmentation_ends_with_the_data", talk=PROBLEMS, bound=at_least(1.3), needs="laptop")
def augmentation_ends_with_the_data(*, readers: tasks.Readers | None = None) -> dict[str, float]:
    """What augmentation leaves of the error of invariance, off the data over on the data: the smallest ratio.

    Each error is divided by that without augmentation; ``on_digits`` is what is left on the data. Off them are
    negatives, noise and drawn faces; ``pieces``, quarters of four digits, are half way. ``c4`` is a C4 network's worst.
    """
    readers = readers or tasks.read_digits()
    digits = readers.test.x[:250]
    pictures = {"digits": digits, **off_the_data(digits)}
    left = {name: deviation(readers.augmented, x) / deviation(readers.upright, x) for name, x in pictures.items()}
    on_digits = left.pop("digits")
    exact = max(deviation(readers.c4, x) for x in pictures.values())
    furthest = min(left[name] for name in ("negatives", "noise", "faces"))
    return {"value": furthest / on_digits, "on_digits": on_digits, **left, "c4": exact}


# Sets, graphs, vectors


@claim("symmetry.sets_and_graphs_are_equivariant", talk=NETWORKS, bound=at_most(1e-12))
def sets_and_graphs_are_equivariant() -> dict[str, float | str]:
    """One line for sets and graphs, f(ρ(g)x) = σ(g)f(x) with permutations: error of Deep Sets and of message passing.

    ``perceptron`` is that of a network which numbers its points.
    """
    seed = runtime.fresh_seed()
    torch.manual_seed(seed)
    order = random_permutations(5, 12, runtime.generator("order", seed))
    graph = tuple(part.double() for part in tasks.graphs(3, 12, seed=seed))

    def renumber(g: Tensor, graph: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return permute(g, graph[0], 1, 2), permute(g, graph[1])

    x = normal(3, 12, 2, seed=seed)
    of_sets = equivariance_error(DeepSets(2, 3).double(), order, permute, trivial, x)
    of_graphs = equivariance_error(MessagePassing(1, 2).double(), order, renumber, permute, graph)
    flat = equivariance_error(tasks.FlatGraphs(12).double(), order, renumber, permute, graph)
    value = max(of_sets, of_graphs) if flat > 1e-3 else math.inf
    return {"value": value, "perceptron": flat, "seed": str(seed)}


@claim("symmetry.sorted_sets_suffice", talk=NETWORKS, bound=at_most(0.02))
def sorted_sets_suffice() -> dict[str, float]:
    """Deep Sets learns the variance of eight numbers from 256 sorted sets: error on shuffled ones, over the spread.

    ``perceptron`` has as many parameters, ``perceptron_sorted`` is its error on sorted sets.
    """
    few, ordered = tasks.sets(256, seed=0, ordered=True), tasks.sets(2000, seed=1, ordered=True)
    shuffled = tasks.sets(2000, seed=1, ordered=False)
    torch.manual_seed(0)
    sets, flat = (tasks.learned(tasks.Spread(symmetric=symmetric), *few) for symmetric in (True, False))
    return {
        "value": tasks.missed(sets, *shuffled),
        "perceptron": tasks.missed(flat, *shuffled),
        "perceptron_sorted": tasks.missed(flat, *ordered),
    }


@claim("symmetry.graphs_of_another_size", talk=NETWORKS, bound=at_least(0.99))
def graphs_of_another_size() -> dict[str, float]:
    """Message passing learns distances on 400 graphs of 12 nodes: share right at the nodes of graphs of 24.

    ``perceptron`` is the share right of a network with as many parameters, on other graphs of 12 nodes.
    """
    torch.manual_seed(0)
    graphs, shares = tasks.graphs(400, 12, seed=0), []
    for net, nodes in ((MessagePassing(1, 1), 24), (tasks.FlatGraphs(12), 12)):
        tasks.learned(net, graphs, tasks.distances(graphs), steps=800)
        others = tasks.graphs(500, nodes, seed=1)
        with torch.no_grad():
            shares.append(float((net(others).round() == tasks.distances(others)).float().mean()))
    return {"value": shares[0], "perceptron": shares[1]}


@claim("symmetry.tensor_product_has_roots", talk=NETWORKS, bound=at_most(1e-6))
def tensor_product_has_roots() -> dict[str, float | str]:
    """1o ⊗ 1o = 0e ⊕ 1e ⊕ 2e is a·b/√3, (a×b)/√2, and the traceless symmetric part: deviation of e3nn's from these.

    ``length`` is the deviation of the length of all nine numbers from |a||b|, which fixes the roots.
    """
    from e3nn import o3  # takes as long to import as torch itself

    seed = runtime.fresh_seed()
    a, b = normal(2, 50, 3, seed=seed, dtype=torch.float32)
    out = o3.FullTensorProduct("1o", "1o")(a, b)
    dot, cross = (a * b).sum(1, keepdim=True), torch.linalg.cross(a, b)
    outer = torch.einsum("bi,bj->bij", a, b)
    rest = (outer + outer.mT) / 2 - dot[:, :, None] * torch.eye(3) / 3
    worst = max(
        relative(out[:, :1], dot / 3**0.5), relative(out[:, 1:4], cross / 2**0.5),
        relative(out[:, 4:].norm(dim=1), rest.flatten(1).norm(dim=1)),
    )  # fmt: skip
    length = relative(out.norm(dim=1), a.norm(dim=1) * b.norm(dim=1))
    return {"value": max(worst, length), "length": length, "seed": str(seed)}


@claim("symmetry.cross_product_from_few", talk=NETWORKS, bound=at_most(1e-6))
def cross_product_from_few() -> dict[str, float]:
    """A tensor product of 96 weights learns the cross product from 30 examples: error on new ones, over the spread.

    ``perceptron`` is that of a network with 4,803 weights and 1,000 examples; ``equivariance`` and
    ``perceptron_equivariance`` are the errors under rotations and reflections.
    """
    R = random_rotations(8, runtime.generator("cross", 0), reflections=True, dtype=torch.float32)
    torch.manual_seed(0)
    found: dict[str, float] = {}
    for name, net, n, lr in (
        ("value", tasks.VectorProduct(), 30, 1e-2), ("perceptron", tasks.perceptron(6, 64, 64, 3), 1000, 3e-3)
    ):  # fmt: skip
        tasks.learned(net, *tasks.crosses(n, seed=0), steps=1000, lr=lr)
        pair, cross = tasks.crosses(1000, seed=1)
        found[name] = tasks.missed(net, pair, cross)
        error = equivariance_error(
            net, R, lambda R, p: p @ torch.block_diag(R, R).T, lambda R, y: torch.linalg.det(R) * y @ R.T, pair
        )
        found["equivariance" if name == "value" else f"{name}_equivariance"] = error
    return found

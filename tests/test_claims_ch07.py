"""Chapter 07's claims can fail: wrong actions, wrong kernels and networks that have learned nothing do not pass."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdl_lab import data, runtime
from gdl_lab.claims import ch07, orbits, tasks
from gdl_lab.data import Dataset
from gdl_lab.recipes import rotated_digits
from gdl_lab.symmetry import C1, C4, D4, GroupNetwork, Lift, MessagePassing, PlaneGroup, group_correlate, rotate

# Representations


def test_an_action_in_the_wrong_order_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def backwards(self: PlaneGroup, g: int, h: int) -> int:
        return right(self, h, g)

    right = PlaneGroup.compose
    assert D4._moved  # made once and kept: only the product is wrong, and not the action for all tests that follow
    monkeypatch.setattr(PlaneGroup, "compose", backwards)
    assert not ch07.actions_are_representations.outcome().holds
    assert not ch07.slide_makes_an_anti_representation.outcome().holds


# Linear maps


def test_dimensions_are_those_of_the_books() -> None:
    found = ch07.linear_maps_count_orbits.outcome().extra
    assert found["torus, translations"] == 9  # one number a pixel
    assert found["torus, translations and C4"] == 3  # middle, edges, corners
    assert (found["lifting, torus to group"], found["group to group"]) == (9, 36)
    assert found["sets"] == 2  # Zaheer et al. (2017)
    assert (found["graphs to graphs"], found["graphs to nodes"]) == (15, 5)  # Maron et al. (2019), Bell numbers


def test_a_solver_that_misses_a_map_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = orbits.solutions
    monkeypatch.setattr(orbits, "solutions", lambda name: right(name)[1:])
    assert ch07.linear_maps_count_orbits.outcome().value == 1
    assert not ch07.convolutions_are_all.outcome().holds


def test_orbits_of_a_known_action() -> None:
    one, swap = torch.eye(3), torch.eye(3)[[1, 0, 2]]
    assert orbits.orbits([one], [one]) == 9
    assert orbits.orbits([swap], [one]) == 6
    assert orbits.orbits([swap], [swap]) == 5


def turned_only(group: PlaneGroup, kernel: Tensor, f: Tensor) -> Tensor:
    """Kernels that turn in the plane and do not move along the axis of the group."""
    turned = torch.stack([group.on_pictures(g, kernel) for g in group], 1).flatten(0, 1).flatten(1, -3)
    padded = F.pad(f.flatten(1, -3), (1, 1, 1, 1), mode="circular")
    return F.conv2d(padded, turned).unflatten(1, (len(kernel), len(group)))


def isotropic(group: PlaneGroup, kernel: Tensor, f: Tensor) -> Tensor:
    even = torch.stack([group.on_pictures(g, kernel) for g in group]).mean(0)
    return group_correlate(group, even, f, padding="circular")


def clockwise(group: PlaneGroup, kernel: Tensor, f: Tensor) -> Tensor:
    return group_correlate(group, kernel.flip(-1), f)


def test_other_convolutions_are_noticed() -> None:
    assert ch07.convolutions_are_all.outcome(layer=turned_only).value == math.inf
    assert ch07.convolutions_are_all.outcome(layer=isotropic).value < 1
    assert not ch07.group_convolution_is_the_written_sum.outcome(layer=clockwise).holds
    assert not ch07.group_convolution_is_the_written_sum.outcome(layer=turned_only).holds


def test_characters_of_vectors() -> None:
    assert [orbits.mean_of_characters(power) for power in range(5)] == [1, 0, 1, 1, 3]


# Networks


class OwnBiases(GroupNetwork):
    def features(self, x: Tensor) -> Tensor:
        f = super().features(x)
        return f + torch.arange(f.shape[2]).to(f)[:, None, None]


def test_a_network_with_a_bias_for_each_orientation_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ch07, "GroupNetwork", OwnBiases)
    assert not ch07.group_networks_are_equivariant.outcome().holds


def test_a_mistake_that_breaks_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert ch07.mistakes_break_it.outcome(x=x).holds
    monkeypatch.setattr(
        ch07, "normal", lambda *shape, seed: torch.zeros(shape, dtype=torch.float64)
    )  # one bias for all
    measured = ch07.mistakes_break_it.outcome(x=x)
    assert measured.extra["own_biases"] < 1e-12
    assert not measured.holds


def test_mistakes_are_measured_beside_a_layer_without(monkeypatch: pytest.MonkeyPatch) -> None:
    class Places(Lift):
        def forward(self, f: Tensor) -> Tensor:
            return super().forward(f * torch.linspace(1, 2, f.shape[-1]).to(f))

    monkeypatch.setattr(ch07, "Lift", Places)
    assert not ch07.mistakes_break_it.outcome().holds


def test_the_gradient_of_another_network_does_not_turn_along(monkeypatch: pytest.MonkeyPatch) -> None:
    class Places(GroupNetwork):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x * torch.linspace(0, 1, x.shape[-1], dtype=x.dtype))

    monkeypatch.setattr(ch07, "GroupNetwork", Places)
    assert not ch07.attacks_turn_along.outcome().holds


# Digits


def small(**nets: GroupNetwork) -> tasks.Readers:
    test = rotated_digits.digits("test") if data.on_this_machine("mnist") else padded("test")
    return tasks.Readers(test=test.take(200), **nets)


def padded(split: str) -> Dataset:
    found = data.load("digits8", split)
    return Dataset(found.name, F.pad(found.x, (2, 2, 2, 2)), found.y)


def untrained(group: PlaneGroup = C4, seed: int = 0) -> GroupNetwork:
    torch.manual_seed(seed)
    return GroupNetwork(group, (4, 5, 6)).eval()


def test_networks_that_have_learned_nothing_do_not_read() -> None:
    readers = small(c4=untrained(), upright=untrained(seed=1), augmented=untrained(seed=2))
    assert not ch07.c4_reads_turned_digits.outcome(readers=readers).holds
    assert not ch07.finite_group_is_not_the_circle.outcome(readers=readers).holds


def test_a_network_that_is_as_bad_off_the_data_as_on_them_has_the_ratio_one() -> None:
    cnn = untrained(C1, 3)
    readers = small(c4=untrained(), upright=cnn, augmented=cnn)
    measured = ch07.augmentation_ends_with_the_data.outcome(readers=readers)
    assert measured.value == pytest.approx(1)
    assert not measured.holds
    assert measured.extra["c4"] < 1e-4


def test_the_deviation_is_that_of_pictures_and_not_of_the_mean() -> None:
    net, x = untrained(C1), torch.rand(50, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    before = rotated_digits.deviation(net, x)
    with torch.no_grad():
        net.readout.bias.add_(100)
    assert rotated_digits.deviation(net, x) == pytest.approx(before, rel=1e-2)
    assert rotated_digits.deviation(untrained(C4), x) < 1e-4
    assert before > 0.1


def test_copies_are_turned_each_by_its_own_angle() -> None:
    x = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    copies = rotated_digits.turned(x, 4, seed=1)
    assert copies.shape == (12, 1, 8, 8)
    angles = 2 * math.pi * torch.rand(12, generator=runtime.generator("angles", 1))
    assert torch.allclose(copies[7:8], rotate(x[1:2], float(angles[7])), atol=1e-5)
    assert not torch.equal(copies, rotated_digits.turned(x, 4, seed=2))


def test_training_takes_the_copies_and_the_seed() -> None:
    few = padded("train").take(20)
    first, again, upright, other = (
        rotated_digits.train("C4", few, copies=copies, steps=3, seed=seed).readout.weight.detach()
        for copies, seed in ((2, 0), (2, 0), (0, 0), (2, 1))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, upright)
    assert not torch.equal(first, other)
    with pytest.raises(ValueError, match="unknown network 'C8': expected one of CNN, C4"):
        rotated_digits.train("C8", few, steps=1)


def test_what_is_no_digit_has_the_size_of_one() -> None:
    x = padded("test").x[:8]
    pictures = rotated_digits.off_the_data(x)
    assert set(pictures) == {"pieces", "negatives", "noise", "faces"}
    assert all(p.shape == x.shape for p in pictures.values())
    assert torch.equal(pictures["negatives"] + x, torch.ones_like(x))
    assert pictures["pieces"].sum() == pytest.approx(float(x.sum()), rel=1e-5)
    assert not any(torch.equal(piece, digit) for piece, digit in product(pictures["pieces"], x))


def test_the_grid_gives_both_networks_the_same_time() -> None:
    assert len(rotated_digits.GRID) == len({tuple(point.values()) for point in rotated_digits.GRID})
    for budget in (rotated_digits.SHORT, rotated_digits.LONG):
        assert budget["CNN"] == 2 * budget["C4"]


# Sets, graphs, vectors


def test_distances_are_those_of_a_walk() -> None:
    path = torch.diag(torch.ones(4), 1)
    A, mark = (path + path.T)[None], torch.tensor([0.0, 1, 0, 0, 0])[None, :, None]
    assert tasks.distances((A, mark))[0, :, 0].tolist() == [1, 0, 1, 2, 3]
    lonely = torch.zeros(1, 5, 5)
    assert tasks.distances((lonely, mark))[0, :, 0].tolist() == [3, 0, 3, 3, 3]


def test_a_perceptron_in_place_of_the_symmetric_network_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "VectorProduct", lambda: tasks.perceptron(6, 8, 3))
    assert not ch07.cross_product_from_few.outcome().holds
    monkeypatch.setattr(ch07, "DeepSets", lambda m, n: nn.Sequential(nn.Flatten(), nn.Linear(12 * m, n)))
    assert not ch07.sets_and_graphs_are_equivariant.outcome().holds


class Numbered(MessagePassing):
    def forward(self, graph: tuple[Tensor, Tensor]) -> Tensor:
        A, x = graph
        return super().forward((A, x + torch.arange(x.shape[1]).to(x)[:, None]))


def test_a_network_that_numbers_the_nodes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ch07, "MessagePassing", Numbered)
    assert not ch07.sets_and_graphs_are_equivariant.outcome().holds


def test_a_tensor_product_with_other_roots_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from e3nn import o3

    right: Any = o3.FullTensorProduct
    monkeypatch.setattr(o3, "FullTensorProduct", lambda *irreps: lambda a, b: 2**0.5 * right(*irreps)(a, b))
    assert not ch07.tensor_product_has_roots.outcome().holds


@pytest.mark.slow
@pytest.mark.parametrize("claim", [ch07.sorted_sets_suffice, ch07.graphs_of_another_size], ids=lambda claim: claim.id)
def test_what_is_learned_holds(claim: Any) -> None:
    measured = claim.outcome()
    assert measured.holds, measured


@pytest.mark.slow
def test_what_knows_too_little_does_not_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets whose points are numbered, and messages that go one step when distances are up to three."""
    right = tasks.Spread
    monkeypatch.setattr(tasks, "Spread", lambda *, symmetric: right(symmetric=False))
    assert not ch07.sorted_sets_suffice.outcome().holds
    monkeypatch.setattr(ch07, "MessagePassing", lambda m, n: MessagePassing(m, n, rounds=1))
    assert not ch07.graphs_of_another_size.outcome().holds

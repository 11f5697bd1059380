"""The Möbius strip and the winds: gauges that change nothing, exact targets, and tasks that are learnt."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from gdl_lab.bundles import Neighbours, Sphere, bumpy_ball, components, rough_gauge, spread
from gdl_lab.bundles.moebius import (
    MoebiusConv,
    MoebiusNetwork,
    learn_digits,
    over,
    place,
    reflection,
    regauge,
    shift,
    strip_links,
)
from gdl_lab.bundles.winds import CoordinateNetwork, GaugeNetwork, draw_winds, learn_winds, relative_error
from gdl_lab.claims.surfaces import about
from gdl_lab.data.digits import digits8

KINDS = ("trivial", "sign", "regular")
H, W = 7, 12


def drawn(channels: int, rng: torch.Generator) -> Tensor:
    return torch.randn(2, channels, H, W, generator=rng, dtype=torch.float64)


def columns(rng: torch.Generator) -> Tensor:
    signs = torch.randint(2, (W,), generator=rng).double() * 2 - 1
    signs[rng.initial_seed() % W] = -1
    signs[(rng.initial_seed() + 1) % W] = 1
    return signs


# The Möbius strip


@pytest.mark.parametrize(("a", "b"), product(KINDS, KINDS))
@pytest.mark.parametrize("twisted", [True, False])
def test_the_layer_sees_neither_gauge_nor_place(a: str, b: str, twisted: bool, rng: torch.Generator) -> None:
    conv, links = MoebiusConv([a, a], [b], 3).double(), strip_links(W, twisted).double()
    with torch.no_grad():
        conv.bias.normal_(generator=rng)
    f, g = drawn(len(conv.rho), rng), columns(rng)
    turned, new_links = regauge(f, links, g, conv.rho)
    assert float(new_links.prod()) == float(links.prod()) == (-1 if twisted else 1), "the holonomy"
    expected = regauge(conv(f, links), links, g, conv.eta)[0]
    assert (conv(turned, new_links) - expected).abs().max() < 1e-12
    assert (conv(turned, links) - expected).abs().max() > 0.1, "the links matter"
    for steps in (1, -3, W + 2):
        there = conv(shift(f, steps, links, conv.rho), links)
        assert (there - shift(conv(f, links), steps, links, conv.eta)).abs().max() < 1e-12


def test_once_round_turns_over_and_twice_round_is_nothing(rng: torch.Generator) -> None:
    f, rho, links = drawn(3, rng), reflection(["sign", "regular"]).double(), strip_links(W).double()
    assert (shift(f, W, links, rho) - over(f, rho)).abs().max() == 0
    assert (shift(f, 2 * W, links, rho) - f).abs().max() == 0
    assert (shift(f, W, strip_links(W, twisted=False).double(), rho) - f).abs().max() == 0
    assert (shift(shift(f, 5, links, rho), -5, links, rho) - f).abs().max() == 0


@pytest.mark.parametrize(("a", "b"), product(KINDS, KINDS))
def test_the_kernel_keeps_as_many_parameters_as_the_constraint_leaves(a: str, b: str, rng: torch.Generator) -> None:
    conv = MoebiusConv([a], [b], 3).double()
    f = drawn(len(conv.rho), rng)[:1]
    jac = torch.autograd.functional.jacobian(
        lambda k, c: torch.func.functional_call(conv, {"kernel": k, "bias": c}, (f,)).flatten(),
        (conv.kernel.detach(), conv.bias.detach()),
    )
    rank = torch.linalg.matrix_rank(torch.cat([j.flatten(1) for j in jac], 1), rtol=1e-9)
    assert int(rank) == conv.dimension


def test_the_strip_is_an_ordinary_convolution_away_from_the_cut(rng: torch.Generator) -> None:
    conv = MoebiusConv(["trivial"], ["trivial"], 3).double()
    f, kernel = drawn(1, rng), (conv.kernel + conv.kernel.flip(2)).detach() / 2
    plain = torch.nn.functional.conv2d(f, kernel, conv.bias, padding=1)
    assert (conv(f)[..., 1:-1] - plain[..., 1:-1]).abs().max() < 1e-12
    assert (conv(f)[..., 0] - plain[..., 0]).abs().max() > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_networks_answer_alike_wherever_the_digit_is(kind: str) -> None:
    x = torch.rand(6, 1, 8, 8, dtype=torch.float64)
    moved, network = place(x, W, torch.Generator().manual_seed(3)), MoebiusNetwork(kind, 4).double()
    assert (moved - place(x, W)).abs().amax((1, 2, 3)).median() > 0.1
    assert (network(moved) - network(place(x, W))).abs().max() < 1e-12
    plain = MoebiusNetwork("plain", 4).double()
    assert (plain(moved) - plain(place(x, W))).abs().max() > 1e-4


@pytest.mark.slow
def test_a_network_on_the_strip_learns_digits_it_never_saw_moved() -> None:
    train, test = digits8("train"), digits8("test")
    errors = learn_digits(MoebiusNetwork("trivial", 12), train, test, steps=250)
    assert errors["centred"] == errors["moved"] < 0.3
    plain = learn_digits(MoebiusNetwork("plain", 10), train, test, steps=200)
    assert plain["moved"] > plain["centred"] + 0.2


def test_bad_strips_are_refused(rng: torch.Generator) -> None:
    conv = MoebiusConv(["sign"], ["sign"])
    for words, call in {
        "expected fields": lambda: MoebiusConv(["spinor"], ["sign"]),
        "odd size": lambda: MoebiusConv(["sign"], ["sign"], 4),
        "expected a field": lambda: conv(torch.zeros(1, 2, 5, 8)),
        "W links": lambda: conv(torch.zeros(1, 1, 5, 8), torch.ones(7)),
        "expected digits": lambda: place(torch.zeros(1, 1, 8, 8), 7),
    }.items():
        with pytest.raises(ValueError, match=words):
            call()


# Winds


def test_winds_are_tangent_and_their_noise_has_its_size(rng: torch.Generator) -> None:
    x, _ = spread(bumpy_ball(), 500, dtype=torch.float64)
    winds, n = draw_winds(bumpy_ball(), x, 20, rng, noise=0.5), bumpy_ball().normal(x)
    for v in winds:
        assert (v * n).sum(-1).abs().max() < 1e-12
    assert (winds.wind.square().sum(-1).mean(1) - 1).abs().max() < 1e-12
    assert abs(float((winds.measured - winds.wind).square().sum(-1).mean()) - 0.25) < 0.02


def test_errors_of_the_gauge_network_do_not_depend_on_frames(rng: torch.Generator) -> None:
    x, areas = spread(bumpy_ball(), 120, dtype=torch.float64)
    s = Neighbours(bumpy_ball(), x, areas, 0.6)
    winds, network = draw_winds(bumpy_ball(), x, 2, rng), GaugeNetwork().double().requires_grad_(False)
    gauge = rough_gauge(s, rng)
    turned = Neighbours(bumpy_ball(), x, areas, 0.6, gauge=gauge)  # of the input and of the output
    error = float(relative_error(network, s, winds))
    assert abs(float(relative_error(network, turned, winds)) - error) < 1e-10
    coefficients = lambda t: components(winds.measured, t.frame)[..., None]  # noqa: E731
    lengths = [network(t, coefficients(t)).abs() for t in (s, turned, turned.retake(transport=False))]
    assert (lengths[1] - lengths[0]).norm() < 1e-10 * lengths[0].norm()
    assert (lengths[2] - lengths[0]).norm() > 0.1 * lengths[0].norm()
    plain = CoordinateNetwork().double().requires_grad_(False)
    R = about(2, 1.0)
    y, _ = spread(Sphere(), 120, dtype=torch.float64)
    v = draw_winds(Sphere(), y, 2, rng).measured
    moves = [(Neighbours(Sphere(), y @ T, areas, 0.6), v @ T) for T in (torch.eye(3, dtype=y.dtype), R)]
    out = [network(t, components(u, t.frame)[..., None]).abs() for t, u in moves]
    assert (out[0] - out[1]).norm() < 1e-10 * out[0].norm(), "the network sees distances and angles only"
    out = [plain(t, components(u, t.frame)[..., None]).abs() for t, u in moves]
    assert (out[0] - out[1]).norm() > 1e-2 * out[0].norm(), "coordinates are seen"


@pytest.mark.slow
def test_winds_are_learnt() -> None:
    x, areas = spread(bumpy_ball(), 150)
    s = Neighbours(bumpy_ball(), x, areas, 0.6)
    train, test = (draw_winds(bumpy_ball(), x, m, torch.Generator().manual_seed(m)) for m in (40, 10))
    torch.manual_seed(0)
    error = learn_winds(GaugeNetwork((0, 0, 1, 1)), s, train, test, steps=80)
    blind = rough_gauge(s, torch.Generator().manual_seed(1))
    blind_stencil = s.retake(frame=blind(x), gauge=blind, transport=False)
    torch.manual_seed(0)
    assert error < 0.7 < learn_winds(GaugeNetwork((0, 0, 1, 1)), blind_stencil, train, test, steps=80)

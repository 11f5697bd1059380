"""The layers of L-CNN: exact covariance, the loops they make, and controls without transport."""

from __future__ import annotations

import pytest
import torch

from gdl_lab.lattice import (
    LCNN,
    LatticeConv,
    LBilinear,
    LConv,
    LGate,
    LinkCNN,
    LTrace,
    from_angles,
    gauge_error,
    multiply,
    plaquettes,
    random_gauge,
    random_links,
    regauge,
    regauge_field,
    shift,
    trace,
    transport,
    wilson_loop,
)

LATTICES = [("U(1)", (4, 4)), ("SU(2)", (4, 6)), ("SU(3)", (4, 3)), ("SU(2)", (3, 2, 4)), ("SU(2)", (2, 3, 2, 2))]
each_lattice = pytest.mark.parametrize(("group", "sides"), LATTICES)
each_dtype = pytest.mark.parametrize(("dtype", "bound"), [(torch.complex128, 1e-13), (torch.complex64, 1e-5)])


@each_lattice
@each_dtype
def test_layers_are_covariant_and_the_network_is_invariant(
    group: str, sides: tuple[int, ...], dtype: torch.dtype, bound: float, rng: torch.Generator
) -> None:
    U = random_links(group, sides, 2, generator=rng, dtype=dtype)
    omega = random_gauge(group, sides, 2, generator=rng, dtype=dtype)
    real = torch.float64 if dtype == torch.complex128 else torch.float32
    planes = len(sides) * (len(sides) - 1) // 2
    conv = LConv(planes, 3, len(sides), reach=2).to(real)
    layer = LatticeConv(planes, 3, len(sides)).to(real)
    product, gate = LBilinear(planes, planes, 2).to(real), LGate(planes).to(real)
    layers = [
        lambda U: conv(U, plaquettes(U)),
        lambda U: layer(U, plaquettes(U)),
        lambda U: product(plaquettes(U), plaquettes(U)),
        lambda U: gate(plaquettes(U)),
        lambda U: LTrace()(layer(U, plaquettes(U))),
        LCNN(len(sides), (3, 2)).to(real),
    ]
    if group != "SU(2)":  # whose conjugate is equivalent, so that nothing is odd
        layers.append(LCNN(len(sides), (2,), odd=True, pool="sum", hidden=0, gate=False).to(real).density)
    for f in layers:
        assert gauge_error(f, U, omega) < bound


def test_what_has_no_transport_or_is_not_invariant_is_found_out(rng: torch.Generator) -> None:
    U, omega = random_links("SU(2)", (4, 4), 2, generator=rng), random_gauge("SU(2)", (4, 4), 2, generator=rng)
    assert gauge_error(lambda U: shift(plaquettes(U), 0) + plaquettes(U), U, omega) > 0.3
    assert gauge_error(lambda U: torch.nn.functional.softplus(plaquettes(U).real).to(U.dtype), U, omega) > 0.1
    assert gauge_error(LinkCNN(2).double(), U, omega) > 1e-3


@pytest.mark.parametrize("group", ["U(1)", "SU(2)", "SU(3)"])
def test_a_loop_of_two_plaquettes_is_a_product_of_transported_ones(group: str, rng: torch.Generator) -> None:
    U = random_links(group, (5, 4), 2, generator=rng)
    P = plaquettes(U)
    wide, tall = wilson_loop(U, 0, 1, 2, 1), wilson_loop(U, 0, 1, 1, 2)
    assert float((multiply(transport(U, P, 0), P) - wide).abs().max()) < 1e-13
    assert float((multiply(P, transport(U, P, 1)) - tall).abs().max()) < 1e-13
    if group != "U(1)":  # the order and the links matter
        assert float((multiply(P, transport(U, P, 0)) - wide).abs().max()) > 0.1
        assert float((multiply(shift(P, 0), P) - wide).abs().max()) > 0.1


def test_one_layer_with_known_weights_is_the_loop(rng: torch.Generator) -> None:
    """An LConv that looks one step along axis 0 only, and the product with W on the right."""
    U = random_links("SU(2)", (6, 4), 2, generator=rng)
    P, conv, product = plaquettes(U), LConv(1, 1, 2).double(), LBilinear(1, 1, 1).double()
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[0, 0, 1, 0] = 1.0  # entry 0 is W(x), entry 1 one step along the first axis
        product.weight.copy_(torch.tensor([1.0, 0.0]))
    assert float((product(conv(U, P), P) - wilson_loop(U, 0, 1, 2, 1)).detach().abs().max()) < 1e-13


def test_transport_goes_there_and_back(rng: torch.Generator) -> None:
    U, omega = random_links("SU(3)", (5, 3), generator=rng), random_gauge("SU(3)", (5, 3), generator=rng)
    P = plaquettes(U)
    assert float((transport(U, transport(U, P, 0, 3), 0, -3) - P).abs().max()) < 1e-13
    turned = transport(regauge(U, omega), regauge_field(P, omega), 1, -2)
    assert float((turned - regauge_field(transport(U, P, 1, -2), omega)).abs().max()) < 1e-13


def test_an_odd_network_changes_sign_with_the_charge(rng: torch.Generator) -> None:
    U = random_links("U(1)", (4, 4), 3, generator=rng)
    odd = LCNN(2, (3,), pool="sum", odd=True).double()
    assert float((odd(U) + odd(U.conj())).detach().abs().max()) < 1e-13
    plain = LCNN(2, (3,), pool="sum").double()
    assert float((plain(U) + plain(U.conj())).detach().abs().max()) > 1e-3


def test_networks_take_conjugate_links(rng: torch.Generator) -> None:
    """What PyTorch conjugates only when it is read, too."""
    U = random_links("SU(2)", (4, 4), generator=rng)
    for network in (LCNN(2, (2,)).double(), LinkCNN(2, (4,)).double()):
        assert torch.equal(network(U.conj()), network(U.conj().resolve_conj()))


def test_networks_act_on_every_size_of_lattice_and_have_gradients(rng: torch.Generator) -> None:
    """On a field repeated over a larger torus a mean stays and a sum grows with the volume."""
    U = random_links("SU(2)", (4, 4), 2, generator=rng)
    large = U.repeat(1, 1, 2, 3, 1, 1)
    for make in (lambda pool: LCNN(2, (2, 2), pool=pool), lambda pool: LinkCNN(2, (4,), pool=pool)):
        for pool, factor in (("mean", 1), ("sum", 6)):
            network = make(pool).double()
            assert torch.allclose(network(large), factor * network(U), atol=1e-12)
            network(U).sum().backward()
            assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in network.parameters())


def test_the_traces_of_plaquettes_are_among_the_features(rng: torch.Generator) -> None:
    U = random_links("SU(2)", (4, 4), 2, generator=rng)
    features = LCNN(2, (3,)).double().features(U)
    assert features.shape == (2, 8, 4, 4)
    assert float((features[:, 0] - trace(plaquettes(U)).real[:, 0]).detach().abs().max()) < 1e-14


def test_bad_input_is_named() -> None:
    for wrong in (lambda: LConv(0, 1, 2), lambda: LConv(1, 1, 5), lambda: LBilinear(1, 0, 1), lambda: LCNN(1)):
        with pytest.raises(ValueError, match="expected"):
            wrong()
    with pytest.raises(ValueError, match="pool"):
        LCNN(2, pool="max")
    with pytest.raises(ValueError, match="unitary"):
        LCNN(2)(2 * from_angles(torch.zeros(1, 2, 4, 4)))
    with pytest.raises(ValueError, match="finite and not zero"):
        gauge_error(lambda U: 0 * plaquettes(U), random_links("U(1)", (2, 2)), random_gauge("U(1)", (2, 2)))
    with pytest.raises(ValueError, match="complex links"):
        LinkCNN(1)(torch.zeros(1, 2, 4, 4))

"""Gauge-equivariant convolution: the kernels it may have, its independence of frames, and controls that lose it."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gdl_lab.bundles import (
    GaugeConv,
    Neighbours,
    NormGate,
    Sphere,
    Stencil,
    Surface,
    act,
    bumpy_ball,
    components,
    gauge_error,
    isometry_error,
    kernel_space,
    representation,
    spread,
    torus,
)
from gdl_lab.bundles.kernels import Field
from gdl_lab.claims import surfaces
from gdl_lab.claims.surfaces import SURFACES, Specimen, about

each_surface = pytest.mark.parametrize("name", SURFACES)
each_field = pytest.mark.parametrize("kind", ["complex", "real"])
INS, OUTS = [0, 1], [0, 1, 2]


def field(q: Tensor, frame: Tensor) -> Tensor:
    """A section with a scalar and a vector channel, given by functions on ℝ³."""
    x, y, z = q.unbind(-1)
    scalar = (0.5 * x - 0.3 * y).exp() * (2 * z + x).cos()
    wind = torch.stack([(2 * y).sin(), (2 * z).cos(), x * y], -1)
    return torch.stack([scalar + 0j, components(wind, frame)], -1)


def stencil(known: Specimen, rng: torch.Generator, n: int = 20, radial: int = 6, rays: int = 24) -> Stencil:
    return Stencil(known.surface, known.points(n, rng), radius=0.5, radial=radial, rays=rays)


def layer(rng: torch.Generator, kind: Field = "complex", **options: Any) -> GaugeConv:
    """The random layer of the claims, with a seed that ``rng`` draws."""
    return surfaces.layer(int(torch.randint(2**31, (), generator=rng)), kind, **options)


# Kernels


@pytest.mark.parametrize(("n", "m"), product(range(3), range(4)))
def test_the_kernel_space_has_the_dimension_and_frequencies_of_the_theorem(n: int, m: int) -> None:
    complex_ones, real_ones = kernel_space(n, m), kernel_space(n, m, field="real")
    assert (complex_ones.dimension, complex_ones.frequencies) == (1, [m - n])
    assert real_ones.dimension == (4 if n and m else 2 if n or m else 1)
    assert real_ones.frequencies == sorted({m - n, n - m, m + n, -m - n})
    for space in (complex_ones, real_ones):
        assert space.singular_values[space.dimension] > 0.1 > 1e-12 > space.singular_values[space.dimension - 1]
    assert kernel_space(n, m, reading="active").frequencies == [n - m]
    assert kernel_space(n, m, "C4").frequencies == [f for f in range(-8, 9) if (f - m + n) % 4 == 0]


@each_field
@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 2), (1, 0), (1, 1), (2, 1)])
def test_the_kernels_of_the_layer_are_all_that_there_are(n: int, m: int, kind: Field) -> None:
    """The layer's response to a field on one ring spans, over its parameters, the null space of the constraint."""
    space = kernel_space(n, m, field=kind)
    conv = GaugeConv([n], [m], rings=1, field=kind).double()
    rays = space.basis.shape[1]
    flat = Stencil(Sphere(1e4), torch.tensor([[0.0, 0, 1e4]], dtype=torch.float64), radius=1.0, radial=1, rays=rays)
    flat.angle = torch.zeros_like(flat.angle)
    probes = [1.0] if kind == "complex" or n == 0 else [1.0, 1j]
    kernels = []
    for k in range(len(conv.coefficients)):
        with torch.no_grad():
            conv.coefficients.copy_(torch.eye(len(conv.coefficients), dtype=torch.float64)[k])
            columns = []
            for value in probes:
                at_each_ray = torch.eye(rays, dtype=torch.complex128)[:, None, :, None] * value
                out = conv(flat, at_each_ray)[:, 0, 0]
                columns.append(out[:, None] if kind == "complex" else torch.view_as_real(out)[:, : 2 if m else 1])
        kernels.append(torch.stack(columns, -1))
    ours = torch.stack(kernels).flatten(1)
    theirs = space.basis.flatten(1)
    rank = int(torch.linalg.matrix_rank(ours, rtol=1e-8))
    assert rank == space.dimension
    assert len(conv.coefficients) == space.dimension * (2 if kind == "complex" else 1)
    outside = ours - (ours @ theirs.mH) @ theirs
    assert outside.abs().max() < 1e-6 * ours.abs().max()


def test_representations_are_representations() -> None:
    for spin, kind in product((0, 1, 3), ("complex", "real")):
        a, b, ab = (representation(spin, g, kind) for g in (0.4, 1.1, 1.5))
        assert (a @ b - ab).abs().max() < 1e-15


# Independence of the frames


@each_surface
@each_field
def test_no_choice_of_frames_is_noticed(name: str, kind: Field, rng: torch.Generator) -> None:
    known = SURFACES[name]
    s = stencil(known, rng)
    conv = layer(rng, kind, outs=OUTS if kind == "complex" else INS)
    assert gauge_error(conv, s, field, "input", rng) < 1e-14
    assert gauge_error(conv, s, field, "output", rng) < 1e-9
    assert gauge_error(conv, s, field, "both", rng) < 1e-9


@each_surface
def test_float32_notices_rounding_only(name: str, rng: torch.Generator) -> None:
    s = Stencil(SURFACES[name].surface, SURFACES[name].surface.project(SURFACES[name].points(20, rng).float()))
    assert gauge_error(layer(rng).float(), s, field, "input", rng) < 1e-6


@each_surface
def test_controls_notice_the_frames(name: str, rng: torch.Generator) -> None:
    s = stencil(SURFACES[name], rng)
    assert gauge_error(layer(rng), s.retake(transport=False), field, "input", rng) > 0.5
    assert gauge_error(layer(rng, frequency=lambda m, n: m - n + 1), s, field, "output", rng) > 0.5
    assert gauge_error(layer(rng, frequency=lambda m, n: n - m), s, field, "output", rng) > 0.5, (
        "the talk's line, read actively"
    )


def test_rays_decide_equivariance_and_radii_accuracy(rng: torch.Generator) -> None:
    known, conv = SURFACES["sphere"], layer(rng)
    s = stencil(known, rng, radial=2, rays=24)
    coarse = gauge_error(conv, stencil(known, rng, radial=8, rays=6), field, "output", rng)
    assert gauge_error(conv, s, field, "output", rng) < 1e-11 < 1e-4 < coarse
    exact = conv(s.retake(radial=24, rays=48), s.retake(radial=24, rays=48).sample(field))
    error = [(conv(t, t.sample(field)) - exact).abs().max() for t in (s, s.retake(radial=8), s.retake(radial=12))]
    assert error[0] > 100 * error[1] > 1e4 * error[2]


@each_surface
def test_isometries_commute_with_the_layer(name: str, rng: torch.Generator) -> None:
    known = SURFACES[name]
    s = stencil(known, rng, radial=8)
    assert isometry_error(layer(rng), s, field, known.symmetry) < 1e-12
    with pytest.raises(ValueError, match="rotation"):
        isometry_error(layer(rng), s, field, torch.diag(torch.tensor([1.0, 1, -1], dtype=torch.float64)))
    if name != "sphere":
        tilt = about(1, 0.3)
        with pytest.raises(ValueError, match="on the surface"):
            isometry_error(layer(rng), s, field, tilt)


def test_every_rotation_of_the_sphere_commutes_with_the_layer(rng: torch.Generator) -> None:
    R = torch.linalg.qr(torch.randn(3, 3, generator=rng, dtype=torch.float64)).Q
    s = stencil(SURFACES["sphere"], rng, radial=8)
    assert isometry_error(layer(rng), s, field, R * torch.linalg.det(R)) < 1e-12


def test_the_integral_is_that_of_the_sphere_in_the_plane(rng: torch.Generator) -> None:
    """κ = its Gaussian ring, s = 1: the integral is 2π ∫ κ(r) sin r dr, and no angle matters."""
    conv = GaugeConv([0], [0], rings=1).double()
    nn.init.ones_(conv.coefficients)
    with torch.no_grad():
        conv.coefficients[1] = 0
    s = Stencil(Sphere(), SURFACES["sphere"].points(5, rng), radius=0.6, radial=12)
    r = torch.linspace(0, 0.6, 200_001, dtype=torch.float64)
    kappa = (-((r / 0.6 - 0.5) ** 2)).exp() * (1 - (r / 0.6) ** 2) ** 2 / (math.pi * 0.36)
    expected = 2 * math.pi * torch.trapezoid(kappa * r.sin(), r)
    assert (conv(s, s.sample(lambda q, f: torch.ones_like(q[..., :1]) + 0j)) - expected).abs().max() < 1e-9


# Fields on points


class Network(nn.Module):
    def __init__(self, kind: Field) -> None:
        super().__init__()
        hidden = [0, 0, 1, 1, 2]
        self.outs = OUTS
        self.first, self.second = GaugeConv(INS, hidden, field=kind), GaugeConv(hidden, OUTS, field=kind)
        self.gate = NormGate(hidden, field=kind)

    def forward(self, s: Stencil, c: Tensor) -> Tensor:
        return self.second(s, self.gate(self.first(s, c)))


@each_field
@pytest.mark.parametrize("surface", [Sphere(), bumpy_ball()])
def test_a_network_on_points_sees_no_frames(kind: Field, surface: Surface, rng: torch.Generator) -> None:
    x, areas = spread(surface, 150, dtype=torch.float64)
    s = Neighbours(surface, x, areas, 0.5)
    network = Network(kind).double()
    assert gauge_error(network, s, field, "both", rng) < 1e-13
    assert gauge_error(network, s.retake(transport=False), field, "both", rng) > 0.5

    class Pointwise(Network):
        def forward(self, s: Stencil, c: Tensor) -> Tensor:
            h = self.first(s, c)
            return self.second(s, torch.complex(h.real.relu(), h.imag.relu()))

    assert gauge_error(Pointwise(kind).double(), s, field, "both", rng) > 0.05, "ReLU on components sees them"


def test_the_layer_on_points_tends_to_the_integral(rng: torch.Generator) -> None:
    conv, errors = layer(rng), []
    for n in (400, 1600):
        x, areas = spread(Sphere(), n, dtype=torch.float64)
        s, some = Neighbours(Sphere(), x, areas, 0.5), slice(0, n, n // 40)
        exact = Stencil(Sphere(), x[some], radius=0.5, radial=12, rays=32)
        difference = conv(s, s.sample(field))[some] - conv(exact, exact.sample(field))
        errors.append(float(difference.norm() / conv(exact, exact.sample(field)).norm()))
    assert errors[1] < 0.05
    assert errors[1] < errors[0] / 2


def test_layers_take_batches_and_give_gradients(rng: torch.Generator) -> None:
    s = stencil(SURFACES["torus"], rng, 4)
    c, conv = s.sample(field), layer(rng, "real").requires_grad_()
    both = conv(s, torch.stack([c, 2 * c]))
    assert (both[0] - conv(s, c)).abs().max() < 1e-14
    assert both[..., 0].imag.abs().max() == 0
    both.abs().sum().backward()
    assert conv.coefficients.grad is not None
    assert (conv.coefficients.grad != 0).all(), "no parameter is idle"
    gate = NormGate(OUTS).double()
    c = both.detach()
    angle = torch.rand(c.shape[:-1], generator=rng, dtype=torch.float64)[..., None]
    outs = torch.tensor(OUTS)
    assert (gate(act(outs, angle, c)) - act(outs, angle, gate(c))).abs().max() < 1e-14


# What is refused


def test_bad_input_is_refused_with_what_to_do(rng: torch.Generator) -> None:
    x = SURFACES["torus"].points(2, rng)
    s = Stencil(torus(), x)
    c = s.sample(field)
    outer = torus().project(torch.tensor([[2.8, 0.0, 0.0]], dtype=torch.float64))
    for words, call in {
        "project": lambda: Stencil(torus(), x + 0.1),
        "positive": lambda: Stencil(torus(), x, radius=-1),
        "angles have met": lambda: Stencil(Sphere(), Sphere().project(x), radius=3.2),
        "same place": lambda: Stencil(torus(), outer, radius=2.6, steps=40),
        "one area": lambda: Neighbours(torus(), x, x),
        "complex coefficients": lambda: layer(rng)(s, c.real),
        "shape": lambda: layer(rng)(s, c[..., :1]),
        "complex64": lambda: layer(rng).float()(s, c),
        "spins": lambda: GaugeConv([], [0]),
        "field=": lambda: GaugeConv([0], [0], field="quaternion"),  # type: ignore[arg-type]
        "or 'real'": lambda: NormGate([0], field="quaternion"),  # type: ignore[arg-type]
        "which=": lambda: gauge_error(layer(rng), s, field, "none"),  # type: ignore[arg-type]
        "group": lambda: kernel_space(0, 1, "SU2"),
        "real": lambda: kernel_space(0, 1, field="no"),  # type: ignore[arg-type]
        "bandlimit": lambda: kernel_space(0, 1, bandlimit=-1),
    }.items():
        with pytest.raises(ValueError, match=words):
            call()
    Stencil(torus(), outer, radius=2.45, steps=40)

"""Surfaces: geodesics, transport, curvature and holonomy against closed forms, charts and theorems."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.func import jacfwd, vmap

from gdl_lab.bundles import (
    Sphere,
    Surface,
    act,
    angle_between,
    bumpy_ball,
    components,
    ellipsoid,
    integrate,
    spread,
    torus,
    turn,
    vector,
)
from gdl_lab.claims.surfaces import SURFACES, TAU, Specimen, of_torus, on_rays

each_surface = pytest.mark.parametrize("name", SURFACES)
LEVEL_SPHERE = Surface(lambda x: x.square().sum(-1) - 1)


def tangents(known: Specimen, x: Tensor, length: float, rng: torch.Generator) -> Tensor:
    angle = TAU * torch.rand(x.shape[0], generator=rng, dtype=x.dtype)
    return length * known.surface.frame(x, angle)[:, 0]


# Frames


@each_surface
def test_frames_are_right_handed_and_tangent(name: str, rng: torch.Generator) -> None:
    known = SURFACES[name]
    x = known.points(50, rng)
    frame = known.surface.frame(x, TAU * torch.rand(50, generator=rng, dtype=x.dtype))
    assert (frame @ frame.mT - torch.eye(2, dtype=x.dtype)).abs().max() < 1e-14
    outward = torch.autograd.functional.jacobian(lambda x: known.surface.F(x).sum(), x)
    n = torch.linalg.cross(frame[:, 0], frame[:, 1])
    assert (n - outward / outward.norm(dim=-1, keepdim=True)).abs().max() < 1e-14


def test_the_frame_has_a_value_where_every_gauge_of_the_sphere_must_break() -> None:
    for dtype in (torch.float32, torch.float64):
        south = torch.tensor([[0.0, 0, -1], [1e-12, 0, -1], [0, -1e-5, -1], [0, 0, 1]], dtype=dtype)
        frame = Sphere().frame(Sphere().project(south))
        eps = torch.finfo(dtype).eps
        assert (frame @ frame.mT - torch.eye(2, dtype=dtype)).abs().max() < 8 * eps
        assert (torch.linalg.cross(frame[:, 0], frame[:, 1]) - Sphere().project(south)).abs().max() < 8 * eps


def test_a_pair_of_frame_and_coefficient_is_a_vector(rng: torch.Generator) -> None:
    x = SURFACES["torus"].points(20, rng)
    p = torus().frame(x)
    g = TAU * torch.rand(20, generator=rng, dtype=x.dtype)
    v = torch.complex(*torch.randn(2, 20, generator=rng, dtype=x.dtype))
    assert (vector(act(1, -g, v), turn(p, g)) - vector(v, p)).abs().max() < 1e-14
    assert (vector(act(1, g, v), turn(p, g)) - vector(v, p)).abs().max() > 0.1
    assert (components(vector(v, p), p) - v).abs().max() < 1e-14
    assert (act(3, g, act(3, -g, v)) - v).abs().max() < 1e-14
    turned = angle_between(p, turn(p, g)) - g
    assert ((turned + math.pi) % TAU - math.pi).abs().max() < 1e-13
    quarter = turn(p, math.pi / 2)
    assert (quarter[:, 0] - p[:, 1]).abs().max() < 1e-15, "from e₁ towards e₂"


# Curvature


def test_curvature_is_the_closed_form(rng: torch.Generator) -> None:
    u = TAU * torch.rand(50, 2, generator=rng, dtype=torch.float64)
    K = u[:, 1].cos() / (0.8 * (2 + 0.8 * u[:, 1].cos()))
    assert (torus().curvature(of_torus(u)) - K).abs().max() < 1e-13
    a, b, c = 1.0, 1.3, 0.7
    x = SURFACES["ellipsoid"].points(50, rng)
    h = x[:, 0] ** 2 / a**4 + x[:, 1] ** 2 / b**4 + x[:, 2] ** 2 / c**4
    assert (ellipsoid(a, b, c).curvature(x) - 1 / (a * b * c * h) ** 2).abs().max() < 1e-12
    x = Sphere(2.0).project(x)
    assert (Surface(lambda x: x.norm(dim=-1) - 2).curvature(x) - 0.25).abs().max() < 1e-14
    assert (Sphere(2.0).curvature(x) - 0.25).abs().max() == 0


@pytest.mark.slow
def test_gauss_bonnet() -> None:
    assert abs(integrate(torus().curvature, of_torus, (0, 0), (TAU, TAU), 64)) < 1e-10
    for surface in (Sphere(), ellipsoid(), bumpy_ball()):
        x, area = spread(surface, 4000, dtype=torch.float64)
        assert abs(float((surface.curvature(x) * area).sum()) - 2 * TAU) < 0.03, "2π times the Euler number 2"


def test_areas_are_those_that_are_known() -> None:
    assert abs(integrate(lambda x: torch.ones_like(x[..., 0]), of_torus, (0, 0), (TAU, TAU)) - TAU**2 * 1.6) < 1e-10
    x, area = spread(Sphere(1.5), 1000, dtype=torch.float64)
    assert abs(float(area.sum()) - 2 * TAU * 1.5**2) < 1e-9
    assert (x.norm(dim=-1) - 1.5).abs().max() < 1e-12


# Geodesics


def test_geodesics_of_the_sphere_as_a_level_set_are_great_circles(rng: torch.Generator) -> None:
    known = SURFACES["sphere"]
    x, length = known.points(100, rng), 0.6
    X = tangents(known, x, length, rng)
    exact = known.surface.exp(x, X)
    assert (exact.q - (x * math.cos(length) + X / length * math.sin(length))).abs().max() < 1e-15
    assert (exact.sqrt_det - math.sin(length) / length).abs().max() < 1e-15
    errors = []
    for steps in (5, 10, 20):
        found = LEVEL_SPHERE.exp(x, X, steps=steps)
        errors.append(max(float((a - b).abs().max()) for a, b in zip(found, exact, strict=True)))
    assert errors[1] < 1e-6
    slope = math.log(errors[0] / errors[2]) / math.log(4)
    assert 3.5 < slope < 5.5, "Runge and Kutta's method is of fourth order"


def test_geodesics_of_a_plane_are_straight(rng: torch.Generator) -> None:
    plane, (x, v) = Surface(lambda x: x[..., 2]), torch.randn(2, 10, 3, generator=rng, dtype=torch.float64)
    x, v = plane.project(x), plane.tangent(plane.project(x), v)
    q, frame, sqrt_det = plane.exp(x, v)
    assert (q - x - v).abs().max() < 1e-14
    assert (frame - plane.frame(x)).abs().max() < 1e-14
    assert (sqrt_det - 1).abs().max() < 1e-14
    assert plane.curvature(x).abs().max() == 0


@each_surface
def test_geodesics_keep_their_speed_and_stay_on_the_surface(name: str, rng: torch.Generator) -> None:
    known = SURFACES[name]
    x = known.points(200, rng)
    X = tangents(known, x, 0.5, rng)
    points, velocities = known.surface.geodesic(x, X, steps=10)
    assert ((velocities.norm(dim=-1) / 0.5) ** 2 - 1).abs().max() < 1e-5
    assert known.surface.F(points).abs().max() < 1e-5
    q, frame, _ = known.surface.exp(x, X, steps=10)
    assert known.surface.F(q).abs().max() < 1e-9
    assert (frame @ frame.mT - torch.eye(2, dtype=x.dtype)).abs().max() < 1e-14
    assert (points[-1] - q).abs().max() < 1e-5


def by_christoffel(chart, u: Tensor, velocity: Tensor, steps: int) -> Tensor:  # type: ignore[no-untyped-def]
    """The geodesic of a chart by its Christoffel symbols, the textbook's way."""

    def metric(u: Tensor) -> Tensor:
        J = jacfwd(chart)(u)
        return J.mT @ J

    def rate(y: Tensor) -> Tensor:
        g, dg = metric(y[:2]), jacfwd(metric)(y[:2])
        gamma = torch.linalg.solve(g, (dg.permute(0, 2, 1) + dg - dg.permute(2, 0, 1)).flatten(1)).view(2, 2, 2) / 2
        return torch.cat([y[2:], -torch.einsum("kij,i,j->k", gamma, y[2:], y[2:])])

    y, h = torch.cat([u, velocity]), 1 / steps
    for _ in range(steps):
        k1 = rate(y)
        k2 = rate(y + h / 2 * k1)
        k3 = rate(y + h / 2 * k2)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + rate(y + h * k3))
    return chart(y[:2])


@pytest.mark.slow
def test_geodesics_of_the_torus_are_those_of_its_chart(rng: torch.Generator) -> None:
    u = TAU * torch.rand(2, 2, generator=rng, dtype=torch.float64)
    velocity = 0.3 * torch.randn(2, 2, generator=rng, dtype=torch.float64)
    X = torch.einsum("bij,bj->bi", vmap(jacfwd(of_torus))(u), velocity)
    expected = torch.stack([by_christoffel(of_torus, *one, steps=20) for one in zip(u, velocity, strict=True)])
    assert (torus().exp(of_torus(u), X, steps=60).q - expected).abs().max() < 1e-5


@each_surface
def test_density_is_the_determinant_of_the_differential(name: str, rng: torch.Generator) -> None:
    known = SURFACES[name]
    x = known.points(5, rng)
    X, frame, h = tangents(known, x, 0.6, rng), known.surface.frame(x), 1e-4
    sides = [
        (known.surface.exp(x, X + h * e, steps=40).q - known.surface.exp(x, X - h * e, steps=40).q) / (2 * h)
        for e in frame.unbind(1)
    ]
    area = torch.linalg.cross(*sides).norm(dim=-1)
    assert (known.surface.exp(x, X, steps=40).sqrt_det - area).abs().max() < 1e-6


@each_surface
def test_log_inverts_exp(name: str, rng: torch.Generator) -> None:
    known = SURFACES[name]
    x = known.points(20, rng)
    X = tangents(known, x, 0.6, rng)
    assert (known.surface.log(x, known.surface.exp(x, X, steps=20).q, steps=20) - X).abs().max() < 1e-9
    assert known.surface.log(x, x).abs().max() < 1e-12


# Transport and holonomy


@each_surface
def test_transport_along_a_geodesic_keeps_the_angle_with_it(name: str, rng: torch.Generator) -> None:
    """Two independent ways: `exp` turns the frame with the velocity, `transport` rotates normal into normal."""
    known = SURFACES[name]
    x = known.points(1, rng)
    X, v = tangents(known, x, 0.6, rng), tangents(known, x, 1.0, rng)
    path = known.surface.project(known.surface.geodesic(x, X, steps=200)[0][:, 0])
    carried = known.surface.transport(path, v[0])
    assert (carried[0] - v[0]).abs().max() < 1e-14
    assert (carried.norm(dim=-1) - 1).abs().max() < 1e-12
    frame = known.surface.exp(x, X, steps=200).frame[0]
    assert (carried[-1] - vector(components(v[0], known.surface.frame(x)[0]), frame)).abs().max() < 1e-5


def test_holonomy_of_the_octant_is_a_right_angle() -> None:
    octant = torch.eye(3, dtype=torch.float64)[[0, 1, 2, 0]]
    assert abs(Sphere().holonomy(octant) - math.pi / 2) < 1e-12
    assert abs(Sphere().holonomy(octant.flip(0)) + math.pi / 2) < 1e-12
    carried = Sphere().transport(octant, torch.tensor([0.0, 0, 1], dtype=torch.float64))
    assert (carried[-1] - torch.tensor([0.0, -1, 0])).abs().max() < 1e-12


def test_holonomy_is_curvature_times_area(rng: torch.Generator) -> None:
    t = torch.linspace(0, TAU, 40_001, dtype=torch.float64)
    for name in ("sphere", "ellipsoid", "bumpy ball"):
        surface = SURFACES[name].surface
        tilt = 0.3 * torch.randn(2, generator=rng, dtype=torch.float64)

        def disc(u: Tensor, tilt: Tensor = tilt) -> Tensor:
            d = torch.stack([0.4 * u[..., 0] * u[..., 1].cos(), 0.35 * u[..., 0] * u[..., 1].sin()], -1)
            d = torch.cat([d, torch.ones_like(d[..., :1])], -1) + torch.cat([tilt, tilt.new_zeros(1)])
            return d / d.norm(dim=-1, keepdim=True)

        # dA = r² dΩ / (n·d) for a surface seen from the origin, so that the chart is one of the sphere
        def curvature(d: Tensor, surface: Surface = surface) -> Tensor:
            x = on_rays(surface, d)
            return surface.curvature(x) * x.square().sum(-1) / (surface.normal(x) * d).sum(-1)

        loop = on_rays(surface, disc(torch.stack([torch.ones_like(t), t], -1)))
        loop[-1] = loop[0]
        inside = integrate(curvature, disc, (0, 0), (1, TAU), 64)
        assert abs(surface.holonomy(loop) - inside) < 1e-8
        assert abs((4 * surface.holonomy(loop) - surface.holonomy(loop[::2])) / 3 - inside) < 1e-9
    u = torch.stack([0.4 + 0.5 * t.cos(), 0.3 + 0.5 * t.sin()], -1)
    loop = of_torus(u)
    loop[-1] = loop[0]
    disc_of_torus = lambda p: of_torus(  # noqa: E731
        torch.stack([0.4 + 0.5 * p[..., 0] * p[..., 1].cos(), 0.3 + 0.5 * p[..., 0] * p[..., 1].sin()], -1)
    )
    assert abs(torus().holonomy(loop) - integrate(torus().curvature, disc_of_torus, (0, 0), (1, TAU), 64)) < 1e-8


def test_holonomy_does_not_notice_the_gauge(rng: torch.Generator) -> None:
    x = SURFACES["torus"].points(1, rng)
    loop = torus().project(x + 0.15 * torch.randn(30, 3, generator=rng, dtype=x.dtype))
    loop = torch.cat([loop, loop[:1]])
    angle = TAU * torch.rand(30, generator=rng, dtype=x.dtype)
    frame = torus().frame(loop, torch.cat([angle, angle[:1]]))
    links = torus().links(loop), torus().links(loop, frame)
    assert (links[0] - links[1]).abs().max() > 0.1
    assert abs(math.remainder(float((links[0] - links[1]).sum()), TAU)) < 1e-12


# What is refused


def test_float32_stays_float32(rng: torch.Generator) -> None:
    for known in SURFACES.values():
        x = known.surface.project(known.points(5, rng).float())
        for part in known.surface.exp(x, 0.3 * known.surface.frame(x)[:, 0]):
            assert part.dtype == torch.float32


def test_bad_input_is_refused_with_what_to_do(rng: torch.Generator) -> None:
    x = SURFACES["torus"].points(3, rng)
    X = tangents(SURFACES["torus"], x, 0.3, rng)
    frame = torus().frame(x)
    for words, call in {
        "project": lambda: torus().exp(x + 0.1, X),
        "tangent": lambda: torus().exp(x, X + x),
        "step": lambda: torus().exp(x, X, steps=0),
        "finite points": lambda: torus().frame(x * math.nan),
        "finite vectors": lambda: torus().exp(x, X * math.nan),
        "float32": lambda: torus().exp(x, X.float()),
        "shape": lambda: torus().frame(x[:, :2]),
        "rows": lambda: torus().exp(x, X, frame[:, :1]),
        "frames of shape": lambda: torus().exp(x, X, frame.float()),
        "broadcast": lambda: torus().exp(x, X[:2]),
        "broadcast together": lambda: torus().exp(x, X, frame[:2]),
        "shapes that": lambda: torus().log(x, x[:2]),
        "right-handed": lambda: torus().exp(x, X, frame.flip(1)),
        "closed": lambda: torus().holonomy(x),
        "not reached": lambda: Surface(lambda x: x.square().sum(-1) + 1).project(x),
        "vanishes": lambda: Surface(lambda x: x[..., 2] ** 2).frame(x * 0),
        "values": lambda: Surface(lambda x: x),
        "turns about": lambda: Sphere().links(torch.eye(3, dtype=torch.float64)[[0, 0]] * torch.tensor([[1.0], [-1]])),
        "R > r": lambda: torus(1, 2),
        "half-axes": lambda: ellipsoid(0),
        "height": lambda: bumpy_ball(1),
        "radius": lambda: Sphere(0),
        "centre": lambda: Sphere().project(x * 0),
        "opposite": lambda: Sphere().log(Sphere().project(x), -Sphere().project(x)),
        "too far": lambda: torus().log(x[:1], -x[:1]),
        "direction": lambda: spread(torus(), 10),
        "at least one": lambda: spread(Sphere(), 0),
    }.items():
        with pytest.raises(ValueError, match=words):
            call()

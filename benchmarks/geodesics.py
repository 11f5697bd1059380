"""Geodesics and transport beside geomstats: medians of interleaved runs in one process and thread, errors beside them.

geomstats 2.8 wants numpy < 2.4, so it may need an environment of its own; without it our numbers are printed alone.
On the torus both integrate by the classical Runge–Kutta method with equal steps, geomstats in a chart of two angles and
we in ℝ³. Errors are those of the end points against eighty steps of ours. As the coordinates are not the same, neither
are the errors, so we are also timed with as many steps as bring ours below theirs.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.flows import interleaved
from gdl_lab.bundles import Sphere, spread, torus

R, TUBE, STEPS = 2.0, 0.8, 10
F64 = torch.float64


def of_torus(u: Tensor) -> Tensor:
    rho = R + TUBE * u[..., 1].cos()
    return torch.stack([rho * u[..., 0].cos(), rho * u[..., 0].sin(), TUBE * u[..., 1].sin()], -1)


def start(n: int, dtype: torch.dtype = F64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Angles and their velocities, and the same in ℝ³; speeds of 0.6."""
    u = 2 * math.pi * torch.rand(n, 2, dtype=F64)
    du = torch.randn(n, 2, dtype=F64)
    J = torch.func.vmap(torch.func.jacfwd(of_torus))(u)
    du = 0.6 * du / (J @ du[..., None]).norm(dim=1)
    return u, du, of_torus(u).to(dtype), (J @ du[..., None])[..., 0].to(dtype)


def geomstats_torus() -> Any:
    """The torus as an immersed set of geomstats, and its metric's exp by Runge–Kutta."""
    from geomstats.geometry.base import ImmersedSet
    from geomstats.geometry.euclidean import Euclidean
    from geomstats.geometry.pullback_metric import PullbackMetric
    from geomstats.numerics.geodesic import ExpODESolver
    from geomstats.numerics.ivp import GSIVPIntegrator

    class Torus(ImmersedSet):
        def __init__(self) -> None:
            super().__init__(dim=2, equip=False)
            self.equip_with_metric(PullbackMetric)

        def immersion(self, point: Tensor) -> Tensor:
            return of_torus(point)

        def _define_embedding_space(self) -> Any:
            return Euclidean(3)

    space = Torus()

    def exp(u: Tensor, du: Tensor, steps: int = STEPS) -> Tensor:
        solver = ExpODESolver(space, integrator=GSIVPIntegrator(n_steps=steps, step_type="rk4"))
        return solver.exp(du, u)

    return exp


def error(q: Tensor, exact: Tensor) -> float:
    return float((q - exact).norm(dim=-1).max())


def on_the_torus(n: int, theirs: Callable[..., Tensor] | None) -> None:
    """Processor time, since a call of geomstats takes seconds: ours before and after it, median of ten."""
    u, du, x, X = start(n)
    surface = torus(R, TUBE)
    frame = surface.frame(x)
    exact = surface.exp(x, X, frame, steps=80).q
    taken: dict[str, list[float]] = {}
    errors: dict[str, float] = {}

    def run(name: str, call: Callable[[], Tensor], times: int = 1) -> None:
        for _ in range(times):
            began = time.process_time()
            q = call()
            taken.setdefault(name, []).append(1e3 * (time.process_time() - began))
            errors[name] = error(q, exact)

    def ours(steps: int) -> None:
        run(f"ours, {steps} steps", lambda: surface.exp(x, X, frame, steps=steps).q, 5)

    ours(STEPS)
    if theirs is not None:
        run(f"geomstats, {STEPS} steps", lambda: of_torus(theirs(u, du)))
        ours(STEPS)
        goal = errors[f"geomstats, {STEPS} steps"]
        ours(next(s for s in range(1, 80) if error(surface.exp(x, X, frame, steps=s).q, exact) <= goal))
    print(f"torus, {n} geodesics in float64; ours with the carried frame and √det g, geomstats with the end alone")
    show({name: median(times) for name, times in taken.items()}, errors)


def many(n: int) -> None:
    for dtype in (torch.float32, F64):
        _, _, x, X = start(n, dtype)
        surface = torus(R, TUBE)
        x = surface.project(x)
        X = surface.tangent(x, X)
        frame = surface.frame(x)
        taken = []
        for _ in range(7):
            began = time.process_time()
            surface.exp(x, X, frame, steps=STEPS)
            taken.append(1e6 * (time.process_time() - began) / n)
        print(f"torus, {n} geodesics in {str(dtype)[6:]}: {median(taken):.2f} µs of processor time each")


def on_the_sphere(n: int) -> None:
    x, _ = spread(Sphere(), n, dtype=F64)
    frame = Sphere().frame(x, torch.linspace(0, 6, n, dtype=F64))
    X, v = 0.6 * frame[:, 0], (frame[:, 0] - 2 * frame[:, 1]).contiguous()
    one_two = torch.tensor([1.0, -2.0], dtype=F64)

    def ours() -> tuple[Tensor, Tensor]:
        q, carried, _ = Sphere().exp(x, X, frame)
        return q, one_two @ carried

    runs: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {"ours": ours}
    try:
        from geomstats.geometry.hypersphere import Hypersphere
    except ImportError:
        pass
    else:
        metric = Hypersphere(2).metric
        runs["geomstats"] = lambda: (metric.exp(X, x), metric.parallel_transport(v, x, direction=X))
    q = x * math.cos(0.6) + frame[:, 0] * math.sin(0.6)
    along = frame[:, 0] * math.cos(0.6) - x * math.sin(0.6)
    exact = torch.cat([q, along - 2 * frame[:, 1]], -1)
    print(f"sphere, exp and transport of one vector at {n} points in float64")
    show(interleaved(runs, 21, 1), {name: error(torch.cat(run(), -1), exact) for name, run in runs.items()})


def show(times: dict[str, float], errors: dict[str, float]) -> None:
    first = next(iter(times))
    for name, ms in times.items():
        print(f"  {name:22} {ms:10.2f} ms {ms / times[first]:8.2f} × {first}   error {errors[name]:.1e}")


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    os.environ["GEOMSTATS_BACKEND"] = "pytorch"
    try:
        theirs = geomstats_torus()
    except ImportError as reason:
        theirs = None
        print(f"geomstats is not installed, left out ({reason})", file=sys.stderr)
    on_the_torus(4, theirs)
    on_the_torus(40, theirs)
    many(50_000)
    for n in (100, 10_000):
        on_the_sphere(n)


if __name__ == "__main__":
    main()

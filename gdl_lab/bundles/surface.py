r"""Surfaces {F = 0} in ℝ³: geodesics, parallel transport, curvature and holonomy, from F and its derivatives alone.

No chart and so no pole, no mesh, and any smooth F. Surfaces are oriented by n = ∇F/|∇F|; tangent vectors are vectors of
ℝ³. Write H for the Hessian of F. A geodesic bends along the normal only, by as much as keeps it on the surface,

    ẍ = −(ẋᵀHẋ / |∇F|²) ∇F,                                                                         (1)

and two that leave x at the angle dθ are J dθ apart, with J̈ = −K|ẋ|²J, J(0) = 0, J̇(0) = |X|, so that √det g of normal
coordinates is J/|X| at time 1. On a surface the frame needs no equation of its own: parallel transport keeps the
angle with ẋ.

Dtype and device are those of the points; results are constants for autograd.

Source: do Carmo, "Riemannian Geometry", ch. 3 and 5.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from gdl_lab.bundles.ambient import (
    Function,
    check_points,
    derivatives,
    dot,
    length,
    shortest_rotation,
    tiny,
    tolerance,
    unit,
)
from gdl_lab.bundles.gauge import angle_between, components, turn, vector

__all__ = ["Exp", "Surface"]


class Exp(NamedTuple):
    """What `Surface.exp` finds at exp_x X.

    Attributes:
        q: the point exp_x X, shape ``(…, 3)``.
        frame: the frame of x, carried along the geodesic to q, shape ``(…, 2, 3)``.
        sqrt_det: √det g of the metric in normal coordinates at X, shape ``(…,)``; zero where geodesics from x meet.
    """

    q: Tensor
    frame: Tensor
    sqrt_det: Tensor


class Surface:
    r"""The level set {F = 0} of a function that grows from inside to outside.

    Args:
        F: smooth, ``(…, 3)`` → ``(…,)`` by PyTorch operations, with ∇F ≠ 0 where F = 0.

    Example:
        >>> egg = Surface(lambda x: x.square().sum(-1) + 0.3 * x[..., 2] ** 3 - 1)
        >>> x = egg.project(torch.tensor([[0.6, 0.5, 0.4]]))
        >>> q, frame, sqrt_det = egg.exp(x, 0.5 * egg.frame(x)[:, 0])

    Raises:
        ValueError: an F that gives another shape.
    """

    def __init__(self, F: Function) -> None:
        value = F(torch.ones(2, 3))
        if not isinstance(value, Tensor) or value.shape != (2,):
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"expected F to take points (2, 3) to values (2,), and it gave {got}")
        self.F = F

    def project(self, x: Tensor, *, steps: int = 50) -> Tensor:
        """The points of the surface that Newton's method along ∇F reaches from x, shape ``(…, 3)``.

        Raises:
            ValueError: x of another shape, or a point from which the surface is not reached.
        """
        check_points(x)
        q = x
        for _ in range(steps):
            q = self._nearer(q)
        off = self._distance(q)
        if not bool((off <= tolerance(q)).all()):
            raise ValueError(
                f"from {int((~(off <= tolerance(q))).sum())} of {off.numel()} points the surface is not reached: "
                "start nearer to it"
            )
        return q

    def normal(self, x: Tensor) -> Tensor:
        """n = ∇F/|∇F|, shape ``(…, 3)``. Raises `ValueError` for points that are not on the surface."""
        return self._check_on(x)

    def tangent(self, x: Tensor, v: Tensor) -> Tensor:
        """The part of vectors v that is tangent to the surface at x. Raises as `normal`."""
        n = self.normal(x)
        return v - dot(v, n) * n

    def frame(self, x: Tensor, angle: float | Tensor = 0.0) -> Tensor:
        """A gauge, i.e. a section of the frame bundle: one orthonormal frame a point, shape ``(…, 2, 3)``.

        The x- and y-axes, taken to the tangent plane by the shortest rotation of the z-axis to n. It is smooth but
        for where n = −z, and for a sphere one such point is the fewest there can be. ``angle`` turns it: any gauge is
        this one turned by some angle ``(…,)``.

        Raises:
            ValueError: as `normal`.
        """
        return turn(shortest_rotation(self.normal(x)), angle)

    def curvature(self, x: Tensor) -> Tensor:
        """Gauss's K = (h₁₁h₂₂ − h₁₂²)/|∇F|² with h = H in an orthonormal frame, shape ``(…,)``. Raises as `normal`."""
        e1, e2 = self.frame(x).unbind(-2)
        g, H = derivatives(self.F, x)
        He1, He2 = H(e1), H(e2)
        return ((dot(e1, He1) * dot(e2, He2) - dot(e1, He2) ** 2) / dot(g, g))[..., 0]

    @torch.no_grad()
    def exp(self, x: Tensor, X: Tensor, frame: Tensor | None = None, steps: int = 8) -> Exp:
        r"""Along the geodesics that leave x with velocity X, to time 1: exp_x X, the frame carried there, and √det g.

        Equation (1) and that of J by the classical Runge–Kutta method, so errors go with ``steps``⁻⁴; the end is
        put back on the surface.

        Args:
            x: points on the surface, shape ``(…, 3)``.
            X: tangent vectors, a shape that broadcasts with that of x.
            frame: the frame to carry, shape ``(…, 2, 3)``, broadcast likewise; ``None`` takes ``frame(x)``.
            steps: Runge–Kutta steps a geodesic.

        Raises:
            ValueError: x is not on the surface, X or the frame are not tangent, shapes do not fit, steps below one.
        """
        x, X, n, shape = self._check_tangent(x, X, steps)
        frame = shortest_rotation(n) if frame is None else self._check_frame(n, frame, shape)
        *_, (q, v, J) = self._march(x, X, steps)
        q = self._nearer(q)
        n = self._normal(q)
        e1 = unit(v - dot(v, n) * n)
        along = components(unit(X), frame)
        carried = turn(torch.stack([e1, torch.linalg.cross(n, e1)], -2), -along.angle())
        carried = torch.where((X == 0).all(-1)[:, None, None], frame, carried)
        return Exp(q.contiguous().view(*shape, 3), carried.view(*shape, 2, 3), J.reshape(shape))

    @torch.no_grad()
    def geodesic(self, x: Tensor, X: Tensor, steps: int = 8) -> tuple[Tensor, Tensor]:
        """Points and velocities of the geodesics t ↦ exp_x(tX) at t = 0, 1/steps, …, 1, shapes ``(steps + 1, …, 3)``.

        As the integrator leaves them: how far they are off the surface, and how much |ẋ| changes, is its error.
        Raises as `exp`.
        """
        x, X, _, shape = self._check_tangent(x, X, steps)
        path = [(x, X), *((q, v) for q, v, _ in self._march(x, X, steps))]
        points, velocities = (torch.stack(part).reshape(steps + 1, *shape, 3) for part in zip(*path, strict=True))
        return points, velocities

    @torch.no_grad()
    def log(self, x: Tensor, y: Tensor, steps: int = 8) -> Tensor:
        """The tangent vector X at x with exp_x X = y, shape ``(…, 3)``, by Newton's method from the straight line.

        The differential of exp_x is 1 along the geodesic and √det g across.

        Raises:
            ValueError: points that are not on the surface, or too far apart for the search to end.
        """
        self._check_on(y)
        _broadcast(x.shape, y.shape)
        X = self.tangent(x, y - x)
        X = X * (length(y - x) / length(X).clamp_min(tiny(x)))
        for _ in range(20):
            q, frame, sqrt_det = self.exp(x, X, steps=steps)
            missing, u = components(y - q, frame), components(unit(X), self.frame(x))
            if bool(((y - q).norm(dim=-1) <= tolerance(y) * 1e-2).all()):
                return X
            u = torch.where(u == 0, torch.ones_like(u), u)
            missing = missing / u
            missing = torch.complex(missing.real, missing.imag / sqrt_det)
            X = X + vector(missing * u, self.frame(x))
            if not bool(X.isfinite().all()):
                break
        raise ValueError("some points are too far apart: expected pairs that one short geodesic joins")

    def links(self, curve: Tensor, frame: Tensor | None = None) -> Tensor:
        r"""The connection along a curve: angles a_k such that frame k, carried to point k + 1, is frame k + 1 ◁ a_k.

        Parallel transport obeys v̇ = −(v·ṅ)n: it sees nothing of the surface but n, so it is that of the sphere along
        n (Gauss). From one point to the next it is the shortest rotation of n_k to n_{k+1}. On a sphere that is exact
        for points joined by great circles; elsewhere the error of a smooth curve goes with the square of the spacing.

        Args:
            curve: shape ``(m, 3)``.
            frame: the gauge at these points, shape ``(m, 2, 3)``; ``None`` takes ``frame(curve)``.

        Returns:
            Shape ``(m − 1,)``, in (−π, π].

        Raises:
            ValueError: another shape, points off the surface, or normals that turn about between neighbours.
        """
        if curve.ndim != 2 or curve.shape[0] < 2:
            raise ValueError(f"expected a curve of shape (m, 3) with m ≥ 2 points, got {tuple(curve.shape)}")
        n = self.normal(curve)
        frame = shortest_rotation(n) if frame is None else frame
        before, after = n[:-1], n[1:]
        cosine = dot(before, after)
        if bool((cosine < -0.99).any()):
            raise ValueError("the normal turns about between two neighbours: expected a curve of more points")
        v = frame[:-1, 0]
        return angle_between(frame[1:], (v - dot(v, after) / (1 + cosine) * (before + after))[:, None].expand(-1, 2, 3))

    def transport(self, curve: Tensor, v: Tensor) -> Tensor:
        """A tangent vector carried along a curve, as it arrives at every point of it; see `links`.

        Args:
            curve: shape ``(m, 3)``.
            v: tangent at ``curve[0]``, shape ``(3,)``.

        Returns:
            Shape ``(m, 3)``; the first is v, the last has gone all the way.

        Raises:
            ValueError: as `links`; a v that is not tangent.
        """
        a = self.links(curve)
        self._check_tangent(curve[0], v, 1)
        frame = self.frame(curve)
        turned = torch.cat([a.new_zeros(1), a.cumsum(0)])
        return vector(torch.polar(torch.ones_like(turned), turned) * components(v, frame[0]), frame)

    def holonomy(self, curve: Tensor) -> float:
        """The angle in (−π, π] by which a vector has turned when it comes back: ∫K dA over the left of the curve.

        Args:
            curve: closed, shape ``(m, 3)`` with the last point equal to the first.

        Raises:
            ValueError: as `links`; a curve that is not closed.
        """
        if curve.ndim == 2 and not bool(((curve[0] - curve[-1]).norm() <= tolerance(curve)).all()):
            raise ValueError("expected a closed curve, the last point equal to the first: append curve[:1]")
        return math.remainder(float(self.links(curve).sum()), 2 * math.pi)

    def _march(self, x: Tensor, X: Tensor, steps: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """(x, ẋ, J/|X|) after each Runge–Kutta step, for points ``(m, 3)``."""
        y, h = (x, X, torch.zeros_like(x[:, :1]), torch.ones_like(x[:, :1])), 1 / steps
        for _ in range(steps):
            k1 = self._rates(*y)
            k2 = self._rates(*(a + h / 2 * k for a, k in zip(y, k1, strict=True)))
            k3 = self._rates(*(a + h / 2 * k for a, k in zip(y, k2, strict=True)))
            k4 = self._rates(*(a + h * k for a, k in zip(y, k3, strict=True)))
            slopes = zip(y, k1, k2, k3, k4, strict=True)
            y = tuple(a + h / 6 * (p + 2 * (q + r) + s) for a, p, q, r, s in slopes)  # type: ignore[assignment]
            yield y[0], y[1], y[2][:, 0]

    def _rates(self, x: Tensor, v: Tensor, J: Tensor, J_dot: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Time derivatives of (x, ẋ, J, J̇); K|v|² is the determinant of H in the basis v, w = n×v, over |∇F|²|v|²."""
        g, H = derivatives(self.F, x)
        gg = dot(g, g)
        w = torch.linalg.cross(g / gg.sqrt(), v)
        Hv, Hw = H(v), H(w)
        vHv = dot(v, Hv)
        K_vv = (vHv * dot(w, Hw) - dot(v, Hw) ** 2) / (gg * dot(v, v)).clamp_min(tiny(x))
        return v, -(vHv / gg) * g, J_dot, -K_vv * J

    def _gradient(self, x: Tensor) -> Tensor:
        return derivatives(self.F, x)[0]

    def _normal(self, x: Tensor) -> Tensor:
        return unit(self._gradient(x))

    def _nearer(self, x: Tensor) -> Tensor:
        """One step of Newton's method along ∇F."""
        g = self._gradient(x)
        return x - self.F(x)[..., None] * g / dot(g, g)

    def _distance(self, x: Tensor) -> Tensor:
        """Distance from the surface to first order, |F|/|∇F|."""
        return self.F(x).abs() / length(self._gradient(x))[..., 0]

    def _check_on(self, x: Tensor) -> Tensor:
        """The normal at points that are on the surface."""
        check_points(x)
        g = self._gradient(x)
        size = length(g)
        if not bool((size > 0).all()):
            raise ValueError("∇F vanishes at some points: the level set is no surface there")
        off = self.F(x).abs() / size[..., 0]
        if bool((off > tolerance(x)).any()):
            raise ValueError(
                f"expected points on the surface, got {int((off > tolerance(x)).sum())} of {off.numel()} off it, up "
                f"to {float(off.max()):.1e} away: project(x) brings them there"
            )
        return g / size

    def _check_tangent(self, x: Tensor, X: Tensor, steps: int) -> tuple[Tensor, Tensor, Tensor, torch.Size]:
        """Points, vectors and normals of one shape ``(m, 3)``, and the shape ``…`` that they had together.

        In memory component comes after component: PyTorch then works on three long rows, three times as fast.
        """
        if steps < 1:
            raise ValueError(f"expected at least one step, got {steps}")
        n = self._check_on(x)
        if X.shape[-1:] != (3,) or X.dtype != x.dtype or X.device != x.device or not bool(X.isfinite().all()):
            raise ValueError(
                f"expected finite vectors (…, 3) of {x.dtype} on {x.device}, got {tuple(X.shape)} of {X.dtype} on "
                f"{X.device}"
            )
        shape = _broadcast(x.shape, X.shape)
        off = dot(n, X)[..., 0].abs() - tolerance(x) * (length(X)[..., 0] + 1e-3)
        if bool((off > 0).any()):
            raise ValueError(
                f"expected tangent vectors, got one with a part {float(off.max()):.1e} along the normal: "
                "tangent(x, X) takes it away"
            )
        x, X, n = (t.expand(shape).reshape(-1, 3).mT.contiguous().mT for t in (x, X, n))
        return x, X, n, shape[:-1]

    def _check_frame(self, n: Tensor, frame: Tensor, shape: torch.Size) -> Tensor:
        if frame.shape[-2:] != (2, 3) or frame.dtype != n.dtype or _broadcast(frame.shape[:-2], shape) != shape:
            raise ValueError(
                f"expected frames of shape {(*shape, 2, 3)} in {n.dtype}, rows e₁ and e₂, got {tuple(frame.shape)} in "
                f"{frame.dtype}"
            )
        frame = frame.expand(*shape, 2, 3).reshape(-1, 2, 3)
        if bool(((torch.linalg.cross(frame[:, 0], frame[:, 1]) - n).abs() > 10 * tolerance(n)).any()):
            raise ValueError("expected right-handed orthonormal frames of the tangent planes at x, as frame(x) gives")
        return frame


def _broadcast(one: torch.Size, other: torch.Size) -> torch.Size:
    try:
        return torch.broadcast_shapes(one, other)
    except RuntimeError:
        raise ValueError(f"expected shapes that broadcast together, got {tuple(one)} and {tuple(other)}") from None

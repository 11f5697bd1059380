"""Right answers that differ from the printed solutions: a checker must not mistake another way for a mistake."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import simpson
from torch import Tensor

from gdl_lab.exercises import check
from gdl_lab.lattice import from_angles, topological_charge, wilson_loop


def layer_by_loops(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    z = torch.zeros(len(x), len(w))
    for i, j in itertools.product(range(len(x)), range(len(w))):
        z[i, j] = max(float((w[j] * x[i]).sum() + b[j]), 0.0)
    return z


def gradient_by_samples(x: Tensor, y: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    total = torch.zeros(w1.shape)
    for one, target in zip(x, y, strict=True):
        a = w1 @ one + b1
        residual = w2 @ a.clamp(min=0) + b2 - target
        for j in range(len(w1)):
            if a[j] > 0:
                total[j] += float(2 * residual * w2[0, j]) * one
    return total


def uniform_weights(m: int, n: int, generator: torch.Generator) -> Tensor:
    bound = (6 / n) ** 0.5
    return bound * (2 * torch.rand(m, n, generator=generator) - 1)


def pieces_by_slopes(x: Tensor, y: Tensor) -> int:
    slopes = ((y[1:] - y[:-1]) / (x[1:] - x[:-1])).tolist()
    pieces, previous, bent = 1, slopes[0], False
    for slope in slopes[1:]:
        changed = abs(slope - previous) > 1e-6
        pieces += changed and not bent
        bent, previous = changed, slope
    return pieces


def density_of_torch(x: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    return torch.distributions.Normal(mu, sigma).log_prob(x).sum(1)


def density_by_covariance(x: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    return torch.distributions.MultivariateNormal(mu, torch.diag(sigma**2)).log_prob(x)


def inverse_in_place(x: Tensor, s: Callable[..., Tensor], t: Callable[..., Tensor]) -> tuple[Tensor, Tensor]:
    d = x.shape[1] // 2
    kept = x[:, :d].clone()
    x[:, d:] -= t(kept)
    x[:, d:] /= s(kept).exp()
    return x, s(kept).neg().sum(dim=1)


def alternate_by_swapping(z: Tensor, layers: list[Callable[..., Any]]) -> tuple[Tensor, Tensor]:
    a, b = z.chunk(2, 1)
    sums = []
    for layer in layers:
        b, one = layer(a, b)
        a, b = b, a
        sums.append(one)
    return torch.cat([b, a] if len(layers) % 2 else [a, b], 1), torch.stack(sums).sum(0)


def bits_by_the_cell(log_q: Tensor, b: int, D: int) -> Tensor:
    return -(log_q - D * b * math.log(2)) / math.log(2) / D


def mean_by_quadrature(T: float) -> float:
    z = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    cool = torch.distributions.Normal(0.0, T).log_prob(z).exp()
    return float((cool * torch.distributions.Normal(0.0, 1.0).log_prob(z)).sum() / cool.sum())


def metric_by_rows(J: Tensor) -> Tensor:
    return torch.stack([torch.stack([(row * one).sum(1) for row in J.unbind(1)], 1) for one in J.unbind(1)], 1)


def step_by_base_space(x: Tensor, lam: float, gradient: Any, pull: Any, jacobian: Any) -> Tensor:
    J = jacobian(pull(x))
    w = torch.einsum("bij,bi->bj", J, gradient(x))
    return x + lam * torch.einsum("bij,bj->bi", J, w)


def apply_by_matrices(g: Callable[[Tensor], Tensor], z: Tensor, v: Tensor) -> Tensor:
    rows = []
    for one, covector in zip(z, v, strict=True):
        J = torch.autograd.functional.jacobian(lambda p: g(p[None])[0], one)
        rows.append(J @ J.T @ covector)
    return torch.stack(rows)


def apply_by_autograd(g: Callable[[Tensor], Tensor], z: Tensor, v: Tensor) -> Tensor:
    z = z.clone().requires_grad_()
    (w,) = torch.autograd.grad(g(z), z, v)
    return torch.autograd.functional.jvp(g, z.detach(), w)[1]


def step_by_backward(
    z: Tensor, decode: Callable[[Tensor], Tensor], score: Callable[[Tensor], Tensor], lr: float
) -> Tensor:
    p = z.clone().requires_grad_()
    score(decode(p)).backward(torch.ones(len(z), dtype=z.dtype))
    assert p.grad is not None
    return z + lr * p.grad


def step_by_the_chain_rule(
    z: Tensor, decode: Callable[[Tensor], Tensor], score: Callable[[Tensor], Tensor], lr: float
) -> Tensor:
    rows = []
    for one in z:
        J = torch.autograd.functional.jacobian(lambda p: decode(p[None])[0], one)
        x = decode(one[None]).detach().requires_grad_()
        score(x).sum().backward()
        assert x.grad is not None
        rows.append(one + lr * J.T @ x.grad[0])
    return torch.stack(rows)


def move_by_loops(p: Tensor, slope: Tensor, score: Tensor, lr: float, until: float) -> Tensor:
    return torch.stack([one + lr * s if r < until else one for one, s, r in zip(p, slope, score, strict=True)])


def density_of_a_normal(z: Tensor, log_det: Tensor) -> Tensor:
    return torch.distributions.Normal(0.0, 1.0).log_prob(z).mean(1) + log_det / z.shape[1]


def distance_by_many_points(x: Tensor) -> Tensor:
    t = torch.linspace(-0.75 * math.pi, 0.75 * math.pi, 5000, dtype=x.dtype)
    return torch.cdist(x, torch.stack([t.cos(), t.sin()], 1)).amin(1)


def maps_of_grey(x: Tensor, other: Tensor) -> Tensor:
    maps = other.mean(1) - x.mean(1)
    return maps / max(float(maps.max()), float(-maps.min()))


def across_by_solving(gamma_inv: Tensor, normal: Tensor) -> Tensor:
    """By the definition: n is γ-orthogonal to the tangent space, and ν(n) = 1."""
    nu = normal / normal.norm(dim=1, keepdim=True)
    n = torch.linalg.solve(torch.linalg.inv(gamma_inv), nu)
    n = n / (nu * n).sum(1, keepdim=True)
    return 1 / torch.einsum("bi,bij,bj->b", n, torch.linalg.inv(gamma_inv), n)


def move_by_indices(f: Tensor, r: int) -> Tensor:
    moved = torch.zeros_like(f)
    for h in range(4):
        one = f[:, h]
        for _ in range(r):
            one = one.transpose(1, 2).flip(1)  # a quarter turn anticlockwise
        moved[:, (h + r) % 4] = one
    return moved


def lift_by_turning_pictures(kernel: Tensor, x: Tensor) -> Tensor:
    """A map at g is the correlation of the picture turned back, turned forwards again."""
    maps = []
    for r in range(4):
        back = torch.rot90(x, -r, (2, 3))
        maps.append(torch.rot90(torch.nn.functional.conv2d(back, kernel[None, None], padding=1), r, (2, 3)))
    return torch.cat(maps, 1)


def error_by_all_elements(f: Any, group: Any, rho: Any, sigma: Any, x: Tensor) -> float:
    y = f(x)
    squares = [float((f(rho(g, x)) - sigma(g, y)).square().sum()) for g in group]
    return math.sqrt(max(squares) / float(y.square().sum()))


def set_layer_by_a_matrix(x: Tensor, lam: float, gamma: float) -> Tensor:
    n = x.shape[1]
    return x @ (lam * torch.eye(n) + gamma * torch.ones(n, n))


def irreps_by_weights(l1: int, p1: int, l2: int, p2: int) -> set[tuple[int, int]]:
    """Highest weights, peeled off the weights m₁ + m₂."""
    weights = [m + k for m in range(-l1, l1 + 1) for k in range(-l2, l2 + 1)]
    found = set()
    while weights:
        top = max(weights)
        found.add((top, p1 * p2))
        for m in range(-top, top + 1):
            weights.remove(m)
    return found


def mean_by_simpson(signal: Tensor, beta: Tensor) -> float:
    return float(simpson(signal.mean(1) * beta.sin() / 2, x=beta))


def change_by_cosines(v: Tensor, spin: int, angle: Tensor) -> Tensor:
    c, s = (spin * angle).cos(), (spin * angle).sin()
    return torch.complex(c * v.real + s * v.imag, c * v.imag - s * v.real)


def step_by_rodrigues(v: Tensor, x: Tensor, y: Tensor) -> Tensor:
    axis = torch.linalg.cross(x, y)
    s, c = axis.norm(), x @ y
    k = axis / s
    return c * v + s * torch.linalg.cross(k, v) + (1 - c) * (k @ v) * k


def step_by_two_reflections(v: Tensor, x: Tensor, y: Tensor) -> Tensor:
    middle = (x + y) / (x + y).norm()
    v = v - 2 * (v @ middle) * middle
    return v - 2 * (v @ y) * y


def second_layer_by_sums(F: Tensor, psi: Tensor) -> Tensor:
    n = len(F)
    return torch.stack([sum(F[:, k, None] * psi[k] for k in range(n))])[0] * n**-0.5  # type: ignore[call-overload]


def loop_by_sites(U: Tensor) -> Tensor:
    loops = torch.empty_like(U[:, 0])
    L, T = U.shape[2:4]
    for x, y in itertools.product(range(L), range(T)):
        back = U[:, 1, x, y] @ U[:, 0, x, (y + 1) % T] @ U[:, 0, (x + 1) % L, (y + 1) % T]
        loops[:, x, y] = U[:, 0, x, y] @ U[:, 0, (x + 1) % L, y] @ U[:, 1, (x + 2) % L, y] @ back.mH
    return loops


def charge_by_products(theta: Tensor) -> Tensor:
    u, v = torch.exp(1j * theta).unbind(1)
    P = u * v.roll(-1, 1) / u.roll(-1, 2) / v
    return P.log().imag.sum((1, 2)) / (2 * math.pi)


def layer_of_width_by_rows(K: Tensor, sw2: float, sb2: float) -> list[list[float]]:
    rows = []
    for i in range(len(K)):
        rows.append([])
        for j in range(len(K)):
            root = math.sqrt(K[i, i] * K[j, j])
            c = min(1.0, float(K[i, j]) / root)
            kept = (math.sqrt(1 - c**2) + (math.pi - math.acos(c)) * c) / (2 * math.pi)
            rows[i].append(sw2 * root * kept + sb2)
    return rows


def angle_by_cross_and_dot(u: Tensor, v: Tensor) -> Tensor:
    return torch.atan2(torch.linalg.cross(u, v).norm(dim=1), (u * v).sum(1))


def mean_by_inverse(theta_at: Tensor, theta: Tensor, y: Tensor, rate: float, t: int) -> Tensor:
    left = torch.linalg.matrix_power(torch.eye(len(theta), dtype=theta.dtype) - rate * theta, t)
    return theta_at @ torch.linalg.solve(theta, y - left @ y)


def covariance_by_blocks(K_at: Tensor, cross: Tensor, K: Tensor, A: Tensor) -> Tensor:
    both = torch.cat([torch.eye(len(A), dtype=A.dtype), -A], 1)
    return both @ torch.cat([torch.cat([K_at, cross], 1), torch.cat([cross.T, K], 1)]) @ both.T


def copies_clockwise(W: Tensor) -> Tensor:
    turn = torch.arange(25).view(5, 5).rot90(-1).flatten()
    copies = [W]
    for _ in range(3):
        copies.append(copies[-1][:, turn])
    return torch.stack(copies)


@pytest.mark.parametrize(
    ("checker", "answer"),
    [
        (check.ch00.relu, lambda x: torch.where(x > 0, x, 0.0)),
        (check.ch00.relu, lambda x: (x + x.abs()) / 2),
        (check.ch01.layer, layer_by_loops),
        (check.ch01.layer, lambda x, w, b: (w @ x.T + b[:, None]).clamp(min=0).T),
        (check.ch01.parameters, lambda widths: sum((a + 1) * b for a, b in itertools.pairwise(widths))),
        (check.ch01.backprop, gradient_by_samples),
        (check.ch01.initial_weights, uniform_weights),
        (check.ch01.pieces, pieces_by_slopes),
        (check.ch04.log_density, density_of_torch),
        (check.ch04.log_density, density_by_covariance),
        (check.ch04.inverse, inverse_in_place),
        (check.ch04.inverse, lambda *given: list(inverse_in_place(*given))),
        (check.ch04.alternate, alternate_by_swapping),
        (check.ch04.bits, bits_by_the_cell),
        (check.ch04.mean_log_density, mean_by_quadrature),
        (check.ch04.mean_log_density, lambda T: torch.tensor(-0.5 * (math.log(2 * math.pi) + T**2))),
        (check.ch05.inverse_metric, metric_by_rows),
        (check.ch05.inverse_metric, lambda J: torch.einsum("bij,bkj->bik", J, J).numpy()),
        (check.ch05.step, step_by_base_space),
        (check.ch05.slope, lambda lam, r: math.log(r[1] / r[0], 2) / math.log(lam[1] / lam[0], 2)),
        (check.ch05.slope, lambda lam, r: np.polyfit(np.log10(lam), np.log10(r), 1)[0]),
        (check.ch05.apply, apply_by_matrices),
        (check.ch05.apply, apply_by_autograd),
        (check.ch05.across, across_by_solving),
        (check.ch06.step, step_by_backward),
        (check.ch06.step, step_by_the_chain_rule),
        (check.ch06.move, move_by_loops),
        (check.ch06.log_q_per_dimension, density_of_a_normal),
        (check.ch06.distance_to_arc, distance_by_many_points),
        (check.ch06.difference_maps, maps_of_grey),
        (check.ch07.move, move_by_indices),
        (check.ch07.lift, lift_by_turning_pictures),
        (check.ch07.error, error_by_all_elements),
        (check.ch07.set_layer, set_layer_by_a_matrix),
        (check.ch07.irreps, irreps_by_weights),
        (check.ch07.irreps, lambda *given: np.array(sorted(irreps_by_weights(*given)))),
        (check.ch08.mean, mean_by_simpson),
        (
            check.ch08.mean,
            lambda f, beta: float((f * beta.sin()[:, None]).sum() * (math.pi / len(beta)) / 2 / f.shape[1]),
        ),
        (check.ch08.first_layer, lambda kappa, f, R, x, w: w @ (kappa(x) * f(x @ R.T))),
        (check.ch08.first_layer, lambda kappa, f, R, x, w: float(sum(w * kappa(x @ torch.linalg.inv(R).T) * f(x)))),
        (check.ch08.coefficients, lambda f, kappa: np.multiply.outer(f.numpy(), kappa.numpy().conj())),
        (check.ch08.coefficients, lambda f, kappa: torch.einsum("m,n->mn", f, kappa.conj())),
        (check.ch08.second_layer, second_layer_by_sums),
        (check.ch08.size, lambda L: L * (4 * L**2 - 1) // 3),
        (check.ch08.size, lambda L: torch.tensor(sum((2 * k + 1) ** 2 for k in range(L)))),
        (check.ch09.change, change_by_cosines),
        (check.ch09.change, lambda v, n, a: v.numpy() * np.exp(-1j * n * a.numpy())),
        (check.ch09.step, step_by_rodrigues),
        (check.ch09.step, step_by_two_reflections),
        (check.ch09.latitude, lambda theta, R: 4 * math.pi * math.sin(theta / 2) ** 2),
        (check.ch09.latitude, lambda theta, R: (1 / R**2) * (2 * math.pi * R * R * (1 - math.cos(theta)))),
        (check.ch09.latitude, lambda theta, R: -2 * math.pi * math.cos(theta)),
        (check.ch09.integral, lambda f, r, w: sum(w * f(r) * r * (r.sin() / r)) * 2 * math.pi),
        (check.ch09.integral, lambda f, r, w: float(2 * math.pi * (w * f(r)) @ r.sin())),
        (check.ch09.kernel, lambda theta, n, m: torch.exp(1j * m * theta) * torch.exp(-1j * n * theta)),
        (check.ch09.kernel, lambda theta, n, m: np.exp(1j * (m - n) * theta.numpy())),
        (check.ch10.loop, loop_by_sites),
        (check.ch10.loop, lambda U: wilson_loop(U, 1, 0, 1, 2)[:, 0].mH),
        (check.ch10.line, lambda W, omega: omega @ W @ torch.linalg.inv(omega.roll(-2, 1))),
        (check.ch10.transport_back, lambda U, W: (U.mH @ W @ U).roll(1, 1)),
        (check.ch10.transport_back, lambda U, W: torch.linalg.inv(U.roll(1, 1)) @ W.roll(1, 1) @ U.roll(1, 1)),
        (check.ch10.charge, charge_by_products),
        (check.ch10.charge, lambda theta: topological_charge(from_angles(theta)).round()),
        (check.ch10.ess, lambda log_w: 1 / (len(log_w) * torch.softmax(log_w, 0).square().sum())),
        (
            check.ch10.ess,
            lambda log_w: (2 * log_w.logsumexp(0) - (2 * log_w).logsumexp(0)).exp() / len(log_w),
        ),
        (check.chA1.layer, layer_of_width_by_rows),
        (check.chA1.angle, angle_by_cross_and_dot),
        (check.chA1.mean, mean_by_inverse),
        (check.chA1.mean, lambda *given: mean_by_inverse(*given).numpy()),
        (check.chA1.covariance, covariance_by_blocks),
        (check.chA1.turned_copies, copies_clockwise),
    ],
)
def test_another_way_is_right_too(checker: Callable[[Any], Any], answer: Callable[..., Any]) -> None:
    verdict = checker(answer)
    assert verdict.ok, verdict.hint


def by_autograd(x: Tensor, y: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    w1 = w1.clone().requires_grad_()
    (torch.relu(x @ w1.T + b1) @ w2.T + b2 - y).square().sum().backward()
    assert w1.grad is not None
    return w1.grad


def test_automatic_differentiation_is_not_the_chain_rule_by_hand() -> None:
    assert "automatic differentiation" in check.ch01.backprop(by_autograd).hint


def test_an_answer_may_change_what_it_is_given() -> None:
    def in_place(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        z = torch.relu(x @ w.T + b)
        x.zero_()
        return z

    assert check.ch01.layer(in_place).ok


@pytest.mark.parametrize(
    ("answer", "fragment"),
    [
        (lambda m, n, _: torch.randn(m, n) * (2 / n) ** 0.5, "use the generator"),
        (lambda m, n, _: (2 / n) ** 0.5 * (1 - 2 * (torch.arange(m * n).view(m, n) % 2)), "not random"),
        (lambda m, n, g: torch.rand(m, n, generator=g) * (2 / n) ** 0.5, "not centred"),
        (lambda m, n, g: (2 * torch.rand(m, n, generator=g) - 1) * (2 / n) ** 0.5, "uniform number"),
    ],
)
def test_weights_that_only_look_right(answer: Callable[..., Tensor], fragment: str) -> None:
    verdict = check.ch01.initial_weights(answer)
    assert not verdict.ok
    assert fragment in verdict.hint

"""Checkers of chapter 07: an action on feature maps, a lifting convolution, an error, a layer on sets, irreps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gdl_lab import runtime
from gdl_lab.exercises.verdict import checker, close, expect
from gdl_lab.symmetry import C4, group_correlate

__all__ = ["error", "irreps", "lift", "move", "set_layer"]


def _normal(*shape: int, use: str = "exercises") -> Tensor:
    return torch.randn(shape, generator=runtime.generator(use, *shape))


@checker("Both halves: points move, and so do orientations. (σ(g)f)(h, x) = f(g⁻¹h, g⁻¹x).")
def move(f: Any) -> None:
    """``move(f, r)`` → σ(r)f for f of shape (batch, 4, h, w), orientations in the order of C4, r quarter turns."""
    maps = _normal(2, 4, 5, 5)
    for r in (1, 2, 3):
        given = torch.as_tensor(f(maps, r))
        expect(
            given.shape == maps.shape,
            f"Functions on the group stay such: expected (2, 4, 5, 5), got {tuple(given.shape)}.",
        )
        turned = torch.rot90(maps, r, (2, 3))
        expect(not close(given, maps), "Nothing has moved.")
        expect(
            not close(given, turned),
            "You turn the pictures only. What looked for edges at 0° now finds them at 90°: the orientations move too.",
        )
        expect(
            not close(given, maps.roll(r, 1)),
            "You move the orientations only. Each of the four pictures turns as well.",
        )
        back = torch.rot90(maps, -r, (2, 3))
        expect(
            r == 2 or not close(given, turned.roll(-r, 1)),
            "The orientations move the wrong way: at h stands what was at g⁻¹h. Where does the one at 0 go?",
        )
        expect(
            r == 2 or not close(given, back.roll(r, 1)),
            "The pictures turn the wrong way: r = 1 is a quarter turn anticlockwise, as rot90 has it.",
        )
        expect(
            r == 2 or not close(given, back.roll(-r, 1)),
            "That is σ(g⁻¹): both halves go backwards. The slide's f(ρ⁻¹(g)x) ends here too.",
        )
        expect(
            not close(given, torch.rot90(maps, r, (2, 3)).roll(r, 0)),
            "You roll the batch: the orientations are axis 1.",
        )
        expect(close(given, C4.on_maps(r, maps)), f"Not yet, for r = {r}: turn each picture, then permute axis 1.")


@checker("Four kernels, one set of weights. At g stands the correlation with ρ(g)κ.")
def lift(f: Any) -> None:
    """``lift(kernel, x)`` → (batch, 4, h, w) for κ of shape (3, 3) and x of shape (batch, 1, h, w), zero padding."""
    kernel, x = _normal(3, 3), _normal(2, 1, 6, 6)
    given = torch.as_tensor(f(kernel, x))
    wanted = group_correlate(C4, kernel[None, None], x)[:, 0]

    def with_kernels(kernels: list[Tensor]) -> Tensor:
        return F.conv2d(x, torch.stack(kernels)[:, None], padding=1)

    expect(
        tuple(given.shape) != (2, 4, 4, 4),
        "The picture has shrunk: pad with one pixel of zeros, so that x runs over all of it.",
    )
    expect(
        tuple(given.shape) != (2, 1, 4, 6, 6),
        "There is an axis too many: one channel goes in, and its four maps come out.",
    )
    expect(
        tuple(given.shape) == (2, 4, 6, 6),
        f"A map for each g: expected the shape (2, 4, 6, 6), got {tuple(given.shape)}.",
    )
    expect(not close(given, with_kernels([kernel] * 4)), "Your four maps are the same: the kernel has to turn.")
    expect(
        not close(given, with_kernels([torch.rot90(kernel, -r) for r in range(4)])),
        "Your kernels turn clockwise: the map at g = 1 belongs to κ turned once anticlockwise. (To turn the picture "
        "forwards and the map back comes to the same.)",
    )
    turned = torch.stack(
        [F.conv2d(torch.rot90(x, r, (2, 3)), kernel[None, None], padding=1)[:, 0] for r in range(4)], 1
    )
    expect(
        not close(given, turned),
        "You turn the picture and leave the kernel. Then the maps are turned as well: the point x has moved.",
    )
    expect(
        not close(given, with_kernels([torch.rot90(kernel.flip(0, 1), r) for r in range(4)])),
        "Your kernel lies upside down: (κ⋆f)(g, x) has κ(g⁻¹(y−x)), a correlation, as conv2d computes it.",
    )
    expect(
        not close(given, with_kernels([kernel, kernel.T, kernel.flip(0, 1), kernel.T.flip(0, 1)])),
        "A transposed kernel is mirrored, not turned.",
    )
    expect(close(given, wanted), "Not yet: the first map is the ordinary correlation with κ, the second with rot90(κ).")


@checker("The distance of the two ways round, relative to the output: the same number for every group and every map.")
def error(f: Any) -> None:
    """``error(f, group, rho, sigma, x)`` → the largest ‖f(ρ(g)x) − σ(g)f(x)‖ / ‖f(x)‖ over the elements of group."""
    x, W = _normal(5, 3), _normal(3, 3)
    angles, others = [0.3, 2.5, 1.2, 0.7], [0.3, 1.2, 2.5, 0.7]  # 2.5 has the largest error: in no fixed place

    def rho(angle: float, x: Tensor) -> Tensor:
        c, s = torch.tensor(angle).cos(), torch.tensor(angle).sin()
        return torch.stack([c * x[:, 0] - s * x[:, 1], s * x[:, 0] + c * x[:, 1], x[:, 2]], 1)

    def twice(angle: float, y: Tensor) -> Tensor:
        return rho(2 * angle, y)

    def net(x: Tensor) -> Tensor:
        return torch.tanh(x @ W.T) + 0.1

    y = net(x)
    differences = [net(rho(g, x)) - twice(g, y) for g in angles]
    sizes = [float(d.norm()) for d in differences]
    given, again = (float(torch.as_tensor(f(net, order, rho, twice, x))) for order in (angles, others))
    size = float(y.norm())

    def near(value: float) -> bool:
        return abs(given - value) <= 1e-5 * abs(value)

    expect(not near(max(sizes)), "That is a length. Divide by that of f(x), or a larger network looks worse.")
    expect(not near(sum(sizes) / len(sizes) / size), "That is the mean over the group. The largest is wanted.")
    expect(not near(sum(sizes) / size), "You add up the elements of the group. The largest is wanted.")
    expect(
        near(again) and not near(sizes[-1] / size) and not near(sizes[0] / size),
        "One element decides nothing: take the largest of all.",
    )
    invariant = [float((net(rho(g, x)) - y).norm()) / size for g in angles]
    expect(not near(max(invariant)), "You compare with f(x) itself. That asks for invariance: σ(g) is missing.")
    same = [float((net(rho(g, x)) - rho(g, y)).norm()) / size for g in angles]
    expect(not near(max(same)), "You move the output by ρ(g). Outputs have an action of their own, σ(g).")
    swapped = [float((net(twice(g, x)) - rho(g, y)).norm()) / size for g in angles]
    expect(not near(max(swapped)), "ρ and σ have changed places.")
    expect(not near(max(sizes) / float(x.norm())), "You divide by the length of x: the output may have other units.")
    there = [d / float(net(rho(g, x)).norm()) for g, d in zip(angles, sizes, strict=True)]
    expect(not near(max(there)), "You divide by the length of f(ρ(g)x). It is that of f(x), the same for every g.")
    expect(not near((max(sizes) / size) ** 2), "That is its square.")
    expect(
        not near(max(float(d.abs().max()) for d in differences)),
        "That is the largest entry; a norm over all is wanted.",
    )
    expect(near(max(sizes) / size), f"Not yet: for this network it is {max(sizes) / size:.3f}, you return {given:.3f}.")


@checker("λ for the point itself, γ for all of them: two numbers, for a set of any size.")
def set_layer(f: Any) -> None:
    """``set_layer(x, lam, gamma)`` → (λ1 + γ11ᵀ)x for sets x of shape (batch, n)."""
    for x in (_normal(3, 4), _normal(4, 4, use="square"), _normal(2, 7)):
        lam, gamma = 0.7, -0.4
        given, own, total = torch.as_tensor(f(x, lam, gamma)), lam * x, x.sum(1, keepdim=True)
        expect(
            given.shape == x.shape,
            f"A number for each point: expected the shape {tuple(x.shape)}, got {tuple(given.shape)}.",
        )
        expect(
            not close(given, own + gamma * x.sum(1)) if len(x) == x.shape[1] else True,
            "Your sums land on the wrong axis: each set's sum belongs to its own points.",
        )
        expect(not close(given, own + gamma * x.sum(0)), "You sum over the batch. Each set has a sum of its own.")
        expect(not close(given, own + gamma * total / x.shape[1]), "That is the mean: 11ᵀx is the sum.")
        expect(
            not close(given, own + gamma * (total - x)),
            "You leave the point itself out. 11ᵀ has ones on the diagonal too.",
        )
        expect(not close(given, own + gamma * x.sum()), "You sum over everything. Sets do not know of each other.")
        expect(not close(given, own + gamma), "γ alone is a bias: 1ᵀx is missing.")
        expect(not close(given, own), "Only the point itself: where is γ?")
        expect(not close(given, gamma * x + lam * total), "λ and γ have changed places.")
        expect(close(given, own + gamma * total), "Not yet: for λ = 0 every point gets γ times the sum of its set.")


@checker("Every degree from |l₁−l₂| to l₁+l₂ once, and parities multiply: (2l₁+1)(2l₂+1) numbers in all.")
def irreps(f: Any) -> None:
    """``irreps(l1, p1, l2, p2)`` → pairs (l, p) in l₁p₁ ⊗ l₂p₂, degrees l ≥ 0 and parities p = ±1."""
    for l1, p1, l2, p2 in ((1, -1, 1, -1), (2, 1, 1, -1), (3, -1, 2, 1), (0, 1, 2, -1)):
        given = sorted((float(l), float(p)) for l, p in f(l1, p1, l2, p2))  # noqa: E741
        degrees, wanted = [l for l, _ in given], list(range(abs(l1 - l2), l1 + l2 + 1))  # noqa: E741
        case = f"{l1}{'e' if p1 > 0 else 'o'} ⊗ {l2}{'e' if p2 > 0 else 'o'}"
        expect(
            given != [(p1 * p2, l) for l in wanted],  # noqa: E741
            f"{case}: the two have changed places: pairs (l, p), the degree first.",
        )
        expect(all(l >= 0 for l in degrees), f"{case}: a degree is not negative. Which factor is larger?")  # noqa: E741
        expect(degrees != [2 * l + 1 for l in wanted], f"{case}: these are the dimensions, 2l+1.")  # noqa: E741
        expect(
            degrees != [l1 + l2] or wanted == [l1 + l2], f"{case}: that is the largest. Count: (2l₁+1)(2l₂+1) numbers."
        )
        expect(degrees != wanted[:-1], f"{case}: the largest is missing; a range ends before its end.")
        expect(degrees != wanted[1:], f"{case}: the smallest is missing, |l₁−l₂|.")
        expect(
            degrees != list(range(l1 + l2 + 1)) or wanted[0] == 0,
            f"{case}: you begin at 0. Count the numbers: there are only {(2 * l1 + 1) * (2 * l2 + 1)}.",
        )
        expect(len(set(degrees)) == len(degrees), f"{case}: each degree comes once.")
        expect(
            degrees == wanted,
            f"{case}: your degrees {', '.join(map('{:g}'.format, degrees))} have "
            f"{sum(2 * l + 1 for l in degrees):g} numbers, the product has "  # noqa: E741
            f"{(2 * l1 + 1) * (2 * l2 + 1)}.",
        )
        parities = [p for _, p in given]
        expect(
            parities != [(-1) ** l for l in degrees] or set(parities) == {p1 * p2},  # noqa: E741
            f"{case}: (−1)ˡ is the parity of spherical harmonics. A product of two vectors is even, a × b too.",
        )
        expect(
            parities != [p1 + p2] * len(degrees),
            f"{case}: parities multiply. Under x ↦ −x each factor gets its sign.",
        )
        expect(set(parities) == {p1 * p2}, f"{case}: not these parities. What does x ↦ −x do to the product?")

"""Claims of chapter 08: convolutions on S² and SO(3), aliasing, digits on the sphere, equivariance and augmentation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gdl_lab import data, runtime
from gdl_lab.claims import contest, spheres
from gdl_lab.claims.ledger import at_least, at_most, claim, reported
from gdl_lab.claims.spheres import normal
from gdl_lab.networks import pad_chart
from gdl_lab.recipes import sweeps
from gdl_lab.sphere import (
    S2FFT,
    S2Conv,
    SO3Conv,
    SO3toS2Conv,
    block,
    convolve,
    digits_on_sphere,
    integrate_so2,
    integrate_so3,
    near_identity,
    random_rotations,
    rotate,
    spectrum_size,
)
from gdl_lab.symmetry import equivariance_error, intertwiners, trivial

__all__ = [
    "all_linear_maps", "area_is_kept_by_rotations", "at_equal_budget", "convolutions_are_equivariant",
    "convolutions_are_the_integrals", "given_time", "integrals_at_the_end", "mistakes_break_it",
    "nonlinearity_aliases", "oversampling_at_test_time", "planar_does_not_read", "published_stencil_jumps",
    "reads_turned_digits", "segments_from_upright", "slide_in_fourier_space", "turned_as_well_as_upright",
    "with_fewer_digits",
]  # fmt: skip

SPHERE, AUGMENTATION = "spherical-convolutions", "equivariance-versus-augmentation"
Convolution = Callable[[Tensor, Sequence[Tensor]], Tensor]


def _relative(given: Tensor, wanted: Tensor) -> float:
    return float((given - wanted).abs().max() / wanted.abs().max())


def _rotations(n: int, seed: int) -> Tensor:
    return random_rotations(n, runtime.generator("rotations", seed))


def _turn(bandlimit: int) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda R, coeffs: rotate(coeffs, R, bandlimit)


# Convolutions


@claim("sphere.convolutions_are_the_integrals", talk=SPHERE, bound=at_most(1e-10))
def convolutions_are_the_integrals(*, layer: Convolution | None = None) -> dict[str, float | str]:
    """Both convolutions, computed in Fourier space, are the integrals that the talk writes down, by quadrature.

    The largest deviation over a few R and S, relative; ``R_for_its_inverse`` is that of ∫ κ(Rx) f(x) dx.

    Args:
        layer: ``layer(coeffs, kernel)``, the package's `convolve` if not given.
    """
    seed, layer = runtime.fresh_seed(), layer or convolve
    L = 5
    kappa, f = normal(2, L * L, seed=seed)
    R, (x, w) = _rotations(4, seed), spheres.sphere_quadrature(L)
    values = w * spheres.on_sphere(f, L, x)
    first, turned = (spheres.on_sphere(kappa, L, x @ turn) @ values for turn in (R, R.mT))  # x @ R is R⁻¹x
    K = [block(kappa, l, 1)[:, 0].view(1, -1, 1, 1) / math.sqrt(2 * l + 1) for l in range(L)]  # noqa: E741
    ours = spheres.on_group(layer(f[:, None, None], K)[:, 0, 0], L, R)

    L = 3
    psi, F = normal(2, spectrum_size(L), seed=seed)
    S, (R, w) = _rotations(3, seed + 1), spheres.group_quadrature(L)
    second = spheres.on_group(psi, L, R.mT @ S[:, None]) @ (w * spheres.on_group(F, L, R))
    K = [block(psi, l)[..., None, None] / math.sqrt(2 * l + 1) for l in range(L)]  # noqa: E741
    later = spheres.on_group(layer(F[:, None, None], K)[:, 0, 0], L, S)
    value = max(_relative(ours, first), _relative(later, second))
    return {"value": value, "R_for_its_inverse": _relative(ours, turned), "seed": str(seed)}


@claim("sphere.slide_in_fourier_space", talk=SPHERE, bound=at_most(1e-10))
def slide_in_fourier_space() -> dict[str, float | str]:
    """In the complex basis it is f^l_m and the conjugate of κ^l_n that go with the conjugate of D^l_mn.

    The deviation of Σ f^l_m κ̄^l_n D̄^l_mn(R) from ∫ κ(R⁻¹x) f(x) dx, for real f and κ. ``as_written`` is that of
    κ^l_m f^l_n, on D or on its conjugate, the better of both; ``without_conjugate`` (f^l_m κ^l_n, which is also the
    slide's line if its D stands for D(R⁻¹)) and ``without_exchange`` (κ̄^l_m f^l_n) correct one half.
    """
    seed, L = runtime.fresh_seed(), 4
    kappa, f = normal(2, L * L, seed=seed)
    R, (x, w) = _rotations(6, seed), spheres.sphere_quadrature(L)
    truth = (spheres.on_sphere(kappa, L, x @ R) @ (w * spheres.on_sphere(f, L, x))).numpy()
    Y = spheres.harmonics(L, x)
    adjoint = Y.conj().T * w.numpy()
    D = np.stack([adjoint @ spheres.harmonics(L, x @ turn) for turn in R])
    a, b = (adjoint @ spheres.on_sphere(g, L, x).numpy() for g in (f, kappa))

    def off(left: Any, right: Any, matrices: Any) -> float:
        return float(abs(left @ matrices @ right - truth).max() / abs(truth).max())

    def best(left: Any, right: Any) -> float:
        return min(off(left, right, D), off(left, right, D.conj()))

    written, half, other = best(b, a), best(a, b), best(b.conj(), a)
    value = off(a, b.conj(), D.conj())
    return {
        "value": value if min(written, half, other) > 0.1 else math.inf,
        "as_written": written, "without_conjugate": half, "without_exchange": other, "seed": str(seed),
    }  # fmt: skip


@claim("sphere.convolutions_are_equivariant", talk=SPHERE, bound=at_most(1e-12))
def convolutions_are_equivariant() -> dict[str, float | str]:
    """All three layers, with wide and with local kernels and few right indices, commute with rotations of SO(3).

    ``rotation`` is how far the rotation of a spectrum is from f(R⁻¹x), point by point, and ``single`` the error of the
    layers in float32.
    """
    seed, L, N = runtime.fresh_seed(), 6, 3
    torch.manual_seed(seed)
    group = _rotations(5, seed)
    f, x = normal(L * L, seed=seed), torch.nn.functional.normalize(normal(20, 3, seed=seed), dim=1)
    rotation = max(_relative(spheres.on_sphere(rotate(f, R, L), L, x), spheres.on_sphere(f, L, x @ R)) for R in group)
    worst = {torch.float64: 0.0, torch.float32: 0.0}
    for support in (None, near_identity(0.5, turns=4)):
        for layer in (
            S2Conv(2, 3, L, orders=N, support=support),
            SO3Conv(2, 3, L, orders=N, support=support),
            SO3toS2Conv(2, 3, L, orders=N, support=support),
        ):
            for dtype in worst:
                F = normal(layer.size, 2, 4, seed=seed, dtype=dtype)
                error = equivariance_error(layer.to(dtype), group.to(dtype), _turn(L), _turn(L), F)
                worst[dtype] = max(worst[dtype], error)
    value = max(worst[torch.float64], rotation) if worst[torch.float32] < 5e-6 else math.inf
    return {"value": value, "rotation": rotation, "single": worst[torch.float32], "seed": str(seed)}


@claim("sphere.all_linear_maps", talk=SPHERE, bound=at_most(0))
def all_linear_maps() -> dict[str, int | str]:
    """Convolutions are all the equivariant linear maps there are: dimension of the solutions minus weights of a layer.

    From the equations Wρ(R) = σ(R)W of two random rotations, at bandlimit 3, and 2 between functions of the group.
    """
    seed = runtime.fresh_seed()
    R = _rotations(2, seed)
    D = {L: spheres.wigner(L, R) for L in (2, 3)}

    def on_group(L: int) -> list[Tensor]:
        blocks = [(slice(l * l, (l + 1) ** 2), torch.eye(2 * l + 1).double()) for l in range(L)]  # noqa: E741
        return [torch.block_diag(*(torch.kron(one[s, s].contiguous(), eye) for s, eye in blocks)) for one in D[L]]

    found = {
        "sphere_to_sphere": len(intertwiners(D[3], D[3])),
        "sphere_to_group": len(intertwiners(D[3], on_group(3))),
        "group_to_group": len(intertwiners(on_group(2), on_group(2))),
    }
    layers = S2Conv(1, 1, 3, orders=1), S2Conv(1, 1, 3), SO3Conv(1, 1, 2)
    weights = [layer.weight.numel() for layer in layers]
    value = max(abs(n - m) for n, m in zip(found.values(), weights, strict=True))
    return {"value": value, **found, "seed": str(seed)}


@claim("sphere.integrals_at_the_end", talk=SPHERE, bound=at_most(1e-12))
def integrals_at_the_end() -> dict[str, float | str]:
    """∫ over SO(3) is invariant, ∫ over SO(2) equivariant: their error, and the deviation from means by quadrature."""
    seed, L = runtime.fresh_seed(), 3
    F, group = normal(spectrum_size(L), seed=seed), _rotations(5, seed)
    R, w = spheres.group_quadrature(L)
    mean = (w * spheres.on_group(F, L, R)).sum()
    S, turns = _rotations(4, seed + 1), near_identity(1e-3, 0, turns=2 * L + 1)  # turns about the axis e_y
    fibre = spheres.on_group(F, L, S[:, None] @ turns).mean(1)
    projected = spheres.on_sphere(integrate_so2(F, L), L, S[..., 1])  # R e_y is the second column
    value = max(
        abs(float(integrate_so3(F) - mean)), _relative(projected, fibre),
        equivariance_error(integrate_so3, group, _turn(L), trivial, F),
        equivariance_error(partial(integrate_so2, bandlimit=L), group, _turn(L), _turn(L), F),
    )  # fmt: skip
    return {"value": value, "seed": str(seed)}


# Nonlinearities


@claim("sphere.nonlinearity_aliases", talk=SPHERE, bound=at_most(1e-12))
def nonlinearity_aliases() -> dict[str, float | str]:
    """A nonlinearity on the grid errs by aliasing alone: equivariance error of x², which has none at density 1.5.

    Others are ``relu`` and ``silu`` at several densities, for a random spectrum of bandlimit 8.
    """
    seed = runtime.fresh_seed()
    F, group = spheres.smooth(8, seed), _rotations(3, seed)
    relu = {s: spheres.aliasing(torch.relu, s, F, 8, group) for s in (1.0, 1.5, 2.0)}
    silu = spheres.aliasing(nn.functional.silu, 1.5, F, 8, group)
    square, coarse = (spheres.aliasing(torch.square, s, F, 8, group) for s in (1.5, 1.0))
    falls = relu[1.0] > relu[1.5] > relu[2.0] and min(coarse, relu[2.0]) > 1e-4
    named = {f"relu_{s:g}": error for s, error in relu.items()}
    return {"value": square if falls else math.inf, "square_1": coarse, **named, "silu_1.5": silu, "seed": str(seed)}


@claim("sphere.mistakes_break_it", talk=SPHERE, bound=at_least(0.05))
def mistakes_break_it() -> dict[str, float | str]:
    """ReLU of coefficients, biases on them, an operation on the left index, a kernel on the chart: the smallest error.

    ``right_index`` is the same operation on the other index, a convolution.
    """
    seed, L = runtime.fresh_seed(), 6
    F, group = spheres.smooth(L, seed), _rotations(4, seed)
    error = partial(equivariance_error, group=group, rho_in=_turn(L), rho_out=_turn(L))
    bias, fft = normal(len(F), seed=seed) / 3, S2FFT(L, dtype=torch.float64)
    kernel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=torch.float64)[None, None]

    def mixing(F: Tensor, right: bool) -> Tensor:
        return torch.cat([block(F, l).roll(1, int(right)).flatten(0, 1) for l in range(L)])  # noqa: E741

    def on_chart(f: Tensor) -> Tensor:
        chart = pad_chart(fft.synthesis(f)[None, None])
        return fft.analysis(nn.functional.conv2d(chart, kernel)[0, 0])

    found = {
        "relu_of_coefficients": error(torch.relu, x=F),
        "bias_on_coefficients": error(lambda F: F + bias, x=F),
        "left_index": error(lambda F: mixing(F, False), x=F),
        "kernel_on_the_chart": error(on_chart, x=integrate_so2(F, L)),
    }
    right = error(lambda F: mixing(F, True), x=F)
    return {"value": min(found.values()) if right < 1e-12 else 0.0, **found, "right_index": right, "seed": str(seed)}


# Digits on the sphere


@claim("sphere.published_stencil_jumps", talk=AUGMENTATION, bound=at_most(1e-3))
def published_stencil_jumps() -> dict[str, float]:
    """True bilinear sampling is continuous: the largest step between points of the equator 3·10⁻⁵ apart.

    ``published`` is that of the stencil of width two in the published code.
    """
    x = data.load("digits8", "test").x[:20]
    alpha = torch.linspace(math.pi - 0.3, math.pi + 0.3, 20_000, dtype=torch.float64)
    grid = alpha, torch.tensor([math.pi / 2 - 0.1], dtype=torch.float64)
    steps = [float(digits_on_sphere(x.double(), grid, stencil=stencil).diff(dim=1).abs().max()) for stencil in (1, 2)]
    return {"value": steps[0] if steps[1] > 0.05 else math.inf, "published": steps[1]}


@claim("sphere.area_is_kept_by_rotations", talk=AUGMENTATION, bound=at_most(0.02))
def area_is_kept_by_rotations() -> dict[str, float | str]:
    """Weighted by area, a digit covers the same in every pose: spread of its mean over poses, relative.

    ``points`` counts the points of the chart alike, as the published code does; there a digit grows towards a pole.
    """
    seed, fft = runtime.fresh_seed(), S2FFT(24, dtype=torch.float64)
    x, poses = data.load("digits8", "test").x[:1].double(), _rotations(200, seed)
    signals = digits_on_sphere(x.expand(200, -1, -1, -1), fft.grid(), poses)
    area, points = torch.einsum("bax,b->x", signals, fft.weights), signals.sum((0, 1))
    spreads = [float(one.std() / one.mean()) for one in (area, points)]
    return {"value": spreads[0] if spreads[1] > 0.05 else math.inf, "points": spreads[1], "seed": str(seed)}


@claim("sphere.reads_turned_digits", talk=AUGMENTATION, bound=at_least(0.9), needs="laptop")
def reads_turned_digits(*, readers: spheres.Readers | None = None) -> dict[str, float]:
    """A spherical network trained on 1,000 upright digits reads them in fresh poses: NR/R, share of test digits."""
    upright, turned = spheres.read_shares(readers or spheres.read_digits())["spherical"]
    return {"value": turned, "upright": upright}


@claim("sphere.turned_as_well_as_upright", talk=AUGMENTATION, bound=at_most(0.015), needs="laptop")
def turned_as_well_as_upright(*, readers: spheres.Readers | None = None) -> float:
    """For the spherical network a fresh pose makes no difference: NR/NR and NR/R differ by."""
    upright, turned = spheres.read_shares(readers or spheres.read_digits())["spherical"]
    return abs(upright - turned)


@claim("sphere.planar_does_not_read", talk=AUGMENTATION, bound=at_most(0.3), needs="laptop")
def planar_does_not_read(*, readers: spheres.Readers | None = None) -> dict[str, float]:
    """A planar network with the same upright digits does not read them in fresh poses: NR/R, share of test digits."""
    upright, turned = spheres.read_shares(readers or spheres.read_digits())["planar"]
    return {"value": turned, "upright": upright}


@claim("sphere.oversampling_at_test_time", talk=SPHERE, bound=at_most(0.5), needs="laptop")
def oversampling_at_test_time(*, readers: spheres.Readers | None = None) -> dict[str, float]:
    """Trained weights know no grid: the error of invariance on a grid of density 2 over that on one of density 1.

    For exact rotations of the digits' spectra, relative to the spread of the logits.
    """
    readers = readers or spheres.read_digits()
    errors = {f"at_{s:g}": spheres.pose_error(readers, s) for s in (1.0, 1.5, 2.0, 3.0)}
    return {"value": errors["at_2"] / errors["at_1"], **errors}


@claim("sphere.segments_from_upright", talk=AUGMENTATION, bound=at_least(0.72), needs="laptop")
def segments_from_upright(*, segmenters: spheres.Masks | None = None) -> dict[str, float]:
    """A spherical network trained on 500 upright digits segments them in fresh poses: mean IoU over areas.

    ``unet`` has five rotated copies of each digit and as many steps; background is left out of the mean. The error of
    equivariance, at grids of density 1.25 and 2, is that of the logits under exact rotations.
    """
    segmenters = segmenters or spheres.segment_digits()
    scores = spheres.segment_scores(segmenters)
    errors = {f"error_at_{s:g}": spheres.answer_error(segmenters, s) for s in (1.25, 2.0)}
    return {
        "value": scores["spherical"][1], "upright": scores["spherical"][0], "unet": scores["unet"][1], **errors
    }  # fmt: skip


# The sweep


@claim("sphere.at_equal_budget", talk=AUGMENTATION, bound=reported())
def at_equal_budget() -> dict[str, float]:
    """Segmentation at equal processor time: mean IoU of the spherical network minus that of the best U-Net.

    From the stored sweep, means over seeds. The value is at the spherical network's shortest training, ``after_1000``
    and so on at its longer ones. Scores of a U-Net are read between the lengths of its training, in the logarithm of
    time; the best is chosen by the digits held out, among those of most seeds.
    """
    spherical, unets, _ = contest.contestants(sweeps.stored("sphere-segmentation"))
    return contest.in_equal_time(spherical, unets)


@claim("sphere.four_digits", talk=AUGMENTATION, bound=reported())
def four_digits() -> dict[str, float]:
    """Four digits to a sphere, bandlimit 20, at equal time: mean IoU of the spherical network minus the best U-Net's.

    As `at_equal_budget`, from the stored sweep of four digits, one seed. That U-Net finds the strokes; which digits
    they are it has not begun to tell.
    """
    stored = sweeps.stored("sphere-four-digits")
    spherical, unets, _ = contest.contestants(stored, items=4, bandlimit=20)
    return contest.in_equal_time(spherical, unets)


@claim("sphere.given_time", talk=AUGMENTATION, bound=reported())
def given_time() -> dict[str, float]:
    """Segmentation with as much time as was ever given: mean IoU of the best spherical network minus the best U-Net's.

    From the stored sweep, means over seeds, 500 digits; of each kind the best by digits held out, among the trainings
    of most seeds: a spherical network that saw upright digits, a U-Net that saw ``copies`` of each, and, as ``both``, a
    spherical network that saw copies. ``times`` is the U-Net's seconds divided by the spherical network's.
    """
    kinds = contest.contestants(sweeps.stored("sphere-segmentation"))
    ours, best, both = map(contest.best, kinds)
    if ours is None or best is None:
        return {"value": math.nan}
    return {
        "value": ours.miou - best.miou, "spherical": ours.miou, "unet": best.miou, "copies": best.copies,
        "times": best.seconds / ours.seconds, **({"both": both.miou} if both else {}),
    }  # fmt: skip


@claim("sphere.with_fewer_digits", talk=AUGMENTATION, bound=reported())
def with_fewer_digits() -> dict[str, float]:
    """Segmentation from 100 digits: mean IoU of the spherical network minus that of a U-Net that saw 20 copies of each.

    From the stored sweep, one seed, after 1,000 and 2,000 steps, which take about as long; the same from 250, 500 and
    1,000 digits.
    """
    stored = sweeps.stored("sphere-segmentation")
    rows = [row for row in stored if row["seed"] == 0 and contest.USUAL.items() <= row.items()]

    def score(**point: Any) -> float:
        return next((row["miou"] for row in rows if point.items() <= row.items()), math.nan)

    lead = {
        n: score(digits=n, network="equivariant", copies=0, steps=1000)
        - score(digits=n, network="unet-8", copies=20, steps=2000)
        for n in (100, 250, 500, 1000)
    }
    return {"value": lead[100], **{f"from_{n}": gap for n, gap in lead.items() if n > 100}}

"""The parts of flows: whitening, splines and the layers of Glow, each against its own definition."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gdl_lab.flows import AffineCoupling, Glow, RealNVP, Whitening
from gdl_lab.flows.glow import ActNorm
from gdl_lab.flows.spline import Spline
from tests.every_flow import EXACT, base_points, cloud, randomised

# Whitening


def dense(w: Whitening) -> Tensor:
    """σ + V (S − σ) Vᵀ as a matrix."""
    V = w.directions
    return w.rest * torch.eye(len(V), dtype=V.dtype) + V @ torch.diag(w.scales - w.rest) @ V.mT


@pytest.mark.parametrize("k", [1, 3, 6])
def test_whitening_is_the_dense_matrix(k: int, rng: torch.Generator) -> None:
    x = cloud(200, 6, rng)
    w = Whitening(6, k).double().fit(x)
    matrix, z = dense(w), torch.randn(5, 6, generator=rng, dtype=torch.float64)
    assert (w.push(z) - (w.mean + z @ matrix.mT)).abs().max() < 1e-12
    assert (w.pull(w.push(z)) - z).abs().max() < EXACT
    assert (w.log_det() - matrix.slogdet().logabsdet).abs() < EXACT
    assert (w.directions.mT @ w.directions - torch.eye(k)).abs().max() < 1e-12
    # of all Gaussians of this form it keeps the total variance and, along the directions, the data's own
    covariance = torch.cov(x.T, correction=0)
    assert (matrix @ matrix).trace() == pytest.approx(covariance.trace().item(), rel=1e-10)
    along = w.directions.mT @ covariance @ w.directions
    assert (along - torch.diag(w.scales.square())).abs().max() < EXACT
    spectrum = torch.linalg.eigvalsh(covariance).flip(0)
    assert (w.scales.square() - spectrum[:k]).abs().max() < EXACT
    if k == 6:
        z = w.pull(x)
        assert (torch.cov(z.T, correction=0) - torch.eye(6)).abs().max() < EXACT
    else:
        assert (torch.cov(w.pull(x).T, correction=0) - torch.eye(6)).abs().max() > 1e-2


def test_whitening_stored_in_float32_is_exact_in_float64(rng: torch.Generator) -> None:
    x = torch.randn(400, 30, generator=rng) @ torch.randn(30, 30, generator=rng)
    stored = Whitening(30, 12).fit(x)
    z = torch.randn(5, 30, dtype=torch.float64, generator=rng)

    def defect(w: Whitening) -> float:
        return float((w.pull(w.push(z)) - z).abs().max())

    assert defect(copy.deepcopy(stored).double()) < 1e-11
    assert torch.allclose(copy.deepcopy(stored).double().float().directions, stored.directions, atol=1e-6)
    only_cast = copy.deepcopy(stored).double()
    only_cast.directions = stored.directions.double()
    assert defect(only_cast) > 1e-8


def test_whitening_refuses_what_has_no_density(rng: torch.Generator) -> None:
    flat = cloud(50, 4, rng)
    flat[:, 2] = 1.0
    for k in (2, 4):
        with pytest.raises(ValueError, match=r"vary in every direction, and these 50 points do not .* add noise"):
            RealNVP(4).double().fit_whitening(flat, 4 if k == 4 else 3)
    for k in (0, 5):
        with pytest.raises(ValueError, match=f"expected between 1 and 4 principal directions, got k={k}"):
            RealNVP(4).double().fit_whitening(cloud(50, 4, rng), k)
    with pytest.raises(ValueError, match="at least the 3 directions that the couplings act on, got k=2"):
        RealNVP(4, principal=3).double().fit_whitening(cloud(50, 4, rng), 2)
    with pytest.raises(ValueError, match="expected 2 to 4 principal coordinates, got 5"):
        RealNVP(4, principal=5)


def test_principal_couplings_leave_the_other_directions_gaussian(rng: torch.Generator) -> None:
    flow = randomised(RealNVP(6, 4, (8,), principal=2).double().fit_whitening(cloud(90, 6, rng), 4), rng)
    w = flow.whitening
    z = base_points(flow, 20, rng)
    shift = w.pull(flow.push(z)) - z
    along = shift @ w.directions[:, :2]
    assert along.abs().max() > 1e-2
    assert (shift - along @ w.directions[:, :2].mT).abs().max() < EXACT


# Splines


@given(bins=st.integers(2, 9), bound=st.sampled_from([0.5, 3.0]), seed=st.integers(0, 2**32 - 1))
def test_splines_increase_and_invert_everywhere(bins: int, bound: float, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    spline = Spline(bins, bound)
    theta = torch.randn(1, spline.parameters, generator=rng, dtype=torch.float64)
    z = torch.linspace(-2 * bound, 2 * bound, 4001, dtype=torch.float64)[:, None]
    theta = theta.expand(len(z), -1)
    x, log_slope = spline.push(z, theta)
    back, log_slope_back = spline.pull(x, theta)
    assert (x.diff(dim=0) > 0).all()
    assert (slope_times_error := (back - z).abs() * log_slope.exp()).max() < 1e-12, slope_times_error.max()
    assert (log_slope + log_slope_back).abs().max() < 1e-7
    tails = z.abs() > bound
    assert torch.equal(x[tails], z[tails])
    assert not log_slope[tails].any()
    assert log_slope[~tails].abs().max() > 1e-3
    slope = (x[2:] - x[:-2]) / (z[2:] - z[:-2])
    assert (slope.log() - log_slope[1:-1]).abs().median() < 1e-3
    ends = torch.tensor([[bound], [-bound], [bound * (1 - 1e-9)], [bound * (1 + 1e-9)]], dtype=torch.float64)
    at, log_at = spline.push(ends, theta[:4])
    assert (at - ends).abs().max() < 1e-7, "continuous at the ends of the box"
    assert log_at.abs().max() < 1e-5, "with a continuous slope"


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1, 30, 1e4])
def test_extreme_splines_stay_finite(size: float, kind: torch.dtype, rng: torch.Generator) -> None:
    spline = Spline(8, 4.0)
    theta = (size * torch.randn(4001, spline.parameters, generator=rng, dtype=kind)).requires_grad_()
    z = torch.linspace(-8, 8, 4001, dtype=kind)[:, None].requires_grad_()
    # pulled are the images, which crowd where the slope is least: rounding may put them beside their bin
    for way, points in ((spline.push, z), (spline.pull, spline.push(z, theta)[0].detach().requires_grad_())):
        moved, log_slope = way(points, theta)
        assert moved.isfinite().all()
        assert log_slope.isfinite().all()
        assert moved[points.abs() <= 4].abs().max() <= 4 * (1 + 1e-6), "the box is mapped onto itself"
        for gradient in torch.autograd.grad(moved.sum() + log_slope.sum(), (points, theta)):
            assert gradient.isfinite().all()
    if size == 1:
        back = spline.pull(spline.push(z, theta)[0], theta)[0]
        assert (back - z).abs().max() < (1e-3 if kind == torch.float32 else EXACT)


def test_log_scales_stay_below_their_cap(rng: torch.Generator) -> None:
    coupling = randomised(AffineCoupling(4, (6,), cap=0.7), rng, 50.0)
    z = 10 * base_points(coupling, 200, rng)
    theta = coupling.conditioner.theta(z[:, :2])
    for way in (coupling.elementwise.push, coupling.elementwise.pull):
        _, log_slope = way(z[:, 2:], theta)
        assert 0.69 < log_slope.abs().max() <= 0.7
    assert theta[:, :2].abs().max() > 10, "what the network asked for is far above"
    x, log_det = coupling.push(z, log_det=True)
    assert log_det.abs().max() <= 2 * 0.7
    assert (coupling.pull(x) - z).abs().max() < EXACT * theta.detach().abs().max()


def test_the_knots_of_a_spline_are_hit_exactly(rng: torch.Generator) -> None:
    spline = Spline(6, 2.0)
    theta = torch.randn(1, spline.parameters, generator=rng, dtype=torch.float64)
    x, y, slopes = spline._knots(theta)
    hit, log_slope = spline.push(x[0], theta.expand(7, -1))
    assert (hit - y[0]).abs().max() < 1e-12
    assert (log_slope.exp() - slopes[0]).abs().max() < 1e-12
    assert (x.diff(dim=1) > 0).all()
    assert (y.diff(dim=1) > 0).all()


# Glow


def test_latents_of_every_level_reach_the_picture(rng: torch.Generator) -> None:
    flow = randomised(Glow((1, 8, 8), 2, 3, 6), rng)
    z = base_points(flow, 1, rng)
    moved = flow.jacobian(z)[0].abs().amax(0)
    assert (moved > 1e-6).all(), "dropping any latent would lose the inverse"
    assert flow.jacobian(z)[0].slogdet().logabsdet.isfinite()


def test_actnorms_take_mean_and_scale_from_data(rng: torch.Generator) -> None:
    flow = randomised(Glow((2, 4, 4), 3, 2, 6), rng)
    x = 5 + 3 * torch.randn(64, 2, 4, 4, generator=rng, dtype=torch.float64)
    reached: list[Tensor] = []
    hooks = [m for m in flow.modules() if isinstance(m, ActNorm)]
    flow.fit_actnorm(x)
    original = ActNorm.pull

    def watched(self: ActNorm, x: Tensor) -> tuple[Tensor, Tensor]:
        z, change = original(self, x)
        reached.append(z)
        return z, change

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ActNorm, "pull", watched)
        z = flow.pull(x)
    assert len(reached) == len(hooks) == 6
    for out in reached:
        assert out.mean((0, 2, 3)).abs().max() < 1e-10
        assert (out.var((0, 2, 3), correction=0) - 1).abs().max() < 1e-9
    assert (flow.push(z) - x).abs().max() < EXACT


@pytest.mark.parametrize(("shape", "levels"), [((1, 7, 8), 1), ((1, 8, 6), 2), ((3, 28, 28), 3)])
def test_sides_that_do_not_halve_are_refused(shape: tuple[int, ...], levels: int) -> None:
    with pytest.raises(ValueError, match=rf"{shape[1]}×{shape[2]} is not divisible by {2**levels}: pad"):
        Glow(shape, 1, levels, 4)

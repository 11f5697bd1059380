"""Normalisation of spectra and the spherical networks: invariant, equivariant, grid-free, and able to learn."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdl_lab import training
from gdl_lab.sphere.activation import SO3Activation
from gdl_lab.sphere.networks import SphericalCNN, SphericalNetwork, SphericalSegmenter
from gdl_lab.sphere.normalisation import SpectralBatchNorm
from gdl_lab.sphere.s2 import S2FFT
from gdl_lab.sphere.so3 import SO3FFT
from gdl_lab.sphere.spectrum import block, rotate, spectrum_size
from tests.group_integrals import rotations

NETWORKS: dict[str, Callable[..., SphericalNetwork]] = {
    "CNN": lambda **more: SphericalCNN((6, 5, 3), (4, 4, 3), (3, 4, 5), **more),
    "segmenter": lambda **more: SphericalSegmenter((6, 5, 3), (4, 3, 2), (3, 4, 5), 4, width=3, **more),
    "by parts": lambda **more: SphericalSegmenter(
        (6, 5), (2, 3), (3, 4), 4, width=3, radii=(0.5, 0.8), whole=False, **more
    ),
}
each_network = pytest.mark.parametrize("name", NETWORKS)


def normal(rng: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def pictures(rng: torch.Generator, L: int, channels: int, batch: int) -> Tensor:
    """Spectra of which every degree has the same power, so that pictures are neither flat nor rough."""
    return torch.cat([normal(rng, 2 * l + 1, channels, batch) / math.sqrt(2 * l + 1) for l in range(L)])


def square(x: Tensor) -> Tensor:
    return 0.2 * x * x + x


def answer(net: SphericalNetwork, coeffs: Tensor) -> Tensor:
    return net.read(coeffs) if isinstance(net, SphericalCNN) else net.segment(coeffs)  # type: ignore[attr-defined,operator]


def rotation_error(net: SphericalNetwork, coeffs: Tensor, R: Tensor) -> float:
    """Relative distance of the answer to a rotated picture from the answer, rotated where it has a place."""
    said, says = answer(net, coeffs), answer(net, rotate(coeffs, R, net.bandlimit))
    if isinstance(net, SphericalSegmenter):
        said = rotate(said, R, net.bandlimit)
    return float(((says - said).norm() / (said - said.mean()).norm()).detach())


def settled(net: SphericalNetwork, coeffs: Tensor) -> SphericalNetwork:
    """In double precision, with running statistics of these pictures, in evaluation mode."""
    net = net.double()
    with torch.no_grad():
        answer(net, coeffs)
    return net.eval()


# Normalisation


def test_normalised_channels_have_mean_zero_and_variance_one_on_the_group(rng: torch.Generator) -> None:
    fft = SO3FFT(4, orders=3, dtype=torch.float64)
    coeffs = normal(rng, fft.size, 2, 5) * torch.tensor([[3.0], [0.2]])
    coeffs[0] += 7
    norm = SpectralBatchNorm(2, eps=0).double()
    values = fft.synthesis(norm(coeffs))
    measure = fft.weights[:, None, None, None, None] / (fft.shape[1] * fft.shape[2])
    mean = (measure * values).sum((0, 1, 2)).mean(1)
    variance = (measure * values.square()).sum((0, 1, 2)).mean(1) - mean**2
    assert mean.abs().max() < 1e-12
    assert (variance - 1).abs().max() < 1e-12
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([2.0, -0.5]))
        norm.bias.copy_(torch.tensor([1.0, 3.0]))
    assert torch.allclose(fft.synthesis(norm(coeffs)), values * norm.weight[:, None] + norm.bias[:, None])


def test_normalisation_commutes_with_rotations_and_one_by_left_index_does_not(rng: torch.Generator) -> None:
    coeffs, R = normal(rng, spectrum_size(4, 2), 2, 3), rotations(1, rng)[0]
    norm = SpectralBatchNorm(2).double()
    assert torch.allclose(norm(rotate(coeffs, R, 4)), rotate(norm(coeffs), R, 4), atol=1e-13)

    def by_entry(x: Tensor) -> Tensor:
        return x / x.std(2, keepdim=True)

    assert (by_entry(rotate(coeffs, R, 4)) - rotate(by_entry(coeffs), R, 4)).abs().max() > 0.1


def test_running_statistics_are_a_mean_at_first_and_then_forget(rng: torch.Generator) -> None:
    norm = SpectralBatchNorm(1, momentum=0.25).double()
    batches = [normal(rng, 9, 1, 4) * (i + 1) + i for i in range(6)]
    means = [float(x[0].mean()) for x in batches]
    variances = [float(x.square().sum(0).mean() - x[0].mean() ** 2) for x in batches]
    for x in batches[:4]:
        norm(x)
    assert float(norm.running_mean) == pytest.approx(sum(means[:4]) / 4)
    assert float(norm.running_var) == pytest.approx(sum(variances[:4]) / 4)
    before = float(norm.running_mean)
    norm(batches[4])
    assert float(norm.running_mean) == pytest.approx(0.75 * before + 0.25 * means[4])
    norm.eval()
    out = norm(batches[5])
    assert torch.allclose(norm(batches[5][..., :1]), out[..., :1])  # in evaluation pictures do not see each other
    restored = SpectralBatchNorm(1, momentum=0.25).double().eval()
    restored.load_state_dict(norm.state_dict())
    assert torch.equal(restored(batches[5]), out)


@pytest.mark.parametrize("train", [True, False])
def test_gradients_of_the_normalisation(train: bool, rng: torch.Generator) -> None:
    norm = SpectralBatchNorm(2).double()
    norm(normal(rng, 9, 2, 3))
    norm.train(train)
    x = normal(rng, 9, 2, 3).requires_grad_()
    weight, bias = (normal(rng, 2).requires_grad_() for _ in range(2))

    def run(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        fixed = {name: buffer.clone() for name, buffer in norm.named_buffers()}
        return torch.func.functional_call(norm, {"weight": weight, "bias": bias, **fixed}, (x,))

    assert torch.autograd.gradcheck(run, (x, weight, bias))


# Rotations


@each_network
def test_without_aliasing_the_whole_network_is_equivariant(name: str, rng: torch.Generator) -> None:
    """A polynomial of degree two is analysed without aliasing at oversample 1.5."""
    coeffs, R = pictures(rng, 6, 1, 3), rotations(1, rng)[0]
    net = settled(NETWORKS[name](oversample=1.5, nonlinearity=square), coeffs)
    assert rotation_error(net, coeffs, R) < 1e-12
    assert rotation_error(net.at(1), coeffs, R) > 1e-6


@each_network
def test_relu_is_equivariant_up_to_aliasing_that_falls_with_oversampling(name: str, rng: torch.Generator) -> None:
    coeffs = pictures(rng, 6, 1, 6)
    net = settled(NETWORKS[name](), coeffs)
    turns = rotations(4, rng)
    errors = [sum(rotation_error(net.at(o), coeffs, R) for R in turns) / 4 for o in (1, 2, 4)]
    assert all(fine < 0.5 * coarse for coarse, fine in pairwise(errors)), errors
    assert errors[0] > 1e-3, "the control: on the coarsest grid aliasing is seen"


@each_network
def test_a_network_that_treats_coefficients_as_features_is_not(name: str, rng: torch.Generator) -> None:
    coeffs, R = pictures(rng, 6, 1, 3), rotations(1, rng)[0]
    net = NETWORKS[name](oversample=1.5, nonlinearity=square)

    class OnCoefficients(nn.Module):
        def __init__(self, layer: SO3Activation) -> None:
            super().__init__()
            self.size = spectrum_size(layer.to_bandlimit, layer.to_orders)

        def forward(self, x: Tensor) -> Tensor:
            return square(x)[: self.size] if self.size > 1 else square(x).mean(0, keepdim=True)

    for module in list(net.modules()):
        if isinstance(getattr(module, "activation", None), SO3Activation):
            module.activation = OnCoefficients(module.activation)
    assert rotation_error(settled(net, coeffs), coeffs, R) > 0.01


def test_the_answer_is_an_invariant_and_other_coefficients_are_not(rng: torch.Generator) -> None:
    coeffs, R = pictures(rng, 6, 1, 3), rotations(1, rng)[0]
    net = settled(NETWORKS["CNN"](oversample=1.5, nonlinearity=square), coeffs)
    last = copy.deepcopy(net.stages[-1])  # type: ignore[index]
    last.activation = SO3Activation(3, 3, 1.5, square)
    inner = net.stages[:-1]  # type: ignore[index]
    one, other = last(inner(coeffs)), last(inner(rotate(coeffs, R, 6)))
    assert torch.allclose(one[0], other[0], atol=1e-12)
    assert (block(one, 1, 3) - block(other, 1, 3)).abs().max() > 1e-3


# Grids


@each_network
def test_the_grid_of_the_pictures_does_not_matter(name: str, rng: torch.Generator) -> None:
    coeffs = pictures(rng, 6, 2, 3)
    net = settled(NETWORKS[name](in_channels=2), coeffs)
    said = answer(net, coeffs)
    for L in (6, 7, 16):
        fft = S2FFT(L)
        out = net(fft.synthesis(F.pad(coeffs, (0, 0, 0, 0, 0, fft.size - 36))))
        if isinstance(net, SphericalSegmenter):
            assert out.shape == (*fft.shape, 4, 3)
            out = fft.analysis(out)[:36]
        assert (out - said).abs().max() < 1e-12


@each_network
def test_weights_do_not_know_the_grid(name: str, rng: torch.Generator) -> None:
    coeffs = pictures(rng, 6, 1, 3)
    net = settled(NETWORKS[name](oversample=1.25), coeffs)
    fine = net.at(2)
    assert not fine.training
    assert fine.state_dict().keys() == net.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(fine.state_dict().values(), net.state_dict().values(), strict=True))
    assert torch.equal(answer(fine.at(1.25), coeffs), answer(net, coeffs))
    far, near = ((answer(net.at(o), coeffs) - answer(net.at(4), coeffs)).norm() for o in (1, 2))
    assert 0 < near < far
    again = NETWORKS[name](oversample=2).double().eval()
    again.load_state_dict(net.state_dict())
    assert torch.equal(answer(again, coeffs), answer(fine, coeffs))


# Learning


@each_network
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_weight_has_a_gradient(name: str, dtype: torch.dtype, rng: torch.Generator) -> None:
    net = NETWORKS[name]().to(dtype)
    out = net(normal(rng, 6, 12, 4).to(dtype))
    assert out.dtype == dtype
    (out * torch.randn_like(out)).sum().backward()
    for parameter, weight in net.named_parameters():
        assert weight.grad is not None, parameter
        assert weight.grad.isfinite().all(), parameter
        centred = parameter.endswith("bias") and name == "CNN" and "norm" not in parameter
        assert centred or weight.grad.abs().max() > 0, parameter


def test_gradients_of_a_network(rng: torch.Generator) -> None:
    net = SphericalCNN((3, 2), (2, 2), (2, 2), 2, radii=(0.5, 0.9), nonlinearity=F.silu).double()
    coeffs = pictures(rng, 3, 1, 3).requires_grad_()
    net(normal(rng, 4, 6, 3))
    assert torch.autograd.gradcheck(net.eval().read, (coeffs,))


def spots(count: int, batch: int, rng: torch.Generator) -> Tensor:
    """Pictures with ``count`` spots around the equator, or around a great circle through the poles once turned."""
    alpha, beta = S2FFT(8).grid()
    centre = 2 * math.pi * torch.arange(count)[:, None] / count
    closeness = beta.sin()[:, None, None] * torch.cos(alpha[:, None] - centre.T)
    picture = torch.exp(8 * (closeness - 1)).sum(-1, keepdim=True)
    return picture * (1 + 0.2 * torch.randn(batch, generator=rng)) + 0.1 * torch.randn(8, 16, batch, generator=rng)


@pytest.mark.slow
def test_what_is_learned_upright_is_known_in_every_pose(rng: torch.Generator) -> None:
    torch.manual_seed(0)
    x = torch.cat([spots(2, 32, rng), spots(3, 32, rng)], -1)
    y = torch.arange(2).repeat_interleave(32)
    net = SphericalCNN((6, 4), (3, 3), (6, 8), 2, radii=(0.6, 0.9))
    training.fit(
        net,
        (x.movedim(-1, 0), y),
        lambda net, x, y: F.cross_entropy(net(x.movedim(0, -1)), y),
        steps=120,
        batch_size=32,
        lr=1e-2,
        progress=False,
    )
    turned = S2FFT(8).rotate(S2FFT(8).analysis(x), rotations(64, rng).float())
    chart = nn.Sequential(nn.Flatten(), nn.Linear(128, 2))
    training.fit(
        chart, (x.movedim(-1, 0), y), lambda net, x, y: F.cross_entropy(net(x), y), steps=200, lr=1e-2, progress=False
    )
    with torch.no_grad():
        known = net.read(turned[:36].unsqueeze(1)).argmax(1) == y
        charted = chart(S2FFT(8).synthesis(turned).movedim(-1, 0)).argmax(1) == y
        upright = chart(x.movedim(-1, 0)).argmax(1) == y
    assert known.float().mean() > 0.95
    assert upright.float().mean() > 0.95
    assert charted.float().mean() < 0.8, "the control: a network on the chart knows what it saw upright alone"


# Input


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SphericalCNN((4, 5), (2, 2), (3, 3), radii=(1, 1)), "do not grow"),
        (lambda: SphericalCNN((5, 4), (2, 2), (3, 3)), "of one length"),
        (lambda: SphericalCNN((), (), (), radii=()), "of one length"),
        (lambda: SphericalCNN((3, 2), (4, 2), (3, 3), radii=(1, 1)), "orders"),
        (lambda: SphericalCNN(oversample=0.5), "oversample"),
        (lambda: SphericalSegmenter((5,), (2,), (3,), radii=(1,)), "two stages"),
        (lambda: SphericalCNN()(torch.zeros(10, 18, 1)), "at least 10 × 20 points"),
        (lambda: SphericalCNN()(torch.zeros(12, 32, 1)), "got 12 × 32"),
        (lambda: SphericalCNN()(torch.zeros(10, 20)), r"\(n_beta, n_alpha, 1, batch\)"),
        (lambda: SphericalCNN()(torch.zeros(10, 20, 2, 1)), "1, batch"),
        (lambda: SphericalCNN(in_channels=2)(torch.zeros(10, 20, 1)), "2, batch"),
        (lambda: SphericalCNN()(torch.full((10, 20, 1), math.nan)), "NaN"),
        (lambda: SphericalCNN().at(0.9), "oversample"),
        (lambda: SpectralBatchNorm(0), "channels"),
        (lambda: SpectralBatchNorm(2, momentum=math.nan), "momentum"),
        (lambda: SpectralBatchNorm(2)(torch.zeros(9, 3, 1)), r"\(size, 2, batch\)"),
        (lambda: SpectralBatchNorm(2)(torch.zeros(9, 2, 0)), "empty batch"),
    ],
)  # fmt: skip
def test_bad_input_is_explained(make: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()  # type: ignore[operator]


@each_network
@pytest.mark.parametrize("batch", [0, 1])
def test_small_batches_in_evaluation(name: str, batch: int, rng: torch.Generator) -> None:
    net = settled(NETWORKS[name](), pictures(rng, 6, 1, 3))
    out = net(normal(rng, 6, 12, batch))
    assert out.shape[0 if name == "CNN" else -1] == batch

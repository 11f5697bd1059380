r"""Fourier transforms on the sphere and on the rotation group, and the spherical networks built from them.

**Bandlimit.** Bandlimit L means the degrees l = 0 … L−1, everywhere. ``orders=N`` keeps of an SO(3) spectrum the right
indices abs(n) < N; rotations act on the left index m, so this cut commutes with them exactly. N = L keeps all.

**Basis.** D^l_mn(α, β, γ) is entry ``[m, n]`` of e3nn's ``o3.wigner_D(l, α, β, γ)``: real, m and n from −l to l, polar
axis y, R(α, β, γ) = R_y(α) R_x(β) R_y(γ). The point (α, β) of S² is R(α, β, ·) e_y. Both measures are normalised, so
that integrals are means: ∫_{S²} 1 dx = ∫_{SO(3)} 1 dR = 1 (a formula with the area form gains a factor 4π or 8π²).

**Synthesis.** Coefficients are those of an orthonormal basis,

    f(α, β)    = Σ_l Σ_m  f^l_m  √(2l+1) D^l_m0(α, β, 0),     √(2l+1) D^l_m0 = Y^l_m  (e3nn's ``"component"``)
    F(α, β, γ) = Σ_l Σ_mn F^l_mn √(2l+1) D^l_mn(α, β, γ),

so f^l_m = ∫ f Y^l_m dx, F^l_mn = √(2l+1) ∫ F D^l_mn dR, coefficient 0 is the mean, and Σ coefficients² = mean of f²
(Parseval). An S² spectrum is the SO(3) spectrum of the lifted function (α, β, γ) ↦ f(α, β), with ``orders=1``.

**Layout.** Batch last, and any number of batch axes: signals ``(n_beta, n_alpha, *batch)`` and ``(n_beta, n_alpha,
n_gamma, *batch)``; a spectrum is ``(size, *batch)``, one degree after the other, degree l being the contiguous rows of
a (2l+1) × (2k+1) matrix in ``[m, n]`` with k = min(l, N−1). So ``block(coeffs, l, N)`` is a view, and lowering the
bandlimit is ``coeffs[:spectrum_size(L, N)]``. On the transforms:

    fft = S2FFT(L, oversample=1.0)               fft = SO3FFT(L, oversample=1.0, orders=None)
    alpha, beta = fft.grid()                     alpha, beta, gamma = fft.grid()          1-D, radians
    coeffs = fft.analysis(signal)                signal = fft.synthesis(coeffs)
    fft.block(coeffs, l)                         view (2l+1, *batch)   or   (2l+1, 2k+1, *batch)
    fft.rotate(coeffs, R)                        R (3, 3), or (batch, 3, 3): one for each entry of the last axis
    fft.shape, fft.size, fft.weights             grid shape, rows of a spectrum, quadrature weights of β (sum 1)
    SO3Activation(L, orders=None, oversample=1.5, nonlinearity=torch.relu, to=(L_out, orders_out))(coeffs)
    integrate_so3(coeffs) → (*batch)             integrate_so2(coeffs, L) → S² spectrum (L², *batch)

Dtype (float32 or float64) and device are those of the input; tables are made once, to the last digit of float64, and
shared. ``grid`` and ``weights`` have PyTorch's default dtype unless the transform is made with ``dtype=torch.float64``.

**Rotation.** (Λ_R f)(x) = f(R⁻¹x) on both; on spectra f^l ↦ D^l(R) f^l and F^l ↦ D^l(R) F^l. In this basis

    ∫ κ(R⁻¹x) f(x) dx   has the coefficients   f^l_m κ^l_n / √(2l+1),
    ∫ ψ(R⁻¹S) F(R) dR   (in S)                 Σ_k F^l_mk ψ^l_kn / √(2l+1),
    ∫ ψ(R⁻¹S) F(S) dS   (in R)                 Σ_k F^l_mk ψ^l_nk / √(2l+1).
"""

from __future__ import annotations

from gdl_lab.sphere.activation import SO3Activation
from gdl_lab.sphere.convolution import S2Conv, SO3Conv, SO3toS2Conv, convolve, near_identity
from gdl_lab.sphere.digits import charts, digits_on_sphere, four_digits_on_sphere
from gdl_lab.sphere.networks import SphericalCNN, SphericalNetwork, SphericalSegmenter
from gdl_lab.sphere.normalisation import SpectralBatchNorm
from gdl_lab.sphere.quadrature import gauss_legendre
from gdl_lab.sphere.s2 import S2FFT
from gdl_lab.sphere.segmentation import confusion, masks, mean_iou, segmentation_loss
from gdl_lab.sphere.so3 import SO3FFT
from gdl_lab.sphere.spectrum import block, integrate_so2, integrate_so3, orders_of, rotate, spectrum_size
from gdl_lab.sphere.wigner import wigner_D
from gdl_lab.symmetry import random_rotations

__all__ = [
    "S2FFT",
    "SO3FFT",
    "S2Conv",
    "SO3Activation",
    "SO3Conv",
    "SO3toS2Conv",
    "SpectralBatchNorm",
    "SphericalCNN",
    "SphericalNetwork",
    "SphericalSegmenter",
    "block",
    "charts",
    "confusion",
    "convolve",
    "digits_on_sphere",
    "four_digits_on_sphere",
    "gauss_legendre",
    "integrate_so2",
    "integrate_so3",
    "masks",
    "mean_iou",
    "near_identity",
    "orders_of",
    "random_rotations",
    "rotate",
    "segmentation_loss",
    "spectrum_size",
    "wigner_D",
]

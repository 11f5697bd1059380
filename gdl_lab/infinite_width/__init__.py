r"""Fully connected ReLU networks of infinite width: their kernels, and how an ensemble of them trains.

The convention, stated once, is the NTK parametrisation. With L hidden layers, ``depth``, of n units each,

    h⁰ = σ_w W⁰x/√d + σ_b b⁰,    hˡ = σ_w Wˡ relu(hˡ⁻¹)/√n + σ_b bˡ,    f(x) = h^L,    W, b ~ N(0, 1) i.i.d.

As n → ∞, f at initialisation is a Gaussian process of covariance K (NNGP), and Θ = ∂f ∂fᵀ, summed over all
parameters, becomes a fixed kernel (NTK), also during training. Every output has the same K and Θ, and no two share any.

Sources: Cho and Saul (2009) for the expectations of ReLU; Lee et al. (2018), Jacot et al. (2018), Lee et al. (2019).
"""

from gdl_lab.infinite_width.dynamics import InfiniteEnsemble, LinearDescent, posterior
from gdl_lab.infinite_width.kernels import Kernels, kernels
from gdl_lab.infinite_width.networks import WideNetwork, closed_under, descend, empirical_ntk

__all__ = [
    "InfiniteEnsemble",
    "Kernels",
    "LinearDescent",
    "WideNetwork",
    "closed_under",
    "descend",
    "empirical_ntk",
    "kernels",
    "posterior",
]

"""Normalizing flows: diffeomorphisms whose two directions, log-determinants and Jacobians are all computed exactly."""

from gdl_lab.flows.coupling import AffineCoupling, SplineCoupling
from gdl_lab.flows.coverage import coverage
from gdl_lab.flows.dequantization import bits_per_dim, dequantize
from gdl_lab.flows.flow import Flow
from gdl_lab.flows.foreign import Diffeomorphism, adapt
from gdl_lab.flows.glow import Glow
from gdl_lab.flows.realnvp import RealNVP
from gdl_lab.flows.whitening import Whitening

__all__ = [
    "AffineCoupling",
    "Diffeomorphism",
    "Flow",
    "Glow",
    "RealNVP",
    "SplineCoupling",
    "Whitening",
    "adapt",
    "bits_per_dim",
    "coverage",
    "dequantize",
    "load",
]

load = Flow.load

"""GDL Lab: the talk *Geometric Deep Learning: From Pure Math to Applications*, made to run."""

import os

__version__ = "0.1.0"

# Idle OpenMP threads spin by default. Our matrices are small: on two cores, with other work beside, the spinning made
# training ten times slower. It is read when PyTorch loads; notebooks inherit it from `gdl-lab open`.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

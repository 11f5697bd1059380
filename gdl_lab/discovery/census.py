r"""Invariants of the knots in the table of Hoste and Thistlethwaite, computed by SnapPy.

SnapPy is an extra, ``pip install 'gdl-lab[discovery]'``, and is imported only when a knot is computed. Of the
59,937 prime knots up to 14 crossings nearly all are hyperbolic: the complement in S³ has one complete metric of
curvature −1. Near the knot it looks like a torus times a half-line. Grown until it touches itself, the torus is flat
and made of ℂ by two translations: the longitude λ > 0 and the meridian μ ∈ ℂ. The natural slope is Re(λ/μ).
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

__all__ = ["KNOTS", "derive", "names"]

# Prime knots by crossings, alternating and not: Hoste, Thistlethwaite & Weeks (1998)
KNOTS = {
    3: (1, 0), 4: (1, 0), 5: (2, 0), 6: (3, 0), 7: (7, 0), 8: (18, 3), 9: (41, 8), 10: (123, 42), 11: (367, 185),
    12: (1288, 888), 13: (4878, 5110), 14: (19536, 27436),
}  # fmt: skip
NOT_HYPERBOLIC = {"K3a1", "K5a2", "K7a7", "K8n3", "K9a41", "K10n21", "K11a367", "K13a4878", "K13n4587", "K13n4639",
                  "K14n21881", "K14n22180", "K14n26039"}  # fmt: skip


def names(n: int, *, seed: int = 0) -> list[str]:
    """n different knots at random from the table, such as ``"K14n12345"``; those known not to be hyperbolic left out.

    Raises:
        ValueError: more than there are.
    """
    every = [
        f"K{crossings}{kind}{k}"
        for crossings, counted in KNOTS.items()
        for kind, number in zip("an", counted, strict=True)
        for k in range(1, number + 1)
    ]
    every = [name for name in every if name not in NOT_HYPERBOLIC]
    if not 0 < n <= len(every):
        raise ValueError(f"expected 1 to {len(every)} knots, got {n}")
    return random.Random(seed).sample(every, n)


def derive(name: str) -> dict[str, float]:
    """Invariants of one knot.

    Args:
        name: as in the table, such as ``"K4a1"``, the figure eight.

    Returns:
        ``volume``; ``longitude`` λ; ``meridian_re`` and ``meridian_im`` of μ; ``chern_simons``, of which a half is 0;
        ``symmetries``, the order of the group; ``amphicheiral``, 0 or 1; ``signature``, of the sign for which knots of
        positive slope have positive signature. Mirror images differ in the signs of Re μ, Chern–Simons and signature,
        and the table has one of the two.

    Raises:
        ValueError: unknown, or without a hyperbolic structure that SnapPy finds.
        ModuleNotFoundError: SnapPy is not installed.
    """
    try:
        import snappy
    except ModuleNotFoundError:
        raise ModuleNotFoundError("knots are computed by SnapPy: pip install 'gdl-lab[discovery]'") from None
    try:
        M: Any = snappy.HTLinkExteriors[name]
    except (KeyError, IndexError, OSError, ValueError, RuntimeError):
        raise ValueError(f"there is no knot {name!r} in the table: expected a name such as K14n12345") from None
    link = M.link()
    for _ in range(10):
        if M.solution_type() == "all tetrahedra positively oriented":
            break
        M.randomize()
    else:
        raise ValueError(f"SnapPy finds no hyperbolic structure of {name}")
    shape, volume = complex(M.cusp_info("shape")[0]), _cusp_volume(M)
    longitude = abs(shape) * (2 * volume / abs(shape.imag)) ** 0.5
    meridian = longitude / shape
    V = np.array(link.seifert_matrix(), dtype=float)
    eigenvalues = np.linalg.eigvalsh(V + V.T)
    group = M.symmetry_group()
    found = {
        "volume": float(M.volume()),
        "longitude": longitude,
        "meridian_re": meridian.real,
        "meridian_im": abs(meridian.imag),
        "chern_simons": float(M.chern_simons()),
        "symmetries": int(group.order()),
        "amphicheiral": int(group.is_amphicheiral()),
        "signature": int((eigenvalues < -1e-6).sum() - (eigenvalues > 1e-6).sum()),
    }
    return {key: round(value, 5) + 0 if isinstance(value, float) else value for key, value in found.items()}


def _cusp_volume(M: Any) -> float:
    """Of the largest cusp that does not overlap itself; half the area of its torus."""
    for attempt in range(8):
        copy = M.copy()
        if attempt:  # some triangulations have no such cusp that SnapPy can draw
            copy.randomize()
        try:
            cusp = copy.cusp_neighborhood()
            cusp.set_displacement(cusp.stopping_displacement())
            return float(cusp.volume())
        except (RuntimeError, ValueError):
            continue
    raise ValueError(f"SnapPy finds no cusp neighbourhood of {M.name()}")

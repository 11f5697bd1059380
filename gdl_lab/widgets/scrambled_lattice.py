"""A U(1) lattice whose links the reader scrambles: every arrow turns, and no square changes its colour."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from itertools import islice
from numbers import Real
from typing import Any

import numpy as np
import torch
import traitlets
from numpy.typing import NDArray
from scipy import special
from torch import Tensor

from gdl_lab import recipes
from gdl_lab.lattice import (
    PlaquetteFlow,
    angles,
    ess,
    exact_plaquette,
    from_angles,
    hmc,
    log_weights,
    mean_plaquette,
    plaquette_angles,
    plaquettes,
    random_gauge,
    regauge,
    reweight,
    topological_charge,
    wilson_loop,
    wrap,
)
from gdl_lab.training import CheckpointError
from gdl_lab.widgets.stage import Finite, Widget, bundle, finite_array, float32_bytes

__all__ = ["BINS", "ScrambledLattice", "draws"]

SHOWN, GAUGES, BINS = 8, 16, 32
LEVELS = 256  # of a plaquette's angle on the page; the bins hold whole ones
SIZES, MOST_BYTES = (4, 12), 600_000
MOST_BETA = 1000  # where the density is as narrow as a level
NUMBER = 320  # fields of each β and sampler, by default
BETAS = (1.0, 2.0, 3.0)
Draws = Mapping[float, Mapping[str, Any]]


class ScrambledLattice(Widget):
    r"""Links as arrows on the edges of an L×L torus, plaquettes as coloured squares, and what a gauge leaves of them.

    What to try: scramble. All 128 arrows turn, no square changes, and neither do ⟨cos P⟩, the topological charge and
    the Wilson loop. Turn one site: its four links move. Then change one link by as much: the two squares beside it
    change, and a loop that runs along it. Below, the squares of many such fields, drawn by Hamiltonian Monte Carlo and
    by flows, against the density exp(β cos P) / 2πI₀(β) that they should have.

    Args:
        fields: for every β, and there by the name of the sampler, fields θ of shape ``(n, 2, L, L)`` in radians, or
            pairs of them and log-weights ``(n,)``; the first few of the first sampler are those that are shown. By
            default `draws`.
        settings: any trait below, such as ``amount=1.0`` or ``coupling=2``, the third β.

    Raises:
        ValueError: no fields, other shapes, sizes that differ or are not from 4 to 12, a β that is not positive or
            larger than 1,000, log-weights that are not one for each field, NaN, or more than 600 kB.
        TraitError: a setting outside its range.

    Example:
        >>> widget = ScrambledLattice(amount=1.0)
        >>> widget.readout()["links_moved"], widget.readout()["squares_changed"]
        (128.0, 0.0)
    """

    _esm = bundle("scrambled_lattice")

    betas: Any = traitlets.List(Finite()).tag(sync=True)
    samplers: Any = traitlets.List(traitlets.List(traitlets.Dict())).tag(sync=True)
    squares = traitlets.Bytes().tag(sync=True)
    log_w = traitlets.Bytes().tag(sync=True)
    links = traitlets.Bytes().tag(sync=True)
    gauges = traitlets.Bytes().tag(sync=True)
    shape: Any = traitlets.List(traitlets.Int()).tag(sync=True)
    coupling = traitlets.Int(1, min=0).tag(sync=True)
    field = traitlets.Int(0, min=0).tag(sync=True)
    amount = Finite(0.0, min=0, max=1).tag(sync=True)
    gauge = traitlets.Int(0, min=0, max=GAUGES - 1).tag(sync=True)
    site = traitlets.Int(min=0).tag(sync=True)
    turn = traitlets.Int(0, min=-180, max=180).tag(sync=True)
    link = traitlets.Int(min=0).tag(sync=True)
    change = traitlets.Int(0, min=-180, max=180).tag(sync=True)
    corner = traitlets.Int(min=0).tag(sync=True)
    width = traitlets.Int(3, min=1).tag(sync=True)
    height = traitlets.Int(2, min=1).tag(sync=True)
    sampler = traitlets.Unicode("HMC").tag(sync=True)
    weighted = traitlets.Bool(False).tag(sync=True)
    count = traitlets.Int(NUMBER, min=2).tag(sync=True)

    def __init__(self, fields: Draws | None = None, **settings: Any) -> None:
        given = _check_draws(draws() if fields is None else fields)
        sizes: set[int] = set()
        betas: list[float] = []
        samplers: list[list[dict[str, Any]]] = []
        squares, weights, links = list[NDArray[np.int8]](), list[NDArray[np.float64]](), list[Tensor]()
        for beta, by_name in sorted(given.items()):
            rows: list[dict[str, Any]] = []
            samplers.append(rows)
            for name, drawn in by_name.items():
                theta, log_w = _check_fields(drawn, f"the fields of {name} at β = {beta:g}")
                if not rows:
                    links.append(theta[torch.arange(SHOWN) * len(theta) // SHOWN])
                at = (sum(len(s) for s in squares), sum(len(w) for w in weights))
                rows.append({"name": str(name), "count": len(theta), "weighted": log_w is not None, "at": list(at)})
                squares.append(_levels(plaquette_angles(theta)))
                weights.append(np.zeros(0) if log_w is None else log_w)
                sizes.add(theta.shape[-1])
            betas.append(float(beta))
        if len(sizes) > 1:
            raise ValueError(f"expected lattices of one size, got {', '.join(map(str, sorted(sizes)))}")
        size = sizes.pop()
        generator = torch.Generator().manual_seed(0)
        omega = random_gauge("U(1)", (size, size), GAUGES, generator=generator)
        packed = np.concatenate(squares).tobytes()
        if len(packed) > MOST_BYTES:
            raise ValueError(f"{len(packed):,} plaquettes, more than {MOST_BYTES:,}: take fewer fields")
        defaults = {
            "coupling": min(1, len(betas) - 1),
            "site": (size // 2 + 1) * (size + 1),
            "link": 2 * size + 3,  # on the upper side of the loop
            "corner": size + 1,
            "sampler": samplers[0][0]["name"],
            "count": max(row["count"] for rows in samplers for row in rows),
        }
        super().__init__(
            betas=betas,
            samplers=samplers,
            squares=packed,
            log_w=float32_bytes(np.concatenate(weights)),
            links=float32_bytes(torch.stack(links).numpy()),
            gauges=float32_bytes(angles(omega).flatten(1).numpy()),
            shape=[len(betas), SHOWN, size],
            **{**defaults, **settings},
        )

    @traitlets.validate("coupling", "field", "site", "link", "corner", "width", "height")
    def _check_index(self, proposal: Any) -> Any:
        many, shown, size = self.shape
        area = size * size
        name, value = proposal["trait"].name, proposal["value"]
        most = {"coupling": many - 1, "field": shown - 1, "site": area - 1, "link": 2 * area - 1, "corner": area - 1}
        if value > (largest := most.get(name, size - 1)):
            raise traitlets.TraitError(f"expected {name} of at most {largest}, got {value}")
        return value

    def __repr__(self) -> str:
        return f"ScrambledLattice({self.shape[2]} × {self.shape[2]}, β = {', '.join(f'{b:g}' for b in self.betas)})"

    def readout(self, **settings: Any) -> dict[str, float]:
        """The numbers beside the pictures, by `gdl_lab.lattice` in float64.

        Args:
            settings: traits by name; by default the present ones. A sampler that is not there at this β is replaced
                by the first.

        Returns:
            Of the field that is shown: ``plaquette``, the mean of cos P; the ``charge``; ``loop_re`` and ``loop_im``,
            the Wilson loop; ``inside``, the sum of the P in it, over 2π; ``links_moved`` and ``squares_changed``, how
            many are not what they were, and ``largest``, by how much at most a square's angle has changed. Of the
            sampler: ``sampled`` and ``error``, the mean of cos P and its standard error if fields are independent;
            ``exact``; ``ess``, the effective share of fields; ``distance`` of the histogram from the density, half of
            ∫|difference|.
        """
        s = dict(zip(SETTINGS, self.chosen(SETTINGS, settings), strict=True))
        many, shown, size = self.shape
        theta = _floats(self.links).view(many, shown, 2, size, size)[s["coupling"], s["field"]][None]
        before = from_angles(theta)
        changed = theta.flatten().clone()
        changed[s["link"]] += math.radians(s["change"])
        omega = s["amount"] * _floats(self.gauges).view(GAUGES, -1)[s["gauge"]]
        omega[s["site"]] += math.radians(s["turn"])
        links = regauge(from_angles(changed.view_as(theta)), from_angles(omega.view(1, 1, size, size)))
        i, j = divmod(s["corner"], size)
        W = wilson_loop(links, 0, 1, s["width"], s["height"])[0, 0, i, j, 0, 0]
        P = angles(plaquettes(links))[0, 0].roll((-i, -j), (0, 1))
        moved, turned = wrap(angles(links) - theta).abs(), wrap(angles(plaquettes(links)) - angles(plaquettes(before)))
        return {
            "plaquette": float(mean_plaquette(links)),
            "charge": float(topological_charge(links)),
            "loop_re": float(W.real),
            "loop_im": float(W.imag),
            "inside": float(P[: s["width"], : s["height"]].sum()) / (2 * math.pi),
            "links_moved": float((moved > 1e-9).sum()),
            "squares_changed": float((turned.abs() > 1e-9).sum()),
            "largest": float(turned.abs().max()),
            **self._of_sampler(s["coupling"], s["sampler"], s["count"], weighted=s["weighted"]),
        }

    def _of_sampler(self, coupling: int, sampler: str, count: int, *, weighted: bool) -> dict[str, float]:
        beta, rows, area = self.betas[coupling], self.samplers[coupling], self.shape[2] ** 2
        row = next((row for row in rows if row["name"] == sampler), rows[0])
        n, (start, first) = min(count, row["count"]), row["at"]
        P = (np.frombuffer(self.squares, np.int8)[start : start + n * area].astype(float) + 0.5) * 2 * np.pi / LEVELS
        P = P.reshape(n, area)
        log_w = _floats(self.log_w)[first : first + n] if weighted and row["weighted"] else torch.zeros(n).double()
        mean = reweight(log_w, torch.from_numpy(np.cos(P)).mean(1))
        weights = np.repeat(torch.softmax(log_w, 0).numpy() / area, area)
        edges = np.linspace(-np.pi, np.pi, BINS + 1)
        share, _ = np.histogram(P.ravel(), edges, weights=weights)
        return {
            "sampled": mean[0],
            "error": mean[1],
            "exact": exact_plaquette(beta, area),
            "ess": ess(log_w),
            "distance": float(np.abs(share - _wanted(beta)).sum() / 2),
        }


def _wanted(beta: float) -> NDArray[np.float64]:
    """∫ exp(β cos P) / 2πI₀(β) dP over each bin, by Gauss–Legendre; the cdf of scipy errs by 2·10⁻⁶ from β = 50 on."""
    nodes, weights = special.roots_legendre(64)
    step = 2 * np.pi / BINS
    P = -np.pi + step * (np.arange(BINS)[:, None] + (1 + nodes) / 2)
    density = np.exp(beta * (np.cos(P) - 1)) / (2 * np.pi * special.ive(0, beta))
    return np.asarray(density @ weights * step / 2)


SETTINGS = (
    "coupling", "field", "amount", "gauge", "site", "turn", "link", "change", "corner", "width", "height",
    "sampler", "weighted", "count",
)  # fmt: skip


@cache
def draws() -> Draws:
    """Fields of the 8×8 torus at β = 1, 2, 3: of `hmc`, of the trained flows at 1 and 3, and of the tree gauge at all.

    The samples of flows come with their weights. Where the checkpoints are not at hand, the flows are left out.
    """
    return {beta: dict(_samplers(beta)) for beta in BETAS}


def _samplers(beta: float) -> Iterator[tuple[str, Any]]:
    chains, apart = 64, 5
    generator = torch.Generator().manual_seed(round(beta))
    flows: dict[str, Any] = {"tree gauge": PlaquetteFlow(8, 1, base="tree", beta=beta)}
    start = from_angles(flows["tree gauge"].sample(chains, generator=generator))  # right but for one plaquette
    steps = islice(hmc(start, beta, generator=generator), 2 * apart, (2 + NUMBER // chains) * apart, apart)
    yield "HMC", torch.cat([angles(U) for U, _ in steps])
    with suppress(CheckpointError, ValueError):  # no flow has been trained for this β, or none lies here
        flows = {"trained flow": recipes.load(f"u1-beta-{beta:g}"), **flows}
    for name, flow in flows.items():
        z = flow.base.sample(torch.empty(NUMBER, flow.dim), 1.0, generator)
        with torch.no_grad():
            log_w = log_weights(flow, lambda theta: -beta * plaquette_angles(theta).cos().sum((1, 2)), z)
            yield name, (flow.push(z), log_w)


def _check_draws(fields: Any) -> Draws:
    """Fields by β and by name; what the fields are is another question."""
    wanted = "expected fields by β and sampler, such as {2.0: {'HMC': theta}}"
    if not isinstance(fields, Mapping) or not fields:
        got = repr(fields) if isinstance(fields, Mapping) else type(fields).__name__
        raise ValueError(f"{wanted}, got {got}")
    for beta, by_name in fields.items():
        if isinstance(beta, bool) or not isinstance(beta, Real):
            raise ValueError(f"{wanted}, got β = {beta!r}, which is no number")
        if not 0 < float(beta) <= MOST_BETA:
            raise ValueError(f"expected β > 0, and at most {MOST_BETA:,} since angles are kept to 1.4°, got {beta}")
        if not isinstance(by_name, Mapping) or not by_name:
            raise ValueError(f"{wanted}, got at β = {beta:g} {type(by_name).__name__} without names of samplers")
    return fields


def _check_fields(drawn: Any, what: str) -> tuple[Tensor, NDArray[np.float64] | None]:
    if isinstance(drawn, tuple) and len(drawn) != 2:
        raise ValueError(f"expected {what} alone, or a pair of them and log-weights, got {len(drawn)} things")
    theta, log_w = drawn if isinstance(drawn, tuple) else (drawn, None)
    theta = finite_array(theta, what, "(n, 2, L, L)")
    side = theta.shape[-1] if theta.ndim else 0
    if theta.ndim != 4 or theta.shape[1:] != (2, side, side) or not SIZES[0] <= side <= SIZES[1] or len(theta) < 2:
        raise ValueError(f"expected {what} of shape (n, 2, L, L), n ≥ 2 and L from 4 to 12, got {theta.shape}")
    if log_w is not None:
        log_w = finite_array(log_w, f"the log-weights of {what}", "(n,)")
        if log_w.shape != (len(theta),):
            raise ValueError(f"expected one log-weight for each of {what}, ({len(theta)},), got {log_w.shape}")
        log_w = log_w - log_w.max()
    return torch.from_numpy(theta), log_w


def _levels(P: Tensor) -> NDArray[np.int8]:
    """Angles in [−π, π) to the level below, −128 … 127."""
    return (P * LEVELS / (2 * math.pi)).floor().clamp(-128, 127).to(torch.int8).flatten().numpy()


def _floats(stored: bytes) -> Tensor:
    return torch.from_numpy(np.frombuffer(stored, "<f4").astype(np.float64))

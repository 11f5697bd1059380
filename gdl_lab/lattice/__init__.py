"""Lattice gauge fields: links and loops, Markov chains, networks and flows that no gauge transformation can fool.

Links are complex ``(batch, D, *lattice, N, N)``, see `links`; flows of U(1) take their angles, real
``(batch, 2, L, L)``, between which `from_angles` and `angles` go.
"""

from gdl_lab.lattice.chern import berry_links, bloch_vectors, chern_number, lower_band, qi_wu_zhang, random_models
from gdl_lab.lattice.exact import charge_distribution, exact_log_z, exact_plaquette, tree_ess
from gdl_lab.lattice.flow import PlaquetteFlow, plaquette_angles
from gdl_lab.lattice.layers import LCNN, LatticeConv, LBilinear, LConv, LGate, LinkCNN, LTrace, gauge_error, transport
from gdl_lab.lattice.learning import Score, chern_task, learn_chern, learn_loops, loop_task
from gdl_lab.lattice.links import (
    GROUPS,
    angles,
    check_links,
    from_angles,
    multiply,
    random_gauge,
    random_links,
    regauge,
    regauge_field,
    shift,
    wrap,
)
from gdl_lab.lattice.loops import (
    action,
    mean_plaquette,
    path,
    plaquettes,
    polyakov_loop,
    staples,
    topological_charge,
    trace,
    wilson_loop,
)
from gdl_lab.lattice.monte_carlo import autocorrelation_time, blocked, heat_bath, hmc, von_mises
from gdl_lab.lattice.scalar import ScalarFlow, gaussian_kl, scalar_action, scalar_log_z
from gdl_lab.lattice.weights import Estimate, ess, estimate_log_z, log_weights, metropolis, reweight

__all__ = [
    "GROUPS",
    "LCNN",
    "Estimate",
    "LBilinear",
    "LConv",
    "LGate",
    "LTrace",
    "LatticeConv",
    "LinkCNN",
    "PlaquetteFlow",
    "ScalarFlow",
    "Score",
    "action",
    "angles",
    "autocorrelation_time",
    "berry_links",
    "bloch_vectors",
    "blocked",
    "charge_distribution",
    "check_links",
    "chern_number",
    "chern_task",
    "ess",
    "estimate_log_z",
    "exact_log_z",
    "exact_plaquette",
    "from_angles",
    "gauge_error",
    "gaussian_kl",
    "heat_bath",
    "hmc",
    "learn_chern",
    "learn_loops",
    "log_weights",
    "loop_task",
    "lower_band",
    "mean_plaquette",
    "metropolis",
    "multiply",
    "path",
    "plaquette_angles",
    "plaquettes",
    "polyakov_loop",
    "qi_wu_zhang",
    "random_gauge",
    "random_links",
    "random_models",
    "regauge",
    "regauge_field",
    "reweight",
    "scalar_action",
    "scalar_log_z",
    "shift",
    "staples",
    "topological_charge",
    "trace",
    "transport",
    "tree_ess",
    "von_mises",
    "wilson_loop",
    "wrap",
]

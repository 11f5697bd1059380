# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,jupyter
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lattice gauge fields
#
# By the end of this chapter we have put a gauge symmetry on a lattice, and seen links turn while loops stay; we have drawn
# gauge fields by Markov chains, held them against exact values, and watched their topology freeze; we have built a network
# that no gauge can fool, and taught it what an ordinary one cannot learn; we have drawn fields from a flow, and found out
# when that pays; and we have counted Chern numbers. It takes about 90 minutes, and runs in two on two cores. We need
# chapters [04](04_normalizing_flows.ipynb) and [07](07_symmetry.ipynb).
#
# Where we are: [the map of the talk](00_start_here.ipynb#map).

# %% tags=["parameters"]
profile = "laptop"

# %%
import math
from itertools import islice

import torch
from IPython.display import display

from gdl_lab import claims, figures, lattice, recipes, runtime
from gdl_lab.claims import fields
from gdl_lab.exercises import check
from gdl_lab.lattice import LConv, blocked, from_angles, plaquette_angles, plaquettes, wrap
from gdl_lab.training import fit, warm_cosine
from gdl_lab.widgets import ScrambledLattice

run = runtime.start(profile)

# %% [markdown]
# (lattice-gauge-theory)=
# ## An internal gauge symmetry
#
# :::{admonition} The talk · “Internal gauge symmetries on the lattice”
# :class: talk
# Gauge equivariant convolutions also exist for *internal* gauge symmetries, used for lattice field theory computations.
# (And of normalizing flows: used e.g. to sample field configurations in lattice field theory.)
# :::
#
# In chapter 09 a gauge is a frame of the tangent space at every point. An **internal** gauge is a basis at every point of a
# space $\mathbb C^N$ that has nothing to do with directions: of phases in electrodynamics, of colours in chromodynamics.
# Vectors at two points cannot be compared before something carries one to the other. On a lattice, that something is the
# field.
#
# :::{prf:definition} Lattice gauge field
# :label: def-links
# Sites are the points $x$ of a torus $(\mathbb Z/L)^D$ with unit steps $\hat\mu$. A **gauge field** puts an element
# $U_\mu(x)$ of a group $G$ of unitary $N\times N$ matrices on every link, the parallel transport from $x+\hat\mu$ to $x$;
# back leads $U_\mu(x)^\dagger$. A **gauge transformation** is an $\Omega(x)\in G$ at every site, a change of basis, and acts by
#
# $$
# U_\mu(x)\;\to\;\Omega(x)\,U_\mu(x)\,\Omega(x+\hat\mu)^\dagger.
# $$ (eq-regauge)
#
# The **plaquette** is the transport around the smallest square,
#
# $$
# P_{\mu\nu}(x)=U_\mu(x)\,U_\nu(x+\hat\mu)\,U_\mu(x+\hat\nu)^\dagger\,U_\nu(x)^\dagger.
# $$ (eq-plaquette)
# :::
#
# In the words of chapter 09, this is a principal $G$-bundle over the sites, in a gauge, and a connection that has been
# integrated along each link. We write both lines for one field in two dimensions, and scramble it.

# %%
def regauged(U, omega):                      # U: (2, L, L, N, N), omega: (L, L, N, N)
    ahead = torch.stack([omega.roll(-1, mu) for mu in (0, 1)])
    return omega @ U @ ahead.mH

def plaquette(U):
    a, b = U
    return a @ b.roll(-1, 0) @ a.roll(-1, 1).mH @ b.mH

rng = run.generator()
U, omega = (make("SU(2)", (6, 6), generator=rng)
            for make in (lattice.random_links, lattice.random_gauge))
V = regauged(U[0], omega[0, 0])
P, Q = plaquette(U[0]), plaquette(V)
for what, off in {
    "links, before and after": V - U[0],
    "plaquettes, before and after": Q - P,
    "plaquettes after, and Ω P Ω†": Q - omega[0, 0] @ P @ omega[0, 0].mH,
    "traces of plaquettes": lattice.trace(Q) - lattice.trace(P),
    "our lines and the package's": V - lattice.regauge(U, omega)[0],
}.items():
    print(f"{what:32} differ by up to {off.abs().max():.1e}")

# %% [markdown]
# :::{prf:theorem} Loops
# :label: thm-loops
# The product $W(x)$ of links along any path from $x$ back to $x$ turns as $W(x)\to\Omega(x)W(x)\Omega(x)^\dagger$, and its
# trace does not change.
# :::
#
# :::{prf:proof}
# Where two links of the path meet, at $y$ say, $\Omega(y)^\dagger\Omega(y)=1$. The two at the ends remain; a trace is cyclic.
# :::
#
# Traces of loops are called **Wilson loops** {cite}`wilson1974`. Below is a field of $\mathrm U(1)$, where
# $U_\mu(x)=e^{i\theta_\mu(x)}$: arrows for links, colours for the angles of plaquettes. Two gauges, one field.

# %%
start = lattice.random_links("U(1)", (8, 8), generator=rng)
U = next(islice(lattice.heat_bath(start, 3.0, generator=rng), 40, None))
V = lattice.regauge(U, lattice.random_gauge("U(1)", (8, 8), generator=rng))
theta, scrambled = lattice.angles(U), lattice.angles(V)
same = wrap(plaquette_angles(theta) - plaquette_angles(scrambled)).abs().max()
display(figures.lattice(
    {"one gauge": theta[0], "another": scrambled[0]}, size=3.6,
    caption="Arrows have turned, some by a few degrees only (black: direction 0, violet: 1); no "
    "square has changed its colour. Both ends of the bar are one angle.",
    alt=f"Two lattices of 8 by 8 squares. Arrows differ by up to "
    f"{wrap(theta - scrambled).abs().max():.2f} radians, plaquettes by {same:.0e}."))
display(claims.ch10.links_turn_and_traces_stay())
ScrambledLattice()

# %% [markdown]
# The widget paints 0 red and ±π blue.
#
# **Try it.** (1) Scramble: what moves, what stays? (2) Turn one *site*: which links move, and why does no square change? (3) Put
# all back and turn one *link*: which squares change, and by what? (A loop of a single square reads off its angle.) (4) Draw the
# rectangle of a Wilson loop along that link, and across it: when does the loop notice? The lower picture is for later.
#
# ## A whole number
#
# For $\mathrm U(1)$, the angle of a loop round a region is the sum of the plaquettes inside, modulo $2\pi$: Stokes' theorem. On a
# torus every link occurs in two plaquettes, once forwards and once backwards, so that the product of *all* plaquettes is 1.
# Their angles, each taken in $(-\pi,\pi]$, add up to a multiple of $2\pi$,
#
# $$
# Q=\frac1{2\pi}\sum_x\arg P(x)\;\in\;\mathbb Z,
# $$ (eq-charge)
#
# the **topological charge**. No small change of links can alter it, except where a plaquette passes through $\pi$, which is as
# far from 1 as it gets. We turn a single link once around, and watch.

# %%
turns = torch.linspace(0, 2 * math.pi, 400, dtype=torch.float64)
many = theta.expand(400, -1, -1, -1).clone()
many[:, 0, 3, 3] += turns
charge = lattice.topological_charge(from_angles(many)).round()
rough = (1 - plaquette_angles(many).cos()).sum((1, 2))
display(figures.curves(
    {"charge Q": (turns, charge), "Σ(1 − cos P) above its least": (turns, rough - rough.min())},
    xlabel="angle by which one link is turned", ylabel="",
    caption="Two plaquettes share the link. The charge changes when the first passes π, and "
    "back when the second does; halfway between, the field is at its roughest.",
    alt=f"The charge goes from {charge[0]:.0f} to {charge[200]:.0f} and to {charge[-1]:.0f}; "
    f"the roughness rises by {rough.max() - rough.min():.1f} on the way."))
display(claims.ch10.plaquettes_fill_loops(), claims.ch10.all_charges_are_whole())

# %% [markdown]
# ## Fields at random
#
# Quantum field theory asks for averages over fields of a density, with respect to Haar's measure on every link (for
# $\mathrm U(1)$ we take $d\theta$, of total $2\pi$),
#
# $$
# p(U)=\frac{e^{-S(U)}}Z,\qquad S(U)=-\beta\sum_{x,\,\mu<\nu}\operatorname{Re}\operatorname{tr}P_{\mu\nu}(x)/N.
# $$ (eq-wilson-action)
#
# Large $\beta$ makes plaquettes close to 1. In two dimensions we know the answer, so that nothing below has to be believed.
#
# :::{prf:theorem} Two dimensions
# :label: thm-two-dimensions
# On a torus of $V$ plaquettes, for $\mathrm U(1)$ and Bessel functions $I_n$ {cite}`migdal1975`,
#
# $$
# Z=(2\pi)^{2V}\sum_{n\in\mathbb Z}I_n(\beta)^V,\qquad\langle\cos P\rangle=\frac1V\frac{\partial\log Z}{\partial\beta}.
# $$ (eq-exact)
# :::
#
# :::{prf:proof}
# Expand $e^{\beta\cos P}=\sum_nI_n(\beta)e^{inP}$ for every plaquette. The angle of a link occurs in two of them with opposite
# signs; its integral vanishes unless they have the same $n$. So all have.
# :::
#
# **Hamiltonian Monte Carlo** {cite}`duane1987` lets the angles move like particles of mass 1 with random velocities $v$ under
# $H=\frac12\sum v^2+S$. The leapfrog below conserves volume and can be reversed, so that accepting its end with probability
# $\min(1,e^{-\Delta H})$ leaves the density as it is. The **heat bath** {cite}`creutz1980` draws one link after the other from
# its exact density given the others (statisticians say Gibbs sampling; for $\mathrm{SU}(3)$, within three subgroups
# $\mathrm{SU}(2)$ in turn). Ours is for angles; the package's are for $\mathrm U(1)$, $\mathrm{SU}(2)$ and $\mathrm{SU}(3)$ in
# two to four dimensions.

# %%
def trajectory(theta, beta, steps=10, length=1.0):
    def S(t):
        return -beta * plaquette_angles(t).cos().sum((1, 2))
    force = torch.func.grad(lambda t: S(t).sum())
    eps, new = length / steps, theta
    v = begun = torch.randn(theta.shape, generator=rng, dtype=theta.dtype)
    v = v - eps / 2 * force(new)
    for k in range(steps):
        new = new + eps * v
        v = v - (eps if k < steps - 1 else eps / 2) * force(new)
    change = S(new) - S(theta) + (v**2 - begun**2).sum((1, 2, 3)) / 2
    accept = torch.rand(len(theta), generator=rng) < torch.exp(-change)
    return torch.where(accept[:, None, None, None], new, theta)

rows = []
for beta in (1.0, 2.0, 3.0):
    theta, series = torch.zeros(32, 2, 8, 8, dtype=torch.float64), []
    for _ in range(run.pick(smoke=20, laptop=150)):
        theta = trajectory(theta, beta)
        series.append(plaquette_angles(theta).cos().mean((1, 2)))
    chains = (torch.stack(series[len(series) // 5:]), fields.history(beta).cosine,
              fields.sweeps("U(1)", beta))
    rows.append([beta, *(blocked(one, 4) for one in chains),
                 f"{lattice.exact_plaquette(beta, 64):.5f}"])
figures.table(["β", "our lines", "lattice.hmc", "lattice.heat_bath", "exact"], rows,
              caption="⟨cos P⟩ on 8×8 sites, with standard errors from blocks of time.")

# %%
display(claims.ch10.exact_values_are_integrals(), claims.ch10.chains_meet_the_exact_plaquette())
display(claims.ch10.heat_bath_meets_the_exact_plaquette())

# %% [markdown]
# ### Frozen topology
#
# A chain moves in small steps. To change $Q$, a plaquette has to pass through $\pi$, and the price of that grows with $\beta$.
# Towards the continuum (a finer lattice of the same physics has a larger $\beta$), the charge stands still
# {cite}`deldebbio2004`.

# %%
met = {beta: fields.history(beta) for beta in (1.0, 2.0, 3.0, 5.0, 7.0)}
display(figures.histories(
    {f"β = {beta:g}": met[beta].charge[:, :3] for beta in (1.0, 3.0, 7.0)}, ylabel="charge Q",
    caption="Three chains each: busy at β = 1, slow at 3; at 7 they keep the charge they had.",
    alt="; ".join(f"β = {beta:g}: {one.tunnelling:.3g} changes per trajectory"
                  for beta, one in met.items())))
rows = []
for beta, one in met.items():
    (Q, p), cosine = lattice.charge_distribution(beta, 64), blocked(one.cosine, 4)
    off = (cosine.mean - lattice.exact_plaquette(beta, 64)) / cosine.error
    spread = one.spread, float(p @ Q**2)
    rows.append([beta, one.accepted, one.tunnelling, *spread, f"{off:+.1f}"])
display(figures.table(
    ["β", "accepted", "changes of Q", "⟨Q²⟩", "exact", "⟨cos P⟩ − exact, in σ"], rows,
    caption="32 chains of HMC, 120 trajectories each after 30; σ is the error from blocks."))
display(claims.ch10.topology_freezes(), claims.ch10.frozen_chains_err())

# %% [markdown]
# Look at the last line. The chains left a hot start, links from Haar's measure, quickly and then froze, each in the charge that
# it had got to: ⟨Q²⟩ is 1 and should be 0.22. Their ⟨cos P⟩ is off by five of its error bars. The bar is wrong too: four blocks
# of a frozen chain are one measurement and not four, and the scatter of the 32 chains gives a bar nearly twice as long (the
# claim shows it). But no bar mends the mean, nor would chains a few times as long: an error bar knows the scatter of what was
# visited, not how often it should have been.
#
# ## Networks on links
#
# What may a network do with links, if no gauge is to fool it? Its features are **fields**
# $W(x)\to\Omega(x)W(x)\Omega(x)^\dagger$, as plaquettes are. They may be carried to $x$ and then added, multiplied at one $x$,
# and traced.
#
# :::{prf:definition} L-CNN
# :label: def-lcnn
# With complex weights $\kappa$ and $\alpha$ {cite}`favoni2022`,
#
# $$
# W'_i(x)=\sum_{j,\mu,k}\kappa_{ij\mu k}\,U\,W_j(x+k\hat\mu)\,U^\dagger,\qquad
# W''_i(x)=\sum_{jl}\alpha_{ijl}\,W_j(x)\,W'_l(x),
# $$ (eq-lcnn)
#
# with $U$ the product of the links on the way from $x$ to $x+k\hat\mu$, where $k$ may be negative. Among the factors of the
# second are also 1, which keeps what a layer had, and all adjoints: loops in both senses, products in both orders. The first is
# the convolution of the talk, on a lattice: transport, kernel, sum. The second makes loops grow.
# :::
#
# How do products of plaquettes make a larger loop? For matrices, Stokes' sum has to become a product *at one point*: the
# neighbour is carried here first.

# %%
U = lattice.random_links("SU(2)", (6, 6), generator=rng)
P, link = plaquettes(U)[0, 0], U[0, 0]
brought = link @ P.roll(-1, 0) @ link.mH               # P(x + 0̂), carried to x
wide = lattice.wilson_loop(U, 0, 1, 2, 1)[0, 0]
print(f"brought · P and the 2×1 loop differ by {(brought @ P - wide).abs().max():.1e}")
print(f"without links, by {(P.roll(-1, 0) @ P - wide).abs().max():.2f}")
conv = LConv(1, 1, dim=2).double().requires_grad_(False)
conv.weight.zero_()[0, 0, 1, 0] = 1                    # to, from, path (0 stays, 1 is +0̂), Re/Im
off = (conv(U, plaquettes(U))[0, 0] - brought).abs().max()
print(f"LConv with this kernel and our line, by {off:.1e}")
display(claims.ch10.two_plaquettes_make_a_loop(), claims.ch10.layers_are_covariant())

# %% [markdown]
# So one layer makes the 2×1 loop, two make the 2×2 loop among others, and enough of them every loop that can be contracted
# to a point. Nonlinear is the product; whatever else depends on $W$ may see it through traces alone.
#
# **Break it.** We leave the links out, multiply matrices of two sites, or apply a ReLU to entries. Each is a line one writes
# without thinking.

# %%
claims.ch10.mistakes_break_it()

# %% [markdown]
# Does it matter for *learning*? We draw fields of $\mathrm{SU}(2)$ at several $\beta$ and ask two networks for the mean of
# all 2×2 loops: two layers of L-CNN with a linear readout, and an ordinary CNN with more parameters that reads the entries
# of the links. They see 8×8 sites in training.

# %%
examples, steps, sizes = run.pick(smoke=(32, 8, (8,)), laptop=(256, 240, (8, 12, 16)))
loops = fields.loop_scores(examples, steps, sizes)
display(figures.table(
    ["network", "parameters", *(f"{size}×{size}" for size in sizes)], fields.rows(loops),
    caption=f"R² on new fields after {steps} steps: 1 is perfect, 0 as good as the average."))
if run.profile != "smoke":
    display(claims.ch10.loops_are_learned(scores=loops))

# %% [markdown]
# The CNN is worse than a constant. To it, each field is one of infinitely many that look unrelated and have the same answer.
# For gauge fields, augmentation would mean to average over a group of dimension
# $3\cdot64$.
#
# ## Flows of fields
#
# A Markov chain may freeze, since it has to *walk* from field to field. A flow *draws* them: independent fields $U=g(z)$,
# with a density $q$ that is known. It is trained without any field of $p$, by the divergence the other way round than in
# chapter 04,
#
# $$
# \mathrm{KL}(q\,\|\,p)=\langle\log q+S\rangle_q+\log Z,
# $$ (eq-reverse-kl)
#
# where fields that $q$ never draws cost nothing. What it does wrong is put right by weights: with $w=e^{-S}/q$,
# $\langle O\rangle_p=\langle wO\rangle_q/\langle w\rangle_q$ and $Z=\langle w\rangle_q$ {cite}`nicoli2021`. The price is the
# **effective sample size**
#
# $$
# \mathrm{ESS}=\frac{\langle w\rangle_q^2}{\langle w^2\rangle_q}\in(0,1].
# $$ (eq-ess)
#
# First a real number $\varphi(x)$ at every site, of action
# $\sum_x\bigl[\sum_\mu(\varphi(x+\hat\mu)-\varphi(x))^2-4\varphi^2+8\varphi^4\bigr]$ {cite}`albergo2019`, by chapter 04's
# couplings on a checkerboard, made to commute with $\varphi\to-\varphi$. log Z, which no Markov chain at one action tells,
# agrees with the transfer matrix: $Z=\operatorname{tr}T^L$, where $T$ leads from one row of sites to the next.

# %%
claims.ch10.phi4_meets_its_log_z()

# %% [markdown]
# For links {cite:t}`kanwar2020` had the idea: couple *plaquettes*. A link is turned so that its plaquette goes where a map
# of the circle sends it,
#
# $$
# \theta'=\theta+(P'-P),\qquad P'=\tau(P;f),
# $$ (eq-link-coupling)
#
# and the map depends on plaquettes $f$ that no turned link touches. All that is seen is invariant, so the flow commutes with
# every gauge; and the Jacobian is triangular with $\tau'$ on its diagonal.

# %%
def coupling(theta):                          # turns links of direction 0 on the rows 0, 4, …
    P = plaquette_angles(theta)[..., ::4]
    s = plaquette_angles(theta)[..., 2::4].cos()             # two rows away: untouched
    new = 2 * torch.atan(torch.exp(s) * torch.tan(P / 2))    # a map of the circle, increasing
    slope = 1 / (torch.exp(-s) * torch.cos(P / 2)**2 + torch.exp(s) * torch.sin(P / 2)**2)
    turned = theta.clone()
    turned[:, 0, :, ::4] += new - P
    return turned, slope.log().sum((1, 2))

theta, alpha = (2 * math.pi * torch.rand(1, n, 8, 8, generator=rng).double() for n in (2, 1))
gauge = torch.cat([alpha - alpha.roll(-1, axis) for axis in (2, 3)], 1)
off = wrap(coupling(theta + gauge)[0] - coupling(theta)[0] - gauge).abs().max()
J = torch.func.jacrev(lambda t: coupling(t)[0])(theta).reshape(128, 128)
print(f"commutes with a gauge change to {off:.0e}; log det {coupling(theta)[1][0]:.9f}, "
      f"by autograd {torch.linalg.slogdet(J)[1]:.9f}")
display(claims.ch10.flow_is_equivariant(), claims.ch10.flow_knows_its_density())

# %% [markdown]
# `PlaquetteFlow` stacks sixteen of these, with splines for $\tau$ and small circular convolutions for what they depend on. We
# train it at $\beta=1$, from links that are uniform, for 700 steps: a minute of a quiet core. (In `smoke` there are four, and
# then we take the flow that comes with the course.)

# %%
recipe, shares = recipes.RECIPES["u1-beta-1"], []
plan, flow = recipe.plan("laptop"), recipe.begin()
training, (few,) = recipe.split(plan)

def validate(model):
    with torch.no_grad():
        log_w = lattice.log_weights(model, recipe.action, few)
    shares.append(lattice.ess(log_w))
    return recipe.log_z() - float(log_w.mean())

steps = run.pick(smoke=4, laptop=plan.steps)
trained = fit(flow, training, recipe.loss, steps=steps, batch_size=plan.batch_size, lr=plan.lr,
              clip=plan.clip, schedule=warm_cosine, validate=validate, every=steps // 10 or 1)
at, divergences = zip(*trained.validation)
display(figures.curves(
    {"KL(q‖p) in nats": (at, divergences), "ESS": (at, shares)}, log="y", markers=True,
    xlabel="steps", ylabel="", references={"ESS of the tree": lattice.tree_ess(1.0)},
    caption="A minute of training: the divergence falls, the effective sample size rises.",
    alt=f"KL from {divergences[0]:.2f} to {divergences[-1]:.2f} nats, ESS from "
    f"{shares[0]:.2f} to {shares[-1]:.2f}; the tree has 0.70."))
ours = fields.sampled("u1-beta-1")
if run.profile != "smoke":
    ours = fields.draw(flow, recipe.action)
display(claims.ch10.flow_is_worth_its_samples(samples=ours))
display(claims.ch10.flow_meets_the_exact_values(samples=ours))

# %% [markdown]
# ### Divide out the gauge group first
#
# What is the dotted line in the picture? A rival that needs no network.
#
# :::{prf:theorem} The tree
# :label: thm-tree
# Draw all plaquettes but one independently, with density $\propto e^{\beta\cos P}$, and let the last make up for the sum. On
# larger and larger tori, $\mathrm{ESS}\to I_0(\beta)^2/I_0(2\beta)$.
# :::
#
# :::{prf:proof}
# Along a tree of links that reaches every site, the gauge can be chosen such that all $U=1$. What remains of the field is the
# plaquettes, free but for their sum, and two loops around the torus. So $w\propto e^{\beta\cos P}$ for the last plaquette,
# which, as minus the sum of many, is uniform up to coefficients $(I_n/I_0)^{V-1}$: $\langle w\rangle\propto I_0(\beta)$,
# $\langle w^2\rangle\propto I_0(2\beta)$.
# :::

# %%
drawn = {
    "β = 1, flow from uniform links": (1.0, ours),
    "β = 1, tree": (1.0, fields.tree(1.0)),
    "β = 3, flow from uniform links": (3.0, fields.sampled("u1-beta-3")),
    "β = 3, tree": (3.0, fields.tree(3.0)),
    "β = 3, flow from the tree": (3.0, fields.sampled("u1-beta-3-tree")),
    "β = 7, tree": (7.0, fields.tree(7.0)),
}
display(figures.table(
    ["from", "KL, nats", "ESS", "accepted", "⟨cos P⟩ by weights", "exact", "log Z − exact"],
    [[name, *fields.report(one, beta)] for name, (beta, one) in drawn.items()],
    caption="8×8 sites; accepted: by a Markov chain that takes each with probability min(1, w′/w)."))
display(claims.ch10.tree_has_its_share(), claims.ch10.flow_at_beta_3())

# %% [markdown]
# Read it slowly. At $\beta=1$ the flow, in a minute, gets about as far as the tree without any training. At $\beta=3$, after
# the same minute from uniform links, it fails, and its errors are not to be trusted either: with such weights a handful of
# fields decides. Started *from the tree*, training makes the divergence smaller and the effective sample size *smaller too*:
# KL asks what most fields look like, ESS is decided by the rare ones that $q$ forgets. And the tree at $\beta=7$ has the
# right $\langle\cos P\rangle$, where HMC had frozen. Equivariance makes the flow see the right things; dividing out the group,
# where one can, leaves it less to learn. (In three and four dimensions the tree is there too, but plaquettes are bound to
# each other in every cube.)
#
# **Try it.** Back in the widget, compare the samplers of the lower picture at β = 3 with the density they should have. Give
# flow and tree their weights: which comes right, and how many fields are left to it?
#
# ## Topological invariants
#
# The talk names, as an ongoing project, learning topological invariants in condensed matter physics; by now it is published
# {cite}`huang2025`. In a crystal, an electron of momentum $k$, a point of a torus, is described by a Hermitian matrix $h(k)$.
# Its eigenvalues are energies; each, as a function of $k$, is a **band**, with unit eigenvectors $u(k)$, and the distance of
# two bands is their **gap**. Eigenvectors have no phase of their own: **phases are a gauge**, and
# $U_\mu(k)\propto\langle u(k)\,|\,u(k+\hat\mu)\rangle$ are links. Their charge {eq}`eq-charge` is the **Chern number** of the
# band {cite}`fukui2005`. Qi, Wu and Zhang's model {cite}`qi2006` is $h(k)=d(k)\cdot\sigma$ with Pauli's three matrices and
# $d=(\sin k_0,\sin k_1,m+\cos k_0+\cos k_1)$: the energies are $\pm|d|$, and the gap closes where $d=0$.

# %%
def chern(d):                                 # (masses, L, L, 3) → one number for each mass
    x, y, z = d.to(torch.complex128).unbind(-1)
    h = torch.stack([z, x - 1j * y, x + 1j * y, -z], -1).unflatten(-1, (2, 2))
    u = torch.linalg.eigh(h).eigenvectors[..., 0]              # the lower band, in some gauge
    a, b = ((u.conj() * u.roll(-1, mu)).sum(-1) for mu in (1, 2))
    P = a * b.roll(-1, 1) * a.roll(-1, 2).conj() * b.conj()
    return P.angle().sum((1, 2)) / (2 * math.pi)

m = torch.linspace(-3, 3, 120, dtype=torch.float64)
coarse, fine = (chern(lattice.qi_wu_zhang(m, size)) for size in (5, 24))
off = max((q - q.round()).abs().max() for q in (coarse, fine))
display(figures.curves(
    {"5×5 momenta": (m, coarse.round().int()), "24×24 momenta": (m, fine.round().int())},
    xlabel="mass m", ylabel="Chern number of the lower band",
    caption=f"Whole numbers on any grid (to {off:.0e}). They change where the gap closes, at m = −2, "
    "0 and 2; five momenta, none of them π, miss where two of the three closings are.",
    alt="0 below −2, −1 up to 0, 1 up to 2, then 0. On 5×5 momenta "
    f"{int((coarse.round() != fine.round()).sum())} of {len(m)} masses have another number."))
claims.ch10.chern_numbers_are_degrees()

# %% [markdown]
# Can a network learn what it is not told? We train on links of random two-band models on 8×8 momenta, and ask for their Chern
# numbers. Three compete: a function of the plaquettes, summed, and odd under $U\to\bar U$ as charges are, with 129 weights; a
# CNN on the links in random gauges; and the same CNN in the gauge that makes the first component of $u$ positive. In that
# gauge links are smooth, except where this component vanishes: a phase that is smooth on the whole torus exists only if the
# Chern number is zero.

# %%
examples, steps = run.pick(smoke=(64, 10), laptop=(2048, 600))
scores = fields.chern_scores(examples, steps)
display(figures.table(
    ["network", "parameters", "8×8", "12×12", "16×16", "24×24"], fields.rows(scores),
    caption=f"Share of Chern numbers named rightly, after {steps} steps on 8×8 momenta."))
if run.profile != "smoke":
    display(claims.ch10.chern_transfers(scores=scores))

# %% [markdown]
# The function of plaquettes gets *better* on larger grids, as if it had found the angle of a plaquette: up to 16×16 it stays
# within about a per cent of {eq}`eq-charge` itself (last line). At 24×24 the charge is right by construction, since these are
# the numbers asked for; what is missing there is the network's own error. In random gauges the CNN has just the share of
# zeros, the commonest number. In the fixed gauge it learns something at 8×8 and loses a good part of it at 24×24. (Huang et
# al. go further: many bands, matrices for phases, and networks that have seen bands of number zero alone.)
#
# ## Exercises
#
# Replace the dots and run the cell; the checker answers ✓ or names the mistake. The solution is folded below each. Fields are
# `(batch, L, T, N, N)`, and `field.roll(-1, 1)` brings what is at $x+\hat0$ to $x$; `U.unbind(1)` takes links apart by direction.
#
# :::{exercise} A larger loop
# :label: ex-lattice-loop
# **●○○ · 5 minutes · teaches: order and orientation.** For links `(batch, 2, L, T, N, N)` return the loop from $x$: two links
# along direction 0, one along 1, and back.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Six factors. Where does each link *start*? A link walked backwards starts where the step ends.
# :::

# %% tags=["exercise"]
def my_loop(U):
    ...

check.ch10.loop(my_loop)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_loop(U):
    a, b = U.unbind(1)
    there = a @ a.roll(-1, 1) @ b.roll(-2, 1)
    return there @ a.roll((-1, -1), (1, 2)).mH @ a.roll(-1, 2).mH @ b.mH

check.ch10.loop(solved_loop)

# %% [markdown]
# :::{exercise} An open line
# :label: ex-lattice-line
# **●○○ · 4 minutes · teaches: where the gauge factors stand.** $W(x)=U_0(x)U_0(x+\hat0)$ ends two sites from where it begins.
# Return it in the gauge `omega`, both `(batch, L, T, N, N)`. Could its trace be measured?
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Turn both links by {eq}`eq-regauge` and multiply.
# :::

# %% tags=["exercise"]
def my_line(W, omega):
    ...

check.ch10.line(my_line)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_line(W, omega):                   # its trace depends on the gauge: no
    return omega @ W @ omega.roll(-2, 1).mH

check.ch10.line(solved_line)

# %% [markdown]
# :::{exercise} Transport from behind
# :label: ex-lattice-transport
# **●●○ · 5 minutes · teaches: the direction of transport.** Given the links `U` of direction 0 alone and a field `W`, return
# $W(x-\hat0)$, carried to $x$.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# $U_0(y)$ carries from $y+\hat0$ to $y$. Here $y=x-\hat0$, and we go the other way.
# :::

# %% tags=["exercise"]
def my_transport(U, W):
    ...

check.ch10.transport_back(my_transport)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_transport(U, W):
    behind = U.roll(1, 1)
    return behind.mH @ W.roll(1, 1) @ behind

check.ch10.transport_back(solved_transport)

# %% [markdown]
# :::{exercise} The charge
# :label: ex-lattice-charge
# **●●○ · 5 minutes · teaches: why angles are wrapped.** Return $Q$ of {eq}`eq-charge` for `theta`, angles of $\mathrm U(1)$
# links `(batch, 2, L, T)`, without the package.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Each plaquette is wrapped before the sum; `torch.remainder` helps.
# :::

# %% tags=["exercise"]
def my_charge(theta):
    ...

check.ch10.charge(my_charge)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_charge(theta):
    a, b = theta.unbind(1)
    P = a + b.roll(-1, 1) - a.roll(-1, 2) - b
    P = torch.remainder(P + math.pi, 2 * math.pi) - math.pi
    return P.sum((1, 2)) / (2 * math.pi)

check.ch10.charge(solved_charge)

# %% [markdown]
# :::{exercise} Effective sample size
# :label: ex-lattice-ess
# **●○○ · 4 minutes · teaches: weights of any size.** Return {eq}`eq-ess` for log-weights `(n,)`, which may be as large as 900.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# A factor common to all weights drops out.
# :::

# %% tags=["exercise"]
def my_ess(log_w):
    ...

check.ch10.ess(my_ess)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_ess(log_w):
    w = torch.exp(log_w - log_w.max())
    return w.sum()**2 / (len(w) * (w**2).sum())

check.ch10.ess(solved_ess)

# %% [markdown]
# ## What to read next
#
# - {cite:t}`gattringer2010` teach lattice gauge theory from the beginning.
# - {cite:t}`favoni2022` for L-CNN and for which loops it makes; {cite:t}`kanwar2020` for flows of links, and
#   {cite:t}`albergo2021` for a notebook of it.
# - {cite:t}`gerken2021` set gauge equivariant networks into one theory; {cite:t}`huang2025` learn Chern numbers of many bands.
# - [Back to the map](00_start_here.ipynb#map).

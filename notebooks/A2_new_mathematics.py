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
# # New mathematics
#
# By the end of this chapter we have found Euler's formula from a table, and seen from which tables it cannot be found; we have
# asked a network which properties of a knot its signature hangs on, and seen what theorem came of it; and we have simplified
# sums of dilogarithms by search, by learning and by symmetry, and counted what each costs. It takes about 60 minutes. We need
# [chapter 01](01_mlp_backprop.ipynb); [chapter 07](07_symmetry.ipynb) helps at the end.
#
# Where we are: [the map of the talk](00_start_here.ipynb#map).

# %% tags=["parameters"]
profile = "laptop"

# %%
from statistics import mean
from time import process_time

import numpy as np
import torch
from IPython.display import display
from scipy.special import spence

from gdl_lab import claims, figures, recipes, runtime
from gdl_lab.claims import signatures
from gdl_lab.discovery import (
    FAMILIES, apply, beam, best_first, draw, five_terms, follow, in_words, look_ahead, measure,
    quotient, quotient_neighbours, random_walk, ratio, regress, representative, rounded,
    scramble, split, value)
from gdl_lab.discovery.knots import CUSP, FEATURES
from gdl_lab.exercises import check
from gdl_lab.recipes.dilogarithms import dice, scrambled

run = runtime.start(profile)

# %% [markdown]
# (novel-mathematics)=
# ## Guessing a formula
#
# :::{admonition} The talk · “Novel mathematics from deep learning research”
# :class: talk
# Deep learning can be used to aid research in pure mathematics {cite}`davies2021`. For a polyhedron $z$ let
# $X(z)\in\mathbb Z^2\times\mathbb R^2$ be the numbers of edges and vertices, volume and surface area, and $Y(z)$ the number of
# faces: is there a function with $Y=f(X)$?
# :::
#
# The process is short. Guess that $Y(z)$ depends on $X(z)$; draw many $z$; train a network $\hat f$ to predict $Y$. If it does
# better than chance there is something to find, and the slopes of $\hat f$ say in which entries of $X$. Then a mathematician
# looks at these, guesses a formula, and proves it or draws other $z$. The answer to the talk's example is known:
#
# $$
# F=-V+E+0\cdot\mathrm{volume}+0\cdot\mathrm{area}+2,
# $$ (eq-euler)
#
# for *convex* polyhedra (the slide has “complex”), with the vertices first, if the weights are to be $(-1,1,0,0)$; with the
# edges first, as the slide names them, they are $(1,-1,0,0)$. We act as if we did not know.
#
# ### Something to count
#
# Six families, from simplicial polyhedra, all of whose faces are triangles, to zonotopes, all of whose faces are parallelograms.
# A hull comes as triangles, from which we need whole faces; then two faces have an edge in common if they share two corners.

# %%
rng = run.generator(3)
solids = {name: measure(family(rng)) for name, family in FAMILIES.items()}
for one in solids.values():
    on = one.incidence.int()                         # (faces, corners): which lies on which
    V, E, F = on.shape[1], ((on @ on.T) >= 2).triu(1).sum(), on.shape[0]
    assert (V, int(E), F) == one.counts
display(figures.polyhedra(
    {f"{name}\n{' · '.join(map(str, one.counts))}": one for name, one in solids.items()},
    caption="One of each family, with its numbers of vertices, edges and faces.",
    alt="; ".join(f"{k}: V, E, F = {one.counts}" for k, one in solids.items())))
claims.chA2.counts_are_right()

# %% [markdown]
# **A trap.** Could we test the counting by {eq}`eq-euler`? No: glue the triangles wrongly, but so that they still close up to a
# sphere, and the formula holds for the wrong numbers too. The claim above asks solids from the book, and $3V=2E$ and $3F=2E$
# where these must hold.
#
# ### Least squares
#
# We are lucky: the function is linear. Five unknown weights, and as many equations as we like.

# %%
def fit(table):
    A = torch.cat([table.x, torch.ones(len(table), 1)], 1)
    weights = torch.linalg.lstsq(A, table.faces[:, None], rcond=1e-9, driver="gelsd").solution
    return weights[:, 0], float((A @ weights - table.faces[:, None]).abs().max())

table = draw(run.pick(smoke=180, laptop=1200))
rows = []
for name in ("all six", "simplicial", "simple", "lattice"):
    weights, residual = fit(table if name == "all six" else table.only(name))
    rows.append([name, *(f"{w:z.4f}" for w in weights), residual])
display(figures.table(
    ["polyhedra", "V", "E", "volume", "area", "1", "largest error"], rows,
    caption=f"Weights for F by least squares, from {len(table)} polyhedra."))
display(claims.chA2.euler_is_found(), claims.chA2.one_family_hides_it())

# %% [markdown]
# ### Break it: one family
#
# The second and third row predict without error, and are not Euler's formula. They are not false either. (Lattice polyhedra,
# whose corners and faces are of many kinds, suffice alone.)
#
# :::{prf:proposition} What one family cannot tell
# :label: prop-one-family
# If all faces are triangles, every side of a face is half an edge: $3F=2E$, and with {eq}`eq-euler` $3V-E-6=0$. So
# $F=(-1+3t)V+(1-t)E+2-6t$ for every $t$, and no number of such polyhedra can tell one $t$ from another.
# :::
#
# Least squares takes the shortest of these weights, a network some others. *What is predicted without error is not thereby
# explained.* It is the choice of the $z$ that makes a formula visible, and this choice is ours.
#
# ### A network and its slopes
#
# A network finds {eq}`eq-euler` less exactly, but without being told that it is linear. It gets standardised inputs
# $\tilde x_k=(x_k-\bar x_k)/s_k$ and gives $\tilde F=(F-\bar F)/s_F$. Davies et al. compare the sizes of
# $\partial\tilde F/\partial\tilde x_k$. To see a formula we go back to faces per unit of $x_k$:
#
# $$
# \frac{\partial F}{\partial x_k}=\frac{s_F}{s_k}\,\frac{\partial\tilde F}{\partial\tilde x_k}.
# $$ (eq-raw)

# %%
def slopes(network, x):                               # of F̃ by x̃, and of F by x
    x = x.float().requires_grad_()
    raw, = torch.autograd.grad(network(x).sum(), x)
    return (raw * network.sd / network.scale).abs().mean(0), raw.median(0).values

steps, rows, networks = run.pick(smoke=100, laptop=2000), [], {}
for name in ("all six", "simplicial"):
    some = table if name == "all six" else table.only(name)
    train, test = split(len(some))
    networks[name] = net = regress(some.x[train], some.faces[train], steps=steps)
    error = (net(some.x[test].float())[:, 0] - some.faces[test]).detach().abs()
    standard, raw = slopes(net, some.x[test])
    for kind, values in (("standardised, mean size", standard), ("raw, median", raw)):
        rows.append([name, float((error < 0.5).double().mean()), kind,
                     *(f"{v:.3f}" for v in values.tolist())])
display(figures.table(
    ["polyhedra", "F right", "slopes", "V", "E", "volume", "area"], rows,
    caption=f"Slopes of networks, {steps} steps, on polyhedra they were not trained on."))
if steps == 2000:
    held_out = table.x[split(len(table))[1]]
    display(claims.chA2.slopes_read_the_formula(network=networks["all six"], x=held_out))

# %% [markdown]
# The raw slopes of the first network can be read as $(-1,1,0,0)$. The standardised ones cannot: there an edge counts for more
# than a vertex, only because their number varies more. The second network names every number of faces, and its slopes are those of
# {prf:ref}`prop-one-family` for some $t$ between 0 and 1, which no data have chosen. No attribution can repair a table in which features
# depend on each other.
#
# ## Knots
#
# The same process, with a $Y$ for which nobody knew a formula. The complement in $S^3$ of nearly all knots in the tables has
# exactly one complete hyperbolic metric, so its volume is an invariant. Far out along the knot it looks like a torus times a
# half-line; grown until it touches itself, this **cusp** has the flat torus $\mathbb C/(\mathbb Z\lambda+\mathbb Z\mu)$ for its
# boundary, with the **longitude** $\lambda>0$ and the **meridian** $\mu\in\mathbb C$. The **signature** $\sigma$, on the other
# hand, is, up to a convention on its sign, the one of $V+V^{\mathsf T}$ for a Seifert matrix $V$ {cite}`rolfsen1976`: topology of
# surfaces, no geometry in sight. In the mirror $\sigma$ and $\mathrm{Re}\,\mu$ change sign.
#
# 3,000 knots up to 14 crossings come with the course; SnapPy has computed them {cite}`snappy`, and `gdl-lab sweep
# hyperbolic-knots` does so again where it is installed. We train networks to name the signature, from all ten features, from the
# cusp's three ($\lambda$, $\mathrm{Re}\,\mu$, $\mathrm{Im}\,\mu$), and from the other seven, and once with the signatures dealt
# out anew. Two warnings: the cusp's volume, one of the seven, is $\lambda\,\mathrm{Im}\,\mu/2$; and of the seven only the
# Chern–Simons invariant changes in the mirror, so that the other six cannot tell $\sigma$ from $-\sigma$.

# %%
knots = signatures.table()
steps = run.pick(smoke=100, laptop=signatures.STEPS)
rest = tuple(k for k in FEATURES if k not in CUSP)
readings = {name: signatures.read(features, steps)
            for name, features in (("all", FEATURES), ("cusp", CUSP), ("without", rest))}
shuffled = signatures.read(steps=steps, shuffled=True)
rows = [["ten features", readings["all"].share], ["the cusp's three", readings["cusp"].share],
        ["the other seven", readings["without"].share],
        ["ten, signatures shuffled", shuffled.share], ["always 0", signatures.majority()]]
display(figures.table(
    ["a network given", "share of signatures named"], rows,
    caption=f"Signatures of {len(knots) // 4} knots it has not seen, {steps} steps."))
lost = sorted(readings["all"].importance.items(), key=lambda pair: -pair[1])
display(figures.table(["feature", "share lost"], [[k, f"{v:.3f}"] for k, v in lost],
                      caption="What the first network loses when one feature is shuffled."))
if steps == signatures.STEPS:
    display(claims.chA2.three_features_are_found(reading=readings["all"]),
            claims.chA2.cusp_is_needed(readings=readings),
            claims.chA2.shuffled_signatures_teach_nothing(reading=shuffled))

# %% [markdown]
# Three features stand out, and they are one thing, the torus around the cusp. So one looks for *one* number made of $\lambda$ and
# $\mu$ that changes its sign in the mirror. There are several, $\mathrm{Re}\,\mu$ for one; what fits is the **natural slope**
#
# $$
# \mathrm{slope}(K)=\mathrm{Re}(\lambda/\mu).
# $$ (eq-slope)
#
# :::{prf:theorem} Davies, Juhász, Lackenby and Tomašev
# :label: thm-slope
# There is a constant $c$ such that for every hyperbolic knot
# $\lvert2\sigma(K)-\mathrm{slope}(K)\rvert\le c\,\mathrm{vol}(K)\,\mathrm{inj}(K)^{-3}$, with the volume of the complement and the
# smallest injectivity radius at a point outside its maximal cusp (in the cusp it tends to 0) {cite}`davies2024`.
# :::

# %%
lam, mu = knots.columns("longitude")[:, 0], torch.complex(*knots.columns(*CUSP[:2]).unbind(1))
slope = (lam / mu).real
assert torch.allclose(slope, knots.slope)
factor = float((slope * knots.signature).sum() / slope.square().sum())
rows = [[name, mean((rounded(k * slope) == knots.signature).tolist())]
        for name, k in (("slope / 2", 1 / 2), (f"{factor:.3f} slope", factor))]
display(figures.table(["nearest even number to", "share of signatures"], rows,
                      caption=f"A rule instead of a network, on all {len(knots):,} knots."))
ends = torch.tensor([-1.0, 1.0]) * float(slope.abs().max())
lines = [torch.stack([ends, k * ends], 1) for k in (1.0, 2 * factor)]
correlation = np.corrcoef(slope, knots.signature)[0, 1]
spread = 1.4 * torch.rand(len(knots), generator=run.generator(5)) - 0.7
figures.clouds(
    {"2σ over the slope": torch.stack([slope, 2 * knots.signature + spread], 1)},
    lines={"2σ over the slope": lines}, size=4,
    caption="Twice the signature over the slope, points moved up or down by 0.7 at most to be seen. "
    f"The lines are 2σ = slope, the steeper one, and 2σ = {2 * factor:.2f} slope.",
    alt=f"Points along a line through 0, correlation {correlation:.3f}.")

# %% [markdown]
# One number with one fitted factor does nearly what the network does with the three features: *the discovery is a quotient, and
# the network was the scaffold*. (With ten features it names some hundredths more: whether a knot alternates says a little too.)
# Nor is the factor the theorem's one half. The theorem bounds a difference and leaves room for another factor where knots are
# small. Nor was it the first guess: that the difference is at most $c_1\mathrm{vol}(K)+c_2$ agreed with all knots that were
# tried, and is false. Its discoverers built counterexamples, and the injectivity radius came in.

# %%
claims.chA2.signature_follows_the_slope()

# %% [markdown]
# ## Sums of dilogarithms
#
# The third example of the slide is a game. Integrals in particle physics come out as long sums of polylogarithms, many of which
# are short, or zero, if one only saw how. We play with the **Bloch–Wigner dilogarithm** {cite}`zagier2007`,
#
# $$
# D(x)=\mathrm{Im}\,\mathrm{Li}_2(x)+\arg(1-x)\,\log\lvert x\rvert,
# $$ (eq-bloch-wigner)
#
# at rational functions $x=r(z)$, and with its three simplest identities,
#
# $$
# D(x)=-D(1/x),\qquad D(x)=-D(1-x),\qquad D(x)=\tfrac12D(x^2)-D(-x).
# $$ (eq-moves)
#
# A move replaces one term by one of these. First, are they true?

# %%
def D(x):
    return spence(1 - x).imag + np.angle(1 - x) * np.log(np.abs(x))   # spence(1 − x) is Li₂(x)

x = torch.randn(1000, 2, generator=rng, dtype=torch.float64).numpy() @ np.array([1, 1j])
print("inversion  ", np.abs(D(x) + D(1 / x)).max())
print("reflection ", np.abs(D(x) + D(1 - x)).max())
print("duplication", np.abs(D(x) - D(x**2) / 2 + D(-x)).max())
claims.chA2.moves_keep_the_sum()

# %% [markdown]
# The task: somebody takes $0=c\,D(r)-c\,D(r)$, one to three of these, and makes 4 to 16 moves at random. Find back to 0. No term
# may have a degree above 8, and no sum more than 10 terms. Terms are kept exactly, as quotients of polynomials with whole
# coefficients, and $D$ tells whether a sum is worth the trouble: one that is not 0 at some $z$ never will be.

# %%
start, path = scramble(dice("the first scramble", 1), zeros=1, steps=5)
print(in_words(start), "\nat two points:", value(start, [0.3 + 0.7j, -1.1 + 0.4j]))
term, kind = path[-1][1]                              # what undoes the last move
print(f"\n{('invert', 'reflect', 'duplicate')[kind]} D({term}):")
print(in_words(apply(start, (term, kind))))
claims.chA2.scrambles_vanish()

# %% [markdown]
# ### Searching and learning
#
# Dersy, Schwartz and Zhang train an agent by rewards {cite}`dersy2022`. We learn in a simpler way: whoever scrambles knows how
# to undo it. A **policy** with attention between terms, 72,579 parameters, is shown 98,000 sums on the way and the move that leads one step
# back (`gdl-lab train dilogarithms`). Since terms are a set, it must not depend on their order; without positions attention does
# not. Beside it stand players who have learned nothing: at random, to the fewest terms, and best-first search, which goes on from
# the shortest sum seen so far.

# %%
n, few = run.pick(smoke=(40, 10), laptop=(300, 300))
tested, policy = scrambled()[:n], recipes.load("dilogarithms")
found = [best_first(e, run.pick(smoke=300, laptop=2000)) for e in tested]
began = process_time()
followed, took = follow(policy, tested), process_time() - began
beams = [beam(policy, e) for e in tested[:few]]
luck, ahead = dice("luck", 0), dice("look ahead", 0)
rows = [["moves at random, 50", mean(random_walk(e, luck) for e in tested[:few])],
        ["to the fewest terms, 50 moves", mean(look_ahead(e, ahead) for e in tested)],
        *([f"best-first, {b} sums", mean(f.solved and f.looked_at <= b for f in found)]
          for b in run.pick(smoke=(50, 150), laptop=(50, 150, 500, 2000))),
        ["policy, 50 moves", mean(s is not None for s in followed)],
        ["ten ways of the policy at once", mean(solved for solved, _ in beams)]]
display(figures.table(["player", "share brought to 0"], rows,
                      caption=f"{n} scrambled sums, {few} of them for the first and the last row."))
claims.chA2.policy_simplifies(policy=policy)

# %% [markdown]
# ### Symmetry instead
#
# Look at {eq}`eq-moves` again. The first two are no moves at all: $1/x$ and $1-x$ generate a group, isomorphic to $S_3$, and
# $D(g\,x)=\mathrm{sgn}(g)\,D(x)$,
#
# $$
# x,\;\tfrac1{1-x},\;\tfrac{x-1}x:\;+\qquad\qquad\tfrac1x,\;1-x,\;\tfrac x{x-1}:\;-\,.
# $$ (eq-s3)
#
# So $D$ lives on classes. We write each term as plus or minus the smallest member of its class, once and for all, and what is left
# to search for are duplications. That is [chapter 07](07_symmetry.ipynb) again: do not teach a symmetry, divide it out.

# %%
def to_classes(expression):
    total = {}
    for r, c in expression.items():
        least, sign = representative(r)              # D(r) = sign · D(least)
        total[least] = total.get(least, 0) + sign * c
    return {r: c for r, c in total.items() if c}

assert all(to_classes(e) == quotient(e) for e in tested)
began = process_time()
classes = [best_first(to_classes(e), 2000, quotient_neighbours) for e in tested]
print(f"a sum takes {1e3 * (process_time() - began) / n:.2f} ms, with the policy "
      f"{1e3 * took / n:.2f} ms")
def share(found, budget):
    return mean(f.solved and f.looked_at <= budget for f in found)

budgets = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000][:run.pick(smoke=8, laptop=11)]
display(figures.curves(
    {"terms": (budgets, [share(found, b) for b in budgets]),
     "classes of S₃": (budgets, [share(classes, b) for b in budgets])},
    xlabel="sums looked at", ylabel="share brought to 0", markers=True, log="x",
    caption="Best-first search among terms and among classes.",
    alt="; ".join(f"{b} sums: {share(found, b):.2f} and {share(classes, b):.2f} of classes"
                  for b in (20, 50, 200) if b in budgets)))
claims.chA2.symmetry_beats_search()

# %% [markdown]
# The network has learned from examples what to do with each of six names of a term, and does it well: it brings more sums to 0
# than any search among terms here. The quotient needs no examples and no network: a search in it brings all of these to 0, looks
# at some twenty sums on average and never at a hundred, and takes no longer than the policy does, without 98,000 lessons before.
# *Where there is a symmetry, building it in is better than learning it.* A policy is of use where nobody sees the group.
#
# ### Break it: another identity
#
# $D$ has one more identity, and all others are said to follow from it, **Abel's five terms**:
#
# $$
# D(x)+D(y)+D\Big(\frac{1-x}{1-xy}\Big)+D(1-xy)+D\Big(\frac{1-y}{1-xy}\Big)=0.
# $$ (eq-five)
#
# We did not give it to our players. With $x=z$, $y=-z$ the sum is 0, as its values say, and search among classes does not get there.

# %%
five = five_terms(ratio([0, 1]), ratio([0, -1]))
print(in_words(five), "\nat two points:", value(five, [0.3 + 0.7j, -1.1 + 0.4j]))
lost = best_first(quotient(five), run.pick(smoke=1000, laptop=20_000), quotient_neighbours)
print(f"search among classes: {'0' if lost.solved else 'no 0'} in {lost.looked_at:,} sums")
claims.chA2.five_terms_stay()

# %% [markdown]
# An agent can do what its moves can do, and however good it becomes, silence of an agent is no proof. The certificate comes from elsewhere:
# here from a function that one can evaluate, in research from a proof. This holds for all three examples. Learning pointed
# to where it was worth looking; the choice of data, of features and of moves came before, and the theorem after.
#
# ## Exercises
#
# Replace the dots and run the cell; the checker answers ✓ or names the mistake. The solution is folded below each.
#
# :::{exercise} Counting on a surface
# :label: ex-discovery-counts
# **●○○ · 5 minutes · teaches: an honest count.** `faces` is a list of faces, each a list of its corners' numbers in order around it.
# Return $(V,E,F)$ of the surface they make, which need not be a sphere.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# An edge is a set of two corners that follow each other in some face; the last is followed by the first.
# :::

# %% tags=["exercise"]
def my_counts(faces):
    ...

check.chA2.counts(my_counts)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_counts(faces):
    corners = {v for face in faces for v in face}
    edges = {frozenset(pair) for face in faces for pair in zip(face, face[1:] + face[:1])}
    return len(corners), len(edges), len(faces)

check.chA2.counts(solved_counts)

# %% [markdown]
# :::{exercise} Raw units
# :label: ex-discovery-raw
# **●○○ · 3 minutes · teaches: {eq}`eq-raw`.** `g` are slopes of the standardised output by the standardised inputs, shape `(n, k)`;
# `sd_x`, shape `(k,)`, and `sd_y` the standard deviations. Return the slopes in raw units.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# If $x$ is measured in metres and $F$ in faces, in what are the slopes measured?
# :::

# %% tags=["exercise"]
def my_raw_slope(g, sd_x, sd_y):
    ...

check.chA2.raw_slope(my_raw_slope)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_raw_slope(g, sd_x, sd_y):
    return g * sd_y / sd_x

check.chA2.raw_slope(solved_raw_slope)

# %% [markdown]
# :::{exercise} The natural slope
# :label: ex-discovery-slope
# **●○○ · 3 minutes · teaches: {eq}`eq-slope`.** Return the natural slopes of knots with longitudes `longitude`, real, and meridians
# `meridian`, complex, both of shape `(n,)`.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Divide first.
# :::

# %% tags=["exercise"]
def my_slope(longitude, meridian):
    ...

check.chA2.slope(my_slope)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_slope(longitude, meridian):
    return longitude * meridian.real / meridian.abs()**2

check.chA2.slope(solved_slope)

# %% [markdown]
# :::{exercise} Where D is the same
# :label: ex-discovery-same
# **●●○ · 5 minutes · teaches: {eq}`eq-s3`.** For complex numbers `x`, shape `(n,)`, return the two other arguments that are rational
# functions of `x` and at which $D$ has the value $D(x)$. Do not look them up: two moves of {eq}`eq-moves`, one after the other.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# One move changes the sign. What do two moves do? Does their order matter?
# :::

# %% tags=["exercise"]
def my_same(x):
    ...

check.chA2.same(my_same)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_same(x):
    return 1 / (1 - x), 1 - 1 / x

check.chA2.same(solved_same)

# %% [markdown]
# ## What to read next
#
# - {cite:t}`davies2021` for the process and its second success, on representations of symmetric groups; {cite:t}`davies2024` for the
#   theorem on knots with its proof.
# - {cite:t}`dersy2022` for polylogarithms with rewards, and with a network that translates sums into short ones.
# - {cite:t}`zagier2007` for the dilogarithm itself, and why volumes of hyperbolic manifolds are sums of $D$: the two halves of this
#   chapter meet there.
# - [Back to the map](00_start_here.ipynb#map).

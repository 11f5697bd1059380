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
# # Infinite width
#
# By the end of this chapter we have written down what a fully connected network becomes when its layers are infinitely wide,
# predicted how an ensemble of real networks trains, step by step and without training, and proved that the mean of all networks
# which learn from rotated pictures is symmetric exactly, also on pictures unlike any they have seen. It takes about 70 minutes.
# We need [chapter 01](01_mlp_backprop.ipynb), and for the last third [chapter 07](07_symmetry.ipynb#symmetric-problems).
#
# Where we are: [the map of the talk](00_start_here.ipynb#map).

# %% tags=["parameters"]
profile = "laptop"

# %%
import math

import torch
from IPython.display import display
from torch.func import functional_call, grad, vmap

from gdl_lab import claims, figures, runtime
from gdl_lab.claims.ensembles import (
    ORBITS, circle, digits, infinite, kernel_errors, lazy, normal, orbit, out_of_line, spreads,
    turned)
from gdl_lab.exercises import check
from gdl_lab.infinite_width import (
    InfiniteEnsemble, WideNetwork, closed_under, descend, empirical_ntk, kernels, posterior)
from gdl_lab.symmetry import C4

run = runtime.start(profile)

# %% [markdown]
# (infinite-width)=
# ## A Gaussian process
#
# :::{admonition} The talk · “Appendix”
# :class: talk
# There is an analytical description of infinite-width neural networks via Gaussian processes, which gives access to the
# training dynamics. It is a powerful tool to study geometric deep learning.
# :::
#
# A network with random weights is a random function. With more units per layer it becomes simpler, and not more complicated:
# each layer adds up many independent terms, and such sums are normal {cite}`neal1996`.
#
# :::{prf:definition} NTK parametrisation
# :label: def-ntk-parametrisation
# With $L$ hidden layers of $n$ units, $W^l_{ij}$ and $b^l_i$ independent and standard normal,
#
# $$
# h^0=\tfrac{\sigma_w}{\sqrt d}W^0x+\sigma_bb^0,\qquad h^l=\tfrac{\sigma_w}{\sqrt n}W^l\,\mathrm{ReLU}(h^{l-1})+\sigma_bb^l,
# \qquad f_\theta(x)=h^L .
# $$ (eq-wide)
# :::
#
# At the start, but for the biases, these are the functions of chapter 01. The factors stand before the weights and not in them,
# so that a gradient step changes the function, at any width, by as much. We take $\sigma_w^2=2$, $\sigma_b^2=0.1$. (NTK is the
# neural tangent kernel, below.)
#
# :::{prf:theorem} NNGP
# :label: thm-nngp
# As $n\to\infty$ the outputs at any finitely many points become jointly normal, which is what **Gaussian process** means: the
# neural network Gaussian process, NNGP. Its mean is zero and its covariance $K=K^L$, where
# $K^0=\sigma_w^2\,x\!\cdot\!y/d+\sigma_b^2$ and
#
# $$
# K^{l+1}=\sigma_w^2\sqrt{qq'}\,\frac{\sin\theta+(\pi-\theta)\cos\theta}{2\pi}+\sigma_b^2,\qquad K^l=\sqrt{qq'}\cos\theta,
# $$ (eq-nngp)
#
# with $q=K^l(x,x)$, $q'=K^l(y,y)$. The fraction is $\mathbb E\,\mathrm{ReLU}(u)\mathrm{ReLU}(v)$ for normal $u,v$ of variance
# 1 with the angle $\theta$ {cite}`cho2009,lee2018`.
# :::
#
# Why: *given* the layer below, the units of a layer are independent and normal, with the covariance
# $\sigma_w^2\frac1n\sum_j\mathrm{ReLU}(h_j(x))\mathrm{ReLU}(h_j(y))+\sigma_b^2$, and this mean tends to its expectation.
#
# A second kernel says what a gradient step does: training on $y$ moves the output at $x$ in proportion to
# $\Theta_\theta(x,y)=\partial_\theta f(x)\cdot\partial_\theta f(y)$, the **neural tangent kernel**. In the limit it is not random:
# $\Theta^0=K^0$ and
#
# $$
# \Theta^{l+1}=K^{l+1}+\sigma_w^2\,\frac{\pi-\theta}{2\pi}\,\Theta^l .
# $$ (eq-ntk)
#
# The first term comes from the last layer, the second from all others, through the chain rule: $(\pi-\theta)/2\pi$ is the chance
# that a unit is active at both points {cite}`jacot2018`. Both recursions in a dozen lines:

# %%
def by_hand(x, y, depth=2, sw2=2.0, sb2=0.1):
    q, p = (sw2 * t.square().sum(1) / t.shape[1] + sb2 for t in (x, y))
    K = T = sw2 * x @ y.T / x.shape[1] + sb2
    for _ in range(depth):
        root = torch.outer(q, p).sqrt()
        theta = (K / root).clamp(-1, 1).arccos()
        both = root * (theta.sin() + (math.pi - theta) * theta.cos()) / (2 * math.pi)
        K = sw2 * both + sb2
        T = K + sw2 * (math.pi - theta) / (2 * math.pi) * T
        q, p = sw2 * q / 2 + sb2, sw2 * p / 2 + sb2
    return K, T

x = normal(60, 10, seed=0)
for name, mine, ours in zip(("K", "Θ"), by_hand(x, x), kernels(x)):
    off, same = (mine - ours).abs(), torch.eye(60).bool()
    print(f"{name}: off by {off[~same].max():.0e} between points, {off[same].max():.0e} at one")
claims.chA1.kernels_are_expectations()

# %% [markdown]
# ### A trap of rounding
#
# Which one is wrong, by almost $10^{-7}$, where a point meets itself? The one by hand, not the package's. There
# $\cos\theta=1-\varepsilon$ instead of 1, and $\arccos(1-\varepsilon)\approx\sqrt{2\varepsilon}$: half of the digits. $K$
# forgives it, being quadratic in $\theta$. $\Theta$ is linear in $\theta$, since a small step already flips some ReLU. The
# package runs the same recursion over angles, and never subtracts a cosine from 1. The differences that it does form are small
# where lost digits do not show.

# %%
x, way = normal(1, 7, seed=0), normal(2, 7, seed=1)[:1]
way, distances = way / way.norm(), [10.0**-k for k in range(2, 11)]
fall = {name: (distances, [abs(float(T(x, x) - T(x, x + s * way))) for s in distances])
        for name, T in (("package", lambda x, y: kernels(x, y).ntk),
                        ("by hand", lambda x, y: by_hand(x, y)[1]))}
display(figures.curves(
    fall, log="xy", markers=True, xlabel="distance of x and x′", ylabel="|Θ(x, x) − Θ(x, x′)|",
    caption="Linear down to the last digit, if the recursion runs over angles.",
    alt="; ".join(f"{k}: {v[0]:.1g} at 1e-2, {v[-1]:.1g} at 1e-10"
                  for k, (_, v) in fall.items())))
claims.chA1.nearly_equal_points_keep_their_digits()

# %% [markdown]
# It will matter: with the kernel by hand, the exact symmetry at the end of this chapter is off by $2\cdot10^{-9}$, and not by $7\cdot10^{-14}$.
#
# ## How wide is infinite?
#
# For any network $\Theta_\theta$ is a Gram matrix of gradients, which `torch.func` gives sample by sample. How far are random
# networks from the limit?

# %%
def tangent_kernel(net, x):
    weights = dict(net.named_parameters())
    def f(weights, one):
        return functional_call(net, weights, (one[None],))[0, 0]
    gradients = vmap(grad(f), (None, 0))(weights, x)
    return sum(g.flatten(1) @ g.flatten(1).T for g in gradients.values())

torch.manual_seed(0)
net, x = WideNetwork([10, 64, 64, 1]), normal(6, 10, seed=0)
both = tangent_kernel(net, x), empirical_ntk(net, x)[..., 0, 0]
print(f"off ours by {(both[0] - both[1]).abs().max():.0e}")
widths = run.pick(smoke=(16, 32), laptop=(16, 32, 64, 128, 256))
networks = run.pick(smoke=3, laptop=20)
errors = {depth: kernel_errors(widths, depth, networks) for depth in (1, 2, 3)}
display(figures.curves(
    {f"{depth} hidden": (widths, list(off.values())) for depth, off in errors.items()},
    log="xy", markers=True, xlabel="width", ylabel="relative error of Θ̂",
    caption="Tangent kernels of random networks and their limit: −1/2 is the slope of chance.",
    alt="; ".join(f"{depth} hidden layers: {off[widths[0]]:.2f} at {widths[0]}, "
                  f"{off[widths[-1]]:.2f} at {widths[-1]}" for depth, off in errors.items())))
if run.profile != "smoke":
    display(claims.chA1.tangent_kernels_converge(errors=errors[2]))
claims.chA1.outputs_become_normal()

# %% [markdown]
# Kernels of single networks scatter by $1/\sqrt n$. The law of the outputs comes nearer like $1/n$: for one hidden layer the
# excess $\mathbb Ef^4/(\mathbb Ef^2)^2-3$, zero for a normal law, is $15/n$ without biases and a known tenth less with ours. That
# is what 100,000 networks show.
#
# ## Training, without training
#
# :::{prf:theorem} Training of infinitely wide networks
# :label: thm-training
# Gradient descent with the rate $\eta$ on $\frac12\sum_i|f(x_i)-y_i|^2$ at the points $X=(x_i)$ moves the weights of a network so
# little, as $n\to\infty$, that $\Theta$ stays as it is. Then $f_{t+1}-y=(1-\eta\Theta)(f_t-y)$ on $X$, and everywhere
#
# $$
# f_t(x)=f_0(x)+A_t\,(y-f_0(X)),\qquad A_t=\Theta(x,X)\,\Theta^{-1}\bigl(1-(1-\eta\Theta)^t\bigr).
# $$ (eq-training)
#
# Since $f_0$ is a Gaussian process, so is $f_t$, with the mean $A_ty$ and the covariance
#
# $$
# K(x,x)-A_tK(X,x)-K(x,X)A_t^{\mathsf T}+A_tK(X,X)A_t^{\mathsf T} .
# $$ (eq-spread)
#
# It holds at each $t$, and at $t=\infty$ if $\Theta=\Theta(X,X)$ has no eigenvalue 0, for $\eta<2/(\lambda_{\min}+\lambda_{\max})$.
# {cite:t}`jacot2018,lee2019` prove it for smooth activations; for ReLU, whose derivative jumps, we measure it below.
# :::
#
# One often meets $e^{-\eta\Theta t}$, the limit of small steps. With the powers as they stand, the step size is no source of
# error. We learn a function on a circle from five of its values, and predict.

# %%
task = circle()
K, T = kernels(torch.cat([task.x, task.at]))
values, vectors = torch.linalg.eigh(T[:5, :5])
rate = 0.4 / float(values[-1])

def process(t):
    gain = (1 - (1 - rate * values) ** t) / values
    A = T[5:, :5] @ vectors @ gain.diag() @ vectors.T
    mixed = A @ K[:5, 5:]
    cov = K[5:, 5:] - mixed - mixed.T + A @ K[:5, :5] @ A.T
    return (A @ task.y)[:, 0], cov.diagonal().clamp(min=0).sqrt()

theory = InfiniteEnsemble(task.x, task.y, rate=rate)
for t in (30, math.inf):
    mean, sd = process(t)
    variance = theory.covariance(task.at, t).diagonal()
    off = torch.stack([mean - theory.mean(task.at, t)[:, 0], sd**2 - variance])
    print(f"t = {t}: off ours by {off.abs().max():.0e}")

# %% [markdown]
# And now we do train: real networks, of finite width, started independently and trained side by side.

# %%
width, members = run.pick(smoke=(32, 20), laptop=(128, 200))
net = WideNetwork([2, width, width, 1], members=members, dtype=torch.float32,
                  generator=run.generator(1))
said, done = {}, 0
for t in (0, 5, 30, 300):
    descend(net, task.x.float(), task.y.float(), rate=rate, steps=t - done)
    said[t], done = net(task.at.float()).detach()[..., 0].double(), t

def band(mean, sd):
    return mean - 2 * sd, mean + 2 * sd

given = {"learned": (torch.atan2(task.x[:, 1], task.x[:, 0]), task.y[:, 0])}
for t in (5, 300):
    mean, sd = process(t)
    real = said[t].mean(0), said[t].std(0)
    display(figures.curves(
        {"theory": (task.angles, mean), f"{members} networks": (task.angles, real[0])},
        bands={"theory": band(mean, sd), f"{members} networks": band(*real)}, points=given,
        xlabel="angle", ylabel="f",
        caption=f"Mean and two standard deviations after {t} steps.",
        alt=f"Two bands that lie on each other: mean spread {sd.mean():.2f} in theory, "
            f"{real[1].mean():.2f} of the networks."))
if run.profile != "smoke":
    display(claims.chA1.ensembles_follow_the_theory(said=said))

# %% [markdown]
# Nothing was fitted. The means differ by 9 % of $\sqrt{\mathbb Ef^2}$ after 5 steps and by 5 % later, where 200 networks know
# their own mean to about 6 % and 3 %: chance and width both have a share, and one ensemble does not tell them apart.
#
# ### Lazy
#
# To see the theorem's hypothesis at work we compare each network with *its own* linearisation, {eq}`eq-training` with its
# $f_0$ and its $\Theta_\theta$. No chance is left in this. As the width grows, kernel and weights move less: the network is
# **lazy** {cite}`chizat2019`. Each weight moves by so little that features stay as they were drawn. That is what makes the theory
# solvable, and what it leaves out: narrow networks, which do learn features.

# %%
runs = run.pick(smoke=((16, 2), (32, 2)),
                laptop=((16, 20), (32, 16), (64, 12), (128, 6), (256, 4)))
rows = [lazy(width, networks, run.pick(smoke=20, laptop=300)) for width, networks in runs]
names = {"off": "off its linearisation", "kernel": "kernel moved", "weights": "weights moved"}
widths = [row.width for row in rows]
display(figures.curves(
    {name: (widths, [getattr(row, key) for row in rows]) for key, name in names.items()},
    log="xy", markers=True, xlabel="width", ylabel="relative to its size",
    caption="Trained networks beside what they were at the start, medians.",
    alt="; ".join(
        f"{name}: {getattr(rows[0], key):.2g} at {widths[0]}, "
        f"{getattr(rows[-1], key):.2g} at {widths[-1]}" for key, name in names.items())))
if run.profile != "smoke":
    display(claims.chA1.networks_are_lazy(rows=rows))

# %% [markdown]
# ### This is not Bayes
#
# There is another thing one can do with the prior $K$: condition it on the data. Often the two are taken for one. They are not.
# Bayes' rule gives the mean $K(x,X)K^{-1}y$ and what is left of the variance; gradient descent gives another mean and another band.

# %%
mean, cov = posterior(task.x, task.y, task.at)
bayes = mean[:, 0], cov.diagonal().clamp(min=0).sqrt()
end = process(math.inf)
display(figures.curves(
    {"descent, t = ∞": (task.angles, end[0]), "Bayes": (task.angles, bayes[0])}, points=given,
    bands={"descent, t = ∞": band(*end), "Bayes": band(*bayes)}, xlabel="angle", ylabel="f",
    caption="Two processes that agree with the five values: trained ensemble and posterior.",
    alt=f"Mean spread {end[1].mean():.3f} of the ensemble, {bayes[1].mean():.3f} of the "
        f"posterior; means differ by up to {(end[0] - bayes[0]).abs().max():.2f}."))
if run.profile != "smoke":
    display(claims.chA1.descent_is_not_bayes(said=said))

# %% [markdown]
# The bands are alike here, the means are not: they differ by 18 % of their size, and the mean of the trained networks is only 6 %
# off that of descent. Their band does not decide it: at width 128 it is a few per cent off the theory, and the other band is only
# 7 % away. At $t=\infty$ both processes would be one for $\Theta=K$, that is, if the last layer alone were trained. So an
# ensemble of trained networks is not a sample of the posterior. A random function added to each makes it one, but for the prior
# $\Theta$ in place of $K$ {cite}`he2020bayesian`.
#
# ## A tool for geometry
#
# [Chapter 07](07_symmetry.ipynb#symmetric-problems) measured what one network learns of a symmetry from augmented data: much of it on
# the data, and little off them. For the *mean of an ensemble* the answer is another one: it learns the symmetry exactly, at every
# step and on any input {cite}`gerken2024`.
#
# :::{prf:theorem} Emergent equivariance
# :label: thm-emergent
# Let a finite group act on inputs and outputs by orthogonal matrices $\rho(g)$, $\sigma(g)$. Let the data be closed: with $(x,y)$
# they have $(\rho(g)x,\sigma(g)y)$, as often. Then for networks {eq}`eq-wide` of any width, trained by full-batch gradient
# descent, $f_t(\rho(g)x)$ and $\sigma(g)f_t(x)$ have the same law, for all $t$ and $x$. In particular
# $\mathbb Ef_t(\rho(g)x)=\sigma(g)\,\mathbb Ef_t(x)$.
# :::
#
# :::{prf:proof}
# Let $g\theta$ have the first weights $W^0\rho(g)^{-1}$, the last $\sigma(g)W^L$, $\sigma(g)b^L$, and the others of $\theta$. Then
# $f_{g\theta}(\rho(g)x)=\sigma(g)f_\theta(x)$. Since the data are closed, $\theta$ and $g\theta$ have the same loss, and since
# $\theta\mapsto g\theta$ is orthogonal, gradient descent commutes with it: $(g\theta)_t=g(\theta_t)$. A normal law does not see
# orthogonal matrices, so $g\theta_0$ is as likely as $\theta_0$. Hence $f_{\theta_t}(\rho(g)x)$ has the law of
# $f_{g\theta_t}(\rho(g)x)=\sigma(g)f_{\theta_t}(x)$.
# :::
#
# Infinite width is not in the proof {cite}`nordenfors2024`; what it gives is the mean without sampling. We learn real digits in
# all four positions, in two, in three, or upright, and turn new digits.

# %%
count, tests = run.pick(smoke=(30, 30), laptop=(300, 300))
sample, strange = digits(count, tests), normal(tests, 8, 8, seed=0)
learned = {name: infinite(sample, elements) for name, elements in ORBITS.items()}
lines = []
for name, ensemble in learned.items():
    def ended(x):
        return ensemble.mean(x, math.inf)
    answers = turned(ended, sample.test)
    read = (answers.argmax(-1) == sample.answers).double().mean(1)
    lines.append([name, len(ORBITS[name]) * count, out_of_line(answers),
                  out_of_line(turned(ended, strange)), f"{read[0]:.1%}", f"{read.mean():.1%}"])
figures.table(
    ["turns in the data", "pictures", "error on digits", "error on noise", "upright",
     "all positions"], lines,
    caption=f"Infinite ensembles after ∞ steps, {count} digits, {tests} to test. "
    "Error: what changes when the picture turns, root mean square, relative.")

# %% [markdown]
# The first line is zero to rounding, on noise as on digits. The others are not, and “three of four” is no better than it looks: a
# symmetry that is almost in the data is not almost in the ensemble. The half orbit is exact too, for the group that it is an
# orbit of: under the half turn alone its error is some $10^{-14}$ (the claim below counts it in). Nor is the exact line free: an
# ensemble that cannot tell positions apart has more to learn from as many different digits, and reads a few less of them upright
# than the last line does, 7 of 300 here.

# %%
display(claims.chA1.orbits_make_invariance(), claims.chA1.targets_that_turn())
times = [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000]
some = sample.test[:50]
growth = {name: (times, [out_of_line(turned(lambda x: one.mean(x, t), some)) for t in times])
          for name, one in learned.items()}
top, bottom = (float(learned["C4"].descent.values[k]) for k in (-1, 0))
figures.curves(
    growth, log="xy", markers=True, xlabel="steps", ylabel="error of invariance",
    references={"ε · condition of Θ": 2.2e-16 * top / bottom},
    caption="At all times. What rounding leaves grows, and stays below ε · λ_max/λ_min.",
    alt="; ".join(f"{k}: {v[0]:.1g} after 1 step, {v[-1]:.1g} after 10,000"
                  for k, (_, v) in growth.items()))

# %% [markdown]
# ### Four networks are enough
#
# An expectation over all initialisations is out of reach of a computer; the proof needs less. It needs with $\theta_0$ each
# $g\theta_0$. So we take *one* network and its three copies whose first weights are turned, train all four on the closed data, and
# average.

# %%
few = digits(20, 100)
x, y = orbit(few.x, ORBITS["C4"]), few.targets.repeat(4, 1)
torch.manual_seed(0)
one = WideNetwork([64, 32, 32, 10])
turns = torch.stack([C4.on_pictures(g, torch.arange(64).view(8, 8)).flatten() for g in C4])
four = closed_under(one, turns)
fast = 0.7 / float(torch.linalg.eigvalsh(kernels(x).ntk)[-1])
lines = []
for steps in (0, 1, run.pick(smoke=10, laptop=100)):
    descend(four, x, y, rate=fast, steps=steps)
    for name, pictures in (("digits", few.test), ("noise", normal(100, 8, 8, seed=0))):
        answers = turned(lambda x: four(x).detach().movedim(0, -1), pictures)
        lines.append([steps, name, out_of_line(answers[..., 0]), out_of_line(answers.mean(-1))])
display(figures.table(
    ["further steps", "pictures", "first of the four", "mean of the four"], lines,
    caption="Error of invariance under C4, networks of 32 units a layer."))
claims.chA1.closed_ensembles_are_invariant()

# %% [markdown]
# No member is anywhere near invariant. The mean is, to the last digit, and from the start: by the proof the four train as one,
# $(g\theta)_t=g(\theta_t)$, so it is *one* trained network averaged over the four positions of the picture. Training on closed
# data is what keeps it so. Without the copies, with members that are merely independent, the mean goes to invariance like
# $1/\sqrt M$, and only if the law of the start is symmetric: otherwise it levels off at what the law prefers, here near 0.03: the
# third curve is on its way there.

# %%
spread = spreads(*run.pick(smoke=(8, False, 5, 8, 5), laptop=(128,)))
uneven = spreads(*run.pick(smoke=(8, True, 5, 8, 5), laptop=(128, True)))
drawn = {"digits": spread.digits, "noise": spread.noise, "digits, uneven start": uneven.digits}
display(figures.curves(
    {name: (spread.members, off) for name, off in drawn.items()}, log="xy", markers=True,
    xlabel="members", ylabel="what changes when turned",
    caption="Independent networks. Uneven: first weights of the right half start at zero.",
    alt="; ".join(f"{k}: {v[0]:.2g} alone, {v[-1]:.2g} all" for k, v in drawn.items())))
if run.profile != "smoke":
    display(claims.chA1.members_average_out(spread=spread))

# %% [markdown]
# ### Break it
#
# Four things went into it: data that are closed, starts that are closed (or a law that is symmetric), steps that see closed data
# (the whole batch, or minibatches with each picture in all positions), and exact arithmetic. We leave one position out of the
# data; two of the copies; we take minibatches, which see the positions one after the other; and we compute in float32.

# %%
claims.chA1.mistakes_break_it()

# %% [markdown]
# Minibatches are the interesting one. In each step the data are not closed, so the members no longer train alike. On average over
# random orders the theorem comes back, as one more symmetric law; for the order at hand it does not. And float32 keeps the
# theorem: what it loses are digits.
#
# What does it mean for the talk? Equivariance can be built in (chapters 07 to 10) or it can emerge, from augmentation and
# an ensemble. What emerges is as exact, and costs members, copies of the data and steps; what is built in holds for each network.
#
# ## Exercises
#
# Replace the dots and run the cell; the checker answers ✓ or names the mistake. The solution is folded below each.
#
# :::{exercise} One more layer
# :label: ex-width-layer
# **●○○ · 5 minutes · teaches: {eq}`eq-nngp`.** From the covariance `K`, shape `(n, n)`, of one layer, return that of the next, with
# `sw2` and `sb2` for $\sigma_w^2$ and $\sigma_b^2$.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# `K.diagonal()` has all you need besides `K`.
# :::

# %% tags=["exercise"]
def my_layer(K, sw2, sb2):
    ...

check.chA1.layer(my_layer)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_layer(K, sw2, sb2):
    q = K.diagonal().sqrt()
    root = torch.outer(q, q)
    theta = (K / root).clamp(-1, 1).arccos()
    return sw2 * root * (theta.sin() + (math.pi - theta) * theta.cos()) / (2 * math.pi) + sb2

check.chA1.layer(solved_layer)

# %% [markdown]
# :::{exercise} All digits of an angle
# :label: ex-width-angle
# **●●○ · 6 minutes · teaches: the trap.** Return the angles between the rows of `u` and of `v`, both `(n, 3)`, from 0 to $\pi$. Both
# ends count: $10^{-9}$ should come out as $10^{-9}$.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Bring both to length 1 and draw the rhombus of $u$ and $v$. How long are its diagonals?
# :::
#
# :::{admonition} Hint 2
# :class: dropdown
# $|u-v|=2\sin\frac\theta2$ and $|u+v|=2\cos\frac\theta2$; `torch.atan2`.
# :::

# %% tags=["exercise"]
def my_angle(u, v):
    ...

check.chA1.angle(my_angle)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_angle(u, v):
    u, v = (t / t.norm(dim=1, keepdim=True) for t in (u, v))
    return 2 * torch.atan2((u - v).norm(dim=1), (u + v).norm(dim=1))

check.chA1.angle(solved_angle)

# %% [markdown]
# :::{exercise} The mean
# :label: ex-width-mean
# **●○○ · 5 minutes · teaches: {eq}`eq-training`.** Return $\mathbb Ef_t$ after `t` steps, with $\Theta(x,X)$ in `theta_at`, $\Theta(X,X)$
# in `theta`, targets `y` of shape `(n, k)`.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Start at zero, and take one step after the other: no inverse is needed.
# :::

# %% tags=["exercise"]
def my_mean(theta_at, theta, y, rate, t):
    ...

check.chA1.mean(my_mean)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_mean(theta_at, theta, y, rate, t):
    here, there = torch.zeros_like(y), 0
    for _ in range(t):
        here, there = here + rate * theta @ (y - here), there + rate * theta_at @ (y - here)
    return there

check.chA1.mean(solved_mean)

# %% [markdown]
# :::{exercise} The spread
# :label: ex-width-spread
# **●●○ · 6 minutes · teaches: {eq}`eq-spread`, and why it is not Bayes.** Return the covariance of $f_t=f_0(x)+A(y-f_0(X))$ at
# points $x$, with $K(x,x)$ in `K_at`, $K(x,X)$ in `cross`, $K(X,X)$ in `K`. Afterwards put in $A=K(x,X)K^{-1}$.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Which terms of $f_t$ are random, and what is the covariance of $f_0(x)$ and $f_0(X)$?
# :::

# %% tags=["exercise"]
def my_covariance(K_at, cross, K, A):
    ...

check.chA1.covariance(my_covariance)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_covariance(K_at, cross, K, A):
    mixed = A @ cross.T
    return K_at - mixed - mixed.T + A @ K @ A.T

check.chA1.covariance(solved_covariance)

# %% [markdown]
# :::{exercise} Four that close
# :label: ex-width-copies
# **●●○ · 6 minutes · teaches: {prf:ref}`thm-emergent`.** From first weights `W`, shape `(n, 25)`, of a network that reads pictures of 5
# × 5 pixels, row by row, make those of itself and three copies, `(4, n, 25)`, such that turning the picture by 90° permutes the four.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Each row of `W` is a picture.
# :::

# %% tags=["exercise"]
def my_copies(W):
    ...

check.chA1.turned_copies(my_copies)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_copies(W):
    pictures = W.unflatten(1, (5, 5))
    return torch.stack([pictures.rot90(g, (1, 2)) for g in range(4)]).flatten(2)

check.chA1.turned_copies(solved_copies)

# %% [markdown]
# ## What to read next
#
# - {cite:t}`jacot2018` is where the kernel comes from, {cite:t}`lee2019` has the dynamics with many experiments.
# - {cite:t}`gerken2024` prove emergent equivariance for infinite width, and measure it for deep ensembles, continuous groups and data
#   off the manifold; {cite:t}`nordenfors2024` prove it at any width.
# - {cite:t}`chizat2019` on what lazy training leaves out.
# - [Back to the map](00_start_here.ipynb#map).

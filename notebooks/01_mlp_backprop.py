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
# # Neural networks and backpropagation
#
# By the end of this chapter we have written a neural network, its gradient and its training by hand, know which functions
# such a network can be, polygon by polygon, and have measured what keeps a deep one alive. It takes about an hour; it runs
# in about a minute on two cores. We need linear algebra and the chain rule, and no PyTorch: its tensors behave like NumPy's
# arrays, `@` is the matrix product, and the rest is explained where it comes.
#
# Where we are: [the map of the talk](00_start_here.ipynb#map).

# %% tags=["parameters"]
profile = "laptop"

# %%
import math
from itertools import pairwise

import torch
from torch.nn import functional as F

from gdl_lab import claims, data, figures, runtime
from gdl_lab.exercises import check
from gdl_lab.networks import DeepNetwork, FullyConnected, count_parameters, linear_regions
from gdl_lab.networks import propagate_variance, tent
from gdl_lab.training import Diverged, fit
from gdl_lab.widgets import LinearRegions

run = runtime.start(profile)

# %% [markdown]
# (machine-learning)=
# ## Machine learning with neural networks
#
# :::{admonition} The talk · “Machine learning with neural networks”
# :class: talk
# A neural network is a function $f_\theta:\mathbb R^m\to\mathbb R^n$ with parameters $\theta\in\mathbb R^N$. Given examples
# $x\mapsto y$ of a target function, and an error function that compares $f_\theta(x)$ with $y$, we improve $\theta$ step by
# step: a *very powerful recipe*.
# :::
#
# The recipe has four ingredients {cite}`gerken2023`. A **family** of functions $f_\theta$; **data** $\mathcal D$, pairs of an
# input $x$ and the answer $y$ we want; an **error** $\mathcal E(f_\theta(x),y)=(f_\theta(x)-y)^2$; and an **optimisation
# step** of size $\eta$, the learning rate, which is repeated:
#
# $$
# \theta' = \theta-\eta\,\nabla_\theta\sum_{(x,y)\in\mathcal D}\mathcal E(f_\theta(x),y).
# $$ (eq-step)
#
# Our first data are points in the plane. Each belongs to one of two interleaving half circles, and its label $y$ is 0 or 1;
# $f_\theta(x)$ is meant to be the probability that $x$ belongs to the second.

# %%
moons = data.load("two_moons", n=400)
x, y = moons.x, moons.y[:, None].float()
figures.plane(
    None, moons.x, moons.y, box=(-1.1, 1.1, -1.1, 1.1),
    caption="400 labelled points on two half circles, with noise: no straight line separates them.",
    alt="400 points on two interleaving half circles of radius 0.6, one class each.",
)

# %% [markdown]
# Before we open the box $f_\theta$, let us take one step {eq}`eq-step` with a ready-made network and see that PyTorch does
# what the formula says. A tensor that depends on parameters remembers how it was computed; `backward()` fills in the gradient
# of a number with respect to all of them, and the optimiser `SGD` subtracts $\eta$ times that from each. (`detach()` makes a
# tensor forget, `clone()` copies it.)

# %%
net = FullyConnected([2, 16, 16, 1])
eta = 1e-4
theta = [p.detach().clone() for p in net.parameters()]
error = ((net(x) - y) ** 2).sum()
error.backward()
by_formula = [p - eta * q.grad for p, q in zip(theta, net.parameters())]
torch.optim.SGD(net.parameters(), lr=eta).step()
difference = max((p - q).detach().abs().max().item() for p, q in zip(by_formula, net.parameters()))
print(f"largest difference: {difference:.1e}, in single precision")

# %% [markdown]
# That compares PyTorch's step with PyTorch's gradient. The claim below is sharper: it takes the gradient from difference
# quotients, in double precision. A second claim says in which sense the step *minimises*. Write $\mathcal E(\theta)$ for the
# sum over $\mathcal D$. Where it has second derivatives, Taylor's formula promises
# $\mathcal E(\theta')=\mathcal E(\theta)-\eta\,\lVert\nabla\mathcal E\rVert^2+\mathcal O(\eta^2)$, and the exponent 2 can be
# measured. Each line with a coloured edge is one statement of the talk with the number just found; `gdl-lab claims` prints
# them all.

# %%
display(claims.ch01.step_is_the_formula(), claims.ch01.remainder_is_second_order())

# %% [markdown]
# Repeating the step is *training*. `fit` does just that, with a progress bar; dividing the error by the number of points only
# rescales $\eta$. (`state_dict()` is $\theta$, by name: we keep a copy of the network as it was.)

# %%
net = FullyConnected([2, 16, 16, 1])
untrained = FullyConnected(net.widths)
untrained.load_state_dict(net.state_dict())

def mean_square(network, x, y):
    return F.mse_loss(network(x), y)

steps = run.pick(smoke=1500, laptop=3000)
history = fit(net, (x, y), mean_square, steps=steps, lr=0.1, optimiser=torch.optim.SGD)
accuracy = float(((net(x) > 0.5) == (y > 0.5)).float().mean())
figures.plane(
    lambda p: net(p)[:, 0], moons.x, moons.y, level=0.5, box=(-1.1, 1.1, -1.1, 1.1),
    caption="What the network has become, with the line f(x) = ½. Far from the data it does as it likes: "
    "the line may come back, and values fall below 0 and rise above 1.",
    alt=f"The trained network as a colour field; its level line ½ separates {accuracy:.1%} of the points.",
)

# %%
claims.ch01.loss_falls(losses=history.loss)

# %% [markdown]
# Nothing in the recipe knows about the plane. We change the data to real handwritten digits, the output to ten numbers, one
# for each class, and the error to the *cross-entropy* $-\log p_y(x)$, where $p_k=e^{f_k}/\sum_le^{f_l}$ turns the ten numbers
# into probabilities. The rest stays, with two economies of practice. Each step sums over a random *batch* of 128 examples
# instead of all of $\mathcal D$: that is the S, for stochastic, in SGD. And *Adam* replaces $\eta$ by a step size for each
# parameter, from running means of its gradient {cite}`kingma2015`; `fit` uses it unless told otherwise. We measure on *test*
# digits, which no step has seen.

# %%
digits = "mnist" if data.on_this_machine("mnist") else "digits8"
train, test = data.load(digits), data.load(digits, "test")
pixels = train.x[0].numel()

def cross_entropy(network, x, y):
    return F.cross_entropy(network(x), y)

reader = FullyConnected([pixels, 128, 10]).to(run.device)
many = run.pick(smoke=600, laptop=2000, full=10_000)
learned = fit(reader, (train.x, train.y), cross_entropy, steps=many, batch_size=128, lr=2e-3)
print(f"{digits}: {count_parameters(reader):,} parameters trained in {learned.seconds:.0f} s")

# %%
claims.ch01.learns_digits(reader=reader, test=test)

# %% [markdown]
# (neural-networks)=
# ## Neural networks
#
# :::{admonition} The talk · “Neural networks”
# :class: talk
# A neural network is a certain way to define a family of functions: it iterates *fully connected layers*, affine maps followed
# by a simple non-linear function. The gradient with respect to weights and biases is computed by *backpropagation*.
# :::
#
# :::{prf:definition} Fully connected network
# :label: def-network
# A **fully connected layer** with **weights** $W_j\in\mathbb R^{n_j\times n_{j-1}}$ and **biases** $b_j\in\mathbb R^{n_j}$ is the map
#
# $$
# z_j(x)=\sigma(W_jx+b_j),\qquad \sigma(a)=\mathrm{ReLU}(a)=\max(a,0)\ \text{in each component.}\tag{⋆}
# $$
#
# A **network** with parameters $\theta=\{W_1,\dots,W_L,b_1,\dots,b_L\}$ is the composition
#
# $$
# f_\theta=z_L\circ z_{L-1}\circ\dots\circ z_1.\tag{⋆⋆}
# $$
# :::
#
# The name stems from the picture of (⋆⋆) as a graph: one node, a *unit* or “neuron”, for each component of each $z_j$, and an
# edge for each entry of $W_j$. A unit sums what arrives, adds its bias, and passes on what is positive.
#
# Read to the letter, (⋆⋆) applies ReLU after the last layer too, and $f_\theta$ has no negative values. For a probability
# that is half a blessing; for a quantity that may be negative it is fatal. Practice leaves the last $\sigma$ out, and so do we.

# %%
def layer(x, W, b):
    """One layer: x holds a sample in each row, so Wx becomes x Wᵀ."""
    return torch.relu(x @ W.T + b)

def network(weights, x):
    """f_θ = z_L ∘ … ∘ z_1, without ReLU after the last layer."""
    *hidden, (W, b) = weights
    for pair in hidden:
        x = layer(x, *pair)
    return x @ W.T + b

difference = (network(net.weights(), x) - net(x)).detach().abs().max()
print(f"ours and the package's differ by {float(difference):.1e}")

# %%
claims.ch01.negative_values()

# %% [markdown]
# ### Backpropagation
#
# How does $\mathcal E$ change when one weight changes? Write $a_j=W_jz_{j-1}+b_j$ for what enters the $j$-th ReLU, $z_0=x$,
# and $\delta_j=\partial\mathcal E/\partial a_j$. Since $a_j$ is affine in $W_j$ and $b_j$, for one sample
#
# $$
# \frac{\partial\mathcal E}{\partial W_j}=\delta_j\,z_{j-1}^{\mathsf T},\qquad \frac{\partial\mathcal E}{\partial b_j}=\delta_j,
# $$ (eq-gradients)
#
# and the chain rule gives $\delta$ layer by layer, from the end to the beginning:
#
# :::{prf:theorem} Backpropagation
# :label: thm-backprop
# For the squared error and a network whose last layer has no ReLU,
#
# $$
# \delta_L=2\,(f_\theta(x)-y),\qquad \delta_{j-1}=\bigl(W_j^{\mathsf T}\delta_j\bigr)\odot\sigma'(a_{j-1}),\qquad
# \sigma'(a)=\begin{cases}1&a>0\\0&a<0.\end{cases}
# $$ (eq-backprop)
# :::
#
# :::{prf:proof}
# $a_L=f_\theta(x)$ gives $\delta_L$. Then $\partial a_j/\partial z_{j-1}=W_j$ and
# $\partial z_{j-1}/\partial a_{j-1}=\mathrm{diag}\,\sigma'(a_{j-1})$; multiply.
# :::
#
# Each $\delta_j$ is a **covector**: it lives in the dual of the layer's space and is pulled *back*, by $\sigma'$ and
# $W_j^{\mathsf T}$. Geometry takes the word back-propagation {cite}`rumelhart1986` literally. We write it down, summing over the
# samples as we go, and then train with it: no optimiser, no automatic differentiation, the talk's formula alone.

# %%
def backprop(weights, x, y):
    """Error Σ (f − y)² and its gradients, pair by pair, without automatic differentiation."""
    z, masks = [x], []
    for j, (W, b) in enumerate(weights, start=1):
        a = z[-1] @ W.T + b
        masks.append(a > 0 if j < len(weights) else torch.ones_like(a))
        z.append(a * masks[-1])
    upstream = 2 * (z[-1] - y)
    gradients = []
    for (W, _), before, mask in zip(reversed(weights), reversed(z[:-1]), reversed(masks)):
        delta = upstream * mask                            # δ_j
        gradients.insert(0, (delta.T @ before, delta.sum(0)))
        upstream = delta @ W                               # W_jᵀ δ_j, a row for each sample
    return ((z[-1] - y) ** 2).sum(), gradients

weights, errors = [(W.detach(), b.detach()) for W, b in untrained.weights()], []
for _ in range(steps):
    error, gradients = backprop(weights, x, y)
    weights = [(W - 0.1 * dW / len(x), b - 0.1 * db / len(x))
               for (W, b), (dW, db) in zip(weights, gradients)]
    errors.append(float(error) / len(x))
print(f"error after {steps} steps: by hand {errors[-1]:.5f}, by fit {history.loss[-1]:.5f}")
claims.ch01.hand_gradient(backprop=backprop)

# %% [markdown]
# The two sweeps cost about as much as two or three evaluations of $f_\theta$, *however many* parameters there are. Difference
# quotients would need one evaluation for each of them.

# %%
claims.ch01.gradient_is_cheap()

# %% [markdown]
# ### What functions are these?
#
# On the set of inputs for which every unit keeps its sign, the masks in `backprop` are constant and $f_\theta$ is *one* affine
# map. In the plane these sets are convex polygons, some unbounded: the units of the first layer cut along straight lines, and
# each later unit cuts along a line that bends where it crosses an earlier cut {cite}`montufar2014`. `linear_regions` follows the
# cuts exactly. (Two neighbours may carry the same map, where nothing downstream listens to the unit between them.)

# %%
nets = {"at the start": untrained, "after training": net}
drawn = {name: linear_regions(one) for name, one in nets.items()}
counts = ", ".join(f"{len(parts)} regions {name}" for name, parts in drawn.items())
figures.regions(
    drawn, moons.x[:100], moons.y[:100], size=4.0, level=0.5,
    caption="The polygons on which the network is affine, coloured by its value at their centres. "
    "At the start all biases are zero, so that f(tx) = t f(x) for t > 0: every cut runs into the "
    "origin. Training gives the cuts their offsets; they cross, and the sectors become polygons.",
    alt=f"Two subdivisions of the square into polygons: {counts}.",
)

# %%
display(claims.ch01.piecewise_affine(net=net), claims.ch01.one_layer_regions())

# %% [markdown]
# **Try it.** Below is a small network in full. Drag a line, or choose a unit and move its weights; take gradient steps. What
# happens to the regions when a unit's line leaves the square? From which $\eta$ on does a step make the error *larger*, although
# its first-order prediction, $-\eta\lVert\nabla\mathcal E\rVert^2$, is negative?
#
# :::{admonition} What we saw
# :class: dropdown
# A unit whose line has left the square is on or off for all of it, and its cuts are gone: the regions merge. From the initial
# weights the step turns uphill between $\eta=0.7$ and $\eta=0.8$.
# :::

# %%
few = moons.take(40, seed=1)
LinearRegions(points=few.x, labels=few.y, seed=3)

# %% [markdown]
# (deep-learning)=
# ## Deep learning
#
# :::{admonition} The talk · “Deep learning”
# :class: talk
# We stack many layers, usually 5 to 100, with many parameters, train on large data sets, and need various tricks to make
# training stable and efficient. It is hugely successful.
# :::
#
# ### What depth can buy
#
# Two units make the *tent* $2\min(x,1-x)$ on $[0,1]$. Iterating it folds the interval once more with every layer, so that $L$
# layers of two units make $2^L$ linear pieces; a single hidden layer of $n$ units makes at most $n+1$ {cite}`telgarsky2016`.

# %%
grid = torch.linspace(0, 1, 1025, dtype=torch.float64)
saws = {f"{2 * depth} units": (grid, tent(depth)(grid[:, None])[:, 0]) for depth in (1, 2, 4)}
figures.curves(
    saws, xlabel="x", ylabel="f(x)", height=2.6,
    caption="The tent map, iterated: each layer of two units doubles the number of pieces.",
    alt="Three saw-tooth functions on the unit interval with 2, 4 and 16 pieces.",
)

# %%
claims.ch01.depth_doubles_pieces()

# %% [markdown]
# *Can* is the word: the tent's weights are chosen with care. Networks with random weights show nothing of the kind. With biases
# of standard deviation 0.3, four layers have *fewer* regions than one layer with as many units.

# %%
claims.ch01.random_depth()

# %% [markdown]
# ### What keeps a deep network alive
#
# Let the biases vanish and the entries of $W_j$ be independent, symmetric about 0, of variance $g/n$, where $n$ is the number
# of inputs. Then $W_jz_{j-1}$ is symmetric and ReLU keeps half of its mean square; with $\langle z^2\rangle=|z|^2/\dim z$,
#
# $$
# \mathbb E\,\langle z_j^2\rangle=\frac g2\;\mathbb E\,\langle z_{j-1}^2\rangle .
# $$ (eq-variance)
#
# Only $g=2$ keeps the size of a signal {cite}`he2015`; any other value multiplies it by $(g/2)^L$, and the gradient on its way
# back with it. Practice has two tricks against that: *normalising* the signal after each layer, and *residual* layers
# {cite}`he2016`, here $z\mapsto z+V\,\mathrm{ReLU}(Wz)/\sqrt L$ with $V$ of variance $1/n$, which multiply the mean square by
# $1+g/2L$ a layer and by less than $e^{g/2}$ in all.

# %%
settings = {
    "g = 1": {"gain": 1.0}, "g = 2": {}, "g = 3": {"gain": 3.0},
    "g = 1, normalised": {"gain": 1.0, "kind": "normalised"}, "g = 2, residual": {"kind": "residual"},
}
sizes = {
    name: (range(51), propagate_variance(50, generator=run.generator(), **kind))
    for name, kind in settings.items()
}
ends = ", ".join(f"{name} ends at {float(size[-1]):.2g}" for name, (_, size) in sizes.items())
figures.curves(
    sizes, xlabel="layer", ylabel="mean square of the signal", log="y",
    caption="A random signal on its way through 50 layers: g = 1 loses half in every layer, g = 3 gains "
    "half, and g = 2 and both tricks stay within a factor of three.",
    alt=f"Mean square against depth: {ends}.",
)

# %%
display(claims.ch01.variance_halves(), claims.ch01.gradients_too())
display(claims.ch01.variance_is_kept(), claims.ch01.variance_with_residuals())

# %% [markdown]
# Does it matter? We train networks of twenty layers on the small digits, by the same 800 steps of plain SGD, with nothing
# changed but the variance of the initial weights and the kind of layer.

# %%
small, gains = data.load("digits8"), run.pick(smoke=(1, 2), laptop=(1, 2, 3))

def train_deep(kind, gain):
    torch.manual_seed(0)
    deep = DeepNetwork(64, 10, width=64, depth=20, gain=gain, kind=kind)
    try:
        fit(deep, (small.x, small.y), cross_entropy,
            steps=800, batch_size=64, lr=0.006, optimiser=torch.optim.SGD)
    except Diverged as reason:
        print(f"{kind}, g = {gain}: {reason}")
    return deep

deep = {(kind, g): train_deep(kind, g) for kind in ("plain", "normalised", "residual") for g in gains}
unseen = data.load("digits8", "test")

def share_read(network):
    with torch.no_grad():
        return f"{float((network(unseen.x).argmax(1) == unseen.y).float().mean()):.1%}"

figures.table(
    ["layers", *(f"g = {g}" for g in gains)],
    [[kind, *(share_read(deep[kind, g]) for g in gains)] for kind in ("plain", "normalised", "residual")],
    caption="Share of new digits read after 800 steps at depth 20; 10 % is chance.",
)

# %%
tricks = [deep["normalised", 1], deep["residual", 1]]
display(claims.ch01.trainable_depth(kept=deep["plain", 2], halved=deep["plain", 1]))
display(claims.ch01.tricks_make_it_robust(nets=tricks))

# %% [markdown]
# ## Break it
#
# Everything above hangs on two hypotheses. **The step must be small**: the formula only promises descent up to
# $\mathcal O(\eta^2)$. **The layers must not be linear**: without $\sigma$, $f_\theta$ is one affine map whatever the depth. Set
# the switches, run the cell, compare with the intact case.

# %%
too_large_a_step, no_relu = True, True

def trial(eta, activation=torch.relu, steps=400):
    weights = [t.detach().clone().requires_grad_() for pair in untrained.weights() for t in pair]
    losses = []
    for _ in range(steps):
        z = x
        for W, b in zip(weights[::2], weights[1::2]):
            a = z @ W.T + b
            z = activation(a)
        losses.append(F.mse_loss(a, y))
        gradients = torch.autograd.grad(losses[-1], weights)
        weights = [(w - eta * g).detach().requires_grad_() for w, g in zip(weights, gradients)]
    losses = torch.stack(losses).detach()
    return torch.where(losses < 100, losses, math.nan)      # what leaves the picture is not drawn

# %%
trials = {"intact": trial(0.03)}
trials |= {"step too large": trial(1.5)} if too_large_a_step else {}
trials |= {"no ReLU": trial(0.03, activation=lambda a: a)} if no_relu else {}
ones = torch.cat([x, torch.ones(len(x), 1)], 1)
best_affine = float((ones @ torch.linalg.lstsq(ones, y).solution - y).square().mean())
ends = ", ".join(
    f"{name} diverges" if losses.isnan().any() else f"{name} ends at {float(losses[-1]):.2g}"
    for name, losses in trials.items()
)
figures.curves(
    {name: (range(1, 401), losses) for name, losses in trials.items()},
    xlabel="step", ylabel="mean square error", log="xy",
    references={"the best affine map": best_affine},
    caption="The same data and initial weights: intact; with a learning rate fifty times larger, which "
    "leaves the picture at once; and without ReLU, which ends at the best affine map, as it must.",
    alt=f"Error against step: {ends}; the best affine map has {best_affine:.2g}.",
)

# %% [markdown]
# ## Exercises
#
# Replace the dots and run the cell; the checker answers ✓ or names the mistake. The solution is folded below each.
#
# :::{exercise} The layer (⋆)
# :label: ex-mlp-layer
# **●○○ · 3 minutes · teaches: how a batch meets a matrix.** Write the layer for a batch `x` of shape `(batch, n)`, `W` of shape
# `(m, n)` and `b` of shape `(m,)`.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Write the j-th output of one sample as a sum first.
# :::
#
# :::{admonition} Hint 2
# :class: dropdown
# Samples lie in rows. Which index of W is summed over?
# :::

# %% tags=["exercise"]
def my_layer(x, W, b):
    ...

check.ch01.layer(my_layer)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_layer(x, W, b):
    return torch.relu(x @ W.T + b)

check.ch01.layer(solved_layer)

# %% [markdown]
# :::{exercise} How many parameters?
# :label: ex-mlp-parameters
# **●○○ · 3 minutes · teaches: what θ is.** Given `widths`, such as `[784, 128, 64, 10]`, return the $N$ of $\theta\in\mathbb R^N$.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# One layer from 3 to 2: write out W and b.
# :::

# %% tags=["exercise"]
def my_parameters(widths):
    ...

check.ch01.parameters(my_parameters)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_parameters(widths):
    return sum(m * n + m for n, m in pairwise(widths))

check.ch01.parameters(solved_parameters)

# %% [markdown]
# :::{exercise} Backpropagation for one hidden layer
# :label: ex-mlp-backprop
# **●●○ · 10 minutes · teaches: the chain rule in matrices.** For $f(x)=W_2\,\mathrm{ReLU}(W_1x+b_1)+b_2$ with one output, return
# $\partial/\partial W_1$ of $\sum(f(x)-y)^2$. Use no automatic differentiation.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Take a batch of one. Which vector is δ₁, and what is its shape?
# :::
#
# :::{admonition} Hint 2
# :class: dropdown
# A switched-off unit does not move when its weights do.
# :::

# %% tags=["exercise"]
def my_gradient_W1(x, y, W1, b1, W2, b2):
    ...

check.ch01.backprop(my_gradient_W1)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_gradient_W1(x, y, W1, b1, W2, b2):
    a = x @ W1.T + b1
    residual = torch.relu(a) @ W2.T + b2 - y
    delta = 2 * residual @ W2 * (a > 0)
    return delta.T @ x

check.ch01.backprop(solved_gradient_W1)

# %% [markdown]
# :::{exercise} A good start
# :label: ex-mlp-start
# **●●○ · 5 minutes · teaches: variance and standard deviation, in and out.** Return a random `W` of shape `(m, n)` that keeps
# the mean square of a signal through a ReLU layer with `n` inputs and `m` outputs. Draw with the given `generator`.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# A unit adds up n independent terms. What is the variance of the sum, and what does ReLU leave of it?
# :::

# %% tags=["exercise"]
def my_initial_weights(m, n, generator):
    ...

check.ch01.initial_weights(my_initial_weights)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_initial_weights(m, n, generator):
    return torch.randn(m, n, generator=generator) * math.sqrt(2 / n)

check.ch01.initial_weights(solved_initial_weights)

# %% [markdown]
# :::{exercise} Counting pieces
# :label: ex-mlp-pieces
# **●●● · 15 minutes · teaches: kinks, grids and rounding.** A network on $[0,1]$ is given by its values `y` on a fine, even grid
# `x`. Return its number of linear pieces. Kinks are far apart, but need not lie on grid points.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Second differences vanish on a piece, up to rounding.
# :::
#
# :::{admonition} Hint 2
# :class: dropdown
# Draw three points around a kink that lies between two of them. How many second differences see it?
# :::

# %% tags=["exercise"]
def my_pieces(x, y):
    ...

check.ch01.pieces(my_pieces)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_pieces(x, y):
    bent = y.diff().diff().abs() > 1e-9
    runs = bent[1:] & ~bent[:-1]              # a kink starts where a straight stretch ends
    return 1 + int(bent[0]) + int(runs.sum())

check.ch01.pieces(solved_pieces)

# %% [markdown]
# ## What to read next
#
# - [Chapter 02](02_cnn.ipynb): what happens to $W$ when the input is a picture and we insist on translations.
# - {cite:t}`telgarsky2016` proves that some deep networks cannot be matched by shallow ones of any reasonable width.
# - {cite:t}`montufar2014` count regions. The covectors $\delta_j$ will return as pull-backs when the course comes to metrics.

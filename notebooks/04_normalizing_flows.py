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
# # Normalizing flows
#
# By the end of this chapter we hold a diffeomorphism between a Gaussian and handwritten digits, together with the exact
# density that it gives to every picture. We write its building block ourselves, train it on a curve where the truth is
# known, see where it fails, and learn what a likelihood does *not* say. It takes about an hour; it runs in a minute and
# a half on two cores. We need the change of variables in an integral and the chain rule.
#
# Where we are: [the map of the talk](00_start_here.ipynb#map).

# %% tags=["parameters"]
profile = "laptop"

# %%
import math
import tempfile

import torch
from IPython.display import display
from torch import nn

from gdl_lab import claims, data, figures, recipes, runtime, training
from gdl_lab.exercises import check
from gdl_lab.flows import AffineCoupling, RealNVP, bits_per_dim, dequantize
from gdl_lab.manifold import Arc, Moons
from gdl_lab.networks import ConvolutionalNetwork
from gdl_lab.widgets import DigitWalk, FlowLayers

run = runtime.start(profile)

# %% [markdown]
# (normalizing-flows)=
# ## A density by change of variables
#
# :::{admonition} The talk · “Normalizing flows”
# :class: talk
# A generative model $g$ maps base space $Z$ to data space $X$ *bijectively*: it is a *diffeomorphism*. The distribution
# $q_Z$ is simple, e.g. uniform or normal. Train by maximizing the log-likelihood $\log q_X$ of the training data.
# :::
#
# :::{prf:definition} Normalizing flow
# :label: def-flow
# A **flow** is a family of diffeomorphisms $g_\theta:Z\to X$ of $\mathbb R^D$ with a density $q_Z$ on $Z$. Its **model
# density** $q_X$ is that of $x=g_\theta(z)$ for $z\sim q_Z$: the push-forward of $q_Z$.
# :::
#
# :::{prf:theorem} Change of variables
# :label: thm-change-of-variables
# The model density of a flow is
#
# $$
# q_X(x)=q_Z(g^{-1}(x))\,\left|\det\frac{\partial z}{\partial x}\right|,\qquad z=g^{-1}(x).
# $$ (eq-change-of-variables)
# :::
#
# :::{prf:proof}
# For an open set $U\subset X$, $P(x\in U)=P(z\in g^{-1}(U))=\int_{g^{-1}(U)}q_Z(z)\,\mathrm dz$, and the substitution
# $z=g^{-1}(x)$ makes this the integral over $U$ of the right-hand side {cite}`rezende2015,papamakarios2021`.
# :::
#
# In one dimension one can see it. A strip of $Z$ and its image in $X$ hold the same mass; where $g$ is steep, the strip
# is stretched, and its mass spread thin. So one bump becomes two.

# %%
figures.push_forward(
    lambda z: 0.5 * z + 1.2 * torch.tanh(2 * z),
    caption="Eight strips of one eighth of the mass each, in Z (below) and in X (left).",
    alt="A map with slope 2.9 at 0 and 0.5 far out; a normal density below, and left of it its "
    "image, with two peaks near ±1.65 and a dip at 0.",
)

# %% [markdown]
# (The talk's other example, a uniform $q_Z$ on a cube, is `base="uniform"`. Then $q_X$ vanishes outside the image of the
# cube, and one stray data point has the likelihood 0. So we take the normal one.)
#
# Nothing here was approximated, so nothing may be: every flow of this course has both directions and its determinant in
# closed form, and we hold them to rounding errors. Each line below is measured on flows with random weights.

# %%
display(
    claims.ch04.pull_undoes_push(), claims.ch04.log_determinant_is_that_of_autograd(),
    claims.ch04.density_integrates_to_one(), claims.ch04.samples_have_the_density(),
)

# %% [markdown]
# (coupling-layers)=
# ## Coupling layers
#
# :::{admonition} The talk · “Normalizing flows”
# :class: talk
# The network needs to be easily invertible and have a tractable Jacobian determinant. RealNVP uses *affine coupling
# layers*: $y_{1:d}=x_{1:d}$ and $y_{d+1:D}=x_{d+1:D}\odot\exp(s(x_{1:d}))+t(x_{1:d})$. Alternate the parts which are
# modified from layer to layer.
# :::
#
# A determinant of a $D\times D$ matrix costs $\mathcal O(D^3)$, for every picture in every step. The trick is a map whose
# Jacobian is triangular {cite}`dinh2017`. In our letters a layer leads from $z=(z_a,z_b)$ to $x=(x_a,x_b)$:
#
# $$
# x_a=z_a,\qquad x_b=z_b\odot e^{s(z_a)}+t(z_a),\qquad s,t:\mathbb R^d\to\mathbb R^{D-d}.
# $$ (eq-coupling)
#
# :::{prf:theorem} Block-triangular determinant
# :label: thm-coupling
# For arbitrary smooth $s$ and $t$, {eq}`eq-coupling` is a diffeomorphism of $\mathbb R^D$ with inverse
# $z_a=x_a$, $z_b=(x_b-t(x_a))\odot e^{-s(x_a)}$, and
#
# $$
# \frac{\partial x}{\partial z}=\begin{bmatrix}1_d&0\\\partial x_b/\partial z_a&\operatorname{diag}e^{s(z_a)}\end{bmatrix}
# \quad\Longrightarrow\quad\log\left|\det\frac{\partial x}{\partial z}\right|=\sum_j s(z_a)_j .
# $$ (eq-talks-sum)
# :::
#
# The proof is to look at it: what $s$ and $t$ see is never changed, so they need no inverse, and their derivatives stand
# in the corner that no determinant asks for. That is why $s$ and $t$ may be networks as deep as we like. Here is the
# whole layer; the $\tanh$ keeps $|s|<2$, so that no inverse overflows.

# %%
class MyCoupling(nn.Module):
    def __init__(self, dim, hidden=16):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(dim // 2, hidden), nn.SiLU(), nn.Linear(hidden, dim))

    def s_and_t(self, kept):
        s, t = self.net(kept).chunk(2, 1)
        return 2 * s.tanh(), t

    def push(self, z):
        a, b = z.chunk(2, 1)
        s, t = self.s_and_t(a)
        return torch.cat([a, b * s.exp() + t], 1), s.sum(1)

    def pull(self, x):
        a, b = x.chunk(2, 1)
        s, t = self.s_and_t(a)
        return torch.cat([a, (b - t) * (-s).exp()], 1), -s.sum(1)

# %% [markdown]
# We compare it with itself backwards, with the determinant of the matrix that autograd builds, and with the layer of the
# package, which gets our weights.

# %%
def jacobians(f, points):
    return torch.func.vmap(torch.func.jacrev(lambda one: f(one[None])[0]))(points).detach()

mine, ours = MyCoupling(6).double(), AffineCoupling(6, hidden=(16,)).double()
z = torch.randn(5, 6, dtype=torch.float64, generator=run.generator())
with torch.no_grad():
    for theirs, weight in zip(ours.parameters(), mine.parameters()):
        theirs.copy_(weight.t())
    x, log_det = mine.push(z)
    determinants = torch.linalg.slogdet(jacobians(lambda z: mine.push(z)[0], z)).logabsdet
    print(f"there and back:   {float((mine.pull(x)[0] - z).abs().max()):.0e}")
    print(f"against autograd: {float((log_det - determinants).abs().max()):.0e}")
    print(f"against ours:     {float((ours.push(z) - x).abs().max()):.0e}")

# %% [markdown]
# One layer leaves half of the coordinates alone. So the halves take turns. A chain of maps multiplies Jacobians and adds
# log-determinants; it is triangular no more, and need not be.

# %%
layers = [MyCoupling(8, hidden=32).double() for _ in range(3)]

def through(z, count):
    for k, layer in enumerate(layers[:count]):
        z = layer.push(z if k == 0 else z.flip(1))[0]  # turned around, the halves change roles
    return z if count % 2 else z.flip(1)

z = torch.randn(1, 8, dtype=torch.float64, generator=run.generator(1))
names = "one layer", "two layers", "three layers"
panels = {name: jacobians(lambda z: through(z, n + 1), z)[0] for n, name in enumerate(names)}
zeros = ", ".join(str(int((jac == 0).sum())) for jac in panels.values())
display(figures.matrices(
    panels, split=4, size=2.2,
    caption="∂x/∂z after one, two and three layers that take turns. Empty: exactly 0.",
    alt=f"Three 8 × 8 heat maps, with {zeros} entries that are zero.",
), claims.ch04.determinant_is_the_talks_sum(), claims.ch04.alternation_mixes_everything())

# %% [markdown]
# ## Maximum likelihood
#
# Of all $\theta$ we choose the one that makes the data likely. In terms of the unknown density $p$ of the data:
#
# :::{prf:proposition} Likelihood and divergence
# :label: thm-likelihood
# With the entropy $h(p)=-\mathbb E_p\log p$,
#
# $$
# -\mathbb E_{p}\log q_X(x)=\operatorname{KL}(p\,\|\,q_X)+h(p),\qquad
# \operatorname{KL}(p\,\|\,q)=\mathbb E_p\log\frac{p}{q}\ge0 .
# $$ (eq-likelihood)
# :::
#
# (That it is positive unless $q=p$ almost everywhere is Jensen's inequality; with natural logarithms its unit is called
# *nat*.) Since $h(p)$ does not depend on $\theta$, to maximise the likelihood is to minimise the Kullback–Leibler
# divergence. For pictures nobody knows $h(p)$. So we begin with data whose density we know: three quarters of a circle,
# with normal noise of thickness $\delta=0.1$ along the radius. The flow has eight couplings and starts as the identity.
# The learning rate rises, then falls, and a gradient longer than 5 is cut to this length.

# %%
arc, delta = Arc(), 0.1
points, seen = (arc.draw(n, delta=delta, generator=run.generator(n))[0] for n in (20_000, 5000))
points = points.float()

def divergence(q):
    return float((arc.log_prob(seen, delta) - q.log_prob(seen.float())).detach().mean())

flow, untrained = (RealNVP(2, layers=8, hidden=(64, 64)) for _ in range(2))
recipe = {"batch_size": 512, "lr": 1e-2, "schedule": training.warm_cosine, "clip": 5.0}
history = training.fit(flow, (points,), lambda q, x: -q(x).mean(), validate=divergence,
                       every=20, steps=run.pick(smoke=500, laptop=1200), **recipe)
steps, kl = zip(*history.validation)
batches = torch.tensor(history.loss).unfold(0, 20, 20).mean(1) - arc.entropy(delta)
display(figures.curves(
    {"−log q of the batches − h(p)": (steps, batches.clamp_min(1e-3)),
     "KL(p‖q) on new points": (steps, kl)},
    xlabel="step", ylabel="nats", log="y",
    caption="Training sees only the first curve, averaged over 20 batches. It follows the second.",
    alt=f"Two jagged, falling curves, soon on each other, from {kl[0]:.2f} to {kl[-1]:.3f} nats.",
), claims.ch04.likelihood_is_divergence(), claims.ch04.learns_the_arc(flow=flow))

# %%
z = torch.randn(1000, 2, generator=run.generator(3))
carried = flow.push(z).detach()
display(figures.clouds(
    {"Z": z, "X = g(Z)": carried, "data": points[:1000]},
    lines={"Z": figures.mesh(lambda z: z, like=z), "X = g(Z)": figures.mesh(flow.push, like=z)},
    values={"Z": z[:, 0], "X = g(Z)": z[:, 0]}, boxes={"Z": 3.0, "X = g(Z)": 1.5, "data": 1.5},
    caption="The trained flow carries the Gaussian and its grid to the arc. Colour: z₁.",
    alt=f"A disc of points becomes three quarters of a ring; KL {divergence(flow):.3f} nats.",
), claims.ch04.density_integrates_to_one(flow=flow))

# %% [markdown]
# The grid is bent, never torn: lines that do not cross in $Z$ do not cross in $X$. Almost all of it is squeezed into the
# thin ring, and chapter 05 reads the thickness off this squeeze.
#
# **Try it.** Drag *level* from $Z$ to $X$. (1) Which coordinates does a single layer move, and along which axis? (2)
# Put the point on the gap of the arc: what are $\log q$ and the log-determinant there? (3) Pull the data back through the
# untrained flow and through the trained one. Which of the two clouds is round?

# %%
FlowLayers({"trained": flow, "untrained": untrained}, points[:300])

# %% [markdown]
# **When it goes wrong.** A learning rate a thousand times too large makes the loss infinite. The training stops at that
# step and says so, and the file it keeps holds the last weights that were good.

# %%
with tempfile.TemporaryDirectory() as folder:
    try:
        training.fit(flow, (points,), lambda q, x: -q(x).mean(), steps=200, batch_size=512,
                     lr=10.0, checkpoint=f"{folder}/flow.pt")
    except training.Diverged as stopped:
        print("Diverged:", stopped)
    kept = torch.load(f"{folder}/flow.pt")
flow.load_state_dict(kept["model"])
print(f"restored from step {kept['done']}: KL {divergence(flow):.4f}")

# %% [markdown]
# ## What no diffeomorphism can do
#
# $Z$ is connected, and so is $g(Z)$. A path in $Z$ from one piece of the data to another crosses the gap between them in
# $X$, and there $q_X$ is not 0: the model always has a bridge. To come closer to the data, the slopes of $g$ or of $g^{-1}$
# must grow without bound {cite}`cornish2020`. How close a flow comes depends on its depth and on its elementwise map.
# One affine map $z_b\mapsto z_be^s+t$ is stiff; a monotone **spline** $\varphi$ {cite}`durkan2019` can squeeze and stretch
# a line at several places at once, and leaves {prf:ref}`thm-coupling` as it is, with $\varphi'$ in place of $e^s$.

# %%
moons, thin = Moons(), 0.03
both = moons.draw(20_000, delta=thin, generator=run.generator(4))[0]
rivals = {name: RealNVP(2, layers, (64, 64), coupling=kind) for name, layers, kind in (
    ("affine", 4, "affine"), ("8 affine", 8, "affine"), ("spline", 4, "spline"))}
for name, q in rivals.items():
    training.fit(q, (both.float(),), lambda q, x: -q(x).mean(), label=name,
                 steps=run.pick(smoke=150, laptop=800), **recipe)
shown = {k: q.sample(2000, generator=run.generator(5)) for k, q in rivals.items()}
off = [f"{(moons.distance(x.double()) > 5 * thin).double().mean():.1%}" for x in shown.values()]
display(figures.clouds(
    {"data": both[:2000], **shown}, boxes=1.9, size=2.2,
    caption="Samples of 4 affine, 8 affine and 4 spline layers, after equally many steps.",
    alt=f"Two moons, and samples of three flows, of which {', '.join(off)} are over 5 δ away.",
), claims.ch04.splines_come_nearer_to_the_moons(flows=rivals))

# %% [markdown]
# So affine layers can do it, in numbers: eight come nearer to the moons than four. Four splines come nearer still, though
# each takes longer to compute. None of the three is without a bridge.

# %% [markdown]
# ## Digits
#
# A picture is a point of $\mathbb R^{784}$ with integer grey values, and over single points a density can rise as high as
# it likes. We keep 16 levels, $b=4$ bits, and add uniform noise that fills the gaps {cite}`theis2016`. A picture now has the
# probability of its cell, of side $2^{-b}$, and $-\log_2$ of that is at most the mean over the noise, by Jensen's
# inequality, of $-\log_2$ of density times volume. Divided by $D$,
#
# $$
# \text{bits per dimension}=-\frac{\log q_X(x)}{D\log2}+b .
# $$ (eq-bits)
#
# A network with 784 inputs in every layer is slow on a laptop. So ours goes first through a linear diffeomorphism, the
# principal components {cite}`tipping1999`, and the couplings act on the 64 leading coordinates $u$, while the others stay
# Gaussian. It is still a flow of all of $\mathbb R^{784}$ with an exact density.

# %%
train, test = (data.load("mnist", part, otherwise="digits8") for part in ("train", "test"))
side, pair, mnist = train.x.shape[-1], (4, 9), train.name == "mnist"

def prepare(part, digits, stream):
    chosen = torch.isin(part.y, torch.tensor(digits))
    return dequantize(part.x[chosen].flatten(1), 4, run.generator(stream)).to(run.device)

def bits(q, x):
    return float(bits_per_dim(q.log_prob(x).detach().mean(), 4, q.dim))

x, new = prepare(train, pair, 6), prepare(test, pair, 7)
k, p, lr = (400, 64, 3e-3) if mnist else (50, 32, 1e-4)  # 8 × 8: few pictures
live = RealNVP(side**2, 8, (192, 192), principal=p).to(run.device).fit_whitening(x, k)
gaussian, held_out = bits(live, new), len(x) // 10
training.fit(live, (x[held_out:],), lambda q, x: -q(x).mean() / q.dim, batch_size=256, lr=lr,
             schedule=training.warm_cosine, steps=run.pick(smoke=20, laptop=900),
             validate=lambda q: bits(q, x[:held_out]), every=50)
print(f"bits per dimension of new digits: {bits(live, new):.3f}, Gaussian alone {gaussian:.3f}")

# %% [markdown]
# One number can be varied without training again: the **temperature** $T$, $z\sim\mathcal N(0,T^2)$. Samples at $T<1$ come
# from the middle of the base, where digits are more ordinary. At $T=0$ there is only $g(0)$.

# %%
figures.gallery(
    {f"T={T}": live.sample(10, generator=run.generator(8), temperature=T) for T in (0, .7, 1)},
    caption="Samples of the flow of {4, 9}: the same base points at three temperatures.",
    alt="Three rows: ten times one grey 9, then ten different digits, bolder in the last row.",
)

# %% [markdown]
# ### All ten digits, and Glow
#
# Longer trainings are stored with the course, each with a card that says how it was made. The first is our whitened flow,
# for all ten digits. The second is a small **Glow** {cite}`kingma2018`: $s$ and $t$ are convolutional networks, as on the
# slide, and between the couplings learned $1\times1$ convolutions mix the channels, instead of the fixed turns.

# %%
stored = {k: recipes.load(f"digits-{k.lower()}").to(run.device) for k in ("whitened", "Glow")}
figures.gallery(
    {f"{name}, T = {T}": q.sample(10, generator=run.generator(9), temperature=T)
     for name, q in stored.items() for T in (0.7, 1.0)},
    caption="Two models of all digits, each at T = 0.7 and T = 1. Which one is more likely?",
    alt="Four rows of ten samples: digits with grain from the whitened flow, clean strokes from Glow.",
)

# %% [markdown]
# ### An honest table
#
# The literature counts bits for all 256 grey values. We can, too: the four bits that we dropped get a table of their
# probabilities, given the four that we kept. This is a model of the full picture, so its bits add. To judge samples we
# ask, in the space of a classifier's ten outputs before the softmax, two questions {cite}`kynkaanniemi2019`.
# **Precision**: which share of the samples lies among the data, that is, nearer to some test digit than its third
# neighbour? **Recall**: which share of the test digits lies among the samples?

# %%
grey, asked = ((255 * part.x).round().long().flatten() for part in (train, test))
counts = torch.bincount(grey, minlength=256).view(16, 16) + 1.0
rest = -float((counts / counts.sum(1, keepdim=True)).log2().flatten()[asked].mean())
tested, names = {}, ["Gaussian", "RealNVP", "half noise"]
if mnist:
    n, kept = run.pick(smoke=2000, laptop=20_000), stored["whitened"].architecture["whitening"]
    x, new = prepare(train, range(10), 10), prepare(test, range(10), 11)[: n // 20]
    convolutional = ConvolutionalNetwork((1, 16, 32), 10, size=28, strides=(2, 2))
    classifier = nn.Sequential(nn.Unflatten(1, (1, 28, 28)), convolutional).to(run.device)
    training.fit(classifier, (x[:n], train.y[:n]), lambda f, x, y: nn.functional.cross_entropy(
        f(x), y), steps=run.pick(smoke=50, laptop=400), batch_size=128, lr=2e-3)
    models = {"Gaussian": RealNVP(784, 1, (1,)).to(x).fit_whitening(x[:n], kept), **stored}
    tested = {"flows": models, "x": new, "features": classifier, "real": x[n:][: len(new)]}
    names = list(models)

# %%
judge, smoke = claims.ch04.likelihood_is_not_precision, run.profile == "smoke"
looks = judge.outcome(**tested) if smoke else judge(**tested)  # 100 pictures judge nothing
each = [(m, *(looks.extra[f"{m}_{k}"] for k in ("bits", "precision", "recall"))) for m in names]
papers = {"RealNVP": 1.06, "Glow": 1.05, "FFJORD": 0.99} if mnist else {}
display(figures.table(
    ["model", "bits/dim, 16 levels", "256 levels", "precision", "recall"],
    [*([m, f"{b:.3f}", f"{b + rest:.3f}", p, r] for m, b, p, r in each),
     *([f"{m}, published", "", f"{b:.2f}", "", ""] for m, b in papers.items())],
    caption=f"Test pictures of {train.name}: few bits are good, much precision and recall.",
), *([] if smoke else [looks]), claims.ch04.checkpoints_are_what_their_cards_say())

# %% [markdown]
# For MNIST, the three columns tell three stories (published bits after {cite:t}`grathwohl2019`). What one can hope for
# stands below the table: *real* are digits of the training set, judged as if they were samples.
#
# - **Bits.** Glow is by far the most likely. Where it sees ground it expects black. The whitened flow leaves most
#   coordinates Gaussian, whatever the digit is, so their grain lies over strokes and ground alike, and every pixel pays
#   for it. The published models are larger, and were trained for all 256 values.
# - **Recall** tells both flows from the Gaussian, whose ghosts miss most digits. Which of the two is ahead changes with
#   the classifier and the draw, though Glow's bits are a third.
# - **Precision** goes against the bits: Glow's is the lowest. Its strokes are crisp, but many lie away from all digits,
#   where the samples of the whitened flow are grainy and more of them in place. Even the Gaussian does better than Glow,
#   and so it was with five other classifiers.
#
# This is no accident. Equation {eq}`eq-likelihood` averages over the *data*. A model that misses some of them pays without bound;
# what else it draws, it is hardly asked. How little it is asked can be said exactly:
#
# :::{prf:proposition} Theis, van den Oord and Bethge
# :label: thm-theis
# Let $q$ be a model of pictures and $r$ any other density. The samples of $0.01\,q+0.99\,r$ are those of $r$ in 99 of 100
# cases, and its bits per dimension exceed those of $q$ by at most $\log_2(100)/D$.
# :::
#
# :::{prf:proof}
# $0.01\,q+0.99\,r\ge0.01\,q$. Take the logarithm to the base 2 and divide by $-D$.
# :::
#
# For $D=784$ that is 0.0085 bits: less than between any two rows of the table. In high dimension, the likelihood says
# little about samples, and samples little about the likelihood {cite}`theis2016`. What a flow is *used* for decides.

# %%
claims.ch04.bad_samples_cost_little(flow=stored["whitened"] if mnist else live, x=new)

# %% [markdown]
# ## Several scales
#
# The talk: *RealNVP uses a multi-scale architecture.* On the way from $X$ to $Z$, each level of Glow trades resolution for
# channels, takes its steps, and sets half of the numbers aside as finished latents; the next level is a flow of the other
# half. On the first it is the identity, so log-determinants add as before, and half of the work is saved. What does each
# level hold?

# %%
z, fresh = 0.7 * torch.randn(2, 8, 784, generator=run.generator(12)).to(run.device)
coarse = torch.arange(784, device=run.device) // 28 % 2 == 0  # even rows go on to level two
mixed = {"sample": z, "new fine": z.where(coarse, fresh), "new coarse": fresh.where(coarse, z)}
display(figures.gallery(
    {name: stored["Glow"].push(latents) for name, latents in mixed.items()},
    caption="Glow's samples; the same with the fine latents drawn anew; with the coarse ones.",
    alt="Three rows of eight samples. The second keeps the shapes of the first, the third not.",
), claims.ch04.scales_hold_different_things(flow=stored["Glow"]))

# %% [markdown]
# ## Straight lines
#
# Chapter 03 saw straight lines leave the data. A flow offers others: pull both ends to $Z$, go straight there, push back.
# There is a catch. In high dimension a Gaussian lives on a shell: $|z|^2=\sum z_j^2$ has the mean $D$ and the deviation
# $\sqrt{2D}$, so samples have $|z|\approx\sqrt D$. The middle of two independent ones has only $\sqrt{D/2}$, like a sample
# at $T=0.7$. A great circle stays on the shell.

# %%
ends = torch.stack([prepare(test, (digit,), 14)[0] for digit in pair])
a, b = live.pull(ends).detach()
t = torch.linspace(0, 1, 9, device=run.device)[:, None]
ways = {"X": (1 - t) * ends[0] + t * ends[1], "Z": live.push((1 - t) * a + t * b)}
log_q = {way: (live.log_prob(x) / live.dim).tolist() for way, x in ways.items()}
display(figures.gallery(
    ways, titles={way: [f"{v:.2f}" for v in values] for way, values in log_q.items()},
    caption="From a 4 to a 9, straight in X and straight in Z. The numbers are log q/D.",
    alt=f"Two rows of nine pictures; the middle: {log_q['X'][4]:.2f} and {log_q['Z'][4]:.2f}.",
), claims.ch04.straight_lines_in_z_stay_likely(flow=flow, x=points[:1000]),
   claims.ch04.straight_lines_in_z_stay_likely(flow=live, x=prepare(test, pair, 7)))

# %% [markdown]
# On the arc (the first claim), the line in $X$ leaves the data, and the flow knows it. The digits (the second) are
# subtler. In $X$ we see two ghosts, in $Z$ strokes that move; for nearly all pairs the flow prefers the latter, yet by
# some hundredths of $\log q/D$ only, times 784. And in both rows the numbers run smoothly from end to end, since most of
# $\log q$ counts the grain of coordinates that the flow leaves Gaussian, where both lines are the same. A ghost is often likelier than both of its digits, since
# its line cuts through the shell. A density alone is a blunt judge; chapter 06 asks a second classifier.
#
# **Try it.** Below are four digits and three ways between each two. (1) Find a pair whose middle in $X$ could not be a
# digit. (2) Switch the curve to the norm: which way leaves the shell? Is it less likely there? (3) Between two 4s, is
# $X$ still worse than $Z$?

# %%
walkers = torch.cat([prepare(test, (digit,), 15)[:2] for digit in pair])
DigitWalk(live, walkers.view(-1, side, side), ["4", "another 4", "9", "another 9"], bits=4)

# %% [markdown]
# ## Break it
#
# What happens when a hypothesis goes? Without the determinant in the loss, the flow pulls all data to the most likely
# base point. Without turns, the first coordinate never moves. Both train happily, and their loss falls.

# %%
intact, blind, frozen = (RealNVP(2, layers=8, hidden=(64, 64)) for _ in range(3))
frozen.couplings = nn.ModuleList(AffineCoupling(2, (64, 64)) for _ in range(8))
rows = []
for name, q in {"intact": intact, "no determinant": blind, "no turns": frozen}.items():
    past = training.fit(
        q, (points,), lambda q, x: -(q.base.log_prob(q.pull(x)) if q is blind else q(x)).mean(),
        steps=run.pick(smoke=50, laptop=500), label=name, **recipe)
    rows.append([name, past.loss[0], past.loss[-1], divergence(q)])
figures.table(
    ["arc", "loss at first", "loss at last", "KL(p‖q)"], rows,
    caption="A loss that falls is no proof. The divergence from a known density is.",
)

# %% [markdown]
# ## Exercises
#
# Replace the dots and run the cell; the checker answers ✓ or names the mistake. The solution is folded below each.
#
# :::{exercise} A density by change of variables
# :label: ex-flows-density
# **●○○ · 4 minutes · teaches: which determinant.** For $x=g(z)=\mu+\sigma\odot z$ with $z\sim\mathcal N(0,1)^D$, return
# $\log q_X(x)$ by {eq}`eq-change-of-variables`, shape `(batch,)`. `mu` and `sigma` have the shape `(D,)`.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# First z. Then log q_Z(z), a sum over coordinates. Where σ is large, is q large or small?
# :::

# %% tags=["exercise"]
def my_log_density(x, mu, sigma):
    ...

check.ch04.log_density(my_log_density)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_log_density(x, mu, sigma):
    z = (x - mu) / sigma
    return (-0.5 * z**2 - 0.5 * math.log(2 * math.pi) - sigma.log()).sum(1)

check.ch04.log_density(solved_log_density)

# %% [markdown]
# :::{exercise} The inverse of a coupling
# :label: ex-flows-inverse
# **●●○ · 5 minutes · teaches: why the frozen half is frozen.** Given functions `s` and `t` and `x` of shape
# `(batch, D)`, $D$ even, return $z$ and $\log|\det\partial z/\partial x|$ of {eq}`eq-coupling`.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# What do s and t get in the forward direction, and do you know it?
# :::
#
# :::{admonition} Hint 2
# :class: dropdown
# Undo the last thing first. The log-determinant of an inverse is minus that of the map.
# :::

# %% tags=["exercise"]
def my_inverse(x, s, t):
    ...

check.ch04.inverse(my_inverse)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_inverse(x, s, t):
    a, b = x.chunk(2, 1)
    return torch.cat([a, (b - t(a)) * torch.exp(-s(a))], 1), -s(a).sum(1)

check.ch04.inverse(solved_inverse)

# %% [markdown]
# :::{exercise} Take turns
# :label: ex-flows-alternate
# **●●○ · 8 minutes · teaches: how layers become a flow.** Each of the `layers` is a function
# `layer(kept, moved)` that returns the new `moved` and $\sum_js_j$. Send `z`, of shape `(batch, D)`, through all of them.
# The first moves the second half given the first, the next the first half given the second, and so on. Return $x$, its
# halves in their places, and $\log|\det\partial x/\partial z|$.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# After every layer the halves change roles: a, b = b, a. What is left to do after an odd number of layers?
# :::

# %% tags=["exercise"]
def my_alternate(z, layers):
    ...

check.ch04.alternate(my_alternate)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_alternate(z, layers):
    halves, total = list(z.chunk(2, 1)), 0
    for k, layer in enumerate(layers):
        kept, moved = k % 2, 1 - k % 2
        halves[moved], log_det = layer(halves[kept], halves[moved])
        total = total + log_det
    return torch.cat(halves, 1), total

check.ch04.alternate(solved_alternate)

# %% [markdown]
# :::{exercise} Bits
# :label: ex-flows-bits
# **●●○ · 5 minutes · teaches: a density is not a probability.** `log_q` is $\log q_X$ in nats of dequantized pictures
# in $[0,1)^D$ with $2^b$ grey values. Return $-\log_2$ of the probability that $q_X$ gives to a cell of side $2^{-b}$,
# divided by $D$. (The density may be taken as constant in the cell.)
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# What is the volume of the cell? And how many nats is a bit?
# :::

# %% tags=["exercise"]
def my_bits(log_q, b, D):
    ...

check.ch04.bits(my_bits)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_bits(log_q, b, D):
    return -log_q / (D * math.log(2)) + b

check.ch04.bits(solved_bits)

# %% [markdown]
# :::{exercise} Warm and cold
# :label: ex-flows-temperature
# **●●● · 8 minutes · teaches: typical is not the same as likely.** Let $q_Z$ be the density of $\mathcal N(0,1)^D$. Return
# $\mathbb E\log q_Z(z)/D$ for samples $z\sim\mathcal N(0,T^2)^D$ at temperature $T$. Then compare $T=0.7$ with $T=1$ at
# $D=784$: which factor in $q_Z$ separates them?
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# log q_Z is a sum of D terms with one mean. Which moment of z does it need?
# :::

# %% tags=["exercise"]
def my_mean_log_density(T):
    ...

check.ch04.mean_log_density(my_mean_log_density)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_mean_log_density(T):
    return -0.5 * math.log(2 * math.pi) - 0.5 * T**2

check.ch04.mean_log_density(solved_mean_log_density)

# %% [markdown]
# ## What to read next
#
# - {cite:t}`papamakarios2021` review the whole field; {cite:t}`dinh2017` is where couplings and scales come from.
# - {cite:t}`theis2016` on likelihood against samples should be read by everyone who reports either.
# - {cite:t}`durkan2019` are the splines, {cite:t}`cornish2020` the limits of diffeomorphisms.
# - In lattice field theory, flows propose configurations, and the exact density corrects them: chapter 10.
# - Chapter 05 takes the Jacobian of these flows, and makes a metric of it.

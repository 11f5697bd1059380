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
# # The induced metric
#
# By the end of this chapter we have proved and measured the two theorems at the heart of the talk: a gradient step in the
# base space of a flow is a step in data space, multiplied by a metric; and this metric closes the ways that leave the
# data. We also find out what the second one needs, from a perfect flow that breaks it. It takes about 90 minutes; it runs
# in under a minute on two cores. We need the flows of chapter 04 and the idea of a Riemannian metric.
#
# Where we are: [the map of the talk](00_start_here.ipynb#map).

# %% tags=["parameters"]
profile = "laptop"

# %%
import copy
import math

import torch
from IPython.display import display
from torch import nn

from gdl_lab import claims, figures, recipes, runtime, training
from gdl_lab.claims.spectra import digits, noise_floor
from gdl_lab.claims.tubes import across_the_arc, ideal, landscape, length, pulled_back_metric
from gdl_lab.claims.tubes import twisted
from gdl_lab.exercises import check
from gdl_lab.flows import RealNVP
from gdl_lab.manifold import Arc, Moons
from gdl_lab.metric import inverse_metric, step_remainder
from gdl_lab.widgets import MetricExplorer

run = runtime.start(profile)

# %% [markdown]
# (gradient-ascent)=
# ## Gradient ascent in base space
#
# :::{admonition} The talk · “Gradient ascent in base space”
# :class: talk
# Gradient ascent in $Z$ is given by
# $x^{(t+1)}=x^{(t)}+\lambda\,\gamma^{-1}(x^{(t)})\,\frac{\partial f_k}{\partial x}(x^{(t)})+\mathcal O(\lambda^2)$, where
# $\gamma^{-1}(x)=\bigl(\frac{\partial g}{\partial z}\frac{\partial g}{\partial z}^{\mathsf T}\bigr)(g^{-1}(x))$ is the
# inverse of the induced metric on $X$ from $Z$ under the flow $g$.
# :::
#
# To climb a function $f$ we need a vector, and its differential $\partial f$ is a covector. A metric turns one into the
# other: the direction of steepest ascent gains most *per unit length*. Whoever writes $x+\lambda\,\partial f$ has chosen
# the Euclidean length of pixels. A flow $g:Z\to X$ offers another.
#
# :::{prf:definition} Induced metric
# :label: def-induced-metric
# The **induced metric** on $X$ is the pull-back of the Euclidean metric of $Z$ by $g^{-1}$. Lengths of $X$ are measured
# in $Z$:
#
# $$
# \gamma=(g^{-1})^*\delta_Z=\Bigl(\frac{\partial z}{\partial x}\Bigr)^{\!\mathsf T}\frac{\partial z}{\partial x},
# \qquad\gamma^{-1}=JJ^{\mathsf T},\quad J=\frac{\partial g}{\partial z}\Big|_{z=g^{-1}(x)} .
# $$ (eq-induced-metric)
# :::
#
# :::{prf:theorem} The step in Z
# :label: thm-step-in-z
# Let $g$ and $f$ be twice differentiable, $x=g(z)$ and $w=\partial(f\circ g)/\partial z$. Then
#
# $$
# \begin{aligned}
# g(z+\lambda w)&=x+\lambda\,\gamma^{-1}(x)\,\frac{\partial f}{\partial x}(x)+R,\\
# |R|&\le\frac{\lambda^2}2\,|w|^2\sup_{0\le s\le1}\bigl\|D^2g(z+s\lambda w)\bigr\| .
# \end{aligned}
# $$ (eq-step-in-z)
# :::
#
# :::{prf:proof}
# By the chain rule $w=J^{\mathsf T}\partial f$. Taylor's formula gives $g(z+\lambda w)=x+\lambda Jw+R$ with
# $R=\lambda^2\int_0^1(1-s)\,D^2g(z+s\lambda w)(w,w)\,\mathrm ds$, and $Jw=JJ^{\mathsf T}\partial f$.
# :::
#
# So $\gamma^{-1}\partial f$ is the gradient of $f$ in the metric $\gamma$, and gradient ascent in $Z$ is Riemannian
# gradient ascent in $X$. We train the arc of chapter 04, thickness $\delta=0.1$, and look at the metric on it.

# %%
arc, delta = Arc(), 0.1
points, _ = arc.draw(20_000, delta=delta, generator=run.generator())
flow = RealNVP(2, layers=8, hidden=(64, 64))
training.fit(flow, (points.float(),), lambda q, x: -q(x).mean(), batch_size=512, lr=1e-2,
             schedule=training.warm_cosine, clip=5.0, steps=run.pick(smoke=200, laptop=1000))
flow = flow.double()
print(f"KL(p‖q) = {across_the_arc(flow, delta).divergence:.3f} nats")

# %%
places = arc.place(torch.linspace(-2.2, 2.2, 9, dtype=torch.float64))
z = flow.pull(places).detach()
J = flow.jacobian(z).detach()
gamma_inv = J @ J.mT
df = torch.func.grad(lambda x: landscape(x).sum())(places)
step = (gamma_inv @ df[:, :, None])[:, :, 0]
unit = {"∂f": df, "γ⁻¹∂f": step}
unit = {name: 0.35 * v / v.norm(dim=1, keepdim=True) for name, v in unit.items()}
ratio = torch.linalg.cond(J)
display(figures.ellipses(
    {"X": (places, gamma_inv)}, points={"X": points[:600]}, arrows={"X": unit},
    size=4, scale=0.1,
    caption="Ellipses: images of small circles of Z. Arrows, all drawn equally long: ∂f points "
    "where it likes, γ⁻¹∂f along the data.",
    alt=f"Nine ellipses along the arc, {ratio.min():.0f} to {ratio.max():.0f} times as long as "
    "wide, and arrows that follow them.",
), claims.ch05.metric_is_the_pull_back())

# %% [markdown]
# The theorem says how the rest behaves: on logarithmic scales, a line of slope 2.

# %%
some = flow.pull(points[:200]).detach()
lams = torch.logspace(-1, -7, 13)
single, rest = copy.deepcopy(flow).float(), {}
for name, q in {"with γ⁻¹": flow, "the same in float32": single}.items():
    left = step_remainder(q, landscape, some.to(q.anchor), lams.tolist())
    rest[name] = (lams, left.median(1).values)
x, w = flow.push(some).detach(), torch.func.grad(lambda z: landscape(flow.push(z)).sum())(some)
df = torch.func.grad(lambda x: landscape(x).sum())(x)
moved = [flow.push(some + lam * w).detach() - x - lam * df for lam in lams]
rest["without γ⁻¹"] = (lams, [float(v.norm(dim=1).median()) for v in moved])
display(figures.curves(
    rest, log="xy", xlabel="λ", ylabel="|g(z + λw) − x − λγ⁻¹∂f|",
    caption="What is left over after the first order. In float32 it drowns in rounding; "
    "without γ⁻¹ the first order itself is left over.",
    alt="A line of slope 2 from λ = 0.1 to 1e-7 in float64; in float32 the curve leaves it "
    "near λ = 1e-3 and stays flat; without γ⁻¹ a line of slope 1.",
), claims.ch05.step_is_second_order(flow=flow, x=points[:200]))

# %% [markdown]
# In high dimension nobody forms $\gamma^{-1}$: $\gamma^{-1}v=J(J^{\mathsf T}v)$ is one backward and one forward
# derivative. Where the matrix is wanted, `flow.jacobian` multiplies the triangular Jacobians of the layers; at $D=64$
# that is about 160 times as fast as the default call of `torch.autograd.functional.jacobian`, and 2.4 times the best.
#
# ### A flat geometry
#
# As a pull-back of a flat metric, $\gamma$ is flat. Its geodesics are the images of straight lines of $Z$, the distance
# of two points is $d_\gamma(x,x')=|z-z'|$, and its volume is $\sqrt{\det\gamma}\,\mathrm dx$. So the change of variables
# of chapter 04 says: *in its own geometry, every flow with a normal base is a Gaussian,*
#
# $$
# q_X(x)\,\mathrm dx=(2\pi)^{-D/2}\,e^{-d_\gamma(x,\,g(0))^2/2}\;\sqrt{\det\gamma}\,\mathrm dx .
# $$ (eq-gaussian-in-gamma)
#
# The claims below get $\gamma$ by autograd of the *inverse* flow, from it the Christoffel symbols and Riemann's tensor,
# and do not know of $Z$.

# %%
ends = flow.pull(arc.place(torch.tensor([-1.9, 1.9], dtype=torch.float64))).detach()
s = torch.linspace(0, 1, 101, dtype=torch.float64)[:, None]
ways = {"geodesic": flow.push(ends[0] + s * (ends[1] - ends[0])).detach()}
a, b = ways["geodesic"][[0, -1]]
ways["straight in X"] = a + s * (b - a)
gamma, short = pulled_back_metric(flow), float((ends[1] - ends[0]).norm())
far = length(gamma, lambda s: a + s * (b - a))
display(figures.ellipses(
    {"X": (places, gamma_inv)}, points={"X": points[:600]}, lines={"X": ways},
    size=4, scale=0.1,
    caption=f"The shortest way in γ has the length |z − z′| = {short:.1f}; the straight line "
    f"of X has {far:.0f}.",
    alt=f"A geodesic that follows the arc, of length {short:.1f}; a chord of length {far:.0f}.",
), claims.ch05.metric_is_flat(), claims.ch05.straight_lines_are_geodesics())

# %% [markdown]
# (data-coordinates)=
# ## Data coordinates
#
# :::{admonition} The talk · “Data coordinates”
# :class: talk
# Assume that data lies in a region $S=\operatorname{supp}(p)$ around the data manifold $D$, of thickness $\delta\ll1$ in
# data coordinates $x^\alpha$. Define normal coordinates $y^\mu$ in a neighborhood of $D$.
# :::
#
# (Our noise is normal with deviation $\delta$, in place of a box. $D$ is also the dimension of $X$, and $d$ that of the
# manifold; the talk writes $N_X$ and $N_D$.) At a point of the manifold, normal coordinates have as axes $d$ vectors of
# its tangent space $T$ and $D-d$ vectors $n_i$ that are orthogonal to $T$ and to each other *in* $\gamma$.
# That fixes the directions of the $n_i$, and not their lengths. Two choices offer themselves:
#
# - **unit vectors**: $|n_i|=1$;
# - **conormals**: $\nu_i(n_i)=1$, where $\nu_i$ is a covector that vanishes on $T$, of Euclidean length 1. Then
#   $y_{\perp i}$ is the Euclidean distance to the manifold, however much $n_i$ leans.

# %%
claims.ch05.conormals_measure_distance()

# %% [markdown]
# (ascent-in-normal-coordinates)=
# ## Gradient ascent in y-coordinates
#
# :::{admonition} The talk · “Gradient ascent in y-coordinates”
# :class: talk
# By choosing $\{n_i\}$ orthogonal wrt $\gamma$, the inverse induced metric takes the form
# $\gamma^{\mu\nu}=\operatorname{diag}(\gamma_D^{-1},\gamma_{\perp1}^{-1},\dots)$. For $\gamma_{\perp i}^{-1}\to0$ and
# $\partial x/\partial y_\perp$ bounded, the update step points along the data manifold: counterfactuals, not adversarial
# examples!
# :::
#
# :::{prf:proposition} Block form
# :label: thm-block-form
# Let $\nu_i$ be orthonormal conormals with $\nu_i^{\mathsf T}\gamma^{-1}\nu_j=0$ for $i\ne j$, and let $T$ also stand for
# an orthonormal basis of the tangent space. With $n_i=\gamma^{-1}\nu_i/\nu_i^{\mathsf T}\gamma^{-1}\nu_i$ and
# $E=\partial x/\partial y=(T,n_1,n_2,\dots)$,
#
# $$
# \begin{gathered}
# \gamma^{-1}=E\operatorname{diag}(\gamma_D^{-1},\gamma_{\perp1}^{-1},\dots)E^{\mathsf T},\\
# \gamma_{\perp i}^{-1}=\nu_i^{\mathsf T}\gamma^{-1}\nu_i,\qquad
# \det\gamma^{-1}=\det\gamma_D^{-1}\prod_i\gamma_{\perp i}^{-1}.
# \end{gathered}
# $$ (eq-block-form)
# :::
#
# :::{prf:proof}
# $\gamma(n_i,t)\propto\nu_i(t)=0$ for $t\in T$ and $\gamma(n_i,n_j)=0$ for $i\ne j$, so $E^{\mathsf T}\gamma E$ is block
# diagonal, with $\gamma(n_i,n_i)=1/\nu_i^{\mathsf T}\gamma^{-1}\nu_i$. Invert. Since $n_i=\nu_i+{}$a tangent vector,
# $\det E=\pm1$.
# :::
#
# Which lengths? We load flows that were trained on arcs of four thicknesses, and try both.

# %%
arcs = {d: recipes.load(f"arc-{d:g}").double() for d in (0.3, 0.1, 0.03, 0.01)}
seen = {d: across_the_arc(q, d) for d, q in arcs.items()}
figures.table(
    ["δ", "KL(p‖q)", "γ⊥⁻¹, unit vectors", "γ⊥⁻¹, conormals", "|n|", "γ_D⁻¹",
     "∂f, degrees", "γ⁻¹∂f, degrees"],
    [[f"{d:g}", f"{m.divergence:.3f}", m.unit, m.normal, m.lean, m.tangent, m.gradient, m.step]
     for d, m in seen.items()],
    caption="Medians over data. The last two columns are angles with the arc.",
)

# %% [markdown]
# The obvious choice does not scale! Why not? Take an ellipse with half axes 1 and $\delta$, tilted by a small angle
# $\theta$. Then $n=\nu+\frac{\theta}{\theta^2+\delta^2}\,t$ with a unit tangent $t$. A tilt of $\delta^2$ turns $n$ by
# 45°; a tilt of $\delta$ lays it flat, with $|n|\approx1/2\delta$. As a unit vector, $n$ is nearly tangent then, and
# $\gamma$ on it says nothing about the way off the data. With conormals, $\gamma_\perp^{-1}=\theta^2+\delta^2$ has merely
# doubled.
#
# So $\partial x/\partial y_\perp=n$ is *not* bounded for trained flows, though the last column is as it should be. The
# hypothesis is not needed:
#
# :::{prf:corollary} No way off the data
# :label: thm-sideways
# $\;|\nu^{\mathsf T}\gamma^{-1}\partial f|\le\sqrt{\gamma_\perp^{-1}}\;\sqrt{\partial f^{\mathsf T}\gamma^{-1}\partial f}\;$
# for $\gamma_\perp^{-1}=\nu^{\mathsf T}\gamma^{-1}\nu$ and every conormal $\nu$.
# :::
#
# :::{prf:proof}
# The left side is $|(J^{\mathsf T}\nu)\cdot(J^{\mathsf T}\partial f)|$: Cauchy and Schwarz.
# :::
#
# Under the second root stands the rate at which $f$ grows. So at a given gain of $f$, what leaves the data is at most
# $\sqrt{\gamma_\perp^{-1}}\sim\delta$.

# %%
spots = places[::2]
display(figures.ellipses(
    {f"δ = {d:g}": (spots, inverse_metric(q, q.pull(spots).detach())) for d, q in arcs.items()},
    points={f"δ = {d:g}": arc.draw(600, delta=d, generator=run.generator(1))[0] for d in arcs},
    size=2.2, caption="The same five circles of Z in four flows: ever thinner, hardly shorter.",
    alt="Ellipses on arcs of thickness 0.3, 0.1, 0.03 and 0.01 that become needles.",
), claims.ch05.metric_is_block_diagonal(), claims.ch05.step_follows_the_data(flows=arcs))

# %% [markdown]
# (induced-metric)=
# ## The induced metric for well-trained generative models
#
# :::{admonition} The talk · “Theorem (Diffeomorphic Counterfactuals)”
# :class: talk
# For $\epsilon\in(0,1)$ and $g$ a normalizing flow with Kullback–Leibler divergence $\mathrm{KL}(p,q)<\epsilon$,
# $\gamma_{\perp_i}^{-1}\to0$ as $\delta\to0$ for all $i$. For well-trained generative models, the gradient ascent update
# in $Z$ stays on the data manifold.
# :::
#
# This is about a family: data $p_\delta$, flows with densities $q_\delta$, one $\epsilon$ for all. The idea of the proof
# is that a thin tube of mass 1 is dense, and a flow makes density by squeezing volume. How far does that carry?
#
# :::{prf:theorem} What a bounded divergence gives
# :label: thm-volume
# Let the entropy of the data be $h(p_\delta)\le(D-d)\log\delta+h_1$, as in tubes of thickness $\delta$, and let
# $\mathrm{KL}(p_\delta\|q_\delta)\le\epsilon$ for flows with a normal base. Then
#
# $$
# \mathbb E_{p_\delta}\,\tfrac12\log\det\gamma^{-1}\le(D-d)\log\delta+C,\qquad
# C=h_1+\epsilon-\tfrac D2\log2\pi .
# $$ (eq-volume)
# :::
#
# :::{prf:proof}
# $\log q_X(x)=\log q_Z(z)-\frac12\log\det\gamma^{-1}$ with $\log q_Z\le-\frac D2\log2\pi$, and
# $-\mathbb E\log q_X=\mathrm{KL}+h$ from chapter 04.
# :::
#
# With {eq}`eq-block-form`, $\;\mathbb E\bigl[\log\det\gamma_D^{-1}+\sum_i\log\gamma_{\perp i}^{-1}\bigr]\le
# 2(D-d)\log\delta+2C$. **If the flow does not squeeze along the data**, $\mathbb E\log\det\gamma_D^{-1}\ge-c$, then
# $\gamma_\perp^{-1}$ falls like $\delta^2$ or faster, in the geometric mean over directions and data. For curves in the
# plane that is the talk's theorem, with a rate. What it does not give: each direction by itself, each point by itself
# (rare data may be modelled badly), and the *if*. We measure the parts.

# %%
thick = list(seen)
parts = {name: (thick, [read(m) for m in seen.values()]) for name, read in {
    "γ_D⁻¹": lambda m: m.tangent, "γ⊥⁻¹": lambda m: m.normal,
    "γ⊥⁻¹, unit vectors": lambda m: m.unit, "exp E log|det J|": lambda m: math.exp(m.volume),
}.items()}
display(figures.curves(
    parts, log="xy", markers=True, xlabel="thickness δ", ylabel="median over data",
    caption="Along the data little happens; across them γ⊥⁻¹ falls like δ², the volume like δ.",
    alt="; ".join(f"{name} from {v[0]:.2g} to {v[-1]:.2g}" for name, (_, v) in parts.items()),
), *(claim(flows=arcs) for claim in (
    claims.ch05.normal_part_vanishes, claims.ch05.tangential_part_stays,
    claims.ch05.volume_shrinks_like_the_tube)))

# %% [markdown]
# ### A perfect flow that breaks it
#
# Is the *if* needed? Here is a flow whose density is *exactly* that of the arc, with $\Phi$ the distribution function of
# $\mathcal N(0,1)$:
#
# $$
# g(z)=(1+\delta z_2)\begin{pmatrix}\cos t\\\sin t\end{pmatrix},\qquad t=\tfrac{3\pi}2\bigl(\Phi(z_1)-\tfrac12\bigr),
# \qquad\mathrm{KL}=0,\quad\gamma_\perp^{-1}=\delta^2 .
# $$ (eq-perfect-flow)
#
# Now twist $Z$ first: turn $z$ by the angle $\kappa|z|^2/2$. The Gaussian does not notice, so $q_X$ stays as it is and
# $\mathrm{KL}=0$ for every $\kappa$. But the twist shears, and on the curve
# $\gamma_\perp^{-1}=\delta^2(1+\kappa^2|z|^4)$. With $\kappa=1/\delta$, nothing falls.

# %%
thin = {f"κ = {k}": twisted(ideal(0.03), k) for k in (0, 5, 33)}
display(figures.ellipses(
    {name: (spots, inverse_metric(q, q.pull(spots))) for name, q in thin.items()}, size=2.8,
    points={name: q.push(torch.randn(600, 2, dtype=torch.float64, generator=run.generator(2)))
            for name, q in thin.items()},
    caption="Three flows with one density, δ = 0.03. On the curve, the needles turn away.",
    alt="Needles along the arc for κ = 0; for κ = 33 those near its ends stick out.",
), claims.ch05.divergence_is_not_enough())

# %% [markdown]
# No likelihood can tell these flows apart: $\gamma$ is a property of $g$, not of $q_X$. In return, $\gamma_D^{-1}$ falls
# like $\delta^2$, as {eq}`eq-volume` demands, and $|n|$ grows. (Off the middle of the tube the needles turn back, and most
# steps still run along the data.) What keeps *trained* flows from such twists is that networks are smooth: an observation,
# and an assumption of the theorem.
#
# There is a second caveat. At $\delta=0$ data have no density and $\mathrm{KL}=\infty$ for every flow, so the hypothesis
# cannot hold; and for $\delta\to0$ a bounded divergence asks of $g^{-1}$ to be ever steeper, with an ever less stable
# likelihood {cite}`loaizaganem2024`.
#
# ### The helix
#
# The first example of the theory {cite}`dombrowski2023` is the curve $(\sin t,\cos t,t)$, $|t|\le4$, with data *on* it:
# $\delta=0$, just outside the hypothesis. We repeat it with $\delta=0.02$, where the two small singular values can be
# compared with something.

# %%
needle, both = claims.ch05.helix_has_a_needle, {}
for d in (0.0, 0.02):
    both[d] = needle.outcome(flow=recipes.load(f"helix-{d:g}").double(), delta=d)
display(figures.table(
    ["δ", "s₁", "s₂", "s₃", "s₁/s₂", "|cos| with the tangent"],
    [[f"{d:g}", *(m.extra[k] for k in ("first", "second", "third")), m.value,
      f"{m.extra['aligned']:.5f}"] for d, m in both.items()],
    caption="Medians over data. With noise, the two small values are of the size of δ.",
), needle())

# %% [markdown]
# **Try it.** Drag the point along the arc and lower $\delta$. (1) Turn on both paths and go from one class to the other:
# which one leaves the data, and what says $\log q$ at its end? (2) Raise the step size until the path in $Z$ leaves the
# needle: that is the $\mathcal O(\lambda^2)$. (3) Take the flows of 60 steps. Where do their needles point?

# %%
short, half, steps = [], nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2)), 200
for d in arcs:
    q = RealNVP(2, layers=8, hidden=(24, 24))
    x, t = arc.draw(5000, delta=d, generator=run.generator(3))
    training.fit(q, (x.float(),), lambda q, x: -q(x).mean(), steps=60, batch_size=512, lr=5e-3)
    short.append((d, q))
training.fit(half, (x.float(), (t > 0).long()), lambda f, x, y: nn.functional.cross_entropy(
    f(x), y), steps=steps, batch_size=256, lr=1e-2)
clouds = [arc.draw(300, delta=d, generator=run.generator(4))[0] for d in arcs]
MetricExplorer(
    {"trained": [(d, recipes.load(f"arc-{d:g}")) for d in arcs], "60 steps": short},
    arc.place(torch.linspace(-2.35, 2.35, 200)), clouds, half, ("lower half", "upper half"),
    index=1, point=[-0.5, -0.87],
)

# %% [markdown]
# (jacobian-spectrum)=
# ## Eigenvalue spectrum of Jacobian
#
# :::{admonition} The talk · “Eigenvalue spectrum of Jacobian”
# :class: talk
# The slide is a plot: the singular values of $\partial g/\partial z$ of a trained flow, which drop sharply.
# :::
#
# Which manifold, and how thick, if nobody tells? We ask the Glow of chapter 04, at digits. Pixels with $2^b$ levels carry
# uniform noise of width $2^{-b}$ and deviation $\sigma=2^{-b}/\sqrt{12}$: *this* is the $\delta$ of pictures. We can say
# more. The flow to noise alone is $x=2^{-b}\Phi(z)$ in each pixel, so its singular values are $2^{-b}\varphi(z)$ for
# normal $z$, with $\varphi=\Phi'$. Sorted, they are the line *noise*: no parameter is fitted.

# %%
glow = recipes.load("digits-glow")
x = digits(glow, run.pick(smoke=1, laptop=3))
spectra, first = [], []
for one in x:
    z = glow.pull(one[None]).detach()
    U, s, _ = torch.linalg.svd(glow.jacobian(z)[0].double())
    spectra.append(s)
    first.append(U[:, :5].T.reshape(5, 28, 28))
s, rank = torch.stack(spectra), torch.arange(1, 785)
sigma = 2**-4 / math.sqrt(12)
display(figures.curves(
    {**{f"digit {k + 1}": (rank, values) for k, values in enumerate(s)},
     "noise": (rank, noise_floor(784))},
    log="y", xlabel="rank", ylabel="singular value", references={"2σ": 2 * sigma},
    caption="The singular values of ∂g/∂z at digits, and those of the flow to mere noise.",
    alt=f"From {s[0, 0]:.1f} down to {s[0, 99]:.3f} at rank 100, and then along the curve of "
    f"the noise, {s[0, 399]:.3f} at rank 400.",
), claims.ch05.spectrum_drops(s=s), claims.ch05.noise_makes_the_floor(s=s))

# %%
rows = [picture for one, U in zip(x, first) for picture in (one[0], *U)]
figures.images(
    rows, ["x", *(f"direction {k}" for k in range(1, 6))] * len(x), columns=6, size=1.2,
    signed=[False, *[True] * 5] * len(x),
    caption="Digits, and the five directions in which they change most per step in Z.",
    alt="Digits with five signed pictures each: strokes that move, bend, and grow.",
)

# %% [markdown]
# There is no sharp edge: signal goes over into noise between the ranks 50 and 200. Above $2\sigma$ are 130 or so of 784
# directions, and 90 % of $\sum s^2$ are in about ten: chapter 03's estimators by neighbours said 10 to 16, its
# participation ratio 31, its 95 % of the variance 154. They count different things; here we count at one point.
#
# ## Break it
#
# The hypothesis $\mathrm{KL}<\epsilon$ goes when a flow is hardly trained, or when data have two pieces, which no
# diffeomorphism can give {cite}`cornish2020`.

# %%
few, two, moons = recipes.load("arc-short").double(), recipes.load("moons").double(), Moons()
x = two.sample(4000, generator=run.generator(5))
away = moons.distance(x)
on, off = x[away < 0.02], x[away > 0.2]  # the thickness is 0.05
x = torch.cat([on[on[:, 0].argsort()][:: len(on) // 8], off[:2]])
metrics = inverse_metric(two, two.pull(x).detach())
stretch = torch.linalg.eigvalsh(metrics)[:, 1].sqrt()
display(figures.ellipses(
    {"60 steps, δ = 0.03": (spots, inverse_metric(few, few.pull(spots).detach())),
     "moons, δ = 0.05": (x, metrics)}, scale=0.1,
    points={"60 steps, δ = 0.03": few.sample(600, generator=run.generator(6)),
            "moons, δ = 0.05": two.sample(2000, generator=run.generator(6))},
    caption="Samples and metric. Left: no needles yet. Right: on the bridge between the moons, "
    "two circles of the same size are stretched beyond the picture.",
    alt="Left, broad ellipses on a blurred arc. Right, needles on two moons, stretched by up "
    f"to {stretch[:-2].max():.1f}, and two on the bridge by {stretch[-2]:.0f} and "
    f"{stretch[-1]:.0f}.",
), claims.ch05.training_is_needed(trained=arcs[0.03]), claims.ch05.moons_have_a_bridge())

# %% [markdown]
# ## Exercises
#
# Replace the dots and run the cell; the checker answers ✓ or names the mistake. The solution is folded below each.
#
# :::{exercise} The metric
# :label: ex-metric-inverse
# **●○○ · 2 minutes · teaches: which indices are summed.** From Jacobians `J` of shape `(batch, D, D)`, with
# `J[b, i, j]` $=\partial x_i/\partial z_j$, return $\gamma^{-1}$.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# γ⁻¹ takes two covectors of X. `.mT` transposes the last two axes.
# :::

# %% tags=["exercise"]
def my_inverse_metric(J):
    ...

check.ch05.inverse_metric(my_inverse_metric)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_inverse_metric(J):
    return J @ J.mT

check.ch05.inverse_metric(solved_inverse_metric)

# %% [markdown]
# :::{exercise} One step
# :label: ex-metric-step
# **●●○ · 6 minutes · teaches: where the metric is taken.** Return $x+\lambda\gamma^{-1}(x)\,\partial f/\partial x(x)$ for
# points `x` of shape `(batch, D)`. You have the functions `gradient(x)`, `pull(x)` and `jacobian(z)`.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# `jacobian` wants base points. Which?
# :::
#
# :::{admonition} Hint 2
# :class: dropdown
# Covectors need a last axis of one for `@`: `df[:, :, None]`.
# :::

# %% tags=["exercise"]
def my_step(x, lam, gradient, pull, jacobian):
    ...

check.ch05.step(my_step)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_step(x, lam, gradient, pull, jacobian):
    J, df = jacobian(pull(x)), gradient(x)[:, :, None]
    return x + lam * (J @ (J.mT @ df))[:, :, 0]

check.ch05.step(solved_step)

# %% [markdown]
# :::{exercise} An exponent
# :label: ex-metric-slope
# **●○○ · 3 minutes · teaches: how an order is measured.** Remainders `r = (r₁, r₂)` belong to step sizes
# `lam = (λ₁, λ₂)`, and $r=c\lambda^p$ with unknown $c$. Return $p$.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# What is r₁/r₂?
# :::

# %% tags=["exercise"]
def my_slope(lam, r):
    ...

check.ch05.slope(my_slope)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_slope(lam, r):
    return math.log(r[0] / r[1]) / math.log(lam[0] / lam[1])

check.ch05.slope(solved_slope)

# %% [markdown]
# :::{exercise} No matrix
# :label: ex-metric-apply
# **●●○ · 8 minutes · teaches: forward and backward derivatives.** Return $\gamma^{-1}v=J(J^{\mathsf T}v)$ for a map `g`,
# base points `z` and covectors `v`, both of shape `(batch, D)`, with `torch.func.vjp` and `torch.func.jvp`.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Which of the two goes from X to Z?
# :::
#
# :::{admonition} Hint 2
# :class: dropdown
# `vjp(g, z)` returns g(z) and a function; that function returns a tuple. `jvp(g, (z,), (w,))` returns two tensors.
# :::

# %% tags=["exercise"]
def my_apply(g, z, v):
    ...

check.ch05.apply(my_apply)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_apply(g, z, v):
    (w,) = torch.func.vjp(g, z)[1](v)
    return torch.func.jvp(g, (z,), (w,))[1]

check.ch05.apply(solved_apply)

# %% [markdown]
# :::{exercise} Across
# :label: ex-metric-across
# **●●● · 8 minutes · teaches: vectors and covectors.** For hypersurfaces with the Euclidean normals `normal`, of shape
# `(batch, D)` and *any length*, return $\gamma_\perp^{-1}$ in the conormal normalisation, shape `(batch,)`. Then take the
# ellipse with half axes 1 and $\delta$, tilt it by an angle $\delta$, and compute by hand what both normalisations give
# (about $2\delta^2$, and about $\frac12$).
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# No n and no γ is needed: see {eq}`eq-block-form`.
# :::
#
# :::{admonition} Hint 2
# :class: dropdown
# νᵀγ⁻¹ν is quadratic in ν. What does a normal of length 2 do?
# :::

# %% tags=["exercise"]
def my_across(gamma_inv, normal):
    ...

check.ch05.across(my_across)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_across(gamma_inv, normal):
    nu = normal / normal.norm(dim=1, keepdim=True)
    return torch.einsum("bi,bij,bj->b", nu, gamma_inv, nu)

check.ch05.across(solved_across)

# %% [markdown]
# ## What to read next
#
# - {cite:t}`dombrowski2023` is the paper behind these slides, with both theorems and their proofs.
# - {cite:t}`loaizaganem2024` on what likelihood can and cannot do for data on manifolds; {cite:t}`cornish2020` on pieces.
# - {cite:t}`arvanitidis2018` for the metrics of models that are no diffeomorphisms; {cite:t}`amari1998` for natural gradients.
# - Chapter 06 climbs a classifier in both spaces, on digits, faces and crowds.

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
# # Counterfactuals
#
# By the end of this chapter we have climbed one classifier in two coordinate systems, by the same ten lines. In the
# pixels, a four becomes a nine for the network and for nobody else. In the base space of a flow, it becomes a nine. We
# measure the difference on curves, digits, faces and crowds: by the distance to the data, by the flow's density, by
# a second network, and by instruments that need no network. It takes about an hour; it runs in less than a minute on
# two cores. We need chapters 04 and 05: flows, and the step of {cite:t}`dombrowski2023`.
#
# Where we are: [the map of the talk](00_start_here.ipynb#map).

# %% tags=["parameters"]
profile = "laptop"

# %%
import math
import warnings

import torch
from IPython.display import display

from gdl_lab import claims, data, figures, metric, recipes, runtime, training
from gdl_lab.counterfactuals import ascend, explain, log_probability
from gdl_lab.data.crowds import count_people
from gdl_lab.data.faces import hair_colour, parameters
from gdl_lab.exercises import check
from gdl_lab.flows import dequantize
from gdl_lab.manifold import Arc
from gdl_lab.networks import ConvolutionalReader, FullyConnected
from gdl_lab.widgets import CounterfactualExplorer

run = runtime.start(profile)

# %% [markdown]
# ## One ascent, two coordinate systems
#
# A classifier gives logits $f_1(x),\dots,f_K(x)$, and $p_k$ by softmax. We want another answer of it, and climb the
# score $s(x)=\log p_k(x)$ of the class $k$ that we want. With $g:Z\to X$ a flow, the point may be written as $x$ or as
# $z$:
#
# $$
# x\leftarrow x+\lambda\,\frac{\partial s}{\partial x},\qquad\text{or}\qquad
# z\leftarrow z+\lambda\,\frac{\partial(s\circ g)}{\partial z},\quad x=g(z).
# $$ (eq-two-ascents)
#
# :::{prf:theorem} Diffeomorphic counterfactuals, chapter 05
# :label: thm-two-ascents
# In $X$, the step in $Z$ is $\lambda\gamma^{-1}\partial s/\partial x+\mathcal O(\lambda^2)$ with
# $\gamma^{-1}=(\partial g/\partial z)(\partial g/\partial z)^{\mathsf T}$. Let the divergence of the flow from data of
# thickness $\delta$ stay bounded as $\delta\to0$. If the flow does not squeeze along the data, then across them
# $\gamma^{-1}$ tends to zero, in the geometric mean over data and directions, and the step turns along them.
# :::
#
# In code there is one function. All that differs is what the gradient is taken with respect to.

# %%
def climb(score, p, decode, lr, steps, enough=0.99):
    path = []
    for _ in range(steps + 1):
        p = p.detach().requires_grad_()
        x = decode(p)
        s = score(x)
        path.append(x.detach())
        slope, = torch.autograd.grad(s.sum(), p)
        on = (s < math.log(enough)).view(-1, *[1] * (p.ndim - 1))  # who has arrived stays
        p = p + lr * slope * on
    return torch.stack(path)

# %% [markdown]
# (toy-example)=
# ## Toy example
#
# :::{admonition} The talk · “Toy example”
# :class: talk
# Data on a curve, two classes. Gradient ascent in $X$ leaves the curve; gradient ascent in $Z$ follows it.
# :::
#
# The data are three quarters of a circle with noise of the thickness $\delta=0.03$, one class at $t<0$, the other at
# $t>0$. The classifier has seen nothing else. The flow is that of chapter 05.

# %%
delta, arc = 0.03, Arc()
x, t = arc.draw(4000, delta=delta, generator=run.generator())
classifier = FullyConnected([2, 32, 32, 2])
training.fit(
    classifier, (x.float(), (t > 0).long()),
    lambda f, x, y: torch.nn.functional.cross_entropy(f(x), y), steps=300, batch_size=256,
    lr=1e-2, schedule=training.warm_cosine, progress=False,
)
classifier, flow = classifier.double(), recipes.load("arc-0.03").double()
score = log_probability(classifier, 1)
near = x[(t > -1) & (t < -0.3)][:60]
z = flow.pull(near).detach()
ours = climb(score, z, flow.push, lr=0.01, steps=20)
theirs = ascend(score, z, flow.push, lr=0.01, steps=20)
print(f"probability at the start: {float(score(near).detach().exp().median()):.1e}")
print(f"climb and ascend differ by {float((ours[-1] - theirs.end).abs().max()):.1e}")

# %% [markdown]
# At this $\lambda$ most starts arrive after a few steps: $f\circ g$ is steep. For a picture of the paths we take a
# smaller step. Drawn is the classifier's answer over the whole plane, of which it knows a thin line.

# %%
shown = near[:4]
e = explain(classifier, flow, shown, 1, optimizer="plain", lr=1e-3, lr_x=1e-3, steps=3000)
ends = arc.distance(torch.cat([e.counterfactual, e.adversarial])).view(2, -1) / delta
display(figures.explanation(
    e, caption="The talk's toy figure: one classifier, one code, one target probability. "
    "Ascent in Z runs along the arc until the classifier changes its mind; in X it leaves it.",
    alt="Four starts on an arc. Paths in Z end on the arc, at "
    f"{', '.join(f'{d:.1f}' for d in ends[0])} times its thickness; paths in X leave it and "
    f"end at {', '.join(f'{d:.0f}' for d in ends[1])} times its thickness.",
))
reach = 1.8
figures.plane(
    lambda x: classifier(x.double()).diff(dim=1)[:, 0], torch.cat([shown, x[:300]]).float(),
    torch.cat([torch.zeros(4), (t[:300] > 0)]).long(), box=(-reach, reach, -reach, reach),
    caption="Logit of t > 0 minus that of t < 0. Only on the data does it mean anything.",
    alt="A colour field over the plane that changes sign where the arc crosses the x₁ axis.",
)

# %% [markdown]
# By numbers, over 100 starts, the same $\lambda$ and the same end, $p\geq0.99$. The yardstick is exact: the distance to
# the arc in units of its thickness, whose median is 0.67 for Gaussian noise; `data` is that of these starts.

# %%
display(
    claims.ch06.z_stays_on_the_arc(), claims.ch06.x_leaves_the_arc(),
    claims.ch06.z_stays_on_the_helix(), claims.ch06.x_leaves_the_helix(),
)

# %% [markdown]
# Three remarks on how that was measured.
#
# - **Starts are picked.** Ascent is local. Along the arc, the classifier is nearly flat away from the border, and where it
#   has a slope, that may point to the *wrong* end. Then ascent in $Z$ runs along the arc and off its end, where there
#   are no data. That is no failure of the theorem, which speaks of one step; but it limits what the method can do. So
#   we start within a radian of the border and where the classifier rises towards it; the claim below tells what happens
#   further away.
# - **Plain ascent and Adam.** The theorem is about plain ascent. Adam, which papers use, divides by the size of each
#   component. In $Z$ it turns the step away from $\gamma^{-1}\partial s$; in $X$ its first step is of equal size in all
#   components.
# - **The helix.** How far ascent in $X$ gets away from it depends on the optimiser, on the classifier and on how far from the
#   border it starts: with other seeds than ours, our median is between 1.1 and 1.4 of its radius. The paper
#   {cite}`dombrowski2023`, with Adam and starts all along the helix, shows one of about 2.

# %%
display(claims.ch06.adam_leaves_the_arc_further(), claims.ch06.far_starts_run_off())

# %% [markdown]
# (adversarial-examples)=
# ## Adversarial examples
#
# :::{admonition} The talk · “Adversarial Examples”
# :class: talk
# Small perturbations can lead to misclassifications. Reason: the classifier is only trained on the data manifold.
# :::
#
# Now real digits. The *reader* is a convolutional network of six layers, the *second* another kind of network (a mixer of
# patches {cite}`tolstikhin2021`) with another seed; both have learned all ten digits of MNIST. The *flow* is
# `digits-whitened` of chapter 04. We take fours that both read as fours, and ask for a nine. Where MNIST is not on this
# machine, the flow draws the fours.

# %%
def to_be_explained(name, wanted, n, flow, *readers):
    if name == "mnist" and not data.on_this_machine("mnist"):
        pool = flow.sample(60 * n, temperature=0.8, generator=run.generator(1))
    else:
        test = data.load(name, "test", **({} if name == "mnist" else {"n": 40 * n}))
        bits = 4 if name == "mnist" else 5
        pool = dequantize(test.x[test.y == wanted], bits, run.generator(1))
    pool = pool.reshape(-1, *flow.shape)
    with torch.no_grad():
        said = [read(pool) for read in readers]
    right = [s.argmax(1) == wanted if s.ndim == 2 else (s - wanted).abs() < 0.75 for s in said]
    return pool[right[0] & right[1]][:n]

n = run.pick(smoke=16, laptop=240)
reader, second = recipes.load("digits-reader"), recipes.load("digits-second")
digit_flow = recipes.load("digits-whitened")
fours = to_be_explained("mnist", 4, n, digit_flow, reader, second)
def quietly(*args, **options):
    with warnings.catch_warnings(action="ignore"):  # who does not arrive is in the tables
        return explain(*args, **options)

e = quietly(reader, digit_flow, fours, 9, lr=0.05, lr_x=0.005, steps=300)
figures.explanation(e, shape=(28, 28), size=1.2)

# %%
display(claims.ch06.attack_is_small(e=e), claims.ch06.second_reader_rejects(e=e, second=second))

# %% [markdown]
# Look at the fourth column: it is a four, and the network is sure that it is a nine. The change, in the fifth, has no
# shape; on the black one sees it as a grain, fainter where the four was near to a nine to begin with. (A still fainter one,
# in all pictures, is the noise between the grey levels that the flow needs, chapter 04.)
#
# Is the network bad? On test digits it is hardly ever wrong (its card says how rarely). It was never asked about such
# pictures, and neither was the second one, which answers otherwise: the two agree on the data, and off the data each
# extrapolates by itself.
#
# (counterfactuals)=
# ## Counterfactuals
#
# :::{admonition} The talk · “Counterfactual explanations”
# :class: talk
# *Counterfactual of a sample*: data point close to the original but with different classification. The difference reveals
# the features which led to the classification. Normalizing flows can be used to optimise along the data manifold.
# :::
#
# The second column above: most fours close at the top and become nines. Not all: one or the other breaks, or gets a
# second loop like an eight. The difference says what makes a nine for this network, and one could have guessed it, which
# is the best that can be said of an explanation. Three judges are asked. The flow is the least
# independent of them, since it made the pictures; the nearest training picture is the strictest.

# %%
display(
    claims.ch06.second_reader_accepts(e=e, second=second),
    claims.ch06.density_tells_them_apart(e=e), claims.ch06.nearest_digit(e=e),
)

# %% [markdown]
# The second reader accepts four of five. A good reader says “nine” as soon as the border is crossed, with a stroke that is
# just closed; some of these are fours for others, and many have a four for their nearest picture. What does plain ascent
# do, the iteration of the theorem? And threes on their way to eight?

# %%
some, most = run.pick(smoke=(8, 60), laptop=(48, 300))
threes = to_be_explained("mnist", 3, some, digit_flow, reader, second)
plain = {"lr": 0.1, "lr_x": 0.05, "optimizer": "plain", "steps": most}
found, rows = {
    "4 → 9, Adam": e,
    "4 → 9, plain": quietly(reader, digit_flow, fours[:some], 9, **plain),
    "3 → 8, Adam": quietly(reader, digit_flow, threes, 8, lr=0.05, lr_x=0.005, steps=300),
}, []
for name, one in found.items():
    for k, (where, path) in enumerate((("Z", one.in_z), ("X", one.in_x))):
        with torch.no_grad():
            agrees = (second(path.end).argmax(1) == one.target).double().mean()
        largest = one.difference[k].flatten(1).abs().amax(1)
        shares = path.reached.double().mean(), path.steps.double().median(), agrees
        medians = (one.log_q[k + 1] / 784).median(), largest.median()
        rows.append([name, len(one.original), where, *map(float, (*shares, *medians))])
figures.table(
    ["", "how many", "ascent in", "arrived", "steps", "second agrees", "log q/D", "largest |Δx|"],
    rows, caption="Shares and medians.",
)

# %%
claims.ch06.threes_become_eights(e=found["3 → 8, Adam"], second=second)

# %% [markdown]
# In $Z$, the second reader makes little difference between plain ascent and Adam; in $X$, plain ascent concentrates on few
# pixels, and a larger change of them is seen. Threes are harder: two gaps have to be closed, and many stop at a figure that
# is an eight to one network only. There the ascent in $Z$ has itself left what digits are, within what the flow believes in.
# A counterfactual is as good as its flow.
#
# **Try it.** Below, one slider moves along both paths. (1) At equal $p$, whose picture has changed? Magnify the change in
# $X$: can you tell the target from it? (2) Watch $\log q/D$ while you slide. (3) Compare plain ascent and Adam, each with
# the shorter and the longer step: which of the four changes in $X$ would you notice, and what do long steps cost in $Z$?

# %%
CounterfactualExplorer(
    reader, digit_flow, fours[:2].clamp(0, 1), {"nine": 9, "seven": 7}, ("first", "second"),
    shape=(28, 28),
    step_sizes={"plain": [(0.1, 0.05), (0.4, 0.2)], "adam": [(0.05, 0.005), (0.2, 0.02)]},
    steps=run.pick(smoke=60, laptop=200),
)

# %% [markdown]
# (celeba)=
# ## Blonde or not
#
# :::{admonition} The talk · “Diffeomorphic Counterfactuals with CelebA”
# :class: talk
# Classifier: binary CNN trained on *blonde / not blonde* (test accuracy 94 %). Flow: Glow {cite}`kingma2018`. Task: change
# the classification from *not blonde* to *blonde*.
# :::
#
# CelebA may not be passed on, so our faces are drawn, by a function of 24 traits (who has CelebA trains on it with
# `gdl-lab train celeba-glow`). It buys something: the hair colour of *any* picture can be measured, and we know what
# “really blonde” means. The label is a judgement by eye with an error that makes 94 % the best anyone can do. Our reader
# was trained as most networks are, until it is sure of itself: it knows nearly all of its training pictures by heart, with
# the errors in their labels, and is right about 92 % of new ones.

# %%
face_reader, face_second = recipes.load("faces-reader"), recipes.load("faces-second")
face_flow = recipes.load("faces")
brown = to_be_explained("faces", 0, run.pick(smoke=4, laptop=12), face_flow, face_reader, face_second)
blonde = quietly(face_reader, face_flow, brown, 1, lr=0.01, lr_x=0.002, steps=300)
display(figures.explanation(blonde, shape=(3, 32, 32), size=1.3))
display(
    claims.ch06.blonde_hair_is_blonde(e=blonde), claims.ch06.attack_on_faces_is_small(e=blonde),
    claims.ch06.reader_of_faces_is_fooled(e=blonde, second=face_second),
)

# %% [markdown]
# What does one see? In $Z$ the hair turns blonde: all of it, whatever its length, and with its strands. Mostly that, but
# not only: where the hair was black, the skin has become lighter too, and here and there the wall has changed. The flow has
# not learned that these traits are independent, and a gradient has no reason to keep still what costs nothing. In $X$ most
# faces look untouched, with brown hair of which the reader is sure that it is blonde. Where the way is furthest, as from
# black hair, a faint grain can be made out on the smooth wall, and nothing that were blonde.
#
# Are all readers fooled that easily? The second one was stopped where the validation was best, so it is only as sure as the
# labels deserve. We are content with $p\geq0.5$ from it.

# %%
calm = quietly(face_second, face_flow, brown[:4], 1, confidence=0.5, lr=0.01, lr_x=0.002)
largest = [one.difference[1, :4].abs().amax(1).median() for one in (blonde, calm)]
print("largest |Δx|, medians of four: {:.3f}; of the second reader: {:.3f}".format(*largest))
figures.explanation(calm, shape=(3, 32, 32), size=1.3)

# %% [markdown]
# For less, it takes several times as much where it starts far away, and one sees it. Off the data nothing holds a
# network's slope down but its training, and to learn wrong labels by heart takes a steep one. Another training makes
# attacks more visible; it does not make them impossible. Nor does it make every counterfactual good: in the first row the
# ascent in $Z$ has turned the wall white and left the hair black, and this reader, just, says “blonde”.
#
# (regression)=
# ## How many people?
#
# :::{admonition} The talk · “Diffeomorphic Counterfactuals for regression”
# :class: talk
# Count the people in pictures of a mall. Flow: Glow. Optimise for a low, and for a high number of people.
# :::
#
# Nothing was special about classes. For a regressor $r$ we climb $-\tfrac12(r(x)-y)^2$. The crowds are drawn too, so that
# we may count by matched filters, without a network.

# %%
crowd_reader, crowd_second = recipes.load("crowds-reader"), recipes.load("crowds-second")
crowd_flow, (few, most) = recipes.load("crowds"), run.pick(smoke=(2, 40), laptop=(4, 200))
found, rows = {}, []
for name, start, target in (("few", 10.0, 2.0), ("many", 4.0, 8.0), ("too many", 2.0, 10.0)):
    x = to_be_explained("crowds", start, few, crowd_flow, crowd_reader, crowd_second)
    found[name] = quietly(
        crowd_reader, crowd_flow, x, target, tol=0.25, lr=0.01,
        lr_x=0.005 if name == "few" else 0.002, steps=most,  # less does not get there
    )
    ends = {"x": x, "Z": found[name].counterfactual, "X": found[name].adversarial}
    for where, end in ends.items():
        with torch.no_grad():
            said = [read(end).mean() for read in (crowd_reader, crowd_second)]
        said.append(count_people(end.clamp(0, 1)).double().mean())
        rows.append([name, where, *map(float, (*said, end.min(), end.max()))])
display(*(figures.explanation(one, size=1.3) for one in found.values()))
figures.table(
    ["", "", "reader", "second reader", "counted", "least value", "largest"], rows,
    caption="How many people there are (means), and the range of pixel values.",
)

# %%
claims.ch06.counts_follow_the_target(few=found["few"], many=found["many"])

# %% [markdown]
# Ascent in $X$ leaves everybody where they are, under a grain, and the reader counts what we want. To *few*, that takes a
# strong grain, and a longer step to get there at all; pictures so far from the data have a $\log q$ that is no number to
# take seriously. Ascent in $Z$ to *few* empties the hall; look closely, and some have not left but faded, to a pale shadow
# that is nobody for the reader and hardly anybody for us.
#
# To *many*, look before you read the table. The reader says eight, the second reader and the counter nearly agree, and
# hardly anybody has come in! Those who were there have grown, and are darker than any coat can be, with values below 0;
# here and there stands a pale newcomer. Our counter lays silhouettes on them, and a person drawn half as large again counts
# as two or three. It was made for pictures of the hall, and these are none: an instrument without a network can be fooled
# too. That is why its number for *many* is shown, and not claimed.
#
# *Too many* is worse. From two people to ten is far, and on the way this flow tears: pixels far outside $[0,1]$, bright
# or black. Its own density does not mind; the second reader does, and so do we. The theorem promises something for a
# *well-trained* model and for one step, and ours is a small Glow.
#
# ## Break it
#
# Each hypothesis has its way to fail. **A step that is too long**: the theorem holds to first order in $\lambda$, and a
# long step in $Z$ jumps. **A flow that is not trained**: $\gamma^{-1}$ is not small across the data.
# Both on the arc, where the truth is known.

# %%
rows = []
for name, flow_name, lr in (
    ("as above", "arc-0.03", 0.01), ("step ten times as long", "arc-0.03", 0.1),
    ("a hundred times as long", "arc-0.03", 1.0), ("flow after 60 steps", "arc-short", 0.01),
):
    broken = recipes.load(flow_name).double()
    start = broken.pull(near).detach()
    path = ascend(score, start, broken.push, lr=lr, steps=300)
    away = arc.distance(path.end) / delta
    first = path.x[1] - path.x[0]
    ratio = metric.step_remainder(broken, score, start, [lr])[0] / first.norm(dim=1)
    numbers = path.reached.double().mean(), away.median(), away.quantile(0.9), ratio.median()
    rows.append([name, *map(float, numbers)])
figures.table(
    ["", "arrived", "distance / δ", "its 90 % quantile", "O(λ²) / first step"], rows,
    caption="Plain ascent in Z. The last column: what the theorem neglects, of the first step.",
)

# %% [markdown]
# At our $\lambda$ the neglected part is some per cent of the step. At ten times that, it is nearly as large as the step
# itself, and yet most ends are on the arc: not because the step were short, but because $g$ takes *all* typical $z$ to
# the data. At a hundred times, $z$ is no longer typical. And the flow after 60 steps has the theorem's equation to two
# per cent, and none of its consequence: its $\gamma^{-1}$ lets the step cross the arc.
#
# **A classifier that looks at the background.** A counterfactual explains the classifier, not the world. We train a
# reader on faces of which exactly the blonde ones stand before a bright wall, and ask it for blonde. (A flow of *these*
# faces would connect hair and wall as well; ours has seen all.)

# %%
faces = data.load("faces", n=run.pick(smoke=1000, laptop=3000))
walls = parameters(n=len(faces))[:, 20]  # background_depth
chosen = (walls < 0.4) == (faces.y == 1)
biased = ConvolutionalReader((3, 32, 32), 2, (8, 16, 32))
training.fit(
    biased, (faces.x[chosen], faces.y[chosen]),
    lambda f, x, y: torch.nn.functional.cross_entropy(f(dequantize(x, 5)), y),
    steps=run.pick(smoke=30, laptop=150), batch_size=64, lr=3e-3, progress=False,
)
odd = quietly(biased, face_flow, brown[:3], 1, lr=0.01, lr_x=0.002, steps=200)
hair, wall = [], []
for one in (brown[:3], odd.counterfactual, blonde.counterfactual[:3]):
    one = one.view(-1, 3, 32, 32).clamp(0, 1)
    hair.append(float(hair_colour(one).mean()))
    wall.append(float(one[:, :, 4:20, [0, 1, 30, 31]].mean()))
print("hair colour: {:.2f} → {:.2f}; with the reader of above {:.2f}".format(*hair))
print("wall: {:.2f} → {:.2f}; with the reader of above {:.2f}".format(*wall))
figures.explanation(odd, shape=(3, 32, 32), size=1.3)

# %% [markdown]
# Now the wall lights up, behind hair that may stay dark or turn blonde as well: for this reader, both are what “blonde”
# looks like. The explanation has found out what it looks at, which its accuracy would not have told. That is what it is for.
#
# **Bad input** is told at the door.

# %%
def told(call):
    with warnings.catch_warnings(record=True, action="always") as heard:
        try:
            call()
        except (ValueError, training.Diverged) as reason:
            return f"{type(reason).__name__}: {reason}"
    return "; ".join(f"warns: {one.message}" for one in heard)

for call in (
    lambda: explain(lambda x: classifier(x)[:, :1], flow, near[:3], 1),
    lambda: explain(classifier, flow, near[:3], 0),
    lambda: explain(classifier, flow, near[:3], 1, steps=2, lr=1e-5, lr_x=1e-5),
    lambda: explain(lambda x: classifier(x).sqrt(), flow, near[:3], 1),
):
    print(told(call), end="\n\n")

# %% [markdown]
# ## Exercises
#
# Replace the dots and run the cell; the checker answers ✓ or names the mistake. The solution is folded below each.
#
# :::{exercise} One step in Z
# :label: ex-counterfactuals-step
# **●○○ · 5 minutes · teaches: with respect to what.** Return the base points after one step of plain ascent in $Z$,
# {eq}`eq-two-ascents`: `z` has the shape `(batch, D)`, `decode` is $g$, `score` takes data to `(batch,)`.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# `torch.autograd.grad(value, z)` wants a z with `requires_grad_()`, and a single number that was computed from it.
# :::
#
# :::{admonition} Hint 2
# :class: dropdown
# The samples do not see each other: the gradient of the sum is each one's own gradient. And that of the mean?
# :::

# %% tags=["exercise"]
def my_step(z, decode, score, lr):
    ...

check.ch06.step(my_step)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_step(z, decode, score, lr):
    z = z.detach().requires_grad_()
    slope, = torch.autograd.grad(score(decode(z)).sum(), z)
    return z.detach() + lr * slope

check.ch06.step(solved_step)

# %% [markdown]
# :::{exercise} Who has arrived, stays
# :label: ex-counterfactuals-move
# **●○○ · 4 minutes · teaches: masks.** `p` and `slope` have the shape `(batch, …)`, with any number of further axes;
# `score` has `(batch,)`. Move by `lr * slope` those with a score below `until`, and return all.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# A mask of shape (batch,) is aligned with the *last* axis. How many axes of length 1 does it need behind its own?
# :::

# %% tags=["exercise"]
def my_move(p, slope, score, lr, until):
    ...

check.ch06.move(my_move)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_move(p, slope, score, lr, until):
    on = (score < until).view(-1, *[1] * (p.ndim - 1))
    return torch.where(on, p + lr * slope, p)

check.ch06.move(solved_move)

# %% [markdown]
# :::{exercise} How likely is a picture?
# :label: ex-counterfactuals-density
# **●●○ · 5 minutes · teaches: the two halves of a flow's density.** From $z=g^{-1}(x)$, `(batch, D)`, and
# $\log|\det\partial z/\partial x|$, `(batch,)`, return $\log q_X(x)/D$ for $q_Z=\mathcal N(0,1)^D$.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# log q_Z is a sum over D coordinates, each with its normalisation. The log-determinant comes once.
# :::

# %% tags=["exercise"]
def my_log_q_per_dimension(z, log_det):
    ...

check.ch06.log_q_per_dimension(my_log_q_per_dimension)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_log_q_per_dimension(z, log_det):
    base = (-0.5 * z**2 - 0.5 * math.log(2 * math.pi)).sum(1)
    return (base + log_det) / z.shape[1]

check.ch06.log_q_per_dimension(solved_log_q_per_dimension)

# %% [markdown]
# :::{exercise} The yardstick
# :label: ex-counterfactuals-distance
# **●●○ · 8 minutes · teaches: a distance to a manifold with boundary.** Return the distance of points `x`, `(n, 2)`, to
# the arc $\{(\cos t,\sin t):|t|\leq3\pi/4\}$, shape `(n,)`.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# For which points is the nearest point of the whole circle on the arc?
# :::
#
# :::{admonition} Hint 2
# :class: dropdown
# For all others it is one of the two ends.
# :::

# %% tags=["exercise"]
def my_distance_to_arc(x):
    ...

check.ch06.distance_to_arc(my_distance_to_arc)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_distance_to_arc(x):
    end = 0.75 * math.pi
    ends = [[math.cos(end), side * math.sin(end)] for side in (1, -1)]
    to_ends = torch.cdist(x, torch.tensor(ends, dtype=x.dtype)).amin(1)
    beside = torch.atan2(x[:, 1], x[:, 0]).abs() <= end
    return torch.where(beside, (x.norm(dim=1) - 1).abs(), to_ends)

check.ch06.distance_to_arc(solved_distance_to_arc)

# %% [markdown]
# :::{exercise} A map of the change
# :label: ex-counterfactuals-maps
# **●○○ · 4 minutes · teaches: a fair picture.** `x` and `other` are pictures `(n, 3, height, width)`. Return
# their changes, other minus x, averaged over the colours, in units of the largest absolute value of all $n$ maps: shape
# `(n, height, width)`. Then scale each map by itself, for `e.adversarial`: what would a reader of that figure believe?
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# One number divides them all. Zero must stay zero.
# :::

# %% tags=["exercise"]
def my_difference_maps(x, other):
    ...

check.ch06.difference_maps(my_difference_maps)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_difference_maps(x, other):
    maps = (other - x).mean(1)
    return maps / maps.abs().max()

check.ch06.difference_maps(solved_difference_maps)

# %% [markdown]
# ## What to read next
#
# - {cite:t}`dombrowski2023` is the paper behind this part of the talk, with CelebA, mall and medical pictures.
# - {cite:t}`szegedy2014` and {cite:t}`goodfellow2015` found adversarial examples; {cite:t}`ilyas2019` argue that they are
#   features that generalise, and not errors. Ours seldom convince the second reader, of another architecture.
# - {cite:t}`stutz2019` tell attacks on the manifold from those off it, and find that only the former are a matter of
#   generalisation.
# - `explain` takes your classifier and your flow: see the README. Back to
#   [the map of the talk](00_start_here.ipynb#map); chapter 07 turns from the geometry of data to that of the problem.

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
# # The manifold hypothesis
#
# By the end of this chapter we have estimated the dimension of manifolds that we know, seen which question each
# estimator answers and what fools it, and then asked the digits. The talk says that MNIST has about 30. We find 31, and
# 14, and 154: three answers to three questions. It takes about an hour; it runs in about a minute on two cores. We need
# the idea of a submanifold and a little probability.
#
# Where we are: [the map of the talk](00_start_here.ipynb#map).

# %% tags=["parameters"]
profile = "laptop"

# %%
import math

import torch
from IPython.display import display

from gdl_lab import claims, data, figures, runtime
from gdl_lab.exercises import check
from gdl_lab.manifold import affine, along, explained, flat_copy, levina_bickel, local_pca
from gdl_lab.manifold import local_variances, nearest, neighbour_graph, neighbours, orbit
from gdl_lab.manifold import participation_ratio, principal_variances, shortest_path, sphere
from gdl_lab.manifold import swiss_roll, torus, two_nn
from gdl_lab.widgets import DimensionEstimate

run = runtime.start(profile)

# %% [markdown]
# (geometry-of-the-data)=
# ## Geometry of the training data
#
# :::{admonition} The talk · “Geometry of the training data”
# :class: talk
# *Manifold hypothesis*: data lies on a low-dimensional submanifold of the high-dimensional input space. For example,
# MNIST pictures lie on a $\sim30$-dimensional submanifold of the space of dimension $28\times28=784$.
# :::
#
# A point of the input space $\mathcal X=[0,1]^{D}$ is a picture of $D$ pixels. Here are four that are drawn uniformly,
# and four digits. Nobody would ever draw a digit by chance: they are a tiny part of $\mathcal X$. What shape has that
# part?

# %%
train = data.load("mnist", otherwise="digits8")
order = torch.randperm(len(train), generator=run.generator())
digits, labels, side = train.x.flatten(1)[order], train.y[order], train.x.shape[-1]
noise = torch.rand(4, side, side, generator=run.generator(1))
figures.images(
    [*noise, *digits[:4].view(4, side, side)], ["chance"] * 4 + [f"a {y}" for y in labels[:4]],
    caption=f"Points of a cube of dimension {digits.shape[1]}, by chance and from the data.",
    alt="Four pictures of grey noise and four handwritten digits.",
)

# %% [markdown]
# :::{prf:definition} Manifold hypothesis
# :label: def-manifold-hypothesis
# A distribution on $\mathbb R^D$ satisfies the hypothesis with dimension $d\ll D$ and thickness $\delta$ if it is that
# of $x=p+\delta\,\nu$. Here $p$ lies on a submanifold $\mathcal D$ of dimension $d$ and has a density on it;
# $\nu$ is noise with a density on $\mathbb R^D$ and $E|\nu|^2=1$; and $\delta$ is small beside the radii of curvature
# of $\mathcal D$.
# :::
#
# $\delta$ matters: at distances below it, the data fill all of $\mathbb R^D$. A finite sample never decides what
# happens at *all* scales, so a dimension always belongs to a scale. Chapter 05 lets $\delta$ tend to zero.
#
# ## Manifolds that we know
#
# An estimator that has not been tried on a known answer is a rumour. Ours will be tried on these, put into
# $\mathbb R^{10}$ and turned at random. The points are uniform in length or area; on the flat piece, of dimension 5,
# they have a normal distribution.

# %%
n = run.pick(smoke=1000, laptop=2000)
known = {
    "circle": (1, sphere(n, 1, ambient=10, generator=run.generator(2))),
    "sphere": (2, sphere(n, 2, ambient=10, generator=run.generator(3))),
    "torus": (2, torus(n, ambient=10, generator=run.generator(4))),
    "Swiss roll": (2, swiss_roll(n, ambient=10, generator=run.generator(5))),
    "flat, normal": (5, affine(n, 5, ambient=10, generator=run.generator(6))),
}

def draw(figure, theme):
    for column, make in enumerate((sphere, torus, swiss_roll)):
        x, name = make(700, generator=run.generator(7)), make.__name__.replace("_", " ")
        ax = figure.add_subplot(1, 3, column + 1, projection="3d", title=name.capitalize())
        ax.view_init(elev=20, azim=-75)
        ax.scatter(*x.T, s=5, c=x[:, 1], cmap=theme.sequential, vmin=-2, vmax=2)
        ax.set_box_aspect((x.amax(0) - x.amin(0)).tolist(), zoom=1.3)
        ax.set_axis_off()

figures.picture(
    draw, width=8.4, height=2.8, caption="Three of them in ℝ³, 700 points each.",
    alt="Clouds of 700 points on a sphere, a torus and a rolled-up rectangle.",
)

# %% [markdown]
# ## Neighbours know the dimension
#
# In a ball of radius $r$ around a point of $\mathcal D$, the number of data points grows like the volume of the part
# of $\mathcal D$ that is in it,
#
# $$
# N(r)\propto r^d,\qquad r\to0.
# $$ (eq-ball)
#
# Everything that follows rests on this one line. Let $r_1\le r_2\le\dots$ be the distances from a data point to its
# nearest others.
#
# :::{prf:theorem} Levina and Bickel; Facco et al.
# :label: thm-ratios
# If, near a data point, the data are a Poisson process of constant density on a flat piece of dimension $d$, then
# $(r_j/r_k)^d$, $j<k$, are $k-1$ independent uniform numbers in $[0,1]$, sorted. Hence
# $d\sum_{j<k}\log(r_k/r_j)$ has the Gamma distribution of shape $k-1$ and scale 1, and $\mu=r_2/r_1$ exceeds
# $t\geq1$ with the probability $t^{-d}$.
# :::
#
# :::{prf:proof}
# Given $r_k$, the $k-1$ nearer points, in any order, are independent and uniform in the $d$-ball of radius $r_k$. The
# part of its volume within the radius $r$ is $(r/r_k)^d$, so that at the distance of such a point this is uniform,
# whatever $r_k$ is. Minus its logarithm is exponential, and a sum of $k-1$ of these is Gamma. For $k=2$:
# $P(\mu>t)=P((r_1/r_2)^d<t^{-d})=t^{-d}$.
# :::
#
# Unknown density, unknown scale, unknown $\mathcal D$: all have dropped out. We need only distances. For 60,000 digits
# the matrix of them would be 14 GB, so `neighbours` takes it in blocks of rows. It ranks by a matrix product and takes
# the distances of the few winners from differences, since $|x|^2-2x\cdot y+|y|^2$ loses decimals where $x$ and $y$
# are near. `torch.cdist` does the same for few points.

# %%
x = known["sphere"][1]
# Nobody is a neighbour of itself.
by_hand = torch.cdist(x, x).fill_diagonal_(torch.inf).sort(1).values[:, :20]
r, index = neighbours(x, 20)
print(f"largest difference: {float((r - by_hand).abs().max()):.1e}")
claims.ch03.neighbours_are_exact()

# %% [markdown]
# The theorem says $-\log(1-F(\mu))=d\log\mu$ for the distribution function $F$ of $\mu$: plotted like this, a
# manifold is a straight line through the origin, and the slope is its dimension.

# %%
lines, keep = {}, int(0.98 * n)
for name in ("circle", "sphere", "flat, normal"):
    r, _ = neighbours(known[name][1], 2)
    log_mu = (r[:, 1] / r[:, 0]).log().sort().values[:keep]
    share = torch.arange(1, keep + 1) / n
    lines[f"{name}, d = {known[name][0]}"] = (log_mu, -torch.log1p(-share))
display(figures.curves(
    lines, xlabel="log μ", ylabel="−log(1 − F(μ))",
    caption="Two neighbours of each point are enough to see the dimension: it is the slope.",
    alt="Three nearly straight lines; from the origin to their ends, the slopes are "
    + ", ".join(f"{float(y[-1] / x[-1]):.2f}" for x, y in lines.values()),
), claims.ch03.balls_grow_like_the_dimension())

# %% [markdown]
# **TwoNN** {cite}`facco2017` fits that line, leaving out the largest tenth. **Levina and Bickel** {cite}`levina2004`
# use more neighbours. For one point, the likelihood of $r_1,\dots,r_{k-1}$ given $r_k$ is largest at
#
# $$
# m=\frac{k-c}{\sum_{j<k}\log(r_k/r_j)},\qquad c=1.
# $$ (eq-levina-bickel)
#
# Then one has to average over the points, and here papers and programs disagree. By {prf:ref}`thm-ratios`,
# $E[1/m]=1/d$ for $c=1$, so inverses may be averaged {cite}`mackay2005`. The mean of $m$ itself is
# $d\,(k-c)/(k-2)$, so plain averages want $c=2$. Mixed up, the factor $(k-1)/(k-2)$ is left over, one way or the
# other. It looks harmless and is 2 at $k=3$. (There $m$ has no variance, and plain averages settle slowly.)

# %%
r, _ = neighbours(known["sphere"][1], 20)
print(f"by hand, k = 20: {19 / float((r[:, -1:] / r[:, :-1]).log().sum(1).mean()):.6f}")
print(f"levina_bickel:   {levina_bickel(r):.6f}")
rows, ks = [], (3, 5, 10, 20)
for average, name in (("inverse", "1/m"), ("plain", "m")):
    for c in (1, 2):
        estimates = [levina_bickel(r[:, :k], average=average, minus=c) for k in ks]
        rows.append([f"average of {name}, c = {c}", *estimates])
display(figures.table(
    ["sphere, d = 2", *(f"k = {k}" for k in ks)], rows,
    caption="Two averages and two normalisers. The first and the last row are right.",
), claims.ch03.wrong_normaliser_halves())

# %% [markdown]
# ## Tangent spaces
#
# The other kind of estimator uses that a submanifold is flat to first order. Around $p\in\mathcal D$ it is a graph
# over its tangent space,
#
# $$
# x=p+u+\tfrac12\,\mathrm{II}(u,u)+\mathcal O(|u|^3),\qquad u\in T_p\mathcal D,
# $$ (eq-graph-over-tangent)
#
# with normal part $\mathrm{II}$, the second fundamental form. In a patch of radius $r$, the principal axes therefore
# come in two kinds: $d$ with deviations of the order $r$, the others of the order $r^2$. **Local PCA** counts the
# first kind {cite}`fukunaga1971`: here, those with more than 5 % of the largest variance. The gap between the two kinds
# closes when the patch is large, and also when it is so small that the noise is seen.

# %%
ks = (10, 20, 40, 80, 160, 320, 640)
x = torus(run.pick(smoke=5000, laptop=20_000), generator=run.generator(8))
_, index = neighbours(x, max(ks), at=torch.arange(100))
deviations = torch.stack([local_variances(x, index[:, :k]).mean(0).sqrt() for k in ks])
radius = deviations[:, :2].square().sum(1).sqrt()
grown = torch.cat([radius[-1:] / radius[0], deviations[-1] / deviations[0]])
display(figures.curves(
    {f"axis {k + 1}": (radius, deviations[:, k]) for k in range(3)},
    xlabel="radius of the patch", ylabel="standard deviation", log="xy", markers=True,
    caption="Principal deviations of patches of a torus: two like r, one like r². So d = 2.",
    alt="The radius grows {:.1f} times; the deviations {:.1f}, {:.1f}, {:.1f}.".format(*grown),
), claims.ch03.tangent_space_is_second_order())

# %%
rows = []
for name, (d, x) in known.items():
    r, index = neighbours(x, 20)
    patches, ratio = local_pca(x, index).double(), participation_ratio(principal_variances(x))
    rows.append([name, d, two_nn(r), levina_bickel(r), float(patches.mean()), ratio])
display(figures.table(
    ["manifold", "d", "TwoNN", "Levina–Bickel", "local PCA", "participation ratio"], rows,
    caption=f"{n} points each, k = 20. The last column answers another question.",
), claims.ch03.estimators_find_known_dimensions())

# %% [markdown]
# ## Coordinates or directions?
#
# The last column is global. With $\lambda_i$ the variances along the principal axes of *all* data, the
# **participation ratio** $(\sum\lambda_i)^2/\sum\lambda_i^2$ counts axes, weighed: $n$ equal variances among zeros
# give $n$. It measures the flat space that the data stretch over, not the manifold in it: the sphere needs three
# directions and has two coordinates.
#
# One number says little about the other. Take one digit and turn it about its middle. The angle says everything about
# these pictures: they are a closed curve in $\mathcal X$. It is so bent that it runs through many directions.

# %%
one = digits[0].view(side, side).double()
angles = 2 * math.pi * torch.rand(1500, generator=run.generator(9), dtype=torch.float64)
axes = explained(principal_variances(orbit(one, angles)))
turned = orbit(one, torch.arange(8, dtype=torch.float64) * (math.pi / 4)).view(-1, side, side)
display(figures.images(
    list(turned), [f"{45 * k}°" for k in range(8)], size=1.1,
    caption=f"A curve of digits. {axes} principal axes hold 95 % of its variance.",
    alt=f"One digit, turned by eight angles; {axes} axes hold 95 % of the variance.",
), claims.ch03.curve_fills_many_directions(picture=one))

# %% [markdown]
# ## How many dimensions has MNIST?
#
# Now we ask the digits. Each row below is a question; the columns show how the answer moves with the number of digits
# it is put to. (Averages over points take 2,000 of them, local PCA 100; all others are there as neighbours.)
#
# To see what a number means, we also ask a **flat copy**: points with a normal distribution that has the mean and the
# covariance of the digits. It has the same principal components, and no manifold in it.

# %%
sizes = run.pick(smoke=(1000, 8000), laptop=(1000, 5000, 20_000, 60_000))
sizes = sizes if len(digits) > sizes[-1] - 1 else (len(digits) // 4, len(digits))
few = min(5000, sizes[-1])
asked = {f"{k:,} digits": digits[:k] for k in sizes}
asked[f"flat copy of {few:,}"] = flat_copy(digits, few, generator=run.generator(10))
answers = {}
for name, x in asked.items():
    x = x.to(run.device)
    r, _ = neighbours(x, 20, at=torch.arange(min(2000, len(x))))
    _, index = neighbours(x, 100, at=torch.arange(100))
    variances = principal_variances(x)
    answers[name] = [
        two_nn(r), *(levina_bickel(r[:, :k]) for k in (3, 5, 10, 20)),
        *(levina_bickel(r[:, :k], minus=2) for k in (3, 20)),
        *(float(local_pca(x, index[:, :k]).double().mean()) for k in (20, 100)),
        participation_ratio(variances), *(explained(variances, s) for s in (0.9, 0.95)),
    ]
questions = [
    ["TwoNN", "coordinates, at the smallest scale"],
    *([f"Levina–Bickel, k = {k}", f"coordinates among {k} neighbours"] for k in (3, 5, 10, 20)),
    *([f"the same, k = {k}, c = 2", f"{s} of them"] for k, s in ((3, "½"), (20, "18/19"))),
    *([f"local PCA, k = {k}", f"directions of a patch of {k}"] for k in (20, 100)),
    ["participation ratio", "directions of all data, weighed"],
    *([f"{s} % of the variance", f"directions, but for {100 - s} % of it"] for s in (90, 95)),
]

# %%
figures.table(
    ["estimator", "what it counts", *answers],
    [[*q, *(f"{a[k]:.3g}" for a in answers.values())] for k, q in enumerate(questions)],
    caption=f"The dimension of the data set {train.name}, by few and by many of its pictures.",
)

# %%
some = digits[:few].to(run.device)
display(
    claims.ch03.talks_thirty(x=digits[: sizes[-1]].to(run.device)),
    claims.ch03.digits_have_few_dimensions(x=some), claims.ch03.digits_are_not_flat(x=some),
)

# %% [markdown]
# What does the table say for MNIST?
#
# - **The talk's “$\sim30$” fits the participation ratio**, 31, which hardly depends on the number of digits. But the
#   flat copy has the same: it describes the span of the data, and would be the same without any manifold. (The slide
#   does not say how its number was found; of the estimators here, this one gives it.)
# - **Neighbours say 10 to 16.** Here the flat copy is far away, at about three times that: the digits are bent or thin
#   in a way that the covariance does not see. This is the evidence for the hypothesis.
# - Their answer **grows with the number of digits** and falls with $k$. More digits and fewer neighbours look more
#   closely, and see more of the small variations of handwriting. There is no plateau yet at 60,000: the dimension of
#   MNIST at scale zero is not known.
# - Published numbers for the same data are 7, 11, 12 and 13 at $k=3$, 5, 10 and 20 {cite}`pope2021`. At $k=3$ they are
#   half of ours, at $k=20$ they agree. The rows with $c=2$ suggest why: they have the factor $(k-2)/(k-1)$ from above.
# - **Local PCA** cannot exceed $k-1$, and in patches this large, it sees curvature.
#
# All are far below 784, as the hypothesis needs. That the data are *one* manifold is another assumption. A 1 has fewer
# degrees of freedom than an 8:

# %%
rows, most = [], run.pick(smoke=400, laptop=3000, full=5000)
for digit in range(10):
    x = digits[labels == digit][:most].to(run.device)
    r, ratio = neighbours(x, 20)[0], participation_ratio(principal_variances(x))
    rows.append([digit, len(x), two_nn(r), levina_bickel(r), ratio])
figures.table(
    ["digit", "pictures", "TwoNN", "Levina–Bickel, k = 20", "participation ratio"], rows,
    caption="Ten manifolds rather than one?",
)

# %% [markdown]
# ## Straight lines leave the data
#
# If the digits filled a convex piece of a flat space, the middle of two digits would be one. So we draw straight lines
# from digit to digit and measure the distance to the nearest *new* digit, from a half of the data to which neither end
# belongs. As a rival, we go from neighbour to neighbour along the shortest path {cite}`tenenbaum2000`.

# %%
half = min(len(digits) // 2, run.pick(smoke=4000, laptop=5000))
ours, new = digits[:half], digits[half : 2 * half]
graph = neighbour_graph(ours)
fours, zeros = ((labels[:half] == digit).nonzero()[:, 0].tolist()[:20] for digit in (4, 0))
pairs = list(zip(fours, zeros))
paths = [ours[shortest_path(graph, start, end)] for start, end in pairs]
lines = [ours[[start, end]] for start, end in pairs]
shown = [along(polygon, torch.linspace(0, 1, 9)) for polygon in (lines[0], paths[0])]
names = ["straight", *[""] * 8, "path", *[""] * 8]
figures.images(
    list(torch.cat(shown).view(-1, side, side)), names, columns=9, size=1,
    caption="Above: on the straight line both digits shine through each other. Below: on the "
    "path from neighbour to neighbour, one digit is bent into the next.",
    alt="Two rows of nine pictures from a 4 to a 0: blended above, nearly digits below.",
)

# %%
t, away = torch.linspace(0, 1, 41), {}
for name, polygons in {"straight lines": lines, "paths": paths}.items():
    far, _ = nearest(torch.cat([along(polygon, t) for polygon in polygons]), new, 1)
    away[name] = (t, far.view(-1, len(t)).median(0).values)
peaks = ", ".join(f"{name} {float(far.max()):.2f}" for name, (_, far) in away.items())
typical = float(nearest(ours[:1000], new, 1)[0].median())
away["the median digit"] = (t, torch.full_like(t, typical))
figures.curves(
    away, xlabel="share of the way from a 4 to a 0", ylabel="to the nearest new digit",
    caption=f"Medians over {len(pairs)} pairs. In their middle, straight lines leave the data.",
    alt=f"Two curves of distances, with peaks: {peaks}. The median digit is at {typical:.2f}.",
)

# %% [markdown]
# The middle looks only a little further away. What would flat data do? For independent $x,y,z$ with the covariance $C$,
#
# $$
# E|x-z|^2=2\,\mathrm{tr}\,C,\qquad E\bigl|\tfrac12(x+y)-z\bigr|^2=\tfrac32\,\mathrm{tr}\,C:
# $$ (eq-average-is-nearer)
#
# an average is *nearer* to everything, by about $\sqrt3/2=0.87$. So we take a thousand lines between unequal digits,
# compare the middle of each with its own two ends, and do the same in the flat copy.

# %%
rows, counts, measure = [], sizes[:3], claims.ch03.straight_lines_leave_the_data
for k in counts:
    # Of the smaller samples, the claim is not asked to hold.
    found = (measure if k == counts[-1] else measure.outcome)(x=digits[:k], y=labels[:k])
    rows.append([f"{k:,}", found.value, *found.extra.values()])
display(figures.table(
    ["digits", "share", "ratio", "flat copy: share", "ratio", "equal digits: share"], rows,
    caption="The share of lines whose middle is further from new digits than its ends, and the "
    "median ratio of both distances.",
), found)

# %% [markdown]
# In the flat copy hardly a line does what most lines between digits do. But a thousand MNIST digits would not have told
# us: they are so far apart that the middle is as near to them as they are to each other. The more digits there are, the
# closer they come to one another, and the middles stay behind. Of the lines between equal digits, less than half leave:
# one digit alone is less bent, but far from flat.
#
# This is why chapters 04 to 06 look for coordinates. A diffeomorphism between a simple distribution and the data brings
# coordinates of all of $\mathbb R^D$, in which $\mathcal D$ should be simple. *Their* straight lines are meant to stay
# near the data, and chapter 06 measures how well they do.
#
# ## Break it
#
# The theorem assumes exact points, enough of them, on a piece that is flat at their scale. We violate each: noise of
# deviation $\sigma$ in each of ten directions ($\delta=\sqrt{10}\,\sigma$), few points in 20 dimensions, and a curve
# that runs around the tube of a torus 25 times: dimension 1, and seen from afar, a torus.

# %%
around = 2 * math.pi * torch.rand(n, generator=run.generator(12), dtype=torch.float64)
out, up = 1 + 0.4 * torch.cos(25 * around), 0.4 * torch.sin(25 * around)
cases = {
    f"σ = {sigma}": sphere(n, ambient=10, noise=sigma, generator=run.generator(11))
    for sigma in (0.0, 0.02, 0.05)
} | {"wound curve": torch.stack([out * around.cos(), out * around.sin(), up], 1)}
ks, broken = torch.tensor([2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300]), {}
for name, x in cases.items():
    r, _ = neighbours(x, 300)
    broken[name] = (ks, [levina_bickel(r[:, :k]) for k in ks.tolist()])
ends = "; ".join(f"{name} from {v[0]:.1f} to {v[-1]:.1f}" for name, (_, v) in broken.items())
display(figures.curves(
    broken, xlabel="neighbours k", ylabel="Levina–Bickel", log="x",
    caption="The sphere, exact and with noise: few neighbours raise the estimate towards ten. "
    "The wound curve is a curve at small scales only; large neighbourhoods see its torus.",
    alt=f"Estimates for the sphere with noise and for the curve, against k: {ends}.",
), claims.ch03.noise_adds_dimensions(), claims.ch03.many_dimensions_need_more_points())

# %% [markdown]
# The last claim is the curse: to halve the distance to the nearest neighbour in 20 dimensions takes $2^{20}$ times as
# many points. At the distances that a few thousand points allow, nothing is flat or constant, and these estimates come
# out too low. For MNIST that means: 15 may well be too small.
#
# **Try it.** Below are manifolds, and 500 of the 8 × 8 digits. (1) On the sphere, take $D=3$ and raise the noise until
# TwoNN says nearly 3. What does it say at $D=12$? Now lower the noise to 0.02. From which $k$ on is the curve within
# 10 % of the truth again, and how many $\sigma$ away are the neighbours then? (2) Draw 100 points of the helix without
# noise and raise $k$ until its windings merge. Which surface does the estimate see? (3) Why does the square, with its
# edges, come out too low at large $k$? With `DimensionEstimate(points)`, a live notebook shows points of your own.

# %%
small = data.load("digits8").take(500).x.flatten(1)
DimensionEstimate(small, "8 × 8 digits", shape="sphere", ambient=6)

# %% [markdown]
# ## Exercises
#
# Replace the dots and run the cell; the checker answers ✓ or names the mistake. The solution is folded below each.
#
# :::{exercise} Neighbours
# :label: ex-manifold-distances
# **●○○ · 4 minutes · teaches: what a neighbour is.** Return the distances of each of the points `x`, shape `(n, D)`, to
# its `k` nearest other points, ascending, shape `(n, k)`. The matrix of all distances is allowed.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# `torch.cdist` gives all distances. What stands on its diagonal?
# :::

# %% tags=["exercise"]
def my_distances(x, k):
    ...

check.ch03.distances(my_distances)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_distances(x, k):
    return torch.cdist(x, x).fill_diagonal_(torch.inf).sort(1).values[:, :k]

check.ch03.distances(solved_distances)

# %% [markdown]
# :::{exercise} Levina and Bickel
# :label: ex-manifold-mle
# **●●○ · 6 minutes · teaches: which average belongs to which normaliser.** `r` has the shape `(n, k)`, ascending.
# Return $1/\overline{(1/m)}$ with {eq}`eq-levina-bickel`, $c=1$, and the average over all points.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# How many terms has the sum over j < k? Which column is r_k?
# :::
#
# :::{admonition} Hint 2
# :class: dropdown
# Compute 1/m for each point, then average, then invert.
# :::

# %% tags=["exercise"]
def my_maximum_likelihood(r):
    ...

check.ch03.maximum_likelihood(my_maximum_likelihood)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_maximum_likelihood(r):
    return 1 / (r[:, -1:] / r[:, :-1]).log().mean()

check.ch03.maximum_likelihood(solved_maximum_likelihood)

# %% [markdown]
# :::{exercise} Two neighbours, without a fit
# :label: ex-manifold-two
# **●●○ · 8 minutes · teaches: maximum likelihood.** By {prf:ref}`thm-ratios`, $\mu=r_2/r_1$ has the density
# $d\,\mu^{-d-1}$ on $[1,\infty)$. For `r` of shape `(n, 2)`, return the $d$ that maximises the product of the densities
# of all $n$ ratios.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Write the logarithm of the product as a function of d, and set its derivative to zero.
# :::
#
# :::{admonition} Hint 2
# :class: dropdown
# The result is {eq}`eq-levina-bickel` for k = 2.
# :::

# %% tags=["exercise"]
def my_two_neighbours(r):
    ...

check.ch03.two_neighbours(my_two_neighbours)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_two_neighbours(r):
    return 1 / (r[:, 1] / r[:, 0]).log().mean()

check.ch03.two_neighbours(solved_two_neighbours)

# %% [markdown]
# :::{exercise} How many directions?
# :label: ex-manifold-participation
# **●●○ · 5 minutes · teaches: centring, and variances against deviations.** Return the participation ratio
# $(\sum\lambda_i)^2/\sum\lambda_i^2$ of points `x` of shape `(n, D)`.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# `torch.linalg.svdvals` of what? And λ is which power of a singular value?
# :::
#
# :::{admonition} Hint 2
# :class: dropdown
# There is a way without eigenvalues: Σλ is a trace, and so is Σλ².
# :::

# %% tags=["exercise"]
def my_participation(x):
    ...

check.ch03.participation(my_participation)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_participation(x):
    covariance = torch.cov(x.T)
    return covariance.trace() ** 2 / covariance.square().sum()

check.ch03.participation(solved_participation)

# %% [markdown]
# :::{exercise} The distance to a tangent plane
# :label: ex-manifold-tangent
# **●●● · 12 minutes · teaches: local charts.** `patch`, of shape `(k, D)`, holds neighbouring points. The affine plane
# through their mean along the first `d` principal axes is our estimate of a tangent space. Return the distance of the
# point `q`, shape `(D,)`, to it. Then use it on the digits: is a new digit, or a middle of two digits, further from the
# plane of its 40 nearest neighbours with $d=12$? The answer surprises, until one thinks of {eq}`eq-average-is-nearer`.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Subtract the mean from the patch and from q. In the singular value decomposition, the rows of Vᵀ are the axes.
# :::
#
# :::{admonition} Hint 2
# :class: dropdown
# What is left of a vector when its components along d orthonormal axes are taken away?
# :::

# %% tags=["exercise"]
def my_distance_to_tangent_plane(q, patch, d):
    ...

check.ch03.distance_to_tangent_plane(my_distance_to_tangent_plane)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_distance_to_tangent_plane(q, patch, d):
    centre = patch.mean(0)
    axes = torch.linalg.svd(patch - centre, full_matrices=False).Vh[:d]
    offset = q - centre
    return (offset - axes.T @ (axes @ offset)).norm()

check.ch03.distance_to_tangent_plane(solved_distance_to_tangent_plane)

# %% [markdown]
# ## What to read next
#
# - {cite:t}`levina2004` and {cite:t}`facco2017` are short and clear; {cite:t}`mackay2005` is two pages.
# - {cite:t}`pope2021` measure the data sets of deep learning, and find that lower dimension is easier to learn.
# - {cite:t}`fefferman2016` ask whether a sample can *refute* the hypothesis, with a theorem for an answer.
# - Chapter 04 learns a diffeomorphism to the data; chapter 05 reads dimension and thickness off its Jacobian.

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
# # Symmetry
#
# By the end of this chapter we have one line, $f(\rho(g)x)=\sigma(g)f(x)$, and one number that says how far a network is
# from it; we have found *all* linear maps that satisfy it, for pictures, sets and graphs at once, by counting orbits; and
# we have measured what augmentation can do instead, and where that ends. It takes about 80 minutes; it runs in two minutes
# on two cores. We need [chapter 02](02_cnn.ipynb), and what a group is.
#
# Where we are: [the map of the talk](00_start_here.ipynb#map).

# %% tags=["parameters"]
profile = "laptop"

# %%
import math
from functools import partial

import torch
from e3nn import o3
from IPython.display import display
from torch.nn import functional as F

from gdl_lab import claims, figures, runtime
from gdl_lab.claims.tasks import read_digits
from gdl_lab.exercises import check
from gdl_lab.recipes import sweeps
from gdl_lab.recipes.rotated_digits import deviation, digits, judge, off_the_data
from gdl_lab.symmetry import C1, C4, D4, GroupNetwork, Lift, equivariance_error, group_correlate
from gdl_lab.symmetry import intertwiners, matrix_of, rotate
from gdl_lab.widgets import TurnedFeatures

run = runtime.start(profile)

# %% [markdown]
# (symmetric-problems)=
# ## Symmetric learning problems
#
# :::{admonition} The talk · “Symmetric learning problems”
# :class: talk
# Many machine learning problems have inherent symmetry. Naive approach: *data augmentation*. Equivariant neural networks
# build the symmetry group $G$ into the architecture: $f_\theta(\rho^{-1}(g)x)=\sigma(g)f_\theta(x)$, $g\in G$.
# :::
#
# :::{prf:definition} Representation, equivariance
# :label: def-equivariance
# A **representation** $\rho$ of a group $G$ on a vector space assigns to every $g$ an invertible linear map $\rho(g)$ such
# that $\rho(gh)=\rho(g)\rho(h)$. If $G$ acts on points, it acts on functions of points by
#
# $$
# (\rho(g)f)(x)=f(g^{-1}x).
# $$ (eq-action)
#
# A map $f$ between spaces with representations $\rho$ and $\sigma$ is **equivariant** if
#
# $$
# f(\rho(g)x)=\sigma(g)f(x)\qquad\text{for all }g,x,
# $$ (eq-equivariant)
#
# and **invariant** if $\sigma(g)=1$.
# :::
#
# The inverse in {eq}`eq-action` takes the value at $x$ along to $gx$, and it makes $\rho$ a representation:
# $(\rho(g)\rho(h)f)(x)=(\rho(h)f)(g^{-1}x)=f(h^{-1}g^{-1}x)=f((gh)^{-1}x)$. Our groups are the rotations of the square,
# $C_4$, and $D_4$ with its reflections: those symmetries of the plane that a grid of pixels has exactly.

# %%
test = digits("test")
seven = test.x[test.y == 7][0]
moved = [D4.on_pictures(g, seven)[0] for g in D4]
names = [("mirror, " if g >= 4 else "") + f"{90 * (g % 4)}°" for g in D4]
display(figures.images(
    moved, names, columns=8, size=1.1,
    caption="The eight elements of D4: mirrored or not, then turned.",
    alt="A seven, turned anticlockwise by 0, 90, 180 and 270 degrees, and the same mirrored.",
), claims.ch07.actions_are_representations())

# %% [markdown]
# ### The slide's inverse
#
# The slide has $\rho^{-1}(g)$ in place of $\rho(g)$. Does that matter? Take the simplest equivariant map there is,
# $f(x)=x$. To the letter $\sigma(g)=\rho(g)^{-1}$, and that multiplies in the wrong order: we turn and mirror our seven.

# %%
def sigma(g, y):                                 # what f(ρ⁻¹(g)x) = σ(g)f(x) says for f(x) = x
    return D4.on_pictures(D4.inverse(g), y)

turn, mirror = 1, 4
both = sigma(D4.compose(turn, mirror), seven)
print("σ(gh) = σ(g)σ(h):", torch.equal(both, sigma(turn, sigma(mirror, seven))))
print("σ(gh) = σ(h)σ(g):", torch.equal(both, sigma(mirror, sigma(turn, seven))))
claims.ch07.slide_makes_an_anti_representation()

# %% [markdown]
# So with the slide's line $\sigma$ is an **anti-representation**. For commuting groups, such as $C_4$ or the rotations of
# the plane, one does not notice; for $D_4$ and $\mathrm{SO}(3)$ one does. {eq}`eq-equivariant` is the line that holds for
# two representations, and from here on it is ours. (Many write $\rho^{-1}$ for the action on *points* under the function,
# and mean just that.)
#
# ## One number
#
# How far is a map from it? We write the measure once, for every map, every group and every pair of actions. The package
# has the same lines with checks, for the later chapters too.

# %%
@torch.no_grad()
def error(f, group, rho, sigma, x):
    y = f(x)
    return max(float((f(rho(g, x)) - sigma(g, y)).norm() / y.norm()) for g in group)

x = test.x[:32].double()
noise = torch.randn(8, 1, 3, 3, dtype=torch.float64, generator=run.generator())
even = sum(D4.on_pictures(g, noise) for g in D4) / 8
layers = {
    "3×3 kernels of noise": lambda x: torch.relu(F.conv2d(x, noise, padding=1)),
    "the same, averaged over D4": lambda x: torch.relu(F.conv2d(x, even, padding=1)),
    "mean over all pixels": lambda x: x.mean((2, 3), keepdim=True),
    "column number added": lambda x: x + torch.arange(x.shape[3]) / x.shape[3],
}
rho = D4.on_pictures
rows = [[name, error(f, D4, rho, rho, x), equivariance_error(f, D4, rho, rho, x)]
        for name, f in layers.items()]
figures.table(["layer", "error", "gdl_lab's"], rows, caption="Equivariance errors under D4.")

# %% [markdown]
# A convolution commutes with translations (chapter 02) and not with rotations, unless each kernel has the symmetry itself:
# then it sees no direction at all. Is there nothing better?
#
# ## All equivariant linear maps
#
# :::{prf:theorem} Linear equivariant maps are orbits
# :label: thm-orbits
# Let $G$ act on finite sets $X$ and $Y$, and by {eq}`eq-action` on the functions on them. A linear map
# $(Wf)(y)=\sum_xW_{yx}f(x)$ is equivariant if and only if $W_{gy,\,gx}=W_{yx}$ for all $g$. So the dimension of the space
# of equivariant linear maps is the number of orbits of $G$ on $Y\times X$.
# :::
#
# :::{prf:proof}
# $(W\rho(g)f)(gy)=\sum_xW_{gy,x}f(g^{-1}x)=\sum_xW_{gy,\,gx}f(x)$, and $(\sigma(g)Wf)(gy)=(Wf)(y)=\sum_xW_{yx}f(x)$. These
# agree for all $f$ if and only if the entries do. An entry for each orbit is free.
# :::
#
# Weight sharing *is* the symmetry, whatever the group. If $Y=G$, on which $G$ acts from the left, $h\mapsto gh$, an orbit
# has exactly one pair $(e,x)$, and $W_{g,x}=\kappa(g^{-1}x)$ with $\kappa(x)=W_{e,x}$: **group convolutions are all the linear
# equivariant maps**. We let the machine count, by the null space of $W\rho(g)=\sigma(g)W$ on a torus of 3 × 3 pixels, on
# sets, and on graphs.

# %%
shifts = [partial(torch.roll, shifts=a, dims=(-2, -1)) for a in ((1, 0), (0, 1))]
plane = [matrix_of(act, (3, 3)) for act in (*shifts, partial(C4.on_pictures, 1))]
kernels = [W[4].view(3, 3) for W in intertwiners(plane, plane)]  # the row of the middle pixel
display(figures.images(
    kernels, ["1", "2", "3"][: len(kernels)], signed=True, size=1.4,
    caption="From pictures to pictures, translations and C4 leave three kernels of nine.",
    alt=f"{len(kernels)} kernels in which all edges are equal, and all corners."))
counted = claims.ch07.linear_maps_count_orbits()
display(figures.table(
    ["symmetric under", "dimension"], list(counted.extra.items()), caption="All linear maps."))
counted

# %% [markdown]
# Read it line by line. On the torus there are nine kernels of nine entries: chapter 02. Rotations leave three of them: one
# number for the middle, one for the edges, one for the corners. That is what we met above, and it is poor. But a layer
# may have *more outputs*: functions not of the plane, but of the group of translations and rotations. Then all nine
# entries are free again (*lifting*), and from such functions to such functions, all $4\cdot9$. For sets of two points or
# any more it is two, $\lambda1+\gamma11^{\mathsf T}$ {cite}`zaheer2017`; from graphs to graphs, of four nodes or any more,
# fifteen {cite}`maron2019`.
#
# ## Group convolution
#
# :::{prf:definition} Lifting and group convolution
# :label: def-group-convolution
# For $g\in C_4$ or $D_4$ and points $x,y\in\mathbb Z^2$ {cite}`cohen2016`
#
# $$
# \begin{aligned}
# (\kappa\star f)(g,x)&=\sum_y\kappa(g^{-1}(y-x))\,f(y),\\
# (\kappa\star f)(g,x)&=\sum_{h,y}\kappa(g^{-1}h,\,g^{-1}(y-x))\,f(h,y).
# \end{aligned}
# $$ (eq-group-convolution)
# :::
#
# Both say: *correlate with the kernel $\rho(g)\kappa$, for every $g$*. For the second, $\rho(g)$ moves functions of the
# group, in the plane *and* along its axis, $(\rho(g)f)(h,x)=f(g^{-1}h,g^{-1}x)$. That is all there is to it.

# %%
def group_convolution(kernel, f):                # (n, m, 4, 3, 3) and (batch, m, 4, h, w)
    turned = torch.stack([
        torch.rot90(kernel, g, (3, 4)).roll(g, 2) for g in range(4)], 1)  # (n, 4, m, 4, 3, 3)
    z = F.conv2d(f.flatten(1, 2), turned.flatten(0, 1).flatten(1, 2), padding=1)
    return z.unflatten(1, (len(kernel), 4))

kernel = torch.randn(2, 3, 4, 3, 3, dtype=torch.float64, generator=run.generator(1))
f = torch.randn(2, 3, 4, 8, 8, dtype=torch.float64, generator=run.generator(2))
off = (group_convolution(kernel, f) - group_correlate(C4, kernel, f)).abs().max()
print(f"off ours by {off:.1g}")
display(claims.ch07.group_convolution_is_the_written_sum(), claims.ch07.convolutions_are_all())

# %% [markdown]
# What does it look like? We lift the seven with a kernel that sees vertical edges. There is a feature map for each
# orientation; if the picture turns, the maps turn, and each moves on by one.

# %%
edges = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])[None, None]
z = group_correlate(C4, edges, seven[None])[0, 0]
turned = group_correlate(C4, edges, C4.on_pictures(1, seven)[None])[0, 0]
both = C4.on_maps(1, z)
rows = {"f(x)": (seven, z), "f(ρ(g)x)": (moved[1][None], turned),
        "σ(g)f(x)": (moved[1][None], both)}
figures.images(
    [one for picture, maps in rows.values() for one in (picture[0], *maps)],
    [title for name in rows for title in (
        "x" if name == "f(x)" else "ρ(g)x", *(f"{name}, {90 * h}°" for h in C4))],
    columns=5, size=1.3, signed=([False] + [True] * 4) * 3,
    caption="A quarter turn. The last two rows agree: each map has turned and moved on.",
    alt="Edge maps of a seven and of the turned seven; the last two rows differ by "
    f"{(turned - both).norm():.1g}.")

# %% [markdown]
# Layers that act at each $(g,x)$ in the same way keep {eq}`eq-equivariant`: ReLU, one bias for all $g$, batch
# normalisation over $g$ too, and pooling over blocks that the rotations permute. At the end a maximum over $g$ and a
# mean over $x$ make the answer *invariant*. `GroupNetwork(C4)` is such a network; with $C_1$, the group of one element, the same class is an
# ordinary CNN, the fairest opponent one can have.

# %%
display(claims.ch07.group_networks_are_equivariant())
torch.manual_seed(0)
networks = {"ordinary": Lift(C1, 1, 4), "C4": Lift(C4, 1, 4),
            "C4, two layers": GroupNetwork(C4, (4, 6), kernels=(5, 3)).eval()}
TurnedFeatures(test.x[:6, 0], networks, [f"a {k}" for k in test.y[:6].tolist()],
               network="C4", angle=90)

# %% [markdown]
# **Try it.** (1) At 90°, switch between the networks: whose error is rounding? (2) Turn the maps and do not move them on: σ
# has lost half of itself. (3) Break `C4` with stride 2; then take the picture with one more row and column. Why does that
# not save the two layers, which pool blocks of 2 × 2? (4) Turn to 45°: why is no network exact?
#
# ## Augmentation, or architecture?
#
# Now the talk's alternatives compete. Three networks with about 11,000 parameters get the same digits and about the same
# processor time: a $C_4$ network and a CNN see them upright, another CNN sees twenty copies of each, turned by random angles. (A
# step costs the CNN half, so it takes twice as many. Short runs would flatter the architecture; below we ask what four
# times the budget changes.)

# %%
n, steps = run.pick(smoke=(100, 30), laptop=(1000, 500))
readers = read_digits(n, steps)
rivals = {"C4, upright": readers.c4, "CNN, upright": readers.upright,
          "CNN, 20 copies": readers.augmented}
judged = {name: judge(net, readers.test) for name, net in rivals.items()}

@torch.no_grad()
def sixes(net):                                  # mistakes upright, and those between 6 and 9
    said, y = torch.cat([net(x).argmax(1) for x in readers.test.x.split(250)]), readers.test.y
    swapped = (said + y == 15) & ((said - y).abs() == 3)
    return f"{int(swapped.sum())} of {int((said != y).sum())}"

display(figures.table(
    ["trained on", "upright", "right angles", "all angles", "error of invariance", "6 ↔ 9 upright"],
    [[name, *(f"{m[k]:.1%}" for k in ("upright", "right_angles", "all_angles")),
      m["error_digits"], sixes(rivals[name])] for name, m in judged.items()],
    caption=f"Test digits read after training on {n} digits of {readers.test.name}."))
if run.profile != "smoke":
    display(claims.ch07.c4_reads_turned_digits(readers=readers))

# %% [markdown]
# The $C_4$ network reads as many digits at right angles as upright, to the last one, and has never seen a turned one; with
# this budget twenty copies do not bring the CNN as far. The price stands in the first column: upright, the CNN makes about
# half as many mistakes. **An invariant network cannot tell what the group takes into each other**: one in six of its
# mistakes takes a six for a nine or back, of the CNN's none. (More training removes some of the others, as we shall see.)
# And $C_4$ is not $\mathrm{SO}(2)$:

# %%
angles = torch.arange(0, 361, 15)
some = [t[: run.pick(smoke=50, laptop=500)] for t in (readers.test.x, readers.test.y)]

@torch.no_grad()
def share(net, angle):
    said = net(rotate(some[0], math.radians(angle))).argmax(1)
    return float((said == some[1]).float().mean())

kept = {k: (angles / 90, [share(net, float(a)) for a in angles]) for k, net in rivals.items()}
figures.curves(
    kept, xlabel="turned by, in right angles", ylabel="share read",
    caption="The C4 network is back at every right angle and sags in between.",
    alt="; ".join(f"{k}: 0° {v[0]:.2f}, 45° {v[3]:.2f}, 90° {v[6]:.2f}"
                  for k, (_, v) in kept.items()))

# %% [markdown]
# Between right angles a grid has no symmetry to build in; **steerable** kernels, combinations of circular harmonics, go
# on to all angles as far as sampling allows {cite}`weiler2019`; on the sphere, chapter 08 has convolutions that are exact.
#
# How much augmentation is enough? One answer takes many trainings, so these come from `gdl-lab sweep rotated-digits`.

# %%
rows = sweeps.stored("rotated-digits")
def mean(network, copies, digits, steps, column="all_angles"):
    found = [r[column] for r in rows if (r["network"], r["copies"], r["digits"], r["steps"])
             == (network, copies, digits, steps)]
    return (sum(found) / len(found), len(found)) if found else (math.nan, 0)

drawn = {}
for m in (100, 300, 1000):
    if copies := [k for k in (0, 1, 5, 20) if mean("CNN", k, m, 600)[1]]:
        heights = [mean("CNN", k, m, 600, "right_angles")[0] for k in copies]
        drawn[f"CNN, {m} digits"] = copies, heights
level = {"C4, 1000 digits": mean("C4", 0, 1000, 300, "right_angles")[0]}
display(figures.curves(
    drawn, markers=True, references=level, xlabel="rotated copies of each digit",
    ylabel="share read at right angles",
    caption="Ten to fifteen seconds of a core for each. Dotted: C4, which needs no copies.",
    alt="; ".join(f"{k}: " + ", ".join(f"{v:.2f}" for v in c) for k, (_, c) in drawn.items())))
figures.table(
    ["network", "copies", "steps", "right angles", "all angles", "seeds"],
    [[net, k, s, mean(net, k, 1000, s, "right_angles")[0], *mean(net, k, 1000, s)]
     for net, k, s in (("C4", 0, 300), ("CNN", 20, 600), ("C4", 0, 1200), ("CNN", 20, 2400))
     if mean(net, k, 1000, s)[1]],
    caption="1,000 digits: equal processor time, and four times as much.")

# %% [markdown]
# The first five copies bring most, or all. Of twenty copies of 1,000 digits, a training of 600 steps with 32 pictures does
# not even see each once. With four times the budget the $C_4$ network stays ahead at right angles, but its lead shrinks to
# a quarter; at all angles the augmented CNN, which has seen them, is far ahead. *Who wins depends on the budget and on the question*, and a
# statement such as “cannot be reached by augmentation” has to name both. What the architecture has and no budget buys is
# the zero.
#
# ### Where augmentation ends
#
# A network learns invariance *on its data*. And elsewhere? We ask the same three networks about pictures that are no digits:
# quarters of four digits put together, negatives, noise, and the drawn faces of chapter 06 in grey. The error is that of
# $f-\bar f$ under quarter turns, with $\bar f$ the mean of the logits over the pictures, so that a network which says the
# same to all of them does not pass for invariant.

# %%
some = readers.test.x[:250]
pictures = {"digits": some, **off_the_data(some)}
errors = {name: [deviation(net, p) for p in pictures.values()] for name, net in rivals.items()}
left = [a / b for a, b in zip(errors["CNN, 20 copies"], errors["CNN, upright"])]
display(figures.table(
    ["error of invariance", *pictures], [*([k, *v] for k, v in errors.items()),
                                         ["left by augmentation", *left]],
    caption="At 1.41, turning a picture changes as much as taking another one."))
if run.profile != "smoke":
    display(claims.ch07.augmentation_ends_with_the_data(readers=readers),
            claims.ch07.finite_group_is_not_the_circle(readers=readers))

# %% [markdown]
# On digits, twenty copies leave about a fifth of the error. On pictures with their strokes they leave a little more; on
# the others, from three tenths to eight, and which of them suffer most changes with the seed: what was learned is invariance
# of *digits*. ({cite:t}`gruver2023` measure what trained networks have learned of symmetries.) The $C_4$ network has it as a
# function, on all pictures there are.
#
# (equivariant-networks)=
# ## Sets, graphs, vectors
#
# :::{admonition} The talk · “Equivariant neural networks”
# :class: talk
# Rich theory: very general concepts, can be specialized to sets, graphs, grids, manifolds, … Connections to representation
# theory, group theory, harmonic analysis, graph theory, fiber bundles, gauge theory. Used in all kinds of applications.
# Ongoing project about robustness of equivariant networks {cite}`gerken2021`.
# :::
#
# {eq}`eq-equivariant` does not say what $G$ is. For **sets** of $n$ points it is $S_n$, which permutes them; stacks of
# $\lambda1+\gamma11^{\mathsf T}$ with pointwise functions between are equivariant, and a mean at the end makes them invariant.
# For **graphs**, a relabelling takes $(A,x)$ to $(PAP^{\mathsf T},Px)$, and **message passing**
# $h_i\leftarrow h_i+\varphi(h_i,\sum_jA_{ij}\psi(h_j))$ commutes with it {cite}`gilmer2017`; chapter 02's convolution on
# graphs is the linear case. What do they gain? Deep Sets sees 256 *sorted* sets and is asked about shuffled ones;
# message passing sees graphs of 12 nodes and is asked about 24. Each has a perceptron of its size beside it.

# %%
display(
    claims.ch07.sets_and_graphs_are_equivariant(),
    claims.ch07.sorted_sets_suffice(), claims.ch07.graphs_of_another_size())

# %% [markdown]
# ### Vectors, and irreps
#
# A rotation mixes the components of a vector and permutes nothing, so there are no orbits to count. But each representation
# of a compact group is put together from **irreducible** ones, irreps, in which only 0 and the whole are mapped to
# themselves. Those of $\mathrm O(3)$ have a degree $l=0,1,2,\dots$, the dimension $2l+1$, and a parity: even (e) or odd
# (o) under $x\mapsto-x$. Scalars are 0e, vectors 1o, axial vectors such as the angular momentum 1e, and pseudoscalars 0o.
#
# :::{prf:lemma} Schur
# :label: thm-schur
# Between different irreps, the only equivariant linear map is 0. From one irrep of $\mathrm O(3)$ to itself, they are the
# multiples of 1.
# :::
#
# So linear layers mix vectors with vectors and scalars with scalars, and do not touch components: there is not much to
# learn. What brings irreps together is the **tensor product**. The nine numbers $a_ib_j$ of two vectors are
#
# $$
# 1o\otimes1o=0e\oplus1e\oplus2e,\qquad
# \tfrac{a\cdot b}{\sqrt3},\quad\tfrac{a\times b}{\sqrt2},\quad\text{symmetric, traceless};
# $$ (eq-tensor-product)
#
# in general $l_1\otimes l_2=|l_1-l_2|\oplus\dots\oplus(l_1+l_2)$, and parities multiply. The roots make the change of basis
# orthogonal: $\delta_{ij}$ has the norm $\sqrt3$ and $\epsilon_{ijk}$, for one $k$, the norm $\sqrt2$; divided by them they are
# unit vectors among the matrices.

# %%
a, b = torch.randn(2, 3, generator=run.generator(3))
product = o3.FullTensorProduct("1o", "1o")
out = product(a, b)
print(product.irreps_out, "· lengths", f"{out.norm():.6f} = {a.norm() * b.norm():.6f}")
print("0e:", out[:1], "  a·b/√3:", a @ b / 3**0.5)
print("1e:", out[1:4], "  a×b/√2:", torch.linalg.cross(a, b) / 2**0.5)
display(claims.ch07.tensor_product_has_roots(), claims.ch07.products_of_vectors())

# %% [markdown]
# The last line says that the cross product is the *only* bilinear product of two vectors that is a vector, up to a
# factor, and that under reflections its result is axial: whoever asks a product $1o\otimes1o$ for a polar vector, 1o, gets
# zero, and no training will help. (The same trap closes on the handedness of molecules: with scalars 0e alone, mirror images
# are one.) `e3nn` {cite}`geiger2022` builds networks from these products. One with 96 weights learns the cross product from 30 examples.

# %%
claims.ch07.cross_product_from_few()

# %% [markdown]
# ### Robustness
#
# One cheap remark on the talk's project. If $f$ is invariant and $\rho(g)$ orthogonal, $\nabla f(\rho(g)x)=\rho(g)\nabla f(x)$:
# an adversarial attack on a picture, turned along, attacks the turned picture just as well. Invariance protects in *all*
# orientations or in none. We push each pixel by $\epsilon$ in the direction of the sign of the gradient, and none of the
# three withstands it:

# %%
def attacked(net, x, y, eps):
    push = torch.func.grad(lambda x: F.cross_entropy(net(x), y))(x).sign()
    return float((net(x + eps * push).argmax(1) == y).float().mean())

few = [t[: run.pick(smoke=50, laptop=500)] for t in (readers.test.x, readers.test.y)]
display(figures.table(
    ["ε", *rivals], [[e, *(attacked(net, *few, e) for net in rivals.values())]
                     for e in (0.0, 0.01, 0.02, 0.05)],
    caption="Share of upright digits still read after one step of an attack."),
    claims.ch07.attacks_turn_along())

# %% [markdown]
# ## Break it
#
# A proof of {eq}`eq-equivariant` is a chain, and each link can be cut. We roll the orientations the wrong way; give each
# orientation a bias of its own; take every second pixel of an even row; pad on one side only. Each of these is a line that one writes by mistake.

# %%
net = GroupNetwork(C4).eval()
wrong = equivariance_error(
    net.features, C4, C4.on_pictures, lambda g, f: C4.on_pictures(g, f).roll(-g, 2), x.float())
broken = claims.ch07.mistakes_break_it(x=x)
display(figures.table(
    ["mistake", "equivariance error"],
    [["wrong roll", wrong],
     *([k.replace("_", " "), v] for k, v in broken.extra.items() if k != "seed")],
    caption="One lifting layer with ReLU (the roll: three layers), on digits."))
broken

# %% [markdown]
# Stride 2 keeps the pixels 0, 2, …, 26 of 28. Turned by 180°, these are 27, 25, …, 1: others. Of 27 pixels it keeps 0, …, 26,
# symmetric about the middle, and the error vanishes.
#
# ## Exercises
#
# Replace the dots and run the cell; the checker answers ✓ or names the mistake. The solution is folded below each.
#
# :::{exercise} Move
# :label: ex-symmetry-move
# **●○○ · 5 minutes · teaches: both halves of σ.** Return $(\sigma(g)f)(h,x)=f(g^{-1}h,g^{-1}x)$ for `f` of shape
# `(batch, 4, height, width)` and $g$ = `r` quarter turns anticlockwise.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# `torch.rot90(f, r, (2, 3))` is the half for the points.
# :::
#
# :::{admonition} Hint 2
# :class: dropdown
# The map at h = 0 belongs at h = g afterwards.
# :::

# %% tags=["exercise"]
def my_move(f, r):
    ...

check.ch07.move(my_move)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_move(f, r):
    return torch.rot90(f, r, (2, 3)).roll(r, 1)

check.ch07.move(solved_move)

# %% [markdown]
# :::{exercise} Lift
# :label: ex-symmetry-lift
# **●●○ · 8 minutes · teaches: one kernel, four maps.** Return the lifting convolution of {eq}`eq-group-convolution` for $C_4$,
# a `kernel` of shape `(3, 3)`, pictures `x` of shape `(batch, 1, height, width)` and zero padding: shape
# `(batch, 4, height, width)`.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Correlate with ρ(g)κ: `F.conv2d` takes kernels of shape `(4, 1, 3, 3)`.
# :::

# %% tags=["exercise"]
def my_lift(kernel, x):
    ...

check.ch07.lift(my_lift)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_lift(kernel, x):
    turned = torch.stack([torch.rot90(kernel, g) for g in range(4)])
    return F.conv2d(x, turned[:, None], padding=1)

check.ch07.lift(solved_lift)

# %% [markdown]
# :::{exercise} The error
# :label: ex-symmetry-error
# **●○○ · 5 minutes · teaches: what is compared with what.** Return the largest
# $\lVert f(\rho(g)x)-\sigma(g)f(x)\rVert/\lVert f(x)\rVert$ over `g` in `group`, without looking above.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# `rho(g, x)` moves the input, `sigma(g, y)` the output, and `.norm()` is the norm over all entries.
# :::

# %% tags=["exercise"]
def my_error(f, group, rho, sigma, x):
    ...

check.ch07.error(my_error)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_error(f, group, rho, sigma, x):
    y = f(x)
    return max((f(rho(g, x)) - sigma(g, y)).norm() / y.norm() for g in group)

check.ch07.error(solved_error)

# %% [markdown]
# :::{exercise} A layer on sets
# :label: ex-symmetry-sets
# **●○○ · 4 minutes · teaches: the two orbits of pairs.** Return $(\lambda1+\gamma11^{\mathsf T})x$ for sets `x` of shape
# `(batch, n)`, without a matrix. Then say which two orbits $S_n$ has on pairs of points.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# $(11^{\mathsf T}x)_i=\sum_jx_j$, the same for every $i$.
# :::

# %% tags=["exercise"]
def my_set_layer(x, lam, gamma):
    ...

check.ch07.set_layer(my_set_layer)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_set_layer(x, lam, gamma):    # the orbits: i = j, and i ≠ j
    return lam * x + gamma * x.sum(1, keepdim=True)

check.ch07.set_layer(solved_set_layer)

# %% [markdown]
# :::{exercise} What comes out
# :label: ex-symmetry-irreps
# **●●○ · 5 minutes · teaches: selection rules.** Return the irreps of $l_1p_1\otimes l_2p_2$ as pairs `(l, p)`, with parities
# $p=\pm1$.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Check yourself: the dimensions $2l+1$ add up to $(2l_1+1)(2l_2+1)$.
# :::

# %% tags=["exercise"]
def my_irreps(l1, p1, l2, p2):
    ...

check.ch07.irreps(my_irreps)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_irreps(l1, p1, l2, p2):
    return [(degree, p1 * p2) for degree in range(abs(l1 - l2), l1 + l2 + 1)]

check.ch07.irreps(solved_irreps)

# %% [markdown]
# ## What to read next
#
# - {cite:t}`gerken2021` is the review behind this part of the talk; {cite:t}`bronstein2017` draws the larger picture.
# - {cite:t}`cohen2016` for group convolutions, {cite:t}`weiler2019` for all of $\mathrm E(2)$ and its subgroups.
# - {cite:t}`zaheer2017` and {cite:t}`maron2019` for all linear layers on sets and graphs.
# - Chapter 08 takes $\mathrm{SO}(3)$ to the sphere, where the group is continuous and the convolution a product of spectra.
#   [Back to the map](00_start_here.ipynb#map).

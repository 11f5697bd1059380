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
# # Convolutional networks
#
# By the end of this chapter we have slid a filter over a photograph, seen it as a matrix with constraints, proved that
# the constraints are nothing but translation symmetry, and measured who breaks it: stride, padding, pooling and the
# last layer of a classifier. It takes about an hour; it runs in a minute and a half on two cores. We need linear algebra, a
# little Fourier analysis, and [chapter 01](01_mlp_backprop.ipynb).
#
# Where we are: [the map of the talk](00_start_here.ipynb#map).

# %% tags=["parameters"]
profile = "laptop"

# %%
from functools import partial
from itertools import product

import torch
from sklearn.datasets import load_sample_image
from torch.nn import functional as F

from gdl_lab import claims, data, figures, runtime
from gdl_lab.exercises import check
from gdl_lab.networks import ConvolutionalNetwork, FullyConnected, GraphConvolution
from gdl_lab.networks import constrained_weights, correlate, count_multiplications
from gdl_lab.networks import count_parameters, influence, shift_equivariance_error, translate
from gdl_lab.training import fit
from gdl_lab.widgets import KernelEditor

run = runtime.start(profile)

# %% [markdown]
# (convolutional-networks)=
# ## A filter that slides
#
# :::{admonition} The talk · “[Convolutional neural networks]”
# :class: talk
# For input images, RGB pixel values on a grid, we interpret the input as a function on the grid and convolution as a
# filter that slides over the image. Effectively this is a fully connected layer with constraints on $W$; CNNs stack
# many such layers, and versions in higher dimensions and on graphs exist.
# :::
#
# :::{prf:definition} Convolutional layer
# :label: def-convolution
# Let $\mathcal G=([0,w]\times[0,h])\cap\mathbb Z^2$ be a grid and $f:\mathcal G\to\mathbb R^n$ a picture, $n=3$ for
# red, green and blue. A **kernel** $\kappa$ with values in $\mathbb R^{m\times n}$ and finite support, and a bias
# $b\in\mathbb R^m$, define the layer
#
# $$
# z(x)=\sigma\bigl((\kappa*f)(x)+b\bigr),\qquad
# (\kappa*f)(x)=\sum_{y\in\mathcal G}\kappa(y-x)\,f(y),\qquad x\in\mathcal G.
# $$ (eq-convolution)
# :::
#
# (As written $\mathcal G$ has $(w+1)(h+1)$ points. From here on $h$ and $w$ count rows and columns, and a point is a
# pair (row, column).)
#
# Our $f$ is a photograph (D. Büchele, CC BY 2.0, part of scikit-learn), reduced to 80 × 48 pixels.

# %%
photo = torch.from_numpy(load_sample_image("china.jpg").copy()).double().permute(2, 0, 1) / 255
photo = F.avg_pool2d(photo, 8)[:, :48]
figures.images(
    [photo.permute(1, 2, 0), *photo], ["f", "red", "green", "blue"], size=2.2,
    caption="A picture is a function on a grid: at every point, how much red, green and blue.",
    alt="A photograph of a pagoda by a lake, 80 by 48 pixels, and its three colour channels.")

# %% [markdown]
# We write {eq}`eq-convolution` down as it stands. $\kappa$ is a dictionary from points of $\mathbb Z^2$ to matrices;
# here one that looks for vertical edges in all colours. Two things come out at once. **The kernel does not live on
# $\mathcal G$**, as the slide has it: $y-x$ has negative components for every $y$ left of or above $x$, and a kernel on
# $\mathcal G$ would only look right and down, with four of its nine points. And **the sum answers what happens at the
# border**: $y$ stays on $\mathcal G$, which is the same as setting $f$ to zero beyond it.

# %%
window = list(product((-1, 0, 1), repeat=2))
sobel = {(i, j): torch.full((1, 3), j * (2 - abs(i)) / 3.0).double() for i, j in window}

def written_sum(kappa, f):
    grid = list(product(range(f.shape[1]), range(f.shape[2])))
    z = torch.zeros(1, *f.shape[1:], dtype=f.dtype)
    for x, y in product(grid, grid):
        difference = (y[0] - x[0], y[1] - x[1])
        if difference in kappa:
            z[:, *x] += kappa[difference] @ f[:, *y]
    return z

roof = photo[:, 10:28, 10:34]
by_the_formula = written_sum(sobel, roof)

# %% [markdown]
# The loop looks at all pairs of pixels and is hopelessly slow. The other reading of the slide is fast: let the *filter
# slide*, that is, add up one shifted copy of $f$ for each point of the kernel. Writing it is the second exercise
# below; our `correlate` is those few lines, and PyTorch's `conv2d` a fast version of them.

# %%
kernel = torch.stack([sobel[d] for d in window], -1).view(1, 3, 3, 3)
ours = correlate(kernel, roof[None], padding="zeros")
for z in (ours, F.conv2d(roof[None], kernel, padding=1)):
    print("off the formula by at most", float((z[0] - by_the_formula).abs().max()))
claims.ch02.is_the_written_sum()

# %% [markdown]
# What does a filter see? Nine numbers, here on the grey photograph, turn it into a map of edges or of points. Each
# component of $z$ is such a **feature map**. A network *learns* its kernels {cite}`lecun1998`; these are classics.

# %%
edges = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
laplace = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])
filters = {"vertical edges": edges, "horizontal edges": edges.T, "Laplace": laplace}
grey = photo.mean(0, keepdim=True)[None]
maps = {n: correlate(k.double()[None, None], grey)[0, 0] for n, k in filters.items()}
strengths = ", ".join(f"{n} {float(z.square().mean()) ** 0.5:.2f}" for n, z in maps.items())
figures.images(
    [grey[0, 0], *maps.values()], ["f, in grey", *maps], signed=[False] + 3 * [True], size=2.2,
    caption="Three feature maps on one scale, red positive, blue negative: edges have a sign.",
    alt=f"The photograph and three filtered versions; root mean squares {strengths}.")

# %% [markdown]
# ## Convolution or correlation?
#
# Mathematics calls $\sum_y\kappa(x-y)f(y)$ a convolution. With $y-x$ the kernel is not turned over:
# {eq}`eq-convolution` is a **cross-correlation**. For a network that learns $\kappa$ nothing changes, for a theorem
# everything does. On a torus, where sums of points are taken modulo height and width, let
# $\hat f(p)=\sum_xf(x)\,e^{-2\pi i\,p\cdot x}$, with $p\cdot x=p_1x_1/h+p_2x_2/w$.
#
# :::{prf:theorem} Correlation theorem
# :label: thm-fourier
# For real $\kappa$, the correlation $z(x)=\sum_y\kappa(y-x)f(y)$ has $\hat z=\overline{\hat\kappa}\,\hat f$. The
# convolution has $\hat\kappa\,\hat f$.
# :::
#
# :::{prf:proof}
# Put $d=y-x$: $\hat z(p)=\sum_d\kappa(d)\,e^{+2\pi i\,p\cdot d}\,\sum_yf(y)\,e^{-2\pi i\,p\cdot y}$. With $d=x-y$ the
# first exponent has a minus.
# :::
#
# We measure both theorems on both layers: each holds for its own, to the last digit, and is far off for the other.

# %%
random = torch.randn(1, 1, 3, 3, dtype=torch.float64, generator=run.generator())
on_torus = translate(F.pad(random, (0, 77, 0, 45)), (-1, -1))  # size of f, κ(0) at the origin
kernel_hat, f_hat = torch.fft.fft2(on_torus), torch.fft.fft2(grey)
products = [torch.fft.ifft2(k * f_hat).real for k in (kernel_hat.conj(), kernel_hat)]
rows = []
for name, k in ("correlation, κ(y−x)", random), ("convolution, κ(x−y)", random.flip(-2, -1)):
    z = correlate(k, grey, padding="circular")
    rows.append([name, *(float((z - one).norm() / z.norm()) for one in products)])
caption = "Relative distance of layers from products of Fourier transforms."
display(figures.table(["layer", "from conj κ̂ · f̂", "from κ̂ · f̂"], rows, caption=caption))
claims.ch02.is_a_correlation()

# %% [markdown]
# ## Constraints on $W$
#
# {eq}`eq-convolution` is linear in $f$, so there is a matrix with $(\kappa*f)(x)=\sum_yW_{xy}f(y)$, and we can read it
# off:
#
# $$
# W_{xy}=\kappa(y-x).
# $$ (eq-constrained)
#
# That is the fully connected layer of chapter 01 with two constraints: $W_{xy}=0$ when $y-x$ is outside the support
# (**locality**), and equal entries for equal $y-x$ (**sharing**). Without padding there is a row for each place where
# the window fits; on the torus the bands close up, and all rows are one row, moved.

# %%
paddings = ("valid", "zeros", "circular")
bands = [constrained_weights(random, 6, 6, padding=padding) for padding in paddings]
filled = ", ".join(f"{int((w != 0).sum())} of {w.numel()}" for w in bands)
figures.images(
    bands, [f"{p}: {len(w)} × 36" for p, w in zip(paddings, bands)], signed=True, size=2.9,
    caption="W for a 3×3 kernel on a 6×6 grid, pixels numbered row by row: bands within bands.",
    alt=f"Three matrices of nine diagonals in groups of three; not zero are {filled}.")

# %% [markdown]
# What do the constraints leave? From 28 × 28 to 28 × 28 pixels, locality saves a factor of about eighty, and sharing
# another 750.

# %%
display(claims.ch02.is_a_constrained_matrix(), claims.ch02.saves_parameters())

# %% [markdown]
# ## The constraint is a symmetry
#
# Why these constraints? Let $(T_af)(x)=f(x-a)$ be the translation of a picture on the torus.
#
# :::{prf:theorem} Linear and equivariant means convolution
# :label: thm-commutant
# A linear map $W$ on functions on the torus satisfies $WT_a=T_aW$ for all $a$ if and only if $W_{xy}=\kappa(y-x)$ for
# some $\kappa$. These $W$ form a space of dimension $|\mathcal G|$, in a space of dimension $|\mathcal G|^2$.
# :::
#
# :::{prf:proof}
# $(T_a^{-1}WT_a)_{xy}=W_{x+a,\,y+a}$. So $W$ commutes with all $T_a$ if and only if its entries do not change when $x$
# and $y$ move together; take $a=-x$ and set $\kappa(y)=W_{0y}$.
# :::
#
# Sharing *is* translation symmetry; only locality is an assumption of its own. The theorem also gives a recipe:
# whatever $W$ we start from, its average $\frac1{|\mathcal G|}\sum_aT_a^{-1}WT_a$ is a convolution. We take a matrix
# of noise. Averaging projects orthogonally from dimension $|\mathcal G|^2$ to dimension $|\mathcal G|$, so that of the
# squared norm of noise about $1/|\mathcal G|$ survives, here $1/49=0.0204$.

# %%
side, points = 7, 49
noise = torch.randn(points, points, dtype=torch.float64, generator=run.generator(1))
pairs, shifts = noise.view(side, side, side, side), product(range(side), repeat=2)
average = sum(pairs.roll((a, b, a, b), (0, 1, 2, 3)) for a, b in shifts) / points
average = average.reshape(points, points)
its_kernel = average[points // 2].view(1, 1, side, side)   # the middle pixel's row is κ
convolution = constrained_weights(its_kernel, side, side, padding="circular")
share = float(average.norm() ** 2 / noise.norm() ** 2)
print(f"off a convolution by {(average - convolution).abs().max():.1e}; share {share:.4f}")
display(figures.images(
    [w / w.abs().max() for w in (noise, average)], ["W", "average of W"], signed=True, size=3,
    caption="Noise on a 7×7 torus and its average over translations, each on its own scale.",
    alt=f"Noise; and diagonal bands in blocks, with {share:.1%} of its squared norm."))
claims.ch02.constraint_is_symmetry()

# %% [markdown]
# ## Who commutes with shifts
#
# A layer $F$ is **equivariant** if $F(T_af)=T_aF(f)$: shift the picture, and the output shifts along. Bias and $\sigma$
# act at each point in the same way and change nothing, and a stack of equivariant layers is equivariant. Practice,
# though, adds what the theorem does not cover. We measure $\lVert F(T_af)-T_aF(f)\rVert/\lVert F(f)\rVert$ on the
# photograph. Where a layer has stride $s$, its output is shifted by $a/s$, rounded (halves up). Is that unfair to it?
# The last column of the table takes the best of *all* shifts of the output.

# %%
f = photo[None]
eight = torch.randn(8, 3, 3, 3, dtype=torch.float64, generator=run.generator(2))
column = torch.linspace(-1, 1, 80, dtype=torch.float64).expand(1, 1, 48, 80)

def layer(g, kernel=eight, stride=1, mode="circular"):
    return torch.relu(F.conv2d(F.pad(g, (1, 1, 1, 1), mode=mode), kernel, stride=stride))

def knows_its_place(g):
    return layer(torch.cat([g, column], 1), torch.cat([eight, eight[:, :1]], 1))

zero_padded, strided = partial(layer, mode="constant"), partial(layer, stride=2)
cases = [                                               # name, F, a, s, margin to leave out
    ("circular padding", layer, 1, 1, 0),
    ("zero padding, off the border", zero_padded, 1, 1, 2),
    ("zero padding", zero_padded, 1, 1, 0),
    ("stride 2, shift by 2", strided, 2, 2, 0),
    ("stride 2, shift by 1", strided, 1, 2, 0),
    ("max pooling 2×2, shift by 1", lambda g: F.max_pool2d(layer(g), 2), 1, 2, 0),
    ("column number as a fourth colour", knows_its_place, 1, 1, 0),
]
rows = []
for name, one, a, s, m in cases:
    errors = (shift_equivariance_error(one, f, (0, a), stride=t, margin=m) for t in (s, None))
    rows.append([name, *errors])
caption = "Who commutes with a shift to the right, and who not."
figures.table(["layer", "equivariance error", "best output shift"], rows, caption=caption)

# %% [markdown]
# Three errors vanish, to rounding; the others lie between fifteen and twenty-six per cent. How much of a symmetry is
# broken depends on picture and layer, and the last exercise makes it less; whether it holds exactly does not.
#
# - **Stride** $s$ keeps every $s$-th pixel. It is equivariant under shifts by multiples of $s$, exactly; a shift by
#   one picks other pixels, and no shift of the output makes up for that: the best of all leaves 0.204 of 0.211.
#   **Pooling** does the same {cite}`azulay2019,zhang2019`.
# - **Zero padding** tells the pixels at the border where they are; each layer carries the news further inwards.
# - A **position** given as input breaks the symmetry on purpose. That is an asset where position matters
#   {cite}`liu2018`.

# %%
display(claims.ch02.commutes_with_shifts(), claims.ch02.stride_keeps_its_multiples())
claims.ch02.stride_padding_and_pooling_break_it()

# %% [markdown]
# ## What the head makes of it
#
# A classifier should not be equivariant but **invariant**: a shifted 3 is a 3. What decides is the **head**, the last
# layers, which turn the feature maps into ten numbers. Equivariant layers make invariance easy, since any function of
# the *set* of values $\{z(x)\}_x$, such as $\max_xz(x)$ in each channel, is invariant. Or they make it impossible to
# see: flatten $z$, read it with a fully connected layer, and every position has weights of its own again.
#
# We compare three networks with about ten thousand parameters each, on real digits, for few training examples and
# many: a fully connected one; convolutions that are *flattened*; and convolutions under a *maximum*. For the sceptic, a
# fourth is fully connected and has 128 hidden units. All train for the same number of steps.

# %%
train = data.load("mnist", otherwise="digits8")
test = data.load(train.name, "test")
side, first, wide = (28, 2, 14) if train.name == "mnist" else (12, 1, 18)
room = (side - test.x.shape[-1]) // 2          # the small digits fill their frame: room to move
train, test = (data.Dataset(d.name, F.pad(d.x, (room,) * 4), d.y) for d in (train, test))
test = test.take(min(1000, len(test)))

def error(net, x, y):
    return F.cross_entropy(net(x), y)

def contestants():
    torus = {"size": side, "kernel_size": 5, "padding_mode": "circular"}
    maximum = ConvolutionalNetwork((1, 12, 32), 10, strides=(first, 1), head="max", **torus)
    hidden = -(-count_parameters(maximum) // (side**2 + 11))
    return {
        "fully connected": FullyConnected((side**2, hidden, 10)),
        "flattened": ConvolutionalNetwork((1, 8, wide), 10, strides=(first, 2), **torus),
        "maximum": maximum,
        "128 hidden units": FullyConnected((side**2, 128, 10)),
    }

# %%
sizes, seeds, steps = run.pick(smoke=([300], 1, 120), laptop=([100, 300, 1000], 3, 200))
trained = {}
for n, k in product(sizes, range(seeds)):
    few = train.take(n, seed=k).to(run.device)
    torch.manual_seed(k)
    for name, net in contestants().items():
        trained[name, n, k] = net.to(run.device)
        fit(net, (few.x, few.y), error, steps=steps, batch_size=64, lr=5e-3, seed=k, label=name)

# %%
@torch.no_grad()
def logits(name, n, k, shift=0):
    return trained[name, n, k](translate(test.x, (0, shift)).to(run.device)).cpu()

def accuracies(name, n, shift=0):
    right = [logits(name, n, k, shift).argmax(1) == test.y for k in range(seeds)]
    return torch.stack(right).float().mean(1)

rows = []
for name in contestants():
    net, scores = trained[name, sizes[0], 0], [accuracies(name, n) for n in sizes]
    work = count_multiplications(net, test.x[:1].to(run.device))
    shown = (f"{a.mean():.1%} ({a.min():.1%} … {a.max():.1%})" for a in scores)
    rows.append([name, f"{count_parameters(net):,}", f"{work:,}", *shown])
figures.table(
    ["network", "parameters", "multiplications", *(f"{n} digits" for n in sizes)], rows,
    caption=f"Accuracy on {len(test)} new ones of {train.name} after {steps} steps on so many: "
    f"mean (lowest … highest) of {seeds} seeds.")

# %% [markdown]
# Read the ranges before the means: where they overlap, three draws do not decide. At 300 digits those of the first
# network and of the maximum do not. Nor do more hidden units close the gap there.
#
# And equal parameters are not equal work: a kernel's entries are used at every pixel, so that a digit of MNIST costs
# the convolutions under the maximum about two million multiplications and the fully connected network ten thousand.
#
# Now we shift the *test* digits sideways; nobody is trained on shifted ones. The fully connected networks lose most of
# what they have learned. So do the flattened convolutions, although they are equivariant under shifts by their strides:
# *the head gives the symmetry away*. Under the maximum, shifts by a multiple of the stride change nothing at all:
# for one of its networks we print by how much the ten numbers move, and how many of its answers differ.

# %%
shifts, most = range(5 if first == 2 else 3), sizes[-1]
for a in shifts:
    still, moved = logits("maximum", most, 0), logits("maximum", most, 0, a)
    changed = int((moved.argmax(1) != still.argmax(1)).sum())
    print(f"shift {a}: off by {(moved - still).abs().max():.2g}, {changed} answers differ")
kept = {n: torch.stack([accuracies(n, most, a) for a in shifts]) for n in contestants()}
ends = ", ".join(f"{name} {float(v[-1].mean()):.1%}" for name, v in kept.items())
figures.curves(
    {name: (shifts, v.mean(1)) for name, v in kept.items()}, markers=True,
    bands={name: v.aminmax(dim=1) for name, v in kept.items()},
    xlabel="shift of the test digits, in pixels", ylabel="accuracy",
    caption=f"Trained on {most} digits, tested on shifted ones. Bands: spread. Chance is 10 %.",
    alt=f"Accuracy against shift; at {shifts[-1]} pixels {ends}.")

# %%
rivals = ("fully_connected", "fully connected"), ("convolutional", "maximum")
straight = {kind: accuracies(name, 300).tolist() for kind, name in rivals}
shifted = {kind: kept[name][-1].tolist() for kind, name in rivals}
display(claims.ch02.beats_fully_connected(**straight))
claims.ch02.invariant_head_survives_shifts(**shifted)

# %% [markdown]
# Fairness asks for two remarks. The fully connected network *could* learn shifts, if we showed it shifted digits: that
# is augmentation, and [chapter 07](07_symmetry.ipynb#symmetric-problems) measures what it costs. And an invariant
# network cannot tell *where* the digit is; if that matters, the maximum is the wrong head.
#
# ## Many layers see far
#
# One 3×3 layer sees one pixel in each direction. A stack of $L$ sees $L$: the **receptive field** of a pixel of the
# output has the side $1+L(k-1)$. But most of it hardly counts. A path from input to output is a walk of $L$ random
# steps, so the influence spreads like the square root, with standard deviation $\sqrt{2L/3}$ if all nine steps are
# equally likely {cite}`luo2016`. We measure it by the gradient of one output pixel, in eight random networks for each
# depth: the square that is seen at all grows like the depth, the bright spot like its square root.

# %%
spots, sigmas = {}, {}
for depth in (1, 2, 4, 8):
    nets = (ConvolutionalNetwork((1, *[16] * depth), 1, size=23) for _ in range(8))
    power = sum(influence(net, torch.randn(8, 1, 23, 23)) for net in nets)
    across, theory = power.sum(0) / power.sum(), (2 * depth / 3) ** 0.5
    sigma = sigmas[depth] = float((across * (torch.arange(23) - 11) ** 2).sum()) ** 0.5
    spots[f"L = {depth}: σ = {sigma:.2f}, theory {theory:.2f}"] = (power / power.max()).sqrt()
display(figures.images(
    list(spots.values()), list(spots), size=2.2,
    caption="How much each input pixel moves the middle of the output. Theory is √(2L/3).",
    alt="A bright spot in a square of 3, 5, 9 and 17 pixels a side: " + "; ".join(spots)))
display(claims.ch02.receptive_field_grows(), claims.ch02.influence_walks(sigmas=sigmas))

# %% [markdown]
# ## Other dimensions, and graphs
#
# Nothing in {eq}`eq-convolution` asks for *two* dimensions. Sound lives on $\mathbb Z$, a medical scan on
# $\mathbb Z^3$, and $W_{xy}=\kappa(y-x)$ stands. To read off the matrix of any linear layer, we apply it to the basis
# vectors.
# Each dimension adds a level of bands within bands.
#
# On a graph there is no $y-x$, only neighbours. The simplest graph layer, up to a normalisation {cite}`kipf2017`, has
# one matrix for a node itself and one for *all* its neighbours,
#
# $$
# z_i=\sigma\Bigl(W_{\text{self}}\,f_i+\sum_{j\sim i}W_{\text{neighbour}}\,f_j+b\Bigr).
# $$ (eq-graph)
#
# The grid is a graph too: its adjacency matrix is the constrained $W$ of a kernel that is 1 on the four arms of a
# cross. There {eq}`eq-graph` is a convolution, whose kernel is a cross with four equal arms.

# %%
matrices, basis = {}, torch.eye(36)
for conv, *sides in (F.conv1d, 36), (F.conv2d, 6, 6), (F.conv3d, 3, 3, 4):
    k = torch.randn(1, 1, *len(sides) * [3], generator=run.generator(len(sides)))
    matrices[f"{len(sides)}-D"] = conv(basis.view(36, 1, *sides), k, padding=1).view(36, 36).T
cross = torch.tensor([[[[0.0, 1, 0], [1, 0, 1], [0, 1, 0]]]])
graph = GraphConvolution(1, 1, constrained_weights(cross, 6, 6, padding="circular"))
matrices["graph"] = (graph(basis[..., None]) - graph.itself.bias)[..., 0].detach().T
display(figures.images(
    [w / w.abs().max() for w in matrices.values()], list(matrices), signed=True, size=2.2,
    caption="W on 36 points, own scales: line, square, box, torus graph; 3, 9, 27, 2 numbers.",
    alt="Four 36 by 36 band matrices; the first three have 3, 9 and 27 diagonals, in threes."))
display(claims.ch02.other_dimensions(), claims.ch02.graph_is_a_cross())
claims.ch02.graph_has_no_directions()

# %% [markdown]
# The last line is the price. A graph layer commutes with *every* renumbering of the nodes that respects the edges: with
# translations, and with quarter turns and mirror images as well. More symmetry is less freedom. A filter for
# vertical edges changes its sign in the mirror, and no choice of the two numbers brings it back: left and right have
# the same weight.
#
# ## Break it
#
# Where does a broken symmetry show? We draw $|F(T_af)-T_aF(f)|$ for a shift by one pixel, for the intact layer and for
# three that violate a hypothesis of {prf:ref}`thm-commutant`: no torus, a coarser output, a preferred position. Zero
# padding fails at the two borders that the shift crosses; the stride at the edges in the picture, which fall on other
# pixels; position where the number jumps, and a little, too dark to see, everywhere.

# %%
names, a = ["intact", "zero padding", "stride 2", "position as input"], (0, 1)
four = layer, zero_padded, strided, knows_its_place
errors = [(one(translate(f, a)) - translate(one(f), a))[0].norm(dim=0) for one in four]
titles = [f"{name}: 0 … {float(error.max()):.2g}" for name, error in zip(names, errors)]
figures.images(
    errors, titles, size=2.2, alt="Four maps of the error, with ranges: " + ", ".join(titles),
    caption="Where shifting first and shifting last differ: black is 0, white the most.")

# %% [markdown]
# **Try it.** Choose a filter below, or type your own nine numbers, and shift the picture. (1) Set the stride to 2 and
# move the shift through 1, 2, 3, 4: when does the error vanish? Does a blur kernel lower it, and why? (2) Switch to
# zero padding: where does the difference sit, and what does the read-out say about the interior?

# %%
KernelEditor(F.avg_pool2d(grey, 2)[0], names=["photograph"])

# %% [markdown]
# :::{admonition} What we saw
# :class: dropdown
# (1) At the shifts 2 and 4 the error is exactly 0, for every kernel. At 1 and 3 it is 0.97 for the Laplace filter, 0.12
# for the identity and 0.09 for the blur. A stride can follow only what changes slowly from pixel to pixel: the Laplace
# filter keeps the rest, the blur takes it away. (2) For the Laplace filter and a shift by one, the error is 0.47, all
# of it in the columns at the left and at the right border; in the interior it is 0.
# :::

# %% [markdown]
# ## Exercises
#
# Replace the dots and run the cell; the checker answers ✓ or names the mistake. The solution is folded below each.
#
# :::{exercise} How many parameters?
# :label: ex-cnn-parameters
# **●○○ · 3 minutes · teaches: what the constraints leave.** Return the number of parameters of a layer from `n` to `m`
# channels with `k` × `k` kernels, bias included.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# What is the shape of κ(d) for one difference d, and how many d are there?
# :::
#
# :::{admonition} Hint 2
# :class: dropdown
# The bias b is added at every x, and it is the same b. How many components has z(x)?
# :::

# %% tags=["exercise"]
def my_parameters(n, m, k):
    ...

check.ch02.parameters(my_parameters)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_parameters(n, m, k):
    return m * n * k**2 + m

check.ch02.parameters(solved_parameters)

# %% [markdown]
# :::{exercise} The filter that slides
# :label: ex-cnn-sliding
# **●●○ · 8 minutes · teaches: indices, channels, and where a window fits.** `kernel` has the shape `(m, n, k, k)`, `f`
# the shape `(n, h, w)`. Return $\sum_y\kappa(y-x)f(y)$ for all $x$ for which the window lies on the picture. Use no
# convolution of PyTorch's.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# How many places has a window of k pixels on a side of h? Make a zero tensor of that shape first.
# :::
#
# :::{admonition} Hint 2
# :class: dropdown
# For a fixed point (i, j) of the kernel, all its products with f are one matrix times a shifted piece of f.
# :::

# %% tags=["exercise"]
def my_sliding_filter(kernel, f):
    ...

check.ch02.sliding_filter(my_sliding_filter)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_sliding_filter(kernel, f):
    m, _, k, _ = kernel.shape
    h, w = f.shape[1] - k + 1, f.shape[2] - k + 1
    z = f.new_zeros(m, h, w)
    for i, j in product(range(k), range(k)):
        z += torch.einsum("mn,nhw->mhw", kernel[:, :, i, j], f[:, i : i + h, j : j + w])
    return z

check.ch02.sliding_filter(solved_sliding_filter)

# %% [markdown]
# :::{exercise} One row of W
# :label: ex-cnn-row
# **●●○ · 8 minutes · teaches: locality, sharing and the border.** Return the row $(W_{xy})_y$ of the constrained
# matrix, of shape `(height * width,)`, for zero padding, one channel and a 3 × 3 `kernel` whose middle entry is
# $\kappa(0)$. `x` is a pair (row, column); pixels $y$ are counted as `flatten()` does.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Fill a picture of shape (height, width) first, and flatten it at the end.
# :::
#
# :::{admonition} Hint 2
# :class: dropdown
# Draw the window for x = (0, 0). Which of its nine entries have a pixel?
# :::

# %% tags=["exercise"]
def my_row_of_w(kernel, x, height, width):
    ...

check.ch02.row_of_w(my_row_of_w)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_row_of_w(kernel, x, height, width):
    row = kernel.new_zeros(height, width)
    for i, j in product(range(height), range(width)):
        a, b = i - x[0] + 1, j - x[1] + 1
        if 0 <= a < 3 and 0 <= b < 3:
            row[i, j] = kernel[a, b]
    return row.flatten()

check.ch02.row_of_w(solved_row_of_w)

# %% [markdown]
# :::{exercise} How far from equivariant?
# :label: ex-cnn-error
# **●●○ · 5 minutes · teaches: the definition of equivariance, with both shifts in place.** Return
# $\lVert F(T_af)-T_aF(f)\rVert/\lVert F(f)\rVert$ for a `layer` $F$ that keeps height and width, pictures `f` of shape
# `(batch, n, h, w)`, and a shift `a` = (rows, columns) on the torus: `translate(f, a)` is $T_af$.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Write the two orders on two lines. Which letter stands at the left in each?
# :::
#
# :::{admonition} Hint 2
# :class: dropdown
# Invariance is F(T_a f) = F(f). That is another question.
# :::

# %% tags=["exercise"]
def my_equivariance_error(layer, f, a):
    ...

check.ch02.equivariance_error(my_equivariance_error)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_equivariance_error(layer, f, a):
    z = layer(f)
    return float((layer(translate(f, a)) - translate(z, a)).norm() / z.norm())

check.ch02.equivariance_error(solved_equivariance_error)

# %% [markdown]
# :::{exercise} A kinder stride
# :label: ex-cnn-blur
# **●●● · 12 minutes · teaches: aliasing, and convolution channel by channel.** Before it drops pixels, a stride can
# blur {cite}`zhang2019`. Given `z` of shape `(batch, n, h, w)` on the torus, apply the window
# $\frac1{16}(1\;2\;1)^{\mathsf T}(1\;2\;1)$ to each channel, and keep every second row and column, from 0 on. Then
# measure `shift_equivariance_error` of `layer` followed by yours, for a shift by one, beside `layer` with stride 2:
# what is left of it?
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Circular padding, window, stride: which comes first? What does the window do to a constant picture?
# :::
#
# :::{admonition} Hint 2
# :class: dropdown
# The window has a row factor and a column factor. A sum of three rolled copies is one factor, for all channels at
# once.
# :::

# %% tags=["exercise"]
def my_blurred_stride(z):
    ...

check.ch02.blurred_stride(my_blurred_stride)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_blurred_stride(z):
    for axis in (-2, -1):
        z = (z.roll(1, axis) + 2 * z + z.roll(-1, axis)) / 4
    return z[..., ::2, ::2]

check.ch02.blurred_stride(solved_blurred_stride)

# %% tags=["hide-cell"]
for name, one in ("plain", strided), ("blurred", lambda g: solved_blurred_stride(layer(g))):
    print(name, "stride:", f"{shift_equivariance_error(one, f, (0, 1), stride=2):.3f} is left")

# %% [markdown]
# ## What to read next
#
# - [Chapter 07](07_symmetry.ipynb) replaces the translations of the torus by any group: {prf:ref}`thm-commutant`
#   becomes the theorem that every linear equivariant map is a group convolution {cite}`cohen2016`. Chapter 08 will do it
#   for rotations of the sphere.
# - {cite:t}`gerken2021` is the review behind the talk; its kernel constraints are {eq}`eq-constrained` on bundles.
# - {cite:t}`lecun1998` is where the digits, and much of this, began; {cite:t}`azulay2019` show how far today's
#   classifiers are from invariant.

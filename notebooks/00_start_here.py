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
# # Start here
#
# This course makes a talk run. The talk is Jan E. Gerken's *Geometric Deep Learning: From Pure Math to Applications*
# {cite}`gerken2023`; the course is independent of him. Each chapter takes a passage of the talk, states it with care, builds it
# in code short enough to read, lets you move it with your own hands, and then **measures** it: next to every statement stands
# the number that was just found.
#
# You read a chapter from top to bottom, running each cell with Shift-Enter. Widgets have sliders. Exercises have a checker that
# names your mistake. If you read this as a static page, the widgets live all the same; exercises want a kernel:
# `make lab` in a clone of the repository.

# %% tags=["parameters"]
profile = "laptop"

# %%
import torch

from gdl_lab import claims, data, figures, runtime
from gdl_lab.exercises import check
from gdl_lab.widgets import LinearRegions

run = runtime.start(profile)

# %% [markdown]
# ## Will it run here?
#
# Yes: everything runs on two cores without a GPU and without a network. The table says what this machine adds. The *profile* in
# the first cell decides how long things take: `smoke` cuts all training short, `laptop` keeps a chapter under three minutes,
# `full` is for a GPU or an evening. Change it there, or set `GDL_LAB_PROFILE` before you start.

# %%
has_gpu, has_mnist = run.device.type != "cpu", data.on_this_machine("mnist")
digits = "chapters use the 28×28 digits" if has_mnist else "chapters use real 8×8 digits instead"
figures.table(
    ["what", "here", "what it means for you"],
    [
        ["profile", run.profile, runtime.PROFILES[run.profile]],
        ["device", str(run.device), "long training runs use it" if has_gpu else "enough; a GPU would help in full"],
        ["cores", str(torch.get_num_threads()), "two are enough"],
        ["MNIST", "there" if has_mnist else "not there", digits],
        ["network", "not needed", "no chapter connects to anything"],
    ],
    caption="This machine. To get MNIST: gdl-lab data fetch mnist (11.6 MB).",
)

# %% [markdown]
# (geometry-plus-deep-learning)=
# ## Geometric Deep Learning = Geometry + Deep Learning
#
# :::{admonition} The talk · “What is Geometric Deep Learning?”
# :class: talk
# Geometry on one side, machine learning with neural networks on the other: geometric deep learning is their sum
# {cite}`bronstein2017`.
# :::
#
# Here is the smallest thing that is both. A neural network of seven hidden units divides the plane into polygons and is an affine map
# on each of them (geometry); its weights follow the gradient of an error (deep learning). Drag one of the lines, or press
# *gradient step* a few times. [Chapter 01](01_mlp_backprop.ipynb#neural-networks) builds everything you see.

# %%
LinearRegions()

# %% [markdown]
# On the way, every statement of the talk that can be measured is measured. In a notebook the number stands on a line of its
# own, like the next one; `gdl-lab claims` prints the whole ledger.

# %% [markdown]
# (enter-geometry)=
# ## Enter: Geometry
#
# :::{admonition} The talk · “Enter: Geometry”
# :class: talk
# Deep learning lacks a strong theoretical foundation: neural networks are complicated functions, and the training process is
# stochastic. Geometry can help to alleviate these problems.
# :::
#
# How stochastic? We train one network on the two moons of chapter 01 five times, changing nothing but the seed, and ask where
# the five disagree. On the data they are nearly equal; over the square they are not.

# %%
claims.ch00.training_is_stochastic()

# %% [markdown]
# The talk follows geometry to three places. To the **data**, which are thought to fill a thin neighbourhood of a submanifold:
# there a normalizing flow induces a metric, and the metric tells counterfactuals from adversarial examples (chapters 03 to 06). To
# the **problem**, whose symmetries can be built into the network: groups, the sphere, and gauge fields (02 and 07 to 10). And to
# the **space of networks**, where infinite width makes training a linear flow ([appendix A1](A1_infinite_width.ipynb#infinite-width)).
# There is a way back too: deep learning that helps to find mathematics ([appendix A2](A2_new_mathematics.ipynb#novel-mathematics)).
#
# (map)=
# ## The map of the talk
#
# Every section of the talk, in its order, with its place in the course. Sections in *framing* announce or recall; each of the
# others is measured.

# %%
display(claims.show_map(), claims.ch00.every_section_has_its_place())

# %% [markdown]
# ### Three paths
#
# - **20 minutes.** The widget above; [the linear regions of chapter 01](01_mlp_backprop.ipynb#neural-networks); the kernel editor of
#   [chapter 02](02_cnn.ipynb#convolutional-networks).
# - **60 minutes.** [Chapter 01](01_mlp_backprop.ipynb) from the top with the exercise on backpropagation, then
#   [chapter 02](02_cnn.ipynb) up to the theorem on translations.
# - **180 minutes.** Both chapters with all exercises, and “break it” in each: make a hypothesis fail and predict the number first.
#   Or the geometry of the data: [chapter 03](03_manifold_hypothesis.ipynb), then [chapter 04](04_normalizing_flows.ipynb),
#   then the two theorems of [chapter 05](05_induced_metric.ipynb#gradient-ascent), and what they are for,
#   [chapter 06](06_counterfactuals.ipynb). Or the geometry of the problem: [chapter 02](02_cnn.ipynb), then
#   [chapter 07](07_symmetry.ipynb), then [chapter 09](09_gauge_bundles.ipynb) up to its theorem on holonomy
#   or [chapter 10](10_lattice_gauge_fields.ipynb) up to its frozen topology; or, after chapter 07, what ensembles learn of a
#   symmetry by themselves, [appendix A1](A1_infinite_width.ipynb).
#
# (dictionary)=
# ## A dictionary
#
# Most ideas of this course have three names. Rows without code belong to chapters that are not written yet.

# %%
claims.show_dictionary()

# %% [markdown]
# (geometry-in-deep-learning)=
# ## Geometry in Deep Learning
#
# The second half of the talk, under this title, is about symmetric problems. The idea fits on one line. If a group $G$ acts on
# inputs by $\rho$ and on outputs by $\sigma$, a network fits the problem when
#
# $$
# f_\theta(\rho(g)\,x)=\sigma(g)\,f_\theta(x)\qquad\text{for all } g\in G .
# $$ (eq-equivariance)
#
# [Chapter 02](02_cnn.ipynb#convolutional-networks) finds all linear maps with this property for translations, and measures what
# breaks it. The general theory, from sets to bundles, is reviewed in {cite:t}`gerken2021`.
#
# ## A first exercise
#
# :::{exercise} ReLU
# :label: ex-start-relu
# **●○○ · 1 minute · teaches: how exercises work here.** Write $\mathrm{ReLU}(x)=\max(x,0)$ for a tensor `x` of any shape. Get it
# wrong first, and see what the checker says.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# `torch.clamp`, `torch.maximum` and a mask all lead there.
# :::

# %% tags=["exercise"]
def my_relu(x):
    ...

check.ch00.relu(my_relu)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_relu(x):
    return x.clamp(min=0)

check.ch00.relu(solved_relu)

# %% [markdown]
# (conclusions)=
# ## Where the talk arrives
#
# :::{admonition} The talk · “Conclusions”
# :class: talk
# Deep learning is a transformative technology that lacks a strong theoretical basis. Geometry can help in several key parts of
# the learning process: the data can be studied by differential geometry, networks exploit the symmetries of the problem, and
# new areas of mathematics enter.
# :::
#
# Each of these is a row of the map above. Now open [chapter 01](01_mlp_backprop.ipynb).

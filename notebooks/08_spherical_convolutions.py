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
# # Spherical convolutions
#
# By the end of this chapter we have computed both convolutions of the talk twice, as integrals and as products of spectra;
# we know why the first layer leaves the sphere for $\mathrm{SO}(3)$, and what the one step is that is not exactly
# equivariant; and we have trained networks on upright digits that read and segment turned ones, beside planar networks
# with and without rotated copies. It takes about 90 minutes, and runs in three on two cores. We need
# [chapter 07](07_symmetry.ipynb).
#
# Where we are: [the map of the talk](00_start_here.ipynb#map).

# %% tags=["parameters"]
profile = "laptop"

# %%
import math
from timeit import repeat

import torch
from IPython.display import display
from torch.nn import functional as F

from gdl_lab import claims, data, figures, runtime
from gdl_lab.claims import contest, spheres
from gdl_lab.exercises import check
from gdl_lab.recipes import sweeps
from gdl_lab.sphere import S2FFT, SO3FFT, digits_on_sphere, random_rotations, wigner_D
from gdl_lab.widgets import Globe, SweepFigure

run = runtime.start(profile)

# %% [markdown]
# (spherical-convolutions)=
# ## Functions on the sphere
#
# :::{admonition} The talk · “Spherical group convolutions”
# :class: talk
# For $G=\mathrm{SO}(3)$, $H=\mathrm{SO}(2)$, so $G/H=S^2$, explicit implementations are available. Consider data
# $f:S^2\to\mathbb R^n$, e.g. pictures from fisheye cameras. In the first layer, and in subsequent layers,
#
# $$
# (\kappa\star f)(R)=\int_{S^2}\!dx\;\kappa(R^{-1}x)f(x),\qquad(\psi\star g)(S)=\int_{\mathrm{SO}(3)}\!dR\;\psi(R^{-1}S)g(R).
# $$
#
# Both are in practice computed in the Fourier domain, leverage FFT:
# $(\kappa\star f)^l_{mn}=\kappa^l_mf^l_n$ and $(\psi\star g)^l_{mn}=\sum_kf^l_{mk}\psi^l_{kn}$. After the final
# convolution integrate over $\mathrm{SO}(3)$ for invariance and over $\mathrm{SO}(2)$ for equivariance.
# :::
#
# :::{prf:definition} The sphere as a homogeneous space
# :label: def-sphere
# $\mathrm{SO}(3)$ acts on $S^2$, and any point is $x=Re$ with $e$ the north pole. $R$ and $R'$ give the same point if and
# only if $R'=Rh$ with $h$ in $H=\mathrm{SO}(2)$, the turns about $e$: $S^2=\mathrm{SO}(3)/\mathrm{SO}(2)$. Rotations act
# on functions on both by $(\Lambda_Qf)(x)=f(Q^{-1}x)$. With Euler angles, $R=R_e(\alpha)R_\perp(\beta)R_e(\gamma)$,
#
# $$
# dx=\frac{d\alpha\,\sin\beta\,d\beta}{4\pi},\qquad dR=\frac{d\alpha\,\sin\beta\,d\beta\,d\gamma}{8\pi^2}
# $$ (eq-haar)
#
# are the measures of mass 1 that all $\Lambda_Q$ leave alone; the second is the **Haar measure**.
# :::
#
# We lay a digit onto the sphere by stereographic projection. Above is what we see from outside, below the **chart**,
# with $\beta$ downwards and $\alpha$ to the right. On the globe turning is turning. And on the chart?

# %%
digits = data.load("mnist", "test", otherwise="digits8")
fine = S2FFT(48)
tilts = {f"tilted by {t}°": spheres.tilt(t) for t in (0, 30, 60, 90)}
shown = {name: digits_on_sphere(digits.x[:1], fine.grid(), R, size=0.7)[..., 0]
         for name, R in tilts.items()}
figures.globes(
    shown, fine.grid(), size=2.2,
    caption="A digit and its charts: towards a pole the chart bends, widens and tears it.",
    alt="A digit on the globe at tilts of 0, 30, 60 and 90 degrees; on the charts it is "
    "upright, then more and more bent, at last spread over the whole width.")

# %% [markdown]
# ## Their spectra
#
# :::{prf:definition} Fourier series on $S^2$ and $\mathrm{SO}(3)$
# :label: def-wigner
# The spherical harmonics $Y^l_m$, $l=0,1,\dots$, $\lvert m\rvert\le l$, are an orthonormal basis of functions on $S^2$.
# Those of degree $l$ span an irreducible representation of $\mathrm{SO}(3)$, whose matrices are **Wigner's**,
#
# $$
# Y^l_n(R^{-1}x)=\sum_mD^l_{mn}(R)\,Y^l_m(x).
# $$ (eq-wigner)
#
# By Peter and Weyl the functions $\sqrt{2l+1}\,\overline{D^l_{mn}}$ are an orthonormal basis on $\mathrm{SO}(3)$; with the
# bar those of $n=0$ are the $Y^l_m$, at $x=Re$. So $f=\sum f^l_mY^l_m$ and
# $F=\sum F^l_{mn}\sqrt{2l+1}\,\overline{D^l_{mn}}$; **bandlimit** $L$ means $l=0,\dots,L-1$, which leaves $L^2$ and
# $L(4L^2-1)/3$ numbers. By {eq}`eq-wigner`, and as $D^l(Q^{-1}R)=D^l(Q)^\dagger D^l(R)$, rotations act on the *left* index
# alone,
#
# $$
# (\Lambda_Qf)^l=D^l(Q)f^l,\qquad(\Lambda_QF)^l=D^l(Q)F^l.
# $$ (eq-left)
# :::
#
# Our basis is real (chapter 07's irreps, as in `e3nn`): all the same without conjugates. How many degrees does a digit
# need? We cut its spectrum, and then turn the spectrum in place of the picture.

# %%
picture = shown["tilted by 0°"]
coeffs = fine.analysis(picture)
power = [float(fine.block(coeffs, degree).square().sum()) for degree in range(32)]
kept = torch.arange(len(coeffs))
cut = {f"L = {L}": fine.synthesis(torch.where(kept < L**2, coeffs, 0)) for L in (4, 10, 16)}
R = tilts["tilted by 60°"]
turned = fine.synthesis(fine.rotate(coeffs, R.to(coeffs)))
off = float((turned - shown["tilted by 60°"]).norm() / picture.norm())
display(figures.globes(
    {**cut, "spectrum turned": turned}, fine.grid(), size=2.2,
    caption="Ten degrees suffice to read it. The turned spectrum is the turned picture up to "
    f"{off:.1%}: pictures have edges, and what is beyond the bandlimit is lost.",
    alt=f"The digit from 4, 10 and 16 degrees; turned by its spectrum, off by {off:.1%}."))
figures.curves(
    {"digit": (torch.arange(32), power)}, log="y", xlabel="degree l",
    ylabel="power, Σ over m of |f|²",
    caption="The sum of all powers is the mean of the squared picture, by Parseval.",
    alt="Power at l = 0, 10, 20, 30: " + ", ".join(f"{p:.2g}" for p in power[::10]))

# %% [markdown]
# ### How it is computed
#
# **Analysis** takes a function to its coefficients, **synthesis** leads back. As one matrix, synthesis on $\mathrm{SO}(3)$ takes
# $L(4L^2-1)/3$ coefficients to $4L^3$ points of a grid: some $5L^6$ numbers. In Euler's angles
# $D^l_{mn}=e^{-im\alpha}\,d^l_{mn}(\beta)\,e^{-in\gamma}$, and the sum can be taken one angle after the other: over $l$ at each
# $\beta$, then the waves in $\alpha$ and in $\gamma$, of the order of $L^4$ multiplications each. (We take the waves as small
# products of matrices. An FFT would save there, but the sum over $l$ stays.) From which bandlimit on does that pay?

# %%
lines = []
for L in run.pick(smoke=(4, 6), laptop=(4, 8, 12)):
    fast = SO3FFT(L)
    matrix = fast.synthesis(torch.eye(fast.size)).flatten(0, 2)
    many = torch.randn(fast.size, 32)
    dense, ours = (1e3 * min(repeat(lambda: work(many), number=1, repeat=20))
                   for work in (matrix.matmul, fast.synthesis))
    lines.append([L, f"{matrix.numel():,}", dense, ours, dense / ours])
figures.table(["L", "numbers in the matrix", "matrix, ms", "transform, ms", "ratio"], lines,
              caption="Synthesis of 32 spectra on SO(3) in single precision, the fastest of 20 "
              "runs: small matrices win as they are, large ones lose by more and more.")

# %% [markdown]
# ## The first layer
#
# The integral to the letter: at each $R$ we carry the kernel there and take the weighted mean of its product with $f$.
# And in Fourier space: one product for each degree.

# %%
L = 8
fft, rng = S2FFT(L, dtype=torch.float64), run.generator(1)
f, kappa = torch.randn(2, L * L, dtype=torch.float64, generator=rng)

def first_layer(R):                              # ∫ κ(R⁻¹x) f(x) dx
    product = fft.synthesis(fft.rotate(kappa, R)) * fft.synthesis(f)
    return (fft.weights * product.mean(1)).sum()  # the weights are sin β dβ / 2

spectrum = [torch.outer(fft.block(f, k), fft.block(kappa, k)) for k in range(L)]  # no f̄: real

def first_layer_by_spectra(R):
    return sum((A * D).sum() for A, D in zip(spectrum, wigner_D(L, R)))

for R in random_rotations(3, rng):
    print(f"{first_layer(R):+.12f}   {first_layer_by_spectra(R):+.12f}")
claims.ch08.convolutions_are_the_integrals()

# %% [markdown]
# :::{prf:theorem} Convolution theorem
# :label: thm-convolution
# In the complex basis, with $f^l_m=\int f\,\overline{Y^l_m}\,dx$, and for real $f$ and $\kappa$ in the first line,
#
# $$
# \kappa\star f=\sum_{lmn}f^l_m\,\overline{\kappa^l_n}\;\overline{D^l_{mn}},\qquad
# (\psi\star F)^l_{mn}=\frac1{\sqrt{2l+1}}\sum_kF^l_{mk}\psi^l_{kn}.
# $$ (eq-convolution-theorem)
# :::
#
# :::{prf:proof}
# Insert {eq}`eq-wigner`: $\kappa(R^{-1}x)=\sum\kappa^l_nD^l_{mn}(R)Y^l_m(x)$, and $\int Y^l_mf\,dx=\overline{f^l_m}$ as $f$ is
# real. So $(\kappa\star f)(R)=\sum\overline{f^l_m}\kappa^l_nD^l_{mn}(R)$; it is real, take the conjugate. For the second,
# $D^l$ is a unitary representation: $\overline{D^l_{kn}(R^{-1}S)}=\sum_mD^l_{mk}(R)\,\overline{D^l_{mn}(S)}$, and
# $\int D^l_{mk}F\,dR=F^l_{mk}/\sqrt{2l+1}$. Hence
# $(\psi\star F)(S)=\sum F^l_{mk}\psi^l_{kn}\overline{D^l_{mn}(S)}$; the root is that of the basis.
# :::
#
# Beside the slide: the second line stands there, up to the root, a matter of units. In the first, the *indices change
# places* and *one factor is conjugated*. That the order cannot be otherwise one sees without a calculation: by
# {eq}`eq-left`, $m$ is what rotations act on, and it is $f$ that they rotate. (Who writes the slide's $D^l$ for
# $D^l(R^{-1})$ has the order, and lacks the conjugate.)

# %%
claims.ch08.slide_in_fourier_space()

# %% [markdown]
# ### Why not stay on the sphere?
#
# An output on $S^2$ would have to be the same at $R$ and $Rh$. In {eq}`eq-convolution-theorem` this leaves $n=0$ alone:
# $\kappa$ becomes **zonal**, a function of the distance from its pole, one number for a degree, and sees no
# direction: the isotropic kernels of chapter 07. With outputs on $\mathrm{SO}(3)$ every $\kappa$ is allowed. As there,
# we let the machine solve $W\rho(R)=\sigma(R)W$, and convolutions are *all* there is (Schur's lemma, degree by degree).

# %%
display(claims.ch08.all_linear_maps())
display(claims.ch08.convolutions_are_equivariant(), claims.ch08.integrals_at_the_end())

# %% [markdown]
# The layers are exact, whatever the kernel, also if it is a sum of points near the identity (**local** kernels), and if
# only right indices $\lvert n\rvert<N$ are kept: $n$ carries the kernel, rotations never touch it. This cut makes our
# networks fast. Why the ends work is in {eq}`eq-left` too: the integral over $\mathrm{SO}(3)$ keeps $F^0_{00}$, on which
# $D^0=1$ acts, and that over the fibre $\mathrm{SO}(2)$ the column $n=0$, a spectrum on $S^2$.
#
# ## The step that is not exact
#
# Between the layers a nonlinearity acts on *values*: synthesis on a grid, ReLU, analysis. ReLU commutes with rotations
# of functions, but its output has no bandlimit. Beyond what the grid resolves, degrees look like lower ones; this
# **aliasing** does not rotate along. For $x^2$ the degrees end at $2L-2$, and a grid 1.5 times as dense separates them
# from those below $L$.

# %%
x, poses = spheres.smooth(8, seed=1), random_rotations(3, run.generator(2))
densities = [1, 1.25, 1.5, 1.75, 2, 2.5, 3]
acts = {"ReLU": torch.relu, "SiLU": F.silu, "x²": torch.square}
fall = {
    name: (densities, [spheres.aliasing(act, s, x, 8, poses) for s in densities])
    for name, act in acts.items()}
display(figures.curves(
    fall, log="y", markers=True, xlabel="points along each axis, relative to the bandlimit's",
    ylabel="equivariance error",
    caption="The smoother the function, the faster aliasing falls; x² is exact from 1.5 on.",
    alt="; ".join(f"{k} at 1: {v[0]:.1g}, 1.5: {v[2]:.1g}, 2: {v[4]:.1g}"
                  for k, (_, v) in fall.items())))
display(claims.ch08.nonlinearity_aliases())
Globe()

# %% [markdown]
# **Try it.** (1) Drag a globe; compare the zonal convolution and ReLU at densities 1 and 3. (2) Take the 3 × 3 kernel
# on the chart: does a denser grid help? (3) Set β to 0: why is the chart innocent now? (4) With both, at density 1, lower
# the bandlimit to 6: the picture has less to lose, and yet the error grows. (What ReLU adds beyond it falls on fewer degrees.)
#
# ### Break it
#
# Four lines one writes by mistake. ReLU of *coefficients*; a bias on each of them rather than on $l=0$; an operation on
# the left index, and, for comparison, the same one on the right; a planar kernel on the chart.

# %%
broken = claims.ch08.mistakes_break_it()
display(figures.table(
    ["operation", "equivariance error"],
    [[k.replace("_", " "), v] for k, v in broken.extra.items() if k != "seed"],
    caption="On random spectra of bandlimit 6."))
broken

# %% [markdown]
# (equivariance-versus-augmentation)=
# ## Digits on the sphere
#
# :::{admonition} The talk · “Equivariant networks vs. data augmentation”
# :class: talk
# To compare equivariance and data augmentation, consider semantic segmentation of MNIST projected onto the sphere and
# randomly rotated. For data augmentation, add rotated versions of projected MNIST digits. In this case, performance of
# equivariant networks cannot be reached by data augmentation.
# :::
#
# First the data. Whoever repeats the published experiments {cite}`cohen2018,gerken2022` with the code of their time gets
# things unasked: a sampler that interpolates between pixels *two* apart (not bilinear: its pictures jump, and their
# range is rescaled); *one* rotation for 500 pictures, hence 120 for 60,000; and, in segmentation, a loss and scores that
# count all points of the chart alike. We sample truly, draw a fresh rotation for each picture, and weight by area. A
# switch brings the old ways back. Below, R is for rotated and NR for upright, training before test: NR/R has seen upright
# digits and is asked about turned ones.

# %%
ways = {"bilinear": {}, "stencil of width two": {"stencil": 2}}
display(figures.globes(
    {k: digits_on_sphere(digits.x[:1], fine.grid(), **w)[..., 0] for k, w in ways.items()},
    fine.grid(), size=2.4, caption="One digit, sampled rightly and as in the published code.",
    alt="Two globes; on the second the strokes are doubled and have ragged edges."))
display(claims.ch08.published_stencil_jumps(), claims.ch08.area_is_kept_by_rotations())
stored = sweeps.stored("sphere-classification")
cases = {"bilinear, fresh": {}, "width two": {"stencil": 2}, "a pose for 33": {"shared": 33},
         "a pose for 500": {"shared": 500}, "both": {"stencil": 2, "shared": 500}}
planar = {"network": "planar", "rotated": True, "digits": 4000, "steps": 2000}
spherical = {"network": "equivariant", "rotated": False, "digits": 1000, "steps": 2000}
asked = {"spherical, NR/R": ("turned", spherical), "planar, R/R": ("turned", planar),
         "planar, R/R, 20 poses": ("turned_shared", planar)}
lines = [[who, name, contest.stored_shares(stored, column, **setting, **at)]
         for who, (column, setting) in asked.items() for name, at in cases.items()]
figures.table(
    ["network", "data", "share read"], [line for line in lines if line[-1] != "–"],
    caption="What is stored of the defects' effect, at equal steps; in brackets the seeds.")

# %% [markdown]
# Visible is not the same as decisive. The stencil costs the planar network one to two and a half points, and the spherical one
# nothing. Shared poses decide about a network that has to *learn* them: one for 500 pictures leaves eight for 4,000 digits, and
# some twenty points of a hundred are lost, in every seed; one for 33, about as many poses as 60,000 published pictures had,
# costs two or three. A test in twenty poses tells about the same; they are the same twenty in every line, so that how much
# hangs on which is not seen here.
#
# ## Reading
#
# Three layers $S^2\to\mathrm{SO}(3)\to\mathrm{SO}(3)\to\mathrm{SO}(3)$ of bandlimits 10, 8, 5 with batch normalisation on
# spectra, an integral over $\mathrm{SO}(3)$, a linear readout; beside it a planar network whose padding closes the chart
# over the poles, with a rate and a pooling of its own. Both see 1,000 *upright* digits and are then asked about fresh
# rotations.

# %%
n, steps, tested = run.pick(smoke=(100, 20, 100), laptop=(1000, 500, 1000))
readers = spheres.read_digits(n, steps, tested=tested)
shares = spheres.read_shares(readers)
published = {"spherical": (0.96, 0.95, 0.94), "planar": (0.98, 0.23, 0.11)}
networks = {"spherical": "equivariant", "planar": "planar"}
lines = []
for name, (upright, fresh) in shares.items():
    kept = (contest.stored_shares(stored, column, network=networks[name], rotated=turned,
                                  digits=1000, steps=500)
            for column, turned in (("upright", False), ("turned", True), ("turned", False)))
    lines += [[name, "here", f"{upright:.1%}", "–", f"{fresh:.1%}"], [name, "stored", *kept],
              [name, "published", *(f"{v:.0%}" for v in published[name])]]
display(figures.table(
    ["network", "", "NR/NR", "R/R", "NR/R"], lines,
    caption=f"Here: {n} digits of {readers.test.name}, {steps} steps. Stored: 1,000 others, 500 steps, "
    "in brackets the seeds. Published: 60,000 digits (Cohen et al., 2018)."))
if n == 1000 and readers.test.name == "mnist":
    display(claims.ch08.reads_turned_digits(readers=readers),
            claims.ch08.turned_as_well_as_upright(readers=readers),
            claims.ch08.planar_does_not_read(readers=readers))

test, turns = readers.test, spheres.fresh(len(readers.test), "test")
for name, net in zip(networks, readers):
    before, after = (spheres.said(net, spheres.painted(test, S2FFT(16), R)[0],
                                  lambda logits: logits.argmax(1)) for R in (None, turns))
    mixed = (before + test.y == 15) & ((before - test.y).abs() == 3)
    print(f"{name}: {(before != test.y).sum()} errors upright, {mixed.sum()} of a six and a nine; "
          f"a fresh pose changes {(before != after).sum()} of {len(test)} answers")

# %% [markdown]
# The shares of the spherical network agree, not every single answer: a picture has edges, its grid is coarse, and ReLU
# aliases. The planar one wins upright; a good part of that is what a six and a nine differ by, which is their pose, and
# invariance is not to see it. Trained on fresh rotations (R/R), with this padding and pooling it
# does better than the published one, and stays far below the spherical network that never saw a rotation. And how
# invariant is the *trained* network? Its weights are numbers in Fourier space and know no grid, so we may evaluate them
# on a denser one.

# %%
errors = [spheres.pose_error(readers, s) for s in densities]
display(figures.curves(
    {"trained network": (densities, errors)}, log="y", markers=True,
    xlabel="density of the grids at test time (1.25 in training)", ylabel="error of invariance",
    caption="Digits turned exactly, by their spectra: what is left is ReLU's aliasing.",
    alt=", ".join(f"density {s}: {e:.2g}" for s, e in zip(densities, errors))))
if n == 1000 and readers.test.name == "mnist":
    display(claims.ch08.oversampling_at_test_time(readers=readers))

# %% [markdown]
# ## Segmentation: the talk's figure
#
# Which class does each point of the sphere belong to: background, or one of ten digits? A spherical network with an
# encoder, a decoder, and an integral over $\mathrm{SO}(2)$ at the end is trained on 500 *upright* digits; a U-Net of about
# the same size, on five rotated copies of each, for as many steps. (Both also add logits for the picture as a whole: with
# one digit to a sphere, much of the task is reading.) The score is the intersection over union of areas, averaged over the
# ten digits.

# %%
m, steps, tested = run.pick(smoke=(60, 10, 60), laptop=(500, 500, 500))
segmenters = spheres.segment_digits(m, steps, tested=tested)
scores = spheres.segment_scores(segmenters)
display(figures.table(
    ["network", "trained on", "seconds", "upright", "fresh rotations"],
    [[name, seen, seconds, *scores[name]] for name, seen, seconds in zip(
        scores, (f"{m} upright digits", f"{5 * m} rotated copies"), segmenters.seconds)],
    caption=f"Mean IoU over areas, {steps} steps, on {len(segmenters.test)} other digits."))
grid = S2FFT(24)
few = segmenters.test.take(2, seed=3)
x, y = spheres.labelled(few, grid, spheres.fresh(2, "shown 25"))   # both face us
seen = {"picture": (x, False), "truth": (y, True)}
for name, net in (("spherical", segmenters.spherical), ("U-Net", segmenters.unet)):
    seen[name] = spheres.said(net, x, lambda z: z.argmax(2).movedim(-1, 0)), True
figures.globes(
    {f"{few.y[i]}: {name}": v[i] for i in range(2) for name, (v, _) in seen.items()},
    grid.grid(), classes=[flag for _, flag in seen.values()] * 2,
    caption="Two turned digits, what is there, and what both networks see: a colour a class. "
    "Two are an example; the scores are above.",
    alt="; ".join(f"{few.y[i]}, {name}: {(v[i] == y[i]).double().mean():.0%} of points right"
                  for i in range(2) for name, (v, flag) in seen.items() if flag))

# %%
if m == 500 and segmenters.test.name == "mnist":
    display(claims.ch08.segments_from_upright(segmenters=segmenters))

def of_500(rows):   # without special rates, losses or bandlimits; "both" is equivariant, with copies
    usual = {"digits": 500, **contest.USUAL}.items()
    return [{**r, "network": "both"} if r["network"] == "equivariant" and r["copies"] else r
            for r in rows if usual <= r.items()]

display(claims.ch08.at_equal_budget(), claims.ch08.given_time())
display(claims.ch08.with_fewer_digits(), claims.ch08.four_digits())
SweepFigure(
    of_500(sweeps.stored("sphere-segmentation")), x=("training_seconds", "images"),
    y=("miou", "miou_upright"), family="network", at=("copies", "steps"), log_x=True, labels={
        "training_seconds": "training, CPU s", "images": "training pictures",
        "miou": "mean IoU, turned", "miou_upright": "mean IoU, upright"})

# %% [markdown]
# Our training above is one more draw of 500 digits, and in `laptop` a luckier one than the stored three. Compare points with
# one another, not with ours.
#
# **Try it.** (1) Choose the spherical network's first point: which U-Net gets as far, with how many copies, in which
# time? (2) Change the axis from seconds to pictures. (3) Follow each U-Net to where its points end: has it stopped, or was
# it stopped? (4) A point with bars has several seeds, one without has a single seed: which differences do you believe?
#
# All points are from `gdl-lab sweep sphere-segmentation`, and judged by one rule: a training has come to rest if twice the
# steps brought less than 0.01 on digits held out, in the poses of the training. What does the figure support?

# %%
figures.table(
    ["network", "copies", "steps", "seconds", "training", "turned, points alike", "turned", "at rest"],
    contest.longest_trainings(of_500(sweeps.plateaus("sphere-segmentation"))),
    caption="The longest training of each setting, means over seeds: mean IoU over areas on "
    "training pictures and on fresh rotations (lowest–highest seed); at last, of how many seeds "
    "the training had come to rest.")

# %% [markdown]
# (Counting points alike, the third defect, hardly moves the score: near a pole intersection and union are blown up
# together. As a loss it is not invariant: in the one seed that is stored the spherical network loses 0.04 by it, the U-Net 0.02,
# which is less than its seeds differ by.)
#
# *In equal time* the talk's sentence holds, and by far at first: in the seconds of the spherical network's shortest training no
# number of copies brings a U-Net near it (first line above). At the longer ones (“after 1000” and so on, in the same line) it
# is ahead by less and less. *In poses*: with one copy a U-Net knows its training pictures by heart and turned ones hardly, and
# with five it stays far below, as long as we trained it. It wants more of them, and then it wants time, since 500 steps of 32
# pictures do not even see each of 20 copies twice. *Given both*, it gets there: with 50 copies, 25,000 pictures for 500, and
# two to three times the seconds of the longest spherical training (five times those of the one before, which is hardly worse)
# it comes level, ahead in two seeds and behind in one (second line, and the table). So does a wider one in its one seed. Few of
# all these trainings are at rest in every seed, so who would win in the end is not measured. Rotated copies add little to the
# spherical network: at 2,000 steps 0.01 in the mean, at 1,000 nothing (“both” had twice the steps). With 100 digits
# equivariance is worth most (third line, one seed); from 250 to 1,000 the lead changes by no more than seeds differ. So what
# the figure shows here is not that augmentation cannot reach equivariance, but at which price, in pictures and in time.
#
# All of it is about *this* task: one digit to a sphere, the bandlimit 12, networks of some 70,000 weights (the wider U-Net:
# 240,000). The published study {cite}`gerken2022` has bandlimit 50, planar networks of up to millions of weights, and several
# digits to a sphere. We went that way as far as two cores allow (last line above, one seed): with four digits, bandlimit 20 and
# 500 upright spheres the spherical network reaches 0.80 in 1,000 steps. The U-Net with 20 copies finds the strokes, but does not
# tell which digits they are in 2,000 steps, which take longer, neither at its usual rate nor at a fifth of it. When it would is
# for a GPU: `gdl-lab sweep sphere-four-digits` goes on from here.
#
# ### Fisheye cameras and robustness
#
# Two of the talk's ongoing projects in one cell. A fisheye camera sees a hemisphere, and if it is tilted, part of the
# digit *leaves the field of view*: no symmetry brings that back. A random field with independent normal coefficients of one
# variance, on the other hand, is as likely as any turn of it: what an equivariant network loses to such noise, it loses in
# all poses alike, up to chance. That is not the same as being robust.

# %%
few, chart = readers.test.take(min(300, len(readers.test))), S2FFT(16)
alpha, beta = chart.grid()
visible = (beta.sin()[:, None] * alpha.cos() < 0).float()   # the half around α = π
lines = []
for tilt in (0, 20, 40, 60):
    x, y = spheres.painted(few, chart, spheres.tilt(tilt))
    lines.append([tilt, *(spheres.share(readers.spherical, z, y) for z in (x, x * visible))])
display(figures.table(["tilt in degrees", "whole sphere", "fisheye"], lines,
                      caption="Spherical network, share read."))
lines, turns = [], spheres.fresh(len(few), "test")
for size in (0, 0.1, 0.2, 0.3):
    lines.append([size])
    spherical, planar, _ = readers
    for net, R in ((spherical, None), (spherical, turns), (planar, None)):
        x, y = spheres.painted(few, chart, R)
        noise = chart.synthesis(torch.randn(256, len(few), generator=run.generator(3)) / 16)
        lines[-1].append(spheres.share(net, x + size * noise.movedim(-1, 0), y))
figures.table(["noise", "spherical, upright", "spherical, turned", "planar, upright"], lines,
              caption="Share read under random fields of this root mean square.")

# %% [markdown]
# ## Exercises
#
# Replace the dots and run the cell; the checker answers ✓ or names the mistake. The solution is folded below each.
#
# :::{exercise} The mean over a sphere
# :label: ex-sphere-mean
# **●○○ · 4 minutes · teaches: the measure.** Return $\int f\,dx$ of {eq}`eq-haar` for a `signal` of shape
# `(n_beta, n_alpha)` at equidistant `beta` between 0 and π.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Which length has the circle at β? The mean of the signal 1 is 1.
# :::

# %% tags=["exercise"]
def my_mean(signal, beta):
    ...

check.ch08.mean(my_mean)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_mean(signal, beta):
    return (signal.mean(1) * beta.sin()).sum() / beta.sin().sum()

check.ch08.mean(solved_mean)

# %% [markdown]
# :::{exercise} The first layer
# :label: ex-sphere-first-layer
# **●○○ · 5 minutes · teaches: what $R^{-1}$ does.** Return $(\kappa\star f)(R)$, for functions `kappa` and `f` of points
# `(n, 3)`, one `R`, and points `x` with weights `w` of sum 1.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# The points are rows: $Rx$ is `x @ R.T`.
# :::

# %% tags=["exercise"]
def my_first_layer(kappa, f, R, x, w):
    ...

check.ch08.first_layer(my_first_layer)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_first_layer(kappa, f, R, x, w):
    return w @ (kappa(x @ R) * f(x))

check.ch08.first_layer(solved_first_layer)

# %% [markdown]
# :::{exercise} The slide, corrected
# :label: ex-sphere-coefficients
# **●●○ · 6 minutes · teaches: order and conjugate.** For complex `f_l` and `kappa_l` of one degree, return the matrix $A$
# with $\kappa\star f=\sum A_{mn}\overline{D^l_{mn}}$.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Rotations of $f$ act on the first index.
# :::

# %% tags=["exercise"]
def my_coefficients(f_l, kappa_l):
    ...

check.ch08.coefficients(my_coefficients)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_coefficients(f_l, kappa_l):
    return torch.outer(f_l, kappa_l.conj())

check.ch08.coefficients(solved_coefficients)

# %% [markdown]
# :::{exercise} The second layer
# :label: ex-sphere-second-layer
# **●●○ · 5 minutes · teaches: a product of matrices, and a root.** Return $(\psi\star F)^l$ for the real matrices `F_l` and
# `psi_l` of one degree, as in {eq}`eq-convolution-theorem`; then say which of the two a rotation of $F$ changes.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# The degree is in the shape: $2l+1$ rows.
# :::

# %% tags=["exercise"]
def my_second_layer(F_l, psi_l):
    ...

check.ch08.second_layer(my_second_layer)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_second_layer(F_l, psi_l):    # F becomes D(Q)F, on the left, and ψ stays
    return F_l @ psi_l / math.sqrt(len(F_l))

check.ch08.second_layer(solved_second_layer)

# %% [markdown]
# :::{exercise} How many numbers?
# :label: ex-sphere-size
# **●○○ · 3 minutes · teaches: where a bandlimit ends.** Return the number of coefficients on $\mathrm{SO}(3)$ of bandlimit $L$.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# A degree has a matrix of $(2l+1)^2$ numbers. Which is the last degree?
# :::

# %% tags=["exercise"]
def my_size(L):
    ...

check.ch08.size(my_size)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_size(L):
    return sum((2 * degree + 1) ** 2 for degree in range(L))

check.ch08.size(solved_size)

# %% [markdown]
# ## What to read next
#
# - {cite:t}`cohen2018` introduced these layers; {cite:t}`gerken2022` is the study behind the talk's figure.
# - {cite:t}`gerken2021` sets them in the general theory of homogeneous spaces, {cite:t}`geiger2022` is the library of irreps.
# - {cite:t}`kostelec2008` for fast transforms on the rotation group.
# - Chapter 09 keeps the sphere and gives up the global group: where a manifold has no symmetry, frames take its place.
#   [Back to the map](00_start_here.ipynb#map).

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
# # Gauge bundles
#
# By the end of this chapter we have carried arrows over curved surfaces and met their curvature; we have written the talk's
# convolution on a surface in fifteen lines, found every kernel that it may have, and measured that no choice of coordinates
# changes its result; and we have trained it on a Möbius strip and on a bumpy ball, beside networks that know nothing of
# bundles. It takes about 90 minutes, and runs in two on two cores. We need [chapter 07](07_symmetry.ipynb) and calculus on
# surfaces.
#
# Where we are: [the map of the talk](00_start_here.ipynb#map).

# %% tags=["parameters"]
profile = "laptop"

# %%
import math
from itertools import pairwise

import numpy as np
import torch
from IPython.display import display

from gdl_lab import claims, data, figures, runtime
from gdl_lab.bundles import (
    Sphere, Stencil, act, bumpy_ball, components, gauge_error, isometry_error, kernel_space,
    moebius, spread, turn, vector)
from gdl_lab.claims import strips, surfaces
from gdl_lab.exercises import check
from gdl_lab.figures import Scene
from gdl_lab.widgets import GaugeSlider, HolonomyLoop, KernelConstraint

run = runtime.start(profile)

# %% [markdown]
# (gauge-networks)=
# ## Frames
#
# :::{admonition} The talk · “Fiber bundles (reminder)”
# :class: talk
# Gauge networks are invariant with respect to local changes of coordinates. Formulate gauge symmetry in terms of a principal
# $G$-bundle $P$ over the input manifold $\mathcal M$, with a regular right action $\triangleleft:P\times G\to P$,
# $\pi_P(p\triangleleft g)=\pi_P(p)$. A *gauge* is a section of $P$. Define an equivalence relation on $P\times V$ by
#
# $$
# (p,v)\sim_\rho(p\triangleleft g,\;g^{-1}\triangleright v),\qquad g\in G.
# $$
#
# Feature maps are sections of the associated bundle $P\times_\rho V=P\times V/\!\sim_\rho$.
# :::
#
# On a picture we slide a filter along and know what “one pixel to the right” means. On a curved surface nobody does. A filter
# has a meaning once each point has a **frame**, two orthonormal tangent vectors $(e_1,e_2)$; and frames can be chosen one way
# or another. Arrows do not care. The two numbers by which we write an arrow down do.

# %%
sphere = Sphere()
x, _ = spread(sphere, 130, dtype=torch.float64)
p = sphere.frame(x)                                        # a gauge: one frame a point
wind = 0.2 * sphere.tangent(x, torch.stack([x[:, 2] - x[:, 1], x[:, 0], 0.5 - x[:, 0]], 1))
g = 2 * math.pi * torch.rand(len(x), generator=run.generator(1), dtype=torch.float64)
blow, c = {"wind": (x, wind)}, surfaces.latitude(2.5, 20)   # c: round the south pole
display(figures.scenes(
    {"one gauge": Scene(sphere, blow, (x, p)), "another": Scene(sphere, blow, (x, turn(p, g))),
     "the first, from below": Scene(sphere, frames=(c, sphere.frame(c)), eye=(0, -0.3, -1))},
    caption="One wind in two gauges. The first is smooth but for one point; round it, it turns twice.",
    alt="Spheres: arrows with orderly crosses; the same arrows, the crosses turned at random; "
    "crosses that turn twice round the south pole."))
claims.ch09.frames_must_break()

# %% [markdown]
# Smooth frames on the whole sphere do not exist, this is the theorem of the hairy ball, and so the frames cannot be fixed
# once and for all and forgotten. What we build has to work in all of them.
#
# :::{prf:definition} Principal bundle, gauge, feature field
# :label: def-bundle
# All right-handed frames at all points $x$ of an oriented surface form the **frame bundle** $P$. The group
# $G=\mathrm{SO}(2)$ acts from the right: $p\triangleleft g$ is the frame $p$ turned by the angle $g$, at the same point, and
# there is exactly one $g$ from one frame at $x$ to another. A bundle with such an action, smooth and locally a product
# $U\times G$, is a **principal bundle**. A **gauge** chooses a frame at each point: a section of $P$, smooth on a piece of the
# surface and rarely on all of it. A **field of spin** $n$ has values in $V=\mathbb C$, on which
# $g\triangleright v=\rho(g)v=e^{ing}v$; numbers have spin 0, arrows, as $v^1+iv^2$, spin 1. Its value at $x$ is neither a frame
# nor a coefficient but a pair of both, up to
#
# $$
# (p,v)\sim(p\triangleleft g,\;g^{-1}\triangleright v).
# $$ (eq-pairs)
# :::
#
# In one line of code: the frame turns forwards, the coefficient backwards, the arrow not at all.

# %%
v = components(wind, p)                                    # complex: one coefficient a point
assert torch.allclose(vector(act(1, -g, v), turn(p, g)), vector(v, p))
claims.ch09.arrows_stay()

# %%
GaugeSlider()

# %% [markdown]
# **Try it.** Φ, on the right, is a convolution, which we write below: it carries the arrows of a neighbourhood to one point,
# by *transport*, and averages them there. (1) Turn the frames smoothly: what happens to the components of the arrow, what to
# the arrow? (2) Turn each at random. Does the output notice? (3) Tick “forget the transport”, with frames at random and then
# with all turned by *one* angle. Why does the broken layer hold? (4) Take numbers for input: what is there to carry? (5) Turn
# the frames back and look from below, with the eye at −90°. Follow the dots of $e_1$ round the pole: can you comb them?
#
# ## Carrying an arrow
#
# To compare an arrow at $x$ with one at $y$ we have to carry it there, by **parallel transport**. A **connection** on $P$ is a
# rule for this: it says how a frame moves along a curve without being turned. On a surface in $\mathbb R^3$ there are two
# obvious ways from one tangent plane to the next: drop what sticks out and mend the length, or take the shortest rotation of
# one normal to the other. We carry an arrow round a circle of latitude of the sphere, at the angle $\theta$ from the pole, in
# ever shorter steps, and compare with $2\pi(1-\cos\theta)$, the area of the cap.

# %%
def project(curve, v):
    for n in curve[1:]:
        v = v - (v @ n) * n
        v = v / v.norm()
    return v

def rotate(curve, v):
    for m, n in pairwise(curve):
        v = v - (v @ n) / (1 + m @ n) * (m + n)
    return v

chords = [8, 16, 32, 64, 128, 256]
missed = {carry.__name__: (chords, [surfaces.missed(carry, 1.4, n) for n in chords])
          for carry in (project, rotate)}
display(figures.curves(
    missed, log="xy", markers=True, xlabel="chords of the circle of latitude θ = 1.4",
    ylabel="error of the angle",
    caption="Both find 2π(1 − cos θ), up to errors like 1/n and like 1/n².",
    alt="; ".join(f"{k} at 8: {e[0]:.2g}, 256: {e[-1]:.2g}" for k, (_, e) in missed.items())))
claims.ch09.transport_meets_the_solid_angle(carry=rotate)

# %% [markdown]
# :::{prf:theorem} Holonomy is curvature
# :label: thm-holonomy
# Round the border of a disc $D$, anticlockwise, parallel transport turns every arrow by the same angle, the **holonomy** of the
# loop; up to full turns it is
#
# $$
# \int_DK\,dA ,
# $$ (eq-holonomy)
#
# with Gauss's curvature $K$. Over a closed oriented surface this adds up to $2\pi\chi$, with Euler's
# characteristic $\chi$, 2 for a sphere and 0 for a torus (Gauss and Bonnet).
# :::
#
# :::{prf:proof}
# In a gauge on $D$ the connection is the rate at which the frame turns, $\omega=e_2\cdot de_1$, and an arrow that is carried
# turns against the frame by $-\int_{\partial D}\omega=-\int_Dd\omega$; Gauss's equation says $d\omega=-K\,dA$. On a closed
# surface the frame breaks at some points. We cut out small discs round them; what is left over are the turns of the frame,
# counted above for the sphere; that they always add up to $\chi$ is the theorem of Poincaré and Hopf.
# :::

# %%
scenes = {}
for name, (surface, curve) in surfaces.loops().items():
    path = surface.transport(curve, surface.frame(curve)[0, 0])
    size, some = (0.3 if name == "octant" else 0.5), [*range(0, len(curve) - 3, 6), -1]
    scenes[f"{name}: {math.degrees(surface.holonomy(curve)):+.1f}°"] = Scene(
        surface, {"carried": (curve[some], size * path[some])}, curves={"loop": curve},
        values=surface.curvature, eye=(1.2, 0.7, 1.1))
display(figures.scenes(scenes, alt="; ".join(scenes), caption="Arrows carried round; the first "
                       "and the last are at one point. Red: positive curvature, blue: negative."))
display(claims.ch09.octant_turns_by_a_right_angle())
display(claims.ch09.holonomy_is_curvature(), claims.ch09.gauss_bonnet())

# %%
HolonomyLoop()

# %% [markdown]
# **Try it.** (1) Carry the arrow round the octant of the sphere, then of the ellipsoid. Why is it the same angle? (2) Shrink
# a circle: how fast does the angle go? (3) On the torus, move the circle to the inside; then find a place where nothing is
# left at the end, although the circle encloses curvature. (4) Choose the circle of latitude at 0°,
# the equator, and carry all the way. Half a sphere is enclosed: what does the arrow know of it?
#
# (coordinate-independent-convolution)=
# ## The convolution
#
# :::{admonition} The talk · “Coordinate independent convolution”
# :class: talk
# Can construct explicit coordinate independent convolution by using the exponential map, and parallel transport by means of
# a connection on $P$. For a section $s$ of $P\times_\rho V$, the convolution is given by
#
# $$
# (\Phi s)(x)=\int_{B_R}\!dX\;\kappa(x,X)\;s|_{\exp_xX}\sqrt{\det g_{\mathcal M}}
# $$
#
# with a kernel $\kappa:\mathcal M\times T\mathcal M\to\mathrm{Hom}(E_\rho,E_\eta)$ that satisfies
# $\kappa(x,k\triangleright X)=\eta(k^{-1})\,\kappa(x,X)\,\rho(k)$. Few concrete implementations of these concepts yet.
# :::
#
# $E_\rho=P\times_\rho V$ holds the input, of spin $n$, where $\rho(k)=e^{ink}$; $E_\eta$ the output, of spin $m$, where
# $\eta(k)=e^{imk}$. Three ingredients. **exp**: leave $x$ with velocity $X$, go straight for the time 1. A surface $\{F=0\}$
# bends a straight path along its normal only,
#
# $$
# \ddot x=-\frac{\dot x^{\mathsf T}H\dot x}{\lvert\nabla F\rvert^2}\,\nabla F,\qquad H=\partial^2F ,
# $$ (eq-geodesic)
#
# which needs no chart and so has no pole {cite}`docarmo1992`. **Transport**, which the slide leaves to the voice: values at
# $\exp_xX$ can be added up at $x$ once they have been carried there. Along a geodesic an arrow keeps its angle with the
# velocity, so in two dimensions it costs nothing. **$\sqrt{\det g}$**, the area that exp makes of a small square of the tangent
# plane, $\sin r/r$ on the unit sphere.

# %%
def my_exp(F, q, v, steps=10):
    def bend(q, v):
        gradient = torch.func.grad(lambda q: F(q).sum())
        n, Hv = torch.func.jvp(gradient, (q,), (v,))
        return -(v * Hv).sum(1, keepdim=True) / n.square().sum(1, keepdim=True) * n
    h = 1 / steps
    for _ in range(steps):                                 # Runge and Kutta's method
        a = bend(q, v)
        b = bend(q + h / 2 * v, v + h / 2 * a)
        c = bend(q + h / 2 * v + h**2 / 4 * a, v + h / 2 * b)
        d = bend(q + h * v + h**2 / 2 * b, v + h * c)
        q, v = q + h * v + h**2 / 6 * (a + b + c), v + h / 6 * (a + 2 * b + 2 * c + d)
    return q

ball, y = bumpy_ball(), surfaces.even("bumpy ball", 40)
X = 0.5 * ball.frame(y)[:, 0]
print(f"off by {(my_exp(ball.F, y, X) - ball.exp(y, X, steps=80).q).abs().max():.0e}")
display(claims.ch09.geodesics_keep_their_energy(), claims.ch09.density_is_the_area())

# %% [markdown]
# Now the integral to the letter, on the sphere, where exp is $x\cos r+\hat X\sin r$. We ask for the section in the frame that
# was carried along: then no transport is left to do. The kernel is $R(r)e^{i(m-n)\theta}$; why, we see below. The package's
# `GaugeConv` does the same with any surface, many channels and any frames. Both agree; and since both were written by
# us, the claim holds `GaugeConv` against the theorem of Funk and Hecke, which knows neither exp nor transport.

# %%
def convolve(section, x, frame, n, m, radius=0.5, radial=8, rays=24):
    total, (nodes, weights) = 0, np.polynomial.legendre.leggauss(radial)
    for theta in 2 * math.pi / rays * np.arange(rays):
        along = turn(frame, theta)[:, 0]                   # X/|X|
        for r, w in zip(radius / 2 * (nodes + 1), radius / 2 * weights):
            q = x * math.cos(r) + along * math.sin(r)      # exp
            v = along * math.cos(r) - x * math.sin(r)      # the velocity there
            carried = turn(torch.stack([v, torch.linalg.cross(q, v)], 1), -theta)
            t = r / radius
            ring = math.exp(-((t - 0.5) ** 2)) * (1 - t**2) ** 2 / (math.pi * radius**2)
            kappa = ring * (t if m != n else 1) * np.exp(1j * (m - n) * theta)
            dX, root_det = r * w * 2 * math.pi / rays, math.sin(r) / r
            total = total + kappa * section(q, carried) * root_det * dX
    return total

section = surfaces.field(seed=1)                           # a scalar and an arrow
conv = surfaces.one_ring(1, 0)                             # a GaugeConv with w = 1
discs = Stencil(sphere, x, radius=0.5, radial=8, rays=24)
theirs = conv(discs, discs.sample(section)[..., [1]])[:, 0]
print(f"both differ by {(convolve(section, x, p, 1, 0)[:, 1] - theirs).abs().max():.0e}")
claims.ch09.convolution_is_funk_and_hecke()

# %% [markdown]
# ## What the triangle means
#
# Turning the frame at $x$ by $k$ must not change the output. This is a condition on $\kappa$, the one on the slide; but what
# is $k\triangleright X$? With the vector $X$ *turned* by $k$, the line gives kernels that do notice the frame; this is the
# first thing that our code found. The other reading is that the vector stays and its *components* change, $X\mapsto k^{-1}X$,
# as in {eq}`eq-pairs`. Then the line says
#
# $$
# \kappa(kX)=\eta(k)\,\kappa(X)\,\rho(k)^{-1}.
# $$ (eq-constraint)
#
# A spoken talk can leave this to the context. A program has to decide. The table shows
# which line our kernels solve; they were built to. What decides is the claim below it: kernels that solve the *other* line
# change the result by more than half of its size when the frame at $x$ turns.

# %%
kappa = surfaces.kernel(surfaces.layer(0, ins=[0], outs=[1]))    # on 64 rays, spin 0 → 1
def residual(rays, sign):                                        # κ(kX) against e^(±ik) κ(X)
    phase = np.exp(1j * sign * 2 * math.pi * rays / 64)
    return float((kappa.roll(-rays) - phase * kappa).abs().max() / kappa.abs().max())

lines = [[f"{rays * 360 / 64:g}°", residual(rays, 1), residual(rays, -1)]
         for rays in (0, 4, 8, 16, 32)]
display(figures.table(
    ["k", "frame turned: κ(kX) − η(k) κ(X) ρ(k)⁻¹", "X turned: κ(kX) − η(k)⁻¹ κ(X) ρ(k)"],
    lines, caption="Residuals of a kernel of the layer, relative."))
claims.ch09.kernel_constraint()

# %%
KernelConstraint()

# %% [markdown]
# **Try it.** (1) From spin 0 to spin 1, turn $k$: both pictures agree. (2) Choose the talk's line with $X$ turned. At which
# $k$ do they still agree? (3) Choose equal spins and press $f=m-n$: why can the readings not be told apart? (4) Back from
# spin 0 to spin 1, give the kernel $f=-1=n-m$: which reading passes now, and what does the convolution in the turned frame
# say?
#
# Between **complex** fields $\kappa$ is a complex number. In **real** fields numbers are real and arrows pairs of real numbers,
# and $\kappa$ may be any real matrix between them.
#
# :::{prf:theorem} All kernels
# :label: thm-kernels
# At $x$ and radius $r$, the linear solutions of {eq}`eq-constraint` from complex fields of spin $n\ge0$ to spin $m\ge0$ are
# $\kappa=R(r)e^{i(m-n)\theta}$ with $R(r)\in\mathbb C$. Between real fields they are
# $c\mapsto we^{i(m-n)\theta}c+ue^{i(m+n)\theta}\bar c$, four real numbers; if $n=0$, $\bar c=c$ and there is no $u$, if $m=0$,
# the result is real and $u=\bar w$: two numbers, and one if both are. (At $X=0$ a kernel with a frequency vanishes.)
# :::
#
# :::{prf:proof}
# By {eq}`eq-constraint`, $\kappa(r,\theta)=e^{i(m-n)\theta}\kappa(r,0)$: the value on one ray decides, and any value will do.
# For real fields it is a real matrix; those of two rows and columns are $c\mapsto wc+u\bar c$, and turning $\bar c$ costs
# $e^{+in\theta}$.
# :::
#
# As in chapter 07 we also ask the machine. It knows of no theorem: a kernel is unknown on 17 rays, the constraint is linear,
# and we count its null space. {cite:t}`weiler2021` solve the constraint for other groups.

# %%
counted = []
for n, m in ((0, 0), (0, 1), (1, 0), (1, 1), (1, 2)):
    whole, real = kernel_space(n, m), kernel_space(n, m, field="real")
    counted.append([n, m, whole.dimension, whole.frequencies, real.dimension, real.frequencies])
display(figures.table(
    ["from", "to", "complex", "frequency", "real", "frequencies"], counted,
    caption="Dimension of the null space at one radius, and which e^(ifθ) occur in it."))
display(figures.kernels(
    {"0 → 0": torch.ones_like, "0 → 1": lambda X: X, "1 → 0": lambda X: X.conj(),
     "1 → 1, w": torch.ones_like, "1 → 1, u": lambda X: X**2},
    caption="κ(X) as an arrow at X: 0 → 1 is a gradient, 1 → 0 a divergence, u turns twice.",
    alt="Five discs with arrows: parallel; outwards; mirrored; parallel; turning twice."))
claims.ch09.all_kernels()

# %% [markdown]
# ## What is exact
#
# There are two kinds of frames. Those of the **input**, at every sampled point, are divided out by transport, to the last
# digit and at any resolution. That of the **output** enters by the rays: turned by less than one ray, it needs points
# between them. So rays decide how well frames are forgotten and, once there are enough of them, radii how good the integral
# is. (Any rule of carrying would forget frames; that ours is parallel transport was measured above.) On the
# sphere the same layer commutes with all of $\mathrm{SO}(3)$, chapter 08's symmetry, for which nothing was done but to take
# the same $R(r)$ at every point; on other surfaces with what turns they have. Mirrors exchange right- and left-handed frames.

# %%
wide, R, lines = surfaces.layer(0), surfaces.rotation(1), []
for radial, rays in ((2, 6), (2, 12), (2, 24), (4, 24), (8, 6), (8, 24)):
    d = surfaces.stencil("sphere", 1, radial=radial, rays=rays)
    seen = [gauge_error(wide, d, section, which) for which in ("input", "output")]
    off = isometry_error(wide, d, section, R), surfaces.coarseness(wide, d, section)
    lines.append([f"{radial} × {rays}", *seen, *off])
display(figures.table(
    ["radial × rays", "input frames", "output frames", "rotation", "the integral"], lines,
    caption="Errors on the sphere, relative, radius 0.5, spins 0, 1 → 0, 1, 2."))
display(claims.ch09.input_frames_are_not_seen(), claims.ch09.output_frames_are_not_seen(),
        claims.ch09.rotations_commute(), claims.ch09.isometries_commute())

# %%
def hill(q):
    return (1.2 * q[..., 0] + 0.8 * q[..., 2]).sin()

uphill, scenes = surfaces.one_ring(0, 1), {}
for name, known in surfaces.SURFACES.items():
    q = surfaces.even(name, 160)
    d = Stencil(known.surface, q, radius=0.4, radial=4, rays=12)
    out = vector(uphill(d, d.sample(lambda q, frame: hill(q)[..., None] + 0j))[:, 0], d.frame)
    out = (0.4 if name == "torus" else 0.25) * out / out.norm(dim=1).max()
    scenes[name] = Scene(known.surface, {"Φs": (q, out)}, values=hill)
figures.scenes(
    scenes, columns=2, size=3.2,
    caption="One layer on four surfaces: s, in colours, has spin 0, Φs, the arrows, spin 1.",
    alt="Four surfaces, coloured from blue to red; arrows point from blue to red.")

# %% [markdown]
# ## Fields on points
#
# To stack layers we need the output where the input is known: at $N$ points of a surface, each with the area it stands for.
# How much of the symmetry survives? That of the frames, all of it: nothing above used where the points are. That of the
# global rotations, as far as the points are spread like the surface: the integral commutes with them, and twice the distance
# of the sum over points from the integral bounds what is lost.

# %%
counts = [100, 200, 400, 800]
errors = {name: [surfaces.distance_to_the_integral(n, 1, at_random=bool(flag)) for n in counts]
          for name, flag in (("half the bound, even points", 0), ("half the bound, random", 1))}
errors["other frames, random"] = [gauge_error(
    surfaces.PointNetwork(1), surfaces.scattered(sphere, n, 1), section) for n in counts]
display(figures.curves(
    {name: (counts, e) for name, e in errors.items()},
    log="xy", markers=True, xlabel="points on the sphere", ylabel="error, relative",
    caption="A local symmetry is exact on any points. A global one is as good as the points: "
    "it fails by at most twice the distance to the integral, which is drawn.",
    alt="; ".join(f"{k}: {e[0]:.2g} at 100, {e[-1]:.2g} at 800" for k, e in errors.items())))
display(claims.ch09.points_see_no_frames(), claims.ch09.rotations_are_as_good_as_the_points())

# %% [markdown]
# ### Break it
#
# Three lines one writes by mistake. Without transport, coefficients at different points are added as if their frames had
# anything to do with one another: the slider at the top shows how the arrows jump. With spins off by one the kernel solves
# another constraint. And ReLU of components sees frames, even where every convolution is right; a **norm gate**
# $c\mapsto\sigma(a\lvert c\rvert^2+b)\,c$ does not {cite}`dehaan2021`. Each of the three changes the result by about its own
# size.

# %%
display(claims.ch09.controls_see_frames(), claims.ch09.gates_see_no_frames())

# %% [markdown]
# ## A bundle that one can hold
#
# Glue the ends of a strip of paper upside down. Each column of the Möbius strip can be read in two ways, upright or upside
# down: a principal bundle with $G=\mathbb Z_2=\{1,s\}$. A gauge chooses one for each column, links $\pm1$ say how neighbours
# compare, and the product of all links, $-1$, is a holonomy that no gauge removes. A field is **trivial**, a **sign**, or
# **regular**: two numbers that $s$ swaps. Once round, a six is a nine in the mirror.

# %%
digits = data.load("digits8", "test")
strip, links = moebius.place(digits.x[digits.y == 6][:1], 16), moebius.strip_links(16)
moved = {k: moebius.shift(strip, k, links, moebius.reflection(["trivial"]))[0, 0]
         for k in (0, 4, 8, 12, 16)}
display(figures.images(
    list(moved.values()), [f"moved by {k}" for k in moved], size=1.7,
    caption="A six goes along the strip, and over the cut it comes back upside down.",
    alt="Five strips of 10 by 16 pixels: a six in the middle, further right, cut by the end, "
    "on the left upside down, in the middle upside down."))
claims.ch09.moebius_layer_is_exact()

# %% [markdown]
# Gauge-equivariant and ordinary networks, equal in free parameters up to a tenth, learn from digits in the middle and are
# asked about moved ones. The published experiment has 28×28 digits and a hundred times the parameters: 43 % errors for the
# ordinary network, 1.2 % for the regular one {cite}`weiler2021`.

# %%
steps = run.pick(smoke=3, laptop=300)
lines = []
for fields, moved in (("plain", 0), ("plain", 1), ("trivial", 0), ("regular", 0)):
    read = strips.read_strips(fields, bool(moved), steps)
    lines.append([fields, "moved" if moved else "in the middle", read.parameters,
                  f"{read.centred:.1%}", f"{read.moved:.1%}"])
display(figures.table(
    ["network", "trained", "free parameters", "errors in the middle", "errors moved"], lines,
    caption=f"Real 8×8 digits on the Möbius strip, {steps} steps, 360 to test."))
if steps == 300:
    display(claims.ch09.moebius_digits(), claims.ch09.moebius_plain_network())

# %% [markdown]
# The two columns of “trivial” and of “regular” are equal, not similar. Trained in the middle, all three networks make some
# twenty errors there, too few to rank them by one training each. Trained on moved digits, the plain network has to learn every
# place, both ways up, with a budget that the others spend on reading.
#
# ## Finding the wind
#
# Last, a task for which arrows at different points must be compared. On the bumpy ball a wind is measured at 300 points, with
# noise as large as itself, in frames at random. A network shall find the wind, after four examples, and after 48. One is
# gauge-equivariant; one is the same without transport; one is fully connected and sees coordinates of $\mathbb R^3$, of the
# point, its neighbours and their arrows. All have some 600 parameters.

# %%
n, few, many, steps = run.pick(smoke=(60, 2, 4, 3), laptop=(300, 4, 48, 200))
learnt, more = strips.wind_networks(n, few, steps), strips.wind_networks(n, many, steps)
display(figures.table(
    ["network", "parameters", f"error after {few}", f"after {many}", "changes when turned"],
    [[name, sum(w.numel() for w in one.network.parameters()), one.error, more[name].error,
      one.change] for name, one in learnt.items()],
    caption=f"Relative error on new winds, {steps} steps; that of the noise is 1. Last, the "
    "change of the answers when the ball is turned in space with all that is on it."))
if steps == 200:
    display(claims.ch09.winds_are_found(learnt=learnt),
            claims.ch09.winds_turn_along(learnt=learnt))
ours, test = learnt["gauge"], strips.wind_task(n, few).test
found = strips.found(ours.network, ours.points, test)[0]
shown = {"measured": test.measured[0], "found": found, "wind": test.wind[0]}
figures.scenes(
    {k: Scene(ball, {"wind": (ours.points.x, 0.13 * v)}) for k, v in shown.items()},
    caption="A wind of the test: as it is measured, as the gauge network finds it, as it is.",
    alt="Arrows: " + ", ".join(
        f"{k}, off by {(v - shown['wind']).norm() / n**0.5:.2f}" for k, v in shown.items()))

# %% [markdown]
# What does the table say? Without transport, frames at random leave nothing to average. The gauge network needs four examples:
# what it learns at one point it knows at all of them. The coordinates come near it with more examples.
# They may: on a surface in $\mathbb R^3$ arrows at neighbouring points can be compared without any connection, if the surface
# bends little from one to the next. But their answers depend on how the ball lies in space. Those of the gauge network, which
# sees distances, angles and the sense of rotation within the surface and nothing else, do not.
#
# “Few concrete implementations of these concepts yet”, says the talk. Meshes have one {cite}`dehaan2021`, the icosahedron
# {cite}`cohen2019`, the Möbius strip {cite}`weiler2021`. For the slide's formula to the letter, exp, transport and
# $\sqrt{\det g}$ on a surface given by an equation, we have found none to compare with; `gdl_lab.bundles` is one.
#
# ## Exercises
#
# Replace the dots and run the cell; the checker answers ✓ or names the mistake. The solution is folded below each.
#
# :::{exercise} Another frame
# :label: ex-gauge-change
# **●○○ · 3 minutes · teaches: {eq}`eq-pairs`.** A field of spin `spin` has coefficients `v`, shape `(k,)`. Return those in the
# frames turned by `angle`, shape `(k,)`.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# An arrow along $e_1$ has the coefficient 1. Turn the frame by a quarter: along what is the arrow now?
# :::

# %% tags=["exercise"]
def my_change(v, spin, angle):
    ...

check.ch09.change(my_change)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_change(v, spin, angle):
    return torch.exp(-1j * spin * angle) * v

check.ch09.change(solved_change)

# %% [markdown]
# :::{exercise} One step
# :label: ex-gauge-step
# **●●○ · 6 minutes · teaches: transport keeps lengths.** For unit vectors `x`, `y`, carry the tangent vector `v` at `x` to
# `y` along the great circle, without looking above.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Split $v$ into a part along the way and a part across. The second stays.
# :::
#
# :::{admonition} Hint 2
# :class: dropdown
# The rotation is two reflections: the first takes $x$ to $-y$, the second $-y$ to $y$.
# :::

# %% tags=["exercise"]
def my_step(v, x, y):
    ...

check.ch09.step(my_step)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_step(v, x, y):
    return v - (v @ y) / (1 + x @ y) * (x + y)

check.ch09.step(solved_step)

# %% [markdown]
# :::{exercise} A circle of latitude
# :label: ex-gauge-latitude
# **●○○ · 4 minutes · teaches: {eq}`eq-holonomy`.** Return the holonomy of the circle at the angle `theta` from the pole,
# anticlockwise as seen from above it, on a
# sphere of radius `R`, in radians.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# What is $K$, and what the area of the cap?
# :::

# %% tags=["exercise"]
def my_latitude(theta, R):
    ...

check.ch09.latitude(my_latitude)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_latitude(theta, R):
    return 2 * math.pi * (1 - math.cos(theta))

check.ch09.latitude(solved_latitude)

# %% [markdown]
# :::{exercise} The integral
# :label: ex-gauge-integral
# **●●○ · 5 minutes · teaches: $dX$ and $\sqrt{\det g}$.** On the unit sphere, return $\int_{B_R}f\sqrt{\det g}\,dX$ for a
# function `f` of the radius alone, by nodes `r` and weights `w` of an integral from 0 to $R$.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# For $f=1$ it is the area of a cap, from the exercise above.
# :::

# %% tags=["exercise"]
def my_integral(f, r, w):
    ...

check.ch09.integral(my_integral)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_integral(f, r, w):
    return 2 * math.pi * (w * f(r) * r.sin()).sum()

check.ch09.integral(solved_integral)

# %% [markdown]
# :::{exercise} A kernel
# :label: ex-gauge-kernel
# **●○○ · 3 minutes · teaches: {eq}`eq-constraint`.** Return a kernel from complex fields of spin `n` to spin `m` on the rays
# `theta`, with $\kappa=1$ at $\theta=0$.
# :::
#
# :::{admonition} Hint 1
# :class: dropdown
# Put $X$ on the first ray into the constraint. Then $kX$ is on the ray $k$.
# :::

# %% tags=["exercise"]
def my_kernel(theta, n, m):
    ...

check.ch09.kernel(my_kernel)

# %% tags=["solution", "hide-cell"] jupyter={"source_hidden": true}
def solved_kernel(theta, n, m):
    return torch.exp(1j * (m - n) * theta)

check.ch09.kernel(solved_kernel)

# %% [markdown]
# ## What to read next
#
# - {cite:t}`weiler2021` is the general theory with the Möbius strip, {cite:t}`cohen2019` how it began.
# - {cite:t}`gerken2021` sets bundles beside the homogeneous spaces of chapters 07 and 08, {cite:t}`aronsson2022` proves when
#   equivariant maps are convolutions.
# - {cite:t}`docarmo1992` for geodesics, Jacobi's equation and Gauss and Bonnet.
# - There are also *internal* gauge symmetries, with fibres that have nothing to do with directions in space; the talk ends
#   with them. [Back to the map](00_start_here.ipynb#map).

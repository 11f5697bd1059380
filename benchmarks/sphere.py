"""Our Fourier transforms on S² and SO(3) beside their peers: medians of interleaved runs in one process, and ratios.

    python -m benchmarks.sphere [--device cuda] [--only so3 s2 double floor] [--bandlimits 10 16]

32 signals, one thread. ``so3`` in float32 against e3nn's dense `SO3Grid` (``aspect_ratio=1``, the smallest grid it has;
above L = 16 its table outgrows most memories); ``double`` in float64 against s2fft, whose only precision it is, on its
Gauss–Legendre grid; ``s2`` in float32 against torch-harmonics on the same grid. A peer that is not installed is left
out, and said to be; they bring packages that the course does not need, so an environment of their own is best:

    pip install e3nn "s2fft>=1.5"; pip install --no-deps torch-harmonics==0.9.3

``floor`` times the matrix products of a transform alone, in one piece each: what the processor lets them take.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import torch
from torch import Tensor

from gdl_lab.sphere import S2FFT, SO3FFT, spectrum_size

SIGNALS = 32
Work = Callable[[], object]


def interleaved(runs: dict[str, Work], device: torch.device, budget: float = 6.0) -> dict[str, tuple[float, float]]:
    """Median milliseconds of each, on the wall and of this process's CPU time, taking turns; two rounds warm up.

    A busy machine stretches the wall; the CPU time of one thread is nearly free of that.
    """
    wall: dict[str, list[float]] = {name: [] for name in runs}
    cpu: dict[str, list[float]] = {name: [] for name in runs}
    calls: dict[str, int] = {}
    for name, run in runs.items():
        run()
        began = time.perf_counter()
        run()
        wait(device)
        calls[name] = max(1, min(20, int(5e-3 / (time.perf_counter() - began))))
    end = time.perf_counter() + budget
    while time.perf_counter() < end or len(wall[name]) < 5:
        for name, run in runs.items():
            began, worked = time.perf_counter(), time.process_time()
            for _ in range(calls[name]):
                run()
            wait(device)
            wall[name].append((time.perf_counter() - began) / calls[name])
            cpu[name].append((time.process_time() - worked) / calls[name])
    return {name: (1e3 * median(wall[name]), 1e3 * median(cpu[name])) for name in runs}


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def there_and_back(analysis: Callable[[Tensor], Tensor], synthesis: Callable[[Tensor], Tensor], x: Tensor) -> None:
    """Analysis and synthesis, forward and backward."""
    x = x.detach().requires_grad_()
    synthesis(analysis(x)).square().sum().backward()


def three(
    analysis: Callable[[Tensor], Tensor], synthesis: Callable[[Tensor], Tensor], x: Tensor
) -> tuple[Work, Work, Work]:
    """Analysis, synthesis, and both forward and backward, as work to time."""
    coeffs = analysis(x).detach()
    return (
        torch.no_grad()(partial(analysis, x)),
        torch.no_grad()(partial(synthesis, coeffs)),
        partial(there_and_back, analysis, synthesis, x),
    )


def compare(title: str, ours: tuple, theirs: dict[str, tuple], device: torch.device) -> None:
    """One line for each kind of work and peer."""
    for place, kind in enumerate(("analysis", "synthesis", "both, forward and backward")):
        runs = {"ours": ours[place], **{name: work[place] for name, work in theirs.items() if place < len(work)}}
        times = interleaved(runs, device)
        wall, cpu = times.pop("ours")
        row = "".join(
            f"   {name} {w:.2f} ms (cpu {c:.2f}): {w / wall:.1f} × ours (cpu {c / cpu:.1f})"
            for name, (w, c) in times.items()
        )
        print(f"{title}, {kind:27} {wall:8.3f} ms (cpu {cpu:.3f}){row}", flush=True)


def installed(name: str, build: Callable[[int, torch.device], tuple]) -> Callable[[int, torch.device], dict]:
    """The work of a peer under its name, or none, with a word, where it is not installed."""

    def peers(L: int, device: torch.device) -> dict[str, tuple]:
        try:
            return {name: build(L, device)}
        except ImportError as reason:
            print(f"{name} is not installed, left out ({reason})", file=sys.stderr)
            return {}

    return peers


def e3nn(L: int, device: torch.device) -> tuple:
    from e3nn.o3 import SO3Grid

    grid = SO3Grid(L - 1, L, aspect_ratio=1).to(device)  # a minute at L = 16
    signal = torch.randn(SIGNALS, grid.res_alpha, grid.res_beta, grid.res_gamma, device=device)
    return three(grid.from_grid, grid.to_grid, signal)


def s2fft(L: int, device: torch.device) -> tuple:
    import jax

    jax.config.update("jax_enable_x64", True)
    from s2fft.precompute_transforms import construct, wigner

    options = {"L": L, "N": L, "sampling": "gl", "reality": True, "nside": None}
    there, back = (construct.wigner_kernel_jax(L, L, True, "gl", forward=way) for way in (True, False))
    forward = jax.jit(jax.vmap(lambda f: wigner.forward_transform_jax(f, there, **options)))
    inverse = jax.jit(jax.vmap(lambda c: wigner.inverse_transform_jax(c, back, **options)))
    pull = jax.jit(jax.value_and_grad(lambda f: (inverse(forward(f)).real ** 2).sum()))
    signal = jax.random.normal(jax.random.PRNGKey(0), (SIGNALS, 2 * L - 1, L, 2 * L - 1), dtype="float64")
    coeffs = forward(signal)
    return tuple(
        partial(lambda run, at: jax.block_until_ready(run(at)), run, at)
        for run, at in ((forward, signal), (inverse, coeffs), (pull, signal))
    )


def torch_harmonics(L: int, device: torch.device) -> tuple:
    from torch_harmonics import InverseRealSHT, RealSHT

    shape, options = S2FFT(L).shape, {"lmax": L, "mmax": L, "grid": "legendre-gauss"}
    there, back = (kind(*shape, **options).float().to(device) for kind in (RealSHT, InverseRealSHT))
    return three(there, back, torch.randn(SIGNALS, *shape, device=device))


def so3(bandlimits: list[int], device: torch.device) -> None:
    for L in bandlimits:
        fft = SO3FFT(L)
        x = torch.randn(*fft.shape, SIGNALS, device=device)
        peers = installed("e3nn", e3nn)(L, device) if L <= 16 else {}
        compare(f"SO(3), L = {L}, float32", three(fft.analysis, fft.synthesis, x), peers, device)


def double(bandlimits: list[int], device: torch.device) -> None:
    for L in bandlimits:
        fft = SO3FFT(L)
        x = torch.randn(*fft.shape, SIGNALS, device=device, dtype=torch.float64)
        peers = installed("s2fft", s2fft)(L, device)
        compare(f"SO(3), L = {L}, float64", three(fft.analysis, fft.synthesis, x), peers, device)


def s2(bandlimits: list[int], device: torch.device) -> None:
    for L in bandlimits:
        fft = S2FFT(L)
        x = torch.randn(*fft.shape, SIGNALS, device=device)
        peers = installed("torch-harmonics", torch_harmonics)(L, device)
        compare(f"S², L = {L}, float32", three(fft.analysis, fft.synthesis, x), peers, device)


def floor(bandlimits: list[int], device: torch.device) -> None:
    """Analysis beside its own products: waves in γ, waves in α, tables without the degrees that vanish."""
    for L in bandlimits:
        fft = SO3FFT(L)
        n_beta, n_alpha, n_gamma = fft.shape
        x = torch.randn(*fft.shape, SIGNALS, device=device)
        in_gamma = torch.randn(1, 2 * L, n_gamma, device=device).expand(n_beta * n_alpha, -1, -1)
        in_alpha = torch.randn(1, 2 * L, n_alpha, device=device).expand(n_beta, -1, -1)
        half = torch.randn(n_beta, n_alpha, 2 * L * SIGNALS, device=device)
        pairs = spectrum_size(L) // (4 * L)  # (m, n) with tables of L rows that would do the same multiplications
        tables = torch.randn(pairs, L, n_beta, device=device)
        modes = torch.randn(pairs, n_beta, 4 * SIGNALS, device=device)

        def products(x: Tensor = x, parts: tuple = (in_gamma, in_alpha, half, tables, modes)) -> None:
            in_gamma, in_alpha, half, tables, modes = parts
            torch.bmm(in_gamma, x.view(len(in_gamma), -1, SIGNALS))
            torch.bmm(in_alpha, half)
            torch.bmm(tables, modes)

        times = interleaved({"ours": torch.no_grad()(partial(fft.analysis, x)), "products": products}, device)
        (wall, cpu), (least, least_cpu) = times["ours"], times["products"]
        multiplied = n_beta * n_alpha * 4 * L * n_gamma * SIGNALS + n_beta * 4 * L * L * n_alpha * SIGNALS * 2
        print(
            f"SO(3), L = {L}, float32, analysis {wall:.3f} ms (cpu {cpu:.3f}), its products alone {least:.3f} ms "
            f"(cpu {least_cpu:.3f}, {multiplied / least_cpu / 1e6:.0f} GFLOP/s): {cpu / least_cpu:.2f} × the floor"
        )


PARTS = {
    "so3": (so3, [10, 16, 32]),
    "double": (double, [10, 16, 32]),
    "s2": (s2, [32, 64, 128]),
    "floor": (floor, [10, 16, 32]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--bandlimits", nargs="+", type=int)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    device = torch.device(asked.device)
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{platform.processor() or platform.machine()}, one thread"
    )
    print(f"{name}, PyTorch {torch.__version__}, {SIGNALS} signals")
    for part in asked.only:
        measure, bandlimits = PARTS[part]
        measure(asked.bandlimits or bandlimits, device)


if __name__ == "__main__":
    main()

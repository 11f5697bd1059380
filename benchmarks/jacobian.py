"""`flow.jacobian` beside the generic ways to ∂x/∂z: interleaved medians in one process and thread, memory in children.

Every contender gets the same flow and the same points and returns the same tensor ``(batch, D, D)``, which is checked
first. Memory is the growth of the peak resident size in a forked child over what it held before the call (Linux only).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.autograd.functional import jacobian
from torch.func import jacfwd, jacrev, vmap

from benchmarks.flows import interleaved, without_gradients
from gdl_lab.flows import Flow, RealNVP

Method = Callable[[Flow, Tensor], Tensor]


def in_closed_form(flow: Flow, z: Tensor) -> Tensor:
    return flow.jacobian(z)


def point_by_point(flow: Flow, z: Tensor, vectorize: bool = False) -> Tensor:
    return torch.stack([jacobian(lambda one: flow.push(one[None])[0], one, vectorize=vectorize) for one in z])


def of_the_sum(flow: Flow, z: Tensor, vectorize: bool = False) -> Tensor:
    """All points at once: x of one point depends on its z alone, so the derivative of Σ x holds every Jacobian."""
    return jacobian(lambda z: flow.push(z).sum(0), z, vectorize=vectorize).movedim(0, 1)  # type: ignore[no-any-return]


def mapped(transform: Callable[..., Callable[[Tensor], Tensor]], flow: Flow, z: Tensor) -> Tensor:
    return vmap(transform(lambda one: flow.push(one[None])[0]))(z)


def in_chunks(flow: Flow, z: Tensor) -> Tensor:
    """What a flow without a closed form does."""
    return Flow._jacobian(flow, z, 64)


METHODS: dict[str, Method] = {
    "ours": in_closed_form,
    "functional.jacobian, a point": point_by_point,
    "functional.jacobian, vectorized": partial(point_by_point, vectorize=True),
    "functional.jacobian of the sum": of_the_sum,
    "of the sum, vectorized": partial(of_the_sum, vectorize=True),
    "vmap(jacrev)": partial(mapped, jacrev),
    "vmap(jacfwd)": partial(mapped, jacfwd),
    "vmap(jvp), 64 columns a time": in_chunks,
}
SLOW = ("functional.jacobian, a point", "functional.jacobian of the sum")  # D backward passes in a row: timed once


def peak(method: Method, flow: Flow, z: Tensor) -> float:
    """MiB by which one call raises the largest resident size of a child, after a call for a small flow.

    To be asked before this process makes large tensors: a child would fill the memory that they leave behind.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        without_gradients(lambda: method(RealNVP(4, 2, (4,)), torch.zeros(2, 4)))
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is held now
        before = resident("VmHWM")
        without_gradients(lambda: method(flow, z))
        os.write(writer, f"{(resident('VmHWM') - before) / 1024}".encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        grown = answer.read()
    os.waitpid(child, 0)
    return float(grown or "nan")


def resident(name: str) -> int:
    """A size of this process in KiB, as the kernel reports it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def away_from_identity(dim: int, width: int) -> Flow:
    """Eight affine couplings with 2×width networks, moved from where a flow starts."""
    flow = RealNVP(dim, 8, (width, width))
    with torch.no_grad():
        for p in flow.parameters():
            p.add_(0.3 * torch.randn_like(p) / p.shape[0] ** 0.5)
    return flow


def agree(flow: Flow, z: Tensor) -> None:
    """Stop where a method's answer is not that of the others."""
    expected = METHODS["vmap(jacrev)"](flow, z).detach()
    for name, method in METHODS.items():
        error = float((method(flow, z).detach() - expected).abs().max() / expected.abs().max())
        if not error < 1e-4:
            raise SystemExit(f"{name} differs from vmap(jacrev) by {error:.1e} of the largest entry at D={flow.dim}")


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    cases = [
        (
            away_from_identity(dim, width),
            torch.randn(batch, dim),
            f"{batch} points, 8 couplings with 2×{width} networks",
        )
        for dim, width, batch in ((2, 64, 256), (64, 128, 32), (784, 256, 2))
    ]
    memory: list[dict[str, float]] = [{} for _ in cases]
    if sys.platform == "linux":
        memory = [{name: peak(method, flow, z) for name, method in METHODS.items()} for flow, z, _ in cases]
    for (flow, z, title), grown in zip(cases, memory, strict=True):
        agree(flow, z)
        runs = {name: partial(without_gradients, partial(method, flow, z)) for name, method in METHODS.items()}
        fast = {name: run for name, run in runs.items() if name not in SLOW}
        times = interleaved(fast, 11, 1)
        few = interleaved({name: runs[name] for name in ("ours", *SLOW)}, 1, 1)
        times |= {name: few[name] for name in SLOW}
        best = min(ms for name, ms in times.items() if name != "ours")
        print(f"D = {flow.dim}, {title}: the best of the others takes {best / times['ours']:.2f} × ours")
        for name in METHODS:
            held = f"{grown[name]:8.1f} MiB" if name in grown else ""
            print(f"  {name:33} {times[name]:10.3f} ms {times[name] / times['ours']:8.2f} × ours {held}")


if __name__ == "__main__":
    main()

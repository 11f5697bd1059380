"""From one picture to another on three ways: a line in data space, a line in base space, and an arc in base space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
import traitlets
from numpy.typing import NDArray
from torch import Tensor

from gdl_lab.flows import Flow, bits_per_dim
from gdl_lab.widgets.stage import Widget, bundle, finite_array, float32_bytes

__all__ = ["WAYS", "DigitWalk", "arc", "line"]

Array = NDArray[np.float64]
WAYS = ("x", "z", "arc")  # straight in X, straight in Z, along the great circle in Z
MOST_BYTES = 400_000


class DigitWalk(Widget):
    r"""Pictures between two pictures a and b: on the line in X, and through the flow on a line or an arc in Z.

    What to try: choose two digits and drag *t*. On the line in X the one picture fades out while the other fades in,
    two ghosts on one sheet; through Z one digit bends into the other, as far as the flow has learned to. Then look for
    this in the curves of log q, and be surprised: as a rule both lines run through pictures that are likelier than
    either end, the ghosts too. Turn to \|z\| and see why: a Gaussian in many dimensions is densest at its centre, where
    none of its samples are. Lines take the short cut past the centre, the arc keeps to \|z\| ≈ √D.

    The flow computes the frames when the widget is made; the page shows them, and only fades pictures in X by itself.

    Args:
        flow: any `gdl_lab.flows.Flow`, in the dtype and on the device that it computes in.
        pictures: two or more, shape (n, height, width) or (n, 1, height, width), as the flow was trained on: values in
            [0, 1], dequantized. What leaves [0, 1] on the way is shown clipped.
        names: one for each picture.
        steps: frames on a way, both ends included, 3 to 33.
        bits: if given, curves are in bits per dimension of pictures with so many bits, else log q / D in nats.
        settings: any trait below, such as ``a=0``, ``b=3`` or ``t=8``.

    Raises:
        ValueError: pictures that do not fit the flow, values outside [0, 1], names that are not one for each picture,
            other steps, or more than 400 kB of frames.
        TraitError: a setting outside its range.

    Example:
        >>> from gdl_lab.flows import RealNVP
        >>> walk = DigitWalk(RealNVP(64), torch.rand(2, 8, 8))
        >>> walk.readout(t=0)["norm_z"] == walk.readout(t=0)["norm_arc"]
        True
    """

    _esm = bundle("digit_walk")

    names: Any = traitlets.List(traitlets.Unicode()).tag(sync=True)
    shape: Any = traitlets.List(traitlets.Int()).tag(sync=True)
    steps = traitlets.Int(17, min=3, max=33).tag(sync=True)
    pictures = traitlets.Bytes().tag(sync=True)
    frames = traitlets.Bytes().tag(sync=True)
    curves = traitlets.Bytes().tag(sync=True)
    bits = traitlets.Int(0, min=0, max=8).tag(sync=True)
    a = traitlets.Int(0, min=0).tag(sync=True)
    b = traitlets.Int(1, min=0).tag(sync=True)
    t = traitlets.Int(8, min=0).tag(sync=True)
    curve = traitlets.Enum(["log_q", "norm"], "log_q").tag(sync=True)

    _flow: Flow | None = None
    _ends: Tensor

    def __init__(
        self,
        flow: Flow,
        pictures: Any,
        names: Sequence[Any] | None = None,
        steps: int = 17,
        bits: int | None = None,
        **settings: Any,
    ) -> None:
        x = _check_pictures(pictures, flow)
        count, height, width = x.shape
        names = [str(name) for name in (range(count) if names is None else names)]
        if len(names) != count:
            raise ValueError(f"expected {count} names, one for each picture, got {len(names)}")
        if not 3 <= steps <= 33:
            raise ValueError(f"expected 3 to 33 steps, got {steps}")
        size = count * (count - 1) * (steps - 2) * height * width
        if size > MOST_BYTES:
            raise ValueError(f"{size:,} bytes of frames, more than {MOST_BYTES:,}: take fewer pictures or steps")
        self._flow, self._ends = flow, torch.from_numpy(x).to(flow.anchor).reshape(count, *flow.shape)
        times = torch.linspace(0, 1, steps).tolist()
        walks = [self._walk(a, b, times, bits or 0) for a, b in _pairs(count)]
        super().__init__(
            names=names,
            shape=[count, height, width],
            steps=steps,
            pictures=_grey(x),
            frames=_grey(np.stack([frames[1:, 1:-1] for frames, _ in walks])),
            curves=float32_bytes(np.stack([numbers for _, numbers in walks])),
            bits=bits or 0,
            **{"t": (steps - 1) // 2, **settings},
        )

    @traitlets.validate("a", "b", "t")
    def _check_index(self, proposal: Any) -> int:
        name, value = proposal["trait"].name, int(proposal["value"])
        if value >= (most := self.steps if name == "t" else len(self.names)):
            raise traitlets.TraitError(f"expected {name} from 0 to {most - 1}, got {value}")
        return value

    def __repr__(self) -> str:
        return f"DigitWalk({', '.join(self.names)}; {self.shape[1]} × {self.shape[2]}, {self.steps} steps)"

    def readout(self, **settings: Any) -> dict[str, float]:
        """The numbers beside the pictures; arguments default to the present traits.

        The flow computes them anew. A widget made from a page's state has no flow, and looks them up as the page does.

        Args:
            settings: ``a`` and ``b``, indices of pictures, and ``t``, the frame's, from 0 at a to ``steps`` − 1 at b.

        Returns:
            For each way, ``x``, ``z`` and ``arc``: ``log_q_…``, log q / D in nats, or with ``bits`` the bits per
            dimension; ``norm_…``, |z| / √D, which is close to 1 for samples of the base.
        """
        a, b, t = self.chosen(("a", "b", "t"), settings, ("curve",))
        if self._flow is None:
            stored = np.frombuffer(self.curves, "<f4").reshape(-1, len(WAYS), 2, self.steps)
            low, high = sorted((a, b))
            if low == high:  # the end of any way that starts or ends there
                low, high = sorted((a, (a + 1) % self.shape[0]))
                t = 0 if a == low else self.steps - 1
            elif a > b:
                t = self.steps - 1 - t
            numbers = stored[_pairs(self.shape[0]).index((low, high)), :, :, t]
        else:
            numbers = self._walk(a, b, [t / (self.steps - 1)], self.bits)[1][:, :, 0]
        return {
            f"{what}_{way}": float(numbers[w, k])
            for w, way in enumerate(WAYS)
            for k, what in enumerate(("log_q", "norm"))
        }

    @torch.no_grad()
    def _walk(self, a: int, b: int, times: Sequence[float], bits: int) -> tuple[Array, Array]:
        """Frames, shape (ways, times, height · width), and numbers, shape (ways, 2, times)."""
        flow = self._flow
        assert flow is not None
        ends = self._ends[[a, b]]
        t = torch.tensor(times, dtype=ends.dtype, device=ends.device)
        z = flow.pull(ends)
        points = line(ends[0].flatten(), ends[1].flatten(), t).reshape(-1, *flow.shape)
        ways = torch.cat([points, flow.push(line(z[0], z[1], t)), flow.push(arc(z[0], z[1], t))])
        log_q, base = flow.log_prob(ways), flow.pull(ways)
        value = bits_per_dim(log_q, bits, flow.dim) if bits else log_q / flow.dim
        numbers = torch.stack([value, base.norm(dim=1) / math.sqrt(flow.dim)])
        shape = (len(WAYS), len(times))
        return (
            ways.reshape(*shape, -1).double().cpu().numpy(),
            numbers.reshape(2, *shape).transpose(0, 1).double().cpu().numpy(),
        )


def line(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """(1 − t) a + t b for every t, ``(D,)`` and ``(n,)`` → ``(n, D)``."""
    return torch.lerp(a, b, t[:, None])


def arc(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    r"""The great circle from a to b, its radius on the way from \|a\| to \|b\|, ``(D,)`` and ``(n,)`` → ``(n, D)``.

    With the angle Ω between a and b, (sin((1 − t)Ω) a/\|a\| + sin(tΩ) b/\|b\|) / sin Ω, times (1 − t)\|a\| + t\|b\|.
    Vectors of one direction have the straight line instead.

    Source: Shoemake (1985), eq. 3.
    """
    radii = torch.stack([a.norm(), b.norm()])
    u, v = a / radii[0], b / radii[1]
    angle = torch.atan2((u - v).norm(), (u + v).norm()) * 2
    if angle < 1e-3:
        return line(a, b, t)
    t = t[:, None]
    circle = (((1 - t) * angle).sin() * u + (t * angle).sin() * v) / angle.sin()
    return circle * torch.lerp(radii[0], radii[1], t)


def _pairs(count: int) -> list[tuple[int, int]]:
    """a < b, in the order in which frames and curves are stored; they are read in both directions."""
    return list(combinations(range(count), 2))


def _grey(values: Array) -> bytes:
    return (255 * values.clip(0, 1)).round().astype(np.uint8).tobytes()


def _check_pictures(pictures: Any, flow: Any) -> Array:
    if not isinstance(flow, Flow):
        raise ValueError(f"expected a flow of gdl_lab.flows, got {type(flow).__name__}")
    x = finite_array(pictures, "pictures", "(n, height, width)")
    if x.ndim == 4 and x.shape[1] == 1:
        x = x[:, 0]
    if x.ndim != 3 or len(x) < 2:
        raise ValueError(f"expected two or more pictures of shape (n, height, width), got {x.shape}")
    if x.shape[1] * x.shape[2] != flow.dim:
        raise ValueError(f"expected pictures of {flow.dim} pixels, as the flow has dimensions, got {x.shape[1:]}")
    if x.min() < 0 or x.max() > 1:
        raise ValueError(f"expected values in [0, 1], got {x.min():g} to {x.max():g}")
    return x

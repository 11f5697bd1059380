"""A picture that the reader turns, and whether the feature maps of a network turn with it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import traitlets
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from gdl_lab.symmetry import C1, C4, GroupConvolution, GroupNetwork, Lift, PlaneGroup, rotate
from gdl_lab.widgets.kernel_editor import digits
from gdl_lab.widgets.stage import Widget, bundle, finite_array, float32_bytes

__all__ = ["KERNELS", "TurnedFeatures"]

MOST_BYTES = 600_000
SIDES = (5, 32)
# An edge, a corner and the end of a stroke; and three kernels that a quarter turn takes into themselves.
KERNELS = {
    "oriented": [
        [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
        [[-1, -1, 0], [-1, 1, 1], [0, 1, 0]],
        [[0, 0, 0], [-1, 2, -1], [-1, 1, -1]],
    ],
    "symmetric": [
        [[0, -1, 0], [-1, 4, -1], [0, -1, 0]],
        [[1, 2, 1], [2, 4, 2], [1, 2, 1]],
        [[-1, 0, -1], [0, 4, 0], [-1, 0, -1]],
    ],
}


class TurnedFeatures(Widget):
    r"""Turn, then map, or map, then turn: f(ρ(g)x) and σ(g)f(x) side by side, with their difference.

    What to try: turn the picture by 90°. The maps of the ordinary convolution do not follow, those of the C4 layer do,
    to rounding, if σ(g) turns each map *and* moves it to the next orientation; leave the second half out and see how
    wrong it is. Pool over the orientations, and turning alone is right again. Then break it: with a stride of 2 the
    pixels that are kept do not lie evenly about the middle, and even the C4 layer fails; on a picture with one more row
    and column they do, and it holds. Between right angles a grid of pixels cannot turn without interpolation, and no
    layer of a finite group promises anything: all err by tens of per cent, symmetric kernels least.

    Pictures and maps turn anticlockwise about their middle, bilinear between pixels, zero from outside; orientations
    move by θ / 90°, linear in between.

    Args:
        pictures: grey values, shape (n, side, side) or (n, 1, side, side), sides of 5 to 32; by default six real
            handwritten digits of 8 × 8 pixels.
        networks: by name, each an ``nn.Sequential`` of ``nn.Conv2d``, `Lift` or `GroupConvolution`, batch
            normalisation and ``nn.ReLU``; a single such convolution; or a `GroupNetwork`, of which the features are
            shown. All read one grey picture. By default an ordinary convolution with three kernels, the lifting
            convolution of C4 with the same, and an ordinary one whose kernels are symmetric. Batch normalisation is
            that of evaluation.
        names: one for each picture.
        settings: any trait below, such as ``angle=90``, ``stride=2`` or ``network="C4"``.

    Raises:
        ValueError: pictures that are not square or of another size, names that are not one for each, a network with
            other layers, or more than 600 kB of kernels.
        TraitError: a setting outside its range.

    Example:
        >>> TurnedFeatures(network="C4 lift").readout(angle=90)["error"] < 1e-12
        True
        >>> TurnedFeatures(network="ordinary").readout(angle=90)["error"] > 0.5
        True
    """

    _esm = bundle("turned_features")

    images = traitlets.Bytes().tag(sync=True)
    shape: Any = traitlets.List(traitlets.Int()).tag(sync=True)
    names: Any = traitlets.List(traitlets.Unicode()).tag(sync=True)
    weights = traitlets.Bytes().tag(sync=True)
    programs: Any = traitlets.Dict().tag(sync=True)
    network = traitlets.Unicode().tag(sync=True)
    image = traitlets.Int(0, min=0).tag(sync=True)
    angle = traitlets.Int(30, min=0, max=360).tag(sync=True)
    stride = traitlets.Int(1, min=1, max=2).tag(sync=True)
    grown = traitlets.Bool(False).tag(sync=True)
    orientations = traitlets.Enum(["move", "stay", "pooled"], "move").tag(sync=True)
    channel = traitlets.Int(0, min=0).tag(sync=True)

    def __init__(
        self,
        pictures: Any = None,
        networks: Mapping[str, Any] | None = None,
        names: Sequence[Any] | None = None,
        **settings: Any,
    ) -> None:
        if pictures is None:
            pictures, names = digits() if names is None else (digits()[0], names)
        x = finite_array(pictures, "pictures", "(n, side, side)")
        x = x[:, 0] if x.ndim == 4 and x.shape[1] == 1 else x
        if x.ndim != 3 or x.shape[1] != x.shape[2] or not SIDES[0] <= x.shape[1] <= SIDES[1]:
            raise ValueError(f"expected square pictures (n, side, side), sides of 5 to 32, got {x.shape}")
        names = [f"picture {k + 1}" for k in range(len(x))] if names is None else [str(name) for name in names]
        if len(names) != len(x):
            raise ValueError(f"expected {len(x)} names, one for each picture, got {len(names)}")
        networks = _examples() if networks is None else networks
        if not isinstance(networks, Mapping) or not networks:
            raise ValueError(f"expected networks by name, such as {{'C4': Lift(C4, 1, 8)}}, got {networks!r}")
        weights: list[NDArray[np.float64]] = []
        programs = {str(name): _program(name, net, weights, x.shape[1]) for name, net in networks.items()}
        packed = float32_bytes(np.concatenate(weights))
        if len(packed) > MOST_BYTES:
            raise ValueError(f"{len(packed):,} bytes of kernels, more than {MOST_BYTES:,}: take smaller networks")
        super().__init__(
            images=float32_bytes(x),
            shape=list(x.shape),
            names=names,
            weights=packed,
            programs=programs,
            **{"network": next(iter(programs)), **settings},
        )

    @traitlets.validate("network", "image")
    def _check_choice(self, proposal: Any) -> Any:
        value = proposal["value"]
        if proposal["trait"].name == "network" and value not in self.programs:
            raise traitlets.TraitError(f"unknown network {value!r}: expected one of {', '.join(self.programs)}")
        if proposal["trait"].name == "image" and value >= self.shape[0]:
            raise traitlets.TraitError(f"expected image from 0 to {self.shape[0] - 1}, got {value}")
        return value

    def __repr__(self) -> str:
        count, side, _ = self.shape
        return f"TurnedFeatures({', '.join(self.programs)}; {count} pictures of {side} × {side} pixels)"

    def readout(self, **settings: Any) -> dict[str, float]:
        """The numbers beside the pictures, by torch in float64.

        Args:
            settings: ``network``, ``image``, ``angle`` in degrees, ``stride`` of the first convolution, ``grown``
                (one more row and column of zeros), ``orientations`` and ``channel``; by default the present traits.

        Returns:
            ``error`` = ‖f(ρ(g)x) − σ(g)f(x)‖ / ‖f(x)‖ over all maps of the network (the numerator alone if f(x) = 0);
            ``largest``, the largest difference of a pixel of the channel that is shown; ``side`` of the maps; and
            ``blur`` = ‖ρ(g⁻¹)ρ(g)x − x‖ / ‖x‖, what turning there and back loses of the picture itself.
        """
        names = ("network", "image", "angle", "stride", "grown", "orientations", "channel")
        network, image, angle, stride, grown, orientations, channel = self.chosen(names, settings)
        x = torch.from_numpy(np.frombuffer(self.images, "<f4").astype(np.float64)).view(-1, 1, *self.shape[1:])[[image]]
        x = F.pad(x, (0, 1, 0, 1)) if grown else x
        program = self.programs[network]
        theta = math.radians(angle)

        def features(x: Tensor) -> Tensor:
            maps = _run(program["layers"], self._values(), x, stride).unflatten(1, (-1, program["size"]))[0]
            return maps.amax(1, keepdim=True) if orientations == "pooled" else maps

        def turn(maps: Tensor) -> Tensor:
            return rotate(maps, theta)

        f = features(x)
        after, moved = features(turn(x)), turn(f)
        if orientations == "move":
            moved = _move(moved, angle * program["turns"] / 360, program["turns"])
        difference = after - moved
        shown = difference[min(channel, len(difference) - 1)]
        return {
            "error": float(difference.norm()) / (float(f.norm()) or 1.0),
            "largest": float(shown.abs().max()),
            "side": float(f.shape[-1]),
            "blur": float((rotate(turn(x), -theta) - x).norm()) / (float(x.norm()) or 1.0),
        }

    def _values(self) -> Tensor:
        return torch.from_numpy(np.frombuffer(self.weights, "<f4").astype(np.float64))


def _move(maps: Tensor, steps: float, turns: int) -> Tensor:
    """Orientation h takes what was at h − steps, linear in between; maps (channels, |G|, side, side)."""
    whole = math.floor(steps)
    cycle = maps.unflatten(1, (-1, turns))  # mirrored elements, if there are any, are a cycle of their own
    near, far = (cycle.roll(whole + k, dims=2) for k in (0, 1))
    return torch.lerp(near, far, steps - whole).flatten(1, 2)


def _run(layers: Sequence[Mapping[str, Any]], values: Tensor, x: Tensor, stride: int) -> Tensor:
    """The maps of a network, (1, maps, side, side); the stride is that of the first convolution."""
    for k, layer in enumerate(layers):
        n, m, size, at = layer["n"], layer["m"], layer["k"], layer["at"]
        kernel = values[at : at + n * m * size**2].view(n, m, size, size)
        bias = values[at + kernel.numel() :][:n]
        x = F.avg_pool2d(x, 2) if layer["pool"] else x
        x = F.conv2d(x, kernel, bias, stride=1 if k else stride, padding=size // 2)
        x = torch.relu(x) if layer["relu"] else x
    return x


# --- networks on their way to the page


def _examples() -> dict[str, nn.Module]:
    networks: dict[str, nn.Module] = {}
    for name, kernels in (("ordinary", "oriented"), ("C4 lift", "oriented"), ("symmetric kernels", "symmetric")):
        kernel = torch.tensor(KERNELS[kernels], dtype=torch.float32)[:, None]
        layer = Lift(C4, 1, len(kernel)) if name == "C4 lift" else nn.Conv2d(1, len(kernel), 3, padding=1, bias=False)
        weight = layer.kernel if isinstance(layer, Lift) else layer.weight
        weight.data = kernel / kernel.abs().sum((1, 2, 3), keepdim=True)
        networks[name] = nn.Sequential(layer, nn.ReLU())
    return networks


def _program(name: Any, network: Any, weights: list[NDArray[np.float64]], side: int) -> dict[str, Any]:
    """What the page runs: plain convolutions, each with its sizes and the place of its weights, which are appended.

    The kernel of a layer on a group is written out, ρ(g)κ for every g, so that the page needs no group but to know how
    many maps belong to one channel and how many of them a full turn runs through.
    """
    layers: list[dict[str, Any]] = []
    group, maps = C1, 1
    for module, pool in _modules(network):
        if isinstance(module, nn.ReLU) and layers:
            layers[-1]["relu"] = True
            continue
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d) and layers and not layers[-1]["relu"]:
            layers[-1]["scale"] = _scale(module, len(group))
            continue
        kernel, bias, group = _convolution(name, module, group)
        n, m, k, _ = kernel.shape
        if m != maps:
            raise ValueError(f"network {name!r}: a layer reads {m} maps where there are {maps}")
        layers.append({"n": n, "m": m, "k": k, "relu": False, "pool": pool, "kernel": kernel, "bias": bias})
        maps = n
    if not layers:
        raise ValueError(f"network {name!r} has no convolution")
    if side // 2 ** (1 + sum(layer["pool"] for layer in layers)) < 2:
        raise ValueError(f"network {name!r} pools pictures of side {side} too often")
    for layer in layers:
        kernel, bias, (gain, offset) = layer.pop("kernel"), layer.pop("bias"), layer.pop("scale", (1.0, 0.0))
        kernel, bias = kernel * (gain.view(-1, 1, 1, 1) if isinstance(gain, Tensor) else gain), bias * gain + offset
        layer["at"] = sum(map(len, weights))
        weights += [finite_array(v.flatten(), f"the weights of network {name!r}", "(n,)") for v in (kernel, bias)]
    return {"layers": layers, "size": len(group), "turns": group.turns}


def _modules(network: Any) -> Iterator[tuple[nn.Module, bool]]:
    """The layers in order, each with whether 2 × 2 mean pooling comes before it."""
    if isinstance(network, GroupNetwork):
        for k, (layer, norm) in enumerate(zip(network.layers, network.norms, strict=True)):
            yield from ((layer, k > 0), (norm, False), (nn.ReLU(), False))
    else:
        yield from ((module, False) for module in (network if isinstance(network, nn.Sequential) else [network]))


def _convolution(name: Any, module: Any, group: PlaneGroup) -> tuple[Tensor, Tensor, PlaneGroup]:
    """Kernel (n, m, k, k), bias (n,) and group of one layer, in float64, the group's axis joined to the channels'."""
    if isinstance(module, Lift | GroupConvolution):
        kernel = module.kernel.detach().cpu().double()
        act = module.group.on_maps if isinstance(module, GroupConvolution) else module.group.on_pictures
        moved = torch.stack([act(g, kernel) for g in module.group], 1).flatten(0, 1).flatten(1, -3)
        bias = module.bias.detach().cpu().double().flatten().repeat_interleave(len(module.group))
        if module.stride == 1 and (isinstance(module, Lift) or module.group == group):
            return moved, bias, module.group
    elif isinstance(module, nn.Conv2d):
        k = module.kernel_size[0]
        plain = (module.stride, module.dilation, module.groups, module.padding_mode) == ((1, 1), (1, 1), 1, "zeros")
        if plain and len(group) == 1 and module.kernel_size == (k, k) and k % 2 and module.padding == (k // 2, k // 2):
            kernel = module.weight.detach().cpu().double()
            bias = module.bias.detach().cpu().double() if module.bias is not None else kernel.new_zeros(len(kernel))
            return kernel, bias, C1
    raise ValueError(
        f"network {name!r}: expected nn.Conv2d with odd kernels, zeros around and stride 1, or Lift and then "
        f"GroupConvolution of one group, batch normalisation after a convolution, and nn.ReLU; got {module}"
    )


def _scale(norm: nn.BatchNorm2d | nn.BatchNorm3d, size: int) -> tuple[Tensor, Tensor]:
    """Gain and offset of each map under batch normalisation with its running statistics."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("expected batch normalisation that tracks running statistics")
    gain = (norm.running_var.double() + norm.eps).rsqrt()
    gain = gain * norm.weight.double() if norm.affine else gain
    offset = (norm.bias.double() if norm.affine else 0.0) - gain * norm.running_mean.double()
    return gain.detach().cpu().repeat_interleave(size), offset.detach().cpu().repeat_interleave(size)

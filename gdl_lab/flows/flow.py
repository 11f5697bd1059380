r"""What every flow is: a diffeomorphism g: Z → X that carries a base density to a density on data space.

With z = g⁻¹(x), the change of variables reads

    log p(x) = log p_Z(z) + log|det ∂z/∂x|.

Source: Gerken, "Normalizing flows"; Rezende & Mohamed (2015).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, overload

import torch
from torch import Tensor, nn
from torch.func import jvp, vmap

from gdl_lab import checkpoints
from gdl_lab.flows.bases import BASES

__all__ = ["Flow"]


class Flow(nn.Module):
    r"""A diffeomorphism g: Z → X with both directions and their log-determinants in closed form.

    A subclass defines ``_push`` and ``_pull``, which trust their input and always return the log-determinant, and hands
    its constructor's arguments on as ``architecture``, from which `load` builds it again.

    Args:
        shape: of one point of X; Z is ℝᴰ with D the number of its entries.
        base: ``"normal"`` or ``"uniform"``, the density on Z.

    All tensors have the dtype and the device of the flow's parameters.
    """

    kinds: ClassVar[dict[str, type[Flow]]] = {}
    anchor: Tensor

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Flow.kinds[cls.__name__] = cls

    def __init__(self, shape: Sequence[int], *, base: str = "normal", architecture: dict[str, Any]) -> None:
        super().__init__()
        if base not in BASES:
            raise ValueError(f"unknown base {base!r}: expected one of {', '.join(BASES)}")
        self.shape = tuple(shape)
        self.dim = math.prod(shape)
        self.base = BASES[base]
        self.architecture = {**architecture, "base": base}
        self.register_buffer("anchor", torch.empty(0), persistent=False)  # knows dtype and device without a search

    def _push(self, z: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def _pull(self, x: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    @overload
    def push(self, z: Tensor, log_det: Literal[False] = False) -> Tensor: ...
    @overload
    def push(self, z: Tensor, log_det: Literal[True]) -> tuple[Tensor, Tensor]: ...
    def push(self, z: Tensor, log_det: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        r"""The map g.

        Args:
            z: base points, shape ``(batch, D)``.
            log_det: return log|det ∂x/∂z| too, shape ``(batch,)``.

        Returns:
            x = g(z), shape ``(batch, *shape)``, or the pair.

        Raises:
            ValueError: an empty batch, another shape, dtype or device than the flow's, NaN or infinity.
            TypeError: no tensor.
        """
        x, change = self._push(self._checked(z, (self.dim,)))
        return (x, change) if log_det else x

    @overload
    def pull(self, x: Tensor, log_det: Literal[False] = False) -> Tensor: ...
    @overload
    def pull(self, x: Tensor, log_det: Literal[True]) -> tuple[Tensor, Tensor]: ...
    def pull(self, x: Tensor, log_det: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        r"""The inverse map g⁻¹, ``(batch, *shape)`` → ``(batch, D)``; with ``log_det`` also log|det ∂z/∂x|.

        Raises:
            ValueError: as `push`.
        """
        z, change = self._pull(self._checked(x, self.shape))
        return (z, change) if log_det else z

    def log_prob(self, x: Tensor) -> Tensor:
        r"""log p(x) = log p_Z(g⁻¹(x)) + log|det ∂z/∂x| in nats, ``(batch, *shape)`` → ``(batch,)``.

        Raises:
            ValueError: as `push`.
        """
        z, change = self._pull(self._checked(x, self.shape))
        return self.base.log_prob(z) + change

    def forward(self, x: Tensor) -> Tensor:
        """`log_prob`, so that wrappers that call modules (``functional_call``, parallel training) train a flow."""
        return self.log_prob(x)

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0) -> Tensor:
        r"""``n`` points of X, shape ``(n, *shape)``, without gradients.

        Args:
            generator: source of randomness; one on the CPU gives the same points on every device.
            temperature: T draws z from the density ∝ p_Z^(1/T²), for the normal base N(0, T²).

        Raises:
            ValueError: ``n`` below one, or a temperature that is negative or not finite.
        """
        if n < 1:
            raise ValueError(f"expected at least one sample, got n={n}")
        if not 0 <= temperature < math.inf:
            raise ValueError(f"a temperature is finite and at least 0, got {temperature}")
        z = self.anchor.new_empty(n, self.dim, device=generator.device if generator else None)
        return self._push(self.base.sample(z, temperature, generator).to(self.anchor.device))[0]

    def jacobian(self, z: Tensor, *, chunk: int = 64) -> Tensor:
        r"""∂x/∂z at base points z, ``(batch, D)`` → ``(batch, D, D)`` with entry ``[·, i, j]`` = ∂x_i/∂z_j.

        A closed form where the flow has one. Otherwise ``chunk`` columns at a time by forward derivatives, and a
        constant for autograd, so that memory stays a multiple of the result's.

        Raises:
            ValueError: as `push`, or a chunk below one.
        """
        if chunk < 1:
            raise ValueError(f"expected a chunk of at least one column, got {chunk}")
        return self._jacobian(self._checked(z, (self.dim,)), chunk)

    @torch.no_grad()
    def _jacobian(self, z: Tensor, chunk: int) -> Tensor:
        def push_tangent(v: Tensor) -> Tensor:
            return jvp(lambda z: self._push(z)[0].flatten(1), (z,), (v.expand_as(z),))[1]

        columns = torch.eye(self.dim, dtype=z.dtype, device=z.device).split(chunk)
        return torch.cat([vmap(push_tangent, out_dims=2)(v) for v in columns], dim=2)

    def save(self, path: str | Path) -> None:
        """Write weights and architecture to a safetensors file.

        Raises:
            CheckpointError: the file cannot be written.
        """
        checkpoints.write(path, self.state_dict(), {"flow": type(self).__name__, **self.architecture})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The flow that `save` wrote, on the CPU and in its dtype; ``Flow.load`` reads any, a subclass its own kind.

        Raises:
            CheckpointError: the file is missing, damaged, or holds something else.
        """
        kinds = {name: kind for name, kind in cls.kinds.items() if issubclass(kind, cls)}
        return checkpoints.rebuild(path, "flow", kinds, cls.__name__)

    def _checked(self, points: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The public door: shape, dtype, device and values, each complaint with what was given and expected."""
        if not isinstance(points, Tensor):
            raise TypeError(f"expected a tensor of points, got {type(points).__name__}: torch.as_tensor makes one")
        if points.shape[1:] != shape or points.ndim == 0 or len(points) == 0:
            expected = ", ".join(["batch", *map(str, shape)])
            raise ValueError(f"expected points of shape ({expected}) with batch ≥ 1, got {tuple(points.shape)}")
        anchor = self.anchor
        if points.dtype != anchor.dtype or points.device != anchor.device:
            raise ValueError(
                f"the flow computes in {anchor.dtype} on {anchor.device}, got points in {points.dtype} on "
                f"{points.device}: bring one to the other with .to(…)"
            )
        if not _finite(points):
            bad = points.isfinite().logical_not()
            raise ValueError(
                f"expected finite points, got {int(bad.sum())} entries of {points.numel()} that are NaN or infinite, "
                f"the first at index {tuple(bad.nonzero()[0].tolist())}"
            )
        return points


def _finite(points: Tensor) -> bool:
    try:
        # a finite sum has finite terms; the sum alone may overflow
        return math.isfinite(points.detach().sum().item()) or bool(points.isfinite().all())
    except RuntimeError:  # under vmap there is no one answer, on the device "meta" there are no values
        return True

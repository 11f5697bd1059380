"""Flows of others: what is asked of one, and how those of normflows and zuko bring it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor
from torch.distributions import Transform

from gdl_lab.flows.flow import Flow

__all__ = ["Diffeomorphism", "adapt"]

Map = Callable[[Tensor], Tensor]


class Diffeomorphism(NamedTuple):
    """What a foreign flow must bring along; one of ours does as it is.

    Attributes:
        push: g, ``(batch, D)`` → ``(batch, …)``.
        pull: g⁻¹.
        log_prob: log-density of data, ``(batch, …)`` → ``(batch,)``.
    """

    push: Map
    pull: Map
    log_prob: Map


def adapt(flow: Any) -> Flow | Diffeomorphism:
    """A flow of this package, of normflows or of zuko, with the methods ``push``, ``pull`` and ``log_prob``.

    Args:
        flow: anything that has the three methods, which is returned as it is; a ``normflows.NormalizingFlow``, whose
            ``DiagGaussian`` is whitened: base points are standard normal then; a zuko flow, or, if that needs a
            context c, its distribution ``flow(c)``.

    Raises:
        TypeError: something else.
    """
    if all(callable(getattr(flow, name, None)) for name in Diffeomorphism._fields):
        return flow
    if hasattr(flow, "inverse") and hasattr(flow, "q0"):
        if type(flow.q0).__name__ != "DiagGaussian":
            return Diffeomorphism(flow.forward, flow.inverse, flow.log_prob)
        return Diffeomorphism(
            push=lambda z: flow.forward(flow.q0.loc + z * flow.q0.log_scale.exp()),
            pull=lambda x: (flow.inverse(x) - flow.q0.loc) * (-flow.q0.log_scale).exp(),
            log_prob=flow.log_prob,
        )
    # a flow of zuko is a recipe that builds its transform anew with each call
    law = (lambda: flow) if isinstance(getattr(flow, "transform", None), Transform) else flow
    try:
        known = isinstance(law().transform, Transform)
    except (AttributeError, TypeError):
        known = False
    if not known:
        raise TypeError(
            f"expected a flow with push, pull and log_prob, or one of normflows or zuko, got {type(flow).__name__}: "
            "hand over Diffeomorphism(push=…, pull=…, log_prob=…)"
        )
    return Diffeomorphism(
        push=lambda z: law().transform.inv(z),
        pull=lambda x: law().transform(x),
        log_prob=lambda x: law().log_prob(x),
    )

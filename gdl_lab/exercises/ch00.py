"""Checkers of chapter 00: one warm-up, to see how a checker speaks."""

from __future__ import annotations

from typing import Any

import torch

from gdl_lab.exercises.verdict import checker, close, expect

__all__ = ["relu"]


@checker("ReLU(x) = max(x, 0), entry by entry: you are ready for chapter 01.")
def relu(f: Any) -> None:
    """``relu(x)`` for a tensor of any shape."""
    x = torch.tensor([[-2.0, -0.5, 0.0], [0.5, 1.0, 3.0]])
    wanted = torch.tensor([[0.0, 0.0, 0.0], [0.5, 1.0, 3.0]])
    try:
        given = f(x)
    except Exception as raised:
        ambiguous = "ambiguous" in str(raised.__cause__)
        expect(not ambiguous, "Python's max compares whole tensors; ReLU compares entry by entry.")
        raise
    expect(not isinstance(given, float | int), "One number came back: ReLU acts on every entry and keeps the shape.")
    given = torch.as_tensor(given)
    expect(given.ndim > 0, "One number came back: ReLU acts on every entry and keeps the shape.")
    expect(not close(given, x.abs()), "Negative entries came back positive: that is |x|. ReLU sets them to zero.")
    expect(
        not close(given, torch.minimum(x, torch.zeros(()))),
        "The negative entries survived and the positive ones did not.",
    )
    expect(not close(given, (x > 0).float()), "That says where x is positive, but not what x is there.")
    expect(close(given, wanted), "Not yet: compare your output with max(x, 0) on x = −2, 0 and 3.")

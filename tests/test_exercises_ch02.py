"""Chapter 02's checkers: right answers in any precision pass, and mistakes beyond the typical ones are named too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdl_lab.exercises import ch02
from gdl_lab.networks import translate


def slide(kernel: Tensor, f: Tensor, z: Tensor) -> Tensor:
    """The solution, into a ``z`` that the reader has made."""
    k, (h, w) = kernel.shape[-1], z.shape[-2:]
    for i, j in product(range(k), range(k)):
        z += torch.einsum("mn,nhw->mhw", kernel[:, :, i, j], f[:, i : i + h, j : j + w])
    return z


def sliding_filter(kernel: Tensor, f: Tensor) -> Tensor:
    k = kernel.shape[-1]
    return slide(kernel, f, torch.zeros(len(kernel), f.shape[1] - k + 1, f.shape[2] - k + 1))


def row_of_w(kernel: Tensor, x: tuple[int, int], height: int, width: int) -> Tensor:
    row = torch.zeros(height, width)
    for i, j in product(range(height), range(width)):
        a, b = i - x[0] + 1, j - x[1] + 1
        if 0 <= a < 3 and 0 <= b < 3:
            row[i, j] = kernel[a, b]
    return row.flatten()


def equivariance_error(layer: Callable[[Tensor], Tensor], f: Tensor, a: tuple[int, int]) -> float:
    z = layer(f)
    return float(((layer(translate(f, a)) - translate(z, a)) ** 2).sum().sqrt() / (z**2).sum().sqrt())


def blurred_stride(z: Tensor) -> Tensor:
    window = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    z = F.pad(z, (1, 1, 1, 1), mode="circular")
    return F.conv2d(z, window.expand(z.shape[1], 1, 3, 3), stride=2, groups=z.shape[1])


@pytest.mark.parametrize("answer", [sliding_filter, row_of_w, equivariance_error, blurred_stride])
def test_an_answer_in_single_precision_is_right(answer: Callable[..., Any]) -> None:
    verdict = getattr(ch02, answer.__name__)(answer)
    assert verdict.ok, verdict.hint


def test_an_answer_in_double_precision_or_in_numpy_is_right() -> None:
    def in_numpy(kernel: Tensor, f: Tensor) -> Any:
        windows = np.lib.stride_tricks.sliding_window_view(f.numpy().astype(float), kernel.shape[-2:], axis=(1, 2))
        return np.einsum("mnij,nhwij->mhw", kernel.numpy(), windows)

    def in_double(kernel: Tensor, f: Tensor) -> Tensor:
        return slide(kernel.double(), f.double(), torch.zeros(2, 4, 6, dtype=torch.float64))

    assert ch02.sliding_filter(in_numpy).ok
    assert ch02.sliding_filter(in_double).ok
    assert ch02.blurred_stride(lambda z: blurred_stride(z).double()).ok


def module(kernel: Tensor, f: Tensor) -> Tensor:
    conv = nn.Conv2d(3, 2, 3, bias=False)
    conv.weight.data = kernel
    return conv(f[None])[0]


def unfolded(kernel: Tensor, f: Tensor) -> Tensor:
    return (kernel.flatten(1) @ F.unfold(f[None], 3)[0]).view(2, 4, 6)


@pytest.mark.parametrize(
    "answer", [lambda kernel, f: F.conv2d(f[None], kernel)[0], lambda kernel, f: F.conv2d(f, kernel), module, unfolded]
)
def test_a_convolution_of_pytorchs_is_recognised(answer: Callable[..., Any]) -> None:
    verdict = ch02.sliding_filter(answer)
    assert not verdict.ok
    assert verdict.hint == "That is PyTorch's convolution: write the sum yourself."


def test_looking_for_convolutions_keeps_the_frame_whole() -> None:
    def fails(kernel: Tensor, f: Tensor) -> Tensor:
        return F.conv2d(f, kernel[:, :1])

    assert "Your code raises RuntimeError" in ch02.sliding_filter(fails).hint
    assert "Nothing to check" in ch02.sliding_filter(lambda kernel, f: None).hint
    assert not torch.overrides._get_current_function_mode_stack()  # type: ignore[attr-defined]


def mistakes() -> Iterator[tuple[str, Callable[..., Any], str]]:
    yield "sliding_filter", lambda k, f: sliding_filter(k.flip(-1), f), "One axis of your kernel"
    yield "sliding_filter", lambda k, f: sliding_filter(k.flip(-2), f), "One axis of your kernel"
    yield "sliding_filter", lambda k, f: sliding_filter(k, f) / 27, "You take a mean"
    yield "sliding_filter", lambda k, f: sliding_filter(k, f) / 9, "You take a mean"
    yield "sliding_filter", lambda k, f: sliding_filter(k, f).sum(0), "Only one output channel"
    yield "sliding_filter", lambda k, f: sliding_filter(k[:1], f), "Only one output channel"
    yield "sliding_filter", lambda k, f: sliding_filter(k.mT, f), "Rows and columns of the kernel"
    yield "parameters", lambda n, m, k: m * (n * k + 1), "as if the window were a line"
    yield "parameters", lambda n, m, k: m * (k * k + 1), "κ is a matrix"
    yield "parameters", lambda n, m, k: n * m * k * k + n, "for each input channel"
    yield "equivariance_error", lambda g, f, a: equivariance_error(g, f, a) * g(f).norm() / f.norm(), "size of f"
    yield "equivariance_error", lambda g, f, a: equivariance_error(g, f, a[::-1]), "Rows and columns of the shift"
    yield "equivariance_error", absolute, "another norm"


def absolute(layer: Callable[[Tensor], Tensor], f: Tensor, a: tuple[int, int]) -> Tensor:
    z = layer(f)
    return (layer(translate(f, a)) - translate(z, a)).abs().sum() / z.abs().sum()


@pytest.mark.parametrize(("name", "answer", "fragment"), list(mistakes()))
def test_a_mistake_is_named(name: str, answer: Callable[..., Any], fragment: str) -> None:
    verdict = getattr(ch02, name)(answer)
    assert not verdict.ok
    assert fragment in verdict.hint, verdict.hint


def test_the_hints_do_not_give_the_error_away() -> None:
    hints = [ch02.equivariance_error(lambda layer, f, a, c=c: c).hint for c in (0.3, 1.0, 2.0)]
    assert not any(character.isdigit() and character != "0" for hint in hints for character in hint)

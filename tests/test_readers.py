"""The readers: networks that are saved with their architecture, and what each family is made of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gdl_lab import checkpoints
from gdl_lab.networks import ConvolutionalReader, MixerReader, Reader
from gdl_lab.training import CheckpointError

FAMILIES = {
    "convolutional": lambda shape, outputs: ConvolutionalReader(shape, outputs, (4, 8)),
    "mixer": lambda shape, outputs: MixerReader(shape, outputs, patch=4, width=8, depth=2),
}
each_family = pytest.mark.parametrize("family", FAMILIES)


@each_family
@pytest.mark.parametrize(("outputs", "answers"), [(3, (5, 3)), (None, (5,))])
def test_a_saved_reader_is_the_same_reader(
    family: str, outputs: int | None, answers: tuple[int, ...], tmp_path: Path, rng: torch.Generator
) -> None:
    reader = FAMILIES[family]((2, 12, 8), outputs)
    x = torch.rand(5, 2, 12, 8, generator=rng)
    reader(x)  # batch statistics move in training
    reader.eval().save(tmp_path / "reader.safetensors")
    again = Reader.load(tmp_path / "reader.safetensors")
    assert type(again) is type(reader)
    assert not again.training
    assert torch.equal(again(x), reader(x))
    assert again(x).shape == answers
    assert torch.equal(again(x.flatten(1)), again(x))
    assert torch.allclose(again.double()(x.double()).float(), reader(x), atol=1e-5)


@each_family
def test_every_pixel_counts_and_every_weight_is_trained(family: str, rng: torch.Generator) -> None:
    torch.manual_seed(0)
    reader = FAMILIES[family]((1, 12, 12), 4)
    x = torch.rand(8, 1, 12, 12, generator=rng, requires_grad=True)
    # the squares of one row of weights, lest layers that end in a norm lose their gradient
    reader(x).square().mean().backward()
    assert x.grad is not None
    assert bool((x.grad.abs().sum((0, 1)) > 0).all())
    for name, weight in reader.named_parameters():
        assert weight.grad is not None, name
        assert float(weight.grad.abs().max()) > 0, name


def test_answers_do_not_depend_on_the_neighbours_in_the_batch(rng: torch.Generator) -> None:
    for make in FAMILIES.values():
        reader = make((1, 8, 8), 3).eval()
        x = torch.rand(6, 1, 8, 8, generator=rng)
        assert torch.allclose(reader(x), torch.cat([reader(one[None]) for one in x]), atol=1e-6)


def test_a_mixer_mixes_places_and_a_layer_of_none_would_not(rng: torch.Generator) -> None:
    """Swapping two patches changes the answer, as the weights of places differ; before any layer it does not."""
    torch.manual_seed(0)
    x = torch.rand(4, 1, 8, 8, generator=rng)
    swapped = x.roll(4, 3)
    mixing, none = (MixerReader((1, 8, 8), 3, patch=4, width=8, depth=depth) for depth in (1, 0))
    assert not torch.allclose(mixing(x), mixing(swapped), atol=1e-4)
    assert torch.allclose(none(x), none(swapped), atol=1e-6)


@each_family
def test_pictures_of_another_size_are_named(family: str) -> None:
    with pytest.raises(
        ValueError, match=r"expected pictures of shape \(1, 8, 8\), got a batch of shape \(2, 1, 9, 9\)"
    ):
        FAMILIES[family]((1, 8, 8), 3)(torch.zeros(2, 1, 9, 9))


def test_what_cannot_be_built_is_named() -> None:
    with pytest.raises(ValueError, match="at least 2 classes, or None for a number, got 1"):
        ConvolutionalReader((1, 8, 8), 1)
    with pytest.raises(ValueError, match="patches of side 3 do not tile a picture of 8×8"):
        MixerReader((1, 8, 8), 2, patch=3)


class Counting(Reader):
    """A reader whose first buffer, in the order of names, is a whole number."""

    def __init__(self, shape: Sequence[int], outputs: int) -> None:
        super().__init__(shape, outputs, features=4, architecture={})
        self.register_buffer("a_count", torch.tensor(3))

    def features(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def test_the_dtype_of_a_file_is_that_of_its_weights_not_of_what_it_counts(tmp_path: Path) -> None:
    reader = Counting((1, 2, 2), 2).double()
    reader.save(tmp_path / "reader.safetensors")
    again = Reader.load(tmp_path / "reader.safetensors")
    assert torch.equal(again.readout.weight, reader.readout.weight)
    assert again.readout.weight.dtype == torch.float64
    assert again.get_buffer("a_count").dtype == torch.int64


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_whoever_may_read_new_files_may_read_a_checkpoint(tmp_path: Path, mask: int) -> None:
    path, before = tmp_path / "reader.safetensors", os.umask(mask)
    try:
        MixerReader((1, 8, 8), 2).save(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_files_of_something_else_are_named(tmp_path: Path) -> None:
    path = tmp_path / "reader.safetensors"
    MixerReader((1, 8, 8), 2).save(path)
    with pytest.raises(CheckpointError, match="holds 'MixerReader', expected a ConvolutionalReader of this package"):
        ConvolutionalReader.load(path)
    weights, architecture = checkpoints.read(path)
    for wrong, message in (
        ({"reader": "Scribe"}, "holds 'Scribe', expected a Reader of this package"),
        ({"depth": 1}, "does not fit this version of MixerReader"),
        ({"twist": 1}, "does not fit this version of MixerReader"),
    ):
        checkpoints.write(path, weights, {**architecture, **wrong})
        with pytest.raises(CheckpointError, match=message):
            Reader.load(path)

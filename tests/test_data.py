"""Data sets: the embedded and drawn ones are what they say, and MNIST is read as it was written."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gdl_lab import data
from gdl_lab.data import CARDS, DataError, digits, load
from gdl_lab.data.digits import MNIST_FILES, parse_idx
from gdl_lab.data.files import RemoteFile, read

DRAWN = ("two_moons", "spirals", "rings")


# The embedded digits


def test_digits8_are_grey_pictures_of_ten_classes() -> None:
    train, test = load("digits8"), load("digits8", "test")
    assert (len(train), len(test)) == (1437, 360)
    for part in (train, test):
        assert part.x.shape == (len(part), 1, 8, 8)
        assert (part.x.dtype, part.y.dtype) == (torch.float32, torch.int64)
        assert (float(part.x.min()), float(part.x.max())) == (0, 1)
        assert set(part.y.tolist()) == set(range(10))
        assert set(part.y.tolist()) == set(range(10))


def test_digits8_splits_share_no_example_and_have_equal_shares_of_every_digit() -> None:
    train, test = load("digits8"), load("digits8", "test")
    seen = {picture.numpy().tobytes() for picture in train.x}
    assert not any(picture.numpy().tobytes() in seen for picture in test.x)
    whole = torch.bincount(torch.cat([train.y, test.y]))
    wanted = whole * 360 / 1797
    assert (torch.bincount(test.y) - wanted).abs().max() < 1  # no split into whole digits is closer
    assert (torch.bincount(train.y[:360]) - wanted).abs().max() > 1  # the first 360 are not such a split


def test_digits8_are_the_same_every_time() -> None:
    assert torch.equal(load("digits8").x, load("digits8").x)


def test_digits8_are_upright_and_labelled_rightly() -> None:
    """The mean zero is hollow, the mean one is not; a transposed or shuffled set fails."""
    train = load("digits8")
    zero, one = train.x[train.y == 0].mean(0)[0], train.x[train.y == 1].mean(0)[0]
    assert zero[3:5, 3:5].mean() < 0.2 < 0.6 < one[3:5, 3:5].mean()
    seven = train.x[train.y == 7].mean(0)[0]
    assert seven[0].mean() > 2 * seven[:, 0].mean()  # the bar of a seven is on top, not at the left


# Drawn sets


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_sets_repeat_themselves_and_differ_between_splits_and_seeds(name: str) -> None:
    one = load(name, n=100, seed=3)
    assert torch.equal(one.x, load(name, n=100, seed=3).x)
    for other in (load(name, "test", n=100, seed=3), load(name, n=100, seed=4), load(name, "test", n=100, seed=2)):
        assert not torch.isin(one.x, other.x).any()


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("n", [2, 3, 1000])
def test_drawn_sets_have_their_shape_and_balanced_labels(name: str, n: int) -> None:
    drawn = load(name, n=n)
    assert drawn.x.shape == (n, 2)
    assert (drawn.x.dtype, drawn.y.dtype) == (torch.float32, torch.int64)
    assert torch.bincount(drawn.y).tolist() == [n - n // 2, n // 2]
    assert set(drawn.y.tolist()) == {0, 1}
    assert load(name, n=n, noise=0).x.abs().max() <= 1


def off_two_moons(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    sign = 1.0 - 2.0 * y
    p = sign[:, None] * x + torch.tensor([0.3, 0.15])
    return (p.norm(dim=1) - 0.6).abs() + (-p[:, 1]).clamp(min=0)


def off_spirals(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    sign = 1.0 - 2.0 * y
    radius = x.norm(dim=1)
    turn = (radius - 0.1) / 0.8 * 3 * math.pi
    return (sign[:, None] * x - radius[:, None] * torch.stack([turn.cos(), turn.sin()], 1)).norm(dim=1)


def off_rings(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    radius = x.norm(dim=1)
    return torch.where(y == 1, (radius - 0.75).abs(), (radius - 0.35).clamp(min=0))


@pytest.mark.parametrize(
    ("name", "distance"), [("two_moons", off_two_moons), ("spirals", off_spirals), ("rings", off_rings)]
)
def test_without_noise_every_point_lies_on_its_curve(
    name: str, distance: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
) -> None:
    exact = load(name, noise=0, n=500)
    assert distance(exact.x, exact.y).max() < 2e-6
    assert distance(exact.x, 1 - exact.y).mean() > 0.1  # each class has a curve of its own
    noisy = load(name, noise=0.05, n=500)
    assert distance(noisy.x, noisy.y).mean() > 0.01


@pytest.mark.parametrize("name", DRAWN)
def test_noise_is_the_standard_deviation_of_each_coordinate(name: str) -> None:
    difference = load(name, noise=0.3, n=4000).x - load(name, noise=0.0, n=4000).x
    assert difference.std(0).tolist() == pytest.approx([0.3, 0.3], rel=0.05)
    assert difference.mean(0).abs().max() < 0.02


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"n": 1}, "at least two points, got n=1"),
        ({"n": -5}, "at least two points, got n=-5"),
        ({"n": 10.5}, "a whole number of at least two points, got n=10.5"),
        ({"n": "10"}, "a whole number of at least two points, got n='10'"),
        ({"noise": -0.1}, "noise is a standard deviation, finite and at least 0, got -0.1"),
        ({"noise": math.nan}, "at least 0, got nan"),
        ({"noise": math.inf}, "at least 0, got inf"),
        ({"n": 10, "colour": "red"}, "does not take colour"),
    ],
)
@pytest.mark.parametrize("name", DRAWN)
def test_bad_options_of_a_drawn_set_are_one_sentence(name: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        load(name, **options)


def test_unknown_names_splits_and_options_are_named() -> None:
    with pytest.raises(ValueError, match=r"unknown data set 'minst': expected one of digits8, mnist, .*rings"):
        load("minst")
    with pytest.raises(ValueError, match="unknown data set 'digits'"):
        load("mnist", otherwise="digits")
    with pytest.raises(ValueError, match="unknown split 'validation': expected one of train, test"):
        load("digits8", "validation")
    with pytest.raises(ValueError, match="digits8 does not take n"):
        load("digits8", n=10)


# Taking and moving examples


@given(n=st.integers(1, 60), seed=st.integers(0, 2**31))
def test_take_repeats_nothing_and_keeps_pairs_together(n: int, seed: int) -> None:
    whole = load("rings", n=60, noise=0)
    part = whole.take(n, seed)
    assert len(part) == len(part.x.unique(dim=0)) == n
    assert torch.equal(part.x, whole.take(n, seed).x)
    assert off_rings(part.x, part.y).max() < 2e-6


@pytest.mark.parametrize("n", [0, -1, 61])
def test_take_refuses_what_is_not_there(n: int) -> None:
    with pytest.raises(ValueError, match=f"cannot take {n} of the 60 examples in rings"):
        load("rings", n=60).take(n)


def test_to_moves_inputs_and_labels() -> None:
    moved = load("rings", n=10).to("meta")
    assert moved.x.device.type == moved.y.device.type == "meta"


def test_every_card_says_what_the_set_is_and_whose() -> None:
    for card in CARDS.values():
        assert card.title.strip()
        assert card.licence.strip()
        for file in card.files:
            assert len(bytes.fromhex(file.sha256)) == 32
            assert len({mirror.split("/")[2] for mirror in file.mirrors}) == len(file.mirrors) >= 2
            assert all(mirror.startswith("https://") for mirror in file.mirrors)


# MNIST

CONTENT = b"\x00\x00\x08\x01" + struct.pack(">I", 5) + bytes(range(5))


@pytest.mark.slow
def test_mnist_is_read_from_this_machine_and_is_mnist() -> None:
    if not data.on_this_machine("mnist"):
        pytest.skip("MNIST is not on this machine: set GDL_LAB_DATA to a folder that holds mnist/")
    for split, n, first in (("train", 60_000, [5, 0, 4, 1, 9]), ("test", 10_000, [7, 2, 1, 0, 4])):
        part = load("mnist", split)
        assert part.x.shape == (n, 1, 28, 28)
        assert (float(part.x.min()), float(part.x.max())) == (0, 1)
        assert part.y[:5].tolist() == first
        assert set(part.y.tolist()) == set(range(10))
    assert load("mnist", "test", otherwise="digits8").name == "mnist"
    for file in MNIST_FILES:
        assert hashlib.sha256(read("mnist", file)).hexdigest() == file.sha256


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is not an idx file of unsigned bytes"),
        (b"\x00\x00\x08", "is not an idx file"),
        (b"\x00\x01\x08\x01" + CONTENT[4:], "is not an idx file"),
        (b"\x00\x00\x0d\x01" + CONTENT[4:], "is not an idx file of unsigned bytes"),
        (b"\x00\x00\x08\x03" + CONTENT[4:8], "f ends within its header"),
        (CONTENT[:-1], "f holds 4 values, its header says 5"),
        (CONTENT + b"!", "f holds 6 values, its header says 5"),
        (b"\x00\x00\x08\x02" + struct.pack(">II", 2, 3) + bytes(5), "f holds 5 values, its header says 2×3"),
        (b"\x00\x00\x08\x02" + struct.pack(">II", 2**31, 2**31), "holds 0 values"),
        (b"\x00\x00\x08\x04" + struct.pack(">IIII", *[2**16] * 4), "holds 0 values"),  # 2⁶⁴ is 0 in 64 bits
    ],
)
def test_a_wrong_idx_file_is_explained(content: bytes, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        parse_idx(content, "f")


@given(st.lists(st.integers(0, 4), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_idx_files_round_trip(shape: list[int], random: object) -> None:
    values = random.randbytes(math.prod(shape))  # type: ignore[attr-defined]
    array = parse_idx(b"\x00\x00\x08" + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + values, "f")
    assert array.shape == tuple(shape)
    assert array.tobytes() == values
    assert array.flags.writeable


def test_the_mnist_loader_reads_images_and_labels_of_the_split_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def content(_: str, file: RemoteFile) -> bytes:
        n = 3 if file.name.startswith("train") else 2
        if "labels" in file.name:
            return b"\x00\x00\x08\x01" + struct.pack(">I", n) + bytes(range(n))
        return b"\x00\x00\x08\x03" + struct.pack(">III", n, 28, 28) + bytes([51]) * (n * 784)

    monkeypatch.setattr(digits, "read", content)
    for split, n in (("train", 3), ("test", 2)):
        x, y = digits.mnist(split)
        assert x.shape == (n, 1, 28, 28)
        assert y.tolist() == list(range(n))
        assert x.unique().tolist() == pytest.approx([0.2])

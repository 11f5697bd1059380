"""CelebA: its splits and attributes, what is not there, and files that are damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from gdl_lab import data
from gdl_lab.data import DataError, celeba, load, published
from gdl_lab.data.published import decode

from .layout import (
    BLOND,
    NAMES,
    PARTITION,
    PARTS,
    PICTURE,
    SMILING,
    TABLE,
    blots,
    jpeg,
    packed,
    truncate,
    write_celeba,
    write_mall,
)


@pytest.mark.parametrize(("split", "part"), [("train", 0), ("test", 2)])
def test_faces_of_a_split_come_in_order_with_their_attribute(faces: Path, split: str, part: int) -> None:
    mine = [i for i in range(8) if PARTS[i] == part]
    loaded = load("celeba", split)
    assert loaded.x.shape == (len(mine), 3, 64, 64)
    assert (loaded.x.dtype, loaded.y.dtype) == (torch.float32, torch.int64)
    assert 0 <= float(loaded.x.min()) < float(loaded.x.max()) <= 1
    assert loaded.y.tolist() == [int(BLOND[i] == 1) for i in mine]
    for picture, i in zip(loaded.x, mine, strict=True):
        wanted = decode((faces / "img_align_celeba" / NAMES[i]).read_bytes(), celeba.VIEW, 64)
        assert torch.equal(picture, torch.from_numpy(wanted) / 255)
    smiling = load("celeba", split, attribute="Smiling")
    assert smiling.y.tolist() == [int(SMILING[i] == 1) for i in mine]
    assert torch.equal(smiling.x, loaded.x)


def test_the_first_n_faces_in_another_size(faces: Path) -> None:
    few = load("celeba", n=2, size=16)
    assert few.x.shape == (2, 3, 16, 16)
    assert torch.equal(few.x, load("celeba", size=16).x[:2])
    assert len(few.y) == 2


def test_bytes_are_the_same_pictures_and_stay_as_they_are_on_the_disk(faces: Path) -> None:
    stored = load("celeba", as_bytes=True)
    assert stored.x.dtype == torch.uint8
    assert torch.equal(stored.x / 255, load("celeba").x)
    stored.x.fill_(0)  # a copy in memory: the file is not touched
    assert load("celeba").x.max() > 0


@pytest.mark.parametrize("set_name", ["celeba", "mall"])
def test_more_floats_than_fit_are_refused_before_anything_is_decoded(
    home: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch, set_name: str
) -> None:
    (write_celeba if set_name == "celeba" else write_mall)(home / set_name)
    monkeypatch.setattr(published, "MOST_FLOATS", 2 * 3 * 64 * 64 * 4)
    with pytest.raises(
        ValueError, match=rf"[34] pictures of {set_name} take 0.[12] MB as float32: ask for fewer with n="
    ):
        load(set_name)
    assert decoded == []
    assert len(load(set_name, n=2)) == 2  # exactly the limit
    assert len(load(set_name, as_bytes=True)) > 2


def test_the_published_numbers_of_faces_are_more_than_fit_and_the_talks_test_set_is_not() -> None:
    """What the limit of 4 GiB means for the real set: 162,770 and 19,962 faces of 64×64."""
    floats = 3 * 64 * 64 * 4
    assert 19_962 * floats < published.MOST_FLOATS < 162_770 * floats


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"n": 0}, "celeba has any number n of pictures of train between 1 and 4, got 0"),
        ({"n": 5}, "between 1 and 4, got 5"),
        ({"n": 2.0}, "got 2.0"),
        ({"n": True}, "got True"),
        ({"size": 0}, "celeba has any size in pixels between 1 and 148, got 0"),
        ({"size": 149}, "got 149"),
        ({"size": "64"}, "got '64'"),
        ({"size": None}, "got None"),
        ({"attribute": "Blonde"}, "CelebA has no attribute 'Blonde': expected one of Trait_0, .*, Blond_Hair, Smiling"),
        ({"seed": 0}, "celeba does not take seed"),
    ],
)
def test_what_there_is_not_is_one_sentence(faces: Path, decoded: list[str], options: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        load("celeba", **options)
    assert "\n" not in str(caught.value)
    assert decoded == []


def test_a_zip_archive_gives_the_same_as_its_folder(faces: Path) -> None:
    before = load("celeba")
    packed(faces / "img_align_celeba", faces / "img_align_celeba.zip")
    after = load("celeba")
    assert torch.equal(before.x, after.x)
    assert torch.equal(before.y, after.y)
    assert data.count("celeba", "train") == 4


def changed(old: str, new: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


def without_line(i: int) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines[:i] + lines[i + 1 :]))

    return change


@pytest.mark.parametrize(
    ("name", "damage", "complaint"),
    [
        (PICTURE, truncate, r"is damaged \(.*truncated.*\): take it anew"),
        (PICTURE, lambda path: path.write_bytes(b""), r"is damaged \(not a JPEG picture\)"),
        (PICTURE, lambda path: path.write_bytes(b"\xff\xd8\xff\xe0"), "is damaged"),
        (PICTURE, lambda path: path.write_bytes(b"<html>"), r"is damaged \(not a JPEG picture\)"),
        (PICTURE, lambda path: Image.new("RGB", (178, 218)).save(path, "PNG"), r"is damaged \(not a JPEG picture\)"),
        (PICTURE, lambda path: path.write_bytes(jpeg(blots(218, 178, 1))), "has 218×178 pixels, and 178×218 were"),
        (PICTURE, lambda path: path.write_bytes(jpeg(blots(64, 64, 1))), "has 64×64 pixels"),
        (TABLE, lambda path: path.write_text(""), "begins with '', not with a number and a line of attributes"),
        (TABLE, without_line(0), "begins with 'Trait_0 .*', not with a number"),
        (TABLE, without_line(1), "promises 8 pictures and has rows for 7"),
        (TABLE, without_line(4), "promises 8 pictures and has rows for 7"),
        (TABLE, changed("8\n", "9\n"), "promises 9 pictures and has rows for 8"),
        (
            TABLE,
            changed("000002.jpg -1 ", "000002.jpg "),
            "line 4: expected a picture and 40 values ±1, got '000002.jpg",
        ),
        (TABLE, changed("000002.jpg -1", "000002.jpg  0"), "line 4: expected a picture and 40 values ±1"),
        (TABLE, lambda path: path.write_bytes(b"8\n\xff"), "cannot be read"),
        (PARTITION, lambda path: path.write_text(""), "does not list the 8 pictures of .* but 0"),
        (PARTITION, without_line(7), "does not list the 8 pictures of list_attr_celeba.txt in their order but 7"),
        (PARTITION, changed("000003", "000009"), "does not list the 8 pictures"),
        (
            PARTITION,
            changed("000002.jpg 2", "000002.jpg 3"),
            "line 2: expected a picture and 0, 1 or 2, got '000002.jpg 3'",
        ),
        (PARTITION, changed("000002.jpg 2", "000002.jpg"), "line 2: expected a picture and 0, 1 or 2"),
    ],
)
def test_a_damaged_file_is_named(faces: Path, name: str, damage: Callable[[Path], object], complaint: str) -> None:
    load("celeba", n=1, size=8)  # before, all is well
    damage(faces / name)
    with pytest.raises(DataError, match=complaint) as caught:
        load("celeba")
    assert str(faces / name) in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=complaint):
        data.count("celeba", "train")


def test_a_missing_picture_is_named_only_when_it_is_wanted(faces: Path) -> None:
    (faces / PICTURE).unlink()
    assert len(load("celeba", n=1)) == len(load("celeba", "test")) - 1 == 1
    with pytest.raises(DataError, match=f"{PICTURE} is not in .*celeba, which is not complete"):
        load("celeba")


def test_a_split_without_pictures_is_said(faces: Path) -> None:
    (faces / PARTITION).write_text("".join(f"{name} 0\n" for name in NAMES))
    with pytest.raises(DataError, match="holds no picture of celeba's split test"):
        load("celeba", "test")


def test_a_damaged_archive_is_named(faces: Path) -> None:
    archive = faces / "img_align_celeba.zip"
    packed(faces / "img_align_celeba", archive)
    whole = archive.read_bytes()
    load("celeba", n=1)
    middle = whole.index(b"000003.jpg") + 4000  # a bit within a stored picture: the archive has checksums
    archive.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    with pytest.raises(DataError, match=r"000003.jpg cannot be read \(Bad CRC-32.*: take it anew"):
        load("celeba")
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"img_align_celeba.zip is not a complete zip archive .*: take it anew"):
        load("celeba")

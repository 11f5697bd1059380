"""What is decoded is kept: once, in order, and never believed without a look."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gdl_lab.data import DataError, load, published
from gdl_lab.data.published import Source

from .layout import NAMES, PARTS, blots, jpeg, kept, write_celeba


def test_pictures_are_decoded_once_and_what_it_takes_is_said(
    faces: Path, home: Path, decoded: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    first = load("celeba", n=3)
    (path,) = kept(home)
    assert capsys.readouterr().out.startswith(f"celeba: decoding 3 pictures once, 0.0 MB, into {path}")
    assert path.stat().st_size == 3 * 3 * 64 * 64
    decoded.clear()
    assert torch.equal(load("celeba", n=3).x, first.x)
    assert decoded == ["000001.jpg", "000003.jpg", "000005.jpg"]  # the first, the middle and the last are compared
    assert capsys.readouterr().out == ""
    decoded.clear()
    assert torch.equal(load("celeba").x[:3], first.x)
    assert decoded[3:] == ["000007.jpg"]  # the fourth face of the training split alone is new
    load("celeba", "test")
    load("celeba", size=8)
    assert len(kept(home)) == 3  # other splits and sizes go to other files


@pytest.mark.parametrize("reason", [KeyboardInterrupt, DataError])
def test_an_interrupted_preparation_goes_on(
    faces: Path, home: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch, reason: type[BaseException]
) -> None:
    undisturbed = load("celeba", as_bytes=True).x.clone()
    kept(home)[0].unlink()
    monkeypatch.setattr(published, "CHUNK", 1)
    whole = Source.picture

    def stopped(self: Source, name: str, *rest: Any) -> np.ndarray:
        if name.endswith("000005.jpg"):
            raise reason
        return whole(self, name, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Source, "picture", stopped)
        with pytest.raises(reason):
            load("celeba")
    assert kept(home)[0].stat().st_size == 2 * 3 * 64 * 64
    decoded.clear()
    assert torch.equal(load("celeba", as_bytes=True).x, undisturbed)
    assert decoded[2:] == ["000005.jpg", "000007.jpg"]


@pytest.mark.parametrize("tail", [1, 3 * 64 * 64 - 1])
def test_a_picture_that_was_half_written_is_written_again(faces: Path, home: Path, tail: int) -> None:
    whole = load("celeba", as_bytes=True).x.clone()
    with kept(home)[0].open("r+b") as file:
        file.truncate(2 * 3 * 64 * 64)
        file.seek(0, 2)
        file.write(b"\x00" * tail)
    assert torch.equal(load("celeba").x, whole / 255)


@pytest.mark.parametrize("i", [0, 2, 6])
def test_pictures_that_were_replaced_are_decoded_anew(faces: Path, i: int) -> None:
    """The first, the middle and the last are looked at; of the others nothing is noticed."""
    before = load("celeba").x
    (faces / "img_align_celeba" / NAMES[i]).write_bytes(jpeg(blots(178, 218, 50)))
    after = load("celeba").x
    place = [k for k in range(8) if PARTS[k] == 0].index(i)
    if place == 1:
        assert torch.equal(after, before)
    else:
        assert [bool((a != b).any()) for a, b in zip(after, before, strict=True)] == [k == place for k in range(4)]


def test_a_cache_of_something_else_is_not_believed(faces: Path, home: Path) -> None:
    whole = load("celeba").x
    path = kept(home)[0]
    path.write_bytes(path.read_bytes()[::-1])
    assert torch.equal(load("celeba").x, whole)
    path.write_bytes(path.read_bytes() * 3)  # more pictures than there are
    assert torch.equal(load("celeba").x, whole)


def test_two_copies_of_a_set_are_kept_apart(faces: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = load("celeba").x
    other = home.parent / "other"
    write_celeba(other / "celeba")
    (other / "celeba" / "img_align_celeba" / NAMES[2]).write_bytes(jpeg(blots(178, 218, 60)))
    monkeypatch.setenv("GDL_LAB_DATA", str(other))
    assert not torch.equal(load("celeba").x, here)
    assert len(kept(home)) == 2


def test_a_full_or_unwritable_cache_is_said_first(
    faces: Path, home: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(published.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 20_000))
        with pytest.raises(DataError, match=r"4 pictures take 0.0 MB in .*cache/celeba, and 0.0 MB are free there"):
            load("celeba")
    (home / "file").write_text("")
    monkeypatch.setenv("GDL_LAB_CACHE", str(home / "file"))
    with pytest.raises(
        DataError, match=r"cannot write .*\.bytes \(.+\): set GDL_LAB_CACHE to a folder with 0.0 MB free"
    ):
        load("celeba")
    assert decoded == []

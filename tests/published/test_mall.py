"""Mall: its frames, counts and heads, and annotations that are damaged or about other frames."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from gdl_lab.data import DataError, load, mall
from gdl_lab.data.published import Source

from .layout import PEOPLE, annotations, averaged, packed, truncate


@pytest.mark.parametrize(("split", "mine"), [("train", range(3)), ("test", range(3, 8))])
def test_frames_of_a_split_come_in_order_with_their_counts(frames: Path, split: str, mine: range) -> None:
    loaded = load("mall", split)
    assert loaded.x.shape == (len(mine), 3, 64, 64)
    assert (loaded.x.dtype, loaded.y.dtype) == (torch.float32, torch.float32)
    assert loaded.y.tolist() == [PEOPLE[i] for i in mine]
    for picture, i in zip(loaded.x, mine, strict=True):
        wanted = averaged((frames / "frames" / f"seq_{i + 1:06d}.jpg").read_bytes(), (0, 0, 640, 480), 16)
        found = picture.mul(255).reshape(3, 16, 4, 16, 4).mean((2, 4))
        assert np.abs(found.numpy() - wanted).max() < 1.01  # 64 parts rounded, then 16 of them averaged
    found = mall.heads(split)
    assert [len(places) for places in found] == loaded.y.tolist()
    for places, i in zip(found, mine, strict=True):
        assert places.dtype == torch.float32
        wanted = np.random.default_rng(i).uniform(1, 480, (PEOPLE[i], 2))
        assert np.allclose(places.numpy(), wanted, atol=1e-4)


def test_two_fifths_of_the_published_frames_are_the_usual_800(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {f"frames/seq_{i:06d}.jpg" for i in range(1, 2001)}
    (home / "mall" / "frames").mkdir(parents=True)
    savemat(home / "mall" / "mall_gt.mat", annotations([1, 2] * 1000))
    monkeypatch.setattr(Source, "names", lambda *_: names)
    assert (len(mall.heads("train")), len(mall.heads("test"))) == (800, 1200)


@pytest.mark.parametrize("layout", ["unpacked", "zipped"])
def test_frames_lie_as_unpacking_leaves_them_or_in_the_archive(frames: Path, home: Path, layout: str) -> None:
    before = load("mall")
    inside = home / "mall_dataset"
    frames.rename(inside)
    frames.mkdir()
    if layout == "unpacked":
        inside.rename(frames / "mall_dataset")
    else:
        packed(inside, frames / "mall_dataset.zip", "mall_dataset/")
    after = load("mall")
    assert torch.equal(before.x, after.x)
    assert torch.equal(before.y, after.y)


def lacking(field: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        tables = annotations(PEOPLE)
        del tables[field]
        savemat(path, tables)

    return write


def with_cells(field: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        tables = annotations(PEOPLE)
        for i in range(8):
            tables["frame"][0, i] = {field: np.ones((PEOPLE[i], 3 if field == "loc" else 2))}
        savemat(path, tables)

    return write


def with_counts(counts: list[float]) -> Callable[[Path], None]:
    return lambda path: savemat(path, {**annotations(PEOPLE), "count": np.array(counts)[:, None]})


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (truncate, "is not a readable MATLAB file"),
        (lambda path: path.write_bytes(b""), "is not a readable MATLAB file"),
        (lambda path: path.write_bytes(b"<html>" * 100), "is not a readable MATLAB file"),
        (lacking("frame"), "has no field 'frame'"),
        (lacking("count"), "has no field 'count'"),
        (with_cells("location"), "has no heads in frame"),
        (with_cells("loc"), "has no heads in frame"),  # three numbers for a head
        (lambda path: savemat(path, {"frame": np.ones((1, 8)), "count": np.ones((8, 1))}), "has no heads in frame"),
        (with_counts([*PEOPLE, 1]), "has heads in 8 frames and counts of 9"),
        (with_counts([*PEOPLE[:-1], 0.5]), "has counts that are no whole numbers"),
        (with_counts([*PEOPLE[:-1], -1]), "has counts that are no whole numbers"),
        (with_counts([*PEOPLE[:-1], float("nan")]), "has counts that are no whole numbers"),
        (with_counts([p + 1 for p in PEOPLE]), "counts other numbers of people than it has heads in 100% of frames"),
        (lambda path: savemat(path, annotations(PEOPLE[:-1])), r"8 frames .* 7: frames/seq_000008.jpg is only in one"),
        (lambda path: savemat(path, annotations([*PEOPLE, 1])), r"8 frames .* 9: frames/seq_000009.jpg is only in one"),
    ],
)
def test_damaged_annotations_are_named(frames: Path, damage: Callable[[Path], object], complaint: str) -> None:
    load("mall", n=1)
    damage(frames / "mall_gt.mat")
    with pytest.raises(DataError, match=complaint) as caught:
        load("mall")
    assert str(frames / "mall_gt.mat") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_slip_in_one_frame_is_left_to_the_annotators(frames: Path) -> None:
    with_counts([*PEOPLE[:-1], PEOPLE[-1] + 1])(frames / "mall_gt.mat")
    assert load("mall", "test").y[-1] == PEOPLE[-1] + 1


@pytest.mark.parametrize("change", ["renamed", "gone", "one more"])
def test_frames_and_annotations_have_to_be_of_the_same_number(frames: Path, change: str) -> None:
    last = frames / "frames" / "seq_000008.jpg"
    if change == "renamed":
        last.rename(frames / "frames" / "seq_000010.jpg")
    elif change == "gone":
        last.unlink()
    else:
        shutil.copy(last, frames / "frames" / "seq_000009.jpg")
    with pytest.raises(DataError, match=r"holds [789] frames and .*mall_gt.mat is about 8: frames/seq_0000\d+.jpg"):
        load("mall")


def test_a_thumbs_file_beside_the_frames_does_no_harm(frames: Path) -> None:
    (frames / "frames" / "Thumbs.db").write_bytes(b"?")
    assert len(load("mall")) == 3


def test_a_truncated_frame_is_named(frames: Path) -> None:
    truncate(frames / "frames" / "seq_000002.jpg")
    with pytest.raises(DataError, match=r"seq_000002.jpg is damaged \(.*truncated.*\): take it anew from its owners"):
        load("mall")
    assert len(load("mall", "test")) == 5

"""CelebA and Mall, from tiny copies of their published layout that the tests write: eight pictures each."""

from __future__ import annotations

import dataclasses
import io
import shutil
import socket
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from gdl_lab import cli, data, recipes
from gdl_lab.data import CARDS, DataError, celeba, load, mall, published
from gdl_lab.data.published import Source, area_weights, decode
from gdl_lab.flows import Glow

NAMES = [f"{i:06d}.jpg" for i in range(1, 9)]
PARTS = [0, 2, 0, 1, 0, 2, 0, 1]  # training, test and validation, mixed
BLOND = [1, -1, -1, 1, 1, 1, -1, -1]
SMILING = [-1, -1, 1, 1, 1, -1, 1, -1]
PEOPLE = [3, 0, 5, 1, 4, 1, 2, 6]


def jpeg(pixels: np.ndarray) -> bytes:
    """A JPEG file of an array ``(height, width, 3)``, or ``(height, width)`` for a grey one, hardly compressed."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=100, subsampling=0)
    return file.getvalue()


def ramps(width: int, height: int, blue: int = 0) -> np.ndarray:
    """A picture that says where each pixel is: red is its column, green its row."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows, np.full_like(rows, blue)], 2).clip(max=255).astype(np.uint8)


def blots(width: int, height: int, seed: int) -> np.ndarray:
    """A smooth picture in random colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def write_celeba(folder: Path) -> None:
    (folder / "img_align_celeba").mkdir(parents=True)
    for i, name in enumerate(NAMES):
        (folder / "img_align_celeba" / name).write_bytes(jpeg(blots(178, 218, i)))
    header = " ".join([f"Trait_{k}" for k in range(38)] + ["Blond_Hair", "Smiling"])
    rows = [
        name + "".join(f" {value:2d}" for value in [*[(-1) ** (i + k) for k in range(38)], BLOND[i], SMILING[i]])
        for i, name in enumerate(NAMES)
    ]
    (folder / "list_attr_celeba.txt").write_text("\n".join(["8", header + " ", *rows]) + "\n")
    (folder / "list_eval_partition.txt").write_text("".join(f"{n} {p}\n" for n, p in zip(NAMES, PARTS, strict=True)))


def annotations(people: list[int]) -> dict[str, Any]:
    """``mall_gt.mat``: a row of cells, each a struct with the field ``loc``, and a column of counts."""
    cells = np.empty((1, len(people)), object)
    for i, number in enumerate(people):
        cells[0, i] = {"loc": np.random.default_rng(i).uniform(1, 480, (number, 2))}
    return {"frame": cells, "count": np.array(people, np.uint8)[:, None]}


def write_mall(folder: Path, people: list[int] = PEOPLE) -> None:
    (folder / "frames").mkdir(parents=True)
    for i in range(len(people)):
        (folder / "frames" / f"seq_{i + 1:06d}.jpg").write_bytes(jpeg(blots(640, 480, 100 + i)))
    savemat(folder / "mall_gt.mat", annotations(people))


def packed(folder: Path, archive: Path, inside: str = "") -> None:
    """Put a folder into a zip archive, stored as JPEG files are, and take it away."""
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, inside + str(path.relative_to(folder.parent if not inside else folder)))
    shutil.rmtree(folder)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty GDL_LAB_DATA, an empty cache, and no network."""
    monkeypatch.setenv("GDL_LAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("GDL_LAB_CACHE", str(tmp_path / "cache"))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tmp_path / "data"


@pytest.fixture
def faces(home: Path) -> Path:
    write_celeba(home / "celeba")
    return home / "celeba"


@pytest.fixture
def frames(home: Path) -> Path:
    write_mall(home / "mall")
    return home / "mall"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the pictures that are decoded, in order."""
    names: list[str] = []
    real = Source.picture

    def noted(self: Source, name: str, *rest: Any) -> np.ndarray:
        names.append(name.rpartition("/")[2])
        return real(self, name, *rest)

    monkeypatch.setattr(Source, "picture", noted)
    return names


# Areas


@given(pixels=st.integers(1, 60), size=st.integers(1, 60))
def test_area_weights_are_those_of_pixels_cut_into_small_ones(pixels: int, size: int) -> None:
    """Each pixel repeated ``size`` times: then ``pixels`` of them make a part, and no border cuts one."""
    row = np.random.default_rng(pixels * 61 + size).uniform(size=pixels)
    weights = area_weights(pixels, size)
    assert weights.shape == (size, pixels)
    assert np.allclose(weights @ row, row.repeat(size).reshape(size, pixels).mean(1), rtol=0, atol=1e-13)
    assert np.allclose(weights.sum(1), 1, rtol=0, atol=1e-13)


def averaged(content: bytes, box: tuple[int, int, int, int], size: int) -> np.ndarray:
    """What `decode` should give, by repeating pixels."""
    left, upper, right, lower = box
    part = np.asarray(Image.open(io.BytesIO(content)))[upper:lower, left:right].astype(float)
    height, width = part.shape[:2]
    part = part.repeat(size, 0).reshape(size, height, width, 3).mean(1)
    part = part.repeat(size, 1).reshape(size, size, width, 3).mean(2)
    return np.floor(part + 0.5).transpose(2, 0, 1)


@pytest.mark.parametrize("size", [1, 37, 64, 148])
def test_a_face_is_the_middle_of_the_picture_averaged_over_equal_areas(size: int) -> None:
    content = jpeg(blots(178, 218, 1))
    out = decode(content, celeba.VIEW, size)
    assert (out.shape, out.dtype) == ((3, size, size), np.uint8)
    assert np.abs(out - averaged(content, (15, 35, 163, 183), size)).max() <= 1  # a half may be rounded either way
    assert (out == averaged(content, (15, 35, 163, 183), size)).mean() > 0.99
    if size == 64:  # and one pixel further it is another picture
        for shift in ((1, 0), (0, 1), (-1, 0), (0, -1)):
            (dx, dy) = shift
            other = averaged(content, (15 + dx, 35 + dy, 163 + dx, 183 + dy), size)
            assert (out == other).mean() < 0.9


def test_the_crop_is_where_it_is_said_to_be() -> None:
    """Columns 15 to 162 and rows 35 to 182, read off a picture whose colours are the coordinates."""
    out = decode(jpeg(ramps(178, 218)), celeba.VIEW, 148).astype(float)
    assert np.abs(out[0].mean(0) - np.arange(15, 163)).max() < 0.5  # one further it would be 1
    assert np.abs(out[1].mean(1) - np.arange(35, 183)).max() < 0.5


def test_a_frame_is_seen_whole_and_not_turned() -> None:
    picture = ramps(640, 480)
    picture[:, 320:, 2] = 255
    out = decode(jpeg(picture), mall.VIEW, 64).astype(float)
    assert out[2, :, :32].max() < 2 < 253 < out[2, :, 32:].min()  # half of 64 columns are half of 640
    assert np.abs(out[1, :32].mean(1) - (np.arange(32) * 7.5 + 3.25)).max() < 0.6  # 7.5 rows make one


def test_a_grey_jpeg_has_three_equal_channels() -> None:
    out = decode(jpeg(ramps(178, 218)[..., 0]), celeba.VIEW, 64)
    assert out.shape == (3, 64, 64)
    assert (out[0] == out[1]).all()
    assert (out[0] == out[2]).all()


# CelebA


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
    with pytest.raises(ValueError, match=sentence):
        load("celeba", **options)
    assert decoded == []


def test_a_zip_archive_gives_the_same_as_its_folder(faces: Path) -> None:
    before = load("celeba")
    packed(faces / "img_align_celeba", faces / "img_align_celeba.zip")
    after = load("celeba")
    assert torch.equal(before.x, after.x)
    assert torch.equal(before.y, after.y)
    assert data.count("celeba", "train") == 4


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


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


PICTURE, TABLE, PARTITION = "img_align_celeba/000003.jpg", "list_attr_celeba.txt", "list_eval_partition.txt"


@pytest.mark.parametrize(
    ("name", "damage", "complaint"),
    [
        (PICTURE, cut, r"is damaged \(.*truncated.*\): take it anew"),
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


# What is decoded is kept


def kept(home: Path) -> list[Path]:
    return sorted((home.parent / "cache").rglob("*.bytes"))


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


# Mall


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
        (cut, "is not a readable MATLAB file"),
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
    cut(frames / "frames" / "seq_000002.jpg")
    with pytest.raises(DataError, match=r"seq_000002.jpg is damaged \(.*truncated.*\): take it anew from its owners"):
        load("mall")
    assert len(load("mall", "test")) == 5


# Absent files, and the command


ADDRESS = {"celeba": celeba.CELEBA.address, "mall": mall.MALL.address}


@pytest.mark.parametrize("name", ADDRESS)
def test_without_the_files_it_says_who_gives_them_on_what_terms(home: Path, name: str) -> None:
    assert not data.on_this_machine(name)
    for action in (load, data.fetch, lambda it: data.count(it, "train")):
        with pytest.raises(DataError) as caught:
            action(name)
        said = str(caught.value)
        assert f"not in {home / name} nor in {home.parent / 'cache' / name}: obtain" in said
        assert f"from {ADDRESS[name]} (for non-commercial research only)" in said
        assert "\n" not in said
    assert load(name, otherwise="digits8").name == "digits8"


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (["list_eval_partition.txt"], "list_eval_partition.txt is not in"),
        (
            ["list_attr_celeba.txt", "list_eval_partition.txt"],
            "list_attr_celeba.txt and list_eval_partition.txt are not in",
        ),
        (["img_align_celeba"], "img_align_celeba is not in"),
    ],
)
def test_of_a_half_complete_set_only_what_is_missing_is_named(faces: Path, missing: list[str], said: str) -> None:
    for name in missing:
        (faces / name).rename(faces / f"{name} of old")
    assert not data.on_this_machine("celeba")
    with pytest.raises(DataError) as caught:
        load("celeba")
    assert str(caught.value).startswith(f"{said} {faces}: obtain ")


def test_the_cache_is_searched_too(faces: Path, home: Path) -> None:
    before = load("celeba").x
    target = home.parent / "cache" / "celeba"
    for path in faces.iterdir():
        path.rename(target / path.name)
    assert data.on_this_machine("celeba")
    assert torch.equal(load("celeba").x, before)


def gdl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code and what is printed by a line of the command."""
    few = {name: CARDS[name] for name in ("digits8", *ADDRESS)}  # the drawn sets take seconds to check
    monkeypatch.setattr(data, "CARDS", few)
    monkeypatch.setattr(sys, "argv", ["gdl-lab", *words])
    monkeypatch.setattr(cli.console, "width", 400)
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0), *capsys.readouterr()


@pytest.mark.parametrize("name", ADDRESS)
def test_the_command_sends_to_the_owners_and_does_not_fetch(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    code, out, err = gdl(monkeypatch, capsys, "data", "fetch", name)
    assert (code, out) == (2, "")
    assert err.startswith("gdl-lab: ")
    assert ADDRESS[name] in err
    assert len(err.splitlines()) == 1
    _, out, _ = gdl(monkeypatch, capsys, "data", "list")
    line = next(line for line in out.splitlines() if f" {name} " in line)
    assert f"no: obtain it from {ADDRESS[name]}" in line
    _, out, _ = gdl(monkeypatch, capsys, "data", "check")
    assert f"· {name}: not on this machine" in out


def test_the_command_knows_sets_that_are_here(
    faces: Path, frames: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = gdl(monkeypatch, capsys, "data", "fetch", "celeba")
    assert code == 0
    parts = ("img_align_celeba", "list_attr_celeba.txt", "list_eval_partition.txt")
    assert out.splitlines() == [*(str(faces / part) for part in parts), "celeba is complete."]
    code, out, _ = gdl(monkeypatch, capsys, "data", "check")
    assert code == 0
    assert "✓ celeba: 4 train, 2 test" in out
    assert "✓ mall: 3 train, 5 test" in out
    assert [path for path in kept(home) if path.parent.name == "celeba"] == []  # to look is not to keep
    cut(faces / PICTURE)
    code, _, err = gdl(monkeypatch, capsys, "data", "check")
    assert code == 2
    assert f"{faces / PICTURE} is damaged" in err


# The recipe


def test_the_recipe_is_the_talks_and_is_not_shipped(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipes.RECIPES["celeba-glow"]
    assert recipe.bits == 5
    assert recipe.plan("full").lr == 1e-4
    assert "celeba-glow" not in recipes.NAMES
    assert recipes.weights("celeba-glow").is_relative_to(home.parent / "cache")
    asked: list[dict[str, Any]] = []

    class Noted(Glow):
        def __init__(self, shape: tuple[int, ...], **sizes: int) -> None:
            asked.append({"shape": shape, **sizes})
            super().__init__(shape, steps=1, levels=1, hidden=1)

    monkeypatch.setattr("gdl_lab.recipes.celeba.Glow", Noted)
    recipe.begin(torch.rand(2, 3, 64, 64))
    assert asked == [{"shape": (3, 64, 64), "steps": 32, "levels": 4, "hidden": 512}]


def test_without_the_pictures_the_recipe_says_who_gives_them(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = gdl(monkeypatch, capsys, "train", "celeba-glow", "--profile", "smoke", "--folder", str(home))
    assert (code, out) == (2, "")
    assert ADDRESS["celeba"] in err
    assert len(err.splitlines()) == 1


@pytest.mark.slow
def test_the_recipe_trains_from_the_bytes_on_the_disk(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a small Glow and without the Gaussian, which wants the covariance of 12,288 pixels."""
    shown: list[int] = []

    def small(x: torch.Tensor) -> Glow:
        shown.append(len(x))
        return Glow((3, 64, 64), steps=1, levels=4, hidden=8).fit_actnorm(x)

    recipe = recipes.RECIPES["celeba-glow"]
    monkeypatch.setitem(recipes.RECIPES, "celeba-glow", dataclasses.replace(recipe, begin=small, shown=1))
    monkeypatch.setattr("gdl_lab.recipes.picture_flow.gaussian", lambda x, _: small(x))
    card = recipes.train("celeba-glow", "smoke", tmp_path / "shelf", device="cpu", progress=False)
    assert (card.pictures, card.steps, card.bits, card.data) == (2, 2, 5, "CelebA")
    assert shown == [1, 1]
    flow = recipes.load("celeba-glow", tmp_path / "shelf")
    assert flow.shape == (3, 64, 64)
    assert recipe.measure(flow) == pytest.approx(card.value, abs=1e-3)

"""Files of data sets: found, verified, downloaded; what is missing or damaged is explained, without a network."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import socket
import struct
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch

from gdl_lab import data
from gdl_lab.data import CARDS, DataError, catalogue, load
from gdl_lab.data.digits import parse_idx
from gdl_lab.data.files import RemoteFile, fetch, find, read

# Files on this machine: a small set takes the place of MNIST


CONTENT = b"\x00\x00\x08\x01" + struct.pack(">I", 5) + bytes(range(5))
PACKED = gzip.compress(CONTENT, mtime=0)


@dataclasses.dataclass
class Place:
    given: Path
    cache: Path
    file: RemoteFile


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    given, cache = tmp_path / "given", tmp_path / "cache"
    monkeypatch.setenv("GDL_LAB_DATA", str(given))
    monkeypatch.setenv("GDL_LAB_CACHE", str(cache))
    (given / "small").mkdir(parents=True)
    file = RemoteFile("small-idx1-ubyte", hashlib.sha256(CONTENT).hexdigest(), ())

    def loader(split: str) -> tuple[torch.Tensor, torch.Tensor]:
        y = torch.from_numpy(parse_idx(read("small", file), file.name)).long()
        return y.float(), y

    card = catalogue.Card("five numbers", "none", loader, (file,))
    monkeypatch.setitem(CARDS, "small", card)
    return Place(given / "small", cache / "small", file)


@pytest.mark.parametrize("folder", ["given", "cache"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_is_found_plain_or_gzipped_in_either_folder(place: Place, folder: str, packed: bool) -> None:
    assert not data.on_this_machine("small")
    path = getattr(place, folder) / (place.file.name + (".gz" if packed else ""))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(CONTENT) if packed else CONTENT)
    assert find("small", place.file) == path
    assert data.on_this_machine("small")
    assert load("small").y.tolist() == [0, 1, 2, 3, 4]


def test_the_checksum_is_of_the_content_not_of_the_gzip_stream(place: Place) -> None:
    for level, moment in ((1, 0), (9, 12345)):
        (place.given / f"{place.file.name}.gz").write_bytes(gzip.compress(CONTENT, level, mtime=moment))
        assert read("small", place.file) == CONTENT


def test_the_given_folder_comes_before_the_cache(place: Place) -> None:
    place.cache.mkdir(parents=True)
    (place.cache / place.file.name).write_bytes(b"damaged")
    (place.given / place.file.name).write_bytes(CONTENT)
    assert read("small", place.file) == CONTENT


def test_a_missing_file_says_where_it_was_sought_and_what_to_do(place: Place) -> None:
    with pytest.raises(DataError) as caught:
        load("small")
    said = str(caught.value)
    assert f"is not in {place.given} nor in {place.cache}" in said
    assert "`gdl-lab data fetch small` downloads it" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("ending", "content", "complaint"),
    [
        (".gz", PACKED[:-9], "is damaged"),
        (".gz", PACKED[:5], "is damaged"),
        (".gz", b"", "is damaged"),
        (".gz", b"<html>not found</html>", "is damaged (Not a gzipped file"),
        (".gz", PACKED[:12] + b"\xff" + PACKED[13:], "is damaged"),
        (".gz", gzip.compress(CONTENT + b"!", mtime=0), "is damaged (content checksum"),
        ("", CONTENT[:-1], "is damaged (content checksum"),
        ("", b"", "is damaged (content checksum"),
    ],
    ids=["trailer-cut", "header-cut", "empty-gz", "no-gzip", "bad-stream", "other-content", "cut", "empty"],
)
def test_a_damaged_file_is_one_sentence_and_stays_where_it_is(
    place: Place, ending: str, content: bytes, complaint: str
) -> None:
    path = place.given / (place.file.name + ending)
    path.write_bytes(content)
    for action in (
        lambda: load("small"),
        lambda: load("small", otherwise="digits8"),
        lambda: fetch("small", place.file),
    ):
        with pytest.raises(DataError) as caught:
            action()
        said = str(caught.value)
        assert f"{path} {complaint}" in said
        assert said.endswith("): delete it and run `gdl-lab data fetch small`")
        assert path.read_bytes() == content


def test_without_the_files_another_set_is_used_which_is_said_and_no_network_is_touched(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert load("small", otherwise="digits8").name == "digits8"
    said = capsys.readouterr().out
    assert said == "small is not on this machine (`gdl-lab data fetch small` gets it); using digits8 instead\n"
    with pytest.raises(DataError):
        load("small")
    (place.given / place.file.name).write_bytes(CONTENT)
    assert load("small", otherwise="digits8").name == "small"
    assert not capsys.readouterr().out


def test_the_set_used_instead_must_be_there_too(place: Place) -> None:
    with pytest.raises(DataError, match="is not in"):
        load("small", otherwise="small")


# Downloads, from a server in this process


class Server(ThreadingHTTPServer):
    """Serves ``/good``, ``/corrupt``, ``/garbage``, ``/cut`` (closes midway), ``/missing``; counts requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[str] = []

    def at(self, *paths: str) -> tuple[str, ...]:
        return tuple(f"http://127.0.0.1:{self.server_port}/{path}" for path in paths)


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        kind = self.path.strip("/")
        self.server.asked.append(kind)
        good = gzip.compress(CONTENT)
        body = {"good": good, "corrupt": gzip.compress(CONTENT + b"!"), "garbage": b"<html>", "cut": good}.get(kind)
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(good[: len(good) // 2] if kind == "cut" else body or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield running
        running.shutdown()


def served(place: Place, mirrors: tuple[str, ...]) -> RemoteFile:
    return dataclasses.replace(place.file, mirrors=mirrors)


def left_behind(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.exists() else []


def test_a_download_is_verified_and_lands_in_the_cache(place: Place, server: Server) -> None:
    path = fetch("small", served(place, server.at("good")))
    assert path == place.cache / "small-idx1-ubyte.gz"
    assert left_behind(place.cache) == [path.name]
    assert load("small").y.tolist() == [0, 1, 2, 3, 4]


def test_a_file_that_is_there_is_not_downloaded_again(place: Place, server: Server) -> None:
    file = served(place, server.at("good"))
    assert fetch("small", file) == fetch("small", file)
    assert server.asked == ["good"]


@pytest.mark.parametrize("bad", ["corrupt", "garbage", "cut", "missing"])
def test_a_bad_mirror_is_passed_over(place: Place, server: Server, bad: str) -> None:
    path = fetch("small", served(place, server.at(bad, "good")))
    assert server.asked == [bad, "good"]
    assert read("small", place.file) == CONTENT
    assert left_behind(place.cache) == [path.name]


def test_when_all_mirrors_are_bad_each_is_named_with_its_reason_and_nothing_is_left(
    place: Place, server: Server
) -> None:
    with pytest.raises(DataError) as caught:
        fetch("small", served(place, server.at("corrupt", "garbage", "cut", "missing")))
    said = str(caught.value)
    assert "could not download small-idx1-ubyte" in said
    for path, reason in (
        ("corrupt", "is damaged (content checksum"),
        ("garbage", "is damaged (Not a gzipped file"),
        ("cut", "IncompleteRead"),
        ("missing", "404"),
    ):
        assert reason in said.split(f"/{path}: ")[1].split("; ")[0]
    assert f"or copy the file to {place.cache}" in said
    assert left_behind(place.cache) == []
    assert not data.on_this_machine("small")


def test_a_download_that_is_interrupted_leaves_nothing(
    place: Place, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gdl_lab.data.files._verified", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        fetch("small", served(place, server.at("good")))
    assert server.asked == ["good"]
    assert left_behind(place.cache) == []


def test_no_network_is_one_sentence(place: Place) -> None:
    with socket.socket() as taken:  # bound but not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(DataError, match=r"could not download small-idx1-ubyte .* Check the connection") as caught:
            fetch("small", served(place, (f"http://127.0.0.1:{taken.getsockname()[1]}/x",)))
    assert "\n" not in str(caught.value)
    assert left_behind(place.cache) == []


@pytest.mark.parametrize("mirror", ["not an address", "ftp://127.0.0.1/x", "http://"])
def test_a_mirror_that_is_no_address_is_a_failure_like_others(place: Place, server: Server, mirror: str) -> None:
    fetch("small", served(place, (mirror, *server.at("good"))))
    assert server.asked == ["good"]


def test_a_silent_server_runs_into_the_time_limit(place: Place) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(DataError, match=r"timed? ?out"):
            fetch("small", served(place, (f"http://127.0.0.1:{silent.getsockname()[1]}/x",)), timeout=0.1)
    assert left_behind(place.cache) == []


def test_a_cache_that_cannot_be_written_is_told_before_any_download(
    place: Place, server: Server, read_only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GDL_LAB_DATA")  # the folder of the test belongs to somebody else now
    for cache in (read_only, read_only / "deeper", read_only / "old"):
        monkeypatch.setenv("GDL_LAB_CACHE", str(cache))
        with pytest.raises(
            DataError, match=r"cannot write to the cache .* \(.+\): set GDL_LAB_CACHE to another folder"
        ):
            fetch("small", served(place, server.at("good")))
    assert server.asked == []
    assert left_behind(read_only) == ["old"]

"""`gdl-lab data`: what is on this machine, what can be fetched, and what cannot."""

from __future__ import annotations

import hashlib
import re
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from gdl_lab.data import CARDS
from gdl_lab.data.files import RemoteFile
from tests.command_line import Gdl, Outcome, one_sentence

CONTENT = b"a few bytes"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine that has no data set but the embedded ones; returns its empty cache."""
    monkeypatch.delenv("GDL_LAB_DATA", raising=False)
    monkeypatch.setenv("GDL_LAB_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> str:
    """MNIST becomes one file on a server that refuses every connection; returns the server's address."""
    with socket.socket() as ours:  # a port that was just free
        ours.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{ours.getsockname()[1]}/images.gz"
    file = RemoteFile("images", hashlib.sha256(CONTENT).hexdigest(), (address,))
    monkeypatch.setitem(CARDS, "mnist", replace(CARDS["mnist"], files=(file,)))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return address


@pytest.mark.usefixtures("bare")
def test_the_list_says_what_is_here_and_how_to_get_the_rest(gdl: Gdl) -> None:
    shown = gdl("data", "list")
    assert shown.code == 0
    lines = {name: next(line for line in shown.out.splitlines() if f" {name} " in line) for name in CARDS}
    for name, card in CARDS.items():
        assert card.title in lines[name]
        assert card.licence in lines[name]
        assert ("gdl-lab data fetch" in lines[name]) == (name == "mnist")
    assert "no: gdl-lab data fetch mnist" in lines["mnist"]


@pytest.mark.slow
@pytest.mark.usefixtures("bare")
def test_check_loads_what_is_here(gdl: Gdl) -> None:
    checked = gdl("data", "check")
    assert checked.code == 0
    assert "✓ digits8: 1,437 train, 360 test" in checked.out
    assert "· mnist: not on this machine" in checked.out
    assert len(checked.out.splitlines()) == len(CARDS)


@pytest.mark.usefixtures("refused")
def test_check_finds_a_damaged_file(gdl: Gdl, bare: Path) -> None:
    (bare / "mnist").mkdir()
    for file in CARDS["mnist"].files:
        (bare / "mnist" / file.name).write_bytes(b"other bytes")
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (bare / "mnist" / name).write_bytes(b"other bytes")
    outcome = gdl("data", "check")
    assert outcome.code == 2
    assert re.fullmatch(r"gdl-lab: .* is damaged .*: delete it and run `gdl-lab data fetch mnist`\n", outcome.err)


@pytest.mark.usefixtures("bare")
def test_an_embedded_set_needs_no_fetching(gdl: Gdl) -> None:
    assert gdl("data", "fetch", "digits8") == Outcome(0, "digits8 comes with the course: nothing to fetch.\n", "")


def test_fetching_without_a_network_says_what_to_do_and_leaves_nothing(gdl: Gdl, bare: Path, refused: str) -> None:
    outcome = gdl("data", "fetch", "mnist")
    assert (outcome.code, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert line.startswith(f"gdl-lab: could not download images ({refused}: ")
    assert line.endswith(f"Check the connection and try again, or copy the file to {bare / 'mnist'}")
    assert [path for path in bare.rglob("*") if path.is_file()] == []


@pytest.mark.usefixtures("refused")
def test_a_file_that_is_here_is_verified_and_not_fetched(gdl: Gdl, bare: Path) -> None:
    (bare / "mnist").mkdir()
    (bare / "mnist" / "images").write_bytes(CONTENT)
    assert gdl("data", "fetch", "mnist") == Outcome(0, f"{bare / 'mnist' / 'images'}\nmnist is complete.\n", "")
    (bare / "mnist" / "images").write_bytes(CONTENT[1:])
    outcome = gdl("data", "fetch", "mnist")
    assert one_sentence(outcome)
    assert "is damaged" in outcome.err


@pytest.mark.usefixtures("bare", "refused")
def test_a_cache_that_cannot_be_written_is_named(gdl: Gdl, read_only: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDL_LAB_CACHE", str(read_only))
    outcome = gdl("data", "fetch", "mnist")
    assert one_sentence(outcome)
    assert f"cannot write to the cache {read_only / 'mnist'}" in outcome.err
    assert "GDL_LAB_CACHE" in outcome.err

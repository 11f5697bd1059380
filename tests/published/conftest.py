"""A home without network for the published pictures, the two small sets, and a record of what is decoded."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gdl_lab.data.published import Source

from .layout import write_celeba, write_mall


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

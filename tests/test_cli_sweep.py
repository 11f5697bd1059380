"""`gdl-lab sweep`: interrupted, resumed, damaged, failed and out of date."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from gdl_lab.recipes import sweeps
from tests.command_line import Gdl


@pytest.fixture
def small_sweep(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A sweep of three points in the place of the course's, and the points that were measured."""
    measured: list[int] = []

    def square(k: int, seed: int = 0) -> dict[str, float]:
        measured.append(k)
        if k == 3 and len(measured) == 3:
            raise KeyboardInterrupt
        return {"square": math.sqrt(-1) if k < 0 else k * k}

    def sweep_of(name: str, *ks: int) -> sweeps.Sweep:
        return sweeps.Sweep(name=name, title=f"{name} of k.", function=square, points=[{"k": k} for k in ks])

    monkeypatch.setattr(sweeps, "SWEEPS", {"small": sweep_of("small", 1, 2, 3), "bad": sweep_of("bad", 1, -1)})
    return measured


def test_a_sweep_is_interrupted_listed_and_goes_on(gdl: Gdl, small_sweep: list[int], tmp_path: Path) -> None:
    place = ("--folder", str(tmp_path))
    stopped = gdl("sweep", "small", *place)
    assert stopped.code == 130
    assert stopped.err.strip().endswith("gdl-lab: interrupted; the same line goes on with what is missing")
    listed = gdl("sweep", *place)
    (line,) = (line for line in listed.out.splitlines() if "small of k." in line)
    assert re.findall(r"\d+", line) == ["3", "2"]
    done = gdl("sweep", "small", *place)
    assert (done.code, done.out) == (0, f"{tmp_path / 'small.csv'}: all 3 points are measured\n")
    assert small_sweep == [1, 2, 3, 3]


def test_a_damaged_file_of_results_does_not_hide_the_other_sweeps(
    gdl: Gdl, small_sweep: list[int], tmp_path: Path
) -> None:
    (tmp_path / "bad.csv").write_text("not,results\n1,2\n")
    listed = gdl("sweep", "--folder", str(tmp_path))
    assert listed.code == 0
    assert "small of k." in listed.out
    assert "damaged" in next(line for line in listed.out.splitlines() if "bad of k." in line)


def test_a_sweep_says_what_failed_and_redoes_what_is_old(gdl: Gdl, small_sweep: list[int], tmp_path: Path) -> None:
    place = ("--folder", str(tmp_path))
    failed = gdl("sweep", "bad", *place)
    assert failed.code == 2
    assert failed.err.strip().splitlines()[-1].startswith("gdl-lab: 1 of 2 points failed")
    assert "k=-1, seed=0: ValueError" in failed.err
    file = tmp_path / "bad.csv"
    file.write_text(re.sub(r"\w{12}$", "0" * 12, file.read_text().strip()) + "\n")
    small_sweep.clear()
    with pytest.warns(UserWarning, match="other code"):
        gdl("sweep", "bad", *place)
    gdl("sweep", "bad", *place, "--anew")
    assert small_sweep == [-1, 1, -1]

"""Sweeps that are killed midway, or lose a worker, here or on a cluster: no row is lost, and none is measured twice."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from joblib.externals.loky import get_reusable_executor

from gdl_lab import sweep
from gdl_lab.sweep import SweepError

run = partial(sweep.run, progress=False)

SLOW = """
    import sys, time
    from pathlib import Path

    def slow(k, seed=0):
        with open(Path(__file__).with_name("called"), "a") as file:
            file.write(f"{k} ")
        time.sleep(0.1)
        return {"square": k * k}

    if __name__ == "__main__":
        import slow_function
        from gdl_lab import sweep
        sweep.run(slow_function.slow, {"k": range(12)}, sys.argv[1], jobs=int(sys.argv[2]), progress=False)
"""


@pytest.fixture
def slow_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    script = tmp_path / "slow_function.py"
    script.write_text(textwrap.dedent(SLOW))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    get_reusable_executor().shutdown(wait=True)  # workers that are there already do not know the folder
    yield script
    get_reusable_executor().shutdown(wait=True)
    sys.modules.pop("slow_function", None)


def started(script: Path, path: Path, jobs: int) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, str(script), str(path), str(jobs)], stderr=subprocess.PIPE)
    until(lambda: path.exists() and path.read_text().count("\n") >= 4)
    return process


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("torn", [False, True])
def test_a_killed_sweep_goes_on_and_repeats_only_the_point_in_progress(slow_script: Path, torn: bool) -> None:
    path = slow_script.with_name("x.csv")
    process = started(slow_script, path, jobs=1)
    process.kill()
    process.wait()
    kept = path.read_text()
    n = kept.count("\n") - 1
    assert 3 <= n < 12, "killed midway"
    if torn:
        path.write_text(kept + "11,0,12")
        assert len(sweep.read(path)) == n
    function = importlib.import_module("slow_function").slow
    rows = run(function, {"k": range(12)}, path)
    assert [row["square"] for row in rows] == [k * k for k in range(12)]
    assert path.read_text().startswith(kept)
    called = [int(k) for k in slow_script.with_name("called").read_text().split()]
    assert sorted(set(called)) == list(range(12))
    assert len(called) <= 13


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a system with kill")
def test_a_killed_worker_loses_no_row(slow_script: Path) -> None:
    path = slow_script.with_name("x.csv")
    function = importlib.import_module("slow_function")

    def kills(k: int, where: str) -> dict[str, float]:
        marker = Path(where)
        if k == 5 and not marker.exists():
            marker.touch()
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGKILL)
        return function.slow(k)

    grid = {"k": range(12), "where": [str(slow_script.with_name("marker"))]}
    with pytest.raises(SweepError, match=r"stopped by TerminatedWorkerError.*the same call goes on"):
        run(kills, grid, path, jobs=2)
    before = sweep.read(path)
    assert before
    rows = run(kills, grid, path, jobs=2)
    assert [row["square"] for row in rows] == [k * k for k in range(12)]
    assert sweep.read(path)[: len(before)] == before


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_loses_no_result(slow_script: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    path = slow_script.with_name("x.csv")
    function = importlib.import_module("slow_function")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        victim = next(iter(cluster.workers.values()))

        def kills_a_worker(k: int, pid: int, where: str) -> dict[str, float]:
            if os.getpid() == pid and k >= 4:
                Path(where).touch()
                os.kill(pid, signal.SIGKILL)
            return {**function.slow(k), "process": os.getpid()}

        grid = {"k": range(12), "pid": [victim.pid], "where": [str(slow_script.with_name("marker"))]}
        rows = run(kills_a_worker, grid, path, backend=cluster.scheduler_address)
        assert [row["square"] for row in rows] == [k * k for k in range(12)]
        assert len(sweep.read(path)) == 12
        assert os.getpid() not in {row["process"] for row in rows}
        assert slow_script.with_name("marker").exists(), "a worker was killed"
        with distributed.Client(cluster):
            assert len(run(function.slow, {"k": [1, 2]}, slow_script.with_name("y.csv"), backend="dask")) == 2

"""Work that processes share: all of it is done, once each, whatever becomes of a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import dask
import numpy as np
import pytest
from distributed import LocalCluster
from joblib import cpu_count

from cortexcast_training import workers
from cortexcast_training.workers import WorkerError, Workers, in_parallel

GROWS_BY = 25_000_000
"""Numbers, 200 MB: joblib replaces a process that has grown by 300 MB when it looks, once a second."""
_kept: list[object] = []


def grow(number: int) -> tuple[int, int]:
    _kept.append(np.ones(GROWS_BY))
    time.sleep(1.1)
    return number, os.getpid()


def place(_: int) -> Path:
    return Path.cwd()


def process(_: int) -> int:
    return os.getpid()


def begun(folder: Path, number: int) -> None:
    (folder / str(number)).touch()
    time.sleep(0.2)


def die(number: int) -> int:
    if number == 1:
        os._exit(1)
    return number


def fail(_: int) -> None:
    raise LookupError("as it should")


def n_threads() -> int:
    from threadpoolctl import threadpool_info

    np.ones((2, 2)) @ np.ones((2, 2))
    return max(int(each["num_threads"]) for each in threadpool_info())


@pytest.mark.timeout(60)
def test_a_process_whose_memory_has_grown_is_replaced_and_nothing_is_lost() -> None:
    numbers, processes = zip(*in_parallel(grow, [(number,) for number in range(8)], Workers(2)), strict=True)
    assert sorted(numbers) == list(range(8))
    assert len(set(processes)) > 2


def test_processes_that_stay_work_where_the_caller_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert set(in_parallel(place, [(0,), (1,)], Workers(2))) == {tmp_path / name}


def test_nothing_to_do_is_done_at_once() -> None:
    assert list(in_parallel(place, [])) == []
    assert list(in_parallel(place, [], Workers(cluster="tcp://127.0.0.1:1"))) == []


def test_where_cores_are_limited_no_more_processes_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a container's quota does, which affinity does not show."""
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert cpu_count() == 1
    assert set(in_parallel(process, [(0,), (1,)])) == {os.getpid()}


def test_one_thread_each_and_the_caller_s_warnings_are_its_own() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done = in_parallel(n_threads, [(), ()], Workers(2))
        assert next(done) == 1
        with pytest.raises(UserWarning, match="mine"):
            warnings.warn("mine", stacklevel=1)
        warnings.filterwarnings("ignore", "mine")
        assert list(done) == [1]
        warnings.warn("mine", stacklevel=1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """One worker of one thread, on a scheduler that tries nothing twice."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster,
    ):
        yield cluster.scheduler_address


class TestCluster:
    def test_it_is_done_there_once_each(self, cluster: str) -> None:
        (there,) = set(in_parallel(process, [(0,), (1,)], Workers(cluster=cluster)))
        assert there != os.getpid()
        numbers = in_parallel(abs, [(-number,) for number in range(20)], Workers(cluster=cluster))
        assert sorted(numbers) == list(range(20))

    def test_what_goes_wrong_comes_back(self, cluster: str) -> None:
        with pytest.raises(LookupError, match="as it should"):
            list(in_parallel(fail, [(0,)], Workers(cluster=cluster)))

    def test_what_nobody_waits_for_is_not_begun(self, cluster: str, tmp_path: Path) -> None:
        done = in_parallel(begun, [(tmp_path, number) for number in range(20)], Workers(cluster=cluster))
        next(done)
        done.close()  # type: ignore[attr-defined]
        assert list(in_parallel(abs, [(-1,)], Workers(cluster=cluster))) == [1]
        assert len(list(tmp_path.iterdir())) < 10

    @pytest.mark.timeout(60)
    def test_a_worker_that_dies_ends_it(self, cluster: str) -> None:
        with pytest.raises(WorkerError, match=r"worker after worker died .* --nthreads 1 --memory-limit SIZE"):
            list(in_parallel(die, [(number,) for number in range(4)], Workers(cluster=cluster)))

    @pytest.mark.timeout(60)
    def test_without_workers_it_says_how_to_start_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(workers, "CONNECT_S", 0.5)
        with (
            LocalCluster(n_workers=0, dashboard_address=":0") as empty,
            pytest.raises(WorkerError, match=r"has no workers: start them with 'dask worker tcp://.* --nthreads 1'"),
        ):
            list(in_parallel(process, [(0,)], Workers(cluster=empty.scheduler_address)))

    @pytest.mark.timeout(60)
    def test_a_scheduler_that_goes_away_ends_it(self, tmp_path: Path) -> None:
        at = ["--scheduler-file", str(tmp_path / "scheduler.json")]
        dask_command = [sys.executable, "-m", "dask"]
        with (
            subprocess.Popen([*dask_command, "scheduler", *at, "--port", "0", "--no-dashboard"]) as scheduler,
            subprocess.Popen([*dask_command, "worker", *at, "--nthreads", "1", "--no-dashboard"]) as worker,
        ):
            try:
                while not (tmp_path / "scheduler.json").exists():
                    time.sleep(0.1)
                address = json.loads((tmp_path / "scheduler.json").read_text())["address"]
                done = in_parallel(time.sleep, [(0.0,), (60.0,)], Workers(cluster=address))
                next(done)
                scheduler.kill()
                with pytest.raises(WorkerError, match="is gone: start it and its workers again"):
                    next(done)
            finally:
                scheduler.kill()
                worker.terminate()

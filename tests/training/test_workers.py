"""Work that processes share: all of it is done, once each, whatever becomes of a process."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from cortexcast_training.workers import Workers, in_parallel

GROWS_BY = 25_000_000
"""Numbers, 200 MB: joblib replaces a process that has grown by 300 MB when it looks, once a second."""
_kept: list[object] = []


def grow(number: int) -> tuple[int, int]:
    _kept.append(np.ones(GROWS_BY))
    time.sleep(1.1)
    return number, os.getpid()


def place(_: int) -> Path:
    return Path.cwd()


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

"""What is written is read; what cannot be read is one line that says why."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from disk import full_disk
from film_runs import film_run

from cortexcast_training.eegfmri.run_file import SUFFIX, read_run, read_runs, run_path, write_run
from cortexcast_training.eegfmri.runs import Run, RunError

RUN = film_run("sub-01", 1, 0, seconds=60.0)
MARKED = {"events": ((3, "S  1"), (90, "S  2")), "displacement": np.linspace(0, 1, len(RUN.hops), dtype=np.float32)}


def equal(one: Run, other: Run) -> bool:
    def same(a: object, b: object) -> bool:
        return np.array_equal(np.asarray(a), np.asarray(b)) if isinstance(a, np.ndarray) else a == b

    for field in fields(Run):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if field.name == "stimulus" and a is not None and b is not None:
            if not all(same(getattr(a, each.name), getattr(b, each.name)) for each in fields(a)):
                return False
        elif not same(a, b):
            return False
    return True


@pytest.mark.parametrize("change", [{}, {"stimulus": None}, {"visible": None}, {"take": "ses-01_run-02"}, MARKED])
def test_what_is_written_is_read(tmp_path: Path, change: dict[str, Any]) -> None:
    run = replace(RUN, **change)
    path = write_run(tmp_path / "runs", run)
    assert path == run_path(tmp_path / "runs", run.name)
    assert equal(read_run(path), run)
    assert [each.name for each in (tmp_path / "runs").iterdir()] == [path.name]


def test_all_of_a_folder_by_name(tmp_path: Path) -> None:
    for subject in ("sub-02", "sub-01"):
        write_run(tmp_path, replace(RUN, subject=subject))
    assert [run.subject for run in read_runs(tmp_path)] == ["sub-01", "sub-02"]


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has no \*\.run\.npz"):
        read_runs(tmp_path)


@pytest.mark.parametrize("size", [0, 100, 100_000])
def test_a_damaged_file_is_told(tmp_path: Path, size: int) -> None:
    path = write_run(tmp_path, RUN)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(RunError, match="is no run, or damaged"):
        read_run(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"power": np.full_like(RUN.power, np.nan)}, "has gaps in its EEG, or fewer than two volumes"),
        ({"bold": RUN.bold[:, :1], "hops": RUN.hops[:1]}, "has gaps in its EEG, or fewer than two volumes"),
        ({"displacement": np.zeros(3, np.float32)}, "has 3 displacements and"),
    ],
)
def test_what_no_model_could_read_is_told(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(RunError, match=message):
        read_run(write_run(tmp_path, replace(RUN, **change)))


def test_two_files_of_one_run_are_told(tmp_path: Path) -> None:
    path = write_run(tmp_path, RUN)
    path.with_name(f"copy{SUFFIX}").write_bytes(path.read_bytes())
    with pytest.raises(RunError, match="are both of sub-01_film01: remove one"):
        read_runs(tmp_path)


def test_other_parcels_are_told(tmp_path: Path) -> None:
    path = write_run(tmp_path, replace(RUN, bold=RUN.bold[:7]))
    with pytest.raises(RunError, match=r"'bold' is \(7, \d+\), models have \(300, \d+\)"):
        read_run(path)


def test_a_full_disk_keeps_the_run_that_was_there(tmp_path: Path) -> None:
    path = write_run(tmp_path, RUN)
    with full_disk(), pytest.raises(RunError, match="is the disk full"):
        write_run(tmp_path, replace(RUN, visible=None))
    assert equal(read_run(path), RUN)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]

"""Subjects of a recipe, and what comes of the processes that prepare their recordings."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from training.test_prepare import SETTINGS, make_recording

from cortexcast_training.datasets import (
    Simulated,
    benchmark_subjects,
    prepare_all,
    training_subjects,
    validation_subjects,
)
from cortexcast_training.recipe import SimulatedData
from cortexcast_training.recording import Recording, RecordingError
from cortexcast_training.windows import read_all
from cortexcast_training.workers import WorkerError

DATA = SimulatedData(train=300, validation=20)


@dataclass(frozen=True)
class Made(Simulated):
    """A subject out of nothing, in no time."""

    data: SimulatedData = DATA
    fate: str = "good"

    def recording(self) -> Recording:
        if self.fate == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fate == "short":
            return make_recording(0.5)
        return make_recording(2.0, seed=self.number, subject=self.subject)


@pytest.fixture(autouse=True)
def processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of their own: what kills one must not kill the tests."""
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")


def test_no_subject_is_in_two_groups() -> None:
    subjects = [*training_subjects(DATA), *validation_subjects(DATA), *benchmark_subjects(DATA, 30)]
    assert len({each.name for each in subjects}) == len({each.seed for each in subjects}) == 350


def test_a_subject_stays_who_it_is_when_there_are_more() -> None:
    more = DATA.model_copy(update={"train": 301})
    assert [each.seed for each in training_subjects(more)][:300] == [each.seed for each in training_subjects(DATA)]
    other = DATA.model_copy(update={"seed": 1})
    assert not {each.seed for each in training_subjects(other)} & {each.seed for each in training_subjects(DATA)}


def test_what_is_there_is_not_prepared_again(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    prepare_all({tmp_path / "a": [Made(1)], tmp_path / "b": [Made(2)]}, SETTINGS, lambda *n: heard.append(n))
    assert heard == [(0, 2), (1, 2), (2, 2)]
    (first,) = read_all(tmp_path / "a")
    assert first.subject == "sub-01"
    assert np.isfinite(first.meg).all()
    prepare_all({tmp_path / "a": [Made(1, fate="killed")], tmp_path / "b": [Made(2, fate="killed")]}, SETTINGS)


@pytest.mark.parametrize(
    ("fate", "error", "message"),
    [
        ("short", RecordingError, "a recording: no good data are left"),
        ("killed", WorkerError, "was killed, probably for lack of memory"),
    ],
)
def test_what_goes_wrong_in_a_process_is_one_line(
    tmp_path: Path, fate: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        prepare_all({tmp_path: [Made(1, fate=fate)]}, SETTINGS)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*"))

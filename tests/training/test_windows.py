"""Prepared recordings come back from disk as they were, and no window touches what is bad."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from disk import full_disk
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from prepared import HOP, RATE_HZ, marked, noise_recording

from cortexcast_training.windows import Prepared, WindowError, Windows, read_all, read_prepared, write_prepared

masks = arrays(bool, st.integers(0, 40))


def same(a: Prepared, b: Prepared) -> bool:
    return (a.subject, a.run, a.rate_hz, a.hop) == (b.subject, b.run, b.rate_hz, b.hop) and all(
        np.array_equal(getattr(a, name), getattr(b, name)) for name in ("eeg", "meg", "good", "true_meg")
    )


class TestWindows:
    @given(st.lists(masks, min_size=1, max_size=3), st.integers(1, 6))
    def test_there_is_every_good_window_and_no_other(self, good: list[NDArray[np.bool_]], n_hops: int) -> None:
        recordings = [marked(mask) for mask in good]
        expected = [
            (i, first * HOP)
            for i, mask in enumerate(good)
            for first in range(len(mask) - n_hops + 1)
            if mask[first : first + n_hops].all()
        ]
        if not expected:
            with pytest.raises(WindowError, match=r"no recording has [\d.]+ s without an interruption"):
                Windows(recordings, n_hops)
            return
        windows = Windows(recordings, n_hops)
        assert len(windows) == len(expected)
        eeg, meg = windows.take(range(len(windows)))
        assert eeg.shape == (len(expected), 3, n_hops * HOP)
        for window, target, (number, start) in zip(eeg, meg, expected, strict=True):
            samples = slice(start, start + n_hops * HOP)
            assert np.array_equal(window, recordings[number].eeg[samples].T)
            assert np.array_equal(target, recordings[number].meg[samples].T)

    @given(masks)
    def test_stretches_are_all_that_is_good_and_apart_from_each_other(self, good: NDArray[np.bool_]) -> None:
        stretches = marked(good).stretches()
        covered = np.zeros(len(good) * HOP, bool)
        for stretch in stretches:
            assert stretch.start < stretch.stop
            covered[stretch] = True
        assert np.array_equal(covered, np.repeat(good, HOP))
        assert all(a.stop < b.start for a, b in pairwise(stretches))

    @given(st.integers(0, 30), st.floats(0, 3), st.floats(0, 3))
    def test_a_part_is_what_lies_between(self, n_hops: int, begin_s: float, end_s: float) -> None:
        begin_s, end_s = sorted((begin_s, end_s))
        whole = marked(np.arange(n_hops) % 3 > 0, true_meg=np.ones((n_hops * HOP, 2), np.float32))
        part = whole.part(begin_s, end_s)
        assert len(part.eeg) == len(part.meg) == len(part.good) * HOP
        assert part.true_meg is not None
        assert len(part.true_meg) == len(part.eeg)
        if len(part.eeg):
            first = int(part.eeg[0, 0])
            assert abs(first / RATE_HZ - begin_s) <= HOP / RATE_HZ
            assert np.array_equal(part.eeg, whole.eeg[first : first + len(part.eeg)])
            assert np.array_equal(part.good, whole.good[first // HOP : first // HOP + len(part.good)])
        wanted = min(end_s, whole.duration_s) - min(begin_s, whole.duration_s)
        assert part.duration_s == pytest.approx(wanted, abs=HOP / RATE_HZ + 1e-9)


class TestFiles:
    @given(st.integers(0, 5), st.booleans())
    def test_round_trip(self, tmp_path_factory: pytest.TempPathFactory, seed: int, has_truth: bool) -> None:
        truth = np.full((5 * HOP, 2), 3e-13, np.float32) if has_truth else None
        recording = noise_recording(5, seed=seed, true_meg=truth, good=np.arange(5) != 2)
        folder = write_prepared(tmp_path_factory.mktemp("windows"), recording)
        read = read_prepared(folder)
        assert same(read, recording)
        assert isinstance(read.eeg, np.memmap)

    def test_all_are_read_by_subject(self, tmp_path: Path) -> None:
        recordings = [noise_recording(3 + seed, seed=seed) for seed in (12, 2, 7)]
        for recording in recordings:
            write_prepared(tmp_path, recording)
        (tmp_path / ".new-left-behind" / "recording").mkdir(parents=True)
        read = read_all(tmp_path)
        assert [each.subject for each in read] == ["sub-02", "sub-07", "sub-12"]
        assert all(same(a, b) for a, b in zip(read, sorted(recordings, key=lambda r: r.subject), strict=True))

    def test_as_many_are_open_as_there_are(self, tmp_path: Path) -> None:
        for seed in range(12):
            write_prepared(tmp_path, noise_recording(2, seed=seed))
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        n_open = len(list(Path("/proc/self/fd").iterdir()))
        resource.setrlimit(resource.RLIMIT_NOFILE, (n_open + 8, limits[1]))
        try:
            assert len(read_all(tmp_path)) == 12
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    def test_an_older_one_is_replaced(self, tmp_path: Path) -> None:
        old = noise_recording(4, true_meg=np.ones((4 * HOP, 2), np.float32))
        new = noise_recording(6)
        write_prepared(tmp_path, old)
        write_prepared(tmp_path, new)
        assert same(read_all(tmp_path)[0], new)
        assert [path.name for path in tmp_path.iterdir()] == ["sub-00_run-01"]

    def test_a_full_disk_leaves_the_older_one_and_nothing_else(self, tmp_path: Path) -> None:
        old = noise_recording(4)
        write_prepared(tmp_path, old)
        with full_disk(), pytest.raises(WindowError, match=r"sub-00_run-01 cannot be written .*: is the disk full\?"):
            write_prepared(tmp_path, noise_recording(200))
        assert [path.name for path in tmp_path.iterdir()] == ["sub-00_run-01"]
        assert same(read_all(tmp_path)[0], old)

    def test_a_place_that_is_no_folder_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("not a folder")
        with pytest.raises(WindowError, match="cannot be written"):
            write_prepared(tmp_path / "file" / "windows", noise_recording(2))

    def test_an_empty_folder_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(WindowError, match="holds no prepared recordings"):
            read_all(tmp_path)

    @pytest.mark.parametrize(
        "other",
        [
            noise_recording(4, seed=1, rate_hz=250.0),
            noise_recording(4, seed=1, n_electrodes=4),
            noise_recording(4, seed=1, n_sensors=3),
            replace(noise_recording(4, seed=1), hop=4, good=np.ones(8, bool)),
        ],
    )
    def test_recordings_that_differ_are_told(self, tmp_path: Path, other: Prepared) -> None:
        for recording in (noise_recording(4), other):
            write_prepared(tmp_path, recording)
        with pytest.raises(
            WindowError, match=r"differ in rate, hop, electrodes or sensors .*: prepare all of them alike"
        ):
            read_all(tmp_path)


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def truncate(name: str, share: float) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(share * len(content))])

    return change


def describe(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "recording.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def write(name: str, array: NDArray[np.generic]) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / name, array)


@pytest.mark.parametrize(
    "damage",
    [
        remove("eeg.npy"),
        remove("good.npy"),
        remove("recording.json"),
        truncate("meg.npy", 0.7),
        truncate("eeg.npy", 0.0),
        truncate("eeg.npy", 0.02),
        truncate("recording.json", 0.5),
        describe(unknown=1),
        describe(hop=4),
        write("meg.npy", np.zeros((7, 2), np.float32)),
        write("eeg.npy", np.zeros(4 * HOP, np.float32)),
        write("extra.npy", np.zeros((4 * HOP, 2), np.float32)),
    ],
)
def test_a_damaged_recording_is_one_line(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    folder = write_prepared(tmp_path, noise_recording(4))
    damage(folder)
    with pytest.raises(WindowError, match="prepare it again") as caught:
        read_prepared(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)

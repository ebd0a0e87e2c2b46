"""Replays through real LSL. Stamps and values are compared, never durations of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pylsl
import pytest
from numpy.typing import NDArray
from recordings import write_fif

from cortexcast_server.lsl_metadata import eeg_layout
from cortexcast_server.player import Player
from cortexcast_server.playhead import LOOP_MARKER, SEEK_MARKER
from cortexcast_server.recording import Recording, RecordingError

PATIENCE_S = 30.0


class Receiver:
    """Inlets on a replay's two streams; the markers' is connected first."""

    def __init__(self, name: str) -> None:
        self._markers = self._connect(f"name='{name} markers'")
        self._samples = self._connect(f"name='{name}'")
        self.info = self._samples.info(PATIENCE_S)
        self._data: list[NDArray[np.float32]] = []
        self._times: list[NDArray[np.float64]] = []
        self.markers: list[tuple[float, str]] = []

    @staticmethod
    def _connect(predicate: str) -> pylsl.StreamInlet:
        found = pylsl.resolve_bypred(predicate, 1, PATIENCE_S)
        inlet = pylsl.StreamInlet(found[0], max_buflen=360, recover=False)
        inlet.open_stream(PATIENCE_S)
        return inlet

    @property
    def data(self) -> NDArray[np.float32]:
        return np.concatenate(self._data)

    @property
    def times(self) -> NDArray[np.float64]:
        return np.concatenate(self._times)

    @property
    def n_samples(self) -> int:
        return sum(map(len, self._times))

    def pull_until(self, done: Callable[[], bool]) -> None:
        deadline = pylsl.local_clock() + PATIENCE_S
        while not done():
            assert pylsl.local_clock() < deadline, f"only {self.n_samples} samples and {len(self.markers)} markers"
            samples, times = self._samples.pull_chunk(0.05, 8192, min_samples=1, as_numpy=True)
            if len(times):
                self._data.append(samples.copy())
                self._times.append(times.copy())
            labels, stamps = self._markers.pull_chunk(0.0)
            self.markers += [(stamp, label) for stamp, (label,) in zip(stamps, labels, strict=True)]

    def close(self) -> None:
        self._samples.close_stream()
        self._markers.close_stream()


@contextmanager
def playing(recording: Recording, **options: Any) -> Iterator[tuple[Player, Receiver]]:
    with Player(recording, wait_for_consumer_s=PATIENCE_S, **options) as player:
        receiver = Receiver(recording.name)
        try:
            yield player, receiver
        finally:
            receiver.close()


def test_every_sample_of_a_real_recording_arrives_once_and_each_annotation_at_its_time(real_data: Path) -> None:
    recording = Recording(real_data / "eeg" / "eeglab_32ch_128hz_raw.fif", "whole")
    with playing(recording, speed=200) as (player, receiver):
        receiver.pull_until(lambda: receiver.n_samples >= recording.n_samples and len(receiver.markers) >= 154)
        receiver.pull_until(lambda: player.status().state == "ended")
    np.testing.assert_array_equal(receiver.data, recording.read(0, recording.n_samples))
    np.testing.assert_allclose(np.diff(receiver.times), 1 / recording.rate_hz, atol=1e-6)
    assert [label for _, label in receiver.markers] == [annotation.label for annotation in recording.annotations]
    onsets = np.array([when for when, _ in receiver.markers]) - receiver.times[0]
    np.testing.assert_allclose(
        onsets, [annotation.onset_s for annotation in recording.annotations], atol=0.01 / recording.rate_hz
    )


def test_the_stream_announces_what_the_recording_says(tmp_path: Path) -> None:
    recording = Recording(write_fif(tmp_path / "small_raw.fif"))
    with playing(recording) as (_, receiver):
        announced = eeg_layout(receiver.info).signal
        assert announced == eeg_layout(recording.stream_info()).signal
        assert announced.replayed
        assert not announced.simulated


def test_a_pause_is_a_gap_in_the_stamps_and_in_nothing_else(tmp_path: Path) -> None:
    # At this rate a piece of 4 samples straddles the end of what was read ahead.
    recording = Recording(write_fif(tmp_path / "paused_raw.fif", rate_hz=350.0, duration_s=1.5))
    pause_s = 0.2
    with playing(recording) as (player, receiver):
        receiver.pull_until(lambda: receiver.n_samples > 20)
        player.pause()
        paused = player.status()
        assert paused.state == "paused"
        time.sleep(pause_s)
        receiver.pull_until(lambda: receiver.n_samples >= paused.samples_sent)
        assert player.status() == paused
        player.resume()
        receiver.pull_until(lambda: receiver.n_samples >= recording.n_samples)
    np.testing.assert_array_equal(receiver.data, recording.read(0, recording.n_samples))
    steps = np.diff(receiver.times) - 1 / recording.rate_hz
    (gap,) = np.flatnonzero(np.abs(steps) > 1e-4)
    assert gap + 1 == paused.samples_sent
    assert steps[gap] >= pause_s - 1e-4


def test_a_loop_and_a_seek_keep_the_stamps_even_and_are_announced(tmp_path: Path) -> None:
    recording = Recording(write_fif(tmp_path / "looped_raw.fif", duration_s=0.5))
    with playing(recording, loop=True) as (player, receiver):
        receiver.pull_until(lambda: len(receiver.markers) == 2)
        player.seek(0.3)
        receiver.pull_until(lambda: receiver.markers[-1][1] == SEEK_MARKER)
        jumps = list(receiver.markers)
        receiver.pull_until(lambda: receiver.times[-1] >= jumps[-1][0])
    assert [label for _, label in jumps[:2]] == [LOOP_MARKER, LOOP_MARKER]
    np.testing.assert_allclose(np.diff(receiver.times), 1 / recording.rate_hz, atol=1e-6)
    whole = recording.read(0, recording.n_samples)
    for when, label in jumps:
        received = receiver.data[np.argmin(np.abs(receiver.times - when))]
        start = round(0.3 * recording.rate_hz) if label == SEEK_MARKER else 0
        np.testing.assert_array_equal(received, whole[start])


def test_it_ends_at_once_when_stopped_while_it_waits_for_somebody(tmp_path: Path) -> None:
    recording = Recording(write_fif(tmp_path / "alone_raw.fif"))
    with Player(recording, wait_for_consumer_s=3600) as player:
        assert player.status().state == "playing"
        assert not player.wait(0.01)
    assert player.wait(0)
    assert player.status().state == "ended"
    assert player.status().samples_sent == 0


def test_a_pause_while_it_waits_for_somebody_holds(tmp_path: Path) -> None:
    recording = Recording(write_fif(tmp_path / "held_raw.fif"))
    with Player(recording, wait_for_consumer_s=PATIENCE_S) as player:
        player.pause()
        receiver = Receiver(recording.name)
        receiver.pull_until(lambda: not player.wait(0.1))
        assert player.status().samples_sent == 0
        player.resume()
        receiver.pull_until(lambda: receiver.n_samples == recording.n_samples)
        receiver.close()


def test_a_file_that_goes_away_ends_the_replay_with_its_reason(tmp_path: Path) -> None:
    path = write_fif(tmp_path / "gone_raw.fif")
    recording = Recording(path)
    path.unlink()
    with Player(recording) as player:
        assert player.wait(PATIENCE_S)
    status = player.status()
    assert status.state == "ended"
    assert status.error is not None
    assert status.error.startswith(f"{path} cannot be read")
    with pytest.raises(RecordingError, match="cannot be read"):
        recording.read(0, 1)


def test_a_resume_while_it_waits_for_somebody_does_not_start_it(tmp_path: Path) -> None:
    recording = Recording(write_fif(tmp_path / "eager_raw.fif"))
    with Player(recording, wait_for_consumer_s=PATIENCE_S) as player:
        player.resume()
        nobody_yet = pylsl.local_clock()
        receiver = Receiver(recording.name)
        receiver.pull_until(lambda: receiver.n_samples == recording.n_samples)
        receiver.close()
    assert receiver.times[0] > nobody_yet

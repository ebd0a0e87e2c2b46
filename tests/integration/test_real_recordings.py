"""Real recordings, replayed by one process, served by another and read by a third: every sample, every annotation."""

from __future__ import annotations

import json
from pathlib import Path

import mne
import numpy as np
import pytest
from daemon import Process, run, running

from cortexcast_client import Connection, Frame, Marker, Status
from cortexcast_models.bundle import DEFAULT, read_bundle

FIRST_S = 12.0


def test_eeg_at_128_hz_is_served_with_every_sample_and_annotation(real_data: Path, tmp_path: Path) -> None:
    """The whole file, 238 s and 154 annotations, at 20 times its speed."""
    # Of signal: at this speed the usual two seconds are a tenth of one, and a client may be kept waiting so long.
    (tmp_path / "cortexcast.toml").write_text("outbox_s = 240.0\nack_window_s = 240.0\nhistory_s = 240.0\n")
    path = real_data / "eeg" / "eeglab_32ch_128hz_raw.fif"
    raw = mne.io.read_raw(path, verbose="error")
    markers: list[Marker] = []
    frames: list[Frame] = []
    last: Status | None = None
    # The smaller model: twenty times as many hops of the other would keep a core busy.
    with running("--model", "meg-leadfield", "--wait", "30", cwd=tmp_path) as daemon:
        replay = Process("replay", path, "--speed", "20", "--wait-for-consumer", "30", "--port", "0")
        try:
            with Connection(daemon.url, ["eeg"], reconnect=False) as connection:
                for event in connection.events():
                    if isinstance(event, Marker):
                        markers.append(event)
                    elif isinstance(event, Frame):
                        frames.append(event)
                    else:
                        last = event
                        if event.state in ("stalled", "lost") and frames:
                            break
            assert replay.finish() == 0, replay.errors
        finally:
            replay.kill()
    assert last is not None
    assert last.samples_in == raw.n_times
    assert (last.gaps, last.missing_s) == (0, 0.0)
    assert [frame.sequence for frame in frames] == list(range(len(frames)))
    assert frames[-1].dropped == 0
    # What is not out yet is the filter's delay and the rest of a hop.
    assert 0 <= raw.times[-1] - len(frames) * 0.04 < 0.15
    onsets = np.array([marker.time for marker in markers]) - frames[0].t0
    assert [marker.label for marker in markers] == list(raw.annotations.description)
    np.testing.assert_allclose(onsets, raw.annotations.onset, atol=1 / 128)


def test_a_second_at_5_khz_is_looped(real_data: Path) -> None:
    path = real_data / "eeg" / "mgh70_raw.fif"
    with running("--replay", path, "--loop", "--wait", "20") as daemon:
        session = daemon.wait_for_session()
        done = run(
            "watch", daemon.url, "--product", "eeg", "--product", "meg", "--duration", str(FIRST_S / 2), "--json"
        )
        status = daemon.http("GET", f"/api/v1/sessions/{session}")[1]["status"]
    records = [json.loads(line) for line in done.stdout.splitlines()]
    total = records[-1]
    assert done.returncode == 0, done.stderr
    assert (total["type"], total["lost"], total["dropped"]) == ("total", 0, 0)
    assert total["frames"] > 0
    assert status["gaps"] == 0
    manifest = read_bundle(DEFAULT).manifest
    waiting = status["samples_in"] / 25 - status["samples_out"]  # for the look-ahead, and for a hop to be full
    assert manifest.lookahead - manifest.hop <= waiting <= manifest.lookahead + 2 * manifest.hop
    loops = [record["label"] for record in records if record["type"] == "marker"]
    assert set(loops) == {"cortexcast/loop"}


def test_both_go_through_run(real_data: Path, tmp_path: Path) -> None:
    for name in ("eeglab_32ch_128hz_raw.fif", "mgh70_raw.fif"):
        path, out = real_data / "eeg" / name, tmp_path / name.replace("_raw", "_meg_raw")
        done = run("run", path, "--out", out)
        assert done.returncode == 0, done.stderr
        raw, meg = mne.io.read_raw(path, verbose="error"), mne.io.read_raw(out, verbose="error")
        assert meg.get_channel_types().count("mag") == 102
        assert meg.get_channel_types().count("grad") == 204
        assert meg.info["sfreq"] == 200.0
        assert meg.times[-1] == pytest.approx(raw.times[-1], abs=1 / 200)
        np.testing.assert_allclose(meg.annotations.onset, raw.annotations.onset, atol=1e-6)
        assert 1e-15 < meg.get_data("mag").std() < 1e-11

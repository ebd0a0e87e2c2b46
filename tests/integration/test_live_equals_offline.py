"""Through real LSL and a real WebSocket: nothing lost, nothing twice, and the frames of `cortexcast run`."""

from __future__ import annotations

from pathlib import Path

import mne
import numpy as np
import pytest
from daemon import run, running
from factories import CAP, eeg_like
from numpy.typing import NDArray

from cortexcast_client import Connection, Frame, Marker


def write_counting_fif(path: Path, rate_hz: float, duration_s: float) -> Path:
    """A headset's recording whose first channel is the sample's number, in microvolts."""
    n = int(rate_hz * duration_s)
    data = eeg_like(len(CAP), n)
    data[0] = 1e-6 * np.arange(n)
    raw = mne.io.RawArray(data, mne.create_info(list(CAP), rate_hz, "eeg", verbose="error"), verbose="error")
    raw.set_annotations(mne.Annotations([1.0, 2.5], 0.0, ["one", "two"]), verbose="error")
    raw.save(path, fmt="double", verbose="error")
    return path


def collect(url: str, products: list[str], n_frames: int) -> tuple[dict[str, list[Frame]], list[Marker]]:
    """The first frames of each product, and the markers that came with them."""
    frames: dict[str, list[Frame]] = {product: [] for product in products}
    markers = []
    with Connection(url, products, reconnect=False) as connection:
        for event in connection.events():
            if isinstance(event, Frame):
                frames[event.product].append(event)
            elif isinstance(event, Marker):
                markers.append(event)
            if min(map(len, frames.values())) >= n_frames:
                return frames, markers
    raise AssertionError("the connection ended early")


def joined(frames: list[Frame]) -> NDArray[np.float32]:
    return np.concatenate([frame.data for frame in frames], axis=1)


@pytest.mark.parametrize("rate_hz", [128.0, 1000.0])
def test_live_frames_equal_those_of_a_run(tmp_path: Path, rate_hz: float) -> None:
    file = write_counting_fif(tmp_path / "counting_raw.fif", rate_hz=rate_hz, duration_s=8.0)
    out = tmp_path / "offline_raw.fif"
    done = run("run", file, "--out", out)
    assert done.returncode == 0, done.stderr
    offline = mne.io.read_raw(out, verbose="error").get_data()

    with running("--replay", file, "--wait", "10") as daemon:
        frames, _ = collect(daemon.url, ["eeg", "meg"], 150)
    for received in frames.values():
        assert [frame.sequence for frame in received] == list(range(len(received)))
        assert received[-1].dropped == 0
    live = joined(frames["meg"])
    np.testing.assert_array_equal(live, offline[:, : live.shape[1]].astype(np.float32))
    steps = np.diff([frame.t0 for frame in frames["meg"]])
    np.testing.assert_allclose(steps, 0.04, atol=1e-6)

"""Through real LSL and a real WebSocket: the MEG of the replayed file beside the estimate, and how they agree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest
from bundles import write_small_bundle
from daemon import Daemon, running
from factories import CAP, WEIGHTS, eeg_like, make_manifest
from numpy.typing import NDArray

from cortexcast_client import Agreement, Connection, Flags, Frame, Status
from cortexcast_models.preprocessing import Preprocessor

RATE_HZ = 500.0
SENSORS = {"MEG0112": "grad", "MEG0113": "grad", "MEG0111": "mag", "MEG0121": "mag"}
"""In another order than the bundle's, named without its blanks, and one more."""


def write_file(path: Path, duration_s: float) -> NDArray[np.float64]:
    """EEG, and as MEG what the small bundle makes of it: ``(3, n)`` in the bundle's order, as the file holds it."""
    eeg = eeg_like(len(CAP), round(RATE_HZ * duration_s), offset_v=0.0).astype(np.float64)
    eeg -= eeg.mean(axis=0)
    meg = WEIGHTS.astype(np.float64) @ eeg
    types = [*SENSORS.values(), *["eeg"] * len(CAP)]
    info = mne.create_info([*SENSORS, *CAP], RATE_HZ, types, verbose="error")
    raw = mne.io.RawArray(np.vstack([meg[[1, 2, 0]], meg[:1], eeg]), info, verbose="error")
    raw.save(path, fmt="double", verbose="error")
    return meg


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_bundle(tmp_path_factory.mktemp("bundle") / "small")


class Watch:
    """What a client sees of a session."""

    def __init__(self, connection: Connection) -> None:
        self.frames: dict[str, list[Frame]] = {"meg": [], "meg_recorded": []}
        self.agreements: list[Agreement] = []
        self.state = ""
        self._events = connection.events()

    def until(self, done: Callable[[], bool]) -> None:
        for event in self._events:
            if isinstance(event, Frame):
                self.frames[event.product].append(event)
            elif isinstance(event, Status):
                self.state = event.state
                self.agreements += [event.agreement] if event.agreement else []
            if done():
                return
        raise AssertionError("the connection ended early")

    def further(self, n_frames: int) -> None:
        """Wait for so many more frames of both, and a word on how they agree."""
        wanted = {product: len(frames) + n_frames for product, frames in self.frames.items()}
        n_agreements = len(self.agreements) + 1
        self.until(
            lambda: (
                len(self.agreements) >= n_agreements
                and all(len(self.frames[product]) >= n for product, n in wanted.items())
            )
        )

    def pairs(self) -> list[tuple[Frame, Frame]]:
        """Estimate and recorded MEG, by sequence number."""
        estimates = {frame.sequence: frame for frame in self.frames["meg"]}
        recorded = self.frames["meg_recorded"]
        return [(estimates[frame.sequence], frame) for frame in recorded if frame.sequence in estimates]


def only_session(daemon: Daemon) -> dict[str, Any]:
    (session,) = daemon.http("GET", "/api/v1/sessions")[1]
    shown: dict[str, Any] = daemon.http("GET", f"/api/v1/sessions/{session['id']}")[1]
    return shown


def assert_they_agree(watch: Watch) -> None:
    """White noise: a sample off, and nothing would be explained."""
    pairs = watch.pairs()
    assert len(pairs) > 20
    for estimate, recorded in pairs:
        assert (recorded.t0, recorded.first_sample) == (estimate.t0, estimate.first_sample)
        assert not recorded.flags & Flags.NO_SIGNAL
        assert Flags.REPLAYED in recorded.flags
        np.testing.assert_allclose(recorded.data, estimate.data, atol=1e-3 * np.abs(WEIGHTS).max() * 2e-5)
    last = watch.agreements[-1]
    assert last.explained_variance == pytest.approx({"mag": 1.0, "grad": 1.0}, abs=1e-5)
    assert last.median_r == pytest.approx({"mag": 1.0, "grad": 1.0}, abs=1e-5)


def test_it_is_the_files_meg_preprocessed_at_the_times_of_the_estimate(tmp_path: Path, bundle: Path) -> None:
    meg = write_file(tmp_path / "both_raw.fif", 8.0)
    manifest = make_manifest()
    blocks = Preprocessor(manifest.preprocessing, RATE_HZ, len(meg), manifest.hop).push(meg.astype(np.float32))
    offline = np.concatenate([block.data for block in blocks], axis=1).astype(np.float32)
    with (
        running("--model", bundle, "--replay", tmp_path / "both_raw.fif", "--wait", "10") as daemon,
        Connection(daemon.url, ["meg", "meg_recorded"], reconnect=False) as connection,
    ):
        watch = Watch(connection)
        watch.further(100)
        session = only_session(daemon)
        products = {product.name: product for product in connection.products}
    frames = watch.frames["meg_recorded"]
    live = np.concatenate([frame.data for frame in frames], axis=1)
    first = frames[0].first_sample
    np.testing.assert_array_equal(live, offline[:, first : first + live.shape[1]])
    assert_they_agree(watch)

    assert products["meg_recorded"].channels == products["meg"].channels
    assert products["meg_recorded"].delay_s == products["meg"].delay_s
    assert products["meg_recorded"].model is None
    shown = session["status"]["agreement"]
    assert 0 < shown["seconds"] <= 20
    assert shown["explained_variance"]["mag"] == pytest.approx(1.0, abs=1e-5)
    assert shown["median_r"]["grad"] == pytest.approx(1.0, abs=1e-5)


def test_loops_seeks_and_pauses_are_matched_rightly(tmp_path: Path, bundle: Path) -> None:
    write_file(tmp_path / "loop_raw.fif", 1.3)
    with (
        running("--model", bundle, "--replay", tmp_path / "loop_raw.fif", "--loop", "--wait", "10") as daemon,
        Connection(daemon.url, ["meg", "meg_recorded"], reconnect=False) as connection,
    ):
        watch = Watch(connection)
        watch.further(60)
        (replay,) = daemon.http("GET", "/api/v1/replays")[1]
        url = f"/api/v1/replays/{replay['id']}"
        assert daemon.http("POST", f"{url}/seek", {"position_s": 0.7})[0] == 200
        watch.further(30)
        assert daemon.http("POST", f"{url}/pause")[0] == 200
        watch.until(lambda: watch.state == "stalled")
        assert daemon.http("POST", f"{url}/resume")[0] == 200
        watch.until(lambda: any(Flags.GAP in frame.flags for frame in watch.frames["meg_recorded"]))
        watch.further(30)
        assert daemon.http("GET", url)[1]["status"]["loops"] > 0
    assert_they_agree(watch)


@pytest.mark.parametrize("speed", [0.5, 3.0])
def test_another_speed_is_matched_rightly(tmp_path: Path, bundle: Path, speed: float) -> None:
    write_file(tmp_path / "speed_raw.fif", 20.0)
    with (
        running("--model", bundle, "--idle") as daemon,
        Connection(daemon.url, ["meg", "meg_recorded"], reconnect=False) as connection,
    ):
        replay = {"file": str(tmp_path / "speed_raw.fif"), "name": "other speed", "speed": speed, "start": 0.5}
        assert daemon.http("POST", "/api/v1/replays", replay)[0] == 201
        assert daemon.http("POST", "/api/v1/sessions", {"name": "other speed"})[0] == 201
        watch = Watch(connection)
        watch.further(30)
    assert_they_agree(watch)


def test_changes_of_speed_are_matched_rightly_and_are_no_gaps(tmp_path: Path, bundle: Path) -> None:
    write_file(tmp_path / "changing_raw.fif", 30.0)
    with (
        running("--model", bundle, "--replay", tmp_path / "changing_raw.fif", "--wait", "10") as daemon,
        Connection(daemon.url, ["meg", "meg_recorded"], reconnect=False) as connection,
    ):
        watch = Watch(connection)
        watch.further(10)
        (replay,) = daemon.http("GET", "/api/v1/replays")[1]
        for speed in (3.0, 0.5, 1.0):
            status, changed = daemon.http("POST", f"/api/v1/replays/{replay['id']}/speed", {"speed": speed})
            assert (status, changed["status"]["speed"]) == (200, speed)
            watch.further(20)
        session = only_session(daemon)
        (replay,) = daemon.http("GET", "/api/v1/replays")[1]
    assert replay["status"]["source_id"] == session["source_id"]
    assert session["status"]["gaps"] == 0
    t0 = np.array([frame.t0 for frame in watch.frames["meg"]])
    np.testing.assert_allclose(np.diff(t0), t0[1] - t0[0], atol=1e-4)
    assert_they_agree(watch)


def test_a_file_without_these_sensors_has_no_such_product(tmp_path: Path, bundle: Path) -> None:
    eeg = eeg_like(len(CAP), round(4 * RATE_HZ), offset_v=0.0)
    info = mne.create_info(["MEG0112", *CAP], RATE_HZ, ["grad", *["eeg"] * len(CAP)], verbose="error")
    raw = mne.io.RawArray(np.vstack([eeg[:1], eeg]), info, verbose="error")
    raw.save(tmp_path / "lacking_raw.fif", verbose="error")
    with running("--model", bundle, "--replay", tmp_path / "lacking_raw.fif", "--wait", "10") as daemon:
        daemon.wait_for_session()
        session = only_session(daemon)
    assert [product["product"] for product in session["products"]] == ["eeg", "meg"]
    assert session["status"]["agreement"] is None

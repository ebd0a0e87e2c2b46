"""Headsets come, go, freeze and return; several are served at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from daemon import Daemon, Process, running
from factories import CAP
from headset import plugged_in, streaming
from numpy.typing import NDArray
from recordings import write_fif

from cortexcast_client import Connection, Event, Flags, Frame, Marker, Status
from cortexcast_server.lsl_source import LslSource
from cortexcast_server.lsl_streams import Query, find

ANNOUNCED_S = 30.0


def until(connection: Connection, done: Callable[[Frame | Status], bool]) -> list[Frame]:
    """The frames up to the first event for which ``done``."""
    frames: list[Frame] = []
    for event in connection.events():
        if isinstance(event, Frame | Status) and done(event):
            return frames
        if isinstance(event, Frame):
            frames.append(event)
    raise AssertionError("the connection ended early")


def has_state(state: str) -> Callable[[Frame | Status], bool]:
    return lambda event: isinstance(event, Status) and event.state == state


def has_flag(flag: Flags) -> Callable[[Frame | Status], bool]:
    return lambda event: isinstance(event, Frame) and flag in event.flags


def test_a_headset_that_leaves_and_returns_goes_on_in_its_session(small: Path) -> None:
    with running("--model", small, "--wait", "20") as daemon:
        with streaming():
            daemon.wait_for_session()
            with Connection(daemon.url, ["eeg"], reconnect=False) as connection:
                before = list(islice(connection, 20))
        with Connection(daemon.url, ["eeg"], reconnect=False) as connection:
            until(connection, has_state("lost"))
            with streaming():
                until(connection, has_state("live"))
                after = list(islice(connection, 20))
                status = daemon.http("GET", "/api/v1/sessions")[1][0]["status"]
    assert after[0].session == before[0].session
    assert after[0].sequence > before[-1].sequence
    assert (status["restarts"], status["gaps"]) == (1, 1)
    assert status["missing_s"] > 0


def test_a_headset_that_freezes_is_noticed_and_its_gap_is_flagged(small: Path) -> None:
    with plugged_in() as headset, running("--model", small, "--wait", "20") as daemon:
        headset.wait_for_consumer()
        headset.push(500)
        with Connection(daemon.url, ["eeg"], reconnect=False) as connection:
            until(connection, has_state("stalled"))
            headset.push(500, skip_s=3.0)
            until(connection, has_flag(Flags.GAP))
            rest = list(islice(connection, 20))
            status = daemon.http("GET", "/api/v1/sessions")[1][0]["status"]
    assert not any(Flags.GAP in frame.flags for frame in rest)
    assert status["gaps"] == 1
    assert status["missing_s"] == pytest.approx(3.0, abs=0.01)
    assert status["samples_in"] == 1000


def test_several_headsets_are_sessions_of_one_daemon(small: Path) -> None:
    with (
        streaming("left", source_id="left"),
        streaming("right", source_id="right", rate_hz=500.0),
        running("--model", small, "--idle") as daemon,
    ):
        assert daemon.http("GET", "/readyz")[0] == 200
        opened = [daemon.http("POST", "/api/v1/sessions", {"name": name})[1] for name in ("left", "right")]
        with Connection(daemon.url, ["meg"], reconnect=False) as connection:
            frames = list(islice(connection, 100))
        for session in opened:
            mine = [frame.sequence for frame in frames if frame.session == session["id"]]
            assert len(mine) >= 40
            assert mine == list(range(mine[0], mine[0] + len(mine)))
        only = opened[1]["id"]
        with Connection(daemon.url, ["meg"], session=only, reconnect=False) as connection:
            assert {frame.session for frame in islice(connection, 20)} == {only}
        assert daemon.http("DELETE", f"/api/v1/sessions/{only}")[0] == 204
        assert [session["id"] for session in daemon.http("GET", "/api/v1/sessions")[1]] == [opened[0]["id"]]
        status, body = daemon.http("DELETE", f"/api/v1/sessions/{only}")
        assert (status, body["error"]["code"]) == (404, "unknown_session")
        status, body = daemon.http("POST", "/api/v1/sessions", {"name": "middle", "wait_s": 0})
        assert (status, body["error"]["code"]) == (422, "unusable_stream")
        streams = {stream["name"] for stream in daemon.http("GET", "/api/v1/streams")[1]}
        assert {"left", "right", "left-eeg", "left-meg"} <= streams
        (model,) = [model for model in daemon.http("GET", "/api/v1/models")[1] if model["in_use"]]
        assert model["name"] == "small"


def wait_for_announced(daemon: Daemon, name: str, but_not: frozenset[str] = frozenset()) -> frozenset[str]:
    """The uids under which a daemon sees a stream, once there is one that it did not see before."""
    deadline = time.monotonic() + ANNOUNCED_S
    while time.monotonic() < deadline:
        streams = daemon.http("GET", "/api/v1/streams")[1]
        if uids := frozenset(stream["uid"] for stream in streams if stream["name"] == name) - but_not:
            return uids
        time.sleep(0.05)
    pytest.fail(f"no stream {name!r} was announced within {ANNOUNCED_S:g} s")


def test_a_headset_that_was_restarted_is_not_confused_with_what_is_still_announced_of_it(small: Path) -> None:
    with running("--model", small, "--idle") as daemon:
        with streaming():
            before = wait_for_announced(daemon, "headset")
        with streaming():
            wait_for_announced(daemon, "headset", before)
            assert daemon.http("POST", "/api/v1/sessions", {"name": "headset"})[0] == 201


def test_a_recording_is_played_anew_while_it_is_still_announced(small: Path, tmp_path: Path) -> None:
    file = write_fif(tmp_path / "again_raw.fif", types=["eeg"] * len(CAP), names=CAP, duration_s=4.0)
    seen: frozenset[str] = frozenset()
    with running("--model", small, "--idle") as daemon:
        for _ in range(3):
            replay = daemon.http("POST", "/api/v1/replays", {"file": str(file), "loop": True})[1]
            seen |= wait_for_announced(daemon, "again_raw", seen)
            wanted = {"source_id": replay["status"]["source_id"]}
            status, session = daemon.http("POST", "/api/v1/sessions", wanted)
            assert status == 201, session
            assert session["source_id"] == wanted["source_id"]
            daemon.http("DELETE", f"/api/v1/sessions/{session['id']}")
            daemon.http("DELETE", f"/api/v1/replays/{replay['id']}")


def test_a_headset_that_died_is_an_error_of_the_stream(small: Path, tmp_path: Path) -> None:
    file = write_fif(tmp_path / "dead_raw.fif", types=["eeg"] * len(CAP), names=CAP, duration_s=4.0)
    with running("--model", small, "--idle") as daemon:
        sender = Process("replay", file, "--loop", "--port", "0")
        try:
            wait_for_announced(daemon, "dead_raw")
        finally:
            sender.kill()
        status, body = daemon.http("POST", "/api/v1/sessions", {"name": "dead_raw", "wait_s": 0})
        assert (status, body["error"]["code"]) == (422, "unusable_stream")
        assert "does not answer" in body["error"]["message"]


def test_each_sample_number_comes_through_once_however_it_is_pushed() -> None:
    """Channel 0 carries the sample's number, in microvolts."""
    data = np.random.default_rng(0).normal(scale=20, size=(len(CAP), 8000)).astype(np.float32)
    data[0] = np.arange(8000)
    got: list[NDArray[np.float32]] = []
    with plugged_in(data=data) as headset:
        source = LslSource(find(Query(name="headset"), 20))
        for size in np.random.default_rng(1).integers(1, 200, 60):
            headset.push(int(size))
            while (chunk := source.read(0.05)) is not None:
                got.append(chunk.data[0])
        source.close()
    np.testing.assert_array_equal(np.round(1e6 * np.concatenate(got)), np.arange(headset.sent))


def test_a_daemon_that_has_waited_misses_no_marker_of_a_replay(small: Path, tmp_path: Path) -> None:
    onsets = np.arange(0.0, 2.0, 0.1)
    path = write_fif(
        tmp_path / "marked_raw.fif",
        types=["eeg"] * len(CAP),
        names=CAP,
        duration_s=4.0,
        annotations=[(onset, 0.0, f"{onset:.1f}") for onset in onsets],
    )
    with running("--model", small, "--wait", "30") as daemon, Connection(daemon.url, ["eeg"]) as connection:
        time.sleep(3.0)  # until what is looked for first has long been looked for
        replay = Process("replay", path, "--wait-for-consumer", "20", "--port", "0")
        try:
            markers = [event for event in until_lost(connection) if isinstance(event, Marker)]
        finally:
            replay.kill()
    assert [marker.label for marker in markers] == [f"{onset:.1f}" for onset in onsets]


def until_lost(connection: Connection) -> Iterator[Event]:
    for event in connection.events():
        if isinstance(event, Status) and event.state in ("stalled", "lost") and event.samples_in:
            return
        yield event


def test_a_session_that_failed_is_told_to_who_comes_later(small: Path) -> None:
    with streaming(unit="volts"), running("--model", small, "--idle") as daemon:
        session = daemon.http("POST", "/api/v1/sessions", {})[1]["id"]
        for _ in range(2):
            with Connection(daemon.url, ["meg"], reconnect=False) as connection:
                failed = next(e for e in connection.events() if isinstance(e, Status) and e.state == "failed")
            assert failed.error is not None
            assert "--unit microvolts" in failed.error
        assert daemon.http("GET", "/readyz")[0] == 200
        assert daemon.http("DELETE", f"/api/v1/sessions/{session}")[0] == 204
        again = daemon.http("POST", "/api/v1/sessions", {"unit": "microvolts"})[1]["id"]
        assert again != session

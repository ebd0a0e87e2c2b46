"""Headsets come, go, freeze and return; several are served at once."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from bundles import write_small_bundle
from daemon import running
from factories import CAP
from headset import plugged_in, streaming

from cortexcast_client import Connection, Flags, Frame, Status


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_small_bundle(tmp_path / "small")


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


def test_the_sample_number_survives_any_way_of_pushing(small: Path) -> None:
    """Channel 0 carries the sample's number: the engine's account shows each exactly once."""
    data = np.random.default_rng(0).normal(scale=20, size=(len(CAP), 4000)).astype(np.float32)
    data[0] = np.arange(4000) % 50
    with plugged_in(data=data) as headset, running("--model", small, "--wait", "20") as daemon:
        headset.wait_for_consumer()
        for size in np.random.default_rng(1).integers(1, 200, 30):
            headset.push(int(size))
        with Connection(daemon.url, ["eeg"], reconnect=False) as connection:
            until(connection, lambda event: isinstance(event, Status) and event.samples_in == headset.sent)
        status = daemon.http("GET", "/api/v1/sessions")[1][0]["status"]
    assert (status["samples_in"], status["gaps"]) == (headset.sent, 0)

"""`POST /api/v1/demo`: a simulated headset within a daemon that runs, to try it without one."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from daemon import Daemon, running

from cortexcast_client import Connection, Status

DEMO = "/api/v1/demo"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the daemon's temporary files go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def daemon(folder: Path) -> Iterator[Daemon]:
    with running("--model", "meg-leadfield", "--idle") as daemon:
        yield daemon


def demo_files(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("cortexcast-demo-*/**/*")]


def replay_of(daemon: Daemon, session: dict[str, Any]) -> dict[str, Any]:
    replays: list[dict[str, Any]] = daemon.http("GET", "/api/v1/replays")[1]
    (replay,) = (each for each in replays if each["status"]["source_id"] == session["source_id"])
    return replay


def test_it_is_served_until_the_daemon_ends_and_leaves_nothing(daemon: Daemon, folder: Path) -> None:
    with Connection(daemon.url, ["meg", "meg_recorded"], reconnect=False) as connection:
        with ThreadPoolExecutor(2) as both:
            answers = sorted(both.map(lambda _: daemon.http("POST", DEMO), range(2)), key=lambda answer: -answer[0])
        (first, session), (second, same) = answers
        assert (first, second) == (201, 200)
        assert same["id"] == session["id"]
        assert {product["product"] for product in session["products"]} == {"eeg", "meg", "meg_recorded"}
        events = connection.events()
        assert next(event for event in events if isinstance(event, Status) and event.agreement).state == "live"
    replay = replay_of(daemon, session)
    assert replay["status"]["loop"]
    assert demo_files(folder) == ["simulated_headset_raw.fif"]
    daemon.interrupt()
    assert daemon.finish() == 0, daemon.errors
    assert list(folder.glob("cortexcast-demo-*")) == []


def test_what_of_it_was_closed_is_opened_again(daemon: Daemon) -> None:
    _, session = daemon.http("POST", DEMO)
    replay = replay_of(daemon, session)

    assert daemon.http("DELETE", f"/api/v1/sessions/{session['id']}")[0] == 204
    status, other = daemon.http("POST", DEMO)
    assert status == 201
    assert other["id"] != session["id"]
    assert replay_of(daemon, other)["id"] == replay["id"]

    assert daemon.http("DELETE", f"/api/v1/replays/{replay['id']}")[0] == 204
    with Connection(daemon.url, ["meg"], reconnect=False) as connection:
        events = (event for event in connection.events() if isinstance(event, Status))
        assert next(event for event in events if event.state == "lost")
        assert daemon.http("POST", DEMO)[0] == 200
        assert next(event for event in events if event.state == "live").session == other["id"]
        now = daemon.http("GET", f"/api/v1/sessions/{other['id']}")[1]
        assert replay_of(daemon, now)["id"] != replay["id"]


def test_it_ends_in_the_midst_of_the_opening(daemon: Daemon, folder: Path) -> None:
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(daemon.http, "POST", DEMO)
        while not list(folder.glob("cortexcast-demo-*")):
            time.sleep(0.002)
        daemon.interrupt()
        assert daemon.finish() == 0, daemon.errors
        asked.exception()
    assert list(folder.glob("cortexcast-demo-*")) == []


def test_a_disk_without_room_is_said_and_tried_again(daemon: Daemon, folder: Path) -> None:
    limits = resource.prlimit(daemon.popen.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.popen.pid, resource.RLIMIT_FSIZE, (2**20, limits[1]))
    status, answer = daemon.http("POST", DEMO)
    assert (status, answer["error"]["code"]) == (422, "unusable_recording")
    assert f"Make room in {folder}, or set TMPDIR" in answer["error"]["message"]
    resource.prlimit(daemon.popen.pid, resource.RLIMIT_FSIZE, limits)
    assert daemon.http("POST", DEMO)[0] == 201
    assert demo_files(folder) == ["simulated_headset_raw.fif"]

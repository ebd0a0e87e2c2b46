from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from recordings import write_fif
from servers import served

from cortexcast_server.commands.replay import replay_app
from cortexcast_server.replay_api import Replays

URL = "/api/v1/replays"


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    replays = Replays()
    with served(replay_app(replays)) as base, httpx.Client(base_url=base) as client:
        yield client
    replays.close_all()


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(write_fif(tmp_path / "long_raw.fif", duration_s=60.0))


def error_of(response: Any, status: int) -> tuple[str, str]:
    assert response.status_code == status
    (error,) = response.json().values()
    assert set(response.json()) == {"error"}
    assert set(error) == {"code", "message"}
    return error["code"], error["message"]


def test_a_replay_is_opened_paused_moved_resumed_and_closed(client: httpx.Client, file: str) -> None:
    opened = client.post(URL, json={"file": file, "start": 5.0, "name": "cap"})
    assert opened.status_code == 201
    replay = f"{URL}/{opened.json()['id']}"
    status = opened.json()["status"]
    assert (status["name"], status["state"], status["duration_s"]) == ("cap", "playing", 60.0)
    assert 5.0 <= status["position_s"] < 60.0

    assert client.post(f"{replay}/pause").json()["status"]["state"] == "paused"
    assert client.post(f"{replay}/seek", json={"position_s": 30.0}).json()["status"]["position_s"] == 30.0
    assert client.get(replay).json()["status"]["position_s"] == 30.0
    resumed = client.post(f"{replay}/resume").json()["status"]
    assert resumed["state"] == "playing"
    faster = client.post(f"{replay}/speed", json={"speed": 2.0}).json()["status"]
    assert (faster["speed"], faster["state"]) == (2.0, "playing")
    assert faster["samples_sent"] >= resumed["samples_sent"]
    assert client.get(URL).json()[0]["id"] == opened.json()["id"]

    assert client.delete(replay).status_code == 204
    assert client.get(URL).json() == []
    assert error_of(client.get(replay), 404)[0] == "unknown_replay"


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_an_unknown_replay_is_named_with_those_there_are(client: httpx.Client, file: str, action: str) -> None:
    opened = client.post(URL, json={"file": file}).json()["id"]
    assert error_of(client.post(f"{URL}/99/{action}"), 404) == (
        "unknown_replay",
        f"no replay '99': there are {opened}",
    )
    assert error_of(client.delete(f"{URL}/99"), 404)[0] == "unknown_replay"


def test_what_cannot_be_replayed_is_said(client: httpx.Client, file: str) -> None:
    code, message = error_of(client.post(URL, json={"file": "none_raw.fif"}), 422)
    assert (code, message) == ("unusable_recording", "none_raw.fif does not exist: give the path of a recording")
    code, message = error_of(client.post(URL, json={"file": file, "start": 60.0}), 422)
    assert (code, message) == ("not_possible", "60 s is outside the recording: give a position from 0 to 60 s")
    code, message = error_of(client.post(URL, json={"file": file, "speed": 0}), 422)
    assert (code, message) == (
        "not_possible",
        "the speed 0 is not possible: give a number from 0.001 to 10000, 1 for real time",
    )
    assert client.get(URL).json() == []


def test_a_speed_that_is_not_possible_leaves_the_replay_as_it_was(client: httpx.Client, file: str) -> None:
    replay = f"{URL}/{client.post(URL, json={'file': file}).json()['id']}"
    code, message = error_of(client.post(f"{replay}/speed", json={"speed": -1}), 422)
    assert (code, message) == (
        "not_possible",
        "the speed -1 is not possible: give a number from 0.001 to 10000, 1 for real time",
    )
    assert error_of(client.post(f"{replay}/speed", json={"sped": 2}), 422)[0] == "bad_request"
    status = client.get(replay).json()["status"]
    assert (status["speed"], status["state"]) == (1.0, "playing")


def test_one_stream_of_a_name_at_a_time(client: httpx.Client, file: str) -> None:
    first = client.post(URL, json={"file": file}).json()["id"]
    code, message = error_of(client.post(URL, json={"file": file}), 422)
    assert code == "not_possible"
    assert "'long_raw' is being replayed" in message
    client.delete(f"{URL}/{first}")
    assert client.post(URL, json={"file": file}).status_code == 201


@pytest.mark.parametrize("body", [{}, {"file": "x_raw.fif", "sped": 2}, {"file": "x_raw.fif", "speed": "fast"}])
def test_a_request_that_makes_no_sense_is_answered_with_the_field(client: httpx.Client, body: dict[str, Any]) -> None:
    code, message = error_of(client.post(URL, json=body), 422)
    assert code == "bad_request"
    assert message.startswith("body.")

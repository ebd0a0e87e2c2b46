"""/asyncapi.json against AsyncAPI's own schema, and against every message that a daemon and our client really send."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, get_args

import mne
import numpy as np
import pytest
from bundles import write_small_bundle
from client.test_wire import frames
from daemon import Daemon, running
from factories import CAP, WEIGHTS, eeg_like
from hypothesis import given
from jsonschema import Draft7Validator
from needed import npm_package
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from cortexcast_client import Connection, Frame, Marker, Status
from cortexcast_client.wire import SUBPROTOCOL, Flags, to_json
from cortexcast_server.asyncapi import document
from cortexcast_server.protocol import ErrorCode, Message

FROM_CLIENT = {"subscribe", "ack", "unsubscribe"}
FROM_SERVER = {"hello", "products", "status", "marker", "frame", "error", "bye"}
FLAT = "Fz"
DOCUMENT = document("1.2.3", "127.0.0.1:8765")

Messages = dict[str, list[dict[str, Any]]]
"""By type."""


@cache
def validator(kind: str) -> Draft7Validator:
    """Of the payload of a message; AsyncAPI's schemas are of draft 7."""
    return Draft7Validator({"$ref": f"#/components/messages/{kind}/payload", "components": DOCUMENT["components"]})


def test_it_is_valid_by_asyncapi_s_own_schema() -> None:
    official = Draft7Validator(json.loads((npm_package("@asyncapi/specs") / "schemas" / "3.0.0.json").read_text()))
    assert [error.message for error in official.iter_errors(DOCUMENT)] == []
    broken = json.loads(json.dumps(DOCUMENT))
    broken["operations"]["tell"]["action"] = "shout"
    assert not official.is_valid(broken)


def test_every_reference_leads_somewhere_and_every_message_is_told_or_heard() -> None:
    def resolve(reference: str) -> Any:
        found: Any = DOCUMENT
        for key in reference.removeprefix("#/").split("/"):
            found = found[key]
        return found

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from (each for key, item in value.items() for each in ([item] if key == "$ref" else references(item)))
        elif isinstance(value, list):
            yield from (each for item in value for each in references(item))

    for reference in set(references(DOCUMENT)):
        assert isinstance(resolve(reference), dict), reference
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)
    operations = {
        name: {reference["$ref"].rsplit("/", 1)[1] for reference in operation["messages"]}
        for name, operation in DOCUMENT["operations"].items()
    }
    assert operations == {"tell": FROM_SERVER | {"dataFrame"}, "hear": FROM_CLIENT}
    assert DOCUMENT["channels"]["ws"]["messages"].keys() == operations["tell"] | operations["hear"]


def test_every_error_code_and_flag_is_described() -> None:
    messages = DOCUMENT["components"]["messages"]
    assert {row["code"] for row in messages["error"]["x-error-codes"]} == set(get_args(ErrorCode))
    assert {row["name"] for row in messages["dataFrame"]["x-layout"]["flags"]} == {flag.name for flag in Flags}


@given(frames())
def test_every_json_frame_is_one_of_it(frame: Frame) -> None:
    message = json.loads(json.dumps(to_json(frame)))
    validator("frame").validate(message)
    assert message.keys() == set(schema_of("frame")["required"])


class Relay:
    """Stands between clients and a daemon, passes every message on, and keeps the text ones of both directions."""

    def __init__(self, daemon_url: str) -> None:
        self.from_server: Messages = defaultdict(list)
        self.from_client: Messages = defaultdict(list)
        self._daemon_url = daemon_url
        self._current: ServerConnection | None = None
        self._server = serve(
            self._serve, "127.0.0.1", 0, subprotocols=[Subprotocol(SUBPROTOCOL)], compression=None, max_size=2**24
        )
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/ws"

    @contextmanager
    def running(self) -> Iterator[Relay]:
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()

    def cut(self) -> None:
        """Lose the client's connection."""
        assert self._current is not None
        self._current.close()

    def _serve(self, client: ServerConnection) -> None:
        self._current = client
        assert client.request is not None
        query = client.request.path.partition("?")[2]
        with connect(
            f"{self._daemon_url}?{query}", subprotocols=[Subprotocol(SUBPROTOCOL)], compression=None, max_size=2**24
        ) as daemon:
            back = threading.Thread(target=self._pass_on, args=(daemon, client, self.from_server))
            back.start()
            self._pass_on(client, daemon, self.from_client)
            back.join()

    @staticmethod
    def _pass_on(source: Any, target: Any, seen: Messages) -> None:
        with suppress(ConnectionClosed):
            for message in source:
                if isinstance(message, str):
                    record = json.loads(message)
                    seen[record["type"]].append(record)
                target.send(message)
        target.close()


def write_recording(path: Path) -> None:
    """EEG whose electrodes are spelled in another way than the bundle's, one flat; the bundle's MEG; markers."""
    eeg = eeg_like(len(CAP), 500 * 20, offset_v=0.0).astype(np.float64)
    eeg[CAP.index(FLAT)] = 0.0
    sensors = {"MEG0111": "mag", "MEG0112": "grad", "MEG0113": "grad"}
    labels = [name.upper() for name in CAP]
    info = mne.create_info([*sensors, *labels], 500.0, [*sensors.values(), *["eeg"] * len(CAP)], verbose="error")
    raw = mne.io.RawArray(np.vstack([WEIGHTS[[2, 0, 1]] @ eeg, eeg]), info, verbose="error")
    raw.set_annotations(mne.Annotations(np.arange(0.5, 19.0, 0.5), 0.0, "beep"))
    raw.save(path, fmt="double", verbose="error")


@pytest.fixture(scope="module")
def conversation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Relay, Any]:
    """What a daemon and our client said to each other, and the daemon's own description."""
    folder = tmp_path_factory.mktemp("conversation")
    write_recording(folder / "cap_raw.fif")
    with (
        running("--model", write_small_bundle(folder / "small"), "--idle") as daemon,
        Relay(daemon.url).running() as relay,
    ):
        described = daemon.http("GET", "/asyncapi.json")[1]
        talk(daemon, relay, folder / "cap_raw.fif")
    return relay, described


def talk(daemon: Daemon, relay: Relay, recording: Path) -> None:
    """Have each kind of message said."""
    with Connection(f"{relay.url}?format=json", ["eeg", "meg", "meg_recorded"]) as connection:
        assert daemon.http("POST", "/api/v1/replays", {"file": str(recording), "loop": True})[0] == 201
        assert daemon.http("POST", "/api/v1/sessions", {"name": recording.stem, "wait_s": 10})[0] == 201
        events = connection.events()

        def wait_for_each_kind() -> None:
            frames_of: set[str] = set()
            markers = statuses = 0
            while len(frames_of) < 3 or markers < 2 or statuses < 2:
                event = next(events)
                if isinstance(event, Frame):
                    frames_of.add(event.product)
                markers += isinstance(event, Marker)
                statuses += isinstance(event, Status) and event.agreement is not None and bool(event.bad_channels)

        wait_for_each_kind()
        relay.cut()
        wait_for_each_kind()
        with connect(relay.url, subprotocols=[Subprotocol(SUBPROTOCOL)], compression=None) as other:
            for request in ({"type": "dance"}, {"type": "unsubscribe"}, {"type": "subscribe", "products": ["mri"]}):
                other.send(json.dumps(request))
            kinds = [json.loads(other.recv(timeout=20))["type"] for _ in range(3)]
            assert kinds == ["hello", "error", "error"]
            daemon.interrupt()
            list(other)  # until the daemon has closed it
    daemon.finish()


def test_what_the_daemon_serves_is_what_the_code_says(conversation: tuple[Relay, Any]) -> None:
    _, described = conversation
    assert described["servers"]["daemon"]["protocol"] == "ws"
    assert described["servers"]["daemon"]["host"].startswith("127.0.0.1:")
    for part in ("channels", "operations", "components"):
        assert described[part] == json.loads(json.dumps(DOCUMENT[part]))


@pytest.mark.parametrize("kind", sorted(FROM_SERVER))
def test_what_a_daemon_sends_is_described(conversation: tuple[Relay, Any], kind: str) -> None:
    sent = conversation[0].from_server
    assert sent.keys() == FROM_SERVER
    for message in sent[kind]:
        validator(kind).validate(message)
        described = schema_of(kind)["properties"].keys()
        assert message.keys() == described, "the schema lets a newer daemon say more, this one says what it describes"


def schema_of(kind: str) -> dict[str, Any]:
    name = DOCUMENT["components"]["messages"][kind]["payload"]["$ref"].rsplit("/", 1)[1]
    schema: dict[str, Any] = DOCUMENT["components"]["schemas"][name]
    return schema


def test_bad_channels_are_the_headset_s_and_interpolated_ones_the_product_s(conversation: tuple[Relay, Any]) -> None:
    sent = conversation[0].from_server
    (eeg, *_) = (product for product in sent["products"][0]["products"] if product["product"] == "eeg")
    status = next(message for message in sent["status"] if message["bad_channels"])
    assert status["bad_channels"] == [FLAT.upper()]
    assert status["interpolated"] == [FLAT]
    assert FLAT in [channel["name"] for channel in eeg["channels"]]


def test_the_latency_s_percentiles_ascend(conversation: tuple[Relay, Any]) -> None:
    latencies = [message["latency_ms"] for message in conversation[0].from_server["status"] if message["latency_ms"]]
    assert latencies
    for latency in latencies:
        assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"]


def test_what_our_client_sends_is_described(conversation: tuple[Relay, Any]) -> None:
    sent = conversation[0].from_client
    assert sent.keys() == FROM_CLIENT | {"dance"}
    assert any("resume" in message for message in sent["subscribe"])
    for kind in FROM_CLIENT:
        for message in sent[kind]:
            validator(kind).validate(message)
            assert not validator(kind).is_valid(message | {"typo": 1})
            assert not validator(kind).is_valid(message | {"type": "dance"})


def test_every_message_of_the_daemon_is_described() -> None:
    """Whatever is a message in the code is one of the document."""

    def leaves(model: type[Message]) -> Iterator[type[Message]]:
        for child in model.__subclasses__():
            yield from leaves(child)
        if "type" in model.model_fields and model.model_fields["type"].annotation is not str:
            yield model

    kinds = {get_args(model.model_fields["type"].annotation)[0] for model in leaves(Message)}
    assert kinds | {"frame"} == FROM_SERVER | FROM_CLIENT

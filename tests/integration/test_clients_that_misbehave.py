"""A client's mistakes are its own: it is told, and nobody else loses a frame."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from bundles import write_small_bundle
from daemon import Daemon, running
from headset import streaming
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from cortexcast_client import Connection
from cortexcast_client.wire import SUBPROTOCOL


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with streaming(), running("--wait", "20") as daemon:
        daemon.wait_for_session()
        yield daemon


def open_socket(url: str, subprotocol: str | None = SUBPROTOCOL) -> ClientConnection:
    subprotocols = None if subprotocol is None else [Subprotocol(subprotocol)]
    return connect(url, subprotocols=subprotocols, compression=None, max_size=None)


def next_of(client: ClientConnection, kind: str) -> dict[str, object]:
    until = time.monotonic() + 20
    while True:
        text = client.recv(timeout=until - time.monotonic())
        if isinstance(text, str) and (message := json.loads(text))["type"] == kind:
            assert isinstance(message, dict)
            return message


@pytest.mark.parametrize(
    ("sent", "code", "text"),
    [
        ('{"type": "subscribe", "products": ["mri"]}', "unknown_product", "there are eeg, meg"),
        ('{"type": "subscribe", "products": ["meg"], "session": "x"}', "unknown_session", "there are headset-"),
        ('{"type": "subscribe", "products": []}', "bad_message", "products"),
        ('{"type": "subscribe", "products": ["meg"], "speed": 2}', "bad_message", "speed"),
        ('{"type": "dance"}', "bad_message", "'subscribe', 'ack' or 'unsubscribe'"),
        ("rubbish", "bad_message", "JSON"),
        (b"\x00\xff\x00", "bad_message", "JSON"),
        ("[1, 2]", "bad_message", "JSON"),
    ],
)
def test_a_mistake_is_told_and_forgiven(daemon: Daemon, sent: str | bytes, code: str, text: str) -> None:
    with open_socket(daemon.url) as client:
        client.send(sent)
        error = next_of(client, "error")
        assert error["code"] == code
        assert text in str(error["message"])
        client.send('{"type": "subscribe", "products": ["meg"]}')
        while not isinstance(client.recv(timeout=20), bytes):
            pass


@pytest.mark.parametrize(
    ("query", "subprotocol", "code"),
    [("", "mqtt", "unknown_subprotocol"), ("?format=xml", SUBPROTOCOL, "unknown_format")],
)
def test_another_language_is_refused(daemon: Daemon, query: str, subprotocol: str, code: str) -> None:
    # The websockets client would itself refuse a server that chose none of its subprotocols.
    subprotocols = None if subprotocol == "mqtt" else [Subprotocol(subprotocol)]
    headers = {"Sec-WebSocket-Protocol": subprotocol} if subprotocol == "mqtt" else {}
    with connect(daemon.url + query, subprotocols=subprotocols, additional_headers=headers) as client:
        assert next_of(client, "error")["code"] == code
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=20)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1002


def test_a_page_of_another_origin_is_refused_and_our_own_is_not(daemon: Daemon) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(daemon.url, origin=Origin("https://elsewhere.example"))
    assert refused.value.response.status_code == 403
    status, body = daemon.http("GET", "/api/v1/sessions", origin="https://elsewhere.example")
    assert (status, body["error"]["code"]) == (403, "other_origin")
    own = daemon.url.replace("ws://", "http://").removesuffix("/ws")
    with connect(daemon.url, origin=Origin(own)) as client:
        next_of(client, "hello")


def test_a_message_that_is_too_long_ends_the_connection(daemon: Daemon) -> None:
    with open_socket(daemon.url) as client:
        client.send(json.dumps({"type": "subscribe", "products": ["meg"] * 20_000}))
        with pytest.raises(ConnectionClosed) as closed:
            next_of(client, "an answer")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


def test_json_is_served_to_who_asks(daemon: Daemon) -> None:
    with open_socket(daemon.url + "?format=json", subprotocol=None) as client:
        client.send('{"type": "subscribe", "products": ["meg"]}')
        frame = next_of(client, "frame")
    assert frame["product"] == "meg"
    assert str(frame["session"]).startswith("headset-")
    data = frame["data"]
    assert isinstance(data, list)
    assert (len(data), len(data[0])) == (306, 8)


def test_a_stalled_client_costs_little_and_the_others_nothing(daemon: Daemon) -> None:
    """Eight clients subscribe and never read, for long enough to fill every buffer there is."""
    process = psutil.Process(daemon.popen.pid)
    host, port = daemon.url.removeprefix("ws://").removesuffix("/ws").split(":")
    with Connection(daemon.url, ["eeg", "meg"], reconnect=False) as lively:
        frames = iter(lively)
        next(frames)
        before = process.memory_info().rss
        stalled = []
        for _ in range(8):
            client = socket.create_connection((host, int(port)))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(
                b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            client.sendall(_masked(b'{"type": "subscribe", "products": ["eeg", "meg"]}'))
            stalled.append(client)
        received = [next(frames) for _ in range(2 * 25 * 12)]
        grown = process.memory_info().rss - before
        for client in stalled:
            client.close()
    for product in ("eeg", "meg"):
        sequences = [frame.sequence for frame in received if frame.product == product]
        assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
    assert received[-1].dropped == 0
    assert grown / len(stalled) <= 8e6


def _masked(text: bytes) -> bytes:
    """A text frame as RFC 6455 wants it of a client, with a mask of zeros."""
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text


def test_ctrl_c_says_goodbye_and_leaves_no_process(tmp_path: Path) -> None:
    small = write_small_bundle(tmp_path / "small")
    with (
        streaming("other", source_id="other-1"),
        running("--model", small, "--name", "other", "--wait", "20") as daemon,
    ):
        daemon.wait_for_session()
        with open_socket(daemon.url) as client:
            client.send('{"type": "subscribe", "products": ["meg"]}')
            next_of(client, "hello")
            children = psutil.Process(daemon.popen.pid).children(recursive=True)
            daemon.interrupt()
            assert next_of(client, "bye")["reason"] == "the daemon was stopped"
            with pytest.raises(ConnectionClosed) as closed:
                next_of(client, "nothing that comes after a goodbye")
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, "the daemon was stopped")
        assert daemon.finish() == 0
        assert daemon.errors == ""
        assert not any(child.is_running() for child in children)

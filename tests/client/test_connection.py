"""The two shells over real sockets: what they deliver, how they resume, how they fail."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

import pytest
from client.peer import PRODUCT, Client, Peer, Script, make_frame, status
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.typing import Subprotocol

from cortexcast_client import (
    AsyncConnection,
    Connection,
    DaemonError,
    Event,
    Frame,
    Marker,
    NoDaemonError,
    ProtocolError,
    Status,
    subscribe,
)
from cortexcast_client.wire import to_json

Collect = Callable[..., list[Event]]


def collect_blocking(url: str, n: int, **options: Any) -> list[Event]:
    """The first ``n`` events, fewer if the iteration ends."""
    events: list[Event] = []
    with Connection(url, **options) as connection:
        for event in connection.events():
            events.append(event)
            if len(events) == n:
                break
    return events


def collect_async(url: str, n: int, **options: Any) -> list[Event]:
    """The same with asyncio."""

    async def collect() -> list[Event]:
        events: list[Event] = []
        async with AsyncConnection(url, **options) as connection:
            async for event in connection.events():
                events.append(event)
                if len(events) == n:
                    break
        return events

    return asyncio.run(collect())


both = pytest.mark.parametrize("collect", [collect_blocking, collect_async])


def sequences(events: list[Event]) -> list[int]:
    return [event.sequence for event in events if isinstance(event, Frame)]


def give_frames(end: int, cut_after: int | None = None) -> Script:
    """Give the frames below ``end`` from where the client resumes; lose the connection after so many, if any."""

    def script(client: Client) -> None:
        first = client.greet().get("resume", {}).get("cap/meg", -1) + 1
        if cut_after is None:
            client.give(*range(first, end))
            client.wait_gone()
        else:
            client.give(*range(first, min(end, first + cut_after)))
            client.cut()

    return script


def say_goodbye(client: Client) -> None:
    client.greet()
    client.give(0, 1)
    client.tell({"type": "bye", "reason": "the daemon was stopped"})


@both
def test_frames_markers_and_status_come_in_order(collect: Collect) -> None:
    marker = {"type": "marker", "session": "cap", "stream": "keys", "label": "go", "time": 1.0, "clock_offset": 0.0}

    def script(client: Client) -> None:
        assert client.greet() == {"type": "subscribe", "products": ["meg"], "acks": True}
        client.give(0)
        client.tell(marker)
        client.tell(status())
        client.tell(to_json(make_frame(1)))
        client.wait_gone()

    with Peer(script) as peer:
        events = collect(peer.url, 4, products=["meg"])
    assert [type(event) for event in events] == [Frame, Marker, Status, Frame]
    assert sequences(events) == [0, 1]


@both
def test_a_handled_frame_is_acknowledged_without_waiting_for_the_next(collect: Collect) -> None:
    def script(client: Client) -> None:
        client.greet()
        for sequence in range(5):
            client.give(sequence)
            assert client.hear() == {"type": "ack", "product": 0, "sequence": sequence}
        client.give(5)
        client.wait_gone()

    with Peer(script) as peer:
        assert sequences(collect(peer.url, 6)) == list(range(6))


@both
@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(1, 6), max_size=3))
def test_cut_connections_lose_and_repeat_nothing(collect: Collect, cuts: list[int]) -> None:
    scripts = [give_frames(20, cut_after=n) for n in cuts]
    with Peer(*scripts, give_frames(20)) as peer:
        assert sequences(collect(peer.url, 20)) == list(range(20))


@both
def test_a_daemon_that_goes_and_comes_back_is_found_again(collect: Collect) -> None:
    with ThreadPoolExecutor(1) as pool:
        with Peer(say_goodbye) as before:
            events = pool.submit(collect, before.url, 6)
            before.wait_served()
        with Peer(give_frames(6), port=before.port):
            assert sequences(events.result(timeout=30)) == list(range(6))


@both
def test_a_daemon_that_began_anew_is_followed(collect: Collect) -> None:
    def anew(client: Client) -> None:
        assert "resume" not in client.greet(PRODUCT | {"session": "after the restart"})
        client.give(0, 1)
        client.wait_gone()

    with Peer(say_goodbye, anew) as peer:
        events = collect(peer.url, 4)
    assert [(event.session, event.sequence) for event in events if isinstance(event, Frame)] == [
        ("cap", 0),
        ("cap", 1),
        ("after the restart", 0),
        ("after the restart", 1),
    ]


@both
def test_without_reconnecting_a_goodbye_ends_the_iteration(collect: Collect) -> None:
    with Peer(say_goodbye) as peer:
        assert sequences(collect(peer.url, 100, reconnect=False)) == [0, 1]


@both
def test_without_reconnecting_a_lost_connection_is_an_error(collect: Collect) -> None:
    with Peer(give_frames(20, cut_after=2)) as peer, pytest.raises(NoDaemonError, match="lost the connection to ws://"):
        collect(peer.url, 100, reconnect=False)


@both
def test_nobody_there(collect: Collect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}/ws"
    with pytest.raises(ConnectionError, match=f"no daemon at {url}: start one with 'cortexcast serve' or 'cortexcast"):
        collect(url, 1)


@both
def test_what_the_daemon_refuses_is_raised(collect: Collect) -> None:
    def script(client: Client) -> None:
        assert client.greet()["products"] == ["gem"]
        client.tell({"type": "error", "code": "unknown_product", "message": "no product 'gem': there are eeg, meg"})
        client.wait_gone()

    with Peer(script) as peer, pytest.raises(DaemonError, match="no product 'gem'") as raised:
        collect(peer.url, 1, products=["gem"])
    assert raised.value.code == "unknown_product"


@both
@pytest.mark.parametrize("rubbish", ["<html>", json.dumps(["hello"]), b"\x01\x02"])
def test_rubbish_instead_of_a_greeting(collect: Collect, rubbish: str | bytes) -> None:
    def script(client: Client) -> None:
        client.tell(rubbish)
        client.wait_gone()

    with Peer(script) as peer, pytest.raises(ProtocolError):
        collect(peer.url, 1)


@both
@pytest.mark.parametrize("subprotocol", [Subprotocol("mqtt"), None])
def test_a_server_of_something_else(collect: Collect, subprotocol: Subprotocol | None) -> None:
    with Peer(subprotocol=subprotocol) as peer, pytest.raises(ProtocolError, match="is not a cortexcast daemon"):
        collect(peer.url, 1)


@both
def test_a_path_that_is_not_there(collect: Collect) -> None:
    refusing = Peer(refuse_with=HTTPStatus.NOT_FOUND)
    with refusing as peer, pytest.raises(ProtocolError, match=r"is not a cortexcast daemon: .*404"):
        collect(peer.url, 1)


@both
def test_a_gateway_whose_daemon_is_away(collect: Collect) -> None:
    with Peer(refuse_with=HTTPStatus.BAD_GATEWAY) as peer, pytest.raises(NoDaemonError, match="no daemon at ws://"):
        collect(peer.url, 1)


@both
def test_an_address_that_is_no_websocket(collect: Collect) -> None:
    with pytest.raises(ProtocolError, match="isn't a valid URI"):
        collect("http://127.0.0.1:8765", 1)


def test_subscribe_gives_frames_and_leaves_with_its_loop() -> None:
    with Peer(give_frames(3)) as peer:  # its script, and so the with, ends when the client has gone
        given = []
        for frame in subscribe(peer.url, ["meg"]):
            given.append(frame.sequence)
            if frame.sequence == 2:
                break
    assert given == [0, 1, 2]


def test_a_connection_that_was_not_entered_says_so() -> None:
    with pytest.raises(RuntimeError, match="enter the connection first"):
        next(iter(Connection()))


def test_closing_from_another_thread_ends_the_iteration() -> None:
    with Peer(give_frames(3)) as peer, Connection(peer.url) as connection:
        given = []
        for frame in connection:
            given.append(frame.sequence)
            if frame.sequence == 2:
                threading.Timer(0.01, connection.close).start()
        assert given == [0, 1, 2]


def test_closing_from_another_task_ends_the_iteration() -> None:
    async def collect() -> list[int]:
        given = []
        async with AsyncConnection(peer.url) as connection, asyncio.TaskGroup() as group:
            async for frame in connection:
                given.append(frame.sequence)
                if frame.sequence == 2:
                    group.create_task(connection.aclose())
        return given

    with Peer(give_frames(3)) as peer:
        assert asyncio.run(collect()) == [0, 1, 2]

"""WebSocket: bytes from a bare FastAPI endpoint under the daemon's uvicorn, a subscriber, and one that never reads."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

import numpy as np
import pylsl
from fastapi import FastAPI, WebSocket
from numpy.typing import NDArray
from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from cortexcast_client.wire import SUBPROTOCOL, Frame, decode
from cortexcast_server.bench.peer import BenchError, answer, peer
from cortexcast_server.engine import MEG
from cortexcast_server.runner import bind, serving, websocket_url

_SILENCE_S = 5.0
_SMALL_BUFFER = 16 * 1024
_MAX_MESSAGE = 2**24


@asynccontextmanager
async def bare_endpoint(speak: Callable[[WebSocket], Awaitable[None]]) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """An endpoint with nothing of the daemon's behind it, under the daemon's uvicorn.

    Args:
        speak: says to the one client what there is to say.

    Yields:
        Its address, and what is set when the client has said goodbye.
    """
    done = asyncio.Event()
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(client: WebSocket) -> None:
        await client.accept()
        await speak(client)
        await client.receive()  # the client's goodbye
        done.set()

    with bind("127.0.0.1", 0) as listener:
        async with serving(app, listener) as base:
            yield websocket_url(base), done


def send(pipe: Connection, message: bytes, period_s: float, n: int) -> None:
    """A server that sends a message ``n`` times at its pace, and answers with the times."""
    asyncio.run(_send(pipe, message, period_s, n))


async def _send(pipe: Connection, message: bytes, period_s: float, n: int) -> None:
    times: list[float] = []

    async def speak(client: WebSocket) -> None:
        origin = pylsl.local_clock()
        for number in range(n):
            await asyncio.sleep(max(0.0, origin + number * period_s - pylsl.local_clock()))
            times.append(pylsl.local_clock())
            await client.send_bytes(message)

    async with bare_endpoint(speak) as (url, done):
        pipe.send(url)
        await done.wait()
    pipe.send(times)


def messages(url: str, n: int) -> Iterator[bytes]:
    """The next ``n`` binary messages of a bare endpoint.

    Raises:
        BenchError: none came for a while.
    """
    with connect(url, compression=None, max_size=_MAX_MESSAGE) as client:
        for _ in range(n):
            message = _receive(client)
            assert isinstance(message, bytes)
            yield message


def loopback(message: bytes, period_s: float, n: int) -> NDArray[np.float64]:
    """From each send of ``message`` to its arrival at a client in this process, in seconds."""
    arrivals = np.empty(n)
    with peer(send, message, period_s, n) as server:
        for number, _ in enumerate(messages(answer(server), n)):
            arrivals[number] = pylsl.local_clock()
        latencies: NDArray[np.float64] = arrivals - np.array(answer(server))
    return latencies


class Subscriber:
    """A client of the daemon's MEG in this process, with nothing between the socket and the decoded frame."""

    def __init__(self, client: ClientConnection) -> None:
        self._client = client
        self._products: dict[int, tuple[str, str]] = {}
        client.send(_subscription(acks=True))

    def take(self, end: int) -> tuple[list[Frame], NDArray[np.float64]]:
        """The next frames up to the one before sequence number ``end``, and when each was decoded.

        Raises:
            BenchError: no frame came for a while.
        """
        frames: list[Frame] = []
        arrivals: list[float] = []
        while not frames or frames[-1].sequence < end - 1:
            message = _receive(self._client)
            if isinstance(message, str):
                self._hear(message)
                continue
            frames.append(decode(message, self._products))
            arrivals.append(pylsl.local_clock())
            self._acknowledge(frames[-1])
        return frames, np.array(arrivals)

    def _hear(self, text: str) -> None:
        message = json.loads(text)
        if message["type"] in ("hello", "products"):
            self._products = {p["index"]: (p["session"], p["product"]) for p in message["products"]}
        elif message["type"] in ("error", "bye"):
            raise BenchError(f"the daemon says {text}")

    def _acknowledge(self, frame: Frame) -> None:
        index = next(index for index, name in self._products.items() if name == (frame.session, frame.product))
        self._client.send(json.dumps({"type": "ack", "product": index, "sequence": frame.sequence}))


def _receive(client: ClientConnection) -> str | bytes:
    try:
        return client.recv(timeout=_SILENCE_S)
    except (TimeoutError, WebSocketException) as error:
        raise BenchError(f"the server sends nothing any more: {error!r}") from None


@contextmanager
def subscriber(url: str) -> Iterator[Subscriber]:
    """A subscriber for the length of the block."""
    with connect(url, subprotocols=[Subprotocol(SUBPROTOCOL)], compression=None, max_size=_MAX_MESSAGE) as client:
        yield Subscriber(client)


@contextmanager
def stalled_subscriber(url: str) -> Iterator[None]:
    """A client that subscribes to everything, acknowledges nothing and never reads again."""
    address = urlsplit(url)
    with socket.socket() as raw:
        # Else the kernel takes a minute of frames in the client's stead.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
        raw.connect((address.hostname, address.port))
        protocol = ClientProtocol(parse_uri(url), subprotocols=[Subprotocol(SUBPROTOCOL)])
        protocol.send_request(protocol.connect())
        raw.sendall(b"".join(protocol.data_to_send()))
        protocol.receive_data(raw.recv(_SMALL_BUFFER))
        if protocol.handshake_exc is not None:
            raise BenchError(f"the daemon refused a second client: {protocol.handshake_exc}")
        protocol.send_text(_subscription(acks=False).encode())
        raw.sendall(b"".join(protocol.data_to_send()))
        yield


def _subscription(*, acks: bool) -> str:
    return json.dumps({"type": "subscribe", "products": [MEG], "acks": acks})

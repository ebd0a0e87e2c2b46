"""Connections to a daemon, asynchronous and blocking: thin shells around ``ClientProtocol``."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, suppress
from typing import Any, Self

import websockets.asyncio.client
import websockets.sync.client
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus, WebSocketException

from cortexcast_client.errors import NoDaemonError, ProtocolError
from cortexcast_client.messages import Product
from cortexcast_client.protocol import ClientProtocol, Event
from cortexcast_client.wire import SUBPROTOCOL, Frame

DEFAULT_URL = "ws://127.0.0.1:8765/ws"
HELLO_TIMEOUT_S = 10.0

_OPTIONS: dict[str, Any] = {
    "subprotocols": [SUBPROTOCOL],
    "compression": None,
    "close_timeout": 2.0,
    # A hello with several 306-channel sessions passes the library's 1 MiB.
    "max_size": 2**24,
}
_FAILURES = (OSError, WebSocketException)
_NOT_ENTERED = "enter the connection first: 'with Connection(...) as connection'"
_log = logging.getLogger(__name__)


class _Subscribed:
    """What both kinds of connection know."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        products: Sequence[str] = ("meg",),
        *,
        session: str | None = None,
        reconnect: bool = True,
    ) -> None:
        self.url = url
        self._protocol = ClientProtocol(products, session)
        self._reconnect = reconnect
        self._closed = False

    @property
    def products(self) -> tuple[Product, ...]:
        """What the daemon offers now, subscribed to or not."""
        return self._protocol.products

    @property
    def clock_offset(self) -> float:
        """Seconds to add to the daemon's LSL clock, in which ``Frame.t0`` is, to get Unix time, as last told."""
        return self._protocol.clock_offset

    def product(self, frame: Frame) -> Product:
        """The product that a frame of this connection belongs to: channels, rate, delay, model."""
        return self._protocol.product(frame)

    def _ends(self, lost: ConnectionClosed) -> bool:
        """Whether a lost connection ends the iteration; if not, connect again."""
        if self._closed:
            return True
        if self._reconnect:
            reason = self._protocol.farewell or lost
            _log.warning("lost the connection to %s (%s): reconnecting", self.url, reason)
            return False
        if self._protocol.farewell is None:
            raise NoDaemonError(f"lost the connection to {self.url}: {lost}") from lost
        return True

    def _failure(self, error: Exception) -> NoDaemonError | ProtocolError:
        """Why connecting failed, for the user. Only a ``NoDaemonError`` is worth another try."""
        if isinstance(error, InvalidStatus):
            gone = error.response.status_code >= 500  # a gateway whose daemon is away
        else:
            gone = isinstance(error, OSError | InvalidMessage | ConnectionClosed)
        if gone:
            advice = "start one with 'cortexcast serve' or 'cortexcast demo'"
            return NoDaemonError(f"no daemon at {self.url}: {advice}")
        return ProtocolError(f"{self.url} is not a cortexcast daemon: {error}")


class AsyncConnection(_Subscribed):
    """A subscription for asyncio; ``Connection`` tells the rest.

    ::

        async with AsyncConnection("ws://127.0.0.1:8765/ws", ["meg"]) as connection:
            async for frame in connection:
                ...
    """

    _socket: websockets.asyncio.client.ClientConnection | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def __aiter__(self) -> AsyncIterator[Frame]:
        async with aclosing(self.events()) as events:
            async for event in events:
                if isinstance(event, Frame):
                    yield event

    async def events(self) -> AsyncGenerator[Event]:
        """Frames, markers and status, in the order of arrival."""
        while not self._closed:
            if self._socket is None:
                raise RuntimeError(_NOT_ENTERED)
            try:
                # A send that fails says less than recv, which first gives what arrived before the end.
                with suppress(ConnectionClosed):
                    for request in self._protocol.messages_to_send():
                        await self._socket.send(request)
                message = await self._socket.recv()
            except ConnectionClosed as lost:
                if self._ends(lost):
                    return
                await self._reopen()
                continue
            event = self._protocol.receive(message)
            if event is not None:
                yield event

    async def aclose(self) -> None:
        """Close the connection; iterating ends."""
        self._closed = True
        await self._disconnect()

    async def _disconnect(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                self._socket = await websockets.asyncio.client.connect(self.url, **_OPTIONS)
                self._protocol.connection_made(self._socket.subprotocol)
                while not self._protocol.greeted:
                    self._protocol.receive(await self._socket.recv())
        except _FAILURES as error:
            raise self._failure(error) from error

    async def _reopen(self) -> None:
        for delay_s in _backoff():
            await self._disconnect()
            await asyncio.sleep(delay_s)
            if self._closed:
                break
            with suppress(NoDaemonError):
                await self._open()
                break


class Connection(_Subscribed):
    """A subscription that blocks.

    Iterating gives frames; ``events`` gives markers and status as well. A lost connection is made anew and
    resumed, so that no frame which the daemon still has is lost or repeated. Asking for the next event
    acknowledges the ones before; who stays more than 2 s behind loses the oldest frames, counted in
    ``Frame.dropped``.

    ::

        with Connection("ws://127.0.0.1:8765/ws", ["eeg", "meg"]) as connection:
            for event in connection.events():
                ...

    Args:
        url: the daemon's, ``ws://HOST:PORT/ws``, with ``?format=json`` for frames as text.
        products: names to subscribe to.
        session: the id of one session, or None for every one, those to come as well.
        reconnect: if False, iterating ends when the daemon says goodbye, and a lost connection is an error.

    Raises:
        NoDaemonError: nobody answers the first time, or a connection is lost and ``reconnect`` is False.
        DaemonError: the daemon refused the subscription.
        ProtocolError: whoever answers does not speak the protocol.
    """

    _socket: websockets.sync.client.ClientConnection | None = None

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        return (event for event in self.events() if isinstance(event, Frame))

    def events(self) -> Iterator[Event]:
        """Frames, markers and status, in the order of arrival."""
        while not self._closed:
            if self._socket is None:
                raise RuntimeError(_NOT_ENTERED)
            try:
                # A send that fails says less than recv, which first gives what arrived before the end.
                with suppress(ConnectionClosed):
                    for request in self._protocol.messages_to_send():
                        self._socket.send(request)
                message = self._socket.recv()
            except ConnectionClosed as lost:
                if self._ends(lost):
                    return
                self._reopen()
                continue
            event = self._protocol.receive(message)
            if event is not None:
                yield event

    def close(self) -> None:
        """Close the connection; iterating ends."""
        self._closed = True
        self._disconnect()

    def _disconnect(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.close()

    def _open(self) -> None:
        try:
            # Entering says to the library that the connection is one, not an iterator of connections.
            self._socket = websockets.sync.client.connect(self.url, **_OPTIONS).__enter__()
            self._protocol.connection_made(self._socket.subprotocol)
            while not self._protocol.greeted:
                self._protocol.receive(self._socket.recv(timeout=HELLO_TIMEOUT_S))
        except _FAILURES as error:
            raise self._failure(error) from error

    def _reopen(self) -> None:
        for delay_s in _backoff():
            self._disconnect()
            time.sleep(delay_s)
            if self._closed:
                break
            with suppress(NoDaemonError):
                self._open()
                break


def subscribe(
    url: str = DEFAULT_URL,
    products: Sequence[str] = ("meg",),
    *,
    session: str | None = None,
    reconnect: bool = True,
) -> Iterator[Frame]:
    """Frames as they come, until the loop is left. Arguments and errors are those of ``Connection``."""
    with Connection(url, products, session=session, reconnect=reconnect) as connection:
        yield from connection


def _backoff() -> Iterator[float]:
    """Seconds to wait before each attempt to connect again.

    Never long in comparison with what a daemon keeps for who was away: 10 s, unless it is told otherwise.
    """
    yield 0.0
    delay_s = 0.1
    while True:
        yield delay_s
        delay_s = min(2 * delay_s, 1.0)

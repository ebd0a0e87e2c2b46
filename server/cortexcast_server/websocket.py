"""One WebSocket client: a reader, a writer, and the hub between them."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import get_args

from starlette.websockets import WebSocket, WebSocketDisconnect

from cortexcast_client.wire import SUBPROTOCOL
from cortexcast_server.daemon import Daemon
from cortexcast_server.hub import Hub, Subscriber
from cortexcast_server.lsl_streams import unix_clock_offset
from cortexcast_server.origin import is_welcome
from cortexcast_server.protocol import (
    Ack,
    Bye,
    Error,
    ErrorCode,
    FrameFormat,
    Hello,
    ProtocolError,
    Subscribe,
    parse_request,
)

_FORMATS: tuple[FrameFormat, ...] = get_args(FrameFormat)
_GOING_AWAY, _PROTOCOL_ERROR, _POLICY, _TRY_LATER = 1001, 1002, 1008, 1013


async def serve_client(socket: WebSocket, daemon: Daemon) -> None:
    """Serve one connection to its end. A client's mistakes are told to that client alone."""
    if not is_welcome(socket.headers, daemon.settings.origins):
        await socket.close(_POLICY)  # before the handshake: HTTP 403
        return
    offered = socket.scope["subprotocols"]
    as_json = socket.query_params.get("format", "binary")
    await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
    if offered and SUBPROTOCOL not in offered:
        await _refuse(socket, "unknown_subprotocol", f"this daemon speaks {SUBPROTOCOL}, not {', '.join(offered)}")
        return
    if daemon.stopping.is_set():
        await socket.close(_GOING_AWAY, "the daemon is stopping")
        return
    if as_json not in _FORMATS:
        await _refuse(socket, "unknown_format", f"no format {as_json!r}: there are {', '.join(_FORMATS)}")
        return

    ready = asyncio.Event()
    subscriber = Subscriber(wake=ready.set, as_json=as_json == "json")
    subscriber.tell(
        Hello(version=version("cortexcast"), clock_offset=unix_clock_offset(), products=daemon.hub.products)
    )
    daemon.hub.join(subscriber)
    reader = asyncio.create_task(_read(socket, daemon.hub, subscriber))
    writer = asyncio.create_task(_write(socket, daemon, subscriber, ready))
    try:
        await asyncio.wait([reader, writer], return_when=asyncio.FIRST_COMPLETED)
    finally:
        daemon.hub.leave(subscriber)
        for task in (reader, writer):
            task.cancel()
        results = await asyncio.gather(reader, writer, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect):
            raise result


async def _read(socket: WebSocket, hub: Hub, subscriber: Subscriber) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        try:
            _handle(hub, subscriber, message.get("text") or message.get("bytes") or "")
        except ProtocolError as error:
            subscriber.tell(Error(code=error.code, message=str(error)))


def _handle(hub: Hub, subscriber: Subscriber, message: str | bytes) -> None:
    request = parse_request(message)
    if isinstance(request, Subscribe):
        hub.subscribe(subscriber, request)
    elif isinstance(request, Ack):
        hub.acknowledge(subscriber, request.product, request.sequence)
    else:
        hub.unsubscribe(subscriber)


async def _write(socket: WebSocket, daemon: Daemon, subscriber: Subscriber, ready: asyncio.Event) -> None:
    """Send what the hub has for this client. A send waits while the socket is full: that is the back-pressure."""
    while True:
        message = daemon.hub.take(subscriber)
        if subscriber.overflowed:
            await socket.close(_TRY_LATER, "control messages were not taken: read the socket")
            return
        if message is None:
            await ready.wait()
            ready.clear()
        elif isinstance(message, bytes):
            await socket.send_bytes(message)
        elif isinstance(message, str):
            await socket.send_text(message)
        else:
            await socket.send_text(message.model_dump_json())
            if isinstance(message, Bye):
                await socket.close(_GOING_AWAY, message.reason)
                return


async def _refuse(socket: WebSocket, code: ErrorCode, message: str) -> None:
    error = Error(code=code, message=message)
    await socket.send_text(error.model_dump_json())
    await socket.close(_PROTOCOL_ERROR, code)  # the reason is limited to 123 bytes; the message has said it all

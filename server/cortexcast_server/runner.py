"""Run the daemon under uvicorn: bind, serve, end within two seconds of a signal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Generator

import uvicorn

from cortexcast_server.app import create_app
from cortexcast_server.daemon import Daemon
from cortexcast_server.settings import Settings

_SEND_BUFFER = 64 * 1024
"""The kernel's default lets a client fall a minute behind before it pushes back."""

_CLOSE_S = 1.0


class AddressError(Exception):
    """The address cannot be listened on."""


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: clients get a reason before the sockets close."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@contextlib.asynccontextmanager
async def running_daemon(settings: Settings) -> AsyncIterator[tuple[Daemon, str]]:
    """A daemon that serves: gives it and its base address, ``http://HOST:PORT``. It has no session yet.

    Raises:
        BundleError: the bundle cannot be used.
        AddressError: the port is in use, or the address not ours.
    """
    listener = bind(settings.host, settings.port)
    try:
        daemon = Daemon(settings)
    except BaseException:
        listener.close()
        raise
    config = uvicorn.Config(
        create_app(daemon),
        log_level="warning",
        lifespan="off",
        # 60 µs a frame for 7 % of its size.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=int(_CLOSE_S),
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:  # uvicorn has no event for it
            if task.done():
                await task
            await asyncio.sleep(0.005)
        host, port = listener.getsockname()[:2]
        yield daemon, f"http://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        await daemon.stop("the daemon was stopped")
        server.should_exit = True
        await task
        listener.close()


def websocket_url(base: str) -> str:
    """The WebSocket's address under a base address."""
    return f"{base.replace('http', 'ws', 1)}/ws"


@contextlib.contextmanager
def stop_event() -> Generator[asyncio.Event, None, None]:
    """An event that SIGINT and SIGTERM set."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, event.set)
    try:
        yield event
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        AddressError: with what to do.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, proto)
    except OSError as error:
        raise AddressError(f"cannot listen on {host}: {error.strerror or error}") from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    try:
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise AddressError(
            f"cannot listen on {host}:{port}: {error.strerror}. Is another daemon running? Choose another --port"
        ) from None
    return listener

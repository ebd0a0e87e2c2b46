"""Run the daemon under uvicorn: bind, serve, end within two seconds of a signal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Generator

import uvicorn
from fastapi import FastAPI

from cortexcast_server.app import create_app
from cortexcast_server.daemon import Daemon
from cortexcast_server.settings import Settings

_SEND_BUFFER = 64 * 1024
"""The kernel's default lets a client fall a minute behind before it pushes back."""

_MAX_REQUEST = 64 * 1024
"""Bytes of a client's message: parsing a large one would keep all others waiting."""

_CLOSE_S = 1


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
    with bind(settings.host, settings.port) as listener:
        daemon = Daemon(settings)
        async with serving(create_app(daemon), listener) as base:
            try:
                yield daemon, base
            finally:
                await daemon.stop("the daemon was stopped")


@contextlib.asynccontextmanager
async def serving(app: FastAPI, listener: socket.socket) -> AsyncIterator[str]:
    """Serve an application on a listening socket; gives its base address."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        lifespan="off",
        # 60 µs a frame for 7 % of its size.
        ws_per_message_deflate=False,
        ws_max_size=_MAX_REQUEST,
        timeout_graceful_shutdown=_CLOSE_S,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:  # uvicorn has no event for it
            if task.done():
                await task
            await asyncio.sleep(0.005)
        host, port = listener.getsockname()[:2]
        yield f"http://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        server.should_exit = True
        await task


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
        AddressError: the address is not ours, or the port in use.
    """
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise AddressError(
            f"cannot listen on {host}:{port}: {error.strerror or error}. Is another daemon running? Choose another "
            "--port, 0 takes a free one"
        ) from None
    # Accepted sockets inherit both. asyncio switches Nagle's algorithm off only for sockets that name their protocol,
    # which this one does not; with it on, one frame in three waits 40 ms for an acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    return listener

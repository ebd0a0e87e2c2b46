"""An application of ours, served on a thread of the test's process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue

from fastapi import FastAPI

from cortexcast_server.runner import bind, serving


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve it on a free port; gives the base address."""
    started: Queue[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Queue()

    async def serve() -> None:
        stop = asyncio.Event()
        with bind("127.0.0.1", 0) as listener:
            async with serving(app, listener) as base:
                started.put((base, asyncio.get_running_loop(), stop))
                await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    base, loop, stop = started.get(timeout=30)
    try:
        yield base
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()

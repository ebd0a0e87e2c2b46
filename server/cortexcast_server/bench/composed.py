"""The parts of the path in one process, with nothing of the daemon's between them.

It pulls the headset's stream from LSL on a thread, runs ONNX Runtime once a hop, hands a MEG frame's bytes to the event
loop and sends them from a bare FastAPI endpoint. The sum of the parts alone is less: together they displace each
other's caches, and a thread has to wake the loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from multiprocessing.connection import Connection

import numpy as np
import pylsl
from fastapi import WebSocket
from numpy.typing import NDArray

from cortexcast_client import wire
from cortexcast_client.wire import Frame
from cortexcast_models.bundle import read_bundle
from cortexcast_server import inference
from cortexcast_server.bench import lsl, websocket
from cortexcast_server.bench.headset import Stream
from cortexcast_server.bench.model import golden_hop
from cortexcast_server.bench.peer import answer, peer

_INDEX = 0


def relay(pipe: Connection, model: str, source_id: str, message: bytes, completed_by: NDArray[np.int_]) -> None:
    """The process: says its address once it listens to the stream, and sends ``message`` for each hop completed."""
    asyncio.run(_relay(pipe, model, source_id, message, completed_by))


async def _relay(pipe: Connection, model: str, source_id: str, message: bytes, completed_by: NDArray[np.int_]) -> None:
    bundle = read_bundle(model)
    hop = golden_hop(bundle, inference.load(bundle))
    inlet = lsl.listen(source_id)
    loop = asyncio.get_running_loop()
    messages: asyncio.Queue[bytes] = asyncio.Queue()

    def pull() -> None:
        due = deque(completed_by.tolist())
        for total in lsl.totals(inlet, due[-1] + 1):
            while due and due[0] < total:
                due.popleft()
                hop()
                loop.call_soon_threadsafe(messages.put_nowait, message)

    async def speak(client: WebSocket) -> None:
        for _ in completed_by:
            await client.send_bytes(await messages.get())

    async with websocket.bare_endpoint(speak) as (url, done):
        pipe.send(url)
        await asyncio.to_thread(pull)
        await done.wait()


def measure(model: str, stream: Stream, frame: Frame, completed_by: NDArray[np.int_]) -> NDArray[np.float64]:
    """From the push of each of these samples to a frame decoded by a client in this process, in seconds.

    Args:
        model: the bundle's folder.
        stream: the headset.
        frame: a MEG frame, sent once for each hop, and
        completed_by: which sample each hop waits for, in ascending order.

    Raises:
        BenchError: the measurement failed.
    """
    n_chunks = int(stream.pushed(completed_by[-1:])[0]) + 1
    products = {_INDEX: (frame.session, frame.product)}
    arrivals = np.empty(len(completed_by))
    with (
        peer(lsl.send, stream, n_chunks) as sender,
        peer(relay, model, stream.source_id, wire.encode(frame, _INDEX), completed_by) as relaying,
    ):
        answer(sender)
        url = answer(relaying)
        sender.send(None)
        for number, message in enumerate(websocket.messages(url, len(completed_by))):
            wire.decode(message, products)
            arrivals[number] = pylsl.local_clock()
        pushes: lsl.Pushes = answer(sender)
    return arrivals - pushes.times[stream.pushed(completed_by)]

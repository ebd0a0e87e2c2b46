"""A scripted daemon on a real socket, for what a real one does only by mischance: cuts, rubbish, restarts."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from queue import SimpleQueue
from typing import Any, Self

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from cortexcast_client import wire
from cortexcast_client.wire import Frame, encode

SUBPROTOCOL = Subprotocol(wire.SUBPROTOCOL)
PRODUCT: dict[str, Any] = {
    "index": 0,
    "session": "cap",
    "stream": "headset",
    "product": "meg",
    "rate_hz": 250.0,
    "hop": 25,
    "delay_s": 0.125,
    "channels": [{"name": "MEG 0111", "type": "mag", "unit": "T", "location": [0.0] * 12}] * 2,
    "model": {"name": "small", "version": "1", "digest": "0" * 64, "trained_on": "simulated"},
    "replayed": False,
    "simulated": False,
}


def make_frame(sequence: int, **changes: Any) -> Frame:
    """Frame ``sequence`` of ``PRODUCT``, as the daemon publishes it."""
    hop = PRODUCT["hop"]
    data = np.full((2, hop), sequence, np.float32)
    fields = {"t0": 100.0 + sequence * hop / PRODUCT["rate_hz"], "session": PRODUCT["session"], **changes}
    return Frame(PRODUCT["product"], sequence, sequence * hop, data=data, **fields)


FRAME = make_frame(0)


def hello(*products: dict[str, Any], clock_offset: float = 0.0) -> dict[str, Any]:
    """A ``hello`` that announces these products."""
    return {"type": "hello", "version": "1", "clock_offset": clock_offset, "products": list(products)}


def status(**changes: Any) -> dict[str, Any]:
    """A ``status`` of the session of ``PRODUCT``."""
    healthy: dict[str, Any] = {
        "type": "status",
        "session": PRODUCT["session"],
        "state": "live",
        "error": None,
        "samples_in": 1000,
        "samples_out": 1000,
        "gaps": 0,
        "missing_s": 0.0,
        "restarts": 0,
        "rate_hz": 250.0,
        "sample_age_s": 0.01,
        "clock_offset": 1000.0,
        "latency_ms": {"p50": 1.0, "p95": 1.5, "p99": 2.0},
        "bad_channels": [],
        "interpolated": [],
        "notes": [],
        "dropped": {},
    }
    return healthy | changes


class Client:
    """One client's connection, seen from the daemon."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    def tell(self, message: dict[str, Any] | str | bytes) -> None:
        """Send a control message, or anything else."""
        self._connection.send(json.dumps(message) if isinstance(message, dict) else message)

    def greet(self, *products: dict[str, Any], clock_offset: float = 0.0) -> dict[str, Any]:
        """Say hello and give the client's subscription."""
        self.tell(hello(*(products or (PRODUCT,)), clock_offset=clock_offset))
        return self.hear()

    def hear(self) -> dict[str, Any]:
        """The client's next message."""
        return dict(json.loads(self._connection.recv(timeout=10.0)))

    def give(self, *sequences: int) -> None:
        """Send frames of ``PRODUCT``."""
        for sequence in sequences:
            self._connection.send(encode(make_frame(sequence), PRODUCT["index"]))

    def cut(self) -> None:
        """Lose the connection without a word."""
        self._connection.socket.shutdown(socket.SHUT_RDWR)

    def wait_gone(self) -> None:
        """Wait until the client has left."""
        with suppress(ConnectionClosed):
            while True:
                self._connection.recv(timeout=10.0)


Script = Callable[[Client], None]


class Peer:
    """Serves each connection by the next script; what went wrong in a script is raised at the end of the ``with``."""

    def __init__(
        self,
        *scripts: Script,
        port: int = 0,
        subprotocol: Subprotocol | None = SUBPROTOCOL,
        refuse_with: HTTPStatus | None = None,
    ) -> None:
        self._scripts = iter(scripts)
        self._served: SimpleQueue[Exception | None] = SimpleQueue()
        self._n_served = 0
        self._n_scripts = len(scripts)
        self._server = serve(
            self._serve,
            "127.0.0.1",
            port,
            select_subprotocol=lambda connection, offered: subprotocol,
            process_request=lambda connection, request: connection.respond(refuse_with, "") if refuse_with else None,
            compression=None,
        )
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.port: int = self._server.socket.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}/ws"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.wait_served()
        finally:
            self._server.shutdown()
            self._thread.join()

    def wait_served(self) -> None:
        """Wait until every script has run."""
        while self._n_served < self._n_scripts:
            failure = self._served.get(timeout=10.0)
            self._n_served += 1
            if failure is not None:
                raise failure

    def _serve(self, connection: ServerConnection) -> None:
        failure = None
        try:
            script = next(self._scripts, None)
            if script is not None:
                script(Client(connection))
        except Exception as error:
            failure = error
        self._served.put(failure)

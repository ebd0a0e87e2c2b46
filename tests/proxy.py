"""A network between a client and a daemon that can fail: a TCP proxy that cuts connections, or stops carrying."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self


class Proxy:
    """Carries bytes between its own port and a daemon's, until it is told to fail."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("ws://").removesuffix("/ws").split(":")
        self._target = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/ws"
        self._up = threading.Event()
        self._up.set()
        self._carries = threading.Event()
        self._carries.set()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.thaw()
        self.cut()
        for thread in self._threads:
            thread.join()

    def cut(self) -> None:
        """End every connection; who connects again is turned away until ``mend``."""
        self._up.clear()
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Let clients in again."""
        self._up.set()

    def freeze(self) -> None:
        """Carry nothing, as where a laptop sleeps: both ends believe that the connection is there."""
        self._carries.clear()

    def thaw(self) -> None:
        """Carry again what waited, and all that comes."""
        self._carries.set()

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self._up.is_set():
                client.close()
                continue
            try:
                daemon = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            self._open |= {client, daemon}
            self._start(self._carry, client, daemon)
            self._start(self._carry, daemon, client)

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while content := source.recv(65536):
                self._carries.wait()
                sink.sendall(content)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._open.discard(source)
        source.close()

"""A real daemon in a process of its own, as a user starts it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from cortexcast_server.simulated_recording import simulate

CORTEXCAST = [sys.executable, "-m", "cortexcast_client"]
START_S = 30.0


class Process:
    """A `cortexcast` process whose lines can be waited for."""

    def __init__(self, *arguments: str | Path, cwd: Path | None = None) -> None:
        self.popen = subprocess.Popen(
            [*CORTEXCAST, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            start_new_session=True,
        )
        self.errors = ""
        self._lines: Queue[str] = Queue()
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._read, self._read_errors)]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self._lines.put(line)

    def _read_errors(self) -> None:
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self.errors += line

    def wait_for(self, pattern: str, timeout_s: float = START_S) -> re.Match[str]:
        """The first line from here on in which the pattern is found."""
        seen: list[str] = []
        while True:
            try:
                line = self._lines.get(timeout=timeout_s)
            except Empty:
                raise AssertionError(f"no line with {pattern!r} in {seen}; errors: {self.errors}") from None
            seen.append(line)
            if match := re.search(pattern, line):
                return match

    def lines(self) -> list[str]:
        """The lines that were not waited for, once the process has ended."""
        self.finish()
        return [self._lines.get() for _ in range(self._lines.qsize())]

    def finish(self, timeout_s: float = START_S) -> int:
        """The exit code, once the process has ended."""
        code = self.popen.wait(timeout_s)
        for thread in self._threads:
            thread.join()
        return code

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.popen.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it whatever it does, and wait."""
        self.popen.kill()
        self.finish()
        for stream in (self.popen.stdout, self.popen.stderr):
            assert stream is not None
            stream.close()


class Daemon(Process):
    """`cortexcast serve` on a free port."""

    def __init__(self, *arguments: str | Path, cwd: Path | None = None) -> None:
        super().__init__("serve", "--port", "0", *arguments, cwd=cwd)
        self.url = ""
        """The WebSocket's."""

    def wait_until_serving(self) -> None:
        """Wait for the address."""
        self.url = self.wait_for(r"at (ws://\S+)").group(1)

    def wait_for_session(self) -> str:
        """Wait for the first session; gives its id."""
        return self.wait_for(r"^session (\S+):").group(1)

    def http(self, method: str, path: str, body: object = None, origin: str | None = None) -> tuple[int, Any]:
        """Status and JSON of a request; a browser would name the ``origin`` of the page that asks."""
        base = self.url.replace("ws://", "http://").removesuffix("/ws")
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | ({} if origin is None else {"Origin": origin})
        request = urllib.request.Request(base + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                text = response.read()
                return response.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())


@contextmanager
def running(*arguments: str | Path, cwd: Path | None = None) -> Iterator[Daemon]:
    """A daemon that serves, ended with the block."""
    daemon = Daemon(*arguments, cwd=cwd)
    try:
        daemon.wait_until_serving()
        yield daemon
    except BaseException as error:
        daemon.kill()
        error.add_note(f"the daemon's errors: {daemon.errors}")
        raise
    finally:
        daemon.kill()


@contextmanager
def replaying(folder: Path) -> Iterator[Daemon]:
    """A daemon started in this folder, which serves a simulated recording of 20 s in a loop."""
    file = simulate(folder / "simulated_raw.fif", duration_s=20.0)
    with running("--replay", file, "--loop", "--wait", "10", cwd=folder) as daemon:
        daemon.wait_for_session()
        yield daemon


def run(*arguments: str | Path, timeout_s: float = 60.0, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A `cortexcast` command run to its end."""
    return subprocess.run(
        [*CORTEXCAST, *map(str, arguments)], capture_output=True, text=True, timeout=timeout_s, cwd=cwd, check=False
    )

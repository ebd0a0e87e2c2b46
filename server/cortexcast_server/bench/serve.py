"""`cortexcast serve` in a process of its own, as a user starts it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from cortexcast_server.bench.peer import BenchError
from cortexcast_server.settings import Settings

_CORTEXCAST = (sys.executable, "-m", "cortexcast_client")
_STOP_S = 5.0
_IMPORT = "import time; begin = time.perf_counter(); import cortexcast_client; print(time.perf_counter() - begin)"


@dataclass(frozen=True)
class Serving:
    """A daemon that serves: its WebSocket's address and its process."""

    url: str
    process: psutil.Popen

    def wait_for_session(self) -> str:
        """The id of the first session, once it is open."""
        return _wait_for(self.process, r"^session (\S+):")

    def cpu_s(self) -> float:
        """Processor time used so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def rss_mib(self) -> float:
        """Memory that is resident now."""
        return float(self.process.memory_info().rss) / 2**20


@contextmanager
def serving(*arguments: str) -> Iterator[Serving]:
    """`cortexcast serve` on a free port, with nothing but these settings.

    Raises:
        BenchError: it ends before it serves; its own error is on standard error.
    """
    ours = {f"CORTEXCAST_{name.upper()}" for name in Settings.model_fields}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    with tempfile.TemporaryDirectory(prefix="cortexcast-bench-") as folder:
        process = psutil.Popen(
            [*_CORTEXCAST, "serve", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,  # where no cortexcast.toml is
            env=environment,
        )
        try:
            yield Serving(_wait_for(process, r"at (ws://\S+)"), process)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


def ready_s(model: str) -> float:
    """Seconds from the start of `cortexcast serve` to the first 200 of /readyz."""
    begin = time.monotonic()
    with serving("--idle", "--model", model) as daemon:
        url = daemon.url.replace("ws://", "http://").removesuffix("/ws") + "/readyz"
        with urllib.request.urlopen(url, timeout=_STOP_S):  # noqa: S310  (our own daemon's address)
            return time.monotonic() - begin


def import_s() -> float:
    """Seconds that ``import cortexcast_client`` takes in a fresh interpreter."""
    return float(subprocess.check_output([sys.executable, "-c", _IMPORT]))  # noqa: S603  (our own line of Python)


def _wait_for(process: psutil.Popen, pattern: str) -> str:
    """What the pattern's group matches, in the first line from here on that it is found in."""
    for line in process.stdout:
        if match := re.search(pattern, line):
            return match.group(1)
    raise BenchError("'cortexcast serve' ended early; its error is above")

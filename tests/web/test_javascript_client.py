"""The JavaScript client in Node, on a real daemon behind a network that fails."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from daemon import Daemon, running
from headset import streaming
from needed import node, npm_package
from proxy import Proxy

from cortexcast_client import Connection

SUBSCRIBER = Path(__file__).with_name("subscriber.mjs")
WAIT_S = 30.0


class Subscriber:
    """The client in a process of its own, and what it was handed."""

    def __init__(self, url: str, *products: str) -> None:
        npm_package("ws")
        self.process = subprocess.Popen(
            [node(), str(SUBSCRIBER), url, *products], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.records: list[dict[str, Any]] = []
        self._got = threading.Condition()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                with self._got:
                    self.records.append(json.loads(line))
                    self._got.notify()

    def of(self, kind: str, begin: int = 0) -> list[dict[str, Any]]:
        """Records of a type, from a place on."""
        return [record for record in self.records[begin:] if record["type"] == kind]

    def wait_for(self, kind: str, n: int = 1, begin: int = 0, **wanted: object) -> list[dict[str, Any]]:
        """Wait for so many records of a type that hold what is wanted."""

        def found() -> list[dict[str, Any]]:
            return [each for each in self.of(kind, begin) if wanted.items() <= each.items()]

        with self._got:
            assert self._got.wait_for(lambda: len(found()) >= n, WAIT_S), self.records[-3:]
        return found()

    def ask(self, *products: str) -> None:
        """Subscribe to others."""
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(products) + "\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """Close the client: the process ends by itself, since nothing is left that would keep it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            assert self.process.wait(WAIT_S) == 0
        finally:
            self.process.kill()
            self._thread.join()


@contextmanager
def subscribed(url: str, *products: str) -> Iterator[Subscriber]:
    subscriber = Subscriber(url, *products)
    try:
        yield subscriber
    finally:
        subscriber.end()


@pytest.fixture
def daemon(small: Path, tmp_path: Path) -> Iterator[Daemon]:
    with streaming(), running("--model", small, "--wait", "20", cwd=tmp_path) as daemon:
        daemon.wait_for_session()
        yield daemon


def test_it_gets_what_the_python_client_gets(daemon: Daemon) -> None:
    with subscribed(daemon.url, "eeg", "meg") as there, Connection(daemon.url, ["eeg", "meg"]) as here:
        there.wait_for("frame", 1)
        digests = {}
        for frame in here:
            digests[frame.product, frame.sequence] = sha256(frame.data.tobytes()).hexdigest()
            if len(digests) == 50:
                break
        last = max(sequence for _, sequence in digests)
        there.wait_for("frame", 2, sequence=last + 1)
        got = {(each["product"], each["sequence"]): each["digest"] for each in there.of("frame")}
        assert digests.items() <= got.items()
        assert {each["session"] for each in there.of("status")} == {each["session"] for each in there.of("frame")}


def test_who_was_away_for_5_s_has_every_frame(daemon: Daemon) -> None:
    with Proxy(daemon.url) as proxy, subscribed(proxy.url, "meg") as away, subscribed(daemon.url, "meg") as stayed:
        away.wait_for("frame", 10)
        proxy.cut()
        away.wait_for("state", state="waiting")
        begin = len(stayed.records)
        stayed.wait_for("frame", 5 * 25, begin)
        proxy.mend()
        last = stayed.of("frame")[-1]["sequence"] + 25
        away.wait_for("frame", sequence=last)
        frames = away.of("frame")
        assert [each["sequence"] for each in frames] == list(range(frames[0]["sequence"], frames[-1]["sequence"] + 1))
        assert frames[-1]["dropped"] == 0
        states = [each["state"] for each in away.of("state")]
        assert states[:2] == ["connecting", "open"]
        assert states[-2:] == ["connecting", "open"]


def test_a_connection_that_goes_silent_is_made_anew(daemon: Daemon) -> None:
    """Both ends believe that it is there: only the clock tells."""
    with Proxy(daemon.url) as proxy, subscribed(proxy.url, "meg") as away:
        away.wait_for("frame", 10)
        proxy.freeze()
        away.wait_for("state", state="waiting", reason="the daemon went silent")
        begin = len(away.records)
        proxy.thaw()
        away.wait_for("frame", 10, begin)


def test_it_can_ask_for_other_products_and_for_none(daemon: Daemon) -> None:
    with subscribed(daemon.url, "eeg") as subscriber:
        subscriber.wait_for("frame", 5, product="eeg")
        subscriber.ask("meg")
        subscriber.wait_for("frame", 5, product="meg")
        begin = len(subscriber.records)
        subscriber.wait_for("frame", 10, begin)
        assert {each["product"] for each in subscriber.of("frame", begin)} == {"meg"}
        subscriber.ask()
        begin = len(subscriber.records)
        subscriber.ask("eeg")
        after = subscriber.wait_for("frame", 5, begin, product="eeg")
        # What was not wanted is not missed.
        assert after[0]["sequence"] > subscriber.of("frame")[-1]["sequence"] - 100
        assert after[-1]["dropped"] == 0
        subscriber.ask("gravity")
        (error,) = subscriber.wait_for("error")
        assert error["code"] == "unknown_product"
        assert "'gravity'" in error["message"]


def test_it_waits_for_a_daemon_that_comes_back(daemon: Daemon, small: Path, tmp_path: Path) -> None:
    port = daemon.url.removesuffix("/ws").rsplit(":", 1)[1]
    with subscribed(daemon.url, "eeg") as subscriber:
        subscriber.wait_for("frame", 5)
        daemon.interrupt()
        assert daemon.finish() == 0
        subscriber.wait_for("state", state="waiting", reason="the daemon was stopped")
        begin = len(subscriber.records)
        with running("--port", port, "--model", small, "--wait", "20", cwd=tmp_path):
            assert subscriber.wait_for("frame", 5, begin)[0]["session"] != subscriber.of("frame")[0]["session"]

"""A real daemon behind a network that fails: what a client gets again, and what it is told that it lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from daemon import running
from headset import streaming
from proxy import Proxy

from cortexcast_client import Connection, Frame
from cortexcast_client.wire import encode

PRODUCTS = ("eeg", "meg")
FRAMES_A_SECOND = 25 * len(PRODUCTS)

Failure = Literal["cut", "frozen"]
"""The connection is gone, or nothing is carried for a while and both ends believe that it is there: a laptop sleeps."""


class Reader(threading.Thread):
    """Reads frames until one whose time is past ``until``."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.frames: list[Frame] = []
        self.until = float("inf")
        self._got = threading.Condition()
        self._url = url
        self.start()

    def run(self) -> None:
        with Connection(self._url, PRODUCTS) as connection:
            for frame in connection:
                with self._got:
                    self.frames.append(frame)
                    self._got.notify()
                if frame.t0 > self.until:
                    return

    def wait_for(self, n_more: int) -> None:
        """Wait until so many frames more have come."""
        n_frames = len(self.frames) + n_more
        with self._got:
            assert self._got.wait_for(lambda: len(self.frames) >= n_frames, timeout=20)

    def of(self, product: str) -> list[Frame]:
        """What came of a product."""
        return [frame for frame in self.frames if frame.product == product]


@contextmanager
def away(folder: Path, failure: Failure, seconds: int, settings: str = "") -> Iterator[tuple[Reader, Reader]]:
    """A client that stayed, and one that left, which heard nothing for so many seconds and everything for one more."""
    (folder / "cortexcast.toml").write_text(settings)
    with (
        streaming(),
        running("--model", folder / "small", "--wait", "20", cwd=folder) as daemon,
        Proxy(daemon.url) as proxy,
    ):
        daemon.wait_for_session()
        stayed, left = Reader(daemon.url), Reader(proxy.url)
        left.wait_for(FRAMES_A_SECOND)
        stayed.wait_for(1)
        fail, mend = (proxy.cut, proxy.mend) if failure == "cut" else (proxy.freeze, proxy.thaw)
        fail()
        heard = len(left.frames)
        stayed.wait_for(seconds * FRAMES_A_SECOND)
        assert len(left.frames) < heard + FRAMES_A_SECOND // 2  # no more than was in the air
        mend()
        stayed.until = left.until = stayed.frames[-1].t0 + 1.0
        for reader in (stayed, left):
            reader.join(20)
            assert not reader.is_alive()
        yield stayed, left


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("failure", "settings"), [("cut", ""), ("frozen", "outbox_s = 8.0")])
def test_who_was_away_for_5_s_has_every_frame_of_who_stayed(tmp_path: Path, failure: Failure, settings: str) -> None:
    with away(tmp_path, failure, 5, settings) as (stayed, left):
        for product in PRODUCTS:
            frames, there = left.of(product), {frame.sequence: frame for frame in stayed.of(product)}
            first = frames[0].sequence
            assert [frame.sequence for frame in frames] == list(range(first, first + len(frames)))
            assert frames[-1].dropped == 0
            both = [frame for frame in frames if frame.sequence in there]
            assert len(both) >= 5 * FRAMES_A_SECOND // len(PRODUCTS)
            assert all(encode(frame, 0) == encode(there[frame.sequence], 0) for frame in both)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("failure", ["cut", "frozen"])
def test_who_was_away_for_longer_than_is_kept_is_told_exactly_what_is_lost(tmp_path: Path, failure: Failure) -> None:
    with away(tmp_path, failure, 4, "history_s = 2.0\noutbox_s = 1.0\nack_window_s = 1.0") as (_, left):
        for product in PRODUCTS:
            frames = left.of(product)
            sequences = [frame.sequence for frame in frames]
            lost = sequences[-1] - sequences[0] + 1 - len(sequences)
            assert lost > 0
            assert sequences == sorted(set(sequences))
            assert frames[-1].dropped == lost

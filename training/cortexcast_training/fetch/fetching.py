"""A data set into a folder: several files at a time, none that is there already and whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TypeVar

from cortexcast_training.fetch.bucket import Bucket
from cortexcast_training.fetch.catalogue import (
    DATASETS,
    EMPTY_ROOM,
    FetchError,
    RemoteFile,
    Wanted,
    wanted_files,
    without_other_days,
)
from cortexcast_training.fetch.ledger import Entry, Ledger
from cortexcast_training.fetch.transfer import checksums_of, partial_of, transfer

N_CONNECTIONS = 8

_PATIENCE_S = 2.0
"""With files under way, where they are to end early."""

Done = TypeVar("Done")


def planned(name: str, wanted: Wanted, bucket: Bucket) -> list[RemoteFile]:
    """The files to fetch, by what the bucket has.

    Raises:
        FetchError: they cannot be listed, or what is wanted is not there.
    """
    dataset = DATASETS[name]
    files = wanted_files(dataset, bucket.files(dataset), wanted)
    scans = [file for file in files if file.path.endswith("_scans.tsv") and EMPTY_ROOM not in file.path]
    return without_other_days(files, [bucket.text(file) for file in scans]) if scans else files


def missing(name: str, files: Sequence[RemoteFile], folder: Path, say: Callable[[int], None]) -> list[RemoteFile]:
    """Those that are not there, or with another content than when they were fetched, or than the bucket has now.

    Files that came by other ways are not fetched again where their MD5 is the bucket's.

    Args:
        name: the data set's.
        files: planned.
        folder: of the data set.
        say: hears how many bytes were looked at.
    """
    ledger = Ledger(folder)

    def is_missing(file: RemoteFile, stopping: Event) -> bool:
        target = folder / file.path
        if not target.is_file() or target.stat().st_size != file.size:
            return True
        sha256, md5 = checksums_of(target, stopping)
        entry = ledger.get(file.path)
        if entry is not None and entry.sha256:
            return entry.etag != file.etag or entry.sha256 != sha256
        if md5 == file.etag:
            ledger.add(Entry(name, file.path, file.size, file.etag, sha256))
        return md5 != file.etag

    lacking = set()
    with closing(_each(is_missing, files)) as answers:
        for file, answer in answers:
            if answer.result():
                lacking.add(file.path)
            say(file.size)
    return [file for file in files if file.path in lacking]


def remaining_bytes(files: Sequence[RemoteFile], folder: Path) -> int:
    """What is still to come, without the parts that are there."""
    there = (partial_of(folder / file.path, file) for file in files)
    return sum(file.size for file in files) - sum(part.stat().st_size for part in there if part.exists())


def fetch(
    name: str, files: Sequence[RemoteFile], folder: Path, bucket: Bucket, say: Callable[[int], None]
) -> list[str]:
    """Fetch these files; gives what was wrong with each that could not be had.

    Whatever ends it, what came is there, and the next time it goes on from there.

    Args:
        name: the data set's.
        files: missing.
        folder: of the data set; it is made.
        bucket: has them.
        say: hears how many bytes came.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(folder)
    for file in files:
        ledger.add(Entry(name, file.path, file.size, file.etag, sha256=""))

    def fetch_one(file: RemoteFile, stopping: Event) -> None:
        sha256 = transfer(bucket, file, folder, stopping, say)
        ledger.add(Entry(name, file.path, file.size, file.etag, sha256))

    failures = []
    with closing(_each(fetch_one, files)) as answers:
        for _, answer in answers:
            try:
                answer.result()
            except FetchError as error:
                failures.append(str(error))
    return failures


def _each(
    work: Callable[[RemoteFile, Event], Done], files: Sequence[RemoteFile]
) -> Generator[tuple[RemoteFile, Future[Done]]]:
    """Do it for each file, several at a time, as they end; whoever ends this early ends those under way."""
    waiting: SimpleQueue[RemoteFile] = SimpleQueue()
    ended: SimpleQueue[tuple[RemoteFile, Future[Done]]] = SimpleQueue()
    stopping = Event()
    for file in files:
        waiting.put(file)

    def run() -> None:
        while not stopping.is_set():
            try:
                file = waiting.get_nowait()
            except Empty:
                return
            answer: Future[Done] = Future()
            try:
                answer.set_result(work(file, stopping))
            except Exception as error:
                answer.set_exception(error)
            ended.put((file, answer))

    # Not an executor's: one that waits for a silent server must not keep the whole command from ending.
    threads = [Thread(target=run, daemon=True) for _ in range(min(N_CONNECTIONS, len(files)))]
    for thread in threads:
        thread.start()
    try:
        for _ in files:
            yield ended.get()
    finally:
        stopping.set()
        deadline = time.monotonic() + _PATIENCE_S
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

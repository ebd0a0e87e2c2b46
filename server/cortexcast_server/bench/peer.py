"""The far ends of what is measured: processes of their own, a pipe to each."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

_ANSWER_S = 30.0
_END_S = 2.0


class BenchError(Exception):
    """The measurement itself failed: what it says would not be a number of this machine."""


@contextmanager
def peer(target: Callable[..., None], *args: Any) -> Iterator[Connection]:
    """Run ``target(pipe, *args)`` in a fresh process; gives our end of the pipe. The process ends with the block."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(target, theirs, args), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join(_END_S)
        process.kill()
        process.join()


def answer(pipe: Connection, timeout_s: float = _ANSWER_S) -> Any:
    """What the peer says next.

    Raises:
        BenchError: it failed, which is its own error, or says nothing in time.
    """
    if not pipe.poll(timeout_s):
        raise BenchError(f"a process of the benchmark says nothing for {timeout_s:.0f} s: is this machine too busy?")
    try:
        said = pipe.recv()
    except EOFError:
        raise BenchError("a process of the benchmark ended early; its error is above") from None
    if isinstance(said, BenchError):
        raise said
    return said


def wait_for_end(pipe: Connection) -> None:
    """Stay, on the peer's side, until the other closes the pipe."""
    pipe.poll(None)


def _run(target: Callable[..., None], pipe: Connection, args: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then closes the pipe
    with suppress(EOFError, ConnectionError):  # the parent is gone, and with it the reason to measure
        try:
            target(pipe, *args)
        except BenchError as error:
            pipe.send(error)

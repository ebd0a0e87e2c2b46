"""Work that processes share: one on each core of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError

CONNECT_S = 10.0
"""How long a scheduler is waited for."""

Done = TypeVar("Done")


class WorkerError(Exception):
    """Work cannot be shared, or a process that did some of it was killed. The message says what to do."""


@dataclass(frozen=True)
class Workers:
    """Who does the work.

    Attributes:
        n: processes on this machine; 0 is one on each core.
        cluster: address of a Dask scheduler, such as ``tcp://head:8786``, whose workers do it instead. They must see
            the same files under the same paths, and have cortexcast installed.
    """

    n: int = 0
    cluster: str = ""


def in_parallel(
    work: Callable[..., Done], arguments: Sequence[tuple[object, ...]], workers: Workers | None = None
) -> Iterator[Done]:
    """Do all of it, and give what comes of each, in any order; a failure ends it.

    The processes of this machine stay for the next time: what they imported and computed beforehand is there.

    Raises:
        WorkerError: memory does not suffice, or the cluster cannot be reached.
    """
    if not arguments:
        return
    workers = workers or Workers()
    n = workers.n or len(os.sched_getaffinity(0))
    with ExitStack() as stack:
        if workers.cluster:
            stack.enter_context(_client(workers.cluster))
            stack.enter_context(parallel_config("dask", n_jobs=-1))
        else:
            # A process whose memory has grown is replaced. That is told by a thread, which a warning that is made an
            # error would end, and all would wait for it.
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor")
            # One thread each: where every core has a process of its own, more of them get in each other's way.
            stack.enter_context(parallel_config("loky", n_jobs=n, inner_max_num_threads=1))
        parallel = Parallel(return_as="generator_unordered", batch_size=1)
        try:
            # Processes that stayed are where this one was when they began.
            place = None if workers.cluster else Path.cwd()
            yield from parallel(delayed(_work)(place, work, each) for each in arguments)
        except TerminatedWorkerError:
            raise WorkerError(
                "a process was killed, probably for lack of memory: use shorter recordings, or fewer than "
                f"{n} processes (--workers, taskset)"
            ) from None


def _work(place: Path | None, work: Callable[..., Done], arguments: tuple[object, ...]) -> Done:
    if place is not None:
        os.chdir(place)
    return work(*arguments)


def _client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise WorkerError("a cluster needs Dask: pip install 'cortexcast[training,cluster]'") from None
    try:
        return Client(address, timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        raise WorkerError(
            f"there is no Dask scheduler at {address} ({error}): start one with 'dask scheduler', and workers with "
            f"'dask worker {address}'"
        ) from None

"""Work that processes share: one on each core of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from joblib import Parallel, cpu_count, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError
from threadpoolctl import threadpool_limits

CONNECT_S = 10.0
"""How long a scheduler is waited for, and then the first of its workers."""

Done = TypeVar("Done")


class WorkerError(Exception):
    """Work cannot be shared, or a process that did some of it was killed. The message says what to do."""


@dataclass(frozen=True)
class Workers:
    """Who does the work.

    Attributes:
        n: processes on this machine; 0 is one on each core that this process may use.
        cluster: address of a Dask scheduler, such as ``tcp://head:8786``, whose workers do it instead. They must see
            the same files under the same absolute paths, and have cortexcast installed.
    """

    n: int = 0
    cluster: str = ""


def in_parallel(
    work: Callable[..., Done], arguments: Sequence[tuple[object, ...]], workers: Workers | None = None
) -> Iterator[Done]:
    """Do all of it, and give what comes of each, in any order; a failure ends it.

    The processes of this machine stay for the next time: what they imported and computed beforehand is there.

    Raises:
        WorkerError: a process was killed, or the cluster cannot be reached, has no workers, or is gone.
    """
    workers = workers or Workers()
    if not arguments:
        return iter(())
    if workers.cluster:
        return _on_cluster(work, arguments, workers.cluster)
    return _on_this_machine(work, arguments, workers.n or cpu_count())


def _on_this_machine(work: Callable[..., Done], arguments: Sequence[tuple[object, ...]], n: int) -> Iterator[Done]:
    # A process whose memory has grown is replaced. That is told by a thread, which a warning that is made an error
    # would end, and all would wait for it. The thread outlives this call, and so must the filter.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor")
    parallel = Parallel(n_jobs=n, backend="loky", return_as="generator_unordered", batch_size=1)
    # Processes that stayed are where this one was when they began.
    place = Path.cwd()
    try:
        yield from parallel(delayed(_work)(place, work, each) for each in arguments)
    except TerminatedWorkerError:
        raise WorkerError(
            "a process was killed, probably for lack of memory: use shorter recordings, or fewer than "
            f"{n} processes, by --workers or, where a command has no such option, by taskset"
        ) from None


def _work(place: Path, work: Callable[..., Done], arguments: tuple[object, ...]) -> Done:
    os.chdir(place)
    # Where every core has a process of its own, more threads get in each other's way.
    with threadpool_limits(1):
        return work(*arguments)


def _on_cluster(work: Callable[..., Done], arguments: Sequence[tuple[object, ...]], address: str) -> Iterator[Done]:
    # By Dask itself: joblib's backend for it waits for ever for what a worker that died had begun.
    try:
        from distributed import KilledWorker, as_completed
    except ImportError:
        raise WorkerError("a cluster needs Dask: pip install 'cortexcast[training,cluster]'") from None
    # Whoever stops asking closes the client, and the scheduler drops what nobody waits for.
    with _client(address) as client:
        try:
            # No future is kept once it is done: what a worker had done before it died is not done again.
            for future in as_completed([client.submit(work, *each, pure=False) for each in arguments]):
                yield future.result()
        except KilledWorker:
            raise WorkerError(
                "worker after worker died of the same piece of work, probably for lack of memory: use shorter "
                f"recordings, or give each more by 'dask worker {address} --nthreads 1 --memory-limit SIZE'"
            ) from None
        except CancelledError:
            raise WorkerError(
                f"the Dask scheduler at {address} is gone: start it and its workers again, then give this command "
                "again, which takes up what is done"
            ) from None


def _client(address: str) -> Any:
    from distributed import Client

    # One thread each: the work has a process of its own on one machine too.
    start_workers = f"'dask worker {address} --nthreads 1', one for each core"
    try:
        client = Client(address, timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        raise WorkerError(
            f"there is no Dask scheduler at {address} ({error}): start one with 'dask scheduler', and workers with "
            f"{start_workers}"
        ) from None
    try:
        client.wait_for_workers(1, timeout=CONNECT_S)
    except TimeoutError:
        client.close()
        raise WorkerError(f"the Dask scheduler at {address} has no workers: start them with {start_workers}") from None
    return client

"""The processes that train together: one, or as many as ``torchrun`` starts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

_PATIENCE = timedelta(days=1)
"""While the first process prepares the data, the others wait."""


class ProcessError(Exception):
    """This process cannot train with the others. The message says why and what to do."""


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: its number; 0 is the one that writes files.
        n: how many there are, of which
        n_here: run on this machine.
        device: its own.
    """

    rank: int
    n: int
    n_here: int
    device: torch.device

    def wait(self) -> None:
        """For all to come here.

        Raises:
            ProcessError: another one has ended.
        """
        if self.n > 1:
            with _together():
                distributed.barrier()

    def sums(self, values: Sequence[float]) -> list[float]:
        """Of each of these values over all processes.

        Raises:
            ProcessError: another one has ended.
        """
        if self.n == 1:
            return list(values)
        totals = torch.tensor(values, dtype=torch.float64, device=self.device)
        with _together():
            distributed.all_reduce(totals)
        return [float(total) for total in totals]


@contextmanager
def processes() -> Iterator[Processes]:
    """Join the others. ``torchrun`` sets the environment; inside another ``processes()`` it is the same.

    Raises:
        ProcessError: there are more processes than GPUs.
    """
    n, n_here = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    device = torch.device("cpu")
    if n_gpus := torch.cuda.device_count():
        if n_here > n_gpus:
            raise ProcessError(f"{n_here} processes for {n_gpus} GPUs: give torchrun --nproc-per-node={n_gpus}")
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    if n == 1:
        yield Processes(0, 1, 1, device)
    elif distributed.is_initialized():
        yield Processes(distributed.get_rank(), n, n_here, device)
    else:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
        try:
            yield Processes(distributed.get_rank(), n, n_here, device)
        finally:
            distributed.destroy_process_group()


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError:  # torch's, of a connection that another process closed
        raise ProcessError("another of the processes that train together has ended: its own message says why") from None


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Compute with so many threads in this process, and afterwards with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)

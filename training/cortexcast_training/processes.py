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


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: its number; 0 is the one that writes files.
        n: how many there are.
        device: its own.
    """

    rank: int
    n: int
    device: torch.device

    def wait(self) -> None:
        """For all to come here."""
        if self.n > 1:
            distributed.barrier()

    def sums(self, values: Sequence[float]) -> list[float]:
        """Of each of these values over all processes."""
        if self.n == 1:
            return list(values)
        totals = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(totals)
        return [float(total) for total in totals]


@contextmanager
def processes() -> Iterator[Processes]:
    """Join the others. ``torchrun`` sets the environment; inside another ``processes()`` it is the same."""
    n = int(os.environ.get("WORLD_SIZE", "1"))
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    else:
        device = torch.device("cpu")
    if n == 1:
        yield Processes(0, 1, device)
    elif distributed.is_initialized():
        yield Processes(distributed.get_rank(), n, device)
    else:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
        try:
            yield Processes(distributed.get_rank(), n, device)
        finally:
            distributed.destroy_process_group()


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Compute with so many threads in this process, and afterwards with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)

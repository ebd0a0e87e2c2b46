"""Processes that train leave what is about them as it was."""

from __future__ import annotations

import pytest
import torch

from cortexcast_training.processes import threads


def fail_with_threads(n: int) -> None:
    with threads(n):
        raise RuntimeError(f"with {torch.get_num_threads()} threads")


def test_afterwards_there_are_as_many_threads_as_before() -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match=f"with {before + 1} threads"):
        fail_with_threads(before + 1)
    assert torch.get_num_threads() == before

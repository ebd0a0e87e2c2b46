"""Processes that train leave what is about them as it was."""

from __future__ import annotations

import pytest
import torch

from cortexcast_training.processes import threads


def test_afterwards_there_are_as_many_threads_as_before() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), threads(before + 1):
        assert torch.get_num_threads() == before + 1
        _ = 1 / 0
    assert torch.get_num_threads() == before

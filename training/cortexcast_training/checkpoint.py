"""Files of tensors: written as a whole or not at all, read with a clear error."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

_FORMAT = 4
"""Of what is in the files: a number that changes where older ones can no longer be used."""


class CheckpointError(Exception):
    """A file of tensors is missing or damaged, or cannot be written. The message says which and what to do."""


def pack_state(state: Mapping[str, Any]) -> bytes:
    """What ``save_state`` writes."""
    buffer = io.BytesIO()
    torch.save({**state, "format": _FORMAT}, buffer)
    return buffer.getvalue()


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values by name. A full disk leaves an older file as it is.

    Raises:
        CheckpointError: it cannot be written.
    """
    fresh = path.with_suffix(".new")
    try:
        fresh.write_bytes(pack_state(state))
        fresh.replace(path)
    except (OSError, RuntimeError) as error:
        fresh.unlink(missing_ok=True)
        raise CheckpointError(f"{path} cannot be written ({error}): is the disk full?") from None


def load_state(path: Path) -> dict[str, Any]:
    """Read what ``save_state`` wrote.

    Raises:
        CheckpointError: there is no such file, or it is damaged, or of another version.
    """
    if not path.exists():
        raise CheckpointError(f"{path} does not exist: train a model there first")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of zipfile, pickle or torch, with no common root
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path} is damaged ({first_line}): remove it and train anew") from None
    if state.pop("format", None) != _FORMAT:
        raise CheckpointError(f"{path} is of another version of cortexcast: remove it and train anew")
    return state

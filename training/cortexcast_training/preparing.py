"""What preparing has in common, whatever is prepared: the folder it goes to, and what is told of a failure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from cortexcast_training.simulated_dataset import DESCRIPTION, description, write_json
from cortexcast_training.whole_files import remove_abandoned

COMMAND = "cortexcast data prepare"

Said = Mapping[str, JsonValue]


class FolderError(Exception):
    """A folder cannot take what is prepared. The message says why and what to do."""


def claim(out: Path, file: str, said: Said, what: str) -> None:
    """Say in a folder what is prepared there and how, so that everything in it is alike.

    What commands left there that were killed is removed.

    Args:
        out: the folder; it is made.
        file: of that name says it, which no other folder has.
        said: what must not differ.
        what: is prepared, for people.

    Raises:
        FolderError: there is something else in the folder, or it was said otherwise. Nothing there is changed then.
    """
    if out.exists() and not out.is_dir():
        raise FolderError(f"{out} is no folder: give another one")
    # Looked for before what is said, which another command writes before anything else.
    is_used = out.exists() and any(not path.name.startswith(".") for path in out.iterdir())
    was = said_in(out / file)
    if was is None and is_used:
        raise FolderError(f"{out} holds something else than {what}: give another folder")
    if was is not None and (differs := difference(was, said)):
        raise FolderError(f"{out} was prepared otherwise ({differs}): give another folder, or remove it")
    out.mkdir(parents=True, exist_ok=True)
    if was is None:
        write_json(out / file, dict(said))
    if not (out / DESCRIPTION).exists():
        write_json(out / DESCRIPTION, description(what, "derivative", COMMAND))
    remove_abandoned(out)


def said_in(path: Path) -> dict[str, JsonValue] | None:
    """What the file of a claimed folder says; None where there is none, or it is something else."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) else None


def difference(was: Said, wanted: Said) -> str:
    """What was said otherwise than it is wanted, such as ``hop was 8``; empty where nothing was."""
    before, now = dict(_leaves(was)), dict(_leaves(wanted))
    names = [name for name in {**now, **before} if before.get(name) != now.get(name)]
    return ", ".join(f"{name} was {json.dumps(before.get(name))}" for name in names)


def dataset_name(dataset: Path) -> str:
    """By which a data set is known wherever it lies: its folder's name, and what its description calls it."""
    try:
        called = json.loads((dataset / DESCRIPTION).read_text(encoding="utf-8")).get("Name")
    except (OSError, ValueError, AttributeError):
        called = None
    folder = dataset.resolve().name
    return f"{folder}: {called}" if called else folder


def reason(error: Exception) -> str:
    """Why something could not be prepared, in a line."""
    if isinstance(error, OSError) or type(error).__module__.startswith("cortexcast_"):
        return str(error)
    return f"{type(error).__name__}: {error}. This is a defect of cortexcast: please report it"


def _leaves(said: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in said.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value

"""A BIDS data set of simulated subjects that grows by whole subjects, with the truth beside each.

OUT/dataset_description.json, participants.tsv, README, sub-01/...
OUT/derivatives/truth/dataset_description.json, sub-01/...
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cortexcast_training.whole_files import replacing

TRUTH = Path("derivatives", "truth")
DESCRIPTION = "dataset_description.json"


class DatasetError(Exception):
    """A data set cannot be written there. The message says why and what to do."""


class SimulatedDataset:
    """A folder of simulated subjects.

    Args:
        folder: where; it is made.
        what: was simulated, such as ``EEG and MEG``.
        command: that writes it.
        readme: what whoever finds the folder reads first.

    Raises:
        DatasetError: there is something in it already.
    """

    def __init__(self, folder: Path, what: str, command: str, readme: str) -> None:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DatasetError(f"{folder} exists and is not empty: choose another folder, or delete it")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._subjects: list[str] = []
        write_json(folder / DESCRIPTION, description(f"simulated {what}", "raw", command))
        (folder / "README").write_text(readme, encoding="utf-8")
        (folder / TRUTH).mkdir(parents=True)
        write_json(folder / TRUTH / DESCRIPTION, description(f"truth of simulated {what}", "derivative", command))

    @contextmanager
    def new_subject(self, subject: str) -> Iterator[tuple[Path, Path]]:
        """Folders to write a subject into, such as ``sub-01``; it is in the data set as a whole or not at all.

        Gives the folder of what was recorded, and that of the truth.
        """
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=self.folder) as scratch:
            raw, truth = Path(scratch, "raw"), Path(scratch, "truth")
            raw.mkdir()
            truth.mkdir()
            yield raw, truth
            # The truth first: where there is a recording, there is its truth.
            truth.rename(self.folder / TRUTH / subject)
            try:
                raw.rename(self.folder / subject)
            except BaseException:
                shutil.rmtree(self.folder / TRUTH / subject)
                raise
        self._subjects.append(subject)
        write_table(self.folder / "participants.tsv", ["participant_id"], [[name] for name in self._subjects])


def truth_of(recording: Path) -> Path | None:
    """The file of the noise-free MEG of a recording of EEG and MEG; None where it was not simulated."""
    name = recording.name.replace("_meg.fif", "_brain.npy")
    places = (root / TRUTH / name.split("_")[0] / name for root in recording.absolute().parents)
    return next((place for place in places if place.is_file()), None)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write tab-separated values, as a whole or not at all."""
    lines = ["\t".join(map(str, row)) for row in (columns, *rows)]
    _replace(path, "\n".join(lines) + "\n")


def write_json(path: Path, fields: dict[str, Any]) -> None:
    """Likewise, JSON."""
    _replace(path, json.dumps(fields, indent=2) + "\n")


def description(name: str, kind: str, command: str) -> dict[str, Any]:
    """What BIDS wants to know of a data set of this name and kind that a command wrote."""
    return {
        "Name": name,
        "BIDSVersion": "1.10.0",
        "DatasetType": kind,
        "GeneratedBy": [{"Name": command, "Version": version("cortexcast")}],
    }


def _replace(path: Path, text: str) -> None:
    with replacing(path) as fresh:
        fresh.write_text(text, encoding="utf-8")

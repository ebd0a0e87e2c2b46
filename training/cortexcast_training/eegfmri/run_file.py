"""Runs in files, one NumPy ``.npz`` each: what training and evaluation read, whoever prepared it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cortexcast_training.eegfmri.bands import BANDS
from cortexcast_training.eegfmri.parcels import parcels
from cortexcast_training.eegfmri.runs import Run, RunError
from cortexcast_training.eegfmri.simulator import ELECTRODES
from cortexcast_training.eegfmri.stimulus import Stimulus
from cortexcast_training.whole_files import replacing

SUFFIX = ".run.npz"

_Arrays = dict[str, NDArray[Any]]

_NAMES = ("subject", "film", "take", "late_s", "simulated")
_REQUIRED = ("power", "bold", "hops")
_KNOWN_OF_SOME = ("visible", "displacement")
_OF_STIMULUS = ("embedding", "labels", "places", "shown")


def run_path(folder: Path, name: str) -> Path:
    """Where the run of this name lies in a folder of them."""
    return folder / f"{name}{SUFFIX}"


def write_run(folder: Path, run: Run) -> Path:
    """Write a run into a folder of them, as a whole or not at all.

    Raises:
        RunError: it cannot be written.
    """
    arrays = {name: getattr(run, name) for name in _REQUIRED}
    arrays |= {name: array for name in _KNOWN_OF_SOME if (array := getattr(run, name)) is not None}
    if run.stimulus is not None:
        arrays |= {name: np.asarray(getattr(run.stimulus, name)) for name in _OF_STIMULUS}
    if run.events:
        hops, names = zip(*run.events, strict=True)
        arrays |= {"event_hops": np.array(hops), "event_names": np.array(names)}
    path = run_path(folder, run.name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as fresh:
            np.savez(fresh, **{name: getattr(run, name) for name in _NAMES}, **arrays)
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error.strerror}): is the disk full?") from None
    return path


def read_run(path: Path) -> Run:
    """Read a run.

    Raises:
        RunError: there is none, or it is damaged, or of other electrodes, bands or parcels than models have.
    """
    try:
        # Opened here: NumPy leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            given = {name: arrays[name] for name in arrays.files}
        run = Run(
            subject=str(given["subject"]),
            film=str(given["film"]),
            power=given["power"],
            bold=given["bold"],
            hops=given["hops"],
            stimulus=_stimulus(given) if "embedding" in given else None,
            take=str(given["take"]),
            late_s=float(given["late_s"]),
            simulated=bool(given["simulated"]),
            events=_events(given) if "event_hops" in given else (),
            **{name: given[name] for name in _KNOWN_OF_SOME if name in given},
        )
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} is no run, or damaged ({error}): prepare it anew") from None
    n_volumes = len(run.hops)
    shapes = {
        "power": (run.power.shape[1:], (len(ELECTRODES), len(BANDS))),
        "bold": (run.bold.shape, (len(parcels().names), n_volumes)),
    }
    for name, (found, wanted) in shapes.items():
        if found != wanted:
            raise RunError(f"{path}: '{name}' is {found}, models have {wanted}: prepare it anew")
    if n_volumes < 2 or not np.isfinite(run.power).all():
        raise RunError(f"{path} has gaps in its EEG, or fewer than two volumes: prepare it anew")
    if run.displacement is not None and run.displacement.shape != run.hops.shape:
        raise RunError(f"{path} has {len(run.displacement)} displacements and {n_volumes} volumes: prepare it anew")
    return run


def read_runs(folder: Path) -> list[Run]:
    """All runs of a folder, by name.

    Raises:
        RunError: there is none, one of them cannot be read, or two are of the same run.
    """
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not paths:
        raise RunError(f"{folder} has no *{SUFFIX}")
    runs = [read_run(path) for path in paths]
    first: dict[str, Path] = {}
    for path, run in zip(paths, runs, strict=True):
        if run.name in first:
            raise RunError(f"{first[run.name]} and {path} are both of {run.name}: remove one")
        first[run.name] = path
    return runs


def _events(given: _Arrays) -> tuple[tuple[int, str], ...]:
    return tuple((int(hop), str(name)) for hop, name in zip(given["event_hops"], given["event_names"], strict=True))


def _stimulus(given: _Arrays) -> Stimulus:
    embedding, labels, places, shown = (given[name] for name in _OF_STIMULUS)
    return Stimulus(
        embedding.astype(np.float32), tuple(map(str, labels)), places.astype(np.float32), shown.astype(np.int64)
    )

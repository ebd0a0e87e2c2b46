"""What is seen in a film, volume by volume: points in a semantic space, which any encoder of images may have made.

The file is NumPy's ``.npz`` with ``embedding (n_volumes, n_dimensions)`` and, where places of the space have names,
``labels (n_labels,)`` with ``places (n_labels, n_dimensions)``; ``shown (n_volumes,)`` may say which is seen, as its
number, -1 for none.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

Singles = NDArray[np.float32]


class StimulusError(Exception):
    """A file of a stimulus cannot be used. The message says why and what to do."""


@dataclass(frozen=True)
class Stimulus:
    """What is seen in one film.

    Attributes:
        embedding: ``(n_volumes, n_dimensions)``, while each volume is taken.
        labels: ``n_labels`` names; none where nothing of the space has a name.
        places: ``(n_labels, n_dimensions)``, where each label lies.
        shown: ``(n_volumes,)``, number of the label that is seen, -1 where it is none of them.
    """

    embedding: Singles
    labels: tuple[str, ...]
    places: Singles
    shown: NDArray[np.int64]


def write_stimulus(path: Path, stimulus: Stimulus) -> None:
    """Write it as an ``.npz``."""
    np.savez(
        path,
        embedding=stimulus.embedding,
        labels=np.array(stimulus.labels, np.str_),
        places=stimulus.places,
        shown=stimulus.shown,
    )


def read_stimulus(path: Path) -> Stimulus:
    """Read it from an ``.npz``.

    Raises:
        StimulusError: no such file, no ``.npz``, no embedding, or shapes and numbers that cannot be.
    """
    try:
        # Opened here: NumPy leaves a damaged file open.
        with path.open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            given = {name: arrays[name] for name in arrays.files} if isinstance(arrays, NpzFile) else {}
    except OSError as error:
        raise StimulusError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise StimulusError(f"{path} is no .npz of plain arrays: {error}") from None
    if "embedding" not in given:
        raise StimulusError(
            f"{path} has no array 'embedding', (volumes, dimensions); it has {', '.join(given) or 'none'}"
        )
    embedding = given["embedding"]
    if embedding.ndim != 2 or embedding.dtype.kind not in "fiu" or not np.isfinite(embedding).all():
        raise StimulusError(
            f"{path}: 'embedding' must be finite numbers, (volumes, dimensions); it is {embedding.shape}"
        )
    n_volumes, n_dimensions = embedding.shape
    labels = given.get("labels", np.array([], np.str_))
    places = given.get("places", np.zeros((len(labels), n_dimensions)))
    shown = given.get("shown", np.full(n_volumes, -1))
    if len(labels) and "places" not in given:
        raise StimulusError(f"{path} has 'labels' and no 'places' (labels, dimensions) that say where they lie")
    for name, array, shape in (("places", places, (len(labels), n_dimensions)), ("shown", shown, (n_volumes,))):
        if array.shape != shape or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise StimulusError(f"{path}: '{name}' is {array.shape} of {array.dtype}, must be finite numbers, {shape}")
    if not (np.isin(shown, np.arange(-1, len(labels)))).all():
        raise StimulusError(f"{path}: 'shown' must be numbers of labels, 0 to {len(labels) - 1}, or -1")
    return Stimulus(
        embedding.astype(np.float32), tuple(map(str, labels)), places.astype(np.float32), shown.astype(np.int64)
    )

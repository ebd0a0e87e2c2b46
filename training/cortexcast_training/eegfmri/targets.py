"""What a model of each product is to give at each volume of a run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cortexcast_training.eegfmri.moments import seen_before
from cortexcast_training.eegfmri.runs import Run

Floats = NDArray[np.float64]
Target = Callable[[Run], Floats]


def bold(run: Run) -> Floats:
    """The BOLD, ``(n_volumes, n_parcels)`` in percent; NaN where it was not scanned."""
    return np.asarray(run.bold.T, np.float64)


def seen(run: Run) -> Floats:
    """What was seen as long ago as BOLD is late, ``(n_volumes, n_dimensions)``, of a run whose stimulus is known.

    NaN where it is not known, as before the film.
    """
    assert run.stimulus is not None
    before = seen_before(run)
    return np.where(before[:, np.newaxis] >= 0, run.stimulus.embedding[before], np.nan).astype(np.float64)

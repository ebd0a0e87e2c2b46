"""Take out of courses what is not the brain's activity: what movement, fluid, white matter and the scanner's drift do.

It is taken out by regression, all at once, within a run: runs know nothing of each other, so none leaks into another
that tests a model. Within a run the regression knows the whole run; that is of BOLD alone, never of EEG.

Sources: Friston et al., *Magnetic Resonance in Medicine* 35 (1996); Lindquist et al., *Human Brain Mapping* 40 (2019).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from nilearn.signal import clean, create_cosine_drift
from numpy.typing import NDArray
from pydantic import PositiveFloat

from cortexcast_models.manifest import Strict

Floats = NDArray[np.float64]

_LEAST_LEFT = 1 / 3
"""Of the volumes, those that must be left after each regressor took one."""


class NuisanceError(Exception):
    """A run is too short for what shall be taken out of it. The message says how many volumes there are and need be."""


class NuisanceSettings(Strict):
    """What is taken out of courses."""

    motion: Literal[0, 6, 24] = 6
    """Regressors of the head's movement: six, or with those of the volume before, and the squares of both."""
    tissue: bool = True
    """The means of deep white matter and of ventricles."""
    whole_brain: bool = False
    """The mean of the whole brain: it takes noise of the body with it, and activity that all regions share."""
    longest_period_s: PositiveFloat | None = 128.0
    """Slower drift goes; None leaves it, but for a straight line."""


def regressors(settings: NuisanceSettings, motion: Floats, tissue: Floats, whole_brain: Floats) -> Floats:
    """What is taken out, ``(n_volumes, n_regressors)``, drift apart.

    Args:
        settings: which.
        motion: ``(n_volumes, 6)``.
        tissue: ``(n_tissues, n_volumes)``, means of white matter and fluid.
        whole_brain: ``(n_volumes,)``.
    """
    columns = [np.empty((len(motion), 0))]
    if settings.motion:
        columns.append(motion)
    if settings.motion == 24:
        before = np.concatenate([motion[:1], motion[:-1]])
        columns += [before, motion**2, before**2]
    if settings.tissue:
        columns.append(tissue.T)
    if settings.whole_brain:
        columns.append(whole_brain[:, np.newaxis])
    return np.concatenate(columns, axis=1)


def without_nuisance(courses: Floats, taken: Floats, tr_s: float, longest_period_s: float | None) -> Floats:
    """Courses as changes in percent of their mean, ``(n, n_volumes)``, each of mean zero.

    Args:
        courses: ``(n, n_volumes)`` in the scanner's numbers.
        taken: ``(n_volumes, n_regressors)``.
        tr_s: from volume to volume.
        longest_period_s: slower drift goes.

    Raises:
        NuisanceError: there are too few volumes for so many regressors.
    """
    n_volumes = courses.shape[1]
    if longest_period_s is not None:
        # Not by ``clean`` itself, which leaves drift in where a regressor is much like it. The last one is constant.
        drift = create_cosine_drift(1 / longest_period_s, tr_s * np.arange(n_volumes))[:, :-1]
        taken = np.concatenate([taken, drift], axis=1)
    n_taken = taken.shape[1] + 1
    if n_volumes - 1 - n_taken < _LEAST_LEFT * n_volumes:
        need = int(np.ceil((1 + n_taken) / (1 - _LEAST_LEFT)))
        raise NuisanceError(
            f"{n_taken} regressors would leave too little of {n_volumes} volumes, of which there must be about {need}: "
            "take fewer of motion, 6 or 0"
        )
    cleaned = clean(
        courses.T,
        # A line beside cosines would bend the ends.
        detrend=longest_period_s is None,
        standardize="psc",
        confounds=taken if taken.shape[1] else None,
        filter=False,
    )
    return np.asarray(cleaned.T, np.float64)

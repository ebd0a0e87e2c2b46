"""What a wearer's EEG tells of their head: learned by comparing recordings of which the MEG is known too.

Of each recording both are known, and in which state each hop was. So it is a matter of least squares how much of each
mode its head needs: by how much the states' linear estimates become better between the two mixtures. What the
covariance of its EEG tells of that is a linear regression over recordings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cortexcast_training.adaptation import HeadStatistics
from cortexcast_training.contexts import covariance_directions, mean_covariance
from cortexcast_training.head_modes import HOLD, HeadModes
from cortexcast_training.scaling import Units
from cortexcast_training.states import Labels
from cortexcast_training.windows import Prepared

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Of the regression, as a share of the variance of a feature."""


def head_statistics(
    recordings: Sequence[Prepared],
    labels: Sequence[Labels],
    units: Units,
    basis: Floats,
    maps: Floats,
    modes: HeadModes,
    n_features: int,
    say: Callable[[int, int], None] = lambda _, __: None,
) -> HeadStatistics:
    """How the heads of recordings vary, and what their EEG tells of it.

    Args:
        recordings: of training subjects.
        labels: of each, the state of each hop.
        units: of EEG and MEG.
        basis: ``(n_sensors, n_components)``, orthonormal fields.
        maps: ``(n_states, n_components, n_electrodes)``, the linear estimate within each state.
        modes: in which heads may differ.
        n_features: directions of the EEG's covariance to look at.
        say: hears of how many recordings, of how many, it is done.
    """
    moved, unmoved = _moved(maps, modes).astype(np.float32), maps.astype(np.float32)
    covariances, strengths = [], []
    for done, (recording, found) in enumerate(zip(recordings, labels, strict=True)):
        say(done, len(recordings))
        covariances.append(mean_covariance(recording, units.eeg))
        strengths.append(_strengths(recording, found, units, basis, unmoved, moved))
    say(len(recordings), len(recordings))
    mean, directions = covariance_directions(np.stack(covariances), n_features)
    of_heads = directions[:-1].reshape(n_features, -1)
    features = (np.stack(covariances) - mean).reshape(len(recordings), -1) @ of_heads.T
    return HeadStatistics(
        mean,
        directions,
        _told_by(features.astype(np.float64), np.stack(strengths)).astype(np.float32),
        modes.eeg.astype(np.float32),
        modes.fields.astype(np.float32),
    )


def _moved(maps: Floats, modes: HeadModes) -> Floats:
    """By how much a mode changes each state's map: ``(n_states, n_modes, n_components, n_electrodes)``."""
    after = np.einsum("kcd,sde->skce", modes.fields, maps, optimize=True)
    return np.asarray(after + np.einsum("sce,kef->skcf", maps, modes.eeg, optimize=True))


def _strengths(
    recording: Prepared, found: Labels, units: Units, basis: Floats, maps: Singles, moved: Singles
) -> Floats:
    """How much of each mode a recording's head needs, ``(n_modes,)``, held to none."""
    n_modes = moved.shape[1]
    gram, cross, missed, n = np.zeros((n_modes, n_modes)), np.zeros(n_modes), 0.0, 0
    by_sample = np.repeat(found, recording.hop)
    for state in np.unique(found[found >= 0]):
        inside = by_sample == state
        eeg = np.asarray(recording.eeg[inside] / units.eeg, np.float32)
        error = np.asarray((recording.meg[inside] / units.meg) @ basis, np.float32) - eeg @ maps[state].T
        change = (moved[state] @ (eeg.T @ eeg)).reshape(n_modes, -1)
        gram += change @ moved[state].reshape(n_modes, -1).T
        cross += moved[state].reshape(n_modes, -1) @ (error.T @ eeg).ravel()
        missed, n = missed + float((error**2).sum()), n + error.size
    return np.asarray(np.linalg.solve(gram + HOLD * missed / n * np.eye(n_modes), cross), np.float64)


def _told_by(features: Floats, strengths: Floats) -> Floats:
    """Ridge regression of strengths on features, as firm as predicts each recording best from the others.

    It is ``(n_modes, n_features)``.
    """
    n, centred = len(features), strengths - strengths.mean(axis=0)

    def fitted(ridge: float) -> Floats:
        return np.asarray(np.linalg.solve(features.T @ features + ridge * n * np.eye(features.shape[1]), features.T))

    def error(ridge: float) -> float:
        hat = features @ fitted(ridge)
        left = (centred - hat @ centred) / (1 - hat.diagonal())[:, np.newaxis]
        return float((left**2).sum())

    return np.asarray((fitted(min(_RIDGES, key=error)) @ centred).T, np.float64)

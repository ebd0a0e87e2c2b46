"""What the sensors show where nobody is: recordings of the empty room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cortexcast_training.leadfield import is_magnetometer
from cortexcast_training.prepare import PrepareSettings, preprocessed
from cortexcast_training.recording import RecordingError, Singles
from cortexcast_training.recording_file import read_empty_room


def noise_covariance(path: Path, settings: PrepareSettings) -> NDArray[np.float64]:
    """The covariance of all sensors, preprocessed as recordings are: ``(306, 306)``, T², T²/m and T²/m².

    Sensors that were bad then are taken for independent, and as noisy as the median one of their kind. What is marked
    as bad in time, and what the filters need to settle after it, is left out.

    Raises:
        RecordingError: it cannot be read, or what is good of it is too short.
    """
    room = read_empty_room(path)
    total, n = np.zeros((306, 306)), 0
    good = room.good_sensors.copy()

    def read(start: int, stop: int) -> tuple[Singles, NDArray[np.bool_]]:
        return room.meg(start, stop), room.good[start:stop]

    for blocks, are_good in preprocessed(read, room.n_samples, room.rate_hz, len(good), settings):
        for block in blocks:
            good &= ~block.not_finite
        data = np.concatenate([block.data for block in blocks], axis=1)[:, np.repeat(are_good, settings.hop)]
        total += data @ data.T
        n += data.shape[1]
    if n < len(total):
        raise RecordingError(
            f"{path} is too short: of {room.n_samples / room.rate_hz:.1f} s of an empty room, less than "
            f"{len(total) / settings.preprocessing.resample.rate_hz:.1f} s are left of what is good"
        )
    covariance = total / n
    covariance[~good] = covariance[:, ~good] = 0.0
    for kind in (is_magnetometer(), ~is_magnetometer()):
        if not (kind & good).any():
            raise RecordingError(f"{path} has no good sensors of one kind: is it a recording of the empty room?")
        for number in np.flatnonzero(kind & ~good):
            covariance[number, number] = np.median(covariance.diagonal()[kind & good])
    return covariance

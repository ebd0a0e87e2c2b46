"""What the sensors show where nobody is: recordings of the empty room."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cortexcast_models.preprocessing import Preprocessor
from cortexcast_training.leadfield import is_magnetometer
from cortexcast_training.prepare import READ_S, PrepareSettings
from cortexcast_training.recording import RecordingError
from cortexcast_training.recording_file import read_empty_room


def noise_covariance(path: Path, settings: PrepareSettings) -> NDArray[np.float64]:
    """The covariance of all sensors, preprocessed as recordings are: ``(306, 306)``, T², T²/m and T²/m².

    Sensors that were bad then are taken for independent, and as noisy as the median one of their kind.

    Raises:
        RecordingError: it cannot be read, or is too short.
    """
    room = read_empty_room(path)
    preprocessor = Preprocessor(settings.preprocessing, room.rate_hz, len(room.good_sensors), settings.hop)
    settle = round(settings.settle_s * settings.preprocessing.resample.rate_hz / settings.hop)
    step = math.ceil(READ_S * room.rate_hz)
    total, n, n_blocks = np.zeros((306, 306)), 0, 0
    good = room.good_sensors.copy()
    for start in range(0, room.n_samples, step):
        meg = room.meg(start, min(start + step, room.n_samples))
        blocks = list(preprocessor.push(meg))
        for block in blocks:
            good &= ~block.not_finite
        data = [block.data for block in blocks[max(0, settle - n_blocks) :]]
        n_blocks += len(blocks)
        if data:
            whole = np.concatenate(data, axis=1)
            total += whole @ whole.T
            n += whole.shape[1]
    if n < len(total):
        raise RecordingError(f"{path} is too short: {room.n_samples / room.rate_hz:.1f} s of an empty room")
    covariance = total / n
    covariance[~good] = covariance[:, ~good] = 0.0
    for kind in (is_magnetometer(), ~is_magnetometer()):
        if not (kind & good).any():
            raise RecordingError(f"{path} has no good sensors of one kind: is it a recording of the empty room?")
        for number in np.flatnonzero(kind & ~good):
            covariance[number, number] = np.median(covariance.diagonal()[kind & good])
    return covariance

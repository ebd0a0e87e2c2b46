"""From a recording to training data: the server's preprocessing, the canonical montage, the virtual helmet.

EEG and MEG go through the same causal filters, so what is simultaneous stays so, and the EEG is what the server would
give the model. Eyes and heart are regressed out of the MEG, which is the target, by the recording's EOG and ECG; never
out of the EEG, since a headset has no such channels.
"""

from __future__ import annotations

import json
import math

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, PositiveInt, field_validator

from cortexcast_models.manifest import Absent, Butterworth, Notch, Preprocessing, Resample, Strict
from cortexcast_models.montage import Montage, MontageError
from cortexcast_models.preprocessing import Preprocessor
from cortexcast_training.leadfield import CAP
from cortexcast_training.manifest_fields import montage
from cortexcast_training.recording import Recording, RecordingError
from cortexcast_training.virtual_helmet import virtual_helmet_map
from cortexcast_training.windows import Prepared

Floats = NDArray[np.float64]


_PREPROCESSING = Preprocessing(
    resample=Resample(kind="resample", rate_hz=200.0, passband_hz=45.0),
    filters=(
        Butterworth(kind="highpass", hz=1.0, order=2),
        Butterworth(kind="lowpass", hz=40.0, order=4),
        Notch(kind="notch", hz=50.0, q=5.0),
        Notch(kind="notch", hz=60.0, q=5.0),
    ),
)


class PrepareSettings(Strict):
    """How recordings are prepared. A model keeps the preprocessing and the hop in its manifest."""

    preprocessing: Preprocessing = _PREPROCESSING
    """What a recipe leaves out of it is as here."""
    hop: PositiveInt = 8
    settle_s: NonNegativeFloat = 2.0
    """At the beginning, not used: the filters settle."""
    regress_artifacts: bool = True
    """Take out of the MEG what is linear in EOG and ECG."""

    @field_validator("preprocessing", mode="before")
    @classmethod
    def _completed(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        # By way of JSON, as in ``read_toml``.
        whole = {**_PREPROCESSING.model_dump(mode="json"), **given}
        return Preprocessing.model_validate_json(json.dumps(whole))


def prepare(recording: Recording, settings: PrepareSettings) -> Prepared:
    """Prepare one recording.

    Raises:
        RecordingError: its electrodes cannot be mapped, or nothing good is left.
    """
    to_montage = montage_map(recording, settings.preprocessing.absent)
    to_helmet = virtual_helmet_map(recording.dev_head_t, recording.good_sensors)
    signals = [recording.eeg, recording.meg, recording.artifacts]
    if recording.true_meg is not None:
        signals.append(recording.true_meg)
    preprocessor = Preprocessor(
        settings.preprocessing, recording.rate_hz, sum(len(signal) for signal in signals), settings.hop
    )
    bad = _bad(recording)
    reach = math.ceil(preprocessor.delay_s * recording.rate_hz)  # of the resampling's filter, to both sides
    parts: list[Floats] = []
    good: list[bool] = []
    n_read = 0
    for block in preprocessor.push(np.concatenate(signals)):
        parts.append(block.data)
        n_read += block.consumed
        good.append(not bad[max(0, math.floor(block.start) - reach) : n_read].any())
    if not parts:
        raise RecordingError(f"{recording.name} is too short: {recording.eeg.shape[1]} samples")
    data = np.concatenate(parts, axis=1)
    ok = np.array(good)
    ok[: round(settings.settle_s * settings.preprocessing.resample.rate_hz / settings.hop)] = False
    if not ok.any():
        raise RecordingError(
            f"{recording.name}: no good data are left: it is too short, or marked as bad or not finite throughout"
        )

    eeg, meg, artifacts, *true_meg = np.split(data, np.cumsum([len(signal) for signal in signals[:-1]]))
    if settings.regress_artifacts and len(artifacts):
        meg = _without(artifacts, meg, np.repeat(ok, settings.hop))
    return Prepared(
        subject=recording.subject,
        run=recording.run,
        rate_hz=settings.preprocessing.resample.rate_hz,
        hop=settings.hop,
        eeg=np.ascontiguousarray((to_montage @ eeg).T, np.float32),
        meg=np.ascontiguousarray((to_helmet @ meg).T, np.float32),
        good=ok,
        true_meg=np.ascontiguousarray((to_helmet @ true_meg[0]).T, np.float32) if true_meg else None,
    )


def montage_map(recording: Recording, absent: Absent) -> Floats:
    """What the canonical montage shows, from what the recording's good electrodes saw: ``(70, n_electrodes)``, V.

    Raises:
        RecordingError: its electrodes cannot be mapped.
    """
    try:
        places = [tuple(electrode["position"]) for electrode in montage()]
        worn = Montage(recording.electrodes, recording.positions, CAP, places, absent)
        return worn.mapping(recording.good_electrodes).matrix
    except MontageError as error:
        raise RecordingError(f"{recording.name}: {error}") from None


def _bad(recording: Recording) -> NDArray[np.bool_]:
    """Which samples are marked as bad, or not finite in a channel that is used: ``(n,)``.

    A channel that is marked as bad is left out of the maps, so that what is not finite there harms nothing.
    """
    bad = ~recording.good
    for signals, used in (
        (recording.eeg, recording.good_electrodes),
        (recording.meg, recording.good_sensors),
        (recording.artifacts, np.ones(len(recording.artifacts), bool)),
    ):
        for signal in signals[used]:
            bad |= ~np.isfinite(signal)
    return bad


def _without(artifacts: Floats, meg: Floats, good: NDArray[np.bool_]) -> Floats:
    """Take out what is linear in the artifacts' channels where the recording is good."""
    seen = artifacts[:, good]
    unit = np.sqrt((seen**2).mean(axis=1, keepdims=True))
    unit[unit == 0] = 1.0
    weights, *_ = np.linalg.lstsq((seen / unit).T, meg[:, good].T, rcond=None)
    return np.asarray(meg - weights.T @ (artifacts / unit), np.float64)

"""From a recording to training data: the server's preprocessing, the canonical montage, the virtual helmet.

EEG and MEG go through the same causal filters, so what is simultaneous stays so, and the EEG is what the server would
give the model. Eyes and heart are regressed out of the MEG, which is the target, by the recording's EOG and ECG; never
out of the EEG, since a headset has no such channels.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, PositiveInt, field_validator

from cortexcast_models.manifest import Absent, Butterworth, Notch, Preprocessing, Resample, Strict
from cortexcast_models.montage import Montage, MontageError
from cortexcast_models.preprocessing import Preprocessor
from cortexcast_training.leadfield import CAP
from cortexcast_training.manifest_fields import montage
from cortexcast_training.recording import Recording, RecordingError, Signals, Singles
from cortexcast_training.virtual_helmet import virtual_helmet_map
from cortexcast_training.windows import Prepared

Floats = NDArray[np.float64]

READ_S = 10.0
"""Of a recording, in memory at once as it was recorded."""

_ROWS = 20_000
"""Samples that are multiplied in double precision at once."""

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
    """Prepare one recording, some seconds at a time: what is in memory as a whole is at the model's rate alone.

    Raises:
        RecordingError: it cannot be read, its electrodes cannot be mapped, or nothing good is left.
    """
    rate_hz = settings.preprocessing.resample.rate_hz
    maps = _Maps(
        montage_map(recording, settings.preprocessing.absent),
        virtual_helmet_map(recording.dev_head_t, recording.good_sensors),
    )
    sizes = [len(each) for each in recording.signals(0, 0) if each is not None]
    preprocessor = Preprocessor(settings.preprocessing, recording.rate_hz, sum(sizes), settings.hop)
    reach = math.ceil(preprocessor.delay_s * recording.rate_hz)  # of the resampling's filter, to both sides
    bad = ~recording.good
    parts: list[Signals] = []
    good: list[bool] = []
    n_used = 0
    step = math.ceil(READ_S * recording.rate_hz)
    for start in range(0, recording.n_samples, step):
        signals = recording.signals(start, min(start + step, recording.n_samples))
        bad[start : start + step] |= _not_finite(signals, recording)
        blocks = list(preprocessor.push(signals.stacked()))
        for block in blocks:
            n_used += block.consumed
            good.append(not bad[max(0, math.floor(block.start) - reach) : n_used].any())
        if blocks:
            data = np.concatenate([block.data for block in blocks], axis=1)
            parts.append(maps.mapped(np.split(data, np.cumsum(sizes[:-1]))))
    if not parts:
        raise RecordingError(f"{recording.name} is too short: {recording.n_samples} samples")
    ok = np.array(good)
    ok[: round(settings.settle_s * rate_hz / settings.hop)] = False
    if not ok.any():
        raise RecordingError(
            f"{recording.name}: no good data are left: it is too short, or marked as bad or not finite throughout"
        )

    eeg, meg, artifacts, *true_meg = (
        np.concatenate([each for each in rows if each is not None])
        for rows in zip(*parts, strict=True)
        if rows[0] is not None
    )
    if settings.regress_artifacts and artifacts.shape[1]:
        _take_out(artifacts, meg, np.repeat(ok, settings.hop))
    events = recording.events.copy()
    events[:, 0] = np.round(events[:, 0] * rate_hz / recording.rate_hz)
    return Prepared(
        subject=recording.subject,
        run=recording.run,
        rate_hz=rate_hz,
        hop=settings.hop,
        simulated=recording.simulated,
        eeg=eeg,
        meg=meg,
        good=ok,
        events=events,
        true_meg=true_meg[0] if true_meg else None,
    )


@dataclass(frozen=True)
class _Maps:
    """What brings a recording to what models are trained on: ``(70, n_electrodes)`` and ``(306, 306)``."""

    to_montage: Floats
    to_helmet: Floats

    def mapped(self, rows: Sequence[Floats]) -> Signals:
        """EEG, MEG, artifacts and true MEG, mapped, samples first."""
        eeg, meg, artifacts, *true_meg = rows
        mapped = [self.to_montage @ eeg, self.to_helmet @ meg, artifacts, *(self.to_helmet @ each for each in true_meg)]
        return Signals(*(np.ascontiguousarray(each.T, np.float32) for each in mapped))


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


def _not_finite(signals: Signals, recording: Recording) -> NDArray[np.bool_]:
    """Which samples are not finite in a channel that is used: ``(n,)``.

    A channel that is marked as bad is left out of the maps, so that what is not finite there harms nothing.
    """
    bad = np.zeros(signals.eeg.shape[1], bool)
    for rows in (signals.eeg[recording.good_electrodes], signals.meg[recording.good_sensors], signals.artifacts):
        bad |= ~np.isfinite(rows).all(axis=0)
    return bad


def _take_out(artifacts: Singles, meg: Singles, good: NDArray[np.bool_]) -> None:
    """Take out of the MEG ``(n, 306)``, in place, what is linear in ``artifacts (n, k)`` where it is good."""
    unit = np.sqrt(np.square(artifacts[good], dtype=np.float64).mean(axis=0))
    unit[unit == 0] = 1.0
    k = artifacts.shape[1]
    gram, cross = np.zeros((k, k)), np.zeros((k, meg.shape[1]))
    parts = [slice(start, start + _ROWS) for start in range(0, len(meg), _ROWS)]
    for part in parts:
        seen = artifacts[part][good[part]] / unit
        gram += seen.T @ seen
        cross += seen.T @ meg[part][good[part]].astype(np.float64)
    weights, *_ = np.linalg.lstsq(gram, cross, rcond=None)
    for part in parts:
        meg[part] -= (artifacts[part] / unit) @ weights

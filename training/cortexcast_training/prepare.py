"""From a recording to training data: the server's preprocessing, the canonical montage, the virtual helmet.

EEG and MEG go through the same causal filters, so what is simultaneous stays so, and the EEG is what the server would
give the model. Eyes and heart are regressed out of the MEG, which is the target, by the recording's EOG and ECG; never
out of the EEG, since a headset has no such channels.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, PositiveInt, field_validator

from cortexcast_models.manifest import Absent, Butterworth, Notch, Preprocessing, Resample, Strict
from cortexcast_models.montage import Montage, MontageError
from cortexcast_models.preprocessing import Block, Preprocessor
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
    """Not used, at the beginning and after whatever is bad: the filters settle."""
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

    def read(start: int, stop: int) -> tuple[Singles, NDArray[np.bool_]]:
        signals = recording.signals(start, stop)
        return signals.stacked(), recording.good[start:stop] & _finite(signals, recording)

    sizes = [len(each) for each in recording.signals(0, 0) if each is not None]
    n_most = math.ceil(recording.n_samples * rate_hz / recording.rate_hz) + settings.hop
    rows = [np.empty((n_most, size), np.float32) for size in (len(maps.to_montage), *sizes[1:])]
    good: list[bool] = []
    for blocks, are_good in preprocessed(read, recording.n_samples, recording.rate_hz, sum(sizes), settings):
        data = np.concatenate([block.data for block in blocks], axis=1)
        done = len(good) * settings.hop
        for whole, part in zip(rows, maps.mapped(np.split(data, np.cumsum(sizes[:-1]))), strict=True):
            whole[done : done + len(part)] = part
        good += are_good
    if not good:
        raise RecordingError(f"{recording.name} is too short: {recording.n_samples} samples")
    ok = np.array(good)
    if not ok.any():
        raise RecordingError(
            f"{recording.name}: no good data are left: it is too short, or marked as bad or not finite throughout, or "
            f"nowhere for longer than the filters need to settle, {settings.settle_s:g} s"
        )
    eeg, meg, artifacts, *true_meg = (each[: len(ok) * settings.hop] for each in rows)
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


def preprocessed(
    read: Callable[[int, int], tuple[Singles, NDArray[np.bool_]]],
    n_samples: int,
    rate_hz: float,
    n_channels: int,
    settings: PrepareSettings,
) -> Iterator[tuple[list[Block], list[bool]]]:
    """Preprocess signals, some seconds at a time, and tell of each block whether nothing bad is left in it.

    A block is good if no sample that the resampling mixes into it is bad, and if the filters have settled: no more bad
    block, nor the beginning, lies within ``settings.settle_s`` before it.

    Args:
        read: gives samples ``(n_channels, n)``, from one number to another, and which of them are good, ``(n,)``.
        n_samples: so many there are.
        rate_hz: of them.
        n_channels: of them.
        settings: how.
    """
    preprocessor = Preprocessor(settings.preprocessing, rate_hz, n_channels, settings.hop)
    reach = math.ceil(preprocessor.delay_s * rate_hz)  # of the resampling's filter, to both sides
    to_settle = round(settings.settle_s * settings.preprocessing.resample.rate_hz / settings.hop)
    good = np.ones(n_samples, bool)
    n_used = n_settled = 0
    step = math.ceil(READ_S * rate_hz)
    for start in range(0, n_samples, step):
        samples, good[start : start + step] = read(start, min(start + step, n_samples))
        blocks, are_good = list(preprocessor.push(samples)), []
        for block in blocks:
            n_used += block.consumed
            mixed = good[max(0, math.floor(block.start) - reach) : n_used]
            n_settled = n_settled + 1 if mixed.all() else 0
            are_good.append(n_settled > to_settle)
        if blocks:
            yield blocks, are_good


@dataclass(frozen=True)
class _Maps:
    """What brings a recording to what models are trained on: ``(70, n_electrodes)`` and ``(306, 306)``."""

    to_montage: Floats
    to_helmet: Floats

    def mapped(self, rows: Sequence[Floats]) -> list[Floats]:
        """EEG, MEG, artifacts and, where it is known, true MEG, mapped, samples first."""
        eeg, meg, artifacts, *true_meg = rows
        mapped = [self.to_montage @ eeg, self.to_helmet @ meg, artifacts, *(self.to_helmet @ each for each in true_meg)]
        return [each.T for each in mapped]


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


def _finite(signals: Signals, recording: Recording) -> NDArray[np.bool_]:
    """Which samples are finite in all channels that are used: ``(n,)``.

    A channel that is marked as bad is left out of the maps, so that what is not finite there harms nothing.
    """
    used = (signals.eeg[recording.good_electrodes], signals.meg[recording.good_sensors], signals.artifacts)
    return np.asarray(np.all([np.isfinite(rows).all(axis=0) for rows in used], axis=0))


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

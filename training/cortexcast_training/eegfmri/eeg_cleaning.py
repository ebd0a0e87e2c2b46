"""Clean EEG that was recorded in a scanner: gradients, bad channels, eyes and pulse go, time stays.

In this order: the mean gradients and what movement leaves of them, at the amplifier's rate; a lower rate; filters; bad
channels; eyes and pulse, by components of the good channels; bad channels interpolated; average reference, the
recorded one back among the electrodes.

Filters have no phase: this is done offline, and EEG must stay where the scan's volumes are. The causal filters of a
live model come after it, as after the amplifier of a live headset, and find nothing left to remove. All is fitted to
one recording, so nothing passes from one to another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mne
import numpy as np
import scipy.signal
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from cortexcast_models.manifest import Strict
from cortexcast_training.eegfmri.axis_waveforms import axis_waveforms, remove_waveforms
from cortexcast_training.eegfmri.bad_channels import bad_channels
from cortexcast_training.eegfmri.components import Removed, remove_eyes_and_pulse
from cortexcast_training.eegfmri.electrode_places import digitised
from cortexcast_training.eegfmri.gradient_removal import remove_gradients
from cortexcast_training.eegfmri.natview_eeg import EegRecording
from cortexcast_training.eegfmri.pulse_removal import heartbeats, pulse_share
from cortexcast_training.eegfmri.runs import electrode_power
from cortexcast_training.eegfmri.volume_markers import VOLUME, volume_begins

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_EDGE_HZ = 5.0
"""Over which the low-pass falls: 45 Hz stay, and the mains' 50 Hz are gone."""
_WINDOW = ("kaiser", 8.0)
"""Of the filter before the lower rate, 80 dB; its edge is as wide as half of the new Nyquist frequency."""
_USABLE = 0.75
"""Share of the Nyquist frequency that is below this edge."""
_OFF_SAMPLES = 0.05
"""Of a TR, by which markers that are a sample off may deceive."""
_MOST_BAD = 0.3
"""Share of the electrodes; the places of more cannot be filled from the others."""


class CleaningError(Exception):
    """A recording cannot be cleaned. The message says why, and what to do."""


class CleaningSettings(Strict):
    """How EEG is cleaned."""

    rate_hz: PositiveFloat = 250.0
    """Of the result."""
    highpass_hz: PositiveFloat = 0.5
    lowpass_hz: PositiveFloat = 45.0
    components: PositiveInt = Field(30, ge=4)
    """Independent ones, of the EEG."""
    pulse_components: NonNegativeInt = 3
    """By which the pulse varies from beat to beat."""
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _has_a_passband(self) -> CleaningSettings:
        if not self.highpass_hz < self.lowpass_hz <= _USABLE * self.rate_hz / 2:
            raise ValueError(f"highpass_hz < lowpass_hz <= {_USABLE / 2:g} rate_hz must hold")
        return self


@dataclass(frozen=True)
class CleanEeg:
    """A cleaned recording, and what was done to it.

    Attributes:
        raw: ``mne.io.RawArray`` in V: electrodes, the reference among them, against their average, then ECG and EOG.
            Annotations are the volumes and the task's markers; none is bad.
        bads: electrodes that were interpolated.
        removed: components with eyes and with the pulse.
        heartbeats: ``(n_beats,)`` in s from the beginning, the R peaks.
        gradient_db: by how much the power of the EEG fell with the gradients, while the scanner ran.
        pulse_before, pulse_after: ``(n_electrodes,)``, the share of each recorded electrode's variance that followed
            the heart.
    """

    raw: Any
    bads: tuple[str, ...]
    removed: Removed
    heartbeats: Floats
    gradient_db: float
    pulse_before: Floats
    pulse_after: Floats

    def power(self, name: str) -> Singles:
        """Log band power as models see it, ``(n_hops, n_electrodes, n_bands)``.

        Args:
            name: of the recording, for messages.

        Raises:
            RunError: the electrodes cannot be mapped to those of models.
        """
        raw = self.raw.copy().pick("eeg")
        places = [(float(x), float(y), float(z)) for x, y, z in (channel["loc"][:3] for channel in raw.info["chs"])]
        return electrode_power(raw.get_data().astype(np.float32), raw.info["sfreq"], raw.ch_names, places, name)


def clean_eeg(
    recording: EegRecording, n_volumes: int, tr_s: float, settings: CleaningSettings | None = None
) -> CleanEeg:
    """Clean a recording. It has as many seconds as before.

    Args:
        recording: with a scan.
        n_volumes: of the scan.
        tr_s: from volume to volume.
        settings: the defaults where None.

    Raises:
        MarkerError: markers do not fit the scan.
        HeartbeatError: the ECG shows no heart.
        CleaningError: the rate is no multiple of that which is asked for, or most electrodes are bad.
    """
    settings = settings or CleaningSettings()
    n_samples = recording.eeg.shape[1]
    markers = volume_begins(recording.volumes, n_volumes, tr_s, recording.rate_hz, n_samples)
    begins, tr_samples = _grid(markers, n_samples)
    slow, gradient_db = _without_gradients(recording, begins, tr_samples, settings)
    raw = _raw(recording, slow, settings.rate_hz)
    beats = heartbeats(raw.get_data("ecg")[0], settings.rate_hz)
    raw.filter(settings.highpass_hz, settings.lowpass_hz, picks="all", h_trans_bandwidth=_EDGE_HZ, verbose="error")
    bads = _bads(recording, raw)
    electrodes = mne.pick_types(raw.info, eeg=True)
    raw.info["bads"] = list(bads)
    before = pulse_share(raw.get_data(electrodes), beats, settings.rate_hz)
    removed = remove_eyes_and_pulse(raw, beats, settings.components, settings.pulse_components, settings.seed)
    after = pulse_share(raw.get_data(electrodes), beats, settings.rate_hz)
    _reference(raw, recording)
    return CleanEeg(raw, bads, removed, beats, gradient_db, before, after)


def _grid(markers: NDArray[np.int64], n_samples: int) -> tuple[NDArray[np.int64], int]:
    """Where volumes begin on the scanner's even grid, and how many samples each has: a marker may be a sample off."""
    numbers = np.arange(len(markers))
    tr, first = np.polyfit(numbers, markers, 1) if len(markers) > 1 else (n_samples - markers[0], markers[0])
    begins = np.round(first + tr * numbers).astype(np.int64).clip(0)
    # Where the scanner's TR is no whole number of samples, some volumes are a sample shorter than others.
    shortest = np.diff(begins).min(initial=n_samples - begins[-1])
    return begins, int(min(np.floor(tr + _OFF_SAMPLES), shortest))


def _without_gradients(
    recording: EegRecording, begins: NDArray[np.int64], tr_samples: int, settings: CleaningSettings
) -> tuple[Singles, float]:
    """The recording at the lower rate, and by how many dB its EEG's power fell. One channel at a time is copied."""
    down = recording.rate_hz / settings.rate_hz
    if down != round(down):
        raise CleaningError(
            f"{recording.name} has {recording.rate_hz:g} Hz, no multiple of {settings.rate_hz:g}: ask for another rate"
        )
    waveforms = axis_waveforms(recording.eeg, begins, tr_samples)
    scan = slice(begins[0], begins[-1] + tr_samples)
    slow, powers = [], []
    for number, kind in enumerate(recording.types):
        recorded = recording.eeg[number : number + 1]
        cleaned = remove_waveforms(remove_gradients(recorded, begins, tr_samples), begins, waveforms)
        if kind == "eeg":
            powers.append([np.var(each[0, scan], dtype=np.float64) for each in (recorded, cleaned)])
        slow.append(scipy.signal.resample_poly(cleaned[0], 1, round(down), window=_WINDOW, padtype="line"))
    before, after = np.sum(powers, axis=0)
    return np.array(slow, np.float32), float(10 * np.log10(before / after))


def _raw(recording: EegRecording, signals: Singles, rate_hz: float) -> Any:
    info = mne.create_info(list(recording.names), rate_hz, list(recording.types))
    raw = mne.io.RawArray(signals.astype(np.float64), info, verbose="error")
    onsets = [sample / recording.rate_hz for sample in recording.volumes]
    onsets += [marker.sample / recording.rate_hz for marker in recording.events]
    names = [VOLUME] * len(recording.volumes) + [marker.code for marker in recording.events]
    raw.set_annotations(mne.Annotations(onsets, np.zeros(len(onsets)), names))
    return raw


def _bads(recording: EegRecording, raw: Any) -> tuple[str, ...]:
    names = [name for name, kind in zip(recording.names, recording.types, strict=True) if kind == "eeg"]
    places = np.array([recording.places[name] for name in names])
    is_bad = bad_channels(raw.get_data(names), raw.info["sfreq"], places)
    bads = tuple(np.array(names)[is_bad].tolist())
    if len(bads) > _MOST_BAD * len(names):
        raise CleaningError(
            f"{recording.name}: {len(bads)} of {len(names)} electrodes are flat, noisy or unlike their neighbours, "
            f"such as {bads[0]}: there is too little left to fill their places from"
        )
    return bads


def _reference(raw: Any, recording: EegRecording) -> None:
    """Interpolate bad electrodes, bring back the reference, and refer all to their average."""
    electrodes = mne.pick_types(raw.info, eeg=True, exclude=[])
    others = [name for name in raw.ch_names if name not in np.array(raw.ch_names)[electrodes]]
    mne.add_reference_channels(raw, recording.reference, copy=False)
    raw.reorder_channels([name for name in raw.ch_names if name not in others] + others)
    raw.set_montage(digitised(recording.places), verbose="error")
    raw.interpolate_bads(verbose="error")
    raw.set_eeg_reference("average", verbose="error")

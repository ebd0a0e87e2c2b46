"""Blinks, heartbeats and the mains in EEG and MEG: each a waveform times what head and helmet show of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from mne.transforms import apply_trans
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, PositiveFloat

from cortexcast_models.manifest import Strict
from cortexcast_models.simulation.randomness import stream
from cortexcast_training.head import Head
from cortexcast_training.leadfield import CAP, external_fields, head_to_mri, meg_of_sphere

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

NAMES = ("blink", "heart", "mains cos", "mains sin", "third harmonic cos", "third harmonic sin")
"""The components, in order."""

_BLINK, _HEART, _MAINS = 0, 1, slice(2, 6)

_EYE_OFFSETS_M = ((-0.032, -0.018, -0.005), (0.032, -0.018, -0.005))
"""Of the eyes' centres from the nasion."""

_EYE_REACH_M = 0.04
"""Over this distance the potential of a blink falls by a factor of e."""

_BLINK_S = 0.3
_BLINK_REFRACTORY_S = 1.0

_ECG_WAVES = (
    (-0.20, 0.15, 0.025),
    (-0.03, -0.10, 0.008),
    (0.0, 1.0, 0.010),
    (0.03, -0.20, 0.008),
    (0.25, 0.30, 0.040),
)
"""Time from the R peak in s, height and width in s of P, Q, R, S and T (McSharry et al., *IEEE TBME* 50 (2003))."""


class ArtefactSettings(Strict):
    """How often, and how large."""

    blink_hz: NonNegativeFloat = 0.25
    blink_v: NonNegativeFloat = 150e-6
    """Peak at the electrodes above the eyes."""
    blink_am: NonNegativeFloat = 100e-9
    """Peak dipole moment of each eye, A·m, for MEG."""
    heart_hz: PositiveFloat = 1.1
    heart_v: NonNegativeFloat = 1.5e-6
    """RMS over the electrodes at the R peak."""
    heart_t: NonNegativeFloat = 3e-13
    """RMS over the magnetometers at the R peak."""
    mains_hz: PositiveFloat = 50.0
    mains_v: NonNegativeFloat = 2e-6
    """RMS over electrodes and time; the third harmonic has a fifth of it."""
    mains_t: NonNegativeFloat = 5e-13
    """Likewise, over magnetometers."""


@dataclass(frozen=True)
class Artefacts:
    """What is not brain: ``fields @ waveforms``.

    Attributes:
        eeg: ``(70, 6)`` in V, average referenced; components as in ``NAMES``.
        meg: ``(306, 6)`` in T and T/m.
        waveforms: ``(6, n_samples)``, peaks about one.
        heartbeats: ``(n_beats,)`` in s, the R peaks; some before the recording and some after it too.
    """

    eeg: Singles
    meg: Singles
    waveforms: Singles
    heartbeats: Floats


def draw_artefacts(settings: ArtefactSettings, head: Head, n_samples: int, rate_hz: float, seed: int) -> Artefacts:
    """The artefacts of one recording. How eyes and heart show is the head's; when they move, and the mains, is not."""
    times = np.arange(n_samples) / rate_hz
    heartbeats = _heartbeats(settings, times[-1], seed)
    heart = _electrocardiogram(heartbeats, times)
    waveforms = np.vstack([_blinks(settings, times, seed), heart, _mains(settings, times, seed)])
    blink_eeg, blink_meg = _blink_fields(settings, head)
    heart_eeg, heart_meg = _heart_fields(settings, head)
    mains_eeg, mains_meg = _mains_fields(settings, seed)
    eeg = head.eeg_gain[:, np.newaxis] * np.column_stack([blink_eeg, heart_eeg, mains_eeg])
    meg = head.meg_gain[:, np.newaxis] * np.column_stack([blink_meg, heart_meg, mains_meg])
    eeg -= eeg.mean(axis=0)
    return Artefacts(
        eeg.astype(np.float32), meg.astype(np.float32), waveforms.astype(np.float32), heartbeats=heartbeats
    )


def _blinks(settings: ArtefactSettings, times: Floats, seed: int) -> Floats:
    rng = stream(seed, "blinks")
    waveform = np.zeros(len(times))
    if settings.blink_hz == 0:
        return waveform
    pause_s = max(0.0, 1 / settings.blink_hz - _BLINK_REFRACTORY_S)
    onset = rng.exponential(pause_s)
    while onset < times[-1]:
        height, length = np.exp(0.2 * rng.standard_normal()), _BLINK_S * np.exp(0.15 * rng.standard_normal())
        phase = (times - onset) / length
        during = (phase > 0) & (phase < 1)
        # The lid closes faster than it opens.
        waveform[during] += height * np.sin(np.pi * phase[during] ** 0.7) ** 2
        onset += _BLINK_REFRACTORY_S + rng.exponential(pause_s)
    return waveform


def _heartbeats(settings: ArtefactSettings, duration_s: float, seed: int) -> Floats:
    rng = stream(seed, "heartbeats")
    period = 1 / settings.heart_hz
    n = int(duration_s / period * 1.5) + 10
    peaks = np.cumsum(period * (1 + 0.05 * rng.standard_normal(n))) - period * (1 + rng.uniform())
    return np.asarray(peaks[peaks < duration_s + 1], np.float64)


def _electrocardiogram(peaks: Floats, times: Floats) -> Floats:
    waveform = np.zeros(len(times))
    for centre, height, width in _ECG_WAVES:
        for at in peaks + centre:
            near = slice(*np.searchsorted(times, (at - 5 * width, at + 5 * width)))
            waveform[near] += height * np.exp(-0.5 * ((times[near] - at) / width) ** 2)
    return waveform


def _mains(settings: ArtefactSettings, times: Floats, seed: int) -> Floats:
    rng = stream(seed, "mains")
    angle = 2 * np.pi * (settings.mains_hz + 0.02 * rng.standard_normal()) * times
    return np.array([np.cos(angle), np.sin(angle), np.cos(3 * angle), np.sin(3 * angle)])


def _blink_fields(settings: ArtefactSettings, head: Head) -> tuple[Floats, Floats]:
    to_head = np.linalg.inv(head_to_mri(head.model)["trans"])
    nasion = apply_trans(to_head, head.model.fiducials[0])
    eyes = nasion + np.array(_EYE_OFFSETS_M) * head.scale
    electrodes = apply_trans(to_head, head.model.electrodes)
    reach = np.exp(-np.linalg.norm(electrodes[:, np.newaxis] - eyes, axis=2) / _EYE_REACH_M).sum(axis=1)
    reach /= reach[[CAP.index("Fp1"), CAP.index("Fp2")]].mean()
    inner = apply_trans(to_head, head.model.shells["inner_skull"])
    centre = (inner.max(axis=0) + inner.min(axis=0)) / 2
    # The lid slides over the cornea's charge: in MEG, a current from below the eye to above it.
    up = np.tile([0.0, 0.0, 1.0], (len(eyes), 1))
    meg = meg_of_sphere(head.dev_head_t, centre, eyes, up).sum(axis=1)
    return settings.blink_v * reach, settings.blink_am * meg


def _heart_fields(settings: ArtefactSettings, head: Head) -> tuple[Floats, Floats]:
    """From far below, so nearly uniform in the helmet; over the scalp a slope, as between neck and vertex."""
    rng = stream(head.seed, "heart")
    slope = head.electrodes @ (np.array([-0.5, 0.3, -1.0]) + 0.3 * rng.standard_normal(3))
    slope -= slope.mean()
    weights = np.r_[rng.standard_normal(3), 0.2 * rng.standard_normal(5), np.zeros(7)]
    meg = external_fields() @ (weights / np.linalg.norm(weights))
    return settings.heart_v * slope / slope.std(), settings.heart_t * meg


def _mains_fields(settings: ArtefactSettings, seed: int) -> tuple[Floats, Floats]:
    """A sine at each sensor, of the amplitude and phase that cosine and sine make together."""
    rng = stream(seed, "mains fields")
    harmonics = np.array([1.0, 1.0, 0.2, 0.2])
    eeg = rng.standard_normal((len(CAP), 4)) * harmonics
    weights = rng.standard_normal((15, 4)) * np.repeat([1.0, 0.3, 0.1], [3, 5, 7])[:, np.newaxis]
    meg = external_fields() @ (weights / np.linalg.norm(weights, axis=0)) * harmonics
    return settings.mains_v * eeg, settings.mains_t * meg

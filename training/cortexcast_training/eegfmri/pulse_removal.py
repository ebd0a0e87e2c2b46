"""Remove the pulse in the scanner's field from EEG: what follows each heartbeat, a mean and how it varies.

Source: optimal basis sets, Niazy et al., *NeuroImage* 28 (2005), in MNE-Python. It takes some of the slow EEG with it:
over a heartbeat delta has but some five degrees of freedom, and each component takes one. So it is best applied to as
few signals as show the pulse.
"""

from __future__ import annotations

import mne
import numpy as np
import scipy.signal
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RATES = (30.0, 180.0)
"""Heartbeats a minute that can be."""

_SHORTEST_S = 10.0
_QRS_HZ = (5.0, 35.0)
_QRS_S = 0.1
"""Before and after the R peak."""
_ALIKE = 0.5
"""A beat's likeness to the mean one, in proportion to that of most beats."""
_ONE_SHAPE = 0.8
"""Correlation of most beats with the mean one. A heart's have 0.98, the peaks of noise 0.7 at most."""

_DELAY_S = 0.21
"""From the R peak to the middle of the pulse in the head (Allen et al., *NeuroImage* 8 (1998))."""
_BEFORE_S, _AFTER_S = 0.2, 0.7
"""And after it: all of the pulse, whatever the rate."""


class HeartbeatError(Exception):
    """There are no heartbeats to go by. The message says what was found, and what to do."""


def heartbeats(ecg: Floats, rate_hz: float) -> Floats:
    """When the heart beats, ``(n_beats,)`` in s from the beginning: the R peaks.

    MNE-Python finds most beats; their mean finds those that it misses, and drops what does not look like it.

    Args:
        ecg: ``(n,)`` in V, without gradients.
        rate_hz: of the samples.

    Raises:
        HeartbeatError: the ECG is flat or too short, or what is in it does not beat as a heart does.
    """
    if len(ecg) < _SHORTEST_S * rate_hz:
        raise HeartbeatError(f"the ECG has {len(ecg) / rate_hz:.1f} s, {_SHORTEST_S:g} s are needed to tell its beats")
    if not np.isfinite(ecg).all() or np.ptp(ecg) == 0:
        raise HeartbeatError("the ECG is flat: was its electrode off? Give a recording with an ECG")
    ecg = np.asarray(ecg, np.float64)
    info = mne.create_info(["ECG"], rate_hz, "ecg")
    raw = mne.io.RawArray(ecg[np.newaxis], info, verbose="error")
    found = mne.preprocessing.find_ecg_events(raw, verbose="error")[0][:, 0]
    filtered = mne.filter.filter_data(ecg, rate_hz, *_QRS_HZ, verbose="error")
    beats = _like_the_mean(filtered, found, rate_hz)
    seconds, rate = len(ecg) / rate_hz, 60 * rate_hz / np.median(np.diff(beats)) if len(beats) > 1 else 0.0
    if not RATES[0] <= rate <= RATES[1] or not RATES[0] <= 60 * len(beats) / seconds <= RATES[1]:
        raise HeartbeatError(
            f"the ECG beats {len(beats)} times in {seconds:.0f} s, {rate:.0f} a minute, and a heart {RATES[0]:g} to "
            f"{RATES[1]:g}: was its electrode off?"
        )
    shapes = _around(filtered, beats, rate_hz)
    alike = np.median([np.corrcoef(shape, shapes.mean(axis=0))[0, 1] for shape in shapes])
    if alike < _ONE_SHAPE:
        raise HeartbeatError(f"no two beats of the ECG look alike (r = {alike:.2f}): was its electrode off?")
    return np.asarray(beats / rate_hz, np.float64)


def _like_the_mean(ecg: Floats, found: NDArray[np.int64], rate_hz: float) -> NDArray[np.int64]:
    """Where the ECG looks as it does on average over these beats."""
    shapes = _around(ecg, found, rate_hz)
    if not len(shapes):
        return found
    mean = np.median(shapes, axis=0)
    likeness = scipy.signal.correlate(ecg, mean, mode="same")
    shortest = 60 / RATES[1] * rate_hz
    beats, _ = scipy.signal.find_peaks(likeness, height=_ALIKE * np.median(likeness[found]), distance=shortest)
    return np.asarray(beats, np.int64)


def _around(ecg: Floats, beats: NDArray[np.int64], rate_hz: float) -> Floats:
    """``(k, n)``, less the beats at the ends."""
    half = round(_QRS_S * rate_hz)
    inside = beats[(beats >= half) & (beats < len(ecg) - half)]
    return np.asarray(ecg[inside[:, np.newaxis] + np.arange(-half, half + 1)], np.float64)


def pulse_share(signals: Floats, beats: Floats, rate_hz: float) -> Floats:
    """How much of each signal's variance follows the heart in the same way after each beat, ``(n_signals,)``.

    About zero, a little below it too, where nothing does.

    Args:
        signals: ``(n_signals, n)``.
        beats: ``(n_beats,)`` in s.
        rate_hz: of the samples.
    """
    from_s, to_s = np.round(np.array([-_BEFORE_S, _AFTER_S]) * rate_hz).astype(np.int64)
    at = np.round(beats * rate_hz).astype(np.int64)
    at = at[(at + from_s >= 0) & (at + to_s <= signals.shape[1])]
    samples = at[:, np.newaxis] + np.arange(from_s, to_s)
    shares = np.zeros(len(signals))
    for number, signal in enumerate(signals):
        epochs = signal[samples] - signal[samples].mean(axis=1, keepdims=True)
        power = np.mean(epochs**2)
        # Of what does not follow the heart, a mean over beats still has its part.
        shares[number] = (np.mean(epochs.mean(axis=0) ** 2) / power - 1 / len(at)) if power > 0 else 0.0
    return shares


def remove_pulse(signals: Floats, beats: Floats, rate_hz: float, n_components: int) -> Floats:
    """Signals without what follows each heartbeat, ``(n_signals, n)``.

    What lies half an interval before the first beat, or after the last one, is as it was.

    Args:
        signals: ``(n_signals, n)`` without drift.
        beats: ``(n_beats,)`` in s.
        rate_hz: of the samples.
        n_components: by which beats vary about their mean.
    """
    # MNE-Python leaves beats alone that are not in the signal as a whole.
    pad = round(float(np.median(np.diff(beats))) * rate_hz)
    padded = np.pad(np.asarray(signals, np.float64), ((0, 0), (pad, pad)), mode="edge")
    raw = mne.io.RawArray(padded, mne.create_info(len(signals), rate_hz, "eeg"), copy="both", verbose="error")
    mne.preprocessing.apply_pca_obs(
        raw,
        picks="all",
        qrs_times=beats + _DELAY_S + pad / rate_hz,
        n_components=n_components,
        copy=False,
        verbose="error",
    )
    fitted = padded - padded.mean(axis=1, keepdims=True) - raw.get_data()
    # MNE-Python up to 1.13 subtracts what it has fitted a sample too early, which leaves a tenth of steep waves.
    candidates = [padded - np.roll(fitted, lag, axis=1) for lag in (0, 1)]
    cleaned = min(candidates, key=lambda each: float(np.var(each)))
    return np.asarray(cleaned[:, pad : pad + signals.shape[1]], np.float64)

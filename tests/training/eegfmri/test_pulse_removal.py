"""Heartbeats are found in an ECG whatever the scanner adds to it, and what follows them goes."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from cortexcast_models.simulation.spectrum import Spectrum
from cortexcast_training.eegfmri.pulse_removal import HeartbeatError, heartbeats, pulse_share, remove_pulse

RATE_HZ, SECONDS = 250.0, 60.0
TIMES = np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ


def beats_at(per_minute: float, seed: int) -> np.ndarray:
    intervals = 60 / per_minute * (1 + 0.05 * np.random.default_rng(seed).standard_normal(400))
    beats = np.cumsum(intervals)
    return beats[beats < SECONDS - 0.1]


def waves(beats: np.ndarray, shape: list[tuple[float, float, float]]) -> np.ndarray:
    """Time after the beat, height and width of each wave."""
    signal = np.zeros(len(TIMES))
    for late, height, width in shape:
        for beat in beats:
            signal += height * np.exp(-0.5 * ((TIMES - beat - late) / width) ** 2)
    return signal


def electrocardiogram(beats: np.ndarray, t_wave: float = 0.3) -> np.ndarray:
    return 1e-3 * waves(beats, [(-0.03, -0.1, 0.008), (0.0, 1.0, 0.01), (0.03, -0.2, 0.008), (0.25, t_wave, 0.04)])


def noise(n: int, seed: int = 0) -> np.ndarray:
    return 1e-5 * Spectrum(knee_hz=2.0, exponent=1.5).draw((n, len(TIMES)), RATE_HZ, np.random.default_rng(seed))


@settings(max_examples=25)
@given(st.floats(45, 130), st.floats(0.0, 1.2), st.integers(0, 99))
def test_every_beat_is_found_and_no_other(per_minute: float, t_wave: float, seed: int) -> None:
    """The scanner's field makes the T wave as high as the R peak."""
    beats = beats_at(per_minute, seed)
    found = heartbeats(electrocardiogram(beats, t_wave) + 3 * noise(1, seed)[0], RATE_HZ)
    inside = beats[(beats > 0.5) & (beats < SECONDS - 0.5)]
    assert np.abs(found[:, None] - beats).min(axis=1).max() < 0.03
    assert np.abs(found[:, None] - inside).min(axis=0).max() < 0.03


def test_an_ecg_upside_down_has_the_same_beats() -> None:
    beats = beats_at(66, 0)
    up, down = (heartbeats(sign * electrocardiogram(beats), RATE_HZ) for sign in (1, -1))
    np.testing.assert_allclose(up, down, atol=0.01)


@pytest.mark.parametrize(
    ("ecg", "message"),
    [
        (np.zeros(len(TIMES)), "the ECG is flat"),
        (np.full(len(TIMES), np.nan), "the ECG is flat"),
        (electrocardiogram(beats_at(66, 0))[:1000], "the ECG has 4.0 s, 10 s are needed"),
        (electrocardiogram(np.arange(1.0, SECONDS, 3.0)), "beats 20 times in 60 s, 20 a minute"),
        (1e-3 * np.random.default_rng(0).standard_normal(len(TIMES)), "no two beats of the ECG look alike"),
    ],
    ids=["flat", "no numbers", "short", "slow", "noise"],
)
def test_what_is_no_heart_is_an_error(ecg: np.ndarray, message: str) -> None:
    with pytest.raises(HeartbeatError, match=message):
        heartbeats(ecg, RATE_HZ)


@pytest.fixture(scope="module")
def pulse() -> tuple[np.ndarray, np.ndarray]:
    """Beats, and one signal of 30 µV that follows them, each time somewhat otherwise."""
    beats, rng = beats_at(66, 1), np.random.default_rng(1)
    signal = np.zeros(len(TIMES))
    for beat in beats:
        for late, height, width in ((0.18, 1.0, 0.035), (0.27, -0.8, 0.045), (0.4, 0.45, 0.07)):
            bump = np.exp(-0.5 * ((TIMES - beat - late) / width) ** 2)
            signal += 30e-6 * height * (1 + 0.2 * rng.standard_normal()) * bump
    return beats, signal - signal.mean()


def test_the_share_is_how_much_follows_the_heart(pulse: tuple[np.ndarray, np.ndarray]) -> None:
    beats, signal = pulse
    brain = noise(1)[0]
    half = signal * brain.std() / signal.std()
    shares = pulse_share(np.array([brain, signal, brain + half, np.zeros(len(TIMES))]), beats, RATE_HZ)
    np.testing.assert_allclose(shares, [0, 0.95, 0.5, 0], atol=0.06)


def test_the_pulse_goes(pulse: tuple[np.ndarray, np.ndarray]) -> None:
    """Where it is five times as large as the brain, as in the components that show it."""
    beats, signal = pulse
    brain = 0.2 * noise(4)
    cleaned = remove_pulse(brain + signal, beats, RATE_HZ, 3)
    inside = slice(round(2 * RATE_HZ), round((SECONDS - 2) * RATE_HZ))
    before, after = (np.mean((each - brain)[:, inside] ** 2) for each in (brain + signal, cleaned))
    assert 10 * np.log10(after / before) < -15
    assert np.abs(pulse_share(cleaned, beats, RATE_HZ)).max() < 0.02
    alpha = scipy.signal.butter(4, [8, 13], "bandpass", fs=RATE_HZ, output="sos")
    of_alpha = [scipy.signal.sosfiltfilt(alpha, each, axis=1)[:, inside].ravel() for each in (cleaned, brain)]
    assert np.corrcoef(of_alpha[0], of_alpha[1])[0, 1] > 0.9


def test_signals_stay_as_they_were_given(pulse: tuple[np.ndarray, np.ndarray]) -> None:
    beats, signal = pulse
    given_signals = np.tile(signal, (2, 1))
    remove_pulse(given_signals, beats, RATE_HZ, 1)
    assert np.array_equal(given_signals[0], signal)

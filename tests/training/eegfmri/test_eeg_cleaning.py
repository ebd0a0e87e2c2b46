"""What the scanner and the body add to EEG goes, the brain's own EEG and all of its time stay."""

from __future__ import annotations

from dataclasses import replace

import mne
import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scanned import Scanned

from cortexcast_training.eegfmri.axis_waveforms import axis_waveforms, remove_waveforms
from cortexcast_training.eegfmri.bands import BANDS
from cortexcast_training.eegfmri.components import remove_eyes_and_pulse
from cortexcast_training.eegfmri.eeg_cleaning import CleanEeg, CleaningError, CleaningSettings, _grid, clean_eeg
from cortexcast_training.eegfmri.gradient_removal import remove_gradients
from cortexcast_training.eegfmri.natview_eeg import EegRecording
from cortexcast_training.eegfmri.pulse_removal import HeartbeatError, heartbeats
from cortexcast_training.eegfmri.runs import electrode_power
from cortexcast_training.eegfmri.scanner_artefacts import draw_gradients
from cortexcast_training.eegfmri.simulator import BRAIN_HZ, ELECTRODES, REFERENCE
from cortexcast_training.eegfmri.volume_markers import MarkerError
from cortexcast_training.leadfield import electrode_positions

TR_S, TR = 2.1, 10_500
BLINKING = ("Fp1", "Fp2", "Fpz", "AF7", "AF8")


def band(signals: np.ndarray, low: float, high: float, rate_hz: float = BRAIN_HZ) -> np.ndarray:
    sections = scipy.signal.butter(4, [low, high], "bandpass", fs=rate_hz, output="sos")
    return np.asarray(scipy.signal.sosfiltfilt(sections, signals, axis=1))


def decibels(signals: np.ndarray, reference: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(signals**2) / np.mean(reference**2)))


def correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.array([np.corrcoef(*pair)[0, 1] for pair in zip(first, second, strict=True)])


def referred(signals: np.ndarray) -> np.ndarray:
    """Electrodes, recorded against the reference, and the reference, to their average."""
    with_reference = np.pad(signals[: len(ELECTRODES)].astype(np.float64), ((0, 1), (0, 0)))
    return np.asarray(with_reference - with_reference.mean(axis=0))


def during(scanned: Scanned) -> slice:
    """The scan, at the lower rate."""
    begin = int(scanned.recording.volumes[0] / 20)
    return slice(begin, begin + scanned.n_volumes * TR // 20)


def cut(recording: EegRecording, n_volumes: int) -> EegRecording:
    """Up to the end of so many volumes."""
    end = int(recording.volumes[0]) + n_volumes * TR
    events = tuple(marker for marker in recording.events if marker.sample < end)
    return replace(recording, eeg=recording.eeg[:, :end], volumes=recording.volumes[:n_volumes], events=events)


@pytest.fixture(scope="module")
def electrodes(cleaned: CleanEeg) -> np.ndarray:
    return np.asarray(cleaned.raw.get_data([*ELECTRODES, REFERENCE]))


@pytest.fixture(scope="module")
def without_gradients(scanned: Scanned) -> np.ndarray:
    """All else is still in it."""
    recording = scanned.recording
    averaged = remove_gradients(recording.eeg, recording.volumes, TR)
    cleaned = remove_waveforms(averaged, recording.volumes, axis_waveforms(recording.eeg, recording.volumes, TR))
    return referred(scipy.signal.resample_poly(cleaned, 1, 20, axis=1))


@pytest.mark.parametrize("late", [0, 3, 59])
def test_a_marker_that_is_a_sample_off_does_not_move_the_grid(late: int) -> None:
    markers = 32_500 + 10_500 * np.arange(60)
    off = markers.copy()
    off[late] += 1
    begins, tr_samples = _grid(off, 700_000)
    np.testing.assert_array_equal(begins, markers)
    assert tr_samples == 10_500


@given(st.lists(st.integers(-1, 1), min_size=2, max_size=300), st.sampled_from([10_499.7, 10_500.0, 10_500.02]))
def test_volumes_never_overlap_however_markers_jitter(off: list[int], tr: float) -> None:
    markers = 32_500 + np.round(tr * np.arange(len(off))).astype(np.int64) + off
    begins, tr_samples = _grid(markers, markers[-1] + 11_000)
    assert np.diff(begins).min() >= tr_samples > 10_490
    assert begins[-1] + tr_samples <= markers[-1] + 11_000


def test_time_is_never_cut(scanned: Scanned, cleaned: CleanEeg) -> None:
    recording = scanned.recording
    assert cleaned.raw.n_times / cleaned.raw.info["sfreq"] == recording.eeg.shape[1] / recording.rate_hz
    onsets: dict[str, list[float]] = {kind: [] for kind in ("R128", "S 1", "S 5", "S 99")}
    for annotation in cleaned.raw.annotations:
        onsets[" ".join(annotation["description"].split())].append(annotation["onset"])
    np.testing.assert_allclose(onsets["R128"], recording.volumes / recording.rate_hz)
    assert sum(map(len, onsets.values())) == len(recording.volumes) + len(recording.events)
    assert not any(name.startswith("BAD") for name in cleaned.raw.annotations.description)


def test_all_electrodes_and_the_reference_are_there_against_their_average(
    scanned: Scanned, cleaned: CleanEeg, electrodes: np.ndarray
) -> None:
    assert cleaned.raw.ch_names == [*ELECTRODES, REFERENCE, "ECG", "EOGL", "EOGU"]
    assert cleaned.raw.info["bads"] == []
    np.testing.assert_allclose(electrodes.mean(axis=0), 0, atol=1e-15)
    places = cleaned.raw.get_montage().get_positions()["ch_pos"]
    np.testing.assert_allclose(places[REFERENCE], scanned.recording.places[REFERENCE], atol=1e-9)


def test_gradients_fall_by_thirty_decibels(scanned: Scanned, cleaned: CleanEeg) -> None:
    recording, scanner = scanned.recording, scanned.settings.scanner
    voltage = np.zeros_like(recording.eeg)
    given = draw_gradients(scanner, len(voltage), scanned.n_volumes, TR, recording.rate_hz, 0, 0)
    for number, begin in enumerate(recording.volumes):
        voltage[:, begin : begin + TR] = given.of_volume(number)
    waveforms = axis_waveforms(recording.eeg, recording.volumes, TR)
    left = remove_waveforms(remove_gradients(voltage, recording.volumes, TR), recording.volumes, waveforms)
    slow = [band(scipy.signal.resample_poly(each, 1, 20, axis=1), 1, 40) for each in (left, voltage)]
    assert decibels(*slow) < -60
    assert cleaned.gradient_db > 30


def test_where_slices_repeat_nothing_sticks_out(scanned: Scanned, electrodes: np.ndarray) -> None:
    inside = during(scanned)
    hz, power = scipy.signal.welch(electrodes[:, inside], BRAIN_HZ, nperseg=1050)
    _, true = scipy.signal.welch(scanned.brain[:, inside], BRAIN_HZ, nperseg=1050)
    for harmonic in (1, 2):
        near = np.abs(hz - harmonic * scanned.settings.scanner.slices / TR_S) < 0.3
        # A little of the brain goes with them there.
        assert -3 < 10 * np.log10(power[:, near].mean() / true[:, near].mean()) < 1


@pytest.mark.parametrize("name", BANDS)
def test_the_brain_keeps_its_power(scanned: Scanned, electrodes: np.ndarray, name: str) -> None:
    """Simulated: less than a decibel is lost or added in any band."""
    inside = during(scanned)
    powers = [band(each, *BANDS[name])[:, inside] for each in (electrodes, scanned.brain)]
    assert abs(decibels(*powers)) < 1


def test_every_step_brings_electrodes_nearer_to_the_brain(
    scanned: Scanned, without_gradients: np.ndarray, electrodes: np.ndarray
) -> None:
    inside = during(scanned)
    recorded = referred(scipy.signal.resample_poly(scanned.recording.eeg, 1, 20, axis=1))
    steps = [
        correlations(*(band(each, 1, 40)[:, inside] for each in (step, scanned.brain)))
        for step in (recorded, without_gradients, electrodes)
    ]
    medians = [np.median(step) for step in steps]
    assert medians[0] < 0.05
    assert 0.4 < medians[1] < 0.75
    assert medians[2] > 0.93
    assert steps[2].min() > 0.7


def test_the_cleaned_eeg_is_not_late(scanned: Scanned, electrodes: np.ndarray) -> None:
    inside = during(scanned)
    first, second = (band(each, 1, 40)[:, inside] for each in (electrodes, scanned.brain))
    lags = range(-3, 4)
    assert max(lags, key=lambda lag: float(np.sum(np.roll(first, lag, axis=1) * second))) == 0


def test_the_pulse_goes(
    scanned: Scanned, cleaned: CleanEeg, without_gradients: np.ndarray, electrodes: np.ndarray
) -> None:
    assert np.median(cleaned.pulse_before) > 0.3
    assert np.abs(cleaned.pulse_after).max() < 0.1
    true = scanned.simulation.brain.body.heartbeats
    inside = true[(true > 0.5) & (true < electrodes.shape[1] / BRAIN_HZ - 0.5)]
    assert np.abs(cleaned.heartbeats[:, None] - inside).min(axis=0).max() < 0.02
    # What is not brain, where the pulse is, blinks aside.
    behind = [number for number, name in enumerate(ELECTRODES) if name[0] in "CPOT"]
    before, after = (band(each - scanned.brain, 1, 10)[behind] for each in (without_gradients, electrodes))
    assert decibels(after[:, during(scanned)], before[:, during(scanned)]) < -10


def test_blinks_go(scanned: Scanned, without_gradients: np.ndarray, electrodes: np.ndarray, cleaned: CleanEeg) -> None:
    assert cleaned.removed.eyes >= 1
    inside = during(scanned)
    blinks = band(scanned.simulation.brain.body.waveforms[:1], 1, 10)[:, inside]
    front = [ELECTRODES.index(name) for name in BLINKING]
    with_blinks, without = (band(each, 1, 10)[front][:, inside] for each in (without_gradients, electrodes))
    assert correlations(with_blinks, np.repeat(blinks, len(front), 0)).min() > 0.35
    assert np.abs(correlations(without, np.repeat(blinks, len(front), 0))).max() < 0.15


LOG_POWER = {
    "delta": 0.7,
    "theta": 0.8,
    "low alpha": 0.82,
    "high alpha": 0.85,
    "low beta": 0.85,
    "mid beta": 0.85,
    "high beta": 0.85,
    "gamma": 0.85,
}
"""The least correlation of log band power over time with the brain's own, median over electrodes."""


def test_log_band_power_follows_the_brains(scanned: Scanned, electrodes: np.ndarray) -> None:
    """As models see it."""
    names = [*ELECTRODES, REFERENCE]
    given = [
        electrode_power(each.astype(np.float32), BRAIN_HZ, names, [None] * len(names), "a test")
        for each in (electrodes, scanned.brain)
    ]
    hops = slice(during(scanned).start * 4 // 250 + 5, during(scanned).stop * 4 // 250)
    for number, name in enumerate(BANDS):
        first, second = (each[hops, :, number].T for each in given)
        assert np.median(correlations(first, second)) > LOG_POWER[name], name


def test_bad_electrodes_are_found_and_filled_from_the_others(scanned: Scanned) -> None:
    recording = cut(scanned.recording, 12)
    rng, eeg = np.random.default_rng(0), recording.eeg.copy()
    bads = ("C3", "Oz", "P6")
    for number, name in enumerate(bads):
        eeg[ELECTRODES.index(name)] = (0, 1e-4, 1e-5)[number] * rng.standard_normal(eeg.shape[1])
    cleaned = clean_eeg(replace(recording, eeg=eeg), 12, TR_S)
    assert cleaned.bads == bads
    inside = slice(during(scanned).start, during(scanned).start + 12 * TR // 20)
    filled = band(cleaned.raw.get_data(list(bads)), 1, 40)[:, inside]
    true = band(scanned.brain[[ELECTRODES.index(name) for name in bads]], 1, 40)[:, inside]
    assert correlations(filled, true).min() > 0.7


def test_the_same_recording_gives_the_same_samples(scanned: Scanned) -> None:
    recording, settings = cut(scanned.recording, 6), CleaningSettings(components=10)
    first, again = (clean_eeg(recording, 6, TR_S, settings) for _ in range(2))
    assert np.array_equal(first.raw.get_data(), again.raw.get_data())
    assert first.removed == again.removed


def travelling_pulse(beats: np.ndarray, n: int) -> np.ndarray:
    """One that no few components hold: it reaches the vertex later, and its field is another at each beat."""
    rng, times = np.random.default_rng(0), np.arange(n) / BRAIN_HZ
    places = np.array([electrode_positions()[name] for name in ELECTRODES])
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    smooth = np.linalg.cholesky(np.exp(2 * (places @ places.T - 1)) + 1e-6 * np.eye(len(places)))
    voltage = np.zeros((len(places), n))
    for late, height, width in ((0.18, 1.0, 0.035), (0.27, -0.8, 0.045), (0.4, 0.45, 0.07)):
        usual = smooth @ rng.standard_normal(len(places))
        for beat in beats:
            field = (1 + 0.2 * rng.standard_normal()) * usual + 0.25 * smooth @ rng.standard_normal(len(places))
            since = times - beat - late - 0.015 * places[:, 2:]
            voltage += 40e-6 * height * field[:, np.newaxis] * np.exp(-0.5 * (since / width) ** 2)
    return voltage


def test_a_pulse_of_no_few_components_goes_too(scanned: Scanned) -> None:
    body = scanned.simulation.brain.body
    eeg = scanned.simulation.brain.eeg[:, : round(45 * BRAIN_HZ)].astype(np.float64)
    n = eeg.shape[1]
    info = mne.create_info([*ELECTRODES, "EOGU"], BRAIN_HZ, ["eeg"] * len(ELECTRODES) + ["eog"])
    data = np.vstack([eeg + travelling_pulse(body.heartbeats, n), 1e-4 * body.waveforms[:1, :n]])
    raw = mne.io.RawArray(data, info, verbose="error").filter(0.5, 45, picks="all", verbose="error")
    before = raw.get_data()
    beats = heartbeats(body.waveforms[1, :n].astype(np.float64), BRAIN_HZ)
    removed = remove_eyes_and_pulse(raw, beats, 30, 3, 0)
    assert removed.eyes == 1
    assert removed.pulse > 3
    true = scanned.brain[:, :n]
    for low, high, before_less, after_more in ((1, 8, 0.6, 0.85), (8, 30, 1.0, 0.95)):
        medians = [
            np.median(correlations(*(band(each, low, high)[:, 250:-250] for each in (referred(data), true))))
            for data in (before, raw.get_data())
        ]
        assert medians[0] < before_less
        assert medians[1] > after_more


def flat_ecg(recording: EegRecording) -> EegRecording:
    eeg = recording.eeg.copy()
    eeg[recording.types.index("ecg")] = 0
    return replace(recording, eeg=eeg)


def broken(recording: EegRecording) -> EegRecording:
    eeg = recording.eeg.copy()
    eeg[: len(ELECTRODES) // 2] = 0
    return replace(recording, eeg=eeg)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda given: replace(given, volumes=given.volumes[:0]), MarkerError, "there is no R128 marker"),
        (lambda given: replace(given, volumes=given.volumes[:-1]), MarkerError, "5 R128 markers and 6 volumes"),
        (lambda given: replace(given, eeg=given.eeg[:, :-5000]), MarkerError, "the EEG ends .* before the scan does"),
        (flat_ecg, HeartbeatError, "the ECG is flat"),
        (broken, CleaningError, "30 of 61 electrodes are flat, noisy or unlike their neighbours, such as Fp1"),
    ],
    ids=["no markers", "other markers", "short", "flat ECG", "broken"],
)
def test_what_cannot_be_cleaned_is_refused(scanned: Scanned, change, error: type[Exception], message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=message):
        clean_eeg(change(cut(scanned.recording, 6)), 6, TR_S)


def test_a_rate_that_is_no_part_of_the_recordings_is_refused(scanned: Scanned) -> None:
    with pytest.raises(CleaningError, match="5000 Hz, no multiple of 240"):
        clean_eeg(cut(scanned.recording, 6), 6, TR_S, CleaningSettings(rate_hz=240.0))


def test_settings_without_a_passband_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"highpass_hz < lowpass_hz <= 0\.375 rate_hz must hold"):
        CleaningSettings(rate_hz=100.0)

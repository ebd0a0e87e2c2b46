from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import mne
import numpy as np
import pytest
from scipy.signal import welch

from cortexcast_models.bundle import read_bundle
from cortexcast_models.preprocessing import Preprocessor
from cortexcast_server.lsl_metadata import eeg_layout
from cortexcast_server.recording import Recording
from cortexcast_server.replayed_meg import find_sensors
from cortexcast_server.simulated_recording import RATE_HZ, simulate

BACK = {"O1", "Oz", "O2", "PO7", "PO3", "POz", "PO4", "PO8", "Iz", "P9", "P10"}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> mne.io.Raw:
    path = simulate(tmp_path_factory.mktemp("simulated") / "demo_raw.fif", 60.0, seed=1)
    return mne.io.read_raw(path, preload=True, verbose="error")


def test_it_replays_as_70_placed_electrodes_and_an_eog_and_holds_the_bundles_sensors(tmp_path: Path) -> None:
    recording = Recording(simulate(tmp_path / "short_raw.fif", 5.0))
    assert [channel.type for channel in recording.channels] == 70 * ["EEG"] + ["EOG"]
    assert all(len(channel.location) == 3 for channel in recording.channels[:70])
    assert (recording.rate_hz, recording.n_samples) == (500.0, 2500)
    manifest = read_bundle("meg-leadfield").manifest
    assert [channel.name for channel in recording.channels[:70]] == [each.name for each in manifest.montage]
    sensors = find_sensors(recording, [channel.name for channel in manifest.channels])
    assert sensors is not None
    assert sensors.tolist() == list(range(306))
    assert recording.simulated
    assert eeg_layout(recording.stream_info()).signal.simulated


def test_the_helmet_is_the_virtual_one(raw: mne.io.Raw) -> None:
    manifest = read_bundle("meg-leadfield").manifest
    for entry, channel, kind in zip(raw.info["chs"], manifest.channels, raw.get_channel_types("meg"), strict=False):
        np.testing.assert_allclose(entry["loc"], channel.location, atol=1e-6)
        assert (entry["coil_type"], kind) == (channel.coil_type, channel.type)
    pose = raw.info["dev_head_t"]["trans"]
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-6)


def test_the_same_seed_gives_the_same_recording_and_another_gives_another(tmp_path: Path) -> None:
    first, again = (Recording(simulate(tmp_path / f"{n}_raw.fif", 5.0, seed=3)) for n in range(2))
    other = Recording(simulate(tmp_path / "other_raw.fif", 5.0, seed=4))
    np.testing.assert_array_equal(first.read(0, 2500), again.read(0, 2500))
    np.testing.assert_array_equal(first.read_meg(0, 2500), again.read_meg(0, 2500))
    assert first.annotations == again.annotations
    assert not np.array_equal(first.read(0, 2500), other.read(0, 2500))


def test_amplitudes_are_those_of_scalp_eeg_and_of_meg(raw: mne.io.Raw) -> None:
    spread = 1e6 * raw.get_data("eeg").std(axis=1)
    assert 5 < np.median(spread) < 50
    assert spread.min() > 2
    assert spread.max() < 80
    assert 100e-15 < raw.get_data("mag").std() < 1000e-15
    assert 2e-12 < raw.get_data("grad").std() < 20e-12


def test_alpha_is_strongest_at_the_back(raw: mne.io.Raw) -> None:
    frequencies, power = welch(raw.get_data("eeg"), raw.info["sfreq"], nperseg=1000)
    alpha, around = (
        power[:, (frequencies >= low) & (frequencies <= high)].mean(axis=1) for low, high in ((9, 11), (13, 17))
    )
    assert raw.ch_names[306 + int((alpha / around).argmax())] in BACK


def test_annotations_tell_when_the_state_changes(raw: mne.io.Raw) -> None:
    onsets, labels = raw.annotations.onset, raw.annotations.description
    assert set(labels) <= {f"state/{state}" for state in range(16)}
    assert all(before != after for before, after in pairwise(labels))
    assert np.diff(onsets).min() > 0.19
    assert np.diff(onsets).max() < 1.01


def test_blinks_are_largest_at_the_forehead_and_in_the_eog_and_absent_from_the_truth(raw: mne.io.Raw) -> None:
    (eog,) = raw.get_data("eog")
    largest = int(eog.argmax())
    assert eog[largest] > 100e-6
    eeg = raw.get_data("eeg")[:, largest - 20 : largest + 20].mean(axis=1)
    assert raw.ch_names[306 + int(eeg.argmax())] in {"Fp1", "Fpz", "Fp2", "AF7", "AF8"}
    r = np.corrcoef(np.vstack([eog, raw.get_data("meg")]))[0, 1:]
    assert np.abs(r).max() < 0.15


def test_the_eeg_tells_of_the_meg_at_the_same_time(raw: mne.io.Raw) -> None:
    """A linear map, fitted to the first half, explains a share of the second, and less of it a sample off."""
    manifest = read_bundle("meg-leadfield").manifest

    def preprocessed(kind: str) -> np.ndarray:
        data = raw.get_data(kind).astype(np.float32)
        blocks = Preprocessor(manifest.preprocessing, RATE_HZ, len(data), manifest.hop).push(data)
        return np.concatenate([block.data for block in blocks], axis=1)

    eeg, meg = preprocessed("eeg"), preprocessed("mag")
    half = eeg.shape[1] // 2

    def explained(lag: int) -> float:
        target = np.roll(meg, lag, axis=1)
        gram = eeg[:, :half] @ eeg[:, :half].T
        gram += 1e-3 * np.trace(gram) / len(gram) * np.eye(len(gram))
        weights = np.linalg.solve(gram, eeg[:, :half] @ target[:, :half].T).T
        error = target[:, half:] - weights @ eeg[:, half:]
        return float(1 - (error**2).sum() / (target[:, half:] ** 2).sum())

    assert explained(0) > 0.15
    assert explained(0) > max(explained(-1), explained(1))

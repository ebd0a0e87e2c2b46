from __future__ import annotations

from pathlib import Path

import mne
import numpy as np
import pytest
from scipy.signal import welch

from cortexcast_server.recording import Recording
from cortexcast_server.simulated_recording import simulate


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> mne.io.Raw:
    path = simulate(tmp_path_factory.mktemp("simulated") / "demo_raw.fif", 60.0, seed=1)
    return mne.io.read_raw(path, preload=True, verbose="error")


def test_it_replays_as_64_placed_electrodes_and_an_eog(tmp_path: Path) -> None:
    recording = Recording(simulate(tmp_path / "short_raw.fif", 5.0))
    assert [channel.type for channel in recording.channels] == 64 * ["EEG"] + ["EOG"]
    assert all(len(channel.location) == 3 for channel in recording.channels[:64])
    assert (recording.rate_hz, recording.n_samples) == (500.0, 2500)


def test_the_same_seed_gives_the_same_recording_and_another_gives_another(tmp_path: Path) -> None:
    first, again = (Recording(simulate(tmp_path / f"{n}_raw.fif", 5.0, seed=3)) for n in range(2))
    other = Recording(simulate(tmp_path / "other_raw.fif", 5.0, seed=4))
    np.testing.assert_array_equal(first.read(0, 2500), again.read(0, 2500))
    assert first.annotations == again.annotations
    assert not np.array_equal(first.read(0, 2500), other.read(0, 2500))


def test_amplitudes_are_those_of_scalp_eeg(raw: mne.io.Raw) -> None:
    spread = 1e6 * raw.get_data("eeg").std(axis=1)
    assert 5 < np.median(spread) < 50
    assert spread.min() > 2
    assert spread.max() < 80


def test_alpha_is_strongest_at_the_back_and_waxes_and_wanes(raw: mne.io.Raw) -> None:
    frequencies, power = welch(raw.get_data("eeg"), raw.info["sfreq"], nperseg=1000)
    alpha = power[:, (frequencies >= 9) & (frequencies <= 11)].mean(axis=1)
    assert raw.ch_names[int(alpha.argmax())] in {"O1", "Oz", "O2", "PO7", "PO3", "POz", "PO4", "PO8", "Iz"}
    envelope = raw.copy().pick("Oz").filter(8, 12, verbose="error").apply_hilbert(envelope=True).get_data()[0]
    assert np.percentile(envelope, 90) > 3 * np.percentile(envelope, 10)


def test_faces_evoke_a_larger_n170_than_scrambled_pictures(raw: mne.io.Raw) -> None:
    clean = raw.copy().pick("eeg").set_eeg_reference(verbose="error")
    events, ids = mne.events_from_annotations(clean, verbose="error")
    epochs = mne.Epochs(clean, events, ids, -0.1, 0.4, preload=True, verbose="error")
    n170 = {label: epochs[label].average().get_data("P8", tmin=0.15, tmax=0.19).mean() for label in ids}
    assert n170["stimulus/face"] < n170["stimulus/scrambled"] - 1e-6


def test_blinks_are_largest_at_the_forehead_and_in_the_eog(raw: mne.io.Raw) -> None:
    (eog,) = raw.get_data("eog")
    largest = int(eog.argmax())
    assert eog[largest] > 100e-6
    eeg = raw.get_data("eeg")[:, largest - 20 : largest + 20].mean(axis=1)
    assert raw.ch_names[int(eeg.argmax())] in {"Fp1", "Fpz", "Fp2", "AF7", "AF8"}

"""What movement leaves of the gradients goes at once, and little of the brain with it."""

from __future__ import annotations

import numpy as np
import scipy.signal

from cortexcast_models.simulation.spectrum import Spectrum
from cortexcast_training.eegfmri.axis_waveforms import axis_waveforms, remove_waveforms
from cortexcast_training.eegfmri.gradient_removal import remove_gradients
from cortexcast_training.eegfmri.scanner_artefacts import ScannerArtefactSettings, draw_gradients

RATE_HZ, TR, N_VOLUMES, N_CHANNELS = 1000.0, 2100, 30, 12
BEGINS = 4000 + TR * np.arange(N_VOLUMES)
SETTINGS = ScannerArtefactSettings()


def brain() -> np.ndarray:
    slow = Spectrum(knee_hz=2.0, exponent=1.5).draw(
        (N_CHANNELS, 2000 + TR * N_VOLUMES // 4), 250.0, np.random.default_rng(0)
    )
    return (1e-5 * scipy.signal.resample_poly(slow, 4, 1, axis=1)).astype(np.float32)


def recorded(of_brain: np.ndarray, jump: float = 0.0) -> np.ndarray:
    """With gradients that, halfway, change at once by so much of themselves."""
    gradients = draw_gradients(SETTINGS, N_CHANNELS, N_VOLUMES, TR, RATE_HZ, 0, 0)
    eeg = of_brain.copy()
    for number, begin in enumerate(BEGINS):
        eeg[:, begin : begin + TR] += (1 + jump * (number >= N_VOLUMES // 2)) * gradients.of_volume(number)
    return eeg


def left(eeg: np.ndarray, clean: np.ndarray) -> tuple[float, float]:
    """RMS of what is left of the gradients in a scan, with the mean alone gone and with the waveforms gone too."""
    averaged = [remove_gradients(each, BEGINS, TR) for each in (eeg, clean)]
    waveforms = axis_waveforms(eeg, BEGINS, TR)
    fitted = [remove_waveforms(each, BEGINS, waveforms) for each in averaged]
    scan = slice(BEGINS[0], BEGINS[-1] + TR)
    return tuple(float(np.std((first - second)[:, scan])) for first, second in (averaged, fitted))  # type: ignore[return-value]


def test_the_ends_of_a_scan_are_as_clean_as_its_middle() -> None:
    before, after = left(recorded(brain()), brain())
    assert before > 2e-6
    assert after < 0.1 * before


def test_a_head_that_moves_at_once_leaves_little() -> None:
    before, after = left(recorded(brain(), jump=0.05), brain())
    assert before > 1e-5
    assert after < 1e-6


def test_the_brain_stays() -> None:
    averaged = remove_gradients(brain(), BEGINS, TR)
    cleaned = remove_waveforms(averaged, BEGINS, axis_waveforms(recorded(brain()), BEGINS, TR))
    scan = slice(BEGINS[0], BEGINS[-1] + TR)
    assert np.corrcoef(cleaned[:, scan].ravel(), averaged[:, scan].ravel())[0, 1] > 0.99
    for outside in (slice(BEGINS[0]), slice(BEGINS[-1] + TR, None)):
        assert np.array_equal(cleaned[:, outside], averaged[:, outside])


def test_axes_that_rest_have_no_waveform() -> None:
    gradients = draw_gradients(SETTINGS, N_CHANNELS, N_VOLUMES, TR, RATE_HZ, 0, 0)
    eeg = brain()
    for begin in BEGINS:
        eeg[:, begin : begin + TR] += (gradients.weights[0][:, :1] @ gradients.template[:1]).astype(np.float32)
    assert axis_waveforms(recorded(brain()), BEGINS, TR).shape == (3, TR)
    assert axis_waveforms(eeg, BEGINS, TR).shape == (1, TR)

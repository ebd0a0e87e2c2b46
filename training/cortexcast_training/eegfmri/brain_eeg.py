"""The EEG that networks make: rhythms whose power follows their activity, on a background that does not."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from cortexcast_models.manifest import Strict
from cortexcast_models.simulation.randomness import stream
from cortexcast_models.simulation.spectrum import Spectrum
from cortexcast_training.eegfmri.bands import BANDS
from cortexcast_training.eegfmri.networks import ACTIVITY_HZ, Activity, Networks
from cortexcast_training.head import Head

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_EDGE_HZ = 0.5
"""Over which a band's edge falls."""

_BACKGROUND = Spectrum(knee_hz=2.0, exponent=1.5)


class BrainEegSettings(Strict):
    """How strong it is."""

    rms_v: PositiveFloat = 10e-6
    """Of what networks and background make together, over electrodes."""
    strength_log_sd: NonNegativeFloat = 0.4
    """Of the logarithm of a patch's amplitude in each band, over subjects."""
    background_patches: PositiveInt = 200
    background_share: NonNegativeFloat = 0.5
    """Variance of the background in proportion to that of the networks."""


def draw_brain_eeg(
    networks: Networks,
    head: Head,
    activity: Activity,
    settings: BrainEegSettings,
    rate_hz: float,
    subject_seed: int,
    seed: int,
) -> Singles:
    """The EEG of a run, ``(70, n)`` in V, average referenced, rows in the order of ``leadfield.CAP``.

    Args:
        networks: the population's.
        head: the subject's.
        activity: of the networks in this run.
        settings: how strong it is.
        rate_hz: of the samples.
        subject_seed: draws what is the subject's own in all runs.
        seed: of the run.
    """
    n = round(len(activity.times) / ACTIVITY_HZ * rate_hz)
    fields = head.eeg @ networks.moments
    fields /= np.sqrt(np.mean(fields**2, axis=0))
    own = stream(subject_seed, "strengths").standard_normal((len(networks.network_of), len(BANDS)))
    strength = np.exp(settings.strength_log_sd * own) * networks.amplitude[networks.network_of]
    times = activity.times[0] + np.arange(n) / rate_hz
    eeg = np.zeros((len(fields), n), np.float32)
    for number, (name, band) in enumerate(BANDS.items()):
        rhythms = _rhythms(band, (len(strength), n), rate_hz, stream(seed, "rhythms", name))
        power = np.exp(networks.coupling[:, number, np.newaxis] * activity.values)
        for network, each in enumerate(np.sqrt(power)):
            rhythms[networks.network_of == network] *= np.interp(times, activity.times, each).astype(np.float32)
        # As much in each band as 1/f gives an octave.
        weights = fields * strength[:, number] / np.sqrt(np.mean(band))
        eeg += weights.astype(np.float32) @ rhythms
    background = _background(head, settings, n, rate_hz, subject_seed, seed)
    background *= np.sqrt(settings.background_share) * eeg.std() / background.std()
    eeg += background
    return np.asarray(settings.rms_v / eeg.std() * eeg, np.float32)


def _rhythms(band: tuple[float, float], shape: tuple[int, int], rate_hz: float, rng: np.random.Generator) -> Singles:
    """Independent Gaussian signals in a band, unit variance."""
    n = int(scipy.fft.next_fast_len(shape[1], real=True))
    hz = np.fft.rfftfreq(n, 1 / rate_hz)
    inside = np.interp(hz, [band[0] - _EDGE_HZ, band[0], band[1], band[1] + _EDGE_HZ], [0.0, 1.0, 1.0, 0.0])
    white = rng.standard_normal((shape[0], len(hz), 2), np.float32).view(np.complex64)[..., 0]
    signals = scipy.fft.irfft(white * inside.astype(np.float32), n, axis=1)[:, : shape[1]]
    return np.asarray(signals * np.float32(n / 2 / np.sqrt((inside**2).sum())), np.float32)


def _background(
    head: Head, settings: BrainEegSettings, n: int, rate_hz: float, subject_seed: int, seed: int
) -> Singles:
    dipoles = stream(subject_seed, "background").integers(head.eeg.shape[1], size=settings.background_patches)
    fields = head.eeg[:, dipoles]
    fields = fields / np.linalg.norm(fields, axis=0)
    signals = _BACKGROUND.draw((len(dipoles), n), rate_hz, stream(seed, "background"))
    return np.asarray(fields.astype(np.float32) @ signals, np.float32)

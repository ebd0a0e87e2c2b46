"""What a scanner does to EEG: the switching of its gradients, and the body's pulse in its field.

The gradients induce the same voltage in every volume, thousands of times the brain's, as long as the head is still:
the amplifier's clock is the scanner's, so volumes begin at the same place between samples. The pulse moves electrodes
in the static field after each heartbeat; no beat is like the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from cortexcast_models.manifest import Strict
from cortexcast_models.simulation.randomness import stream

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_N_AXES = 3
_SWITCHED_HZ = 900.0
"""Up to this frequency the gradients are switched; the amplifier keeps what lies below its own edge."""

_SMOOTH_VOLUMES = 5
"""Over which the head moves."""

_PULSE_WAVES = ((0.18, 1.0, 0.035), (0.27, -0.8, 0.045), (0.40, 0.45, 0.07))
"""Time from the R peak in s, height and width in s of the pulse's waves (Debener et al., *Int. J. Psychophysiol.* 67
(2008)): first in the neck, then in the scalp."""


class ScannerArtefactSettings(Strict):
    """How large."""

    slices: PositiveInt = 38
    """Excited one after the other in each volume."""
    gradient_v: NonNegativeFloat = 1.5e-3
    """RMS over electrodes and time while the scanner runs."""
    amplifier_hz: PositiveFloat = 250.0
    """Edge of the amplifier's low-pass."""
    drift: NonNegativeFloat = 0.01
    """By how much of itself the gradients' voltage changes over some minutes, as the head moves."""
    pulse_v: NonNegativeFloat = 40e-6
    """Peak of the pulse's first wave, RMS over electrodes."""
    pulse_variation: NonNegativeFloat = 0.2
    """Of its height and, by a tenth of that, its time, from beat to beat."""


@dataclass(frozen=True)
class Gradients:
    """What the gradients induce in one run.

    Attributes:
        template: ``(3, tr_samples)``, what a volume induces along each axis, RMS one.
        weights: ``(n_volumes, n_channels, 3)`` in V, what each channel shows of it in each volume.
    """

    template: Floats
    weights: Floats

    def of_volume(self, number: int) -> Singles:
        """The voltages of one volume, ``(n_channels, tr_samples)``."""
        return np.asarray(self.weights[number] @ self.template, np.float32)


def draw_gradients(
    settings: ScannerArtefactSettings,
    n_channels: int,
    n_volumes: int,
    tr_samples: int,
    rate_hz: float,
    subject_seed: int,
    seed: int,
) -> Gradients:
    """The gradients' voltages. How the cables lie is the subject's, how the head moves the run's."""
    still = stream(subject_seed, "gradients").standard_normal((n_channels, _N_AXES))
    still *= settings.gradient_v / np.sqrt(np.mean(np.sum(still**2, axis=1)))
    steps = stream(seed, "gradients").standard_normal((n_volumes, n_channels, _N_AXES))
    moved = scipy.ndimage.gaussian_filter1d(np.cumsum(steps, axis=0), _SMOOTH_VOLUMES, axis=0, mode="nearest")
    moved -= moved.mean(axis=0)
    size = np.sqrt(np.mean(moved**2))
    moved *= settings.drift * settings.gradient_v / np.sqrt(_N_AXES) / (size if size > 0 else 1.0)
    return Gradients(_template(settings, tr_samples, rate_hz), still + moved)


def draw_pulse(
    settings: ScannerArtefactSettings,
    n_channels: int,
    peaks: Floats,
    n_samples: int,
    rate_hz: float,
    subject_seed: int,
    seed: int,
) -> Singles:
    """The pulse in the field, ``(n_channels, n_samples)`` in V.

    Args:
        settings: how large.
        n_channels: each wave shows in them in a way of its own.
        peaks: the R peaks, in s.
        n_samples: at ``rate_hz``.
        rate_hz: of the samples.
        subject_seed: draws how the waves show.
        seed: of the run.
    """
    fields = stream(subject_seed, "pulse").standard_normal((n_channels, len(_PULSE_WAVES)))
    fields *= settings.pulse_v / np.sqrt(np.mean(fields**2, axis=0))
    rng, times = stream(seed, "pulse"), np.arange(n_samples) / rate_hz
    waveforms = np.zeros((len(_PULSE_WAVES), n_samples))
    for peak in peaks:
        for waveform, (late, height, width) in zip(waveforms, _PULSE_WAVES, strict=True):
            at = peak + late * (1 + 0.1 * settings.pulse_variation * rng.standard_normal())
            near = slice(*np.searchsorted(times, (at - 5 * width, at + 5 * width)))
            more = 1 + settings.pulse_variation * rng.standard_normal()
            waveform[near] += more * height * np.exp(-0.5 * ((times[near] - at) / width) ** 2)
    return np.asarray(fields.astype(np.float32) @ waveforms.astype(np.float32), np.float32)


def _template(settings: ScannerArtefactSettings, tr_samples: int, rate_hz: float) -> Floats:
    """It depends on the sequence alone, so it is the same for every subject."""
    rng = stream(0, "gradients")
    n_slice = tr_samples / settings.slices
    slice_hz = rate_hz / n_slice
    harmonics = np.arange(1, max(2, int(_SWITCHED_HZ / slice_hz)))
    size = rng.standard_normal((2, _N_AXES, len(harmonics))) / np.sqrt(harmonics)
    angle = 2 * np.pi * harmonics[:, np.newaxis] * np.arange(tr_samples) / n_slice
    template = size[0] @ np.cos(angle) + size[1] @ np.sin(angle)
    # Slices are excited in steps of the third axis, so no slice is quite like the other.
    template[2] *= 1 + 0.3 * (np.floor(np.arange(tr_samples) / n_slice) / settings.slices - 0.5)
    edge = 1 / (1 + (np.fft.rfftfreq(tr_samples, 1 / rate_hz) / settings.amplifier_hz) ** 10)
    template = np.fft.irfft(np.fft.rfft(template, axis=1) * edge, tr_samples, axis=1)
    return np.asarray(template / np.sqrt(np.mean(template**2, axis=1, keepdims=True)), np.float64)

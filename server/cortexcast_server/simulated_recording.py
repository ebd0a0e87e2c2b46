"""A simulated EEG recording for the demo: dipoles in a spherical head, seen by 64 electrodes. Not for training.

Each source is a current dipole whose field MNE's four-shell sphere model carries to the scalp (Berg and Scherg 1994,
Electroencephalogr. Clin. Neurophysiol. 90:58), so that topographies are possible ones. Time courses are noise of the
rhythm's band, which waxes and wanes as rhythms do, 1/f background, responses to pictures (P1, N170, P2; the N170 is
larger to faces), and blinks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import mne
import numpy as np
from numpy.typing import NDArray

RATE_HZ = 500.0
N_BACKGROUND = 100

Array = NDArray[np.float64]

# Direction from the centre of the head (x right, y front, z up), depth as a fraction of its radius, band in Hz, and the
# largest RMS at an electrode in volts.
_RHYTHMS = (
    ((-0.35, -1.0, 0.25), 0.75, (8.5, 11.5), 15e-6),  # occipital alpha, left and right
    ((0.35, -1.0, 0.25), 0.75, (8.5, 11.5), 12e-6),
    ((-0.8, 0.0, 0.9), 0.75, (10.0, 13.0), 5e-6),  # sensorimotor mu
    ((0.8, 0.0, 0.9), 0.75, (10.0, 13.0), 5e-6),
    ((0.0, 0.7, 0.8), 0.65, (4.5, 7.0), 5e-6),  # frontal midline theta
)
_VISUAL = (((-0.8, -0.85, -0.1), 0.7), ((0.8, -0.85, -0.1), 0.7))
_EYES = (((-0.35, 1.0, -0.3), 0.85), ((0.35, 1.0, -0.3), 0.85))

# Latency and width in seconds, and the sign and size of each deflection.
_RESPONSE = {
    "stimulus/face": ((0.10, 0.020, 0.6), (0.17, 0.022, -1.0), (0.24, 0.035, 0.5)),
    "stimulus/scrambled": ((0.10, 0.020, 0.6), (0.17, 0.022, -0.35), (0.24, 0.035, 0.5)),
}
_VISUAL_V, _BLINK_V, _BACKGROUND_V, _SENSOR_V = 8e-6, 120e-6, 6e-6, 0.5e-6


def simulate(path: Path, duration_s: float = 60.0, seed: int = 0) -> Path:
    """Write the recording: 64 EEG channels of the 10-10 system and a vertical EOG at 500 Hz, annotated.

    Args:
        path: the file to write, named ``*_raw.fif``; an older one is replaced.
        duration_s: its length.
        seed: of all that is random.
    """
    rng = np.random.default_rng(seed)
    montage = mne.channels.make_standard_montage("biosemi64")
    types = ["eeg"] * len(montage.ch_names) + ["eog"]
    info = mne.create_info([*montage.ch_names, "VEOG"], RATE_HZ, types, verbose="error")
    info.set_montage(montage)
    n_samples = round(duration_s * RATE_HZ)
    onsets = _times(rng, duration_s, first_s=1.0, shortest_s=0.9, longest_s=1.1)
    labels = rng.choice(list(_RESPONSE), len(onsets))
    blink = sum(
        (_bump(n_samples, onset, 0.06) for onset in _times(rng, duration_s, 2.5, 3.0, 6.0)), start=np.zeros(n_samples)
    )

    eeg = _brain(rng, info, n_samples, list(zip(onsets, labels, strict=True)))
    eeg += _scaled(_fields(info, _EYES).sum(axis=1), _BLINK_V)[:, np.newaxis] * blink
    veog = 1.5 * _BLINK_V * blink + _BACKGROUND_V * _noise(rng, n_samples, 1.0)
    data = np.vstack([eeg, veog])
    raw = mne.io.RawArray(data + _SENSOR_V * rng.standard_normal(data.shape), info, verbose="error")
    raw.set_annotations(mne.Annotations(onsets, np.zeros(len(onsets)), labels))
    raw.save(path, overwrite=True, verbose="error")
    return path


def _brain(rng: np.random.Generator, info: mne.Info, n_samples: int, stimuli: Sequence[tuple[float, str]]) -> Array:
    rhythms = _fields(info, [(direction, depth) for direction, depth, _, _ in _RHYTHMS])
    eeg = np.zeros((len(rhythms), n_samples))
    for field, (_, _, band, amplitude) in zip(rhythms.T, _RHYTHMS, strict=True):
        eeg += np.outer(_scaled(field, amplitude), _noise(rng, n_samples, 0.0, band))
    response = np.zeros(n_samples)
    for onset, label in stimuli:
        for latency, width, size in _RESPONSE[label]:
            response += size * _bump(n_samples, onset + latency, width)
    eeg += np.outer(_scaled(_fields(info, _VISUAL).sum(axis=1), _VISUAL_V), response)
    directions = rng.standard_normal((N_BACKGROUND, 3))
    directions[:, 2] = np.abs(directions[:, 2])
    background = _fields(info, list(zip(directions, rng.uniform(0.4, 0.8, N_BACKGROUND), strict=True)))
    background *= _BACKGROUND_V / np.sqrt((background**2).sum(axis=1).mean())
    for field in background.T:
        eeg += np.outer(field, _noise(rng, n_samples, 0.75))
    return eeg


def _fields(info: mne.Info, dipoles: Sequence[tuple[Sequence[float], float]]) -> Array:
    """The potential of radial unit dipoles at the EEG electrodes, ``(n_electrodes, n_dipoles)``."""
    sphere = mne.make_sphere_model("auto", "auto", info, verbose="error")
    normals = np.array([direction for direction, _ in dipoles], dtype=float)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    depths = np.array([depth for _, depth in dipoles])[:, np.newaxis]
    places = {"rr": sphere["r0"] + depths * sphere.radius * normals, "nn": normals}
    source = mne.setup_volume_source_space(pos=places, sphere=sphere, sphere_units="m", verbose="error")
    forward = mne.make_forward_solution(info, None, source, sphere, meg=False, verbose="error")
    gain = forward["sol"]["data"].reshape(-1, len(dipoles), 3)
    fields: Array = np.einsum("edx,dx->ed", gain, normals)
    return fields


def _scaled(field: Array, amplitude: float) -> Array:
    return field * (amplitude / float(np.abs(field).max()))


def _noise(
    rng: np.random.Generator, n_samples: int, slope: float, band: tuple[float, float] = (0.5, RATE_HZ / 2)
) -> Array:
    """Gaussian noise of unit RMS within a band, its amplitude falling as ``1 / f ** slope``."""
    frequencies = np.fft.rfftfreq(n_samples, 1 / RATE_HZ)
    inside = (frequencies >= band[0]) & (frequencies <= band[1])
    spectrum = np.zeros(len(frequencies), complex)
    parts = rng.standard_normal((2, int(inside.sum())))
    spectrum[inside] = (parts[0] + 1j * parts[1]) / frequencies[inside] ** slope
    noise: Array = np.fft.irfft(spectrum, n_samples)
    return noise / float(noise.std())


def _bump(n_samples: int, centre_s: float, width_s: float) -> Array:
    bump: Array = np.exp(-0.5 * ((np.arange(n_samples) / RATE_HZ - centre_s) / width_s) ** 2)
    return bump


def _times(
    rng: np.random.Generator, duration_s: float, first_s: float, shortest_s: float, longest_s: float
) -> list[float]:
    steps = rng.uniform(shortest_s, longest_s, int(duration_s / shortest_s))
    return [time for time in np.cumsum([first_s, *steps]).tolist() if time < duration_s - 0.5]

"""A simulated recording for the demo: EEG with blinks and noise, and the MEG behind it, free of noise: the truth.

Head, patches of cortex and their activity are of the kind that models are trained on; this head is none of theirs. See
``cortexcast_models.simulation``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mne
import numpy as np
from numpy.typing import NDArray

from cortexcast_models.simulation import SIMULATED
from cortexcast_models.simulation.activity import States, draw_spontaneous, draw_states
from cortexcast_models.simulation.head import HeadRecord, SimulatedHead, read_head
from cortexcast_models.simulation.randomness import stream
from cortexcast_server.offline import place_sensors

RATE_HZ = 500.0
DURATION_S = 60.0

_VEOG_V, _VEOG_NOISE_V = 300e-6, 5e-6
"""A blink's peak in the vertical EOG, and what else it shows."""

_BLINK_WIDTH_S = 0.06

Array = NDArray[np.float64]
Singles = NDArray[np.float32]


def simulate(path: Path, duration_s: float = DURATION_S, seed: int = 0) -> Path:
    """Write the recording: 70 EEG channels, a vertical EOG and 306 MEG channels at 500 Hz.

    Its annotations ``state/0`` and so on tell when the brain changes to another of its states.

    Args:
        path: the file to write, named ``*_raw.fif``; an older one is replaced.
        duration_s: its length.
        seed: of all that is random.
    """
    head = read_head()
    n_samples = round(duration_s * RATE_HZ)
    states = draw_states(head.record.switching, n_samples, RATE_HZ, seed)
    activity = draw_spontaneous(head.families, head.record.switching, states, RATE_HZ, seed)
    blinks = _blinks(n_samples, seed)
    eeg = head.eeg @ activity + np.outer(head.blink, blinks) + _noise(head, n_samples, seed)
    veog = _VEOG_V * blinks + _VEOG_NOISE_V * stream(seed, "EOG").standard_normal(n_samples)
    raw = mne.io.RawArray(np.vstack([head.meg @ activity, eeg, veog]), _info(head.record), verbose="error")
    raw.set_annotations(_annotations(states))
    raw.save(path, fmt="single", overwrite=True, verbose="error")
    return path


def _noise(head: SimulatedHead, n_samples: int, seed: int) -> Singles:
    white = stream(seed, "EEG noise").standard_normal((len(head.eeg_noise), n_samples), np.float32)
    return head.eeg_noise @ white * np.float32(np.sqrt(RATE_HZ / 2))


def _blinks(n_samples: int, seed: int) -> Array:
    """Each a bump of height one."""
    rng = stream(seed, "blinks")
    times = np.arange(n_samples) / RATE_HZ
    onsets = 2.5 + np.cumsum(rng.uniform(3.0, 6.0, int(times[-1] / 3.0)))
    bumps = np.exp(-0.5 * ((times - onsets[:, np.newaxis]) / _BLINK_WIDTH_S) ** 2)
    return np.asarray(bumps.sum(axis=0), np.float64)


def _info(record: HeadRecord) -> Any:
    sensors, names = record.sensors, [electrode.name for electrode in record.electrodes]
    types = [sensor.type for sensor in sensors] + ["eeg"] * len(names) + ["eog"]
    info = mne.create_info([*(sensor.name for sensor in sensors), *names, "VEOG"], RATE_HZ, types, verbose="error")
    place_sensors(info, sensors)
    places = {electrode.name: electrode.position for electrode in record.electrodes}
    info.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"), on_missing="ignore", verbose="error")
    with info._unlock():  # MNE offers no public way to place a helmet that no machine has measured
        info["dev_head_t"] = mne.transforms.Transform("meg", "head", record.dev_head_t)
    info["description"] = SIMULATED
    return info


def _annotations(states: States) -> mne.Annotations:
    changes = np.flatnonzero(np.diff(states)) + 1
    return mne.Annotations(changes / RATE_HZ, np.zeros(len(changes)), [f"state/{states[change]}" for change in changes])

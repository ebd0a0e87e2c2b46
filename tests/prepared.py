"""Small prepared recordings, made up: for what is done with windows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cortexcast_training.windows import Prepared

RATE_HZ, HOP = 200.0, 8


def noise_recording(n_hops: int, n_electrodes: int = 3, n_sensors: int = 2, seed: int = 0, **changes: Any) -> Prepared:
    """White noise, good throughout."""
    rng = np.random.default_rng(seed)
    fields: dict[str, Any] = {
        "subject": f"sub-{seed:02d}",
        "run": "run-01",
        "rate_hz": RATE_HZ,
        "hop": HOP,
        "simulated": False,
        "eeg": rng.standard_normal((n_hops * HOP, n_electrodes)).astype(np.float32),
        "meg": rng.standard_normal((n_hops * HOP, n_sensors)).astype(np.float32),
        "good": np.ones(n_hops, bool),
        "events": np.zeros((0, 2), np.int64),
    }
    return Prepared(**{**fields, **changes})


def marked(good: NDArray[np.bool_], **changes: Any) -> Prepared:
    """A recording whose EEG holds the number of the sample: what a window is made of can be read from it."""
    number = np.arange(len(good) * HOP, dtype=np.float32)
    eeg = np.stack([number, -number, 0 * number], axis=1)
    return noise_recording(len(good), eeg=eeg, meg=eeg[:, :2] + 0.5, good=good, **changes)


_DWELL_HOPS = 12


def hidden_states(n_hops: int, seed: int) -> NDArray[np.int64]:
    """The state of each hop of ``hidden_state_recording``, 0 or 1."""
    rng = np.random.default_rng([1, seed])
    return np.repeat(rng.integers(2, size=n_hops // _DWELL_HOPS + 1), _DWELL_HOPS)[:n_hops]


def hidden_state_recording(n_hops: int, seed: int, n_sensors: int = 4, **changes: Any) -> Prepared:
    """EEG of 70 electrodes and MEG that follows it linearly, by a map that turns its sign with a hidden state.

    What tells the state is the power of one pattern of EEG, which holds nothing of the MEG. So the best linear
    estimate explains half of the variance, that of a part which does not turn, and who knows the state all of it.
    """
    anatomy, rng = np.random.default_rng(0), np.random.default_rng([2, seed])
    patterns = anatomy.standard_normal((5, 70))
    patterns -= patterns.mean(axis=1, keepdims=True)
    maps = anatomy.standard_normal((2, 2, n_sensors))
    n = n_hops * HOP
    turned = np.repeat(hidden_states(n_hops, seed), HOP)[:, np.newaxis]
    activity = rng.standard_normal((n, 5))
    activity[:, 4:] *= 2.0 * turned
    eeg = 1e-5 * (activity @ patterns + 0.1 * rng.standard_normal((n, 70)))
    eeg -= eeg.mean(axis=1, keepdims=True)
    meg = activity[:, :2] @ maps[0] + np.where(turned, -1.0, 1.0) * (activity[:, 2:4] @ maps[1])
    signals = {"eeg": eeg.astype(np.float32), "meg": (1e-13 * meg).astype(np.float32)}
    return noise_recording(n_hops, seed=seed, **{**signals, **changes})

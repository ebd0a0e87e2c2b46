"""Remove what a scanner's gradients induce in EEG: average artefact subtraction.

The gradients induce the same in every volume, the brain does not. So the mean over neighbouring volumes is the
gradients' part of each, and slowly follows the head's movement. It asks for an amplifier whose clock is the scanner's,
else volumes begin at other places between samples.

Source: Allen et al., *NeuroImage* 12 (2000).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]

NEIGHBOURS = 12
"""Volumes before and after each one that its mean is over. Of the brain's own EEG one part in 25 is lost with it."""


def remove_gradients(eeg: Singles, begins: NDArray[np.int64], tr_samples: int, neighbours: int = NEIGHBOURS) -> Singles:
    """EEG without the gradients' voltages; what lies in no volume is as it was.

    Args:
        eeg: ``(n_channels, n)``, as it was recorded.
        begins: ``(n_volumes,)``, the sample where each volume begins, ascending.
        tr_samples: of a volume.
        neighbours: before and after each volume that its mean is over; fewer at the ends.

    Raises:
        ValueError: volumes overlap, or do not lie within the EEG.
    """
    if np.diff(begins).min(initial=tr_samples) < tr_samples:
        raise ValueError(f"volumes of {tr_samples} samples overlap")
    if len(begins) and (begins[0] < 0 or begins[-1] + tr_samples > eeg.shape[1]):
        ends = begins[-1] + tr_samples
        raise ValueError(f"volumes lie from sample {begins[0]} to {ends}, the EEG from 0 to {eeg.shape[1]}")
    cleaned = np.array(eeg, np.float32)
    samples = begins[:, np.newaxis] + np.arange(tr_samples)
    numbers = np.arange(len(begins))
    first, stop = np.maximum(numbers - neighbours, 0), np.minimum(numbers + neighbours + 1, len(begins))
    for channel in cleaned:
        volumes = channel[samples].astype(np.float64)
        # The level is the electrode's drift, no gradient.
        volumes -= volumes.mean(axis=1, keepdims=True)
        until = np.concatenate([np.zeros((1, tr_samples)), np.cumsum(volumes, axis=0)])
        channel[samples] -= ((until[stop] - until[first]) / (stop - first)[:, np.newaxis]).astype(np.float32)
    return cleaned

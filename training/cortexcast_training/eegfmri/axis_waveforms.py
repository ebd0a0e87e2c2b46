"""Remove what averages leave of the gradients' voltages once the head has moved: a mix of three waveforms.

What a changing field induces in a loop is linear in how fast it changes along each of three axes. So every channel
shows a mix of the same three waveforms, and a head that moves changes the mix alone. All channels together tell the
waveforms; the mix is fitted to each volume, so it may change at once.

Source: after Niazy et al., *NeuroImage* 28 (2005), who fit what remains with components of each channel by itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_AXES = 3
_SMALLEST = 0.01
"""Of a waveform in proportion to the largest: what is smaller is what is left of the brain in a mean over volumes."""


def axis_waveforms(eeg: Singles, begins: NDArray[np.int64], tr_samples: int) -> Floats:
    """What the gradients induce in a volume, orthonormal, ``(3, tr_samples)``, or less where axes rest.

    Args:
        eeg: ``(n_channels, n)``, as it was recorded.
        begins: ``(n_volumes,)``, the sample where each volume begins.
        tr_samples: of a volume.
    """
    samples = begins[:, np.newaxis] + np.arange(tr_samples)
    means = np.array([channel[samples].mean(axis=0, dtype=np.float64) for channel in eeg])
    means -= means.mean(axis=1, keepdims=True)
    _, sizes, waveforms = np.linalg.svd(means, full_matrices=False)
    return np.asarray(waveforms[:_AXES][sizes[:_AXES] > _SMALLEST * sizes[0]], np.float64)


def remove_waveforms(eeg: Singles, begins: NDArray[np.int64], waveforms: Floats) -> Singles:
    """EEG without these waveforms in each volume.

    Args:
        eeg: ``(n_channels, n)``, without the mean gradients.
        begins: ``(n_volumes,)``, the sample where each volume begins.
        waveforms: ``(k, tr_samples)``, orthonormal.
    """
    cleaned = np.array(eeg, np.float32)
    samples = begins[:, np.newaxis] + np.arange(waveforms.shape[1])
    for channel in cleaned:
        volumes = channel[samples].astype(np.float64)
        channel[samples] -= (volumes @ waveforms.T @ waveforms).astype(np.float32)
    return cleaned

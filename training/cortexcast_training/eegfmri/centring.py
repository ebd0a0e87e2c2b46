"""Band power against what this wearer has shown so far: the logarithm's mean over the last minutes is taken away.

How strong a rhythm is on average says more of a head and its electrodes than of what the brain does now. The mean is
over all that was seen, until that is ``LEVEL_HOPS``; from then on what is older fades. It is what a stream can know.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cortexcast_training.eegfmri.band_power import HOP, WINDOW

Singles = NDArray[np.float32]

SETTLE_HOPS = WINDOW // HOP
"""The first hops, whose window is not full: they count as unknown, which is zero."""

LEVEL_HOPS = 480
"""Two minutes."""


def centred(power: Singles) -> Singles:
    """Log band power without its mean so far, of the same shape.

    Args:
        power: ``(n_hops, ...)`` from a recording's beginning on.
    """
    level = np.zeros(power.shape[1:], np.float32)
    out = np.zeros(power.shape, np.float32)
    for hop in range(SETTLE_HOPS, len(power)):
        level += (power[hop] - level) / np.float32(min(hop - SETTLE_HOPS + 1, LEVEL_HOPS))
        out[hop] = power[hop] - level
    return out

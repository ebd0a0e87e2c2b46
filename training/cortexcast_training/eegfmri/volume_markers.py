"""Where in the EEG each volume begins, by the markers that the scanner sends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

VOLUME = "R128"
"""The marker of a volume, as BrainVision's recorder writes it."""

_TOLERANCE_SAMPLES = 1


class MarkerError(Exception):
    """The markers do not fit the scan. The message says where, and what to do."""


def volume_begins(
    markers: NDArray[np.int64], n_volumes: int, tr_s: float, rate_hz: float, n_samples: int
) -> NDArray[np.int64]:
    """The sample where each volume of a scan begins, ``(n_volumes,)``.

    Args:
        markers: samples of the ``R128`` markers, ascending.
        n_volumes: of the scan.
        tr_s: from volume to volume.
        rate_hz: of the EEG.
        n_samples: of the EEG.

    Raises:
        MarkerError: markers are missing or doubled, are not a TR apart, are not as many as the volumes, or the EEG ends
            before the scan does.
    """
    tr = tr_s * rate_hz
    if not len(markers):
        raise MarkerError(
            f"there is no {VOLUME} marker: EEG that was not recorded during a scan cannot be used with one"
        )
    apart = np.diff(markers)
    if len(doubled := np.flatnonzero(apart < 0.5 * tr)):
        raise MarkerError(
            f"{len(doubled)} {VOLUME} markers are doubled, the first at {_at(markers[doubled[0] + 1], rate_hz)}: "
            "remove them from the events"
        )
    if len(missing := np.flatnonzero(apart > 1.5 * tr)):
        n = int(np.sum(np.round(apart[missing] / tr) - 1))
        raise MarkerError(
            f"{n} {VOLUME} markers are missing, the first after {_at(markers[missing[0]], rate_hz)}: add them to the "
            f"events, {tr_s:g} s apart"
        )
    if len(markers) != n_volumes:
        raise MarkerError(
            f"there are {len(markers)} {VOLUME} markers and {n_volumes} volumes: give the scan of this recording, or "
            "cut the volumes that have no marker"
        )
    if len(apart) and np.abs(apart - tr).max() > _TOLERANCE_SAMPLES:
        raise MarkerError(
            f"{VOLUME} markers are {apart.min()} to {apart.max()} samples apart and the TR of {tr_s:g} s is {tr:g}: "
            "the TR is another one, or the amplifier's clock was not the scanner's"
        )
    if markers[-1] + tr > n_samples + _TOLERANCE_SAMPLES:
        short_s = (markers[-1] + tr - n_samples) / rate_hz
        raise MarkerError(f"the EEG ends {short_s:.1f} s before the scan does: cut the last volumes and their markers")
    return np.asarray(markers, np.int64)


def _at(sample: int, rate_hz: float) -> str:
    return f"sample {sample} ({sample / rate_hz:.1f} s)"

"""Remove eyes and pulse from EEG by its independent components: blinks with their component, of the pulse what recurs.

A component that follows the heart holds brain too, so it is not dropped: from its signal goes what follows each
heartbeat. Channel by channel the same would cost delta in all channels, and blinks, far larger, would be taken for
what varies from beat to beat; that is why components come first. Neither eyes nor pulse reach above ``HIGHEST_HZ``, so
nothing is taken from there.

Source: independent components by Picard, Ablin et al., *IEEE Trans. Signal Process.* 66 (2018), in MNE-Python; after
Debener et al., *NeuroImage* 34 (2007), who join components and optimal basis sets in the other order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mne
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from cortexcast_training.eegfmri.pulse_removal import pulse_share, remove_pulse

Floats = NDArray[np.float64]

HIGHEST_HZ = 20.0

_FIT_FROM_HZ = 1.0
"""Below, drifts would make components of their own."""
_FIT_RATE_HZ = 125.0
"""Enough for what is filtered to 45 Hz, in half of the time."""
_MAX_STEPS = 1000
_TOLERANCE = 1e-4

_EYES = 0.4
"""Correlation of a component with the EOG, 1 to 10 Hz. Blinks have 0.8, all others less than 0.1."""
_PULSE = 0.05
"""Share of a component's variance that follows the heart."""


@dataclass(frozen=True)
class Removed:
    """What was removed.

    Attributes:
        eyes: how many components.
        pulse: how many components that the pulse is in.
    """

    eyes: int
    pulse: int


def remove_eyes_and_pulse(raw: Any, beats: Floats, n_components: int, n_pulse: int, seed: int) -> Removed:
    """Take eyes and pulse out of an ``mne.io.RawArray``, in place; bad channels stay as they are.

    Args:
        raw: EEG and EOG without drift. Without an EOG blinks stay.
        beats: ``(n_beats,)`` in s, the R peaks.
        n_components: that the EEG is taken apart into; what is beyond them is left alone.
        n_pulse: components by which the pulse varies from beat to beat.
        seed: where the search for components starts.
    """
    rate_hz = raw.info["sfreq"]
    good = mne.pick_types(raw.info, eeg=True)
    ica = mne.preprocessing.ICA(
        n_components=min(n_components, len(good) - 1),
        method="picard",
        fit_params={"tol": _TOLERANCE},
        max_iter=_MAX_STEPS,
        random_state=seed,
        verbose="error",
    )
    slow_free = raw.copy().pick(good).filter(_FIT_FROM_HZ, None, verbose="error")
    # The steps are many and small: threads would but wait for each other.
    with threadpool_limits(1):
        ica.fit(slow_free, decim=max(1, int(rate_hz / _FIT_RATE_HZ)), verbose="error")
    sources = ica.get_sources(raw).get_data()
    eyes = _eyes(ica, raw, beats)
    follows = pulse_share(sources, beats, rate_hz) > _PULSE
    pulse = [number for number in np.flatnonzero(follows) if number not in eyes]

    artefacts = np.zeros_like(sources)
    artefacts[eyes] = sources[eyes]
    if pulse:
        artefacts[pulse] = sources[pulse] - remove_pulse(sources[pulse], beats, rate_hz, n_pulse)
    artefacts = mne.filter.filter_data(artefacts, rate_hz, None, HIGHEST_HZ, verbose="error")
    raw._data[good] -= (ica.pre_whitener_ * ica.get_components()) @ artefacts
    return Removed(len(eyes), len(pulse))


def _eyes(ica: Any, raw: Any, beats: Floats) -> list[int]:
    """The components that go with the EOG. Above and below an eye brain and pulse are much the same: not so blinks."""
    picks = mne.pick_types(raw.info, eog=True)
    if not len(picks):
        return []
    eog = raw.get_data(picks)
    if len(eog) == 2:
        eog = np.diff(eog, axis=0)
    # The mean pulse alone: components of it would take blinks with them.
    eog = remove_pulse(eog, beats, raw.info["sfreq"], 0)
    names = [f"eye {number}" for number in range(len(eog))]
    others = mne.io.RawArray(eog, mne.create_info(names, raw.info["sfreq"], "eog"), verbose="error")
    together = raw.copy().pick(ica.ch_names).add_channels([others], force_update_info=True)
    found, _ = ica.find_bads_eog(together, names, threshold=_EYES, measure="correlation", verbose="error")
    return [int(number) for number in found]

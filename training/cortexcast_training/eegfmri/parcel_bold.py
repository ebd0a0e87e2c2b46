"""The BOLD of parcels: what networks make of it, what is the parcel's own, and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat

from cortexcast_models.manifest import Strict
from cortexcast_models.simulation.randomness import stream
from cortexcast_training.eegfmri.hemodynamics import bold
from cortexcast_training.eegfmri.networks import ACTIVITY_HZ, Activity, Networks, fading

Floats = NDArray[np.float64]

WARM_UP_S = 30.0
"""Activity that long ago still shows a little."""


class BoldSettings(Strict):
    """What parcels show."""

    tr_s: PositiveFloat = 2.1
    neural_percent: PositiveFloat = 1.0
    """Standard deviation of the signal change that neural activity makes."""
    private_share: float = Field(0.4, ge=0, lt=1)
    """Of that variance which is the parcel's own, and in no network."""
    coupled_share: float = Field(1.0, gt=0, le=1)
    """Of the parcels, in which networks show: in the others all of it is the parcel's own."""
    snr: PositiveFloat = 1.0
    """Of that variance in proportion to the noise's."""
    noise_autocorrelation: float = Field(0.3, ge=0, lt=1)
    """Of the noise from volume to volume."""


@dataclass(frozen=True)
class ParcelBold:
    """The BOLD of one run.

    Attributes:
        times: ``(n_volumes,)`` in s, when each volume begins; values are of that time.
        signal: ``(n_parcels, n_volumes)``, change in percent.
        neural: likewise, what neural activity makes of it.
        visible: likewise, what activity makes that electrodes see: no more can be predicted from EEG.
        course: ``(n_parcels, n)`` at ``networks.ACTIVITY_HZ`` from time zero, what ``neural`` is from volume to volume.
    """

    times: Floats
    signal: Floats
    neural: Floats
    visible: Floats
    course: Floats


def draw_parcel_bold(
    networks: Networks, activity: Activity, settings: BoldSettings, n_volumes: int, seed: int
) -> ParcelBold:
    """The BOLD of a run.

    Args:
        networks: the population's.
        activity: of the networks, from ``WARM_UP_S`` before the first volume, which begins at time zero.
        settings: what parcels show.
        n_volumes: of the scan, which ends before the activity does.
        seed: of the run.
    """
    n_during = int((activity.times >= 0).sum())
    times = settings.tr_s * np.arange(n_volumes, dtype=np.float64)
    at = np.round(times * ACTIVITY_HZ).astype(np.int64)
    # Of the whole population, not of this run: else a run would tell of its end at its beginning.
    scale = _response_sd(networks)

    def response(neural: Floats) -> Floats:
        return bold(neural, networks.peaks_s, ACTIVITY_HZ)[:, -n_during:] / scale

    seen = np.where(networks.is_deep[:, np.newaxis], 0.0, activity.values)
    of_networks, visible = (response(networks.to_bold @ each) for each in (activity.values, seen))
    shape = len(networks.to_bold), len(activity.times)
    private = response(fading(shape, networks.settings.keep, stream(seed, "private")))
    drawn = stream(networks.settings.anatomy_seed, "coupled").permutation(len(networks.to_bold))[:, np.newaxis]
    share = np.where(drawn < settings.coupled_share * len(drawn), settings.private_share, 1.0)
    course = settings.neural_percent * (np.sqrt(1 - share) * of_networks + np.sqrt(share) * private)
    neural = course[:, at]
    noise = fading(neural.shape, settings.noise_autocorrelation, stream(seed, "BOLD noise"))
    return ParcelBold(
        times=times,
        signal=neural + settings.neural_percent / np.sqrt(settings.snr) * noise,
        neural=neural,
        visible=settings.neural_percent * np.sqrt(1 - share) * visible[:, at],
        course=course,
    )


def _response_sd(networks: Networks) -> Floats:
    """Of what spontaneous activity of unit variance makes in each parcel, ``(n_parcels, 1)``."""
    impulse = np.zeros((len(networks.to_bold), round(2 * WARM_UP_S * ACTIVITY_HZ)))
    impulse[:, 0] = 1.0
    spectrum = np.abs(np.fft.rfft(bold(impulse, networks.peaks_s, ACTIVITY_HZ), axis=1)) ** 2
    keep = networks.settings.keep
    angle = 2 * np.pi * np.fft.rfftfreq(impulse.shape[1])
    density = (1 - keep**2) / np.abs(1 - keep * np.exp(-1j * angle)) ** 2
    weights = np.r_[1.0, np.full(len(angle) - 2, 2.0), 1.0] / impulse.shape[1]
    return np.asarray(np.sqrt((weights * density * spectrum).sum(axis=1))[:, np.newaxis], np.float64)

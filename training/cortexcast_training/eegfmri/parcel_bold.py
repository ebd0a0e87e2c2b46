"""The BOLD of parcels: what networks make of it, what is the parcel's own, and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.signal
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat

from cortexcast_models.manifest import Strict
from cortexcast_models.simulation.randomness import stream
from cortexcast_training.eegfmri.hemodynamics import bold
from cortexcast_training.eegfmri.networks import ACTIVITY_HZ, Activity, Networks

Floats = NDArray[np.float64]

_BURN_IN_S = 60.0


class BoldSettings(Strict):
    """What parcels show."""

    tr_s: PositiveFloat = 2.1
    neural_percent: PositiveFloat = 1.0
    """Standard deviation of the signal change that neural activity makes."""
    private_share: float = Field(0.4, ge=0, lt=1)
    """Of that variance which is the parcel's own, and in no network."""
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

    def until(self, n_volumes: int) -> ParcelBold:
        """The first volumes."""
        kept = slice(n_volumes)
        return ParcelBold(
            self.times[kept], self.signal[:, kept], self.neural[:, kept], self.visible[:, kept], self.course
        )


def draw_parcel_bold(networks: Networks, activity: Activity, settings: BoldSettings, seed: int) -> ParcelBold:
    """The BOLD of a run.

    Args:
        networks: the population's.
        activity: of the networks in this run; volumes begin at time zero, in steps of ``ACTIVITY_HZ``.
        settings: what parcels show.
        seed: of the run.
    """
    n_parcels, during = len(networks.to_bold), activity.times >= 0
    times = np.arange(0.0, during.sum() / ACTIVITY_HZ, settings.tr_s)
    at = np.round(times * ACTIVITY_HZ).astype(np.int64)
    at = at[at < during.sum()]

    def response(neural: Floats) -> Floats:
        return bold(neural, networks.peaks_s, ACTIVITY_HZ)[:, -during.sum() :]

    # Of the whole population, not of this run: else a run would tell of its end at its beginning.
    scale = _response_sd(networks)
    seen = np.where(networks.is_deep[:, np.newaxis], 0.0, activity.values)
    of_networks, visible = (response(networks.to_bold @ each) / scale for each in (activity.values, seen))
    keep = np.exp(-1 / (ACTIVITY_HZ * networks.settings.timescale_s))
    n_before = round(_BURN_IN_S * ACTIVITY_HZ)
    white = stream(seed, "private").standard_normal((n_parcels, n_before + len(activity.times)))
    private = response(scipy.signal.lfilter([np.sqrt(1 - keep**2)], [1.0, -keep], white)) / scale
    share = settings.private_share
    course = settings.neural_percent * (np.sqrt(1 - share) * of_networks + np.sqrt(share) * private)
    neural = course[:, at]
    return ParcelBold(
        times=times[: len(at)],
        signal=neural + _noise(settings, neural.shape, seed),
        neural=neural,
        visible=settings.neural_percent * np.sqrt(1 - share) * visible[:, at],
        course=course,
    )


def _response_sd(networks: Networks) -> Floats:
    """Of what spontaneous activity of unit variance makes in each parcel, ``(n_parcels, 1)``."""
    impulse = np.zeros((len(networks.to_bold), round(_BURN_IN_S * ACTIVITY_HZ)))
    impulse[:, 0] = 1.0
    spectrum = np.abs(np.fft.rfft(bold(impulse, networks.peaks_s, ACTIVITY_HZ), axis=1)) ** 2
    keep = np.exp(-1 / (ACTIVITY_HZ * networks.settings.timescale_s))
    angle = 2 * np.pi * np.fft.rfftfreq(impulse.shape[1])
    density = (1 - keep**2) / np.abs(1 - keep * np.exp(-1j * angle)) ** 2
    weights = np.r_[1.0, np.full(len(angle) - 2, 2.0), 1.0] / impulse.shape[1]
    return np.asarray(np.sqrt((weights * density * spectrum).sum(axis=1))[:, np.newaxis], np.float64)


def _noise(settings: BoldSettings, shape: tuple[int, ...], seed: int) -> Floats:
    keep = settings.noise_autocorrelation
    white = stream(seed, "BOLD noise").standard_normal(shape)
    white[:, 1:] *= np.sqrt(1 - keep**2)
    noise = scipy.signal.lfilter([1.0], [1.0, -keep], white)
    return np.asarray(settings.neural_percent / np.sqrt(settings.snr) * noise, np.float64)

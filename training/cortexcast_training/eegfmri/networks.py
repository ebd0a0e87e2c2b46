"""The networks of the simulated brain: how active each is, and what that does to EEG and to BOLD.

A network's activity is a slow process. The film drives a part of it; the rest is spontaneous. It shows twice: in BOLD,
through the hemodynamic response, in the parcels that belong to it; in EEG, as the power of rhythms that patches of its
cortex make. Networks that lie deep show in BOLD alone.

All of this is the population's: what a subject's own head and brain change is drawn by ``subject``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import scipy.signal
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits

from cortexcast_models.manifest import Strict
from cortexcast_models.simulation.randomness import stream
from cortexcast_training.eegfmri.bands import BANDS
from cortexcast_training.eegfmri.film import Film, FilmSettings
from cortexcast_training.eegfmri.hemodynamics import EARLIEST_S, LATEST_S
from cortexcast_training.eegfmri.parcels import parcels
from cortexcast_training.leadfield import cortex
from cortexcast_training.sources import patch_moments

Floats = NDArray[np.float64]

ACTIVITY_HZ = 4.0

DEEP = ("MedialTemporalLobe", "Reward")
"""Networks that no electrode sees."""

DRIVEN = ("Visual", "Auditory", "DorsalAttention", "VentralAttention", "DefaultMode")
"""Networks that a film drives most."""

_UNASSIGNED = "unassigned"


class NetworkSettings(Strict):
    """What networks do, and how it shows."""

    anatomy_seed: NonNegativeInt = 7
    """Draws all that is the population's."""
    film: FilmSettings = FilmSettings()
    driven_share: float = Field(0.6, ge=0, le=1)
    """Of the variance of a network's activity that the film drives, in the networks that it drives most."""
    other_share: float = Field(0.2, ge=0, le=1)
    """Likewise in all others."""
    timescale_s: PositiveFloat = 4.0
    """Over which spontaneous activity falls to 1/e."""
    patches_per_network: PositiveInt = 6
    patch_range_m: PositiveFloat = 0.015
    coupling: NonNegativeFloat = 0.6
    """Typical change of the logarithm of a rhythm's power by one standard deviation of the network's activity."""
    amplitude_log_sd: NonNegativeFloat = 0.5
    """Of the logarithm of a network's amplitude in each band."""
    mixing: NonNegativeFloat = 0.15
    """Of other networks in a parcel's BOLD, in proportion to its own."""
    delay_s: PositiveFloat = 5.25
    delay_log_sd: NonNegativeFloat = 0.12
    """Of the time to the peak of the hemodynamic response, over parcels."""

    @property
    def keep(self) -> float:
        """Of spontaneous activity, the share that is left a step of ``ACTIVITY_HZ`` later."""
        return float(np.exp(-1 / (ACTIVITY_HZ * self.timescale_s)))


@dataclass(frozen=True)
class Networks:
    """The networks.

    Attributes:
        settings: what they were drawn by.
        names: of the networks, ``n``.
        is_deep: ``(n,)``: no electrode sees it.
        to_bold: ``(n_parcels, n)``, rows of length one.
        peaks_s: ``(n_parcels,)``, of the hemodynamic responses.
        by_film: ``(n, dimensions)``, what of the film drives each, rows of length one.
        film_share: ``(n,)``, of the variance of its activity.
        coupling: ``(n, n_bands)``, change of the logarithm of power by one standard deviation of activity.
        amplitude: ``(n, n_bands)``, of the patches' rhythms, in proportion.
        moments: ``(n_dipoles, n_patches)``, at ``leadfield.coarse_vertices()``, of each patch; they add up to one.
        network_of: ``(n_patches,)``, to which network each belongs.
    """

    settings: NetworkSettings
    names: tuple[str, ...]
    is_deep: NDArray[np.bool_]
    to_bold: Floats
    peaks_s: Floats
    by_film: Floats
    film_share: Floats
    coupling: Floats
    amplitude: Floats
    moments: Floats
    network_of: NDArray[np.int64]


@dataclass(frozen=True)
class Activity:
    """How active networks are.

    Attributes:
        times: ``(n,)`` in s, every one over ``ACTIVITY_HZ``; zero is when the film begins.
        values: ``(n_networks, n)``, of about unit variance.
    """

    times: Floats
    values: Floats

    def since(self, begin_s: float) -> Activity:
        """From this time on."""
        later = self.times >= begin_s
        return Activity(self.times[later], self.values[:, later])


@cache
def draw_networks(settings: NetworkSettings) -> Networks:
    """The networks of these settings."""

    def rng(ingredient: str) -> np.random.Generator:
        return stream(settings.anatomy_seed, "networks", ingredient)

    names = tuple(sorted(set(parcels().networks) - {_UNASSIGNED}))
    n, n_bands, n_parcels = len(names), len(BANDS), len(parcels().names)
    moments, network_of = _patches(names, settings, rng("patches"))
    by_film = rng("film").standard_normal((n, settings.film.dimensions))
    sign = rng("sign").choice([-1.0, 1.0], (n, n_bands))
    delays = settings.delay_s * np.exp(settings.delay_log_sd * rng("delay").standard_normal(n_parcels))
    return Networks(
        settings=settings,
        names=names,
        is_deep=np.isin(names, DEEP),
        to_bold=_to_bold(names, settings, rng("BOLD")),
        peaks_s=delays.clip(EARLIEST_S, LATEST_S),
        by_film=by_film / np.linalg.norm(by_film, axis=1, keepdims=True),
        film_share=np.where(np.isin(names, DRIVEN), settings.driven_share, settings.other_share),
        coupling=settings.coupling * sign * rng("coupling").uniform(0.3, 1.3, (n, n_bands)),
        amplitude=np.exp(settings.amplitude_log_sd * rng("amplitude").standard_normal((n, n_bands))),
        moments=moments,
        network_of=network_of,
    )


def draw_activity(networks: Networks, film: Film, begin_s: float, end_s: float, seed: int) -> Activity:
    """How active each network is while a film runs from time zero on, in darkness before it and after it.

    Args:
        networks: whose.
        film: what is seen.
        begin_s: from then on, in steps of ``ACTIVITY_HZ``,
        end_s: until then.
        seed: of the subject's run: what is spontaneous.
    """
    first, last = round(begin_s * ACTIVITY_HZ), round(end_s * ACTIVITY_HZ)
    times = np.arange(first, last) / ACTIVITY_HZ
    runs = (times >= 0) & (times < film.duration_s)
    driven = networks.by_film @ (film.embedding[film.scene(times)] * runs[:, np.newaxis]).T
    spontaneous = fading((len(networks.names), len(times)), networks.settings.keep, stream(seed, "spontaneous"))
    share = networks.film_share[:, np.newaxis]
    return Activity(times, np.sqrt(share) * driven + np.sqrt(1 - share) * spontaneous)


def fading(shape: tuple[int, int], keep: float, rng: np.random.Generator) -> Floats:
    """Independent signals ``(n_signals, n)`` of unit variance, of which a step later this share is kept."""
    white = rng.standard_normal(shape)
    white[:, 1:] *= np.sqrt(1 - keep**2)
    return np.asarray(scipy.signal.lfilter([1.0], [1.0, -keep], white), np.float64)


def _to_bold(names: tuple[str, ...], settings: NetworkSettings, rng: np.random.Generator) -> Floats:
    own = np.array(parcels().networks)[:, np.newaxis] == np.array(names)
    weights = own * rng.uniform(0.7, 1.0, (len(own), 1)) + settings.mixing * rng.standard_normal(own.shape)
    return np.asarray(weights / np.linalg.norm(weights, axis=1, keepdims=True), np.float64)


def _patches(
    names: tuple[str, ...], settings: NetworkSettings, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.int64]]:
    """Patches of cortex at some parcels of each network that is not deep."""
    sheet, of_cortex = cortex(), np.char.startswith(np.array(parcels().regions), "cortex")
    places, network_of = [], []
    for number, name in enumerate(names):
        if name not in DEEP:
            candidates = parcels().of(name)
            candidates = rng.permutation(candidates[of_cortex[candidates]])[: settings.patches_per_network]
            places.append(parcels().centres[candidates])
            network_of += [number] * len(candidates)
    centres = cKDTree(sheet.positions).query(np.concatenate(places) / 1000)[1]
    with threadpool_limits(1):  # as in leadfield
        return patch_moments(sheet, np.asarray(centres), settings.patch_range_m), np.array(network_of)

"""What is active in the simulated brain: patches of cortex, when each is on, and how its activity looks over time.

Patches are the same in all subjects, as places on the template's cortex; what they show at the sensors differs with
the head. Every patch but those of evoked responses follows a stationary Gaussian process of unit variance whose
spectrum is its family's, those of the networks while their state lasts. So all covariances are known in closed form:
an oracle needs nothing but ``Sources`` and ``PatchFields``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from scipy.ndimage import convolve1d
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits

from cortexcast_models.manifest import Strict
from cortexcast_training.head import Head, template_head
from cortexcast_training.leadfield import Cortex, coarse_vertices, cortex, is_magnetometer
from cortexcast_training.minimum_norm import matern_system
from cortexcast_training.randomness import stream
from cortexcast_training.spectrum import Rhythm, Spectrum

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
States = NDArray[np.int16]

OCCIPITAL_Y_M = -0.072
"""Behind this, background patches have a strong alpha rhythm. MNI coordinates, as all places here."""

HAND_AREA_M = ((-0.038, -0.022, 0.055), (0.038, -0.022, 0.055))
HAND_RADIUS_M = 0.025
"""Within this distance of the motor cortex's hand area, background patches have a beta rhythm."""

HEMISPHERES = ("left", "right")

VISUAL_M = {
    "M100": ((-0.012, -0.092, 0.002), (0.012, -0.092, 0.002)),
    "M170": ((-0.038, -0.052, -0.018), (0.038, -0.052, -0.018)),
}
"""Where evoked responses come from: primary visual cortex, and the fusiform face area (Kanwisher et al., *J.
Neurosci.* 17 (1997)); left and right."""

_TEMPLATE_ICO = 2


class SourceSettings(Strict):
    """What is active, and how strongly. Amplitudes hold on the template head; on another, physics decides."""

    anatomy_seed: NonNegativeInt = 7
    """Draws where the patches are."""
    states: int = Field(16, ge=1)
    patches_per_state: PositiveInt = 4
    patch_range_m: PositiveFloat = 0.015
    """Distance along the cortex over which a patch's density falls to 0.14; to a half over half of it."""
    background_patches: PositiveInt = 200
    eeg_only_patches: NonNegativeInt = 4
    meg_only_patches: NonNegativeInt = 4

    eeg_rms_v: PositiveFloat = 10e-6
    """Of the EEG that networks, background and private patches make together."""
    strength_log_sd: NonNegativeFloat = 0.7
    """Of the logarithm of a network patch's amplitude at the EEG: some patches are far stronger than others."""
    background_share: NonNegativeFloat = 0.5
    """Variance of the background in proportion to that of the networks, at the EEG."""
    private_share: NonNegativeFloat = 0.05
    """Likewise of the patches that only one modality sees, at that modality."""
    alpha_amplitude: PositiveFloat = 2.0
    """Of a background patch with an alpha rhythm, in proportion to one without."""
    beta_amplitude: PositiveFloat = 1.2
    evoked_v: NonNegativeFloat = 2e-6
    """RMS over electrodes at the peak of each evoked response to a face."""

    dwell_min_s: PositiveFloat = 0.2
    """A state lasts for this time and an exponentially distributed one."""
    dwell_excess_s: PositiveFloat = 0.3
    """The mean of that distribution, before it is cut at the longest dwell."""
    dwell_max_s: PositiveFloat = 1.0
    transition_s: NonNegativeFloat = 0.03
    """One state's networks fade out while the next one's fade in, the sum of their powers constant."""

    network: Spectrum = Spectrum(knee_hz=8.0, exponent=2.5)
    background: Spectrum = Spectrum(knee_hz=2.0, exponent=1.5)
    alpha: Spectrum = Spectrum(knee_hz=2.0, exponent=1.5, rhythms=(Rhythm(hz=10.0, width_hz=1.0, share=0.7),))
    beta: Spectrum = Spectrum(knee_hz=2.0, exponent=1.5, rhythms=(Rhythm(hz=20.0, width_hz=2.5, share=0.5),))

    @model_validator(mode="after")
    def _ordered(self) -> SourceSettings:
        if self.dwell_min_s >= self.dwell_max_s:
            raise ValueError("dwell_max_s must be greater than dwell_min_s")
        if self.transition_s > self.dwell_min_s:
            raise ValueError("transition_s must not be greater than dwell_min_s")
        return self


@dataclass(frozen=True)
class Family:
    """Patches of one kind.

    Attributes:
        name: ``network``, ``background``, ``alpha``, ``beta``, ``eeg_only``, ``meg_only`` or ``evoked``.
        patches: their columns in ``Sources.moments`` and ``PatchFields``.
        spectrum: of their activity; None for evoked responses, which are no stationary process.
    """

    name: str
    patches: slice
    spectrum: Spectrum | None


@dataclass(frozen=True)
class Sources:
    """The patches.

    Attributes:
        settings: what they were drawn by.
        moments: ``(n_dipoles, n_patches)`` in A·m, of each dipole when the patch's activity is one: its standard
            deviation, or the peak of an evoked response. State ``k`` has the network patches ``k·p`` to ``k·p + p``,
            ``p = patches_per_state``.
        centres: ``(n_patches, 3)`` in metres, template MRI coordinates.
        families: in the order of their columns, which they cover.
    """

    settings: SourceSettings
    moments: Floats
    centres: Floats
    families: tuple[Family, ...]

    def family(self, name: str) -> Family:
        """The family of this name."""
        return next(family for family in self.families if family.name == name)

    def of_state(self, state: int) -> slice:
        """The columns of a state's patches."""
        size = self.settings.patches_per_state
        return slice(state * size, (state + 1) * size)


@dataclass(frozen=True)
class PatchFields:
    """What a head shows of each patch at activity one.

    Attributes:
        eeg: ``(70, n_patches)`` in V, average referenced; zero for what only MEG sees.
        meg: ``(306, n_patches)`` in T or T/m; zero for what only EEG sees.
    """

    eeg: Floats
    meg: Floats


def patch_fields(head: Head, sources: Sources) -> PatchFields:
    """The patches' fields on this head."""
    eeg, meg = head.eeg @ sources.moments, head.meg @ sources.moments
    eeg[:, sources.family("meg_only").patches] = 0.0
    meg[:, sources.family("eeg_only").patches] = 0.0
    return PatchFields(eeg, meg)


@cache
def draw_sources(settings: SourceSettings) -> Sources:
    """Place the patches and set their strength on the template head."""
    sheet = cortex()
    n_networks = settings.states * settings.patches_per_state
    networks = _spread(sheet, n_networks, stream(settings.anatomy_seed, "networks"))
    background, alpha, beta = _by_rhythm(
        sheet, _spread(sheet, settings.background_patches, stream(settings.anatomy_seed, "background"))
    )
    private = _spread(
        sheet, settings.eeg_only_patches + settings.meg_only_patches, stream(settings.anatomy_seed, "private")
    )
    visual = np.asarray(cKDTree(sheet.positions).query(np.concatenate(list(VISUAL_M.values())))[1])
    kinds: list[tuple[str, NDArray[np.int64], Spectrum | None]] = [
        ("network", networks, settings.network),
        ("background", background, settings.background),
        ("alpha", alpha, settings.alpha),
        ("beta", beta, settings.beta),
        ("eeg_only", private[: settings.eeg_only_patches], settings.network),
        ("meg_only", private[settings.eeg_only_patches :], settings.network),
        ("evoked", visual, None),
    ]
    families, start = [], 0
    for name, vertices, spectrum in kinds:
        families.append(Family(name, slice(start, start + len(vertices)), spectrum))
        start += len(vertices)
    centres = np.concatenate([vertices for _, vertices, _ in kinds])
    with threadpool_limits(1):  # as in leadfield
        moments = _patches(sheet, centres, settings.patch_range_m)
    return _scaled(Sources(settings, moments, sheet.positions[centres], tuple(families)))


def draw_states(settings: SourceSettings, n_samples: int, rate_hz: float, seed: int) -> States:
    """A semi-Markov sequence of states, ``(n_samples,)``; the next state is any other one, all alike."""
    rng = stream(seed, "states")
    states = np.empty(n_samples, np.int16)
    state, start, end_s = int(rng.integers(settings.states)), 0, 0.0
    # The first dwell began before the recording did.
    elapsed = float(rng.uniform())
    while start < n_samples:
        dwell = _dwell(settings, rng)
        end_s += dwell * (1.0 - elapsed)
        elapsed = 0.0
        stop = min(round(end_s * rate_hz), n_samples)
        states[start:stop] = state
        start = stop
        if settings.states > 1:
            state = (state + int(rng.integers(1, settings.states))) % settings.states
    return states


def gates(states: States, n_states: int, transition_s: float, rate_hz: float) -> Singles:
    """The amplitude of each state's networks, ``(n_states, n_samples)``; squares add up to one."""
    power = (np.arange(n_states)[:, np.newaxis] == states).astype(np.float32)
    width = round(transition_s * rate_hz)
    if width > 1:
        fade = np.hanning(width + 2)[1:-1].astype(np.float32)
        convolve1d(power, fade / fade.sum(), axis=1, mode="nearest", output=power)
    return np.asarray(np.sqrt(power.clip(0.0, 1.0)), np.float32)


def _dwell(settings: SourceSettings, rng: np.random.Generator) -> float:
    """From the exponential distribution cut at the longest dwell, by its inverse."""
    reach = 1.0 - np.exp(-(settings.dwell_max_s - settings.dwell_min_s) / settings.dwell_excess_s)
    return settings.dwell_min_s - settings.dwell_excess_s * float(np.log1p(-reach * rng.uniform()))


def _spread(sheet: Cortex, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``n`` vertices far from each other, in random order: each next one is farthest from those before."""
    coarse = coarse_vertices()
    places = sheet.positions[coarse]
    chosen = [int(rng.integers(len(coarse)))]
    distance = np.full(len(coarse), np.inf)
    for _ in range(n - 1):
        distance = np.minimum(distance, np.linalg.norm(places - places[chosen[-1]], axis=1))
        chosen.append(int(distance.argmax()))
    return np.asarray(coarse[rng.permutation(chosen[:n])], np.int64)


def _by_rhythm(sheet: Cortex, vertices: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """Split into plain, alpha and beta."""
    places = sheet.positions[vertices]
    is_alpha = places[:, 1] < OCCIPITAL_Y_M
    is_beta = cKDTree(HAND_AREA_M).query(places)[0] < HAND_RADIUS_M
    return vertices[~is_alpha & ~is_beta], vertices[is_alpha], vertices[is_beta]


def _patches(sheet: Cortex, centres: NDArray[np.int64], range_m: float) -> Floats:
    """The moment of each dipole for each patch, ``(n_coarse, n_patches)``, its sum one.

    A patch's density is the Matérn correlation with its centre, so it falls off along the cortex. What lies between
    the coarse vertices goes to the one or two next to it.
    """
    system, area = matern_system(sheet, range_m)
    n, coarse = len(sheet.positions), coarse_vertices()
    impulses = np.zeros((n, len(centres)))
    impulses[centres, np.arange(len(centres))] = 1.0
    moment = area[:, np.newaxis] * system.solve(area[:, np.newaxis] * system.solve(impulses))

    edges = np.vstack([sheet.faces[:, [0, 1]], sheet.faces[:, [1, 2]], sheet.faces[:, [2, 0]]])
    i, j = np.vstack([edges, edges[:, ::-1]]).T
    neighbours = scipy.sparse.coo_array((np.ones(len(i)), (i, j)), shape=(n, n)).tocsr().astype(bool).astype(float)
    is_fine = np.ones(n)
    is_fine[coarse] = 0.0
    lumping = scipy.sparse.diags_array(is_fine) @ neighbours[:, coarse] + scipy.sparse.eye_array(n).tocsr()[:, coarse]
    n_next = lumping.sum(axis=1)
    lumped = lumping.T @ (moment / np.maximum(n_next, 1.0)[:, np.newaxis])
    return np.asarray(lumped / lumped.sum(axis=0), np.float64)


def _scaled(unit: Sources) -> Sources:
    """Give each patch its strength, by what the template shows of it."""
    settings = unit.settings
    fields = patch_fields(template_head(_TEMPLATE_ICO), unit)
    eeg, meg = (np.mean(field**2, axis=0) for field in (fields.eeg, fields.meg[is_magnetometer()]))
    power = np.ones(len(eeg))  # of each patch's activity, (A·m)²

    network = unit.family("network").patches
    strength = stream(settings.anatomy_seed, "strength").standard_normal(network.stop)
    power[network] = np.exp(2 * settings.strength_log_sd * strength) / eeg[network]
    power[unit.family("alpha").patches] = settings.alpha_amplitude**2
    power[unit.family("beta").patches] = settings.beta_amplitude**2

    def shown(variance: Floats, *families: str) -> float:
        return float(sum((power * variance)[unit.family(name).patches].sum() for name in families))

    networks_eeg = shown(eeg, "network") / settings.states  # one state at a time
    networks_meg = shown(meg, "network") / settings.states
    background = ("background", "alpha", "beta")
    ratio = settings.background_share * networks_eeg / shown(eeg, *background)
    for name in background:
        power[unit.family(name).patches] *= ratio
    for name, variance, networks in (("eeg_only", eeg, networks_eeg), ("meg_only", meg, networks_meg)):
        patches = unit.family(name).patches
        power[patches] = settings.private_share * networks / variance[patches] / max(1, patches.stop - patches.start)
    power *= settings.eeg_rms_v**2 / (networks_eeg + shown(eeg, "eeg_only", *background))
    evoked = unit.family("evoked").patches
    power[evoked] = settings.evoked_v**2 / eeg[evoked] / len(HEMISPHERES)
    return replace(unit, moments=unit.moments * np.sqrt(power))

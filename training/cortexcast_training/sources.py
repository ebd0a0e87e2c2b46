"""What is active in the simulated brain: patches of cortex, and how strongly each shows.

Patches are the same in all subjects, as places on the template's cortex; what they show at the sensors differs with
the head. Every patch but those of evoked responses follows a stationary Gaussian process of unit variance whose
spectrum is its family's, those of the networks while their state lasts. So all covariances are known in closed form:
an oracle needs nothing but ``Sources`` and ``PatchFields``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits

from cortexcast_models.manifest import Strict
from cortexcast_models.simulation.activity import Family, patches_of
from cortexcast_models.simulation.randomness import stream
from cortexcast_models.simulation.spectrum import Rhythm, Spectrum
from cortexcast_training.head import Head, template_head
from cortexcast_training.leadfield import Cortex, coarse_vertices, cortex, is_magnetometer
from cortexcast_training.minimum_norm import matern_system

Floats = NDArray[np.float64]

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
    drawn_states: PositiveInt | None = None
    """States whose places and strengths are drawn, and on which amplitudes hold; None: as many as ``states``. Where
    ``states`` are fewer, the first of them occur; where more, others join them, and what is drawn stays as it is."""
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

    @model_serializer(mode="wrap")
    def _said(self, fields: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Runs are told by their settings: what was simulated before ``drawn_states`` was there is the same data."""
        said: dict[str, Any] = fields(self)
        return {name: value for name, value in said.items() if (name, value) != ("drawn_states", None)}


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
        return patches_of(state, self.settings)


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
    n_drawn = settings.patches_per_state * (settings.drawn_states or settings.states)
    n_joining = max(0, settings.patches_per_state * settings.states - n_drawn)
    networks = _spread(sheet, n_drawn, stream(settings.anatomy_seed, "networks"), n_joining)
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
        moments = patch_moments(sheet, centres, settings.patch_range_m)
    return _occurring(_scaled(Sources(settings, moments, sheet.positions[centres], tuple(families)), n_drawn))


def _occurring(sources: Sources) -> Sources:
    """Without the patches of states that are drawn and do not occur."""
    drawn = sources.family("network").patches.stop
    left_out = slice(sources.settings.patches_per_state * sources.settings.states, drawn)
    n = left_out.stop - left_out.start
    families = (
        replace(family, patches=slice(max(0, family.patches.start - n), family.patches.stop - n))
        for family in sources.families
    )
    return replace(
        sources,
        moments=np.delete(sources.moments, left_out, axis=1),
        centres=np.delete(sources.centres, left_out, axis=0),
        families=tuple(families),
    )


def _spread(sheet: Cortex, n: int, rng: np.random.Generator, n_more: int = 0) -> NDArray[np.int64]:
    """``n`` vertices far from each other, in random order: each next one is farthest from those before.

    After them ``n_more``, farthest first.
    """
    coarse = coarse_vertices()
    places = sheet.positions[coarse]
    chosen = [int(rng.integers(len(coarse)))]
    distance = np.full(len(coarse), np.inf)
    for _ in range(n + n_more - 1):
        distance = np.minimum(distance, np.linalg.norm(places - places[chosen[-1]], axis=1))
        chosen.append(int(distance.argmax()))
    return np.asarray(coarse[[*rng.permutation(chosen[:n]), *chosen[n:]]], np.int64)


def _by_rhythm(sheet: Cortex, vertices: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """Split into plain, alpha and beta."""
    places = sheet.positions[vertices]
    is_alpha = places[:, 1] < OCCIPITAL_Y_M
    is_beta = cKDTree(HAND_AREA_M).query(places)[0] < HAND_RADIUS_M
    return vertices[~is_alpha & ~is_beta], vertices[is_alpha], vertices[is_beta]


def patch_moments(sheet: Cortex, centres: NDArray[np.int64], range_m: float) -> Floats:
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


def _scaled(unit: Sources, n_drawn: int) -> Sources:
    """Give each patch its strength, by what the template shows of it and of the first ``n_drawn`` of the networks."""
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

    # One state at a time.
    networks_eeg, networks_meg = (
        float((power * variance)[:n_drawn].sum()) / (n_drawn // settings.patches_per_state) for variance in (eeg, meg)
    )
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

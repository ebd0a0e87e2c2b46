"""How one head differs from the average one: a few mixtures of electrodes, and of fields, that belong together.

A head of another size, pose or conductivity shows the same sources elsewhere. To a model that knows the average head
this is, near enough, a linear mixture of the electrodes before it and one of its fields after it. Over heads that
are drawn at random these mixtures vary together in some twenty directions. So a few seconds of a wearer's own EEG and
MEG suffice to tell them, where they would not suffice for every entry of two matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cortexcast_models.montage import Montage
from cortexcast_training.bids import BRAIN_NAMES
from cortexcast_training.head import HeadSettings, draw_head
from cortexcast_training.leadfield import CAP, electrode_positions
from cortexcast_training.scaling import Units
from cortexcast_training.virtual_helmet import virtual_helmet_map
from cortexcast_training.workers import in_parallel

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

N_HEADS = 24
"""Of which the modes are learned: with more than these, calibration gains no more."""

HOLD = 30.0
"""How firmly modes are held to the average head: as if so many neighbouring samples told no more than one."""

_SEED = 3_000_000
_RIDGE = 0.05
"""Of the mean power of an electrode or field: what is weaker is left where it is."""


@dataclass(frozen=True)
class Shown:
    """What a head shows of dipoles at the same places of every brain.

    Attributes:
        eeg: ``(n_electrodes, n_dipoles)``, the canonical montage, V/Am.
        meg: ``(n_sensors, n_dipoles)``, the virtual helmet, T/Am and T/m/Am.
    """

    eeg: Singles
    meg: Singles


@dataclass(frozen=True)
class HeadModes:
    """Directions in which heads vary, each with a standard deviation of one over heads.

    Attributes:
        eeg: ``(n_modes, n_electrodes, n_electrodes)``: to be added to the identity, before the net.
        fields: ``(n_modes, n_components, n_components)``: likewise after it, on the strengths of its fields.
    """

    eeg: Floats
    fields: Floats


def draw_shown(n: int = N_HEADS, say: Callable[[int, int], None] = lambda _, __: None) -> list[Shown]:
    """Draw heads, several at a time; each takes some seconds. ``say`` hears how many are done, of how many."""
    heads: dict[int, Shown] = {}
    say(0, n)
    for seed, head in in_parallel(_shown, [(_SEED + number,) for number in range(n)]):
        heads[seed] = head
        say(len(heads), n)
    return [heads[seed] for seed in sorted(heads)]


def head_modes(heads: Sequence[Shown], basis: Floats, units: Units) -> HeadModes:
    """The modes of a model's inputs and outputs.

    Args:
        heads: at least two, as like those of the training data as can be.
        basis: ``(n_sensors, n_components)``, the model's orthonormal fields.
        units: of the model.
    """
    eeg = np.stack([head.eeg / units.eeg for head in heads]).astype(np.float64)
    fields = np.stack([basis.T @ (head.meg / units.meg[:, np.newaxis]) for head in heads])
    mean_eeg, mean_fields = eeg.mean(axis=0), fields.mean(axis=0)
    before = np.stack([_mixture(each, mean_eeg) for each in eeg])
    after = np.stack([_mixture(mean_fields, each) for each in fields])
    both = np.concatenate([before.reshape(len(heads), -1), after.reshape(len(heads), -1)], axis=1)
    _, sizes, directions = np.linalg.svd(both - both.mean(axis=0), full_matrices=False)
    # The last direction is what is left when the mean is taken away: nothing.
    modes = (sizes[:-1, np.newaxis] / np.sqrt(len(heads) - 1)) * directions[:-1]
    n_before = before[0].size
    return HeadModes(
        modes[:, :n_before].reshape(-1, *before[0].shape), modes[:, n_before:].reshape(-1, *after[0].shape)
    )


def _shown(seed: int) -> tuple[int, Shown]:
    head = draw_head(HeadSettings(), seed)
    places = [tuple(electrode_positions()[name].round(4).tolist()) for name in CAP]
    positions = [tuple(place) for place in head.electrodes.tolist()]
    to_montage = Montage(BRAIN_NAMES, positions, CAP, places).mapping(np.ones(len(CAP), bool)).matrix
    to_helmet = virtual_helmet_map(head.dev_head_t, np.ones(len(head.meg), bool))
    return seed, Shown((to_montage @ head.eeg).astype(np.float32), (to_helmet @ head.meg).astype(np.float32))


def _mixture(source: Floats, target: Floats) -> Floats:
    """What to add to the identity so that it takes one set of lead fields to another."""
    power = source @ source.T
    ridge = _RIDGE * np.trace(power) / len(power) * np.eye(len(power))
    mixture = np.linalg.solve(power + ridge, (target @ source.T + ridge).T).T
    return np.asarray(mixture - np.eye(len(power)), np.float64)

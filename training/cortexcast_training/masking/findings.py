"""Which units matter: more than chance, over all units together, whatever stands in the place of what is masked.

Chance is what comes about where EEG and the other modality are turned against each other in time, by 20 s or more. A
unit is found where its evidence is above that of the most fortunate of all units by chance (max-T), for each operator.

With enough subjects, what is found holds of the population they are from: signs of subjects' effects are turned at
random. With fewer it holds of these recordings alone: times are turned at random.

Sources: Nichols & Holmes, *Hum. Brain Mapp.* 15 (2002); the conjunction of operators as in Nichols et al., *NeuroImage*
25 (2005): all of them must be found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mne.stats import permutation_t_test
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

LEAST_SHIFT_S = 20.0

_DRAWS = 2000
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Effect:
    """Of one operator, in one run.

    Attributes:
        subject: whose.
        evidence: ``(n_units,)`` in nats.
        chance: ``(n_shifts, n_units)``.
    """

    subject: str
    evidence: Floats
    chance: Floats


@dataclass(frozen=True)
class Found:
    """What all runs together say of units.

    Attributes:
        z: ``(n_units,)``, the mean over subjects of evidence in standard deviations of chance; zero where a unit was
            never shown.
        p: ``(n_units,)``, of any unit being as high by chance.
        of_population: whether ``p`` is of subjects like these, and not of these recordings alone.
    """

    z: Floats
    p: Floats
    of_population: bool


def shifts(n_volumes: int, tr_s: float, n: int, rng: np.random.Generator) -> Numbers:
    """By how many volumes a run is turned, ``n`` times at the most, each another, none below ``LEAST_SHIFT_S``."""
    least = int(np.ceil(LEAST_SHIFT_S / tr_s))
    possible = np.arange(least, n_volumes - least + 1)
    return np.sort(rng.permutation(possible)[:n])


def smoothed(courses: Floats, n: int) -> Floats:
    """Means of ``(..., n_times)`` over so many times about each; fewer at the ends."""
    until = np.concatenate([np.zeros((*courses.shape[:-1], 1)), np.cumsum(courses, axis=-1)], axis=-1)
    at = np.arange(courses.shape[-1])
    first, stop = (at - n // 2).clip(0), (at + (n + 1) // 2).clip(max=courses.shape[-1])
    return np.asarray((until[..., stop] - until[..., first]) / (stop - first), np.float64)


def found(effects: Sequence[Effect], level: float, seed: int) -> Found:
    """What an operator's effects on the same units say.

    Args:
        effects: of each run.
        level: that ``p`` is compared with; where subjects are too few to turn signs in so many ways, times are turned.
        seed: of what is drawn.
    """
    own, chance = zip(*(_standardised(effect) for effect in effects), strict=True)
    subjects = sorted({effect.subject for effect in effects})
    of_subject = np.array(
        [
            np.mean([z for z, each in zip(own, effects, strict=True) if each.subject == name], axis=0)
            for name in subjects
        ]
    )
    z = of_subject.mean(axis=0)
    shown = of_subject.any(axis=0)
    p = np.ones(len(z))
    # Half of all ways: the other half are the same with the opposite sign.
    if 2.0 ** (1 - len(subjects)) <= level:
        _, p[shown], _ = permutation_t_test(of_subject[:, shown], 10_000, tail=1, rng=seed, verbose="error")
        return Found(z, p, of_population=True)
    rng = np.random.default_rng(seed)
    weights = [1 / sum(each.subject == effect.subject for each in effects) / len(subjects) for effect in effects]
    greatest = np.empty(_DRAWS)
    for draw in range(_DRAWS):
        turned = sum(weight * each[rng.integers(len(each))] for weight, each in zip(weights, chance, strict=True))
        greatest[draw] = np.max(turned[shown], initial=0.0)
    greatest.sort()
    p[shown] = (1 + len(greatest) - np.searchsorted(greatest, z[shown])) / (1 + len(greatest))
    return Found(z, p, of_population=False)


def conjunction(of_operators: Sequence[Found]) -> Found:
    """Of units, what all operators agree on: the mean effect, the greatest p."""
    return Found(
        np.mean([each.z for each in of_operators], axis=0),
        np.max([each.p for each in of_operators], axis=0),
        all(each.of_population for each in of_operators),
    )


def _standardised(effect: Effect) -> tuple[Floats, Floats]:
    """Evidence, and each draw of chance, against the spread of all other draws."""
    evidence, chance = (np.asarray(each, np.float64) for each in (effect.evidence, effect.chance))
    n = len(chance)
    mean, square = chance.mean(axis=0), chance.var(axis=0)
    shown = square > _SMALLEST
    own = np.divide(evidence - mean, np.sqrt(square * n / (n - 1)), out=np.zeros_like(evidence), where=shown)
    # Of the n - 1 others: their mean and variance, from those of all.
    away = chance - mean
    others_mean = -away / (n - 1)
    others_square = ((n * square - away**2) / (n - 1) - others_mean**2) * (n - 1) / (n - 2)
    drawn = np.divide(
        away - others_mean, np.sqrt(others_square.clip(_SMALLEST)), out=np.zeros_like(chance), where=shown
    )
    return own, drawn

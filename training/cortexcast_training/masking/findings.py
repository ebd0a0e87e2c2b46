"""Which units matter: more than chance, over all units together, whatever stands in the place of what is masked.

Chance is what comes about where EEG and the other modality are turned against each other in time, by 20 s or more. All
runs of a film are turned alike: what everybody's EEG and everybody's BOLD owe to one film may go together by chance,
and that chance all subjects share. A unit is found where its evidence, the mean over subjects, is above that of the
most fortunate of all units by chance (max-T), for each operator.

With enough subjects it must be found by turning subjects' signs at random, too: then it holds of subjects like these
who watch these films, else of these recordings alone.

Sources: Nichols & Holmes, *Hum. Brain Mapp.* 15 (2002); the conjunction of operators as in Nichols et al., *NeuroImage*
25 (2005): all of them must be found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

LEAST_SHIFT_S = 20.0

_DRAWS = 2000
_MOST_SUBJECTS = 12
"""Of whom every way to turn signs is tried."""
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Effect:
    """Of one operator, in one run.

    Attributes:
        subject: whose.
        film: that was watched.
        evidence: ``(n_units,)`` in nats.
        chance: ``(n_shifts, n_units)``.
    """

    subject: str
    film: str
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
        effects: of each run; runs of one film have the same turns.
        level: that ``p`` is compared with; where there are too few ways to turn signs for it, signs are not turned.
        seed: of what is drawn.
    """
    own, chance = zip(*(_standardised(effect) for effect in effects), strict=True)
    subjects = sorted({effect.subject for effect in effects})
    weights = np.array([1 / sum(each.subject == effect.subject for each in effects) for effect in effects])
    z = np.average(own, axis=0, weights=weights)
    shown = np.any(own, axis=0)
    p = np.ones(len(z))
    if not shown.any():
        return Found(z, p, of_population=False)
    films = sorted({effect.film for effect in effects})
    n_turns = [min(len(each) for each, of in zip(chance, effects, strict=True) if of.film == film) for film in films]
    turned = []
    for draw in _draws(n_turns, np.random.default_rng(seed)):
        drawn = [each[draw[films.index(of.film)]] for each, of in zip(chance, effects, strict=True)]
        turned.append(float(np.average(drawn, axis=0, weights=weights)[shown].max()))
    p[shown] = _share_above(turned, z[shown])
    of_population = 2.0 ** -len(subjects) <= level
    if of_population:
        of = np.array([effect.subject for effect in effects])
        of_subject = np.array([np.mean(np.array(own)[of == name], axis=0) for name in subjects])
        signs = _signs(len(subjects), np.random.default_rng(seed))
        with_signs = (signs @ of_subject[:, shown] / len(subjects)).max(axis=1)
        p[shown] = np.maximum(p[shown], _share_above(with_signs, z[shown]))
    return Found(z, p, of_population)


def _draws(n_turns: Sequence[int], rng: np.random.Generator) -> Iterator[Sequence[int]]:
    """A turn of each film: of one film every turn once, of several so many at random."""
    if len(n_turns) == 1:
        return ((turn,) for turn in range(n_turns[0]))
    return (rng.integers(n_turns).tolist() for _ in range(_DRAWS))


def _signs(n: int, rng: np.random.Generator) -> Floats:
    """Ways to turn the signs of subjects, ``(n_ways, n)``: all but the one that turns none, or so many at random."""
    if n <= _MOST_SUBJECTS:
        ways = (np.arange(1, 2**n)[:, np.newaxis] >> np.arange(n)) & 1
    else:
        ways = rng.integers(0, 2, (2**_MOST_SUBJECTS, n))
    return np.asarray(1 - 2 * ways, np.float64)


def _share_above(chance: Sequence[float] | Floats, z: Floats) -> Floats:
    """Of draws, what was found among them, those that are as high."""
    ordered = np.sort(chance)
    return np.asarray((1 + len(ordered) - np.searchsorted(ordered, z)) / (1 + len(ordered)), np.float64)


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

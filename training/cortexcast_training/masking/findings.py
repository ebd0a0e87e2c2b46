"""Which units matter: more than by chance, whatever stands in the place of what is masked.

Chance is what comes about where EEG and the other modality are turned against each other in time, by 20 s or more. All
runs of a film are turned alike: what everybody's EEG and everybody's BOLD owe to one film may go together by chance,
and that chance all subjects share. Evidence is averaged over subjects and scaled by its own spread under chance; then
all units are alike, and together they tell chance.

With subjects enough, a unit must stand out when the signs of subjects' evidence are turned at random, too: then it
holds of subjects like these who watch these films, else of these recordings alone.

Sources: Nichols & Holmes, *Hum. Brain Mapp.* 15 (2002), of signs; Tusher et al., *PNAS* 98 (2001), of chance that is
told by all units together; the conjunction of operators as in Nichols et al., *NeuroImage* 25 (2005): all of them must
find a unit; Benjamini & Hochberg, *J. R. Stat. Soc. B* 57 (1995), of the rate of false discoveries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

LEAST_SHIFT_S = 20.0
LEAST_SUBJECTS = 8
"""Whose signs are turned: of fewer, one that is unlike the others would hide everything."""

_DRAWS = 255
"""Of turns of several films, and of signs: all of eight subjects. Over all units that is enough."""
_KEPT = 10
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

    @property
    def standardised(self) -> Floats:
        """Evidence in standard deviations of chance, ``(n_units,)``; zero where a unit was never shown."""
        return _standardised(self.evidence, self.chance)


@dataclass(frozen=True)
class Found:
    """What all runs together say of units.

    Attributes:
        z: ``(n_units,)``, the mean over subjects of evidence, in standard deviations of what it is by chance; zero
            where a unit was never shown.
        p: ``(n_units,)``, of being as high by chance; one where a unit was never shown.
        of_population: whether ``p`` is of subjects like these, and not of these recordings alone.
        elsewhere: ``(n_draws, n_units)``, ``z`` of what was recorded at some other times.
    """

    z: Floats
    p: Floats
    of_population: bool
    elsewhere: Floats


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


def found(blocks: Iterable[Sequence[Effect]], seed: int) -> Found:
    """What an operator's effects say.

    Args:
        blocks: of units, in order: the effects of each run on these units. Runs of one film have the same turns, and
            all blocks the same runs.
        seed: of what is drawn.
    """
    z, turned, t, flipped = [], [], [], []
    for effects in blocks:
        # Each block's units are drawn for alike.
        rng = np.random.default_rng(seed)
        of_subjects, chance = _of_subjects(effects), _mean_chance(effects, rng)
        z.append(_standardised(of_subjects.mean(axis=0), chance))
        turned.append(_standardised_without_itself(chance))
        if len(of_subjects) >= LEAST_SUBJECTS:
            t.append(_t(np.ones((1, len(of_subjects))), of_subjects)[0])
            flipped.append(_t(_signs(len(of_subjects), rng), of_subjects))
    together = np.concatenate(z)
    p = _share_above(turned, together)
    if t:
        p = np.maximum(p, _share_above(flipped, np.concatenate(t)))
    return Found(together, p, bool(t), np.concatenate([each[:_KEPT] for each in turned], axis=1))


def conjunction(of_operators: Sequence[Found]) -> Found:
    """Of units, what all operators agree on: the mean effect, the greatest p."""
    return Found(
        np.mean([each.z for each in of_operators], axis=0),
        np.max([each.p for each in of_operators], axis=0),
        all(each.of_population for each in of_operators),
        np.mean([each.elsewhere for each in of_operators], axis=0),
    )


def false_discovery_rates(of_maps: Sequence[Floats]) -> list[Floats]:
    """Of each unit's p, the least rate of false discoveries, over all maps together, at which it is found."""
    rates = stats.false_discovery_control(np.concatenate(of_maps))
    return np.split(rates, np.cumsum([len(each) for each in of_maps])[:-1])


def _of_subjects(effects: Sequence[Effect]) -> Floats:
    """Evidence in units of each run's own chance, ``(n_subjects, n_units)``, the mean over a subject's runs."""
    own = np.array([effect.standardised for effect in effects])
    of = np.array([effect.subject for effect in effects])
    return np.array([own[of == subject].mean(axis=0) for subject in np.unique(of)])


def _mean_chance(effects: Sequence[Effect], rng: np.random.Generator) -> Floats:
    """Likewise of each draw, over all subjects, ``(n_draws, n_units)``."""
    films = sorted({effect.film for effect in effects})
    n_turns = [min(len(each.chance) for each in effects if each.film == film) for film in films]
    # Of one film every turn once, of several so many at random.
    several = len(films) > 1
    draws = rng.integers(n_turns, size=(_DRAWS, len(films))) if several else np.arange(n_turns[0])[:, np.newaxis]
    n_runs = Counter(effect.subject for effect in effects)
    total: Floats | float = 0.0
    for effect in effects:
        drawn = effect.chance[draws[:, films.index(effect.film)]]
        total = total + _standardised(drawn, effect.chance) / n_runs[effect.subject]
    return np.asarray(total) / len(n_runs)


def _standardised(own: Floats, chance: Floats) -> Floats:
    """Against the mean and spread of chance; zero where a unit was never shown, so that chance is always the same."""
    spread = chance.std(axis=0, ddof=1)
    return _ratio(own - chance.mean(axis=0), spread)


def _standardised_without_itself(chance: Floats) -> Floats:
    """Each draw against the mean and spread of all others, as what was found is."""
    n = len(chance)
    away = chance - chance.mean(axis=0)
    mean_of_others = -away / (n - 1)
    square_of_others = ((n * chance.var(axis=0) - away**2) / (n - 1) - mean_of_others**2) * (n - 1) / (n - 2)
    return _ratio(away - mean_of_others, np.sqrt(square_of_others.clip(0)))


def _signs(n: int, rng: np.random.Generator) -> Floats:
    """Ways to turn the signs of subjects, ``(n_ways, n)``: all but the one that turns none, or so many at random."""
    if 2**n - 1 <= _DRAWS:
        ways = (np.arange(1, 2**n)[:, np.newaxis] >> np.arange(n)) & 1
    else:
        ways = rng.integers(0, 2, (_DRAWS, n))
    return np.asarray(1 - 2 * ways, np.float64)


def _t(signs: Floats, of_subjects: Floats) -> Floats:
    """Of a mean against zero, ``(n_ways, n_units)``; zero where a unit was never shown."""
    n = len(of_subjects)
    mean = signs @ of_subjects / n
    error = np.sqrt(((of_subjects**2).mean(axis=0) - mean**2).clip(0) / (n - 1))
    return _ratio(mean, error)


def _ratio(values: Floats, spread: Floats) -> Floats:
    """Zero where there is no spread."""
    return np.asarray(np.divide(values, spread, out=np.zeros_like(values), where=spread > _SMALLEST), np.float64)


def _share_above(drawn: Sequence[Floats], own: Floats) -> Floats:
    """Of draws of all units that were shown, what was found among them, those that are as high."""
    shown = own != 0
    ordered = np.sort(np.concatenate([each[:, each.any(axis=0)].ravel() for each in drawn]))
    share = (1 + len(ordered) - np.searchsorted(ordered, own)) / (1 + len(ordered))
    return np.where(shown, share, 1.0)

"""Which units matter: more than by chance, whatever stands in the place of what is masked. Two questions, one by one.

*Does anything?* Chance is what comes about where EEG and the other modality are turned against each other in time, by
20 s or more. All runs of a film are turned alike: what everybody's EEG and everybody's BOLD owe to one film may go
together by chance, and that chance all subjects share. The evidence of all units together must be above that of turns.

*What?* With subjects enough, what stands out when the signs of subjects' evidence are turned at random: it holds of
subjects like these who watch these films. With fewer, what stands out from turns in time: of these recordings alone.
Scaled by its own spread under chance, each unit is like any other, and together they tell chance.

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
"""Whose signs are turned: of fewer, one who is unlike the others would hide everything."""

_DRAWS = 999
"""Of turns of several films, and of signs, where there are more."""
_KEPT = 10
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Turns:
    """By how much the runs of a film are turned.

    Attributes:
        volumes: ``(n_turns,)``, of each, ascending.
        n_volumes: of each run.
        least: volumes after which a course has forgotten what it was.
    """

    volumes: Numbers
    n_volumes: int
    least: int

    @property
    def apart(self) -> NDArray[np.bool_]:
        """Which are by so much unlike each other that they know nothing of each other, ``(n_turns, n_turns)``."""
        between = np.abs(self.volumes[:, np.newaxis] - self.volumes)
        return np.asarray(np.minimum(between, self.n_volumes - between) >= self.least)


@dataclass(frozen=True)
class Effect:
    """Of one operator, in one run.

    Attributes:
        subject: whose.
        film: that was watched.
        evidence: ``(n_units,)`` in nats.
        chance: ``(n_turns, n_units)``, that of what was recorded at other times.
        turns: of them.
    """

    subject: str
    film: str
    evidence: Floats
    chance: Floats
    turns: Turns

    @property
    def standardised(self) -> Floats:
        """Evidence in standard deviations of chance, ``(n_units,)``; zero where a unit was never shown."""
        return _standardised(self.evidence, self.chance)

    @property
    def above_chance(self) -> Floats:
        """Evidence less its mean by chance, ``(n_units,)`` in nats."""
        return np.asarray(self.evidence - self.chance.mean(axis=0), np.float64)


@dataclass(frozen=True)
class Found:
    """What all runs together say of units.

    Attributes:
        z: ``(n_units,)``, the mean over subjects of evidence, in standard deviations of what it is by chance; zero
            where a unit was never shown.
        p: ``(n_units,)``, of being as high by chance; one where a unit was never shown.
        p_of_any: of the evidence of all units together being as high where everything is turned in time.
        of_population: whether ``p`` is of subjects like these, and not of these recordings alone.
        elsewhere: ``(n_draws, n_units)``, ``z`` of what was recorded at some other times.
    """

    z: Floats
    p: Floats
    p_of_any: float
    of_population: bool
    elsewhere: Floats


def turns(n_volumes: int, tr_s: float, n: int, rng: np.random.Generator) -> Turns:
    """Ways to turn a run, ``n`` at the most, each another, none of less than ``LEAST_SHIFT_S``."""
    least = int(np.ceil(LEAST_SHIFT_S / tr_s))
    possible = np.arange(least, n_volumes - least + 1)
    return Turns(np.sort(rng.permutation(possible)[:n]), n_volumes, least)


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
        of_subjects, (chance, apart) = _of_subjects(effects), _mean_chance(effects, rng)
        z.append(_standardised(of_subjects.mean(axis=0), chance))
        turned.append(_standardised_by_others(chance, apart))
        if len(of_subjects) >= LEAST_SUBJECTS:
            t.append(_t(np.ones((1, len(of_subjects))), of_subjects)[0])
            flipped.append(_t(_signs(len(of_subjects), rng), of_subjects))
    together, at_other_times = np.concatenate(z), np.concatenate(turned, axis=1)
    return Found(
        z=together,
        p=_share_above(flipped, np.concatenate(t)) if t else _share_above([at_other_times], together),
        p_of_any=float((1 + (at_other_times.sum(axis=1) >= together.sum()).sum()) / (1 + len(at_other_times))),
        of_population=bool(t),
        elsewhere=at_other_times[:: max(1, len(at_other_times) // _KEPT)],
    )


def conjunction(of_operators: Sequence[Found]) -> Found:
    """Of units, what all operators agree on: the mean effect, the greatest p."""
    return Found(
        np.mean([each.z for each in of_operators], axis=0),
        np.max([each.p for each in of_operators], axis=0),
        max(each.p_of_any for each in of_operators),
        all(each.of_population for each in of_operators),
        np.mean([each.elsewhere for each in of_operators], axis=0),
    )


def false_discovery_rates(maps: Sequence[Found], level: float) -> list[Floats]:
    """The least rates of false discoveries at which units of a report's maps are found: of each map, ``(n_units,)``.

    All ones in a map with nothing to find. Which those are is a matter of rates too, among the maps: of many films, a
    share of the level for each would be less than the turns of a run can tell.
    """
    of_maps = _benjamini_hochberg([each.p_of_any for each in maps])
    return [
        _benjamini_hochberg(each.p) if of_map <= level else np.ones(len(each.p))
        for each, of_map in zip(maps, of_maps, strict=True)
    ]


def rates_in_all(maps: Sequence[Found], rates: Sequence[Floats]) -> Floats:
    """Of each unit, that at which it is found in all of these maps, ``(n_units,)``, from its ``rates`` in each.

    What is in all is in each, and at that rate among all that is in all.
    """
    return np.asarray(np.max([*rates, _benjamini_hochberg(conjunction(maps).p)], axis=0))


def _benjamini_hochberg(p: Floats | Sequence[float]) -> Floats:
    return np.asarray(stats.false_discovery_control(p), np.float64)


def _of_subjects(effects: Sequence[Effect]) -> Floats:
    """Evidence in units of each run's own chance, ``(n_subjects, n_units)``, the mean over a subject's runs."""
    own = np.array([effect.standardised for effect in effects])
    of = np.array([effect.subject for effect in effects])
    return np.array([own[of == subject].mean(axis=0) for subject in np.unique(of)])


def _mean_chance(effects: Sequence[Effect], rng: np.random.Generator) -> tuple[Floats, NDArray[np.bool_]]:
    """Likewise of each draw, over all subjects, ``(n_draws, n_units)``; and which know nothing of each other."""
    of_films = {effect.film: effect.turns for effect in effects}
    n_turns = [len(turns.volumes) for turns in of_films.values()]
    # Of one film every turn once, of several so many at random.
    several = len(of_films) > 1
    drawn = rng.integers(n_turns, size=(_DRAWS, len(of_films))) if several else np.arange(n_turns[0])[:, np.newaxis]
    of_film = dict(zip(of_films, drawn.T, strict=True))
    apart = np.all([turns.apart[np.ix_(of_film[film], of_film[film])] for film, turns in of_films.items()], axis=0)
    n_runs = Counter(effect.subject for effect in effects)
    total: Floats | float = 0.0
    for effect in effects:
        chance = _standardised_by_others(effect.chance, effect.turns.apart)
        total = total + chance[of_film[effect.film]] / n_runs[effect.subject]
    return np.asarray(total) / len(n_runs), apart


def _standardised(own: Floats, chance: Floats) -> Floats:
    """Against the mean and spread of chance; zero where a unit was never shown, so that chance is always the same."""
    spread = chance.std(axis=0, ddof=1)
    return _ratio(own - chance.mean(axis=0), spread)


def _standardised_by_others(chance: Floats, apart: NDArray[np.bool_]) -> Floats:
    """Each draw against the mean and spread of those that know nothing of it, as what was found is.

    By a spread that it is part of, or that its neighbours are, a draw would look smaller than it is.
    """
    n = apart.sum(axis=1, keepdims=True)
    mean = apart @ chance / n
    variance = (apart @ chance**2 / n - mean**2) * n / (n - 1)
    return _ratio(chance - mean, np.sqrt(variance.clip(0)))


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

"""What a map of masking must pass before it is believed.

- Deletion and insertion: what is found to matter, masked first, must take away what the net knows sooner than the same
  number by chance; shown first, it must bring it sooner. Petsiuk et al., *BMVC* (2018). Chance is the same map turned
  along its units: as smooth as it is, which in itself makes deletion look better than at random.
- Random weights: the map of a net whose weights mean nothing must not be the map. Adebayo et al., *NeurIPS* (2018).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from cortexcast_training.eegfmri.vae import BOLD, EEG
from cortexcast_training.masking.effects import Judge, Units
from cortexcast_training.masking.net import MaskedNet
from cortexcast_training.masking.seen import Seen

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]
Told = Callable[[Mask], float]
"""What a net tells of a run, nats a volume, while these units are masked."""

SHARES = np.linspace(0, 1, 11)
_ORDERS = 19


@dataclass(frozen=True)
class Curves:
    """What the net tells of runs while more and more units are masked, nats a volume.

    Attributes:
        deletion: ``(len(SHARES),)``, those that matter most first.
        insertion: likewise, those first that matter least: what the rest tell.
        random: ``(n_orders, len(SHARES))``, in the order of the same map elsewhere.
    """

    deletion: Floats
    insertion: Floats
    random: Floats

    @property
    def areas(self) -> tuple[float, float]:
        """Nats a volume between orders by chance and deletion, insertion and chance: above zero where it is better."""
        random = self.random.mean(axis=0)
        return _area(random - self.deletion), _area(self.insertion - random)

    @property
    def passed(self) -> bool:
        """Whether deletion falls sooner than in every order by chance, and insertion brings back sooner than in any."""
        areas = np.trapezoid(self.random, SHARES, axis=1)
        return bool(_area(self.deletion) < areas.min() and _area(self.insertion) > areas.max())


def _area(curve: Floats) -> float:
    return float(np.trapezoid(curve, SHARES))


def told_by_eeg(net: MaskedNet, seen: Seen, judge: Judge, instead: Singles) -> Told:
    """By hops: ``instead`` is ``(n_hops, n_features)``."""
    shown, hidden = net.filtered(seen.power), net.filtered(instead)

    def told(masked: Mask) -> float:
        windows = seen.windows(np.where(masked[:, np.newaxis], hidden, shown))
        return float(judge.likelihood(net.posterior(EEG, net.first(EEG, windows))).mean())

    return told


def told_by_bold(net: MaskedNet, seen: Seen, judge: Judge, units: Units, instead: Singles) -> Told:
    """By parts of the brain: ``instead`` is ``(n_units, n_volumes)``."""
    known = seen.recorded[BOLD]
    elsewhere = np.where(np.isfinite(known), known, net.token(BOLD))

    def told(masked: Mask) -> float:
        shown = units.in_parcels(np.where(masked[:, np.newaxis], instead, units.courses), elsewhere)
        return float(judge.likelihood(net.posterior(BOLD, net.first(BOLD, shown))).mean())

    return told


def curves(told: Told, importance: Floats) -> Curves:
    """Mask units in the order of their importance, the other way round, and in that of the same map elsewhere.

    Args:
        told: by how many units of which are masked.
        importance: ``(n_units,)``; better of other subjects, since by its own any order is good.
    """
    n = len(importance)
    ends = [told(np.zeros(n, bool)), told(np.ones(n, bool))]

    def while_masking(order: Numbers) -> Floats:
        rank = np.empty(n, np.int64)
        rank[order] = np.arange(n)
        return np.array([ends[0], *(told(rank < share * n) for share in SHARES[1:-1]), ends[1]])

    most_first = np.argsort(-importance, kind="stable")
    shifts = np.linspace(0, n, _ORDERS + 1, endpoint=False)[1:].astype(np.int64)
    elsewhere = [while_masking(np.argsort(-np.roll(importance, shift), kind="stable")) for shift in shifts]
    return Curves(while_masking(most_first), while_masking(most_first[::-1]), np.array(elsewhere))


def agreement(maps: Sequence[Floats]) -> float | None:
    """Of operators: the lowest rank correlation of any two maps; None where one is the same everywhere."""
    pairs = [(one, other) for number, one in enumerate(maps) for other in maps[number + 1 :]]
    found = [rank_correlation(*pair) for pair in pairs]
    return None if None in found else min(value for value in found if value is not None)


def rank_correlation(one: Floats, other: Floats) -> float | None:
    """Of two maps; None where one is the same everywhere."""
    if not (np.ptp(one) and np.ptp(other)):
        return None
    return float(stats.spearmanr(one, other).statistic)

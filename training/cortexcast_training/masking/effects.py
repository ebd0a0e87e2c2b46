"""What masking a moment of EEG, or a part of the brain, does to what a net says of the other modality.

Two things are told of each unit that is masked, in nats:

- ``change``: how far the probability of the outputs moves when that unit alone is masked, whatever was recorded:
  the divergence of what is predicted without it from what is predicted with it.
- ``evidence``: by how much the unit makes likelier what was recorded, the mean of two ways to ask: masked while all
  else is shown, and shown while all else is masked. Asked in the first way alone, a moment of EEG says nearly nothing,
  since its neighbours say the same; asked in both, what several units share is shared out among them.

The evidence of what was recorded at another time, turned by 20 s or more, is what comes about by chance.

Sources: the mean of both ways is Shapley's value (1953) of a game of which no part has more than two players, which a
linear net with Gaussian outputs is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from cortexcast_training.eegfmri.vae import BOLD, EEG, HOPS_PER_BIN, N_HOPS
from cortexcast_training.masking.net import Decoder, MaskedNet, Posterior
from cortexcast_training.masking.seen import N_BINS, Seen

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Numbers = NDArray[np.int64]

_AT_ONCE = 32
"""Units of BOLD."""

_NOTHING = np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class Effects:
    """Of masking each of some units.

    Attributes:
        evidence: ``(n_units,)`` in nats, summed over all volumes.
        chance: ``(n_shifts, n_units)``, that of what was recorded at other times.
        change: ``(n_units,)`` in nats, summed over all volumes and outputs.
        on: ``(n_units, n_outputs)`` in nats, the change of each output, of EEG of each of the run's hops; of no units
            where it was not asked for.
    """

    evidence: Singles
    chance: Singles
    change: Singles
    on: Singles


@dataclass(frozen=True)
class Units:
    """Parts of the brain that are masked one at a time: parcels, or voxels.

    Attributes:
        parcel: ``(n,)``, the number of the parcel that each belongs to.
        share: ``(n,)``, of it in the parcel's mean.
        courses: ``(n, n_volumes)``, in units of the parcel.
    """

    parcel: Numbers
    share: Singles
    courses: Singles

    def in_parcels(self, courses: Singles, elsewhere: Singles) -> Singles:
        """What parcels show, ``(n_volumes, n_parcels)``, where units do this and parcels without units that."""
        n = len(self.parcel)
        shares = scipy.sparse.csr_array((self.share, (self.parcel, np.arange(n))), shape=(elsewhere.shape[1], n))
        has_units = np.isin(np.arange(elsewhere.shape[1]), self.parcel)
        return np.where(has_units, (shares @ courses).T, elsewhere).astype(np.float32)


class Judge:
    """How likely what was recorded is, given the latent: its expected logarithm in nats, but for what never changes.

    Args:
        decoder: of the modality that was recorded.
        recorded: ``(n_volumes, n_outputs)``, NaN where unknown.
        shifts: in volumes, by which it is turned.
    """

    def __init__(self, decoder: Decoder, recorded: Singles, shifts: Numbers) -> None:
        self.known = np.isfinite(recorded).all(axis=0)
        self.weights = decoder.weights[self.known]
        self.precision = 1 / decoder.noise[self.known]
        weighted = self.weights * self.precision[:, np.newaxis]
        self._gram = weighted.T @ self.weights
        self._bias = decoder.bias[self.known] @ weighted
        scores = recorded[:, self.known] @ weighted
        self.scores = np.stack([scores, *(np.roll(scores, shift, axis=0) for shift in shifts)])
        """Of the latent, ``(1 + n_shifts, n_volumes, latent)``: what was recorded, then that of other times."""

    def constant(self, given: Posterior) -> Singles:
        """What does not depend on what was recorded, ``(...)``."""
        of_mean = np.einsum("...l,...l->...", given.mean @ self._gram / 2 + self._bias, given.mean)
        return np.asarray(-of_mean - given.variance @ np.diag(self._gram) / 2, np.float32)

    def likelihood(self, given: Posterior) -> Singles:
        """Of each volume, ``(n_volumes,)``."""
        return np.asarray(np.einsum("tl,tl->t", self.scores[0], given.mean) + self.constant(given), np.float32)

    def change(self, differences: Singles) -> Singles:
        """The divergence of all outputs, where the latent's mean differs by ``(..., latent)``."""
        return np.asarray(np.einsum("...l,...l->...", differences @ self._gram, differences) / 2, np.float32)

    def change_of_each(self, differences: Singles) -> Singles:
        """Likewise of each known output, ``(..., n_known)``."""
        return np.asarray((differences @ self.weights.T) ** 2 * (self.precision / 2), np.float32)


def mask_eeg(
    net: MaskedNet, seen: Seen, judge: Judge, instead: Sequence[Singles], *, with_outputs: bool = True
) -> Effects:
    """Mask each hop of a run's EEG, as the net sees it alone.

    Args:
        net: whose other modality is judged.
        seen: the run.
        judge: of that modality.
        instead: one or more courses of ``(n_hops, n_features)``, what masked hops show; effects are means over them.
        with_outputs: whether to tell what each output's change is.
    """
    columns = net.columns[EEG]
    shown = seen.windows(net.filtered(seen.power))
    halfway = net.first(EEG, shown)
    whole = net.posterior(EEG, halfway)
    gain, constant, on_alone = _zeros(seen, whole), np.zeros((seen.n_volumes, N_HOPS), np.float32), []
    for course in instead:
        hidden = seen.windows(net.filtered(course))
        nothing = net.first(EEG, hidden)
        step = np.einsum("thf,hfa->tha", shown - hidden, columns, optimize=True)
        masked = net.posterior(EEG, halfway[:, np.newaxis] - step)
        alone, none = net.posterior(EEG, nothing[:, np.newaxis] + step), net.posterior(EEG, nothing)
        without = whole.mean[:, np.newaxis] - masked.mean
        on_alone.append(without)
        gain += (without + alone.mean - none.mean[:, np.newaxis]) / 2
        constant += (judge.constant(whole) - judge.constant(none))[:, np.newaxis] / 2
        constant += (judge.constant(alone) - judge.constant(masked)) / 2
    evidence = (np.einsum("thl,stl->sth", gain, judge.scores, optimize=True) + constant) / len(instead)
    gathered = _onto_hops(seen, evidence)
    change = np.asarray(np.mean([judge.change(each) for each in on_alone], axis=0), np.float32)
    on = _on_outputs_of_hops(seen, judge, on_alone) if with_outputs else _NOTHING
    return Effects(gathered[0], gathered[1:], _onto_hops(seen, change[np.newaxis])[0], on)


def mask_bold(
    net: MaskedNet,
    seen: Seen,
    judge: Judge,
    units: Units,
    instead: Sequence[Singles],
    *,
    with_outputs: bool = True,
) -> Iterator[Effects]:
    """Mask each of some parts of the brain, as the net sees BOLD alone; gives some units at a time, in order.

    Args:
        net: whose other modality is judged.
        seen: the run.
        judge: of that modality.
        units: what is masked.
        instead: one or more courses of ``(n_units, n_volumes)``, what masked units show; effects are means over them.
        with_outputs: as of ``mask_eeg``.
    """
    columns, token = net.columns[BOLD], net.token(BOLD)
    shown = np.where(np.isfinite(seen.recorded[BOLD]), seen.recorded[BOLD], token)
    halfway = net.first(BOLD, shown)
    whole = net.posterior(BOLD, halfway)
    nothings = [net.first(BOLD, units.in_parcels(course, shown)) for course in instead]
    nones = [net.posterior(BOLD, nothing) for nothing in nothings]
    for begin in range(0, len(units.parcel), _AT_ONCE):
        some = slice(begin, begin + _AT_ONCE)
        own, share, column = units.courses[some], units.share[some, np.newaxis], columns[units.parcel[some]]
        evidence: Singles = np.zeros((len(judge.scores), len(own)), np.float32)
        changes, ons = [], []
        for course, nothing, none in zip(instead, nothings, nones, strict=True):
            step = (share * (own - course[some]))[..., np.newaxis] * column[:, np.newaxis]
            masked = net.posterior(BOLD, halfway - step)
            alone = net.posterior(BOLD, nothing + step)
            without = whole.mean - masked.mean
            gain = (without + alone.mean - none.mean) / 2
            constant = judge.constant(whole) - judge.constant(none) + judge.constant(alone) - judge.constant(masked)
            evidence += np.einsum("utl,stl->su", gain, judge.scores, optimize=True) + constant.sum(axis=1) / 2
            changes.append(judge.change(without).sum(axis=1))
            ons.append(_on_outputs(seen, judge, without) if with_outputs else _NOTHING)
        mean = np.asarray(evidence / len(instead), np.float32)
        change, on = (np.asarray(np.mean(each, axis=0), np.float32) for each in (changes, ons))
        yield Effects(mean[0], mean[1:], change, on)


def _on_outputs_of_hops(seen: Seen, judge: Judge, on_alone: Sequence[Singles]) -> Singles:
    on = np.zeros((len(seen.power), len(judge.weights)), np.float32)
    hops = seen.window_hops
    for each in on_alone:
        for volume, row in enumerate(each):
            there = hops[volume] >= 0
            on[hops[volume, there]] += judge.change_of_each(row[there]) / len(on_alone)
    return on


def _on_outputs(seen: Seen, judge: Judge, without: Singles) -> Singles:
    """Of ``(n_units, n_volumes, latent)``, each output's change over all volumes, of EEG each hop's."""
    n_features = seen.power.shape[1]
    if len(judge.weights) != N_BINS * n_features:
        return np.asarray(judge.change_of_each(without).sum(axis=1))
    # Of each bin the precision of the latent, so that a quadratic form tells what all its features change.
    weights = judge.weights.reshape(N_BINS, n_features, -1)
    precision = judge.precision.reshape(N_BINS, 1, n_features)
    grams = (weights.transpose(0, 2, 1) * precision) @ weights
    units, volumes, latent = without.shape
    turned = without.reshape(-1, latent) @ grams.transpose(1, 0, 2).reshape(latent, -1)
    of_bin = np.einsum("nbm,nm->nb", turned.reshape(-1, N_BINS, latent), without.reshape(-1, latent))
    onto = _bins_onto_hops(seen)
    return np.asarray((onto @ of_bin.reshape(units, volumes * N_BINS).T).T / (2 * HOPS_PER_BIN), np.float32)


def _bins_onto_hops(seen: Seen) -> scipy.sparse.csr_array:
    """Sums over the bins of all windows for each of the run's hops, ``(n_hops, n_volumes * N_BINS)``."""
    hops = seen.window_hops
    bins = np.arange(seen.n_volumes * N_BINS).reshape(seen.n_volumes, N_BINS).repeat(HOPS_PER_BIN, axis=1)
    there = hops >= 0
    shape = len(seen.power), bins.max() + 1
    return scipy.sparse.csr_array((np.ones(there.sum(), np.float32), (hops[there], bins[there])), shape=shape)


def _onto_hops(seen: Seen, of_windows: Singles) -> Singles:
    """Sums over windows, ``(n, n_volumes, N_HOPS)``, for each of the run's hops, ``(n, n_hops)``."""
    hops = seen.window_hops
    there = hops >= 0
    at, n = hops[there], len(seen.power)
    return np.stack([np.bincount(at, each[there], n) for each in of_windows]).astype(np.float32)


def _zeros(seen: Seen, whole: Posterior) -> Singles:
    return np.zeros((seen.n_volumes, N_HOPS, whole.mean.shape[-1]), np.float32)

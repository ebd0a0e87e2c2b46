"""Which network state the brain is in, by a hidden Markov model of EEG and MEG together.

A state is a covariance: while it lasts, EEG and MEG are jointly Gaussian. Of training data both are known, and MEG
tells states apart that EEG alone confuses. So the states are found by expectation and maximisation over EEG and MEG,
and serve the net twice: as where its experts begin, each the linear estimate within a state, and as a teacher of its
weighting. A hop is in one state throughout.

Source: Baker et al., *eLife* 3 (2014) for hidden Markov models of MEG; Rabiner, *Proc. IEEE* 77 (1989).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from cortexcast_training.oracle import posterior
from cortexcast_training.scaling import Units, whitener
from cortexcast_training.wiener import LaggedCovariances
from cortexcast_training.windows import Prepared

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Labels = NDArray[np.int16]

BAD = -1
"""The label of a hop that is not good."""

_N_EEG, _N_MEG = 30, 40
"""Principal components that are looked at, of each modality."""

_SHRINKAGE = 0.02
"""Of each state's covariance toward the mean over all states."""

_INDEPENDENT = 0.3
"""Of the samples: neighbours in time are alike, so that a hop of them tells less than so many."""

_N_ITERATIONS = 20
_MOST_HOPS = 25_000
"""That states are found in: 17 minutes at hops of 40 ms."""

_SEED_HOPS = 8
_SEED_SHARE = 0.3
"""A state begins as the covariance of so many hops in a row, by this share, and of everything."""

_DWELL_HOPS = 10.0

_NEGLIGIBLE = 1e-3

_ROWS = 20_000
"""Samples of all channels that are in memory at once, however long a recording is."""


@dataclass(frozen=True)
class States:
    """What is known of each state.

    Attributes:
        see: ``(n_features, n_electrodes + n_sensors)``, to white components of EEG and MEG in the units' scale.
        factors: ``(n_states, n_features, n_features)``: the square of ``factor @ features`` is how unlikely they are.
        log_scale: ``(n_states,)``, the logarithm of the factor's determinant.
    """

    see: Singles
    factors: Singles
    log_scale: Floats

    def labels(self, recording: Prepared, units: Units) -> Labels:
        """The most probable state of each hop, ``(n_hops,)``; ``BAD`` where it is not good."""
        result = np.full(len(recording.good), BAD, np.int16)
        for stretch in recording.stretches():
            probability = self._probability(_features(self.see, recording, stretch, units), recording.hop)
            result[stretch.start // recording.hop : stretch.stop // recording.hop] = probability.argmax(axis=1)
        return result

    def _probability(self, features: Singles, hop: int) -> Floats:
        """Of each state in each hop, ``(n_hops, n_states)``, given the whole stretch."""
        likelihood = _INDEPENDENT * self._log_likelihood(features, hop)
        return posterior(likelihood, 1 - 1 / _DWELL_HOPS, len(likelihood), 0)

    def _log_likelihood(self, features: Singles, hop: int) -> Floats:
        return np.stack(
            [
                hop * log_scale - 0.5 * np.square(features @ factor.T).sum(axis=1).reshape(-1, hop).sum(axis=1)
                for factor, log_scale in zip(self.factors, self.log_scale, strict=True)
            ],
            axis=1,
        ).astype(np.float64)


def find_states(
    recordings: Sequence[Prepared],
    total: LaggedCovariances,
    units: Units,
    n_states: int,
    seed: int,
    say: Callable[[int, int], None] = lambda _, __: None,
) -> States:
    """Find the states of recordings.

    Args:
        recordings: of training subjects.
        total: their covariances in these units.
        units: of EEG and MEG.
        n_states: how many to look for; more than there are do little harm.
        seed: of the stretches that the search begins with.
        say: hears which iteration of how many begins.
    """
    rng = np.random.default_rng([seed, n_states])
    see = scipy.linalg.block_diag(
        whitener(total.eeg, min(_N_EEG, len(total.eeg) - 1)), whitener(total.meg, min(_N_MEG, len(total.meg)))
    ).astype(np.float32)
    hop = recordings[0].hop
    stretches = [_features(see, recording, samples, units) for recording, samples in _some(recordings, rng)]
    found = _states(see, _seeds(np.concatenate(stretches), _SEED_HOPS * hop, n_states, rng))
    for iteration in range(_N_ITERATIONS):
        say(iteration, _N_ITERATIONS)
        found = _states(see, _maximised(found, stretches, hop))
    say(_N_ITERATIONS, _N_ITERATIONS)
    return found


def _seeds(features: Singles, length: int, n_states: int, rng: np.random.Generator) -> Floats:
    """Covariances of so many samples in a row, anywhere, ``(n_states, n_features, n_features)``."""
    mean = features.T @ features / len(features)
    firsts = rng.integers(max(1, len(features) - length), size=n_states)
    some = [features[first : first + length] for first in firsts]
    # A few hops show a few directions only: what they do not show is as usual.
    return np.stack([_SEED_SHARE * each.T @ each / len(each) + (1 - _SEED_SHARE) * mean for each in some])


def _maximised(states: States, stretches: Sequence[Singles], hop: int) -> Floats:
    """The states' covariances, by the probability that they themselves give each hop."""
    sums, counts = np.zeros(states.factors.shape), np.zeros(len(states.factors))
    for stretch in stretches:
        probability = states._probability(stretch, hop).astype(np.float32)
        counts += hop * probability.sum(axis=0, dtype=np.float64)
        for state, weight in enumerate(probability.T):
            probable = np.repeat(weight > _NEGLIGIBLE, hop)
            seen = stretch[probable]
            sums[state] += (np.repeat(weight, hop)[probable, np.newaxis] * seen).T @ seen
    mean, borrowed = sums.sum(axis=0) / counts.sum(), _SHRINKAGE * counts.mean()
    return np.asarray((sums + borrowed * mean) / (counts + borrowed)[:, np.newaxis, np.newaxis], np.float64)


def _features(see: Singles, recording: Prepared, samples: slice, units: Units) -> Singles:
    """The white components of these samples, ``(n, n_features)``."""
    features = np.empty((samples.stop - samples.start, len(see)), np.float32)
    for first in range(samples.start, samples.stop, _ROWS):
        some = slice(first, min(first + _ROWS, samples.stop))
        both = np.concatenate([recording.eeg[some] / units.eeg, recording.meg[some] / units.meg], axis=1)
        features[first - samples.start : some.stop - samples.start] = both.astype(np.float32) @ see.T
    return features


def _states(see: Singles, covariances: Floats) -> States:
    factors = np.stack([scipy.linalg.inv(np.linalg.cholesky(each)) for each in covariances])
    log_scale = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    return States(see, factors.astype(np.float32), log_scale)


def _some(recordings: Sequence[Prepared], rng: np.random.Generator) -> Iterator[tuple[Prepared, slice]]:
    """Good stretches of recordings in random order, until there are enough hops."""
    n_hops = 0
    for number in rng.permutation(len(recordings)):
        recording = recordings[number]
        for stretch in recording.stretches():
            if n_hops >= _MOST_HOPS:
                return
            stop = min(stretch.stop, stretch.start + (_MOST_HOPS - n_hops) * recording.hop)
            n_hops += (stop - stretch.start) // recording.hop
            yield recording, slice(stretch.start, stop)

"""The best that anyone could do: a subject's own Bayes estimate of MEG from EEG, all parameters known.

While a state of the simulated brain lasts, EEG and MEG are jointly Gaussian and stationary, and their covariances are
known in closed form: what the head shows of each patch, times the autocovariance of its activity after the
preprocessing. So each state has its Wiener filter, and how probable each state is follows from a hidden Markov model
whose emissions are the states' own linear predictions of the EEG. The estimate is the mean of the filters' estimates
under that probability. The states' own shares of the power in place of their probabilities hardly change it: what is
to be known of the state, the EEG tells.

Evoked responses are left out of the covariances: they hold about a thousandth of the variance.

Source: Rabiner, *Proc. IEEE* 77 (1989) for the hidden Markov model; Ephraim & Merhav, *IEEE Trans. Inf. Theory* 48
(2002) for its linear predictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import numpy as np
import scipy.linalg
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import convolve1d

from cortexcast_models.manifest import Preprocessing
from cortexcast_models.preprocessing import Preprocessor
from cortexcast_models.simulation.activity import States, gates
from cortexcast_training.sensor_noise import NoiseSettings, eeg_noise_density
from cortexcast_training.sources import PatchFields, Sources, SourceSettings
from cortexcast_training.wiener import LaggedCovariances, Taps, apply

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

ORDER = 6
"""Samples of EEG from which each state predicts the next."""

TEMPERING = 0.2
"""Of the likelihood, since a state's model is not exact where one follows another. Between 0.1 and 1 the explained
variance changes by 0.004; this is the best."""

_RESPONSE_S = 10.0
"""Over which a filter's response is taken: the resolution is its inverse."""

_SMALLEST_VARIANCE = 1e-6
"""In proportion to the largest: directions that no electrode shows, such as the average's."""

_REACH_S = 0.1
"""A filter's answer to an impulse is nearly over after this time."""

_RIDGE = 1e-4

_NEGLIGIBLE = 1e-3
"""A state that is less probable is left out."""


@dataclass(frozen=True)
class Response:
    """What the preprocessing does to a signal.

    Attributes:
        hz: frequencies, up to half of the recording's rate.
        gain: complex, at each of them.
        rate_hz: of what comes out.
    """

    hz: Floats
    gain: NDArray[np.complex128]
    rate_hz: float

    def autocovariance(self, density: Floats, n_lags: int) -> Floats:
        """Of what comes out, at lags of 0, 1, ... samples, where this one-sided power per Hz goes in.

        What folds at half of the rate that comes out is counted where it folds to.
        """
        power = density * np.abs(self.gain) ** 2 * self.hz[1]
        return np.array([(power * np.cos(2 * np.pi * self.hz * lag / self.rate_hz)).sum() for lag in range(n_lags)])

    def smear(self, power: Singles) -> Singles:
        """The power of white signals after the preprocessing, where ``power`` ``(n_signals, n)`` is that before it."""
        energy = np.fft.fftshift(np.fft.irfft(self.gain) ** 2)
        middle, reach = len(energy) // 2, round(_REACH_S * 2 * self.hz[-1])
        kernel = energy[middle - reach : middle + reach + 1]
        return np.asarray(convolve1d(power, kernel / kernel.sum(), axis=1, mode="nearest"), np.float32)


@lru_cache(maxsize=8)
def response(spec: Preprocessing, rate_hz: float) -> Response:
    """Of the preprocessing of a recording at that rate, taken from its answer to an impulse.

    Args:
        spec: what is done.
        rate_hz: a simple ratio to the rate that comes out.
    """
    ratio = Fraction(spec.resample.rate_hz / rate_hz).limit_denominator(1000)
    up, down = ratio.numerator, ratio.denominator
    n = down * round(_RESPONSE_S * rate_hz / down)
    first = n // 4 // down * down
    # An impulse at each of `down` samples: together, the answers hold each input sample's part in an output.
    impulses = np.zeros((down, n))
    impulses[np.arange(down), first + np.arange(down)] = 1.0
    preprocessor = Preprocessor(spec, rate_hz, down, up)
    answers = np.concatenate([block.data for block in preprocessor.push(impulses)], axis=1)[:, ::up]
    lags = down * np.arange(answers.shape[1]) - first - np.arange(down)[:, np.newaxis]
    taps = np.zeros(n)
    np.add.at(taps, lags % n, answers)
    return Response(np.asarray(np.fft.rfftfreq(n, 1 / rate_hz), np.float64), np.fft.rfft(taps), spec.resample.rate_hz)


@dataclass(frozen=True)
class Oracle:
    """What is known of one subject after the preprocessing.

    Attributes:
        states: covariances while each state lasts.
        mean: covariances over all states, each as probable as the others.
        stay: probability that a state lasts for one more sample.
        settings: of the sources.
        after: what the preprocessing does.
    """

    states: Sequence[LaggedCovariances]
    mean: LaggedCovariances
    stay: float
    settings: SourceSettings
    after: Response

    def own_wiener(self, eeg: NDArray[np.floating], taps: Taps) -> Floats:
        """The best linear estimate for this subject.

        Args:
            eeg: ``(n, n_electrodes)`` in V.
            taps: what it reads.

        Returns:
            ``(n, n_sensors)`` in T and T/m.
        """
        return apply(self.mean.filter(taps, _RIDGE), taps, eeg)

    def bayes(self, eeg: NDArray[np.floating], hop: int, lookahead: int, taps: Taps) -> Floats:
        """The mean of the MEG given the EEG, as ``own_wiener``.

        Args:
            eeg: without artefacts: this is a bound.
            hop: samples that are estimated at once.
            lookahead: hops after each, which its estimate may read.
            taps: of the states' filters.
        """
        return self.mixture(eeg, self.posterior(eeg, hop, lookahead), taps)

    def with_states(self, eeg: NDArray[np.floating], states: States, rate_hz: float, taps: Taps) -> Floats:
        """Likewise, with the states ``(n_samples,)`` given at the recording's rate."""
        amplitudes = gates(states, self.settings.states, self.settings.transition_s, rate_hz)
        shares = self.after.smear(amplitudes**2)
        samples = np.round(np.arange(len(eeg)) * rate_hz / self.after.rate_hz).astype(np.int64)
        return self.mixture(eeg, shares[:, samples.clip(0, len(states) - 1)].T.astype(np.float64), taps)

    def mixture(self, eeg: NDArray[np.floating], weights: Floats, taps: Taps) -> Floats:
        """The states' estimates under these weights, ``(n, n_states)``."""
        # Single precision: the filters are long, and this is a bound for what single precision gives.
        padded = np.pad(np.asarray(eeg, np.float32), ((taps.back, taps.ahead), (0, 0)))
        windows = sliding_window_view(padded, taps.span + 1, axis=0)[..., :: taps.step]
        estimate = np.zeros((len(eeg), self.mean.meg.shape[0]))
        for weight, state in zip(weights.T, self.states, strict=True):
            probable = weight > _NEGLIGIBLE
            read = windows[probable].reshape(-1, eeg.shape[1] * taps.n)
            filtered = read @ state.filter(taps, _RIDGE).astype(np.float32).reshape(-1, read.shape[1]).T
            estimate[probable] += weight[probable, np.newaxis] * filtered
        return estimate

    def posterior(self, eeg: NDArray[np.floating], hop: int, lookahead: int, tempering: float = TEMPERING) -> Floats:
        """How probable each state is given the EEG up to ``lookahead`` hops later, ``(n, n_states)``."""
        likelihood = tempering * self.log_likelihood(np.asarray(eeg, np.float64))
        return posterior(likelihood, self.stay, hop, lookahead)

    def log_likelihood(self, eeg: Floats) -> Floats:
        """Of each sample under each state, given those before it: ``(n, n_states)``."""
        values, vectors = np.linalg.eigh(self.mean.eeg)
        seen = vectors[:, values > _SMALLEST_VARIANCE * values[-1]]
        signal = eeg @ seen
        n, size = signal.shape
        past = np.concatenate([np.pad(signal, ((lag, 0), (0, 0)))[:n] for lag in range(ORDER, 0, -1)], axis=1)
        result = np.empty((n, len(self.states)))
        together = np.kron(np.eye(ORDER + 1), seen)
        for number, state in enumerate(self.states):
            whole, _ = state.normal_equations(Taps(ORDER, 0))
            whole = together.T @ whole @ together
            before, cross = whole[:-size, :-size], whole[-size:, :-size]
            predictor = scipy.linalg.solve(before, cross.T, assume_a="pos")
            innovation = whole[-size:, -size:] - cross @ predictor
            factor = np.linalg.cholesky(innovation)
            error = scipy.linalg.solve_triangular(factor, (signal - past @ predictor).T, lower=True)
            result[:, number] = -0.5 * np.square(error).sum(axis=0) - np.log(factor.diagonal()).sum()
        result[:ORDER] = 0.0  # they lack a past
        return result


def posterior(log_likelihood: Floats, stay: float, hop: int, lookahead: int) -> Floats:
    """Probabilities of a hidden Markov model's states, ``(n, n_states)``, all of a hop given the same samples.

    Args:
        log_likelihood: ``(n, n_states)`` of each sample under each state.
        stay: probability that a state goes on; all others follow alike.
        hop: samples.
        lookahead: hops after its own, which a sample's probability is given.
    """
    n, n_states = log_likelihood.shape
    leave = (1 - stay) / max(1, n_states - 1)
    emission = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))

    def moved(probability: Floats) -> Floats:
        return np.asarray((stay - leave) * probability + leave * probability.sum(axis=-1, keepdims=True), np.float64)

    forward = np.empty((n, n_states))
    now = np.full(n_states, 1 / n_states)
    for sample in range(n):
        now = moved(now) * emission[sample]
        now /= now.sum()
        forward[sample] = now
    if n_states == 1:
        return forward
    # Backwards from the end of what each hop may read, all hops side by side.
    reach = hop * (1 + lookahead)
    starts = np.arange(0, n, hop)
    later = np.ones((len(starts), n_states))
    result = forward.copy()
    for offset in range(reach - 1, 0, -1):
        read = np.minimum(starts + offset, n - 1)
        # Beyond the recording's end there is nothing to read.
        seen = np.where((starts + offset < n)[:, np.newaxis], emission[read], 1.0)
        later = moved(later * seen)
        later /= later.sum(axis=1, keepdims=True)
        if offset <= hop:
            at = starts + offset - 1
            inside = at < n
            result[at[inside]] *= later[inside]
    return np.asarray(result / result.sum(axis=1, keepdims=True), np.float64)


def oracle(
    fields: PatchFields,
    sources: Sources,
    noise: NoiseSettings,
    to_montage: Floats,
    to_helmet: Floats,
    after: Response,
    taps: Taps,
) -> Oracle:
    """Everything that is known of a subject, in volts, T and T/m.

    Args:
        fields: what the head shows of each patch.
        sources: the patches.
        noise: of the sensors.
        to_montage: ``(n_electrodes, 70)``, from the recording's electrodes to the model's.
        to_helmet: ``(n_sensors, 306)``, from the recording's sensors to the virtual helmet's.
        after: what the preprocessing does.
        taps: the longest filters that shall follow, of any step.
    """
    settings, taps = sources.settings, replace(taps, step=1)
    eeg, meg = to_montage @ fields.eeg, to_helmet @ fields.meg
    n_lags = max(taps.span, ORDER) + 1

    def moments(columns: slice, density: Floats) -> _Moments:
        lags = after.autocovariance(density, n_lags)
        return _Moments(eeg[:, columns], meg[:, columns], lags)

    network = sources.family("network")
    assert network.spectrum is not None
    always = [
        moments(family.patches, family.spectrum.density(after.hz))
        for family in sources.families
        if family.spectrum is not None and family.name != "network"
    ]
    noise_lags = after.autocovariance(np.ones_like(after.hz), n_lags)
    noise_eeg = to_montage @ eeg_noise_density(noise) @ to_montage.T
    of_states = [
        moments(sources.of_state(state), network.spectrum.density(after.hz)) for state in range(settings.states)
    ]

    def covariances(parts: Sequence[_Moments], share: float) -> LaggedCovariances:
        lagged = np.multiply.outer(noise_lags, noise_eeg)
        cross = np.zeros((taps.n, len(meg), len(eeg)))
        both = np.zeros((len(meg), len(meg)))
        at = np.abs(np.arange(-taps.back, taps.ahead + 1))
        for part, weight in [*((part, 1.0) for part in always), *((part, share) for part in parts)]:
            lagged += weight * np.multiply.outer(part.lags, part.eeg @ part.eeg.T)
            cross += weight * np.multiply.outer(part.lags[at], part.meg @ part.eeg.T)
            both += weight * part.lags[0] * part.meg @ part.meg.T
        return LaggedCovariances.known(lagged, cross, both, taps)

    reach_s = settings.dwell_max_s - settings.dwell_min_s
    # The mean of an exponential distribution that is cut.
    excess_s = settings.dwell_excess_s - reach_s / np.expm1(reach_s / settings.dwell_excess_s)
    dwell = (settings.dwell_min_s + excess_s) * after.rate_hz
    return Oracle(
        states=[covariances([state], 1.0) for state in of_states],
        mean=covariances(of_states, 1.0 / settings.states),
        stay=float(1 - 1 / dwell) if settings.states > 1 else 1.0,
        settings=settings,
        after=after,
    )


@dataclass(frozen=True)
class _Moments:
    """Fields of signals that are independent of each other, and their autocovariance."""

    eeg: Floats
    meg: Floats
    lags: Floats

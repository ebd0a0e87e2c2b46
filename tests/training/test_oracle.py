"""The oracle against simulations that are small enough to know everything about."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from numpy.typing import NDArray

from cortexcast_models.preprocessing import Preprocessor
from cortexcast_models.simulation.activity import Family, States, draw_states
from cortexcast_training.experiment import Events
from cortexcast_training.metrics import explained_variance
from cortexcast_training.oracle import Oracle, oracle, posterior, response
from cortexcast_training.prepare import PrepareSettings
from cortexcast_training.sensor_noise import NoiseSettings, draw_eeg_noise
from cortexcast_training.simulator import RATE_HZ, SimulationSettings, draw_activity
from cortexcast_training.sources import PatchFields, Sources, SourceSettings
from cortexcast_training.wiener import INSTANT, LaggedCovariances, Taps, apply

Floats = NDArray[np.float64]

PREPARE = PrepareSettings()
N_ELECTRODES, N_SENSORS = 12, 10
TAPS = Taps(8, 8, 2)


class Small:
    """A subject of a few electrodes and sensors, 40 s of it, preprocessed."""

    def __init__(self, n_states: int) -> None:
        rng = np.random.default_rng(n_states)
        self.settings = SourceSettings(states=n_states, patches_per_state=3, background_patches=8)
        n_network = 3 * n_states
        families = (
            Family("network", slice(0, n_network), self.settings.network),
            Family("background", slice(n_network, n_network + 8), self.settings.background),
        )
        n = n_network + 8
        strength = np.where(np.arange(n) < n_network, 6e-6, 2e-6)
        fields = PatchFields(rng.standard_normal((70, n)) * strength, 1e-7 * rng.standard_normal((306, n)) * strength)
        sources = Sources(self.settings, np.zeros((0, n)), np.zeros((n, 3)), families)
        noise = NoiseSettings()
        to_montage, to_helmet = np.eye(N_ELECTRODES, 70), np.eye(N_SENSORS, 306)
        self.after = response(PREPARE.preprocessing, RATE_HZ)
        self.oracle: Oracle = oracle(fields, sources, noise, to_montage, to_helmet, self.after, TAPS)

        n_samples = round(40 * RATE_HZ)
        self.states: States = draw_states(self.settings, n_samples, RATE_HZ, 3)
        none = Events(np.zeros(0, np.int64), np.zeros(0, np.int64))
        activity = draw_activity(sources, self.states, none, SimulationSettings(), 3)
        eeg = fields.eeg[:N_ELECTRODES] @ activity + draw_eeg_noise(noise, n_samples, RATE_HZ, 3)[:N_ELECTRODES]
        meg = fields.meg[:N_SENSORS] @ activity
        preprocessor = Preprocessor(PREPARE.preprocessing, RATE_HZ, N_ELECTRODES + N_SENSORS, PREPARE.hop)
        data = np.concatenate([block.data for block in preprocessor.push(np.concatenate([eeg, meg]))], axis=1)
        self.eeg, self.meg = data[:N_ELECTRODES].T, data[N_ELECTRODES:].T

    def explained(self, estimate: Floats) -> float:
        return explained_variance(self.meg[400:], estimate[400:])


@cache
def small(n_states: int) -> Small:
    return Small(n_states)


def test_the_response_is_that_of_the_filters() -> None:
    after = response(PREPARE.preprocessing, RATE_HZ)
    gain = np.interp([0.0, 10.0, 50.0, 300.0], after.hz, np.abs(after.gain))
    np.testing.assert_allclose(gain, [0, 1, 0, 0], atol=0.02)


def test_white_noise_comes_out_with_the_autocovariance_that_the_response_says() -> None:
    noise = np.random.default_rng(0).standard_normal((40, 20 * 1100))
    preprocessor = Preprocessor(PREPARE.preprocessing, RATE_HZ, len(noise), PREPARE.hop)
    data = np.concatenate([block.data for block in preprocessor.push(noise)], axis=1)[:, 400:]
    seen = [np.mean(data[:, : data.shape[1] - lag] * data[:, lag:]) for lag in range(6)]
    after = response(PREPARE.preprocessing, RATE_HZ)
    expected = after.autocovariance(np.full_like(after.hz, 2 / RATE_HZ), 6)
    np.testing.assert_allclose(seen, expected, atol=0.02 * expected[0])


@pytest.mark.parametrize(("n_states", "deviation"), [(1, 0.25), (6, 0.6)])
def test_covariances_are_those_of_a_simulation(n_states: int, deviation: float) -> None:
    """In 40 s, not all of six states come alike often."""
    subject = small(n_states)
    seen = LaggedCovariances(N_ELECTRODES, N_SENSORS, TAPS)
    seen.add(subject.eeg[400:], subject.meg[400:])
    for known, found in (
        (subject.oracle.mean.eeg, seen.eeg),
        (subject.oracle.mean.meg, seen.meg),
        (subject.oracle.mean.normal_equations(TAPS)[1], seen.normal_equations(TAPS)[1]),
    ):
        assert np.linalg.norm(known - found) < deviation * np.linalg.norm(known)


def test_with_one_state_the_bayes_estimate_is_the_wiener_filter() -> None:
    subject = small(1)
    bayes = subject.oracle.bayes(subject.eeg, PREPARE.hop, 2, TAPS)
    wiener = subject.oracle.own_wiener(subject.eeg, TAPS)
    np.testing.assert_allclose(bayes, wiener, atol=1e-4 * wiener.std())


def test_a_filter_that_reads_more_explains_more() -> None:
    subject = small(1)
    instant, longer = (subject.explained(subject.oracle.own_wiener(subject.eeg, taps)) for taps in (INSTANT, TAPS))
    assert longer > instant


def test_with_several_states_no_linear_filter_comes_near() -> None:
    subject = small(6)
    for taps in (INSTANT, TAPS):
        bayes = subject.explained(subject.oracle.bayes(subject.eeg, PREPARE.hop, 2, taps))
        known = subject.explained(subject.oracle.own_wiener(subject.eeg, taps))
        fitted = LaggedCovariances(N_ELECTRODES, N_SENSORS, taps)
        fitted.add(subject.eeg[400:], subject.meg[400:])  # to what it is judged on
        linear = subject.explained(apply(fitted.filter(taps), taps, subject.eeg))
        assert bayes > linear + 0.1
        assert linear >= known - 0.01


def test_the_states_themselves_add_little_to_what_eeg_tells_of_them() -> None:
    subject = small(6)
    bayes = subject.explained(subject.oracle.bayes(subject.eeg, PREPARE.hop, 2, TAPS))
    known = subject.explained(subject.oracle.with_states(subject.eeg, subject.states, RATE_HZ, TAPS))
    assert known == pytest.approx(bayes, abs=0.05)


def test_of_another_time_the_eeg_tells_nothing() -> None:
    subject = small(6)
    shifted = np.roll(subject.eeg, len(subject.eeg) // 2, axis=0)
    assert subject.explained(subject.oracle.bayes(shifted, PREPARE.hop, 2, TAPS)) < 0.02


@examples(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), n_states=st.integers(1, 4), hop=st.integers(1, 4), lookahead=st.integers(0, 2))
def test_probabilities_are_those_of_all_paths(seed: int, n_states: int, hop: int, lookahead: int) -> None:
    rng = np.random.default_rng(seed)
    n, stay = 6, 0.8 if n_states > 1 else 1.0
    likelihood = rng.normal(size=(n, n_states))
    found = posterior(likelihood, stay, hop, lookahead)
    move = np.full((n_states, n_states), (1 - stay) / max(1, n_states - 1))
    np.fill_diagonal(move, stay)
    for sample in range(n):
        end = min(n, (sample // hop + 1 + lookahead) * hop)
        expected = np.zeros(n_states)
        for path in np.ndindex(*[n_states] * end):
            log = sum(likelihood[at, state] for at, state in enumerate(path))
            expected[path[sample]] += np.exp(log) * np.prod([move[step] for step in pairwise(path)])
        np.testing.assert_allclose(found[sample], expected / expected.sum(), atol=1e-9)

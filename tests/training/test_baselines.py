"""Linear baselines on recordings whose MEG follows from EEG by a known filter."""

from dataclasses import replace

import numpy as np
import pytest
from prepared import noise_recording

from cortexcast_training import baselines
from cortexcast_training.baselines import Population, population
from cortexcast_training.leadfield import CAP
from cortexcast_training.metrics import explained_variance
from cortexcast_training.scaling import Units
from cortexcast_training.streamed import Method
from cortexcast_training.windows import Prepared

UNITS = Units(1.0, np.ones(3))
MIXING = np.random.default_rng(7).standard_normal((4, 3))


def recording(delay: int, seed: int, n_hops: int = 400) -> Prepared:
    """MEG is a mixture of EEG ``delay`` samples ago, and as much noise as makes a quarter of it."""
    plain = noise_recording(n_hops, n_electrodes=4, n_sensors=3, seed=seed)
    signal = np.roll(plain.eeg, delay, axis=0) @ MIXING
    meg = signal + plain.meg * signal.std() / np.sqrt(3)
    return replace(plain, meg=meg.astype(np.float32), true_meg=signal.astype(np.float32))


def explained(method: Method, of: Prepared) -> float:
    assert of.true_meg is not None
    return explained_variance(of.true_meg[100:-100], method(of).meg[100:-100])


def fitted(delay: int) -> Population:
    return population([recording(delay, 1), recording(delay, 2)], [recording(delay, 3)], UNITS)


def test_zero_explains_nothing() -> None:
    assert explained(baselines.zero, recording(0, 4)) == 0


@pytest.mark.parametrize(
    ("delay", "finders"),
    [
        (0, {"ridge", "reduced-rank ridge", "FIR-Wiener, causal", "FIR-Wiener"}),
        (8, {"reduced-rank ridge", "FIR-Wiener, causal", "FIR-Wiener"}),
        (-8, {"reduced-rank ridge", "FIR-Wiener"}),
    ],
)
def test_each_filter_finds_what_it_can_read(delay: int, finders: set[str]) -> None:
    shown = {name: explained(method, recording(delay, 4)) for name, method in fitted(delay).methods().items()}
    assert {name for name, value in shown.items() if value > 0.95} == finders
    assert all(value < 0.05 for name, value in shown.items() if name not in finders)


def test_own_filters_are_of_the_subject_alone() -> None:
    methods = baselines.own(recording(0, 5), UNITS)
    assert methods.keys() == {"own ridge", "own FIR-Wiener"}
    assert all(explained(method, recording(0, 6)) > 0.9 for method in methods.values())


def test_nothing_to_find_is_regularised_to_nearly_nothing() -> None:
    noise = [noise_recording(60, n_electrodes=4, n_sensors=3, seed=seed) for seed in range(2)]
    method = population(noise[:1], noise[1:], UNITS).methods()["FIR-Wiener"]
    other = noise_recording(400, n_electrodes=4, n_sensors=3, seed=9)
    assert explained_variance(other.meg, method(other).meg) > -0.05


def test_fewer_electrodes_are_those_of_recordings_without_the_others() -> None:
    worn = np.diag([1.0, 1.0, 0.0, 0.0])

    def wearing(of: Prepared) -> Prepared:
        return replace(of, eeg=(of.eeg @ worn.T).astype(np.float32))

    by_covariance = fitted(0).wearing(worn).methods()["ridge"]
    refitted = population(
        [wearing(recording(0, 1)), wearing(recording(0, 2))], [wearing(recording(0, 3))], UNITS
    ).methods()["ridge"]
    test = wearing(recording(0, 4))
    np.testing.assert_allclose(by_covariance(test).meg, refitted(test).meg, atol=1e-4)


def test_the_units_do_not_matter() -> None:
    def in_volts(of: Prepared) -> Prepared:
        assert of.true_meg is not None
        return replace(of, eeg=of.eeg * np.float32(1e-5), meg=of.meg * np.float32(1e-13))

    units = Units(1e-5, np.full(3, 1e-13))
    tiny = population([in_volts(recording(0, 1)), in_volts(recording(0, 2))], [in_volts(recording(0, 3))], units)
    test = recording(0, 4)
    large = fitted(0).methods()["ridge"](test).meg
    np.testing.assert_allclose(tiny.methods()["ridge"](in_volts(test)).meg, 1e-13 * large, atol=1e-17)


def test_minimum_norm_is_the_shipped_map() -> None:
    method = baselines.minimum_norm()
    test = noise_recording(4, n_electrodes=len(CAP), n_sensors=306)
    one, two = method(test), method(replace(test, eeg=2 * test.eeg))
    assert one.meg.shape == (32, 306)
    np.testing.assert_allclose(two.meg, 2 * one.meg, rtol=1e-4, atol=1e-12)

"""Linear estimates: a filter that made the data is found again, however the data are cut up."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cortexcast_training import wiener
from cortexcast_training.wiener import INSTANT, LaggedCovariances, Taps, apply

Floats = NDArray[np.float64]

N_ELECTRODES, N_SENSORS = 3, 4

taps_within_reach = st.builds(
    lambda back, ahead, step: Taps(back * step, ahead * step, step),
    st.integers(0, 4),
    st.integers(0, 3),
    st.integers(1, 3),
)


def signal(n: int, n_channels: int, seed: int, silence: int = 0) -> Floats:
    """Noise that is correlated over channels and time, with that many zeros before and after it."""
    rng = np.random.default_rng(seed)
    mixing = np.eye(n_channels) + 0.3 * rng.standard_normal((n_channels, n_channels))
    white = rng.standard_normal((n + 2, n_channels)) @ mixing
    return np.pad(white[2:] + 0.5 * white[1:-1] - 0.3 * white[:-2], ((silence, silence), (0, 0)))


def summed(eeg: Floats, meg: Floats, taps: Taps) -> LaggedCovariances:
    covariances = LaggedCovariances(eeg.shape[1], meg.shape[1], taps)
    covariances.add(eeg, meg)
    return covariances


def lagged(eeg: Floats, taps: Taps) -> Floats:
    """All taps of each sample side by side, by the definition: ``(n, n_taps * n_electrodes)``."""
    padded = np.pad(eeg, ((taps.back, taps.ahead), (0, 0)))
    rows = [padded[t : t + taps.span + 1 : taps.step].ravel() for t in range(len(eeg))]
    return np.array(rows).reshape(len(eeg), taps.n * eeg.shape[1])


@given(taps_within_reach, st.integers(0, 2**32))
def test_a_filter_that_made_the_data_is_found(taps: Taps, seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = rng.standard_normal((N_SENSORS, N_ELECTRODES, taps.n))
    eeg = signal(300, N_ELECTRODES, seed, silence=taps.span)  # the estimate does not end with the recording
    meg = apply(true, taps, eeg)
    found = summed(eeg, meg, taps)
    weights = found.filter(taps, ridge=1e-9)
    np.testing.assert_allclose(weights, true, atol=1e-4)
    assert found.explained(weights, taps) == pytest.approx(1.0, abs=1e-6)


@given(taps_within_reach, st.integers(0, 60))
def test_applying_a_filter_is_a_convolution(taps: Taps, n: int) -> None:
    rng = np.random.default_rng(n)
    weights, eeg = rng.standard_normal((2, N_ELECTRODES, taps.n)), rng.standard_normal((n, N_ELECTRODES))
    expected = np.zeros((n, 2))
    for time in range(n):
        for tap in range(taps.n):
            at = time - taps.back + tap * taps.step
            if 0 <= at < n:
                expected[time] += weights[:, :, tap] @ eeg[at]
    np.testing.assert_allclose(apply(weights, taps, eeg), expected, atol=1e-12)


@given(taps_within_reach, st.lists(st.integers(0, 90), max_size=4), st.integers(1, 70))
def test_sums_are_those_of_the_stretches(taps: Taps, cuts: list[int], at_once: int) -> None:
    """In whatever order they come, and however many samples are laid side by side."""
    eeg, meg = signal(90, N_ELECTRODES, 1), signal(90, N_SENSORS, 2)
    stretches = [slice(*edges) for edges in pairwise([0, *sorted(cuts), 90])]
    covariances = LaggedCovariances(N_ELECTRODES, N_SENSORS, taps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wiener, "_AT_ONCE", at_once)
        for stretch in reversed(stretches):
            covariances.add(eeg[stretch], meg[stretch])
    cross = sum(meg[each].T @ lagged(eeg[each], taps) for each in stretches)
    silent = [np.pad(eeg[each], ((taps.span, taps.span), (0, 0))) for each in stretches]
    covariance = sum(lagged(each, taps).T @ lagged(each, taps) for each in silent)
    found = covariances.normal_equations(taps)
    assert covariances.n_samples == 90
    np.testing.assert_allclose(found[0], covariance / 90, atol=1e-12)
    np.testing.assert_allclose(found[1], cross / 90, atol=1e-12)
    np.testing.assert_allclose(covariances.meg, meg.T @ meg / 90, atol=1e-12)


@given(taps_within_reach, st.integers(1, 12), st.integers(0, 99))
def test_there_is_a_filter_however_little_data_there_are(taps: Taps, n: int, seed: int) -> None:
    covariances = summed(signal(n, N_ELECTRODES, seed), signal(n, N_SENSORS, seed), taps)
    assert np.linalg.eigvalsh(covariances.normal_equations(taps)[0])[0] > -1e-12
    assert np.isfinite(covariances.filter(taps)).all()


@given(taps_within_reach, taps_within_reach)
def test_fewer_taps_are_read_from_sums_of_more(fewer: Taps, spare: Taps) -> None:
    """A filter of some of the taps is that of sums of those alone."""
    more = Taps(fewer.back + spare.back, fewer.ahead + spare.ahead)
    eeg, meg = signal(200, N_ELECTRODES, 3), signal(200, N_SENSORS, 4)
    of_more, of_fewer = summed(eeg, meg, more), summed(eeg, meg, fewer)
    for given_, expected in zip(of_more.normal_equations(fewer), of_fewer.normal_equations(fewer), strict=True):
        np.testing.assert_allclose(given_, expected, atol=1e-12)


def test_the_more_taps_the_more_is_explained() -> None:
    rng = np.random.default_rng(5)
    eeg = signal(3000, N_ELECTRODES, 5)
    meg = apply(rng.standard_normal((N_SENSORS, N_ELECTRODES, 7)), Taps(4, 2), eeg)
    covariances = summed(eeg, meg, Taps(4, 2))
    shares = [covariances.explained(covariances.filter(t, 1e-6), t) for t in (INSTANT, Taps(2, 0), Taps(4, 2))]
    assert shares == sorted(shares)
    assert shares[0] < 0.9 < shares[2]


TAPS = Taps(2, 1)


@pytest.fixture(scope="module")
def covariances() -> LaggedCovariances:
    """Of EEG, and of MEG that a filter of these taps made of it, with noise."""
    rng = np.random.default_rng(6)
    eeg = signal(3000, N_ELECTRODES, 6)
    meg = apply(rng.standard_normal((N_SENSORS, N_ELECTRODES, TAPS.n)), TAPS, eeg)
    return summed(eeg, meg + rng.standard_normal(meg.shape), TAPS)


class TestRank:
    def test_of_full_rank_it_is_the_filter_itself(self, covariances: LaggedCovariances) -> None:
        full = covariances.filter(TAPS)
        for rank in (N_SENSORS, N_SENSORS + 3):
            np.testing.assert_allclose(covariances.reduced_rank(TAPS, rank), full, atol=1e-12)

    def test_of_lower_rank_it_has_that_rank_and_explains_less(self, covariances: LaggedCovariances) -> None:
        filters = [covariances.reduced_rank(TAPS, rank) for rank in range(1, N_SENSORS + 1)]
        ranks = [np.linalg.matrix_rank(weights.reshape(N_SENSORS, -1)) for weights in filters]
        explained = [covariances.explained(weights, TAPS) for weights in filters]
        assert ranks == [1, 2, 3, 4]
        assert explained == sorted(explained)

    def test_no_other_fields_of_that_rank_explain_more(self, covariances: LaggedCovariances) -> None:
        full = covariances.filter(TAPS, ridge=1e-9)
        best = covariances.explained(covariances.reduced_rank(TAPS, 2, ridge=1e-9), TAPS)
        rng = np.random.default_rng(7)
        for _ in range(50):
            fields, _ = np.linalg.qr(rng.standard_normal((N_SENSORS, 2)))
            assert covariances.explained(np.einsum("if,jf,jet->iet", fields, fields, full), TAPS) <= best


def test_covariances_seen_through_a_matrix_are_those_of_what_it_gives() -> None:
    eeg, meg, matrix = signal(500, N_ELECTRODES, 8), signal(500, N_SENSORS, 9), np.array([[1.0, 2, 0], [0, -1, 1]])
    taps = Taps(3, 1)
    through, direct = summed(eeg, meg, taps).seen_through(matrix), summed(eeg @ matrix.T, meg, taps)
    for given_, expected in zip(through.normal_equations(taps), direct.normal_equations(taps), strict=True):
        np.testing.assert_allclose(given_, expected, atol=1e-10)


def test_principal_fields_are_orthonormal_and_hold_the_most() -> None:
    meg = signal(500, N_SENSORS, 10)
    covariances = summed(signal(500, N_ELECTRODES, 11), meg, INSTANT)
    fields = covariances.principal_fields(3)
    np.testing.assert_allclose(fields.T @ fields, np.eye(3), atol=1e-12)
    held = np.diag(fields.T @ covariances.meg @ fields)
    np.testing.assert_allclose(held, np.linalg.eigvalsh(covariances.meg)[:0:-1], rtol=1e-9)

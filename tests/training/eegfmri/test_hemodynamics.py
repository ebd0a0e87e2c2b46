"""The response peaks when it should, and is linear, causal and of the parcel alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortexcast_training.eegfmri.hemodynamics import EARLIEST_S, LATEST_S, bold, response

PEAKS = st.floats(EARLIEST_S, LATEST_S)


@given(PEAKS, st.sampled_from([4.0, 10.0, 20.0]))
def test_its_peak_comes_when_it_should(peak_s: float, rate_hz: float) -> None:
    given_response = response(peak_s, rate_hz)
    assert given_response.argmax() / rate_hz == pytest.approx(peak_s, abs=1 / rate_hz)
    assert given_response.sum() == pytest.approx(1)
    assert given_response[0] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("peak_s", [3.9, 7.1, float("nan")])
def test_a_peak_outside_the_range_is_an_error(peak_s: float) -> None:
    with pytest.raises(ValueError, match="is not between 4 and 7"):
        response(peak_s, 4.0)


@given(st.integers(0, 99), st.lists(PEAKS, min_size=2, max_size=4))
def test_each_parcel_is_convolved_by_itself(seed: int, peaks: list[float]) -> None:
    neural = np.random.default_rng(seed).standard_normal((len(peaks), 150))
    given_bold = bold(neural, np.array(peaks), 4.0)
    for row, peak in enumerate(peaks):
        np.testing.assert_allclose(given_bold[row], np.convolve(neural[row], response(peak, 4.0))[:150], atol=1e-9)


@given(st.integers(0, 99), st.integers(1, 149))
def test_what_comes_later_changes_nothing_before(seed: int, at: int) -> None:
    neural = np.random.default_rng(seed).standard_normal((1, 150))
    changed = neural.copy()
    changed[:, at:] += 1
    before, after = (bold(each, np.array([5.0]), 4.0) for each in (neural, changed))
    np.testing.assert_allclose(after[:, :at], before[:, :at], atol=1e-9)
    assert not np.allclose(after, before, atol=1e-9) or at > 147

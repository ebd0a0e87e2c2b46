"""The causal preprocessing: chunking cannot be seen, the band passes, aliases do not, times are right."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from factories import eeg_like
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

from cortexcast_models.manifest import Butterworth, Notch, Preprocessing, Resample
from cortexcast_models.preprocessing import Block, Preprocessor

RATES = [100.0, 128.0, 200.0, 249.76, 250.0, 256.0, 500.0, 512.0, 1000.0, 1100.0, 2048.0, 5000.0]
RESAMPLE = Resample(kind="resample", rate_hz=200.0, passband_hz=45.0)
FILTERED = Preprocessing(
    resample=RESAMPLE,
    filters=(Butterworth(kind="highpass", hz=0.5, order=2), Notch(kind="notch", hz=50.0, q=30.0)),
)
BARE = Preprocessing(resample=RESAMPLE)
HOP = 8


def run(spec: Preprocessing, rate_hz: float, data: NDArray[np.floating], sizes: list[int]) -> list[Block]:
    preprocessor = Preprocessor(spec, rate_hz, data.shape[0], HOP)
    cuts = [0, *np.minimum(np.cumsum(sizes), data.shape[1]).tolist(), data.shape[1]]
    blocks = [block for a, b in pairwise(cuts) for block in preprocessor.push(data[:, a:b])]
    return [*blocks, *preprocessor.flush()]


def joined(blocks: list[Block]) -> NDArray[np.float64]:
    return np.concatenate([block.data for block in blocks], axis=1)


def test_blocks_are_as_exact_as_filtering_sample_by_sample() -> None:
    """Slow filters on a large offset, for five minutes: errors neither grow nor drift."""
    spec = Preprocessing(
        resample=RESAMPLE,
        filters=(Butterworth(kind="highpass", hz=0.3, order=2), Notch(kind="notch", hz=50.0, q=30.0)),
    )
    data = 0.2 + eeg_like(2, 300 * 200).astype(np.float64)  # at the model's rate: the filters alone
    sections = np.concatenate(
        [signal.butter(2, 0.3, "highpass", fs=200.0, output="sos"), signal.tf2sos(*signal.iirnotch(50.0, 30.0, 200.0))]
    )
    rest = signal.sosfilt_zi(sections)[:, None, :] * data[None, :, :1]
    expected, _ = signal.sosfilt(sections, data, axis=1, zi=rest)
    np.testing.assert_allclose(joined(run(spec, 200.0, data, [])), expected, rtol=0, atol=1e-12 * 0.2)


@pytest.mark.parametrize("rate_hz", [100.0, 249.76, 250.0, 1000.0])
def test_resampling_and_filtering_in_one_is_one_after_the_other(rate_hz: float) -> None:
    data = 0.2 + eeg_like(2, round(20 * rate_hz)).astype(np.float64)
    resampled = joined(run(BARE, rate_hz, data, []))
    sections = signal.butter(2, 0.3, "highpass", fs=200.0, output="sos")
    rest = signal.sosfilt_zi(sections)[:, None, :] * resampled[None, :, :1]
    expected, _ = signal.sosfilt(sections, resampled, axis=1, zi=rest)
    spec = Preprocessing(resample=RESAMPLE, filters=(Butterworth(kind="highpass", hz=0.3, order=2),))
    np.testing.assert_allclose(joined(run(spec, rate_hz, data, [])), expected, rtol=0, atol=1e-12 * 0.2)


@settings(max_examples=60, deadline=None)
@given(
    rate_hz=st.sampled_from(RATES),
    sizes=st.lists(st.integers(0, 300), max_size=30),
    n=st.integers(1, 900),
    holes=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 899)), max_size=5),
)
def test_any_chunking_gives_the_same_bits(
    rate_hz: float, sizes: list[int], n: int, holes: list[tuple[int, int]]
) -> None:
    data = eeg_like(4, n)
    for channel, sample in holes:
        data[channel, sample % n] = np.nan
    whole = run(FILTERED, rate_hz, data, [])
    pieces = run(FILTERED, rate_hz, data, sizes)
    assert joined(whole).tobytes() == joined(pieces).tobytes()
    assert [(b.start, b.consumed) for b in whole] == [(b.start, b.consumed) for b in pieces]
    for a, b in zip(whole, pieces, strict=True):
        np.testing.assert_array_equal(a.not_finite, b.not_finite)
        np.testing.assert_array_equal(a.constant, b.constant)


@pytest.mark.parametrize("rate_hz", RATES)
def test_the_passband_keeps_amplitude_and_time(rate_hz: float) -> None:
    n = int(4 * rate_hz)
    for hz in (2.0, 10.0, min(44.0, 0.38 * rate_hz)):
        blocks = run(BARE, rate_hz, np.sin(2 * np.pi * hz * np.arange(n) / rate_hz)[None], [])
        starts = np.array([block.start for block in blocks]) / rate_hz
        times = (starts[:, None] + np.arange(HOP) / 200.0).ravel()
        inner = (times > 1) & (times < 3)
        np.testing.assert_allclose(joined(blocks)[0, inner], np.sin(2 * np.pi * hz * times[inner]), atol=3e-3)


@pytest.mark.parametrize("rate_hz", [rate for rate in RATES if rate >= 400])
def test_what_would_alias_into_the_passband_is_gone(rate_hz: float) -> None:
    n = int(3 * rate_hz)
    for hz in (156.0, 190.0):
        out = joined(run(BARE, rate_hz, np.sin(2 * np.pi * hz * np.arange(n) / rate_hz)[None], []))[0]
        assert np.abs(out[100:-100]).max() < 2e-3  # 60 dB, with the design formula's slack


@given(rate_hz=st.sampled_from(RATES), offset=st.floats(-0.5, 0.5))
@settings(max_examples=30, deadline=None)
def test_an_offset_makes_no_transient(rate_hz: float, offset: float) -> None:
    out = joined(run(FILTERED, rate_hz, np.full((1, int(rate_hz)), offset), []))
    assert np.abs(out).max() <= 1e-9


@given(rate_hz=st.sampled_from(RATES), n=st.integers(1, 3000))
@settings(max_examples=60, deadline=None)
def test_every_sample_is_consumed_and_the_output_ends_with_the_input(rate_hz: float, n: int) -> None:
    data = eeg_like(2, n)
    blocks = run(BARE, rate_hz, data, [])
    assert sum(block.consumed for block in blocks) >= n
    first_of_last = blocks[-1].start
    assert first_of_last <= n - 1, "a block made of nothing but held samples"
    assert first_of_last + HOP * rate_hz / 200.0 > n - 1, "the input's end is not covered"


def test_output_needs_no_more_input_than_the_delay_says() -> None:
    preprocessor = Preprocessor(BARE, 1000.0, 1, HOP)
    needed = 1
    while not list(preprocessor.push(np.zeros((1, 1)))):
        needed += 1
    last_output_s = (HOP - 1) / 200.0
    assert (needed - 1) / 1000.0 == pytest.approx(last_output_s + preprocessor.delay_s)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_held_and_reported_and_does_not_spread(bad: float) -> None:
    data = eeg_like(3, 500)
    hurt = data.copy()
    hurt[1, 100:110] = bad
    clean, blocks = run(FILTERED, 250.0, data, []), run(FILTERED, 250.0, hurt, [])
    assert np.isfinite(joined(blocks)).all()
    np.testing.assert_array_equal(joined(blocks)[[0, 2]], joined(clean)[[0, 2]])
    reported = [k for k, block in enumerate(blocks) if block.not_finite.any()]
    assert reported
    assert all(blocks[k].not_finite.tolist() == [False, True, False] for k in reported)


def test_a_constant_channel_is_reported() -> None:
    data = eeg_like(2, 500)
    data[1] = 0.25
    blocks = run(FILTERED, 250.0, data, [])
    assert all(block.constant.tolist() == [False, True] for block in blocks[:-1])


def test_a_block_shorter_than_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="less than one"):
        Preprocessor(BARE, 100.0, 1, 1)


@pytest.mark.parametrize("rate_hz", [249.99, 1000.4, 249.760012])
def test_odd_rates_come_out_at_the_models_rate(rate_hz: float) -> None:
    blocks = run(BARE, rate_hz, np.zeros((1, round(5 * rate_hz))), [])
    assert blocks[-1].start / rate_hz == pytest.approx((len(blocks) - 1) * HOP / 200.0, rel=1e-7)


@pytest.mark.parametrize("stopband_db", [1e-3, 8.0, 20.0])
@pytest.mark.parametrize("rate_hz", [128.0, 250.0, 5000.0])
def test_a_weak_stopband_is_still_a_resampler(rate_hz: float, stopband_db: float) -> None:
    spec = Preprocessing(resample=RESAMPLE.model_copy(update={"stopband_db": stopband_db}))
    out = joined(run(spec, rate_hz, np.full((1, int(rate_hz)), 0.25), []))
    np.testing.assert_allclose(out, 0.25, rtol=1e-12)


def test_a_rate_too_far_from_the_models_is_refused() -> None:
    with pytest.raises(ValueError, match="too far"):
        Preprocessor(BARE, 1e9, 1, HOP)

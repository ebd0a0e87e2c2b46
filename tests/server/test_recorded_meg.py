"""The recorded MEG goes in step with the estimate, however the samples arrive, and is never matched wrongly."""

from __future__ import annotations

import numpy as np
import pytest
from factories import CAP, WEIGHTS, chunks, eeg_like, linear_infer, make_manifest, make_signal
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cortexcast_client.wire import Flags, Frame
from cortexcast_models.preprocessing import Preprocessor
from cortexcast_server.engine import MEG, Engine
from cortexcast_server.protocol import Agreement
from cortexcast_server.recorded_meg import MEG_RECORDED, RecordedMeg

RATE_HZ = 250.0
N = 1500
GEOMETRIES = st.sampled_from([(8, 8, 0), (40, 8, 16), (10, 5, 5)])
SIZES = st.lists(st.integers(0, 400), max_size=25)
GAPS = st.lists(st.integers(300, 1400), max_size=2, unique=True)


def referenced(eeg: NDArray[np.float32]) -> NDArray[np.float32]:
    result: NDArray[np.float32] = eeg - eeg.mean(axis=0)
    return result


EEG = referenced(eeg_like(len(CAP), N, offset_v=0.0))
TRUTH = WEIGHTS @ EEG
"""What the small model makes of the EEG: recorded MEG that it estimates without an error."""


def noisy(share: float) -> NDArray[np.float32]:
    """The truth and what the estimate cannot know."""
    return (TRUTH + share * (WEIGHTS @ eeg_like(len(CAP), N, seed=1, offset_v=0.0))).astype(np.float32)


def run(
    meg: NDArray[np.float32], times: NDArray[np.float64], sizes: list[int], geometry: tuple[int, int, int] = (8, 8, 0)
) -> tuple[list[Frame], list[Frame], Agreement | None]:
    """The estimates, the recorded MEG beside them, and how they agree."""
    window, hop, lookahead = geometry
    manifest = make_manifest(window=window, hop=hop, lookahead=lookahead)
    engine = Engine(make_signal(RATE_HZ), manifest, linear_infer(manifest))
    recorded = RecordedMeg(manifest, RATE_HZ)
    estimates: list[Frame] = []
    beside: list[Frame] = []
    position = 0
    for chunk in chunks(EEG, times, sizes):
        frames = engine.push(chunk)
        n = chunk.data.shape[1]
        beside += recorded.push(chunk.times, meg[:, position : position + n], frames)
        estimates += [frame for frame in frames if frame.product == MEG]
        position += n
    return estimates, beside, recorded.agreement()


def stamps(gaps: list[int]) -> NDArray[np.float64]:
    times = 1000.0 + np.arange(N) / RATE_HZ
    for sample in gaps:
        times[sample:] += 1.0
    return times


@settings(max_examples=30)
@given(SIZES, GAPS, GEOMETRIES)
def test_each_estimate_has_the_recorded_meg_of_its_own_samples(
    sizes: list[int], gaps: list[int], geometry: tuple[int, int, int]
) -> None:
    estimates, beside, _ = run(TRUTH, stamps(gaps), sizes, geometry)
    assert len(beside) == len(estimates)
    for frame, estimate in zip(beside, estimates, strict=True):
        assert frame.product == MEG_RECORDED
        assert (frame.sequence, frame.first_sample, frame.t0) == (
            estimate.sequence,
            estimate.first_sample,
            estimate.t0,
        )
        np.testing.assert_allclose(frame.data, estimate.data, atol=1e-4 * np.abs(TRUTH).max())


@settings(max_examples=20)
@given(SIZES, GAPS, GEOMETRIES)
def test_any_chunking_gives_the_same_frames_and_the_same_agreement(
    sizes: list[int], gaps: list[int], geometry: tuple[int, int, int]
) -> None:
    meg = noisy(0.3)

    def bits(cuts: list[int]) -> tuple[list[tuple[object, ...]], Agreement | None]:
        _, beside, agreement = run(meg, stamps(gaps), cuts, geometry)
        return [(frame.sequence, frame.t0, frame.flags, frame.data.tobytes()) for frame in beside], agreement

    assert bits(sizes) == bits([])


def test_the_recorded_meg_is_preprocessed_as_offline() -> None:
    _, beside, _ = run(TRUTH, stamps([]), [100] * 20)
    manifest = make_manifest()
    blocks = Preprocessor(manifest.preprocessing, RATE_HZ, len(TRUTH), manifest.hop).push(TRUTH)
    np.testing.assert_array_equal(
        np.concatenate([frame.data for frame in beside], axis=1),
        np.concatenate([block.data for block in blocks], axis=1).astype(np.float32),
    )


@settings(max_examples=30)
@given(SIZES, st.integers(0, N - 1), st.integers(0, 3))
def test_what_is_not_known_is_left_out_up_to_the_next_gap(sizes: list[int], lost: int, n_lost: int) -> None:
    gap = 700
    meg = TRUTH.copy()
    meg[:, lost : lost + n_lost] = np.nan
    _, beside, agreement = run(meg, stamps([gap]), sizes)
    _, complete, _ = run(TRUTH, stamps([gap]), sizes)
    for frame, known in zip(beside, complete, strict=True):
        if Flags.NO_SIGNAL in frame.flags:
            assert n_lost
            assert np.isnan(frame.data).all()
        else:
            np.testing.assert_array_equal(frame.data, known.data)
    left_out = [Flags.NO_SIGNAL in frame.flags for frame in beside]
    second = next(n for n, frame in enumerate(complete) if Flags.GAP in frame.flags)
    for segment in (left_out[:second], left_out[second:]):
        assert sorted(segment) == segment  # once lost, lost to its end
    assert agreement is not None
    assert agreement.explained_variance["mag"] == pytest.approx(1.0, abs=1e-6)


def test_the_agreement_is_that_of_the_frames_it_is_about() -> None:
    meg = noisy(0.5)
    estimates, beside, agreement = run(meg, stamps([]), [])
    # The first estimate's window began before the signal.
    compared = [n for n, frame in enumerate(estimates) if Flags.RESET not in frame.flags]
    true, estimated = (
        np.concatenate([frames[n].data for n in compared], axis=1).astype(np.float64) for frames in (beside, estimates)
    )
    assert agreement is not None
    assert agreement.seconds == pytest.approx(len(compared) * 0.04)
    for kind, sensors in (("mag", [0]), ("grad", [1, 2])):
        error = ((true - estimated)[sensors] ** 2).sum()
        assert agreement.explained_variance[kind] == pytest.approx(1 - error / (true[sensors] ** 2).sum())
        r = [np.corrcoef(true[sensor], estimated[sensor])[0, 1] for sensor in sensors]
        assert agreement.median_r[kind] == pytest.approx(np.median(r))


def test_the_agreement_is_of_the_last_20_seconds() -> None:
    manifest, rate_hz = make_manifest(), 200.0
    meg = np.random.default_rng(0).standard_normal((3, round(45 * rate_hz))).astype(np.float32)
    blocks = Preprocessor(manifest.preprocessing, rate_hz, len(meg), manifest.hop).push(meg)
    true = [block.data.astype(np.float32) for block in blocks]
    recorded = RecordedMeg(manifest, rate_hz)
    n_wrong = round(25 * rate_hz)
    agreements = []
    for wrong, samples in ((True, slice(0, n_wrong)), (False, slice(n_wrong, None))):
        hops = true[samples.start // manifest.hop : samples.stop and samples.stop // manifest.hop]
        frames = [Frame(MEG, 0, 0, 0.0, np.zeros_like(hop) if wrong else hop) for hop in hops]
        recorded.push(np.arange(meg.shape[1])[samples] / rate_hz, meg[:, samples], frames)
        agreements.append(recorded.agreement())
    before, after = agreements
    assert before is not None
    assert after is not None
    assert (before.seconds, after.seconds) == pytest.approx((20.0, 20.0))
    assert before.explained_variance == {"mag": 0.0, "grad": 0.0}
    assert before.median_r == {"mag": 0.0, "grad": 0.0}
    assert after.explained_variance == {"mag": 1.0, "grad": 1.0}
    assert after.median_r == pytest.approx({"mag": 1.0, "grad": 1.0})

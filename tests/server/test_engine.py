"""The engine's invariant: any chunking of the same samples gives the same frames, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from factories import (
    CAP,
    WEIGHTS,
    chunks,
    eeg_like,
    fmri_fields,
    linear_infer,
    make_manifest,
    make_signal,
    manifest_fields,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cortexcast_client.wire import Flags, Frame
from cortexcast_models.bundle import Arrays
from cortexcast_server.engine import EEG, FMRI, MEG, Engine
from cortexcast_server.signal import Channel, Chunk, Signal, SignalError


def make_engine(signal: Signal | None = None, **changes: object) -> Engine:
    manifest = make_manifest(**changes)
    return Engine(signal or make_signal(), manifest, linear_infer(manifest))


def push_all(engine: Engine, pieces: list[Chunk]) -> list[Frame]:
    return [frame for piece in pieces for frame in engine.push(piece)] + engine.flush()


def even(n: int, rate_hz: float = 250.0, start: float = 1000.0) -> NDArray[np.float64]:
    return start + np.arange(n) / rate_hz


def bits(frame: Frame) -> tuple[object, ...]:
    std = None if frame.std is None else frame.std.tobytes()
    return (frame.product, frame.sequence, frame.first_sample, frame.t0, frame.flags, frame.data.tobytes(), std)


@settings(max_examples=50, deadline=None)
@given(
    rate_hz=st.sampled_from([100.0, 128.0, 250.0, 1000.0]),
    sizes=st.lists(st.integers(0, 400), max_size=25),
    gap_at=st.one_of(st.none(), st.integers(1, 1499)),
    bad=st.one_of(st.none(), st.tuples(st.integers(0, 18), st.integers(0, 1499), st.sampled_from([np.nan, np.inf]))),
    geometry=st.sampled_from([(8, 8, 0), (40, 8, 0), (40, 8, 16), (10, 5, 5)]),
)
def test_any_chunking_gives_the_same_frames(
    rate_hz: float,
    sizes: list[int],
    gap_at: int | None,
    bad: tuple[int, int, float] | None,
    geometry: tuple[int, int, int],
) -> None:
    window, hop, lookahead = geometry
    data, times = eeg_like(len(CAP), 1500), even(1500, rate_hz)
    if gap_at is not None:
        times[gap_at:] += 3.0
    if bad is not None:
        data[bad[0], bad[1]] = bad[2]

    def run(cuts: list[int]) -> list[tuple[object, ...]]:
        engine = make_engine(make_signal(rate_hz), window=window, hop=hop, lookahead=lookahead)
        frames = push_all(engine, chunks(data, times, cuts))
        return [bits(frame) for frame in frames]

    assert run(sizes) == run([])


@given(sizes=st.lists(st.integers(1, 100), max_size=25), gaps=st.lists(st.integers(300, 1400), max_size=3, unique=True))
@settings(max_examples=30, deadline=None)
def test_every_sample_is_accounted_for(sizes: list[int], gaps: list[int]) -> None:
    times = even(1500)
    for sample in gaps:
        times[sample:] += 1.0
    engine = make_engine()
    for piece in chunks(eeg_like(len(CAP), 1500), times, sizes):
        engine.push(piece)
        counts = engine.counts
        assert counts.pending >= 0
    assert counts.samples_in == 1500
    assert counts.gaps == len(gaps)
    assert counts.missing_s == pytest.approx(len(gaps))
    frames = engine.flush()
    assert engine.counts.pending == 0
    assert engine.counts.samples_out == (frames[-1].sequence + 1) * 8


def test_sequences_and_sample_indices_have_no_holes() -> None:
    times = even(2000)
    times[700:] += 5.0
    frames = push_all(make_engine(), chunks(eeg_like(len(CAP), 2000), times, [37] * 60))
    for product in (EEG, MEG):
        mine = [frame for frame in frames if frame.product == product]
        assert [frame.sequence for frame in mine] == list(range(len(mine)))
        assert [frame.first_sample for frame in mine] == [8 * k for k in range(len(mine))]


def test_times_are_those_of_the_signal() -> None:
    """A bump in the EEG is found in the output at its own time, to a tenth of an output sample."""
    rate_hz, n = 1000.0, 6000
    times = even(n, rate_hz)
    centre = times[3333]
    bump = np.exp(-0.5 * ((times - centre) / 0.03) ** 2)
    gains = np.linspace(-1, 1, len(CAP))[:, None]
    data = (5e-5 * gains * bump).astype(np.float32)
    frames = push_all(make_engine(make_signal(rate_hz)), chunks(data, times, [10] * 600))
    eeg = [frame for frame in frames if frame.product == EEG]
    axis = np.concatenate([frame.t0 + np.arange(8) / 200.0 for frame in eeg])
    power = np.concatenate([(frame.data**2).sum(axis=0) for frame in eeg])
    near = np.abs(axis - centre) < 0.1
    found = (axis[near] * power[near]).sum() / power[near].sum()
    assert found == pytest.approx(centre, abs=1.5e-3)  # the causal high-pass leans it by about a millisecond


def test_lookahead_moves_the_frame_and_not_its_time() -> None:
    data, times = eeg_like(len(CAP), 1000), even(1000)
    plain = push_all(make_engine(), chunks(data, times, []))
    ahead = push_all(make_engine(window=24, lookahead=16), chunks(data, times, []))
    for a, b in zip(
        [frame for frame in plain if frame.product == MEG],
        [frame for frame in ahead if frame.product == MEG],
        strict=True,
    ):
        np.testing.assert_array_equal(a.data, b.data)
        assert a.t0 == pytest.approx(b.t0, abs=1e-5)
        assert a.sequence == b.sequence


@pytest.mark.parametrize("break_off", ["gap", "no signal"])
def test_lookahead_keeps_every_product_s_flags_and_time_axis(break_off: str) -> None:
    data, times = eeg_like(len(CAP), 4000), even(4000)
    if break_off == "gap":
        times[1500:] += 2.0
    else:
        data[:, 1500:1700] = np.nan
    frames = push_all(make_engine(window=24, lookahead=16), chunks(data, times, [50] * 80))
    for product in (EEG, MEG):
        mine = [frame for frame in frames if frame.product == product]
        assert Flags.RESET in mine[0].flags
        jumps = [k for k in range(1, len(mine)) if abs(mine[k].t0 - mine[k - 1].t0 - 0.04) > 1e-3]
        assert [k for k, frame in enumerate(mine) if Flags.GAP in frame.flags] == jumps
        assert len(jumps) == (break_off == "gap")
        assert any(Flags.NO_SIGNAL in frame.flags for frame in mine) == (break_off == "no signal")


def test_time_missing_is_counted_in_our_clock_though_the_sender_s_began_anew() -> None:
    engine = make_engine()
    data = eeg_like(len(CAP), 1000)
    engine.push(Chunk(data[:, :500], even(500, start=90_000.0), received=102.0, clock_offset=-89_900.0))
    engine.push(Chunk(data[:, 500:], even(500, start=7.0), received=114.0, clock_offset=105.0))
    assert engine.counts.gaps == 1
    assert engine.counts.missing_s == pytest.approx(112.0 - 102.0)


def test_a_gap_is_flagged_once_and_the_filters_start_anew() -> None:
    data, times = eeg_like(len(CAP), 2000), even(2000)
    data[:, 1000:] += 0.05  # another offset after the gap must not ring
    times[1000:] += 2.0
    frames = [f for f in push_all(make_engine(), chunks(data, times, [])) if f.product == EEG]
    assert sum(Flags.GAP in frame.flags for frame in frames) == 1
    assert sum(Flags.RESET in frame.flags for frame in frames) == 2
    assert max(float(np.abs(frame.data).max()) for frame in frames) < 1e-3


def test_the_rate_is_not_known_just_after_a_gap() -> None:
    times = even(1000)
    times[990:] += 2.0
    engine = make_engine()
    pieces = chunks(eeg_like(len(CAP), 1000), times, [980])
    assert engine.rate_hz is None
    engine.push(pieces[0])
    assert engine.rate_hz == pytest.approx(250.0)
    engine.push(pieces[1])
    assert engine.counts.gaps == 1
    assert engine.rate_hz is None


def test_a_window_that_is_not_full_yet_is_flagged() -> None:
    frames = push_all(make_engine(window=40), chunks(eeg_like(len(CAP), 1000), even(1000), []))
    meg = [Flags.RESET in frame.flags for frame in frames if frame.product == MEG]
    assert meg[:6] == [True] * 4 + [False] * 2


def test_the_model_gets_average_referenced_eeg() -> None:
    data = eeg_like(len(CAP), 1000)
    frames = push_all(make_engine(), chunks(data, even(1000), []))
    shifted = push_all(
        make_engine(), chunks(data + np.float32(2e-5) * eeg_like(1, 1000, 9, 0.0) / 2e-5, even(1000), [])
    )
    for a, b in zip(frames, shifted, strict=True):
        np.testing.assert_allclose(a.data, b.data, atol=2e-9 if a.product == EEG else 1e-14)
        if a.product == EEG:
            np.testing.assert_allclose(a.data.sum(axis=0), 0, atol=1e-9)
    meg = next(frame for frame in frames if frame.product == MEG)
    np.testing.assert_array_equal(meg.data, WEIGHTS @ frames[0].data)


@pytest.mark.parametrize("kind", ["flat", "nan"])
def test_a_bad_channel_is_left_out_flagged_and_comes_back(kind: str) -> None:
    data, times = eeg_like(len(CAP), 5000), even(5000)
    data[CAP.index("Cz"), 1000:2000] = np.nan if kind == "nan" else data[CAP.index("Cz"), 1000]
    engine = make_engine()
    pieces = chunks(data, times, [100] * 50)
    bad_at, frames = [], []
    for piece in pieces:
        frames += engine.push(piece)
        bad_at.append("Cz" in engine.bad_channels)
    assert not bad_at[5]
    assert bad_at[18]
    assert not bad_at[-1]
    assert engine.interpolated == []
    flagged = [frame for frame in frames if Flags.BAD_CHANNELS in frame.flags]
    assert flagged
    assert all(Flags.INTERPOLATED in frame.flags for frame in flagged)
    assert all(np.isfinite(frame.data).all() for frame in frames)


@pytest.mark.parametrize("absent", ["interpolated", "zero"])
def test_a_bad_channel_is_what_the_model_wants_of_those_that_are_absent(absent: str) -> None:
    data, cz = eeg_like(len(CAP), 2000), CAP.index("Cz")
    data[cz, 500:] = data[cz, 500]
    preprocessing = {**manifest_fields()["preprocessing"], "absent": absent}
    frames = push_all(make_engine(preprocessing=preprocessing), chunks(data, even(2000), [100] * 20))
    flagged = [frame for frame in frames if frame.product == EEG and Flags.BAD_CHANNELS in frame.flags][1:]
    assert len(flagged) > 10
    for frame in flagged:
        assert frame.data[cz].any() == (absent == "interpolated")
        assert frame.data.any(axis=1).sum() >= len(CAP) - 1


def test_without_eight_good_channels_the_frames_say_so_and_are_nan() -> None:
    data = eeg_like(len(CAP), 2000)
    data[: len(CAP) - 7, 1000:] = np.nan
    frames = push_all(make_engine(), chunks(data, even(2000), []))
    last = frames[-1]
    assert Flags.NO_SIGNAL in last.flags
    assert np.isnan(last.data).all()
    assert Flags.NO_SIGNAL not in frames[0].flags


def test_unix_stamps_are_moved_to_the_lsl_clock_and_flagged() -> None:
    engine = make_engine()
    frames = push_all(engine, chunks(eeg_like(len(CAP), 1000), even(1000, start=1.7e9), [], received=5000.0))
    assert all(Flags.RESTAMPED in frame.flags for frame in frames)
    assert frames[0].t0 == pytest.approx(5000.0, abs=1e-3)
    assert "another clock" in engine.notes[0]


def test_provenance_is_in_every_frame() -> None:
    signal = Signal("replay", 250.0, make_signal().channels, replayed=True)
    frames = push_all(make_engine(signal, trained_on="simulated"), chunks(eeg_like(len(CAP), 500), even(500), []))
    assert all(Flags.REPLAYED in frame.flags for frame in frames)
    assert all((Flags.TRAINED_ON_SIMULATION in frame.flags) == (frame.product == MEG) for frame in frames)


@pytest.mark.parametrize(("scale", "hint"), [(1e6, "microvolts"), (1e-6, "volts")])
def test_amplitudes_that_cannot_be_volts_are_refused(scale: float, hint: str) -> None:
    engine = make_engine()
    with pytest.raises(SignalError, match=f"--unit {hint}"):
        push_all(engine, chunks(eeg_like(len(CAP), 1000, offset_v=0) * np.float32(scale), even(1000), []))


@pytest.mark.parametrize(("unit_error", "offset"), [(1.0, 0.2), (1e6, 0.0)])
def test_amplitudes_are_judged_once_the_headset_sends_and_not_by_the_step_to_its_offsets(
    unit_error: float, offset: float
) -> None:
    data = (eeg_like(len(CAP), 3000) + np.float32(offset)) * np.float32(unit_error)
    data[:, :300] = 0.0
    pieces = chunks(data, even(3000), [])
    if unit_error == 1.0:
        assert push_all(make_engine(), pieces)
    else:
        with pytest.raises(SignalError, match="--unit microvolts"):
            push_all(make_engine(), pieces)


def test_a_headset_at_rest_with_flat_channels_is_not_taken_for_wrong_units() -> None:
    data = eeg_like(len(CAP), 1000)
    data[:12] = 0.1
    frames = push_all(make_engine(), chunks(data, even(1000), []))
    assert Flags.BAD_CHANNELS in frames[-1].flags


def test_a_stream_too_slow_or_without_places_is_refused() -> None:
    with pytest.raises(SignalError, match="at least 100 Hz"):
        make_engine(make_signal(50.0))
    with pytest.raises(SignalError, match="can be placed"):
        make_engine(Signal("odd", 250.0, tuple(Channel(f"ch{k}", unit="microvolts") for k in range(16))))


def test_a_window_far_from_the_training_data_is_flagged() -> None:
    """A model to which EEG of more than 35 µV is new."""
    novelty = {"name": "novelty", "role": "novelty", "shape": [1], "axes": ["score"]}
    manifest = make_manifest(outputs=[*make_manifest().model_dump(mode="json")["outputs"], novelty])

    def infer(arrays: Arrays) -> Arrays:
        rms = np.sqrt(np.mean(arrays["eeg"] ** 2, keepdims=True)).reshape(1)
        return {**linear_infer(manifest)(arrays), "novelty": rms / np.float32(35e-6)}

    data = eeg_like(len(CAP), 2000, offset_v=0.0)
    data[:, 1000:] *= 3
    engine = Engine(make_signal(), manifest, infer)
    frames = [frame for frame in push_all(engine, chunks(data, even(2000), [])) if frame.product == MEG]
    flagged = np.array([Flags.OUT_OF_DISTRIBUTION in frame.flags for frame in frames])
    middle = len(frames) // 2
    assert not flagged[: middle - 2].any()
    assert flagged[middle + 2 :].all()


@pytest.mark.parametrize("survives", [False, True])
def test_recurrent_state_is_carried_and_forgotten_at_a_gap_unless_it_survives(survives: bool) -> None:
    """A model whose output counts its own steps."""
    count = {"role": "state", "shape": [1], "axes": ["count"], "state_of": "count", "survives_gaps": survives}
    fields = make_manifest().model_dump(mode="json")
    manifest = make_manifest(
        inputs=[*fields["inputs"], {**count, "name": "count_in"}],
        outputs=[*fields["outputs"], {**count, "name": "count_out"}],
    )

    def infer(arrays: object) -> dict[str, NDArray[np.float32]]:
        count = arrays["count_in"] + 1  # type: ignore[index]
        return {"meg": np.full((3, 8), count[0], np.float32), "count_out": count}

    times = even(1000)
    times[500:] += 1.0
    engine = Engine(make_signal(), manifest, infer)
    frames = push_all(engine, chunks(eeg_like(len(CAP), 1000), times, [33] * 40))
    values = [int(frame.data[0, 0]) for frame in frames if frame.product == MEG]
    if survives:
        assert values == [*range(1, len(values) + 1)]
    else:
        restart = values.index(1, 1)
        assert values == [*range(1, restart + 1), *range(1, len(values) - restart + 1)]


def fmri_engine(lookahead: int = 0, *, with_eeg: bool = True) -> Engine:
    manifest = make_manifest(**fmri_fields(lookahead=lookahead))
    return Engine(make_signal(), manifest, linear_infer(manifest), with_eeg=with_eeg)


@pytest.mark.parametrize("lookahead", [0, 80])
def test_what_comes_once_a_hop_is_of_its_last_sample(lookahead: int) -> None:
    data, times = eeg_like(len(CAP), 1000), even(1000)
    engine = fmri_engine(lookahead)
    frames = push_all(engine, chunks(data, times, []))
    eeg = [frame for frame in frames if frame.product == EEG]
    estimates = [frame for frame in frames if frame.product == FMRI]
    assert [frame.sequence for frame in estimates] == [frame.first_sample for frame in estimates]
    late = lookahead // 8
    assert len(estimates) == len(eeg) - late
    for estimate, hop in zip(estimates, eeg[late:], strict=False):
        assert estimate.data.shape == (3, 1)
        assert estimate.t0 == pytest.approx(hop.t0 + 7 / 200 - lookahead / 200, abs=1e-9)
        expected = WEIGHTS @ hop.data.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(estimate.data, expected, rtol=1e-4, atol=1e-5 * np.abs(WEIGHTS).max() * 1e-5)
    assert engine.delay_s(FMRI) == pytest.approx(engine.delay_s(EEG) + lookahead / 200)
    assert engine.counts.samples_out == len(estimates)


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(0, 400), max_size=25))
def test_without_the_eeg_the_estimate_is_the_same(sizes: list[int]) -> None:
    data, times = eeg_like(len(CAP), 1000), even(1000)
    times[600:] += 2.0
    whole = push_all(fmri_engine(), chunks(data, times, []))
    alone = push_all(fmri_engine(with_eeg=False), chunks(data, times, sizes))
    assert [bits(frame) for frame in alone] == [bits(frame) for frame in whole if frame.product == FMRI]


def test_without_signal_there_is_one_nan_a_hop() -> None:
    frames = push_all(fmri_engine(), chunks(np.zeros((len(CAP), 2000), np.float32), even(2000), []))
    last = [frame for frame in frames if frame.product == FMRI][-1]
    assert last.data.shape == (3, 1)
    assert np.isnan(last.data).all()
    assert Flags.NO_SIGNAL in last.flags

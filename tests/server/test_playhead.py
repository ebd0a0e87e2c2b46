from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortexcast_server.playhead import LOOP_MARKER, SEEK_MARKER, Marker, Onset, Piece, PlaybackError, Playhead

START = 1000.0  # an LSL clock is far from zero
RATES = st.sampled_from([100.0, 128.0, 250.0, 512.0, 1000.0, 5000.0])
SPEEDS = st.sampled_from([0.5, 1.0, 3.0, 20.0])
TICKS = st.lists(st.floats(1e-4, 0.5), max_size=30)


def pieces_at(playhead: Playhead, now: float) -> list[Piece]:
    return list(iter(lambda: playhead.due(now), None))


def play_to_end(playhead: Playhead, now: float) -> list[Piece]:
    pieces = []
    while (deadline := playhead.deadline()) is not None:
        now = max(now, deadline)
        pieces += pieces_at(playhead, now)
    return pieces


@st.composite
def recordings(draw: st.DrawFn) -> tuple[float, int, list[Onset]]:
    rate_hz, n_samples = draw(RATES), draw(st.integers(1, 3000))
    times = draw(st.lists(st.floats(0, 1, exclude_max=True), max_size=10))
    return rate_hz, n_samples, [Onset(t * n_samples / rate_hz, str(i)) for i, t in enumerate(sorted(times))]


@given(recordings(), SPEEDS, TICKS)
def test_any_ticks_give_every_sample_once_and_each_marker_with_the_first_sample_at_or_after_it(
    recording: tuple[float, int, list[Onset]], speed: float, ticks: list[float]
) -> None:
    rate_hz, n_samples, onsets = recording
    playhead = Playhead(rate_hz, n_samples, onsets, speed=speed)
    playhead.resume(START)
    pieces = []
    now = START
    for tick in ticks:
        now += tick
        pieces += pieces_at(playhead, now)
    pieces += play_to_end(playhead, now)

    assert [i for piece in pieces for i in range(piece.start, piece.stop)] == list(range(n_samples))
    assert playhead.sent == n_samples
    for piece in pieces:
        assert piece.first_time == pytest.approx(START + piece.start / rate_hz)
        assert piece.last_time == pytest.approx(START + (piece.stop - 1) / rate_hz)
        for marker in piece.markers:
            assert marker.time <= piece.last_time + 1 / rate_hz + 1e-6
            # Not with an earlier piece, nor before its sample: only the last sample of all may lie before its marker.
            assert marker.time > piece.first_time - 1 / rate_hz - 1e-6
            assert marker.time <= piece.last_time + 1e-6 or piece.stop == n_samples
    markers = [marker for piece in pieces for marker in piece.markers]
    assert [marker.label for marker in markers] == [onset.label for onset in onsets]
    assert [m.time for m in markers] == pytest.approx([START + onset.onset_s for onset in onsets])


@given(recordings(), SPEEDS, TICKS)
def test_no_sample_is_given_before_its_time(
    recording: tuple[float, int, list[Onset]], speed: float, ticks: list[float]
) -> None:
    rate_hz, n_samples, onsets = recording
    playhead = Playhead(rate_hz, n_samples, onsets, speed=speed)
    playhead.resume(START)
    now = START
    for tick in ticks:
        now += tick
        pieces_at(playhead, now)
        assert playhead.sent <= (now - START) * rate_hz * speed + 1.01


@given(RATES, SPEEDS, st.integers(1, 3000))
def test_at_its_deadline_and_not_before_a_piece_is_due(rate_hz: float, speed: float, n_samples: int) -> None:
    playhead = Playhead(rate_hz, n_samples, speed=speed)
    playhead.resume(START)
    while (deadline := playhead.deadline()) is not None:
        assert playhead.due(deadline - 0.01 / (rate_hz * speed)) is None
        assert playhead.due(deadline) is not None


Command = tuple[str, float]
COMMANDS = st.lists(
    st.one_of(
        st.tuples(st.just("tick"), st.floats(1e-3, 1.5)),
        st.tuples(st.just("pause"), st.floats(1e-3, 5.0)),
        st.tuples(st.just("seek"), st.floats(0, 0.99)),
        st.tuples(st.just("speed"), SPEEDS),
    ),
    max_size=20,
)


@given(RATES, SPEEDS, st.integers(100, 2000), COMMANDS)
def test_stamps_step_by_a_sample_period_but_for_the_length_of_each_pause(
    rate_hz: float, speed: float, n_samples: int, commands: list[Command]
) -> None:
    playhead = Playhead(rate_hz, n_samples, speed=speed, loop=True)
    playhead.resume(START)
    now, sent, paused_s = START, 0, 0.0
    for command, number in commands:
        if command == "seek":
            playhead.seek(number * n_samples / rate_hz)
            continue
        if command == "speed":
            playhead.set_speed(number, now)
            continue
        if command == "pause":
            playhead.pause(now)
            now += number
            assert playhead.due(now) is None
            playhead.resume(now)
            paused_s += number
            continue
        now += number
        for piece in pieces_at(playhead, now):
            assert piece.first_time == pytest.approx(START + paused_s + sent / rate_hz, abs=1e-6)
            assert piece.last_time == pytest.approx(piece.first_time + (piece.stop - piece.start - 1) / rate_hz)
            sent += piece.stop - piece.start
    assert playhead.sent == sent


@given(RATES, SPEEDS, st.integers(100, 2000), COMMANDS)
def test_at_changing_speeds_what_is_due_is_given_and_no_more(
    rate_hz: float, speed: float, n_samples: int, commands: list[Command]
) -> None:
    playhead = Playhead(rate_hz, n_samples, speed=speed, loop=True)
    playhead.resume(START)
    now, due = START, 0.0
    for command, number in commands:
        if command == "speed":
            playhead.set_speed(number, now)
            speed = number
        elif command == "pause":
            playhead.pause(now)
            speed = 1.0 if speed == 3.0 else 3.0
            playhead.set_speed(speed, now + number / 2)
            now += number
            playhead.resume(now)
        elif command == "tick":
            now += number
            due += number * rate_hz * speed
            pieces_at(playhead, now)
            # What is kept back is less than a chunk.
            assert due - 0.01 * rate_hz * speed - 1.01 <= playhead.sent <= due + 1.01


def test_a_change_of_speed_is_no_jump_of_signal_or_stamps_and_pauses_stay_gaps() -> None:
    playhead = Playhead(100.0, 1000)
    playhead.resume(START)
    pieces = pieces_at(playhead, START + 0.995)
    playhead.set_speed(2.0, START + 1.0)
    pieces += pieces_at(playhead, START + 1.9975)
    assert (playhead.speed, playhead.sent) == (2.0, 300)
    playhead.set_speed(1.0, START + 2.0)
    playhead.pause(START + 2.0)
    playhead.resume(START + 2.5)
    pieces += pieces_at(playhead, START + 3.495)
    assert [i for piece in pieces for i in range(piece.start, piece.stop)] == list(range(400))
    stamps = [piece.first_time + n / 100.0 for piece in pieces for n in range(piece.stop - piece.start)]
    # Two seconds of signal went by in one: the stamps stay that second ahead of the clock.
    assert stamps[:300] == pytest.approx([START + n / 100.0 for n in range(300)])
    assert stamps[300:] == pytest.approx([START + 0.5 + n / 100.0 for n in range(300, 400)])


def test_a_loop_begins_again_without_a_jump_of_the_stamps_and_is_announced() -> None:
    playhead = Playhead(100.0, 50, [Onset(0.1, "face")], loop=True)
    playhead.resume(START)
    pieces = pieces_at(playhead, START + 1.495)
    assert [i for piece in pieces for i in range(piece.start, piece.stop)] == 3 * list(range(50))
    assert playhead.loops == 3
    markers = [marker for piece in pieces for marker in piece.markers]
    expected = [(0.1, "face"), (0.5, LOOP_MARKER), (0.6, "face"), (1.0, LOOP_MARKER), (1.1, "face")]
    assert [marker.label for marker in markers] == [label for _, label in expected]
    assert [marker.time - START for marker in markers] == pytest.approx([time for time, _ in expected])


def test_a_seek_is_announced_with_the_first_sample_from_there() -> None:
    playhead = Playhead(100.0, 1000, [Onset(0.2, "skipped"), Onset(5.0, "face")])
    playhead.resume(START)
    before = pieces_at(playhead, START + 0.095)
    playhead.seek(5.0)
    assert playhead.position_s == 5.0
    after = pieces_at(playhead, START + 0.195)
    assert after[0].start == 500
    assert after[0].first_time == pytest.approx(before[-1].last_time + 0.01)
    assert after[0].markers == (Marker(after[0].first_time, SEEK_MARKER), Marker(after[0].first_time, "face"))
    assert list(itertools.chain(*(piece.markers for piece in after[1:]))) == []


def test_it_starts_where_it_is_told_to() -> None:
    playhead = Playhead(100.0, 1000, [Onset(0.2, "before"), Onset(9.5, "after")], start_s=9.0)
    playhead.resume(START)
    pieces = play_to_end(playhead, START)
    assert pieces[0].start == 900
    assert pieces[0].first_time == START
    assert [m.label for piece in pieces for m in piece.markers] == ["after"]
    assert playhead.ended


def test_it_is_paused_until_it_is_resumed() -> None:
    playhead = Playhead(100.0, 1000)
    assert playhead.paused
    assert playhead.deadline() is None
    assert playhead.due(START) is None


@pytest.mark.parametrize("position_s", [-0.1, 10.0, float("nan")])
def test_a_position_outside_the_recording_is_refused(position_s: float) -> None:
    with pytest.raises(PlaybackError, match="give a position from 0 to 10 s"):
        Playhead(100.0, 1000, start_s=position_s)
    playhead = Playhead(100.0, 1000)
    with pytest.raises(PlaybackError, match="give a position from 0 to 10 s"):
        playhead.seek(position_s)


@pytest.mark.parametrize("speed", [0.0, -1.0, 1e-300, 1e300, float("nan"), float("inf")])
def test_an_impossible_speed_is_refused(speed: float) -> None:
    with pytest.raises(PlaybackError, match=r"give a number from 0\.001 to 10000, 1 for real time"):
        Playhead(100.0, 1000, speed=speed)
    playhead = Playhead(100.0, 1000)
    with pytest.raises(PlaybackError, match=r"give a number from 0\.001 to 10000, 1 for real time"):
        playhead.set_speed(speed, START)
    assert playhead.speed == 1.0


def test_after_the_end_there_is_no_seeking_and_no_other_speed() -> None:
    playhead = Playhead(100.0, 10)
    playhead.resume(START)
    play_to_end(playhead, START)
    with pytest.raises(PlaybackError, match="ended"):
        playhead.seek(0.0)
    with pytest.raises(PlaybackError, match="ended"):
        playhead.set_speed(2.0, START)


@given(
    RATES,
    st.integers(1, 3000),
    SPEEDS,
    st.lists(st.tuples(st.floats(1e-4, 0.5), st.sampled_from(["go on", "pause", "seek", "speed"]), st.floats(0, 0.99))),
)
def test_a_stamp_tells_the_sample_through_loops_seeks_pauses_and_changes_of_speed(
    rate_hz: float, n_samples: int, speed: float, ticks: list[tuple[float, str, float]]
) -> None:
    playhead = Playhead(rate_hz, n_samples, speed=speed, loop=True)
    playhead.resume(START)
    now = START
    given_out: list[tuple[float, int]] = []
    for tick, act, share in ticks:
        now += tick
        for piece in pieces_at(playhead, now):
            given_out += [
                (piece.first_time + n / rate_hz, sample) for n, sample in enumerate(range(piece.start, piece.stop))
            ]
        if act == "seek":
            playhead.seek(share * n_samples / rate_hz)
        elif act == "pause":
            playhead.pause(now)
            now += 0.01 + share
            playhead.resume(now)
        elif act == "speed":
            playhead.set_speed(0.5 + 20 * share, now)
    stamps, samples = (np.array(each) for each in zip(*given_out, strict=True)) if given_out else (np.empty(0),) * 2
    found = playhead.samples_at(stamps)
    # What lies many jumps back is forgotten, and never taken for another sample.
    recent = found >= 0
    np.testing.assert_array_equal(found[recent], samples[recent])
    assert (np.diff(recent.astype(int)) >= 0).all()
    assert recent[-1:].all()
    np.testing.assert_array_equal(playhead.samples_at(stamps + 0.5 / rate_hz), -1)


def test_no_sample_was_given_out_before_the_start_in_a_pause_or_after_the_newest() -> None:
    playhead = Playhead(100.0, 1000)
    playhead.resume(START)
    playhead.due(START + 0.1)
    playhead.pause(START + 0.1)
    playhead.resume(START + 0.6)
    playhead.due(START + 0.7)
    stamps = START + np.array([-0.01, 0.0, 0.1, 0.11, 0.3, 0.6, 0.61, 0.7, 0.71])
    assert playhead.samples_at(stamps).tolist() == [-1, 0, 10, -1, -1, -1, 11, 20, -1]

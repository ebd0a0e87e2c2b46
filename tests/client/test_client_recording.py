"""A recording keeps time, whatever is missing, and is there again when its files are opened anew."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import mne
import numpy as np
import pytest
from client.peer import PRODUCT, make_frame, status
from hypothesis import given
from hypothesis import strategies as st
from mne.io.constants import FIFF

import cortexcast_server.recording
from cortexcast_client import Channel, Flags, Frame, Marker, Product, Recording, RecordingError, mne_raw
from cortexcast_client.messages import parse_products, parse_status
from cortexcast_client.recording import Annotation

HOP, RATE_HZ = PRODUCT["hop"], PRODUCT["rate_hz"]
HOP_S = HOP / RATE_HZ
UNIX = 1.7e9
"""Of the LSL clock's zero."""

(MEG,) = (
    replace(product, channels=tuple(Channel(name, "mag", "T", tuple(range(12))) for name in ("MEG 0111", "MEG 0121")))
    for product in parse_products({"products": [PRODUCT]})
)
EEG = replace(MEG, name="eeg", model=None, channels=(Channel("Cz", "eeg", "V", (0.0, 0.01, 0.1)),))


class Daemon:
    """What a connection tells of its frames."""

    def __init__(self, *products: Product) -> None:
        self.products = products
        self.clock_offset = UNIX

    def product(self, frame: Frame) -> Product:
        """Of the frame."""
        (found,) = (each for each in self.products if (each.session, each.name) == (frame.session, frame.product))
        return found


class Files:
    """A folder in memory that remembers every byte in the order of its writing."""

    def __init__(self, written: Sequence[tuple[str, bytes]] = ()) -> None:
        self.written: list[tuple[str, bytes]] = []
        self.before = list(written)

    def __call__(self, name: str) -> IO[bytes]:
        return _Written(name, b"".join(content for owner, content in self.before if owner == name), self.written)

    def cut(self, n_bytes: int) -> Files:
        """What a program leaves that is killed so many bytes before its end."""
        kept = list(self.written)
        while kept and n_bytes > 0:
            name, content = kept.pop()
            if len(content) > n_bytes:
                kept.append((name, content[: len(content) - n_bytes]))
            n_bytes -= len(content)
        return Files(kept)


class _Written(io.BytesIO):
    def __init__(self, name: str, content: bytes, written: list[tuple[str, bytes]]) -> None:
        super().__init__(content)
        self._name, self._log = name, written

    def write(self, content: Any) -> int:
        # No more than a part, as an unbuffered file may.
        n = super().write(bytes(content)[:100])
        self._log.append((self._name, bytes(content)[:n]))
        return n


def recorded(*frames: Frame) -> Recording:
    recording = Recording()
    for frame in frames:
        recording.add(frame, Daemon(MEG))
    return recording


def of(recording: Recording, label: str) -> list[tuple[int, int]]:
    """The annotations with a label: first sample and the one after the last."""
    return [
        (round(each.onset_s * RATE_HZ), round((each.onset_s + each.duration_s) * RATE_HZ))
        for each in recording.annotations()
        if each.label == label
    ]


steps = st.lists(
    st.tuples(
        st.sampled_from(["next", "next", "next", "missed", "gap", "no signal", "another session"]),
        st.integers(1, 60),
        st.floats(-1e-3, 1e-3),
    ),
    max_size=40,
)


@given(steps)
def test_every_sample_lies_at_its_time_and_all_else_is_annotated(plan: list[tuple[str, int, float]]) -> None:
    """Whatever is missed, and however the stamps jitter within half a sample."""
    recording, session, sequence, now = Recording(), 0, 0, 0
    expected = [(0, 0)]
    silent, breaks = [], []
    recording.add(make_frame(0, session="0"), Daemon(replace(MEG, session="0")))
    for name, n, jitter_s in plan:
        flags = Flags(0)
        sequence, now = sequence + 1, now + HOP
        if name == "missed":
            sequence, now = sequence + n, now + n * HOP
        elif name == "gap":
            now, flags = now + n, Flags.GAP
        elif name == "another session":
            session, sequence, now = session + 1, 0, now + n
        elif name == "no signal":
            flags = Flags.NO_SIGNAL
            silent.append(now)
        if name in ("missed", "gap", "another session"):
            breaks.append(now)
        t0 = 100.0 + now / RATE_HZ + jitter_s
        recording.add(
            make_frame(sequence, session=str(session), t0=t0, flags=flags), Daemon(replace(MEG, session=str(session)))
        )
        expected.append((now, sequence))
    truth = np.full(now + HOP, np.nan)
    for column, sequence in expected:
        truth[column : column + HOP] = sequence
    # Jitter may move a break by a sample, and all that follows; it never adds up.
    values = recording.read(0, recording.n_samples)[0]
    assert abs(len(values) - len(truth)) <= 1
    begins = np.flatnonzero(np.isfinite(values))[::HOP]
    np.testing.assert_allclose(begins, [column for column, _ in expected], atol=1)
    np.testing.assert_array_equal(values[begins], [sequence for _, sequence in expected])
    missing = np.zeros(len(values), bool)
    for start, stop in of(recording, "BAD_gap"):
        missing[start:stop] = True
    np.testing.assert_array_equal(missing, np.isnan(values))
    assert len(of(recording, "BAD_gap")) == len(breaks)
    assert sum(stop - start for start, stop in of(recording, "BAD_no_signal")) == HOP * len(silent)


@given(st.integers(0, 3), st.lists(st.integers(1, 300), max_size=4), st.lists(st.floats(-8e-3, 8e-3), min_size=99))
def test_two_products_lie_on_each_other_though_one_looks_ahead(
    ahead: int, gaps: list[int], jitter_s: list[float]
) -> None:
    """The estimate of a hop comes hops later, before a gap not at all; from then on the products' counts differ."""
    recording, daemon = Recording(), Daemon(EEG, MEG)
    block, now, n = 0, 0, {"eeg": 0, "meg": 0}
    noise = iter(jitter_s * 9)
    for segment, gap in enumerate([0, *gaps]):
        now += gap
        begins = [now + HOP * k for k in range(6)]
        for k in range(len(begins)):
            for name, of_block in (("eeg", k), ("meg", k - ahead)):
                if of_block < 0:
                    continue
                flags = Flags.GAP if segment and of_block == 0 else Flags(0)
                t0 = 100 + begins[of_block] / RATE_HZ + next(noise)
                value = block - k + of_block
                rows = 1 if name == "eeg" else 2
                data = np.full((rows, HOP), value, np.float32)
                recording.add(Frame(name, n[name], n[name] * HOP, t0, data, None, flags, 0, "cap"), daemon)
                n[name] += 1
            block += 1
        now = begins[-1] + HOP
    eeg, meg, again = recording.read(0, recording.n_samples)
    both = np.isfinite(eeg) & np.isfinite(meg)
    assert both.sum() == n["meg"] * HOP
    np.testing.assert_array_equal(eeg[both], meg[both])
    np.testing.assert_array_equal(meg, again)


def test_what_came_before_the_first_of_another_product_is_kept() -> None:
    """A subscriber that comes into a running stream gets the EEG of now first, then estimates of before."""
    recording, daemon = Recording(), Daemon(EEG, MEG)
    recording.add(replace(make_frame(9), product="eeg", data=np.full((1, HOP), 9, np.float32)), daemon)
    for sequence in (7, 8, 9):
        recording.add(make_frame(sequence), daemon)
    np.testing.assert_array_equal(recording.read(0, 3 * HOP)[:, ::HOP], [[np.nan, np.nan, 9], [7, 8, 9], [7, 8, 9]])
    assert recording.unix_start == pytest.approx(UNIX + 100 + 7 * HOP_S)
    assert of(recording, "BAD_gap") == [(0, 2 * HOP)]


def test_markers_lie_on_the_sample_of_their_time_though_the_headset_s_clock_drifts() -> None:
    """After ten minutes at 100 ppm it is 15 samples off; and a marker comes before the frame of its time."""
    recording, daemon, drift = Recording(), Daemon(MEG), 1.0001
    for sequence in range(6000):
        if sequence % 1000 == 500:
            time = 100 + (sequence + 3.2) * HOP_S * drift
            recording.add(Marker("cap", "keys", f"at {sequence}", time, UNIX), daemon)
        recording.add(make_frame(sequence, t0=100 + sequence * HOP_S * drift), daemon)
    recording.add(Marker("another session", "keys", "no", 101.0, UNIX), daemon)
    recording.add(Marker("cap", "keys", "before", 99.0, UNIX), daemon)
    assert [each.label for each in recording.annotations()] == [f"at {n}" for n in range(500, 6000, 1000)]
    onsets = [each.onset_s for each in recording.annotations()]
    np.testing.assert_allclose(onsets, [(n + 3.2) * HOP_S for n in range(500, 6000, 1000)], atol=0.1 / RATE_HZ)
    assert recording.drift_s == pytest.approx(-600 * 1e-4, rel=0.01)


@given(st.integers(0, 5000))
def test_its_files_are_the_recording_again_wherever_it_was_cut_off(n_bytes: int) -> None:
    files = Files()
    recording, daemon = Recording(files), Daemon(MEG)
    for sequence in (0, 1, 4, 5):
        recording.add(make_frame(sequence), daemon)
        recording.add(Marker("cap", "keys", str(sequence), 100.01 + sequence * HOP_S, UNIX), daemon)
    whole = Recording(files.cut(0))
    assert whole.annotations() == recording.annotations()
    assert whole.products == recording.products
    np.testing.assert_array_equal(whole.read(0, whole.n_samples), recording.read(0, recording.n_samples))

    torn = Recording(files.cut(n_bytes))
    if torn.products:
        values = torn.read(0, torn.n_samples)
        np.testing.assert_array_equal(values, recording.read(0, torn.n_samples))
        assert recording.n_samples - torn.n_samples <= n_bytes / 8 + 2 * HOP + 1
        for label in ("0", "1", "4", "5", "BAD_gap"):
            assert set(of(torn, label)) <= set(of(recording, label))
        if torn.n_samples:
            assert np.isfinite(values[:, -1]).all()
        with pytest.raises(RecordingError, match="takes no more"):
            torn.add(make_frame(6), daemon)


def test_a_journal_of_something_else_is_refused() -> None:
    with pytest.raises(RecordingError, match="not the journal of a recording"):
        Recording(Files([("journal.jsonl", b'{"a": 1}\n')]))


def test_what_does_not_belong_together_is_refused_and_what_came_before_stays() -> None:
    slow = replace(MEG, name="fmri", rate_hz=4.0, hop=1, channels=(Channel("Visual 1", "bold", "%", ()),))
    alike = replace(MEG, name="meg_recorded")
    other = replace(MEG, session="other")
    changed = replace(MEG, session="later", channels=MEG.channels[:1])
    recording = recorded(make_frame(0))
    for products, frame, message in (
        ([MEG, slow], replace(make_frame(0), product="fmri"), "meg comes at 250 Hz and fmri at 4 Hz"),
        ([MEG, alike], replace(make_frame(0), product="meg_recorded"), "channels of the same names"),
        ([MEG, other], make_frame(0, session="other"), "frames of two sessions, cap and other: choose one"),
        ([MEG], make_frame(1, t0=100 + 7 * 3600.0, flags=Flags.GAP), "nothing came for 7.0 hours"),
        ([changed], make_frame(0, session="later"), "session later gives meg with another rate or other channels"),
    ):
        with pytest.raises(RecordingError, match=message):
            recording.add(frame, Daemon(*products))
        assert recording.n_samples == HOP
    with pytest.raises(RecordingError, match="nothing was recorded yet"):
        Recording().to_mne_raw()


def test_a_session_whose_clock_is_behind_is_appended_and_lies_over_nothing() -> None:
    recording, later = Recording(), (replace(EEG, session="later"), replace(MEG, session="later"))
    for sequence in range(4):
        recording.add(make_frame(sequence), Daemon(MEG))
    early = make_frame(5, session="later", t0=50.0)
    recording.add(replace(early, product="eeg", data=early.data[:1]), Daemon(*later))
    for sequence in (3, 4, 5):
        recording.add(make_frame(sequence, session="later", t0=50 + (sequence - 5) * HOP_S), Daemon(*later))
    meg = recording.read(0, recording.n_samples)[0]
    np.testing.assert_array_equal(meg[::HOP][np.isfinite(meg[::HOP])], [0, 1, 2, 3, 3, 4, 5])
    assert recording.n_samples == 7 * HOP


def test_status_and_what_a_session_that_ended_left_under_way_are_not_kept() -> None:
    recording = recorded(make_frame(0), make_frame(1))
    recording.add(parse_status(status()), Daemon(MEG))
    recording.add(make_frame(0, session="next", t0=101.0), Daemon(replace(MEG, session="next")))
    recording.add(make_frame(2), Daemon(replace(MEG, session="next")))
    assert recording.n_samples == round(1.0 * RATE_HZ) + HOP


def test_mne_knows_what_the_channels_are(tmp_path: Path) -> None:
    place = tuple(0.01 * number for number in range(12))
    mixed = replace(
        MEG,
        channels=(
            Channel("MEG 0111", "mag", "T", place),
            Channel("MEG 0112", "grad", "T/m", place),
            Channel("Cz", "eeg", "V", (0.0, 0.01, 0.1)),
            Channel("A1", "eeg", "V", ()),
            Channel("Visual 1", "bold", "%", (0.01, -0.08, 0.02)),
            Channel("label", "label", "1", ()),
        ),
    )
    recording = Recording()
    data = np.arange(6, dtype=np.float32)[:, np.newaxis] * np.ones(HOP, np.float32)
    recording.add(replace(make_frame(0), data=data), Daemon(mixed))
    recording.add(Marker("cap", "keys", "go", 100.02, UNIX), Daemon(mixed))
    in_memory = recording.to_mne_raw()
    mne_raw.save(recording, tmp_path / "a_raw.fif")
    for raw in (in_memory, mne.io.read_raw(tmp_path / "a_raw.fif", verbose="error")):
        assert raw.get_channel_types() == ["mag", "grad", "eeg", "eeg", "misc", "misc"]
        coils = [entry["coil_type"] for entry in raw.info["chs"]]
        assert coils[:3] == [FIFF.FIFFV_COIL_VV_MAG_T3, FIFF.FIFFV_COIL_VV_PLANAR_T1, FIFF.FIFFV_COIL_EEG]
        np.testing.assert_allclose(raw.info["chs"][1]["loc"], place, rtol=1e-6)
        np.testing.assert_allclose(raw.info["chs"][2]["loc"][:3], [0.0, 0.01, 0.1], rtol=1e-6)
        np.testing.assert_allclose(raw.info["chs"][4]["loc"][:3], [0.01, -0.08, 0.02], rtol=1e-6)
        montage = raw.get_montage()
        assert montage is not None
        np.testing.assert_allclose(montage.get_positions()["ch_pos"]["Cz"], [0.0, 0.01, 0.1], rtol=1e-6)
        assert raw.info["meas_date"].timestamp() == pytest.approx(UNIX + 100, abs=1e-3)
        assert raw.info["description"].startswith(
            "meg of headset, session cap, in % and 1 and T and T/m and V, by small"
        )
        np.testing.assert_array_equal(raw.get_data(), data)
        assert [(note["description"], round(note["onset"], 6)) for note in raw.annotations] == [("go", 0.02)]


@pytest.mark.parametrize("simulated", [True, False])
def test_what_was_simulated_is_known_for_it_when_its_recording_is_replayed(tmp_path: Path, simulated: bool) -> None:
    recording = Recording()
    eeg = replace(EEG, simulated=simulated)
    recording.add(replace(make_frame(0), product="eeg", data=np.ones((1, HOP), np.float32)), Daemon(eeg))
    mne_raw.save(recording, tmp_path / "a_raw.fif")
    assert cortexcast_server.recording.Recording(tmp_path / "a_raw.fif").simulated == simulated


def test_mne_s_filters_leave_out_what_is_missing() -> None:
    frames = [make_frame(n) for n in range(60)]
    del frames[30:35]
    raw = recorded(*frames).to_mne_raw()
    raw.filter(8.0, 13.0, skip_by_annotation=("BAD_gap", "BAD_no_signal"), verbose="error")
    assert np.isnan(raw.get_data()[0]).sum() == 5 * HOP
    assert np.isfinite(raw.get_data(reject_by_annotation="omit", verbose="error")).all()


def test_what_is_long_is_written_in_parts_and_never_held_in_memory(tmp_path: Path) -> None:
    """Ten minutes of 306 channels are 184 MB here, and twice that as MNE holds them."""
    helmet = replace(MEG, channels=tuple(Channel(f"MEG {n}", "mag", "T", ()) for n in range(306)))
    with (tmp_path / "meg.f32").open("w+b") as samples:
        files: dict[str, IO[bytes]] = {"journal.jsonl": io.BytesIO(), "meg.f32": samples}
        data = np.ones((306, HOP), np.float32)
        tracemalloc.start()
        try:
            recording = Recording(lambda name: files[name])
            for sequence in range(6000):
                recording.add(replace(make_frame(sequence), data=data * sequence), Daemon(helmet))
            mne_raw.save(recording, tmp_path / "long_raw.fif", split_size="100MB")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 20e6
    assert [path.name for path in sorted(tmp_path.glob("*.fif"))] == ["long_raw-1.fif", "long_raw.fif"]
    raw = mne.io.read_raw(tmp_path / "long_raw.fif", verbose="error")
    np.testing.assert_array_equal(raw[305][0][0, ::HOP], np.arange(6000))


def test_annotations_come_by_their_onset() -> None:
    recording = recorded(make_frame(0), make_frame(2))
    recording.add(Marker("cap", "keys", "go", 100.22, UNIX), Daemon(MEG))
    recording.add(Marker("cap", "keys", "ready", 100.04, UNIX), Daemon(MEG))
    assert [each.label for each in recording.annotations()] == ["ready", "BAD_gap", "go"]
    assert recording.annotations()[1] == Annotation(HOP_S, HOP_S, "BAD_gap")

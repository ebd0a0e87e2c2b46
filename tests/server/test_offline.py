"""A recording in, an MNE-readable file out: complete, in time, and never at the cost of what was there."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import mne
import numpy as np
import pytest
from daemon import run
from factories import CAP, eeg_like, linear_infer, make_manifest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cortexcast_client.wire import NO_FLAGS, Flags, Frame
from cortexcast_models.preprocessing import Preprocessor
from cortexcast_server.engine import MEG
from cortexcast_server.offline import (
    NO_ESTIMATE,
    OutputError,
    Written,
    check_output,
    estimate,
    n_estimated,
    place,
    save,
)
from cortexcast_server.recording import Annotation, Recording

RATE_HZ = 200.0


def write_eeg(path: Path, data: NDArray[np.float32], rate_hz: float) -> Path:
    info = mne.create_info(list(CAP), rate_hz, "eeg", verbose="error")
    mne.io.RawArray(data, info, verbose="error").save(path, fmt="double", verbose="error")
    return path


def write_meg(recording: Path, out: Path, **changes: object) -> Written:
    manifest = make_manifest(**changes)
    return estimate(Recording(recording), manifest, linear_infer(manifest), out)


def read(path: Path) -> mne.io.Raw:
    return mne.io.read_raw(path, preload=True, verbose="error")


@settings(max_examples=50, deadline=None)
@given(rate_hz=st.sampled_from([100.0, 128.0, 250.0, 256.0, 1000 / 3, 1000.0]), n=st.integers(1, 2000))
def test_the_estimate_ends_in_the_engine_s_last_hop(rate_hz: float, n: int) -> None:
    hop = 8
    preprocessor = Preprocessor(make_manifest().preprocessing, rate_hz, 1, hop)
    n_blocks = len([*preprocessor.push(np.zeros((1, n), np.float32)), *preprocessor.flush()])
    assert n_blocks == ceil(n_estimated(n, rate_hz, RATE_HZ) / hop)


@given(rate_hz=st.integers(1, 10_000), n=st.integers(1, 1_000_000))
def test_the_last_sample_lies_at_or_before_the_recording_s_last(rate_hz: int, n: int) -> None:
    n_out = n_estimated(n, float(rate_hz), RATE_HZ)
    assert (n_out - 1) * rate_hz <= (n - 1) * RATE_HZ < n_out * rate_hz


@pytest.mark.parametrize(
    ("rate_hz", "n_samples", "n_written"), [(100.0, 59, 117), (200.0, 100, 100), (250.0, 1001, 801)]
)
def test_what_is_written_is_what_was_said(tmp_path: Path, rate_hz: float, n_samples: int, n_written: int) -> None:
    source = write_eeg(tmp_path / "in_raw.fif", eeg_like(len(CAP), n_samples), rate_hz)
    written = write_meg(source, tmp_path / "out_raw.fif")
    raw = read(tmp_path / "out_raw.fif")
    assert (raw.n_times, raw.info["sfreq"]) == (written.n_samples, written.rate_hz) == (n_written, RATE_HZ)
    assert not (raw.get_data() == 0).all(axis=0).any()
    assert len(raw.annotations) == 0


def test_look_ahead_does_not_shift_the_estimate(tmp_path: Path) -> None:
    source = write_eeg(tmp_path / "in_raw.fif", eeg_like(len(CAP), 1000), 250.0)
    write_meg(source, tmp_path / "plain_raw.fif")
    write_meg(source, tmp_path / "ahead_raw.fif", window=24, lookahead=16)
    np.testing.assert_array_equal(
        read(tmp_path / "ahead_raw.fif").get_data(), read(tmp_path / "plain_raw.fif").get_data()
    )


def test_where_there_is_no_signal_the_estimate_is_zero_and_annotated(tmp_path: Path) -> None:
    data = eeg_like(len(CAP), 2500)
    data[:, 1000:1500] = np.nan
    written = write_meg(write_eeg(tmp_path / "in_raw.fif", data, 250.0), tmp_path / "out_raw.fif")
    raw = read(tmp_path / "out_raw.fif")
    assert np.isfinite(raw.get_data()).all()
    (annotation,) = raw.annotations
    assert annotation["description"] == NO_ESTIMATE
    start, duration = annotation["onset"], annotation["duration"]
    silent = np.flatnonzero((raw.get_data() == 0).all(axis=0)) / RATE_HZ
    np.testing.assert_allclose(silent, np.arange(round(start * RATE_HZ), round((start + duration) * RATE_HZ)) / RATE_HZ)
    assert start <= 4.1
    assert start + duration >= 6.0
    assert any(NO_ESTIMATE in note for note in written.notes)


def frame_at(t0: float, value: float, flags: Flags = NO_FLAGS) -> Frame:
    """A frame of one channel and 8 samples. Its index is that of the first, whatever was missing before."""
    return Frame(MEG, 0, 0, t0, np.full((1, 8), value, np.float32), None, flags)


def test_frames_lie_at_their_own_times() -> None:
    data = np.zeros((1, 40))
    meg = [frame_at(0.0, 1), frame_at(0.0401, 2, Flags.NO_SIGNAL), frame_at(0.0799, 3), frame_at(0.185, 4, Flags.GAP)]
    missing = place(meg, data, RATE_HZ)
    np.testing.assert_array_equal(data[0], np.repeat([1, 0, 3, 0, 4], [8, 8, 8, 13, 3]))
    assert missing == [Annotation(0.04, 0.04, NO_ESTIMATE), Annotation(0.12, 0.065, NO_ESTIMATE)]


def test_no_hole_where_frames_slip_by_a_sample() -> None:
    data = np.zeros((1, 17))
    assert place([frame_at(0.0, 1), frame_at(0.045, 2)], data, RATE_HZ) == []
    np.testing.assert_array_equal(data[0], np.repeat([1, 2], [9, 8]))


def test_the_recording_s_annotations_are_kept(tmp_path: Path) -> None:
    source = write_eeg(tmp_path / "in_raw.fif", eeg_like(len(CAP), 1000), 250.0)
    raw = read(source)
    raw.set_annotations(mne.Annotations([1.5], [0.25], ["face"]))
    raw.save(source, overwrite=True, verbose="error")
    write_meg(source, tmp_path / "out_raw.fif")
    (annotation,) = read(tmp_path / "out_raw.fif").annotations
    assert (annotation["onset"], annotation["duration"], annotation["description"]) == (1.5, 0.25, "face")


@pytest.mark.parametrize("link", ["same path", "symlink", "hard link"])
def test_the_recording_itself_is_never_the_output(tmp_path: Path, link: str) -> None:
    source = write_eeg(tmp_path / "in_raw.fif", eeg_like(len(CAP), 100), 250.0)
    out = tmp_path / ("in_raw.fif" if link == "same path" else "link_raw.fif")
    if link == "symlink":
        out.symlink_to(source)
    elif link == "hard link":
        out.hardlink_to(source)
    with pytest.raises(OutputError, match="is the recording itself: choose another name"):
        check_output(out, source, "meg", overwrite=True)


def test_the_command_does_not_overwrite_the_recording(tmp_path: Path) -> None:
    source = write_eeg(tmp_path / "in_raw.fif", eeg_like(len(CAP), 100), 250.0)
    before = source.read_bytes()
    done = run("run", source, "--out", source, "--overwrite")
    assert done.returncode == 1
    assert "is the recording itself" in done.stderr
    assert source.read_bytes() == before


def test_an_estimate_that_is_broken_off_keeps_the_file_that_was_there(tmp_path: Path) -> None:
    source, out = write_eeg(tmp_path / "in_raw.fif", eeg_like(len(CAP), 1000), 250.0), tmp_path / "out_raw.fif"
    out.write_bytes(b"precious")

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    manifest = make_manifest()
    with pytest.raises(KeyboardInterrupt):
        estimate(Recording(source), manifest, linear_infer(manifest), out, progress=interrupt)
    assert out.read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in_raw.fif", "out_raw.fif"]


def noise(n_channels: int, n_samples: int) -> mne.io.RawArray:
    data = np.random.default_rng(0).standard_normal((n_channels, n_samples))
    return mne.io.RawArray(data, mne.create_info(n_channels, RATE_HZ, "mag", verbose="error"), verbose="error")


def test_a_save_that_fails_keeps_the_file_that_was_there(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    out = tmp_path / "out_raw.fif"
    out.write_bytes(b"precious")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        with pytest.raises(OutputError, match=r"cannot write .*out_raw\.fif: File too large"):
            save(noise(10, 100_000), out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert out.read_bytes() == b"precious"
    assert [path.name for path in tmp_path.iterdir()] == ["out_raw.fif"]


def test_what_is_too_long_for_one_file_is_saved_in_parts(tmp_path: Path) -> None:
    raw, out = noise(20, 500_000), tmp_path / "out_raw.fif"
    out.write_bytes(b"old")
    save(raw, out, split_size="30MB")
    parts = sorted(path.name for path in tmp_path.iterdir())
    assert len(parts) > 1
    back = read(out)
    assert sorted(Path(name).name for name in back.filenames) == parts
    np.testing.assert_array_equal(back.get_data(), raw.get_data().astype(np.float32))

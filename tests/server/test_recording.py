from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mne
import numpy as np
import pytest
import pyxdf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from recordings import XdfStream, counts, with_directory, write_edf, write_fif, write_set, write_vhdr, write_xdf

from cortexcast_server.lsl_metadata import eeg_layout
from cortexcast_server.recording import Recording, RecordingError
from cortexcast_server.replayed_meg import find_sensors
from cortexcast_server.xdf import GAP_MARKER


def refusal(path: Path) -> str:
    with pytest.raises(RecordingError) as caught:
        Recording(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_real_recording_is_read_in_microvolts_as_mne_reads_it_in_volts(real_data: Path) -> None:
    path = real_data / "eeg" / "eeglab_32ch_128hz_raw.fif"
    recording = Recording(path)
    raw = mne.io.read_raw(path, preload=True, verbose="error")
    assert (recording.rate_hz, recording.n_samples, len(recording.annotations)) == (128.0, 30504, 154)
    assert recording.name == "eeglab_32ch_128hz_raw"
    assert [channel.name for channel in recording.channels] == raw.ch_names
    assert {(channel.type, channel.unit) for channel in recording.channels} == {
        ("EEG", "microvolts"),
        ("EOG", "microvolts"),
    }
    places = raw.get_montage().get_positions()["ch_pos"]
    for channel in recording.channels:
        if channel.type == "EEG":
            assert channel.location == pytest.approx(tuple(places[channel.name]))
    np.testing.assert_array_equal(recording.read(0, recording.n_samples), np.float32(1e6 * raw.get_data().T))


def test_the_layout_of_the_announced_stream_gives_back_volts(real_data: Path) -> None:
    recording = Recording(real_data / "eeg" / "eeglab_32ch_128hz_raw.fif")
    layout = eeg_layout(recording.stream_info())
    eeg = mne.io.read_raw(recording.path, verbose="error").get_data("eeg", 100, 200)
    assert layout.signal.replayed
    assert len(layout.signal.channels) == 30
    np.testing.assert_allclose(layout.to_volts(recording.read(100, 200)), eeg, rtol=1e-6)


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return Recording(write_fif(tmp_path_factory.mktemp("counted") / "counted_raw.fif", duration_s=5.0))


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=10))
def test_any_blocks_of_a_recording_are_the_whole_of_it(counted: Recording, cuts: list[int]) -> None:
    cuts = sorted({0, counted.n_samples, *cuts})
    blocks = [counted.read(start, stop) for start, stop in itertools.pairwise(cuts)]
    whole = np.concatenate(blocks)
    expected = np.vstack([counts(3, 1000), np.full(1000, 5)]).T
    assert whole.dtype == np.float32
    np.testing.assert_allclose(whole, expected, rtol=1e-6)


def test_meg_is_left_out_and_what_is_no_voltage_keeps_its_own_unit(tmp_path: Path) -> None:
    path = write_fif(tmp_path / "mixed_raw.fif", types=["mag", "eeg", "ecg", "grad", "misc", "stim", "emg"])
    recording = Recording(path)
    assert [(channel.type, channel.unit) for channel in recording.channels] == [
        ("EEG", "microvolts"), ("ECG", "microvolts"), ("MISC", ""), ("STIM", ""), ("EMG", "microvolts"),
    ]  # fmt: skip
    np.testing.assert_allclose(recording.read(7, 8), [[1007, 2007, 4007e-6, 5, 6007]], rtol=1e-6)


@pytest.mark.parametrize("measured", [True, False])
@pytest.mark.parametrize("first_sample", [0, 39000])
def test_onsets_count_from_the_first_sample_wherever_the_acquisition_began(
    tmp_path: Path, first_sample: int, measured: bool
) -> None:
    annotations = [(0.1, 0.0, "face"), (0.25, 0.125, "scrambled")]
    path = write_fif(
        tmp_path / "annotated_raw.fif", first_sample=first_sample, measured=measured, annotations=annotations
    )
    face, scrambled = Recording(path).annotations
    assert (face.label, face.duration_s, scrambled.label, scrambled.duration_s) == ("face", 0.0, "scrambled", 0.125)
    assert [face.onset_s, scrambled.onset_s] == pytest.approx([0.1, 0.25], abs=1e-4)  # .fif keeps times as float32


def test_a_recording_that_begins_late_in_its_acquisition_is_read_from_its_first_sample(real_data: Path) -> None:
    recording = Recording(real_data / "eeg" / "mgh70_raw.fif")
    assert (recording.rate_hz, recording.n_samples, len(recording.channels)) == (5000.0, 5001, 70)
    raw = mne.io.read_raw(recording.path, verbose="error")
    assert raw.first_samp == 39000
    np.testing.assert_array_equal(recording.read(0, 10), np.float32(1e6 * raw.get_data(stop=10).T))


def test_a_split_recording_is_read_as_one(tmp_path: Path) -> None:
    path = write_fif(tmp_path / "split_raw.fif", types=["eeg"] * 32, duration_s=50.0, split_size="2MB")
    assert (tmp_path / "split_raw-1.fif").exists()
    recording = Recording(path)
    assert recording.n_samples == 10_000
    np.testing.assert_allclose(recording.read(0, 10_000)[:, 0], np.arange(10_000), rtol=1e-6)


@pytest.mark.parametrize(("write", "suffix"), [(write_vhdr, ".vhdr"), (write_edf, ".edf"), (write_set, ".set")])
def test_other_formats_give_the_same_values(
    tmp_path: Path, write: Callable[[Path, NDArray[np.float64], int], Path], suffix: str
) -> None:
    data = counts(5, 600)
    recording = Recording(write(tmp_path / f"other{suffix}", data, 200))
    assert (recording.rate_hz, recording.n_samples) == (200.0, 600)
    assert {(channel.type, channel.unit) for channel in recording.channels} == {("EEG", "microvolts")}
    np.testing.assert_allclose(recording.read(0, 600), data.T, rtol=1e-6, atol=1e-3)


def test_markers_of_a_brainvision_file_become_annotations(tmp_path: Path) -> None:
    (annotation,) = Recording(write_vhdr(tmp_path / "marked.vhdr", counts(2, 100), 200.0)).annotations
    assert (annotation.onset_s, annotation.label) == (0.05, "Stimulus/S  1")


# What cannot be replayed


@pytest.fixture(scope="module", params=["chained", "with a directory"])
def whole_fif(request: pytest.FixtureRequest, real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = real_data / "eeg" / "mgh70_raw.fif"
    if request.param == "chained":
        return path
    closed = tmp_path_factory.mktemp("closed") / "directory_raw.fif"
    closed.write_bytes(with_directory(path.read_bytes()))
    return closed


@given(st.floats(0, 1))
@example(0.0)
@example(1.0)
@settings(max_examples=50)
def test_wherever_a_fif_is_cut_off_it_is_called_truncated(
    tmp_path_factory: pytest.TempPathFactory, whole_fif: Path, fraction: float
) -> None:
    content = whole_fif.read_bytes()
    path = tmp_path_factory.getbasetemp() / "cut_raw.fif"
    path.write_bytes(content[: int(fraction * (len(content) - 1))])
    assert refusal(path).startswith(f"{path} is truncated")


def test_a_fif_cut_off_in_its_first_bytes_is_called_truncated(tmp_path: Path, whole_fif: Path) -> None:
    path = tmp_path / "cut_raw.fif"
    for n_bytes in range(200):
        path.write_bytes(whole_fif.read_bytes()[:n_bytes])
        assert refusal(path).startswith(f"{path} is truncated")


def test_a_whole_fif_is_not_called_truncated(whole_fif: Path) -> None:
    assert Recording(whole_fif).n_samples == 5001


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.5, 0.999])
def test_a_split_recording_with_a_truncated_part_is_refused(tmp_path: Path, fraction: float) -> None:
    path = write_fif(tmp_path / "split_raw.fif", types=["eeg"] * 32, duration_s=50.0, split_size="2MB")
    part = tmp_path / "split_raw-1.fif"
    content = part.read_bytes()
    part.write_bytes(content[: int(fraction * len(content))])
    assert refusal(path).startswith(f"{path} is truncated")


def test_a_split_recording_with_a_missing_part_is_refused(tmp_path: Path) -> None:
    path = write_fif(tmp_path / "split_raw.fif", types=["eeg"] * 32, duration_s=50.0, split_size="2MB")
    (tmp_path / "split_raw-1.fif").unlink()
    assert "split_raw-1.fif" in refusal(path)


def test_an_edf_with_fewer_records_than_it_says_is_truncated(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "cut.edf", counts(5, 600), 200)
    path.write_bytes(path.read_bytes()[:-2000])
    assert refusal(path).startswith(f"{path} is truncated")


@pytest.mark.parametrize("suffix", [".fif", ".set", ".vhdr", ".edf", ".bdf", ".xdf"])
@pytest.mark.parametrize("content", [b"", b"this is no recording " * 200])
def test_a_file_that_is_no_recording_is_refused_in_one_line(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"letter{suffix}"
    path.write_bytes(content)
    assert refusal(path).startswith(str(path))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert (
        refusal(tmp_path / "none_raw.fif")
        == f"{tmp_path / 'none_raw.fif'} does not exist: give the path of a recording"
    )


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no recording")
    assert refusal(path).endswith("give a .fif, .set, .vhdr, .edf, .bdf or .xdf file")


def test_a_recording_without_eeg_is_refused(tmp_path: Path) -> None:
    path = write_fif(tmp_path / "meg_raw.fif", types=["mag", "grad"])
    assert "has no EEG channels, only grad, mag" in refusal(path)


# XDF


def test_a_real_xdf_puts_markers_on_the_samples_that_were_taken_then(real_data: Path) -> None:
    path = real_data / "xdf" / "clock_resets.xdf"
    recording = Recording(path)
    assert (recording.rate_hz, recording.n_samples, len(recording.channels)) == (100.0, 27815, 8)
    streams, _ = pyxdf.load_xdf(path)
    labels, eeg = sorted(streams, key=lambda stream: stream["info"]["type"][0], reverse=True)
    np.testing.assert_array_equal(recording.read(0, 27815), eeg["time_series"])
    (gap,) = (a for a in recording.annotations if a.label == GAP_MARKER)
    assert gap.onset_s == 128.76  # the clock was reset after 12876 samples
    markers = [annotation for annotation in recording.annotations if annotation is not gap]
    assert [marker.label for marker in markers] == [row[0] for row in labels["time_series"]]
    stamps = eeg["time_stamps"]
    for marker, time in zip(markers, labels["time_stamps"], strict=True):
        sample = marker.onset_s * recording.rate_hz
        assert stamps[math.floor(sample)] - 1e-9 <= time <= stamps[math.ceil(sample)] + 1e-9


EEG_STREAM = XdfStream("cap", "EEG", 100.0, counts(2, 100).T.astype(np.float32), 50 + np.arange(100) / 100)


def test_an_xdf_keeps_what_its_stream_declared(tmp_path: Path) -> None:
    desc = (
        "<channels><channel><label>Cz</label><type>EEG</type><unit>volts</unit>"
        "<location><X>1.5</X><Y>-20</Y><Z>80</Z></location></channel><channel><label>up</label><type>EOG</type></channel></channels>"
    )
    recording = Recording(write_xdf(tmp_path / "declared.xdf", [replace(EEG_STREAM, desc=desc)]))
    cz, up = recording.channels
    assert (cz.name, cz.type, cz.unit) == ("Cz", "EEG", "volts")
    assert cz.location == pytest.approx((0.0015, -0.02, 0.08))
    assert (up.name, up.type, up.unit, up.location) == ("up", "EOG", "", ())
    np.testing.assert_array_equal(recording.read(0, 100), counts(2, 100).T)


def test_markers_outside_the_eeg_are_left_out(tmp_path: Path) -> None:
    times = np.array([49.9, 50.0, 50.505, 51.2])
    markers = XdfStream("markers", "Markers", 0.0, ["early", "first", "face", "late"], times)
    recording = Recording(write_xdf(tmp_path / "marked.xdf", [markers, EEG_STREAM]))
    assert [a.label for a in recording.annotations] == ["first", "face"]
    assert [a.onset_s for a in recording.annotations] == pytest.approx([0.0, 0.505], abs=1e-4)


def test_an_xdf_with_several_eeg_streams_is_refused_with_their_names(tmp_path: Path) -> None:
    path = write_xdf(tmp_path / "several.xdf", [replace(EEG_STREAM, name="left"), replace(EEG_STREAM, name="right")])
    assert "has several EEG streams: 'left' (EEG), 'right' (EEG)" in refusal(path)


def test_an_xdf_without_eeg_is_refused_with_what_there_is(real_data: Path) -> None:
    assert "has no stream of type EEG at a fixed rate" in refusal(real_data / "xdf" / "empty_streams.xdf")


def test_an_xdf_that_was_not_closed_is_truncated(tmp_path: Path) -> None:
    path = write_xdf(tmp_path / "open.xdf", [replace(EEG_STREAM, closed=False)])
    assert refusal(path).startswith(f"{path} is truncated")


def test_an_xdf_without_samples_is_refused(tmp_path: Path) -> None:
    stream = replace(EEG_STREAM, data=np.empty((0, 2), np.float32), times=np.empty(0))
    assert "has no samples" in refusal(write_xdf(tmp_path / "empty.xdf", [stream]))


def test_meg_is_read_as_it_is_stored_and_is_no_part_of_the_replay(tmp_path: Path) -> None:
    types = ("grad", "eeg", "mag", "ref_meg", "eeg")
    recording = Recording(write_fif(tmp_path / "both_raw.fif", types=types))
    assert recording.meg_names == ("grad0", "mag2")
    assert [channel.name for channel in recording.channels] == ["eeg1", "eeg4"]
    np.testing.assert_allclose(recording.read_meg(10, 60), 1e-6 * counts(5, 100)[[0, 2], 10:60].T, rtol=1e-6)
    assert Recording(write_fif(tmp_path / "eeg_raw.fif")).meg_names == ()


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (["MEG 0111", "MEG0113"], [2, 0]),
        (["MEG0112"], [1]),
        (["MEG0111", "MEG0121"], None),
    ],
)
def test_sensors_are_found_by_name_blanks_aside(tmp_path: Path, names: list[str], columns: list[int] | None) -> None:
    path = write_fif(
        tmp_path / "both_raw.fif",
        types=("grad", "grad", "mag", "eeg"),
        names=("MEG 0113", "MEG0112", "MEG0111", "Cz"),
    )
    found = find_sensors(Recording(path), names)
    assert (found if found is None else found.tolist()) == columns

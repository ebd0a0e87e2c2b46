"""EEG of a scan is read from either format with its sidecars, and what contradicts itself is refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import mne
import numpy as np
import pybv
import pytest
from scanned import Scanned

from cortexcast_training.eegfmri.natview_eeg import EegRecording, read_eeg
from cortexcast_training.eegfmri.natview_layout import write_eeg
from cortexcast_training.eegfmri.simulator import ECG, ELECTRODES, EOG
from cortexcast_training.leadfield import electrode_positions
from cortexcast_training.recording import RecordingError

RATE_HZ, N_SAMPLES = 5000, 60_000
STEM = "sub-01_ses-01_task-dme_run-01"
FIRST = 32_419
"""The sample of the first R128 in NATVIEW's files, which count from one on."""


def first_rows(text: str, sample: Callable[[str], str | None]) -> str:
    """The lines up to the recording's end."""
    lines = [(sample(line), line) for line in text.splitlines(keepends=True)]
    return "".join(line for at, line in lines if at is None or int(at) <= N_SAMPLES)


@pytest.fixture(scope="module")
def names(real_data: Path) -> list[str]:
    table = real_data / f"bids/natview/sub-01/ses-01/eeg/{STEM}_channels.tsv"
    return [line.split("\t")[0] for line in table.read_text(encoding="utf-8").splitlines()[1:]]


@pytest.fixture(scope="module")
def signals(names: list[str]) -> np.ndarray:
    return 20e-6 * np.random.default_rng(0).standard_normal((len(names), N_SAMPLES)).astype(np.float32)


@pytest.fixture(scope="module")
def natview(tmp_path_factory: pytest.TempPathFactory, real_data: Path, names: list[str], signals: np.ndarray) -> Path:
    """NATVIEW's own sidecars, up to 12 s, beside signals that are not theirs."""
    real = real_data / "bids/natview/sub-01/ses-01/eeg"
    folder = tmp_path_factory.mktemp("natview") / "sub-01/ses-01/eeg"
    folder.mkdir(parents=True)
    pybv.write_brainvision(
        data=signals, sfreq=RATE_HZ, ch_names=names, fname_base=f"{STEM}_eeg", folder_out=folder, fmt="binary_float32"
    )
    for name in (f"{STEM}_channels.tsv", f"{STEM}_eeg.json", "sub-01_ses-01_electrodes.tsv"):
        shutil.copy(real / name, folder)
    (folder.parents[1] / "dataset_description.json").write_text("{}", encoding="utf-8")
    events = (real / f"{STEM}_events.tsv").read_text(encoding="utf-8")
    cut = first_rows(events, lambda line: line.split("\t")[2] if line[0].isdigit() else None)
    (folder / f"{STEM}_events.tsv").write_text(cut, encoding="utf-8")
    markers = (real / f"{STEM}_eeg.vmrk").read_text(encoding="utf-8")
    cut = first_rows(markers, lambda line: line.split(",")[2] if re.match(r"Mk\d", line) else None)
    (folder / f"{STEM}_eeg.vmrk").write_text(cut, encoding="utf-8")
    return folder / STEM


@pytest.fixture
def copy(natview: Path, tmp_path: Path) -> Path:
    """To break."""
    shutil.copytree(natview.parents[2], tmp_path, dirs_exist_ok=True)
    return tmp_path / "ses-01/eeg" / STEM


@pytest.fixture(scope="module")
def read(natview: Path) -> EegRecording:
    return read_eeg(natview)


def write_set(stem: Path, names: list[str], signals: np.ndarray) -> None:
    raw = mne.io.RawArray(signals, mne.create_info(names, RATE_HZ, "eeg"), verbose="error")
    raw.set_annotations(mne.Annotations([(FIRST - 1) / RATE_HZ], [0.0], ["R128"]))
    mne.export.export_raw(f"{stem}_eeg.set", raw, verbose="error")


def test_natviews_sidecars_say_what_is_what(read: EegRecording, signals: np.ndarray) -> None:
    assert read.rate_hz == RATE_HZ
    kinds = {
        kind: [name for name, each in zip(read.names, read.types, strict=True) if each == kind] for kind in read.types
    }
    assert kinds == {"eeg": list(ELECTRODES), "ecg": [ECG], "eog": list(EOG)}
    np.testing.assert_allclose(read.eeg, signals, rtol=1e-4)
    assert read.eeg.dtype == np.float32
    assert read.volumes.tolist() == [FIRST - 1, FIRST - 1 + 10_500, FIRST - 1 + 21_000]
    assert [(marker.sample, marker.code) for marker in read.events[:2]] == [(32_629, "S 1"), (37_910, "S 5")]


def test_electrodes_are_where_the_file_has_them_and_the_reference_where_its_name_says(read: EegRecording) -> None:
    standard = electrode_positions()
    assert read.places.keys() == {*ELECTRODES, "FCz"}
    assert np.array_equal(read.places["FCz"], standard["FCz"])
    away = [np.linalg.norm(read.places[name] - standard[name]) for name in ELECTRODES]
    assert 0.001 < np.median(away) < 0.005


def test_without_tables_names_and_the_recordings_own_markers_tell_the_same(copy: Path, read: EegRecording) -> None:
    for table in (f"{copy}_channels.tsv", f"{copy}_events.tsv", copy.with_name("sub-01_ses-01_electrodes.tsv")):
        Path(table).unlink()
    bare = read_eeg(copy)
    assert bare.types == read.types
    assert np.array_equal(bare.volumes, read.volumes)
    stimuli = [marker for marker in bare.events if marker.kind == "Stimulus"]
    assert stimuli == list(read.events)
    assert np.array_equal(bare.places["Cz"], electrode_positions()["Cz"])


def test_markers_may_have_the_name_that_bids_gives_them(copy: Path, read: EegRecording) -> None:
    replace(f"{copy}_events.tsv", ("marker_code", "value"))
    np.testing.assert_array_equal(read_eeg(copy).volumes, read.volumes)


def test_eeglabs_format_gives_the_same_and_comes_first(
    copy: Path, names: list[str], signals: np.ndarray, read: EegRecording
) -> None:
    write_set(copy, names, signals)
    same = read_eeg(copy)
    assert same.name.endswith(".set")
    np.testing.assert_allclose(same.eeg, read.eeg, rtol=1e-4, atol=1e-12)
    assert (same.names, same.types, same.events) == (read.names, read.types, read.events)
    assert np.array_equal(same.volumes, read.volumes)
    Path(f"{copy}_events.tsv").unlink()
    assert read_eeg(copy).volumes.tolist() == [FIRST - 1]


def test_a_simulated_recording_is_read_as_it_was_written(scanned: Scanned, tmp_path: Path) -> None:
    write_eeg(tmp_path, STEM, scanned.simulation)
    written = read_eeg(tmp_path / STEM)
    resolution = 0.5e-6
    assert np.abs(written.eeg - scanned.recording.eeg).max() < 1.01 * resolution
    assert np.array_equal(written.volumes, scanned.recording.volumes)
    assert (written.names, written.types) == (scanned.recording.names, scanned.recording.types)
    assert [marker.sample for marker in written.events] == [marker.sample for marker in scanned.recording.events]


def replace(path: Path | str, *pairs: tuple[str, str]) -> None:
    text = Path(path).read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    Path(path).write_text(text, encoding="utf-8")


def without_ecg(stem: Path) -> None:
    replace(f"{stem}_channels.tsv", ("ECG\tECG", "ECG\tMISC"))


def another_rate(stem: Path) -> None:
    replace(f"{stem}_channels.tsv", ("5000", "1000"))


def another_rate_in_the_sidecar(stem: Path) -> None:
    fields = json.loads(Path(f"{stem}_eeg.json").read_text(encoding="utf-8"))
    Path(f"{stem}_eeg.json").write_text(json.dumps(fields | {"SamplingFrequency": 250}), encoding="utf-8")


def other_channels(stem: Path) -> None:
    replace(f"{stem}_channels.tsv", ("Fpz\t", "Nz\t"))


def names_of_nobody(stem: Path) -> None:
    stem.with_name("sub-01_ses-01_electrodes.tsv").unlink()
    renamed = [(f"{name}\t", f"E{number}\t") for number, name in enumerate(ELECTRODES)]
    replace(
        f"{stem}_channels.tsv", *[(f"\n{old}", f"\n{new}") for old, new in renamed[1:]], (renamed[0][0], renamed[0][1])
    )
    header = [(f"={name},", f"=E{number},") for number, name in enumerate(ELECTRODES)]
    replace(f"{stem}_eeg.vhdr", *header)


def another_reference(stem: Path) -> None:
    replace(f"{stem}_eeg.json", ('"FCz"', '"nose"'))


def a_reference_that_was_recorded(stem: Path) -> None:
    replace(f"{stem}_eeg.json", ('"FCz"', '"Fz"'))


def no_reference(stem: Path) -> None:
    replace(f"{stem}_eeg.json", ('"EEGReference"', '"EEGGround"'))


def no_codes(stem: Path) -> None:
    replace(f"{stem}_events.tsv", ("marker_code", "code"))


def a_mirrored_cap(stem: Path) -> None:
    table = stem.with_name("sub-01_ses-01_electrodes.tsv")
    head, *rows = (line.split("\t") for line in table.read_text(encoding="utf-8").splitlines())
    mirrored = [[name, x, str(-float(y)), *rest] for name, x, y, *rest in rows]
    table.write_text("\n".join("\t".join(row) for row in (head, *mirrored)), encoding="utf-8")


def no_samples(stem: Path) -> None:
    replace(f"{stem}_events.tsv", ("sample", "frame"))


def no_numbers(stem: Path) -> None:
    replace(f"{stem}_events.tsv", ("\t32419\t", "\tn/a\t"))


def no_header(stem: Path) -> None:
    Path(f"{stem}_eeg.vhdr").unlink()


def no_signals(stem: Path) -> None:
    Path(f"{stem}_eeg.eeg").unlink()


def nonsense(stem: Path) -> None:
    Path(f"{stem}_eeg.set").write_bytes(b"/annex/objects/MD5E-s1--0.set")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (without_ecg, "has no ECG"),
        (another_rate, "recorded at 5000 Hz by its header and at 1000 Hz by its sidecars"),
        (another_rate_in_the_sidecar, "at 250 Hz by its sidecars"),
        (other_channels, "have different channels, such as Fpz"),
        (names_of_nobody, "nothing says where E0, E1, .* is"),
        (another_reference, "nothing says where nose is"),
        (a_reference_that_was_recorded, "Fz is among the channels and cannot be their reference"),
        (no_reference, "say in the sidecar's EEGReference against which electrode it was recorded"),
        (no_codes, "_events.tsv has neither a column marker_code nor value"),
        (a_mirrored_cap, "mm from where their names say"),
        (no_samples, "_events.tsv has no column sample"),
        (no_numbers, "a sample is 'n/a', which is no number"),
        (no_header, "there is neither .*_eeg.set nor .*_eeg.vhdr"),
        (no_signals, "cannot be read, fetch it anew"),
        (nonsense, "cannot be read, fetch it anew"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_cannot_be_is_refused(copy: Path, broken: Callable[[Path], None], message: str) -> None:
    broken(copy)
    with pytest.raises(RecordingError, match=message):
        read_eeg(copy)

"""What comes once a hop, in files: every estimate in the table, and volumes that other programs read in place."""

from __future__ import annotations

import csv
from pathlib import Path

import mne
import nibabel
import numpy as np
import pytest
from bundles import write_small_fmri_bundle
from daemon import run
from disk import full_disk
from factories import CAP, eeg_like
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.affines import apply_affine

from cortexcast_models.bundle import Bundle, read_bundle
from cortexcast_server.inference import load
from cortexcast_server.offline import OutputError
from cortexcast_server.offline_courses import Courses, courses, write_table, write_volumes
from cortexcast_server.recording import Recording

RATE_HZ = 250.0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(write_small_fmri_bundle(tmp_path_factory.mktemp("bundle") / "small-fmri"))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recording") / "in_raw.fif"
    eeg = eeg_like(len(CAP), round(12 * RATE_HZ))
    eeg[:, round(5 * RATE_HZ) : round(7 * RATE_HZ)] = 0.0
    info = mne.create_info(list(CAP), RATE_HZ, "eeg", verbose="error")
    mne.io.RawArray(eeg, info, verbose="error").save(path, fmt="double", verbose="error")
    return path


@pytest.fixture(scope="module")
def estimated(file: Path, bundle: Bundle) -> Courses:
    return courses(Recording(file), bundle.manifest, load(bundle))


def read_table(path: Path) -> tuple[list[str], np.ndarray]:
    with path.open(newline="") as table:
        first, *rows = csv.reader(table, delimiter="\t")
    return first, np.array([[np.nan if value == "n/a" else float(value) for value in row] for row in rows])


def test_there_is_an_estimate_each_hop_and_none_without_signal(estimated: Courses, bundle: Bundle) -> None:
    step_s = 1 / bundle.manifest.estimate_hz
    np.testing.assert_allclose(np.diff(estimated.times), step_s, atol=1e-6)
    assert 0 <= estimated.times[0] <= step_s
    assert 12 - 2 * step_s <= estimated.times[-1] < 12
    known = np.asarray(np.isfinite(estimated.values).all(axis=1))
    assert not known[(estimated.times > 6.5) & (estimated.times < 6.9)].any()
    assert known[estimated.times < 5].all()
    assert any(note.startswith("no estimate for ") for note in estimated.notes)


def test_the_table_holds_them_all(estimated: Courses, tmp_path: Path) -> None:
    out = tmp_path / "out.tsv"
    write_table(out, estimated.times, ["a", "b", "c"], estimated.values)
    names, values = read_table(out)
    assert names == ["time", "a", "b", "c"]
    np.testing.assert_allclose(values[:, 0], estimated.times, atol=1e-3)
    np.testing.assert_allclose(values[:, 1:], estimated.values, rtol=1e-5)


@settings(max_examples=20)
@given(tr_s=st.floats(0.04, 5.0), n=st.integers(1, 60), ending=st.sampled_from([".nii", ".nii.gz"]))
def test_each_voxel_holds_the_mean_of_its_parcel(
    tr_s: float, n: int, ending: str, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = tmp_path_factory.mktemp("volumes") / f"out{ending}"
    times, rng = 0.04 * np.arange(n, dtype=np.float64), np.random.default_rng(n)
    values = rng.standard_normal((n, 3))
    values[rng.random(n) < 0.2] = np.nan
    n_volumes = write_volumes(out, Courses(times, values, None, ()), bundle, tr_s)
    image = nibabel.load(out)
    data, parcels = image.get_fdata(), nibabel.load(bundle.directory / "parcels.nii.gz")
    labels = np.asarray(parcels.dataobj)
    assert data.shape == (*labels.shape, n_volumes)
    assert n_volumes == int(np.floor(times[-1] / tr_s + 1e-6)) + 1
    np.testing.assert_allclose(image.affine, parcels.affine)
    assert image.header.get_zooms()[3] == pytest.approx(tr_s, rel=1e-5)
    assert image.header.get_xyzt_units() == ("mm", "sec")
    assert int(image.header["sform_code"]) == 4
    volume = np.floor(times / tr_s + 1e-6).astype(int)
    assert not data[labels == 0].any()
    for number in range(n_volumes):
        of_volume = values[(volume == number) & np.isfinite(values[:, 0])]
        expected = of_volume.mean(axis=0) if len(of_volume) else np.zeros(3)
        for label in (1, 2, 3):
            np.testing.assert_allclose(data[labels == label, number], expected[label - 1], atol=6e-4)


def test_a_full_disk_keeps_what_was_there(estimated: Courses, bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "out.nii"
    out.write_bytes(b"precious")
    with full_disk(), pytest.raises(OutputError, match=r"cannot write .*out\.nii: File too large"):
        write_volumes(out, estimated, bundle, 1.0)
    assert out.read_bytes() == b"precious"
    assert [path.name for path in tmp_path.iterdir()] == ["out.nii"]


def test_the_command_writes_volumes_and_tables(file: Path, bundle: Bundle, tmp_path: Path, estimated: Courses) -> None:
    out = tmp_path / "film.nii.gz"
    done = run("run", file, "--product", "fmri", "--model", bundle.directory, "--out", out, "--tr", "2")
    assert done.returncode == 0, done.stderr
    assert f"{out}: 6 volumes of 2 s" in done.stdout
    assert "note: no estimate for" in done.stdout
    image = nibabel.load(out)
    names, values = read_table(tmp_path / "film.tsv")
    np.testing.assert_allclose(values[:, 1:], estimated.values, rtol=1e-5)
    assert names[1:] == [channel.name for channel in bundle.manifest.channels]
    # Voxels lie where the manifest's channels do.
    labels = np.asarray(nibabel.load(bundle.directory / "parcels.nii.gz").dataobj)
    inside = np.argwhere(labels == 2)
    place = apply_affine(image.affine, inside).mean(axis=0) / 1000
    assert np.linalg.norm(place - bundle.manifest.channels[1].location) < 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--product", "meg"], "small-fmri is a model of fmri: ask for --product fmri, or name another"),
        (["--tr", "0.01"], "--tr 0.01: the model gives an estimate every 0.04 s"),
        (["--out", "film.fif"], "film.fif: name the output *.nii.gz or *.nii"),
        (["--out", "nowhere/film.nii"], "nowhere is not a folder: make it first"),
    ],
)
def test_what_cannot_be_written_is_one_line(file: Path, bundle: Bundle, arguments: list[str], message: str) -> None:
    done = run("run", file, "--model", bundle.directory, *arguments)
    assert done.returncode == 1
    assert done.stderr == f"cortexcast: {message}\n"


def test_a_table_that_is_there_is_kept(file: Path, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "film.tsv").write_text("precious")
    done = run("run", file, "--model", bundle.directory, "--out", tmp_path / "film.nii.gz")
    assert done.returncode == 1
    assert "film.tsv exists: choose another name, or add --overwrite" in done.stderr
    assert (tmp_path / "film.tsv").read_text() == "precious"

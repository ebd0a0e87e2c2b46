"""`cortexcast data prepare` and `correlate`: from a data set on disk to runs to train on, and to maps."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from unittest.mock import MagicMock, Mock

import mne
import nibabel
import numpy as np
import pytest
from mne.transforms import apply_trans
from simulated_bold import correlation

from cortexcast_client.command import main
from cortexcast_training.eegfmri import eegfmri_preprocessing
from cortexcast_training.eegfmri.eegfmri_files import RunFiles, find_runs
from cortexcast_training.eegfmri.eegfmri_preprocessing import (
    EegFmriSettings,
    is_done,
    preprocess_run,
    preprocessed_runs,
)
from cortexcast_training.eegfmri.film_cohort import FilmCohort, write_film_cohort
from cortexcast_training.eegfmri.parcels import parcels
from cortexcast_training.eegfmri.run_file import read_runs
from cortexcast_training.eegfmri.runs import HOP_S
from cortexcast_training.eegfmri.scan import ScanSettings
from cortexcast_training.eegfmri.simulator import ELECTRODES, REFERENCE, RunSettings
from cortexcast_training.eegfmri.volume_markers import VOLUME
from cortexcast_training.leadfield import electrode_positions, head_to_mri
from cortexcast_training.masking.effects import Units
from cortexcast_training.masking.explanation import masked_runs
from cortexcast_training.provenance import look, read_provenance

STEM = "sub-01_ses-01_task-film01_run-01"
FILM_S = 90.0
CONFIG = """\
[bold.normalisation]
voxel_mm = 6
affine_mm = 6
warp = false
[bold.nuisance]
motion = 0
longest_period_s = 90
"""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that can be used, and one whose ECG is missing from its table."""
    coarse = RunSettings(scan=ScanSettings(shape=(34, 42, 30), voxel_mm=(5.0, 5.0, 5.0)))
    folder = tmp_path_factory.mktemp("simulated") / "dataset"
    write_film_cohort(FilmCohort(film_s=FILM_S, recording=coarse), folder)
    for kind in ("eeg", "func"):
        for path in (folder / "sub-01" / "ses-01" / kind).glob(f"{STEM}*"):
            shutil.copy(path, path.with_name(path.name.replace("run-01", "run-02")))
    broken = folder / "sub-01" / "ses-01" / "eeg" / f"{STEM.replace('run-01', 'run-02')}_events.tsv"
    lines = broken.read_text().splitlines()
    volumes = [number for number, line in enumerate(lines) if "R128" in line]
    broken.write_text("\n".join(line for number, line in enumerate(lines) if number != volumes[4]) + "\n")
    return folder


@pytest.fixture(scope="module")
def preprocessed(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """And the exit code."""
    config = tmp_path_factory.mktemp("config") / "config.toml"
    config.write_text(CONFIG)
    out = tmp_path_factory.mktemp("preprocessed") / "out"
    return out, main(["data", "prepare", str(dataset), "--out", str(out), "--config", str(config)])


def run_of(dataset: Path) -> RunFiles:
    """The one that can be used."""
    (run,) = (run for run in find_runs(dataset) if run.stem == STEM)
    return run


def test_one_run_that_cannot_be_used_keeps_no_other_from_it(
    dataset: Path, preprocessed: tuple[Path, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, code = preprocessed
    assert code == 1
    assert [run.name for run in read_runs(out / "runs")] == ["sub-01_film01_ses-01_run-01"]
    # Again: what is there is kept, what is wrong is told again.
    (kept,) = (out / "runs").iterdir()
    before = kept.stat().st_mtime_ns
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    capsys.readouterr()
    assert main(["data", "prepare", str(dataset), "--out", str(out), "--config", str(config)]) == 1
    said = capsys.readouterr()
    assert kept.stat().st_mtime_ns == before
    assert "run-02: 1 R128 markers are missing, the first after sample" in said.err
    assert "1 of 2 runs" in said.out
    assert main(["data", "prepare", str(dataset), "--out", str(out)]) == 1
    assert "was prepared otherwise (bold.normalisation.voxel_mm was 6" in capsys.readouterr().err


def test_a_run_knows_its_files_and_is_made_anew_when_they_change(
    dataset: Path, preprocessed: tuple[Path, int], tmp_path: Path
) -> None:
    out, _ = preprocessed
    (path,) = out.rglob("*_provenance.json")
    known = read_provenance(path)
    assert known is not None
    names = {Path(each.file).name.removeprefix(f"{STEM}_") for each in known.inputs}
    read = {"eeg.vhdr", "eeg.eeg", "eeg.json", "channels.tsv", "events.tsv", "bold.nii.gz", "bold.json", "film01.npz"}
    assert read <= names
    assert all((dataset / each.file).is_file() for each in known.inputs)
    settings = EegFmriSettings.model_validate_json(json.dumps(known.settings))
    assert settings != EegFmriSettings()

    def is_there() -> bool:
        run = run_of(copy)
        return is_done(run, look(run.inputs(), run.folders), out)

    copy = shutil.copytree(dataset, tmp_path / "elsewhere", copy_function=shutil.copyfile)
    assert is_there()
    inherited = copy / "task-film01_bold.json"
    inherited.write_text("{}")
    assert not is_there()
    inherited.unlink()
    assert is_there()
    with run_of(copy).bold.open("r+b") as bold:
        bold.write(b"other")
    assert not is_there()


def test_what_was_made_of_a_file_that_is_now_damaged_is_gone(
    dataset: Path, preprocessed: tuple[Path, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, copy = tmp_path / "out", tmp_path / dataset.name
    shutil.copytree(preprocessed[0], out)
    shutil.copytree(dataset, copy, copy_function=os.link)
    bold = run_of(copy).bold
    content = bold.read_bytes()
    bold.unlink()
    bold.write_bytes(content[: len(content) // 2])
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    assert main(["data", "prepare", str(copy), "--out", str(out), "--config", str(config)]) == 1
    assert f"{STEM}: {bold} is damaged" in capsys.readouterr().err
    assert preprocessed_runs(out) == []
    assert list((out / "runs").iterdir()) == []


def test_what_was_killed_while_it_was_made_anew_is_no_run(
    dataset: Path, preprocessed: tuple[Path, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(preprocessed[0], out)
    files = run_of(dataset)
    sources = look(files.inputs(), files.folders)
    assert is_done(files, sources, out)
    for step in ("read_eeg", "read_bold", "read_anatomy", "clean_eeg", "preprocess_bold", "as_run", "_write_eeg"):
        monkeypatch.setattr(eegfmri_preprocessing, step, MagicMock())
    monkeypatch.setattr(eegfmri_preprocessing, "_write_bold", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        preprocess_run(files, sources, EegFmriSettings(), out)
    assert preprocessed_runs(out) == []
    assert not is_done(files, sources, out)


@pytest.mark.parametrize("name", ["", "derivatives"])
def test_a_folder_of_something_else_is_refused_and_left_alone(
    dataset: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """The data set itself is one."""
    before = sorted(dataset.rglob("*"))
    about = (dataset / "dataset_description.json").read_bytes()
    assert main(["data", "prepare", str(dataset), "--out", str(dataset / name)]) == 1
    assert "holds something else than EEG and fMRI, preprocessed: give another folder" in capsys.readouterr().err
    assert sorted(dataset.rglob("*")) == before
    assert (dataset / "dataset_description.json").read_bytes() == about


def test_what_is_of_the_other_kind_is_refused(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "prepare", str(dataset), "--out", str(tmp_path / "out"), "--proc", "sss"]) == 1
    assert "is of EEG and fMRI, for which there is no --proc" in capsys.readouterr().err
    assert main(["data", "prepare", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "holds no BOLD (sub-*/**/func/*_bold.nii.gz), and no MEG either" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_run_is_what_was_simulated(dataset: Path, preprocessed: tuple[Path, int]) -> None:
    (run,) = read_runs(preprocessed[0] / "runs")
    with np.load(next((dataset / "derivatives").rglob("*_parcels.npz"))) as truth:
        signal = truth["signal"]
    known = np.isfinite(run.bold).all(axis=1)
    assert known.mean() > 0.9
    assert np.median(correlation(run.bold[known], signal[known])) > 0.3
    assert run.simulated
    assert run.stimulus is not None
    assert len(run.stimulus.embedding) == len(run.hops) == signal.shape[1]
    assert run.tr_s == pytest.approx(2.1, abs=0.02)


def test_voxels_to_mask_are_those_that_parcels_were_made_of(preprocessed: tuple[Path, int]) -> None:
    masked = masked_runs(preprocessed[0], "voxel")
    (source,) = masked.sources
    units, bold = Units(source.parcel, source.share, source.courses), source.run.bold.T
    shown = units.in_parcels(units.courses, np.full_like(bold, np.nan))
    np.testing.assert_allclose(shown, bold, atol=2e-3)
    assert np.asarray(masked.image.dataobj).max() == len(source.units)


def test_events_and_movement_go_with_the_run(preprocessed: tuple[Path, int]) -> None:
    (run,) = read_runs(preprocessed[0] / "runs")
    raw = mne.io.read_raw_fif(next(preprocessed[0].rglob("*_desc-clean_eeg.fif")), verbose="error")
    of_task = [(onset, name) for onset, name in zip(raw.annotations.onset, raw.annotations.description, strict=True)]
    assert [name for _, name in run.events] == [name for _, name in of_task if name != VOLUME] != []
    np.testing.assert_array_equal(
        [hop for hop, _ in run.events], [int(onset / HOP_S) for onset, name in of_task if name != VOLUME]
    )
    assert run.displacement is not None
    assert run.displacement.shape == run.hops.shape


def test_everything_to_look_at_is_there(preprocessed: tuple[Path, int]) -> None:
    out = preprocessed[0]
    raw = mne.io.read_raw_fif(next(out.rglob("*_desc-clean_eeg.fif")), verbose="error")
    assert set(raw.copy().pick("eeg").ch_names) == {*ELECTRODES, REFERENCE}
    bold, mask = (nibabel.load(next(out.rglob(f"*_desc-{kind}.nii.gz"))) for kind in ("preproc_bold", "brain_mask"))
    assert bold.shape[:3] == mask.shape
    assert (out / "sub-01" / "figures" / f"{STEM}.html").stat().st_size > 100_000
    tables = {path.name.removeprefix(f"{STEM}_"): path for path in out.rglob("*.tsv")}
    assert tables.keys() == {"motion.tsv", "nuisance.tsv", "parcels.tsv"}
    for path in tables.values():
        assert len(path.read_text().splitlines()) == 1 + bold.shape[3]


def test_correlation_makes_maps_and_tables(
    preprocessed: tuple[Path, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, config = tmp_path / "maps", tmp_path / "config.toml"
    config.write_text("permutations = 50\n")
    assert main(["correlate", str(preprocessed[0]), "--out", str(out), "--config", str(config)]) == 0
    assert "at a false discovery rate of 0.05" in capsys.readouterr().out
    sources = nibabel.load(out / "sources_band-low-alpha_r.nii.gz")
    assert sources.shape[3] == len(ELECTRODES)
    r, q = (nibabel.load(out / f"voxels_band-low-alpha_{kind}.nii.gz") for kind in ("r", "q"))
    assert r.shape == (*q.shape, 4)
    assert 0 < np.abs(r.get_fdata()).max() < 1
    assert q.get_fdata().max() == 1
    with (out / "sources.tsv").open(newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    # What lies near an electrode goes with it more than what lies at the other end of the head.
    electrodes = {name: 1000 * apply_trans(head_to_mri(), place) for name, place in electrode_positions().items()}
    centres = dict(zip(parcels().names, parcels().centres, strict=True))
    away = [np.linalg.norm(electrodes[row["electrode"]] - centres[row["parcel"]]) for row in rows]
    assert np.corrcoef(away, [abs(float(row["r"])) for row in rows])[0, 1] < -0.2
    assert (out / "voxels.tsv").read_text().startswith("band\tcluster\tx\ty\tz\tparcel\tdelay_s\tr\tq\tsize_mm3")


def test_without_runs_there_is_nothing_to_correlate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["correlate", str(tmp_path), "--out", str(tmp_path / "maps")]) == 1
    assert "has no runs: preprocess some there first" in capsys.readouterr().err

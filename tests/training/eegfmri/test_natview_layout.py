"""`cortexcast simulate eegfmri` writes NATVIEW's layout; signals, markers and truth come back from disk."""

from __future__ import annotations

import json
from pathlib import Path

import mne
import nibabel
import numpy as np
import pytest

from cortexcast_client.command import main
from cortexcast_training.eegfmri.film_cohort import FilmCohort
from cortexcast_training.eegfmri.simulator import ECG, ELECTRODES, EOG, RATE_HZ
from cortexcast_training.eegfmri.stimulus import read_stimulus
from cortexcast_training.eegfmri.volume_markers import VOLUME, volume_begins
from cortexcast_training.simulated_dataset import TRUTH

STEM = "sub-01_ses-01_task-film01_run-01"
FILM_S = 30.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "set"
    assert main(["simulate", "eegfmri", str(out), "--duration", f"{FILM_S:g}", "--seed", "3"]) == 0
    return out


def raw_of(folder: Path) -> mne.io.BaseRaw:
    return mne.io.read_raw_brainvision(folder / "sub-01/ses-01/eeg" / f"{STEM}_eeg.vhdr", verbose="error")


def rows(path: Path) -> list[dict[str, str]]:
    columns, *lines = [line.split("\t") for line in path.read_text().splitlines()]
    return [dict(zip(columns, line, strict=True)) for line in lines]


def test_files_lie_where_natview_has_them(folder: Path, real_data: Path) -> None:
    """Every kind of file that NATVIEW has for a run, but for what a simulation has no use for."""
    real = (real_data / "bids/natview/tree.tsv").read_text().splitlines()
    named = {line.split("\t")[1].replace("task-dme", "task-film01") for line in real if "sub-01/ses-01" in line}
    ours = {str(path.relative_to(folder)) for path in (folder / "sub-01").rglob("*") if path.is_file()}
    assert ours - named == {f"sub-01/ses-01/eeg/{STEM}_eeg.eeg"}
    without = ("physio", "_eeg.set", "_events.json", "_channels.json", "_electrodes.json")
    of_run = {name for name in named if STEM in name and not any(each in name for each in without)}
    assert {name for name in of_run if "/eeg/" in name or "/func/" in name} <= ours
    assert "SIMULATED" in (folder / "README").read_text()


def test_the_eeg_is_as_it_was_simulated(folder: Path) -> None:
    raw = raw_of(folder)
    assert raw.ch_names == [*ELECTRODES, ECG, *EOG]
    assert raw.info["sfreq"] == RATE_HZ
    clean = np.load(folder / TRUTH / "sub-01" / f"{STEM}_clean.npy")
    assert raw.n_times == 20 * clean.shape[1]
    before = raw.get_data(stop=round(6 * RATE_HZ))[: len(ELECTRODES), ::20]
    # No gradients yet, but the pulse in the field, and half a microvolt of the file's resolution.
    assert np.abs(before - clean[:, : before.shape[1]]).max() < 500e-6
    assert np.corrcoef(before.ravel(), clean[:, : before.shape[1]].ravel())[0, 1] > 0.2
    assert np.abs(raw.get_data(start=round(7 * RATE_HZ), stop=round(8 * RATE_HZ))).max() > 2e-3


def test_markers_agree_in_both_files_and_fit_the_scan(folder: Path) -> None:
    eeg = folder / "sub-01/ses-01/eeg"
    by_table = [(int(row["sample"]) - 1, row["marker_code"]) for row in rows(eeg / f"{STEM}_events.tsv")]
    raw = raw_of(folder)
    by_file = [
        (round(each["onset"] * RATE_HZ), " ".join(each["description"].split("/")[1].split()))
        for each in raw.annotations
        if "/" in each["description"] and "New" not in each["description"]
    ]
    assert by_table == by_file
    image = nibabel.load(folder / "sub-01/ses-01/func" / f"{STEM}_bold.nii.gz")
    assert image.header.get_zooms()[3] == pytest.approx(2.1)
    volumes = np.array([sample for sample, code in by_table if code == VOLUME])
    begins = volume_begins(volumes, image.shape[3], 2.1, RATE_HZ, raw.n_times)
    assert begins[0] == 6.5 * RATE_HZ
    sidecar = json.loads((folder / "sub-01/ses-01/func" / f"{STEM}_bold.json").read_text())
    assert sidecar["RepetitionTime"] == 2.1
    assert len(sidecar["SliceTiming"]) == image.shape[2]
    assert len(rows(folder / TRUTH / "sub-01" / f"{STEM}_motion.tsv")) == image.shape[3]
    assert len(read_stimulus(folder / "stimuli/film01.npz").embedding) == image.shape[3]
    parcels = np.load(folder / TRUTH / "sub-01" / f"{STEM}_parcels.npz")
    assert parcels["signal"].shape == (300, image.shape[3])


def test_electrodes_lie_as_natview_has_them(folder: Path, real_data: Path) -> None:
    """The same frame: within the width of an electrode's neighbourhood."""
    table = "sub-01/ses-01/eeg/sub-01_ses-01_electrodes.tsv"

    def places(root: Path) -> dict[str, np.ndarray]:
        return {row["name"]: np.array([float(row[axis]) for axis in "xyz"]) for row in rows(root / table)}

    ours, real = places(folder), places(real_data / "bids/natview")
    assert set(ours) == set(ELECTRODES) <= set(real)
    angles = [np.degrees(np.arccos(ours[name] @ real[name] / np.linalg.norm(real[name]))) for name in ELECTRODES]
    assert np.median(angles) < 12


def test_the_truth_says_all_that_draws_it_again(folder: Path) -> None:
    truth = json.loads((folder / TRUTH / "sub-01" / f"{STEM}_truth.json").read_text())
    cohort = FilmCohort(seed=3, film_s=FILM_S)
    assert truth["recording_seed"] == cohort.run_seed(1, 1)
    assert truth["head_seed"] == cohort.subject_seed(1)
    for name in ("head", "networks", "recording"):
        assert truth[name] == json.loads(getattr(cohort, name).model_dump_json())


def test_it_takes_no_more_room_than_announced(folder: Path) -> None:
    used = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    assert 0.5 * FilmCohort(film_s=FILM_S).n_bytes < used <= FilmCohort(film_s=FILM_S).n_bytes


def test_subjects_and_films_have_seeds_of_their_own() -> None:
    cohort = FilmCohort(subjects=2, films=2)
    seeds = [cohort.run_seed(number, film) for number in (1, 2) for film in (1, 2)]
    assert len({*seeds, cohort.subject_seed(1), cohort.subject_seed(2)}) == 6
    first, second = cohort.draw_films()
    assert not np.array_equal(first.onsets, second.onsets)
    assert np.array_equal(FilmCohort(films=1, seed=8).draw_films()[0].onsets, first.onsets)
    assert not np.array_equal(FilmCohort(films=1, film_seed=8).draw_films()[0].onsets, first.onsets)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--films", "0"], "films: Input should be greater than or equal to 1"),
        (["--duration", "10"], "film_s: Input should be greater than or equal to 30"),
        (["--subjects", "1000000000"], "GB left: simulate fewer subjects or shorter recordings"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["simulate", "eegfmri", str(tmp_path / "set"), *arguments]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "set").exists()

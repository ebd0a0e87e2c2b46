"""The page of a run shows what is to be looked at, and needs no other file."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from cortexcast_training.eegfmri.bold_preprocessing import PreprocessedBold
from cortexcast_training.eegfmri.brain_template import template, template_brain
from cortexcast_training.eegfmri.eeg_cleaning import CleanEeg
from cortexcast_training.eegfmri.normalisation import Registration
from cortexcast_training.eegfmri.run_report import tsnr, write_report

MM, N_VOLUMES = 6, 20


@pytest.fixture(scope="module")
def run() -> PreprocessedBold:
    grid, brain = template(MM), template_brain(MM)
    rng = np.random.default_rng(0)
    values = np.where(brain[..., np.newaxis], 1000 + 10 * rng.standard_normal((*brain.shape, N_VOLUMES)), 0)
    parcels = rng.standard_normal((300, N_VOLUMES))
    parcels[:7] = np.nan
    displacement = np.full(N_VOLUMES, 0.1)
    displacement[5] = 0.9
    return PreprocessedBold(
        parcels=parcels,
        times=2.1 * np.arange(N_VOLUMES, dtype=np.float64),
        tr_s=2.1,
        motion=0.1 * rng.standard_normal((N_VOLUMES, 6)),
        displacement=displacement,
        nuisance=np.zeros((N_VOLUMES, 0)),
        volumes=Nifti1Image(values.astype(np.float32), grid.affine),
        brain=brain,
        registration=Registration(np.zeros((3, 1)), np.zeros((3, 1)), np.eye(4), np.eye(4), 3.2, 0.91),
        anatomy=grid,
    )


def test_the_page_has_all_its_parts_in_one_file(run: PreprocessedBold, cleaned: CleanEeg, tmp_path: Path) -> None:
    path = tmp_path / "sub-01_bold.html"
    write_report(path, "sub-01, film 1", run, cleaned)
    page = path.read_text(encoding="utf-8")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    for part in (
        "EEG",
        "Spectra",
        "Motion",
        "Carpet",
        "Registration of BOLD",
        "Registration of the anatomical scan",
        "tSNR",
    ):
        assert part in page
    assert page.count("data:image/") >= 6
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="(https?:)?//', page)
    assert "sub-01, film 1" in page
    assert f"{len(cleaned.heartbeats)} beats" in page
    assert "293 of 300" in page
    assert "above 0.5 mm in 1 volumes" in page
    assert "3.2 mm of warp" in page
    assert "overlap by 0.91" in page


def test_a_run_of_another_program_has_a_page_too(run: PreprocessedBold, cleaned: CleanEeg, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_report(path, "derivatives", replace(run, registration=None, anatomy=None), cleaned)
    page = path.read_text(encoding="utf-8")
    assert "fMRIPrep&#39;s" in page or "fMRIPrep's" in page
    assert "Registration of the anatomical scan" not in page


def test_tsnr_is_the_mean_over_the_standard_deviation(run: PreprocessedBold) -> None:
    values = tsnr(run)
    assert np.median(values[run.brain]) == pytest.approx(100, rel=0.1)
    assert not values[~run.brain].any()

"""Markers that fit the scan are taken as they are; all others are told apart by what is wrong with them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortexcast_training.eegfmri.volume_markers import VOLUME, MarkerError, volume_begins

RATE_HZ, TR_S = 5000.0, 2.1


def markers(n: int) -> np.ndarray:
    return 32_419 + 10_500 * np.arange(n)


def begins(of: np.ndarray, n_volumes: int, n_samples: int = 10**9, tr_s: float = TR_S) -> np.ndarray:
    return volume_begins(of, n_volumes, tr_s, RATE_HZ, n_samples)


@given(st.integers(1, 400), st.integers(0, 99))
def test_markers_that_fit_are_where_volumes_begin(n: int, seed: int) -> None:
    """A sample's jitter too."""
    jittered = markers(n) + np.random.default_rng(seed).integers(2, size=n)
    assert np.array_equal(begins(jittered, n), jittered)


@given(st.integers(3, 300), st.data())
def test_what_is_missing_is_found(n: int, data: st.DataObject) -> None:
    lost = data.draw(st.integers(1, n - 2))
    with pytest.raises(
        MarkerError, match=f"1 R128 markers are missing, the first after sample {markers(n)[lost - 1]} "
    ):
        begins(np.delete(markers(n), lost), n)


@given(st.integers(2, 300), st.data())
def test_what_is_doubled_is_found(n: int, data: st.DataObject) -> None:
    twice = data.draw(st.integers(0, n - 1))
    doubled = np.sort(np.append(markers(n), markers(n)[twice] + 20))
    with pytest.raises(MarkerError, match=f"1 R128 markers are doubled, the first at sample {markers(n)[twice] + 20} "):
        begins(doubled, n)


@pytest.mark.parametrize("n_volumes", [287, 289])
def test_another_number_of_volumes_is_told(n_volumes: int) -> None:
    with pytest.raises(MarkerError, match=f"there are 288 R128 markers and {n_volumes} volumes"):
        begins(markers(288), n_volumes)


def test_another_tr_is_told() -> None:
    with pytest.raises(
        MarkerError, match=r"10500 to 10500 samples apart and the TR of 2 s is 10000: the TR is another one"
    ):
        begins(markers(20), 20, tr_s=2.0)


def test_eeg_that_ends_too_soon_is_told() -> None:
    n_samples = int(markers(20)[-1]) + 10_500
    assert len(begins(markers(20), 20, n_samples)) == 20
    with pytest.raises(MarkerError, match=r"the EEG ends 1\.0 s before the scan does"):
        begins(markers(20), 20, n_samples - 5000)


def test_eeg_outside_the_scanner_is_told() -> None:
    with pytest.raises(MarkerError, match="there is no R128 marker"):
        begins(np.array([], np.int64), 20)


@pytest.mark.parametrize("run", ["dme_run-01", "dme_run-02", "monkey1_run-01", "monkey1_run-02", "checker"])
def test_natviews_own_markers_fit(real_data: Path, run: str) -> None:
    events = real_data / "bids/natview/sub-01/ses-01/eeg" / f"sub-01_ses-01_task-{run}_events.tsv"
    with events.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["marker_code"] == VOLUME]
    samples = np.array([int(row["sample"]) for row in rows])
    assert len(samples) > 50
    assert np.array_equal(begins(samples, len(samples)), samples)

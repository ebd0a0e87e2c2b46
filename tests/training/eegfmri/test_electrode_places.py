"""Electrodes are where their names say, or where a file of directions has them, from wherever those are seen."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cortexcast_training.eegfmri.electrode_places import PlaceError, digitised, places_by_direction
from cortexcast_training.eegfmri.simulator import ELECTRODES
from cortexcast_training.leadfield import electrode_positions

STANDARD = electrode_positions()
NAMED = np.array([STANDARD[name] for name in ELECTRODES])


def directions(places: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(ELECTRODES, places / np.linalg.norm(places, axis=1, keepdims=True), strict=True))


@given(st.lists(st.floats(-0.03, 0.03), min_size=3, max_size=3), st.integers(0, 99))
def test_from_wherever_and_however_turned_directions_lead_back_to_the_places(origin: list[float], seed: int) -> None:
    seen = Rotation.random(rng=seed).apply(NAMED - origin)
    found = places_by_direction(directions(seen))
    np.testing.assert_allclose([found[name] for name in ELECTRODES], NAMED, atol=1e-4)


def test_a_cap_that_slipped_is_where_it_slipped_to() -> None:
    """But for what is alike for all electrodes, which no file of directions tells."""
    slipped = NAMED + 0.004 * np.random.default_rng(0).standard_normal(NAMED.shape)
    found = np.array(list(places_by_direction(directions(slipped)).values()))
    across = slipped - NAMED - ((slipped - NAMED) * NAMED).sum(1, keepdims=True) * NAMED / (NAMED**2).sum(1)[:, None]
    assert np.corrcoef((found - NAMED).ravel(), across.ravel())[0, 1] > 0.9


def test_natviews_own_lie_near_their_names(real_data: Path) -> None:
    table = real_data / "bids/natview/sub-01/ses-01/eeg/sub-01_ses-01_electrodes.tsv"
    with table.open(encoding="utf-8") as file:
        rows = {row["name"]: row for row in csv.DictReader(file, delimiter="\t")}
    found = places_by_direction({name: np.array([float(rows[name][axis]) for axis in "xyz"]) for name in ELECTRODES})
    away = np.linalg.norm([found[name] - STANDARD[name] for name in ELECTRODES], axis=1)
    assert np.median(away) < 0.005
    assert away.max() < 0.01


@pytest.mark.parametrize("wrong", [NAMED * [1, -1, 1], NAMED[::-1]], ids=["mirrored", "another order"])
def test_directions_that_cannot_be_are_an_error(wrong: np.ndarray) -> None:
    with pytest.raises(PlaceError, match="mm from where their names say"):
        places_by_direction(directions(wrong))


def test_names_that_nobody_knows_are_an_error() -> None:
    with pytest.raises(PlaceError, match="0 electrodes have a name"):
        places_by_direction({f"E{number}": place for number, place in enumerate(NAMED)})


def test_a_montage_has_the_places_in_the_head_frame() -> None:
    positions = digitised({name: STANDARD[name] for name in ELECTRODES}).get_positions()
    assert positions["coord_frame"] == "head"
    np.testing.assert_allclose(list(positions["ch_pos"].values()), NAMED)
    assert positions["nasion"][0] == pytest.approx(0, abs=1e-9)
    assert positions["lpa"][0] < 0 < positions["rpa"][0]

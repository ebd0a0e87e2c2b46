"""A recipe's claim on a folder: what lies there is of its data, as they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from cortexcast_training.recipe import BundleSettings, DataError, Recipe, RecordedData

RECIPE = Recipe(
    recordings=RecordedData(folder="prepared", validation=("sub-02",)),
    bundle=BundleSettings(name="any", description="any"),
)
MADE_OF = {"sub-01_run-01": ["a", "b"], "sub-02_run-01": ["c"]}


def test_the_same_data_are_claimed_again(tmp_path: Path) -> None:
    RECIPE.claim(tmp_path / "windows", "prepare", recorded=MADE_OF)
    (claimed,) = (tmp_path / "windows").iterdir()
    before = claimed.read_bytes()
    RECIPE.claim(tmp_path / "windows", "prepare", recorded=dict(reversed(MADE_OF.items())))
    assert claimed.read_bytes() == before


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (MADE_OF | {"sub-02_run-01": ["d"]}, "sub-02_run-01: "),
        (MADE_OF | {"sub-03_run-01": ["d"]}, "sub-03_run-01: "),
        ({"sub-01_run-02": ["a"]}, "sub-01_run-01, sub-01_run-02, sub-02_run-01: "),
    ],
    ids=["changed", "came", "went"],
)
def test_recordings_that_are_others_now_are_told(tmp_path: Path, now: dict[str, list[str]], told: str) -> None:
    RECIPE.claim(tmp_path, "prepare", recorded=MADE_OF)
    with pytest.raises(DataError, match=rf"of other data than the recipe's: .* \({told}came, went or changed since\)"):
        RECIPE.claim(tmp_path, "prepare", recorded=now)


def test_other_settings_are_told(tmp_path: Path) -> None:
    RECIPE.claim(tmp_path, "prepare", recorded=MADE_OF)
    other = RECIPE.model_copy(update={"prepare": RECIPE.prepare.model_copy(update={"hop": 4})})
    with pytest.raises(DataError, match=r"or another folder$"):
        other.claim(tmp_path, "prepare", recorded=MADE_OF)

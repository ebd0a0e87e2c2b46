"""What stands on the command line stands in place of the recipe's, and is said again as it was given."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from cortexcast_training.recipe import Recipe
from cortexcast_training.recipe_arguments import add_recipe, as_given, read_recipe
from cortexcast_training.toml_file import SettingsError

FILE = '[simulation]\ntrain = 4\nvalidation = 2\n\n[bundle]\nname = "made-up"\ndescription = "nothing"\n'


def arguments(folder: Path, *given: str) -> argparse.Namespace:
    path = folder / "recipe.toml"
    path.write_text(FILE)
    parser = argparse.ArgumentParser()
    add_recipe(parser, "the recipe")
    return parser.parse_args(["--config", str(path), *given])


def read(folder: Path, *given: str) -> Recipe:
    return read_recipe(arguments(folder, *given), Recipe)


def test_without_any_the_recipe_is_the_files(tmp_path: Path) -> None:
    recipe = read(tmp_path)
    assert recipe.simulation is not None
    assert recipe.simulation.train == 4


def test_each_stands_in_its_place_and_the_rest_stays(tmp_path: Path) -> None:
    given = ["simulation.train=8", "fit.n_windows=140_000", "fit.montages={70 = 1.0}", "bundle.name=other"]
    recipe = read(tmp_path, "--set", *given)
    assert recipe.simulation is not None
    assert (recipe.simulation.train, recipe.simulation.validation) == (8, 2)
    assert recipe.fit.n_windows == 140_000
    assert recipe.fit.montages == {"70": 1.0}
    assert (recipe.bundle.name, recipe.bundle.description) == ("other", "nothing")


def test_of_the_preprocessing_one_thing_alone_can_be_said(tmp_path: Path) -> None:
    usual = read(tmp_path).prepare.preprocessing
    assert usual.absent == "interpolated"
    other = read(tmp_path, "--set", "prepare.preprocessing.absent=zero").prepare.preprocessing
    assert other == usual.model_copy(update={"absent": "zero"})


def test_the_command_is_said_as_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    assert as_given(arguments(tmp_path)) == f"--config {path}"
    given = as_given(arguments(tmp_path, "--set", "simulation.train=8", "net.width=64"))
    assert given == f"--config {path} --set simulation.train=8 net.width=64"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("fit.n_windows", "'fit.n_windows' is not KEY=VALUE"),
        ("=3", "'=3' is not KEY=VALUE"),
        ("fit.=3", "'fit.=3' is not KEY=VALUE"),
        ("fit.n_windows=", "is not KEY=VALUE"),
        ("fit.windows=3", "fit.windows: Extra inputs are not permitted"),
        ("fit.n_windows=many", "fit.n_windows: Input should be a valid integer"),
        ("simulation.train.heads=3", "simulation.train must be a table"),
    ],
)
def test_what_cannot_stand_there_is_one_line(tmp_path: Path, given: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as refused:
        read(tmp_path, "--set", given)
    assert "\n" not in str(refused.value)

"""`cortexcast train meg`: from a recipe to a bundle that the server loads; what is wrong is one line."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from daemon import run
from nets import SMALL_NET

from cortexcast_client.command import main
from cortexcast_models.bundle import read_bundle
from cortexcast_server.inference import load
from cortexcast_training.fit import CHECKPOINT, LOG
from cortexcast_training.recipe import Recipe
from cortexcast_training.toml_file import SettingsError, read_toml
from cortexcast_training.train_meg import ANALYSED

RECIPE = f"""\
[simulation]
train = 1
validation = 1

[simulation.recording]
duration_s = 12

{SMALL_NET}
[fit]
n_windows = 160
batch = 16
warmup_steps = 2
validate_every = 5
validation_windows = 32
threads = 1

[bundle]
name = "tiny"
description = "306-channel MEG by a tiny net"
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def trained(recipe: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    out = recipe.with_name("out")
    return out, run("train", "meg", "--config", recipe, "--out", out, timeout_s=110)


def plain(text: str) -> str:
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|[━╸╺]+", "", text).split())


def log(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / LOG).read_text().splitlines()]


def test_from_simulation_to_a_bundle(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, done = trained
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    said = plain(done.stdout)
    for part in ("recordings 2/2", "covariances 1/1", "windows/s 10/10", "10 steps in"):
        assert part in said
    bundle = read_bundle(out / "bundle")
    load(bundle)
    assert bundle.digest in said
    manifest = bundle.manifest
    assert (manifest.name, manifest.trained_on, manifest.window) == ("tiny", "simulated", 48)
    assert manifest.training is not None
    assert manifest.training.train_subjects == ("sub-01",)
    assert not set(manifest.training.train_subjects) & set(manifest.training.held_out_subjects)
    assert [entry["step"] for entry in log(out)] == [0, 5, 10]


def test_again_it_goes_on_from_where_it_was(
    recipe: Path, trained: tuple[Path, subprocess.CompletedProcess[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is simulated or trained anew, and the bundle is the same to the bit."""
    out, _ = trained
    digest = read_bundle(out / "bundle").digest
    files = [out / CHECKPOINT, *sorted((out / "windows").rglob("*.npy"))]
    before = [path.stat().st_mtime_ns for path in files]
    assert main(["train", "meg", "--config", str(recipe), "--out", str(out)]) == 0
    assert [path.stat().st_mtime_ns for path in files] == before
    assert [entry["step"] for entry in log(out)] == [0, 5, 10]
    assert read_bundle(out / "bundle").digest == digest
    assert capsys.readouterr().err == ""


def test_two_processes_make_one_bundle(
    recipe: Path, trained: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Under torchrun, from the analysed windows to the bundle; one of them speaks."""
    shutil.copytree(trained[0] / "windows", tmp_path / "out" / "windows")
    shutil.copy(trained[0] / ANALYSED, tmp_path / "out")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    arguments = ["-m", "cortexcast_client", "train", "meg", "--config", str(recipe), "--out", str(tmp_path / "out")]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert plain(done.stdout).count("10 steps in") == 1
    load(read_bundle(tmp_path / "out" / "bundle"))
    assert [entry["step"] for entry in log(tmp_path / "out")] == [0, 5, 10]


def test_a_folder_with_windows_of_other_data_is_refused(
    recipe: Path,
    trained: tuple[Path, subprocess.CompletedProcess[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(RECIPE.replace("[simulation]\n", "[simulation]\nseed = 3\n"))
    assert main(["train", "meg", "--config", str(other), "--out", str(trained[0])]) == 1
    said = capsys.readouterr().err
    assert "windows is of other data than the recipe's: give the recipe that made it, or another folder" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[net]", "[net]\nlayers = 3"), "net.layers: Extra inputs are not permitted"),
        (("train = 1", "train = 0"), "simulation.train: Input should be greater than 0"),
        (("[fit]", '[fit]\nmontages = { "33" = 1.0 }'), "fit.montages.33"),
        (("[fit]", "[fit]\nmontages = {}"), "fit.montages: Dictionary should have at least 1 item"),
        (("width = 16", "width = 15"), "net.width 15 is not a multiple of net.n_heads 2"),
        (("n_tokens = 6", "n_tokens = 5"), "net.wiener_back_s reads 20 samples back, of which 5 tokens of 8 hold 16"),
        (("n_components = 8", "n_components = 307"), "net.n_components: Input should be less than or equal to 306"),
        (("[bundle]", '[recordings]\nfolder = "x"\nvalidation = ["sub-01"]\n[bundle]'), "give either [simulation] or"),
        (('name = "tiny"\n', ""), "bundle.name: Field required"),
    ],
)
def test_a_wrong_recipe_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], message: str
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(RECIPE.replace(*change))
    assert main(["train", "meg", "--config", str(path), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_without_recordings_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = RECIPE.index("[net]")
    path = tmp_path / "recorded.toml"
    path.write_text(f'[recordings]\nfolder = "{tmp_path}"\nvalidation = ["sub-01"]\n{RECIPE[start:]}')
    assert main(["train", "meg", "--config", str(path), "--out", str(tmp_path / "out")]) == 1
    assert "holds no prepared recordings: 'cortexcast data prepare' makes them" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["meg-transformer", "quick"])
def test_every_recipe_of_ours_is_valid(name: str) -> None:
    read_toml(Path(__file__).parents[2] / "training" / "recipes" / f"{name}.toml", Recipe, {})


def test_a_name_that_no_bundle_can_have_is_told_before_training(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.replace('"tiny"', '"Not A Name"'))
    with pytest.raises(SettingsError, match=r"bundle\.name: String should match pattern"):
        read_toml(path, Recipe, {})

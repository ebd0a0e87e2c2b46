"""`cortexcast train` and `evaluate` of fMRI and stimulus: from runs to a bundle that the server loads, and its card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from film_runs import N_LABELS, film_run

from cortexcast_client.command import main
from cortexcast_models.bundle import read_bundle
from cortexcast_server.inference import load
from cortexcast_training.eegfmri.fmri_recipe import FmriRecipe
from cortexcast_training.eegfmri.fmri_results import FmriResults
from cortexcast_training.eegfmri.run_file import write_run
from cortexcast_training.eegfmri.stimulus import Stimulus
from cortexcast_training.toml_file import read_toml

RECIPE = """\
[recordings]
folder = "{folder}"
validation = ["sub-07", "sub-08"]
held_out = ["sub-11", "sub-12", "sub-13"]
held_out_films = ["film09"]

[net]
n_filters = 8
latent = 8

[fit]
n_moments = 6_000
learning_rate = 0.01

[bundle]
name = "made-up"
description = "an autoencoder of what is made up"
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for number in range(1, 9):
        write_run(folder, film_run(f"sub-{number:02d}", number % 3, number))
    for number in (11, 12, 13):
        for film in (1, 9):
            write_run(folder, film_run(f"sub-{number}", film, number))
    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    path.write_text(RECIPE.format(folder=folder))
    return path


def command(verb: str, kind: str, recipe: Path) -> list[str]:
    return [verb, kind, "--config", str(recipe), "--out", str(recipe.with_name(kind))]


@pytest.fixture(scope="module", params=["fmri", "stimulus"])
def kind(request: pytest.FixtureRequest, recipe: Path) -> str:
    """Trained."""
    assert main(command("train", request.param, recipe)) == 0
    return str(request.param)


def test_from_runs_to_a_bundle_that_the_server_loads(recipe: Path, kind: str) -> None:
    bundle = read_bundle(recipe.with_name(kind) / "bundle")
    load(bundle)
    manifest = bundle.manifest
    assert (manifest.product, manifest.trained_on, manifest.estimate_hz) == (kind, "simulated", 4.0)
    assert manifest.training is not None
    assert manifest.training.train_subjects == tuple(f"sub-0{number}" for number in range(1, 7))
    assert manifest.training.held_out_subjects == ("sub-07", "sub-08")
    types = [channel.type for channel in manifest.channels]
    if kind == "stimulus":
        assert types == ["embedding"] * 4 + ["label"] * N_LABELS
        assert manifest.lookahead / manifest.rate_hz == 5.25
    else:
        assert types == ["bold"] * 300


def test_the_card_says_what_was_found(recipe: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = recipe.with_name(kind)
    assert main(command("evaluate", kind, recipe)) == 0
    said = capsys.readouterr().out
    results = FmriResults.model_validate_json((folder / "evaluation.json").read_text())
    assert results.subjects == ("sub-11", "sub-12", "sub-13")
    assert results.films == ("film09",)
    assert results.unseen_films
    r = {name: method.metrics["r"].value for name, method in results.methods.items()}
    assert r["model"] > 0.3
    assert abs(r["model, EEG of another time"]) < 0.15
    assert r["zero"] == 0
    assert 0.8 < results.intervals["0.9"].value <= 1
    if kind == "fmri":
        assert r["model"] < r["ceiling"]
        assert r["alpha power"] < r["model"]
        assert results.ceiling_share is not None
        assert results.ceiling_share.value == pytest.approx(r["model"] / r["ceiling"])
        assert np.mean([output.significant for output in results.outputs]) > 0.5
    else:
        metrics = results.methods["model"].metrics
        assert metrics["two-way identification"].value > 0.6
        assert metrics["top 1"].value > 1.5 / N_LABELS
        assert metrics["top 3"].value > metrics["top 1"].value
    for part in ("**Simulated.**", "lagged ridge", f"{r['model']:.3f}", f"evaluate {kind} --config"):
        assert part in said
    bundle = read_bundle(folder / "bundle")
    load(bundle)
    assert {"card.md", "outputs.tsv", "methods.png", "traces.png", "intervals.png"} <= bundle.manifest.files.keys()
    assert any(metric.value == pytest.approx(r["model"]) for metric in bundle.manifest.metrics)
    table = (folder / "card" / "outputs.tsv").read_text().splitlines()
    assert len(table) == 1 + len(results.outputs)


def test_of_recorded_subjects_none_is_simulated(recipe: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command("evaluate", kind, recipe), "--films", "3"]) == 1
    assert "--films: the recipe holds recorded subjects out, nobody is simulated" in capsys.readouterr().err


def test_a_model_of_one_product_is_not_evaluated_as_another(
    recipe: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {"fmri": "stimulus", "stimulus": "fmri"}[kind]
    given = ["evaluate", other, "--config", str(recipe), "--out", str(recipe.with_name(kind))]
    assert main(given) == 1
    assert f"holds a model of {kind}: evaluate it as such" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"sub-07", "sub-08"', '"sub-70"'), "has no sub-70: its subjects are sub-01, "),
        (("film09", "film90"), "has no film90: its films are film00, "),
        (('"sub-11", ', '"sub-07", '), "sub-07 cannot both choose the net and judge it"),
        (("[net]", "[simulation]\ntrain = 1\nvalidation = 1\n[net]"), "give either [simulation] or [recordings]"),
        (("latent = 8", "latent = 1"), "net.latent: Input should be greater than or equal to 2"),
        (("learning_rate = 0.01", "learning_rate = 1e30"), "take a smaller learning_rate"),
        (("learning_rate = 0.01", "elbo = { beta = 50000.0, free_nats = 0.0 }"), "the latent has collapsed"),
    ],
)
def test_what_cannot_be_trained_is_one_line(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], message: str
) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(recipe.read_text().replace(*change).replace("6_000", "4_000"))
    assert main(["train", "fmri", "--config", str(path), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out" / "bundle").exists()


def test_without_a_stimulus_there_is_no_model_of_it(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2, 3):
        run = film_run(f"sub-{number}", 1, number, seconds=120.0)
        write_run(tmp_path / "runs", replace(run, stimulus=None))
    path = tmp_path / "recipe.toml"
    rest = RECIPE[RECIPE.index("[net]") :]
    path.write_text(f'[recordings]\nfolder = "{tmp_path / "runs"}"\nvalidation = ["sub-3"]\n{rest}')
    assert main(["train", "stimulus", "--config", str(path), "--out", str(tmp_path / "out")]) == 1
    assert "of 2 runs (sub-1, sub-2) nothing is known of what was seen" in capsys.readouterr().err


def coarser(stimulus: Stimulus) -> Stimulus:
    return replace(stimulus, embedding=stimulus.embedding[:, 1:], places=stimulus.places[:, 1:])


def duller(stimulus: Stimulus) -> Stimulus:
    return replace(stimulus, embedding=np.where(np.arange(stimulus.embedding.shape[1]) == 1, 2.0, stimulus.embedding))


@pytest.mark.parametrize(
    ("changed", "of", "message"),
    [
        (coarser, {3}, "has other dimensions or labels"),
        (duller, {1, 2, 3}, "dimension 2 of what was seen is the same in all films trained on"),
    ],
)
def test_films_that_cannot_be_learned_from_together_are_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changed: Callable[[Stimulus], Stimulus],
    of: set[int],
    message: str,
) -> None:
    """Of whomever they are: sub-3 is the one to validate by."""
    for number in (1, 2, 3):
        run = film_run(f"sub-{number}", 1, number, seconds=120.0)
        assert run.stimulus is not None
        write_run(tmp_path / "runs", replace(run, stimulus=changed(run.stimulus)) if number in of else run)
    path = tmp_path / "recipe.toml"
    rest = RECIPE[RECIPE.index("[net]") :]
    path.write_text(f'[recordings]\nfolder = "{tmp_path / "runs"}"\nvalidation = ["sub-3"]\n{rest}')
    assert main(["train", "stimulus", "--config", str(path), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


RECIPES = Path(__file__).parents[3] / "training" / "recipes"


@pytest.mark.parametrize("name", ["fmri-vae", "stimulus-vae", "quick-fmri"])
def test_every_recipe_of_ours_is_valid(name: str) -> None:
    read_toml(RECIPES / f"{name}.toml", FmriRecipe, {})


def test_the_stimulus_is_learnt_from_the_runs_that_bold_is_learnt_from() -> None:
    fmri, stimulus = (read_toml(RECIPES / f"{name}.toml", FmriRecipe, {}) for name in ("fmri-vae", "stimulus-vae"))
    assert fmri.simulation == stimulus.simulation

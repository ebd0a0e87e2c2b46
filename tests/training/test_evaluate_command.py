"""`cortexcast evaluate meg`: from a run to results, a card, and both in the bundle; what is wrong is one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nets import net_shape, shown_heads, untrained
from prepared import hidden_state_recording
from training.test_prepare import SETTINGS, make_recording

from cortexcast_client.command import main
from cortexcast_models.bundle import read_bundle
from cortexcast_server.inference import load
from cortexcast_training import benchmark, evaluate_meg
from cortexcast_training.baselines import population
from cortexcast_training.benchmark import BenchmarkSettings, Candidate, recorded_benchmark
from cortexcast_training.bundle_card import CARDS, RESULTS
from cortexcast_training.evaluate import MODEL
from cortexcast_training.evaluate_meg import check_unseen
from cortexcast_training.fit import LOG
from cortexcast_training.held_out import BAYES, NO_SHIFT, SMALL_HEADS
from cortexcast_training.novelty import Novelty
from cortexcast_training.prepare import prepare
from cortexcast_training.recipe import Recipe, SimulatedData
from cortexcast_training.results import Effort, ResultsError, read_results
from cortexcast_training.streamed import StreamedModel
from cortexcast_training.toml_file import read_toml
from cortexcast_training.train_meg import BUNDLE, TRAIN, VALIDATION, WINDOWS, about, claim
from cortexcast_training.trained import Trained, export_trained, load_trained, save_trained
from cortexcast_training.transformer_bundle import Hop
from cortexcast_training.windows import read_all, write_prepared

RECIPE = """\
[simulation]
train = 1
validation = 1

[bundle]
name = "made-up"
description = "a net that nothing was trained on"
"""
SHAPE = net_shape(n_sensors=306, lookahead=2, n_components=8)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def run(recipe: Path) -> Path:
    """What training leaves, without training, of recordings that are made up."""
    folder = recipe.with_name("run")
    train, validation = (hidden_state_recording(100, seed, n_sensors=306) for seed in (0, 1))
    settings = read_toml(recipe, Recipe, {})
    claim(folder / WINDOWS, settings)
    write_prepared(folder / TRAIN, train)
    write_prepared(folder / VALIDATION, validation)
    net, units, _ = untrained([train], SHAPE)
    golden = np.ascontiguousarray(train.eeg[: SHAPE.n_tokens * SHAPE.token].T)
    novelty = Novelty(SHAPE, 2)
    novelty.mean.fill_(0.1)
    trained = Trained(Hop(net, novelty, units), ("sub-00",), ("sub-01",), golden, simulated=True)
    save_trained(folder, trained)
    export_trained(folder / BUNDLE, trained, settings.prepare.preprocessing, about(settings, trained))
    (folder / LOG).write_text(json.dumps({"step": 5, "windows_per_s": 7.0}) + "\n")
    return folder


@pytest.fixture(scope="module")
def on_more_heads(run: Path) -> Path:
    folder = run.with_name("more")
    trained = load_trained(run)
    folder.mkdir()
    save_trained(folder, replace(trained, train_subjects=("sub-00", "sub-02")))
    shutil.copytree(run / BUNDLE, folder / BUNDLE)
    return folder


def evaluate(recipe: Path, run: Path, *arguments: str) -> int:
    return main(["evaluate", "meg", "--config", str(recipe), "--out", str(run), *arguments])


def unshifted(data: SimulatedData) -> dict[str, SimulatedData]:
    return {SMALL_HEADS: data}


@pytest.mark.timeout(300)  # a head is simulated
def test_from_a_run_to_results_a_card_and_the_bundle(
    recipe: Path,
    run: Path,
    on_more_heads: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(benchmark, "shifts", unshifted)
    monkeypatch.setattr(evaluate_meg, "draw_shown", lambda **_: shown_heads(SHAPE))
    before = read_bundle(run / BUNDLE)
    sizes = ["--subjects", "1", "--duration", "24", "--shift-subjects", "1", "--shift-duration", "24"]
    sizes += ["--calibration", "10"]
    assert evaluate(recipe, run, *sizes, "--also", str(on_more_heads)) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "evaluated on SIMULATED data" in said.out
    results = read_results(run / RESULTS)
    assert (results.data, results.subjects) == ("simulated", ("sub-2000001",))
    assert results.command.endswith(" ".join(["--out", str(run), *sizes, "--also", str(on_more_heads)]))
    assert results.effort == Effort(parameters=results.effort.parameters, heads=1, windows_per_s=7.0)
    assert results.effort.parameters > 1000
    assert results.methods[MODEL].explained.keys() == results.methods[BAYES].explained.keys()
    assert results.shifts[SMALL_HEADS] == results.shifts[NO_SHIFT], "the same subject, the same recording"
    curves = results.own_recordings
    assert curves.keys() == {NO_SHIFT, SMALL_HEADS}
    assert curves[NO_SHIFT] == curves[SMALL_HEADS]
    (point,) = curves[NO_SHIFT]
    assert (point.seconds, point.model) == (10.0, results.methods[MODEL].metrics["explained"])
    assert point.gap_closed is not None
    assert [(point.of, point.amount) for point in results.learning] == [("heads", 1), ("heads", 2)]
    assert results.learning[0].explained == results.learning[1].explained

    bundle = read_bundle(run / BUNDLE)
    load(bundle)
    card = {path.name: path.read_bytes() for path in (run / CARDS).iterdir()}
    assert bundle.manifest.files.keys() == before.manifest.files.keys() | card.keys()
    assert bundle.manifest.files[bundle.manifest.model_file] == results.graph_sha256
    for name, content in card.items():
        assert (bundle.directory / name).read_bytes() == content
    (explained, *_) = bundle.manifest.metrics
    assert explained.value == results.methods[MODEL].metrics["explained"].value
    assert explained.n == 1
    assert bundle.manifest.model_copy(update={"files": {}, "metrics": ()}) == before.manifest.model_copy(
        update={"files": {}}
    )


def without_bundle(run: Path) -> None:
    shutil.rmtree(run / BUNDLE)


def of_other_data(run: Path) -> None:
    (run / WINDOWS / "data.json").write_text("{}\n")


def without_model(run: Path) -> None:
    (run / "trained.pt").unlink()


def without_windows(run: Path) -> None:
    shutil.rmtree(run / TRAIN)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_bundle, "no bundle"),
        (of_other_data, "is of other data than the recipe's"),
        (without_model, "trained.pt"),
        (without_windows, "holds no prepared recordings"),
    ],
)
def test_a_run_that_is_not_complete_is_one_line(
    recipe: Path,
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
    message: str,
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns(RESULTS))
    spoil(copy)
    assert evaluate(recipe, copy) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (copy / RESULTS).exists()


def test_a_learning_curve_of_runs_that_are_alike_is_refused(
    recipe: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(recipe, run, "--also", str(run)) == 1
    said = capsys.readouterr().err
    assert "a learning curve takes runs that differ in one of them" in said
    assert said.count("\n") == 1


def test_a_run_that_knows_whom_it_would_be_judged_on_is_refused(run: Path, on_more_heads: Path) -> None:
    check_unseen({"sub-01", "sub-07"}, [])
    check_unseen({"sub-07"}, [run, on_more_heads])
    with pytest.raises(ResultsError, match=r"more was trained or validated with sub-02, whom the recipe holds out"):
        check_unseen({"sub-02", "sub-07"}, [run, on_more_heads])


@pytest.mark.parametrize("argument", ["--subjects", "--duration", "--calibration"])
def test_a_number_that_cannot_be_is_one_line(
    recipe: Path, run: Path, capsys: pytest.CaptureFixture[str], argument: str
) -> None:
    assert evaluate(recipe, run, argument, "0") == 1
    said = capsys.readouterr().err
    assert argument.strip("-") in said
    assert said.count("\n") == 1


def test_recorded_subjects_are_judged_by_what_was_recorded_each_once(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")  # what is judged goes to processes and comes back
    trained = load_trained(run)
    candidate = Candidate(StreamedModel(read_bundle(run / BUNDLE)), Effort(parameters=1, heads=1))
    results = recorded_benchmark(
        candidate,
        population(read_all(run / TRAIN), read_all(run / VALIDATION), trained.units),
        [
            write_prepared(tmp_path, prepare(make_recording(16.0, seed=seed, subject=subject, run=run_name), SETTINGS))
            for seed, (subject, run_name) in enumerate([("sub-b", "run-01"), ("sub-a", "run-01"), ("sub-a", "run-02")])
        ],
        BenchmarkSettings(electrodes=(8,)),
        "the test",
        {},
    )
    assert (results.data, results.subjects) == ("recorded", ("sub-a", "sub-b"))
    assert results.methods[MODEL].metrics["explained"].n == 2
    assert results.methods[MODEL].gap_closed is None
    assert BAYES not in results.methods
    assert [headset.electrodes for headset in results.headsets] == [8]
    assert not results.shifts

"""From a folder of `cortexcast train fmri` or `stimulus` to the evaluation of its model and its card, in its bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from cortexcast_models.bundle import Bundle, read_bundle
from cortexcast_models.manifest import Metric
from cortexcast_training.bundle_card import CARDS, RESULTS, put_card, write_card
from cortexcast_training.eegfmri.fmri_benchmark import FmriBenchmarkSettings, Say, benchmark
from cortexcast_training.eegfmri.fmri_card import CARD, FILES, card
from cortexcast_training.eegfmri.fmri_methods import GROUP, MODEL, RIDGE
from cortexcast_training.eegfmri.fmri_recipe import FmriRecipe, SimulatedViewers
from cortexcast_training.eegfmri.fmri_results import FmriResults
from cortexcast_training.eegfmri.run_file import read_runs
from cortexcast_training.eegfmri.runs import Run, RunError
from cortexcast_training.eegfmri.train_fmri import BUNDLE, RUNS, recorded_runs, training_runs, with_stimuli
from cortexcast_training.eegfmri.trained_vae import Product, TrainedVae, hop_of, load_trained
from cortexcast_training.eegfmri.viewers import Viewer, benchmark_viewers, write_runs
from cortexcast_training.metrics import Interval
from cortexcast_training.results import ResultsError, write_results
from cortexcast_training.streamed import StreamedModel

REST, SCANNED, UNSCANNED = "at rest", "in the scanner", "the same outside of it"


def evaluate(
    recipe: FmriRecipe, product: Product, folder: Path, settings: FmriBenchmarkSettings, command: str, say: Say
) -> Path:
    """Judge the bundle in a run's folder on subjects and films that nothing has seen, and put the outcome into it.

    Args:
        recipe: that it was trained by.
        product: that it was trained for.
        folder: of the run: its runs, its model and its bundle.
        settings: how much to simulate, where the recipe simulates.
        command: that leads here, for the card.
        say: hears how far it is.

    Returns:
        The card's Markdown file; ``evaluation.json`` holds every number of it.

    Raises:
        BundleError, CheckpointError: the run is not complete.
        ResultsError: the model is of another product, or not the one in the bundle.
        DataError: its runs are not of this recipe.
        RunError: a run cannot be used, or the recipe holds no subjects out.
    """
    bundle = read_bundle(folder / BUNDLE)
    recipe.claim(folder / RUNS)
    trained = load_trained(folder)
    if trained.product != product:
        raise ResultsError(f"{folder} holds a model of {trained.product}: evaluate it as such")
    _check_same(trained, bundle)
    train, validation = training_runs(recipe, folder)
    held_out, others, conditions = _held_out(recipe, folder, settings, product, say)
    if product == "stimulus":
        train, validation, held_out = with_stimuli(train, validation, held_out)
        n_dimensions = held_out[0].stimulus.embedding.shape[1] if held_out[0].stimulus else 0
        if n_dimensions != trained.vae.shape.n_dimensions:
            raise RunError(
                f"what was seen has {n_dimensions} dimensions now, {trained.vae.shape.n_dimensions} when {folder} was "
                "trained: train again"
            )
    streaming = StreamedModel(bundle).streaming()
    results = benchmark(
        trained, bundle.manifest, streaming, train, validation, held_out, others, conditions, command, say
    )
    write_results(folder / RESULTS, results)
    files = card(results)
    write_card(folder / CARDS, files)
    put_card(bundle, headline(results), files, FILES)
    return folder / CARDS / CARD


def headline(results: FmriResults) -> list[Metric]:
    """What a bundle's manifest says of an evaluation."""

    def metric(what: str, interval: Interval) -> Metric:
        name = f"{what}: {len(results.subjects)} held-out {results.data} subjects"
        return Metric(name=name, value=interval.value, ci95=interval.ci95, n=interval.n, command=results.command)

    said = {f"r, mean over outputs, by {name}": name for name in (MODEL, RIDGE, GROUP) if name in results.methods}
    found = [metric(what, results.methods[name].metrics["r"]) for what, name in said.items()]
    if results.ceiling_share is not None:
        found.append(metric("share of the ceiling", results.ceiling_share))
    ours = results.methods[MODEL].metrics
    found += [
        metric(name, ours[name]) for name in ("two-way identification", "two against two", "top 1") if name in ours
    ]
    return [*found, metric("share of what was recorded inside 90 % intervals", results.intervals["0.9"])]


def _held_out(
    recipe: FmriRecipe, folder: Path, settings: FmriBenchmarkSettings, product: Product, say: Say
) -> tuple[list[Run], list[Run], dict[str, list[Run]]]:
    """Runs to judge, all that others may have watched the same films in, and those of other conditions by name."""
    if recipe.simulation is None:
        assert recipe.recordings is not None
        if not recipe.recordings.held_out:
            raise RunError("the recipe holds no subjects out: name some under recordings.held_out")
        if not (held_out := recorded_runs(recipe.recordings)[2]):
            held, films = (", ".join(some) for some in (recipe.recordings.held_out, recipe.recordings.held_out_films))
            raise RunError(f"{held}, held out, watched none of the films that are: {films}")
        return held_out, read_runs(Path(recipe.recordings.folder)), {}
    data, n_shifted = recipe.simulation, settings.shift_subjects
    viewers = {"benchmark": benchmark_viewers(data, settings.subjects, settings.films)}
    if n_shifted:
        viewers[SCANNED] = benchmark_viewers(data, n_shifted, 1, in_scanner=True)
    if n_shifted and product == "fmri":
        viewers[REST] = benchmark_viewers(at_rest(data), n_shifted, 1)
    folders = {name: folder / RUNS / name.replace(" ", "-") for name in viewers}
    write_runs({folders[name]: some for name, some in viewers.items()}, lambda done, of: say("simulating", done, of))
    found = {name: _of(read_runs(folders[name]), some) for name, some in viewers.items()}
    held_out = found.pop("benchmark")
    if SCANNED in found:
        scanned = {run.name for run in found[SCANNED]}
        unscanned = [run for run in held_out if run.name in scanned]
        found = {SCANNED: found.pop(SCANNED), UNSCANNED: unscanned, **found}
    return held_out, held_out, found


def _check_same(trained: TrainedVae, bundle: Bundle) -> None:
    """Make sure that the bundle's graph is that of the model: a card must not be of another."""
    golden = bundle.golden()
    inputs = {tensor.name: torch.from_numpy(golden[tensor.name]) for tensor in bundle.manifest.inputs}
    with torch.no_grad():
        given = hop_of(trained)(**inputs)[0].numpy()
    expected = golden[bundle.manifest.outputs[0].name]
    if given.shape != expected.shape or not np.allclose(given, expected, atol=1e-3 * np.abs(expected).max()):
        raise ResultsError(f"{bundle.directory} is not of the model that was trained last: train again, and export it")


def at_rest(data: SimulatedViewers) -> SimulatedViewers:
    """The same subjects with their eyes on nothing that drives them."""
    quiet = data.networks.model_copy(update={"driven_share": 0.0, "other_share": 0.0})
    return data.model_copy(update={"networks": quiet})


def _of(runs: list[Run], viewers: list[Viewer]) -> list[Run]:
    """Those of these viewers: a folder may hold more from another time."""
    wanted = {name for viewer in viewers for name in viewer.run_names}
    return [run for run in runs if run.name in wanted]

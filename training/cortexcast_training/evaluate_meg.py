"""From a folder of `cortexcast train meg` to the evaluation of its model, and its card."""

from __future__ import annotations

from pathlib import Path

from cortexcast_models.bundle import read_bundle
from cortexcast_training import scaling
from cortexcast_training.baselines import population
from cortexcast_training.benchmark import BenchmarkSettings, Say, recorded_benchmark, simulated_benchmark
from cortexcast_training.card import CARD, card
from cortexcast_training.datasets import recorded_subjects
from cortexcast_training.recipe import Recipe
from cortexcast_training.recording import RecordingError
from cortexcast_training.results import write_results
from cortexcast_training.train_meg import BUNDLE, TRAIN, VALIDATION
from cortexcast_training.virtual_helmet import sensor_types
from cortexcast_training.windows import read_all

RESULTS, CARDS = "evaluation.json", "card"


def evaluate(recipe: Recipe, folder: Path, settings: BenchmarkSettings, command: str, say: Say) -> Path:
    """Judge the bundle in a run's folder on subjects that nothing has seen.

    Args:
        recipe: that it was trained by.
        folder: of the run: its windows and its bundle.
        settings: how much to simulate, where the recipe simulates.
        command: that leads here, for the card.
        say: hears how far it is.

    Returns:
        The card's Markdown file; ``evaluation.json`` holds every number of it.

    Raises:
        BundleError, WindowError: the run is not complete.
        RecordingError: the recipe holds no subjects out, or a recording cannot be used.
    """
    bundle = read_bundle(folder / BUNDLE)
    train = read_all(folder / TRAIN)
    linear = population(train, read_all(folder / VALIDATION), scaling.units(train, sensor_types()))
    if recipe.simulation is not None:
        results = simulated_benchmark(bundle, linear, recipe.simulation, settings, command, say)
    else:
        assert recipe.recordings is not None
        _, _, origins = recorded_subjects(recipe.recordings)
        if not origins:
            raise RecordingError("the recipe holds no subjects out: name some under recordings.held_out")
        results = recorded_benchmark(bundle, linear, (origin.recording() for origin in origins), command)
    write_results(folder / RESULTS, results)
    target = folder / CARDS
    target.mkdir(exist_ok=True)
    for name, content in card(results).items():
        (target / name).write_bytes(content)
    return target / CARD

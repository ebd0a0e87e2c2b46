"""From a folder of `cortexcast train meg` to the evaluation of its model, its card, and both in its bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from cortexcast_models.bundle import Bundle, read_bundle
from cortexcast_training.baselines import population
from cortexcast_training.benchmark import (
    BenchmarkSettings,
    Candidate,
    Say,
    recorded_benchmark,
    simulated_benchmark,
)
from cortexcast_training.bundle_card import CARDS, RESULTS, put_card, write_card
from cortexcast_training.calibration_curve import Calibration
from cortexcast_training.card import CARD, FILES, card
from cortexcast_training.fit import LOG
from cortexcast_training.head_modes import draw_shown, head_modes
from cortexcast_training.prepared_dataset import recorded_subjects
from cortexcast_training.recipe import Recipe
from cortexcast_training.recording import RecordingError
from cortexcast_training.results import Effort, ResultsError, write_results
from cortexcast_training.streamed import StreamedModel
from cortexcast_training.summary import headline
from cortexcast_training.train_meg import BUNDLE, WINDOWS, claim, training_data
from cortexcast_training.trained import Trained, load_trained


def evaluate(
    recipe: Recipe, folder: Path, settings: BenchmarkSettings, also: Sequence[Path], command: str, say: Say
) -> Path:
    """Judge the bundle in a run's folder on subjects that nothing has seen, and put the outcome into it.

    Args:
        recipe: that it was trained by.
        folder: of the run: its windows, its model and its bundle.
        settings: how much to simulate, where the recipe simulates.
        also: folders of other runs, of fewer heads or of smaller nets, for learning curves.
        command: that leads here, for the card.
        say: hears how far it is.

    Returns:
        The card's Markdown file; ``evaluation.json`` holds every number of it.

    Raises:
        BundleError, CheckpointError, WindowError, DataError: the run is not complete, or not of this recipe.
        ResultsError: one of the other runs differs in more than one respect, or knows a subject that is held out.
        CalibrationError: there are too few seconds to calibrate to.
        RecordingError: the recipe holds no subjects out, or a recording cannot be used.
    """
    bundle = read_bundle(folder / BUNDLE)
    claim(folder / WINDOWS, recipe)
    candidate = _candidate(folder, bundle)
    others = {str(path): _candidate(path, read_bundle(path / BUNDLE)) for path in also}
    _check_alike(candidate.effort, {name: other.effort for name, other in others.items()})
    trained = load_trained(folder)
    linear = population(*training_data(recipe, folder), trained.units)
    if recipe.simulation is not None:
        results = simulated_benchmark(
            candidate,
            linear,
            recipe.simulation,
            recipe.prepare,
            settings,
            command,
            others,
            say,
            _calibration(folder, trained, settings.calibration_s, say),
        )
    else:
        assert recipe.recordings is not None
        _, _, held_out = recorded_subjects(recipe.recordings, recipe.prepare)
        if not held_out:
            raise RecordingError("the recipe holds no subjects out: name some under recordings.held_out")
        check_unseen({*recipe.recordings.held_out}, also)
        results = recorded_benchmark(candidate, linear, held_out, settings, command, others, say)
    write_results(folder / RESULTS, results)
    files = card(results)
    write_card(folder / CARDS, files)
    put_card(bundle, headline(results), files, FILES)
    return folder / CARDS / CARD


def _candidate(folder: Path, bundle: Bundle) -> Candidate:
    trained = load_trained(folder)
    effort = Effort(
        parameters=sum(parameter.numel() for parameter in trained.hop.net.parameters()),
        heads=len(trained.train_subjects),
        windows_per_s=_windows_per_s(folder / LOG),
    )
    return Candidate(StreamedModel(bundle), effort)


def _calibration(folder: Path, trained: Trained, seconds: Sequence[float], say: Say) -> Calibration | None:
    """How to calibrate the model of a run; None for no seconds."""
    if not seconds:
        return None
    heads = draw_shown(say=lambda done, of: say("drawing heads", done, of))
    modes = head_modes(heads, trained.hop.net.basis.double().numpy(), trained.units)
    return Calibration(folder, modes, tuple(sorted(set(seconds))))


def _windows_per_s(log: Path) -> float | None:
    """Throughput of training by the last line of its log; None where there is no log."""
    if not log.exists():
        return None
    return float(json.loads(log.read_text(encoding="utf-8").splitlines()[-1])["windows_per_s"])


def check_unseen(subjects: set[str], also: Sequence[Path]) -> None:
    """None of the other runs may know whom it is judged on; that the run itself does not, its recipe says.

    Raises:
        ResultsError: one does.
    """
    for path in also:
        trained = load_trained(path)
        if known := sorted(subjects & {*trained.train_subjects, *trained.validation_subjects}):
            raise ResultsError(
                f"{path} was trained or validated with {', '.join(known)}, whom the recipe holds out: give runs that "
                "hold out the same subjects"
            )


def _check_alike(effort: Effort, others: Mapping[str, Effort]) -> None:
    for name, other in others.items():
        if (other.heads == effort.heads) == (other.parameters == effort.parameters):
            raise ResultsError(
                f"{name} has {other.heads} heads and {other.parameters} parameters, the model {effort.heads} and "
                f"{effort.parameters}: a learning curve takes runs that differ in one of them"
            )

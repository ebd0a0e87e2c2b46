"""From a recipe to an autoencoder: runs, fit, labels. Runs are taken up where they were left; the fit takes minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from cortexcast_training.eegfmri.fit_vae import VaeProgress, fit_vae
from cortexcast_training.eegfmri.fmri_methods import MODALITY
from cortexcast_training.eegfmri.fmri_recipe import FmriRecipe, RecordedRuns, SimulatedViewers
from cortexcast_training.eegfmri.labels import Labels, fit_temperature
from cortexcast_training.eegfmri.latent import active_units
from cortexcast_training.eegfmri.moments import SMALLEST, Moments, Units, seen_before, settled
from cortexcast_training.eegfmri.run_file import read_runs
from cortexcast_training.eegfmri.runs import Run, RunError
from cortexcast_training.eegfmri.stimulus import Stimulus
from cortexcast_training.eegfmri.trained_vae import Product, TrainedVae, save_trained
from cortexcast_training.eegfmri.vae import EEG, STIMULUS, Vae, VaeShape
from cortexcast_training.eegfmri.viewers import training_viewers, validation_viewers, write_runs
from cortexcast_training.manifest_fields import About

RUNS, TRAIN, VALIDATION = "runs", "runs/train", "runs/validation"
BUNDLE = "bundle"

_USE = "Estimates the part of {} that EEG predicts. It holds no more information than the EEG. Not for clinical use."
_OF = {"fmri": "BOLD", "stimulus": "what is seen"}


class Listener(Protocol):
    """Who hears how far it is."""

    def preparing(self, done: int, of: int) -> None:
        """Subjects are simulated."""

    def fitting(self, progress: VaeProgress) -> None:
        """The net is trained."""


def train(recipe: FmriRecipe, product: Product, folder: Path, listener: Listener) -> tuple[TrainedVae, float]:
    """Train what the recipe says, with all intermediate results in ``folder``.

    Returns:
        The model, and the share of the variance of what it estimates that it explains on the validation subjects.

    Raises:
        RunError: a run cannot be used or written, or there is no stimulus to train on.
        VaeFitError, RecordingError, CheckpointError: see there.
    """
    recipe.claim(folder / RUNS)
    if recipe.simulation is not None:
        _simulate(recipe.simulation, folder, listener)
    train_runs, validation_runs = training_runs(recipe, folder)
    if product == "fmri":
        train_runs, validation_runs = (_without_stimuli(some) for some in (train_runs, validation_runs))
    else:
        train_runs, validation_runs = with_stimuli(train_runs, validation_runs)
    moments = Moments(train_runs)
    _check_varied(moments.units)
    held_out = Moments(validation_runs, moments.units)
    torch.manual_seed(recipe.fit.seed)
    vae = Vae(_shape(recipe, moments))
    explained = fit_vae(vae, moments, held_out, MODALITY[product], recipe.fit, folder, listener.fitting)
    trained = TrainedVae(
        product=product,
        vae=vae,
        units=moments.units,
        labels=_labels(vae, held_out, validation_runs) if product == "stimulus" else None,
        active=active_units(vae, held_out),
        train_subjects=_names(train_runs),
        validation_subjects=_names(validation_runs),
        simulated=any(run.simulated for run in train_runs),
    )
    save_trained(folder, trained)
    return trained, explained


def about(recipe: FmriRecipe, trained: TrainedVae) -> About:
    """What the bundle of a recipe's model says of itself."""
    use = _USE.format(_OF[trained.product])
    return recipe.about(
        f"cortexcast train {trained.product}",
        f"Trained on simulation alone, for trying out. {use}" if trained.simulated else use,
        simulated=trained.simulated,
        train_subjects=trained.train_subjects,
        held_out=trained.validation_subjects,
    )


def recorded_runs(data: RecordedRuns) -> tuple[list[Run], list[Run], list[Run]]:
    """The runs to train on, those to validate, and those that are held out.

    Raises:
        RunError: there are none, or one of the subjects or films named is not there.
    """
    found = read_runs(Path(data.folder))
    for kind, named, known in (
        ("subjects", {*data.validation, *data.held_out}, {run.subject for run in found}),
        ("films", {*data.held_out_films}, {run.film for run in found}),
    ):
        if unknown := named - known:
            raise RunError(
                f"{data.folder} has no {', '.join(sorted(unknown))}: its {kind} are {', '.join(sorted(known))}"
            )
    seen = [run for run in found if run.film not in data.held_out_films]
    train_runs = [run for run in seen if run.subject not in {*data.validation, *data.held_out}]
    if not train_runs:
        raise RunError(f"{data.folder} has no subjects beside those to validate and to hold out")
    validation = [run for run in seen if run.subject in data.validation]
    if not validation:
        raise RunError(f"{data.folder}: {', '.join(data.validation)} watched nothing but films that are held out")
    held_out = [run for run in found if run.subject in data.held_out]
    if data.held_out_films:
        held_out = [run for run in held_out if run.film in data.held_out_films]
    return train_runs, validation, held_out


def training_runs(recipe: FmriRecipe, folder: Path) -> tuple[list[Run], list[Run]]:
    """The runs that a recipe trains on, and those that tell which net is best, once they are in the folder.

    Raises:
        RunError: they are not there, or cannot be used.
    """
    if recipe.simulation is None:
        assert recipe.recordings is not None
        return recorded_runs(recipe.recordings)[:2]
    return read_runs(folder / TRAIN), read_runs(folder / VALIDATION)


def _simulate(data: SimulatedViewers, folder: Path, listener: Listener) -> None:
    groups = {folder / TRAIN: training_viewers(data), folder / VALIDATION: validation_viewers(data)}
    write_runs(groups, listener.preparing)


def with_stimuli(*groups: Sequence[Run]) -> list[list[Run]]:
    """Of each group those runs of which it is known what was seen.

    Raises:
        RunError: there are none in one, or stimuli are of different spaces.
    """
    known = [[run for run in runs if run.stimulus is not None] for runs in groups]
    for runs, some in zip(groups, known, strict=True):
        if not some:
            named = ", ".join(sorted({run.subject for run in runs}))
            raise RunError(
                f"of {len(runs)} runs ({named}) nothing is known of what was seen: preprocess them with --stimuli"
            )
    spaces = {_space(run.stimulus): run.name for some in known for run in some if run.stimulus}
    if len(spaces) > 1:
        one, other, *_ = spaces.values()
        raise RunError(f"what was seen in {one} and in {other} has other dimensions or labels: encode all films alike")
    return known


def _space(stimulus: Stimulus) -> tuple[int, tuple[str, ...], bytes]:
    """What stimuli of the same space have in common."""
    return stimulus.embedding.shape[1], stimulus.labels, stimulus.places.tobytes()


def _check_varied(units: Units) -> None:
    """Make sure that every dimension of the stimulus can be learned.

    Raises:
        RunError: one never changes.
    """
    if constant := np.flatnonzero(units.embedding <= SMALLEST).tolist():
        numbers = ", ".join(str(number + 1) for number in constant)
        raise RunError(
            f"dimension {numbers} of what was seen is the same in all films trained on: leave it out of them"
        )


def _without_stimuli(runs: Sequence[Run]) -> list[Run]:
    return [replace(run, stimulus=None) for run in runs]


def _shape(recipe: FmriRecipe, moments: Moments) -> VaeShape:
    units = moments.units
    return VaeShape(
        n_features=len(units.power),
        n_parcels=len(units.bold),
        n_dimensions=len(units.embedding),
        n_filters=recipe.net.n_filters,
        width=recipe.net.width,
        latent=recipe.net.latent,
    )


@torch.no_grad()
def _labels(vae: Vae, moments: Moments, runs: Sequence[Run]) -> Labels | None:
    """Of the space, with the temperature that suits estimates of these runs."""
    stimulus = runs[0].stimulus
    if stimulus is None or not stimulus.labels:
        return None
    labels = Labels(stimulus.labels, stimulus.places)
    estimates = [vae.estimate({EEG: some[EEG]}, STIMULUS).mean.numpy() for some in moments.batches()]
    shown = np.concatenate(
        [run.stimulus.shown[seen_before(run)[settled(run, with_stimulus=True)]] for run in runs if run.stimulus]
    )
    points = moments.units.embedding_mean + np.concatenate(estimates).astype(np.float32) * moments.units.embedding
    return Labels(labels.names, labels.places, fit_temperature(labels, points, shown))


def _names(runs: Sequence[Run]) -> tuple[str, ...]:
    return tuple(sorted({run.subject for run in runs}))

"""From a recipe to a bundle: data, linear analysis, fit, novelty, export. Each step is taken up where it was left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from cortexcast_training import scaling
from cortexcast_training.adaptation import Adaptation, Context
from cortexcast_training.analysis import Analysed, analyse, load_analysed, save_analysed, state_covariances, state_maps
from cortexcast_training.contexts import Contexts, recording_sums, visited_states
from cortexcast_training.datasets import prepare_all, training_subjects, validation_subjects
from cortexcast_training.fit import Examples, Fitted, Progress, check_shared, fit
from cortexcast_training.head_modes import draw_shown, head_modes
from cortexcast_training.head_statistics import head_statistics
from cortexcast_training.leadfield import CAP, is_magnetometer
from cortexcast_training.manifest_fields import About
from cortexcast_training.montages import Montages
from cortexcast_training.net import Net, NetShape
from cortexcast_training.novelty import Novelty, Seen
from cortexcast_training.prepared_dataset import PROVENANCE, recorded_subjects
from cortexcast_training.processes import processes
from cortexcast_training.provenance import read_provenance
from cortexcast_training.recipe import Recipe
from cortexcast_training.scaling import Units
from cortexcast_training.states import find_states
from cortexcast_training.trained import Trained, save_trained
from cortexcast_training.transformer_bundle import Hop
from cortexcast_training.windows import Prepared, Windows, read_all, read_each

WINDOWS = "windows"
BUNDLE = "bundle"
ANALYSED = "analysed.pt"
TRAIN, VALIDATION = f"{WINDOWS}/train", f"{WINDOWS}/validation"

_USE = "Estimates the part of MEG that EEG predicts. It holds no more information than the EEG. Not for clinical use."
_SIMULATED_USE = f"Trained on simulation alone, for trying out and as a start for calibration. {_USE}"

_NOVELTY_WINDOWS = 16_384
_NOVELTY_SEED = 2**33


class Listener(Protocol):
    """Who hears how far it is."""

    def preparing(self, done: int, of: int) -> None:
        """Recordings are prepared."""

    def analysing(self, what: str, done: int, of: int) -> None:
        """Of one of the steps of linear analysis, so many parts are done."""

    def fitting(self, progress: Progress) -> None:
        """The net is trained."""


def train(recipe: Recipe, folder: Path, listener: Listener) -> tuple[Trained, Fitted]:
    """Train what the recipe says, with all intermediate results in ``folder``; gives the model and how it went.

    Raises:
        DataError, RecordingError, WindowError, FitError, CheckpointError, ProcessError: see there.
    """
    with processes() as here:
        check_shared(recipe.fit, here)
        if here.rank == 0:
            _prepare(recipe, folder, listener)
        here.wait()
        train_data, validation_data = training_data(recipe, folder)
        shape = net_shape(recipe)
        if here.rank == 0:
            _analyse(train_data, shape, recipe, folder, listener)
        here.wait()
        analysed = load_analysed(folder / ANALYSED)
        units = analysed.units
        torch.manual_seed(recipe.fit.seed)
        net = Net(shape, analysed.analysis)
        montages = _montages(recipe)
        train_examples = Examples(Windows(train_data, shape.n_tokens), Contexts(analysed.contexts), analysed.labels)
        sums = [recording_sums(net.adaptation, each, units.eeg, montages.matrices) for each in validation_data]
        held_out = Examples(Windows(validation_data, shape.n_tokens), Contexts(sums))
        fitted = fit(net, train_examples, held_out, units, montages, recipe.fit, folder, listener.fitting)
        net = net.cpu().eval()
        novelty = Novelty(shape, len(montages.shares))
        if here.rank == 0:
            seen = partial(_seen, net, units=units, montages=montages, seed=recipe.fit.seed, listener=listener)
            novelty.calibrate(seen(train_examples.windows, analysed.contexts), seen(held_out.windows, sums))
        golden_eeg, _ = held_out.windows.take([len(held_out.windows) // 2])
        trained = Trained(
            Hop(net, novelty, units),
            _names(train_data),
            _names(validation_data),
            np.ascontiguousarray(golden_eeg[0]),
            simulated=any(recording.simulated for recording in train_data),
        )
        if here.rank == 0:
            save_trained(folder, trained)
        return trained, fitted


def training_data(recipe: Recipe, folder: Path) -> tuple[list[Prepared], list[Prepared]]:
    """What a run trains on and what it validates with, memory-mapped.

    Raises:
        DataError, WindowError: it is not there, or not as the recipe says.
    """
    if recipe.recordings is None:
        return read_all(folder / TRAIN), read_all(folder / VALIDATION)
    train, validation, _ = recorded_subjects(recipe.recordings, recipe.prepare)
    return read_each(train), read_each(validation)


def about(recipe: Recipe, trained: Trained) -> About:
    """What the bundle of a recipe's model says of itself."""
    return recipe.about(
        "cortexcast train meg",
        _SIMULATED_USE if trained.simulated else _USE,
        simulated=trained.simulated,
        train_subjects=trained.train_subjects,
        held_out=trained.validation_subjects,
    )


def net_shape(recipe: Recipe) -> NetShape:
    """The sizes that follow from a recipe."""
    net = recipe.net
    return NetShape(
        n_electrodes=len(CAP),
        n_sensors=len(is_magnetometer()),
        n_components=net.n_components,
        n_tokens=net.n_tokens,
        token=recipe.prepare.hop,
        lookahead=net.lookahead,
        width=net.width,
        n_layers=net.n_layers,
        n_heads=net.n_heads,
        n_filters=net.n_filters,
        n_experts=net.n_experts,
        n_features=net.n_features,
        n_modes=net.n_modes,
        dropout=net.dropout,
    )


def _montages(recipe: Recipe) -> Montages:
    return Montages(recipe.fit.montages, recipe.prepare.preprocessing.absent)


def _analyse(recordings: Sequence[Prepared], shape: NetShape, recipe: Recipe, folder: Path, listener: Listener) -> None:
    """Analyse the training data, unless the folder holds that already."""
    settings = recipe.model_dump_json(
        include={"simulation": True, "recordings": True, "prepare": True, "net": True, "fit": {"seed", "montages"}}
    )
    if (folder / ANALYSED).exists() and load_analysed(folder / ANALYSED).settings == settings:
        return
    units = scaling.units(recordings, is_magnetometer())
    total = scaling.covariances(_told(recordings, "covariances", listener), units, recipe.wiener_taps)
    states = find_states(
        recordings, total, units, shape.n_experts, recipe.fit.seed, partial(listener.analysing, "finding states")
    )
    of_states, labels = state_covariances(
        recordings, total, units, states, partial(listener.analysing, "telling states")
    )
    basis = total.principal_fields(shape.n_components)
    modes = head_modes(draw_shown(shape.n_modes + 1, partial(listener.analysing, "drawing heads")), basis, units)
    heads = head_statistics(
        recordings,
        labels,
        units,
        basis,
        state_maps(basis, of_states),
        modes,
        shape.n_features,
        partial(listener.analysing, "comparing heads"),
    )
    adaptation, worn = Adaptation(heads), _montages(recipe).matrices
    contexts = [recording_sums(adaptation, each, units.eeg, worn) for each in _told(recordings, "contexts", listener)]
    analysis = analyse(total, basis, of_states, heads, shape.n_filters)
    save_analysed(folder / ANALYSED, Analysed(settings, units, analysis, labels, contexts))


def _told(recordings: Sequence[Prepared], what: str, listener: Listener) -> Iterator[Prepared]:
    for done, recording in enumerate(recordings):
        listener.analysing(what, done, len(recordings))
        yield recording
    listener.analysing(what, len(recordings), len(recordings))


def _prepare(recipe: Recipe, folder: Path, listener: Listener) -> None:
    """Simulate what the folder does not hold yet."""
    claim(folder / WINDOWS, recipe)
    if recipe.simulation is None:
        return
    train, validation = training_subjects(recipe.simulation), validation_subjects(recipe.simulation)
    prepare_all({folder / TRAIN: train, folder / VALIDATION: validation}, recipe.prepare, listener.preparing)


def claim(folder: Path, recipe: Recipe) -> None:
    """Say in the folder which data its windows are of; the error is that of ``recipe.claim``."""
    groups = () if recipe.recordings is None else recorded_subjects(recipe.recordings, recipe.prepare)[:2]
    recorded = {path.name: _made_of(path) for group in groups for path in group}
    recipe.claim(folder, "prepare", recorded=recorded or None)


def _made_of(recording: Path) -> list[str]:
    """The checksums of the files that a prepared recording was made of."""
    known = read_provenance(recording / PROVENANCE)
    return [] if known is None else [each.sha256 for each in known.inputs]


@torch.no_grad()
def _seen(
    net: Net,
    windows: Windows,
    sums: Sequence[Tensor],
    units: Units,
    montages: Montages,
    seed: int,
    listener: Listener,
) -> Iterator[Seen]:
    """Windows as a fit draws them, headsets of few electrodes included, and what their recordings have shown."""
    rng = np.random.default_rng([seed, _NOVELTY_SEED])
    of_recordings = Contexts(
        [
            torch.cat([visited_states(net, recording, shown, units.eeg, montages.matrices), shown], dim=2)
            for recording, shown in zip(_told(windows.recordings, "visited states", listener), sums, strict=True)
        ]
    )
    for numbers in np.array_split(rng.integers(len(windows), size=_NOVELTY_WINDOWS), _NOVELTY_WINDOWS // 64):
        worn = montages.draw(len(numbers), rng)
        eeg = montages.wear(torch.from_numpy(windows.take(numbers)[0]) / units.eeg, worn)
        shown, tokens = of_recordings.draw(windows.recording_of(numbers), worn, rng)
        context = Context(shown[:, net.shape.n_experts :], tokens)
        _, hidden = net.streamed(eeg, context)
        yield Seen(hidden[:, 0], context, shown[:, : net.shape.n_experts], torch.from_numpy(worn))


def _names(recordings: Sequence[Prepared]) -> tuple[str, ...]:
    return tuple(sorted({recording.subject for recording in recordings}))

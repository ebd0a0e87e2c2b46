"""From a recipe to a bundle: data, linear analysis, fit, novelty, export. Each step is taken up where it was left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from cortexcast_models.bundle import Bundle
from cortexcast_training import scaling
from cortexcast_training.datasets import Origin, prepare_all, recorded_subjects, training_subjects, validation_subjects
from cortexcast_training.fit import Fitted, Montages, Progress, fit
from cortexcast_training.leadfield import CAP
from cortexcast_training.net import Linear, Net, NetShape
from cortexcast_training.novelty import Novelty
from cortexcast_training.processes import processes
from cortexcast_training.recipe import Recipe
from cortexcast_training.scaling import Units, whitener
from cortexcast_training.trained import Trained, save_trained
from cortexcast_training.transformer_bundle import About, Hop, export
from cortexcast_training.virtual_helmet import sensor_types
from cortexcast_training.wiener import LaggedCovariances
from cortexcast_training.windows import Prepared, WindowError, Windows, read_all

WINDOWS = "windows"
BUNDLE = "bundle"
TRAIN, VALIDATION = f"{WINDOWS}/train", f"{WINDOWS}/validation"

_USE = "Estimates the part of MEG that EEG predicts. It holds no more information than the EEG. Not for clinical use."
_SIMULATED_USE = f"Trained on simulation alone, for trying out and as a start for calibration. {_USE}"

_NOVELTY_WINDOWS = 4096
_NOVELTY_SEED = 2**33
_LEAST_NOISE = 0.05


class Listener(Protocol):
    """Who hears how far it is."""

    def preparing(self, done: int, of: int) -> None:
        """Recordings are prepared."""

    def analysing(self, done: int, of: int) -> None:
        """Covariances are summed, recording by recording."""

    def fitting(self, progress: Progress) -> None:
        """The net is trained."""


def train(recipe: Recipe, folder: Path, listener: Listener) -> tuple[Trained, Fitted]:
    """Train what the recipe says, with all intermediate results in ``folder``; gives the model and how it went.

    Raises:
        RecordingError, WindowError, FitError, CheckpointError: see there.
    """
    with processes() as here:
        torch.manual_seed(recipe.fit.seed)
        if here.rank == 0:
            _prepare(recipe, folder, listener)
        here.wait()
        train_data, validation_data = read_all(folder / TRAIN), read_all(folder / VALIDATION)
        shape = net_shape(recipe)
        train_windows = Windows(train_data, shape.n_tokens)
        validation_windows = Windows(validation_data, shape.n_tokens)
        units = scaling.units(train_data, sensor_types())
        total = scaling.covariances(_told(train_data, listener), units, recipe.wiener_taps)
        net = Net(shape, linear(total, shape))
        fitted = fit(net, train_windows, validation_windows, units, recipe.fit, folder, listener.fitting)
        net = net.cpu().eval()
        novelty = Novelty(shape)
        novelty.calibrate(
            _features(net, novelty, train_windows, units, recipe),
            _features(net, novelty, validation_windows, units, recipe),
        )
        golden_eeg, _ = validation_windows.take([len(validation_windows) // 2])
        trained = Trained(
            Hop(net, novelty, units), _names(train_data), _names(validation_data), np.ascontiguousarray(golden_eeg[0])
        )
        if here.rank == 0:
            save_trained(folder, trained)
        return trained, fitted


def export_trained(directory: Path, recipe: Recipe, trained: Trained) -> tuple[Bundle, float]:
    """Write a trained model as a bundle; gives it, and how far ONNX Runtime deviates from torch (see ``export``)."""
    simulated = recipe.recordings is None
    about = About(
        name=recipe.bundle.name,
        version=recipe.bundle.version,
        description=recipe.bundle.description,
        trained_on="simulated" if simulated else "recorded",
        data=("simulated by cortexcast",) if recipe.recordings is None else (Path(recipe.recordings.folder).name,),
        train_subjects=trained.train_subjects,
        held_out_subjects=trained.validation_subjects,
        built_by="cortexcast train meg",
        licence="BSD-3-Clause" if simulated else "that of the recordings",
        intended_use=_SIMULATED_USE if simulated else _USE,
    )
    return export(directory, trained.hop, recipe.prepare.preprocessing, trained.golden_eeg, about)


def net_shape(recipe: Recipe) -> NetShape:
    """The sizes that follow from a recipe."""
    net = recipe.net
    sensors = sensor_types()
    return NetShape(
        n_electrodes=len(CAP),
        n_white=len(CAP) - 1,  # the average reference takes a dimension away
        n_sensors=len(sensors),
        n_components=net.n_components,
        n_tokens=net.n_tokens,
        token=recipe.prepare.hop,
        lookahead=net.lookahead,
        width=net.width,
        n_layers=net.n_layers,
        n_heads=net.n_heads,
        n_filters=net.n_filters,
        n_experts=net.n_experts,
        dropout=net.dropout,
    )


def linear(total: LaggedCovariances, shape: NetShape) -> Linear:
    """What the net knows before it is trained."""
    basis = total.principal_fields(shape.n_components)
    filters = np.einsum("mc,met->cet", basis, total.filter(total.taps))
    strengths = np.einsum("mc,mn,nc->c", basis, total.meg, basis)
    outside = total.meg.diagonal() - basis**2 @ strengths
    return Linear(
        whitener=whitener(total.eeg, shape.n_white).astype(np.float32),
        basis=basis.astype(np.float32),
        wiener=filters.astype(np.float32),
        taps=total.taps,
        noise=np.maximum(outside, _LEAST_NOISE).astype(np.float32),
    )


def _told(recordings: Sequence[Prepared], listener: Listener) -> Iterator[Prepared]:
    for done, recording in enumerate(recordings):
        listener.analysing(done, len(recordings))
        yield recording
    listener.analysing(len(recordings), len(recordings))


def _prepare(recipe: Recipe, folder: Path, listener: Listener) -> None:
    """Make the windows that the folder does not hold yet."""
    groups: tuple[Sequence[Origin], Sequence[Origin]]
    if recipe.simulation is not None:
        groups = (training_subjects(recipe.simulation), validation_subjects(recipe.simulation))
    else:
        assert recipe.recordings is not None
        groups = recorded_subjects(recipe.recordings)[:2]
    _claim(folder / WINDOWS, recipe)
    train_origins, validation_origins = groups
    prepare_all(
        {folder / TRAIN: train_origins, folder / VALIDATION: validation_origins}, recipe.prepare, listener.preparing
    )


def _claim(folder: Path, recipe: Recipe) -> None:
    """Say in the folder which data its windows are of, or find that they are of others."""
    path = folder / "data.json"
    data = recipe.model_dump_json(include={"simulation", "recordings", "prepare"}, indent=1) + "\n"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(data, encoding="utf-8")
    elif path.read_text(encoding="utf-8") != data:
        raise WindowError(f"{folder} is of other data than the recipe's: train into another folder, or remove it")


@torch.no_grad()
def _features(net: Net, novelty: Novelty, windows: Windows, units: Units, recipe: Recipe) -> Iterator[Tensor]:
    """What characterises windows as a fit draws them, headsets of few electrodes included."""
    rng = np.random.default_rng([recipe.fit.seed, _NOVELTY_SEED])
    montages = Montages(recipe.fit.montages)
    for numbers in np.array_split(rng.integers(len(windows), size=_NOVELTY_WINDOWS), _NOVELTY_WINDOWS // 64):
        eeg = montages.wear(torch.from_numpy(windows.take(numbers)[0]) / units.eeg, rng)
        tokens, rms = net.white(eeg)
        yield novelty.features(tokens / rms, net.hidden(tokens / rms))


def _names(recordings: Sequence[Prepared]) -> tuple[str, ...]:
    return tuple(sorted({recording.subject for recording in recordings}))

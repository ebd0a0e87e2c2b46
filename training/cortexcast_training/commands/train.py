"""Train a model by a recipe and export it as a bundle."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cortexcast_training.recipe_arguments import add_recipe, read_recipe

if TYPE_CHECKING:
    from rich.progress import TaskID

    from cortexcast_training.eegfmri.fit_vae import VaeProgress
    from cortexcast_training.fit import Progress

_MEANINGS = {
    "meg": "a transformer from EEG to MEG",
    "fmri": "an autoencoder of EEG and BOLD, which gives BOLD from EEG alone",
    "stimulus": "an autoencoder of EEG, BOLD and what is seen, which gives what is seen from EEG alone",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the kinds of models and what each needs."""
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind, meaning in _MEANINGS.items():
        of_kind = kinds.add_parser(kind, help=meaning)
        add_recipe(of_kind, "the recipe")
        of_kind.add_argument(
            "--out",
            type=Path,
            required=True,
            metavar="FOLDER",
            help="where data, logs and the bundle go; data that are there are not made again, and an interrupted fit "
            "of meg goes on from its last checkpoint",
        )


def main(args: argparse.Namespace) -> int:
    """Train, export, and print what came out."""
    return _train_meg(args) if args.kind == "meg" else _train_vae(args)


def _train_meg(args: argparse.Namespace) -> int:
    from cortexcast_training.processes import processes
    from cortexcast_training.recipe import Recipe
    from cortexcast_training.train_meg import BUNDLE, about, train
    from cortexcast_training.trained import export_trained

    recipe = read_recipe(args, Recipe)
    with processes() as here, _Bars(shown=here.rank == 0) as bars:
        trained, fitted = train(recipe, args.out, bars)
    if here.rank > 0:
        return 0
    print(
        f"{fitted.steps} steps in {fitted.seconds / 60:.1f} min{', stopped early' if fitted.stopped_early else ''}: "
        f"explained variance of validation subjects' MEG as recorded {fitted.validation:.3f}"
    )
    bundle, deviation = export_trained(args.out / BUNDLE, trained, recipe.prepare.preprocessing, about(recipe, trained))
    print(f"{bundle.directory}: digest {bundle.digest}, ONNX Runtime deviates from torch by {deviation:.1g} of the RMS")
    return 0


def _train_vae(args: argparse.Namespace) -> int:
    from cortexcast_training.eegfmri.fmri_methods import MODALITY
    from cortexcast_training.eegfmri.fmri_recipe import FmriRecipe
    from cortexcast_training.eegfmri.train_fmri import BUNDLE, about, train
    from cortexcast_training.eegfmri.trained_vae import export_trained

    recipe = read_recipe(args, FmriRecipe)
    with _Bars() as bars:
        trained, explained = train(recipe, args.kind, args.out, bars)
    print(
        f"explained variance of validation subjects' {MODALITY[trained.product]}, from EEG alone: {explained:.3f}; "
        f"EEG moves {trained.active} of {trained.vae.shape.latent} dimensions of the latent"
    )
    bundle, deviation = export_trained(args.out / BUNDLE, trained, about(recipe, trained))
    print(f"{bundle.directory}: digest {bundle.digest}, ONNX Runtime deviates from torch by {deviation:.1g} of the RMS")
    return 0


class _Bars:
    """A progress bar for each step of training."""

    def __init__(self, *, shown: bool = True) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            disable=not shown,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def preparing(self, done: int, of: int) -> None:
        """See ``train_meg.Listener`` and ``train_fmri.Listener``."""
        self._update("recordings", "recordings", done, of)

    def analysing(self, what: str, done: int, of: int) -> None:
        """See ``train_meg.Listener``."""
        self._update(what, what, done, of)

    def fitting(self, progress: Progress | VaeProgress) -> None:
        """See ``train_meg.Listener`` and ``train_fmri.Listener``."""
        self._update("fit", f"fit: {progress.said()}", progress.step, progress.n_steps)

    def _update(self, key: str, said: str, done: int, of: int) -> None:
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(said, total=of)
        self._progress.update(self._tasks[key], description=said, completed=done, total=of)

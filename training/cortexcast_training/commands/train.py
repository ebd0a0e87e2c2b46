"""Train a model by a recipe and export it as a bundle."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cortexcast_training.recipe_arguments import add_recipe, read_recipe

if TYPE_CHECKING:
    from rich.progress import TaskID

    from cortexcast_training.fit import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the kinds of models and what each needs."""
    kinds = parser.add_subparsers(dest="kind", required=True)
    meg = kinds.add_parser("meg", help="a transformer from EEG to MEG")
    add_recipe(meg, "the recipe")
    meg.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="where data, checkpoints, logs and the bundle go; a run that was interrupted is taken up there",
    )


def main(args: argparse.Namespace) -> int:
    """Train, export, and print what came out."""
    from cortexcast_training.processes import processes
    from cortexcast_training.train_meg import BUNDLE, about, train
    from cortexcast_training.trained import export_trained

    recipe = read_recipe(args)
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


class _Bars:
    """A progress bar for each step of training."""

    def __init__(self, *, shown: bool) -> None:
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
        """See ``train_meg.Listener``."""
        self._update("recordings", "recordings", done, of)

    def analysing(self, what: str, done: int, of: int) -> None:
        """See ``train_meg.Listener``."""
        self._update(what, what, done, of)

    def fitting(self, progress: Progress) -> None:
        """See ``train_meg.Listener``."""
        validation = "" if progress.validation is None else f", validation {progress.validation:.3f}"
        said = f"fit: explained {progress.explained:.3f}{validation}, {progress.windows_per_s:.0f} windows/s"
        self._update("fit", said, progress.step, progress.n_steps)

    def _update(self, key: str, said: str, done: int, of: int) -> None:
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(said, total=of)
        self._progress.update(self._tasks[key], description=said, completed=done, total=of)

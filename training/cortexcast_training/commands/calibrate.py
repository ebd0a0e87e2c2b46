"""Calibrate a model to a wearer's own head, from a recording of EEG and MEG."""

from __future__ import annotations

import argparse
from pathlib import Path

from cortexcast_models.bundle import DEFAULT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the recordings, the model and where the bundle goes."""
    parser.add_argument(
        "recordings",
        type=Path,
        nargs="+",
        metavar="RECORDING",
        help="simultaneous EEG and MEG of one wearer, .fif; 10 s or more in all",
    )
    parser.add_argument(
        "--model",
        default=DEFAULT,
        help="what to calibrate: the name of a shipped bundle, the folder of one, or one of 'cortexcast train'"
        " (default %(default)s)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the bundle to write")
    parser.add_argument("--name", help="of the bundle (default: the model's and '-calibrated')")


def main(args: argparse.Namespace) -> int:
    """Calibrate with a progress bar, and print what it gained."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from cortexcast_training.calibrate_meg import calibrate_bundle

    command = f"cortexcast calibrate {' '.join(map(str, args.recordings))} --model {args.model} --out {args.out}"
    with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), transient=True) as progress:
        task = progress.add_task("reading")
        bundle, calibrated, good_s = calibrate_bundle(
            args.recordings,
            args.model,
            args.out,
            args.name,
            command,
            lambda what, done, of: progress.update(task, description=what, completed=done, total=of),
        )
    gain = calibrated.gain
    print(f"explained variance of the recorded MEG, by cross-validation over {good_s:.0f} s of good data:")
    for what, values in (
        ("the model before", gain.before),
        ("calibrated", gain.after),
        ("ridge regression on the same data", gain.ridge),
    ):
        print(f"  {what:34}{values.mean():7.3f}")
    print(f"{bundle.directory}: digest {bundle.digest}")
    return 0

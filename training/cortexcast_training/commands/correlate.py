"""Map what goes together in preprocessed EEG and fMRI: sources with electrodes, rhythms with voxels."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to correlate and how."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of `cortexcast data prepare`")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where maps and tables go")
    parser.add_argument("--config", type=Path, metavar="FILE", help="how, TOML (default: as documented)")


def main(args: argparse.Namespace) -> int:
    """Correlate, and print how much was found."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from cortexcast_training.eegfmri.correlate import CorrelateSettings, correlate
    from cortexcast_training.toml_file import read_toml

    settings = read_toml(args.config, CorrelateSettings, {})
    with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()) as progress:
        task = progress.add_task("reading")
        n_sources, n_voxels = correlate(
            args.folder,
            args.out,
            settings,
            lambda what, done, of: progress.update(task, description=what, completed=done, total=of),
        )
    print(
        f"{args.out}: at a false discovery rate of {settings.level:g}, {n_voxels} voxels correlate with a rhythm, and "
        f"{n_sources} pairs of electrode and source, over all bands; sources are made of electrodes, so these always do"
    )
    return 0

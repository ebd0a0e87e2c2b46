"""Simulate recordings whose truth is known."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to simulate and where to."""
    targets = parser.add_subparsers(dest="target", required=True)
    meg = targets.add_parser("meg", help="simultaneous EEG and MEG of a face experiment, in the layout of ds000117")
    meg.add_argument("out", type=Path, metavar="OUT", help="the folder to write, empty or not there yet")
    meg.add_argument("--subjects", type=int, metavar="N", help="how many (default 1)")
    meg.add_argument("--runs", type=int, metavar="N", help="recordings of each subject (default 1)")
    meg.add_argument("--duration", type=float, metavar="SECONDS", help="of each recording (default 60)")
    meg.add_argument("--seed", type=int, metavar="N", help="another one gives other subjects (default 0)")
    meg.add_argument("--config", type=Path, metavar="FILE", help="TOML with these and all other settings; flags win")


def main(args: argparse.Namespace) -> int:
    """Simulate with a progress bar."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from cortexcast_training.cohort import Cohort, write_cohort
    from cortexcast_training.toml_file import read_toml

    flags = {
        "subjects": args.subjects,
        "runs": args.runs,
        "recording.duration_s": args.duration,
        "seed": args.seed,
    }
    cohort = read_toml(args.config, Cohort, flags)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("sources", total=cohort.subjects * (1 + cohort.runs))
        write_cohort(cohort, args.out, lambda what, done: progress.update(task, description=what, completed=done))
    recorded = f"{cohort.runs} × {cohort.recording.duration_s:g} s" if cohort.runs > 1 else ""
    recorded = recorded or f"{cohort.recording.duration_s:g} s"
    print(f"{args.out}: {cohort.subjects} simulated subjects, {recorded} of EEG and MEG each")
    return 0

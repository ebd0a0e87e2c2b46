"""Simulate recordings whose truth is known."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to simulate and where to."""
    targets = parser.add_subparsers(dest="target", required=True)
    meg = targets.add_parser("meg", help="simultaneous EEG and MEG of a face experiment, in the layout of ds000117")
    meg.add_argument("--subjects", type=int, metavar="N", help="how many (default 1)")
    meg.add_argument("--runs", type=int, metavar="N", help="recordings of each subject (default 1)")
    meg.add_argument("--duration", type=float, metavar="SECONDS", help="of each recording (default 60)")
    eegfmri = targets.add_parser("eegfmri", help="simultaneous EEG and fMRI of films, in the layout of NATVIEW")
    eegfmri.add_argument("--subjects", type=int, metavar="N", help="how many (default 1)")
    eegfmri.add_argument("--films", type=int, metavar="N", help="that each subject watches (default 1)")
    eegfmri.add_argument("--duration", type=float, metavar="SECONDS", help="of each film (default 300)")
    for target in (meg, eegfmri):
        target.add_argument("out", type=Path, metavar="OUT", help="the folder to write, empty or not there yet")
        target.add_argument("--seed", type=int, metavar="N", help="another one gives other subjects (default 0)")
        target.add_argument(
            "--config", type=Path, metavar="FILE", help="TOML with these and all other settings; flags win"
        )


def main(args: argparse.Namespace) -> int:
    """Simulate with a progress bar."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("reading")

        def say(what: str, done: int, of: int) -> None:
            progress.update(task, description=what, completed=done, total=of)

        said = (_meg if args.target == "meg" else _eegfmri)(args, say)
    print(f"{args.out}: {said}")
    return 0


def _meg(args: argparse.Namespace, say: Callable[[str, int, int], None]) -> str:
    from cortexcast_training.cohort import Cohort, write_cohort
    from cortexcast_training.toml_file import read_toml

    flags = {"subjects": args.subjects, "runs": args.runs, "recording.duration_s": args.duration, "seed": args.seed}
    cohort = read_toml(args.config, Cohort, flags)
    write_cohort(cohort, args.out, say)
    recorded = _times(cohort.runs, cohort.recording.duration_s)
    return f"{cohort.subjects} simulated subjects, {recorded} of EEG and MEG each"


def _eegfmri(args: argparse.Namespace, say: Callable[[str, int, int], None]) -> str:
    from cortexcast_training.eegfmri.film_cohort import FilmCohort, write_film_cohort
    from cortexcast_training.toml_file import read_toml

    flags = {"subjects": args.subjects, "films": args.films, "film_s": args.duration, "seed": args.seed}
    cohort = read_toml(args.config, FilmCohort, flags)
    write_film_cohort(cohort, args.out, say)
    return f"{cohort.subjects} simulated subjects, {_times(cohort.films, cohort.film_s)} of EEG and fMRI each"


def _times(number: int, duration_s: float) -> str:
    return f"{number} × {duration_s:g} s" if number > 1 else f"{duration_s:g} s"

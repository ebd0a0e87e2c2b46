"""Fetch the public data sets that models are trained on, see what of them is there, and prepare recordings."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what can be done with data sets."""
    steps = parser.add_subparsers(dest="step", required=True)
    fetch = steps.add_parser("fetch", help="fetch a public data set, or go on with it")
    fetch.add_argument(
        "dataset", choices=["ds000117", "natview"], help="EEG and MEG of faces, or EEG and fMRI of films"
    )
    fetch.add_argument("--to", type=Path, metavar="FOLDER", help="where it goes (default: a folder of its name)")
    fetch.add_argument("--subjects", nargs="+", default=[], metavar="SUBJECT", help="these alone, such as sub-01")
    fetch.add_argument("--runs", nargs="+", default=[], metavar="RUN", help="these alone, such as 01")
    fetch.add_argument(
        "--derivatives",
        action="store_true",
        help="of ds000117 MEG cleaned of what comes from outside the head (SSS) in place of it as recorded; of natview "
        "what its makers preprocessed as well",
    )
    fetch.add_argument("--dry-run", action="store_true", help="only tell which files, and how many bytes")
    status = steps.add_parser("status", help="what was fetched, and whether it is still there")
    status.add_argument("folder", type=Path, metavar="FOLDER", help="of a data set that was fetched")
    status.add_argument("--verify", action="store_true", help="read every file and compare its checksum")
    prepare = steps.add_parser("prepare", help="make of recordings of EEG and MEG what 'train meg' reads")
    prepare.add_argument("dataset", type=Path, metavar="DATASET", help="a BIDS data set")
    prepare.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where it goes")
    prepare.add_argument(
        "--config", type=Path, metavar="RECIPE", help="whose [prepare] says how (default: as documented)"
    )
    prepare.add_argument("--subjects", nargs="+", default=[], metavar="SUBJECT", help="these alone, such as sub-01")
    prepare.add_argument("--runs", nargs="+", default=[], metavar="RUN", help="these alone, such as 01")
    prepare.add_argument(
        "--proc", default="", metavar="NAME", help="recordings of this processing among the derivatives, such as sss"
    )
    who = prepare.add_mutually_exclusive_group()
    who.add_argument("--workers", type=_positive, metavar="N", help="processes on this machine (default: one a core)")
    who.add_argument(
        "--cluster", default="", metavar="ADDRESS", help="a Dask scheduler whose workers do it, such as tcp://head:8786"
    )


def main(args: argparse.Namespace) -> int:
    """Do it; 1 where something is missing in the end."""
    return {"fetch": _fetch, "status": _status, "prepare": _prepare}[args.step](args)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _fetch(args: argparse.Namespace) -> int:
    from cortexcast_training.disk_space import check_space
    from cortexcast_training.fetch.bucket import Bucket
    from cortexcast_training.fetch.catalogue import DATASETS, Wanted
    from cortexcast_training.fetch.fetching import N_CONNECTIONS, fetch, missing, planned, remaining_bytes

    dataset, folder = DATASETS[args.dataset], args.to or Path(args.dataset)
    bucket = Bucket(dataset.bucket, N_CONNECTIONS)
    files = planned(args.dataset, Wanted(tuple(args.subjects), tuple(args.runs), args.derivatives), bucket)
    if args.dry_run:
        for file in files:
            print(f"{file.size:>14,}  {file.path}")
    n_bytes = sum(file.size for file in files)
    print(f"{dataset.title}: {len(files)} files, {n_bytes:,} bytes\n{dataset.terms}")
    if args.dry_run:
        return 0
    with _Bar("looking at what is there", n_bytes) as bar:
        lacking = missing(args.dataset, files, folder, bar.say)
    n_missing = remaining_bytes(lacking, folder)
    check_space(n_missing, folder, "make room, or fetch fewer subjects or runs")
    with _Bar("fetching", n_missing) as bar:
        failures = fetch(args.dataset, lacking, folder, bucket, bar.say)
    for failure in failures:
        print(failure, file=sys.stderr)
    print(
        f"{folder}: {len(files) - len(lacking)} files were there, {len(lacking) - len(failures)} were fetched"
        + (f", {len(failures)} are missing: fetch again" if failures else "")
    )
    return 1 if failures else 0


def _status(args: argparse.Namespace) -> int:
    from cortexcast_training.fetch.status import State, status

    entries = status(args.folder, verify=args.verify)
    by_subject: dict[str, list[State]] = {}
    for entry in entries:
        by_subject.setdefault(entry.subject or "for all", []).append(entry.state)
    for subject, states in sorted(by_subject.items()):
        counts = ", ".join(f"{states.count(state)} {state}" for state in State if state in states)
        print(f"{subject}: {counts}")
    wrong = [entry for entry in entries if entry.state is not State.THERE]
    for entry in wrong:
        print(f"{entry.path}: {entry.state}", file=sys.stderr)
    total = sum(entry.size for entry in entries)
    datasets = ", ".join(sorted({entry.dataset for entry in entries}))
    print(f"{args.folder}: {datasets}, {len(entries)} files, {total:,} bytes" + ("; fetch again" if wrong else ""))
    return 1 if wrong else 0


def _prepare(args: argparse.Namespace) -> int:
    """All recordings that are not prepared yet; says which could not be, and why."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from cortexcast_training.bids_files import find_recordings
    from cortexcast_training.prepare import PrepareSettings
    from cortexcast_training.prepared_dataset import prepare_dataset
    from cortexcast_training.recipe import Recipe
    from cortexcast_training.toml_file import read_toml
    from cortexcast_training.workers import Workers

    settings = PrepareSettings() if args.config is None else read_toml(args.config, Recipe, {}).prepare
    files = find_recordings(args.dataset, args.proc, args.subjects, args.runs)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        tasks = {what: progress.add_task(what, total=None) for what in ("empty rooms", "recordings")}
        failed = prepare_dataset(
            files,
            settings,
            args.out,
            Workers(args.workers or 0, args.cluster),
            lambda what, done, of: progress.update(tasks[what], completed=done, total=of),
        )
    for name, reason in failed.items():
        print(f"cortexcast: {name}: {reason}", file=sys.stderr)
    print(f"{args.out}: {len(files) - len(failed)} of {len(files)} recordings")
    return 1 if failed else 0


class _Bar:
    """A progress bar of bytes."""

    def __init__(self, what: str, n_bytes: int) -> None:
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.progress import TransferSpeedColumn as Speed

        columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), Speed(), TimeRemainingColumn()
        self._progress = Progress(*columns, transient=True)
        self._task = self._progress.add_task(what, total=n_bytes)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, n_bytes: int) -> None:
        """So many bytes more."""
        self._progress.advance(self._task, n_bytes)

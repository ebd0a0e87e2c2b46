"""Fetch the public data sets that models are trained on, and see what of them is there."""

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


def main(args: argparse.Namespace) -> int:
    """Do it; 1 where something is missing in the end."""
    return _fetch(args) if args.step == "fetch" else _status(args)


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

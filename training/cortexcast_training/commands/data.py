"""Fetch the public data sets that models are trained on, see what of them is there, and prepare recordings."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    prepare = steps.add_parser("prepare", help="make of recordings what models are trained on")
    prepare.add_argument(
        "dataset", type=Path, metavar="DATASET", help="EEG and MEG, or EEG and fMRI, recorded together, in BIDS"
    )
    prepare.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where it goes")
    prepare.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="how, TOML: for MEG the recipe to train by, whose [prepare] counts; for fMRI [eeg] and [bold] (default: "
        "as documented)",
    )
    prepare.add_argument("--subjects", nargs="+", default=[], metavar="SUBJECT", help="these alone, such as sub-01")
    who = prepare.add_mutually_exclusive_group()
    who.add_argument("--workers", type=_positive, metavar="N", help="processes on this machine (default: one a core)")
    who.add_argument(
        "--cluster", default="", metavar="ADDRESS", help="a Dask scheduler whose workers do it, such as tcp://head:8786"
    )
    meg = prepare.add_argument_group("EEG and MEG")
    meg.add_argument("--runs", nargs="+", default=[], metavar="RUN", help="these alone, such as 01")
    meg.add_argument(
        "--proc", default="", metavar="NAME", help="recordings of this processing among the derivatives, such as sss"
    )
    fmri = prepare.add_argument_group("EEG and fMRI")
    fmri.add_argument("--tasks", nargs="+", default=[], metavar="TASK", help="these alone, such as dme")
    fmri.add_argument("--fmriprep", type=Path, metavar="FOLDER", help="fMRIPrep's derivatives, not BOLD as recorded")
    fmri.add_argument(
        "--stimuli", type=Path, metavar="FOLDER", help="what is seen: a <task>.npz each (default: DATASET/stimuli)"
    )
    frames = steps.add_parser("frames", help="make of a film's frames what is seen in each volume, by an encoder")
    frames.add_argument("folder", type=Path, metavar="FOLDER", help="of images, in the order of their names")
    frames.add_argument(
        "--encoder", type=Path, required=True, metavar="FILE", help="ONNX, (n, 3, height, width) to (n, d)"
    )
    frames.add_argument("--fps", type=float, required=True, metavar="N", help="frames a second")
    frames.add_argument("--tr", type=float, required=True, metavar="SECONDS", help="from volume to volume of the scan")
    frames.add_argument("--out", type=Path, required=True, metavar="FILE", help="such as stimuli/<task>.npz")
    frames.add_argument("--config", type=Path, metavar="FILE", help="how images are scaled for the encoder, TOML")


def main(args: argparse.Namespace) -> int:
    """Do it; 1 where something is missing in the end."""
    return {"fetch": _fetch, "status": _status, "prepare": _prepare, "frames": _frames}[args.step](args)


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
    """All that is not prepared yet; says what could not be, and why."""
    from cortexcast_training.bids_files import holds_meg
    from cortexcast_training.toml_file import SettingsError

    is_meg = holds_meg(args.dataset)
    others = ("tasks", "fmriprep", "stimuli") if is_meg else ("runs", "proc")
    if given := [f"--{name}" for name in others if getattr(args, name)]:
        kind = "EEG and MEG" if is_meg else "EEG and fMRI"
        raise SettingsError(f"{args.dataset} is of {kind}, for which there is no {', '.join(given)}")
    failed, n, what = _prepare_meg(args) if is_meg else _prepare_fmri(args)
    for name, reason in failed.items():
        print(f"cortexcast: {name}: {reason}", file=sys.stderr)
    print(f"{args.out}: {n - len(failed)} of {n} {what}")
    return 1 if failed else 0


def _prepare_meg(args: argparse.Namespace) -> tuple[dict[str, str], int, str]:
    from cortexcast_training.bids_files import find_recordings
    from cortexcast_training.prepare import PrepareSettings
    from cortexcast_training.prepared_dataset import prepare_dataset
    from cortexcast_training.recipe import Recipe
    from cortexcast_training.toml_file import read_toml
    from cortexcast_training.workers import Workers

    settings = PrepareSettings() if args.config is None else read_toml(args.config, Recipe, {}).prepare
    files = find_recordings(args.dataset, args.proc, args.subjects, args.runs)
    workers = Workers(args.workers or 0, args.cluster)
    with _counting("empty rooms", "recordings") as say:
        failed = prepare_dataset(args.dataset, args.proc, files, settings, args.out, workers, say)
    return failed, len(files), "recordings"


def _prepare_fmri(args: argparse.Namespace) -> tuple[dict[str, str], int, str]:
    from cortexcast_training.eegfmri.eegfmri_files import find_runs
    from cortexcast_training.eegfmri.eegfmri_preprocessing import EegFmriSettings, preprocess_all
    from cortexcast_training.toml_file import read_toml
    from cortexcast_training.workers import Workers

    settings = read_toml(args.config, EegFmriSettings, {})
    runs = find_runs(args.dataset, args.fmriprep, args.stimuli, args.subjects, args.tasks)
    workers = Workers(args.workers or 0, args.cluster)
    with _counting("runs") as say:
        failed = preprocess_all(runs, settings, args.out, workers, lambda done: say("runs", done, len(runs)))
    return failed, len(runs), "runs; what to look at is in sub-*/figures"


def _frames(args: argparse.Namespace) -> int:
    from cortexcast_training.eegfmri.frames import Encoder, FrameSettings, encode, frames_of
    from cortexcast_training.eegfmri.stimulus import write_stimulus
    from cortexcast_training.toml_file import read_toml

    settings = read_toml(args.config, FrameSettings, {"fps": args.fps, "tr_s": args.tr})
    found, encoder = frames_of(args.folder), Encoder(args.encoder, settings)
    with _counting("volumes") as say:
        stimulus = encode(found, encoder, settings, lambda done, of: say("volumes", done, of))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_stimulus(args.out, stimulus)
    n_volumes, n_dimensions = stimulus.embedding.shape
    print(f"{args.out}: {n_volumes} volumes of {settings.tr_s:g} s, {n_dimensions} dimensions")
    return 0


@contextmanager
def _counting(*whats: str) -> Iterator[Callable[[str, int, int], None]]:
    """Progress bars by what is counted; gives what hears how many are done, and of how many."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        tasks = {what: progress.add_task(what, total=None) for what in whats}
        yield lambda what, done, of: progress.update(tasks[what], completed=done, total=of)


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

"""Preprocess recordings of EEG and fMRI, or the frames of a film, into what models are trained on."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the kinds of data and what each needs."""
    kinds = parser.add_subparsers(dest="kind", required=True)
    both = kinds.add_parser("eegfmri", help="simultaneous EEG and fMRI in BIDS, as NATVIEW lays it out")
    both.add_argument("dataset", type=Path, metavar="DATASET", help="the folder of all subjects")
    both.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="where everything goes that comes of it"
    )
    both.add_argument("--config", type=Path, metavar="FILE", help="how, TOML (default: as documented)")
    both.add_argument(
        "--fmriprep", type=Path, metavar="FOLDER", help="fMRIPrep's derivatives, instead of BOLD as recorded"
    )
    both.add_argument(
        "--stimuli", type=Path, metavar="FOLDER", help="what is seen: a <task>.npz each (default: DATASET/stimuli)"
    )
    both.add_argument("--subjects", nargs="+", default=[], metavar="SUBJECT", help="these alone, such as sub-01")
    both.add_argument("--tasks", nargs="+", default=[], metavar="TASK", help="these alone, such as dme")

    frames = kinds.add_parser("frames", help="a film's frames: what is seen in each volume, by an encoder of images")
    frames.add_argument("folder", type=Path, metavar="FOLDER", help="of images, in the order of their names")
    frames.add_argument(
        "--encoder", type=Path, required=True, metavar="FILE", help="ONNX, (n, 3, height, width) to (n, d)"
    )
    frames.add_argument("--fps", type=float, required=True, metavar="N", help="frames a second")
    frames.add_argument("--tr", type=float, required=True, metavar="SECONDS", help="from volume to volume of the scan")
    frames.add_argument("--out", type=Path, required=True, metavar="FILE", help="such as stimuli/<task>.npz")
    frames.add_argument("--config", type=Path, metavar="FILE", help="how images are scaled for the encoder, TOML")


def main(args: argparse.Namespace) -> int:
    """Do it, with a progress bar."""
    return _frames(args) if args.kind == "frames" else _eegfmri(args)


def _frames(args: argparse.Namespace) -> int:
    from rich.progress import Progress

    from cortexcast_training.eegfmri.frames import Encoder, FrameSettings, encode, frames_of
    from cortexcast_training.eegfmri.stimulus import write_stimulus
    from cortexcast_training.toml_file import read_toml

    settings = read_toml(args.config, FrameSettings, {"fps": args.fps, "tr_s": args.tr})
    found, encoder = frames_of(args.folder), Encoder(args.encoder, settings)
    with Progress() as progress:
        task = progress.add_task("volumes")
        stimulus = encode(found, encoder, settings, lambda done, of: progress.update(task, completed=done, total=of))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_stimulus(args.out, stimulus)
    n_volumes, n_dimensions = stimulus.embedding.shape
    print(f"{args.out}: {n_volumes} volumes of {settings.tr_s:g} s, {n_dimensions} dimensions")
    return 0


def _eegfmri(args: argparse.Namespace) -> int:
    """All runs that are not preprocessed yet; says which could not be, and why."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from cortexcast_training.eegfmri.eegfmri_files import find_runs
    from cortexcast_training.eegfmri.eegfmri_preprocessing import EegFmriSettings, preprocess_all
    from cortexcast_training.toml_file import read_toml

    settings = read_toml(args.config, EegFmriSettings, {})
    runs = find_runs(args.dataset, args.fmriprep, args.stimuli, args.subjects, args.tasks)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("runs", total=len(runs))
        failed = preprocess_all(runs, settings, args.out, lambda done: progress.update(task, completed=done))
    for stem, reason in failed.items():
        print(f"cortexcast: {stem}: {reason}", file=sys.stderr)
    print(f"{args.out}: {len(runs) - len(failed)} of {len(runs)} runs; what to look at is in sub-*/figures")
    return 1 if failed else 0

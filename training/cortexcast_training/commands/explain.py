"""Mask every moment of EEG and every part of the brain, in models of fMRI and stimulus, and report which matter."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is masked, in which models, and how."""
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="folder of the report; what is done there is not done again"
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--runs", type=Path, metavar="FOLDER", help="of `cortexcast data prepare`, or of *.run.npz")
    what.add_argument(
        "--benchmark",
        action="store_true",
        help="simulated runs instead, whose drivers are known: how well they are found",
    )
    what.add_argument("--timing", action="store_true", help="noise instead: how long it takes, by how much is masked")
    what.add_argument("--summary", action="store_true", help="print what was found in OUT, and do nothing else")
    parser.add_argument(
        "--model",
        action="append",
        metavar="BUNDLE",
        help="bundle of fMRI or stimulus: a shipped name, or a folder; again for both (default: the shipped ones)",
    )
    parser.add_argument(
        "--resolution", choices=("parcel", "voxel"), default="parcel", help="of what is masked of the brain"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="how, TOML (default: as documented)")


def main(args: argparse.Namespace) -> int:
    """Explain, and print what was found."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from cortexcast_models.bundle import DEFAULTS, read_bundle
    from cortexcast_training.masking.benchmark import BenchmarkSettings, as_text, benchmark
    from cortexcast_training.masking.explain import ExplainError, ExplainSettings
    from cortexcast_training.masking.explanation import REPORT, explain, masked_runs, nets_of, read_summary
    from cortexcast_training.masking.timing import as_text as text_of_timings
    from cortexcast_training.masking.timing import timings
    from cortexcast_training.toml_file import read_toml

    if args.summary:
        print(read_summary(args.out), end="")
        return 0
    settings = read_toml(args.config, ExplainSettings, {})
    if args.resolution == "voxel" and not args.runs:
        raise ExplainError("only recorded runs have voxels to choose: leave --resolution out")
    nets, models = nets_of([read_bundle(name) for name in args.model or (DEFAULTS["fmri"], DEFAULTS["stimulus"])])
    given = ["--benchmark"] if args.benchmark else ["--runs", str(args.runs), "--resolution", args.resolution]
    given += [part for name in args.model or () for part in ("--model", name)]
    given += ["--config", str(args.config)] if args.config else []
    command = shlex.join(["cortexcast", "explain", str(args.out), *given])
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns) as progress:
        task = progress.add_task("reading")

        def say(what: str, done: int, of: int) -> None:
            progress.update(task, description=what, completed=done, total=of)

        if args.timing:
            lines = text_of_timings(timings(nets, settings, args.out, say))
        elif args.benchmark:
            lines = as_text(benchmark(nets, models, BenchmarkSettings(), settings, args.out, command, say))
        else:
            masked = masked_runs(args.runs, args.resolution)
            lines = explain(masked, nets, models, settings, args.out, command, say).lines
    print("\n".join(lines))
    if not args.timing:
        print(f"{args.out / REPORT}: the whole report, with tables and maps beside it")
    return 0

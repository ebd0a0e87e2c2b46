"""Mask every moment of EEG and every part of the brain, in models of fMRI and stimulus, and report which matter."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is masked, in which models, and how."""
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="folder of the report; what is done there is not done again"
    )
    parser.add_argument(
        "--runs", type=Path, metavar="FOLDER", help="of `cortexcast preprocess eegfmri`, or of *.run.npz"
    )
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
    parser.add_argument(
        "--benchmark", action="store_true", help="of simulated runs, whose drivers are known: how well they are found"
    )
    parser.add_argument("--summary", action="store_true", help="print what was found in OUT, and do nothing else")


def main(args: argparse.Namespace) -> int:
    """Explain, and print what was found."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from cortexcast_models.bundle import DEFAULTS, read_bundle
    from cortexcast_training.masking.benchmark import BenchmarkSettings, as_text, benchmark
    from cortexcast_training.masking.explain import ExplainError, ExplainSettings
    from cortexcast_training.masking.explanation import REPORT, explain, masked_runs, nets_of, read_summary
    from cortexcast_training.toml_file import read_toml

    if args.summary:
        print(read_summary(args.out), end="")
        return 0
    if (args.runs is None) != args.benchmark:
        raise ExplainError(
            "name the runs to explain, --runs FOLDER, or ask for the --benchmark, which simulates its own"
        )
    settings = read_toml(args.config, ExplainSettings, {})
    bundles = [read_bundle(name) for name in args.model or (DEFAULTS["fmri"], DEFAULTS["stimulus"])]
    nets, models = nets_of(bundles)
    command = f"cortexcast explain {args.out} " + ("--benchmark" if args.benchmark else f"--runs {args.runs}")
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns) as progress:
        task = progress.add_task("reading")

        def say(what: str, done: int, of: int) -> None:
            progress.update(task, description=what, completed=done, total=of)

        if args.benchmark:
            lines = as_text(benchmark(nets, models, BenchmarkSettings(), settings, args.out, command, say))
        else:
            masked = masked_runs(args.runs, args.resolution)
            _, lines = explain(masked, nets, models, settings, args.out, command, say)
    print("\n".join(lines))
    print(f"{args.out / REPORT}: the whole report, with tables and maps beside it")
    return 0

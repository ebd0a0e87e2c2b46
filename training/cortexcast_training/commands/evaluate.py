"""Judge a trained model on held-out subjects, against every baseline, and write its card."""

from __future__ import annotations

import argparse
from pathlib import Path

from cortexcast_training.recipe_arguments import add_recipe, as_given, read_recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the kinds of models and what each needs."""
    kinds = parser.add_subparsers(dest="kind", required=True)
    meg = kinds.add_parser("meg", help="a model of 'cortexcast train meg'")
    add_recipe(meg, "the recipe that it was trained by")
    meg.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the folder that it was trained in")
    meg.add_argument("--subjects", type=int, metavar="N", help="simulated ones to judge it on (default 12)")
    meg.add_argument("--duration", type=float, metavar="SECONDS", help="of each; half is judged (default 120)")
    meg.add_argument("--shift-subjects", type=int, metavar="N", help="for each shift of the data (default 4)")
    meg.add_argument("--shift-duration", type=float, metavar="SECONDS", help="of each of these (default 60)")
    meg.add_argument(
        "--calibration",
        type=float,
        nargs="*",
        metavar="SECONDS",
        help="of a simulated subject's own recording to calibrate to, 10 or more each (default 10 60 300); it takes its"
        " time, as each subject is simulated longer by the longest; with none of them it is left out",
    )
    meg.add_argument(
        "--also",
        type=Path,
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="other runs, on fewer heads or of smaller nets, for learning curves",
    )


def main(args: argparse.Namespace) -> int:
    """Evaluate, write ``evaluation.json``, the card, and both into the bundle; print the card."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from cortexcast_training.benchmark import BenchmarkSettings
    from cortexcast_training.evaluate_meg import evaluate
    from cortexcast_training.toml_file import read_toml

    recipe = read_recipe(args)
    flags = {
        "subjects": args.subjects,
        "duration_s": args.duration,
        "shift_subjects": args.shift_subjects,
        "shift_duration_s": args.shift_duration,
        "calibration_s": args.calibration,
    }
    settings = read_toml(None, BenchmarkSettings, flags)
    given = [_given(name, value) for name, value in flags.items() if value is not None]
    given += [f"--also {' '.join(map(str, args.also))}"] if args.also else []
    command = " ".join(["cortexcast evaluate meg", as_given(args), f"--out {args.out}", *given])
    with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), transient=True) as progress:
        task = progress.add_task("reading")
        card = evaluate(
            recipe,
            args.out,
            settings,
            args.also,
            command,
            lambda what, done, of: progress.update(task, description=what, completed=done, total=of),
        )
    print(card.read_text(encoding="utf-8"))
    print(f"{card}: the model card, with its plots beside it; both are in the bundle now")
    return 0


def _given(name: str, value: float | list[float]) -> str:
    """A flag as on the command line."""
    values = value if isinstance(value, list) else [value]
    return " ".join([f"--{name.removesuffix('_s').replace('_', '-')}", *(f"{each:g}" for each in values)])

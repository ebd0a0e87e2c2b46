"""Judge a trained model on held-out subjects, against every baseline, and write its card."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the kinds of models and what each needs."""
    kinds = parser.add_subparsers(dest="kind", required=True)
    meg = kinds.add_parser("meg", help="a model of 'cortexcast train meg'")
    meg.add_argument("--config", type=Path, required=True, metavar="FILE", help="the recipe that it was trained by")
    meg.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the folder that it was trained in")
    meg.add_argument("--subjects", type=int, metavar="N", help="simulated ones to judge it on (default 12)")
    meg.add_argument("--shift-subjects", type=int, metavar="N", help="and for each shift of the data (default 4)")


def main(args: argparse.Namespace) -> int:
    """Evaluate, write ``evaluation.json`` and the card, and print the card."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from cortexcast_training.benchmark import BenchmarkSettings
    from cortexcast_training.evaluate_meg import evaluate
    from cortexcast_training.recipe import Recipe
    from cortexcast_training.toml_file import read_toml

    recipe = read_toml(args.config, Recipe, {})
    settings = read_toml(None, BenchmarkSettings, {"subjects": args.subjects, "shift_subjects": args.shift_subjects})
    command = f"cortexcast evaluate meg --config {args.config} --out {args.out}"
    with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), transient=True) as progress:
        task = progress.add_task("reading")
        card = evaluate(
            recipe,
            args.out,
            settings,
            command,
            lambda what, done, of: progress.update(task, description=what, completed=done, total=of),
        )
    print(card.read_text(encoding="utf-8"))
    print(f"{card}: the model card, with its plots beside it")
    return 0

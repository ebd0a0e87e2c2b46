"""Judge a trained model on held-out subjects, against every baseline, and write its card."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cortexcast_training.recipe_arguments import add_recipe, as_given, read_recipe

_Flags = dict[str, Any]
"""What was given on the command line, by setting."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the kinds of models and what each needs."""
    kinds = parser.add_subparsers(dest="kind", required=True)
    meg = _kind(kinds, "meg")
    meg.add_argument("--duration", type=float, metavar="SECONDS", help="of each; half is judged (default 120)")
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
    for kind in ("fmri", "stimulus"):
        vae = _kind(kinds, kind)
        vae.add_argument(
            "--films", type=int, metavar="N", help="that each subject watches, the same for all (default 2)"
        )


def _kind(kinds: argparse._SubParsersAction[argparse.ArgumentParser], kind: str) -> argparse.ArgumentParser:
    parser = kinds.add_parser(kind, help=f"a model of 'cortexcast train {kind}'")
    add_recipe(parser, "the recipe that it was trained by")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the folder that it was trained in")
    parser.add_argument("--subjects", type=int, metavar="N", help="simulated ones to judge it on (default 12)")
    parser.add_argument("--shift-subjects", type=int, metavar="N", help="for each shift of the data (default 4)")
    return parser


def main(args: argparse.Namespace) -> int:
    """Evaluate, write ``evaluation.json``, the card, and both into the bundle; print the card."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), transient=True) as progress:
        task = progress.add_task("reading")

        def say(what: str, done: int, of: int) -> None:
            progress.update(task, description=what, completed=done, total=of)

        card = _evaluate_meg(args, say) if args.kind == "meg" else _evaluate_vae(args, say)
    print(card.read_text(encoding="utf-8"))
    print(f"{card}: the model card, with its plots beside it; both are in the bundle now")
    return 0


def _evaluate_meg(args: argparse.Namespace, say: Callable[[str, int, int], None]) -> Path:
    from cortexcast_training.benchmark import BenchmarkSettings
    from cortexcast_training.evaluate_meg import evaluate
    from cortexcast_training.recipe import Recipe
    from cortexcast_training.toml_file import read_toml

    recipe = read_recipe(args, Recipe)
    flags: _Flags = {
        "subjects": args.subjects,
        "duration_s": args.duration,
        "shift_subjects": args.shift_subjects,
        "shift_duration_s": args.shift_duration,
        "calibration_s": args.calibration,
    }
    _check_simulated(flags, simulated=recipe.simulation is not None)
    settings = read_toml(None, BenchmarkSettings, flags)
    also = [f"--also {' '.join(map(str, args.also))}"] if args.also else []
    return evaluate(recipe, args.out, settings, args.also, " ".join([_command(args, flags), *also]), say)


def _evaluate_vae(args: argparse.Namespace, say: Callable[[str, int, int], None]) -> Path:
    from cortexcast_training.eegfmri.evaluate_fmri import evaluate
    from cortexcast_training.eegfmri.fmri_benchmark import FmriBenchmarkSettings
    from cortexcast_training.eegfmri.fmri_recipe import FmriRecipe
    from cortexcast_training.toml_file import read_toml

    recipe = read_recipe(args, FmriRecipe)
    flags: _Flags = {"subjects": args.subjects, "films": args.films, "shift_subjects": args.shift_subjects}
    _check_simulated(flags, simulated=recipe.simulation is not None)
    settings = read_toml(None, FmriBenchmarkSettings, flags)
    return evaluate(recipe, args.kind, args.out, settings, _command(args, flags), say)


def _check_simulated(flags: _Flags, *, simulated: bool) -> None:
    """Make sure that nobody asks for simulated subjects of a recipe that has recorded ones."""
    from cortexcast_training.toml_file import SettingsError

    given = [_flag(name) for name, value in flags.items() if value is not None]
    if given and not simulated:
        raise SettingsError(f"{', '.join(given)}: the recipe holds recorded subjects out, nobody is simulated")


def _command(args: argparse.Namespace, flags: _Flags) -> str:
    """What was typed."""
    given = [_given(name, value) for name, value in flags.items() if value is not None]
    return " ".join([f"cortexcast evaluate {args.kind}", as_given(args), f"--out {args.out}", *given])


def _given(name: str, value: float | list[float]) -> str:
    """A flag and its value as on the command line."""
    values = value if isinstance(value, list) else [value]
    return " ".join([_flag(name), *(f"{each:g}" for each in values)])


def _flag(name: str) -> str:
    return f"--{name.removesuffix('_s').replace('_', '-')}"

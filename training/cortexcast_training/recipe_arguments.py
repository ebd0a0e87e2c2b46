"""A recipe on a command line: its file, and what is to stand in place of some of it."""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cortexcast_training.toml_file import Settings


def add_recipe(parser: argparse.ArgumentParser, meaning: str) -> None:
    """Declare the arguments, the recipe being what ``meaning`` says."""
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help=f"{meaning}, TOML")
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="what stands in place of the recipe's, such as fit.seed=1",
    )


def read_recipe(args: argparse.Namespace, kind: type[Settings]) -> Settings:
    """The recipe, of what ``kind`` describes.

    Raises:
        SettingsError: it cannot be used, or what is to stand in it is not KEY=VALUE.
    """
    from cortexcast_training.toml_file import read_toml

    return read_toml(args.config, kind, dict(_setting(text) for text in args.set))


def as_given(args: argparse.Namespace) -> str:
    """The arguments as on the command line."""
    return " ".join([f"--config {args.config}", *(["--set", *args.set] if args.set else [])])


def _setting(text: str) -> tuple[str, Any]:
    from cortexcast_training.toml_file import SettingsError

    key, _, value = text.partition("=")
    if not all(key.split(".")) or not value:
        raise SettingsError(f"{text!r} is not KEY=VALUE, such as fit.n_windows=140000")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:  # a word without quotes
        return key, value

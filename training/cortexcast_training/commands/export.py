"""Build a shipped model bundle, or data that ship with the models, from physics."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to export and where to."""
    targets = parser.add_subparsers(dest="target", required=True)
    for target, meaning, kind in (
        ("meg-leadfield", "the minimum norm map from EEG to MEG on a template head", "folder"),
        ("simulated-head", "the head that the demo shows", "file"),
        ("standard-positions", "the table of 10-05 electrode positions", "file"),
    ):
        parser_of_target = targets.add_parser(target, help=meaning)
        parser_of_target.add_argument(
            "--out", type=Path, metavar=kind.upper(), help=f"the {kind} to write (default: the one that ships)"
        )


def main(args: argparse.Namespace) -> int:
    """Export and print what came out."""
    if args.target == "meg-leadfield":
        _leadfield(args.out)
    elif args.target == "simulated-head":
        _head(args.out)
    else:
        _positions(args.out)
    return 0


def _leadfield(out: Path | None) -> None:
    from cortexcast_models.bundle import SHIPPED
    from cortexcast_training.leadfield import lead_fields
    from cortexcast_training.leadfield_bundle import NAME, export

    bundle = export(out or SHIPPED / NAME, lead_fields())
    for metric in bundle.manifest.metrics:
        print(f"{metric.name}: {metric.value:g}")
    print(f"{bundle.directory}: digest {bundle.digest}")


def _head(out: Path | None) -> None:
    from cortexcast_models.simulation.head import FILE, pack_head
    from cortexcast_training.simulated_head import simulated_head

    path, head = out or FILE, simulated_head()
    path.write_bytes(pack_head(head))
    print(f"{path}: {len(head.eeg)} electrodes and {len(head.meg)} sensors over {head.eeg.shape[1]} patches of cortex")


def _positions(out: Path | None) -> None:
    from cortexcast_models.bundle import SHIPPED
    from cortexcast_training.standard_positions import write

    path = out or SHIPPED.with_name("standard_1005.tsv")
    print(f"{path}: {write(path)} electrodes")

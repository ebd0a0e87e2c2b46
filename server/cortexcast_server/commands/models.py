"""List, show or verify model bundles."""

from __future__ import annotations

import argparse

from cortexcast_models.bundle import check_golden, read_bundle, shipped_bundles
from cortexcast_server.inference import load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare list, show and verify."""
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="the shipped bundles, a line each")
    for action, meaning in (
        ("show", "what a bundle is, reads and gives"),
        ("verify", "check every sha256, the graph's shapes and its golden tensors"),
    ):
        actions.add_parser(action, help=meaning).add_argument("bundle", help="name of a shipped one, or a folder")


def main(args: argparse.Namespace) -> int:
    """Do it."""
    if args.action == "list":
        for name in shipped_bundles():
            manifest = read_bundle(name).manifest
            print(f"{name:24}{manifest.version:8}{manifest.product:9}{manifest.trained_on:11}{manifest.description}")
    elif args.action == "show":
        _show(args.bundle)
    else:
        _verify(args.bundle)
    return 0


def _show(name: str) -> None:
    bundle = read_bundle(name)
    manifest = bundle.manifest
    types = ", ".join(
        f"{sum(c.type == kind for c in manifest.channels)} {kind}"
        for kind in sorted({c.type for c in manifest.channels})
    )
    rows = {
        "name": f"{manifest.name} {manifest.version}",
        "folder": bundle.directory,
        "digest": bundle.digest,
        "description": manifest.description,
        "trained on": manifest.trained_on,
        "reads": f"{len(manifest.montage)} EEG channels at {manifest.rate_hz:g} Hz, {manifest.window} samples",
        "gives": f"{types}, {manifest.hop} samples a hop, look-ahead {manifest.lookahead}",
        "built by": manifest.built_by,
        "licence": manifest.licence,
        "intended use": manifest.intended_use,
    }
    for key, value in rows.items():
        print(f"{key:14}{value}")
    for metric in manifest.metrics:
        interval = "" if metric.ci95 is None else f" (95 % CI {metric.ci95[0]:g} to {metric.ci95[1]:g})"
        print(f"{'metric':14}{metric.name}: {metric.value:g}{interval}, from `{metric.command}`")


def _verify(name: str) -> None:
    bundle = read_bundle(name)
    deviations = check_golden(bundle, load(bundle))
    print(f"{bundle.manifest.name} {bundle.manifest.version}: {len(bundle.manifest.files)} files have their sha256")
    allowed = bundle.manifest.golden.tolerance
    for output, deviation in deviations.items():
        print(f"golden output {output!r}: deviates by {deviation:.2g} of its RMS, allowed {allowed:g}")

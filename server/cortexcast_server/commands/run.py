"""Estimate MEG from a recording offline: writes a _raw.fif with mag and grad channels."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.progress import Progress

from cortexcast_models.bundle import DEFAULT, read_bundle
from cortexcast_server.inference import load
from cortexcast_server.offline import check_output, estimate
from cortexcast_server.recording import Recording


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("file", type=Path, help="recording: .fif, .set, .vhdr, .edf, .bdf or .xdf")
    parser.add_argument(
        "--out", "-o", type=Path, metavar="FILE", help="where to write (default: FILE_meg_raw.fif, here)"
    )
    parser.add_argument("--model", default=DEFAULT, help="bundle: the name of a shipped one, or a folder")
    parser.add_argument("--unit", help="unit of the EEG, where the recording declares a wrong one")
    parser.add_argument("--overwrite", action="store_true", help="replace the output where it exists")


def main(args: argparse.Namespace) -> int:
    """Run it with a progress bar."""
    out = args.out or Path(f"{args.file.name.split('.')[0].removesuffix('_raw')}_meg_raw.fif")
    check_output(out, args.file, overwrite=args.overwrite)
    bundle = read_bundle(args.model)
    infer = load(bundle)
    recording = Recording(args.file)
    with Progress() as progress:
        task = progress.add_task(recording.name, total=recording.n_samples)
        written = estimate(recording, bundle.manifest, infer, out, args.unit, lambda n: progress.advance(task, n))
    print(f"{out}: {len(bundle.manifest.channels)} channels, {written.n_samples / written.rate_hz:.1f} s")
    for note in written.notes:
        print(f"note: {note}")
    return 0

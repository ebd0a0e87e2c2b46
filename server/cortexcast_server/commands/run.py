"""Estimate MEG, fMRI or what is seen from a recording offline, and write it to files that other programs read."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.progress import Progress

from cortexcast_models.bundle import DEFAULTS, Bundle, BundleError, read_bundle
from cortexcast_server.inference import load
from cortexcast_server.offline import OutputError, check_output, estimate
from cortexcast_server.offline_courses import MOST_VOLUMES, Courses, courses, write_table, write_volumes
from cortexcast_server.recording import Recording

_ENDINGS = {"meg": "_meg_raw.fif", "fmri": "_fmri.nii.gz", "stimulus": "_stimulus.tsv"}
_TR_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("file", type=Path, help="recording: .fif, .set, .vhdr, .edf, .bdf or .xdf")
    parser.add_argument(
        "--product",
        choices=_ENDINGS,
        help="meg writes a _raw.fif, fmri a 4-D NIfTI and tables of parcels, stimulus tables (default: the model's)",
    )
    parser.add_argument(
        "--out", "-o", type=Path, metavar="FILE", help="where to write (default: FILE_meg_raw.fif and so on, here)"
    )
    parser.add_argument("--model", help="bundle: the name of a shipped one, or a folder (default: the product's)")
    parser.add_argument("--tr", type=float, default=_TR_S, metavar="SECONDS", help="from volume to volume (default 1)")
    parser.add_argument("--unit", help="unit of the EEG, where the recording declares a wrong one")
    parser.add_argument("--overwrite", action="store_true", help="replace the output where it exists")


def main(args: argparse.Namespace) -> int:
    """Run it with a progress bar."""
    bundle = read_bundle(args.model or DEFAULTS[args.product or "meg"])
    product = bundle.manifest.product
    if args.product not in (None, product):
        raise BundleError(
            f"{bundle.manifest.name} is a model of {product}: ask for --product {product}, or name another"
        )
    if args.tr < 1 / bundle.manifest.estimate_hz:
        raise OutputError(f"--tr {args.tr:g}: the model gives an estimate every {1 / bundle.manifest.estimate_hz:g} s")
    out = args.out or Path(f"{args.file.name.split('.')[0].removesuffix('_raw')}{_ENDINGS[product]}")
    tables = _tables(out) if product != "meg" else {}
    check_output(out, args.file, product, overwrite=args.overwrite)
    for table in tables.values():
        check_output(table, args.file, "table", overwrite=args.overwrite)
    infer, recording = load(bundle), Recording(args.file)
    if product == "fmri" and recording.n_samples / recording.rate_hz / args.tr > MOST_VOLUMES:
        least = recording.n_samples / recording.rate_hz / MOST_VOLUMES
        raise OutputError(f"a NIfTI file holds {MOST_VOLUMES} volumes at most: give --tr {least:.2g} or more")
    with Progress() as progress:
        task = progress.add_task(recording.name, total=recording.n_samples)

        def say(n: int) -> None:
            progress.advance(task, n)

        if product == "meg":
            written = estimate(recording, bundle.manifest, infer, out, args.unit, say)
            said, notes = f"{out}: {_size(bundle)}, {written.n_samples / written.rate_hz:.1f} s", written.notes
        else:
            given = courses(recording, bundle.manifest, infer, args.unit, say)
            said, notes = _write(given, bundle, out, tables, args.tr), given.notes
    print(said)
    for note in notes:
        print(f"note: {note}")
    return 0


def _tables(out: Path) -> dict[str, Path]:
    """Where the estimates and their standard deviations go."""
    stem = out.name.removesuffix(".gz").removesuffix(".nii").removesuffix(".tsv")
    return {"values": out.with_name(f"{stem}.tsv"), "std": out.with_name(f"{stem}_std.tsv")}


def _write(given: Courses, bundle: Bundle, out: Path, tables: dict[str, Path], tr_s: float) -> str:
    names = [channel.name for channel in bundle.manifest.channels]
    write_table(tables["values"], given.times, names, given.values)
    if given.std is not None:
        write_table(tables["std"], given.times, names, given.std)
    if bundle.manifest.product == "stimulus":
        return f"{out}: {_size(bundle)}, {len(given.times)} estimates"
    n_volumes = write_volumes(out, given, bundle, tr_s)
    return (
        f"{out}: {n_volumes} volumes of {tr_s:g} s; {tables['values']}: {_size(bundle)}, {len(given.times)} estimates"
    )


def _size(bundle: Bundle) -> str:
    return f"{len(bundle.manifest.channels)} channels"

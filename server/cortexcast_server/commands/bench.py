"""Measure this machine: the floor of latency, the whole path through the daemon, and how it stands to the targets."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cortexcast_models.bundle import DEFAULT, DEFAULTS, Bundle, read_bundle
from cortexcast_server.bench.figures import as_text, compare
from cortexcast_server.bench.headset import CHUNK, N_CHANNELS, RATE_HZ
from cortexcast_server.bench.machine import describe
from cortexcast_server.bench.peer import BenchError
from cortexcast_server.bench.run import run
from cortexcast_server.lsl_config import private_network

_RESULTS = Path("bench", "results")
_MIN_S = 1.0
_OTHERS = [name for name in DEFAULTS.values() if name != DEFAULT]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="of the whole path; the rest in proportion (default 20)"
    )
    parser.add_argument("--model", default=DEFAULT, help="bundle: the name of a shipped one, or a folder")
    parser.add_argument(
        "--beside",
        nargs="*",
        metavar="MODEL",
        help="bundles of other products, served beside it in a run more (default: the shipped ones; or none)",
    )
    parser.add_argument(
        "--out", type=Path, default=_RESULTS, metavar="FOLDER", help=f"saves the run (default {_RESULTS})"
    )
    parser.add_argument("--compare", type=Path, metavar="FILE", help="a saved run: print the ratio of this one to it")
    parser.add_argument("--json", action="store_true", help="print what is saved, and no table")


def main(args: argparse.Namespace) -> int:
    """Measure, print, save. A target that is missed is a result, not a failure."""
    if args.seconds < _MIN_S:
        raise BenchError(f"--seconds {args.seconds:g} is too short for percentiles: give {_MIN_S:g} or more")
    earlier = _read(args.compare) if args.compare else None
    bundle = read_bundle(args.model)
    names = _OTHERS if args.beside is None else args.beside
    others = [read_bundle(name) for name in names]
    with _private_network():
        record: dict[str, Any] = {"machine": describe(), "settings": _settings(bundle, others, args.seconds)}
        results = run(bundle, others, args.seconds, lambda line: print(line, file=sys.stderr, flush=True))
    record["machine"]["load_after"] = round(os.getloadavg()[0], 2)
    record["results"] = results.as_json()
    if earlier:
        record["compared"] = {"to": str(args.compare), "ratios": compare(record["results"], earlier["results"])}
    print(json.dumps(record) if args.json else _text(record, as_text(results)))
    print(f"saved as {_save(record, args.out)}", file=sys.stderr)
    return 0


def _settings(bundle: Bundle, others: list[Bundle], seconds: float) -> dict[str, Any]:
    manifest = bundle.manifest
    return {
        "seconds": seconds,
        "model": f"{manifest.name} {manifest.version}",
        "digest": bundle.digest,
        "beside": {other.manifest.name: other.digest for other in others},
        "hop_ms": 1e3 * manifest.hop / manifest.rate_hz,
        "n_eeg": N_CHANNELS,
        "n_meg": len(manifest.channels),
        "rate_hz": RATE_HZ,
        "chunk": CHUNK,
    }


@contextmanager
def _private_network() -> Iterator[None]:
    """An LSL network of this run's own, for this process and all that it starts. liblsl reads it at its first use."""
    with tempfile.TemporaryDirectory(prefix="cortexcast-bench-") as folder:
        path = Path(folder, "lsl_api.cfg")
        path.write_text(private_network())
        os.environ["LSLAPICFG"] = str(path)
        yield


def _text(record: dict[str, Any], table: str) -> str:
    machine, settings = record["machine"], record["settings"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, load {machine['load'][0]} before, {machine['load_after']} after",
        f"{settings['model']}: {settings['n_eeg']} channels at {settings['rate_hz']:g} Hz in chunks of "
        f"{settings['chunk']} to {settings['n_meg']} channels, a hop each {settings['hop_ms']:g} ms",
        "",
        table,
    ]
    if "compared" in record:
        compared = record["compared"]
        lines += ["", f"{'ratio to ' + compared['to']:42}"]
        lines += [f"{name:42}{ratio:9.2f}" for name, ratio in compared["ratios"].items()]
    return "\n".join(lines)


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BenchError(f"{path} is not JSON: {error}") from None
    if not isinstance(record, dict) or "results" not in record:
        raise BenchError(f"{path} is not a saved run of 'cortexcast bench': it has no results")
    return record


def _save(record: dict[str, Any], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{record['machine']['date'].replace(':', '')}.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path

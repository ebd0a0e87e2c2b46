"""Record what a daemon sends to a .fif that MNE-Python reads: EEG, MEG, or both in one file.

It goes on through the daemon's restarts and a lost network, until Ctrl-C, SIGTERM or --duration. What is missing is NaN
under the annotation BAD_gap, what came without signal is under BAD_no_signal, markers are annotations. Products of one
rate may share a file, as eeg and meg; fmri and stimulus become channels of type misc. Standard deviations are not kept.

While it records, the samples lie in the folder FILE.partial. It becomes FILE at the end and is kept if that fails, as
when the disk is full, or if the program is killed: --recover then makes FILE of it. Exit code 1 if no frame arrived.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from cortexcast_client.connection import DEFAULT_URL, AsyncConnection
from cortexcast_client.errors import RecordingError
from cortexcast_client.recording import GAP, NO_SIGNAL, Recording

_ENDING = "_raw.fif"
_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments of ``cortexcast record``."""
    parser.add_argument("url", nargs="?", default=DEFAULT_URL, metavar="URL", help="default: %(default)s")
    parser.add_argument("--out", "-o", type=Path, required=True, metavar="FILE", help=f"where to, *{_ENDING}")
    parser.add_argument(
        "--product", action="append", metavar="NAME", help="what to record; may be repeated (default: meg)"
    )
    parser.add_argument("--session", metavar="ID", help="one session of the daemon's (default: the one there is)")
    parser.add_argument("--duration", type=float, metavar="S", help="stop after S seconds (default: Ctrl-C)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file where it exists")
    parser.add_argument(
        "--recover", action="store_true", help="make the file of what an earlier record to it left, without recording"
    )


def main(args: Namespace) -> int:
    """Record, then write the file."""
    from cortexcast_client import mne_raw  # first of all: nobody shall record for hours and then learn that it lacks

    out: Path = args.out
    _check_output(out, overwrite=args.overwrite)
    partial = out.with_name(f"{out.name}.partial")
    _prepare(partial, recover=args.recover)
    failure: Exception | None = None
    with _opened(partial) as recording:
        if not args.recover:
            try:
                asyncio.run(_record(args, recording))
            except Exception as error:  # whatever it is, what came before it is kept
                failure = error
        if recording.n_samples:
            with _keeping(partial, out):
                mne_raw.save(recording, partial / out.name)
                _move(partial, out)
            print("\n".join(_said(recording, out, args.product or ["meg"])))
    shutil.rmtree(partial)
    if failure is not None:
        raise failure
    if not recording.n_samples:
        raise RecordingError("no frame arrived, so there is no file: 'cortexcast streams' lists the headsets there are")
    return 0


def _check_output(out: Path, *, overwrite: bool) -> None:
    """Find out before the work whether its result can be kept."""
    if not out.name.endswith(_ENDING):
        raise RecordingError(f"{out}: name the output *{_ENDING}, as MNE expects of raw data")
    if not out.parent.is_dir():
        raise RecordingError(f"{out.parent} is not a folder: make it first")
    if out.exists() and not overwrite:
        raise RecordingError(f"{out} exists: choose another name, or add --overwrite")


def _prepare(partial: Path, *, recover: bool) -> None:
    if recover:
        if not partial.is_dir():
            raise RecordingError(f"there is no {partial} to recover")
        return
    try:
        partial.mkdir()
    except FileExistsError:
        raise RecordingError(
            f"{partial} is there: another record writes to it, or one was cut off; then add --recover to make its file"
        ) from None


@contextmanager
def _opened(partial: Path) -> Iterator[Recording]:
    with ExitStack() as files:

        def open_file(name: str) -> IO[bytes]:
            descriptor = os.open(partial / name, os.O_RDWR | os.O_CREAT, 0o666)
            file = files.enter_context(open(descriptor, "r+b", buffering=0))  # noqa: PTH123
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RecordingError(
                    f"another record writes to {partial}: end that one, and it makes the file"
                ) from None
            return file

        yield Recording(open_file)


async def _record(args: Namespace, recording: Recording) -> None:
    task = asyncio.create_task(_take(args, recording))
    for number in _END:
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await asyncio.wait({task}, timeout=args.duration)
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()


async def _take(args: Namespace, recording: Recording) -> None:
    async with AsyncConnection(args.url, args.product or ["meg"], session=args.session) as connection:
        async for event in connection.events():
            recording.add(event, connection)


@contextmanager
def _keeping(partial: Path, out: Path) -> Iterator[None]:
    """If the block fails, say where the recording lies."""
    kept = f"what came is kept in {partial}: 'cortexcast record --recover --out {out}' makes the file of it"
    try:
        yield
    except OSError as error:
        for half in partial.glob(f"*{out.suffix}"):
            half.unlink()
        raise RecordingError(f"cannot write {out}: {error.strerror or error}; {kept}") from None
    except KeyboardInterrupt:
        sys.stderr.write(f"cortexcast: {out} is not written; {kept}\n")
        raise


def _move(partial: Path, out: Path) -> None:
    """Give every part its place, the first one last: where it stands, all of them do."""
    parts = sorted(partial.glob(f"*{out.suffix}"), key=lambda part: part.name == out.name)
    for part in parts:
        part.replace(out.with_name(part.name))


def _said(recording: Recording, out: Path, wanted: list[str]) -> Iterator[str]:
    """What a person should know of what was written, a line each."""
    names = [product.name for product in recording.products]
    n_channels = sum(len(product.channels) for product in recording.products)
    yield f"{out}: {' and '.join(names)}, {n_channels} channels, {recording.rate_hz:g} Hz, {recording.duration_s:.1f} s"
    annotations = recording.annotations()
    for label, meaning in ((GAP, "missing"), (NO_SIGNAL, "without signal")):
        lengths = [annotation.duration_s for annotation in annotations if annotation.label == label]
        if lengths:
            yield f"note: {meaning} {len(lengths)} times, {sum(lengths):.1f} s in all: NaN there, annotated as {label}"
    if abs(recording.drift_s) * recording.rate_hz > 1:
        yield f"note: the headset's clock and the computer's came {1e3 * abs(recording.drift_s):.0f} ms apart"
    missed = [name for name in wanted if name not in names]
    if missed:
        yield f"note: no frame of {' or '.join(missed)} arrived"

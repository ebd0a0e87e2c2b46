"""Watch a daemon's frames: rates, latency, losses, flags and markers, once a second.

Latency is what comes on top of the signal delay: from the newest EEG sample that a frame needed to its
arrival here. "lost" counts holes in the sequence numbers, "dropped" those of them that the daemon skipped
because this reader was slow. The totals come last. Exit code 1 if no frame arrived.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from contextlib import suppress

from cortexcast_client.connection import DEFAULT_URL, AsyncConnection
from cortexcast_client.messages import Marker
from cortexcast_client.tally import Record, Tally, as_text
from cortexcast_client.wire import Frame

INTERVAL_S = 1.0

_PRODUCTS = ("eeg", "meg", "fmri", "stimulus")

Show = Callable[[Record], None]


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments of ``cortexcast watch``."""
    parser.add_argument("url", nargs="?", default=DEFAULT_URL, metavar="URL", help="default: %(default)s")
    parser.add_argument(
        "--product",
        action="append",
        metavar="NAME",
        help=f"one of these, or meg_recorded; may be repeated (default: {', '.join(_PRODUCTS)}, as far as served)",
    )
    parser.add_argument("--session", metavar="ID", help="one session of the daemon's (default: all)")
    parser.add_argument("--duration", type=float, metavar="S", help="stop after S seconds (default: Ctrl-C)")
    parser.add_argument("--format", choices=["binary", "json"], default="binary", help="how frames travel")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def main(args: Namespace) -> int:
    """Watch for ``--duration`` or until Ctrl-C."""
    tally = Tally()
    show = _show_json if args.json else _show_text
    started = time.monotonic()
    with suppress(KeyboardInterrupt):
        asyncio.run(_watch(args, tally, show))
    show(tally.total(time.monotonic() - started))
    if tally.n_frames == 0:
        sys.stderr.write("cortexcast: no frame arrived: 'cortexcast streams' lists the headsets there are\n")
        return 1
    return 0


async def _watch(args: Namespace, tally: Tally, show: Show) -> None:
    url = args.url if args.format == "binary" else f"{args.url}?format=json"
    names = args.product or list(_PRODUCTS)
    async with AsyncConnection(url, names, session=args.session) as connection:
        tasks = {
            asyncio.create_task(_count(connection, tally, show)),
            asyncio.create_task(_summarise(connection, names, tally, show)),
        }
        # Neither task ends but by an error, which is then ours.
        done, pending = await asyncio.wait(tasks, timeout=args.duration, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()


async def _count(connection: AsyncConnection, tally: Tally, show: Show) -> None:
    async for event in connection.events():
        if isinstance(event, Frame):
            product = connection.product(event)
            latency_s = product.latency(event, unix_now=time.time(), clock_offset=connection.clock_offset)
            tally.frame(event, product, latency_s)
        else:
            record = tally.marker(event) if isinstance(event, Marker) else tally.status(event)
            if record is not None:
                show(record)


async def _summarise(connection: AsyncConnection, names: list[str], tally: Tally, show: Show) -> None:
    before = time.monotonic()
    while True:
        await asyncio.sleep(INTERVAL_S)
        now = time.monotonic()
        offered = [product for product in connection.products if product.name in names]
        show(tally.summary(now - before, offered))
        before = now


def _show_json(record: Record) -> None:
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


def _show_text(record: Record) -> None:
    sys.stdout.write(as_text(record) + "\n")
    sys.stdout.flush()

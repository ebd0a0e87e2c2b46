"""Show it all: a simulated or recorded headset through real LSL, served, and watched by a client of its own process."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cortexcast_server.inference import model_names
from cortexcast_server.lsl_config import quiet
from cortexcast_server.protocol import Agreement
from cortexcast_server.runner import running_daemon, stop_event, websocket_url
from cortexcast_server.session import Session
from cortexcast_server.settings import Settings, add_models, load_settings
from cortexcast_server.simulated_recording import DURATION_S


class DemoError(Exception):
    """The demo did not show what it should."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help="replay this recording in place of a simulated one; where it holds MEG, the estimate is compared with it",
    )
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="stop by itself after so long")
    parser.add_argument("--port", type=int, help="port to listen on (default 8765; 0 takes a free one)")
    add_models(parser)


def main(args: argparse.Namespace) -> int:
    """Simulate, replay, serve, watch."""
    quiet()
    settings = load_settings(None, {"port": args.port, "models": args.models})
    source = (
        f"simulating {DURATION_S:g} s of EEG and the MEG behind it" if args.data is None else f"reading {args.data}"
    )
    print(f"{source}; the EEG is replayed in a loop through LSL ...", flush=True)
    asyncio.run(_demo(settings, args.data, args.duration))
    return 0


async def _demo(settings: Settings, data: Path | None, duration_s: float | None) -> None:
    with stop_event() as stop:
        async with running_daemon(settings) as (daemon, base):
            if data is None:
                session, _ = await daemon.open_demo()
            else:
                query = await asyncio.to_thread(daemon.replay, data, loop=True)
                session = await daemon.open_session(query, settings.unit, settings.wait_s)
            print(f"serving {model_names(daemon.models)} at {websocket_url(base)}")
            print(f"see it at {base} · subscribe with 'cortexcast watch {websocket_url(base)}' · stop with Ctrl-C")
            async with _watching(websocket_url(base), duration_s) as lines:
                await _report(
                    lines, session, "the true MEG of the simulation" if data is None else f"the MEG in {data}", stop
                )


@asynccontextmanager
async def _watching(url: str, duration_s: float | None) -> AsyncIterator[asyncio.StreamReader]:
    """A client in a process of its own, as a user's would be."""
    command = [sys.executable, "-m", "cortexcast_client", "watch", url, "--json"]
    if duration_s is not None:
        command += ["--duration", str(duration_s)]
    # Its own session, so that Ctrl-C is ours to pass on, once there is something to report.
    watcher = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, start_new_session=True)
    assert watcher.stdout is not None
    try:
        yield watcher.stdout
    finally:
        if watcher.returncode is None:
            watcher.terminate()
        await watcher.wait()


async def _report(lines: asyncio.StreamReader, session: Session, truth: str, stop: asyncio.Event) -> None:
    stopping = asyncio.ensure_future(stop.wait())
    while True:
        reading = asyncio.ensure_future(lines.readline())
        await asyncio.wait([reading, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            reading.cancel()
            return
        if not reading.result():
            raise DemoError("the watching client ended early")
        record = json.loads(reading.result())
        if record["type"] == "summary":
            for product in record["products"]:
                print(_line(product), flush=True)
            if agreement := session.status().agreement:
                print(_agreement_line(agreement, truth), flush=True)
        elif record["type"] == "total":
            stopping.cancel()
            _account(record, session, truth)
            return


def _line(product: dict[str, Any]) -> str:
    latency = product["latency_ms"] or {"p50": float("nan"), "p99": float("nan")}
    return (
        f"{product['product']:8} {product['frames_per_s']:5.1f} frames/s  {product['samples_per_s']:5.0f} samples/s  "
        f"latency p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms  lost {product['lost']}"
    )


def _agreement_line(agreement: Agreement, truth: str) -> str:
    explained = ", ".join(f"{value:.2f} ({kind})" for kind, value in agreement.explained_variance.items())
    median_r = ", ".join(f"{value:.2f} ({kind})" for kind, value in agreement.median_r.items())
    return (
        f"estimate against {truth}, last {agreement.seconds:.0f} s: explained variance {explained}, median r {median_r}"
    )


def _account(total: dict[str, Any], session: Session, truth: str) -> None:
    if not total["frames"]:
        raise DemoError("no frame arrived in that time")
    status, latency = session.status(), total["latency_ms"]
    print(
        f"{total['frames']} frames received · {status.samples_in} EEG samples in, {status.samples_out} MEG samples "
        f"out · lost = {total['lost']} · latency p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms"
    )
    if status.agreement:
        print(_agreement_line(status.agreement, truth))
    if total["lost"] or status.gaps:
        raise DemoError(f"{total['lost']} frames lost, {status.gaps} gaps in the EEG: is this machine too busy?")

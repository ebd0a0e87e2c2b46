"""Serve MEG-like channels live from an LSL EEG stream, or from a recording replayed as one."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import suppress
from pathlib import Path

from cortexcast_server.daemon import Daemon
from cortexcast_server.inference import model_names
from cortexcast_server.lsl_config import quiet
from cortexcast_server.runner import running_daemon, stop_event, websocket_url
from cortexcast_server.session import Session
from cortexcast_server.settings import Settings, SettingsError, add_models, load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags; each overrides the setting of the same name (docs/settings.md)."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings (default: cortexcast.toml, where there is one)"
    )
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default 8765; 0 takes a free one)")
    add_models(parser)
    choice = parser.add_argument_group("which stream (default: the one of type EEG)")
    choice.add_argument("--name", help="the LSL stream of this name")
    choice.add_argument("--type", help="the LSL stream of this type")
    choice.add_argument("--source-id", help="the LSL stream of this source_id")
    choice.add_argument("--predicate", help="the LSL stream that this XPath predicate matches")
    choice.add_argument("--unit", help="unit of the EEG, where the stream declares none or a wrong one")
    choice.add_argument("--wait", type=float, dest="wait_s", metavar="SECONDS", help="wait so long for it (default 5)")
    choice.add_argument("--replay", type=Path, metavar="FILE", help="replay this recording through LSL and serve it")
    choice.add_argument("--loop", action="store_true", help="with --replay: begin again at its end")
    choice.add_argument(
        "--idle", action="store_true", help="serve no stream yet: sessions are opened over the HTTP API"
    )
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="stop by itself after so long")


def main(args: argparse.Namespace) -> int:
    """Serve until stopped."""
    if args.loop and not args.replay:
        raise SettingsError("--loop repeats a recording: name it with --replay FILE")
    quiet()
    flags = {key: value for key, value in vars(args).items() if key in Settings.model_fields}
    return asyncio.run(_serve(args, load_settings(args.config, flags)))


async def _serve(args: argparse.Namespace, settings: Settings) -> int:
    with stop_event() as stop:
        async with running_daemon(settings) as (daemon, base):
            print(
                f"cortexcast serves {model_names(daemon.models)} at {websocket_url(base)} · see it at {base}",
                flush=True,
            )
            streaming = asyncio.ensure_future(_stream(args, daemon))
            stopping = asyncio.ensure_future(stop.wait())
            done, pending = await asyncio.wait([streaming, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            if streaming in done:
                streaming.result()
    return 0


async def _stream(args: argparse.Namespace, daemon: Daemon) -> None:
    """Serve the stream that the arguments name, until its session fails or the time is up."""
    session = None if args.idle else await _open(args, daemon)
    with suppress(TimeoutError):
        async with asyncio.timeout(args.duration):
            if session is None:
                await asyncio.Event().wait()
            else:
                raise await daemon.failure(session)


async def _open(args: argparse.Namespace, daemon: Daemon) -> Session:
    settings = daemon.settings
    query = settings.query
    if args.replay:
        query = await asyncio.to_thread(daemon.replay, args.replay, loop=args.loop)
    session = await daemon.open_session(query, settings.unit, settings.wait_s)
    signal = session.signal
    print(
        f"session {session.id}: {signal.name!r}, {len(signal.channels)} EEG channels at {signal.rate_hz:g} Hz; "
        "stop with Ctrl-C",
        flush=True,
    )
    return session

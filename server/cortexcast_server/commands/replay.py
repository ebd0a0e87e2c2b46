"""Replay a recording through LSL as if it were a headset."""

from __future__ import annotations

import argparse
import asyncio
import sys
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from rich.progress import BarColumn, Progress, TextColumn

from cortexcast_server.http_errors import ANY_ERRORS, add_error_handlers
from cortexcast_server.lsl_config import quiet
from cortexcast_server.origin import refuse_other_origins
from cortexcast_server.player import Player
from cortexcast_server.recording import Recording, RecordingError
from cortexcast_server.replay_api import REPLAY_ERRORS, Replays, replay_router
from cortexcast_server.runner import bind, serving, stop_event

_REFRESH_S = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("file", type=Path, help="recording: .fif, .set, .vhdr, .edf, .bdf or .xdf")
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="seconds of signal a second (default 1)")
    parser.add_argument("--start", type=float, default=0.0, metavar="SECONDS", help="where to begin (default 0)")
    parser.add_argument("--loop", action="store_true", help="begin again at the end")
    parser.add_argument("--name", help="the LSL stream's name (default: the file's)")
    parser.add_argument(
        "--wait-for-consumer",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="let the first sample wait for a reader",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address for pause and seek by HTTP (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8766, help="its port (default 8766; 0 takes a free one)")


def main(args: argparse.Namespace) -> int:
    """Replay to the end, or until Ctrl-C."""
    quiet()
    asyncio.run(_replay(args))
    return 0


async def _replay(args: argparse.Namespace) -> None:
    replays = Replays()
    with stop_event() as stop, bind(args.host, args.port) as listener:
        async with serving(replay_app(replays), listener) as base:
            try:
                replay_id = replays.open(
                    args.file,
                    name=args.name,
                    speed=args.speed,
                    start_s=args.start,
                    loop=args.loop,
                    wait_for_consumer_s=args.wait_for_consumer,
                )
                player = replays.get(replay_id)
                print(describe(player.recording))
                print(f"pause and seek: {base}/api/v1/replays · stop with Ctrl-C", flush=True)
                await _follow(player, stop)
                if error := player.status().error:
                    raise RecordingError(error)
            finally:
                await asyncio.to_thread(replays.close_all)


def replay_app(replays: Replays) -> FastAPI:
    """The application that controls a process's replays."""
    app = FastAPI(title="cortexcast replay", version=version("cortexcast"), responses=ANY_ERRORS)
    add_error_handlers(app, REPLAY_ERRORS)
    refuse_other_origins(app)
    app.include_router(replay_router(replays))
    return app


def describe(recording: Recording) -> str:
    """A recording in a line: channels by type, rate, duration, annotations."""
    types = [channel.type for channel in recording.channels]
    channels = ", ".join(f"{types.count(kind)} {kind}" for kind in dict.fromkeys(types))
    return (
        f"{recording.name!r}: {channels} channels at {recording.rate_hz:g} Hz, {recording.duration_s:.1f} s, "
        f"{len(recording.annotations)} annotations"
    )


async def _follow(player: Player, stop: asyncio.Event) -> None:
    """Wait for the end, and on a terminal show how far it is."""
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.1f} / {task.total:.1f} s")
    with Progress(*columns, transient=True, disable=not sys.stdout.isatty()) as progress:
        task = progress.add_task("playing", total=player.recording.duration_s)
        while not (stop.is_set() or player.wait(0)):
            status = player.status()
            loops = f" (loop {status.loops + 1})" if status.loops else ""
            progress.update(task, description=status.state + loops, completed=status.position_s)
            await asyncio.sleep(_REFRESH_S)

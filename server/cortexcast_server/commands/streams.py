"""List the LSL streams on the network."""

from __future__ import annotations

import argparse
import json

from cortexcast_server.lsl_config import quiet
from cortexcast_server.lsl_streams import describe, resolve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("--wait", type=float, default=2.0, metavar="SECONDS", help="look for so long (default 2)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def main(args: argparse.Namespace) -> int:
    """Print a line a stream; 1 where there is none."""
    quiet()
    streams = resolve(look_s=args.wait)
    for info in streams:
        if args.json:
            row = {
                "name": info.name(),
                "type": info.type(),
                "source_id": info.source_id(),
                "uid": info.uid(),
                "host": info.hostname(),
                "n_channels": info.channel_count(),
                "rate_hz": info.nominal_srate(),
            }
            print(json.dumps(row))
        else:
            print(describe(info))
    if not streams and not args.json:
        print(
            "no LSL streams on the network: start one ('cortexcast replay FILE' makes one), or run 'cortexcast doctor'"
        )
    return 0 if streams else 1

"""liblsl's configuration: found where it looks for it, or our own quiet default."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pylsl

_QUIET = "[log]\nlevel = -2\n"  # errors alone
_PRIVATE_PORTS = range(20_000, 32_768)  # below the ephemeral ones
_PORTS = 64


def config_file() -> Path | None:
    """The configuration file that liblsl reads, or None where there is none."""
    candidates = [
        Path(os.environ["LSLAPICFG"]) if "LSLAPICFG" in os.environ else None,
        Path("lsl_api.cfg"),
        Path.home() / "lsl_api" / "lsl_api.cfg",
        Path("/etc/lsl_api/lsl_api.cfg"),
    ]
    return next((path for path in candidates if path is not None and path.is_file()), None)


def private_network() -> str:
    """A configuration whose processes see one another's streams and nobody else's, on this machine alone."""
    base = _PRIVATE_PORTS.start + _PORTS * secrets.randbelow(len(_PRIVATE_PORTS) // _PORTS)
    return (
        # Older liblsls do not find what answers a broadcast; they ask the known peers.
        f"[lab]\nSessionID = cortexcast-{secrets.token_hex(8)}\nKnownPeers = {{127.0.0.1}}\n"
        # The default range holds 16 outlets of a machine, whosoever they are.
        f"[ports]\nMulticastPort = {base}\nBasePort = {base + 1}\nPortRange = {_PORTS - 1}\n"
        # The scope "machine" is one unicast address, on which one outlet of several answers. This reaches them all.
        "[multicast]\nAddressesOverride = {127.255.255.255}\n"
        f"{_QUIET}"
    )


def quiet() -> None:
    """Keep liblsl's chatter off the terminal, unless the user configured liblsl. Call before any other use of it."""
    if config_file() is None:
        pylsl.set_config_content(_QUIET)

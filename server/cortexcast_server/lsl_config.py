"""liblsl's configuration: found where it looks for it, or our own quiet default."""

from __future__ import annotations

import os
from pathlib import Path

import pylsl


def config_file() -> Path | None:
    """The configuration file that liblsl reads, or None where there is none."""
    candidates = [
        Path(os.environ["LSLAPICFG"]) if "LSLAPICFG" in os.environ else None,
        Path("lsl_api.cfg"),
        Path.home() / "lsl_api" / "lsl_api.cfg",
        Path("/etc/lsl_api/lsl_api.cfg"),
    ]
    return next((path for path in candidates if path is not None and path.is_file()), None)


def quiet() -> None:
    """Keep liblsl's chatter off the terminal, unless the user configured liblsl. Call before any other use of it."""
    if config_file() is None:
        pylsl.set_config_content("[log]\nlevel = -2\n")  # errors alone

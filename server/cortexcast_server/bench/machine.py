"""The machine and the software that numbers were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pylsl

_PACKAGES = ("cortexcast", "numpy", "onnxruntime", "pylsl", "uvicorn", "fastapi", "websockets")
_CPU_INFO = Path("/proc/cpuinfo")


def describe() -> dict[str, Any]:
    """Date, processor, load, commit and versions, as a JSON object."""
    liblsl = pylsl.library_version()
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "system": platform.platform(),
        "python": platform.python_version(),
        "commit": _commit(),
        "versions": {name: version(name) for name in _PACKAGES} | {"liblsl": f"{liblsl // 100}.{liblsl % 100}"},
    }


def _cpu() -> str:
    if _CPU_INFO.exists():
        for line in _CPU_INFO.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor()


def _commit() -> str | None:
    """The checkout that runs, with "-dirty" where it was changed; None where it is an installed package."""
    here = Path(__file__)
    commands: tuple[list[str], ...] = (
        ["git", "ls-files", "--error-unmatch", here.name],
        ["git", "describe", "--always", "--dirty"],
    )
    try:
        *_, description = [subprocess.check_output(c, cwd=here.parent, stderr=subprocess.DEVNULL) for c in commands]  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
    return description.decode().strip()

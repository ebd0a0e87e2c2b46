"""Bring NiiVue into the wheel, where npm is there to fetch it: without it the dashboard shows the brain in slices."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WEB = Path("clients", "cortexcast_web")


class NiivueHook(BuildHookInterface[Any]):
    """Runs ``npm ci`` before a wheel is built, not where it is installed editable: there ``make`` does."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Fetch it, once; tell if that was not possible."""
        web = Path(self.root, WEB)
        if version == "editable" or (web / "site" / "vendor").exists():
            return
        npm = shutil.which("npm")
        if npm is None:
            self.app.display_warning("no npm: the dashboard will show the brain in slices only")
            return
        done = subprocess.run([npm, "ci", "--omit=dev"], cwd=web, stdout=sys.stderr, check=False)  # noqa: S603
        if done.returncode:
            self.app.display_warning("npm failed: the dashboard will show the brain in slices only")

"""A real browser for tests: headless Chromium, which reaches this machine alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, sync_playwright

FLAGS = (
    "--no-sandbox",  # which root cannot have
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@contextmanager
def open_page(*, offline: bool = False, width: int = 1280, height: int = 720) -> Iterator[Page]:
    """An empty page.

    Args:
        offline: whether it reaches nothing at all.
        width: of the window, in pixels.
        height: likewise.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        reason = "there is no Chromium: sudo apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(f"{reason}, which CI must have")
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield browser.new_context(offline=offline, viewport={"width": width, "height": height}).new_page()
        browser.close()

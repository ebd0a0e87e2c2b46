"""A browser, and a daemon that shows the demo, for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import open_browser
from daemon import Daemon, running
from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """With the shipped models and the demo's headset."""
    with running("--idle") as daemon:
        assert daemon.http("POST", "/api/v1/demo")[0] == 201
        yield daemon

"""What a page goes through: a daemon that restarts, a headset that leaves, a laptop that sleeps, many tabs."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from browser import open_dashboard
from daemon import Daemon, running
from factories import CAP, eeg_like
from headset import streaming
from playwright.sync_api import Browser, expect

ASLEEP_S = 60.0
TABS = 10
QUICK_MODEL = ("--model", "meg-leadfield", "--wait", "20")


def test_a_daemon_that_restarts(browser: Browser, tmp_path: Path) -> None:
    with streaming(), running(*QUICK_MODEL, cwd=tmp_path) as daemon, ExitStack() as stack:
        daemon.wait_for_session()
        dashboard = stack.enter_context(open_dashboard(browser, daemon.url))
        dashboard.wait_for_frames()
        session = dashboard.value("live.session")
        daemon.interrupt()
        assert daemon.finish() == 0
        connection = dashboard.page.locator("[data-field=connection] output")
        expect(connection).to_have_text("lost: trying again")
        # What was seen last stays to be looked at, and is not taken for what is now.
        expect(dashboard.page.locator("#live.old")).to_be_visible()
        expect(dashboard.page.locator("[data-field=source] output")).to_have_text("unknown")
        port = daemon.url.removesuffix("/ws").rsplit(":", 1)[1]
        with running("--port", port, *QUICK_MODEL, cwd=tmp_path):
            dashboard.wait(f"live.session !== '{session}'")
            dashboard.wait_for_frames()
            expect(connection).to_have_text("connected")
            # A browser tells in the console what it could not reach.
            dashboard.errors[:] = [each for each in dashboard.errors if "ERR_CONNECTION_REFUSED" not in each]
            stack.close()


def test_a_headset_that_leaves_and_returns(browser: Browser, tmp_path: Path) -> None:
    with running("--idle", *QUICK_MODEL, cwd=tmp_path) as daemon, open_dashboard(browser, daemon.url) as dashboard:
        page = dashboard.page
        source = page.locator("[data-field=source] output")
        with streaming("cap"):
            expect(page.locator("#connect")).to_be_visible()
            page.get_by_role("button", name="Look again").click()
            page.get_by_role("button", name="Connect cap").click()
            expect(page.locator("#live")).to_be_visible()
            dashboard.wait_for_frames()
            expect(source).to_have_text("live")
        expect(source).to_have_text(re.compile("^lost for"), timeout=20_000)
        expect(page.locator("#electrodes .note")).to_contain_text("0 of 70 good")
        session = dashboard.value("live.session")
        with streaming("cap"):
            expect(source).to_have_text("live", timeout=20_000)
            dashboard.wait_for_frames()
        assert dashboard.value("live.session") == session
        page.get_by_role("button", name="Connect", exact=True).click()
        page.get_by_role("button", name="Stop cap").click()
        expect(page.get_by_role("list", name="Sessions")).to_have_text("nothing yet")


@pytest.mark.timeout(240)
def test_a_laptop_that_sleeps(browser: Browser, daemon: Daemon) -> None:
    with open_dashboard(browser, daemon.url) as dashboard:
        dashboard.wait_for_frames()
        before = dashboard.value("live.latest.get('meg').sequence")
        with asleep():
            time.sleep(ASLEEP_S)
        # All that was missed is longer ago than what a daemon keeps; what comes is of now.
        dashboard.wait(f"live.latest.get('meg').sequence > {before} + {ASLEEP_S} * 25", timeout_s=60)
        dashboard.wait_for_frames()
        dashboard.wait("live.latency(0.5) !== null && live.latency(0.5) < 2")
        expect(dashboard.page.locator("[data-field=connection] output")).to_have_text("connected")


@contextmanager
def asleep() -> Iterator[None]:
    """Nothing of the browser runs, as where a lid is closed."""
    processes = [each for each in psutil.Process().children(recursive=True) if "chromium" in each.name()]
    assert len(processes) > 2
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


COUNT_FRAMES = """() => {
  const { client } = cortexcast, show = client.handlers.frame;
  window.counted = [];
  client.handlers.frame = (frame, product) => {
    if (product.product === "meg") window.counted.push([frame.sequence, frame.dropped]);
    show(frame, product);
  };
}"""
"""From here on, each frame's sequence number and how many were dropped before it."""


def test_ten_tabs_at_once(browser: Browser, tmp_path: Path) -> None:
    # The file's daemon replays the demo beside it: the headset is named.
    with streaming("cap"), running("--name", "cap", *QUICK_MODEL, cwd=tmp_path) as daemon, ExitStack() as stack:
        daemon.wait_for_session()
        # Small ones: a real browser paints only the tab in front, this one paints them all, without a graphics card.
        tabs = [stack.enter_context(open_dashboard(browser, daemon.url, width=400, height=300)) for _ in range(TABS)]
        for tab in tabs:
            tab.wait("live?.latest.has('meg')")
            tab.page.evaluate(COUNT_FRAMES)
        painted = [tab.value("pace.count") for tab in tabs]
        for tab, count in zip(tabs, painted, strict=True):
            tab.wait("window.counted.length > 100")
            (first, *_), *_, (last, *_) = frames = tab.value("window.counted")
            # Ten pages on a busy machine may be too slow, but then they know what they did not get.
            assert last - first + 1 - len(frames) == frames[-1][1] - frames[0][1]
            assert tab.value("live.status.gaps") == 0
            tab.wait(f"pace.count > {count}")


def test_electrodes_that_fell_off_are_told(browser: Browser, tmp_path: Path) -> None:
    data = 1e6 * eeg_like(len(CAP), 2500)
    data[3:] = 0.0
    with (
        streaming("loose", data=data.astype(np.float32)),
        running("--name", "loose", *QUICK_MODEL, cwd=tmp_path) as daemon,
    ):
        daemon.wait_for_session()
        with open_dashboard(browser, daemon.url) as dashboard:
            expect(dashboard.page.locator("#traces-meg .note")).to_contain_text("too few good electrodes")
            lines = dashboard.page.get_by_role("list", name="What is not good")
            for name in CAP[3:]:
                expect(lines).to_contain_text(f"{name}: left out, flat or not finite")


def test_a_recording_is_replayed_and_what_cannot_be_is_told(browser: Browser, tmp_path: Path, daemon: Daemon) -> None:
    with running("--idle", *QUICK_MODEL, cwd=tmp_path) as idle, open_dashboard(browser, idle.url) as dashboard:
        page = dashboard.page
        page.get_by_label("File on the daemon’s machine").fill(str(tmp_path / "missing_raw.fif"))
        page.get_by_role("button", name="Replay it").click()
        expect(page.get_by_role("alert")).to_contain_text("missing_raw.fif does not exist")
        # A name of its own: the file's daemon replays it too.
        file = tmp_path / "mine_raw.fif"
        file.symlink_to(daemon.http("GET", "/api/v1/replays")[1][0]["status"]["file"])
        page.get_by_label("File on the daemon’s machine").fill(str(file))
        page.get_by_role("button", name="Replay it").click()
        dashboard.wait_for_frames()
        expect(page.get_by_role("alert")).to_be_hidden()
        expect(page.locator(".replay")).to_be_visible()
        # Stopped, it is stopped altogether: it can be replayed again.
        page.get_by_role("button", name="Connect", exact=True).click()
        page.get_by_role("button", name="Stop mine_raw").click()
        expect(page.get_by_role("list", name="Sessions")).to_have_text("nothing yet")
        dashboard.wait("fetch('api/v1/replays').then((answer) => answer.json()).then((replays) => !replays.length)")
        page.get_by_role("button", name="Replay it").click()
        dashboard.wait("client.products.length > 0")
        dashboard.wait_for_frames()
        # Another replay of it that takes its place is controlled instead.
        expect(page.locator(".replay")).to_be_visible()
        (replay,) = idle.http("GET", "/api/v1/replays")[1]
        idle.http("DELETE", f"/api/v1/replays/{replay['id']}")
        expect(page.locator(".replay")).to_be_hidden()
        idle.http("POST", "/api/v1/replays", {"file": str(file), "loop": True})
        expect(page.locator(".replay")).to_be_visible(timeout=20_000)
        # The browser tells of every answer that is no success.
        dashboard.errors[:] = [each for each in dashboard.errors if "422" not in each]

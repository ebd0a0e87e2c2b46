"""The brain in three dimensions, where NiiVue is installed and WebGL is there, if only in software."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from browser import open_browser, open_dashboard
from daemon import Daemon
from needed import npm_package
from PIL import Image
from playwright.sync_api import expect


def test_the_brain_turns_in_three_dimensions(daemon: Daemon) -> None:
    npm_package("@niivue/niivue")
    with open_browser(webgl=True) as browser, open_dashboard(browser, daemon.url) as dashboard:
        dashboard.wait("live?.latest.has('fmri')")
        page = dashboard.page
        page.get_by_role("button", name="3-D").click()
        canvas = page.locator("#brain .picture:nth-of-type(3) canvas")
        expect(canvas).to_be_visible(timeout=60_000)
        dashboard.wait_for_frames("fmri", 4)
        with Image.open(BytesIO(page.locator("#brain").screenshot())) as shot:
            pixels = np.asarray(shot.convert("RGB")) // 16
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100  # a panel of text has a dozen

"""Take the pictures that the pages show: the demo, once it has run for a while. ``make screenshots``."""

from __future__ import annotations

import sys
from io import BytesIO
from typing import Literal

from browser import open_browser, open_dashboard
from daemon import running
from docs.pages import ROOT
from PIL import Image

IMAGES = ROOT / "docs" / "images"
SETTLED_S = 15

Picture = tuple[str, int, int, Literal["light", "dark"]]

PICTURES: list[Picture] = [
    ("dashboard", 1280, 720, "light"),
    ("dashboard-dark", 1280, 720, "dark"),
    ("dashboard-phone", 390, 844, "light"),
]


def keep(name: str, picture: bytes) -> None:
    """With 256 colours, which nobody sees, it is a third as large."""
    with Image.open(BytesIO(picture)) as image:
        image.convert("RGB").quantize(256).save(IMAGES / f"{name}.png", optimize=True)


def main() -> int:
    """Take them."""
    IMAGES.mkdir(exist_ok=True)
    # Drawn in software, WebGL is too slow to stand beside traces, so the brain is in slices but for one picture.
    with running("--idle") as daemon:
        daemon.http("POST", "/api/v1/demo")
        with open_browser() as browser:
            for name, width, height, theme in PICTURES:
                with open_dashboard(browser, daemon.url, width=width, height=height, theme=theme, scale=1) as dashboard:
                    dashboard.wait_for_frames("meg", 25 * SETTLED_S)
                    keep(name, dashboard.page.screenshot())
            with open_dashboard(browser, daemon.url, scale=1) as dashboard:
                dashboard.page.click("#to-connect")
                dashboard.page.get_by_role("button", name="Connect simulated_headset_raw").wait_for()
                keep("dashboard-connect", dashboard.page.screenshot())
        with (
            open_browser(webgl=True) as browser,
            open_dashboard(browser, daemon.url, width=800, height=600, scale=1) as dashboard,
        ):
            dashboard.wait("live?.latest.has('fmri')")
            dashboard.page.get_by_label("Enlarge fMRI").click()
            dashboard.page.get_by_role("button", name="3-D").click()
            dashboard.page.locator("#brain .picture >> nth=1").wait_for()
            dashboard.wait_for_frames("fmri", 8)
            keep("dashboard-brain", dashboard.page.locator("#brain").screenshot())
    print(*sorted(each.relative_to(ROOT).as_posix() for each in IMAGES.glob("dashboard*.png")), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A real browser for tests: headless Chromium, which reaches this machine alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from needed import needed_command
from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = (
    "--no-sandbox",  # which root cannot have
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # Tabs in the background are painted and timed as the one in front: there is no front here.
    "--disable-renderer-backgrounding",
)
NO_GPU = ("--disable-gpu",)
WEBGL = (
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    # What needs no WebGL is drawn as without a graphics card.
    "--disable-accelerated-2d-canvas",
    "--disable-gpu-rasterization",
)
"""In software; slow."""


@contextmanager
def open_browser(*, webgl: bool = False) -> Iterator[Browser]:
    """Chromium."""
    chromium = needed_command("chromium", "chromium")
    with sync_playwright() as playwright:
        flags = [*FLAGS, *(WEBGL if webgl else NO_GPU)]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()


@contextmanager
def open_page(*, offline: bool = False, width: int = 1280, height: int = 720) -> Iterator[Page]:
    """An empty page.

    Args:
        offline: whether it reaches nothing at all.
        width: of the window, in pixels.
        height: likewise.
    """
    with open_browser() as browser:
        yield browser.new_context(offline=offline, viewport={"width": width, "height": height}).new_page()


@dataclass
class Dashboard:
    """A daemon's page, and what it did that it should not."""

    page: Page
    base: str
    """The daemon's address, ``http://HOST:PORT``."""
    errors: list[str] = field(default_factory=list)
    """In the console."""
    elsewhere: list[str] = field(default_factory=list)
    """Requests to others than the daemon."""

    def wait(self, expression: str, timeout_s: float = 30.0) -> Any:
        """Wait until an expression of JavaScript is true; gives its value. ``live`` and ``client`` are the page's."""
        # Looked at by a clock: a page that is not painted has no frames to wait for.
        waiting = self.page.wait_for_function(self._with_names(expression), timeout=1e3 * timeout_s, polling=100)
        return waiting.json_value()

    def value(self, expression: str) -> Any:
        """The value of an expression of JavaScript."""
        return self.page.evaluate(self._with_names(expression))

    def field(self, name: str) -> str:
        """What the status bar says."""
        return self.page.inner_text(f"[data-field={name}] output")

    def wait_for_frames(self, product: str = "meg", n: int = 25) -> None:
        """Wait until so many more have come."""
        self.wait(f"live?.latest.has('{product}')")
        sequence = self.value(f"live.latest.get('{product}').sequence")
        self.wait(f"live.latest.get('{product}')?.sequence >= {sequence + n}")

    @staticmethod
    def _with_names(expression: str) -> str:
        return (
            f"() => {{ const {{ client, pace }} = cortexcast; const live = cortexcast.live(); return {expression}; }}"
        )


@contextmanager
def open_dashboard(
    browser: Browser,
    websocket: str,
    *,
    width: int = 1280,
    height: int = 720,
    theme: Literal["light", "dark"] = "light",
    scale: float = 0.5,
) -> Iterator[Dashboard]:
    """The page of the daemon whose WebSocket's address is given; it must not complain, nor ask anybody else.

    Args:
        browser: that opens it.
        websocket: the address.
        width: of the window, in pixels of the page.
        height: likewise.
        theme: that the browser prefers.
        scale: pixels of the screen for one of the page: painting in software costs by the pixel.
    """
    base = websocket.replace("ws://", "http://").removesuffix("/ws")
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=theme, device_scale_factor=scale
    )
    page = context.new_page()
    dashboard = Dashboard(page, base)
    page.on("console", lambda each: dashboard.errors.append(each.text) if each.type == "error" else None)
    page.on("pageerror", lambda each: dashboard.errors.append(str(each)))

    def look(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"data", "blob"} and parts.netloc != urlsplit(base).netloc:
            dashboard.elsewhere.append(url)

    page.on("request", lambda each: look(each.url))
    page.on("websocket", lambda each: look(each.url))
    page.goto(base)
    page.wait_for_function("() => window.cortexcast", polling=100)
    try:
        yield dashboard
    finally:
        context.close()
    assert dashboard.elsewhere == []
    assert dashboard.errors == []

"""Measure the dashboard in headless Chromium, which paints without a graphics card.

::

    make bench-dashboard              # ten minutes
    make bench-dashboard MINUTES=1

All 70 channels of EEG and all 306 of MEG are drawn, at 200 Hz, beside all other views. How often the page is painted is
told against an empty page in the same browser, which is the rate of the display that there is.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import psutil
from browser import Dashboard, open_browser, open_dashboard
from daemon import running
from playwright.sync_api import Browser, CDPSession

from cortexcast_server.bench.machine import describe

STEP_S = 10.0
SETTLING_S = 60.0
"""Until the rings are full and whatever is compiled while it runs has been."""

LEAST_RATE = 50.0
MOST_GROWTH = 0.1


@dataclass(frozen=True)
class Sample:
    """Of one step."""

    paints_per_s: float
    paint_ms: float
    """95 % of paints take that at the most."""
    heap_mb: float
    """Of JavaScript, after garbage was collected."""
    memory_mb: float
    """Of the page's process."""
    bytes_per_s: float
    dropped: int


def empty_rate(browser: Browser) -> float:
    """How often a page without anything on it is painted, in paints a second."""
    page = browser.new_page()
    rate = page.evaluate(
        "new Promise((done) => { let n = 0; const begun = performance.now(); const next = (now) => {"
        " n += 1; if (now - begun < 5000) requestAnimationFrame(next); else done(1000 * n / (now - begun)); };"
        " requestAnimationFrame(next); })"
    )
    page.close()
    return float(rate)


def step(dashboard: Dashboard, session: CDPSession, process: psutil.Process) -> Sample:
    """Measure for ``STEP_S``."""
    counts = "[performance.now(), pace.count, client.bytes]"
    begun, paints, received = dashboard.value(counts)
    dashboard.page.wait_for_timeout(1e3 * STEP_S)
    ended, paints_after, received_after = dashboard.value(counts)
    elapsed_s = (ended - begun) / 1e3
    paint_ms = dashboard.value("pace.paintMs(0.95)")
    session.send("HeapProfiler.collectGarbage")
    heap = session.send("Runtime.getHeapUsage")["usedSize"]
    return Sample(
        paints_per_s=(paints_after - paints) / elapsed_s,
        paint_ms=paint_ms,
        heap_mb=heap / 1e6,
        memory_mb=process.memory_info().rss / 1e6,
        bytes_per_s=(received_after - received) / elapsed_s,
        dropped=dashboard.value("live.dropped"),
    )


def renderer(browser: Browser) -> psutil.Process:
    """The process of the page, which is the one that has worked most."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    pages = [each for each in processes if each["type"] == "renderer"]
    return psutil.Process(max(pages, key=lambda each: each["cpuTime"])["id"])


def main() -> int:
    """Run it; 1 if what was promised is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    minutes = parser.parse_args().minutes
    print(describe())
    with running("--idle") as daemon, open_browser() as browser:
        daemon.http("POST", "/api/v1/demo")
        display = empty_rate(browser)
        print(f"an empty page: {display:.1f} paints/s")
        with open_dashboard(browser, daemon.url, scale=1) as dashboard:
            dashboard.wait_for_frames()
            dashboard.page.get_by_label("MEG estimate: which channels").select_option("all")
            dashboard.page.wait_for_timeout(1e3 * SETTLING_S)
            session = dashboard.page.context.new_cdp_session(dashboard.page)
            process = renderer(browser)
            samples = []
            for number in range(1, round(60 * minutes / STEP_S) + 1):
                samples.append(step(dashboard, session, process))
                if number % 6 == 0:
                    print(line(f"{number * STEP_S / 60:.0f} min", samples[-6:]), flush=True)
    return judge(samples, display)


def line(title: str, samples: list[Sample]) -> str:
    """Means, in words."""

    def mean(name: str) -> float:
        return float(sum(getattr(sample, name) for sample in samples) / len(samples))

    return (
        f"{title}: {mean('paints_per_s'):.1f} paints/s, 95 % in {mean('paint_ms'):.1f} ms or less, "
        f"heap {mean('heap_mb'):.1f} MB, process {mean('memory_mb'):.0f} MB, {mean('bytes_per_s') / 1e3:.0f} kB/s, "
        f"dropped {samples[-1].dropped}"
    )


def judge(samples: list[Sample], display: float) -> int:
    """Say whether it is as fast and as flat as promised."""
    third = max(1, len(samples) // 3)
    rate = sum(sample.paints_per_s for sample in samples) / len(samples)
    growth = {
        name: sum(getattr(sample, name) for sample in samples[-third:])
        / sum(getattr(sample, name) for sample in samples[:third])
        - 1
        for name in ("heap_mb", "memory_mb")
    }
    print(line("all", samples))
    print(
        f"{rate:.1f} paints/s are {rate / display:.0%} of an empty page's; from the first third to the last the heap "
        f"changed by {growth['heap_mb']:+.1%}, the process by {growth['memory_mb']:+.1%}"
    )
    kept = rate >= min(LEAST_RATE, 0.95 * display) and all(abs(change) <= MOST_GROWTH for change in growth.values())
    return 0 if kept and samples[-1].dropped == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
